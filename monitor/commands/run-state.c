/* SPDX-License-Identifier: MIT */
/* Commands that start, stop, reset and end the machine. */
#include <string.h>

#include "machine/watchdog.h"
#include "migration/migration.h"
#include "monitor/command.h"

/* As QMP's RunState. A machine that has never run is in "prelaunch". */
static const char *run_state_name(Machine *machine)
{
    StopReason reason = machine->stop_reason;

    if (reason == STOP_NONE) {
        return "running";
    }
    if (reason == STOP_PAUSED && clock_now_ns(machine) == 0) {
        return "prelaunch";
    }
    return stop_reason_name(reason);
}

static json_t *status_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *status = json_object();

    monitor_put(status, "status", json_string(run_state_name(machine)));
    monitor_put(status, "singlestep", json_false());
    monitor_put(status, "running", json_boolean(machine->stop_reason == STOP_NONE));
    return status;
}

static void status_print(Monitor *monitor, json_t *result, GString *out)
{
    const char *name = monitor_get_string(result, "status");
    bool running = monitor_get_bool(result, "running");

    g_string_append_printf(out, "VM status: %s", running ? "running" : "paused");
    if (!running && strcmp(name, "paused")) {
        g_string_append_printf(out, " (%s)", name);
    }
    g_string_append_c(out, '\n');
}

static const MonitorCommand status_command = {
    .name = "query-status",
    .hmp = "info status",
    .summary = "shows whether the machine runs, and if not why",
    .run = status_run,
    .print = status_print,
    .returns = "StatusInfo",
};
MONITOR_COMMAND(status_command);

static json_t *stop_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    if (!migration_may_run(machine, false, error)) {
        return NULL;
    }
    /* A debugger's stop that it would end by itself becomes one that stays. */
    if (machine->stop_reason == STOP_NONE || machine->stop_reason == STOP_DEBUG) {
        machine_stop(machine, STOP_PAUSED);
    }
    return NULL;
}

static const MonitorCommand stop_command = {
    .name = "stop",
    .hmp = "stop|s",
    .summary = "stops all CPUs and the virtual clock",
    .run = stop_run,
};
MONITOR_COMMAND(stop_command);

static json_t *cont_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    if (!migration_may_run(machine, true, error)) {
        return NULL;
    }
    switch (atomic_load(&machine->stop_reason)) {
    case STOP_NONE:
        break;
    case STOP_GUEST_POWEROFF:
    case STOP_GUEST_RESET:
    case STOP_GUEST_PANIC:
    case STOP_ERROR:
        error_fail(error, KASO_ERROR_GENERIC,
                   "the machine cannot go on (%s); use system_reset first",
                   run_state_name(machine));
        break;
    default:
        machine_start(machine);
    }
    return NULL;
}

static const MonitorCommand cont_command = {
    .name = "cont",
    .hmp = "cont|c",
    .summary = "lets the stopped machine go on",
    .run = cont_run,
};
MONITOR_COMMAND(cont_command);

static json_t *reset_run(Monitor *monitor, json_t *arguments, GError **error)
{
    machine_request_reset(monitor_machine(monitor), "host-qmp-system-reset");
    return NULL;
}

static const MonitorCommand reset_command = {
    .name = "system_reset",
    .hmp = "system_reset",
    .summary = "resets the machine like its reset button",
    .run = reset_run,
};
MONITOR_COMMAND(reset_command);

static json_t *powerdown_run(Monitor *monitor, json_t *arguments, GError **error)
{
    machine_request_powerdown(monitor_machine(monitor));
    return NULL;
}

static const MonitorCommand powerdown_command = {
    .name = "system_powerdown",
    .hmp = "system_powerdown",
    .summary = "presses the power button; the guest decides what to do",
    .run = powerdown_run,
};
MONITOR_COMMAND(powerdown_command);

static json_t *wakeup_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    if (machine->stop_reason != STOP_SUSPENDED) {
        error_fail(error, KASO_ERROR_GENERIC, "Unable to wake up: guest is not in suspended state");
    } else {
        machine_request_wakeup(machine, WAKE_OTHER);
    }
    return NULL;
}

static const MonitorCommand wakeup_command = {
    .name = "system_wakeup",
    .hmp = "system_wakeup",
    .summary = "wakes a guest that sleeps in RAM",
    .run = wakeup_run,
};
MONITOR_COMMAND(wakeup_command);

static json_t *quit_run(Monitor *monitor, json_t *arguments, GError **error)
{
    machine_request_stop(monitor_machine(monitor), STOP_USER_QUIT, NULL);
    return NULL;
}

static const MonitorCommand quit_command = {
    .name = "quit",
    .hmp = "quit|q",
    .summary = "ends Kaso",
    .run = quit_run,
};
MONITOR_COMMAND(quit_command);

static json_t *nmi_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);

    if (!vcpu) {
        return NULL;
    }
    if (!vcpu->target->nmi) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "target %s has no non-maskable interrupt on this machine", vcpu->target->name);
        return NULL;
    }
    vcpu->target->nmi(vcpu);
    return NULL;
}

static const MonitorCommand nmi_command = {
    .name = "inject-nmi",
    .hmp = "nmi",
    .summary = "sends a non-maskable interrupt",
    .run = nmi_run,
};
MONITOR_COMMAND(nmi_command);

static json_t *boot_set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *order = monitor_get_string(arguments, "bootdevice");
    json_t *result;

    if (!machine->board->set_boot_order) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "machine '%s' has no boot order by letters",
                   machine->board->name);
        return NULL;
    }
    if (!machine->board->set_boot_order(machine, machine->board_state, order, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "order", monitor_string(order));
    return result;
}

static void boot_set_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "boot device list now set to %s\n",
                           monitor_get_string(result, "order"));
}

static const MonitorArgument boot_set_arguments[] = {
    { "bootdevice", ARGUMENT_STRING, .summary = "letters as -boot order= has them" },
    { NULL },
};

static const MonitorCommand boot_set_command = {
    .hmp = "boot_set",
    .summary = "sets the order in which the firmware tries devices, from the next reset on",
    .arguments = boot_set_arguments,
    .run = boot_set_run,
    .print = boot_set_print,
};
MONITOR_COMMAND(boot_set_command);

static const char *const reboot_actions[] = { "reset", "shutdown", NULL };
static const char *const shutdown_actions[] = { "poweroff", "pause", NULL };

static const char *const panic_actions[] = { "shutdown", "pause", "none", "exit-failure", NULL };

/* Values have been checked. */
static unsigned value_index(const char *const *values, const char *value)
{
    unsigned i = 0;

    while (values[i] && strcmp(values[i], value)) {
        i++;
    }
    return i;
}

static json_t *action_run(Monitor *monitor, json_t *arguments, GError **error)
{
    MachineConfig *config = &monitor_machine(monitor)->config;
    const char *reboot = monitor_get_string(arguments, "reboot");
    const char *shutdown = monitor_get_string(arguments, "shutdown");
    const char *panic = monitor_get_string(arguments, "panic");
    const char *watchdog = monitor_get_string(arguments, "watchdog");

    config->no_reboot = reboot ? !strcmp(reboot, "shutdown") : config->no_reboot;
    config->no_shutdown = shutdown ? !strcmp(shutdown, "pause") : config->no_shutdown;
    config->panic_action = panic ? value_index(panic_actions, panic) : config->panic_action;
    config->watchdog_action =
        watchdog ? value_index(watchdog_actions, watchdog) : config->watchdog_action;
    return NULL;
}

static const MonitorArgument action_arguments[] = {
    { "reboot", ARGUMENT_STRING, true, "what a reset by the guest does", .values = reboot_actions },
    { "shutdown", ARGUMENT_STRING, true, "what a power-off does", .values = shutdown_actions },
    { "panic", ARGUMENT_STRING, true, "what a guest's panic does", .values = panic_actions },
    { "watchdog", ARGUMENT_STRING, true, "what a watchdog does", .values = watchdog_actions },
    { NULL },
};

static const MonitorCommand action_command = {
    .name = "set-action",
    .summary = "sets what the guest's ends, panics and watchdogs do, as -action does",
    .arguments = action_arguments,
    .run = action_run,
};
MONITOR_COMMAND(action_command);

static json_t *replay_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *result = json_object();

    monitor_put(result, "mode", json_string("none"));
    monitor_put(result, "icount", json_integer(0));
    return result;
}

static void replay_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append(out, "Record/replay is not active\n");
}

static const MonitorCommand replay_command = {
    .name = "query-replay",
    .hmp = "info replay",
    .summary = "tells whether a run is recorded or replayed, which is not built yet",
    .run = replay_run,
    .print = replay_print,
    .returns = "ReplayInfo",
};
MONITOR_COMMAND(replay_command);
