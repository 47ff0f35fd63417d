/* SPDX-License-Identifier: MIT */
/* AHCI: commands and the memory that they name (section 4). All of it is the guest's, and read once. */
#include <string.h>

#include "hw/ide/ahci.h"
#include "machine/debug.h"
#include "machine/machine.h"

enum {
    HEADER_SIZE = 32,
    HEADER_TABLE = 8,
    FLAG_PACKET = 1 << 5,
    FLAG_WRITE = 1 << 6,
    FLAG_RESET = 1 << 8,
    FLAG_CLEAR_BUSY = 1 << 10,
    TABLE_ALIGN = 128,
    TABLE_PACKET = 0x40,
    TABLE_REGIONS = 0x80,
    REGION_SIZE = 16,
    REGION_BYTES = 0x3fffff, /* less one */
};

static AddressSpace *memory(const AhciPort *port)
{
    return &port->ahci->pci.device.machine->memory_space;
}

bool ahci_read(const AhciPort *port, uint64_t address, void *data, unsigned size)
{
    return pci_bus_master_enabled(&port->ahci->pci) &&
           address_space_read_bytes(memory(port), address, data, size,
                                    pci_dma_attributes(&port->ahci->pci)) == MEMORY_OK;
}

bool ahci_write(const AhciPort *port, uint64_t address, const void *data, unsigned size)
{
    return pci_bus_master_enabled(&port->ahci->pci) &&
           address_space_write_bytes(memory(port), address, data, size,
                                     pci_dma_attributes(&port->ahci->pci)) == MEMORY_OK;
}

bool ahci_read_command(const AhciPort *port, unsigned slot, AhciCommand *command)
{
    uint8_t header[HEADER_SIZE];
    uint64_t table;
    uint32_t flags;

    command->header = port->command_list + slot * HEADER_SIZE;
    if (!ahci_read(port, command->header, header, sizeof header)) {
        return false;
    }
    flags = load_le32(header);
    table = load_le64(header + HEADER_TABLE) & ~(uint64_t)(TABLE_ALIGN - 1);
    command->packet = flags & FLAG_PACKET;
    command->to_drive = flags & FLAG_WRITE;
    command->reset = flags & FLAG_RESET;
    command->clear_busy = flags & FLAG_CLEAR_BUSY;
    command->regions = (AhciCursor){ .next = table + TABLE_REGIONS, .entries = flags >> 16 };
    return ahci_read(port, table, command->fis, sizeof command->fis) &&
           ahci_read(port, table + TABLE_PACKET, command->packet_bytes,
                     sizeof command->packet_bytes);
}

/* Reads the next entry; false at the end of the list and where it cannot be read. */
static bool next_region(const AhciPort *port, AhciCursor *cursor)
{
    uint8_t entry[REGION_SIZE];

    if (!cursor->entries || !ahci_read(port, cursor->next, entry, sizeof entry)) {
        return false;
    }
    cursor->next += REGION_SIZE;
    cursor->entries--;
    cursor->address = load_le64(entry) & ~UINT64_C(1);
    cursor->bytes = (load_le32(entry + 12) & REGION_BYTES) + 1;
    return true;
}

uint64_t ahci_map(const AhciPort *port, AhciCursor *cursor, uint64_t bytes, bool to_memory,
                  struct iovec *iov, unsigned most, unsigned *count)
{
    uint64_t done = 0;

    *count = 0;
    while (done < bytes && *count < most) {
        uint64_t size;
        void *host;

        if (!cursor->bytes && !next_region(port, cursor)) {
            break;
        }
        size = MIN(cursor->bytes, bytes - done);
        host = address_space_map(memory(port), cursor->address, &size, to_memory);
        if (!host || !size) {
            break;
        }
        iov[(*count)++] = (struct iovec){ host, size };
        cursor->address += size;
        cursor->bytes -= size;
        done += size;
    }
    return done;
}

void ahci_advance(const AhciPort *port, AhciCursor *cursor, uint64_t bytes, bool to_memory)
{
    while (bytes && (cursor->bytes || next_region(port, cursor))) {
        uint32_t size = MIN(cursor->bytes, bytes);

        if (to_memory) {
            address_space_written(memory(port), &port->ahci->pci.device, cursor->address, size);
        } else {
            debug_dma(&port->ahci->pci.device, cursor->address, size, false);
        }
        cursor->address += size;
        cursor->bytes -= size;
        bytes -= size;
    }
}

uint64_t ahci_copy(const AhciPort *port, AhciCursor *cursor, void *buffer, uint64_t bytes,
                   bool to_memory)
{
    uint64_t done = 0;

    while (done < bytes && (cursor->bytes || next_region(port, cursor))) {
        uint8_t *at = (uint8_t *)buffer + done;
        uint32_t size = MIN(cursor->bytes, bytes - done);
        uint64_t address = cursor->address;

        /* Before the access, which may reach these registers. */
        cursor->address += size;
        cursor->bytes -= size;
        if (!(to_memory ? ahci_write(port, address, at, size)
                        : ahci_read(port, address, at, size))) {
            break;
        }
        done += size;
    }
    return done;
}
