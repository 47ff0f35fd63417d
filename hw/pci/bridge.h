/* SPDX-License-Identifier: MIT */
/* What PCI-to-PCI bridges share: a bridge's device embeds a PciBridge first. Under the machine lock. */
#ifndef HW_PCI_BRIDGE_H
#define HW_PCI_BRIDGE_H

#include "hw/pci/pci.h"

enum { PCI_BRIDGE_WINDOWS = 3 };

typedef struct {
    PciDevice pci;
    PciBus secondary;
    MemoryRegion memory, io;                  /* address spaces of the secondary bus */
    MemoryRegion windows[PCI_BRIDGE_WINDOWS]; /* aliases of them, in the primary bus */
    bool mapped[PCI_BRIDGE_WINDOWS];
} PciBridge;

typedef struct {
    uint16_t vendor, device;
    uint8_t revision;
    unsigned slots; /* of the bus below it */
    bool interrupts; /* it has INTA */
} PciBridgeKind;

/* For realize. */
bool pci_bridge_realize(PciBridge *bridge, const PciBridgeKind *kind, GError **error);
/* For types with PciDeviceOps of their own. */
void pci_bridge_config_written(PciDevice *pci, unsigned offset, unsigned size);
/* The type's reset and state_loaded. */
void pci_bridge_reset(Device *device);
void pci_bridge_state_loaded(Device *device);

#endif
