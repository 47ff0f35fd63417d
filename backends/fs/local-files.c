/* SPDX-License-Identifier: MIT */
/* Open files and folders of a shared folder. */
#include "backends/fs/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

enum { ENTRIES_CHUNK = 32768 };

FsFile *local_file_new(Local *local, int fd)
{
    LocalFile *file = g_new0(LocalFile, 1);
    struct stat stat;

    file->file.fsdev = &local->fsdev;
    file->fd = fd;
    file->device = fstat(fd, &stat) == 0 ? stat.st_dev : local->device;
    g_mutex_init(&file->lock);
    return &file->file;
}

static LocalFile *local_file(FsFile *file)
{
    return (LocalFile *)file;
}

int local_reopen(Local *local, int fd, int flags)
{
    char name[LOCAL_PATH_SIZE];
    struct stat stat;

    if (fstat(fd, &stat) != 0) {
        return -errno;
    }
    /* Opening a device or a pipe does things to the host, and may take for ever. Guests have their own. */
    if (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode)) {
        return S_ISLNK(stat.st_mode) ? -ELOOP : -ENXIO;
    }
    return local_openat(local, local->descriptors, local_fd_name(fd, name),
                        flags | O_CLOEXEC | O_NOCTTY, 0);
}

int local_open_node(FsNode *fs_node, int flags, FsFile **file)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node);
    int fd, result;

    if (local->read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))) {
        return -EROFS;
    }
    g_rw_lock_reader_lock(&local->names);
    result = local_take(node);
    if (result >= 0) {
        fd = result;
        result = local_reopen(local, fd, flags & ~(O_CREAT | O_EXCL));
        local_give(node);
    }
    g_rw_lock_reader_unlock(&local->names);
    if (result < 0) {
        return result;
    }
    *file = local_file_new(local, result);
    return 0;
}

static int read_target(Local *local, int fd, char *target, size_t size)
{
    struct stat stat;
    ssize_t got;
    int file;

    if (fstat(fd, &stat) != 0) {
        return -errno;
    }
    if (S_ISLNK(stat.st_mode)) {
        got = readlinkat(fd, "", target, size);
        return got < 0 ? -errno : (int)got;
    }
    if (!local_mapped(local)) {
        return -EINVAL;
    }
    file = local_reopen(local, fd, O_RDONLY);
    if (file < 0) {
        return file;
    }
    got = read(file, target, size);
    got = got < 0 ? -errno : got;
    close(file);
    return (int)got;
}

int local_read_link(FsNode *fs_node, char *target, size_t size)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node);
    struct stat stat;
    int fd, result;

    g_rw_lock_reader_lock(&local->names);
    fd = result = local_take(node);
    if (fd >= 0) {
        result = local_stat(node, fd, &stat);
        if (!result) {
            result = S_ISLNK(stat.st_mode) ? read_target(local, fd, target, size) : -EINVAL;
        }
        local_give(node);
    }
    g_rw_lock_reader_unlock(&local->names);
    return result;
}

int local_statfs(FsNode *fs_node, struct statfs *statfs)
{
    Local *local = local_of(fs_node);
    int fd, result;

    g_rw_lock_reader_lock(&local->names);
    fd = result = local_take(local_node(fs_node));
    if (fd >= 0) {
        result = fstatfs(fd, statfs) ? -errno : 0;
        local_give(local_node(fs_node));
    }
    g_rw_lock_reader_unlock(&local->names);
    return result;
}

void local_close_file(FsFile *file)
{
    close(local_file(file)->fd);
    g_mutex_clear(&local_file(file)->lock);
    g_free(file);
}

ssize_t local_read(FsFile *file, const struct iovec *iov, unsigned count, uint64_t offset)
{
    ssize_t got;

    do {
        got = preadv(local_file(file)->fd, iov, (int)count, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t local_write(FsFile *file, const struct iovec *iov, unsigned count, uint64_t offset)
{
    const Local *local = (const Local *)file->fsdev;
    int fd = local_file(file)->fd;
    ssize_t done;

    do {
        done = pwritev(fd, iov, (int)count, (off_t)offset);
    } while (done < 0 && errno == EINTR);
    if (done > 0 && local->writeout) {
        sync_file_range(fd, (off_t)offset, done,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE);
    }
    return done < 0 ? -errno : done;
}

int local_sync(FsFile *file, bool data_only)
{
    int fd = local_file(file)->fd;

    return (data_only ? fdatasync(fd) : fsync(fd)) ? -errno : 0;
}

/* Tells of what is in one piece of the folder; false: enough. */
static bool tell_entries(const LocalFile *file, const char *chunk, size_t size,
                         FsEntryFunction *function, void *opaque)
{
    const Local *local = (const Local *)file->file.fsdev;

    for (size_t at = 0; at < size;) {
        const struct dirent64 *d = (const struct dirent64 *)(chunk + at);
        FsEntry entry = {
            .number = local_number(local, file->device, d->d_ino),
            .offset = (uint64_t)d->d_off,
            /* What a mapped file is, only its attributes say. */
            .type = local_mapped(local) && d->d_type == DT_REG ? DT_UNKNOWN : d->d_type,
            .name = d->d_name,
        };

        if (!local_metadata_reserved(local, d->d_name) && !function(opaque, &entry)) {
            return false;
        }
        at += d->d_reclen;
    }
    return true;
}

int local_entries(FsFile *fs_file, uint64_t offset, FsEntryFunction *function, void *opaque)
{
    LocalFile *file = local_file(fs_file);
    g_autofree char *chunk = g_malloc(ENTRIES_CHUNK);
    ssize_t size = 0;
    int result = 0;

    g_mutex_lock(&file->lock);
    if (lseek(file->fd, (off_t)offset, SEEK_SET) < 0) {
        result = -errno;
    } else {
        do {
            size = getdents64(file->fd, chunk, ENTRIES_CHUNK);
        } while (size > 0 && tell_entries(file, chunk, (size_t)size, function, opaque));
        result = size < 0 ? -errno : 0;
    }
    g_mutex_unlock(&file->lock);
    return result;
}
