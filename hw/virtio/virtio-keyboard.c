/* SPDX-License-Identifier: MIT */
/* A keyboard with lights on virtio (Virtio 1.2, 5.8). */
#include "hw/virtio/virtio-input.h"

static const VirtioInputCode codes[] = {
    { EVDEV_LED, EVDEV_LED_NUM, 0 },
    { EVDEV_LED, EVDEV_LED_CAPS, 0 },
    { EVDEV_LED, EVDEV_LED_SCROLL, 0 },
    { EVDEV_REP, 0, 0 }, /* the driver repeats keys by itself */
    { EVDEV_REP, 1, 0 },
    { 0 },
};

static const VirtioInputModel virtio_keyboard_type = {
    .virtio = VIRTIO_INPUT_TYPE("virtio-keyboard", 0x090000),
    .handler = { .name = "QEMU Virtio Keyboard",
                 .kinds = INPUT_KEY,
                 .event = virtio_input_event,
                 .sync = virtio_input_sync,
                 .leds = virtio_input_leds },
    .product = 1,
    .version = 1,
    .codes = codes,
    .keyboard = true,
};

static const Property virtio_keyboard_properties[] = { VIRTIO_INPUT_PROPERTIES, { 0 } };
static const StateField virtio_keyboard_state[] = { VIRTIO_INPUT_STATE, { 0 } };

VIRTIO_MODERN_DEVICE_TYPES(virtio_keyboard, "virtio-keyboard", VirtioInput, "Virtio keyboard",
                           "input");
