/* SPDX-License-Identifier: MIT */
/*
 * The SMBus host controller of Intel's south bridges (PIIX4 data sheet, 290562, 7.4; ICH9, 316972, 20.2), with eight EEPROMs (24C02) on
 * the bus, which hold zeros after a reset.
 */
#ifndef HW_ISA_SMBUS_HOST_H
#define HW_ISA_SMBUS_HOST_H

#include "machine/device.h"

enum { SMBUS_EEPROMS = 8, SMBUS_EEPROM_SIZE = 256 };

typedef struct {
    MemoryRegion ports;
    uint8_t status, control, command, address, data0, data1, index;
    uint8_t block[32];
    uint8_t eeproms[SMBUS_EEPROMS * SMBUS_EEPROM_SIZE];
    uint8_t places[SMBUS_EEPROMS]; /* where the next byte without an address of its own is */
} SmbusHost;

/* `since`: the version of the instance's state that brought what the EEPROMs hold. */
#define SMBUS_HOST_STATE(Instance, smbus, since)                                                          \
    STATE_AS("smb_status", Instance, smbus.status),                                                \
        STATE_AS("smb_control", Instance, smbus.control),                                          \
        STATE_AS("smb_command", Instance, smbus.command),                                          \
        STATE_AS("smb_address", Instance, smbus.address),                                          \
        STATE_AS("smb_data0", Instance, smbus.data0), STATE_AS("smb_data1", Instance, smbus.data1), \
        STATE_AS("smb_index", Instance, smbus.index), STATE_AS("smb_block", Instance, smbus.block), \
        STATE_SINCE(since, Instance, smbus.eeproms), STATE_SINCE(since, Instance, smbus.places)

/* For realize: `ports` is so many bytes, a power of two. */
void smbus_host_init(SmbusHost *smbus, Device *device, unsigned size);
void smbus_host_reset(SmbusHost *smbus);

#endif
