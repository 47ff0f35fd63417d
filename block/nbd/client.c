/* SPDX-License-Identifier: MIT */
/*
 * Disks of an NBD server. A receiver coroutine per connection takes replies in whatever order they
 * come; requests that a lost connection leaves unanswered are sent again within reconnect-delay.
 */
#include "base/bits.h"
#include "base/error.h"
#include "block/nbd/client.h"

#include <errno.h>

enum {
    CHUNK_MAX = 1024 * 1024 * 1024, /* of requests without payload, with 32-bit lengths */
};

static int nbd_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    NbdRequest request = {
        .type = NBD_CMD_READ, .offset = offset, .bytes = bytes, .vector = vector
    };

    return nbd_client_run(node->state, &request);
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
    return room ? nbd_client_run(node->state, &request) : 0;
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

        result = nbd_client_run(client, &request);
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
    return nbd_client_run(client, &request);
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
    result = nbd_client_run(client, &request);
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

static void nbd_hurry(BlockNode *node)
{
    NbdClient *client = node->state;

    if (!client->graph) {
        return; /* not open yet, or closed */
    }
    if (!g_queue_is_empty(&client->active)) {
        nbd_client_watch(client);
    }
    if (async_hastened(block_graph_context(node->graph))) {
        nbd_client_stop_connecting(client);
    }
}

static bool connect_first(NbdClient *client, GError **error)
{
    int64_t deadline_us =
        g_get_monotonic_time() + (int64_t)MIN(client->open_timeout_s, G_MAXINT32) * G_USEC_PER_SEC;

    for (;;) {
        GError *local = NULL;

        if (nbd_client_connect(client, true, &local)) {
            return true;
        }
        if (g_get_monotonic_time() >= deadline_us ||
            coroutine_hurry(coroutine_self()) >= HURRY_GIVE_UP) {
            g_propagate_error(error, local);
            return false;
        }
        g_error_free(local);
        coroutine_linger_ns(NBD_CLIENT_RETRY_NS);
    }
}

static void nbd_close(BlockNode *node)
{
    NbdClient *client = node->state;

    client->closing = true;
    nbd_client_stop_connecting(client);
    /* With requests unanswered the server may not read, either. */
    if (client->channel && !client->lost && !g_hash_table_size(client->requests)) {
        NbdRequest farewell = { .type = NBD_CMD_DISC };

        coroutine_mutex_lock(&client->write_lock);
        if (client->channel) {
            nbd_client_send(client, &farewell);
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
    if (!nbd_client_take_options(client, options, error) || !connect_first(client, error) ||
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

static void nbd_yank(BlockNode *node)
{
    NbdClient *client = node->state;

    if (!client->graph) {
        return; /* not open yet, or closed */
    }
    client->closing = true;
    nbd_client_stop_connecting(client);
    if (client->channel) {
        nbd_channel_shutdown(client->channel);
    }
    coroutine_queue_wake_all(&client->changed);
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
    .parse_filename = nbd_client_parse_filename,
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
    .yank = nbd_yank,
};
BLOCK_DRIVER(nbd_driver);
