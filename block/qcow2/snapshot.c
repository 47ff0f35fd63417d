/* SPDX-License-Identifier: MIT */
/*
 * qcow2: internal snapshots. Reference counts of everything a snapshot shares are raised before it
 * is written, and the image is marked dirty meanwhile: after a power cut the next writer repairs
 * the counts.
 */
#include "block/qcow2/switch.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_SIZE = 40, EXTRA_SIZE = 24, EXTRA_MAX = 1024 };

void block_snapshot_free(gpointer opaque)
{
    BlockSnapshot *snapshot = opaque;

    g_free(snapshot->id);
    g_free(snapshot->name);
    g_free(snapshot);
}

static void snapshot_clear(Qcow2Snapshot *snapshot)
{
    g_free(snapshot->info.id);
    g_free(snapshot->info.name);
    g_free(snapshot->unknown_extra);
}

void qcow2_free_snapshots(Qcow2 *q)
{
    for (unsigned i = 0; q->snapshots && i < q->snapshot_count; i++) {
        snapshot_clear(&q->snapshots[i]);
    }
    g_free(q->snapshots);
    q->snapshots = NULL;
}

/* One entry of the table. Returns its size, or 0 with an error. */
static uint64_t parse_snapshot(Qcow2 *q, const uint8_t *at, uint64_t room, Qcow2Snapshot *snapshot,
                               GError **error)
{
    uint32_t extra, id_size, name_size;
    uint64_t size;

    if (room < ENTRY_SIZE) {
        error_fail(error, KASO_ERROR_INVALID, "Snapshot table too large");
        return 0;
    }
    snapshot->l1_table_offset = load_be64(at);
    snapshot->l1_size = load_be32(at + 8);
    id_size = load_be16(at + 12);
    name_size = load_be16(at + 14);
    snapshot->info.date_s = load_be32(at + 16);
    snapshot->info.date_ns = load_be32(at + 20);
    snapshot->info.vm_clock_ns = load_be64(at + 24);
    snapshot->info.vm_state_size = load_be32(at + 32);
    extra = load_be32(at + 36);
    size = ENTRY_SIZE + (uint64_t)extra + id_size + name_size;
    if (extra > EXTRA_MAX || size > room) {
        error_fail(error, KASO_ERROR_INVALID,
                   "Too much extra metadata in snapshot table entry (%u bytes)", extra);
        return 0;
    }
    at += ENTRY_SIZE;
    if (extra >= 8) {
        snapshot->info.vm_state_size = load_be64(at);
    }
    snapshot->info.disk_size = extra >= 16 ? load_be64(at + 8) : q->size;
    snapshot->info.icount = extra >= 24 ? load_be64(at + 16) : UINT64_MAX;
    if (extra > EXTRA_SIZE) {
        snapshot->unknown_extra_size = extra - EXTRA_SIZE;
        snapshot->unknown_extra = g_memdup2(at + EXTRA_SIZE, extra - EXTRA_SIZE);
    }
    snapshot->info.id = g_strndup((const char *)at + extra, id_size);
    snapshot->info.name = g_strndup((const char *)at + extra + id_size, name_size);
    return align_up(size, 8);
}

bool qcow2_read_snapshots(Qcow2 *q, GError **error)
{
    BlockNode *file = q->node->file->node;
    uint64_t at = 0, room;
    g_autofree uint8_t *table = NULL;
    unsigned count = q->snapshot_count;
    int result;

    q->snapshot_count = 0;
    if (!count) {
        return true;
    }
    if (count > QCOW2_MAX_SNAPSHOTS || (q->snapshots_offset & (q->cluster_size - 1)) ||
        q->snapshots_offset > node_length(file)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "Snapshot table too large or its offset is invalid (%u snapshots at %" G_GUINT64_FORMAT
            ")",
            count, q->snapshots_offset);
    }
    room = MIN(node_length(file) - q->snapshots_offset, QCOW2_MAX_SNAPSHOT_BYTES);
    room = MIN(room, (uint64_t)count * (ENTRY_SIZE + EXTRA_MAX + 2 * 65535));
    table = g_try_malloc(room + 1);
    result = table ? node_pread(file, q->snapshots_offset, table, room) : -ENOMEM;
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read snapshot table");
    }
    q->snapshots = g_new0(Qcow2Snapshot, count);
    for (unsigned i = 0; i < count; i++) {
        uint64_t size =
            parse_snapshot(q, table + at, room - MIN(at, room), &q->snapshots[i], error);

        if (!size) {
            return false;
        }
        q->snapshot_count++;
        at += size;
        if (!qcow2_check_table(q, q->snapshots[i].l1_table_offset, q->snapshots[i].l1_size,
                               sizeof(uint64_t), QCOW2_MAX_L1_BYTES, "Snapshot L1 table", error)) {
            return false;
        }
    }
    q->snapshots_bytes = at;
    return true;
}

GByteArray *qcow2_format_snapshots(Qcow2 *q)
{
    static const uint8_t padding[8];
    GByteArray *out = g_byte_array_new();

    for (unsigned i = 0; i < q->snapshot_count; i++) {
        Qcow2Snapshot *s = &q->snapshots[i];
        uint8_t entry[ENTRY_SIZE + EXTRA_SIZE] = { 0 };
        bool has_icount = s->info.icount != UINT64_MAX || s->unknown_extra_size;
        unsigned extra = has_icount ? EXTRA_SIZE : 16;

        store_be64(entry, s->l1_table_offset);
        store_be32(entry + 8, s->l1_size);
        store_be16(entry + 12, (uint16_t)strlen(s->info.id));
        store_be16(entry + 14, (uint16_t)strlen(s->info.name));
        store_be32(entry + 16, (uint32_t)s->info.date_s);
        store_be32(entry + 20, s->info.date_ns);
        store_be64(entry + 24, s->info.vm_clock_ns);
        store_be32(entry + 32,
                   s->info.vm_state_size > UINT32_MAX ? 0 : (uint32_t)s->info.vm_state_size);
        store_be32(entry + 36, extra + s->unknown_extra_size);
        store_be64(entry + 40, s->info.vm_state_size);
        store_be64(entry + 48, s->info.disk_size);
        store_be64(entry + 56, s->info.icount);
        g_byte_array_append(out, entry, ENTRY_SIZE + extra);
        if (s->unknown_extra_size) {
            g_byte_array_append(out, s->unknown_extra, s->unknown_extra_size);
        }
        g_byte_array_append(out, (const guint8 *)s->info.id, (guint)strlen(s->info.id));
        g_byte_array_append(out, (const guint8 *)s->info.name, (guint)strlen(s->info.name));
        g_byte_array_append(out, padding, (guint)(align_up(out->len, 8) - out->len));
    }
    return out;
}

/* Writes the table to new clusters and makes the header name it. [lock] */
static int write_snapshots(Qcow2 *q)
{
    GByteArray *table = qcow2_format_snapshots(q);
    uint64_t old_offset = q->snapshots_offset, old_bytes = q->snapshots_bytes;
    int64_t offset = 0;
    int result = table->len > QCOW2_MAX_SNAPSHOT_BYTES ? -EFBIG : 0;

    if (result == 0 && table->len) {
        offset = qcow2_alloc(q, table->len);
        result = offset < 0 ? (int)offset
                            : node_pwrite(q->node->file->node, (uint64_t)offset, table->data,
                                          table->len, 0);
    }
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result == 0) {
        q->snapshots_offset = (uint64_t)offset;
        q->snapshots_bytes = table->len;
        result = qcow2_commit_header(q);
    }
    if (result == 0) {
        qcow2_metadata_add(q, (uint64_t)offset, table->len);
        if (old_bytes) {
            qcow2_free_now(q, old_offset, old_bytes);
        }
    } else {
        if (offset > 0) {
            qcow2_free_now(q, (uint64_t)offset, table->len);
        }
        q->snapshots_offset = old_offset;
        q->snapshots_bytes = old_bytes;
    }
    g_byte_array_unref(table);
    return result;
}

/* Reference counts. */

static int entry_update(Qcow2 *q, uint64_t entry, int delta)
{
    uint64_t offset, bytes;

    if (entry & QCOW2_COMPRESSED) {
        qcow2_compressed_range(q, entry, &offset, &bytes);
    } else {
        offset = entry & QCOW2_OFFSET_MASK;
        bytes = q->cluster_size;
        if (!offset) {
            return 0;
        }
        if (offset & (q->cluster_size - 1)) {
            return qcow2_corrupt(q, "Cluster allocation offset %#" G_GINT64_MODIFIER "x unaligned",
                                 offset);
        }
    }
    if (delta < 0) {
        qcow2_free_later(q, offset, bytes);
        return 0;
    }
    return delta ? qcow2_update_refcount(q, offset, bytes, delta) : 0;
}

/* The entry with COPIED as the count of its cluster says. */
static int entry_fix_copied(Qcow2 *q, uint64_t *entry)
{
    uint64_t refcount = 0, offset = *entry & QCOW2_OFFSET_MASK;
    int result = 0;

    if (*entry & QCOW2_COMPRESSED) {
        return 0;
    }
    if (offset) {
        result = qcow2_get_refcount(q, offset >> q->cluster_bits, &refcount);
    }
    *entry = refcount == 1 ? *entry | QCOW2_COPIED : *entry & ~QCOW2_COPIED;
    return result;
}

static bool count_step(uint64_t *counted, int delta)
{
    if (!counted || !delta) {
        return true;
    }
    if (delta < 0 && !*counted) {
        return false;
    }
    *counted += (uint64_t)(int64_t)delta;
    return true;
}

/* counted: how many counts have gone up; when they go down, how many may, so that a step that failed
 * in the middle is taken back exactly. NULL: all. */
static int l2_update(Qcow2 *q, uint64_t l2_offset, int delta, bool fix_copied, uint64_t *counted)
{
    int result = 0;

    for (uint64_t at = 0; at < q->cluster_size && result == 0; at += q->l2_slice_bytes) {
        Table *table;

        if (table_cache_is_full_of_dirt(q->l2_cache)) {
            result = qcow2_sync(q);
        }
        if (result == 0) {
            result = table_cache_get(q->l2_cache, l2_offset + at, &table);
        }
        if (result < 0) {
            break;
        }
        for (unsigned i = 0; i < qcow2_l2_slice_entries(q) && result == 0; i++) {
            L2Entry entry = qcow2_l2_load(q, table->data, i);
            uint64_t old = entry.entry;

            if (!old) {
                continue;
            }
            if (!count_step(counted, delta)) {
                break;
            }
            result = entry_update(q, old, delta);
            if (result == 0 && fix_copied) {
                result = entry_fix_copied(q, &entry.entry);
                if (entry.entry != old) {
                    qcow2_l2_store(q, table->data, i, entry);
                    table_cache_dirty(q->l2_cache, table);
                }
            }
        }
        table_cache_put(q->l2_cache, table);
    }
    return result;
}

static int update_l1_refcounts(Qcow2 *q, uint64_t l1_offset, uint32_t l1_size, int delta,
                               uint64_t *counted)
{
    bool active = l1_offset == q->l1_offset;
    g_autofree uint64_t *table = NULL;
    uint64_t *l1 = q->l1;
    int result = 0;

    if (!active) {
        table = l1 = g_try_new(uint64_t, MAX(l1_size, 1));
        result = l1 ? qcow2_read_table(q, l1_offset, l1, l1_size) : -ENOMEM;
    }
    for (uint32_t i = 0; i < l1_size && result == 0; i++) {
        uint64_t l2_offset = l1[i] & QCOW2_OFFSET_MASK, entry;

        if (!l2_offset) {
            continue;
        }
        if (l2_offset & (q->cluster_size - 1)) {
            return qcow2_corrupt(q, "L2 table offset %#" G_GINT64_MODIFIER "x unaligned",
                                 l2_offset);
        }
        result = l2_update(q, l2_offset, delta, active && delta >= 0, counted);
        if (result == 0 && count_step(counted, delta)) {
            if (delta > 0) {
                result = qcow2_update_refcount(q, l2_offset, q->cluster_size, delta);
            } else if (delta < 0) {
                qcow2_free_later(q, l2_offset, q->cluster_size);
            }
        }
        if (result == 0 && active && delta >= 0) {
            entry = l1[i];
            result = entry_fix_copied(q, &entry);
            if (entry != l1[i]) {
                qcow2_l1_set(q, i, entry);
            }
        }
    }
    return result;
}

int qcow2_update_l1_refcounts(Qcow2 *q, uint64_t l1_offset, uint32_t l1_size, int delta)
{
    return update_l1_refcounts(q, l1_offset, l1_size, delta, NULL);
}

/* All counts go up, or none. */
static int raise_l1_refcounts(Qcow2 *q, uint64_t l1_offset, uint32_t l1_size)
{
    uint64_t counted = 0;
    int result = update_l1_refcounts(q, l1_offset, l1_size, 1, &counted);

    if (result < 0 && counted) {
        counted--;                                                /* the one that failed */
        update_l1_refcounts(q, l1_offset, l1_size, -1, &counted); /* what it leaves are leaks */
    }
    return result;
}

/* The operations. */

static int find_snapshot(Qcow2 *q, const char *id)
{
    for (unsigned i = 0; i < q->snapshot_count; i++) {
        if (!strcmp(q->snapshots[i].info.id, id)) {
            return (int)i;
        }
    }
    return -1;
}

bool qcow2_recount_begin(BlockNode *node, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int result;

    if (node->read_only) {
        return error_fail(error, KASO_ERROR_GENERIC, "Image is read-only");
    }
    if (qcow2_has_data_file(q)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "An image with an external data file cannot have snapshots");
    }
    coroutine_mutex_lock(&q->lock);
    while (qcow2_wait_allocations(q, 0, UINT64_MAX)) {
    }
    result = qcow2_may_write(q);
    if (result == 0) {
        result = qcow2_know_metadata(q);
    }
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result == 0) {
        result = qcow2_apply_ready(q);
    }
    if (result == 0) {
        result = qcow2_set_dirty(q, true);
    }
    if (result < 0) {
        coroutine_mutex_unlock(&q->lock);
        return error_fail_errno(error, -result, "Could not prepare '%s' for a change of snapshots",
                                node->filename);
    }
    return true;
}

bool qcow2_recount_end(BlockNode *node, int result, const char *what, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int settled = qcow2_may_write(q);

    if (settled == 0) {
        settled = qcow2_sync(q);
    }
    if (settled == 0) {
        settled = qcow2_apply_ready(q);
    }
    if (settled == 0) {
        settled = qcow2_update_l1_refcounts(q, q->l1_offset, q->l1_size, 0);
    }
    if (settled == 0) {
        settled = qcow2_sync(q);
    }
    /* After an I/O error there may be leaks: with the bit set the next opening repairs them. */
    if (settled == 0 && !q->in_use_dirty && (result == 0 || result == -EOVERFLOW)) {
        settled = qcow2_set_dirty(q, false);
    }
    result = result < 0 ? result : settled;
    g_hash_table_unref(q->metadata); /* other tables are active now */
    q->metadata = NULL;
    qcow2_know_metadata(q);
    coroutine_mutex_unlock(&q->lock);
    return result == 0 || error_fail_errno(error, -result, "Could not %s", what);
}

static char *new_id(Qcow2 *q)
{
    unsigned long max = 0;

    for (unsigned i = 0; i < q->snapshot_count; i++) {
        max = MAX(max, strtoul(q->snapshots[i].info.id, NULL, 10));
    }
    return g_strdup_printf("%lu", max + 1);
}

static int create_locked(Qcow2 *q, Qcow2Snapshot *snapshot)
{
    int64_t l1_offset = qcow2_alloc(q, MAX(q->l1_size, 1) * sizeof(uint64_t));
    Qcow2Snapshot *list;
    int result;

    if (l1_offset < 0) {
        return (int)l1_offset;
    }
    snapshot->l1_table_offset = (uint64_t)l1_offset;
    snapshot->l1_size = q->l1_size;
    result = raise_l1_refcounts(q, q->l1_offset, q->l1_size);
    if (result < 0) {
        qcow2_free_now(q, (uint64_t)l1_offset, MAX(q->l1_size, 1) * sizeof(uint64_t));
        return result;
    }
    result = qcow2_write_table(q, (uint64_t)l1_offset, q->l1, q->l1_size);
    if (result < 0) {
        qcow2_update_l1_refcounts(q, q->l1_offset, q->l1_size, -1);
        qcow2_free_now(q, (uint64_t)l1_offset, MAX(q->l1_size, 1) * sizeof(uint64_t));
        return result;
    }
    list = g_new0(Qcow2Snapshot, q->snapshot_count + 1);
    if (q->snapshot_count) {
        memcpy(list, q->snapshots, q->snapshot_count * sizeof *list);
    }
    list[q->snapshot_count] = *snapshot;
    g_free(q->snapshots);
    q->snapshots = list;
    q->snapshot_count++;
    result = write_snapshots(q);
    if (result < 0) {
        q->snapshot_count--;
        return result;
    }
    qcow2_metadata_add(q, (uint64_t)l1_offset, q->l1_size * sizeof(uint64_t));
    return 0;
}

bool qcow2_snapshot_create(BlockNode *node, BlockSnapshot *info, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Qcow2Snapshot snapshot = { .info = *info };
    int result;

    if (q->snapshot_count >= QCOW2_MAX_SNAPSHOTS) {
        return error_fail(error, KASO_ERROR_GENERIC, "The image has %d snapshots already",
                          QCOW2_MAX_SNAPSHOTS);
    }
    if (!qcow2_recount_begin(node, error)) {
        return false;
    }
    snapshot.info.id = new_id(q);
    snapshot.info.name = g_strdup(info->name ? info->name : "");
    snapshot.info.disk_size = q->size;
    result = q->version < 3 ? qcow2_switch(q, QCOW2_SWITCH_CREATE, q->snapshot_count, &snapshot)
                            : create_locked(q, &snapshot);
    if (result < 0) {
        snapshot_clear(&snapshot);
    } else {
        /* The saved VM state belongs to the snapshot; the active tables must not keep it. */
        coroutine_mutex_unlock(&q->lock);
        qcow2_discard_clusters(q, qcow2_vm_state_offset(q),
                               align_up(info->vm_state_size, q->cluster_size), true);
        coroutine_mutex_lock(&q->lock);
    }
    return qcow2_recount_end(node, result, "create the snapshot", error);
}

/* The active L1 table becomes a copy of the snapshot's. */
static int apply_locked(Qcow2 *q, Qcow2Snapshot *snapshot)
{
    uint32_t old_size = q->l1_size, needed = MAX(snapshot->l1_size, q->l1_size);
    g_autofree uint64_t *table = NULL;
    uint64_t old_offset = q->l1_offset, *old = q->l1;
    int64_t offset = 0;
    int result = 0;

    table = g_try_malloc0(align_up(MAX(needed, 1), 64) * sizeof(uint64_t));
    if (!table) {
        return -ENOMEM;
    }
    result = qcow2_read_table(q, snapshot->l1_table_offset, table, snapshot->l1_size);
    if (result == 0) {
        result = raise_l1_refcounts(q, snapshot->l1_table_offset, snapshot->l1_size);
    }
    if (result < 0) {
        return result;
    }
    offset = qcow2_alloc(q, MAX(needed, 1) * sizeof(uint64_t));
    if (offset < 0) {
        return (int)offset;
    }
    for (uint32_t i = 0; i < needed; i++) {
        table[i] &= ~QCOW2_COPIED;
    }
    result = qcow2_write_table(q, (uint64_t)offset, table, needed);
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result < 0) {
        return result;
    }
    q->l1 = g_steal_pointer(&table);
    q->l1_offset = (uint64_t)offset;
    q->l1_size = needed;
    q->size = snapshot->info.disk_size;
    result = qcow2_commit_header(q);
    q->l1_dirty = g_realloc(q->l1_dirty, needed / 64 + 1);
    memset(q->l1_dirty, 0, needed / 64 + 1);
    q->l1_any_dirty = false;
    g_free(old);
    qcow2_metadata_add(q, q->l1_offset, q->l1_size * sizeof(uint64_t));
    if (result == 0) {
        result = qcow2_update_l1_refcounts(q, old_offset, old_size, -1);
        qcow2_free_now(q, old_offset, MAX(old_size, 1) * sizeof(uint64_t));
    }
    return result;
}

bool qcow2_snapshot_apply(BlockNode *node, const char *id, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int index = find_snapshot(q, id), result;

    if (index < 0) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "Snapshot '%s' not found", id);
    }
    if (q->version < 3 && q->snapshots[index].info.disk_size != q->size) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "Snapshot '%s' has a different disk size, which a version 2 image does not "
            "support",
            id);
    }
    if (!qcow2_recount_begin(node, error)) {
        return false;
    }
    result = q->version < 3 ? qcow2_switch(q, QCOW2_SWITCH_APPLY, (unsigned)index, NULL)
                            : apply_locked(q, &q->snapshots[index]);
    node->size = q->size;
    return qcow2_recount_end(node, result, "apply the snapshot", error);
}

static int delete_locked(Qcow2 *q, int index)
{
    Qcow2Snapshot snapshot = q->snapshots[index];
    int result;

    if (q->version < 3) {
        result = qcow2_switch(q, QCOW2_SWITCH_DELETE, (unsigned)index, NULL);
        if (result == 0) {
            snapshot_clear(&snapshot);
        }
        return result;
    }
    memmove(&q->snapshots[index], &q->snapshots[index + 1],
            (q->snapshot_count - (unsigned)index - 1) * sizeof snapshot);
    q->snapshot_count--;
    result = write_snapshots(q);
    if (result < 0) {
        memmove(&q->snapshots[index + 1], &q->snapshots[index],
                (q->snapshot_count - (unsigned)index) * sizeof snapshot);
        q->snapshots[index] = snapshot;
        q->snapshot_count++;
        return result;
    }
    result = qcow2_update_l1_refcounts(q, snapshot.l1_table_offset, snapshot.l1_size, -1);
    if (result == 0) {
        qcow2_free_now(q, snapshot.l1_table_offset, MAX(snapshot.l1_size, 1) * sizeof(uint64_t));
    }
    snapshot_clear(&snapshot);
    return result;
}

bool qcow2_snapshot_delete(BlockNode *node, const char *id, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int index = find_snapshot(q, id);

    if (index < 0) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "Snapshot '%s' not found", id);
    }
    if (!qcow2_recount_begin(node, error)) {
        return false;
    }
    return qcow2_recount_end(node, delete_locked(q, index), "delete the snapshot", error);
}

static int read_l1(Qcow2 *q, const Qcow2Snapshot *snapshot, uint64_t **table)
{
    int result;

    *table = g_try_malloc0(align_up(MAX(snapshot->l1_size, 1), 64) * sizeof(uint64_t));
    result = *table ? qcow2_read_table(q, snapshot->l1_table_offset, *table, snapshot->l1_size)
                    : -ENOMEM;
    if (result < 0) {
        g_clear_pointer(table, g_free);
    }
    return result;
}

bool qcow2_snapshot_load(BlockNode *node, const char *id, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    int index = find_snapshot(q, id), result;
    Qcow2Snapshot *snapshot;
    uint64_t *table;

    if (!node->read_only) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "A snapshot can only be read through a read-only image");
    }
    if (index < 0) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "Snapshot '%s' not found", id);
    }
    snapshot = &q->snapshots[index];
    result = read_l1(q, snapshot, &table);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the L1 table of snapshot '%s'", id);
    }
    g_free(q->l1);
    q->l1 = table;
    q->l1_size = snapshot->l1_size;
    q->l1_offset = snapshot->l1_table_offset;
    q->size = node->size = snapshot->info.disk_size;
    qcow2_look_for_end(q);
    return true;
}

/* The snapshot's tables are the active ones while it reads. */
int qcow2_vm_state_peek(BlockNode *node, const char *id, uint64_t offset, uint64_t bytes,
                        IoVector vector)
{
    Qcow2 *q = qcow2_of(node);
    int index = find_snapshot(q, id), result;
    uint64_t *table, *active = q->l1;
    uint32_t active_size = q->l1_size;

    if (index < 0) {
        return -ENOENT;
    }
    result = read_l1(q, &q->snapshots[index], &table);
    if (result == 0) {
        q->l1 = table;
        q->l1_size = q->snapshots[index].l1_size;
        result = qcow2_vm_state_read(node, offset, bytes, vector);
        q->l1 = active;
        q->l1_size = active_size;
        g_free(table);
    }
    return result;
}

GPtrArray *qcow2_snapshot_list(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);
    GPtrArray *list = g_ptr_array_new_with_free_func(block_snapshot_free);

    for (unsigned i = 0; i < q->snapshot_count; i++) {
        BlockSnapshot *copy = g_memdup2(&q->snapshots[i].info, sizeof *copy);

        copy->id = g_strdup(copy->id);
        copy->name = g_strdup(copy->name);
        g_ptr_array_add(list, copy);
    }
    return list;
}
