/* SPDX-License-Identifier: MIT */
/* Character back end "file": output goes to a file; input, when asked for, comes from another. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "backends/char/fd-stream.h"
#include "base/descriptors.h"
#include "base/error.h"

typedef struct {
    Chardev chardev;
    FdStream stream;
    char *path, *input_path;
    bool append;
} FileChardev;

static bool file_open(Chardev *chardev, GError **error)
{
    FileChardev *f = (FileChardev *)chardev;
    int in_fd = -1, out_fd;

    if (!f->path) {
        return error_fail(error, KASO_ERROR_INVALID, "chardev '%s': give path=FILE", chardev->id);
    }
    out_fd = descriptors_open(f->path, O_WRONLY | O_CREAT | (f->append ? O_APPEND : O_TRUNC), 0666);
    if (out_fd < 0) {
        return error_fail_errno(error, errno, "chardev '%s': cannot write file '%s'", chardev->id,
                                f->path);
    }
    if (f->input_path) {
        in_fd = descriptors_open(f->input_path, O_RDONLY, 0);
        if (in_fd < 0) {
            error_fail_errno(error, errno, "chardev '%s': cannot read input-path '%s'", chardev->id,
                             f->input_path);
            close(out_fd);
            return false;
        }
    }
    chardev->open = true;
    fd_stream_start(&f->stream, chardev, in_fd, out_fd);
    return true;
}

static void file_close(Chardev *chardev)
{
    FileChardev *f = (FileChardev *)chardev;
    int in_fd = f->stream.in_fd, out_fd = f->stream.out_fd;

    fd_stream_stop(&f->stream, 1000);
    close(out_fd);
    if (in_fd >= 0) {
        close(in_fd);
    }
}

static size_t file_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    return fd_stream_write(&((FileChardev *)chardev)->stream, data, size);
}

static void file_accept_input(Chardev *chardev)
{
    fd_stream_accept_input(&((FileChardev *)chardev)->stream);
}

static char *file_describe(Chardev *chardev)
{
    return g_strdup("file");
}

static const Property file_properties[] = {
    { "path", PROPERTY_STRING, offsetof(FileChardev, path), "file that takes the output" },
    { "input-path", PROPERTY_STRING, offsetof(FileChardev, input_path),
      "file that gives the input" },
    { "append", PROPERTY_BOOL, offsetof(FileChardev, append), "keep what the file holds" },
    { NULL },
};

static const ChardevType file_type = {
    .name = "file",
    .summary = "Output to a file",
    .instance_size = sizeof(FileChardev),
    .properties = file_properties,
    .open = file_open,
    .close = file_close,
    .write = file_write,
    .accept_input = file_accept_input,
    .describe = file_describe,
};
CHARDEV_TYPE(file_type);
