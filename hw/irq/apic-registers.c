/* SPDX-License-Identifier: MIT */
/* The registers of a local APIC, in the page and as MSRs (Intel SDM volume 3, tables 11-1 and 11-6). */
#include "hw/irq/apic.h"

enum {
    VERSION = 0x14 | (APIC_LVT_COUNT - 1) << 16,
    ICR_PENDING = 1u << 12, /* delivery is at once, so it is never seen set */
    ICR_RESERVED = 0xfff32000u,
};

static const uint32_t lvt_writable[APIC_LVT_COUNT] = {
    [APIC_LVT_TIMER] = 0x700ff, [APIC_LVT_THERMAL] = 0x107ff, [APIC_LVT_PERFORMANCE] = 0x107ff,
    [APIC_LVT_LINT0] = 0x1a7ff, [APIC_LVT_LINT1] = 0x1a7ff,   [APIC_LVT_ERROR] = 0x100ff,
};

static const uint32_t *bit_set(const Apic *apic, uint32_t offset)
{
    return offset < APIC_TMR ? apic->isr : offset < APIC_IRR ? apic->tmr : apic->irr;
}

static bool read_locked(const Apic *apic, uint32_t offset, uint32_t *value)
{
    bool x2apic = apic_is_x2apic(apic);

    switch (offset) {
    case APIC_ID:
        *value = x2apic ? apic->id : apic->id << 24;
        return true;
    case APIC_VERSION:
        *value = VERSION;
        return true;
    case APIC_TPR:
        *value = apic->tpr;
        return true;
    case APIC_APR:
        *value = apic_ppr_locked(apic);
        return !x2apic;
    case APIC_PPR:
        *value = apic_ppr_locked(apic);
        return true;
    case APIC_EOI:
        return !x2apic; /* write-only; old software reads it */
    case APIC_LDR:
        *value = apic->ldr;
        return true;
    case APIC_DFR:
        *value = apic->dfr;
        return !x2apic;
    case APIC_SVR:
        *value = apic->svr;
        return true;
    case APIC_ISR ... APIC_ESR - 1:
        *value = bit_set(apic, offset)[offset >> 4 & 7];
        return true;
    case APIC_ESR:
        *value = apic->esr;
        return true;
    case APIC_ICR:
        *value = apic->icr;
        return true;
    case APIC_ICR_HIGH:
        *value = apic->icr_high;
        return !x2apic;
    case APIC_LVT ... APIC_INITIAL_COUNT - 1:
        *value = apic->lvt[(offset - APIC_LVT) >> 4];
        return true;
    case APIC_INITIAL_COUNT:
        *value = apic->initial_count;
        return true;
    case APIC_CURRENT_COUNT:
        *value = apic_timer_count_locked(apic);
        return true;
    case APIC_DIVIDE:
        *value = apic->divide;
        return true;
    default:
        return false;
    }
}

bool apic_read_register(Apic *apic, uint32_t offset, uint32_t *value)
{
    bool ok;

    *value = 0;
    g_mutex_lock(&apic->bus->lock);
    ok = !(offset & 0xf) && read_locked(apic, offset, value);
    g_mutex_unlock(&apic->bus->lock);
    return ok;
}

static void write_svr(Apic *apic, uint32_t value)
{
    apic->svr = value & 0x3ff;
    if (!(value & APIC_SVR_ENABLE)) {
        for (unsigned i = 0; i < APIC_LVT_COUNT; i++) {
            apic->lvt[i] |= APIC_MASKED;
        }
    }
    apic_check_lints_locked(apic);
}

static void write_lvt(Apic *apic, ApicLvt n, uint32_t value)
{
    value &= lvt_writable[n];
    if (!(apic->svr & APIC_SVR_ENABLE)) {
        value |= APIC_MASKED;
    }
    if (n == APIC_LVT_TIMER) {
        apic_timer_write_lvt_locked(apic, value);
        return;
    }
    if (value & APIC_LEVEL && (value >> 8 & 7) == APIC_FIXED) {
        value |= apic->lvt[n] & APIC_REMOTE_IRR;
    }
    apic->lvt[n] = value;
    apic_check_lints_locked(apic);
}

/* Registers that both modes have. false: there is none. */
static bool write_common_locked(Apic *apic, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case APIC_TPR:
        apic->tpr = value & 0xff;
        return true;
    case APIC_SVR:
        write_svr(apic, value);
        return true;
    case APIC_ESR:
        apic->esr = apic->errors;
        apic->errors = 0;
        return true;
    case APIC_LVT ... APIC_INITIAL_COUNT - 1:
        write_lvt(apic, (offset - APIC_LVT) >> 4, value);
        return true;
    case APIC_INITIAL_COUNT:
        apic_timer_start_locked(apic, value);
        return true;
    case APIC_DIVIDE:
        apic_timer_write_divide_locked(apic, value);
        return true;
    default:
        return false;
    }
}

static bool write_xapic_locked(Apic *apic, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case APIC_ID:
        apic->id = value >> 24;
        return true;
    case APIC_LDR:
        apic->ldr = value & 0xff000000;
        return true;
    case APIC_DFR:
        apic->dfr = value | 0x0fffffff;
        return true;
    case APIC_ICR:
        apic->icr = value & ~(uint32_t)ICR_PENDING;
        apic_send_icr_locked(apic);
        return true;
    case APIC_ICR_HIGH:
        apic->icr_high = value & 0xff000000;
        return true;
    default:
        return write_common_locked(apic, offset, value);
    }
}

/* Reserved bits fault here. */
static bool write_x2apic_locked(Apic *apic, uint32_t offset, uint64_t value)
{
    static const struct {
        uint32_t offset, writable;
    } limits[] = {
        { APIC_TPR, 0xff },   { APIC_SVR, 0x3ff },
        { APIC_ESR, 0 },      { APIC_INITIAL_COUNT, UINT32_MAX },
        { APIC_DIVIDE, 0xb },
    };

    if (offset == APIC_ICR) {
        if (value & ICR_RESERVED) {
            return false;
        }
        apic->icr = (uint32_t)value & ~(uint32_t)ICR_PENDING;
        apic->icr_high = value >> 32;
        apic_send_icr_locked(apic);
        return true;
    }
    if (offset == APIC_SELF_IPI && value <= 0xff) {
        if (value < 16) {
            apic_error_locked(apic, APIC_ERROR_SEND_VECTOR);
        } else {
            apic_accept_locked(apic, APIC_FIXED, (uint8_t)value, false);
        }
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        if (limits[i].offset == offset && value & ~(uint64_t)limits[i].writable) {
            return false;
        }
    }
    if (offset >= APIC_LVT && offset < APIC_INITIAL_COUNT &&
        value & ~(uint64_t)(lvt_writable[(offset - APIC_LVT) >> 4] | 1u << 12 | APIC_REMOTE_IRR)) {
        return false;
    }
    return write_common_locked(apic, offset, (uint32_t)value);
}

bool apic_write_register(Apic *apic, uint32_t offset, uint64_t value)
{
    bool ok = !(offset & 0xf), x2apic;
    int ended = -1;

    g_mutex_lock(&apic->bus->lock);
    x2apic = apic_is_x2apic(apic);
    if (ok && offset == APIC_EOI && !(x2apic && value)) {
        ended = apic_end_locked(apic);
    } else if (ok) {
        ok = x2apic ? write_x2apic_locked(apic, offset, value)
                    : write_xapic_locked(apic, offset, (uint32_t)value);
        apic_update_locked(apic);
    }
    g_mutex_unlock(&apic->bus->lock);
    if (ended >= 0) {
        irq_set(&apic->eoi, ended);
    }
    return ok;
}

/* External registers of the CPU, on its thread. */

static Apic *apic_of(void *bus, const Vcpu *vcpu)
{
    return vcpu->index < APIC_BUS_MAX ? ((ApicBus *)bus)->apic[vcpu->index] : NULL;
}

static bool cr8_read(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    Apic *apic = apic_of(bus, vcpu);

    *value = apic ? apic->tpr >> 4 : 0;
    return true;
}

static bool cr8_write(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    Apic *apic = apic_of(bus, vcpu);

    if (value > 15) {
        return false;
    }
    if (apic) {
        g_mutex_lock(&apic->bus->lock);
        apic->tpr = (uint32_t)value << 4;
        apic_update_locked(apic);
        g_mutex_unlock(&apic->bus->lock);
    }
    return true;
}

static bool base_read(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    Apic *apic = apic_of(bus, vcpu);

    *value = apic ? apic->base : 0;
    return apic != NULL;
}

/* x2APIC mode is entered from xAPIC mode, and left by disabling the APIC. */
static bool base_allowed(const Apic *apic, uint64_t value)
{
    const uint64_t defined = APIC_BASE_BSP | APIC_BASE_X2APIC | APIC_BASE_ENABLE;
    uint64_t now = apic->base & (APIC_BASE_X2APIC | APIC_BASE_ENABLE);
    uint64_t next = value & (APIC_BASE_X2APIC | APIC_BASE_ENABLE);

    if (value >> 52 || (value & 0xfff & ~defined)) {
        return false;
    }
    if (next & APIC_BASE_X2APIC && !apic->offers_x2apic) {
        return false;
    }
    return next != APIC_BASE_X2APIC &&
           !(now == (APIC_BASE_X2APIC | APIC_BASE_ENABLE) && next == APIC_BASE_ENABLE) &&
           !(now == 0 && next == (APIC_BASE_X2APIC | APIC_BASE_ENABLE));
}

static void change_base_locked(Apic *apic, uint64_t value)
{
    bool was_x2apic = apic_is_x2apic(apic), was_enabled = apic_enabled(apic);

    apic->base = value;
    if (was_enabled && !apic_enabled(apic)) {
        apic_reset_locked(apic, true);
    }
    if (apic_is_x2apic(apic) && !was_x2apic) {
        apic->id = apic->cpu;
        apic->ldr = apic->id >> 4 << 16 | 1u << (apic->id & 0xf);
    }
    apic_update_locked(apic);
}

static bool base_write(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    Apic *apic = apic_of(bus, vcpu);
    Machine *machine = vcpu->machine;
    bool held = machine_lock_held(machine);

    if (!apic || !base_allowed(apic, value)) {
        return false;
    }
    if (!held) {
        machine_lock(machine);
    }
    g_mutex_lock(&apic->bus->lock);
    change_base_locked(apic, (value & ~(uint64_t)APIC_BASE_BSP) | (apic->base & APIC_BASE_BSP));
    g_mutex_unlock(&apic->bus->lock);
    apic_place_page(apic);
    if (!held) {
        machine_unlock(machine);
    }
    return true;
}

static bool deadline_read(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    Apic *apic = apic_of(bus, vcpu);

    if (!apic) {
        return false;
    }
    g_mutex_lock(&apic->bus->lock);
    *value = apic->tsc_deadline;
    g_mutex_unlock(&apic->bus->lock);
    return true;
}

static bool deadline_write(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    Apic *apic = apic_of(bus, vcpu);

    if (!apic) {
        return false;
    }
    g_mutex_lock(&apic->bus->lock);
    apic_timer_set_deadline_locked(apic, value);
    g_mutex_unlock(&apic->bus->lock);
    return true;
}

static bool x2apic_read(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    Apic *apic = apic_of(bus, vcpu);
    uint32_t low, offset = (encoding - X86_REGISTER_X2APIC_FIRST) << 4;

    if (!apic || !apic_is_x2apic(apic) || offset == APIC_EOI ||
        !apic_read_register(apic, offset, &low)) {
        return false;
    }
    *value = offset == APIC_ICR ? (uint64_t)apic->icr_high << 32 | low : low;
    return true;
}

static bool x2apic_write(void *bus, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    Apic *apic = apic_of(bus, vcpu);

    return apic && apic_is_x2apic(apic) &&
           apic_write_register(apic, (encoding - X86_REGISTER_X2APIC_FIRST) << 4, value);
}

#define X2APIC(offset, name)                                                                       \
    {                                                                                              \
        X86_REGISTER_X2APIC_FIRST + ((offset) >> 4), name, x2apic_read, x2apic_write               \
    }
#define X2APIC_8(offset, name)                                                                     \
    X2APIC(offset, name "0"), X2APIC((offset) + 0x10, name "1"),                                   \
        X2APIC((offset) + 0x20, name "2"), X2APIC((offset) + 0x30, name "3"),                      \
        X2APIC((offset) + 0x40, name "4"), X2APIC((offset) + 0x50, name "5"),                      \
        X2APIC((offset) + 0x60, name "6"), X2APIC((offset) + 0x70, name "7")

/* clang-format off */
const ExternalRegister apic_external_registers[] = {
    { X86_REGISTER_CR8, "cr8", cr8_read, cr8_write },
    { X86_REGISTER_APIC_BASE, "apic_base", base_read, base_write },
    { X86_REGISTER_TSC_DEADLINE, "tsc_deadline", deadline_read, deadline_write },
    X2APIC(APIC_ID, "x2apic_id"),
    X2APIC(APIC_VERSION, "x2apic_version"),
    X2APIC(APIC_TPR, "x2apic_tpr"),
    X2APIC(APIC_PPR, "x2apic_ppr"),
    X2APIC(APIC_EOI, "x2apic_eoi"),
    X2APIC(APIC_LDR, "x2apic_ldr"),
    X2APIC(APIC_SVR, "x2apic_svr"),
    X2APIC_8(APIC_ISR, "x2apic_isr"),
    X2APIC_8(APIC_TMR, "x2apic_tmr"),
    X2APIC_8(APIC_IRR, "x2apic_irr"),
    X2APIC(APIC_ESR, "x2apic_esr"),
    X2APIC(APIC_ICR, "x2apic_icr"),
    X2APIC(APIC_LVT, "x2apic_lvt_timer"),
    X2APIC(APIC_LVT + 0x10, "x2apic_lvt_thermal"),
    X2APIC(APIC_LVT + 0x20, "x2apic_lvt_performance"),
    X2APIC(APIC_LVT + 0x30, "x2apic_lvt_lint0"),
    X2APIC(APIC_LVT + 0x40, "x2apic_lvt_lint1"),
    X2APIC(APIC_LVT + 0x50, "x2apic_lvt_error"),
    X2APIC(APIC_INITIAL_COUNT, "x2apic_initial_count"),
    X2APIC(APIC_CURRENT_COUNT, "x2apic_current_count"),
    X2APIC(APIC_DIVIDE, "x2apic_divide"),
    X2APIC(APIC_SELF_IPI, "x2apic_self_ipi"),
    { 0 },
};
/* clang-format on */
