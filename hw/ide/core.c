/* SPDX-License-Identifier: MIT */
/* ATA channels: the registers, selection, interrupts and resets that all drives share. */
#include "hw/ide/ide.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

enum {
    CONTROL_NIEN = 1 << 1,
    CONTROL_SRST = 1 << 2,
    CONTROL_HOB = 1 << 7,
    DEVICE_OBSOLETE = 0xa0, /* bits that read as ones */
    COMMAND_DEVICE_RESET = 0x08,
    COMMAND_DIAGNOSTIC = 0x90,
    DIAGNOSTIC_PASSED = 0x01,
};

/* The bus */

static bool ide_bus_attach(Bus *bus, Device *device, GError **error)
{
    IdeChannel *channel = container_of(bus, IdeChannel, bus);
    IdeDrive *drive = ide_drive(device);

    if (drive->unit == UINT32_MAX) {
        drive->unit = channel->drives[0] ? 1 : 0;
    }
    if (drive->unit >= bus->max_devices) {
        return error_fail(error, KASO_ERROR_INVALID, "unit=%u: bus '%s' has the units 0 to %u",
                          drive->unit, bus->name, bus->max_devices - 1);
    }
    if (channel->drives[drive->unit]) {
        return error_fail(error, KASO_ERROR_INVALID, "unit %u of bus '%s' is taken by '%s'",
                          drive->unit, bus->name, channel->drives[drive->unit]->device.id);
    }
    drive->channel = channel;
    channel->drives[drive->unit] = drive;
    return true;
}

static void ide_bus_detach(Bus *bus, Device *device)
{
    IdeChannel *channel = container_of(bus, IdeChannel, bus);
    IdeDrive *drive = ide_drive(device);

    if (drive->unit < 2 && channel->drives[drive->unit] == drive) {
        channel->drives[drive->unit] = NULL;
        ide_update_irq(channel);
    }
}

static void ide_bus_describe(Device *device, GString *out)
{
    g_string_append_printf(out, "unit %u\n", ide_drive(device)->unit);
}

static void ide_bus_boot_path(const Device *device, GString *out)
{
    const IdeChannel *channel = container_of(device->bus, IdeChannel, bus);

    g_string_append_printf(out, "/drive@%x/disk@%x", channel->number,
                           container_of(device, IdeDrive, device)->unit);
}

const BusType ide_bus_type = {
    .name = "ide",
    .attach = ide_bus_attach,
    .detach = ide_bus_detach,
    .describe = ide_bus_describe,
    .boot_path = ide_bus_boot_path,
};

void ide_channel_init(IdeChannel *channel, Device *controller, const char *name, unsigned number,
                      const IdeControllerOps *ops)
{
    channel->number = number;
    bus_init(&channel->bus, &ide_bus_type, controller, name);
    channel->bus.max_devices = 2;
    channel->ops = ops;
}

void ide_channel_reset(IdeChannel *channel)
{
    channel->control = 0;
    channel->selected = 0;
    channel->irq_level = false;
    channel->ops->set_irq(channel, false);
}

/* Interrupts */

/* The selected drive alone drives INTRQ (volume 2, 6.3.7). */
void ide_update_irq(IdeChannel *channel)
{
    const IdeDrive *drive = channel->drives[channel->selected & 1];
    bool level = drive && drive->irq && !(channel->control & CONTROL_NIEN);

    if (level != channel->irq_level) {
        channel->irq_level = level;
        channel->ops->set_irq(channel, level);
    }
}

void ide_raise_irq(IdeDrive *drive)
{
    drive->irq = true;
    ide_update_irq(drive->channel);
}

static void clear_irq(IdeDrive *drive)
{
    drive->irq = false;
    ide_update_irq(drive->channel);
}

/* Ends of commands */

void ide_finish(IdeDrive *drive)
{
    drive->phase = IDE_IDLE;
    drive->status = IDE_STATUS_READY;
    drive->error = 0;
    ide_raise_irq(drive);
}

void ide_fail(IdeDrive *drive, uint8_t error)
{
    drive->phase = IDE_IDLE;
    drive->status = IDE_STATUS_READY | IDE_STATUS_ERR;
    drive->error = error;
    ide_raise_irq(drive);
}

/* Volume 1, 5.15: how drives say what they are. */
void ide_set_signature(IdeDrive *drive)
{
    memset(drive->registers, 0, sizeof drive->registers);
    memset(drive->previous, 0, sizeof drive->previous);
    drive->registers[IDE_COUNT] = 1;
    drive->registers[IDE_LBA_LOW] = 1;
    drive->error = DIAGNOSTIC_PASSED;
}

bool ide_choose_mode(uint8_t value, uint8_t *mode)
{
    enum { CLASS = 0xf8, PIO_DEFAULT = 0, PIO_FLOW = 8, SWDMA = 0x10, MWDMA = 0x20, UDMA = 0x40 };
    unsigned number = value & 7;

    switch (value & CLASS) {
    case PIO_DEFAULT:
    case PIO_FLOW:
        *mode = 0;
        return true;
    case SWDMA:
    case MWDMA:
        *mode = number <= 2 ? value : *mode;
        return number <= 2;
    case UDMA:
        *mode = number <= 5 ? value : *mode;
        return number <= 5;
    default:
        return false;
    }
}

void ide_put_string(uint8_t *words, const char *text, unsigned size)
{
    size_t length = MIN(text ? strlen(text) : 0, size);

    /* Two characters to a word, the first in its high byte. */
    for (unsigned i = 0; i < size; i++) {
        words[i ^ 1] = i < length ? (uint8_t)text[i] : ' ';
    }
}

/* Drives */

void ide_end_reset(IdeDrive *drive)
{
    drive->reset_pending = false;
    drive->ops->reset(drive, false);
    if (drive->channel->ops->reset_done) {
        drive->channel->ops->reset_done(drive->channel);
    }
}

static void soft_reset(IdeDrive *drive)
{
    ide_stop_transfer(drive);
    drive->irq = false;
    if (drive->request->in_flight) {
        drive->reset_pending = true;
        drive->status = IDE_STATUS_BSY;
    } else {
        drive->ops->reset(drive, false);
    }
}

static void reset_both(IdeChannel *channel)
{
    channel->selected = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (channel->drives[i]) {
            soft_reset(channel->drives[i]);
        }
    }
    ide_update_irq(channel);
}

static void deliver(IdeDrive *drive)
{
    if (drive->request->in_flight) {
        block_deliver(drive->disk.drive);
    }
}

static void start_command(IdeDrive *drive, uint8_t command)
{
    clear_irq(drive);
    drive->command = command;
    drive->error = 0;
    drive->fua = false;
    drive->raw = 0;
    drive->last_irq = false;
    drive->io = IDE_IO_NONE;
    trace(drive->device.type->name, "command %#04x count %#x lba %02x:%02x:%02x device %#x",
          command, drive->registers[IDE_COUNT], drive->registers[IDE_LBA_HIGH],
          drive->registers[IDE_LBA_MID], drive->registers[IDE_LBA_LOW],
          drive->registers[IDE_DEVICE]);
    drive->ops->command(drive, command);
    deliver(drive);
}

static void write_command(IdeChannel *channel, uint8_t command)
{
    IdeDrive *drive = channel->drives[channel->selected & 1];
    bool busy = drive && drive->status & (IDE_STATUS_BSY | IDE_STATUS_DRQ);

    if (command == COMMAND_DIAGNOSTIC && !busy) {
        reset_both(channel);
        if (channel->drives[0]) {
            ide_raise_irq(channel->drives[0]);
        }
        return;
    }
    if (drive && (!busy || (command == COMMAND_DEVICE_RESET && !drive->reset_pending))) {
        start_command(drive, command);
    }
}

/* Both drives take what is written to the registers of a command. */
static void write_register(IdeChannel *channel, unsigned offset, uint8_t value)
{
    IdeDrive *selected = channel->drives[channel->selected & 1];

    if (selected && selected->status & (IDE_STATUS_BSY | IDE_STATUS_DRQ)) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        IdeDrive *drive = channel->drives[i];

        if (drive) {
            drive->previous[offset] = drive->registers[offset];
            drive->registers[offset] = value;
        }
    }
    if (offset == IDE_DEVICE) {
        channel->selected = value & IDE_DEVICE_DEV ? 1 : 0;
        ide_update_irq(channel);
    }
}

static uint16_t read_data(IdeDrive *drive)
{
    uint16_t value;

    if (!drive || drive->phase != IDE_PIO_IN || drive->position >= drive->piece_end) {
        return 0;
    }
    /* The last word of an odd piece has one byte that counts. */
    value = drive->buffer[drive->position++];
    if (drive->position < drive->piece_end) {
        value |= drive->buffer[drive->position++] << 8;
    }
    if (drive->position == drive->piece_end) {
        ide_piece_done(drive);
        deliver(drive);
    }
    return value;
}

static void write_data(IdeDrive *drive, uint16_t value)
{
    if (!drive || drive->phase != IDE_PIO_OUT || drive->position >= drive->piece_end) {
        return;
    }
    drive->buffer[drive->position++] = value;
    if (drive->position < drive->piece_end) {
        drive->buffer[drive->position++] = value >> 8;
    }
    if (drive->position == drive->piece_end) {
        ide_piece_done(drive);
        deliver(drive);
    }
}

static uint8_t read_register(const IdeChannel *channel, const IdeDrive *drive, unsigned offset)
{
    /* Where there is one drive only, it answers for the other one. */
    const IdeDrive *other = channel->drives[!(channel->selected & 1)];
    const IdeDrive *who = drive ? drive : other;

    if (!who) {
        return 0;
    }
    if (offset == IDE_FEATURES) {
        return drive ? drive->error : 0;
    }
    if (channel->control & CONTROL_HOB && offset != IDE_DEVICE) {
        return who->previous[offset];
    }
    /* A signature leaves which drive is selected (volume 1, 5.15.2) to those that select. */
    return offset == IDE_DEVICE ? (who->registers[offset] & ~IDE_DEVICE_DEV) | DEVICE_OBSOLETE |
                                      (channel->selected ? IDE_DEVICE_DEV : 0)
                                : who->registers[offset];
}

uint16_t ide_read(IdeChannel *channel, unsigned offset)
{
    IdeDrive *drive = channel->drives[channel->selected & 1];
    uint8_t status;

    if (offset == IDE_DATA) {
        return read_data(drive);
    }
    if (offset != IDE_COMMAND) {
        return read_register(channel, drive, offset);
    }
    status = ide_read_alternate_status(channel);
    if (drive) {
        clear_irq(drive);
    }
    return status;
}

void ide_write(IdeChannel *channel, unsigned offset, uint16_t value)
{
    if (offset == IDE_DATA) {
        write_data(channel->drives[channel->selected & 1], value);
        return;
    }
    channel->control &= (uint8_t)~CONTROL_HOB;
    if (channel->control & CONTROL_SRST) {
        return;
    }
    if (offset == IDE_COMMAND) {
        write_command(channel, value);
    } else {
        write_register(channel, offset, value);
    }
}

uint8_t ide_read_alternate_status(const IdeChannel *channel)
{
    const IdeDrive *drive = channel->drives[channel->selected & 1];

    if (!drive) {
        return 0;
    }
    return channel->control & CONTROL_SRST ? IDE_STATUS_BSY : drive->status;
}

void ide_write_control(IdeChannel *channel, uint8_t value)
{
    uint8_t old = channel->control;

    channel->control = value;
    if (value & CONTROL_SRST && !(old & CONTROL_SRST)) {
        reset_both(channel);
    }
    ide_update_irq(channel);
}

void ide_dma_started(IdeChannel *channel)
{
    IdeDrive *drive = channel->drives[channel->selected & 1];

    if (drive && drive->phase == IDE_DMA_WAIT) {
        ide_dma_next(drive);
        deliver(drive);
    }
}

/* Life */

/* What failed under werror=stop, or was under way when a state was saved, is made again. */
static void on_event(void *opaque, const char *event, const char *json_data)
{
    IdeDrive *drive = opaque;
    Machine *machine = drive->device.machine;
    bool locked = machine_lock_held(machine);

    if (strcmp(event, "RESUME") != 0) {
        return;
    }
    if (!locked) {
        machine_lock(machine);
    }
    if (drive->request->in_flight) {
        /* What it was for is looked at when it has come. */
    } else if (drive->reset_pending) {
        ide_end_reset(drive);
    } else if (drive->phase == IDE_REQUEST) {
        ide_submit(drive);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

bool ide_drive_realize(IdeDrive *drive, const IdeDriveOps *ops, bool read_only, GError **error)
{
    if (!disk_claim(&drive->disk, &drive->device, read_only, error)) {
        return false;
    }
    drive->ops = ops;
    drive->request = g_new0(IdeRequest, 1);
    drive->request->drive = drive;
    machine_add_event_listener(drive->device.machine, on_event, drive);
    return true;
}

void ide_drive_unrealize(IdeDrive *drive)
{
    disk_disclaim(&drive->disk);
    if (drive->request) {
        machine_remove_event_listener(drive->device.machine, on_event, drive);
        g_free(drive->request);
        drive->request = NULL;
    }
}

void ide_drive_reset(IdeDrive *drive)
{
    ide_stop_transfer(drive);
    drive->reset_pending = false;
    if (drive->request->in_flight) {
        block_drain(drive->disk.drive);
    }
    drive->command = 0;
    drive->irq = false;
    drive->dma = drive->last_irq = drive->bounced = drive->fua = drive->out = drive->alone = false;
    drive->offset = 0;
    drive->chunk = drive->piece = drive->fill = 0;
    drive->raw = 0;
    memset(drive->buffer, 0, sizeof drive->buffer);
    drive->ops->reset(drive, true);
}

bool ide_drive_state_check(IdeDrive *drive, GError **error)
{
    bool request = drive->phase == IDE_REQUEST;
    bool port = drive->phase == IDE_PIO_IN || drive->phase == IDE_PIO_OUT;
    uint64_t bytes = disk_bytes(&drive->disk);

    /* Pieces are of what goes through the port. */
    if (drive->position > (port ? drive->piece_end : drive->end) || drive->piece_end > drive->end ||
        (drive->raw != 0 && drive->raw != 304) ||
        (drive->raw && drive->fill > IDE_BUFFER / 2352 * 2048) ||
        (request && (drive->io == IDE_IO_NONE || !drive->disk.drive)) ||
        (request && drive->bounced && !drive->alone &&
         drive->chunk > (drive->raw ? IDE_BUFFER / 2352 * 2048 : IDE_BUFFER)) ||
        (drive->left && (drive->offset > bytes || drive->left > bytes - drive->offset)) ||
        (drive->left && !drive->dma && (!drive->fill || !drive->piece))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the transfer under way is none that the drive can make");
    }
    return true;
}

void ide_drive_state_loaded(IdeDrive *drive)
{
    drive->request->dropped = drive->request->in_flight;
}
