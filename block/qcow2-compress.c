/* SPDX-License-Identifier: MIT */
/* qcow2: compressed clusters. Raw deflate with a window of 4 KiB, or zstd. */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Readers allocate a window of this size only. */
enum { DEFLATE_WINDOW_BITS = 12 };

static int64_t zlib_compress(const void *in, size_t in_size, void *out, size_t out_size)
{
    z_stream stream = { 0 };
    int64_t result;
    int status;

    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW_BITS, 9,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return -ENOMEM;
    }
    stream.next_in = (Bytef *)in;
    stream.avail_in = (uInt)in_size;
    stream.next_out = out;
    stream.avail_out = (uInt)out_size;
    status = deflate(&stream, Z_FINISH);
    result = status == Z_STREAM_END ? (int64_t)(out_size - stream.avail_out) : -ENOSPC;
    deflateEnd(&stream);
    return result;
}

static int zlib_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
    z_stream stream = { 0 };
    int status;

    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        return -ENOMEM;
    }
    stream.next_in = (Bytef *)in;
    stream.avail_in = (uInt)in_size;
    stream.next_out = out;
    stream.avail_out = (uInt)out_size;
    status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    /* The stored size is rounded up to sectors: what follows the data does not matter. */
    return (status == Z_STREAM_END || status == Z_BUF_ERROR) && stream.avail_out == 0 ? 0 : -EIO;
}

static int64_t zstd_compress(const void *in, size_t in_size, void *out, size_t out_size)
{
    size_t size = ZSTD_compress(out, out_size, in, in_size, ZSTD_CLEVEL_DEFAULT);

    return ZSTD_isError(size) ? -ENOSPC : (int64_t)size;
}

static int zstd_decompress(const void *in, size_t in_size, void *out, size_t out_size)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_outBuffer output = { out, out_size, 0 };
    ZSTD_inBuffer input = { in, in_size, 0 };
    size_t status = 1;

    if (!context) {
        return -ENOMEM;
    }
    while (output.pos < output.size && input.pos < input.size) {
        size_t before_in = input.pos, before_out = output.pos;

        status = ZSTD_decompressStream(context, &output, &input);
        if (ZSTD_isError(status) || (input.pos == before_in && output.pos == before_out)) {
            break;
        }
    }
    ZSTD_freeDCtx(context);
    return output.pos == output.size && !ZSTD_isError(status) ? 0 : -EIO;
}

int64_t qcow2_compress(unsigned type, const void *in, size_t in_size, void *out, size_t out_size)
{
    return type == QCOW2_COMPRESSION_ZSTD ? zstd_compress(in, in_size, out, out_size)
                                          : zlib_compress(in, in_size, out, out_size);
}

int qcow2_decompress(unsigned type, const void *in, size_t in_size, void *out, size_t out_size)
{
    return type == QCOW2_COMPRESSION_ZSTD ? zstd_decompress(in, in_size, out, out_size)
                                          : zlib_decompress(in, in_size, out, out_size);
}
