/* SPDX-License-Identifier: MIT */
/* Commands that work on images: jobs, snapshots, bitmaps, nodes. Arguments are the block layer's. */
#include "monitor/block.h"

#include "base/error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void forward_event(void *opaque, const char *event, const char *data)
{
    Machine *machine = opaque;

    bool held = machine_lock_held(machine); /* a drain inside a command delivers, too */

    if (!held) {
        machine_lock(machine);
    }
    machine_event(machine, event, data);
    if (!held) {
        machine_unlock(machine);
    }
}

void monitor_hear_blocks(Machine *machine)
{
    if (machine->block_graph) {
        block_set_event_handler(machine->block_graph, forward_event, machine);
    }
}

BlockGraph *monitor_block_graph(Monitor *monitor, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    if (!machine->block_graph) {
        error_fail(error, KASO_ERROR_GENERIC, "This machine has no drives");
        return NULL;
    }
    return machine->block_graph;
}

/* The checked arguments as the flat table that the block layer takes. */
static GHashTable *flat_arguments(json_t *arguments, GError **error)
{
    char *text = json_dumps(arguments, JSON_COMPACT);
    GHashTable *table = block_options_from_json(text, error);

    free(text);
    return table;
}

static json_t *start_job(Monitor *monitor, const char *command, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    GHashTable *table = graph ? flat_arguments(arguments, error) : NULL;

    if (table) {
        block_job_start(graph, command, table, error);
        g_hash_table_unref(table);
    }
    return NULL;
}

#define JOB_COMMAND(symbol, qmp_name, hmp_name, text, table)                                       \
    static json_t *symbol##_run(Monitor *monitor, json_t *arguments, GError **error)               \
    {                                                                                              \
        return start_job(monitor, qmp_name, arguments, error);                                     \
    }                                                                                              \
    static const MonitorCommand symbol##_command = {                                               \
        .name = qmp_name,                                                                          \
        .hmp = hmp_name,                                                                           \
        .summary = text,                                                                           \
        .arguments = table,                                                                        \
        .flags = COMMAND_OPEN_ARGUMENTS,                                                           \
        .run = symbol##_run,                                                                       \
    };                                                                                             \
    MONITOR_COMMAND(symbol##_command)

static const char *const sync_names[] = { "top", "full", "none", "incremental", "bitmap", NULL };
static const char *const on_error_names[] = { "report", "ignore", "enospc", "stop", "auto", NULL };
static const char *const mode_names[] = { "existing", "absolute-paths", NULL };
static const char *const copy_mode_names[] = { "background", "write-blocking", NULL };
static const char *const bitmap_mode_names[] = { "on-success", "never", "always", NULL };

#define QMP_ONLY(argument_name, argument_kind, text, ...)                                          \
    {                                                                                              \
        argument_name, argument_kind, true, text, .qmp = true, ##__VA_ARGS__                       \
    }
#define JOB_ID QMP_ONLY("job-id", ARGUMENT_STRING, "name of the job (the drive's)")
#define SPEED  QMP_ONLY("speed", ARGUMENT_SIZE, "bytes per second")
#define LIFE                                                                                       \
    QMP_ONLY("auto-finalize", ARGUMENT_BOOL, "off: it waits for job-finalize"),                    \
        QMP_ONLY("auto-dismiss", ARGUMENT_BOOL, "off: it stays until job-dismiss"),                \
        QMP_ONLY("filter-node-name", ARGUMENT_STRING, "name of the filter's node")
#define ON_ERROR(argument_name)                                                                    \
    QMP_ONLY(argument_name, ARGUMENT_STRING, "what a failure does", .values = on_error_names)
#define HEADER                                                                                     \
    QMP_ONLY("backing-file", ARGUMENT_STRING, "name for the header of the image above"),           \
        QMP_ONLY("backing-mask-protocol", ARGUMENT_BOOL, "a protocol's name is raw there")
#define MIRROR                                                                                     \
    SPEED, QMP_ONLY("replaces", ARGUMENT_STRING, "node whose place the target takes"),             \
        QMP_ONLY("granularity", ARGUMENT_SIZE, "bytes that are clean or dirty together"),          \
        QMP_ONLY("buf-size", ARGUMENT_SIZE, "bytes copied at once"),                               \
        QMP_ONLY("unmap", ARGUMENT_BOOL, "zeroes may become holes"),                               \
        QMP_ONLY("copy-mode", ARGUMENT_STRING, "when guests' writes are copied",                   \
                 .values = copy_mode_names),                                                       \
        ON_ERROR("on-source-error"), ON_ERROR("on-target-error")
#define BACKUP                                                                                     \
    SPEED, QMP_ONLY("bitmap", ARGUMENT_STRING, "what to copy"),                                    \
        QMP_ONLY("bitmap-mode", ARGUMENT_STRING, "when the bitmap is cleared",                     \
                 .values = bitmap_mode_names),                                                     \
        QMP_ONLY("compress", ARGUMENT_BOOL, "compresses what is written"),                         \
        ON_ERROR("on-source-error"), ON_ERROR("on-target-error")
#define FILE_TARGET                                                                                \
    QMP_ONLY("mode", ARGUMENT_STRING, "existing: the file is there", .values = mode_names)

static const MonitorArgument stream_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive", .complete = monitor_complete_drives },
    { "speed", ARGUMENT_SIZE, true, "bytes per second" },
    { "base", ARGUMENT_STRING, true, "image that stays below" },
    QMP_ONLY("base-node", ARGUMENT_STRING, "the same as a node"),
    QMP_ONLY("bottom", ARGUMENT_STRING, "the last node that is copied"),
    JOB_ID,
    HEADER,
    ON_ERROR("on-error"),
    LIFE,
    { NULL },
};

static const MonitorArgument commit_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive", .complete = monitor_complete_drives },
    { "top", ARGUMENT_STRING, true, "image to commit (the active one)" },
    { "base", ARGUMENT_STRING, true, "image to commit into (the deepest)" },
    QMP_ONLY("top-node", ARGUMENT_STRING, "the same as a node"),
    QMP_ONLY("base-node", ARGUMENT_STRING, "the same as a node"),
    JOB_ID,
    SPEED,
    HEADER,
    ON_ERROR("on-error"),
    LIFE,
    { NULL },
};

#define COPY_TO(what)                                                                              \
    { "device", ARGUMENT_STRING, false, "drive", .complete = monitor_complete_drives },            \
    {                                                                                              \
        "target", ARGUMENT_STRING, false, what                                                     \
    }
#define SYNC                                                                                       \
    {                                                                                              \
        "sync", ARGUMENT_STRING, true, "full, top, none, incremental or bitmap",                   \
            .values = sync_names                                                                   \
    }

static const MonitorArgument drive_mirror_arguments[] = {
    COPY_TO("file to copy to"),
    { "format", ARGUMENT_STRING, true, "format of the target" },
    SYNC,
    JOB_ID,
    MIRROR,
    FILE_TARGET,
    QMP_ONLY("node-name", ARGUMENT_STRING, "of the target"),
    LIFE,
    { NULL },
};

static const MonitorArgument mirror_arguments[] = { COPY_TO("node"), SYNC, JOB_ID,
                                                    MIRROR,          LIFE, { NULL } };

static const MonitorArgument drive_backup_arguments[] = {
    COPY_TO("file to copy to"),
    { "format", ARGUMENT_STRING, true, "format of the target" },
    SYNC,
    JOB_ID,
    BACKUP,
    FILE_TARGET,
    LIFE,
    { NULL },
};

static const MonitorArgument backup_arguments[] = { COPY_TO("node"), SYNC, JOB_ID,
                                                    BACKUP,          LIFE, { NULL } };

JOB_COMMAND(block_stream, "block-stream", "block_stream",
            "copies what is in backing files into the drive's image", stream_arguments);
JOB_COMMAND(block_commit, "block-commit", NULL, "writes an image's data into an image below",
            commit_arguments);
JOB_COMMAND(drive_mirror, "drive-mirror", NULL, "copies a drive and follows its writes",
            drive_mirror_arguments);
JOB_COMMAND(blockdev_mirror, "blockdev-mirror", NULL, "copies a node and follows its writes",
            mirror_arguments);
JOB_COMMAND(drive_backup, "drive-backup", NULL, "copies a drive as it is at this moment",
            drive_backup_arguments);
JOB_COMMAND(blockdev_backup, "blockdev-backup", NULL, "copies a node as it is at this moment",
            backup_arguments);

/* Control of jobs. */

static const MonitorArgument job_arguments[] = {
    { "device", ARGUMENT_STRING, false, "job (the drive's id unless job-id= named it)" },
    { "force", ARGUMENT_FLAG, true, "cancel: also when the copy is complete", .letter = 'f' },
    { NULL },
};

static const MonitorArgument job_id_arguments[] = {
    { "id", ARGUMENT_STRING, false, "job" },
    { NULL },
};

static const MonitorArgument speed_arguments[] = {
    { "device", ARGUMENT_STRING, false, "job" },
    { "speed", ARGUMENT_SIZE, false, "bytes per second, 0 for no limit" },
    { NULL },
};

/* Only commands of block jobs have a class of their own for it; of other jobs they know nothing. */
static bool find_job(BlockGraph *graph, const char *command, const char *id, GError **error)
{
    bool any = !g_str_has_prefix(command, "block-job-");

    return block_has_job(graph, id, any) ||
           error_fail(error, any ? KASO_ERROR_GENERIC : KASO_ERROR_NOT_ACTIVE, "%s '%s' not found",
                      any ? "Job" : "Block job", id);
}

static json_t *control_job(Monitor *monitor, const char *command, const char *action,
                           json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    const char *device = monitor_get_string(arguments, "device");
    const char *id = device ? device : monitor_get_string(arguments, "id");

    if (graph && find_job(graph, command, id, error)) {
        if (!strcmp(action, "cancel") && monitor_get_bool(arguments, "force")) {
            action = "force-cancel";
        }
        block_job_control(graph, id, action, (uint64_t)monitor_get_int(arguments, "speed", 0),
                          error);
    }
    return NULL;
}

#define JOB_CONTROL(symbol, qmp_name, hmp_name, action, text, table)                               \
    static json_t *symbol##_run(Monitor *monitor, json_t *arguments, GError **error)               \
    {                                                                                              \
        return control_job(monitor, qmp_name, action, arguments, error);                           \
    }                                                                                              \
    static const MonitorCommand symbol##_command = {                                               \
        .name = qmp_name,                                                                          \
        .hmp = hmp_name,                                                                           \
        .summary = text,                                                                           \
        .arguments = table,                                                                        \
        .run = symbol##_run,                                                                       \
    };                                                                                             \
    MONITOR_COMMAND(symbol##_command)

static json_t *change_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_job_control(graph, monitor_get_string(arguments, "id"), "change",
                          !strcmp(monitor_get_string(arguments, "copy-mode"), "write-blocking"),
                          error);
    }
    return NULL;
}

static const char *const changed_types[] = { "mirror", NULL };
static const char *const copy_modes[] = { "background", "write-blocking", NULL };

static const MonitorArgument change_arguments[] = {
    { "id", ARGUMENT_STRING, false, "job" },
    { "type", ARGUMENT_STRING, false, "of the job", .values = changed_types },
    { "copy-mode", ARGUMENT_STRING, false, "what a guest's write waits for", .values = copy_modes },
    { NULL },
};

static const MonitorCommand change_command = {
    .name = "block-job-change",
    .summary = "changes the copy mode of a mirror that runs",
    .arguments = change_arguments,
    .run = change_run,
};
MONITOR_COMMAND(change_command);

JOB_CONTROL(job_cancel, "block-job-cancel", "block_job_cancel", "cancel", "ends a block job",
            job_arguments);
JOB_CONTROL(job_pause, "block-job-pause", "block_job_pause", "pause", "pauses a block job",
            job_arguments);
JOB_CONTROL(job_resume, "block-job-resume", "block_job_resume", "resume",
            "goes on with a paused block job", job_arguments);
JOB_CONTROL(job_complete, "block-job-complete", "block_job_complete", "complete",
            "lets a mirror that is ready take the drive's place", job_arguments);
JOB_CONTROL(job_speed, "block-job-set-speed", "block_job_set_speed", "set-speed",
            "limits a block job", speed_arguments);
JOB_CONTROL(any_job_cancel, "job-cancel", NULL, "force-cancel", "ends a job", job_id_arguments);
JOB_CONTROL(any_job_pause, "job-pause", NULL, "pause", "pauses a job", job_id_arguments);
JOB_CONTROL(any_job_resume, "job-resume", NULL, "resume", "goes on with a job", job_id_arguments);
JOB_CONTROL(any_job_complete, "job-complete", NULL, "complete", "completes a job",
            job_id_arguments);
JOB_CONTROL(any_job_finalize, "job-finalize", NULL, "finalize",
            "lets a job that waits with auto-finalize=off make its changes", job_id_arguments);
JOB_CONTROL(any_job_dismiss, "job-dismiss", NULL, "dismiss", "forgets a job that has ended",
            job_id_arguments);
JOB_CONTROL(job_finalize, "block-job-finalize", NULL, "finalize", "as job-finalize",
            job_id_arguments);
JOB_CONTROL(job_dismiss, "block-job-dismiss", NULL, "dismiss", "as job-dismiss", job_id_arguments);

static json_t *list_jobs(Monitor *monitor, bool any_kind)
{
    Machine *machine = monitor_machine(monitor);
    char *text;
    json_t *list;

    if (!machine->block_graph) {
        return json_array();
    }
    text = block_query_jobs(machine->block_graph, any_kind);
    list = json_loads(text, 0, NULL);
    g_free(text);
    return list;
}

static json_t *query_any_jobs_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return list_jobs(monitor, true);
}

static const MonitorCommand query_any_jobs_command = {
    .name = "query-jobs",
    .summary = "lists background jobs",
    .run = query_any_jobs_run,
    .returns = "[JobInfo]",
};
MONITOR_COMMAND(query_any_jobs_command);

static json_t *query_jobs_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return list_jobs(monitor, false);
}

static void query_jobs_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *job;

    if (!json_array_size(result)) {
        g_string_append(out, "No active jobs\n");
    }
    json_array_foreach(result, i, job)
    {
        g_string_append_printf(out,
                               "Type %s, device %s: Completed %" G_GINT64_FORMAT
                               " of %" G_GINT64_FORMAT " bytes, speed limit %" G_GINT64_FORMAT
                               " bytes/s\n",
                               monitor_get_string(job, "type"), monitor_get_string(job, "device"),
                               monitor_get_int(job, "offset", 0), monitor_get_int(job, "len", 0),
                               monitor_get_int(job, "speed", 0));
    }
}

static const MonitorCommand query_jobs_command = {
    .name = "query-block-jobs",
    .hmp = "info block-jobs",
    .summary = "shows the block jobs",
    .run = query_jobs_run,
    .print = query_jobs_print,
    .returns = "[BlockJobInfo]",
};
MONITOR_COMMAND(query_jobs_command);

/* Images and nodes. */

json_t *monitor_block_operation(Monitor *monitor, BlockOperation *operation, json_t *arguments,
                                GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    GHashTable *table = graph ? flat_arguments(arguments, error) : NULL;

    if (table) {
        operation(graph, table, error);
        g_hash_table_unref(table);
    }
    return NULL;
}

static const MonitorArgument snapshot_arguments[] = {
    { "device", ARGUMENT_STRING, true, "drive", .complete = monitor_complete_drives },
    { "snapshot-file", ARGUMENT_STRING, false, "file that takes the writes from now on" },
    { "format", ARGUMENT_STRING, true, "its format (qcow2)" },
    { NULL },
};

static json_t *snapshot_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_snapshot_external, arguments, error);
}

static const MonitorCommand snapshot_command = {
    .name = "blockdev-snapshot-sync",
    .hmp = "snapshot_blkdev",
    .summary = "puts a new image on top of a drive's",
    .arguments = snapshot_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = snapshot_run,
};
MONITOR_COMMAND(snapshot_command);

static const MonitorArgument snapshot_node_arguments[] = {
    { "node", ARGUMENT_STRING, false, "drive or node" },
    { "overlay", ARGUMENT_STRING, false, "node without a backing image that takes its place" },
    { NULL },
};

static json_t *snapshot_node_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_snapshot_node, arguments, error);
}

static const MonitorCommand snapshot_node_command = {
    .name = "blockdev-snapshot",
    .summary = "puts an open image on top of a node",
    .arguments = snapshot_node_arguments,
    .run = snapshot_node_run,
};
MONITOR_COMMAND(snapshot_node_command);

static const MonitorArgument transaction_arguments[] = {
    { "actions", ARGUMENT_ANY, false, "list of objects with type and data" },
    { "properties", ARGUMENT_OBJECT, true,
      "completion-mode: individual, or grouped: jobs end together" },
    { NULL },
};

static json_t *transaction_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    json_t *properties = json_object_get(arguments, "properties");
    const char *mode = properties ? monitor_get_string(properties, "completion-mode") : NULL;
    char *text;

    if (!graph) {
        return NULL;
    }
    if (mode && strcmp(mode, "individual") && strcmp(mode, "grouped")) {
        error_fail(error, KASO_ERROR_INVALID,
                   "Parameter 'completion-mode' does not accept value '%s'; give individual or "
                   "grouped",
                   mode);
        return NULL;
    }
    text = json_dumps(json_object_get(arguments, "actions"), JSON_COMPACT | JSON_ENCODE_ANY);
    block_transaction(graph, text, !g_strcmp0(mode, "grouped"),
                      (uint64_t)clock_now_ns(monitor_machine(monitor)), error);
    free(text);
    return NULL;
}

static const MonitorCommand transaction_command = {
    .name = "transaction",
    .summary = "does several things to images at one instant, or none of them",
    .arguments = transaction_arguments,
    .run = transaction_run,
};
MONITOR_COMMAND(transaction_command);

static const MonitorArgument change_backing_arguments[] = {
    { "device", ARGUMENT_STRING, false, "drive", .complete = monitor_complete_drives },
    { "image-node-name", ARGUMENT_STRING, false, "image of its chain" },
    { "backing-file", ARGUMENT_STRING, false, "name that its header shall have" },
    { NULL },
};

static json_t *change_backing_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_change_backing_file, arguments, error);
}

static const MonitorCommand change_backing_command = {
    .name = "change-backing-file",
    .summary = "changes the name of its backing file in an image",
    .arguments = change_backing_arguments,
    .run = change_backing_run,
};
MONITOR_COMMAND(change_backing_command);

static const MonitorArgument change_child_arguments[] = {
    { "parent", ARGUMENT_STRING, false, "node", .complete = monitor_complete_drives },
    { "child", ARGUMENT_STRING, true, "the child that goes: children.0 …" },
    { "node", ARGUMENT_STRING, true, "the node that becomes a child" },
    { NULL },
};

static json_t *change_child_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_change_child, arguments, error);
}

static const MonitorCommand change_child_command = {
    .name = "x-blockdev-change",
    .summary = "adds a child to a node that has several, or takes one away",
    .arguments = change_child_arguments,
    .run = change_child_run,
};
MONITOR_COMMAND(change_child_command);

static const MonitorArgument node_add_arguments[] = {
    { "driver", ARGUMENT_STRING, false, "block driver" },
    { "node-name", ARGUMENT_STRING, false, "name of the node" },
    /* What nodes of all drivers take, for who looks for them in the schema; what else there is the driver says. */
    { "read-only", ARGUMENT_BOOL, true, "no writes" },
    { "auto-read-only", ARGUMENT_BOOL, true, "no writes where they are not possible" },
    { "force-share", ARGUMENT_BOOL, true, "also while others write" },
    { "active", ARGUMENT_BOOL, true, "false: others may have the image until blockdev-set-active" },
    { "discard", ARGUMENT_STRING, true, "unmap or ignore" },
    { "detect-zeroes", ARGUMENT_STRING, true, "off, on or unmap" },
    { "cache", ARGUMENT_OBJECT, true, "direct and no-flush" },
    { NULL },
};

static json_t *node_add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_node_add, arguments, error);
}

static const MonitorCommand node_add_command = {
    .name = "blockdev-add",
    .summary = "opens an image as a node",
    .arguments = node_add_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = node_add_run,
    .tag = "driver",
    .variants = block_each_option,
};
MONITOR_COMMAND(node_add_command);

static const MonitorArgument create_arguments[] = {
    { "job-id", ARGUMENT_STRING, false, "of the job, which job-dismiss ends" },
    { "options", ARGUMENT_OBJECT, false,
      "driver, file (a node) or filename, size and the driver's" },
    { NULL },
};

static json_t *create_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_job_create, arguments, error);
}

static const MonitorCommand create_command = {
    .name = "blockdev-create",
    .summary = "makes a file, or writes an empty image into an open node",
    .arguments = create_arguments,
    .run = create_run,
};
MONITOR_COMMAND(create_command);

static const MonitorArgument amend_arguments[] = {
    { "job-id", ARGUMENT_STRING, false, "of the job, which job-dismiss ends" },
    { "node-name", ARGUMENT_STRING, false, "an encrypted image",
      .complete = monitor_complete_drives },
    { "options", ARGUMENT_OBJECT, false, "driver, and what of its keys shall be otherwise" },
    { "force", ARGUMENT_BOOL, true, "also what makes the image unreadable" },
    { NULL },
};

static json_t *amend_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_block_operation(monitor, block_job_amend, arguments, error);
}

static const MonitorCommand amend_command = {
    .name = "x-blockdev-amend",
    .summary = "changes the keys of an encrypted image",
    .arguments = amend_arguments,
    .run = amend_run,
};
MONITOR_COMMAND(amend_command);

static const MonitorArgument set_active_arguments[] = {
    { "node-name", ARGUMENT_STRING, true, "which node (all)" },
    { "active", ARGUMENT_BOOL, false, "false: other processes may have the image" },
    { NULL },
};

static json_t *set_active_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    const char *node_name = monitor_get_string(arguments, "node-name");
    bool active = monitor_get_bool(arguments, "active");
    bool stopped = atomic_load(&monitor_machine(monitor)->stop_reason) != STOP_NONE;

    if (!graph) {
        return NULL;
    }
    if (node_name) {
        block_set_active(graph, node_name, active, stopped, error);
    } else if (active) {
        block_activate(graph, error);
    } else if (stopped) {
        block_inactivate(graph, error);
    } else {
        error_fail(error, KASO_ERROR_GENERIC, "A machine that runs needs its disks: stop it first");
    }
    return NULL;
}

static const MonitorCommand set_active_command = {
    .name = "blockdev-set-active",
    .summary = "takes an image, or lets other processes have it",
    .arguments = set_active_arguments,
    .run = set_active_run,
};
MONITOR_COMMAND(set_active_command);

static const MonitorArgument reopen_arguments[] = {
    { "options", ARGUMENT_ANY, false, "list of objects as blockdev-add takes them" },
    { NULL },
};

static json_t *reopen_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    char *text;

    if (graph) {
        text = json_dumps(json_object_get(arguments, "options"), JSON_COMPACT | JSON_ENCODE_ANY);
        block_reopen(graph, text, error);
        free(text);
    }
    return NULL;
}

static const MonitorCommand reopen_command = {
    .name = "blockdev-reopen",
    .summary = "changes access, caching and children of open nodes",
    .arguments = reopen_arguments,
    .run = reopen_run,
};
MONITOR_COMMAND(reopen_command);

static const MonitorArgument node_name_arguments[] = {
    { "node-name", ARGUMENT_STRING, false, "name of the node" },
    { NULL },
};

static json_t *node_remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);

    if (graph) {
        block_node_remove(graph, monitor_get_string(arguments, "node-name"), error);
    }
    return NULL;
}

static const MonitorCommand node_remove_command = {
    .name = "blockdev-del",
    .summary = "closes a node that nobody uses",
    .arguments = node_name_arguments,
    .run = node_remove_run,
};
MONITOR_COMMAND(node_remove_command);

static const MonitorArgument resize_arguments[] = {
    { "device", ARGUMENT_STRING, true, "drive", .complete = monitor_complete_drives },
    { "size", ARGUMENT_SIZE, false, "new size in bytes" },
    { "node-name", ARGUMENT_STRING, true, "or a node" },
    { NULL },
};

static json_t *resize_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    const char *device = monitor_get_string(arguments, "device");
    const char *node = monitor_get_string(arguments, "node-name");

    if (graph && !device == !node) {
        error_fail(error, KASO_ERROR_INVALID, "give 'device' or 'node-name'");
    } else if (graph) {
        block_resize(graph, device ? device : node, (uint64_t)monitor_get_int(arguments, "size", 0),
                     error);
    }
    return NULL;
}

static const MonitorCommand resize_command = {
    .name = "block_resize",
    .hmp = "block_resize",
    .summary = "changes the size of a drive's image",
    .arguments = resize_arguments,
    .run = resize_run,
};
MONITOR_COMMAND(resize_command);

/* Bitmaps. */

static const MonitorArgument bitmap_arguments[] = {
    { "node", ARGUMENT_STRING, false, "drive or node" },
    { "name", ARGUMENT_STRING, false, "name of the bitmap" },
    { NULL },
};

static json_t *bitmap_action(Monitor *monitor, const char *action, json_t *arguments,
                             GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    GHashTable *table = graph ? flat_arguments(arguments, error) : NULL;

    if (table) {
        block_bitmap(graph, monitor_get_string(arguments, "node"), action,
                     monitor_get_string(arguments, "name"), table, error);
        g_hash_table_unref(table);
    }
    return NULL;
}

#define BITMAP_COMMAND(symbol, qmp_name, action, text)                                             \
    static json_t *symbol##_run(Monitor *monitor, json_t *arguments, GError **error)               \
    {                                                                                              \
        return bitmap_action(monitor, action, arguments, error);                                   \
    }                                                                                              \
    static const MonitorCommand symbol##_command = {                                               \
        .name = qmp_name,                                                                          \
        .summary = text,                                                                           \
        .arguments = bitmap_arguments,                                                             \
        .flags = COMMAND_OPEN_ARGUMENTS,                                                           \
        .run = symbol##_run,                                                                       \
    };                                                                                             \
    MONITOR_COMMAND(symbol##_command)

BITMAP_COMMAND(bitmap_add, "block-dirty-bitmap-add", "add", "begins to record writes");
BITMAP_COMMAND(bitmap_remove, "block-dirty-bitmap-remove", "remove", "removes a bitmap");
BITMAP_COMMAND(bitmap_clear, "block-dirty-bitmap-clear", "clear", "forgets the recorded writes");
BITMAP_COMMAND(bitmap_enable, "block-dirty-bitmap-enable", "enable", "goes on recording");
BITMAP_COMMAND(bitmap_disable, "block-dirty-bitmap-disable", "disable", "stops recording");

static const MonitorArgument merge_arguments[] = {
    { "node", ARGUMENT_STRING, false, "drive or node" },
    { "target", ARGUMENT_STRING, false, "bitmap that takes the others" },
    { "bitmaps", ARGUMENT_ANY, false, "list of names, or of objects with node and name" },
    { NULL },
};

static bool merge_one(BlockGraph *graph, json_t *arguments, json_t *source, GError **error)
{
    g_autoptr(GHashTable) table = block_options_from_json("{}", error);
    const char *name =
        json_is_string(source) ? json_string_value(source) : monitor_get_string(source, "name");
    const char *node = monitor_get_string(source, "node");

    if (!name) {
        return error_fail(error, KASO_ERROR_INVALID, "a bitmap is a name, or has node and name");
    }
    g_hash_table_replace(table, g_strdup("source"), g_strdup(name));
    if (node) {
        g_hash_table_replace(table, g_strdup("source-node"), g_strdup(node));
    }
    return block_bitmap(graph, monitor_get_string(arguments, "node"), "merge",
                        monitor_get_string(arguments, "target"), table, error);
}

static json_t *merge_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    json_t *source;
    size_t i;

    if (!graph) {
        return NULL;
    }
    json_array_foreach(json_object_get(arguments, "bitmaps"), i, source)
    {
        if (!merge_one(graph, arguments, source, error)) {
            break;
        }
    }
    return NULL;
}

static const MonitorCommand merge_command = {
    .name = "block-dirty-bitmap-merge",
    .summary = "adds what other bitmaps have recorded",
    .arguments = merge_arguments,
    .run = merge_run,
};
MONITOR_COMMAND(merge_command);
