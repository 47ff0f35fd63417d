/* SPDX-License-Identifier: MIT */
/* info acpi, info smbios, info fdt: what firmware tells the operating system of the machine, as it is in the guest's memory. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "debug/firmware/acpi.h"
#include "debug/firmware/device-tree.h"
#include "debug/firmware/smbios.h"
#include "machine/accelerator.h"
#include "monitor/command.h"

static json_t *lines_json(const GPtrArray *lines)
{
    json_t *list = json_array();

    for (guint i = 0; i < lines->len; i++) {
        json_array_append_new(list, monitor_string(lines->pdata[i]));
    }
    return list;
}

static void print_lines(json_t *lines, GString *out)
{
    json_t *line;
    size_t i;

    json_array_foreach(lines, i, line)
    {
        g_string_append_printf(out, "    %s\n", json_string_value(line));
    }
}

static const char *verdict(json_t *object)
{
    return monitor_get_bool(object, "checksum-good") ? "checksum good" : "CHECKSUM WRONG";
}

static json_t *acpi_json(const AcpiInfo *info)
{
    json_t *result = json_object(), *tables = json_array();

    for (guint i = 0; i < info->tables->len; i++) {
        const AcpiTable *table = &g_array_index(info->tables, AcpiTable, i);
        json_t *object = json_object();

        monitor_put(object, "signature", monitor_string(table->signature));
        monitor_put(object, "address", json_integer(table->address));
        monitor_put(object, "length", json_integer(table->length));
        monitor_put(object, "revision", json_integer(table->revision));
        monitor_put(object, "checksum-good", json_boolean(table->checksum_good));
        monitor_put(object, "oem", monitor_string(table->oem));
        monitor_put(object, "oem-table", monitor_string(table->oem_table));
        monitor_put(object, "lines", lines_json(table->lines));
        json_array_append_new(tables, object);
    }
    monitor_put(result, "address", json_integer(info->address));
    monitor_put(result, "revision", json_integer(info->revision));
    monitor_put(result, "checksum-good", json_boolean(info->checksum_good));
    monitor_put(result, "oem", monitor_string(info->oem));
    monitor_put(result, "tables", tables);
    return result;
}

static json_t *acpi_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *result = NULL;
    AcpiInfo *info;

    machine_exclusive_begin(machine);
    info = acpi_info_find(machine);
    if (info) {
        result = acpi_json(info);
        acpi_info_free(info);
    }
    machine_exclusive_end(machine);
    if (!result) {
        error_fail(
            error, KASO_ERROR_NOT_FOUND,
            "there are no ACPI tables in the guest's memory: no firmware made them, or it has "
            "not come so far");
    }
    return result;
}

static void acpi_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *table;
    size_t i;

    g_string_append_printf(out, "root pointer at %#" PRIx64 ", revision %d, by \"%s\", %s\n",
                           (uint64_t)monitor_get_int(result, "address", 0),
                           (int)monitor_get_int(result, "revision", 0),
                           monitor_get_string(result, "oem"), verdict(result));
    json_array_foreach(json_object_get(result, "tables"), i, table)
    {
        g_string_append_printf(
            out, "  %-4s at %#10" PRIx64 ", %6d bytes, revision %d, \"%s\" \"%s\", %s\n",
            monitor_get_string(table, "signature"), (uint64_t)monitor_get_int(table, "address", 0),
            (int)monitor_get_int(table, "length", 0), (int)monitor_get_int(table, "revision", 0),
            monitor_get_string(table, "oem"), monitor_get_string(table, "oem-table"),
            verdict(table));
        print_lines(json_object_get(table, "lines"), out);
    }
}

static const MonitorCommand acpi_command = {
    .name = "x-query-acpi",
    .hmp = "info acpi",
    .summary = "shows the ACPI tables in the guest's memory: headers, whether their checksums are "
               "good, and what FADT, MADT, MCFG, SPCR, HPET and GTDT say",
    .run = acpi_run,
    .print = acpi_print,
    .returns = "AcpiInfo",
};
MONITOR_COMMAND(acpi_command);

static json_t *smbios_json(const SmbiosInfo *info)
{
    json_t *result = json_object(), *structures = json_array();

    for (guint i = 0; i < info->structures->len; i++) {
        const SmbiosStructure *one = &g_array_index(info->structures, SmbiosStructure, i);
        json_t *object = json_object();

        monitor_put(object, "type", json_integer(one->type));
        monitor_put(object, "handle", json_integer(one->handle));
        if (one->name) {
            monitor_put(object, "name", json_string(one->name));
        }
        monitor_put(object, "lines", lines_json(one->lines));
        json_array_append_new(structures, object);
    }
    monitor_put(result, "address", json_integer(info->address));
    monitor_put(result, "table", json_integer(info->table));
    monitor_put(result, "bytes", json_integer(info->bytes));
    monitor_put(result, "major", json_integer(info->major));
    monitor_put(result, "minor", json_integer(info->minor));
    monitor_put(result, "checksum-good", json_boolean(info->checksum_good));
    monitor_put(result, "structures", structures);
    return result;
}

static json_t *smbios_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *result = NULL;
    SmbiosInfo *info;

    machine_exclusive_begin(machine);
    info = smbios_info_find(machine);
    if (info) {
        result = smbios_json(info);
        smbios_info_free(info);
    }
    machine_exclusive_end(machine);
    if (!result) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no SMBIOS entry point in the guest's memory: no firmware made one, or "
                   "it has not come so far");
    }
    return result;
}

static void smbios_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *one;
    size_t i;

    g_string_append_printf(
        out, "SMBIOS %d.%d, entry point at %#" PRIx64 ", structures at %#" PRIx64 ", %s\n",
        (int)monitor_get_int(result, "major", 0), (int)monitor_get_int(result, "minor", 0),
        (uint64_t)monitor_get_int(result, "address", 0),
        (uint64_t)monitor_get_int(result, "table", 0), verdict(result));
    json_array_foreach(json_object_get(result, "structures"), i, one)
    {
        const char *name = monitor_get_string(one, "name");

        g_string_append_printf(
            out, "  %04x type %d%s%s\n", (unsigned)monitor_get_int(one, "handle", 0),
            (int)monitor_get_int(one, "type", 0), name ? ": " : "", name ? name : "");
        print_lines(json_object_get(one, "lines"), out);
    }
}

static const MonitorCommand smbios_command = {
    .name = "x-query-smbios",
    .hmp = "info smbios",
    .summary = "shows the SMBIOS structures in the guest's memory",
    .run = smbios_run,
    .print = smbios_print,
    .returns = "SmbiosInfo",
};
MONITOR_COMMAND(smbios_command);

static void take_node(void *opaque, unsigned depth, const char *path)
{
    json_t *node = json_object();

    monitor_put(node, "path", monitor_string(path));
    monitor_put(node, "depth", json_integer(depth));
    monitor_put(node, "properties", json_array());
    json_array_append_new(opaque, node);
}

static void take_property(void *opaque, unsigned depth, const char *name, const char *value)
{
    json_t *nodes = opaque, *node = json_array_get(nodes, json_array_size(nodes) - 1);
    json_t *property = json_object();

    monitor_put(property, "name", monitor_string(name));
    monitor_put(property, "value", monitor_string(value));
    json_array_append_new(json_object_get(node, "properties"), property);
}

/* The tree that has a node: the first of those in memory. */
static json_t *fdt_json(const GArray *trees, const char *path, GError **error)
{
    json_t *result, *others = json_array(), *nodes = json_array();
    const DeviceTreeVisitor visitor = { take_node, take_property, nodes };
    const DeviceTree *shown = NULL;

    for (guint i = 0; i < trees->len; i++) {
        const DeviceTree *tree = &g_array_index(trees, DeviceTree, i);

        if (!shown && device_tree_visit(tree, path, &visitor)) {
            shown = tree;
        } else {
            json_array_append_new(others, json_integer(tree->address));
        }
    }
    if (!shown) {
        json_decref(others);
        json_decref(nodes);
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   trees->len ? "the device tree has no node '%s'; 'info fdt' shows all"
                              : "there is no device tree in the guest's memory: the board gives "
                                "none, or it was overwritten%.0s",
                   path);
        return NULL;
    }
    result = json_object();
    monitor_put(result, "address", json_integer(shown->address));
    monitor_put(result, "size", json_integer(shown->size));
    monitor_put(result, "others", others);
    monitor_put(result, "nodes", nodes);
    return result;
}

static json_t *fdt_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *path = monitor_get_string(arguments, "node");
    g_autoptr(GArray) trees = NULL;

    machine_exclusive_begin(machine);
    trees = device_trees_find(machine);
    machine_exclusive_end(machine);
    return fdt_json(trees, path ? path : "/", error);
}

static void fdt_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *node, *property;
    size_t i, j;

    g_string_append_printf(out, "device tree at %#" PRIx64 ", %d bytes",
                           (uint64_t)monitor_get_int(result, "address", 0),
                           (int)monitor_get_int(result, "size", 0));
    json_array_foreach(json_object_get(result, "others"), i, node)
    {
        g_string_append_printf(out, "%s%#" PRIx64, i ? ", " : "; others at ",
                               (uint64_t)json_integer_value(node));
    }
    g_string_append_c(out, '\n');
    json_array_foreach(json_object_get(result, "nodes"), i, node)
    {
        g_string_append_printf(out, "%s\n", monitor_get_string(node, "path"));
        json_array_foreach(json_object_get(node, "properties"), j, property)
        {
            const char *value = monitor_get_string(property, "value");

            g_string_append_printf(out, "    %s%s%s\n", monitor_get_string(property, "name"),
                                   *value ? " = " : "", value);
        }
    }
}

static const MonitorArgument fdt_arguments[] = {
    { "node", ARGUMENT_STRING, true, "path of a node, or an alias: it and what is below it" },
    { NULL },
};

static const MonitorCommand fdt_command = {
    .name = "x-query-fdt",
    .hmp = "info fdt",
    .summary = "shows the device tree that the guest was given, as it is in its memory",
    .arguments = fdt_arguments,
    .run = fdt_run,
    .print = fdt_print,
    .returns = "FdtInfo",
};
MONITOR_COMMAND(fdt_command);
