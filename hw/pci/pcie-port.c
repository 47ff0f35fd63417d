/* SPDX-License-Identifier: MIT */
/*
 * Ports of PCI Express (Base 5.0, 7.5.3): root ports and the ports of a switch. What has a slot is told of devices that come and go by the
 * slot's own registers (6.7): a device is there, a button asks for it, the guest powers the slot down and has let it go.
 *
 * Not modelled: power management events, error reporting, power that fails, latches.
 */
#include "base/error.h"
#include "hw/pci/bridge.h"
#include "machine/machine.h"

/* Offsets in the capability. */
enum {
    PCIE_FLAGS = 0x02,
    LINK_CAPABILITIES = 0x0c,
    LINK_STATUS = 0x12,
    LINK_CAPABILITIES_2 = 0x2c,
    LINK_CONTROL_2 = 0x30,
    SLOT_CAPABILITIES = 0x14,
    SLOT_CONTROL = 0x18,
    SLOT_STATUS = 0x1a,
    ROOT_CONTROL = 0x1c,

    FLAGS_SLOT = 1 << 8,
    LINK_SPEED_AND_WIDTH = 0x3ff,
    LINK_WIDTH_SHIFT = 4,
    LINK_REPORTS_ACTIVE = 1 << 20,
    LINK_ACTIVE = 1 << 13,
    ROOT_CONTROL_WRITABLE = 0x1f,
};
/* Button, power controller, both indicators, surprise, hot plug. */
enum { SLOT_HOTPLUG = 0x7b, SLOT_NUMBER_SHIFT = 19, SLOT_NUMBER_MOST = 0x1fff };
enum {
    CONTROL_INTERRUPT = 1 << 5,
    CONTROL_ATTENTION_OFF = 3 << 6,
    CONTROL_INDICATOR = 3 << 8,
    CONTROL_INDICATOR_ON = 1 << 8,
    CONTROL_INDICATOR_BLINKS = 2 << 8,
    CONTROL_INDICATOR_OFF = 3 << 8,
    CONTROL_POWER_OFF = 1 << 10,
    CONTROL_LINK = 1 << 12,
    CONTROL_WRITABLE = 0x17ff,
};
/* Events have the enables of the same bits in the control register; but for the link's. */
enum {
    EVENT_BUTTON = 1 << 0,
    EVENT_PRESENCE = 1 << 3,
    EVENT_COMMAND = 1 << 4,
    EVENT_LINK = 1 << 8,
    EVENTS = EVENT_BUTTON | 1 << 1 | 1 << 2 | EVENT_PRESENCE | EVENT_COMMAND | EVENT_LINK,
    EVENTS_LIKE_ENABLES = 0x1f,
    STATUS_PRESENT = 1 << 6,
};

typedef struct {
    PciBridge bridge;
    unsigned express; /* offset of the capability */
    uint16_t events;  /* of the slot, until the guest clears them */
    bool interrupted; /* an enabled event was there */
    bool wanted;      /* the monitor wants the device back */
    bool let_go;      /* the guest has let it go, until the main loop removes it */
    /* Properties. */
    uint8_t port, chassis;
    uint16_t slot;
    uint64_t io_reserve, mem_reserve, pref32_reserve, pref64_reserve;
    uint32_t bus_reserve;
    bool hotplug, power_controller;
    char *speed;   /* the fastest link, in GT/s; NULL: types that have no such property */
    uint8_t width; /* the widest one */
} PciePort;

/* class_data of the types. */
typedef struct {
    PciBridgeKind bridge;
    unsigned express; /* PCIE_TYPE_… */
} PciePortKind;

static PciePort *pcie_port(Device *device)
{
    return container_of(device, PciePort, bridge.pci.device);
}

static bool has_slot(const PciePort *port)
{
    const PciePortKind *kind = port->bridge.pci.device.type->class_data;

    return kind->express != PCIE_TYPE_UPSTREAM;
}

static bool is_present(const PciePort *port)
{
    return port->bridge.secondary.functions[0] != NULL;
}

static uint8_t *capability(PciePort *port)
{
    return port->bridge.pci.config + port->express;
}

/* --- what the slot tells --- */

static void update_interrupt(PciePort *port)
{
    uint16_t control = load_le16(capability(port) + SLOT_CONTROL);
    bool due = port->events & control & EVENTS_LIKE_ENABLES ||
               (port->events & EVENT_LINK && control & CONTROL_LINK);
    bool level = due && control & CONTROL_INTERRUPT;

    if (level && !port->interrupted) {
        port->interrupted = true; /* before the message, which may reach these registers */
        pci_msi_notify(&port->bridge.pci);
    }
    port->interrupted = level;
    pci_set_irq(&port->bridge.pci, level && !pci_msi_enabled(&port->bridge.pci));
}

static void update_slot(PciePort *port)
{
    uint8_t *registers = capability(port);
    uint16_t link = load_le16(registers + LINK_STATUS);
    bool present = is_present(port);

    if (!has_slot(port)) {
        return;
    }
    store_le16(registers + SLOT_STATUS, port->events | (present ? STATUS_PRESENT : 0));
    store_le16(registers + LINK_STATUS,
               present ? link | LINK_ACTIVE : link & (uint16_t)~LINK_ACTIVE);
    update_interrupt(port);
}

static void raise_events(PciePort *port, uint16_t events)
{
    port->events |= events;
    update_slot(port);
}

/* --- plugging --- */

static bool may_plug(void *opaque, PciDevice *pci, GError **error)
{
    PciePort *port = opaque;

    return port->hotplug ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "Bus '%s' does not support hotplugging: its port has hotplug=off",
                      port->bridge.secondary.bus.name);
}

/* A slot is told of when its first function is there. */
static void plugged(void *opaque, PciDevice *pci)
{
    if (pci->devfn == 0) {
        raise_events(opaque, EVENT_PRESENCE | EVENT_LINK);
    }
}

/* In the main loop, where drives can be waited for. */
static void empty_slot(void *opaque)
{
    PciePort *port = opaque;

    if (port->let_go) {
        pci_bus_clear_slot(&port->bridge.secondary, 0);
        port->let_go = port->wanted = false;
        raise_events(port, EVENT_PRESENCE | EVENT_LINK);
    }
}

static void let_go(PciePort *port)
{
    if (!port->let_go) {
        port->let_go = true;
        machine_defer(port->bridge.pci.device.machine, empty_slot, port);
    }
}

static bool unplug(void *opaque, PciDevice *pci, GError **error)
{
    PciePort *port = opaque;
    uint16_t control = load_le16(capability(port) + SLOT_CONTROL);

    if (!may_plug(opaque, pci, error)) {
        return false;
    }
    if (port->let_go || (control & CONTROL_INDICATOR) == CONTROL_INDICATOR_BLINKS) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Device %s is already in the process of unplug", pci->device.id);
    }
    port->wanted = true;
    if (control & CONTROL_POWER_OFF) {
        let_go(port); /* no driver uses it */
    } else {
        raise_events(port, EVENT_BUTTON);
    }
    return true;
}

static const PciHotplug hotplug = { .may_plug = may_plug, .plugged = plugged, .unplug = unplug };

/* --- registers --- */

/* A slot that is powered down, with its indicator off, may be emptied; before, software may still have use for the device. */
static bool is_off(uint16_t control)
{
    return control & CONTROL_POWER_OFF && (control & CONTROL_INDICATOR) == CONTROL_INDICATOR_OFF;
}

static void control_written(PciePort *port)
{
    if (is_off(load_le16(capability(port) + SLOT_CONTROL)) && is_present(port) && port->wanted) {
        let_go(port);
    }
    raise_events(port, EVENT_COMMAND);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    PciePort *port = pcie_port(&pci->device);
    unsigned control = port->express + SLOT_CONTROL, status = port->express + SLOT_STATUS;

    pci_bridge_config_written(pci, offset, size);
    if (!has_slot(port)) {
        return;
    }
    if (offset < status + 2 && offset + size > status) {
        /* Bits that are not part of the write have their old value: 1 only if nobody has cleared them. */
        uint16_t written = load_le16(pci->config + status);

        written &= offset <= status ? UINT16_MAX : 0xff00;
        written &= offset + size >= status + 2 ? UINT16_MAX : 0x00ff;
        port->events &= (uint16_t) ~(written & EVENTS);
    }
    if (port->hotplug && offset < status && offset + size > control) {
        control_written(port);
    }
    update_slot(port);
}

static const PciDeviceOps pcie_port_ops = { .config_written = config_written };

/* --- life --- */

static void add_slot(PciePort *port)
{
    PciDevice *pci = &port->bridge.pci;
    uint8_t *registers = capability(port), *writable = pci->writable + port->express;
    uint32_t slot = MIN(port->slot, SLOT_NUMBER_MOST);

    store_le16(registers + PCIE_FLAGS, load_le16(registers + PCIE_FLAGS) | FLAGS_SLOT);
    store_le32(registers + LINK_CAPABILITIES, load_le32(registers + LINK_CAPABILITIES) |
                                                  LINK_REPORTS_ACTIVE | (uint32_t)port->port << 24);
    store_le32(registers + SLOT_CAPABILITIES,
               slot << SLOT_NUMBER_SHIFT | (port->hotplug ? SLOT_HOTPLUG : 0));
    if (port->hotplug) {
        store_le16(writable + SLOT_CONTROL, CONTROL_WRITABLE);
        store_le16(writable + SLOT_STATUS, EVENTS);
    }
    store_le16(writable + ROOT_CONTROL, ROOT_CONTROL_WRITABLE);
    port->bridge.secondary.hotplug = &hotplug;
    port->bridge.secondary.hotplug_opaque = port;
}

static bool pcie_port_realize(Device *device, GError **error);

/* What is in the slot has the slowest and narrowest link, so that the link's status stays. */
static bool set_link(PciePort *port, GError **error)
{
    static const char *const speeds[] = { "2_5", "5", "8", "16", "32", "64" };
    static const uint8_t widths[] = { 1, 2, 4, 8, 12, 16, 32 };
    uint8_t *registers = capability(port);
    unsigned speed = 0, width = 0;

    while (speed < ARRAY_SIZE(speeds) && g_strcmp0(port->speed, speeds[speed]) != 0) {
        speed++;
    }
    while (width < ARRAY_SIZE(widths) && port->width != widths[width]) {
        width++;
    }
    if (speed == ARRAY_SIZE(speeds) || width == ARRAY_SIZE(widths)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "x-speed is 2_5, 5, 8, 16, 32 or 64, and x-width 1, 2, 4, 8, 12, 16 or 32");
    }
    speed++; /* as the registers count */
    store_le32(registers + LINK_CAPABILITIES,
               (load_le32(registers + LINK_CAPABILITIES) & ~(uint32_t)LINK_SPEED_AND_WIDTH) |
                   speed | (uint32_t)port->width << LINK_WIDTH_SHIFT);
    if (speed > 1) {
        store_le32(registers + LINK_CAPABILITIES_2, ((1U << speed) - 1) << 1);
        store_le16(registers + LINK_CONTROL_2, (uint16_t)speed);
    }
    return true;
}

typedef struct {
    const PciePort *port;
    const Device *taken; /* who has its chassis and slot; NULL: nobody */
} SlotSearch;

static void look_at_slot(Device *device, void *opaque)
{
    SlotSearch *search = opaque;
    const PciePort *other = device->type->realize == pcie_port_realize ? pcie_port(device) : NULL;

    if (other && other != search->port && has_slot(other) &&
        other->chassis == search->port->chassis && other->slot == search->port->slot) {
        search->taken = device;
    }
}

/* The numbers are what software tells slots apart by. */
static bool check_slot(PciePort *port, GError **error)
{
    Device *device = &port->bridge.pci.device;
    SlotSearch search = { .port = port };

    device_foreach(device->machine->root, look_at_slot, &search);
    return !search.taken ||
           error_fail(error, KASO_ERROR_INVALID,
                      "chassis=%u,slot=%u is that of '%s': give each port numbers of its own",
                      port->chassis, port->slot, search.taken->id);
}

static bool pcie_port_realize(Device *device, GError **error)
{
    PciePort *port = pcie_port(device);
    const PciePortKind *kind = device->type->class_data;

    if ((has_slot(port) && !check_slot(port, error)) ||
        !pci_bridge_realize(&port->bridge, &kind->bridge, error)) {
        return false;
    }
    port->express = pci_add_express_capability(&port->bridge.pci, kind->express);
    pci_add_msi(&port->bridge.pci);
    port->bridge.pci.ops = &pcie_port_ops;
    if (port->speed && !set_link(port, error)) {
        return false;
    }
    if (has_slot(port)) {
        add_slot(port);
    }
    return true;
}

/* What is there at the start has power. */
static void pcie_port_reset(Device *device)
{
    PciePort *port = pcie_port(device);
    uint16_t off = CONTROL_ATTENTION_OFF | CONTROL_INDICATOR_OFF | CONTROL_POWER_OFF;
    uint16_t on = CONTROL_ATTENTION_OFF | CONTROL_INDICATOR_ON;
    bool wanted = port->wanted;

    pci_bridge_reset(device);
    port->events = 0;
    port->interrupted = port->wanted = false;
    if (!has_slot(port)) {
        return;
    }
    /* What the guest was asked to let go goes now. */
    if (wanted) {
        let_go(port);
    }
    if (port->hotplug) {
        store_le16(capability(port) + SLOT_CONTROL, is_present(port) ? on : off);
    }
    update_slot(port);
}

static void pcie_port_state_loaded(Device *device)
{
    PciePort *port = pcie_port(device);

    pci_bridge_state_loaded(device);
    update_slot(port);
    port->let_go = port->let_go && has_slot(port) && port->hotplug;
    if (port->let_go) {
        machine_defer(device->machine, empty_slot, port);
    }
}

#define PORT_PROPERTIES                                                                            \
    { "port", PROPERTY_U8, offsetof(PciePort, port), "port number" },                              \
        { "chassis", PROPERTY_U8, offsetof(PciePort, chassis), "chassis number" },                 \
        { "slot", PROPERTY_U16, offsetof(PciePort, slot), "physical slot number" },                \
        { "hotplug", PROPERTY_BOOL, offsetof(PciePort, hotplug),                                   \
          "devices come and go while the machine runs", "on" },                                    \
    {                                                                                              \
        "power_controller_present", PROPERTY_BOOL, offsetof(PciePort, power_controller),           \
            "accepted; the slot has one", "on"                                                     \
    }

#define LINK_PROPERTIES                                                                            \
    { "x-speed", PROPERTY_STRING, offsetof(PciePort, speed),                                       \
      "the fastest link, in GT/s: 2_5, 5, 8, 16, 32 or 64", "2_5" },                               \
    {                                                                                              \
        "x-width", PROPERTY_U8, offsetof(PciePort, width),                                         \
            "the widest link: 1, 2, 4, 8, 12, 16 or 32 lanes", "1"                                 \
    }

static const Property port_properties[] = { PORT_PROPERTIES, { 0 } };
static const Property root_port_properties[] = {
    PORT_PROPERTIES,
    LINK_PROPERTIES,
    { "io-reserve", PROPERTY_SIZE, offsetof(PciePort, io_reserve), "accepted; has no effect" },
    { "mem-reserve", PROPERTY_SIZE, offsetof(PciePort, mem_reserve), "accepted; has no effect" },
    { "pref32-reserve", PROPERTY_SIZE, offsetof(PciePort, pref32_reserve),
      "accepted; has no effect" },
    { "pref64-reserve", PROPERTY_SIZE, offsetof(PciePort, pref64_reserve),
      "accepted; has no effect" },
    { "bus-reserve", PROPERTY_U32, offsetof(PciePort, bus_reserve), "accepted; has no effect" },
    { 0 },
};
static const Property upstream_properties[] = {
    { "port", PROPERTY_U8, offsetof(PciePort, port), "port number" },
    { 0 },
};
static const Property port_bus_properties[] = {
    PCI_PROPERTIES(PciePort, bridge.pci),
    { 0 },
};
/* Of the state: since when ports have slots, and since when it is known what was let go but is still there. */
enum { SLOT_VERSION = 1, LET_GO_VERSION = 2 };
static const StateField port_state[] = {
    PCI_STATE(PciePort, bridge.pci),
    STATE_SINCE(SLOT_VERSION, PciePort, events),
    STATE_SINCE(SLOT_VERSION, PciePort, interrupted),
    STATE_SINCE(SLOT_VERSION, PciePort, wanted),
    STATE_KEPT_SINCE(LET_GO_VERSION, PciePort, let_go),
    { 0 },
};

#define PORT_TYPE(object, type_name, text, properties_, ...)                                       \
    static const PciePortKind object##_kind = __VA_ARGS__;                                         \
    static const DeviceType object = {                                                             \
        .name = type_name,                                                                         \
        .summary = text,                                                                           \
        .bus = "pci",                                                                              \
        .category = "bridge",                                                                      \
        .instance_size = sizeof(PciePort),                                                         \
        .class_data = &object##_kind,                                                              \
        .properties = properties_,                                                                 \
        .bus_properties = port_bus_properties,                                                     \
        .state = port_state,                                                                       \
        .state_version = LET_GO_VERSION,                                                           \
        .realize = pcie_port_realize,                                                              \
        .reset = pcie_port_reset,                                                                  \
        .state_loaded = pcie_port_state_loaded,                                                    \
    };                                                                                             \
    DEVICE_TYPE(object)

PORT_TYPE(pcie_root_port_type, "pcie-root-port", "PCI Express root port", root_port_properties,
          { { 0x1b36, 0x000c, 0, 1, true }, PCIE_TYPE_ROOT_PORT });
PORT_TYPE(ioh3420_type, "ioh3420", "Intel IOH's PCI Express root port", port_properties,
          { { 0x8086, 0x3420, 2, 1, true }, PCIE_TYPE_ROOT_PORT });
PORT_TYPE(x3130_upstream_type, "x3130-upstream", "TI X3130's upstream port: a switch",
          upstream_properties, { { 0x104c, 0x8232, 2, 32, false }, PCIE_TYPE_UPSTREAM });
PORT_TYPE(xio3130_downstream_type, "xio3130-downstream", "TI X3130's downstream port",
          port_properties, { { 0x104c, 0x8233, 1, 1, true }, PCIE_TYPE_DOWNSTREAM });
