/* SPDX-License-Identifier: MIT */
/*
 * What the monitor tells of virtio devices. Whatever the guest has in its rings, looking neither breaks the device nor goes beyond a table, and nothing
 * but RAM is read.
 */
#include "machine/virtio-info.h"

#include "base/error.h"
#include "hw/virtio/vhost.h"
#include "machine/machine.h"

enum {
    DESCRIPTOR_SIZE = 16,
    RING_FLAGS = 0,
    RING_INDEX = 2,
    RING_ENTRIES = 4,
    AVAILABLE_ENTRY_SIZE = 2,
    USED_ENTRY_SIZE = 8,
};

static const VirtioBitName transport_features[] = {
    { VIRTIO_F_NOTIFY_ON_EMPTY, "VIRTIO_F_NOTIFY_ON_EMPTY", "interrupts when a ring runs empty" },
    { VIRTIO_F_ANY_LAYOUT, "VIRTIO_F_ANY_LAYOUT", "headers and data may share buffers" },
    { VIRTIO_F_INDIRECT_DESC, "VIRTIO_RING_F_INDIRECT_DESC", "chains in tables of their own" },
    { VIRTIO_F_EVENT_IDX, "VIRTIO_RING_F_EVENT_IDX", "kicks and interrupts by index" },
    { VIRTIO_F_VERSION_1, "VIRTIO_F_VERSION_1", "Virtio 1.0 or later" },
    { VIRTIO_F_ACCESS_PLATFORM, "VIRTIO_F_IOMMU_PLATFORM", "addresses are the platform's" },
    { VIRTIO_F_RING_RESET, "VIRTIO_F_RING_RESET", "single queues can be reset" },
    { 0 },
};

static const VirtioBitName status_names[] = {
    { 0, "VIRTIO_CONFIG_S_ACKNOWLEDGE", "the guest has found the device" },
    { 1, "VIRTIO_CONFIG_S_DRIVER", "the guest has a driver for it" },
    { 2, "VIRTIO_CONFIG_S_DRIVER_OK", "the driver is ready" },
    { 3, "VIRTIO_CONFIG_S_FEATURES_OK", "the features are agreed upon" },
    { 6, "VIRTIO_CONFIG_S_NEEDS_RESET", "the device waits for a reset" },
    { 7, "VIRTIO_CONFIG_S_FAILED", "the guest has given it up" },
    { 0 },
};

static struct Vhost *vhost_of(VirtioDevice *virtio, unsigned queue)
{
    struct Vhost *vhost = virtio->type->vhost ? virtio->type->vhost(virtio, queue) : NULL;

    return vhost && vhost_has_queue(vhost, queue) ? vhost : NULL;
}

static void describe_device(Device *device, VirtioInfo *info)
{
    VirtioDevice *virtio = virtio_device(device);

    *info = (VirtioInfo){
        .name = virtio->type->name,
        .id = virtio->type->virtio_id,
        .status = virtio_read_status(virtio),
        .offered = virtio->offered,
        .accepted = virtio->accepted,
        .features = virtio->type->feature_names,
        .transport_features = transport_features,
        .statuses = status_names,
        .queues = virtio->queue_count,
        .broken = virtio->broken,
        .started = virtio_running(virtio),
        .vhost = vhost_of(virtio, 0),
        .use_started = virtio->options.use_started,
        .disable_legacy_check = virtio->options.disable_legacy_check,
    };
    virtio->transport->describe(virtio, info);
}

static VirtQueue *get_queue(Device *device, unsigned index, GError **error)
{
    VirtQueue *queue = virtio_queue(virtio_device(device), index);

    if (!queue) {
        error_fail(error, KASO_ERROR_INVALID, "Invalid virtqueue number %u", index);
    }
    return queue;
}

/* Guest memory, all of it RAM; NULL: it is not. */
static const uint8_t *look(const VirtioDevice *virtio, uint64_t address, uint64_t size)
{
    uint64_t extent = size;
    const void *host =
        address_space_map(&virtio_machine(virtio)->memory_space, address, &extent, false);

    return host && extent == size ? host : NULL;
}

static uint16_t look16(const VirtioDevice *virtio, uint64_t address)
{
    const uint8_t *bytes = look(virtio, address, sizeof(uint16_t));

    return bytes ? load_le16(bytes) : 0;
}

static bool describe_queue(Device *device, unsigned index, VirtioQueueInfo *info, GError **error)
{
    const VirtQueue *queue = get_queue(device, index, error);
    const VirtQueueState *s;

    if (!queue) {
        return false;
    }
    s = queue->state;
    *info = (VirtioQueueInfo){
        .size = s->size,
        .maximum = queue->maximum_size,
        .in_flight = queue->in_flight,
        .alignment = 4096, /* legacy transports' usual one; the others have no such thing */
        .descriptors = s->descriptors,
        .available = s->available,
        .used = s->used,
        .last_available = s->last_available,
        .available_index = s->enabled ? look16(queue->virtio, s->available + RING_INDEX) : 0,
        .used_index = s->used_index,
        .signalled_used = s->signalled_used,
        .signalled_valid = s->signalled_valid,
        .vhost = vhost_of(queue->virtio, index),
    };
    return true;
}

static VirtioDescriptor load_descriptor(const uint8_t *table, unsigned index)
{
    const uint8_t *d = table + (size_t)DESCRIPTOR_SIZE * index;

    return (VirtioDescriptor){ load_le64(d), load_le32(d + 8), load_le16(d + 12),
                               load_le16(d + 14) };
}

/* As far as it can be followed. */
static void walk(const VirtioDevice *virtio, const uint8_t *table, unsigned size,
                 VirtioElementInfo *info)
{
    unsigned index = info->head;
    bool indirect = false;

    while (index < size && info->count < VIRTIO_INFO_DESCRIPTORS) {
        VirtioDescriptor d = load_descriptor(table, index);

        if (d.flags & VIRTIO_DESCRIPTOR_INDIRECT && !indirect) {
            table = look(virtio, d.address, d.length);
            size = table ? d.length / DESCRIPTOR_SIZE : 0;
            indirect = true;
            index = 0;
            continue;
        }
        info->chain[info->count++] = d;
        index = d.flags & VIRTIO_DESCRIPTOR_NEXT ? d.next : size;
    }
}

static bool describe_element(Device *device, unsigned index, int64_t place, VirtioElementInfo *info,
                             GError **error)
{
    const VirtQueue *queue = get_queue(device, index, error);
    const VirtioDevice *virtio = virtio_device(device);
    const VirtQueueState *s;
    const uint8_t *table, *available, *used;

    if (!queue) {
        return false;
    }
    s = queue->state;
    table = s->enabled && s->size
                ? look(virtio, s->descriptors, (uint64_t)DESCRIPTOR_SIZE * s->size)
                : NULL;
    available = look(virtio, s->available, RING_ENTRIES + AVAILABLE_ENTRY_SIZE * s->size);
    used = look(virtio, s->used, RING_ENTRIES + USED_ENTRY_SIZE * s->size);
    if (!table || !available || !used) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "queue %u of %s has no rings: the driver has not set it up", index,
                          virtio_name(virtio));
    }
    place = (place < 0 ? s->last_available : (uint64_t)place) % s->size;
    *info = (VirtioElementInfo){
        .available_flags = load_le16(available + RING_FLAGS),
        .available_index = load_le16(available + RING_INDEX),
        .available_entry = load_le16(available + RING_ENTRIES + AVAILABLE_ENTRY_SIZE * place),
        .used_flags = load_le16(used + RING_FLAGS),
        .used_index = load_le16(used + RING_INDEX),
    };
    info->head = info->available_entry;
    walk(virtio, table, s->size, info);
    return true;
}

static bool describe_vhost_queue(Device *device, unsigned index, VirtioVhostQueueInfo *info,
                                 GError **error)
{
    const VirtQueue *queue = get_queue(device, index, error);
    const struct Vhost *vhost = queue ? vhost_of(queue->virtio, index) : NULL;
    const VirtQueueState *s;

    if (!queue) {
        return false;
    }
    if (!vhost) {
        return error_fail(error, KASO_ERROR_INVALID, "vhost does not work on queue %u of %s", index,
                          virtio_name(queue->virtio));
    }
    s = queue->state;
    *info = (VirtioVhostQueueInfo){
        .size = s->size,
        .descriptors = s->descriptors,
        .descriptors_bytes = (uint64_t)DESCRIPTOR_SIZE * s->size,
        .available = s->available,
        .available_bytes = RING_ENTRIES + AVAILABLE_ENTRY_SIZE * s->size + 2,
        .used = s->used,
        .used_bytes = RING_ENTRIES + USED_ENTRY_SIZE * s->size + 2,
    };
    vhost_queue_descriptors(vhost, index, &info->kick, &info->call);
    return true;
}

static bool is_virtio(const Device *device)
{
    return device->realized && (device->type->bus_properties == virtio_pci_properties ||
                                device->type->bus_properties == virtio_slot_properties);
}

static const VirtioInspection virtio_inspection = {
    .has = is_virtio,
    .device = describe_device,
    .queue = describe_queue,
    .element = describe_element,
    .vhost_queue = describe_vhost_queue,
};
VIRTIO_INSPECTION(virtio_inspection);
