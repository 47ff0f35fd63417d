/* SPDX-License-Identifier: MIT */
/* What a local APIC does with interrupts: acceptance, priorities, EOI, local inputs (Intel SDM volume 3, 11.5 and 11.8). */
#include <string.h>

#include "hw/irq/apic.h"

static void set_bit(uint32_t *set, unsigned n)
{
    set[n / 32] |= 1u << n % 32;
}

static void clear_bit(uint32_t *set, unsigned n)
{
    set[n / 32] &= ~(1u << n % 32);
}

/* The highest vector in a set, or -1. */
static int highest(const uint32_t *set)
{
    for (int word = 7; word >= 0; word--) {
        if (set[word]) {
            return word * 32 + 31 - __builtin_clz(set[word]);
        }
    }
    return -1;
}

uint32_t apic_ppr_locked(const Apic *apic)
{
    int served = highest(apic->isr);
    uint32_t class = served < 0 ? 0 : served & 0xf0;

    return (apic->tpr & 0xf0) >= class ? apic->tpr : class;
}

static bool software_enabled(const Apic *apic)
{
    return apic_enabled(apic) && apic->svr & APIC_SVR_ENABLE;
}

/* The vector that may interrupt the CPU, or -1. */
static int deliverable(const Apic *apic)
{
    int vector = software_enabled(apic) ? highest(apic->irr) : -1;

    return vector >= 0 && (vector & 0xf0u) > (apic_ppr_locked(apic) & 0xf0) ? vector : -1;
}

static bool pic_wants(const Apic *apic)
{
    uint32_t lvt = apic->lvt[APIC_LVT_LINT0];

    if (!apic_enabled(apic)) {
        return apic->lint[APIC_INPUT_LINT0]; /* the pin is INTR */
    }
    return apic->external ||
           (apic->lint[APIC_INPUT_LINT0] && !(lvt & APIC_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT);
}

void apic_update_locked(Apic *apic)
{
    bool level = deliverable(apic) >= 0 || pic_wants(apic);

    if (level != (atomic_load(&apic->vcpu->interrupts) >> X86_LINE_INTR & 1)) {
        vcpu_set_interrupt(apic->vcpu, X86_LINE_INTR, level);
    }
}

void apic_error_locked(Apic *apic, uint32_t error)
{
    uint32_t lvt = apic->lvt[APIC_LVT_ERROR];

    if (apic->errors & error) {
        return;
    }
    apic->errors |= error;
    if (!(lvt & APIC_MASKED)) {
        apic_accept_locked(apic, APIC_FIXED, lvt & 0xff, false);
    }
}

static void accept_fixed(Apic *apic, uint8_t vector, bool level)
{
    if (!software_enabled(apic)) {
        return;
    }
    if (vector < 16) {
        apic_error_locked(apic, APIC_ERROR_RECEIVE_VECTOR);
        return;
    }
    set_bit(apic->irr, vector);
    if (level) {
        set_bit(apic->tmr, vector);
    } else {
        clear_bit(apic->tmr, vector);
    }
    apic_update_locked(apic);
}

void apic_accept_locked(Apic *apic, ApicMode mode, uint8_t vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST_PRIORITY:
        accept_fixed(apic, vector, level);
        break;
    case APIC_SMI:
        vcpu_post_event(apic->vcpu, X86_EVENT_SMI, 0);
        break;
    case APIC_NMI:
        x86_post_nmi(apic->vcpu);
        break;
    case APIC_INIT:
        apic_reset_locked(apic, true);
        vcpu_post_event(apic->vcpu, X86_EVENT_INIT, 0);
        break;
    case APIC_START_UP:
        vcpu_post_event(apic->vcpu, X86_EVENT_SIPI, vector);
        break;
    case APIC_EXTINT:
        apic->external = 1;
        apic_update_locked(apic);
        break;
    default:
        log_guest_error("apic", "cpu%u: message with delivery mode %d", apic->cpu, (int)mode);
    }
}

int apic_take_locked(Apic *apic)
{
    int vector = deliverable(apic);

    if (vector < 0) {
        return pic_wants(apic) ? APIC_ASK_PIC : IRQ_NO_VECTOR;
    }
    clear_bit(apic->irr, vector);
    set_bit(apic->isr, vector);
    apic_timer_taken_locked(apic, (uint8_t)vector);
    apic_update_locked(apic);
    return vector;
}

int apic_end_locked(Apic *apic)
{
    int vector = highest(apic->isr);

    if (vector < 0) {
        return -1;
    }
    clear_bit(apic->isr, vector);
    for (unsigned i = 0; i < APIC_INPUT_COUNT; i++) {
        uint32_t *lvt = &apic->lvt[APIC_LVT_LINT0 + i];

        if (*lvt & APIC_REMOTE_IRR && (*lvt & 0xff) == (uint32_t)vector) {
            *lvt &= ~(uint32_t)APIC_REMOTE_IRR;
        }
    }
    apic_check_lints_locked(apic);
    apic_update_locked(apic);
    return apic_test_bit(apic->tmr, vector) ? vector : -1;
}

/* A fixed interrupt by level waits for its EOI before it comes again. */
static void check_lint(Apic *apic, unsigned input)
{
    uint32_t *lvt = &apic->lvt[APIC_LVT_LINT0 + input];
    bool fixed_level = (*lvt >> 8 & 7) == APIC_FIXED && *lvt & APIC_LEVEL;

    if (fixed_level && apic->lint[input] && !(*lvt & (APIC_MASKED | APIC_REMOTE_IRR)) &&
        software_enabled(apic)) {
        *lvt |= APIC_REMOTE_IRR;
        apic_accept_locked(apic, APIC_FIXED, *lvt & 0xff, true);
    }
}

void apic_check_lints_locked(Apic *apic)
{
    for (unsigned i = 0; i < APIC_INPUT_COUNT; i++) {
        check_lint(apic, i);
    }
}

void apic_set_lint_locked(Apic *apic, unsigned input, bool level)
{
    uint32_t lvt = apic->lvt[APIC_LVT_LINT0 + input];
    bool rises = level && !apic->lint[input];
    ApicMode mode = lvt >> 8 & 7;

    apic->lint[input] = level;
    if (!apic_enabled(apic)) {
        if (input == APIC_INPUT_LINT1 && rises) {
            x86_post_nmi(apic->vcpu);
        }
    } else if (mode == APIC_FIXED && lvt & APIC_LEVEL) {
        check_lint(apic, input);
    } else if (mode != APIC_EXTINT && rises && !(lvt & APIC_MASKED)) {
        apic_accept_locked(apic, mode, lvt & 0xff, false);
    }
    apic_update_locked(apic);
}

void apic_reset_locked(Apic *apic, bool init)
{
    if (!init) {
        bool first = apic->cpu == 0;

        apic->base = PC_APIC_ADDRESS | APIC_BASE_ENABLE | (first ? APIC_BASE_BSP : 0);
        memset(apic->lint, 0, sizeof apic->lint);
    }
    if (!apic_is_x2apic(apic)) {
        apic->id = apic->cpu;
        apic->ldr = 0;
    }
    apic->dfr = UINT32_MAX;
    apic->svr = 0xff;
    apic->tpr = apic->esr = apic->errors = apic->icr = apic->icr_high = 0;
    for (unsigned i = 0; i < APIC_LVT_COUNT; i++) {
        apic->lvt[i] = APIC_MASKED;
    }
    /* A PC's first CPU hears the PIC before any software has set its APIC up (virtual wire mode). */
    if (apic->cpu == 0) {
        apic->lvt[APIC_LVT_LINT0] = APIC_EXTINT << 8;
    }
    memset(apic->isr, 0, sizeof apic->isr);
    memset(apic->tmr, 0, sizeof apic->tmr);
    memset(apic->irr, 0, sizeof apic->irr);
    apic->initial_count = apic->divide = 0;
    apic->count_start_ns = 0;
    apic->expiry_ns = -1;
    apic->ticks_owed = apic->ticks_in_a_row = 0;
    apic->tsc_deadline = 0;
    apic->external = 0;
    apic->turn = 0;
    apic_timer_update_locked(apic, false);
    apic_update_locked(apic);
}
