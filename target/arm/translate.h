/* SPDX-License-Identifier: MIT */
/*
 * Translation of A64 to IR. Each instruction is an INSTRUCTION line with its encoding, directly above
 * its translator:
 *
 *     INSTRUCTION(add_imm, "sf 0 0 100010 sh imm12:12 rn:5 rd:5")
 *     static bool translate_add_imm(A64Translator *t, const A64Fields *f)
 *
 * Tokens, from bit 31 down: 0 and 1 strings are fixed bits, `name` is a field of one bit, `name:n` of
 * n bits, `name:sn` of n bits, signed, and `x` strings are ignored bits. A second string may hold a
 * condition on fields ("size != 3 && q == 1"). scripts/generate-decoder turns the lines into the decoder
 * and checks that no word matches two of them, unless one is a special case of the other, which wins.
 *
 * A translator returns false when the instruction is undefined, before it emits anything.
 */
#ifndef TARGET_ARM_TRANSLATE_H
#define TARGET_ARM_TRANSLATE_H

#include "accel/tcg/ir/build.h"
#include "target/arm/a64-fields.h"
#include "target/arm/cpu.h"

typedef struct {
    IrUnit *unit;
    ArmCpu *cpu;            /* for features and lookups only: state is not part of a translation */
    uint64_t mode;          /* ARM_MODE_*, TCG_MODE_* */
    uint32_t insn;
    uint16_t offset;        /* of the instruction in its page */
    uint16_t next;          /* of the one translated after it */
    bool ended;             /* the unit has got its last control op */
    bool sp_aligned;        /* the stack pointer is known to be 16-byte aligned here */
    unsigned side_exits, max_insns;
} A64Translator;

typedef bool A64Translate(A64Translator *t, const A64Fields *f);
typedef struct A64Instruction {
    const char *name;
    A64Translate *translate;
} A64Instruction;

#define INSTRUCTION(name, ...)                                                                     \
    static A64Translate translate_##name;                                                          \
    const A64Instruction a64_instruction_##name = { #name, translate_##name };

/* Generated: finds the instruction and fills in its fields; NULL: unallocated. */
const A64Instruction *a64_decode(uint32_t insn, A64Fields *fields);
/* Generated: all patterns, for test generators; ends with a NULL name. */
typedef struct {
    const char *name, *file;
    uint32_t mask, value;
} A64Pattern;
extern const A64Pattern a64_patterns[];

static inline bool a64_has(const A64Translator *t, ArmFeature feature)
{
    return arm_has(t->cpu, feature);
}

/* Emitting: the functions of build.h, for the translator's unit. */
static inline IrRef a64_op(A64Translator *t, IrOp op)
{
    return ir_emit(t->unit, op);
}

static inline IrRef a64_const(A64Translator *t, IrType type, int64_t value)
{
    return ir_const(t->unit, type, value);
}

static inline IrRef a64_op1(A64Translator *t, IrOpcode opcode, IrType type, IrRef a)
{
    return ir_op1(t->unit, opcode, type, a);
}

static inline IrRef a64_op2(A64Translator *t, IrOpcode opcode, IrType type, IrRef a, IrRef b)
{
    return ir_op2(t->unit, opcode, type, a, b);
}

static inline IrRef a64_op3(A64Translator *t, IrOpcode opcode, IrType type, IrRef a, IrRef b,
                            IrRef c)
{
    return ir_op3(t->unit, opcode, type, a, b, c);
}

static inline IrRef a64_op2i(A64Translator *t, IrOpcode opcode, IrType type, IrRef a, int64_t b)
{
    return ir_op2i(t->unit, opcode, type, a, b);
}

/* Flags of 32 or 64 bits. */
static inline IrRef a64_flags(A64Translator *t, IrOpcode opcode, IrType type, IrRef a, IrRef b,
                              IrRef c)
{
    return ir_flags(t->unit, opcode, type, type == IR_I32 ? 2 : 3, 0, a, b, c);
}

static inline IrRef a64_extend(A64Translator *t, IrOpcode opcode, IrType type, unsigned esz, IrRef a)
{
    return ir_extend(t->unit, opcode, type, esz, a);
}

static inline IrRef a64_bitfield(A64Translator *t, IrOpcode opcode, IrType type, IrRef a, IrRef b,
                                 unsigned start, unsigned length)
{
    return ir_bitfield(t->unit, opcode, type, a, b, start, length);
}

static inline IrRef a64_get_var(A64Translator *t, unsigned var, IrType type)
{
    return ir_get(t->unit, var, type);
}

static inline void a64_set_var(A64Translator *t, unsigned var, IrType type, IrRef value)
{
    ir_set(t->unit, var, type, value);
}

/* General registers: register 31 reads as zero and is not written. */
static inline IrRef a64_get_x(A64Translator *t, unsigned n)
{
    return n == 31 ? a64_const(t, IR_I64, 0) : a64_get_var(t, ARM_VAR_X0 + n, IR_I64);
}

static inline void a64_set_x(A64Translator *t, unsigned n, IrRef value)
{
    if (n != 31) {
        a64_set_var(t, ARM_VAR_X0 + n, IR_I64, value);
    }
}

static inline IrRef a64_get_w(A64Translator *t, unsigned n)
{
    return n == 31 ? a64_const(t, IR_I32, 0)
                   : a64_op1(t, IR_OP_trunc, IR_I32, a64_get_var(t, ARM_VAR_X0 + n, IR_I64));
}

static inline void a64_set_w(A64Translator *t, unsigned n, IrRef value)
{
    if (n != 31) {
        a64_set_var(t, ARM_VAR_X0 + n, IR_I64, a64_extend(t, IR_OP_zext, IR_I64, 2, value));
    }
}

static inline IrType a64_type(bool sf)
{
    return sf ? IR_I64 : IR_I32;
}

static inline IrRef a64_get(A64Translator *t, bool sf, unsigned n)
{
    return sf ? a64_get_x(t, n) : a64_get_w(t, n);
}

static inline void a64_set(A64Translator *t, bool sf, unsigned n, IrRef value)
{
    if (sf) {
        a64_set_x(t, n, value);
    } else {
        a64_set_w(t, n, value);
    }
}

/* The same where register 31 is the stack pointer. */
IrRef a64_get_sp(A64Translator *t, bool sf, unsigned n);
void a64_set_sp(A64Translator *t, bool sf, unsigned n, IrRef value);
/* Base register of a load or store: register 31 is SP and is checked for alignment. */
IrRef a64_get_base(A64Translator *t, unsigned n);

static inline IrRef a64_get_flags(A64Translator *t)
{
    return a64_get_var(t, ARM_VAR_FLAGS, IR_FLAGS);
}

static inline void a64_set_flags(A64Translator *t, IrRef flags)
{
    a64_set_var(t, ARM_VAR_FLAGS, IR_FLAGS, flags);
}

/* SIMD registers: whole, and writes of the low part that clear the rest. */
static inline IrRef a64_get_v(A64Translator *t, unsigned n)
{
    return a64_get_var(t, ARM_VAR_V0 + n, IR_V128);
}

static inline void a64_set_v(A64Translator *t, unsigned n, IrRef value)
{
    a64_set_var(t, ARM_VAR_V0 + n, IR_V128, value);
}

static inline IrRef a64_vop1(A64Translator *t, IrOpcode opcode, unsigned esz, IrRef a, int64_t imm)
{
    return ir_vop1(t->unit, opcode, esz, a, imm);
}

static inline IrRef a64_vop2(A64Translator *t, IrOpcode opcode, unsigned esz, IrRef a, IrRef b)
{
    return ir_vop2(t->unit, opcode, esz, a, b);
}

/* The low 8 << esz bits (esz 0..3), the rest cleared; esz 4: as is. */
static inline void a64_set_v_low(A64Translator *t, unsigned n, unsigned esz, IrRef value)
{
    a64_set_v(t, n, esz == 4 ? value : a64_vop1(t, IR_OP_vzext, esz, value, 0));
}

/* Calls a helper; unused arguments are 0. */
static inline IrRef a64_call(A64Translator *t, const TcgHelper *helper, IrRef a, IrRef b, IrRef c,
                             IrRef d)
{
    return ir_call(t->unit, helper, a, b, c, d);
}

/* Memory: address + imm, 1 << esz bytes. flags: IR_MEM_*; the mode's are added. */
IrRef a64_load(A64Translator *t, IrType type, unsigned esz, unsigned flags, IrRef address,
               int64_t imm);
void a64_store(A64Translator *t, IrType type, unsigned esz, unsigned flags, IrRef address,
               int64_t imm, IrRef value);
/* In big-endian mode, a vector of 1 << esz bytes as it goes to or comes from memory. */
IrRef a64_swap_vector(A64Translator *t, IrType type, unsigned esz, IrRef value);
/* IR_MEM_BE and IR_MEM_ALIGNED as the mode says. */
unsigned a64_memory_flags(const A64Translator *t);

/* Control. Each but a64_exit_if ends the unit. */
void a64_goto(A64Translator *t, int64_t page_offset);
/* Branches that loops end with: where they lead to the unit's start, it may go on with another round. */
void a64_branch(A64Translator *t, int64_t page_offset);
void a64_branch_if(A64Translator *t, IrCond cond, IrRef flags, int64_t page_offset);
void a64_goto_indirect(A64Translator *t, IrRef target, unsigned kind, unsigned jump_class);
/* To the next instruction by way of the dispatcher: after changes of the mode. */
void a64_dispatch_next(A64Translator *t);
/* A helper has set the pc. */
void a64_dispatch_env(A64Translator *t);
/* Raises a synchronous exception at this instruction: ESR_EL1 as given. */
void a64_raise(A64Translator *t, uint32_t esr);
void a64_undefined(A64Translator *t);

/*
 * For FP and SIMD: whether they may be used. When false, the trap has been emitted and the translator
 * returns true. Comes after all reasons for being undefined.
 */
bool a64_fp_access(A64Translator *t);

/* a64/branch.c: shared with the authenticating forms. */
void a64_emit_br(A64Translator *t, unsigned rn, IrRef target);
void a64_emit_blr(A64Translator *t, IrRef target);
void a64_emit_eret(A64Translator *t, IrRef target);
/* a64/load-store.c: sets base register n to base + imm after the access. */
void a64_write_back(A64Translator *t, unsigned n, IrRef base, int64_t imm);
/* base + the extended and shifted offset register of LDR (register); option 2, 3, 6 or 7. */
IrRef a64_register_offset(A64Translator *t, IrRef base, unsigned rm, unsigned option,
                          unsigned shift);

/* One instruction at t->offset. */
void a64_translate_instruction(A64Translator *t);

#endif
