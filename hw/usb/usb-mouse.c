/* SPDX-License-Identifier: MIT */
/* A USB mouse with five buttons and two wheels. The boot protocol's report (HID 1.11, B.2) is the first three bytes. */
#include "hw/usb/hid.h"

enum { REPORT_SIZE = 5, BOOT_SIZE = 3 };

/* clang-format off */
static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop: mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01, /* padding */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06, /* X, Y, wheel */
    0x05, 0x0c, 0x0a, 0x38, 0x02, 0x95, 0x01, 0x81, 0x06, /* pan */
    0xc0, 0xc0,
};
/* clang-format on */

static unsigned mouse_report(UsbHid *hid, uint8_t report[HID_REPORT_MAX], bool take)
{
    int32_t sample[HID_FIELD_COUNT];

    hid_next_sample(hid, sample, true, take);
    for (unsigned f = 0; f < HID_FIELD_COUNT; f++) {
        report[f] = (uint8_t)sample[f];
    }
    return hid->boot ? BOOT_SIZE : REPORT_SIZE;
}

static const UsbInterface mouse_interface = HID_INTERFACE(report_descriptor, 1, 2, REPORT_SIZE, 7);

HID_DEVICE(usb_mouse_type, "usb-mouse", "USB mouse", "QEMU USB Mouse", "89126", mouse_interface,
           report_descriptor, mouse_report, .kinds = INPUT_RELATIVE | INPUT_BUTTON,
           .event = hid_pointer_event, .sync = hid_pointer_sync);
