/* SPDX-License-Identifier: MIT */
/*
 * Hyper-V VHDX ([MS-VHDX]), fixed and dynamic: read only. An image whose log was not replayed, and
 * differencing disks, are refused.
 */
#include "block/mapped.h"

enum {
    HEADER_1 = 64 * 1024,
    HEADER_2 = 128 * 1024,
    REGIONS = 192 * 1024,
    HEADER_SIZE = 4096,
    TABLE_SIZE = 64 * 1024,
    BAT_MAX = 256 * 1024 * 1024,
    STATE_NOT_PRESENT = 0,
    STATE_UNDEFINED = 1,
    STATE_ZERO = 2,
    STATE_UNMAPPED_V0 = 5,
    STATE_UNMAPPED = 3,
    STATE_FULLY_PRESENT = 6,
};

/* GUIDs as they lie in the file. */
static const uint8_t guid_bat[16] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                      0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
static const uint8_t guid_metadata[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                           0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
static const uint8_t guid_parameters[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                             0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b };
static const uint8_t guid_size[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                       0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };
static const uint8_t guid_sector[16] = { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                         0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f };

typedef struct {
    uint64_t size, block_size, chunk_ratio, entries;
    uint32_t sector_size;
    uint64_t *bat;
} Vhdx;

static int vhdx_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= 8 && !memcmp(buffer, "vhdxfile", 8) ? 100 : 0;
}

/* CRC-32C, bit by bit: headers are small. The checksum's own field counts as zero. */
static bool checksum_is_right(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= i >= 4 && i < 8 ? 0 : data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
    }
    return ~crc == load_le32(data + 4);
}

static bool check_header(BlockNode *file, GError **error)
{
    uint8_t best[HEADER_SIZE] = { 0 }, header[HEADER_SIZE];
    static const uint8_t no_log[16];
    bool found = false;

    for (int i = 0; i < 2; i++) {
        if (node_pread(file, i ? HEADER_2 : HEADER_1, header, sizeof header) == 0 &&
            !memcmp(header, "head", 4) && checksum_is_right(header, sizeof header) &&
            (!found || load_le64(header + 8) > load_le64(best + 8))) {
            memcpy(best, header, sizeof best);
            found = true;
        }
    }
    if (!found || load_le16(best + 66) != 1) {
        return error_fail(error, KASO_ERROR_INVALID, "No valid VHDX header found");
    }
    return !memcmp(best + 48, no_log, 16) ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "VHDX image file has a log that needs to be replayed: open and close it once "
                      "with the program that wrote it");
}

/* Finds an entry of 32 bytes by GUID in a region or metadata table. */
static const uint8_t *find_entry(const uint8_t *table, size_t first, unsigned count,
                                 const uint8_t *guid)
{
    for (unsigned i = 0; i < count && first + (i + 1) * 32 <= TABLE_SIZE; i++) {
        if (!memcmp(table + first + i * 32, guid, 16)) {
            return table + first + i * 32;
        }
    }
    return NULL;
}

static bool read_item(BlockNode *file, const uint8_t *table, uint64_t region, const uint8_t *guid,
                      void *data, size_t size)
{
    const uint8_t *entry = find_entry(table, 32, load_le16(table + 10), guid);

    return entry && load_le32(entry + 20) >= size && load_le32(entry + 16) < MIB(1) &&
           node_pread(file, region + load_le32(entry + 16), data, size) == 0;
}

static bool read_metadata(BlockNode *node, uint64_t region, uint8_t *table, GError **error)
{
    Vhdx *v = node->state;
    BlockNode *file = node->file->node;
    uint8_t parameters[8], size[8], sector[4];

    if (node_pread(file, region, table, TABLE_SIZE) < 0 || memcmp(table, "metadata", 8) ||
        !read_item(file, table, region, guid_parameters, parameters, 8) ||
        !read_item(file, table, region, guid_size, size, 8) ||
        !read_item(file, table, region, guid_sector, sector, 4)) {
        return error_fail(error, KASO_ERROR_INVALID, "The VHDX metadata is incomplete");
    }
    v->block_size = load_le32(parameters);
    v->size = load_le64(size);
    v->sector_size = load_le32(sector);
    if (load_le32(parameters + 4) & 2) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "VHDX differencing disks are not supported");
    }
    if (!is_power_of_two(v->block_size) || v->block_size < MIB(1) || v->block_size > MIB(256) ||
        (v->sector_size != 512 && v->sector_size != 4096) || v->size % v->sector_size ||
        v->size > UINT64_C(64) << 40) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "VHDX block size, sector size or disk size is out of range");
    }
    v->chunk_ratio = (UINT64_C(1) << 23) * v->sector_size / v->block_size;
    v->entries = (v->size + v->block_size - 1) / v->block_size;
    v->entries += v->entries ? (v->entries - 1) / v->chunk_ratio : 0;
    return true;
}

static bool vhdx_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vhdx *v = node->state;
    BlockNode *file = node->file->node;
    g_autofree uint8_t *table = g_malloc(TABLE_SIZE);
    const uint8_t *bat, *metadata;
    uint64_t bat_offset, bat_size, metadata_offset;
    int result = node_pread(file, REGIONS, table, TABLE_SIZE);

    if (!mapped_read_only(node, error) || !check_header(file, error)) {
        return false;
    }
    if (result < 0 || memcmp(table, "regi", 4) || !checksum_is_right(table, TABLE_SIZE)) {
        return error_fail(error, KASO_ERROR_INVALID, "The VHDX region table is damaged");
    }
    bat = find_entry(table, 16, load_le32(table + 8), guid_bat);
    metadata = find_entry(table, 16, load_le32(table + 8), guid_metadata);
    if (!bat || !metadata) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The VHDX region table has no BAT or no metadata");
    }
    bat_offset = load_le64(bat + 16);
    bat_size = load_le32(bat + 24);
    metadata_offset = load_le64(metadata + 16);
    if (!read_metadata(node, metadata_offset, table, error)) {
        return false;
    }
    if (v->entries * 8 > bat_size) {
        return error_fail(error, KASO_ERROR_INVALID, "The VHDX BAT is too small for the disk");
    }
    v->bat =
        mapped_load_table(file, bat_offset, v->entries, 8, false, BAT_MAX, "the VHDX BAT", error);
    return v->bat != NULL;
}

static void vhdx_close(BlockNode *node)
{
    g_free(((Vhdx *)node->state)->bat);
}

static int vhdx_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Vhdx *v = node->state;
    uint64_t block = offset / v->block_size, in_block = offset % v->block_size;
    uint64_t entry = v->bat[block + block / v->chunk_ratio];

    piece->count = MIN(piece->count, v->block_size - in_block);
    piece->host = align_down(entry, MIB(1)) + in_block;
    switch (entry & 7) {
    case STATE_FULLY_PRESENT:
        piece->kind = PIECE_DATA;
        return piece->host < MIB(1) ? -EIO : 0;
    case STATE_NOT_PRESENT:
    case STATE_UNDEFINED:
    case STATE_UNMAPPED:
    case STATE_UNMAPPED_V0:
        piece->kind = PIECE_BACKING;
        return 0;
    case STATE_ZERO:
        piece->kind = PIECE_ZERO;
        return 0;
    default:
        return -EIO;
    }
}

static int vhdx_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, vhdx_map, NULL);
}

static int vhdx_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                       uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, vhdx_map);
}

static int64_t vhdx_length(BlockNode *node)
{
    return (int64_t)((Vhdx *)node->state)->size;
}

static int vhdx_info(BlockNode *node, BlockNodeInfo *info)
{
    info->cluster_size = ((Vhdx *)node->state)->block_size;
    return 0;
}

static int vhdx_check(BlockNode *node, BlockCheck *check)
{
    return mapped_check(node, check, vhdx_map);
}

static const BlockDriver vhdx_driver = {
    .name = "vhdx",
    .summary = "Hyper-V VHDX, read only",
    .instance_size = sizeof(Vhdx),
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .read = vhdx_read,
    .status = vhdx_status,
    .length = vhdx_length,
    .info = vhdx_info,
    .check = vhdx_check,
};
BLOCK_DRIVER(vhdx_driver);
