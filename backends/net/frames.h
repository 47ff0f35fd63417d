/* SPDX-License-Identifier: MIT */
/* Frames on a stream of bytes: each follows its length, four big-endian bytes, which is that of all that follows the prefix. */
#ifndef BACKENDS_NET_FRAMES_H
#define BACKENDS_NET_FRAMES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bits.h"

enum { FRAME_MOST = 65536 + 4096, FRAME_LENGTH_BYTES = 4 };

/*
 * Bytes of the frame at the start of `data`, with its prefix, which begins with the length; 0: it is not there as a whole,
 * -1: it is none.
 */
static inline ssize_t frame_find(const uint8_t *data, size_t size, size_t prefix)
{
    uint32_t length = size < prefix ? 0 : load_be32(data);

    if (length > FRAME_MOST) {
        return -1;
    }
    return size < prefix + length ? 0 : (ssize_t)(prefix + length);
}

#endif
