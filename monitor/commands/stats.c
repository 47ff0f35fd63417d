/* SPDX-License-Identifier: MIT */
/* What the accelerator's kernel counts: query-stats, query-stats-schemas, info stats. */
#include <string.h>

#include "machine/accelerator.h"
#include "monitor/command.h"

#define PROVIDER "kvm" /* the only one that other programs know */

static const char *const targets[] = { "vm", "vcpu", "cryptodev", NULL };

/* --- values --- */

typedef struct {
    const char *const *names; /* NULL: all */
    json_t *list;
    bool schemas;
} Gather;

static json_t *value_of(const AcceleratorStatistic *s)
{
    json_t *list;

    if (g_strcmp0(s->unit, "boolean") == 0 && s->count == 1) {
        return json_boolean(s->values[0] != 0);
    }
    if (s->count == 1) {
        return json_integer((json_int_t)s->values[0]);
    }
    list = json_array();
    for (unsigned i = 0; i < s->count; i++) {
        json_array_append_new(list, json_integer((json_int_t)s->values[i]));
    }
    return list;
}

static json_t *schema_of(const AcceleratorStatistic *s)
{
    json_t *schema = json_object();

    monitor_put(schema, "name", monitor_string(s->name));
    monitor_put(schema, "type", json_string(s->type));
    if (s->unit) {
        monitor_put(schema, "unit", json_string(s->unit));
    }
    if (s->exponent) {
        monitor_put(schema, "base", json_integer(s->base));
    }
    monitor_put(schema, "exponent", json_integer(s->exponent));
    if (strcmp(s->type, "linear-histogram") == 0) {
        monitor_put(schema, "bucket-size", json_integer(s->bucket_size));
    }
    return schema;
}

static void gather(void *opaque, const AcceleratorStatistic *s)
{
    Gather *g = opaque;
    json_t *entry;

    if (g->names && !g_strv_contains(g->names, s->name)) {
        return;
    }
    if (g->schemas) {
        json_array_append_new(g->list, schema_of(s));
        return;
    }
    entry = json_object();
    monitor_put(entry, "name", monitor_string(s->name));
    monitor_put(entry, "value", value_of(s));
    json_array_append_new(g->list, entry);
}

/* The list of a machine's (vcpu NULL) or vCPU's; NULL with an error. Without any the list is empty. */
static json_t *statistics(Machine *machine, Vcpu *vcpu, const char *const *names, bool schemas,
                          GError **error)
{
    Gather g = { names, json_array(), schemas };
    const Accelerator *accelerator = machine->accelerator;

    if (accelerator && accelerator->statistics &&
        !accelerator->statistics(machine, vcpu, gather, &g, error)) {
        json_decref(g.list);
        return NULL;
    }
    return g.list;
}

static bool has_any(const Machine *machine)
{
    return machine->accelerator && machine->accelerator->statistics;
}

/* --- QMP --- */

/* Strings of a JSON list; NULL: there is no list. */
static const char **strings_of(json_t *list)
{
    const char **strings;
    size_t count = json_array_size(list);

    if (!json_is_array(list)) {
        return NULL;
    }
    strings = g_new0(const char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        strings[i] = text ? text : "";
    }
    return strings;
}

/* false: others are asked for. names: those that are; NULL: all. */
static bool asks_us(json_t *providers, const char ***names)
{
    size_t i;
    json_t *provider;

    *names = NULL;
    json_array_foreach(providers, i, provider)
    {
        if (g_strcmp0(json_string_value(json_object_get(provider, "provider")), PROVIDER) == 0) {
            *names = strings_of(json_object_get(provider, "names"));
            return true;
        }
    }
    return !providers;
}

static bool add_result(Machine *machine, Vcpu *vcpu, const char *const *names, json_t *results,
                       GError **error)
{
    json_t *stats = statistics(machine, vcpu, names, false, error), *result;

    if (!stats) {
        return false;
    }
    result = json_object();
    monitor_put(result, "provider", json_string(PROVIDER));
    if (vcpu) {
        g_autofree char *path = device_path(&vcpu->device);

        monitor_put(result, "qom-path", monitor_string(path));
    }
    monitor_put(result, "stats", stats);
    json_array_append_new(results, result);
    return true;
}

static bool is_wanted(const Vcpu *vcpu, const char *const *paths)
{
    g_autofree char *path = device_path(&vcpu->device);

    return !paths || g_strv_contains(paths, path);
}

static bool add_results(Machine *machine, const char *target, const char *const *paths,
                        const char *const *names, json_t *results, GError **error)
{
    if (strcmp(target, "vm") == 0) {
        return add_result(machine, NULL, names, results, error);
    }
    for (unsigned i = 0; i < machine->vcpus->len && strcmp(target, "vcpu") == 0; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        if (is_wanted(vcpu, paths) && !add_result(machine, vcpu, names, results, error)) {
            return false;
        }
    }
    return true;
}

static json_t *query(Machine *machine, json_t *arguments, GError **error)
{
    g_autofree const char **paths = strings_of(json_object_get(arguments, "vcpus"));
    g_autofree const char **names = NULL;
    json_t *results = json_array();

    if (has_any(machine) && asks_us(json_object_get(arguments, "providers"), &names) &&
        !add_results(machine, monitor_get_string(arguments, "target"), paths, names, results,
                     error)) {
        json_decref(results);
        return NULL;
    }
    return results;
}

static json_t *stats_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return query(monitor_machine(monitor), arguments, error);
}

static const MonitorCommand stats_command = {
    .name = "query-stats",
    .summary = "tells what the accelerator's kernel counts",
    .arguments =
        (const MonitorArgument[]){
            { "target", ARGUMENT_STRING, .summary = "vm or vcpu", .values = targets },
            { "vcpus", ARGUMENT_ANY, .optional = true, .summary = "paths of CPUs; absent: all" },
            { "providers", ARGUMENT_ANY, .optional = true,
              .summary = "objects with provider and names; absent: all" },
            { 0 } },
    .run = stats_run,
    .returns = "[StatsResult]",
};
MONITOR_COMMAND(stats_command);

static bool add_schema(Machine *machine, Vcpu *vcpu, json_t *results, GError **error)
{
    json_t *stats = statistics(machine, vcpu, NULL, true, error), *result;

    if (!stats) {
        return false;
    }
    result = json_object();
    monitor_put(result, "provider", json_string(PROVIDER));
    monitor_put(result, "target", json_string(vcpu ? "vcpu" : "vm"));
    monitor_put(result, "stats", stats);
    json_array_append_new(results, result);
    return true;
}

static json_t *schemas_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *provider = monitor_get_string(arguments, "provider");
    Vcpu *first = machine->vcpus->len ? machine->vcpus->pdata[0] : NULL;
    json_t *results = json_array();

    if (has_any(machine) && (!provider || strcmp(provider, PROVIDER) == 0) &&
        (!add_schema(machine, NULL, results, error) ||
         (first && !add_schema(machine, first, results, error)))) {
        json_decref(results);
        return NULL;
    }
    return results;
}

static const MonitorCommand schemas_command = {
    .name = "query-stats-schemas",
    .summary = "tells which counters there are, and in which units",
    .arguments = (const MonitorArgument[]){ { "provider", ARGUMENT_STRING, .optional = true,
                                              .summary = "kvm or cryptodev; absent: all" },
                                            { 0 } },
    .run = schemas_run,
    .returns = "[StatsSchema]",
};
MONITOR_COMMAND(schemas_command);

/* --- HMP --- */

static json_t *info_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *target = monitor_get_string(arguments, "target");
    const char *list = monitor_get_string(arguments, "names");
    g_auto(GStrv) names = list && strcmp(list, "*") != 0 ? g_strsplit(list, ",", -1) : NULL;
    json_t *results = json_array();
    Machine *machine = monitor_machine(monitor);
    const Vcpu *vcpu = strcmp(target, "vcpu") == 0 ? monitor_vcpu(monitor, NULL) : NULL;
    g_autofree char *path = vcpu ? device_path(&vcpu->device) : NULL;
    const char *const paths[] = { path, NULL };

    if (has_any(machine) && !add_results(machine, target, path ? paths : NULL,
                                         (const char *const *)names, results, error)) {
        json_decref(results);
        return NULL;
    }
    return results;
}

static void print_value(json_t *value, GString *out)
{
    g_autofree char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    g_string_append(out, text ? text : "");
}

static void info_print(Monitor *monitor, json_t *results, GString *out)
{
    size_t i, n;
    json_t *result, *entry;

    if (json_array_size(results) == 0) {
        g_string_append(out, "The accelerator counts nothing of its own.\n");
    }
    json_array_foreach(results, i, result)
    {
        g_string_append(out, "provider: " PROVIDER "\n");
        json_array_foreach(json_object_get(result, "stats"), n, entry)
        {
            g_string_append_printf(out, "    %s: ", monitor_get_string(entry, "name"));
            print_value(json_object_get(entry, "value"), out);
            g_string_append_c(out, '\n');
        }
    }
}

static const MonitorCommand info_command = {
    .hmp = "info stats",
    .summary = "shows what the accelerator's kernel counts, of the machine or of the current CPU",
    .arguments =
        (const MonitorArgument[]){
            { "target", ARGUMENT_STRING, .summary = "vm or vcpu", .values = targets },
            { "names", ARGUMENT_STRING, .optional = true, .summary = "by commas; * for all" },
            { 0 } },
    .run = info_run,
    .print = info_print,
};
MONITOR_COMMAND(info_command);
