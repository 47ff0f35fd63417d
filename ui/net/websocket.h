/* SPDX-License-Identifier: MIT */
/* Websockets (RFC 6455), the server's side: the handshake over HTTP, and frames. */
#ifndef UI_NET_WEBSOCKET_H
#define UI_NET_WEBSOCKET_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The head of an HTTP request. All strings are the request's own. */
typedef struct {
    char *text; /* cut into pieces */
    const char *method, *path, *query; /* query: what follows '?', or "" */
    GPtrArray *names, *values;         /* of its fields, parallel */
} HttpRequest;

enum { HTTP_REQUEST_MAX = 16384 };
typedef enum { HTTP_INCOMPLETE, HTTP_COMPLETE, HTTP_BAD } HttpState;
/* Takes a request's head off the front of `in` when all of it is there. */
HttpState http_request_take(GByteArray *in, HttpRequest **request);
void http_request_free(HttpRequest *request);
/* The value of a field, whatever the case of its name; NULL. */
const char *http_request_field(const HttpRequest *request, const char *name);

/* Whether it asks for a websocket; *answer is then what accepts it. */
bool websocket_accept(const HttpRequest *request, char **answer);

/* What a peer's frames need from one to the next. */
typedef struct {
    bool started;     /* in a message */
    bool closed;      /* a close frame has come: nothing more will */
    uint64_t left;    /* of the frame's payload */
    uint8_t mask[4];
    unsigned mask_at;
    bool control;     /* the frame is not data */
    uint8_t control_opcode;
    uint8_t control_data[125];
    unsigned control_size;
} WebSocket;

/*
 * Moves what whole or partial frames in `raw` carry to the end of `data`; answers to pings and closes go to
 * `reply`. false: what has come is no websocket's.
 */
bool websocket_decode(WebSocket *socket, GByteArray *raw, GByteArray *data, GByteArray *reply);
/* The head of a binary frame of `size` bytes: its length, up to 10. */
unsigned websocket_frame_head(uint8_t head[10], uint64_t size);

#endif
