/* SPDX-License-Identifier: MIT */
/* What the translator needs of a guest architecture. */
#ifndef ACCEL_TCG_IR_TARGET_H
#define ACCEL_TCG_IR_TARGET_H

#include "accel/tcg/ir/abi.h"
#include "accel/tcg/ir/ir.h"

typedef enum { TCG_READ, TCG_WRITE, TCG_FETCH } TcgAccess;

/* The answer of a table walk. */
typedef struct {
    uint64_t guest_phys;        /* of the page */
    uint8_t size_bits;          /* log2 of the mapping that a TLB invalidation would drop, >= 12 */
    bool read, write, execute;  /* what may be done without another walk (for the context asked) */
    bool global;                /* valid for all ASIDs */
    bool device;                /* device memory type: unaligned accesses fault */
    bool guarded;               /* branches there are checked (BTI; the end of x86's addresses): TCG_MODE_GUARDED, check_landing */
    bool uncached;              /* ask again for each access (a watchpoint is near) */
} TcgMapping;

/*
 * Mode keys: the lower 56 bits are the target's, the others the run time's. GUARDED is set for translate when the
 * code lies in a page whose branches are checked (TcgMapping.guarded). Targets do not return it from mode().
 */
#define TCG_MODE_GUARDED (UINT64_C(1) << 63)
/* From mode(): each instruction is a unit of its own, and insn_done is called behind it. Never linked. */
#define TCG_MODE_ONE (UINT64_C(1) << 62)
/* From mode(): check_insn is called before each instruction. */
#define TCG_MODE_CHECK (UINT64_C(1) << 61)
/* From mode(): insn_count_var counts the instructions. */
#define TCG_MODE_COUNT (UINT64_C(1) << 60)
/* The run time's: a unit of one instruction that writes its own bytes. */
#define TCG_MODE_ALONE (UINT64_C(1) << 59)
/* The run time's: a unit of one instruction behind which a debugger is asked; as ONE, it is never linked. */
#define TCG_MODE_STEP (UINT64_C(1) << 58)
/* The run time's: the page has instructions that a debugger wants to know of (IrUnit.breaks). */
#define TCG_MODE_BREAK (UINT64_C(1) << 57)
/* The run time's: each access is looked up for itself, since one look-up for several failed where another unit was left. */
#define TCG_MODE_UNGROUPED (UINT64_C(1) << 56)

/* Guest code as translators read it. */
typedef struct {
    const uint8_t *page;        /* host address of the 4 KiB that the unit begins in */
    const uint8_t *next;        /* of the 4 KiB behind it; NULL: not known yet */
    unsigned copied;            /* both are a copy, which goes up to this page offset so far; 0: they are not */
    unsigned needs;             /* the page offset up to which the unit needs bytes that are not there: set by tcg_code_has; 0: none */
} TcgCode;

/* Whether the bytes up to (not with) page offset `end` can be read; at most one page beyond the first. */
static inline bool tcg_code_has(TcgCode *code, unsigned end)
{
    if (code->copied ? end > code->copied : end > TCG_PAGE_SIZE && !code->next) {
        code->needs = end;
        return false;
    }
    return true;
}

static inline uint8_t tcg_code_byte(const TcgCode *code, unsigned offset)
{
    return offset < TCG_PAGE_SIZE ? code->page[offset] : code->next[offset - TCG_PAGE_SIZE];
}

typedef struct TcgTarget {
    const IrVar *vars;
    unsigned var_count;
    /* Variables that live in host registers across units, hottest first (ends with 0xff). */
    const uint8_t *pinned_ints, *pinned_vectors;
    size_t state_offset;        /* of the TcgState in the CPU structure */
    uint64_t key_global_mask;   /* bits of context keys that global mappings do not depend on (ASID) */
    bool coherent_code;         /* stores change code at once (x86); otherwise tcg_invalidate_code does (decision 3) */
    bool locks_anything;        /* cas, amo, stx reach across pages and to devices; otherwise these fault */
    int32_t env_bias;           /* env register = TcgState + bias, so that hot fields get short offsets */
    uint8_t insn_align;         /* of instructions: bytes, and the least that one has */
    uint8_t jump_shift;         /* log2 of it: low bits of pcs that tell nothing, at most 2 */
    uint8_t insn_count_var;     /* variable of TcgState.insn_count; 0: the target has none */
    uint8_t jump_classes;       /* what tcg_jump_table may be, plus 1; at most TCG_JUMP_CLASSES */
    uint64_t jump_mode_bit;     /* of the mode; changes so often that units with and without it have jump caches of their own; or 0 */

    /* The mode key of the code that runs next: what, besides its bytes, a translation depends on. */
    uint64_t (*mode)(TcgState *env);
    /*
     * Translates instructions at page offset `start` of the code page into unit until it ends
     * (control transfer, end of page, max_insns). Must end with a control op. Never fails: undefined code
     * becomes the guest's exception. An instruction that runs into the next page is translated only where it
     * is the unit's first, and then alone. When it needs bytes that are not known yet (tcg_code_has),
     * translate returns at once; the run time calls again, with them, or takes the fault of fetching them. The first insn_align ones
     * are always there.
     */
    void (*translate)(IrUnit *unit, TcgState *env, TcgCode *code, uint16_t start, uint64_t mode,
                      unsigned max_insns);
    /*
     * Walks the guest's tables for an access. false: the fault is described in the target's own
     * state, and raise_fault will take it. flags: IR_MEM_*. size and alignment of the access
     * are given so that alignment faults can be judged (size 0: do not).
     */
    bool (*walk)(TcgState *env, uint64_t guest_virt, unsigned size, TcgAccess access, unsigned flags,
                 TcgMapping *mapping);
    /*
     * An access that goes on in a second page, before either is walked for good: must have no side effects. false: a fault, as of walk.
     * Not asked where both pages are known to allow it. NULL: each half is judged by itself.
     */
    bool (*check_crossing)(TcgState *env, uint64_t first, uint64_t second, TcgAccess access, unsigned flags);
    /* Takes the fault that walk described; the pc is exact. Returns with the new pc set. */
    void (*raise_fault)(TcgState *env);
    /* A physical access failed (nothing there, device error): an external abort. Sets the new pc. */
    void (*raise_bus_error)(TcgState *env, uint64_t guest_virt, TcgAccess access);
    /*
     * Called by the run loop before entering code and after exit requests: takes a pending enabled
     * interrupt or debug exception if there is one (changing pc and mode).
     */
    void (*take_interrupt)(TcgState *env);
    /*
     * For a halted vCPU that has work: does what does not end the halt, and says whether the rest does. NULL: all
     * work ends it.
     */
    bool (*wake)(TcgState *env);
    /*
     * An indirect jump to a pc that no jump cache has, before it is made: pc_page is still that of the jump's unit, and all else as
     * the instruction leaves it. May undo that, and unwind with a fault. What it lets pass may be jumped to without asking from then
     * on. origin: imm of goto_ind. NULL: any is fine.
     */
    void (*check_jump)(TcgState *env, uint64_t guest_virt, int64_t origin);
    /* The pc to run (after tag stripping); false when it faults (misaligned …), with the exception taken. */
    bool (*prepare_pc)(TcgState *env);
    /*
     * An indirect jump of class env->jump_class != 0 reached a guarded page; insn: the bytes there.
     * false: refused, with the exception taken. NULL: no such checks.
     */
    bool (*check_landing)(TcgState *env, const uint8_t *insn);
    /*
     * With TCG_MODE_ONE: the instruction of a unit of this mode is done, and the pc that of the next. Not called when it
     * unwound. May take exceptions. NULL: nothing to do.
     */
    void (*insn_done)(TcgState *env, uint64_t mode);
    /* With TCG_MODE_CHECK: the instruction at the pc comes next; true: an exception has been taken in its place. */
    bool (*check_insn)(TcgState *env);
    /*
     * For IR_HOST_X87: moves the guest's x87 into this thread's, and sets x87_lent. Called from generated code, whose variables it
     * neither reads nor changes. NULL: no such helpers.
     */
    void (*lend_x87)(TcgState *env);
    /* Generated code has been left, or somebody wants to see the state: what is elsewhere than in it comes back. NULL: nothing is. */
    void (*settle)(TcgState *env);
    /* A one-line mnemonic for -d in_asm; NULL: capstone does it. */
    char *(*disassemble)(uint64_t pc, const uint8_t *bytes, unsigned size);
} TcgTarget;

#endif
