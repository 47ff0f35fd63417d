/* SPDX-License-Identifier: MIT */
/* A USB tablet: a pointer by places on the screen, with five buttons and two wheels. */
#include "base/bits.h"
#include "hw/usb/hid.h"

enum { REPORT_SIZE = 7 };

/* clang-format off */
static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* generic desktop: mouse, pointer */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, 0x95, 0x05, 0x75, 0x01, 0x81, 0x02, /* buttons */
    0x95, 0x01, 0x75, 0x03, 0x81, 0x01, /* padding */
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46, 0xff, 0x7f,
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02, /* X, Y */
    0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, /* wheel */
    0x05, 0x0c, 0x0a, 0x38, 0x02, 0x95, 0x01, 0x81, 0x06, /* pan */
    0xc0, 0xc0,
};
/* clang-format on */

static unsigned tablet_report(UsbHid *hid, uint8_t report[HID_REPORT_MAX], bool take)
{
    int32_t sample[HID_FIELD_COUNT];

    hid_next_sample(hid, sample, false, take);
    report[0] = (uint8_t)sample[HID_BUTTONS];
    store_le16(report + 1, (uint16_t)sample[HID_X]);
    store_le16(report + 3, (uint16_t)sample[HID_Y]);
    report[5] = (uint8_t)sample[HID_WHEEL];
    report[6] = (uint8_t)sample[HID_PAN];
    return REPORT_SIZE;
}

static const UsbInterface tablet_interface = HID_INTERFACE(report_descriptor, 0, 0, 8, 4);

HID_DEVICE(usb_tablet_type, "usb-tablet", "USB tablet: a pointer by places on the screen",
           "QEMU USB Tablet", "28754", tablet_interface, report_descriptor, tablet_report,
           .kinds = INPUT_ABSOLUTE | INPUT_BUTTON, .event = hid_pointer_event,
           .sync = hid_pointer_sync);
