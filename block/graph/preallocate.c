/* SPDX-License-Identifier: MIT */
/*
 * Filter that lets a growing file grow in large steps: a write behind the end makes the host allocate
 * more than it needs. Users see the file as long as it has data; what is left over is cut off when
 * the node is closed, becomes read-only or loses its writers.
 */
#include "base/bits.h"
#include "base/error.h"
#include "block/graph/node.h"

typedef struct {
    uint64_t align, size;
    uint64_t data_end; /* what users see as the end */
    uint64_t file_end; /* of the file below; zeroes from data_end on */
    CoroutineMutex growing;
} PreallocateNode;

static bool preallocate_open(BlockNode *node, GHashTable *options, GError **error)
{
    PreallocateNode *p = node->state;
    uint32_t alignment = node->file->node->request_alignment;

    p->align = 1024 * 1024;
    p->size = 128 * 1024 * 1024;
    if (!options_take_size(options, "prealloc-align", &p->align, error) ||
        !options_take_size(options, "prealloc-size", &p->size, error)) {
        return false;
    }
    if (!p->align || p->align % alignment || p->align > INT64_MAX / 4 || p->size > INT64_MAX / 4) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "prealloc-align parameter of preallocate filter is not aligned to %u, or "
                          "a size is out of range",
                          alignment);
    }
    coroutine_mutex_init(&p->growing);
    p->data_end = p->file_end = node_length(node->file->node);
    node->supports_fua = true;
    return true;
}

/* Cuts off what no write has used. */
static bool give_back(BlockNode *node, GError **error)
{
    PreallocateNode *p = node->state;

    if (p->file_end <= p->data_end || node->file->node->read_only) {
        return true;
    }
    if (!node_truncate(node->file->node, p->data_end, PREALLOC_OFF, error)) {
        return false;
    }
    p->file_end = p->data_end;
    return true;
}

static void preallocate_close(BlockNode *node)
{
    give_back(node, NULL);
}

static bool preallocate_reopen(BlockNode *node, bool read_only, GError **error)
{
    return !read_only || give_back(node, error);
}

static bool preallocate_set_perm(BlockNode *node, unsigned perm, unsigned shared, GError **error)
{
    return (perm & BLOCK_PERM_WRITE) || give_back(node, error);
}

/* Before a write up to `end`. Where the host cannot allocate ahead, the write itself will grow the file. */
static void make_room(BlockNode *node, uint64_t end)
{
    PreallocateNode *p = node->state;

    if (end > p->file_end) {
        coroutine_mutex_lock(&p->growing);
        if (end > p->file_end) {
            uint64_t wanted = align_up(end + p->size, p->align);

            p->file_end =
                node_truncate(node->file->node, wanted, PREALLOC_FALLOC, NULL) ? wanted : end;
        }
        coroutine_mutex_unlock(&p->growing);
    }
    p->data_end = MAX(p->data_end, end);
}

static int preallocate_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return node_read(node->file->node, offset, bytes, vector);
}

static int preallocate_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                             unsigned flags)
{
    make_room(node, offset + bytes);
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int preallocate_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                    unsigned flags)
{
    PreallocateNode *p = node->state;
    bool behind_data = offset >= p->data_end;

    make_room(node, offset + bytes);
    if (behind_data && offset + bytes <= node_length(node->file->node)) {
        return flags & BLOCK_FUA ? node_flush(node->file->node) : 0; /* zeroes already */
    }
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int preallocate_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return node_discard(node->file->node, offset, bytes);
}

static int64_t preallocate_length(BlockNode *node)
{
    return (int64_t)((PreallocateNode *)node->state)->data_end;
}

static bool preallocate_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    PreallocateNode *p = node->state;
    bool inside = size >= p->data_end && size <= p->file_end && prealloc != PREALLOC_FULL;

    if (!inside) {
        if (!give_back(node, error) || !node_truncate(node->file->node, size, prealloc, error)) {
            return false;
        }
        p->file_end = size;
    }
    p->data_end = size;
    return true;
}

static const BlockOption preallocate_options[] = {
    { "prealloc-align", "the file grows to multiples of this (1M)" },
    { "prealloc-size", "how much more than a write needs the file grows by (128M)" },
    { 0 },
};

static const BlockDriver preallocate_driver = {
    .name = "preallocate",
    .summary = "Filter that lets a file grow in large steps",
    .options = preallocate_options,
    .instance_size = sizeof(PreallocateNode),
    .is_filter = true,
    .grows_with_zeroes = true,
    .open = preallocate_open,
    .close = preallocate_close,
    .reopen = preallocate_reopen,
    .set_perm = preallocate_set_perm,
    .read = preallocate_read,
    .write = preallocate_write,
    .write_zeroes = preallocate_write_zeroes,
    .discard = preallocate_discard,
    .length = preallocate_length,
    .truncate = preallocate_truncate,
};
BLOCK_DRIVER(preallocate_driver);
