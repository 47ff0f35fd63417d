/* SPDX-License-Identifier: MIT */
/* Frames over a character device; see the header. */
#include "backends/net/frame-stream.h"

#include "backends/net/frames.h"
#include "base/bits.h"
#include "base/log.h"

enum { WORD = FRAME_LENGTH_BYTES, WAITING_MOST = 4 << 20 };

static size_t prefix_size(const FrameStream *stream)
{
    return stream->with_header ? 2 * WORD : WORD;
}

static void write_waiting(void *opaque)
{
    FrameStream *stream = opaque;
    size_t done = chardev_write(stream->chardev, stream->outgoing->data, stream->outgoing->len);

    g_byte_array_remove_range(stream->outgoing, 0, (guint)done);
}

void frame_stream_send(FrameStream *stream, const FilterFrame *frame)
{
    size_t header = stream->with_header ? frame->header_size : 0;
    uint8_t prefix[2 * WORD];

    if (!stream->chardev->open || stream->outgoing->len > WAITING_MOST) {
        return;
    }
    store_be32(prefix, (uint32_t)(header + frame->size));
    store_be32(prefix + WORD, (uint32_t)header);
    g_byte_array_append(stream->outgoing, prefix, (guint)prefix_size(stream));
    g_byte_array_append(stream->outgoing, frame->header, (guint)header);
    g_byte_array_append(stream->outgoing, frame->frame, (guint)frame->size);
    write_waiting(stream);
}

/* The frame at the start of the bytes; 0: it is not there as a whole, -1: it is none. */
static ssize_t parse_frame(const FrameStream *stream, uint8_t *data, size_t size,
                           FilterFrame *frame)
{
    size_t prefix = prefix_size(stream), total, header;
    ssize_t used = frame_find(data, size, prefix);

    if (used <= 0) {
        return used;
    }
    total = (size_t)used - prefix;
    header = stream->with_header ? load_be32(data + WORD) : 0;
    *frame = (FilterFrame){ data + prefix, data + prefix + header, header, total - header };
    return header > total ? -1 : used;
}

static size_t can_receive(void *opaque)
{
    return FRAME_MOST;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    FrameStream *stream = opaque;
    size_t done = 0;
    ssize_t used;
    FilterFrame frame;

    if (!stream->received) {
        return;
    }
    g_byte_array_append(stream->incoming, data, (guint)size);
    while ((used = parse_frame(stream, stream->incoming->data + done, stream->incoming->len - done,
                               &frame)) > 0) {
        stream->received(stream->opaque, &frame);
        done += (size_t)used;
    }
    if (used < 0) {
        g_printerr("kaso: warning: object '%s': what comes in are no frames; dropped\n",
                   stream->who);
        done = stream->incoming->len;
    }
    g_byte_array_remove_range(stream->incoming, 0, (guint)done);
}

/* A new peer begins with a whole frame. */
static void event(void *opaque, ChardevEvent what)
{
    FrameStream *stream = opaque;

    if (what == CHARDEV_OPENED || what == CHARDEV_CLOSED) {
        g_byte_array_set_size(stream->incoming, 0);
        g_byte_array_set_size(stream->outgoing, 0);
    }
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
    .can_write = write_waiting,
};

bool frame_stream_open(FrameStream *stream, GError **error)
{
    stream->incoming = g_byte_array_new();
    stream->outgoing = g_byte_array_new();
    if (chardev_attach(stream->chardev, &frontend, stream, error)) {
        return true;
    }
    g_clear_pointer(&stream->incoming, g_byte_array_unref);
    g_clear_pointer(&stream->outgoing, g_byte_array_unref);
    return false;
}

void frame_stream_close(FrameStream *stream)
{
    if (stream->incoming) {
        chardev_detach(stream->chardev, stream);
        g_clear_pointer(&stream->incoming, g_byte_array_unref);
        g_clear_pointer(&stream->outgoing, g_byte_array_unref);
    }
}
