/* SPDX-License-Identifier: MIT */
/* Images: -blockdev, -drive and its older forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/device-open.h"
#include "main/handlers.h"

/* A drive that gets a device once the board is built. */
typedef struct {
    const DriveInterface *interface;
    unsigned bus, unit;
    bool disc;
    char *id;
} DriveChoice;

static void free_choice(void *data)
{
    DriveChoice *choice = data;

    g_free(choice->id);
    g_free(choice);
}

/* The interfaces of the board, and none. */
static const DriveInterface interface_none = { "none" };

void drives_begin(Setup *setup)
{
    setup->drives = g_ptr_array_new_with_free_func(free_choice);
    setup->drive_places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

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

static const DriveInterface *find_interface(Setup *setup, const char *name, GError **error)
{
    static const NotYet not_yet[] = {
        { "floppy ide mtd sd xen", "use if=virtio or if=none" },
        { "scsi", "use if=none,id=D with -device virtio-scsi-pci and -device scsi-hd,drive=D" },
        { 0 },
    };
    static const NameKind kind = { "drive interface", "-drive help", not_yet };
    const Board *board = setup->config.board;
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    name = name ? name : board->default_drive_interface ? board->default_drive_interface : "none";
    if (strcmp(name, "none") == 0) {
        return &interface_none;
    }
    for (const DriveInterface *it = board->drive_interfaces; it && it->name; it++) {
        if (strcmp(it->name, name) == 0) {
            return it;
        }
        g_ptr_array_add(names, (void *)it->name);
    }
    g_ptr_array_add(names, (void *)"none");
    g_ptr_array_add(names, NULL);
    names_fail(&kind, name, (const char *const *)names->pdata, error);
    return NULL;
}

static bool take_number(KeyValues *list, const char *key, unsigned *number, GError **error)
{
    g_autofree char *text = key_values_take(list, key);
    char *end;
    unsigned long value;

    *number = 0;
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
static bool apply_media(KeyValues *list, bool *disc, GError **error)
{
    g_autofree char *media = key_values_take(list, "media");

    *disc = media && strcmp(media, "cdrom") == 0;
    if (*disc) {
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

/* A place on an interface, as a key of setup->drive_places. */
static char *place_name(const DriveInterface *interface, unsigned index)
{
    return g_strdup_printf("%s %u", interface->name, index);
}

static bool is_taken(const Setup *setup, const DriveInterface *interface, unsigned index)
{
    g_autofree char *place = place_name(interface, index);

    return g_hash_table_contains(setup->drive_places, place);
}

/* bus=, unit= and index= of a drive; what is not there is made of the others, or is the first place that is free. */
static bool choose_place(const Setup *setup, KeyValues *list, DriveChoice *choice, unsigned *index,
                         GError **error)
{
    const DriveInterface *interface = choice->interface;
    unsigned units = interface->units;
    bool has_index = key_values_get(list, "index"), has_unit = key_values_get(list, "unit");

    if (has_index && (has_unit || key_values_get(list, "bus"))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "index= counts for itself: leave out bus= and unit=");
    }
    if (!take_number(list, "index", index, error) ||
        !take_number(list, "bus", &choice->bus, error) ||
        !take_number(list, "unit", &choice->unit, error)) {
        return false;
    }
    if (units && choice->unit >= units) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "unit=%u: a bus of if=%s has the units 0 to %u", choice->unit,
                          interface->name, units - 1);
    }
    if (!has_index) {
        *index = choice->bus * units + choice->unit;
        while (!has_unit && is_taken(setup, interface, *index)) {
            ++*index;
        }
    }
    choice->bus = units ? *index / units : 0;
    choice->unit = units ? *index % units : *index;
    return true;
}

static bool take_place(Setup *setup, KeyValues *list, DriveChoice *choice, unsigned *index,
                       GError **error)
{
    const DriveInterface *interface = choice->interface;

    if (!choose_place(setup, list, choice, index, error)) {
        return false;
    }
    if (interface->most && *index >= interface->most) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "index=%u: machine '%s' has room for %u drive%s with if=%s", *index,
                          setup->config.board->name, interface->most, plural(interface->most),
                          interface->name);
    }
    if (interface != &interface_none && is_taken(setup, interface, *index)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "if=%s,index=%u has an image already; give another index=, or none",
                          interface->name, *index);
    }
    g_hash_table_add(setup->drive_places, place_name(interface, *index));
    return true;
}

/* As existing scripts expect: "virtio0", "ide0-hd1", "floppy0". */
static char *default_id(const DriveChoice *choice)
{
    const DriveInterface *interface = choice->interface;

    return interface->units && interface->most > interface->units
               ? g_strdup_printf("%s%u-%s%u", interface->name, choice->bus,
                                 choice->disc ? "cd" : "hd", choice->unit)
               : g_strdup_printf("%s%u", interface->name, choice->unit);
}

/* A drive may be given its medium later: then its options say nothing of an image. */
static bool is_empty(const KeyValues *list, bool removable)
{
    static const char *const names[] = { "id", "read-only", "readonly", "snapshot", NULL };

    return removable && key_values_check(list, names, NULL, NULL);
}

/* Where no image is named, what should have named it may be spelt wrong. Names with dots are the drivers'. */
static bool check_without_image(GHashTable *options, GError **error)
{
    static const char *const names[] = { "id",           "file",      "format",        "driver",
                                         "cache",        "read-only", "readonly",      "snapshot",
                                         "aio",          "werror",    "rerror",        "discard",
                                         "copy-on-read", "node-name", "detect-zeroes", NULL };
    g_autoptr(KeyValues) plain = key_values_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!strcmp(key, "file") || !strcmp(key, "driver") || !strcmp(key, "format") ||
            g_str_has_prefix(key, "file.")) {
            return true;
        }
        if (!strchr(key, '.') && !g_str_has_prefix(key, "bps") && !g_str_has_prefix(key, "iops")) {
            key_values_add(plain, key, "");
        }
    }
    return key_values_check(plain, names, "-drive", error);
}

static bool check_switches(const KeyValues *list, GError **error)
{
    static const char *const names[] = { "read-only", "readonly", "snapshot", NULL };

    for (const char *const *name = names; *name; name++) {
        const char *value = key_values_get(list, *name);

        if (value && g_strcmp0(value, "on") && g_strcmp0(value, "off")) {
            return error_fail(error, KASO_ERROR_INVALID, "Parameter '%s' expects 'on' or 'off'",
                              *name);
        }
    }
    return true;
}

static BlockBackend *open_drive(Setup *setup, KeyValues *list, const char *id, bool removable,
                                GError **error)
{
    g_autoptr(GHashTable) options = NULL;
    BlockBackend *drive;

    if (!block_name_is_good(id)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "id=%s: a name begins with a letter and has letters, digits, '-', '.', '_'", id);
        return NULL;
    }
    if (machine_find_drive(setup->machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a drive '%s'; choose another id",
                   id);
        return NULL;
    }
    key_values_add(list, "id", id);
    if (setup->config.snapshot && !key_values_get(list, "snapshot")) {
        key_values_add(list, "snapshot", "on");
    }
    if (removable && !g_strcmp0(key_values_get(list, "file"), "")) {
        g_free(key_values_take(list, "file")); /* -cdrom '' */
    }
    options = key_values_table(list);
    if (!check_without_image(options, error) || !check_switches(list, error)) {
        return NULL;
    }
    drive = is_empty(list, removable) ? block_open_empty(setup->graph, id)
                                      : block_open(setup->graph, options, error);
    if (drive) {
        machine_add_drive(setup->machine, id, drive);
    }
    return drive;
}

static bool add_drive(Setup *setup, KeyValues *list, GError **error)
{
    g_autofree char *name = key_values_take(list, "if");
    DriveChoice choice = { .interface = find_interface(setup, name, error) };
    const DriveInterface *interface = choice.interface;
    g_autofree char *id = key_values_take(list, "id");
    BlockBackend *drive;
    unsigned index;

    if (!interface || !apply_media(list, &choice.disc, error) ||
        !take_place(setup, list, &choice, &index, error)) {
        return false;
    }
    if (!id) {
        id = default_id(&choice);
    }
    /* Of if=none nobody knows yet whether it will be one whose media come and go: its device says so. */
    drive = open_drive(setup, list, id,
                       choice.disc || interface->removable || interface == &interface_none, error);
    if (!drive) {
        return false;
    }
    if (interface != &interface_none && !interface->device) {
        return machine_place_drive(setup->machine, interface->name, index, drive) ||
               error_fail(error, KASO_ERROR_INVALID, "if=%s,index=%u has an image already",
                          interface->name, index);
    }
    if (block_has_image(drive)) {
        note_drive(setup, id, drive);
    }
    if (interface->device) {
        choice.id = g_strdup(id);
        g_ptr_array_add(setup->drives, g_memdup2(&choice, sizeof choice));
    }
    return true;
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

bool option_fda(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, "floppy", "0", "disk", error);
}

bool option_fdb(Setup *setup, const char *argument, GError **error)
{
    return add_file(setup, argument, "floppy", "1", "disk", error);
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

/* Whether -device names one of the types. */
static bool has_device_option(const Setup *setup, const char *const *types)
{
    for (unsigned i = 0; i < setup->given->len; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);
        g_autoptr(KeyValues) list = NULL;
        const char *driver;

        if (strcmp(given->option->name, "device") == 0) {
            list = key_values_parse(given->argument, "driver", NULL);
            driver = list ? key_values_get(list, "driver") : NULL;
            if (driver && g_strv_contains(types, driver)) {
                return true;
            }
        }
    }
    return false;
}

bool drives_add_defaults(Setup *setup, GError **error)
{
    const DefaultDrive *it = setup->config.board->default_drives;

    for (; it && it->interface && !setup->config.no_defaults; it++) {
        const DriveInterface *interface = find_interface(setup, it->interface, NULL);
        g_autofree char *index = g_strdup_printf("%u", it->index);
        g_autoptr(KeyValues) list = key_values_new();

        if (is_taken(setup, interface, it->index) || has_device_option(setup, it->unless)) {
            continue;
        }
        key_values_add(list, "if", it->interface);
        key_values_add(list, "index", index);
        key_values_add(list, "media", it->disc ? "cdrom" : "disk");
        if (!add_drive(setup, list, error)) {
            return false;
        }
    }
    return true;
}

bool drives_create_devices(Setup *setup, GError **error)
{
    for (unsigned i = 0; i < setup->drives->len; i++) {
        const DriveChoice *choice = setup->drives->pdata[i];
        const DriveInterface *interface = choice->interface;
        g_autofree char *unit = g_strdup_printf("%u", choice->unit);
        g_autofree char *number = g_strdup_printf("%u", choice->bus);
        g_autoptr(KeyValues) list = key_values_new();

        key_values_add(list, "driver",
                       choice->disc && interface->disc ? interface->disc : interface->device);
        key_values_add(list, "drive", choice->id);
        if (interface->bus) {
            g_auto(GStrv) parts = g_strsplit(interface->bus, "%u", 2);
            g_autofree char *bus = g_strjoinv(number, parts);

            key_values_add(list, "bus", bus);
        }
        if (interface->unit) {
            key_values_add(list, interface->unit, unit);
        }
        if (!device_open(setup->machine, list, error)) {
            g_prefix_error(error, "drive '%s': ", choice->id);
            return false;
        }
    }
    return true;
}
