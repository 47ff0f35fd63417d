/* SPDX-License-Identifier: MIT */
/* The NBD client's requests: sent again after a lost connection, within reconnect-delay. */
#include "base/bits.h"
#include "block/nbd/client.h"

#include <errno.h>

enum { REQUESTS_MAX = 128 };

int nbd_client_send(NbdClient *client, NbdRequest *request)
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
            nbd_client_finish(client, request);
        }
    } else if (nbd_client_send(client, request) < 0) {
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

int nbd_client_run(NbdClient *client, NbdRequest *request)
{
    int64_t deadline_us = g_get_monotonic_time() +
                          (int64_t)MIN(client->reconnect_delay_s, G_MAXINT32) * G_USEC_PER_SEC;
    int result;

    request->coroutine = coroutine_self();
    request->active.data = request;
    g_queue_push_tail_link(&client->active, &request->active);
    if (coroutine_hurry(request->coroutine) >= HURRY_GIVE_UP) {
        nbd_client_watch(client);
    }
    do {
        result = nbd_client_reconnect(client, deadline_us);
        if (result == 0) {
            result = client_try(client, request);
        }
    } while (result == -ERESTART && client->reconnect_delay_s);
    g_queue_unlink(&client->active, &request->active);
    return result == -ERESTART ? -EIO : result;
}
