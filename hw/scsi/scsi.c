/* SPDX-License-Identifier: MIT */
/* SCSI commands: sense data, unit attention, and the table of what disks and discs do. */
#include "hw/scsi/scsi.h"

#include <errno.h>
#include <string.h>

enum {
    DISKS = 1 << 0,
    DISCS = 1 << 1,
    BOTH = DISKS | DISCS,
    MEDIUM = 1 << 2, /* needs one */
    ALWAYS = 1 << 3, /* also while there is unit attention to tell */

    OPCODE_WRITE_SAME_10 = 0x41,
    OPCODE_UNMAP = 0x42,
    OPCODE_WRITE_SAME_16 = 0x93,
    WRITE_SAME_NO_DATA = 1 << 0,
    RAW_SECTOR = SCSI_DISC_BLOCK + SCSI_RAW_EXTRA,
    RAW_MOST = 1024 * RAW_SECTOR, /* of READ CD MSF, which has no count */

    INVALID_OPCODE = 0x20,
    LBA_OUT_OF_RANGE = 0x21,
    INVALID_FIELD = 0x24,
    WRITE_PROTECTED = 0x27,
    POWER_ON = 0x29,
    MEDIUM_ABSENT = 0x3a,
    TRAY_OPEN = 2, /* qualifiers of it */
    TRAY_CLOSED = 1,
};

ScsiAction scsi_fail(ScsiUnit *unit, uint8_t key, uint8_t code, uint8_t qualifier)
{
    unit->sense_key = key;
    unit->sense_code = code;
    unit->sense_qualifier = qualifier;
    return SCSI_FAILED;
}

ScsiAction scsi_fail_field(ScsiUnit *unit)
{
    return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, INVALID_FIELD, 0);
}

ScsiAction scsi_answer(ScsiCommand *command, uint32_t bytes, uint32_t room)
{
    command->bytes = MIN(bytes, room);
    return command->bytes ? SCSI_SEND : SCSI_DONE;
}

bool scsi_has_medium(const ScsiUnit *unit)
{
    return !unit->tray_open && disk_has_medium(unit->disk);
}

uint64_t scsi_blocks(const ScsiUnit *unit)
{
    return disk_bytes(unit->disk) / unit->block;
}

void scsi_unit_reset(ScsiUnit *unit)
{
    unit->sense_key = unit->sense_code = unit->sense_qualifier = 0;
    unit->attention_code = POWER_ON;
    unit->attention_qualifier = 0;
    unit->media_event = 0;
    unit->tray_open = unit->locked = false;
    unit->write_cache = !unit->disk->drive || block_write_cache(unit->disk->drive);
}

void scsi_take_sense(ScsiUnit *unit, uint8_t *data)
{
    enum { CURRENT_FIXED = 0x70, ADDITIONAL = 10 };

    memset(data, 0, SCSI_SENSE_SIZE);
    data[0] = CURRENT_FIXED;
    data[2] = unit->sense_key;
    data[7] = ADDITIONAL;
    data[12] = unit->sense_code;
    data[13] = unit->sense_qualifier;
    unit->sense_key = unit->sense_code = unit->sense_qualifier = 0;
}

void scsi_image_failed(ScsiUnit *unit, bool is_write, int error)
{
    if (error == ENOMEDIUM) {
        scsi_fail(unit, SCSI_NOT_READY, MEDIUM_ABSENT, 0);
    } else if (error == ENOSPC) {
        scsi_fail(unit, SCSI_DATA_PROTECT, WRITE_PROTECTED, 7);
    } else if (is_write) {
        scsi_fail(unit, SCSI_MEDIUM_ERROR, 0x0c, 0); /* write error */
    } else {
        scsi_fail(unit, SCSI_MEDIUM_ERROR, 0x11, 0); /* unrecovered read error */
    }
}

unsigned scsi_cdb_size(uint8_t opcode)
{
    static const uint8_t sizes[8] = { 6, 10, 10, 6, 16, 12, 16, 16 };

    return sizes[opcode >> 5];
}

/* Commands of all kinds */

static ScsiAction do_nothing(ScsiUnit *unit, ScsiCommand *command)
{
    return SCSI_DONE;
}

/* There is one initiator, which always has what it reserves; extents and long identifications are of older standards. */
static ScsiAction reserve(ScsiUnit *unit, ScsiCommand *command)
{
    unsigned refused = scsi_cdb_size(command->cdb[0]) == 6 ? 1 : 3;

    return command->cdb[1] & refused ? scsi_fail_field(unit) : SCSI_DONE;
}

static ScsiAction request_sense(ScsiUnit *unit, ScsiCommand *command)
{
    if (!unit->sense_key && unit->attention_code) {
        scsi_fail(unit, SCSI_UNIT_ATTENTION, unit->attention_code, unit->attention_qualifier);
        unit->attention_code = unit->attention_qualifier = 0;
    }
    scsi_take_sense(unit, command->buffer);
    return scsi_answer(command, SCSI_SENSE_SIZE, command->cdb[4]);
}

static ScsiAction prevent_removal(ScsiUnit *unit, ScsiCommand *command)
{
    unit->locked = command->cdb[4] & 1;
    return SCSI_DONE;
}

static ScsiAction report_luns(ScsiUnit *unit, ScsiCommand *command)
{
    enum { HEADER = 8, LUN = 8 };

    memset(command->buffer, 0, HEADER + LUN);
    store_be32(command->buffer, LUN);
    return scsi_answer(command, HEADER + LUN, load_be32(command->cdb + 6));
}

static ScsiAction read_capacity(ScsiUnit *unit, ScsiCommand *command)
{
    store_be32(command->buffer, MIN(scsi_blocks(unit) - 1, UINT32_MAX));
    store_be32(command->buffer + 4, unit->block);
    return scsi_answer(command, 8, 8);
}

static ScsiAction service_action_in(ScsiUnit *unit, ScsiCommand *command)
{
    enum { READ_CAPACITY_16 = 0x10, SIZE = 32, PROVISIONED = 1 << 7, ZEROES = 1 << 6 };
    const Disk *disk = unit->disk;

    if ((command->cdb[1] & 0x1f) != READ_CAPACITY_16) {
        return scsi_fail_field(unit);
    }
    memset(command->buffer, 0, SIZE);
    store_be64(command->buffer, scsi_blocks(unit) - 1);
    store_be32(command->buffer + 8, unit->block);
    if (disk->physical_block_size > unit->block && is_power_of_two(disk->physical_block_size)) {
        command->buffer[13] = __builtin_ctz(disk->physical_block_size / unit->block) & 15;
    }
    command->buffer[14] = disk->discard_granularity ? PROVISIONED : 0;
    return scsi_answer(command, SIZE, load_be32(command->cdb + 10));
}

static ScsiAction flush(ScsiUnit *unit, ScsiCommand *command)
{
    return unit->disk->drive ? SCSI_FLUSH : SCSI_DONE;
}

/* Transfers */

/* The blocks that a command names. */
static void get_range(const uint8_t *cdb, uint64_t *first, uint64_t *count)
{
    switch (scsi_cdb_size(cdb[0])) {
    case 6:
        *first = load_be32(cdb) & 0x1fffff;
        *count = cdb[4] ? cdb[4] : 256;
        break;
    case 10:
        *first = load_be32(cdb + 2);
        *count = load_be16(cdb + 7);
        break;
    case 12:
        *first = load_be32(cdb + 2);
        *count = load_be32(cdb + 6);
        break;
    default:
        *first = load_be64(cdb + 2);
        *count = load_be32(cdb + 10);
        break;
    }
}

static ScsiAction on_range(ScsiUnit *unit, ScsiCommand *command, ScsiAction action)
{
    uint64_t first, count, total = scsi_blocks(unit);

    get_range(command->cdb, &first, &count);
    if (first > total || count > total - first) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, LBA_OUT_OF_RANGE, 0);
    }
    command->offset = first * unit->block;
    command->length = count * unit->block;
    return count ? action : SCSI_DONE;
}

static ScsiAction on_writable_range(ScsiUnit *unit, ScsiCommand *command, ScsiAction action)
{
    if (block_read_only(unit->disk->drive)) {
        return scsi_fail(unit, SCSI_DATA_PROTECT, WRITE_PROTECTED, 0);
    }
    command->fua = scsi_cdb_size(command->cdb[0]) > 6 && command->cdb[1] & 1 << 3;
    return on_range(unit, command, action);
}

static ScsiAction read_blocks(ScsiUnit *unit, ScsiCommand *command)
{
    return on_range(unit, command, SCSI_READ);
}

static ScsiAction write_blocks(ScsiUnit *unit, ScsiCommand *command)
{
    return on_writable_range(unit, command, SCSI_WRITE);
}

/* Also seek: that the blocks exist is all there is to say. */
static ScsiAction verify(ScsiUnit *unit, ScsiCommand *command)
{
    enum { BYTE_CHECK = 3 << 1 };

    if (command->cdb[1] & BYTE_CHECK) {
        return scsi_fail_field(unit);
    }
    return on_range(unit, command, SCSI_DONE);
}

static ScsiAction seek(ScsiUnit *unit, ScsiCommand *command)
{
    return load_be32(command->cdb + 2) < scsi_blocks(unit)
               ? SCSI_DONE
               : scsi_fail(unit, SCSI_ILLEGAL_REQUEST, LBA_OUT_OF_RANGE, 0);
}

static ScsiAction start_stop_disk(ScsiUnit *unit, ScsiCommand *command)
{
    return SCSI_DONE;
}

/* UNMAP: one range for each command, as the block limits page says. */
static ScsiAction unmap(ScsiUnit *unit, ScsiCommand *command)
{
    command->bytes = load_be16(command->cdb + 7);
    if (!unit->disk->discard_granularity || command->bytes > SCSI_BUFFER) {
        return scsi_fail_field(unit);
    }
    return command->bytes ? SCSI_RECEIVE : SCSI_DONE;
}

static ScsiAction unmap_received(ScsiUnit *unit, ScsiCommand *command)
{
    enum { HEADER = 8, RANGE = 16 };
    const uint8_t *range = command->buffer + HEADER;
    uint64_t first, count, total = scsi_blocks(unit);

    if (command->bytes < HEADER + RANGE || load_be16(command->buffer + 2) < RANGE) {
        return SCSI_DONE;
    }
    if (load_be16(command->buffer + 2) >= 2 * RANGE) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x26, 0); /* parameter list */
    }
    first = load_be64(range);
    count = load_be32(range + 8);
    if (first > total || count > total - first) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, LBA_OUT_OF_RANGE, 0);
    }
    if (block_read_only(unit->disk->drive)) {
        return scsi_fail(unit, SCSI_DATA_PROTECT, WRITE_PROTECTED, 0);
    }
    command->offset = first * unit->block;
    command->length = count * unit->block;
    if (unit->max_unmap && count > unit->max_unmap) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x26, 0);
    }
    return count ? SCSI_DISCARD : SCSI_DONE;
}

/* WRITE SAME: a block of the host's, or zeros, which may be holes. */
static ScsiAction write_same(ScsiUnit *unit, ScsiCommand *command)
{
    enum { OBSOLETE = 3 << 1, UNMAP = 1 << 3, ANCHOR = 1 << 4 };
    uint8_t flags = command->cdb[1];
    bool no_data = command->cdb[0] == OPCODE_WRITE_SAME_16 && flags & WRITE_SAME_NO_DATA;
    ScsiAction action = on_writable_range(unit, command, no_data ? SCSI_ZERO : SCSI_RECEIVE);

    command->fua = false;
    command->may_unmap = flags & UNMAP;
    command->bytes = unit->block;
    if (action == SCSI_FAILED) {
        return action;
    }
    if (action == SCSI_DONE || flags & (OBSOLETE | ANCHOR) || unit->block > SCSI_BUFFER ||
        command->length > (uint64_t)SCSI_MAX_FILL) {
        return scsi_fail_field(unit);
    }
    return action;
}

static ScsiAction write_same_received(ScsiUnit *unit, ScsiCommand *command)
{
    bool zeros = command->buffer[0] == 0 &&
                 memcmp(command->buffer, command->buffer + 1, command->bytes - 1) == 0;

    return zeros ? SCSI_ZERO : SCSI_FILL;
}

/* How much a command moves: a number in its packet (without one: 1) times `each` bytes, or blocks where that is 0. */
typedef struct {
    uint8_t direction; /* ScsiDirection */
    uint8_t at, size;  /* of the number */
    uint32_t each;
} Data;

/* clang-format off */
#define ROOM(at, size)   { SCSI_TO_HOST, at, size, 1 }
#define LIST(at, size)   { SCSI_FROM_HOST, at, size, 1 }
#define READS(at, size)  { SCSI_TO_HOST, at, size, 0 }
#define WRITES(at, size) { SCSI_FROM_HOST, at, size, 0 }
#define ANSWER(bytes)    { SCSI_TO_HOST, 0, 0, bytes }
#define NO_DATA          { SCSI_NO_DATA, 0, 0, 0 }

static const struct {
    uint8_t opcode, flags;
    ScsiAction (*run)(ScsiUnit *unit, ScsiCommand *command);
    Data data;
} commands[] = {
    { 0x00, BOTH | MEDIUM, do_nothing, NO_DATA }, /* TEST UNIT READY */
    { 0x01, BOTH, do_nothing, NO_DATA }, /* REZERO UNIT */
    { 0x03, BOTH | ALWAYS, request_sense, ROOM(4, 1) },
    { 0x08, DISKS | MEDIUM, read_blocks, READS(4, 1) },
    { 0x0a, DISKS | MEDIUM, write_blocks, WRITES(4, 1) },
    { 0x12, BOTH | ALWAYS, scsi_inquiry, ROOM(3, 2) },
    { 0x15, BOTH, scsi_mode_select, LIST(4, 1) },
    { 0x16, DISKS, reserve, NO_DATA }, /* RESERVE and RELEASE */
    { 0x17, DISKS, reserve, NO_DATA },
    { 0x1a, BOTH, scsi_mode_sense, ROOM(4, 1) },
    { 0x1b, DISKS, start_stop_disk, NO_DATA },
    { 0x1b, DISCS, mmc_start_stop, NO_DATA },
    { 0x1d, BOTH, do_nothing, LIST(3, 2) }, /* SEND DIAGNOSTIC */
    { 0x1e, BOTH, prevent_removal, NO_DATA },
    { 0x25, BOTH | MEDIUM, read_capacity, ANSWER(8) },
    { 0x28, BOTH | MEDIUM, read_blocks, READS(7, 2) },
    { 0x2a, DISKS | MEDIUM, write_blocks, WRITES(7, 2) },
    { 0x2b, BOTH | MEDIUM, seek, NO_DATA },
    { 0x2e, DISKS | MEDIUM, write_blocks, WRITES(7, 2) }, /* WRITE AND VERIFY */
    { 0x2f, DISKS | MEDIUM, verify, NO_DATA },
    { 0x35, BOTH | MEDIUM, flush, NO_DATA },
    { OPCODE_WRITE_SAME_10, DISKS | MEDIUM, write_same, WRITES(0, 0) },
    { OPCODE_UNMAP, DISKS | MEDIUM, unmap, LIST(7, 2) },
    { 0x42, DISCS | MEDIUM, mmc_read_subchannel, ROOM(7, 2) },
    { 0x43, DISCS | MEDIUM, mmc_read_toc, ROOM(7, 2) },
    { 0x46, DISCS | ALWAYS, mmc_get_configuration, ROOM(7, 2) },
    { 0x4a, DISCS | ALWAYS, mmc_get_event, ROOM(7, 2) },
    { 0x4d, DISKS, scsi_log_sense, ROOM(7, 2) },
    { 0x51, DISCS | MEDIUM, mmc_disc_information, ROOM(7, 2) },
    { 0x52, DISCS | MEDIUM, mmc_track_information, ROOM(7, 2) },
    { 0x55, BOTH, scsi_mode_select, LIST(7, 2) },
    { 0x56, DISKS, reserve, NO_DATA },
    { 0x57, DISKS, reserve, NO_DATA },
    { 0x5a, BOTH, scsi_mode_sense, ROOM(7, 2) },
    { 0x88, DISKS | MEDIUM, read_blocks, READS(10, 4) },
    { 0x8a, DISKS | MEDIUM, write_blocks, WRITES(10, 4) },
    { 0x8e, DISKS | MEDIUM, write_blocks, WRITES(10, 4) },
    { 0x8f, DISKS | MEDIUM, verify, NO_DATA },
    { 0x91, DISKS | MEDIUM, flush, NO_DATA },
    { OPCODE_WRITE_SAME_16, DISKS | MEDIUM, write_same, WRITES(0, 0) },
    { 0x9e, DISKS | MEDIUM, service_action_in, ROOM(10, 4) },
    { 0xa0, BOTH | ALWAYS, report_luns, ROOM(6, 4) },
    { 0xa8, BOTH | MEDIUM, read_blocks, READS(6, 4) },
    { 0xaa, DISKS | MEDIUM, write_blocks, WRITES(6, 4) },
    { 0xad, DISCS | MEDIUM, mmc_dvd_structure, ROOM(8, 2) },
    { 0xae, DISKS | MEDIUM, write_blocks, WRITES(6, 4) },
    { 0xaf, DISKS | MEDIUM, verify, NO_DATA },
    { 0xb9, DISCS | MEDIUM, mmc_read_cd_msf, ANSWER(RAW_MOST) },
    { 0xbb, DISCS, do_nothing, NO_DATA }, /* SET CD SPEED */
    { 0xbd, DISCS, mmc_mechanism_status, ROOM(8, 2) },
    { 0xbe, DISCS | MEDIUM, mmc_read_cd, { SCSI_TO_HOST, 6, 3, RAW_SECTOR } },
};
/* clang-format on */

/* The line of the table; its end when there is none. */
static unsigned find_command(const ScsiUnit *unit, uint8_t opcode)
{
    unsigned kind = unit && unit->kind == SCSI_DISC ? DISCS : DISKS, line = 0;

    while (line < ARRAY_SIZE(commands) &&
           (commands[line].opcode != opcode || !(commands[line].flags & kind))) {
        line++;
    }
    return line;
}

static uint64_t load_number(const uint8_t *bytes, unsigned size)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < size; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

ScsiDirection scsi_data(const ScsiUnit *unit, const uint8_t *cdb, uint64_t *bytes)
{
    unsigned line = find_command(unit, cdb[0]);
    const Data *data;
    uint64_t count;

    *bytes = 0;
    if (line == ARRAY_SIZE(commands) ||
        (cdb[0] == OPCODE_WRITE_SAME_16 && cdb[1] & WRITE_SAME_NO_DATA)) {
        return SCSI_NO_DATA;
    }
    data = &commands[line].data;
    count = data->size ? load_number(cdb + data->at, data->size) : 1;
    if (!count && !data->each && scsi_cdb_size(cdb[0]) == 6) {
        count = 256;
    }
    *bytes = data->direction ? count * (data->each ? data->each : unit ? unit->block : 0) : 0;
    return *bytes ? (ScsiDirection)data->direction : SCSI_NO_DATA;
}

static ScsiAction run(ScsiUnit *unit, ScsiCommand *command, unsigned line)
{
    unsigned flags = commands[line].flags;

    if (unit->attention_code && !(flags & ALWAYS)) {
        scsi_fail(unit, SCSI_UNIT_ATTENTION, unit->attention_code, unit->attention_qualifier);
        unit->attention_code = unit->attention_qualifier = 0;
        return SCSI_FAILED;
    }
    if (flags & MEDIUM && !scsi_has_medium(unit)) {
        return scsi_fail(unit, SCSI_NOT_READY, MEDIUM_ABSENT,
                         unit->tray_open ? TRAY_OPEN : TRAY_CLOSED);
    }
    return commands[line].run(unit, command);
}

ScsiAction scsi_start(ScsiUnit *unit, ScsiCommand *command)
{
    uint8_t opcode = command->cdb[0];
    unsigned line = find_command(unit, opcode);

    command->bytes = 0;
    command->offset = command->length = 0;
    command->raw = 0;
    command->fua = command->may_unmap = false;
    if (opcode != 0x03) {
        unit->sense_key = unit->sense_code = unit->sense_qualifier = 0;
    }
    return line < ARRAY_SIZE(commands) ? run(unit, command, line)
                                       : scsi_fail(unit, SCSI_ILLEGAL_REQUEST, INVALID_OPCODE, 0);
}

ScsiAction scsi_received(ScsiUnit *unit, ScsiCommand *command)
{
    switch (command->cdb[0]) {
    case OPCODE_UNMAP:
        return unmap_received(unit, command);
    case OPCODE_WRITE_SAME_10:
    case OPCODE_WRITE_SAME_16:
        return write_same_received(unit, command);
    }
    if (!scsi_mode_received(unit, command)) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x26, 0);
    }
    return SCSI_DONE;
}
