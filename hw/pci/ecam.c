/* SPDX-License-Identifier: MIT */
#include "hw/pci/ecam.h"

enum { BUS_SHIFT = 20, FUNCTION_SHIFT = 12 };

MemoryResult pci_ecam_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                           MemoryAttributes attributes)
{
    *value = pci_host_config_read(opaque, offset >> BUS_SHIFT, offset >> FUNCTION_SHIFT & 0xff,
                                  offset & 0xfff, size);
    return MEMORY_OK;
}

MemoryResult pci_ecam_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                            MemoryAttributes attributes)
{
    pci_host_config_write(opaque, offset >> BUS_SHIFT, offset >> FUNCTION_SHIFT & 0xff,
                          offset & 0xfff, value, size);
    return MEMORY_OK;
}

static const MemoryOps ecam_ops = {
    .read = pci_ecam_read,
    .write = pci_ecam_write,
    .size_min = 1,
    .size_max = 4,
};

void pci_ecam_init(MemoryRegion *region, Machine *machine, PciBus *root, uint64_t size)
{
    memory_region_init_io(region, machine, "pcie-ecam", size, &ecam_ops, root);
}
