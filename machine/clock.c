/* SPDX-License-Identifier: MIT */
/*
 * The virtual clock (CLOCK_MONOTONIC plus an offset that changes at stop and start) and the timer
 * queue: a binary heap behind one timerfd in the main loop.
 *
 * By default the guest's time neither jumps nor hurries: what passes while the machine is stopped or the host
 * sleeps does not exist for it. With -rtc driftfix=slew it is caught up with by a clock that runs faster.
 */
#include "machine/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/watch.h"
#include "machine/icount.h"
#include "machine/private.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t host_now_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The clock as of one moment. */
typedef struct {
    bool running;
    int64_t base_ns, slew_from_ns, slew_ns;
} ClockState;

static ClockState read_state(Clock *clock)
{
    uint32_t sequence;
    ClockState state;

    do {
        sequence = atomic_load_explicit(&clock->sequence, memory_order_acquire);
        state.running = atomic_load_explicit(&clock->running, memory_order_relaxed);
        state.base_ns = atomic_load_explicit(&clock->base_ns, memory_order_relaxed);
        state.slew_from_ns = atomic_load_explicit(&clock->slew_from_ns, memory_order_relaxed);
        state.slew_ns = atomic_load_explicit(&clock->slew_ns, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
    } while ((sequence & 1) ||
             sequence != atomic_load_explicit(&clock->sequence, memory_order_relaxed));
    return state;
}

/* What the clock has gained at a host time. */
static int64_t gained_ns(const ClockState *state, int64_t host_ns)
{
    return CLAMP(host_ns - state->slew_from_ns, 0, state->slew_ns);
}

static int64_t virtual_ns(const ClockState *state, int64_t host_ns)
{
    return state->running ? state->base_ns + host_ns + gained_ns(state, host_ns) : state->base_ns;
}

int64_t clock_now_ns(Machine *machine)
{
    ClockState state;

    if (icount_on(machine)) {
        return icount_now_ns(machine);
    }
    state = read_state(&machine->private->clock);
    return virtual_ns(&state, state.running ? host_now_ns(CLOCK_MONOTONIC) : 0);
}

int64_t clock_utc_ns(Machine *machine)
{
    const MachineConfig *config = &machine->config;
    Clock *clock = &machine->private->clock;
    int64_t elapsed_ns = config->rtc_clock == RTC_CLOCK_VM ? clock_now_ns(machine)
                         : config->rtc_clock == RTC_CLOCK_RT
                             ? host_now_ns(CLOCK_BOOTTIME) - clock->boottime_start_ns
                             : host_now_ns(CLOCK_REALTIME) - clock->realtime_start_ns;

    return elapsed_ns + (config->rtc_base_s != INT64_MIN ? config->rtc_base_s * NS_PER_S
                                                         : clock->realtime_start_ns);
}

int64_t clock_rtc_start_ns(Machine *machine)
{
    return machine->private->clock.realtime_start_ns;
}

void clock_set_rtc_start_ns(Machine *machine, int64_t start_ns)
{
    const MachineConfig *config = &machine->config;

    /* Any year that a calendar has: what is saved may be anybody's. */
    if (config->rtc_clock == RTC_CLOCK_VM && config->rtc_base_s == INT64_MIN && start_ns > 0 &&
        start_ns < INT64_MAX / 2) {
        machine->private->clock.realtime_start_ns = start_ns;
    }
}

int64_t clock_rtc_ns(Machine *machine)
{
    int64_t now_ns = clock_utc_ns(machine);
    time_t seconds = now_ns / NS_PER_S;
    struct tm local;

    /* A date that was given is what the RTC shows. */
    if (!machine->config.rtc_local || machine->config.rtc_base_s != INT64_MIN) {
        return now_ns;
    }
    localtime_r(&seconds, &local);
    return now_ns + local.tm_gmtoff * NS_PER_S;
}

int64_t clock_deadline_monotonic_ns(Machine *machine, int64_t deadline_ns)
{
    ClockState state = read_state(&machine->private->clock);
    int64_t host_ns, into_slew_ns;

    if (!state.running) {
        return -1;
    }
    if (__builtin_sub_overflow(deadline_ns, state.base_ns, &host_ns)) {
        return INT64_MAX;
    }
    into_slew_ns = host_ns - state.slew_from_ns;
    if (into_slew_ns > 0) {
        /* Twice as fast at first: half the time, rounded up. */
        host_ns -= MIN(into_slew_ns / 2, state.slew_ns);
    }
    return MAX(host_ns, 0);
}

void clock_program_host(Machine *machine, int64_t host_ns)
{
    struct itimerspec when = { 0 };

    if (host_ns < INT64_MAX) {
        when.it_value.tv_sec = host_ns / NS_PER_S;
        when.it_value.tv_nsec = host_ns % NS_PER_S;
        if (host_ns == 0) {
            when.it_value.tv_nsec = 1; /* zero would disarm */
        }
    }
    timerfd_settime(machine->private->clock.timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Sets the timerfd for the heap's first timer; the queue is locked. */
static void program_timer_fd(Machine *machine)
{
    Clock *clock = &machine->private->clock;
    int64_t deadline_ns = INT64_MAX, host_ns = -1;

    if (icount_on(machine)) {
        return; /* icount.c does that */
    }
    if (clock->heap->len) {
        deadline_ns = ((Timer *)clock->heap->pdata[0])->deadline_ns;
        host_ns = clock_deadline_monotonic_ns(machine, deadline_ns);
    }
    if (host_ns < 0) {
        deadline_ns = host_ns = INT64_MAX; /* disarmed */
    }
    clock->programmed_ns = deadline_ns;
    clock_program_host(machine, host_ns);
}

static void heap_put(GPtrArray *heap, unsigned index, Timer *timer)
{
    heap->pdata[index] = timer;
    timer->heap_index = index;
}

/* Moves the timer at `index` to where it belongs. */
static void heap_sift(GPtrArray *heap, unsigned index)
{
    Timer *timer = heap->pdata[index];

    while (index > 0) {
        Timer *parent = heap->pdata[(index - 1) / 2];

        if (parent->deadline_ns <= timer->deadline_ns) {
            break;
        }
        heap_put(heap, index, parent);
        index = (index - 1) / 2;
    }
    for (;;) {
        unsigned child = 2 * index + 1;

        if (child >= heap->len) {
            break;
        }
        if (child + 1 < heap->len && ((Timer *)heap->pdata[child + 1])->deadline_ns <
                                         ((Timer *)heap->pdata[child])->deadline_ns) {
            child++;
        }
        if (((Timer *)heap->pdata[child])->deadline_ns >= timer->deadline_ns) {
            break;
        }
        heap_put(heap, index, heap->pdata[child]);
        index = child;
    }
    heap_put(heap, index, timer);
}

static void heap_remove(GPtrArray *heap, Timer *timer)
{
    unsigned index = timer->heap_index;
    Timer *last = heap->pdata[heap->len - 1];

    g_ptr_array_set_size(heap, heap->len - 1);
    if (last != timer) {
        heap_put(heap, index, last);
        heap_sift(heap, index);
    }
    timer->deadline_ns = -1;
}

void timer_init(Timer *timer, Machine *machine, TimerHandler *handler, void *opaque)
{
    *timer = (Timer){ .machine = machine, .handler = handler, .opaque = opaque, .deadline_ns = -1 };
}

void timer_arm(Timer *timer, int64_t deadline_ns)
{
    Machine *machine = timer->machine;
    Clock *clock = &machine->private->clock;
    bool first;

    g_mutex_lock(&clock->lock);
    if (!timer_is_armed(timer)) {
        timer->heap_index = clock->heap->len;
        g_ptr_array_add(clock->heap, timer);
    }
    timer->deadline_ns = MAX(deadline_ns, 0);
    heap_sift(clock->heap, timer->heap_index);
    /* An earlier wake-up than needed corrects itself; only an earlier deadline must be told. */
    if (((Timer *)clock->heap->pdata[0])->deadline_ns < clock->programmed_ns) {
        program_timer_fd(machine);
    }
    first = clock->heap->pdata[0] == timer;
    g_mutex_unlock(&clock->lock);
    if (first && icount_on(machine)) {
        icount_notice_timer(machine, deadline_ns);
    }
}

void timer_cancel(Timer *timer)
{
    Clock *clock;

    if (!timer->machine) {
        return;
    }
    clock = &timer->machine->private->clock;
    g_mutex_lock(&clock->lock);
    if (timer_is_armed(timer)) {
        heap_remove(clock->heap, timer);
    }
    g_mutex_unlock(&clock->lock);
}

/* Changes the state as of a host time; the queue is locked. The clock goes on where it is. */
static void change_state(Machine *machine, bool running, int64_t host_ns, int64_t slew_ns)
{
    Clock *clock = &machine->private->clock;
    ClockState old = read_state(clock);
    int64_t now_ns = virtual_ns(&old, host_ns);

    atomic_fetch_add(&clock->sequence, 1);
    atomic_store(&clock->base_ns, running ? now_ns - host_ns : now_ns);
    atomic_store(&clock->slew_from_ns, host_ns);
    atomic_store(&clock->slew_ns, slew_ns);
    atomic_store(&clock->running, running);
    atomic_fetch_add(&clock->sequence, 1);
    program_timer_fd(machine);
}

/* What is still to be gained. */
static int64_t left_to_gain_ns(Clock *clock, int64_t host_ns)
{
    ClockState state = read_state(clock);

    return state.slew_ns - (state.running ? gained_ns(&state, host_ns) : 0);
}

/* CLOCK_MONOTONIC stands still while the host sleeps. The queue is locked. */
static void notice_host_sleep(Machine *machine)
{
    Clock *clock = &machine->private->clock;
    int64_t host_ns = host_now_ns(CLOCK_MONOTONIC);
    int64_t suspended_ns = host_now_ns(CLOCK_BOOTTIME) - host_ns;
    int64_t slept_ns = suspended_ns - clock->suspended_ns;

    /* The two clocks are not read at once: a short difference is none. */
    if (slept_ns < NS_PER_S / 10) {
        return;
    }
    clock->suspended_ns = suspended_ns;
    if (machine->config.rtc_driftfix && atomic_load(&clock->running)) {
        change_state(machine, true, host_ns, left_to_gain_ns(clock, host_ns) + slept_ns);
    }
}

bool clock_expire_timers(Machine *machine)
{
    Clock *clock = &machine->private->clock;
    int64_t now_ns;
    unsigned limit;
    bool any = false;

    g_mutex_lock(&clock->lock);
    notice_host_sleep(machine);
    now_ns = clock_now_ns(machine);
    /* A handler that rearms in the past waits for the next round, so that others get their turn. */
    limit = clock->heap->len;
    while (limit-- && clock->heap->len) {
        Timer *timer = clock->heap->pdata[0];

        if (timer->deadline_ns > now_ns || !atomic_load(&clock->running)) {
            break;
        }
        heap_remove(clock->heap, timer);
        g_mutex_unlock(&clock->lock);
        timer->handler(timer->opaque);
        any = true;
        g_mutex_lock(&clock->lock);
    }
    program_timer_fd(machine);
    g_mutex_unlock(&clock->lock);
    return any;
}

static gboolean clock_expire(gint fd, GIOCondition condition, gpointer opaque)
{
    Machine *machine = opaque;
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    machine_lock(machine);
    if (icount_on(machine)) {
        icount_serve(machine);
    } else {
        clock_expire_timers(machine);
    }
    machine_unlock(machine);
    return G_SOURCE_CONTINUE;
}

static void set_running(Machine *machine, bool running)
{
    Clock *clock = &machine->private->clock;
    int64_t host_ns, left_ns, boot_ns;

    if (icount_on(machine)) {
        icount_time_changes(machine, running);
        return;
    }
    g_mutex_lock(&clock->lock);
    if (!clock->manual && atomic_load(&clock->running) != running) {
        notice_host_sleep(machine);
        host_ns = host_now_ns(CLOCK_MONOTONIC);
        boot_ns = host_now_ns(CLOCK_BOOTTIME);
        left_ns = left_to_gain_ns(clock, host_ns);
        if (running && machine->config.rtc_driftfix && clock->stopped_ns >= 0) {
            left_ns += boot_ns - clock->stopped_ns;
        }
        clock->stopped_ns = running ? clock->stopped_ns : boot_ns;
        change_state(machine, running, host_ns, left_ns);
    }
    g_mutex_unlock(&clock->lock);
}

void clock_forget_lost_time(Machine *machine)
{
    Clock *clock = &machine->private->clock;

    g_mutex_lock(&clock->lock);
    clock->stopped_ns = -1;
    change_state(machine, atomic_load(&clock->running), host_now_ns(CLOCK_MONOTONIC), 0);
    g_mutex_unlock(&clock->lock);
}

void clock_set_ns(Machine *machine, int64_t now_ns)
{
    Clock *clock = &machine->private->clock;

    if (icount_on(machine)) {
        icount_set_ns(machine, now_ns);
        return;
    }
    g_mutex_lock(&clock->lock);
    if (!atomic_load(&clock->running)) {
        atomic_fetch_add(&clock->sequence, 1);
        atomic_store(&clock->base_ns, now_ns);
        atomic_fetch_add(&clock->sequence, 1);
    }
    g_mutex_unlock(&clock->lock);
}

void clock_set_manual(Machine *machine)
{
    machine->private->clock.manual = true;
}

bool clock_is_manual(Machine *machine)
{
    return machine->private->clock.manual;
}

int64_t clock_next_deadline_ns(Machine *machine)
{
    Clock *clock = &machine->private->clock;
    int64_t deadline_ns;

    g_mutex_lock(&clock->lock);
    deadline_ns = clock->heap->len ? ((Timer *)clock->heap->pdata[0])->deadline_ns : -1;
    g_mutex_unlock(&clock->lock);
    return deadline_ns;
}

/* The first timer that expires by then, taken from the queue; NULL: none. */
static Timer *take_expired(Machine *machine, int64_t by_ns)
{
    Clock *clock = &machine->private->clock;
    Timer *timer = NULL;

    g_mutex_lock(&clock->lock);
    if (clock->heap->len && ((Timer *)clock->heap->pdata[0])->deadline_ns <= by_ns) {
        timer = clock->heap->pdata[0];
        by_ns = timer->deadline_ns;
        heap_remove(clock->heap, timer);
    }
    /* Frozen time: nobody else changes it. */
    atomic_store(&clock->base_ns, MAX(atomic_load(&clock->base_ns), by_ns));
    g_mutex_unlock(&clock->lock);
    return timer;
}

void clock_advance(Machine *machine, int64_t to_ns)
{
    enum { TIMERS_AT_ONE_TIME_MOST = 1000 };
    int64_t at_ns = -1;
    unsigned count = 0;
    Timer *timer;

    /* A handler that rearms for the same moment again and again does not hold us here. */
    while (count < TIMERS_AT_ONE_TIME_MOST && (timer = take_expired(machine, to_ns))) {
        int64_t now_ns = clock_now_ns(machine);

        count = now_ns == at_ns ? count + 1 : 0;
        at_ns = now_ns;
        timer->handler(timer->opaque);
    }
}

void clock_start(Machine *machine)
{
    set_running(machine, true);
}

void clock_stop(Machine *machine)
{
    set_running(machine, false);
}

void clock_create(Machine *machine)
{
    Clock *clock = &machine->private->clock;

    g_mutex_init(&clock->lock);
    clock->heap = g_ptr_array_new();
    clock->programmed_ns = INT64_MAX;
    clock->realtime_start_ns = host_now_ns(CLOCK_REALTIME);
    clock->boottime_start_ns = host_now_ns(CLOCK_BOOTTIME);
    clock->suspended_ns = clock->boottime_start_ns - host_now_ns(CLOCK_MONOTONIC);
    clock->stopped_ns = -1;
    clock->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (clock->timer_fd < 0) {
        g_error("timerfd_create: %s", g_strerror(errno));
    }
    clock->source = g_unix_fd_source_new(clock->timer_fd, G_IO_IN);
    watch_no_nesting(clock->source);
    g_source_set_callback(clock->source, G_SOURCE_FUNC(clock_expire), machine, NULL);
    g_source_attach(clock->source, NULL);
}

void clock_destroy(Machine *machine)
{
    Clock *clock = &machine->private->clock;

    g_source_destroy(clock->source);
    g_source_unref(clock->source);
    close(clock->timer_fd);
    g_ptr_array_unref(clock->heap);
    g_mutex_clear(&clock->lock);
}
