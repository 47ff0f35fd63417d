/* SPDX-License-Identifier: MIT */
/* Files as a whole; see the header. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

typedef struct {
    uint8_t *base;
    size_t size;
} Mapping;

/* Of files only, so that what is dropped can be read again. */
static GMutex mappings_lock;
static GArray *mappings; /* Mapping */

static void unmap(void *opaque)
{
    Mapping *mapping = opaque;

    g_mutex_lock(&mappings_lock);
    for (guint i = 0; i < mappings->len; i++) {
        if (g_array_index(mappings, Mapping, i).base == mapping->base) {
            g_array_remove_index_fast(mappings, i);
            break;
        }
    }
    g_mutex_unlock(&mappings_lock);
    munmap(mapping->base, mapping->size);
    g_free(mapping);
}

/* Private, so that nothing that is written here comes to the file. */
static GBytes *map(int fd, const char *path, size_t size, GError **error)
{
    Mapping mapping = { .size = size };
    void *base = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;

    if (base == MAP_FAILED) {
        error_fail_errno(error, errno, "Failed to map file '%s'", path);
        return NULL;
    }
    if (!base) {
        return g_bytes_new_static(NULL, 0);
    }
    mapping.base = base;
    g_mutex_lock(&mappings_lock);
    if (!mappings) {
        mappings = g_array_new(false, false, sizeof(Mapping));
    }
    g_array_append_val(mappings, mapping);
    g_mutex_unlock(&mappings_lock);
    return g_bytes_new_with_free_func(base, size, unmap, g_memdup2(&mapping, sizeof mapping));
}

void file_map_rest(GBytes *bytes)
{
    gsize size;
    uintptr_t page = (uintptr_t)getpagesize(),
              start = (uintptr_t)g_bytes_get_data(bytes, &size) & -page;
    uintptr_t end = (uintptr_t)g_bytes_get_data(bytes, NULL) + size;

    g_mutex_lock(&mappings_lock);
    for (guint i = 0; mappings && i < mappings->len; i++) {
        const Mapping *mapping = &g_array_index(mappings, Mapping, i);
        uintptr_t base = (uintptr_t)mapping->base;

        if (size && start >= base && end <= base + mapping->size) {
            madvise((void *)start, end - start, MADV_DONTNEED);
        }
    }
    g_mutex_unlock(&mappings_lock);
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
    if (!S_ISREG(st.st_mode)) {
        most = MIN(most, FILE_STREAM_MOST);
        return read_content(fd, path, most, &c, error) ? g_bytes_new_take(c.data, c.size) : NULL;
    }
    bytes = map(fd, path, (size_t)st.st_size, error);
    close(fd);
    return bytes;
}
