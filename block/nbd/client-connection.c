/* SPDX-License-Identifier: MIT */
/* The NBD client's connection: made again when it is lost, and left by those who are in a hurry. */
#include "base/error.h"
#include "block/nbd/client.h"

#include <errno.h>

enum {
    WATCH_NS = 50 * 1000 * 1000,
    LEAVE_US = 1000 * 1000, /* how long who is in a hurry waits for an answer of the server */
};

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

bool nbd_client_connect(NbdClient *client, bool first, GError **error)
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
    async_start(block_graph_context(client->graph), nbd_client_receive, client);
    return true;
}

/* One attempt to connect again, which those that wait for it may leave. */
static void connector(void *opaque)
{
    NbdClient *client = opaque;
    int64_t wait_us = client->failed_us + NBD_CLIENT_RETRY_NS / 1000 - g_get_monotonic_time();

    if (client->failed_us && wait_us > 0) {
        coroutine_alarm_sleep_ns(&client->retry, (uint64_t)wait_us * 1000);
    }
    while (client->channel) { /* its receiver ends */
        coroutine_queue_wait(&client->changed);
    }
    client->failed_us = 0;
    if (client->closing || !nbd_client_connect(client, false, NULL)) {
        client->failed_us = g_get_monotonic_time();
    }
    client->attempts++;
    client->connector_runs = false;
    coroutine_queue_wake_all(&client->changed);
}

int nbd_client_reconnect(NbdClient *client, int64_t deadline_us)
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
void nbd_client_stop_connecting(NbdClient *client)
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

void nbd_client_watch(NbdClient *client)
{
    if (!client->watcher_runs) {
        client->watcher_runs = true;
        async_start(block_graph_context(client->graph), watcher, client);
    }
}
