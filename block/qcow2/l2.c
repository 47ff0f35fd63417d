/* SPDX-License-Identifier: MIT */
/* qcow2: L1 and L2 tables and their entries; mapping of guest offsets. */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

/* Entries. */

L2Entry qcow2_l2_load(const Qcow2 *q, const uint8_t *slice, unsigned index)
{
    const uint8_t *at = slice + index * q->l2_entry_size;

    return (L2Entry){ load_be64(at), q->subclusters > 1 ? load_be64(at + 8) : 0 };
}

void qcow2_l2_store(const Qcow2 *q, uint8_t *slice, unsigned index, L2Entry entry)
{
    uint8_t *at = slice + index * q->l2_entry_size;

    store_be64(at, entry.entry);
    if (q->subclusters > 1) {
        store_be64(at + 8, entry.bitmap);
    }
}

Subcluster qcow2_subcluster(const Qcow2 *q, L2Entry entry, unsigned index)
{
    bool has_host = (entry.entry & QCOW2_OFFSET_MASK) != 0;
    uint64_t alloc, zero;

    if (entry.entry & QCOW2_COMPRESSED) {
        return SUBCLUSTER_COMPRESSED;
    }
    if (qcow2_has_data_file(q) && (entry.entry & QCOW2_COPIED)) {
        has_host = true; /* offset 0 of the data file is a place like any other */
    }
    if (q->subclusters == 1) {
        if (entry.entry & QCOW2_ZERO && q->version >= 3) {
            return entry.entry & QCOW2_OFFSET_MASK ? SUBCLUSTER_ZERO_ALLOC : SUBCLUSTER_ZERO;
        }
        return has_host ? SUBCLUSTER_NORMAL : SUBCLUSTER_UNALLOCATED;
    }
    alloc = entry.bitmap >> index & 1;
    zero = entry.bitmap >> (index + 32) & 1;
    if ((alloc && zero) || (alloc && !has_host)) {
        return SUBCLUSTER_INVALID;
    }
    if (zero) {
        return has_host ? SUBCLUSTER_ZERO_ALLOC : SUBCLUSTER_ZERO;
    }
    if (alloc) {
        return SUBCLUSTER_NORMAL;
    }
    return has_host ? SUBCLUSTER_UNALLOCATED_ALLOC : SUBCLUSTER_UNALLOCATED;
}

bool qcow2_entry_has_host(const Qcow2 *q, L2Entry entry)
{
    return !(entry.entry & QCOW2_COMPRESSED) &&
           ((entry.entry & QCOW2_OFFSET_MASK) ||
            (qcow2_has_data_file(q) && (entry.entry & QCOW2_COPIED)));
}

void qcow2_compressed_range(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint64_t *bytes)
{
    unsigned size_shift = 62 - (q->cluster_bits - 8);
    uint64_t sectors = (entry >> size_shift & bits_mask(q->cluster_bits - 8)) + 1;

    *offset = entry & bits_mask(size_shift);
    *bytes = sectors * 512 - (*offset & 511);
}

void qcow2_free_entry(Qcow2 *q, uint64_t entry)
{
    uint64_t offset, bytes;

    if (entry & QCOW2_COMPRESSED) {
        qcow2_compressed_range(q, entry, &offset, &bytes);
        qcow2_free_later(q, offset, bytes);
    } else if ((entry & QCOW2_OFFSET_MASK) && !qcow2_has_data_file(q)) {
        qcow2_free_later(q, entry & QCOW2_OFFSET_MASK, q->cluster_size);
    }
}

/* Tables. */

void qcow2_l1_set(Qcow2 *q, uint32_t index, uint64_t entry)
{
    q->l1[index] = entry;
    q->l1_dirty[index / 64] = 1;
    q->l1_any_dirty = true;
}

static unsigned l2_index(const Qcow2 *q, uint64_t offset)
{
    return (unsigned)(offset >> q->cluster_bits & bits_mask(q->l2_bits));
}

static int l1_check(Qcow2 *q, uint64_t l1_index, uint64_t l2_offset)
{
    if (l2_offset & (q->cluster_size - 1)) {
        return qcow2_corrupt(q,
                             "L2 table offset %#" G_GINT64_MODIFIER
                             "x unaligned (L1 index: %#" G_GINT64_MODIFIER "x)",
                             l2_offset, l1_index);
    }
    return 0;
}

static uint64_t l2_slice_offset(const Qcow2 *q, uint64_t l2_offset, uint64_t offset,
                                unsigned *index)
{
    unsigned per_slice = qcow2_l2_slice_entries(q), entry = l2_index(q, offset);

    *index = entry % per_slice;
    return l2_offset + (uint64_t)(entry / per_slice) * q->l2_slice_bytes;
}

int qcow2_l2_get(Qcow2 *q, uint64_t offset, Table **table, unsigned *index)
{
    uint64_t l1_index = offset >> (q->l2_bits + q->cluster_bits), l2_offset;
    int result;

    *table = NULL;
    if (l1_index >= q->l1_size) {
        return 0;
    }
    l2_offset = q->l1[l1_index] & QCOW2_OFFSET_MASK;
    if (!l2_offset) {
        return 0;
    }
    result = l1_check(q, l1_index, l2_offset);
    if (result < 0) {
        return result;
    }
    return table_cache_get(q->l2_cache, l2_slice_offset(q, l2_offset, offset, index), table);
}

/* A new L2 table with the content of the old one, which others still use, or empty. [lock] */
static int l2_make_table(Qcow2 *q, uint64_t l1_index, uint64_t old_offset)
{
    BlockNode *file = q->node->file->node;
    int64_t l2_offset = qcow2_alloc(q, q->cluster_size);
    int result = 0;

    if (l2_offset < 0) {
        return (int)l2_offset;
    }
    if (old_offset) {
        g_autofree uint8_t *copy = g_try_malloc(q->cluster_size);

        node_debug_event(file, EVENT_L2_ALLOC_COW_READ);
        result = copy ? 0 : -ENOMEM;
        for (size_t at = 0; result == 0 && at < q->cluster_size; at += q->l2_slice_bytes) {
            Table *slice;

            result = table_cache_get(q->l2_cache, old_offset + at, &slice);
            if (result == 0) {
                memcpy(copy + at, slice->data, q->l2_slice_bytes);
                table_cache_put(q->l2_cache, slice);
            }
        }
        if (result == 0) {
            node_debug_event(file, EVENT_L2_ALLOC_WRITE);
            result = node_pwrite(file, (uint64_t)l2_offset, copy, q->cluster_size, 0);
        }
    } else {
        /* Also where it reads as zeroes: a full disk is found now, not when data waits for its table. */
        node_debug_event(file, EVENT_L2_ALLOC_WRITE);
        result = node_write_zeroes(file, (uint64_t)l2_offset, q->cluster_size, 0);
    }
    if (result < 0) {
        qcow2_free_now(q, (uint64_t)l2_offset, q->cluster_size);
        return result;
    }
    table_cache_forget(q->l2_cache, (uint64_t)l2_offset, q->cluster_size);
    qcow2_metadata_add(q, (uint64_t)l2_offset, q->cluster_size);
    qcow2_l1_set(q, (uint32_t)l1_index, (uint64_t)l2_offset | QCOW2_COPIED);
    if (old_offset) {
        qcow2_free_later(q, old_offset, q->cluster_size);
    }
    return 0;
}

int qcow2_l2_get_writable(Qcow2 *q, uint64_t offset, Table **table, unsigned *index)
{
    uint64_t l1_index = offset >> (q->l2_bits + q->cluster_bits);
    int result = 0;

    if (l1_index >= q->l1_size) {
        result = qcow2_grow_l1(q, l1_index + 1, false);
        if (result < 0) {
            return result;
        }
    }
    if (table_cache_is_full_of_dirt(q->l2_cache)) {
        result = qcow2_sync(q);
    }
    if (result == 0) {
        result = l1_check(q, l1_index, q->l1[l1_index] & QCOW2_OFFSET_MASK);
    }
    /* A damaged entry may say that it owns a table without naming one. */
    if (result == 0 &&
        (!(q->l1[l1_index] & QCOW2_COPIED) || !(q->l1[l1_index] & QCOW2_OFFSET_MASK))) {
        result = l2_make_table(q, l1_index, q->l1[l1_index] & QCOW2_OFFSET_MASK);
    }
    return result < 0 ? result : qcow2_l2_get(q, offset, table, index);
}

int qcow2_grow_l1(Qcow2 *q, uint64_t min_size, bool exact)
{
    uint64_t new_size = exact ? min_size : MAX(min_size, q->l1_size + q->l1_size / 2);
    uint64_t old_offset = q->l1_offset, old_size = q->l1_size;
    uint64_t *table, *old_table = q->l1;
    int64_t offset;
    int result;

    if (min_size <= q->l1_size) {
        return 0;
    }
    if (new_size > QCOW2_MAX_L1_BYTES / sizeof(uint64_t)) {
        return -EFBIG;
    }
    table = g_try_malloc0(align_up(new_size, 64) * sizeof(uint64_t));
    if (!table) {
        return -ENOMEM;
    }
    node_debug_event(q->node->file->node, EVENT_L1_GROW_ALLOC_TABLE);
    offset = qcow2_alloc(q, new_size * sizeof(uint64_t));
    if (offset < 0) {
        g_free(table);
        return (int)offset;
    }
    memcpy(table, q->l1, q->l1_size * sizeof(uint64_t));
    result = qcow2_sync(q); /* refcounts, and the L2 tables the new L1 refers to */
    if (result == 0) {
        memcpy(table, q->l1, q->l1_size * sizeof(uint64_t));
        node_debug_event(q->node->file->node, EVENT_L1_GROW_WRITE_TABLE);
        result = qcow2_write_table(q, (uint64_t)offset, table, new_size);
    }
    if (result == 0) {
        result = node_flush(q->node->file->node);
    }
    if (result == 0) {
        q->l1 = table;
        q->l1_offset = (uint64_t)offset;
        q->l1_size = (uint32_t)new_size;
        node_debug_event(q->node->file->node, EVENT_L1_GROW_ACTIVATE_TABLE);
        result = qcow2_commit_header(q);
        if (result < 0) {
            q->l1 = old_table;
            q->l1_offset = old_offset;
            q->l1_size = (uint32_t)old_size;
        }
    }
    if (result < 0) {
        qcow2_free_now(q, (uint64_t)offset, new_size * sizeof(uint64_t));
        g_free(table);
        return result;
    }
    g_free(old_table);
    q->l1_dirty = g_realloc(q->l1_dirty, new_size / 64 + 1);
    memset(q->l1_dirty, 0, new_size / 64 + 1);
    q->l1_any_dirty = false;
    qcow2_metadata_add(q, (uint64_t)offset, new_size * sizeof(uint64_t));
    result = node_flush(q->node->file->node);
    if (result == 0 && old_offset) {
        qcow2_free_now(q, old_offset, old_size * sizeof(uint64_t));
    }
    return result;
}

/* Mapping. */

/* The run of subclusters of one type (and contiguous in the file) inside a slice. */
static int map_slice(Qcow2 *q, const uint8_t *slice, unsigned index, uint64_t offset,
                     uint64_t bytes, uint64_t *count, uint64_t *host, Subcluster *type, bool *ours)
{
    uint64_t sub_size = UINT64_C(1) << q->subcluster_bits;
    uint64_t in_cluster = offset & (q->cluster_size - 1);
    unsigned sub = (unsigned)(in_cluster >> q->subcluster_bits);
    L2Entry entry = qcow2_l2_load(q, slice, index);
    uint64_t covered = sub_size - (offset & (sub_size - 1));
    uint64_t base = entry.entry & QCOW2_OFFSET_MASK;

    *type = qcow2_subcluster(q, entry, sub);
    *host = base + in_cluster;
    *ours = (entry.entry & QCOW2_COPIED) != 0;
    if (*type == SUBCLUSTER_COMPRESSED) {
        *host = entry.entry;
        *count = MIN(bytes, q->cluster_size - in_cluster);
        return 0;
    }
    for (;;) {
        bool has_host = *type == SUBCLUSTER_NORMAL || *type == SUBCLUSTER_ZERO_ALLOC ||
                        *type == SUBCLUSTER_UNALLOCATED_ALLOC;

        if (*type == SUBCLUSTER_INVALID || (has_host && (base & (q->cluster_size - 1)))) {
            return qcow2_corrupt(q,
                                 "Cluster allocation offset %#" G_GINT64_MODIFIER
                                 "x unaligned or invalid (guest offset: %#" G_GINT64_MODIFIER "x)",
                                 base, offset);
        }
        while (covered < bytes && sub + 1 < q->subclusters &&
               qcow2_subcluster(q, entry, sub + 1) == *type) {
            sub++;
            covered += sub_size;
        }
        if (covered >= bytes || sub + 1 < q->subclusters || ++index >= qcow2_l2_slice_entries(q)) {
            break;
        }
        entry = qcow2_l2_load(q, slice, index);
        if (qcow2_subcluster(q, entry, 0) != *type ||
            (has_host && ((entry.entry & QCOW2_OFFSET_MASK) != base + q->cluster_size ||
                          *ours != ((entry.entry & QCOW2_COPIED) != 0)))) {
            break;
        }
        base = entry.entry & QCOW2_OFFSET_MASK;
        sub = 0;
        covered += sub_size;
    }
    *count = MIN(bytes, covered);
    return 0;
}

/* What lies behind the end of a file that has been cut off is noticed whoever asks for it. */
static void notice_lost(Qcow2 *q, uint64_t offset, uint64_t count, uint64_t host, Subcluster type)
{
    uint64_t bytes, last = qcow2_cluster_start(q, offset + count - 1);

    if (type == SUBCLUSTER_COMPRESSED) {
        qcow2_compressed_range(q, host, &host, &bytes);
        qcow2_is_lost(q, offset, host, bytes);
    } else if (type == SUBCLUSTER_NORMAL && !qcow2_has_data_file(q)) {
        qcow2_is_lost(q, offset, host, count);
    } else if (type == SUBCLUSTER_NORMAL && !q->node->flags.no_io) {
        last = MAX(last, offset);
        node_missing(q->node, last, q->data_file->node, host + (last - offset));
    }
}

int qcow2_map(Qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *host,
              Subcluster *type, bool *ours)
{
    uint64_t l1_index = offset >> (q->l2_bits + q->cluster_bits);
    uint64_t table_span = UINT64_C(1) << (q->l2_bits + q->cluster_bits);
    uint64_t l2_offset = l1_index < q->l1_size ? q->l1[l1_index] & QCOW2_OFFSET_MASK : 0;
    unsigned index;
    Table *table;
    int result;

    if (!l2_offset) {
        *type = SUBCLUSTER_UNALLOCATED;
        *count = MIN(bytes, table_span - (offset & (table_span - 1)));
        return 0;
    }
    result = l1_check(q, l1_index, l2_offset);
    if (result < 0) {
        return result;
    }
    l2_offset = l2_slice_offset(q, l2_offset, offset, &index);
    table = table_cache_peek(q->l2_cache, l2_offset);
    if (table) {
        result = map_slice(q, table->data, index, offset, bytes, count, host, type, ours);
    } else {
        result = table_cache_get(q->l2_cache, l2_offset, &table);
        if (result == 0) {
            result = map_slice(q, table->data, index, offset, bytes, count, host, type, ours);
            table_cache_put(q->l2_cache, table);
        }
    }
    if (result == 0) {
        notice_lost(q, offset, *count, *host, *type);
    }
    return result;
}
