/* SPDX-License-Identifier: MIT */
/*
 * How an ATA drive's data moves: between the disk, the drive's buffer, and the host's port or DMA engine. DMA to and from
 * RAM does not go through the buffer.
 */
#include "hw/ide/ide.h"

#include <errno.h>

#include "base/error.h"
#include "hw/scsi/scsi.h"
#include "machine/machine.h"

enum {
    DMA_CHUNK = 1 << 20, /* most bytes of one request */
    DISC_SECTOR = 2048,
    RAW_BOUNCE = IDE_BUFFER / 2352 * DISC_SECTOR,
};

static void begin_piece(IdeDrive *d, IdePhase phase, bool irq)
{
    uint32_t bytes = MIN(d->piece, d->end - d->position);

    d->phase = phase;
    d->piece_end = d->position + bytes;
    d->status = IDE_STATUS_READY | IDE_STATUS_DRQ;
    if (d->ops->describe_piece) {
        d->ops->describe_piece(d, bytes);
    }
    if (irq) {
        ide_raise_irq(d);
    }
}

static void begin_request(IdeDrive *d)
{
    d->phase = IDE_REQUEST;
    d->status = IDE_STATUS_READY | IDE_STATUS_BSY;
    ide_submit(d);
}

static void end_transfer(IdeDrive *d)
{
    d->phase = IDE_IDLE;
    if (d->dma) {
        d->channel->ops->finished(d->channel);
    }
    d->ops->transferred(d);
}

/* The host's DMA engine has no room, or none that answers: the command ends without an interrupt. */
static void run_out(IdeDrive *d)
{
    d->phase = IDE_IDLE;
    d->status = IDE_STATUS_READY;
    d->channel->ops->ran_out(d->channel);
}

static void read_piece(IdeDrive *d)
{
    d->chunk = MIN(d->left, d->fill);
    d->bounced = true;
    begin_request(d);
}

static void write_piece(IdeDrive *d, bool irq)
{
    d->position = 0;
    d->end = MIN(d->left, d->fill);
    begin_piece(d, IDE_PIO_OUT, irq);
}

/* The host has taken or given a piece by its port. */
void ide_piece_done(IdeDrive *d)
{
    if (d->position < d->end) {
        begin_piece(d, d->phase, true);
    } else if (d->phase == IDE_PIO_IN && d->io == IDE_IO_READ && d->left) {
        read_piece(d);
    } else if (d->phase == IDE_PIO_OUT && d->io == IDE_IO_WRITE && d->left) {
        d->chunk = d->end;
        d->bounced = true;
        begin_request(d);
    } else {
        end_transfer(d);
    }
}

/* DMA */

/* Shortens a list of buffers to `bytes`. */
static void trim(IdeRequest *request, uint64_t bytes)
{
    unsigned i = 0;

    while (bytes) {
        request->iov[i].iov_len = MIN(request->iov[i].iov_len, bytes);
        bytes -= request->iov[i++].iov_len;
    }
    request->count = i;
}

/* RAM that the next request can use directly; false: less than a sector, it needs the buffer. */
static bool gather(IdeDrive *d)
{
    uint64_t bytes;

    if (d->raw) {
        return false;
    }
    bytes = d->channel->ops->gather(d->channel, MIN(d->left, DMA_CHUNK), d->io == IDE_IO_READ,
                                    d->request->iov, &d->request->count);
    bytes -= bytes % IDE_SECTOR;
    trim(d->request, bytes);
    d->chunk = bytes;
    return bytes > 0;
}

void ide_dma_next(IdeDrive *d)
{
    IdeChannel *channel = d->channel;

    if (!channel->ops->started(channel)) {
        d->phase = IDE_DMA_WAIT;
        d->status = IDE_STATUS_READY | IDE_STATUS_DRQ;
        return;
    }
    /* Not to be started again by what the engine writes. */
    d->phase = IDE_REQUEST;
    d->status = IDE_STATUS_READY | IDE_STATUS_BSY;
    if (d->io == IDE_IO_NONE) {
        if (channel->ops->copy(channel, d->buffer, d->end, !d->out) < d->end) {
            run_out(d);
            return;
        }
        d->position = d->end;
    }
    if (d->io == IDE_IO_NONE || !d->left) {
        end_transfer(d);
        return;
    }
    d->bounced = !gather(d);
    if (d->bounced) {
        d->chunk = MIN(d->left, d->raw ? RAW_BOUNCE : IDE_BUFFER);
        if (d->io == IDE_IO_WRITE &&
            channel->ops->copy(channel, d->buffer, d->chunk, false) < d->chunk) {
            run_out(d);
            return;
        }
    }
    begin_request(d);
}

/* Requests */

/* Buffers for 2048 bytes of each sector, with room for what is around them. */
static void prepare_raw(IdeDrive *d)
{
    IdeRequest *request = d->request;
    unsigned step = DISC_SECTOR + d->raw;

    request->count = d->chunk / DISC_SECTOR;
    for (unsigned i = 0; i < request->count; i++) {
        request->iov[i] = (struct iovec){ d->buffer + i * step + SCSI_RAW_START, DISC_SECTOR };
    }
}

/* Returns the bytes in the buffer. */
static uint32_t complete_raw(IdeDrive *d)
{
    unsigned step = DISC_SECTOR + d->raw, count = d->chunk / DISC_SECTOR;
    uint64_t first = (d->offset - d->chunk) / DISC_SECTOR;

    for (unsigned i = 0; i < count; i++) {
        mmc_frame_sector(d->buffer + i * step, first + i);
    }
    return count * step;
}

static void read_done(IdeDrive *d)
{
    IdeChannel *channel = d->channel;
    uint32_t bytes = d->bounced && d->raw ? complete_raw(d) : d->chunk;

    if (!d->dma) {
        d->position = 0;
        d->end = bytes;
        begin_piece(d, IDE_PIO_IN, true);
        return;
    }
    if (!channel->ops->started(channel)) {
        run_out(d);
        return;
    }
    if (!d->bounced) {
        channel->ops->advance(channel, bytes, true);
    } else if (channel->ops->copy(channel, d->buffer, bytes, true) < bytes) {
        run_out(d);
        return;
    }
    ide_dma_next(d);
}

static void write_done(IdeDrive *d)
{
    if (!d->dma) {
        if (d->left) {
            write_piece(d, true);
        } else {
            end_transfer(d);
        }
        return;
    }
    if (!d->bounced && d->channel->ops->started(d->channel)) {
        d->channel->ops->advance(d->channel, d->chunk, false);
    }
    ide_dma_next(d);
}

static void request_done(IdeDrive *d)
{
    if (d->alone) {
        end_transfer(d);
        return;
    }
    d->offset += d->chunk;
    d->left -= MIN(d->left, d->chunk);
    if (d->io == IDE_IO_READ) {
        read_done(d);
    } else {
        write_done(d);
    }
}

static void request_failed(IdeDrive *d, int error)
{
    DiskVerdict verdict = disk_failed(&d->disk, &d->device, d->io != IDE_IO_READ, error);

    if (verdict == DISK_IGNORE) {
        request_done(d);
    } else if (verdict == DISK_REPORT) {
        d->phase = IDE_IDLE;
        if (d->dma) {
            d->channel->ops->finished(d->channel);
        }
        d->ops->failed(d, error);
    }
    /* Otherwise it is made again when the machine goes on. */
}

static void dropped(IdeDrive *d)
{
    d->request->dropped = false;
    if (d->reset_pending) {
        ide_end_reset(d);
    } else if (d->phase == IDE_REQUEST) {
        ide_submit(d);
    }
}

static void complete(void *opaque, int result)
{
    IdeDrive *d = opaque;
    Machine *machine = d->device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    d->request->in_flight = false;
    if (d->request->dropped) {
        dropped(d);
    } else if (result < 0) {
        request_failed(d, -result);
    } else {
        request_done(d);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

/* Buffers for the request that the drive's fields describe. */
static bool prepare(IdeDrive *d)
{
    IdeRequest *request = d->request;

    if (d->io == IDE_IO_FLUSH || d->io == IDE_IO_DISCARD) {
        return true;
    }
    if (!d->bounced) {
        return gather(d);
    }
    if (d->raw) {
        prepare_raw(d);
    } else {
        request->iov[0] = (struct iovec){ d->buffer, d->chunk };
        request->count = 1;
    }
    return true;
}

void ide_submit(IdeDrive *d)
{
    IdeRequest *request = d->request;
    BlockBackend *drive = d->disk.drive;

    if (request->in_flight) {
        return; /* dropped() submits when it has come */
    }
    if (!prepare(d)) {
        run_out(d);
        return;
    }
    request->in_flight = true;
    switch ((IdeIo)d->io) {
    case IDE_IO_READ:
        block_read(drive, d->offset, request->iov, request->count, complete, d);
        break;
    case IDE_IO_WRITE:
        block_write(drive, d->offset, request->iov, request->count, d->fua ? BLOCK_FUA : 0,
                    complete, d);
        break;
    case IDE_IO_FLUSH:
        block_flush(drive, complete, d);
        break;
    case IDE_IO_DISCARD:
        block_discard(drive, d->offset, d->chunk, complete, d);
        break;
    case IDE_IO_NONE:
    case IDE_IO_KINDS:
        request->in_flight = false;
        break;
    }
}

void ide_stop_transfer(IdeDrive *d)
{
    d->phase = IDE_IDLE;
    d->io = IDE_IO_NONE;
    d->position = d->end = d->piece_end = 0;
    d->left = 0;
    d->request->dropped = d->request->in_flight;
}

/* For commands */

void ide_send_buffer(IdeDrive *d, uint32_t bytes, uint32_t piece, bool dma)
{
    d->io = IDE_IO_NONE;
    d->dma = dma;
    d->out = false;
    d->alone = false;
    d->position = d->piece_end = 0;
    d->end = bytes;
    d->piece = piece;
    d->left = 0;
    if (dma) {
        ide_dma_next(d);
    } else {
        begin_piece(d, IDE_PIO_IN, true);
    }
}

void ide_receive_buffer(IdeDrive *d, uint32_t bytes, uint32_t piece, bool dma, bool irq)
{
    d->io = IDE_IO_NONE;
    d->dma = dma;
    d->out = true;
    d->alone = false;
    d->position = d->piece_end = 0;
    d->end = bytes;
    d->piece = piece;
    d->left = 0;
    if (dma) {
        ide_dma_next(d);
    } else {
        begin_piece(d, IDE_PIO_OUT, irq);
    }
}

void ide_transfer(IdeDrive *d, IdeIo io, uint64_t offset, uint64_t bytes, uint32_t piece,
                  uint32_t fill, bool dma)
{
    d->io = io;
    d->dma = dma;
    d->out = io == IDE_IO_WRITE;
    d->alone = false;
    d->offset = offset;
    d->left = bytes;
    d->piece = piece;
    d->fill = fill;
    d->position = d->end = d->piece_end = 0;
    if (dma) {
        ide_dma_next(d);
    } else if (d->out) {
        write_piece(d, false);
    } else {
        read_piece(d);
    }
}

void ide_request_alone(IdeDrive *d, IdeIo io, uint64_t offset, uint64_t bytes)
{
    d->io = io;
    d->dma = false;
    d->alone = true;
    d->offset = offset;
    d->chunk = bytes;
    d->left = 0;
    begin_request(d);
}
