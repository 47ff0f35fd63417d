/* SPDX-License-Identifier: MIT */
/* GICv3 distributor registers (ARM IHI 0069, section 12.9), for one security state. */
#include "hw/irq/gicv3.h"

enum {
    GICD_CTLR = 0x0000,
    GICD_TYPER = 0x0004,
    GICD_IIDR = 0x0008,
    GICD_TYPER2 = 0x000c,
    GICD_STATUSR = 0x0010,
    GICD_IROUTER = 0x6000, /* IROUTER0 would be here; the first that exists is IROUTER32 */
    GICD_IROUTER_END = 0x8000,
};

enum {
    CTLR_ENABLE_GROUPS = 3,
    CTLR_ARE = 1 << 4,
    CTLR_DS = 1 << 6,

    TYPER_IDBITS_10 = 9 << 19,
    TYPER_NO_1_OF_N = 1 << 25,

    ROUTER_WRITABLE_HIGH = 0xff,    /* Aff3 */
    ROUTER_WRITABLE_LOW = 0xffffff, /* Aff2 to Aff0; Interrupt_Routing_Mode is RES0 */
};

uint32_t gicv3_dist_read_word(GicV3 *gic, uint32_t offset)
{
    GicCore *core = &gic->core;

    if (offset >= GICV3_BITS && offset < GICV3_IPRIORITYR) {
        /* Word 0 is in the redistributors. */
        unsigned word = offset % 0x80 / 4;

        return word ? gic_core_read_bits(core, 0, (offset - GICV3_BITS) / 0x80, word) : 0;
    }
    if (offset >= GICV3_IPRIORITYR && offset < GICV3_ITARGETSR) {
        unsigned index = (offset - GICV3_IPRIORITYR) / 4;

        return index >= GIC_PRIVATE_IRQS / 4 ? gic_core_read_priorities(core, 0, index) : 0;
    }
    if (offset >= GICV3_ICFGR && offset < GICV3_IGRPMODR) {
        unsigned index = (offset - GICV3_ICFGR) / 4;

        return index >= 2 ? gic_core_read_config(core, 0, index) : 0;
    }
    if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
        uint64_t route = gic->route[(offset - GICD_IROUTER) / 8];

        return (uint32_t)(route >> offset % 8 * 8);
    }
    if (offset >= GICV3_ID_REGISTERS) {
        return gicv3_id_register(offset);
    }
    switch (offset) {
    case GICD_CTLR:
        return core->group_enable | CTLR_ARE | CTLR_DS;
    case GICD_TYPER:
        return TYPER_NO_1_OF_N | TYPER_IDBITS_10 | (core->words - 1);
    case GICD_IIDR:
        return GICV3_IIDR;
    default:
        return 0; /* reserved registers are RES0 */
    }
}

static void set_route(GicV3 *gic, unsigned intid, uint64_t route)
{
    gic->route[intid] = route;
    gic_core_set_target(&gic->core, intid, arm_vcpu_of_affinity(route));
}

void gicv3_dist_write_word(GicV3 *gic, uint32_t offset, uint32_t value, uint32_t mask)
{
    GicCore *core = &gic->core;

    if (offset >= GICV3_BITS && offset < GICV3_IPRIORITYR) {
        if (offset % 0x80 / 4) {
            gic_core_write_bits(core, 0, (offset - GICV3_BITS) / 0x80, offset % 0x80 / 4, value,
                                mask);
        }
    } else if (offset >= GICV3_IPRIORITYR && offset < GICV3_ITARGETSR) {
        if ((offset - GICV3_IPRIORITYR) / 4 >= GIC_PRIVATE_IRQS / 4) {
            gic_core_write_priorities(core, 0, (offset - GICV3_IPRIORITYR) / 4, value, mask);
        }
    } else if (offset >= GICV3_ICFGR && offset < GICV3_IGRPMODR) {
        unsigned index = (offset - GICV3_ICFGR) / 4;

        if (index >= 2) {
            gic_core_write_config(core, 0, index,
                                  (gic_core_read_config(core, 0, index) & ~mask) | value);
        }
    } else if (offset >= GICD_IROUTER && offset < GICD_IROUTER_END) {
        unsigned intid = (offset - GICD_IROUTER) / 8;
        unsigned start = offset % 8 * 8;

        value &= start ? ROUTER_WRITABLE_HIGH : ROUTER_WRITABLE_LOW;
        if (intid >= GIC_PRIVATE_IRQS && intid < core->irqs) {
            set_route(gic, intid, bits_deposit(gic->route[intid], start, 32, value));
        }
    } else if (offset == GICD_CTLR) {
        core->group_enable = value & CTLR_ENABLE_GROUPS;
        gic_core_update_all(core);
    }
}
