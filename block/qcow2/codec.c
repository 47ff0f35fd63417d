/* SPDX-License-Identifier: MIT */
/* qcow2: codecs are kept for the next compressed cluster. */
#include "block/qcow2/qcow2.h"

/* No more than these are kept for the next cluster. */
enum { CODECS_KEPT = 16 };

ClusterCodec *qcow2_codec_take(Qcow2 *q)
{
    ClusterCodec *codec = g_queue_pop_head(&q->codecs);

    return codec
               ? codec
               : cluster_codec_new(q->compression_type, q->cluster_size, qcow2_compressed_batch(q));
}

void qcow2_codec_put(Qcow2 *q, ClusterCodec *codec)
{
    if (codec && q->codecs.length < CODECS_KEPT) {
        g_queue_push_head(&q->codecs, codec);
    } else if (codec) {
        cluster_codec_free(codec);
    }
}
