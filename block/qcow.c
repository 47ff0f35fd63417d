/* SPDX-License-Identifier: MIT */
/* qcow version 1: read only. Encrypted images are refused. */
#include "block/mapped.h"
#include "block/qcow2.h"

enum { HEADER_SIZE = 48, L1_MAX_BYTES = 32 * 1024 * 1024 };

typedef struct {
    uint64_t size, *l1;
    unsigned cluster_bits, l2_bits;
    uint64_t l1_size;
    TableCache *l2_cache;
    size_t slice;
} Qcow;

static int qcow_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= HEADER_SIZE && load_be32(buffer) == QCOW2_MAGIC && load_be32(buffer + 4) == 1
               ? 100
               : 0;
}

static bool qcow_open(BlockNode *node, GHashTable *options, GError **error)
{
    Qcow *q = node->state;
    BlockNode *file = node->file->node;
    uint8_t h[HEADER_SIZE];
    uint64_t backing, span;
    uint32_t backing_size;
    int result = node_pread(file, 0, h, sizeof h);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the qcow header");
    }
    q->size = load_be64(h + 24);
    q->cluster_bits = h[32];
    q->l2_bits = h[33];
    backing = load_be64(h + 8);
    backing_size = load_be32(h + 16);
    if (load_be32(h) != QCOW2_MAGIC || load_be32(h + 4) != 1) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in qcow format");
    }
    if (q->cluster_bits < 9 || q->cluster_bits > 16 || q->l2_bits < 6 || q->l2_bits > 13 ||
        q->size > INT64_MAX - MIB(512) || q->size < 1) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "qcow cluster_bits %u, l2_bits %u or size %" G_GUINT64_FORMAT
                          " is out of range",
                          q->cluster_bits, q->l2_bits, q->size);
    }
    if (load_be32(h + 36)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Encrypted qcow images are not supported; use qcow2");
    }
    if (!mapped_read_only(node, error)) {
        return false;
    }
    span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    q->l1_size = (q->size + span - 1) / span;
    q->l1 = mapped_load_table(file, load_be64(h + 40), q->l1_size, 8, true, L1_MAX_BYTES,
                              "the L1 table", error);
    if (!q->l1) {
        return false;
    }
    if (backing && backing_size) {
        if (backing_size > 1023) {
            g_free(q->l1);
            return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
        }
        node->backing_filename = g_malloc0(backing_size + 1);
        if (node_pread(file, backing, node->backing_filename, backing_size) < 0) {
            g_free(q->l1);
            return error_fail(error, KASO_ERROR_IO, "Could not read the backing file name");
        }
    }
    q->slice = MIN(8u << q->l2_bits, 4096);
    q->l2_cache = table_cache_new(file, q->slice, MIB(1));
    return true;
}

static void qcow_close(BlockNode *node)
{
    Qcow *q = node->state;

    table_cache_free(q->l2_cache);
    g_free(q->l1);
}

static int qcow_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Qcow *q = node->state;
    uint64_t cluster = UINT64_C(1) << q->cluster_bits, in_cluster = offset & (cluster - 1), entry;
    uint64_t l2 = q->l1[offset >> (q->cluster_bits + q->l2_bits)], at;
    Table *table;
    int result;

    piece->count = MIN(piece->count, cluster - in_cluster);
    if (!l2) {
        piece->kind = PIECE_BACKING;
        return 0;
    }
    at = (offset >> q->cluster_bits & bits_mask(q->l2_bits)) * 8;
    node_missing(node, offset, node->file->node, l2 + at);
    result = table_cache_get(q->l2_cache, l2 + at / q->slice * q->slice, &table);
    if (result < 0) {
        return result;
    }
    entry = load_be64(table->data + at % q->slice);
    table_cache_put(q->l2_cache, table);
    piece->kind = !entry ? PIECE_BACKING : entry >> 63 ? PIECE_COMPRESSED : PIECE_DATA;
    piece->host = entry >> 63 ? entry : entry + in_cluster;
    return 0;
}

static int qcow_inflate(BlockNode *node, uint64_t offset, const MappedPiece *piece, IoVector vector)
{
    Qcow *q = node->state;
    size_t cluster = (size_t)1 << q->cluster_bits;
    uint64_t size = piece->host >> (63 - q->cluster_bits) & (cluster - 1);
    Qcow2Codec *codec = qcow2_codec_new(QCOW2_COMPRESSION_ZLIB, cluster, 1);
    int result;

    if (!codec) {
        return -ENOMEM;
    }
    result = node_pread(node->file->node, piece->host & bits_mask(63 - q->cluster_bits),
                        qcow2_codec_packed(codec), size);
    if (result == 0) {
        result = qcow2_decompress(codec, size);
    }
    if (result == 0) {
        io_vector_from_buffer(vector, qcow2_codec_plain(codec) + (offset & (cluster - 1)),
                              piece->count);
    }
    qcow2_codec_free(codec);
    return result;
}

static int qcow_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, qcow_map, qcow_inflate);
}

static int qcow_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                       uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, qcow_map);
}

static int64_t qcow_length(BlockNode *node)
{
    return (int64_t)((Qcow *)node->state)->size;
}

static int qcow_info(BlockNode *node, BlockNodeInfo *info)
{
    info->cluster_size = UINT64_C(1) << ((Qcow *)node->state)->cluster_bits;
    return 0;
}

static const BlockDriver qcow_driver = {
    .name = "qcow",
    .summary = "First version of qcow, read only",
    .instance_size = sizeof(Qcow),
    .has_backing = true,
    .probe = qcow_probe,
    .open = qcow_open,
    .close = qcow_close,
    .read = qcow_read,
    .status = qcow_status,
    .length = qcow_length,
    .info = qcow_info,
};
BLOCK_DRIVER(qcow_driver);
