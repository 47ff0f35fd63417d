/* SPDX-License-Identifier: MIT */
/* VirtualBox disk image, types dynamic and static: read only. Differencing images are refused. */
#include "block/mapped.h"

#define VDI_SIGNATURE 0xbeda107fu
#define VDI_UNALLOCATED 0xffffffffu
#define VDI_DISCARDED 0xfffffffeu

enum { HEADER_SIZE = 512, SIGNATURE = 0x40, VERSION = 0x44, TYPE = 0x4c, BMAP = 0x154, DATA = 0x158,
       SECTOR_SIZE = 0x168, DISK_SIZE = 0x170, BLOCK_SIZE = 0x178, BLOCK_EXTRA = 0x17c,
       BLOCKS = 0x180, BMAP_MAX = 512 * 1024 * 1024, TYPE_STATIC = 2 };

typedef struct {
    uint64_t size, block_size, data_offset, blocks;
    uint32_t *map;
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
    if (!mapped_read_only(node, error)) {
        return false;
    }
    vdi->map = mapped_load_table(node->file->node, load_le32(h + BMAP), vdi->blocks, 4, false,
                                 BMAP_MAX, "the VDI block map", error);
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
    return 0;
}

static const BlockDriver vdi_driver = {
    .name = "vdi",
    .summary = "VirtualBox disk image, read only",
    .instance_size = sizeof(Vdi),
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .read = vdi_read,
    .status = vdi_status,
    .length = vdi_length,
    .info = vdi_info,
};
BLOCK_DRIVER(vdi_driver);
