/* SPDX-License-Identifier: MIT */
/* MSI (PCI Local Bus 3.0, 6.8.1): one message with a 64-bit address, without masks. */
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    CONTROL = 2,
    ADDRESS = 4,
    DATA = 12,
    CAPABILITY_SIZE = 14,
    CONTROL_ENABLE = 1 << 0,
    CONTROL_64_BIT = 1 << 7,
};

void pci_add_msi(PciDevice *pci)
{
    uint8_t *writable;

    if (!pci_bus_root(pci->bus)->msi) {
        return;
    }
    pci->msi = pci_add_capability(pci, PCI_CAPABILITY_MSI, CAPABILITY_SIZE);
    pci->config[pci->msi + CONTROL] = CONTROL_64_BIT;
    writable = pci->writable + pci->msi;
    writable[CONTROL] = CONTROL_ENABLE;
    store_le64(writable + ADDRESS, ~UINT64_C(3));
    store_le16(writable + DATA, UINT16_MAX);
}

bool pci_msi_enabled(const PciDevice *pci)
{
    return pci->msi && pci->config[pci->msi + CONTROL] & CONTROL_ENABLE;
}

void pci_msi_notify(PciDevice *pci)
{
    const uint8_t *capability = pci->config + pci->msi;

    if (pci_msi_enabled(pci) && pci_bus_master_enabled(pci)) {
        address_space_write(&pci->device.machine->memory_space, load_le64(capability + ADDRESS),
                            load_le16(capability + DATA), 4, pci_dma_attributes(pci));
    }
}
