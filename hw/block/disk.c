/* SPDX-License-Identifier: MIT */
/* What the drives of all controllers have in common. */
#include "hw/block/disk.h"

#include <errno.h>

#include "base/error.h"
#include "machine/machine.h"

enum { SECTOR = 512, PART_SIGNATURE = 510, PART_TABLE = 446, PART_SIZE = 16, PART_COUNT = 4 };
enum { POLICY_AUTO, POLICY_REPORT, POLICY_IGNORE, POLICY_STOP, POLICY_ENOSPC };

const char *const disk_policy_names[] = { "auto", "report", "ignore", "stop", "enospc", NULL };

static void tell_resized(void *opaque)
{
    Disk *disk = opaque;

    disk->resized(disk->device);
}

/* What the drive was told stays where the device was not. */
static void count_requests(Disk *disk)
{
    if (disk->account_invalid != ON_OFF_AUTO_AUTO) {
        block_set_account_invalid(disk->drive, disk->account_invalid == ON_OFF_AUTO_ON);
    }
    if (disk->account_failed != ON_OFF_AUTO_AUTO) {
        block_set_account_failed(disk->drive, disk->account_failed == ON_OFF_AUTO_ON);
    }
}

bool disk_claim(Disk *disk, Device *device, bool read_only, GError **error)
{
    g_autofree char *path = NULL;

    disk->device = device;
    if (!disk->drive) {
        return true;
    }
    if (!disk->removable && !block_has_image(disk->drive)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s': its drive '%s' is empty; give it an image",
                          device->type->name, block_id(disk->drive));
    }
    if (!read_only && block_read_only(disk->drive)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s': its image is read-only, and this drive cannot tell the "
                          "guest; make the image writable, or use snapshot=on",
                          device->type->name);
    }
    path = device_path(device);
    disk->claimed = block_claim(disk->drive, path, disk->share_rw, error);
    if (disk->claimed && disk->write_cache != ON_OFF_AUTO_AUTO) {
        block_set_write_cache(disk->drive, disk->write_cache == ON_OFF_AUTO_ON);
    }
    if (disk->claimed) {
        count_requests(disk);
    }
    if (disk->claimed && disk->resized) {
        block_on_resize(disk->drive, tell_resized, disk);
    }
    return disk->claimed;
}

void disk_disclaim(Disk *disk)
{
    if (disk->claimed) {
        block_drain(disk->drive);
        block_on_resize(disk->drive, NULL, NULL);
        block_disclaim(disk->drive);
        disk->claimed = false;
    }
    if (disk->own_drive) {
        block_close(disk->drive);
        disk->drive = NULL;
        disk->own_drive = false;
    }
}

void disk_make_removable(Disk *disk, Device *device)
{
    disk->removable = true;
    if (!disk->drive && device->machine->block_graph) {
        disk->drive = block_open_empty(device->machine->block_graph, NULL);
        disk->own_drive = true;
    }
}

void disk_tell_tray(const Disk *disk, bool open)
{
    Device *device = disk->device;
    bool named = device->from_user && device->anonymous < 0;
    g_autofree char *path = named ? g_strdup(device->id) : device_user_path(device);

    machine_event_soon(device->machine, "DEVICE_TRAY_MOVED",
                       g_strdup_printf("{\"device\": \"%s\", \"id\": \"%s\", \"tray-open\": %s}",
                                       disk->drive ? block_id(disk->drive) : "", path,
                                       open ? "true" : "false"));
}

/*
 * A disk that was partitioned on another machine says in its table how many heads and sectors that one had: the
 * last sector of a partition usually ends a cylinder.
 */
static bool geometry_of_partitions(Disk *disk)
{
    uint8_t sector[SECTOR];
    uint64_t sectors = disk_bytes(disk) / SECTOR;

    if (sectors == 0 || block_pread(disk->drive, 0, sector, sizeof sector) < 0 ||
        sector[PART_SIGNATURE] != 0x55 || sector[PART_SIGNATURE + 1] != 0xaa) {
        return false;
    }
    for (unsigned i = 0; i < PART_COUNT; i++) {
        const uint8_t *part = sector + PART_TABLE + i * PART_SIZE;
        unsigned heads = part[5] + 1u, secs = part[6] & 63;
        uint64_t cyls = secs ? sectors / (heads * secs) : 0;

        if (load_le32(part + 12) && heads > 1 && heads <= 16 && secs && cyls >= 1 &&
            cyls <= 16383) {
            disk->heads = heads;
            disk->secs = secs;
            disk->cyls = cyls;
            return true;
        }
    }
    return false;
}

bool disk_choose_geometry(Disk *disk, const Device *device, unsigned max_heads, GError **error)
{
    uint64_t sectors = disk_bytes(disk) / SECTOR;

    if (disk->heads > max_heads || disk->secs > 255 || disk->cyls > 65535) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s': geometry cyls=%u,heads=%u,secs=%u is out of range (65535, "
                          "%u, 255)",
                          device->type->name, disk->cyls, disk->heads, disk->secs, max_heads);
    }
    if (!disk->cyls && !disk->heads && !disk->secs && geometry_of_partitions(disk)) {
        return true;
    }
    disk->heads = disk->heads ? disk->heads : 16;
    disk->secs = disk->secs ? disk->secs : 63;
    if (!disk->cyls) {
        disk->cyls = CLAMP(sectors / (disk->heads * disk->secs), 2, 16383);
    }
    return true;
}

static BlockErrorPolicy error_policy(const Disk *disk, bool is_write, int error)
{
    int chosen = is_write ? disk->werror : disk->rerror;
    BlockErrorPolicy policy = chosen == POLICY_AUTO ? block_error_policy(disk->drive, is_write)
                                                    : (BlockErrorPolicy)(chosen - POLICY_REPORT);

    /* drive_del took it: that does not come back by waiting. */
    if (!block_has_image(disk->drive)) {
        return BLOCK_ERROR_REPORT;
    }
    if (policy == BLOCK_ERROR_ENOSPC) {
        return error == ENOSPC ? BLOCK_ERROR_STOP : BLOCK_ERROR_REPORT;
    }
    return policy;
}

DiskVerdict disk_failed(Disk *disk, Device *device, bool is_write, int error)
{
    static const struct {
        const char *name;
        DiskVerdict verdict;
    } actions[] = {
        [BLOCK_ERROR_REPORT] = { "report", DISK_REPORT },
        [BLOCK_ERROR_IGNORE] = { "ignore", DISK_IGNORE },
        [BLOCK_ERROR_STOP] = { "stop", DISK_HOLD },
    };
    BlockErrorPolicy policy = error_policy(disk, is_write, error);
    const char *operation = is_write ? "write" : "read", *id = block_id(disk->drive);
    g_autofree char *path = device_user_path(device);
    g_autofree char *json = g_strdup_printf(
        "{\"qom-path\": \"%s\", \"device\": \"%s\", \"node-name\": \"%s\", \"operation\": \"%s\", "
        "\"action\": \"%s\", \"nospace\": %s, \"reason\": \"%s\"}",
        path, id ? id : "", block_node_name(disk->drive), operation, actions[policy].name,
        error == ENOSPC ? "true" : "false", g_strerror(error));

    machine_event(device->machine, "BLOCK_IO_ERROR", json);
    if (policy == BLOCK_ERROR_STOP) {
        g_autofree char *detail =
            g_strdup_printf("%s: %s failed: %s", device->id, operation, g_strerror(error));

        block_set_io_status(disk->drive, error);
        machine_request_stop(device->machine, STOP_IO_ERROR, detail);
    }
    return actions[policy].verdict;
}

bool disk_has_medium(const Disk *disk)
{
    return disk_bytes(disk) > 0;
}

uint64_t disk_bytes(const Disk *disk)
{
    return disk->drive ? block_size(disk->drive) : 0;
}
