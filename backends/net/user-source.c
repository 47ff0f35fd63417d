/* SPDX-License-Identifier: MIT */
/*
 * The main loop's side of the user network: before each poll the source asks slirp which sockets to
 * watch, afterwards it tells slirp what happened. A stopped machine watches nothing, because
 * slirp's time stands still with the virtual clock.
 */
#include "backends/lock.h"
#include "backends/net/user.h"
#include "base/watch.h"

typedef struct {
    GSource source;
    UserNetdev *user;
    GPtrArray *fds; /* GPollFD *; the first `used` ones are being watched */
    guint used;
    gint64 deadline_us; /* when slirp wants to run at the latest; -1: never */
} UserSource;

static int user_source_add_poll(int fd, int events, void *opaque)
{
    UserSource *s = opaque;
    GPollFD *entry;

    if (s->used == s->fds->len) {
        g_ptr_array_add(s->fds, g_new0(GPollFD, 1));
    }
    entry = s->fds->pdata[s->used];
    entry->fd = fd;
    entry->revents = 0;
    entry->events = (events & SLIRP_POLL_IN ? G_IO_IN : 0) |
                    (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
                    (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | G_IO_ERR | G_IO_HUP;
    g_source_add_poll(&s->source, entry);
    return s->used++;
}

static int user_source_get_revents(int index, void *opaque)
{
    UserSource *s = opaque;
    int events;

    if (index < 0 || (guint)index >= s->used) {
        return 0;
    }
    events = ((GPollFD *)s->fds->pdata[index])->revents;
    return (events & G_IO_IN ? SLIRP_POLL_IN : 0) | (events & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
           (events & G_IO_PRI ? SLIRP_POLL_PRI : 0) | (events & G_IO_ERR ? SLIRP_POLL_ERR : 0) |
           (events & (G_IO_HUP | G_IO_NVAL) ? SLIRP_POLL_HUP : 0);
}

static gboolean user_source_prepare(GSource *source, gint *timeout_ms)
{
    UserSource *s = (UserSource *)source;
    Machine *machine = s->user->netdev.machine;
    uint32_t wait_ms = UINT32_MAX;
    bool taken;

    for (guint i = 0; i < s->used; i++) {
        g_source_remove_poll(source, s->fds->pdata[i]);
    }
    s->used = 0;
    s->deadline_us = -1;
    *timeout_ms = -1;
    if (machine->stop_reason != STOP_NONE) {
        return FALSE;
    }
    taken = backend_lock(machine);
    slirp_pollfds_fill(s->user->slirp, &wait_ms, user_source_add_poll, s);
    backend_unlock(machine, taken);
    if (wait_ms != UINT32_MAX) {
        *timeout_ms = MIN(wait_ms, G_MAXINT);
        s->deadline_us = g_get_monotonic_time() + *timeout_ms * INT64_C(1000);
    }
    return FALSE;
}

static gboolean user_source_check(GSource *source)
{
    UserSource *s = (UserSource *)source;

    for (guint i = 0; i < s->used; i++) {
        if (((GPollFD *)s->fds->pdata[i])->revents) {
            return TRUE;
        }
    }
    return s->deadline_us >= 0 && g_get_monotonic_time() >= s->deadline_us;
}

static gboolean user_source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    UserSource *s = (UserSource *)source;
    Machine *machine = s->user->netdev.machine;
    bool taken = backend_lock(machine);

    if (!g_source_is_destroyed(source)) {
        slirp_pollfds_poll(s->user->slirp, 0, user_source_get_revents, s);
    }
    backend_unlock(machine, taken);
    return G_SOURCE_CONTINUE;
}

static void user_source_finalize(GSource *source)
{
    g_ptr_array_unref(((UserSource *)source)->fds);
}

GSource *user_source_new(UserNetdev *user)
{
    static GSourceFuncs functions = {
        .prepare = user_source_prepare,
        .check = user_source_check,
        .dispatch = user_source_dispatch,
        .finalize = user_source_finalize,
    };
    GSource *source = g_source_new(&functions, sizeof(UserSource));
    UserSource *s = (UserSource *)source;

    s->user = user;
    s->fds = g_ptr_array_new_with_free_func(g_free);
    watch_no_nesting(source);
    g_source_set_name(source, "user network");
    g_source_attach(source, NULL);
    return source;
}
