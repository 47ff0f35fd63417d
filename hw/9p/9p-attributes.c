/* SPDX-License-Identifier: MIT */
/* What files have beside their contents: attributes, extended attributes, the file system. */
#include <errno.h>
#include <string.h>

#include "hw/9p/9p.h"

enum {
    GETATTR_BASIC = 0x7ff,

    SETATTR_MODE = 1,
    SETATTR_UID = 2,
    SETATTR_GID = 4,
    SETATTR_SIZE = 8,
    SETATTR_ATIME = 0x10,
    SETATTR_MTIME = 0x20,
    SETATTR_CTIME = 0x40,
    SETATTR_ATIME_SET = 0x80,
    SETATTR_MTIME_SET = 0x100,
};

static void put_time(NinepRequest *r, const struct timespec *time)
{
    ninep_put64(r, (uint64_t)time->tv_sec);
    ninep_put64(r, (uint64_t)time->tv_nsec);
}

/* fid[4] request_mask[8] -> valid[8] qid mode … data_version[8] */
int ninep_getattr(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    g_autoptr(FsNode) node = fid ? ninep_fid_node(fid) : NULL;
    FsAttributes attributes;
    const struct stat *stat = &attributes.stat;
    int result;

    ninep_get64(r); /* all that there is costs nothing */
    if (!node || r->too_short) {
        return -EBADF;
    }
    result = node->fsdev->type->attributes(node, &attributes);
    if (result) {
        return result;
    }
    ninep_put64(r, GETATTR_BASIC);
    ninep_put_qid(r, &attributes);
    ninep_put32(r, stat->st_mode);
    ninep_put32(r, stat->st_uid);
    ninep_put32(r, stat->st_gid);
    ninep_put64(r, stat->st_nlink);
    ninep_put64(r, stat->st_rdev);
    ninep_put64(r, (uint64_t)stat->st_size);
    ninep_put64(r, (uint64_t)stat->st_blksize);
    ninep_put64(r, (uint64_t)stat->st_blocks);
    put_time(r, &stat->st_atim);
    put_time(r, &stat->st_mtim);
    put_time(r, &stat->st_ctim);
    put_time(r, &(struct timespec){ 0 }); /* of birth */
    ninep_put64(r, 0);                    /* generation */
    ninep_put64(r, 0);                    /* version of data */
    return 0;
}

static struct timespec get_time(NinepRequest *r, uint32_t valid, uint32_t now, uint32_t set)
{
    struct timespec time;

    time.tv_sec = (time_t)ninep_get64(r);
    time.tv_nsec = (long)ninep_get64(r);
    if (!(valid & now)) {
        return (struct timespec){ 0, UTIME_OMIT };
    }
    return valid & set ? time : (struct timespec){ 0, UTIME_NOW };
}

static unsigned what_changes(uint32_t valid)
{
    static const struct {
        uint32_t valid;
        unsigned what;
    } table[] = {
        { SETATTR_MODE, FS_CHANGE_MODE },
        { SETATTR_UID, FS_CHANGE_UID },
        { SETATTR_GID, FS_CHANGE_GID },
        { SETATTR_SIZE, FS_CHANGE_SIZE },
        { SETATTR_ATIME | SETATTR_MTIME, FS_CHANGE_TIMES },
    };
    unsigned what = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        what |= valid & table[i].valid ? table[i].what : 0;
    }
    return what;
}

/* fid[4] valid[4] mode[4] uid[4] gid[4] size[8] atime_sec[8] atime_nsec[8] mtime_sec[8] mtime_nsec[8] */
int ninep_setattr(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    g_autoptr(FsNode) node = fid ? ninep_fid_node(fid) : NULL;
    const FsdevType *type = r->session->fsdev->type;
    uint32_t valid = ninep_get32(r);
    FsChange change = { .what = what_changes(valid) };

    change.mode = ninep_get32(r);
    change.uid = ninep_get32(r);
    change.gid = ninep_get32(r);
    change.size = ninep_get64(r);
    change.times[0] = get_time(r, valid, SETATTR_ATIME, SETATTR_ATIME_SET);
    change.times[1] = get_time(r, valid, SETATTR_MTIME, SETATTR_MTIME_SET);
    if (!node || r->too_short) {
        return -EBADF;
    }
    if (change.size > INT64_MAX) {
        return -EINVAL;
    }
    if (!type->change) {
        return -EROFS;
    }
    if (!change.what &&
        (valid & SETATTR_CTIME)) { /* comes with any change: here with one of nothing */
        change.what = FS_CHANGE_UID | FS_CHANGE_GID;
        change.uid = change.gid = UINT32_MAX;
    }
    return type->change(node, ninep_fid_file(fid), &change);
}

/* fid[4] -> type[4] bsize[4] blocks[8] bfree[8] bavail[8] files[8] ffree[8] fsid[8] namelen[4] */
int ninep_statfs(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    g_autoptr(FsNode) node = fid ? ninep_fid_node(fid) : NULL;
    struct statfs statfs;
    uint64_t id = 0;
    int result;

    if (!node || r->too_short) {
        return -EBADF;
    }
    result = node->fsdev->type->statfs(node, &statfs);
    if (result) {
        return result;
    }
    memcpy(&id, &statfs.f_fsid, sizeof statfs.f_fsid);
    ninep_put32(r, (uint32_t)statfs.f_type);
    ninep_put32(r, (uint32_t)statfs.f_bsize);
    ninep_put64(r, statfs.f_blocks);
    ninep_put64(r, statfs.f_bfree);
    ninep_put64(r, statfs.f_bavail);
    ninep_put64(r, statfs.f_files);
    ninep_put64(r, statfs.f_ffree);
    ninep_put64(r, id);
    ninep_put32(r, (uint32_t)statfs.f_namelen);
    return 0;
}

/* Extended attributes. */

/* An attribute, or with an empty name all names. */
static ssize_t load(FsNode *node, const char *name, void *value, size_t size)
{
    const FsdevType *type = node->fsdev->type;

    return *name ? type->get_xattr(node, name, value, size) : type->list_xattrs(node, value, size);
}

/* fid[4] newfid[4] name[s] -> size[8]; newfid reads the value */
int ninep_xattrwalk(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint32_t number = ninep_get32(r);
    const char *name = ninep_get_string(r);
    NinepXattr *xattr;
    FsNode *node;
    ssize_t size;
    int result;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (!r->session->fsdev->type->get_xattr) {
        return -EOPNOTSUPP;
    }
    node = ninep_fid_node(fid);
    xattr = g_new0(NinepXattr, 1);
    size = load(node, name, NULL, 0);
    if (size > 0) {
        size = MIN(size, NINEP_XATTR_MOST);
        xattr->value = g_malloc((size_t)size);
        size = load(node, name, xattr->value, (size_t)size);
    }
    if (size < 0) {
        ninep_xattr_free(xattr);
        ninep_node_unref(node);
        return (int)size;
    }
    xattr->size = (size_t)size;
    result = ninep_fid_add(r->session, number, fid->uid, node, xattr);
    ninep_put64(r, (uint64_t)size);
    return result;
}

/* fid[4] name[s] attr_size[8] flags[4]; the fid takes the value by Twrite, and Tclunk sets it */
int ninep_xattrcreate(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    const char *name = ninep_get_string(r);
    uint64_t size = ninep_get64(r);
    uint32_t flags = ninep_get32(r);
    NinepXattr *xattr;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (!r->session->fsdev->type->set_xattr) {
        return -EOPNOTSUPP;
    }
    if (size > NINEP_XATTR_MOST) {
        return -ENOSPC;
    }
    if (!*name || flags > 2) { /* 1: create, 2: replace */
        return -EINVAL;
    }
    xattr = g_new(NinepXattr, 1);
    *xattr = (NinepXattr){ g_strdup(name), g_malloc0(MAX(size, 1)), size, 0, (int)flags };
    g_mutex_lock(&fid->session->lock);
    if (!fid->file && !fid->xattr) {
        fid->xattr = g_steal_pointer(&xattr);
    }
    g_mutex_unlock(&fid->session->lock);
    if (xattr) {
        ninep_xattr_free(xattr);
        return -EINVAL;
    }
    return 0;
}

/* A value that did not come whole is none; no value removes the attribute, as Linux means it. */
int ninep_xattr_store(NinepFid *fid)
{
    const FsdevType *type = fid->node->fsdev->type;
    const NinepXattr *xattr = ninep_fid_xattr(fid);

    if (!xattr || !xattr->name) {
        return 0;
    }
    if (xattr->filled != xattr->size) {
        return -EINVAL;
    }
    return xattr->size
               ? type->set_xattr(fid->node, xattr->name, xattr->value, xattr->size, xattr->flags)
               : type->remove_xattr(fid->node, xattr->name);
}
