/* SPDX-License-Identifier: MIT */
/*
 * A viewer's connection: a byte stream over a socket, in TLS and in a websocket's frames where that is wanted. All of it in
 * the main loop; callbacks come without the machine lock. Nothing blocks: what the peer does not take waits in memory,
 * and it is the owner who looks how much that is.
 */
#ifndef UI_NET_STREAM_H
#define UI_NET_STREAM_H

#include <glib.h>
#include <stdbool.h>

#include "base/error.h"
#include "block/nbd/tls.h"

typedef struct Stream Stream;

typedef struct {
    /* stream_input has grown. */
    void (*received)(void *opaque);
    /* All that was written has gone to the socket. May be NULL. */
    void (*drained)(void *opaque);
    /* The peer has gone, or broke a protocol; reason: for people. The owner frees the stream. */
    void (*closed)(void *opaque, const char *reason);
    /* The handshake that stream_start_tls began is done. May be NULL where TLS is never started. */
    void (*secured)(void *opaque);
} StreamOps;

/* Takes the socket over; callbacks begin in the main loop. */
Stream *stream_new(int fd, const StreamOps *ops, void *opaque);
/* No callback comes any more. May be called from one. What was not sent is lost. */
void stream_free(Stream *stream);
/* From here on in TLS, as the server. The owner has seen that nothing has come yet that it has not used. */
bool stream_start_tls(Stream *stream, TlsCredentials *credentials, GError **error);
/* What bytes go through beyond the socket, TLS and frames; each appends to `to`. false: the connection is broken. */
typedef struct {
    bool (*encode)(void *opaque, const void *data, size_t size, GByteArray *to);
    bool (*decode)(void *opaque, const void *data, size_t size, GByteArray *to);
} StreamLayer;
/* For what is read and written from here on; opaque outlives the stream. */
void stream_set_layer(Stream *stream, const StreamLayer *layer, void *opaque);
/* In frames: behind the first `used` bytes of the input, which is cut there, and from here on for what is sent. */
void stream_start_websocket(Stream *stream, size_t used);
/* What has come and was not taken: the owner removes from the front what it has used. */
GByteArray *stream_input(Stream *stream);
void stream_write(Stream *stream, const void *data, size_t size);
/* Bytes that wait for the peer. */
size_t stream_waiting(const Stream *stream);
/* false: what the peer sends stays with the kernel. */
void stream_set_reading(Stream *stream, bool reading);
int stream_fd(const Stream *stream);
/* Whom TLS has proved the peer to be; NULL: nobody. The caller frees. */
char *stream_identity(const Stream *stream);

#endif
