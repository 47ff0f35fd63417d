/* SPDX-License-Identifier: MIT */
/*
 * A byte stream to the other side of an NBD connection, plain or in TLS. One coroutine may read
 * while another writes. Results are 0 or a negative errno.
 */
#ifndef BLOCK_NBD_CHANNEL_H
#define BLOCK_NBD_CHANNEL_H

#include "block/graph/node.h"

typedef struct NbdChannel NbdChannel;
typedef struct TlsCredentials TlsCredentials;

/* Takes the socket over. */
NbdChannel *nbd_channel_new(int fd);
void nbd_channel_free(NbdChannel *channel);
/* Ends what is waiting in both directions. */
void nbd_channel_shutdown(NbdChannel *channel);
/* A closed connection is -ECONNRESET; before the first byte it is -EPIPE. */
int nbd_channel_read(NbdChannel *channel, void *buffer, size_t size);
int nbd_channel_read_vector(NbdChannel *channel, IoVector vector, uint64_t bytes);
int nbd_channel_skip(NbdChannel *channel, uint64_t bytes);
int nbd_channel_write(NbdChannel *channel, const void *buffer, size_t size);
/* A head and the first `bytes` of vector behind it. */
int nbd_channel_write_with(NbdChannel *channel, const void *head, size_t head_size, IoVector vector,
                           uint64_t bytes);

/* The options of a tls-creds object, or NULL. */
GHashTable *block_tls_creds(BlockGraph *graph, const char *id, GError **error);
/* The object with that id, ready for use on the server's or the client's side. */
TlsCredentials *tls_credentials_load(BlockGraph *graph, const char *id, bool server,
                                     GError **error);
void tls_credentials_free(TlsCredentials *credentials);
/*
 * Of a server: only clients whom the authz-* object of that id lets in end their handshakes well. Who they are says a certificate (its
 * distinguished name) or a pre-shared key (its user); fails where credentials ask for neither. NULL: no change.
 */
bool tls_credentials_set_authz(TlsCredentials *credentials, BlockGraph *graph, const char *authz,
                               GError **error);
/* host: whom the server's certificate must name; NULL on the server's side. */
bool nbd_channel_start_tls(NbdChannel *channel, TlsCredentials *credentials, const char *host,
                           GError **error);

/* Where to connect or listen: server.type=inet,server.host=… or server.path=…. */
typedef struct {
    char *host, *port; /* or */
    char *path;
} NbdAddress;
void nbd_address_clear(NbdAddress *address);
/* A connection that is being made, which another coroutine may end. */
typedef struct {
    GMutex lock;
    int fd; /* -1: not now */
    bool cancelled;
} NbdConnecting;
void nbd_connecting_init(NbdConnecting *connecting);
void nbd_connecting_clear(NbdConnecting *connecting);
/* For good: later ones fail, too. Never waits. */
void nbd_connecting_cancel(NbdConnecting *connecting);
/* A connected socket, or a negative errno; may take long, but lets others run. [coroutine] */
int nbd_address_connect(const NbdAddress *address, NbdConnecting *connecting, GError **error);
/* Appends listening sockets (int) to the array. */
bool nbd_address_listen(const NbdAddress *address, int backlog, GArray *sockets, GError **error);

#endif
