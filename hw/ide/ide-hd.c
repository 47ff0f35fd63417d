/* SPDX-License-Identifier: MIT */
/*
 * ATA disk (ATA/ATAPI-7): PIO, multiple and DMA transfers with 28 and 48 bit addresses, cylinders and heads, flush, power modes,
 * SMART, TRIM. Commands are the table at the end; identify.c says what the disk is.
 *
 * Not modelled: security, host protected areas that hide anything, queues, streaming, and power modes' effect on time.
 */
#include "hw/ide/ide-hd.h"

#include <errno.h>

#include "base/error.h"
#include "machine/machine.h"

enum {
    MAX_MULTIPLE = 16,
    IDE_HEADS = 16,
    POWER_STANDBY = 0x00,
    POWER_IDLE = 0x80,
    POWER_ACTIVE = 0xff,
    TRIM_ENTRY = 8,
    TRIM_PER_SECTOR = IDE_SECTOR / TRIM_ENTRY,
    FEATURE_TRIM = 1,
    TRIM_SECTORS = 128, /* that IDENTIFY tells */
    READ_LOG_DMA = 0x47,
    LOG_VERSION = 1, /* of saved states */
};

IdeHd *ide_hd(IdeDrive *drive)
{
    return container_of(drive, IdeHd, drive);
}

/* Addresses */

static bool is_extended(const IdeHd *hd)
{
    return ide_hd_command_flags(hd->drive.command) & IDE_HD_EXT;
}

/* The first sector of a command; false when the address is none. */
static bool get_address(const IdeHd *hd, uint64_t *sector)
{
    const uint8_t *r = hd->drive.registers, *p = hd->drive.previous;
    uint32_t cylinder, head;

    if (is_extended(hd)) {
        *sector = r[IDE_LBA_LOW] | r[IDE_LBA_MID] << 8 | (uint32_t)r[IDE_LBA_HIGH] << 16 |
                  (uint64_t)p[IDE_LBA_LOW] << 24 | (uint64_t)p[IDE_LBA_MID] << 32 |
                  (uint64_t)p[IDE_LBA_HIGH] << 40;
        return true;
    }
    head = r[IDE_DEVICE] & IDE_DEVICE_HEAD;
    if (r[IDE_DEVICE] & IDE_DEVICE_LBA) {
        *sector = r[IDE_LBA_LOW] | r[IDE_LBA_MID] << 8 | (uint32_t)r[IDE_LBA_HIGH] << 16 |
                  (uint32_t)head << 24;
        return true;
    }
    cylinder = r[IDE_LBA_MID] | r[IDE_LBA_HIGH] << 8;
    *sector = ((uint64_t)cylinder * hd->heads + head) * hd->secs + r[IDE_LBA_LOW] - 1;
    return r[IDE_LBA_LOW] >= 1 && r[IDE_LBA_LOW] <= hd->secs && head < hd->heads;
}

static void set_address(IdeHd *hd, uint64_t sector)
{
    uint8_t *r = hd->drive.registers, *p = hd->drive.previous;

    if (is_extended(hd)) {
        p[IDE_LBA_LOW] = sector >> 24;
        p[IDE_LBA_MID] = sector >> 32;
        p[IDE_LBA_HIGH] = sector >> 40;
    } else if (r[IDE_DEVICE] & IDE_DEVICE_LBA) {
        r[IDE_DEVICE] = (r[IDE_DEVICE] & ~IDE_DEVICE_HEAD) | (sector >> 24 & IDE_DEVICE_HEAD);
    } else {
        uint64_t track = sector / hd->secs, cylinder = track / hd->heads;

        r[IDE_DEVICE] = (r[IDE_DEVICE] & ~IDE_DEVICE_HEAD) | track % hd->heads;
        r[IDE_LBA_LOW] = sector % hd->secs + 1;
        r[IDE_LBA_MID] = cylinder;
        r[IDE_LBA_HIGH] = cylinder >> 8;
        return;
    }
    r[IDE_LBA_LOW] = sector;
    r[IDE_LBA_MID] = sector >> 8;
    r[IDE_LBA_HIGH] = sector >> 16;
}

static uint32_t get_count(const IdeHd *hd)
{
    uint32_t count = hd->drive.registers[IDE_COUNT];

    if (is_extended(hd)) {
        count |= hd->drive.previous[IDE_COUNT] << 8;
        return count ? count : 0x10000;
    }
    return count ? count : 0x100;
}

uint64_t ide_hd_sectors(const IdeHd *hd)
{
    return disk_bytes(&hd->drive.disk) / IDE_SECTOR;
}

/* The sectors that a command names, when the disk has them all. */
static bool get_range(IdeHd *hd, uint64_t *sector, uint32_t *count)
{
    uint64_t total = ide_hd_sectors(hd);

    *count = get_count(hd);
    if (get_address(hd, sector) && *sector < total && *count <= total - *sector) {
        return true;
    }
    ide_fail(&hd->drive, IDE_ERROR_IDNF);
    return false;
}

/* Transfers */

static void move(IdeHd *hd, IdeIo io, uint32_t block, bool dma)
{
    uint64_t sector;
    uint32_t count;

    if (!get_range(hd, &sector, &count)) {
        block_count_invalid(hd->drive.disk.drive,
                            io == IDE_IO_READ ? BLOCK_ACCOUNT_READ : BLOCK_ACCOUNT_WRITE);
        return;
    }
    hd->drive.fua = ide_hd_command_flags(hd->drive.command) & IDE_HD_FUA;
    ide_transfer(&hd->drive, io, sector * IDE_SECTOR, (uint64_t)count * IDE_SECTOR,
                 block * IDE_SECTOR, block * IDE_SECTOR, dma);
}

static void read_sectors(IdeHd *hd)
{
    move(hd, IDE_IO_READ, 1, false);
}

static void write_sectors(IdeHd *hd)
{
    move(hd, IDE_IO_WRITE, 1, false);
}

static void read_multiple(IdeHd *hd)
{
    if (hd->multiple) {
        move(hd, IDE_IO_READ, hd->multiple, false);
    } else {
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
    }
}

static void write_multiple(IdeHd *hd)
{
    if (hd->multiple) {
        move(hd, IDE_IO_WRITE, hd->multiple, false);
    } else {
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
    }
}

static void read_dma(IdeHd *hd)
{
    move(hd, IDE_IO_READ, 1, true);
}

static void write_dma(IdeHd *hd)
{
    move(hd, IDE_IO_WRITE, 1, true);
}

static void verify(IdeHd *hd)
{
    uint64_t sector;
    uint32_t count;

    if (get_range(hd, &sector, &count)) {
        set_address(hd, sector + count - 1);
        ide_finish(&hd->drive);
    }
}

static void seek(IdeHd *hd)
{
    uint64_t sector;

    if (get_address(hd, &sector) && sector < ide_hd_sectors(hd)) {
        ide_finish(&hd->drive);
    } else {
        ide_fail(&hd->drive, IDE_ERROR_IDNF);
    }
}

static void native_max(IdeHd *hd)
{
    hd->drive.registers[IDE_DEVICE] |= IDE_DEVICE_LBA;
    set_address(hd, is_extended(hd) ? ide_hd_sectors(hd) - 1
                                    : MIN(ide_hd_sectors(hd), UINT64_C(1) << 28) - 1);
    ide_finish(&hd->drive);
}

static void flush(IdeHd *hd)
{
    ide_request_alone(&hd->drive, IDE_IO_FLUSH, 0, 0);
}

/* TRIM: up to 64 ranges to a sector of 48 bits of address and 16 of count (ATA8-ACS, 7.10). */

/*
 * Sectors of ranges beyond those that fit into a command count as far as the host has memory for them: each is
 * fetched when the one before it is done. False: there are no more.
 */
static bool fetch_ranges(IdeHd *hd)
{
    IdeDrive *d = &hd->drive;
    const IdeControllerOps *dma = d->channel->ops;
    struct iovec iov[IDE_IOV_MAX];
    unsigned count;

    if (!hd->trim_left || !dma->started(d->channel) ||
        dma->gather(d->channel, IDE_SECTOR, false, iov, &count) < IDE_SECTOR) {
        return false;
    }
    hd->trim_left--;
    hd->trim_position = 0;
    ide_receive_buffer(d, IDE_SECTOR, IDE_SECTOR, true, false);
    return true;
}

/* Discards the next range of the buffer; true when there is one. */
static bool trim_next(IdeHd *hd)
{
    IdeDrive *d = &hd->drive;
    uint64_t total = ide_hd_sectors(hd);

    while (hd->trim_position < d->end) {
        uint64_t entry = load_le64(d->buffer + hd->trim_position);
        uint64_t sector = entry & bits_mask(48), count = entry >> 48;

        hd->trim_position += TRIM_ENTRY;
        if (count && sector < total && count <= total - sector) {
            ide_request_alone(d, IDE_IO_DISCARD, sector * IDE_SECTOR, count * IDE_SECTOR);
            return true;
        }
        if (count) {
            ide_fail(d, IDE_ERROR_ABRT);
            return true;
        }
    }
    return false;
}

static void trim(IdeHd *hd)
{
    IdeDrive *d = &hd->drive;
    uint32_t sectors = d->registers[IDE_COUNT] | d->previous[IDE_COUNT] << 8;

    if (!(d->registers[IDE_FEATURES] & FEATURE_TRIM) || !d->disk.discard_granularity || !sectors) {
        ide_fail(d, IDE_ERROR_ABRT);
        return;
    }
    hd->trim_position = 0;
    hd->trim_left = sectors > TRIM_SECTORS ? sectors - 1 : 0;
    ide_receive_buffer(d, (sectors - hd->trim_left) * IDE_SECTOR, IDE_SECTOR, true, false);
}

/* Modes */

static void set_multiple(IdeHd *hd)
{
    uint8_t count = hd->drive.registers[IDE_COUNT];

    if (count > MAX_MULTIPLE || (count && !is_power_of_two(count))) {
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
        return;
    }
    hd->multiple = count;
    ide_finish(&hd->drive);
}

static void set_geometry(IdeHd *hd)
{
    unsigned heads = (hd->drive.registers[IDE_DEVICE] & IDE_DEVICE_HEAD) + 1u;
    unsigned secs = hd->drive.registers[IDE_COUNT];

    if (!secs) {
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
        return;
    }
    hd->heads = heads;
    hd->secs = secs;
    ide_finish(&hd->drive);
}

/* SET FEATURES (volume 1, 6.49). */
static void set_features(IdeHd *hd)
{
    switch (hd->drive.registers[IDE_FEATURES]) {
    case 0x02:
    case 0x82:
        hd->write_cache = hd->drive.registers[IDE_FEATURES] == 0x02;
        block_set_write_cache(hd->drive.disk.drive, hd->write_cache);
        if (!hd->write_cache) {
            flush(hd);
            return;
        }
        break;
    case 0x03:
        if (!ide_choose_mode(hd->drive.registers[IDE_COUNT], &hd->transfer_mode)) {
            ide_fail(&hd->drive, IDE_ERROR_ABRT);
            return;
        }
        break;
    case 0x05: /* advanced power management, acoustics, look-ahead, reverting to defaults: nothing to do */
    case 0x85:
    case 0x42:
    case 0xc2:
    case 0x55:
    case 0xaa:
    case 0x66:
    case 0xcc:
        break;
    default:
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
        return;
    }
    ide_finish(&hd->drive);
}

static void standby(IdeHd *hd)
{
    hd->power = POWER_STANDBY;
    ide_finish(&hd->drive);
}

static void idle(IdeHd *hd)
{
    hd->power = POWER_IDLE;
    ide_finish(&hd->drive);
}

static void check_power(IdeHd *hd)
{
    hd->drive.registers[IDE_COUNT] = hd->power;
    ide_finish(&hd->drive);
}

static void nothing(IdeHd *hd)
{
    ide_finish(&hd->drive);
}

/* Buffers */

static void identify(IdeHd *hd)
{
    ide_hd_identify(hd, hd->drive.buffer);
    ide_send_buffer(&hd->drive, IDE_SECTOR, IDE_SECTOR, false);
}

static void smart(IdeHd *hd)
{
    if (!ide_hd_smart(hd)) {
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
    }
}

static void read_log(IdeHd *hd)
{
    if (!ide_hd_read_log(hd, hd->drive.command == READ_LOG_DMA)) {
        ide_fail(&hd->drive, IDE_ERROR_ABRT);
    }
}

static void read_buffer(IdeHd *hd)
{
    memcpy(hd->drive.buffer, hd->sector_buffer, IDE_SECTOR);
    ide_send_buffer(&hd->drive, IDE_SECTOR, IDE_SECTOR, false);
}

static void write_buffer(IdeHd *hd)
{
    ide_receive_buffer(&hd->drive, IDE_SECTOR, IDE_SECTOR, false, false);
}

/* clang-format off */
static const struct {
    uint8_t first, last; /* opcodes */
    uint8_t flags;
    void (*run)(IdeHd *hd);
} commands[] = {
    { 0x06, 0x06, IDE_HD_EXT, trim },
    { 0x10, 0x1f, 0, nothing }, /* RECALIBRATE */
    { 0x20, 0x21, 0, read_sectors },
    { 0x24, 0x24, IDE_HD_EXT, read_sectors },
    { 0x25, 0x25, IDE_HD_EXT, read_dma },
    { 0x27, 0x27, IDE_HD_EXT, native_max },
    { 0x29, 0x29, IDE_HD_EXT, read_multiple },
    { 0x2f, 0x2f, IDE_HD_EXT, read_log },
    { 0x30, 0x31, 0, write_sectors },
    { 0x34, 0x34, IDE_HD_EXT, write_sectors },
    { 0x35, 0x35, IDE_HD_EXT, write_dma },
    { 0x39, 0x39, IDE_HD_EXT, write_multiple },
    { 0x3c, 0x3c, 0, write_sectors }, /* WRITE VERIFY */
    { 0x3d, 0x3d, IDE_HD_EXT | IDE_HD_FUA, write_dma },
    { 0x40, 0x41, 0, verify },
    { 0x42, 0x42, IDE_HD_EXT, verify },
    { READ_LOG_DMA, READ_LOG_DMA, IDE_HD_EXT, read_log },
    { 0x70, 0x7f, 0, seek },
    { 0x91, 0x91, 0, set_geometry },
    { 0x94, 0x94, 0, standby },
    { 0x95, 0x95, 0, idle },
    { 0x96, 0x96, 0, standby },
    { 0x97, 0x97, 0, idle },
    { 0x98, 0x98, IDE_HD_ASLEEP, check_power },
    { 0x99, 0x99, 0, standby }, /* SLEEP */
    { 0xb0, 0xb0, 0, smart },
    { 0xc4, 0xc4, 0, read_multiple },
    { 0xc5, 0xc5, 0, write_multiple },
    { 0xc6, 0xc6, 0, set_multiple },
    { 0xc8, 0xc9, 0, read_dma },
    { 0xca, 0xcb, 0, write_dma },
    { 0xce, 0xce, IDE_HD_EXT | IDE_HD_FUA, write_multiple },
    { 0xe0, 0xe0, IDE_HD_ASLEEP, standby },
    { 0xe1, 0xe1, 0, idle },
    { 0xe2, 0xe2, IDE_HD_ASLEEP, standby },
    { 0xe3, 0xe3, 0, idle },
    { 0xe4, 0xe4, 0, read_buffer },
    { 0xe5, 0xe5, IDE_HD_ASLEEP, check_power },
    { 0xe6, 0xe6, IDE_HD_ASLEEP, standby },
    { 0xe7, 0xe7, 0, flush },
    { 0xe8, 0xe8, 0, write_buffer },
    { 0xea, 0xea, IDE_HD_EXT, flush },
    { 0xec, 0xec, 0, identify },
    { 0xef, 0xef, 0, set_features },
    { 0xf8, 0xf8, 0, native_max },
};
/* clang-format on */

/* The table's line of an opcode, or -1. */
static int find_command(uint8_t opcode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (opcode >= commands[i].first && opcode <= commands[i].last) {
            return (int)i;
        }
    }
    return -1;
}

unsigned ide_hd_command_flags(uint8_t opcode)
{
    int line = find_command(opcode);

    return line < 0 ? 0 : commands[line].flags;
}

static void run_command(IdeDrive *drive, uint8_t opcode)
{
    IdeHd *hd = ide_hd(drive);
    int line = find_command(opcode);

    if (line < 0) {
        ide_fail(drive, IDE_ERROR_ABRT);
        return;
    }
    if (!(commands[line].flags & IDE_HD_ASLEEP)) {
        hd->power = POWER_ACTIVE;
    }
    commands[line].run(hd);
}

static void transferred(IdeDrive *drive)
{
    IdeHd *hd = ide_hd(drive);
    bool read_by_port = !drive->dma && !drive->out && !drive->alone;

    if (drive->command == 0x06 && (trim_next(hd) || fetch_ranges(hd))) {
        return;
    }
    if (drive->command == 0xe8) {
        memcpy(hd->sector_buffer, drive->buffer, IDE_SECTOR);
    }
    if ((drive->io == IDE_IO_READ || drive->io == IDE_IO_WRITE) && drive->offset) {
        set_address(hd, drive->offset / IDE_SECTOR - 1);
        drive->registers[IDE_COUNT] = 0;
    }
    if (read_by_port) {
        /* The last piece had its interrupt when it was ready. */
        drive->status = IDE_STATUS_READY;
        drive->error = 0;
    } else {
        ide_finish(drive);
    }
}

static void failed(IdeDrive *drive, int error)
{
    if (drive->io == IDE_IO_READ || drive->io == IDE_IO_WRITE) {
        set_address(ide_hd(drive), drive->offset / IDE_SECTOR);
    }
    ide_fail(drive, drive->io == IDE_IO_READ ? IDE_ERROR_UNC : IDE_ERROR_ABRT);
}

static void set_up(IdeDrive *drive, bool hardware)
{
    IdeHd *hd = ide_hd(drive);

    ide_set_signature(drive);
    drive->status = IDE_STATUS_READY;
    hd->power = POWER_ACTIVE;
    if (hardware) {
        hd->multiple = MAX_MULTIPLE;
        hd->heads = drive->disk.heads;
        hd->secs = drive->disk.secs;
        hd->transfer_mode = 0x45;
        hd->smart_enabled = hd->smart_autosave = true;
        hd->smart_self_test = 0;
        hd->trim_position = hd->trim_left = 0;
        memset(hd->queue_error, 0, sizeof hd->queue_error);
        hd->queue_error[0] = IDE_QUEUE_ERROR_NONE;
        memset(hd->sector_buffer, 0, sizeof hd->sector_buffer);
        hd->write_cache = hd->original_write_cache;
        block_set_write_cache(drive->disk.drive, hd->write_cache);
    }
}

static const IdeDriveOps ops = {
    .reset = set_up, .command = run_command, .transferred = transferred, .failed = failed
};

/* QEMU's disks count up like this, and udev's names of disks come from it. */
static void choose_serial(IdeDrive *drive)
{
    if (!drive->disk.serial) {
        drive->disk.serial =
            g_strdup_printf("QM%05u", drive->channel->number * 2 + drive->unit + 1);
    }
}

static bool ide_hd_realize(Device *device, GError **error)
{
    IdeDrive *drive = ide_drive(device);

    if (!drive->disk.drive) {
        return error_fail(error, KASO_ERROR_INVALID, "ide-hd needs drive=ID");
    }
    if (drive->disk.logical_block_size && drive->disk.logical_block_size != IDE_SECTOR) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "logical_block_size=%u: ATA disks have sectors of 512 bytes here",
                          drive->disk.logical_block_size);
    }
    if (block_has_image(drive->disk.drive) && block_size(drive->disk.drive) < IDE_SECTOR) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "ide-hd: the image of '%s' is smaller than a sector",
                          block_id(drive->disk.drive) ? block_id(drive->disk.drive) : "");
    }
    if (!ide_drive_realize(drive, &ops, false, error) ||
        !disk_choose_geometry(&drive->disk, device, IDE_HEADS, error)) {
        return false;
    }
    choose_serial(drive);
    drive->queues = drive->channel->queues;
    ide_hd(drive)->original_write_cache = block_write_cache(drive->disk.drive);
    return true;
}

static void ide_hd_unrealize(Device *device)
{
    ide_drive_unrealize(ide_drive(device));
}

static void ide_hd_reset(Device *device)
{
    ide_drive_reset(ide_drive(device));
}

static bool ide_hd_state_check(Device *device, GError **error)
{
    const IdeHd *hd = ide_hd(ide_drive(device));

    if (!hd->heads || !hd->secs) {
        return error_fail(error, KASO_ERROR_INVALID, "a geometry of %u heads and %u sectors",
                          hd->heads, hd->secs);
    }
    return ide_drive_state_check(ide_drive(device), error);
}

static void ide_hd_state_loaded(Device *device)
{
    ide_drive_state_loaded(ide_drive(device));
    block_set_write_cache(ide_drive(device)->disk.drive, ide_hd(ide_drive(device))->write_cache);
}

static const char *const translations[] = { "auto", "none", "lba", "large", "rechs", NULL };

static const Property ide_hd_properties[] = {
    { "unit", PROPERTY_U32, offsetof(IdeHd, drive.unit),
      "0: master, 1: slave; unset: the first free", "4294967295" },
    DISK_PROPERTIES(IdeHd, drive.disk),
    DISK_GEOMETRY_PROPERTIES(IdeHd, drive.disk),
    { "bios-chs-trans", PROPERTY_ENUM, offsetof(IdeHd, translation),
      "how the BIOS shall make its own geometry; told in the CMOS", "auto", translations },
    { "rotation_rate", PROPERTY_U16, offsetof(IdeHd, rotation_rate),
      "turns per minute; 1: a solid state disk; 0: not told", "0" },
    { 0 },
};

static const StateField ide_hd_state[] = {
    IDE_DRIVE_STATE(IdeHd, drive),
    STATE_MOST(IdeHd, multiple, MAX_MULTIPLE),
    STATE_MOST(IdeHd, heads, 16),
    STATE_MOST(IdeHd, secs, 255),
    STATE(IdeHd, transfer_mode),
    STATE(IdeHd, power),
    STATE(IdeHd, write_cache),
    STATE(IdeHd, smart_enabled),
    STATE(IdeHd, smart_autosave),
    STATE(IdeHd, smart_self_test),
    STATE(IdeHd, trim_position),
    STATE(IdeHd, sector_buffer),
    STATE_SINCE(LOG_VERSION, IdeHd, trim_left),
    STATE_SINCE(LOG_VERSION, IdeHd, queue_error),
    { 0 },
};

static const DeviceType ide_hd_type = {
    .name = "ide-hd",
    .summary = "ATA disk",
    .bus = "ide",
    .category = "storage",
    .instance_size = sizeof(IdeHd),
    .properties = ide_hd_properties,
    .state = ide_hd_state,
    .state_version = LOG_VERSION,
    .realize = ide_hd_realize,
    .unrealize = ide_hd_unrealize,
    .reset = ide_hd_reset,
    .state_check = ide_hd_state_check,
    .state_loaded = ide_hd_state_loaded,
};
DEVICE_TYPE(ide_hd_type);
