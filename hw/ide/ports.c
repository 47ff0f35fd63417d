/* SPDX-License-Identifier: MIT */
/* The registers of an ATA channel at I/O ports: a block of eight for commands, and one port for control. */
#include "hw/ide/ide.h"
#include "machine/machine.h"

enum { COMMAND_PORTS = 8, CONTROL_PORTS = 1 };

static MemoryResult read_drive(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    IdeChannel *channel = opaque;

    *value = 0;
    for (unsigned i = 0; i < size;) {
        if (offset == IDE_DATA && size > 1) {
            *value |= (uint64_t)ide_read(channel, IDE_DATA) << i * 8;
            i += 2;
        } else {
            *value |= (uint64_t)(ide_read(channel, offset + i) & 0xff) << i * 8;
            i++;
        }
    }
    return MEMORY_OK;
}

static MemoryResult write_drive(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    IdeChannel *channel = opaque;

    for (unsigned i = 0; i < size;) {
        if (offset == IDE_DATA && size > 1) {
            ide_write(channel, IDE_DATA, value >> i * 8);
            i += 2;
        } else {
            ide_write(channel, offset + i, value >> i * 8 & 0xff);
            i++;
        }
    }
    return MEMORY_OK;
}

/* A command's parameters, which the drive looks at when the command comes. */
static const MemoryPlace parameters[] = { { IDE_DATA + 1, IDE_COMMAND - IDE_DATA - 1 }, { 0 } };

static const MemoryOps drive_ops = {
    .read = read_drive, .write = write_drive, .size_max = 4, .late = parameters
};

static MemoryResult read_control(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                 MemoryAttributes attributes)
{
    *value = ide_read_alternate_status(opaque);
    return MEMORY_OK;
}

static MemoryResult write_control(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                  MemoryAttributes attributes)
{
    ide_write_control(opaque, value);
    return MEMORY_OK;
}

static const MemoryOps control_ops = { .read = read_control,
                                       .write = write_control,
                                       .size_max = 1 };

void ide_ports_init(IdeChannel *channel, MemoryRegion *command, MemoryRegion *control)
{
    Machine *machine = channel->bus.parent->machine;

    memory_region_init_io(command, machine, "ide-command", COMMAND_PORTS, &drive_ops, channel);
    memory_region_init_io(control, machine, "ide-control", CONTROL_PORTS, &control_ops, channel);
}
