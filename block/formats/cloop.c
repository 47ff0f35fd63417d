/* SPDX-License-Identifier: MIT */
/*
 * Compressed loop images of version 2 (Knoppix's cloop, its header cloop.h), read only: a script, the block size, the
 * number of blocks, their offsets, and the blocks as streams of zlib.
 */
#include "block/formats/mapped.h"

#include <zlib.h>

enum {
    BLOCK_SIZE_AT = 128,
    HEADER_SIZE = 136,
    BLOCK_MAX = 64 * 1024 * 1024,
    OFFSETS_MAX = 512 * 1024 * 1024,
};
static const char script[] = "#!/bin/sh\n#V2.0 Format\n"
                             "modprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";

typedef struct {
    uint64_t *offsets; /* of the blocks, and where the last ends */
    uint64_t blocks, block_size;
    uint8_t *inflated; /* block inflated_block, while valid */
    uint64_t inflated_block;
    bool has_inflated;
    CoroutineMutex lock;
} Cloop;

/* Any file may begin with a script, so others may be surer. */
static int cloop_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= sizeof script - 1 && !memcmp(buffer, script, sizeof script - 1) ? 2 : 0;
}

static bool check_offsets(const Cloop *c, GError **error)
{
    for (uint64_t i = 0; i < c->blocks; i++) {
        if (c->offsets[i] > c->offsets[i + 1]) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "offsets not monotonically increasing at index %" G_GUINT64_FORMAT
                              ", image file is corrupt",
                              i + 1);
        }
        if (c->offsets[i + 1] - c->offsets[i] > 2 * (uint64_t)BLOCK_MAX ||
            c->offsets[i + 1] > INT64_MAX / 2) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "invalid compressed block size at index %" G_GUINT64_FORMAT
                              ", image file is corrupt",
                              i + 1);
        }
    }
    return true;
}

static bool cloop_open(BlockNode *node, GHashTable *options, GError **error)
{
    Cloop *c = node->state;
    uint8_t header[HEADER_SIZE];
    int result;

    if (!mapped_read_only(node, error)) {
        return false;
    }
    if (node_length(node->file->node) < sizeof header) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cloop image is cut off: its header reaches to byte %zu, and the file "
                          "ends at %" G_GUINT64_FORMAT,
                          sizeof header, node_length(node->file->node));
    }
    result = node_pread(node->file->node, 0, header, sizeof header);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the cloop header");
    }
    c->block_size = load_be32(header + BLOCK_SIZE_AT);
    c->blocks = load_be32(header + BLOCK_SIZE_AT + 4);
    coroutine_mutex_init(&c->lock);
    if (!c->block_size || c->block_size % 512 || c->block_size > BLOCK_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "block_size %" G_GUINT64_FORMAT " must be a multiple of 512, up to 64 MB",
                          c->block_size);
    }
    c->offsets = mapped_load_table(node->file->node, HEADER_SIZE, c->blocks + 1, 8, true,
                                   OFFSETS_MAX, "the table of offsets", error);
    if (c->offsets && !check_offsets(c, error)) {
        g_clear_pointer(&c->offsets, g_free);
    }
    return c->offsets != NULL;
}

static void cloop_close(BlockNode *node)
{
    Cloop *c = node->state;

    g_free(c->offsets);
    g_free(c->inflated);
}

static int cloop_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    const Cloop *c = node->state;

    piece->kind = PIECE_COMPRESSED;
    piece->host = offset / c->block_size;
    piece->count = MIN(piece->count, c->block_size - offset % c->block_size);
    return 0;
}

typedef struct {
    const uint8_t *in;
    uint64_t packed;
    uint8_t *out;
    uint64_t size;
} Inflate;

static int inflate_worker(void *opaque)
{
    Inflate *call = opaque;
    uLongf size = call->size;

    return uncompress(call->out, &size, call->in, call->packed) == Z_OK && size == call->size
               ? 0
               : -EIO;
}

/* Inflates the block unless it is the one that was read last. [lock held] */
static int inflate_block(BlockNode *node, uint64_t block)
{
    Cloop *c = node->state;
    uint64_t start = c->offsets[block], packed = c->offsets[block + 1] - start;
    g_autofree uint8_t *in = NULL;
    bool missing;
    Inflate call;
    int result;

    if (c->has_inflated && c->inflated_block == block) {
        return 0;
    }
    c->has_inflated = false;
    if (!c->inflated) {
        c->inflated = g_try_malloc(c->block_size);
    }
    in = g_try_malloc(MAX(packed, 1));
    if (!in || !c->inflated) {
        return -ENOMEM;
    }
    missing =
        node_missing(node, block * c->block_size, node->file->node, start + MAX(packed, 1) - 1);
    result = missing ? 0 : node_pread(node->file->node, start, in, packed);
    if (missing) {
        memset(c->inflated, 0, c->block_size);
    } else if (result == 0) {
        call = (Inflate){ in, packed, c->inflated, c->block_size };
        result = worker_compute(inflate_worker, &call);
    }
    c->inflated_block = block;
    c->has_inflated = result == 0;
    return result;
}

static int cloop_inflate(BlockNode *node, uint64_t offset, const MappedPiece *piece,
                         IoVector vector)
{
    Cloop *c = node->state;
    int result;

    coroutine_mutex_lock(&c->lock);
    result = inflate_block(node, piece->host);
    if (result == 0) {
        io_vector_from_buffer(vector, c->inflated + offset % c->block_size, piece->count);
    }
    coroutine_mutex_unlock(&c->lock);
    return result;
}

static int cloop_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, cloop_map, cloop_inflate);
}

static int cloop_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                        uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, cloop_map);
}

static int64_t cloop_length(BlockNode *node)
{
    const Cloop *c = node->state;

    return (int64_t)(c->blocks * c->block_size);
}

static const BlockDriver cloop_driver = {
    .name = "cloop",
    .summary = "Compressed loop image of version 2, read only",
    .instance_size = sizeof(Cloop),
    .probe = cloop_probe,
    .open = cloop_open,
    .close = cloop_close,
    .read = cloop_read,
    .status = cloop_status,
    .length = cloop_length,
};
BLOCK_DRIVER(cloop_driver);
