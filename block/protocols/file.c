/* SPDX-License-Identifier: MIT */
/*
 * Files and block devices of the host. Buffered reads that the page cache can serve are done at
 * once; everything else goes through io_uring or worker threads. In tools, buffered writes are
 * done at once, too. Long transfers release the context's lock where it has helpers.
 */
#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "block/protocols/file-create.h"
#include "block/protocols/file-lock.h"
#include "block/graph/node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Reads up to INLINE_READ_MAX are tried on the submitting thread although others wait for it, larger
 * ones when there are few of them; transfers above HELD_MAX are worth giving up the context's lock.
 */
enum {
    INLINE_READ_MAX = 64 * 1024,
    HELD_MAX = 16 * 1024,
    SEGMENTS = 128,
    BOUNCE_MAX = 1024 * 1024
};

typedef struct {
    int fd;
    char *path;
    bool is_device, direct, blocking, use_ring;
    bool no_nowait, no_zero_range, no_punch; /* the file system has refused once */
    bool sync_failed; /* the kernel dropped dirty pages: durability is lost for good */
    bool locking;
    FileLock lock;
    size_t memory_alignment;
    uint64_t discards, discards_failed, discarded_bytes;
} FileNode;

static size_t iov_length(const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

typedef enum { FILE_READ, FILE_WRITE, FILE_SYNC, FILE_FALLOCATE } FileOperation;

typedef struct {
    FileNode *file;
    FileOperation operation;
    uint64_t offset, bytes;
    const struct iovec *iov;
    unsigned count;
    int flags; /* RWF_* or FALLOC_FL_* */
} FileCall;

/* One system call; may block. */
static int file_call(void *opaque)
{
    FileCall *call = opaque;
    int fd = call->file->fd;
    ssize_t result;

    do {
        switch (call->operation) {
        case FILE_READ:
            result = preadv(fd, call->iov, (int)call->count, (off_t)call->offset);
            break;
        case FILE_WRITE:
            result = pwritev2(fd, call->iov, (int)call->count, (off_t)call->offset, call->flags);
            break;
        case FILE_SYNC:
            result = fdatasync(fd);
            break;
        default:
            result = fallocate(fd, call->flags, (off_t)call->offset, (off_t)call->bytes);
            break;
        }
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : (int)result;
}

/* What the page cache has, without waiting; -EAGAIN when it must be waited for. */
static int file_try_read(FileNode *file, const FileCall *call)
{
    size_t size = iov_length(call->iov, call->count);
    bool released;
    int result;

    if (file->direct || file->no_nowait) {
        return -EAGAIN;
    }
    released = size > HELD_MAX && coroutine_release();
    if (size > INLINE_READ_MAX && !released && !file->blocking && !coroutine_spend(size)) {
        return -EAGAIN;
    }
    result = (int)preadv2(file->fd, call->iov, (int)call->count, (off_t)call->offset, RWF_NOWAIT);
    if (result < 0) {
        file->no_nowait = errno == EOPNOTSUPP;
        result = -EAGAIN;
    }
    if (released) {
        coroutine_reacquire();
    }
    return result;
}

static int file_write_now(FileCall *call)
{
    bool released = iov_length(call->iov, call->count) > HELD_MAX && coroutine_release();
    int result = file_call(call);

    if (released) {
        coroutine_reacquire();
    }
    return result;
}

static int file_transfer(FileNode *file, FileCall *call)
{
    int result = call->operation == FILE_READ ? file_try_read(file, call) : -EAGAIN;

    if (result != -EAGAIN) {
        return result;
    }
    if (call->operation == FILE_WRITE && file->blocking && !file->direct) {
        return file_write_now(call);
    }
    if (file->use_ring) {
        result = call->operation == FILE_READ
                     ? io_ring_readv(file->fd, call->iov, call->count, call->offset)
                     : io_ring_writev(file->fd, call->iov, call->count, call->offset, call->flags);
        if (result != -ENOSYS && result != -EAGAIN && result != -EINTR) {
            return result;
        }
    }
    return worker_call(file_call, call);
}

/* Transfers the whole of iov; it is changed. A read past the end of the file gives zeroes. */
static int file_transfer_all(FileNode *file, FileOperation operation, uint64_t offset,
                             struct iovec *iov, unsigned count, int flags)
{
    while (count) {
        FileCall call = { .file = file,
                          .operation = operation,
                          .offset = offset,
                          .iov = iov,
                          .count = count,
                          .flags = flags };
        int result = file_transfer(file, &call);

        if (result == -EINTR) {
            continue;
        }
        if (result < 0) {
            return result;
        }
        if (result == 0) {
            if (operation == FILE_WRITE) {
                return -ENOSPC;
            }
            io_vector_zero((IoVector){ iov, count, 0 }, iov_length(iov, count));
            return 0;
        }
        offset += (unsigned)result;
        while (count && (size_t)result >= iov->iov_len) {
            result -= (int)iov->iov_len;
            iov++;
            count--;
        }
        if (count) {
            iov->iov_base = (char *)iov->iov_base + result;
            iov->iov_len -= (size_t)result;
        }
    }
    return 0;
}

static bool file_memory_is_aligned(FileNode *file, IoVector vector, uint64_t bytes)
{
    size_t mask = file->memory_alignment - 1;

    while (bytes) {
        struct iovec piece[1];
        uint64_t n;

        vector = io_vector_skip(vector, 0);
        n = MIN(bytes, vector.iov->iov_len - vector.skip);
        io_vector_trim(vector, n, piece, 1);
        if (((uintptr_t)piece->iov_base | piece->iov_len) & mask) {
            return false;
        }
        vector = io_vector_skip(vector, n);
        bytes -= n;
    }
    return true;
}

/* Memory that O_DIRECT does not take goes through an aligned buffer. */
static int file_bounce(FileNode *file, FileOperation operation, uint64_t offset, uint64_t bytes,
                       IoVector vector, int flags)
{
    void *buffer;
    int result = 0;

    if (posix_memalign(&buffer, MAX(file->memory_alignment, 4096), MIN(bytes, BOUNCE_MAX))) {
        return -ENOMEM;
    }
    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, BOUNCE_MAX);
        struct iovec iov = { buffer, n };

        if (operation == FILE_WRITE) {
            io_vector_to_buffer(vector, buffer, n);
        }
        result = file_transfer_all(file, operation, offset, &iov, 1, flags);
        if (operation == FILE_READ && result == 0) {
            io_vector_from_buffer(vector, buffer, n);
        }
        vector = io_vector_skip(vector, n);
        offset += n;
        bytes -= n;
    }
    free(buffer);
    return result;
}

static int file_io(FileNode *file, FileOperation operation, uint64_t offset, uint64_t bytes,
                   IoVector vector, int flags)
{
    int result = 0;

    if (file->direct && !file_memory_is_aligned(file, vector, bytes)) {
        return file_bounce(file, operation, offset, bytes, vector, flags);
    }
    while (bytes && result == 0) {
        struct iovec iov[SEGMENTS];
        uint64_t n = 0;
        unsigned count = 0;

        vector = io_vector_skip(vector, 0);
        for (; count < SEGMENTS && n < bytes; count++) {
            IoVector rest = io_vector_skip(vector, n);
            uint64_t piece = MIN(bytes - n, rest.iov->iov_len - rest.skip);

            piece = MIN(piece, (uint64_t)1 << 30);
            io_vector_trim(rest, piece, &iov[count], 1);
            n += piece;
            if (n >= (uint64_t)1 << 30) {
                count++;
                break;
            }
        }
        result = file_transfer_all(file, operation, offset, iov, count, flags);
        vector = io_vector_skip(vector, n);
        offset += n;
        bytes -= n;
    }
    return result;
}

static int file_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return file_io(node->state, FILE_READ, offset, bytes, vector, 0);
}

static int file_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    bool sync = (flags & BLOCK_FUA) && !node->flags.cache_no_flush;

    return file_io(node->state, FILE_WRITE, offset, bytes, vector, sync ? RWF_DSYNC : 0);
}

static int file_simple_call(FileNode *file, FileCall *call)
{
    return file->blocking ? file_call(call) : worker_call(file_call, call);
}

static int file_flush(BlockNode *node)
{
    FileNode *file = node->state;
    FileCall call = { .file = file, .operation = FILE_SYNC };
    int result = -ENOSYS;

    if (node->flags.cache_no_flush) {
        return 0;
    }
    if (file->sync_failed) {
        return -EIO;
    }
    if (file->use_ring) {
        result = io_ring_fdatasync(file->fd);
    }
    if (result == -ENOSYS || result == -EAGAIN || result == -EINTR) {
        result = file_simple_call(file, &call);
    }
    if (result < 0 && !file->direct) {
        file->sync_failed = true;
    }
    return result;
}

static int file_fallocate(FileNode *file, uint64_t offset, uint64_t bytes, int mode)
{
    FileCall call = {
        .file = file, .operation = FILE_FALLOCATE, .offset = offset, .bytes = bytes, .flags = mode
    };
    int result = file_simple_call(file, &call);

    /* ENODEV: not a regular file; EINVAL: device without the feature, or misaligned for it. */
    return result == -EOPNOTSUPP || result == -ENODEV || result == -EINVAL || result == -ENOSYS
               ? -ENOTSUP
               : result;
}

static int file_punch(FileNode *file, uint64_t offset, uint64_t bytes)
{
    int result;

    if (file->no_punch) {
        return -ENOTSUP;
    }
    result = file_fallocate(file, offset, bytes, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    file->no_punch = result == -ENOTSUP;
    return result;
}

static int file_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    FileNode *file = node->state;
    struct stat st;
    int result;

    if ((flags & BLOCK_MAY_UNMAP) && fstat(file->fd, &st) == 0 &&
        (file->is_device || offset + bytes <= (uint64_t)st.st_size)) {
        result = file_punch(file, offset, bytes);
        if (result != -ENOTSUP) {
            return result;
        }
    }
    if (file->no_zero_range) {
        return -ENOTSUP;
    }
    result = file_fallocate(file, offset, bytes, FALLOC_FL_ZERO_RANGE);
    file->no_zero_range = result == -ENOTSUP;
    return result;
}

static int file_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    FileNode *file = node->state;
    int result = file_punch(file, offset, bytes);

    if (result < 0) {
        file->discards_failed++;
    } else {
        file->discards++;
        file->discarded_bytes += bytes;
    }
    return result;
}

static void file_statistics(BlockNode *node, json_t *object)
{
    const FileNode *file = node->state;

    json_object_set_new(object, "discard-nb-ok", json_integer((json_int_t)file->discards));
    json_object_set_new(object, "discard-nb-failed",
                        json_integer((json_int_t)file->discards_failed));
    json_object_set_new(object, "discard-bytes-ok",
                        json_integer((json_int_t)file->discarded_bytes));
}

static int64_t file_length(BlockNode *node)
{
    FileNode *file = node->state;
    uint64_t size;
    struct stat st;

    if (file->is_device) {
        return ioctl(file->fd, BLKGETSIZE64, &size) < 0 ? -errno : (int64_t)size;
    }
    return fstat(file->fd, &st) < 0 ? -errno : st.st_size;
}

static int64_t file_allocated_size(BlockNode *node)
{
    FileNode *file = node->state;
    struct stat st;

    return fstat(file->fd, &st) < 0 ? -errno : (int64_t)st.st_blocks * 512;
}

static int file_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                       uint64_t *map, BlockNode **where)
{
    FileNode *file = node->state;
    off_t data = lseek(file->fd, (off_t)offset, SEEK_DATA), hole;
    int status = BLOCK_STATUS_OFFSET_VALID | BLOCK_STATUS_ALLOCATED;

    *map = offset;
    *where = node;
    *count = bytes;
    if (data < 0 && errno == ENXIO) {
        return status | BLOCK_STATUS_ZERO; /* a hole up to the end */
    }
    if (data < 0 || file->is_device) {
        return status | BLOCK_STATUS_DATA;
    }
    if ((uint64_t)data > offset) {
        *count = MIN(bytes, (uint64_t)data - offset);
        return status | BLOCK_STATUS_ZERO;
    }
    hole = lseek(file->fd, (off_t)offset, SEEK_HOLE);
    if (hole > 0 && (uint64_t)hole > offset) {
        *count = MIN(bytes, (uint64_t)hole - offset);
    }
    return status | BLOCK_STATUS_DATA;
}

static bool file_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    FileNode *file = node->state;

    if (file->is_device) {
        if (size > node->size) {
            return error_fail(error, KASO_ERROR_GENERIC, "Cannot grow device files");
        }
        return true;
    }
    return file_grow(file->fd, node->size, size, prealloc, file->path, error);
}

/* Opening. */

/* A pipe without a writer is not waited for: file_check_kind refuses it. */
static int open_at_once(const FileNode *file, int flags)
{
    int fd = descriptors_open(file->path, flags | O_NONBLOCK | (file->direct ? O_DIRECT : 0), 0);

    if (fd >= 0) {
        fcntl(fd, F_SETFL,
              fcntl(fd, F_GETFL) & ~O_NONBLOCK); /* io_uring would not wait for disks, either */
    }
    return fd;
}

static bool file_open_fd(FileNode *file, BlockNode *node, GError **error)
{
    file->fd = open_at_once(file, node->read_only ? O_RDONLY : O_RDWR);
    if (file->fd < 0 && !node->read_only && node->flags.auto_read_only &&
        (errno == EACCES || errno == EPERM || errno == EROFS)) {
        file->fd = open_at_once(file, O_RDONLY);
        if (file->fd >= 0) {
            node->read_only = true;
        }
    }
    if (file->fd >= 0) {
        return true;
    }
    if (errno == EINVAL && file->direct) {
        return error_fail(error, KASO_ERROR_IO,
                          "Could not open '%s': the file system does not support O_DIRECT; use "
                          "cache=writeback",
                          file->path);
    }
    if ((errno == EACCES || errno == EROFS) && !node->read_only) {
        return error_fail(error, KASO_ERROR_IO,
                          "Could not open '%s' for writing: %s. Change its permissions, or use "
                          "read-only=on",
                          file->path, g_strerror(errno));
    }
    return error_fail_errno(error, errno, "Could not open '%s'", file->path);
}

static bool file_check_kind(FileNode *file, const char *driver, GError **error)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0) {
        return error_fail_errno(error, errno, "Could not stat '%s'", file->path);
    }
    if (S_ISDIR(st.st_mode)) {
        return error_fail_errno(error, EISDIR, "Could not open '%s'", file->path);
    }
    file->is_device = S_ISBLK(st.st_mode);
    if (!strcmp(driver, "file") && !S_ISREG(st.st_mode)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Could not open '%s': the 'file' driver requires a regular file (for a "
                          "device use driver=host_device)",
                          file->path);
    }
    if (!strcmp(driver, "host_device") && !S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Could not open '%s': the 'host_device' driver requires a block or "
                          "character device",
                          file->path);
    }
    return true;
}

static void file_find_alignment(FileNode *file, BlockNode *node)
{
    struct statx info = { 0 };
    int sector = 0;

    file->memory_alignment = 1;
    node->request_alignment = 1;
    if (!file->direct) {
        return;
    }
    if (file->is_device && ioctl(file->fd, BLKSSZGET, &sector) == 0 && sector >= 512) {
        node->request_alignment = (uint32_t)sector;
        file->memory_alignment = 512;
        return;
    }
    node->request_alignment = 4096;
    file->memory_alignment = 4096;
#ifdef STATX_DIOALIGN
    if (statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
        (info.stx_mask & STATX_DIOALIGN) && is_power_of_two(info.stx_dio_offset_align)) {
        node->request_alignment = MAX(info.stx_dio_offset_align, 512);
        file->memory_alignment = MAX(info.stx_dio_mem_align, 1);
    }
#endif
}

static bool file_take_options(BlockNode *node, FileNode *file, GHashTable *options, GError **error)
{
    static const char *const aio_names[] = { "auto", "threads", "io_uring", "native", NULL };
    static const char *const on_off_auto[] = { "off", "on", "auto", NULL };
    int aio = node->flags.aio, locking = 2;

    file->path = options_take(options, "filename");
    if (!file->path || !file->path[0]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The 'file' block driver requires a file name");
    }
    if (!options_take_enum(options, "aio", aio_names, &aio, error) ||
        !options_take_enum(options, "locking", on_off_auto, &locking, error)) {
        return false;
    }
    file->direct = node->flags.cache_direct;
    file->blocking = block_graph_blocking(node->graph);
    file->locking = locking != 0;
    if (aio == BLOCK_AIO_NATIVE && !file->direct) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "aio=native was specified, but it requires cache.direct=on, which was not "
            "specified.");
    }
    file->use_ring = (aio == BLOCK_AIO_IO_URING || aio == BLOCK_AIO_NATIVE ||
                      (aio == BLOCK_AIO_AUTO && file->direct)) &&
                     io_ring_available(block_graph_context(node->graph));
    return true;
}

static void file_close(BlockNode *node)
{
    FileNode *file = node->state;

    if (file->fd >= 0) {
        close(file->fd);
    }
    g_free(file->path);
}

static bool file_open(BlockNode *node, GHashTable *options, GError **error)
{
    FileNode *file = node->state;

    file->fd = -1;
    if (!file_take_options(node, file, options, error) || !file_open_fd(file, node, error) ||
        !file_check_kind(file, node->driver->name, error)) {
        file_close(node);
        return false;
    }
    file_find_alignment(file, node);
    file->locking = file->locking && file_lock_supported(file->fd);
    node->supports_fua = true;
    return true;
}

static bool file_reopen(BlockNode *node, bool read_only, GError **error)
{
    FileNode *file = node->state;
    bool direct = node->flags.cache_direct;
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (direct ? O_DIRECT : 0);
    FileLock lock = { 0 };
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", file->fd);
    int fd = open(link, flags);

    if (fd < 0) {
        return error_fail_errno(error, errno, "Could not reopen '%s' for %s", file->path,
                                read_only ? "reading" : "writing");
    }
    /* The new description's own locks would conflict with the old one's. */
    if (file->locking) {
        unsigned perm = file->lock.perm, shared = ~file->lock.unshared;

        file_lock_update(file->fd, &file->lock, 0, BLOCK_PERM_ALL, file->path, NULL);
        if (!file_lock_update(fd, &lock, perm, shared, file->path, error)) {
            file_lock_update(file->fd, &file->lock, perm, shared, file->path, NULL);
            close(fd);
            return false;
        }
    }
    close(file->fd);
    file->fd = fd;
    file->lock = lock;
    if (file->direct != direct) {
        file->direct = direct;
        file_find_alignment(file, node);
    }
    return true;
}

static bool file_set_perm(BlockNode *node, unsigned perm, unsigned shared, GError **error)
{
    FileNode *file = node->state;

    if (!file->locking) {
        return true;
    }
    return file_lock_update(file->fd, &file->lock, perm, shared, file->path, error);
}

static bool file_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    static const char *const prefixes[] = { "file:", "host_device:" };

    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (g_str_has_prefix(filename, prefixes[i])) {
            filename += strlen(prefixes[i]);
            break;
        }
    }
    options_set(options, "filename", filename);
    return true;
}

static const BlockOption file_options[] = {
    { "filename", "path of the file or device" },
    { "aio", "threads, io_uring or native" },
    { "locking", "on, off or auto: lock the image against other processes" },
    { 0 },
};

static const char *const file_prefixes[] = { "file:", NULL };
static const char *const device_prefixes[] = { "host_device:", NULL };

#define FILE_CALLBACKS                                                                             \
    .options = file_options, .instance_size = sizeof(FileNode), .is_protocol = true,               \
    .parse_filename = file_parse_filename, .open = file_open, .close = file_close,                 \
    .reopen = file_reopen, .set_perm = file_set_perm, .read = file_read, .write = file_write,      \
    .write_zeroes = file_write_zeroes, .discard = file_discard, .flush = file_flush,               \
    .length = file_length, .allocated_size = file_allocated_size, .truncate = file_truncate,       \
    .status = file_status, .statistics = file_statistics

static const BlockDriver file_driver = {
    .name = "file",
    .summary = "Regular file of the host",
    .prefixes = file_prefixes,
    .create_options = file_create_options,
    .create = file_create,
    .grows_with_zeroes = true,
    FILE_CALLBACKS,
};
BLOCK_DRIVER(file_driver);

static const BlockDriver host_device_driver = {
    .name = "host_device",
    .summary = "Block device of the host",
    .prefixes = device_prefixes,
    FILE_CALLBACKS,
};
BLOCK_DRIVER(host_device_driver);
