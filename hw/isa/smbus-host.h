/* SPDX-License-Identifier: MIT */
/*
 * The SMBus host controller of Intel's south bridges (PIIX4 data sheet, 290562, 7.4; ICH9, 316972, 20.2), with eight EEPROMs of zeros on
 * the bus.
 */
#ifndef HW_ISA_SMBUS_HOST_H
#define HW_ISA_SMBUS_HOST_H

#include "machine/device.h"

typedef struct {
    MemoryRegion ports;
    uint8_t status, control, command, address, data0, data1, index;
    uint8_t block[32];
} SmbusHost;

#define SMBUS_HOST_STATE(Instance, smbus)                                                          \
    STATE(Instance, smbus.status), STATE(Instance, smbus.control), STATE(Instance, smbus.command), \
        STATE(Instance, smbus.address), STATE(Instance, smbus.data0),                              \
        STATE(Instance, smbus.data1), STATE(Instance, smbus.index), STATE(Instance, smbus.block)

/* For realize: `ports` is so many bytes, a power of two. */
void smbus_host_init(SmbusHost *smbus, Device *device, unsigned size);
void smbus_host_reset(SmbusHost *smbus);

#endif
