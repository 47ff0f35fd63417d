/* SPDX-License-Identifier: MIT */
/*
 * Commands of the 82078 (290474, 6), which has no SCAN. A sector is one of 512 bytes and none is marked as deleted.
 */
#include "hw/floppy/isa-fdc.h"

#include <string.h>

#include "machine/machine.h"

enum {
    ST0_ABNORMAL = 1 << 6,
    ST0_POLLING = 3 << 6,
    ST0_INVALID = 1 << 7,
    ST0_SEEK_END = 1 << 5,
    ST0_CHECK = 1 << 4,
    ST1_MISSING_MARK = 1 << 0,
    ST1_NOT_WRITABLE = 1 << 1,
    ST1_NO_DATA = 1 << 2,
    ST1_DATA_ERROR = 1 << 5,
    ST1_END = 1 << 7,
    ST2_WRONG_CYLINDER = 1 << 4,
    ST2_DATA_ERROR = 1 << 5,
    ST2_CONTROL_MARK = 1 << 6,
    ST3_TWO_SIDES = 1 << 3,
    ST3_TRACK_0 = 1 << 4,
    ST3_ALWAYS = 1 << 5,
    ST3_PROTECTED = 1 << 6,

    MULTI_TRACK = 1 << 7,
    SKIP = 1 << 5,
    READ_DELETED = 0x0c,
    FORMAT_AND_WRITE = 0xad, /* with the bit for MFM masked out */
    SIZE_512 = 2,
    ID_SIZE = 4, /* of what FORMAT TRACK takes for a sector */
    /* In the bytes of SAVE. */
    SAVED_REGISTERS = 2,
    SAVED_POWER = 12,
    /* In those of DRIVE SPECIFICATION. */
    SPECIFICATION_DONE = 1 << 7,
    SPECIFICATION_QUIET = 1 << 6, /* no result */

    VERSION = 0x90,
    PART = 0x41, /* as Linux knows an 82078B */
    RESULT = 7,
};

typedef enum { KIND_READ, KIND_WRITE, KIND_FORMAT } Kind;

/* Results */

static void finish(Fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
    f->fifo[0] = st0 | (f->head & 1) << 2 | f->unit;
    f->fifo[1] = st1;
    f->fifo[2] = st2;
    f->fifo[3] = f->cylinder;
    f->fifo[4] = f->head;
    f->fifo[5] = f->sector;
    f->fifo[6] = SIZE_512;
    fdc_begin_result(f, RESULT, true);
}

static void fail(Fdc *f, uint8_t st1, uint8_t st2)
{
    finish(f, ST0_ABNORMAL, st1, st2);
}

static Kind kind_of(const Fdc *f)
{
    switch (f->command & 0x1f) {
    case 0x05:
    case 0x09:
        return KIND_WRITE;
    case 0x0d:
        return KIND_FORMAT;
    default:
        return KIND_READ;
    }
}

static bool reads_deleted(const Fdc *f)
{
    return (f->command & 0x1f) == READ_DELETED;
}

/* Sectors */

static uint64_t offset_of(const Fdc *f, const FloppyFormat *format)
{
    return (((uint64_t)f->cylinder * format->heads + f->head) * format->sectors + f->sector - 1) *
           FLOPPY_SECTOR;
}

/* How much of the sector the image has. */
static unsigned bytes_in_image(const Fdc *f, const Floppy *drive)
{
    uint64_t offset = offset_of(f, drive->format), end = disk_bytes(&drive->disk);

    return offset < end ? (unsigned)MIN(end - offset, FLOPPY_SECTOR) : 0;
}

/* Whether heads find the sector; otherwise the command has failed. What the image has no place for can be read only. */
static bool find_sector(Fdc *f)
{
    const Floppy *drive = fdc_drive(f, f->unit);

    if (!floppy_present(drive) || drive->format->rate != f->rate) {
        fail(f, ST1_MISSING_MARK, 0);
    } else if (drive->cylinder != f->cylinder) {
        fail(f, ST1_NO_DATA, ST2_WRONG_CYLINDER);
    } else if (f->cylinder >= drive->format->cylinders || f->head >= drive->format->heads ||
               f->sector < 1 || f->sector > drive->format->sectors ||
               (kind_of(f) != KIND_READ && bytes_in_image(f, drive) < FLOPPY_SECTOR)) {
        fail(f, ST1_NO_DATA, 0);
    } else {
        return true;
    }
    return false;
}

/* To the next sector, over to the other side with MT. False behind the last one (6.1, table of results). */
static bool next_sector(Fdc *f)
{
    if (f->sector != f->last) {
        f->sector++;
        return true;
    }
    f->sector = 1;
    if (f->command & MULTI_TRACK) {
        f->head ^= 1;
        if (f->head) {
            return true;
        }
    }
    f->cylinder++;
    return false;
}

static void start_sector(Fdc *f)
{
    if (kind_of(f) == KIND_FORMAT) {
        fdc_begin_data(f, false, 0, ID_SIZE);
    } else if (!find_sector(f)) {
        return;
    } else if (kind_of(f) == KIND_WRITE) {
        fdc_begin_data(f, false, 0, FLOPPY_SECTOR);
    } else if (reads_deleted(f) && f->command & SKIP) {
        finish(f, 0, 0, ST2_CONTROL_MARK);
    } else {
        f->phase = FDC_REQUEST;
        fdc_submit(f);
    }
}

/* A sector is done on both sides. */
static void go_on(Fdc *f)
{
    bool more;

    if (kind_of(f) == KIND_FORMAT) {
        f->formatted++;
        more = f->formatted < f->last;
        if (!more) {
            finish(f, 0, 0, 0);
            return;
        }
    } else if (reads_deleted(
                   f)) { /* a sector that is not ends the command (table of READ DELETED DATA) */
        finish(f, 0, 0, ST2_CONTROL_MARK);
        return;
    } else {
        more = next_sector(f);
    }
    if (f->ended) {
        finish(f, 0, 0, 0);
    } else if (more) {
        start_sector(f);
    } else {
        fail(f, ST1_END, 0);
    }
}

/* The host has given the address and size of a sector, which gets the filler, or what the host gives next. */
static void format_sector(Fdc *f)
{
    uint8_t filler = f->fifo[5];

    f->cylinder = f->buffer[0];
    f->head = f->buffer[1];
    f->sector = f->buffer[2];
    if (f->buffer[3] != SIZE_512) {
        fail(f, ST1_NO_DATA, 0);
        return;
    }
    if ((f->command & 0xbf) == FORMAT_AND_WRITE) {
        if (f->ended) {
            finish(f, 0, 0, 0);
        } else if (find_sector(f)) {
            fdc_begin_data(f, false, 0, FLOPPY_SECTOR);
        }
        return;
    }
    memset(f->buffer, filler, sizeof f->buffer);
    if (find_sector(f)) {
        f->phase = FDC_REQUEST;
        fdc_submit(f);
    }
}

void fdc_data_done(Fdc *f, bool end)
{
    f->ended = end;
    if (f->to_host) {
        go_on(f);
        return;
    }
    if (f->data_position < f->data_end) { /* the rest of the sector is zeros */
        memset(f->buffer + f->data_position, 0, f->data_end - f->data_position);
    }
    if (kind_of(f) == KIND_FORMAT && f->data_end == ID_SIZE) {
        format_sector(f);
    } else {
        f->phase = FDC_REQUEST;
        fdc_submit(f);
    }
}

/* Requests */

static void request_done(Fdc *f)
{
    if (kind_of(f) == KIND_READ) {
        fdc_begin_data(f, true, 0, FLOPPY_SECTOR);
    } else {
        go_on(f);
    }
}

static void request_failed(Fdc *f, int error)
{
    Floppy *drive = fdc_drive(f, f->unit);
    DiskVerdict verdict =
        drive ? disk_failed(&drive->disk, &drive->device, kind_of(f) != KIND_READ, error)
              : DISK_REPORT;

    if (verdict == DISK_IGNORE) {
        request_done(f);
    } else if (verdict == DISK_REPORT) {
        fail(f, ST1_DATA_ERROR, ST2_DATA_ERROR);
    }
}

static void complete(void *opaque, int result)
{
    Fdc *f = opaque;
    Machine *machine = f->device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    f->request->in_flight = false;
    if (f->request->dropped) {
        f->request->dropped = false;
        if (f->phase == FDC_REQUEST) {
            fdc_submit(f);
        }
    } else if (result < 0) {
        request_failed(f, -result);
    } else {
        request_done(f);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

void fdc_submit(Fdc *f)
{
    FdcRequest *request = f->request;
    const Floppy *drive = fdc_drive(f, f->unit);
    unsigned bytes;

    if (request->in_flight || !find_sector(f)) {
        return; /* complete() submits when what was dropped has come */
    }
    bytes = bytes_in_image(f, drive);
    memset(f->buffer + bytes, 0, FLOPPY_SECTOR - bytes);
    if (!bytes) {
        request_done(f);
        return;
    }
    request->in_flight = true;
    request->drive = drive->disk.drive;
    request->iov = (struct iovec){ f->buffer, bytes };
    if (kind_of(f) == KIND_READ) {
        block_read(request->drive, offset_of(f, drive->format), &request->iov, 1, complete, f);
    } else {
        block_write(request->drive, offset_of(f, drive->format), &request->iov, 1, 0, complete, f);
    }
}

void fdc_deliver(Fdc *f)
{
    if (f->request->in_flight) {
        block_deliver(f->request->drive);
    }
}

/* Commands with data */

static bool refuse_write(Fdc *f)
{
    const Floppy *drive = fdc_drive(f, f->unit);

    if (kind_of(f) == KIND_READ || !floppy_present(drive) || !block_read_only(drive->disk.drive)) {
        return false;
    }
    fail(f, ST1_NOT_WRITABLE, 0);
    return true;
}

static void transfer(Fdc *f)
{
    Floppy *drive = fdc_drive(f, f->unit);

    f->cylinder = f->fifo[2];
    f->head = f->fifo[3];
    f->sector = f->fifo[4];
    f->last = f->fifo[6];
    if (f->configure & FDC_IMPLIED_SEEK && drive) {
        floppy_step_to(drive, f->cylinder);
    }
    if (f->fifo[5] != SIZE_512) {
        fail(f, ST1_NO_DATA, 0);
    } else if (!refuse_write(f)) {
        start_sector(f);
    }
}

static void read_track(Fdc *f)
{
    f->fifo[4] = 1;
    transfer(f);
}

static void format_track(Fdc *f)
{
    const Floppy *drive = fdc_drive(f, f->unit);

    f->head = f->fifo[1] >> 2 & 1;
    f->cylinder = drive ? drive->cylinder : 0;
    f->sector = 1;
    f->last = f->fifo[3];
    if (f->fifo[2] != SIZE_512 || !f->last) {
        fail(f, ST1_NO_DATA, 0);
    } else if (find_sector(f) && !refuse_write(f)) {
        start_sector(f);
    }
}

/* What would be read is there: that is all that is looked at. */
static void verify(Fdc *f)
{
    bool counts = f->fifo[1] & 1 << 7;
    unsigned count = counts ? f->fifo[8] : 256;

    f->cylinder = f->fifo[2];
    f->head = f->fifo[3];
    f->sector = f->fifo[4];
    f->last = f->fifo[6];
    for (unsigned i = 0; i < count; i++) {
        if (!find_sector(f)) {
            return;
        }
        if (!next_sector(f)) {
            break;
        }
    }
    finish(f, 0, 0, 0);
}

static void read_id(Fdc *f)
{
    const Floppy *drive = fdc_drive(f, f->unit);

    f->head = f->fifo[1] >> 2 & 1;
    f->cylinder = drive ? drive->cylinder : 0;
    f->sector = 1;
    if (find_sector(f)) {
        finish(f, 0, 0, 0);
    }
}

/* Heads */

/* Pulses go out whether or not a drive takes them. */
static void seek_to(Fdc *f, unsigned cylinder)
{
    Floppy *drive = fdc_drive(f, f->unit);

    f->sense_reset = false;
    f->sense_pending = 1;
    f->sense_status = ST0_SEEK_END | (f->fifo[1] & 7);
    if (drive) {
        floppy_step_to(drive, cylinder);
    }
    fdc_begin_result(f, 0, true);
}

/* Only a drive can say that its heads came to track 0. */
static void recalibrate(Fdc *f)
{
    seek_to(f, 0);
    if (!fdc_drive(f, f->unit)) {
        f->sense_status |= ST0_ABNORMAL | ST0_CHECK;
    }
}

static void seek(Fdc *f)
{
    seek_to(f, f->fifo[2]);
}

static void relative_seek(Fdc *f)
{
    const Floppy *drive = fdc_drive(f, f->unit);
    unsigned now = drive ? drive->cylinder : 0;

    seek_to(f, f->command & 1 << 6 ? now + f->fifo[2] : now - MIN(now, f->fifo[2]));
}

static uint8_t cylinder_of(const Fdc *f, unsigned unit)
{
    const Floppy *drive = fdc_drive(f, unit);

    return drive ? drive->cylinder : 0;
}

static void invalid(Fdc *f)
{
    f->fifo[0] = ST0_INVALID;
    fdc_begin_result(f, 1, false);
}

static void sense_interrupt(Fdc *f)
{
    unsigned unit;

    if (!f->sense_pending) {
        invalid(f);
        return;
    }
    if (f->sense_reset) {
        unit = 4 - f->sense_pending;
        f->fifo[0] = ST0_POLLING | unit;
    } else {
        unit = f->sense_status & 3;
        f->fifo[0] = f->sense_status;
    }
    f->sense_pending--;
    f->fifo[1] = cylinder_of(f, unit);
    fdc_set_irq(f, false);
    fdc_begin_result(f, 2, false);
}

static void sense_drive(Fdc *f)
{
    const Floppy *drive = fdc_drive(f, f->unit);
    bool protected = floppy_present(drive) && block_read_only(drive->disk.drive);

    f->fifo[0] = ST3_ALWAYS | ST3_TWO_SIDES | (f->fifo[1] & 7) |
                 (drive && !drive->cylinder ? ST3_TRACK_0 : 0) | (protected ? ST3_PROTECTED : 0);
    fdc_begin_result(f, 1, false);
}

/* Settings */

static void specify(Fdc *f)
{
    f->specify[0] = f->fifo[1];
    f->specify[1] = f->fifo[2];
    f->non_dma = f->fifo[2] & 1;
    fdc_begin_result(f, 0, false);
}

static void configure(Fdc *f)
{
    f->configure = f->fifo[2];
    f->precompensation = f->fifo[3];
    fdc_begin_result(f, 0, false);
}

static void set_perpendicular(Fdc *f)
{
    f->perpendicular =
        f->fifo[1] & 1 << 7 ? f->fifo[1] & 0x3f : (f->perpendicular & 0x3c) | (f->fifo[1] & 3);
    fdc_begin_result(f, 0, false);
}

static void lock(Fdc *f)
{
    f->locked = f->command & 1 << 7;
    f->fifo[0] = f->locked << 4;
    fdc_begin_result(f, 1, false);
}

/* What DUMPREG and SAVE tell alike: ten bytes. */
static void put_registers(const Fdc *f, uint8_t *bytes)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = cylinder_of(f, i);
    }
    bytes[4] = f->specify[0];
    bytes[5] = f->specify[1];
    bytes[6] = f->last;
    bytes[7] = f->locked << 7 | f->perpendicular;
    bytes[8] = f->configure;
    bytes[9] = f->precompensation;
}

static void dump_registers(Fdc *f)
{
    put_registers(f, f->fifo);
    fdc_begin_result(f, 10, false);
}

/* Clock, rate, boot drive and the status of the disk are not told: zeros. */
static void save(Fdc *f)
{
    memset(f->fifo, 0, sizeof f->fifo);
    put_registers(f, f->fifo + SAVED_REGISTERS);
    f->fifo[SAVED_POWER] = f->power;
    fdc_begin_result(f, FDC_FIFO, false);
}

/* The bytes of SAVE behind the opcode. */
static void restore(Fdc *f)
{
    const uint8_t *saved = f->fifo + 1, *bytes = saved + SAVED_REGISTERS;

    for (unsigned i = 0; i < 4; i++) {
        if (fdc_drive(f, i)) {
            floppy_place(fdc_drive(f, i), bytes[i]);
        }
    }
    f->specify[0] = bytes[4];
    f->specify[1] = bytes[5];
    f->non_dma = bytes[5] & 1;
    f->last = bytes[6];
    f->locked = bytes[7] >> 7;
    f->perpendicular = bytes[7] & 0x3f;
    f->configure = bytes[8] & 0x7f;
    f->precompensation = bytes[9];
    f->power = saved[SAVED_POWER];
    fdc_begin_result(f, 0, false);
}

static void version(Fdc *f)
{
    f->fifo[0] = VERSION;
    fdc_begin_result(f, 1, false);
}

static void part_id(Fdc *f)
{
    f->fifo[0] = PART;
    fdc_begin_result(f, 1, false);
}

static void power_down_mode(Fdc *f)
{
    f->power = f->fifo[1];
    f->fifo[0] = f->power;
    fdc_begin_result(f, 1, false);
}

/* Up to four bytes with a drive and its type, and one that ends them. */
static void specify_drives(Fdc *f)
{
    unsigned i = 1;

    while (i < f->position && !(f->fifo[i] & SPECIFICATION_DONE)) {
        f->drive_types[f->fifo[i] >> 5 & 3] = f->fifo[i] & 0x1f;
        i++;
    }
    if (i == f->position || f->fifo[i] & SPECIFICATION_QUIET) {
        fdc_begin_result(f, 0, false);
    } else {
        memcpy(f->fifo, f->drive_types, sizeof f->drive_types);
        fdc_begin_result(f, sizeof f->drive_types, false);
    }
}

static void nothing(Fdc *f)
{
    fdc_begin_result(f, 0, false);
}

/* clang-format off */
static const struct {
    uint8_t mask, opcode, length;
    void (*run)(Fdc *f);
} commands[] = {
    { 0x1f, 0x06, 9, transfer },      /* READ DATA */
    { 0x1f, 0x0c, 9, transfer },      /* READ DELETED DATA */
    { 0x3f, 0x05, 9, transfer },      /* WRITE DATA */
    { 0x3f, 0x09, 9, transfer },      /* WRITE DELETED DATA */
    { 0x9f, 0x02, 9, read_track },
    { 0x1f, 0x16, 9, verify },
    { 0xbf, 0x0a, 2, read_id },
    { 0xbf, 0x0d, 6, format_track },
    { 0xbf, FORMAT_AND_WRITE, 6, format_track },
    { 0xff, 0x07, 2, recalibrate },
    { 0xff, 0x08, 1, sense_interrupt },
    { 0xff, 0x03, 3, specify },
    { 0xff, 0x04, 2, sense_drive },
    { 0xff, 0x0f, 3, seek },
    { 0xbf, 0x8f, 3, relative_seek },
    { 0xff, 0x0e, 1, dump_registers },
    { 0xff, 0x10, 1, version },
    { 0xff, 0x12, 2, set_perpendicular },
    { 0xff, 0x13, 4, configure },
    { 0x7f, 0x14, 1, lock },
    { 0xff, 0x17, 2, power_down_mode },
    { 0xff, 0x18, 1, part_id },
    { 0xff, 0x33, 2, nothing },       /* OPTION */
    { 0xff, 0x8e, 6, specify_drives },
    { 0xff, 0x2e, 1, save },
    { 0xff, 0x4e, FDC_LONGEST, restore },
};
/* clang-format on */

/* The table's line of an opcode, or -1. */
static int find_command(uint8_t opcode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if ((opcode & commands[i].mask) == commands[i].opcode) {
            return (int)i;
        }
    }
    return -1;
}

unsigned fdc_command_length(uint8_t opcode)
{
    int line = find_command(opcode);

    return line < 0 ? 1 : commands[line].length;
}

void fdc_run_command(Fdc *f)
{
    int line = find_command(f->fifo[0]);

    f->command = f->fifo[0];
    f->unit = f->fifo[1] & 3;
    f->ended = false;
    trace("isa-fdc", "command %02x %02x %02x %02x %02x", f->fifo[0], f->fifo[1], f->fifo[2],
          f->fifo[3], f->fifo[4]);
    if (line < 0) {
        invalid(f);
    } else {
        commands[line].run(f);
    }
}
