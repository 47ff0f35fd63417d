/* SPDX-License-Identifier: MIT */
/*
 * Filter that keeps the content of the moment when it was opened: before a piece is written for the first
 * time, what it holds goes to the target. snapshot-access reads that content, of the target where a piece has
 * been copied, else of the image itself. The lock is held while a piece is copied, or read in the image.
 */
#include "block/filters/copy-before-write.h"

#include "base/bits.h"
#include "base/error.h"
#include "block/graph/bitmap.h"

#include <errno.h>
#include <string.h>

enum { CLUSTER_MIN = 64 * 1024, CLUSTER_MAX = 64 * 1024 * 1024 };
enum { BREAK_GUEST_WRITE, BREAK_SNAPSHOT };

enum { WATCH_NS = 50 * 1000 * 1000 };

/* A guest's write that waits for its copy. */
typedef struct {
    int64_t end_us;
    unsigned late; /* the flag of its hurry */
    GList link;
} Copying;

typedef struct {
    BlockNode *target;
    uint64_t cluster_size;
    uint8_t *copied, *wanted; /* a bit per cluster; wanted NULL: all */
    int on_error;
    int failure; /* of a snapshot that is broken: negative errno */
    CoroutineMutex lock;
    uint64_t timeout_s; /* 0: none */
    GQueue waiting;     /* Copying, oldest first, where there is a timeout */
    bool watched;
    CoroutineQueue unwatched;
    BlockNode *node;
} CopyBeforeWrite;

static bool get_bit(const uint8_t *bits, uint64_t index)
{
    return bits[index / 8] >> (index % 8) & 1;
}

static void set_bit(uint8_t *bits, uint64_t index)
{
    bits[index / 8] |= (uint8_t)(1u << (index % 8));
}

/* The pieces that a bitmap names at this moment. */
static bool take_bitmap(BlockNode *node, GHashTable *options, size_t bytes, GError **error)
{
    CopyBeforeWrite *copy = node->state;
    g_autofree char *owner = options_take(options, "bitmap.node");
    g_autofree char *name = options_take(options, "bitmap.name");
    BlockNode *holder;
    DirtyBitmap *bitmap;

    if (!name) {
        return true;
    }
    holder = owner ? block_find_node(node->graph, owner, error) : node->file->node;
    bitmap = holder ? dirty_bitmap_find(holder, name) : NULL;
    if (!bitmap) {
        return holder &&
               error_fail(error, KASO_ERROR_GENERIC, "Dirty bitmap '%s' not found in node '%s'",
                          name, holder->node_name);
    }
    copy->wanted = g_malloc0(bytes);
    for (uint64_t at = 0; (at = dirty_bitmap_next(bitmap, at)) < node_size(node->file->node);
         at = align_up(at + 1, MIN(copy->cluster_size, bitmap->granularity))) {
        set_bit(copy->wanted, at / copy->cluster_size);
    }
    return true;
}

static bool copy_before_write_open(BlockNode *node, GHashTable *options, GError **error)
{
    static const char *const policies[] = { "break-guest-write", "break-snapshot", NULL };
    CopyBeforeWrite *copy = node->state;
    uint64_t size = node_size(node->file->node), least = 0;
    BlockNodeInfo info = { 0 };
    BlockChild *target;
    size_t bytes;

    if (!options_take_enum(options, "on-cbw-error", policies, &copy->on_error, error) ||
        !options_take_number(options, "cbw-timeout", &copy->timeout_s, error) ||
        !options_take_size(options, "min-cluster-size", &least, error)) {
        return false;
    }
    if (copy->timeout_s > UINT32_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cbw-timeout=%" G_GUINT64_FORMAT ": at most %u seconds", copy->timeout_s,
                          UINT32_MAX);
    }
    if (least && (!is_power_of_two(least) || least > CLUSTER_MAX)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "min-cluster-size needs to be a power of 2, of at most %d bytes",
                          CLUSTER_MAX);
    }
    target = node_open_child(node, "target", BLOCK_ROLE_DATA, NULL, options, node->flags, error);
    if (!target) {
        return false;
    }
    copy->target = target->node;
    if (node_size(copy->target) < size) {
        return error_fail(error, KASO_ERROR_INVALID, "The target '%s' is smaller than '%s'",
                          copy->target->node_name, node->file->node->node_name);
    }
    if (copy->target->driver->info) {
        copy->target->driver->info(copy->target, &info);
    }
    copy->cluster_size = MAX(MAX(CLUSTER_MIN, info.cluster_size), least);
    bytes = size / copy->cluster_size / 8 + 1;
    copy->copied = g_malloc0(bytes);
    coroutine_mutex_init(&copy->lock);
    coroutine_queue_init(&copy->unwatched);
    g_queue_init(&copy->waiting);
    copy->node = node;
    if (!take_bitmap(node, options, bytes, error)) {
        g_free(copy->copied);
        return false;
    }
    return true;
}

static void copy_before_write_close(BlockNode *node)
{
    CopyBeforeWrite *copy = node->state;

    while (copy->watched) {
        coroutine_queue_wait(&copy->unwatched);
    }
    g_free(copy->copied);
    g_free(copy->wanted);
}

/* All who write must come through here; the target is for us to write and for anybody to read. */
static void copy_before_write_child_perm(BlockNode *node, BlockChild *child, unsigned perm,
                                         unsigned shared, unsigned *child_perm,
                                         unsigned *child_shared)
{
    if (child->role & BLOCK_ROLE_FILTERED) {
        *child_perm = perm | (perm & BLOCK_PERM_WRITE ? BLOCK_PERM_CONSISTENT_READ : 0);
        *child_shared = shared & ~(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
    } else {
        *child_perm = perm & BLOCK_PERM_WRITE;
        *child_shared = BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE;
    }
}

static int copy_cluster(BlockNode *node, uint64_t index, uint8_t *buffer)
{
    CopyBeforeWrite *copy = node->state;
    uint64_t start = index * copy->cluster_size;
    uint64_t n = MIN(copy->cluster_size, node_size(node->file->node) - start);
    int result = node_pread(node->file->node, start, buffer, n);

    if (result == 0) {
        result = buffer_is_zero(buffer, n) ? node_write_zeroes(copy->target, start, n, 0)
                                           : node_pwrite(copy->target, start, buffer, n, 0);
    }
    if (result == 0) {
        set_bit(copy->copied, index);
    }
    return result;
}

/*
 * Runs while writes wait: those whose time is over come into a hurry, in which they pass limits and leave a server
 * that does not answer.
 */
static void watch_entry(void *opaque)
{
    CopyBeforeWrite *copy = opaque;

    while (copy->waiting.head) {
        int64_t now_us = g_get_monotonic_time();

        for (GList *link = copy->waiting.head; link; link = link->next) {
            Copying *copying = link->data;

            if (!copying->late && copying->end_us <= now_us) {
                __atomic_store_n(&copying->late, 1, __ATOMIC_RELAXED);
                block_graph_hurry(copy->node->graph);
            }
        }
        coroutine_sleep_ns(WATCH_NS);
    }
    copy->watched = false;
    coroutine_queue_wake_all(&copy->unwatched);
}

/* Copies what a write of that range is about to change. late: looked at before each piece. */
static int copy_pieces(BlockNode *node, uint64_t offset, uint64_t bytes, const unsigned *late)
{
    CopyBeforeWrite *copy = node->state;
    uint64_t last = bytes ? (offset + bytes - 1) / copy->cluster_size : 0;
    g_autofree uint8_t *buffer = NULL;
    int result = 0;

    coroutine_mutex_lock(&copy->lock);
    for (uint64_t i = offset / copy->cluster_size; bytes && i <= last && result == 0; i++) {
        if (copy->failure || get_bit(copy->copied, i) ||
            (copy->wanted && !get_bit(copy->wanted, i))) {
            continue;
        }
        if (__atomic_load_n(late, __ATOMIC_RELAXED)) {
            result = -ETIMEDOUT;
            break;
        }
        buffer = buffer ? buffer : g_try_malloc(copy->cluster_size);
        result = buffer ? copy_cluster(node, i, buffer) : -ENOMEM;
        if (__atomic_load_n(late, __ATOMIC_RELAXED)) {
            result = -ETIMEDOUT; /* of what was in a hurry, too */
        }
    }
    if (result < 0 && copy->on_error == BREAK_SNAPSHOT) {
        copy->failure = result;
        result = 0;
    }
    coroutine_mutex_unlock(&copy->lock);
    return result;
}

static int copy_range(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    CopyBeforeWrite *copy = node->state;
    Copying copying = { .end_us = g_get_monotonic_time() + (int64_t)copy->timeout_s * 1000000 };
    CoroutineHurry hurry;
    int result;

    if (!copy->timeout_s) {
        return copy_pieces(node, offset, bytes, &copying.late);
    }
    copying.link.data = &copying;
    g_queue_push_tail_link(&copy->waiting, &copying.link);
    coroutine_hurry_begin(&hurry, &copying.late, HURRY_LEAVE);
    if (!copy->watched) {
        copy->watched = true;
        async_start(block_graph_context(node->graph), watch_entry, copy);
    }
    result = copy_pieces(node, offset, bytes, &copying.late);
    coroutine_hurry_end(&hurry);
    g_queue_unlink(&copy->waiting, &copying.link);
    return result;
}

static int copy_before_write_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return node_read(node->file->node, offset, bytes, vector);
}

static int copy_before_write_write(BlockNode *node, uint64_t offset, uint64_t bytes,
                                   IoVector vector, unsigned flags)
{
    int result = flags & BLOCK_WRITE_UNCHANGED ? 0 : copy_range(node, offset, bytes);

    return result < 0 ? result : node_write(node->file->node, offset, bytes, vector, flags);
}

static int copy_before_write_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                          unsigned flags)
{
    int result = flags & BLOCK_WRITE_UNCHANGED ? 0 : copy_range(node, offset, bytes);

    return result < 0 ? result : node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int copy_before_write_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int result = copy_range(node, offset, bytes);

    return result < 0 ? result : node_discard(node->file->node, offset, bytes);
}

int copy_before_write_read_old(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    CopyBeforeWrite *copy = node->state;
    int result = 0;

    coroutine_mutex_lock(&copy->lock);
    while (bytes && result == 0) {
        uint64_t index = offset / copy->cluster_size;
        uint64_t n = MIN(bytes, copy->cluster_size - offset % copy->cluster_size);
        bool copied = get_bit(copy->copied, index);

        if (copy->failure || (copy->wanted && !get_bit(copy->wanted, index))) {
            result = -EACCES;
            break;
        }
        result = node_read(copied ? copy->target : node->file->node, offset, n, vector);
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    coroutine_mutex_unlock(&copy->lock);
    return result;
}

static const BlockOption copy_before_write_options[] = {
    { "target", "node that takes the old content" },
    { "bitmap", "bitmap.node, bitmap.name: only what is dirty there now is kept" },
    { "on-cbw-error", "a copy fails: break-guest-write (its write fails) or break-snapshot "
                      "(reading the old content does)" },
    { "cbw-timeout", "seconds after which a copy that has not ended has failed; 0: none" },
    { "min-cluster-size", "at least so much is copied at once" },
    { 0 },
};

static const BlockDriver copy_before_write_driver = {
    .name = "copy-before-write",
    .summary = "Filter that copies what is about to be overwritten to another node",
    .options = copy_before_write_options,
    .instance_size = sizeof(CopyBeforeWrite),
    .is_filter = true,
    .open = copy_before_write_open,
    .close = copy_before_write_close,
    .child_perm = copy_before_write_child_perm,
    .read = copy_before_write_read,
    .write = copy_before_write_write,
    .write_zeroes = copy_before_write_write_zeroes,
    .discard = copy_before_write_discard,
};
BLOCK_DRIVER(copy_before_write_driver);

bool copy_before_write_is(const BlockNode *node)
{
    return node->driver == &copy_before_write_driver;
}
