/* SPDX-License-Identifier: MIT */
/* Block status: what of a node holds data, reads as zeros or comes from below. */
#include "block/graph/node.h"

int node_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                BlockNode **file)
{
    uint64_t ignored_map;
    BlockNode *ignored_file;
    int status;

    map = map ? map : &ignored_map;
    file = file ? file : &ignored_file;
    *map = 0;
    *file = NULL;
    *count = 0;
    if (offset >= node_size(node)) {
        return BLOCK_STATUS_EOF;
    }
    if (offset >= node->size && bytes) {
        *count = MIN(bytes, node_size(node) - offset);
        *map = offset;
        *file = node->driver->is_protocol ? node : NULL;
        return BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED |
               (*file ? BLOCK_STATUS_OFFSET_VALID : 0) |
               (offset + *count == node_size(node) ? BLOCK_STATUS_EOF : 0);
    }
    bytes = MIN(bytes, node->size - offset);
    if (!bytes) {
        return 0;
    }
    *count = bytes;
    if (!node->driver->status) {
        if (node->driver->is_filter) {
            *map = offset;
            *file = node->file->node;
            return BLOCK_STATUS_RECURSE | BLOCK_STATUS_OFFSET_VALID;
        }
        status = BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED;
        if (node->driver->is_protocol) {
            status |= BLOCK_STATUS_OFFSET_VALID;
            *map = offset;
            *file = node;
        }
        return offset + bytes == node_size(node) ? status | BLOCK_STATUS_EOF : status;
    }
    status = node->driver->status(node, offset, bytes, count, map, file);
    if (status < 0) {
        return status;
    }
    g_assert(*count > 0 && *count <= bytes);
    if ((status & BLOCK_STATUS_RECURSE) && *file && !node->driver->is_filter) {
        uint64_t child_count, child_map;
        BlockNode *child_file;
        int child = node_status(*file, *map, *count, &child_count, &child_map, &child_file);

        if (child < 0) {
            return child;
        }
        if (child_count &&
            !((child & BLOCK_STATUS_EOF) && child_count < *count && (child & BLOCK_STATUS_ZERO))) {
            *count = child_count;
        }
        status |= child & BLOCK_STATUS_ZERO;
        if (status & BLOCK_STATUS_RECURSE && !(status & BLOCK_STATUS_DATA)) {
            status |= child & (BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED);
        }
        if ((child & BLOCK_STATUS_OFFSET_VALID) && node->driver->is_filter) {
            *map = child_map;
            *file = child_file;
        }
        status &= ~BLOCK_STATUS_RECURSE;
    }
    if (offset + *count == node_size(node)) {
        status |= BLOCK_STATUS_EOF;
    }
    if (status & (BLOCK_STATUS_DATA | BLOCK_STATUS_ZERO)) {
        status |= BLOCK_STATUS_ALLOCATED;
    } else if (node->driver->has_backing &&
               (!node->backing || offset >= node_size(node->backing->node))) {
        status |= BLOCK_STATUS_ZERO;
    }
    return status;
}

int node_status_above(BlockNode *node, BlockNode *base, uint64_t offset, uint64_t bytes,
                      uint64_t *count, uint64_t *map, BlockNode **file, unsigned *depth)
{
    uint64_t wanted = bytes;
    unsigned layer = 0;
    int status = 0;

    *count = 0;
    for (; node && node != base; node = node_below(node)) {
        if (node->driver->is_filter && node->file) {
            continue; /* not a layer: the node below answers */
        }
        status = node_status(node, offset, wanted, count, map, file);
        if (status < 0) {
            return status;
        }
        if (*count == 0) {
            /* Behind the end of this layer: reads as zeroes through the longer one above. */
            *count = wanted;
            *depth = layer;
            return BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
        }
        if (status & BLOCK_STATUS_ALLOCATED) {
            *depth = layer;
            return status;
        }
        wanted = *count;
        layer++;
    }
    *depth = layer ? layer - 1 : 0;
    *count = *count ? *count : wanted;
    return base ? 0 : BLOCK_STATUS_ZERO;
}

int node_allocated_above(BlockNode *node, BlockNode *base, uint64_t offset, uint64_t bytes,
                         uint64_t *count)
{
    uint64_t map;
    BlockNode *file;
    unsigned depth;
    int status = node_status_above(node, base, offset, bytes, count, &map, &file, &depth);

    if (status < 0) {
        return status;
    }
    return (status & BLOCK_STATUS_ALLOCATED) != 0;
}
