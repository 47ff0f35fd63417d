/* SPDX-License-Identifier: MIT */
/* Block jobs: what job.c (life, control) and job-copy.c (the work) share. */
#ifndef BLOCK_JOB_H
#define BLOCK_JOB_H

#include "block/bitmap.h"
#include "block/node.h"

typedef struct BlockJob BlockJob;

typedef enum { SYNC_FULL, SYNC_TOP, SYNC_NONE, SYNC_INCREMENTAL } JobSync;

struct BlockJob {
    BlockGraph *graph;
    char *id, *device;
    const char *type; /* stream commit mirror backup */
    int (*run)(BlockJob *job);
    /* After run, in the quiesced graph: changes of the graph. */
    int (*finish)(BlockJob *job);
    BlockNode *source, *target, *base;
    BlockNode *overlay; /* commit of an inner layer: the node whose backing file changes */
    BlockChild *source_user, *target_user;
    bool base_was_read_only;
    JobSync sync;
    DirtyBitmap *dirty;    /* what is still to be copied */
    DirtyBitmap *bitmap;   /* of the user, for incremental backups */
    char *backing_file;    /* name to write into the image, or NULL for the base's */
    uint64_t length, offset, chunk, speed;
    int64_t next_us;       /* rate limit: no copying before */
    bool paused, cancelled, forced, ready, complete, started;
    bool auto_dismiss;
    GError *error;
    CoroutineQueue wake;
    CoroutineMutex copy_lock;
    NodeWriteNotifier notifier;
    uint8_t *buffer;
};

/* It ends soon, without completing. */
void job_cancel(BlockJob *job);
/* Before each piece of work: rate limit, pause. False when the job was cancelled. */
bool job_pause_point(BlockJob *job, uint64_t bytes);
void job_set_ready(BlockJob *job);
/* Waits until something has happened to the job or to its bitmap. */
void job_wait(BlockJob *job, uint64_t ns);

int job_run_stream(BlockJob *job);
int job_finish_stream(BlockJob *job);
int job_run_commit(BlockJob *job);
int job_finish_commit(BlockJob *job);
int job_run_mirror(BlockJob *job);
int job_finish_mirror(BlockJob *job);
int job_run_backup(BlockJob *job);
/* Starts the copying before writes. */
void job_arm_backup(BlockJob *job);

#endif
