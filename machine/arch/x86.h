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

#include "machine/machine.h"
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

/* What -smp says of a package (socket); 0 counts as 1. cores: of the package, in all its dies and modules. */
typedef struct {
    unsigned cores, threads; /* threads: of a core */
    unsigned dies, modules;  /* modules: of a die */
} X86Layout;

static inline X86Layout x86_layout(const MachineConfig *config)
{
    return (X86Layout){ config->cores, config->threads, config->dies, config->modules };
}

/* Where a CPU is. An APIC id is package, die, module, core and thread in bit fields, so that numbers that are no powers of
 * two leave gaps. */
typedef struct {
    uint32_t apic_id;
    unsigned package, core, thread; /* core: in its module */
    unsigned threads_of_core, threads_of_module, threads_of_die, threads_of_package;
    uint8_t module_shift, die_shift, package_shift, core_shift; /* where the fields begin */
} X86Topology;

static inline uint8_t x86_id_bits(unsigned count)
{
    uint8_t bits = 0;

    while (1u << bits < count) {
        bits++;
    }
    return bits;
}

/* Of CPU `index`. */
static inline X86Topology x86_topology(unsigned index, X86Layout layout)
{
    unsigned threads = layout.threads ? layout.threads : 1, dies = layout.dies ? layout.dies : 1;
    unsigned modules = layout.modules ? layout.modules : 1, cores = layout.cores / (dies * modules);
    X86Topology t = { 0 };
    unsigned module, die;

    cores = cores ? cores : 1;
    t.threads_of_core = threads;
    t.threads_of_module = cores * t.threads_of_core;
    t.threads_of_die = modules * t.threads_of_module;
    t.threads_of_package = dies * t.threads_of_die;
    t.thread = index % threads;
    t.core = index / t.threads_of_core % cores;
    module = index / t.threads_of_module % modules;
    die = index / t.threads_of_die % dies;
    t.package = index / t.threads_of_package;
    t.core_shift = x86_id_bits(threads);
    t.module_shift = (uint8_t)(t.core_shift + x86_id_bits(cores));
    t.die_shift = (uint8_t)(t.module_shift + x86_id_bits(modules));
    t.package_shift = (uint8_t)(t.die_shift + x86_id_bits(dies));
    t.apic_id = t.package << t.package_shift | die << t.die_shift | module << t.module_shift |
                t.core << t.core_shift | t.thread;
    return t;
}

/*
 * A non-maskable interrupt. A processor holds one while it handles another (SDM 3, 6.7.1). As it may find out late that one has come, two may wait
 * for it: the first is the one that it handles.
 */
static inline void x86_post_nmi(Vcpu *vcpu)
{
    vcpu_post_counted_event(vcpu, X86_EVENT_NMI, 2);
}

/* Sets the A20 gate of all CPUs (machine->vcpus) for the keyboard controller or port 0x92. [any] */
static inline void x86_set_a20(GPtrArray *vcpus, bool open)
{
    for (unsigned i = 0; i < vcpus->len; i++) {
        vcpu_post_event(vcpus->pdata[i], X86_EVENT_A20, open);
    }
}

#endif
