/* SPDX-License-Identifier: MIT */
/*
 * qcow2: consistency check and repair. All references are counted in memory and compared with the
 * stored counts. Leaks are repaired in place; when a count is too low, all refcount structures are
 * built anew behind the end of the image, because nothing may be allocated by wrong counts.
 */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

typedef struct {
    Qcow2 *q;
    BlockCheck *result;
    uint32_t *counts; /* references to each cluster of the file */
    uint64_t clusters;
    bool rebuild;
    bool fix_copied; /* the COPIED flags, too */
    bool active;     /* walking the active L1 table */
} Check;

static void message(Check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void message(Check *check, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (!check->result->message) {
        return;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    check->result->message(check->result->opaque, text);
}

/* Counts a reference to each cluster of a range. */
static void count(Check *check, uint64_t offset, uint64_t bytes)
{
    unsigned bits = check->q->cluster_bits;
    uint64_t end;

    if (!bytes) {
        return;
    }
    if (__builtin_add_overflow(offset, bytes, &end) || (end - 1) >> bits >= check->clusters) {
        message(check,
                "ERROR: counting reference for region exceeding the end of the file by one "
                "cluster or more: offset 0x%" G_GINT64_MODIFIER "x size 0x%" G_GINT64_MODIFIER "x",
                offset, bytes);
        check->result->corruptions++;
        return;
    }
    for (uint64_t cluster = offset >> bits; cluster <= (end - 1) >> bits; cluster++) {
        check->counts[cluster]++;
    }
}

static void check_compressed(Check *check, L2Entry entry)
{
    uint64_t offset, bytes;

    qcow2_compressed_range(check->q, entry.entry, &offset, &bytes);
    if (entry.entry & QCOW2_COPIED) {
        message(check,
                "ERROR: coffset=0x%" G_GINT64_MODIFIER
                "x: copied flag must never be set for compressed clusters",
                offset);
        check->result->corruptions++;
    }
    count(check, offset, bytes);
    /* The file may end in the last sector, of which the data may need only a part. */
    if (offset / 512 * 512 < check->q->node->file->node->size &&
        (offset + bytes - 1) / 512 * 512 >= check->q->node->file->node->size) {
        message(check,
                "ERROR: compressed cluster at 0x%" G_GINT64_MODIFIER
                "x reaches behind the end of the file",
                offset);
        check->result->corruptions++;
    }
    if (check->active) {
        check->result->allocated_clusters++;
        check->result->compressed_clusters++;
        check->result->fragmented_clusters++;
    }
}

static void check_l2_entry(Check *check, L2Entry entry, uint64_t *next_contiguous)
{
    Qcow2 *q = check->q;
    uint64_t offset = entry.entry & QCOW2_OFFSET_MASK;
    uint64_t both = entry.bitmap & entry.bitmap >> 32 & QCOW2_BITMAP_ALL_ALLOC;

    if (entry.entry & QCOW2_COMPRESSED) {
        check_compressed(check, entry);
        return;
    }
    if (q->subclusters > 1 &&
        (both || (!offset && !qcow2_has_data_file(q) && (entry.bitmap & QCOW2_BITMAP_ALL_ALLOC)))) {
        message(check, "ERROR: invalid subcluster bitmap 0x%" G_GINT64_MODIFIER "x", entry.bitmap);
        check->result->corruptions++;
    }
    if (!offset) {
        if (check->active && qcow2_has_data_file(q) && (entry.entry & QCOW2_COPIED)) {
            check->result->allocated_clusters++;
        }
        return;
    }
    if (offset & (q->cluster_size - 1)) {
        message(check,
                "ERROR offset=%" G_GINT64_MODIFIER
                "x: Cluster is not properly aligned; L2 entry corrupted.",
                offset);
        check->result->corruptions++;
        return;
    }
    if (check->active) {
        check->result->allocated_clusters++;
        if (*next_contiguous && *next_contiguous != offset) {
            check->result->fragmented_clusters++;
        }
        *next_contiguous = offset + q->cluster_size;
    }
    if (!qcow2_has_data_file(q)) {
        count(check, offset, q->cluster_size);
    }
}

static int check_l2(Check *check, uint64_t l2_offset)
{
    Qcow2 *q = check->q;
    g_autofree uint8_t *table = g_try_malloc(q->cluster_size);
    uint64_t next_contiguous = 0;
    int result =
        table ? node_pread(q->node->file->node, l2_offset, table, q->cluster_size) : -ENOMEM;

    for (unsigned i = 0; result == 0 && i < q->cluster_size / q->l2_entry_size; i++) {
        check_l2_entry(check, qcow2_l2_load(q, table, i), &next_contiguous);
    }
    return result;
}

static int check_l1(Check *check, uint64_t l1_offset, uint32_t l1_size, bool active)
{
    Qcow2 *q = check->q;
    g_autofree uint64_t *l1 = g_try_new(uint64_t, MAX(l1_size, 1));
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    int result = l1 ? qcow2_read_table(q, l1_offset, l1, l1_size) : -ENOMEM;

    check->active = active;
    count(check, l1_offset, l1_size * sizeof(uint64_t));
    for (uint32_t i = 0; result == 0 && i < l1_size; i++) {
        uint64_t l2_offset = l1[i] & QCOW2_OFFSET_MASK;

        if (!l2_offset) {
            continue;
        }
        if (l2_offset & (q->cluster_size - 1)) {
            message(check,
                    "ERROR l2_offset=0x%" G_GINT64_MODIFIER
                    "x: Table is not cluster aligned; L1 entry corrupted",
                    l2_offset);
            check->result->corruptions++;
            continue;
        }
        count(check, l2_offset, q->cluster_size);
        if (!g_hash_table_add(seen, GSIZE_TO_POINTER(l2_offset >> q->cluster_bits))) {
            message(check,
                    "ERROR l2_offset=0x%" G_GINT64_MODIFIER "x: Table is used by two L1 entries",
                    l2_offset);
            check->result->corruptions++;
            continue;
        }
        if (l2_offset >> q->cluster_bits < check->clusters) {
            result = check_l2(check, l2_offset);
        }
    }
    return result;
}

static int check_bitmaps(Check *check)
{
    Qcow2 *q = check->q;
    uint64_t size = q->bitmaps.directory_size, at = 0;
    g_autofree uint8_t *directory = NULL;
    int result;

    if (!q->bitmaps.count) {
        return 0;
    }
    count(check, q->bitmaps.directory_offset, size);
    directory = g_try_malloc(size);
    result = directory
                 ? node_pread(q->node->file->node, q->bitmaps.directory_offset, directory, size)
                 : -ENOMEM;
    while (result == 0 && at + 24 <= size) {
        uint64_t table_offset = load_be64(directory + at);
        uint32_t entries = load_be32(directory + at + 8);
        g_autofree uint64_t *table = NULL;

        if (!table_offset) {
            break;
        }
        at += align_up(24ull + load_be16(directory + at + 18) + load_be32(directory + at + 20), 8);
        count(check, table_offset, entries * 8ull);
        if (entries > MIB(1) || (table_offset & (q->cluster_size - 1))) {
            message(check, "ERROR bitmap table at 0x%" G_GINT64_MODIFIER "x is invalid",
                    table_offset);
            check->result->corruptions++;
            continue;
        }
        table = g_new(uint64_t, MAX(entries, 1));
        result = qcow2_read_table(q, table_offset, table, entries);
        for (uint32_t i = 0; result == 0 && i < entries; i++) {
            if (table[i] & QCOW2_OFFSET_MASK) {
                count(check, table[i] & QCOW2_OFFSET_MASK, q->cluster_size);
            }
        }
    }
    return result;
}

static void check_reftable(Check *check)
{
    Qcow2 *q = check->q;

    count(check, q->reftable_offset, q->reftable_entries * sizeof(uint64_t));
    for (uint32_t i = 0; i < q->reftable_entries; i++) {
        uint64_t block = q->reftable[i] & QCOW2_REFTABLE_MASK;

        if (!block) {
            continue;
        }
        if ((block & (q->cluster_size - 1)) || block >> q->cluster_bits >= check->clusters) {
            message(check, "ERROR refcount block %u %s", i,
                    block & (q->cluster_size - 1) ? "is not cluster aligned; refcount table entry "
                                                    "corrupted"
                                                  : "is outside image");
            check->result->corruptions++;
            check->rebuild = true;
            continue;
        }
        count(check, block, q->cluster_size);
        if (check->counts[block >> q->cluster_bits] != 1) {
            message(check, "ERROR refcount block %u refcount=%u", i,
                    check->counts[block >> q->cluster_bits]);
            check->result->corruptions++;
            check->rebuild = true;
        }
    }
}

static int count_references(Check *check)
{
    Qcow2 *q = check->q;
    int result;

    count(check, 0, q->cluster_size);
    result = check_l1(check, q->l1_offset, q->l1_size, true);
    for (unsigned i = 0; result == 0 && i < q->snapshot_count; i++) {
        result = check_l1(check, q->snapshots[i].l1_table_offset, q->snapshots[i].l1_size, false);
    }
    count(check, q->snapshots_offset, q->snapshots_bytes);
    if (q->crypt_header_offset) {
        count(check, q->crypt_header_offset, q->crypt_header_length);
    }
    if (result == 0) {
        result = check_bitmaps(check);
    }
    if (result == 0) {
        check_reftable(check);
    }
    return result;
}

/* Comparing. */

static int compare_one(Check *check, uint64_t cluster, bool fix, uint64_t *highest)
{
    Qcow2 *q = check->q;
    uint64_t stored, counted = check->counts[cluster];
    int result = qcow2_get_refcount(q, cluster, &stored);

    if (result < 0) {
        message(check, "Can't get refcount for cluster %" G_GUINT64_FORMAT ": %s", cluster,
                g_strerror(-result));
        check->result->check_errors++;
        check->rebuild = true;
        return 0;
    }
    if (stored || counted) {
        *highest = cluster;
    }
    if (stored == counted) {
        return 0;
    }
    if (stored < counted) {
        message(check,
                "%s cluster %" G_GUINT64_FORMAT " refcount=%" G_GUINT64_FORMAT
                " reference=%" G_GUINT64_FORMAT,
                check->result->fix_errors ? "Repairing" : "ERROR", cluster, stored, counted);
        check->result->corruptions++;
        check->rebuild = true;
        return 0;
    }
    message(check,
            "%s cluster %" G_GUINT64_FORMAT " refcount=%" G_GUINT64_FORMAT
            " reference=%" G_GUINT64_FORMAT,
            fix ? "Repairing" : "Leaked", cluster, stored, counted);
    check->result->leaks++;
    if (fix) {
        result = qcow2_lower_refcount(q, cluster, counted);
    }
    if (fix && result == 0) {
        check->result->leaks_fixed++;
        check->result->leaks--;
    }
    return result;
}

static int compare(Check *check)
{
    bool fix = check->result->fix_leaks && !check->rebuild;
    uint64_t highest = 0;
    int result = 0;

    for (uint64_t i = 0; i < check->clusters && result == 0; i++) {
        result = compare_one(check, i, fix, &highest);
    }
    check->result->image_end_offset = (highest + 1) << check->q->cluster_bits;
    return result;
}

/* COPIED must be set exactly where the count is 1. */
static int check_copied_entry(Check *check, uint64_t entry, const char *what)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK, refcount;
    int result;

    if (!offset || (entry & QCOW2_COMPRESSED) || (offset & (check->q->cluster_size - 1))) {
        return 0;
    }
    result = qcow2_get_refcount(check->q, offset >> check->q->cluster_bits, &refcount);
    if (result == 0 && (refcount == 1) != ((entry & QCOW2_COPIED) != 0)) {
        message(check,
                "%s OFLAG_COPIED %s cluster: entry=%" G_GINT64_MODIFIER
                "x refcount=%" G_GUINT64_FORMAT,
                check->fix_copied ? "Repairing" : "ERROR", what, entry, refcount);
        check->result->corruptions++;
    }
    return result;
}

static int check_copied(Check *check)
{
    Qcow2 *q = check->q;
    int result = 0;

    for (uint32_t i = 0; i < q->l1_size && result == 0; i++) {
        uint64_t l2_offset = q->l1[i] & QCOW2_OFFSET_MASK;

        if (!l2_offset || (l2_offset & (q->cluster_size - 1)) ||
            l2_offset >> q->cluster_bits >= check->clusters) {
            continue;
        }
        result = check_copied_entry(check, q->l1[i], "L2");
        for (uint64_t at = 0; at < q->cluster_size && result == 0 && !qcow2_has_data_file(q);
             at += q->l2_slice_bytes) {
            Table *slice = NULL;

            result = table_cache_get(q->l2_cache, l2_offset + at, &slice);
            for (unsigned j = 0; result == 0 && j < qcow2_l2_slice_entries(q); j++) {
                result = check_copied_entry(check, qcow2_l2_load(q, slice->data, j).entry, "data");
            }
            if (slice) {
                table_cache_put(q->l2_cache, slice);
            }
        }
    }
    return result;
}

/* Rebuilding. */

/* New blocks and table behind all clusters, written and then named by the header. */
static int rebuild(Check *check)
{
    Qcow2 *q = check->q;
    BlockNode *file = q->node->file->node;
    uint64_t per_block = UINT64_C(1) << q->refblock_bits, start = check->clusters;
    uint64_t blocks = 0, table_clusters = 0, total, entries;
    g_autofree uint8_t *block = g_try_malloc(q->cluster_size);
    uint64_t *table;
    int result = 0;

    do {
        total = start + blocks + table_clusters;
        blocks = (total + per_block - 1) / per_block;
        table_clusters = qcow2_clusters(q, blocks * sizeof(uint64_t));
    } while (start + blocks + table_clusters != total);
    entries = table_clusters * q->cluster_size / sizeof(uint64_t);
    table = g_try_malloc0(entries * sizeof(uint64_t));
    if (!block || !table || entries * sizeof(uint64_t) > QCOW2_MAX_REFTABLE_BYTES) {
        g_free(table);
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < blocks && result == 0; i++) {
        memset(block, 0, q->cluster_size);
        for (uint64_t j = 0; j < per_block && i * per_block + j < total; j++) {
            uint64_t cluster = i * per_block + j;
            uint64_t value = cluster < start ? check->counts[cluster] : 1;

            qcow2_refcount_store(q, block, j, MIN(value, qcow2_refcount_max(q)));
        }
        table[i] = (start + i) << q->cluster_bits;
        node_debug_event(file, EVENT_REFBLOCK_UPDATE);
        result = node_pwrite(file, table[i], block, q->cluster_size, 0);
    }
    if (result == 0) {
        node_debug_event(file, EVENT_REFTABLE_UPDATE);
        result = qcow2_write_table(q, (start + blocks) << q->cluster_bits, table, entries);
    }
    if (result == 0) {
        result = node_flush(file);
    }
    if (result < 0) {
        g_free(table);
        return result;
    }
    g_free(q->reftable);
    q->reftable = table;
    q->reftable_entries = (uint32_t)entries;
    q->reftable_offset = (start + blocks) << q->cluster_bits;
    table_cache_forget_all(q->refblock_cache);
    q->free_hint = 0;
    q->file_end = total << q->cluster_bits;
    if (q->metadata) {
        g_hash_table_unref(q->metadata);
        q->metadata = NULL;
    }
    result = qcow2_write_header(q);
    return result < 0 ? result : node_flush(file);
}

/* Counts without the old refcount structures, which go away. */
static int recount_for_rebuild(Check *check)
{
    Qcow2 *q = check->q;
    BlockCheck silent = { 0 }, *real = check->result;
    uint32_t entries = q->reftable_entries;
    int result;

    memset(check->counts, 0, check->clusters * sizeof *check->counts);
    check->result = &silent;
    q->reftable_entries = 0;
    result = count_references(check);
    q->reftable_entries = entries;
    check->result = real;
    return result;
}

static int repair(Check *check)
{
    Qcow2 *q = check->q;
    BlockCheck *r = check->result;
    uint64_t found = r->corruptions;
    int result = 0;

    if (check->rebuild && r->fix_errors) {
        message(check, "Rebuilding refcount structure");
        result = recount_for_rebuild(check);
        if (result == 0) {
            result = rebuild(check);
        }
        r->leaks_fixed += r->leaks;
        r->leaks = 0;
    }
    if (result == 0 && check->fix_copied && found) {
        result = qcow2_update_l1_refcounts(q, q->l1_offset, q->l1_size, 0);
        if (result == 0) {
            result = qcow2_sync(q);
        }
        if (result == 0) {
            r->corruptions_fixed += found;
            r->corruptions -= found;
        }
    }
    return result;
}

static int check_run(Check *check)
{
    Qcow2 *q = check->q;
    uint64_t unfixable;
    int result = qcow2_sync(q);

    if (result == 0) {
        result = qcow2_apply_ready(q);
    }
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result == 0) {
        result = count_references(check);
    }
    /* What is wrong with entries themselves cannot be repaired by counting. */
    unfixable = check->result->corruptions;
    if (check->rebuild) {
        unfixable = 0;
    }
    check->result->corruptions -= unfixable;
    if (result == 0) {
        result = compare(check);
    }
    /* Lowering counts makes flags wrong: who repairs leaks alone wants no new errors for it. */
    check->fix_copied = check->result->fix_errors || (check->result->fix_leaks && !check->rebuild &&
                                                      !unfixable && !check->result->check_errors);
    if (result == 0 && !check->rebuild) {
        result = check_copied(check);
    }
    if (result == 0 && !q->node->read_only) {
        result = repair(check);
    }
    check->result->corruptions += unfixable;
    return result;
}

int qcow2_check(BlockNode *node, BlockCheck *result)
{
    Qcow2 *q = qcow2_of(node);
    Check check = { .q = q, .result = result };
    uint64_t size = node_length(node->file->node);
    int status;

    check.clusters = qcow2_clusters(q, size);
    check.counts = g_try_new0(uint32_t, MAX(check.clusters, 1));
    if (!check.counts) {
        return -ENOMEM;
    }
    result->has_fragments = true;
    result->total_clusters = qcow2_clusters(q, q->size);
    coroutine_mutex_lock(&q->lock);
    if (node->read_only) {
        status = count_references(&check);
        if (status == 0) {
            status = compare(&check);
        }
        if (status == 0) {
            status = check_copied(&check);
        }
    } else {
        status = check_run(&check);
        if (status == 0 && (result->fix_errors || result->fix_leaks) && !result->check_errors &&
            !result->corruptions) {
            q->broken = false;
            q->incompatible &= ~(uint64_t)QCOW2_INCOMPAT_CORRUPT;
            if (result->fix_errors) {
                q->incompatible &= ~(uint64_t)QCOW2_INCOMPAT_DIRTY;
            }
            status = qcow2_sync(q);
            if (status == 0) {
                status = qcow2_write_header(q);
            }
        }
    }
    coroutine_mutex_unlock(&q->lock);
    g_free(check.counts);
    if (status < 0) {
        result->check_errors++;
    }
    return status;
}
