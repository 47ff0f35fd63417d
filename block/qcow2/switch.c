/* SPDX-License-Identifier: MIT */
/*
 * qcow2, version 2: changes of snapshots. There is no dirty bit to say that counts and COPIED flags are
 * about to disagree, and as they lie in different clusters no order of writes in place keeps them right. So
 * new refcounts, new L1 and L2 tables and a new snapshot table are written behind everything, while all
 * that the header names stays as it is; then one sector of the header names the new ones.
 */
#include "block/qcow2/switch.h"

#include <errno.h>
#include <string.h>

typedef struct {
    Qcow2 *q;
    Qcow2Switch what;
    unsigned index; /* of the snapshot: the new one's, or the one that is applied or deleted */
    Qcow2NewCounts counts;
    uint64_t *source; /* L1 table whose L2 tables get copies */
    uint32_t source_size;
    /* The new ones, of the active disk and, unless it is deleted, the snapshot. */
    uint64_t *l1;
    uint32_t l1_size;
    uint64_t l1_offset, snapshot_l1_offset;
    uint64_t *l2; /* a cluster */
    uint8_t *l1_dirty;

    /* As the header on the disk has it. */
    uint64_t *old_reftable, old_reftable_offset;
    uint32_t old_reftable_entries;
    Qcow2Snapshot *old_snapshots;
    unsigned old_count;
    uint64_t old_snapshots_offset, old_snapshots_bytes;
} Switch;

static uint64_t l1_bytes(uint32_t size)
{
    return MAX(size, 1) * sizeof(uint64_t);
}

static uint64_t l2_entries(const Switch *s)
{
    return s->q->cluster_size / sizeof(uint64_t);
}

/* Counts exist for what lies before the new structures, and no others may be made. */
static int change_count(Switch *s, uint64_t offset, uint64_t bytes, int delta)
{
    uint64_t limit = s->counts.start << s->q->cluster_bits;

    if (offset > limit || bytes > limit - offset) {
        return -EIO; /* behind the end of the file */
    }
    return qcow2_update_refcount(s->q, offset, bytes, delta);
}

static int change_entry(Switch *s, uint64_t entry, int delta)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, bytes = s->q->cluster_size;

    if (entry & QCOW2_COMPRESSED) {
        qcow2_compressed_range(s->q, entry, &offset, &bytes);
    } else if (!offset) {
        return 0;
    } else if (offset & (s->q->cluster_size - 1)) {
        return -EIO;
    }
    return change_count(s, offset, bytes, delta);
}

static int read_l2(Switch *s, uint64_t entry)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;

    if (offset & (s->q->cluster_size - 1)) {
        return -EIO;
    }
    return qcow2_read_table(s->q, offset, s->l2, l2_entries(s));
}

/* All that an L1 table's L2 tables refer to, and maybe the L2 tables. */
static int change_data(Switch *s, const uint64_t *l1, uint32_t size, int delta, bool tables)
{
    int result = 0;

    for (uint32_t i = 0; i < size && result == 0; i++) {
        if (!(l1[i] & QCOW2_OFFSET_MASK)) {
            continue;
        }
        result = read_l2(s, l1[i]);
        for (uint64_t j = 0; j < l2_entries(s) && result == 0; j++) {
            result = change_entry(s, s->l2[j], delta);
        }
        if (result == 0 && tables) {
            result = change_count(s, l1[i] & QCOW2_OFFSET_MASK, s->q->cluster_size, delta);
        }
    }
    return result;
}

static int drop_source_tables(Switch *s)
{
    int result = 0;

    for (uint32_t i = 0; i < s->source_size && result == 0; i++) {
        if (s->source[i] & QCOW2_OFFSET_MASK) {
            result = change_count(s, s->source[i] & QCOW2_OFFSET_MASK, s->q->cluster_size, -1);
        }
    }
    return result;
}

/* Preparing: memory, the list of snapshots, counts. */

static int load_source(Switch *s)
{
    Qcow2 *q = s->q;
    const Qcow2Snapshot *snapshot = &q->snapshots[s->index];
    bool apply = s->what == QCOW2_SWITCH_APPLY;
    int result = 0;

    s->source_size = apply ? snapshot->l1_size : q->l1_size;
    s->l1_size = MAX(s->source_size, q->l1_size);
    s->source = g_try_malloc0(l1_bytes(s->source_size));
    s->l1 = g_try_malloc0(align_up(MAX(s->l1_size, 1), 64) * sizeof(uint64_t));
    s->l1_dirty = g_try_malloc0(s->l1_size / 64 + 1);
    s->l2 = g_try_malloc(q->cluster_size);
    if (!s->source || !s->l1 || !s->l1_dirty || !s->l2) {
        return -ENOMEM;
    }
    if (apply) {
        result = qcow2_read_table(q, snapshot->l1_table_offset, s->source, s->source_size);
    } else if (q->l1_size) {
        memcpy(s->source, q->l1, q->l1_size * sizeof(uint64_t));
    }
    return result;
}

static void change_list(Switch *s, const Qcow2Snapshot *created)
{
    Qcow2 *q = s->q;

    s->old_snapshots = q->snapshots;
    s->old_count = q->snapshot_count;
    s->old_snapshots_offset = q->snapshots_offset;
    s->old_snapshots_bytes = q->snapshots_bytes;
    q->snapshots = g_new0(Qcow2Snapshot, s->old_count + 1);
    if (s->old_count) {
        memcpy(q->snapshots, s->old_snapshots, s->old_count * sizeof *q->snapshots);
    }
    if (created) {
        q->snapshots[q->snapshot_count++] = *created;
    } else if (s->what == QCOW2_SWITCH_DELETE) {
        q->snapshot_count--;
        memmove(&q->snapshots[s->index], &q->snapshots[s->index + 1],
                (q->snapshot_count - s->index) * sizeof *q->snapshots);
    }
}

/* Blocks that are not the image's (any more) must not be found in the cache when their place is. */
static void forget_blocks(Qcow2 *q, const uint64_t *reftable, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        if (reftable[i] & QCOW2_REFTABLE_MASK) {
            table_cache_forget(q->refblock_cache, reftable[i] & QCOW2_REFTABLE_MASK,
                               q->cluster_size);
        }
    }
}

/* The image's counts in new blocks, which from here on are those in memory. */
static int take_new_counts(Switch *s, uint64_t list_bytes)
{
    Qcow2 *q = s->q;
    GError *error = NULL;

    s->counts = (Qcow2NewCounts){ .q = q, .order = q->refcount_order };
    s->counts.spare = 2 * qcow2_clusters(q, l1_bytes(s->l1_size)) + qcow2_clusters(q, list_bytes);
    for (uint32_t i = 0; i < s->source_size; i++) {
        s->counts.spare += (s->source[i] & QCOW2_OFFSET_MASK) != 0;
    }
    if (!qcow2_write_new_counts(&s->counts, NULL, NULL, &error)) {
        g_clear_error(&error);
        return -EIO;
    }
    s->old_reftable = q->reftable;
    s->old_reftable_offset = q->reftable_offset;
    s->old_reftable_entries = q->reftable_entries;
    q->reftable = g_steal_pointer(&s->counts.table);
    q->reftable_offset = (s->counts.start + s->counts.blocks) << q->cluster_bits;
    q->reftable_entries = (uint32_t)s->counts.entries;
    forget_blocks(q, q->reftable, q->reftable_entries);
    /* Nothing below is given out, though much of it will not be referred to any more. */
    q->free_hint = s->counts.start + s->counts.blocks + s->counts.table_clusters;
    qcow2_taken(q, s->counts.start << q->cluster_bits,
                (s->counts.blocks + s->counts.table_clusters) << q->cluster_bits);
    return 0;
}

static int allocate(Switch *s)
{
    Qcow2 *q = s->q;
    int64_t offset = qcow2_alloc(q, l1_bytes(s->l1_size));

    s->l1_offset = (uint64_t)offset;
    if (offset > 0 && s->what != QCOW2_SWITCH_DELETE) {
        offset = qcow2_alloc(q, l1_bytes(s->source_size));
        s->snapshot_l1_offset = (uint64_t)offset;
        q->snapshots[s->index].l1_table_offset = s->snapshot_l1_offset;
        q->snapshots[s->index].l1_size = s->source_size;
    }
    for (uint32_t i = 0; i < s->source_size && offset > 0; i++) {
        if (s->source[i] & QCOW2_OFFSET_MASK) {
            offset = qcow2_alloc(q, q->cluster_size);
            s->l1[i] = (uint64_t)offset;
        }
    }
    return offset < 0 ? (int)offset : 0;
}

static int write_list(Switch *s)
{
    Qcow2 *q = s->q;
    g_autoptr(GByteArray) list = qcow2_format_snapshots(q);
    int64_t offset = 0;
    int result = list->len > QCOW2_MAX_SNAPSHOT_BYTES ? -EFBIG : 0;

    if (result == 0 && list->len) {
        offset = qcow2_alloc(q, list->len);
        result = offset < 0
                     ? (int)offset
                     : node_pwrite(q->node->file->node, (uint64_t)offset, list->data, list->len, 0);
    }
    if (result == 0) {
        q->snapshots_offset = (uint64_t)offset;
        q->snapshots_bytes = list->len;
    }
    return result;
}

/* Counting. */

/* The two share the copies, and what they refer to. */
static int count_up(Switch *s)
{
    int result = 0;

    if (s->what == QCOW2_SWITCH_DELETE) {
        return 0;
    }
    for (uint32_t i = 0; i < s->source_size && result == 0; i++) {
        if (s->l1[i]) {
            result = qcow2_update_refcount(s->q, s->l1[i], s->q->cluster_size, 1);
        }
    }
    return result < 0 ? result : change_data(s, s->source, s->source_size, 1, false);
}

static int count_down_blocks(Switch *s)
{
    int result =
        change_count(s, s->old_reftable_offset, s->old_reftable_entries * sizeof(uint64_t), -1);

    for (uint32_t i = 0; i < s->old_reftable_entries && result == 0; i++) {
        if (s->old_reftable[i] & QCOW2_REFTABLE_MASK) {
            result =
                change_count(s, s->old_reftable[i] & QCOW2_REFTABLE_MASK, s->q->cluster_size, -1);
        }
    }
    return result;
}

/* The tables of the snapshot as it was, and what they refer to if it is deleted. */
static int drop_old_snapshot(Switch *s)
{
    const Qcow2Snapshot *old = &s->old_snapshots[s->index];
    g_autofree uint64_t *l1 = g_try_malloc0(l1_bytes(old->l1_size));
    int result = l1 ? qcow2_read_table(s->q, old->l1_table_offset, l1, old->l1_size) : -ENOMEM;

    if (result == 0 && s->what == QCOW2_SWITCH_DELETE) {
        result = change_data(s, l1, old->l1_size, -1, true);
    }
    return result < 0 ? result : change_count(s, old->l1_table_offset, l1_bytes(old->l1_size), -1);
}

/* What the header on the disk names, and the next one will not. */
static int count_down(Switch *s)
{
    Qcow2 *q = s->q;
    int result = drop_source_tables(s);

    if (result == 0) {
        result = change_count(s, q->l1_offset, l1_bytes(q->l1_size), -1);
    }
    if (result == 0 && s->what == QCOW2_SWITCH_APPLY) {
        result = change_data(s, q->l1, q->l1_size, -1, true);
    }
    if (result == 0 && s->what != QCOW2_SWITCH_CREATE) {
        result = drop_old_snapshot(s);
    }
    if (result == 0 && s->old_snapshots_bytes) {
        result = change_count(s, s->old_snapshots_offset, s->old_snapshots_bytes, -1);
    }
    return result < 0 ? result : count_down_blocks(s);
}

/* Writing. */

/* COPIED as the new counts say. */
static int fix_copied(Switch *s, uint64_t *entry)
{
    uint64_t refcount = 0;
    int result = 0;

    if (*entry & QCOW2_COMPRESSED) {
        return 0;
    }
    if (*entry & QCOW2_OFFSET_MASK) {
        result =
            qcow2_get_refcount(s->q, (*entry & QCOW2_OFFSET_MASK) >> s->q->cluster_bits, &refcount);
    }
    *entry = refcount == 1 ? *entry | QCOW2_COPIED : *entry & ~QCOW2_COPIED;
    return result;
}

static int write_tables(Switch *s)
{
    Qcow2 *q = s->q;
    int result = 0;

    for (uint32_t i = 0; i < s->source_size && result == 0; i++) {
        if (!s->l1[i]) {
            continue;
        }
        result = read_l2(s, s->source[i]);
        for (uint64_t j = 0; j < l2_entries(s) && result == 0; j++) {
            result = fix_copied(s, &s->l2[j]);
        }
        if (result == 0) {
            result = qcow2_write_table(q, s->l1[i], s->l2, l2_entries(s));
        }
        table_cache_forget(q->l2_cache, s->l1[i], q->cluster_size);
        if (result == 0) {
            result = fix_copied(s, &s->l1[i]);
        }
    }
    if (result == 0 && s->l1_size) {
        result = qcow2_write_table(q, s->l1_offset, s->l1, s->l1_size);
    }
    if (result == 0 && s->source_size && s->what != QCOW2_SWITCH_DELETE) {
        result = qcow2_write_table(q, s->snapshot_l1_offset, s->l1, s->source_size);
    }
    return result;
}

/* The header names the new tables. */
static int commit(Switch *s)
{
    Qcow2 *q = s->q;
    uint64_t *old_l1 = q->l1, old_offset = q->l1_offset;
    uint32_t old_size = q->l1_size;
    uint8_t *old_dirty = q->l1_dirty;
    int result = qcow2_sync(q); /* the counts; all else has been written */

    if (result < 0) {
        return result;
    }
    q->l1 = s->l1;
    q->l1_offset = s->l1_offset;
    q->l1_size = s->l1_size;
    q->l1_dirty = s->l1_dirty;
    result = qcow2_commit_header(q);
    if (result < 0) {
        q->l1 = old_l1;
        q->l1_offset = old_offset;
        q->l1_size = old_size;
        q->l1_dirty = old_dirty;
        return result;
    }
    s->l1 = old_l1;
    s->l1_dirty = old_dirty;
    q->l1_any_dirty = false;
    return 0;
}

/* Everything as the header on the disk has it. */
static void go_back(Switch *s)
{
    Qcow2 *q = s->q;

    if (s->old_reftable) {
        forget_blocks(q, q->reftable, q->reftable_entries);
        g_free(q->reftable);
        q->reftable = s->old_reftable;
        q->reftable_offset = s->old_reftable_offset;
        q->reftable_entries = s->old_reftable_entries;
        q->free_hint = 0;
    }
    q->snapshots_offset = s->old_snapshots_offset;
    q->snapshots_bytes = s->old_snapshots_bytes;
    g_free(q->snapshots);
    q->snapshots = s->old_snapshots;
    q->snapshot_count = s->old_count;
}

static int switch_over(Switch *s)
{
    Qcow2 *q = s->q;
    g_autoptr(GByteArray) list = qcow2_format_snapshots(q);
    int result = take_new_counts(s, list->len);

    if (result == 0) {
        result = allocate(s);
    }
    if (result == 0) {
        result = write_list(s);
    }
    if (result == 0) {
        result = count_up(s);
    }
    /* Tables whose count becomes 0 are still the ones that readers look at. */
    g_clear_pointer(&q->metadata, g_hash_table_unref);
    if (result == 0) {
        result = count_down(s);
    }
    if (result == 0) {
        result = write_tables(s);
    }
    return result < 0 ? result : commit(s);
}

int qcow2_switch(Qcow2 *q, Qcow2Switch what, unsigned index, const Qcow2Snapshot *created)
{
    Switch s = { .q = q, .what = what, .index = index };
    int result;

    change_list(&s, created);
    result = load_source(&s);
    if (result == 0) {
        result = switch_over(&s);
    }
    if (result < 0) {
        go_back(&s);
    } else {
        forget_blocks(q, s.old_reftable, s.old_reftable_entries);
        g_free(s.old_reftable);
        g_free(s.old_snapshots);
    }
    g_clear_pointer(&q->metadata, g_hash_table_unref);
    qcow2_know_metadata(q);
    g_free(s.counts.table);
    g_free(s.source);
    g_free(s.l1);
    g_free(s.l1_dirty);
    g_free(s.l2);
    return result;
}
