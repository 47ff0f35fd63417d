/* SPDX-License-Identifier: MIT */
/* Machines that move to another process: migrate and what belongs to it. */
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
            /* What nobody has need not be turned off. */
            if (json_is_true(state)) {
                return error_fail(error, KASO_ERROR_UNSUPPORTED,
                                  "not yet: capability '%s' of migration; "
                                  "query-migrate-capabilities lists them",
                                  name);
            }
        } else if (on) {
            on[known] = json_is_true(state);
        }
    }
    return true;
}

static json_t *set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *list = json_object_get(arguments, "capabilities");

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

    set_capabilities(list, migration_capabilities(monitor_machine(monitor)), error);
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
    const MigrationParameters *parameters = migration_parameters(monitor_machine(monitor));

    return json_pack("{s:I, s:I}", "max-bandwidth", (json_int_t)parameters->max_bandwidth,
                     "downtime-limit", (json_int_t)parameters->downtime_limit_ms);
}

static void parameters_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out,
                           "max-bandwidth: %" G_GINT64_FORMAT " bytes/second\n"
                           "downtime-limit: %" G_GINT64_FORMAT " ms\n",
                           monitor_get_int(result, "max-bandwidth", 0),
                           monitor_get_int(result, "downtime-limit", 0));
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

enum { DOWNTIME_MOST_MS = 2000 * 1000 };

static json_t *set_parameters_run(Monitor *monitor, json_t *arguments, GError **error)
{
    MigrationParameters *parameters = migration_parameters(monitor_machine(monitor));
    int64_t bandwidth =
        monitor_get_int(arguments, "max-bandwidth", (int64_t)parameters->max_bandwidth);
    int64_t downtime =
        monitor_get_int(arguments, "downtime-limit", (int64_t)parameters->downtime_limit_ms);

    if (bandwidth < 0) {
        error_fail(error, KASO_ERROR_INVALID,
                   "Parameter 'max-bandwidth' is a number of bytes per second; 0: no limit");
    } else if (downtime < 0 || downtime > DOWNTIME_MOST_MS) {
        error_fail(error, KASO_ERROR_INVALID,
                   "Parameter 'downtime-limit' is a number of milliseconds from 0 to %d",
                   DOWNTIME_MOST_MS);
    } else {
        parameters->max_bandwidth = (uint64_t)bandwidth;
        parameters->downtime_limit_ms = (uint64_t)downtime;
    }
    return NULL;
}

static const MonitorArgument set_parameters_arguments[] = {
    { "max-bandwidth", ARGUMENT_INT, true,
      "bytes in a second while the machine runs; 0: no limit" },
    { "downtime-limit", ARGUMENT_INT, true, "milliseconds that it may stand at the end" },
    { NULL },
};

static const MonitorCommand set_parameters_command = {
    .name = "migrate-set-parameters",
    .summary = "sets parameters of migration",
    .arguments = set_parameters_arguments,
    .run = set_parameters_run,
};
MONITOR_COMMAND(set_parameters_command);

static json_t *set_parameter_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "parameter");
    g_autofree char *value = g_strdup_printf("%s", monitor_get_string(arguments, "value"));
    json_t *one;
    char *end;
    gint64 number = g_ascii_strtoll(value, &end, 0);

    if (strcmp(name, "max-bandwidth") != 0 && strcmp(name, "downtime-limit") != 0) {
        error_fail(error, KASO_ERROR_INVALID,
                   "there is no parameter '%s'; info migrate_parameters lists them", name);
        return NULL;
    }
    /* A bare number is in MiB, as people write rates. */
    if (!strcmp(name, "max-bandwidth") && number >= 0 && number < (INT64_MAX >> 30)) {
        number = *end == 'G' || *end == 'g'   ? number << 30
                 : *end == 'K' || *end == 'k' ? number << 10
                 : *end == 'B' || *end == 'b' ? number
                                              : number << 20;
        end += *end ? 1 : 0;
    }
    if (end == value || *end) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is no number", value);
        return NULL;
    }
    one = json_pack("{s:I}", name, (json_int_t)number);
    set_parameters_run(monitor, one, error);
    json_decref(one);
    return NULL;
}

static const MonitorArgument set_parameter_arguments[] = {
    { "parameter", ARGUMENT_STRING, .summary = "its name" },
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
