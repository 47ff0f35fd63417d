/* SPDX-License-Identifier: MIT */
/* VHDX: opening and reading. */
#include "block/formats/vhdx.h"

/* GUIDs as they lie in the file. */
const uint8_t vhdx_guid_bat[16] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                    0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
const uint8_t vhdx_guid_metadata[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                         0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
const uint8_t vhdx_guid_parameters[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                           0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b };
const uint8_t vhdx_guid_size[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                     0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };
const uint8_t vhdx_guid_sector[16] = { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                       0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f };

/* cda348c7-445d-4471-9cc9-e9885251c556 and beca12ab-b2e6-4523-93ef-c309e000c746. */
const uint8_t vhdx_guid_physical_sector[16] = { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                                                0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 };
const uint8_t vhdx_guid_page83[16] = { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                                       0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 };

static int vhdx_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= 8 && !memcmp(buffer, "vhdxfile", 8) ? 100 : 0;
}

static uint32_t crc_step(const uint32_t *table, uint32_t crc, uint8_t byte)
{
    return crc >> 8 ^ table[(crc ^ byte) & 0xff];
}

uint32_t vhdx_checksum(const uint8_t *first, size_t first_size, const uint8_t *second,
                       size_t second_size)
{
    uint32_t table[256], crc = UINT32_MAX;

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) {
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0);
        }
    }
    for (size_t i = 0; i < first_size; i++) {
        crc = crc_step(table, crc, i >= VH_CHECKSUM && i < VH_CHECKSUM + 4 ? 0 : first[i]);
    }
    for (size_t i = 0; i < second_size; i++) {
        crc = crc_step(table, crc, second[i]);
    }
    return ~crc;
}

static bool checksum_is_right(const uint8_t *data, size_t size)
{
    return vhdx_checksum(data, size, NULL, 0) == load_le32(data + VH_CHECKSUM);
}

static bool read_header(BlockNode *node, GError **error)
{
    Vhdx *v = node->state;
    uint8_t header[VHDX_HEADER_SIZE];
    bool found = false;

    for (int i = 0; i < 2; i++) {
        if (node_pread(node->file->node, i ? VHDX_HEADER_2 : VHDX_HEADER_1, header,
                       sizeof header) == 0 &&
            !memcmp(header, "head", 4) && checksum_is_right(header, sizeof header) &&
            (!found || load_le64(header + VH_SEQUENCE) > load_le64(v->header + VH_SEQUENCE))) {
            memcpy(v->header, header, sizeof header);
            v->second = i;
            found = true;
        }
    }
    return (found && load_le16(v->header + VH_VERSION) == 1) ||
           error_fail(error, KASO_ERROR_INVALID, "No valid VHDX header found");
}

/* With what the log puts over it. */
static int read_file(BlockNode *node, uint64_t offset, void *buffer, size_t size)
{
    int result = node_pread(node->file->node, offset, buffer, size);

    vhdx_patch(node->state, offset, buffer, size);
    return result;
}

/* Finds an entry of 32 bytes by GUID in a region or metadata table. */
static const uint8_t *find_entry(const uint8_t *table, size_t first, unsigned count,
                                 const uint8_t *guid)
{
    for (unsigned i = 0; i < count && first + (i + 1) * 32 <= VHDX_TABLE_SIZE; i++) {
        if (!memcmp(table + first + i * 32, guid, 16)) {
            return table + first + i * 32;
        }
    }
    return NULL;
}

static bool read_item(BlockNode *node, const uint8_t *table, uint64_t region, const uint8_t *guid,
                      void *data, size_t size)
{
    const uint8_t *entry = find_entry(table, 32, load_le16(table + 10), guid);

    return entry && load_le32(entry + 20) >= size && load_le32(entry + 16) < MIB(1) &&
           read_file(node, region + load_le32(entry + 16), data, size) == 0;
}

static bool read_metadata(BlockNode *node, uint64_t region, uint8_t *table, GError **error)
{
    Vhdx *v = node->state;
    uint8_t parameters[8], size[8], sector[4];

    if (read_file(node, region, table, VHDX_TABLE_SIZE) < 0 || memcmp(table, "metadata", 8) ||
        !read_item(node, table, region, vhdx_guid_parameters, parameters, 8) ||
        !read_item(node, table, region, vhdx_guid_size, size, 8) ||
        !read_item(node, table, region, vhdx_guid_sector, sector, 4)) {
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

static bool read_regions(BlockNode *node, uint8_t *table, GError **error)
{
    Vhdx *v = node->state;
    const uint8_t *bat, *metadata;
    bool found = false;

    for (int i = 0; i < 2 && !found; i++) {
        found = read_file(node, i ? VHDX_REGIONS_2 : VHDX_REGIONS_1, table, VHDX_TABLE_SIZE) == 0 &&
                !memcmp(table, "regi", 4) && checksum_is_right(table, VHDX_TABLE_SIZE);
    }
    if (!found) {
        return error_fail(error, KASO_ERROR_INVALID, "The VHDX region table is damaged");
    }
    bat = find_entry(table, 16, load_le32(table + 8), vhdx_guid_bat);
    metadata = find_entry(table, 16, load_le32(table + 8), vhdx_guid_metadata);
    if (!bat || !metadata) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The VHDX region table has no BAT or no metadata");
    }
    v->bat_offset = load_le64(bat + 16);
    v->bat_bytes = load_le32(bat + 24);
    v->metadata_offset = load_le64(metadata + 16);
    return (v->bat_offset % MIB(1) == 0 && v->metadata_offset % MIB(1) == 0 &&
            v->bat_offset <= INT64_MAX / 2 && v->metadata_offset <= INT64_MAX / 2) ||
           error_fail(error, KASO_ERROR_INVALID, "A VHDX region's FileOffset is out of range");
}

static bool read_tables(BlockNode *node, GError **error)
{
    Vhdx *v = node->state;
    g_autofree uint8_t *table = g_malloc(VHDX_TABLE_SIZE);

    if (!read_regions(node, table, error) ||
        !read_metadata(node, v->metadata_offset, table, error)) {
        return false;
    }
    if (v->entries * 8 > v->bat_bytes) {
        return error_fail(error, KASO_ERROR_INVALID, "The VHDX BAT is too small for the disk");
    }
    v->bat = mapped_load_table(node->file->node, v->bat_offset, v->entries, 8, false, VHDX_BAT_MAX,
                               "the VHDX BAT", error);
    if (v->bat) {
        vhdx_patch(v, v->bat_offset, (uint8_t *)v->bat, v->entries * 8);
    }
    return v->bat != NULL;
}

static void vhdx_close(BlockNode *node)
{
    Vhdx *v = node->state;

    vhdx_forget_log(v);
    g_free(v->bat);
}

/* For a node that is, or becomes, writable. */
static bool prepare_writing(BlockNode *node, GError **error)
{
    Vhdx *v = node->state;
    int result = v->patches ? vhdx_replay_log(node) : 0;

    v->file_end = align_up(node_length(node->file->node), MIB(1));
    return result == 0 ||
           error_fail_errno(error, -result, "Could not replay the log of '%s'", node->filename);
}

static bool vhdx_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vhdx *v = node->state;

    coroutine_mutex_init(&v->lock);
    if (read_header(node, error) && vhdx_read_log(node, error) && read_tables(node, error) &&
        (node->read_only || prepare_writing(node, error))) {
        return true;
    }
    vhdx_close(node);
    return false;
}

static bool vhdx_reopen(BlockNode *node, bool read_only, GError **error)
{
    ((Vhdx *)node->state)->in_use = false;
    return read_only || prepare_writing(node, error);
}

/* Guest data never lies over tables. */
static bool is_free_for_data(const Vhdx *v, uint64_t start)
{
    const struct {
        uint64_t start, bytes;
    } areas[] = {
        { 0, MIB(1) },
        { v->bat_offset, v->bat_bytes },
        { v->metadata_offset, MIB(1) },
        { load_le64(v->header + VH_LOG_OFFSET), load_le32(v->header + VH_LOG_LENGTH) },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(areas); i++) {
        if (start < areas[i].start + areas[i].bytes && areas[i].start < start + v->block_size) {
            return false;
        }
    }
    return start < INT64_MAX / 2;
}

int vhdx_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Vhdx *v = node->state;
    uint64_t block = offset / v->block_size, in_block = offset % v->block_size;
    uint64_t entry = v->bat[block + block / v->chunk_ratio], start = align_down(entry, MIB(1));

    piece->count = MIN(piece->count, v->block_size - in_block);
    piece->host = start + in_block;
    switch (entry & VHDX_STATE_MASK) {
    case VHDX_FULLY_PRESENT:
        piece->kind = PIECE_DATA;
        return is_free_for_data(v, start) ? 0 : -EIO;
    case VHDX_NOT_PRESENT:
    case VHDX_UNDEFINED:
    case VHDX_UNMAPPED:
    case VHDX_UNMAPPED_V0:
        piece->kind = PIECE_BACKING;
        return 0;
    case VHDX_ZERO:
        piece->kind = PIECE_ZERO;
        return 0;
    default:
        return -EIO;
    }
}

/* Under a log that is replayed in memory only. */
static int read_patched(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    g_autofree uint8_t *buffer = g_try_malloc0(bytes);
    int result = buffer ? 0 : -ENOMEM;

    for (uint64_t at = 0; at < bytes && result == 0;) {
        MappedPiece piece = { .count = bytes - at, .file = node->file->node };

        result = vhdx_map(node, offset + at, &piece);
        if (result == 0 && piece.kind == PIECE_DATA) {
            result = read_file(node, piece.host, buffer + at, piece.count);
        }
        at += piece.count;
    }
    if (result == 0) {
        io_vector_from_buffer(vector, buffer, bytes);
    }
    return result;
}

static int vhdx_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return ((Vhdx *)node->state)->patches
               ? read_patched(node, offset, bytes, vector)
               : mapped_read(node, offset, bytes, vector, vhdx_map, NULL);
}

static int vhdx_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                       uint64_t *map, BlockNode **file)
{
    int status = mapped_status(node, offset, bytes, count, map, file, vhdx_map);

    /* The file's own content is not what is read. */
    return status > 0 && ((Vhdx *)node->state)->patches ? status & ~(int)BLOCK_STATUS_OFFSET_VALID
                                                        : status;
}

static int64_t vhdx_length(BlockNode *node)
{
    return (int64_t)((Vhdx *)node->state)->size;
}

static int vhdx_info(BlockNode *node, BlockNodeInfo *info)
{
    Vhdx *v = node->state;

    info->cluster_size = v->block_size;
    info->is_dirty = v->patches != NULL;
    info->unallocated_reads_zero = true;
    return 0;
}

static int vhdx_check(BlockNode *node, BlockCheck *check)
{
    return mapped_check(node, check, vhdx_map, NULL);
}

static const BlockDriver vhdx_driver = {
    .name = "vhdx",
    .summary = "Hyper-V VHDX",
    .instance_size = sizeof(Vhdx),
    .probe = vhdx_probe,
    .open = vhdx_open,
    .reopen = vhdx_reopen,
    .close = vhdx_close,
    .create_options = vhdx_create_options,
    .create = vhdx_create,
    .write = vhdx_write,
    .read = vhdx_read,
    .status = vhdx_status,
    .length = vhdx_length,
    .info = vhdx_info,
    .check = vhdx_check,
};
BLOCK_DRIVER(vhdx_driver);
