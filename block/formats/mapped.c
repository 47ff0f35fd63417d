/* SPDX-License-Identifier: MIT */
/* Reading for formats that only say where each piece of the disk is. */
#include "block/formats/mapped.h"

/* The last block of the file need not be there in full: it counts where it starts. */
static void note_missing(BlockNode *node, uint64_t offset, const MappedPiece *piece)
{
    BlockNodeInfo info = { 0 };
    uint64_t last = offset + piece->count - 1, start;

    if (piece->kind != PIECE_DATA || piece->host + piece->count <= piece->file->size) {
        return;
    }
    if (node->driver->info) {
        node->driver->info(node, &info);
    }
    start = last - last % MAX(info.cluster_size, 512);
    if (piece->host + start >= offset) {
        node_missing(node, MAX(start, offset), piece->file, piece->host + start - offset);
    }
}

static int locate(BlockNode *node, uint64_t offset, MappedPiece *piece, MapFunction *map)
{
    int result;

    piece->file = node->file ? node->file->node : NULL;
    result = map(node, offset, piece);
    if (result == 0) {
        note_missing(node, offset, piece);
    }
    return result;
}

bool mapped_is_cut_off(BlockNode *node, MapFunction *map)
{
    uint64_t size = node_length(node), count;

    for (uint64_t offset = 0; offset < size && !node->end_checked; offset += count) {
        MappedPiece piece = { .count = size - offset };

        if (locate(node, offset, &piece, map) < 0 || node->cut_off) {
            break;
        }
        count = piece.count;
    }
    node->end_checked = true;
    return node->cut_off;
}

int mapped_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, MapFunction *map,
                InflateFunction *inflate)
{
    int result = 0;

    while (bytes && result == 0) {
        MappedPiece piece = { .count = bytes };

        result = locate(node, offset, &piece, map);
        if (result < 0) {
            return result;
        }
        g_assert(piece.count > 0 && piece.count <= bytes);
        switch (piece.kind) {
        case PIECE_BACKING:
            if (node->backing) {
                result = node_read(node->backing->node, offset, piece.count, vector);
                break;
            }
            io_vector_zero(vector, piece.count);
            break;
        case PIECE_ZERO:
            io_vector_zero(vector, piece.count);
            break;
        case PIECE_DATA:
            result = node_read(piece.file, piece.host, piece.count, vector);
            break;
        default:
            result = inflate(node, offset, &piece, vector);
            break;
        }
        offset += piece.count;
        bytes -= piece.count;
        vector = io_vector_skip(vector, piece.count);
    }
    return result;
}

int mapped_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map,
                  BlockNode **file, MapFunction *function)
{
    MappedPiece piece = { .count = bytes };
    int result = locate(node, offset, &piece, function);

    if (result < 0) {
        return result;
    }
    *count = piece.count;
    switch (piece.kind) {
    case PIECE_BACKING:
        return node->driver->has_backing ? 0 : BLOCK_STATUS_ZERO;
    case PIECE_ZERO:
        return BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED;
    case PIECE_DATA:
        *map = piece.host;
        *file = piece.file;
        return BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET_VALID;
    default:
        return BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_COMPRESSED;
    }
}

void *mapped_load_table(BlockNode *file, uint64_t offset, uint64_t entries, unsigned entry_size,
                        bool big_endian, uint64_t max_bytes, const char *name, GError **error)
{
    uint8_t *table;
    int result;

    if (entries > max_bytes / entry_size || offset > INT64_MAX - max_bytes) {
        error_fail(error, KASO_ERROR_INVALID,
                   "%s is too large or at an impossible place (%" G_GUINT64_FORMAT
                   " entries at %" G_GUINT64_FORMAT ")",
                   name, entries, offset);
        return NULL;
    }
    /* What is not in the file must not cost memory, and must not be taken for an empty table. */
    if (node_bytes_left(file, offset, entries * entry_size) < entries * entry_size) {
        error_fail(error, KASO_ERROR_INVALID,
                   "%s (%" G_GUINT64_FORMAT " entries at %" G_GUINT64_FORMAT
                   ") goes beyond the end of the file",
                   name, entries, offset);
        return NULL;
    }
    table = g_try_malloc(MAX(entries * entry_size, 1));
    result = table ? node_pread(file, offset, table, entries * entry_size) : -ENOMEM;
    if (result < 0) {
        g_free(table);
        error_fail_errno(error, -result, "Could not read %s", name);
        return NULL;
    }
    for (uint64_t i = 0; big_endian && i < entries; i++) {
        if (entry_size == 4) {
            ((uint32_t *)table)[i] = load_be32(table + i * 4);
        } else {
            ((uint64_t *)table)[i] = load_be64(table + i * 8);
        }
    }
    return table;
}

bool mapped_read_only(BlockNode *node, GError **error)
{
    if (node->read_only) {
        return true;
    }
    if (node->flags.auto_read_only) {
        node->read_only = true;
        return true;
    }
    return error_fail(
        error, KASO_ERROR_UNSUPPORTED,
        "Images of format '%s' can only be read: use read-only=on, or convert the image",
        node->driver->name);
}

/* Checking. */

typedef struct {
    const BlockNode *file;
    uint64_t start, end; /* in it */
} Extent;

static int compare_extents(gconstpointer a, gconstpointer b)
{
    const Extent *x = a, *y = b;

    return x->file != y->file     ? (x->file > y->file) - (x->file < y->file)
           : x->start != y->start ? (x->start > y->start) - (x->start < y->start)
                                  : 0;
}

static void complain(BlockCheck *check, const char *what, uint64_t where)
{
    g_autofree char *text = NULL;

    check->corruptions++;
    if (check->message) {
        text = g_strdup_printf("ERROR: data at %#" G_GINT64_MODIFIER "x %s", where, what);
        check->message(check->opaque, text);
    }
}

static int check_compressed(BlockNode *node, BlockCheck *check, uint64_t offset,
                            const MappedPiece *piece, InflateFunction *inflate)
{
    g_autofree uint8_t *plain = g_try_malloc(piece->count);
    struct iovec iov = { plain, piece->count };
    int result = plain ? inflate(node, offset, piece, io_vector_of(&iov)) : -ENOMEM;

    if (result == -EIO) {
        complain(check, "cannot be unpacked", piece->host);
        result = 0;
    }
    return result;
}

int mapped_check(BlockNode *node, BlockCheck *check, MapFunction *map, InflateFunction *inflate)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(Extent));
    uint64_t size = node_length(node), count;

    for (uint64_t offset = 0; offset < size; offset += count) {
        MappedPiece piece = { .count = size - offset, .file = node->file->node };
        Extent extent;
        int result = map(node, offset, &piece);

        if (result < 0 || !piece.count) {
            return result < 0 ? result : -EIO;
        }
        count = piece.count;
        extent = (Extent){ piece.file, piece.host, piece.host + count };
        if (piece.kind == PIECE_DATA) {
            g_array_append_val(extents, extent);
            if (extent.end > align_up(node_length(piece.file), 512)) {
                complain(check, "lies behind the end of the file", extent.start);
            }
        } else if (piece.kind == PIECE_COMPRESSED) {
            result = check_compressed(node, check, offset, &piece, inflate);
            if (result < 0) {
                return result;
            }
        }
    }
    if (node->cut_off && !check->corruptions) {
        complain(check, "would be next, but a table lies behind the end of the file",
                 node_length(node->file->node));
    }
    g_array_sort(extents, compare_extents);
    for (guint i = 1; i < extents->len; i++) {
        const Extent *before = &g_array_index(extents, Extent, i - 1);
        const Extent *extent = &g_array_index(extents, Extent, i);

        if (before->file == extent->file && before->end > extent->start) {
            complain(check, "belongs to two places of the disk", extent->start);
        }
    }
    return 0;
}
