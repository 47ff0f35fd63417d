/* SPDX-License-Identifier: MIT */
/* Objects of a running machine: object-add, object-del, and where nodes may run. */
#include <stdlib.h>

#include "base/error.h"
#include "machine/iothread.h"
#include "machine/object.h"
#include "monitor/block.h"

static const MonitorArgument add_arguments[] = {
    { "qom-type", ARGUMENT_STRING, false, "type, as -object help lists them" },
    { "id", ARGUMENT_STRING, false, "its name" },
    { NULL },
};

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    char *text = json_dumps(arguments, 0);
    g_autoptr(KeyValues) list = key_values_parse_json(text, error);

    free(text);
    if (list) {
        object_add(monitor_machine(monitor), list, error);
    }
    return NULL;
}

static void add_variants(MonitorVariantTaker *take, void *opaque)
{
    const ObjectType *const *it;

    REGISTRY_FOREACH(object_types, it) {
        monitor_take_properties(take, opaque, (*it)->name, (*it)->properties);
    }
}

static const MonitorCommand object_add_command = {
    .name = "object-add",
    .summary = "makes an object, as -object does",
    .arguments = add_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = add_run,
    .tag = "qom-type",
    .variants = add_variants,
};
MONITOR_COMMAND(object_add_command);

static const MonitorArgument line_arguments[] = {
    { "object", ARGUMENT_REST, false, "TYPE,id=NAME,… as -object takes it" },
    { NULL },
};

static json_t *line_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_autoptr(KeyValues) list =
        key_values_parse_last(monitor_get_string(arguments, "object"), "qom-type", error);

    if (list) {
        object_add(monitor_machine(monitor), list, error);
    }
    return NULL;
}

static const MonitorCommand object_line_command = {
    .hmp = "object_add",
    .summary = "makes an object, as -object does",
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
    object_remove(monitor_machine(monitor), monitor_get_string(arguments, "id"), error);
    return NULL;
}

static const MonitorCommand object_del_command = {
    .name = "object-del",
    .hmp = "object_del",
    .summary = "removes an object that nobody uses",
    .arguments = delete_arguments,
    .run = delete_run,
};
MONITOR_COMMAND(object_del_command);

static const MonitorArgument set_thread_arguments[] = {
    { "node-name", ARGUMENT_STRING, false, "node" },
    { "iothread", ARGUMENT_ANY, false, "I/O thread, or null for the main loop" },
    { "force", ARGUMENT_BOOL, true, "also when a device uses the node" },
    { NULL },
};

static json_t *set_thread_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    json_t *thread = json_object_get(arguments, "iothread");

    if (json_is_string(thread) &&
        !iothread_find(monitor_machine(monitor), json_string_value(thread), NULL)) {
        error_fail(error, KASO_ERROR_GENERIC, "Cannot find iothread %s", json_string_value(thread));
    } else if (graph) {
        block_node_may_move(graph, monitor_get_string(arguments, "node-name"),
                            monitor_get_bool(arguments, "force"), error);
    }
    return NULL;
}

static const MonitorCommand set_thread_command = {
    .name = "x-blockdev-set-iothread",
    .summary = "checks that a node can be used by a thread; its device's iothread= decides which",
    .arguments = set_thread_arguments,
    .run = set_thread_run,
};
MONITOR_COMMAND(set_thread_command);
