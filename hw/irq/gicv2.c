/* SPDX-License-Identifier: MIT */
/*
 * ARM Generic Interrupt Controller, architecture version 2 (ARM IHI 0048B): distributor (mmio 0) and
 * banked CPU interface (mmio 1), as a GIC-400 without the Security Extensions has them.
 *
 * Not modelled: virtualization extensions, interrupt bypass, power management.
 */
#include "base/error.h"
#include "hw/irq/gic-core.h"
#include "machine/machine.h"

enum { DIST_SIZE = 0x1000, CPU_SIZE = 0x2000 };

/* Distributor, section 4.3 */
enum {
    GICD_CTLR = 0x000,
    GICD_TYPER = 0x004,
    GICD_IIDR = 0x008,
    GICD_IGROUPR = 0x080,
    GICD_IPRIORITYR = 0x400,
    GICD_ITARGETSR = 0x800,
    GICD_ICFGR = 0xc00,
    GICD_NSACR = 0xe00,
    GICD_SGIR = 0xf00,
    GICD_CPENDSGIR = 0xf10,
    GICD_SPENDSGIR = 0xf20,
    GICD_PIDR4 = 0xfd0,
};

/* CPU interface, section 4.4 */
enum {
    GICC_CTLR = 0x0000,
    GICC_PMR = 0x0004,
    GICC_BPR = 0x0008,
    GICC_IAR = 0x000c,
    GICC_EOIR = 0x0010,
    GICC_RPR = 0x0014,
    GICC_HPPIR = 0x0018,
    GICC_ABPR = 0x001c,
    GICC_AIAR = 0x0020,
    GICC_AEOIR = 0x0024,
    GICC_AHPPIR = 0x0028,
    GICC_APR0 = 0x00d0,
    GICC_NSAPR0 = 0x00e0,
    GICC_IIDR = 0x00fc,
    GICC_DIR = 0x1000,
};

enum {
    CTLR_ENABLE_GROUPS = 3,
    CTLR_ACK_CTL = 1 << 2,
    CTLR_FIQ_EN = 1 << 3,
    CTLR_CBPR = 1 << 4,
    CTLR_EOI_MODE = 1 << 9,
    CTLR_WRITABLE = 0x3ff,
};

/* GIC-400 identification: GICD_PIDR4..7, PIDR0..3, CIDR0..3. */
static const uint8_t dist_id[] = { 0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1 };

typedef struct {
    Device device;
    GicCore core;
    uint32_t num_cpu, num_irq; /* properties */
    MemoryRegion dist, cpu_interface;
} GicV2;

static const char *name_of(const GicV2 *gic)
{
    return gic->device.id;
}

/* Banked registers follow the vCPU; an access by none of them (the monitor) sees CPU 0's. */
static unsigned cpu_of(const GicV2 *gic, MemoryAttributes attributes)
{
    return attributes.vcpu >= 0 && attributes.vcpu < (int)gic->core.cpus ? (unsigned)attributes.vcpu
                                                                         : 0;
}

static uint32_t read_targets(GicV2 *gic, unsigned cpu, unsigned index)
{
    uint32_t value = 0;

    if (gic->core.cpus == 1 || index * 4 >= gic->core.irqs) {
        return 0;
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned intid = index * 4 + i;
        uint8_t mask =
            intid < GIC_PRIVATE_IRQS ? (uint8_t)(1u << cpu) : gic_core_targets(&gic->core, intid);

        value |= (uint32_t)mask << i * 8;
    }
    return value;
}

static void write_targets(GicV2 *gic, unsigned index, uint32_t value, uint32_t mask)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned intid = index * 4 + i;

        if (gic->core.cpus > 1 && intid >= GIC_PRIVATE_IRQS && intid < gic->core.irqs &&
            (mask >> i * 8 & 0xff)) {
            gic_core_set_targets(&gic->core, intid, (uint8_t)(value >> i * 8));
        }
    }
}

static uint32_t read_sgi_sources(GicV2 *gic, unsigned cpu, unsigned index)
{
    return load_le32(&gic->core.cpu[cpu].sgi_sources[index * 4]);
}

static void write_sgi_sources(GicV2 *gic, unsigned cpu, unsigned index, uint32_t value, bool set)
{
    GicCpu *c = &gic->core.cpu[cpu];

    for (unsigned i = 0; i < 4; i++) {
        unsigned intid = index * 4 + i;
        uint8_t sources = (uint8_t)(value >> i * 8) & (uint8_t)bits_mask(gic->core.cpus);

        if (set) {
            c->sgi_sources[intid] |= sources;
        } else {
            c->sgi_sources[intid] &= (uint8_t)~sources;
        }
        c->word.latch = (uint32_t)bits_deposit(c->word.latch, intid, 1, c->sgi_sources[intid] != 0);
    }
    gic_core_update_cpu(&gic->core, cpu);
}

static void write_sgir(GicV2 *gic, unsigned cpu, uint32_t value)
{
    unsigned intid = value & 15;
    uint32_t targets;

    switch (value >> 24 & 3) {
    case 0:
        targets = value >> 16 & 0xff;
        break;
    case 1:
        targets = ~(1u << cpu);
        break;
    case 2:
        targets = 1u << cpu;
        break;
    default:
        log_guest_error(name_of(gic), "reserved target filter in GICD_SGIR %#x", value);
        return;
    }
    for (unsigned target = 0; target < gic->core.cpus; target++) {
        if (targets >> target & 1) {
            gic_core_send_sgi(&gic->core, cpu, target, intid);
        }
    }
}

static uint32_t dist_read_word(GicV2 *gic, unsigned cpu, uint32_t offset)
{
    GicCore *core = &gic->core;

    if (offset >= GICD_IGROUPR && offset < GICD_IPRIORITYR) {
        return gic_core_read_bits(core, cpu, (offset - GICD_IGROUPR) / 0x80, offset % 0x80 / 4);
    }
    if (offset >= GICD_IPRIORITYR && offset < GICD_ITARGETSR) {
        return gic_core_read_priorities(core, cpu, (offset - GICD_IPRIORITYR) / 4);
    }
    if (offset >= GICD_ITARGETSR && offset < GICD_ICFGR) {
        return read_targets(gic, cpu, (offset - GICD_ITARGETSR) / 4);
    }
    if (offset >= GICD_ICFGR && offset < GICD_ICFGR + 0x100) {
        return gic_core_read_config(core, cpu, (offset - GICD_ICFGR) / 4);
    }
    if (offset >= GICD_CPENDSGIR && offset < GICD_SPENDSGIR + 0x10) {
        return read_sgi_sources(gic, cpu, offset % 0x10 / 4);
    }
    if (offset >= GICD_PIDR4) {
        return dist_id[(offset - GICD_PIDR4) / 4];
    }
    switch (offset) {
    case GICD_CTLR:
        return core->group_enable;
    case GICD_TYPER:
        return (core->cpus - 1) << 5 | (core->words - 1);
    case GICD_IIDR:
        return 0x0200143b;
    default:
        if (offset < GICD_NSACR || offset >= GICD_SGIR) {
            log_guest_error(name_of(gic), "read of distributor offset %#x", offset);
        }
        return 0;
    }
}

static void dist_write_word(GicV2 *gic, unsigned cpu, uint32_t offset, uint32_t value,
                            uint32_t mask)
{
    GicCore *core = &gic->core;

    if (offset >= GICD_IGROUPR && offset < GICD_IPRIORITYR) {
        gic_core_write_bits(core, cpu, (offset - GICD_IGROUPR) / 0x80, offset % 0x80 / 4, value,
                            mask);
    } else if (offset >= GICD_IPRIORITYR && offset < GICD_ITARGETSR) {
        gic_core_write_priorities(core, cpu, (offset - GICD_IPRIORITYR) / 4, value, mask);
    } else if (offset >= GICD_ITARGETSR && offset < GICD_ICFGR) {
        write_targets(gic, (offset - GICD_ITARGETSR) / 4, value, mask);
    } else if (offset >= GICD_ICFGR && offset < GICD_ICFGR + 0x100) {
        unsigned index = (offset - GICD_ICFGR) / 4;

        gic_core_write_config(core, cpu, index,
                              (gic_core_read_config(core, cpu, index) & ~mask) | value);
    } else if (offset >= GICD_CPENDSGIR && offset < GICD_SPENDSGIR + 0x10) {
        write_sgi_sources(gic, cpu, offset % 0x10 / 4, value, offset >= GICD_SPENDSGIR);
    } else if (offset == GICD_CTLR) {
        core->group_enable = value & CTLR_ENABLE_GROUPS;
        gic_core_update_all(core);
    } else if (offset == GICD_SGIR && mask == UINT32_MAX) {
        write_sgir(gic, cpu, value);
    } else if (offset < GICD_NSACR || offset >= GICD_SGIR) {
        log_guest_error(name_of(gic), "write of %#x to distributor offset %#x", value, offset);
    }
}

static MemoryResult dist_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    GicV2 *gic = opaque;
    unsigned shift = offset % 4 * 8;

    pthread_mutex_lock(&gic->core.lock);
    *value = dist_read_word(gic, cpu_of(gic, attributes), (uint32_t)align_down(offset, 4));
    pthread_mutex_unlock(&gic->core.lock);
    *value = *value >> shift & bits_mask(size * 8);
    trace(name_of(gic), "GICD %#x -> %#x", (unsigned)offset, (unsigned)*value);
    return MEMORY_OK;
}

static MemoryResult dist_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    GicV2 *gic = opaque;
    unsigned shift = offset % 4 * 8;
    uint32_t mask = (uint32_t)(bits_mask(size * 8) << shift);

    trace(name_of(gic), "GICD %#x <- %#x", (unsigned)offset, (unsigned)value);
    pthread_mutex_lock(&gic->core.lock);
    dist_write_word(gic, cpu_of(gic, attributes), (uint32_t)align_down(offset, 4),
                    (uint32_t)(value << shift) & mask, mask);
    pthread_mutex_unlock(&gic->core.lock);
    return MEMORY_OK;
}

/* aliased: through GICC_AIAR, which takes Group 1 only. */
static uint32_t acknowledge(GicV2 *gic, unsigned cpu, bool aliased)
{
    GicCore *core = &gic->core;
    GicPending pending = gic_core_highest_pending(core, cpu);
    unsigned source;

    if (!gic_core_is_signalled(core, cpu, &pending) || (aliased && !pending.group)) {
        return GIC_INTID_NONE;
    }
    if (!aliased && pending.group && !(core->cpu[cpu].control & CTLR_ACK_CTL)) {
        return GIC_INTID_GROUP1;
    }
    source = gic_core_acknowledge(core, cpu, &pending);
    return source << 10 | pending.intid;
}

static uint32_t highest_pending(GicV2 *gic, unsigned cpu, bool aliased)
{
    GicCore *core = &gic->core;
    GicPending pending = gic_core_highest_pending(core, cpu);
    unsigned source = 0;

    if (pending.intid == GIC_INTID_NONE || (aliased && !pending.group)) {
        return GIC_INTID_NONE;
    }
    if (!aliased && pending.group && !(core->cpu[cpu].control & CTLR_ACK_CTL)) {
        return GIC_INTID_GROUP1;
    }
    if (pending.intid < GIC_SGIS && core->cpu[cpu].sgi_sources[pending.intid]) {
        source = (unsigned)__builtin_ctz(core->cpu[cpu].sgi_sources[pending.intid]);
    }
    return source << 10 | pending.intid;
}

static void end_of_interrupt(GicV2 *gic, unsigned cpu, uint32_t value, unsigned groups)
{
    unsigned intid = value & 0x3ff;

    if (intid >= gic->core.irqs) {
        return; /* a spurious interrupt needs no end, but many guests write it */
    }
    if (!gic_core_priority_drop(&gic->core, cpu, groups)) {
        log_guest_error(name_of(gic), "end of interrupt %u, but none is active", intid);
    }
    if (!(gic->core.cpu[cpu].control & CTLR_EOI_MODE)) {
        gic_core_deactivate(&gic->core, cpu, intid);
    }
}

static void write_control(GicV2 *gic, unsigned cpu, uint32_t value)
{
    GicCpu *c = &gic->core.cpu[cpu];

    c->control = value & CTLR_WRITABLE;
    c->group_enable = value & CTLR_ENABLE_GROUPS;
    c->group0_is_fiq = value & CTLR_FIQ_EN;
    c->common_binary_point = value & CTLR_CBPR;
    gic_core_update_cpu(&gic->core, cpu);
}

static void write_binary_point(GicV2 *gic, unsigned cpu, unsigned group, uint32_t value)
{
    unsigned minimum = 7 - GIC_PRIORITY_BITS + group;

    value &= 7;
    gic->core.cpu[cpu].binary_point[group] = (uint8_t)(value < minimum ? minimum : value);
    gic_core_update_cpu(&gic->core, cpu);
}

static uint32_t cpu_read_word(GicV2 *gic, unsigned cpu, uint32_t offset)
{
    const GicCpu *c = &gic->core.cpu[cpu];

    switch (offset) {
    case GICC_CTLR:
        return c->control;
    case GICC_PMR:
        return c->priority_mask;
    case GICC_BPR:
        return c->binary_point[0];
    case GICC_ABPR:
        return c->binary_point[1];
    case GICC_IAR:
    case GICC_AIAR:
        return acknowledge(gic, cpu, offset == GICC_AIAR);
    case GICC_RPR:
        return gic_core_running_priority(&gic->core, cpu);
    case GICC_HPPIR:
    case GICC_AHPPIR:
        return highest_pending(gic, cpu, offset == GICC_AHPPIR);
    case GICC_APR0:
        return c->active_priorities[0];
    case GICC_NSAPR0:
        return c->active_priorities[1];
    case GICC_IIDR:
        return 0x0202143b;
    default:
        if (offset < GICC_APR0 || offset >= GICC_NSAPR0 + 0x10) {
            log_guest_error(name_of(gic), "read of CPU interface offset %#x", offset);
        }
        return 0;
    }
}

static void cpu_write_word(GicV2 *gic, unsigned cpu, uint32_t offset, uint32_t value)
{
    GicCpu *c = &gic->core.cpu[cpu];

    switch (offset) {
    case GICC_CTLR:
        write_control(gic, cpu, value);
        break;
    case GICC_PMR:
        c->priority_mask = value & GIC_PRIORITY_MASK;
        gic_core_update_cpu(&gic->core, cpu);
        break;
    case GICC_BPR:
    case GICC_ABPR:
        write_binary_point(gic, cpu, offset == GICC_ABPR, value);
        break;
    case GICC_EOIR:
        end_of_interrupt(gic, cpu, value, CTLR_ENABLE_GROUPS);
        break;
    case GICC_AEOIR:
        end_of_interrupt(gic, cpu, value, 1u << 1);
        break;
    case GICC_APR0:
    case GICC_NSAPR0:
        c->active_priorities[offset == GICC_NSAPR0] = value;
        gic_core_update_cpu(&gic->core, cpu);
        break;
    case GICC_DIR:
        gic_core_deactivate(&gic->core, cpu, value & 0x3ff);
        break;
    default:
        if (offset < GICC_APR0 || offset >= GICC_NSAPR0 + 0x10) {
            log_guest_error(name_of(gic), "write of %#x to CPU interface offset %#x", value,
                            offset);
        }
    }
}

static MemoryResult cpu_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                             MemoryAttributes attributes)
{
    GicV2 *gic = opaque;

    pthread_mutex_lock(&gic->core.lock);
    *value = cpu_read_word(gic, cpu_of(gic, attributes), (uint32_t)offset);
    pthread_mutex_unlock(&gic->core.lock);
    trace(name_of(gic), "GICC %#x -> %#x", (unsigned)offset, (unsigned)*value);
    return MEMORY_OK;
}

static MemoryResult cpu_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                              MemoryAttributes attributes)
{
    GicV2 *gic = opaque;

    trace(name_of(gic), "GICC %#x <- %#x", (unsigned)offset, (unsigned)value);
    pthread_mutex_lock(&gic->core.lock);
    cpu_write_word(gic, cpu_of(gic, attributes), (uint32_t)offset, (uint32_t)value);
    pthread_mutex_unlock(&gic->core.lock);
    return MEMORY_OK;
}

static const MemoryOps dist_ops = {
    .read = dist_read,
    .write = dist_write,
    .size_min = 1,
    .size_max = 4,
    .lock_free = true,
};

static const MemoryOps cpu_ops = {
    .read = cpu_read,
    .write = cpu_write,
    .size_min = 4,
    .size_max = 4,
    .lock_free = true,
};

static void gicv2_input(void *opaque, int number, int level)
{
    gic_core_input(&((GicV2 *)opaque)->core, number, level);
}

static bool gicv2_realize(Device *device, GError **error)
{
    GicV2 *gic = container_of(device, GicV2, device);

    if (!gic_core_realize(&gic->core, device, gic->num_cpu, GIC_V2_MAX_CPUS, gic->num_irq, error)) {
        return false;
    }
    memory_region_init_io(&gic->dist, device->machine, "gic-dist", DIST_SIZE, &dist_ops, gic);
    memory_region_init_io(&gic->cpu_interface, device->machine, "gic-cpu", CPU_SIZE, &cpu_ops, gic);
    device_add_mmio(device, &gic->dist);
    device_add_mmio(device, &gic->cpu_interface);
    return true;
}

static void gicv2_unrealize(Device *device)
{
    gic_core_unrealize(&container_of(device, GicV2, device)->core);
}

static void gicv2_reset(Device *device)
{
    GicCore *core = &container_of(device, GicV2, device)->core;

    gic_core_reset(core);
    if (core->cpus == 1) {
        /* GICD_ITARGETSR is RAZ/WI: everything goes to the only CPU. */
        memset(core->cpu[0].target, 0xff, sizeof core->cpu[0].target);
    }
}

static void gicv2_state_loaded(Device *device)
{
    gic_core_restore_outputs(&container_of(device, GicV2, device)->core);
}

static void gicv2_describe_interrupts(Device *device, const Vcpu *vcpu, GString *out)
{
    gic_core_describe(&((GicV2 *)(void *)device)->core, "gicv2", vcpu, out);
}

static void gicv2_explain_interrupt(Device *device, unsigned number, IrqChain *chain)
{
    gic_core_explain(&((GicV2 *)(void *)device)->core, "gicv2", number, chain);
}

static const DeviceType gicv2_type = {
    .name = "arm_gic",
    .summary = "ARM Generic Interrupt Controller version 2",
    .board_only = true,
    .instance_size = sizeof(GicV2),
    .properties = (const Property[]){ { "num-cpu", PROPERTY_U32, offsetof(GicV2, num_cpu),
                                        "CPU interfaces, 1 to 8", "1" },
                                      { "num-irq", PROPERTY_U32, offsetof(GicV2, num_irq),
                                        "interrupts, counting 32 private ones", "96" },
                                      { 0 } },
    .state = (const StateField[]){ GIC_CORE_STATE(GicV2), { 0 } },
    .input = gicv2_input,
    .describe_interrupts = gicv2_describe_interrupts,
    .explain_interrupt = gicv2_explain_interrupt,
    .realize = gicv2_realize,
    .unrealize = gicv2_unrealize,
    .reset = gicv2_reset,
    .state_loaded = gicv2_state_loaded,
};
DEVICE_TYPE(gicv2_type);
