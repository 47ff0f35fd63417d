/* SPDX-License-Identifier: MIT */
/* Images: -blockdev, -drive and its older forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "main/handlers.h"

enum { INTERFACE_NONE, INTERFACE_VIRTIO, INTERFACE_PFLASH, INTERFACE_COUNT };
static const char *const interface_names[] = { "none", "virtio", "pflash", NULL };

bool option_blockdev(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "driver", error);
    g_autoptr(GHashTable) options = NULL;

    if (!list) {
        return false;
    }
    options = key_values_table(list);
    return block_node_add(setup->graph, options, error);
}

static int find_interface(Setup *setup, const char *name, GError **error)
{
    static const NotYet not_yet[] = {
        { "floppy ide mtd scsi sd xen", "use if=virtio or if=none" },
        { 0 },
    };
    static const NameKind kind = { "drive interface", "-drive help", not_yet };

    if (!name) {
        name = setup->config.board->default_drive_interface;
        name = name ? name : "none";
    }
    for (int i = 0; i < INTERFACE_COUNT; i++) {
        if (strcmp(interface_names[i], name) == 0) {
            return i;
        }
    }
    names_fail(&kind, name, interface_names, error);
    return -1;
}

static bool take_number(KeyValues *list, const char *key, unsigned fallback, unsigned *number,
                        GError **error)
{
    g_autofree char *text = key_values_take(list, key);
    char *end;
    unsigned long value;

    *number = fallback;
    if (!text) {
        return true;
    }
    value = strtoul(text, &end, 10);
    if (!g_ascii_isdigit(text[0]) || *end || value > 255) {
        return error_fail(error, KASO_ERROR_INVALID, "%s=%s: give a number from 0 to 255", key,
                          text);
    }
    *number = value;
    return true;
}

/* media= says whether it is a disk or a read-only disc. */
static bool apply_media(KeyValues *list, GError **error)
{
    g_autofree char *media = key_values_take(list, "media");

    if (media && strcmp(media, "cdrom") == 0) {
        if (!key_values_get(list, "readonly") && !key_values_get(list, "read-only")) {
            key_values_add(list, "readonly", "on");
        }
    } else if (media && strcmp(media, "disk") != 0) {
        return error_fail(error, KASO_ERROR_INVALID, "media=%s: give disk or cdrom", media);
    }
    return true;
}

static void note_drive(Setup *setup, const char *id, BlockBackend *drive)
{
    const char *file = block_filename(drive);

    g_ptr_array_add(setup->lines, g_strdup_printf("%s: %s%s", id, file ? file : "an image",
                                                  block_read_only(drive) ? " (read-only)" : ""));
    if (block_guessed_raw(drive)) {
        fprintf(
            stderr,
            "%s: warning: the format of '%s' was guessed to be raw; the guest cannot write what "
            "would change that guess to its first sector. If it is raw, say format=raw\n",
            setup->program, file ? file : id);
    }
}

static bool place_drive(Setup *setup, int interface, unsigned index, const char *id,
                        BlockBackend *drive, GError **error)
{
    if (interface == INTERFACE_PFLASH) {
        if (index > 1) {
            return error_fail(error, KASO_ERROR_INVALID, "there are two flash banks: unit 0 and 1");
        }
        if (machine_pflash(setup->machine, index)) {
            return error_fail(error, KASO_ERROR_INVALID, "flash bank %u has an image already",
                              index);
        }
        machine_set_pflash(setup->machine, index, drive);
    } else if (interface == INTERFACE_VIRTIO) {
        g_ptr_array_add(setup->drives, g_strdup(id));
    }
    if (interface != INTERFACE_PFLASH) {
        note_drive(setup, id, drive);
    }
    return true;
}

static bool add_drive(Setup *setup, KeyValues *list, GError **error)
{
    g_autofree char *interface_name = key_values_take(list, "if");
    g_autofree char *id = key_values_take(list, "id");
    g_autoptr(GHashTable) options = NULL;
    int interface = find_interface(setup, interface_name, error);
    unsigned index, unit, bus;
    BlockBackend *drive;

    if (key_values_get(list, "index") &&
        (key_values_get(list, "unit") || key_values_get(list, "bus"))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "index= counts for itself: leave out bus= and unit=");
    }
    if (interface < 0 || !take_number(list, "bus", 0, &bus, error) ||
        !take_number(list, "index", setup->drive_numbers[interface], &index, error) ||
        !take_number(list, "unit", index, &unit, error) || !apply_media(list, error)) {
        return false;
    }
    setup->drive_numbers[interface] = unit + 1;
    if (!id) {
        id = g_strdup_printf("%s%u", interface_names[interface], unit);
    }
    if (!block_name_is_good(id)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "id=%s: a name begins with a letter and has letters, digits, '-', '.', '_'", id);
    }
    if (machine_find_drive(setup->machine, id)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "there is already a drive '%s'; choose another id", id);
    }
    key_values_add(list, "id", id);
    if (setup->config.snapshot && !key_values_get(list, "snapshot")) {
        key_values_add(list, "snapshot", "on");
    }
    options = key_values_table(list);
    drive = block_open(setup->graph, options, error);
    if (!drive) {
        return false;
    }
    machine_add_drive(setup->machine, id, drive);
    return place_drive(setup, interface, unit, id, drive, error);
}

bool option_drive(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);

    return list && add_drive(setup, list, error);
}

static bool add_file(Setup *setup, const char *file, const char *interface, const char *index,
                     const char *media, GError **error)
{
    g_autoptr(KeyValues) list = key_values_new();

    key_values_add(list, "file", file);
    if (interface) {
        key_values_add(list, "if", interface);
    }
    if (index) {
        key_values_add(list, "index", index);
    }
    key_values_add(list, "media", media);
    return add_drive(setup, list, error);
}

bool option_hda(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, NULL, "0", "disk", error);
}

bool option_hdb(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, NULL, "1", "disk", error);
}

bool option_hdc(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, NULL, "2", "disk", error);
}

bool option_hdd(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, NULL, "3", "disk", error);
}

bool option_cdrom(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, NULL, "2", "cdrom", error);
}

bool option_pflash(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_new();

    key_values_add(list, "file", argument);
    key_values_add(list, "if", "pflash");
    key_values_add(list, "format", "raw");
    return add_drive(setup, list, error);
}

bool drives_create_devices(Setup *setup, GError **error)
{
    for (unsigned i = 0; i < setup->drives->len; i++) {
        g_autoptr(KeyValues) list = key_values_new();

        key_values_add(list, "driver", "virtio-blk");
        key_values_add(list, "drive", setup->drives->pdata[i]);
        if (!device_add_from_options(setup, list, error)) {
            return false;
        }
    }
    return true;
}
