/* SPDX-License-Identifier: MIT */
/* Virtio entropy device (Virtio 1.2, 5.4), optionally limited to max-bytes in each period. */
#include "base/error.h"
#include "hw/virtio/virtio.h"
#include "machine/clock.h"
#include "machine/machine.h"
#include "machine/object.h"

enum {
    QUEUE_SIZE = 8,
    CHUNK = 4096,
    NS_PER_MS = 1000000,
};

typedef struct {
    VirtioDevice virtio;
    Timer timer;
    uint64_t quota; /* bytes left in this period */
    /* Properties. */
    Object *source;
    uint64_t max_bytes;
    uint32_t period_ms;
} VirtioRng;

static VirtioRng *virtio_rng(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioRng, virtio);
}

static void wait_a_period(VirtioRng *rng)
{
    if (!timer_is_armed(&rng->timer)) {
        timer_arm(&rng->timer,
                  clock_now_ns(virtio_machine(&rng->virtio)) + (int64_t)rng->period_ms * NS_PER_MS);
    }
}

/* A chain need not be filled: the driver takes what it gets and asks again. */
static bool take(VirtQueue *queue, VirtioElement *element)
{
    VirtioRng *rng = virtio_rng(queue->virtio);
    uint64_t size = MIN(MIN(element->in_bytes, CHUNK), rng->quota);
    uint8_t chunk[CHUNK];
    int64_t got = size ? object_random(virtio_machine(queue->virtio), rng->source, chunk, size) : 0;

    if (element->in_bytes && got <= 0) {
        virtqueue_unpop(queue, element);
        wait_a_period(rng);
        return false;
    }
    rng->quota -= got;
    virtqueue_push(element, iovec_from_buffer(element->in, element->in_count, 0, chunk, got));
    return true;
}

static void virtio_rng_kick(VirtQueue *queue)
{
    virtqueue_process(queue, take);
}

static void new_period(void *opaque)
{
    VirtioRng *rng = opaque;

    rng->quota = rng->max_bytes;
    if (virtio_running(&rng->virtio)) {
        virtio_kick(&rng->virtio, 0);
    }
}

static void virtio_rng_reset(VirtioDevice *virtio)
{
    VirtioRng *rng = virtio_rng(virtio);

    timer_cancel(&rng->timer);
    rng->quota = rng->max_bytes;
}

static uint64_t virtio_rng_features(VirtioDevice *virtio)
{
    return 0;
}

static bool virtio_rng_realize(VirtioDevice *virtio, GError **error)
{
    VirtioRng *rng = virtio_rng(virtio);

    if (!rng->period_ms || !rng->max_bytes) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: period and max-bytes must not be 0",
                          virtio_name(virtio));
    }
    timer_init(&rng->timer, virtio_machine(virtio), new_period, rng);
    virtio_add_queue(virtio, QUEUE_SIZE, virtio_rng_kick);
    return true;
}

static void virtio_rng_unrealize(VirtioDevice *virtio)
{
    timer_cancel(&virtio_rng(virtio)->timer);
}

static const VirtioType virtio_rng_type = {
    .name = "virtio-rng",
    .virtio_id = 4,
    .transitional_pci_id = 0x1005,
    .pci_class = 0x00ff00,
    .realize = virtio_rng_realize,
    .unrealize = virtio_rng_unrealize,
    .features = virtio_rng_features,
    .reset = virtio_rng_reset,
};

static const Property virtio_rng_properties[] = {
    { "rng", PROPERTY_OBJECT, offsetof(VirtioRng, source),
      "id of an rng object; unset: the host's generator" },
    { "max-bytes", PROPERTY_SIZE, offsetof(VirtioRng, max_bytes), "limit for each period",
      "9223372036854775807" },
    { "period", PROPERTY_U32, offsetof(VirtioRng, period_ms), "milliseconds of a period", "65536" },
    { 0 },
};

static const StateField virtio_rng_state[] = { VIRTIO_STATE, STATE(VirtioRng, quota), { 0 } };

VIRTIO_DEVICE_TYPES(virtio_rng, "virtio-rng", VirtioRng, "Virtio entropy device", "misc");
