/* SPDX-License-Identifier: MIT */
/*
 * Images without a format, whole or the part that offset= and size= name. When the format was
 * guessed, a guest may not write a first sector that would make the guess different next time.
 */
#include "base/bits.h"
#include "base/error.h"
#include "block/graph/debug-event.h"

#include <errno.h>
#include <string.h>

typedef struct {
    uint64_t offset, size;
    bool has_size;
    bool warned;
} RawNode;

static bool raw_open(BlockNode *node, GHashTable *options, GError **error)
{
    RawNode *raw = node->state;
    uint64_t below = node_size(node->file->node);

    raw->has_size = options_get(options, "size") != NULL;
    if (!options_take_size(options, "offset", &raw->offset, error) ||
        !options_take_size(options, "size", &raw->size, error)) {
        return false;
    }
    if (raw->offset > node_length(node->file->node) ||
        (raw->has_size && raw->size > below - raw->offset)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The sum of offset (%" G_GUINT64_FORMAT ") and size (%" G_GUINT64_FORMAT
                          ") has to be smaller or equal to the actual size of the containing file "
                          "(%" G_GUINT64_FORMAT ")",
                          raw->offset, raw->size, below);
    }
    if (raw->has_size && raw->size % 512) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Specified size is not multiple of 512 (%" G_GUINT64_FORMAT ")",
                          raw->size);
    }
    if (raw->offset % node->file->node->request_alignment == 0) {
        node->request_alignment = node->file->node->request_alignment;
    }
    node->supports_fua = true;
    return true;
}

static int raw_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    RawNode *raw = node->state;

    node_debug_event(node->file->node, EVENT_READ_AIO);
    return node_read(node->file->node, offset + raw->offset, bytes, vector);
}

/* Whether a write of the guessed image's first sector would make it look like another format. */
static bool raw_write_is_dangerous(BlockNode *node, uint64_t offset, uint64_t bytes,
                                   IoVector vector)
{
    uint8_t sector[512];

    if (!node->probed || offset >= sizeof sector) {
        return false;
    }
    if (node_pread(node, 0, sector, sizeof sector) < 0) {
        return true;
    }
    io_vector_to_buffer(vector, sector + offset, MIN(bytes, sizeof sector - offset));
    return block_probe(sector, sizeof sector, NULL) != node->driver;
}

static int raw_check_range(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    RawNode *raw = node->state;

    return raw->has_size && (offset > raw->size || bytes > raw->size - offset) ? -ENOSPC : 0;
}

static int raw_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                     unsigned flags)
{
    RawNode *raw = node->state;
    int result = raw_check_range(node, offset, bytes);

    if (result < 0) {
        return result;
    }
    if (raw_write_is_dangerous(node, offset, bytes, vector)) {
        if (!raw->warned) {
            g_printerr("kaso: image format was not specified for '%s' and was guessed to be raw. A "
                       "write that would make it look like another format is refused. Specify "
                       "format=raw to allow it.\n",
                       node->filename);
            raw->warned = true;
        }
        return -EPERM;
    }
    node_debug_event(node->file->node, EVENT_WRITE_AIO);
    return node_write(node->file->node, offset + raw->offset, bytes, vector, flags);
}

static int raw_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    RawNode *raw = node->state;
    int result = raw_check_range(node, offset, bytes);

    return result < 0 ? result
                      : node_write_zeroes(node->file->node, offset + raw->offset, bytes, flags);
}

static int raw_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    RawNode *raw = node->state;
    int result = raw_check_range(node, offset, bytes);

    return result < 0 ? result : node_discard(node->file->node, offset + raw->offset, bytes);
}

static int64_t raw_length(BlockNode *node)
{
    RawNode *raw = node->state;

    return (int64_t)(raw->has_size ? raw->size
                                   : align_up(node_length(node->file->node) - raw->offset, 512));
}

static bool raw_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    RawNode *raw = node->state;

    if (raw->has_size) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "Cannot resize fixed-size raw disks");
    }
    return node_truncate(node->file->node, size + raw->offset, prealloc, error);
}

static int raw_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                      uint64_t *map, BlockNode **file)
{
    RawNode *raw = node->state;

    *count = bytes;
    *map = offset + raw->offset;
    *file = node->file->node;
    return BLOCK_STATUS_RECURSE | BLOCK_STATUS_OFFSET_VALID | BLOCK_STATUS_ALLOCATED;
}

static bool raw_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    const BlockDriver *protocol = block_protocol_for(filename, error);

    if (!protocol) {
        return false;
    }
    if (!protocol->create) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "The protocol driver '%s' cannot create images", protocol->name);
    }
    return protocol->create(graph, filename, options, error);
}

static bool raw_measure(BlockGraph *graph, GHashTable *options, BlockNode *source,
                        uint64_t *required, uint64_t *fully, uint64_t *bitmaps, GError **error)
{
    uint64_t size = source ? node_size(source) : 0;

    if (!source && !options_take_size(options, "size", &size, error)) {
        return false;
    }
    *required = *fully = align_up(size, 512);
    return true;
}

static const BlockOption raw_options[] = {
    { "offset", "where the disk begins in the file" },
    { "size", "size of the disk" },
    { 0 },
};

static const BlockOption raw_create_options[] = {
    { "size", "Virtual disk size" },
    { "preallocation", "Preallocation mode (allowed values: off, falloc, full)" },
    { "extent_size_hint", "How much of the file the host should allocate at once; 0: as it does" },
    { "nocow", "Turn off copy-on-write (valid only on btrfs)" },
    { 0 },
};

static const BlockDriver raw_driver = {
    .name = "raw",
    .summary = "Disk contents without a format",
    .options = raw_options,
    .create_options = raw_create_options,
    .instance_size = sizeof(RawNode),
    .open = raw_open,
    .read = raw_read,
    .write = raw_write,
    .write_zeroes = raw_write_zeroes,
    .discard = raw_discard,
    .length = raw_length,
    .truncate = raw_truncate,
    .status = raw_status,
    .create = raw_create,
    .measure = raw_measure,
};
BLOCK_DRIVER(raw_driver);
