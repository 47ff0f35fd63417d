/* SPDX-License-Identifier: MIT */
/*
 * Commands of CD and DVD drives (MMC-6): one data track in one session, closed. A disc of more than 80 minutes
 * is a DVD-ROM.
 */
#include <string.h>

#include "hw/scsi/scsi.h"

enum {
    FRAMES_PER_SECOND = 75,
    LEAD_IN_FRAMES = 150,
    CD_MAX_BLOCKS = 80 * 60 * FRAMES_PER_SECOND,
    PROFILE_CD_ROM = 0x08,
    PROFILE_DVD_ROM = 0x10,
    LEAD_OUT = 0xaa,
    CONTROL_DATA = 0x14, /* position data in Q, a data track */
    EVENT_EJECT_REQUEST = 1,
    EVENT_NEW_MEDIA = 2,
    EVENT_REMOVAL = 3,
    MEDIUM_CHANGED = 0x28, /* additional sense code of the unit attention */
};

static bool is_dvd(const ScsiUnit *unit)
{
    return scsi_blocks(unit) > CD_MAX_BLOCKS;
}

static void put_msf(uint8_t *at, uint64_t block)
{
    uint64_t frame = block + LEAD_IN_FRAMES;

    at[0] = 0;
    at[1] = frame / FRAMES_PER_SECOND / 60;
    at[2] = frame / FRAMES_PER_SECOND % 60;
    at[3] = frame % FRAMES_PER_SECOND;
}

static uint8_t to_bcd(unsigned value)
{
    return value / 10 << 4 | value % 10;
}

void mmc_frame_sector(uint8_t *sector, uint64_t block)
{
    enum { SYNC = 12, MODE = 15, MODE_1 = 1 };
    uint8_t msf[4];

    put_msf(msf, block);
    memset(sector, 0xff, SYNC);
    sector[0] = sector[SYNC - 1] = 0;
    for (unsigned i = 0; i < 3; i++) {
        sector[SYNC + i] = to_bcd(msf[i + 1] % 100);
    }
    sector[MODE] = MODE_1;
    memset(sector + SCSI_RAW_START + SCSI_DISC_BLOCK, 0, SCSI_RAW_EXTRA - SCSI_RAW_START);
}

static void put_address(uint8_t *at, uint64_t block, bool msf)
{
    if (msf) {
        put_msf(at, block);
    } else {
        store_be32(at, block);
    }
}

/* The tray */

void mmc_move_tray(ScsiUnit *unit, bool open)
{
    if (unit->tray_open == open) {
        return;
    }
    unit->tray_open = open;
    unit->media_event = open ? EVENT_REMOVAL : EVENT_NEW_MEDIA;
    if (!open) {
        unit->attention_code = disk_has_medium(unit->disk) ? MEDIUM_CHANGED : 0;
    }
    disk_tell_tray(unit->disk, open);
}

void mmc_query_medium(const ScsiUnit *unit, MediumState *state)
{
    *state = (MediumState){
        .has_tray = true, .tray_open = unit->tray_open, .locked = unit->locked, .read_only = true
    };
}

void mmc_ask_for_eject(ScsiUnit *unit)
{
    unit->media_event = EVENT_EJECT_REQUEST;
}

ScsiAction mmc_start_stop(ScsiUnit *unit, ScsiCommand *command)
{
    enum { START = 1, LOAD_EJECT = 2, POWER = 0xf0 };
    uint8_t what = command->cdb[4];

    if (what & POWER || !(what & LOAD_EJECT)) {
        return SCSI_DONE;
    }
    if (what & START) {
        mmc_move_tray(unit, false);
        return SCSI_DONE;
    }
    if (unit->locked) {
        return scsi_has_medium(unit) ? scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x53, 2)
                                     : scsi_fail(unit, SCSI_NOT_READY, 0x53, 2);
    }
    mmc_move_tray(unit, true);
    return SCSI_DONE;
}

ScsiAction mmc_get_event(ScsiUnit *unit, ScsiCommand *command)
{
    enum { POLLED = 1, CLASS_MEDIA = 4, SUPPORTED = 1 << CLASS_MEDIA, NO_EVENT = 1 << 7 };
    enum { HEADER = 4, SIZE = 8, TRAY_OPEN = 1, PRESENT = 2 };
    uint8_t *data = command->buffer;
    unsigned room = load_be16(command->cdb + 7);

    if (!(command->cdb[1] & POLLED)) {
        return scsi_fail_field(unit);
    }
    memset(data, 0, SIZE);
    data[3] = SUPPORTED;
    if (!(command->cdb[4] & SUPPORTED)) {
        data[1] = 2;
        data[2] = NO_EVENT;
        return scsi_answer(command, HEADER, room);
    }
    data[1] = SIZE - 2;
    data[2] = CLASS_MEDIA;
    data[4] = unit->media_event;
    data[5] = (unit->tray_open ? TRAY_OPEN : 0) | (disk_has_medium(unit->disk) ? PRESENT : 0);
    unit->media_event = 0;
    return scsi_answer(command, SIZE, room);
}

ScsiAction mmc_mechanism_status(ScsiUnit *unit, ScsiCommand *command)
{
    enum { SIZE = 8, DOOR_OPEN = 1 << 4 };

    memset(command->buffer, 0, SIZE);
    command->buffer[1] = unit->tray_open ? DOOR_OPEN : 0;
    command->buffer[5] = 1; /* slots */
    return scsi_answer(command, SIZE, load_be16(command->cdb + 8));
}

/* Reading */

/* What of each sector is asked for (6.20.2.6): nothing, its data, or all of it. */
static ScsiAction read_sectors(ScsiUnit *unit, ScsiCommand *command, uint64_t first, uint64_t count)
{
    enum { USER_DATA = 0x10, ALL = 0xf8 };
    uint8_t what = command->cdb[9] & ALL, type = command->cdb[1] >> 2 & 7;

    if (first > scsi_blocks(unit) || count > scsi_blocks(unit) - first) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x21, 0);
    }
    if ((what != 0 && what != USER_DATA && what != ALL) || command->cdb[10] & 7) {
        return scsi_fail_field(unit);
    }
    if (type && type != 2) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x64, 0); /* not this kind of track */
    }
    command->offset = first * SCSI_DISC_BLOCK;
    command->length = count * SCSI_DISC_BLOCK;
    command->raw = what == ALL ? SCSI_RAW_EXTRA : 0;
    return what && count ? SCSI_READ : SCSI_DONE;
}

ScsiAction mmc_read_cd(ScsiUnit *unit, ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;

    return read_sectors(unit, command, load_be32(cdb + 2), load_be32(cdb + 5) & 0xffffff);
}

static bool get_msf(const uint8_t *at, uint64_t *block)
{
    uint64_t frame = (at[0] * 60u + at[1]) * FRAMES_PER_SECOND + at[2];

    *block = frame - LEAD_IN_FRAMES;
    return frame >= LEAD_IN_FRAMES;
}

ScsiAction mmc_read_cd_msf(ScsiUnit *unit, ScsiCommand *command)
{
    uint64_t first, end;

    if (!get_msf(command->cdb + 3, &first) || !get_msf(command->cdb + 6, &end) || end < first) {
        return scsi_fail_field(unit);
    }
    return read_sectors(unit, command, first, end - first);
}

/* What is on the disc */

static unsigned put_track(uint8_t *at, unsigned track, uint64_t block, bool msf)
{
    at[0] = 0;
    at[1] = CONTROL_DATA;
    at[2] = track;
    at[3] = 0;
    put_address(at + 4, block, msf);
    return 8;
}

/* Format 2: points of the lead-in's Q channel, always by minutes. */
static unsigned put_full_toc(const ScsiUnit *unit, uint8_t *at)
{
    static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };
    uint8_t msf[4];

    for (unsigned i = 0; i < ARRAY_SIZE(points); i++) {
        uint8_t *entry = at + i * 11;

        memset(entry, 0, 11);
        entry[0] = 1; /* session */
        entry[1] = CONTROL_DATA;
        entry[3] = points[i];
        if (points[i] == 0xa2 || points[i] == 1) {
            put_msf(msf, points[i] == 1 ? 0 : scsi_blocks(unit));
            memcpy(entry + 8, msf + 1, 3);
        } else {
            entry[8] = 1; /* first and last track */
        }
    }
    return sizeof points * 11;
}

ScsiAction mmc_read_toc(ScsiUnit *unit, ScsiCommand *command)
{
    const uint8_t *cdb = command->cdb;
    bool msf = cdb[1] & 2;
    unsigned format = cdb[2] & 15, start = cdb[6], size = 4;
    uint8_t *data = command->buffer;

    /* Before format moved, it was in the last byte's upper bits. */
    format = format ? format : cdb[9] >> 6;
    memset(data, 0, SCSI_BUFFER);
    data[2] = data[3] = 1;
    switch (format) {
    case 0:
        if (start > 1 && start != LEAD_OUT) {
            return scsi_fail_field(unit);
        }
        if (start <= 1) {
            size += put_track(data + size, 1, 0, msf);
        }
        size += put_track(data + size, LEAD_OUT, scsi_blocks(unit), msf);
        break;
    case 1:
        size += put_track(data + size, 1, 0, msf);
        break;
    case 2:
        size += put_full_toc(unit, data + size);
        break;
    default:
        return scsi_fail_field(unit);
    }
    store_be16(data, size - 2);
    return scsi_answer(command, size, load_be16(cdb + 7));
}

ScsiAction mmc_read_subchannel(ScsiUnit *unit, ScsiCommand *command)
{
    enum { SUBQ = 1 << 6, NO_AUDIO = 0x15, POSITION = 1, HEADER = 4, ENTRY = 12, CODE = 20 };
    unsigned format = command->cdb[3], size = HEADER;
    uint8_t *data = command->buffer;

    memset(data, 0, HEADER + CODE);
    data[1] = NO_AUDIO;
    if (command->cdb[2] & SUBQ) {
        if (format < POSITION || format > 3) {
            return scsi_fail_field(unit);
        }
        size += format == POSITION ? ENTRY : CODE;
        data[4] = format;
        data[5] = CONTROL_DATA;
        data[6] = data[7] = format == POSITION ? 1 : 0;
    }
    store_be16(data + 2, size - HEADER);
    return scsi_answer(command, size, load_be16(command->cdb + 7));
}

ScsiAction mmc_disc_information(ScsiUnit *unit, ScsiCommand *command)
{
    enum { SIZE = 34, COMPLETE = 0x0e, UNRESTRICTED = 0x20 };
    uint8_t *data = command->buffer;

    if (command->cdb[1] & 7) {
        return scsi_fail_field(unit);
    }
    memset(data, 0, SIZE);
    store_be16(data, SIZE - 2);
    data[2] = COMPLETE;
    data[3] = data[4] = data[5] = data[6] = 1; /* first track, sessions, tracks of the last one */
    data[7] = UNRESTRICTED;
    memset(data + 16, 0xff, 8); /* nothing can be added */
    return scsi_answer(command, SIZE, load_be16(command->cdb + 7));
}

ScsiAction mmc_track_information(ScsiUnit *unit, ScsiCommand *command)
{
    enum { SIZE = 36, BY_LBA = 0, BY_TRACK = 1, BY_SESSION = 2, TRACK_MODE = 4, DATA_MODE_1 = 1 };
    uint8_t *data = command->buffer, by = command->cdb[1] & 3;
    uint32_t which = load_be32(command->cdb + 2);

    if (by == BY_LBA ? which >= scsi_blocks(unit) : which != 1) {
        return scsi_fail_field(unit);
    }
    memset(data, 0, SIZE);
    store_be16(data, SIZE - 2);
    data[2] = data[3] = 1;
    data[5] = TRACK_MODE;
    data[6] = DATA_MODE_1;
    store_be32(data + 24, MIN(scsi_blocks(unit), UINT32_MAX));
    return scsi_answer(command, SIZE, load_be16(command->cdb + 7));
}

ScsiAction mmc_dvd_structure(ScsiUnit *unit, ScsiCommand *command)
{
    enum { PHYSICAL = 0, COPYRIGHT = 1, MANUFACTURING = 4, HEADER = 4, FIRST_SECTOR = 0x30000 };
    enum { PHYSICAL_SIZE = 2048, COPYRIGHT_SIZE = 4, BOOK_DVD_ROM = 0x01, DISC_120MM = 0x0f };
    uint8_t *data = command->buffer;
    unsigned size;

    if (!is_dvd(unit)) {
        return scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x30, 2); /* not this kind of disc */
    }
    memset(data, 0, SCSI_BUFFER);
    switch (command->cdb[7]) {
    case PHYSICAL:
        size = HEADER + PHYSICAL_SIZE;
        data[4] = BOOK_DVD_ROM;
        data[5] = DISC_120MM;
        data[6] = 1; /* one layer, embossed */
        store_be32(data + 8, FIRST_SECTOR);
        store_be32(data + 12, FIRST_SECTOR + (uint32_t)scsi_blocks(unit) - 1);
        break;
    case COPYRIGHT:
        size = HEADER + COPYRIGHT_SIZE;
        break;
    case MANUFACTURING:
        size = HEADER + PHYSICAL_SIZE;
        break;
    default:
        return scsi_fail_field(unit);
    }
    store_be16(data, size - 2);
    return scsi_answer(command, size, load_be16(command->cdb + 8));
}

/* Features (5.3) */

typedef struct {
    uint16_t code;
    uint8_t flags; /* version, persistent, current */
    uint8_t size;
    uint8_t data[12];
} Feature;

static const Feature features[] = {
    { 0x0001, 0x0b, 8, { 0, 0, 0, 2, 1 } },          /* core: ATAPI */
    { 0x0002, 0x07, 4, { 2 } },                      /* morphing: events, no waiting */
    { 0x0003, 0x03, 4, { 0x29 } },                   /* removable: tray, eject, lock */
    { 0x0010, 0x01, 8, { 0, 0, 8, 0, 0, 1, 0, 0 } }, /* random reading of 2048 bytes */
    { 0x001e, 0x08, 4, { 0 } },                      /* CD */
    { 0x001f, 0x04, 4, { 0 } },                      /* DVD */
    { 0x0100, 0x03, 0, { 0 } },                      /* power management */
};

static uint16_t current_profile(const ScsiUnit *unit)
{
    return !scsi_has_medium(unit) ? 0 : is_dvd(unit) ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

static unsigned put_profiles(const ScsiUnit *unit, uint8_t *at)
{
    static const uint16_t profiles[] = { PROFILE_DVD_ROM, PROFILE_CD_ROM };

    store_be16(at, 0);
    at[2] = 3; /* persistent, current */
    at[3] = sizeof profiles * 2;
    for (unsigned i = 0; i < ARRAY_SIZE(profiles); i++) {
        store_be16(at + 4 + i * 4, profiles[i]);
        at[6 + i * 4] = profiles[i] == current_profile(unit);
    }
    return 4 + 4 * ARRAY_SIZE(profiles);
}

static bool is_current(const ScsiUnit *unit, const Feature *feature)
{
    switch (feature->code) {
    case 0x0010:
        return scsi_has_medium(unit);
    case 0x001e:
        return current_profile(unit) == PROFILE_CD_ROM;
    case 0x001f:
        return current_profile(unit) == PROFILE_DVD_ROM;
    default:
        return true;
    }
}

ScsiAction mmc_get_configuration(ScsiUnit *unit, ScsiCommand *command)
{
    enum { ALL = 0, CURRENT = 1, ONE = 2, HEADER = 8 };
    unsigned type = command->cdb[1] & 3, first = load_be16(command->cdb + 2), size = HEADER;
    uint8_t *data = command->buffer;

    if (type > ONE) {
        return scsi_fail_field(unit);
    }
    memset(data, 0, SCSI_BUFFER);
    if (first == 0) {
        size += put_profiles(unit, data + size);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const Feature *f = &features[i];
        bool current = is_current(unit, f);

        if ((type == ONE ? f->code != first : f->code < first) || (type == CURRENT && !current)) {
            continue;
        }
        store_be16(data + size, f->code);
        data[size + 2] = (f->flags & ~1) | current;
        data[size + 3] = f->size;
        memcpy(data + size + 4, f->data, f->size);
        size += 4u + f->size;
    }
    store_be32(data, size - 4);
    store_be16(data + 6, current_profile(unit));
    return scsi_answer(command, size, load_be16(command->cdb + 7));
}
