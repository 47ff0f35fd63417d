/* SPDX-License-Identifier: MIT */
/*
 * A host back end: turns a verified unit into host code, and provides the thunks around it.
 *
 * Conventions of generated code (x86-64): rbp = TcgState + env_bias, r15 = TcgState.context, the pinned
 * variables in fixed host registers, all others in memory, at every unit border. TcgState.pc_page is
 * the current page. MXCSR is the guest's. Guest state is exact at each op with IR_FAULTS only in the
 * sense that its out-of-line stub can make it so: the stub writes back dirty variables and pc_offset.
 *
 * The slow paths are C functions that the run time hands over in HostRuntime (ir/runtime.h); back ends call them
 * from thunks which first store the pinned registers to their variables' memory, so that
 * tcg_unwind() may leave from any of them.
 */
#ifndef ACCEL_TCG_HOST_HOST_H
#define ACCEL_TCG_HOST_HOST_H

#include <stddef.h>

#include "accel/tcg/ir/abi.h"
#include "accel/tcg/ir/ir.h"
#include "accel/tcg/ir/runtime.h"

/* An exit of a unit to a known pc. The run time owns these; generated code holds their address. */
struct TcgLink {
    void *unit;               /* the run time's TcgUnit that holds the exit */
    int32_t target;           /* page-relative pc */
    uint8_t crosses_page;     /* the target is in another page: the jump is guarded (below) */
    uint8_t linked;
    uint8_t polls;            /* the jump has to lead to an entry, not to HostCode.body */
    uint8_t *jump;            /* the 4-byte aligned rel32 that is patched atomically: a jump's, or that of the address a return is told */
    uint8_t *stub;            /* where the rel32 points when not linked */
    uint64_t *guard;          /* crosses_page: 8-byte aligned immediate with the expected host page; NULL: none */
    struct TcgLink *incoming_next; /* the run time's: other links to the same unit */
};


/* Thunks and code that all units share; lives at the start of the code cache. */
typedef struct HostThunks {
    void (*enter)(TcgState *env, void *code); /* returns when code leaves through exit */
    uint8_t *exit;            /* stores pinned registers, returns from enter */
    uint8_t *empty_return;    /* code of empty return-stack entries */
    uint8_t *dispatch;        /* stores, calls runtime->dispatch, continues there */
    void (*unwind)(TcgState *env); /* leaves helpers: returns from enter; state is in memory already */
} HostThunks;

/* The host's word of floating-point control (TcgState.fp_word): what it means, and the thread's own. */
uint32_t host_fp_word(TcgFpControl control);
TcgFpControl host_fp_control(uint32_t word);
uint32_t host_fp_read(void);
void host_fp_load(uint32_t word);
/* The word with these exceptions (FLOAT_*) not masked: what raises one of them gets a SIGFPE. */
uint32_t host_fp_unmask(uint32_t word, unsigned exceptions);
/*
 * In the handler of a SIGFPE: masks all exceptions in the context that the instruction is resumed in, and tells in *raised
 * which had occurred. false: the signal has another reason.
 */
bool host_fp_resume(void *context, unsigned *raised);

typedef struct HostBackend HostBackend;

/* Checks the host CPU (x86-64-v2 at least; AVX2, BMI2, FMA used when there). */
HostBackend *host_backend_new(const HostRuntime *runtime, GError **error);
void host_backend_free(HostBackend *backend);
/* One line for `info jit`: the features in use. */
const char *host_backend_describe(const HostBackend *backend);
/* Writes the thunks at code; returns bytes used. */
size_t host_emit_thunks(HostBackend *backend, uint8_t *code, size_t room, HostThunks *thunks);

typedef struct {
    uint8_t *entry;           /* aligned to 2 bytes at least, within code */
    uint8_t *body;            /* behind the entry's poll, for links that need none (TcgLink.polls) */
    size_t size;              /* bytes used from code */
    size_t insn_size;         /* of these, the instructions that usually run */
    size_t cold_size;         /* what slow paths and constants need */
    size_t cold_insn_size;    /* of these, the instructions, which come first */
    unsigned link_count;
} HostCode;

/*
 * Emits unit at code, and at cold what slow paths and constants need (NULL: behind the code). Both are writable and executable at
 * the same address, and within 2 GiB of the thunks. links: room for max_links; their
 * unit is set by the caller after. false: no room (code, cold, links) – nothing is usable then.
 * Unit layout: a landing pad directly before the entry that leaves to the dispatcher with the unit's
 * own start pc and unit_refused, as an entry does that finds an exit request; the entry's first instruction is at least 2 bytes and aligned, so that
 * host_kill_unit can atomically overwrite it with a short jump to the pad.
 */
bool host_emit_unit(HostBackend *backend, const IrUnit *unit, uint8_t *code, size_t room,
                    uint8_t *cold, size_t cold_room, TcgLink *links, unsigned max_links,
                    HostCode *out);
void host_kill_unit(uint8_t *entry);
bool host_unit_is_dead(const uint8_t *entry);
/* Points a link at a unit's entry or body (host_page: expected by a guarded link) or back at its stub. Atomic. */
void host_link(TcgLink *link, uint8_t *target, uint64_t host_page);
void host_unlink(TcgLink *link);

#endif
