/* SPDX-License-Identifier: MIT */
/*
 * What the run time does for targets and their helpers. It implements these functions: the one place where calls
 * lead upward (see docs/layers.md), so that a target is translated and interpreted without knowing what runs it.
 */
#ifndef ACCEL_TCG_IR_SERVICES_H
#define ACCEL_TCG_IR_SERVICES_H

#include "accel/tcg/ir/abi.h"

/*
 * For helpers and targets while the vCPU runs: abandons the current instruction. The target has set
 * the state (exception taken, pc set). No lock may be held.
 */
_Noreturn void tcg_unwind(TcgState *env);

/* For helpers that end an instruction by unwinding, with the next pc set: as insn_done, where that is due. */
void tcg_insn_done(TcgState *env);

/* Contexts and invalidation, called by targets on the vCPU's own thread. Keys are the target's. */
void tcg_set_context(TcgState *env, uint64_t key, uint64_t other_key);
/* Drops one page's mapping (all sizes) in contexts for which match(key, arg) holds (NULL: all). */
typedef bool TcgContextMatch(uint64_t key, uint64_t arg);
void tcg_invalidate_page(TcgState *env, uint64_t guest_virt, TcgContextMatch *match, uint64_t arg);
/* Drops all mappings of contexts for which match(key, arg) holds, but not global ones; NULL: all of all contexts. */
void tcg_invalidate_contexts(TcgState *env, TcgContextMatch *match, uint64_t arg);
/* The same on all vCPUs of the machine; done when tcg_invalidate_wait returns (at the guest's DSB). */
void tcg_broadcast_invalidate_page(TcgState *env, uint64_t guest_virt, TcgContextMatch *match,
                                   uint64_t arg);
void tcg_broadcast_invalidate_contexts(TcgState *env, TcgContextMatch *match, uint64_t arg);
void tcg_invalidate_wait(TcgState *env);
/* Instruction-cache maintenance: drops units that overlap the bytes at a guest virtual address (as read). */
void tcg_invalidate_code(TcgState *env, uint64_t guest_virt, uint64_t size);
void tcg_invalidate_all_code(TcgState *env);

/*
 * For helpers with HELPER_FAULTS that reach a device by another way than memory, before they do anything: with -icount the
 * instruction is done on its own, which may mean that it is begun again.
 */
void tcg_begin_device_access(TcgState *env);

/* Of the host's own instructions for guest code; at once, also in generated code, from a helper. */
void tcg_set_fp_control(TcgState *env, TcgFpControl control);
TcgFpControl tcg_get_fp_control(TcgState *env);
/*
 * For guests that do not mask all exceptions (FLOAT_*): lets the host look for these until the next tcg_set_fp_control, since what
 * it notes with a mask is not all that it would raise without. tcg_end_float_traps tells which exceptions had occurred when the first of
 * these did, which is done again with all masked; 0: none did.
 */
void tcg_begin_float_traps(TcgState *env, unsigned exceptions);
unsigned tcg_end_float_traps(TcgState *env);

/*
 * Guest memory for helpers (HELPER_FAULTS): full checks, faults unwind. flags: IR_MEM_OTHER,
 * _ALIGNED, _BE, _WRAP*, _FOR_WRITE, _STACK. size 1..8; and whole buffers for larger accesses.
 */
uint64_t tcg_load(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
void tcg_store(TcgState *env, uint64_t guest_virt, uint64_t value, unsigned size, unsigned flags);
/* Unwinds when a store there would fault. */
void tcg_check_store(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
/*
 * For locked read-modify-writes by helpers, at most 16 bytes: the host address to work on with atomic
 * instructions, checked for writing (faults unwind). Across pages and on devices it is a copy, in an exclusive section.
 * Between the two nothing may unwind. Targets with locks_anything only.
 */
void *tcg_atomic_begin(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags);
void tcg_atomic_end(TcgState *env);
/*
 * The host address of an access that the TLB knows to be in RAM within one page, for writing where nobody watches, or NULL: as
 * generated code looks first, for helpers with many accesses. What comes after NULL, and with IR_MEM_ALIGNED at once, is tcg_load
 * or tcg_store.
 */
static inline void *tcg_known(const TcgState *env, uint64_t guest_virt, unsigned size, bool write)
{
    const TcgTlbEntry *entry =
        &env->context->tlb[guest_virt >> TCG_PAGE_BITS & ((1 << TCG_TLB_BITS) - 1)];
    uint64_t tag = write ? entry->write : entry->read;

    return (guest_virt & TCG_PAGE_MASK) == tag && ((guest_virt + size - 1) & TCG_PAGE_MASK) == tag
               ? (void *)(uintptr_t)(guest_virt + entry->addend)
               : NULL;
}
/*
 * Host address for [guest_virt, guest_virt + size) when it is RAM within one page, after access
 * checks (faults unwind); NULL when it is a device or crosses pages, or is for writing and holds translated code. write: also for writing.
 */
void *tcg_probe(TcgState *env, uint64_t guest_virt, unsigned size, bool write, unsigned flags);
/*
 * For an access of at most a page that is made in pieces: takes the fault, if it lies across two pages and is not allowed in both,
 * before the first piece. IR_MEM_ALIGNED is about the pieces.
 */
void tcg_check_span(TcgState *env, uint64_t guest_virt, unsigned size, bool write, unsigned flags);

#endif
