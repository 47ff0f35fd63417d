/* SPDX-License-Identifier: MIT */
/*
 * Parallels expanding disk. An image is marked as in use from its first write on; one that already
 * is so was not closed and is only read.
 */
#include "block/formats/mapped.h"

enum { HEADER_SIZE = 64, IN_USE_AT = 44, BAT_MAX = 512 * 1024 * 1024, NEW_CLUSTER = 1024 * 1024 };
#define IN_USE_MAGIC 0x746f6e59u

typedef struct {
    uint64_t size, cluster_size, multiplier, entries;
    uint64_t data_offset;
    uint32_t *bat;
    bool in_use; /* marked by us */
    CoroutineMutex lock;
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
                          " sectors",
                          tracks, p->entries, sectors);
    }
    p->size = sectors * 512;
    p->cluster_size = tracks * 512;
    p->multiplier = is_extended(h) ? p->cluster_size : 512;
    if (load_le32(h + IN_USE_AT) == IN_USE_MAGIC && !mapped_read_only(node, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Image was not closed correctly; cannot be opened read/write");
    }
    p->data_offset = MAX(load_le32(h + 48) * UINT64_C(512), HEADER_SIZE + p->entries * 4);
    coroutine_mutex_init(&p->lock);
    p->bat = mapped_load_table(node->file->node, HEADER_SIZE, p->entries, 4, false, BAT_MAX,
                               "the block allocation table", error);
    return p->bat != NULL;
}

static int parallels_mark(BlockNode *node, bool in_use)
{
    uint8_t mark[4];

    store_le32(mark, in_use ? IN_USE_MAGIC : 0);
    return node_pwrite(node->file->node, IN_USE_AT, mark, sizeof mark, 0);
}

static void parallels_close(BlockNode *node)
{
    Parallels *p = node->state;

    if (p->in_use) {
        parallels_mark(node, false);
    }
    g_free(p->bat);
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

static int parallels_allocate(BlockNode *node, uint64_t offset)
{
    Parallels *p = node->state;
    BlockNode *file = node->file->node;
    uint64_t index = offset / p->cluster_size, host, entry;
    uint8_t data[4];
    int result;

    /* Clusters need not be powers of two. */
    host = MAX(node_length(file), p->data_offset) + p->cluster_size - 1;
    host -= host % p->cluster_size;
    entry = host / p->multiplier;
    if (entry > UINT32_MAX) {
        return -EFBIG;
    }
    result = node_write_zeroes(file, host, p->cluster_size, 0);
    if (result == 0) {
        store_le32(data, (uint32_t)entry);
        result = node_pwrite(file, HEADER_SIZE + index * 4, data, sizeof data, 0);
    }
    if (result == 0) {
        p->bat[index] = (uint32_t)entry;
    }
    return result;
}

static int parallels_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                           unsigned flags)
{
    Parallels *p = node->state;

    if (!p->in_use) {
        int result = parallels_mark(node, true);

        if (result < 0) {
            return result;
        }
        p->in_use = true;
    }
    return mapped_write(node, offset, bytes, vector, flags, parallels_map, parallels_allocate,
                        &p->lock);
}

static int parallels_write_new(BlockNode *file, uint64_t size, uint64_t cluster)
{
    uint64_t entries = (size + cluster - 1) / cluster;
    uint64_t data_offset = align_up(HEADER_SIZE + entries * 4, cluster);
    uint8_t h[HEADER_SIZE] = { 0 };
    GError *error = NULL;

    memcpy(h, "WithouFreSpacExt", 16);
    store_le32(h + 16, 2);
    store_le32(h + 20, 16);
    store_le32(h + 24, (uint32_t)MIN(size / 512 / 16 / 32, UINT32_MAX));
    store_le32(h + 28, (uint32_t)(cluster / 512));
    store_le32(h + 32, (uint32_t)entries);
    store_le64(h + 36, size / 512);
    store_le32(h + 48, (uint32_t)(data_offset / 512));
    if (!node_truncate(file, data_offset, PREALLOC_OFF, &error)) {
        g_error_free(error);
        return -ENOSPC;
    }
    return node_pwrite(file, 0, h, sizeof h, 0);
}

static bool parallels_create(BlockGraph *graph, const char *filename, GHashTable *options,
                             GError **error)
{
    uint64_t size = 0, cluster = NEW_CLUSTER;
    BlockNode *file;
    int result;

    if (!options_take_size(options, "size", &size, error) ||
        !options_take_size(options, "cluster_size", &cluster, error)) {
        return false;
    }
    size = align_up(size, 512);
    if (!is_power_of_two(cluster) || cluster < 512 || cluster > GIB(1) ||
        size / cluster >= BAT_MAX / 4) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "Image size is too big for this cluster size, or the cluster size %" G_GUINT64_FORMAT
            " is no power of two up to 1 GiB",
            cluster);
    }
    file = mapped_create_file(graph, filename, options, error);
    if (!file) {
        return false;
    }
    result = parallels_write_new(file, size, cluster);
    node_unref(file);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", filename);
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
    info->unallocated_reads_zero = true;
    return 0;
}

static const BlockOption parallels_create_options[] = {
    { "size", "Virtual disk size" },
    { "cluster_size", "Parallels image cluster size" },
    MAPPED_FILE_OPTIONS,
    { 0 },
};

static int parallels_check(BlockNode *node, BlockCheck *check)
{
    check->image_end_offset = node_length(node->file->node);
    return mapped_check(node, check, parallels_map, NULL);
}

static const BlockDriver parallels_driver = {
    .name = "parallels",
    .summary = "Parallels expanding disk",
    .instance_size = sizeof(Parallels),
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .create_options = parallels_create_options,
    .create = parallels_create,
    .read = parallels_read,
    .write = parallels_write,
    .status = parallels_status,
    .length = parallels_length,
    .info = parallels_info,
    .check = parallels_check,
};
BLOCK_DRIVER(parallels_driver);
