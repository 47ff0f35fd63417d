/* SPDX-License-Identifier: MIT */
/*
 * EHCI host controllers: registers, ports and their PCI functions. Ports whose devices are too slow go to companions (UHCI), which have
 * registered for them.
 */
#include "hw/usb/ehci.h"

#include "base/bits.h"
#include "base/error.h"

enum {
    CLASS_EHCI = 0x0c0320,
    SERIAL_BUS_RELEASE = 0x60,
    FRAME_ADJUSTMENT = 0x61,
    BAR_SIZE = 0x1000,
    OPERATIONAL = 0x20,

    CONNECTED = 1 << 0,
    CONNECT_CHANGE = 1 << 1,
    ENABLED = 1 << 2,
    ENABLE_CHANGE = 1 << 3,
    OVERCURRENT_CHANGE = 1 << 5,
    RESUME = 1 << 6,
    SUSPENDED = 1 << 7,
    RESET = 1 << 8,
    LINE_K = 1 << 10,
    POWER = 1 << 12,
    OWNER = 1 << 13, /* a companion's */
    CHANGES = CONNECT_CHANGE | ENABLE_CHANGE | OVERCURRENT_CHANGE,
    PLAIN_BITS = RESUME | SUSPENDED | 3 << 14 | 0xf << 16 | 7 << 20, /* indicators, tests, wake */
};

static Ehci *ehci_of(Device *device)
{
    return container_of(pci_device(device), Ehci, pci);
}

bool ehci_read(Ehci *e, uint32_t address, uint32_t *words, unsigned count)
{
    uint8_t bytes[64];

    if (!pci_bus_master_enabled(&e->pci) ||
        address_space_read_bytes(&e->pci.device.machine->memory_space, address, bytes, 4 * count,
                                 pci_dma_attributes(&e->pci)) != MEMORY_OK) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        words[i] = load_le32(bytes + 4 * i);
    }
    return true;
}

void ehci_write(Ehci *e, uint32_t address, const uint32_t *words, unsigned count)
{
    uint8_t bytes[64];

    for (unsigned i = 0; i < count; i++) {
        store_le32(bytes + 4 * i, words[i]);
    }
    address_space_write_bytes(&e->pci.device.machine->memory_space, address, bytes, 4 * count,
                              pci_dma_attributes(&e->pci));
}

void ehci_update_irq(Ehci *e)
{
    pci_set_irq(&e->pci, e->usbsts & e->usbintr & EHCI_STS_CAUSES);
}

void ehci_wake(Ehci *e)
{
    e->quiet = 0;
    if (e->usbcmd & EHCI_CMD_RUN) {
        timer_arm(&e->timer, clock_now_ns(e->pci.device.machine));
    }
}

/* Ports. */

UsbDevice *ehci_find_device(Ehci *e, uint8_t address)
{
    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        UsbDevice *usb = usb_port_find(&e->ports[i], address);

        if (usb) {
            return usb;
        }
    }
    return NULL;
}

static bool is_companions(const Ehci *e, unsigned index)
{
    return e->portsc[index] & OWNER && e->companions[index];
}

static void update_port(Ehci *e, unsigned index)
{
    e->ports[index].enabled =
        e->ports[index].device && e->portsc[index] & ENABLED && !is_companions(e, index);
}

static void port_event(Ehci *e, unsigned index, uint32_t changes)
{
    e->portsc[index] |= changes;
    e->usbsts |= EHCI_STS_PORT;
    ehci_update_irq(e);
}

/* Shows a device, or that it has gone, to whoever the port belongs to. */
static void connect(Ehci *e, unsigned index)
{
    UsbDevice *usb = e->ports[index].device;
    UsbPort *companion = e->companions[index];

    if (is_companions(e, index)) {
        usb_device_choose_speed(usb, USB_SPEEDS_1);
        companion->device = usb;
        companion->ops->attached(companion);
        return;
    }
    usb_device_choose_speed(usb, e->ports[index].speeds);
    e->portsc[index] |= CONNECTED | (usb->speed == USB_LOW ? LINE_K : 0);
    port_event(e, index, CONNECT_CHANGE);
}

static void disconnect(Ehci *e, unsigned index)
{
    UsbPort *companion = e->companions[index];

    if (is_companions(e, index) && companion->device) {
        companion->device = NULL;
        companion->ops->detached(companion);
        return;
    }
    if (e->portsc[index] & CONNECTED) {
        uint32_t changes = CONNECT_CHANGE | (e->portsc[index] & ENABLED ? ENABLE_CHANGE : 0);

        e->portsc[index] &= ~(uint32_t)(CONNECTED | ENABLED | LINE_K | SUSPENDED | RESUME);
        update_port(e, index);
        port_event(e, index, changes);
    }
}

static void attached(UsbPort *port)
{
    connect(port->opaque, port->index);
}

/* A port that was a companion's is ours again when its device has gone (4.2.2). */
static void detached(UsbPort *port)
{
    Ehci *e = port->opaque;

    disconnect(e, port->index);
    if (e->configflag & 1) {
        e->portsc[port->index] &= ~(uint32_t)OWNER;
    }
}

static void ready(UsbPort *port, UsbDevice *usb, uint8_t endpoint)
{
    Ehci *e = port->opaque;
    unsigned index = port->index;

    if (is_companions(e, index)) {
        e->companions[index]->ops->ready(e->companions[index], usb, endpoint);
        return;
    }
    if (e->portsc[index] & SUSPENDED && !(e->portsc[index] & RESUME) && usb->wakeup_enabled) {
        e->portsc[index] |= RESUME;
        port_event(e, index, 0);
    }
    ehci_wake(e);
}

static const UsbPortOps port_ops = { .attached = attached, .detached = detached, .ready = ready };

static void set_owner(Ehci *e, unsigned index, bool companion)
{
    bool now = e->portsc[index] & OWNER;
    bool there = e->ports[index].device;

    if (now == companion || !e->companions[index]) {
        return;
    }
    if (there) {
        disconnect(e, index);
    }
    e->portsc[index] ^= OWNER;
    if (there) {
        connect(e, index);
    }
}

static bool add_companion(UsbBus *bus, UsbPort *ports, unsigned count, unsigned first,
                          GError **error)
{
    Ehci *e = container_of(bus, Ehci, bus);

    if (first + count > EHCI_PORTS || first > EHCI_PORTS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "firstport=%u: bus '%s' has %d ports, from 0, and the companion %u",
                          first, bus->bus.name, EHCI_PORTS, count);
    }
    for (unsigned i = 0; i < count; i++) {
        if (e->companions[first + i]) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "firstport=%u: port %u of bus '%s' has a companion already", first,
                              first + i, bus->bus.name);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        e->companions[first + i] = &ports[i];
        e->ports[first + i].speeds |= USB_SPEEDS_1;
        e->portsc[first + i] |= OWNER;
    }
    e->companion_count++;
    return true;
}

static void remove_companion(UsbBus *bus, const UsbPort *ports, unsigned count)
{
    Ehci *e = container_of(bus, Ehci, bus);

    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        if (e->companions[i] >= ports && e->companions[i] < ports + count) {
            e->companions[i]->device = NULL;
            e->companions[i] = NULL;
            e->ports[i].speeds &= ~(unsigned)USB_SPEEDS_1;
            e->portsc[i] &= ~(uint32_t)OWNER;
        }
    }
    e->companion_count--;
}

/* Registers. */

static void reset_controller(Ehci *e)
{
    ehci_drop_all(e);
    timer_cancel(&e->timer);
    e->usbcmd = 0x00080000; /* interrupts after eight microframes at the most */
    e->usbsts = EHCI_STS_HALTED;
    e->usbintr = e->frindex = e->segment = e->periodic_base = e->async_address = 0;
    e->configflag = 0;
    e->frame_ns = 0;
    e->quiet = e->pass = e->isoch_left = 0;
    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        UsbPort *companion = e->companions[i];
        bool moves = companion && !companion->device && e->ports[i].device;

        e->portsc[i] = POWER | (companion ? OWNER : 0);
        update_port(e, i);
        if (e->ports[i].device && (moves || !companion)) {
            connect(e, i);
        }
    }
    ehci_update_irq(e);
}

static uint64_t read_capability(Device *device, unsigned index)
{
    const Ehci *e = ehci_of(device);
    unsigned companions = e->companion_count;
    const uint32_t values[] = {
        0x0100 << 16 | OPERATIONAL, EHCI_PORTS | companions << 12 | (companions ? 2u << 8 : 0),
        0x80, /* a frame may be cached; no 64-bit addresses */
    };

    return values[index];
}

static void write_usbcmd(Device *device, unsigned index, uint64_t value)
{
    enum { SCHEDULES = EHCI_STS_PERIODIC | EHCI_STS_ASYNC };
    Ehci *e = ehci_of(device);
    bool was_running = e->usbcmd & EHCI_CMD_RUN;

    if (value & EHCI_CMD_RESET) {
        reset_controller(e);
        return;
    }
    e->usbcmd = (uint32_t)value & 0x00ff0b7f;
    if (value & EHCI_CMD_RUN) {
        e->usbsts &= ~(uint32_t)EHCI_STS_HALTED;
        if (!was_running) {
            e->frame_ns = clock_now_ns(device->machine) + INT64_C(1000000);
        }
    } else {
        e->usbsts |= EHCI_STS_HALTED;
        timer_cancel(&e->timer);
    }
    if (!(value & EHCI_CMD_ASYNC) && !(value & EHCI_CMD_PERIODIC)) {
        ehci_drop_all(e); /* what devices had is the driver's memory again */
    }
    e->usbsts &= ~(uint32_t)SCHEDULES;
    if (value & EHCI_CMD_RUN) {
        e->usbsts |= (value & EHCI_CMD_PERIODIC ? EHCI_STS_PERIODIC : 0) |
                     (value & EHCI_CMD_ASYNC ? EHCI_STS_ASYNC : 0);
    }
    ehci_wake(e);
}

static void write_usbsts(Device *device, unsigned index, uint64_t value)
{
    Ehci *e = ehci_of(device);

    e->usbsts &= ~(uint32_t)(value & EHCI_STS_CAUSES);
    ehci_update_irq(e);
    if (e->quiet > 8) {
        e->quiet = 8; /* an interrupt was served: the driver may go on */
    }
}

static void write_usbintr(Device *device, unsigned index, uint64_t value)
{
    ehci_of(device)->usbintr = value & EHCI_STS_CAUSES;
    ehci_update_irq(ehci_of(device));
}

static uint64_t read_frindex(Device *device, unsigned index)
{
    return ehci_microframe(ehci_of(device));
}

static void write_frindex(Device *device, unsigned index, uint64_t value)
{
    if (!(ehci_of(device)->usbcmd & EHCI_CMD_RUN)) {
        ehci_of(device)->frindex = value & 0x3fff;
    }
}

/* With the flag set, ports are ours until they are given away one by one. */
static void write_configflag(Device *device, unsigned index, uint64_t value)
{
    Ehci *e = ehci_of(device);

    e->configflag = value & 1;
    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        set_owner(e, i, !e->configflag);
    }
}

static void end_port_reset(Ehci *e, unsigned index)
{
    UsbDevice *usb = e->ports[index].device;

    if (usb && !is_companions(e, index)) {
        usb_device_bus_reset(usb);
        e->portsc[index] &= ~(uint32_t)(CONNECT_CHANGE | SUSPENDED | RESUME);
        e->portsc[index] |= usb->speed == USB_HIGH ? ENABLED : 0;
    }
    update_port(e, index);
}

static void write_portsc(Device *device, unsigned index, uint64_t value)
{
    Ehci *e = ehci_of(device);
    uint32_t *portsc = &e->portsc[index];
    bool was_reset = *portsc & RESET, resumed = *portsc & RESUME && !(value & RESUME);

    *portsc &= ~(uint32_t)(value & CHANGES);
    set_owner(e, index, value & OWNER);
    *portsc =
        (*portsc & ~(uint32_t)(PLAIN_BITS | RESET)) | (uint32_t)(value & (PLAIN_BITS | RESET));
    if (resumed) {
        *portsc &= ~(uint32_t)SUSPENDED;
    }
    if (value & RESET || !(value & ENABLED)) {
        *portsc &= ~(uint32_t)ENABLED;
    }
    update_port(e, index);
    if (was_reset && !(value & RESET)) {
        end_port_reset(e, index);
    }
    ehci_wake(e);
}

#define PLAIN(name) .field = offsetof(Ehci, name)
/* clang-format off */
static const Register registers[] = {
    { "CAPABILITY", 0x00, 4, REGISTER_R, .count = 3, .field = REGISTER_NO_FIELD, .read = read_capability,
      .summary = "CAPLENGTH, HCSPARAMS, HCCPARAMS" },
    { "USBCMD", 0x20, 4, REGISTER_RW, PLAIN(usbcmd), .write = write_usbcmd },
    { "USBSTS", 0x24, 4, REGISTER_RW, PLAIN(usbsts), .write = write_usbsts },
    { "USBINTR", 0x28, 4, REGISTER_RW, PLAIN(usbintr), .write = write_usbintr },
    { "FRINDEX", 0x2c, 4, REGISTER_RW, PLAIN(frindex), .read = read_frindex, .write = write_frindex },
    { "CTRLDSSEGMENT", 0x30, 4, REGISTER_RW, PLAIN(segment), .summary = "no effect: addresses have 32 bits" },
    { "PERIODICLISTBASE", 0x34, 4, REGISTER_RW, PLAIN(periodic_base), .writable = 0xfffff000 },
    { "ASYNCLISTADDR", 0x38, 4, REGISTER_RW, PLAIN(async_address), .writable = 0xffffffe0 },
    { "CONFIGFLAG", 0x60, 4, REGISTER_RW, PLAIN(configflag), .write = write_configflag },
    { "PORTSC", 0x64, 4, REGISTER_RW, .count = EHCI_PORTS, PLAIN(portsc), .write = write_portsc },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = { .name = "ehci", .size = BAR_SIZE, .registers = registers };

/* The functions. */

typedef struct {
    uint16_t device;
    uint8_t revision, pin;
} EhciModel;

static bool ehci_realize(Device *device, GError **error)
{
    const EhciModel *model = device->type->class_data;
    Ehci *e = ehci_of(device);

    pci_set_identity(&e->pci, 0x8086, model->device, CLASS_EHCI, model->revision);
    pci_set_interrupt_pin(&e->pci, model->pin);
    e->pci.config[SERIAL_BUS_RELEASE] = 0x20;
    e->pci.config[FRAME_ADJUSTMENT] = 0x20;
    register_bank_init(device, &e->registers, &bank);
    pci_add_bar(&e->pci, 0, PCI_BAR_MEMORY32, false, &e->registers);
    timer_init(&e->timer, device->machine, ehci_run, e);
    usb_bus_init(&e->bus, device);
    e->bus.add_companion = add_companion;
    e->bus.remove_companion = remove_companion;
    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        usb_port_init(&e->ports[i], &e->bus, NULL, i, 1 << USB_HIGH, &port_ops, e);
    }
    return true;
}

static void ehci_unrealize(Device *device)
{
    Ehci *e = ehci_of(device);

    ehci_drop_all(e);
    timer_cancel(&e->timer);
    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        usb_port_free(&e->ports[i]);
    }
    usb_bus_free(&e->bus);
}

static void ehci_reset(Device *device)
{
    pci_reset(pci_device(device));
    reset_controller(ehci_of(device));
}

static void ehci_state_loaded(Device *device)
{
    Ehci *e = ehci_of(device);

    pci_state_loaded(&e->pci);
    ehci_drop_all(e);
    for (unsigned i = 0; i < EHCI_PORTS; i++) {
        UsbDevice *usb = e->ports[i].device;

        if (e->companions[i]) {
            e->companions[i]->device = is_companions(e, i) ? usb : NULL;
        }
        if (usb) {
            usb_device_choose_speed(usb, is_companions(e, i) ? (unsigned)USB_SPEEDS_1
                                                             : e->ports[i].speeds);
        }
        update_port(e, i);
    }
    ehci_update_irq(e);
}

static const StateField ehci_state[] = {
    PCI_STATE(Ehci, pci),
    STATE_TIMER(Ehci, timer),
    STATE(Ehci, usbcmd),
    STATE(Ehci, usbsts),
    STATE(Ehci, usbintr),
    STATE_MOST(Ehci, frindex, 0x3fff),
    STATE(Ehci, segment),
    STATE(Ehci, periodic_base),
    STATE(Ehci, async_address),
    STATE_MOST(Ehci, configflag, 1),
    STATE(Ehci, portsc),
    STATE(Ehci, frame_ns),
    STATE(Ehci, quiet),
    STATE(Ehci, pass),
    STATE(Ehci, isoch_left),
    STATE_DERIVED(Ehci, pace_ns),
    STATE_DERIVED(Ehci, in_frames),
    STATE_DERIVED(Ehci, ports),
    STATE_DERIVED(Ehci, pending),
    STATE_DERIVED(Ehci, pending_count),
    { 0 },
};

static const Property ehci_properties[] = {
    { "maxframes", PROPERTY_U32, offsetof(Ehci, maxframes), "accepted; has no effect", "128" },
    { 0 },
};

#define EHCI_TYPE(symbol, name_, summary_, device_, revision_, pin_)                               \
    static const DeviceType symbol = {                                                             \
        .name = name_,                                                                             \
        .summary = summary_,                                                                       \
        .bus = "pci",                                                                              \
        .category = "usb",                                                                         \
        .instance_size = sizeof(Ehci),                                                             \
        .properties = ehci_properties,                                                             \
        .bus_properties = (const Property[]){ PCI_PROPERTIES(Ehci, pci), { 0 } },                  \
        .state = ehci_state,                                                                       \
        .class_data = &(const EhciModel){ device_, revision_, pin_ },                              \
        .realize = ehci_realize,                                                                   \
        .unrealize = ehci_unrealize,                                                               \
        .reset = ehci_reset,                                                                       \
        .state_loaded = ehci_state_loaded,                                                         \
    };                                                                                             \
    DEVICE_TYPE(symbol)

EHCI_TYPE(usb_ehci, "usb-ehci", "USB 2 host controller", 0x24cd, 0x10, 4);
EHCI_TYPE(ich9_usb_ehci1, "ich9-usb-ehci1", "USB 2 host controller of the ICH9, first", 0x293a, 3,
          4);
EHCI_TYPE(ich9_usb_ehci2, "ich9-usb-ehci2", "USB 2 host controller of the ICH9, second", 0x293c, 3,
          4);
