/* SPDX-License-Identifier: MIT */
/* U-Boot's legacy images. They come from the user: each size is checked against the file before use. */
#include "hw/misc/uimage.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/error.h"

/* All numbers are big-endian. */
enum {
    MAGIC = 0x27051956,
    HEADER = 64,
    HEADER_CRC = 4,
    SIZE = 12,
    LOAD = 16,
    ENTRY = 20,
    DATA_CRC = 24,
    TYPE = 30,
    COMPRESSION = 31,

    STANDALONE = 1,
    KERNEL = 2,
    RAMDISK = 3,
    FIRMWARE = 5,
    KERNEL_NOLOAD = 14,
    PLAIN = 0,
    GZIP = 1,
};

bool uimage_is(const uint8_t *data, uint64_t size)
{
    return size >= HEADER && load_be32(data) == MAGIC;
}

static bool sums_agree(const uint8_t *data, uint32_t bytes)
{
    uint8_t header[HEADER];

    memcpy(header, data, sizeof header);
    memset(header + HEADER_CRC, 0, 4);
    return crc32(0, header, sizeof header) == load_be32(data + HEADER_CRC) &&
           crc32(0, data + HEADER, bytes) == load_be32(data + DATA_CRC);
}

/* NULL: it is damaged, or more than limit. */
static GBytes *unpack(const uint8_t *data, uint32_t bytes, uint64_t limit)
{
    enum { CHUNK = 65536 };
    GByteArray *out = g_byte_array_new();
    z_stream stream = { .next_in = (Bytef *)data, .avail_in = bytes };
    uint8_t chunk[CHUNK];
    int status = inflateInit2(&stream, 15 + 16);

    while (status == Z_OK && out->len <= limit) {
        stream.next_out = chunk;
        stream.avail_out = CHUNK;
        status = inflate(&stream, Z_NO_FLUSH);
        g_byte_array_append(out, chunk, CHUNK - stream.avail_out);
    }
    inflateEnd(&stream);
    if (status == Z_STREAM_END && out->len <= limit) {
        return g_byte_array_free_to_bytes(out);
    }
    g_byte_array_unref(out);
    return NULL;
}

static bool check_header(const char *what, const char *path, const uint8_t *data, uint64_t size,
                         GError **error)
{
    unsigned type = data[TYPE], packed = data[COMPRESSION];
    uint32_t bytes = load_be32(data + SIZE);

    if (type != STANDALONE && type != KERNEL && type != RAMDISK && type != FIRMWARE &&
        type != KERNEL_NOLOAD) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "%s '%s' is a uImage of type %u; kernels (2, 14), RAM disks (3), "
                          "programs (1) and firmware (5) can be loaded",
                          what, path, type);
    }
    if (packed != PLAIN && packed != GZIP) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "%s '%s' is a uImage with compression %u; only gzip can be unpacked",
                          what, path, packed);
    }
    return (bytes <= size - HEADER && sums_agree(data, bytes)) ||
           error_fail(
               error, KASO_ERROR_INVALID,
               "%s '%s' is a uImage that is truncated or damaged: its checksums do not agree", what,
               path);
}

bool uimage_read(UImage *image, const char *what, const char *path, GBytes *file, uint64_t limit,
                 GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);
    uint32_t bytes;

    if (!check_header(what, path, data, size, error)) {
        return false;
    }
    bytes = load_be32(data + SIZE);
    *image = (UImage){
        .content = data[COMPRESSION] == GZIP ? unpack(data + HEADER, bytes, limit)
                                             : g_bytes_new_from_bytes(file, HEADER, bytes),
        .placed = data[TYPE] != RAMDISK && data[TYPE] != KERNEL_NOLOAD,
        .load = load_be32(data + LOAD),
        .entry = data[TYPE] == RAMDISK ? 0 : load_be32(data + ENTRY),
    };
    return image->content ||
           error_fail(
               error, KASO_ERROR_INVALID,
               "%s '%s' is a uImage whose gzip data is damaged, or more than the RAM there is",
               what, path);
}
