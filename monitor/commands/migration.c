/* SPDX-License-Identifier: MIT */
/* Machines that move to another process: migrate and what belongs to it. */
#include <stdlib.h>
#include <string.h>

#include "migration/migration.h"
#include "monitor/session.h"

/* Capabilities */

static json_t *query_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const bool *on = migration_capabilities(monitor_machine(monitor));
    json_t *list = json_array();

    for (size_t i = 0; i < MIGRATION_CAPABILITY_COUNT; i++) {
        json_t *entry = json_object();

        monitor_put(entry, "capability", json_string(migration_capability_names[i]));
        monitor_put(entry, "state", json_boolean(on[i]));
        json_array_append_new(list, entry);
    }
    return list;
}

static void query_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s: %s\n", monitor_get_string(entry, "capability"),
                               monitor_get_bool(entry, "state") ? "on" : "off");
    }
}

static const MonitorCommand query_command = {
    .name = "query-migrate-capabilities",
    .hmp = "info migrate_capabilities",
    .summary = "lists capabilities of migration and whether they are on",
    .run = query_run,
    .print = query_print,
    .returns = "[MigrationCapabilityStatus]",
};
MONITOR_COMMAND(query_command);

/* Sets the capabilities of the list, or (on NULL) only looks whether they all can be. */
static bool set_capabilities(json_t *list, bool *on, GError **error)
{
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        const char *name = monitor_get_string(entry, "capability");
        json_t *state = json_object_get(entry, "state");
        size_t known = 0;

        if (!name || !json_is_boolean(state)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "each of 'capabilities' has a string 'capability' and a boolean "
                              "'state'");
        }
        while (known < MIGRATION_CAPABILITY_COUNT &&
               strcmp(migration_capability_names[known], name) != 0) {
            known++;
        }
        if (known == MIGRATION_CAPABILITY_COUNT) {
            const char *why = migration_capability_missing(name);

            /* What there is none of need not be turned off. */
            if (json_is_true(state) || !why) {
                return error_fail(error, KASO_ERROR_UNSUPPORTED,
                                  "Capability '%s' of migration: %s; query-migrate-capabilities "
                                  "lists those that there are",
                                  name, why ? why : "there is none of that name");
            }
        } else if (on) {
            on[known] = json_is_true(state);
        }
    }
    return true;
}

/* A migration has looked at them. */
static bool may_set(Monitor *monitor, GError **error)
{
    MigrationInfo info;

    migration_info(monitor_machine(monitor), &info);
    g_free(info.listening_at);
    return !info.under_way ||
           error_fail(error, KASO_ERROR_GENERIC,
                      "There's a migration process in progress: capabilities are for the next one");
}

static json_t *set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *list = json_object_get(arguments, "capabilities");

    if (!may_set(monitor, error)) {
        return NULL;
    }
    if (!json_is_array(list)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "'capabilities' is a list of {\"capability\": NAME, \"state\": BOOLEAN}");
    } else if (set_capabilities(list, NULL, error)) {
        set_capabilities(list, migration_capabilities(monitor_machine(monitor)), error);
    }
    return NULL;
}

static const MonitorArgument set_arguments[] = {
    { "capabilities", ARGUMENT_ANY, .summary = "list of capabilities and their states" },
    { NULL },
};

static const MonitorCommand set_command = {
    .name = "migrate-set-capabilities",
    .summary = "turns capabilities of migration on and off",
    .arguments = set_arguments,
    .run = set_run,
};
MONITOR_COMMAND(set_command);

/* HMP's form: one of them. */
static json_t *set_one_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *list =
        json_pack("[{s:s, s:b}]", "capability", monitor_get_string(arguments, "capability"),
                  "state", monitor_get_bool(arguments, "state"));

    if (may_set(monitor, error)) {
        set_capabilities(list, migration_capabilities(monitor_machine(monitor)), error);
    }
    json_decref(list);
    return NULL;
}

static const MonitorArgument set_one_arguments[] = {
    { "capability", ARGUMENT_STRING, .summary = "its name" },
    { "state", ARGUMENT_BOOL, .summary = "on or off" },
    { NULL },
};

static const MonitorCommand set_one_command = {
    .hmp = "migrate_set_capability",
    .summary = "turns a capability of migration on or off",
    .arguments = set_one_arguments,
    .run = set_one_run,
};
MONITOR_COMMAND(set_one_command);

/* Parameters */

static json_t *parameters_run(Monitor *monitor, json_t *arguments, GError **error)
{
    MigrationParameters *parameters = migration_parameters(monitor_machine(monitor));
    json_t *result = json_object();

    for (const MigrationParameter *at = migration_parameter_table; at->name; at++) {
        const char *text = at->text ? *migration_parameter_text(parameters, at) : NULL;
        uint64_t number = at->text ? 0 : *migration_parameter_number(parameters, at);

        if (at->json) {
            if (text) {
                monitor_put(result, at->name, json_loads(text, 0, NULL));
            }
            continue;
        }
        monitor_put(result, at->name,
                    at->text ? monitor_string(text) : json_integer((json_int_t)number));
    }
    return result;
}

static void print_mapping(json_t *mapping, GString *out)
{
    size_t i, j;
    json_t *node, *bitmap;

    json_array_foreach(mapping, i, node)
    {
        g_string_append_printf(out, "  '%s' -> '%s'\n", monitor_get_string(node, "node-name"),
                               monitor_get_string(node, "alias"));
        json_array_foreach(json_object_get(node, "bitmaps"), j, bitmap)
        {
            g_string_append_printf(out, "    '%s' -> '%s'\n", monitor_get_string(bitmap, "name"),
                                   monitor_get_string(bitmap, "alias"));
        }
    }
}

static void parameters_print(Monitor *monitor, json_t *result, GString *out)
{
    for (const MigrationParameter *at = migration_parameter_table; at->name; at++) {
        if (at->json && monitor_has(result, at->name)) {
            g_string_append_printf(out, "%s:\n", at->name);
            print_mapping(json_object_get(result, at->name), out);
        } else if (at->text && !at->json) {
            g_string_append_printf(out, "%s: '%s'\n", at->name,
                                   monitor_get_string(result, at->name));
        } else if (!at->text) {
            g_string_append_printf(out, "%s: %" G_GINT64_FORMAT "%s%s\n", at->name,
                                   monitor_get_int(result, at->name, 0), at->unit[0] ? " " : "",
                                   at->unit);
        }
    }
}

static const MonitorCommand parameters_command = {
    .name = "query-migrate-parameters",
    .hmp = "info migrate_parameters",
    .summary = "lists the parameters of migration",
    .run = parameters_run,
    .print = parameters_print,
    .returns = "MigrationParameters",
};
MONITOR_COMMAND(parameters_command);

static bool set_mapping(json_t *value, char **field, GError **error)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    bool good = migration_mapping_check(text, error);

    if (good && field) {
        g_free(*field);
        *field = g_strdup(text);
    }
    free(text);
    return good;
}

/* Sets one, or (on NULL) only looks whether it can be. */
static bool set_parameter(const char *name, json_t *value, MigrationParameters *on, GError **error)
{
    const MigrationParameter *parameter = migration_parameter_find(name);
    const char *why = parameter ? NULL : migration_parameter_missing(name);
    int64_t number = json_is_integer(value) ? json_integer_value(value) : -1;

    if (!parameter && migration_parameter_is_so(
                          name, json_is_false(value) ? "false" : json_string_value(value))) {
        return true;
    }
    if (!parameter) {
        return error_fail(error, why ? KASO_ERROR_UNSUPPORTED : KASO_ERROR_INVALID,
                          "Parameter '%s' of migration: %s; query-migrate-parameters lists those "
                          "that there are",
                          name, why ? why : "there is none of that name");
    }
    if (parameter->json) {
        return set_mapping(value, on ? migration_parameter_text(on, parameter) : NULL, error);
    }
    if (parameter->text) {
        /* null, and a text of nothing: none. */
        const char *text = json_is_string(value) ? json_string_value(value) : "";

        if (!json_is_string(value) && !json_is_null(value)) {
            return error_fail(error, KASO_ERROR_INVALID, "Parameter '%s' is a text", name);
        }
        if (on) {
            char **field = migration_parameter_text(on, parameter);

            g_free(*field);
            *field = text[0] ? g_strdup(text) : NULL;
        }
        return true;
    }
    if (number < 0 || (uint64_t)number < parameter->least || (uint64_t)number > parameter->most) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter '%s' is a number from %" G_GUINT64_FORMAT
                          " to %" G_GUINT64_FORMAT,
                          name, parameter->least, parameter->most);
    }
    if (on) {
        *migration_parameter_number(on, parameter) = (uint64_t)number;
    }
    return true;
}

static bool set_parameters(json_t *arguments, MigrationParameters *on, GError **error)
{
    const char *name;
    json_t *value;

    json_object_foreach(arguments, name, value)
    {
        if (!set_parameter(name, value, on, error)) {
            return false;
        }
    }
    return true;
}

static json_t *set_parameters_run(Monitor *monitor, json_t *arguments, GError **error)
{
    if (set_parameters(arguments, NULL, error)) {
        set_parameters(arguments, migration_parameters(monitor_machine(monitor)), error);
    }
    return NULL;
}

/* As the table of parameters; others are looked at by the handler, which knows why they are not there. */
static const MonitorArgument set_parameters_arguments[] = {
    { "announce-initial", ARGUMENT_INT, true, "milliseconds from the first announcement of NICs" },
    { "announce-max", ARGUMENT_INT, true, "milliseconds between announcements at most" },
    { "announce-rounds", ARGUMENT_INT, true, "how often NICs are announced" },
    { "announce-step", ARGUMENT_INT, true, "milliseconds by which each pause is longer" },
    { "throttle-trigger-threshold", ARGUMENT_INT, true,
      "percent of what is sent that the guest may write again meanwhile" },
    { "cpu-throttle-initial", ARGUMENT_INT, true, "percent of the time that CPUs sleep, at first" },
    { "cpu-throttle-increment", ARGUMENT_INT, true, "percent that are added" },
    { "max-cpu-throttle", ARGUMENT_INT, true, "percent at most" },
    { "tls-creds", ARGUMENT_ANY, true, "a tls-creds object; empty or null: no TLS" },
    { "tls-hostname", ARGUMENT_ANY, true, "whom the destination's certificate names" },
    { "max-bandwidth", ARGUMENT_INT, true,
      "bytes in a second while the machine runs; 0: no limit" },
    { "avail-switchover-bandwidth", ARGUMENT_INT, true,
      "bytes in a second that there will be when it stands; 0: as was seen" },
    { "downtime-limit", ARGUMENT_INT, true, "milliseconds that it may stand at the end" },
    { "block-bitmap-mapping", ARGUMENT_ANY, true, "names under which bitmaps go",
      .type = "[BitmapMigrationNodeAlias]" },
    { NULL },
};

static const MonitorCommand set_parameters_command = {
    .name = "migrate-set-parameters",
    .summary = "sets parameters of migration",
    .arguments = set_parameters_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = set_parameters_run,
};
MONITOR_COMMAND(set_parameters_command);

/* A bare number of bytes is in MiB, as people write rates. */
static bool read_number(const MigrationParameter *parameter, const char *text, int64_t *number)
{
    char *end;

    *number = g_ascii_strtoll(text, &end, 0);
    if (end == text) {
        return false;
    }
    if (!strcmp(parameter->unit, "bytes/second") && *number >= 0 && *number < (INT64_MAX >> 30)) {
        *number = *end == 'G' || *end == 'g'   ? *number << 30
                  : *end == 'K' || *end == 'k' ? *number << 10
                  : *end == 'B' || *end == 'b' ? *number
                                               : *number << 20;
        end += *end ? 1 : 0;
    }
    return !*end;
}

static json_t *set_parameter_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "parameter");
    const char *text = monitor_get_string(arguments, "value");
    const MigrationParameter *parameter = migration_parameter_find(name);
    json_t *value = NULL;
    int64_t number;

    if (parameter && parameter->json) {
        error_fail(error, KASO_ERROR_INVALID, "The %s parameter can only be set through QMP", name);
        return NULL;
    }
    if (!parameter || parameter->text) {
        value = json_string(text);
    } else if (read_number(parameter, text, &number)) {
        value = json_integer(number);
    } else {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is no number", text);
        return NULL;
    }
    set_parameter(name, value, migration_parameters(monitor_machine(monitor)), error);
    json_decref(value);
    return NULL;
}

static void complete_parameters(Machine *machine, GPtrArray *candidates)
{
    for (const MigrationParameter *at = migration_parameter_table; at->name; at++) {
        g_ptr_array_add(candidates, g_strdup(at->name));
    }
}

static const MonitorArgument set_parameter_arguments[] = {
    { "parameter", ARGUMENT_STRING, .summary = "its name", .complete = complete_parameters },
    { "value", ARGUMENT_STRING, .summary = "its value; rates in MiB, or with B, K, M or G" },
    { NULL },
};

static const MonitorCommand set_parameter_command = {
    .hmp = "migrate_set_parameter",
    .summary = "sets a parameter of migration",
    .arguments = set_parameter_arguments,
    .run = set_parameter_run,
};
MONITOR_COMMAND(set_parameter_command);

/* Announcing */

static bool take_time(json_t *arguments, const char *name, const char *parameter, uint64_t *value,
                      GError **error)
{
    const MigrationParameter *limits = migration_parameter_find(parameter);
    int64_t number = monitor_get_int(arguments, name, (int64_t)*value);

    if (number < 0 || (uint64_t)number > limits->most) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is a number from 0 to %" G_GUINT64_FORMAT, name, limits->most);
    }
    *value = (uint64_t)number;
    return true;
}

/* Of a list of QMP or of HMP's names with commas between; NULL: all. */
static GStrv take_names(json_t *list)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    json_t *name;
    size_t i;

    if (json_is_string(list)) {
        return g_strsplit(json_string_value(list), ",", -1);
    }
    if (!json_array_size(list)) {
        return NULL;
    }
    json_array_foreach(list, i, name)
    {
        if (json_is_string(name)) {
            g_ptr_array_add(names, g_strdup(json_string_value(name)));
        }
    }
    g_ptr_array_add(names, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

static json_t *announce_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    AnnounceTimes times = migration_announce_times(machine);
    g_auto(GStrv) names = take_names(json_object_get(arguments, "interfaces"));

    if (take_time(arguments, "initial", "announce-initial", &times.initial_ms, error) &&
        take_time(arguments, "max", "announce-max", &times.most_ms, error) &&
        take_time(arguments, "rounds", "announce-rounds", &times.rounds, error) &&
        take_time(arguments, "step", "announce-step", &times.step_ms, error)) {
        migration_announce(machine, &times, (const char *const *)names);
    }
    return NULL;
}

static const MonitorArgument announce_arguments[] = {
    { "interfaces", ARGUMENT_ANY, true, "ids of NICs; HMP: with commas between (all)" },
    { "id", ARGUMENT_STRING, true, "a name for it; a new announcement ends the one before" },
    { "initial", ARGUMENT_INT, true, "milliseconds from the first to the second", .qmp = true },
    { "max", ARGUMENT_INT, true, "milliseconds between two at most", .qmp = true },
    { "rounds", ARGUMENT_INT, true, "how many", .qmp = true },
    { "step", ARGUMENT_INT, true, "milliseconds by which each pause is longer", .qmp = true },
    { NULL },
};

static const MonitorCommand announce_command = {
    .name = "announce-self",
    .hmp = "announce_self",
    .summary = "NICs tell the network's switches where they are",
    .arguments = announce_arguments,
    .run = announce_run,
};
MONITOR_COMMAND(announce_command);
