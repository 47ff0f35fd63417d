/* SPDX-License-Identifier: MIT */
/* Image locks. */
#include "block/protocols/file-lock.h"

#include "base/error.h"
#include "block/graph/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERM_BASE = 100, SHARED_BASE = 200, PERMS = 5 };

static int lock_byte(int fd, int byte, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/* Whether somebody else holds the byte. */
static bool byte_is_taken(int fd, int byte)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool file_lock_supported(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = PERM_BASE, .l_len = 1
    };

    return fcntl(fd, F_OFD_GETLK, &lock) == 0;
}

static bool process_has_file(const char *pid, const struct stat *wanted)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct stat st;

        if (stat(path, &st) == 0 && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino) {
            return true;
        }
    }
    return false;
}

/* "name (pid 123)" of another process that has the file open, or NULL. The caller frees. */
static char *find_holder(int fd)
{
    g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    struct stat st;

    if (!dir || fstat(fd, &st) < 0) {
        return NULL;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = NULL, *command = NULL;

        if (!g_ascii_isdigit(name[0]) || atoi(name) == getpid() || !process_has_file(name, &st)) {
            continue;
        }
        path = g_strdup_printf("/proc/%s/comm", name);
        if (!g_file_get_contents(path, &command, NULL, NULL)) {
            command = g_strdup("process");
        }
        return g_strdup_printf("%s (pid %s)", g_strstrip(command), name);
    }
    return NULL;
}

static const char *perm_name(unsigned index)
{
    static const char *const names[] = { "consistent read", "write", "write unchanged", "resize",
                                         "change children" };

    return names[index];
}

static bool lock_conflict(int fd, const char *path, unsigned index, bool shared, GError **error)
{
    g_autofree char *holder = find_holder(fd);

    return error_fail(error, KASO_ERROR_IO,
                      "Failed to get %s\"%s\" lock\nIs another process using the image [%s]?\nIt "
                      "is in use by %s. End it, "
                      "or open the image read-only with force-share=on",
                      shared ? "shared " : "", perm_name(index), path,
                      holder ? holder : "another part of this process or another host");
}

static bool take_bytes(int fd, FileLock *lock, unsigned perm, unsigned unshared, const char *path,
                       GError **error)
{
    for (unsigned i = 0; i < PERMS; i++) {
        int result = 0;

        if (perm & ~lock->perm & 1u << i) {
            result = lock_byte(fd, PERM_BASE + (int)i, F_RDLCK);
        }
        if (result == 0 && (unshared & ~lock->unshared & 1u << i)) {
            result = lock_byte(fd, SHARED_BASE + (int)i, F_RDLCK);
        }
        if (result == -EAGAIN || result == -EACCES) {
            return lock_conflict(fd, path, i, false, error);
        }
        if (result < 0) {
            return error_fail_errno(error, -result, "Failed to lock '%s'", path);
        }
    }
    return true;
}

static bool check_bytes(int fd, FileLock *lock, unsigned perm, unsigned unshared, const char *path,
                        GError **error)
{
    for (unsigned i = 0; i < PERMS; i++) {
        if ((perm & ~lock->perm & 1u << i) && byte_is_taken(fd, SHARED_BASE + (int)i)) {
            return lock_conflict(fd, path, i, false, error);
        }
        if ((unshared & ~lock->unshared & 1u << i) && byte_is_taken(fd, PERM_BASE + (int)i)) {
            return lock_conflict(fd, path, i, true, error);
        }
    }
    return true;
}

/* Gives up the bytes that are held but not in the new set. */
static void release_bytes(int fd, unsigned held_perm, unsigned held_unshared, unsigned perm,
                          unsigned unshared)
{
    for (unsigned i = 0; i < PERMS; i++) {
        if (held_perm & ~perm & 1u << i) {
            lock_byte(fd, PERM_BASE + (int)i, F_UNLCK);
        }
        if (held_unshared & ~unshared & 1u << i) {
            lock_byte(fd, SHARED_BASE + (int)i, F_UNLCK);
        }
    }
}

bool file_lock_update(int fd, FileLock *lock, unsigned perm, unsigned shared, const char *path,
                      GError **error)
{
    unsigned unshared = ~shared & BLOCK_PERM_ALL;

    if (!take_bytes(fd, lock, perm, unshared, path, error) ||
        !check_bytes(fd, lock, perm, unshared, path, error)) {
        release_bytes(fd, perm, unshared, lock->perm, lock->unshared);
        return false;
    }
    release_bytes(fd, lock->perm, lock->unshared, perm, unshared);
    lock->perm = perm;
    lock->unshared = unshared;
    return true;
}
