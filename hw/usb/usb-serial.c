/* SPDX-License-Identifier: MIT */
/*
 * A USB serial port as FTDI's FT232BM has it, over a char device. Each packet to the host begins with two bytes of status.
 *
 * The line has no speed: settings are taken, and bytes go as fast as both ends like.
 */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/usb/usb.h"
#include "machine/chardev.h"
#include "machine/console.h"
#include "machine/machine.h"

enum {
    ENDPOINT_IN = 0x81,
    ENDPOINT_OUT = 0x02,
    PACKET = 64,
    STATUS_BYTES = 2,
    RECEIVE_BYTES = 384,

    VENDOR_OUT = 0x40,
    VENDOR_IN = 0xc0,
    RESET = 0,
    SET_MODEM = 1,
    SET_FLOW = 2,
    SET_BAUD = 3,
    SET_DATA = 4,
    GET_MODEM = 5,
    SET_EVENT_CHARACTER = 6,
    SET_ERROR_CHARACTER = 7,
    SET_LATENCY = 9,
    GET_LATENCY = 10,

    RESET_ALL = 0,
    RESET_RECEIVED = 1,
    RESET_SENT = 2,
    MODEM_DTR = 1 << 0,
    MODEM_RTS = 1 << 1,
    MODEM_ALWAYS = 1 << 0,
    MODEM_CTS = 1 << 4,
    MODEM_DSR = 1 << 5,
    MODEM_CD = 1 << 7,
    LINE_BREAK = 1 << 4,
    LINE_EMPTY = 3 << 5, /* transmitter and its holding register */
    DATA_BREAK = 1 << 14,
    LATENCY_MS = 16,
};

typedef struct {
    UsbDevice usb;
    Chardev *chardev;
    uint8_t received[RECEIVE_BYTES];
    uint16_t received_count;
    uint8_t modem_out, latency, break_seen, news;
    uint16_t flow, baud, data;
    UsbPacket *waiting; /* to the char device, which takes no more now */
    bool always_plugged;
} UsbSerial;

static UsbSerial *usb_serial(UsbDevice *usb)
{
    return container_of(usb, UsbSerial, usb);
}

static void tell(UsbSerial *s)
{
    if (s->usb.configuration) {
        usb_ready(&s->usb, ENDPOINT_IN);
    }
}

/* The char device. */

static size_t can_receive(void *opaque)
{
    const UsbSerial *s = opaque;

    return s->usb.configuration ? RECEIVE_BYTES - s->received_count : 0;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    UsbSerial *s = opaque;

    size = MIN(size, (size_t)(RECEIVE_BYTES - s->received_count));
    memcpy(s->received + s->received_count, data, size);
    s->received_count += (uint16_t)size;
    tell(s);
}

static void chardev_changed(void *opaque, ChardevEvent event)
{
    UsbSerial *s = opaque;

    s->break_seen |= event == CHARDEV_BREAK;
    s->news = 1; /* carrier has come or gone, or a break */
    tell(s);
}

/* Sends what is left of the packet; USB_PENDING: not all of it could be. */
static UsbStatus send_rest(UsbSerial *s, UsbPacket *packet)
{
    uint8_t bytes[512];

    while (packet->moved < packet->size) {
        uint32_t at = packet->moved, size = usb_packet_take(packet, bytes, sizeof bytes);
        size_t sent = console_write(s->chardev, bytes, size);

        if (sent < size) {
            packet->moved = at + (uint32_t)sent;
            return USB_PENDING;
        }
    }
    return USB_DONE;
}

static void can_write(void *opaque)
{
    UsbSerial *s = opaque;
    UsbPacket *packet = s->waiting;

    if (packet && send_rest(s, packet) == USB_DONE) {
        s->waiting = NULL;
        usb_packet_finish(packet, USB_DONE);
    }
}

/* The host. */

static void put_status(UsbSerial *s, uint8_t status[STATUS_BYTES])
{
    bool there = s->chardev && s->chardev->open;

    status[0] = MODEM_ALWAYS | MODEM_CTS | MODEM_DSR | (there ? MODEM_CD : 0);
    status[1] = LINE_EMPTY | (s->break_seen ? LINE_BREAK : 0);
    s->break_seen = s->news = 0;
}

/* As many of the bus's packets as fit, each with its status. */
static UsbStatus give(UsbSerial *s, UsbPacket *packet)
{
    uint32_t done = 0;

    if ((!s->received_count && !s->news) || packet->size < STATUS_BYTES) {
        return USB_NAK;
    }
    do {
        uint32_t size =
            MIN(s->received_count - done, MIN(PACKET, packet->size - packet->moved) - STATUS_BYTES);
        uint8_t status[STATUS_BYTES];

        put_status(s, status);
        usb_packet_put(packet, status, sizeof status);
        usb_packet_put(packet, s->received + done, size);
        done += size;
    } while (done < s->received_count && packet->size - packet->moved > STATUS_BYTES &&
             packet->moved % PACKET == 0);
    s->received_count -= (uint16_t)done;
    memmove(s->received, s->received + done, s->received_count);
    if (s->chardev) {
        chardev_accept_input(s->chardev);
    }
    return USB_DONE;
}

static UsbStatus serial_transfer(UsbDevice *usb, UsbPacket *packet)
{
    UsbSerial *s = usb_serial(usb);

    if (packet->token == USB_TOKEN_IN) {
        return give(s, packet);
    }
    if (s->waiting) {
        return USB_NAK;
    }
    if (send_rest(s, packet) == USB_PENDING) {
        s->waiting = packet;
        return USB_PENDING;
    }
    return USB_DONE;
}

static void serial_cancel(UsbDevice *usb, UsbPacket *packet)
{
    usb_serial(usb)->waiting = NULL;
}

static void reset_line(UsbSerial *s, unsigned what)
{
    if (what != RESET_SENT) {
        s->received_count = 0;
    }
    if (what == RESET_ALL) {
        s->flow = s->baud = s->data = 0;
        s->latency = LATENCY_MS;
        s->news = 1;
    }
}

static UsbStatus serial_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data,
                                uint32_t *length)
{
    UsbSerial *s = usb_serial(usb);

    switch (setup->type << 8 | setup->request) {
    case VENDOR_OUT << 8 | RESET:
        reset_line(s, setup->value);
        return USB_DONE;
    case VENDOR_OUT << 8 | SET_MODEM: {
        unsigned change = setup->value >> 8 & (MODEM_DTR | MODEM_RTS);

        s->modem_out = (uint8_t)((s->modem_out & ~change) | (setup->value & change));
        return USB_DONE;
    }
    case VENDOR_OUT << 8 | SET_FLOW:
        s->flow = setup->index;
        return USB_DONE;
    case VENDOR_OUT << 8 | SET_BAUD:
        s->baud = setup->value;
        return USB_DONE;
    case VENDOR_OUT << 8 | SET_DATA:
        s->data = setup->value;
        if (s->chardev && s->chardev->type->set_break) {
            s->chardev->type->set_break(s->chardev, setup->value & DATA_BREAK);
        }
        return USB_DONE;
    case VENDOR_OUT << 8 | SET_EVENT_CHARACTER:
    case VENDOR_OUT << 8 | SET_ERROR_CHARACTER:
        return USB_DONE;
    case VENDOR_OUT << 8 | SET_LATENCY:
        s->latency = (uint8_t)setup->value;
        return USB_DONE;
    case VENDOR_IN << 8 | GET_LATENCY:
        data[0] = s->latency;
        *length = MIN(*length, 1);
        return USB_DONE;
    case VENDOR_IN << 8 | GET_MODEM:
        put_status(s, data);
        *length = MIN(*length, STATUS_BYTES);
        return USB_DONE;
    }
    return USB_STALL;
}

/* Life. */

static void serial_reset(UsbDevice *usb)
{
    UsbSerial *s = usb_serial(usb);

    s->received_count = 0;
    memset(s->received, 0, sizeof s->received);
    s->modem_out = s->break_seen = 0;
    s->waiting = NULL;
    reset_line(s, RESET_ALL);
}

static void serial_configured(UsbDevice *usb)
{
    UsbSerial *s = usb_serial(usb);

    if (usb->configuration && s->chardev) {
        chardev_accept_input(s->chardev);
    }
}

static bool serial_realize(UsbDevice *usb, GError **error)
{
    static const ChardevFrontend frontend = {
        .can_receive = can_receive,
        .receive = receive,
        .event = chardev_changed,
        .can_write = can_write,
    };
    UsbSerial *s = usb_serial(usb);

    if (!s->chardev) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s has nowhere to write to: give chardev=ID of a -chardev",
                          usb->device.type->name);
    }
    return chardev_attach(s->chardev, &frontend, s, error);
}

static void serial_unrealize(UsbDevice *usb)
{
    chardev_detach(usb_serial(usb)->chardev, usb_serial(usb));
}

static const UsbInterface serial_interfaces[] = {
    { .class_code = 0xff,
      .subclass = 0xff,
      .protocol = 0xff,
      .endpoints =
          (const UsbEndpoint[]){
              { .address = ENDPOINT_IN, .attributes = 2, .packet = { [USB_FULL] = PACKET } },
              { .address = ENDPOINT_OUT, .attributes = 2, .packet = { [USB_FULL] = PACKET } } },
      .endpoint_count = 2 },
};

static const UsbDeviceType serial_type = {
    .vendor = 0x0403,
    .product = 0x6001,
    .release = 0x0400,
    .speeds = 1 << USB_FULL,
    .attributes = 0x80,
    .power_2ma = 50,
    .strings = { [USB_STRING_VENDOR] = "QEMU",
                 [USB_STRING_PRODUCT] = "QEMU USB SERIAL",
                 [USB_STRING_SERIAL] = "1" },
    .interfaces = serial_interfaces,
    .interface_count = 1,
    .name = "QEMU USB Serial",
    .realize = serial_realize,
    .unrealize = serial_unrealize,
    .reset = serial_reset,
    .configured = serial_configured,
    .control = serial_control,
    .transfer = serial_transfer,
    .cancel = serial_cancel,
};

static const DeviceType usb_serial_type = {
    .name = "usb-serial",
    .summary = "USB serial port (FTDI)",
    .category = "usb",
    .instance_size = sizeof(UsbSerial),
    .properties =
        (const Property[]){
            { "chardev", PROPERTY_CHARDEV, offsetof(UsbSerial, chardev), "the line's other end" },
            { "always-plugged", PROPERTY_BOOL, offsetof(UsbSerial, always_plugged),
              "accepted: it is always", "off" },
            USB_PROPERTIES(UsbSerial, usb),
            { 0 } },
    .state = (const StateField[]){ USB_STATE(UsbSerial, usb),
                                   STATE(UsbSerial, received),
                                   STATE_MOST(UsbSerial, received_count, RECEIVE_BYTES),
                                   STATE(UsbSerial, modem_out),
                                   STATE(UsbSerial, latency),
                                   STATE_MOST(UsbSerial, break_seen, 1),
                                   STATE_MOST(UsbSerial, news, 1),
                                   STATE(UsbSerial, flow),
                                   STATE(UsbSerial, baud),
                                   STATE(UsbSerial, data),
                                   STATE_DERIVED(UsbSerial, waiting),
                                   { 0 } },
    USB_DEVICE_HOOKS(&serial_type),
};
DEVICE_TYPE(usb_serial_type);
