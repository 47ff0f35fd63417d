/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers that the host's kernel implements (Machine.kernel_chips). The devices of these names then pass their inputs
 * on, and take their state from there when somebody looks; guests' accesses never reach them.
 */
#ifndef MACHINE_ARCH_X86_CHIPS_H
#define MACHINE_ARCH_X86_CHIPS_H

#include "machine/arch/pc.h"
#include "machine/irq.h"
#include "machine/machine.h"

enum { X86_APIC_PAGE_BYTES = 1024 };

/* The page of a local APIC as far as it has registers, IA32_APIC_BASE and IA32_TSC_DEADLINE. IDs are as wide as the mode has them. */
typedef struct {
    uint64_t base, tsc_deadline;
    uint8_t registers[X86_APIC_PAGE_BYTES];
} X86ApicState;

typedef struct {
    uint32_t id, select;
    uint32_t lines; /* levels of the inputs */
    uint64_t entry[PC_GSI_COUNT];
} X86IoApicState;

/* One 8259A. expect: 0, or the number of the ICW that is written next, less 1. */
typedef struct {
    uint8_t lines, edges, imr, isr, elcr, elcr_writable, base, highest, expect;
    bool read_isr, poll, special_mask, rotate, auto_eoi, fully_nested, needs_icw4;
} X86PicState;

/* A channel of an 8254. How a count is read or written; PAIR waits for the first byte, PAIR_HIGH for the second. */
typedef enum { PIT_ACCESS_LATCH, PIT_ACCESS_LOW, PIT_ACCESS_HIGH, PIT_ACCESS_PAIR } X86PitAccess;
typedef struct {
    int64_t start_ns;      /* when the count was loaded or the gate rose */
    int64_t stopped_ticks; /* gone by when a low gate stopped the count, -1: it counts */
    uint32_t count;        /* 1 to 0x10000 (BCD: 10000) */
    uint16_t latched;
    uint8_t latched_bytes; /* still to be read: 2, 1, 0 */
    uint8_t status, status_latched;
    uint8_t mode, access, bcd;
    uint8_t gate;
    uint8_t loaded;    /* a count was written since the mode was set */
    uint8_t triggered; /* modes 1 and 5: the gate has risen since */
    uint8_t read_high, write_high, write_low;
} X86PitChannel;

enum { X86_PIT_CHANNELS = 3 };
typedef struct {
    X86PitChannel channel[X86_PIT_CHANNELS];
    bool speaker;
} X86PitState;

typedef struct X86KernelChips {
    bool all; /* I/O APIC and PICs; false: local APICs alone */
    /* An ISA interrupt, at the PIC and the I/O APIC; an I/O APIC's pin alone. [any thread] */
    void (*set_isa)(Machine *machine, unsigned irq, int level);
    void (*set_pin)(Machine *machine, unsigned pin, int level);
    /* What was written to 0xfee00000 + offset. [any thread] */
    void (*send_msi)(Machine *machine, uint32_t offset, uint32_t data);
    /* Without `all`: ends of level-triggered interrupts go to the line, as "levels" that are vectors. */
    void (*connect_eoi)(Machine *machine, IrqLine *eoi);
    /* Setting waits for the vCPU to run. */
    void (*get_apic)(Vcpu *vcpu, X86ApicState *state);
    void (*set_apic)(Vcpu *vcpu, const X86ApicState *state);
    /* With `all`. chip: 0 the master, 1 the slave. */
    void (*get_ioapic)(Machine *machine, X86IoApicState *state);
    void (*set_ioapic)(Machine *machine, const X86IoApicState *state);
    void (*get_pic)(Machine *machine, unsigned chip, X86PicState *state);
    void (*set_pic)(Machine *machine, unsigned chip, const X86PicState *state);
    /*
     * The interval timer and port 0x61, without sound, are the kernel's from now on; delay: it makes up for late interrupts. false: it
     * has none, and they stay ours.
     */
    bool (*take_pit)(Machine *machine, bool delay);
    void (*get_pit)(Machine *machine, X86PitState *state);
    void (*set_pit)(Machine *machine, const X86PitState *state);
    /* Its interrupt is not let through while somebody has its place (the HPET). */
    void (*replace_pit)(Machine *machine, bool replaced);
} X86KernelChips;

#endif
