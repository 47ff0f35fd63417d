/* SPDX-License-Identifier: MIT */
/*
 * Requests on nodes: alignment fix-up, serialisation of overlapping requests, zeroes and discard
 * with their fallbacks, flush merging.
 */
#include "block/graph/debug-event.h"
#include "block/graph/node.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "block/graph/bitmap.h"

#include <errno.h>
#include <string.h>

enum { ZERO_BUFFER_SIZE = 1024 * 1024, SECTOR = 512 };

static void tracked_begin(BlockNode *node, TrackedRequest *request, uint64_t offset, uint64_t bytes)
{
    *request = (TrackedRequest){ .offset = offset, .bytes = bytes };
    request->link.data = request;
    coroutine_queue_init(&request->waiters);
    g_queue_push_tail_link(&node->tracked, &request->link);
}

static void tracked_end(BlockNode *node, TrackedRequest *request)
{
    if (request->serialising) {
        node->serialising--;
    }
    g_queue_unlink(&node->tracked, &request->link);
    coroutine_queue_wake_all(&request->waiters);
}

static bool tracked_overlap(const TrackedRequest *a, const TrackedRequest *b)
{
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

/*
 * Waits for the older requests that overlap, when one of the two is serialising. Waiting only for
 * older ones cannot deadlock.
 */
static void tracked_wait(BlockNode *node, TrackedRequest *self)
{
    GList *link;

again:
    if (!node->serialising) {
        return;
    }
    for (link = self->link.prev; link; link = link->prev) {
        TrackedRequest *other = link->data;

        if ((self->serialising || other->serialising) && tracked_overlap(self, other)) {
            coroutine_queue_wait(&other->waiters);
            goto again;
        }
    }
}

static void tracked_serialise(BlockNode *node, TrackedRequest *request, uint64_t offset,
                              uint64_t bytes)
{
    request->offset = offset;
    request->bytes = bytes;
    if (!request->serialising) {
        request->serialising = true;
        node->serialising++;
        /* Youngest: nobody that is already running waits for us. */
        g_queue_unlink(&node->tracked, &request->link);
        g_queue_push_tail_link(&node->tracked, &request->link);
    }
}

void node_range_lock(BlockNode *node, TrackedRequest *request, uint64_t offset, uint64_t bytes)
{
    tracked_begin(node, request, offset, bytes);
    tracked_serialise(node, request, offset, bytes);
    tracked_wait(node, request);
}

void node_range_unlock(BlockNode *node, TrackedRequest *request)
{
    tracked_end(node, request);
}

static int check_range(uint64_t offset, uint64_t bytes)
{
    uint64_t end;

    return __builtin_add_overflow(offset, bytes, &end) || end > INT64_MAX ? -EIO : 0;
}

/* Filters have the size of what is below them, whoever has made that longer. */
static void set_size(BlockNode *node, uint64_t size)
{
    if (node->size == size) {
        return;
    }
    node->size = size;
    for (GList *link = node->parents.head; link; link = link->next) {
        const BlockChild *child = link->data;

        if (child->parent && child->role & BLOCK_ROLE_FILTERED && !child->parent->driver->length) {
            set_size(child->parent, size);
            for (GSList *bitmap = child->parent->dirty_bitmaps; bitmap; bitmap = bitmap->next) {
                dirty_bitmap_resize(bitmap->data, node_size(child->parent));
            }
        }
    }
}

/* Files that have been cut off. */

void node_look_at_length(BlockNode *node)
{
    int64_t length;

    if (!node->read_only && !node->inactive) {
        return; /* only we may make it longer */
    }
    if (node->file) {
        node_look_at_length(node->file->node);
    }
    length = node->driver->length ? node->driver->length(node) : -ENOTSUP;
    if (length > 0 && (uint64_t)length > node->size) {
        set_size(node, (uint64_t)length);
    }
}

void node_cut_off(BlockNode *node, uint64_t offset, BlockNode *file, uint64_t host, uint64_t end)
{
    if (node->cut_off) {
        return;
    }
    node->cut_off = true;
    if (!node->flags.check) {
        log_printf("%s: warning: '%s' is cut off: what belongs at byte %" G_GUINT64_FORMAT
                   " of the disk should be at byte %" G_GUINT64_FORMAT
                   " of '%s', which ends at %" G_GUINT64_FORMAT ". Reading it gives zeroes.%s\n",
                   node->driver->name, node->filename, offset, host, file->filename, end,
                   node->driver->check ? " 'kaso-img check' lists what is lost." : "");
    }
}

bool node_missing(BlockNode *node, uint64_t offset, BlockNode *file, uint64_t host)
{
    if (host < file->size) {
        return false;
    }
    node_look_at_length(file);
    if (host < file->size) {
        return false;
    }
    node_cut_off(node, offset, file, host, file->size);
    return true;
}

uint64_t node_bytes_left(BlockNode *file, uint64_t host, uint64_t bytes)
{
    if (host + bytes > file->size) {
        node_look_at_length(file);
    }
    return host < file->size ? MIN(bytes, file->size - host) : 0;
}

bool node_chain_is_cut_off(BlockNode *node)
{
    while (node && !node_skip_filters(node)->cut_off) {
        node = node_below(node);
    }
    return node != NULL;
}

/* Reads. */

/* Calls the driver in pieces of at most max_transfer; the range lies within the node's size. */
static int driver_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    uint64_t limit = node->max_transfer ? node->max_transfer : bytes;

    while (bytes) {
        uint64_t n = MIN(bytes, limit);
        int result = node->driver->read(node, offset, n, vector);

        if (result < 0) {
            return result;
        }
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    return 0;
}

static int read_unaligned(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    uint64_t align = node->request_alignment;
    uint64_t start = align_down(offset, align), end = align_up(offset + bytes, align);
    uint64_t chunk = MAX(align, MIB(1));
    uint8_t *buffer = g_try_malloc(MIN(chunk, end - start));
    int result = buffer ? 0 : -ENOMEM;

    while (result == 0 && bytes) {
        uint64_t head = offset - start;
        uint64_t n = MIN(chunk, end - start), useful = MIN(n - head, bytes);
        struct iovec iov = { buffer, n };

        result = driver_read(node, start, n, io_vector_of(&iov));
        if (result == 0) {
            io_vector_from_buffer(vector, buffer + head, useful);
            vector = io_vector_skip(vector, useful);
            start += n;
            offset += useful;
            bytes -= useful;
        }
    }
    g_free(buffer);
    return result;
}

int node_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    uint64_t align = node->request_alignment, valid;
    int result = check_range(offset, bytes);

    if (result < 0 || !bytes) {
        return result;
    }
    /* The end of the node: what lies behind it reads as zeroes. */
    valid = node->size > offset ? MIN(bytes, node->size - offset) : 0;
    if (valid < bytes) {
        io_vector_zero(io_vector_skip(vector, valid), bytes - valid);
    }
    if (!valid) {
        return 0;
    }
    if (node->serialising) {
        TrackedRequest request;

        tracked_begin(node, &request, offset, valid);
        tracked_wait(node, &request);
        tracked_end(node, &request);
    }
    if (((offset | valid) & (align - 1)) == 0) {
        return driver_read(node, offset, valid, vector);
    }
    return read_unaligned(node, offset, valid, vector);
}

int node_pread(BlockNode *node, uint64_t offset, void *buffer, uint64_t bytes)
{
    struct iovec iov = { buffer, bytes };

    return node_read(node, offset, bytes, io_vector_of(&iov));
}

/* Writes. */

/* Who is told may wait, and others come and go meanwhile: links stay until nobody walks the list. */
static void notify_end(BlockNode *node)
{
    if (--node->notifying == 0) {
        node->write_notifiers = g_slist_remove_all(node->write_notifiers, NULL);
    }
}

static int notify_before(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int result = 0;

    node->notifying++;
    for (GSList *link = node->write_notifiers; link && result == 0; link = link->next) {
        NodeWriteNotifier *notifier = link->data;

        if (notifier && notifier->before) {
            result = notifier->before(notifier->opaque, offset, bytes);
            result = MIN(result, 0);
        }
    }
    notify_end(node);
    return result;
}

static void notify_after(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    node->notifying++;
    for (GSList *link = node->write_notifiers; link; link = link->next) {
        NodeWriteNotifier *notifier = link->data;

        if (notifier && notifier->after) {
            notifier->after(notifier->opaque, offset, bytes);
        }
    }
    notify_end(node);
}

void node_add_write_notifier(BlockNode *node, NodeWriteNotifier *notifier)
{
    node->write_notifiers = g_slist_append(node->write_notifiers, notifier);
}

void node_remove_write_notifier(BlockNode *node, NodeWriteNotifier *notifier)
{
    GSList *link = g_slist_find(node->write_notifiers, notifier);

    if (link && node->notifying) {
        link->data = NULL;
    } else {
        node->write_notifiers = g_slist_delete_link(node->write_notifiers, link);
    }
}

static void node_written(BlockNode *node, uint64_t end)
{
    node->write_generation++;
    node->highest_write = MAX(node->highest_write, end);
    node_note_write_end(node, end);
    if (node->driver->truncate || !node->driver->is_protocol) {
        /* Others take zeroes behind their end and stay as they are. */
        set_size(node, MAX(node->size, end));
    }
}

/* A part may have been written, and the storage have grown by it. */
static void node_write_failed(BlockNode *node)
{
    int64_t length = node->driver->length ? node->driver->length(node) : 0;

    node->write_generation++;
    if (length > 0) {
        set_size(node, MAX(node->size, (uint64_t)length));
    }
}

static int driver_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                        unsigned flags)
{
    uint64_t limit = node->max_transfer ? node->max_transfer : bytes;
    unsigned driver_flags = flags;
    int result = 0;

    if (!node->supports_fua) {
        driver_flags &= ~(unsigned)BLOCK_FUA;
    }
    node_debug_event(node, EVENT_PWRITEV);
    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, limit);

        result = node->driver->write(node, offset, n, vector, driver_flags);
        offset += n;
        bytes -= n;
        vector = io_vector_skip(vector, n);
    }
    if (result < 0) {
        node_write_failed(node);
        return result;
    }
    node_debug_event(node, EVENT_PWRITEV_DONE);
    node_written(node, offset);
    return flags & BLOCK_FUA & ~driver_flags ? node_flush(node) : 0;
}

/* Detected zeroes become write_zeroes. */
static int driver_write_detect(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                               unsigned flags)
{
    if (node->detect_zeroes != DETECT_ZEROES_OFF && !(flags & BLOCK_WRITE_COMPRESSED) &&
        node->driver->write_zeroes && io_vector_is_zero(vector, bytes)) {
        unsigned zero_flags = (flags & BLOCK_FUA) | BLOCK_NO_FALLBACK;
        int result;

        if (node->detect_zeroes == DETECT_ZEROES_UNMAP) {
            zero_flags |= BLOCK_MAY_UNMAP;
        }
        result = node->driver->write_zeroes(node, offset, bytes, zero_flags);
        if (result == 0) {
            node_written(node, offset + bytes);
            return flags & BLOCK_FUA ? node_flush(node) : 0;
        }
        if (result != -ENOTSUP) {
            return result;
        }
    }
    return driver_write(node, offset, bytes, vector, flags);
}

/* A block at the edge of an unaligned write, which itself is serialising: no waiting here. */
static int read_edge(BlockNode *node, uint64_t offset, uint8_t *buffer, uint64_t align)
{
    struct iovec iov = { buffer, align };

    if (offset >= node->size) {
        memset(buffer, 0, align);
        return 0;
    }
    return driver_read(node, offset, align, io_vector_of(&iov));
}

/* A write of whole blocks has made the storage longer than what was to be written: the disk has its size back. */
static void cut_to_length(BlockNode *node, uint64_t length)
{
    bool done = node->driver->truncate ? node->driver->truncate(node, length, PREALLOC_OFF, NULL)
                : node->driver->is_filter
                    ? node_truncate(node->file->node, length, PREALLOC_OFF, NULL)
                    : false;

    if (done) {
        node->size = length;
    }
}

/* Reads the blocks that the head and the tail of the range only touch, and writes whole blocks. */
static int write_unaligned(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                           unsigned flags)
{
    uint64_t align = node->request_alignment;
    uint64_t start = align_down(offset, align), end = align_up(offset + bytes, align);
    uint64_t length = MAX(node->size, offset + bytes);
    uint8_t *buffer = g_try_malloc(MAX(align, MIN(MIB(1), end - start)));
    int result = buffer ? 0 : -ENOMEM;

    while (result == 0 && bytes) {
        uint64_t head = offset - start;
        uint64_t n = MIN(MAX(align, MIB(1)), end - start);
        uint64_t useful = MIN(n - head, bytes);
        struct iovec iov = { buffer, n };

        if (head || (useful < n && n == align)) {
            node_debug_event(node, EVENT_PWRITEV_RMW_HEAD);
            result = read_edge(node, start, buffer, align);
            node_debug_event(node, EVENT_PWRITEV_RMW_AFTER_HEAD);
        }
        if (result == 0 && head + useful < n && n > align) {
            node_debug_event(node, EVENT_PWRITEV_RMW_TAIL);
            result = read_edge(node, start + n - align, buffer + n - align, align);
            node_debug_event(node, EVENT_PWRITEV_RMW_AFTER_TAIL);
        }
        if (result == 0) {
            io_vector_to_buffer(vector, buffer + head, useful);
            result = driver_write(node, start, n, io_vector_of(&iov), flags);
        }
        vector = io_vector_skip(vector, useful);
        start += n;
        offset += useful;
        bytes -= useful;
    }
    g_free(buffer);
    if (node->size > length) {
        cut_to_length(node, length);
    }
    return result;
}

static int check_write(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    if (node->read_only || node->inactive) {
        return -EPERM;
    }
    return check_range(offset, bytes);
}

int node_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags)
{
    uint64_t align = node->request_alignment;
    bool aligned = ((offset | bytes) & (align - 1)) == 0;
    int result = check_write(node, offset, bytes);
    TrackedRequest request;

    if (result < 0 || !bytes) {
        return result;
    }
    tracked_begin(node, &request, offset, bytes);
    if (!aligned || (flags & BLOCK_SERIALISE)) {
        uint64_t start = align_down(offset, align), end = align_up(offset + bytes, align);

        /* Nobody may write behind what is cut off again. */
        end = end > node->size && !aligned ? UINT64_MAX / 4 : end;
        tracked_serialise(node, &request, start, end - start);
    }
    tracked_wait(node, &request);
    result = notify_before(node, offset, bytes);
    if (result == 0) {
        result = aligned ? driver_write_detect(node, offset, bytes, vector, flags)
                         : write_unaligned(node, offset, bytes, vector, flags);
        notify_after(node, offset, bytes); /* also after a failure, which may have changed a part */
    }
    tracked_end(node, &request);
    return result;
}

int node_pwrite(BlockNode *node, uint64_t offset, const void *buffer, uint64_t bytes,
                unsigned flags)
{
    struct iovec iov = { (void *)buffer, bytes };

    return node_write(node, offset, bytes, io_vector_of(&iov), flags);
}

int node_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    int result = check_write(node, offset, bytes);

    if (result < 0) {
        return result;
    }
    if (node->driver->is_filter && !node->driver->write_compressed) {
        return node_write_compressed(node->file->node, offset, bytes, vector);
    }
    if (!node->driver->write_compressed) {
        return -ENOTSUP;
    }
    result = notify_before(node, offset, bytes);
    if (result == 0) {
        result = node->driver->write_compressed(node, offset, bytes, vector);
        node->write_generation++;
        notify_after(node, offset, bytes);
    }
    return result;
}

static int write_zero_buffers(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    uint64_t size = MIN(bytes, ZERO_BUFFER_SIZE);
    void *zeroes = g_try_malloc0(size);
    int result = zeroes ? 0 : -ENOMEM;

    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, size);
        struct iovec iov = { zeroes, n };

        result = driver_write(node, offset, n, io_vector_of(&iov), flags);
        offset += n;
        bytes -= n;
    }
    g_free(zeroes);
    return result;
}

int node_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    uint64_t align = node->request_alignment;
    int result = check_write(node, offset, bytes);
    TrackedRequest request;

    if (result < 0 || !bytes) {
        return result;
    }
    if (((offset | bytes) & (align - 1)) != 0) {
        uint64_t head_end = MIN(align_up(offset, align), offset + bytes);
        uint64_t tail_start = MAX(align_down(offset + bytes, align), head_end);
        g_autofree void *zeroes = g_malloc0(align);

        /* Only whole blocks can be zeroed; the rest is read, changed and written. */
        result = node_pwrite(node, offset, zeroes, head_end - offset, flags & BLOCK_FUA);
        if (result == 0 && offset + bytes > tail_start) {
            result = node_pwrite(node, tail_start, zeroes, offset + bytes - tail_start,
                                 flags & BLOCK_FUA);
        }
        return result < 0 ? result
                          : node_write_zeroes(node, head_end, tail_start - head_end, flags);
    }
    if (!node->flags.unmap) {
        flags &= ~(unsigned)BLOCK_MAY_UNMAP;
    }
    /* Clusters that are given up must not be the target of an older write in flight. */
    node_range_lock(node, &request, offset, bytes);
    result = notify_before(node, offset, bytes);
    if (result == 0) {
        node_debug_event(node, EVENT_PWRITEV_ZERO);
        result = node->driver->write_zeroes ? node->driver->write_zeroes(node, offset, bytes, flags)
                                            : -ENOTSUP;
        if (result == -ENOTSUP && !(flags & BLOCK_NO_FALLBACK)) {
            result = write_zero_buffers(node, offset, bytes, flags & BLOCK_FUA);
        } else if (result == 0) {
            node_written(node, offset + bytes);
            if (flags & BLOCK_FUA) {
                result = node_flush(node);
            }
        } else {
            node_write_failed(node);
        }
        notify_after(node, offset, bytes);
    }
    tracked_end(node, &request);
    return result;
}

int node_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    uint64_t align = node->request_alignment, start, end;
    int result = check_write(node, offset, bytes);
    TrackedRequest request;

    if (result < 0 || !bytes || !node->flags.unmap || !node->driver->discard) {
        return result;
    }
    /* A hint: partial blocks keep their content. */
    start = align_up(offset, align);
    end = align_down(offset + bytes, align);
    if (offset + bytes >= node->size) {
        end = MIN(offset + bytes, node->size);
    }
    if (start >= end) {
        return 0;
    }
    node_range_lock(node, &request, start, end - start);
    result = notify_before(node, start, end - start);
    if (result == 0) {
        result = node->driver->discard(node, start, end - start);
        result = result == -ENOTSUP ? 0 : result;
        node->write_generation++;
        notify_after(node, start, end - start);
    }
    tracked_end(node, &request);
    return result;
}

/*
 * One flush runs at a time; whoever waited for one that began after its last write is served by
 * it.
 */
int node_flush(BlockNode *node)
{
    uint64_t generation = node->write_generation;
    int result = 0;

    if (node->read_only || node->inactive) {
        return 0;
    }
    coroutine_mutex_lock(&node->flush_lock);
    if (node->flushed_generation < generation || generation == 0) {
        generation = node->write_generation;
        node_debug_event(node->file ? node->file->node : NULL, EVENT_FLUSH_TO_OS);
        result = node->driver->flush ? node->driver->flush(node) : 0;
        node_debug_event(node->file ? node->file->node : NULL, EVENT_FLUSH_TO_DISK);
        if (result == 0 && !node->driver->flush && node->file) {
            result = node_flush(node->file->node);
        }
        if (result == 0) {
            node->flushed_generation = generation;
        }
    }
    coroutine_mutex_unlock(&node->flush_lock);
    return result;
}

uint64_t node_size(BlockNode *node)
{
    return align_up(node->size, SECTOR);
}

uint64_t node_length(BlockNode *node)
{
    return node->size;
}

/* All files of an image: metadata, data, extents. */
static int64_t sum_allocated_sizes(BlockNode *node)
{
    int64_t sum = 0;

    for (GList *link = node->children.head; link; link = link->next) {
        const BlockChild *child = link->data;
        int64_t size = child->role & (BLOCK_ROLE_DATA | BLOCK_ROLE_METADATA)
                           ? node_allocated_size(child->node)
                           : 0;

        if (size < 0) {
            return size;
        }
        sum += size;
    }
    return sum;
}

int64_t node_allocated_size(BlockNode *node)
{
    if (node->driver->allocated_size) {
        return node->driver->allocated_size(node);
    }
    if (node->driver->is_filter && node->file) {
        return node_allocated_size(node->file->node);
    }
    return node->children.head ? sum_allocated_sizes(node) : -ENOTSUP;
}

static bool resize(BlockNode *node, uint64_t size, Prealloc prealloc, bool only_grow,
                   GError **error)
{
    TrackedRequest request;
    bool done;

    if (node->read_only) {
        return error_fail(error, KASO_ERROR_GENERIC, "Image is read-only");
    }
    if (node->inactive) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Block node '%s' is inactive: the machine runs elsewhere",
                          node->node_name);
    }
    if (size > INT64_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The new size is larger than %" G_GINT64_FORMAT " bytes", INT64_MAX);
    }
    tracked_begin(node, &request, MIN(size, node->size), UINT64_MAX / 4);
    tracked_serialise(node, &request, MIN(size, node->size), UINT64_MAX / 4);
    tracked_wait(node, &request);
    if (only_grow && size <= node->size) {
        tracked_end(node, &request); /* an older write has made it longer */
        return true;
    }
    if (node->driver->truncate) {
        done = node->driver->truncate(node, size, prealloc, error);
    } else if (node->driver->is_filter) {
        done = resize(node->file->node, size, prealloc, only_grow, error);
    } else {
        done = error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Image format driver '%s' does not support resize", node->driver->name);
    }
    if (done) {
        set_size(node, size);
        node->write_generation++;
        for (GSList *link = node->dirty_bitmaps; link; link = link->next) {
            dirty_bitmap_resize(link->data, node_size(node));
        }
    }
    tracked_end(node, &request);
    return done;
}

bool node_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    return resize(node, size, prealloc, false, error);
}

bool node_grow(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    return resize(node, size, prealloc, true, error);
}
