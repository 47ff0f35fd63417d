/* SPDX-License-Identifier: MIT */
/*
 * What the virtio input devices share (Virtio 1.2, 5.8): a model says what its events are, `virtio-input.c` queues
 * them and describes the device to the driver.
 */
#ifndef HW_VIRTIO_VIRTIO_INPUT_H
#define HW_VIRTIO_VIRTIO_INPUT_H

#include "hw/virtio/virtio.h"
#include "machine/input.h"

/* Of Linux's input-event-codes.h, which the specification refers to. */
enum {
    EVDEV_SYN = 0,
    EVDEV_KEY = 1,
    EVDEV_REL = 2,
    EVDEV_ABS = 3,
    EVDEV_LED = 17,
    EVDEV_REP = 20,

    EVDEV_BTN_LEFT = 0x110,
    EVDEV_BTN_RIGHT = 0x111,
    EVDEV_BTN_MIDDLE = 0x112,
    EVDEV_BTN_SIDE = 0x113,
    EVDEV_BTN_EXTRA = 0x114,
    EVDEV_BTN_TOUCH = 0x14a,
    EVDEV_REL_X = 0,
    EVDEV_REL_Y = 1,
    EVDEV_REL_HWHEEL = 6,
    EVDEV_REL_WHEEL = 8,
    EVDEV_ABS_X = 0,
    EVDEV_ABS_Y = 1,
    EVDEV_ABS_MT_SLOT = 0x2f,
    EVDEV_ABS_MT_POSITION_X = 0x35,
    EVDEV_ABS_MT_POSITION_Y = 0x36,
    EVDEV_ABS_MT_TRACKING_ID = 0x39,
    EVDEV_LED_NUM = 0,
    EVDEV_LED_CAPS = 1,
    EVDEV_LED_SCROLL = 2,
    EVDEV_PROPERTY_DIRECT = 1,
};

enum { VIRTIO_INPUT_QUEUE = 512, VIRTIO_INPUT_CODES = 768, VIRTIO_INPUT_CONFIG = 136 };

typedef struct {
    uint16_t type, code;
    uint32_t most; /* EVDEV_ABS: values are 0 to this */
} VirtioInputCode;

typedef struct {
    VirtioType virtio;
    InputHandlerType handler;
    uint16_t product, version;
    const VirtioInputCode
        *codes;    /* what it can say, or be told; a code of type EVDEV_SYN ends them */
    bool keyboard; /* besides, all keys there are */
    bool direct;   /* one points at the screen itself */
} VirtioInputModel;

typedef struct {
    VirtioDevice virtio;
    InputHandler handler;
    uint64_t queue[VIRTIO_INPUT_QUEUE]; /* events as the driver gets them, the oldest first */
    uint16_t count;
    uint16_t complete;                    /* those of them that belong to finished reports */
    uint8_t down[VIRTIO_INPUT_CODES / 8]; /* keys that were told as pressed */
    uint16_t down_count;
    uint16_t fingers; /* slots in which one is */
    uint8_t slot;     /* that the next events of fingers are for */
    uint8_t select, subselect;
    uint8_t leds;
    /* Properties. */
    char *serial, *display;
    uint32_t head;
} VirtioInput;

/* For InputHandlerType: an event of any kind, and the end of a report. */
void virtio_input_event(void *opaque, const InputEvent *event);
void virtio_input_sync(void *opaque);
unsigned virtio_input_leds(void *opaque);
/* For VirtioType. */
bool virtio_input_realize(VirtioDevice *virtio, GError **error);
void virtio_input_unrealize(VirtioDevice *virtio);
uint64_t virtio_input_features(VirtioDevice *virtio);
void virtio_input_reset(VirtioDevice *virtio);
void virtio_input_status_changed(VirtioDevice *virtio);
void virtio_input_config_read(VirtioDevice *virtio);
void virtio_input_config_written(VirtioDevice *virtio, unsigned offset, unsigned size);
void virtio_input_state_loaded(VirtioDevice *virtio);

#define VIRTIO_INPUT_TYPE(name_, class_)                                                           \
    {                                                                                              \
        .name = name_, .virtio_id = 18, .pci_class = class_, .config_size = VIRTIO_INPUT_CONFIG,   \
        .realize = virtio_input_realize, .unrealize = virtio_input_unrealize,                      \
        .features = virtio_input_features, .reset = virtio_input_reset,                            \
        .status_changed = virtio_input_status_changed, .config_read = virtio_input_config_read,    \
        .config_written = virtio_input_config_written, .state_loaded = virtio_input_state_loaded   \
    }

#define VIRTIO_INPUT_PROPERTIES                                                                    \
    { "serial", PROPERTY_STRING, offsetof(VirtioInput, serial),                                    \
      "serial number, as the guest sees it" },                                                     \
        { "display", PROPERTY_STRING, offsetof(VirtioInput, display), "accepted; has no effect" }, \
    {                                                                                              \
        "head", PROPERTY_U32, offsetof(VirtioInput, head), "accepted; has no effect", "0"          \
    }

#define VIRTIO_INPUT_STATE                                                                         \
    VIRTIO_STATE, STATE(VirtioInput, queue), STATE_MOST(VirtioInput, count, VIRTIO_INPUT_QUEUE),   \
        STATE_MOST(VirtioInput, complete, VIRTIO_INPUT_QUEUE), STATE(VirtioInput, down),           \
        STATE_MOST(VirtioInput, down_count, VIRTIO_INPUT_CODES),                                   \
        STATE_MOST(VirtioInput, fingers, (1 << INPUT_TOUCH_SLOTS) - 1),                            \
        STATE_MOST(VirtioInput, slot, INPUT_TOUCH_SLOTS), STATE(VirtioInput, select),              \
        STATE(VirtioInput, subselect), STATE_MOST(VirtioInput, leds, 7),                           \
        STATE_DERIVED(VirtioInput, handler)

#endif
