/* SPDX-License-Identifier: MIT */
/* Block jobs: what job.c (life, control), start.c and copy.c (the work) share. */
#ifndef BLOCK_JOBS_JOB_H
#define BLOCK_JOBS_JOB_H

#include "block/graph/bitmap.h"
#include "block/graph/blockers.h"
#include "block/graph/node.h"

typedef enum { SYNC_FULL, SYNC_TOP, SYNC_NONE, SYNC_INCREMENTAL, SYNC_BITMAP } JobSync;
/* What becomes of the user's bitmap: forgotten when the backup is complete, never, always. */
typedef enum { BITMAP_ON_SUCCESS, BITMAP_NEVER, BITMAP_ALWAYS } JobBitmapMode;
/* QMP's BlockdevOnError; AUTO: as ENOSPC for the target, as REPORT for the source. */
typedef enum {
    ON_ERROR_REPORT,
    ON_ERROR_IGNORE,
    ON_ERROR_ENOSPC,
    ON_ERROR_STOP,
    ON_ERROR_AUTO
} JobOnError;
/* QMP's JobStatus. */
typedef enum {
    JOB_CREATED,
    JOB_RUNNING,
    JOB_PAUSED,
    JOB_READY,
    JOB_STANDBY, /* paused while ready */
    JOB_WAITING,
    JOB_PENDING,
    JOB_ABORTING,
    JOB_CONCLUDED,
    JOB_NULL,
} JobStatus;

/* What is done outside of the block layer, in the main loop without its locks. */
struct BlockJob;
typedef struct {
    void (*run)(void *opaque, struct BlockJob *job); /* begins it; somebody says when it is done */
    GDestroyNotify free;                             /* of opaque */
    void *opaque;
    bool done;
} JobWork;
void job_work_free(JobWork *work);

/* Jobs that end together (group.c). */
typedef struct JobGroup JobGroup;

struct BlockJob {
    BlockGraph *graph;
    char *id, *device;
    const char *type; /* stream commit mirror backup */
    int (*run)(BlockJob *job);
    /* After run, in the quiesced graph: changes of the graph. */
    int (*finish)(BlockJob *job);
    BlockNode *source, *target, *base;
    BlockNode *overlay;  /* commit of an inner layer: the one above it */
    BlockNode *replaces; /* mirror: whose place the target takes; NULL: the source's */
    BlockChild *source_user, *target_user;
    GPtrArray *more_users;    /* BlockChild: of extents (create), of the layers that are read (stream); NULL: none */
    GPtrArray *opened;        /* create: BlockNode that it has opened for itself; NULL: none */
    char *filter_name;        /* filter-node-name, or NULL */
    BlockNode *filter;        /* the node of that name */
    BlockNode *made_writable; /* read-only again when the job has ended; NULL: none */
    JobStatus status;
    JobSync sync;
    DirtyBitmap *dirty;  /* what is still to be copied */
    DirtyBitmap *bitmap; /* of the user, for incremental backups; busy */
    DirtyBitmap *frozen; /* what it held when the job began */
    JobBitmapMode bitmap_mode;
    char *backing_file; /* name to write into the image, or NULL for the base's */
    bool mask_protocol; /* a base without a format is called raw there */
    bool unmap;         /* zeroes may become holes in the target */
    bool compress;      /* backup */
    JobWork *work;      /* of the whole machine: NULL for any other */
    /* create: no job on a disk, which the events and lists of such jobs do not know. */
    bool plain;
    const BlockDriver *create_driver;
    char *create_place;
    GHashTable *create_options;
    /* mirror: what is below the target it gets in the end: this node, or what its header names */
    BlockNode *late_backing;
    bool opens_backing;
    bool write_blocking; /* mirror: a guest's write ends when the target has it, too */
    JobOnError on_source_error, on_target_error;
    bool target_failed;     /* it was the target that failed last */
    int ignored;            /* the first failure that was, or 0 */
    const char *io_status;  /* QMP's BlockDeviceIoStatus */
    uint64_t length;        /* of the disk, or of what is committed */
    uint64_t total, offset; /* QMP's len and offset: how much is to be done, and is done */
    uint64_t chunk, speed;
    int64_t next_us; /* rate limit: no copying before */
    bool paused, ready, finalized, dismissed;
    bool force;         /* amend */
    bool held;          /* created by a transaction that may still fail: it has not begun */
    JobGroup *group;    /* NULL: it ends alone */
    bool cancelled;     /* it ends soon, without result … */
    unsigned abandoned; /* … and what it waits for is left; guests' writes in our hands look, too */
    bool complete;      /* mirror: it ends when both sides are equal … */
    bool keep_source; /* … and the source stays where it is: cancelled when ready, without force */
    unsigned copying; /* guests' writes that are in our hands */
    bool auto_finalize, auto_dismiss;
    GError *error;
    CoroutineQueue wake;
    CoroutineMutex copy_lock;
    NodeWriteNotifier notifier;
    uint8_t *buffer;
};

/* It ends soon, without completing, and nobody will ask for its result. */
void job_cancel(BlockJob *job);
/* As job_cancel; its result stays until it is dismissed, if that was wanted. */
void job_abandon(BlockJob *job);
/* It is among the graph's jobs, and runs, unless it is held until job_let_go. */
void job_begin(BlockJob *job);
void job_let_go(BlockJob *job);
/* Whoever makes a group closes it when all members have joined. Members leave by themselves. */
JobGroup *job_group_new(void);
void job_group_close(JobGroup *group);
void job_group_join(JobGroup *group, BlockJob *job);
/* Until all members have done their work, or the job is cancelled. */
void job_group_wait(BlockJob *job);
void job_group_finalize(BlockJob *job);
void job_group_leave(BlockJob *job, bool failed);
/* Whether it changes nothing before job-finalize. */
bool job_asks_user(const BlockJob *job);
BlockJob *job_find(BlockGraph *graph, const char *id);
/* Whether a job can have that name; NULL: none was given. */
bool job_id_is_free(BlockGraph *graph, const char *id, GError **error);
/* Lets go of the graph. */
/* Held with the job, until it is released. */
void job_add_user(BlockJob *job, BlockChild *user);
void job_release(BlockJob *job);
void job_free(BlockJob *job);
/* The user's bitmap as it shall be after the job. */
void job_settle_bitmap(BlockJob *job, bool done);
/* Before each piece of work: rate limit, pause. False when the job was cancelled. */
bool job_pause_point(BlockJob *job, uint64_t bytes);
void job_set_ready(BlockJob *job);
/* Both sides of a mirror: what was copied, and what is to be copied still. */
void job_count_mirror(BlockJob *job);
/* Waits until something has happened to the job or to its bitmap. */
void job_wait(BlockJob *job, uint64_t ns);

/*
 * After a failure (-errno) of the source, or of the target where job->target_failed: sends the event,
 * and waits where the user wants to look at it first. Returns 0 to try again, the failure to end, or
 * JOB_SKIP to go on with the rest.
 */
enum { JOB_SKIP = 1 };
int job_after_failure(BlockJob *job, int result);

/* A job that has not begun; takes `device`. source: NULL, or a node. */
BlockJob *job_new(BlockGraph *graph, const char *id, char *device, BlockNode *source);
int job_run_create(BlockJob *job);
int job_run_stream(BlockJob *job);
int job_finish_stream(BlockJob *job);
int job_run_commit(BlockJob *job);
int job_finish_commit(BlockJob *job);
int job_run_mirror(BlockJob *job);
int job_finish_mirror(BlockJob *job);
int job_run_backup(BlockJob *job);
/* Starts the copying before, or with, the guest's writes. */
void job_arm_backup(BlockJob *job);
void job_arm_mirror(BlockJob *job);
/* What the layers above base hold is to be copied (base NULL: all layers). */
int job_mark_top(BlockJob *job, BlockNode *base);

#endif
