/* SPDX-License-Identifier: MIT */
/* Files as a whole; see the header. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"

static bool fail_size(const char *path, uint64_t most, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is too large: what is wanted here has at most %" G_GUINT64_FORMAT
                      " bytes",
                      path, most);
}

/* Opens it, unless what is known of its size says already that it cannot be. The caller closes; -1 with an error. */
static int open_file(const char *path, uint64_t most, struct stat *st, GError **error)
{
    int fd = descriptors_open(path, O_RDONLY, 0);

    if (fd < 0 || fstat(fd, st) < 0) {
        error_fail_errno(error, errno, "Failed to open file '%s'", path);
    } else if (S_ISDIR(st->st_mode)) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is a directory, not a file", path);
    } else if (S_ISREG(st->st_mode) && (uint64_t)st->st_size > most) {
        fail_size(path, most, error);
    } else {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return -1;
}

typedef struct {
    char *data;
    size_t size, room;
} Content;

/* Place for one byte more and the NUL. Of a file without end there may be as much to read as there is memory. */
static bool make_room(Content *c, const char *path, uint64_t most, GError **error)
{
    enum { FIRST = 64 << 10 };
    size_t room = MIN(MAX(c->room * 2, FIRST), most + 2);
    char *data;

    if (c->room - c->size >= 2) {
        return true;
    }
    data = g_try_realloc(c->data, room);
    if (!data) {
        return error_fail(error, KASO_ERROR_IO, "there is no memory for '%s'", path);
    }
    c->data = data;
    c->room = room;
    return true;
}

/* Up to its end, or one byte more than there may be. */
static bool read_on(int fd, const char *path, uint64_t most, Content *c, GError **error)
{
    ssize_t got;

    do {
        if (!make_room(c, path, most, error)) {
            return false;
        }
        got = read(fd, c->data + c->size, c->room - c->size - 1);
        c->size += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && c->size <= most) || (got < 0 && errno == EINTR));
    if (got < 0) {
        return error_fail_errno(error, errno, "Failed to read file '%s'", path);
    }
    c->data[c->size] = '\0';
    return c->size <= most || fail_size(path, most, error);
}

/* Closes fd. */
static bool read_content(int fd, const char *path, uint64_t most, Content *c, GError **error)
{
    bool ok = read_on(fd, path, most, c, error);

    close(fd);
    if (!ok) {
        g_free(c->data);
    }
    return ok;
}

bool file_read(const char *path, uint64_t most, char **content, size_t *size, GError **error)
{
    struct stat st;
    int fd = open_file(path, most, &st, error);
    Content c = { 0 };

    if (fd < 0 || !read_content(fd, path, most, &c, error)) {
        return false;
    }
    *content = c.data;
    if (size) {
        *size = c.size;
    }
    return true;
}

/* --- mapped files --- */

/*
 * A file that is cut off while it is in use would end the process at the next look behind its new end. That memory then reads as
 * zeros, by the handler of SIGBUS, and a line on standard error says so.
 */
typedef struct {
    uint8_t *base; /* NULL: unused */
    size_t size;
    char *path;
    bool told;
} Mapping;

enum { MAPPINGS_MOST = 64 }; /* whose ends are watched; a machine has a handful */

static Mapping mappings[MAPPINGS_MOST];
static GMutex mappings_lock;
static struct sigaction bus_error_before;

static Mapping *mapping_of(const uint8_t *address)
{
    for (unsigned i = 0; i < MAPPINGS_MOST; i++) {
        uint8_t *base = __atomic_load_n(&mappings[i].base, __ATOMIC_ACQUIRE);

        if (base && address >= base && (size_t)(address - base) < mappings[i].size) {
            return &mappings[i];
        }
    }
    return NULL;
}

/* With what signal handlers may call. */
static void tell_cut_off(const Mapping *mapping)
{
    static const char before[] = "kaso: '",
                      behind[] = "' was cut off while in use: what is gone reads as zeros\n";
    struct iovec words[] = {
        { (void *)before, sizeof before - 1 },
        { mapping->path, strlen(mapping->path) },
        { (void *)behind, sizeof behind - 1 },
    };

    if (writev(STDERR_FILENO, words, G_N_ELEMENTS(words)) < 0) {
        return; /* nobody reads it */
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    uint8_t *address = info->si_addr;
    Mapping *mapping = info->si_code == BUS_ADRERR ? mapping_of(address) : NULL;
    uint8_t *page = address - ((uintptr_t)address & ((uintptr_t)getpagesize() - 1));

    if (!mapping || mmap(page, (size_t)getpagesize(), PROT_READ,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page) {
        sigaction(SIGBUS, &bus_error_before, NULL); /* and the access is tried again */
        return;
    }
    if (!mapping->told) {
        mapping->told = true;
        tell_cut_off(mapping);
    }
}

static void unmap(void *opaque)
{
    Mapping *mapping = opaque;

    g_mutex_lock(&mappings_lock);
    munmap(mapping->base, mapping->size);
    __atomic_store_n(&mapping->base, NULL, __ATOMIC_RELEASE);
    g_free(mapping->path);
    g_mutex_unlock(&mappings_lock);
}

/* The first that is unused, or NULL. With the lock. */
static Mapping *new_mapping(void)
{
    struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO }, now;

    if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction != on_bus_error) {
        bus_error_before = now;
        sigaction(SIGBUS, &action, NULL);
    }
    for (unsigned i = 0; i < MAPPINGS_MOST; i++) {
        if (!mappings[i].base) {
            return &mappings[i];
        }
    }
    return NULL;
}

/* Private, so that nothing that is written here comes to the file. NULL: it has to be read. mappings_lock is held. */
static Mapping *add_mapping(int fd, const char *path, size_t size)
{
    Mapping *mapping = size ? new_mapping() : NULL;
    void *base = mapping ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

    if (base == MAP_FAILED) {
        return NULL;
    }
    mapping->size = size;
    mapping->path = g_strdup(path);
    mapping->told = false;
    __atomic_store_n(&mapping->base, base, __ATOMIC_RELEASE);
    return mapping;
}

/* NULL: it has to be read. */
static GBytes *map(int fd, const char *path, size_t size)
{
    Mapping *mapping;

    g_mutex_lock(&mappings_lock);
    mapping = add_mapping(fd, path, size);
    g_mutex_unlock(&mappings_lock);
    return mapping ? g_bytes_new_with_free_func(mapping->base, size, unmap, mapping) : NULL;
}

GBytes *file_map(const char *path, uint64_t most, GError **error)
{
    struct stat st;
    int fd = open_file(path, most, &st, error);
    Content c = { 0 };
    GBytes *bytes;

    if (fd < 0) {
        return NULL;
    }
    bytes = S_ISREG(st.st_mode) ? map(fd, path, (size_t)st.st_size) : NULL;
    if (bytes) {
        close(fd);
        return bytes;
    }
    most = S_ISREG(st.st_mode) ? most : MIN(most, FILE_STREAM_MOST);
    return read_content(fd, path, most, &c, error) ? g_bytes_new_take(c.data, c.size) : NULL;
}
