/* SPDX-License-Identifier: MIT */
/*
 * UHCI host controllers (Intel, Universal Host Controller Interface 1.1): the PIIX's, and ICH9's beside an EHCI that they take slower
 * devices from (masterbus=): registers, ports and the functions.
 *
 * Not modelled: resume by the hub, software debug.
 */
#include "hw/usb/uhci.h"

#include "base/bits.h"
#include "base/error.h"

enum {
    CLASS_UHCI = 0x0c0300,
    SERIAL_BUS_RELEASE = 0x60,
    LEGACY_SUPPORT = 0xc0,
    REGISTERS = 32,

    CMD_RESET = 1 << 1,
    CMD_GLOBAL_RESET = 1 << 2,
    CMD_CONFIGURED = 1 << 6,
    STS_RESUME = 1 << 2,
    STS_SYSTEM = 1 << 3,
    STS_PROCESS = 1 << 4,
    STS_HALTED = 1 << 5,
    INTR_ERROR = 1 << 0,
    INTR_RESUME = 1 << 1,
    INTR_COMPLETE = 1 << 2,
    INTR_SHORT = 1 << 3,

    PORT_CONNECTED = 1 << 0,
    PORT_CONNECT_CHANGE = 1 << 1,
    PORT_ENABLED = 1 << 2,
    PORT_ENABLE_CHANGE = 1 << 3,
    PORT_RESUME = 1 << 6,
    PORT_ALWAYS = 1 << 7,
    PORT_LOW_SPEED = 1 << 8,
    PORT_RESET = 1 << 9,
    PORT_SUSPENDED = 1 << 12,
    PORT_CHANGES = PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE,
    PORT_PLAIN = PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPENDED,
};

static Uhci *uhci_of(Device *device)
{
    return container_of(pci_device(device), Uhci, pci);
}

/* Interrupts. */

bool uhci_interrupts(const Uhci *u)
{
    return (u->cause & UHCI_CAUSE_COMPLETE && u->usbintr & INTR_COMPLETE) ||
           (u->cause & UHCI_CAUSE_SHORT && u->usbintr & INTR_SHORT) ||
           (u->usbsts & UHCI_STS_ERROR && u->usbintr & INTR_ERROR) ||
           (u->usbsts & STS_RESUME && u->usbintr & INTR_RESUME) ||
           u->usbsts & (STS_SYSTEM | STS_PROCESS);
}

void uhci_update_irq(Uhci *u)
{
    pci_set_irq(&u->pci, uhci_interrupts(u));
}

/* Ports. */

static void update_port(Uhci *u, unsigned index)
{
    u->ports[index].enabled = u->ports[index].device && u->portsc[index] & PORT_ENABLED;
}

static void show_connection(Uhci *u, unsigned index)
{
    const UsbDevice *usb = u->ports[index].device;
    uint16_t *portsc = &u->portsc[index];

    *portsc &= (uint16_t) ~(PORT_CONNECTED | PORT_LOW_SPEED);
    if (usb) {
        *portsc |= PORT_CONNECTED | (usb->speed == USB_LOW ? PORT_LOW_SPEED : 0);
    } else if (*portsc & PORT_ENABLED) {
        *portsc = (uint16_t)((*portsc & ~PORT_ENABLED) | PORT_ENABLE_CHANGE);
    }
    *portsc |= PORT_CONNECT_CHANGE;
    update_port(u, index);
}

static void resume(Uhci *u)
{
    u->usbsts |= STS_RESUME;
    uhci_update_irq(u);
}

static void port_changed(UsbPort *port)
{
    show_connection(port->opaque, port->index);
    resume(port->opaque);
}

static void ready(UsbPort *port, UsbDevice *usb, uint8_t endpoint)
{
    Uhci *u = port->opaque;
    uint16_t *portsc = &u->portsc[port->index];

    if (*portsc & PORT_SUSPENDED && !(*portsc & PORT_RESUME) && usb->wakeup_enabled) {
        *portsc |= PORT_RESUME;
        resume(u);
    }
    uhci_wake(u);
}

static const UsbPortOps port_ops = {
    .attached = port_changed,
    .detached = port_changed,
    .ready = ready,
};

static void reset_controller(Uhci *u)
{
    uhci_drop_all(u);
    timer_cancel(&u->timer);
    u->usbcmd = u->usbintr = u->frnum = 0;
    u->usbsts = STS_HALTED;
    u->flbase = 0;
    u->sofmod = 64;
    u->cause = 0;
    u->quiet = u->frame_count = u->isoch_left = 0;
    u->frame_ns = 0;
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        u->portsc[i] = PORT_ALWAYS;
        if (u->ports[i].device) {
            show_connection(u, i);
        }
        update_port(u, i);
    }
    uhci_update_irq(u);
}

/* Registers. */

static void write_usbcmd(Device *device, unsigned index, uint64_t value)
{
    Uhci *u = uhci_of(device);

    if (value & CMD_RESET) {
        reset_controller(u);
        return;
    }
    if (value & CMD_GLOBAL_RESET) {
        for (unsigned i = 0; i < UHCI_PORTS; i++) {
            if (u->ports[i].device) {
                usb_device_bus_reset(u->ports[i].device);
            }
        }
        reset_controller(u);
    }
    if (value & UHCI_CMD_RUN && !(u->usbcmd & UHCI_CMD_RUN)) {
        u->usbsts &= (uint16_t)~STS_HALTED;
        u->frame_ns = clock_now_ns(device->machine) + UHCI_FRAME_NS;
        timer_arm(&u->timer, u->frame_ns);
    } else if (!(value & UHCI_CMD_RUN)) {
        u->usbsts |= STS_HALTED;
        timer_cancel(&u->timer);
    }
    u->quiet = 0;
    u->usbcmd = value & 0xff;
}

static void write_usbsts(Device *device, unsigned index, uint64_t value)
{
    enum { CLEARED = 0x1f };
    Uhci *u = uhci_of(device);

    u->usbsts &= (uint16_t) ~(value & CLEARED);
    if (value & UHCI_STS_INTERRUPT) {
        u->cause = 0;
        if (u->isoch_left) {
            uhci_wake(u);
        }
    }
    uhci_update_irq(u);
}

static void write_usbintr(Device *device, unsigned index, uint64_t value)
{
    uhci_of(device)->usbintr = value & 0xf;
    uhci_update_irq(uhci_of(device));
}

static void write_frnum(Device *device, unsigned index, uint64_t value)
{
    if (!(uhci_of(device)->usbcmd & UHCI_CMD_RUN)) {
        uhci_of(device)->frnum = value & 0x7ff;
    }
}

static uint64_t read_frnum(Device *device, unsigned index)
{
    return uhci_frame(uhci_of(device));
}

static void write_portsc(Device *device, unsigned index, uint64_t value)
{
    Uhci *u = uhci_of(device);
    uint16_t *portsc = &u->portsc[index];
    UsbDevice *usb = u->ports[index].device;
    bool was_reset = *portsc & PORT_RESET;

    *portsc &= (uint16_t) ~(value & PORT_CHANGES);
    *portsc = (uint16_t)((*portsc & ~PORT_PLAIN) | (value & PORT_PLAIN));
    if (!usb) {
        *portsc &= (uint16_t)~PORT_ENABLED;
    }
    if (usb && value & PORT_RESET && !was_reset) {
        usb_device_bus_reset(usb);
    }
    if (*portsc & PORT_RESET) {
        *portsc &= (uint16_t)~PORT_ENABLED;
    }
    update_port(u, index);
    u->quiet = 0;
}

#define PLAIN(name) .field = offsetof(Uhci, name)
/* clang-format off */
static const Register registers[] = {
    { "USBCMD", 0x00, 2, REGISTER_RW, PLAIN(usbcmd), .write = write_usbcmd },
    { "USBSTS", 0x02, 2, REGISTER_RW, PLAIN(usbsts), .write = write_usbsts },
    { "USBINTR", 0x04, 2, REGISTER_RW, PLAIN(usbintr), .write = write_usbintr },
    { "FRNUM", 0x06, 2, REGISTER_RW, PLAIN(frnum), .read = read_frnum, .write = write_frnum },
    { "FLBASEADD", 0x08, 4, REGISTER_RW, PLAIN(flbase), .writable = 0xfffff000 },
    { "SOFMOD", 0x0c, 1, REGISTER_RW, PLAIN(sofmod), .writable = 0x7f },
    { "PORTSC", 0x10, 2, REGISTER_RW, .count = UHCI_PORTS, PLAIN(portsc), .write = write_portsc },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = {
    .name = "uhci",
    .size = REGISTERS,
    .registers = registers,
    .ports = true,
};

/* The functions. */

typedef struct {
    uint16_t device;
    uint8_t revision, pin;
} UhciModel;

/* NULL: there is no bus of that name that has companions, or there is none any more. */
static UsbBus *master_of(const Uhci *u)
{
    Bus *bus = bus_find(u->pci.device.machine, u->masterbus);
    UsbBus *master = bus && bus->type == &usb_bus_type ? container_of(bus, UsbBus, bus) : NULL;

    return master && master->add_companion ? master : NULL;
}

static bool join_master(Uhci *u, GError **error)
{
    UsbBus *master = master_of(u);

    if (!master) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s: masterbus=%s: there is no EHCI's bus of that name", u->pci.device.id,
                          u->masterbus);
    }
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        u->ports[i] =
            (UsbPort){ .ops = &port_ops, .opaque = u, .index = i, .speeds = USB_SPEEDS_1 };
    }
    return master->add_companion(master, u->ports, UHCI_PORTS, u->firstport, error);
}

static bool uhci_realize(Device *device, GError **error)
{
    const UhciModel *model = device->type->class_data;
    Uhci *u = uhci_of(device);

    if (u->masterbus && !join_master(u, error)) {
        return false;
    }
    pci_set_identity(&u->pci, 0x8086, model->device, CLASS_UHCI, model->revision);
    pci_set_interrupt_pin(&u->pci, model->pin);
    u->pci.config[SERIAL_BUS_RELEASE] = 0x10;
    store_le16(u->pci.config + LEGACY_SUPPORT, 0x2000);
    store_le16(u->pci.writable + LEGACY_SUPPORT, 0x00bf);
    register_bank_init(device, &u->registers, &bank);
    pci_add_bar(&u->pci, 4, PCI_BAR_IO, false, &u->registers);
    timer_init(&u->timer, device->machine, uhci_run_frames, u);
    if (!u->masterbus) {
        usb_bus_init(&u->bus, device);
        for (unsigned i = 0; i < UHCI_PORTS; i++) {
            usb_port_init(&u->ports[i], &u->bus, NULL, i, USB_SPEEDS_1, &port_ops, u);
        }
    }
    return true;
}

static void uhci_unrealize(Device *device)
{
    Uhci *u = uhci_of(device);

    uhci_drop_all(u);
    timer_cancel(&u->timer);
    if (!u->masterbus) {
        for (unsigned i = 0; i < UHCI_PORTS; i++) {
            usb_port_free(&u->ports[i]);
        }
        usb_bus_free(&u->bus);
    } else if (master_of(u)) {
        master_of(u)->remove_companion(master_of(u), u->ports, UHCI_PORTS);
    }
}

static void uhci_reset(Device *device)
{
    pci_reset(pci_device(device));
    reset_controller(uhci_of(device));
}

static void uhci_state_loaded(Device *device)
{
    Uhci *u = uhci_of(device);

    pci_state_loaded(&u->pci);
    uhci_drop_all(u);
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        update_port(u, i);
    }
    uhci_update_irq(u);
}

static const StateField uhci_state[] = {
    PCI_STATE(Uhci, pci),
    STATE_TIMER(Uhci, timer),
    STATE(Uhci, usbcmd),
    STATE(Uhci, usbsts),
    STATE(Uhci, usbintr),
    STATE_MOST(Uhci, frnum, 0x7ff),
    STATE(Uhci, flbase),
    STATE(Uhci, sofmod),
    STATE(Uhci, cause),
    STATE(Uhci, portsc),
    STATE(Uhci, frame_ns),
    STATE(Uhci, quiet),
    STATE(Uhci, frame_count),
    STATE(Uhci, isoch_left),
    STATE_DERIVED(Uhci, pace_ns),
    STATE_DERIVED(Uhci, ports),
    STATE_DERIVED(Uhci, pending),
    STATE_DERIVED(Uhci, pending_count),
    { 0 },
};

#define UHCI_PROPERTIES                                                                            \
    { "bandwidth", PROPERTY_U32, offsetof(Uhci, bandwidth), "bytes that a frame moves at most",    \
      "16384" },                                                                                   \
    {                                                                                              \
        "maxframes", PROPERTY_U32, offsetof(Uhci, maxframes), "accepted; has no effect", "128"     \
    }

static const Property uhci_properties[] = { UHCI_PROPERTIES, { 0 } };
static const Property companion_properties[] = {
    UHCI_PROPERTIES,
    { "masterbus", PROPERTY_STRING, offsetof(Uhci, masterbus),
      "the EHCI's bus, whose slower devices it takes" },
    { "firstport", PROPERTY_U32, offsetof(Uhci, firstport), "of that bus, from 0", "0" },
    { 0 },
};

#define UHCI_TYPE(symbol, name_, summary_, properties_, device_, revision_, pin_)                  \
    static const DeviceType symbol = {                                                             \
        .name = name_,                                                                             \
        .summary = summary_,                                                                       \
        .bus = "pci",                                                                              \
        .category = "usb",                                                                         \
        .instance_size = sizeof(Uhci),                                                             \
        .properties = properties_,                                                                 \
        .bus_properties = (const Property[]){ PCI_PROPERTIES(Uhci, pci), { 0 } },                  \
        .state = uhci_state,                                                                       \
        .class_data = &(const UhciModel){ device_, revision_, pin_ },                              \
        .realize = uhci_realize,                                                                   \
        .unrealize = uhci_unrealize,                                                               \
        .reset = uhci_reset,                                                                       \
        .state_loaded = uhci_state_loaded,                                                         \
    };                                                                                             \
    DEVICE_TYPE(symbol)

UHCI_TYPE(piix3_usb_uhci, "piix3-usb-uhci", "USB 1 host controller of the PIIX3", uhci_properties,
          0x7020, 1, 4);
UHCI_TYPE(piix4_usb_uhci, "piix4-usb-uhci", "USB 1 host controller of the PIIX4", uhci_properties,
          0x7112, 1, 4);
UHCI_TYPE(ich9_usb_uhci1, "ich9-usb-uhci1", "USB 1 host controller of the ICH9, first",
          companion_properties, 0x2934, 3, 1);
UHCI_TYPE(ich9_usb_uhci2, "ich9-usb-uhci2", "USB 1 host controller of the ICH9, second",
          companion_properties, 0x2935, 3, 2);
UHCI_TYPE(ich9_usb_uhci3, "ich9-usb-uhci3", "USB 1 host controller of the ICH9, third",
          companion_properties, 0x2936, 3, 3);
UHCI_TYPE(ich9_usb_uhci4, "ich9-usb-uhci4", "USB 1 host controller of the ICH9, fourth",
          companion_properties, 0x2937, 3, 1);
UHCI_TYPE(ich9_usb_uhci5, "ich9-usb-uhci5", "USB 1 host controller of the ICH9, fifth",
          companion_properties, 0x2938, 3, 2);
UHCI_TYPE(ich9_usb_uhci6, "ich9-usb-uhci6", "USB 1 host controller of the ICH9, sixth",
          companion_properties, 0x2939, 3, 3);
