/* SPDX-License-Identifier: MIT */
/* query-command-line-options: what tools look for before they write a command line. */
#include "machine/option-info.h"

#include <string.h>

#include "machine/board.h"
#include "machine/chardev.h"
#include "monitor/command.h"

static void append_parameter(json_t *list, const char *name, size_t length, const char *type)
{
    g_autofree char *text = g_strndup(name, length);
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        if (!strcmp(monitor_get_string(entry, "name"), text)) {
            return;
        }
    }
    entry = json_object();
    monitor_put(entry, "name", monitor_string(text));
    monitor_put(entry, "type", json_string(type));
    json_array_append_new(list, entry);
}

/* By what follows the sign of equality in an option's help. */
static const char *type_of_example(const char *example)
{
    return g_str_has_prefix(example, "on|off") || g_str_has_prefix(example, "on]") ||
                   g_str_has_prefix(example, "off]")
               ? "boolean"
           : g_str_has_prefix(example, "SIZE")                 ? "size"
           : example[0] == 'N' && !g_ascii_isalpha(example[1]) ? "number"
                                                               : "string";
}

/* "[cpus=]N[,sockets=N]" has cpus and sockets; what is in capitals stands for something else. */
static void append_from_help(json_t *list, const char *help)
{
    for (const char *sign = help ? strchr(help, '=') : NULL; sign; sign = strchr(sign + 1, '=')) {
        const char *name = sign, *example = sign + 1;

        while (name > help && (g_ascii_isalnum(name[-1]) || strchr("-_.", name[-1]))) {
            name--;
        }
        if (g_ascii_islower(name[0])) {
            append_parameter(list, name, (size_t)(sign - name),
                             type_of_example(example + (*example == ']')));
        }
    }
}

static void append_properties(json_t *list, const Property *table)
{
    for (const Property *p = table; p && p->name; p++) {
        if (p->kind != PROPERTY_NOT_YET) {
            append_parameter(list, p->name, strlen(p->name),
                             p->kind == PROPERTY_BOOL ? "boolean" : "string");
        }
    }
}

static json_t *describe(Monitor *monitor, const OptionInfo *info)
{
    const Board *board = monitor_machine(monitor)->board;
    json_t *object = json_object(), *parameters = json_array();

    append_from_help(parameters, info->arguments);
    append_from_help(parameters, info->more);
    if (!strcmp(info->group, "machine") && board) {
        append_properties(parameters, board->properties);
    }
    if (!strcmp(info->group, "chardev")) {
        const ChardevType *const *type;

        REGISTRY_FOREACH(chardev_types, type) {
            append_properties(parameters, (*type)->properties);
        }
    }
    monitor_put(object, "option", json_string(info->group));
    monitor_put(object, "parameters", parameters);
    return object;
}

static json_t *options_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *wanted = monitor_get_string(arguments, "option");
    json_t *list = json_array();

    for (const OptionInfo *info = monitor_machine(monitor)->config.options; info && info->group;
         info++) {
        if (!wanted || !strcmp(info->group, wanted)) {
            json_array_append_new(list, describe(monitor, info));
        }
    }
    if (wanted && !json_array_size(list)) {
        json_decref(list);
        error_fail(error, KASO_ERROR_NOT_FOUND, "invalid option name '%s'", wanted);
        return NULL;
    }
    return list;
}

static const MonitorArgument options_arguments[] = {
    { "option", ARGUMENT_STRING, true, "this one alone" },
    { NULL },
};

static const MonitorCommand options_command = {
    .name = "query-command-line-options",
    .summary = "describes options of the command line and their parameters",
    .arguments = options_arguments,
    .run = options_run,
    .returns = "[CommandLineOptionInfo]",
};
MONITOR_COMMAND(options_command);
