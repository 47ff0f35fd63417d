/* SPDX-License-Identifier: MIT */
/* drive_add, drive_del: drives as -drive if=none makes them, for device_add; drive_mirror, drive_backup. */
#include <string.h>

#include "base/key-values.h"
#include "monitor/block.h"

/* media= says that it is a disc; if= can only be none, for what other interfaces there are came with the machine. */
static bool take_kind(KeyValues *list, GError **error)
{
    g_autofree char *interface = key_values_take(list, "if");
    g_autofree char *media = key_values_take(list, "media");

    if (interface && strcmp(interface, "none")) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "Can't hot-add drive to type '%s'; use if=none, and device_add for its device",
            interface);
    }
    if (media && !strcmp(media, "cdrom") && !key_values_get(list, "readonly") &&
        !key_values_get(list, "read-only")) {
        key_values_add(list, "read-only", "on");
    }
    return true;
}

static json_t *add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    BlockGraph *graph = monitor_block_graph(monitor, error);
    g_autoptr(KeyValues) list = NULL;
    g_autoptr(GHashTable) options = NULL;
    const char *id;
    BlockBackend *drive;

    list = graph ? key_values_parse(monitor_get_string(arguments, "options"), NULL, error) : NULL;
    if (!list || !take_kind(list, error)) {
        return NULL;
    }
    id = key_values_get(list, "id");
    if (!id || !block_name_is_good(id)) {
        error_fail(error, KASO_ERROR_INVALID, "a drive needs id=NAME; a name begins with a letter");
        return NULL;
    }
    if (machine_find_drive(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a drive '%s'; choose another id",
                   id);
        return NULL;
    }
    options = key_values_table(list);
    drive = block_open(graph, options, error);
    if (drive) {
        machine_add_drive(machine, id, drive);
    }
    return drive ? json_string("OK") : NULL;
}

static void add_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%s\n", json_string_value(result));
}

static const MonitorArgument add_arguments[] = {
    { "node", ARGUMENT_FLAG, true, "accepted; blockdev-add makes nodes", .letter = 'n' },
    { "address", ARGUMENT_STRING,
      .summary = "has no effect: device_add says where the device goes" },
    { "options", ARGUMENT_REST, .summary = "if=none,id=NAME,file=FILE,… as -drive has them" },
    { NULL },
};

static const MonitorCommand add_command = {
    .hmp = "drive_add",
    .summary = "opens an image as a drive, for a device_add that follows",
    .arguments = add_arguments,
    .run = add_run,
    .print = add_print,
};
MONITOR_COMMAND(add_command);

static json_t *del_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *id = monitor_get_string(arguments, "id");
    BlockBackend *drive = machine_find_drive(machine, id);

    if (machine->block_graph && block_node_exists(machine->block_graph, id)) {
        block_node_remove(machine->block_graph, id, error);
    } else if (!drive) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", id);
    } else if (block_forget(drive, error)) {
        if (monitor_drive_owner(machine, drive)) {
            machine_disown_drive(machine, drive);
        } else {
            machine_remove_drive(machine, drive);
            block_close(drive);
        }
    }
    return NULL;
}

static const MonitorArgument del_arguments[] = {
    { "id", ARGUMENT_STRING, .summary = "name of the drive or node",
      .complete = monitor_complete_drives },
    { NULL },
};

static const MonitorCommand del_command = {
    .hmp = "drive_del",
    .summary = "closes a drive, or a node; requests of a device that has it fail from then on",
    .arguments = del_arguments,
    .run = del_run,
};
MONITOR_COMMAND(del_command);

/* The people's form of drive-mirror and drive-backup. */
static json_t *copy_drive(Monitor *monitor, json_t *arguments, const char *command, GError **error)
{
    json_t *wanted = json_object(), *result;

    monitor_put(wanted, "device", json_incref(json_object_get(arguments, "device")));
    monitor_put(wanted, "target", json_incref(json_object_get(arguments, "target")));
    monitor_put(wanted, "sync", json_string(monitor_get_bool(arguments, "full") ? "full" : "top"));
    monitor_put(wanted, "mode",
                json_string(monitor_get_bool(arguments, "reuse") ? "existing" : "absolute-paths"));
    if (monitor_has(arguments, "format")) {
        monitor_put(wanted, "format", json_incref(json_object_get(arguments, "format")));
    }
    if (monitor_get_bool(arguments, "compress")) {
        monitor_put(wanted, "compress", json_true());
    }
    result = monitor_run(monitor, monitor_find_qmp(command), wanted, error);
    json_decref(wanted);
    return result;
}

static json_t *mirror_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return copy_drive(monitor, arguments, "drive-mirror", error);
}

static json_t *backup_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return copy_drive(monitor, arguments, "drive-backup", error);
}

#define COPY_ARGUMENTS                                                                             \
    { "reuse", ARGUMENT_FLAG, true, "the target exists", .letter = 'n' },                          \
    {                                                                                              \
        "full", ARGUMENT_FLAG, true, "backing files too, not the image alone", .letter = 'f'       \
    }
#define COPY_FILES                                                                                 \
    { "device", ARGUMENT_STRING, .summary = "drive", .complete = monitor_complete_drives },        \
        { "target", ARGUMENT_STRING, .summary = "file to copy to" },                               \
    {                                                                                              \
        "format", ARGUMENT_STRING, true, "format of the target"                                    \
    }

static const MonitorArgument mirror_arguments[] = { COPY_ARGUMENTS, COPY_FILES, { NULL } };
static const MonitorArgument backup_arguments[] = {
    COPY_ARGUMENTS,
    { "compress", ARGUMENT_FLAG, true, "where the format can", .letter = 'c' },
    COPY_FILES,
    { NULL },
};

static const MonitorCommand mirror_command = {
    .hmp = "drive_mirror",
    .summary = "copies a drive and follows its writes",
    .arguments = mirror_arguments,
    .run = mirror_run,
};
MONITOR_COMMAND(mirror_command);

static const MonitorCommand backup_command = {
    .hmp = "drive_backup",
    .summary = "copies a drive as it is at this moment",
    .arguments = backup_arguments,
    .run = backup_run,
};
MONITOR_COMMAND(backup_command);
