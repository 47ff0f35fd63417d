/* SPDX-License-Identifier: MIT */
/* A USB keyboard. Its report is the boot protocol's (HID 1.11, B.1), with usages up to 255. */
#include <string.h>

#include "hw/usb/hid.h"

enum { REPORT_SIZE = 8, SLOTS = 6, FIRST_MODIFIER = 0xe0, ROLL_OVER = 1 };

/* clang-format off */
static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, /* generic desktop: keyboard */
    0x75, 0x01, 0x95, 0x08, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x81, 0x02, /* modifiers */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01, /* a reserved byte */
    0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, 0x91, 0x01, /* LEDs */
    0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xff, 0x00, 0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x81, 0x00, /* keys */
    0xc0,
};
/* clang-format on */

static unsigned keyboard_report(UsbHid *hid, uint8_t report[HID_REPORT_MAX], bool take)
{
    unsigned count = 0;

    if (take) {
        hid_next_key(hid);
    }
    for (unsigned i = 0; i < hid->down_count; i++) {
        if (hid->down[i] >= FIRST_MODIFIER) {
            report[0] |= (uint8_t)(1 << (hid->down[i] - FIRST_MODIFIER));
        } else if (count++ < SLOTS) {
            report[1 + count] = hid->down[i];
        }
    }
    if (count > SLOTS) {
        memset(report + 2, ROLL_OVER, SLOTS);
    }
    return REPORT_SIZE;
}

static const UsbInterface keyboard_interface =
    HID_INTERFACE(report_descriptor, 1, 1, REPORT_SIZE, 7);

HID_DEVICE(usb_kbd_type, "usb-kbd", "USB keyboard", "QEMU USB Keyboard", "68284",
           keyboard_interface, report_descriptor, keyboard_report, .kinds = INPUT_KEY,
           .event = hid_key_event, .leds = hid_leds);
