/* SPDX-License-Identifier: MIT */
/*
 * GICv3 redistributor registers (ARM IHI 0069, sections 12.11 and 12.12): for each vCPU a frame
 * RD_base with its identity and a frame SGI_base with its private interrupts.
 *
 * GICR_WAKER is kept but does not hold interrupts back: power control is not modelled.
 */
#include "hw/irq/gicv3.h"

enum {
    GICR_CTLR = 0x0000,
    GICR_IIDR = 0x0004,
    GICR_TYPER = 0x0008,
    GICR_STATUSR = 0x0010,
    GICR_WAKER = 0x0014,
    SGI_BASE = 0x10000,
};

enum { TYPER_LAST = 1 << 4, WAKER_PROCESSOR_SLEEP = 1 << 1, WAKER_CHILDREN_ASLEEP = 1 << 2 };

static uint64_t typer(const GicV3 *gic, unsigned cpu)
{
    uint64_t affinity = arm_vcpu_affinity(cpu);

    bool last = cpu + 1 == gic->core.cpus || cpu + 1 == gic->redist[1].first;

    return affinity << 32 | (uint64_t)cpu << 8 | (last ? TYPER_LAST : 0);
}

static uint32_t sgi_read_word(GicV3 *gic, unsigned cpu, uint32_t offset)
{
    GicCore *core = &gic->core;

    if (offset >= GICV3_BITS && offset < GICV3_IPRIORITYR) {
        return offset % 0x80 == 0 ? gic_core_read_bits(core, cpu, (offset - GICV3_BITS) / 0x80, 0)
                                  : 0;
    }
    if (offset >= GICV3_IPRIORITYR && offset < GICV3_IPRIORITYR + GIC_PRIVATE_IRQS) {
        return gic_core_read_priorities(core, cpu, (offset - GICV3_IPRIORITYR) / 4);
    }
    if (offset == GICV3_ICFGR || offset == GICV3_ICFGR + 4) {
        return gic_core_read_config(core, cpu, (offset - GICV3_ICFGR) / 4);
    }
    return 0;
}

static void sgi_write_word(GicV3 *gic, unsigned cpu, uint32_t offset, uint32_t value, uint32_t mask)
{
    GicCore *core = &gic->core;

    if (offset >= GICV3_BITS && offset < GICV3_IPRIORITYR) {
        if (offset % 0x80 == 0) {
            gic_core_write_bits(core, cpu, (offset - GICV3_BITS) / 0x80, 0, value, mask);
        }
    } else if (offset >= GICV3_IPRIORITYR && offset < GICV3_IPRIORITYR + GIC_PRIVATE_IRQS) {
        gic_core_write_priorities(core, cpu, (offset - GICV3_IPRIORITYR) / 4, value, mask);
    } else if (offset == GICV3_ICFGR + 4) {
        gic_core_write_config(core, cpu, 1, (gic_core_read_config(core, cpu, 1) & ~mask) | value);
    }
}

uint32_t gicv3_redist_read_word(GicV3 *gic, uint32_t offset)
{
    unsigned cpu = offset / GICV3_REDIST_STRIDE;

    offset %= GICV3_REDIST_STRIDE;
    if (offset % SGI_BASE >= GICV3_ID_REGISTERS) {
        return gicv3_id_register(offset % SGI_BASE);
    }
    if (offset >= SGI_BASE) {
        return sgi_read_word(gic, cpu, offset - SGI_BASE);
    }
    switch (offset) {
    case GICR_IIDR:
        return GICV3_IIDR;
    case GICR_TYPER:
        return (uint32_t)typer(gic, cpu);
    case GICR_TYPER + 4:
        return (uint32_t)(typer(gic, cpu) >> 32);
    case GICR_WAKER:
        return gic->core.cpu[cpu].waker;
    default:
        return 0; /* GICR_CTLR: no LPIs, no write is ever pending; the rest is RES0 */
    }
}

void gicv3_redist_write_word(GicV3 *gic, uint32_t offset, uint32_t value, uint32_t mask)
{
    unsigned cpu = offset / GICV3_REDIST_STRIDE;

    offset %= GICV3_REDIST_STRIDE;
    if (offset >= SGI_BASE) {
        sgi_write_word(gic, cpu, offset - SGI_BASE, value, mask);
    } else if (offset == GICR_WAKER) {
        gic->core.cpu[cpu].waker =
            value & WAKER_PROCESSOR_SLEEP ? WAKER_PROCESSOR_SLEEP | WAKER_CHILDREN_ASLEEP : 0;
    }
}
