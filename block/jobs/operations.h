/* SPDX-License-Identifier: MIT */
/* What monitors do to images, for those who are in a coroutine already. */
#ifndef BLOCK_JOBS_OPERATIONS_H
#define BLOCK_JOBS_OPERATIONS_H

#include "block/graph/node.h"

/* As block_snapshot_external, block_snapshot_node, block_bitmap, block_snapshot_create, _delete and block_job_start. */
bool operation_snapshot(BlockGraph *graph, GHashTable *arguments, GError **error);
bool operation_snapshot_node(BlockGraph *graph, GHashTable *arguments, GError **error);
bool operation_bitmap(BlockGraph *graph, const char *name, const char *action, const char *bitmap,
                      GHashTable *arguments, GError **error);
bool operation_snapshot_create(BlockGraph *graph, const char *device, const char *name,
                               uint64_t vm_clock_ns, GError **error);
/* json: NULL, or takes what the snapshot was, for free(). */
bool operation_snapshot_delete(BlockGraph *graph, const char *device, const char *id,
                               const char *name, char **json, GError **error);
/* The job waits for job_let_go. group: NULL, or with whom it ends. */
struct JobGroup;
bool operation_job(BlockGraph *graph, const char *command, GHashTable *arguments,
                   struct JobGroup *group, GError **error);
/* Undoes a snapshot in the quiesced graph: the users of overlay use what is below it again. */
bool operation_take_off(BlockNode *overlay, BlockNode *below, GError **error);

#endif
