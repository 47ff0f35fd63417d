/* SPDX-License-Identifier: MIT */
/* Filter that writes what was read from a backing file into the image below. */
#include "base/bits.h"
#include "base/error.h"
#include "block/graph/debug-event.h"
#include "block/graph/node.h"

#include <errno.h>

enum { COPY_MAX = 1024 * 1024 };

typedef struct {
    BlockNode *bottom; /* the last layer that is copied from; NULL: all are */
} CopyOnRead;

static bool copy_on_read_open(BlockNode *node, GHashTable *options, GError **error)
{
    CopyOnRead *copy = node->state;
    g_autofree char *name = options_take(options, "bottom");
    BlockNode *bottom = name ? block_find_node(node->graph, name, error) : NULL;

    if (!name) {
        return true;
    }
    if (!bottom) {
        return false;
    }
    if (bottom->driver->is_filter) {
        return error_fail(error, KASO_ERROR_INVALID, "Bottom node '%s' is a filter", name);
    }
    for (BlockNode *layer = node->file->node; layer != bottom; layer = node_below(layer)) {
        if (!node_below(layer)) {
            return error_fail(error, KASO_ERROR_INVALID, "Bottom node '%s' is not below '%s'", name,
                              node->file->node->node_name);
        }
    }
    copy->bottom = bottom;
    node_ref(bottom);
    return true;
}

static void copy_on_read_close(BlockNode *node)
{
    node_unref(((CopyOnRead *)node->state)->bottom);
}

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
        node_debug_event(below, EVENT_COR_WRITE);
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

/* Whether the first *count bytes of a range come from a layer that is copied from; negative errno. */
static int is_to_be_copied(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count)
{
    const CopyOnRead *copy = node->state;
    BlockNode *image = node_skip_filters(node->file->node), *below = node_below(image);
    uint64_t n;
    int there = node_allocated_above(image, below, offset, bytes, count);

    *count = MIN(*count, bytes);
    if (there || !below) {
        return there < 0 ? there : 0;
    }
    if (!copy->bottom) {
        return 1;
    }
    there = node_allocated_above(below, node_below(copy->bottom), offset, *count, &n);
    *count = MIN(*count, n);
    return there;
}

static int copy_on_read_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    BlockNode *below = node->file->node;
    int result = 0;

    while (bytes && result >= 0) {
        uint64_t n;
        int wanted = is_to_be_copied(node, offset, bytes, &n);

        if (wanted < 0) {
            return wanted;
        }
        if (!wanted) {
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

static const BlockOption copy_on_read_options[] = {
    { "bottom", "node of the last layer that is copied from; without it, all are" },
    { 0 },
};

static const BlockDriver copy_on_read_driver = {
    .name = "copy-on-read",
    .summary = "Filter that copies what is read from the backing file into the image",
    .options = copy_on_read_options,
    .instance_size = sizeof(CopyOnRead),
    .is_filter = true,
    .open = copy_on_read_open,
    .close = copy_on_read_close,
    .child_perm = copy_on_read_child_perm,
    .read = copy_on_read_read,
    .write = copy_on_read_write,
    .write_zeroes = copy_on_read_write_zeroes,
    .discard = copy_on_read_discard,
};
BLOCK_DRIVER(copy_on_read_driver);
