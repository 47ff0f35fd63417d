/* SPDX-License-Identifier: MIT */
/* Snapshots inside images, and the commit of a drive's image into its backing file. */
#include "base/error.h"
#include "monitor/block.h"

#include <string.h>

static const MonitorArgument create_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive or node", .complete = monitor_complete_drives },
    { "name", ARGUMENT_STRING, false, "name of the snapshot" },
    { NULL },
};

static json_t *create_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_snapshot_create(graph, monitor_get_string(arguments, "device"),
                              monitor_get_string(arguments, "name"),
                              (uint64_t)clock_now_ns(monitor_machine(monitor)), error);
    }
    return NULL;
}

static const MonitorCommand create_command = {
    .name = "blockdev-snapshot-internal-sync",
    .hmp = "snapshot_blkdev_internal",
    .summary = "makes a snapshot inside a drive's image",
    .arguments = create_arguments,
    .run = create_run,
};
MONITOR_COMMAND(create_command);

static json_t *delete_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    g_autofree char *text =
        graph ? block_snapshot_delete(graph, monitor_get_string(arguments, "device"),
                                      monitor_get_string(arguments, "id"),
                                      monitor_get_string(arguments, "name"), error)
              : NULL;

    return text ? json_loads(text, 0, NULL) : NULL;
}

static const MonitorArgument delete_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive or node", .complete = monitor_complete_drives },
    { "name", ARGUMENT_STRING, true, "name of the snapshot" },
    { "id", ARGUMENT_STRING, true, "its number, instead of the name or with it" },
    { NULL },
};

static const MonitorCommand delete_command = {
    .name = "blockdev-snapshot-delete-internal-sync",
    .hmp = "snapshot_delete_blkdev_internal",
    .summary = "deletes a snapshot inside a drive's image",
    .arguments = delete_arguments,
    .run = delete_run,
    .returns = "SnapshotInfo",
};
MONITOR_COMMAND(delete_command);

static json_t *commit_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    const char *device = monitor_get_string(arguments, "device");

    if (graph) {
        block_commit_drive(graph, strcmp(device, "all") ? device : NULL, error);
    }
    return NULL;
}

static const MonitorArgument commit_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive, or all", .complete = monitor_complete_drives },
    { NULL },
};

static const MonitorCommand commit_command = {
    .hmp = "commit",
    .summary = "writes what a drive's image holds into its backing file, and empties it",
    .arguments = commit_arguments,
    .run = commit_run,
};
MONITOR_COMMAND(commit_command);
