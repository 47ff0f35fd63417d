/* SPDX-License-Identifier: MIT */
/*
 * Why an interrupt is taken or not: what each station on its way says, from the device's line through the controllers to the CPU's
 * mask. Told by DeviceType.explain_interrupt and Target.explain_interrupt; looking changes nothing.
 */
#ifndef MACHINE_IRQ_CHAIN_H
#define MACHINE_IRQ_CHAIN_H

#include "machine/device.h"

typedef struct {
    char *where;  /* "gicv3", "cpu0" */
    char *text;   /* a sentence */
    bool stops;   /* it goes no further from here */
} IrqChainLink;

struct IrqChain {
    bool of_cpus;  /* the machine's controllers have told; now those of the CPUs do */
    GArray *links; /* IrqChainLink */
    GArray *cpus;  /* unsigned: those that it would go to */
    /* What a controller sends to those of the CPUs: a vector, -1: nothing; and whom. */
    int vector;
    uint32_t destination;
    bool logical;
};

IrqChain *irq_chain_new(void);
void irq_chain_free(IrqChain *chain);
void irq_chain_add(IrqChain *chain, const char *where, bool stops, const char *format, ...) G_GNUC_PRINTF(4, 5);
/* Each once. */
void irq_chain_add_cpu(IrqChain *chain, unsigned index);

#endif
