/* SPDX-License-Identifier: MIT */
/*
 * AHCI: native command queuing (Serial ATA 3.1, 13.6). Queued reads and writes go to the block layer side by side, past
 * the drive's own engine, and end in any order by set device bits frames.
 */
#include <string.h>

#include "hw/ide/ahci.h"
#include "hw/ide/ide-hd.h"
#include "machine/machine.h"

enum {
    READ_FPDMA_QUEUED = 0x60,
    WRITE_FPDMA_QUEUED = 0x61,
    DEVICE_FUA = 1 << 7,
    MOST_SECTORS = 65536,
    MOST_PIECES = 1024,

    FIS_SET_DEVICE_BITS = 0xa1,
    FIS_INTERRUPT = 1 << 6,
    RECEIVED_SET_DEVICE_BITS = 0x58,
    STATUS_IN_FIS = 0x77,
};

struct AhciQueued {
    AhciPort *port;
    IdeDrive *drive;
    unsigned slot;
    bool is_write, forgotten;
    uint8_t fis[20];
    uint64_t bytes;
    AhciCursor regions;
    uint8_t *bounce; /* where the regions are not RAM, or too many */
    unsigned count;
    struct iovec iov[MOST_PIECES];
};

bool ahci_is_queued(const AhciCommand *command)
{
    return command->fis[2] == READ_FPDMA_QUEUED || command->fis[2] == WRITE_FPDMA_QUEUED;
}

/* Ends */

static void post(AhciPort *port, const IdeDrive *drive, uint32_t ended)
{
    uint8_t fis[8] = { FIS_SET_DEVICE_BITS, FIS_INTERRUPT, drive->status & STATUS_IN_FIS,
                       drive->error };

    store_le32(fis + 4, ended);
    port->sact &= ~ended;
    if (port->cmd & AHCI_CMD_FRE) {
        ahci_write(port, port->received + RECEIVED_SET_DEVICE_BITS, fis, sizeof fis);
    }
    ahci_port_raise(port, AHCI_IS_SDBS | (drive->status & IDE_STATUS_ERR ? AHCI_IS_TFES : 0));
}

static void end_good(AhciPort *port, IdeDrive *drive, unsigned slot)
{
    port->ncq &= ~(UINT32_C(1) << slot);
    post(port, drive, UINT32_C(1) << slot);
    ahci_port_run(port);
}

/* The drive takes no more until software has started the list again (13.6.7). */
static void end_failed(AhciPort *port, IdeDrive *drive, unsigned slot, const uint8_t *fis,
                       uint8_t error)
{
    port->ncq &= ~(UINT32_C(1) << slot);
    port->halted = true;
    drive->status = IDE_STATUS_READY | IDE_STATUS_ERR;
    drive->error = error;
    ide_hd_note_queue_error(ide_hd(drive), slot, fis);
    post(port, drive, 0);
}

static void finish(AhciQueued *q)
{
    AhciPort *port = q->port;

    if (!q->is_write && q->bounce &&
        ahci_copy(port, &q->regions, q->bounce, q->bytes, true) < q->bytes) {
        end_failed(port, q->drive, q->slot, q->fis, IDE_ERROR_ABRT);
        return;
    }
    if (!q->bounce) {
        ahci_advance(port, &q->regions, q->bytes, !q->is_write);
    }
    end_good(port, q->drive, q->slot);
}

static void settle(AhciQueued *q, int result)
{
    AhciPort *port = q->port;
    DiskVerdict verdict = DISK_IGNORE;

    port->queued[q->slot] = NULL;
    if (result < 0) {
        verdict = disk_failed(&q->drive->disk, &q->drive->device, q->is_write, -result);
    }
    if (verdict == DISK_IGNORE) {
        finish(q);
    } else if (verdict == DISK_REPORT) {
        end_failed(port, q->drive, q->slot, q->fis, q->is_write ? IDE_ERROR_ABRT : IDE_ERROR_UNC);
    }
    /* What is held stays in port->ncq, and is made again when the machine goes on. */
}

static void complete(void *opaque, int result)
{
    AhciQueued *q = opaque;
    Machine *machine = q->drive->device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    if (q->forgotten) {
        q->port->orphans--;
        ahci_port_run(q->port);
    } else {
        settle(q, result);
    }
    if (!locked) {
        machine_unlock(machine);
    }
    g_free(q->bounce);
    g_free(q);
}

/* Starts */

static bool get_range(const AhciCommand *command, const IdeDrive *drive, uint64_t *offset,
                      uint64_t *bytes)
{
    const uint8_t *fis = command->fis;
    uint64_t sector = load_le32(fis + 4) & 0xffffff, sectors = fis[3] | fis[11] << 8;
    uint64_t total = disk_bytes(&drive->disk) / IDE_SECTOR;

    sector |= (uint64_t)(load_le32(fis + 8) & 0xffffff) << 24;
    sectors = sectors ? sectors : MOST_SECTORS;
    *offset = sector * IDE_SECTOR;
    *bytes = sectors * IDE_SECTOR;
    return sector <= total && sectors <= total - sector;
}

/* The host's memory, or a copy of it. False: it is shorter than the command. */
static bool prepare(AhciQueued *q)
{
    AhciCursor cursor = q->regions;

    if (ahci_map(q->port, &cursor, q->bytes, !q->is_write, q->iov, MOST_PIECES, &q->count) ==
        q->bytes) {
        return true;
    }
    q->bounce = g_malloc(q->bytes);
    q->iov[0] = (struct iovec){ q->bounce, q->bytes };
    q->count = 1;
    cursor = q->regions;
    return !q->is_write || ahci_copy(q->port, &cursor, q->bounce, q->bytes, false) == q->bytes;
}

static void submit(AhciPort *port, unsigned slot, const AhciCommand *command)
{
    IdeDrive *drive = ahci_port_drive(port);
    AhciQueued *q = g_new0(AhciQueued, 1);
    uint64_t offset;

    q->port = port;
    q->drive = drive;
    q->slot = slot;
    q->is_write = command->fis[2] == WRITE_FPDMA_QUEUED;
    q->regions = command->regions;
    memcpy(q->fis, command->fis, sizeof q->fis);
    if (!get_range(command, drive, &offset, &q->bytes) || !prepare(q)) {
        ahci_port_raise(port, AHCI_IS_OFS);
        end_failed(port, drive, slot, command->fis, IDE_ERROR_ABRT);
        g_free(q->bounce);
        g_free(q);
        return;
    }
    port->queued[slot] = q;
    if (q->is_write) {
        block_write(drive->disk.drive, offset, q->iov, q->count,
                    command->fis[7] & DEVICE_FUA ? BLOCK_FUA : 0, complete, q);
    } else {
        block_read(drive->disk.drive, offset, q->iov, q->count, complete, q);
    }
}

bool ahci_ncq_start(AhciPort *port, unsigned slot, const AhciCommand *command)
{
    const IdeDrive *drive = ahci_port_drive(port);
    uint64_t offset, bytes;

    if (!drive->queues || !(port->sact >> slot & 1) || command->fis[12] >> 3 != slot ||
        port->ncq >> slot & 1 || !get_range(command, drive, &offset, &bytes)) {
        return false;
    }
    port->ci &= ~(UINT32_C(1) << slot);
    port->ncq |= UINT32_C(1) << slot;
    submit(port, slot, command);
    return true;
}

void ahci_ncq_forget(AhciPort *port)
{
    for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
        if (port->queued[slot]) {
            port->queued[slot]->forgotten = true;
            port->queued[slot] = NULL;
            port->orphans++;
        }
    }
    port->ncq = 0;
}

void ahci_ncq_resume(AhciPort *port)
{
    for (unsigned slot = 0; slot < AHCI_SLOTS && ahci_port_drive(port); slot++) {
        AhciCommand command = { 0 };

        if (!(port->ncq >> slot & 1) || port->queued[slot]) {
            continue;
        }
        if (ahci_read_command(port, slot, &command) && ahci_is_queued(&command)) {
            submit(port, slot, &command);
        } else {
            end_failed(port, ahci_port_drive(port), slot, command.fis, IDE_ERROR_ABRT);
        }
    }
}

void ahci_ncq_drain(AhciPort *port)
{
    bool any = port->orphans > 0;

    for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
        any |= port->queued[slot] != NULL;
    }
    if (any && ahci_port_drive(port)) {
        block_drain(ahci_port_drive(port)->disk.drive);
    }
}
