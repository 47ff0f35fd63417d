/* SPDX-License-Identifier: MIT */
/* How a run begins, is held and ends. */
#include <glib.h>

#include "tests/unit/counting-machine.h"

static void collect_event(void *opaque, const char *event, const char *json_data)
{
    g_string_append_printf(opaque, "%s;", event);
}

static void power_off(Vcpu *vcpu, void *opaque)
{
    machine_request_stop(vcpu->machine, STOP_GUEST_POWEROFF, NULL);
    g_assert_true(atomic_load(&vcpu->stop_requested));
}

static void request_reset(Vcpu *vcpu, void *opaque)
{
    machine_request_reset(vcpu->machine, "guest");
}

static void count_call(void *opaque)
{
    ++*(int *)opaque;
}

static void test_run(void)
{
    Machine *machine = counting_machine(2);
    GString *events = g_string_new(NULL);
    int resets = 0, deferred = 0;

    machine_add_event_listener(machine, collect_event, events);
    machine_on_reset(machine, count_call, &resets);
    machine_lock(machine);
    machine_start(machine);
    machine_unlock(machine);
    g_assert_cmpint(resets, ==, 0); /* it was reset already */
    vcpu_queue_work(machine->vcpus->pdata[0], request_reset, NULL);
    machine_defer(machine, count_call, &deferred);
    while (!resets || !deferred) {
        g_main_context_iteration(NULL, true);
    }
    machine_request_stop(machine, STOP_PAUSED, NULL);
    while (machine_running(machine)) {
        g_main_context_iteration(NULL, true);
    }
    machine_lock(machine);
    machine_start(machine);
    machine_unlock(machine);
    vcpu_queue_work(machine->vcpus->pdata[1], power_off, NULL);
    g_assert_cmpint(machine_run(machine), ==, 0);
    g_assert_cmpstr(events->str, ==, "RESUME;RESET;STOP;RESUME;SHUTDOWN;");
    g_assert_cmpstr(stop_reason_name(atomic_load(&machine->stop_reason)), ==, "shutdown");
    g_string_free(events, true);
    machine_free(machine);
}

static int status_of_end(StopReason reason, int asked, void (*configure)(MachineConfig *config))
{
    Machine *machine = counting_machine(1);
    int status;

    configure(&machine->config);
    machine_request_end(machine, reason, NULL, asked);
    status = machine_run(machine);
    machine_free(machine);
    return status;
}

static void configure_plain(MachineConfig *config)
{
}

static void configure_distinct(MachineConfig *config)
{
    config->exit_distinct = true;
}

static void configure_panic(MachineConfig *config)
{
    config->panic_action = PANIC_EXIT_FAILURE;
}

static void configure_numbers(MachineConfig *config)
{
    config->exit_status[STOP_GUEST_PANIC] = (ExitStatus){ true, 77 };
    config->exit_distinct = true;
}

static void test_exit_status(void)
{
    static const struct {
        StopReason reason;
        int asked, plain, panic, distinct, numbers;
    } cases[] = {
        { STOP_GUEST_POWEROFF, -1, 0, 0, 0, 0 }, { STOP_GUEST_RESET, -1, 0, 0, 10, 10 },
        { STOP_GUEST_PANIC, -1, 0, 1, 11, 77 },  { STOP_ERROR, -1, 1, 1, 12, 12 },
        { STOP_USER_QUIT, -1, 0, 0, 13, 13 },    { STOP_SIGNAL, 143, 143, 143, 143, 143 },
        { STOP_CONSOLE_MATCH, 5, 5, 5, 5, 5 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        StopReason reason = cases[i].reason;
        int asked = cases[i].asked;

        g_assert_cmpint(status_of_end(reason, asked, configure_plain), ==, cases[i].plain);
        g_assert_cmpint(status_of_end(reason, asked, configure_panic), ==, cases[i].panic);
        g_assert_cmpint(status_of_end(reason, asked, configure_distinct), ==, cases[i].distinct);
        g_assert_cmpint(status_of_end(reason, asked, configure_numbers), ==, cases[i].numbers);
    }
}

static void test_first_error(void)
{
    Machine *machine = counting_machine(1);

    machine_request_end(machine, STOP_ERROR, "the cause", 1);
    machine_request_end(machine, STOP_ERROR, "what follows from it", 70);
    g_assert_cmpint(machine_run(machine), ==, 1);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run-state/run", test_run);
    g_test_add_func("/run-state/exit-status", test_exit_status);
    g_test_add_func("/run-state/first-error", test_first_error);
    return g_test_run();
}
