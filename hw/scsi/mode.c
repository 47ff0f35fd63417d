/* SPDX-License-Identifier: MIT */
/* INQUIRY (SPC-4, 6.4) and mode pages (SPC-4, 7.5; SBC-3, 6.4; MMC-6, 7). */
#include <string.h>

#include "hw/scsi/scsi.h"

enum {
    STANDARD_INQUIRY = 36,
    PAGE_SUPPORTED = 0x00,
    PAGE_SERIAL = 0x80,
    PAGE_IDENTIFICATION = 0x83,
    PAGE_BLOCK_LIMITS = 0xb0,
    PAGE_CHARACTERISTICS = 0xb1,
    PAGE_PROVISIONING = 0xb2,

    MODE_ERRORS = 0x01,
    MODE_GEOMETRY = 0x04,
    MODE_CACHE = 0x08,
    MODE_AUDIO = 0x0e,
    MODE_CAPABILITIES = 0x2a,
    MODE_ALL = 0x3f,
    CACHE_WCE = 1 << 2,
    MAX_UNMAP_BLOCKS = 1 << 21,
    /* How ranges can lose their storage, in the provisioning page: WRITE SAME of 10 and of 16 bytes. */
    UNMAP = 1 << 7,
    WRITE_SAME = 3 << 5,
};

/* Padded with blanks. */
static void put_text(uint8_t *at, const char *text, unsigned size)
{
    size_t length = MIN(strlen(text), size);

    memset(at, ' ', size);
    memcpy(at, text, length);
}

static const char *serial(const ScsiUnit *unit)
{
    return unit->disk->serial ? unit->disk->serial : "";
}

/* A designator's header (SPC-4, 7.8.6.1) with `size` bytes behind it, which are returned; *at moves on. */
static uint8_t *put_designator(uint8_t **at, uint8_t code_set, uint8_t type, unsigned size)
{
    uint8_t *data = *at;

    data[0] = code_set;
    data[1] = type;
    data[3] = size;
    *at += size + 4;
    return data + 4;
}

static int put_identification(const ScsiUnit *unit, uint8_t *data)
{
    enum { BINARY = 1, ASCII = 2, VENDOR = 0, NAA = 3, PORT = 4, OF_SAS_PORT = 0x90 };
    const char *name = unit->device_id ? unit->device_id : serial(unit);
    size_t length = MIN(strlen(name), 200);
    uint8_t *end = data;

    if (length) {
        memcpy(put_designator(&end, ASCII, VENDOR, length), name, length);
    }
    if (unit->disk->wwn) {
        store_be64(put_designator(&end, BINARY, NAA, 8), unit->disk->wwn);
    }
    if (unit->port_wwn) {
        store_be64(put_designator(&end, BINARY | 0x60, OF_SAS_PORT | NAA, 8), unit->port_wwn);
    }
    if (unit->port_index) {
        store_be32(put_designator(&end, BINARY | 0x60, OF_SAS_PORT | PORT, 4), unit->port_index);
    }
    return (int)(end - data);
}

static void put_block_limits(const ScsiUnit *unit, uint8_t *data)
{
    enum { WRITE_SAME_NON_ZERO = 1 };
    const Disk *disk = unit->disk;

    data[0] = WRITE_SAME_NON_ZERO;
    store_be16(data + 2, disk->min_io_size / unit->block);
    store_be32(data + 4, unit->max_transfer);
    store_be32(data + 8, disk->opt_io_size / unit->block);
    if (disk->discard_granularity) {
        store_be32(data + 16, unit->max_unmap ? unit->max_unmap : MAX_UNMAP_BLOCKS);
        store_be32(data + 20, 1);
        store_be32(data + 24, MAX(disk->discard_granularity / unit->block, 1));
    }
    store_be64(data + 32, SCSI_MAX_FILL / unit->block);
}

/* The number of the page's bytes behind its header of 4, or -1 for a page that is not there. */
static int vital_page(const ScsiUnit *unit, uint8_t page, uint8_t *data)
{
    static const uint8_t disk_pages[] = { PAGE_SUPPORTED,       PAGE_SERIAL,
                                          PAGE_IDENTIFICATION,  PAGE_BLOCK_LIMITS,
                                          PAGE_CHARACTERISTICS, PAGE_PROVISIONING };
    unsigned length = MIN(strlen(serial(unit)), 36);
    const Disk *disk = unit->disk;

    switch (page) {
    case PAGE_SUPPORTED:
        memcpy(data, disk_pages, sizeof disk_pages);
        return unit->kind == SCSI_DISK ? sizeof disk_pages : 3;
    case PAGE_SERIAL:
        memcpy(data, serial(unit), length);
        return (int)length;
    case PAGE_IDENTIFICATION:
        return put_identification(unit, data);
    case PAGE_BLOCK_LIMITS:
        put_block_limits(unit, data);
        return unit->kind == SCSI_DISK ? 0x3c : -1;
    case PAGE_CHARACTERISTICS:
        store_be16(data, unit->rotation_rate);
        return unit->kind == SCSI_DISK ? 0x3c : -1;
    case PAGE_PROVISIONING:
        data[1] = disk->discard_granularity ? UNMAP | WRITE_SAME : 0;
        data[2] = disk->discard_granularity ? 2 : 0; /* thin */
        return unit->kind == SCSI_DISK ? 4 : -1;
    default:
        return -1;
    }
}

ScsiAction scsi_inquiry(ScsiUnit *unit, ScsiCommand *command)
{
    enum { TYPE_DISK = 0, TYPE_DISC = 5, REMOVABLE = 1 << 7, COMMAND_QUEUE = 1 << 1 };
    uint8_t *data = command->buffer;
    unsigned room = load_be16(command->cdb + 3);
    int length;

    memset(data, 0, SCSI_BUFFER);
    data[0] = unit->kind == SCSI_DISC ? TYPE_DISC : TYPE_DISK;
    if (command->cdb[1] & 1) {
        length = vital_page(unit, command->cdb[2], data + 4);
        if (length < 0) {
            return scsi_fail_field(unit);
        }
        data[1] = command->cdb[2];
        store_be16(data + 2, length);
        return scsi_answer(command, length + 4, room);
    }
    if (command->cdb[1] || command->cdb[2]) {
        return scsi_fail_field(unit);
    }
    data[1] = unit->kind == SCSI_DISC || unit->removable ? REMOVABLE : 0;
    data[2] = unit->inquiry_version;
    data[3] = unit->inquiry_format;
    data[4] = STANDARD_INQUIRY - 5;
    data[7] = unit->kind == SCSI_DISK ? COMMAND_QUEUE : 0;
    put_text(data + 8, unit->vendor, 8);
    put_text(data + 16, unit->product, 16);
    put_text(data + 32, unit->disk->version ? unit->disk->version : "2.5+", 4);
    return scsi_answer(command, STANDARD_INQUIRY, room);
}

/* Mode pages */

static unsigned put_errors(const ScsiUnit *unit, uint8_t *page)
{
    page[1] = unit->kind == SCSI_DISC ? 6 : 10;
    page[2] = 1 << 7; /* writes are reallocated by themselves */
    page[3] = unit->kind == SCSI_DISC ? 0x20 : 0;
    return page[1] + 2u;
}

static unsigned put_geometry(const ScsiUnit *unit, uint8_t *page)
{
    const Disk *disk = unit->disk;

    page[1] = 22;
    page[2] = disk->cyls >> 16;
    store_be16(page + 3, disk->cyls);
    page[5] = disk->heads;
    store_be16(page + 20, 5400);
    return page[1] + 2u;
}

static unsigned put_cache(const ScsiUnit *unit, uint8_t *page)
{
    page[1] = 18;
    page[2] = unit->write_cache ? CACHE_WCE : 0;
    return page[1] + 2u;
}

static unsigned put_audio(const ScsiUnit *unit, uint8_t *page)
{
    page[1] = 14;
    page[2] = 4;
    page[8] = 1; /* channels of two ports, at full volume */
    page[9] = 0xff;
    page[10] = 2;
    page[11] = 0xff;
    return page[1] + 2u;
}

static unsigned put_capabilities(const ScsiUnit *unit, uint8_t *page)
{
    enum { READS_CD_R_RW_DVD = 0x3b, MODE2_MULTI_SESSION = 0x70, TRAY = 1 << 5, EJECT = 1 << 3 };
    enum { LOCKABLE = 1, LOCKED = 2, SPEED = 50 * 176, BUFFER_KIB = 512, VOLUMES = 2 };

    page[1] = 20;
    page[2] = READS_CD_R_RW_DVD;
    page[4] = MODE2_MULTI_SESSION;
    page[6] = TRAY | EJECT | LOCKABLE | (unit->locked ? LOCKED : 0);
    store_be16(page + 8, SPEED);
    store_be16(page + 10, VOLUMES);
    store_be16(page + 12, BUFFER_KIB);
    store_be16(page + 14, SPEED);
    return page[1] + 2u;
}

static const struct {
    uint8_t code;
    bool disk, disc;
    unsigned (*put)(const ScsiUnit *unit, uint8_t *page);
} pages[] = {
    { MODE_ERRORS, true, true, put_errors },
    { MODE_GEOMETRY, true, false, put_geometry },
    { MODE_CACHE, true, true, put_cache },
    { MODE_AUDIO, false, true, put_audio },
    { MODE_CAPABILITIES, false, true, put_capabilities },
};

/* Appends the pages that the code names; returns their bytes. */
static unsigned put_pages(const ScsiUnit *unit, uint8_t code, bool changeable, uint8_t *at)
{
    unsigned total = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        uint8_t *page = at + total;
        bool has = unit->kind == SCSI_DISK ? pages[i].disk : pages[i].disc;
        unsigned size;

        if (!has || (code != MODE_ALL && code != pages[i].code)) {
            continue;
        }
        page[0] = pages[i].code;
        size = pages[i].put(unit, page);
        if (changeable) {
            memset(page + 2, 0, size - 2);
            if (page[0] == MODE_CACHE) {
                page[2] = CACHE_WCE;
            }
        }
        total += size;
    }
    return total;
}

static unsigned put_block_descriptor(const ScsiUnit *unit, uint8_t *at)
{
    uint64_t blocks = scsi_blocks(unit);

    store_be32(at, blocks > 0xffffff ? 0 : (uint32_t)blocks);
    store_be32(at + 4, unit->block);
    return 8;
}

ScsiAction scsi_mode_sense(ScsiUnit *unit, ScsiCommand *command)
{
    enum { NO_DESCRIPTORS = 1 << 3, WRITE_PROTECTED = 1 << 7, DPO_FUA = 1 << 4 };
    enum { CHANGEABLE = 1, SAVED = 3, DISC_INSERTED = 0x01, NO_DISC = 0x70 };
    const uint8_t *cdb = command->cdb;
    bool is_short = cdb[0] == 0x1a, disk = unit->kind == SCSI_DISK;
    unsigned header = is_short ? 4 : 8, size = header, descriptor = 0, control = cdb[2] >> 6;
    uint8_t *data = command->buffer, *mode = data + (is_short ? 1 : 2);
    unsigned got;

    memset(data, 0, SCSI_BUFFER);
    if (disk && !(cdb[1] & NO_DESCRIPTORS)) {
        descriptor = put_block_descriptor(unit, data + size);
        size += descriptor;
    }
    got = put_pages(unit, cdb[2] & 0x3f, control == CHANGEABLE, data + size);
    if (!got || control == SAVED) {
        return control == SAVED ? scsi_fail(unit, SCSI_ILLEGAL_REQUEST, 0x39, 0)
                                : scsi_fail_field(unit);
    }
    size += got;
    if (disk) {
        mode[1] = (unit->dpofua ? DPO_FUA : 0) |
                  (block_read_only(unit->disk->drive) ? WRITE_PROTECTED : 0);
    } else {
        mode[0] = scsi_has_medium(unit) ? DISC_INSERTED : NO_DISC;
    }
    if (is_short) {
        data[0] = size - 1;
        data[3] = descriptor;
    } else {
        store_be16(data, size - 2);
        store_be16(data + 6, descriptor);
    }
    return scsi_answer(command, size, is_short ? cdb[4] : load_be16(cdb + 7));
}

ScsiAction scsi_mode_select(ScsiUnit *unit, ScsiCommand *command)
{
    command->bytes = command->cdb[0] == 0x15 ? command->cdb[4] : load_be16(command->cdb + 7);
    if (command->bytes > SCSI_BUFFER) {
        return scsi_fail_field(unit);
    }
    return command->bytes ? SCSI_RECEIVE : SCSI_DONE;
}

/* Of all that can be sent, the write cache's switch has an effect. */
bool scsi_mode_received(ScsiUnit *unit, ScsiCommand *command)
{
    const uint8_t *data = command->buffer;
    bool is_short = command->cdb[0] == 0x15;
    unsigned at = is_short ? 4 : 8;

    if (command->bytes < at) {
        return false;
    }
    at += is_short ? data[3] : load_be16(data + 6);
    while (at + 2 <= command->bytes) {
        unsigned size = data[at + 1] + 2u;

        if (at + size > command->bytes) {
            return false;
        }
        if ((data[at] & 0x3f) == MODE_CACHE && size > 2 && unit->kind == SCSI_DISK) {
            unit->write_cache = data[at + 2] & CACHE_WCE;
            block_set_write_cache(unit->disk->drive, unit->write_cache);
        }
        at += size;
    }
    return true;
}
