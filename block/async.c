/* SPDX-License-Identifier: MIT */
/* Coroutines, timers, completions and the main loop source of an asynchronous context. */
#include "block/async.h"

#include "block/async-internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { POOL_MAX = 128 };

typedef struct {
    int64_t deadline_us;
    Coroutine *coroutine;
} AsyncTimer;

typedef struct {
    GSource source;
    AsyncContext *context;
    gpointer tag;
} AsyncSource;

static __thread Coroutine *current_coroutine;

/* Not inlined: the address of a thread-local must not be kept across a switch of threads. */
__attribute__((noinline)) Coroutine *coroutine_self(void)
{
    __asm__ volatile("");
    return current_coroutine;
}

static __attribute__((noinline)) void coroutine_set_self(Coroutine *coroutine)
{
    __asm__ volatile("");
    current_coroutine = coroutine;
}

AsyncContext *coroutine_context(void)
{
    return coroutine_self()->context;
}

static void coroutine_entry(void *opaque)
{
    Coroutine *coroutine = opaque;

    for (;;) {
        coroutine->function(coroutine->opaque);
        coroutine->finished = true;
        coroutine_stack_leave(coroutine->stack);
    }
}

static Coroutine *coroutine_new(AsyncContext *context)
{
    Coroutine *coroutine = context->pool;

    if (coroutine) {
        context->pool = coroutine->next;
        context->pool_size--;
    } else {
        coroutine = g_new0(Coroutine, 1);
        coroutine->context = context;
        coroutine->stack = coroutine_stack_new(coroutine_entry, coroutine);
    }
    coroutine->finished = false;
    context->live++;
    return coroutine;
}

static void coroutine_recycle(Coroutine *coroutine)
{
    AsyncContext *context = coroutine->context;

    context->live--;
    if (context->pool_size < POOL_MAX) {
        coroutine->next = context->pool;
        context->pool = coroutine;
        context->pool_size++;
    } else {
        coroutine_stack_free(coroutine->stack);
        g_free(coroutine);
    }
}

void coroutine_yield(void)
{
    coroutine_stack_leave(coroutine_self()->stack);
}

void coroutine_wake(Coroutine *coroutine)
{
    AsyncContext *context = coroutine->context;

    g_assert(!coroutine->queued);
    coroutine->queued = true;
    coroutine->next = NULL;
    *context->ready_tail = coroutine;
    context->ready_tail = &coroutine->next;
}

void coroutine_pause(void)
{
    AsyncContext *context = coroutine_context();

    coroutine_wake(coroutine_self());
    async_signal(context);
    coroutine_yield();
}

void async_start(AsyncContext *context, CoroutineFunction *function, void *opaque)
{
    Coroutine *coroutine = coroutine_new(context);

    coroutine->function = function;
    coroutine->opaque = opaque;
    coroutine_wake(coroutine);
}

void async_signal(AsyncContext *context)
{
    eventfd_write(context->event_fd, 1);
}

void async_complete(AsyncContext *context, AsyncCompletion *completion)
{
    completion->next = NULL;
    *context->completed_tail = completion;
    context->completed_tail = &completion->next;
}

/* Timers. */

static int timer_compare(gconstpointer a, gconstpointer b, gpointer opaque)
{
    const AsyncTimer *x = a, *y = b;

    return (x->deadline_us > y->deadline_us) - (x->deadline_us < y->deadline_us);
}

void coroutine_sleep_ns(uint64_t ns)
{
    AsyncContext *context = coroutine_context();
    AsyncTimer timer = { g_get_monotonic_time() + (int64_t)(ns / 1000) + 1, coroutine_self() };

    g_sequence_insert_sorted(context->timers, &timer, timer_compare, NULL);
    async_signal(context); /* the main loop must see the new deadline */
    coroutine_yield();
}

static void async_run_timers(AsyncContext *context)
{
    while (!g_sequence_is_empty(context->timers)) {
        GSequenceIter *first = g_sequence_get_begin_iter(context->timers);
        AsyncTimer *timer = g_sequence_get(first);

        if (timer->deadline_us > g_get_monotonic_time()) {
            break;
        }
        g_sequence_remove(first);
        coroutine_wake(timer->coroutine);
    }
}

static int64_t async_next_deadline_us(AsyncContext *context)
{
    if (g_sequence_is_empty(context->timers)) {
        return -1;
    }
    return ((AsyncTimer *)g_sequence_get(g_sequence_get_begin_iter(context->timers)))->deadline_us;
}

/* Running. */

/* Runs the coroutines that are ready now; those made ready meanwhile follow in the next turn. */
static void async_run_ready(AsyncContext *context)
{
    Coroutine *list = context->ready_head;

    context->ready_head = NULL;
    context->ready_tail = &context->ready_head;
    while (list) {
        Coroutine *coroutine = list;

        list = coroutine->next;
        coroutine->queued = false;
        coroutine_set_self(coroutine);
        coroutine_stack_enter(coroutine->stack);
        coroutine_set_self(NULL);
        if (coroutine->finished) {
            coroutine_recycle(coroutine);
        }
    }
}

static void async_run(AsyncContext *context)
{
    do {
        if (context->ring) {
            io_ring_reap(context->ring);
        }
        if (context->workers) {
            worker_pool_reap(context->workers);
        }
        async_run_timers(context);
        async_run_ready(context);
        if (!context->ready_head && context->ring && !context->plugs) {
            io_ring_submit(context->ring);
        }
    } while (context->ready_head);
}

void async_lock(AsyncContext *context)
{
    g_assert(!coroutine_self());
    pthread_mutex_lock(&context->lock);
}

void async_unlock(AsyncContext *context)
{
    async_run(context);
    if (context->completed_head) {
        async_signal(context);
    }
    if (context->waiters) {
        pthread_cond_broadcast(&context->driver_left);
        if (context->driving) {
            async_signal(context);
        }
    }
    pthread_mutex_unlock(&context->lock);
}

void async_plug(AsyncContext *context)
{
    context->plugs++;
}

void async_unplug(AsyncContext *context)
{
    context->plugs--;
}

/*
 * Waits for something to have happened. One waiting thread polls the event descriptor, the others
 * wait for it; whoever runs coroutines wakes them all. [lock held]
 */
static void async_wait(AsyncContext *context)
{
    context->waiters++;
    if (context->driving) {
        pthread_cond_wait(&context->driver_left, &context->lock);
    } else {
        struct pollfd poll_fd = { .fd = context->event_fd, .events = POLLIN };
        int64_t deadline_us = async_next_deadline_us(context);
        int64_t wait_us = deadline_us - g_get_monotonic_time();
        int timeout_ms = deadline_us < 0 ? -1 : (int)CLAMP(wait_us / 1000 + 1, 0, 1000);
        eventfd_t value;

        context->driving = true;
        pthread_mutex_unlock(&context->lock);
        poll(&poll_fd, 1, timeout_ms);
        pthread_mutex_lock(&context->lock);
        eventfd_read(context->event_fd, &value);
        context->driving = false;
        pthread_cond_broadcast(&context->driver_left);
    }
    context->waiters--;
}

typedef struct {
    CoroutineFunction *function;
    void *opaque;
    bool done;
} SyncCall;

static void async_sync_entry(void *opaque)
{
    SyncCall *call = opaque;

    call->function(call->opaque);
    call->done = true;
}

void async_run_sync(AsyncContext *context, CoroutineFunction *function, void *opaque)
{
    SyncCall call = { .function = function, .opaque = opaque };

    if (coroutine_self()) {
        function(opaque);
        return;
    }
    pthread_mutex_lock(&context->lock);
    async_start(context, async_sync_entry, &call);
    for (;;) {
        async_run(context);
        if (call.done) {
            break;
        }
        async_wait(context);
    }
    async_unlock(context);
}

/* Delivers what is complete. [lock held; released while delivering] */
static void async_deliver(AsyncContext *context)
{
    while (context->completed_head) {
        AsyncCompletion *list = context->completed_head;

        context->completed_head = NULL;
        context->completed_tail = &context->completed_head;
        pthread_mutex_unlock(&context->lock);
        while (list) {
            AsyncCompletion *completion = list;

            list = completion->next;
            completion->deliver(completion);
        }
        pthread_mutex_lock(&context->lock);
    }
}

AsyncCompletion *async_take_completed(AsyncContext *context,
                                      bool (*wanted)(AsyncCompletion *completion, void *opaque),
                                      void *opaque)
{
    AsyncCompletion *taken = NULL, **taken_tail = &taken;
    AsyncCompletion **link = &context->completed_head;

    async_run(context);
    context->completed_tail = &context->completed_head;
    while (*link) {
        AsyncCompletion *completion = *link;

        if (wanted(completion, opaque)) {
            *link = completion->next;
            completion->next = NULL;
            *taken_tail = completion;
            taken_tail = &completion->next;
        } else {
            link = &completion->next;
            context->completed_tail = link;
        }
    }
    return taken;
}

void async_poll_until(AsyncContext *context, bool (*condition)(void *opaque), void *opaque)
{
    g_assert(!coroutine_self());
    pthread_mutex_lock(&context->lock);
    for (;;) {
        async_run(context);
        async_deliver(context);
        if (condition(opaque)) {
            break;
        }
        if (!context->ready_head) {
            async_wait(context);
        }
    }
    async_unlock(context);
}

/* The source in the main context. */

static gboolean async_source_prepare(GSource *source, gint *timeout_ms)
{
    AsyncContext *context = ((AsyncSource *)source)->context;
    int64_t deadline_us;

    pthread_mutex_lock(&context->lock);
    deadline_us = async_next_deadline_us(context);
    pthread_mutex_unlock(&context->lock);
    g_source_set_ready_time(source, deadline_us);
    *timeout_ms = -1;
    return FALSE;
}

static gboolean async_source_check(GSource *source)
{
    AsyncSource *self = (AsyncSource *)source;
    int64_t ready_us = g_source_get_ready_time(source);

    return (g_source_query_unix_fd(source, self->tag) & G_IO_IN) ||
           (ready_us >= 0 && g_source_get_time(source) >= ready_us);
}

static gboolean async_source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    AsyncContext *context = ((AsyncSource *)source)->context;
    eventfd_t value;

    pthread_mutex_lock(&context->lock);
    eventfd_read(context->event_fd, &value);
    async_run(context);
    async_deliver(context);
    async_unlock(context);
    return G_SOURCE_CONTINUE;
}

AsyncContext *async_context_new(GMainContext *main_context)
{
    static GSourceFuncs functions = { .prepare = async_source_prepare,
                                      .check = async_source_check,
                                      .dispatch = async_source_dispatch };
    AsyncContext *context = g_new0(AsyncContext, 1);
    AsyncSource *source;

    pthread_mutex_init(&context->lock, NULL);
    pthread_cond_init(&context->driver_left, NULL);
    context->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (context->event_fd < 0) {
        g_error("eventfd: %s", g_strerror(errno));
    }
    context->ready_tail = &context->ready_head;
    context->completed_tail = &context->completed_head;
    context->timers = g_sequence_new(NULL);
    context->workers = worker_pool_new(context);
    context->main_context = main_context;

    source = (AsyncSource *)g_source_new(&functions, sizeof *source);
    source->context = context;
    source->tag = g_source_add_unix_fd(&source->source, context->event_fd, G_IO_IN);
    g_source_set_can_recurse(&source->source, TRUE);
    g_source_set_name(&source->source, "block");
    g_source_attach(&source->source, main_context);
    context->source = &source->source;
    return context;
}

void async_context_free(AsyncContext *context)
{
    g_assert(!context->live);
    g_source_destroy(context->source);
    g_source_unref(context->source);
    worker_pool_free(context->workers);
    if (context->ring) {
        io_ring_free(context->ring);
    }
    while (context->pool) {
        Coroutine *coroutine = context->pool;

        context->pool = coroutine->next;
        coroutine_stack_free(coroutine->stack);
        g_free(coroutine);
    }
    g_sequence_free(context->timers);
    close(context->event_fd);
    pthread_cond_destroy(&context->driver_left);
    pthread_mutex_destroy(&context->lock);
    g_free(context);
}

/* Queues and mutexes. */

void coroutine_queue_init(CoroutineQueue *queue)
{
    g_queue_init(&queue->waiting);
}

void coroutine_queue_wait(CoroutineQueue *queue)
{
    g_queue_push_tail(&queue->waiting, coroutine_self());
    coroutine_yield();
}

bool coroutine_queue_wake_one(CoroutineQueue *queue)
{
    Coroutine *coroutine = g_queue_pop_head(&queue->waiting);

    if (coroutine) {
        coroutine_wake(coroutine);
    }
    return coroutine != NULL;
}

void coroutine_queue_wake_all(CoroutineQueue *queue)
{
    while (coroutine_queue_wake_one(queue)) {
    }
}

void coroutine_mutex_init(CoroutineMutex *mutex)
{
    mutex->owner = NULL;
    coroutine_queue_init(&mutex->queue);
}

void coroutine_mutex_lock(CoroutineMutex *mutex)
{
    if (mutex->owner) {
        g_assert(mutex->owner != coroutine_self());
        coroutine_queue_wait(&mutex->queue); /* unlock makes us the owner */
        g_assert(mutex->owner == coroutine_self());
    } else {
        mutex->owner = coroutine_self();
    }
}

void coroutine_mutex_unlock(CoroutineMutex *mutex)
{
    Coroutine *next = g_queue_pop_head(&mutex->queue.waiting);

    g_assert(mutex->owner == coroutine_self());
    mutex->owner = next;
    if (next) {
        coroutine_wake(next);
    }
}
