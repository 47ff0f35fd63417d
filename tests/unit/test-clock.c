/* SPDX-License-Identifier: MIT */
/* The virtual clock, the RTC's, and timers. */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "machine/clock.h"
#include "tests/unit/counting-machine.h"

static void test_clock(void)
{
    Machine *machine = counting_machine(0);
    int64_t first;

    g_assert_cmpint(clock_now_ns(machine), ==, 0);
    machine_lock(machine);
    machine_start(machine);
    g_usleep(2000);
    first = clock_now_ns(machine);
    g_assert_cmpint(first, >=, 2000000);
    machine_stop(machine, STOP_PAUSED);
    first = clock_now_ns(machine);
    g_usleep(2000);
    g_assert_cmpint(clock_now_ns(machine), ==, first);
    g_assert_cmpint(clock_rtc_ns(machine), >, INT64_C(1600000000) * 1000000000);
    machine_start(machine);
    g_assert_cmpint(clock_now_ns(machine), <, first + 2000000);
    machine_unlock(machine);
    machine_free(machine);
}

static int64_t host_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Around a stop of 20 ms: the clock does not jump; with driftfix=slew it has caught up later, else never. */
static void stop_and_go(bool driftfix)
{
    Machine *machine = counting_machine(0);
    int64_t stopped, at_stop[2], at_start[2], now, host[2];

    machine->config.rtc_driftfix = driftfix;
    machine_lock(machine);
    machine_start(machine);
    at_stop[0] = host_ns();
    machine_stop(machine, STOP_PAUSED);
    at_stop[1] = host_ns();
    stopped = clock_now_ns(machine);
    g_usleep(20000);
    at_start[0] = host_ns();
    machine_start(machine);
    now = clock_now_ns(machine);
    at_start[1] = host_ns();
    g_assert_cmpint(now - stopped, <=, 2 * (at_start[1] - at_start[0]));
    for (int64_t last = now; host_ns() - at_start[1] < at_start[1] - at_stop[0]; last = now) {
        int64_t deadline = clock_deadline_monotonic_ns(machine, last + 1000000);

        /* Where a deadline is found in host time is where the clock gets there. */
        host[0] = host_ns();
        now = clock_now_ns(machine);
        host[1] = host_ns();
        g_assert_cmpint(now, >=, last);
        g_assert_cmpint(now - last, <=, 2 * (host[1] - at_start[0]));
        g_assert_true(host[1] < deadline ? now <= last + 1000000
                                         : host[0] < deadline || now >= last + 999999);
        g_usleep(300);
    }
    host[0] = host_ns();
    now = clock_now_ns(machine);
    host[1] = host_ns();
    if (driftfix) {
        g_assert_cmpint(now - stopped, >=, host[0] - at_stop[1]);
        g_assert_cmpint(now - stopped, <=, host[1] - at_stop[0]);
    } else {
        g_assert_cmpint(now - stopped, <=, host[1] - at_start[0]);
        g_assert_cmpint(now - stopped, >=, host[0] - at_start[1]);
    }
    machine_unlock(machine);
    machine_free(machine);
}

static void test_clock_after_stop(void)
{
    stop_and_go(false);
    stop_and_go(true);
}

/* A guest that starts anew reads the RTC: nothing is left to catch up with. */
static void test_clock_after_reset(void)
{
    Machine *machine = counting_machine(0);
    int64_t before, now, host;

    machine->config.rtc_driftfix = true;
    machine_lock(machine);
    machine_start(machine);
    machine_stop(machine, STOP_PAUSED);
    g_usleep(20000);
    machine_start(machine);
    machine_reset(machine);
    host = host_ns();
    before = clock_now_ns(machine);
    g_usleep(5000);
    now = clock_now_ns(machine);
    g_assert_cmpint(now - before, <=, host_ns() - host);
    machine_unlock(machine);
    machine_free(machine);
}

/* -rtc: base and clock. */
static void test_rtc(void)
{
    Machine *machine = counting_machine(0);

    machine->config.rtc_base_s = 1000;
    machine->config.rtc_clock = RTC_CLOCK_VM;
    g_assert_cmpint(clock_rtc_ns(machine), ==, INT64_C(1000000000000));
    g_usleep(1000);
    g_assert_cmpint(clock_rtc_ns(machine), ==, INT64_C(1000000000000));
    machine->config.rtc_clock = RTC_CLOCK_RT;
    g_assert_cmpint(clock_rtc_ns(machine), >=, INT64_C(1000001000000));
    machine->config.rtc_clock = RTC_CLOCK_HOST;
    g_assert_cmpint(clock_rtc_ns(machine), <, INT64_C(2000000000000));
    machine->config.rtc_local = true; /* a date that was given is shown as it is, and is UTC */
    g_assert_cmpint(clock_utc_ns(machine), <=, clock_rtc_ns(machine));
    machine_free(machine);
}

typedef struct {
    Timer timer;
    int64_t deadline_ns;
    GArray *fired;
    bool again;
} TestTimer;

static void fire(void *opaque)
{
    TestTimer *t = opaque;

    g_assert_true(machine_lock_held(t->timer.machine));
    g_assert_cmpint(clock_now_ns(t->timer.machine), >=, t->deadline_ns);
    g_array_append_val(t->fired, t->deadline_ns);
    if (t->again) {
        timer_arm(&t->timer, 0);
    }
}

static void test_timers(void)
{
    enum { COUNT = 100 };
    Machine *machine = counting_machine(0);
    GArray *fired = g_array_new(false, false, sizeof(int64_t));
    TestTimer timers[COUNT];
    int64_t start;

    machine_lock(machine);
    machine_start(machine);
    machine_unlock(machine);
    start = clock_now_ns(machine);
    for (int i = 0; i < COUNT; i++) {
        timers[i] =
            (TestTimer){ .deadline_ns = start + g_test_rand_int_range(0, 5000000), .fired = fired };
        timer_init(&timers[i].timer, machine, fire, &timers[i]);
        timer_arm(&timers[i].timer, timers[i].deadline_ns + 1000000000);
        timer_arm(&timers[i].timer, timers[i].deadline_ns);
        g_assert_true(timer_is_armed(&timers[i].timer));
    }
    for (int i = 0; i < COUNT; i += 10) {
        timer_cancel(&timers[i].timer);
        g_assert_false(timer_is_armed(&timers[i].timer));
    }
    while (fired->len < COUNT * 9 / 10) {
        g_main_context_iteration(NULL, true);
    }
    for (unsigned i = 1; i < fired->len; i++) {
        g_assert_cmpint(g_array_index(fired, int64_t, i - 1), <=, g_array_index(fired, int64_t, i));
    }
    /* One that always rearms in the past lets the main loop live. */
    timers[0].deadline_ns = 0;
    timers[0].again = true;
    g_array_set_size(fired, 0);
    timer_arm(&timers[0].timer, 0);
    for (int i = 0; i < 10; i++) {
        g_main_context_iteration(NULL, true);
    }
    g_assert_cmpuint(fired->len, >, 1);
    timer_cancel(&timers[0].timer);
    g_array_unref(fired);
    machine_free(machine);
}

/* Handlers that give up the machine lock, wait and hold exclusive sections while CPUs arm timers and take the lock. */
typedef struct {
    Machine *machine;
    Timer yields, quick;
    atomic_int yielded, quick_count;
} Yielding;

static void yield_lock(void *opaque)
{
    Yielding *y = opaque;

    machine_unlock(y->machine);
    g_usleep(300);
    machine_lock(y->machine);
    machine_exclusive_begin(y->machine);
    machine_exclusive_end(y->machine);
    if (atomic_fetch_add(&y->yielded, 1) % 8 == 0) {
        machine_stop(y->machine, STOP_PAUSED);
        machine_start(y->machine);
    }
    timer_arm(&y->yields, clock_now_ns(y->machine) + 200000);
}

static void count_quick(void *opaque)
{
    atomic_fetch_add(&((Yielding *)opaque)->quick_count, 1);
}

static void arm_and_lock(Vcpu *vcpu, void *opaque)
{
    Yielding *y = opaque;

    machine_lock(y->machine);
    timer_cancel(&y->quick);
    timer_arm(&y->quick, clock_now_ns(y->machine) + 50000);
    machine_unlock(y->machine);
    machine_exclusive_begin(y->machine);
    machine_exclusive_end(y->machine);
}

static void test_handler_gives_up_lock(void)
{
    enum { ROUNDS = 200 };
    Machine *machine = counting_machine(3);
    Yielding y = { .machine = machine };
    int seen;

    timer_init(&y.yields, machine, yield_lock, &y);
    timer_init(&y.quick, machine, count_quick, &y);
    machine_lock(machine);
    machine_start(machine);
    timer_arm(&y.yields, 0);
    machine_unlock(machine);
    while (atomic_load(&y.yielded) < ROUNDS) {
        for (unsigned i = 0; i < machine->vcpus->len; i++) {
            vcpu_queue_work(machine->vcpus->pdata[i], arm_and_lock, &y);
        }
        g_main_context_iteration(NULL, true);
    }
    machine_lock(machine);
    timer_cancel(&y.yields);
    machine_unlock(machine);
    /* What was armed while a handler was away goes off. */
    seen = atomic_load(&y.quick_count);
    vcpu_queue_work(machine->vcpus->pdata[0], arm_and_lock, &y);
    while (atomic_load(&y.quick_count) == seen) {
        g_main_context_iteration(NULL, true);
    }
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/clock", test_clock);
    g_test_add_func("/clock/after-stop", test_clock_after_stop);
    g_test_add_func("/clock/after-reset", test_clock_after_reset);
    g_test_add_func("/clock/rtc", test_rtc);
    g_test_add_func("/clock/timers", test_timers);
    g_test_add_func("/clock/handler-gives-up-lock", test_handler_gives_up_lock);
    return g_test_run();
}
