/* SPDX-License-Identifier: MIT */
/* Coroutines, timers, completions and the main loop source of an asynchronous context. */
#include "block/async/async.h"

#include "block/async/async-internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    POOL_MAX = 128,
    SUBMIT_TURNS = 16,
    JITTER_NS = 8 * 1000 * 1000,  /* of a coroutine */
    LOCK_JITTER_NS = 100 * 1000,  /* of a thread */
    LINGER_NS = 20 * 1000 * 1000, /* how often who lingers looks whether it is in a hurry */
};

typedef struct {
    int64_t deadline_us;
    Coroutine *coroutine;
    CoroutineAlarm *alarm; /* NULL: nobody else knows */
} AsyncTimer;

struct AsyncHome {
    GSource source; /* must stay first; the home is freed with it */
    AsyncContext *context;
    GMainContext *main_context;
    void (*enter)(void *opaque);
    void (*leave)(void *opaque);
    void *opaque;
    unsigned references;
    int event_fd;             /* readable: completions are waiting */
    gpointer tag, driver_tag; /* of the context's event_fd, NULL unless it is the driver */
    AsyncCompletion *completed_head, **completed_tail; /* under the context's lock */
};

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
    coroutine->hurry = NULL;
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
    context->ready_count++;
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
    AsyncHome *home = completion->home ? completion->home : context->home;

    completion->next = NULL;
    *home->completed_tail = completion;
    home->completed_tail = &completion->next;
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
    AsyncTimer timer = { g_get_monotonic_time() + (int64_t)(ns / 1000) + 1, coroutine_self(),
                         NULL };

    g_sequence_insert_sorted(context->timers, &timer, timer_compare, NULL);
    async_signal(context); /* the main loop must see the new deadline */
    coroutine_yield();
}

void coroutine_hurry_begin(CoroutineHurry *hurry, const unsigned *flag, HurryLevel level)
{
    *hurry = (CoroutineHurry){ flag, level, coroutine_self()->hurry };
    coroutine_self()->hurry = hurry;
}

void coroutine_hurry_end(const CoroutineHurry *hurry)
{
    g_assert(coroutine_self()->hurry == hurry);
    coroutine_self()->hurry = hurry->outer;
}

HurryLevel coroutine_own_hurry(const Coroutine *coroutine)
{
    HurryLevel level = HURRY_NONE;

    for (const CoroutineHurry *hurry = coroutine->hurry; hurry; hurry = hurry->outer) {
        if (__atomic_load_n(hurry->flag, __ATOMIC_RELAXED)) {
            level = MAX(level, hurry->level);
        }
    }
    return level;
}

HurryLevel coroutine_hurry(const Coroutine *coroutine)
{
    return async_hastened(coroutine->context) ? HURRY_LEAVE : coroutine_own_hurry(coroutine);
}

void async_hasten(AsyncContext *context)
{
    __atomic_store_n(&context->hastened, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&context->hasten_news, 1, __ATOMIC_RELEASE);
    async_signal(context);
}

void async_on_hasten(AsyncContext *context, void (*hurry)(void *opaque), void *opaque)
{
    context->hurry = hurry;
    context->hurry_opaque = opaque;
}

static void tell_hurry(AsyncContext *context)
{
    if (__atomic_load_n(&context->hasten_news, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&context->hasten_news, 0, __ATOMIC_ACQUIRE) && context->hurry) {
        context->hurry(context->hurry_opaque);
    }
}

bool async_hastened(const AsyncContext *context)
{
    return __atomic_load_n(&context->hastened, __ATOMIC_RELAXED);
}

void coroutine_linger_ns(uint64_t ns)
{
    while (ns && coroutine_hurry(coroutine_self()) == HURRY_NONE) {
        uint64_t slice = MIN(ns, LINGER_NS);

        coroutine_sleep_ns(slice);
        ns -= slice;
    }
}

void coroutine_jitter(void)
{
    uint64_t ns = jitter_ns(&coroutine_context()->jitter, JITTER_NS);

    if (ns) {
        coroutine_sleep_ns(ns);
    }
}

void coroutine_alarm_sleep_ns(CoroutineAlarm *alarm, uint64_t ns)
{
    AsyncContext *context = coroutine_context();
    AsyncTimer timer = { g_get_monotonic_time() + (int64_t)(ns / 1000) + 1, coroutine_self(),
                         alarm };

    g_assert(!alarm->timer);
    alarm->timer = g_sequence_insert_sorted(context->timers, &timer, timer_compare, NULL);
    async_signal(context);
    coroutine_yield();
}

void coroutine_alarm_ring(CoroutineAlarm *alarm)
{
    if (alarm->timer) {
        AsyncTimer *timer = g_sequence_get(alarm->timer);

        g_sequence_remove(alarm->timer);
        alarm->timer = NULL;
        coroutine_wake(timer->coroutine);
    }
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
        if (timer->alarm) {
            timer->alarm->timer = NULL;
        }
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

/*
 * Runs as many coroutines as are ready now, one by one: another thread takes what is left while one
 * of them has released the lock. Those made ready meanwhile follow in the next turn.
 */
static void async_run_ready(AsyncContext *context)
{
    for (unsigned left = context->ready_count; left && context->ready_head; left--) {
        Coroutine *coroutine = context->ready_head;

        context->ready_head = coroutine->next;
        if (!context->ready_head) {
            context->ready_tail = &context->ready_head;
        }
        context->ready_count--;
        coroutine->queued = false;
        coroutine_set_self(coroutine);
        coroutine_stack_enter(coroutine->stack);
        coroutine_set_self(NULL);
        if (coroutine->finished) {
            coroutine_recycle(coroutine);
        }
    }
}

void async_run(AsyncContext *context)
{
    unsigned turns = 0;

    if (!context->plugs) {
        context->spent = 0;
    }
    tell_hurry(context);
    do {
        if (context->ring) {
            io_ring_reap(context->ring);
        }
        if (context->workers) {
            worker_pool_reap(context->workers);
        }
        async_run_timers(context);
        async_run_ready(context);
        /* Together, but not only when all is quiet: who waits for a request may do so by pausing. */
        if ((!context->ready_head || ++turns % SUBMIT_TURNS == 0) && context->ring &&
            !context->plugs) {
            io_ring_submit(context->ring);
        }
    } while (context->ready_head);
}

void async_lock(AsyncContext *context)
{
    g_assert(!coroutine_self());
    jitter_sleep(&context->jitter, LOCK_JITTER_NS);
    pthread_mutex_lock(&context->lock);
}

bool async_signal_homes(AsyncContext *context)
{
    bool any = false;

    for (GList *link = context->homes; link; link = link->next) {
        AsyncHome *home = link->data;

        if (home->completed_head) {
            eventfd_write(home->event_fd, 1);
            any = true;
        }
    }
    return any;
}

void async_unlock(AsyncContext *context)
{
    async_run(context);
    async_signal_homes(context);
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
    if (!context->plugs++) {
        context->spent = 0;
    }
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
    coroutine_context()->sync_done = true;
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

static AsyncCompletion *take_all(AsyncHome *home)
{
    AsyncCompletion *list = home->completed_head;

    home->completed_head = NULL;
    home->completed_tail = &home->completed_head;
    return list;
}

static void deliver_list(AsyncCompletion *list)
{
    while (list) {
        AsyncCompletion *completion = list;

        list = completion->next;
        completion->deliver(completion);
    }
}

/*
 * Delivers what is complete. A foreign home's are taken by its own thread only after enter, so that
 * a thread which holds the lock that enter takes can always deliver them itself. [lock held; released
 * while delivering]
 */
static void async_deliver(AsyncHome *home, bool own_thread)
{
    AsyncContext *context = home->context;
    bool entered = own_thread && home->enter;

    while (home->completed_head) {
        AsyncCompletion *list;

        if (entered) {
            /* Who holds the lock that enter takes may be waiting for these very completions. */
            if (context->waiters) {
                pthread_cond_broadcast(&context->driver_left);
                async_signal(context);
            }
            pthread_mutex_unlock(&context->lock);
            home->enter(home->opaque);
            pthread_mutex_lock(&context->lock);
        }
        list = take_all(home);
        pthread_mutex_unlock(&context->lock);
        deliver_list(list);
        if (entered) {
            home->leave(home->opaque);
        }
        pthread_mutex_lock(&context->lock);
    }
}

AsyncCompletion *async_take_completed(AsyncContext *context, AsyncHome *home,
                                      bool (*wanted)(AsyncCompletion *completion, void *opaque),
                                      void *opaque)
{
    AsyncCompletion *taken = NULL, **taken_tail = &taken;
    AsyncCompletion **link;

    home = home ? home : context->home;
    async_run(context);
    link = &home->completed_head;
    home->completed_tail = link;
    while (*link) {
        AsyncCompletion *completion = *link;

        if (wanted(completion, opaque)) {
            *link = completion->next;
            completion->next = NULL;
            *taken_tail = completion;
            taken_tail = &completion->next;
        } else {
            link = &completion->next;
            home->completed_tail = link;
        }
    }
    return taken;
}

static void deliver_everywhere(AsyncContext *context)
{
    for (GList *link = context->homes; link; link = link->next) {
        async_deliver(link->data, false);
    }
}

void async_poll_until(AsyncContext *context, bool (*condition)(void *opaque), void *opaque)
{
    g_assert(!coroutine_self());
    pthread_mutex_lock(&context->lock);
    for (;;) {
        async_run(context);
        deliver_everywhere(context);
        if (condition(opaque)) {
            break;
        }
        if (!context->ready_head) {
            async_wait(context);
        }
    }
    async_unlock(context);
}

/* Homes: a source in each main context. */

static gboolean home_prepare(GSource *source, gint *timeout_ms)
{
    AsyncHome *home = (AsyncHome *)source;
    AsyncContext *context = home->context;
    int64_t deadline_us;

    pthread_mutex_lock(&context->lock);
    deadline_us = context->driver == home ? async_next_deadline_us(context) : -1;
    pthread_mutex_unlock(&context->lock);
    g_source_set_ready_time(source, deadline_us);
    *timeout_ms = -1;
    return FALSE;
}

static gboolean home_check(GSource *source)
{
    AsyncHome *home = (AsyncHome *)source;
    int64_t ready_us = g_source_get_ready_time(source);
    gpointer driver_tag = home->driver_tag;

    return (g_source_query_unix_fd(source, home->tag) & G_IO_IN) ||
           (driver_tag && (g_source_query_unix_fd(source, driver_tag) & G_IO_IN)) ||
           (ready_us >= 0 && g_source_get_time(source) >= ready_us);
}

static gboolean home_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    AsyncHome *home = (AsyncHome *)source;
    AsyncContext *context = home->context;
    eventfd_t value;

    pthread_mutex_lock(&context->lock);
    eventfd_read(home->event_fd, &value);
    if (context->driver == home) {
        eventfd_read(context->event_fd, &value);
    }
    async_run(context);
    async_deliver(home, true);
    async_unlock(context);
    return G_SOURCE_CONTINUE;
}

static void home_finalize(GSource *source)
{
    close(((AsyncHome *)source)->event_fd);
}

static int new_event_fd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        g_error("eventfd: %s", g_strerror(errno));
    }
    return fd;
}

static AsyncHome *home_new(AsyncContext *context, GMainContext *main_context, int event_fd)
{
    static GSourceFuncs functions = { .prepare = home_prepare,
                                      .check = home_check,
                                      .dispatch = home_dispatch,
                                      .finalize = home_finalize };
    AsyncHome *home = (AsyncHome *)g_source_new(&functions, sizeof *home);

    home->context = context;
    home->main_context = main_context;
    home->references = 1;
    home->event_fd = event_fd;
    home->completed_tail = &home->completed_head;
    home->tag = g_source_add_unix_fd(&home->source, home->event_fd, G_IO_IN);
    g_source_set_can_recurse(&home->source, TRUE);
    g_source_set_name(&home->source, "block");
    return home;
}

/* The first home that is not the default one drives, so that its work leaves the main loop alone. */
static void choose_driver(AsyncContext *context)
{
    AsyncHome *old = context->driver;
    AsyncHome *driver = context->homes->next ? context->homes->next->data : context->home;

    if (driver == old) {
        return;
    }
    /* Only the default home, in its own thread, ever stops to drive and lives on. */
    if (old) {
        g_source_remove_unix_fd(&old->source, old->driver_tag);
        old->driver_tag = NULL;
    }
    context->driver = driver;
    driver->driver_tag = g_source_add_unix_fd(&driver->source, context->event_fd, G_IO_IN);
    async_signal(context);
}

AsyncHome *async_home_get(AsyncContext *context, GMainContext *main_context,
                          void (*enter)(void *opaque), void (*leave)(void *opaque), void *opaque)
{
    AsyncHome *home = NULL;
    int event_fd;

    pthread_mutex_lock(&context->lock);
    for (GList *link = context->homes->next; link && !home; link = link->next) {
        if (((AsyncHome *)link->data)->main_context == main_context) {
            home = link->data;
            home->references++;
        }
    }
    if (!home && (event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0) {
        home = home_new(context, main_context, event_fd);
        home->enter = enter;
        home->leave = leave;
        home->opaque = opaque;
        context->homes = g_list_append(context->homes, home);
        g_source_attach(&home->source, main_context);
        choose_driver(context);
    }
    pthread_mutex_unlock(&context->lock);
    return home;
}

static void home_free(AsyncHome *home)
{
    g_source_destroy(&home->source);
    g_source_unref(&home->source);
}

void async_home_unref(AsyncHome *home)
{
    AsyncContext *context = home->context;

    pthread_mutex_lock(&context->lock);
    if (--home->references) {
        home = NULL;
    } else {
        g_assert(!home->completed_head);
        context->homes = g_list_remove(context->homes, home);
        context->driver = context->driver == home ? NULL : context->driver;
        choose_driver(context);
    }
    pthread_mutex_unlock(&context->lock);
    if (home) {
        home_free(home);
    }
}

AsyncContext *async_context_new(GMainContext *main_context)
{
    AsyncContext *context = g_new0(AsyncContext, 1);

    jitter_init(&context->jitter, 1);
    pthread_mutex_init(&context->lock, NULL);
    pthread_cond_init(&context->driver_left, NULL);
    pthread_cond_init(&context->helper_work, NULL);
    pthread_cond_init(&context->helper_left, NULL);
    context->event_fd = new_event_fd();
    context->ready_tail = &context->ready_head;
    context->timers = g_sequence_new(NULL);
    context->workers = worker_pool_new(context);
    context->home = home_new(context, main_context, new_event_fd());
    context->homes = g_list_append(NULL, context->home);
    g_source_attach(&context->home->source, main_context);
    choose_driver(context);
    return context;
}

void async_context_free(AsyncContext *context)
{
    g_assert(!context->live);
    g_assert(!context->homes->next);
    async_stop_helpers(context);
    home_free(context->home);
    g_list_free(context->homes);
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
    pthread_cond_destroy(&context->helper_work);
    pthread_cond_destroy(&context->helper_left);
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
    coroutine_jitter();
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
