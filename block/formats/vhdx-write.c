/* SPDX-License-Identifier: MIT */
/* VHDX: writing, and new images. */
#include "block/formats/vhdx.h"

/* Writing. */

int vhdx_write_header(BlockNode *node)
{
    Vhdx *v = node->state;
    BlockNode *file = node->file->node;
    int result;

    store_le64(v->header + VH_SEQUENCE, load_le64(v->header + VH_SEQUENCE) + 1);
    store_le32(v->header + VH_CHECKSUM, vhdx_checksum(v->header, sizeof v->header, NULL, 0));
    result = node_pwrite(file, v->second ? VHDX_HEADER_1 : VHDX_HEADER_2, v->header,
                         sizeof v->header, 0);
    if (result == 0) {
        result = node_flush(file);
    }
    v->second ^= result == 0;
    return result;
}

/* Before anything else changes, the header says that the file is not the one that it was. */
static int begin_writing(BlockNode *node)
{
    Vhdx *v = node->state;
    int result = 0;

    coroutine_mutex_lock(&v->lock);
    if (!v->in_use) {
        mapped_random_uuid(v->header + VH_FILE_WRITE_GUID);
        mapped_random_uuid(v->header + VH_DATA_WRITE_GUID);
        result = vhdx_write_header(node);
        v->in_use = result == 0;
    }
    coroutine_mutex_unlock(&v->lock);
    return result;
}

/* An entry of the BAT, by the sector that holds it. [lock] */
static int set_entry(BlockNode *node, uint64_t index, uint64_t entry)
{
    Vhdx *v = node->state;
    uint64_t first = align_down(index, 64), n = MIN(v->entries - first, 64);
    uint64_t sector[64];
    int result;

    memcpy(sector, v->bat + first, n * 8);
    store_le64((uint8_t *)&sector[index - first], entry);
    result = node_pwrite(node->file->node, v->bat_offset + first * 8, sector, n * 8, 0);
    if (result == 0) {
        v->bat[index] = sector[index - first];
    }
    return result;
}

/* The space is never tried again after a failure: an entry on disk may name it. */
static int allocate(BlockNode *node, uint64_t offset)
{
    Vhdx *v = node->state;
    uint64_t block = offset / v->block_size, start = v->file_end;
    int result;

    if (start > INT64_MAX / 2) {
        return -EFBIG;
    }
    v->file_end += v->block_size;
    result = node_write_zeroes(node->file->node, start, v->block_size, 0);
    if (result == 0) {
        result = node_flush(node->file->node);
    }
    return result < 0 ? result
                      : set_entry(node, block + block / v->chunk_ratio, start | VHDX_FULLY_PRESENT);
}

int vhdx_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags)
{
    Vhdx *v = node->state;
    int result = v->in_use ? 0 : begin_writing(node);

    return result < 0
               ? result
               : mapped_write(node, offset, bytes, vector, flags, vhdx_map, allocate, &v->lock);
}

/* New images. */

enum {
    LAYOUT_LOG = 1024 * 1024,
    METADATA_BYTES = 1024 * 1024,
    SECTOR_SIZE = 512,
    /* In the metadata region, behind its table. */
    ITEM_PARAMETERS = 64 * 1024,
    ITEM_SIZE = ITEM_PARAMETERS + 8,
    ITEM_PAGE83 = ITEM_SIZE + 8,
    ITEM_SECTOR = ITEM_PAGE83 + 16,
    ITEM_PHYSICAL_SECTOR = ITEM_SECTOR + 4,
    FLAG_VIRTUAL_DISK = 2,
    FLAG_REQUIRED = 4,
};

const BlockOption vhdx_create_options[] = {
    { "block_size", "Size of a block, 1M to 256M; 0: by the size of the disk" },
    { "block_state_zero", "Blocks of a new dynamic image are marked as zeroes" },
    { "log_size", "Size of the log, at least 1M" },
    { "size", "Virtual disk size" },
    { "subformat", "dynamic or fixed" },
    MAPPED_FILE_OPTIONS,
    { 0 },
};

typedef struct {
    uint64_t size, block_size, log_size;
    bool state_zero;
    int subformat; /* 1: fixed */
    uint64_t blocks, chunk_ratio, entries, bat_offset, bat_bytes, metadata_offset, data_offset;
} Layout;

static uint64_t default_block_size(uint64_t size)
{
    return size > UINT64_C(32) << 40    ? MIB(64)
           : size > UINT64_C(100) << 30 ? MIB(32)
           : size > UINT64_C(1) << 30   ? MIB(16)
                                        : MIB(8);
}

static bool take_options(GHashTable *options, Layout *l, GError **error)
{
    static const char *const subformats[] = { "dynamic", "fixed", NULL };

    *l = (Layout){ .log_size = MIB(1), .state_zero = true };
    if (!options_take_size(options, "size", &l->size, error) ||
        !options_take_size(options, "block_size", &l->block_size, error) ||
        !options_take_size(options, "log_size", &l->log_size, error) ||
        !options_take_bool(options, "block_state_zero", &l->state_zero, error) ||
        !options_take_enum(options, "subformat", subformats, &l->subformat, error)) {
        return false;
    }
    l->size = align_up(l->size, SECTOR_SIZE);
    l->block_size = l->block_size ? l->block_size : default_block_size(l->size);
    l->log_size = align_up(l->log_size, MIB(1));
    if (!l->size || l->size > UINT64_C(64) << 40) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A VHDX disk has at least 512 bytes and at most 64 TiB");
    }
    if (!is_power_of_two(l->block_size) || l->block_size < MIB(1) || l->block_size > MIB(256)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "VHDX block_size %" G_GUINT64_FORMAT
                          ": give a power of two between 1M and 256M",
                          l->block_size);
    }
    if (!l->log_size || l->log_size >= UINT64_C(1) << 32) {
        return error_fail(error, KASO_ERROR_INVALID, "VHDX log_size: give between 1M and 4095M");
    }
    return true;
}

static bool lay_out(Layout *l, GError **error)
{
    l->blocks = (l->size + l->block_size - 1) / l->block_size;
    l->chunk_ratio = (UINT64_C(1) << 23) * SECTOR_SIZE / l->block_size;
    l->entries = l->blocks + (l->blocks - 1) / l->chunk_ratio;
    l->metadata_offset = LAYOUT_LOG + l->log_size;
    l->bat_offset = l->metadata_offset + METADATA_BYTES;
    l->bat_bytes = align_up(l->entries * 8, MIB(1));
    l->data_offset = l->bat_offset + l->bat_bytes;
    return l->bat_bytes <= VHDX_BAT_MAX ||
           error_fail(error, KASO_ERROR_INVALID,
                      "A VHDX disk of this size needs a larger block_size");
}

static int write_start(BlockNode *file, const Layout *l)
{
    static const char creator[] = "Kaso";
    uint8_t identifier[512] = "vhdxfile", h[VHDX_HEADER_SIZE] = "head";
    int result;

    for (size_t i = 0; i < sizeof creator; i++) {
        identifier[8 + 2 * i] = (uint8_t)creator[i]; /* UTF-16 */
    }
    mapped_random_uuid(h + VH_FILE_WRITE_GUID);
    mapped_random_uuid(h + VH_DATA_WRITE_GUID);
    store_le16(h + VH_VERSION, 1);
    store_le32(h + VH_LOG_LENGTH, (uint32_t)l->log_size);
    store_le64(h + VH_LOG_OFFSET, LAYOUT_LOG);
    result = node_pwrite(file, 0, identifier, sizeof identifier, 0);
    for (unsigned i = 0; i < 2 && result == 0; i++) {
        store_le64(h + VH_SEQUENCE, i + 1);
        store_le32(h + VH_CHECKSUM, vhdx_checksum(h, sizeof h, NULL, 0));
        result = node_pwrite(file, i ? VHDX_HEADER_2 : VHDX_HEADER_1, h, sizeof h, 0);
    }
    return result;
}

static void put_region(uint8_t *entry, const uint8_t *guid, uint64_t offset, uint64_t bytes)
{
    memcpy(entry, guid, 16);
    store_le64(entry + 16, offset);
    store_le32(entry + 24, (uint32_t)bytes);
    store_le32(entry + 28, 1); /* required */
}

static int write_regions(BlockNode *file, const Layout *l)
{
    g_autofree uint8_t *t = g_malloc0(VHDX_TABLE_SIZE);
    int result;

    memcpy(t, "regi", 4);
    store_le32(t + 8, 2);
    put_region(t + 16, vhdx_guid_bat, l->bat_offset, l->bat_bytes);
    put_region(t + 48, vhdx_guid_metadata, l->metadata_offset, METADATA_BYTES);
    store_le32(t + VH_CHECKSUM, vhdx_checksum(t, VHDX_TABLE_SIZE, NULL, 0));
    result = node_pwrite(file, VHDX_REGIONS_1, t, VHDX_TABLE_SIZE, 0);
    return result < 0 ? result : node_pwrite(file, VHDX_REGIONS_2, t, VHDX_TABLE_SIZE, 0);
}

static int write_metadata(BlockNode *file, const Layout *l)
{
    const struct {
        const uint8_t *guid;
        uint32_t offset, bytes, flags;
    } items[] = {
        { vhdx_guid_parameters, ITEM_PARAMETERS, 8, FLAG_REQUIRED },
        { vhdx_guid_size, ITEM_SIZE, 8, FLAG_VIRTUAL_DISK | FLAG_REQUIRED },
        { vhdx_guid_page83, ITEM_PAGE83, 16, FLAG_VIRTUAL_DISK | FLAG_REQUIRED },
        { vhdx_guid_sector, ITEM_SECTOR, 4, FLAG_VIRTUAL_DISK | FLAG_REQUIRED },
        { vhdx_guid_physical_sector, ITEM_PHYSICAL_SECTOR, 4, FLAG_VIRTUAL_DISK | FLAG_REQUIRED },
    };
    g_autofree uint8_t *m = g_malloc0(METADATA_BYTES);

    memcpy(m, "metadata", 8);
    store_le16(m + 10, ARRAY_SIZE(items));
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
        uint8_t *entry = m + 32 + i * 32;

        memcpy(entry, items[i].guid, 16);
        store_le32(entry + 16, items[i].offset);
        store_le32(entry + 20, items[i].bytes);
        store_le32(entry + 24, items[i].flags);
    }
    store_le32(m + ITEM_PARAMETERS, (uint32_t)l->block_size);
    store_le32(m + ITEM_PARAMETERS + 4, l->subformat); /* leave blocks allocated */
    store_le64(m + ITEM_SIZE, l->size);
    mapped_random_uuid(m + ITEM_PAGE83);
    store_le32(m + ITEM_SECTOR, SECTOR_SIZE);
    store_le32(m + ITEM_PHYSICAL_SECTOR, SECTOR_SIZE);
    return node_pwrite(file, l->metadata_offset, m, METADATA_BYTES, 0);
}

static int write_bat(BlockNode *file, const Layout *l)
{
    g_autofree uint8_t *bat = g_try_malloc0(l->bat_bytes);

    for (uint64_t i = 0; bat && i < l->blocks; i++) {
        uint64_t at = l->data_offset + i * l->block_size;

        store_le64(bat + (i + i / l->chunk_ratio) * 8, l->subformat    ? at | VHDX_FULLY_PRESENT
                                                       : l->state_zero ? VHDX_ZERO
                                                                       : VHDX_NOT_PRESENT);
    }
    return bat ? node_pwrite(file, l->bat_offset, bat, l->bat_bytes, 0) : -ENOMEM;
}

/* What makes it an image comes last. */
static int write_new(BlockNode *file, const Layout *l)
{
    uint64_t end = l->data_offset + (l->subformat ? l->blocks * l->block_size : 0);
    int result = node_grow(file, end, PREALLOC_OFF, NULL) ? write_metadata(file, l) : -ENOSPC;

    if (result == 0) {
        result = write_bat(file, l);
    }
    if (result == 0) {
        result = write_regions(file, l);
    }
    return result < 0 ? result : write_start(file, l);
}

bool vhdx_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    BlockNode *file;
    Layout l;
    int result;

    if (!take_options(options, &l, error) || !lay_out(&l, error)) {
        return false;
    }
    file = mapped_create_file(graph, filename, options, error);
    if (!file) {
        return false;
    }
    result = write_new(file, &l);
    node_unref(file);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", filename);
}
