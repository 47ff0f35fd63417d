/* SPDX-License-Identifier: MIT */
/*
 * High precision event timers (IA-PC HPET specification 1.0a): a 64-bit counter at 100 MHz and 3 to 32 comparators, all
 * of which can be periodic. Interrupts by messages (FSB) are not offered.
 *
 * The counter is read without the machine lock. In legacy replacement mode timers 0 and 1 take the places of the PIT and the RTC,
 * whose interrupts pass through here for that reason.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/arch/x86-chips.h"
#include "machine/clock.h"
#include "machine/irq-ticks.h"
#include "machine/machine.h"

enum {
    TIMERS_MIN = 3,
    TIMERS_MAX = 32,
    TICK_NS = 10,
    CAPABILITIES = 0x000,
    CONFIG = 0x010,
    STATUS = 0x020,
    COUNTER = 0x0f0,
    TIMER_FIRST = 0x100,
    TIMER_STRIDE = 0x20,
    TIMER_CONFIG = 0x00,
    TIMER_COMPARATOR = 0x08,
    TIMER_MESSAGE = 0x10,
};
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
enum {
    TIMER_LEVEL = 1 << 1,
    TIMER_INTERRUPT = 1 << 2,
    TIMER_PERIODIC = 1 << 3,
    TIMER_CAN_PERIODIC = 1 << 4,
    TIMER_CAN_64 = 1 << 5,
    TIMER_SET_VALUE = 1 << 6,
    TIMER_32_BITS = 1 << 8,
    TIMER_ROUTE = 0x1f << 9,
    TIMER_WRITABLE = TIMER_LEVEL | TIMER_INTERRUPT | TIMER_PERIODIC | TIMER_SET_VALUE |
                     TIMER_32_BITS | TIMER_ROUTE,
};
/* Revision 1, 64 bits, legacy replacement, vendor 8086, a period in femtoseconds. */
#define CAPABILITIES_FIXED (UINT64_C(10000000) << 32 | 0x8086a001)
#define SHORTEST_PERIOD_NS INT64_C(20000)

typedef struct Hpet Hpet;

typedef struct {
    Hpet *hpet;
    Timer timer;
    IrqTicks ticks;
    uint64_t config; /* what can be written of it */
    uint64_t comparator, period;
} Comparator;

struct Hpet {
    Device device;
    MemoryRegion mmio;
    IrqLine irq[PC_GSI_COUNT];
    uint8_t timers;  /* property */
    uint32_t routes; /* property: interrupts that a timer can have */
    uint64_t config, status;
    /* While it counts the clock plus this, else the counter itself, in nanoseconds and in ticks. */
    _Atomic int64_t offset_ns;
    _Atomic uint64_t stopped;
    atomic_bool counts;
    uint8_t inputs; /* levels: bit per HpetInput */
    Comparator comparator[TIMERS_MAX];
};

static Hpet *hpet_of(Device *device)
{
    return container_of(device, Hpet, device);
}

static uint64_t counter(Hpet *h)
{
    if (!atomic_load(&h->counts)) {
        return atomic_load(&h->stopped);
    }
    return (uint64_t)(clock_now_ns(h->device.machine) + atomic_load(&h->offset_ns)) / TICK_NS;
}

/* Interrupts. */

static unsigned index_of(const Comparator *c)
{
    return (unsigned)(c - c->hpet->comparator);
}

static unsigned route(const Comparator *c)
{
    static const uint8_t legacy[] = { 0, 8 };
    unsigned n = index_of(c);

    if (c->hpet->config & CONFIG_LEGACY && n < G_N_ELEMENTS(legacy)) {
        return legacy[n];
    }
    return c->config >> 9 & 0x1f;
}

static void drive(Hpet *h, unsigned line, int level)
{
    if (line < PC_GSI_COUNT && h->irq[line].level != level) {
        irq_set(&h->irq[line], level);
    }
}

/* The level that a line has: of timers by level, and of the PIT and the RTC. */
static void update_line(Hpet *h, unsigned line)
{
    bool level = false;

    if (!(h->config & CONFIG_LEGACY)) {
        level = (line == 0 && h->inputs & 1u << HPET_INPUT_PIT) ||
                (line == 8 && h->inputs & 1u << HPET_INPUT_RTC);
    }
    for (unsigned i = 0; i < h->timers; i++) {
        const Comparator *c = &h->comparator[i];

        level |= h->status >> i & 1 && c->config & TIMER_INTERRUPT && route(c) == line;
    }
    drive(h, line, level);
}

static void update_lines(Hpet *h)
{
    for (unsigned line = 0; line < PC_GSI_COUNT; line++) {
        update_line(h, line);
    }
}

static void interrupt(Comparator *c)
{
    Hpet *h = c->hpet;
    unsigned line = route(c);

    if (c->config & TIMER_LEVEL) {
        h->status |= 1u << index_of(c);
        update_line(h, line);
    } else if (c->config & TIMER_INTERRUPT) {
        drive(h, line, 1);
        update_line(h, line);
    }
}

static void raise_tick(void *opaque)
{
    interrupt(opaque);
}

/* Comparators. */

static uint64_t mask_of(const Comparator *c)
{
    return c->config & TIMER_32_BITS ? UINT32_MAX : UINT64_MAX;
}

/* Ticks to the comparator; what lies behind, as guests are late, is now. */
static uint64_t distance(Comparator *c)
{
    uint64_t mask = mask_of(c), ticks = (c->comparator - counter(c->hpet)) & mask;

    return ticks > mask / 2 ? 0 : ticks;
}

static void arm_in(Comparator *c, uint64_t ticks, int64_t at_least_ns)
{
    int64_t now_ns = clock_now_ns(c->hpet->device.machine);

    /* Centuries away is never. */
    if (ticks > (uint64_t)INT64_MAX / TICK_NS / 2) {
        timer_cancel(&c->timer);
    } else {
        timer_arm(&c->timer, now_ns + MAX((int64_t)ticks * TICK_NS, at_least_ns));
    }
}

/* Whether anybody notices when it is reached. */
static bool has_effect(const Comparator *c)
{
    return c->config & (TIMER_INTERRUPT | TIMER_LEVEL);
}

static void restart(Comparator *c)
{
    irq_ticks_clear(&c->ticks);
    if (atomic_load(&c->hpet->counts) && has_effect(c)) {
        arm_in(c, distance(c), 0);
    } else {
        timer_cancel(&c->timer);
    }
}

/* To the next period's end that lies ahead; how many have come. */
static uint64_t advance(Comparator *c)
{
    uint64_t mask = mask_of(c), period = c->period & mask, ended;

    if (distance(c)) {
        return 0;
    }
    ended = ((counter(c->hpet) - c->comparator) & mask) / period + 1;
    c->comparator = (c->comparator + ended * period) & mask;
    return ended;
}

/* Before its registers are read or written: one without effect has no timer that moves it. */
static void catch_up(Comparator *c)
{
    if (!has_effect(c) && c->config & TIMER_PERIODIC && c->period & mask_of(c) &&
        atomic_load(&c->hpet->counts)) {
        advance(c);
    }
}

static void expire_periodic(Comparator *c)
{
    uint64_t period = c->period & mask_of(c), ended = advance(c), ticks = distance(c);
    int64_t period_ns = (int64_t)MIN(period, (uint64_t)INT64_MAX / TICK_NS) * TICK_NS;
    bool counted = !(c->config & TIMER_LEVEL) && c->config & TIMER_INTERRUPT &&
                   period_ns >= SHORTEST_PERIOD_NS && route(c) < PC_GSI_COUNT;

    if (!counted && ended) {
        interrupt(c);
    } else if (counted && irq_ticks_add(&c->ticks, &c->hpet->irq[route(c)], ended, period_ns)) {
        ticks = MIN(ticks, period / 2);
    }
    arm_in(c, ticks, SHORTEST_PERIOD_NS);
}

static void expire(void *opaque)
{
    Comparator *c = opaque;

    if (c->config & TIMER_PERIODIC && c->period & mask_of(c)) {
        expire_periodic(c);
        return;
    }
    interrupt(c);
    if (c->config & TIMER_32_BITS) {
        arm_in(c, UINT64_C(1) << 32, 0); /* the same value again */
    }
}

/* Registers. */

static uint64_t read_timer(Hpet *h, unsigned n, unsigned offset)
{
    Comparator *c = &h->comparator[n];

    catch_up(c);
    switch (offset) {
    case TIMER_CONFIG:
        return c->config | TIMER_CAN_PERIODIC | TIMER_CAN_64 | (uint64_t)h->routes << 32;
    case TIMER_COMPARATOR:
        return c->comparator;
    default:
        return 0;
    }
}

static uint64_t read_locked(Hpet *h, unsigned offset)
{
    switch (offset) {
    case CAPABILITIES:
        return CAPABILITIES_FIXED | (uint64_t)(h->timers - 1) << 8;
    case CONFIG:
        return h->config;
    case STATUS:
        return h->status;
    default:
        if (offset >= TIMER_FIRST && (offset - TIMER_FIRST) / TIMER_STRIDE < h->timers) {
            return read_timer(h, (offset - TIMER_FIRST) / TIMER_STRIDE, offset % TIMER_STRIDE);
        }
        log_guest_error("hpet", "read of offset %#x", offset);
        return 0;
    }
}

/* The PIT may be the host kernel's, which then keeps its interrupt to itself. */
static void replace_pit(const Hpet *h)
{
    const X86KernelChips *chips = h->device.machine->kernel_chips;

    if (chips && chips->replace_pit) {
        chips->replace_pit(h->device.machine, h->config & CONFIG_LEGACY);
    }
}

static void write_config(Hpet *h, uint64_t value)
{
    bool enable = value & CONFIG_ENABLE;

    for (unsigned i = 0; i < h->timers; i++) {
        catch_up(&h->comparator[i]);
    }
    h->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
    replace_pit(h);
    if (enable != atomic_load(&h->counts)) {
        if (enable) {
            atomic_store(&h->offset_ns, (int64_t)(atomic_load(&h->stopped) * TICK_NS) -
                                            clock_now_ns(h->device.machine));
        } else {
            atomic_store(&h->stopped, counter(h));
        }
        atomic_store(&h->counts, enable);
        for (unsigned i = 0; i < h->timers; i++) {
            restart(&h->comparator[i]);
        }
    }
    update_lines(h);
}

static void write_counter(Hpet *h, uint64_t value)
{
    if (atomic_load(&h->counts)) {
        log_guest_error("hpet", "write of the counter while it counts");
        return;
    }
    atomic_store(&h->stopped, value);
}

/* In periodic mode a write is the period, and where the first one ends if the guest said so before. */
static void write_comparator(Comparator *c, uint64_t value)
{
    value &= mask_of(c);
    if (!(c->config & TIMER_PERIODIC) || c->config & TIMER_SET_VALUE) {
        c->comparator = value;
    }
    if (c->config & TIMER_PERIODIC) {
        c->period = value;
    }
    c->config &= ~(uint64_t)TIMER_SET_VALUE;
    restart(c);
}

static void write_timer(Hpet *h, unsigned n, unsigned offset, uint64_t value)
{
    Comparator *c = &h->comparator[n];

    catch_up(c);
    switch (offset) {
    case TIMER_CONFIG:
        c->config = value & TIMER_WRITABLE;
        if (!(c->config & TIMER_LEVEL)) {
            h->status &= ~(UINT64_C(1) << n);
        }
        c->comparator &= mask_of(c);
        c->period &= mask_of(c);
        restart(c);
        update_lines(h);
        break;
    case TIMER_COMPARATOR:
        write_comparator(c, value);
        break;
    case TIMER_MESSAGE:
        break;
    default:
        log_guest_error("hpet", "write to offset %#x of timer %u", offset, n);
    }
}

static void write_locked(Hpet *h, unsigned offset, uint64_t value)
{
    switch (offset) {
    case CAPABILITIES:
        break;
    case CONFIG:
        write_config(h, value);
        break;
    case STATUS:
        h->status &= ~value;
        update_lines(h);
        break;
    case COUNTER:
        write_counter(h, value);
        break;
    default:
        if (offset >= TIMER_FIRST && (offset - TIMER_FIRST) / TIMER_STRIDE < h->timers) {
            write_timer(h, (offset - TIMER_FIRST) / TIMER_STRIDE, offset % TIMER_STRIDE, value);
        } else {
            log_guest_error("hpet", "write to offset %#x", offset);
        }
    }
}

/* What a write of half a register leaves in the other half. */
static uint64_t other_half(Hpet *h, unsigned offset)
{
    return offset == STATUS ? 0 : offset == COUNTER ? counter(h) : read_locked(h, offset);
}

static MemoryResult hpet_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    Hpet *h = opaque;
    unsigned aligned = (unsigned)offset & ~7u;
    bool held;

    if (aligned == COUNTER) {
        *value = counter(h);
    } else {
        held = machine_lock_held(h->device.machine);
        if (!held) {
            machine_lock(h->device.machine);
        }
        *value = read_locked(h, aligned);
        if (!held) {
            machine_unlock(h->device.machine);
        }
    }
    *value >>= (offset & 4) * 8;
    return MEMORY_OK;
}

static MemoryResult hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    Hpet *h = opaque;
    unsigned aligned = (unsigned)offset & ~7u;
    bool held = machine_lock_held(h->device.machine);

    if (!held) {
        machine_lock(h->device.machine);
    }
    if (size < 8) {
        value = bits_deposit(other_half(h, aligned), (offset & 4) * 8, 32, value);
    }
    write_locked(h, aligned, value);
    if (!held) {
        machine_unlock(h->device.machine);
    }
    return MEMORY_OK;
}

static const MemoryOps hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .size_min = 4,
    .size_max = 8,
    .lock_free = true,
};

static void hpet_input(void *opaque, int number, int level)
{
    Hpet *h = hpet_of(opaque);

    if (number == HPET_INPUT_PIT || number == HPET_INPUT_RTC) {
        h->inputs = (uint8_t)bits_deposit(h->inputs, number, 1, level != 0);
        if (!(h->config & CONFIG_LEGACY)) {
            update_line(h, number == HPET_INPUT_PIT ? 0 : 8);
        }
    }
}

/* The PIT's and the RTC's edges, while they pass through here. */
static IrqAnswer hpet_query(void *opaque, int number, IrqWatch *watch)
{
    const Hpet *h = hpet_of(opaque);

    return h->config & CONFIG_LEGACY ? IRQ_NOBODY
                                     : irq_query(&h->irq[number == HPET_INPUT_PIT ? 0 : 8], watch);
}

static bool hpet_realize(Device *device, GError **error)
{
    Hpet *h = hpet_of(device);

    if (h->timers < TIMERS_MIN || h->timers > TIMERS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "timers=%u: an HPET has %d to %d", h->timers,
                          TIMERS_MIN, TIMERS_MAX);
    }
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        h->comparator[i].hpet = h;
        timer_init(&h->comparator[i].timer, device->machine, expire, &h->comparator[i]);
        irq_ticks_init(&h->comparator[i].ticks, raise_tick, &h->comparator[i]);
    }
    memory_region_init_io(&h->mmio, device->machine, "hpet", 0x400, &hpet_ops, h);
    device_add_mmio(device, &h->mmio);
    for (unsigned i = 0; i < PC_GSI_COUNT; i++) {
        device_add_irq(device, &h->irq[i]);
    }
    return true;
}

static void hpet_drop_ticks(Device *device)
{
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        irq_ticks_clear(&hpet_of(device)->comparator[i].ticks);
    }
}

static void hpet_unrealize(Device *device)
{
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        timer_cancel(&hpet_of(device)->comparator[i].timer);
    }
    hpet_drop_ticks(device);
}

static void hpet_reset(Device *device)
{
    Hpet *h = hpet_of(device);

    h->config = h->status = 0;
    h->inputs = 0;
    atomic_store(&h->counts, false);
    atomic_store(&h->stopped, 0);
    atomic_store(&h->offset_ns, 0);
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        Comparator *c = &h->comparator[i];

        timer_cancel(&c->timer);
        irq_ticks_clear(&c->ticks);
        c->config = c->period = 0;
        c->comparator = UINT64_MAX;
    }
    replace_pit(h);
    update_lines(h);
}

static void hpet_state_loaded(Device *device)
{
    replace_pit(hpet_of(device));
    update_lines(hpet_of(device));
}

/* The counter, whether it counts or not. */
static uint64_t save_stopped(const void *instance)
{
    return atomic_load(&((const Hpet *)instance)->stopped);
}

static void load_stopped(void *instance, uint64_t value)
{
    atomic_store(&((Hpet *)instance)->stopped, value);
}

static uint64_t save_offset(const void *instance)
{
    return (uint64_t)atomic_load(&((const Hpet *)instance)->offset_ns);
}

static void load_offset(void *instance, uint64_t value)
{
    atomic_store(&((Hpet *)instance)->offset_ns, (int64_t)value);
}

static uint64_t save_counts(const void *instance)
{
    return atomic_load(&((const Hpet *)instance)->counts);
}

static void load_counts(void *instance, uint64_t value)
{
    atomic_store(&((Hpet *)instance)->counts, value != 0);
}

static const StateField comparator_state[] = {
    STATE(Comparator, config),
    STATE(Comparator, comparator),
    STATE(Comparator, period),
    STATE(Comparator, ticks.owed),
    STATE(Comparator, ticks.in_a_row),
    STATE_TIMER(Comparator, timer),
    { 0 },
};

static const DeviceType hpet_type = {
    .name = "hpet",
    .summary = "High precision event timers",
    .board_only = true,
    .instance_size = sizeof(Hpet),
    .properties = (const Property[]){ { "timers", PROPERTY_U8, offsetof(Hpet, timers),
                                        "comparators, 3 to 32", "3" },
                                      { "hpet-intcap", PROPERTY_U32, offsetof(Hpet, routes),
                                        "bit per interrupt that timers can have", "4" },
                                      { "msi", PROPERTY_NOT_YET, 0, "interrupts by messages" },
                                      { 0 } },
    .state = (const StateField[]){ STATE(Hpet, config),
                                   STATE(Hpet, status),
                                   STATE(Hpet, inputs),
                                   STATE_VALUE("stopped", save_stopped, load_stopped),
                                   STATE_DERIVED(Hpet, stopped),
                                   STATE_VALUE("offset_ns", save_offset, load_offset),
                                   STATE_DERIVED(Hpet, offset_ns),
                                   STATE_VALUE("counts", save_counts, load_counts),
                                   STATE_DERIVED(Hpet, counts),
                                   STATE_STRUCTS(Hpet, comparator, comparator_state),
                                   { 0 } },
    .input = hpet_input,
    .query = hpet_query,
    .realize = hpet_realize,
    .unrealize = hpet_unrealize,
    .reset = hpet_reset,
    .drop_ticks = hpet_drop_ticks,
    .state_loaded = hpet_state_loaded,
};
DEVICE_TYPE(hpet_type);
