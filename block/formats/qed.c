/* SPDX-License-Identifier: MIT */
/* QED: opening and reading. */
#include "block/formats/qed.h"

static int qed_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= QED_HEADER_SIZE && !memcmp(buffer, "QED\0", 4) ? 100 : 0;
}

uint64_t qed_max_size(uint64_t cluster_size, uint64_t table_clusters)
{
    uint64_t entries = table_clusters * cluster_size / 8;

    return entries > INT64_MAX / cluster_size / entries ? INT64_MAX
                                                        : entries * entries * cluster_size;
}

static bool parse_header(Qed *q, GError **error)
{
    const uint8_t *h = q->header;

    if (memcmp(h, "QED\0", 4)) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in QED format");
    }
    q->cluster_size = load_le32(h + 4);
    q->table_clusters = load_le32(h + 8);
    q->header_bytes = load_le32(h + 12) * q->cluster_size;
    q->features = load_le64(h + 16);
    q->l1_offset = load_le64(h + 40);
    q->size = load_le64(h + 48);
    if (q->features & ~(uint64_t)QED_FEATURES) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Unsupported QED features: %" G_GINT64_MODIFIER "x", q->features);
    }
    if (!is_power_of_two(q->cluster_size) || q->cluster_size < KIB(4) ||
        q->cluster_size > MIB(64) || !is_power_of_two(q->table_clusters) ||
        q->table_clusters > 16 || q->size > INT64_MAX || q->l1_offset % q->cluster_size ||
        q->l1_offset > INT64_MAX / 2) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "QED cluster_size, table_size, image_size or L1 offset is out of range");
    }
    q->table_entries = q->table_clusters * q->cluster_size / 8;
    return q->size <= qed_max_size(q->cluster_size, q->table_clusters) ||
           error_fail(error, KASO_ERROR_INVALID, "QED image_size is too large for its tables");
}

/* Without its first table nothing can be found. Its last cluster need not be there in full. */
static bool has_first_table(BlockNode *node, const Qed *q, GError **error)
{
    uint64_t last = q->l1_offset + (q->table_clusters - 1) * (uint64_t)q->cluster_size;
    uint64_t size = node_size(node->file->node);

    return last < size ||
           error_fail(error, KASO_ERROR_INVALID,
                      "QED image is cut off: its first table lies at byte %" G_GUINT64_FORMAT
                      ", and the file ends at %" G_GUINT64_FORMAT,
                      q->l1_offset, size);
}

static bool read_backing(BlockNode *node, GError **error)
{
    Qed *q = node->state;
    uint64_t offset = load_le32(q->header + 56), size = load_le32(q->header + 60);
    int result;

    if (size > QED_NAME_MAX || offset + size > q->cluster_size * 64) {
        return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
    }
    node->backing_filename = g_malloc0(size + 1);
    result = node_pread(node->file->node, offset, node->backing_filename, size);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the backing file name");
    }
    if (q->features & QED_FEATURE_RAW_BACKING) {
        node->backing_format = g_strdup("raw");
    }
    return true;
}

static bool qed_open(BlockNode *node, GHashTable *options, GError **error)
{
    Qed *q = node->state;
    BlockNode *file = node->file->node;
    int result = node_pread(file, 0, q->header, sizeof q->header);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the QED header");
    }
    if (!parse_header(q, error) || !has_first_table(node, q, error) ||
        (q->features & QED_FEATURE_BACKING && !read_backing(node, error))) {
        return false;
    }
    coroutine_mutex_init(&q->lock);
    q->cache = table_cache_new(node->file, 4096, MIB(4));
    if (!node->read_only && !qed_prepare_writing(node, error)) {
        table_cache_free(q->cache);
        return false;
    }
    return true;
}

static bool qed_reopen(BlockNode *node, bool read_only, GError **error)
{
    int result;

    if (!read_only) {
        return qed_prepare_writing(node, error);
    }
    result = qed_end_writing(node);
    return result == 0 || error_fail_errno(error, -result, "Could not flush '%s'", node->filename);
}

static void qed_close(BlockNode *node)
{
    Qed *q = node->state;

    qed_end_writing(node);
    table_cache_free(q->cache);
}

int qed_entry(Qed *q, uint64_t table_offset, uint64_t index, uint64_t *entry)
{
    uint64_t at = table_offset + index * 8;
    Table *table;
    int result = table_cache_get(q->cache, align_down(at, 4096), &table);

    if (result == 0) {
        *entry = load_le64(table->data + at % 4096);
        table_cache_put(q->cache, table);
    }
    return result;
}

/* An offset that a table may hold. What lies behind the end of a file in use does not count. */
static int check_offset(BlockNode *node, uint64_t *offset)
{
    Qed *q = node->state;
    bool unsure = (q->features & QED_FEATURE_CHECK) && !q->in_use;

    if (unsure && *offset > QED_ZERO && *offset >= node_length(node->file->node)) {
        *offset = QED_UNALLOCATED;
    }
    return *offset <= QED_ZERO || (*offset % q->cluster_size == 0 && *offset >= q->cluster_size &&
                                   *offset < INT64_MAX / 2)
               ? 0
               : -EIO;
}

int qed_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Qed *q = node->state;
    uint64_t cluster = offset / q->cluster_size, in_cluster = offset % q->cluster_size;
    uint64_t l2 = 0, entry = 0, wanted = piece->count;
    int result = qed_entry(q, q->l1_offset, cluster / q->table_entries, &l2);

    piece->count = MIN(piece->count, q->cluster_size - in_cluster);
    if (result == 0) {
        result = l2 == QED_ZERO ? -EIO : check_offset(node, &l2);
    }
    if (result == 0 && !l2) {
        uint64_t span = q->table_entries * q->cluster_size;

        piece->count = MIN(wanted, span - offset % span);
    }
    if (result == 0 && l2) {
        node_missing(node, offset, node->file->node, l2);
        result = qed_entry(q, l2, cluster % q->table_entries, &entry);
    }
    if (result == 0) {
        result = check_offset(node, &entry);
    }
    piece->kind = entry == QED_UNALLOCATED ? PIECE_BACKING
                  : entry == QED_ZERO      ? PIECE_ZERO
                                           : PIECE_DATA;
    piece->host = entry + in_cluster;
    return result;
}

static int qed_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, qed_map, NULL);
}

static int qed_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                      uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, qed_map);
}

static int64_t qed_length(BlockNode *node)
{
    return (int64_t)((Qed *)node->state)->size;
}

static int qed_info(BlockNode *node, BlockNodeInfo *info)
{
    Qed *q = node->state;

    info->cluster_size = q->cluster_size;
    info->is_dirty = (q->features & QED_FEATURE_CHECK) != 0;
    info->unallocated_reads_zero = !node->backing_filename;
    return 0;
}

static const BlockDriver qed_driver = {
    .name = "qed",
    .summary = "QEMU enhanced disk",
    .instance_size = sizeof(Qed),
    .has_backing = true,
    .probe = qed_probe,
    .open = qed_open,
    .reopen = qed_reopen,
    .close = qed_close,
    .create_options = qed_create_options,
    .create = qed_create,
    .read = qed_read,
    .write = qed_write,
    .write_zeroes = qed_write_zeroes,
    .truncate = qed_truncate,
    .set_backing = qed_set_backing,
    .status = qed_status,
    .length = qed_length,
    .info = qed_info,
    .check = qed_check,
};
BLOCK_DRIVER(qed_driver);
