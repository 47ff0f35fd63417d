/* SPDX-License-Identifier: MIT */
/* Clusters as raw deflate or zstd frames, as qcow and qcow2 store them. */
#ifndef BLOCK_FORMATS_CLUSTER_COMPRESSION_H
#define BLOCK_FORMATS_CLUSTER_COMPRESSION_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* Larger clusters are none that these formats have. */
enum { CLUSTER_CODEC_MAX_BITS = 21 };
/* The numbers of qcow2's header. */
enum { CLUSTER_CODEC_ZLIB = 0, CLUSTER_CODEC_ZSTD = 1 };

/* What compresses or decompresses one cluster at a time; it is used by one thread at a time. */
typedef struct ClusterCodec ClusterCodec;

/* type: CLUSTER_CODEC_*. clusters: room for that many compressed ones in `packed`. NULL: out of memory. */
ClusterCodec *cluster_codec_new(unsigned type, size_t cluster_size, unsigned clusters);
void cluster_codec_free(ClusterCodec *codec);
/* Buffers for a cluster and for its compressed form; the codec's own. */
uint8_t *cluster_codec_plain(ClusterCodec *codec);
uint8_t *cluster_codec_packed(ClusterCodec *codec);
/*
 * On workers. in: a cluster, which nobody may change meanwhile. Returns the compressed size, or
 * a negative errno; -ENOSPC: it is above out_size.
 */
int64_t cluster_compress(ClusterCodec *codec, const void *in, void *out, size_t out_size);
/* On workers. From `packed` to `plain`. 0 or -EIO, -ENOMEM. */
int cluster_decompress(ClusterCodec *codec, size_t in_size);

#endif
