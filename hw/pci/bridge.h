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

/* For realize: 1b36:device_id, with INTA, and a bus of so many slots below it. */
bool pci_bridge_realize(PciBridge *bridge, uint16_t device_id, unsigned slots, GError **error);
/* The type's reset and state_loaded. */
void pci_bridge_reset(Device *device);
void pci_bridge_state_loaded(Device *device);

#endif
