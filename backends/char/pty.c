/* SPDX-License-Identifier: MIT */
/*
 * Character back end "pty": a new pseudo terminal for others to open. The kernel tells us by a
 * hang-up that nobody has it open; then we look once a second whether somebody has come.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "backends/char/fd-stream.h"
#include "backends/lock.h"
#include "base/error.h"

typedef struct {
    Chardev chardev;
    FdStream stream;
    char *path; /* property: symbolic link to make, NULL: none */
    char *name; /* of the terminal's other side */
    int fd;
    guint timer;
} PtyChardev;

enum { PTY_POLL_SECONDS = 1 };

static bool pty_peer_present(PtyChardev *p)
{
    struct pollfd waiter = { .fd = p->fd, .events = POLLIN };

    return poll(&waiter, 1, 0) >= 0 && !(waiter.revents & POLLHUP);
}

static gboolean pty_look(gpointer opaque)
{
    PtyChardev *p = opaque;
    Machine *machine = p->chardev.machine;
    bool taken = backend_lock(machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        again = G_SOURCE_CONTINUE;
        if (pty_peer_present(p)) {
            again = G_SOURCE_REMOVE;
            p->timer = 0;
            fd_stream_start(&p->stream, &p->chardev, p->fd, p->fd);
            chardev_event(&p->chardev, CHARDEV_OPENED);
        }
    }
    backend_unlock(machine, taken);
    return again;
}

static void pty_hangup(FdStream *stream)
{
    PtyChardev *p = container_of(stream, PtyChardev, stream);

    fd_stream_stop(stream, 0);
    if (!p->timer) {
        p->timer = g_timeout_add_seconds(PTY_POLL_SECONDS, pty_look, p);
    }
    if (p->chardev.open) {
        chardev_event(&p->chardev, CHARDEV_CLOSED);
    }
}

/* A plain byte pipe: no echo and no line editing on the way. */
static void pty_set_raw(int fd)
{
    struct termios mode;

    if (tcgetattr(fd, &mode) == 0) {
        cfmakeraw(&mode);
        tcsetattr(fd, TCSANOW, &mode);
    }
}

static bool pty_open(Chardev *chardev, GError **error)
{
    PtyChardev *p = (PtyChardev *)chardev;
    char name[128];
    int slave;

    p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->fd < 0 || grantpt(p->fd) < 0 || unlockpt(p->fd) < 0 ||
        ptsname_r(p->fd, name, sizeof name) != 0) {
        error_fail_errno(error, errno, "chardev '%s': cannot make a pseudo terminal", chardev->id);
        if (p->fd >= 0) {
            close(p->fd);
        }
        return false;
    }
    /* The first close of the other side is what makes the hang-up visible. */
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave >= 0) {
        pty_set_raw(slave);
        close(slave);
    }
    if (p->path && symlink(name, p->path) < 0) {
        error_fail_errno(error, errno, "chardev '%s': cannot make the link '%s' to %s", chardev->id,
                         p->path, name);
        close(p->fd);
        return false;
    }
    fcntl(p->fd, F_SETFL, O_NONBLOCK);
    p->name = g_strdup(name);
    p->stream.hangup = pty_hangup;
    p->timer = g_timeout_add_seconds(PTY_POLL_SECONDS, pty_look, p);
    printf("char device redirected to %s (label %s)\n", name, chardev->id);
    fflush(stdout);
    return true;
}

static void pty_close(Chardev *chardev)
{
    PtyChardev *p = (PtyChardev *)chardev;

    g_clear_handle_id(&p->timer, g_source_remove);
    fd_stream_stop(&p->stream, 100);
    close(p->fd);
    if (p->path) {
        unlink(p->path);
    }
    g_free(p->name);
}

static size_t pty_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    PtyChardev *p = (PtyChardev *)chardev;

    if (!chardev->open && pty_peer_present(p)) {
        g_clear_handle_id(&p->timer, g_source_remove);
        fd_stream_start(&p->stream, chardev, p->fd, p->fd);
        chardev_event(chardev, CHARDEV_OPENED);
    }
    return chardev->open ? fd_stream_write(&p->stream, data, size) : size;
}

static void pty_accept_input(Chardev *chardev)
{
    PtyChardev *p = (PtyChardev *)chardev;

    if (chardev->open) {
        fd_stream_accept_input(&p->stream);
    }
}

static char *pty_describe(Chardev *chardev)
{
    return g_strdup_printf("pty:%s", ((PtyChardev *)chardev)->name);
}

static const Property pty_properties[] = {
    { "path", PROPERTY_STRING, offsetof(PtyChardev, path),
      "symbolic link to make to the terminal" },
    { NULL },
};

static const ChardevType pty_type = {
    .name = "pty",
    .summary = "New pseudo terminal",
    .instance_size = sizeof(PtyChardev),
    .properties = pty_properties,
    .open = pty_open,
    .close = pty_close,
    .write = pty_write,
    .accept_input = pty_accept_input,
    .describe = pty_describe,
};
CHARDEV_TYPE(pty_type);
