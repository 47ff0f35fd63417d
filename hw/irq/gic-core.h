/* SPDX-License-Identifier: MIT */
/*
 * The interrupt state machine that GICv2 and GICv3 have in common: pending, active, enable, group
 * and priority state of every interrupt, and the priority logic of each CPU interface. The register
 * layouts around it are in gicv2.c and gicv3-*.c.
 *
 * Threads: everything is guarded by `lock`, which is taken inside the machine lock, never around it.
 * Interrupt inputs and CPU interface accesses need only this lock.
 */
#ifndef HW_IRQ_GIC_CORE_H
#define HW_IRQ_GIC_CORE_H

#include <glib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/arch/arm.h"
#include "machine/device.h"

enum {
    GIC_V2_MAX_CPUS = 8,
    GIC_MAX_CPUS = 512, /* what two regions of redistributors at 128 KiB each are asked to hold */
    GIC_MAX_IRQS = 1020,
    GIC_MAX_WORDS = 32,
    GIC_PRIVATE_IRQS = 32,
    GIC_SGIS = 16,

    GIC_PRIORITY_BITS = 5,
    GIC_PRIORITY_MASK = 0xf8,
    GIC_PRIORITY_IDLE = 0xff,

    GIC_INTID_GROUP1 = 1022, /* GICv2: acknowledge it as Group 1 */
    GIC_INTID_NONE = 1023,
};

/* 32 interrupts, one bit each. */
typedef struct {
    uint32_t group, enabled, latch, level, active, edge;
} GicWord;

/* The bit registers, in the order of the distributor's map: 0x80 bytes each from offset 0x80. */
typedef enum {
    GIC_IGROUPR,
    GIC_ISENABLER,
    GIC_ICENABLER,
    GIC_ISPENDR,
    GIC_ICPENDR,
    GIC_ISACTIVER,
    GIC_ICACTIVER,
} GicBitRegister;

typedef struct {
    GicWord word; /* INTID 0 to 31 */
    uint8_t priority[GIC_PRIVATE_IRQS];
    uint8_t sgi_sources[GIC_SGIS];  /* GICv2: bit per requesting CPU */
    uint32_t target[GIC_MAX_WORDS]; /* shared interrupts that are routed here; [0] all ones */
    /* CPU interface */
    uint32_t control;              /* GICC_CTLR or ICC_CTLR_EL1, as the layout defines it */
    uint32_t active_priorities[2]; /* per group; bit n: priority n << 3 */
    uint8_t group_enable;          /* bit per group */
    uint8_t priority_mask;
    uint8_t binary_point[2];
    bool common_binary_point;
    bool group0_is_fiq;
    uint8_t output; /* level of each line to the vCPU, bit per ARM_LINE_* */
    uint32_t waker; /* GICv3: GICR_WAKER */
} GicCpu;

typedef struct {
    unsigned cpus, irqs, words;    /* irqs counts the private ones; words is irqs / 32 rounded up */
    bool affinity_routing;         /* GICv3: SGIs have neither sources nor a fixed enable */
    uint8_t group_enable;          /* GICD_CTLR: bit per group */
    GicWord shared[GIC_MAX_WORDS]; /* [0] unused */
    uint8_t shared_priority[GIC_MAX_WORDS * 32];
    GicCpu *cpu;                   /* cpus of them */
    IrqLine (*outputs)[ARM_LINE_COUNT];
    pthread_mutex_t lock;
} GicCore;

/* The fields that a snapshot keeps, for a device with a GicCore named `core`. */
extern const StateField gic_core_state[];
#define GIC_CORE_STATE(type) STATE_STRUCT(type, core, gic_core_state)

typedef struct {
    uint16_t intid; /* GIC_INTID_NONE: nothing is pending */
    uint8_t priority;
    uint8_t group;
} GicPending;

static inline GicWord *gic_core_word(GicCore *core, unsigned cpu, unsigned word)
{
    return word ? &core->shared[word] : &core->cpu[cpu].word;
}

static inline uint8_t *gic_core_priority(GicCore *core, unsigned cpu, unsigned intid)
{
    return intid < GIC_PRIVATE_IRQS ? &core->cpu[cpu].priority[intid]
                                    : &core->shared_priority[intid];
}

static inline unsigned gic_core_group(GicCore *core, unsigned cpu, unsigned intid)
{
    return gic_core_word(core, cpu, intid / 32)->group >> (intid % 32) & 1;
}

/* Publishes two outputs per CPU, IRQ then FIQ. The counts come from properties: checked here. */
bool gic_core_realize(GicCore *core, Device *device, unsigned cpus, unsigned max_cpus,
                      unsigned irqs, GError **error);
void gic_core_unrealize(GicCore *core);
void gic_core_reset(GicCore *core);
/* After a snapshot is loaded: drives the outputs. */
void gic_core_restore_outputs(GicCore *core);

/* Takes the lock. number as machine/arch/arm.h makes it. */
void gic_core_input(GicCore *core, int number, int level);

/* DeviceType.describe_interrupts and explain_interrupt. Take the lock. */
void gic_core_describe(GicCore *core, const char *name, const Vcpu *vcpu, GString *out);
void gic_core_explain(GicCore *core, const char *name, unsigned intid, IrqChain *chain);

/* All below: with the lock held. */

/* The highest priority pending interrupt of enabled groups, whatever the mask and what is active. */
GicPending gic_core_highest_pending(const GicCore *core, unsigned cpu);
/* Whether that interrupt passes the mask and preempts what is running. */
bool gic_core_is_signalled(const GicCore *core, unsigned cpu, const GicPending *pending);
uint8_t gic_core_running_priority(const GicCore *core, unsigned cpu);
/* Makes it active; returns its source CPU (GICv2 SGI) or 0. */
unsigned gic_core_acknowledge(GicCore *core, unsigned cpu, const GicPending *pending);
/* Ends the highest active priority; false when nothing of these groups (mask) has it. */
bool gic_core_priority_drop(GicCore *core, unsigned cpu, unsigned groups);
void gic_core_deactivate(GicCore *core, unsigned cpu, unsigned intid);
/* Drives the lines of one CPU, of all CPUs, or of those that an interrupt may reach. */
void gic_core_update_cpu(GicCore *core, unsigned cpu);
void gic_core_update_all(GicCore *core);
void gic_core_update_irq(GicCore *core, unsigned cpu, unsigned intid);

/* Distributor registers; words and INTIDs that do not exist read as zero and ignore writes. */
uint32_t gic_core_read_bits(GicCore *core, unsigned cpu, GicBitRegister reg, unsigned word);
/* mask: the bits that the access covers (GIC_IGROUPR needs it). */
void gic_core_write_bits(GicCore *core, unsigned cpu, GicBitRegister reg, unsigned word,
                         uint32_t value, uint32_t mask);
/* ICFGRn: two bits for each of 16 interrupts. */
uint32_t gic_core_read_config(GicCore *core, unsigned cpu, unsigned index);
void gic_core_write_config(GicCore *core, unsigned cpu, unsigned index, uint32_t value);
/* IPRIORITYRn, ITARGETSRn style registers hold four interrupts each. */
uint32_t gic_core_read_priorities(GicCore *core, unsigned cpu, unsigned index);
void gic_core_write_priorities(GicCore *core, unsigned cpu, unsigned index, uint32_t value,
                               uint32_t mask);
/* Routes a shared interrupt to one CPU; to none when there is no such CPU. */
void gic_core_set_target(GicCore *core, unsigned intid, unsigned cpu);
/* GICv2: to the CPUs of a mask. */
void gic_core_set_targets(GicCore *core, unsigned intid, uint8_t cpu_mask);
uint8_t gic_core_targets(const GicCore *core, unsigned intid);
/* Makes an SGI pending at a target. */
void gic_core_send_sgi(GicCore *core, unsigned source, unsigned target, unsigned intid);

#endif
