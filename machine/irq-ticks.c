/* SPDX-License-Identifier: MIT */
/* Periodic interrupts that a guest counts. */
#include "machine/irq-ticks.h"

#include <glib.h>

/* True: some are left, and nobody tells when their time has come. */
static bool deliver(IrqTicks *t)
{
    IrqAnswer answer;

    if (!t->owed) {
        return false;
    }
    answer = irq_query(t->line, &t->watch);
    if (answer != IRQ_WAITS) {
        t->owed--;
        t->raise(t->opaque);
        answer = t->owed ? irq_query(t->line, &t->watch) : IRQ_TAKEN;
    }
    return t->owed && answer != IRQ_WAITS;
}

static void taken(void *opaque)
{
    IrqTicks *t = opaque;

    if (t->in_a_row < IRQ_TICKS_IN_A_ROW) {
        t->in_a_row++;
        deliver(t);
    }
}

void irq_ticks_init(IrqTicks *ticks, void (*raise)(void *opaque), void *opaque)
{
    ticks->watch.taken = taken;
    ticks->watch.opaque = ticks;
    ticks->raise = raise;
    ticks->opaque = opaque;
}

bool irq_ticks_add(IrqTicks *ticks, const IrqLine *line, uint64_t count, int64_t period_ns)
{
    uint64_t most = (uint64_t)MAX(IRQ_TICKS_LAG_NS / MAX(period_ns, 1), 1);

    ticks->line = line;
    ticks->in_a_row = 0;
    ticks->owed = (uint32_t)MIN(ticks->owed + count, most);
    return deliver(ticks);
}

void irq_ticks_clear(IrqTicks *ticks)
{
    irq_watch_cancel(&ticks->watch);
    ticks->owed = ticks->in_a_row = 0;
}
