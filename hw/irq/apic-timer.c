/* SPDX-License-Identifier: MIT */
/* The local APIC's timer: one-shot, periodic, TSC deadline (Intel SDM volume 3, 11.5.4). Its bus runs at 1 GHz. */
#include "hw/irq/apic.h"

/* Interrupts of a periodic timer are at least this far apart, however short its period. */
#define SHORTEST_PERIOD_NS INT64_C(20000)

typedef enum { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE } TimerMode;

static TimerMode mode_of(uint32_t lvt)
{
    return lvt >> 17 & 3;
}

static unsigned divide_shift(uint32_t divide)
{
    unsigned code = (divide & 3) | (divide >> 1 & 4);

    return (code + 1) & 7;
}

static int64_t period_ns(const Apic *apic)
{
    return (int64_t)apic->initial_count << divide_shift(apic->divide);
}

uint32_t apic_timer_count_locked(const Apic *apic)
{
    int64_t elapsed, period = period_ns(apic);
    bool counts =
        apic->expiry_ns >= 0 || apic->kernel; /* the kernel's has no timer of the host's */

    if (!period || mode_of(apic->lvt[APIC_LVT_TIMER]) == TIMER_DEADLINE) {
        return 0;
    }
    elapsed = clock_now_ns(apic->device.machine) - apic->count_start_ns;
    if (mode_of(apic->lvt[APIC_LVT_TIMER]) == TIMER_PERIODIC && counts) {
        elapsed %= period;
    } else if (elapsed >= period) {
        return 0;
    }
    return (uint32_t)((period - elapsed + (1 << divide_shift(apic->divide)) - 1) >>
                      divide_shift(apic->divide));
}

/* The virtual time at which the CPU's time stamp counter will have the value. */
static int64_t deadline_ns(const Apic *apic)
{
    const Target *target = apic->vcpu->target;

    if (target && target->timestamp_to_clock) {
        return target->timestamp_to_clock(apic->vcpu, apic->tsc_deadline);
    }
    return (int64_t)MIN(apic->tsc_deadline, (uint64_t)INT64_MAX / 4);
}

/* The next end of a period; those in the past are lost. */
static int64_t next_period_end(const Apic *apic)
{
    int64_t now = clock_now_ns(apic->device.machine), period = period_ns(apic);
    int64_t done = MAX(now - apic->count_start_ns, 0) / period;
    int64_t end = apic->count_start_ns + (done + 1) * period;

    if (period < SHORTEST_PERIOD_NS) {
        end = MAX(end, now + SHORTEST_PERIOD_NS);
    }
    return end;
}

void apic_timer_update_locked(Apic *apic, bool running)
{
    TimerMode mode = mode_of(apic->lvt[APIC_LVT_TIMER]);

    apic->expiry_ns = -1;
    if (mode == TIMER_DEADLINE && apic->tsc_deadline) {
        apic->expiry_ns = MAX(deadline_ns(apic), 0);
    } else if (mode == TIMER_PERIODIC && apic->initial_count && running) {
        apic->expiry_ns = next_period_end(apic);
    } else if (mode == TIMER_ONE_SHOT && apic->initial_count && running) {
        apic->expiry_ns = apic->count_start_ns + period_ns(apic);
    }
    if (apic->expiry_ns >= 0) {
        timer_arm(&apic->timer, apic->expiry_ns);
    } else {
        timer_cancel(&apic->timer);
    }
}

void apic_timer_loaded_locked(Apic *apic)
{
    if (apic->expiry_ns < 0) {
        bool periodic = mode_of(apic->lvt[APIC_LVT_TIMER]) == TIMER_PERIODIC;

        apic_timer_update_locked(apic, periodic || apic_timer_count_locked(apic) != 0);
    }
}

/* So many periods have ended. Of those that are too short nobody is owed any. */
static void add_ticks(Apic *apic, uint64_t count)
{
    int64_t period = period_ns(apic);
    uint64_t most = period < SHORTEST_PERIOD_NS ? 0 : (uint64_t)MAX(IRQ_TICKS_LAG_NS / period, 1);
    uint8_t vector = apic->lvt[APIC_LVT_TIMER] & 0xff;

    count += apic->ticks_owed;
    apic->ticks_in_a_row = 0;
    if (!apic_test_bit(apic->irr, vector)) {
        count--;
        apic_accept_locked(apic, APIC_FIXED, vector, false);
    }
    apic->ticks_owed = (uint32_t)MIN(count, most);
}

void apic_timer_taken_locked(Apic *apic, uint8_t vector)
{
    uint32_t lvt = apic->lvt[APIC_LVT_TIMER];

    if (apic->ticks_owed && (lvt & 0xff) == vector && !(lvt & APIC_MASKED) &&
        apic->ticks_in_a_row < IRQ_TICKS_IN_A_ROW) {
        apic->ticks_owed--;
        apic->ticks_in_a_row++;
        apic_accept_locked(apic, APIC_FIXED, vector, false);
    }
}

static uint64_t periods_ended(const Apic *apic)
{
    int64_t period = period_ns(apic), late = clock_now_ns(apic->device.machine) - apic->expiry_ns;

    return period < SHORTEST_PERIOD_NS ? 1 : 1 + (uint64_t)(late / period);
}

/* What is due now, when anything is. */
static void expire_locked(Apic *apic)
{
    uint32_t lvt = apic->lvt[APIC_LVT_TIMER];
    bool periodic = mode_of(lvt) == TIMER_PERIODIC && apic->initial_count;
    uint64_t count;

    if (apic->expiry_ns < 0 || apic->expiry_ns > clock_now_ns(apic->device.machine)) {
        return;
    }
    count = periodic ? periods_ended(apic) : 1;
    apic->tsc_deadline = 0;
    apic_timer_update_locked(apic, periodic);
    if (lvt & APIC_MASKED) {
        apic->ticks_owed = 0;
    } else if (periodic) {
        add_ticks(apic, count);
    } else {
        apic_accept_locked(apic, APIC_FIXED, lvt & 0xff, false);
    }
}

/* In the main loop. The registers may have changed on the CPU's thread since the timer ran out. */
void apic_timer_expire(void *opaque)
{
    Apic *apic = opaque;

    g_mutex_lock(&apic->bus->lock);
    expire_locked(apic);
    g_mutex_unlock(&apic->bus->lock);
}

void apic_timer_set_left_locked(Apic *apic, uint32_t left)
{
    int64_t done = (int64_t)(apic->initial_count - MIN(left, apic->initial_count));

    apic->count_start_ns =
        clock_now_ns(apic->device.machine) - (done << divide_shift(apic->divide));
}

void apic_timer_start_locked(Apic *apic, uint32_t initial_count)
{
    if (mode_of(apic->lvt[APIC_LVT_TIMER]) == TIMER_DEADLINE) {
        return;
    }
    apic->initial_count = initial_count;
    apic->ticks_owed = 0;
    apic->count_start_ns = clock_now_ns(apic->device.machine);
    apic_timer_update_locked(apic, true);
}

void apic_timer_set_deadline_locked(Apic *apic, uint64_t tsc)
{
    if (mode_of(apic->lvt[APIC_LVT_TIMER]) == TIMER_DEADLINE) {
        apic->tsc_deadline = tsc;
        apic_timer_update_locked(apic, true);
        expire_locked(apic); /* a time that is past interrupts at once */
    }
}

void apic_timer_write_lvt_locked(Apic *apic, uint32_t value)
{
    uint32_t old = apic->lvt[APIC_LVT_TIMER];
    int64_t elapsed;

    expire_locked(apic); /* as the old mode has it */
    elapsed = clock_now_ns(apic->device.machine) - apic->count_start_ns;
    apic->lvt[APIC_LVT_TIMER] = value;
    if (mode_of(old) == mode_of(value)) {
        return;
    }
    apic->ticks_owed = 0;
    if (mode_of(old) == TIMER_PERIODIC && apic->initial_count) {
        apic->count_start_ns += elapsed / period_ns(apic) * period_ns(apic);
    }
    /* To and from the TSC's deadlines, the timer is disarmed. */
    if (mode_of(old) == TIMER_DEADLINE || mode_of(value) == TIMER_DEADLINE) {
        apic->tsc_deadline = 0;
        apic->initial_count = 0;
    }
    apic_timer_update_locked(apic, apic->expiry_ns >= 0);
}

/* The count goes on from where it is at the new speed. */
void apic_timer_write_divide_locked(Apic *apic, uint32_t value)
{
    int64_t now = clock_now_ns(apic->device.machine);
    uint32_t done = apic->initial_count - apic_timer_count_locked(apic);

    apic->divide = value & 0xb;
    apic->count_start_ns = now - ((int64_t)done << divide_shift(apic->divide));
    apic_timer_update_locked(apic, apic->expiry_ns >= 0);
}
