/* SPDX-License-Identifier: MIT */
/*
 * qcow2: compressed writes. A worker compresses a batch of clusters; they are stored one behind the
 * other and, where that gives one range, written with one request.
 */
#include "block/qcow2/qcow2.h"

#include <errno.h>
#include <string.h>

typedef struct {
    ClusterCodec *codec;
    unsigned count;
    uint32_t cluster_size;
    int result;
    struct {
        const uint8_t *in;
        struct iovec out; /* iov_len 0: it does not get smaller */
        uint64_t host;
    } * clusters;
} Batch;

static int compress_worker(void *opaque)
{
    Batch *batch = opaque;
    uint8_t *out = cluster_codec_packed(batch->codec);

    for (unsigned i = 0; i < batch->count; i++) {
        int64_t size =
            cluster_compress(batch->codec, batch->clusters[i].in, out, batch->cluster_size - 1);

        if (size < 0 && size != -ENOSPC) {
            return (int)size;
        }
        batch->clusters[i].out = (struct iovec){ out, size < 0 ? 0 : (size_t)size };
        out += batch->clusters[i].out.iov_len;
    }
    return 0;
}

static int link_compressed(Qcow2 *q, uint64_t offset, uint64_t host, uint64_t size)
{
    unsigned size_shift = 62 - (q->cluster_bits - 8), index;
    uint64_t sectors = ((host & 511) + size - 1) >> 9;
    L2Entry entry = { host | QCOW2_COMPRESSED | sectors << size_shift, 0 };
    L2Entry old;
    Table *table;
    int result = qcow2_l2_get_writable(q, offset, &table, &index);

    if (result < 0) {
        return result;
    }
    old = qcow2_l2_load(q, table->data, index);
    qcow2_l2_store(q, table->data, index, entry);
    table_cache_dirty(q->l2_cache, table);
    qcow2_free_entry(q, old.entry);
    table_cache_put(q->l2_cache, table);
    return 0;
}

/* [lock] */
static int batch_allocate(Qcow2 *q, Batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        uint64_t size = batch->clusters[i].out.iov_len;
        int64_t host = size ? qcow2_alloc_bytes(q, size) : 0;

        if (host < 0) {
            while (i-- > 0) {
                size = batch->clusters[i].out.iov_len;
                if (size) {
                    qcow2_update_refcount(q, batch->clusters[i].host, size, -1);
                }
            }
            return (int)host;
        }
        batch->clusters[i].host = (uint64_t)host;
    }
    return 0;
}

/* The packed data of a batch lies in one piece; so does its place in the file, mostly. */
static int batch_write(Qcow2 *q, const Batch *batch)
{
    int result = 0;

    for (unsigned i = 0; i < batch->count && result == 0;) {
        struct iovec run = batch->clusters[i].out;
        uint64_t host = batch->clusters[i].host;

        for (i++; i < batch->count; i++) {
            size_t size = batch->clusters[i].out.iov_len;

            if (size && batch->clusters[i].host != host + run.iov_len) {
                break;
            }
            run.iov_len += size;
        }
        if (run.iov_len) {
            node_debug_event(q->node->file->node, EVENT_WRITE_COMPRESSED);
            result = node_pwrite(q->node->file->node, host, run.iov_base, run.iov_len, 0);
        }
    }
    return result;
}

/* [lock] What is linked stays; what is not gives its space back. */
static int batch_link(Qcow2 *q, const Batch *batch, uint64_t offset, int result)
{
    for (unsigned i = 0; i < batch->count; i++) {
        uint64_t size = batch->clusters[i].out.iov_len, host = batch->clusters[i].host;

        if (size && result == 0) {
            node_debug_event(q->node->file->node, EVENT_L2_UPDATE_COMPRESSED);
            result = link_compressed(q, offset + (uint64_t)i * q->cluster_size, host, size);
        }
        if (size && result < 0) {
            qcow2_update_refcount(q, host, size, -1);
        }
    }
    return result;
}

static int batch_store(Qcow2 *q, uint64_t offset, Batch *batch)
{
    uint64_t end = offset + (uint64_t)batch->count * q->cluster_size;
    Qcow2Allocation in_flight = { .start = offset, .end = end };
    int result;

    in_flight.link.data = &in_flight;
    coroutine_queue_init(&in_flight.waiters);
    coroutine_mutex_lock(&q->lock);
    while (qcow2_wait_allocations(q, offset, end)) {
    }
    result = qcow2_may_write(q);
    if (result == 0) {
        result = batch_allocate(q, batch);
    }
    if (result < 0) {
        coroutine_mutex_unlock(&q->lock);
        return result;
    }
    g_queue_push_tail_link(&q->allocations, &in_flight.link);
    coroutine_mutex_unlock(&q->lock);
    result = batch_write(q, batch);
    coroutine_mutex_lock(&q->lock);
    result = batch_link(q, batch, offset, result);
    g_queue_unlink(&q->allocations, &in_flight.link);
    coroutine_queue_wake_all(&in_flight.waiters);
    coroutine_mutex_unlock(&q->lock);
    return result;
}

/* Points to the clusters' content; what is not in one piece, or no whole cluster, is copied. */
static void batch_fill(Qcow2 *q, Batch *batch, uint64_t bytes, IoVector vector, uint8_t *copy)
{
    uint64_t cluster = q->cluster_size;

    batch->count = (unsigned)MIN(qcow2_clusters(q, bytes), qcow2_compressed_batch(q));
    for (unsigned i = 0; i < batch->count; i++) {
        uint64_t n = MIN(bytes, cluster);

        vector = io_vector_skip(vector, 0);
        if (n == cluster && vector.iov->iov_len - vector.skip >= n) {
            batch->clusters[i].in = (const uint8_t *)vector.iov->iov_base + vector.skip;
        } else if (copy) {
            io_vector_to_buffer(vector, copy, n);
            memset(copy + n, 0, cluster - n);
            batch->clusters[i].in = copy;
            copy = NULL;
        } else {
            batch->count = i;
        }
        vector = io_vector_skip(vector, n);
        bytes -= n;
    }
}

/* Writes some clusters; *done says how many bytes. */
static int write_batch(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                       Batch *batch, uint64_t *done)
{
    Qcow2 *q = qcow2_of(node);
    int result;

    batch_fill(q, batch, bytes, vector, cluster_codec_plain(batch->codec));
    *done = MIN(bytes, (uint64_t)batch->count * q->cluster_size);
    result = worker_compute(compress_worker, batch);
    if (result == 0) {
        result = batch_store(q, offset, batch);
    }
    for (unsigned i = 0; i < batch->count && result == 0; i++) {
        uint64_t at = (uint64_t)i * q->cluster_size;

        if (!batch->clusters[i].out.iov_len) {
            result = qcow2_write(node, offset + at, MIN(*done - at, q->cluster_size),
                                 io_vector_skip(vector, at), 0);
        }
    }
    return result;
}

int qcow2_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Qcow2 *q = qcow2_of(node);
    Batch batch = { .cluster_size = q->cluster_size };
    int result = qcow2_prepare_writing(q);

    if (qcow2_has_data_file(q) || q->crypt) {
        return -ENOTSUP;
    }
    if ((offset & (q->cluster_size - 1)) ||
        ((bytes & (q->cluster_size - 1)) && offset + bytes != q->size)) {
        return -EINVAL;
    }
    if (result < 0 || !bytes) {
        return result;
    }
    batch.codec = qcow2_codec_take(q);
    batch.clusters = g_try_malloc_n(qcow2_compressed_batch(q), sizeof *batch.clusters);
    if (!batch.codec || !batch.clusters) {
        result = -ENOMEM;
    }
    while (bytes && result == 0) {
        uint64_t done;

        result = write_batch(node, offset, bytes, vector, &batch, &done);
        vector = io_vector_skip(vector, done);
        offset += done;
        bytes -= done;
    }
    g_free(batch.clusters);
    qcow2_codec_put(q, batch.codec);
    return result;
}
