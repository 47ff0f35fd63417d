/* SPDX-License-Identifier: MIT */
/*
 * How the interrupt pins of a q35's root bus reach its south bridge (ICH9 data sheet, 316972, 10.1.50 to 10.1.57): pins of slots 0 to 24 are
 * swizzled onto PIRQE to PIRQH, each pin of the chip's own slots 25 to 31 goes where a register of its slot says. The host bridge drives one
 * wire for each of these; wires are the inputs 0 to 31 of ICH9-LPC.
 */
#ifndef MACHINE_ARCH_ICH9_H
#define MACHINE_ARCH_ICH9_H

enum {
    ICH9_PINS = 4,
    ICH9_OWN_SLOT = 25, /* the first of the chip's */
    ICH9_WIRES = 32,
    ICH9_PIRQS = 8,
    ICH9_PIRQ_E = 4,
    ICH9_FIRST_GSI = 16, /* of PIRQA, at the I/O APIC */
};

/* Outputs of ICH9-LPC: global interrupts by their numbers, then pulses. */
enum { ICH9_OUTPUT_SMI_FIRST = 24, ICH9_OUTPUT_SMI_ALL = 25 };

static inline unsigned ich9_wire(unsigned slot, unsigned pin)
{
    return slot < ICH9_OWN_SLOT ? (slot + pin) % ICH9_PINS
                                : ICH9_PINS + (slot - ICH9_OWN_SLOT) * ICH9_PINS + pin;
}

#endif
