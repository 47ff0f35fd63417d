/* SPDX-License-Identifier: MIT */
/* Commands about Kaso itself and its log: version, name, uuid, generation, log, logfile, trace. */
#include <string.h>

#include "base/log.h"
#include "base/version.h"
#include "monitor/command.h"
#include "monitor/version.h"

static json_t *version_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_version();
}

static void version_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%d.%d.%d (%s)\n", VERSION_PROTOCOL_MAJOR, VERSION_PROTOCOL_MINOR,
                           VERSION_PROTOCOL_MICRO, monitor_get_string(result, "package"));
}

static const MonitorCommand version_command = {
    .name = "query-version",
    .hmp = "info version",
    .summary = "shows the version of the protocol and of Kaso",
    .run = version_run,
    .print = version_print,
    .returns = "VersionInfo",
};
MONITOR_COMMAND(version_command);

static json_t *name_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_machine(monitor)->config.name;
    json_t *result = json_object();

    if (name) {
        monitor_put(result, "name", monitor_string(name));
    }
    return result;
}

static void name_print(Monitor *monitor, json_t *result, GString *out)
{
    if (monitor_has(result, "name")) {
        g_string_append_printf(out, "%s\n", monitor_get_string(result, "name"));
    }
}

static const MonitorCommand name_command = {
    .name = "query-name",
    .hmp = "info name",
    .summary = "shows the machine's name",
    .run = name_run,
    .print = name_print,
    .returns = "NameInfo",
};
MONITOR_COMMAND(name_command);

static json_t *uuid_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *uuid = monitor_machine(monitor)->config.uuid;
    json_t *result = json_object();

    monitor_put(result, "UUID",
                monitor_string(uuid ? uuid : "00000000-0000-0000-0000-000000000000"));
    return result;
}

static void uuid_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%s\n", monitor_get_string(result, "UUID"));
}

static const MonitorCommand uuid_command = {
    .name = "query-uuid",
    .hmp = "info uuid",
    .summary = "shows the machine's UUID",
    .run = uuid_run,
    .print = uuid_print,
    .returns = "UuidInfo",
};
MONITOR_COMMAND(uuid_command);

static json_t *generation_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Device *device = device_find_by_type(monitor_machine(monitor), "vmgenid");
    g_autofree char *guid = device ? device_get(device, "guid", error) : NULL;
    json_t *result;

    if (!device) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "VM Generation ID device not found");
        return NULL;
    }
    result = json_object();
    monitor_put(result, "guid", monitor_string(guid));
    return result;
}

static void generation_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%s\n", monitor_get_string(result, "guid"));
}

static const MonitorCommand generation_command = {
    .name = "query-vm-generation-id",
    .hmp = "info vm-generation-id",
    .summary = "shows the identifier that vmgenid gives to the guest",
    .run = generation_run,
    .print = generation_print,
    .returns = "GuidInfo",
};
MONITOR_COMMAND(generation_command);

static json_t *log_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *items = monitor_get_string(arguments, "items");

    if (!strcmp(items, "none")) {
        log_mask = 0;
    } else {
        log_mask = 0;
        log_set_items(items, error);
    }
    return NULL;
}

static const MonitorArgument log_arguments[] = {
    { "items", ARGUMENT_STRING, .summary = "as after -d, or none",
      .complete = monitor_complete_log_items },
    { NULL },
};

static const MonitorCommand log_command = {
    .name = "x-log",
    .hmp = "log",
    .summary = "chooses what is logged",
    .arguments = log_arguments,
    .run = log_run,
};
MONITOR_COMMAND(log_command);

static json_t *logfile_run(Monitor *monitor, json_t *arguments, GError **error)
{
    log_set_file(monitor_get_string(arguments, "filename"), error);
    return NULL;
}

static const MonitorArgument logfile_arguments[] = {
    { "filename", ARGUMENT_STRING, .summary = "file to log to" },
    { NULL },
};

static const MonitorCommand logfile_command = {
    .name = "x-logfile",
    .hmp = "logfile",
    .summary = "sends the log to a file",
    .arguments = logfile_arguments,
    .run = logfile_run,
};
MONITOR_COMMAND(logfile_command);
