/* SPDX-License-Identifier: MIT */
/* Configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2): CONFIG_ADDRESS at 0xcf8 and CONFIG_DATA at 0xcfc of a PC's host bridge. */
#ifndef HW_PCI_CONF1_H
#define HW_PCI_CONF1_H

#include "hw/pci/pci.h"

typedef struct {
    PciBus *bus;
    uint32_t address; /* CONFIG_ADDRESS; the owner saves it and clears it at a reset */
    MemoryRegion address_port, data_port;
} PciConf1;

/* For realize of a host bridge: its next two port regions are those of 0xcf8 and 0xcfc. */
void pci_conf1_init(PciConf1 *conf1, Device *host, PciBus *bus);

#endif
