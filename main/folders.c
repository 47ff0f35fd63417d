/* SPDX-License-Identifier: MIT */
/* Shared folders: -fsdev, and -virtfs, which is one with its device. */
#include <string.h>

#include "base/error.h"
#include "machine/device-open.h"
#include "machine/fsdev.h"
#include "machine/object.h"
#include "main/handlers.h"

static bool add_fsdev(Setup *setup, KeyValues *list, const char *id, GError **error)
{
    g_autofree char *driver = key_values_take(list, "fsdriver");
    g_autoptr(GHashTable) options = NULL;
    bool added;

    if (!driver) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "it does not begin with a driver: give local,… as -help fsdev says");
    }
    options = key_values_table(list);
    machine_lock(setup->machine);
    added = fsdev_new(setup->machine, id, driver, options, error) != NULL;
    machine_unlock(setup->machine);
    return added;
}

bool option_fsdev(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "fsdriver", error);
    g_autofree char *id = NULL;

    if (!list) {
        return false;
    }
    id = key_values_take(list, "id");
    if (!id || !*id) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs id=NAME, for the device's fsdev=");
    }
    return object_id_check(id, error) && add_fsdev(setup, list, id, error);
}

static bool add_device(Setup *setup, const char *fsdev, const char *tag, GError **error)
{
    g_autoptr(KeyValues) list = key_values_new();

    key_values_add(list, "driver", "virtio-9p-pci");
    key_values_add(list, "fsdev", fsdev);
    key_values_add(list, "mount_tag", tag);
    return device_open(setup->machine, list, error);
}

/* The folder is there before the devices, so the option acts when they are made. */
bool option_virtfs(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "fsdriver", error);
    g_autofree char *id = NULL, *tag = NULL;

    if (!list) {
        return false;
    }
    id = key_values_take(list, "id");
    tag = key_values_take(list, "mount_tag");
    if (!tag) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "it needs mount_tag=NAME, by which the guest mounts it");
    }
    return add_fsdev(setup, list, id ? id : tag, error) &&
           add_device(setup, id ? id : tag, tag, error);
}

bool option_virtfs_synth(Setup *setup, const char *argument, GError **error)
{
    return option_virtfs(setup, "synth,id=synth,mount_tag=v_synth", error);
}
