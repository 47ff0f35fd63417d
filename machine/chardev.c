/* SPDX-License-Identifier: MIT */
/* The generic half of character devices. */
#include "machine/chardev.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/machine.h"

static void close_passed(Chardev *chardev)
{
    int fd;

    while ((fd = chardev_take_passed(chardev)) >= 0) {
        close(fd);
    }
}

void chardev_free(Chardev *chardev)
{
    close_passed(chardev);
    if (chardev->type->close) {
        chardev->type->close(chardev);
    }
    if (chardev->log_fd) {
        close(chardev->log_fd);
    }
    properties_free(chardev->type->properties, chardev);
    g_free(chardev->id);
    g_free(chardev);
}

bool chardev_attach(Chardev *chardev, const ChardevFrontend *frontend, void *opaque, GError **error)
{
    if (chardev->type->attach) {
        return chardev->type->attach(chardev, frontend, opaque, error);
    }
    if (frontend && chardev->frontend) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "chardev '%s' is already in use; give it mux=on to share it",
                          chardev->id);
    }
    chardev->frontend = frontend;
    chardev->frontend_opaque = opaque;
    if (frontend && chardev->open && frontend->event) {
        frontend->event(opaque, CHARDEV_OPENED);
    }
    if (frontend) {
        chardev_accept_input(chardev);
    }
    return true;
}

void chardev_detach(Chardev *chardev, void *opaque)
{
    if (chardev->type->detach) {
        chardev->type->detach(chardev, opaque);
    } else if (chardev->frontend_opaque == opaque) {
        chardev->frontend = NULL;
        chardev->frontend_opaque = NULL;
    }
}

/* A log that cannot be written must not stop the guest. */
static void write_to_log(Chardev *chardev, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(chardev->log_fd, data, size);

        if (n <= 0) {
            return;
        }
        data += n;
        size -= n;
    }
}

/* In UTC, as other logs of machines have it. */
static void stamp_log(Chardev *chardev)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *text = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ ");

    write_to_log(chardev, text, strlen(text));
}

static void write_log(Chardev *chardev, const char *data, size_t size)
{
    while (chardev->log_stamps && size) {
        const char *end = memchr(data, '\n', size);
        size_t line = end ? (size_t)(end - data) + 1 : size;

        if (!chardev->log_in_line) {
            stamp_log(chardev);
        }
        write_to_log(chardev, data, line);
        chardev->log_in_line = !end;
        data += line;
        size -= line;
    }
    write_to_log(chardev, data, size);
}

size_t chardev_write(Chardev *chardev, const void *data, size_t size)
{
    if (!chardev || !chardev->type->write || size == 0) {
        return size;
    }
    size = chardev->type->write(chardev, data, size);
    if (chardev->log_fd) {
        write_log(chardev, data, size);
    }
    return size;
}

void chardev_guest_opened(Chardev *chardev, bool open)
{
    if (chardev) {
        chardev->guest_closed = !open;
    }
    if (chardev && chardev->type->guest_opened) {
        chardev->type->guest_opened(chardev, open);
    }
}

void chardev_accept_input(Chardev *chardev)
{
    if (chardev && chardev->type->accept_input) {
        chardev->type->accept_input(chardev);
    }
}

/* The back ends' sources run in the main loop without the lock. */
static bool take_lock(Chardev *chardev)
{
    if (!chardev->machine || machine_lock_held(chardev->machine)) {
        return false;
    }
    machine_lock(chardev->machine);
    return true;
}

static void drop_lock(Chardev *chardev, bool taken)
{
    if (taken) {
        machine_unlock(chardev->machine);
    }
}

size_t chardev_can_receive(Chardev *chardev)
{
    bool taken = take_lock(chardev);
    size_t room = 0;

    if (chardev->frontend && chardev->frontend->can_receive) {
        room = chardev->frontend->can_receive(chardev->frontend_opaque);
    }
    drop_lock(chardev, taken);
    return room;
}

void chardev_pass(Chardev *chardev, int fd)
{
    bool taken = take_lock(chardev);

    if (chardev->passed_count < CHARDEV_PASSED_MAX) {
        chardev->passed[chardev->passed_count++] = fd;
    } else {
        close(fd);
    }
    drop_lock(chardev, taken);
}

int chardev_take_passed(Chardev *chardev)
{
    int fd = chardev->passed_count ? chardev->passed[0] : -1;

    if (chardev->passed_count) {
        chardev->passed_count--;
        memmove(chardev->passed, chardev->passed + 1,
                chardev->passed_count * sizeof(chardev->passed[0]));
    }
    return fd;
}

void chardev_receive(Chardev *chardev, const uint8_t *data, size_t size)
{
    bool taken = take_lock(chardev);

    if (chardev->frontend && chardev->frontend->receive && size) {
        chardev->frontend->receive(chardev->frontend_opaque, data, size);
    }
    drop_lock(chardev, taken);
}

void chardev_event(Chardev *chardev, ChardevEvent event)
{
    bool taken = take_lock(chardev);

    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        chardev->open = event == CHARDEV_OPENED;
        close_passed(chardev);
    }
    if (chardev->frontend && chardev->frontend->event) {
        chardev->frontend->event(chardev->frontend_opaque, event);
    }
    drop_lock(chardev, taken);
}

void chardev_resize(Chardev *chardev, unsigned columns, unsigned rows)
{
    if (chardev->columns != columns || chardev->rows != rows) {
        chardev->columns = columns;
        chardev->rows = rows;
        chardev_event(chardev, CHARDEV_RESIZED);
    }
}
