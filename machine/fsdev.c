/* SPDX-License-Identifier: MIT */
/* Shared folders of a machine, and the threads that work for them. */
#include "machine/fsdev.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/machine.h"

enum { THREADS_MOST = 16 };

struct FsdevThreads {
    GMutex lock; /* below */
    GCond work, finished;
    GQueue waiting, done; /* FsdevJob * */
    GPtrArray *threads;   /* GThread * */
    unsigned idle;
    bool stop, told; /* told: the main loop will look at `done` */
};

/* By type. */

static const NotYet fsdev_types_not_yet[] = {
    { "proxy handle", "use local" },
    { 0 },
};
static const NameKind fsdev_kind = { "fsdev driver", "-fsdev help", fsdev_types_not_yet };

const FsdevType *fsdev_type_find(const char *name, GError **error)
{
    return REGISTRY_FIND(fsdev_types, &fsdev_kind, name, error);
}

/* By machine. */

static GPtrArray *fsdevs(Machine *machine)
{
    return machine_attached(machine, "machine/fsdev.h");
}

Fsdev *fsdev_find(Machine *machine, const char *id)
{
    GPtrArray *all = fsdevs(machine);

    for (guint i = 0; all && i < all->len; i++) {
        Fsdev *fsdev = all->pdata[i];

        if (strcmp(fsdev->id, id) == 0) {
            return fsdev;
        }
    }
    return NULL;
}

static void stop_threads(FsdevThreads *threads)
{
    g_mutex_lock(&threads->lock);
    threads->stop = true;
    g_cond_broadcast(&threads->work);
    g_mutex_unlock(&threads->lock);
    for (guint i = 0; i < threads->threads->len; i++) {
        g_thread_join(threads->threads->pdata[i]);
    }
    g_ptr_array_unref(threads->threads);
    g_mutex_clear(&threads->lock);
    g_cond_clear(&threads->work);
    g_cond_clear(&threads->finished);
    g_free(threads);
}

static void fsdev_free(void *opaque)
{
    Fsdev *fsdev = opaque;

    stop_threads(fsdev->threads);
    fsdev->type->close(fsdev);
    properties_free(fsdev->type->properties, fsdev);
    g_free(fsdev->id);
    g_free(fsdev);
}

Fsdev *fsdev_new(Machine *machine, const char *id, const char *type_name, GHashTable *options,
                 GError **error)
{
    const FsdevType *type = fsdev_type_find(type_name, error);
    g_autofree char *who = g_strdup_printf("fsdev '%s' (%s)", id, type_name);
    Fsdev *fsdev;

    if (!type) {
        return NULL;
    }
    if (fsdev_find(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already an fsdev '%s'; choose another id",
                   id);
        return NULL;
    }
    fsdev = g_malloc0(type->instance_size);
    fsdev->type = type;
    fsdev->machine = machine;
    fsdev->id = g_strdup(id);
    fsdev->threads = g_new0(FsdevThreads, 1);
    fsdev->threads->threads = g_ptr_array_new();
    properties_init(type->properties, fsdev);
    if (!properties_set_all(machine, type->properties, fsdev, who, options, error) ||
        !type->open(fsdev, error)) {
        fsdev_free(fsdev);
        return NULL;
    }
    if (!fsdevs(machine)) {
        machine_attach(machine, "machine/fsdev.h", g_ptr_array_new_with_free_func(fsdev_free),
                       (GDestroyNotify)g_ptr_array_unref);
    }
    g_ptr_array_add(fsdevs(machine), fsdev);
    return fsdev;
}

int fs_name_check(const char *name)
{
    if (!*name || strchr(name, '/')) {
        return -ENOENT;
    }
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return -EEXIST;
    }
    return strlen(name) > NAME_MAX ? -ENAMETOOLONG : 0;
}

/* Threads. */

static void tell_done(Fsdev *fsdev)
{
    FsdevThreads *threads = fsdev->threads;
    FsdevJob *job;

    g_mutex_lock(&threads->lock);
    while ((job = g_queue_pop_head(&threads->done))) {
        g_mutex_unlock(&threads->lock);
        job->done(job);
        g_mutex_lock(&threads->lock);
    }
    g_mutex_unlock(&threads->lock);
}

static void deliver(void *opaque)
{
    Fsdev *fsdev = opaque;

    g_mutex_lock(&fsdev->threads->lock);
    fsdev->threads->told = false;
    g_mutex_unlock(&fsdev->threads->lock);
    tell_done(fsdev);
}

void fsdev_wait(Fsdev *fsdev)
{
    FsdevThreads *threads = fsdev->threads;

    g_mutex_lock(&threads->lock);
    while (g_queue_is_empty(&threads->done)) {
        g_cond_wait(&threads->finished, &threads->lock);
    }
    g_mutex_unlock(&threads->lock);
    tell_done(fsdev);
}

static void *thread_main(void *opaque)
{
    Fsdev *fsdev = opaque;
    FsdevThreads *threads = fsdev->threads;

    g_mutex_lock(&threads->lock);
    while (!threads->stop) {
        FsdevJob *job = g_queue_pop_head(&threads->waiting);

        if (!job) {
            threads->idle++;
            g_cond_wait(&threads->work, &threads->lock);
            threads->idle--;
            continue;
        }
        g_mutex_unlock(&threads->lock);
        job->run(job);
        g_mutex_lock(&threads->lock);
        g_queue_push_tail(&threads->done, job);
        g_cond_signal(&threads->finished);
        if (!threads->told) {
            threads->told = true;
            machine_defer(fsdev->machine, deliver, fsdev);
        }
    }
    g_mutex_unlock(&threads->lock);
    return NULL;
}

/* Signals are the main loop's. */
static GThread *start_thread(Fsdev *fsdev)
{
    g_autofree char *name = g_strdup_printf("fs %s", fsdev->id);
    GThread *thread;
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    thread = g_thread_try_new(name, thread_main, fsdev, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return thread;
}

void fsdev_submit(Fsdev *fsdev, FsdevJob *job)
{
    FsdevThreads *threads = fsdev->threads;
    bool none;

    g_mutex_lock(&threads->lock);
    g_queue_push_tail(&threads->waiting, job);
    if (threads->waiting.length > threads->idle && threads->threads->len < THREADS_MOST) {
        GThread *thread = start_thread(fsdev);

        if (thread) {
            g_ptr_array_add(threads->threads, thread);
        }
    }
    none = threads->threads->len == 0;
    g_cond_signal(&threads->work);
    g_mutex_unlock(&threads->lock);
    /* A host that gives us no thread at all still gets its work done. */
    if (none && fsdev_cancel(fsdev, job)) {
        job->run(job);
        g_mutex_lock(&threads->lock);
        g_queue_push_tail(&threads->done, job);
        if (!threads->told) {
            threads->told = true;
            machine_defer(fsdev->machine, deliver, fsdev);
        }
        g_mutex_unlock(&threads->lock);
    }
}

bool fsdev_cancel(Fsdev *fsdev, FsdevJob *job)
{
    bool found;

    g_mutex_lock(&fsdev->threads->lock);
    found = g_queue_remove(&fsdev->threads->waiting, job);
    g_mutex_unlock(&fsdev->threads->lock);
    return found;
}
