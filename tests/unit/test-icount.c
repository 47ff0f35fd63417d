/* SPDX-License-Identifier: MIT */
/* -icount: time by counted instructions, and how long a turn is. */
#include <glib.h>

#include "machine/clock.h"
#include "machine/icount.h"
#include "tests/unit/counting-machine.h"

enum { SHIFT = 4 };

typedef struct {
    Machine *machine;
    Timer timer;
    int64_t expired_ns; /* -1: it has not */
    unsigned count, again;
} Alarm;

static void expire(void *opaque)
{
    Alarm *alarm = opaque;

    alarm->expired_ns = clock_now_ns(alarm->machine);
    alarm->count++;
    if (alarm->again) {
        alarm->again--;
        timer_arm(&alarm->timer, alarm->expired_ns);
    }
}

static void alarm_set(Alarm *alarm, Machine *machine, int64_t deadline_ns)
{
    *alarm = (Alarm){ .machine = machine, .expired_ns = -1 };
    timer_init(&alarm->timer, machine, expire, alarm);
    timer_arm(&alarm->timer, deadline_ns);
}

static Machine *new_machine(unsigned vcpus, bool sleep)
{
    Machine *machine = counting_machine(vcpus);

    machine->config.icount = (IcountConfig){ .on = true, .sleep = sleep, .shift = SHIFT };
    machine->private->icount.shift = SHIFT;
    return machine;
}

static void end(Alarm *alarm, Machine *machine)
{
    timer_cancel(&alarm->timer);
    clock_stop(machine);
    machine_free(machine);
}

/* Nothing runs: time goes from timer to timer, without the host's. */
static void test_idle(void)
{
    const int64_t hour_ns = INT64_C(3600) * 1000000000;
    Machine *machine = new_machine(0, false);
    Alarm first, second;

    alarm_set(&second, machine, 2 * hour_ns);
    alarm_set(&first, machine, hour_ns + 1);
    clock_start(machine);
    while (second.expired_ns < 0) {
        g_main_context_iteration(NULL, true);
        g_assert_true(first.expired_ns >= 0 || second.expired_ns < 0);
    }
    g_assert_cmpint(first.expired_ns, ==, hour_ns + 1);
    g_assert_cmpint(second.expired_ns, ==, 2 * hour_ns);
    end(&second, machine);
}

static void test_idle_sleep(void)
{
    const int64_t wait_ns = 30000000;
    Machine *machine = new_machine(0, true);
    int64_t begun_us = g_get_monotonic_time();
    Alarm alarm;

    alarm_set(&alarm, machine, wait_ns);
    clock_start(machine);
    while (alarm.expired_ns < 0) {
        g_main_context_iteration(NULL, true);
    }
    g_assert_cmpint(alarm.expired_ns, ==, wait_ns);
    g_assert_cmpint(g_get_monotonic_time() - begun_us, >=, wait_ns / 1000);
    end(&alarm, machine);
}

/* The main loop gives the turn to the only CPU. */
static Vcpu *take_turn(Machine *machine)
{
    Vcpu *vcpu = machine->vcpus->pdata[0];

    atomic_store(&vcpu->stop_requested, false);
    while (atomic_load(&machine->private->icount.turn) != vcpu) {
        vcpu_kick(vcpu);
        g_main_context_iteration(NULL, true);
    }
    return vcpu;
}

/* The clock goes with the counter; a timer is due behind the instruction that reaches its time. */
static void test_turn(void)
{
    Machine *machine = new_machine(1, false);
    uint64_t count = 1000, left;
    Alarm alarm;
    Vcpu *vcpu;

    clock_start(machine);
    vcpu = take_turn(machine);
    left = icount_begin(vcpu, &count);
    g_assert_cmpuint(left, >, 100);
    count += 100;
    g_assert_cmpint(clock_now_ns(machine), ==, 100 << SHIFT);
    alarm_set(&alarm, machine, (150 << SHIFT) - 3);
    icount_end(vcpu);
    g_assert_cmpuint(icount_executed(machine), ==, 100);
    g_assert_cmpuint(icount_begin(vcpu, &count), ==, 50);
    count += 50;
    icount_end(vcpu);
    icount_rest(vcpu);
    g_assert_cmpint(alarm.expired_ns, ==, -1);
    take_turn(machine);
    g_assert_cmpint(alarm.expired_ns, ==, 150 << SHIFT);
    g_assert_cmpuint(icount_begin(vcpu, &count), ==, left);
    icount_end(vcpu);
    end(&alarm, machine);
}

/* A timer that is always due leaves the guest its turns, and has its own. */
static void test_always_due(void)
{
    Machine *machine = new_machine(1, false);
    uint64_t count = 0, left;
    Alarm alarm;
    Vcpu *vcpu;

    alarm_set(&alarm, machine, 0);
    alarm.again = UINT32_MAX;
    clock_start(machine);
    for (unsigned turns = 1; turns <= 3; turns++) {
        unsigned before = alarm.count;

        vcpu = take_turn(machine);
        g_assert_cmpuint(alarm.count, >, before);
        left = icount_begin(vcpu, &count);
        g_assert_cmpuint(left, >, 0);
        count += left;
        icount_end(vcpu);
        icount_rest(vcpu);
    }
    end(&alarm, machine);
}

/* Exceptions without end, in which nothing is executed, take time. */
static void test_stalled(void)
{
    Machine *machine = new_machine(1, false);
    uint64_t count = 0;
    Alarm alarm;
    Vcpu *vcpu;

    alarm_set(&alarm, machine, 1000000);
    clock_start(machine);
    while (alarm.expired_ns < 0) {
        vcpu = take_turn(machine);
        icount_begin(vcpu, &count);
        icount_end(vcpu);
        icount_rest(vcpu);
    }
    g_assert_cmpuint(icount_executed(machine), ==, 0);
    end(&alarm, machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/icount/idle", test_idle);
    g_test_add_func("/icount/idle-sleep", test_idle_sleep);
    g_test_add_func("/icount/turn", test_turn);
    g_test_add_func("/icount/always-due", test_always_due);
    g_test_add_func("/icount/stalled", test_stalled);
    return g_test_run();
}
