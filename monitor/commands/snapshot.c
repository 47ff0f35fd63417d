/* SPDX-License-Identifier: MIT */
/* Snapshots of the whole machine: HMP's savevm and its like, and the jobs of QMP. */
#include <stdlib.h>

#include "block/vm-snapshot.h"
#include "migration/snapshot.h"
#include "monitor/block.h"
#include "monitor/session.h"

static const SnapshotDisks all_disks;

/* A person waits for the end of it, and sees how far it is. */
typedef struct {
    Monitor *monitor;
    MonitorAnswer *answer; /* NULL: nobody waits any more */
    guint timer;
    bool shown;
} Waiting;

enum { SHOW_MS = 500 };

static const MonitorCommand save_command;

static void stop_waiting(void *opaque)
{
    Waiting *waiting = opaque;

    waiting->answer = NULL;
}

static gboolean show(gpointer opaque)
{
    Waiting *waiting = opaque;
    Machine *machine;
    uint64_t done, total;

    if (waiting->answer) {
        machine = monitor_machine(waiting->monitor);
        machine_lock(machine);
        if (snapshot_save_progress(machine, &done, &total)) {
            hmp_progress(waiting->monitor, "saved", done, total);
            waiting->shown = true;
        }
        machine_unlock(machine);
    }
    return G_SOURCE_CONTINUE;
}

static void saved(void *opaque, GError *error)
{
    Waiting *waiting = opaque;

    g_source_remove(waiting->timer);
    if (waiting->answer) {
        if (waiting->shown) {
            hmp_progress(waiting->monitor, "", 0, 0);
        }
        monitor_answer(waiting->answer, NULL, error);
    } else {
        g_clear_error(&error);
    }
    g_free(waiting);
}

static void save_and_wait(Monitor *monitor, const char *tag, GError **error)
{
    Waiting *waiting = g_new0(Waiting, 1);

    waiting->monitor = monitor;
    if (!snapshot_save_start(monitor_machine(monitor), tag, true, &all_disks, saved, waiting,
                             error)) {
        g_free(waiting);
        return;
    }
    waiting->timer = g_timeout_add(SHOW_MS, show, waiting);
    waiting->answer = monitor_answer_later(monitor, &save_command, stop_waiting, waiting, NULL);
}

static json_t *save_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *tag = monitor_has(arguments, "name") ? monitor_get_string(arguments, "name") : NULL;

    if (!monitor_block_graph(monitor, error)) {
        return NULL;
    }
    if (monitor->chardev && !monitor->control) {
        save_and_wait(monitor, tag, error);
    } else {
        snapshot_save(monitor_machine(monitor), tag, true, &all_disks, error);
    }
    return NULL;
}

static const MonitorArgument save_arguments[] = {
    { "name", ARGUMENT_STRING, true, "the snapshot's name; one of the time when there is none" },
    { NULL },
};

static const MonitorCommand save_command = {
    .hmp = "savevm",
    .summary = "saves the machine in its disks: its state in one, and a snapshot of all",
    .arguments = save_arguments,
    .run = save_run,
};
MONITOR_COMMAND(save_command);

static json_t *load_run(Monitor *monitor, json_t *arguments, GError **error)
{
    if (monitor_block_graph(monitor, error)) {
        snapshot_load(monitor_machine(monitor), monitor_get_string(arguments, "name"), &all_disks,
                      error);
    }
    return NULL;
}

static const MonitorArgument name_arguments[] = {
    { "name", ARGUMENT_STRING, false, "the snapshot's name" },
    { NULL },
};

static const MonitorCommand load_command = {
    .hmp = "loadvm",
    .summary = "puts machine and disks back to what savevm has saved",
    .arguments = name_arguments,
    .run = load_run,
};
MONITOR_COMMAND(load_command);

static json_t *delete_run(Monitor *monitor, json_t *arguments, GError **error)
{
    if (monitor_block_graph(monitor, error)) {
        snapshot_delete(monitor_machine(monitor), monitor_get_string(arguments, "name"), &all_disks,
                        error);
    }
    return NULL;
}

static const MonitorCommand delete_command = {
    .hmp = "delvm",
    .summary = "deletes what savevm has saved",
    .arguments = name_arguments,
    .run = delete_run,
};
MONITOR_COMMAND(delete_command);

/* info snapshots */

static json_t *list_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    char *text = graph ? vm_snapshot_list(graph, error) : NULL;
    json_t *result = text ? json_loads(text, 0, NULL) : NULL;

    free(text);
    return result;
}

static void print_row(const json_t *snapshot, const char *id, GString *out)
{
    g_autofree char *row = vm_snapshot_row(snapshot, id);

    g_string_append(out, row);
}

static void list_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *complete = json_object_get(result, "complete"), *entry, *snapshot;
    size_t i, j;

    if (!json_array_size(complete) && !json_array_size(json_object_get(result, "partial"))) {
        g_string_append(out, "There is no snapshot available.\n");
        return;
    }
    g_string_append(out, "List of snapshots present on all disks:\n");
    if (json_array_size(complete)) {
        print_row(NULL, NULL, out);
    } else {
        g_string_append(out, "None\n");
    }
    json_array_foreach(complete, i, snapshot)
    {
        /* An image gives ids of its own: there is none for all of them. */
        print_row(snapshot, "--", out);
    }
    json_array_foreach(json_object_get(result, "partial"), i, entry)
    {
        g_string_append_printf(out, "\nList of partial (non-loadable) snapshots on '%s':\n",
                               monitor_get_string(entry, "device"));
        print_row(NULL, NULL, out);
        json_array_foreach(json_object_get(entry, "snapshots"), j, snapshot)
        {
            print_row(snapshot, NULL, out);
        }
    }
}

static const MonitorCommand list_command = {
    .hmp = "info snapshots",
    .summary = "lists what savevm has saved",
    .run = list_run,
    .print = list_print,
};
MONITOR_COMMAND(list_command);

/* Jobs */

typedef struct {
    Machine *machine;
    VmSnapshotWork *work;
    guint timer; /* that tells the job how far it is */
    char *tag, *vmstate;
    GPtrArray *devices; /* char *, NULL at the end */
} SnapshotJob;

static void job_free(void *opaque)
{
    SnapshotJob *job = opaque;

    g_free(job->tag);
    g_free(job->vmstate);
    g_ptr_array_unref(job->devices);
    g_free(job);
}

static SnapshotJob *job_new(Monitor *monitor, json_t *arguments, GError **error)
{
    SnapshotJob *job = g_new0(SnapshotJob, 1);
    json_t *device;
    size_t i;

    job->machine = monitor_machine(monitor);
    job->tag = g_strdup(monitor_get_string(arguments, "tag"));
    job->vmstate = monitor_has(arguments, "vmstate")
                       ? g_strdup(monitor_get_string(arguments, "vmstate"))
                       : NULL;
    job->devices = g_ptr_array_new_with_free_func(g_free);
    json_array_foreach(json_object_get(arguments, "devices"), i, device)
    {
        if (!json_is_string(device)) {
            error_fail(error, KASO_ERROR_INVALID, "'devices' is a list of node names");
            job_free(job);
            return NULL;
        }
        g_ptr_array_add(job->devices, g_strdup(json_string_value(device)));
    }
    g_ptr_array_add(job->devices, NULL);
    return job;
}

static SnapshotDisks disks_of(const SnapshotJob *job)
{
    return (SnapshotDisks){ (const char *const *)job->devices->pdata, job->vmstate };
}

static gboolean tell(gpointer opaque)
{
    SnapshotJob *job = opaque;
    uint64_t done, total;

    machine_lock(job->machine);
    if (snapshot_save_progress(job->machine, &done, &total)) {
        vm_snapshot_job_progress(job->work, done, total);
    }
    machine_unlock(job->machine);
    return G_SOURCE_CONTINUE;
}

static void job_saved(void *opaque, GError *error)
{
    SnapshotJob *job = opaque;

    g_source_remove(job->timer);
    vm_snapshot_job_done(job->work, error);
}

static void do_save(void *opaque, VmSnapshotWork *work)
{
    SnapshotJob *job = opaque;
    SnapshotDisks disks = disks_of(job);
    GError *error = NULL;

    machine_lock(job->machine);
    job->work = work;
    if (snapshot_save_start(job->machine, job->tag, false, &disks, job_saved, job, &error)) {
        job->timer = g_timeout_add(SHOW_MS, tell, job);
    } else {
        vm_snapshot_job_done(work, error);
    }
    machine_unlock(job->machine);
}

static void do_load(void *opaque, VmSnapshotWork *work)
{
    SnapshotJob *job = opaque;
    SnapshotDisks disks = disks_of(job);
    Machine *machine = job->machine;
    GError *error = NULL;

    machine_lock(machine);
    snapshot_load(machine, job->tag, &disks, &error);
    machine_unlock(machine);
    vm_snapshot_job_done(work, error);
}

static void do_delete(void *opaque, VmSnapshotWork *work)
{
    SnapshotJob *job = opaque;
    SnapshotDisks disks = disks_of(job);
    Machine *machine = job->machine;
    GError *error = NULL;

    machine_lock(machine);
    snapshot_delete(machine, job->tag, &disks, &error);
    machine_unlock(machine);
    vm_snapshot_job_done(work, error);
}

static json_t *start_job(Monitor *monitor, json_t *arguments, const char *type, VmSnapshotJob *run,
                         GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    SnapshotJob *job = graph ? job_new(monitor, arguments, error) : NULL;

    if (job) {
        vm_snapshot_job(graph, monitor_get_string(arguments, "job-id"), type, run, job, job_free,
                        error);
    }
    return NULL;
}

static json_t *save_job_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return start_job(monitor, arguments, "snapshot-save", do_save, error);
}

static json_t *load_job_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return start_job(monitor, arguments, "snapshot-load", do_load, error);
}

static json_t *delete_job_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return start_job(monitor, arguments, "snapshot-delete", do_delete, error);
}

static const MonitorArgument job_arguments[] = {
    { "job-id", ARGUMENT_STRING, false, "name of the job" },
    { "tag", ARGUMENT_STRING, false, "name of the snapshot" },
    { "vmstate", ARGUMENT_STRING, false, "node that holds the state of the machine" },
    { "devices", ARGUMENT_ANY, false, "list of the nodes that take part" },
    { NULL },
};

static const MonitorArgument delete_job_arguments[] = {
    { "job-id", ARGUMENT_STRING, false, "name of the job" },
    { "tag", ARGUMENT_STRING, false, "name of the snapshot" },
    { "devices", ARGUMENT_ANY, false, "list of the nodes that take part" },
    { NULL },
};

static const MonitorCommand save_job_command = {
    .name = "snapshot-save",
    .summary = "a job that saves the machine in its disks",
    .arguments = job_arguments,
    .run = save_job_run,
};
MONITOR_COMMAND(save_job_command);

static const MonitorCommand load_job_command = {
    .name = "snapshot-load",
    .summary = "a job that puts machine and disks back to what snapshot-save has saved",
    .arguments = job_arguments,
    .run = load_job_run,
};
MONITOR_COMMAND(load_job_command);

static const MonitorCommand delete_job_command = {
    .name = "snapshot-delete",
    .summary = "a job that deletes what snapshot-save has saved",
    .arguments = delete_job_arguments,
    .run = delete_job_run,
};
MONITOR_COMMAND(delete_job_command);
