/* SPDX-License-Identifier: MIT */
/*
 * What an ARM board, its interrupt controller and its CPUs agree on: vCPU input lines, the numbers
 * of private interrupts (Base System Architecture, table "PPI assignments"), and affinities.
 */
#ifndef MACHINE_ARCH_ARM_H
#define MACHINE_ARCH_ARM_H

#include <limits.h>
#include <stdint.h>

/* Bits of Vcpu.interrupts. */
enum { ARM_LINE_IRQ, ARM_LINE_FIQ, ARM_LINE_COUNT };

/* Interrupt outputs that the CPU device publishes with device_add_irq, in this order. */
typedef enum {
    ARM_CPU_IRQ_TIMER_PHYS,
    ARM_CPU_IRQ_TIMER_VIRT,
    ARM_CPU_IRQ_TIMER_HYP,
    ARM_CPU_IRQ_TIMER_SECURE,
    ARM_CPU_IRQ_PMU,
    ARM_CPU_IRQ_COUNT,
} ArmCpuIrq;

/* INTIDs of these outputs at the interrupt controller. */
enum {
    ARM_INTID_PMU = 23,
    ARM_INTID_TIMER_HYP = 26,
    ARM_INTID_TIMER_VIRT = 27,
    ARM_INTID_TIMER_SECURE = 29,
    ARM_INTID_TIMER_PHYS = 30,
    ARM_INTID_SPI_BASE = 32,
};

/* The number by which a GIC device knows an input: private ones (INTID 16 to 31) are per CPU. */
static inline int arm_gic_input_ppi(unsigned cpu, unsigned intid)
{
    return (int)(cpu << 16 | intid);
}

static inline int arm_gic_input_spi(unsigned spi)
{
    return (int)(ARM_INTID_SPI_BASE + spi);
}

/* MPIDR_EL1 affinity fields (Aff3 at bit 32) of a vCPU: up to 16 to a cluster, as GICv3 SGIs reach. */
static inline uint64_t arm_vcpu_affinity(unsigned index)
{
    return (uint64_t)(index / 16) << 8 | index % 16;
}

/* The inverse; UINT_MAX for what no vCPU has. */
static inline unsigned arm_vcpu_of_affinity(uint64_t affinity)
{
    return affinity >> 16 || (affinity & 0xff) >= 16
               ? UINT_MAX
               : (unsigned)(affinity >> 8) * 16 + (unsigned)(affinity & 15);
}

#endif
