/* SPDX-License-Identifier: MIT */
/* NBD server: the transmission phase. Each request is a coroutine; replies go out as they come. */
#include "block/nbd/server-internal.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
    IN_FLIGHT_MAX = 64,
    IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024, /* fits caches; one request may always run */
    SPARSE_READ_MIN = 64 * 1024,           /* shorter reads are not searched for holes */
    EXTENTS_MAX = 2048,                    /* of one block status reply */
};

typedef struct {
    NbdConnection *connection;
    uint16_t flags, type;
    uint64_t cookie, offset, bytes;
    uint8_t *buffer;  /* payload, or what is read */
    uint64_t counted; /* in in_flight_bytes */
} Request;

typedef struct {
    uint64_t length, flags;
} Extent;

/* Replies. */

/* One reply or chunk; head: what a chunk's payload begins with. */
static int send_chunk(Request *r, uint16_t flags, uint16_t type, const void *head, size_t head_size,
                      const void *data, uint64_t size)
{
    NbdConnection *connection = r->connection;
    uint8_t buffer[NBD_EXTENDED_REPLY_SIZE + 32];
    struct iovec iov = { (void *)data, size };
    size_t used;
    int result;

    if (connection->mode == NBD_MODE_EXTENDED) {
        store_be32(buffer, NBD_EXTENDED_REPLY_MAGIC);
        store_be64(buffer + 16, r->offset);
        store_be64(buffer + 24, head_size + size);
        used = NBD_EXTENDED_REPLY_SIZE;
    } else {
        store_be32(buffer, NBD_STRUCTURED_REPLY_MAGIC);
        store_be32(buffer + 16, (uint32_t)(head_size + size));
        used = NBD_STRUCTURED_REPLY_SIZE;
    }
    store_be16(buffer + 4, flags);
    store_be16(buffer + 6, type);
    store_be64(buffer + 8, r->cookie);
    if (head_size) {
        memcpy(buffer + used, head, head_size);
    }
    coroutine_mutex_lock(&connection->write_lock);
    result = nbd_channel_write_with(connection->channel, buffer, used + head_size,
                                    io_vector_of(&iov), size);
    coroutine_mutex_unlock(&connection->write_lock);
    return result;
}

/* result: 0 or -errno; data only in a simple reply to a read. */
static int send_simple(Request *r, int result, const void *data, uint64_t size)
{
    NbdConnection *connection = r->connection;
    uint8_t head[NBD_SIMPLE_REPLY_SIZE];
    struct iovec iov = { (void *)data, size };
    int sent;

    store_be32(head, NBD_SIMPLE_REPLY_MAGIC);
    store_be32(head + 4, result < 0 ? nbd_error_from_errno(-result) : 0);
    store_be64(head + 8, r->cookie);
    coroutine_mutex_lock(&connection->write_lock);
    sent = nbd_channel_write_with(connection->channel, head, sizeof head, io_vector_of(&iov), size);
    coroutine_mutex_unlock(&connection->write_lock);
    return sent;
}

/* The end of a request that returns no data. */
static int send_result(Request *r, int result)
{
    NbdMode mode = r->connection->mode;
    bool structured =
        mode == NBD_MODE_EXTENDED || (mode == NBD_MODE_STRUCTURED &&
                                      (r->type == NBD_CMD_READ || r->type == NBD_CMD_BLOCK_STATUS));
    uint8_t head[6];

    if (!structured) {
        return send_simple(r, result, NULL, 0);
    }
    if (result == 0) {
        return send_chunk(r, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_NONE, NULL, 0, NULL, 0);
    }
    store_be32(head, nbd_error_from_errno(-result));
    store_be16(head + 4, 0);
    return send_chunk(r, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR, head, sizeof head, NULL, 0);
}

/* Commands. */

/*
 * Between these the graph does not change (a job that has ended, a snapshot); what is sent to the client,
 * who may be slow, is sent outside.
 */
static BlockNode *enter(Request *r)
{
    block_graph_enter(r->connection->server->graph);
    return r->connection->export->user->node;
}

static void leave(Request *r)
{
    block_graph_leave(r->connection->server->graph);
}

static int read_data(Request *r, uint64_t offset, uint64_t bytes)
{
    int result = node_pread(enter(r), offset, r->buffer, bytes);

    leave(r);
    return result;
}

static int find_status(Request *r, uint64_t offset, uint64_t bytes, uint64_t *count,
                       unsigned *depth)
{
    uint64_t map;
    BlockNode *file;
    int status = node_status_above(enter(r), NULL, offset, bytes, count, &map, &file, depth);

    leave(r);
    return status;
}

static int read_chunk(Request *r, uint64_t offset, uint64_t bytes, bool last)
{
    uint16_t flags = last ? NBD_REPLY_FLAG_DONE : 0;
    uint8_t head[8];
    int result = read_data(r, offset, bytes);

    if (result < 0) {
        return send_result(r, result);
    }
    store_be64(head, offset);
    result = send_chunk(r, flags, NBD_REPLY_TYPE_OFFSET_DATA, head, sizeof head, r->buffer, bytes);
    return result < 0 ? result : !last;
}

static int hole_chunk(Request *r, uint64_t offset, uint64_t bytes, bool last)
{
    uint8_t head[12];
    int result;

    store_be64(head, offset);
    store_be32(head + 8, (uint32_t)bytes);
    result = send_chunk(r, last ? NBD_REPLY_FLAG_DONE : 0, NBD_REPLY_TYPE_OFFSET_HOLE, head,
                        sizeof head, NULL, 0);
    return result < 0 ? result : !last;
}

/* Data and holes in turn. read_chunk and hole_chunk return 1 while the request goes on. */
static int read_sparse(Request *r)
{
    uint64_t offset = r->offset, end = r->offset + r->bytes;
    int result = 1;

    while (result == 1) {
        uint64_t count;
        unsigned depth;
        int status = find_status(r, offset, end - offset, &count, &depth);

        if (status < 0 || !count) {
            return send_result(r, status < 0 ? status : -EIO);
        }
        result = (status & BLOCK_STATUS_ZERO ? hole_chunk : read_chunk)(r, offset, count,
                                                                        offset + count == end);
        offset += count;
    }
    return result;
}

static int run_read(Request *r)
{
    int result;

    if (r->bytes > NBD_PAYLOAD_MAX) {
        return send_result(r, -EINVAL);
    }
    r->buffer = g_try_malloc(MAX(r->bytes, 1));
    if (!r->buffer) {
        return send_result(r, -ENOMEM);
    }
    if (r->connection->mode == NBD_MODE_SIMPLE) {
        result = read_data(r, r->offset, r->bytes);
        return send_simple(r, result, r->buffer, result == 0 ? r->bytes : 0);
    }
    if (!r->bytes) {
        return send_result(r, 0);
    }
    if (r->bytes < SPARSE_READ_MIN || (r->flags & NBD_CMD_FLAG_DF)) {
        return read_chunk(r, r->offset, r->bytes, true);
    }
    return read_sparse(r);
}

static uint64_t extent_flags(unsigned context, int status, unsigned depth)
{
    if (context == NBD_CONTEXT_DEPTH) {
        return status & BLOCK_STATUS_ALLOCATED ? depth + 1 : 0;
    }
    return (status & (BLOCK_STATUS_DATA) ? 0 : NBD_STATE_HOLE) |
           (status & BLOCK_STATUS_ZERO ? NBD_STATE_ZERO : 0);
}

/* Fills extents; returns their number, at least 1, or an errno. */
static int find_extents(Request *r, unsigned context, Extent *extents, unsigned max)
{
    uint64_t offset = r->offset, end = r->offset + r->bytes;
    unsigned n = 0;

    while (offset < end) {
        uint64_t count, flags;
        unsigned depth;
        int status = find_status(r, offset, end - offset, &count, &depth);

        if (status < 0 || !count) {
            return n ? (int)n : status < 0 ? status : -EIO;
        }
        flags = extent_flags(context, status, depth);
        if (n && extents[n - 1].flags == flags) {
            extents[n - 1].length += count;
        } else if (n == max) {
            break;
        } else {
            extents[n++] = (Extent){ count, flags };
        }
        offset += count;
    }
    return (int)n;
}

/* The end of the run of pieces from offset on that are all dirty or all clean. */
static uint64_t dirty_run_end(const DirtyBitmap *bitmap, uint64_t offset, uint64_t end, bool *dirty)
{
    uint64_t next = dirty_bitmap_next(bitmap, offset), piece = offset / bitmap->granularity;

    *dirty = next <= offset;
    if (!*dirty) {
        return MIN(next, end);
    }
    while (piece * bitmap->granularity < end && (bitmap->bits[piece / 8] >> (piece % 8) & 1)) {
        piece++;
    }
    return MIN(piece * bitmap->granularity, end);
}

static int find_dirty_extents(Request *r, const DirtyBitmap *bitmap, Extent *extents, unsigned max)
{
    uint64_t offset = r->offset, end = r->offset + r->bytes;
    unsigned n = 0;

    while (offset < end && n < max) {
        bool dirty;
        uint64_t stop = dirty_run_end(bitmap, offset, end, &dirty);

        extents[n++] = (Extent){ stop - offset, dirty ? NBD_STATE_DIRTY : 0 };
        offset = stop;
    }
    return (int)n;
}

static int send_extents(Request *r, unsigned context, const Extent *extents, unsigned n, bool last)
{
    bool wide = r->connection->mode == NBD_MODE_EXTENDED;
    g_autofree uint8_t *data = g_malloc(n * 16);
    uint8_t head[8];

    for (unsigned i = 0; i < n; i++) {
        if (wide) {
            store_be64(data + 16 * i, extents[i].length);
            store_be64(data + 16 * i + 8, extents[i].flags);
        } else {
            store_be32(data + 8 * i, (uint32_t)extents[i].length);
            store_be32(data + 8 * i + 4, (uint32_t)extents[i].flags);
        }
    }
    store_be32(head, context);
    store_be32(head + 4, n);
    return send_chunk(r, last ? NBD_REPLY_FLAG_DONE : 0,
                      wide ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT : NBD_REPLY_TYPE_BLOCK_STATUS, head,
                      wide ? 8 : 4, data, n * (wide ? 16 : 8));
}

static int run_block_status(Request *r)
{
    unsigned contexts = r->connection->contexts;
    unsigned max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : EXTENTS_MAX;
    g_autofree Extent *extents = g_new(Extent, max);

    if (!contexts || !r->bytes) {
        return send_result(r, -EINVAL);
    }
    for (unsigned i = 0; i < NBD_CONTEXTS_MAX; i++) {
        bool last = contexts >> i == 1;
        GPtrArray *bitmaps = r->connection->export->bitmaps;
        int n;

        if (!(contexts & 1u << i)) {
            continue;
        }
        n = i < NBD_CONTEXT_BITMAPS
                ? find_extents(r, i, extents, max)
                : find_dirty_extents(r, bitmaps->pdata[i - NBD_CONTEXT_BITMAPS], extents, max);
        if (n < 0) {
            return send_result(r, n);
        }
        n = send_extents(r, i, extents, (unsigned)n, last);
        if (n < 0 || last) {
            return n;
        }
    }
    return 0;
}

/* Whether the answer says that the write is durable. */
static bool is_durable(const Request *r)
{
    return (r->flags & NBD_CMD_FLAG_FUA) || r->connection->export->write_through;
}

static int run_write_zeroes(Request *r, BlockNode *node)
{
    unsigned flags = is_durable(r) ? BLOCK_FUA : 0;

    flags |= r->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : BLOCK_MAY_UNMAP;
    flags |= r->flags & NBD_CMD_FLAG_FAST_ZERO ? BLOCK_NO_FALLBACK : 0;
    return node_write_zeroes(node, r->offset, r->bytes, flags);
}

static int run_in_node(Request *r, BlockNode *node)
{
    int result;

    switch (r->type) {
    case NBD_CMD_WRITE:
        return node_pwrite(node, r->offset, r->buffer, r->bytes, is_durable(r) ? BLOCK_FUA : 0);
    case NBD_CMD_FLUSH:
        return node_flush(node);
    case NBD_CMD_TRIM:
        result = node_discard(node, r->offset, r->bytes);
        return result == 0 && is_durable(r) ? node_flush(node) : result;
    case NBD_CMD_WRITE_ZEROES:
        return run_write_zeroes(r, node);
    case NBD_CMD_CACHE:
        return 0;
    default:
        return -EINVAL;
    }
}

static int run_simple_command(Request *r)
{
    int result = run_in_node(r, enter(r));

    leave(r);
    return result;
}

/* What is wrong with a request as such. */
static int check_request(const Request *r)
{
    static const uint16_t known_flags[] = {
        [NBD_CMD_READ] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF,
        [NBD_CMD_WRITE] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_PAYLOAD_LEN,
        [NBD_CMD_FLUSH] = NBD_CMD_FLAG_FUA,
        [NBD_CMD_TRIM] = NBD_CMD_FLAG_FUA,
        [NBD_CMD_CACHE] = NBD_CMD_FLAG_FUA,
        [NBD_CMD_WRITE_ZEROES] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
        [NBD_CMD_BLOCK_STATUS] = NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE,
    };
    const NbdExport *export = r->connection->export;
    bool writes =
        r->type == NBD_CMD_WRITE || r->type == NBD_CMD_TRIM || r->type == NBD_CMD_WRITE_ZEROES;
    uint64_t size = node_size(export->user->node);

    if (r->type >= ARRAY_SIZE(known_flags) || (r->flags & ~known_flags[r->type])) {
        return -EINVAL;
    }
    if (writes && !export->writable) {
        return -EPERM;
    }
    if (r->type != NBD_CMD_FLUSH && (r->offset > size || r->bytes > size - r->offset)) {
        return writes ? -ENOSPC : -EINVAL;
    }
    return 0;
}

static void run_request(void *opaque)
{
    Request *r = opaque;
    NbdConnection *connection = r->connection;
    int result = check_request(r);

    if (result < 0) {
        result = send_result(r, result);
    } else if (r->type == NBD_CMD_READ) {
        result = run_read(r);
    } else if (r->type == NBD_CMD_BLOCK_STATUS) {
        result = run_block_status(r);
    } else {
        result = send_result(r, run_simple_command(r));
    }
    if (result < 0) {
        nbd_server_drop(connection);
    }
    connection->in_flight--;
    connection->in_flight_bytes -= r->counted;
    g_free(r->buffer);
    g_free(r);
    coroutine_queue_wake_all(&connection->request_done);
}

/* Receiving. */

/* 0, 1 for a polite end, or an errno: the connection is of no more use. */
static int receive_request(NbdConnection *connection, Request *r)
{
    bool extended = connection->mode == NBD_MODE_EXTENDED, payload;
    uint8_t head[NBD_EXTENDED_REQUEST_SIZE];
    int result = nbd_channel_read(connection->channel, head,
                                  extended ? NBD_EXTENDED_REQUEST_SIZE : NBD_REQUEST_SIZE);

    if (result < 0) {
        return result;
    }
    if (load_be32(head) != (extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC)) {
        return -EPROTO;
    }
    *r = (Request){ .connection = connection,
                    .flags = load_be16(head + 4),
                    .type = load_be16(head + 6),
                    .cookie = load_be64(head + 8),
                    .offset = load_be64(head + 16),
                    .bytes = extended ? load_be64(head + 24) : load_be32(head + 24) };
    if (r->type == NBD_CMD_DISC) {
        return 1;
    }
    /* The length of a request with this flag is that of its payload, whatever the command. */
    payload = r->type == NBD_CMD_WRITE || (extended && (r->flags & NBD_CMD_FLAG_PAYLOAD_LEN));
    if (payload && r->bytes > NBD_PAYLOAD_MAX) {
        return -EPROTO;
    }
    r->counted = payload || r->type == NBD_CMD_READ ? MIN(r->bytes, NBD_PAYLOAD_MAX) : 0;
    while (connection->in_flight &&
           (connection->in_flight >= IN_FLIGHT_MAX ||
            connection->in_flight_bytes + r->counted > IN_FLIGHT_BYTES_MAX)) {
        coroutine_queue_wait(&connection->request_done);
    }
    if (!payload) {
        return 0;
    }
    r->buffer = g_try_malloc(MAX(r->bytes, 1));
    return r->buffer ? nbd_channel_read(connection->channel, r->buffer, r->bytes) : -ENOMEM;
}

void nbd_server_serve(NbdConnection *connection)
{
    for (;;) {
        Request *r = g_new0(Request, 1);

        if (receive_request(connection, r) != 0 || connection->dropped) {
            g_free(r->buffer);
            g_free(r);
            break;
        }
        connection->in_flight++;
        connection->in_flight_bytes += r->counted;
        async_start(block_graph_context(connection->server->graph), run_request, r);
    }
    while (connection->in_flight) {
        coroutine_queue_wait(&connection->request_done);
    }
}
