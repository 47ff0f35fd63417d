/* SPDX-License-Identifier: MIT */
/* Interrupt lines. */
#include "machine/irq.h"

#include <stddef.h>

void irq_connect(IrqLine *line, IrqHandler *handler, void *opaque, int number)
{
    line->handler = handler;
    line->opaque = opaque;
    line->number = number;
}

void irq_set(IrqLine *line, int level)
{
    line->level = level;
    if (line->handler) {
        line->handler(line->opaque, line->number, level);
    }
}
