/* SPDX-License-Identifier: MIT */
/* Secrets, TLS credentials and throttle groups of a running machine; other kinds are made at its start. */
#include "monitor/block.h"

#include "base/error.h"

static const MonitorArgument add_arguments[] = {
    { "qom-type", ARGUMENT_STRING, false, "secret, tls-creds-x509, tls-creds-psk, throttle-group" },
    { "id", ARGUMENT_STRING, false, "its name" },
    { NULL },
};

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_secret_add, arguments, error);
}

static const MonitorCommand object_add_command = {
    .name = "object-add",
    .summary = "makes a secret or credentials for images",
    .arguments = add_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = add_run,
};
MONITOR_COMMAND(object_add_command);

static const MonitorArgument line_arguments[] = {
    { "object", ARGUMENT_REST, false, "TYPE,id=NAME,… as -object takes it" },
    { NULL },
};

static json_t *line_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_object_add_line(graph, monitor_get_string(arguments, "object"), error);
    }
    return NULL;
}

static const MonitorCommand object_line_command = {
    .hmp = "object_add",
    .summary = "makes a secret or credentials for images",
    .arguments = line_arguments,
    .run = line_run,
};
MONITOR_COMMAND(object_line_command);

static const MonitorArgument delete_arguments[] = {
    { "id", ARGUMENT_STRING, false, "its name" },
    { NULL },
};

static json_t *delete_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_object_remove(graph, monitor_get_string(arguments, "id"), error);
    }
    return NULL;
}

static const MonitorCommand object_del_command = {
    .name = "object-del",
    .hmp = "object_del",
    .summary = "forgets a secret or credentials",
    .arguments = delete_arguments,
    .run = delete_run,
};
MONITOR_COMMAND(object_del_command);
