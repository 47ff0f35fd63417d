/* SPDX-License-Identifier: MIT */
/* Configuration space in memory (ECAM; PCI Express Base 7.2.2): 4 KiB a function, 1 MiB a bus. */
#ifndef HW_PCI_ECAM_H
#define HW_PCI_ECAM_H

#include "hw/pci/pci.h"

#define PCI_ECAM_BUS_BYTES MIB(1)

/* What is read and written there, for windows that do more; opaque is the root bus. */
MemoryResult pci_ecam_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                           MemoryAttributes attributes);
MemoryResult pci_ecam_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                            MemoryAttributes attributes);

void pci_ecam_init(MemoryRegion *region, Machine *machine, PciBus *root, uint64_t size);

#endif
