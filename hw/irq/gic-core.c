/* SPDX-License-Identifier: MIT */
/*
 * The interrupt state machine of GICv2 (ARM IHI 0048B, chapters 3 and 4) and GICv3 (ARM IHI 0069,
 * chapter 4), for one security state.
 *
 * A CPU's candidate is found by scanning the words of 32 interrupts; all but a few words are zero
 * after one AND, so that no cache of the highest pending interrupt is worth its upkeep.
 */
#include "hw/irq/gic-core.h"

#include "base/error.h"

bool gic_core_realize(GicCore *core, Device *device, unsigned cpus, unsigned max_cpus,
                      unsigned irqs, GError **error)
{
    if (cpus < 1 || cpus > max_cpus) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: num-cpu=%u is not within 1 to %u",
                          device->type->name, cpus, max_cpus);
    }
    if (irqs < 64 || irqs > GIC_MAX_IRQS || irqs % 32) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: num-irq=%u is not a multiple of 32 from 64 to 992",
                          device->type->name, irqs);
    }
    core->cpus = cpus;
    core->irqs = irqs;
    core->words = irqs / 32;
    core->cpu = g_new0(GicCpu, cpus);
    core->outputs = g_malloc0_n(cpus, sizeof core->outputs[0]);
    pthread_mutex_init(&core->lock, NULL);
    for (unsigned cpu = 0; cpu < cpus; cpu++) {
        for (unsigned line = 0; line < ARM_LINE_COUNT; line++) {
            device_add_irq(device, &core->outputs[cpu][line]);
        }
    }
    return true;
}

void gic_core_unrealize(GicCore *core)
{
    pthread_mutex_destroy(&core->lock);
    g_clear_pointer(&core->cpu, g_free);
    g_clear_pointer(&core->outputs, g_free);
}

static void drive(GicCore *core, unsigned cpu, uint8_t output)
{
    core->cpu[cpu].output = output;
    for (unsigned line = 0; line < ARM_LINE_COUNT; line++) {
        irq_set(&core->outputs[cpu][line], output >> line & 1);
    }
}

void gic_core_reset(GicCore *core)
{
    pthread_mutex_lock(&core->lock);
    core->group_enable = 0;
    memset(core->shared, 0, sizeof core->shared);
    memset(core->shared_priority, 0, sizeof core->shared_priority);
    memset(core->cpu, 0, core->cpus * sizeof core->cpu[0]);
    for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
        GicCpu *c = &core->cpu[cpu];

        c->target[0] = UINT32_MAX;
        c->word.edge = bits_mask(GIC_SGIS);
        c->word.enabled = core->affinity_routing ? 0 : bits_mask(GIC_SGIS);
        c->binary_point[0] = 7 - GIC_PRIORITY_BITS;
        c->binary_point[1] = 8 - GIC_PRIORITY_BITS;
        drive(core, cpu, 0);
    }
    pthread_mutex_unlock(&core->lock);
}

void gic_core_restore_outputs(GicCore *core)
{
    pthread_mutex_lock(&core->lock);
    for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
        drive(core, cpu, core->cpu[cpu].output);
    }
    pthread_mutex_unlock(&core->lock);
}

void gic_core_input(GicCore *core, int number, int level)
{
    unsigned cpu = (unsigned)number >> 16;
    unsigned intid = (unsigned)number & 0xffff;
    uint32_t bit = 1u << intid % 32;
    GicWord *word;

    if (cpu >= core->cpus || intid >= core->irqs || intid < GIC_SGIS) {
        return;
    }
    pthread_mutex_lock(&core->lock);
    word = gic_core_word(core, cpu, intid / 32);
    if (level && !(word->level & bit)) {
        word->level |= bit;
        word->latch |= word->edge & bit;
        gic_core_update_irq(core, cpu, intid);
    } else if (!level && (word->level & bit)) {
        word->level &= ~bit;
        if (!(word->edge & bit)) {
            gic_core_update_irq(core, cpu, intid);
        }
    }
    pthread_mutex_unlock(&core->lock);
}

static uint32_t pending_bits(const GicWord *word)
{
    return word->latch | (word->level & ~word->edge);
}

GicPending gic_core_highest_pending(const GicCore *core, unsigned cpu)
{
    const GicCpu *c = &core->cpu[cpu];
    unsigned groups = core->group_enable & c->group_enable;
    GicPending best = { .intid = GIC_INTID_NONE, .priority = GIC_PRIORITY_IDLE };

    if (!groups) {
        return best;
    }
    for (unsigned w = 0; w < core->words; w++) {
        const GicWord *word = w ? &core->shared[w] : &c->word;
        const uint8_t *priority = w ? &core->shared_priority[w * 32] : c->priority;
        uint32_t candidates = pending_bits(word) & word->enabled & ~word->active & c->target[w] &
                              ((groups & 1 ? ~word->group : 0) | (groups & 2 ? word->group : 0));

        for (; candidates; candidates &= candidates - 1) {
            unsigned bit = (unsigned)__builtin_ctz(candidates);

            /* The lowest INTID wins among equals. Even priority 0xff of a candidate beats none. */
            if (best.intid == GIC_INTID_NONE || priority[bit] < best.priority) {
                best.intid = (uint16_t)(w * 32 + bit);
                best.priority = priority[bit];
                best.group = word->group >> bit & 1;
            }
        }
    }
    return best;
}

/* The bits of a priority that count for preemption. */
static uint8_t group_priority(const GicCpu *c, unsigned group, uint8_t priority)
{
    unsigned shift = group && !c->common_binary_point ? c->binary_point[1] : c->binary_point[0] + 1;

    return (uint8_t)(priority & UINT32_MAX << shift);
}

uint8_t gic_core_running_priority(const GicCore *core, unsigned cpu)
{
    const uint32_t *active = core->cpu[cpu].active_priorities;
    uint32_t all = active[0] | active[1];

    return all ? (uint8_t)(__builtin_ctz(all) << 3) : GIC_PRIORITY_IDLE;
}

bool gic_core_is_signalled(const GicCore *core, unsigned cpu, const GicPending *pending)
{
    const GicCpu *c = &core->cpu[cpu];

    return pending->intid != GIC_INTID_NONE && pending->priority < c->priority_mask &&
           group_priority(c, pending->group, pending->priority) <
               gic_core_running_priority(core, cpu);
}

void gic_core_update_cpu(GicCore *core, unsigned cpu)
{
    const GicCpu *c = &core->cpu[cpu];
    GicPending best = gic_core_highest_pending(core, cpu);
    uint8_t output = 0;

    if (gic_core_is_signalled(core, cpu, &best)) {
        output = !best.group && c->group0_is_fiq ? 1u << ARM_LINE_FIQ : 1u << ARM_LINE_IRQ;
    }
    if (output != c->output) {
        drive(core, cpu, output);
    }
}

void gic_core_update_all(GicCore *core)
{
    for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
        gic_core_update_cpu(core, cpu);
    }
}

void gic_core_update_irq(GicCore *core, unsigned cpu, unsigned intid)
{
    if (intid < GIC_PRIVATE_IRQS) {
        gic_core_update_cpu(core, cpu);
        return;
    }
    for (unsigned i = 0; i < core->cpus; i++) {
        if (core->cpu[i].target[intid / 32] >> (intid % 32) & 1) {
            gic_core_update_cpu(core, i);
        }
    }
}

unsigned gic_core_acknowledge(GicCore *core, unsigned cpu, const GicPending *pending)
{
    GicCpu *c = &core->cpu[cpu];
    unsigned intid = pending->intid;
    uint32_t bit = 1u << intid % 32;
    GicWord *word = gic_core_word(core, cpu, intid / 32);
    unsigned source = 0;

    word->active |= bit;
    if (intid < GIC_SGIS && c->sgi_sources[intid]) {
        source = (unsigned)__builtin_ctz(c->sgi_sources[intid]);
        c->sgi_sources[intid] &= c->sgi_sources[intid] - 1;
    }
    if (intid >= GIC_SGIS || !c->sgi_sources[intid]) {
        word->latch &= ~bit;
    }
    c->active_priorities[pending->group] |=
        1u << (group_priority(c, pending->group, pending->priority) >> 3);
    /* Beyond this CPU, only those that were also asked to take a shared interrupt are affected. */
    gic_core_update_irq(core, cpu, intid);
    gic_core_update_cpu(core, cpu);
    return source;
}

bool gic_core_priority_drop(GicCore *core, unsigned cpu, unsigned groups)
{
    uint32_t *active = core->cpu[cpu].active_priorities;
    uint32_t all = active[0] | active[1];
    uint32_t highest = all & -all;
    unsigned group = active[0] & highest ? 0 : 1;

    if (!all || !(groups >> group & 1)) {
        return false;
    }
    active[group] &= ~highest;
    gic_core_update_cpu(core, cpu);
    return true;
}

void gic_core_deactivate(GicCore *core, unsigned cpu, unsigned intid)
{
    if (intid < core->irqs) {
        gic_core_word(core, cpu, intid / 32)->active &= ~(1u << intid % 32);
        gic_core_update_irq(core, cpu, intid);
    }
}

uint32_t gic_core_read_bits(GicCore *core, unsigned cpu, GicBitRegister reg, unsigned word)
{
    const GicWord *w;

    if (word >= core->words) {
        return 0;
    }
    w = gic_core_word(core, cpu, word);
    switch (reg) {
    case GIC_IGROUPR:
        return w->group;
    case GIC_ISENABLER:
    case GIC_ICENABLER:
        return w->enabled;
    case GIC_ISPENDR:
    case GIC_ICPENDR:
        return pending_bits(w);
    case GIC_ISACTIVER:
    case GIC_ICACTIVER:
        return w->active;
    }
    return 0;
}

/* The first word is a CPU's own. */
static void update_word(GicCore *core, unsigned cpu, unsigned word)
{
    if (word == 0) {
        gic_core_update_cpu(core, cpu);
    } else {
        gic_core_update_all(core);
    }
}

void gic_core_write_bits(GicCore *core, unsigned cpu, GicBitRegister reg, unsigned word,
                         uint32_t value, uint32_t mask)
{
    uint32_t fixed_sgis = word == 0 && !core->affinity_routing ? bits_mask(GIC_SGIS) : 0;
    GicWord *w;

    if (word >= core->words) {
        return;
    }
    w = gic_core_word(core, cpu, word);
    value &= mask;
    switch (reg) {
    case GIC_IGROUPR:
        w->group = (w->group & ~mask) | value;
        break;
    case GIC_ISENABLER:
        w->enabled |= value;
        break;
    case GIC_ICENABLER:
        w->enabled &= ~(value & ~fixed_sgis);
        break;
    case GIC_ISPENDR:
        w->latch |= value & ~fixed_sgis;
        break;
    case GIC_ICPENDR:
        w->latch &= ~(value & ~fixed_sgis);
        break;
    case GIC_ISACTIVER:
        w->active |= value;
        break;
    case GIC_ICACTIVER:
        w->active &= ~value;
        break;
    }
    update_word(core, cpu, word);
}

uint32_t gic_core_read_config(GicCore *core, unsigned cpu, unsigned index)
{
    uint32_t edge, value = 0;

    if (index / 2 >= core->words) {
        return 0;
    }
    edge = gic_core_word(core, cpu, index / 2)->edge >> index % 2 * 16;
    for (unsigned i = 0; i < 16; i++) {
        value |= (edge >> i & 1) << (i * 2 + 1);
    }
    return value;
}

void gic_core_write_config(GicCore *core, unsigned cpu, unsigned index, uint32_t value)
{
    unsigned shift = index % 2 * 16;
    uint32_t edge = 0;
    GicWord *word;

    /* ICFGR0 is the SGIs, which are always edge-triggered. */
    if (index == 0 || index / 2 >= core->words) {
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        edge |= (value >> (i * 2 + 1) & 1) << i;
    }
    word = gic_core_word(core, cpu, index / 2);
    word->edge = (word->edge & ~(UINT32_C(0xffff) << shift)) | edge << shift;
    update_word(core, cpu, index / 2);
}

uint32_t gic_core_read_priorities(GicCore *core, unsigned cpu, unsigned index)
{
    return index * 4 < core->irqs ? load_le32(gic_core_priority(core, cpu, index * 4)) : 0;
}

void gic_core_write_priorities(GicCore *core, unsigned cpu, unsigned index, uint32_t value,
                               uint32_t mask)
{
    uint8_t *priority;

    if (index * 4 >= core->irqs) {
        return;
    }
    priority = gic_core_priority(core, cpu, index * 4);
    value &= GIC_PRIORITY_MASK * UINT32_C(0x01010101);
    store_le32(priority, (load_le32(priority) & ~mask) | (value & mask));
    update_word(core, cpu, index / 8);
}

static void route(GicCore *core, unsigned intid, unsigned cpu, bool wanted)
{
    uint32_t bit = 1u << intid % 32, *target = &core->cpu[cpu].target[intid / 32];

    if (!(*target & bit) == wanted) {
        *target ^= bit;
        gic_core_update_cpu(core, cpu);
    }
}

void gic_core_set_target(GicCore *core, unsigned intid, unsigned cpu)
{
    for (unsigned i = 0; i < core->cpus; i++) {
        route(core, intid, i, i == cpu);
    }
}

void gic_core_set_targets(GicCore *core, unsigned intid, uint8_t cpu_mask)
{
    for (unsigned i = 0; i < core->cpus; i++) {
        route(core, intid, i, cpu_mask >> i & 1);
    }
}

uint8_t gic_core_targets(const GicCore *core, unsigned intid)
{
    uint8_t mask = 0;

    for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
        mask |= (uint8_t)((core->cpu[cpu].target[intid / 32] >> (intid % 32) & 1) << cpu);
    }
    return mask;
}

void gic_core_send_sgi(GicCore *core, unsigned source, unsigned target, unsigned intid)
{
    GicCpu *c = &core->cpu[target];

    if (!core->affinity_routing) {
        c->sgi_sources[intid] |= (uint8_t)(1u << source);
    }
    c->word.latch |= 1u << intid;
    gic_core_update_cpu(core, target);
}

static const StateField word_fields[] = {
    STATE(GicWord, group),
    STATE(GicWord, enabled),
    STATE(GicWord, latch),
    STATE(GicWord, level),
    STATE(GicWord, active),
    STATE(GicWord, edge),
    { 0 },
};

static const StateField cpu_fields[] = {
    STATE_STRUCT(GicCpu, word, word_fields),
    STATE(GicCpu, priority),
    STATE(GicCpu, sgi_sources),
    STATE(GicCpu, target),
    STATE(GicCpu, control),
    STATE(GicCpu, active_priorities),
    STATE(GicCpu, group_enable),
    STATE(GicCpu, priority_mask),
    STATE(GicCpu, binary_point),
    STATE(GicCpu, common_binary_point),
    STATE(GicCpu, group0_is_fiq),
    STATE(GicCpu, output),
    STATE(GicCpu, waker),
    { 0 },
};

const StateField gic_core_state[] = {
    STATE(GicCore, group_enable),
    STATE_STRUCTS(GicCore, shared, word_fields),
    STATE(GicCore, shared_priority),
    STATE_STRUCTS_ALLOCATED(GicCore, cpu, cpus, cpu_fields),
    STATE_DERIVED(GicCore, outputs),
    STATE_DERIVED(GicCore, lock),
    { 0 },
};
