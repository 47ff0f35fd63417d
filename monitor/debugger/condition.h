/* SPDX-License-Identifier: MIT */
/*
 * Conditions of breakpoints: C's integer expressions with comparisons and && || ?:, over numbers, 'c', $register, symbols (their
 * addresses), memory as *(u32 *)ADDRESS (u8 to u64, s8 to s64, or C's names for them; * alone: 8 bytes), and what was stopped for: value,
 * old, address, cpu. They are compiled once, and judged on the vCPU's thread without a lock.
 *
 * $pid and $tid are the process and the thread of the guest's Linux that the CPU runs, -1 when there is none.
 *
 * A variable, and a chain of members or indexes (p->count, ((struct point *)$x0)->y), is of typed.h: found where the CPU is when it is judged, which only the main
 * loop may do then.
 */
#ifndef MONITOR_DEBUGGER_CONDITION_H
#define MONITOR_DEBUGGER_CONDITION_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/vcpu.h"

typedef struct Condition Condition;

/* The names beside registers and symbols; 0 where there is nothing of the kind. */
typedef struct {
    uint64_t value, old, address;
} ConditionValues;

/* Symbols get the addresses that they have now, for the vCPU. All of the text belongs to it. */
Condition *condition_compile(const char *text, Vcpu *vcpu, GError **error);
/* Another kernel may be there, or none, for $pid. condition may be NULL. Main loop. */
void condition_symbols_changed(Condition *condition, Machine *machine);
void condition_free(Condition *condition);
/* Whether it has typed parts: condition_holds is for the main loop then, the machine stopped. NULL: no. */
bool condition_is_typed(const Condition *condition);
/* On the vCPU's thread, or while it is parked. What cannot be judged (no memory there, a division by zero) is true. */
bool condition_holds(const Condition *condition, Vcpu *vcpu, const ConditionValues *values);
const char *condition_text(const Condition *condition);

#endif
