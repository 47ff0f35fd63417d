/* SPDX-License-Identifier: MIT */
/* A touch screen for ten fingers on virtio (Virtio 1.2, 5.8). */
#include "hw/virtio/virtio-input.h"

static const VirtioInputCode codes[] = {
    { EVDEV_KEY, EVDEV_BTN_TOUCH, 0 },
    { EVDEV_ABS, EVDEV_ABS_MT_SLOT, INPUT_TOUCH_SLOTS - 1 },
    { EVDEV_ABS, EVDEV_ABS_MT_TRACKING_ID, UINT16_MAX },
    { EVDEV_ABS, EVDEV_ABS_MT_POSITION_X, INPUT_ABSOLUTE_MAX },
    { EVDEV_ABS, EVDEV_ABS_MT_POSITION_Y, INPUT_ABSOLUTE_MAX },
    { 0 },
};

static const VirtioInputModel virtio_multitouch_type = {
    .virtio = VIRTIO_INPUT_TYPE("virtio-multitouch", 0x098000),
    .handler = { .name = "QEMU Virtio MultiTouch",
                 .kinds = INPUT_TOUCHES,
                 .event = virtio_input_event,
                 .sync = virtio_input_sync },
    .product = 3,
    .version = 1,
    .codes = codes,
    .direct = true,
};

static const Property virtio_multitouch_properties[] = { VIRTIO_INPUT_PROPERTIES, { 0 } };
static const StateField virtio_multitouch_state[] = { VIRTIO_INPUT_STATE, { 0 } };

VIRTIO_MODERN_DEVICE_TYPES(virtio_multitouch, "virtio-multitouch", VirtioInput,
                           "Virtio touch screen", "input");
