/* SPDX-License-Identifier: MIT */
/* Copies to and from scatter-gather lists, and trimming them. */
#include "hw/virtio/virtio.h"

typedef enum { TO_BUFFER, FROM_BUFFER } Direction;

static size_t copy(const struct iovec *iov, unsigned count, size_t offset, uint8_t *buffer,
                   size_t size, Direction direction)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        uint8_t *base = iov[i].iov_base;
        size_t part;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        part = MIN(iov[i].iov_len - offset, size - done);
        if (direction == TO_BUFFER) {
            memcpy(buffer + done, base + offset, part);
        } else {
            memcpy(base + offset, buffer + done, part);
        }
        done += part;
        offset = 0;
    }
    return done;
}

size_t iovec_to_buffer(const struct iovec *iov, unsigned count, size_t offset, void *buffer,
                       size_t size)
{
    return copy(iov, count, offset, buffer, size, TO_BUFFER);
}

size_t iovec_from_buffer(const struct iovec *iov, unsigned count, size_t offset, const void *buffer,
                         size_t size)
{
    return copy(iov, count, offset, (uint8_t *)buffer, size, FROM_BUFFER);
}

struct iovec *iovec_skip(struct iovec *iov, uint16_t *count, size_t size)
{
    while (*count && size >= iov->iov_len) {
        size -= iov->iov_len;
        iov++;
        (*count)--;
    }
    if (*count) {
        iov->iov_base = (uint8_t *)iov->iov_base + size;
        iov->iov_len -= size;
    }
    return iov;
}

void iovec_truncate(struct iovec *iov, uint16_t *count, size_t size)
{
    for (unsigned i = 0; i < *count; i++) {
        if (size < iov[i].iov_len) {
            iov[i].iov_len = size;
            *count = size ? i + 1 : i;
            return;
        }
        size -= iov[i].iov_len;
    }
}
