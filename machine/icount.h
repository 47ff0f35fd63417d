/* SPDX-License-Identifier: MIT */
/*
 * -icount: virtual time is the number of instructions that have been executed, and vCPUs take turns, so that a run
 * depends on nothing but its guest and what comes from outside. docs/design/icount.md.
 *
 * One vCPU at a time has the turn; the others are parked. When nobody has it, the main loop expires timers, with
 * the time standing still, and gives it to the next. The accelerator's loop calls the functions below on a vCPU's own
 * thread, while it has the turn (vcpu_safe_point returned true).
 */
#ifndef MACHINE_ICOUNT_H
#define MACHINE_ICOUNT_H

#include "machine/machine.h"

static inline bool icount_on(const Machine *machine)
{
    return machine->config.icount.on;
}

/*
 * Until icount_end, time goes on with *count, the instructions that this vCPU executes. Returns how many it may, up to the
 * next timer or the end of the turn; 0: none.
 */
uint64_t icount_begin(Vcpu *vcpu, const uint64_t *count);
void icount_end(Vcpu *vcpu);
/* After the two: gives the turn up if nothing is left of it. */
void icount_rest(Vcpu *vcpu);
/* Between the two, from an instruction by which the guest says that it spins: others may have their turns. */
void icount_yield(Vcpu *vcpu);
/* The vCPU waits for something: the turn is another's. */
void icount_pass(Vcpu *vcpu);
/* Instructions that all vCPUs have executed; UINT64_MAX: not counted. */
uint64_t icount_executed(Machine *machine);

#endif
