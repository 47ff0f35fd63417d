/* SPDX-License-Identifier: MIT */
#include "ui/net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/watch.h"
#include "ui/net/websocket.h"

enum {
    READ_BYTES = 64 * 1024,
    /* What the kernel may keep that the peer has not taken: more would be old news before it is shown. */
    UNSENT_BYTES = 128 * 1024,
};

struct Stream {
    int fd;
    const StreamOps *ops;
    void *opaque;
    GByteArray *raw;    /* received, before frames are taken apart */
    GByteArray *framed; /* what was in the frames, before the layer */
    GByteArray *input;
    GByteArray *output;
    size_t output_at; /* how much of it has been sent */
    TlsSession *tls;
    short shaking_hands; /* poll's events that the handshake waits for; 0: it is none */
    bool websocket;
    WebSocket frames;
    const StreamLayer *layer; /* NULL: none */
    void *layer_opaque;
    bool reading, failed, freed;
    unsigned busy; /* callbacks that are running */
    guint read_watch, write_watch, failure;
};

static void update_watches(Stream *stream);

Stream *stream_new(int fd, const StreamOps *ops, void *opaque)
{
    Stream *stream = g_new0(Stream, 1);
    int one = 1, unsent = UNSENT_BYTES;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    /* These fail on unix sockets, which need neither. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    stream->fd = fd;
    stream->ops = ops;
    stream->opaque = opaque;
    stream->raw = g_byte_array_new();
    stream->framed = g_byte_array_new();
    stream->input = g_byte_array_new();
    stream->output = g_byte_array_new();
    stream->reading = true;
    update_watches(stream);
    return stream;
}

static void release(Stream *stream)
{
    if (stream->tls) {
        tls_session_free(stream->tls);
    }
    close(stream->fd);
    g_byte_array_unref(stream->raw);
    g_byte_array_unref(stream->framed);
    g_byte_array_unref(stream->input);
    g_byte_array_unref(stream->output);
    g_free(stream);
}

void stream_free(Stream *stream)
{
    g_clear_handle_id(&stream->read_watch, g_source_remove);
    g_clear_handle_id(&stream->write_watch, g_source_remove);
    g_clear_handle_id(&stream->failure, g_source_remove);
    stream->freed = true;
    if (!stream->busy) {
        release(stream);
    }
}

/* Between these two the owner may free the stream. */
static void enter(Stream *stream)
{
    stream->busy++;
}

/* false: it is gone. */
static bool leave(Stream *stream)
{
    if (--stream->busy == 0 && stream->freed) {
        release(stream);
        return false;
    }
    return !stream->freed;
}

static void fail(Stream *stream, const char *reason)
{
    if (!stream->failed && !stream->freed) {
        stream->failed = true;
        update_watches(stream);
        stream->ops->closed(stream->opaque, reason);
    }
}

static ssize_t send_some(Stream *stream)
{
    const uint8_t *data = stream->output->data + stream->output_at;
    size_t size = stream->output->len - stream->output_at;
    ssize_t sent;
    short events;

    if (stream->tls) {
        return tls_session_write(stream->tls, data, MIN(size, 16384), &events);
    }
    sent = send(stream->fd, data, size, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

/* Sends until the socket is full; 0, or the errno of a connection that is lost. */
static int flush(Stream *stream)
{
    while (stream->output_at < stream->output->len && !stream->shaking_hands) {
        ssize_t sent = send_some(stream);

        if (sent == -EAGAIN) {
            break;
        }
        if (sent < 0 && sent != -EINTR) {
            return (int)-sent;
        }
        stream->output_at += sent > 0 ? (size_t)sent : 0;
    }
    if (stream->output_at == stream->output->len) {
        g_byte_array_set_size(stream->output, 0);
        stream->output_at = 0;
    }
    return 0;
}

static void shake_hands(Stream *stream)
{
    g_autoptr(GError) error = NULL;
    int result = tls_session_shake_hands(stream->tls, &stream->shaking_hands, &error);

    if (result == 0) {
        stream->shaking_hands = 0;
        if (stream->ops->secured) {
            stream->ops->secured(stream->opaque);
        }
    } else if (result != -EAGAIN) {
        fail(stream, error->message);
    }
}

static ssize_t read_some(Stream *stream)
{
    GByteArray *to = stream->websocket ? stream->raw
                     : stream->layer   ? stream->framed
                                       : stream->input;
    guint size = to->len;
    short events;
    ssize_t got;

    g_byte_array_set_size(to, size + READ_BYTES);
    if (stream->tls) {
        got = tls_session_read(stream->tls, to->data + size, READ_BYTES, &events);
    } else {
        got = recv(stream->fd, to->data + size, READ_BYTES, 0);
        got = got < 0 ? -errno : got;
    }
    g_byte_array_set_size(to, size + (guint)MAX(got, 0));
    return got;
}

/* Takes frames and the layer apart; NULL, or what was wrong with them. */
static const char *unwrap(Stream *stream)
{
    GByteArray *framed = stream->framed;
    bool good = true;

    if (stream->websocket &&
        !websocket_decode(&stream->frames, stream->raw, stream->layer ? framed : stream->input,
                          stream->output)) {
        return "broken websocket frame";
    }
    if (stream->layer && framed->len) {
        good =
            stream->layer->decode(stream->layer_opaque, framed->data, framed->len, stream->input);
        g_byte_array_set_size(framed, 0);
    }
    return good ? NULL : "what came cannot be decrypted";
}

static void deliver(Stream *stream)
{
    const char *wrong = unwrap(stream);

    if (wrong) {
        fail(stream, wrong);
        return;
    }
    if (stream->input->len) {
        stream->ops->received(stream->opaque);
    }
    if (!stream->freed && stream->frames.closed) {
        flush(stream);
        fail(stream, "closed by the peer");
    }
}

static gboolean readable(gint fd, GIOCondition condition, gpointer opaque)
{
    Stream *stream = opaque;
    ssize_t got;

    enter(stream);
    if (stream->shaking_hands) {
        shake_hands(stream);
    } else {
        /* TLS reads one record of the socket's bytes, and gives all of it. */
        got = read_some(stream);
        if (got > 0) {
            deliver(stream);
        } else if (got == 0) {
            fail(stream, "closed by the peer");
        } else if (got != -EAGAIN && got != -EINTR) {
            fail(stream, g_strerror((int)-got));
        }
    }
    if (leave(stream)) {
        update_watches(stream);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean writable(gint fd, GIOCondition condition, gpointer opaque)
{
    Stream *stream = opaque;
    int result;

    enter(stream);
    if (stream->shaking_hands) {
        shake_hands(stream);
    }
    result = stream->freed ? 0 : flush(stream);
    if (result) {
        fail(stream, g_strerror(result));
    } else if (!stream->freed && !stream->output->len && stream->ops->drained) {
        stream->ops->drained(stream->opaque);
    }
    if (leave(stream)) {
        update_watches(stream);
    }
    return G_SOURCE_CONTINUE;
}

static void watch(Stream *stream, guint *watch, bool wanted, GIOCondition condition,
                  GUnixFDSourceFunc fn)
{
    if (wanted && !*watch) {
        *watch = watch_descriptor(stream->fd, condition, fn, stream);
    } else if (!wanted && *watch) {
        g_clear_handle_id(watch, g_source_remove);
    }
}

static void update_watches(Stream *stream)
{
    bool alive = !stream->failed && !stream->freed;

    short events = stream->shaking_hands;

    watch(stream, &stream->read_watch, alive && (events ? events & POLLIN : stream->reading),
          G_IO_IN, readable);
    watch(stream, &stream->write_watch,
          alive && (events ? events & POLLOUT : stream->output->len > 0), G_IO_OUT, writable);
}

bool stream_start_tls(Stream *stream, TlsCredentials *credentials, GError **error)
{
    flush(stream); /* what was said in the clear comes first */
    if (stream->output->len) {
        return error_fail(error, KASO_ERROR_IO, "the peer does not read");
    }
    stream->tls = tls_session_begin(stream->fd, credentials, NULL, error);
    stream->shaking_hands = stream->tls ? POLLIN : 0;
    update_watches(stream);
    return stream->tls != NULL;
}

void stream_start_websocket(Stream *stream, size_t used)
{
    stream->websocket = true;
    g_byte_array_append(stream->raw, stream->input->data + used, stream->input->len - (guint)used);
    g_byte_array_set_size(stream->input, (guint)used);
}

void stream_set_layer(Stream *stream, const StreamLayer *layer, void *opaque)
{
    stream->layer = layer;
    stream->layer_opaque = opaque;
}

GByteArray *stream_input(Stream *stream)
{
    return stream->input;
}

static gboolean fail_later(gpointer opaque)
{
    Stream *stream = opaque;

    stream->failure = 0;
    enter(stream);
    fail(stream, "the connection was lost");
    leave(stream);
    return G_SOURCE_REMOVE;
}

static void append(Stream *stream, const void *data, size_t size)
{
    uint8_t head[10];

    if (stream->websocket) {
        g_byte_array_append(stream->output, head, websocket_frame_head(head, size));
    }
    g_byte_array_append(stream->output, data, (guint)size);
}

static bool append_encoded(Stream *stream, const void *data, size_t size)
{
    GByteArray *encoded = g_byte_array_new();
    bool done = stream->layer->encode(stream->layer_opaque, data, size, encoded);

    if (done) {
        append(stream, encoded->data, encoded->len);
    }
    g_byte_array_unref(encoded);
    return done;
}

void stream_write(Stream *stream, const void *data, size_t size)
{
    bool lost = false;

    if (stream->failed || stream->freed || !size) {
        return;
    }
    if (stream->layer) {
        lost = !append_encoded(stream, data, size);
    } else {
        append(stream, data, size);
    }
    /* Callers do not expect to be told of the end from here. */
    if ((flush(stream) || lost) && !stream->failure) {
        stream->failure = g_idle_add(fail_later, stream);
    }
    update_watches(stream);
}

size_t stream_waiting(const Stream *stream)
{
    return stream->output->len - stream->output_at;
}

void stream_set_reading(Stream *stream, bool reading)
{
    stream->reading = reading;
    update_watches(stream);
}

int stream_fd(const Stream *stream)
{
    return stream->fd;
}

char *stream_identity(const Stream *stream)
{
    return stream->tls ? tls_session_identity(stream->tls) : NULL;
}
