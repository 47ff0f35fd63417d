/* SPDX-License-Identifier: MIT */
/* The SCSI bus: where units are, and what firmware calls them. */
#include "hw/scsi/scsi-bus.h"

#include "base/error.h"
#include "machine/machine.h"

static ScsiBus *scsi_bus(const Bus *bus)
{
    return container_of((Bus *)bus, ScsiBus, bus);
}

static ScsiDrive *scsi_drive(const Device *device)
{
    return container_of((Device *)device, ScsiDrive, device);
}

/* Only devices that have a place are found: one that is being made has none until attach is over. */
static ScsiDrive *find(const ScsiBus *bus, unsigned channel, unsigned target, unsigned lun)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        ScsiDrive *drive = scsi_drive(bus->bus.devices->pdata[i]);

        if (drive->bus && drive->channel == channel && drive->target == target &&
            drive->lun == lun) {
            return drive;
        }
    }
    return NULL;
}

ScsiDrive *scsi_bus_find(const ScsiBus *bus, unsigned target, unsigned lun)
{
    ScsiDrive *drive = find(bus, 0, target, lun);

    return drive && drive->device.realized ? drive : NULL;
}

bool scsi_bus_has_target(const ScsiBus *bus, unsigned target)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        const ScsiDrive *drive = scsi_drive(bus->bus.devices->pdata[i]);

        if (drive->device.realized && drive->target == target) {
            return true;
        }
    }
    return false;
}

/* Fills in what the user left open: the first free target, or the first free unit of a target. */
static void choose_place(ScsiBus *bus, ScsiDrive *drive)
{
    bool any_target = drive->target == UINT32_MAX;

    drive->target = any_target ? 0 : drive->target;
    if (drive->lun != UINT32_MAX || any_target) {
        drive->lun = drive->lun == UINT32_MAX ? 0 : drive->lun;
        while (any_target && find(bus, drive->channel, drive->target, drive->lun)) {
            drive->target++;
        }
        return;
    }
    drive->lun = 0;
    while (find(bus, drive->channel, drive->target, drive->lun)) {
        drive->lun++;
    }
}

static bool scsi_bus_attach(Bus *generic, Device *device, GError **error)
{
    ScsiBus *bus = scsi_bus(generic);
    ScsiDrive *drive = scsi_drive(device);
    const ScsiDrive *other;

    choose_place(bus, drive);
    if (drive->channel > bus->host->max_channel || drive->target > bus->host->max_target ||
        drive->lun > bus->host->max_lun) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "channel=%u,scsi-id=%u,lun=%u: bus '%s' reaches up to channel %u, target "
                          "%u and unit %u",
                          drive->channel, drive->target, drive->lun, generic->name,
                          bus->host->max_channel, bus->host->max_target, bus->host->max_lun);
    }
    other = find(bus, drive->channel, drive->target, drive->lun);
    if (other) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "scsi-id=%u,lun=%u on bus '%s' is taken by '%s'", drive->target,
                          drive->lun, generic->name, other->device.id);
    }
    drive->bus = bus;
    return true;
}

static void scsi_bus_detach(Bus *generic, Device *device)
{
    scsi_drive(device)->bus = NULL;
}

static void scsi_bus_describe(Device *device, GString *out)
{
    const ScsiDrive *drive = scsi_drive(device);

    g_string_append_printf(out, "channel %u, scsi-id %u, lun %u\n", drive->channel, drive->target,
                           drive->lun);
}

static void scsi_bus_boot_path(const Device *device, GString *out)
{
    const ScsiDrive *drive = scsi_drive(device);

    g_string_append_printf(out, "/channel@%x/disk@%x,%x", drive->channel, drive->target,
                           drive->lun);
}

/* Units come and go where the adapter can tell the guest of it. */
static bool scsi_bus_may_plug(Bus *generic, Device *device, GError **error)
{
    return scsi_bus(generic)->host->changed ||
           error_fail(error, KASO_ERROR_UNSUPPORTED, "Bus '%s' does not support hotplugging",
                      generic->name);
}

static void scsi_bus_plugged(Bus *bus, Device *device)
{
}

static bool scsi_bus_unplug(Bus *generic, Device *device, GError **error)
{
    if (!scsi_bus_may_plug(generic, device, error)) {
        return false;
    }
    device_unplugged(device);
    return true;
}

const BusType scsi_bus_type = {
    .name = "SCSI",
    .attach = scsi_bus_attach,
    .detach = scsi_bus_detach,
    .describe = scsi_bus_describe,
    .may_plug = scsi_bus_may_plug,
    .plugged = scsi_bus_plugged,
    .unplug = scsi_bus_unplug,
    .boot_path = scsi_bus_boot_path,
};

void scsi_bus_init(ScsiBus *bus, Device *adapter, const char *name, const ScsiHost *host)
{
    bus_init(&bus->bus, &scsi_bus_type, adapter, name);
    bus->host = host;
}

void scsi_bus_deliver(ScsiBus *bus)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        ScsiDrive *drive = scsi_drive(bus->bus.devices->pdata[i]);

        if (drive->in_flight) {
            block_deliver(drive->disk.drive);
        }
    }
}

void scsi_bus_drain(ScsiBus *bus)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        ScsiDrive *drive = scsi_drive(bus->bus.devices->pdata[i]);

        if (drive->in_flight) {
            block_drain(drive->disk.drive);
        }
    }
}

void scsi_bus_abort(ScsiBus *bus)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        scsi_drive_abort(scsi_drive(bus->bus.devices->pdata[i]), NULL, SCSI_RESET);
    }
}

void scsi_bus_abort_if(ScsiBus *bus, ScsiRequestTest *test, const void *data)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        scsi_drive_abort_if(scsi_drive(bus->bus.devices->pdata[i]), test, data, SCSI_ABORTED);
    }
}

void scsi_bus_reset(ScsiBus *bus)
{
    for (unsigned i = 0; i < bus->bus.devices->len; i++) {
        ScsiDrive *drive = scsi_drive(bus->bus.devices->pdata[i]);

        if (drive->device.realized) {
            scsi_drive_reset(drive);
        }
    }
}
