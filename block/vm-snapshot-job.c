/* SPDX-License-Identifier: MIT */
/* The jobs that snapshots of the whole machine are in QMP: the work is done outside of the block layer. */
#include "block/vm-snapshot.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "block/jobs/job.h"

typedef struct {
    BlockGraph *graph;
    const char *id, *type;
    JobWork *work;
    bool done;
    GError **error;
} StartCall;

/* In the main loop. The job is there: who waits for its work is not freed. */
static gboolean do_work(gpointer opaque)
{
    BlockJob *job = opaque;

    job->work->run(job->work->opaque, job);
    return G_SOURCE_REMOVE;
}

void vm_snapshot_job_progress(VmSnapshotWork *job, uint64_t done, uint64_t total)
{
    AsyncContext *context = block_graph_context(job->graph);

    async_lock(context);
    job->offset = done;
    job->length = job->total = total;
    async_unlock(context);
}

void vm_snapshot_job_done(VmSnapshotWork *job, GError *error)
{
    AsyncContext *context = block_graph_context(job->graph);

    async_lock(context);
    if (error) {
        g_propagate_error(&job->error, error);
    }
    job->work->done = true;
    coroutine_queue_wake_all(&job->wake);
    async_unlock(context);
}

static int run_work(BlockJob *job)
{
    job->length = job->total = 1;
    g_idle_add_full(G_PRIORITY_DEFAULT, do_work, job, NULL);
    while (!job->work->done) {
        coroutine_queue_wait(&job->wake);
    }
    job->offset = job->length;
    return job->error ? -EIO : 0;
}

static void start_entry(void *opaque)
{
    StartCall *call = opaque;
    BlockJob *job;

    if (!job_id_is_free(call->graph, call->id, call->error)) {
        return;
    }
    job = job_new(call->graph, call->id, g_strdup(call->id), NULL);
    job->type = call->type;
    job->plain = true;
    job->auto_finalize = true;
    job->run = run_work;
    job->work = g_steal_pointer(&call->work);
    job_begin(job);
    call->done = true;
}

bool vm_snapshot_job(BlockGraph *graph, const char *id, const char *type, VmSnapshotJob *run,
                     void *opaque, GDestroyNotify free, GError **error)
{
    StartCall call = { .graph = graph, .id = id, .type = type, .error = error };

    call.work = g_new(JobWork, 1);
    *call.work = (JobWork){ .run = run, .free = free, .opaque = opaque };
    async_run_sync(block_graph_context(graph), start_entry, &call);
    if (call.work) {
        job_work_free(call.work);
    }
    return call.done;
}
