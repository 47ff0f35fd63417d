/* SPDX-License-Identifier: MIT */
/* ne2k_pci: an NE2000 as a PCI card, the Realtek RTL8029. */
#include "hw/net/ne2000.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum { BAR_SIZE = 256 };

typedef struct {
    PciDevice pci; /* first */
    MemoryRegion bar;
    Ne2000 ne2000;
} Ne2kPci;

static Ne2kPci *ne2k_pci(Device *device)
{
    return container_of(pci_device(device), Ne2kPci, pci);
}

static void set_irq(Device *device, bool level)
{
    pci_set_irq(pci_device(device), level);
}

static bool ne2k_pci_realize(Device *device, GError **error)
{
    Ne2kPci *card = ne2k_pci(device);
    PciDevice *pci = &card->pci;

    pci_set_identity(pci, 0x10ec, 0x8029, 0x020000, 0);
    pci_set_interrupt_pin(pci, 1);
    if (!pci_add_rom(pci, "efi-ne2k_pci.rom", error) ||
        !ne2000_realize(&card->ne2000, device, set_irq, error)) {
        return false;
    }
    memory_region_init_container(&card->bar, device->machine, "ne2k_pci", BAR_SIZE);
    memory_region_add(&card->bar, 0, &card->ne2000.region, 0);
    pci_add_bar(pci, 0, PCI_BAR_IO, false, &card->bar);
    return true;
}

static void ne2k_pci_unrealize(Device *device)
{
    ne2000_unrealize(&ne2k_pci(device)->ne2000);
}

static void ne2k_pci_reset(Device *device)
{
    ne2000_reset(&ne2k_pci(device)->ne2000);
    pci_reset(pci_device(device));
}

static void ne2k_pci_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    ne2000_state_loaded(&ne2k_pci(device)->ne2000);
}

static const Property ne2k_pci_properties[] = { NE2000_PROPERTIES(Ne2kPci, ne2000), { 0 } };
static const Property ne2k_pci_bus_properties[] = { PCI_PROPERTIES(Ne2kPci, pci), { 0 } };
static const StateField ne2k_pci_state[] = { PCI_STATE(Ne2kPci, pci),
                                             NE2000_STATE(Ne2kPci, ne2000),
                                             { 0 } };

static const DeviceType ne2k_pci_type = {
    .name = "ne2k_pci",
    .summary = "Realtek RTL8029 Ethernet: an NE2000 on PCI",
    .bus = "pci",
    .category = "network",
    .instance_size = sizeof(Ne2kPci),
    .properties = ne2k_pci_properties,
    .bus_properties = ne2k_pci_bus_properties,
    .state = ne2k_pci_state,
    .realize = ne2k_pci_realize,
    .unrealize = ne2k_pci_unrealize,
    .reset = ne2k_pci_reset,
    .state_loaded = ne2k_pci_state_loaded,
};
DEVICE_TYPE(ne2k_pci_type);
