/* SPDX-License-Identifier: MIT */
/*
 * The virtual clock (CLOCK_MONOTONIC plus an offset that changes at stop and start) and the timer
 * queue: a binary heap behind one timerfd in the main loop.
 */
#include "machine/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <glib-unix.h>

#include "machine/private.h"

#define NS_PER_S INT64_C(1000000000)

static int64_t host_now_ns(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* base_ns and running as of one moment. */
static int64_t read_base(Clock *clock, bool *running)
{
    uint32_t sequence;
    int64_t base_ns;

    do {
        sequence = atomic_load_explicit(&clock->sequence, memory_order_acquire);
        *running = atomic_load_explicit(&clock->running, memory_order_relaxed);
        base_ns = atomic_load_explicit(&clock->base_ns, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
    } while ((sequence & 1) ||
             sequence != atomic_load_explicit(&clock->sequence, memory_order_relaxed));
    return base_ns;
}

int64_t clock_now_ns(Machine *machine)
{
    bool running;
    int64_t base_ns = read_base(&machine->private->clock, &running);

    return running ? base_ns + host_now_ns(CLOCK_MONOTONIC) : base_ns;
}

int64_t clock_rtc_ns(Machine *machine)
{
    const MachineConfig *config = &machine->config;
    Clock *clock = &machine->private->clock;
    int64_t start_ns = clock->realtime_start_ns, elapsed_ns, result_ns;

    elapsed_ns = config->rtc_virtual ? clock_now_ns(machine)
                                     : host_now_ns(CLOCK_REALTIME) - clock->realtime_start_ns;
    if (config->rtc_base_s != INT64_MIN) {
        return config->rtc_base_s * NS_PER_S + elapsed_ns;
    }
    result_ns = start_ns + elapsed_ns;
    if (config->rtc_local) {
        time_t seconds = result_ns / NS_PER_S;
        struct tm local;

        localtime_r(&seconds, &local);
        result_ns += local.tm_gmtoff * NS_PER_S;
    }
    return result_ns;
}

int64_t clock_deadline_monotonic_ns(Machine *machine, int64_t deadline_ns)
{
    bool running;
    int64_t base_ns = read_base(&machine->private->clock, &running), result_ns;

    if (!running) {
        return -1;
    }
    if (__builtin_sub_overflow(deadline_ns, base_ns, &result_ns)) {
        return INT64_MAX;
    }
    return MAX(result_ns, 0);
}

/* Sets the timerfd for the heap's first timer; the queue is locked. */
static void program_timer_fd(Machine *machine)
{
    Clock *clock = &machine->private->clock;
    struct itimerspec when = { 0 };
    int64_t deadline_ns = INT64_MAX, host_ns = -1;

    if (clock->heap->len) {
        deadline_ns = ((Timer *)clock->heap->pdata[0])->deadline_ns;
        host_ns = clock_deadline_monotonic_ns(machine, deadline_ns);
    }
    if (host_ns < 0) {
        deadline_ns = INT64_MAX; /* disarmed */
    } else {
        when.it_value.tv_sec = host_ns / NS_PER_S;
        when.it_value.tv_nsec = host_ns % NS_PER_S;
        if (host_ns == 0) {
            when.it_value.tv_nsec = 1; /* zero would disarm */
        }
    }
    clock->programmed_ns = deadline_ns;
    timerfd_settime(clock->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
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
    Clock *clock = &timer->machine->private->clock;

    g_mutex_lock(&clock->lock);
    if (!timer_is_armed(timer)) {
        timer->heap_index = clock->heap->len;
        g_ptr_array_add(clock->heap, timer);
    }
    timer->deadline_ns = MAX(deadline_ns, 0);
    heap_sift(clock->heap, timer->heap_index);
    /* An earlier wake-up than needed corrects itself; only an earlier deadline must be told. */
    if (((Timer *)clock->heap->pdata[0])->deadline_ns < clock->programmed_ns) {
        program_timer_fd(timer->machine);
    }
    g_mutex_unlock(&clock->lock);
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

static gboolean clock_expire(gint fd, GIOCondition condition, gpointer opaque)
{
    Machine *machine = opaque;
    Clock *clock = &machine->private->clock;
    uint64_t count;
    int64_t now_ns;
    unsigned limit;

    if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    machine_lock(machine);
    now_ns = clock_now_ns(machine);
    g_mutex_lock(&clock->lock);
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
        g_mutex_lock(&clock->lock);
    }
    program_timer_fd(machine);
    g_mutex_unlock(&clock->lock);
    machine_unlock(machine);
    return G_SOURCE_CONTINUE;
}

static void set_running(Machine *machine, bool running)
{
    Clock *clock = &machine->private->clock;
    int64_t now_ns, host_ns = host_now_ns(CLOCK_MONOTONIC);

    g_mutex_lock(&clock->lock);
    if (atomic_load(&clock->running) != running) {
        now_ns = clock_now_ns(machine);
        atomic_fetch_add(&clock->sequence, 1);
        atomic_store(&clock->base_ns, running ? now_ns - host_ns : now_ns);
        atomic_store(&clock->running, running);
        atomic_fetch_add(&clock->sequence, 1);
        program_timer_fd(machine);
    }
    g_mutex_unlock(&clock->lock);
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
    clock->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (clock->timer_fd < 0) {
        g_error("timerfd_create: %s", g_strerror(errno));
    }
    clock->source = g_unix_fd_source_new(clock->timer_fd, G_IO_IN);
    g_source_set_priority(clock->source, G_PRIORITY_HIGH);
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
