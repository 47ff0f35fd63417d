/* SPDX-License-Identifier: MIT */
/* What all USB devices do alike: control transfers, standard requests (USB 2.0, 9.4; USB 3.2, 9.4), packets that wait. */
#include <string.h>

#include "base/error.h"
#include "hw/usb/usb.h"
#include "machine/machine.h"

/* control_stage: what the host does next. */
enum { STAGE_IDLE, STAGE_IN, STAGE_OUT, STAGE_STATUS, STAGE_STALLED, STAGE_COUNT };

enum {
    GET_STATUS = 0,
    CLEAR_FEATURE = 1,
    SET_FEATURE = 3,
    SET_ADDRESS = 5,
    GET_DESCRIPTOR = 6,
    GET_CONFIGURATION = 8,
    SET_CONFIGURATION = 9,
    GET_INTERFACE = 10,
    SET_INTERFACE = 11,
    SYNCH_FRAME = 12,
    SET_SEL = 48,
    SET_ISOCH_DELAY = 49,

    RECIPIENT_DEVICE = 0,
    RECIPIENT_INTERFACE = 1,
    RECIPIENT_ENDPOINT = 2,
    TYPE_RECIPIENT = 0x1f,
    TYPE_CLASS = 0x60, /* not 0: no standard request */

    FEATURE_HALT = 0,
    FEATURE_WAKEUP = 1,
    FEATURE_TEST = 2,
    FEATURE_U1 = 48,
    FEATURE_LTM = 50,

    ATTRIBUTE_SELF_POWERED = 0x40,
};

const char *const usb_speed_names[USB_SPEED_COUNT] = { "1.5", "12", "480", "5000" };

/* Packets. */

static uint32_t move(UsbPacket *packet, uint8_t *data, uint32_t size, bool to_host)
{
    uint32_t done = 0;
    uint64_t skip = packet->moved;

    size = MIN(size, packet->size - packet->moved);
    for (unsigned i = 0; i < packet->iov_count && done < size; i++) {
        const struct iovec *v = &packet->iov[i];

        if (skip >= v->iov_len) {
            skip -= v->iov_len;
            continue;
        }
        size_t part = MIN(v->iov_len - skip, size - done);
        uint8_t *host = (uint8_t *)v->iov_base + skip;

        if (to_host) {
            memcpy(host, data + done, part);
        } else {
            memcpy(data + done, host, part);
        }
        done += (uint32_t)part;
        skip = 0;
    }
    packet->moved += done;
    return done;
}

uint32_t usb_packet_put(UsbPacket *packet, const void *data, uint32_t size)
{
    return move(packet, (uint8_t *)data, size, true);
}

uint32_t usb_packet_take(UsbPacket *packet, void *data, uint32_t size)
{
    return move(packet, data, size, false);
}

static bool unlink_packet(UsbPacket *packet)
{
    UsbPacket **at = packet->device ? &packet->device->pending : NULL;

    while (at && *at && *at != packet) {
        at = &(*at)->next;
    }
    if (!at || !*at) {
        return false;
    }
    *at = packet->next;
    packet->device = NULL;
    return true;
}

void usb_packet_finish(UsbPacket *packet, UsbStatus status)
{
    if (unlink_packet(packet)) {
        packet->status = status;
        packet->done(packet);
    }
}

void usb_packet_cancel(UsbPacket *packet)
{
    UsbDevice *usb = packet->device;

    if (unlink_packet(packet) && usb->type->cancel) {
        usb->type->cancel(usb, packet);
    }
}

/* The device is gone, or begins anew: its controller hears that nobody answers. */
static void fail_pending(UsbDevice *usb)
{
    while (usb->pending) {
        UsbPacket *packet = usb->pending;

        usb_packet_cancel(packet);
        packet->status = USB_ERROR;
        packet->done(packet);
    }
}

/* Standard requests. */

static const UsbInterface *find_interface(const UsbDevice *usb, unsigned number, unsigned alternate)
{
    for (unsigned i = 0; i < usb->type->interface_count; i++) {
        const UsbInterface *interface = &usb->type->interfaces[i];

        if (interface->number == number && interface->alternate == alternate) {
            return interface;
        }
    }
    return NULL;
}

const UsbEndpoint *usb_device_endpoint(const UsbDevice *usb, uint8_t address)
{
    for (unsigned i = 0; usb->configuration && i < usb->type->interface_count; i++) {
        const UsbInterface *interface = &usb->type->interfaces[i];

        if (interface->alternate != usb->alternates[interface->number]) {
            continue;
        }
        for (unsigned e = 0; e < interface->endpoint_count; e++) {
            if (interface->endpoints[e].address == address) {
                return &interface->endpoints[e];
            }
        }
    }
    return NULL;
}

static uint16_t *halted(UsbDevice *usb, unsigned address)
{
    return address & USB_DIRECTION_IN ? &usb->halted_in : &usb->halted_out;
}

static bool recipient_exists(const UsbDevice *usb, const UsbSetup *setup)
{
    switch (setup->type & TYPE_RECIPIENT) {
    case RECIPIENT_DEVICE:
        return true;
    case RECIPIENT_INTERFACE:
        return find_interface(usb, setup->index & 0xff, 0);
    case RECIPIENT_ENDPOINT:
        return !(setup->index & 0xf) || usb_device_endpoint(usb, (uint8_t)setup->index);
    }
    return false;
}

static UsbStatus get_status(UsbDevice *usb, const UsbSetup *setup, uint8_t *data, uint32_t *length)
{
    unsigned status = 0;

    switch (setup->type & TYPE_RECIPIENT) {
    case RECIPIENT_DEVICE:
        status = (usb->type->attributes & ATTRIBUTE_SELF_POWERED ? 1 : 0) |
                 (usb->wakeup_enabled ? 2 : 0);
        break;
    case RECIPIENT_ENDPOINT:
        status = *halted(usb, setup->index) >> (setup->index & 0xf) & 1;
        break;
    }
    store_le16(data, (uint16_t)status);
    *length = 2;
    return USB_DONE;
}

static UsbStatus change_feature(UsbDevice *usb, const UsbSetup *setup, bool on)
{
    unsigned recipient = setup->type & TYPE_RECIPIENT, bit = 1u << (setup->index & 0xf);

    if (recipient == RECIPIENT_ENDPOINT && setup->value == FEATURE_HALT) {
        uint16_t *set = halted(usb, setup->index);

        *set = (uint16_t)(on && bit != 1 ? *set | bit : *set & ~bit);
        return USB_DONE;
    }
    if (recipient == RECIPIENT_DEVICE && setup->value == FEATURE_WAKEUP) {
        usb->wakeup_enabled = on;
        return USB_DONE;
    }
    /* Test modes and power states of the link change nothing here. */
    if ((recipient == RECIPIENT_DEVICE &&
         ((setup->value == FEATURE_TEST && on && usb->speed == USB_HIGH) ||
          (setup->value >= FEATURE_U1 && setup->value <= FEATURE_LTM &&
           usb->speed == USB_SUPER))) ||
        (recipient == RECIPIENT_INTERFACE && setup->value == 0 && usb->speed == USB_SUPER)) {
        return USB_DONE;
    }
    return USB_STALL;
}

static void forget_settings(UsbDevice *usb)
{
    memset(usb->alternates, 0, sizeof usb->alternates);
    usb->halted_in = usb->halted_out = 0;
}

static UsbStatus set_configuration(UsbDevice *usb, unsigned number)
{
    if (number > 1) {
        return USB_STALL;
    }
    usb->configuration = (uint8_t)number;
    forget_settings(usb);
    if (usb->type->configured) {
        usb->type->configured(usb);
    }
    return USB_DONE;
}

static UsbStatus set_interface(UsbDevice *usb, unsigned number, unsigned alternate)
{
    const UsbInterface *interface = find_interface(usb, number, alternate);

    if (!interface || !usb->configuration) {
        return USB_STALL;
    }
    usb->alternates[number] = (uint8_t)alternate;
    for (unsigned e = 0; e < interface->endpoint_count; e++) {
        uint8_t address = interface->endpoints[e].address;

        *halted(usb, address) &= (uint16_t) ~(1u << (address & 0xf));
    }
    if (usb->type->configured) {
        usb->type->configured(usb);
    }
    return USB_DONE;
}

static UsbStatus one_byte(uint8_t value, uint8_t *data, uint32_t *length)
{
    *data = value;
    *length = 1;
    return USB_DONE;
}

static UsbStatus class_request(UsbDevice *usb, const UsbSetup *setup, uint8_t *data,
                               uint32_t *length)
{
    return usb->type->control ? usb->type->control(usb, setup, data, length) : USB_STALL;
}

/* A class may answer GET_DESCRIPTOR for an interface (HID's report descriptor). */
static UsbStatus standard_request(UsbDevice *usb, const UsbSetup *setup, uint8_t *data,
                                  uint32_t *length)
{
    bool in = setup->type & USB_DIRECTION_IN;
    uint32_t room = *length;
    unsigned number;

    *length = 0;
    if (!recipient_exists(usb, setup)) {
        return USB_STALL;
    }
    switch (setup->request | (in ? 0x100 : 0)) {
    case GET_STATUS | 0x100:
        return get_status(usb, setup, data, length);
    case CLEAR_FEATURE:
    case SET_FEATURE:
        return change_feature(usb, setup, setup->request == SET_FEATURE);
    case SET_ADDRESS:
        usb->address = setup->value & 0x7f;
        return USB_DONE;
    case GET_DESCRIPTOR | 0x100:
        *length = room;
        return (setup->type & TYPE_RECIPIENT) == RECIPIENT_DEVICE
                   ? usb_descriptor_get(usb, setup->value, data, length)
                   : class_request(usb, setup, data, length);
    case GET_CONFIGURATION | 0x100:
        return one_byte(usb->configuration, data, length);
    case SET_CONFIGURATION:
        return set_configuration(usb, setup->value & 0xff);
    case GET_INTERFACE | 0x100:
        number = setup->index & 0xff;
        return usb->configuration && number < USB_INTERFACES
                   ? one_byte(usb->alternates[number], data, length)
                   : USB_STALL;
    case SET_INTERFACE:
        return set_interface(usb, setup->index & 0xff, setup->value);
    case SYNCH_FRAME | 0x100:
        *length = 2;
        return USB_DONE;
    case SET_SEL:
    case SET_ISOCH_DELAY:
        return usb->speed == USB_SUPER ? USB_DONE : USB_STALL;
    }
    return USB_STALL;
}

/* Control transfers. The stages come as packets of any size. */

static UsbSetup read_setup(const UsbDevice *usb)
{
    const uint8_t *b = usb->setup;

    return (UsbSetup){ b[0], b[1], load_le16(b + 2), load_le16(b + 4), load_le16(b + 6) };
}

static UsbStatus run_request(UsbDevice *usb)
{
    UsbSetup setup = read_setup(usb);
    UsbStatus status;

    status = setup.type & TYPE_CLASS
                 ? class_request(usb, &setup, usb->control_data, &usb->control_size)
                 : standard_request(usb, &setup, usb->control_data, &usb->control_size);
    usb->control_size = MIN(usb->control_size, MIN(setup.length, USB_CONTROL_BYTES));
    return status == USB_DONE ? USB_DONE : USB_STALL;
}

static UsbStatus begin_control(UsbDevice *usb, UsbPacket *packet)
{
    UsbSetup setup;

    if (usb_packet_take(packet, usb->setup, sizeof usb->setup) != sizeof usb->setup) {
        return USB_ERROR;
    }
    setup = read_setup(usb);
    usb->control_at = 0;
    usb->control_size = MIN(setup.length, USB_CONTROL_BYTES);
    if (setup.type & USB_DIRECTION_IN && setup.length) {
        memset(usb->control_data, 0, usb->control_size);
        usb->control_stage = run_request(usb) == USB_DONE ? STAGE_IN : STAGE_STALLED;
    } else if (setup.length > USB_CONTROL_BYTES) {
        usb->control_stage = STAGE_STALLED;
    } else {
        usb->control_stage = setup.length ? STAGE_OUT : STAGE_STATUS;
    }
    return USB_DONE; /* a SETUP is always acknowledged */
}

static UsbStatus stall_control(UsbDevice *usb)
{
    usb->control_stage = STAGE_STALLED;
    return USB_STALL;
}

/* A request whose data come from the host, or that has none, is carried out when the host asks how it went. */
static UsbStatus control_in(UsbDevice *usb, UsbPacket *packet)
{
    switch (usb->control_stage) {
    case STAGE_IN:
        usb->control_at += usb_packet_put(packet, usb->control_data + usb->control_at,
                                          usb->control_size - usb->control_at);
        return USB_DONE;
    case STAGE_OUT:
    case STAGE_STATUS:
        usb->control_size = usb->control_at;
        usb->control_stage = STAGE_IDLE;
        return run_request(usb) == USB_DONE ? USB_DONE : stall_control(usb);
    }
    return stall_control(usb);
}

static UsbStatus control_out(UsbDevice *usb, UsbPacket *packet)
{
    switch (usb->control_stage) {
    case STAGE_IN:
        usb->control_stage = STAGE_IDLE;
        return USB_DONE;
    case STAGE_OUT:
        usb->control_at += usb_packet_take(packet, usb->control_data + usb->control_at,
                                           usb->control_size - usb->control_at);
        return packet->moved == packet->size ? USB_DONE : stall_control(usb);
    }
    return stall_control(usb);
}

static UsbStatus handle_control(UsbDevice *usb, UsbPacket *packet)
{
    switch (packet->token) {
    case USB_TOKEN_SETUP:
        return begin_control(usb, packet);
    case USB_TOKEN_IN:
        return control_in(usb, packet);
    default:
        return control_out(usb, packet);
    }
}

static UsbStatus handle_data(UsbDevice *usb, UsbPacket *packet)
{
    uint8_t address = packet->endpoint | (packet->token == USB_TOKEN_IN ? USB_DIRECTION_IN : 0);
    uint16_t *set = halted(usb, address);
    UsbStatus status;

    if (packet->token == USB_TOKEN_SETUP || *set >> packet->endpoint & 1 ||
        !usb_device_endpoint(usb, address)) {
        return USB_STALL;
    }
    status = usb->type->transfer(usb, packet);
    if (status == USB_STALL) {
        *set |= (uint16_t)(1u << packet->endpoint);
    }
    if (status == USB_PENDING) {
        packet->device = usb;
        packet->next = usb->pending;
        usb->pending = packet;
    }
    return status;
}

UsbStatus usb_device_handle(UsbDevice *usb, UsbPacket *packet)
{
    packet->moved = 0;
    packet->device = NULL;
    packet->status = packet->endpoint ? handle_data(usb, packet) : handle_control(usb, packet);
    return packet->status;
}

void usb_ready(UsbDevice *usb, uint8_t endpoint)
{
    UsbPort *root = usb->attached ? usb_root_port(usb) : NULL;

    if (root && root->ops->ready) {
        root->ops->ready(root, usb, endpoint);
    }
}

/* Life. */

void usb_device_bus_reset(UsbDevice *usb)
{
    fail_pending(usb);
    usb->address = usb->configuration = usb->wakeup_enabled = 0;
    forget_settings(usb);
    usb->control_stage = STAGE_IDLE;
    usb->control_size = usb->control_at = 0;
    memset(usb->setup, 0, sizeof usb->setup);
    if (usb->type->reset) {
        usb->type->reset(usb);
    }
}

void usb_device_detach(UsbDevice *usb)
{
    if (usb->attached) {
        fail_pending(usb);
        usb->attached = false;
        usb->port->device = NULL;
        usb->port->ops->detached(usb->port);
    }
}

unsigned usb_device_speeds(const UsbDevice *usb)
{
    return usb->usb_version == 1 ? usb->type->speeds & USB_SPEEDS_1 : usb->type->speeds;
}

void usb_device_choose_speed(UsbDevice *usb, unsigned speeds)
{
    unsigned both = usb_device_speeds(usb) & speeds;

    if (both) {
        usb->speed = (UsbSpeed)(31 - __builtin_clz(both));
    }
}

bool usb_device_attach(UsbDevice *usb, GError **error)
{
    if (!(usb_device_speeds(usb) & usb->port->speeds)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "port %s of bus '%s' is for other speeds than those of device '%s'",
                          usb->port->path, usb->bus->bus.name, usb->device.type->name);
    }
    usb_device_choose_speed(usb, usb->port->speeds);
    usb->attached = true;
    usb->port->device = usb;
    usb->port->ops->attached(usb->port);
    return true;
}

bool usb_device_realize(Device *device, GError **error)
{
    UsbDevice *usb = usb_device(device);

    usb->type = device->type->class_data;
    if (usb->type->realize && !usb->type->realize(usb, error)) {
        return false;
    }
    if (!usb->attached && !usb_device_attach(usb, error)) {
        if (usb->type->unrealize) {
            usb->type->unrealize(usb);
        }
        return false;
    }
    return true;
}

void usb_device_unrealize(Device *device)
{
    UsbDevice *usb = usb_device(device);

    usb_device_detach(usb);
    if (usb->type->unrealize) {
        usb->type->unrealize(usb);
    }
}

void usb_device_reset(Device *device)
{
    UsbDevice *usb = usb_device(device);

    usb_device_bus_reset(usb);
    memset(usb->control_data, 0, sizeof usb->control_data);
}

/* Controllers send what was pending again, from their rings and schedules. */
void usb_device_state_loaded(Device *device)
{
    UsbDevice *usb = usb_device(device);

    while (usb->pending) {
        usb_packet_cancel(usb->pending);
    }
    if (usb->type->state_loaded) {
        usb->type->state_loaded(usb);
    }
}
