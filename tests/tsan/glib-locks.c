/* SPDX-License-Identifier: MIT */
/*
 * GLib's locks as the thread sanitizer should see them. GLib makes them of futexes inside a library that is not
 * instrumented, so that without this every access under a GMutex would be called a race. Preloaded into programs that are
 * built with --sanitize=thread.
 */
#include <dlfcn.h>
#include <glib.h>

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real) {                                                                                   \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);                                        \
    }

static void acquire(void *lock)
{
    if (__tsan_acquire) {
        __tsan_acquire(lock);
    }
}

static void release(void *lock)
{
    if (__tsan_release) {
        __tsan_release(lock);
    }
}

#define LOCK(name, Type)                                                                           \
    void name(Type *lock)                                                                          \
    {                                                                                              \
        REAL(name)                                                                                 \
        real(lock);                                                                                \
        acquire(lock);                                                                             \
    }
#define TRYLOCK(name, Type)                                                                        \
    gboolean name(Type *lock)                                                                      \
    {                                                                                              \
        REAL(name)                                                                                 \
        if (!real(lock)) {                                                                         \
            return FALSE;                                                                          \
        }                                                                                          \
        acquire(lock);                                                                             \
        return TRUE;                                                                               \
    }
#define UNLOCK(name, Type)                                                                         \
    void name(Type *lock)                                                                          \
    {                                                                                              \
        REAL(name)                                                                                 \
        release(lock);                                                                             \
        real(lock);                                                                                \
    }

LOCK(g_mutex_lock, GMutex)
TRYLOCK(g_mutex_trylock, GMutex)
UNLOCK(g_mutex_unlock, GMutex)
LOCK(g_rec_mutex_lock, GRecMutex)
TRYLOCK(g_rec_mutex_trylock, GRecMutex)
UNLOCK(g_rec_mutex_unlock, GRecMutex)
LOCK(g_rw_lock_reader_lock, GRWLock)
UNLOCK(g_rw_lock_reader_unlock, GRWLock)
LOCK(g_rw_lock_writer_lock, GRWLock)
UNLOCK(g_rw_lock_writer_unlock, GRWLock)

/* A wait gives the lock up and takes it again. */
void g_cond_wait(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait)
    release(mutex);
    real(cond, mutex);
    acquire(mutex);
}

gboolean g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
    gboolean result;
    REAL(g_cond_wait_until)

    release(mutex);
    result = real(cond, mutex, end_time);
    acquire(mutex);
    return result;
}

/*
 * Who attaches a source has done so before its functions run in the loop's thread, and these have run before who drops the source last
 * frees it: GLib's lock of the context, which it takes without calling g_mutex_lock from outside, is that edge. So the program's own
 * kinds of sources get functions that say it.
 */
typedef struct {
    GSourceFuncs seen;
    GSourceFuncs *original;
} OrderedFuncs;

static GSourceFuncs *ordered(GSource *source)
{
    acquire(source);
    return ((OrderedFuncs *)source->source_funcs)->original;
}

static gboolean ordered_prepare(GSource *source, gint *timeout_ms)
{
    gboolean result = ordered(source)->prepare(source, timeout_ms);

    release(source);
    return result;
}

static gboolean ordered_check(GSource *source)
{
    gboolean result = ordered(source)->check(source);

    release(source);
    return result;
}

static gboolean ordered_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    gboolean result = ordered(source)->dispatch(source, callback, opaque);

    release(source);
    return result;
}

static void ordered_finalize(GSource *source)
{
    GSourceFuncs *original = ordered(source);

    if (original->finalize) {
        original->finalize(source);
    }
    g_free((gpointer)source->source_funcs);
}

GSource *g_source_new(GSourceFuncs *funcs, guint size)
{
    OrderedFuncs *made = g_new0(OrderedFuncs, 1);
    REAL(g_source_new)

    made->seen = (GSourceFuncs){ .prepare = funcs->prepare ? ordered_prepare : NULL,
                                 .check = funcs->check ? ordered_check : NULL,
                                 .dispatch = ordered_dispatch,
                                 .finalize = ordered_finalize };
    made->original = funcs;
    return real(&made->seen, size);
}

guint g_source_attach(GSource *source, GMainContext *context)
{
    REAL(g_source_attach)

    release(source);
    return real(source, context);
}

void g_source_unref(GSource *source)
{
    REAL(g_source_unref)

    release(source);
    real(source);
}
