/* SPDX-License-Identifier: MIT */
/* Commands that change the media of drives: eject, change, and their parts. */
#include <string.h>

#include "block/block.h"
#include "monitor/command.h"

/* A drive with its device, if that has removable media. */
typedef struct {
    Device *device;
    BlockBackend *drive;
    MediumState state;
} Medium;

typedef struct {
    const char *name;
    Device *found;
    BlockBackend *drive;
} MediumSearch;

static BlockBackend *drive_of(Device *device)
{
    const Property *p = property_find(device->type->properties, "drive");

    return p ? *(BlockBackend *const *)((const char *)device + p->offset) : NULL;
}

static void match_drive_name(Device *device, void *opaque)
{
    MediumSearch *search = opaque;
    BlockBackend *drive = drive_of(device);

    if (!search->found && drive && *block_id(drive) && strcmp(block_id(drive), search->name) == 0) {
        search->found = device;
        search->drive = drive;
    }
}

/* By "id", a device's id or path, or by "device", its drive's name. */
static bool find_medium(Monitor *monitor, json_t *arguments, Medium *medium, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *id = monitor_get_string(arguments, "id");
    const char *name = monitor_get_string(arguments, "device");
    MediumSearch search = { .name = name };

    if (!id == !name) {
        return error_fail(error, KASO_ERROR_INVALID, "Need exactly one of 'device' and 'id'");
    }
    if (id) {
        search.found = device_find(machine, id);
        search.drive = search.found ? drive_of(search.found) : NULL;
    } else {
        device_foreach(machine->root, match_drive_name, &search);
    }
    if (!search.found) {
        return error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", id ? id : name);
    }
    if (!search.found->type->medium || !search.drive) {
        return error_fail(error, KASO_ERROR_GENERIC, "Device '%s' is not removable",
                          id ? id : name);
    }
    *medium = (Medium){ .device = search.found, .drive = search.drive };
    medium->device->type->medium->query(medium->device, &medium->state);
    return true;
}

static const char *medium_name(const Medium *medium)
{
    return *block_id(medium->drive) ? block_id(medium->drive) : medium->device->id;
}

static bool tray_is_open(const Medium *medium)
{
    MediumState state;

    medium->device->type->medium->query(medium->device, &state);
    return !state.has_tray || state.tray_open;
}

/* false without an error: the guest was asked to open a locked tray. */
static bool open_tray(const Medium *medium, bool force)
{
    const MediumOps *ops = medium->device->type->medium;

    if (!tray_is_open(medium)) {
        if (medium->state.locked && !force) {
            ops->ask_guest(medium->device);
            return false;
        }
        ops->move_tray(medium->device, true);
    }
    return true;
}

static void changed(const Medium *medium)
{
    if (medium->device->type->medium->changed) {
        medium->device->type->medium->changed(medium->device);
    }
}

static bool remove_medium(const Medium *medium, GError **error)
{
    if (!tray_is_open(medium)) {
        return error_fail(error, KASO_ERROR_GENERIC, "Tray of device '%s' is not open",
                          medium_name(medium));
    }
    if (block_has_image(medium->drive)) {
        block_take_out(medium->drive);
        changed(medium);
    }
    return true;
}

static bool open_tray_or_fail(const Medium *medium, bool force, GError **error)
{
    return open_tray(medium, force) ||
           error_fail(error, KASO_ERROR_GENERIC,
                      "Device '%s' is locked and force was not specified, wait for tray to open "
                      "and try again",
                      medium_name(medium));
}

static json_t *eject_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Medium medium;

    if (find_medium(monitor, arguments, &medium, error) &&
        open_tray_or_fail(&medium, monitor_get_bool(arguments, "force"), error)) {
        remove_medium(&medium, error);
    }
    return NULL;
}

#define DEVICE_ARGUMENTS                                                                           \
    { "device", ARGUMENT_STRING, true, "name of the drive", .complete = monitor_complete_drives }, \
    {                                                                                              \
        "id", ARGUMENT_STRING, true, "id or path of its device", .qmp = true                       \
    }

static const MonitorArgument eject_arguments[] = {
    { "force", ARGUMENT_FLAG, true, "also when the guest has locked it", .letter = 'f' },
    DEVICE_ARGUMENTS,
    { NULL },
};

static const MonitorCommand eject_command = {
    .name = "eject",
    .hmp = "eject",
    .summary = "takes the medium out of a drive",
    .arguments = eject_arguments,
    .run = eject_run,
};
MONITOR_COMMAND(eject_command);

static json_t *open_tray_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Medium medium;

    if (find_medium(monitor, arguments, &medium, error)) {
        open_tray(&medium, monitor_get_bool(arguments, "force"));
    }
    return NULL;
}

static const MonitorCommand open_tray_command = {
    .name = "blockdev-open-tray",
    .summary = "opens a drive's tray, or asks the guest to when it is locked",
    .arguments = eject_arguments,
    .run = open_tray_run,
};
MONITOR_COMMAND(open_tray_command);

static json_t *close_tray_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Medium medium;

    if (find_medium(monitor, arguments, &medium, error)) {
        medium.device->type->medium->move_tray(medium.device, false);
    }
    return NULL;
}

static const MonitorArgument device_arguments[] = { DEVICE_ARGUMENTS, { NULL } };

static const MonitorCommand close_tray_command = {
    .name = "blockdev-close-tray",
    .summary = "closes a drive's tray",
    .arguments = device_arguments,
    .run = close_tray_run,
};
MONITOR_COMMAND(close_tray_command);

static json_t *remove_medium_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Medium medium;

    if (find_medium(monitor, arguments, &medium, error)) {
        remove_medium(&medium, error);
    }
    return NULL;
}

static const MonitorArgument id_arguments[] = {
    { "id", ARGUMENT_STRING, false, "id or path of the drive's device" },
    { NULL },
};

static const MonitorCommand remove_medium_command = {
    .name = "blockdev-remove-medium",
    .summary = "takes the medium out of an open tray",
    .arguments = id_arguments,
    .run = remove_medium_run,
};
MONITOR_COMMAND(remove_medium_command);

static json_t *insert_medium_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Medium medium;

    if (!find_medium(monitor, arguments, &medium, error)) {
        return NULL;
    }
    if (!tray_is_open(&medium)) {
        error_fail(error, KASO_ERROR_GENERIC, "Tray of device '%s' is not open",
                   medium_name(&medium));
    } else if (block_has_image(medium.drive)) {
        error_fail(error, KASO_ERROR_GENERIC, "There already is a medium in device '%s'",
                   medium_name(&medium));
    } else if (block_put_in(medium.drive, monitor_get_string(arguments, "node-name"),
                            medium.state.read_only, error)) {
        changed(&medium);
    }
    return NULL;
}

static const MonitorArgument insert_arguments[] = {
    { "id", ARGUMENT_STRING, false, "id or path of the drive's device" },
    { "node-name", ARGUMENT_STRING, false, "the image, by blockdev-add" },
    { NULL },
};

static const MonitorCommand insert_medium_command = {
    .name = "blockdev-insert-medium",
    .summary = "puts an image into an open tray",
    .arguments = insert_arguments,
    .run = insert_medium_run,
};
MONITOR_COMMAND(insert_medium_command);

/* A file as a drive of its own, until a medium's back end has it. */
static BlockBackend *open_file(Machine *machine, const Medium *medium, json_t *arguments,
                               GError **error)
{
    const char *mode = monitor_get_string(arguments, "read-only-mode");
    const char *format = monitor_get_string(arguments, "format");
    bool read_only = medium->state.read_only || block_read_only(medium->drive);
    g_autoptr(GHashTable) options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    if (g_strcmp0(mode, "read-only") == 0) {
        read_only = true;
    } else if (g_strcmp0(mode, "read-write") == 0) {
        read_only = false;
    }
    g_hash_table_insert(options, g_strdup("file"),
                        g_strdup(monitor_get_string(arguments, "filename")));
    if (format) {
        g_hash_table_insert(options, g_strdup("format"), g_strdup(format));
    }
    g_hash_table_insert(options, g_strdup("readonly"), g_strdup(read_only ? "on" : "off"));
    if (machine->config.snapshot) {
        g_hash_table_insert(options, g_strdup("snapshot"), g_strdup("on"));
    }
    return block_open(machine->block_graph, options, error);
}

static json_t *change_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Medium medium;
    BlockBackend *file;

    if (!find_medium(monitor, arguments, &medium, error)) {
        return NULL;
    }
    file = open_file(monitor_machine(monitor), &medium, arguments, error);
    if (file && open_tray_or_fail(&medium, monitor_get_bool(arguments, "force"), error) &&
        remove_medium(&medium, error) &&
        block_put_in_of(medium.drive, file, medium.state.read_only, error)) {
        changed(&medium);
        medium.device->type->medium->move_tray(medium.device, false);
    }
    block_close(file);
    return NULL;
}

static const char *const modes[] = { "retain", "read-only", "read-write", NULL };

static const MonitorArgument change_arguments[] = {
    { "force", ARGUMENT_FLAG, true, "also when the guest has locked it", .letter = 'f' },
    DEVICE_ARGUMENTS,
    { "filename", ARGUMENT_STRING, false, "the new image" },
    { "format", ARGUMENT_STRING, true, "its format" },
    { "read-only-mode", ARGUMENT_STRING, true, "whether the drive may write to it",
      .values = modes },
    { NULL },
};

static const MonitorCommand change_command = {
    .name = "blockdev-change-medium",
    .hmp = "change",
    .summary = "puts another image into a drive",
    .arguments = change_arguments,
    .run = change_run,
};
MONITOR_COMMAND(change_command);
