/* SPDX-License-Identifier: MIT */
/*
 * Growing disks of Bochs (its user manual, "Disk image modes"; redolog headers of versions 1 and 2), read only. A
 * catalog says where each extent is; an extent is a bitmap of its sectors that were written, and the sectors.
 */
#include "block/formats/mapped.h"

enum {
    HEADER_SIZE = 512,
    SECTOR = 512,
    VERSION_1 = 0x10000,
    VERSION_2 = 0x20000,
    CATALOG_MAX = 1 << 20,
    EXTENT_MAX = 8 * 1024 * 1024,
};
#define NO_EXTENT UINT32_MAX

typedef struct {
    uint32_t *catalog;
    uint64_t size, extent_size, bitmap_size,
        extents_offset; /* bitmap_size: in whole sectors, as it is stored */
    uint8_t *bitmap;    /* of extent bitmap_of, while valid */
    uint32_t bitmap_of;
    bool has_bitmap;
    CoroutineMutex lock;
} Bochs;

/* The texts end in zeroes within their fields of 32, 16 and 16 bytes. */
static bool is_growing_disk(const uint8_t *header)
{
    uint32_t version = load_le32(header + 64);

    return !memcmp(header, "Bochs Virtual HD Image", sizeof "Bochs Virtual HD Image") &&
           !memcmp(header + 32, "Redolog", sizeof "Redolog") &&
           !memcmp(header + 48, "Growing", sizeof "Growing") &&
           (version == VERSION_1 || version == VERSION_2);
}

static int bochs_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= HEADER_SIZE && is_growing_disk(buffer) ? 100 : 0;
}

static bool parse_header(Bochs *b, const uint8_t *header, GError **error)
{
    uint32_t entries = load_le32(header + 72), bitmap = load_le32(header + 76);

    b->extent_size = load_le32(header + 80);
    /* Version 2 has the time of a change before the size. */
    b->size =
        align_down(load_le64(header + (load_le32(header + 64) == VERSION_1 ? 84 : 88)), SECTOR);
    if (!is_power_of_two(b->extent_size) || b->extent_size < SECTOR ||
        b->extent_size > EXTENT_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Extent size %" G_GUINT64_FORMAT " is no power of two from 512 to %d",
                          b->extent_size, EXTENT_MAX);
    }
    if (entries > CATALOG_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "Catalog size of %u entries is too large",
                          entries);
    }
    if (b->size > entries * b->extent_size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Catalog size of %u entries is too small for a disk of %" G_GUINT64_FORMAT
                          " bytes",
                          entries, b->size);
    }
    if (bitmap < (b->extent_size / SECTOR + 7) / 8 || bitmap > EXTENT_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Bitmap size %u does not fit extents of %" G_GUINT64_FORMAT " bytes",
                          bitmap, b->extent_size);
    }
    b->bitmap_size = align_up(bitmap, SECTOR);
    b->extents_offset = load_le32(header + 68) + entries * UINT64_C(4);
    return true;
}

static bool bochs_open(BlockNode *node, GHashTable *options, GError **error)
{
    Bochs *b = node->state;
    uint8_t header[HEADER_SIZE];
    int result;

    if (!mapped_read_only(node, error)) {
        return false;
    }
    result = node_pread(node->file->node, 0, header, sizeof header);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the Bochs header");
    }
    if (!is_growing_disk(header)) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in Bochs format");
    }
    if (!parse_header(b, header, error)) {
        return false;
    }
    if (b->extents_offset > node_size(node->file->node)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Bochs image is cut off: its catalog reaches to byte %" G_GUINT64_FORMAT
                          ", and the file ends at %" G_GUINT64_FORMAT,
                          b->extents_offset, node_size(node->file->node));
    }
    b->catalog = mapped_load_table(node->file->node, load_le32(header + 68), load_le32(header + 72),
                                   4, false, CATALOG_MAX * UINT64_C(4), "the Bochs catalog", error);
    if (!b->catalog) {
        return false;
    }
    b->bitmap = g_malloc(b->bitmap_size);
    coroutine_mutex_init(&b->lock);
    return true;
}

static void bochs_close(BlockNode *node)
{
    Bochs *b = node->state;

    g_free(b->catalog);
    g_free(b->bitmap);
}

/* [lock held] */
static int load_bitmap(BlockNode *node, uint32_t extent, uint64_t at)
{
    Bochs *b = node->state;
    int result = 0;

    if (!b->has_bitmap || b->bitmap_of != extent) {
        b->has_bitmap = false;
        result = node_pread(node->file->node, at, b->bitmap, b->bitmap_size);
        b->bitmap_of = extent;
        b->has_bitmap = result == 0;
    }
    return result;
}

static bool is_written(const Bochs *b, uint64_t sector)
{
    return b->bitmap[sector / 8] >> sector % 8 & 1;
}

/* How many of its sectors in a row were written, or not; reads are of whole sectors. [lock held] */
static void map_sectors(const Bochs *b, uint64_t in_extent, MappedPiece *piece)
{
    uint64_t first = in_extent / SECTOR, last = (in_extent + piece->count - 1) / SECTOR, end;
    bool written = is_written(b, first);

    for (end = first + 1; end <= last && is_written(b, end) == written; end++) {
    }
    piece->kind = written ? PIECE_DATA : PIECE_ZERO;
    piece->count = MIN(piece->count, end * SECTOR - in_extent);
}

static int bochs_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Bochs *b = node->state;
    uint64_t in_extent = offset % b->extent_size, at;
    uint32_t extent = b->catalog[offset / b->extent_size];
    int result;

    piece->count = MIN(piece->count, b->extent_size - in_extent);
    piece->kind = PIECE_ZERO;
    if (extent == NO_EXTENT) {
        return 0;
    }
    at = b->extents_offset + extent * (b->bitmap_size + b->extent_size);
    piece->host = at + b->bitmap_size + in_extent;
    if (node_missing(node, offset, node->file->node, at + b->bitmap_size - 1)) {
        return 0;
    }
    coroutine_mutex_lock(&b->lock);
    result = load_bitmap(node, extent, at);
    if (result == 0) {
        map_sectors(b, in_extent, piece);
    }
    coroutine_mutex_unlock(&b->lock);
    return result;
}

static int bochs_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, bochs_map, NULL);
}

static int bochs_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                        uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, bochs_map);
}

static int64_t bochs_length(BlockNode *node)
{
    return (int64_t)((Bochs *)node->state)->size;
}

static const BlockDriver bochs_driver = {
    .name = "bochs",
    .summary = "Growing disk of Bochs, read only",
    .instance_size = sizeof(Bochs),
    .probe = bochs_probe,
    .open = bochs_open,
    .close = bochs_close,
    .read = bochs_read,
    .status = bochs_status,
    .length = bochs_length,
};
BLOCK_DRIVER(bochs_driver);
