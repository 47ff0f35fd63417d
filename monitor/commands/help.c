/* SPDX-License-Identifier: MIT */
/* help, and `info` alone. */
#include <string.h>

#include "monitor/command.h"
#include "monitor/hmp-parse.h"

/* topic: NULL for all; "info" for all that begin so; else one command. */
static bool help_wanted(const MonitorCommand *command, const char *topic)
{
    size_t n;

    if (!topic) {
        return !g_str_has_prefix(command->hmp, "info ");
    }
    n = strlen(topic);
    if (!strcmp(topic, "info")) {
        return g_str_has_prefix(command->hmp, "info");
    }
    for (const char *name = command->hmp; name; name = strchr(name, '|')) {
        name += *name == '|';
        if (!strncmp(name, topic, n) && (!name[n] || name[n] == '|')) {
            return true;
        }
    }
    return false;
}

static json_t *help_topic(const char *topic, GError **error)
{
    GPtrArray *commands = monitor_sorted_commands(false);
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < commands->len; i++) {
        const MonitorCommand *command = commands->pdata[i];

        if (help_wanted(command, topic) && !(command->flags & COMMAND_NOT_YET)) {
            char *usage = hmp_usage(command);

            g_string_append_printf(text, "%s%s -- %s\n", command->hmp, usage, command->summary);
            g_free(usage);
        }
    }
    g_ptr_array_unref(commands);
    if (!text->len) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "there is no help for '%s'", topic);
        g_string_free(text, TRUE);
        return NULL;
    }
    return monitor_text(text);
}

static json_t *help_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *topic = monitor_get_string(arguments, "command");

    return help_topic(topic && *topic ? topic : NULL, error);
}

static const MonitorArgument help_arguments[] = {
    { "command", ARGUMENT_REST, true, "whose help", .complete = monitor_complete_commands },
    { NULL },
};

static const MonitorCommand help_command = {
    .hmp = "help|?",
    .summary = "shows this list, or how one command is used",
    .arguments = help_arguments,
    .run = help_run,
};
MONITOR_COMMAND(help_command);

static json_t *info_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return help_topic("info", error);
}

static const MonitorCommand info_command = {
    .hmp = "info",
    .summary = "lists what info can show",
    .run = info_run,
};
MONITOR_COMMAND(info_command);

static json_t *clear_run(Monitor *monitor, json_t *arguments, GError **error)
{
    /* ECMA-48: the cursor home, the screen empty; and xterm's: so are the lines above it. */
    return monitor_text(g_string_new("\033[H\033[2J\033[3J"));
}

static const MonitorCommand clear_command = {
    .hmp = "clear",
    .summary = "clears the screen",
    .run = clear_run,
};
MONITOR_COMMAND(clear_command);
