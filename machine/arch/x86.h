/* SPDX-License-Identifier: MIT */
/*
 * What an x86 board, its interrupt controllers and its CPUs agree on (Intel SDM volume 3, chapters 11 and 12;
 * ISA interrupt assignments as PCs have had them since the PC/AT).
 *
 * Interrupts. A local APIC raises the CPU's line INTR while it, or a PIC behind its LINT0, has something; the CPU
 * asks for the vector with vcpu_acknowledge, which the board connected to the APIC (or, without APICs, to
 * the PIC). The APIC asks the PIC in the same way through an IrqAcknowledge that it publishes with
 * device_add_acknowledge. A PIC answers its spurious vector rather than IRQ_NO_VECTOR.
 *
 * What is not a level is an event, in order of arrival; the CPU takes those that its state allows.
 *
 * Registers that belong to the APIC (CR8, IA32_APIC_BASE, IA32_TSC_DEADLINE, the x2APIC MSRs) are external registers:
 * the APIC device registers them with machine_add_external_registers by the numbers below.
 *
 * Calls by registers (VMware's back door). While a 4-byte access of a vCPU to a port is under way, the device may read and set the general
 * registers of that vCPU by target_register_read and target_register_write, between a vcpu_sync from and one to the accelerator; after IN the accumulator is what the device answered.
 *
 * System management memory is the secure view of memory (vcpu_set_memory), and accesses from system management mode
 * have MemoryAttributes.secure.
 */
#ifndef MACHINE_ARCH_X86_H
#define MACHINE_ARCH_X86_H

#include <stdint.h>

#include "machine/vcpu.h"

/* Bits of Vcpu.interrupts. */
enum { X86_LINE_INTR, X86_LINE_COUNT };

/* Events of a vCPU. */
typedef enum {
    X86_EVENT_INIT,
    X86_EVENT_SIPI, /* data: the vector, which gives the start address: vector << 12 */
    X86_EVENT_SMI,
    X86_EVENT_NMI,
    X86_EVENT_A20,  /* data: 1 lets address bit 20 through, 0 forces it to 0 (A20M#) */
    X86_EVENT_VECTOR, /* data: of an interrupt that was acknowledged and is not delivered yet */
    X86_EVENT_COUNT,
} X86Event;

/* Interrupt outputs that the CPU device publishes with device_add_irq, in this order. */
typedef enum {
    X86_CPU_IRQ_FERR, /* an unmasked x87 exception with CR0.NE clear: a PC's IRQ 13 */
    X86_CPU_IRQ_COUNT,
} X86CpuIrq;

/* ISA interrupt numbers, also the first inputs of an I/O APIC (but for 0, which is its input 2). */
enum {
    ISA_IRQ_PIT = 0,
    ISA_IRQ_KEYBOARD = 1,
    ISA_IRQ_CASCADE = 2,
    ISA_IRQ_SERIAL_2 = 3,
    ISA_IRQ_SERIAL_1 = 4,
    ISA_IRQ_FLOPPY = 6,
    ISA_IRQ_PARALLEL = 7,
    ISA_IRQ_RTC = 8,
    ISA_IRQ_ACPI = 9,
    ISA_IRQ_MOUSE = 12,
    ISA_IRQ_FPU = 13,
    ISA_IRQ_IDE_1 = 14,
    ISA_IRQ_IDE_2 = 15,
    ISA_IRQ_COUNT = 16,
};

/* Encodings of external registers: MSRs by their number, control registers above all MSRs' numbers in use. */
enum {
    X86_REGISTER_APIC_BASE = 0x1b,
    X86_REGISTER_TSC_DEADLINE = 0x6e0,
    X86_REGISTER_X2APIC_FIRST = 0x800,
    X86_REGISTER_X2APIC_LAST = 0x8ff,
    X86_REGISTER_CR8 = 0x40000008, /* the task priority's class, bits 3:0 */
};

/* Where a CPU is in -smp's packages (sockets), cores and threads; an APIC id is package, core and thread in bit fields. */
typedef struct {
    uint32_t apic_id;
    unsigned package, core, thread;
    unsigned threads_of_core, threads_of_package;
    uint8_t thread_bits, core_bits; /* widths of the fields */
} X86Topology;

static inline uint8_t x86_id_bits(unsigned count)
{
    uint8_t bits = 0;

    while (1u << bits < count) {
        bits++;
    }
    return bits;
}

/* Of CPU `index`, with cores in a package and threads in a core (0 counts as 1). */
static inline X86Topology x86_topology(unsigned index, unsigned cores, unsigned threads)
{
    X86Topology t = { 0 };

    cores = cores ? cores : 1;
    threads = threads ? threads : 1;
    t.threads_of_core = threads;
    t.threads_of_package = cores * threads;
    t.thread = index % threads;
    t.core = index / threads % cores;
    t.package = index / (cores * threads);
    t.thread_bits = x86_id_bits(threads);
    t.core_bits = x86_id_bits(cores);
    t.apic_id = (t.package << t.core_bits | t.core) << t.thread_bits | t.thread;
    return t;
}

/* Sets the A20 gate of all CPUs (machine->vcpus) for the keyboard controller or port 0x92. [any] */
static inline void x86_set_a20(GPtrArray *vcpus, bool open)
{
    for (unsigned i = 0; i < vcpus->len; i++) {
        vcpu_post_event(vcpus->pdata[i], X86_EVENT_A20, open);
    }
}

#endif
