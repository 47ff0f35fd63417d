/* SPDX-License-Identifier: MIT */
/*
 * ATAPI CD and DVD drive (ATA/ATAPI-7, volume 2, PACKET command): how packets of hw/scsi reach a disc, by PIO in pieces
 * of what the host can take, or by DMA.
 *
 * Not modelled: audio, writing, overlapped commands.
 */
#include "base/error.h"
#include "hw/ide/ide.h"
#include "hw/scsi/scsi.h"
#include "machine/machine.h"

enum {
    PACKET_SIZE = 12,
    FEATURE_DMA = 1 << 0,
    DEFAULT_LIMIT = 0xfffe,
    PIO_FILL = IDE_BUFFER,
    RAW_FILL = IDE_BUFFER / (SCSI_DISC_BLOCK + SCSI_RAW_EXTRA) * SCSI_DISC_BLOCK,

    COMMAND_DEVICE_RESET = 0x08,
    COMMAND_PACKET = 0xa0,
    COMMAND_IDENTIFY_PACKET = 0xa1,
    COMMAND_MEDIA_STATUS = 0xda,
};

typedef enum { STAGE_NONE, STAGE_PACKET, STAGE_DATA, STAGE_PARAMETERS, STAGES } Stage;

typedef struct {
    IdeDrive drive; /* first */
    ScsiUnit unit;
    /* State. */
    uint8_t stage; /* Stage */
    uint8_t packet[SCSI_CDB];
    bool by_dma;
    uint32_t limit; /* bytes that the host takes for an interrupt */
    uint8_t transfer_mode;
    /* Property. */
    bool win2k_install_hack;
} IdeCd;

static IdeCd *ide_cd(IdeDrive *drive)
{
    return container_of(drive, IdeCd, drive);
}

/* Packets */

static void end_packet(IdeCd *cd)
{
    cd->stage = STAGE_NONE;
    cd->drive.registers[IDE_COUNT] = IDE_REASON_CD | IDE_REASON_IO;
    ide_finish(&cd->drive);
}

static void fail_packet(IdeCd *cd)
{
    uint8_t key = cd->unit.sense_key;

    cd->stage = STAGE_NONE;
    cd->drive.registers[IDE_COUNT] = IDE_REASON_CD | IDE_REASON_IO;
    ide_fail(&cd->drive, key << 4 | (key == SCSI_ILLEGAL_REQUEST ? IDE_ERROR_ABRT : 0));
}

/* The pieces of `total` bytes; all but the last have an even number. */
static uint32_t piece_size(const IdeCd *cd, uint64_t total)
{
    return total > cd->limit ? cd->limit & ~1u : cd->limit;
}

static uint64_t data_size(ScsiAction action, const ScsiCommand *command)
{
    switch (action) {
    case SCSI_SEND:
    case SCSI_RECEIVE:
        return command->bytes;
    case SCSI_READ:
        return command->length;
    default:
        return 0;
    }
}

static void run_action(IdeCd *cd, ScsiAction action, const ScsiCommand *command)
{
    IdeDrive *d = &cd->drive;
    uint64_t total = data_size(action, command);

    if (total && !piece_size(cd, total)) {
        cd->stage = STAGE_NONE;
        ide_fail(d, IDE_ERROR_ABRT); /* word 125 of IDENTIFY: no limit is no way to take data */
        return;
    }
    cd->stage = STAGE_DATA;
    switch (action) {
    case SCSI_SEND:
        ide_send_buffer(d, command->bytes, piece_size(cd, command->bytes), cd->by_dma);
        break;
    case SCSI_RECEIVE:
        cd->stage = STAGE_PARAMETERS;
        ide_receive_buffer(d, command->bytes, piece_size(cd, command->bytes), cd->by_dma, true);
        break;
    case SCSI_READ:
        d->raw = command->raw;
        ide_transfer(d, IDE_IO_READ, command->offset, command->length,
                     piece_size(cd, command->length), d->raw ? RAW_FILL : PIO_FILL, cd->by_dma);
        break;
    case SCSI_FAILED:
        fail_packet(cd);
        break;
    default: /* what is left writes, which a disc's commands do not */
        end_packet(cd);
        break;
    }
}

static void run_packet(IdeCd *cd)
{
    ScsiCommand command = { .cdb = cd->packet, .buffer = cd->drive.buffer };
    ScsiAction action;

    memset(cd->packet, 0, sizeof cd->packet);
    memcpy(cd->packet, cd->drive.buffer, PACKET_SIZE);
    trace("ide-cd", "packet %02x %02x %02x %02x %02x %02x %02x %02x %02x %02x", cd->packet[0],
          cd->packet[1], cd->packet[2], cd->packet[3], cd->packet[4], cd->packet[5], cd->packet[6],
          cd->packet[7], cd->packet[8], cd->packet[9]);
    action = scsi_start(&cd->unit, &command);
    run_action(cd, action, &command);
}

static void run_parameters(IdeCd *cd)
{
    ScsiCommand command = { .cdb = cd->packet, .buffer = cd->drive.buffer, .bytes = cd->drive.end };
    ScsiAction action = scsi_received(&cd->unit, &command);

    run_action(cd, action, &command);
}

static void start_packet(IdeCd *cd)
{
    const uint8_t *r = cd->drive.registers;
    uint32_t limit = r[IDE_LBA_MID] | r[IDE_LBA_HIGH] << 8;

    cd->by_dma = r[IDE_FEATURES] & FEATURE_DMA;
    /* The odd largest value means the even one; DMA needs no limit. */
    cd->limit = cd->by_dma ? DEFAULT_LIMIT : MIN(limit, DEFAULT_LIMIT);
    cd->stage = STAGE_PACKET;
    ide_receive_buffer(&cd->drive, PACKET_SIZE, PACKET_SIZE, false, false);
}

/* Commands of ATA */

static void put_word(uint8_t *data, unsigned word, unsigned value)
{
    store_le16(data + word * 2, value);
}

/* IDENTIFY PACKET DEVICE (volume 1, 6.18). */
static void identify(IdeCd *cd)
{
    enum { ATAPI_DISC_REMOVABLE = 0x85c0, MODES = 7, UDMA_MODES = 0x3f };
    uint8_t *data = cd->drive.buffer, mode = cd->transfer_mode, sum = 0;
    const Disk *disk = &cd->drive.disk;

    memset(data, 0, IDE_SECTOR);
    put_word(data, 0, ATAPI_DISC_REMOVABLE); /* 12 byte packets, DRQ within 50 us */
    ide_put_string(data + 10 * 2, disk->serial, 20);
    put_word(data, 20, 3);
    put_word(data, 21, 512);
    ide_put_string(data + 23 * 2, disk->version ? disk->version : "2.5+", 8);
    ide_put_string(data + 27 * 2, disk->model ? disk->model : "QEMU DVD-ROM", 40);
    put_word(data, 48, 1);
    put_word(data, 49, 1 << 11 | 1 << 9 | 1 << 8); /* IORDY, LBA, DMA */
    put_word(data, 53, 7);
    put_word(data, 62, MODES | ((mode & 0xf8) == 0x10 ? 0x100u << (mode & 7) : 0));
    put_word(data, 63, MODES | ((mode & 0xf8) == 0x20 ? 0x100u << (mode & 7) : 0));
    put_word(data, 64, 3);
    for (unsigned word = 65; word <= 68; word++) {
        put_word(data, word, 120);
    }
    put_word(data, 71, 30); /* us from PACKET to the release of the bus */
    put_word(data, 72, 30);
    put_word(data, 80, 0x1e);                      /* ATA-1 to ATA/ATAPI-4 */
    put_word(data, 82, 1 << 14 | 1 << 9 | 1 << 4); /* NOP, DEVICE RESET, PACKET */
    put_word(data, 83, 1 << 14);
    put_word(data, 84, 1 << 14);
    put_word(data, 85, 1 << 14 | 1 << 9 | 1 << 4);
    put_word(data, 87, 1 << 14);
    put_word(data, 88, UDMA_MODES | ((mode & 0xf8) == 0x40 ? 0x100u << (mode & 7) : 0));
    put_word(data, 93, cd->drive.unit ? 0x6300 : 0x600b);
    data[510] = 0xa5;
    for (unsigned i = 0; i < IDE_SECTOR - 1; i++) {
        sum += data[i];
    }
    data[511] = -sum;
    ide_send_buffer(&cd->drive, IDE_SECTOR, IDE_SECTOR, false);
}

static void set_features(IdeCd *cd)
{
    switch (cd->drive.registers[IDE_FEATURES]) {
    case 0x03:
        if (!ide_choose_mode(cd->drive.registers[IDE_COUNT], &cd->transfer_mode)) {
            ide_fail(&cd->drive, IDE_ERROR_ABRT);
            return;
        }
        break;
    case 0x66: /* reverting to defaults: nothing to do */
    case 0xcc:
        break;
    default:
        ide_fail(&cd->drive, IDE_ERROR_ABRT);
        return;
    }
    ide_finish(&cd->drive);
}

static void set_packet_signature(IdeDrive *drive)
{
    ide_set_signature(drive);
    drive->registers[IDE_LBA_MID] = 0x14;
    drive->registers[IDE_LBA_HIGH] = 0xeb;
}

/* Ends what is under way, without an interrupt (volume 2, 6.9). */
static void device_reset(IdeDrive *drive)
{
    ide_stop_transfer(drive);
    if (drive->request->in_flight) {
        drive->reset_pending = true;
        drive->status = IDE_STATUS_BSY;
    } else {
        drive->ops->reset(drive, false);
    }
}

static void set_up(IdeDrive *drive, bool hardware)
{
    IdeCd *cd = ide_cd(drive);

    set_packet_signature(drive);
    drive->status = 0; /* not ready until the first packet: how hosts tell them from disks */
    cd->stage = STAGE_NONE;
    cd->by_dma = false;
    if (hardware) {
        cd->limit = 0;
        cd->transfer_mode = 0x45;
        memset(cd->packet, 0, sizeof cd->packet);
        scsi_unit_reset(&cd->unit);
    }
}

static void run_command(IdeDrive *drive, uint8_t command)
{
    IdeCd *cd = ide_cd(drive);

    switch (command) {
    case COMMAND_DEVICE_RESET:
        device_reset(drive);
        break;
    case COMMAND_PACKET:
        start_packet(cd);
        break;
    case COMMAND_IDENTIFY_PACKET:
        identify(cd);
        break;
    case 0xef:
        set_features(cd);
        break;
    case 0xe5: /* CHECK POWER MODE */
    case 0x98:
        drive->registers[IDE_COUNT] = 0xff;
        ide_finish(drive);
        break;
    case 0xe0: /* other power modes, flush */
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe6:
    case 0xe7:
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x97:
    case 0x99:
        ide_finish(drive);
        break;
    case 0x20: /* commands of disks, which a drive with packets answers by saying what it is */
    case 0x21:
    case 0xec:
        set_packet_signature(drive);
        ide_fail(drive, IDE_ERROR_ABRT);
        break;
    default:
        ide_fail(drive, IDE_ERROR_ABRT);
        break;
    }
}

static void transferred(IdeDrive *drive)
{
    IdeCd *cd = ide_cd(drive);

    switch ((Stage)cd->stage) {
    case STAGE_PACKET:
        run_packet(cd);
        break;
    case STAGE_PARAMETERS:
        run_parameters(cd);
        break;
    case STAGE_DATA:
        end_packet(cd);
        break;
    default: /* IDENTIFY, whose last piece had its interrupt */
        drive->status = IDE_STATUS_READY;
        break;
    }
}

static void describe_piece(IdeDrive *drive, uint32_t bytes)
{
    const IdeCd *cd = ide_cd(drive);

    if (cd->stage == STAGE_NONE) {
        return;
    }
    drive->registers[IDE_COUNT] = cd->stage == STAGE_PACKET ? IDE_REASON_CD
                                  : drive->out              ? 0
                                                            : IDE_REASON_IO;
    if (cd->stage != STAGE_PACKET) {
        drive->registers[IDE_LBA_MID] = bytes;
        drive->registers[IDE_LBA_HIGH] = bytes >> 8;
    }
}

static void failed(IdeDrive *drive, int error)
{
    scsi_image_failed(&ide_cd(drive)->unit, false, error);
    fail_packet(ide_cd(drive));
}

static const IdeDriveOps ops = {
    .reset = set_up,
    .command = run_command,
    .transferred = transferred,
    .describe_piece = describe_piece,
    .failed = failed,
};

/* Life */

static bool ide_cd_realize(Device *device, GError **error)
{
    IdeDrive *drive = ide_drive(device);
    IdeCd *cd = ide_cd(drive);

    disk_make_removable(&drive->disk, device);
    if (!ide_drive_realize(drive, &ops, true, error)) {
        return false;
    }
    if (!drive->disk.serial) {
        drive->disk.serial =
            g_strdup_printf("QM%05u", drive->channel->number * 2 + drive->unit + 1);
    }
    cd->unit.kind = SCSI_DISC;
    cd->unit.disk = &drive->disk;
    cd->unit.vendor = "QEMU";
    cd->unit.product = drive->disk.model ? drive->disk.model : "QEMU DVD-ROM";
    cd->unit.block = SCSI_DISC_BLOCK;
    cd->unit.inquiry_format = 0x21; /* as ATAPI drives before MMC-2 */
    return true;
}

static void ide_cd_unrealize(Device *device)
{
    ide_drive_unrealize(ide_drive(device));
}

static void ide_cd_reset(Device *device)
{
    ide_drive_reset(ide_drive(device));
}

static bool ide_cd_state_check(Device *device, GError **error)
{
    return ide_drive_state_check(ide_drive(device), error);
}

static void ide_cd_state_loaded(Device *device)
{
    ide_drive_state_loaded(ide_drive(device));
}

static const ScsiUnit *unit_of(const Device *device)
{
    return &container_of(device, IdeCd, drive.device)->unit;
}

static void query_medium(const Device *device, MediumState *state)
{
    mmc_query_medium(unit_of(device), state);
}

static void move_tray(Device *device, bool open)
{
    mmc_move_tray(&ide_cd(ide_drive(device))->unit, open);
}

static void ask_guest(Device *device)
{
    mmc_ask_for_eject(&ide_cd(ide_drive(device))->unit);
}

static const MediumOps ide_cd_medium = { .query = query_medium,
                                         .move_tray = move_tray,
                                         .ask_guest = ask_guest };

static const Property ide_cd_properties[] = {
    { "unit", PROPERTY_U32, offsetof(IdeCd, drive.unit),
      "0: master, 1: slave; unset: the first free", "4294967295" },
    DISK_PROPERTIES(IdeCd, drive.disk),
    { "win2k-install-hack", PROPERTY_BOOL, offsetof(IdeCd, win2k_install_hack),
      "accepted; has no effect", "off" },
    { 0 },
};

static const StateField ide_cd_state[] = {
    IDE_DRIVE_STATE(IdeCd, drive),
    SCSI_UNIT_STATE(IdeCd, unit),
    STATE_MOST(IdeCd, stage, STAGES - 1),
    STATE(IdeCd, packet),
    STATE(IdeCd, by_dma),
    STATE_MOST(IdeCd, limit, DEFAULT_LIMIT),
    STATE(IdeCd, transfer_mode),
    { 0 },
};

static const DeviceType ide_cd_type = {
    .name = "ide-cd",
    .summary = "ATAPI CD and DVD drive",
    .bus = "ide",
    .category = "storage",
    .instance_size = sizeof(IdeCd),
    .properties = ide_cd_properties,
    .state = ide_cd_state,
    .realize = ide_cd_realize,
    .unrealize = ide_cd_unrealize,
    .medium = &ide_cd_medium,
    .reset = ide_cd_reset,
    .state_check = ide_cd_state_check,
    .state_loaded = ide_cd_state_loaded,
};
DEVICE_TYPE(ide_cd_type);
