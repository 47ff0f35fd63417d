/* SPDX-License-Identifier: MIT */
/*
 * AHCI ports: registers, and how the commands of a list reach the drive of a channel. The port writes a command's FIS
 * to the drive's registers, and does what a host does at an IDE channel: it moves data when the drive asks for them,
 * and takes note of the end.
 */
#include <string.h>

#include "hw/ide/ahci.h"
#include "machine/machine.h"

enum {
    /* Registers of a port (3.3). */
    PORT_CLB = 0x00,
    PORT_CLBU = 0x04,
    PORT_FB = 0x08,
    PORT_FBU = 0x0c,
    PORT_IS = 0x10,
    PORT_IE = 0x14,
    PORT_CMD = 0x18,
    PORT_TFD = 0x20,
    PORT_SIG = 0x24,
    PORT_SSTS = 0x28,
    PORT_SCTL = 0x2c,
    PORT_SERR = 0x30,
    PORT_SACT = 0x34,
    PORT_CI = 0x38,

    CMD_SPIN_UP = 1 << 1,
    CMD_POWER_ON = 1 << 2,
    CMD_FR = 1 << 14,
    CMD_CR = 1 << 15,
    CMD_CCS_SHIFT = 8,
    CMD_WRITABLE = AHCI_CMD_ST | CMD_SPIN_UP | CMD_POWER_ON | AHCI_CMD_FRE | 7 << 24,
    IE_WRITABLE = (int)0xfdc000ff,
    SCTL_DET = 15,
    SCTL_DET_OFF = 4,
    SSTS_OFFLINE = 4,
    SSTS_ACTIVE = 0x113, /* a drive is there, at 1.5 Gbit/s, not asleep */
    TFD_NO_DRIVE = 0x7f,
    SIG_NONE = -1,
    LIST_ALIGN = 1024,
    RECEIVED_ALIGN = 256,

    /* Frames (Serial ATA 3.1, 10.5) and where those that are received go (4.2.1). */
    FIS_TO_DRIVE = 0x27,
    FIS_REGISTER = 0x34,
    FIS_PIO_SETUP = 0x5f,
    FIS_COMMAND = 1 << 7,
    FIS_INTERRUPT = 1 << 6,
    FIS_DIRECTION = 1 << 5,
    FIS_SIZE = 20,
    RECEIVED_PIO = 0x20,
    RECEIVED_REGISTER = 0x40,
    CONTROL_SRST = 1 << 2,
    HEADER_MOVED = 4,

    COMMAND_PACKET = 0xa0,
    RUN_BUDGET = 4 * AHCI_SLOTS,
};

static AhciPort *ahci_port(IdeChannel *channel)
{
    return container_of(channel, AhciPort, channel);
}

IdeDrive *ahci_port_drive(const AhciPort *port)
{
    return port->channel.drives[0];
}

void ahci_port_raise(AhciPort *port, uint32_t causes)
{
    port->is |= causes;
    ahci_update_irq(port->ahci);
}

/* Received frames */

static void post(AhciPort *port, unsigned where, const uint8_t *fis, unsigned size)
{
    if (port->cmd & AHCI_CMD_FRE) {
        ahci_write(port, port->received + where, fis, size);
    }
}

static void put_registers(const IdeDrive *drive, uint8_t *fis)
{
    const uint8_t *r = drive->registers, *p = drive->previous;

    fis[2] = drive->status;
    fis[3] = drive->error;
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = r[IDE_LBA_LOW + i];
        fis[8 + i] = p[IDE_LBA_LOW + i];
    }
    fis[7] = r[IDE_DEVICE];
    fis[12] = r[IDE_COUNT];
    fis[13] = p[IDE_COUNT];
}

static void post_registers(AhciPort *port, const IdeDrive *drive, bool interrupt)
{
    uint8_t fis[FIS_SIZE] = { FIS_REGISTER, interrupt ? FIS_INTERRUPT : 0 };
    uint32_t causes = interrupt ? AHCI_IS_DHRS : 0;

    put_registers(drive, fis);
    post(port, RECEIVED_REGISTER, fis, sizeof fis);
    ahci_port_raise(port, causes | (drive->status & IDE_STATUS_ERR ? AHCI_IS_TFES : 0));
}

static void post_pio_setup(AhciPort *port, const IdeDrive *drive, uint32_t bytes, bool in)
{
    uint8_t fis[FIS_SIZE] = { FIS_PIO_SETUP, FIS_INTERRUPT | (in ? FIS_DIRECTION : 0) };

    put_registers(drive, fis);
    fis[15] = IDE_STATUS_READY;
    store_le16(fis + 16, bytes);
    post(port, RECEIVED_PIO, fis, sizeof fis);
    ahci_port_raise(port, AHCI_IS_PSS);
}

/* What the drive is, after a reset. */
static void post_signature(AhciPort *port)
{
    const IdeDrive *drive = ahci_port_drive(port);
    const uint8_t *r = drive->registers;

    port->signature =
        r[IDE_COUNT] | r[IDE_LBA_LOW] << 8 | r[IDE_LBA_MID] << 16 | (uint32_t)r[IDE_LBA_HIGH] << 24;
    post_registers(port, drive, false);
}

/* Commands */

static void end_command(AhciPort *port, IdeDrive *drive)
{
    uint8_t moved[4];

    port->busy = false;
    store_le32(moved, port->moved);
    ahci_write(port, port->header + HEADER_MOVED, moved, sizeof moved);
    port->ci &= ~(UINT32_C(1) << port->slot);
    ide_read(&port->channel, IDE_COMMAND); /* acknowledges the drive's interrupt */
    post_registers(port, drive, true);
}

/* The drive has or wants data: its packet, or what the command's regions are for. */
static void move_piece(AhciPort *port, IdeDrive *drive)
{
    uint8_t *at = drive->buffer + drive->position;
    uint32_t bytes = drive->piece_end - drive->position;
    bool in = drive->phase == IDE_PIO_IN;
    uint64_t got;

    ide_read(&port->channel, IDE_COMMAND);
    if (port->packet && !in) {
        AhciCommand command;

        port->packet = false;
        if (!ahci_read_command(port, port->slot, &command)) {
            memset(command.packet_bytes, 0, sizeof command.packet_bytes);
        }
        memcpy(at, command.packet_bytes, MIN(bytes, sizeof command.packet_bytes));
    } else {
        post_pio_setup(port, drive, bytes, in);
        got = ahci_copy(port, &port->cursor, at, bytes, in);
        port->moved += got;
        if (!in) {
            memset(at + got, 0, bytes - got);
        }
        if (got < bytes) {
            ahci_port_raise(port, AHCI_IS_OFS);
        }
    }
    /* Unless what was written reached the port's own registers. */
    if (port->busy && drive->phase == (in ? IDE_PIO_IN : IDE_PIO_OUT) && drive->piece_end) {
        drive->position = drive->piece_end;
        ide_piece_done(drive);
    }
}

static void write_control(AhciPort *port, const AhciCommand *command, unsigned slot)
{
    bool reset = command->fis[15] & CONTROL_SRST, was = port->soft_reset;

    port->soft_reset = reset;
    port->ci &= ~(UINT32_C(1) << slot);
    if (reset) {
        ahci_ncq_forget(port);
    }
    ide_write_control(&port->channel, reset ? CONTROL_SRST : 0);
    if (was && !reset && !ahci_port_drive(port)->reset_pending) {
        post_signature(port);
    }
}

static void write_registers(AhciPort *port, const uint8_t *fis)
{
    IdeChannel *channel = &port->channel;

    ide_write(channel, IDE_FEATURES, fis[11]);
    ide_write(channel, IDE_FEATURES, fis[3]);
    ide_write(channel, IDE_COUNT, fis[13]);
    ide_write(channel, IDE_COUNT, fis[12]);
    for (unsigned i = 0; i < 3; i++) {
        ide_write(channel, IDE_LBA_LOW + i, fis[8 + i]);
        ide_write(channel, IDE_LBA_LOW + i, fis[4 + i]);
    }
    ide_write(channel, IDE_DEVICE, fis[7] & ~IDE_DEVICE_DEV);
    ide_write(channel, IDE_COMMAND, fis[2]);
}

static void start_command(AhciPort *port, unsigned slot, const AhciCommand *command)
{
    port->busy = true;
    port->slot = slot;
    port->header = command->header;
    port->cursor = command->regions;
    port->moved = 0;
    port->packet = command->packet && command->fis[2] == COMMAND_PACKET;
    write_registers(port, command->fis);
}

/* A command that cannot be read, or that the drive cannot take: the list stops until software starts it again. */
static void refuse(AhciPort *port, IdeDrive *drive, const char *why)
{
    log_guest_error("ahci", "port %u: %s", port->number, why);
    port->halted = true;
    drive->status = IDE_STATUS_READY | IDE_STATUS_ERR;
    drive->error = IDE_ERROR_ABRT;
    post_registers(port, drive, true);
}

/* False: nothing more can be started now. */
static bool start_next(AhciPort *port, IdeDrive *drive)
{
    unsigned slot = port->ci ? (unsigned)__builtin_ctz(port->ci) : 0;
    AhciCommand command;

    if (!port->ci || port->halted || !(port->cmd & AHCI_CMD_ST) ||
        drive->status & (IDE_STATUS_BSY | IDE_STATUS_DRQ)) {
        return false;
    }
    if (!ahci_read_command(port, slot, &command) || command.fis[0] != FIS_TO_DRIVE) {
        refuse(port, drive, "a command that is not in memory, or is none");
    } else if (!(command.fis[1] & FIS_COMMAND)) {
        write_control(port, &command, slot);
    } else if (port->soft_reset) {
        return false;
    } else if (ahci_is_queued(&command)) {
        if (!ahci_ncq_start(port, slot, &command)) {
            refuse(port, drive, "a queued command that the drive does not take");
        }
    } else if (port->ncq) {
        return false; /* until the queued ones are done */
    } else {
        start_command(port, slot, &command);
    }
    return true;
}

void ahci_port_run(AhciPort *port)
{
    IdeDrive *drive = ahci_port_drive(port);
    unsigned budget = RUN_BUDGET;

    if (port->pumping || !drive) {
        return;
    }
    port->pumping = true;
    for (;;) {
        if (!port->busy) {
            if (!budget-- || !start_next(port, drive)) {
                break;
            }
        } else if (drive->phase == IDE_PIO_IN || drive->phase == IDE_PIO_OUT) {
            move_piece(port, drive);
        } else if (drive->phase == IDE_IDLE && !(drive->status & IDE_STATUS_BSY)) {
            end_command(port, drive);
        } else {
            break; /* the block layer is at work */
        }
    }
    port->pumping = false;
}

/* As the drive's channel sees the port */

static bool started(IdeChannel *channel)
{
    return ahci_port(channel)->busy;
}

static uint64_t gather(IdeChannel *channel, uint64_t bytes, bool to_memory, struct iovec *iov,
                       unsigned *count)
{
    AhciPort *port = ahci_port(channel);
    AhciCursor cursor = port->cursor;

    return ahci_map(port, &cursor, bytes, to_memory, iov, IDE_IOV_MAX, count);
}

static void advance(IdeChannel *channel, uint64_t bytes, bool to_memory)
{
    AhciPort *port = ahci_port(channel);

    ahci_advance(port, &port->cursor, bytes, to_memory);
    port->moved += bytes;
}

static uint64_t copy(IdeChannel *channel, void *buffer, uint64_t bytes, bool to_memory)
{
    AhciPort *port = ahci_port(channel);
    uint64_t done = ahci_copy(port, &port->cursor, buffer, bytes, to_memory);

    port->moved += done;
    return done;
}

static void finished(IdeChannel *channel)
{
}

static void ran_out(IdeChannel *channel)
{
    AhciPort *port = ahci_port(channel);

    log_guest_error("ahci",
                    "port %u: the regions end, or memory does not answer, before the data do",
                    port->number);
    ahci_port_raise(port, AHCI_IS_OFS);
    ide_fail(ahci_port_drive(port), IDE_ERROR_ABRT);
}

static void set_irq(IdeChannel *channel, bool level)
{
    if (level) {
        ahci_port_run(ahci_port(channel));
    }
}

static void reset_done(IdeChannel *channel)
{
    AhciPort *port = ahci_port(channel);

    if (!port->soft_reset) {
        post_signature(port);
        ahci_port_run(port);
    }
}

static const IdeControllerOps ops = {
    .started = started,
    .gather = gather,
    .advance = advance,
    .copy = copy,
    .finished = finished,
    .ran_out = ran_out,
    .set_irq = set_irq,
    .reset_done = reset_done,
};

/* Registers */

static uint32_t task_file(const AhciPort *port)
{
    const IdeDrive *drive = ahci_port_drive(port);
    uint8_t status = drive ? ide_read_alternate_status(&port->channel) : TFD_NO_DRIVE;

    if (port->orphans) {
        status |= IDE_STATUS_BSY; /* until requests have ended that a reset has cut off */
    }
    return status | (drive ? (uint32_t)drive->error << 8 : 0);
}

uint32_t ahci_port_read(AhciPort *port, unsigned offset)
{
    switch (offset) {
    case PORT_CLB:
        return (uint32_t)port->command_list;
    case PORT_CLBU:
        return port->command_list >> 32;
    case PORT_FB:
        return (uint32_t)port->received;
    case PORT_FBU:
        return port->received >> 32;
    case PORT_IS:
        return port->is;
    case PORT_IE:
        return port->ie;
    case PORT_CMD:
        return port->cmd | (port->cmd & AHCI_CMD_FRE ? CMD_FR : 0) |
               (port->cmd & AHCI_CMD_ST ? CMD_CR | (uint32_t)port->slot << CMD_CCS_SHIFT : 0);
    case PORT_TFD:
        return task_file(port);
    case PORT_SIG:
        return port->signature;
    case PORT_SSTS:
        if ((port->sctl & SCTL_DET) == SCTL_DET_OFF) {
            return SSTS_OFFLINE;
        }
        return ahci_port_drive(port) ? SSTS_ACTIVE : 0;
    case PORT_SCTL:
        return port->sctl;
    case PORT_SERR:
        return port->serr;
    case PORT_SACT:
        return port->sact;
    case PORT_CI:
        return port->ci;
    default:
        return 0;
    }
}

/* Drops what the drive does for the list. */
static void stop(AhciPort *port)
{
    port->halted = false;
    port->ci = port->sact = 0;
    ahci_ncq_forget(port);
    if (port->busy) {
        port->busy = false;
        ide_write_control(&port->channel, CONTROL_SRST);
        ide_write_control(&port->channel, 0);
    }
}

/* COMRESET, when DET falls back to 0. */
static void reset_link(AhciPort *port)
{
    port->signature = SIG_NONE;
    port->busy = port->halted = port->soft_reset = false;
    port->ci = port->sact = 0;
    ahci_ncq_forget(port);
    ide_write_control(&port->channel, CONTROL_SRST);
    ide_write_control(&port->channel, 0);
    if (ahci_port_drive(port) && !ahci_port_drive(port)->reset_pending) {
        post_signature(port);
    }
}

static void write_command(AhciPort *port, uint32_t value)
{
    uint32_t old = port->cmd;

    port->cmd = value & CMD_WRITABLE;
    if (old & ~value & AHCI_CMD_ST) {
        stop(port);
    }
    if (value & ~old & AHCI_CMD_FRE && ahci_port_drive(port) && !port->busy) {
        post_signature(port);
    }
    ahci_port_run(port);
}

void ahci_port_write(AhciPort *port, unsigned offset, uint32_t value)
{
    uint32_t old = port->sctl & SCTL_DET;

    switch (offset) {
    case PORT_CLB:
        port->command_list = bits_deposit(port->command_list, 0, 32, value & ~(LIST_ALIGN - 1u));
        break;
    case PORT_CLBU:
        port->command_list = bits_deposit(port->command_list, 32, 32, value);
        break;
    case PORT_FB:
        port->received = bits_deposit(port->received, 0, 32, value & ~(RECEIVED_ALIGN - 1u));
        break;
    case PORT_FBU:
        port->received = bits_deposit(port->received, 32, 32, value);
        break;
    case PORT_IS:
        port->is &= ~value;
        break;
    case PORT_IE:
        port->ie = value & (uint32_t)IE_WRITABLE;
        ahci_update_irq(port->ahci);
        break;
    case PORT_CMD:
        write_command(port, value);
        break;
    case PORT_SCTL:
        port->sctl = value & 0xfff;
        if (old == 1 && (value & SCTL_DET) == 0) {
            reset_link(port);
        }
        break;
    case PORT_SERR:
        port->serr &= ~value;
        break;
    case PORT_SACT:
        port->sact |= port->cmd & AHCI_CMD_ST ? value : 0;
        break;
    case PORT_CI:
        port->ci |= port->cmd & AHCI_CMD_ST ? value : 0;
        ahci_port_run(port);
        break;
    default:
        log_guest_error("ahci", "port %u: write to read-only %#x", port->number, offset);
    }
}

/* Life */

void ahci_port_init(AhciPort *port, Ahci *ahci, unsigned number)
{
    g_autofree char *name = g_strdup_printf("%s.%u", ahci->pci.device.id, number);

    port->ahci = ahci;
    port->number = number;
    ide_channel_init(&port->channel, &ahci->pci.device, name, number, &ops);
    port->channel.bus.max_devices = 1;
    port->channel.queues = true;
}

void ahci_port_reset(AhciPort *port)
{
    ahci_ncq_forget(port);
    port->command_list = port->received = 0;
    port->is = port->ie = port->sctl = port->serr = port->sact = port->ci = 0;
    port->cmd = CMD_SPIN_UP | CMD_POWER_ON;
    port->busy = port->packet = port->halted = port->soft_reset = false;
    port->slot = 0;
    port->moved = 0;
    port->header = 0;
    port->cursor = (AhciCursor){ 0 };
    port->signature = SIG_NONE;
    ide_channel_reset(&port->channel);
}
