/* SPDX-License-Identifier: MIT */
/* A local APIC that is the host kernel's: its registers come and go as a page. */
#include <string.h>

#include "base/bits.h"
#include "hw/irq/apic.h"
#include "machine/arch/x86-chips.h"

#define WORD(register_offset, member)                                                              \
    {                                                                                              \
        register_offset, offsetof(Apic, member)                                                    \
    }

/* Registers that are a field; the sets are apart. */
static const struct {
    uint16_t offset;
    size_t field;
} words[] = {
    WORD(APIC_TPR, tpr),
    WORD(APIC_LDR, ldr),
    WORD(APIC_DFR, dfr),
    WORD(APIC_SVR, svr),
    WORD(APIC_ESR, esr),
    WORD(APIC_ICR, icr),
    WORD(APIC_ICR_HIGH, icr_high),
    WORD(APIC_LVT + 0x00, lvt[APIC_LVT_TIMER]),
    WORD(APIC_LVT + 0x10, lvt[APIC_LVT_THERMAL]),
    WORD(APIC_LVT + 0x20, lvt[APIC_LVT_PERFORMANCE]),
    WORD(APIC_LVT + 0x30, lvt[APIC_LVT_LINT0]),
    WORD(APIC_LVT + 0x40, lvt[APIC_LVT_LINT1]),
    WORD(APIC_LVT + 0x50, lvt[APIC_LVT_ERROR]),
    WORD(APIC_INITIAL_COUNT, initial_count),
    WORD(APIC_DIVIDE, divide),
};

static const struct {
    uint16_t offset;
    size_t field;
} sets[] = { WORD(APIC_ISR, isr), WORD(APIC_TMR, tmr), WORD(APIC_IRR, irr) };

static uint32_t *field_at(Apic *apic, size_t offset)
{
    return (uint32_t *)(void *)((char *)apic + offset);
}

void apic_from_kernel(Apic *apic)
{
    X86ApicState state;
    uint32_t left;

    apic->kernel->get_apic(apic->vcpu, &state);
    apic->base = state.base;
    apic->tsc_deadline = state.tsc_deadline;
    apic->id = load_le32(state.registers + APIC_ID);
    if (!apic_is_x2apic(apic)) {
        apic->id >>= 24;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        *field_at(apic, words[i].field) = load_le32(state.registers + words[i].offset);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++) {
        for (unsigned n = 0; n < 8; n++) {
            field_at(apic, sets[i].field)[n] = load_le32(state.registers + sets[i].offset + 16 * n);
        }
    }
    left = load_le32(state.registers + APIC_CURRENT_COUNT);
    apic_timer_set_left_locked(apic, apic->left_holds && !left ? apic->left : left);
}

void apic_to_kernel(Apic *apic)
{
    X86ApicState state = { .base = apic->base, .tsc_deadline = apic->tsc_deadline };

    store_le32(state.registers + APIC_ID, apic_is_x2apic(apic) ? apic->id : apic->id << 24);
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        store_le32(state.registers + words[i].offset, *field_at(apic, words[i].field));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++) {
        for (unsigned n = 0; n < 8; n++) {
            store_le32(state.registers + sets[i].offset + 16 * n, field_at(apic, sets[i].field)[n]);
        }
    }
    apic->left = apic_timer_count_locked(apic);
    store_le32(state.registers + APIC_CURRENT_COUNT, apic->left);
    apic->kernel->set_apic(apic->vcpu, &state);
}

/*
 * The kernel's timer runs out by the host's time while the machine is stopped, and what it then owes is nowhere to be read. So a count that had not
 * run out is kept, for snapshots; a machine that goes on in this process gets the interrupt from the kernel.
 */
void apic_kernel_run_state_changed(void *opaque, bool running)
{
    Apic *apic = opaque;

    apic->left_holds = false;
    if (!running) {
        apic_from_kernel(apic);
        apic->left = apic_timer_count_locked(apic);
        apic->left_holds = true;
    }
}
