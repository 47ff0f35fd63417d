/* SPDX-License-Identifier: MIT */
/* qcow2: guest requests. */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "block/qcow2/crypt.h"

#include <errno.h>
#include <string.h>

enum { CRYPT_CHUNK = 1024 * 1024 };

/* Reads. */

static int read_backing(Qcow2 *q, uint64_t offset, uint64_t bytes, IoVector vector)
{
    if (!q->node->backing) {
        io_vector_zero(vector, bytes);
        return 0;
    }
    node_debug_event(q->node->file->node, EVENT_READ_BACKING_AIO);
    return node_read(q->node->backing->node, offset, bytes, vector);
}

static int read_encrypted(Qcow2 *q, uint64_t guest, uint64_t host, uint64_t bytes, IoVector vector)
{
    uint64_t start = align_down(host, 512), end = align_up(host + bytes, 512);
    uint64_t head = host - start;
    g_autofree uint8_t *buffer = g_try_malloc(MIN(end - start, CRYPT_CHUNK));
    int result = buffer ? 0 : -ENOMEM;

    while (result == 0 && bytes) {
        uint64_t n = MIN(end - start, CRYPT_CHUNK), useful = MIN(n - head, bytes);

        result = node_pread(q->data_file->node, start, buffer, n);
        if (result == 0) {
            result = qcow2_decrypt(q->crypt, guest - head, start, buffer, n);
        }
        if (result == 0) {
            io_vector_from_buffer(vector, buffer + head, useful);
        }
        vector = io_vector_skip(vector, useful);
        start += n;
        guest += useful;
        bytes -= useful;
        head = 0;
    }
    return result;
}

typedef struct {
    ClusterCodec *codec;
    size_t size; /* of the compressed cluster */
} DecompressCall;

static int decompress_worker(void *opaque)
{
    DecompressCall *call = opaque;

    return cluster_decompress(call->codec, call->size);
}

static int read_compressed(Qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t entry,
                           IoVector vector)
{
    BlockNode *file = q->node->file->node;
    uint64_t host, size, in_cluster = offset & (q->cluster_size - 1);
    DecompressCall call = { .codec = qcow2_codec_take(q) };
    int result;

    if (!call.codec) {
        return -ENOMEM;
    }
    qcow2_compressed_range(q, entry, &host, &size);
    /* Zeroes behind the end would be taken for a part of the stream, which has no checksum. */
    call.size = node_bytes_left(file, host, size);
    node_debug_event(file, EVENT_READ_COMPRESSED);
    result = node_pread(file, host, cluster_codec_packed(call.codec), call.size);
    if (result == 0) {
        result = worker_compute(decompress_worker, &call);
    }
    if (result == -EIO && call.size < size) {
        node_missing(q->node, offset, file, host + call.size);
    }
    if (result == 0) {
        io_vector_from_buffer(vector, cluster_codec_plain(call.codec) + in_cluster, bytes);
    }
    qcow2_codec_put(q, call.codec);
    return result;
}

int qcow2_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Qcow2 *q = qcow2_of(node);
    int result = 0;

    while (bytes && result == 0) {
        uint64_t count, host;
        Subcluster type;
        bool ours;

        result = qcow2_map(q, offset, bytes, &count, &host, &type, &ours);
        if (result < 0) {
            break;
        }
        switch (type) {
        case SUBCLUSTER_UNALLOCATED:
        case SUBCLUSTER_UNALLOCATED_ALLOC:
            result = read_backing(q, offset, count, vector);
            break;
        case SUBCLUSTER_ZERO:
        case SUBCLUSTER_ZERO_ALLOC:
            io_vector_zero(vector, count);
            break;
        case SUBCLUSTER_COMPRESSED:
            result = read_compressed(q, offset, count, host, vector);
            break;
        case SUBCLUSTER_NORMAL:
            node_debug_event(q->node->file->node, EVENT_READ_AIO);
            result = q->crypt ? read_encrypted(q, offset, host, count, vector)
                              : node_read(q->data_file->node, host, count, vector);
            break;
        default:
            result = -EIO;
        }
        offset += count;
        bytes -= count;
        vector = io_vector_skip(vector, count);
    }
    return result;
}

/* Writes. */

int qcow2_write_host(Qcow2 *q, uint64_t guest, uint64_t host, uint64_t bytes, IoVector vector,
                     unsigned flags)
{
    g_autofree uint8_t *buffer = NULL;
    int result = 0;

    node_debug_event(q->node->file->node, EVENT_WRITE_AIO);
    if (!q->crypt) {
        return node_write(q->data_file->node, host, bytes, vector, flags);
    }
    buffer = g_try_malloc(MIN(bytes, CRYPT_CHUNK));
    if (!buffer) {
        return -ENOMEM;
    }
    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, CRYPT_CHUNK);

        io_vector_to_buffer(vector, buffer, n);
        result = qcow2_encrypt(q->crypt, guest, host, buffer, n);
        if (result == 0) {
            result = node_pwrite(q->data_file->node, host, buffer, n, flags);
        }
        vector = io_vector_skip(vector, n);
        guest += n;
        host += n;
        bytes -= n;
    }
    return result;
}

int qcow2_prepare_writing(Qcow2 *q)
{
    int result = 0;

    if (q->broken || q->unsettled) {
        coroutine_mutex_lock(&q->lock);
        result = qcow2_may_write(q);
        coroutine_mutex_unlock(&q->lock);
    }
    if (result == 0 && !q->metadata) {
        coroutine_mutex_lock(&q->lock);
        result = qcow2_know_metadata(q);
        coroutine_mutex_unlock(&q->lock);
    }
    if (result == 0 && q->bitmaps.count && !q->bitmaps_in_use) {
        coroutine_mutex_lock(&q->lock);
        result = qcow2_mark_bitmaps_in_use(q);
        coroutine_mutex_unlock(&q->lock);
    }
    if (result == 0 && q->lazy_refcounts && !q->in_use_dirty) {
        coroutine_mutex_lock(&q->lock);
        result = qcow2_set_dirty(q, true);
        q->in_use_dirty = result == 0;
        coroutine_mutex_unlock(&q->lock);
    }
    return result;
}

int qcow2_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags)
{
    Qcow2 *q = qcow2_of(node);
    int result = qcow2_prepare_writing(q);

    while (bytes && result == 0) {
        uint64_t count, host;
        Subcluster type;
        bool ours;

        result = qcow2_map(q, offset, bytes, &count, &host, &type, &ours);
        if (result < 0) {
            break;
        }
        if (type == SUBCLUSTER_NORMAL && ours) {
            if (!qcow2_has_data_file(q) && qcow2_is_metadata(q, host, count)) {
                return qcow2_corrupt(
                    q, "Preventing invalid write on metadata at %#" G_GINT64_MODIFIER "x", host);
            }
            result = qcow2_write_host(q, offset, host, count, vector, 0);
        } else {
            result = qcow2_write_alloc(q, offset, bytes, vector, &count);
        }
        offset += count;
        bytes -= count;
        vector = io_vector_skip(vector, count);
    }
    return result;
}

/* Zeroes to a range that is no whole (sub)cluster. */
static int write_zero_bytes(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t count, host;
    Subcluster type;
    bool ours;
    g_autofree uint8_t *zeroes = NULL;
    struct iovec iov;
    int result = qcow2_map(q, offset, bytes, &count, &host, &type, &ours);

    if (result < 0) {
        return result;
    }
    if (count == bytes && (type == SUBCLUSTER_ZERO || type == SUBCLUSTER_ZERO_ALLOC ||
                           (!node->backing && (type == SUBCLUSTER_UNALLOCATED ||
                                               type == SUBCLUSTER_UNALLOCATED_ALLOC)))) {
        return 0;
    }
    zeroes = g_try_malloc0(bytes);
    iov = (struct iovec){ zeroes, bytes };
    return zeroes ? qcow2_write(node, offset, bytes, io_vector_of(&iov), 0) : -ENOMEM;
}

static int zero_middle(BlockNode *node, uint64_t start, uint64_t end, bool unmap)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t piece = q->cluster_size;
    int result = 0;

    /* With subclusters the parts of clusters at the edges are for themselves. */
    while (start < end && result == 0) {
        uint64_t n = end - start;

        if (start % piece) {
            n = MIN(n, piece - start % piece);
        } else if (n > piece && n % piece && end < q->size) {
            n -= n % piece;
        }
        result = qcow2_zero_clusters(q, start, n, unmap);
        if (result == -ENOTSUP && n <= piece) {
            result = write_zero_bytes(node, start, n);
        }
        start += n;
    }
    return result;
}

int qcow2_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t unit = UINT64_C(1) << q->subcluster_bits;
    uint64_t end = offset + bytes;
    uint64_t start = MIN(align_up(offset, unit), end);
    uint64_t middle_end = end >= q->size ? end : MAX(align_down(end, unit), start);
    int result = qcow2_prepare_writing(q);

    if (result < 0) {
        return result;
    }
    if (q->version < 3) {
        if (node->backing || !(flags & BLOCK_MAY_UNMAP)) {
            return -ENOTSUP;
        }
        start = MIN(align_up(offset, q->cluster_size), end);
        middle_end = end >= q->size ? end : MAX(align_down(end, q->cluster_size), start);
    }
    if (q->data_file_raw) {
        result = node_write_zeroes(q->data_file->node, offset, bytes, flags & BLOCK_MAY_UNMAP);
    }
    if (result == 0 && start > offset) {
        result = write_zero_bytes(node, offset, start - offset);
    }
    if (result == 0 && middle_end > start) {
        result = q->version < 3
                     ? qcow2_discard_clusters(q, start, middle_end - start, true)
                     : zero_middle(node, start, middle_end, (flags & BLOCK_MAY_UNMAP) != 0);
    }
    if (result == 0 && end > middle_end) {
        result = write_zero_bytes(node, middle_end, end - middle_end);
    }
    return result;
}

int qcow2_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Qcow2 *q = qcow2_of(node);
    uint64_t end = offset + bytes, start = align_up(offset, q->cluster_size);
    int result = qcow2_prepare_writing(q);

    if (result < 0) {
        return result;
    }
    if (q->version < 3 && node->backing) {
        return -ENOTSUP; /* the backing file's content would show through */
    }
    if (end < q->size) {
        end = align_down(end, q->cluster_size);
    }
    if (start >= end) {
        return 0;
    }
    if (q->data_file_raw) {
        result = node_write_zeroes(q->data_file->node, start, end - start, BLOCK_MAY_UNMAP);
    }
    return result < 0 ? result : qcow2_discard_clusters(q, start, end - start, false);
}

/* Status. */

/*
 * Whether many clusters are allocated that the host stores as holes, as preallocated metadata
 * leaves them: then it pays to ask the file about zeroes.
 */
static bool has_preallocated_clusters(Qcow2 *q)
{
    BlockNode *file = q->node->file->node;
    uint64_t clusters = qcow2_clusters(q, node_length(file)), used = 0, refcount, threshold;
    int64_t stored = node_allocated_size(file);

    if (stored < 0) {
        return false;
    }
    stored >>= q->cluster_bits;
    threshold = MAX((uint64_t)stored * 10 / 9, (uint64_t)stored + 2);
    for (uint64_t i = 0; i < clusters && used < threshold; i++) {
        if (qcow2_get_refcount(q, i, &refcount) < 0) {
            return false;
        }
        used += refcount != 0;
    }
    return used >= threshold;
}

int qcow2_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                 BlockNode **file)
{
    Qcow2 *q = qcow2_of(node);
    Subcluster type;
    uint64_t host;
    bool ours;
    int status = 0, result = qcow2_map(q, offset, bytes, count, &host, &type, &ours);

    if (result < 0) {
        return result;
    }
    if ((type == SUBCLUSTER_NORMAL || type == SUBCLUSTER_ZERO_ALLOC ||
         type == SUBCLUSTER_UNALLOCATED_ALLOC) &&
        !q->crypt) {
        *map = host;
        *file = q->data_file->node;
        status |= BLOCK_STATUS_OFFSET_VALID;
        if (!q->preallocation_known) {
            q->preallocated = has_preallocated_clusters(q);
            q->preallocation_known = true;
        }
        if (q->preallocated && type == SUBCLUSTER_NORMAL) {
            status |= BLOCK_STATUS_RECURSE;
        }
    }
    if (type == SUBCLUSTER_ZERO || type == SUBCLUSTER_ZERO_ALLOC) {
        status |= BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
    } else if (type != SUBCLUSTER_UNALLOCATED && type != SUBCLUSTER_UNALLOCATED_ALLOC) {
        status |= BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED;
    }
    if (type == SUBCLUSTER_COMPRESSED) {
        status |= BLOCK_STATUS_COMPRESSED;
    }
    return status;
}

/* VM state: behind the disk, in the same tables. */

uint64_t qcow2_vm_state_offset(const Qcow2 *q)
{
    return (uint64_t)q->l1_vm_state_index << (q->cluster_bits + q->l2_bits);
}

int qcow2_vm_state_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    node_debug_event(node->file->node, EVENT_VMSTATE_LOAD);
    return qcow2_read(node, qcow2_vm_state_offset(qcow2_of(node)) + offset, bytes, vector);
}

int qcow2_vm_state_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    node_debug_event(node->file->node, EVENT_VMSTATE_SAVE);
    return qcow2_write(node, qcow2_vm_state_offset(qcow2_of(node)) + offset, bytes, vector, 0);
}
