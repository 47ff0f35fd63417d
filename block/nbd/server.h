/* SPDX-License-Identifier: MIT */
/*
 * An NBD server on a graph's context: listening sockets, exports by name, connections. All
 * functions are called in coroutines of the graph.
 */
#ifndef BLOCK_NBD_SERVER_H
#define BLOCK_NBD_SERVER_H

#include "block/graph/bitmap.h"
#include "block/nbd/channel.h"

typedef struct NbdServer NbdServer;

typedef struct {
    char *name, *description;
    BlockChild *user; /* its node changes when a snapshot is put on top */
    bool writable, multi_conn, allocation_depth;
    bool write_through; /* each write is durable when it is answered */
    GPtrArray *bitmaps; /* DirtyBitmap, by order of their contexts */
    unsigned users;     /* connections in the transmission phase */
} NbdExport;

/* Takes credentials over; NULL: no TLS. max_clients 0: any number. */
NbdServer *nbd_server_new(BlockGraph *graph, TlsCredentials *credentials, unsigned max_clients);
/* Who has not chosen an export within that time is cut off; 0: no limit. 10 unless set. */
void nbd_server_set_handshake_limit(NbdServer *server, unsigned seconds);
/* Takes a listening socket over and starts to accept. */
void nbd_server_add_socket(NbdServer *server, int fd);
/* description: may be NULL. Takes a reference of its own on node. */
NbdExport *nbd_server_add_export(NbdServer *server, const char *name, const char *description,
                                 BlockNode *node, bool writable, GError **error);
NbdExport *nbd_server_find_export(NbdServer *server, const char *name);
/* Offers the bitmap of that name, of the node or what lies below, as a metadata context. */
bool nbd_export_add_bitmap(NbdExport *export, const char *name, GError **error);
/* Connections to it are cut. */
void nbd_server_remove_export(NbdServer *server, NbdExport *export);
/* Connections now, and ever. */
unsigned nbd_server_clients(const NbdServer *server, uint64_t *ever);
/* Waits for a client to come or go, or for nbd_server_wake. */
void nbd_server_wait(NbdServer *server);
void nbd_server_wake(NbdServer *server);
/* Cuts everything off, waits for the requests in flight, frees. */
void nbd_server_free(NbdServer *server);

#endif
