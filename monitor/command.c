/* SPDX-License-Identifier: MIT */
/* Finding commands, checking their arguments, running them; helpers for handlers. */
#include "monitor/command.h"

#include <string.h>

#include "base/version.h"
#include "monitor/session.h"
#include "monitor/version.h"

json_t *monitor_version(void)
{
    json_t *version = json_object(), *qemu = json_object();

    monitor_put(qemu, "micro", json_integer(VERSION_PROTOCOL_MICRO));
    monitor_put(qemu, "minor", json_integer(VERSION_PROTOCOL_MINOR));
    monitor_put(qemu, "major", json_integer(VERSION_PROTOCOL_MAJOR));
    monitor_put(version, "qemu", qemu);
    monitor_put(version, "package", json_string(version_package));
    return version;
}

static gint command_compare_qmp(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const MonitorCommand *const *)a)->name,
                  (*(const MonitorCommand *const *)b)->name);
}

static gint command_compare_hmp(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const MonitorCommand *const *)a)->hmp,
                  (*(const MonitorCommand *const *)b)->hmp);
}

GPtrArray *monitor_sorted_commands(bool qmp)
{
    GPtrArray *list = g_ptr_array_new();
    const MonitorCommand *const *it;

    REGISTRY_FOREACH(monitor_commands, it) {
        if (qmp ? (*it)->name : (*it)->hmp) {
            g_ptr_array_add(list, (gpointer)*it);
        }
    }
    g_ptr_array_sort(list, qmp ? command_compare_qmp : command_compare_hmp);
    return list;
}

const MonitorCommand *monitor_find_qmp(const char *name)
{
    const MonitorCommand *const *it;

    REGISTRY_FOREACH(monitor_commands, it) {
        if ((*it)->name && !strcmp((*it)->name, name)) {
            return *it;
        }
    }
    return NULL;
}

static bool argument_type_fits(ArgumentKind kind, json_t *value)
{
    switch (kind) {
    case ARGUMENT_STRING:
    case ARGUMENT_REST:
    case ARGUMENT_FORMAT:
        return json_is_string(value);
    case ARGUMENT_INT:
        return json_is_integer(value);
    case ARGUMENT_SIZE:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case ARGUMENT_BOOL:
    case ARGUMENT_FLAG:
        return json_is_boolean(value);
    case ARGUMENT_OBJECT:
        return json_is_object(value);
    case ARGUMENT_ANY:
        return true;
    }
    return false;
}

static const char *argument_type_name(ArgumentKind kind)
{
    switch (kind) {
    case ARGUMENT_INT:
        return "an integer";
    case ARGUMENT_SIZE:
        return "an integer that is not negative";
    case ARGUMENT_BOOL:
    case ARGUMENT_FLAG:
        return "true or false";
    case ARGUMENT_OBJECT:
        return "an object";
    default:
        return "a string";
    }
}

static bool command_check(const MonitorCommand *command, json_t *arguments, GError **error)
{
    static const MonitorArgument none = { NULL };
    const MonitorArgument *table = command->arguments ? command->arguments : &none, *argument;
    const char *name = command->name ? command->name : command->hmp, *key;
    json_t *value;

    json_object_foreach(arguments, key, value)
    {
        for (argument = table; argument->name && strcmp(argument->name, key); argument++) {
        }
        if (!argument->name && !(command->flags & COMMAND_OPEN_ARGUMENTS)) {
            return error_fail(error, KASO_ERROR_INVALID, "command '%s' has no argument '%s'", name,
                              key);
        }
        if (argument->name && !argument_type_fits(argument->kind, value)) {
            return error_fail(error, KASO_ERROR_INVALID, "argument '%s' of '%s' must be %s", key,
                              name, argument_type_name(argument->kind));
        }
        if (argument->name && argument->values &&
            !g_strv_contains(argument->values, json_string_value(value))) {
            g_autofree char *values = g_strjoinv(", ", (char **)argument->values);

            return error_fail(error, KASO_ERROR_INVALID,
                              "Parameter '%s' does not accept value '%s'; give one of %s", key,
                              json_string_value(value), values);
        }
    }
    for (argument = table; argument->name; argument++) {
        if (!argument->optional && argument->kind != ARGUMENT_FLAG &&
            !json_object_get(arguments, argument->name)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "command '%s' needs the argument '%s' (%s)", name, argument->name,
                              argument->summary);
        }
    }
    return true;
}

json_t *monitor_run(Monitor *monitor, const MonitorCommand *command, json_t *arguments,
                    GError **error)
{
    json_t *checked = arguments ? json_incref(arguments) : json_object(), *result = NULL;

    if (command->flags & COMMAND_NOT_YET) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "command '%s' is not built yet",
                   command->name ? command->name : command->hmp);
    } else if (command_check(command, checked, error)) {
        result = command->run(monitor, checked, error);
    }
    json_decref(checked);
    return result;
}

json_t *monitor_string(const char *text)
{
    char *valid = g_utf8_make_valid(text ? text : "", -1);
    json_t *string = json_string(valid);

    g_free(valid);
    return string;
}

json_t *monitor_text(GString *text)
{
    json_t *object = json_object();

    monitor_put(object, "human-readable-text", monitor_string(text->str));
    g_string_free(text, TRUE);
    return object;
}

const char *monitor_get_string(json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

int64_t monitor_get_int(json_t *arguments, const char *name, int64_t absent)
{
    json_t *value = json_object_get(arguments, name);

    return value ? json_integer_value(value) : absent;
}

bool monitor_get_bool(json_t *arguments, const char *name)
{
    return json_is_true(json_object_get(arguments, name));
}

bool monitor_has(json_t *arguments, const char *name)
{
    return json_object_get(arguments, name) != NULL;
}

void monitor_put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}
