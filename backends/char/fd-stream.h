/* SPDX-License-Identifier: MIT */
/*
 * A character back end on file descriptors: watches the input while the front end has room, writes
 * without blocking, and keeps what the descriptor would not take (bounded).
 *
 * All under the machine lock; the watches run in the main loop and take it.
 */
#ifndef BACKENDS_CHAR_FD_STREAM_H
#define BACKENDS_CHAR_FD_STREAM_H

#include "machine/chardev.h"
#include "machine/machine.h"

typedef struct FdStream FdStream;

struct FdStream {
    Chardev *chardev;
    int in_fd, out_fd; /* -1: none */
    bool is_socket;    /* write by send(), which needs no O_NONBLOCK */
    bool ended;        /* no more input will come */
    guint in_watch, out_watch;
    GByteArray *pending; /* taken from the front end, not yet written */
    /* Strips protocol bytes in place and returns what is left (telnet); NULL: none. */
    size_t (*filter)(FdStream *stream, uint8_t *data, size_t size);
    /* The peer is gone or the input has ended; the stream no longer watches its input. */
    void (*hangup)(FdStream *stream);
};

enum { FD_STREAM_PENDING_MAX = 1 << 20 };

/* in_fd and out_fd may be the same; the caller goes on owning them. */
void fd_stream_start(FdStream *stream, Chardev *chardev, int in_fd, int out_fd);
/* Ends all watches; waits up to wait_ms for the peer to take what is pending, then drops it. */
void fd_stream_stop(FdStream *stream, int wait_ms);
size_t fd_stream_write(FdStream *stream, const uint8_t *data, size_t size);
void fd_stream_accept_input(FdStream *stream);

/*
 * A descriptor of our own for the same terminal or pipe, so that O_NONBLOCK does not reach other
 * processes that share the original; -1 when that is not possible. flags: O_RDONLY or O_WRONLY.
 */
int fd_stream_reopen(int fd, int flags);

#endif
