/* SPDX-License-Identifier: MIT */
/* Replies of an NBD server, in whatever order they come. */
#include "base/bits.h"
#include "block/nbd/client.h"

#include <errno.h>

void nbd_client_finish(NbdClient *client, NbdRequest *request)
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
        nbd_client_finish(client, request);
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
        nbd_client_finish(client, request);
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

void nbd_client_receive(void *opaque)
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
        nbd_client_finish(client, request);
    }
    coroutine_mutex_unlock(&client->write_lock);
    nbd_channel_free(channel);
    coroutine_queue_wake_all(&client->changed);
}
