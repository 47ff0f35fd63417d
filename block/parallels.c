/* SPDX-License-Identifier: MIT */
/* Parallels expanding disk: read only. */
#include "block/mapped.h"

enum { HEADER_SIZE = 64, BAT_MAX = 512 * 1024 * 1024 };

typedef struct {
    uint64_t size, cluster_size, multiplier, entries;
    uint32_t *bat;
} Parallels;

static bool is_old(const uint8_t *h)
{
    return !memcmp(h, "WithoutFreeSpace", 16);
}

static bool is_extended(const uint8_t *h)
{
    return !memcmp(h, "WithouFreSpacExt", 16);
}

static int parallels_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= HEADER_SIZE && (is_old(buffer) || is_extended(buffer)) &&
                   load_le32(buffer + 16) == 2
               ? 100
               : 0;
}

static bool parallels_open(BlockNode *node, GHashTable *options, GError **error)
{
    Parallels *p = node->state;
    uint8_t h[HEADER_SIZE];
    uint64_t sectors, tracks;
    int result = node_pread(node->file->node, 0, h, sizeof h);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the Parallels header");
    }
    if ((!is_old(h) && !is_extended(h)) || load_le32(h + 16) != 2) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in Parallels format");
    }
    tracks = load_le32(h + 28);
    p->entries = load_le32(h + 32);
    sectors = is_extended(h) ? load_le64(h + 36) : load_le32(h + 36);
    if (!tracks || tracks > INT32_MAX / 512 || sectors > INT64_MAX / 512 ||
        (sectors + tracks - 1) / tracks > p->entries) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Invalid image: cluster size of %" G_GUINT64_FORMAT
                          " sectors, %" G_GUINT64_FORMAT " clusters for %" G_GUINT64_FORMAT
                          " sectors", tracks, p->entries, sectors);
    }
    p->size = sectors * 512;
    p->cluster_size = tracks * 512;
    p->multiplier = is_extended(h) ? p->cluster_size : 512;
    if (!mapped_read_only(node, error)) {
        return false;
    }
    p->bat = mapped_load_table(node->file->node, HEADER_SIZE, p->entries, 4, false, BAT_MAX,
                               "the block allocation table", error);
    return p->bat != NULL;
}

static void parallels_close(BlockNode *node)
{
    g_free(((Parallels *)node->state)->bat);
}

static int parallels_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Parallels *p = node->state;
    uint64_t in_cluster = offset % p->cluster_size;
    uint32_t entry = p->bat[offset / p->cluster_size];

    piece->count = MIN(piece->count, p->cluster_size - in_cluster);
    piece->kind = entry ? PIECE_DATA : PIECE_BACKING;
    piece->host = entry * p->multiplier + in_cluster;
    return 0;
}

static int parallels_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, parallels_map, NULL);
}

static int parallels_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                            uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, parallels_map);
}

static int64_t parallels_length(BlockNode *node)
{
    return (int64_t)((Parallels *)node->state)->size;
}

static int parallels_info(BlockNode *node, BlockNodeInfo *info)
{
    info->cluster_size = ((Parallels *)node->state)->cluster_size;
    return 0;
}

static const BlockDriver parallels_driver = {
    .name = "parallels",
    .summary = "Parallels expanding disk, read only",
    .instance_size = sizeof(Parallels),
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .read = parallels_read,
    .status = parallels_status,
    .length = parallels_length,
    .info = parallels_info,
};
BLOCK_DRIVER(parallels_driver);
