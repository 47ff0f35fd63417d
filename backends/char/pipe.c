/* SPDX-License-Identifier: MIT */
/* Character back end "pipe": named pipes PATH.in and PATH.out, or the single PATH for both ways. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "backends/char/fd-stream.h"
#include "base/descriptors.h"
#include "base/error.h"

typedef struct {
    Chardev chardev;
    FdStream stream;
    char *path;
} PipeChardev;

/* Read and write: opening does not wait for a peer, and the pipe never ends. */
static int pipe_open_one(const char *path)
{
    return descriptors_open(path, O_RDWR | O_NONBLOCK, 0);
}

static bool pipe_open(Chardev *chardev, GError **error)
{
    PipeChardev *p = (PipeChardev *)chardev;
    char *in_path, *out_path;
    int in_fd, out_fd;

    if (!p->path) {
        return error_fail(error, KASO_ERROR_INVALID, "chardev '%s': give path=PIPE", chardev->id);
    }
    in_path = g_strconcat(p->path, ".in", NULL);
    out_path = g_strconcat(p->path, ".out", NULL);
    in_fd = pipe_open_one(in_path);
    out_fd = pipe_open_one(out_path);
    g_free(in_path);
    g_free(out_path);
    if (in_fd < 0 || out_fd < 0) {
        if (in_fd >= 0) {
            close(in_fd);
        }
        if (out_fd >= 0) {
            close(out_fd);
        }
        in_fd = out_fd = pipe_open_one(p->path);
        if (in_fd < 0) {
            return error_fail_errno(error, errno,
                                    "chardev '%s': cannot open pipe '%s' (make it with "
                                    "'mkfifo %s.in %s.out')",
                                    chardev->id, p->path, p->path, p->path);
        }
    }
    chardev->open = true;
    fd_stream_start(&p->stream, chardev, in_fd, out_fd);
    return true;
}

static void pipe_close(Chardev *chardev)
{
    PipeChardev *p = (PipeChardev *)chardev;
    int in_fd = p->stream.in_fd, out_fd = p->stream.out_fd;

    fd_stream_stop(&p->stream, 100);
    close(in_fd);
    if (out_fd != in_fd) {
        close(out_fd);
    }
}

static size_t pipe_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    return fd_stream_write(&((PipeChardev *)chardev)->stream, data, size);
}

static void pipe_accept_input(Chardev *chardev)
{
    fd_stream_accept_input(&((PipeChardev *)chardev)->stream);
}

static char *pipe_describe(Chardev *chardev)
{
    return g_strdup("pipe");
}

static const Property pipe_properties[] = {
    { "path", PROPERTY_STRING, offsetof(PipeChardev, path),
      "pipe, or the stem of PATH.in and PATH.out" },
    { NULL },
};

static const ChardevType pipe_type = {
    .name = "pipe",
    .summary = "Named pipes",
    .instance_size = sizeof(PipeChardev),
    .properties = pipe_properties,
    .open = pipe_open,
    .close = pipe_close,
    .write = pipe_write,
    .accept_input = pipe_accept_input,
    .describe = pipe_describe,
};
CHARDEV_TYPE(pipe_type);
