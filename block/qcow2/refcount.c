/* SPDX-License-Identifier: MIT */
/*
 * qcow2: reference counts and allocation of clusters.
 *
 * Counts may reach the disk at any time after they have gone up, and must be there before a table
 * refers to the cluster. Counts go down only after the reference is gone from the disk: such
 * clusters wait in `pending` until qcow2_sync has written the L2 tables.
 */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

/* Clusters that may wait for the next flush. */
enum { PENDING_MAX = 16384 };

uint64_t qcow2_refcount_max(const Qcow2 *q)
{
    return bits_mask(1u << q->refcount_order);
}

uint64_t qcow2_refcount_load(const Qcow2 *q, const uint8_t *block, uint64_t index)
{
    unsigned width = 1u << q->refcount_order;

    switch (q->refcount_order) {
    case 0:
    case 1:
    case 2:
        return block[index * width / 8] >> (index * width % 8) & bits_mask(width);
    case 3:
        return block[index];
    case 4:
        return load_be16(block + index * 2);
    case 5:
        return load_be32(block + index * 4);
    default:
        return load_be64(block + index * 8);
    }
}

void qcow2_refcount_store(const Qcow2 *q, uint8_t *block, uint64_t index, uint64_t value)
{
    unsigned width = 1u << q->refcount_order;

    switch (q->refcount_order) {
    case 0:
    case 1:
    case 2: {
        unsigned shift = (unsigned)(index * width % 8);
        uint8_t *byte = &block[index * width / 8];

        *byte = (uint8_t)((*byte & ~(bits_mask(width) << shift)) | value << shift);
        break;
    }
    case 3:
        block[index] = (uint8_t)value;
        break;
    case 4:
        store_be16(block + index * 2, (uint16_t)value);
        break;
    case 5:
        store_be32(block + index * 4, (uint32_t)value);
        break;
    default:
        store_be64(block + index * 8, value);
        break;
    }
}

/* Where the slice with a cluster's count is; false when there is no block for it. */
static bool refcount_slice(Qcow2 *q, uint64_t cluster, uint64_t *slice, uint64_t *index, int *error)
{
    uint64_t table_index = cluster >> q->refblock_bits;
    uint64_t in_block = cluster & bits_mask(q->refblock_bits);
    uint64_t per_slice = q->refblock_slice_bytes * 8 >> q->refcount_order;
    uint64_t block;

    *error = 0;
    block = table_index < q->reftable_entries ? q->reftable[table_index] & QCOW2_REFTABLE_MASK : 0;
    if (!block) {
        return false;
    }
    if (block & (q->cluster_size - 1)) {
        *error = qcow2_corrupt(q,
                               "Refblock offset %#" G_GINT64_MODIFIER
                               "x unaligned (reftable index: %#" G_GINT64_MODIFIER "x)",
                               block, table_index);
        return false;
    }
    *slice = block + in_block / per_slice * q->refblock_slice_bytes;
    *index = in_block % per_slice;
    return true;
}

int qcow2_get_refcount(Qcow2 *q, uint64_t cluster, uint64_t *refcount)
{
    uint64_t slice, index;
    int error;
    Table *table;

    *refcount = 0;
    if (!refcount_slice(q, cluster, &slice, &index, &error)) {
        return error;
    }
    table = table_cache_peek(q->refblock_cache, slice);
    if (table) {
        *refcount = qcow2_refcount_load(q, table->data, index);
        return 0;
    }
    error = table_cache_get(q->refblock_cache, slice, &table);
    if (error == 0) {
        *refcount = qcow2_refcount_load(q, table->data, index);
        table_cache_put(q->refblock_cache, table);
    }
    return error;
}

/* Writes the dirty counts when they fill the cache. Harmless at any time. */
static int refcount_relieve(Qcow2 *q)
{
    TableSnapshot *snapshot;
    int result;

    if (!table_cache_is_full_of_dirt(q->refblock_cache)) {
        return 0;
    }
    coroutine_mutex_lock(&q->sync_lock); /* two writes of one table must not overtake */
    snapshot = table_cache_snapshot(q->refblock_cache);
    result = table_snapshot_write(snapshot);
    if (result < 0) {
        table_snapshot_restore(snapshot);
    }
    table_snapshot_free(snapshot);
    coroutine_mutex_unlock(&q->sync_lock);
    return result;
}

static int reftable_write_entry(Qcow2 *q, uint64_t index)
{
    uint64_t per_sector = 512 / sizeof(uint64_t), start = index / per_sector * per_sector;

    node_debug_event(q->node->file->node, EVENT_REFBLOCK_ALLOC_HOOKUP);
    return qcow2_write_table(q, q->reftable_offset + start * sizeof(uint64_t), q->reftable + start,
                             per_sector);
}

/* Makes the refcount block for a cluster that has none. Rare: it flushes. */
static int refcount_make_block(Qcow2 *q, uint64_t cluster)
{
    uint64_t table_index = cluster >> q->refblock_bits, home = 0;
    g_autofree uint8_t *block = g_try_malloc0(q->cluster_size);
    int result = 0;

    if (!block) {
        return -ENOMEM;
    }
    node_debug_event(q->node->file->node, EVENT_REFBLOCK_ALLOC);
    if (table_index >= q->reftable_entries) {
        node_debug_event(q->node->file->node, EVENT_REFTABLE_GROW);
        return qcow2_grow_reftable(q, cluster);
    }
    /* The first free cluster; blocks that do not exist hold only free ones. */
    for (home = q->free_hint; result == 0; home++) {
        uint64_t refcount;

        result = qcow2_get_refcount(q, home, &refcount);
        if (result == 0 && refcount == 0 && home != cluster) {
            break;
        }
    }
    if (result < 0) {
        return result;
    }
    if (home >> q->refblock_bits == table_index) {
        qcow2_refcount_store(q, block, home & bits_mask(q->refblock_bits), 1);
    } else {
        result = qcow2_update_refcount(q, home << q->cluster_bits, q->cluster_size, 1);
        if (result < 0) {
            return result;
        }
        if (q->reftable[table_index] & QCOW2_REFTABLE_MASK) {
            qcow2_update_refcount(q, home << q->cluster_bits, q->cluster_size, -1);
            return 0; /* counting our block has made it */
        }
    }
    node_debug_event(q->node->file->node, EVENT_REFBLOCK_ALLOC_WRITE);
    result = node_pwrite(q->node->file->node, home << q->cluster_bits, block, q->cluster_size, 0);
    if (result == 0) {
        result = node_flush(q->node->file->node);
    }
    if (result < 0) {
        return result;
    }
    q->reftable[table_index] = home << q->cluster_bits;
    qcow2_taken(q, home << q->cluster_bits, q->cluster_size);
    qcow2_metadata_add(q, home << q->cluster_bits, q->cluster_size);
    result = reftable_write_entry(q, table_index);
    if (result < 0) {
        q->unsettled = true;
        q->reftable[table_index] = 0;
    }
    return result;
}

static void refcount_put(Qcow2 *q, Table *table, uint64_t index, uint64_t cluster, uint64_t value)
{
    uint64_t offset = cluster << q->cluster_bits;

    qcow2_refcount_store(q, table->data, index, value);
    table_cache_dirty(q->refblock_cache, table);
    if (value) {
        return;
    }
    q->free_hint = MIN(q->free_hint, cluster);
    if (cluster == q->compressed_next >> q->cluster_bits) {
        q->compressed_next = 0; /* whoever gets the cluster next needs all of it */
    }
    if (qcow2_is_metadata(q, offset, 1)) {
        qcow2_metadata_remove(q, offset, 1);
        table_cache_forget(q->l2_cache, offset, q->cluster_size);
    }
}

int qcow2_lower_refcount(Qcow2 *q, uint64_t cluster, uint64_t value)
{
    uint64_t slice, index;
    Table *table;
    int result;

    if (!refcount_slice(q, cluster, &slice, &index, &result)) {
        return result < 0 ? result : -EIO;
    }
    result = refcount_relieve(q);
    if (result == 0) {
        result = table_cache_get(q->refblock_cache, slice, &table);
    }
    if (result == 0) {
        refcount_put(q, table, index, cluster, value);
        table_cache_put(q->refblock_cache, table);
    }
    return result;
}

static int refcount_change_one(Qcow2 *q, uint64_t cluster, int delta)
{
    uint64_t slice, index, value;
    Table *table;
    int result;

    while (!refcount_slice(q, cluster, &slice, &index, &result)) {
        if (result == 0 && delta < 0) {
            return qcow2_corrupt(
                q, "Cluster %#" G_GINT64_MODIFIER "x is freed, but has no reference count",
                cluster << q->cluster_bits);
        }
        if (result == 0) {
            result = refcount_make_block(q, cluster);
        }
        if (result < 0) {
            return result;
        }
    }
    result = refcount_relieve(q);
    if (result == 0) {
        result = table_cache_get(q->refblock_cache, slice, &table);
    }
    if (result < 0) {
        return result;
    }
    value = qcow2_refcount_load(q, table->data, index);
    if (delta > 0 ? value > qcow2_refcount_max(q) - (unsigned)delta : value < (unsigned)-delta) {
        result = delta > 0 ? -EOVERFLOW
                           : qcow2_corrupt(q,
                                           "Reference count of cluster %#" G_GINT64_MODIFIER
                                           "x would become negative",
                                           cluster << q->cluster_bits);
    } else {
        refcount_put(q, table, index, cluster, value + (uint64_t)(int64_t)delta);
    }
    table_cache_put(q->refblock_cache, table);
    return result;
}

int qcow2_update_refcount(Qcow2 *q, uint64_t offset, uint64_t bytes, int delta)
{
    uint64_t first = offset >> q->cluster_bits;
    uint64_t last = (offset + bytes - 1) >> q->cluster_bits;
    int result = 0;

    if (!bytes) {
        return 0;
    }
    for (uint64_t cluster = first; cluster <= last; cluster++) {
        result = refcount_change_one(q, cluster, delta);
        if (result < 0) {
            while (cluster-- > first) {
                refcount_change_one(q, cluster, -delta);
            }
            break;
        }
    }
    return result;
}

/* Allocation. */

/* Whether a cluster can be given out. 1: yes, 0: no. */
static int cluster_is_free(Qcow2 *q, uint64_t cluster)
{
    uint64_t refcount;
    int result = qcow2_get_refcount(q, cluster, &refcount);

    if (result < 0 || refcount) {
        return result;
    }
    if (qcow2_is_metadata(q, cluster << q->cluster_bits, q->cluster_size)) {
        return qcow2_corrupt(
            q, "Cluster %#" G_GINT64_MODIFIER "x holds metadata, but its reference count is 0",
            cluster << q->cluster_bits);
    }
    return 1;
}

static int alloc_check(Qcow2 *q, uint64_t end)
{
    return end > (UINT64_C(1) << 56) - 1 ? -EFBIG : 0;
}

/* What is free becomes usable; much that waits for it is made free. [lock] */
static int alloc_relieve(Qcow2 *q)
{
    int result = q->pending_clusters < PENDING_MAX ? 0 : qcow2_sync(q);

    return result < 0 ? result : qcow2_apply_ready(q);
}

int64_t qcow2_alloc(Qcow2 *q, uint64_t bytes)
{
    uint64_t wanted = qcow2_clusters(q, bytes), run = 0, cluster;
    bool hint_holds = true;
    int result = qcow2_know_metadata(q);

    node_debug_event(q->node->file->node, EVENT_CLUSTER_ALLOC);
    if (result == 0) {
        result = alloc_relieve(q);
    }
    if (result < 0) {
        return result;
    }
again:
    for (cluster = q->free_hint, run = 0; run < wanted; cluster++) {
        result = cluster_is_free(q, cluster);
        if (result < 0) {
            return result;
        }
        run = result ? run + 1 : 0;
        if (hint_holds) {
            hint_holds = !result;
            q->free_hint = result ? cluster : cluster + 1;
        }
    }
    cluster -= wanted;
    result = alloc_check(q, (cluster + wanted) << q->cluster_bits);
    if (result == 0) {
        /* Making a refcount block may have taken what we found. */
        for (uint64_t i = 0; i < wanted && result == 0; i++) {
            uint64_t slice, index;

            if (!refcount_slice(q, cluster + i, &slice, &index, &result) && result == 0) {
                result = refcount_make_block(q, cluster + i);
                if (result == 0) {
                    hint_holds = false;
                    goto again;
                }
            }
        }
    }
    if (result == 0) {
        result = qcow2_update_refcount(q, cluster << q->cluster_bits, wanted << q->cluster_bits, 1);
    }
    if (result < 0) {
        return result;
    }
    if (cluster == q->free_hint) {
        q->free_hint = cluster + wanted;
    }
    qcow2_taken(q, cluster << q->cluster_bits, wanted << q->cluster_bits);
    return (int64_t)(cluster << q->cluster_bits);
}

int64_t qcow2_alloc_at(Qcow2 *q, uint64_t offset, uint64_t max)
{
    uint64_t first = offset >> q->cluster_bits, n = 0;
    int result = qcow2_know_metadata(q);

    while (result >= 0 && n < max) {
        uint64_t slice, index;

        if (!refcount_slice(q, first + n, &slice, &index, &result)) {
            break; /* let qcow2_alloc make the block */
        }
        result = cluster_is_free(q, first + n);
        if (result <= 0) {
            break;
        }
        n++;
    }
    if (result >= 0 && n) {
        result = alloc_check(q, (first + n) << q->cluster_bits);
    }
    if (result >= 0 && n) {
        result = qcow2_update_refcount(q, offset, n << q->cluster_bits, 1);
    }
    if (result < 0) {
        return result;
    }
    if (n) {
        if (first == q->free_hint) {
            q->free_hint = first + n;
        }
        qcow2_taken(q, first << q->cluster_bits, n << q->cluster_bits);
    }
    return (int64_t)n;
}

int64_t qcow2_alloc_bytes(Qcow2 *q, uint64_t bytes)
{
    uint64_t at = q->compressed_next, in_cluster = at & (q->cluster_size - 1);
    uint64_t refcount;
    int64_t fresh;
    int result;

    node_debug_event(q->node->file->node, EVENT_CLUSTER_ALLOC_BYTES);
    if (at && in_cluster) {
        uint64_t cluster = at >> q->cluster_bits;

        /* The rest of the last cluster, going on into the next one if that is free. */
        result = qcow2_get_refcount(q, cluster, &refcount);
        if (result < 0) {
            return result;
        }
        if (refcount && refcount < qcow2_refcount_max(q)) {
            if (in_cluster + bytes > q->cluster_size) {
                fresh = qcow2_alloc_at(q, (cluster + 1) << q->cluster_bits, 1);
                if (fresh < 0) {
                    return fresh;
                }
                if (fresh == 0) {
                    goto new_cluster;
                }
            }
            result = qcow2_update_refcount(q, at, 1, 1);
            if (result < 0) {
                if (in_cluster + bytes > q->cluster_size) {
                    qcow2_free_now(q, (cluster + 1) << q->cluster_bits, q->cluster_size);
                }
                return result;
            }
            q->compressed_next = at + bytes;
            return (int64_t)at;
        }
    }
new_cluster:
    fresh = qcow2_alloc(q, bytes);
    if (fresh >= 0) {
        q->compressed_next = (uint64_t)fresh + bytes;
    }
    return fresh;
}

void qcow2_free_now(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    qcow2_metadata_remove(q, offset, bytes);
    qcow2_update_refcount(q, offset, bytes, -1);
}

void qcow2_free_later(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    PendingFree item = { offset, bytes };

    node_debug_event(q->node->file->node, EVENT_CLUSTER_FREE);
    g_array_append_val(q->pending, item);
    q->pending_clusters += qcow2_clusters(q, bytes);
}

int qcow2_apply_ready(Qcow2 *q)
{
    GArray *pending = q->ready;
    int result = 0;

    if (!pending->len) {
        return 0;
    }
    q->ready = g_array_new(FALSE, FALSE, sizeof(PendingFree));
    for (unsigned i = 0; i < pending->len; i++) {
        PendingFree *item = &g_array_index(pending, PendingFree, i);
        uint64_t refcount;
        int one = qcow2_update_refcount(q, item->offset, item->bytes, -1);

        if (one < 0) {
            result = one; /* a leak; go on with the others */
            continue;
        }
        if (q->node->flags.unmap && q->discard_passthrough[0] && !q->crypt &&
            item->offset % q->cluster_size == 0 && item->bytes % q->cluster_size == 0 &&
            qcow2_get_refcount(q, item->offset >> q->cluster_bits, &refcount) == 0 && !refcount) {
            node_discard(q->node->file->node, item->offset, item->bytes);
        }
    }
    g_array_unref(pending);
    return result;
}

/*
 * A larger refcount table, behind everything, together with the blocks that describe the new area.
 * The old table is freed when the header no longer names it.
 */
int qcow2_grow_reftable(Qcow2 *q, uint64_t cluster)
{
    BlockNode *file = q->node->file->node;
    uint64_t per_block = UINT64_C(1) << q->refblock_bits;
    uint64_t end =
        MAX(q->file_end, align_up(node_length(file), q->cluster_size)) >> q->cluster_bits;
    uint64_t start = align_up(MAX(end, (uint64_t)q->reftable_entries * per_block), per_block);
    uint64_t table_clusters, blocks = 1, entries, area;
    g_autofree uint64_t *table = NULL;
    g_autofree uint8_t *block = g_try_malloc0(q->cluster_size);
    uint64_t old_offset = q->reftable_offset, old_entries = q->reftable_entries;
    uint64_t *old_table;
    int result = 0;

    start = MAX(start, align_down(cluster, per_block));
    for (;;) {
        uint64_t needed;

        entries = start / per_block + blocks;
        entries += entries / 2 + 1;
        table_clusters = qcow2_clusters(q, entries * sizeof(uint64_t));
        entries = table_clusters * q->cluster_size / sizeof(uint64_t);
        area = blocks + table_clusters;
        needed = (area + per_block - 1) / per_block;
        if (needed <= blocks) {
            break;
        }
        blocks = needed;
    }
    if (entries * sizeof(uint64_t) > QCOW2_MAX_REFTABLE_BYTES) {
        return -EFBIG;
    }
    table = g_try_malloc0(entries * sizeof(uint64_t));
    if (!table || !block) {
        return -ENOMEM;
    }
    memcpy(table, q->reftable, q->reftable_entries * sizeof(uint64_t));
    for (uint64_t i = 0; i < blocks && result == 0; i++) {
        memset(block, 0, q->cluster_size);
        for (uint64_t j = 0; j < per_block && i * per_block + j < area; j++) {
            qcow2_refcount_store(q, block, j, 1);
        }
        table[start / per_block + i] = (start + i) << q->cluster_bits;
        node_debug_event(file, EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS);
        result = node_pwrite(file, (start + i) << q->cluster_bits, block, q->cluster_size, 0);
    }
    if (result == 0) {
        node_debug_event(file, EVENT_REFBLOCK_ALLOC_WRITE_TABLE);
        result = qcow2_write_table(q, (start + blocks) << q->cluster_bits, table, entries);
    }
    if (result == 0) {
        result = node_flush(file);
    }
    if (result < 0) {
        return result;
    }
    old_table = q->reftable;
    q->reftable = g_steal_pointer(&table);
    q->reftable_offset = (start + blocks) << q->cluster_bits;
    q->reftable_entries = (uint32_t)entries;
    node_debug_event(file, EVENT_REFBLOCK_ALLOC_SWITCH_TABLE);
    result = qcow2_commit_header(q);
    if (result < 0) {
        g_free(q->reftable);
        q->reftable = old_table;
        q->reftable_offset = old_offset;
        q->reftable_entries = (uint32_t)old_entries;
        return result;
    }
    g_free(old_table);
    qcow2_taken(q, start << q->cluster_bits, area << q->cluster_bits);
    qcow2_metadata_add(q, start << q->cluster_bits, area << q->cluster_bits);
    qcow2_free_now(q, old_offset, old_entries * sizeof(uint64_t));
    return 0;
}
