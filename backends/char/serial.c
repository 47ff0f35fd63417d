/* SPDX-License-Identifier: MIT */
/* Character back end "serial": a serial port or terminal of the host, or another character device (/dev/null). */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "backends/char/fd-stream.h"
#include "base/descriptors.h"
#include "base/error.h"

typedef struct {
    Chardev chardev;
    FdStream stream;
    char *path;
    int fd;
} SerialChardev;

static bool serial_open(Chardev *chardev, GError **error)
{
    SerialChardev *s = (SerialChardev *)chardev;
    struct stat status;
    struct termios mode;

    if (!s->path) {
        return error_fail(error, KASO_ERROR_INVALID, "chardev '%s': give path=/dev/tty…",
                          chardev->id);
    }
    s->fd = descriptors_open(s->path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
    if (s->fd < 0) {
        return error_fail_errno(error, errno, "chardev '%s': cannot open serial port '%s'",
                                chardev->id, s->path);
    }
    if (tcgetattr(s->fd, &mode) == 0) {
        cfmakeraw(&mode);
        mode.c_cflag |= CLOCAL | CREAD;
        tcsetattr(s->fd, TCSANOW, &mode);
    } else if (fstat(s->fd, &status) < 0 || !S_ISCHR(status.st_mode)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "chardev '%s': '%s' is no serial port; for a file use file:%s", chardev->id,
                   s->path, s->path);
        close(s->fd);
        return false;
    }
    chardev->open = true;
    fd_stream_start(&s->stream, chardev, s->fd, s->fd);
    return true;
}

static void serial_close(Chardev *chardev)
{
    SerialChardev *s = (SerialChardev *)chardev;

    fd_stream_stop(&s->stream, 1000);
    close(s->fd);
}

static size_t serial_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    return fd_stream_write(&((SerialChardev *)chardev)->stream, data, size);
}

static void serial_accept_input(Chardev *chardev)
{
    fd_stream_accept_input(&((SerialChardev *)chardev)->stream);
}

static void serial_set_break(Chardev *chardev, bool on)
{
    ioctl(((SerialChardev *)chardev)->fd, on ? TIOCSBRK : TIOCCBRK);
}

static char *serial_describe(Chardev *chardev)
{
    return g_strdup_printf("serial:%s", ((SerialChardev *)chardev)->path);
}

static const Property serial_properties[] = {
    { "path", PROPERTY_STRING, offsetof(SerialChardev, path), "device of the host" },
    { NULL },
};

static const ChardevType serial_type = {
    .name = "serial",
    .summary = "Serial port of the host",
    .instance_size = sizeof(SerialChardev),
    .properties = serial_properties,
    .open = serial_open,
    .close = serial_close,
    .write = serial_write,
    .accept_input = serial_accept_input,
    .set_break = serial_set_break,
    .describe = serial_describe,
};
CHARDEV_TYPE(serial_type);
