/* SPDX-License-Identifier: MIT */
/* The queue of bytes that a PS/2 device has for its host. */
#include "hw/input/ps2.h"

const StateField ps2_queue_state[] = {
    STATE(Ps2Queue, data),
    STATE_MOST(Ps2Queue, first, PS2_QUEUE_BYTES - 1),
    STATE_MOST(Ps2Queue, count, PS2_QUEUE_BYTES),
    STATE(Ps2Queue, last),
    { 0 },
};

bool ps2_queue_put(Ps2Queue *queue, const uint8_t *bytes, unsigned count)
{
    if (queue->count + count > PS2_QUEUE_BYTES) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        queue->data[(queue->first + queue->count++) % PS2_QUEUE_BYTES] = bytes[i];
    }
    return true;
}

uint8_t ps2_queue_take(Ps2Queue *queue)
{
    if (!queue->count) {
        return 0;
    }
    queue->last = queue->data[queue->first];
    queue->first = (queue->first + 1) % PS2_QUEUE_BYTES;
    queue->count--;
    return queue->last;
}

void ps2_queue_clear(Ps2Queue *queue)
{
    queue->first = queue->count = 0;
}
