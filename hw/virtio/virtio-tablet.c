/* SPDX-License-Identifier: MIT */
/* A pointer by absolute coordinates on virtio (Virtio 1.2, 5.8). */
#include "hw/virtio/virtio-input.h"

static const VirtioInputCode codes[] = {
    { EVDEV_KEY, EVDEV_BTN_LEFT, 0 },
    { EVDEV_KEY, EVDEV_BTN_RIGHT, 0 },
    { EVDEV_KEY, EVDEV_BTN_MIDDLE, 0 },
    { EVDEV_KEY, EVDEV_BTN_SIDE, 0 },
    { EVDEV_KEY, EVDEV_BTN_EXTRA, 0 },
    { EVDEV_KEY, EVDEV_BTN_TOUCH, 0 },
    { EVDEV_ABS, EVDEV_ABS_X, INPUT_ABSOLUTE_MAX },
    { EVDEV_ABS, EVDEV_ABS_Y, INPUT_ABSOLUTE_MAX },
    { EVDEV_REL, EVDEV_REL_WHEEL, 0 },
    { EVDEV_REL, EVDEV_REL_HWHEEL, 0 },
    { 0 },
};

static const VirtioInputModel virtio_tablet_type = {
    .virtio = VIRTIO_INPUT_TYPE("virtio-tablet", 0x098000),
    .handler = { .name = "QEMU Virtio Tablet",
                 .kinds = INPUT_ABSOLUTE | INPUT_BUTTON,
                 .event = virtio_input_event,
                 .sync = virtio_input_sync },
    .product = 3,
    .version = 2,
    .codes = codes,
};

static const Property virtio_tablet_properties[] = { VIRTIO_INPUT_PROPERTIES, { 0 } };
static const StateField virtio_tablet_state[] = { VIRTIO_INPUT_STATE, { 0 } };

VIRTIO_MODERN_DEVICE_TYPES(virtio_tablet, "virtio-tablet", VirtioInput, "Virtio tablet", "input");
