/* SPDX-License-Identifier: MIT */
/* What the parts of the asynchronous context share: async.c, worker.c, io-ring.c. */
#ifndef BLOCK_ASYNC_ASYNC_INTERNAL_H
#define BLOCK_ASYNC_ASYNC_INTERNAL_H

#include "base/jitter.h"
#include "block/async/async.h"
#include "block/async/coroutine-switch.h"

#include <pthread.h>

typedef struct WorkerPool WorkerPool;
typedef struct IoRing IoRing;

struct Coroutine {
    Coroutine *next; /* in the ready list or the pool */
    AsyncContext *context;
    CoroutineStack *stack;
    CoroutineFunction *function;
    void *opaque;
    const CoroutineHurry *hurry;
    bool finished;
    bool queued; /* in the ready list */
};

struct AsyncContext {
    pthread_mutex_t lock;
    int event_fd; /* readable: look for finished work; the driver's source polls it */

    /* Below: under lock. */
    Coroutine *ready_head, **ready_tail;
    unsigned ready_count;
    Coroutine *pool;
    unsigned pool_size;
    unsigned live;     /* coroutines that have not finished */
    GSequence *timers; /* AsyncTimer by deadline */
    unsigned plugs;
    size_t spent; /* bytes that coroutines have copied on their thread in this turn */
    bool driving;               /* a waiting thread polls event_fd */
    unsigned waiters;           /* threads in async_wait */
    pthread_cond_t driver_left; /* driving became false, or work was finished */
    unsigned helpers_max, helpers, helpers_idle;
    bool helpers_stop;
    bool sync_done; /* a synchronous call has ended: its thread may have to be woken */
    pthread_cond_t helper_work, helper_left;
    WorkerPool *workers;
    IoRing *ring;
    bool ring_failed;
    Jitter jitter;
    unsigned hastened, hasten_news; /* atomic */
    void (*hurry)(void *opaque);    /* under lock */
    void *hurry_opaque;

    AsyncHome *home;   /* the default one, which lives as long as the context */
    GList *homes;      /* AsyncHome, the default one first */
    AsyncHome *driver; /* whose source also runs coroutines */
};

void async_signal(AsyncContext *context);
/* Tells the main contexts that have completions; false when none has. [lock held] */
bool async_signal_homes(AsyncContext *context);
/* Runs what is ready. [lock held] */
void async_run(AsyncContext *context);
/* async-helpers.c; without the lock */
void async_stop_helpers(AsyncContext *context);

WorkerPool *worker_pool_new(AsyncContext *context);
void worker_pool_free(WorkerPool *pool);
/* Wakes coroutines whose work is done. [lock held] */
void worker_pool_reap(WorkerPool *pool);

/* NULL when the kernel refuses. */
IoRing *io_ring_new(AsyncContext *context);
void io_ring_free(IoRing *ring);
void io_ring_submit(IoRing *ring);
void io_ring_reap(IoRing *ring);

#endif
