/* SPDX-License-Identifier: MIT */
/* From options to a device on a bus; see the header. */
#include "machine/device-open.h"

#include <string.h>

#include "base/error.h"
#include "machine/object.h"
#include "machine/private.h"

/* What makes a bus that machines have only when asked; NULL: nothing that a user could add. */
static const char *provider_of(const char *bus)
{
    static const struct {
        const char *bus, *device;
    } providers[] = {
        { "usb-bus", "qemu-xhci" },
        { "SCSI", "virtio-scsi-pci" },
        { "virtio-serial-bus", "virtio-serial-pci" },
        { "HDA", "intel-hda" },
        { "ide", "ahci" },
        { "nvme-bus", "nvme,serial=TEXT" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(providers); i++) {
        if (strcmp(providers[i].bus, bus) == 0) {
            return providers[i].device;
        }
    }
    return NULL;
}

/* The bus that bus= names (its name, or a path that ends in it), else the first that fits. */
static Bus *choose_bus(Machine *machine, const DeviceType *type, const char *name, GError **error)
{
    Bus *bus;

    if (name) {
        const char *slash = strrchr(name, '/');

        bus = bus_find(machine, slash ? slash + 1 : name);
        if (!bus) {
            error_fail(error, KASO_ERROR_NOT_FOUND, "there is no bus '%s' (info qtree shows them)",
                       name);
        }
        return bus;
    }
    bus = bus_find_by_type(machine, type->bus);
    if (!bus) {
        const char *provider = provider_of(type->bus);

        error_fail(error, KASO_ERROR_INVALID,
                   "no '%s' bus with room was found for device '%s'%s%s%s", type->bus, type->name,
                   provider ? "; give -device " : "", provider ? provider : "",
                   provider ? " before it" : "");
    }
    return bus;
}

static bool may_be_added(Machine *machine, const DeviceType *type, GError **error)
{
    if (!board_takes(machine->board, type)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine '%s': device '%s' is part of boards; -device cannot add one",
                          machine->board->name, type->name);
    }
    if (machine->private->loaded && type->fixed) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Device '%s' does not support hotplugging; give -device %s at the start",
                          type->name, type->name);
    }
    return true;
}

/* Of a running machine: whether the bus takes one more device. */
static bool may_be_plugged(Device *device, GError **error)
{
    Bus *bus = device->bus;

    if (!device->machine->private->loaded) {
        return true;
    }
    if (!bus->type->may_plug) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "not yet: bus '%s' does not support hotplugging; give -device %s at the start",
            bus->name, device->type->name);
    }
    return bus->type->may_plug(bus, device, error);
}

static bool set_properties(Device *device, const KeyValues *options, GError **error)
{
    static const char *const ours[] = { "driver", "id", "bus", NULL };

    for (unsigned i = 0; i < options->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(options->pairs, KeyValue, i);

        if (!g_strv_contains(ours, pair->key) && key_values_counts(options, i) &&
            !device_set(device, pair->key, pair->value, error)) {
            return false;
        }
    }
    return true;
}

/* Runs with the machine lock. */
static Device *open_device(Machine *machine, const KeyValues *options, GError **error)
{
    const char *driver = key_values_get(options, "driver"), *id = key_values_get(options, "id");
    const DeviceType *type = driver ? device_type_get(driver, error) : NULL;
    Device *device;
    Bus *bus;

    if (id && !object_id_check(id, error)) {
        return NULL;
    }
    if (!driver) {
        error_fail(error, KASO_ERROR_INVALID,
                   "it does not name a device (-device help lists them)");
    }
    if (!type || !may_be_added(machine, type, error)) {
        return NULL;
    }
    bus = type->bus ? choose_bus(machine, type, key_values_get(options, "bus"), error) : NULL;
    device = bus || !type->bus ? device_create(machine, NULL, type->name, bus, id, error) : NULL;
    if (device) {
        device_set_from_user(device, id != NULL);
    }
    if (device && (!set_properties(device, options, error) || !may_be_plugged(device, error) ||
                   !device_realize(device, error))) {
        device_destroy(device);
        return NULL;
    }
    if (device && bus && machine->private->loaded && bus->type->plugged) {
        bus->type->plugged(bus, device);
    }
    return device;
}

Device *device_open(Machine *machine, const KeyValues *options, GError **error)
{
    bool held = machine_lock_held(machine);
    Device *device;

    if (!held) {
        machine_lock(machine);
    }
    device = open_device(machine, options, error);
    if (!held) {
        machine_unlock(machine);
    }
    return device;
}
