/* SPDX-License-Identifier: MIT */
/* Commands about boards, CPU models and accelerators: what there is, and what this machine has of it. */
#include <string.h>

#include "base/bits.h"
#include "machine/accelerator.h"
#include "machine/board.h"
#include "machine/device-tree.h"
#include "machine/object.h"
#include "monitor/command.h"

static bool has_property(const Board *board, const char *name)
{
    for (const Property *p = board->properties; p && p->name; p++) {
        if (!strcmp(p->name, name)) {
            return p->kind != PROPERTY_NOT_YET;
        }
    }
    return false;
}

static json_t *describe_machine(const Board *board, const Target *target)
{
    const char *cpu = board->default_cpu ? board->default_cpu : target ? target->default_cpu : NULL;
    const char *alias = board->aliases ? board->aliases[0] : NULL;
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(board->name));
    monitor_put(entry, "cpu-max", json_integer(board->max_vcpus));
    monitor_put(entry, "hotpluggable-cpus", json_false());
    monitor_put(entry, "numa-mem-supported", json_boolean(board->numa));
    monitor_put(entry, "deprecated", json_false());
    monitor_put(entry, "acpi", json_boolean(has_property(board, "acpi")));
    if (cpu && target) {
        g_autofree char *type = g_strdup_printf("%s-%s-cpu", cpu, target->name);

        monitor_put(entry, "default-cpu-type", monitor_string(type));
    }
    if (board->ram_name) {
        monitor_put(entry, "default-ram-id", json_string(board->ram_name));
    }
    if (alias) {
        monitor_put(entry, "alias", json_string(alias));
    }
    if (target && target->default_machine &&
        (!strcmp(board->name, target->default_machine) ||
         !g_strcmp0(alias, target->default_machine))) {
        monitor_put(entry, "is-default", json_true());
    }
    return entry;
}

static json_t *machines_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const Target *target = monitor_machine(monitor)->config.target;
    const Board *const *it;
    json_t *list = json_array();

    REGISTRY_FOREACH(boards, it) {
        if (!target || board_runs(*it, target)) {
            json_array_append_new(list, describe_machine(*it, target));
        }
    }
    return list;
}

static const MonitorCommand machines_command = {
    .name = "query-machines",
    .summary = "lists the boards",
    .run = machines_run,
    .returns = "[MachineInfo]",
};
MONITOR_COMMAND(machines_command);

/* What the machine's accelerator cannot give it. */
static json_t *lacking_features(Machine *machine, const CpuModel *model)
{
    json_t *list = json_array();
    char **names;
    Vcpu *sample = cpu_model_sample(model, machine, &names);

    for (unsigned i = 0; names[i]; i++) {
        json_array_append_new(list, monitor_string(names[i]));
    }
    g_strfreev(names);
    cpu_model_sample_free(sample);
    return list;
}

static json_t *describe_model(Machine *machine, const CpuModel *model)
{
    /* Not the same everywhere. */
    static const char *const all_there_is[] = { "host", "max", NULL };
    g_autofree char *type = g_strdup_printf("%s-%s-cpu", model->name, model->target->name);
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(model->name));
    monitor_put(entry, "typename", monitor_string(type));
    monitor_put(entry, "unavailable-features", lacking_features(machine, model));
    monitor_put(entry, "migration-safe", json_boolean(!g_strv_contains(all_there_is, model->name)));
    monitor_put(entry, "static", json_false());
    monitor_put(entry, "deprecated", json_false());
    return entry;
}

static json_t *cpu_definitions_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const Target *target = machine->config.target;
    const CpuModel *const *it;
    json_t *list = json_array();

    REGISTRY_FOREACH(cpu_models, it) {
        if (!target || (*it)->target == target) {
            json_array_append_new(list, describe_model(machine, *it));
        }
    }
    return list;
}

static const MonitorCommand cpu_definitions_command = {
    .name = "query-cpu-definitions",
    .summary = "lists the CPU models",
    .run = cpu_definitions_run,
    .returns = "[CpuDefinitionInfo]",
};
MONITOR_COMMAND(cpu_definitions_command);

/* NULL: nothing that could be told. */
static json_t *property_value(const Property *property, const void *instance)
{
    g_autofree char *text = NULL;
    guint64 number;

    if (property->kind == PROPERTY_NOT_YET) {
        return NULL;
    }
    text = property_get(property, instance);
    if (!strcmp(text, "on") || !strcmp(text, "off")) {
        return json_boolean(!strcmp(text, "on"));
    }
    if (g_ascii_string_to_unsigned(text, 10, 0, INT64_MAX, &number, NULL)) {
        return json_integer((json_int_t)number);
    }
    return *text ? monitor_string(text) : NULL;
}

static json_t *model_properties(Machine *machine, const CpuModel *model)
{
    Vcpu *sample = cpu_model_sample(model, machine, NULL);
    json_t *props = json_object(), *value;

    for (const Property *p = model->target->properties; p && p->name; p++) {
        value = property_value(p, sample);
        if (value) {
            monitor_put(props, p->name, value);
        }
    }
    cpu_model_sample_free(sample);
    return props;
}

static bool is_property(const Target *target, const char *name)
{
    const Property *p = target->properties;

    while (p && p->name && strcmp(p->name, name)) {
        p++;
    }
    return p && p->name;
}

static json_t *expansion_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const Target *target = monitor_machine(monitor)->config.target;
    json_t *asked = json_object_get(arguments, "model"), *props, *result, *value;
    const char *name = json_string_value(json_object_get(asked, "name")), *key;
    json_t *given = json_object_get(asked, "props");
    const CpuModel *model;

    if (!target) {
        error_fail(error, KASO_ERROR_INVALID, "the machine has no target, so no CPU models");
        return NULL;
    }
    if (!name || (given && !json_is_object(given))) {
        error_fail(error, KASO_ERROR_INVALID,
                   "'model' has a string 'name' and, if need be, an object 'props'");
        return NULL;
    }
    model = cpu_model_get(target, name, error);
    if (!model) {
        return NULL;
    }
    props = model_properties(monitor_machine(monitor), model);
    json_object_foreach(given, key, value)
    {
        if (!is_property(target, key)) {
            json_decref(props);
            error_fail(error, KASO_ERROR_INVALID, "'props': CPUs of %s have no property '%s'",
                       target->name, key);
            return NULL;
        }
        json_object_set(props, key, value);
    }
    result = json_object();
    value = json_object();
    /* No model is static: a name and all that it means. */
    monitor_put(value, "name", monitor_string(name));
    monitor_put(value, "props", props);
    monitor_put(result, "model", value);
    return result;
}

static const char *const expansion_types[] = { "static", "full", NULL };

static const MonitorArgument expansion_arguments[] = {
    { "type", ARGUMENT_STRING, .summary = "how much is told", .values = expansion_types },
    { "model", ARGUMENT_OBJECT, .summary = "its name, and properties to be changed" },
    { NULL },
};

static const MonitorCommand expansion_command = {
    .name = "query-cpu-model-expansion",
    .summary = "tells what a CPU model has",
    .arguments = expansion_arguments,
    .run = expansion_run,
    .returns = "CpuModelExpansionInfo",
};
MONITOR_COMMAND(expansion_command);

static json_t *current_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const Board *board = monitor_machine(monitor)->board;
    json_t *result = json_object();

    monitor_put(result, "wakeup-suspend-support", json_boolean(board && board->sleeps));
    return result;
}

static const MonitorCommand current_command = {
    .name = "query-current-machine",
    .summary = "tells what this machine can do",
    .run = current_run,
    .returns = "CurrentMachineParams",
};
MONITOR_COMMAND(current_command);

static json_t *accelerators_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const Accelerator *mine = monitor_machine(monitor)->accelerator;
    const Target *target = monitor_machine(monitor)->config.target;
    json_t *result = json_object(), *present = json_array();
    const Accelerator *const *it;

    REGISTRY_FOREACH(accelerators, it) {
        if ((*it)->runs && target && !(*it)->runs(target)) {
            continue;
        }
        json_array_append_new(present, json_string((*it)->name));
    }
    if (mine) {
        monitor_put(result, "enabled", json_string(mine->name));
    }
    monitor_put(result, "present", present);
    return result;
}

static void accelerators_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *name;

    json_array_foreach(json_object_get(result, "present"), i, name)
    {
        bool enabled = !g_strcmp0(json_string_value(name), monitor_get_string(result, "enabled"));

        g_string_append_printf(out, "%c %s\n", enabled ? '*' : ' ', json_string_value(name));
    }
}

static const MonitorCommand accelerators_command = {
    .name = "query-accelerators",
    .hmp = "info accelerators",
    .summary = "lists the accelerators; * is this machine's",
    .run = accelerators_run,
    .print = accelerators_print,
    .returns = "AcceleratorInfo",
};
MONITOR_COMMAND(accelerators_command);

static bool has_gic(const Target *target)
{
    const Board *const *it;

    REGISTRY_FOREACH(boards, it) {
        if (board_runs(*it, target) && has_property(*it, "gic-version")) {
            return true;
        }
    }
    return false;
}

static json_t *gic_run(Monitor *monitor, json_t *arguments, GError **error)
{
    bool any = has_gic(monitor_machine(monitor)->config.target);
    json_t *list = json_array();

    for (int version = 2; any && version <= 3; version++) {
        json_t *entry = json_object();

        monitor_put(entry, "version", json_integer(version));
        monitor_put(entry, "emulated", json_true());
        monitor_put(entry, "kernel", json_false());
        json_array_append_new(list, entry);
    }
    return list;
}

static const MonitorCommand gic_command = {
    .name = "query-gic-capabilities",
    .summary = "lists the versions of Arm's interrupt controller that a machine may have",
    .run = gic_run,
    .returns = "[GICCapability]",
};
MONITOR_COMMAND(gic_command);

static json_t *dumpdtb_run(Monitor *monitor, json_t *arguments, GError **error)
{
    enum { TOTAL_SIZE = 4 }; /* Devicetree specification, 5.2 */
    const char *path = monitor_get_string(arguments, "filename");
    const char *tree = machine_attached(monitor_machine(monitor), MACHINE_DEVICE_TREE);
    g_autoptr(GError) problem = NULL;

    if (!tree) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "This machine doesn't have an FDT");
    } else if (!g_file_set_contents(path, tree, load_be32(tree + TOTAL_SIZE), &problem)) {
        error_fail(error, KASO_ERROR_IO, "cannot write the device tree to '%s': %s", path,
                   problem->message);
    }
    return NULL;
}

static const MonitorArgument dumpdtb_arguments[] = {
    { "filename", ARGUMENT_STRING, .summary = "file that is written" },
    { NULL },
};

static const MonitorCommand dumpdtb_command = {
    .name = "dumpdtb",
    .hmp = "dumpdtb",
    .summary = "writes the device tree that the guest is given to a file",
    .arguments = dumpdtb_arguments,
    .run = dumpdtb_run,
};
MONITOR_COMMAND(dumpdtb_command);
