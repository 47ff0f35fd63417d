/* SPDX-License-Identifier: MIT */
/*
 * qcow version 1: two levels of tables without counts. Clusters are added behind the end of the file and never
 * given back; what refers to a cluster is written after it.
 */
#include "block/formats/qcow.h"

#include "block/crypto/cipher.h"
#include "block/formats/table-cache.h"
#include "block/formats/cluster-compression.h"

enum { L1_MAX_BYTES = 32 * 1024 * 1024 };

typedef struct {
    uint64_t size, *l1, l1_offset;
    unsigned cluster_bits, l2_bits;
    uint64_t l1_size;
    TableCache *l2_cache;
    size_t slice;
    SectorCipher *cipher; /* NULL: not encrypted, or nobody needs the content */
    bool encrypted;
    CoroutineMutex lock;
} Qcow;

static int qcow_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= QCOW_HEADER_SIZE && load_be32(buffer) == QCOW_MAGIC && load_be32(buffer + 4) == 1
               ? 100
               : 0;
}

static bool open_cipher(BlockNode *node, GHashTable *options, GError **error)
{
    Qcow *q = node->state;
    g_autofree char *format = options_take(options, "encrypt.format");
    g_autofree char *id = options_take(options, "encrypt.key-secret");
    const char *passphrase;

    if (!q->encrypted) {
        return (!id && !format) ||
               error_fail(error, KASO_ERROR_INVALID,
                          "No encryption in image header, but options specified format '%s'",
                          format ? format : "aes");
    }
    if (format && strcmp(format, "aes")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Header reported 'aes' encryption format but options specify '%s'",
                          format);
    }
    node->request_alignment = 512;
    if (!id) {
        return node->flags.no_io || node->flags.check ||
               error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'encrypt.key-secret' is required for cipher");
    }
    passphrase = block_secret(node->graph, id, error);
    q->cipher = passphrase ? sector_cipher_new_legacy(passphrase, error) : NULL;
    return q->cipher != NULL;
}

static bool qcow_open(BlockNode *node, GHashTable *options, GError **error)
{
    Qcow *q = node->state;
    BlockNode *file = node->file->node;
    uint8_t h[QCOW_HEADER_SIZE];
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
    if (load_be32(h) != QCOW_MAGIC || load_be32(h + 4) != 1) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in qcow format");
    }
    if (q->cluster_bits < 9 || q->cluster_bits > 16 || q->l2_bits < 6 || q->l2_bits > 13 ||
        q->size > INT64_MAX - MIB(512) || q->size < 1) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "qcow cluster_bits %u, l2_bits %u or size %" G_GUINT64_FORMAT
                          " is out of range",
                          q->cluster_bits, q->l2_bits, q->size);
    }
    if (load_be32(h + 36) > 1) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Unknown qcow encryption method %u",
                          load_be32(h + 36));
    }
    q->encrypted = load_be32(h + 36);
    if (!open_cipher(node, options, error)) {
        return false;
    }
    q->size = align_down(q->size, 512);
    q->l1_offset = load_be64(h + 40);
    coroutine_mutex_init(&q->lock);
    span = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    q->l1_size = (q->size + span - 1) / span;
    q->l1 = mapped_load_table(file, q->l1_offset, q->l1_size, 8, true, L1_MAX_BYTES, "the L1 table",
                              error);
    if (!q->l1) {
        sector_cipher_free(q->cipher);
        return false;
    }
    if (backing && backing_size) {
        if (backing_size > 1023) {
            g_free(q->l1);
            sector_cipher_free(q->cipher);
            return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
        }
        node->backing_filename = g_malloc0(backing_size + 1);
        if (node_pread(file, backing, node->backing_filename, backing_size) < 0) {
            g_free(q->l1);
            sector_cipher_free(q->cipher);
            return error_fail(error, KASO_ERROR_IO, "Could not read the backing file name");
        }
    }
    q->slice = MIN(8u << q->l2_bits, 4096);
    q->l2_cache = table_cache_new(node->file, q->slice, MIB(1));
    return true;
}

static void qcow_close(BlockNode *node)
{
    Qcow *q = node->state;

    table_cache_free(q->l2_cache);
    g_free(q->l1);
    if (q->cipher) {
        sector_cipher_free(q->cipher);
    }
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

typedef struct {
    ClusterCodec *codec;
    size_t size; /* of the compressed cluster */
} DecompressCall;

static int decompress_worker(void *opaque)
{
    DecompressCall *call = opaque;

    return cluster_decompress(call->codec, call->size);
}

static int qcow_inflate(BlockNode *node, uint64_t offset, const MappedPiece *piece, IoVector vector)
{
    Qcow *q = node->state;
    size_t cluster = (size_t)1 << q->cluster_bits;
    uint64_t size = piece->host >> (63 - q->cluster_bits) & (cluster - 1);
    uint64_t host = piece->host & bits_mask(63 - q->cluster_bits);
    ClusterCodec *codec = cluster_codec_new(CLUSTER_CODEC_ZLIB, cluster, 1);
    DecompressCall call = { codec, node_bytes_left(node->file->node, host, size) };
    int result;

    if (!codec) {
        return -ENOMEM;
    }
    /* Zeroes behind the end would be taken for a part of the stream, which has no checksum. */
    result = node_pread(node->file->node, host, cluster_codec_packed(codec), call.size);
    if (result == 0) {
        result = worker_compute(decompress_worker, &call);
    }
    if (result == -EIO && call.size < size) {
        node_missing(node, offset, node->file->node, host + call.size);
    }
    if (result == 0) {
        io_vector_from_buffer(vector, cluster_codec_plain(codec) + (offset & (cluster - 1)),
                              piece->count);
    }
    cluster_codec_free(codec);
    return result;
}

static int read_encrypted(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Qcow *q = node->state;
    int result = 0;

    while (bytes && result == 0) {
        MappedPiece piece = { .count = bytes, .file = node->file->node };

        result = qcow_map(node, offset, &piece);
        if (result == 0 && piece.kind == PIECE_DATA) {
            g_autofree uint8_t *buffer = g_try_malloc(piece.count);

            result = buffer ? node_pread(piece.file, piece.host, buffer, piece.count) : -ENOMEM;
            if (result == 0) {
                sector_decrypt(q->cipher, offset / 512, buffer, piece.count);
                io_vector_from_buffer(vector, buffer, piece.count);
            }
        } else if (result == 0) {
            result = mapped_read(node, offset, piece.count, vector, qcow_map, qcow_inflate);
        }
        offset += piece.count;
        bytes -= piece.count;
        vector = io_vector_skip(vector, piece.count);
    }
    return result;
}

static int qcow_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return ((Qcow *)node->state)->cipher
               ? read_encrypted(node, offset, bytes, vector)
               : mapped_read(node, offset, bytes, vector, qcow_map, qcow_inflate);
}

/* Writing. */

/* An empty L2 table for the guest's offset, when there is none. */
static int make_l2(BlockNode *node, uint64_t offset)
{
    Qcow *q = node->state;
    BlockNode *file = node->file->node;
    uint64_t index = offset >> (q->cluster_bits + q->l2_bits);
    uint64_t at = align_up(node_length(file), UINT64_C(1) << q->cluster_bits);
    uint8_t entry[8];
    int result;

    if (q->l1[index]) {
        return 0;
    }
    result = node_write_zeroes(file, at, 8ull << q->l2_bits, 0);
    if (result == 0) {
        store_be64(entry, at);
        result = node_pwrite(file, q->l1_offset + index * 8, entry, sizeof entry, 0);
    }
    if (result == 0) {
        q->l1[index] = at;
    }
    return result;
}

/* In the file, and in the cache, through which the tables are read. */
static int store_entry(BlockNode *node, uint64_t offset, uint64_t value)
{
    Qcow *q = node->state;
    uint64_t at = (offset >> q->cluster_bits & bits_mask(q->l2_bits)) * 8;
    uint64_t l2 = q->l1[offset >> (q->cluster_bits + q->l2_bits)];
    uint8_t entry[8];
    Table *table;
    int result = table_cache_get(q->l2_cache, l2 + at / q->slice * q->slice, &table);

    if (result < 0) {
        return result;
    }
    store_be64(entry, value);
    result = node_pwrite(node->file->node, l2 + at, entry, sizeof entry, 0);
    if (result == 0) {
        memcpy(table->data + at % q->slice, entry, sizeof entry);
    }
    table_cache_put(q->l2_cache, table);
    return result;
}

/* A cluster of its own, with what is read there now. */
static int qcow_allocate(BlockNode *node, uint64_t offset)
{
    Qcow *q = node->state;
    BlockNode *file = node->file->node;
    uint64_t cluster = UINT64_C(1) << q->cluster_bits, host;
    g_autofree uint8_t *buffer = g_try_malloc(cluster);
    struct iovec iov = { buffer, cluster };
    int result = buffer ? make_l2(node, offset) : -ENOMEM;

    offset = align_down(offset, cluster);
    if (result == 0) {
        result = mapped_read(node, offset, cluster, io_vector_of(&iov), qcow_map, qcow_inflate);
    }
    if (result < 0) {
        return result;
    }
    host = align_up(node_length(file), cluster);
    if (host >> 62) {
        return -EFBIG;
    }
    if (q->cipher) {
        sector_encrypt(q->cipher, offset / 512, buffer, cluster);
    }
    result = node_pwrite(file, host, buffer, cluster, 0);
    return result < 0 ? result : store_entry(node, offset, host);
}

static int qcow_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    Qcow *q = node->state;
    g_autofree uint8_t *buffer = q->cipher ? g_try_malloc(bytes) : NULL;
    struct iovec iov = { buffer, bytes };

    if (q->encrypted && !buffer) {
        return q->cipher ? -ENOMEM : -EPERM;
    }
    if (q->cipher) {
        io_vector_to_buffer(vector, buffer, bytes);
        sector_encrypt(q->cipher, offset / 512, buffer, bytes);
        vector = io_vector_of(&iov);
    }
    return mapped_write(node, offset, bytes, vector, flags, qcow_map, qcow_allocate, &q->lock);
}

/* Packed data follows what is in the file without a gap. [lock] */
static int store_packed(BlockNode *node, uint64_t offset, const void *packed, uint64_t size)
{
    Qcow *q = node->state;
    BlockNode *file = node->file->node;
    int result = make_l2(node, offset);
    uint64_t host = node_length(file);

    if (result == 0 && host >> (63 - q->cluster_bits)) {
        result = -EFBIG;
    }
    if (result == 0) {
        result = node_pwrite(file, host, packed, size, 0);
    }
    return result < 0 ? result
                      : store_entry(node, offset,
                                    UINT64_C(1) << 63 | size << (63 - q->cluster_bits) | host);
}

static int write_packed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Qcow *q = node->state;
    size_t cluster = (size_t)1 << q->cluster_bits;
    ClusterCodec *codec = cluster_codec_new(CLUSTER_CODEC_ZLIB, cluster, 1);
    int64_t size;
    int result;

    if (!codec) {
        return -ENOMEM;
    }
    memset(cluster_codec_plain(codec), 0, cluster);
    io_vector_to_buffer(vector, cluster_codec_plain(codec), bytes);
    size = cluster_compress(codec, cluster_codec_plain(codec), cluster_codec_packed(codec),
                            cluster - 1);
    if (size > 0) {
        coroutine_mutex_lock(&q->lock);
        result = store_packed(node, offset, cluster_codec_packed(codec), (uint64_t)size);
        coroutine_mutex_unlock(&q->lock);
    } else {
        result = size == -ENOSPC ? qcow_write(node, offset, bytes, vector, 0) : (int)size;
    }
    cluster_codec_free(codec);
    return result;
}

static int qcow_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Qcow *q = node->state;
    uint64_t cluster = UINT64_C(1) << q->cluster_bits;
    int result = 0;

    if (q->encrypted) {
        return -ENOTSUP;
    }
    if (offset % cluster || (bytes % cluster && offset + bytes != q->size)) {
        return -EINVAL;
    }
    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, cluster);

        result = write_packed(node, offset, n, vector);
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    return result;
}

/* No table refers to anything any more. */
static int qcow_make_empty(BlockNode *node)
{
    Qcow *q = node->state;
    BlockNode *file = node->file->node;
    uint64_t end = q->l1_offset + q->l1_size * 8;
    int result = node_write_zeroes(file, q->l1_offset, q->l1_size * 8, 0);

    if (result == 0) {
        result = node_flush(file);
    }
    if (result < 0) {
        return result;
    }
    memset(q->l1, 0, q->l1_size * 8);
    table_cache_forget_all(q->l2_cache);
    return node_truncate(file, align_up(end, 512), PREALLOC_OFF, NULL) ? 0 : -EIO;
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
    const Qcow *q = node->state;

    info->cluster_size = UINT64_C(1) << q->cluster_bits;
    info->encrypted = q->encrypted;
    info->unallocated_reads_zero = !node->backing;
    return 0;
}

static const BlockOption qcow_options[] = {
    { "encrypt.format", "aes" },
    { "encrypt.key-secret", "id of the secret with the passphrase" },
    { 0 },
};

static const BlockDriver qcow_driver = {
    .name = "qcow",
    .summary = "First version of qcow",
    .instance_size = sizeof(Qcow),
    .has_backing = true,
    .probe = qcow_probe,
    .open = qcow_open,
    .close = qcow_close,
    .options = qcow_options,
    .create_options = qcow_create_options,
    .create = qcow_create,
    .read = qcow_read,
    .write = qcow_write,
    .write_compressed = qcow_write_compressed,
    .make_empty = qcow_make_empty,
    .status = qcow_status,
    .length = qcow_length,
    .info = qcow_info,
};
BLOCK_DRIVER(qcow_driver);
