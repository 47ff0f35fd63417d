/* SPDX-License-Identifier: MIT */
/* Block jobs: their life (QMP's states and events) and their control. */
#include "block/jobs/job.h"

#include "base/error.h"
#include "block/backend.h"
#include "block/jobs/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLICE_NS = 50 * 1000 * 1000, /* who waits looks this often at what was asked of it */
    CONTROL_NS = 100 * 1000,
};

static const char *const status_names[] = {
    [JOB_CREATED] = "created", [JOB_RUNNING] = "running",   [JOB_PAUSED] = "paused",
    [JOB_READY] = "ready",     [JOB_STANDBY] = "standby",   [JOB_WAITING] = "waiting",
    [JOB_PENDING] = "pending", [JOB_ABORTING] = "aborting", [JOB_CONCLUDED] = "concluded",
    [JOB_NULL] = "null",
};

static const char *error_text(const BlockJob *job)
{
    return job->error ? job->error->message : NULL;
}

void job_count_mirror(BlockJob *job)
{
    job->total = job->offset + dirty_bitmap_count(job->dirty);
}

/* What a guest writes is more to be done. */
static void update_total(BlockJob *job)
{
    if (job->run == job_run_mirror && job->dirty) {
        job_count_mirror(job);
    }
}

/* An element of query-block-jobs. */
static json_t *block_job_json(BlockJob *job)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:s, s:b, s:s, s:b, s:b}", "type", job->type, "device",
        job->id, "len", (json_int_t)job->total, "offset", (json_int_t)job->offset, "speed",
        (json_int_t)job->speed, "busy", job->status == JOB_RUNNING, "paused", job->paused,
        "io-status", job->io_status, "ready",
        job->status == JOB_READY || job->status == JOB_STANDBY, "status", status_names[job->status],
        "auto-finalize", job->auto_finalize, "auto-dismiss", job->auto_dismiss);

    if (job->error) {
        json_object_set_new(object, "error", json_string(error_text(job)));
    }
    if (!strcmp(job->type, "mirror")) {
        bool synced =
            job->write_blocking && job->ready && job->dirty && !dirty_bitmap_count(job->dirty);

        json_object_set_new(object, "actively-synced", json_boolean(synced));
    }
    return object;
}

/* An element of query-jobs. */
static json_t *job_json(BlockJob *job)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:I}", "id", job->id, "type", job->type,
                               "status", status_names[job->status], "current-progress",
                               (json_int_t)job->offset, "total-progress", (json_int_t)job->total);

    if (job->error) {
        json_object_set_new(object, "error", json_string(error_text(job)));
    }
    return object;
}

BlockJob *job_new(BlockGraph *graph, const char *id, char *device, BlockNode *source)
{
    BlockJob *job = g_new0(BlockJob, 1);

    job->graph = graph;
    job->id = g_strdup(id);
    job->device = device;
    job->source = source;
    job->length = job->total = source ? node_size(source) : 0;
    job->io_status = "ok";
    if (source) {
        node_ref(source);
    }
    coroutine_queue_init(&job->wake);
    coroutine_mutex_init(&job->copy_lock);
    return job;
}

static void job_emit(BlockJob *job, const char *event)
{
    if (job->plain) {
        return;
    }
    json_t *data = json_pack("{s:s, s:s, s:I, s:I, s:I}", "type", job->type, "device", job->id,
                             "len", (json_int_t)job->total, "offset", (json_int_t)job->offset,
                             "speed", (json_int_t)job->speed);

    if (job->error && !strcmp(event, "BLOCK_JOB_COMPLETED")) {
        json_object_set_new(data, "error", json_string(error_text(job)));
    }
    block_emit(job->graph, event, data);
}

static void set_status(BlockJob *job, JobStatus status)
{
    if (job->status != status || status == JOB_CREATED) {
        job->status = status;
        block_emit(job->graph, "JOB_STATUS_CHANGE",
                   json_pack("{s:s, s:s}", "status", status_names[status], "id", job->id));
    }
}

static void wait_while_paused(BlockJob *job)
{
    if (!job->paused || job->cancelled) {
        return;
    }
    set_status(job, job->ready ? JOB_STANDBY : JOB_PAUSED);
    while (job->paused && !job->cancelled) {
        coroutine_queue_wait(&job->wake);
    }
    set_status(job, job->ready ? JOB_READY : JOB_RUNNING);
}

/* When the process ends, limits let all pass and requests fail: neither completes the job or fails it. It will be cancelled. */
static void wait_for_end(BlockJob *job)
{
    while (async_hastened(block_graph_context(job->graph)) && !job->cancelled) {
        coroutine_queue_wait(&job->wake);
    }
}

void job_wait(BlockJob *job, uint64_t ns)
{
    coroutine_sleep_ns(ns);
    wait_while_paused(job);
}

/* Time that is lent by a low limit may be long: cancelling, pausing and a new limit end it. */
static void wait_for_rate(BlockJob *job)
{
    int64_t left_us;

    while (job->speed && !job->cancelled && !job->paused &&
           (left_us = job->next_us - g_get_monotonic_time()) > 0) {
        coroutine_sleep_ns(MIN((uint64_t)left_us * 1000, SLICE_NS));
    }
}

bool job_pause_point(BlockJob *job, uint64_t bytes)
{
    coroutine_jitter();
    if (job->speed) {
        wait_for_rate(job);
    } else {
        coroutine_pause(); /* the guest's requests come first */
    }
    wait_while_paused(job);
    wait_for_end(job);
    if (job->speed) {
        job->next_us = MAX(job->next_us, g_get_monotonic_time()) +
                       (int64_t)((double)bytes * 1e6 / (double)job->speed);
    }
    return !job->cancelled;
}

void job_set_ready(BlockJob *job)
{
    coroutine_jitter();
    job->ready = true;
    set_status(job, JOB_READY);
    job_emit(job, "BLOCK_JOB_READY");
}

int job_after_failure(BlockJob *job, int result)
{
    JobOnError policy = job->target_failed ? job->on_target_error : job->on_source_error;
    bool full = result == -ENOSPC;
    bool may_stop = policy == ON_ERROR_ENOSPC || (policy == ON_ERROR_AUTO && job->target_failed);
    bool stop = policy == ON_ERROR_STOP || (may_stop && full);

    wait_for_end(job);
    if (result == -ECANCELED || job->cancelled) {
        return -ECANCELED;
    }
    if (job->error) {
        return result; /* nothing that trying again would mend */
    }
    /* To users a stream reads with copies on the way, and that failed. */
    block_emit(job->graph, "BLOCK_JOB_ERROR",
               json_pack("{s:s, s:s, s:s}", "device", job->id, "operation",
                         job->target_failed && job->run != job_run_stream ? "write" : "read",
                         "action",
                         stop                        ? "stop"
                         : policy == ON_ERROR_IGNORE ? "ignore"
                                                     : "report"));
    if (stop) {
        job->io_status = full ? "nospace" : "failed";
        job->paused = true;
        wait_while_paused(job);
        job->io_status = "ok";
        return 0;
    }
    job->ignored = job->ignored ? job->ignored : result;
    return policy == ON_ERROR_IGNORE ? JOB_SKIP : result;
}

void job_abandon(BlockJob *job)
{
    job->cancelled = true;
    __atomic_store_n(&job->abandoned, 1, __ATOMIC_RELAXED);
    block_graph_hurry(job->graph);
}

void job_cancel(BlockJob *job)
{
    job_abandon(job);
    job->dismissed = true;
    coroutine_queue_wake_all(&job->wake);
}

/* Writes that are in our hands are finished first; others have nothing to do with the job. */
static void disarm(BlockJob *job)
{
    if (job->notifier.opaque) {
        node_remove_write_notifier(job->source, &job->notifier);
        job->notifier.opaque = NULL;
    }
    while (job->copying) {
        coroutine_queue_wait(&job->wake);
    }
}

static void detach_user(void *user)
{
    child_detach(user);
}

void job_add_user(BlockJob *job, BlockChild *user)
{
    if (!job->more_users) {
        job->more_users = g_ptr_array_new_with_free_func(detach_user);
    }
    g_ptr_array_add(job->more_users, user);
}

void job_release(BlockJob *job)
{
    job_remove_filter(job);
    block_graph_release_holds(job->graph, job);
    if (job->dirty) {
        dirty_bitmap_free(job->dirty);
        job->dirty = NULL;
    }
    if (job->source_user) {
        child_detach(job->source_user);
    }
    if (job->target_user) {
        child_detach(job->target_user);
    }
    g_clear_pointer(&job->more_users, g_ptr_array_unref);
    g_clear_pointer(&job->opened, g_ptr_array_unref);
    if (job->made_writable) {
        node_set_read_only(job->made_writable, true, NULL);
        node_unref(job->made_writable);
    }
    node_unref(job->source);
    node_unref(job->target);
    node_unref(job->base);
    node_unref(job->overlay);
    node_unref(job->replaces);
    node_unref(job->late_backing);
}

void job_work_free(JobWork *work)
{
    if (work) {
        work->free(work->opaque);
        g_free(work);
    }
}

void job_free(BlockJob *job)
{
    job_work_free(job->work);
    g_clear_error(&job->error);
    if (job->create_options) {
        g_hash_table_unref(job->create_options);
    }
    g_free(job->create_place);
    g_free(job->filter_name);
    g_free(job->backing_file);
    g_free(job->buffer);
    g_free(job->device);
    g_free(job->id);
    g_free(job);
}

/*
 * The user's bitmap recorded, since the job began, what the guest has written meanwhile. What it held
 * before comes back unless it is in the backup now.
 */
void job_settle_bitmap(BlockJob *job, bool done)
{
    if (!job->bitmap) {
        return;
    }
    if (job->bitmap_mode == BITMAP_NEVER || (!done && job->bitmap_mode == BITMAP_ON_SUCCESS)) {
        dirty_bitmap_merge(job->bitmap, job->frozen);
    } else if (!done) {
        dirty_bitmap_merge(job->bitmap, job->dirty);
    }
    job->bitmap->busy--;
    dirty_bitmap_free(job->frozen);
}

static int cancel_result(const BlockJob *job)
{
    return job->error ? -EIO : -ECANCELED;
}

/* All is copied: what is left is to change the graph, when the user says so. */
static int finish(BlockJob *job)
{
    int result = 0;

    coroutine_jitter();
    set_status(job, JOB_WAITING);
    job_group_wait(job);
    if (job->cancelled) {
        return cancel_result(job);
    }
    set_status(job, JOB_PENDING);
    if (!job->auto_finalize) {
        block_emit(job->graph, "BLOCK_JOB_PENDING",
                   json_pack("{s:s, s:s}", "type", job->type, "id", job->id));
    }
    while (job_asks_user(job) && !job->finalized && !job->cancelled) {
        coroutine_queue_wait(&job->wake);
    }
    if (job->cancelled) {
        return cancel_result(job);
    }
    if (job->finish) {
        block_graph_quiesce(job->graph);
        job_remove_filter(job);
        result = job->finish(job);
        block_graph_resume(job->graph);
    }
    return result;
}

static void job_entry(void *opaque)
{
    BlockJob *job = opaque;
    CoroutineHurry hurry;
    int result;

    coroutine_hurry_begin(&hurry, &job->abandoned, HURRY_LEAVE);
    while (job->held && !job->cancelled) {
        coroutine_queue_wait(&job->wake);
    }
    result = job->held ? -ECANCELED : job->run(job);
    wait_for_end(job);
    if (result == 0 || (job->cancelled && !job->error)) {
        result = job->cancelled ? cancel_result(job) : finish(job);
    }
    update_total(job);
    if (result < 0 && !job->error) {
        /* The bare reason: programs show it beside the job's name. */
        error_fail(&job->error, KASO_ERROR_IO, "%s", g_strerror(-result));
    }
    if (result < 0) {
        set_status(job, JOB_ABORTING);
    }
    job_group_leave(job, result < 0);
    disarm(job);
    job_settle_bitmap(job, result == 0);
    job_release(job);
    coroutine_jitter();
    /* Who sees the event may use the name again at once. */
    if (!job->held) {
        job_emit(job, result == -ECANCELED ? "BLOCK_JOB_CANCELLED" : "BLOCK_JOB_COMPLETED");
    }
    set_status(job, JOB_CONCLUDED);
    while (!job->auto_dismiss && !job->dismissed) {
        coroutine_queue_wait(&job->wake);
    }
    set_status(job, JOB_NULL);
    block_graph_remove_job(job->graph, job);
    coroutine_hurry_end(&hurry);
    job_free(job);
}

void job_begin(BlockJob *job)
{
    block_graph_add_job(job->graph, job, job_cancel);
    set_status(job, JOB_CREATED);
    if (!job->held) {
        set_status(job, JOB_RUNNING);
    }
    async_start(block_graph_context(job->graph), job_entry, job);
}

void job_let_go(BlockJob *job)
{
    job->held = false;
    set_status(job, JOB_RUNNING);
    coroutine_queue_wake_all(&job->wake);
}

/* Control. */

BlockJob *job_find(BlockGraph *graph, const char *id)
{
    for (GList *link = block_graph_jobs(graph); link; link = link->next) {
        BlockJob *job = link->data;

        if (!strcmp(job->id, id)) {
            return job;
        }
    }
    return NULL;
}

bool job_id_is_free(BlockGraph *graph, const char *id, GError **error)
{
    if (!id || !block_name_is_good(id)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          id ? "Invalid job ID '%s'" : "Parameter 'job-id' is missing", id);
    }
    return !job_find(graph, id) ||
           error_fail(error, KASO_ERROR_GENERIC, "Job ID '%s' already in use", id);
}

/* What can be asked of a job, and in which of its states. */
static const struct {
    const char *action, *verb;
    unsigned states;
} verbs[] = {
#define LIVE                                                                                       \
    (1u << JOB_CREATED | 1u << JOB_RUNNING | 1u << JOB_PAUSED | 1u << JOB_READY | 1u << JOB_STANDBY)
    { "cancel", "cancel", LIVE | 1u << JOB_WAITING | 1u << JOB_PENDING },
    { "force-cancel", "cancel", LIVE | 1u << JOB_WAITING | 1u << JOB_PENDING },
    { "pause", "pause", LIVE },
    { "resume", "resume", LIVE },
    { "set-speed", "set-speed", LIVE },
    { "change", "change", LIVE },
    { "complete", "complete", 1u << JOB_READY },
    { "finalize", "finalize", 1u << JOB_PENDING },
    { "dismiss", "dismiss", 1u << JOB_CONCLUDED },
#undef LIVE
};

static bool verb_fits(const BlockJob *job, const char *action, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (!strcmp(verbs[i].action, action) && !(verbs[i].states >> job->status & 1)) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "Job '%s' in state '%s' cannot accept command verb '%s'", job->id,
                              status_names[job->status], verbs[i].verb);
        }
    }
    return true;
}

static bool pause_job(BlockJob *job, bool pause, GError **error)
{
    if (job->paused == pause) {
        return error_fail(error, KASO_ERROR_GENERIC, "Job '%s' is%s paused", job->id,
                          pause ? " already" : " not");
    }
    job->paused = pause;
    if (!pause && (job->status == JOB_PAUSED || job->status == JOB_STANDBY)) {
        set_status(job,
                   job->ready ? JOB_READY : JOB_RUNNING); /* at once: it takes commands again */
    }
    return true;
}

/* The copy mode of a mirror. */
static bool change_job(BlockJob *job, bool write_blocking, GError **error)
{
    if (strcmp(job->type, "mirror")) {
        return error_fail(error, KASO_ERROR_GENERIC, "Job '%s' is no mirror: it cannot be changed",
                          job->id);
    }
    if (job->write_blocking && !write_blocking) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Job '%s' cannot go back to copy mode 'background'", job->id);
    }
    if (write_blocking && !job->write_blocking) {
        job->write_blocking = true;
        job_arm_mirror(job);
    }
    return true;
}

static bool control_job(BlockJob *job, const char *action, uint64_t value, GError **error)
{
    if (!verb_fits(job, action, error)) {
        return false;
    }
    if (!strcmp(action, "cancel") && job->paused) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "The block job for device '%s' is currently paused", job->id);
    }
    if (!strcmp(action, "complete") && (job->complete || job->cancelled)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "The active block job '%s' cannot be completed", job->id);
    }
    if (!strcmp(action, "cancel") && job->status == JOB_READY) {
        job->complete = job->keep_source = true;
    } else if (!strcmp(action, "cancel") || !strcmp(action, "force-cancel")) {
        job_abandon(job);
    } else if (!strcmp(action, "pause") || !strcmp(action, "resume")) {
        if (!pause_job(job, action[0] == 'p', error)) {
            return false;
        }
    } else if (!strcmp(action, "change")) {
        if (!change_job(job, value, error)) {
            return false;
        }
    } else if (!strcmp(action, "set-speed")) {
        job->speed = value;
        job->next_us = 0;
    }
    job->complete |= !strcmp(action, "complete");
    if (!strcmp(action, "finalize")) {
        job->finalized = true;
        job_group_finalize(job);
    }
    job->dismissed |= !strcmp(action, "dismiss");
    coroutine_queue_wake_all(&job->wake);
    return true;
}

typedef struct {
    BlockGraph *graph;
    const char *id, *action;
    uint64_t value;
    json_t *(*describe)(BlockJob *job);
    char *text;
    bool any_kind, done;
    GError **error;
} JobCall;

static void control_entry(void *opaque)
{
    JobCall *call = opaque;
    BlockJob *job = job_find(call->graph, call->id);

    if (!job) {
        error_fail(call->error, KASO_ERROR_NOT_ACTIVE, "Block job '%s' not found", call->id);
        return;
    }
    call->done = control_job(job, call->action, call->value, call->error);
    /* Who finalizes or dismisses a job finds that done: the job goes on in its own coroutine. */
    while (call->done && (job = job_find(call->graph, call->id)) &&
           ((job->finalized && job->status == JOB_PENDING) ||
            (job->dismissed && job->status == JOB_CONCLUDED))) {
        coroutine_sleep_ns(CONTROL_NS);
    }
}

bool block_job_control(BlockGraph *graph, const char *id, const char *action, uint64_t value,
                       GError **error)
{
    JobCall call = { .graph = graph, .id = id, .action = action, .value = value, .error = error };

    async_run_sync(block_graph_context(graph), control_entry, &call);
    return call.done;
}

static void has_entry(void *opaque)
{
    JobCall *call = opaque;
    const BlockJob *job = job_find(call->graph, call->id);

    call->done = job && (call->any_kind || !job->plain);
}

bool block_has_job(BlockGraph *graph, const char *id, bool any_kind)
{
    JobCall call = { .graph = graph, .id = id, .any_kind = any_kind };

    async_run_sync(block_graph_context(graph), has_entry, &call);
    return call.done;
}

static void leave_entry(void *opaque)
{
    BlockBackend *block = opaque;
    const BlockNode *node = block->root ? block->root->node : NULL;

    for (GList *link = block_graph_jobs(block->graph); node && link; link = link->next) {
        BlockJob *job = link->data;

        if (job->source != node && job->target != node) {
            continue;
        }
        if (!job->paused && job->status == JOB_READY) {
            job->complete = job->keep_source = true;
        } else if (verb_fits(job, "cancel", NULL)) {
            job_abandon(job);
        }
        coroutine_queue_wake_all(&job->wake);
    }
}

void block_jobs_leave(BlockBackend *block)
{
    if (*block_id(block)) {
        async_run_sync(block->context, leave_entry, block);
    }
}

static void query_entry(void *opaque)
{
    JobCall *call = opaque;
    json_t *list = json_array();

    for (GList *link = block_graph_jobs(call->graph); link; link = link->next) {
        update_total(link->data);
        if (call->describe == job_json || !((BlockJob *)link->data)->plain) {
            json_array_append_new(list, call->describe(link->data));
        }
    }
    call->text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
}

char *block_query_jobs(BlockGraph *graph, bool any_kind)
{
    JobCall call = { .graph = graph, .describe = any_kind ? job_json : block_job_json };
    char *text;

    async_run_sync(block_graph_context(graph), query_entry, &call);
    text = g_strdup(call.text);
    free(call.text);
    return text;
}
