/* SPDX-License-Identifier: MIT */
/* From the tables of a device type to descriptors (USB 2.0, 9.6; USB 3.2, 9.6). */
#include <string.h>

#include "base/bits.h"
#include "hw/usb/usb.h"

enum {
    DEVICE = 1,
    CONFIGURATION = 2,
    STRING = 3,
    INTERFACE = 4,
    ENDPOINT = 5,
    QUALIFIER = 6,
    OTHER_SPEED = 7,
    BOS = 15,
    CAPABILITY = 16,
    COMPANION = 48,
    CAPABILITY_2_EXTENSION = 2,
    CAPABILITY_SUPER_SPEED = 3,
    BULK = 2,
    LANGUAGE_ENGLISH_US = 0x0409,
};

/* What is written beyond the room is counted, and lost. */
typedef struct {
    uint8_t *data;
    uint32_t size, room;
} Writer;

static void put(Writer *w, const void *bytes, uint32_t size)
{
    if (size && w->size < w->room) {
        memcpy(w->data + w->size, bytes, MIN(size, w->room - w->size));
    }
    w->size += size;
}

#define PUT(w, ...)                                                                                \
    put(w, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define LE16(value) (uint8_t)(value), (uint8_t)((value) >> 8)

static unsigned version_of(UsbSpeed speed)
{
    return speed == USB_SUPER ? 0x0300 : 0x0200;
}

/* At super speed this is a power of two's exponent. Low and full speed: 8, which all hosts begin with, or 64. */
static uint8_t control_packet(const UsbDeviceType *type, UsbSpeed speed)
{
    return speed == USB_SUPER ? 9 : speed == USB_HIGH || !(type->speeds & 1 << USB_LOW) ? 64 : 8;
}

static void put_device(Writer *w, const UsbDevice *usb)
{
    const UsbDeviceType *t = usb->type;

    PUT(w, 18, DEVICE, LE16(version_of(usb->speed)), t->class_code, t->subclass, t->protocol,
        control_packet(t, usb->speed), LE16(t->vendor), LE16(t->product), LE16(t->release),
        USB_STRING_VENDOR, USB_STRING_PRODUCT,
        usb->serial || t->strings[USB_STRING_SERIAL] ? USB_STRING_SERIAL : 0, 1);
}

static void put_qualifier(Writer *w, const UsbDevice *usb, UsbSpeed other)
{
    const UsbDeviceType *t = usb->type;

    PUT(w, 10, QUALIFIER, LE16(0x0200), t->class_code, t->subclass, t->protocol,
        control_packet(t, other), 1, 0);
}

static void put_endpoint(Writer *w, const UsbEndpoint *e, UsbSpeed speed)
{
    PUT(w, e->audio ? 9 : 7, ENDPOINT, e->address, e->attributes, LE16(e->packet[speed]),
        e->interval[speed]);
    if (e->audio) {
        PUT(w, 0, 0);
    }
    if (speed == USB_SUPER) {
        bool periodic = e->attributes & 1;

        PUT(w, 6, COMPANION, e->burst, e->streams,
            LE16(periodic ? e->packet[speed] * (e->burst + 1) : 0));
    }
    put(w, e->extra, e->extra_size);
}

static void put_interface(Writer *w, const UsbInterface *i, UsbSpeed speed)
{
    PUT(w, 9, INTERFACE, i->number, i->alternate, i->endpoint_count, i->class_code, i->subclass,
        i->protocol, i->text);
    put(w, i->extra, i->extra_size);
    for (unsigned n = 0; n < i->endpoint_count; n++) {
        put_endpoint(w, &i->endpoints[n], speed);
    }
}

static void put_configuration(Writer *w, const UsbDeviceType *type, UsbSpeed speed, uint8_t kind)
{
    Writer whole = { w->data + MIN(w->size, w->room), 0, w->room - MIN(w->size, w->room) };
    uint8_t interfaces = 0, power = type->power_2ma;

    for (unsigned n = 0; n < type->interface_count; n++) {
        interfaces += type->interfaces[n].alternate == 0;
    }
    if (speed == USB_SUPER) {
        power = (uint8_t)((power + 3) / 4); /* units of 8 mA */
    }
    PUT(&whole, 9, kind, 0, 0, interfaces, 1, 0, type->attributes, power);
    for (unsigned n = 0; n < type->interface_count; n++) {
        put_interface(&whole, &type->interfaces[n], speed);
    }
    for (unsigned i = 0; i < 2 && 2 + i < whole.room; i++) {
        whole.data[2 + i] = (uint8_t)(whole.size >> 8 * i);
    }
    w->size += whole.size;
}

/* What a device of USB 3 says of itself: that it knows link power management, and the speeds that it can. */
static void put_bos(Writer *w, const UsbDeviceType *type)
{
    bool super = type->speeds & 1 << USB_SUPER;
    unsigned slowest = type->speeds & 1 << USB_FULL ? 1 : type->speeds & 1 << USB_HIGH ? 2 : 3;

    PUT(w, 5, BOS, LE16(super ? 22 : 12), super ? 2 : 1);
    PUT(w, 7, CAPABILITY, CAPABILITY_2_EXTENSION, 2, 0, 0, 0);
    if (super) {
        PUT(w, 10, CAPABILITY, CAPABILITY_SUPER_SPEED, 0,
            LE16((type->speeds & 1 << USB_FULL ? 2 : 0) | (type->speeds & 1 << USB_HIGH ? 4 : 0) |
                 8),
            (uint8_t)slowest, 0x0a, LE16(0x20));
    }
}

static bool put_string(Writer *w, const UsbDevice *usb, unsigned index)
{
    const char *text = index < ARRAY_SIZE(usb->type->strings) ? usb->type->strings[index] : NULL;
    g_autofree gunichar2 *units = NULL;
    glong count = 0;

    if (index == 0) {
        PUT(w, 4, STRING, LE16(LANGUAGE_ENGLISH_US));
        return true;
    }
    if (index == USB_STRING_SERIAL && usb->serial) {
        text = usb->serial;
    }
    units = text ? g_utf8_to_utf16(text, -1, NULL, &count, NULL) : NULL;
    if (!units) {
        return false;
    }
    count = MIN(count, 126);
    PUT(w, (uint8_t)(2 + 2 * count), STRING);
    for (glong i = 0; i < count; i++) {
        PUT(w, LE16(units[i]));
    }
    return true;
}

/* The speed that the device would run at if it did not run at high speed, and the other way round. */
static UsbSpeed other_speed(const UsbDevice *usb)
{
    return usb->speed == USB_HIGH ? USB_FULL : USB_HIGH;
}

static bool has_other_speed(const UsbDevice *usb)
{
    return usb->speed != USB_SUPER && usb->speed != USB_LOW &&
           usb_device_speeds(usb) & 1u << other_speed(usb);
}

UsbStatus usb_descriptor_get(const UsbDevice *usb, uint16_t value, uint8_t *data, uint32_t *length)
{
    Writer w = { data, 0, *length };
    unsigned index = value & 0xff;
    bool there = true;

    switch (value >> 8) {
    case DEVICE:
        put_device(&w, usb);
        break;
    case CONFIGURATION:
        there = index == 0;
        put_configuration(&w, usb->type, usb->speed, CONFIGURATION);
        break;
    case STRING:
        there = put_string(&w, usb, index);
        break;
    case QUALIFIER:
        there = has_other_speed(usb);
        put_qualifier(&w, usb, other_speed(usb));
        break;
    case OTHER_SPEED:
        there = has_other_speed(usb) && index == 0;
        put_configuration(&w, usb->type, other_speed(usb), OTHER_SPEED);
        break;
    case BOS:
        there = usb->speed == USB_SUPER;
        put_bos(&w, usb->type);
        break;
    default:
        there = false;
    }
    *length = MIN(w.size, w.room);
    return there ? USB_DONE : USB_STALL;
}
