/* SPDX-License-Identifier: MIT */
/*
 * Apple disk image (UDIF) with an XML property list: read only. Chunks that are raw, zero or
 * compressed by zlib or bzip2; ADC, LZFSE and LZMA chunks are refused when the image is opened.
 */
#include "block/formats/mapped.h"

#include <bzlib.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/library.h"

#define BZIP2_FUNCTIONS(F) F(BZ2_bzBuffToBuffDecompress)

static struct {
    BZIP2_FUNCTIONS(LIBRARY_MEMBER)
} bzip2;

LIBRARY_FILLS(bzip2, BZIP2_FUNCTIONS, "libbz2.so.1.0", "libbz2-1.0");

enum {
    TRAILER_SIZE = 512,
    XML_OFFSET = 216,
    XML_LENGTH = 224,
    XML_MAX = 16 * 1024 * 1024,
    MISH_HEADER = 204,
    CHUNK_SIZE = 40,
    CHUNKS_MAX = 1 << 22,
    CHUNK_SECTORS_MAX = 131072,
};

enum {
    CHUNK_ZERO = 0,
    CHUNK_RAW = 1,
    CHUNK_IGNORE = 2,
};
#define CHUNK_ZLIB    0x80000005u
#define CHUNK_BZIP2   0x80000006u
#define CHUNK_COMMENT 0x7ffffffeu
#define CHUNK_END     0xffffffffu

typedef struct {
    uint64_t start, end; /* bytes of the disk */
    uint64_t host, host_size;
    uint32_t type;
} Chunk;

typedef struct {
    GArray *chunks; /* Chunk, by start */
    uint64_t size;
    uint8_t *inflated;           /* the content of */
    const Chunk *inflated_chunk; /* this one, or NULL */
    CoroutineMutex lock;         /* of both, and held while a helper fills `inflated` */
} Dmg;

static int dmg_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return g_str_has_suffix(filename, ".dmg") ? 2 : 0;
}

static bool add_chunk(Dmg *dmg, const uint8_t *entry, uint64_t first_sector, GError **error)
{
    Chunk chunk = { .type = load_be32(entry),
                    .host = load_be64(entry + 24),
                    .host_size = load_be64(entry + 32) };
    uint64_t sector = load_be64(entry + 8) + first_sector, count = load_be64(entry + 16);

    if (chunk.type == CHUNK_COMMENT || chunk.type == CHUNK_END || !count) {
        return true;
    }
    if (chunk.type != CHUNK_ZERO && chunk.type != CHUNK_RAW && chunk.type != CHUNK_IGNORE &&
        chunk.type != CHUNK_ZLIB && chunk.type != CHUNK_BZIP2) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "dmg chunks of type %#x (ADC, LZFSE or LZMA) are not supported",
                          chunk.type);
    }
    if (sector > INT64_MAX / 1024 || count > INT64_MAX / 1024 ||
        (chunk.type >= CHUNK_ZLIB &&
         (count > CHUNK_SECTORS_MAX || chunk.host_size > CHUNK_SECTORS_MAX * 512ull)) ||
        dmg->chunks->len >= CHUNKS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "dmg chunk of %" G_GUINT64_FORMAT " sectors at %" G_GUINT64_FORMAT
                          " is too large",
                          count, sector);
    }
    if (chunk.type == CHUNK_BZIP2 && !library_want(&bzip2_library, error)) {
        return false;
    }
    chunk.start = sector * 512;
    chunk.end = (sector + count) * 512;
    g_array_append_val(dmg->chunks, chunk);
    dmg->size = MAX(dmg->size, chunk.end);
    return true;
}

static bool add_table(Dmg *dmg, const uint8_t *mish, size_t size, GError **error)
{
    uint64_t first, count;

    if (size < MISH_HEADER || memcmp(mish, "mish", 4)) {
        return true; /* another kind of resource */
    }
    first = load_be64(mish + 8);
    count = load_be32(mish + 200);
    if (count > (size - MISH_HEADER) / CHUNK_SIZE || first > INT64_MAX / 1024) {
        return error_fail(error, KASO_ERROR_INVALID, "A dmg block table is cut short");
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!add_chunk(dmg, mish + MISH_HEADER + i * CHUNK_SIZE, first, error)) {
            return false;
        }
    }
    return true;
}

static int compare_chunks(gconstpointer a, gconstpointer b)
{
    const Chunk *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

static bool parse_plist(Dmg *dmg, char *xml, GError **error)
{
    for (char *at = xml; (at = strstr(at, "<data>"));) {
        char *end = strstr(at, "</data>");
        g_autofree guchar *mish = NULL;
        gsize size;

        if (!end) {
            break;
        }
        *end = '\0';
        mish = g_base64_decode(at + strlen("<data>"), &size);
        if (!add_table(dmg, mish, size, error)) {
            return false;
        }
        at = end + 1;
    }
    g_array_sort(dmg->chunks, compare_chunks);
    return dmg->chunks->len ||
           error_fail(error, KASO_ERROR_INVALID, "The dmg property list names no chunks");
}

static void dmg_close(BlockNode *node)
{
    Dmg *dmg = node->state;

    g_array_unref(dmg->chunks);
    g_free(dmg->inflated);
}

static bool dmg_open(BlockNode *node, GHashTable *options, GError **error)
{
    Dmg *dmg = node->state;
    BlockNode *file = node->file->node;
    uint8_t trailer[TRAILER_SIZE];
    uint64_t size = node_length(file), offset, length;
    g_autofree char *xml = NULL;
    bool done;

    if (!mapped_read_only(node, error)) {
        return false;
    }
    if (size < TRAILER_SIZE || node_pread(file, size - TRAILER_SIZE, trailer, TRAILER_SIZE) < 0 ||
        memcmp(trailer, "koly", 4)) {
        return error_fail(error, KASO_ERROR_INVALID, "Could not find the trailer of the dmg image");
    }
    offset = load_be64(trailer + XML_OFFSET);
    length = load_be64(trailer + XML_LENGTH);
    if (!length || length > XML_MAX || offset > size || length > size - offset) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "The dmg image has no property list of a sane size");
    }
    xml = g_malloc0(length + 1);
    if (node_pread(file, offset, xml, length) < 0) {
        return error_fail(error, KASO_ERROR_IO, "Could not read the dmg property list");
    }
    dmg->chunks = g_array_new(FALSE, FALSE, sizeof(Chunk));
    coroutine_mutex_init(&dmg->lock);
    done = parse_plist(dmg, xml, error);
    if (!done) {
        dmg_close(node);
    }
    return done;
}

static int dmg_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Dmg *dmg = node->state;
    unsigned low = 0, high = dmg->chunks->len;
    Chunk *chunk;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (g_array_index(dmg->chunks, Chunk, middle).start <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    chunk = &g_array_index(dmg->chunks, Chunk, low);
    if (offset < chunk->start || offset >= chunk->end) {
        uint64_t next = offset < chunk->start ? chunk->start
                        : low + 1 < dmg->chunks->len
                            ? g_array_index(dmg->chunks, Chunk, low + 1).start
                            : dmg->size;

        piece->kind = PIECE_ZERO;
        piece->count = MIN(piece->count, next - offset);
        return 0;
    }
    piece->count = MIN(piece->count, chunk->end - offset);
    piece->kind = chunk->type == CHUNK_RAW    ? PIECE_DATA
                  : chunk->type >= CHUNK_ZLIB ? PIECE_COMPRESSED
                                              : PIECE_ZERO;
    piece->host = chunk->type == CHUNK_RAW ? chunk->host + offset - chunk->start : low;
    return 0;
}

typedef struct {
    const Chunk *chunk;
    uint8_t *in, *out;
} Inflate;

/* What makes fewer bytes than the chunk has is damaged. */
static int inflate_worker(void *opaque)
{
    const Inflate *call = opaque;
    const Chunk *chunk = call->chunk;
    uLongf size = chunk->end - chunk->start;
    unsigned bz_size = (unsigned)size;
    bool done;

    if (chunk->type == CHUNK_BZIP2) {
        done = bzip2.BZ2_bzBuffToBuffDecompress((char *)call->out, &bz_size, (char *)call->in,
                                                (unsigned)chunk->host_size, 0, 0) == BZ_OK &&
               bz_size == chunk->end - chunk->start;
    } else {
        done = uncompress(call->out, &size, call->in, chunk->host_size) == Z_OK &&
               size == chunk->end - chunk->start;
    }
    return done ? 0 : -EIO;
}

/* Inflates the chunk unless it is the one that was read last. [lock held] */
static int inflate_chunk(BlockNode *node, const Chunk *chunk)
{
    Dmg *dmg = node->state;
    g_autofree uint8_t *in = NULL;
    Inflate call;
    int result;

    if (dmg->inflated_chunk == chunk) {
        return 0;
    }
    dmg->inflated_chunk = NULL;
    g_free(dmg->inflated);
    dmg->inflated = g_try_malloc0(chunk->end - chunk->start);
    in = g_try_malloc(MAX(chunk->host_size, 1));
    result = in && dmg->inflated ? node_pread(node->file->node, chunk->host, in, chunk->host_size)
                                 : -ENOMEM;
    if (result == 0) {
        call = (Inflate){ chunk, in, dmg->inflated };
        result = worker_compute(inflate_worker, &call);
    }
    if (result == 0) {
        dmg->inflated_chunk = chunk;
    }
    return result;
}

static int dmg_inflate(BlockNode *node, uint64_t offset, const MappedPiece *piece, IoVector vector)
{
    Dmg *dmg = node->state;
    const Chunk *chunk = &g_array_index(dmg->chunks, Chunk, piece->host);
    int result;

    coroutine_mutex_lock(&dmg->lock);
    result = inflate_chunk(node, chunk);
    if (result == 0) {
        io_vector_from_buffer(vector, dmg->inflated + (offset - chunk->start), piece->count);
    }
    coroutine_mutex_unlock(&dmg->lock);
    return result;
}

static int dmg_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, dmg_map, dmg_inflate);
}

static int dmg_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                      uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, dmg_map);
}

static int64_t dmg_length(BlockNode *node)
{
    return (int64_t)((Dmg *)node->state)->size;
}

static const BlockDriver dmg_driver = {
    .name = "dmg",
    .summary = "Apple disk image, read only",
    .instance_size = sizeof(Dmg),
    .probe = dmg_probe,
    .open = dmg_open,
    .close = dmg_close,
    .read = dmg_read,
    .status = dmg_status,
    .length = dmg_length,
};
BLOCK_DRIVER(dmg_driver);
