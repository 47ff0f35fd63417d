/* SPDX-License-Identifier: MIT */
/*
 * Virtio over PCI (Virtio 1.2, 4.1), transitional: a legacy interface in an I/O BAR (4.1.4.8) and the
 * modern one in a memory BAR, found by vendor capabilities.
 *
 *   BAR 0  legacy registers, I/O      BAR 1  MSI-X      BAR 4  modern registers, memory
 */
#include "base/error.h"
#include "hw/virtio/virtio-doorbells.h"
#include "machine/machine.h"

enum {
    BAR_LEGACY = 0,
    BAR_MSIX = 1,
    BAR_MODERN = 4,

    /* Layout of the modern BAR. */
    COMMON_OFFSET = 0x0000,
    ISR_OFFSET = 0x1000,
    DEVICE_OFFSET = 0x2000,
    NOTIFY_OFFSET = 0x3000,
    STRUCTURE_SIZE = 0x1000,
    MODERN_SIZE = 0x4000,
    NOTIFY_MULTIPLIER = 4,

    LEGACY_QUEUE_SHIFT = 12,
    VENDOR_REDHAT = 0x1af4,
    MODERN_DEVICE_ID_BASE = 0x1040,
    MODERN_SUBSYSTEM = 0x1100,
};

/* virtio_pci_cap (4.1.4). */
enum {
    CAP_TYPE_COMMON = 1,
    CAP_TYPE_NOTIFY = 2,
    CAP_TYPE_ISR = 3,
    CAP_TYPE_DEVICE = 4,
    CAP_TYPE_PCI = 5,
    CAP_LENGTH = 2,
    CAP_CFG_TYPE = 3,
    CAP_BAR = 4,
    CAP_OFFSET = 8,
    CAP_SIZE = 12,
    CAP_BYTES = 16,
    CAP_EXTRA = 16, /* notify multiplier, or data window of the configuration access capability */
};

/* virtio_pci_common_cfg (4.1.4.3). */
enum {
    COMMON_DEVICE_FEATURE_SELECT = 0x00,
    COMMON_DEVICE_FEATURE = 0x04,
    COMMON_DRIVER_FEATURE_SELECT = 0x08,
    COMMON_DRIVER_FEATURE = 0x0c,
    COMMON_CONFIG_VECTOR = 0x10,
    COMMON_NUM_QUEUES = 0x12,
    COMMON_DEVICE_STATUS = 0x14,
    COMMON_CONFIG_GENERATION = 0x15,
    COMMON_QUEUE_SELECT = 0x16,
    COMMON_QUEUE_SIZE = 0x18,
    COMMON_QUEUE_VECTOR = 0x1a,
    COMMON_QUEUE_ENABLE = 0x1c,
    COMMON_QUEUE_NOTIFY_OFF = 0x1e,
    COMMON_QUEUE_DESC = 0x20,
    COMMON_QUEUE_DRIVER = 0x28,
    COMMON_QUEUE_DEVICE = 0x30,
    COMMON_QUEUE_NOTIFY_DATA = 0x38,
    COMMON_QUEUE_RESET = 0x3a,
};

/* Legacy registers. */
enum {
    LEGACY_HOST_FEATURES = 0,
    LEGACY_GUEST_FEATURES = 4,
    LEGACY_QUEUE_PFN = 8,
    LEGACY_QUEUE_SIZE = 12,
    LEGACY_QUEUE_SELECT = 14,
    LEGACY_QUEUE_NOTIFY = 16,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20,
    LEGACY_QUEUE_VECTOR = 22,
    LEGACY_CONFIG = 20, /* without MSI-X */
    LEGACY_CONFIG_MSIX = 24,
};

static VirtioDevice *virtio_of_pci(PciDevice *pci)
{
    return container_of(pci, VirtioDevice, pci);
}

/* Interrupts. */

static void notify(VirtioDevice *virtio, unsigned vector, uint8_t isr)
{
    if (pci_msix_enabled(&virtio->pci)) {
        pci_msix_notify(&virtio->pci, vector);
    } else {
        virtio->proxy.isr |= isr;
        pci_set_irq(&virtio->pci, true);
    }
}

static void virtio_pci_notify_queue(VirtioDevice *virtio, VirtQueue *queue)
{
    notify(virtio, queue->state->vector, VIRTIO_ISR_QUEUE);
}

static void virtio_pci_notify_config(VirtioDevice *virtio)
{
    notify(virtio, virtio->proxy.config_vector, VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG);
}

static void bind_signal(VirtioDevice *virtio, VirtQueue *queue, IrqSignal *signal)
{
    if (queue->state->vector < virtio->pci.msix.vectors) {
        pci_msix_bind(&virtio->pci, queue->state->vector, signal);
    } else {
        pci_msix_unbind(&virtio->pci, signal);
    }
}

static void unbind_signal(VirtioDevice *virtio, IrqSignal *signal)
{
    pci_msix_unbind(&virtio->pci, signal);
}

static void update_dma(VirtioDevice *virtio)
{
    bool implied = virtio->proxy.used_legacy && (virtio->status & VIRTIO_STATUS_DRIVER_OK);

    virtio_set_dma_allowed(virtio, pci_bus_master_enabled(&virtio->pci) || implied);
}

static void driver_ok(VirtioDevice *virtio)
{
    VirtioPci *proxy = &virtio->proxy;
    const VirtioKickPlaces places = { .modern = proxy->has_modern ? &proxy->modern : NULL,
                                      .modern_offset = NOTIFY_OFFSET,
                                      .stride = NOTIFY_MULTIPLIER,
                                      .legacy = proxy->has_legacy ? &proxy->legacy : NULL,
                                      .legacy_offset = LEGACY_QUEUE_NOTIFY };

    update_dma(virtio);
    if (proxy->ioeventfd) {
        virtio_doorbells_start(virtio, &places);
    }
}

static void virtio_pci_describe(const VirtioDevice *virtio, VirtioInfo *info)
{
    info->isr = virtio->proxy.isr;
    info->queue_select = virtio->proxy.queue_select;
}

static const VirtioTransport virtio_pci_transport = {
    .notify_queue = virtio_pci_notify_queue,
    .notify_config = virtio_pci_notify_config,
    .driver_ok = driver_ok,
    .bind_signal = bind_signal,
    .unbind_signal = unbind_signal,
    .describe = virtio_pci_describe,
};

static uint8_t read_isr(VirtioDevice *virtio)
{
    uint8_t isr = virtio->proxy.isr;

    virtio->proxy.isr = 0;
    pci_set_irq(&virtio->pci, false);
    return isr;
}

/* A vector that the function does not have reads back as "none". */
static uint16_t checked_vector(VirtioDevice *virtio, uint32_t value)
{
    return value < virtio->pci.msix.vectors ? value : VIRTIO_NO_VECTOR;
}

static void proxy_reset(VirtioDevice *virtio)
{
    VirtioPci *proxy = &virtio->proxy;

    proxy->isr = 0;
    proxy->config_vector = VIRTIO_NO_VECTOR;
    proxy->feature_select = proxy->driver_feature_select = 0;
    proxy->queue_select = 0;
    proxy->used_legacy = false;
    pci_set_irq(&virtio->pci, false);
}

static void write_status(VirtioDevice *virtio, uint8_t value)
{
    virtio_write_status(virtio, value);
    if (!value) {
        virtio_doorbells_stop(virtio);
        proxy_reset(virtio);
        update_dma(virtio);
    }
}

/* Modern interface. */

static uint64_t common_field(VirtioDevice *virtio, unsigned field)
{
    VirtioPci *proxy = &virtio->proxy;
    VirtQueue *queue = virtio_queue(virtio, proxy->queue_select);
    const VirtQueueState *s = queue ? queue->state : NULL;

    switch (field) {
    case COMMON_DEVICE_FEATURE_SELECT:
        return proxy->feature_select;
    case COMMON_DEVICE_FEATURE:
        return proxy->feature_select > 1
                   ? 0
                   : (uint32_t)(virtio_offered(virtio, false) >> (32 * proxy->feature_select));
    case COMMON_DRIVER_FEATURE_SELECT:
        return proxy->driver_feature_select;
    case COMMON_DRIVER_FEATURE:
        return proxy->driver_feature_select > 1
                   ? 0
                   : (uint32_t)(virtio->accepted >> (32 * proxy->driver_feature_select));
    case COMMON_CONFIG_VECTOR:
        return proxy->config_vector;
    case COMMON_NUM_QUEUES:
        return virtio->queue_count;
    case COMMON_DEVICE_STATUS:
        return virtio_read_status(virtio);
    case COMMON_CONFIG_GENERATION:
        return virtio->config_generation & 0xff;
    case COMMON_QUEUE_SELECT:
        return proxy->queue_select;
    case COMMON_QUEUE_SIZE:
        return s ? s->size : 0;
    case COMMON_QUEUE_VECTOR:
        return s ? s->vector : VIRTIO_NO_VECTOR;
    case COMMON_QUEUE_ENABLE:
        return s ? s->enabled : 0;
    case COMMON_QUEUE_NOTIFY_OFF:
        return queue ? queue->index : 0;
    case COMMON_QUEUE_DESC:
        return s ? s->descriptors : 0;
    case COMMON_QUEUE_DRIVER:
        return s ? s->available : 0;
    case COMMON_QUEUE_DEVICE:
        return s ? s->used : 0;
    case COMMON_QUEUE_RESET:
        return queue && virtio_queue_is_resetting(queue);
    }
    return 0;
}

/* The field that holds an offset, and its width. */
static unsigned common_field_at(unsigned offset, unsigned *width)
{
    if (offset >= COMMON_QUEUE_DESC && offset < COMMON_QUEUE_NOTIFY_DATA) {
        *width = 8;
    } else if (offset < COMMON_CONFIG_VECTOR) {
        *width = 4;
    } else if (offset == COMMON_DEVICE_STATUS || offset == COMMON_CONFIG_GENERATION) {
        *width = 1;
    } else {
        *width = 2;
    }
    return align_down(offset, *width);
}

static uint32_t common_read(VirtioDevice *virtio, unsigned offset)
{
    unsigned width, field = common_field_at(offset, &width);

    return common_field(virtio, field) >> 8 * (offset - field);
}

static void write_queue_address(VirtioDevice *virtio, VirtQueue *queue, unsigned field,
                                unsigned shift, uint32_t value, unsigned size)
{
    VirtQueueState *s = queue->state;
    uint64_t *address = field == COMMON_QUEUE_DESC     ? &s->descriptors
                        : field == COMMON_QUEUE_DRIVER ? &s->available
                                                       : &s->used;

    if (s->enabled) {
        log_guest_error(virtio_name(virtio), "address of queue %u written while it is enabled",
                        queue->index);
    } else {
        *address = bits_deposit(*address, shift, 8 * size, value);
    }
}

static void common_write_queue(VirtioDevice *virtio, unsigned offset, uint32_t value, unsigned size)
{
    VirtQueue *queue = virtio_queue(virtio, virtio->proxy.queue_select);
    unsigned width, field = common_field_at(offset, &width);

    if (!queue) {
        return;
    }
    switch (field) {
    case COMMON_QUEUE_SIZE:
        virtqueue_set_size(queue, value);
        break;
    case COMMON_QUEUE_VECTOR:
        queue->state->vector = checked_vector(virtio, value);
        virtqueue_vector_changed(queue);
        break;
    case COMMON_QUEUE_ENABLE:
        if (value == 1) {
            virtqueue_enable(queue);
        } else {
            log_guest_error(virtio_name(virtio), "queue_enable of queue %u set to %u", queue->index,
                            value);
        }
        break;
    case COMMON_QUEUE_RESET:
        virtio_write_queue_reset(queue, value);
        break;
    case COMMON_QUEUE_DESC:
    case COMMON_QUEUE_DRIVER:
    case COMMON_QUEUE_DEVICE:
        write_queue_address(virtio, queue, field, 8 * (offset - field), value, size);
        break;
    }
}

static void common_write(VirtioDevice *virtio, unsigned offset, uint32_t value, unsigned size)
{
    VirtioPci *proxy = &virtio->proxy;
    unsigned width, field = common_field_at(offset, &width);

    if (width < 8 && (size != width || offset != field)) {
        log_guest_error(virtio_name(virtio), "%u-byte write at %#x of the common configuration",
                        size, offset);
        return;
    }
    switch (field) {
    case COMMON_DEVICE_FEATURE_SELECT:
        proxy->feature_select = value;
        break;
    case COMMON_DRIVER_FEATURE_SELECT:
        proxy->driver_feature_select = value;
        break;
    case COMMON_DRIVER_FEATURE:
        virtio_write_features(virtio, proxy->driver_feature_select, value);
        break;
    case COMMON_CONFIG_VECTOR:
        proxy->config_vector = checked_vector(virtio, value);
        break;
    case COMMON_DEVICE_STATUS:
        if ((value & VIRTIO_STATUS_FEATURES_OK) &&
            !virtio_has_feature(virtio, VIRTIO_F_VERSION_1)) {
            value &= ~VIRTIO_STATUS_FEATURES_OK;
        }
        write_status(virtio, value);
        break;
    case COMMON_QUEUE_SELECT:
        proxy->queue_select = value;
        break;
    default:
        common_write_queue(virtio, offset, value, size);
    }
}

static MemoryResult modern_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    VirtioDevice *virtio = opaque;

    *value = 0;
    switch (align_down(offset, STRUCTURE_SIZE)) {
    case COMMON_OFFSET:
        *value = common_read(virtio, offset);
        break;
    case ISR_OFFSET:
        *value = offset == ISR_OFFSET ? read_isr(virtio) : 0;
        break;
    case DEVICE_OFFSET:
        *value = virtio_read_config(virtio, offset - DEVICE_OFFSET, size);
        break;
    }
    *value &= bits_mask(8 * size);
    return MEMORY_OK;
}

static MemoryResult modern_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    VirtioDevice *virtio = opaque;

    switch (align_down(offset, STRUCTURE_SIZE)) {
    case NOTIFY_OFFSET:
        virtio_kick(virtio, (offset - NOTIFY_OFFSET) / NOTIFY_MULTIPLIER);
        break;
    case COMMON_OFFSET:
        common_write(virtio, offset, value, size);
        break;
    case DEVICE_OFFSET:
        virtio_write_config(virtio, offset - DEVICE_OFFSET, value, size);
        break;
    }
    return MEMORY_OK;
}

static const MemoryOps modern_ops = {
    .read = modern_read,
    .write = modern_write,
    .size_min = 1,
    .size_max = 4,
};

/* Legacy interface. */

static unsigned legacy_config_offset(VirtioDevice *virtio)
{
    return pci_msix_enabled(&virtio->pci) ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
}

static uint32_t legacy_register(VirtioDevice *virtio, unsigned offset)
{
    VirtQueue *queue = virtio_queue(virtio, virtio->proxy.queue_select);

    switch (offset) {
    case LEGACY_HOST_FEATURES:
        return virtio_offered(virtio, true);
    case LEGACY_GUEST_FEATURES:
        return virtio->accepted;
    case LEGACY_QUEUE_PFN:
        return queue && queue->state->enabled ? queue->state->descriptors >> LEGACY_QUEUE_SHIFT : 0;
    case LEGACY_QUEUE_SIZE:
        return queue ? queue->maximum_size : 0;
    case LEGACY_QUEUE_SELECT:
        return virtio->proxy.queue_select;
    case LEGACY_STATUS:
        return virtio_read_status(virtio) & ~VIRTIO_STATUS_NEEDS_RESET;
    case LEGACY_ISR:
        return read_isr(virtio);
    case LEGACY_CONFIG_VECTOR:
        return virtio->proxy.config_vector;
    case LEGACY_QUEUE_VECTOR:
        return queue ? queue->state->vector : VIRTIO_NO_VECTOR;
    }
    return 0;
}

static MemoryResult legacy_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    VirtioDevice *virtio = opaque;
    unsigned config = legacy_config_offset(virtio);

    if (offset >= config) {
        *value = virtio_read_config(virtio, offset - config, size);
    } else {
        *value = legacy_register(virtio, offset) & bits_mask(8 * size);
    }
    return MEMORY_OK;
}

static void legacy_write_register(VirtioDevice *virtio, unsigned offset, uint32_t value)
{
    VirtQueue *queue = virtio_queue(virtio, virtio->proxy.queue_select);

    switch (offset) {
    case LEGACY_GUEST_FEATURES:
        virtio_write_features(virtio, 0, value & (uint32_t)virtio_offered(virtio, true));
        break;
    case LEGACY_QUEUE_PFN:
        if (queue) {
            uint16_t vector = queue->state->vector;

            virtqueue_enable_legacy(queue, (uint64_t)value << LEGACY_QUEUE_SHIFT,
                                    1 << LEGACY_QUEUE_SHIFT);
            queue->state->vector = vector;
        }
        break;
    case LEGACY_QUEUE_SELECT:
        virtio->proxy.queue_select = value;
        break;
    case LEGACY_QUEUE_NOTIFY:
        virtio_kick(virtio, value & 0xffff);
        break;
    case LEGACY_STATUS:
        virtio->proxy.used_legacy = true;
        write_status(virtio, value);
        break;
    case LEGACY_CONFIG_VECTOR:
        virtio->proxy.config_vector = checked_vector(virtio, value & 0xffff);
        break;
    case LEGACY_QUEUE_VECTOR:
        if (queue) {
            queue->state->vector = checked_vector(virtio, value & 0xffff);
            virtqueue_vector_changed(queue);
        }
        break;
    default:
        log_guest_error(virtio_name(virtio), "write of legacy register %#x", offset);
    }
}

static MemoryResult legacy_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    VirtioDevice *virtio = opaque;
    unsigned config = legacy_config_offset(virtio);

    if (offset >= config) {
        virtio_write_config(virtio, offset - config, value, size);
    } else {
        legacy_write_register(virtio, offset, value);
    }
    return MEMORY_OK;
}

static const MemoryOps legacy_ops = {
    .read = legacy_read,
    .write = legacy_write,
    .size_min = 1,
    .size_max = 4,
};

/* Access to the BARs through configuration space (4.1.4.9). */

static bool window_target(VirtioDevice *virtio, const MemoryOps **ops, uint32_t *offset,
                          uint32_t *size)
{
    const uint8_t *cap = virtio->pci.config + virtio->proxy.config_capability;
    MemoryRegion *region = pci_bar_region(&virtio->pci, cap[CAP_BAR]);

    *offset = load_le32(cap + CAP_OFFSET);
    *size = load_le32(cap + CAP_SIZE);
    if (region && region == virtio->proxy.container) {
        region = &virtio->proxy.modern;
        *offset -= virtio->proxy.container_offset;
    }
    if (!region || (*size != 1 && *size != 2 && *size != 4) || *offset % *size ||
        *offset > region->size - *size ||
        (region != &virtio->proxy.modern && region != &virtio->proxy.legacy)) {
        return false;
    }
    *ops = region->ops;
    return true;
}

static bool touches_window(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    unsigned data = virtio->proxy.config_capability + CAP_EXTRA;

    return virtio->proxy.config_capability && offset < data + 4 && offset + size > data;
}

static void virtio_pci_config_read(PciDevice *pci, unsigned offset, unsigned size)
{
    VirtioDevice *virtio = virtio_of_pci(pci);
    const MemoryOps *ops;
    uint32_t target, width;
    uint64_t value;

    if (touches_window(virtio, offset, size) && window_target(virtio, &ops, &target, &width)) {
        ops->read(virtio, target, &value, width, MEMORY_ATTRIBUTES_DMA);
        store_le32(pci->config + virtio->proxy.config_capability + CAP_EXTRA, value);
    }
}

static void virtio_pci_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    VirtioDevice *virtio = virtio_of_pci(pci);
    const MemoryOps *ops;
    uint32_t target, width, value;

    if (offset < PCI_STATUS) {
        update_dma(virtio);
    }
    if (touches_window(virtio, offset, size) && window_target(virtio, &ops, &target, &width)) {
        value = load_le32(pci->config + virtio->proxy.config_capability + CAP_EXTRA);
        ops->write(virtio, target, value & bits_mask(8 * width), width, MEMORY_ATTRIBUTES_DMA);
    }
}

static const PciDeviceOps virtio_pci_ops = {
    .config_read = virtio_pci_config_read,
    .config_written = virtio_pci_config_written,
};

/* Realize. */

static unsigned modern_bar(const VirtioDevice *virtio)
{
    return virtio->proxy.modern_bar ? virtio->proxy.modern_bar : BAR_MODERN;
}

static unsigned add_structure(PciDevice *pci, unsigned type, unsigned offset, unsigned size,
                              unsigned extra)
{
    const VirtioDevice *virtio = virtio_of_pci(pci);
    unsigned capability = pci_add_capability(pci, PCI_CAPABILITY_VENDOR, CAP_BYTES + extra);
    uint8_t *cap = pci->config + capability;

    cap[CAP_LENGTH] = CAP_BYTES + extra;
    cap[CAP_CFG_TYPE] = type;
    cap[CAP_BAR] = type == CAP_TYPE_PCI ? 0 : modern_bar(virtio);
    store_le32(cap + CAP_OFFSET,
               type == CAP_TYPE_PCI ? 0 : virtio->proxy.container_offset + offset);
    store_le32(cap + CAP_SIZE, size);
    return capability;
}

static void add_modern(VirtioDevice *virtio)
{
    PciDevice *pci = &virtio->pci;
    unsigned capability;

    add_structure(pci, CAP_TYPE_COMMON, COMMON_OFFSET, STRUCTURE_SIZE, 0);
    add_structure(pci, CAP_TYPE_ISR, ISR_OFFSET, STRUCTURE_SIZE, 0);
    add_structure(pci, CAP_TYPE_DEVICE, DEVICE_OFFSET, STRUCTURE_SIZE, 0);
    capability = add_structure(pci, CAP_TYPE_NOTIFY, NOTIFY_OFFSET, STRUCTURE_SIZE, 4);
    store_le32(pci->config + capability + CAP_EXTRA, NOTIFY_MULTIPLIER);
    capability = add_structure(pci, CAP_TYPE_PCI, 0, 0, 4);
    virtio->proxy.config_capability = capability;
    pci->writable[capability + CAP_BAR] = 0xff;
    memset(pci->writable + capability + CAP_OFFSET, 0xff, 12);
    memory_region_init_io(&virtio->proxy.modern, pci->device.machine, "virtio-pci", MODERN_SIZE,
                          &modern_ops, virtio);
    if (virtio->proxy.container) {
        memory_region_add(virtio->proxy.container, virtio->proxy.container_offset,
                          &virtio->proxy.modern, 0);
    } else {
        pci_add_bar(pci, modern_bar(virtio), PCI_BAR_MEMORY64, true, &virtio->proxy.modern);
    }
}

static void add_legacy(VirtioDevice *virtio)
{
    unsigned size = 32;

    while (size < LEGACY_CONFIG_MSIX + virtio->type->config_size) {
        size *= 2;
    }
    memory_region_init_io(&virtio->proxy.legacy, virtio_machine(virtio), "virtio-pci-legacy", size,
                          &legacy_ops, virtio);
    pci_add_bar(&virtio->pci, BAR_LEGACY, PCI_BAR_IO, false, &virtio->proxy.legacy);
}

static void set_identity(VirtioDevice *virtio)
{
    const VirtioType *type = virtio->type;
    uint32_t class_code =
        virtio->proxy.class_code ? virtio->proxy.class_code << 8 : type->pci_class;

    if (virtio->proxy.has_legacy) {
        pci_set_identity(&virtio->pci, VENDOR_REDHAT, type->transitional_pci_id, class_code, 0);
        pci_set_subsystem(&virtio->pci, VENDOR_REDHAT, type->virtio_id);
    } else {
        pci_set_identity(&virtio->pci, VENDOR_REDHAT, MODERN_DEVICE_ID_BASE + type->virtio_id,
                         class_code, 1);
        pci_set_subsystem(&virtio->pci, VENDOR_REDHAT, MODERN_SUBSYSTEM);
    }
    pci_set_interrupt_pin(&virtio->pci, 1);
}

static unsigned vector_count(const VirtioDevice *virtio)
{
    enum { UNSET = UINT32_MAX };

    return virtio->proxy.vectors != UNSET ? virtio->proxy.vectors
                                          : MIN(virtio->queue_count + 1, PCI_MSIX_MAX_VECTORS);
}

static bool realize(VirtioDevice *virtio, bool legacy, bool modern, GError **error)
{
    PciDevice *pci = &virtio->pci;
    VirtioPci *proxy = &virtio->proxy;

    if (!legacy && !modern) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: disable-legacy=on and disable-modern=on leave no interface",
                          virtio_name(virtio));
    }
    proxy->has_legacy = legacy;
    proxy->has_modern = modern;
    virtio->transport = &virtio_pci_transport;
    if (!virtio_realize(virtio, error)) {
        return false;
    }
    set_identity(virtio);
    if (legacy) {
        add_legacy(virtio);
    }
    if (!pci_add_msix(pci, proxy->msix_bar ? proxy->msix_bar : BAR_MSIX, vector_count(virtio),
                      error) ||
        !pci_add_rom(pci, virtio->type->rom, error)) {
        virtio_unrealize(virtio);
        return false;
    }
    if (modern) {
        add_modern(virtio);
    }
    if (pci_bus_is_slot(pci->bus)) {
        pci_add_express_capability(pci, PCIE_TYPE_ENDPOINT);
    }
    pci->ops = &virtio_pci_ops;
    return true;
}

/* On a port, I/O space is scarce: there a device is modern only, unless told otherwise. */
bool virtio_pci_realize(Device *device, GError **error)
{
    VirtioDevice *virtio = virtio_device(device);
    int disabled = virtio->proxy.disable_legacy;
    bool legacy = disabled == ON_OFF_AUTO_AUTO ? !pci_bus_is_slot(virtio->pci.bus)
                                               : disabled == ON_OFF_AUTO_OFF;

    return realize(virtio, legacy, !virtio->proxy.disable_modern, error);
}

bool virtio_pci_transitional_realize(Device *device, GError **error)
{
    return realize(virtio_device(device), true, true, error);
}

bool virtio_pci_non_transitional_realize(Device *device, GError **error)
{
    return realize(virtio_device(device), false, true, error);
}

void virtio_pci_unrealize(Device *device)
{
    virtio_doorbells_stop(virtio_device(device));
    virtio_unrealize(virtio_device(device));
}

void virtio_pci_reset(Device *device)
{
    VirtioDevice *virtio = virtio_device(device);

    virtio_doorbells_stop(virtio);
    virtio_drain(virtio);
    virtio_reset(virtio);
    proxy_reset(virtio);
    pci_reset(&virtio->pci);
    update_dma(virtio);
}

void virtio_pci_state_loaded(Device *device)
{
    VirtioDevice *virtio = virtio_device(device);

    virtio_state_loaded(virtio);
    pci_state_loaded(&virtio->pci);
    virtio->dma_allowed = pci_bus_master_enabled(&virtio->pci);
    pci_set_irq(&virtio->pci, virtio->proxy.isr);
    virtio_doorbells_stop(virtio);
    if (virtio->status & VIRTIO_STATUS_DRIVER_OK) {
        driver_ok(virtio);
    }
    virtio_retake(virtio);
}

#define PROXY_OPTION(option, text, fallback)                                                       \
    {                                                                                              \
        text, PROPERTY_BOOL, offsetof(VirtioDevice, proxy.option), "accepted; has no effect",      \
            fallback                                                                               \
    }

const Property virtio_pci_properties[] = {
    { "disable-legacy", PROPERTY_ON_OFF_AUTO, offsetof(VirtioDevice, proxy.disable_legacy),
      "leave out the legacy interface", "auto" },
    { "disable-modern", PROPERTY_BOOL, offsetof(VirtioDevice, proxy.disable_modern),
      "leave out the modern interface", "off" },
    { "vectors", PROPERTY_U32, offsetof(VirtioDevice, proxy.vectors),
      "MSI-X vectors; unset: one for each queue and one for the configuration", "4294967295" },
    { "class", PROPERTY_U32, offsetof(VirtioDevice, proxy.class_code),
      "base class and subclass; 0: as usual for the kind", "0" },
    { "ioeventfd", PROPERTY_BOOL, offsetof(VirtioDevice, proxy.ioeventfd),
      "with KVM: kicks reach the device by descriptor, and the CPU goes on at once", "on" },
    PROXY_OPTION(ats, "ats", "off"),
    PROXY_OPTION(aer, "aer", "off"),
    PROXY_OPTION(modern_pio_notify, "modern-pio-notify", "off"),
    PROXY_OPTION(page_per_vq, "page-per-vq", "off"),
    PROXY_OPTION(migrate_extra, "migrate-extra", "on"),
    PROXY_OPTION(ignore_backend, "x-ignore-backend-features", "off"),
    VIRTIO_PROPERTIES,
    PCI_PROPERTIES(VirtioDevice, pci),
    { 0 },
};
