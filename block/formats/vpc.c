/* SPDX-License-Identifier: MIT */
/*
 * Virtual PC / Hyper-V VHD, fixed and dynamic. Differencing disks are refused. The size
 * is that of the geometry for images of programs that count so.
 */
#include "block/formats/mapped.h"

enum {
    FOOTER_SIZE = 512,
    DYNAMIC_SIZE = 1024,
    TYPE_FIXED = 2,
    TYPE_DYNAMIC = 3,
    BAT_MAX = 32 * 1024 * 1024,
    CHS_SECTORS_MAX = 65535 * 16 * 255
};

typedef struct {
    uint64_t size, block_size, bitmap_size;
    uint32_t *bat;
    uint64_t entries, bat_offset;
    uint64_t next; /* where the next block goes; the footer's place until then */
    uint8_t footer[FOOTER_SIZE];
    CoroutineMutex lock;
} Vpc;

static int vpc_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= FOOTER_SIZE && !memcmp(buffer, "conectix", 8) ? 100 : 0;
}

/* What the geometry says of the size; 0: it says nothing, as where it is the largest that there is. */
static uint64_t geometry_sectors(const uint8_t *footer)
{
    uint64_t sectors = (uint64_t)load_be16(footer + 56) * footer[58] * footer[59];

    return sectors == CHS_SECTORS_MAX ? 0 : sectors;
}

static bool size_by_geometry(const uint8_t *footer)
{
    static const char *const by_size[] = { "win ", "d2v ", "qem2", "tap", "pvs", "wa" };
    const char *creator = (const char *)footer + 28;

    for (unsigned i = 0; i < ARRAY_SIZE(by_size); i++) {
        if (!strncmp(creator, by_size[i], strlen(by_size[i]))) {
            return false;
        }
    }
    return geometry_sectors(footer) != 0;
}

static bool read_footer(BlockNode *node, uint8_t *footer, GError **error)
{
    BlockNode *file = node->file->node;
    uint64_t size = node_size(file);
    int result = node_pread(file, 0, footer, FOOTER_SIZE);

    if (result == 0 && memcmp(footer, "conectix", 8) && size >= FOOTER_SIZE) {
        /* A fixed disk has it at the end only. */
        result = node_pread(file, align_up(size, 512) - FOOTER_SIZE, footer, FOOTER_SIZE);
    }
    if (result < 0) {
        return error_fail_errno(error, -result, "Unable to read VHD header");
    }
    return !memcmp(footer, "conectix", 8) ||
           error_fail(error, KASO_ERROR_INVALID, "invalid VPC image");
}

static bool open_dynamic(BlockNode *node, const uint8_t *footer, GError **error)
{
    Vpc *vpc = node->state;
    uint8_t header[DYNAMIC_SIZE];
    int result = node_pread(node->file->node, load_be64(footer + 16), header, sizeof header);

    if (result < 0) {
        return error_fail_errno(error, -result, "Error reading dynamic VHD header");
    }
    if (memcmp(header, "cxsparse", 8)) {
        return error_fail(error, KASO_ERROR_INVALID, "Invalid header magic");
    }
    vpc->entries = load_be32(header + 28);
    vpc->block_size = load_be32(header + 32);
    if (!is_power_of_two(vpc->block_size) || vpc->block_size < 512 || vpc->block_size > GIB(1)) {
        return error_fail(error, KASO_ERROR_INVALID, "Invalid block size %" G_GUINT64_FORMAT,
                          vpc->block_size);
    }
    if (vpc->entries < (vpc->size + vpc->block_size - 1) / vpc->block_size) {
        return error_fail(error, KASO_ERROR_INVALID, "Page Allocation Table too small");
    }
    vpc->bitmap_size = align_up(vpc->block_size / 512 / 8, 512);
    vpc->bat_offset = load_be64(header + 16);
    if (vpc->bat_offset + vpc->entries * UINT64_C(4) > node_size(node->file->node)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "VHD image is cut off: its table of %" G_GUINT64_FORMAT
                          " blocks lies at byte %" G_GUINT64_FORMAT
                          ", and the file ends at %" G_GUINT64_FORMAT,
                          (uint64_t)vpc->entries, vpc->bat_offset, node_size(node->file->node));
    }
    vpc->bat = mapped_load_table(node->file->node, vpc->bat_offset, vpc->entries, 4, true, BAT_MAX,
                                 "the block allocation table", error);
    vpc->next = align_up(
        MAX(vpc->bat_offset + vpc->entries * 4, load_be64(footer + 16) + DYNAMIC_SIZE), 512);
    for (uint64_t i = 0; vpc->bat && i < vpc->entries; i++) {
        if (vpc->bat[i] != UINT32_MAX) {
            vpc->next =
                MAX(vpc->next, vpc->bat[i] * UINT64_C(512) + vpc->bitmap_size + vpc->block_size);
        }
    }
    return vpc->bat != NULL;
}

/* Who knows better than the creator's name says may choose. */
static bool vpc_choose_size(GHashTable *options, const uint8_t *footer, uint64_t *size,
                            GError **error)
{
    static const char *const ways[] = { "chs", "current_size", NULL };
    int way = size_by_geometry(footer) ? 0 : 1;

    if (!options_take_enum(options, "force_size_calc", ways, &way, error)) {
        return false;
    }
    *size = way == 0 && geometry_sectors(footer) ? geometry_sectors(footer) * 512
                                                 : align_down(load_be64(footer + 48), 512);
    return *size <= INT64_MAX / 2 ||
           error_fail(error, KASO_ERROR_INVALID, "The disk size %" G_GUINT64_FORMAT " is too large",
                      *size);
}

static bool vpc_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vpc *vpc = node->state;
    uint8_t footer[FOOTER_SIZE];
    uint32_t type;

    if (!read_footer(node, footer, error) || !vpc_choose_size(options, footer, &vpc->size, error)) {
        return false;
    }
    memcpy(vpc->footer, footer, FOOTER_SIZE);
    coroutine_mutex_init(&vpc->lock);
    type = load_be32(footer + 60);
    if (type == TYPE_DYNAMIC) {
        return open_dynamic(node, footer, error);
    }
    return type == TYPE_FIXED || error_fail(error, KASO_ERROR_UNSUPPORTED,
                                            "VHD images of type %u are not supported", type);
}

static void vpc_close(BlockNode *node)
{
    g_free(((Vpc *)node->state)->bat);
}

static int vpc_map(BlockNode *node, uint64_t offset, MappedPiece *piece)
{
    Vpc *vpc = node->state;
    uint64_t in_block;
    uint32_t entry;

    piece->kind = PIECE_DATA;
    piece->host = offset;
    if (!vpc->bat) {
        return 0;
    }
    in_block = offset % vpc->block_size;
    entry = vpc->bat[offset / vpc->block_size];
    piece->count = MIN(piece->count, vpc->block_size - in_block);
    piece->kind = entry == UINT32_MAX ? PIECE_BACKING : PIECE_DATA;
    piece->host = entry * 512ull + vpc->bitmap_size + in_block;
    if (piece->kind == PIECE_DATA) { /* blocks are there in full: the footer is behind them */
        uint64_t left = vpc->block_size - in_block - 1;

        node_missing(node, MIN(offset + left, vpc->size - 1), node->file->node, piece->host + left);
    }
    return 0;
}

static int vpc_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, vpc_map, NULL);
}

/* A block with its bitmap, all of it in use, and the footer behind it; then the table's entry. */
static int vpc_allocate(BlockNode *node, uint64_t offset)
{
    Vpc *vpc = node->state;
    BlockNode *file = node->file->node;
    uint64_t index = offset / vpc->block_size, host = vpc->next;
    uint64_t end = host + vpc->bitmap_size + vpc->block_size;
    g_autofree uint8_t *bitmap = g_try_malloc(vpc->bitmap_size);
    uint8_t entry[4];
    int result;

    if (!bitmap) {
        return -ENOMEM;
    }
    if (host / 512 >= UINT32_MAX) {
        return -EFBIG;
    }
    memset(bitmap, 0xff, vpc->bitmap_size);
    result = node_write_zeroes(file, host + vpc->bitmap_size, vpc->block_size, 0);
    if (result == 0) {
        result = node_pwrite(file, end, vpc->footer, FOOTER_SIZE, 0);
    }
    if (result == 0) {
        result = node_pwrite(file, host, bitmap, vpc->bitmap_size, 0);
    }
    if (result == 0) {
        store_be32(entry, (uint32_t)(host / 512));
        result = node_pwrite(file, vpc->bat_offset + index * 4, entry, sizeof entry, 0);
    }
    if (result == 0) {
        vpc->bat[index] = (uint32_t)(host / 512);
        vpc->next = end;
    }
    return result;
}

static int vpc_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                     unsigned flags)
{
    Vpc *vpc = node->state;

    return mapped_write(node, offset, bytes, vector, flags, vpc_map, vpc_allocate, &vpc->lock);
}

/* Creating. */

typedef struct {
    uint64_t sectors;
    uint32_t cylinders, heads, per_track;
} Geometry;

/* The CHS geometry for a number of sectors, as the VHD specification's appendix computes it. */
static Geometry geometry_for(uint64_t sectors)
{
    Geometry g = { .heads = 16, .per_track = 255 };
    uint32_t tracks, count = (uint32_t)MIN(sectors, CHS_SECTORS_MAX);

    if (count >= 65535 * 16 * 63) {
        tracks = count / g.per_track;
    } else {
        g.per_track = 17;
        tracks = count / g.per_track;
        g.heads = MAX((tracks + 1023) / 1024, 4);
        if (tracks >= g.heads * 1024 || g.heads > 16) {
            g.per_track = 31;
            g.heads = 16;
            tracks = count / g.per_track;
        }
        if (tracks >= g.heads * 1024) {
            g.per_track = 63;
            g.heads = 16;
            tracks = count / g.per_track;
        }
    }
    g.cylinders = tracks / g.heads;
    g.sectors = (uint64_t)g.cylinders * g.heads * g.per_track;
    return g;
}

static void store_checksum(uint8_t *data, size_t size, size_t at)
{
    uint32_t sum = 0;

    store_be32(data + at, 0);
    for (size_t i = 0; i < size; i++) {
        sum += data[i];
    }
    store_be32(data + at, ~sum);
}

static void make_footer(uint8_t *footer, uint64_t size, const Geometry *g, bool fixed, bool by_size)
{
    enum { SECONDS_TO_2000 = 946684800 };

    memset(footer, 0, FOOTER_SIZE);
    memcpy(footer, "conectix", 8);
    store_be32(footer + 8, 2);           /* reserved feature bit, always set */
    store_be32(footer + 12, 0x00010000); /* version */
    store_be64(footer + 16, fixed ? UINT64_MAX : FOOTER_SIZE);
    store_be32(footer + 24, (uint32_t)(g_get_real_time() / G_USEC_PER_SEC - SECONDS_TO_2000));
    /* Programs tell by the creator whether the size or the geometry counts. */
    memcpy(footer + 28, by_size ? "qem2" : "qemu", 4);
    store_be32(footer + 32, 0x00050003);
    memcpy(footer + 36, "Wi2k", 4);
    store_be64(footer + 40, size);
    store_be64(footer + 48, size);
    store_be16(footer + 56, (uint16_t)g->cylinders);
    footer[58] = (uint8_t)g->heads;
    footer[59] = (uint8_t)g->per_track;
    store_be32(footer + 60, fixed ? TYPE_FIXED : TYPE_DYNAMIC);
    mapped_random_uuid(footer + 68);
    store_checksum(footer, FOOTER_SIZE, 64);
}

static int write_new_dynamic(BlockNode *file, const uint8_t *footer, uint64_t size)
{
    uint64_t block_size = MIB(2), entries = (size + block_size - 1) / block_size;
    uint64_t bat = FOOTER_SIZE + DYNAMIC_SIZE, end = bat + align_up(entries * 4, 512);
    g_autofree uint8_t *data = g_try_malloc0(end + FOOTER_SIZE);
    uint8_t *header;

    if (!data) {
        return -ENOMEM;
    }
    header = data + FOOTER_SIZE;
    memcpy(data, footer, FOOTER_SIZE);
    memcpy(header, "cxsparse", 8);
    store_be64(header + 8, UINT64_MAX);
    store_be64(header + 16, bat);
    store_be32(header + 24, 0x00010000);
    store_be32(header + 28, (uint32_t)entries);
    store_be32(header + 32, (uint32_t)block_size);
    store_checksum(header, DYNAMIC_SIZE, 36);
    memset(data + bat, 0xff, end - bat);
    memcpy(data + end, footer, FOOTER_SIZE);
    return node_pwrite(file, 0, data, end + FOOTER_SIZE, 0);
}

static bool take_create_options(GHashTable *options, uint64_t *size, bool *fixed, bool *by_size,
                                GError **error)
{
    static const char *const subformats[] = { "dynamic", "fixed", NULL };
    int subformat = 0;

    if (!options_take_size(options, "size", size, error) ||
        !options_take_enum(options, "subformat", subformats, &subformat, error) ||
        !options_take_bool(options, "force_size", by_size, error)) {
        return false;
    }
    *fixed = subformat == 1;
    *size = align_up(*size, 512);
    if (*size / 512 > UINT64_C(0xff000000)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The size %" G_GUINT64_FORMAT " is more than a VHD can have (2040 GiB)",
                          *size);
    }
    return true;
}

static bool vpc_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    uint64_t size = 0;
    bool fixed, by_size = false;
    uint8_t footer[FOOTER_SIZE];
    Geometry g;
    BlockNode *file;
    int result;

    if (!take_create_options(options, &size, &fixed, &by_size, error)) {
        return false;
    }
    g = geometry_for(size / 512);
    by_size = by_size || size / 512 > CHS_SECTORS_MAX;
    if (!by_size && g.sectors != size / 512 && g_str_has_prefix(filename, "format-target:")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The requested image size cannot be represented in CHS geometry");
    }
    /* Where the geometry counts, the disk is the next one that has a geometry. */
    for (uint64_t more = 1; !by_size && g.sectors < size / 512; more++) {
        g = geometry_for(size / 512 + more);
    }
    size = by_size ? size : g.sectors * 512;
    make_footer(footer, size, &g, fixed, by_size);
    file = mapped_create_file(graph, filename, options, error);
    if (!file) {
        return false;
    }
    result = fixed ? node_pwrite(file, size, footer, FOOTER_SIZE, 0)
                   : write_new_dynamic(file, footer, size);
    node_unref(file);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", filename);
}

static int vpc_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                      uint64_t *map, BlockNode **file)
{
    return mapped_status(node, offset, bytes, count, map, file, vpc_map);
}

static int64_t vpc_length(BlockNode *node)
{
    return (int64_t)((Vpc *)node->state)->size;
}

static int vpc_info(BlockNode *node, BlockNodeInfo *info)
{
    info->cluster_size = ((Vpc *)node->state)->block_size;
    info->unallocated_reads_zero = true;
    return 0;
}

static const BlockOption vpc_create_options[] = {
    { "size", "Virtual disk size" },
    { "subformat",
      "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed}" },
    { "force_size", "Force disk size calculation to use the actual size specified" },
    MAPPED_FILE_OPTIONS,
    { 0 },
};

static const BlockOption vpc_options[] = {
    { "force_size_calc",
      "chs or current_size: the field of the footer that says how large the disk is" },
    { 0 },
};

static const BlockDriver vpc_driver = {
    .name = "vpc",
    .options = vpc_options,
    .summary = "Virtual PC and Hyper-V VHD",
    .instance_size = sizeof(Vpc),
    .probe = vpc_probe,
    .open = vpc_open,
    .close = vpc_close,
    .create_options = vpc_create_options,
    .create = vpc_create,
    .read = vpc_read,
    .write = vpc_write,
    .status = vpc_status,
    .length = vpc_length,
    .info = vpc_info,
};
BLOCK_DRIVER(vpc_driver);
