/* SPDX-License-Identifier: MIT */
/* VirtualBox disk image, types dynamic and static. Differencing images are refused. */
#include "block/formats/mapped.h"

#define VDI_SIGNATURE   0xbeda107fu
#define VDI_UNALLOCATED 0xffffffffu
#define VDI_DISCARDED   0xfffffffeu

enum {
    HEADER_SIZE = 512,
    SIGNATURE = 0x40,
    VERSION = 0x44,
    TYPE = 0x4c,
    BMAP = 0x154,
    DATA = 0x158,
    SECTOR_SIZE = 0x168,
    DISK_SIZE = 0x170,
    BLOCK_SIZE = 0x178,
    BLOCK_EXTRA = 0x17c,
    BLOCKS = 0x180,
    ALLOCATED = 0x184,
    UUID = 0x188,
    LAST_SNAPSHOT = 0x198,
    BMAP_MAX = 512 * 1024 * 1024,
    TYPE_DYNAMIC = 1,
    TYPE_STATIC = 2
};

typedef struct {
    uint64_t size, block_size, data_offset, blocks;
    uint64_t map_offset, allocated; /* allocated: the first block of the file that is free */
    uint32_t *map;
    CoroutineMutex lock;
} Vdi;

static int vdi_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= HEADER_SIZE && load_le32(buffer + SIGNATURE) == VDI_SIGNATURE ? 100 : 0;
}

static bool vdi_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vdi *vdi = node->state;
    uint8_t h[HEADER_SIZE];
    int result = node_pread(node->file->node, 0, h, sizeof h);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the VDI header");
    }
    if (load_le32(h + SIGNATURE) != VDI_SIGNATURE) {
        return error_fail(error, KASO_ERROR_INVALID, "Image not in VDI format (bad signature)");
    }
    vdi->size = align_up(load_le64(h + DISK_SIZE), 512);
    vdi->block_size = load_le32(h + BLOCK_SIZE);
    vdi->data_offset = load_le32(h + DATA);
    vdi->blocks = load_le32(h + BLOCKS);
    if (load_le32(h + VERSION) != 0x00010001 || load_le32(h + SECTOR_SIZE) != 512 ||
        load_le32(h + BMAP) % 512 || vdi->data_offset % 512 || load_le32(h + BLOCK_EXTRA)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "unsupported VDI image (version, sector size, block extra or an offset)");
    }
    if (!is_power_of_two(vdi->block_size) || vdi->block_size < 512 ||
        vdi->size > vdi->blocks * vdi->block_size || load_le32(h + TYPE) > TYPE_STATIC ||
        load_le32(h + TYPE) == 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "unsupported VDI image (type %u, block size %" G_GUINT64_FORMAT
                          ", disk size %" G_GUINT64_FORMAT ")",
                          load_le32(h + TYPE), vdi->block_size, vdi->size);
    }
    vdi->map_offset = load_le32(h + BMAP);
    if (vdi->map_offset < HEADER_SIZE ||
        vdi->data_offset < vdi->map_offset + align_up(vdi->blocks * 4, 512)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The VDI block map at offset_bmap %" G_GUINT64_FORMAT
                          " overlaps the header or offset_data %" G_GUINT64_FORMAT,
                          vdi->map_offset, vdi->data_offset);
    }
    vdi->allocated = load_le32(h + ALLOCATED);
    coroutine_mutex_init(&vdi->lock);
    vdi->map = mapped_load_table(node->file->node, load_le32(h + BMAP), vdi->blocks, 4, false,
                                 BMAP_MAX, "the VDI block map", error);
    for (uint64_t i = 0; vdi->map && i < vdi->blocks; i++) {
        if (vdi->map[i] < VDI_DISCARDED) {
            vdi->allocated = MAX(vdi->allocated, vdi->map[i] + UINT64_C(1));
        }
    }
    return vdi->map != NULL;
}

static void vdi_close(BlockNode *node)
{
    g_free(((Vdi *)node->state)->map);
}

static int vdi_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Vdi *vdi = node->state;
    uint64_t in_block = offset % vdi->block_size;
    uint32_t entry = vdi->map[offset / vdi->block_size];

    piece->count = MIN(piece->count, vdi->block_size - in_block);
    piece->kind = entry == VDI_UNALLOCATED ? PIECE_BACKING
                  : entry == VDI_DISCARDED ? PIECE_ZERO
                                           : PIECE_DATA;
    piece->host = vdi->data_offset + entry * vdi->block_size + in_block;
    return 0;
}

static int vdi_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, vdi_map, NULL);
}

/* The sector of the block map that holds entry index, in the file. */
static int vdi_write_map(BlockNode *node, uint64_t index)
{
    Vdi *vdi = node->state;
    uint64_t first = align_down(index, 128), n = MIN(vdi->blocks - first, 128);
    uint8_t sector[512] = { 0 };

    memcpy(sector, vdi->map + first, n * 4);
    return node_pwrite(node->file->node, vdi->map_offset + first * 4, sector, sizeof sector, 0);
}

static int vdi_allocate(BlockNode *node, uint64_t offset)
{
    Vdi *vdi = node->state;
    uint64_t index = offset / vdi->block_size;
    uint32_t old = vdi->map[index];
    uint8_t count[4];
    int result;

    if (vdi->allocated >= vdi->blocks) {
        return -ENOSPC; /* a sound image has a place for each block */
    }
    result = node_write_zeroes(
        node->file->node, vdi->data_offset + vdi->allocated * vdi->block_size, vdi->block_size, 0);
    if (result < 0) {
        return result;
    }
    vdi->map[index] = (uint32_t)vdi->allocated;
    store_le32(count, (uint32_t)vdi->allocated + 1);
    result = node_pwrite(node->file->node, ALLOCATED, count, sizeof count, 0);
    if (result == 0) {
        result = vdi_write_map(node, index);
    }
    if (result < 0) {
        vdi->map[index] = old;
    } else {
        vdi->allocated++;
    }
    return result;
}

static int vdi_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                     unsigned flags)
{
    Vdi *vdi = node->state;

    return mapped_write(node, offset, bytes, vector, flags, vdi_map, vdi_allocate, &vdi->lock);
}

/* Header and block map of a new image. */
static int vdi_write_new(BlockNode *file, uint64_t size, uint64_t block_size, bool is_static)
{
    static const char text[] = "<<< Oracle VM VirtualBox Disk Image >>>\n";
    uint64_t blocks = (size + block_size - 1) / block_size;
    uint64_t map_size = align_up(blocks * 4, 512), data = HEADER_SIZE + map_size;
    g_autofree uint8_t *h = g_try_malloc0(data);
    GError *error = NULL;

    if (!h) {
        return -ENOMEM;
    }
    memcpy(h, text, sizeof text - 1);
    store_le32(h + SIGNATURE, VDI_SIGNATURE);
    store_le32(h + VERSION, 0x00010001);
    store_le32(h + 0x48, 0x180); /* size of the header */
    store_le32(h + TYPE, is_static ? TYPE_STATIC : TYPE_DYNAMIC);
    store_le32(h + BMAP, HEADER_SIZE);
    store_le32(h + DATA, (uint32_t)data);
    store_le32(h + SECTOR_SIZE, 512);
    store_le64(h + DISK_SIZE, size);
    store_le32(h + BLOCK_SIZE, (uint32_t)block_size);
    store_le32(h + BLOCKS, (uint32_t)blocks);
    store_le32(h + ALLOCATED, is_static ? (uint32_t)blocks : 0);
    mapped_random_uuid(h + UUID);
    mapped_random_uuid(h + LAST_SNAPSHOT);
    for (uint64_t i = 0; i < blocks; i++) {
        store_le32(h + HEADER_SIZE + i * 4, is_static ? (uint32_t)i : VDI_UNALLOCATED);
    }
    if (is_static && !node_truncate(file, data + blocks * block_size, PREALLOC_OFF, &error)) {
        g_error_free(error);
        return -ENOSPC;
    }
    return node_pwrite(file, 0, h, data, 0);
}

static bool vdi_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    uint64_t size = 0, block_size = MIB(1);
    bool is_static = false;
    BlockNode *file;
    int result;

    if (!options_take_size(options, "size", &size, error) ||
        !options_take_bool(options, "static", &is_static, error)) {
        return false;
    }
    size = align_up(size, 512);
    if (size > block_size * (BMAP_MAX / 4 - 256)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Unsupported VDI image size (size is 0x%" G_GINT64_MODIFIER
                          "x, max supported is 0x%" G_GINT64_MODIFIER "x)",
                          size, block_size * (BMAP_MAX / 4 - 256));
    }
    file = mapped_create_file(graph, filename, options, error);
    if (!file) {
        return false;
    }
    result = vdi_write_new(file, size, block_size, is_static);
    node_unref(file);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", filename);
}

static int vdi_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                      uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, vdi_map);
}

static int64_t vdi_length(BlockNode *node)
{
    return (int64_t)((Vdi *)node->state)->size;
}

static int vdi_info(BlockNode *node, BlockNodeInfo *info)
{
    info->cluster_size = ((Vdi *)node->state)->block_size;
    info->unallocated_reads_zero = true;
    return 0;
}

static const BlockOption vdi_create_options[] = {
    { "size", "Virtual disk size" },
    { "static", "VDI static (pre-allocated) image" },
    MAPPED_FILE_OPTIONS,
    { 0 },
};

static int vdi_check(BlockNode *node, BlockCheck *check)
{
    return mapped_check(node, check, vdi_map, NULL);
}

static const BlockDriver vdi_driver = {
    .name = "vdi",
    .summary = "VirtualBox disk image",
    .instance_size = sizeof(Vdi),
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .create_options = vdi_create_options,
    .create = vdi_create,
    .read = vdi_read,
    .write = vdi_write,
    .status = vdi_status,
    .length = vdi_length,
    .info = vdi_info,
    .check = vdi_check,
};
BLOCK_DRIVER(vdi_driver);
