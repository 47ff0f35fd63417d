/* SPDX-License-Identifier: MIT */
/* Character back end "ringbuf": keeps the newest output in memory for the monitor to fetch. */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/chardev.h"
#include "machine/property.h"

typedef struct {
    Chardev chardev;
    uint64_t size;           /* property; a power of two */
    uint64_t written, taken; /* byte counts since the start; written - taken <= size */
    uint8_t *bytes;
} RingbufChardev;

#define RINGBUF_SIZE_MAX MIB(256)

static bool ringbuf_open(Chardev *chardev, GError **error)
{
    RingbufChardev *r = (RingbufChardev *)chardev;

    if (!is_power_of_two(r->size) || r->size > RINGBUF_SIZE_MAX) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "chardev '%s': size of the ring buffer must be a power of two up to 256M, "
            "not %" G_GUINT64_FORMAT,
            chardev->id, r->size);
    }
    r->bytes = g_malloc(r->size);
    chardev->open = true;
    return true;
}

static void ringbuf_close(Chardev *chardev)
{
    g_free(((RingbufChardev *)chardev)->bytes);
}

static size_t ringbuf_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    RingbufChardev *r = (RingbufChardev *)chardev;

    for (size_t i = 0; i < size; i++) {
        r->bytes[r->written++ & (r->size - 1)] = data[i];
    }
    if (r->written - r->taken > r->size) {
        r->taken = r->written - r->size;
    }
    return size;
}

static size_t ringbuf_take_back(Chardev *chardev, uint8_t *data, size_t size)
{
    RingbufChardev *r = (RingbufChardev *)chardev;
    size_t n = 0;

    while (n < size && r->taken < r->written) {
        data[n++] = r->bytes[r->taken++ & (r->size - 1)];
    }
    return n;
}

static char *ringbuf_describe(Chardev *chardev)
{
    return g_strdup("ringbuf");
}

static const Property ringbuf_properties[] = {
    { "size", PROPERTY_SIZE, offsetof(RingbufChardev, size), "bytes kept; a power of two",
      "65536" },
    { NULL },
};

static const ChardevType ringbuf_type = {
    .name = "ringbuf",
    .summary = "Ring buffer in memory, read by the monitor",
    .instance_size = sizeof(RingbufChardev),
    .properties = ringbuf_properties,
    .open = ringbuf_open,
    .close = ringbuf_close,
    .write = ringbuf_write,
    .take_back = ringbuf_take_back,
    .describe = ringbuf_describe,
};
CHARDEV_TYPE(ringbuf_type);
