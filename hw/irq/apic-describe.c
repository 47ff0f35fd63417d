/* SPDX-License-Identifier: MIT */
/* `info lapic`: the registers of a local APIC for people. */
#include "hw/irq/apic.h"

#include "machine/irq-chain.h"

static const char *const mode_names[] = { "Fixed", "LowPri", "SMI",  "...",
                                          "NMI",   "INIT",   "SIPI", "ExtINT" };

static void describe_set(const char *name, const uint32_t *set, const uint32_t *level, GString *out)
{
    bool any = false;

    g_string_append_printf(out, "%s\t ", name);
    for (unsigned i = 0; i < 256; i++) {
        if (set[i / 32] >> i % 32 & 1) {
            g_string_append_printf(out, "%u%s ", i,
                                   level && level[i / 32] >> i % 32 & 1 ? "(level)" : "");
            any = true;
        }
    }
    g_string_append(out, any ? "\n" : "(none)\n");
}

static void describe_lvt(const char *name, uint32_t lvt, bool timer, GString *out)
{
    static const char *const timer_modes[] = { "one-shot", "periodic", "tsc-deadline", "..." };
    unsigned mode = timer ? APIC_FIXED : lvt >> 8 & 7;

    g_string_append_printf(out, "%s\t 0x%08x %s %-5s %-6s %-12s %-6s", name, lvt,
                           lvt & APIC_ACTIVE_LOW ? "active-lo" : "active-hi",
                           lvt & APIC_LEVEL ? "level" : "edge", lvt & APIC_MASKED ? "masked" : "",
                           timer ? timer_modes[lvt >> 17 & 3] : "", mode_names[mode]);
    if (mode != APIC_NMI) {
        g_string_append_printf(out, " (vec %u)", lvt & 0xff);
    }
    g_string_append_c(out, '\n');
}

static void describe_timer(const Apic *apic, GString *out)
{
    unsigned shift = ((apic->divide & 3) | (apic->divide >> 1 & 4)) + 1;

    g_string_append_printf(
        out, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n",
        apic->divide, 1u << (shift & 7), apic->initial_count, apic_timer_count_locked(apic));
    g_string_append_printf(out, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", apic->svr,
                           apic->svr & APIC_SVR_ENABLE ? "enabled" : "disabled",
                           apic->svr & 1u << 9 ? "on" : "off", apic->svr & 0xff);
}

static void describe_icr(const Apic *apic, GString *out)
{
    static const char *const shorthands[] = { "no-shorthand", "self", "all-self", "all" };
    uint32_t icr = apic->icr;

    g_string_append_printf(out, "ICR\t 0x%08x %s %s %s %s\n", icr,
                           icr & 1u << 11 ? "logical" : "physical",
                           icr & APIC_LEVEL ? "level" : "edge",
                           icr & 1u << 14 ? "assert" : "de-assert", shorthands[icr >> 18 & 3]);
    g_string_append_printf(out, "ICR2\t 0x%08x\n", apic->icr_high);
}

void apic_describe(const Apic *apic, GString *out)
{
    static const struct {
        const char *name;
        ApicLvt lvt;
    } lvts[] = {
        { "LVT0", APIC_LVT_LINT0 },        { "LVT1", APIC_LVT_LINT1 },
        { "LVTPC", APIC_LVT_PERFORMANCE }, { "LVTERR", APIC_LVT_ERROR },
        { "LVTTHMR", APIC_LVT_THERMAL },   { "LVTT", APIC_LVT_TIMER },
    };

    g_string_append_printf(out, "dumping local APIC state for CPU %u\n\n", apic->cpu);
    for (unsigned i = 0; i < G_N_ELEMENTS(lvts); i++) {
        describe_lvt(lvts[i].name, apic->lvt[lvts[i].lvt], lvts[i].lvt == APIC_LVT_TIMER, out);
    }
    describe_timer(apic, out);
    describe_icr(apic, out);
    g_string_append_printf(out, "ESR\t 0x%08x\n", apic->esr);
    describe_set("ISR", apic->isr, apic->tmr, out);
    describe_set("IRR", apic->irr, NULL, out);
    g_string_append_printf(out, "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n",
                           apic_ppr_locked(apic), apic->tpr, apic->dfr >> 28,
                           apic_is_x2apic(apic) ? apic->ldr : apic->ldr >> 24,
                           apic_ppr_locked(apic));
}

void apic_explain_locked(const Apic *apic, IrqChain *chain)
{
    const ApicMessage message = { .destination = chain->destination,
                                  .logical = chain->logical,
                                  .vector = (uint8_t)chain->vector };
    g_autofree char *name = g_strdup_printf("apic of CPU %u", apic->cpu);
    bool pending, in_service;
    uint32_t ppr = apic_ppr_locked(apic);

    /* The PIC's, which have no vector here, come by LINT0. */
    if (chain->vector < 0) {
        if (apic->cpu == 0) {
            irq_chain_add_cpu(chain, apic->cpu);
            irq_chain_add(chain, name,
                          apic_enabled(apic) && apic->lvt[APIC_LVT_LINT0] & APIC_MASKED,
                          "LINT0, where the PIC is, is %s",
                          !apic_enabled(apic) ? "wired to the CPU: the APIC is switched off"
                          : apic->lvt[APIC_LVT_LINT0] & APIC_MASKED ? "masked"
                                                                    : "not masked");
        }
        return;
    }
    pending = apic_test_bit(apic->irr, message.vector);
    in_service = apic_test_bit(apic->isr, message.vector);
    if (!pending && !in_service && !apic_matches(apic, &message)) {
        return;
    }
    irq_chain_add_cpu(chain, apic->cpu);
    if (!apic_enabled(apic) || !(apic->svr & APIC_SVR_ENABLE)) {
        irq_chain_add(chain, name, true, "it is switched off (%s)",
                      apic_enabled(apic) ? "SVR bit 8 is 0" : "IA32_APIC_BASE");
    }
    if (in_service) {
        irq_chain_add(chain, name, !pending,
                      "vector %#x is in service: the CPU has taken it and not ended it (EOI)",
                      message.vector);
    }
    irq_chain_add(chain, name, !pending, "vector %#x is %s", message.vector,
                  pending ? "pending (IRR)" : "not pending: no message came, or it was taken");
    if (pending && message.vector >> 4 <= ppr >> 4) {
        irq_chain_add(chain, name, true, "the CPU's priority (PPR) is %#x: vectors below %#x wait",
                      ppr, (ppr & 0xf0) + 0x10);
    }
}
