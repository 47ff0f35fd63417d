/* SPDX-License-Identifier: MIT */
/*
 * Virtio RTC device (Virtio 1.4, "RTC Device"): clocks that the guest can read together with its own
 * counter, so that it can follow the host's time (Linux: PTP clocks, as chrony takes them). Clock 0 is UTC as
 * -rtc says, clock 1 counts on through stops and the host's sleep. There are no alarms.
 */
#include <time.h>

#include "base/bits.h"
#include "hw/virtio/virtio.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum { QUEUE_SIZE = 64 };

/* Message types. */
enum {
    REQ_READ = 0x0001,
    REQ_READ_CROSS = 0x0002,
    REQ_CFG = 0x1000,
    REQ_CLOCK_CAP = 0x1001,
    REQ_CROSS_CAP = 0x1002,
};

enum { STATUS_OK = 0, STATUS_EOPNOTSUPP = 2, STATUS_ENODEV = 3, STATUS_EINVAL = 4 };
enum { CLOCK_TYPE_UTC = 0, CLOCK_TYPE_MONOTONIC = 2 };
enum { HW_COUNTER_ARM_VIRTUAL = 0, HW_COUNTER_X86_TSC = 1 };
enum { FLAG_CROSS_CAP = 1 };
enum { CLOCK_UTC, CLOCK_SINCE_BOOT, CLOCK_COUNT };

/* A request's head is its type and padding, a response's is its status; both have 8 bytes. */
enum { HEAD = 8, MOST_BYTES = 24 };

static uint64_t since_boot_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t read_clock(Machine *machine, unsigned id)
{
    return id == CLOCK_UTC ? (uint64_t)clock_utc_ns(machine) : since_boot_ns();
}

static bool has_counter(const Machine *machine, uint8_t counter)
{
    const Target *target = machine->config.target;
    TargetCounter wanted = counter == HW_COUNTER_ARM_VIRTUAL ? COUNTER_ARM_VIRTUAL
                           : counter == HW_COUNTER_X86_TSC   ? COUNTER_X86_TSC
                                                             : COUNTER_NONE;

    return target && wanted != COUNTER_NONE && target->counter == wanted;
}

/* Clock and counter of one moment: the counter's is the middle of the time that reading the clock took. */
static uint8_t read_cross(Machine *machine, unsigned id, uint8_t counter, uint8_t *out)
{
    int64_t before_ns, after_ns;
    uint64_t reading;

    if (!has_counter(machine, counter)) {
        return STATUS_EOPNOTSUPP;
    }
    before_ns = clock_now_ns(machine);
    reading = read_clock(machine, id);
    after_ns = clock_now_ns(machine);
    store_le64(out + HEAD, reading);
    store_le64(out + HEAD + 8,
               machine->config.target->counter_at(machine, before_ns + (after_ns - before_ns) / 2));
    return STATUS_OK;
}

/* Bytes of requests and responses, with their heads. */
static const struct {
    uint16_t type;
    uint8_t request, response;
} messages[] = {
    { REQ_READ, 16, 16 },      { REQ_READ_CROSS, 16, 24 }, { REQ_CFG, 8, 16 },
    { REQ_CLOCK_CAP, 16, 16 }, { REQ_CROSS_CAP, 16, 16 },
};

static uint8_t execute(Machine *machine, unsigned type, const uint8_t *in, uint8_t *out)
{
    unsigned id = load_le16(in + HEAD);
    uint8_t counter = in[HEAD + 2];

    if (type == REQ_CFG) {
        store_le16(out + HEAD, CLOCK_COUNT);
        return STATUS_OK;
    }
    if (id >= CLOCK_COUNT) {
        return STATUS_ENODEV;
    }
    switch (type) {
    case REQ_READ:
        store_le64(out + HEAD, read_clock(machine, id));
        return STATUS_OK;
    case REQ_READ_CROSS:
        return read_cross(machine, id, counter, out);
    case REQ_CLOCK_CAP:
        out[HEAD] = id == CLOCK_UTC ? CLOCK_TYPE_UTC : CLOCK_TYPE_MONOTONIC;
        return STATUS_OK;
    default: /* REQ_CROSS_CAP */
        out[HEAD] = has_counter(machine, counter) ? FLAG_CROSS_CAP : 0;
        return STATUS_OK;
    }
}

/* Returns the size of the response. A request that is not understood gets the head of one. */
static size_t handle(Machine *machine, const uint8_t *in, size_t in_bytes, size_t room,
                     uint8_t *out)
{
    unsigned type = load_le16(in);

    out[0] = in_bytes < HEAD ? STATUS_EINVAL : STATUS_EOPNOTSUPP;
    for (size_t i = 0; i < ARRAY_SIZE(messages) && in_bytes >= HEAD; i++) {
        if (messages[i].type == type) {
            out[0] = in_bytes < messages[i].request || room < messages[i].response
                         ? STATUS_EINVAL
                         : execute(machine, type, in, out);
            return messages[i].response;
        }
    }
    return HEAD;
}

static bool answer(VirtQueue *queue, VirtioElement *element)
{
    uint8_t in[MOST_BYTES] = { 0 }, out[MOST_BYTES] = { 0 };
    size_t in_bytes = iovec_to_buffer(element->out, element->out_count, 0, in, sizeof in);
    size_t size = handle(virtio_machine(queue->virtio), in, in_bytes, element->in_bytes, out);

    size = MIN(size, element->in_bytes);
    virtqueue_push(element,
                   (uint32_t)iovec_from_buffer(element->in, element->in_count, 0, out, size));
    return true;
}

static void virtio_rtc_kick(VirtQueue *queue)
{
    virtqueue_process(queue, answer);
}

static uint64_t virtio_rtc_features(VirtioDevice *virtio)
{
    return 0;
}

static void virtio_rtc_reset(VirtioDevice *virtio)
{
}

static bool virtio_rtc_realize(VirtioDevice *virtio, GError **error)
{
    virtio_add_queue(virtio, QUEUE_SIZE, virtio_rtc_kick);
    return true;
}

static const VirtioType virtio_rtc_type = {
    .name = "virtio-rtc",
    .virtio_id = 17,
    .pci_class = 0x088000,
    .realize = virtio_rtc_realize,
    .features = virtio_rtc_features,
    .reset = virtio_rtc_reset,
};

static const Property virtio_rtc_properties[] = { { 0 } };
static const StateField virtio_rtc_state[] = { VIRTIO_STATE, { 0 } };

VIRTIO_MODERN_DEVICE_TYPES(virtio_rtc, "virtio-rtc", VirtioDevice, "Virtio real-time clock",
                           "misc");
