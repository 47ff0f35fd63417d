/* SPDX-License-Identifier: MIT */
/* Exports of drives over NBD: nbd-server-start, -add, -remove, -stop, block-export-*. */
#include "monitor/block.h"

#include <string.h>

static const MonitorArgument start_arguments[] = {
    { "addr", ARGUMENT_OBJECT, false, "where to listen" },
    { "tls-creds", ARGUMENT_STRING, true, "id of the credentials; none: no TLS" },
    { "tls-authz", ARGUMENT_STRING, true, "id of an authz-* object: which clients may come in" },
    { "max-connections", ARGUMENT_INT, true, "0: any number (100)" },
    { "handshake-max-seconds", ARGUMENT_INT, true, "accepted" },
    { NULL },
};

static json_t *start_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_nbd_start, arguments, error);
}

static const MonitorCommand start_command = {
    .name = "nbd-server-start",
    .summary = "begins to listen for NBD clients",
    .arguments = start_arguments,
    .run = start_run,
};
MONITOR_COMMAND(start_command);

static const MonitorArgument add_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive or node", .complete = monitor_complete_drives },
    { "name", ARGUMENT_STRING, true, "of the export (the device's)" },
    { "writable", ARGUMENT_BOOL, true, "clients may write" },
    { "bitmap", ARGUMENT_STRING, true, "dirty bitmap to offer" },
    { "description", ARGUMENT_STRING, true, "for lists of exports" },
    { NULL },
};

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_nbd_add, arguments, error);
}

static const MonitorCommand add_command = {
    .name = "nbd-server-add",
    .summary = "exports a drive to NBD clients",
    .arguments = add_arguments,
    .run = add_run,
};
MONITOR_COMMAND(add_command);

static const MonitorArgument export_arguments[] = {
    { "type", ARGUMENT_STRING, false, "nbd" },
    { "id", ARGUMENT_STRING, false, "of the export" },
    { "node-name", ARGUMENT_STRING, false, "node" },
    { NULL },
};

static json_t *export_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_export_add, arguments, error);
}

static const MonitorCommand export_command = {
    .name = "block-export-add",
    .summary = "exports a node (name, writable, bitmaps, description … as well)",
    .arguments = export_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = export_run,
};
MONITOR_COMMAND(export_command);

static const MonitorArgument remove_arguments[] = {
    { "name", ARGUMENT_STRING, false, "export" },
    { "mode", ARGUMENT_STRING, true, "safe: not while clients are connected; or hard" },
    { NULL },
};

static const MonitorArgument delete_arguments[] = {
    { "id", ARGUMENT_STRING, false, "export" },
    { "mode", ARGUMENT_STRING, true, "safe: not while clients are connected; or hard" },
    { NULL },
};

static json_t *remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    const char *name = monitor_get_string(arguments, "name");
    const char *mode = monitor_get_string(arguments, "mode");

    if (mode && strcmp(mode, "safe") && strcmp(mode, "hard")) {
        error_fail(error, KASO_ERROR_INVALID, "mode is safe or hard, not '%s'", mode);
    } else if (graph) {
        block_export_remove(graph, name ? name : monitor_get_string(arguments, "id"),
                            !g_strcmp0(mode, "hard"), error);
    }
    return NULL;
}

static const MonitorCommand remove_command = {
    .name = "nbd-server-remove",
    .summary = "ends an export",
    .arguments = remove_arguments,
    .run = remove_run,
};
MONITOR_COMMAND(remove_command);

static const MonitorCommand delete_command = {
    .name = "block-export-del",
    .summary = "ends an export",
    .arguments = delete_arguments,
    .run = remove_run,
};
MONITOR_COMMAND(delete_command);

static json_t *stop_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_nbd_stop(graph, error);
    }
    return NULL;
}

static const MonitorCommand stop_command = {
    .name = "nbd-server-stop",
    .hmp = "nbd_server_stop",
    .summary = "ends all exports and stops to listen",
    .run = stop_run,
};
MONITOR_COMMAND(stop_command);

static json_t *exports_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_machine(monitor)->block_graph;
    char *text = graph ? block_query_exports(graph) : g_strdup("[]");
    json_t *list = json_loads(text, 0, NULL);

    g_free(text);
    return list;
}

static const MonitorCommand exports_command = {
    .name = "query-block-exports",
    .summary = "lists the exports",
    .run = exports_run,
    .returns = "[BlockExportInfo]",
};
MONITOR_COMMAND(exports_command);

/* HMP's forms. */

static const MonitorArgument hmp_start_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "export all drives", .letter = 'a' },
    { "writable", ARGUMENT_FLAG, true, "for writing, too", .letter = 'w' },
    { "uri", ARGUMENT_STRING, false, "HOST:PORT or unix:PATH" },
    { NULL },
};

static bool hmp_export_all(BlockGraph *graph, bool writable, GError **error)
{
    BlockBackend *drive = NULL;

    while ((drive = block_next(graph, drive))) {
        g_autoptr(GHashTable) options = NULL;

        if (!block_id(drive)[0]) {
            continue;
        }
        options = block_options_from_json("{}", NULL);
        g_hash_table_replace(options, g_strdup("device"), g_strdup(block_id(drive)));
        g_hash_table_replace(options, g_strdup("writable"),
                             g_strdup(writable && !block_read_only(drive) ? "on" : "off"));
        if (!block_nbd_add(graph, options, error)) {
            block_nbd_stop(graph, NULL);
            return false;
        }
    }
    return true;
}

static json_t *hmp_start_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    const char *uri = monitor_get_string(arguments, "uri"), *colon = strrchr(uri, ':');
    g_autoptr(GHashTable) options = block_options_from_json("{}", NULL);

    if (!graph) {
        return NULL;
    }
    if (g_str_has_prefix(uri, "unix:")) {
        g_hash_table_replace(options, g_strdup("addr.type"), g_strdup("unix"));
        g_hash_table_replace(options, g_strdup("addr.path"), g_strdup(uri + strlen("unix:")));
    } else {
        g_hash_table_replace(options, g_strdup("addr.type"), g_strdup("inet"));
        if (colon) {
            g_hash_table_replace(options, g_strdup("addr.host"),
                                 g_strndup(uri, (gsize)(colon - uri)));
            g_hash_table_replace(options, g_strdup("addr.port"), g_strdup(colon + 1));
        }
    }
    if (block_nbd_start(graph, options, error) && monitor_get_bool(arguments, "all")) {
        hmp_export_all(graph, monitor_get_bool(arguments, "writable"), error);
    }
    return NULL;
}

static const MonitorCommand hmp_start_command = {
    .hmp = "nbd_server_start",
    .summary = "begins to listen for NBD clients",
    .arguments = hmp_start_arguments,
    .run = hmp_start_run,
};
MONITOR_COMMAND(hmp_start_command);

static const MonitorArgument hmp_add_arguments[] = {
    { "writable", ARGUMENT_FLAG, true, "for writing, too", .letter = 'w' },
    { "device", ARGUMENT_STRING, false, "drive or node", .complete = monitor_complete_drives },
    { "name", ARGUMENT_STRING, true, "of the export (the device's)" },
    { NULL },
};

static const MonitorCommand hmp_add_command = {
    .hmp = "nbd_server_add",
    .summary = "exports a drive to NBD clients",
    .arguments = hmp_add_arguments,
    .run = add_run,
};
MONITOR_COMMAND(hmp_add_command);

static const MonitorArgument hmp_remove_arguments[] = {
    { "force", ARGUMENT_FLAG, true, "also when clients are connected", .letter = 'f' },
    { "name", ARGUMENT_STRING, false, "export" },
    { NULL },
};

static json_t *hmp_remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_export_remove(graph, monitor_get_string(arguments, "name"),
                            monitor_get_bool(arguments, "force"), error);
    }
    return NULL;
}

static const MonitorCommand hmp_remove_command = {
    .hmp = "nbd_server_remove",
    .summary = "ends an export",
    .arguments = hmp_remove_arguments,
    .run = hmp_remove_run,
};
MONITOR_COMMAND(hmp_remove_command);
