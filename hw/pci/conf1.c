/* SPDX-License-Identifier: MIT */
#include "hw/pci/conf1.h"

enum { CONFIG_ENABLE = 1u << 31 };

static MemoryResult address_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                 MemoryAttributes attributes)
{
    PciConf1 *conf1 = opaque;

    *value = conf1->address >> offset * 8 & bits_mask(size * 8);
    return MEMORY_OK;
}

/* Only a doubleword is CONFIG_ADDRESS; what is narrower belongs to ordinary ports. */
static MemoryResult address_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                  MemoryAttributes attributes)
{
    PciConf1 *conf1 = opaque;

    if (offset == 0 && size == 4) {
        conf1->address = (uint32_t)value;
    }
    return MEMORY_OK;
}

static const MemoryOps address_ops = {
    .read = address_read, .write = address_write, .size_max = 4, .whole = true
};

/*
 * Bits 1 and 0 of the address are reserved. Some programs that were never run on a chip put the byte's number there and use 0xcfc
 * for all; they are understood, and who follows the specification has zeros there.
 */
static unsigned register_of(uint32_t address, uint64_t offset, unsigned size)
{
    unsigned byte = (address & 3) | (unsigned)offset;

    return (address & 0xfc) + (byte + size <= 4 ? byte : (unsigned)offset);
}

static MemoryResult data_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    PciConf1 *conf1 = opaque;
    uint32_t address = conf1->address;

    *value = address & CONFIG_ENABLE
                 ? pci_host_config_read(conf1->bus, address >> 16 & 0xff, address >> 8 & 0xff,
                                        register_of(address, offset, size), size)
                 : bits_mask(size * 8);
    return MEMORY_OK;
}

static MemoryResult data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    PciConf1 *conf1 = opaque;
    uint32_t address = conf1->address;

    if (address & CONFIG_ENABLE) {
        pci_host_config_write(conf1->bus, address >> 16 & 0xff, address >> 8 & 0xff,
                              register_of(address, offset, size), (uint32_t)value, size);
    }
    return MEMORY_OK;
}

static const MemoryOps data_ops = { .read = data_read, .write = data_write, .size_max = 4 };

void pci_conf1_init(PciConf1 *conf1, Device *host, PciBus *bus)
{
    conf1->bus = bus;
    memory_region_init_io(&conf1->address_port, host->machine, "pci-conf-idx", 4, &address_ops,
                          conf1);
    memory_region_init_io(&conf1->data_port, host->machine, "pci-conf-data", 4, &data_ops, conf1);
    device_add_io(host, &conf1->address_port);
    device_add_io(host, &conf1->data_port);
}
