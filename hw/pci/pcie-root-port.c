/* SPDX-License-Identifier: MIT */
/*
 * PCI Express root port: a bridge with one slot.
 *
 * Not modelled: hot plug, power management, error reporting, slot registers.
 */
#include "hw/pci/bridge.h"

typedef struct {
    PciBridge bridge;
    /* Properties. */
    uint8_t port, chassis;
    uint16_t slot;
    uint64_t io_reserve, mem_reserve, pref32_reserve, pref64_reserve;
    uint32_t bus_reserve;
    bool hotplug;
} PcieRootPort;

static bool pcie_root_port_realize(Device *device, GError **error)
{
    PcieRootPort *port = container_of(device, PcieRootPort, bridge.pci.device);

    if (!pci_bridge_realize(&port->bridge, 0x000c, 1, error)) {
        return false;
    }
    pci_add_express_capability(&port->bridge.pci, PCIE_TYPE_ROOT_PORT);
    return true;
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
    PCI_PROPERTIES(PcieRootPort, bridge.pci),
    { 0 },
};
static const StateField pcie_root_port_state[] = { PCI_STATE(PcieRootPort, bridge.pci), { 0 } };

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
    .reset = pci_bridge_reset,
    .state_loaded = pci_bridge_state_loaded,
};
DEVICE_TYPE(pcie_root_port_type);
