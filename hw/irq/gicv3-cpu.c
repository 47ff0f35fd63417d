/* SPDX-License-Identifier: MIT */
/*
 * GICv3 CPU interface: the ICC_*_EL1 system registers (ARM IHI 0069, section 12.2) as a PE without
 * EL2 and EL3 sees them. Group 0 is signalled as FIQ, Group 1 as IRQ.
 *
 * These run on the vCPU's thread with the GIC's own lock only: two of them (IAR, EOIR) are on the
 * path of each interrupt.
 */
#include "hw/irq/gicv3.h"

#define ICC(crn, crm, op2) (3u << 14 | 0u << 11 | (crn) << 7 | (crm) << 3 | (op2))

enum {
    ICC_PMR_EL1 = ICC(4, 6, 0),
    ICC_IAR0_EL1 = ICC(12, 8, 0),
    ICC_EOIR0_EL1 = ICC(12, 8, 1),
    ICC_HPPIR0_EL1 = ICC(12, 8, 2),
    ICC_BPR0_EL1 = ICC(12, 8, 3),
    ICC_AP0R0_EL1 = ICC(12, 8, 4),
    ICC_AP1R0_EL1 = ICC(12, 9, 0),
    ICC_DIR_EL1 = ICC(12, 11, 1),
    ICC_RPR_EL1 = ICC(12, 11, 3),
    ICC_SGI1R_EL1 = ICC(12, 11, 5),
    ICC_ASGI1R_EL1 = ICC(12, 11, 6),
    ICC_SGI0R_EL1 = ICC(12, 11, 7),
    ICC_IAR1_EL1 = ICC(12, 12, 0),
    ICC_EOIR1_EL1 = ICC(12, 12, 1),
    ICC_HPPIR1_EL1 = ICC(12, 12, 2),
    ICC_BPR1_EL1 = ICC(12, 12, 3),
    ICC_CTLR_EL1 = ICC(12, 12, 4),
    ICC_SRE_EL1 = ICC(12, 12, 5),
    ICC_IGRPEN0_EL1 = ICC(12, 12, 6),
    ICC_IGRPEN1_EL1 = ICC(12, 12, 7),
};

enum {
    CTLR_CBPR = 1 << 0,
    CTLR_EOI_MODE = 1 << 1,
    CTLR_PRI_BITS = (GIC_PRIORITY_BITS - 1) << 8,
    SRE_ALL = 7, /* SRE, DFB, DIB: fixed */
};

/* The CPU of a register access, with the GIC locked; NULL when the redistributors have no such CPU. */
static GicCpu *lock_cpu(GicV3 *gic, const Vcpu *vcpu)
{
    if (vcpu->index >= gic->core.cpus) {
        return NULL;
    }
    pthread_mutex_lock(&gic->core.lock);
    return &gic->core.cpu[vcpu->index];
}

static bool undefined_read(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    return false;
}

static bool undefined_write(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    return false;
}

static bool iar_read(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    GicV3 *gic = opaque;
    unsigned group = encoding == ICC_IAR1_EL1;
    GicPending pending;

    if (!lock_cpu(gic, vcpu)) {
        return false;
    }
    pending = gic_core_highest_pending(&gic->core, vcpu->index);
    *value = GIC_INTID_NONE;
    if (pending.group == group && gic_core_is_signalled(&gic->core, vcpu->index, &pending)) {
        gic_core_acknowledge(&gic->core, vcpu->index, &pending);
        *value = pending.intid;
    }
    pthread_mutex_unlock(&gic->core.lock);
    trace(gic->device.id, "cpu %u ICC_IAR%u -> %u", vcpu->index, group, (unsigned)*value);
    return true;
}

static bool hppir_read(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    GicV3 *gic = opaque;
    unsigned group = encoding == ICC_HPPIR1_EL1;
    GicPending pending;

    if (!lock_cpu(gic, vcpu)) {
        return false;
    }
    pending = gic_core_highest_pending(&gic->core, vcpu->index);
    pthread_mutex_unlock(&gic->core.lock);
    *value = pending.group == group ? pending.intid : GIC_INTID_NONE;
    return true;
}

static bool eoir_write(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    GicV3 *gic = opaque;
    unsigned group = encoding == ICC_EOIR1_EL1;
    unsigned intid = value & 0xffffff;
    GicCpu *c = lock_cpu(gic, vcpu);

    if (!c) {
        return false;
    }
    trace(gic->device.id, "cpu %u ICC_EOIR%u <- %u", vcpu->index, group, intid);
    if (intid < gic->core.irqs) {
        bool dropped = gic_core_priority_drop(&gic->core, vcpu->index, 1u << group);

        if (!dropped) {
            log_guest_error(gic->device.id, "end of interrupt %u, which is not the highest active",
                            intid);
        } else if (!(c->control & CTLR_EOI_MODE)) {
            gic_core_deactivate(&gic->core, vcpu->index, intid);
        }
    }
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

static bool dir_write(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    GicV3 *gic = opaque;
    GicCpu *c = lock_cpu(gic, vcpu);

    if (!c) {
        return false;
    }
    if (c->control & CTLR_EOI_MODE) {
        gic_core_deactivate(&gic->core, vcpu->index, value & 0xffffff);
    } else {
        log_guest_error(gic->device.id, "ICC_DIR_EL1 written with EOImode 0");
    }
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

static void send_sgi(GicV3 *gic, unsigned source, unsigned target, unsigned intid, unsigned group)
{
    if (target < gic->core.cpus && gic_core_group(&gic->core, target, intid) == group) {
        gic_core_send_sgi(&gic->core, source, target, intid);
    }
}

/* Sends to each CPU of a target list, or to all but the sender. */
static bool sgi_write(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    GicV3 *gic = opaque;
    unsigned group = encoding == ICC_SGI1R_EL1;
    unsigned intid = (unsigned)bits_extract(value, 24, 4);
    uint64_t cluster = bits_extract(value, 48, 8) << 32 | bits_extract(value, 32, 8) << 16 |
                       bits_extract(value, 16, 8) << 8;
    unsigned range = (unsigned)bits_extract(value, 44, 4) * 16;

    if (!lock_cpu(gic, vcpu)) {
        return false;
    }
    if (value >> 40 & 1) {
        for (unsigned target = 0; target < gic->core.cpus; target++) {
            if (target != vcpu->index) {
                send_sgi(gic, vcpu->index, target, intid, group);
            }
        }
    } else {
        for (unsigned list = value & 0xffff; list; list &= list - 1) {
            uint64_t affinity = cluster | (range + (unsigned)__builtin_ctz(list));

            send_sgi(gic, vcpu->index, arm_vcpu_of_affinity(affinity), intid, group);
        }
    }
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

static bool bpr_read(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    GicV3 *gic = opaque;
    GicCpu *c = lock_cpu(gic, vcpu);

    if (!c) {
        return false;
    }
    if (encoding == ICC_BPR0_EL1) {
        *value = c->binary_point[0];
    } else if (c->common_binary_point) {
        *value = c->binary_point[0] == 7 ? 7 : c->binary_point[0] + 1u;
    } else {
        *value = c->binary_point[1];
    }
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

static bool bpr_write(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    GicV3 *gic = opaque;
    unsigned group = encoding == ICC_BPR1_EL1;
    unsigned minimum = 7 - GIC_PRIORITY_BITS + group;
    GicCpu *c = lock_cpu(gic, vcpu);

    if (!c) {
        return false;
    }
    value &= 7;
    if (!group || !c->common_binary_point) {
        c->binary_point[group] = (uint8_t)(value < minimum ? minimum : value);
        gic_core_update_cpu(&gic->core, vcpu->index);
    }
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

/* Registers that are plain values. */
static bool plain_read(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    GicV3 *gic = opaque;
    GicCpu *c = lock_cpu(gic, vcpu);

    if (!c) {
        return false;
    }
    switch (encoding) {
    case ICC_PMR_EL1:
        *value = c->priority_mask;
        break;
    case ICC_RPR_EL1:
        *value = gic_core_running_priority(&gic->core, vcpu->index);
        break;
    case ICC_CTLR_EL1:
        *value = CTLR_PRI_BITS | c->control;
        break;
    case ICC_AP0R0_EL1:
    case ICC_AP1R0_EL1:
        *value = c->active_priorities[encoding == ICC_AP1R0_EL1];
        break;
    case ICC_IGRPEN0_EL1:
    case ICC_IGRPEN1_EL1:
        *value = c->group_enable >> (encoding == ICC_IGRPEN1_EL1) & 1;
        break;
    default: /* ICC_SRE_EL1 */
        *value = SRE_ALL;
    }
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

static bool plain_write(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    GicV3 *gic = opaque;
    GicCpu *c = lock_cpu(gic, vcpu);

    if (!c) {
        return false;
    }
    switch (encoding) {
    case ICC_PMR_EL1:
        c->priority_mask = value & GIC_PRIORITY_MASK;
        break;
    case ICC_CTLR_EL1:
        c->control = value & (CTLR_CBPR | CTLR_EOI_MODE);
        c->common_binary_point = value & CTLR_CBPR;
        break;
    case ICC_AP0R0_EL1:
    case ICC_AP1R0_EL1:
        c->active_priorities[encoding == ICC_AP1R0_EL1] = (uint32_t)value;
        break;
    case ICC_IGRPEN0_EL1:
    case ICC_IGRPEN1_EL1:
        c->group_enable =
            (uint8_t)bits_deposit(c->group_enable, encoding == ICC_IGRPEN1_EL1, 1, value & 1);
        break;
    default: /* ICC_SRE_EL1: all bits are fixed */
        break;
    }
    gic_core_update_cpu(&gic->core, vcpu->index);
    pthread_mutex_unlock(&gic->core.lock);
    return true;
}

#define RO(name, read)                                                                             \
    {                                                                                              \
        name, #name, read, undefined_write                                                         \
    }
#define WO(name, write)                                                                            \
    {                                                                                              \
        name, #name, undefined_read, write                                                         \
    }
#define PLAIN(name)                                                                                \
    {                                                                                              \
        name, #name, plain_read, plain_write                                                       \
    }

const ExternalRegister gicv3_cpu_registers[] = {
    PLAIN(ICC_PMR_EL1),
    RO(ICC_IAR0_EL1, iar_read),
    WO(ICC_EOIR0_EL1, eoir_write),
    RO(ICC_HPPIR0_EL1, hppir_read),
    { ICC_BPR0_EL1, "ICC_BPR0_EL1", bpr_read, bpr_write },
    PLAIN(ICC_AP0R0_EL1),
    PLAIN(ICC_AP1R0_EL1),
    WO(ICC_DIR_EL1, dir_write),
    RO(ICC_RPR_EL1, plain_read),
    WO(ICC_SGI1R_EL1, sgi_write),
    WO(ICC_ASGI1R_EL1, sgi_write),
    WO(ICC_SGI0R_EL1, sgi_write),
    RO(ICC_IAR1_EL1, iar_read),
    WO(ICC_EOIR1_EL1, eoir_write),
    RO(ICC_HPPIR1_EL1, hppir_read),
    { ICC_BPR1_EL1, "ICC_BPR1_EL1", bpr_read, bpr_write },
    PLAIN(ICC_CTLR_EL1),
    PLAIN(ICC_SRE_EL1),
    PLAIN(ICC_IGRPEN0_EL1),
    PLAIN(ICC_IGRPEN1_EL1),
    { 0 },
};
