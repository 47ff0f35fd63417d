/* SPDX-License-Identifier: MIT */
/* What a GIC has to tell: its interrupts that are not idle, and why one gets through or not, in the order in which it would pass (ARM IHI 0069, chapter 4). */
#include "hw/irq/gic-core.h"

#include "machine/irq-chain.h"
#include "machine/vcpu.h"

static bool test(uint32_t word, unsigned intid)
{
    return word >> (intid % 32) & 1;
}

/* The input, and whether it is pending. */
static bool explain_input(const GicWord *word, const char *name, unsigned intid, const char *of,
                          IrqChain *chain)
{
    bool level = test(word->level, intid), edge = test(word->edge, intid),
         latch = test(word->latch, intid);
    bool pending = latch || (level && !edge);

    irq_chain_add(chain, name, !pending,
                  "INTID %u%s (%s): its input is %s, %s-triggered; it is %s%s", intid, of,
                  intid < GIC_SGIS           ? "software generated"
                  : intid < GIC_PRIVATE_IRQS ? "private"
                                             : "shared",
                  level ? "asserted" : "not asserted", edge ? "edge" : "level",
                  pending ? "pending" : "not pending", pending ? "" : ": nothing asks for it");
    return pending;
}

/* Distributor (or redistributor): enable, active, group. */
static void explain_word(const GicCore *core, const GicWord *word, const char *name, unsigned intid,
                         IrqChain *chain)
{
    unsigned group = test(word->group, intid);

    irq_chain_add(chain, name, !(core->group_enable >> group & 1),
                  "the distributor has group %u (the interrupt's) %s", group,
                  core->group_enable >> group & 1 ? "enabled" : "disabled (GICD_CTLR)");
    irq_chain_add(chain, name, !test(word->enabled, intid), "the interrupt is %s",
                  test(word->enabled, intid) ? "enabled" : "not enabled (ISENABLER)");
    if (test(word->active, intid)) {
        irq_chain_add(chain, name, true,
                      "it is active: a CPU has acknowledged it and not ended it (EOI)");
    }
}

static void explain_interface(GicCore *core, const char *name, unsigned cpu, unsigned intid,
                              IrqChain *chain)
{
    const GicCpu *c = &core->cpu[cpu];
    unsigned group = gic_core_group(core, cpu, intid);
    uint8_t priority = *gic_core_priority(core, cpu, intid),
            running = gic_core_running_priority(core, cpu);
    GicPending best = gic_core_highest_pending(core, cpu);

    irq_chain_add_cpu(chain, cpu);
    if (!(c->group_enable >> group & 1)) {
        irq_chain_add(chain, name, true, "CPU %u's interface has group %u disabled", cpu, group);
    }
    irq_chain_add(chain, name, priority >= c->priority_mask,
                  "priority 0x%02x, CPU %u's mask is 0x%02x: %s", priority, cpu, c->priority_mask,
                  priority < c->priority_mask ? "it passes" : "only lower numbers pass");
    if (running != GIC_PRIORITY_IDLE) {
        irq_chain_add(chain, name, priority >= running,
                      "CPU %u handles an interrupt of priority %#x: this one %s", cpu, running,
                      priority < running ? "interrupts that" : "waits until that is ended");
    }
    if (best.intid != GIC_INTID_NONE && best.intid != intid) {
        irq_chain_add(chain, name, false,
                      "INTID %u (priority %#x) is pending for CPU %u and comes first", best.intid,
                      best.priority, cpu);
    }
}

static void explain_private_of(GicCore *core, const char *name, unsigned cpu, unsigned intid,
                               IrqChain *chain)
{
    const GicWord *word = &core->cpu[cpu].word;
    g_autofree char *of = g_strdup_printf(" of CPU %u", cpu);

    explain_input(word, name, intid, of, chain);
    explain_word(core, word, name, intid, chain);
    explain_interface(core, name, cpu, intid, chain);
}

/* Of the CPUs for which it is pending; else of the first. */
static void explain_private(GicCore *core, const char *name, unsigned intid, IrqChain *chain)
{
    bool any = false;

    for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
        const GicWord *word = &core->cpu[cpu].word;

        if (test(word->latch | (word->level & ~word->edge), intid)) {
            any = true;
            explain_private_of(core, name, cpu, intid, chain);
        }
    }
    if (!any) {
        explain_private_of(core, name, 0, intid, chain);
    }
}

void gic_core_explain(GicCore *core, const char *name, unsigned intid, IrqChain *chain)
{
    bool targeted = false;

    if (intid >= core->irqs || chain->of_cpus) {
        return;
    }
    pthread_mutex_lock(&core->lock);
    if (intid < GIC_PRIVATE_IRQS) {
        explain_private(core, name, intid, chain);
    } else {
        explain_input(gic_core_word(core, 0, intid / 32), name, intid, "", chain);
        explain_word(core, gic_core_word(core, 0, intid / 32), name, intid, chain);
        for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
            if (test(core->cpu[cpu].target[intid / 32], intid)) {
                targeted = true;
                explain_interface(core, name, cpu, intid, chain);
            }
        }
        if (!targeted) {
            irq_chain_add(chain, name, true, "it is routed to no CPU (%s)",
                          core->affinity_routing ? "IROUTER" : "ITARGETSR");
        }
    }
    pthread_mutex_unlock(&core->lock);
}

static void describe_word(GicCore *core, unsigned cpu, unsigned w, GString *out)
{
    const GicWord *word = gic_core_word(core, cpu, w);
    uint32_t pending = word->latch | (word->level & ~word->edge);

    for (unsigned intid = w * 32; intid < w * 32 + 32; intid++) {
        if (!test(word->enabled | pending | word->active, intid)) {
            continue;
        }
        g_string_append_printf(
            out, "  INTID %4u: %-8s%-8s%-7s%-6s group %u, priority 0x%02x", intid,
            test(word->enabled, intid) ? "enabled" : "", test(pending, intid) ? "pending" : "",
            test(word->active, intid) ? "active" : "", test(word->edge, intid) ? "edge" : "level",
            test(word->group, intid), *gic_core_priority(core, cpu, intid));
        for (unsigned i = 0; w && i < core->cpus; i++) {
            if (test(core->cpu[i].target[w], intid)) {
                g_string_append_printf(out, ", CPU %u", i);
            }
        }
        g_string_append_c(out, '\n');
    }
}

void gic_core_describe(GicCore *core, const char *name, const Vcpu *vcpu, GString *out)
{
    pthread_mutex_lock(&core->lock);
    if (!vcpu) {
        g_string_append_printf(out, "%s: %u interrupts; group 0 %s, group 1 %s\n", name, core->irqs,
                               core->group_enable & 1 ? "enabled" : "disabled",
                               core->group_enable & 2 ? "enabled" : "disabled");
        for (unsigned w = 1; w < core->words; w++) {
            describe_word(core, 0, w, out);
        }
    }
    for (unsigned cpu = 0; cpu < core->cpus; cpu++) {
        const GicCpu *c = &core->cpu[cpu];
        GicPending best = gic_core_highest_pending(core, cpu);

        if (vcpu && vcpu->index != cpu) {
            continue;
        }
        g_string_append_printf(
            out, "CPU %u: mask 0x%02x, running priority 0x%02x, group 0 %s, group 1 %s, ", cpu,
            c->priority_mask, gic_core_running_priority(core, cpu),
            c->group_enable & 1 ? "enabled" : "disabled",
            c->group_enable & 2 ? "enabled" : "disabled");
        g_string_append_printf(
            out, best.intid == GIC_INTID_NONE ? "nothing pending\n" : "highest pending INTID %u\n",
            best.intid);
        describe_word(core, cpu, 0, out);
    }
    pthread_mutex_unlock(&core->lock);
}
