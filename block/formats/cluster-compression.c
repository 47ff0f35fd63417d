/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters. Raw deflate (by libdeflate, docs/decisions/0009) or zstd.
 */
#include "block/formats/cluster-compression.h"

#include <errno.h>
#include <libdeflate.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/*
 * Levels that give about the sizes of zlib's and zstd's default levels on clusters of disk images,
 * at the least time.
 */
enum { DEFLATE_LEVEL = 2, ZSTD_LEVEL = 2 };
/* A hash table that fits a processor's first cache is enough for these. */
enum { ZSTD_SMALL_CLUSTER = 64 * 1024, ZSTD_SMALL_HASH_BITS = 13 };
/* A frame of several clusters' worth of window is nothing a writer of this format makes. */
enum { ZSTD_WINDOW_BITS_MAX = CLUSTER_CODEC_MAX_BITS + 1 };

/* The most that an L2 entry can name, for any size of cluster. */
#define PACKED_MAX(cluster_size) (2 * (cluster_size) + 512)

/* Made when first needed: readers do not need the writers' tables. */
struct ClusterCodec {
    unsigned type;
    struct libdeflate_compressor *deflate;
    struct libdeflate_decompressor *inflate;
    ZSTD_CCtx *zstd_compress;
    ZSTD_DCtx *zstd_decompress;
    uint8_t *plain, *packed;
    size_t plain_size;
};

ClusterCodec *cluster_codec_new(unsigned type, size_t cluster_size, unsigned clusters)
{
    ClusterCodec *codec = g_new0(ClusterCodec, 1);

    codec->type = type;
    codec->plain_size = cluster_size;
    codec->plain = g_try_malloc(cluster_size);
    codec->packed = g_try_malloc(MAX(PACKED_MAX(cluster_size), clusters * cluster_size));
    if (!codec->plain || !codec->packed) {
        cluster_codec_free(codec);
        return NULL;
    }
    return codec;
}

void cluster_codec_free(ClusterCodec *codec)
{
    if (codec->deflate) {
        libdeflate_free_compressor(codec->deflate);
    }
    if (codec->inflate) {
        libdeflate_free_decompressor(codec->inflate);
    }
    ZSTD_freeCCtx(codec->zstd_compress);
    ZSTD_freeDCtx(codec->zstd_decompress);
    g_free(codec->plain);
    g_free(codec->packed);
    g_free(codec);
}

uint8_t *cluster_codec_plain(ClusterCodec *codec)
{
    return codec->plain;
}

uint8_t *cluster_codec_packed(ClusterCodec *codec)
{
    return codec->packed;
}

static int64_t deflate_compress(ClusterCodec *codec, const void *in, void *out, size_t out_size)
{
    size_t size;

    if (!codec->deflate) {
        codec->deflate = libdeflate_alloc_compressor(DEFLATE_LEVEL);
    }
    if (!codec->deflate) {
        return -ENOMEM;
    }
    size = libdeflate_deflate_compress(codec->deflate, in, codec->plain_size, out, out_size);
    return size ? (int64_t)size : -ENOSPC;
}

/* Takes streams that libdeflate does not: without an end, or with more data than a cluster has. */
static int zlib_decompress(ClusterCodec *codec, size_t in_size)
{
    z_stream stream = { 0 };
    int status;

    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        return -ENOMEM;
    }
    stream.next_in = codec->packed;
    stream.avail_in = (uInt)in_size;
    stream.next_out = codec->plain;
    stream.avail_out = (uInt)codec->plain_size;
    status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return (status == Z_STREAM_END || status == Z_BUF_ERROR) && stream.avail_out == 0 ? 0 : -EIO;
}

static int deflate_decompress(ClusterCodec *codec, size_t in_size)
{
    size_t used, size = 0;

    if (!codec->inflate) {
        codec->inflate = libdeflate_alloc_decompressor();
    }
    /* The stored size is rounded up to sectors: what follows the data does not matter. */
    if (codec->inflate &&
        libdeflate_deflate_decompress_ex(codec->inflate, codec->packed, in_size, codec->plain,
                                         codec->plain_size, &used, &size) == LIBDEFLATE_SUCCESS &&
        size == codec->plain_size) {
        return 0;
    }
    return zlib_decompress(codec, in_size);
}

static int64_t zstd_compress(ClusterCodec *codec, const void *in, void *out, size_t out_size)
{
    size_t size;

    if (!codec->zstd_compress) {
        codec->zstd_compress = ZSTD_createCCtx();
        if (!codec->zstd_compress) {
            return -ENOMEM;
        }
        ZSTD_CCtx_setParameter(codec->zstd_compress, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        if (codec->plain_size <= ZSTD_SMALL_CLUSTER) {
            ZSTD_CCtx_setParameter(codec->zstd_compress, ZSTD_c_hashLog, ZSTD_SMALL_HASH_BITS);
        }
    }
    size = ZSTD_compress2(codec->zstd_compress, out, out_size, in, codec->plain_size);
    return ZSTD_isError(size) ? -ENOSPC : (int64_t)size;
}

/* Any number of frames, of any kind, up to a cluster's worth of data. */
static int zstd_stream(ClusterCodec *codec, size_t in_size)
{
    ZSTD_outBuffer output = { codec->plain, codec->plain_size, 0 };
    ZSTD_inBuffer input = { codec->packed, in_size, 0 };
    size_t status = 1;

    ZSTD_DCtx_reset(codec->zstd_decompress, ZSTD_reset_session_only);
    while (output.pos < output.size && input.pos < input.size) {
        size_t before_in = input.pos, before_out = output.pos;

        status = ZSTD_decompressStream(codec->zstd_decompress, &output, &input);
        if (ZSTD_isError(status) || (input.pos == before_in && output.pos == before_out)) {
            break;
        }
    }
    return output.pos == output.size && !ZSTD_isError(status) ? 0 : -EIO;
}

static int zstd_decompress(ClusterCodec *codec, size_t in_size)
{
    size_t frame = ZSTD_findFrameCompressedSize(codec->packed, in_size);

    if (!codec->zstd_decompress) {
        codec->zstd_decompress = ZSTD_createDCtx();
    }
    if (!codec->zstd_decompress) {
        return -ENOMEM;
    }
    ZSTD_DCtx_setParameter(codec->zstd_decompress, ZSTD_d_windowLogMax, ZSTD_WINDOW_BITS_MAX);
    if (!ZSTD_isError(frame) &&
        ZSTD_decompressDCtx(codec->zstd_decompress, codec->plain, codec->plain_size, codec->packed,
                            frame) == codec->plain_size) {
        return 0;
    }
    return zstd_stream(codec, in_size);
}

int64_t cluster_compress(ClusterCodec *codec, const void *in, void *out, size_t out_size)
{
    return codec->type == CLUSTER_CODEC_ZSTD ? zstd_compress(codec, in, out, out_size)
                                             : deflate_compress(codec, in, out, out_size);
}

int cluster_decompress(ClusterCodec *codec, size_t in_size)
{
    return codec->type == CLUSTER_CODEC_ZSTD ? zstd_decompress(codec, in_size)
                                             : deflate_decompress(codec, in_size);
}
