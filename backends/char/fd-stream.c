/* SPDX-License-Identifier: MIT */
/* A character back end on file descriptors; see the header. */
#include "backends/char/fd-stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/lock.h"
#include "base/watch.h"

static ssize_t fd_stream_write_now(FdStream *stream, const uint8_t *data, size_t size)
{
    ssize_t n;

    do {
        n = stream->is_socket ? send(stream->out_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT)
                              : write(stream->out_fd, data, size);
    } while (n < 0 && errno == EINTR);
    return n;
}

static bool fd_stream_would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* Writes what is pending; false when the descriptor has failed for good. */
static bool fd_stream_drain(FdStream *stream)
{
    while (stream->pending->len) {
        ssize_t n = fd_stream_write_now(stream, stream->pending->data, stream->pending->len);

        if (n < 0) {
            return fd_stream_would_block();
        }
        g_byte_array_remove_range(stream->pending, 0, n);
    }
    return true;
}

static gboolean fd_stream_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    FdStream *stream = opaque;
    Chardev *chardev = stream->chardev;
    bool taken = backend_lock(chardev->machine);
    gboolean again = G_SOURCE_REMOVE;

    if (!backend_source_removed()) {
        if (!fd_stream_drain(stream)) {
            g_byte_array_set_size(stream->pending, 0);
        }
        again = stream->pending->len > 0;
        if (!again) {
            stream->out_watch = 0;
            if (chardev->frontend && chardev->frontend->can_write) {
                chardev->frontend->can_write(chardev->frontend_opaque);
            }
        }
    }
    backend_unlock(chardev->machine, taken);
    return again;
}

size_t fd_stream_write(FdStream *stream, const uint8_t *data, size_t size)
{
    size_t done = 0, room;

    if (stream->out_fd < 0) {
        return size;
    }
    while (!stream->pending->len && done < size) {
        ssize_t n = fd_stream_write_now(stream, data + done, size - done);

        if (n < 0) {
            if (!fd_stream_would_block()) {
                return size; /* nobody will ever read it */
            }
            break;
        }
        done += n;
    }
    if (done == size) {
        return size;
    }
    room = FD_STREAM_PENDING_MAX - MIN(stream->pending->len, FD_STREAM_PENDING_MAX);
    room = MIN(room, size - done);
    g_byte_array_append(stream->pending, data + done, room);
    if (!stream->out_watch) {
        stream->out_watch = watch_descriptor(stream->out_fd, G_IO_OUT | G_IO_ERR | G_IO_HUP,
                                             fd_stream_writable, stream);
    }
    return done + room;
}

static void fd_stream_ended(FdStream *stream)
{
    stream->in_watch = 0;
    stream->ended = true;
    if (stream->hangup) {
        stream->hangup(stream);
    }
}

/* Reads from a socket, and keeps the descriptors that come with what is read. */
static ssize_t fd_stream_receive(FdStream *stream, void *buffer, size_t size)
{
    char control[CMSG_SPACE(CHARDEV_PASSED_MAX * sizeof(int))];
    struct iovec iov = { buffer, size };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    ssize_t n = recvmsg(stream->in_fd, &message, MSG_CMSG_CLOEXEC);

    for (struct cmsghdr *header = n >= 0 ? CMSG_FIRSTHDR(&message) : NULL; header;
         header = CMSG_NXTHDR(&message, header)) {
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        for (size_t i = 0;
             header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS && i < count;
             i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            chardev_pass(stream->chardev, fd);
        }
    }
    return n;
}

/* Reads once; returns whether to go on watching. */
static bool fd_stream_read(FdStream *stream)
{
    uint8_t buffer[4096];
    size_t room = chardev_can_receive(stream->chardev);
    ssize_t n;

    if (!room) {
        stream->in_watch = 0;
        return false;
    }
    do {
        n = stream->is_socket ? fd_stream_receive(stream, buffer, MIN(room, sizeof buffer))
                              : read(stream->in_fd, buffer, MIN(room, sizeof buffer));
    } while (n < 0 && errno == EINTR);
    if (n < 0 && fd_stream_would_block()) {
        return true;
    }
    if (n <= 0) {
        fd_stream_ended(stream);
        return false;
    }
    if (stream->filter) {
        n = stream->filter(stream, buffer, n);
    }
    if (n) {
        chardev_receive(stream->chardev, buffer, n);
    }
    /* The front end's reaction may have closed us or stopped the flow. */
    return !backend_source_removed();
}

static gboolean fd_stream_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    FdStream *stream = opaque;
    Machine *machine = stream->chardev->machine;
    bool taken = backend_lock(machine);
    bool again = !backend_source_removed() && fd_stream_read(stream);

    backend_unlock(machine, taken);
    return again ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

void fd_stream_accept_input(FdStream *stream)
{
    if (stream->in_fd >= 0 && !stream->ended && !stream->in_watch &&
        chardev_can_receive(stream->chardev)) {
        stream->in_watch = watch_descriptor(stream->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR,
                                            fd_stream_readable, stream);
    }
}

void fd_stream_start(FdStream *stream, Chardev *chardev, int in_fd, int out_fd)
{
    struct stat status;

    stream->chardev = chardev;
    stream->in_fd = in_fd;
    stream->out_fd = out_fd;
    stream->ended = false;
    stream->is_socket = out_fd >= 0 && fstat(out_fd, &status) == 0 && S_ISSOCK(status.st_mode);
    if (!stream->pending) {
        stream->pending = g_byte_array_new();
    }
    fd_stream_accept_input(stream);
}

void fd_stream_stop(FdStream *stream, int wait_ms)
{
    gint64 deadline_us = g_get_monotonic_time() + wait_ms * INT64_C(1000);

    if (!stream->pending) {
        return;
    }
    g_clear_handle_id(&stream->in_watch, g_source_remove);
    g_clear_handle_id(&stream->out_watch, g_source_remove);
    while (stream->pending->len && wait_ms && fd_stream_drain(stream) && stream->pending->len) {
        struct pollfd waiter = { .fd = stream->out_fd, .events = POLLOUT };
        gint64 left_us = deadline_us - g_get_monotonic_time();

        if (left_us <= 0 || poll(&waiter, 1, left_us / 1000 + 1) <= 0) {
            break;
        }
    }
    g_byte_array_unref(stream->pending);
    stream->pending = NULL;
    stream->in_fd = stream->out_fd = -1;
}

int fd_stream_reopen(int fd, int flags)
{
    struct stat status;
    char path[40];

    if (fstat(fd, &status) < 0 || !(S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode))) {
        return -1;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}
