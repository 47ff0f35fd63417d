/* SPDX-License-Identifier: MIT */
/*
 * Limits of how fast each vCPU may write to memory. They need a log for each vCPU, which only KVM's dirty ring is; nothing here has one, so that
 * no limit is ever set, as programs that ask before they use it expect.
 */
#include "base/error.h"
#include "monitor/command.h"

static json_t *set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    error_fail(error, KASO_ERROR_UNSUPPORTED,
               "dirty page limit feature requires KVM with accelerator property 'dirty-ring-size' "
               "set, which is not built yet");
    return NULL;
}

static json_t *cancel_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return NULL;
}

static json_t *query_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return json_array();
}

static void query_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append(out, "Dirty page limit not enabled!\n");
}

static const MonitorArgument set_arguments[] = {
    { "dirty-rate", ARGUMENT_INT, false, "MB/s" },
    { "cpu-index", ARGUMENT_INT, true, "which CPU (all)" },
    { NULL },
};

static const MonitorCommand set_command = {
    .name = "set-vcpu-dirty-limit",
    .hmp = "set_vcpu_dirty_limit",
    .summary = "limits how fast CPUs write to memory (not built yet)",
    .arguments = set_arguments,
    .run = set_run,
};
MONITOR_COMMAND(set_command);

static const MonitorArgument cancel_arguments[] = {
    { "cpu-index", ARGUMENT_INT, true, "which CPU (all)" },
    { NULL },
};

static const MonitorCommand cancel_command = {
    .name = "cancel-vcpu-dirty-limit",
    .hmp = "cancel_vcpu_dirty_limit",
    .summary = "takes such limits away",
    .arguments = cancel_arguments,
    .run = cancel_run,
};
MONITOR_COMMAND(cancel_command);

static const MonitorCommand query_command = {
    .name = "query-vcpu-dirty-limit",
    .hmp = "info vcpu_dirty_limit",
    .summary = "lists such limits",
    .run = query_run,
    .print = query_print,
    .returns = "[DirtyLimitInfo]",
};
MONITOR_COMMAND(query_command);
