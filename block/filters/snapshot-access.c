/* SPDX-License-Identifier: MIT */
/* Reads what a copy-before-write filter has kept: the content of the moment when it was put there. */
#include "base/error.h"
#include "block/filters/copy-before-write.h"

#include <errno.h>

static bool snapshot_access_open(BlockNode *node, GHashTable *options, GError **error)
{
    BlockOpenFlags flags = node->flags;
    BlockChild *file =
        node_open_child(node, "file", BLOCK_ROLE_STORAGE, NULL, options, flags, error);

    if (!file) {
        return false;
    }
    if (!copy_before_write_is(file->node)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "snapshot-access needs a copy-before-write node, which '%s' is not",
                          file->node->node_name);
    }
    node->read_only = node->flags.read_only = true;
    return true;
}

/* The image goes on to be written: nothing is asked of it but that it be there. */
static void snapshot_access_child_perm(BlockNode *node, BlockChild *child, unsigned perm,
                                       unsigned shared, unsigned *child_perm,
                                       unsigned *child_shared)
{
    *child_perm = 0;
    *child_shared = BLOCK_PERM_ALL;
}

static int snapshot_access_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return copy_before_write_read_old(node->file->node, offset, bytes, vector);
}

static const BlockOption snapshot_access_options[] = {
    { "file", "a copy-before-write node" },
    { 0 },
};

static const BlockDriver snapshot_access_driver = {
    .name = "snapshot-access",
    .summary = "The old content that a copy-before-write filter keeps, read-only",
    .options = snapshot_access_options,
    .no_file_child = true,
    .open = snapshot_access_open,
    .child_perm = snapshot_access_child_perm,
    .read = snapshot_access_read,
};
BLOCK_DRIVER(snapshot_access_driver);
