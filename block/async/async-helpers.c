/* SPDX-License-Identifier: MIT */
/*
 * Helper threads of an asynchronous context: they run coroutines while the thread that would has
 * left the lock for a system call or a computation.
 */
#include "block/async/async-internal.h"

#include <signal.h>

#include "base/thread-sanitizer.h"

enum { SPEND_MAX = 1024 * 1024 };

static void *helper_thread(void *opaque)
{
    AsyncContext *context = opaque;

    pthread_setname_np(pthread_self(), "kaso-block");
    pthread_mutex_lock(&context->lock);
    while (!context->helpers_stop) {
        if (!context->ready_head) {
            context->helpers_idle++;
            pthread_cond_wait(&context->helper_work, &context->lock);
            context->helpers_idle--;
            continue;
        }
        async_run(context);
        if (async_signal_homes(context) || context->sync_done) {
            context->sync_done = false;
            pthread_cond_broadcast(&context->driver_left);
            async_signal(context);
        }
    }
    context->helpers--;
    pthread_cond_signal(&context->helper_left);
    pthread_mutex_unlock(&context->lock);
    return NULL;
}

/* Failing is harmless: the coroutines wait for the call to end. [lock held] */
static void start_helper(AsyncContext *context)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&thread, &attributes, helper_thread, context) == 0) {
        context->helpers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
}

void async_context_set_helpers(AsyncContext *context, unsigned helpers)
{
    context->helpers_max = helpers;
}

void async_stop_helpers(AsyncContext *context)
{
    pthread_mutex_lock(&context->lock);
    context->helpers_stop = true;
    pthread_cond_broadcast(&context->helper_work);
    while (context->helpers) {
        pthread_cond_wait(&context->helper_left, &context->lock);
    }
    pthread_mutex_unlock(&context->lock);
}

/*
 * The context's lock is its thread's, and coroutines that the thread runs only borrow it. The thread sanitizer takes each of
 * them for a thread: so it is told that the one below gives the lock up and takes it again.
 */
static void as_thread(const Coroutine *self, int (*step)(pthread_mutex_t *lock))
{
    void *fiber = TSAN_FIBER_SELF();

    TSAN_FIBER_SWITCH(coroutine_stack_caller_fiber(self->stack));
    step(&self->context->lock);
    TSAN_FIBER_SWITCH(fiber);
}

bool coroutine_release(void)
{
    AsyncContext *context = coroutine_context();

    if (!context->helpers_max) {
        return false;
    }
    if (context->ready_head) {
        if (context->helpers_idle) {
            pthread_cond_signal(&context->helper_work);
        } else if (context->driving) {
            async_signal(context); /* a thread that waits for the end of its call */
        } else if (context->helpers < context->helpers_max) {
            start_helper(context);
        }
    }
    as_thread(coroutine_self(), pthread_mutex_unlock);
    return true;
}

void coroutine_reacquire(void)
{
    as_thread(coroutine_self(), pthread_mutex_lock);
}

bool coroutine_spend(size_t size)
{
    AsyncContext *context = coroutine_context();

    if (size > SPEND_MAX - context->spent) {
        return false;
    }
    context->spent += size;
    return true;
}

int worker_compute(WorkerFunction *function, void *opaque)
{
    int result;

    if (!coroutine_release()) {
        return worker_call(function, opaque);
    }
    result = function(opaque);
    coroutine_reacquire();
    return result;
}
