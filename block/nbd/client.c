/* SPDX-License-Identifier: MIT */
/*
 * Disks of an NBD server. A receiver coroutine per connection takes replies in whatever order they
 * come; requests that a lost connection leaves unanswered are sent again within reconnect-delay.
 */
#include "base/bits.h"
#include "base/error.h"
#include "block/nbd/negotiate.h"
#include "block/graph/node.h"

#include <errno.h>
#include <string.h>

enum {
    REQUESTS_MAX = 128,
    RETRY_NS = 200 * 1000 * 1000,
    WATCH_NS = 50 * 1000 * 1000,
    LEAVE_US = 1000 * 1000, /* how long who is in a hurry waits for an answer of the server */
    CHUNK_MAX = 1024 * 1024 * 1024, /* of requests without payload, with 32-bit lengths */
};

typedef struct {
    uint64_t cookie, offset, bytes;
    uint16_t type, flags;
    IoVector vector;
    uint64_t received; /* bytes of a read that chunks have covered */
    uint64_t extent_length;
    uint32_t extent_flags;
    Coroutine *waiter;
    bool finished;
    int result;

    /* Of those in client->active: */
    GList active;
    Coroutine *coroutine;
    bool sent;
    bool left;        /* its coroutine shall go on without the answer */
    int64_t hurry_us; /* since when it has been in a hurry, or 0 */
    bool orphan;      /* a copy that takes the answer nobody waits for */
} NbdRequest;

typedef struct {
    BlockGraph *graph;
    NbdAddress address;
    char *tls_id, *tls_host;
    NbdExportInfo info;
    uint64_t reconnect_delay_s, open_timeout_s;

    TlsCredentials *credentials;
    NbdChannel *channel; /* NULL: no connection */
    bool lost;           /* the receiver is about to drop the channel */
    bool closing;
    GHashTable *requests;        /* cookie -> NbdRequest in flight */
    GQueue active;               /* NbdRequest, with those that wait for a connection */
    const NbdRequest *receiving; /* whose answer is being read into its vector */
    uint64_t next_cookie;
    CoroutineMutex write_lock;
    CoroutineQueue slots;
    CoroutineQueue changed; /* connected, lost, gave up, in a hurry */

    NbdConnecting connecting;
    NbdChannel *negotiating;
    CoroutineAlarm retry;
    bool connector_runs, watcher_runs;
    uint64_t attempts; /* to connect again */
    int64_t failed_us; /* when the last one did, or 0 */
} NbdClient;

/* Receiving. */

static void request_finish(NbdClient *client, NbdRequest *request)
{
    g_hash_table_remove(client->requests, &request->cookie);
    request->finished = true;
    if (request->waiter) {
        coroutine_wake(request->waiter);
        request->waiter = NULL;
    }
    coroutine_queue_wake_one(&client->slots);
    if (request->orphan) {
        g_free(request);
    }
}

static int receive_error(NbdClient *client, NbdRequest *request, uint64_t size)
{
    uint8_t head[6];
    int result;

    if (size < sizeof head) {
        return -EPROTO;
    }
    result = nbd_channel_read(client->channel, head, sizeof head);
    if (result == 0) {
        uint32_t code = load_be32(head);

        request->result = code ? -nbd_error_to_errno(code) : -EPROTO;
        result = nbd_channel_skip(client->channel, size - sizeof head);
    }
    return result;
}

/* A chunk of data or a hole. */
static int receive_data(NbdClient *client, NbdRequest *request, uint16_t type, uint64_t size)
{
    bool hole = type == NBD_REPLY_TYPE_OFFSET_HOLE;
    uint8_t head[12];
    size_t head_size = hole ? 12 : 8;
    uint64_t offset, bytes;
    int result;

    if (request->type != NBD_CMD_READ || (hole ? size != 12 : size <= 8)) {
        return -EPROTO;
    }
    result = nbd_channel_read(client->channel, head, head_size);
    if (result < 0) {
        return result;
    }
    offset = load_be64(head);
    bytes = hole ? load_be32(head + 8) : size - 8;
    if (offset < request->offset || offset - request->offset > request->bytes ||
        bytes > request->bytes - (offset - request->offset)) {
        return -EPROTO;
    }
    request->received += bytes;
    if (request->orphan) {
        return hole ? 0 : nbd_channel_skip(client->channel, bytes);
    }
    if (hole) {
        io_vector_zero(io_vector_skip(request->vector, offset - request->offset), bytes);
        return 0;
    }
    return nbd_channel_read_vector(
        client->channel, io_vector_skip(request->vector, offset - request->offset), bytes);
}

/* The first extent counts, the others are only there to save requests. */
static int receive_extents(NbdClient *client, NbdRequest *request, bool wide, uint64_t size)
{
    uint8_t head[24];
    size_t head_size = wide ? 24 : 12;
    int result;

    if (request->type != NBD_CMD_BLOCK_STATUS || size < head_size || size > NBD_PAYLOAD_MAX) {
        return -EPROTO;
    }
    result = nbd_channel_read(client->channel, head, head_size);
    if (result == 0 && load_be32(head) == client->info.context_id) {
        request->extent_length = wide ? load_be64(head + 8) : load_be32(head + 4);
        request->extent_flags = wide ? (uint32_t)load_be64(head + 16) : load_be32(head + 8);
    }
    return result < 0 ? result : nbd_channel_skip(client->channel, size - head_size);
}

static int receive_chunk(NbdClient *client, NbdRequest *request, uint16_t flags, uint16_t type,
                         uint64_t size)
{
    int result;

    switch (type) {
    case NBD_REPLY_TYPE_NONE:
        result = size || !(flags & NBD_REPLY_FLAG_DONE) ? -EPROTO : 0;
        break;
    case NBD_REPLY_TYPE_OFFSET_DATA:
    case NBD_REPLY_TYPE_OFFSET_HOLE:
        result = receive_data(client, request, type, size);
        break;
    case NBD_REPLY_TYPE_BLOCK_STATUS:
    case NBD_REPLY_TYPE_BLOCK_STATUS_EXT:
        result = receive_extents(client, request, type == NBD_REPLY_TYPE_BLOCK_STATUS_EXT, size);
        break;
    default:
        result = type & 0x8000 ? receive_error(client, request, size) : -EPROTO;
        break;
    }
    if (result == 0 && (flags & NBD_REPLY_FLAG_DONE)) {
        if (request->type == NBD_CMD_READ && request->result == 0 &&
            request->received != request->bytes) {
            request->result = -EIO;
        }
        request_finish(client, request);
    }
    return result;
}

static int receive_simple(NbdClient *client, NbdRequest *request, uint32_t error)
{
    int result = 0;

    request->result = error ? -nbd_error_to_errno(error) : 0;
    if (request->type == NBD_CMD_READ && !error) {
        if (client->info.mode != NBD_MODE_SIMPLE) {
            return -EPROTO;
        }
        result = request->orphan
                     ? nbd_channel_skip(client->channel, request->bytes)
                     : nbd_channel_read_vector(client->channel, request->vector, request->bytes);
    }
    if (result == 0) {
        request_finish(client, request);
    }
    return result;
}

static int receive_reply(NbdClient *client)
{
    NbdMode mode = client->info.mode;
    uint8_t head[NBD_EXTENDED_REPLY_SIZE];
    size_t size = mode == NBD_MODE_EXTENDED ? NBD_EXTENDED_REPLY_SIZE : NBD_SIMPLE_REPLY_SIZE;
    int result = nbd_channel_read(client->channel, head, size);
    uint32_t magic = load_be32(head);
    NbdRequest *request;
    uint64_t cookie;

    if (result < 0) {
        return result;
    }
    cookie = load_be64(head + 8);
    request = g_hash_table_lookup(client->requests, &cookie);
    if (!request) {
        return -EPROTO;
    }
    client->receiving = request;
    if (magic == NBD_SIMPLE_REPLY_MAGIC && mode != NBD_MODE_EXTENDED) {
        return receive_simple(client, request, load_be32(head + 4));
    }
    if (magic == NBD_EXTENDED_REPLY_MAGIC && mode == NBD_MODE_EXTENDED) {
        return receive_chunk(client, request, load_be16(head + 4), load_be16(head + 6),
                             load_be64(head + 24));
    }
    if (magic != NBD_STRUCTURED_REPLY_MAGIC || mode != NBD_MODE_STRUCTURED) {
        return -EPROTO;
    }
    result = nbd_channel_read(client->channel, head + NBD_SIMPLE_REPLY_SIZE,
                              NBD_STRUCTURED_REPLY_SIZE - NBD_SIMPLE_REPLY_SIZE);
    return result < 0 ? result
                      : receive_chunk(client, request, load_be16(head + 4), load_be16(head + 6),
                                      load_be32(head + 16));
}

static void receiver(void *opaque)
{
    NbdClient *client = opaque;
    NbdChannel *channel = client->channel;
    g_autoptr(GList) left = NULL;

    while (receive_reply(client) == 0) {
        client->receiving = NULL;
    }
    client->receiving = NULL;
    client->lost = true;
    nbd_channel_shutdown(channel);
    coroutine_mutex_lock(&client->write_lock); /* whoever is still writing */
    client->channel = NULL;
    left = g_hash_table_get_values(client->requests);
    for (GList *link = left; link; link = link->next) {
        NbdRequest *request = link->data;

        request->result = -ERESTART;
        request_finish(client, request);
    }
    coroutine_mutex_unlock(&client->write_lock);
    nbd_channel_free(channel);
    coroutine_queue_wake_all(&client->changed);
}

/* Connecting. */

/* The export that was opened must still be the one that is there. */
static bool check_same_export(const NbdExportInfo *old, const NbdExportInfo *new, GError **error)
{
    if (old->size != new->size) {
        return error_fail(error, KASO_ERROR_IO,
                          "The export's size changed from %" G_GUINT64_FORMAT
                          " to %" G_GUINT64_FORMAT,
                          old->size, new->size);
    }
    if ((old->flags & ~new->flags & ~(unsigned)NBD_FLAG_READ_ONLY) ||
        (new->flags & ~old->flags &NBD_FLAG_READ_ONLY) || new->block_min > old->block_min ||
        (old->has_context && !new->has_context)) {
        return error_fail(error, KASO_ERROR_IO, "The export can do less than before");
    }
    return true;
}

static bool client_connect(NbdClient *client, bool first, GError **error)
{
    const char *host = client->tls_host ? client->tls_host : client->address.host;
    NbdExportInfo info = { .name = g_strdup(client->info.name),
                           .context = g_strdup(client->info.context) };
    int fd = nbd_address_connect(&client->address, &client->connecting, error);
    NbdChannel *channel;
    bool done;

    if (fd < 0) {
        nbd_export_info_clear(&info);
        return false;
    }
    channel = client->negotiating = nbd_channel_new(fd);
    done = nbd_negotiate(channel, client->credentials, host, &info, error) &&
           (first || check_same_export(&client->info, &info, error));
    client->negotiating = NULL;
    if (!done) {
        nbd_channel_free(channel);
        nbd_export_info_clear(&info);
        return false;
    }
    nbd_export_info_clear(&client->info);
    client->info = info;
    client->channel = channel;
    client->lost = false;
    async_start(block_graph_context(client->graph), receiver, client);
    return true;
}

/* One attempt to connect again, which those that wait for it may leave. */
static void connector(void *opaque)
{
    NbdClient *client = opaque;
    int64_t wait_us = client->failed_us + RETRY_NS / 1000 - g_get_monotonic_time();

    if (client->failed_us && wait_us > 0) {
        coroutine_alarm_sleep_ns(&client->retry, (uint64_t)wait_us * 1000);
    }
    while (client->channel) { /* its receiver ends */
        coroutine_queue_wait(&client->changed);
    }
    client->failed_us = 0;
    if (client->closing || !client_connect(client, false, NULL)) {
        client->failed_us = g_get_monotonic_time();
    }
    client->attempts++;
    client->connector_runs = false;
    coroutine_queue_wake_all(&client->changed);
}

/* Connects again until the deadline; at least one attempt is made. */
static int client_ensure_connected(NbdClient *client, int64_t deadline_us)
{
    uint64_t before = client->attempts;
    int result = 0;

    if (client->channel && !client->lost) {
        return 0;
    }
    block_graph_add_stalled(client->graph, 1);
    while (result == 0 && (!client->channel || client->lost)) {
        if (client->closing || coroutine_hurry(coroutine_self()) >= HURRY_GIVE_UP ||
            (client->attempts != before && g_get_monotonic_time() >= deadline_us)) {
            result = -EIO;
        } else {
            if (!client->connector_runs) {
                client->connector_runs = true;
                async_start(block_graph_context(client->graph), connector, client);
            }
            coroutine_queue_wait(&client->changed);
        }
    }
    block_graph_add_stalled(client->graph, -1);
    return result;
}

/* What waits for a server that does not accept or does not speak, ends. */
static void stop_connecting(NbdClient *client)
{
    nbd_connecting_cancel(&client->connecting);
    coroutine_alarm_ring(&client->retry);
    if (client->negotiating) {
        nbd_channel_shutdown(client->negotiating);
    }
}

/*
 * A request in a hurry whose answer does not come is left. One that is not even sent, or half received, shows
 * that the connection is stuck; so does any when the process ends, as others would only follow.
 */
static void leave_late(NbdClient *client, NbdRequest *request, int64_t now_us)
{
    if (!request->hurry_us) {
        request->hurry_us = now_us;
    } else if (now_us - request->hurry_us > LEAVE_US && client->channel && !client->lost) {
        if (request->sent && client->receiving != request &&
            !async_hastened(block_graph_context(client->graph))) {
            request->left = true;
            if (request->waiter) {
                coroutine_wake(request->waiter);
                request->waiter = NULL;
            }
        } else {
            nbd_channel_shutdown(client->channel);
        }
    }
}

static void watcher(void *opaque)
{
    NbdClient *client = opaque;
    bool any;

    do {
        int64_t now_us = g_get_monotonic_time();

        any = false;
        for (GList *link = client->active.head; link; link = link->next) {
            NbdRequest *request = link->data;
            HurryLevel level = coroutine_hurry(request->coroutine);

            any |= level >= HURRY_GIVE_UP;
            if (level == HURRY_LEAVE && !request->left) {
                leave_late(client, request, now_us);
            }
        }
        coroutine_queue_wake_all(&client->changed);
        if (any) {
            coroutine_sleep_ns(WATCH_NS);
        }
    } while (any);
    client->watcher_runs = false;
    coroutine_queue_wake_all(&client->changed);
}

static void start_watcher(NbdClient *client)
{
    if (!client->watcher_runs) {
        client->watcher_runs = true;
        async_start(block_graph_context(client->graph), watcher, client);
    }
}

static void nbd_hurry(BlockNode *node)
{
    NbdClient *client = node->state;

    if (!client->graph) {
        return; /* not open yet, or closed */
    }
    if (!g_queue_is_empty(&client->active)) {
        start_watcher(client);
    }
    if (async_hastened(block_graph_context(node->graph))) {
        stop_connecting(client);
    }
}

/* Requests. */

static int send_request(NbdClient *client, NbdRequest *request)
{
    bool extended = client->info.mode == NBD_MODE_EXTENDED;
    bool payload = request->type == NBD_CMD_WRITE;
    uint8_t head[NBD_EXTENDED_REQUEST_SIZE];

    store_be32(head, extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC);
    store_be16(head + 4, request->flags | (extended && payload ? NBD_CMD_FLAG_PAYLOAD_LEN : 0));
    store_be16(head + 6, request->type);
    store_be64(head + 8, request->cookie);
    store_be64(head + 16, request->offset);
    if (extended) {
        store_be64(head + 24, request->bytes);
    } else {
        store_be32(head + 24, (uint32_t)request->bytes);
    }
    return nbd_channel_write_with(client->channel, head,
                                  extended ? NBD_EXTENDED_REQUEST_SIZE : NBD_REQUEST_SIZE,
                                  request->vector, payload ? request->bytes : 0);
}

/* The answer, should it come, goes to a copy. */
static void leave_orphan(NbdClient *client, const NbdRequest *request)
{
    NbdRequest *orphan = g_memdup2(request, sizeof *request);

    orphan->vector = (IoVector){ 0 };
    orphan->waiter = NULL;
    orphan->orphan = true;
    g_hash_table_remove(client->requests, &request->cookie);
    g_hash_table_insert(client->requests, &orphan->cookie, orphan);
}

/* -ERESTART: the connection was lost before the reply. */
static int client_try(NbdClient *client, NbdRequest *request)
{
    while (g_hash_table_size(client->requests) >= REQUESTS_MAX) {
        coroutine_queue_wait(&client->slots);
    }
    request->finished = request->sent = false;
    request->result = 0;
    request->received = request->extent_length = 0;
    request->cookie = ++client->next_cookie;
    g_hash_table_insert(client->requests, &request->cookie, request);
    coroutine_mutex_lock(&client->write_lock);
    if (!client->channel || client->lost) {
        if (!request->finished) {
            request->result = -ERESTART;
            request_finish(client, request);
        }
    } else if (send_request(client, request) < 0) {
        nbd_channel_shutdown(client->channel); /* the receiver ends the request */
    }
    request->sent = true;
    coroutine_mutex_unlock(&client->write_lock);
    while (!request->finished && !request->left) {
        request->waiter = coroutine_self();
        coroutine_yield();
    }
    if (!request->finished) {
        leave_orphan(client, request);
        return -ECANCELED;
    }
    return request->result;
}

static int client_run(NbdClient *client, NbdRequest *request)
{
    int64_t deadline_us = g_get_monotonic_time() +
                          (int64_t)MIN(client->reconnect_delay_s, G_MAXINT32) * G_USEC_PER_SEC;
    int result;

    request->coroutine = coroutine_self();
    request->active.data = request;
    g_queue_push_tail_link(&client->active, &request->active);
    if (coroutine_hurry(request->coroutine) >= HURRY_GIVE_UP) {
        start_watcher(client);
    }
    do {
        result = client_ensure_connected(client, deadline_us);
        if (result == 0) {
            result = client_try(client, request);
        }
    } while (result == -ERESTART && client->reconnect_delay_s);
    g_queue_unlink(&client->active, &request->active);
    return result == -ERESTART ? -EIO : result;
}

static int nbd_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    NbdRequest request = {
        .type = NBD_CMD_READ, .offset = offset, .bytes = bytes, .vector = vector
    };

    return client_run(node->state, &request);
}

static uint64_t bytes_inside(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return node->size > offset ? MIN(bytes, node->size - offset) : 0;
}

static int nbd_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                     unsigned flags)
{
    uint64_t room = bytes_inside(node, offset, bytes);
    NbdRequest request = { .type = NBD_CMD_WRITE,
                           .offset = offset,
                           .bytes = room,
                           .vector = vector,
                           .flags = flags & BLOCK_FUA ? NBD_CMD_FLAG_FUA : 0 };

    /* The last sector may end behind the export, where zeroes are read. */
    if (room < bytes && !io_vector_is_zero(io_vector_skip(vector, room), bytes - room)) {
        return -ENOSPC;
    }
    return room ? client_run(node->state, &request) : 0;
}

/* Requests whose length is no payload, in pieces that the length field holds. */
static int run_range(NbdClient *client, uint16_t type, uint16_t flags, uint64_t offset,
                     uint64_t bytes)
{
    int result = 0;

    while (bytes && result == 0) {
        NbdRequest request = { .type = type,
                               .flags = flags,
                               .offset = offset,
                               .bytes = client->info.mode == NBD_MODE_EXTENDED
                                            ? bytes
                                            : MIN(bytes, CHUNK_MAX) };

        result = client_run(client, &request);
        offset += request.bytes;
        bytes -= request.bytes;
    }
    return result;
}

static int nbd_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    NbdClient *client = node->state;
    uint16_t command = 0;

    if (!(client->info.flags & NBD_FLAG_SEND_WRITE_ZEROES)) {
        return -ENOTSUP;
    }
    if ((flags & BLOCK_FUA) && node->supports_fua) {
        command |= NBD_CMD_FLAG_FUA;
    }
    if (!(flags & BLOCK_MAY_UNMAP)) {
        command |= NBD_CMD_FLAG_NO_HOLE;
    }
    if ((flags & BLOCK_NO_FALLBACK) && (client->info.flags & NBD_FLAG_SEND_FAST_ZERO)) {
        command |= NBD_CMD_FLAG_FAST_ZERO;
    }
    return run_range(client, NBD_CMD_WRITE_ZEROES, command, offset,
                     bytes_inside(node, offset, bytes));
}

static int nbd_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    NbdClient *client = node->state;

    if (!(client->info.flags & NBD_FLAG_SEND_TRIM)) {
        return 0;
    }
    return run_range(client, NBD_CMD_TRIM, 0, offset, bytes_inside(node, offset, bytes));
}

static int nbd_flush(BlockNode *node)
{
    NbdClient *client = node->state;
    NbdRequest request = { .type = NBD_CMD_FLUSH };

    if (!(client->info.flags & NBD_FLAG_SEND_FLUSH)) {
        return 0;
    }
    return client_run(client, &request);
}

static int nbd_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                      uint64_t *map, BlockNode **file)
{
    NbdClient *client = node->state;
    NbdRequest request = { .type = NBD_CMD_BLOCK_STATUS,
                           .flags = NBD_CMD_FLAG_REQ_ONE,
                           .offset = offset,
                           .bytes = client->info.mode == NBD_MODE_EXTENDED
                                        ? bytes
                                        : MIN(bytes, CHUNK_MAX) };
    int status = BLOCK_STATUS_OFFSET_VALID | BLOCK_STATUS_ALLOCATED, result;

    *map = offset;
    *file = node;
    *count = bytes;
    if (!client->info.has_context) {
        return status | BLOCK_STATUS_DATA;
    }
    result = client_run(client, &request);
    if (result < 0) {
        return result;
    }
    if (!request.extent_length) {
        return -EIO;
    }
    *count = MIN(request.bytes, request.extent_length);
    if (client->info.context) { /* a dirty bitmap: what is dirty counts as data */
        return status | (request.extent_flags & 1 ? 0 : BLOCK_STATUS_DATA);
    }
    status |= request.extent_flags & NBD_STATE_HOLE ? 0 : BLOCK_STATUS_DATA;
    return status | (request.extent_flags & NBD_STATE_ZERO ? BLOCK_STATUS_ZERO : 0);
}

static int64_t nbd_length(BlockNode *node)
{
    return (int64_t)((NbdClient *)node->state)->info.size;
}

static int64_t nbd_allocated_size(BlockNode *node)
{
    return -ENOTSUP;
}

/* Opening. */

/* nbd://host:port/export, nbd+unix:///export?socket=path */
static bool parse_uri(const char *filename, GHashTable *options, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(filename, G_URI_FLAGS_NONE, error);
    g_autoptr(GHashTable) query = NULL;
    const char *path, *socket;

    if (!uri) {
        g_prefix_error(error, "Invalid NBD URI '%s': ", filename);
        return false;
    }
    query = g_uri_get_query(uri)
                ? g_uri_parse_params(g_uri_get_query(uri), -1, "&", G_URI_PARAMS_NONE, error)
                : g_hash_table_new(g_str_hash, g_str_equal);
    if (!query) {
        return false;
    }
    path = g_uri_get_path(uri);
    if (path[0] == '/') {
        path++;
    }
    if (path[0]) {
        options_set(options, "export", path);
    }
    socket = g_hash_table_lookup(query, "socket");
    if (!strcmp(g_uri_get_scheme(uri), "nbd+unix")) {
        if (!socket || g_hash_table_size(query) != 1) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The URI '%s' needs ?socket=PATH and nothing else", filename);
        }
        options_set(options, "server.type", "unix");
        options_set(options, "server.path", socket);
        return true;
    }
    if (g_hash_table_size(query) || !g_uri_get_host(uri) || !g_uri_get_host(uri)[0]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The URI '%s' must be nbd://HOST[:PORT][/EXPORT]", filename);
    }
    options_set(options, "server.type", "inet");
    options_set(options, "server.host", g_uri_get_host(uri));
    if (g_uri_get_port(uri) > 0) {
        g_autofree char *port = g_strdup_printf("%d", g_uri_get_port(uri));

        options_set(options, "server.port", port);
    }
    return true;
}

/* nbd:host:port[:exportname=NAME], nbd:unix:path[:exportname=NAME] */
static bool parse_legacy(const char *filename, GHashTable *options, GError **error)
{
    g_autofree char *text = g_strdup(filename + strlen("nbd:"));
    char *export = strstr(text, ":exportname="), *colon, *host = text;

    if (export) {
        *export = 0;
        options_set(options, "export", export + strlen(":exportname="));
    }
    if (g_str_has_prefix(text, "unix:")) {
        options_set(options, "server.type", "unix");
        options_set(options, "server.path", text + strlen("unix:"));
        return true;
    }
    colon = strrchr(text, ':');
    if (!colon || !colon[1]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' must be nbd:HOST:PORT[:exportname=NAME] or nbd:unix:PATH",
                          filename);
    }
    *colon = 0;
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = 0;
        host++;
    }
    options_set(options, "server.type", "inet");
    options_set(options, "server.host", host);
    options_set(options, "server.port", colon + 1);
    return true;
}

static bool nbd_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    return strstr(filename, "://") ? parse_uri(filename, options, error)
                                   : parse_legacy(filename, options, error);
}

static bool take_address(NbdClient *client, GHashTable *options, GError **error)
{
    static const char *const short_names[] = { "host", "port", "path" };
    char **fields[] = { &client->address.host, &client->address.port, &client->address.path };
    g_autofree char *type = options_take(options, "server.type");

    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *full = g_strconcat("server.", short_names[i], NULL);

        *fields[i] = options_take(options, full);
        if (!*fields[i]) {
            *fields[i] = options_take(options, short_names[i]);
        }
    }
    if (!client->address.host == !client->address.path ||
        (type && strcmp(type, client->address.path ? "unix" : "inet"))) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "An NBD server needs server.type=inet with server.host and server.port, or "
            "server.type=unix with server.path");
    }
    if (!client->address.port) {
        client->address.port = g_strdup_printf("%d", NBD_DEFAULT_PORT);
    }
    return true;
}

static bool take_options(NbdClient *client, GHashTable *options, GError **error)
{
    g_autofree char *filename = options_take(options, "filename");

    if ((filename && !nbd_parse_filename(filename, options, error)) ||
        !take_address(client, options, error) ||
        !options_take_number(options, "reconnect-delay", &client->reconnect_delay_s, error) ||
        !options_take_number(options, "open-timeout", &client->open_timeout_s, error)) {
        return false;
    }
    client->info.name = options_take(options, "export");
    if (!client->info.name) {
        client->info.name = g_strdup("");
    }
    client->info.context = options_take(options, "x-dirty-bitmap");
    client->tls_id = options_take(options, "tls-creds");
    client->tls_host = options_take(options, "tls-hostname");
    if (client->tls_id) {
        client->credentials = tls_credentials_load(client->graph, client->tls_id, false, error);
    }
    return !client->tls_id || client->credentials;
}

static bool connect_first(NbdClient *client, GError **error)
{
    int64_t deadline_us =
        g_get_monotonic_time() + (int64_t)MIN(client->open_timeout_s, G_MAXINT32) * G_USEC_PER_SEC;

    for (;;) {
        GError *local = NULL;

        if (client_connect(client, true, &local)) {
            return true;
        }
        if (g_get_monotonic_time() >= deadline_us ||
            coroutine_hurry(coroutine_self()) >= HURRY_GIVE_UP) {
            g_propagate_error(error, local);
            return false;
        }
        g_error_free(local);
        coroutine_linger_ns(RETRY_NS);
    }
}

static void nbd_close(BlockNode *node)
{
    NbdClient *client = node->state;

    client->closing = true;
    stop_connecting(client);
    /* With requests unanswered the server may not read, either. */
    if (client->channel && !client->lost && !g_hash_table_size(client->requests)) {
        NbdRequest farewell = { .type = NBD_CMD_DISC };

        coroutine_mutex_lock(&client->write_lock);
        if (client->channel) {
            send_request(client, &farewell);
        }
        coroutine_mutex_unlock(&client->write_lock);
    }
    if (client->channel) {
        nbd_channel_shutdown(client->channel);
    }
    while (client->channel || client->connector_runs || client->watcher_runs) {
        coroutine_queue_wait(&client->changed);
    }
    client->graph = NULL;
    nbd_connecting_clear(&client->connecting);
    if (client->requests) {
        g_hash_table_unref(client->requests);
    }
    nbd_export_info_clear(&client->info);
    nbd_address_clear(&client->address);
    tls_credentials_free(client->credentials);
    g_free(client->tls_id);
    g_free(client->tls_host);
}

static bool check_read_only(BlockNode *node, NbdClient *client, GError **error)
{
    if (node->read_only || !(client->info.flags & NBD_FLAG_READ_ONLY)) {
        return true;
    }
    if (node->flags.auto_read_only) {
        node->read_only = node->flags.read_only = true;
        return true;
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "request on denied for read-only export '%s'; open it with read-only=on",
                      client->info.name);
}

static bool nbd_open(BlockNode *node, GHashTable *options, GError **error)
{
    NbdClient *client = node->state;

    client->graph = node->graph;
    coroutine_mutex_init(&client->write_lock);
    coroutine_queue_init(&client->slots);
    coroutine_queue_init(&client->changed);
    nbd_connecting_init(&client->connecting);
    client->requests = g_hash_table_new(g_int64_hash, g_int64_equal);
    if (!take_options(client, options, error) || !connect_first(client, error) ||
        !check_read_only(node, client, error)) {
        nbd_close(node);
        return false;
    }
    node->request_alignment = client->info.block_min;
    node->max_transfer =
        align_down(MIN(client->info.block_max, NBD_PAYLOAD_MAX), client->info.block_min);
    node->supports_fua = client->info.flags & NBD_FLAG_SEND_FUA;
    return true;
}

static const BlockOption nbd_options[] = {
    { "server", "server.type=inet with server.host, server.port; or unix with server.path" },
    { "host", "same as server.host" },
    { "port", "same as server.port" },
    { "path", "same as server.path" },
    { "export", "name of the export" },
    { "tls-creds", "id of a tls-creds-x509 or tls-creds-psk object" },
    { "tls-hostname", "whom the server's certificate must name" },
    { "x-dirty-bitmap", "metadata context to show as block status" },
    { "reconnect-delay", "seconds for which requests wait for a lost server" },
    { "open-timeout", "seconds to try to connect" },
    { 0 },
};

static const char *const nbd_prefixes[] = { "nbd:", "nbd+tcp:", "nbd+unix:", NULL };

static const BlockDriver nbd_driver = {
    .name = "nbd",
    .summary = "Disk of a network block device server",
    .options = nbd_options,
    .prefixes = nbd_prefixes,
    .instance_size = sizeof(NbdClient),
    .is_protocol = true,
    .parse_filename = nbd_parse_filename,
    .open = nbd_open,
    .close = nbd_close,
    .read = nbd_read,
    .write = nbd_write,
    .write_zeroes = nbd_write_zeroes,
    .discard = nbd_discard,
    .flush = nbd_flush,
    .length = nbd_length,
    .allocated_size = nbd_allocated_size,
    .status = nbd_status,
    .hurry = nbd_hurry,
};
BLOCK_DRIVER(nbd_driver);
