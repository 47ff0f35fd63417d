/* SPDX-License-Identifier: MIT */
/* Interrupt lines. */
#include "machine/irq.h"

#include <stddef.h>

void irq_connect(IrqLine *line, IrqHandler *handler, void *opaque, int number)
{
    line->handler = handler;
    line->query = NULL;
    line->opaque = opaque;
    line->number = number;
}

IrqAnswer irq_query(const IrqLine *line, IrqWatch *watch)
{
    return line->query ? line->query(line->opaque, line->number, watch) : IRQ_NOBODY;
}

IrqAnswer irq_either(IrqAnswer a, IrqAnswer b)
{
    if (a == IRQ_TAKEN || b == IRQ_TAKEN) {
        return IRQ_TAKEN;
    }
    return a == IRQ_WAITS || b == IRQ_WAITS ? IRQ_WAITS : IRQ_NOBODY;
}

IrqWatch *irq_watch_take(IrqWatch **place)
{
    IrqWatch *watch = *place;

    if (watch) {
        *place = NULL;
        watch->place = NULL;
    }
    return watch;
}

void irq_watch_cancel(IrqWatch *watch)
{
    if (watch->place) {
        irq_watch_take(watch->place);
    }
}

void irq_watch_keep(IrqWatch **place, IrqWatch *watch)
{
    irq_watch_take(place);
    irq_watch_cancel(watch);
    *place = watch;
    watch->place = place;
}

void irq_set(IrqLine *line, int level)
{
    line->level = level;
    if (line->handler) {
        line->handler(line->opaque, line->number, level);
    }
}
