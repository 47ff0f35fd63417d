/* SPDX-License-Identifier: MIT */
#include "machine/semihosting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/console.h"
#include "machine/saved-state.h"

#define ATTACHED "machine/semihosting.h"

enum {
    HANDLES_MAX = 256,
    TYPED_MAX = 1024, /* bytes of a console that the program has not read yet */
};

enum { KIND_FREE, KIND_FILE, KIND_INPUT, KIND_OUTPUT, KIND_FEATURES, KIND_COUNT };

typedef struct {
    uint32_t kind;
    int fd;            /* FILE */
    uint64_t position; /* FEATURES */
} Handle;

struct Semihosting {
    bool enabled, userspace;
    uint64_t free_start, free_end;
    char *command_line;
    Chardev *console;
    GByteArray *typed;
    Handle handles[HANDLES_MAX]; /* the guest's number is one more */
    int error;
};

/* EXIT_EXTENDED, and an error output of its own. */
static const uint8_t features[] = { 'S', 'H', 'F', 'B', 3 };

/* The two of a mode are text and binary. */
static const struct {
    int flags;
    uint32_t console; /* kind */
} modes[] = {
    { O_RDONLY, KIND_INPUT },
    { O_RDWR, KIND_INPUT },
    { O_WRONLY | O_CREAT | O_TRUNC, KIND_OUTPUT },
    { O_RDWR | O_CREAT | O_TRUNC, KIND_OUTPUT },
    { O_WRONLY | O_CREAT | O_APPEND, KIND_OUTPUT },
    { O_RDWR | O_CREAT | O_APPEND, KIND_OUTPUT },
};

/* --- the console --- */

static size_t can_receive(void *opaque)
{
    const Semihosting *host = opaque;

    return TYPED_MAX - MIN(host->typed->len, TYPED_MAX);
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    Semihosting *host = opaque;

    g_byte_array_append(host->typed, data, (guint)size);
}

static const ChardevFrontend frontend = { .can_receive = can_receive, .receive = receive };

void semihosting_put(Semihosting *host, const void *data, size_t size)
{
    if (host->console) {
        console_write(host->console, data, size);
    } else {
        fwrite(data, 1, size, stderr);
    }
}

static int64_t take_typed(Semihosting *host, void *data, size_t size)
{
    size_t count = MIN(size, host->typed->len);

    if (!host->console || !size) {
        return 0;
    }
    if (!count) {
        return SEMIHOSTING_WAIT;
    }
    memcpy(data, host->typed->data, count);
    g_byte_array_remove_range(host->typed, 0, (guint)count);
    chardev_accept_input(host->console);
    return (int64_t)count;
}

int64_t semihosting_get(Semihosting *host)
{
    uint8_t byte;
    int64_t count = take_typed(host, &byte, 1);

    return count == 1 ? byte : count ? count : -1;
}

/* --- files --- */

static int64_t fail(Semihosting *host, int error)
{
    host->error = error;
    return -1;
}

static int64_t answer(Semihosting *host, int64_t result)
{
    return result < 0 ? fail(host, errno) : result;
}

/* A pipe or a terminal may have nothing yet, or no room, and the machine does not stand meanwhile. */
static int64_t answer_or_wait(Semihosting *host, ssize_t count)
{
    return count < 0 && errno == EAGAIN ? SEMIHOSTING_WAIT : answer(host, count);
}

static Handle *handle_at(Semihosting *host, uint64_t number)
{
    Handle *handle = number && number <= HANDLES_MAX ? &host->handles[number - 1] : NULL;

    if (!handle || handle->kind == KIND_FREE) {
        fail(host, EBADF);
        return NULL;
    }
    return handle;
}

/* The guest's number of a free one; 0: it has as many as it may. */
static unsigned free_handle(const Semihosting *host)
{
    for (unsigned i = 0; i < HANDLES_MAX; i++) {
        if (host->handles[i].kind == KIND_FREE) {
            return i + 1;
        }
    }
    return 0;
}

int64_t semihosting_open(Semihosting *host, const char *name, uint64_t mode)
{
    Handle handle = { KIND_FILE, -1, 0 };
    unsigned number = free_handle(host);

    if (mode / 2 >= G_N_ELEMENTS(modes)) {
        return fail(host, EINVAL);
    }
    if (!number) {
        return fail(host, EMFILE);
    }
    if (!strcmp(name, ":tt")) {
        handle.kind = modes[mode / 2].console;
    } else if (!strcmp(name, ":semihosting-features")) {
        handle.kind = KIND_FEATURES;
    }
    if (handle.kind == KIND_FEATURES && modes[mode / 2].flags != O_RDONLY) {
        return fail(host, EACCES);
    }
    if (handle.kind == KIND_FILE) {
        handle.fd = open(name, modes[mode / 2].flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
        if (handle.fd < 0) {
            return fail(host, errno);
        }
    }
    host->handles[number - 1] = handle;
    return number;
}

int64_t semihosting_close(Semihosting *host, uint64_t number)
{
    Handle *handle = handle_at(host, number);
    int fd;

    if (!handle) {
        return -1;
    }
    fd = handle->fd;
    *handle = (Handle){ KIND_FREE, -1, 0 };
    return fd < 0 ? 0 : answer(host, close(fd));
}

int64_t semihosting_write(Semihosting *host, uint64_t number, const void *data, size_t size)
{
    Handle *handle = handle_at(host, number);

    if (!handle) {
        return -1;
    }
    switch (handle->kind) {
    case KIND_FILE:
        return answer_or_wait(host, write(handle->fd, data, size));
    case KIND_OUTPUT:
        semihosting_put(host, data, size);
        return (int64_t)size;
    default:
        return fail(host, EBADF);
    }
}

static int64_t read_features(Handle *handle, void *data, size_t size)
{
    size_t count = MIN(size, sizeof features - MIN(handle->position, sizeof features));

    memcpy(data, features + handle->position, count);
    handle->position += count;
    return (int64_t)count;
}

int64_t semihosting_read(Semihosting *host, uint64_t number, void *data, size_t size)
{
    Handle *handle = handle_at(host, number);

    if (!handle) {
        return -1;
    }
    switch (handle->kind) {
    case KIND_FILE:
        return answer_or_wait(host, read(handle->fd, data, size));
    case KIND_INPUT:
        return take_typed(host, data, size);
    case KIND_FEATURES:
        return read_features(handle, data, size);
    default:
        return fail(host, EBADF);
    }
}

int64_t semihosting_seek(Semihosting *host, uint64_t number, uint64_t position)
{
    Handle *handle = handle_at(host, number);

    if (!handle) {
        return -1;
    }
    switch (handle->kind) {
    case KIND_FILE:
        return lseek(handle->fd, (off_t)position, SEEK_SET) < 0 ? fail(host, errno) : 0;
    case KIND_FEATURES:
        handle->position = MIN(position, sizeof features);
        return 0;
    default:
        return fail(host, ESPIPE);
    }
}

int64_t semihosting_length(Semihosting *host, uint64_t number)
{
    Handle *handle = handle_at(host, number);
    struct stat status;

    if (!handle) {
        return -1;
    }
    switch (handle->kind) {
    case KIND_FILE:
        return fstat(handle->fd, &status) < 0 ? fail(host, errno) : status.st_size;
    case KIND_FEATURES:
        return sizeof features;
    default:
        return fail(host, EINVAL);
    }
}

int64_t semihosting_is_terminal(Semihosting *host, uint64_t number)
{
    Handle *handle = handle_at(host, number);

    if (!handle) {
        return -1;
    }
    return handle->kind == KIND_FILE ? isatty(handle->fd)
                                     : handle->kind == KIND_INPUT || handle->kind == KIND_OUTPUT;
}

int64_t semihosting_remove(Semihosting *host, const char *name)
{
    return answer(host, remove(name));
}

int64_t semihosting_rename(Semihosting *host, const char *from, const char *to)
{
    return answer(host, rename(from, to));
}

int64_t semihosting_system(Semihosting *host, const char *command)
{
    const char *arguments[] = { "/bin/sh", "-c", command, NULL };
    int status;

    if (!g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL,
                      NULL, NULL, &status, NULL)) {
        return fail(host, EAGAIN);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int semihosting_errno(const Semihosting *host)
{
    return host->error;
}

/* --- the machine's --- */

/* A file is this process's, and its number the program's. */
static bool may_save(void *opaque, GError **error)
{
    const Semihosting *host = opaque;

    for (unsigned i = 0; i < HANDLES_MAX; i++) {
        if (host->handles[i].kind == KIND_FILE) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "the guest has opened a file of the host by semihosting (handle %u), "
                              "which cannot go with its state; close it there first",
                              i + 1);
        }
    }
    return true;
}

static void close_file(Handle *handle)
{
    if (handle->fd >= 0) {
        close(handle->fd);
    }
    handle->fd = -1;
}

/* No file is in a state that was saved. */
static void loaded(void *opaque)
{
    Semihosting *host = opaque;

    for (unsigned i = 0; i < HANDLES_MAX; i++) {
        close_file(&host->handles[i]);
        if (host->handles[i].kind == KIND_FILE) {
            host->handles[i].kind = KIND_FREE;
        }
    }
}

static const StateField handle_fields[] = { STATE_MOST(Handle, kind, KIND_COUNT - 1),
                                            STATE_MOST(Handle, position, sizeof features),
                                            STATE_DERIVED(Handle, fd),
                                            { 0 } };

static const StateField fields[] = { STATE_STRUCTS(Semihosting, handles, handle_fields),
                                     STATE(Semihosting, error),
                                     { 0 } };

static const SavedPart part = { "semihosting", fields, loaded };

static void free_semihosting(void *opaque)
{
    Semihosting *host = opaque;

    for (unsigned i = 0; i < HANDLES_MAX; i++) {
        close_file(&host->handles[i]);
    }
    g_byte_array_unref(host->typed);
    g_free(host->command_line);
    g_free(host);
}

static Semihosting *new_semihosting(Machine *machine)
{
    Semihosting *host = g_new0(Semihosting, 1);

    host->typed = g_byte_array_new();
    for (unsigned i = 0; i < HANDLES_MAX; i++) {
        host->handles[i].fd = -1;
    }
    machine_attach(machine, ATTACHED, host, free_semihosting);
    return host;
}

/* What there is, enabled or not. */
static Semihosting *any_of(Machine *machine)
{
    Semihosting *host = machine_attached(machine, ATTACHED);

    return host ? host : new_semihosting(machine);
}

bool semihosting_enable(Machine *machine, bool userspace, const char *command_line,
                        Chardev *console, GError **error)
{
    Semihosting *host = any_of(machine);

    if (console && console != host->console) {
        if (!chardev_attach(console, &frontend, host, error)) {
            return false;
        }
        if (host->console) {
            chardev_detach(host->console, host);
        }
        host->console = console;
    }
    if (!host->enabled) {
        machine_ask_before_save(machine, may_save, host);
        machine_save_part(machine, &part, host);
    }
    host->enabled = true;
    host->userspace = userspace;
    g_free(host->command_line);
    host->command_line = g_strdup(command_line);
    return true;
}

Semihosting *semihosting_of(Machine *machine)
{
    Semihosting *host = machine_attached(machine, ATTACHED);

    return host && host->enabled ? host : NULL;
}

void semihosting_set_free_memory(Machine *machine, uint64_t start, uint64_t end)
{
    Semihosting *host = any_of(machine);

    host->free_start = start;
    host->free_end = end;
}

void semihosting_free_memory(const Semihosting *host, uint64_t *start, uint64_t *end)
{
    *start = host->free_start;
    *end = host->free_end;
}

bool semihosting_userspace(const Semihosting *host)
{
    return host->userspace;
}

const char *semihosting_command_line(const Semihosting *host)
{
    return host->command_line;
}
