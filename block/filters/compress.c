/* SPDX-License-Identifier: MIT */
/*
 * Filter whose writes are stored compressed. Clusters are compressed whole: what a write covers of one in
 * part is read first. One write at a time, so that none is lost between a reading and its writing.
 */
#include "base/bits.h"
#include "base/error.h"
#include "block/graph/node.h"

#include <errno.h>

typedef struct {
    uint64_t cluster_size;
    CoroutineMutex lock;
} Compress;

static bool compress_open(BlockNode *node, GHashTable *options, GError **error)
{
    Compress *compress = node->state;
    BlockNode *below = node->file->node, *image = node_skip_filters(below);
    BlockNodeInfo info = { 0 };

    if (!image->driver->write_compressed) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Compression is not supported for underlying format: %s",
                          image->driver->name);
    }
    if (image->driver->info) {
        image->driver->info(image, &info);
    }
    compress->cluster_size = info.cluster_size ? info.cluster_size : 65536;
    coroutine_mutex_init(&compress->lock);
    return true;
}

static int compress_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return node_read(node->file->node, offset, bytes, vector);
}

/* Part of a cluster. */
static int write_part(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Compress *compress = node->state;
    BlockNode *below = node->file->node;
    uint64_t start = align_down(offset, compress->cluster_size);
    uint64_t n = MIN(compress->cluster_size, node_size(below) - start);
    g_autofree uint8_t *buffer = g_try_malloc(n);
    struct iovec iov = { buffer, n };
    int result = buffer ? node_pread(below, start, buffer, n) : -ENOMEM;

    if (result == 0) {
        io_vector_to_buffer(vector, buffer + (offset - start), bytes);
        result = node_write_compressed(below, start, n, io_vector_of(&iov));
    }
    return result;
}

static int compress_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                          unsigned flags)
{
    Compress *compress = node->state;
    BlockNode *below = node->file->node;
    uint64_t cluster = compress->cluster_size;
    int result = 0;

    coroutine_mutex_lock(&compress->lock);
    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, cluster - offset % cluster);
        bool whole = offset % cluster == 0 && (n == cluster || offset + n == node_size(below));

        if (whole) {
            n = MAX(n, align_down(bytes, cluster));
            result = node_write_compressed(below, offset, n, vector);
        } else {
            result = write_part(node, offset, n, vector);
        }
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    coroutine_mutex_unlock(&compress->lock);
    return result == 0 && flags & BLOCK_FUA ? node_flush(below) : result;
}

static int compress_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Compress *compress = node->state;
    int result;

    coroutine_mutex_lock(&compress->lock);
    result = node_write_zeroes(node->file->node, offset, bytes, flags);
    coroutine_mutex_unlock(&compress->lock);
    return result;
}

static int compress_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Compress *compress = node->state;
    int result;

    coroutine_mutex_lock(&compress->lock);
    result = node_discard(node->file->node, offset, bytes);
    coroutine_mutex_unlock(&compress->lock);
    return result;
}

static const BlockDriver compress_driver = {
    .name = "compress",
    .summary = "Filter whose writes are stored compressed",
    .instance_size = sizeof(Compress),
    .is_filter = true,
    .open = compress_open,
    .read = compress_read,
    .write = compress_write,
    .write_zeroes = compress_write_zeroes,
    .discard = compress_discard,
};
BLOCK_DRIVER(compress_driver);
