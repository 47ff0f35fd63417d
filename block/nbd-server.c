/* SPDX-License-Identifier: MIT */
/*
 * NBD server: fixed newstyle negotiation, TLS, structured and extended replies, block status with
 * base:allocation and qemu:allocation-depth.
 */
#include "block/nbd.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS_MAX = 32, EXTENTS_MAX = 2048, OPTION_MAX = 65536, OPTIONS_MAX = 256 };
enum { CONTEXT_ALLOCATION, CONTEXT_DEPTH, CONTEXTS };
static const char *const context_names[CONTEXTS] = { "base:allocation", "qemu:allocation-depth" };

typedef struct {
    NbdExport *export;
    NbdChannel *channel;
    bool structured, extended, no_zeroes, tls;
    bool contexts[CONTEXTS];
    CoroutineMutex write_lock;
    unsigned running;
    CoroutineQueue slots; /* waits for running to fall */
    bool failed;
} Connection;

typedef struct {
    Connection *connection;
    uint16_t flags, type;
    uint64_t cookie, offset, length;
    uint8_t *payload;
} Request;

/* Negotiation. */

static int send_option_reply(Connection *c, uint32_t option, uint32_t type, const void *data,
                             uint32_t size)
{
    uint8_t head[20];
    int result;

    store_be64(head, NBD_OPTION_REPLY_MAGIC);
    store_be32(head + 8, option);
    store_be32(head + 12, type);
    store_be32(head + 16, size);
    result = nbd_write(c->channel, head, sizeof head);
    return result == 0 && size ? nbd_write(c->channel, data, size) : result;
}

static int send_option_error(Connection *c, uint32_t option, uint32_t type, const char *message)
{
    return send_option_reply(c, option, type, message, (uint32_t)strlen(message));
}

static uint16_t transmission_flags(Connection *c)
{
    uint16_t flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_CAN_MULTI_CONN |
                     NBD_SEND_CACHE;

    if (c->export->read_only) {
        flags |= NBD_READ_ONLY;
    } else {
        flags |= NBD_SEND_TRIM | NBD_SEND_WRITE_ZEROES | NBD_SEND_FAST_ZERO;
    }
    return c->structured ? flags | NBD_SEND_DF : flags;
}

static int send_export_info(Connection *c, uint32_t option)
{
    const char *description = c->export->description;
    uint8_t info[14];
    int result = 0;

    if (description) {
        g_autofree uint8_t *text = g_malloc(2 + strlen(description));

        store_be16(text, NBD_INFO_DESCRIPTION);
        memcpy(text + 2, description, strlen(description));
        result = send_option_reply(c, option, NBD_REP_INFO, text,
                                   (uint32_t)(2 + strlen(description)));
    }
    store_be16(info, NBD_INFO_BLOCK_SIZE);
    store_be32(info + 2, 1);
    store_be32(info + 6, 4096);
    store_be32(info + 10, NBD_MAX_BUFFER);
    if (result == 0) {
        result = send_option_reply(c, option, NBD_REP_INFO, info, 14);
    }
    store_be16(info, NBD_INFO_EXPORT);
    store_be64(info + 2, node_size(c->export->node));
    store_be16(info + 10, transmission_flags(c));
    if (result == 0) {
        result = send_option_reply(c, option, NBD_REP_INFO, info, 12);
    }
    return result == 0 ? send_option_reply(c, option, NBD_REP_ACK, NULL, 0) : result;
}

static bool name_matches(Connection *c, const uint8_t *name, uint32_t size)
{
    return strlen(c->export->name) == size && !memcmp(c->export->name, name, size);
}

/* 1: transmission begins. */
static int option_go(Connection *c, uint32_t option, const uint8_t *data, uint32_t size)
{
    uint32_t name_size = size >= 6 ? load_be32(data) : 0;
    int result;

    if (size < 6 || name_size > size - 6) {
        return send_option_error(c, option, NBD_REP_ERR_INVALID, "bad length");
    }
    if (!name_matches(c, data + 4, name_size)) {
        return send_option_error(c, option, NBD_REP_ERR_UNKNOWN, "export not present");
    }
    result = send_export_info(c, option);
    return result == 0 && option == NBD_OPT_GO ? 1 : result;
}

static int option_export_name(Connection *c, const uint8_t *data, uint32_t size)
{
    uint8_t reply[10 + 124] = { 0 };
    int result;

    if (!name_matches(c, data, size)) {
        return -EINVAL;
    }
    store_be64(reply, node_size(c->export->node));
    store_be16(reply + 8, transmission_flags(c));
    result = nbd_write(c->channel, reply, c->no_zeroes ? 10 : sizeof reply);
    return result < 0 ? result : 1;
}

static int option_list(Connection *c, uint32_t size)
{
    size_t length = strlen(c->export->name);
    g_autofree uint8_t *entry = g_malloc(4 + length);
    int result;

    if (size) {
        return send_option_error(c, NBD_OPT_LIST, NBD_REP_ERR_INVALID, "no data expected");
    }
    store_be32(entry, (uint32_t)length);
    memcpy(entry + 4, c->export->name, length);
    result = send_option_reply(c, NBD_OPT_LIST, NBD_REP_SERVER, entry, (uint32_t)(4 + length));
    return result == 0 ? send_option_reply(c, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0) : result;
}

static int send_context(Connection *c, uint32_t option, unsigned id)
{
    size_t length = strlen(context_names[id]);
    g_autofree uint8_t *reply = g_malloc(4 + length);

    store_be32(reply, option == NBD_OPT_SET_META_CONTEXT ? id : 0);
    memcpy(reply + 4, context_names[id], length);
    return send_option_reply(c, option, NBD_REP_META_CONTEXT, reply, (uint32_t)(4 + length));
}

static bool query_matches(const char *name, const uint8_t *query, uint32_t size, bool listing)
{
    const char *colon = strchr(name, ':') + 1;

    if (size == strlen(name) && !memcmp(name, query, size)) {
        return true;
    }
    return listing && size == (size_t)(colon - name) && !memcmp(name, query, size);
}

static int option_meta_context(Connection *c, uint32_t option, const uint8_t *data, uint32_t size)
{
    uint32_t name_size = size >= 8 ? load_be32(data) : 0, queries, at;
    bool selected[CONTEXTS] = { false }, listing = option == NBD_OPT_LIST_META_CONTEXT;
    int result = 0;

    if (size < 8 || name_size > size - 8 || (!listing && !c->structured)) {
        return send_option_error(c, option, NBD_REP_ERR_INVALID, "bad length or no structured "
                                                                 "replies");
    }
    if (!name_matches(c, data + 4, name_size)) {
        return send_option_error(c, option, NBD_REP_ERR_UNKNOWN, "export not present");
    }
    queries = load_be32(data + 4 + name_size);
    at = 8 + name_size;
    for (unsigned id = 0; id < CONTEXTS; id++) {
        selected[id] = listing && !queries;
    }
    for (uint32_t i = 0; i < queries; i++) {
        uint32_t length = size - at >= 4 ? load_be32(data + at) : UINT32_MAX;

        if (size - at < 4 || length > size - at - 4) {
            return send_option_error(c, option, NBD_REP_ERR_INVALID, "bad query");
        }
        for (unsigned id = 0; id < CONTEXTS; id++) {
            selected[id] = selected[id] ||
                           query_matches(context_names[id], data + at + 4, length, listing);
        }
        at += 4 + length;
    }
    selected[CONTEXT_DEPTH] = selected[CONTEXT_DEPTH] && c->export->allocation_depth;
    for (unsigned id = 0; id < CONTEXTS && result == 0; id++) {
        if (selected[id]) {
            result = send_context(c, option, id);
        }
        if (!listing) {
            c->contexts[id] = selected[id];
        }
    }
    return result == 0 ? send_option_reply(c, option, NBD_REP_ACK, NULL, 0) : result;
}

static int option_starttls(Connection *c, uint32_t size)
{
    GError *error = NULL;
    int result;

    if (size || !c->export->tls_creds || c->tls) {
        return send_option_error(c, NBD_OPT_STARTTLS, NBD_REP_ERR_POLICY, "TLS not configured");
    }
    result = send_option_reply(c, NBD_OPT_STARTTLS, NBD_REP_ACK, NULL, 0);
    if (result == 0 && !nbd_start_tls(c->channel, c->export->graph, c->export->tls_creds, true, NULL,
                                      &error)) {
        log_printf("nbd: %s\n", error->message);
        g_error_free(error);
        result = -EPROTO;
    }
    c->tls = result == 0;
    return result;
}

static int negotiate_option(Connection *c, uint32_t option, const uint8_t *data, uint32_t size)
{
    if (c->export->tls_creds && !c->tls && option != NBD_OPT_STARTTLS && option != NBD_OPT_ABORT) {
        return option == NBD_OPT_EXPORT_NAME
                   ? -EPERM
                   : send_option_error(c, option, NBD_REP_ERR_TLS_REQD, "TLS required");
    }
    switch (option) {
    case NBD_OPT_EXPORT_NAME:
        return option_export_name(c, data, size);
    case NBD_OPT_ABORT:
        send_option_reply(c, option, NBD_REP_ACK, NULL, 0);
        return -ECONNABORTED;
    case NBD_OPT_LIST:
        return option_list(c, size);
    case NBD_OPT_STARTTLS:
        return option_starttls(c, size);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return option_go(c, option, data, size);
    case NBD_OPT_STRUCTURED_REPLY:
        c->structured = true;
        return send_option_reply(c, option, NBD_REP_ACK, NULL, 0);
    case NBD_OPT_EXTENDED_HEADERS:
        c->structured = c->extended = true;
        return send_option_reply(c, option, NBD_REP_ACK, NULL, 0);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return option_meta_context(c, option, data, size);
    default:
        return send_option_error(c, option, NBD_REP_ERR_UNSUP, "unsupported option");
    }
}

static int negotiate(Connection *c)
{
    uint8_t hello[18], head[16], flags[4];
    int result;

    store_be64(hello, NBD_MAGIC);
    store_be64(hello + 8, NBD_OPTION_MAGIC);
    store_be16(hello + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    result = nbd_write(c->channel, hello, sizeof hello);
    if (result == 0) {
        result = nbd_read(c->channel, flags, sizeof flags);
    }
    if (result < 0 || load_be32(flags) & ~3u) {
        return result < 0 ? result : -EPROTO;
    }
    c->no_zeroes = (load_be32(flags) & NBD_FLAG_NO_ZEROES) != 0;
    for (unsigned i = 0; i < OPTIONS_MAX && result == 0; i++) {
        g_autofree uint8_t *data = NULL;
        uint32_t size;

        result = nbd_read(c->channel, head, sizeof head);
        size = load_be32(head + 12);
        if (result < 0 || load_be64(head) != NBD_OPTION_MAGIC || size > OPTION_MAX) {
            return result < 0 ? result : -EPROTO;
        }
        data = g_malloc(size + 1);
        result = nbd_read(c->channel, data, size);
        if (result == 0) {
            result = negotiate_option(c, load_be32(head + 8), data, size);
        }
    }
    return result;
}

/* Replies. */

/* One chunk, or a whole simple reply; head_data goes before data. */
static void send_chunk(Request *r, bool last, uint16_t type, const void *head_data,
                       uint32_t head_size, const void *data, uint64_t size)
{
    Connection *c = r->connection;
    uint8_t head[64];
    size_t length;
    int result;

    if (c->extended) {
        store_be32(head, NBD_EXTENDED_REPLY_MAGIC);
        store_be16(head + 4, last ? NBD_CHUNK_DONE : 0);
        store_be16(head + 6, type);
        store_be64(head + 8, r->cookie);
        store_be64(head + 16, r->offset);
        store_be64(head + 24, head_size + size);
        length = 32;
    } else {
        store_be32(head, NBD_STRUCTURED_REPLY_MAGIC);
        store_be16(head + 4, last ? NBD_CHUNK_DONE : 0);
        store_be16(head + 6, type);
        store_be64(head + 8, r->cookie);
        store_be32(head + 16, (uint32_t)(head_size + size));
        length = 20;
    }
    memcpy(head + length, head_data ? head_data : "", head_size);
    coroutine_mutex_lock(&c->write_lock);
    result = nbd_write(c->channel, head, length + head_size);
    if (result == 0 && size) {
        result = nbd_write(c->channel, data, size);
    }
    coroutine_mutex_unlock(&c->write_lock);
    c->failed = c->failed || result < 0;
}

static void send_simple(Request *r, int error, const void *data, uint64_t size)
{
    Connection *c = r->connection;
    uint8_t head[16];
    int result;

    store_be32(head, NBD_SIMPLE_REPLY_MAGIC);
    store_be32(head + 4, error ? nbd_error_of(error) : 0);
    store_be64(head + 8, r->cookie);
    coroutine_mutex_lock(&c->write_lock);
    result = nbd_write(c->channel, head, sizeof head);
    if (result == 0 && size) {
        result = nbd_write(c->channel, data, size);
    }
    coroutine_mutex_unlock(&c->write_lock);
    c->failed = c->failed || result < 0;
}

static void send_result(Request *r, int error)
{
    uint8_t data[6] = { 0 };

    if (!r->connection->structured) {
        send_simple(r, error, NULL, 0);
    } else if (error) {
        store_be32(data, nbd_error_of(error));
        send_chunk(r, true, NBD_CHUNK_ERROR, data, sizeof data, NULL, 0);
    } else {
        send_chunk(r, true, NBD_CHUNK_NONE, NULL, 0, NULL, 0);
    }
}

/* Commands. */

/* Data and holes as the image has them, each in a chunk of its own. */
static void serve_read_chunks(Request *r, uint8_t *buffer)
{
    BlockNode *node = r->connection->export->node;
    uint64_t offset = r->offset, bytes = r->length;
    int result = 0;

    while (bytes && result == 0) {
        uint64_t count = bytes, map;
        BlockNode *file;
        unsigned depth;
        uint8_t head[12];
        int status = BLOCK_STATUS_DATA;

        if (!(r->flags & NBD_CMD_FLAG_DF)) {
            status = node_status_above(node, NULL, offset, bytes, &count, &map, &file, &depth);
        }
        store_be64(head, offset);
        if (status >= 0 && (status & BLOCK_STATUS_ZERO)) {
            store_be32(head + 8, (uint32_t)count);
            send_chunk(r, count == bytes, NBD_CHUNK_OFFSET_HOLE, head, 12, NULL, 0);
        } else {
            count = status < 0 ? bytes : count;
            result = node_pread(node, offset, buffer, count);
            if (result == 0) {
                send_chunk(r, count == bytes, NBD_CHUNK_OFFSET_DATA, head, 8, buffer, count);
            }
        }
        offset += count;
        bytes -= count;
    }
    if (result < 0 || !r->length) {
        send_result(r, result);
    }
}

static void serve_read(Request *r)
{
    g_autofree uint8_t *buffer = g_try_malloc(MAX(r->length, 1));
    int result;

    if (!buffer) {
        send_result(r, -ENOMEM);
    } else if (r->connection->structured) {
        serve_read_chunks(r, buffer);
    } else {
        result = node_pread(r->connection->export->node, r->offset, buffer, r->length);
        send_simple(r, result, buffer, result < 0 ? 0 : r->length);
    }
}

static int extent_status(Request *r, unsigned context, uint64_t offset, uint64_t bytes,
                         uint64_t *count, uint64_t *state)
{
    BlockNode *file;
    uint64_t map;
    unsigned depth;
    int status = node_status_above(r->connection->export->node, NULL, offset, bytes, count, &map,
                                   &file, &depth);

    if (status < 0) {
        return status;
    }
    if (context == CONTEXT_DEPTH) {
        *state = status & BLOCK_STATUS_ALLOCATED ? depth + 1 : 0;
    } else {
        *state = (status & BLOCK_STATUS_DATA ? 0 : NBD_STATE_HOLE) |
                 (status & BLOCK_STATUS_ZERO ? NBD_STATE_ZERO : 0);
    }
    return 0;
}

/* The extents of one context as a chunk. */
static int send_extents(Request *r, unsigned context, bool last)
{
    bool wide = r->connection->extended;
    unsigned max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : EXTENTS_MAX, n = 0;
    size_t entry = wide ? 16 : 8;
    g_autofree uint8_t *list = g_malloc(max * entry);
    uint64_t offset = r->offset, bytes = r->length, last_state = 0, last_count = 0;
    uint8_t head[8];

    while (bytes && n <= max) {
        uint64_t count, state;
        int result = extent_status(r, context, offset, MIN(bytes, (uint64_t)1 << 31), &count, &state);

        if (result < 0) {
            return result;
        }
        if (n && state == last_state && (wide || last_count + count <= UINT32_MAX)) {
            last_count += count;
        } else if (n == max) {
            break;
        } else {
            last_state = state;
            last_count = count;
            n++;
        }
        if (wide) {
            store_be64(list + (n - 1) * entry, last_count);
            store_be64(list + (n - 1) * entry + 8, state);
        } else {
            store_be32(list + (n - 1) * entry, (uint32_t)last_count);
            store_be32(list + (n - 1) * entry + 4, (uint32_t)state);
        }
        offset += count;
        bytes -= count;
    }
    store_be32(head, context);
    store_be32(head + 4, n);
    send_chunk(r, last, wide ? NBD_CHUNK_BLOCK_STATUS_EXT : NBD_CHUNK_BLOCK_STATUS, head,
               wide ? 8 : 4, list, n * entry);
    return 0;
}

static void serve_block_status(Request *r)
{
    Connection *c = r->connection;
    unsigned last = CONTEXTS;
    int result = 0;

    for (unsigned id = 0; id < CONTEXTS; id++) {
        last = c->contexts[id] ? id : last;
    }
    if (last == CONTEXTS || !r->length) {
        send_result(r, -EINVAL);
        return;
    }
    for (unsigned id = 0; id <= last && result == 0; id++) {
        if (c->contexts[id]) {
            result = send_extents(r, id, id == last);
        }
    }
    if (result < 0) {
        send_result(r, result);
    }
}

static int serve_change(Request *r)
{
    NbdExport *export = r->connection->export;
    unsigned flags = r->flags & NBD_CMD_FLAG_FUA ? BLOCK_FUA : 0;
    struct iovec iov = { r->payload, r->length };
    int result;

    if (r->type == NBD_CMD_FLUSH) {
        return node_flush(export->node);
    }
    if (r->type == NBD_CMD_CACHE) {
        return 0;
    }
    if (export->read_only) {
        return -EPERM;
    }
    switch (r->type) {
    case NBD_CMD_WRITE:
        return node_write(export->node, r->offset, r->length, io_vector_of(&iov), flags);
    case NBD_CMD_TRIM:
        result = node_discard(export->node, r->offset, r->length);
        return result == 0 && flags ? node_flush(export->node) : result;
    case NBD_CMD_WRITE_ZEROES:
        flags |= r->flags & NBD_CMD_FLAG_NO_HOLE ? 0 : BLOCK_MAY_UNMAP;
        flags |= r->flags & NBD_CMD_FLAG_FAST_ZERO ? BLOCK_NO_FALLBACK : 0;
        return node_write_zeroes(export->node, r->offset, r->length, flags);
    default:
        return -EINVAL;
    }
}

static void request_entry(void *opaque)
{
    Request *r = opaque;
    Connection *c = r->connection;
    uint64_t size = node_size(c->export->node);
    bool in_range = r->offset <= size && r->length <= size - r->offset;

    if (r->type != NBD_CMD_FLUSH && !in_range) {
        send_result(r, r->type == NBD_CMD_WRITE || r->type == NBD_CMD_WRITE_ZEROES ? -ENOSPC
                                                                                   : -EINVAL);
    } else if (r->type == NBD_CMD_READ) {
        serve_read(r);
    } else if (r->type == NBD_CMD_BLOCK_STATUS) {
        serve_block_status(r);
    } else {
        send_result(r, serve_change(r));
    }
    if (c->failed) {
        nbd_channel_shutdown(c->channel);
    }
    free(r->payload);
    g_free(r);
    c->running--;
    coroutine_queue_wake_all(&c->slots);
}

/* 0: a request was started; negative: the connection ends. */
static int read_request(Connection *c)
{
    uint8_t head[32];
    size_t size = c->extended ? 32 : 28;
    bool has_payload;
    Request *r;
    int result = nbd_read(c->channel, head, size);

    if (result < 0) {
        return result;
    }
    if (load_be32(head) != (c->extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC)) {
        return -EPROTO;
    }
    r = g_new0(Request, 1);
    r->connection = c;
    r->flags = load_be16(head + 4);
    r->type = load_be16(head + 6);
    r->cookie = load_be64(head + 8);
    r->offset = load_be64(head + 16);
    r->length = c->extended ? load_be64(head + 24) : load_be32(head + 24);
    has_payload = r->type == NBD_CMD_WRITE;
    if (r->type == NBD_CMD_DISC ||
        ((has_payload || r->type == NBD_CMD_READ) && r->length > NBD_MAX_BUFFER)) {
        result = r->type == NBD_CMD_DISC ? -ESHUTDOWN : -EINVAL;
    } else if (has_payload) {
        result = posix_memalign((void **)&r->payload, 4096, MAX(r->length, 1))
                     ? -ENOMEM
                     : nbd_read(c->channel, r->payload, r->length);
    }
    if (result < 0) {
        free(r->payload);
        g_free(r);
        return result;
    }
    c->running++;
    async_start(coroutine_context(), request_entry, r);
    return 0;
}

void nbd_serve(NbdExport *export, NbdChannel *channel)
{
    Connection c = { .export = export, .channel = channel };

    coroutine_mutex_init(&c.write_lock);
    coroutine_queue_init(&c.slots);
    if (negotiate(&c) == 1) {
        while (!c.failed && read_request(&c) == 0) {
            while (c.running >= REQUESTS_MAX) {
                coroutine_queue_wait(&c.slots);
            }
        }
    }
    while (c.running) {
        coroutine_queue_wait(&c.slots);
    }
    nbd_channel_free(channel);
}
