/* SPDX-License-Identifier: MIT */
/* From an HMP line to a command and its arguments; completion. */
#ifndef MONITOR_HMP_PARSE_H
#define MONITOR_HMP_PARSE_H

#include "monitor/command.h"

/* The command a line begins with; *text moves behind its name. */
const MonitorCommand *hmp_find(const char **text, GError **error);
/* The arguments that the rest of the line gives, as an object; NULL with an error. */
json_t *hmp_parse_arguments(Monitor *monitor, const MonitorCommand *command, const char *text,
                            GError **error);
/* "[/fmt] addr [-a]": how a command's arguments are written; caller frees. */
char *hmp_usage(const MonitorCommand *command);
/* As LineEditorHandlers.complete. */
size_t hmp_complete(Machine *machine, const char *line, GPtrArray *candidates);

#endif
