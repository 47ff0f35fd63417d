/* SPDX-License-Identifier: MIT */
#include "block/protocols/file-create.h"

#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "block/async/async.h"
#include "block/protocols/file-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

static int file_set_length(int fd, uint64_t size)
{
    int result;

    do {
        result = ftruncate(fd, (off_t)size);
    } while (result < 0 && errno == EINTR);
    return result;
}

typedef struct {
    int fd;
    uint64_t at, bytes;
    const char *zeroes;
} Piece;

static int allocate_piece(void *opaque)
{
    const Piece *piece = opaque;
    int result;

    do {
        result = posix_fallocate(piece->fd, (off_t)piece->at, (off_t)piece->bytes);
    } while (result == EINTR);
    return -result;
}

static int write_piece(void *opaque)
{
    Piece *piece = opaque;
    ssize_t n;

    do {
        n = pwrite(piece->fd, piece->zeroes, MIN(piece->bytes, PIECE), (off_t)piece->at);
    } while (n < 0 && errno == EINTR);
    piece->at += n > 0 ? (uint64_t)n : 0;
    piece->bytes -= n > 0 ? (uint64_t)n : 0;
    return n < 0 ? -errno : n > 0 ? 0 : -ENOSPC;
}

static int sync_file(void *opaque)
{
    return fsync(((Piece *)opaque)->fd) < 0 ? -errno : 0;
}

/* What takes long is not done by the thread that all else waits for, and ends with the process, or with the job that wants it. */
static bool allocate(int fd, uint64_t from, uint64_t end, const char *path, GError **error)
{
    Piece piece = { .fd = fd, .at = from, .bytes = end - from };
    int result = worker_call(allocate_piece, &piece);

    return result == 0 ||
           error_fail_errno(error, -result, "Could not preallocate data for the file '%s'", path);
}

static bool write_zeroes(int fd, uint64_t from, uint64_t end, const char *path, GError **error)
{
    g_autofree char *zeroes = g_malloc0(PIECE);
    Piece piece = { fd, from, end - from, zeroes };
    int result = 0;

    while (piece.bytes && result == 0) {
        result = coroutine_own_hurry(coroutine_self()) < HURRY_LEAVE
                     ? worker_call(write_piece, &piece)
                     : -ECANCELED;
    }
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not write zeroes to '%s'", path);
    }
    result = worker_call(sync_file, &piece);
    return result == 0 || error_fail_errno(error, -result, "Could not flush '%s'", path);
}

static bool set_length(int fd, uint64_t size, const char *path, GError **error)
{
    return file_set_length(fd, size) == 0 ||
           error_fail_errno(error, errno, "Could not resize '%s' to %" G_GUINT64_FORMAT " bytes",
                            path, size);
}

static bool refuse_metadata(GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID, "Unsupported preallocation mode 'metadata'");
}

bool file_grow(int fd, uint64_t old_size, uint64_t size, Prealloc prealloc, const char *path,
               GError **error)
{
    bool grows = size > old_size, done;

    if (prealloc == PREALLOC_METADATA) {
        return refuse_metadata(error);
    }
    if (prealloc == PREALLOC_FALLOC && grows) {
        done = allocate(fd, old_size, size, path, error);
    } else {
        done = set_length(fd, size, path, error) && (prealloc == PREALLOC_OFF || !grows ||
                                                     write_zeroes(fd, old_size, size, path, error));
    }
    if (!done && grows) {
        file_set_length(fd, old_size); /* a full disk gets its space back */
    }
    return done;
}

/* Only some file systems know such a hint. */
static void set_extent_size(int fd, uint32_t bytes)
{
    struct fsxattr attributes = { 0 };

    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
        attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
        attributes.fsx_extsize = bytes;
        ioctl(fd, FS_IOC_FSSETXATTR, &attributes);
    }
}

bool file_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    uint64_t size = 0;
    int prealloc = PREALLOC_OFF, fd;
    FileLock lock = { 0 };
    uint64_t extent_size = 0;
    bool nocow = false, done;

    if (g_str_has_prefix(filename, "file:")) {
        filename += strlen("file:");
    }
    if (!options_take_size(options, "size", &size, error) ||
        !options_take_size(options, "extent_size_hint", &extent_size, error) ||
        !options_take_bool(options, "nocow", &nocow, error) ||
        !options_take_enum(options, "preallocation", prealloc_names, &prealloc, error)) {
        return false;
    }
    if (prealloc == PREALLOC_METADATA) {
        return refuse_metadata(error);
    }
    if (extent_size > UINT32_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "Extent size hint is too large");
    }
    size = align_up(size, 512);
    fd = descriptors_open(filename, O_RDWR | O_CREAT, 0644);
    if (fd < 0) {
        return error_fail_errno(error, errno, "Could not create '%s'", filename);
    }
    /* An image in use must not be emptied under its user. */
    done = (!file_lock_supported(fd) ||
            file_lock_update(fd, &lock, BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE,
                             BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE, filename, error));
    if (done && file_set_length(fd, 0) < 0) {
        done = error_fail_errno(error, errno, "Could not clear '%s'", filename);
    }
    if (done && extent_size) {
        set_extent_size(fd, (uint32_t)extent_size);
    }
    if (done && nocow) {
        int attributes = 0;

        if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0) {
            attributes |= FS_NOCOW_FL;
            ioctl(fd, FS_IOC_SETFLAGS, &attributes);
        }
    }
    done = done && file_grow(fd, 0, size, prealloc, filename, error);
    close(fd);
    return done;
}

const BlockOption file_create_options[] = {
    { "size", "Virtual disk size" },
    { "preallocation", "Preallocation mode (allowed values: off, falloc, full)" },
    { "extent_size_hint", "How much of the file the host should allocate at once; 0: as it does" },
    { "nocow", "Turn off copy-on-write (valid only on btrfs)" },
    { 0 },
};
