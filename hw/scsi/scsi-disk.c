/* SPDX-License-Identifier: MIT */
/* Disks and CD-ROM drives on a SCSI bus. */
#include <string.h>

#include "base/error.h"
#include "hw/scsi/scsi-bus.h"
#include "machine/machine.h"

enum {
    BLOCK_MIN = 512,
    BLOCK_MAX = 32768,
    HEADS_MAX = 255,
    DISCARD_GRANULARITY = 4096,
    SPC_3 = 5,
    ANSWERS_AS_SPC_2 = 0x02, /* response data format, and */
    NUMBERS_UNITS = 0x10,    /* HiSup: units are numbered as REPORT LUNS says */
};

static ScsiDrive *scsi_drive(Device *device)
{
    return container_of(device, ScsiDrive, device);
}

static void tell_adapter(ScsiDrive *drive, ScsiChange change)
{
    if (drive->bus && drive->bus->host->changed) {
        drive->bus->host->changed(drive->bus, drive, change);
    }
}

/* What failed under werror=stop, or was under way when a state was saved, is made again. */
static void on_event(void *opaque, const char *event, const char *json_data)
{
    ScsiDrive *drive = opaque;
    Machine *machine = drive->device.machine;
    bool locked = machine_lock_held(machine);

    if (strcmp(event, "RESUME") != 0) {
        return;
    }
    if (!locked) {
        machine_lock(machine);
    }
    scsi_drive_resume(drive);
    if (!locked) {
        machine_unlock(machine);
    }
}

/* Realizing */

static bool choose_block(ScsiDrive *drive, GError **error)
{
    Disk *disk = &drive->disk;

    if (!disk->logical_block_size) {
        disk->logical_block_size = block_logical_sector(disk->drive);
    }
    if (!disk->physical_block_size) {
        disk->physical_block_size = disk->logical_block_size;
    }
    if (!is_power_of_two(disk->logical_block_size) || disk->logical_block_size < BLOCK_MIN ||
        disk->logical_block_size > BLOCK_MAX || !is_power_of_two(disk->physical_block_size) ||
        disk->physical_block_size < disk->logical_block_size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "logical_block_size=%u,physical_block_size=%u: both must be powers of "
                          "two, from 512 to 32768, the logical one not the larger",
                          disk->logical_block_size, disk->physical_block_size);
    }
    if (disk->discard_granularity == UINT32_MAX) {
        disk->discard_granularity = MAX(DISCARD_GRANULARITY, disk->physical_block_size);
    }
    return true;
}

static bool disk_has_name(const Disk *disk)
{
    return disk->drive && *block_id(disk->drive);
}

static void describe_unit(ScsiDrive *drive, ScsiKind kind, const char *product)
{
    ScsiUnit *unit = &drive->unit;
    const Disk *disk = &drive->disk;

    unit->kind = kind;
    unit->disk = &drive->disk;
    unit->vendor = drive->vendor ? drive->vendor : "QEMU";
    unit->product = drive->product ? drive->product : product;
    unit->device_id = drive->device_id      ? drive->device_id
                      : disk->serial        ? disk->serial
                      : disk_has_name(disk) ? block_id(disk->drive)
                                            : NULL;
    unit->block = kind == SCSI_DISC ? SCSI_DISC_BLOCK : disk->logical_block_size;
    unit->inquiry_version = drive->scsi_version >= 0 ? drive->scsi_version : SPC_3;
    unit->inquiry_format = ANSWERS_AS_SPC_2 | NUMBERS_UNITS;
    unit->removable = drive->removable;
    unit->dpofua = drive->dpofua;
    unit->rotation_rate = drive->rotation_rate;
    unit->max_unmap = MIN(drive->max_unmap_size / unit->block, UINT32_MAX);
    unit->max_transfer = MIN(drive->max_io_size / unit->block, UINT32_MAX);
    unit->port_wwn = drive->port_wwn;
    unit->port_index = drive->port_index;
}

static void begin(ScsiDrive *drive)
{
    drive->original_write_cache = !drive->disk.drive || block_write_cache(drive->disk.drive);
    drive->listening = true;
    machine_add_event_listener(drive->device.machine, on_event, drive);
    tell_adapter(drive, SCSI_CHANGE_ADDED);
}

/* SPC-4, 5.14 and annex D: CAPACITY DATA HAS CHANGED. */
static void resized(Device *device)
{
    enum { PARAMETERS_CHANGED = 0x2a, CAPACITY_DATA = 0x09 };
    ScsiDrive *drive = scsi_drive(device);

    if (!drive->unit.attention_code) {
        drive->unit.attention_code = PARAMETERS_CHANGED;
        drive->unit.attention_qualifier = CAPACITY_DATA;
    }
    tell_adapter(drive, SCSI_CHANGE_SIZE);
}

static bool scsi_hd_realize(Device *device, GError **error)
{
    ScsiDrive *drive = scsi_drive(device);
    Disk *disk = &drive->disk;

    if (!disk->drive) {
        return error_fail(error, KASO_ERROR_INVALID, "scsi-hd needs drive=ID");
    }
    disk->resized = resized;
    if (!choose_block(drive, error) || !disk_choose_geometry(disk, device, HEADS_MAX, error) ||
        !disk_claim(disk, device, block_read_only(disk->drive), error)) {
        return false;
    }
    describe_unit(drive, SCSI_DISK, "QEMU HARDDISK");
    begin(drive);
    return true;
}

static bool scsi_cd_realize(Device *device, GError **error)
{
    ScsiDrive *drive = scsi_drive(device);

    disk_make_removable(&drive->disk, device);
    if (!disk_claim(&drive->disk, device, true, error)) {
        return false;
    }
    describe_unit(drive, SCSI_DISC, "QEMU CD-ROM");
    begin(drive);
    return true;
}

static void query_medium(const Device *device, MediumState *state)
{
    mmc_query_medium(&container_of(device, ScsiDrive, device)->unit, state);
}

static void move_tray(Device *device, bool open)
{
    mmc_move_tray(&scsi_drive(device)->unit, open);
}

static void ask_guest(Device *device)
{
    mmc_ask_for_eject(&scsi_drive(device)->unit);
}

static const MediumOps scsi_cd_medium = { .query = query_medium,
                                          .move_tray = move_tray,
                                          .ask_guest = ask_guest };

static void scsi_drive_unrealize(Device *device)
{
    ScsiDrive *drive = scsi_drive(device);

    if (drive->listening) {
        machine_remove_event_listener(device->machine, on_event, drive);
        drive->listening = false;
        tell_adapter(drive, SCSI_CHANGE_REMOVED);
    }
    scsi_drive_abort(drive, NULL, SCSI_ABORTED);
    if (drive->in_flight) {
        block_drain(drive->disk.drive);
    }
    disk_disclaim(&drive->disk);
}

static void scsi_drive_power_on(Device *device)
{
    ScsiDrive *drive = scsi_drive(device);

    scsi_drive_abort(drive, NULL, SCSI_RESET);
    if (drive->in_flight) {
        block_drain(drive->disk.drive);
    }
    if (drive->disk.drive) {
        block_set_write_cache(drive->disk.drive, drive->original_write_cache);
    }
    scsi_unit_reset(&drive->unit);
}

static void scsi_drive_state_loaded(Device *device)
{
    ScsiDrive *drive = scsi_drive(device);

    if (drive->disk.drive) {
        block_set_write_cache(drive->disk.drive, drive->unit.write_cache);
    }
}

#define IDENTITY_PROPERTIES                                                                        \
    { "serial", PROPERTY_STRING, offsetof(ScsiDrive, disk.serial),                                 \
      "serial number, up to 36 characters" },                                                      \
        { "vendor", PROPERTY_STRING, offsetof(ScsiDrive, vendor), "maker, up to 8 characters" },   \
        { "product", PROPERTY_STRING, offsetof(ScsiDrive, product), "name, up to 16 characters" }, \
        { "ver", PROPERTY_STRING, offsetof(ScsiDrive, disk.version),                               \
          "revision, up to 4 characters" },                                                        \
        { "device_id", PROPERTY_STRING, offsetof(ScsiDrive, device_id),                            \
          "name in the identification page; unset: serial, or the drive's id" },                   \
        { "wwn", PROPERTY_U64, offsetof(ScsiDrive, disk.wwn), "World Wide Name; 0: none", "0" },   \
        { "port_wwn", PROPERTY_U64, offsetof(ScsiDrive, port_wwn), "the same of its port", "0" },  \
        { "port_index", PROPERTY_U16, offsetof(ScsiDrive, port_index),                             \
          "number of its port; 0: none", "0" },                                                    \
        { "max_io_size", PROPERTY_SIZE, offsetof(ScsiDrive, max_io_size),                          \
          "largest transfer, bytes", "2147483647" },                                               \
        { "scsi_version", PROPERTY_I32, offsetof(ScsiDrive, scsi_version),                         \
          "version of SPC that INQUIRY tells; -1: SPC-3", "-1" },                                  \
    {                                                                                              \
        "bootindex", PROPERTY_I32, offsetof(ScsiDrive, disk.bootindex),                            \
            "place in the firmware's boot order", "-1"                                             \
    }

static const Property scsi_hd_properties[] = {
    DISK_MEDIUM_PROPERTIES(ScsiDrive, disk),
    DISK_ERROR_PROPERTIES(ScsiDrive, disk),
    DISK_GEOMETRY_PROPERTIES(ScsiDrive, disk),
    IDENTITY_PROPERTIES,
    { "removable", PROPERTY_BOOL, offsetof(ScsiDrive, removable), "say that the medium is", "off" },
    { "dpofua", PROPERTY_BOOL, offsetof(ScsiDrive, dpofua),
      "say that writes can be forced to the medium", "on" },
    { "rotation_rate", PROPERTY_U16, offsetof(ScsiDrive, rotation_rate),
      "turns per minute; 1: a solid state disk; 0: not told", "0" },
    { "max_unmap_size", PROPERTY_SIZE, offsetof(ScsiDrive, max_unmap_size), "largest UNMAP, bytes",
      "1073741824" },
    { 0 },
};

static const Property scsi_cd_properties[] = {
    DISK_MEDIUM_PROPERTIES(ScsiDrive, disk),
    DISK_ERROR_PROPERTIES(ScsiDrive, disk),
    IDENTITY_PROPERTIES,
    { 0 },
};

static const Property scsi_place_properties[] = {
    { "channel", PROPERTY_U32, offsetof(ScsiDrive, channel), "0", "0" },
    { "scsi-id", PROPERTY_U32, offsetof(ScsiDrive, target), "target; unset: the first free",
      "4294967295" },
    { "lun", PROPERTY_U32, offsetof(ScsiDrive, lun), "unit of the target; unset: the first free",
      "4294967295" },
    { 0 },
};

/* Requests under way are the adapter's to save. */
static const StateField scsi_drive_state[] = {
    SCSI_UNIT_STATE(ScsiDrive, unit),
    STATE_DERIVED(ScsiDrive, requests),
    STATE_DERIVED(ScsiDrive, in_flight),
    { 0 },
};

static const DeviceType scsi_hd_type = {
    .name = "scsi-hd",
    .alias = "scsi-disk",
    .summary = "SCSI disk",
    .bus = "SCSI",
    .category = "storage",
    .instance_size = sizeof(ScsiDrive),
    .properties = scsi_hd_properties,
    .bus_properties = scsi_place_properties,
    .state = scsi_drive_state,
    .realize = scsi_hd_realize,
    .unrealize = scsi_drive_unrealize,
    .reset = scsi_drive_power_on,
    .state_loaded = scsi_drive_state_loaded,
};
DEVICE_TYPE(scsi_hd_type);

static const DeviceType scsi_cd_type = {
    .name = "scsi-cd",
    .summary = "SCSI CD and DVD drive",
    .bus = "SCSI",
    .category = "storage",
    .instance_size = sizeof(ScsiDrive),
    .properties = scsi_cd_properties,
    .bus_properties = scsi_place_properties,
    .state = scsi_drive_state,
    .medium = &scsi_cd_medium,
    .realize = scsi_cd_realize,
    .unrealize = scsi_drive_unrealize,
    .reset = scsi_drive_power_on,
    .state_loaded = scsi_drive_state_loaded,
};
DEVICE_TYPE(scsi_cd_type);
