/* SPDX-License-Identifier: MIT */
/* What changes names: making, linking, renaming, removing. All by descriptors of folders and one component. */
#include "backends/fs/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PERMISSIONS = 07777 };

static int check_name(const Local *local, const char *name)
{
    int result = fs_name_check(name);

    if (local->read_only) {
        return -EROFS;
    }
    return result ? result : local_metadata_reserved(local, name) ? -EINVAL : 0;
}

/* Making. */

/* A mapped link is a file with the target in it. */
static int make_link_file(int folder, const char *name, mode_t mode, const char *target)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    size_t size = strlen(target);
    bool whole;

    if (fd < 0) {
        return -errno;
    }
    whole = write(fd, target, size) == (ssize_t)size;
    if (close(fd) != 0 || !whole) {
        unlinkat(folder, name, 0);
        return -EIO;
    }
    return 0;
}

static int make_on_host(const Local *local, int folder, const char *name, const FsNew *new)
{
    bool mapped = local_mapped(local);
    mode_t file_mode = mapped ? local->file_mode : new->mode &PERMISSIONS;
    mode_t folder_mode = mapped ? local->folder_mode : new->mode &PERMISSIONS;

    if (S_ISDIR(new->mode)) {
        return mkdirat(folder, name, folder_mode) ? -errno : 0;
    }
    if (S_ISLNK(new->mode) && mapped) {
        return make_link_file(folder, name, file_mode, new->target);
    }
    if (S_ISLNK(new->mode)) {
        return symlinkat(new->target, folder, name) ? -errno : 0;
    }
    return mknodat(folder, name, (mapped ? S_IFREG : new->mode &S_IFMT) | file_mode,
                   mapped ? 0 : new->rdev)
               ? -errno
               : 0;
}

/* Gives what was just made its owner and mode; what cannot have them goes again. */
static int adopt(LocalNode *folder, int folder_fd, const char *name, const FsNew *new,
                 LocalNode **node)
{
    int result = local_lookup(folder, name, node);
    int fd = result ? result : local_take(*node);

    result = fd;
    if (fd >= 0) {
        result = local_set_new(*node, fd, new);
        local_give(*node);
    }
    if (result) {
        unlinkat(folder_fd, name, S_ISDIR(new->mode) ? AT_REMOVEDIR : 0);
        if (*node) {
            local_lose_name(*node);
            local_unref(&(*node)->node);
            *node = NULL;
        }
    }
    return result;
}

int local_make(FsNode *fs_folder, const char *name, const FsNew *new, FsNode **fs_node)
{
    Local *local = local_of(fs_folder);
    LocalNode *folder = local_node(fs_folder), *node = NULL;
    int result = check_name(local, name), fd;

    if (result) {
        return result;
    }
    g_rw_lock_reader_lock(&local->names);
    fd = result = local_take(folder);
    if (fd >= 0) {
        result = make_on_host(local, fd, name, new);
        if (!result) {
            result = adopt(folder, fd, name, new, &node);
        }
        local_give(folder);
    }
    g_rw_lock_reader_unlock(&local->names);
    *fs_node = node ? &node->node : NULL;
    return result;
}

static int create(LocalNode *folder, int folder_fd, const char *name, int flags, const FsNew *new,
                  LocalNode **node)
{
    Local *local = local_of(&folder->node);
    mode_t mode = local_mapped(local) ? local->file_mode : new->mode &PERMISSIONS;
    int fd = local_openat(local, folder_fd, name,
                          (flags & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    int result;

    if (fd < 0) {
        return fd;
    }
    result = adopt(folder, folder_fd, name, new, node);
    if (result) {
        close(fd);
    }
    return result ? result : fd;
}

int local_create(FsNode *fs_folder, const char *name, int flags, const FsNew *new, FsNode **fs_node,
                 FsFile **file)
{
    Local *local = local_of(fs_folder);
    LocalNode *folder = local_node(fs_folder), *node = NULL;
    int result = check_name(local, name), folder_fd, fd;

    *fs_node = NULL;
    if (result) {
        return result;
    }
    g_rw_lock_reader_lock(&local->names);
    folder_fd = fd = local_take(folder);
    if (folder_fd >= 0) {
        fd = create(folder, folder_fd, name, flags, new, &node);
        local_give(folder);
    }
    g_rw_lock_reader_unlock(&local->names);
    if (fd == -EEXIST && !(flags & O_EXCL)) { /* of the host's making, after the guest had looked */
        result = local_walk(fs_folder, name, fs_node);
        if (!result) {
            result = local_open_node(*fs_node, flags, file);
        }
        if (result) {
            g_clear_pointer(fs_node, local_unref);
        }
        return result;
    }
    if (fd < 0) {
        return fd;
    }
    *fs_node = &node->node;
    *file = local_file_new(local, fd);
    return 0;
}

/* Linking. */

/* The source by its descriptor: what it is, not what its name means now. Without a right for that, by name. */
static int link_on_host(const Local *local, LocalNode *node, int fd, int folder, const char *name)
{
    char source[LOCAL_PATH_SIZE];
    int parent, result;

    if (linkat(local->descriptors, local_fd_name(fd, source), folder, name, AT_SYMLINK_FOLLOW) ==
        0) {
        return 0;
    }
    result = -errno;
    if ((result != -ENOENT && result != -EPERM) || node->nameless || !node->parent) {
        return result;
    }
    parent = local_take(node->parent);
    if (parent < 0) {
        return parent;
    }
    result = linkat(parent, node->name, folder, name, 0) ? -errno : 0;
    local_give(node->parent);
    return result;
}

static int link_metadata(Local *local, LocalNode *node, int folder, const char *name)
{
    int parent, result;

    if (node->nameless || !node->parent) {
        return 0;
    }
    parent = local_take(node->parent);
    if (parent < 0) {
        return parent;
    }
    result = local_metadata_link(local, parent, node->name, folder, name);
    local_give(node->parent);
    return result;
}

int local_link(FsNode *fs_node, FsNode *fs_folder, const char *name)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node), *folder = local_node(fs_folder);
    int result = check_name(local, name), fd, folder_fd;

    if (result) {
        return result;
    }
    g_rw_lock_reader_lock(&local->names);
    fd = result = local_take(node);
    folder_fd = fd < 0 ? fd : local_take(folder);
    if (fd >= 0 && folder_fd >= 0) {
        result = link_on_host(local, node, fd, folder_fd, name);
        if (!result) {
            result = link_metadata(local, node, folder_fd, name);
        }
        local_give(folder);
    } else if (fd >= 0) {
        result = folder_fd;
    }
    if (fd >= 0) {
        local_give(node);
    }
    g_rw_lock_reader_unlock(&local->names);
    return result;
}

/* Renaming. */

/* The node of a name that will be lost, with its descriptor, by which it lives on. NULL: nobody knows it. */
static LocalNode *hold(LocalNode *folder, const char *name)
{
    LocalNode *node = local_known(folder, name);

    if (node && local_take(node) < 0) {
        g_clear_pointer((FsNode **)&node, local_unref);
    }
    return node;
}

static void let_go(LocalNode *node)
{
    if (node) {
        local_give(node);
        local_unref(&node->node);
    }
}

static bool below(const LocalNode *folder, const LocalNode *node)
{
    while (folder && folder != node) {
        folder = folder->parent;
    }
    return folder != NULL;
}

static int rename_on_host(Local *local, int from, const char *name, int to, const char *new_name)
{
    if (local->security == SECURITY_MAPPED_FILE) {
        local_metadata_empty(to, new_name); /* only an empty folder can be replaced */
    }
    if (renameat(from, name, to, new_name) != 0) {
        return -errno;
    }
    return local_metadata_rename(local, from, name, to, new_name);
}

static void rename_nodes(LocalNode *from, const char *name, LocalNode *to, const char *new_name,
                         LocalNode *replaced)
{
    LocalNode *moved = local_known(from, name);

    if (replaced && moved && replaced->inode == moved->inode && replaced->device == moved->device) {
        local_unref(&moved->node); /* two names of one file: both stay */
        return;
    }
    if (replaced) {
        local_lose_name(replaced);
    }
    if (moved) {
        if (!below(to, moved)) {
            local_change_name(moved, to, new_name);
        }
        local_unref(&moved->node);
    }
}

/* [names written] */
static int rename_locked(LocalNode *from, const char *name, LocalNode *to, const char *new_name)
{
    Local *local = local_of(&from->node);
    int from_fd = local_take(from), to_fd = from_fd < 0 ? from_fd : local_take(to);
    int result = from_fd < 0 ? from_fd : to_fd;
    LocalNode *replaced;

    if (to_fd >= 0) {
        replaced = from == to && strcmp(name, new_name) == 0 ? NULL : hold(to, new_name);
        result = rename_on_host(local, from_fd, name, to_fd, new_name);
        if (!result) {
            rename_nodes(from, name, to, new_name, replaced);
        }
        let_go(replaced);
        local_give(to);
    }
    if (from_fd >= 0) {
        local_give(from);
    }
    return result;
}

int local_rename(FsNode *folder, const char *name, FsNode *to, const char *new_name)
{
    Local *local = local_of(folder);
    int result = check_name(local, name);

    result = result ? result : check_name(local, new_name);
    if (!result) {
        g_rw_lock_writer_lock(&local->names);
        result = rename_locked(local_node(folder), name, local_node(to), new_name);
        g_rw_lock_writer_unlock(&local->names);
    }
    return result;
}

int local_move(FsNode *fs_node, FsNode *to, const char *new_name)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node);
    int result = check_name(local, new_name);

    if (!result) {
        g_rw_lock_writer_lock(&local->names);
        if (!node->parent) {
            result = -EBUSY;
        } else if (node->nameless) {
            result = -ENOENT;
        } else {
            g_autofree char *name = g_strdup(node->name);

            result = rename_locked(node->parent, name, local_node(to), new_name);
        }
        g_rw_lock_writer_unlock(&local->names);
    }
    return result;
}

/* Removing. [names written] */

static int unlink_locked(LocalNode *folder, const char *name, bool is_folder)
{
    Local *local = local_of(&folder->node);
    int fd = local_take(folder), result;
    LocalNode *lost;

    if (fd < 0) {
        return fd;
    }
    lost = hold(folder, name);
    if (local->security == SECURITY_MAPPED_FILE && is_folder) {
        local_metadata_empty(fd, name);
    }
    result = unlinkat(fd, name, is_folder ? AT_REMOVEDIR : 0) ? -errno : 0;
    if (!result && local->security == SECURITY_MAPPED_FILE) {
        local_metadata_unlink(fd, name);
    }
    if (!result && lost) {
        local_lose_name(lost);
    }
    let_go(lost);
    local_give(folder);
    return result;
}

int local_unlink(FsNode *folder, const char *name, bool is_folder)
{
    Local *local = local_of(folder);
    int result = check_name(local, name);

    if (!result) {
        g_rw_lock_writer_lock(&local->names);
        result = unlink_locked(local_node(folder), name, is_folder);
        g_rw_lock_writer_unlock(&local->names);
    }
    return result;
}

static int remove_locked(LocalNode *node)
{
    g_autofree char *name = g_strdup(node->name);
    int result;

    if (!node->parent) {
        return -EBUSY;
    }
    if (node->nameless) {
        return -ENOENT;
    }
    result = unlink_locked(node->parent, name, false);
    /* POSIX lets unlink of a folder fail with either. */
    return result == -EISDIR || result == -EPERM ? unlink_locked(node->parent, name, true) : result;
}

int local_remove(FsNode *fs_node)
{
    Local *local = local_of(fs_node);
    int result;

    if (local->read_only) {
        return -EROFS;
    }
    g_rw_lock_writer_lock(&local->names);
    result = remove_locked(local_node(fs_node));
    g_rw_lock_writer_unlock(&local->names);
    return result;
}
