/* SPDX-License-Identifier: MIT */
/* What the parts of the NBD server share: acceptor, negotiation, requests. */
#ifndef BLOCK_NBD_SERVER_INTERNAL_H
#define BLOCK_NBD_SERVER_INTERNAL_H

#include "block/nbd/server.h"
#include "block/nbd/nbd.h"

/*
 * Metadata contexts; the values are their ids and their bits in NbdConnection.contexts. An export's
 * bitmaps follow from NBD_CONTEXT_BITMAPS on.
 */
enum { NBD_CONTEXT_ALLOCATION, NBD_CONTEXT_DEPTH, NBD_CONTEXT_BITMAPS, NBD_CONTEXTS_MAX = 32 };

struct NbdServer {
    BlockGraph *graph;
    TlsCredentials *credentials;
    unsigned max_clients;
    GPtrArray *exports; /* NbdExport */
    GList *connections; /* NbdConnection */
    unsigned clients, acceptors;
    uint64_t clients_ever;
    GArray *sockets;
    bool stopping;
    unsigned handshake_limit_s;
    bool guarding;          /* guard_handshakes runs */
    CoroutineQueue changed; /* a client or acceptor came or went */
};

typedef struct {
    NbdServer *server;
    NbdChannel *channel;
    NbdExport *export; /* NULL before the transmission phase */
    NbdMode mode;
    bool tls, no_zeroes, negotiated;
    bool dropped;         /* no request is begun any more */
    int64_t deadline_us;  /* of the handshake */
    char *context_export; /* for which contexts were chosen */
    unsigned contexts;    /* bits by NbdContext */
    unsigned in_flight;
    uint64_t in_flight_bytes;
    CoroutineMutex write_lock;
    CoroutineQueue request_done;
} NbdConnection;

/* Whether the client chose an export and wants to transmit. */
bool nbd_server_negotiate(NbdConnection *connection);
uint16_t nbd_server_export_flags(const NbdConnection *connection, const NbdExport *export);
/* Ends it. What a unix socket or we have received before and not begun is not done. */
void nbd_server_drop(NbdConnection *connection);
/* Serves requests until the connection ends; all of them are finished then. */
void nbd_server_serve(NbdConnection *connection);

#endif
