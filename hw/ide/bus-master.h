/* SPDX-License-Identifier: MIT */
/*
 * The bus master DMA engine of PCI IDE controllers (Programming Interface for Bus Master IDE Controller, revision 1.0):
 * one for each channel, 8 registers, and a table in memory of the regions that a transfer goes to.
 */
#ifndef HW_IDE_BUS_MASTER_H
#define HW_IDE_BUS_MASTER_H

#include "hw/ide/ide.h"
#include "hw/pci/pci.h"

/* Where the engine is in the table. */
typedef struct {
    uint32_t next;    /* address of the next descriptor */
    uint32_t address; /* what is left of the region */
    uint32_t bytes;
    bool last;        /* the region is the table's last */
    uint32_t steps;   /* descriptors that were read since the start */
} BusMasterCursor;

typedef struct {
    IdeChannel channel;
    PciDevice *pci;
    IrqLine irq;
    uint8_t command, status;
    uint32_t table;
    BusMasterCursor cursor;
    MemoryRegion command_region, control_region, region;
} BusMaster;

#define BUS_MASTER_STATE(Instance, member)                                                         \
    STATE(Instance, member.channel.control), STATE(Instance, member.channel.selected),             \
        STATE(Instance, member.channel.irq_level), STATE(Instance, member.command),                \
        STATE(Instance, member.status), STATE(Instance, member.table),                             \
        STATE(Instance, member.cursor.next), STATE(Instance, member.cursor.address),               \
        STATE(Instance, member.cursor.bytes), STATE(Instance, member.cursor.last),                 \
        STATE(Instance, member.cursor.steps)

/* For realize of the controller: the channel's bus, its registers at legacy ports, and its interrupt output. */
void bus_master_init(BusMaster *master, PciDevice *pci, unsigned number, const char *bus_name,
                     uint16_t command_port, uint16_t control_port);
void bus_master_remove(BusMaster *master);
void bus_master_reset(BusMaster *master);
void bus_master_state_loaded(BusMaster *master);

#endif
