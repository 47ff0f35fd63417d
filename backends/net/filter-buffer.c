/* SPDX-License-Identifier: MIT */
/* Object "filter-buffer": holds frames back and lets them go together, each time an interval of the guest's time is over. */
#include <inttypes.h>

#include "backends/net/filter.h"
#include "base/error.h"
#include "machine/clock.h"

enum { BUFFER_MOST = 4096, NS_PER_US = 1000 }; /* frames; more would be dropped by a switch, too */

typedef struct {
    FilterFrame frame;
    bool from_nic;
} HeldFrame;

typedef struct {
    Filter filter;
    uint32_t interval_us;
    Timer timer;
    GQueue held; /* HeldFrame */
} FilterBuffer;

static void free_held(gpointer data)
{
    HeldFrame *held = data;

    g_free(held->frame.header);
    g_free(held);
}

static void release_all(FilterBuffer *buffer)
{
    HeldFrame *held;

    while ((held = g_queue_pop_head(&buffer->held))) {
        netdev_filter_pass(&buffer->filter.hook, held->from_nic, held->frame.header,
                           held->frame.header_size, held->frame.frame, held->frame.size);
        free_held(held);
    }
}

static void arm(FilterBuffer *buffer)
{
    timer_arm(&buffer->timer, clock_now_ns(buffer->filter.object.machine) +
                                  (int64_t)buffer->interval_us * NS_PER_US);
}

static void interval_over(void *opaque)
{
    FilterBuffer *buffer = opaque;

    release_all(buffer);
    arm(buffer);
}

static bool buffer_frame(NetdevFilter *hook, bool from_nic, const struct iovec *iov, unsigned count,
                         size_t skip)
{
    FilterBuffer *buffer = (FilterBuffer *)filter_of(hook);
    HeldFrame *held;

    if (!filter_wants(&buffer->filter, from_nic)) {
        return true;
    }
    if (buffer->held.length < BUFFER_MOST) {
        held = g_new(HeldFrame, 1);
        *held = (HeldFrame){ filter_copy(iov, count, skip), from_nic };
        g_queue_push_tail(&buffer->held, held);
    }
    return false;
}

static bool buffer_complete(Object *object, GError **error)
{
    FilterBuffer *buffer = (FilterBuffer *)object;

    if (!buffer->interval_us) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "object '%s': give interval=MICROSECONDS, which must not be 0",
                          object->id);
    }
    if (!filter_attach(&buffer->filter, buffer_frame, error)) {
        return false;
    }
    g_queue_init(&buffer->held);
    timer_init(&buffer->timer, object->machine, interval_over, buffer);
    arm(buffer);
    return true;
}

static void buffer_free(Object *object)
{
    FilterBuffer *buffer = (FilterBuffer *)object;

    timer_cancel(&buffer->timer);
    if (buffer->filter.hook.netdev) {
        release_all(buffer);
    }
    netdev_filter_detach(&buffer->filter.hook);
    g_queue_clear_full(&buffer->held, free_held);
}

static const Property buffer_properties[] = {
    FILTER_PROPERTIES,
    { "interval", PROPERTY_U32, offsetof(FilterBuffer, interval_us),
      "microseconds after which held frames go on" },
    { NULL },
};

static const ObjectType filter_buffer_type = {
    .name = "filter-buffer",
    .summary = "Frames of a network back end go on in batches",
    .instance_size = sizeof(FilterBuffer),
    .properties = buffer_properties,
    .on_netdev = true,
    .complete = buffer_complete,
    .free = buffer_free,
};
OBJECT_TYPE(filter_buffer_type);
