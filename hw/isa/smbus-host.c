/* SPDX-License-Identifier: MIT */
#include "hw/isa/smbus-host.h"

#include <string.h>

#include "machine/machine.h"

enum {
    HOST_STATUS = 0,
    HOST_CONTROL = 2,
    HOST_COMMAND = 3,
    HOST_ADDRESS = 4,
    HOST_DATA_0 = 5,
    HOST_DATA_1 = 6,
    HOST_BLOCK = 7,

    STATUS_INTERRUPT = 1 << 1,
    STATUS_DEVICE_ERROR = 1 << 2,
    STATUS_W1C = 0x1e,
    CONTROL_KEPT = 0x1f, /* interrupt, kill and protocol */
    START = 1 << 6,
    EEPROM_FIRST = 0x50,
};

typedef enum { QUICK = 0, BYTE = 1, BYTE_DATA = 2, WORD_DATA = 3, BLOCK = 5 } Protocol;

static void move_byte(SmbusHost *smbus, unsigned eeprom, bool read, uint8_t *byte)
{
    uint8_t *cell = smbus->eeproms + eeprom * SMBUS_EEPROM_SIZE + smbus->places[eeprom]++;

    if (read) {
        *byte = *cell;
    } else {
        *cell = *byte;
    }
}

/* The first byte of a block is how many follow. */
static void move_block(SmbusHost *smbus, unsigned eeprom, bool read)
{
    unsigned count;

    move_byte(smbus, eeprom, read, &smbus->data0);
    count = MIN(smbus->data0, sizeof smbus->block);
    for (unsigned i = 0; i < count; i++) {
        move_byte(smbus, eeprom, read, &smbus->block[i]);
    }
    smbus->index = 0;
}

static void transact(SmbusHost *smbus)
{
    unsigned eeprom = (smbus->address >> 1) - EEPROM_FIRST;
    Protocol protocol = smbus->control >> 2 & 7;
    bool read = smbus->address & 1;

    if (eeprom >= SMBUS_EEPROMS || (protocol > WORD_DATA && protocol != BLOCK)) {
        smbus->status |= STATUS_DEVICE_ERROR;
        return;
    }
    if (protocol != QUICK && !(protocol == BYTE && read)) {
        smbus->places[eeprom] = smbus->command;
    }
    if (protocol == BLOCK) {
        move_block(smbus, eeprom, read);
    } else if (protocol >= BYTE_DATA || (protocol == BYTE && read)) {
        move_byte(smbus, eeprom, read, &smbus->data0);
    }
    if (protocol == WORD_DATA) {
        move_byte(smbus, eeprom, read, &smbus->data1);
    }
    smbus->status |= STATUS_INTERRUPT;
}

static MemoryResult smbus_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    SmbusHost *smbus = opaque;

    *value = 0;
    switch (offset) {
    case HOST_STATUS:
        *value = smbus->status;
        break;
    case HOST_CONTROL:
        /* Reading it begins a block's data again. */
        smbus->index = 0;
        *value = smbus->control;
        break;
    case HOST_COMMAND:
        *value = smbus->command;
        break;
    case HOST_ADDRESS:
        *value = smbus->address;
        break;
    case HOST_DATA_0:
        *value = smbus->data0;
        break;
    case HOST_DATA_1:
        *value = smbus->data1;
        break;
    case HOST_BLOCK:
        *value = smbus->block[smbus->index++ % sizeof smbus->block];
        break;
    default:
        break;
    }
    return MEMORY_OK;
}

static MemoryResult smbus_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    SmbusHost *smbus = opaque;
    uint8_t byte = (uint8_t)value;

    switch (offset) {
    case HOST_STATUS:
        smbus->status &= (uint8_t) ~(byte & STATUS_W1C);
        break;
    case HOST_CONTROL:
        smbus->control = byte & CONTROL_KEPT;
        if (byte & START) {
            transact(smbus);
        }
        break;
    case HOST_COMMAND:
        smbus->command = byte;
        break;
    case HOST_ADDRESS:
        smbus->address = byte;
        break;
    case HOST_DATA_0:
        smbus->data0 = byte;
        break;
    case HOST_DATA_1:
        smbus->data1 = byte;
        break;
    case HOST_BLOCK:
        smbus->block[smbus->index++ % sizeof smbus->block] = byte;
        break;
    default:
        break;
    }
    return MEMORY_OK;
}

static const MemoryOps smbus_ops = { .read = smbus_read, .write = smbus_write, .size_max = 1 };

void smbus_host_init(SmbusHost *smbus, Device *device, unsigned size)
{
    memory_region_init_io(&smbus->ports, device->machine, "pm-smbus", size, &smbus_ops, smbus);
}

void smbus_host_reset(SmbusHost *smbus)
{
    smbus->status = smbus->control = smbus->command = smbus->address = 0;
    smbus->data0 = smbus->data1 = smbus->index = 0;
    memset(smbus->block, 0, sizeof smbus->block);
    memset(smbus->eeproms, 0, sizeof smbus->eeproms);
    memset(smbus->places, 0, sizeof smbus->places);
}
