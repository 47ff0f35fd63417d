/* SPDX-License-Identifier: MIT */
/* What the files of the GICv3 share: the device and the accessors of its three parts. */
#ifndef HW_IRQ_GICV3_H
#define HW_IRQ_GICV3_H

#include "hw/irq/gic-core.h"
#include "machine/machine.h"

enum {
    GICV3_DIST_SIZE = 0x10000,
    GICV3_REDIST_STRIDE = 0x20000, /* RD_base and SGI_base frames of 64 KiB each */

    GICV3_IIDR = 0x0000043b,     /* ARM */
    GICV3_ID_REGISTERS = 0xffd0, /* the same in each 64 KiB frame */
};

/* Bit registers start at this offset of the distributor and of SGI_base. */
enum {
    GICV3_BITS = 0x0080,
    GICV3_IPRIORITYR = 0x0400,
    GICV3_ITARGETSR = 0x0800,
    GICV3_ICFGR = 0x0c00,
    GICV3_IGRPMODR = 0x0d00,
    GICV3_NSACR = 0x0e00,
    GICV3_SGIR = 0x0f00,
};

struct GicV3;

/* A run of redistributors. */
typedef struct {
    struct GicV3 *gic;
    unsigned first; /* CPU */
    MemoryRegion mmio;
} GicV3Region;

typedef struct GicV3 {
    Device device;
    GicCore core;
    uint32_t num_cpu, num_irq, first_region_cpus; /* properties */
    uint64_t route[GIC_MAX_WORDS * 32];           /* GICD_IROUTERn */
    MemoryRegion dist;
    GicV3Region redist[2];
} GicV3;

extern const ExternalRegister gicv3_cpu_registers[];

/*
 * Words of the register frames at offsets that are multiples of 4, with the core's lock held; redistributors
 * lie one behind the other, those of the second region as if it followed the first. A write changes the bytes of mask only; value is 0 in the others.
 */
uint32_t gicv3_dist_read_word(GicV3 *gic, uint32_t offset);
void gicv3_dist_write_word(GicV3 *gic, uint32_t offset, uint32_t value, uint32_t mask);
uint32_t gicv3_redist_read_word(GicV3 *gic, uint32_t offset);
void gicv3_redist_write_word(GicV3 *gic, uint32_t offset, uint32_t value, uint32_t mask);

/* GICD_PIDR and GICR_PIDR, CIDR by offset from GICV3_ID_REGISTERS. */
uint32_t gicv3_id_register(uint32_t offset);

#endif
