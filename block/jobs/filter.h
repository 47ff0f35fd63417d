/* SPDX-License-Identifier: MIT */
/* filter-node-name: the node that stands for a job in the graph while it runs. */
#ifndef BLOCK_JOBS_FILTER_H
#define BLOCK_JOBS_FILTER_H

#include "block/jobs/job.h"

/*
 * Puts the filter that job->filter_name names above `node`, for all who use it but the job itself. Without a
 * name nothing happens. The graph is quiesced; source, target and base are known.
 */
bool job_add_filter(BlockJob *job, BlockNode *node, GError **error);
/* Takes it out again: who used it uses what is below. Does nothing where there is none. */
void job_remove_filter(BlockJob *job);

#endif
