/* SPDX-License-Identifier: MIT */
/* Channels with a bus master DMA engine. */
#include "hw/ide/bus-master.h"

#include "machine/debug.h"
#include "machine/machine.h"

enum {
    COMMAND = 0,
    STATUS = 2,
    TABLE = 4,
    REGION_SIZE = 8,

    COMMAND_START = 1 << 0,
    COMMAND_TO_MEMORY = 1 << 3,

    STATUS_ACTIVE = 1 << 0,
    STATUS_ERROR = 1 << 1,
    STATUS_INTERRUPT = 1 << 2,
    STATUS_CAPABLE = 3 << 5, /* software's notes */

    PRD_SIZE = 8,
    PRD_LAST = 1u << 31,
    PRD_BYTES = 0xfffe,
    PRD_BYTES_MAX = 0x10000,
    TABLE_WINDOW = 0x10000, /* a table does not cross such a boundary */
};

static BusMaster *bus_master(IdeChannel *channel)
{
    return container_of(channel, BusMaster, channel);
}

/* Descriptors */

/* Reads the next descriptor. False at the end of the table, and where it cannot be read (*fault). */
static bool next_region(const BusMaster *master, BusMasterCursor *cursor, bool *fault)
{
    uint8_t prd[PRD_SIZE];
    uint32_t size;

    if (cursor->last || cursor->steps == TABLE_WINDOW / PRD_SIZE) {
        return false;
    }
    if (!pci_bus_master_enabled(master->pci) ||
        address_space_read_bytes(&master->pci->device.machine->memory_space, cursor->next, prd,
                                 sizeof prd, pci_dma_attributes(master->pci)) != MEMORY_OK) {
        *fault = true;
        return false;
    }
    size = load_le32(prd + 4);
    cursor->next =
        (cursor->next & ~(uint32_t)(TABLE_WINDOW - 1)) | ((cursor->next + PRD_SIZE) & 0xffff);
    cursor->steps++;
    cursor->address = load_le32(prd) & ~1u;
    cursor->bytes = size & PRD_BYTES ? size & PRD_BYTES : PRD_BYTES_MAX;
    cursor->last = size & PRD_LAST;
    return true;
}

static bool at_end(const BusMaster *master)
{
    return master->cursor.last && master->cursor.bytes == 0;
}

static uint64_t gather(IdeChannel *channel, uint64_t bytes, bool to_memory, struct iovec *iov,
                       unsigned *count)
{
    BusMaster *master = bus_master(channel);
    BusMasterCursor cursor = master->cursor;
    uint64_t done = 0;
    bool fault = false;

    *count = 0;
    while (done < bytes && *count < IDE_IOV_MAX) {
        uint64_t size;
        void *host;

        if (!cursor.bytes && !next_region(master, &cursor, &fault)) {
            break;
        }
        size = MIN(cursor.bytes, bytes - done);
        host = address_space_map(&master->pci->device.machine->memory_space, cursor.address, &size,
                                 to_memory);
        if (!host || !size) {
            break;
        }
        iov[(*count)++] = (struct iovec){ host, size };
        cursor.address += size;
        cursor.bytes -= size;
        done += size;
    }
    return done;
}

static void advance(IdeChannel *channel, uint64_t bytes, bool to_memory)
{
    BusMaster *master = bus_master(channel);
    bool fault = false;

    while (bytes) {
        uint32_t size;

        if (!master->cursor.bytes && !next_region(master, &master->cursor, &fault)) {
            return;
        }
        size = MIN(master->cursor.bytes, bytes);
        if (to_memory) {
            address_space_written(&master->pci->device.machine->memory_space, &master->pci->device,
                                  master->cursor.address, size);
        } else {
            debug_dma(&master->pci->device, master->cursor.address, size, false);
        }
        master->cursor.address += size;
        master->cursor.bytes -= size;
        bytes -= size;
    }
}

static uint64_t copy(IdeChannel *channel, void *buffer, uint64_t bytes, bool to_memory)
{
    BusMaster *master = bus_master(channel);
    AddressSpace *space = &master->pci->device.machine->memory_space;
    BusMasterCursor *cursor = &master->cursor;
    uint64_t done = 0;
    bool fault = false;

    while (done < bytes) {
        uint8_t *at = (uint8_t *)buffer + done;
        MemoryAttributes attributes = pci_dma_attributes(master->pci);
        MemoryResult result;
        uint32_t size, address;

        if (!cursor->bytes && !next_region(master, cursor, &fault)) {
            break;
        }
        size = MIN(cursor->bytes, bytes - done);
        address = cursor->address;
        /* Before the access, which may reach these registers. */
        cursor->address += size;
        cursor->bytes -= size;
        result = to_memory ? address_space_write_bytes(space, address, at, size, attributes)
                           : address_space_read_bytes(space, address, at, size, attributes);
        if (result != MEMORY_OK) {
            fault = true;
            break;
        }
        done += size;
    }
    if (fault) {
        master->status |= STATUS_ERROR;
    }
    return done;
}

static bool started(IdeChannel *channel)
{
    return bus_master(channel)->status & STATUS_ACTIVE;
}

/* Active stays set when the table has room for more than the drive had (section 3.1, table of states). */
static void finished(IdeChannel *channel)
{
    BusMaster *master = bus_master(channel);

    if (at_end(master)) {
        master->status &= (uint8_t)~STATUS_ACTIVE;
    }
}

static void ran_out(IdeChannel *channel)
{
    BusMaster *master = bus_master(channel);

    log_guest_error(
        master->pci->device.type->name,
        "the DMA table at %#x ends, or memory does not answer, before the transfer does",
        master->table);
    master->status &= (uint8_t)~STATUS_ACTIVE;
}

static void set_irq(IdeChannel *channel, bool level)
{
    BusMaster *master = bus_master(channel);

    if (level) {
        master->status |= STATUS_INTERRUPT;
    }
    irq_set(&master->irq, level);
}

static const IdeControllerOps ops = {
    .started = started,
    .gather = gather,
    .advance = advance,
    .copy = copy,
    .finished = finished,
    .ran_out = ran_out,
    .set_irq = set_irq,
};

/* The engine's registers */

static MemoryResult read_engine(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    const BusMaster *master = opaque;
    uint8_t registers[REGION_SIZE] = { 0 };

    registers[COMMAND] = master->command;
    registers[STATUS] = master->status;
    store_le32(registers + TABLE, master->table);
    *value = 0;
    memcpy(value, registers + offset, size);
    return MEMORY_OK;
}

static void write_command(BusMaster *master, uint8_t value)
{
    bool start = value & COMMAND_START && !(master->command & COMMAND_START);

    master->command = value & (COMMAND_START | COMMAND_TO_MEMORY);
    if (!(value & COMMAND_START)) {
        master->status &= (uint8_t)~STATUS_ACTIVE;
    } else if (start) {
        master->status |= STATUS_ACTIVE;
        master->cursor = (BusMasterCursor){ .next = master->table };
        ide_dma_started(&master->channel);
    }
}

static MemoryResult write_engine(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    BusMaster *master = opaque;

    for (unsigned i = 0; i < size; i++, value >>= 8) {
        unsigned at = offset + i;
        uint8_t byte = value;

        if (at == COMMAND) {
            write_command(master, byte);
        } else if (at == STATUS) {
            master->status &= ~(byte & (STATUS_ERROR | STATUS_INTERRUPT));
            master->status = (master->status & ~STATUS_CAPABLE) | (byte & STATUS_CAPABLE);
        } else if (at >= TABLE) {
            uint32_t table = bits_deposit(master->table, (at - TABLE) * 8, 8, byte);

            master->table = table & ~3u;
        }
    }
    return MEMORY_OK;
}

static const MemoryOps engine_ops = { .read = read_engine, .write = write_engine, .size_max = 4 };

/* Life */

void bus_master_init(BusMaster *master, PciDevice *pci, unsigned number, const char *bus_name,
                     uint16_t command_port, uint16_t control_port)
{
    Machine *machine = pci->device.machine;

    master->pci = pci;
    ide_channel_init(&master->channel, &pci->device, bus_name, number, &ops);
    ide_ports_init(&master->channel, &master->command_region, &master->control_region);
    memory_region_init_io(&master->region, machine, "ide-bus-master", REGION_SIZE, &engine_ops,
                          master);
    memory_region_add(pci->bus->io, command_port, &master->command_region, 0);
    memory_region_add(pci->bus->io, control_port, &master->control_region, 0);
    device_add_irq(&pci->device, &master->irq);
}

void bus_master_remove(BusMaster *master)
{
    if (master->command_region.parent) {
        memory_region_remove(&master->command_region);
        memory_region_remove(&master->control_region);
    }
}

void bus_master_reset(BusMaster *master)
{
    master->command = master->status = 0;
    master->table = 0;
    master->cursor = (BusMasterCursor){ 0 };
    ide_channel_reset(&master->channel);
}

void bus_master_state_loaded(BusMaster *master)
{
    irq_set(&master->irq, master->channel.irq_level);
}
