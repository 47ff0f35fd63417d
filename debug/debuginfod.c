/* SPDX-License-Identifier: MIT */
/*
 * A client of debuginfod; see the header. elfutils' library is loaded when it is needed: with it come those of HTTP and TLS, which a program that
 * asks no server should not wait for.
 */
#include "debug/debuginfod.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/library.h"

#define URLS "DEBUGINFOD_URLS"

/* What its manual pages declare. */
typedef struct debuginfod_client Client;
typedef int ProgressFn(Client *client, long a, long b);
typedef struct {
    Client *(*begin)(void);
    void (*end)(Client *client);
    void (*set_progressfn)(Client *client, ProgressFn *fn);
    int (*find_debuginfo)(Client *client, const unsigned char *id, int length, char **path);
} Library;

static const char *const names[] = { "debuginfod_begin", "debuginfod_end",
                                     "debuginfod_set_progressfn", "debuginfod_find_debuginfo",
                                     NULL };

/* The fetch that a thread works on. */
static GPrivate fetch_of_thread;

struct DebuginfodFetch {
    atomic_uint references; /* the asker's and the thread's */
    atomic_bool cancelled;
    atomic_ullong got, all;
    bool timed_out;
    Machine *machine;
    DebuginfodDone *done;
    void *opaque;
    Library library;
    BuildId id;
    unsigned seconds;
    int64_t deadline_us;
    int result; /* a descriptor, or negative errno */
    char *path;
};

static void unref(DebuginfodFetch *fetch)
{
    if (atomic_fetch_sub(&fetch->references, 1) == 1) {
        free(fetch->path);
        g_free(fetch);
    }
}

/* Called some times a second by the library, on the fetch's thread; not 0 ends it. */
static int progress(Client *client, long a, long b)
{
    DebuginfodFetch *fetch = g_private_get(&fetch_of_thread);

    atomic_store(&fetch->got, a > 0 ? (unsigned long long)a : 0);
    atomic_store(&fetch->all, b > 0 ? (unsigned long long)b : 0);
    fetch->timed_out |= g_get_monotonic_time() > fetch->deadline_us;
    return fetch->timed_out || atomic_load(&fetch->cancelled);
}

static void tell(DebuginfodFetch *fetch)
{
    g_autoptr(GError) error = NULL;

    if (fetch->timed_out) {
        error_fail(&error, KASO_ERROR_GENERIC,
                   "the server has not sent it within %u s; -t SECONDS gives it more",
                   fetch->seconds);
    } else if (fetch->result == -ENOENT) {
        error_fail(&error, KASO_ERROR_NOT_FOUND,
                   "no server of DEBUGINFOD_URLS (%s) has build ID %s", g_getenv(URLS),
                   fetch->id.text);
    } else if (fetch->result < 0) {
        error_fail(&error, KASO_ERROR_GENERIC, "build ID %s cannot be fetched from %s: %s",
                   fetch->id.text, g_getenv(URLS), g_strerror(-fetch->result));
    }
    fetch->done(fetch->opaque, error ? NULL : fetch->path, error);
}

/* In the main loop, where nobody else cancels meanwhile. */
static gboolean finish(gpointer opaque)
{
    DebuginfodFetch *fetch = opaque;

    if (!atomic_load(&fetch->cancelled)) {
        machine_lock(fetch->machine);
        tell(fetch);
        machine_unlock(fetch->machine);
        unref(fetch); /* the asker's */
    }
    unref(fetch);
    return G_SOURCE_REMOVE;
}

static gpointer run(gpointer opaque)
{
    DebuginfodFetch *fetch = opaque;
    const Library *library = &fetch->library;
    Client *client = library->begin();

    g_private_set(&fetch_of_thread, fetch);
    fetch->result = -ENOMEM;
    if (client) {
        library->set_progressfn(client, progress);
        fetch->result =
            library->find_debuginfo(client, fetch->id.bytes, (int)fetch->id.size, &fetch->path);
        library->end(client);
    }
    if (fetch->result >= 0) {
        close(fetch->result);
    }
    g_idle_add(finish, fetch);
    return NULL;
}

DebuginfodFetch *debuginfod_fetch(Machine *machine, const BuildId *id, unsigned seconds,
                                  DebuginfodDone *done, void *opaque, GError **error)
{
    const char *urls = g_getenv(URLS);
    DebuginfodFetch *fetch;
    Library library;
    GThread *thread;

    if (!urls || !*urls) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "no server is known: start Kaso with DEBUGINFOD_URLS set, such as "
                   "https://debuginfod.debian.net");
        return NULL;
    }
    if (!library_load("libdebuginfod.so.1", "libdebuginfod1", names, &library, error)) {
        return NULL;
    }
    fetch = g_new0(DebuginfodFetch, 1);
    fetch->references = 2;
    fetch->machine = machine;
    fetch->done = done;
    fetch->opaque = opaque;
    fetch->library = library;
    fetch->id = *id;
    fetch->seconds = seconds;
    fetch->deadline_us = g_get_monotonic_time() + (int64_t)seconds * G_USEC_PER_SEC;
    thread = g_thread_try_new("debuginfod", run, fetch, error);
    if (!thread) {
        unref(fetch);
        unref(fetch);
        return NULL;
    }
    g_thread_unref(thread);
    return fetch;
}

void debuginfod_cancel(DebuginfodFetch *fetch)
{
    atomic_store(&fetch->cancelled, true);
    unref(fetch);
}

void debuginfod_progress(DebuginfodFetch *fetch, uint64_t *got, uint64_t *all)
{
    *got = atomic_load(&fetch->got);
    *all = atomic_load(&fetch->all);
}
