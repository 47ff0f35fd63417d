/* SPDX-License-Identifier: MIT */
/*
 * Frames over a character device, as QEMU's filters exchange them: the size as four big-endian bytes, with `with_header` four more
 * that say how much of it is virtio's header, then header and frame.
 */
#ifndef BACKENDS_NET_FRAME_STREAM_H
#define BACKENDS_NET_FRAME_STREAM_H

#include "backends/net/filter.h"
#include "machine/chardev.h"

typedef struct {
    Chardev *chardev;
    const char *who; /* the object's id, for messages */
    bool with_header;
    void (*received)(void *opaque, const FilterFrame *frame); /* NULL: what the peer sends is dropped */
    void *opaque;
    GByteArray *incoming; /* what is not yet a whole frame */
    GByteArray *outgoing; /* what the device did not take; whole frames but the first */
} FrameStream;

bool frame_stream_open(FrameStream *stream, GError **error);
void frame_stream_close(FrameStream *stream);
/* Dropped when nobody is at the other end, or too much waits already. */
void frame_stream_send(FrameStream *stream, const FilterFrame *frame);

#endif
