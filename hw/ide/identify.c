/* SPDX-License-Identifier: MIT */
/* What an ATA disk says of itself: IDENTIFY DEVICE (ATA/ATAPI-7, volume 1, 6.17) and SMART (6.54). */
#include <string.h>

#include "hw/ide/ide-hd.h"

enum {
    DEFAULT_MULTIPLE = 16,
    LBA28_SECTORS = 0x0fffffff,
    CHS_SECTORS = 16383 * 16 * 63,
    UDMA_MODES = 0x3f,
    MWDMA_MODES = 7,
};

static void put_word(uint8_t *data, unsigned word, unsigned value)
{
    store_le16(data + word * 2, value);
}

static void put_pair(uint8_t *data, unsigned word, uint32_t value)
{
    store_le32(data + word * 2, value);
}

static uint8_t checksum(const uint8_t *data)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < IDE_SECTOR - 1; i++) {
        sum += data[i];
    }
    return -sum;
}

static void put_geometry(const IdeHd *hd, uint8_t *data)
{
    const Disk *disk = &hd->drive.disk;
    uint64_t sectors = ide_hd_sectors(hd);
    uint32_t current = MIN(sectors / (hd->heads * hd->secs), 65535);

    put_word(data, 1, disk->cyls);
    put_word(data, 3, disk->heads);
    put_word(data, 6, disk->secs);
    put_word(data, 53, 7); /* words 54–58, 64–70 and 88 are valid */
    put_word(data, 54, current);
    put_word(data, 55, hd->heads);
    put_word(data, 56, hd->secs);
    put_pair(data, 57, MIN(current * hd->heads * hd->secs, CHS_SECTORS));
    put_pair(data, 60, MIN(sectors, LBA28_SECTORS));
    store_le64(data + 100 * 2, sectors);
}

static void put_modes(const IdeHd *hd, uint8_t *data)
{
    uint8_t mode = hd->transfer_mode, bit = BIT(mode & 7);

    put_word(data, 63, MWDMA_MODES | ((mode & 0xf8) == 0x20 ? bit << 8 : 0));
    put_word(data, 62, MWDMA_MODES | ((mode & 0xf8) == 0x10 ? bit << 8 : 0));
    put_word(data, 64, 3); /* PIO 3 and 4 */
    for (unsigned word = 65; word <= 68; word++) {
        put_word(data, word, 120); /* ns to a word */
    }
    put_word(data, 88, UDMA_MODES | ((mode & 0xf8) == 0x40 ? bit << 8 : 0));
    /* Hardware reset found an 80 wire cable, and which drive this is by its jumper. */
    put_word(data, 93, hd->drive.unit ? 0x6300 : 0x600b);
}

static void put_features(const IdeHd *hd, uint8_t *data)
{
    const Disk *disk = &hd->drive.disk;
    bool wwn = disk->wwn != 0;

    put_word(data, 80, 0xf0); /* ATA-4 to ATA-7 */
    put_word(data, 81, 0x16);
    /* NOP is not there; READ and WRITE BUFFER, look-ahead, write cache, power management, SMART are. */
    put_word(data, 82, 1 << 14 | 1 << 5 | 1 << 3 | 1 << 0);
    put_word(data, 83, 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10); /* both flushes, 48 bits */
    put_word(data, 84, 1 << 14 | 1 << 6 | (wwn ? 1 << 8 : 0)); /* FUA */
    put_word(data, 85,
             1 << 14 | (hd->write_cache ? 1 << 5 : 0) | 1 << 3 | (hd->smart_enabled ? 1 : 0));
    put_word(data, 86, 1 << 13 | 1 << 12 | 1 << 10);
    put_word(data, 87, 1 << 14 | 1 << 6 | (wwn ? 1 << 8 : 0));
    for (unsigned i = 0; wwn && i < 4; i++) {
        put_word(data, 108 + i, disk->wwn >> (48 - 16 * i) & 0xffff);
    }
}

static void put_sector_sizes(const IdeHd *hd, uint8_t *data)
{
    uint32_t physical = hd->drive.disk.physical_block_size;

    if (physical > IDE_SECTOR && is_power_of_two(physical)) {
        put_word(data, 106, 1 << 14 | 1 << 13 | (__builtin_ctz(physical / IDE_SECTOR) & 15));
        put_word(data, 209, 1 << 14);
    }
    if (hd->drive.disk.discard_granularity) {
        put_word(data, 69, 1 << 14); /* what was trimmed reads the same each time */
        put_word(data, 105, 128);    /* sectors of ranges in a command */
        put_word(data, 169, 1);
    }
    put_word(data, 217, hd->rotation_rate);
}

/* Serial ATA 3.1, 13.2.1. */
static void put_serial_ata(const IdeHd *hd, uint8_t *data)
{
    enum {
        QUEUE_DEPTH = 32,
        GEN1 = 1 << 1,
        QUEUES = 1 << 8,
        GENERAL_LOGGING = 1 << 5,
        MORE_FEATURES = 1 << 15, /* words 119 and 120 hold some */
        WORD_VALID = 1 << 14,
        LOG_BY_DMA = 1 << 3,
    };

    if (hd->drive.queues) {
        put_word(data, 75, QUEUE_DEPTH - 1);
        put_word(data, 76, GEN1 | QUEUES);
        /* Logs, by which it tells of a queued command that failed; they are read by PIO and by DMA. */
        put_word(data, 84, load_le16(data + 84 * 2) | GENERAL_LOGGING);
        put_word(data, 87, load_le16(data + 87 * 2) | GENERAL_LOGGING);
        put_word(data, 86, load_le16(data + 86 * 2) | MORE_FEATURES);
        put_word(data, 119, WORD_VALID | LOG_BY_DMA);
        put_word(data, 120, WORD_VALID | LOG_BY_DMA);
        put_word(data, 93, 0); /* no cable of wires */
    }
}

void ide_hd_identify(const IdeHd *hd, uint8_t *data)
{
    const Disk *disk = &hd->drive.disk;

    memset(data, 0, IDE_SECTOR);
    put_word(data, 0, 0x0040); /* fixed disk */
    put_geometry(hd, data);
    ide_put_string(data + 10 * 2, disk->serial, 20);
    put_word(data, 20, 3);
    put_word(data, 21, 512);
    ide_put_string(data + 23 * 2, disk->version ? disk->version : "2.5+", 8);
    ide_put_string(data + 27 * 2, disk->model ? disk->model : "QEMU HARDDISK", 40);
    put_word(data, 47, 0x8000 | DEFAULT_MULTIPLE);
    put_word(data, 48, 1);
    put_word(data, 49, 1 << 11 | 1 << 9 | 1 << 8); /* IORDY, LBA, DMA */
    put_word(data, 50, 1 << 14);
    put_word(data, 51, 2 << 8);
    put_word(data, 52, 2 << 8);
    put_word(data, 59, hd->multiple ? 1 << 8 | hd->multiple : 0);
    put_modes(hd, data);
    put_features(hd, data);
    put_sector_sizes(hd, data);
    put_serial_ata(hd, data);
    data[510] = 0xa5;
    data[511] = checksum(data);
}

/* SMART */

enum {
    SMART_DATA = 0xd0,
    SMART_THRESHOLDS = 0xd1,
    SMART_AUTOSAVE = 0xd2,
    SMART_SAVE = 0xd3,
    SMART_TEST = 0xd4,
    SMART_READ_LOG = 0xd5,
    SMART_ENABLE = 0xd8,
    SMART_DISABLE = 0xd9,
    SMART_STATUS = 0xda,
    SMART_KEY_MID = 0x4f,
    SMART_KEY_HIGH = 0xc2,
    LOG_DIRECTORY = 0,
    LOG_ERRORS = 1,
    LOG_SELF_TEST = 6,
    AUTOSAVE_ON = 0xf1,
};

typedef struct {
    uint8_t id;
    uint16_t flags;
    uint8_t value, worst, raw, threshold;
} SmartAttribute;

/* A healthy disk: reads without errors, spins up, starts, keeps all its sectors, stays cool. */
static const SmartAttribute attributes[] = {
    { 0x01, 0x0003, 100, 100, 0, 6 },  { 0x03, 0x0003, 100, 100, 16, 0 },
    { 0x04, 0x0002, 100, 100, 1, 20 }, { 0x05, 0x0003, 100, 100, 0, 36 },
    { 0x09, 0x0003, 100, 100, 1, 0 },  { 0x0c, 0x0003, 100, 100, 1, 0 },
    { 0xbe, 0x0003, 69, 69, 31, 50 },
};

static void send(IdeHd *hd)
{
    hd->drive.buffer[IDE_SECTOR - 1] = checksum(hd->drive.buffer);
    ide_send_buffer(&hd->drive, IDE_SECTOR, IDE_SECTOR, false);
}

static bool send_table(IdeHd *hd, bool thresholds)
{
    uint8_t *data = hd->drive.buffer;

    memset(data, 0, IDE_SECTOR);
    data[0] = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(attributes); i++) {
        const SmartAttribute *a = &attributes[i];
        uint8_t *entry = data + 2 + i * 12;

        entry[0] = a->id;
        if (thresholds) {
            entry[1] = a->threshold;
        } else {
            store_le16(entry + 1, a->flags);
            entry[3] = a->value;
            entry[4] = a->worst;
            entry[5] = a->raw;
        }
    }
    if (!thresholds) {
        data[362] = 0x02 | (hd->smart_autosave ? 0x80 : 0);
        store_le16(data + 364, 60); /* seconds of an off-line collection */
        data[366] = hd->smart_self_test;
        data[367] = 0x1b; /* off-line and self-tests at once */
        store_le16(data + 368, 3);
        data[370] = 1;
        data[372] = 2; /* minutes of a short self-test */
        data[373] = 0x36;
    }
    send(hd);
    return true;
}

static bool send_log(IdeHd *hd)
{
    uint8_t *data = hd->drive.buffer;

    memset(data, 0, IDE_SECTOR);
    switch (hd->drive.registers[IDE_LBA_LOW]) {
    case LOG_DIRECTORY:
        data[0] = 1;
        data[LOG_ERRORS * 2] = 1;
        data[LOG_SELF_TEST * 2] = 1;
        break;
    case LOG_ERRORS:
    case LOG_SELF_TEST:
        data[0] = 1;
        break;
    default:
        return false;
    }
    send(hd);
    return true;
}

static bool run_self_test(IdeHd *hd)
{
    uint8_t kind = hd->drive.registers[IDE_LBA_LOW];

    switch (kind) {
    case 0: /* off-line, short, extended; at once and in captive mode */
    case 1:
    case 2:
    case 0x81:
    case 0x82:
        hd->smart_self_test = kind;
        ide_finish(&hd->drive);
        return true;
    case 0x7f: /* ends a test: ours are over at once */
        ide_finish(&hd->drive);
        return true;
    default:
        return false;
    }
}

bool ide_hd_smart(IdeHd *hd)
{
    uint8_t *r = hd->drive.registers, what = r[IDE_FEATURES];

    if (r[IDE_LBA_MID] != SMART_KEY_MID || r[IDE_LBA_HIGH] != SMART_KEY_HIGH ||
        (!hd->smart_enabled && what != SMART_ENABLE)) {
        return false;
    }
    switch (what) {
    case SMART_DATA:
    case SMART_THRESHOLDS:
        return send_table(hd, what == SMART_THRESHOLDS);
    case SMART_READ_LOG:
        return send_log(hd);
    case SMART_TEST:
        return run_self_test(hd);
    case SMART_AUTOSAVE:
        hd->smart_autosave = r[IDE_COUNT] == AUTOSAVE_ON;
        break;
    case SMART_ENABLE:
    case SMART_DISABLE:
        hd->smart_enabled = what == SMART_ENABLE;
        break;
    case SMART_SAVE:
    case SMART_STATUS: /* the key as it was: nothing is about to fail */
        break;
    default:
        return false;
    }
    ide_finish(&hd->drive);
    return true;
}

/* General purpose logs (ATA8-ACS, 7.26): the directory, and of disks that queue commands the error of one. */

enum { GENERAL_DIRECTORY = 0x00, GENERAL_QUEUE_ERROR = 0x10 };

void ide_hd_note_queue_error(IdeHd *hd, unsigned tag, const uint8_t *fis)
{
    uint8_t *page = hd->queue_error;

    memset(page, 0, IDE_QUEUE_ERROR_BYTES);
    page[0] = (uint8_t)tag;
    page[2] = hd->drive.status;
    page[3] = hd->drive.error;
    memcpy(page + 4, fis + 4, 3); /* address and device */
    page[7] = fis[7];
    memcpy(page + 8, fis + 8, 3);
    page[12] = fis[3]; /* a queued command has its count where others have features */
    page[13] = fis[11];
}

bool ide_hd_read_log(IdeHd *hd, bool dma)
{
    const IdeDrive *d = &hd->drive;
    uint8_t *data = hd->drive.buffer;
    unsigned pages = d->registers[IDE_COUNT] | d->previous[IDE_COUNT] << 8;
    unsigned page = d->registers[IDE_LBA_MID] | d->previous[IDE_LBA_MID] << 8;

    if (!d->queues || pages != 1 || page) {
        return false;
    }
    memset(data, 0, IDE_SECTOR);
    switch (d->registers[IDE_LBA_LOW]) {
    case GENERAL_DIRECTORY:
        put_word(data, 0, 1); /* version */
        put_word(data, GENERAL_QUEUE_ERROR, 1);
        break;
    case GENERAL_QUEUE_ERROR:
        memcpy(data, hd->queue_error, IDE_QUEUE_ERROR_BYTES);
        data[IDE_SECTOR - 1] = checksum(data);
        break;
    default:
        return false;
    }
    ide_send_buffer(&hd->drive, IDE_SECTOR, IDE_SECTOR, dma);
    return true;
}
