/* SPDX-License-Identifier: MIT */
/*
 * Virtual PC / Hyper-V VHD, fixed and dynamic: read only. Differencing disks are refused. The size
 * is that of the geometry for images of programs that count so.
 */
#include "block/mapped.h"

enum { FOOTER_SIZE = 512, DYNAMIC_SIZE = 1024, TYPE_FIXED = 2, TYPE_DYNAMIC = 3,
       BAT_MAX = 32 * 1024 * 1024, CHS_SECTORS_MAX = 65535 * 16 * 255 };

typedef struct {
    uint64_t size, block_size, bitmap_size;
    uint32_t *bat;
    uint64_t entries;
} Vpc;

static int vpc_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= FOOTER_SIZE && !memcmp(buffer, "conectix", 8) ? 100 : 0;
}

static bool size_by_geometry(const uint8_t *footer)
{
    static const char *const by_size[] = { "win ", "d2v ", "qem2", "tap", "pvs", "wa" };
    const char *creator = (const char *)footer + 28;
    uint64_t sectors = (uint64_t)load_be16(footer + 56) * footer[58] * footer[59];

    for (unsigned i = 0; i < ARRAY_SIZE(by_size); i++) {
        if (!strncmp(creator, by_size[i], strlen(by_size[i]))) {
            return false;
        }
    }
    return sectors && sectors != CHS_SECTORS_MAX;
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
    if (!is_power_of_two(vpc->block_size) || vpc->block_size < 512 ||
        vpc->block_size > GIB(1)) {
        return error_fail(error, KASO_ERROR_INVALID, "Invalid block size %" G_GUINT64_FORMAT,
                          vpc->block_size);
    }
    if (vpc->entries < (vpc->size + vpc->block_size - 1) / vpc->block_size) {
        return error_fail(error, KASO_ERROR_INVALID, "Page Allocation Table too small");
    }
    vpc->bitmap_size = align_up(vpc->block_size / 512 / 8, 512);
    vpc->bat = mapped_load_table(node->file->node, load_be64(header + 16), vpc->entries, 4, true,
                                 BAT_MAX, "the block allocation table", error);
    return vpc->bat != NULL;
}

static bool vpc_open(BlockNode *node, GHashTable *options, GError **error)
{
    Vpc *vpc = node->state;
    uint8_t footer[FOOTER_SIZE];
    uint32_t type;

    if (!read_footer(node, footer, error) || !mapped_read_only(node, error)) {
        return false;
    }
    type = load_be32(footer + 60);
    vpc->size = size_by_geometry(footer)
                    ? (uint64_t)load_be16(footer + 56) * footer[58] * footer[59] * 512
                    : align_down(load_be64(footer + 48), 512);
    if (vpc->size > INT64_MAX / 2) {
        return error_fail(error, KASO_ERROR_INVALID, "The disk size %" G_GUINT64_FORMAT
                          " is too large", vpc->size);
    }
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
    return 0;
}

static int vpc_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return mapped_read(node, offset, bytes, vector, vpc_map, NULL);
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
    return 0;
}

static const BlockDriver vpc_driver = {
    .name = "vpc",
    .summary = "Virtual PC and Hyper-V VHD, read only",
    .instance_size = sizeof(Vpc),
    .probe = vpc_probe,
    .open = vpc_open,
    .close = vpc_close,
    .read = vpc_read,
    .status = vpc_status,
    .length = vpc_length,
    .info = vpc_info,
};
BLOCK_DRIVER(vpc_driver);
