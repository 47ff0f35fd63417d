/* SPDX-License-Identifier: MIT */
/*
 * Owners, modes and kinds of files: the host's own, or with the mapped models the guest's, which are kept beside. The
 * attributes user.virtfs.uid, .gid and .mode are 32-bit numbers and .rdev is a 64-bit one, all little endian.
 */
#include "backends/fs/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bits.h"

enum { PERMISSIONS = 07777 };

static const char *const xattr_names[] = { "user.virtfs.uid", "user.virtfs.gid", "user.virtfs.mode",
                                           "user.virtfs.rdev" };
enum { OWNER_UID, OWNER_GID, OWNER_MODE, OWNER_RDEV };

/* Files whose host has no such attributes are the host's. */
static bool load_number(const char *path, unsigned which, unsigned size, uint64_t *number)
{
    uint8_t bytes[8] = { 0 };

    if (getxattr(path, xattr_names[which], bytes, size) != (ssize_t)size) {
        return false;
    }
    *number = load_le64(bytes);
    return true;
}

static int load_xattrs(int fd, LocalOwner *owner)
{
    char path[LOCAL_PATH_SIZE];
    uint64_t number;

    local_fd_path(fd, path);
    owner->has_uid = load_number(path, OWNER_UID, 4, &number);
    owner->uid = owner->has_uid ? (uint32_t)number : 0;
    owner->has_gid = load_number(path, OWNER_GID, 4, &number);
    owner->gid = owner->has_gid ? (uint32_t)number : 0;
    owner->has_mode = load_number(path, OWNER_MODE, 4, &number);
    owner->mode = owner->has_mode ? (uint32_t)number : 0;
    owner->has_rdev = load_number(path, OWNER_RDEV, 8, &number);
    owner->rdev = owner->has_rdev ? number : 0;
    return 0;
}

static int store_xattrs(int fd, const LocalOwner *owner)
{
    const struct {
        bool given;
        uint64_t value;
        unsigned size;
    } fields[] = {
        [OWNER_UID] = { owner->has_uid, owner->uid, 4 },
        [OWNER_GID] = { owner->has_gid, owner->gid, 4 },
        [OWNER_MODE] = { owner->has_mode, owner->mode, 4 },
        [OWNER_RDEV] = { owner->has_rdev, owner->rdev, 8 },
    };
    char path[LOCAL_PATH_SIZE];

    local_fd_path(fd, path);
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        uint8_t bytes[8];

        store_le64(bytes, fields[i].value);
        if (fields[i].given && setxattr(path, xattr_names[i], bytes, fields[i].size, 0) != 0) {
            return -errno;
        }
    }
    return 0;
}

static int load_owner(LocalNode *node, int fd, LocalOwner *owner)
{
    *owner = (LocalOwner){ 0 };
    switch (local_of(&node->node)->security) {
    case SECURITY_MAPPED_XATTR:
        return load_xattrs(fd, owner);
    case SECURITY_MAPPED_FILE:
        return local_metadata_load(node, owner);
    default:
        return 0;
    }
}

/* Changes what is given in `owner`. */
static int store_owner(LocalNode *node, int fd, const LocalOwner *owner)
{
    return local_of(&node->node)->security == SECURITY_MAPPED_XATTR
               ? store_xattrs(fd, owner)
               : local_metadata_store(node, owner);
}

int local_stat(LocalNode *node, int fd, struct stat *stat)
{
    LocalOwner owner;

    if (fstatat(fd, "", stat, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) {
        return -errno;
    }
    load_owner(node, fd, &owner); /* without, it is the host's */
    stat->st_uid = owner.has_uid ? owner.uid : stat->st_uid;
    stat->st_gid = owner.has_gid ? owner.gid : stat->st_gid;
    stat->st_mode = owner.has_mode ? owner.mode : stat->st_mode;
    stat->st_rdev = owner.has_rdev ? owner.rdev : stat->st_rdev;
    return 0;
}

/* Numbers of another device are mixed with the device's, which hits one of the root's with a chance of 2^-64. */
uint64_t local_number(const Local *local, dev_t device, ino_t inode)
{
    uint64_t mixed = inode + device * 0x9e3779b97f4a7c15;

    if (device == local->device || local->multidevs != MULTIDEVS_REMAP) {
        return inode;
    }
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

int local_attributes(FsNode *fs_node, FsAttributes *attributes)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node);
    int result;

    g_rw_lock_reader_lock(&local->names);
    result = local_take(node);
    if (result >= 0) {
        result = local_stat(node, result, &attributes->stat);
        local_give(node);
    }
    g_rw_lock_reader_unlock(&local->names);
    attributes->number = local_number(local, node->device, node->inode);
    return result;
}

/* Of the host's file. */

static int set_host_owner(const Local *local, int fd, uint32_t uid, uint32_t gid)
{
    if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 &&
        local->security != SECURITY_NONE) {
        return -errno;
    }
    return 0;
}

static int set_host_mode(const Local *local, int fd, uint32_t mode)
{
    char name[LOCAL_PATH_SIZE];

    return fchmodat(local->descriptors, local_fd_name(fd, name), mode & PERMISSIONS, 0) ? -errno
                                                                                        : 0;
}

int local_set_new(LocalNode *node, int fd, const FsNew *new)
{
    const Local *local = local_of(&node->node);
    int result;

    if (local_mapped(local)) {
        LocalOwner owner = {
            .has_uid = new->uid != UINT32_MAX,
            .has_gid = new->gid != UINT32_MAX,
            .has_mode = true,
            .has_rdev = S_ISCHR(new->mode) || S_ISBLK(new->mode),
            .uid = new->uid,
            .gid = new->gid,
            .mode = new->mode,
            .rdev = new->rdev,
        };

        return store_owner(node, fd, &owner);
    }
    result = set_host_owner(local, fd, new->uid, new->gid);
    return result || S_ISLNK(new->mode) ? result : set_host_mode(local, fd, new->mode);
}

/* Changes. */

static int change_owner(LocalNode *node, int fd, const FsChange *change)
{
    bool uid = (change->what & FS_CHANGE_UID) && change->uid != UINT32_MAX;
    bool gid = (change->what & FS_CHANGE_GID) && change->gid != UINT32_MAX;
    LocalOwner owner = { .has_uid = uid, .has_gid = gid, .uid = change->uid, .gid = change->gid };

    if (local_mapped(local_of(&node->node))) {
        return store_owner(node, fd, &owner);
    }
    return set_host_owner(local_of(&node->node), fd, uid ? change->uid : UINT32_MAX,
                          gid ? change->gid : UINT32_MAX);
}

static int change_mode(LocalNode *node, int fd, uint32_t mode)
{
    const Local *local = local_of(&node->node);
    LocalOwner owner = { .has_mode = true };
    struct stat stat;
    int result;

    if (!local_mapped(local)) {
        return set_host_mode(local, fd, mode);
    }
    result = local_stat(node, fd, &stat);
    owner.mode = (stat.st_mode & S_IFMT) | (mode & PERMISSIONS);
    return result ? result : store_owner(node, fd, &owner);
}

static int change_size(Local *local, int fd, const LocalFile *file, uint64_t size)
{
    int writable = file && (fcntl(file->fd, F_GETFL) & O_ACCMODE) != O_RDONLY
                       ? file->fd
                       : local_reopen(local, fd, O_WRONLY);
    int result;

    if (writable < 0) {
        return writable;
    }
    result = ftruncate(writable, (off_t)size) ? -errno : 0;
    if (!file || writable != file->fd) {
        close(writable);
    }
    return result;
}

static int change(LocalNode *node, int fd, const LocalFile *file, const FsChange *change)
{
    Local *local = local_of(&node->node);
    char name[LOCAL_PATH_SIZE];
    int result = 0;

    /* A new owner takes set-user-id away, and a new size sets the times. */
    if (change->what & (FS_CHANGE_UID | FS_CHANGE_GID)) {
        result = change_owner(node, fd, change);
    }
    if (!result && (change->what & FS_CHANGE_SIZE)) {
        result = change_size(local, fd, file, change->size);
    }
    if (!result && (change->what & FS_CHANGE_MODE)) {
        result = change_mode(node, fd, change->mode);
    }
    if (!result && (change->what & FS_CHANGE_TIMES) &&
        utimensat(local->descriptors, local_fd_name(fd, name), change->times, 0) != 0) {
        result = -errno;
    }
    return result;
}

int local_change(FsNode *fs_node, FsFile *file, const FsChange *wanted)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node);
    int fd, result;

    if (local->read_only) {
        return -EROFS;
    }
    g_rw_lock_reader_lock(&local->names);
    fd = result = local_take(node);
    if (fd >= 0) {
        result = change(node, fd, (const LocalFile *)file, wanted);
        local_give(node);
    }
    g_rw_lock_reader_unlock(&local->names);
    return result;
}
