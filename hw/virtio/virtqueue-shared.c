/* SPDX-License-Identifier: MIT */
/* Queues on which somebody else works, as a kernel's vhost: their rings, their interrupts, and taking them back. */
#include "hw/virtio/virtio.h"

#include <stdatomic.h>

enum { RING_INDEX = 2 };

bool virtqueue_rings(VirtQueue *queue, VirtioRings *rings)
{
    if (!queue->state->enabled) {
        return false;
    }
    virtqueue_empty(queue); /* maps them */
    if (!queue->mapped) {
        return false;
    }
    *rings = (VirtioRings){ queue->descriptors, queue->available, queue->used };
    return true;
}

void virtqueue_take_over(VirtQueue *queue, bool forget)
{
    VirtQueueState *s = queue->state;
    VirtioRings rings;

    if (virtqueue_rings(queue, &rings)) {
        s->used_index = atomic_load_explicit((const _Atomic uint16_t *)(rings.used + RING_INDEX),
                                             memory_order_acquire);
        s->last_available = forget ? s->used_index : s->last_available;
    }
    /* Whether the driver wants to hear of the next chain is looked up anew. */
    s->signalled_valid = false;
}

void virtqueue_bind(VirtQueue *queue, IrqSignal *signal)
{
    const VirtioTransport *transport = queue->virtio->transport;

    if (queue->signal && transport->unbind_signal) {
        transport->unbind_signal(queue->virtio, queue->signal);
    }
    queue->signal = signal;
    virtqueue_vector_changed(queue);
}

void virtqueue_vector_changed(VirtQueue *queue)
{
    const VirtioTransport *transport = queue->virtio->transport;

    if (queue->signal && transport->bind_signal) {
        transport->bind_signal(queue->virtio, queue, queue->signal);
    }
}
