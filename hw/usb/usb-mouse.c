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

static const UsbInterface mouse_interfaces[] = {
    { .class_code = 3,
      .subclass = 1,
      .protocol = 2,
      .extra = HID_DESCRIPTOR(report_descriptor),
      .extra_size = HID_DESCRIPTOR_SIZE,
      .endpoints =
          (const UsbEndpoint[]){ { .address = HID_ENDPOINT_IN,
                                   .attributes = 3,
                                   .packet = { [USB_FULL] = REPORT_SIZE, [USB_HIGH] = REPORT_SIZE },
                                   .interval = { [USB_FULL] = 10, [USB_HIGH] = 7 } } },
      .endpoint_count = 1 },
};

static const HidType mouse_type = {
    .usb = { .vendor = 0x0627,
             .product = 0x0001,
             .speeds = 1 << USB_FULL | 1 << USB_HIGH,
             .attributes = 0xa0,
             .power_2ma = 50,
             .strings = { [USB_STRING_VENDOR] = "QEMU",
                          [USB_STRING_PRODUCT] = "QEMU USB Mouse",
                          [USB_STRING_SERIAL] = "89126" },
             .interfaces = mouse_interfaces,
             .interface_count = 1,
             .name = "QEMU USB Mouse",
             HID_HOOKS },
    .handler = { .name = "QEMU USB Mouse",
                 .kinds = INPUT_RELATIVE | INPUT_BUTTON,
                 .event = hid_pointer_event,
                 .sync = hid_pointer_sync },
    .report_descriptor = report_descriptor,
    .report_size = sizeof report_descriptor,
    .report = mouse_report,
};

static const DeviceType usb_mouse_type = {
    .name = "usb-mouse",
    .summary = "USB mouse",
    .category = "input",
    .instance_size = sizeof(UsbHid),
    .properties = (const Property[]){ HID_PROPERTIES, USB_PROPERTIES(UsbHid, usb), { 0 } },
    .state = hid_state,
    .state_check = hid_state_check,
    USB_DEVICE_HOOKS(&mouse_type),
};
DEVICE_TYPE(usb_mouse_type);
