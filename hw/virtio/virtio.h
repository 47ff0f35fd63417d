/* SPDX-License-Identifier: MIT */
/*
 * Virtio (OASIS Virtual I/O Device 1.2): what a device model, the virtqueues and the transports
 * share. One VirtioType and one instance structure serve all four -device names of a kind:
 * NAME-device (on a virtio-mmio slot), NAME-pci, NAME-pci-transitional and NAME-pci-non-transitional.
 *
 * Everything here runs under the machine lock. A guest that breaks the rules gets
 * DEVICE_NEEDS_RESET and a silent device, nothing worse.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include <sys/uio.h>

#include "hw/pci/pci.h"
#include "machine/device.h"
#include "machine/irq-signal.h"
#include "machine/virtio-info.h"

enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 64,
    VIRTIO_STATUS_FAILED = 128,

    VIRTIO_ISR_QUEUE = 1,
    VIRTIO_ISR_CONFIG = 2,

    VIRTIO_NO_VECTOR = 0xffff,
};

/* Feature bits of all devices. */
enum {
    VIRTIO_F_NOTIFY_ON_EMPTY = 24,
    VIRTIO_F_ANY_LAYOUT = 27,
    VIRTIO_F_INDIRECT_DESC = 28,
    VIRTIO_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33,
    VIRTIO_F_RING_RESET = 40,
};

enum {
    VIRTIO_MAX_QUEUES = 64,
    VIRTIO_MAX_QUEUE_SIZE = 1024,
    VIRTIO_MAX_SEGMENTS = 1024, /* buffers in one chain */
    VIRTIO_MAX_CONFIG = 160,    /* bytes of device configuration */
};

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtioType VirtioType;
typedef struct VirtQueue VirtQueue;

/* What the driver and the rings define of a queue; saved. */
typedef struct {
    uint64_t descriptors, available, used; /* guest physical */
    uint16_t size;
    uint16_t last_available; /* free-running index of the next chain to take */
    uint16_t used_index;
    uint16_t signalled_used; /* used_index at the last interrupt */
    uint16_t vector;
    uint8_t enabled;
    uint8_t signalled_valid;
} VirtQueueState;

/* A chain that was taken from a queue: device-readable buffers first. Freed by push or discard. */
typedef struct VirtioElement VirtioElement;
struct VirtioElement {
    VirtQueue *queue;
    VirtioElement *next, **link; /* on the queue's list */
    uint32_t generation;
    uint16_t head;
    uint16_t out_count, in_count;
    uint64_t out_bytes, in_bytes;
    struct iovec *out, *in; /* host addresses; the device may trim them */
    uint64_t *in_address;   /* guest physical start of each `in` as popped, with in_length */
    uint32_t *in_length;
};

typedef void VirtQueueHandler(VirtQueue *queue);

struct VirtQueue {
    VirtioDevice *virtio;
    VirtQueueState *state;
    unsigned index;
    uint16_t maximum_size;
    uint16_t in_flight;   /* taken, not yet pushed */
    unsigned orphans;     /* taken, and forgotten by a reset: their buffers are still in use */
    VirtioElement *taken; /* and not yet returned, the newest first */
    uint32_t generation;  /* changes at each reset, so that late completions are recognised */
    VirtQueueHandler *handler;
    /* Host addresses of the rings, valid for one generation of the flat view. */
    const uint8_t *descriptors;
    uint8_t *available, *used;
    uint64_t map_generation;
    bool mapped;
    IrqSignal *signal;  /* who else interrupts for this queue; NULL: nobody */
    bool running;       /* in its handler */
    bool kick_deferred; /* the handler will run from the main loop */
};

/* How a transport reaches its driver. */
typedef struct {
    void (*notify_queue)(VirtioDevice *virtio, VirtQueue *queue);
    void (*notify_config)(VirtioDevice *virtio);
    /* Rings may be used although bus mastering is off: a legacy driver set DRIVER_OK. May be NULL. */
    void (*driver_ok)(VirtioDevice *virtio);
    /* The queue's interrupt is the signal's from now on, where the transport can; else its owner hears it. May be NULL. */
    void (*bind_signal)(VirtioDevice *virtio, VirtQueue *queue, IrqSignal *signal);
    void (*unbind_signal)(VirtioDevice *virtio, IrqSignal *signal);
    /* What only the transport knows, for the monitor. */
    void (*describe)(const VirtioDevice *virtio, VirtioInfo *info);
} VirtioTransport;

/* Host addresses of a queue's rings. */
typedef struct {
    const uint8_t *descriptors;
    uint8_t *available, *used;
} VirtioRings;

struct VirtioType {
    const char *name; /* "virtio-blk" */
    uint16_t virtio_id;
    uint16_t transitional_pci_id;
    uint32_t pci_class;
    const char *rom; /* file of its usual expansion ROM on PCI, or NULL */
    unsigned config_size;
    const VirtioBitName *feature_names; /* of its own features, for the monitor; NULL: it has none */
    /* Adds queues with virtio_add_queue and fills config. */
    bool (*realize)(VirtioDevice *virtio, GError **error);
    void (*unrealize)(VirtioDevice *virtio);
    /* Features of the device type itself that it offers. */
    uint64_t (*features)(VirtioDevice *virtio);
    /* Back to the state after realize; requests in flight are forgotten by their generation. */
    void (*reset)(VirtioDevice *virtio);
    /*
     * The driver has reset one queue: lets go of its chains that wait for something. Those in flight are returned as ever; the queue
     * has forgotten them. NULL: none wait.
     */
    void (*queue_reset)(VirtQueue *queue);
    /* Main loop only: waits until no request is in flight. */
    void (*drain)(VirtioDevice *virtio);
    /* Of the driver's status, or of whether the device may use memory. */
    void (*status_changed)(VirtioDevice *virtio);
    /* Brings virtio->config up to date, and takes over what the driver wrote there. */
    void (*config_read)(VirtioDevice *virtio);
    void (*config_written)(VirtioDevice *virtio, unsigned offset, unsigned size);
    /* Around a saved state, as in DeviceType. May be NULL. */
    void (*state_saving)(VirtioDevice *virtio);
    bool (*state_check)(VirtioDevice *virtio, GError **error);
    void (*state_loaded)(VirtioDevice *virtio);
    /*
     * Takes a chain that it had when the state was saved, for when the machine goes on. NULL: nothing is taken for
     * longer than a run of a handler, or it does not matter.
     */
    void (*retake)(VirtQueue *queue, VirtioElement *element);
    /* Who else may work on that queue (vhost.h). NULL: nobody. */
    struct Vhost *(*vhost)(VirtioDevice *virtio, unsigned queue);
};

/* Properties that all virtio devices have. */
typedef struct {
    bool indirect_desc, event_idx, notify_on_empty, any_layout, iommu_platform, packed;
    bool queue_reset, in_order, use_started, use_disabled_flag, disable_legacy_check;
} VirtioOptions;

/* virtio-pci.c */
typedef struct {
    MemoryRegion legacy, modern;
    unsigned config_capability; /* offset of the PCI configuration access capability */
    uint8_t isr;
    uint16_t config_vector;
    uint32_t feature_select, driver_feature_select;
    uint16_t queue_select;
    bool has_legacy, has_modern, used_legacy;
    /* Where the modern registers are, when a device has BARs of its own: a part of `container`, which it has put into this BAR. */
    MemoryRegion *container;
    uint32_t container_offset;
    uint8_t modern_bar, msix_bar; /* 0: the usual ones */
    /* Properties. */
    int disable_legacy; /* on, off, auto */
    bool disable_modern;
    uint32_t vectors, class_code;
    bool ioeventfd, ats, modern_pio_notify, page_per_vq, aer, migrate_extra, ignore_backend;
} VirtioPci;

typedef struct VirtioMmio VirtioMmio;

struct VirtioDevice {
    PciDevice pci; /* only its Device is in use on virtio-mmio */
    const VirtioType *type;
    const VirtioTransport *transport;
    VirtioMmio *mmio;
    VirtioPci proxy;
    VirtioOptions options;
    uint64_t offered, accepted; /* features */
    uint8_t status;
    uint8_t broken;
    uint32_t config_generation;
    uint8_t config[VIRTIO_MAX_CONFIG];
    VirtQueueState queue_states[VIRTIO_MAX_QUEUES];
    VirtQueue queues[VIRTIO_MAX_QUEUES];
    unsigned queue_count;
    uint8_t *taken; /* chains of a saved state; used while it is saved and loaded */
    uint32_t taken_size;
    bool dma_allowed;
    struct VirtioDoorbells *doorbells; /* while kicks come by descriptor */
    /* The RAM range of the last translation: guest physical to host. */
    uint64_t window_start, window_size, window_generation;
    uint8_t *window_host;
};

static inline VirtioDevice *virtio_device(Device *device)
{
    return container_of(device, VirtioDevice, pci.device);
}

static inline const char *virtio_name(const VirtioDevice *virtio)
{
    return virtio->pci.device.type->name;
}

static inline bool virtio_has_feature(const VirtioDevice *virtio, unsigned feature)
{
    return virtio->accepted >> feature & 1;
}

static inline Machine *virtio_machine(const VirtioDevice *virtio)
{
    return virtio->pci.device.machine;
}

/* For device models. */
VirtQueue *virtio_add_queue(VirtioDevice *virtio, unsigned size, VirtQueueHandler *handler);
/* The guest broke the rules: stops the device until it is reset. */
void virtio_fail(VirtioDevice *virtio, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* virtio->config changed: new generation and interrupt. */
void virtio_config_changed(VirtioDevice *virtio);
/* Whether the driver is up and the device may use its queues. */
bool virtio_running(const VirtioDevice *virtio);

/* Takes the next chain; NULL when there is none or the device is (now) broken. */
VirtioElement *virtqueue_pop(VirtQueue *queue);
/* Gives the last popped chain back, unused. Frees element. */
void virtqueue_unpop(VirtQueue *queue, VirtioElement *element);
bool virtqueue_empty(VirtQueue *queue);
/* Returns a chain with `written` bytes in its in-buffers and publishes it. Frees element. */
void virtqueue_push(VirtioElement *element, uint32_t written);
/* As push, in two steps: fill several at ahead = 0, 1, …, then publish all. Frees element. */
void virtqueue_fill(VirtioElement *element, uint32_t written, unsigned ahead);
void virtqueue_publish(VirtQueue *queue, unsigned count);
/* Interrupts the driver if it wants to hear of what was published since the last time. */
void virtqueue_notify(VirtQueue *queue);
/* Whether the driver has still to look at something that was published. Without event indices nobody knows: false. */
bool virtqueue_unseen(VirtQueue *queue);
/* Asks for kicks or not. After turning them on the queue must be looked at once more. */
void virtqueue_want_kicks(VirtQueue *queue, bool on);
/* Runs the handler again from the main loop: it had reached its limit of work. */
void virtqueue_defer(VirtQueue *queue);
/*
 * The usual handler: calls take for each chain until the queue is empty, a budget is used up, or take
 * returns false (it gave the chain back). Interrupts once at the end.
 */
void virtqueue_process(VirtQueue *queue, bool (*take)(VirtQueue *queue, VirtioElement *element));

/* Scatter-gather lists. */
size_t iovec_to_buffer(const struct iovec *iov, unsigned count, size_t offset, void *buffer,
                       size_t size);
size_t iovec_from_buffer(const struct iovec *iov, unsigned count, size_t offset, const void *buffer,
                         size_t size);
/* Drops `size` bytes at the front; returns the first remaining entry and lowers *count. */
struct iovec *iovec_skip(struct iovec *iov, uint16_t *count, size_t size);
/* Drops all bytes after the first `size`. */
void iovec_truncate(struct iovec *iov, uint16_t *count, size_t size);

/* For transports. */
bool virtio_realize(VirtioDevice *virtio, GError **error);
void virtio_unrealize(VirtioDevice *virtio);
void virtio_reset(VirtioDevice *virtio);
void virtio_drain(VirtioDevice *virtio);
bool virtio_state_check(Device *device, GError **error);
void virtio_state_loaded(VirtioDevice *virtio);
/* What the driver reads from and writes to the status register. */
uint8_t virtio_read_status(const VirtioDevice *virtio);
void virtio_write_status(VirtioDevice *virtio, uint8_t status);
uint64_t virtio_offered(const VirtioDevice *virtio, bool legacy);
/* Replaces bits [32 * select + 31 : 32 * select] of what the driver accepts. */
void virtio_write_features(VirtioDevice *virtio, uint32_t select, uint32_t value);
uint32_t virtio_read_config(VirtioDevice *virtio, unsigned offset, unsigned size);
void virtio_write_config(VirtioDevice *virtio, unsigned offset, uint32_t value, unsigned size);
/* NULL when the device has no such queue. */
VirtQueue *virtio_queue(VirtioDevice *virtio, unsigned index);
void virtio_kick(VirtioDevice *virtio, unsigned index);
/* DMA was allowed or forbidden (bus mastering). */
void virtio_set_dma_allowed(VirtioDevice *virtio, bool allowed);
bool virtqueue_set_size(VirtQueue *queue, unsigned size);
void virtqueue_enable(VirtQueue *queue);
/* The one-address layout of legacy transports; address 0 turns the queue off. */
void virtqueue_enable_legacy(VirtQueue *queue, uint64_t address, uint64_t alignment);
void virtqueue_reset(VirtQueue *queue);
/* The driver resets one queue (2.6.1). It is not over while virtio_queue_is_resetting. */
void virtio_reset_queue(VirtQueue *queue);
bool virtio_queue_is_resetting(const VirtQueue *queue);
/* The same for drivers, by the transport's register. */
void virtio_write_queue_reset(VirtQueue *queue, uint32_t value);
void virtqueue_free_element(VirtioElement *element);
/* The chain of a head, whatever the available ring says. NULL when the device is (now) broken. */
VirtioElement *virtqueue_take(VirtQueue *queue, unsigned head);
/* What is in flight is none of the queue's any more. */
void virtqueue_orphan(VirtQueue *queue);

/* For those who have others work on a queue: virtqueue-shared.c */
/* false: they are not in memory, and the device is (now) broken. */
bool virtqueue_rings(VirtQueue *queue, VirtioRings *rings);
/*
 * The queue is ours again, with its last_available; how far it was returned is read from its ring. forget: so is how far it was taken:
 * all that was taken has been returned.
 */
void virtqueue_take_over(VirtQueue *queue, bool forget);
/* Signals are this queue's interrupts; NULL: no longer. */
void virtqueue_bind(VirtQueue *queue, IrqSignal *signal);
/* For transports: the queue's vector has changed. */
void virtqueue_vector_changed(VirtQueue *queue);

/* virtqueue-saved.c */
void virtqueue_track(VirtioElement *element);
void virtqueue_untrack(VirtioElement *element);
void virtqueue_forget_taken(VirtQueue *queue);
void virtio_state_saving(Device *device);
void virtio_forget_saved(VirtioDevice *virtio);
/* When the device is as it was: the chains that it had taken. */
void virtio_retake(VirtioDevice *virtio);

bool virtio_pci_realize(Device *device, GError **error);
bool virtio_pci_transitional_realize(Device *device, GError **error);
bool virtio_pci_non_transitional_realize(Device *device, GError **error);
void virtio_pci_unrealize(Device *device);
void virtio_pci_reset(Device *device);
void virtio_pci_state_loaded(Device *device);
extern const Property virtio_pci_properties[];
bool virtio_slot_realize(Device *device, GError **error);
void virtio_slot_unrealize(Device *device);
void virtio_slot_reset(Device *device);
void virtio_slot_state_loaded(Device *device);
extern const Property virtio_slot_properties[];

#define VIRTIO_OPTION(option, text, fallback, summary)                                             \
    {                                                                                              \
        text, PROPERTY_BOOL, offsetof(VirtioDevice, options.option), summary, fallback             \
    }
#define VIRTIO_PROPERTIES                                                                          \
    VIRTIO_OPTION(indirect_desc, "indirect_desc", "on", "offer indirect descriptors"),             \
        VIRTIO_OPTION(event_idx, "event_idx", "on", "offer event indices"),                        \
        VIRTIO_OPTION(notify_on_empty, "notify_on_empty", "on", "accepted; has no effect"),        \
        VIRTIO_OPTION(any_layout, "any_layout", "on", "offer any layout to legacy drivers"),       \
        VIRTIO_OPTION(iommu_platform, "iommu_platform", "off",                                     \
                      "offer platform-defined addresses"),                                         \
        VIRTIO_OPTION(packed, "packed", "off", "accepted; packed rings are not offered"),          \
        VIRTIO_OPTION(queue_reset, "queue_reset", "on", "offer the reset of single queues"),   \
        VIRTIO_OPTION(in_order, "in_order", "off", "accepted; has no effect"),                     \
        VIRTIO_OPTION(use_started, "use-started", "on", "accepted; has no effect"),                \
        VIRTIO_OPTION(use_disabled_flag, "use-disabled-flag", "on", "accepted; has no effect"),    \
        VIRTIO_OPTION(disable_legacy_check, "x-disable-legacy-check", "off",                       \
                      "accepted; has no effect")

extern const StateField virtqueue_state_fields[], virtqueue_fields[];
#define VIRTIO_STATE                                                                               \
    PCI_STATE(VirtioDevice, pci), STATE(VirtioDevice, proxy.isr),                                  \
        STATE(VirtioDevice, proxy.config_vector), STATE(VirtioDevice, proxy.feature_select),       \
        STATE(VirtioDevice, proxy.driver_feature_select), STATE(VirtioDevice, proxy.queue_select), \
        STATE(VirtioDevice, accepted), STATE(VirtioDevice, status), STATE(VirtioDevice, broken),   \
        STATE(VirtioDevice, config_generation), STATE_DERIVED(VirtioDevice, config),               \
        STATE_STRUCTS(VirtioDevice, queue_states, virtqueue_state_fields),                         \
        STATE_STRUCTS(VirtioDevice, queues, virtqueue_fields),                                     \
        STATE_BUFFER(VirtioDevice, taken, taken_size,                                              \
                     VIRTIO_MAX_QUEUES *VIRTIO_MAX_QUEUE_SIZE * 4),                                \
        STATE_DERIVED(VirtioDevice, taken_size), STATE_DERIVED(VirtioDevice, dma_allowed),         \
        STATE_DERIVED(VirtioDevice, window_start), STATE_DERIVED(VirtioDevice, window_size),       \
        STATE_DERIVED(VirtioDevice, window_generation), STATE_DERIVED(VirtioDevice, window_host)

/*
 * Defines and registers the four device types of a kind. stem: "virtio-blk"; symbol: virtio_blk, with
 * symbol_type (VirtioType), symbol_properties and symbol_state defined before.
 */
#define VIRTIO_DEVICE_TYPES(symbol, stem, Instance, summary_, category_)                           \
    VIRTIO_PCI_TYPE(symbol, pci, stem "-pci", stem, Instance, summary_, category_,                 \
                    virtio_pci_realize);                                                           \
    VIRTIO_PCI_TYPE(symbol, pci_transitional, stem "-pci-transitional", NULL, Instance,            \
                    summary_ " with a legacy interface", category_,                                \
                    virtio_pci_transitional_realize);                                              \
    VIRTIO_PCI_TYPE(symbol, pci_non_transitional, stem "-pci-non-transitional", NULL, Instance,    \
                    summary_ " without a legacy interface", category_,                             \
                    virtio_pci_non_transitional_realize);                                          \
    VIRTIO_SLOT_TYPE(symbol, stem, Instance, summary_, category_)

/* The same for a kind that has no legacy interface: NAME-pci and NAME-device. */
#define VIRTIO_MODERN_DEVICE_TYPES(symbol, stem, Instance, summary_, category_)                    \
    VIRTIO_PCI_TYPE(symbol, pci, stem "-pci", stem, Instance, summary_, category_,                 \
                    virtio_pci_non_transitional_realize);                                          \
    VIRTIO_SLOT_TYPE(symbol, stem, Instance, summary_, category_)

#define VIRTIO_SLOT_TYPE(symbol, stem, Instance, summary_, category_)                              \
    static const DeviceType symbol##_device = {                                                    \
        .name = stem "-device",                                                                    \
        .summary = summary_ " on a virtio-mmio slot",                                              \
        .bus = "virtio-bus",                                                                       \
        .category = category_,                                                                     \
        .instance_size = sizeof(Instance),                                                         \
        .properties = symbol##_properties,                                                         \
        .bus_properties = virtio_slot_properties,                                                  \
        .state = symbol##_state,                                                                   \
        .class_data = &symbol##_type,                                                              \
        .realize = virtio_slot_realize,                                                            \
        .unrealize = virtio_slot_unrealize,                                                        \
        .reset = virtio_slot_reset,                                                                \
        .state_saving = virtio_state_saving,                                                       \
        .state_check = virtio_state_check,                                                         \
        .state_loaded = virtio_slot_state_loaded,                                                  \
    };                                                                                             \
    DEVICE_TYPE(symbol##_device)

#define VIRTIO_PCI_TYPE(symbol, variant, name_, alias_, Instance, summary_, category_, realize_)   \
    static const DeviceType symbol##_##variant = {                                                 \
        .name = name_,                                                                             \
        .alias = alias_,                                                                           \
        .summary = summary_ " on PCI",                                                             \
        .bus = "pci",                                                                              \
        .category = category_,                                                                     \
        .instance_size = sizeof(Instance),                                                         \
        .properties = symbol##_properties,                                                         \
        .bus_properties = virtio_pci_properties,                                                   \
        .state = symbol##_state,                                                                   \
        .class_data = &symbol##_type,                                                              \
        .realize = realize_,                                                                       \
        .unrealize = virtio_pci_unrealize,                                                         \
        .reset = virtio_pci_reset,                                                                 \
        .state_saving = virtio_state_saving,                                                       \
        .state_check = virtio_state_check,                                                         \
        .state_loaded = virtio_pci_state_loaded,                                                   \
    };                                                                                             \
    DEVICE_TYPE(symbol##_##variant)

#endif
