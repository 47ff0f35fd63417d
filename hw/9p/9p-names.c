/* SPDX-License-Identifier: MIT */
/* Messages about names in folders. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "hw/9p/9p.h"

enum { REMOVE_FOLDER = 0x200, PERMISSIONS = 07777 };

/* The node of the fid that comes next in the message; counted, or NULL. */
static FsNode *get_node(NinepRequest *r, uint32_t *uid)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));

    if (fid && uid) {
        *uid = fid->uid;
    }
    return fid ? ninep_fid_node(fid) : NULL;
}

static int make(NinepRequest *r, FsNode *folder, const char *name, const FsNew *new)
{
    const FsdevType *type = r->session->fsdev->type;
    g_autoptr(FsNode) node = NULL;
    int result;

    if (!folder || r->too_short) {
        return -EBADF;
    }
    if (!type->make) {
        return -EROFS;
    }
    result = type->make(folder, name, new, &node);
    return result ? result : ninep_put_node_qid(r, node);
}

/* fid[4] name[s] symtgt[s] gid[4] -> qid */
int ninep_symlink(NinepRequest *r)
{
    FsNew new = { .mode = S_IFLNK | 0777 };
    g_autoptr(FsNode) folder = get_node(r, &new.uid);
    const char *name = ninep_get_string(r);

    new.target = ninep_get_string(r);
    new.gid = ninep_get32(r);
    if (strlen(new.target) >= PATH_MAX) {
        return -ENAMETOOLONG;
    }
    return *new.target || r->too_short ? make(r, folder, name, &new) : -ENOENT;
}

/* dfid[4] name[s] mode[4] major[4] minor[4] gid[4] -> qid */
int ninep_mknod(NinepRequest *r)
{
    FsNew new = { 0 };
    g_autoptr(FsNode) folder = get_node(r, &new.uid);
    const char *name = ninep_get_string(r);
    uint32_t major, minor;

    new.mode = ninep_get32(r);
    major = ninep_get32(r);
    minor = ninep_get32(r);
    new.gid = ninep_get32(r);
    new.rdev = makedev(major, minor);
    if (!(new.mode &S_IFMT)) {
        new.mode |= S_IFREG;
    }
    if (!S_ISREG(new.mode) && !S_ISCHR(new.mode) && !S_ISBLK(new.mode) && !S_ISFIFO(new.mode) &&
        !S_ISSOCK(new.mode)) {
        return -EINVAL;
    }
    new.mode &= S_IFMT | PERMISSIONS;
    return make(r, folder, name, &new);
}

/* dfid[4] name[s] mode[4] gid[4] -> qid */
int ninep_mkdir(NinepRequest *r)
{
    FsNew new = { 0 };
    g_autoptr(FsNode) folder = get_node(r, &new.uid);
    const char *name = ninep_get_string(r);

    new.mode = S_IFDIR | (ninep_get32(r) & PERMISSIONS);
    new.gid = ninep_get32(r);
    return make(r, folder, name, &new);
}

/* dfid[4] fid[4] name[s] */
int ninep_link(NinepRequest *r)
{
    g_autoptr(FsNode) folder = get_node(r, NULL);
    g_autoptr(FsNode) node = get_node(r, NULL);
    const char *name = ninep_get_string(r);
    const FsdevType *type = r->session->fsdev->type;

    if (!folder || !node || r->too_short) {
        return -EBADF;
    }
    return type->link ? type->link(node, folder, name) : -EROFS;
}

/* fid[4] dfid[4] name[s] */
int ninep_rename(NinepRequest *r)
{
    g_autoptr(FsNode) node = get_node(r, NULL);
    g_autoptr(FsNode) folder = get_node(r, NULL);
    const char *name = ninep_get_string(r);
    const FsdevType *type = r->session->fsdev->type;

    if (!folder || !node || r->too_short) {
        return -EBADF;
    }
    return type->move ? type->move(node, folder, name) : -EROFS;
}

/* olddirfid[4] oldname[s] newdirfid[4] newname[s] */
int ninep_renameat(NinepRequest *r)
{
    g_autoptr(FsNode) from = get_node(r, NULL);
    const char *name = ninep_get_string(r);
    g_autoptr(FsNode) to = get_node(r, NULL);
    const char *new_name = ninep_get_string(r);
    const FsdevType *type = r->session->fsdev->type;

    if (!from || !to || r->too_short) {
        return -EBADF;
    }
    return type->rename ? type->rename(from, name, to, new_name) : -EROFS;
}

/* dirfd[4] name[s] flags[4] */
int ninep_unlinkat(NinepRequest *r)
{
    g_autoptr(FsNode) folder = get_node(r, NULL);
    const char *name = ninep_get_string(r);
    uint32_t flags = ninep_get32(r);
    const FsdevType *type = r->session->fsdev->type;

    if (!folder || r->too_short) {
        return -EBADF;
    }
    if (flags & ~REMOVE_FOLDER) {
        return -EINVAL;
    }
    return type->unlink ? type->unlink(folder, name, flags & REMOVE_FOLDER) : -EROFS;
}

/* fid[4] -> target[s] */
int ninep_readlink(NinepRequest *r)
{
    g_autoptr(FsNode) node = get_node(r, NULL);
    g_autofree char *target = g_malloc(PATH_MAX);
    int size;

    if (!node || r->too_short) {
        return -EBADF;
    }
    size = node->fsdev->type->read_link(node, target, PATH_MAX);
    if (size < 0) {
        return size;
    }
    ninep_put_string(r, target, (size_t)size);
    return 0;
}
