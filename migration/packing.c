/* SPDX-License-Identifier: MIT */
/* Sections of pages, compressed by the thread that sends them. */
#include "migration/packing.h"

#include <libdeflate.h>

#include "base/bits.h"
#include "base/error.h"

enum { SIZE_BYTES = 4, PLAIN_MOST = 4 << 20 }; /* sections of pages have about a megabyte */

struct Packer {
    StreamWriter *writer;
    struct libdeflate_compressor *deflate;
    GByteArray *packed;
};

Packer *packer_new(StreamWriter *writer, int level)
{
    Packer *packer = g_new0(Packer, 1);

    packer->writer = writer;
    packer->deflate = libdeflate_alloc_compressor(level);
    packer->packed = g_byte_array_new();
    return packer;
}

void packer_free(Packer *packer)
{
    if (packer) {
        libdeflate_free_compressor(packer->deflate);
        g_byte_array_unref(packer->packed);
        g_free(packer);
    }
}

bool packer_send(void *opaque, const void *data, size_t size, GError **error)
{
    Packer *packer = opaque;
    size_t room = libdeflate_zlib_compress_bound(packer->deflate, size);

    g_byte_array_set_size(packer->packed, (guint)(SIZE_BYTES + room));
    store_le32(packer->packed->data, (uint32_t)size);
    room = libdeflate_zlib_compress(packer->deflate, data, size, packer->packed->data + SIZE_BYTES,
                                    room);
    return stream_write_section(packer->writer, STREAM_PACKED, packer->packed->data,
                                SIZE_BYTES + room, error);
}

bool packing_undo(const GByteArray *content, GByteArray *plain, GError **error)
{
    uint32_t size = content->len < SIZE_BYTES ? 0 : load_le32(content->data);
    struct libdeflate_decompressor *inflate;
    enum libdeflate_result result;

    if (size == 0 || size > PLAIN_MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state has a compressed section of %u bytes", size);
    }
    g_byte_array_set_size(plain, size);
    inflate = libdeflate_alloc_decompressor();
    result = libdeflate_zlib_decompress(inflate, content->data + SIZE_BYTES,
                                        content->len - SIZE_BYTES, plain->data, size, NULL);
    libdeflate_free_decompressor(inflate);
    return result == LIBDEFLATE_SUCCESS ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the saved state has a damaged compressed section");
}
