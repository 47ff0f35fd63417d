/* SPDX-License-Identifier: MIT */
/*
 * The node that blockdev-create writes a new image into, as a protocol: creating a file of this kind empties
 * the node. The name works only while such a job holds the node, so that no image can lead there.
 */
#include "base/error.h"
#include "block/graph/blockers.h"

#include <string.h>

static const char prefix[] = "format-target:";

static BlockNode *find_target(BlockGraph *graph, const char *filename, GError **error)
{
    const char *name = g_str_has_prefix(filename, prefix) ? filename + strlen(prefix) : filename;
    BlockNode *node = node_find(graph, name);

    if (node && node_is_held(node, HOLD_FORMAT)) {
        return node;
    }
    error_fail(error, KASO_ERROR_INVALID, "'%s' is not being formatted", name);
    return NULL;
}

static bool format_target_create(BlockGraph *graph, const char *filename, GHashTable *options,
                                 GError **error)
{
    BlockNode *node = find_target(graph, filename, error);
    uint64_t size = 0;
    int prealloc = PREALLOC_OFF;

    /* The file is there already. */
    g_free(options_take(options, "nocow"));
    g_free(options_take(options, "extent_size_hint"));
    return node && options_take_size(options, "size", &size, error) &&
           options_take_enum(options, "preallocation", prealloc_names, &prealloc, error) &&
           node_truncate(node, 0, PREALLOC_OFF, error) &&
           (!size || node_truncate(node, size, (Prealloc)prealloc, error));
}

static bool format_target_open(BlockNode *node, GHashTable *options, GError **error)
{
    g_autofree char *filename = options_take(options, "filename");
    BlockNode *target = find_target(node->graph, filename ? filename : "", error);

    if (!target) {
        return false;
    }
    node_ref(target);
    if (!node_attach_child(node, target, "file", BLOCK_ROLE_FILTERED | BLOCK_ROLE_PRIMARY, error)) {
        return false;
    }
    node->request_alignment = target->request_alignment;
    return true;
}

static int format_target_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return node_read(node->file->node, offset, bytes, vector);
}

static int format_target_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                               unsigned flags)
{
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int format_target_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                      unsigned flags)
{
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static bool format_target_truncate(BlockNode *node, uint64_t size, Prealloc prealloc,
                                   GError **error)
{
    return node_truncate(node->file->node, size, prealloc, error);
}

static const char *const prefixes[] = { prefix, NULL };

static const BlockDriver format_target_driver = {
    .name = "format-target",
    .summary = "The node that blockdev-create writes into",
    .is_protocol = true,
    .grows_with_zeroes = true,
    .prefixes = prefixes,
    .open = format_target_open,
    .create = format_target_create,
    .read = format_target_read,
    .write = format_target_write,
    .write_zeroes = format_target_write_zeroes,
    .truncate = format_target_truncate,
};
BLOCK_DRIVER(format_target_driver);
