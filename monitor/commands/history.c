/* SPDX-License-Identifier: MIT */
/* info history: what was typed at this prompt. */
#include "monitor/command.h"

static json_t *history_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const GPtrArray *lines = monitor_history(monitor);
    GString *text = g_string_new(NULL);

    for (guint i = 0; lines && i < lines->len; i++) {
        g_string_append_printf(text, "%u: '%s'\n", i, (const char *)lines->pdata[i]);
    }
    return monitor_text(text);
}

static const MonitorCommand history_command = {
    .hmp = "info history",
    .summary = "lists the lines that were typed at this prompt",
    .run = history_run,
};
MONITOR_COMMAND(history_command);
