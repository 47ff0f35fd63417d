/* SPDX-License-Identifier: MIT */
/*
 * PCI bridges with a whole bus below them: pci-bridge for PCI, pcie-pci-bridge for PCI Express, i82801b11-bridge for the root bus of a q35.
 *
 * Not modelled: the hot-plug controller (SHPC).
 */
#include "hw/pci/bridge.h"

typedef struct {
    PciBridge bridge;
    /* Properties. */
    uint8_t chassis;
    int msi;
    uint64_t io_reserve, mem_reserve, pref32_reserve, pref64_reserve;
    uint32_t bus_reserve;
} PciPciBridge;

enum { SLOTS = 32 };

static PciPciBridge *pci_pci_bridge(Device *device)
{
    return container_of(device, PciPciBridge, bridge.pci.device);
}

static bool pci_bridge_device_realize(Device *device, GError **error)
{
    static const PciBridgeKind kind = { 0x1b36, 0x0001, 0, SLOTS, true };

    return pci_bridge_realize(&pci_pci_bridge(device)->bridge, &kind, error);
}

static bool i82801b11_bridge_realize(Device *device, GError **error)
{
    static const PciBridgeKind kind = { 0x8086, 0x244e, 0x92, SLOTS, false };
    PciDevice *pci = &pci_pci_bridge(device)->bridge.pci;

    if (!pci_bridge_realize(&pci_pci_bridge(device)->bridge, &kind, error)) {
        return false;
    }
    pci->config[PCI_CLASS_CODE] = 1; /* subtractive decoding, which is off */
    return true;
}

static bool pcie_pci_bridge_realize(Device *device, GError **error)
{
    static const PciBridgeKind kind = { 0x1b36, 0x000e, 0, SLOTS, true };
    PciBridge *bridge = &pci_pci_bridge(device)->bridge;

    if (!pci_bridge_realize(bridge, &kind, error)) {
        return false;
    }
    pci_add_express_capability(&bridge->pci, PCIE_TYPE_PCI_BRIDGE);
    return true;
}

static const Property pci_bridge_properties[] = {
    { "chassis_nr", PROPERTY_U8, offsetof(PciPciBridge, chassis), "chassis number; has no effect" },
    { "msi", PROPERTY_ON_OFF_AUTO, offsetof(PciPciBridge, msi), "accepted; has no effect", "auto" },
    { "io-reserve", PROPERTY_SIZE, offsetof(PciPciBridge, io_reserve), "accepted; has no effect" },
    { "mem-reserve", PROPERTY_SIZE, offsetof(PciPciBridge, mem_reserve),
      "accepted; has no effect" },
    { "pref32-reserve", PROPERTY_SIZE, offsetof(PciPciBridge, pref32_reserve),
      "accepted; has no effect" },
    { "pref64-reserve", PROPERTY_SIZE, offsetof(PciPciBridge, pref64_reserve),
      "accepted; has no effect" },
    { "bus-reserve", PROPERTY_U32, offsetof(PciPciBridge, bus_reserve), "accepted; has no effect" },
    { "shpc", PROPERTY_NOT_YET, 0, "the bridge's own hot plug" },
    { 0 },
};
static const Property pci_bridge_bus_properties[] = {
    PCI_PROPERTIES(PciPciBridge, bridge.pci),
    { 0 },
};
static const StateField pci_bridge_state[] = { PCI_STATE(PciPciBridge, bridge.pci), { 0 } };

#define BRIDGE_TYPE(object, type_name, text, realize_function, own)                                \
    static const DeviceType object = {                                                             \
        .name = type_name,                                                                         \
        .summary = text,                                                                           \
        .bus = "pci",                                                                              \
        .category = "bridge",                                                                      \
        .instance_size = sizeof(PciPciBridge),                                                     \
        .properties = own,                                                                         \
        .bus_properties = pci_bridge_bus_properties,                                               \
        .state = pci_bridge_state,                                                                 \
        .realize = realize_function,                                                               \
        .reset = pci_bridge_reset,                                                                 \
        .state_loaded = pci_bridge_state_loaded,                                                   \
    };                                                                                             \
    DEVICE_TYPE(object)

BRIDGE_TYPE(pci_bridge_type, "pci-bridge", "Standard PCI bridge", pci_bridge_device_realize,
            pci_bridge_properties);
BRIDGE_TYPE(pcie_pci_bridge_type, "pcie-pci-bridge", "PCI Express to PCI bridge",
            pcie_pci_bridge_realize, pci_bridge_properties);
BRIDGE_TYPE(i82801b11_bridge_type, "i82801b11-bridge", "Intel ICH9's bridge from DMI to PCI",
            i82801b11_bridge_realize, NULL);
