/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines: a wire from a device's output to an input of another device or vCPU.
 * Levels are set under the machine lock (or by a lock-free sink such as a vCPU input).
 */
#ifndef MACHINE_IRQ_H
#define MACHINE_IRQ_H

#include <stdbool.h>

typedef void IrqHandler(void *opaque, int number, int level);

/*
 * The other way: what has become of the last edge. IRQ_WAITS: whoever takes interrupts there has not taken it, so that a new one
 * would be lost in it. IRQ_NOBODY: the line is masked, or leads to nobody who could say.
 */
typedef enum { IRQ_NOBODY, IRQ_TAKEN, IRQ_WAITS } IrqAnswer;

/* Somebody who wants to know when a waiting interrupt is taken, once. All of it with the machine lock. */
typedef struct IrqWatch {
    void (*taken)(void *opaque);
    void *opaque;
    struct IrqWatch **place; /* where an interrupt controller keeps it; NULL: nowhere */
} IrqWatch;

/* With IRQ_WAITS, watch->taken is called when it has been taken, unless a reset comes first. */
typedef IrqAnswer IrqQuery(void *opaque, int number, IrqWatch *watch);

/* A device embeds one per output. Zero-initialised = not connected; setting it is then harmless. */
typedef struct {
    IrqHandler *handler;
    IrqQuery *query; /* of the same opaque and number; NULL: nobody there can say */
    void *opaque;
    int number;
    int level; /* last level set, kept so that reset and snapshots can restore it */
} IrqLine;

void irq_connect(IrqLine *line, IrqHandler *handler, void *opaque, int number);
IrqAnswer irq_query(const IrqLine *line, IrqWatch *watch);
/* Two that may both get the edge: it is lost only if it is lost for all that listen. */
IrqAnswer irq_either(IrqAnswer a, IrqAnswer b);
/* For interrupt controllers: keeps the watch in a place of theirs, and takes it out (NULL: none is there). */
void irq_watch_keep(IrqWatch **place, IrqWatch *watch);
IrqWatch *irq_watch_take(IrqWatch **place);
void irq_watch_cancel(IrqWatch *watch);
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
