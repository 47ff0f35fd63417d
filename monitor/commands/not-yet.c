/* SPDX-License-Identifier: MIT */
/* Commands that users of other emulators know and that are not built: they say so. */
#include "monitor/command.h"

static const MonitorArgument not_yet_arguments[] = {
    { "arguments", ARGUMENT_REST, true, "ignored" },
    { NULL },
};

#define NOT_YET(symbol, qmp_name, hmp_name)                                                        \
    static const MonitorCommand symbol = {                                                         \
        .name = qmp_name,                                                                          \
        .hmp = hmp_name,                                                                           \
        .summary = "not built yet",                                                                \
        .arguments = not_yet_arguments,                                                            \
        .flags = COMMAND_NOT_YET | COMMAND_OPEN_ARGUMENTS,                                         \
    };                                                                                             \
    MONITOR_COMMAND(symbol)

NOT_YET(delvm_not_yet, NULL, "delvm");
NOT_YET(drive_add_not_yet, NULL, "drive_add");
NOT_YET(dump_not_yet, "dump-guest-memory", "dump-guest-memory");
NOT_YET(loadvm_not_yet, NULL, "loadvm");
NOT_YET(migrate_not_yet, "migrate", "migrate");
NOT_YET(savevm_not_yet, NULL, "savevm");
NOT_YET(snapshot_delete_not_yet, "snapshot-delete", NULL);
NOT_YET(snapshot_load_not_yet, "snapshot-load", NULL);
NOT_YET(snapshot_save_not_yet, "snapshot-save", NULL);
NOT_YET(snapshots_not_yet, NULL, "info snapshots");
NOT_YET(watchdog_not_yet, "watchdog-set-action", "watchdog_action");
