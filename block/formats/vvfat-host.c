/* SPDX-License-Identifier: MIT */
/* Files of the host for vvfat: every path is resolved below the folder, and through no link. */
#include "block/formats/vvfat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The folder that a path is in, and the name in it. */
static int open_parent(const VvfatDisk *disk, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    g_autofree char *folder = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(".");
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

    *name = slash ? slash + 1 : path;
    return (int)syscall(SYS_openat2, disk->folder_fd, folder, &how, sizeof how);
}

/* replace: what is there goes; otherwise -EEXIST. */
static int rename_at(int old_fd, const char *old_name, int new_fd, const char *new_name,
                     bool replace)
{
    struct stat st;

    if (!replace && renameat2(old_fd, old_name, new_fd, new_name, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (!replace && errno != EINVAL) {
        return -errno;
    }
    /* Not all file systems know the flag. */
    if (!replace && fstatat(new_fd, new_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return -EEXIST;
    }
    return renameat(old_fd, old_name, new_fd, new_name) < 0 ? -errno : 0;
}

int vvfat_host_rename(const VvfatDisk *disk, const char *from, const char *to, bool replace)
{
    const char *old_name, *new_name;
    int old_fd = open_parent(disk, from, &old_name), new_fd = open_parent(disk, to, &new_name);
    int result =
        old_fd < 0 || new_fd < 0 ? -errno : rename_at(old_fd, old_name, new_fd, new_name, replace);

    if (old_fd >= 0) {
        close(old_fd);
    }
    if (new_fd >= 0) {
        close(new_fd);
    }
    return result;
}

int vvfat_host_remove(const VvfatDisk *disk, const char *path, bool folder)
{
    const char *name;
    int fd = open_parent(disk, path, &name), result;

    if (fd < 0) {
        return -errno;
    }
    result = unlinkat(fd, name, folder ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
    close(fd);
    return result;
}

int vvfat_host_make_folder(const VvfatDisk *disk, const char *path)
{
    const char *name;
    int fd = open_parent(disk, path, &name), result;

    if (fd < 0) {
        return -errno;
    }
    result = mkdirat(fd, name, 0777) < 0 ? -errno : 0;
    close(fd);
    return result;
}

int vvfat_host_open(const VvfatDisk *disk, const char *path, int flags)
{
    const char *name;
    int folder = open_parent(disk, path, &name), fd, saved;

    if (folder < 0) {
        return -1;
    }
    fd = openat(folder, name, flags | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    saved = errno;
    close(folder);
    errno = saved;
    return fd;
}
