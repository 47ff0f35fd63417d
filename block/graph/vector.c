/* SPDX-License-Identifier: MIT */
/* Scatter-gather lists. */
#include "block/graph/node.h"

#include <string.h>

IoVector io_vector_skip(IoVector vector, uint64_t bytes)
{
    vector.skip += bytes;
    while (vector.count && vector.skip >= vector.iov->iov_len) {
        vector.skip -= vector.iov->iov_len;
        vector.iov++;
        vector.count--;
    }
    return vector;
}

/* The next piece of at most `bytes`, advancing the vector. */
static struct iovec io_vector_next(IoVector *vector, uint64_t bytes)
{
    struct iovec piece = { NULL, 0 };

    *vector = io_vector_skip(*vector, 0);
    if (vector->count) {
        piece.iov_base = (char *)vector->iov->iov_base + vector->skip;
        piece.iov_len = MIN(bytes, vector->iov->iov_len - vector->skip);
        vector->skip += piece.iov_len;
    }
    g_assert(piece.iov_len || !bytes);
    return piece;
}

void io_vector_to_buffer(IoVector vector, void *buffer, uint64_t bytes)
{
    while (bytes) {
        struct iovec piece = io_vector_next(&vector, bytes);

        memcpy(buffer, piece.iov_base, piece.iov_len);
        buffer = (char *)buffer + piece.iov_len;
        bytes -= piece.iov_len;
    }
}

void io_vector_from_buffer(IoVector vector, const void *buffer, uint64_t bytes)
{
    while (bytes) {
        struct iovec piece = io_vector_next(&vector, bytes);

        memcpy(piece.iov_base, buffer, piece.iov_len);
        buffer = (const char *)buffer + piece.iov_len;
        bytes -= piece.iov_len;
    }
}

void io_vector_zero(IoVector vector, uint64_t bytes)
{
    while (bytes) {
        struct iovec piece = io_vector_next(&vector, bytes);

        memset(piece.iov_base, 0, piece.iov_len);
        bytes -= piece.iov_len;
    }
}

bool buffer_is_zero(const void *buffer, size_t size)
{
    const unsigned char *bytes = buffer;
    size_t head = MIN(size, 16);

    for (size_t i = 0; i < head; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    /* The first 16 bytes are zero: the rest is when each byte equals the one 16 before. */
    return size == head || !memcmp(bytes, bytes + head, size - head);
}

bool io_vector_is_zero(IoVector vector, uint64_t bytes)
{
    while (bytes) {
        struct iovec piece = io_vector_next(&vector, bytes);

        if (!buffer_is_zero(piece.iov_base, piece.iov_len)) {
            return false;
        }
        bytes -= piece.iov_len;
    }
    return true;
}

unsigned io_vector_trim(IoVector vector, uint64_t bytes, struct iovec *out, unsigned max)
{
    unsigned n = 0;

    while (bytes) {
        if (n == max) {
            return 0;
        }
        out[n] = io_vector_next(&vector, bytes);
        bytes -= out[n].iov_len;
        n++;
    }
    return n;
}
