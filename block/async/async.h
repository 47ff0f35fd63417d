/* SPDX-License-Identifier: MIT */
/*
 * Coroutines and the context that runs them. All code below the public interface of block.h runs
 * in coroutines of one AsyncContext; exactly one thread runs coroutines of a context at a time
 * (it holds the context's lock), so drivers need no locks of their own. A coroutine may continue
 * on another thread after it yields: functions that yield must not keep errno or thread-local
 * addresses across the yield.
 *
 * In tools, helper threads take part (async_context_set_helpers); still one at a time.
 *
 * Whoever submits a request runs it at once up to its first wait. The rest is run by the main
 * context's source, or by any thread that waits for a synchronous request.
 */
#ifndef BLOCK_ASYNC_ASYNC_H
#define BLOCK_ASYNC_ASYNC_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct AsyncContext AsyncContext;
typedef struct Coroutine Coroutine;
typedef struct AsyncHome AsyncHome;
typedef void CoroutineFunction(void *opaque);

/* Completions that are delivered in a home's main context without the context's lock. */
typedef struct AsyncCompletion {
    struct AsyncCompletion *next;
    AsyncHome *home; /* NULL: the default one */
    void (*deliver)(struct AsyncCompletion *completion);
} AsyncCompletion;

/* main_context: NULL is the default one. */
AsyncContext *async_context_new(GMainContext *main_context);
/* No coroutine may be left. */
void async_context_free(AsyncContext *context);

/*
 * A main context, other than the one the asynchronous context was made with, whose thread delivers
 * completions: between enter and leave, for all that are there (they take the lock that the
 * receivers need). The first one that exists also runs the coroutines. References are counted by
 * main context. NULL with errno: the host has no descriptor. unref: no completion for it may be outstanding. [both: the default main context's thread]
 */
AsyncHome *async_home_get(AsyncContext *context, GMainContext *main_context,
                          void (*enter)(void *opaque), void (*leave)(void *opaque), void *opaque);
void async_home_unref(AsyncHome *home);

/*
 * Lets up to `helpers` threads more run coroutines while others have left the lock for a long call
 * (coroutine_release). For tools; before the first coroutine.
 */
void async_context_set_helpers(AsyncContext *context, unsigned helpers);

/* [any thread, not in a coroutine] The lock is not recursive. */
void async_lock(AsyncContext *context);
/* Runs what is ready, then unlocks and signals the homes whose completions are waiting. */
void async_unlock(AsyncContext *context);
/* With plugs held, submissions to the kernel are collected. [lock held] */
void async_plug(AsyncContext *context);
void async_unplug(AsyncContext *context);

/* Makes a coroutine ready to run. [lock held] */
void async_start(AsyncContext *context, CoroutineFunction *function, void *opaque);
/* Runs function in a coroutine and returns when it has returned; direct call in a coroutine. */
void async_run_sync(AsyncContext *context, CoroutineFunction *function, void *opaque);
/* [lock held] */
void async_complete(AsyncContext *context, AsyncCompletion *completion);
/*
 * Runs coroutines, then removes and returns the completions of a home (NULL: the default one) that
 * wanted(opaque) picks, in order, for the caller to deliver after unlocking. [lock held]
 */
AsyncCompletion *async_take_completed(AsyncContext *context, AsyncHome *home,
                                      bool (*wanted)(AsyncCompletion *completion, void *opaque),
                                      void *opaque);
/*
 * Runs coroutines and delivers completions, those of other homes, too, until condition(opaque) is true. condition is called
 * with the lock held. [main context's thread]
 */
void async_poll_until(AsyncContext *context, bool (*condition)(void *opaque), void *opaque);

/* In a coroutine: */
Coroutine *coroutine_self(void);
AsyncContext *coroutine_context(void);
void coroutine_yield(void);
void coroutine_sleep_ns(uint64_t ns);
/* A sleep that another coroutine may end; zeroed at first. */
typedef struct {
    GSequenceIter *timer; /* NULL: nobody sleeps */
} CoroutineAlarm;
void coroutine_alarm_sleep_ns(CoroutineAlarm *alarm, uint64_t ns);
void coroutine_alarm_ring(CoroutineAlarm *alarm);
/*
 * A coroutine may come into a hurry while it waits. HURRY_PASS: limits let it pass. HURRY_GIVE_UP: it also ends waits
 * that may last for ever, as for a server that is lost. HURRY_LEAVE: it also leaves requests that are under way
 * when their answer does not come; whoever wanted the result is gone. Who waits long looks at coroutine_hurry.
 */
typedef enum { HURRY_NONE, HURRY_PASS, HURRY_GIVE_UP, HURRY_LEAVE } HurryLevel;
typedef struct CoroutineHurry {
    const unsigned *flag; /* not 0: in a hurry; read by any thread */
    HurryLevel level;
    const struct CoroutineHurry *outer;
} CoroutineHurry;
/* From begin to end, which nest, this coroutine looks at flag. */
void coroutine_hurry_begin(CoroutineHurry *hurry, const unsigned *flag, HurryLevel level);
void coroutine_hurry_end(const CoroutineHurry *hurry);
/* How much of a hurry it is in. [any thread, while the coroutine waits or runs there] */
HurryLevel coroutine_hurry(const Coroutine *coroutine);
/* The same by the flags alone: whether its own work is to be given up, which a tool that is told to end may still complete. */
HurryLevel coroutine_own_hurry(const Coroutine *coroutine);
/*
 * From now on all are in HURRY_LEAVE: the process ends. Who runs coroutines next calls what async_on_hasten was given, with the
 * lock held; it is not taken here, as who holds it may be stuck. May be called again. [any thread]
 */
void async_hasten(AsyncContext *context);
void async_on_hasten(AsyncContext *context, void (*hurry)(void *opaque), void *opaque);
bool async_hastened(const AsyncContext *context);
/* As coroutine_sleep_ns, shorter when the coroutine is in a hurry. */
void coroutine_linger_ns(uint64_t ns);
/* Lets the other ready coroutines and completions run. */
void coroutine_pause(void);
/* Where another coroutine may come first: waits there in tests with delays (base/jitter.h). */
void coroutine_jitter(void);
/* [lock held] */
void coroutine_wake(Coroutine *coroutine);
/*
 * Around a call that takes long and touches nothing of the context: gives up the lock, so that
 * helpers run other coroutines. The coroutine stays on its thread, and its data in that processor's
 * caches. False, and nothing is given up, when the context has no helpers.
 */
bool coroutine_release(void);
void coroutine_reacquire(void);
/*
 * Whether the thread that runs coroutines may be kept for copying size bytes: what comes in one turn, or
 * between plug and unplug, has 1 MiB together; the rest should go to workers. [coroutine]
 */
bool coroutine_spend(size_t size);

/* Runs function on a worker thread, without the lock; returns its result. [coroutine] */
typedef int WorkerFunction(void *opaque);
int worker_call(WorkerFunction *function, void *opaque);
/*
 * The same for what keeps a processor busy and never waits: where the context has helpers, it stays
 * on its thread (coroutine_release). [coroutine]
 */
int worker_compute(WorkerFunction *function, void *opaque);

/*
 * io_uring: result of the operation, or -ENOSYS when the kernel does not offer it. -EAGAIN and -EINTR: it
 * has not been done, and a worker should do it. [coroutine]
 */
int io_ring_readv(int fd, const struct iovec *iov, unsigned count, uint64_t offset);
int io_ring_writev(int fd, const struct iovec *iov, unsigned count, uint64_t offset, int rwf_flags);
int io_ring_fdatasync(int fd);
int io_ring_poll(int fd, short events);
/* Waits for poll events on fd; returns the events that are there. [coroutine] */
int coroutine_poll_fd(int fd, short events);
bool io_ring_available(AsyncContext *context);

/* First in, first out. */
typedef struct {
    GQueue waiting;
} CoroutineQueue;
void coroutine_queue_init(CoroutineQueue *queue);
void coroutine_queue_wait(CoroutineQueue *queue);
bool coroutine_queue_wake_one(CoroutineQueue *queue);
void coroutine_queue_wake_all(CoroutineQueue *queue);

/* A fair mutex among coroutines of one context. */
typedef struct {
    Coroutine *owner;
    CoroutineQueue queue;
} CoroutineMutex;
void coroutine_mutex_init(CoroutineMutex *mutex);
void coroutine_mutex_lock(CoroutineMutex *mutex);
void coroutine_mutex_unlock(CoroutineMutex *mutex);

#endif
