/* SPDX-License-Identifier: MIT */
/* -device: from options to a device on a bus. */
#include <string.h>

#include "base/error.h"
#include "main/handlers.h"

/* The bus that bus= names (its name, or a path that ends in it), else the first that fits. */
static Bus *choose_bus(Setup *setup, const DeviceType *type, const char *name, GError **error)
{
    Bus *bus;

    if (name) {
        const char *slash = strrchr(name, '/');

        bus = bus_find(setup->machine, slash ? slash + 1 : name);
        if (!bus) {
            error_fail(error, KASO_ERROR_NOT_FOUND, "there is no bus '%s' (info qtree shows them)",
                       name);
        }
        return bus;
    }
    bus = bus_find_by_type(setup->machine, type->bus);
    if (!bus) {
        error_fail(error, KASO_ERROR_INVALID, "no '%s' bus with room was found for device '%s'",
                   type->bus, type->name);
    }
    return bus;
}

static const Property *find_property(const DeviceType *type, const char *name)
{
    const Property *property = property_find(type->properties, name);

    return property ? property : property_find(type->bus_properties, name);
}

/* drive= may also name a node of -blockdev, on which each device gets a backend of its own. */
static bool attach_node(Setup *setup, const DeviceType *type, const KeyValue *pair, GError **error)
{
    const Property *property = find_property(type, pair->key);
    BlockBackend *drive;

    if (!property || property->kind != PROPERTY_DRIVE) {
        return true;
    }
    drive = machine_find_drive(setup->machine, pair->value);
    if (drive && block_id(drive)[0]) {
        return true;
    }
    drive = block_attach(setup->graph, pair->value, false, error);
    if (!drive) {
        return false;
    }
    machine_add_drive(setup->machine, pair->value, drive);
    return true;
}

static bool set_properties(Setup *setup, Device *device, const KeyValues *options, GError **error)
{
    for (unsigned i = 0; i < options->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(options->pairs, KeyValue, i);

        if (!attach_node(setup, device->type, pair, error) ||
            !device_set(device, pair->key, pair->value, error)) {
            return false;
        }
    }
    return true;
}

/* Runs with the machine lock. */
static bool create_device(Setup *setup, const char *driver, const char *id, const char *bus_name,
                          const KeyValues *options, GError **error)
{
    const DeviceType *type = device_type_find(driver);
    Device *device;
    Bus *bus = NULL;

    if (!type) {
        /* device_create makes the message. */
        return device_create(setup->machine, NULL, driver, NULL, id, error) != NULL;
    }
    if (type->board_only || !type->bus) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s' is part of boards; -device cannot add one", type->name);
    }
    bus = choose_bus(setup, type, bus_name, error);
    if (!bus) {
        return false;
    }
    device = device_create(setup->machine, NULL, type->name, bus, id, error);
    if (!device) {
        return false;
    }
    device_set_from_user(device, id != NULL);
    if (!set_properties(setup, device, options, error) || !device_realize(device, error)) {
        device_destroy(device);
        return false;
    }
    return true;
}

bool device_add_from_options(Setup *setup, KeyValues *options, GError **error)
{
    g_autofree char *driver = key_values_take(options, "driver");
    g_autofree char *id = key_values_take(options, "id");
    g_autofree char *bus = key_values_take(options, "bus");
    bool ok;

    if (!driver) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "it does not name a device (-device help lists them)");
    }
    machine_lock(setup->machine);
    ok = create_device(setup, driver, id, bus, options, error);
    machine_unlock(setup->machine);
    return ok;
}

bool option_device(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "driver", error);

    return list && device_add_from_options(setup, list, error);
}
