/* SPDX-License-Identifier: MIT */
/* An empty folder that is nowhere on the host: -fsdev synth. */
#include <errno.h>
#include <dirent.h>
#include <string.h>

#include "machine/fsdev.h"

typedef struct {
    Fsdev fsdev;
    FsNode root; /* lives as long as the Fsdev: nobody counts */
    FsFile file;
} Synth;

enum { ROOT_NUMBER = 1, BLOCK = 4096, SYNTH_MAGIC = 0x01021997 /* 9P's own */ };

static bool synth_open(Fsdev *fsdev, GError **error)
{
    Synth *synth = (Synth *)fsdev;

    synth->root.fsdev = synth->file.fsdev = fsdev;
    return true;
}

static void synth_close(Fsdev *fsdev)
{
}

static FsNode *synth_root(Fsdev *fsdev)
{
    return &((Synth *)fsdev)->root;
}

static FsNode *synth_same(FsNode *node)
{
    return node;
}

static void synth_unref(FsNode *node)
{
}

static int synth_walk(FsNode *folder, const char *name, FsNode **node)
{
    return -ENOENT;
}

static int synth_attributes(FsNode *node, FsAttributes *attributes)
{
    *attributes = (FsAttributes){ .number = ROOT_NUMBER };
    attributes->stat.st_mode = S_IFDIR | 0555;
    attributes->stat.st_nlink = 2;
    attributes->stat.st_blksize = BLOCK;
    return 0;
}

static int synth_statfs(FsNode *node, struct statfs *statfs)
{
    *statfs = (struct statfs){ .f_type = SYNTH_MAGIC, .f_bsize = BLOCK, .f_namelen = 255 };
    return 0;
}

static int synth_open_node(FsNode *node, int flags, FsFile **file)
{
    *file = &((Synth *)node->fsdev)->file;
    return 0;
}

static int synth_read_link(FsNode *node, char *target, size_t size)
{
    return -EINVAL;
}

static void synth_close_file(FsFile *file)
{
}

static ssize_t synth_transfer(FsFile *file, const struct iovec *iov, unsigned count,
                              uint64_t offset)
{
    return -EISDIR;
}

static int synth_sync(FsFile *file, bool data_only)
{
    return 0;
}

static int synth_entries(FsFile *file, uint64_t offset, FsEntryFunction *function, void *opaque)
{
    static const char *const names[] = { ".", ".." };

    for (; offset < G_N_ELEMENTS(names); offset++) {
        if (!function(opaque, &(FsEntry){ ROOT_NUMBER, offset + 1, DT_DIR, names[offset] })) {
            break;
        }
    }
    return 0;
}

static const Property synth_properties[] = { { 0 } };

static const FsdevType synth_type = {
    .name = "synth",
    .summary = "An empty folder, for tests",
    .instance_size = sizeof(Synth),
    .properties = synth_properties,
    .open = synth_open,
    .close = synth_close,
    .root = synth_root,
    .ref = synth_same,
    .unref = synth_unref,
    .parent = synth_same,
    .walk = synth_walk,
    .attributes = synth_attributes,
    .statfs = synth_statfs,
    .open_node = synth_open_node,
    .read_link = synth_read_link,
    .close_file = synth_close_file,
    .read = synth_transfer,
    .write = synth_transfer,
    .sync = synth_sync,
    .entries = synth_entries,
};
FSDEV_TYPE(synth_type);
