/* SPDX-License-Identifier: MIT */
/* Block jobs: starting by QMP's names, control, events, and the graph operations beside them. */
#include "block/job.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1024 * 1024, CHUNK_MIN = 65536 };

/* Control. */

static json_t *job_json(const BlockJob *job)
{
    const char *status = job->paused ? "paused" : job->ready ? "ready" : "running";

    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:s, s:b, s:s, s:b, s:b}", "type",
                     job->type, "device", job->id, "len", (json_int_t)job->length, "offset",
                     (json_int_t)job->offset, "speed", (json_int_t)job->speed, "busy", !job->paused,
                     "paused", job->paused, "io-status", "ok", "ready", job->ready, "status",
                     status, "auto-finalize", true, "auto-dismiss", job->auto_dismiss);
}

static void job_emit(BlockJob *job, const char *event)
{
    json_t *data = json_pack("{s:s, s:s, s:I, s:I, s:I}", "type", job->type, "device", job->id,
                             "len", (json_int_t)job->length, "offset", (json_int_t)job->offset,
                             "speed", (json_int_t)job->speed);

    if (job->error && !strcmp(event, "BLOCK_JOB_COMPLETED")) {
        json_object_set_new(data, "error", json_string(job->error->message));
    }
    block_emit(job->graph, event, data);
}

static void job_status(BlockJob *job, const char *status)
{
    block_emit(job->graph, "JOB_STATUS_CHANGE",
               json_pack("{s:s, s:s}", "status", status, "id", job->id));
}

void job_wait(BlockJob *job, uint64_t ns)
{
    coroutine_sleep_ns(ns);
}

bool job_pause_point(BlockJob *job, uint64_t bytes)
{
    int64_t now_us = g_get_monotonic_time();

    while (job->paused && !job->cancelled) {
        coroutine_queue_wait(&job->wake);
    }
    if (job->speed && job->next_us > now_us && !job->cancelled) {
        coroutine_sleep_ns((uint64_t)(job->next_us - now_us) * 1000);
    } else {
        coroutine_pause(); /* the guest's requests come first */
    }
    if (job->speed) {
        job->next_us =
            MAX(job->next_us, now_us) + (int64_t)((double)bytes * 1e6 / (double)job->speed);
    }
    return !job->cancelled;
}

void job_set_ready(BlockJob *job)
{
    job->ready = true;
    job_status(job, "ready");
    job_emit(job, "BLOCK_JOB_READY");
}

void job_cancel(BlockJob *job)
{
    job->cancelled = job->forced = true;
    coroutine_queue_wake_all(&job->wake);
}

/* Lets go of the graph. */
static void job_release(BlockJob *job)
{
    if (job->notifier.opaque) {
        node_remove_write_notifier(job->source, &job->notifier);
    }
    if (job->dirty) {
        dirty_bitmap_free(job->dirty);
    }
    if (job->source_user) {
        child_detach(job->source_user);
    }
    if (job->target_user) {
        child_detach(job->target_user);
    }
    if (job->base && job->base_was_read_only) {
        node_set_read_only(job->base, true, NULL);
    }
    node_unref(job->source);
    node_unref(job->target);
    node_unref(job->base);
    node_unref(job->overlay);
}

static void job_free(BlockJob *job)
{
    g_clear_error(&job->error);
    g_free(job->backing_file);
    g_free(job->buffer);
    g_free(job->device);
    g_free(job->id);
    g_free(job);
}

static void job_entry(void *opaque)
{
    BlockJob *job = opaque;
    GList **jobs = block_graph_jobs(job->graph);
    int result;

    job_status(job, "created");
    job_status(job, "running");
    result = job->run(job);
    if (result == 0 && job->finish) {
        block_graph_quiesce(job->graph);
        result = job->finish(job);
        block_graph_resume(job->graph);
    }
    if (result == 0 && job->bitmap && job->sync == SYNC_INCREMENTAL) {
        dirty_bitmap_reset(job->bitmap, 0, job->bitmap->size);
    }
    if (result < 0 && result != -ECANCELED && !job->error) {
        error_fail_errno(&job->error, -result, "The block job failed");
    }
    job_release(job);
    job_status(job, result == -ECANCELED ? "aborting" : "waiting");
    job_status(job, "concluded");
    job_emit(job, result == -ECANCELED ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED");
    job_status(job, "null");
    *jobs = g_list_remove(*jobs, job);
    job_free(job);
}

typedef struct {
    BlockGraph *graph;
    const char *name, *action, *extra;
    uint64_t value;
    GHashTable *arguments;
    bool done;
    char *text;
    GError **error;
} GraphCall;

static BlockJob *find_job(BlockGraph *graph, const char *id)
{
    for (GList *link = *block_graph_jobs(graph); link; link = link->next) {
        BlockJob *job = link->data;

        if (!strcmp(job->id, id)) {
            return job;
        }
    }
    return NULL;
}

static bool control_job(BlockJob *job, const char *action, uint64_t value, GError **error)
{
    if (!strcmp(action, "cancel") || !strcmp(action, "force-cancel")) {
        job->cancelled = true;
        job->forced = action[0] == 'f';
    } else if (!strcmp(action, "pause") || !strcmp(action, "resume")) {
        bool pause = action[0] == 'p';

        if (job->paused == pause) {
            return error_fail(error, KASO_ERROR_GENERIC, "Job '%s' is%s paused", job->id,
                              pause ? " already" : " not");
        }
        job->paused = pause;
    } else if (!strcmp(action, "complete")) {
        if (!job->ready) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "The active block job '%s' cannot be completed", job->id);
        }
        job->complete = true;
    } else if (!strcmp(action, "set-speed")) {
        job->speed = value;
        job->next_us = 0;
    }
    coroutine_queue_wake_all(&job->wake);
    return true;
}

static void control_entry(void *opaque)
{
    GraphCall *call = opaque;
    BlockJob *job = find_job(call->graph, call->name);

    if (!job) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND, "Block job '%s' not found", call->name);
        return;
    }
    call->done = control_job(job, call->action, call->value, call->error);
}

bool block_job_control(BlockGraph *graph, const char *id, const char *action, uint64_t value,
                       GError **error)
{
    GraphCall call = {
        .graph = graph, .name = id, .action = action, .value = value, .error = error
    };

    async_run_sync(block_graph_context(graph), control_entry, &call);
    return call.done;
}

static void query_entry(void *opaque)
{
    GraphCall *call = opaque;
    json_t *list = json_array();

    for (GList *link = *block_graph_jobs(call->graph); link; link = link->next) {
        json_array_append_new(list, job_json(link->data));
    }
    call->text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
}

char *block_query_jobs(BlockGraph *graph)
{
    GraphCall call = { .graph = graph };
    char *text;

    async_run_sync(block_graph_context(graph), query_entry, &call);
    text = g_strdup(call.text);
    free(call.text);
    return text;
}

/* Starting. */

static bool take_sync(GHashTable *arguments, JobSync fallback, JobSync *sync, GError **error)
{
    static const char *const names[] = { "full", "top", "none", "incremental", NULL };
    int value = fallback;

    if (!options_take_enum(arguments, "sync", names, &value, error)) {
        return false;
    }
    *sync = value;
    return true;
}

static BlockNode *find_in_chain(BlockNode *top, const char *name, GError **error)
{
    for (BlockNode *node = node_below(top); node; node = node_below(node)) {
        if (!strcmp(node->node_name, name) || !strcmp(node->filename, name)) {
            return node;
        }
    }
    error_fail(error, KASO_ERROR_NOT_FOUND, "'%s' is not in the backing chain of '%s'", name,
               top->node_name);
    return NULL;
}

/* "base" or "base-node"; NULL without error: none was named. */
static bool take_base(BlockJob *job, GHashTable *arguments, BlockNode **base, GError **error)
{
    g_autofree char *file = options_take(arguments, "base");
    g_autofree char *node = options_take(arguments, "base-node");
    const char *name = node ? node : file;

    *base = name ? find_in_chain(job->source, name, error) : NULL;
    return !name || *base;
}

static BlockNode *overlay_of(BlockNode *active, BlockNode *node)
{
    BlockNode *above = active;

    while (above && node_below(above) != node) {
        above = node_below(above);
    }
    return above;
}

static bool attach(BlockNode *node, const char *what, unsigned perm, BlockChild **user,
                   GError **error)
{
    *user = node_attach_user(node, what, perm, BLOCK_PERM_ALL, error);
    return *user != NULL;
}

static bool make_writable(BlockJob *job, GError **error)
{
    job->base_was_read_only = job->base->read_only;
    return node_set_read_only(job->base, false, error);
}

static bool make_bitmap(BlockJob *job, GError **error)
{
    g_autofree char *name = g_strdup_printf("#job-%s", job->id);

    job->dirty = dirty_bitmap_new(job->source, name, CHUNK_MIN, error);
    return job->dirty != NULL;
}

static bool start_stream(BlockJob *job, GHashTable *arguments, GError **error)
{
    BlockNode *base;

    if (!take_base(job, arguments, &base, error)) {
        return false;
    }
    job->type = "stream";
    job->run = job_run_stream;
    job->finish = job_finish_stream;
    job->base = base;
    if (base) {
        node_ref(base);
    }
    if (!node_below(job->source)) {
        return error_fail(error, KASO_ERROR_GENERIC, "'%s' has no backing file to stream from",
                          job->source->node_name);
    }
    return attach(job->source, "stream", BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED,
                  &job->source_user, error);
}

static bool start_commit(BlockJob *job, GHashTable *arguments, GError **error)
{
    g_autofree char *top_file = options_take(arguments, "top");
    g_autofree char *top_node = options_take(arguments, "top-node");
    const char *top_name = top_node ? top_node : top_file;
    BlockNode *active = job->source, *top = active, *base;

    if (top_name && strcmp(top_name, active->node_name) && strcmp(top_name, active->filename)) {
        top = find_in_chain(active, top_name, error);
    }
    if (!top || !take_base(job, arguments, &base, error)) {
        return false;
    }
    for (BlockNode *node = top; !base && node_below(node); node = node_below(node)) {
        base = node_below(node_below(node)) ? NULL : node_below(node); /* the deepest image */
    }
    if (!base || base == top) {
        return error_fail(error, KASO_ERROR_GENERIC, "'%s' has no image below to commit into",
                          top->node_name);
    }
    job->type = "commit";
    job->base = base;
    node_ref(base);
    if (top == active) {
        job->run = job_run_mirror;
        job->finish = job_finish_mirror;
        job->sync = SYNC_TOP;
        job->target = base;
        node_ref(base);
    } else {
        job->run = job_run_commit;
        job->finish = job_finish_commit;
        job->overlay = overlay_of(active, top);
        node_ref(job->overlay);
        node_ref(top);
        node_unref(job->source);
        job->source = top;
        job->length = node_size(top);
    }
    if (!make_writable(job, error) ||
        (node_size(base) < node_size(top) &&
         !node_truncate(base, node_size(top), PREALLOC_OFF, error)) ||
        !attach(base, "commit", BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED,
                &job->target_user, error) ||
        !attach(job->source, "commit", BLOCK_PERM_CONSISTENT_READ, &job->source_user, error)) {
        return false;
    }
    if (job->run == job_run_mirror) {
        job->base_was_read_only = false; /* the guest writes to it afterwards */
        return make_bitmap(job, error);
    }
    return true;
}

/* The target of mirror and backup: a node, or a file that is made unless mode=existing. */
static BlockNode *open_target(BlockJob *job, GHashTable *arguments, GError **error)
{
    g_autofree char *target = options_take(arguments, "target");
    g_autofree char *format = options_take(arguments, "format");
    g_autofree char *mode = options_take(arguments, "mode");
    g_autofree char *node_name = options_take(arguments, "node-name");
    const BlockDriver *driver = block_driver_find(format ? format : job->source->driver->name);
    GHashTable *options = options_new();
    BlockNode *node = target ? node_find(job->graph, target) : NULL;

    if (node) {
        g_hash_table_unref(options);
        node_ref(node);
        return node;
    }
    if (!target || !driver) {
        g_hash_table_unref(options);
        error_fail(error, KASO_ERROR_INVALID,
                   target ? "Unknown driver '%s'" : "Parameter 'target' is missing%.0s",
                   format ? format : "");
        return NULL;
    }
    if (!mode || strcmp(mode, "existing")) {
        g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, job->length);

        options_set(options, "size", size);
        if (!driver->create || !driver->create(job->graph, target, options, error)) {
            if (!driver->create) {
                error_fail(error, KASO_ERROR_UNSUPPORTED, "Format '%s' cannot be created",
                           driver->name);
            }
            g_hash_table_unref(options);
            return NULL;
        }
        g_hash_table_remove_all(options);
    }
    options_set(options, "driver", driver->name);
    if (node_name) {
        options_set(options, "node-name", node_name);
    }
    return node_open(job->graph, target, options, (BlockOpenFlags){ .unmap = true }, error);
}

static bool start_copy(BlockJob *job, GHashTable *arguments, bool mirror, GError **error)
{
    g_autofree char *bitmap = options_take(arguments, "bitmap");

    /* Accepted: "on-success", the default, is what the job does. */
    g_free(options_take(arguments, "bitmap-mode"));
    job->type = mirror ? "mirror" : "backup";
    job->run = mirror ? job_run_mirror : job_run_backup;
    job->finish = mirror ? job_finish_mirror : NULL;
    if (!take_sync(arguments, SYNC_FULL, &job->sync, error)) {
        return false;
    }
    if ((job->sync == SYNC_INCREMENTAL) != (bitmap != NULL)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "sync=incremental and 'bitmap' must be given together");
    }
    if (bitmap) {
        job->bitmap = dirty_bitmap_find(job->source, bitmap);
        if (!job->bitmap || job->bitmap->inconsistent) {
            return error_fail(error, KASO_ERROR_NOT_FOUND, "Dirty bitmap '%s' not found", bitmap);
        }
    }
    job->target = open_target(job, arguments, error);
    if (!job->target) {
        return false;
    }
    if (node_size(job->target) < job->length) {
        return error_fail(error, KASO_ERROR_INVALID, "The target is smaller than the source");
    }
    if (!attach(job->target, job->type, BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE,
                &job->target_user, error) ||
        !attach(job->source, job->type, BLOCK_PERM_CONSISTENT_READ, &job->source_user, error) ||
        !make_bitmap(job, error)) {
        return false;
    }
    if (mirror) {
        return true;
    }
    job->dirty->enabled = false; /* counts what is still to be copied, not what is written */
    if (job->bitmap) {
        dirty_bitmap_merge(job->dirty, job->bitmap);
    } else {
        dirty_bitmap_set(job->dirty, 0, job->length);
    }
    return true;
}

static bool start_by_command(BlockJob *job, const char *command, GHashTable *arguments,
                             GError **error)
{
    if (!strcmp(command, "block-stream")) {
        return start_stream(job, arguments, error);
    }
    if (!strcmp(command, "block-commit")) {
        return start_commit(job, arguments, error);
    }
    if (!strcmp(command, "drive-mirror") || !strcmp(command, "blockdev-mirror")) {
        return start_copy(job, arguments, true, error);
    }
    if (!strcmp(command, "drive-backup") || !strcmp(command, "blockdev-backup")) {
        return start_copy(job, arguments, false, error);
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND, "Unknown block job '%s'", command);
}

/* Arguments that are accepted and have one way of being done here. */
static bool take_common(BlockJob *job, GHashTable *arguments, GError **error)
{
    static const char *const ignored[] = {
        "on-error",
        "on-source-error",
        "on-target-error",
        "granularity",
        "buf-size",
        "copy-mode",
        "unmap",
        "auto-finalize",
        "compress",
        "replaces",
        "backing-mask-protocol",
        "filter-node-name",
    };

    job->auto_dismiss = true;
    job->backing_file = options_take(arguments, "backing-file");
    for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++) {
        g_free(options_take(arguments, ignored[i]));
    }
    return options_take_size(arguments, "speed", &job->speed, error) &&
           options_take_bool(arguments, "auto-dismiss", &job->auto_dismiss, error);
}

static void start_entry(void *opaque)
{
    GraphCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);
    g_autofree char *id = options_take(arguments, "job-id");
    char *device = options_take(arguments, "device");
    BlockNode *source = device ? block_find_node(call->graph, device, call->error) : NULL;
    BlockJob *job;

    if (!source) {
        if (!device) {
            error_fail(call->error, KASO_ERROR_INVALID, "Parameter 'device' is missing");
        }
        g_free(device);
        return;
    }
    source = node_skip_filters(source);
    if (find_job(call->graph, id ? id : device)) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Job ID '%s' already in use", id ? id : device);
        g_free(device);
        return;
    }
    job = g_new0(BlockJob, 1);
    job->graph = call->graph;
    job->device = device;
    job->id = g_strdup(id ? id : device);
    job->source = source;
    job->length = node_size(source);
    job->chunk = CHUNK;
    job->buffer = g_malloc(CHUNK);
    node_ref(source);
    coroutine_queue_init(&job->wake);
    coroutine_mutex_init(&job->copy_lock);
    /* The graph must not change, nor a write slip by, while the job takes hold of it. */
    block_graph_quiesce(call->graph);
    call->done = take_common(job, arguments, call->error) &&
                 start_by_command(job, call->action, arguments, call->error) &&
                 options_check_empty(arguments, call->action, NULL, call->error);
    if (call->done && job->run == job_run_backup) {
        job_arm_backup(job);
    }
    block_graph_resume(call->graph);
    if (!call->done) {
        job_release(job);
        job_free(job);
        return;
    }
    *block_graph_jobs(call->graph) = g_list_append(*block_graph_jobs(call->graph), job);
    async_start(block_graph_context(call->graph), job_entry, job);
}

bool block_job_start(BlockGraph *graph, const char *command, GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph, .action = command, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), start_entry, &call);
    return call.done;
}

/* Operations beside jobs. */

static bool snapshot_external(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    g_autofree char *device = options_take(arguments, "device");
    g_autofree char *node_name = options_take(arguments, "node-name");
    g_autofree char *file = options_take(arguments, "snapshot-file");
    g_autofree char *format = options_take(arguments, "format");
    g_autofree char *mode = options_take(arguments, "mode");
    g_autofree char *new_name = options_take(arguments, "snapshot-node-name");
    const char *driver_name = format ? format : "qcow2";
    const BlockDriver *driver = block_driver_find(driver_name);
    g_autoptr(GHashTable) create = options_new();
    BlockNode *old, *overlay;
    GHashTable *options;
    bool done;

    if (!(device || node_name) || !file) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameters 'device' (or 'node-name') and 'snapshot-file' are needed");
    }
    old = block_find_node(graph, node_name ? node_name : device, error);
    if (!old) {
        return false;
    }
    if (!driver || !driver->has_backing) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Format '%s' is unknown or has no backing files", driver_name);
    }
    if (!mode || strcmp(mode, "existing")) {
        g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, node_size(old));

        options_set(create, "size", size);
        options_set(create, "backing_file", old->filename);
        options_set(create, "backing_fmt", old->driver->name);
        if (!driver->create || !driver->create(graph, file, create, error)) {
            return false;
        }
    }
    options = options_new();
    options_set(options, "driver", driver_name);
    if (new_name) {
        options_set(options, "node-name", new_name);
    }
    overlay = node_open(graph, file, options,
                        (BlockOpenFlags){ .no_backing = true, .unmap = old->flags.unmap }, error);
    if (!overlay) {
        return false;
    }
    node_ref(old);
    block_graph_quiesce(graph);
    done = node_flush(old) == 0 && node_replace(old, overlay, NULL, error) &&
           node_set_backing(overlay, old, error);
    if (done) {
        node_set_read_only(old, true, NULL);
    }
    block_graph_resume(graph);
    node_unref(old);
    node_unref(overlay);
    return done;
}

static void snapshot_external_entry(void *opaque)
{
    GraphCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);

    call->done = snapshot_external(call->graph, arguments, call->error);
}

bool block_snapshot_external(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), snapshot_external_entry, &call);
    return call.done;
}

static void resize_entry(void *opaque)
{
    GraphCall *call = opaque;
    BlockNode *node = block_find_node(call->graph, call->name, call->error);

    if (!node) {
        return;
    }
    block_graph_quiesce(call->graph);
    call->done = node_truncate(node, align_up(call->value, 512), PREALLOC_OFF, call->error);
    block_graph_resume(call->graph);
}

bool block_resize(BlockGraph *graph, const char *name, uint64_t size, GError **error)
{
    GraphCall call = { .graph = graph, .name = name, .value = size, .error = error };

    async_run_sync(block_graph_context(graph), resize_entry, &call);
    return call.done;
}

static void snapshot_internal_entry(void *opaque)
{
    GraphCall *call = opaque;
    BlockNode *node = block_find_node(call->graph, call->name, call->error);
    BlockSnapshot snapshot = { .name = (char *)call->extra,
                               .date_s = g_get_real_time() / G_USEC_PER_SEC };

    if (!node) {
        return;
    }
    if (!node->driver->snapshot_create) {
        error_fail(call->error, KASO_ERROR_UNSUPPORTED,
                   "Block format '%s' used by '%s' does not support internal snapshots",
                   node->driver->name, call->name);
        return;
    }
    block_graph_quiesce(call->graph);
    if (!strcmp(call->action, "create")) {
        call->done = node->driver->snapshot_create(node, &snapshot, call->error);
    } else if (!strcmp(call->action, "apply")) {
        call->done = node->driver->snapshot_apply(node, call->extra, call->error);
    } else {
        call->done = node->driver->snapshot_delete(node, call->extra, call->error);
    }
    block_graph_resume(call->graph);
}

bool block_snapshot_internal(BlockGraph *graph, const char *name, const char *action,
                             const char *snapshot, GError **error)
{
    GraphCall call = {
        .graph = graph, .name = name, .action = action, .extra = snapshot, .error = error
    };

    async_run_sync(block_graph_context(graph), snapshot_internal_entry, &call);
    return call.done;
}

static void bitmap_entry(void *opaque)
{
    GraphCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);
    BlockNode *node = block_find_node(call->graph, call->name, call->error);
    bool persistent = false;

    if (!node || !options_take_bool(arguments, "persistent", &persistent, call->error)) {
        return;
    }
    if (node->driver->bitmap_action && (persistent || strcmp(call->action, "add"))) {
        call->done =
            node->driver->bitmap_action(node, call->action, call->extra, arguments, call->error);
    } else if (persistent) {
        error_fail(call->error, KASO_ERROR_UNSUPPORTED,
                   "Format '%s' cannot store persistent bitmaps", node->driver->name);
    } else {
        call->done =
            dirty_bitmap_action(node, call->action, call->extra, arguments, false, call->error);
    }
}

bool block_bitmap(BlockGraph *graph, const char *name, const char *action, const char *bitmap,
                  GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph,
                       .name = name,
                       .action = action,
                       .extra = bitmap,
                       .arguments = arguments,
                       .error = error };

    async_run_sync(block_graph_context(graph), bitmap_entry, &call);
    return call.done;
}
