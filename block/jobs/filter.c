/* SPDX-License-Identifier: MIT */
/*
 * The filter nodes of jobs. The copying itself hangs on the source (write notifiers, dirty bitmaps), where it sees
 * the writes of all users; these nodes show the job in the graph, take part in its holds, and pass everything on.
 * Only stream's is one that works: a copy-on-read, so that what the guest reads need not be read again.
 */
#include "block/jobs/filter.h"

#include "base/error.h"
#include "block/graph/open.h"

static int pass_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return node_read(node->file->node, offset, bytes, vector);
}

static int pass_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int pass_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int pass_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return node_discard(node->file->node, offset, bytes);
}

static bool pass_open(BlockNode *node, GHashTable *options, GError **error)
{
    node->supports_fua = true;
    return true;
}

/* A backup's target is the job's: the filter only shows it. */
static void pass_child_perm(BlockNode *node, BlockChild *child, unsigned perm, unsigned shared,
                            unsigned *child_perm, unsigned *child_shared)
{
    bool filtered = child->role & BLOCK_ROLE_FILTERED;

    *child_perm = filtered ? perm : 0;
    *child_shared = filtered ? shared : BLOCK_PERM_ALL;
}

/* The names are those that QMP shows for the filters of such jobs. */
#define JOB_FILTER(symbol, shown)                                                                  \
    static const BlockDriver symbol = {                                                            \
        .name = shown,                                                                             \
        .summary = "Filter that shows a job",                                                      \
        .is_filter = true,                                                                         \
        .is_internal = true,                                                                       \
        .open = pass_open,                                                                         \
        .child_perm = pass_child_perm,                                                             \
        .read = pass_read,                                                                         \
        .write = pass_write,                                                                       \
        .write_zeroes = pass_write_zeroes,                                                         \
        .discard = pass_discard,                                                                   \
    }
JOB_FILTER(mirror_filter, "mirror_top");
JOB_FILTER(commit_filter, "commit_top");
JOB_FILTER(backup_filter, "copy-before-write");

static BlockNode *open_copy_on_read(BlockJob *job, BlockNode *node, GError **error)
{
    GHashTable *options = options_new();
    BlockNode *bottom = node_skip_filters(node);

    options_set(options, "driver", "copy-on-read");
    options_set(options, "node-name", job->filter_name);
    options_set(options, "file", node->node_name);
    while (job->base && node_below(bottom) && node_below(bottom) != job->base) {
        bottom = node_below(bottom);
    }
    if (job->base) {
        options_set(options, "bottom", bottom->node_name);
    }
    return node_open(job->graph, NULL, options,
                     (BlockOpenFlags){ .read_only = node->read_only, .unmap = node->flags.unmap },
                     error);
}

static BlockNode *open_filter(BlockJob *job, BlockNode *node, GError **error)
{
    BlockNode *filter;

    if (job->run == job_run_stream) {
        return open_copy_on_read(job, node, error);
    }
    filter = node_open_filter(job->run == job_run_backup   ? &backup_filter
                              : job->run == job_run_mirror ? &mirror_filter
                                                           : &commit_filter,
                              job->filter_name, node, error);
    if (filter && job->run == job_run_backup) {
        node_ref(job->target);
        if (!node_attach_child(filter, job->target, "target", BLOCK_ROLE_DATA, error)) {
            g_clear_pointer(&filter, node_unref);
        }
    }
    return filter;
}

/* Not the job's own edge, nor that of a target that has the source for its backing file. */
static bool goes_through(const BlockJob *job, const BlockChild *child)
{
    return child != job->source_user && child != job->target_user &&
           !(child->parent && node_reaches(job->filter, child->parent));
}

bool job_add_filter(BlockJob *job, BlockNode *node, GError **error)
{
    g_autoptr(GPtrArray) moved = g_ptr_array_new();
    bool done = true;

    if (!job->filter_name) {
        return true;
    }
    job->filter = open_filter(job, node, error);
    if (!job->filter) {
        return false;
    }
    for (GList *link = node->parents.head; link; link = link->next) {
        if (goes_through(job, link->data)) {
            g_ptr_array_add(moved, link->data);
        }
    }
    for (unsigned i = 0; done && i < moved->len; i++) {
        done = child_replace(moved->pdata[i], job->filter, error);
    }
    if (done) {
        node_hold(job->filter,
                  job->run == job_run_backup   ? HOLD_BACKUP_FROM
                  : job->run == job_run_mirror ? HOLD_MIRROR_FROM
                  : job->run == job_run_commit ? HOLD_COMMIT
                                               : HOLD_STREAM,
                  job, job->type);
    }
    return done; /* where it failed, job_release takes the filter out */
}

void job_remove_filter(BlockJob *job)
{
    BlockNode *filter = job->filter;

    if (!filter) {
        return;
    }
    block_graph_quiesce(job->graph);
    job->filter = NULL;
    /* Its users have the same rights below, where it stood in for them: nothing can be in conflict. */
    node_replace(filter, filter->file->node, NULL, NULL);
    node_unref(filter);
    block_graph_resume(job->graph);
}
