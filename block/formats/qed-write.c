/* SPDX-License-Identifier: MIT */
/* QED: writing, growing, checking and repairing. Disks do not shrink. */
#include "block/formats/qed.h"

int qed_write_header(BlockNode *node)
{
    Qed *q = node->state;

    store_le64(q->header + 16, q->features);
    store_le64(q->header + 48, q->size);
    return node_pwrite(node->file->node, 0, q->header, sizeof q->header, 0);
}

/* One entry, on disk and then in the cache. [lock] */
static int set_entry(BlockNode *node, uint64_t table_offset, uint64_t index, uint64_t entry)
{
    Qed *q = node->state;
    uint64_t at = table_offset + index * 8, in_slice = at % 4096;
    uint8_t sector[512];
    Table *table;
    int result = table_cache_get(q->cache, at - in_slice, &table);

    if (result < 0) {
        return result;
    }
    memcpy(sector, table->data + align_down(in_slice, 512), sizeof sector);
    store_le64(sector + at % 512, entry);
    result = node_pwrite(node->file->node, align_down(at, 512), sector, sizeof sector, 0);
    if (result == 0) {
        store_le64(table->data + in_slice, entry);
    }
    table_cache_put(q->cache, table);
    return result;
}

/* Scanning all tables, each once. */

typedef struct {
    BlockNode *node;
    bool repair;
    bool warn;        /* of what was cut off with the file's end */
    GHashTable *seen; /* offsets of L2 tables */
    uint64_t bad, clusters, data;
} Scan;

static bool is_inside(BlockNode *node, uint64_t offset)
{
    Qed *q = node->state;

    return offset % q->cluster_size == 0 && offset >= q->cluster_size &&
           offset < node_length(node->file->node);
}

static int scan_table(Scan *s, uint64_t table, bool is_l1, uint64_t guest)
{
    Qed *q = s->node->state;
    uint64_t end = node_length(s->node->file->node), entry;
    uint64_t span = is_l1 ? q->table_entries * q->cluster_size : q->cluster_size;
    int result = 0;

    s->clusters += q->table_clusters;
    for (uint64_t i = 0; i < q->table_entries && table + i * 8 < end && result == 0; i++) {
        result = qed_entry(q, table, i, &entry);
        if (result < 0 || entry == QED_UNALLOCATED || (!is_l1 && entry == QED_ZERO)) {
            continue;
        }
        if (!is_inside(s->node, entry)) {
            s->bad++;
            if (s->warn) {
                node_missing(s->node, MIN(guest + i * span, q->size), s->node->file->node, entry);
            }
            result = s->repair ? set_entry(s->node, table, i, QED_UNALLOCATED) : 0;
        } else if (!is_l1) {
            s->data++;
        } else if (g_hash_table_add(s->seen, g_memdup2(&entry, sizeof entry))) {
            result = scan_table(s, entry, false, guest + i * span);
        }
    }
    return result;
}

static int scan(Scan *s)
{
    Qed *q = s->node->state;
    int result;

    s->seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    result = scan_table(s, q->l1_offset, true, 0);
    g_hash_table_unref(s->seen);
    return result;
}

/* Beginning and end. */

/* Entries for clusters that never came into the file go; they were never flushed. */
static int repair(BlockNode *node, uint64_t *dropped)
{
    Qed *q = node->state;
    BlockNode *file = node->file->node;
    Scan s = { .node = node, .repair = true };
    int result = scan(&s);

    *dropped = s.bad;
    /* A cluster that came in part is there in full: what is missing of it was not flushed. */
    if (result == 0 &&
        !node_grow(file, align_up(node_length(file), q->cluster_size), PREALLOC_OFF, NULL)) {
        result = -EIO;
    }
    if (result == 0) {
        result = node_flush(node->file->node);
    }
    if (result == 0) {
        q->features &= ~(uint64_t)QED_FEATURE_CHECK;
        result = qed_write_header(node);
    }
    return result;
}

bool qed_prepare_writing(BlockNode *node, GError **error)
{
    Qed *q = node->state;
    bool unknown = load_le64(q->header + 32) != 0;
    uint64_t dropped;
    int result = 0;

    if (q->l1_offset < q->cluster_size) {
        return error_fail(error, KASO_ERROR_INVALID, "The QED L1 table overlaps the header");
    }
    q->file_end = align_up(node_length(node->file->node), q->cluster_size);
    if (node->flags.check) {
        return true;
    }
    if (q->features & QED_FEATURE_CHECK) {
        result = repair(node, &dropped);
    }
    if (result == 0 && unknown) {
        store_le64(q->header + 32, 0); /* autoclear features of who knows more than we do */
        result = qed_write_header(node);
    }
    return result == 0 || error_fail_errno(error, -result, "Could not repair '%s'", node->filename);
}

/* Before the first change of a table. [lock] */
static int begin_writing(BlockNode *node)
{
    Qed *q = node->state;
    int result;

    if (q->in_use) {
        return 0;
    }
    q->features |= QED_FEATURE_CHECK;
    q->in_use = true;
    result = qed_write_header(node);
    if (result == 0) {
        result = node_flush(node->file->node);
    }
    if (result < 0) {
        q->in_use = false;
        q->features &= ~(uint64_t)QED_FEATURE_CHECK;
    }
    return result;
}

int qed_end_writing(BlockNode *node)
{
    Qed *q = node->state;
    int result;

    if (!q->in_use) {
        return 0;
    }
    result = node_flush(node->file->node);
    if (result == 0) {
        q->features &= ~(uint64_t)QED_FEATURE_CHECK;
        result = qed_write_header(node);
    }
    q->in_use = result < 0;
    return result;
}

/* Writing. */

/* Clusters behind everything. After a failure they are never tried again: something may be there. */
static int take_zeroes(BlockNode *node, uint64_t bytes, uint64_t *offset)
{
    Qed *q = node->state;

    *offset = q->file_end;
    if (q->file_end > INT64_MAX / 2 - bytes) {
        return -EFBIG;
    }
    q->file_end += bytes;
    return node_write_zeroes(node->file->node, *offset, bytes, 0);
}

/* The L2 table for that cluster. [lock] */
static int get_table(BlockNode *node, uint64_t cluster, uint64_t *l2)
{
    Qed *q = node->state;
    uint64_t bytes = q->table_clusters * q->cluster_size;
    int result = begin_writing(node);

    if (result == 0) {
        result = qed_entry(q, q->l1_offset, cluster / q->table_entries, l2);
    }
    if (result < 0 || *l2) {
        return result;
    }
    result = take_zeroes(node, bytes, l2);
    if (result == 0) {
        table_cache_forget(q->cache, *l2, bytes);
        result = set_entry(node, q->l1_offset, cluster / q->table_entries, *l2);
    }
    return result;
}

/* What is read from the backing file; durable before the entry, as the rest of it was flushed once. */
static int copy_backing(BlockNode *node, uint64_t start, uint64_t *host)
{
    Qed *q = node->state;
    uint64_t bytes = MIN(q->cluster_size, q->size - start);
    g_autofree uint8_t *buffer = g_try_malloc0(q->cluster_size);
    int result = buffer ? node_pread(node->backing->node, start, buffer, bytes) : -ENOMEM;

    if (result < 0) {
        return result;
    }
    if (buffer_is_zero(buffer, q->cluster_size)) {
        return take_zeroes(node, q->cluster_size, host);
    }
    *host = q->file_end;
    q->file_end += q->cluster_size;
    result = node_pwrite(node->file->node, *host, buffer, q->cluster_size, 0);
    return result < 0 ? result : node_flush(node->file->node);
}

static int allocate(BlockNode *node, uint64_t offset)
{
    Qed *q = node->state;
    uint64_t cluster = offset / q->cluster_size, l2, host = 0;
    MappedPiece piece = { .count = 1, .file = node->file->node };
    int result = qed_map(node, offset, &piece);

    if (result == 0) {
        result = get_table(node, cluster, &l2);
    }
    if (result == 0) {
        result = piece.kind == PIECE_BACKING && node->backing
                     ? copy_backing(node, cluster * q->cluster_size, &host)
                     : take_zeroes(node, q->cluster_size, &host);
    }
    /* An entry that is dropped after a power cut would show the backing file again. */
    if (result == 0 && piece.kind == PIECE_ZERO && (node->backing || node->backing_filename)) {
        result = node_flush(node->file->node);
    }
    return result < 0 ? result : set_entry(node, l2, cluster % q->table_entries, host);
}

/* Before the first cluster is taken: each table once, however many places it is said to describe. */
static int look_for_end(BlockNode *node)
{
    Scan s = { .node = node, .warn = true };
    int result = node->end_checked ? 0 : scan(&s);

    node->end_checked |= result == 0;
    return result;
}

int qed_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags)
{
    Qed *q = node->state;
    int result = look_for_end(node);

    return result < 0
               ? result
               : mapped_write(node, offset, bytes, vector, flags, qed_map, allocate, &q->lock);
}

/* A cluster without a place, or the part of it from offset on. [lock] */
static int zero_unallocated(BlockNode *node, uint64_t offset, const MappedPiece *piece,
                            uint64_t end)
{
    Qed *q = node->state;
    uint64_t l2, cluster = offset / q->cluster_size;
    int result;

    if (node->cut_off) {
        return -EIO;
    }
    if (offset % q->cluster_size ||
        (piece->count < q->cluster_size && offset + piece->count < end)) {
        return allocate(node, offset);
    }
    result = get_table(node, cluster, &l2);
    return result < 0 ? result : set_entry(node, l2, cluster % q->table_entries, QED_ZERO);
}

/* disk_end: where the disk ends, so that less than a cluster there is a whole one. */
static int zero_range(BlockNode *node, uint64_t offset, uint64_t end, uint64_t disk_end,
                      unsigned flags)
{
    Qed *q = node->state;
    int result = look_for_end(node);

    while (offset < end && result == 0) {
        MappedPiece piece = { .count = end - offset, .file = node->file->node };
        bool again = false;

        result = qed_map(node, offset, &piece);
        if (result == 0 && piece.kind == PIECE_DATA) {
            result =
                node_write_zeroes(piece.file, piece.host, piece.count, flags & BLOCK_MAY_UNMAP);
        } else if (result == 0 && piece.kind == PIECE_BACKING &&
                   (node->backing || node->backing_filename)) {
            coroutine_mutex_lock(&q->lock);
            piece.count = end - offset;
            result = qed_map(node, offset, &piece);
            again = true; /* another write may have given it a place meanwhile */
            if (result == 0 && piece.kind == PIECE_BACKING) {
                result = zero_unallocated(node, offset, &piece, disk_end);
            }
            coroutine_mutex_unlock(&q->lock);
        }
        offset += again ? 0 : piece.count;
    }
    return result;
}

int qed_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    return zero_range(node, offset, offset + bytes, ((Qed *)node->state)->size, flags);
}

bool qed_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    Qed *q = node->state;
    uint64_t old = q->size, backing = node->backing ? node_size(node->backing->node) : 0, end;
    int result;

    if (size < old || prealloc != PREALLOC_OFF) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Images of format 'qed' only grow, without preallocation: convert to "
                          "another format");
    }
    if (size % 512 || size > qed_max_size(q->cluster_size, q->table_clusters)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A QED disk with these tables has a multiple of 512 bytes, at most "
                          "%" G_GUINT64_FORMAT,
                          qed_max_size(q->cluster_size, q->table_clusters));
    }
    /* What was hidden behind the end, in the last cluster and in the backing file, stays hidden. */
    end = MIN(MAX(align_up(old, q->cluster_size), backing), size);
    q->size = size;
    result = zero_range(node, old, end, size, 0);
    if (result == 0) {
        result = node_flush(node->file->node);
    }
    if (result == 0) {
        result = qed_write_header(node);
    }
    if (result < 0) {
        q->size = old;
    }
    return result == 0 || error_fail_errno(error, -result, "Could not resize '%s'", node->filename);
}

/* The name lies behind the header's fields, in the sectors that are written with them. */
bool qed_set_backing(BlockNode *node, const char *filename, const char *format, GError **error)
{
    Qed *q = node->state;
    size_t length = filename ? strlen(filename) : 0;
    g_autofree uint8_t *header = g_malloc0(QED_HEADER_SIZE + length);
    int result;

    if (length > MIN(QED_NAME_MAX, q->cluster_size - QED_HEADER_SIZE)) {
        return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
    }
    q->features &= ~(uint64_t)(QED_FEATURE_BACKING | QED_FEATURE_RAW_BACKING);
    if (length) {
        q->features |= QED_FEATURE_BACKING;
        q->features |= !g_strcmp0(format, "raw") ? QED_FEATURE_RAW_BACKING : 0;
    }
    store_le32(q->header + 56, length ? QED_HEADER_SIZE : 0);
    store_le32(q->header + 60, (uint32_t)length);
    store_le64(q->header + 16, q->features);
    memcpy(header, q->header, QED_HEADER_SIZE);
    if (length) {
        memcpy(header + QED_HEADER_SIZE, filename, length);
    }
    result = node_flush(node->file->node);
    if (result == 0) {
        result = node_pwrite(node->file->node, 0, header, QED_HEADER_SIZE + length, 0);
    }
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not change the backing file of '%s'",
                                node->filename);
    }
    g_free(node->backing_filename);
    g_free(node->backing_format);
    node->backing_filename = length ? g_strdup(filename) : NULL;
    node->backing_format = length && format && format[0] ? g_strdup(format) : NULL;
    return true;
}

/* Checking. */

static void count_leaks(BlockNode *node, const Scan *s, BlockCheck *check)
{
    Qed *q = node->state;
    uint64_t in_file = (node_length(node->file->node) + q->cluster_size - 1) / q->cluster_size;
    uint64_t used = q->header_bytes / q->cluster_size + s->clusters + s->data;

    check->total_clusters = (q->size + q->cluster_size - 1) / q->cluster_size;
    check->allocated_clusters = s->data;
    check->leaks = in_file > used ? in_file - used : 0;
    if (check->leaks && check->message) {
        g_autofree char *text = g_strdup_printf("Leaked: %" G_GUINT64_FORMAT
                                                " of %" G_GUINT64_FORMAT " clusters of the file",
                                                check->leaks, in_file);

        check->message(check->opaque, text);
    }
}

int qed_check(BlockNode *node, BlockCheck *check)
{
    Qed *q = node->state;
    Scan s = { .node = node };
    uint64_t fixed = 0;
    int result = 0;

    if (check->fix_errors) {
        result = repair(node, &fixed);
        check->corruptions_fixed = fixed;
    }
    if (result == 0) {
        result = scan(&s);
    }
    if (result < 0) {
        return result;
    }
    count_leaks(node, &s, check);
    if (s.bad) {
        g_autofree char *text = g_strdup_printf(
            "ERROR: %" G_GUINT64_FORMAT " entries of tables name no cluster of the file%s", s.bad,
            q->features & QED_FEATURE_CHECK ? "; the next writer drops them" : "");

        check->corruptions += s.bad;
        if (check->message) {
            check->message(check->opaque, text);
        }
        return 0;
    }
    return mapped_check(node, check, qed_map, NULL);
}
