/* SPDX-License-Identifier: MIT */
/* QED: read only. */
#include "block/mapped.h"
#include "block/qcow2.h"

enum {
    HEADER_SIZE = 64,
    FEATURE_BACKING = 1,
    FEATURE_CHECK = 2,
    FEATURE_RAW_BACKING = 4,
    FEATURES = 7
};

typedef struct {
    uint64_t size, cluster_size, table_entries, l1_offset;
    TableCache *cache;
} Qed;

static int qed_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= HEADER_SIZE && !memcmp(buffer, "QED\0", 4) ? 100 : 0;
}

static bool qed_open(BlockNode *node, GHashTable *options, GError **error)
{
    Qed *q = node->state;
    BlockNode *file = node->file->node;
    uint8_t h[HEADER_SIZE];
    uint64_t features, table_size, name_offset, name_size;
    int result = node_pread(file, 0, h, sizeof h);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the QED header");
    }
    q->cluster_size = load_le32(h + 4);
    table_size = load_le32(h + 8);
    features = load_le64(h + 16);
    q->l1_offset = load_le64(h + 40);
    q->size = load_le64(h + 48);
    name_offset = load_le32(h + 56);
    name_size = load_le32(h + 60);
    if (memcmp(h, "QED\0", 4)) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in QED format");
    }
    if (features & ~(uint64_t)FEATURES) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Unsupported QED features: %" G_GINT64_MODIFIER "x", features);
    }
    if (!is_power_of_two(q->cluster_size) || q->cluster_size < KIB(4) ||
        q->cluster_size > MIB(64) || !is_power_of_two(table_size) || table_size > 16 ||
        q->size > INT64_MAX || q->l1_offset % q->cluster_size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "QED cluster_size, table_size, image_size or L1 offset is out of range");
    }
    q->table_entries = table_size * q->cluster_size / 8;
    if (q->size / q->cluster_size / q->table_entries > q->table_entries) {
        return error_fail(error, KASO_ERROR_INVALID, "QED image_size is too large for its tables");
    }
    if (!mapped_read_only(node, error)) {
        return false;
    }
    if (features & FEATURE_BACKING) {
        if (name_size > 1023 || name_offset + name_size > q->cluster_size * 64) {
            return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
        }
        node->backing_filename = g_malloc0(name_size + 1);
        result = node_pread(file, name_offset, node->backing_filename, name_size);
        if (result < 0) {
            return error_fail_errno(error, -result, "Could not read the backing file name");
        }
        if (features & FEATURE_RAW_BACKING) {
            node->backing_format = g_strdup("raw");
        }
    }
    q->cache = table_cache_new(file, 4096, MIB(4));
    return true;
}

static void qed_close(BlockNode *node)
{
    table_cache_free(((Qed *)node->state)->cache);
}

static int qed_entry(Qed *q, uint64_t table_offset, uint64_t index, uint64_t *entry)
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

static int qed_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Qed *q = node->state;
    uint64_t cluster = offset / q->cluster_size, in_cluster = offset % q->cluster_size;
    uint64_t l2 = 0, entry = 0;
    int result = qed_entry(q, q->l1_offset, cluster / q->table_entries, &l2);

    piece->count = MIN(piece->count, q->cluster_size - in_cluster);
    if (result == 0 && l2) {
        if (l2 % q->cluster_size) {
            return -EIO;
        }
        node_missing(node, offset, node->file->node, l2);
        result = qed_entry(q, l2, cluster % q->table_entries, &entry);
    }
    if (result < 0) {
        return result;
    }
    piece->kind = entry == 0 ? PIECE_BACKING : entry == 1 ? PIECE_ZERO : PIECE_DATA;
    piece->host = entry + in_cluster;
    return entry > 1 && entry % q->cluster_size ? -EIO : 0;
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
    info->cluster_size = ((Qed *)node->state)->cluster_size;
    return 0;
}

static int qed_check(BlockNode *node, BlockCheck *check)
{
    return mapped_check(node, check, qed_map);
}

static const BlockDriver qed_driver = {
    .name = "qed",
    .summary = "QEMU enhanced disk, read only",
    .instance_size = sizeof(Qed),
    .has_backing = true,
    .probe = qed_probe,
    .open = qed_open,
    .close = qed_close,
    .read = qed_read,
    .status = qed_status,
    .length = qed_length,
    .info = qed_info,
    .check = qed_check,
};
BLOCK_DRIVER(qed_driver);
