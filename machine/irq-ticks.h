/* SPDX-License-Identifier: MIT */
/*
 * Periodic interrupts that a guest counts. Where the host gives a vCPU no time, a tick may find the one before it still waiting, and would be lost
 * in it; it is owed then, and comes as soon as that one is taken. All of it with the machine lock.
 */
#ifndef MACHINE_IRQ_TICKS_H
#define MACHINE_IRQ_TICKS_H

#include "machine/irq.h"

#include <stdint.h>

/* How far ticks may lag behind: older ones are lost. */
#define IRQ_TICKS_LAG_NS INT64_C(1000000000)
enum {
    IRQ_TICKS_IN_A_ROW = 20
}; /* owed ones between two ticks: a guest gets on, however long its handler takes */

/* owed and in_a_row are state that devices keep. */
typedef struct {
    IrqWatch watch;
    const IrqLine *line; /* that was raised last */
    void (*raise)(void *opaque);
    void *opaque;
    uint32_t owed, in_a_row;
} IrqTicks;

/* raise: makes an edge on the line. */
void irq_ticks_init(IrqTicks *ticks, void (*raise)(void *opaque), void *opaque);
/*
 * `count` periods of that length have ended. Returns true when some are owed and nobody will say when the next one can come: the
 * caller calls again, with count 0, when half a period has passed.
 */
bool irq_ticks_add(IrqTicks *ticks, const IrqLine *line, uint64_t count, int64_t period_ns);
/* Nothing is owed any more. */
void irq_ticks_clear(IrqTicks *ticks);

#endif
