/* SPDX-License-Identifier: MIT */
/*
 * Commands on their way: what scsi.c says a command wants, done with the image and the host's memory, many at a
 * time for each unit. Data go between the image and the host's memory without a copy.
 */
#include <errno.h>
#include <string.h>

#include "hw/scsi/scsi-bus.h"
#include "machine/machine.h"

enum {
    OPCODE_REQUEST_SENSE = 0x03,
    OPCODE_INQUIRY = 0x12,
    OPCODE_REPORT_LUNS = 0xa0,
    NO_SUCH_UNIT = 0x7f, /* peripheral qualifier and type of INQUIRY */
    LUN_NOT_SUPPORTED = 0x25,
    RAW_SECTOR = SCSI_DISC_BLOCK + SCSI_RAW_EXTRA,
    RAW_MAX = 1024,     /* sectors of one command */
    PATTERN = 64 << 10, /* bytes of memory that a fill repeats */
    LUNS_MAX = (SCSI_BUFFER - 8) / 8,
};

/* The host's memory */

static uint64_t copy_iov(const struct iovec *iov, unsigned count, uint8_t *buffer, uint64_t size,
                         bool to_buffer)
{
    uint64_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        uint64_t part = MIN(iov[i].iov_len, size - done);

        if (to_buffer) {
            memcpy(buffer + done, iov[i].iov_base, part);
        } else {
            memcpy(iov[i].iov_base, buffer + done, part);
        }
        done += part;
    }
    return done;
}

static void shorten(struct iovec *iov, uint16_t *count, uint64_t size)
{
    uint16_t i = 0;

    while (size) {
        iov[i].iov_len = MIN(iov[i].iov_len, size);
        size -= iov[i++].iov_len;
    }
    *count = i;
}

/* Ends */

static void enlist(ScsiRequest *r)
{
    ScsiDrive *drive = r->drive;

    if (r->link) {
        return;
    }
    r->next = drive->requests;
    r->link = &drive->requests;
    if (r->next) {
        r->next->link = &r->next;
    }
    drive->requests = r;
}

static void end(ScsiRequest *r, ScsiOutcome outcome)
{
    r->outcome = outcome;
    if (r->link) {
        *r->link = r->next;
        if (r->next) {
            r->next->link = r->link;
        }
        r->link = NULL;
    }
    g_free(r->bounce);
    g_free(r->bounce_iov);
    r->done(r);
}

static void end_good(ScsiRequest *r)
{
    r->status = SCSI_GOOD;
    end(r, SCSI_ENDED);
}

static void end_failed(ScsiRequest *r)
{
    scsi_take_sense(&r->drive->unit, r->sense);
    r->sense_size = SCSI_SENSE_SIZE;
    r->status = SCSI_CHECK_CONDITION;
    end(r, SCSI_ENDED);
}

/* Units that are not there, and what a target answers for all of its units (SPC-4, 6.33) */

static void answer(ScsiRequest *r, uint8_t *data, uint32_t bytes, uint32_t room)
{
    bytes = MIN(bytes, room);
    if (bytes > r->in_bytes) {
        end(r, SCSI_OVERRUN);
        return;
    }
    r->moved = copy_iov(r->in, r->in_count, data, bytes, false);
    end_good(r);
}

static void report_luns(ScsiBus *bus, unsigned target, ScsiRequest *r)
{
    enum { HEADER = 8, LUN = 8, FLAT = 0x40, WELL_KNOWN_ONLY = 1, REPORT_MAX = 2 };
    uint8_t data[SCSI_BUFFER] = { 0 };
    uint32_t room = load_be32(r->cdb + 6), size = HEADER;

    for (unsigned lun = 0; lun <= bus->host->max_lun && size + LUN <= sizeof data; lun++) {
        if ((lun == 0 || scsi_bus_find(bus, target, lun)) && r->cdb[2] != WELL_KNOWN_ONLY) {
            store_be16(data + size, lun < 256 ? lun : lun | FLAT << 8);
            size += LUN;
        }
    }
    store_be32(data, size - HEADER);
    answer(r, data, size, room);
}

static void run_without_unit(ScsiRequest *r)
{
    enum { INQUIRY_SIZE = 36, FIXED = 0x70, ADDITIONAL = 10 };
    uint8_t data[INQUIRY_SIZE] = { 0 };

    if (r->cdb[0] == OPCODE_INQUIRY && !(r->cdb[1] & 1)) {
        data[0] = NO_SUCH_UNIT;
        data[2] = 5;
        data[3] = 2;
        data[4] = INQUIRY_SIZE - 5;
        answer(r, data, sizeof data, load_be16(r->cdb + 3));
        return;
    }
    data[0] = FIXED;
    data[2] = SCSI_ILLEGAL_REQUEST;
    data[7] = ADDITIONAL;
    data[12] = LUN_NOT_SUPPORTED;
    if (r->cdb[0] == OPCODE_REQUEST_SENSE) {
        answer(r, data, SCSI_SENSE_SIZE, r->cdb[4]);
        return;
    }
    memcpy(r->sense, data, SCSI_SENSE_SIZE);
    r->sense_size = SCSI_SENSE_SIZE;
    r->status = SCSI_CHECK_CONDITION;
    end(r, SCSI_ENDED);
}

/* Requests to the image */

static void run(ScsiRequest *r);

static bool is_write(const ScsiRequest *r)
{
    return r->action != SCSI_READ;
}

static void finish_read(ScsiRequest *r)
{
    uint64_t sectors = r->command.length / SCSI_DISC_BLOCK;

    if (!r->command.raw) {
        r->moved = r->command.length;
        return;
    }
    for (uint64_t i = 0; i < sectors; i++) {
        mmc_frame_sector(r->bounce + i * RAW_SECTOR, r->command.offset / SCSI_DISC_BLOCK + i);
    }
    r->moved = copy_iov(r->in, r->in_count, r->bounce, sectors * RAW_SECTOR, false);
}

static void image_done(ScsiRequest *r)
{
    if (r->action == SCSI_READ) {
        finish_read(r);
    } else if (r->action == SCSI_WRITE) {
        r->moved = r->command.length;
    } else if (r->action == SCSI_FILL) {
        r->moved = r->command.bytes;
    }
    end_good(r);
}

static void image_failed(ScsiRequest *r, int error)
{
    ScsiDrive *drive = r->drive;

    switch (disk_failed(&drive->disk, &drive->device, is_write(r), error)) {
    case DISK_IGNORE:
        image_done(r);
        break;
    case DISK_REPORT:
        scsi_image_failed(&drive->unit, is_write(r), error);
        end_failed(r);
        break;
    case DISK_HOLD:
        r->held = true;
        break;
    }
}

static void complete(void *opaque, int result)
{
    ScsiRequest *r = opaque;
    ScsiDrive *drive = r->drive;
    Machine *machine = drive->device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    drive->in_flight--;
    r->in_flight = false;
    if (r->outcome != SCSI_ENDED) {
        end(r, r->outcome); /* aborted meanwhile */
    } else if (result < 0) {
        image_failed(r, -result);
    } else {
        image_done(r);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

/* Each sector's 2048 bytes with room for what is around them. */
static bool prepare_raw(ScsiRequest *r)
{
    uint64_t sectors = r->command.length / SCSI_DISC_BLOCK;

    if (sectors > RAW_MAX) {
        return false;
    }
    r->bounce = g_malloc(sectors * RAW_SECTOR);
    r->bounce_iov = g_new(struct iovec, sectors);
    for (unsigned i = 0; i < sectors; i++) {
        r->bounce_iov[i] =
            (struct iovec){ r->bounce + i * RAW_SECTOR + SCSI_RAW_START, SCSI_DISC_BLOCK };
    }
    r->bounce_count = sectors;
    return true;
}

/* One block of the host's, repeated in memory that the list names as often as it takes. */
static void prepare_fill(ScsiRequest *r, const uint8_t *block)
{
    uint32_t size = r->drive->unit.block;
    uint64_t left = r->command.length;

    r->bounce = g_malloc(PATTERN);
    for (uint32_t at = 0; at < PATTERN; at += size) {
        memcpy(r->bounce + at, block, size);
    }
    r->bounce_count = (left + PATTERN - 1) / PATTERN;
    r->bounce_iov = g_new(struct iovec, r->bounce_count);
    for (unsigned i = 0; i < r->bounce_count; i++) {
        r->bounce_iov[i] = (struct iovec){ r->bounce, MIN(left, PATTERN) };
        left -= r->bounce_iov[i].iov_len;
    }
}

static void submit(ScsiRequest *r)
{
    ScsiDrive *drive = r->drive;
    BlockBackend *image = drive->disk.drive;
    const ScsiCommand *c = &r->command;
    BlockFlags fua = c->fua ? BLOCK_FUA : 0;

    enlist(r);
    r->in_flight = true;
    drive->in_flight++;
    switch (r->action) {
    case SCSI_READ:
        block_read(image, c->offset, c->raw ? r->bounce_iov : r->in,
                   c->raw ? r->bounce_count : r->in_count, complete, r);
        break;
    case SCSI_WRITE:
        block_write(image, c->offset, r->out, r->out_count, fua, complete, r);
        break;
    case SCSI_FILL:
        block_write(image, c->offset, r->bounce_iov, r->bounce_count, fua, complete, r);
        break;
    case SCSI_DISCARD:
        block_discard(image, c->offset, c->length, complete, r);
        break;
    case SCSI_ZERO:
        block_write_zeroes(image, c->offset, c->length, c->may_unmap ? BLOCK_MAY_UNMAP : 0,
                           complete, r);
        break;
    default: /* SCSI_FLUSH */
        block_flush(image, complete, r);
        break;
    }
}

static void read_image(ScsiRequest *r)
{
    const ScsiCommand *c = &r->command;
    uint64_t bytes = c->raw ? c->length / SCSI_DISC_BLOCK * RAW_SECTOR : c->length;

    if (bytes > r->in_bytes) {
        end(r, SCSI_OVERRUN);
    } else if (c->raw && !prepare_raw(r)) {
        scsi_fail_field(&r->drive->unit);
        end_failed(r);
    } else {
        shorten(r->in, &r->in_count, bytes);
        submit(r);
    }
}

static void write_image(ScsiRequest *r)
{
    if (r->command.length > r->out_bytes) {
        end(r, SCSI_OVERRUN);
        return;
    }
    shorten(r->out, &r->out_count, r->command.length);
    submit(r);
}

/* The buffer holds `bytes` of the host's when the command goes on. */
static void receive(ScsiRequest *r)
{
    if (r->command.bytes > r->out_bytes) {
        end(r, SCSI_OVERRUN);
        return;
    }
    r->moved = copy_iov(r->out, r->out_count, r->command.buffer, r->command.bytes, true);
    r->action = scsi_received(&r->drive->unit, &r->command);
    run(r);
}

/* Does what the command wants next. */
static void run(ScsiRequest *r)
{
    switch (r->action) {
    case SCSI_DONE:
        end_good(r);
        break;
    case SCSI_FAILED:
        end_failed(r);
        break;
    case SCSI_SEND:
        answer(r, r->command.buffer, r->command.bytes, r->command.bytes);
        break;
    case SCSI_RECEIVE:
        receive(r);
        break;
    case SCSI_READ:
        read_image(r);
        break;
    case SCSI_WRITE:
        write_image(r);
        break;
    case SCSI_FILL:
        prepare_fill(r, r->command.buffer);
        submit(r);
        break;
    default:
        submit(r);
        break;
    }
}

static void start(ScsiRequest *r)
{
    uint8_t buffer[SCSI_BUFFER]; /* not looked at after the answer, or after what was received */

    r->command = (ScsiCommand){ .cdb = r->cdb, .buffer = buffer };
    r->outcome = SCSI_ENDED;
    r->action = scsi_start(&r->drive->unit, &r->command);
    run(r);
}

void scsi_request_start(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *r)
{
    r->drive = scsi_bus_find(bus, target, lun);
    if (r->cdb[0] == OPCODE_REPORT_LUNS) {
        report_luns(bus, target, r);
    } else if (r->drive) {
        start(r);
    } else {
        run_without_unit(r);
    }
}

void scsi_request_start_later(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *r)
{
    r->drive = scsi_bus_find(bus, target, lun);
    if (r->drive) {
        r->held = true;
        enlist(r);
    } else {
        run_without_unit(r);
    }
}

void scsi_drive_resume(ScsiDrive *drive)
{
    ScsiRequest *next;

    for (ScsiRequest *r = drive->requests; r; r = next) {
        next = r->next;
        if (r->held) {
            r->held = false;
            g_clear_pointer(&r->bounce, g_free);
            g_clear_pointer(&r->bounce_iov, g_free);
            start(r);
        }
    }
}

/* Task management */

static bool matches(const ScsiRequest *r, const uint64_t *tag)
{
    return !tag || r->tag == *tag;
}

static bool has_tag(const ScsiRequest *r, const void *tag)
{
    return matches(r, tag);
}

void scsi_drive_abort(ScsiDrive *drive, const uint64_t *tag, ScsiOutcome outcome)
{
    scsi_drive_abort_if(drive, has_tag, tag, outcome);
}

void scsi_drive_abort_if(ScsiDrive *drive, ScsiRequestTest *test, const void *data,
                         ScsiOutcome outcome)
{
    ScsiRequest *next;

    for (ScsiRequest *r = drive->requests; r; r = next) {
        next = r->next;
        if (!test(r, data)) {
            continue;
        }
        if (r->in_flight) {
            r->outcome = outcome;
        } else {
            end(r, outcome);
        }
    }
}

bool scsi_drive_has_request(const ScsiDrive *drive, const uint64_t *tag)
{
    for (const ScsiRequest *r = drive->requests; r; r = r->next) {
        if (matches(r, tag)) {
            return true;
        }
    }
    return false;
}

bool scsi_drive_is_aborting(const ScsiDrive *drive, const uint64_t *tag)
{
    for (const ScsiRequest *r = drive->requests; r; r = r->next) {
        if (matches(r, tag) && r->outcome != SCSI_ENDED) {
            return true;
        }
    }
    return false;
}

void scsi_drive_reset(ScsiDrive *drive)
{
    scsi_drive_abort(drive, NULL, SCSI_RESET);
    scsi_unit_reset(&drive->unit);
}
