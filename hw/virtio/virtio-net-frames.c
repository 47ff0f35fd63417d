/* SPDX-License-Identifier: MIT */
/*
 * virtio-net's frames (Virtio 1.2, 5.1.6). With a back end that knows offloads the driver's header goes through as it is, with others
 * it is empty. A frame that the driver has no buffers for now stays in the back end.
 */
#include "hw/virtio/virtio-net.h"

enum {
    MAX_FRAME = 65550,
    MAX_MERGED = 64, /* buffers for one frame */
};

unsigned virtio_net_header_size(const VirtioNet *net)
{
    return virtio_has_feature(&net->virtio, F_MRG_RXBUF) ||
                   virtio_has_feature(&net->virtio, VIRTIO_F_VERSION_1)
               ? HEADER_SIZE
               : HEADER_LEGACY;
}

/* Receive. */

/* Whether there are buffers; when not so, the driver says when there are. */
static bool look_for_buffers(VirtQueue *queue)
{
    if (!virtqueue_empty(queue)) {
        return true;
    }
    virtqueue_want_kicks(queue, true);
    return !virtqueue_empty(queue);
}

static bool has_room(void *opaque, unsigned pair)
{
    VirtioNet *net = opaque;

    return virtio_running(&net->virtio) &&
           (pair >= net->pairs_used || look_for_buffers(&net->virtio.queues[2 * pair]));
}

static void give_back(VirtQueue *queue, VirtioElement **elements, unsigned count)
{
    while (count) {
        virtqueue_unpop(queue, elements[--count]);
    }
}

typedef enum { FITS, NOT_NOW, NEVER } Fit;

/* Takes buffers for `size` bytes. */
static Fit take_buffers(VirtioNet *net, VirtQueue *queue, VirtioElement **elements, size_t size,
                        unsigned *count)
{
    unsigned limit =
        virtio_has_feature(&net->virtio, F_MRG_RXBUF) ? MIN(MAX_MERGED, queue->state->size) : 1;
    size_t space = 0;

    *count = 0;
    while (space < size) {
        VirtioElement *e = *count < limit ? virtqueue_pop(queue) : NULL;

        if (!e) {
            bool full = *count == limit;

            give_back(queue, elements, *count);
            return full || net->virtio.broken ? NEVER : NOT_NOW;
        }
        elements[(*count)++] = e;
        if (e->in_bytes < (*count == 1 ? virtio_net_header_size(net) : 1)) {
            virtio_fail(&net->virtio, "receive buffer of %llu bytes",
                        (unsigned long long)e->in_bytes);
            give_back(queue, elements, *count);
            return NEVER;
        }
        space += e->in_bytes;
    }
    return FITS;
}

static bool deliver(VirtioNet *net, VirtQueue *queue, uint8_t header[HEADER_SIZE],
                    const uint8_t *frame, size_t size)
{
    VirtioElement *elements[MAX_MERGED];
    size_t header_bytes = virtio_net_header_size(net), done = 0;
    unsigned count;
    Fit fit = take_buffers(net, queue, elements, header_bytes + size, &count);

    if (fit == NOT_NOW) {
        virtqueue_want_kicks(queue, true);
        fit = take_buffers(net, queue, elements, header_bytes + size, &count);
    }
    if (fit != FITS) {
        trace(virtio_name(&net->virtio), "no receive buffers for %zu bytes", size);
        return fit == NEVER;
    }
    store_le16(header + HEADER_NUM_BUFFERS, count);
    for (unsigned i = 0; i < count; i++) {
        VirtioElement *e = elements[i];
        size_t written = i ? 0 : iovec_from_buffer(e->in, e->in_count, 0, header, header_bytes);
        size_t part = iovec_from_buffer(e->in, e->in_count, written, frame + done, size - done);

        done += part;
        virtqueue_fill(e, written + part, i);
    }
    virtqueue_publish(queue, count);
    virtqueue_notify(queue);
    return true;
}

static bool take(void *opaque, unsigned pair, const uint8_t *frame, size_t size)
{
    VirtioNet *net = opaque;
    unsigned before = net->netdev->header;
    uint8_t header[HEADER_SIZE] = { 0 };

    if (size < before + 2 * MAC_SIZE || size - before > MAX_FRAME || pair >= net->pairs_used ||
        !virtio_net_wants(net, frame + before, size - before)) {
        return true;
    }
    memcpy(header, frame, before);
    if (!(net->guest_offloads & BIT(F_GUEST_CSUM))) {
        header[HEADER_FLAGS] = 0; /* the back end may say that it has seen a good checksum */
    }
    return deliver(net, &net->virtio.queues[2 * pair], header, frame + before, size - before);
}

void virtio_net_kick_rx(VirtQueue *queue)
{
    VirtioNet *net = virtio_net(queue->virtio);

    /* No more kicks until the buffers run out, which is when the back end waits for us. */
    virtqueue_want_kicks(queue, virtqueue_empty(queue));
    if (net->netdev) {
        netdev_flush(net->netdev);
    }
}

static void link_changed(void *opaque, bool up)
{
    VirtioNet *net = opaque;

    if (up != net->link_up) {
        net->link_up = up;
        virtio_net_vhost_update(net);
        virtio_config_changed(&net->virtio);
    }
}

const NetClient virtio_net_client = {
    .has_room = has_room,
    .take = take,
    .link_changed = link_changed,
    .describe_filter = virtio_net_describe_filter,
};

/* Transmit. */

static bool take_tx(VirtQueue *queue, VirtioElement *e)
{
    VirtioNet *net = virtio_net(queue->virtio);
    unsigned header_bytes = virtio_net_header_size(net);

    if (e->out_bytes < header_bytes) {
        virtio_fail(queue->virtio, "frame of %llu bytes has no header",
                    (unsigned long long)e->out_bytes);
        virtqueue_free_element(e);
        return false;
    }
    if (e->out_bytes - header_bytes > MAX_FRAME) {
        log_guest_error(virtio_name(queue->virtio), "frame of %llu bytes dropped",
                        (unsigned long long)e->out_bytes);
    } else if (net->netdev) {
        if (!net->netdev->header) {
            e->out = iovec_skip(e->out, &e->out_count, header_bytes);
        }
        if (e->out_count) {
            netdev_transmit_on(net->netdev, queue->index / 2, e->out, e->out_count);
        }
    }
    virtqueue_push(e, 0);
    return true;
}

void virtio_net_kick_tx(VirtQueue *queue)
{
    virtio_net_apply_offloads(virtio_net(queue->virtio));
    virtqueue_process(queue, take_tx);
}
