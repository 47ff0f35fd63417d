/* SPDX-License-Identifier: MIT */
/* What executes units (back ends, the interpreter) gets from the run time. */
#ifndef ACCEL_TCG_IR_RUNTIME_H
#define ACCEL_TCG_IR_RUNTIME_H

#include "accel/tcg/ir/abi.h"
#include "accel/tcg/ir/ir.h"

typedef struct TcgLink TcgLink; /* host/host.h */

typedef struct HostRuntime {
    const IrVar *vars;
    unsigned var_count;
    const uint8_t *pinned_ints, *pinned_vectors;
    int32_t env_bias;
    uint8_t jump_shift;   /* TcgTarget's */
    uint64_t jump_mode_bit; /* the same */
    /*
     * Units leave to the dispatcher when insn_limit does not allow all of their instructions, and where they end does not depend
     * on what TLBs hold: each access is looked up for itself.
     */
    bool limited;
    /*
     * Slow memory accesses: called on a TLB miss, device, crossing or misalignment, with exact state.
     * flags: IR_MEM_*. Return the value (loads; sign extension is the caller's), or unwind.
     */
    uint64_t (*load)(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
    void (*store)(TcgState *env, uint64_t guest_virt, uint64_t value, unsigned size, unsigned flags);
    V128 (*load_vector)(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
    void (*store_vector)(TcgState *env, uint64_t guest_virt, V128 value, unsigned size, unsigned flags);
    /*
     * Before several accesses with one lookup: makes the TLB know the page of the first one, whose faults unwind. all_write:
     * for writing as well, when that is allowed. false: it is not to be known.
     */
    bool (*reach)(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags, bool write, bool all_write);
    /* Checks that a store there will not fault (unwinds if it would): before the parts of st2. */
    void (*store_check)(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
    /* For ldchk: the host address of the bytes, or of env->bounce holding a copy of them. */
    void *(*load_check)(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
    /* For cas, amo, stx: the host address, checked for read and write. Unwinds where there is no RAM. */
    void *(*atomic_check)(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
    /*
     * NULL unless atomic_check may answer with a copy (an access across pages, or to a device), and leave
     * env->exclusive_size set: then called behind the op, to write it back. Never unwinds.
     */
    void (*atomic_end)(TcgState *env);
    void (*zero)(TcgState *env, uint64_t guest_virt, unsigned size);
    void (*lend_x87)(TcgState *env); /* TcgTarget's */
    /* Where to go: each returns a unit entry or the exit thunk's address. */
    void *(*dispatch)(TcgState *env);                      /* for tcg_pc(env) */
    void *(*follow_link)(TcgState *env, TcgLink *link);    /* an unlinked or failed-guard exit was taken */
    void *(*indirect)(TcgState *env, uint64_t guest_virt, unsigned jump_class,
                      int64_t origin); /* jump-cache miss; origin: imm of goto_ind */
    /* TcgTarget.check_jump: for the interpreter, which has no jump cache. */
    void (*check_jump)(TcgState *env, uint64_t guest_virt, int64_t origin);
    void *(*ungrouped)(TcgState *env); /* for tcg_pc(env), by a unit of TCG_MODE_UNGROUPED */
} HostRuntime;

#endif
