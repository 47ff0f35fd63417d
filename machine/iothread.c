/* SPDX-License-Identifier: MIT */
/* I/O threads and their events. */
#include "machine/iothread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/watch.h"
#include "machine/machine.h"

/* An eventfd, and a pipe where there are none; one to spare. */
enum { MAIN_CONTEXT_DESCRIPTORS = 4 };

struct IoThread {
    Object object;
    uint32_t poll_max_ns, poll_grow, poll_shrink, aio_max_batch;
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    int tid;
    unsigned users; /* events */
    GMutex started_lock;
    GCond started;
};

struct IoThreadEvent {
    GSource source;
    IoThread *thread;
    Machine *machine;
    IoThreadHandler *fn;
    void *opaque;
    gpointer tag;
    int fd;
    bool dead; /* under the machine lock */
};

static const ObjectType iothread_type;

/* Threads. */

static void *thread_main(void *opaque)
{
    IoThread *thread = opaque;

    g_mutex_lock(&thread->started_lock);
    thread->tid = (int)syscall(SYS_gettid);
    g_cond_signal(&thread->started);
    g_mutex_unlock(&thread->started_lock);
    g_main_context_push_thread_default(thread->context);
    g_main_loop_run(thread->loop);
    g_main_context_pop_thread_default(thread->context);
    return NULL;
}

static gboolean quit_loop(void *opaque)
{
    g_main_loop_quit(opaque);
    return G_SOURCE_REMOVE;
}

/*
 * Before the drives go: nothing of theirs runs in here afterwards. The loop is left from within, as a
 * thread that has not entered it yet would not see that it should quit.
 */
static void stop_thread(void *opaque)
{
    IoThread *thread = opaque;

    if (thread->thread) {
        g_autoptr(GSource) source = g_idle_source_new();

        g_source_set_callback(source, quit_loop, thread->loop, NULL);
        g_source_attach(source, thread->context);
        g_thread_join(thread->thread);
        thread->thread = NULL;
    }
}

/* GLib ends the program when it finds none. */
static bool main_context_can_be_made(GError **error)
{
    int fds[MAIN_CONTEXT_DESCRIPTORS];
    unsigned n = 0;
    int failure = 0;

    while (n < MAIN_CONTEXT_DESCRIPTORS && !failure) {
        fds[n] = eventfd(0, EFD_CLOEXEC);
        failure = fds[n] < 0 ? errno : 0;
        n += !failure;
    }
    while (n) {
        close(fds[--n]);
    }
    return !failure ||
           error_fail_errno(error, failure, "no descriptors for an iothread (ulimit -n)");
}

static bool iothread_complete(Object *object, GError **error)
{
    IoThread *thread = container_of(object, IoThread, object);
    g_autofree char *name = g_strdup_printf("io %s", object->id);
    sigset_t all, old;

    if (!main_context_can_be_made(error)) {
        return false;
    }
    thread->context = g_main_context_new();
    thread->loop = g_main_loop_new(thread->context, TRUE);
    g_mutex_init(&thread->started_lock);
    g_cond_init(&thread->started);
    /* Signals are the main loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    thread->thread = g_thread_try_new(name, thread_main, thread, error);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!thread->thread) {
        return false;
    }
    g_mutex_lock(&thread->started_lock);
    while (!thread->tid) {
        g_cond_wait(&thread->started, &thread->started_lock);
    }
    g_mutex_unlock(&thread->started_lock);
    machine_on_free(object->machine, stop_thread, thread);
    return true;
}

static void iothread_free(Object *object)
{
    IoThread *thread = container_of(object, IoThread, object);

    stop_thread(thread);
    machine_forget_on_free(object->machine, thread);
    if (thread->context) {
        g_main_loop_unref(thread->loop);
        g_main_context_unref(thread->context);
        g_mutex_clear(&thread->started_lock);
        g_cond_clear(&thread->started);
    }
}

IoThread *iothread_find(Machine *machine, const char *id, GError **error)
{
    Object *object = machine_find_object(machine, id);

    if (!object || object->type != &iothread_type) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no I/O thread '%s' (-object iothread,id=%s makes it)", id, id);
        return NULL;
    }
    return container_of(object, IoThread, object);
}

GPtrArray *iothread_list(Machine *machine)
{
    GPtrArray *list = g_ptr_array_new(), *objects = machine_objects(machine);

    for (guint i = 0; i < objects->len; i++) {
        Object *object = objects->pdata[i];

        if (object->type == &iothread_type) {
            g_ptr_array_add(list, container_of(object, IoThread, object));
        }
    }
    return list;
}

GMainContext *iothread_context(IoThread *thread)
{
    return thread->context;
}

const char *iothread_id(const IoThread *thread)
{
    return thread->object.id;
}

int iothread_tid(const IoThread *thread)
{
    return thread->tid;
}

int64_t iothread_parameter(const IoThread *thread, const char *name)
{
    for (const Property *p = iothread_type.properties; p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            return *(const uint32_t *)((const char *)thread + p->offset);
        }
    }
    return 0;
}

/* Events. */

static gboolean event_check(GSource *source)
{
    IoThreadEvent *event = (IoThreadEvent *)source;

    return (g_source_query_unix_fd(source, event->tag) & G_IO_IN) != 0;
}

static gboolean event_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    IoThreadEvent *event = (IoThreadEvent *)source;
    Machine *machine = event->machine;
    eventfd_t value;

    eventfd_read(event->fd, &value);
    machine_lock(machine);
    if (!event->dead) {
        event->fn(event, event->opaque);
    }
    machine_unlock(machine);
    return G_SOURCE_CONTINUE;
}

static void event_finalize(GSource *source)
{
    close(((IoThreadEvent *)source)->fd);
}

IoThreadEvent *iothread_event_new(IoThread *thread, IoThreadHandler *fn, void *opaque,
                                  GError **error)
{
    static GSourceFuncs functions = { .check = event_check,
                                      .dispatch = event_dispatch,
                                      .finalize = event_finalize };
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    IoThreadEvent *event;

    if (fd < 0) {
        error_fail_errno(error, errno, "iothread '%s': no descriptor for events (ulimit -n)",
                         thread->object.id);
        return NULL;
    }
    event = (IoThreadEvent *)g_source_new(&functions, sizeof *event);
    thread->users++;
    event->thread = thread;
    event->machine = thread->object.machine;
    event->fn = fn;
    event->opaque = opaque;
    event->fd = fd;
    event->tag = g_source_add_unix_fd(&event->source, event->fd, G_IO_IN);
    watch_no_nesting(&event->source);
    g_source_attach(&event->source, thread->context);
    return event;
}

void iothread_event_free(IoThreadEvent *event)
{
    event->dead = true;
    event->thread->users--;
    g_source_destroy(&event->source);
    g_source_unref(&event->source);
}

void iothread_event_set(IoThreadEvent *event)
{
    eventfd_write(event->fd, 1);
}

void iothread_event_unlock(IoThreadEvent *event)
{
    machine_unlock(event->machine);
}

bool iothread_event_lock(IoThreadEvent *event)
{
    machine_lock(event->machine);
    return !event->dead;
}

/* The object. Nothing polls: the numbers are kept for who asks for them. */

#define PARAMETER(field, name_, fallback_)                                                         \
    {                                                                                              \
        .name = name_, .kind = PROPERTY_U32, .offset = offsetof(IoThread, field),                  \
        .summary = "accepted; has no effect", .fallback = fallback_, .changed = object_read_at_use \
    }

static const Property iothread_properties[] = {
    PARAMETER(poll_max_ns, "poll-max-ns", "32768"),
    PARAMETER(poll_grow, "poll-grow", "0"),
    PARAMETER(poll_shrink, "poll-shrink", "0"),
    PARAMETER(aio_max_batch, "aio-max-batch", "0"),
    { 0 },
};

static bool iothread_in_use(Object *object)
{
    return container_of(object, IoThread, object)->users > 0;
}

static const ObjectType iothread_type = {
    .name = "iothread",
    .summary = "A thread that takes the queues of devices with iothread=",
    .instance_size = sizeof(IoThread),
    .properties = iothread_properties,
    .complete = iothread_complete,
    .free = iothread_free,
    .in_use = iothread_in_use,
};
OBJECT_TYPE(iothread_type);
