/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: a wire from a device's output to an input of another device or vCPU.
 * Levels are set under the machine lock (or by a lock-free sink such as a vCPU input).
 */
#ifndef MACHINE_IRQ_H
#define MACHINE_IRQ_H

#include <stdbool.h>

typedef void IrqHandler(void *opaque, int number, int level);

/* A device embeds one per output. Zero-initialised = not connected; setting it is then harmless. */
typedef struct {
    IrqHandler *handler;
    void *opaque;
    int number;
    int level; /* last level set, kept so that reset and snapshots can restore it */
} IrqLine;

void irq_connect(IrqLine *line, IrqHandler *handler, void *opaque, int number);
/* Calls the handler always, even when the level did not change (edge pulses rely on it). */
void irq_set(IrqLine *line, int level);
static inline void irq_pulse(IrqLine *line)
{
    irq_set(line, 1);
    irq_set(line, 0);
}

/*
 * The other way along an interrupt line: who is about to take an interrupt asks its source which one. Runs on
 * the asking thread, usually a vCPU's, with or without the machine lock. Returns the vector, or IRQ_NO_VECTOR when
 * nothing is pending any more.
 */
typedef int IrqAcknowledgeHandler(void *opaque);
#define IRQ_NO_VECTOR (-1)

/* A device that asks embeds one per source. Zero-initialised = nobody to ask. */
typedef struct {
    IrqAcknowledgeHandler *handler;
    void *opaque;
} IrqAcknowledge;

static inline void irq_connect_acknowledge(IrqAcknowledge *acknowledge,
                                           IrqAcknowledgeHandler *handler, void *opaque)
{
    *acknowledge = (IrqAcknowledge){ handler, opaque };
}

static inline int irq_acknowledge(const IrqAcknowledge *acknowledge)
{
    return acknowledge->handler ? acknowledge->handler(acknowledge->opaque) : IRQ_NO_VECTOR;
}

#endif
