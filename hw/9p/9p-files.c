/* SPDX-License-Identifier: MIT */
/* Open files and folders: Tlopen, Tlcreate, Tread, Twrite, Treaddir, Tfsync. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "hw/9p/9p.h"
#include "hw/virtio/virtio.h"

enum {
    DATA_HEADER = NINEP_HEADER + 4, /* before the data of Rread and Rreaddir */
    WRITE_HEADER = NINEP_HEADER + 16,
    ENTRY_HEADER = 13 + 8 + 1 + 2,
    PAGE = 4096,
    PERMISSIONS = 07777,
};

/* 9P's flags are Linux's of x86. The rest of them is the client's business. */
static int host_flags(uint32_t flags)
{
    static const struct {
        uint32_t ninep;
        int host;
    } table[] = {
        { 0200, O_EXCL },    { 01000, O_TRUNC },       { 02000, O_APPEND },
        { 010000, O_DSYNC }, { 0200000, O_DIRECTORY }, { 04000000, O_SYNC & ~O_DSYNC },
    };
    int host = flags & 3;

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        host |= flags & table[i].ninep ? table[i].host : 0;
    }
    return host;
}

/* How much one read or write should carry: whole pages. */
static uint32_t io_unit(const NinepRequest *r)
{
    return (r->session->msize - NINEP_IO_HEADER) / PAGE * PAGE;
}

/* fid[4] flags[4] -> qid iounit[4] */
int ninep_lopen(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint32_t flags = ninep_get32(r);
    FsAttributes attributes;
    FsFile *file = NULL;
    FsNode *node;
    int result;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if ((flags & 3) == 3) {
        return -EINVAL;
    }
    node = ninep_fid_node(fid);
    result = node->fsdev->type->open_node(node, host_flags(flags), &file);
    if (!result) {
        result = node->fsdev->type->attributes(node, &attributes);
    }
    if (!result) {
        ninep_put_qid(r, &attributes);
        ninep_put32(r, io_unit(r));
        result = ninep_fid_become(fid, node, file, S_ISDIR(attributes.stat.st_mode));
    }
    if (result) {
        if (file) {
            file->fsdev->type->close_file(file);
        }
        ninep_node_unref(node);
    }
    return result;
}

/* fid[4] name[s] flags[4] mode[4] gid[4] -> qid iounit[4]; the fid becomes the file */
int ninep_lcreate(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    const char *name = ninep_get_string(r);
    int flags = host_flags(ninep_get32(r));
    uint32_t mode = ninep_get32(r), gid = ninep_get32(r);
    const FsdevType *type = r->session->fsdev->type;
    g_autoptr(FsNode) folder = NULL;
    FsNode *node = NULL;
    FsFile *file = NULL;
    int result;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (!type->create) {
        return -EROFS;
    }
    folder = ninep_fid_node(fid);
    result = type->create(
        folder, name, flags,
        &(FsNew){ .mode = S_IFREG | (mode & PERMISSIONS), .uid = fid->uid, .gid = gid }, &node,
        &file);
    if (result) {
        return result;
    }
    result = ninep_put_node_qid(r, node);
    ninep_put32(r, io_unit(r));
    if (!result) {
        result = ninep_fid_become(fid, node, file, false);
    }
    if (result) {
        type->close_file(file);
        ninep_node_unref(node);
    }
    return result;
}

static int read_xattr(NinepRequest *r, const NinepXattr *xattr, uint64_t offset, uint32_t count)
{
    size_t size = xattr->name || offset >= xattr->size ? 0 : MIN(count, xattr->size - offset);

    ninep_put32(r, (uint32_t)size);
    if (size) { /* an attribute without a value has no memory */
        g_byte_array_append(r->reply, xattr->value + offset, (guint)size);
    }
    return 0;
}

/* fid[4] offset[8] count[4] -> count[4] data[count] */
int ninep_read(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint64_t offset = ninep_get64(r);
    uint32_t count = ninep_room(r, DATA_HEADER, ninep_get32(r));
    const NinepXattr *xattr = fid ? ninep_fid_xattr(fid) : NULL;
    FsFile *file = fid ? ninep_fid_file(fid) : NULL;
    g_autofree struct iovec *part = NULL;
    unsigned pieces = r->room_count;
    ssize_t got;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (xattr) {
        return read_xattr(r, xattr, offset, count);
    }
    if (!file || offset > INT64_MAX) {
        return -EINVAL;
    }
    if (fid->is_folder) {
        return -EISDIR;
    }
    part = ninep_iovec_part(r->room, &pieces, DATA_HEADER, count);
    got = file->fsdev->type->read(file, part, MIN(pieces, IOV_MAX), offset);
    if (got < 0) {
        return (int)got;
    }
    ninep_put32(r, (uint32_t)got);
    r->payload = (size_t)got;
    return 0;
}

static ssize_t write_xattr(NinepRequest *r, NinepFid *fid, NinepXattr *xattr, uint64_t offset,
                           uint32_t count)
{
    size_t size = 0;

    g_mutex_lock(&fid->session->lock);
    if (xattr->name && offset <= xattr->size) {
        size = MIN(count, xattr->size - offset);
        size = iovec_to_buffer(r->out, r->out_count, WRITE_HEADER, xattr->value + offset, size);
        xattr->filled = MAX(xattr->filled, offset + size);
    }
    g_mutex_unlock(&fid->session->lock);
    return size || !count ? (ssize_t)size : -ENOSPC;
}

/* fid[4] offset[8] count[4] data[count] -> count[4] */
int ninep_write(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint64_t offset = ninep_get64(r);
    uint32_t count = ninep_get32(r);
    NinepXattr *xattr = fid ? ninep_fid_xattr(fid) : NULL;
    FsFile *file = fid ? ninep_fid_file(fid) : NULL;
    g_autofree struct iovec *part = NULL;
    unsigned pieces = r->out_count;
    ssize_t done;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (count > r->size - WRITE_HEADER || offset > INT64_MAX) {
        return -EINVAL;
    }
    if (xattr) {
        done = write_xattr(r, fid, xattr, offset, count);
    } else if (!file || fid->is_folder) {
        return -EINVAL;
    } else {
        part = ninep_iovec_part(r->out, &pieces, WRITE_HEADER, count);
        done = file->fsdev->type->write(file, part, MIN(pieces, IOV_MAX), offset);
    }
    if (done < 0) {
        return (int)done;
    }
    ninep_put32(r, (uint32_t)done);
    return 0;
}

typedef struct {
    NinepRequest *request;
    size_t limit; /* of the reply */
} Entries;

/* qid[13] offset[8] type[1] name[s] */
static bool put_entry(void *opaque, const FsEntry *entry)
{
    Entries *entries = opaque;
    NinepRequest *r = entries->request;
    size_t length = strlen(entry->name);
    FsAttributes attributes = { .stat.st_mode = DTTOIF(entry->type), .number = entry->number };

    if (r->reply->len + ENTRY_HEADER + length > entries->limit) {
        return false;
    }
    ninep_put_qid(r, &attributes);
    ninep_put64(r, entry->offset);
    ninep_put8(r, entry->type);
    ninep_put_string(r, entry->name, length);
    return true;
}

/* fid[4] offset[8] count[4] -> count[4] data[count] */
int ninep_readdir(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint64_t offset = ninep_get64(r);
    uint32_t count = ninep_room(r, DATA_HEADER, ninep_get32(r));
    FsFile *file = fid ? ninep_fid_file(fid) : NULL;
    Entries entries = { r, DATA_HEADER + count };
    int result;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (!file || !fid->is_folder) {
        return -EINVAL;
    }
    ninep_put32(r, 0);
    result = file->fsdev->type->entries(file, offset, put_entry, &entries);
    store_le32(r->reply->data + NINEP_HEADER, r->reply->len - DATA_HEADER);
    return result;
}

/* fid[4] datasync[4] */
int ninep_fsync(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    bool data_only = r->left && ninep_get32(r);
    FsFile *file = fid ? ninep_fid_file(fid) : NULL;

    if (!fid || r->too_short) {
        return -EBADF;
    }
    return file ? file->fsdev->type->sync(file, data_only) : -EINVAL;
}
