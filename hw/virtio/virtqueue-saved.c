/* SPDX-License-Identifier: MIT */
/*
 * Chains that a device has taken and not returned, in saved states: of each its queue and head. Loading takes them
 * from the ring once more and hands them to the device.
 */
#include "hw/virtio/virtio.h"

enum { ENTRY = 4 }; /* queue and head, 16 bits each */

void virtqueue_track(VirtioElement *element)
{
    VirtQueue *queue = element->queue;

    element->next = queue->taken;
    element->link = &queue->taken;
    if (element->next) {
        element->next->link = &element->next;
    }
    queue->taken = element;
}

void virtqueue_untrack(VirtioElement *element)
{
    *element->link = element->next;
    if (element->next) {
        element->next->link = element->link;
    }
}

void virtqueue_forget_taken(VirtQueue *queue)
{
    /* Their owners still free them; what is unlinked from no list needs none. */
    while (queue->taken) {
        VirtioElement *e = queue->taken;

        queue->taken = e->next;
        e->next = NULL;
        e->link = &e->next;
    }
}

/* The oldest of a queue first, and the last queue: those that control others come behind them. */
void virtio_state_saving(Device *device)
{
    VirtioDevice *virtio = virtio_device(device);
    GByteArray *out = g_byte_array_new();

    for (unsigned i = 0; i < virtio->queue_count && virtio->type->retake; i++) {
        for (const VirtioElement *e = virtio->queues[i].taken; e; e = e->next) {
            uint8_t entry[ENTRY];

            store_le16(entry, i);
            store_le16(entry + 2, e->head);
            g_byte_array_prepend(out, entry, sizeof entry);
        }
    }
    g_free(virtio->taken);
    virtio->taken_size = out->len;
    virtio->taken = g_byte_array_free(out, false);
    if (virtio->type->state_saving) {
        virtio->type->state_saving(virtio);
    }
}

void virtio_forget_saved(VirtioDevice *virtio)
{
    g_clear_pointer(&virtio->taken, g_free);
    virtio->taken_size = 0;
}

/* What a ring that has changed since, or a state that is not ours, can make of this: a device that needs a reset. */
void virtio_retake(VirtioDevice *virtio)
{
    for (uint32_t at = 0; at + ENTRY <= virtio->taken_size && virtio_running(virtio); at += ENTRY) {
        VirtQueue *queue = virtio_queue(virtio, load_le16(virtio->taken + at));
        unsigned head = load_le16(virtio->taken + at + 2);
        VirtioElement *element = queue ? virtqueue_take(queue, head) : NULL;

        if (element) {
            virtio->type->retake(queue, element);
        }
    }
    virtio_forget_saved(virtio);
}
