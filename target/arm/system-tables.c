/* SPDX-License-Identifier: MIT */
/* The vectors for people (DDI 0487, D1.3.1), and what the processor does with an interrupt now. */
#include "target/arm/system-tables.h"

#include <glib.h>

#include "base/bits.h"
#include "target/arm/mmu.h"

const char *const arm_system_tables[] = { "vectors", NULL };

enum { VECTORS = 16, VECTOR_BYTES = 0x80, VECTOR_INSNS = VECTOR_BYTES / 4 };

/* The first branch among the first instructions: what handlers that do not fit begin with. */
static bool find_branch(ArmCpu *cpu, uint64_t at, uint64_t *target)
{
    for (unsigned i = 0; i < VECTOR_INSNS; i++) {
        uint32_t insn;

        if (!arm_read_code(cpu, at + 4 * i, &insn)) {
            return false;
        }
        if (insn >> 26 == 5 || insn >> 26 == 0x25) { /* B, BL */
            *target = at + 4 * i + (uint64_t)(4 * bits_sign_extend(insn, 26));
            return true;
        }
    }
    return false;
}

void arm_read_table(Vcpu *vcpu, const char *name, SystemTable *table)
{
    static const char *const kinds[] = { "synchronous", "IRQ", "FIQ", "SError" };
    static const char *const origins[] = { "from EL1 with SP_EL0", "from EL1 with SP_EL1",
                                           "from EL0 (AArch64)", "from EL0 (AArch32)" };
    ArmCpu *cpu = arm_cpu(vcpu);
    bool el1 = cpu->el1;

    table->base = cpu->vbar_el1;
    table->limit = VECTORS * VECTOR_BYTES - 1;
    /* Code is looked at as EL1 fetches it. */
    cpu->el1 = true;
    for (unsigned i = 0; i < VECTORS; i++) {
        SystemTableRow row = { .number = i * VECTOR_BYTES, .at = table->base + i * VECTOR_BYTES };
        uint32_t insn = 0;

        if (!arm_read_code(cpu, row.at, &insn)) {
            g_strlcpy(table->note, "VBAR_EL1 leads to where nothing can be executed",
                      sizeof table->note);
            break;
        }
        row.leads = find_branch(cpu, row.at, &row.target);
        g_snprintf(row.text, sizeof row.text, "%s, %s%s", kinds[i % 4], origins[i / 4],
                   insn ? "" : " (UDF: no code)");
        table->row(table->opaque, &row);
    }
    cpu->el1 = el1;
}

void arm_explain_interrupt(Vcpu *vcpu, IrqChain *chain)
{
    const ArmCpu *cpu = arm_cpu(vcpu);
    unsigned lines = atomic_load(&vcpu->interrupts);
    bool irq = lines >> ARM_LINE_IRQ & 1, fiq = lines >> ARM_LINE_FIQ & 1;
    g_autofree char *name = g_strdup_printf("cpu%u", vcpu->index);

    if (cpu->daif & SPSR_I && (irq || !fiq)) {
        irq_chain_add(chain, name, true, "PSTATE.I is 1: IRQs are masked at %s",
                      cpu->el1 ? "EL1" : "EL0");
    } else if (cpu->daif & SPSR_F && fiq) {
        irq_chain_add(chain, name, true, "PSTATE.F is 1: FIQs are masked at %s",
                      cpu->el1 ? "EL1" : "EL0");
    } else {
        irq_chain_add(chain, name, false, "PSTATE.I is 0; the line of IRQs is %s",
                      irq ? "asserted: it is about to be taken" : "not asserted");
    }
}
