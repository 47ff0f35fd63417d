/* SPDX-License-Identifier: MIT */
/*
 * The state of one unit's emission, shared by the files of this back end.
 *
 * Values. An IR op whose result is the same bits as another value (trunc, zext of a clean i32, a get
 * of a variable whose value is known) is an alias; `root` names the value that stands for it, and
 * everything else is about roots. A value lives in any number of host registers (`regs`), in a
 * frame slot, in the memory home of a variable (`home_var`), and a flags value perhaps in EFLAGS.
 *
 * Variables. The register of a pinned variable always holds the variable's current value, except
 * that the op that computes the next value may write it ahead of the `set` when nothing in between
 * can observe the variable. Other variables are written back late: a dirty variable's current value
 * is held in a register (or is a constant) until an exit, a cold stub or register pressure stores it.
 */
#ifndef ACCEL_TCG_HOST_X86_64_EMITTER_H
#define ACCEL_TCG_HOST_X86_64_EMITTER_H

#include <glib.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/host/x86_64/assembler.h"
#include "accel/tcg/ir/flags.h"

enum {
    REG_COUNT = 32,
    MAX_STUBS = 4096,
    MAX_COLD_STORES = 16384,
    MAX_CONSTANTS = 1024,
    NO_SLOT = -1,
    NO_VAR = 0xff,
};

/* Scratch vector registers, never allocated. */
enum { VTMP0 = XMM0 + 5, VTMP1 = XMM0 + 6, VTMP2 = XMM0 + 7 };

/*
 * The stack frame of generated code. The first part passes arguments to the cold-call thunk:
 * integer arguments after env, the function, its results, vector arguments; then the thunk's saves.
 */
enum {
    FRAME_INT_ARGS = 0, /* 5 */
    FRAME_FUNCTION = 40,
    FRAME_RESULT = 48,
    FRAME_SCRATCH = 56,     /* a stub's own */
    FRAME_VECTOR_ARGS = 64, /* 4 */
    FRAME_VECTOR_RESULT = 128,
    FRAME_COLD = 144,          /* ColdFrame */
    FRAME_SAVED_INTS = 144,    /* 16 */
    FRAME_SAVED_VECTORS = 272, /* 8 */
    FRAME_RECORD = 400,
    FRAME_JOIN = 408,
    FRAME_GROUPS = 416, /* MAX_GROUPS */
    FRAME_SLOTS = 448,
    FRAME_SLOT_COUNT = 1000,
    FRAME_SIZE =
        FRAME_SLOTS + 8 * FRAME_SLOT_COUNT + 8, /* rsp is 16-byte aligned below six pushes */
};

enum { SKIP_NO, SKIP_DEAD, SKIP_FUSED };

typedef enum {
    EFLAGS_DIRECT,   /* CF = C */
    EFLAGS_INVERTED, /* CF = !C: after a subtraction */
    EFLAGS_FLOAT,    /* as UCOMISS sets them */
} EflagsKind;

typedef struct {
    bool avx, avx2, fma, bmi1, bmi2, lzcnt, f16c, aes, sha, pclmul, avx512vl, gfni, sse4a;
} HostFeatures;

typedef struct Emitter Emitter;

struct HostBackend {
    HostRuntime runtime;
    HostFeatures has;
    char *description;
    int8_t var_pin[IR_MAX_VARS]; /* the variable's register or NO_REG */
    uint8_t pin_var[REG_COUNT];  /* the register's variable or NO_VAR */
    uint32_t pins;               /* registers that are pins */
    uint32_t temporaries;        /* registers that the allocator may use */
    uint8_t flags_var;
    /* Thunks. */
    uint8_t *exit, *dispatch, *refuse, *follow_link, *indirect, *ungrouped;
    uint8_t *save_pins, *load_pins, *load_volatile_pins;
    uint8_t *cold_access[2]; /* [1]: vector temporaries are kept, too */
    uint8_t *cold_helper;
    const uint8_t *float_flags_table;
    _Atomic(Emitter *) spare;
};

/* What a cold stub does for one dirty variable. */
typedef struct {
    uint8_t var;
    int8_t reg; /* NO_REG: the constant value */
    IrRef value;
} ColdStore;

typedef enum {
    STUB_LOAD,
    STUB_STORE,
    STUB_STORE2,
    STUB_CHECK,
    STUB_ATOMIC,
    STUB_ATOMIC_END,
    STUB_ZERO,
    STUB_GROUP, /* a group's lookup failed */
    STUB_HELPER, /* from here on stubs are code, up to here records */
    STUB_CALL,     /* call_if */
    STUB_X87,      /* lends the x87 */
    STUB_UPDATE,   /* a read-modify-write in two accesses */
    STUB_EXIT,     /* write back, then leave by the link */
    STUB_LINK,     /* ask the run time where the link goes */
    STUB_REFUSE,   /* at the entry: an exit request, or the page behind is not what it was */
    STUB_OTHER_RETURN, /* a return that was not predicted */
    STUB_INDIRECT, /* jump-cache miss */
} StubKind;

/*
 * Accesses around a base value that one TLB lookup serves: that of the first, which leads. When it fails, the unit is left,
 * so that the others have nothing to test and cannot fault.
 */
typedef struct {
    IrRef base, lead, last; /* the value, or 0: a page relative to the pc; ops */
    int32_t page;           /* that page: its distance from the pc's */
    int32_t start, end;     /* offsets from base, or in the page, that the lookup covers */
    bool write;             /* it is for writing */
    /* The addend; of a page, where it is in the host. */
    uint8_t place; /* when registers are scarce: FRAME_GROUPS */
    bool saved;    /* it is there */
    int8_t reg;    /* or NO_REG */
} AccessGroup;
enum { MAX_GROUPS = 4 /* at a time */, MAX_UNIT_GROUPS = 16 };

/* How flags can be had once more: see recipes.c. */
typedef enum {
    RECIPE_NONE,
    RECIPE_REPEAT, /* the op on its operands */
    RECIPE_UNDO,   /* the op's inverse on its result, then the op */
    RECIPE_TEST,   /* a test of the result */
} RecipeForm;

/* Flags that can be had once more as long as the operands (0: none, or a constant) are kept. */
typedef struct {
    IrRef flags; /* 0: none */
    IrRef operands[2];
    uint8_t form;
    bool alone; /* the flags are nowhere else any more, before they are the flags variable's value */
} KeptRecipe;

/* Where the operands are: a register, a place in memory, or neither: a constant. */
typedef struct {
    IrRef op; /* 0: none */
    uint8_t form;
    int8_t reg[2];
    bool in_memory[2];
    Mem memory[2];
} Recipe;

/* Out-of-line code to emit after the unit's body. */
typedef struct ColdStub ColdStub;
struct ColdStub {
    uint8_t kind;       /* StubKind */
    bool save_vectors;  /* vector temporaries are live */
    bool save_flags;    /* EFLAGS go to the flags variable */
    bool keep_eflags;   /* what comes after the stub needs them */
    uint8_t flags_kind; /* EflagsKind then */
    uint8_t jump_count;
    uint16_t pc_offset;
    IrRef op;
    int8_t address, scratch, value, value2, result; /* registers; value NO_REG: a constant */
    int32_t imm;                                    /* added to address */
    unsigned first_store, store_count;
    uint8_t *jumps[6]; /* displacements (rel32) that lead here */
    uint8_t *join;     /* where to continue */
    TcgLink *link;
    bool has_recipe;   /* flags to compute and store first: Emitter.recipes */
    const AccessGroup *group; /* of STUB_GROUP, whose result is the addend */
    ColdStub *load, *store; /* of STUB_UPDATE: the two accesses */
};

/* An op and its value: together, since ops at a round distance would compete for the host's cache otherwise. */
typedef struct {
    IrRef root;
    uint16_t next_use;    /* 0: none */
    uint16_t use_next[4]; /* per operand: the next use after this one, 0 none */
    uint32_t regs;
    int16_t slot;
    uint8_t home_var;   /* variable whose home holds the value, or NO_VAR */
    int8_t hint;        /* pin to compute into, or NO_REG */
    uint8_t hold;       /* dirty variables whose current value this is */
    uint8_t keep;       /* uses by recipes */
    uint8_t skip;       /* dead, an alias (SKIP_DEAD), or done with an earlier op */
    uint8_t group;      /* of an access: its place in Emitter.groups, or 0 */
    bool flags_seen;    /* before the op: something sees the flags variable before its next set */
    bool plan;          /* a flags value that only what comes before the next set may see */
    bool upper_garbage; /* an i32 whose register may have high bits set */
} EmitterValue;

struct Emitter {
    Assembler a;
    HostBackend *b;
    const IrUnit *unit;
    const HostFeatures *has;
    unsigned at;        /* the op that is being emitted */
    uint16_t pc_offset; /* of the current guest instruction */
    bool failed;
    bool vars_are_64; /* no variable is an i32 */
    bool done;        /* an op ended the unit */
    bool called;      /* a helper with effects has been: it may have asked for an exit */
    uint8_t *entry, *body;
    TcgLink *links;
    unsigned link_count, max_links;
    unsigned stub_count;
    unsigned cold_store_count;
    unsigned slots_used;

    /* Registers: what each holds (0: nothing), and which may not be chosen during this op. */
    IrRef reg_value[REG_COUNT];
    uint32_t locked;

    uint32_t reserved; /* registers of groups */
    AccessGroup groups[MAX_UNIT_GROUPS + 1]; /* from 1 on */
    unsigned group_count;

    /* EFLAGS. */
    IrRef eflags;
    KeptRecipe planned; /* of flags that will be the flags variable's value */
    KeptRecipe recipe;  /* of the flags variable's value */
    uint8_t eflags_kind;

    /* Variables. */
    IrRef var_value[IR_MAX_VARS];   /* current value; 0: only in its home or pin */
    IrRef home_value[IR_MAX_VARS];  /* the value whose home_var this is */
    uint16_t last_set[IR_MAX_VARS]; /* op index of the last set in the unit */
    uint64_t dirty[2];              /* unpinned variables whose home is stale */

    EmitterValue values[IR_MAX_OPS]; /* by op index */

    /* Constants to be placed behind the code: their users' displacements. */
    unsigned constant_count;
    struct {
        uint8_t *at;
        uint64_t low, high;
        unsigned place;
    } constants[MAX_CONSTANTS];

    uint64_t slot_map[(FRAME_SLOT_COUNT + 63) / 64];
    ColdStub stubs[MAX_STUBS];
    Recipe recipes[MAX_STUBS]; /* of the stubs that have one */
    ColdStore cold_stores[MAX_COLD_STORES];
};

/* analysis.c: roots, liveness, hints. */
void emitter_analyse(Emitter *e);

/* registers.c */
static inline IrRef emitter_root(const Emitter *e, IrRef ref)
{
    return e->values[ref].root;
}

static inline const IrOp *emitter_value(const Emitter *e, IrRef ref)
{
    return &e->unit->ops[e->values[ref].root];
}

/* A pc that needs no place: it is made again where it is used. */
static inline bool emitter_is_near_pc(const IrOp *op)
{
    return op->opcode == IR_OP_pc && asm_fits32(op->imm);
}

/* Of vectors, zero: the upper halves of registers that are written by their lower ones. */
static inline bool emitter_is_vector_zero(const IrOp *op)
{
    return op->imm == 0 && ((op->opcode == IR_OP_vconst && op->aux == 0) ||
                            (op->opcode == IR_OP_const && op->type == IR_V128));
}

/* A value that variables' homes are set to without a register of the allocator's. */
static inline bool emitter_is_immediate(const IrOp *op)
{
    return op->opcode == IR_OP_fconst || (op->opcode == IR_OP_const && op->type != IR_V128) ||
           emitter_is_vector_zero(op);
}

static inline bool emitter_needed(const Emitter *e, IrRef root)
{
    return e->values[root].next_use || e->values[root].hold || e->values[root].keep;
}

static inline bool emitter_is_temporary(const Emitter *e, int reg)
{
    return e->b->temporaries >> reg & 1;
}

/* [rbp + …] of a TcgState field. */
#define ENV(e, field) emitter_env_mem(e, offsetof(TcgState, field))
static inline Mem emitter_env_mem(const Emitter *e, int64_t offset)
{
    return mem(RBP, offset - e->b->runtime.env_bias);
}

static inline Mem emitter_home(const Emitter *e, unsigned var)
{
    return emitter_env_mem(e, e->b->runtime.vars[var].offset);
}

static inline Mem emitter_slot(int slot)
{
    return mem(RSP, FRAME_SLOTS + slot * 8);
}

static inline void emitter_lock(Emitter *e, int reg)
{
    e->locked |= 1u << reg;
}

bool emitter_const(const Emitter *e, IrRef ref, uint64_t *value);          /* an integer constant */
bool emitter_const32(const Emitter *e, IrRef ref, bool w, int32_t *value); /* usable as imm32 */
/* A register that holds the value; locked until the op is finished. */
int emitter_use(Emitter *e, IrRef ref);
/* The value in a given register, which the op may then overwrite. */
void emitter_use_in(Emitter *e, IrRef ref, int reg);
/* Whether the value is only in memory and not used again: then m is the operand. */
bool emitter_use_memory(Emitter *e, IrRef ref, Mem *m);
/* A register for temporary use in this op (locked). */
int emitter_scratch(Emitter *e);
int emitter_scratch_vector(Emitter *e);
/* Frees a certain register, moving or spilling what it holds; locked. */
void emitter_take(Emitter *e, int reg);
/* To be called when all operands of the op are in place: they count as used. */
void emitter_advance(Emitter *e);
/* The use of a value by op i, after which `next` uses it, is no more. */
void emitter_drop_use(Emitter *e, IrRef value, unsigned i, unsigned next);
unsigned emitter_next_use(const Emitter *e, IrRef root); /* the op after this one that uses it, or 0 */
bool emitter_used_after(const Emitter *e, IrRef root);   /* by ops after this one */
bool emitter_needed_after(const Emitter *e, IrRef root); /* by them, variables or recipes */
/* Where the result goes: a hinted pin, the register of a dying operand, or another; not in avoid. */
int emitter_result(Emitter *e, int reuse, uint32_t avoid);
int emitter_result_no_pin(Emitter *e, int reuse);
/* The value of the current op is in reg; dead operands are freed. */
void emitter_finish(Emitter *e, int reg);
void emitter_finish_void(Emitter *e);
void emitter_finish_from(Emitter *e, int reg); /* the result is in this temporary */
void emitter_bind(Emitter *e, IrRef root, int reg);
void emitter_unbind(Emitter *e, int reg);
void emitter_copy(Emitter *e, int to, int from);
void emitter_load_value(Emitter *e, IrRef root, int reg);
void emitter_load_home(Emitter *e, unsigned var, int reg);
void emitter_release(Emitter *e, IrRef root);
void emitter_lock_value(Emitter *e, IrRef root);
void emitter_move_to_slot(Emitter *e, IrRef root);
void emitter_spill_temporaries(Emitter *e); /* before a call: copies in memory */
void emitter_drop_temporaries(Emitter *e);  /* after it */

/* groups.c */
void emitter_plan_groups(Emitter *e); /* part of the analysis: who leads, and who follows */
static inline AccessGroup *emitter_group(Emitter *e, unsigned op)
{
    return e->values[op].group ? &e->groups[e->values[op].group] : NULL;
}
/* Whether the op is an access that another one's lookup serves. */
static inline bool emitter_is_follower(const Emitter *e, unsigned op)
{
    return e->values[op].group && e->groups[e->values[op].group].lead != op;
}
/* Of a page relative to the pc: what is kept is where in the host it is, not an addend. */
static inline bool emitter_is_page(const AccessGroup *g)
{
    return g && !g->base;
}
/* Where the leader's access starts in the group's terms; imm: as the access has it. */
static inline int32_t emitter_lead_start(const AccessGroup *g, const IrOp *op, int32_t imm)
{
    return emitter_is_page(g) ? imm : (int32_t)op->imm;
}
/* Whether the address is relative to the pc: of which page, by its distance from the pc's, and where in it. */
bool emitter_page_of(const Emitter *e, const IrOp *op, int64_t *page, int32_t *offset);
int emitter_use_addend(Emitter *e, AccessGroup *g); /* locked */
void emitter_keep_addend(Emitter *e, AccessGroup *g, int reg); /* for what follows, when something does */
void emitter_evict_groups(Emitter *e, uint32_t registers); /* these are wanted for something else */

/* variables.c */
void emitter_get(Emitter *e, const IrOp *op);
void emitter_set(Emitter *e, const IrOp *op);
void emitter_store_home(Emitter *e, unsigned var); /* makes a dirty variable clean */
void emitter_mark_clean(Emitter *e, unsigned var);
void emitter_forget_flags(Emitter *e);             /* the flags variable's value will not be seen again */
void emitter_write_back(Emitter *e);               /* all of them */
void emitter_write_back_final(Emitter *e);         /* those that no later op sets */
void emitter_snapshot(Emitter *e, ColdStub *stub); /* what the stub has to store */
void emit_cold_stores(Emitter *e, const ColdStub *stub);
void emitter_detach_variables(Emitter *e);
void emitter_forget_variables(Emitter *e);

/* flags.c */
enum { PARITY_NONE, PARITY_AND_CLEAR, PARITY_OR_SET };
/* An x86 condition, for float compares together with PF: cc and not PF, or cc or PF. */
typedef struct {
    uint8_t cc, parity;
} HostCondition;

/* To be called before an instruction that overwrites EFLAGS, and before operands are in place. */
void emitter_clobber_flags(Emitter *e);
bool emitter_flags_are_free(const Emitter *e); /* the above would cost nothing */
void emitter_set_eflags(Emitter *e, IrRef flags, EflagsKind kind);
HostCondition emitter_condition(Emitter *e, IrRef flags, IrCond cond);
void emitter_flags_to_rax(Emitter *e); /* EFLAGS to AX in memory format */
void emit_eflags_to_ax(Emitter *e, EflagsKind kind, int scratch);
void emit_float_flags_table(Assembler *a);
unsigned emit_skip_unless(Emitter *e, HostCondition c, uint8_t *jumps[2]);
IrRef emitter_fuse(Emitter *e, IrOpcode opcode);
IrRef emitter_fuse_test(Emitter *e);
EflagsKind emitter_flags_kind(const IrOp *op);              /* of a flags producer's EFLAGS */
void emitter_load_old_flags(Emitter *e, IrRef ref);         /* to EFLAGS, for an op that keeps some */
void emitter_load_carry(Emitter *e, IrRef ref, EflagsKind kind); /* to CF */
bool emitter_flags_are_backed(const Emitter *e, IrRef flags); /* can be had without EFLAGS */
unsigned emitter_next_op(const Emitter *e); /* the next that does anything, if it is near; or 0 */
bool emit_flags_op(Emitter *e, const IrOp *op);
bool emit_select(Emitter *e, const IrOp *op); /* emit-select.c: cset, sel, fsel; false: none of these */

/* recipes.c */
/* At a flags op with the fused value op or 0, before operands count as used: keeps what a recipe needs, if it is worth one. */
void emitter_plan_recipe(Emitter *e, IrRef flags, IrRef value);
void emitter_begin_recipe(Emitter *e, IrRef flags); /* the flags variable has this value, which is in EFLAGS */
void emitter_forget_unseen(Emitter *e); /* a recipe that nothing will ask for keeps no operands */
void emitter_drop_recipe(Emitter *e, KeptRecipe *recipe);
Recipe emitter_recipe(const Emitter *e);
void emit_recipe(Emitter *e, const Recipe *recipe); /* leaves the flags in EFLAGS */

/* vector moves (emit-vector.c): sizes as log2 of bytes, upper bytes zero */
void asm_vector_mov(Emitter *e, int to, int from);
void asm_vector_load(Emitter *e, unsigned size_log2, int to, Mem m);
void asm_vector_store(Emitter *e, unsigned size_log2, Mem m, int from);
void asm_vector_const(Emitter *e, int to, uint64_t low, uint64_t high);

/* emit-*.c */
void emit_integer_op(Emitter *e, const IrOp *op);
void emit_product(Emitter *e, const IrOp *op);
void emit_product_high(Emitter *e, const IrOp *op);
void emit_quotient(Emitter *e, const IrOp *op);
/* Together with the addition behind it, a shift to the left by count may be one instruction; false: it is not. */
bool emit_scaled_sum(Emitter *e, const IrOp *op, unsigned count);
/* To the right, with the flags left alone. [BMI2] */
void emit_rotate_const(Emitter *e, const IrOp *op, unsigned count);
void emit_extend_reg(Assembler *a, bool is_signed, bool w, unsigned size_log2, int to, int from);
void emit_arithmetic_with_flags(Emitter *e, const IrOp *op, IrRef flags);
/* emit-producer.c: shifts, rotates, products and bit counts with flags, 8- and 16-bit ops; false: none of these. */
bool emit_producer(Emitter *e, const IrOp *op);
bool emit_increment(Emitter *e, const IrOp *op, IrRef flags); /* with the old carry; false: it is none */
void emit_narrow_alu(Emitter *e, const IrOp *op, IrRef flags);
void emitter_copy_merged(Emitter *e, const IrOp *op, int to, int from);
void emit_memory_op(Emitter *e, const IrOp *op);
void emit_memory_stub(Emitter *e, ColdStub *stub);
int32_t emit_access_size(const IrOp *op);
bool emit_is_write(const IrOp *op);
/* TLB lookup: leaves the entry's addend in t, or goes to the stub. page: scratch. */
typedef struct {
    int address;
    int32_t imm;
    unsigned size, element; /* bytes; element: what IR_MEM_ALIGNED is about */
    unsigned flags;         /* IR_MEM_* */
    bool write; /* for writing, and perhaps reading; else for reading */
    bool is_page; /* address is that of a page */
    int t, page;
} TlbLookup;
void emit_tlb_lookup(Emitter *e, const TlbLookup *l, ColdStub *stub);
/*
 * What is common to all accesses: begin takes registers, check emits the test, end comes directly behind the access. The
 * stub is that of an access by itself; NULL: it has a group.
 */
typedef struct {
    TlbLookup l;
    AccessGroup *group;
    ColdStub *stub;
} Access;
void emitter_begin_access(Emitter *e, const IrOp *op, Access *access);
void emitter_check_access(Emitter *e, Access *access, StubKind kind);
Mem emitter_access_mem(const Access *access); /* behind the test */
void emitter_end_access(Emitter *e, const Access *access);
/* emit-update.c: a load, an operation and a store to the same place as one instruction; false: it is none. */
bool emit_update(Emitter *e, const IrOp *load);
void emit_update_stub(Emitter *e, const ColdStub *stub);
int emitter_use_address(Emitter *e, IrRef ref, int64_t imm, int32_t *rest);
void emit_atomic_op(Emitter *e, const IrOp *op);
void emit_control_op(Emitter *e, const IrOp *op);
void emit_control_stub(Emitter *e, ColdStub *stub);
void emit_entry(Emitter *e);
void emit_call(Emitter *e, const IrOp *op);
void emit_call_if(Emitter *e, const IrOp *op);
/* A call of a helper that the host has an instruction for; false: it has none. */
bool emit_intrinsic(Emitter *e, const IrOp *op);
bool emit_encoded(Emitter *e, const IrOp *op); /* the same, for one that names its instruction */
bool emit_x87(Emitter *e, const IrOp *op);     /* the same, for one of the host's x87 */
void emit_x87_stub(Emitter *e, ColdStub *stub);
bool emit_vector_op(Emitter *e, const IrOp *op);
bool emit_float_op(Emitter *e, const IrOp *op);
void emit_helper_stub(Emitter *e, ColdStub *stub);
void emit_call_stub(Emitter *e, ColdStub *stub);
/* target(env, integer args…, imm, vector args…) with the op's args in regs; all registers are kept. */
void emit_cold_call(Emitter *e, const IrOp *op, const void *target, const int8_t *regs);
/* crypto.c: a C function that does the op on hosts without instructions for it. */
const void *emit_crypto_function(const Emitter *e, const IrOp *op);
ColdStub *emitter_stub(Emitter *e, StubKind kind);
void emitter_stub_jump(ColdStub *stub, uint8_t *jump);

/* thunks.c */
size_t emit_thunks(HostBackend *b, uint8_t *code, size_t room, HostThunks *thunks);

#endif
