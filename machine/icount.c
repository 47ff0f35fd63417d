/* SPDX-License-Identifier: MIT */
/*
 * Time by counted instructions, and whose turn it is.
 *
 * `lock` guards changes of all of Icount but the two flags. Who looks for somebody that can run has set turn to NULL
 * before; who makes a vCPU able to run (a kick, a timer) does that before it reads turn. So one of them sees the
 * other, and a poke of the main loop is never missing; superfluous ones do nothing.
 */
#include "machine/icount.h"

#include <time.h>

#include "machine/private.h"
#include "machine/saved-state.h"

enum {
    TURN_INSNS = 20000,      /* at most, while others wait */
    LEAST_TURN_INSNS = 1000, /* though a timer is due again and again */
    ROUNDS_MOST = 16,        /* of timers that are armed anew for the present, between two turns */
    AHEAD_NS = 3000000,      /* align=on: so much that it is worth waiting */
    ADJUST_NS = 100000000,   /* shift=auto: how often it is looked at */
    STALLED_MOST = 1000,     /* times that code is left in a row with nothing executed */
    SHIFT_FIRST = 3,
    SHIFT_MOST = 7, /* with more, a guest would hardly do more than serve its ticks */
};

static int64_t host_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool time_runs(Machine *machine)
{
    return atomic_load(&machine->private->clock.running);
}

/* --- The time ---------------------------------------------------------------------------------- */

int64_t icount_now_ns(Machine *machine)
{
    Icount *icount = &machine->private->icount;
    const uint64_t *counter;
    uint64_t executed;
    uint32_t sequence;
    unsigned shift;
    int64_t base_ns, idle_from_ns, idle_to_ns;

    do {
        sequence = atomic_load_explicit(&icount->sequence, memory_order_acquire);
        counter = atomic_load_explicit(&icount->counter, memory_order_relaxed);
        shift = atomic_load_explicit(&icount->shift, memory_order_relaxed);
        base_ns = atomic_load_explicit(&icount->base_ns, memory_order_relaxed);
        idle_from_ns = atomic_load_explicit(&icount->idle_from_ns, memory_order_relaxed);
        idle_to_ns = atomic_load_explicit(&icount->idle_to_ns, memory_order_relaxed);
        executed = counter ? __atomic_load_n(counter, __ATOMIC_RELAXED) -
                                 atomic_load_explicit(&icount->counted_from, memory_order_relaxed)
                           : 0;
        atomic_thread_fence(memory_order_acquire);
    } while ((sequence & 1) ||
             sequence != atomic_load_explicit(&icount->sequence, memory_order_relaxed));
    return idle_from_ns ? MIN(base_ns + MAX(host_now_ns() - idle_from_ns, 0), idle_to_ns)
                        : base_ns + (int64_t)(executed << shift);
}

/* From base_ns on it goes with the counter; NULL: it stands. With the lock. */
static void set_time(Icount *icount, int64_t base_ns, const uint64_t *counter)
{
    atomic_fetch_add(&icount->sequence, 1);
    atomic_store(&icount->base_ns, base_ns);
    atomic_store(&icount->idle_from_ns, 0);
    atomic_store(&icount->counter, counter);
    atomic_store(&icount->counted_from, counter ? *counter : 0);
    atomic_fetch_add(&icount->sequence, 1);
}

/* It goes with the host's time until then. With the lock. */
static void set_idle(Icount *icount, int64_t host_ns, int64_t to_ns)
{
    atomic_fetch_add(&icount->sequence, 1);
    atomic_store(&icount->idle_from_ns, host_ns);
    atomic_store(&icount->idle_to_ns, to_ns);
    atomic_fetch_add(&icount->sequence, 1);
}

void icount_set_ns(Machine *machine, int64_t now_ns)
{
    Icount *icount = &machine->private->icount;

    g_mutex_lock(&icount->lock);
    set_time(icount, now_ns, NULL);
    atomic_store(&icount->turn, NULL);
    g_mutex_unlock(&icount->lock);
}

uint64_t icount_executed(Machine *machine)
{
    return icount_on(machine) ? machine->private->icount.executed : UINT64_MAX;
}

/* --- Keeping up with the host's time ------------------------------------------------------------ */

/* What virtual time is ahead of the host's, since the machine went on. */
static int64_t ahead_ns(const Icount *icount)
{
    return icount->base_ns - (host_now_ns() - icount->host_start_ns);
}

/* An instruction takes longer while the guest falls behind more and more, and less while it runs away. */
static void adjust_shift(Icount *icount)
{
    int64_t host_ns = host_now_ns(), ahead = ahead_ns(icount);

    if (host_ns - icount->adjusted_ns < ADJUST_NS) {
        return;
    }
    if (ahead > 0 && ahead > icount->ahead_ns && icount->shift > 0) {
        icount->shift--;
    } else if (ahead < 0 && ahead < icount->ahead_ns && icount->shift < SHIFT_MOST) {
        icount->shift++;
    }
    icount->adjusted_ns = host_ns;
    icount->ahead_ns = ahead;
}

/* At each whole second of lag, and back. */
static void tell_lag(Icount *icount, int64_t lag_ns)
{
    enum { TELLS_MOST = 100 };
    int64_t lag_s = MAX(lag_ns, 0) / 1000000000;

    if (lag_s != icount->lag_s && icount->lag_told < TELLS_MOST) {
        icount->lag_told++;
        g_printerr("kaso: warning: -icount align=on: the guest is late by %" G_GINT64_FORMAT " s\n",
                   lag_s);
    }
    icount->lag_s = lag_s;
}

/* --- Whose turn it is --------------------------------------------------------------------------- */

static void poke(Machine *machine)
{
    Icount *icount = &machine->private->icount;

    g_mutex_lock(&icount->lock);
    clock_program_host(machine, 0);
    g_mutex_unlock(&icount->lock);
}

void icount_notice_work(Machine *machine)
{
    Icount *icount = &machine->private->icount;

    if (!atomic_load(&icount->turn) && !atomic_load(&icount->serving)) {
        poke(machine);
    }
}

void icount_notice_timer(Machine *machine, int64_t deadline_ns)
{
    Icount *icount = &machine->private->icount;
    Vcpu *turn = atomic_load(&icount->turn);

    if (!turn) {
        icount_notice_work(machine);
    } else if (deadline_ns < atomic_load(&icount->limit_ns)) {
        atomic_store(&icount->earlier, true);
        vcpu_kick(turn);
    }
}

bool icount_must_wait(const Vcpu *vcpu)
{
    return icount_on(vcpu->machine) && atomic_load(&vcpu->machine->private->icount.turn) != vcpu;
}

static bool can_run(Vcpu *vcpu)
{
    return atomic_load(&vcpu->work_pending) ||
           (atomic_load(&vcpu->powered) && !atomic_load(&vcpu->debug.hold) &&
            (!atomic_load(&vcpu->halted) || vcpu->target->has_work(vcpu)));
}

/* When the first timer is due, or a wait with an end is over; -1: never. */
static int64_t next_event_ns(Machine *machine, int64_t deadline_ns)
{
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        const Vcpu *vcpu = machine->vcpus->pdata[i];

        if (atomic_load(&vcpu->halted) && atomic_load(&vcpu->powered) &&
            vcpu->halt_deadline_ns >= 0 &&
            (deadline_ns < 0 || vcpu->halt_deadline_ns < deadline_ns)) {
            deadline_ns = vcpu->halt_deadline_ns;
        }
    }
    return deadline_ns;
}

static void give_turn(Icount *icount, Vcpu *vcpu)
{
    icount->served = false;
    icount->left = 0;
    icount->fresh = true;
    icount->yields = false;
    icount->stalled = 0;
    atomic_store(&icount->limit_ns, INT64_MAX);
    atomic_store(&icount->turn, vcpu);
    vcpu_wake_thread(vcpu);
}

/* Round robin. false: nobody can run; *stopping: somebody is being parked and may be able to afterwards. */
static bool give_turn_to_next(Machine *machine, bool *stopping)
{
    Icount *icount = &machine->private->icount;
    unsigned count = machine->vcpus->len;

    *stopping = false;
    for (unsigned i = 1; i <= count; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[(icount->last + i) % count];

        if (atomic_load(&vcpu->stop_requested)) {
            *stopping = true;
        } else if (can_run(vcpu)) {
            give_turn(icount, vcpu);
            return true;
        }
    }
    return false;
}

/* Nobody has anything to do until then. true: then is now. */
static bool idle_until(Machine *machine, int64_t event_ns)
{
    Icount *icount = &machine->private->icount;
    int64_t now_ns = icount->base_ns, host_ns;

    if (event_ns < 0) {
        clock_program_host(machine, INT64_MAX);
        return false;
    }
    if (event_ns > now_ns && !machine->config.icount.sleep) {
        set_time(icount, event_ns, NULL);
    } else if (event_ns > now_ns) {
        host_ns = host_now_ns();
        set_idle(icount, host_ns, event_ns);
        clock_program_host(machine, host_ns + (event_ns - now_ns));
        return false;
    }
    return true;
}

/* Nobody has the turn: somebody gets it, or the main loop is to look again, now or later. With the lock. */
static void schedule(Machine *machine)
{
    Icount *icount = &machine->private->icount;
    bool runs = time_runs(machine), stopping;

    while (!atomic_load(&icount->turn)) {
        int64_t deadline_ns = runs ? clock_next_deadline_ns(machine) : -1, ahead;

        if (deadline_ns >= 0 && deadline_ns <= icount->base_ns && !icount->served) {
            clock_program_host(machine, 0);
            return;
        }
        ahead = machine->config.icount.align && runs ? ahead_ns(icount) : 0;
        tell_lag(icount, -ahead);
        if (ahead > AHEAD_NS) {
            clock_program_host(machine, host_now_ns() + ahead);
            return;
        }
        if (give_turn_to_next(machine, &stopping)) {
            return;
        }
        icount->served = false;
        if ((stopping && atomic_load(&machine->stop_reason) != STOP_SUSPENDED) || !runs ||
            !idle_until(machine, next_event_ns(machine, deadline_ns))) {
            return;
        }
    }
}

void icount_pass(Vcpu *vcpu)
{
    Machine *machine = vcpu->machine;
    Icount *icount = &machine->private->icount;

    g_mutex_lock(&icount->lock);
    if (atomic_load(&icount->turn) == vcpu) {
        icount->last = vcpu->index;
        atomic_store(&icount->turn, NULL);
        if (machine->config.icount.automatic) {
            adjust_shift(icount);
        }
        schedule(machine);
    }
    g_mutex_unlock(&icount->lock);
}

/* What has passed of a sleep. With the lock. */
static void end_idle(Machine *machine)
{
    Icount *icount = &machine->private->icount;

    if (icount->idle_from_ns) {
        set_time(icount, icount_now_ns(machine), NULL);
    }
}

void icount_serve(Machine *machine)
{
    Icount *icount = &machine->private->icount;
    unsigned rounds = 0;

    g_mutex_lock(&icount->lock);
    if (atomic_load(&icount->turn)) {
        g_mutex_unlock(&icount->lock);
        return;
    }
    if (time_runs(machine)) {
        end_idle(machine);
    }
    atomic_store(&icount->serving, true);
    g_mutex_unlock(&icount->lock);
    while (rounds < ROUNDS_MOST && clock_expire_timers(machine)) {
        rounds++;
    }
    atomic_store(&icount->serving, false);
    g_mutex_lock(&icount->lock);
    icount->served = rounds > 0;
    schedule(machine);
    g_mutex_unlock(&icount->lock);
}

void icount_time_changes(Machine *machine, bool runs)
{
    Icount *icount = &machine->private->icount;

    g_mutex_lock(&icount->lock);
    if (!runs) {
        end_idle(machine);
    }
    icount->host_start_ns = host_now_ns() - icount->base_ns;
    icount->ahead_ns = icount->lag_s = 0;
    atomic_store(&machine->private->clock.running, runs);
    clock_program_host(machine, 0);
    g_mutex_unlock(&icount->lock);
}

/* --- For the accelerator ------------------------------------------------------------------------ */

/* Instructions until a time, rounded up. */
static uint64_t insns_until(const Icount *icount, int64_t ns)
{
    return ((uint64_t)ns + ((UINT64_C(1) << icount->shift) - 1)) >> icount->shift;
}

static void set_limit(Machine *machine)
{
    Icount *icount = &machine->private->icount;
    int64_t now_ns = icount->base_ns;
    int64_t deadline_ns = time_runs(machine) ? clock_next_deadline_ns(machine) : -1;
    uint64_t least = icount->fresh ? LEAST_TURN_INSNS : 0;

    icount->left = icount->fresh ? TURN_INSNS : icount->left;
    icount->fresh = false;
    if (deadline_ns >= 0) {
        icount->left = MIN(
            icount->left, deadline_ns > now_ns ? insns_until(icount, deadline_ns - now_ns) : least);
    }
    atomic_store(&icount->limit_ns, now_ns + (int64_t)(icount->left << icount->shift));
}

uint64_t icount_begin(Vcpu *vcpu, const uint64_t *count)
{
    Machine *machine = vcpu->machine;
    Icount *icount = &machine->private->icount;
    uint64_t left;

    g_mutex_lock(&icount->lock);
    if (atomic_exchange(&icount->earlier, false) || icount->fresh) {
        set_limit(machine);
    }
    if (time_runs(machine)) {
        set_time(icount, icount->base_ns, count);
    }
    left = icount->left;
    g_mutex_unlock(&icount->lock);
    return left;
}

void icount_end(Vcpu *vcpu)
{
    Icount *icount = &vcpu->machine->private->icount;

    g_mutex_lock(&icount->lock);
    if (icount->counter) {
        uint64_t done = *icount->counter - icount->counted_from, passed = done;

        /* Exceptions whose vectors raise exceptions take time, too: others have timers and turns. */
        icount->stalled = done ? 0 : icount->stalled + 1;
        if (icount->stalled > STALLED_MOST) {
            passed = icount->left;
            icount->stalled = 0;
        }
        icount->executed += done;
        icount->left = icount->yields ? 0 : icount->left - MIN(passed, icount->left);
        icount->yields = false;
        set_time(icount, icount->base_ns + (int64_t)(passed << icount->shift), NULL);
    }
    g_mutex_unlock(&icount->lock);
}

void icount_yield(Vcpu *vcpu)
{
    if (vcpu->machine->vcpus->len > 1) {
        vcpu->machine->private->icount.yields = true;
        vcpu_kick(vcpu);
    }
}

void icount_rest(Vcpu *vcpu)
{
    Icount *icount = &vcpu->machine->private->icount;

    if (!icount->left && !icount->fresh) {
        icount_pass(vcpu);
    }
}

/* --- Set-up ------------------------------------------------------------------------------------- */

static const StateField icount_fields[] = {
    STATE(Icount, executed),
    STATE(Icount, last),
    { 0 },
};

static const SavedPart icount_part = { .name = "icount", .fields = icount_fields };

void icount_create(Machine *machine)
{
    const IcountConfig *config = &machine->config.icount;
    Icount *icount = &machine->private->icount;

    g_mutex_init(&icount->lock);
    icount->shift = config->automatic ? SHIFT_FIRST : config->shift;
    icount->last = UINT32_MAX; /* the first comes first */
    if (config->on) {
        machine_save_part(machine, &icount_part, icount);
    }
}

void icount_destroy(Machine *machine)
{
    g_mutex_clear(&machine->private->icount.lock);
}
