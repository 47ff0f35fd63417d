/* SPDX-License-Identifier: MIT */
/* A mouse with five buttons and two wheels on virtio (Virtio 1.2, 5.8). */
#include "hw/virtio/virtio-input.h"

static const VirtioInputCode codes[] = {
    { EVDEV_KEY, EVDEV_BTN_LEFT, 0 },   { EVDEV_KEY, EVDEV_BTN_RIGHT, 0 },
    { EVDEV_KEY, EVDEV_BTN_MIDDLE, 0 }, { EVDEV_KEY, EVDEV_BTN_SIDE, 0 },
    { EVDEV_KEY, EVDEV_BTN_EXTRA, 0 },  { EVDEV_REL, EVDEV_REL_X, 0 },
    { EVDEV_REL, EVDEV_REL_Y, 0 },      { EVDEV_REL, EVDEV_REL_WHEEL, 0 },
    { EVDEV_REL, EVDEV_REL_HWHEEL, 0 }, { 0 },
};

static const VirtioInputModel virtio_mouse_type = {
    .virtio = VIRTIO_INPUT_TYPE("virtio-mouse", 0x090200),
    .handler = { .name = "QEMU Virtio Mouse",
                 .kinds = INPUT_RELATIVE | INPUT_BUTTON,
                 .event = virtio_input_event,
                 .sync = virtio_input_sync },
    .product = 2,
    .version = 2,
    .codes = codes,
};

static const Property virtio_mouse_properties[] = { VIRTIO_INPUT_PROPERTIES, { 0 } };
static const StateField virtio_mouse_state[] = { VIRTIO_INPUT_STATE, { 0 } };

VIRTIO_MODERN_DEVICE_TYPES(virtio_mouse, "virtio-mouse", VirtioInput, "Virtio mouse", "input");
