/* SPDX-License-Identifier: MIT */
/* How messages find local APICs: destinations and delivery modes (Intel SDM volume 3, 11.6 and 11.11). */
#include "hw/irq/apic.h"

static void apic_bus_free(void *opaque)
{
    ApicBus *bus = opaque;

    g_mutex_clear(&bus->lock);
    g_free(bus);
}

ApicBus *apic_bus_get(Machine *machine)
{
    ApicBus *bus;
    void *opaque;

    if (machine_find_external_register(machine, X86_REGISTER_APIC_BASE, &opaque)) {
        return opaque;
    }
    bus = g_new0(ApicBus, 1);
    bus->machine = machine;
    g_mutex_init(&bus->lock);
    machine_add_external_registers(machine, apic_external_registers, bus);
    machine_on_free(machine, apic_bus_free, bus);
    return bus;
}

/* 8 bits: 0xff is everybody. A wide one is the 32 bits of x2APIC mode. */
static bool matches_physical(const Apic *apic, const ApicMessage *m)
{
    uint32_t everybody = m->wide ? UINT32_MAX : 0xff;

    return m->destination == everybody || m->destination == apic->id;
}

static bool matches_logical(const Apic *apic, const ApicMessage *m)
{
    uint32_t destination = m->destination;

    if (m->destination == (m->wide ? UINT32_MAX : 0xff)) {
        return true;
    }
    if (apic_is_x2apic(apic)) {
        return apic->ldr >> 16 == destination >> 16 && apic->ldr & destination & 0xffff;
    }
    if (apic->dfr >> 28 == 0xf) { /* flat */
        return destination <= 0xff && apic->ldr >> 24 & destination;
    }
    return destination <= 0xff &&
           (destination >> 4 == apic->ldr >> 28 || destination >> 4 == 0xf) &&
           apic->ldr >> 24 & destination & 0xf;
}

bool apic_matches(const Apic *apic, const ApicMessage *m)
{
    return apic && apic_enabled(apic) &&
           (m->logical ? matches_logical(apic, m) : matches_physical(apic, m));
}

/* Of the destinations the one that does the least important work; of equal ones the one whose turn is longest ago. */
static Apic *find_lowest(ApicBus *bus, const ApicMessage *m)
{
    Apic *best = NULL;
    uint32_t latest = 0;

    for (unsigned i = 0; i < bus->count; i++) {
        Apic *apic = bus->apic[i];

        if (!apic_matches(apic, m) || !(apic->svr & APIC_SVR_ENABLE)) {
            continue;
        }
        latest = MAX(latest, apic->turn);
        if (!best || apic_ppr_locked(apic) < apic_ppr_locked(best) ||
            (apic_ppr_locked(apic) == apic_ppr_locked(best) && apic->turn < best->turn)) {
            best = apic;
        }
    }
    if (best) {
        best->turn = latest + 1;
    }
    return best;
}

void apic_bus_send_locked(ApicBus *bus, const ApicMessage *message)
{
    if (message->mode == APIC_LOWEST_PRIORITY) {
        Apic *apic = find_lowest(bus, message);

        if (apic) {
            apic_accept_locked(apic, APIC_FIXED, message->vector, message->level);
        }
        return;
    }
    for (unsigned i = 0; i < bus->count; i++) {
        if (apic_matches(bus->apic[i], message)) {
            apic_accept_locked(bus->apic[i], message->mode, message->vector, message->level);
        }
    }
}

/* Lost in all destinations, or not lost. */
static IrqAnswer query_locked(ApicBus *bus, const ApicMessage *m)
{
    IrqAnswer answer = IRQ_NOBODY;

    for (unsigned i = 0; i < bus->count; i++) {
        const Apic *apic = bus->apic[i];

        if (apic_matches(apic, m) && apic->svr & APIC_SVR_ENABLE) {
            answer =
                irq_either(answer, apic_test_bit(apic->irr, m->vector) ? IRQ_WAITS : IRQ_TAKEN);
        }
    }
    return answer;
}

IrqAnswer apic_bus_query(ApicBus *bus, const ApicMessage *message, IrqWatch *watch)
{
    IrqAnswer answer;

    g_mutex_lock(&bus->lock);
    answer = query_locked(bus, message);
    if (answer == IRQ_WAITS) {
        bus->watched[message->vector / 32] |= 1u << message->vector % 32;
        irq_watch_keep(&bus->watch[message->vector], watch);
    }
    g_mutex_unlock(&bus->lock);
    return answer;
}

void apic_bus_tell_taken(ApicBus *bus, uint8_t vector)
{
    bool held = machine_lock_held(bus->machine);
    IrqWatch *watch;

    if (!held) {
        machine_lock(bus->machine);
    }
    g_mutex_lock(&bus->lock);
    bus->watched[vector / 32] &= ~(1u << vector % 32);
    watch = irq_watch_take(&bus->watch[vector]);
    g_mutex_unlock(&bus->lock);
    if (watch) {
        watch->taken(watch->opaque);
    }
    if (!held) {
        machine_unlock(bus->machine);
    }
}

void apic_bus_write_msi(ApicBus *bus, uint32_t offset, uint32_t data)
{
    ApicMessage message = {
        .destination = offset >> 12 & 0xff,
        .logical = offset >> 2 & 1,
        .level = data & APIC_LEVEL,
        .mode = data >> 8 & 7,
        .vector = data & 0xff,
    };

    g_mutex_lock(&bus->lock);
    apic_bus_send_locked(bus, &message);
    g_mutex_unlock(&bus->lock);
}

void apic_send_icr_locked(Apic *from)
{
    enum { EXPLICIT, SELF, ALL, OTHERS };
    unsigned shorthand = from->icr >> 18 & 3, mode = from->icr >> 8 & 7;
    bool assert_level = from->icr & 1u << 14, level = from->icr & APIC_LEVEL;
    ApicMessage message = {
        .destination = apic_is_x2apic(from) ? from->icr_high : from->icr_high >> 24,
        .wide = apic_is_x2apic(from),
        .logical = from->icr & 1u << 11,
        .mode = mode,
        .vector = from->icr & 0xff,
    };

    if (mode == 3 || mode == APIC_EXTINT) {
        log_guest_error("apic", "cpu%u: ICR with delivery mode %u", from->cpu, mode);
        return;
    }
    if (mode <= APIC_LOWEST_PRIORITY && message.vector < 16) {
        apic_error_locked(from, APIC_ERROR_SEND_VECTOR);
        return;
    }
    if (mode == APIC_INIT && level && !assert_level) {
        return; /* only synchronized the arbitration IDs of old busses */
    }
    if (shorthand == EXPLICIT) {
        apic_bus_send_locked(from->bus, &message);
        return;
    }
    for (unsigned i = 0; i < from->bus->count; i++) {
        Apic *to = from->bus->apic[i];
        bool self = to == from;

        if (to && apic_enabled(to) && (shorthand == ALL || self == (shorthand == SELF)) &&
            (!self || shorthand == SELF || mode <= APIC_LOWEST_PRIORITY)) {
            apic_accept_locked(to, mode == APIC_LOWEST_PRIORITY ? APIC_FIXED : (ApicMode)mode,
                               message.vector, false);
        }
    }
}
