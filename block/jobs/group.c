/* SPDX-License-Identifier: MIT */
/*
 * Jobs of a transaction that end together (completion-mode "grouped"): none changes anything before all have
 * done their work, and when one fails or is cancelled, the others are cancelled.
 */
#include "block/jobs/job.h"

struct JobGroup {
    unsigned members, waiting;
    bool open;  /* more members may come */
    bool whole; /* all have done their work */
    bool failed;
    bool asks_user; /* one of them waits for job-finalize, and so all do */
};

JobGroup *job_group_new(void)
{
    JobGroup *group = g_new0(JobGroup, 1);

    group->open = true;
    return group;
}

static void free_if_empty(JobGroup *group)
{
    if (!group->open && !group->members) {
        g_free(group);
    }
}

void job_group_close(JobGroup *group)
{
    group->open = false;
    free_if_empty(group);
}

void job_group_join(JobGroup *group, BlockJob *job)
{
    job->group = group;
    group->members++;
    group->asks_user |= !job->auto_finalize;
}

static void wake_members(BlockJob *job)
{
    for (GList *link = block_graph_jobs(job->graph); link; link = link->next) {
        BlockJob *other = link->data;

        if (other->group == job->group) {
            coroutine_queue_wake_all(&other->wake);
        }
    }
}

void job_group_wait(BlockJob *job)
{
    JobGroup *group = job->group;

    if (!group) {
        return;
    }
    group->waiting++;
    if (!group->open && group->waiting == group->members) {
        group->whole = true;
        wake_members(job);
    }
    while (!group->whole && !job->cancelled) {
        coroutine_queue_wait(&job->wake);
    }
}

bool job_asks_user(const BlockJob *job)
{
    return job->group ? job->group->asks_user : !job->auto_finalize;
}

void job_group_finalize(BlockJob *job)
{
    for (GList *link = block_graph_jobs(job->graph); link && job->group; link = link->next) {
        BlockJob *other = link->data;

        other->finalized |= other->group == job->group;
    }
    wake_members(job);
}

void job_group_leave(BlockJob *job, bool failed)
{
    JobGroup *group = job->group;

    if (!group) {
        return;
    }
    if (failed && !group->failed) {
        group->failed = true;
        for (GList *link = block_graph_jobs(job->graph); link; link = link->next) {
            BlockJob *other = link->data;

            if (other != job && other->group == group) {
                job_abandon(other);
            }
        }
        wake_members(job);
    }
    job->group = NULL;
    group->members--;
    free_if_empty(group);
}
