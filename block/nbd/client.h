/* SPDX-License-Identifier: MIT */
/* Inside the NBD client: its state, and what its parts offer each other. All of it runs in the node's context. */
#ifndef BLOCK_NBD_CLIENT_H
#define BLOCK_NBD_CLIENT_H

#include "block/graph/node.h"
#include "block/nbd/negotiate.h"

enum { NBD_CLIENT_RETRY_NS = 200 * 1000 * 1000 }; /* between attempts to connect */

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
    bool closing; /* or yanked: it connects no more */
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

/* The request is done with: wakes who waits for it. */
void nbd_client_finish(NbdClient *client, NbdRequest *request);
/* Takes replies until the connection ends, and then the channel away. [coroutine] */
void nbd_client_receive(void *client);

/* Connects and starts the receiver. Again (not first): the export has to be the one that was opened. [coroutine] */
bool nbd_client_connect(NbdClient *client, bool first, GError **error);
/* Connects again until the deadline, in at least one attempt: 0 or a negative errno. [coroutine] */
int nbd_client_reconnect(NbdClient *client, int64_t deadline_us);
/* What waits for a server that does not accept or does not speak, ends. */
void nbd_client_stop_connecting(NbdClient *client);
/* Looks after requests in a hurry while there are any. */
void nbd_client_watch(NbdClient *client);

/* Sends the head and the payload of a request, whose answer the receiver takes. write_lock is held. [coroutine] */
int nbd_client_send(NbdClient *client, NbdRequest *request);
/* Until it is answered, over as many connections as reconnect-delay allows: 0 or a negative errno. [coroutine] */
int nbd_client_run(NbdClient *client, NbdRequest *request);

/* Options out of nbd:// and nbd: names. */
bool nbd_client_parse_filename(const char *filename, GHashTable *options, GError **error);
/* Takes those that are the client's; loads the TLS credentials. */
bool nbd_client_take_options(NbdClient *client, GHashTable *options, GError **error);

#endif
