/* SPDX-License-Identifier: MIT */
/*
 * Virtio over MMIO (Virtio 1.2, 4.2): a slot that the board places and a "virtio-bus" with room for one
 * device. Version 1 (legacy, 4.2.4) unless force-legacy=off.
 */
#include "base/error.h"
#include "hw/virtio/virtio.h"
#include "machine/machine.h"

enum {
    MMIO_SIZE = 0x200,
    MAGIC_VALUE = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    VENDOR_ID = 0x00c,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SEL = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SEL = 0x024,
    GUEST_PAGE_SIZE = 0x028,
    QUEUE_SEL = 0x030,
    QUEUE_NUM_MAX = 0x034,
    QUEUE_NUM = 0x038,
    QUEUE_ALIGN = 0x03c,
    QUEUE_PFN = 0x040,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACK = 0x064,
    STATUS = 0x070,
    QUEUE_DESC_LOW = 0x080,
    QUEUE_DESC_HIGH = 0x084,
    QUEUE_DRIVER_LOW = 0x090,
    QUEUE_DRIVER_HIGH = 0x094,
    QUEUE_DEVICE_LOW = 0x0a0,
    QUEUE_DEVICE_HIGH = 0x0a4,
    SHM_LEN_LOW = 0x0b0,
    SHM_BASE_HIGH = 0x0bc,
    QUEUE_RESET = 0x0c0,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,

    MAGIC = 0x74726976,  /* "virt" */
    VENDOR = 0x554d4551, /* what existing guests know */
    MAX_ALIGNMENT = 1 << 20,
};

struct VirtioMmio {
    Device device;
    Bus bus;
    MemoryRegion region;
    IrqLine irq;
    VirtioDevice *virtio; /* in the slot, or NULL */
    uint32_t device_features_sel, driver_features_sel, queue_sel, guest_page_size, interrupt_status;
    uint32_t queue_align[VIRTIO_MAX_QUEUES], queue_pfn[VIRTIO_MAX_QUEUES];
    /* Properties. */
    bool force_legacy, format_transport_address, ioeventfd;
};

static VirtioMmio *virtio_mmio(Device *device)
{
    return container_of(device, VirtioMmio, device);
}

static void update_irq(VirtioMmio *mmio)
{
    irq_set(&mmio->irq, mmio->interrupt_status != 0);
}

static void mmio_notify_queue(VirtioDevice *virtio, VirtQueue *queue)
{
    virtio->mmio->interrupt_status |= VIRTIO_ISR_QUEUE;
    update_irq(virtio->mmio);
}

static void mmio_notify_config(VirtioDevice *virtio)
{
    virtio->mmio->interrupt_status |= VIRTIO_ISR_CONFIG;
    update_irq(virtio->mmio);
}

static void mmio_describe(const VirtioDevice *virtio, VirtioInfo *info)
{
    info->isr = (uint8_t)virtio->mmio->interrupt_status;
    info->queue_select = virtio->mmio->queue_sel;
}

static const VirtioTransport mmio_transport = {
    .notify_queue = mmio_notify_queue,
    .notify_config = mmio_notify_config,
    .describe = mmio_describe,
};

static void registers_reset(VirtioMmio *mmio)
{
    mmio->device_features_sel = mmio->driver_features_sel = mmio->queue_sel = 0;
    mmio->interrupt_status = 0;
    memset(mmio->queue_align, 0, sizeof mmio->queue_align);
    memset(mmio->queue_pfn, 0, sizeof mmio->queue_pfn);
    update_irq(mmio);
}

static uint32_t read_legacy(VirtioMmio *mmio, VirtQueue *queue, unsigned offset)
{
    if (offset == QUEUE_PFN) {
        return queue ? mmio->queue_pfn[queue->index] : 0;
    }
    log_guest_error("virtio-mmio", "read of register %#x of version 1", offset);
    return 0;
}

static uint32_t read_modern(VirtioMmio *mmio, VirtQueue *queue, unsigned offset)
{
    if (offset == QUEUE_READY) {
        return queue && queue->state->enabled;
    }
    if (offset == QUEUE_RESET) {
        return queue && virtio_queue_is_resetting(queue);
    }
    if (offset == CONFIG_GENERATION) {
        return mmio->virtio->config_generation;
    }
    if (offset >= SHM_LEN_LOW && offset <= SHM_BASE_HIGH) {
        return UINT32_MAX; /* there is no shared memory region */
    }
    log_guest_error("virtio-mmio", "read of register %#x of version 2", offset);
    return 0;
}

static uint32_t read_register(VirtioMmio *mmio, unsigned offset)
{
    VirtioDevice *virtio = mmio->virtio;
    VirtQueue *queue;

    switch (offset) {
    case MAGIC_VALUE:
        return MAGIC;
    case VERSION:
        return mmio->force_legacy ? 1 : 2;
    case VENDOR_ID:
        return VENDOR;
    case DEVICE_ID:
        return virtio ? virtio->type->virtio_id : 0;
    }
    if (!virtio) {
        return 0;
    }
    queue = virtio_queue(virtio, mmio->queue_sel);
    switch (offset) {
    case DEVICE_FEATURES:
        return mmio->device_features_sel > 1
                   ? 0
                   : virtio_offered(virtio, mmio->force_legacy) >> (32 * mmio->device_features_sel);
    case QUEUE_NUM_MAX:
        return queue ? queue->maximum_size : 0;
    case INTERRUPT_STATUS:
        return mmio->interrupt_status;
    case STATUS:
        return virtio_read_status(virtio);
    }
    return mmio->force_legacy ? read_legacy(mmio, queue, offset) : read_modern(mmio, queue, offset);
}

static void enable_legacy(VirtioMmio *mmio, VirtQueue *queue, uint32_t pfn)
{
    uint32_t alignment = mmio->queue_align[queue->index];

    if (!is_power_of_two(alignment) || alignment > MAX_ALIGNMENT ||
        !is_power_of_two(mmio->guest_page_size)) {
        log_guest_error("virtio-mmio", "queue address with alignment %#x, page size %#x", alignment,
                        mmio->guest_page_size);
        return;
    }
    mmio->queue_pfn[queue->index] = pfn;
    virtqueue_enable_legacy(queue, (uint64_t)pfn * mmio->guest_page_size, alignment);
}

static void write_legacy(VirtioMmio *mmio, VirtQueue *queue, unsigned offset, uint32_t value)
{
    switch (offset) {
    case GUEST_PAGE_SIZE:
        mmio->guest_page_size = value;
        break;
    case QUEUE_ALIGN:
        if (queue) {
            mmio->queue_align[queue->index] = value;
        }
        break;
    case QUEUE_PFN:
        if (queue && value) {
            enable_legacy(mmio, queue, value);
        } else if (queue) {
            mmio->queue_pfn[queue->index] = 0;
            virtqueue_enable_legacy(queue, 0, 1);
        }
        break;
    default:
        log_guest_error("virtio-mmio", "write of register %#x of version 1", offset);
    }
}

static void write_low(uint64_t *address, uint32_t value)
{
    *address = bits_deposit(*address, 0, 32, value);
}

static void write_high(uint64_t *address, uint32_t value)
{
    *address = bits_deposit(*address, 32, 32, value);
}

static void write_queue_address(VirtQueue *queue, unsigned offset, uint32_t value)
{
    VirtQueueState *s = queue->state;

    if (s->enabled) {
        log_guest_error("virtio-mmio", "address of queue %u written while it is ready",
                        queue->index);
        return;
    }
    switch (offset) {
    case QUEUE_DESC_LOW:
        write_low(&s->descriptors, value);
        break;
    case QUEUE_DESC_HIGH:
        write_high(&s->descriptors, value);
        break;
    case QUEUE_DRIVER_LOW:
        write_low(&s->available, value);
        break;
    case QUEUE_DRIVER_HIGH:
        write_high(&s->available, value);
        break;
    case QUEUE_DEVICE_LOW:
        write_low(&s->used, value);
        break;
    case QUEUE_DEVICE_HIGH:
        write_high(&s->used, value);
        break;
    default:
        log_guest_error("virtio-mmio", "write of register %#x of version 2", offset);
    }
}

static void write_modern(VirtioMmio *mmio, VirtQueue *queue, unsigned offset, uint32_t value)
{
    if (!queue) {
        return;
    }
    if (offset == QUEUE_RESET) {
        virtio_write_queue_reset(queue, value);
    } else if (offset != QUEUE_READY) {
        write_queue_address(queue, offset, value);
    } else if (value & 1) {
        virtqueue_enable(queue);
    } else {
        virtio_reset_queue(queue);
    }
}

static void write_status(VirtioMmio *mmio, uint32_t value)
{
    VirtioDevice *virtio = mmio->virtio;

    if (!mmio->force_legacy && (value & VIRTIO_STATUS_FEATURES_OK) &&
        !virtio_has_feature(virtio, VIRTIO_F_VERSION_1)) {
        value &= ~VIRTIO_STATUS_FEATURES_OK;
    }
    virtio_write_status(virtio, value);
    if (!(value & 0xff)) {
        registers_reset(mmio);
    }
}

static void write_register(VirtioMmio *mmio, unsigned offset, uint32_t value)
{
    VirtioDevice *virtio = mmio->virtio;
    VirtQueue *queue = virtio_queue(virtio, mmio->queue_sel);

    switch (offset) {
    case DEVICE_FEATURES_SEL:
        mmio->device_features_sel = value;
        break;
    case DRIVER_FEATURES:
        if (mmio->force_legacy) {
            value &= mmio->driver_features_sel ? 0 : (uint32_t)virtio_offered(virtio, true);
        }
        virtio_write_features(virtio, mmio->driver_features_sel, value);
        break;
    case DRIVER_FEATURES_SEL:
        mmio->driver_features_sel = value;
        break;
    case QUEUE_SEL:
        mmio->queue_sel = value;
        break;
    case QUEUE_NUM:
        if (queue) {
            virtqueue_set_size(queue, value);
        }
        break;
    case QUEUE_NOTIFY:
        virtio_kick(virtio, value);
        break;
    case INTERRUPT_ACK:
        mmio->interrupt_status &= ~value;
        update_irq(mmio);
        break;
    case STATUS:
        write_status(mmio, value);
        break;
    default:
        if (mmio->force_legacy) {
            write_legacy(mmio, queue, offset, value);
        } else {
            write_modern(mmio, queue, offset, value);
        }
    }
}

static MemoryResult mmio_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    VirtioMmio *mmio = opaque;

    *value = 0;
    if (offset >= CONFIG) {
        if (mmio->virtio) {
            *value = virtio_read_config(mmio->virtio, offset - CONFIG, size);
        }
    } else if (size == 4) {
        *value = read_register(mmio, offset);
    } else {
        log_guest_error("virtio-mmio", "%u-byte read at %#x", size, (unsigned)offset);
    }
    return MEMORY_OK;
}

static MemoryResult mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    VirtioMmio *mmio = opaque;

    if (!mmio->virtio) {
        return MEMORY_OK;
    }
    if (offset >= CONFIG) {
        virtio_write_config(mmio->virtio, offset - CONFIG, value, size);
    } else if (size == 4) {
        write_register(mmio, offset, value);
    } else {
        log_guest_error("virtio-mmio", "%u-byte write at %#x", size, (unsigned)offset);
    }
    return MEMORY_OK;
}

static const MemoryOps mmio_ops = {
    .read = mmio_read,
    .write = mmio_write,
    .size_min = 1,
    .size_max = 4,
};

/* The bus in a slot. */

static bool slot_attach(Bus *bus, Device *device, GError **error)
{
    VirtioMmio *mmio = container_of(bus, VirtioMmio, bus);

    if (mmio->virtio) {
        return error_fail(error, KASO_ERROR_INVALID, "bus '%s' is taken by '%s'", bus->name,
                          mmio->virtio->pci.device.id);
    }
    virtio_device(device)->mmio = mmio;
    return true;
}

static void slot_detach(Bus *bus, Device *device)
{
    container_of(bus, VirtioMmio, bus)->virtio = NULL;
}

static const BusType virtio_bus_type = {
    .name = "virtio-bus",
    .attach = slot_attach,
    .detach = slot_detach,
};

/* Slots are numbered in the order in which the board makes them. */
static unsigned slot_number(Device *device)
{
    GPtrArray *siblings = device->parent ? device->parent->children : NULL;
    unsigned number = 0;

    for (unsigned i = 0; siblings && i < siblings->len; i++) {
        Device *sibling = g_ptr_array_index(siblings, i);

        if (sibling == device) {
            break;
        }
        number += sibling->type == device->type;
    }
    return number;
}

static bool virtio_mmio_realize(Device *device, GError **error)
{
    VirtioMmio *mmio = virtio_mmio(device);
    char *name = g_strdup_printf("virtio-mmio-bus.%u", slot_number(device));

    memory_region_init_io(&mmio->region, device->machine, "virtio-mmio", MMIO_SIZE, &mmio_ops,
                          mmio);
    device_add_mmio(device, &mmio->region);
    device_add_irq(device, &mmio->irq);
    bus_init(&mmio->bus, &virtio_bus_type, device, name);
    mmio->bus.max_devices = 1;
    g_free(name);
    return true;
}

static void virtio_mmio_reset(Device *device)
{
    registers_reset(virtio_mmio(device));
    /* Drivers set it once, before their first reset by Status. */
    virtio_mmio(device)->guest_page_size = 0;
}

static void virtio_mmio_state_loaded(Device *device)
{
    update_irq(virtio_mmio(device));
}

static const Property virtio_mmio_properties[] = {
    { "force-legacy", PROPERTY_BOOL, offsetof(VirtioMmio, force_legacy),
      "version 1 register layout", "on" },
    { "format_transport_address", PROPERTY_BOOL, offsetof(VirtioMmio, format_transport_address),
      "accepted; has no effect", "on" },
    { "ioeventfd", PROPERTY_BOOL, offsetof(VirtioMmio, ioeventfd), "accepted; has no effect",
      "on" },
    { 0 },
};

static const StateField virtio_mmio_state[] = {
    STATE(VirtioMmio, device_features_sel), STATE(VirtioMmio, driver_features_sel),
    STATE(VirtioMmio, queue_sel),           STATE(VirtioMmio, guest_page_size),
    STATE(VirtioMmio, interrupt_status),    STATE(VirtioMmio, queue_align),
    STATE(VirtioMmio, queue_pfn),           { 0 },
};

static const DeviceType virtio_mmio_type = {
    .name = "virtio-mmio",
    .summary = "Slot for a virtio device, by MMIO",
    .category = "misc",
    .instance_size = sizeof(VirtioMmio),
    .properties = virtio_mmio_properties,
    .state = virtio_mmio_state,
    .board_only = true,
    .realize = virtio_mmio_realize,
    .reset = virtio_mmio_reset,
    .state_loaded = virtio_mmio_state_loaded,
};
DEVICE_TYPE(virtio_mmio_type);

/* The device types that sit in a slot. */

const Property virtio_slot_properties[] = { VIRTIO_PROPERTIES, { 0 } };

bool virtio_slot_realize(Device *device, GError **error)
{
    VirtioDevice *virtio = virtio_device(device);

    virtio->transport = &mmio_transport;
    virtio->dma_allowed = true;
    if (!virtio_realize(virtio, error)) {
        return false;
    }
    virtio->mmio->virtio = virtio;
    return true;
}

void virtio_slot_unrealize(Device *device)
{
    virtio_unrealize(virtio_device(device));
}

void virtio_slot_reset(Device *device)
{
    VirtioDevice *virtio = virtio_device(device);

    virtio_drain(virtio);
    virtio_reset(virtio);
    /* The state that only the form on PCI uses is in the common table: it is always zero here. */
    memset(virtio->pci.config, 0, sizeof(virtio->pci.config));
    memset(virtio->pci.msix.table, 0, sizeof(virtio->pci.msix.table));
    memset(virtio->pci.msix.pending, 0, sizeof(virtio->pci.msix.pending));
    virtio->proxy.isr = 0;
    virtio->proxy.config_vector = 0;
    virtio->proxy.feature_select = virtio->proxy.driver_feature_select = 0;
    virtio->proxy.queue_select = 0;
}

void virtio_slot_state_loaded(Device *device)
{
    virtio_state_loaded(virtio_device(device));
    virtio_retake(virtio_device(device));
}
