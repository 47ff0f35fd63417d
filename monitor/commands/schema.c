/* SPDX-License-Identifier: MIT */
/* query-qmp-schema: introspection, made from the definitions of all commands. */
#include <string.h>

#include "monitor/command.h"

/* QMP's built-in type of an argument, and how JSON writes it. */
static const char *schema_type(ArgumentKind kind)
{
    switch (kind) {
    case ARGUMENT_INT:
    case ARGUMENT_SIZE:
        return "int";
    case ARGUMENT_BOOL:
    case ARGUMENT_FLAG:
        return "bool";
    case ARGUMENT_ANY:
    case ARGUMENT_OBJECT:
        return "any";
    default:
        return "str";
    }
}

static json_t *schema_builtin(const char *name, const char *json_type)
{
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(name));
    monitor_put(entry, "meta-type", json_string("builtin"));
    monitor_put(entry, "json-type", json_string(json_type));
    return entry;
}

/* The object type of a command's arguments. */
static json_t *schema_arguments(const char *type_name, const MonitorArgument *arguments)
{
    json_t *entry = json_object(), *members = json_array();

    for (const MonitorArgument *a = arguments; a && a->name; a++) {
        json_t *member = json_object();

        monitor_put(member, "name", json_string(a->name));
        monitor_put(member, "type", json_string(schema_type(a->kind)));
        if (a->optional || a->kind == ARGUMENT_FLAG) {
            monitor_put(member, "default", json_null());
        }
        json_array_append_new(members, member);
    }
    monitor_put(entry, "name", json_string(type_name));
    monitor_put(entry, "meta-type", json_string("object"));
    monitor_put(entry, "members", members);
    return entry;
}

static void schema_add_event(json_t *list, const char *name)
{
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(name));
    monitor_put(entry, "meta-type", json_string("event"));
    monitor_put(entry, "arg-type", json_string("0"));
    json_array_append_new(list, entry);
}

static void schema_add_command(json_t *list, const MonitorCommand *command, unsigned number)
{
    char *type = command->arguments ? g_strdup_printf("%u", number) : g_strdup("0");
    json_t *entry = json_object();

    if (command->arguments) {
        json_array_append_new(list, schema_arguments(type, command->arguments));
    }
    monitor_put(entry, "name", json_string(command->name));
    monitor_put(entry, "meta-type", json_string("command"));
    monitor_put(entry, "arg-type", json_string(type));
    monitor_put(entry, "ret-type", json_string("any"));
    monitor_put(entry, "allow-oob", json_false());
    json_array_append_new(list, entry);
    g_free(type);
}

static json_t *schema_run(Monitor *monitor, json_t *arguments, GError **error)
{
    static const char *const events[] = { "RESET",     "SHUTDOWN",       "STOP",          "RESUME",
                                          "POWERDOWN", "BLOCK_IO_ERROR", "GUEST_PANICKED" };
    GPtrArray *commands = monitor_sorted_commands(true);
    json_t *list = json_array();

    json_array_append_new(list, schema_builtin("str", "string"));
    json_array_append_new(list, schema_builtin("int", "int"));
    json_array_append_new(list, schema_builtin("bool", "boolean"));
    json_array_append_new(list, schema_builtin("any", "value"));
    json_array_append_new(list, schema_arguments("0", NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        schema_add_event(list, events[i]);
    }
    for (guint i = 0; i < commands->len; i++) {
        const MonitorCommand *command = commands->pdata[i];

        if (!(command->flags & COMMAND_NOT_YET)) {
            schema_add_command(list, command, i + 1);
        }
    }
    g_ptr_array_unref(commands);
    return list;
}

static const MonitorCommand schema_command = {
    .name = "query-qmp-schema",
    .summary = "describes all commands, their arguments and the events",
    .run = schema_run,
};
MONITOR_COMMAND(schema_command);
