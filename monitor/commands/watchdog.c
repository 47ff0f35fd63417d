/* SPDX-License-Identifier: MIT */
/* What a watchdog that is not fed does, changed while the machine runs. */
#include "machine/watchdog.h"

#include <string.h>

#include "monitor/command.h"

static json_t *set_action_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *wanted = monitor_get_string(arguments, "action");

    for (unsigned i = 0; watchdog_actions[i]; i++) {
        if (strcmp(watchdog_actions[i], wanted) == 0) {
            monitor_machine(monitor)->config.watchdog_action = i;
        }
    }
    return NULL;
}

static const MonitorArgument set_action_arguments[] = {
    { "action", ARGUMENT_STRING, false, "what happens", .values = watchdog_actions },
    { NULL },
};

static const MonitorCommand set_action_command = {
    .name = "watchdog-set-action",
    .hmp = "watchdog_action",
    .summary = "what a watchdog that is not fed does",
    .arguments = set_action_arguments,
    .run = set_action_run,
};
MONITOR_COMMAND(set_action_command);
