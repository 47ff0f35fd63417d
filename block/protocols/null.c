/* SPDX-License-Identifier: MIT */
/* A disk that forgets what is written and, with read-zeroes=on, reads as zeroes. */
#include "base/bits.h"
#include "block/graph/node.h"

#include <string.h>

typedef struct {
    uint64_t size, latency_ns;
    bool read_zeroes;
} NullNode;

static bool null_open(BlockNode *node, GHashTable *options, GError **error)
{
    NullNode *null = node->state;

    null->size = GIB(1);
    g_free(options_take(options, "filename"));
    node->supports_fua = true;
    return options_take_size(options, "size", &null->size, error) &&
           options_take_number(options, "latency-ns", &null->latency_ns, error) &&
           options_take_bool(options, "read-zeroes", &null->read_zeroes, error);
}

static void null_wait(NullNode *null)
{
    if (null->latency_ns) {
        coroutine_linger_ns(null->latency_ns);
    }
}

static int null_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    NullNode *null = node->state;

    if (null->read_zeroes) {
        io_vector_zero(vector, bytes);
    }
    null_wait(null);
    return 0;
}

static int null_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    null_wait(node->state);
    return 0;
}

static int null_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    null_wait(node->state);
    return 0;
}

static int null_flush(BlockNode *node)
{
    null_wait(node->state);
    return 0;
}

static int64_t null_length(BlockNode *node)
{
    return (int64_t)((NullNode *)node->state)->size;
}

static int64_t null_allocated_size(BlockNode *node)
{
    return 0;
}

static int null_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                       uint64_t *map, BlockNode **file)
{
    NullNode *null = node->state;

    *count = bytes;
    *map = offset;
    *file = node;
    return BLOCK_STATUS_OFFSET_VALID | BLOCK_STATUS_ALLOCATED |
           (null->read_zeroes ? BLOCK_STATUS_ZERO : BLOCK_STATUS_DATA);
}

static const BlockOption null_options[] = {
    { "size", "size of the disk (1 GiB)" },
    { "latency-ns", "time that each request takes" },
    { "read-zeroes", "reads give zeroes, otherwise the buffer stays as it is" },
    { 0 },
};

static bool null_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    return true;
}

static const char *const null_co_prefixes[] = { "null-co://", NULL };
static const char *const null_aio_prefixes[] = { "null-aio://", NULL };

#define NULL_CALLBACKS                                                                             \
    .options = null_options, .instance_size = sizeof(NullNode), .is_protocol = true,               \
    .parse_filename = null_parse_filename, .open = null_open, .read = null_read,                   \
    .write = null_write, .write_zeroes = null_write_zeroes, .flush = null_flush,                   \
    .length = null_length, .allocated_size = null_allocated_size, .status = null_status

static const BlockDriver null_co_driver = {
    .name = "null-co",
    .summary = "Disk that forgets",
    .prefixes = null_co_prefixes,
    NULL_CALLBACKS,
};
BLOCK_DRIVER(null_co_driver);

static const BlockDriver null_aio_driver = {
    .name = "null-aio",
    .summary = "Disk that forgets (same as null-co)",
    .prefixes = null_aio_prefixes,
    NULL_CALLBACKS,
};
BLOCK_DRIVER(null_aio_driver);
