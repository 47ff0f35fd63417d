/* SPDX-License-Identifier: MIT */
/*
 * AHCI (Serial ATA Advanced Host Controller Interface 1.3.1): what the HBA (ahci.c), its ports (ahci-port.c),
 * command tables (ahci-table.c) and queued commands (ahci-ncq.c) share. A port is an IDE channel with one drive;
 * sections below are of that specification.
 */
#ifndef HW_IDE_AHCI_H
#define HW_IDE_AHCI_H

#include "hw/ide/ide.h"
#include "hw/pci/pci.h"

enum {
    AHCI_PORTS = 6,
    AHCI_SLOTS = 32,

    /* Interrupt status of a port (3.3.5). */
    AHCI_IS_DHRS = 1 << 0, /* register FIS from the drive */
    AHCI_IS_PSS = 1 << 1,  /* PIO setup FIS */
    AHCI_IS_SDBS = 1 << 3, /* set device bits FIS */
    AHCI_IS_PCS = 1 << 6,  /* connection change, by SERR */
    AHCI_IS_OFS = 1 << 24, /* more data than the table has room for */
    AHCI_IS_TFES = 1 << 30, /* a command ended with an error */

    /* Command and status of a port (3.3.7). */
    AHCI_CMD_ST = 1 << 0,
    AHCI_CMD_FRE = 1 << 4,
};

typedef struct Ahci Ahci;
typedef struct AhciPort AhciPort;
typedef struct AhciQueued AhciQueued;

/* Where in a command table's list of regions a transfer is (4.2.3.3). */
typedef struct {
    uint64_t next;    /* address of the next entry */
    uint32_t entries; /* that are left */
    uint64_t address; /* what is left of the current one */
    uint32_t bytes;
} AhciCursor;

/* A command of the command list (4.2.2) with its table. */
typedef struct {
    uint64_t header; /* its address */
    bool packet, to_drive, reset, clear_busy;
    uint8_t fis[20];
    uint8_t packet_bytes[16];
    AhciCursor regions;
} AhciCommand;

struct AhciPort {
    IdeChannel channel; /* first */
    Ahci *ahci;
    unsigned number;
    AhciQueued *queued[AHCI_SLOTS]; /* requests in the block layer; NULL: none */
    unsigned orphans; /* requests in the block layer that a reset has forgotten */
    bool pumping;
    /* State. */
    uint64_t command_list, received; /* addresses */
    uint32_t is, ie, cmd, sctl, serr, sact, ci, signature;
    bool busy;         /* a command of the list is with the drive */
    uint8_t slot;      /* which */
    bool packet;       /* its packet is what the drive asks for next */
    bool halted;       /* by an error of a queued command, until software stops the list */
    bool soft_reset;   /* SRST is set in the drive's control register */
    uint32_t ncq;      /* slots of queued commands that the drive has */
    uint32_t moved;    /* bytes of the command's data */
    uint64_t header;   /* address of the command's header */
    AhciCursor cursor;
};

struct Ahci {
    PciDevice pci; /* first */
    MemoryRegion memory, ports_region;
    AhciPort ports[AHCI_PORTS];
    /* State. */
    bool interrupted; /* level of the pin, or what the last message told */
    uint32_t ghc, is, index;
};

/* ahci.c */
void ahci_update_irq(Ahci *ahci);

/* ahci-table.c: false where memory does not answer. */
bool ahci_read(const AhciPort *port, uint64_t address, void *data, unsigned size);
bool ahci_write(const AhciPort *port, uint64_t address, const void *data, unsigned size);
bool ahci_read_command(const AhciPort *port, unsigned slot, AhciCommand *command);
/*
 * RAM of up to `bytes` bytes that come next, as far as it is RAM and `most` entries hold it; the cursor goes on. Returns
 * the bytes.
 */
uint64_t ahci_map(const AhciPort *port, AhciCursor *cursor, uint64_t bytes, bool to_memory,
                  struct iovec *iov, unsigned most, unsigned *count);
/* Goes on by bytes that were mapped; to_memory: they were written. */
void ahci_advance(const AhciPort *port, AhciCursor *cursor, uint64_t bytes, bool to_memory);
/* Copies and goes on; returns the bytes. */
uint64_t ahci_copy(const AhciPort *port, AhciCursor *cursor, void *buffer, uint64_t bytes,
                   bool to_memory);

/* ahci-port.c */
void ahci_port_init(AhciPort *port, Ahci *ahci, unsigned number);
void ahci_port_reset(AhciPort *port);
uint32_t ahci_port_read(AhciPort *port, unsigned offset);
void ahci_port_write(AhciPort *port, unsigned offset, uint32_t value);
void ahci_port_raise(AhciPort *port, uint32_t causes);
/* Takes the next command of the list, when the drive can. */
void ahci_port_run(AhciPort *port);
IdeDrive *ahci_port_drive(const AhciPort *port);

/* ahci-ncq.c */
bool ahci_is_queued(const AhciCommand *command);
/* False: the drive does not take it. */
bool ahci_ncq_start(AhciPort *port, unsigned slot, const AhciCommand *command);
/* What the drive has of queued commands is gone. */
void ahci_ncq_forget(AhciPort *port);
/* Makes what failed under werror=stop, or a saved state had under way. */
void ahci_ncq_resume(AhciPort *port);
void ahci_ncq_drain(AhciPort *port);

#define AHCI_PORT_STATE                                                                            \
    STATE(AhciPort, command_list), STATE(AhciPort, received), STATE(AhciPort, is),                 \
        STATE(AhciPort, ie), STATE(AhciPort, cmd), STATE(AhciPort, sctl), STATE(AhciPort, serr),   \
        STATE(AhciPort, sact), STATE(AhciPort, ci), STATE(AhciPort, signature),                    \
        STATE(AhciPort, busy), STATE_MOST(AhciPort, slot, AHCI_SLOTS - 1),                         \
        STATE(AhciPort, packet), STATE(AhciPort, halted), STATE(AhciPort, soft_reset), STATE(AhciPort, ncq),                \
        STATE(AhciPort, moved), STATE(AhciPort, header), STATE(AhciPort, cursor.next),             \
        STATE_MOST(AhciPort, cursor.entries, 65535), STATE(AhciPort, cursor.address),              \
        STATE(AhciPort, cursor.bytes), STATE(AhciPort, channel.control),                           \
        STATE_MOST(AhciPort, channel.selected, 1), STATE(AhciPort, channel.irq_level),             \
        STATE_DERIVED(AhciPort, queued), STATE_DERIVED(AhciPort, orphans),                         \
        STATE_DERIVED(AhciPort, pumping)

#endif
