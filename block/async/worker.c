/* SPDX-License-Identifier: MIT */
/* Worker threads for what may block or takes long: file I/O, compression, name look-ups. */
#include "block/async/async-internal.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

enum { WORKERS_MAX = 64, IDLE_SECONDS = 10 };

typedef struct WorkerJob {
    struct WorkerJob *next;
    WorkerFunction *function;
    void *opaque;
    Coroutine *coroutine;
    int result;
} WorkerJob;

struct WorkerPool {
    AsyncContext *context;
    pthread_mutex_t lock;
    pthread_cond_t work, exited;
    WorkerJob *queue_head, **queue_tail;
    WorkerJob *done; /* newest first */
    unsigned threads, idle, queued;
    bool stopping;
};

/* A job, or NULL when this thread has been idle for long or must stop. [pool lock held] */
static WorkerJob *worker_next_job(WorkerPool *pool)
{
    WorkerJob *job;

    while (!pool->queue_head) {
        struct timespec until;
        int result;

        if (pool->stopping) {
            return NULL;
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += IDLE_SECONDS;
        pool->idle++;
        result = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
        pool->idle--;
        if (result == ETIMEDOUT && !pool->queue_head) {
            return NULL;
        }
    }
    job = pool->queue_head;
    pool->queue_head = job->next;
    pool->queued--;
    if (!pool->queue_head) {
        pool->queue_tail = &pool->queue_head;
    }
    return job;
}

static void *worker_thread(void *opaque)
{
    WorkerPool *pool = opaque;
    WorkerJob *job;

    pthread_setname_np(pthread_self(), "kaso-block");
    pthread_mutex_lock(&pool->lock);
    while ((job = worker_next_job(pool))) {
        bool first;

        pthread_mutex_unlock(&pool->lock);
        job->result = job->function(job->opaque);
        pthread_mutex_lock(&pool->lock);
        first = !pool->done;
        job->next = pool->done;
        __atomic_store_n(&pool->done, job, __ATOMIC_RELEASE);
        if (first) {
            async_signal(pool->context);
        }
    }
    pool->threads--;
    pthread_cond_signal(&pool->exited);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* [pool lock held] A failure is harmless while another worker lives. */
static bool worker_start_thread(WorkerPool *pool)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int result;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    result = pthread_create(&thread, &attributes, worker_thread, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (result == 0) {
        pool->threads++;
    }
    return result == 0;
}

int worker_call(WorkerFunction *function, void *opaque)
{
    WorkerPool *pool = coroutine_context()->workers;
    WorkerJob job = { .function = function, .opaque = opaque, .coroutine = coroutine_self() };

    pthread_mutex_lock(&pool->lock);
    if (pool->queued >= pool->idle && pool->threads < WORKERS_MAX && !worker_start_thread(pool) &&
        !pool->threads) {
        pthread_mutex_unlock(&pool->lock);
        return function(opaque); /* no thread to be had: slow is better than failing */
    }
    pool->queued++;
    *pool->queue_tail = &job;
    pool->queue_tail = &job.next;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    coroutine_yield();
    return job.result;
}

void worker_pool_reap(WorkerPool *pool)
{
    WorkerJob *done, *in_order = NULL;

    if (!__atomic_load_n(&pool->done, __ATOMIC_ACQUIRE)) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    done = pool->done;
    pool->done = NULL;
    pthread_mutex_unlock(&pool->lock);
    while (done) {
        WorkerJob *next = done->next;

        done->next = in_order;
        in_order = done;
        done = next;
    }
    while (in_order) {
        WorkerJob *next = in_order->next; /* the job lives on the coroutine's stack */

        coroutine_wake(in_order->coroutine);
        in_order = next;
    }
}

WorkerPool *worker_pool_new(AsyncContext *context)
{
    WorkerPool *pool = g_new0(WorkerPool, 1);

    pool->context = context;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->exited, NULL);
    pool->queue_tail = &pool->queue_head;
    return pool;
}

void worker_pool_free(WorkerPool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    while (pool->threads) {
        pthread_cond_wait(&pool->exited, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->exited);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool);
}

/* Waiting for descriptors. */

typedef struct {
    struct pollfd poll_fd;
} PollCall;

static int poll_worker(void *opaque)
{
    PollCall *call = opaque;

    while (poll(&call->poll_fd, 1, -1) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return call->poll_fd.revents;
}

int coroutine_poll_fd(int fd, short events)
{
    PollCall call = { .poll_fd = { .fd = fd, .events = events } };
    int result;

    if (poll(&call.poll_fd, 1, 0) > 0) {
        return call.poll_fd.revents;
    }
    result = io_ring_poll(fd, events);
    return result < 0 ? worker_call(poll_worker, &call) : result;
}
