/* SPDX-License-Identifier: MIT */
/*
 * PCI Express root port: a type 1 header (PCI-to-PCI Bridge 1.2, 3.2) whose one slot is a bus named
 * after the port's id. Windows that the guest programs are mapped into the upstream bus.
 *
 * Not modelled: hot plug, power management, error reporting, slot registers.
 */
#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    PRIMARY_BUS = 0x18,
    SUBORDINATE_BUS = 0x1a,
    IO_BASE = 0x1c,
    IO_LIMIT = 0x1d,
    MEMORY_BASE = 0x20,
    MEMORY_LIMIT = 0x22,
    PREFETCH_BASE = 0x24,
    PREFETCH_LIMIT = 0x26,
    PREFETCH_BASE_UPPER = 0x28,
    PREFETCH_LIMIT_UPPER = 0x2c,
    IO_BASE_UPPER = 0x30,
    BRIDGE_CONTROL = 0x3e,

    WINDOW_KIND_BITS = 0xf, /* low bits of base and limit: address width */
    WINDOW_64_BIT = 1,
    BRIDGE_CONTROL_WRITABLE = 0x005f,
};

enum { WINDOW_IO, WINDOW_MEMORY, WINDOW_PREFETCH, WINDOW_COUNT };

typedef struct {
    PciDevice pci;
    PciBus secondary;
    MemoryRegion memory, io;            /* address spaces of the secondary bus */
    MemoryRegion windows[WINDOW_COUNT]; /* aliases of them, in the primary bus */
    bool mapped[WINDOW_COUNT];
    /* Properties. */
    uint8_t port, chassis;
    uint16_t slot;
    uint64_t io_reserve, mem_reserve, pref32_reserve, pref64_reserve;
    uint32_t bus_reserve;
    bool hotplug;
} PcieRootPort;

static PcieRootPort *pcie_root_port(PciDevice *pci)
{
    return container_of(pci, PcieRootPort, pci);
}

/* A window that decodes [base, limit]; an empty one has base > limit. */
static void window_range(const PciDevice *pci, unsigned window, uint64_t *base, uint64_t *limit)
{
    const uint8_t *config = pci->config;

    if (window == WINDOW_IO) {
        *base = (uint64_t)(config[IO_BASE] & 0xf0) << 8;
        *limit = (uint64_t)(config[IO_LIMIT] & 0xf0) << 8 | 0xfff;
    } else if (window == WINDOW_MEMORY) {
        *base = (uint64_t)(load_le16(config + MEMORY_BASE) & 0xfff0) << 16;
        *limit = (uint64_t)(load_le16(config + MEMORY_LIMIT) & 0xfff0) << 16 | 0xfffff;
    } else {
        *base = (uint64_t)load_le32(config + PREFETCH_BASE_UPPER) << 32 |
                (uint64_t)(load_le16(config + PREFETCH_BASE) & 0xfff0) << 16;
        *limit = (uint64_t)load_le32(config + PREFETCH_LIMIT_UPPER) << 32 |
                 (uint64_t)(load_le16(config + PREFETCH_LIMIT) & 0xfff0) << 16 | 0xfffff;
    }
}

static void windows_update(PcieRootPort *port)
{
    PciDevice *pci = &port->pci;
    uint16_t command = load_le16(pci->config + PCI_COMMAND);

    memory_transaction_begin(pci->device.machine);
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        bool is_io = i == WINDOW_IO;
        uint64_t base, limit;

        window_range(pci, i, &base, &limit);
        if (port->mapped[i]) {
            memory_region_remove(&port->windows[i]);
            port->mapped[i] = false;
        }
        if (!(command & (is_io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) || base > limit ||
            limit == UINT64_MAX) {
            continue;
        }
        memory_region_init_alias(&port->windows[i], pci->device.machine, "pci-bridge-window",
                                 is_io ? &port->io : &port->memory, base, limit - base + 1);
        memory_region_add(is_io ? pci->bus->io : pci->bus->memory, base, &port->windows[i], 1);
        port->mapped[i] = true;
    }
    memory_transaction_end(pci->device.machine);
}

static void pcie_root_port_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset < PCI_STATUS || (offset + size > IO_BASE && offset < IO_BASE_UPPER)) {
        windows_update(pcie_root_port(pci));
    }
}

static const PciDeviceOps pcie_root_port_ops = {
    .config_written = pcie_root_port_config_written,
};

static bool pcie_root_port_realize(Device *device, GError **error)
{
    PciDevice *pci = pci_device(device);
    PcieRootPort *port = pcie_root_port(pci);
    static const uint8_t writable_bytes[] = { PRIMARY_BUS, PRIMARY_BUS + 1, SUBORDINATE_BUS };

    pci_set_identity(pci, 0x1b36, 0x000c, 0x060400, 0);
    pci->config[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_BRIDGE;
    if (pci->rom_known) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "a bridge has no expansion ROM");
    }
    pci->is_bridge = true;
    pci_set_interrupt_pin(pci, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(writable_bytes); i++) {
        pci->writable[writable_bytes[i]] = 0xff;
    }
    pci->writable[IO_BASE] = pci->writable[IO_LIMIT] = 0xf0;
    for (unsigned offset = MEMORY_BASE; offset <= PREFETCH_LIMIT; offset += 2) {
        store_le16(pci->writable + offset, 0xfff0);
    }
    store_le16(pci->config + PREFETCH_BASE, WINDOW_64_BIT);
    store_le16(pci->config + PREFETCH_LIMIT, WINDOW_64_BIT);
    store_le32(pci->writable + PREFETCH_BASE_UPPER, UINT32_MAX);
    store_le32(pci->writable + PREFETCH_LIMIT_UPPER, UINT32_MAX);
    store_le16(pci->writable + BRIDGE_CONTROL, BRIDGE_CONTROL_WRITABLE);
    pci_add_express_capability(pci, PCIE_TYPE_ROOT_PORT);
    pci->ops = &pcie_root_port_ops;

    memory_region_init_container(&port->memory, device->machine, "pci-bridge-memory", UINT64_MAX);
    memory_region_init_container(&port->io, device->machine, "pci-bridge-io", 0x10000);
    pci_bus_init(&port->secondary, device, device->id, pci, &port->memory, &port->io);
    return true;
}

static void pcie_root_port_reset(Device *device)
{
    PciDevice *pci = pci_device(device);

    pci_reset(pci);
    windows_update(pcie_root_port(pci));
}

static void pcie_root_port_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    windows_update(pcie_root_port(pci_device(device)));
}

static const Property pcie_root_port_properties[] = {
    { "port", PROPERTY_U8, offsetof(PcieRootPort, port), "port number" },
    { "chassis", PROPERTY_U8, offsetof(PcieRootPort, chassis), "chassis number" },
    { "slot", PROPERTY_U16, offsetof(PcieRootPort, slot), "physical slot number" },
    { "io-reserve", PROPERTY_SIZE, offsetof(PcieRootPort, io_reserve), "accepted; has no effect" },
    { "mem-reserve", PROPERTY_SIZE, offsetof(PcieRootPort, mem_reserve),
      "accepted; has no effect" },
    { "pref32-reserve", PROPERTY_SIZE, offsetof(PcieRootPort, pref32_reserve),
      "accepted; has no effect" },
    { "pref64-reserve", PROPERTY_SIZE, offsetof(PcieRootPort, pref64_reserve),
      "accepted; has no effect" },
    { "bus-reserve", PROPERTY_U32, offsetof(PcieRootPort, bus_reserve), "accepted; has no effect" },
    { "hotplug", PROPERTY_BOOL, offsetof(PcieRootPort, hotplug), "accepted; has no effect", "on" },
    { 0 },
};
static const Property pcie_root_port_bus_properties[] = {
    PCI_PROPERTIES(PcieRootPort, pci),
    { 0 },
};
static const StateField pcie_root_port_state[] = { PCI_STATE(PcieRootPort, pci), { 0 } };

static const DeviceType pcie_root_port_type = {
    .name = "pcie-root-port",
    .summary = "PCI Express root port",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(PcieRootPort),
    .properties = pcie_root_port_properties,
    .bus_properties = pcie_root_port_bus_properties,
    .state = pcie_root_port_state,
    .realize = pcie_root_port_realize,
    .reset = pcie_root_port_reset,
    .state_loaded = pcie_root_port_state_loaded,
};
DEVICE_TYPE(pcie_root_port_type);
