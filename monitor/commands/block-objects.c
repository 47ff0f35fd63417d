/* SPDX-License-Identifier: MIT */
/* Objects of a running machine: threads and such of the machine, secrets and limits of its images. */
#include "monitor/block.h"

#include <stdlib.h>

#include "base/error.h"
#include "machine/iothread.h"

static const MonitorArgument add_arguments[] = {
    { "qom-type", ARGUMENT_STRING, false, "iothread, secret, tls-creds-x509, throttle-group …" },
    { "id", ARGUMENT_STRING, false, "its name" },
    { NULL },
};

/* options: flat, the type under "qom-type". */
static void add_object(Monitor *monitor, GHashTable *options, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    g_autofree char *type = g_strdup(g_hash_table_lookup(options, "qom-type"));
    g_autofree char *id = g_strdup(g_hash_table_lookup(options, "id"));
    BlockGraph *graph;
    Object *object;

    if (!type || !id || !object_type_find(type)) {
        graph = monitor_block_graph(monitor, error);
        if (graph) {
            block_secret_add(graph, options, error);
        }
        return;
    }
    if (!block_name_is_good(id) || machine_find_object(machine, id)) {
        error_fail(error, KASO_ERROR_GENERIC,
                   machine_find_object(machine, id)
                       ? "attempt to add duplicate property '%s' to object (type 'container')"
                       : "Parameter 'id' expects an identifier, not '%s'",
                   id);
        return;
    }
    g_hash_table_remove(options, "qom-type");
    g_hash_table_remove(options, "id");
    object = object_new(machine, type, id, options, error);
    if (object) {
        machine_add_object(machine, object);
    }
}

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    char *text = json_dumps(arguments, JSON_COMPACT);
    g_autoptr(GHashTable) options = block_options_from_json(text, error);

    free(text);
    if (options) {
        add_object(monitor, options, error);
    }
    return NULL;
}

static const MonitorCommand object_add_command = {
    .name = "object-add",
    .summary = "makes an object: a thread, a random source, a secret, limits",
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
    g_autoptr(GHashTable) options =
        block_object_options(monitor_get_string(arguments, "object"), error);

    if (options) {
        add_object(monitor, options, error);
    }
    return NULL;
}

static const MonitorCommand object_line_command = {
    .hmp = "object_add",
    .summary = "makes an object: a thread, a random source, a secret, limits",
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
    const char *id = monitor_get_string(arguments, "id");
    BlockGraph *graph;

    if (machine_find_object(monitor_machine(monitor), id)) {
        object_delete(monitor_machine(monitor), id, error);
        return NULL;
    }
    graph = monitor_block_graph(monitor, error);
    if (graph) {
        block_object_remove(graph, id, error);
    }
    return NULL;
}

static const MonitorCommand object_del_command = {
    .name = "object-del",
    .hmp = "object_del",
    .summary = "forgets an object that nobody uses",
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
