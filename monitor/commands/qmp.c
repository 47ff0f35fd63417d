/* SPDX-License-Identifier: MIT */
/* Commands that only programs use: negotiation, listings of what there is, the way to HMP. */
#include <string.h>

#include "monitor/command.h"
#include "monitor/monitor.h"

static json_t *capabilities_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *enable = json_object_get(arguments, "enable");

    if (enable && (!json_is_array(enable) || json_array_size(enable))) {
        error_fail(error, KASO_ERROR_INVALID, "no capabilities are offered that could be enabled");
        return NULL;
    }
    monitor_set_negotiated(monitor);
    return NULL;
}

static const MonitorArgument capabilities_arguments[] = {
    { "enable", ARGUMENT_ANY, true, "capabilities to enable" },
    { NULL },
};

static const MonitorCommand capabilities_command = {
    .name = "qmp_capabilities",
    .summary = "ends the negotiation of capabilities",
    .arguments = capabilities_arguments,
    .flags = COMMAND_NEGOTIATION,
    .run = capabilities_run,
};
MONITOR_COMMAND(capabilities_command);

static json_t *commands_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *commands = monitor_sorted_commands(true);
    json_t *list = json_array();

    for (guint i = 0; i < commands->len; i++) {
        const MonitorCommand *command = commands->pdata[i];
        json_t *entry;

        if (command->flags & COMMAND_NOT_YET) {
            continue;
        }
        entry = json_object();
        monitor_put(entry, "name", json_string(command->name));
        json_array_append_new(list, entry);
    }
    g_ptr_array_unref(commands);
    return list;
}

static const MonitorCommand commands_command = {
    .name = "query-commands",
    .summary = "lists the commands",
    .run = commands_run,
    .returns = "[CommandInfo]",
};
MONITOR_COMMAND(commands_command);

static json_t *human_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t index = monitor_get_int(arguments, "cpu-index", 0);
    unsigned saved = monitor_vcpu_index(monitor);
    GString *out = g_string_new(NULL);
    GError *failure = NULL;
    json_t *result;

    if (index < 0 || (index && index >= monitor_machine(monitor)->vcpus->len)) {
        g_string_free(out, TRUE);
        error_fail(error, KASO_ERROR_INVALID, "there is no CPU %d", (int)index);
        return NULL;
    }
    monitor_set_vcpu(monitor, index);
    monitor_set_in_line(monitor, true);
    /* What a person would see is the answer, mistakes included. */
    if (!monitor_run_hmp(monitor, monitor_get_string(arguments, "command-line"), out, &failure)) {
        g_string_append_printf(out, "Error: %s\n", failure->message);
        g_error_free(failure);
    }
    monitor_set_in_line(monitor, false);
    monitor_set_vcpu(monitor, saved);
    result = monitor_string(out->str);
    g_string_free(out, TRUE);
    return result;
}

static const MonitorArgument human_arguments[] = {
    { "command-line", ARGUMENT_STRING, .summary = "HMP command" },
    { "cpu-index", ARGUMENT_INT, true, "CPU that it is about" },
    { NULL },
};

static const MonitorCommand human_command = {
    .name = "human-monitor-command",
    .summary = "runs an HMP command",
    .arguments = human_arguments,
    .run = human_run,
    .returns = "str",
};
MONITOR_COMMAND(human_command);

static json_t *target_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const Target *target = monitor_machine(monitor)->config.target;
    json_t *result = json_object();

    monitor_put(result, "arch", json_string(target ? target->name : "none"));
    return result;
}

static const MonitorCommand target_command = {
    .name = "query-target",
    .summary = "shows the guest's architecture",
    .run = target_run,
    .returns = "TargetInfo",
};
MONITOR_COMMAND(target_command);

/* Listings of things that this machine never has any of. */
static json_t *empty_list_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return json_array();
}

#define EMPTY_LIST(symbol, qmp_name, hmp_name, text)                                               \
    static const MonitorCommand symbol = {                                                         \
        .name = qmp_name,                                                                          \
        .hmp = hmp_name,                                                                           \
        .summary = text,                                                                           \
        .run = empty_list_run,                                                                     \
        .returns = "[any]",                                                                        \
    };                                                                                             \
    MONITOR_COMMAND(symbol)

EMPTY_LIST(memory_devices_command, "query-memory-devices", "info memory-devices",
           "lists memory devices (none yet)");
EMPTY_LIST(tpm_models_command, "query-tpm-models", NULL, "lists TPM models (none yet)");
EMPTY_LIST(tpm_types_command, "query-tpm-types", NULL, "lists TPM back ends (none yet)");
EMPTY_LIST(tpm_command, "query-tpm", NULL, "lists TPMs (none yet)");
EMPTY_LIST(pr_managers_command, "query-pr-managers", NULL,
           "lists managers of persistent reservations (none yet)");
EMPTY_LIST(ospm_command, "query-acpi-ospm-status", NULL,
           "lists what guests have told of plugged memory and CPUs (none yet)");
