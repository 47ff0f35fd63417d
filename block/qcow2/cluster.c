/* SPDX-License-Identifier: MIT */
/* qcow2: what changes L2 entries: allocating writes, zeroes, discard. */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

enum { COW_GAP_MAX = 16 * 1024 };

/* Allocating writes. */

bool qcow2_wait_allocations(Qcow2 *q, uint64_t start, uint64_t end)
{
    for (GList *link = q->allocations.head; link; link = link->next) {
        Qcow2Allocation *other = link->data;

        if (other->start < end && start < other->end) {
            coroutine_mutex_unlock(&q->lock);
            coroutine_queue_wait(&other->waiters);
            coroutine_mutex_lock(&q->lock);
            return true;
        }
    }
    return false;
}

/* The write of one run of clusters. */
typedef struct {
    Qcow2Allocation in_flight;
    uint64_t offset, bytes;      /* what the caller writes */
    uint64_t cow_start, cow_end; /* guest range that is written, wider at the edges */
    uint64_t host;               /* of in_flight.start */
    unsigned clusters;
    bool reuse; /* the host clusters were there before */
    bool fresh;
    L2Entry *old;
} WriteRun;

/* Whether a new cluster reads as zeroes without being written. */
static bool cluster_is_fresh(Qcow2 *q, uint64_t host)
{
    BlockNode *file = q->data_file->node;

    return file->driver->grows_with_zeroes && host >= node_length(file) && !q->crypt &&
           !qcow2_has_data_file(q);
}

/* In the host cluster that an entry has, nothing else may be. */
static bool entry_is_ours(const Qcow2 *q, L2Entry entry)
{
    return qcow2_entry_has_host(q, entry) && (entry.entry & QCOW2_COPIED);
}

static bool entry_has_data(const Qcow2 *q, L2Entry entry)
{
    if (entry.entry & QCOW2_COMPRESSED) {
        return true;
    }
    if (q->subclusters == 1) {
        return qcow2_subcluster(q, entry, 0) == SUBCLUSTER_NORMAL;
    }
    return (entry.bitmap & QCOW2_BITMAP_ALL_ALLOC) != 0;
}

/* How far copying must reach around [offset, end) inside the first or last cluster. */
static uint64_t cow_edge(Qcow2 *q, const WriteRun *run, L2Entry entry, uint64_t at, bool is_end)
{
    uint64_t sub_size = UINT64_C(1) << q->subcluster_bits;
    uint64_t probe = is_end ? at - 1 : at;
    unsigned sub = (unsigned)((probe & (q->cluster_size - 1)) >> q->subcluster_bits);

    if (!run->reuse && entry_has_data(q, entry)) {
        return is_end ? align_up(at, q->cluster_size) : align_down(at, q->cluster_size);
    }
    if (run->reuse && qcow2_subcluster(q, entry, sub) == SUBCLUSTER_NORMAL) {
        return at;
    }
    return is_end ? align_up(at, sub_size) : align_down(at, sub_size);
}

/* Finds how many clusters from the first on can be written as one run. [lock] */
static int run_collect(Qcow2 *q, WriteRun *run, const Table *table, unsigned index)
{
    uint64_t first = qcow2_cluster_start(q, run->offset);
    uint64_t clusters = qcow2_clusters(q, run->offset + run->bytes - first);
    unsigned max = (unsigned)MIN(clusters, qcow2_l2_slice_entries(q) - index), n;
    L2Entry entry = qcow2_l2_load(q, table->data, index);

    run->reuse = entry_is_ours(q, entry);
    run->host = entry.entry & QCOW2_OFFSET_MASK;
    run->old = g_new(L2Entry, max);
    for (n = 0; n < max; n++) {
        entry = qcow2_l2_load(q, table->data, index + n);
        if (entry_is_ours(q, entry) != run->reuse) {
            break;
        }
        if (run->reuse &&
            (entry.entry & QCOW2_OFFSET_MASK) != run->host + (uint64_t)n * q->cluster_size) {
            break;
        }
        run->old[n] = entry;
    }
    run->clusters = n;
    if (run->reuse && (run->host & (q->cluster_size - 1))) {
        return qcow2_corrupt(q, "Cluster allocation offset %#" G_GINT64_MODIFIER "x unaligned",
                             run->host);
    }
    return 0;
}

/* Host clusters for a run that has none of its own. [lock] */
static int run_allocate(Qcow2 *q, WriteRun *run)
{
    int64_t host;

    if (qcow2_has_data_file(q)) {
        run->host = run->in_flight.start;
        return 0;
    }
    host = qcow2_alloc(q, q->cluster_size);
    if (host < 0) {
        return (int)host;
    }
    run->host = (uint64_t)host;
    run->fresh = cluster_is_fresh(q, run->host);
    if (run->clusters > 1) {
        int64_t more = qcow2_alloc_at(q, run->host + q->cluster_size, run->clusters - 1);

        if (more < 0) {
            qcow2_free_now(q, run->host, q->cluster_size);
            return (int)more;
        }
        run->clusters = 1 + (unsigned)more;
    }
    return 0;
}

/* Prepares the next run of a write. [lock] */
static int run_begin(Qcow2 *q, WriteRun *run, uint64_t offset, uint64_t bytes)
{
    uint64_t start = qcow2_cluster_start(q, offset), end;
    unsigned index;
    Table *table;
    int result;

    *run = (WriteRun){ .offset = offset, .bytes = bytes };
    result = qcow2_know_metadata(q);
    if (result == 0) {
        result = qcow2_l2_get_writable(q, offset, &table, &index);
    }
    if (result < 0) {
        return result;
    }
    if (qcow2_wait_allocations(q, start, align_up(offset + bytes, q->cluster_size))) {
        table_cache_put(q->l2_cache, table);
        return -EAGAIN; /* the world has changed */
    }
    result = run_collect(q, run, table, index);
    table_cache_put(q->l2_cache, table);
    run->in_flight.start = start;
    if (result == 0 && !run->reuse) {
        result = run_allocate(q, run);
    }
    if (result < 0) {
        g_free(run->old);
        return result;
    }
    end = start + (uint64_t)run->clusters * q->cluster_size;
    run->bytes = MIN(bytes, end - offset);
    run->in_flight.end = end;
    run->cow_start = cow_edge(q, run, run->old[0], offset, false);
    run->cow_end = cow_edge(q, run, run->old[run->clusters - 1], offset + run->bytes, true);
    if (run->reuse && !qcow2_has_data_file(q) && qcow2_is_metadata(q, run->host, end - start)) {
        g_free(run->old);
        return qcow2_corrupt(q, "Preventing invalid write on metadata at %#" G_GINT64_MODIFIER "x",
                             run->host);
    }
    run->in_flight.link.data = &run->in_flight;
    coroutine_queue_init(&run->in_flight.waiters);
    g_queue_push_tail_link(&q->allocations, &run->in_flight.link);
    return 0;
}

/* Whether a range is unallocated everywhere and reads as zeroes. */
static bool cow_reads_zero(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    while (bytes) {
        uint64_t count, host;
        Subcluster type;
        bool ours;

        if (qcow2_map(q, offset, bytes, &count, &host, &type, &ours) < 0) {
            return false;
        }
        if (type != SUBCLUSTER_ZERO && type != SUBCLUSTER_ZERO_ALLOC &&
            !(type == SUBCLUSTER_UNALLOCATED || type == SUBCLUSTER_UNALLOCATED_ALLOC)) {
            return false;
        }
        if ((type == SUBCLUSTER_UNALLOCATED || type == SUBCLUSTER_UNALLOCATED_ALLOC) &&
            q->node->backing && offset < node_size(q->node->backing->node)) {
            return false;
        }
        offset += count;
        bytes -= count;
    }
    return true;
}

/* Writes the caller's data and the copied edges in one request. */
static int run_write(Qcow2 *q, WriteRun *run, IoVector vector)
{
    uint64_t head = run->offset - run->cow_start;
    uint64_t tail = run->cow_end - (run->offset + run->bytes), gap, host;
    g_autofree uint8_t *edges = NULL;
    g_autofree struct iovec *iov = NULL;
    unsigned max = vector.count + 2, n = 0;
    int result = 0;

    if (head && run->fresh && cow_reads_zero(q, run->cow_start, head)) {
        head = 0;
    }
    if (tail && run->fresh && cow_reads_zero(q, run->offset + run->bytes, tail)) {
        tail = 0;
    }
    host = run->host + (run->offset - head - run->in_flight.start);
    if (!head && !tail) {
        return qcow2_write_host(q, run->offset, host, run->bytes, vector, 0);
    }
    /* Reading a little too much costs less than a second request. */
    gap = head && tail && run->bytes <= COW_GAP_MAX ? run->bytes : 0;
    edges = g_try_malloc(head + gap + tail);
    iov = g_new(struct iovec, max);
    if (!edges) {
        return -ENOMEM;
    }
    node_debug_event(q->node->file->node, EVENT_COW_READ);
    if (head) {
        struct iovec to = { edges, gap ? head + gap + tail : head };

        result = qcow2_read(q->node, run->offset - head, to.iov_len, io_vector_of(&to));
        iov[n++] = (struct iovec){ edges, head };
    }
    n += io_vector_trim(vector, run->bytes, iov + n, max - n - 1);
    if (tail) {
        iov[n] = (struct iovec){ edges + head + gap, tail };
        if (result == 0 && !gap) {
            result = qcow2_read(q->node, run->offset + run->bytes, tail, io_vector_of(&iov[n]));
        }
        n++;
    }
    if (result == 0) {
        node_debug_event(q->node->file->node, EVENT_COW_WRITE);
        result = qcow2_write_host(q, run->offset - head, host, head + run->bytes + tail,
                                  (IoVector){ iov, n, 0 }, 0);
    }
    return result;
}

/* Bits of the subclusters of cluster i of the run that were written. */
static uint64_t run_bits(Qcow2 *q, const WriteRun *run, unsigned i)
{
    uint64_t start = run->in_flight.start + (uint64_t)i * q->cluster_size;
    uint64_t from = MAX(run->cow_start, start) - start;
    uint64_t to = MIN(run->cow_end, start + q->cluster_size) - start;
    unsigned first = (unsigned)(from >> q->subcluster_bits);
    unsigned last = (unsigned)((to - 1) >> q->subcluster_bits);

    return bits_mask(last - first + 1) << first;
}

/* Makes the tables refer to what has been written. [lock] */
static int run_link(Qcow2 *q, WriteRun *run)
{
    unsigned index;
    Table *table;
    int result = qcow2_l2_get_writable(q, run->in_flight.start, &table, &index);

    if (result < 0) {
        return result;
    }
    for (unsigned i = 0; i < run->clusters; i++) {
        L2Entry old = run->old[i];
        L2Entry entry = { (run->host + (uint64_t)i * q->cluster_size) | QCOW2_COPIED, 0 };

        if (q->subclusters > 1) {
            uint64_t bits = run_bits(q, run, i);

            entry.bitmap = old.entry & QCOW2_COMPRESSED ? 0 : old.bitmap;
            if (!run->reuse) {
                entry.bitmap &= QCOW2_BITMAP_ALL_ZERO; /* old data, if any, was copied whole */
            }
            entry.bitmap = (entry.bitmap & ~(bits << 32)) | bits;
        }
        if (!run->reuse || entry.entry != old.entry || entry.bitmap != old.bitmap) {
            qcow2_l2_store(q, table->data, index + i, entry);
            table_cache_dirty(q->l2_cache, table);
        }
        if (!run->reuse) {
            qcow2_free_entry(q, old.entry);
        }
    }
    table_cache_put(q->l2_cache, table);
    return 0;
}

int qcow2_write_alloc(Qcow2 *q, uint64_t offset, uint64_t bytes, IoVector vector, uint64_t *done)
{
    WriteRun run;
    int result;

    coroutine_mutex_lock(&q->lock);
    do {
        result = qcow2_may_write(q);
        if (result == 0) {
            result = run_begin(q, &run, offset, bytes);
        }
    } while (result == -EAGAIN);
    if (result < 0) {
        coroutine_mutex_unlock(&q->lock);
        return result;
    }
    coroutine_mutex_unlock(&q->lock);
    result = run_write(q, &run, vector);
    coroutine_mutex_lock(&q->lock);
    if (result == 0) {
        result = run_link(q, &run);
    }
    if (result < 0 && !run.reuse && !qcow2_has_data_file(q)) {
        qcow2_free_now(q, run.host, (uint64_t)run.clusters * q->cluster_size);
    }
    g_queue_unlink(&q->allocations, &run.in_flight.link);
    coroutine_queue_wake_all(&run.in_flight.waiters);
    g_free(run.old);
    coroutine_mutex_unlock(&q->lock);
    *done = run.bytes;
    return result;
}

/* Zeroes and discard. */

/* The entry after [from, to) subclusters of a cluster have become zero. */
static L2Entry zero_entry(Qcow2 *q, L2Entry old, bool unmap)
{
    L2Entry entry = { 0, 0 };
    bool keep = entry_is_ours(q, old) && !unmap;

    if (q->subclusters > 1) {
        entry.entry = keep ? old.entry : 0;
        entry.bitmap = QCOW2_BITMAP_ALL_ZERO;
    } else {
        entry.entry = (keep ? (old.entry & (QCOW2_OFFSET_MASK | QCOW2_COPIED)) : 0) | QCOW2_ZERO;
    }
    return entry;
}

/* Zero bits for part of a cluster. Returns false when the cluster must be written instead. */
static bool zero_subclusters(Qcow2 *q, L2Entry *entry, uint64_t from, uint64_t to)
{
    unsigned first = (unsigned)(from >> q->subcluster_bits);
    unsigned count = (unsigned)((to - from) >> q->subcluster_bits);
    uint64_t bits = bits_mask(count) << first;

    if (entry->entry & QCOW2_COMPRESSED) {
        return false;
    }
    entry->bitmap = (entry->bitmap & ~bits) | bits << 32;
    return true;
}

int qcow2_zero_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, bool unmap)
{
    int result = 0;

    coroutine_mutex_lock(&q->lock);
    while (bytes && result == 0) {
        uint64_t in_cluster = offset & (q->cluster_size - 1);
        uint64_t n = MIN(bytes, q->cluster_size - in_cluster);
        L2Entry old, entry;
        unsigned index;
        Table *table;

        result = qcow2_may_write(q);
        if (result == 0) {
            result = qcow2_l2_get_writable(q, offset, &table, &index);
        }
        if (result < 0) {
            break;
        }
        if (qcow2_wait_allocations(q, offset - in_cluster, offset + n)) {
            table_cache_put(q->l2_cache, table);
            continue;
        }
        old = entry = qcow2_l2_load(q, table->data, index);
        if (in_cluster == 0 && (n == q->cluster_size || offset + n >= q->size)) {
            entry = zero_entry(q, old, unmap);
        } else if (q->subclusters == 1 ||
                   !zero_subclusters(q, &entry, in_cluster, in_cluster + n)) {
            result = -ENOTSUP;
        }
        if (result == 0 && (entry.entry != old.entry || entry.bitmap != old.bitmap)) {
            qcow2_l2_store(q, table->data, index, entry);
            table_cache_dirty(q->l2_cache, table);
            if ((old.entry & QCOW2_COMPRESSED) || !(entry.entry & QCOW2_OFFSET_MASK)) {
                qcow2_free_entry(q, old.entry);
            }
        }
        table_cache_put(q->l2_cache, table);
        offset += n;
        bytes -= n;
    }
    coroutine_mutex_unlock(&q->lock);
    return result;
}

/* full: unallocated even if the backing file shows through. */
static L2Entry discarded_entry(Qcow2 *q, L2Entry old, bool full)
{
    bool zero = q->node->backing || qcow2_entry_has_host(q, old) || (old.entry & QCOW2_COMPRESSED);
    L2Entry entry = { 0, 0 };

    if (full) {
        return entry;
    }
    if (!zero) {
        return old;
    }
    if (q->subclusters > 1) {
        entry.bitmap = QCOW2_BITMAP_ALL_ZERO;
    } else if (q->version >= 3) {
        entry.entry = QCOW2_ZERO;
    }
    return entry;
}

int qcow2_discard_clusters(Qcow2 *q, uint64_t offset, uint64_t bytes, bool full)
{
    int result = 0;

    coroutine_mutex_lock(&q->lock);
    while (bytes && result == 0) {
        uint64_t l1_index = offset >> (q->l2_bits + q->cluster_bits);
        uint64_t n = MIN(bytes, q->cluster_size);
        L2Entry old, entry;
        unsigned index;
        Table *table = NULL;

        if (l1_index >= q->l1_size || !(q->l1[l1_index] & QCOW2_OFFSET_MASK)) {
            if (full || !q->node->backing) {
                uint64_t span = UINT64_C(1) << (q->l2_bits + q->cluster_bits);

                n = MIN(bytes, span - (offset & (span - 1)));
                offset += n;
                bytes -= n;
                continue;
            }
        }
        result = qcow2_may_write(q);
        if (result == 0) {
            result = qcow2_l2_get_writable(q, offset, &table, &index);
        }
        if (result < 0) {
            break;
        }
        if (qcow2_wait_allocations(q, offset, offset + n)) {
            table_cache_put(q->l2_cache, table);
            continue;
        }
        old = qcow2_l2_load(q, table->data, index);
        entry = discarded_entry(q, old, full);
        if (entry.entry != old.entry || entry.bitmap != old.bitmap) {
            qcow2_l2_store(q, table->data, index, entry);
            table_cache_dirty(q->l2_cache, table);
            qcow2_free_entry(q, old.entry);
        }
        table_cache_put(q->l2_cache, table);
        offset += n;
        bytes -= n;
    }
    coroutine_mutex_unlock(&q->lock);
    return result;
}
