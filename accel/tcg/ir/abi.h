/* SPDX-License-Identifier: MIT */
/*
 * What generated code, the run time and targets agree on: the TcgState that generated code reaches
 * through its env register, and the per-context tables. Flags are in flags.h, and the functions that
 * targets and their helpers call in services.h.
 */
#ifndef ACCEL_TCG_IR_ABI_H
#define ACCEL_TCG_IR_ABI_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "accel/tcg/ir/flags.h"
#include "accel/tcg/ir/ir.h"

/* A value of any type, as the interpreter holds it: integers zero-extended, flags as in memory. */
typedef union {
    uint64_t i;
    V128 v;
} IrValue;

typedef struct TcgState TcgState;
typedef struct TcgContext TcgContext;

enum {
    TCG_PAGE_BITS = 12,         /* granularity of TLBs and of code invalidation */
    TCG_PAGE_SIZE = 1 << TCG_PAGE_BITS,
    TCG_TLB_BITS = 18,
    TCG_FETCH_BITS = 14,
    TCG_FILLED = 1024,
    TCG_EXECUTED_BITS = 1 << 14,
    TCG_WRITTEN_BITS = 1 << 15,
    TCG_JUMP_BITS = 13,
    TCG_JUMP_CLASSES = 4,       /* of goto_ind's aux, at most */
    TCG_JUMP_FILLED = 1024,
    TCG_JUMP_PART_BITS = 8,     /* entries that are emptied together */
    TCG_RETURN_STACK = 16,      /* a power of two */
};
#define TCG_PAGE_MASK (~(uint64_t)(TCG_PAGE_SIZE - 1))

/*
 * A TLB entry. A tag is the page's virtual address (with any ignored top byte as the guest wrote
 * it) or a page of another slot (tcg_tlb_no_tag); pages that are not plain RAM for a kind of access never get its tag, and none
 * has the tag for writing without that for reading.
 * An access of n bytes at A hits when ((A + n - 1) & PAGE_MASK) == tag && (A & PAGE_MASK) == tag, which is
 * A - tag <= PAGE_SIZE - n.
 * Index: (A >> PAGE_BITS) & (size - 1).
 *
 * The tables are large, so that neither usual working sets nor arrays at a round distance compete for
 * slots, and sparse: zero bytes are an empty entry, and memory that was never filled does not exist. (The
 * page 0, and an access that wraps around to it, look in the first and the last slot only; these have other
 * tags. tcg_context_init_tables sees to it.)
 */
typedef struct {
    uint64_t read, write;
    uint64_t addend;            /* host address = guest virtual address + addend */
    uint64_t info;              /* the run time's: page | global << 6 | log2 of the mapping's size */
} TcgTlbEntry;

/* A tag that no access which looks in the slot of this page can match: it is far from what such an access reaches. */
static inline uint64_t tcg_tlb_no_tag(uint64_t page)
{
    return page ^ UINT64_C(128) << TCG_PAGE_BITS;
}

#define TCG_FETCH_EMPTY UINT64_C(0x800) /* no page */

typedef struct {
    uint64_t tag;               /* page virtual address */
    uint64_t host_page;         /* its host address: names the physical page; bit 0: guarded (BTI), bit 1: breaks */
} TcgFetchEntry;

/*
 * What a table holds, so that emptying it costs what was filled and not what could be: the slots, and
 * when these are too many, the parts of 4 KiB.
 */
typedef struct {
    uint32_t count;             /* more than there is room for: only `parts` knows */
    uint32_t kept;              /* of the slots: global entries that were there when the rest was last dropped */
    uint32_t slots[TCG_FILLED];
    uint64_t parts[(sizeof(TcgTlbEntry) << TCG_TLB_BITS) / 4096 / 64];
} TcgFilled;

/*
 * Empty jump-cache entries hold a pc whose index is another entry's: zero bytes are an empty entry, but for the first. Empty
 * return-stack entries hold TCG_JUMP_EMPTY, and code that takes it as a miss. Which of a class's entries a pc is looked for
 * in: tcg_jump_index, with the target's jump_shift.
 */
#define TCG_JUMP_EMPTY UINT64_C(1)
typedef struct {
    uint64_t pc;                /* virtual */
    void *code;                 /* a unit's entry */
} TcgJumpEntry;

static inline unsigned tcg_jump_index(uint64_t pc, unsigned jump_shift)
{
    return (unsigned)((pc >> jump_shift) ^ (pc >> TCG_PAGE_BITS)) & ((1u << TCG_JUMP_BITS) - 1);
}

/* Which of a context's jump caches goto_ind's class means in units of a mode. */
static inline unsigned tcg_jump_table(unsigned jump_class, uint64_t mode, uint64_t jump_mode_bit)
{
    return jump_class + (mode & jump_mode_bit ? 1 : 0);
}

/* The pc of entry `index` of a class's table when it is empty. */
static inline uint64_t tcg_jump_empty(unsigned index, unsigned jump_shift)
{
    return index == 0 ? UINT64_C(1) << jump_shift : 0;
}

/*
 * Address-space context: one per (ASID, privilege) and vCPU. Generated code keeps its address in
 * a register. jump and returns hold for one mode key: every change of mode goes by way of the
 * dispatcher, which clears them when the mode is another; only the returns when no bit but the target's jump_mode_bit is.
 */
struct TcgContext {
    TcgTlbEntry tlb[1 << TCG_TLB_BITS];
    TcgFetchEntry fetch[1 << TCG_FETCH_BITS];
    TcgJumpEntry returns[TCG_RETURN_STACK]; /* ring; the top is at TcgState.return_top */
    /* Below: the run time's. */
    void *empty_return;         /* HostThunks.empty_return */
    uint64_t key;
    uint64_t last_used;
    bool empty;                 /* nothing is in the tables, and nothing can come in before it is current again */
    TcgFilled tlb_filled, fetch_filled;
    uint16_t jump_filled[TCG_JUMP_FILLED]; /* which jump entries are not empty */
    uint32_t jump_filled_count; /* more than there is room for: only jump_parts knows */
    uint64_t jump_parts[(TCG_JUMP_CLASSES << TCG_JUMP_BITS >> TCG_JUMP_PART_BITS) / 64];
    uint32_t jump_kept;         /* of these, in global pages, as TcgFilled.kept */
    uint64_t jump_mode;         /* the mode key that jump and return entries are for */
    /* Mappings larger than a page: a filter of the 2 MiB blocks they lie in, or what larger ones span. */
    uint64_t large_blocks[16];
    uint64_t huge_min, huge_max;
    uint64_t executed[TCG_EXECUTED_BITS / 64]; /* Bloom filter of pages that code was fetched from */
    uint64_t written[TCG_WRITTEN_BITS / 64]; /* the same of the host's pages that write tags were given for */
    uint64_t fetch_global[(1 << TCG_FETCH_BITS) / 64]; /* of a filled fetch entry: its page is global */
    /* The tables: tcg_jump_table. Generated code's again. */
    TcgJumpEntry jump[];
};

static inline size_t tcg_context_size(unsigned jump_classes)
{
    return sizeof(TcgContext) + ((size_t)jump_classes << TCG_JUMP_BITS) * sizeof(TcgJumpEntry);
}

/* For zeroed tables: see TcgTlbEntry. */
static inline void tcg_context_init_tables(TcgContext *context)
{
    TcgTlbEntry *last = &context->tlb[(1 << TCG_TLB_BITS) - 1];

    context->tlb[0].read = context->tlb[0].write = tcg_tlb_no_tag(0);
    last->read = last->write = tcg_tlb_no_tag(TCG_PAGE_MASK);
    context->fetch[0].tag = TCG_FETCH_EMPTY;
}

/*
 * The floating-point environment that the host's own instructions run in, for guest code. Exceptions are never
 * taken by the host: they gather in `exceptions`, FLOAT_* of base/softfloat.h as far as the host knows them.
 */
typedef struct {
    uint8_t rounding;       /* IR_ROUND_NEAREST … IR_ROUND_ZERO */
    bool flush_operands;    /* denormal operands are zeros */
    bool flush_results;     /* denormal results are zeros */
    uint8_t exceptions;     /* that have occurred */
} TcgFpControl;

/* The state that generated code reaches; the target embeds it in its CPU structure. */
struct TcgState {
    _Atomic uint32_t exit_request;  /* polled at unit entries; non-zero: leave */
    uint32_t pc_offset;             /* of the current or next instruction, at exits: see tcg_pc() */
    uint64_t pc_page;               /* virtual page of the code that runs */
    TcgContext *context;            /* of ordinary accesses */
    TcgContext *context_other;      /* of IR_MEM_OTHER accesses */
    uint32_t return_top;            /* byte offset of the top within context->returns */
    uint32_t fp_word;               /* the host's floating-point control for the guest, while outside generated code */
    uint32_t host_fp_word;          /* and for the emulator */
    bool in_code;                   /* generated code or a helper of it runs: fp_word is in the host's register */
    bool x87_lent;                  /* the host's x87 has the guest's registers, status and control (IR_HOST_X87): only in code */
    uint32_t jump_class;            /* of the indirect jump that is being looked up; else 0 */
    bool unit_refused;              /* the unit that was entered left to the dispatcher before it did anything */
    uint64_t insn_count;            /* instructions executed in units with TCG_MODE_COUNT */
    uint64_t insn_limit;            /* with -icount: no unit is entered that might go beyond this count */
    void *host_sp;                  /* of the enter thunk's frame: tcg_unwind returns to it */
    uint32_t exclusive_size;        /* not 0: an atomic op works on a copy in bounce, see tcg_atomic_begin */
    _Alignas(16) uint64_t bounce[8]; /* slow multi-word loads land here; 16 bytes are swapped in it, too */
    uint64_t bounce_address;        /* its address, for IR_MEM_ONLY_STORED */
    uint64_t scratch[16];           /* thunks' */
    V128 vector_scratch[16];        /* thunks' */
    uint64_t slow_loads, slow_stores, groups_left, dispatches, indirects; /* counters of slow paths */
    void *vcpu;                     /* Vcpu * */
    void *run;                      /* the run time's per-vCPU state */
    jmp_buf *unwind;                /* interpreter: where tcg_unwind goes */
    IrValue *interpreter_values;    /* IR_MAX_OPS of them; NULL unless interpreting */
};

/* The guest pc. Valid outside generated code and in helpers with HELPER_FAULTS or HELPER_READS. */
static inline uint64_t tcg_pc(const TcgState *env)
{
    return env->pc_page + env->pc_offset;
}

static inline void tcg_set_pc(TcgState *env, uint64_t pc)
{
    env->pc_page = pc & TCG_PAGE_MASK;
    env->pc_offset = (uint32_t)(pc & (TCG_PAGE_SIZE - 1));
}

#endif
