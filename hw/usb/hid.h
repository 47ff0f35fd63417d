/* SPDX-License-Identifier: MIT */
/*
 * Human interface devices on USB (HID 1.11): what keyboards and pointers share. Reports wait until the host takes them,
 * so that nothing that was typed between two polls is lost.
 */
#ifndef HW_USB_HID_H
#define HW_USB_HID_H

#include "hw/usb/usb.h"
#include "machine/clock.h"
#include "machine/input.h"
#include "machine/machine.h"

typedef struct UsbHid UsbHid;

enum {
    HID_REPORT_MAX = 8,
    HID_EVENTS = 64,
    HID_SAMPLES = 16,
    HID_KEYS = 32,
    HID_ENDPOINT_IN = 0x81
};

/* A pointer between two changes of its buttons. */
typedef enum { HID_BUTTONS, HID_X, HID_Y, HID_WHEEL, HID_PAN, HID_FIELD_COUNT } HidField;

typedef struct {
    UsbDeviceType usb;
    InputHandlerType handler;
    const uint8_t *report_descriptor;
    uint8_t report_size;
    /* Makes the next report, taking what it says out of the queue when `take`; its size. */
    unsigned (*report)(UsbHid *hid, uint8_t report[HID_REPORT_MAX], bool take);
} HidType;

struct UsbHid {
    UsbDevice usb; /* first */
    InputHandler handler;
    Timer idle_timer;
    uint8_t idle;  /* in 4 ms: the last report comes again after so long; 0: only news come */
    uint8_t boot;  /* the boot protocol is chosen */
    uint8_t again; /* the idle time is over */
    uint8_t leds;  /* INPUT_LED_… */
    /* Keyboards: usages, with HID_RELEASE, the oldest first; and what the host knows to be down. */
    uint16_t events[HID_EVENTS];
    uint8_t event_count;
    uint8_t down[HID_KEYS];
    uint8_t down_count;
    uint8_t wanted[32]; /* usages that are down at the end of the queue, as bits */
    uint8_t wanted_count;
    /* Pointers: samples that are complete, then the one that people are at. */
    int32_t samples[HID_SAMPLES][HID_FIELD_COUNT];
    uint8_t sample_count; /* complete ones */
    int32_t now[HID_FIELD_COUNT];
    uint8_t changed; /* `now` has news */
    /* Properties. */
    char *display;
    uint32_t head;
};

static inline UsbHid *usb_hid(UsbDevice *usb)
{
    return container_of(usb, UsbHid, usb);
}

static inline const HidType *hid_type(const UsbHid *hid)
{
    return container_of(hid->usb.type, const HidType, usb);
}

/* For InputHandlerType; keyboard-like and pointer-like. */
void hid_key_event(void *opaque, const InputEvent *event);
unsigned hid_leds(void *opaque);
void hid_pointer_event(void *opaque, const InputEvent *event);
void hid_pointer_sync(void *opaque);
/* For HidType.report: the next sample of a pointer; false: there is no news, it is where it was. */
bool hid_next_sample(UsbHid *hid, int32_t sample[HID_FIELD_COUNT], bool relative, bool take);
/* The next change of a key. */
void hid_next_key(UsbHid *hid);

/* For UsbDeviceType. */
bool hid_realize(UsbDevice *usb, GError **error);
void hid_unrealize(UsbDevice *usb);
void hid_reset(UsbDevice *usb);
void hid_configured(UsbDevice *usb);
UsbStatus hid_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data, uint32_t *length);
UsbStatus hid_transfer(UsbDevice *usb, UsbPacket *packet);
void hid_state_loaded(UsbDevice *usb);
/* For DeviceType: state_check. */
bool hid_state_check(Device *device, GError **error);

/* The interface of a device with one report descriptor. protocol: 1 a keyboard's, 2 a mouse's, with the boot subclass 1; or both 0. */
#define HID_INTERFACE(descriptor, subclass_, protocol_, packet_, high_speed_interval)              \
    {                                                                                              \
        .class_code = 3, .subclass = (subclass_), .protocol = (protocol_),                         \
        .extra = (const uint8_t[]){ 9, 0x21, 0x11, 0x01, 0, 1, 0x22, sizeof(descriptor), 0 },      \
        .extra_size = 9, .endpoint_count = 1,                                                      \
        .endpoints = (const UsbEndpoint[]){                                                        \
            { .address = HID_ENDPOINT_IN,                                                          \
              .attributes = 3,                                                                     \
              .packet = { [USB_FULL] = (packet_), [USB_HIGH] = (packet_) },                        \
              .interval = { [USB_FULL] = 10, [USB_HIGH] = (high_speed_interval) } } }              \
    }
#define HID_PROPERTIES                                                                             \
    { "display", PROPERTY_STRING, offsetof(UsbHid, display),                                       \
      "only for what is done on the display of this graphics device" },                            \
        { "head", PROPERTY_U32, offsetof(UsbHid, head), "of that display", "0" },                  \
    {                                                                                              \
        "usb_version", PROPERTY_U32, offsetof(UsbHid, usb.usb_version),                            \
            "1: no more than full speed; 2: high speed", "2"                                       \
    }

extern const StateField hid_state[];

/* The device type `symbol`; ...: kinds and hooks of its InputHandlerType. */
#define HID_DEVICE(symbol, name_, summary_, title, serial_, interface_, descriptor, report_, ...)  \
    static const HidType symbol##_hid = {                                                          \
        .usb = { .vendor = 0x0627,                                                                 \
                 .product = 0x0001,                                                                \
                 .speeds = 1 << USB_FULL | 1 << USB_HIGH,                                          \
                 .attributes = 0xa0,                                                               \
                 .power_2ma = 50,                                                                  \
                 .strings = { [USB_STRING_VENDOR] = "QEMU",                                        \
                              [USB_STRING_PRODUCT] = (title),                                      \
                              [USB_STRING_SERIAL] = (serial_) },                                   \
                 .interfaces = &(interface_),                                                      \
                 .interface_count = 1,                                                             \
                 .name = (title),                                                                  \
                 .realize = hid_realize,                                                           \
                 .unrealize = hid_unrealize,                                                       \
                 .reset = hid_reset,                                                               \
                 .configured = hid_configured,                                                     \
                 .control = hid_control,                                                           \
                 .transfer = hid_transfer,                                                         \
                 .state_loaded = hid_state_loaded },                                               \
        .handler = { .name = (title), __VA_ARGS__ },                                               \
        .report_descriptor = (descriptor),                                                         \
        .report_size = sizeof(descriptor),                                                         \
        .report = (report_),                                                                       \
    };                                                                                             \
    static const DeviceType symbol = {                                                             \
        .name = (name_),                                                                           \
        .summary = (summary_),                                                                     \
        .category = "input",                                                                       \
        .instance_size = sizeof(UsbHid),                                                           \
        .properties = (const Property[]){ HID_PROPERTIES, USB_PROPERTIES(UsbHid, usb), { 0 } },    \
        .state = hid_state,                                                                        \
        .state_check = hid_state_check,                                                            \
        USB_DEVICE_HOOKS(&symbol##_hid),                                                           \
    };                                                                                             \
    DEVICE_TYPE(symbol)

#endif
