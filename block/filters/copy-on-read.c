/* SPDX-License-Identifier: MIT */
/* Filter that writes what was read from a backing file into the image below. */
#include "base/bits.h"
#include "block/graph/node.h"

#include <errno.h>

enum { COPY_MAX = 1024 * 1024 };

static void copy_on_read_child_perm(BlockNode *node, BlockChild *child, unsigned perm,
                                    unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    *child_perm = perm | BLOCK_PERM_WRITE_UNCHANGED;
    *child_shared = shared;
}

static uint64_t copy_granularity(BlockNode *below)
{
    BlockNodeInfo info = { 0 };

    if (below->driver->info && below->driver->info(below, &info) == 0 && info.cluster_size) {
        return info.cluster_size;
    }
    return 4096;
}

/* Reads [offset, offset + bytes) and keeps it in the image. */
static int copy_range(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    BlockNode *below = node->file->node;
    uint64_t granularity = copy_granularity(below);
    uint64_t start = align_down(offset, granularity);
    uint64_t end = MIN(align_up(offset + bytes, granularity), node_size(below));
    g_autofree uint8_t *buffer = g_try_malloc(end - start);
    TrackedRequest request;
    int result;

    if (!buffer) {
        return -ENOMEM;
    }
    /* A write between reading and keeping would be undone. */
    node_range_lock(node, &request, start, end - start);
    result = node_pread(below, start, buffer, end - start);
    if (result == 0) {
        io_vector_from_buffer(vector, buffer + (offset - start), bytes);
        /* The reader has its data, whether or not it can be kept. */
        if (buffer_is_zero(buffer, end - start)) {
            node_write_zeroes(below, start, end - start, BLOCK_WRITE_UNCHANGED);
        } else {
            node_pwrite(below, start, buffer, end - start, BLOCK_WRITE_UNCHANGED);
        }
    }
    node_range_unlock(node, &request);
    return result;
}

static int copy_on_read_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    BlockNode *below = node->file->node;
    BlockNode *image = node_skip_filters(below);
    int result = 0;

    while (bytes && result >= 0) {
        uint64_t count, n;
        int allocated = node_allocated_above(image, node_below(image), offset, bytes, &count);

        n = MIN(bytes, count);
        if (allocated < 0) {
            return allocated;
        }
        if (allocated || !image->backing) {
            result = node_read(below, offset, n, vector);
        } else {
            n = MIN(n, COPY_MAX);
            result = copy_range(node, offset, n, vector);
        }
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    return result;
}

static int copy_on_read_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                              unsigned flags)
{
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int copy_on_read_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                     unsigned flags)
{
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int copy_on_read_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return node_discard(node->file->node, offset, bytes);
}

static const BlockDriver copy_on_read_driver = {
    .name = "copy-on-read",
    .summary = "Filter that copies what is read from the backing file into the image",
    .is_filter = true,
    .child_perm = copy_on_read_child_perm,
    .read = copy_on_read_read,
    .write = copy_on_read_write,
    .write_zeroes = copy_on_read_write_zeroes,
    .discard = copy_on_read_discard,
};
BLOCK_DRIVER(copy_on_read_driver);
