/* SPDX-License-Identifier: MIT */
/* xHCI: root ports (4.19, 5.4.8). The registers of the super speed ports come first; each socket has one of either kind. */
#include "hw/usb/xhci.h"

enum {
    CONNECTED = 1 << 0,
    ENABLED = 1 << 1,
    RESET = 1 << 4,
    STATE_SHIFT = 5,
    STATE = 0xf << STATE_SHIFT,
    POWER = 1 << 9,
    SPEED_SHIFT = 10,
    SPEED = 0xf << SPEED_SHIFT,
    INDICATOR = 3 << 14,
    STATE_WRITE = 1 << 16,
    CONNECT_CHANGE = 1 << 17,
    ENABLE_CHANGE = 1 << 18,
    WARM_RESET_CHANGE = 1 << 19,
    RESET_CHANGE = 1 << 21,
    STATE_CHANGE = 1 << 22,
    CHANGES = 0x7f << 17,
    WAKE = 7 << 25,
    WARM_RESET = 1u << 31,

    LINK_U0 = 0,
    LINK_U3 = 3,
    LINK_RX_DETECT = 5,
    LINK_POLLING = 7,
    LINK_RESUME = 15,
};

UsbPort *xhci_port_socket(Xhci *xhci, unsigned number)
{
    if (number >= 1 && number <= xhci->p3) {
        return &xhci->ports[number - 1];
    }
    return number > xhci->p3 && number <= xhci_port_count(xhci)
               ? &xhci->ports[number - xhci->p3 - 1]
               : NULL;
}

static bool is_super(const Xhci *xhci, unsigned number)
{
    return number <= xhci->p3;
}

/* What is plugged in and speaks the register's protocol. */
static UsbDevice *device_at(Xhci *xhci, unsigned number)
{
    UsbDevice *usb = xhci_port_socket(xhci, number)->device;

    return usb && (usb->speed == USB_SUPER) == is_super(xhci, number) ? usb : NULL;
}

/* The register that a socket's device is seen in. */
static unsigned number_of(const Xhci *xhci, const UsbPort *port)
{
    return port->index + 1 + (port->device && port->device->speed == USB_SUPER ? 0 : xhci->p3);
}

static unsigned link_state(uint32_t portsc)
{
    return (portsc & STATE) >> STATE_SHIFT;
}

static void set_link_state(uint32_t *portsc, unsigned state)
{
    *portsc = (*portsc & ~(uint32_t)STATE) | state << STATE_SHIFT;
}

/* The first change after a quiet time is an event; more of them are seen with it. */
static void change(Xhci *xhci, unsigned number, uint32_t bits)
{
    uint32_t *portsc = &xhci->portsc[number - 1];
    bool news = bits & ~*portsc;

    *portsc |= bits;
    xhci->usbsts |= XHCI_STS_PORT;
    if (news && xhci_running(xhci)) {
        XhciTrb event = { (uint64_t)number << 24, CODE_SUCCESS << 24, TRB_PORT_EVENT << 10, 0 };

        xhci_post(xhci, 0, &event);
    }
}

static void update_socket(Xhci *xhci, unsigned number)
{
    UsbPort *port = xhci_port_socket(xhci, number);

    port->enabled = port->device && xhci->portsc[number_of(xhci, port) - 1] & ENABLED;
}

/* As it is found after a reset: a device of USB 3 trains its link by itself, others wait to be reset. */
static void connect(Xhci *xhci, unsigned number)
{
    static const uint8_t speeds[] = {
        [USB_FULL] = 1, [USB_LOW] = 2, [USB_HIGH] = 3, [USB_SUPER] = 4
    };
    uint32_t *portsc = &xhci->portsc[number - 1];
    const UsbDevice *usb = device_at(xhci, number);

    *portsc &= POWER | INDICATOR | WAKE | CHANGES;
    if (usb) {
        *portsc |= CONNECTED | (uint32_t)speeds[usb->speed] << SPEED_SHIFT |
                   (usb->speed == USB_SUPER ? ENABLED : 0);
        set_link_state(portsc, usb->speed == USB_SUPER ? LINK_U0 : LINK_POLLING);
    } else {
        set_link_state(portsc, LINK_RX_DETECT);
    }
    update_socket(xhci, number);
}

void xhci_port_reset(Xhci *xhci, unsigned number)
{
    xhci->portsc[number - 1] = POWER;
    connect(xhci, number);
    if (device_at(xhci, number)) {
        change(xhci, number, CONNECT_CHANGE);
    }
}

static void attached(UsbPort *port)
{
    Xhci *xhci = port->opaque;
    unsigned number = number_of(xhci, port);

    connect(xhci, number);
    change(xhci, number, CONNECT_CHANGE);
}

static void detached(UsbPort *port)
{
    Xhci *xhci = port->opaque;

    for (unsigned number = 1; number <= xhci_port_count(xhci); number++) {
        if (xhci_port_socket(xhci, number) == port && xhci->portsc[number - 1] & CONNECTED) {
            connect(xhci, number);
            change(xhci, number, CONNECT_CHANGE);
        }
    }
}

static void ready(UsbPort *port, UsbDevice *usb, uint8_t endpoint)
{
    Xhci *xhci = port->opaque;
    unsigned number = number_of(xhci, port);
    uint32_t *portsc = &xhci->portsc[number - 1];

    if (link_state(*portsc) == LINK_U3) {
        if (usb->wakeup_enabled) {
            set_link_state(portsc, LINK_RESUME);
            change(xhci, number, STATE_CHANGE);
        }
        return;
    }
    xhci_endpoint_ready(xhci, usb, endpoint);
}

static void reset_link(Xhci *xhci, unsigned number, bool warm)
{
    UsbDevice *usb = device_at(xhci, number);
    uint32_t *portsc = &xhci->portsc[number - 1];

    if (usb) {
        usb_device_bus_reset(usb);
        set_link_state(portsc, LINK_U0);
        *portsc |= ENABLED;
        update_socket(xhci, number);
    }
    change(xhci, number, RESET_CHANGE | (warm ? WARM_RESET_CHANGE : 0));
}

/* Only a few of the states can be written (table 5-27). */
static void write_link_state(Xhci *xhci, unsigned number, unsigned state)
{
    uint32_t *portsc = &xhci->portsc[number - 1];
    unsigned old = link_state(*portsc);

    if (!(*portsc & ENABLED)) {
        return;
    }
    switch (state) {
    case LINK_U0:
    case LINK_RESUME:
        set_link_state(portsc, state);
        if (state == LINK_U0 && old == LINK_U3) {
            change(xhci, number, STATE_CHANGE);
        }
        break;
    case LINK_U3:
        set_link_state(portsc, state);
        break;
    }
}

void xhci_port_write(Xhci *xhci, unsigned number, uint32_t value)
{
    uint32_t *portsc = &xhci->portsc[number - 1];

    *portsc &= ~(value & CHANGES);
    *portsc = (*portsc & ~(uint32_t)(INDICATOR | WAKE)) | (value & (INDICATOR | WAKE));
    if (value & WARM_RESET && is_super(xhci, number)) {
        reset_link(xhci, number, true);
        return;
    }
    if (value & RESET) {
        reset_link(xhci, number, false);
        return;
    }
    if (value & ENABLED && !is_super(xhci, number)) {
        *portsc &= ~(uint32_t)ENABLED;
        update_socket(xhci, number);
    }
    if (value & STATE_WRITE) {
        write_link_state(xhci, number, link_state(value));
    }
}

static const UsbPortOps port_ops = { .attached = attached, .detached = detached, .ready = ready };

void xhci_ports_init(Xhci *xhci)
{
    for (unsigned i = 0; i < MAX(xhci->p2, xhci->p3); i++) {
        unsigned speeds =
            (i < xhci->p2 ? USB_SPEEDS_2 : 0) | (i < xhci->p3 ? (unsigned)USB_SPEEDS_3 : 0);

        usb_port_init(&xhci->ports[i], &xhci->bus, NULL, i, speeds, &port_ops, xhci);
    }
}

void xhci_ports_free(Xhci *xhci)
{
    for (unsigned i = 0; i < MAX(xhci->p2, xhci->p3); i++) {
        usb_port_free(&xhci->ports[i]);
    }
}

void xhci_ports_loaded(Xhci *xhci)
{
    for (unsigned number = 1; number <= xhci_port_count(xhci); number++) {
        update_socket(xhci, number);
    }
}
