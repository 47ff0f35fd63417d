/* SPDX-License-Identifier: MIT */
/*
 * qcow2: from version 3 to version 2, which has no clusters of zeroes, no features, and snapshots
 * only of disks of the image's size. Zero clusters become unallocated, or data above a backing
 * file, in the tables of all snapshots, too. Until the header says version 2 the image is one of
 * version 3 that means the same.
 */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>

/* An L2 table: which part of the disk it describes, and how many L1 entries refer to it. */
typedef struct {
    uint64_t guest;
    unsigned uses;
    bool active; /* one of them is the active table's */
} L2Use;

typedef struct {
    Qcow2 *q;
    GHashTable *tables; /* offset in the file -> L2Use */
    bool refused;       /* a compressed cluster that version 2 cannot read */
} Downgrade;

static int note_l1(Downgrade *d, const uint64_t *l1, uint32_t size, bool active)
{
    Qcow2 *q = d->q;

    for (uint32_t i = 0; i < size; i++) {
        uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;
        L2Use *use = offset ? g_hash_table_lookup(d->tables, &offset) : NULL;

        if (offset & (q->cluster_size - 1)) {
            return qcow2_corrupt(q, "L2 table offset %#" G_GINT64_MODIFIER "x unaligned", offset);
        }
        if (offset && !use) {
            use = g_new0(L2Use, 1);
            use->guest = (uint64_t)i << (q->l2_bits + q->cluster_bits);
            g_hash_table_insert(d->tables, g_memdup2(&offset, sizeof offset), use);
        }
        if (use) {
            use->uses++;
            use->active |= active;
        }
    }
    return 0;
}

static int note_tables(Downgrade *d)
{
    Qcow2 *q = d->q;
    int result = note_l1(d, q->l1, q->l1_size, true);

    for (unsigned i = 0; i < q->snapshot_count && result == 0; i++) {
        const Qcow2Snapshot *snapshot = &q->snapshots[i];
        g_autofree uint64_t *l1 = g_try_new(uint64_t, MAX(snapshot->l1_size, 1));

        result =
            l1 ? qcow2_read_table(q, snapshot->l1_table_offset, l1, snapshot->l1_size) : -ENOMEM;
        if (result == 0) {
            result = note_l1(d, l1, snapshot->l1_size, false);
        }
    }
    return result;
}

/* A new cluster of zeroes, counted as often as its table is. */
static int make_zeroes(Qcow2 *q, const L2Use *use, uint64_t guest, uint64_t *entry)
{
    g_autofree void *zeroes = g_try_malloc0(q->cluster_size);
    struct iovec iov = { zeroes, q->cluster_size };
    int64_t host = zeroes ? qcow2_alloc(q, q->cluster_size) : -ENOMEM;
    int result = host < 0 ? (int)host : 0;

    if (result == 0 && use->uses > 1) {
        result = qcow2_update_refcount(q, (uint64_t)host, q->cluster_size, (int)use->uses - 1);
    }
    if (result == 0) {
        result = qcow2_write_host(q, guest, (uint64_t)host, q->cluster_size, io_vector_of(&iov), 0);
    }
    *entry = (uint64_t)host | (use->active && use->uses == 1 ? QCOW2_COPIED : 0);
    return result;
}

static int expand_entry(Qcow2 *q, const L2Use *use, uint64_t guest, L2Entry *entry)
{
    uint64_t old = entry->entry & QCOW2_OFFSET_MASK;
    int result = 0;

    entry->entry = 0;
    if (q->node->backing || q->node->backing_filename) {
        result = make_zeroes(q, use, guest, &entry->entry);
    }
    for (unsigned i = 0; i < use->uses && old && result == 0; i++) {
        qcow2_free_later(q, old, q->cluster_size);
    }
    return result;
}

/* expand: or only look for what cannot be. */
static int walk_slice(Downgrade *d, const L2Use *use, uint64_t guest, Table *table, bool expand)
{
    Qcow2 *q = d->q;
    int result = 0;

    for (unsigned i = 0; i < qcow2_l2_slice_entries(q) && result == 0; i++) {
        L2Entry entry = qcow2_l2_load(q, table->data, i);

        if (entry.entry & QCOW2_COMPRESSED) {
            d->refused |= q->compression_type != CLUSTER_CODEC_ZLIB;
        } else if ((entry.entry & QCOW2_ZERO) && expand) {
            result = expand_entry(q, use, guest + ((uint64_t)i << q->cluster_bits), &entry);
            if (result == 0) {
                qcow2_l2_store(q, table->data, i, entry);
                table_cache_dirty(q->l2_cache, table);
            }
        }
    }
    return result;
}

static int walk_tables(Downgrade *d, bool expand, void (*progress)(void *, double), void *opaque)
{
    Qcow2 *q = d->q;
    unsigned done = 0, count = g_hash_table_size(d->tables);
    GHashTableIter iter;
    gpointer key, value;
    int result = 0;

    g_hash_table_iter_init(&iter, d->tables);
    while (result == 0 && g_hash_table_iter_next(&iter, &key, &value)) {
        const L2Use *use = value;

        for (uint64_t at = 0; at < q->cluster_size && result == 0; at += q->l2_slice_bytes) {
            uint64_t span = at / q->l2_entry_size << q->cluster_bits;
            Table *table;

            if (table_cache_is_full_of_dirt(q->l2_cache)) {
                result = qcow2_sync(q);
            }
            if (result == 0) {
                result = table_cache_get(q->l2_cache, *(uint64_t *)key + at, &table);
            }
            if (result == 0) {
                result = walk_slice(d, use, use->guest + span, table, expand);
                table_cache_put(q->l2_cache, table);
            }
        }
        if (progress && expand) {
            progress(opaque, (double)++done / count);
        }
    }
    return result;
}

static bool refuse(GError **error, const char *what, const char *advice)
{
    return error_fail(error, KASO_ERROR_INVALID, "compat=0.10 knows no %s: %s", what, advice);
}

bool qcow2_check_downgrade(Qcow2 *q, GError **error)
{
    if (q->incompatible & QCOW2_INCOMPAT_EXTL2) {
        return refuse(error, "subclusters (extended_l2=on)", "convert the image instead");
    }
    if (qcow2_has_data_file(q)) {
        return refuse(error, "external data files", "convert the image instead");
    }
    if (q->bitmaps.count) {
        return refuse(error, "bitmaps", "remove them first (kaso-img bitmap --remove-all)");
    }
    for (unsigned i = 0; i < q->snapshot_count; i++) {
        const BlockSnapshot *s = &q->snapshots[i].info;

        if (s->disk_size != q->size) {
            return error_fail(
                error, KASO_ERROR_INVALID,
                "compat=0.10 knows only snapshots of the disk's size; '%s' has %" G_GUINT64_FORMAT
                " bytes: delete it first (kaso-img snapshot -d), or resize the disk",
                s->name, s->disk_size);
        }
        if (s->vm_state_size > UINT32_MAX) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "compat=0.10 knows VM states below 4 GiB; that of snapshot '%s' has "
                              "%" G_GUINT64_FORMAT " bytes: delete it first (kaso-img snapshot -d)",
                              s->name, s->vm_state_size);
        }
    }
    return true;
}

bool qcow2_prepare_downgrade(BlockNode *node, void (*progress)(void *, double), void *opaque,
                             GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Downgrade d = { .q = q };
    bool done;
    int result;

    if (!qcow2_recount_begin(node, error)) {
        return false;
    }
    d.tables = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    result = note_tables(&d);
    if (result == 0 && q->compression_type != CLUSTER_CODEC_ZLIB) {
        result = walk_tables(&d, false, NULL, NULL);
    }
    if (result == 0 && !d.refused) {
        result = walk_tables(&d, true, progress, opaque);
    }
    done = qcow2_recount_end(node, result, "turn clusters of zeroes into what compat=0.10 knows",
                             error);
    g_hash_table_unref(d.tables);
    if (done && d.refused) {
        return refuse(error, "zstd, and the image has clusters compressed with it",
                      "convert the image instead");
    }
    return done;
}
