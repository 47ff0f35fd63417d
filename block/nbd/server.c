/* SPDX-License-Identifier: MIT */
/* NBD server: exports, accepting, and the life of a connection. */
#include "block/nbd/server-internal.h"

#include "base/error.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HANDSHAKE_LIMIT_S = 10, GUARD_NS = 50 * 1000 * 1000 };

typedef struct {
    NbdServer *server;
    int fd;
} Acceptor;

NbdServer *nbd_server_new(BlockGraph *graph, TlsCredentials *credentials, unsigned max_clients)
{
    NbdServer *server = g_new0(NbdServer, 1);

    server->graph = graph;
    server->credentials = credentials;
    server->max_clients = max_clients;
    server->handshake_limit_s = HANDSHAKE_LIMIT_S;
    server->exports = g_ptr_array_new();
    server->sockets = g_array_new(FALSE, FALSE, sizeof(int));
    coroutine_queue_init(&server->changed);
    return server;
}

void nbd_server_set_handshake_limit(NbdServer *server, unsigned seconds)
{
    server->handshake_limit_s = seconds;
}

NbdExport *nbd_server_find_export(NbdServer *server, const char *name)
{
    for (guint i = 0; i < server->exports->len; i++) {
        NbdExport *export = server->exports->pdata[i];

        if (!strcmp(export->name, name)) {
            return export;
        }
    }
    return NULL;
}

NbdExport *nbd_server_add_export(NbdServer *server, const char *name, const char *description,
                                 BlockNode *node, bool writable, GError **error)
{
    unsigned perm = BLOCK_PERM_CONSISTENT_READ | (writable ? BLOCK_PERM_WRITE : 0);
    NbdExport *export;
    BlockChild *user;

    if (strlen(name) > NBD_NAME_MAX || (description && strlen(description) > NBD_NAME_MAX)) {
        error_fail(error, KASO_ERROR_INVALID, "export name or description is longer than %d bytes",
                   NBD_NAME_MAX);
        return NULL;
    }
    if (nbd_server_find_export(server, name)) {
        error_fail(error, KASO_ERROR_INVALID, "NBD server already has export named '%s'", name);
        return NULL;
    }
    user = node_attach_user(node, "an unnamed block device", perm,
                            BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE, error);
    if (!user) {
        return NULL;
    }
    export = g_new0(NbdExport, 1);
    export->name = g_strdup(name);
    export->description = g_strdup(description);
    export->user = user;
    export->writable = writable;
    export->bitmaps = g_ptr_array_new();
    export->multi_conn = server->max_clients != 1;
    g_ptr_array_add(server->exports, export);
    return export;
}

bool nbd_export_add_bitmap(NbdExport *export, const char *name, GError **error)
{
    DirtyBitmap *bitmap = NULL;

    for (BlockNode *node = export->user->node; node && !bitmap; node = node_below(node)) {
        bitmap = dirty_bitmap_find(node, name);
    }
    if (!bitmap) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "Bitmap '%s' is not found", name);
    }
    if (bitmap->inconsistent) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Bitmap '%s' is inconsistent and cannot be used", name);
    }
    if (bitmap->size < node_size(export->user->node) ||
        NBD_CONTEXT_BITMAPS + export->bitmaps->len >= NBD_CONTEXTS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Bitmap '%s' is shorter than the export, or there are too many", name);
    }
    bitmap->busy++; /* not to be removed meanwhile */
    g_ptr_array_add(export->bitmaps, bitmap);
    return true;
}

void nbd_server_drop(NbdConnection *connection)
{
    connection->dropped = true;
    nbd_channel_shutdown(connection->channel);
}

void nbd_server_remove_export(NbdServer *server, NbdExport *export)
{
    g_ptr_array_remove(server->exports, export);
    for (GList *link = server->connections; link; link = link->next) {
        NbdConnection *connection = link->data;

        if (connection->export == export) {
            nbd_server_drop(connection);
        }
    }
    while (export->users) {
        nbd_server_wait(server);
    }
    for (guint i = 0; i < export->bitmaps->len; i++) {
        ((DirtyBitmap *)export->bitmaps->pdata[i])->busy--;
    }
    child_detach(export->user);
    g_ptr_array_unref(export->bitmaps);
    g_free(export->name);
    g_free(export->description);
    g_free(export);
}

unsigned nbd_server_clients(const NbdServer *server, uint64_t *ever)
{
    *ever = server->clients_ever;
    return server->clients;
}

void nbd_server_wait(NbdServer *server)
{
    coroutine_queue_wait(&server->changed);
}

void nbd_server_wake(NbdServer *server)
{
    coroutine_queue_wake_all(&server->changed);
}

static void connection_run(void *opaque)
{
    NbdConnection *connection = opaque;
    NbdServer *server = connection->server;

    if (nbd_server_negotiate(connection) && connection->export) {
        connection->negotiated = true;
        connection->export->users++;
        nbd_server_serve(connection);
        if (connection->export->writable) {
            node_flush(connection->export->user->node);
        }
        connection->export->users--;
    }
    server->connections = g_list_remove(server->connections, connection);
    nbd_channel_free(connection->channel);
    g_free(connection->context_export);
    g_free(connection);
    server->clients--;
    nbd_server_wake(server);
}

/* Clients that connect and say nothing would keep others out. Runs while there are any. */
static void guard_handshakes(void *opaque)
{
    NbdServer *server = opaque;
    bool any = true;

    while (any) {
        coroutine_sleep_ns(GUARD_NS);
        any = false;
        for (GList *link = server->connections; link; link = link->next) {
            NbdConnection *connection = link->data;

            if (!connection->negotiated) {
                any = true;
                if (g_get_monotonic_time() > connection->deadline_us) {
                    nbd_server_drop(connection);
                }
            }
        }
    }
    server->guarding = false;
    nbd_server_wake(server);
}

static void connection_start(NbdServer *server, int fd)
{
    NbdConnection *connection = g_new0(NbdConnection, 1);

    connection->server = server;
    connection->channel = nbd_channel_new(fd);
    coroutine_mutex_init(&connection->write_lock);
    coroutine_queue_init(&connection->request_done);
    server->connections = g_list_prepend(server->connections, connection);
    server->clients++;
    server->clients_ever++;
    connection->deadline_us =
        g_get_monotonic_time() + (int64_t)server->handshake_limit_s * G_USEC_PER_SEC;
    async_start(block_graph_context(server->graph), connection_run, connection);
    if (server->handshake_limit_s && !server->guarding) {
        server->guarding = true;
        async_start(block_graph_context(server->graph), guard_handshakes, server);
    }
}

static void accept_run(void *opaque)
{
    Acceptor *acceptor = opaque;
    NbdServer *server = acceptor->server;

    while (!server->stopping) {
        int fd;

        if (server->max_clients && server->clients >= server->max_clients) {
            nbd_server_wait(server);
            continue;
        }
        fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            connection_start(server, fd);
        } else if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) {
            if (coroutine_poll_fd(acceptor->fd, POLLIN) < 0) {
                break;
            }
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            coroutine_sleep_ns(100 * 1000 * 1000);
        } else {
            break;
        }
    }
    close(acceptor->fd);
    g_free(acceptor);
    server->acceptors--;
    nbd_server_wake(server);
}

void nbd_server_add_socket(NbdServer *server, int fd)
{
    Acceptor *acceptor = g_new(Acceptor, 1);

    *acceptor = (Acceptor){ server, fd };
    g_array_append_val(server->sockets, fd);
    server->acceptors++;
    async_start(block_graph_context(server->graph), accept_run, acceptor);
}

void nbd_server_free(NbdServer *server)
{
    server->stopping = true;
    for (guint i = 0; i < server->sockets->len; i++) {
        shutdown(g_array_index(server->sockets, int, i), SHUT_RDWR);
    }
    for (GList *link = server->connections; link; link = link->next) {
        nbd_server_drop(link->data);
    }
    nbd_server_wake(server);
    while (server->clients || server->acceptors || server->guarding) {
        nbd_server_wait(server);
    }
    while (server->exports->len) {
        nbd_server_remove_export(server, server->exports->pdata[0]);
    }
    g_ptr_array_unref(server->exports);
    g_array_unref(server->sockets);
    tls_credentials_free(server->credentials);
    g_free(server);
}
