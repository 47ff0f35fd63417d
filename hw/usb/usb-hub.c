/* SPDX-License-Identifier: MIT */
/* A full-speed hub (USB 2.0, chapter 11), whose ports have power always. */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/usb/usb.h"
#include "machine/machine.h"

enum {
    PORTS_MAX = 8,
    ENDPOINT_CHANGES = 0x81,

    GET_STATUS = 0,
    CLEAR_FEATURE = 1,
    SET_FEATURE = 3,
    GET_DESCRIPTOR = 6,
    HUB_IN = 0xa0,
    HUB_OUT = 0x20,
    PORT_IN = 0xa3,
    PORT_OUT = 0x23,
    DESCRIPTOR_HUB = 0x29,

    FEATURE_ENABLE = 1,
    FEATURE_SUSPEND = 2,
    FEATURE_RESET = 4,
    FEATURE_POWER = 8,
    FEATURE_FIRST_CHANGE = 16,
    FEATURE_LAST_CHANGE = 20,
    FEATURE_INDICATOR = 22,

    STATUS_CONNECTION = 1 << 0,
    STATUS_ENABLE = 1 << 1,
    STATUS_SUSPEND = 1 << 2,
    STATUS_RESET = 1 << 4,
    STATUS_POWER = 1 << 8,
    STATUS_LOW_SPEED = 1 << 9,
};

typedef struct {
    UsbDevice usb;
    UsbPort ports[PORTS_MAX];
    uint16_t status[PORTS_MAX], change[PORTS_MAX];
    uint32_t port_count;
} UsbHub;

static UsbHub *usb_hub(UsbDevice *usb)
{
    return container_of(usb, UsbHub, usb);
}

/* Ports. */

static void note_change(UsbHub *hub, unsigned index, uint16_t bits)
{
    hub->change[index] |= bits;
    if (hub->usb.configuration) {
        usb_ready(&hub->usb, ENDPOINT_CHANGES);
    }
}

static void update_port(UsbHub *hub, unsigned index)
{
    UsbPort *port = &hub->ports[index];

    port->enabled = port->device && hub->status[index] & STATUS_ENABLE;
}

static void show_connection(UsbHub *hub, unsigned index)
{
    const UsbDevice *usb = hub->ports[index].device;

    hub->status[index] = STATUS_POWER | (usb ? STATUS_CONNECTION : 0) |
                         (usb && usb->speed == USB_LOW ? STATUS_LOW_SPEED : 0);
    update_port(hub, index);
}

static void attached(UsbPort *port)
{
    show_connection(port->opaque, port->index);
    note_change(port->opaque, port->index, STATUS_CONNECTION);
}

static void detached(UsbPort *port)
{
    UsbHub *hub = port->opaque;
    bool was_enabled = hub->status[port->index] & STATUS_ENABLE;

    show_connection(hub, port->index);
    note_change(hub, port->index, STATUS_CONNECTION | (was_enabled ? STATUS_ENABLE : 0));
}

static const UsbPortOps port_ops = { .attached = attached, .detached = detached };

/* Requests. */

static UsbStatus put_descriptor(const UsbHub *hub, uint8_t *data, uint32_t *length)
{
    unsigned bytes = hub->port_count / 8 + 1;
    uint8_t descriptor[16] = { (uint8_t)(7 + 2 * bytes),
                               DESCRIPTOR_HUB,
                               (uint8_t)hub->port_count,
                               0x0a,
                               0, /* no power switching, no overcurrent protection */
                               1,
                               0 };

    memset(descriptor + 7 + bytes, 0xff, bytes);
    *length = MIN(*length, descriptor[0]);
    memcpy(data, descriptor, *length);
    return USB_DONE;
}

static UsbStatus put_status(uint16_t status, uint16_t change, uint8_t *data, uint32_t *length)
{
    uint8_t bytes[4];

    store_le16(bytes, status);
    store_le16(bytes + 2, change);
    *length = MIN(*length, sizeof bytes);
    memcpy(data, bytes, *length);
    return USB_DONE;
}

static UsbStatus set_port_feature(UsbHub *hub, unsigned index, unsigned feature)
{
    UsbDevice *usb = hub->ports[index].device;

    switch (feature) {
    case FEATURE_SUSPEND:
        hub->status[index] |= STATUS_SUSPEND;
        return USB_DONE;
    case FEATURE_RESET:
        if (usb) {
            usb_device_bus_reset(usb);
            hub->status[index] |= STATUS_ENABLE;
            hub->status[index] &= (uint16_t)~STATUS_SUSPEND;
            update_port(hub, index);
        }
        note_change(hub, index, STATUS_RESET);
        return USB_DONE;
    case FEATURE_POWER:
    case FEATURE_INDICATOR:
        return USB_DONE;
    }
    return USB_STALL;
}

static UsbStatus clear_port_feature(UsbHub *hub, unsigned index, unsigned feature)
{
    if (feature >= FEATURE_FIRST_CHANGE && feature <= FEATURE_LAST_CHANGE) {
        hub->change[index] &= (uint16_t) ~(1 << (feature - FEATURE_FIRST_CHANGE));
        return USB_DONE;
    }
    switch (feature) {
    case FEATURE_ENABLE:
        hub->status[index] &= (uint16_t)~STATUS_ENABLE;
        update_port(hub, index);
        return USB_DONE;
    case FEATURE_SUSPEND:
        if (hub->status[index] & STATUS_SUSPEND) {
            hub->status[index] &= (uint16_t)~STATUS_SUSPEND;
            note_change(hub, index, STATUS_SUSPEND);
        }
        return USB_DONE;
    case FEATURE_POWER:
    case FEATURE_INDICATOR:
        return USB_DONE;
    }
    return USB_STALL;
}

static UsbStatus hub_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data, uint32_t *length)
{
    UsbHub *hub = usb_hub(usb);
    unsigned index = (setup->index & 0xff) - 1u;
    bool of_port = (setup->type & 0x1f) == 3;

    if (of_port && index >= hub->port_count) {
        return USB_STALL;
    }
    switch (setup->type << 8 | setup->request) {
    case HUB_IN << 8 | GET_DESCRIPTOR:
        return setup->value >> 8 == DESCRIPTOR_HUB || !setup->value
                   ? put_descriptor(hub, data, length)
                   : USB_STALL;
    case HUB_IN << 8 | GET_STATUS:
        return put_status(0, 0, data, length);
    case PORT_IN << 8 | GET_STATUS:
        return put_status(hub->status[index], hub->change[index], data, length);
    case HUB_OUT << 8 | SET_FEATURE:
    case HUB_OUT << 8 | CLEAR_FEATURE:
        return setup->value <= 1 ? USB_DONE : USB_STALL;
    case PORT_OUT << 8 | SET_FEATURE:
        return set_port_feature(hub, index, setup->value);
    case PORT_OUT << 8 | CLEAR_FEATURE:
        return clear_port_feature(hub, index, setup->value);
    }
    return USB_STALL;
}

/* Bit 0 is the hub's own, and then a bit for each port that has changed. */
static UsbStatus hub_transfer(UsbDevice *usb, UsbPacket *packet)
{
    UsbHub *hub = usb_hub(usb);
    uint8_t changed[PORTS_MAX / 8 + 1] = { 0 };
    bool any = false;

    if (packet->token != USB_TOKEN_IN) {
        return USB_STALL;
    }
    for (unsigned i = 0; i < hub->port_count; i++) {
        if (hub->change[i]) {
            changed[(i + 1) / 8] |= (uint8_t)(1 << (i + 1) % 8);
            any = true;
        }
    }
    if (!any) {
        return USB_NAK;
    }
    usb_packet_put(packet, changed, hub->port_count / 8 + 1);
    return USB_DONE;
}

/* Life. */

static void hub_reset(UsbDevice *usb)
{
    UsbHub *hub = usb_hub(usb);

    memset(hub->status, 0, sizeof hub->status);
    memset(hub->change, 0, sizeof hub->change);
    for (unsigned i = 0; i < hub->port_count; i++) {
        show_connection(hub, i);
        hub->change[i] = hub->ports[i].device ? STATUS_CONNECTION : 0;
    }
}

static bool hub_realize(UsbDevice *usb, GError **error)
{
    UsbHub *hub = usb_hub(usb);
    unsigned tiers = 1;

    for (const char *at = usb->port->path; *at; at++) {
        tiers += *at == '.';
    }
    if (hub->port_count < 1 || hub->port_count > PORTS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: ports=%u: a hub has 1 to %d",
                          usb->device.id, hub->port_count, PORTS_MAX);
    }
    if (tiers > USB_HUB_TIERS) {
        return error_fail(error, KASO_ERROR_INVALID, "%s: up to %d hubs can follow each other",
                          usb->device.id, USB_HUB_TIERS);
    }
    for (unsigned i = 0; i < hub->port_count; i++) {
        usb_port_init(&hub->ports[i], usb->bus, usb, i, USB_SPEEDS_1, &port_ops, hub);
    }
    return true;
}

static void hub_unrealize(UsbDevice *usb)
{
    UsbHub *hub = usb_hub(usb);

    for (unsigned i = 0; i < hub->port_count; i++) {
        usb_port_free(&hub->ports[i]);
    }
}

static void hub_state_loaded(UsbDevice *usb)
{
    for (unsigned i = 0; i < usb_hub(usb)->port_count; i++) {
        update_port(usb_hub(usb), i);
    }
}

static const UsbInterface hub_interfaces[] = {
    { .class_code = 9,
      .endpoints = (const UsbEndpoint[]){ { .address = ENDPOINT_CHANGES,
                                            .attributes = 3,
                                            .packet = { [USB_FULL] = 2 },
                                            .interval = { [USB_FULL] = 255 } } },
      .endpoint_count = 1 },
};

static const UsbDeviceType hub_type = {
    .vendor = 0x0409,
    .product = 0x55aa,
    .release = 0x0101,
    .class_code = 9,
    .speeds = 1 << USB_FULL,
    .attributes = 0xe0,
    .strings = { [USB_STRING_VENDOR] = "QEMU",
                 [USB_STRING_PRODUCT] = "QEMU USB Hub",
                 [USB_STRING_SERIAL] = "314159" },
    .interfaces = hub_interfaces,
    .interface_count = 1,
    .name = "QEMU USB Hub",
    .realize = hub_realize,
    .unrealize = hub_unrealize,
    .reset = hub_reset,
    .control = hub_control,
    .transfer = hub_transfer,
    .state_loaded = hub_state_loaded,
};

static const DeviceType usb_hub_type = {
    .name = "usb-hub",
    .summary = "USB hub",
    .category = "usb",
    .instance_size = sizeof(UsbHub),
    .properties =
        (const Property[]){
            { "ports", PROPERTY_U32, offsetof(UsbHub, port_count), "1 to 8", "8" },
            { "port-power", PROPERTY_NOT_YET, 0, "power of each port can be switched" },
            USB_PROPERTIES(UsbHub, usb),
            { 0 } },
    .state = (const StateField[]){ USB_STATE(UsbHub, usb),
                                   STATE(UsbHub, status),
                                   STATE(UsbHub, change),
                                   STATE_DERIVED(UsbHub, ports),
                                   { 0 } },
    USB_DEVICE_HOOKS(&hub_type),
};
DEVICE_TYPE(usb_hub_type);
