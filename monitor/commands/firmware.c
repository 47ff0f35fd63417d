/* SPDX-License-Identifier: MIT */
/* info uefi: what UEFI firmware tells of itself in memory. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "debug/firmware/uefi.h"
#include "monitor/command.h"

static json_t *uefi_json(const UefiInfo *info)
{
    json_t *result = json_object(), *tables = json_array(), *images = json_array();

    for (guint i = 0; i < info->tables->len; i++) {
        const UefiTable *table = &g_array_index(info->tables, UefiTable, i);
        json_t *object = json_object();

        monitor_put(object, "guid", json_string(table->guid));
        if (table->name) {
            monitor_put(object, "name", json_string(table->name));
        }
        monitor_put(object, "address", json_integer(table->address));
        json_array_append_new(tables, object);
    }
    for (guint i = 0; i < info->images->len; i++) {
        const UefiImage *image = &g_array_index(info->images, UefiImage, i);
        json_t *object = json_object();

        monitor_put(object, "base", json_integer(image->base));
        monitor_put(object, "size", json_integer(image->size));
        monitor_put(object, "name", monitor_string(image->name));
        monitor_put(object, "pdb", monitor_string(image->pdb));
        json_array_append_new(images, object);
    }
    monitor_put(result, "address", json_integer(info->address));
    monitor_put(result, "vendor", monitor_string(info->vendor));
    monitor_put(result, "revision", json_integer(info->revision));
    monitor_put(result, "firmware-revision", json_integer(info->firmware_revision));
    monitor_put(result, "tables", tables);
    monitor_put(result, "images", images);
    return result;
}

static json_t *memory_json(Machine *machine)
{
    g_autoptr(GArray) map = uefi_memory_map(machine);
    json_t *list = json_array();

    for (guint i = 0; i < map->len; i++) {
        const UefiMemory *memory = &g_array_index(map, UefiMemory, i);
        const char *type = uefi_memory_type(memory->type);
        json_t *object = json_object();

        monitor_put(object, "type", type ? json_string(type) : json_sprintf("%#x", memory->type));
        monitor_put(object, "start", json_integer(memory->start));
        monitor_put(object, "end", json_integer(memory->end));
        monitor_put(object, "attributes", json_integer(memory->attributes));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *variables_json(Machine *machine)
{
    g_autoptr(GArray) variables = uefi_variables(machine);
    json_t *list = json_array();

    for (guint i = 0; i < variables->len; i++) {
        const UefiVariable *variable = &g_array_index(variables, UefiVariable, i);
        g_autofree char *description = uefi_boot_description(variable);
        json_t *object = json_object();
        GString *hex = g_string_new(NULL);
        gsize size;
        const uint8_t *data = g_bytes_get_data(variable->data, &size);

        for (gsize k = 0; k < size; k++) {
            g_string_append_printf(hex, "%02x", data[k]);
        }
        monitor_put(object, "name", monitor_string(variable->name));
        monitor_put(object, "guid", json_string(variable->guid));
        monitor_put(object, "attributes", json_integer(variable->attributes));
        monitor_put(object, "size", json_integer(variable->size));
        monitor_put(object, "data", json_string(hex->str));
        if (description) {
            monitor_put(object, "description", monitor_string(description));
        }
        g_string_free(hex, TRUE);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *uefi_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *result = NULL;
    UefiInfo *info;

    machine_exclusive_begin(machine);
    info = uefi_info_find(machine);
    if (info) {
        result = uefi_json(info);
        monitor_put(result, "memory", memory_json(machine));
        monitor_put(result, "variables", variables_json(machine));
        uefi_info_free(info);
    }
    machine_exclusive_end(machine);
    if (!result) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no EFI system table in the guest's memory: no UEFI firmware runs, or "
                   "it has not come so far");
    }
    return result;
}

static void print_memory(json_t *map, GString *out)
{
    json_t *one;
    size_t i;

    g_string_append(out, json_array_size(map) ? "Memory:\n" : "");
    json_array_foreach(map, i, one)
    {
        g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 " %s%s\n",
                               (uint64_t)monitor_get_int(one, "start", 0),
                               (uint64_t)monitor_get_int(one, "end", 0),
                               monitor_get_string(one, "type"),
                               monitor_get_int(one, "attributes", 0) < 0 ? ", run time" : "");
    }
}

static void print_variables(json_t *variables, GString *out)
{
    enum { HEX_SHOWN = 32 };
    json_t *one;
    size_t i;

    g_string_append(out, json_array_size(variables) ? "Variables:\n" : "");
    json_array_foreach(variables, i, one)
    {
        const char *data = monitor_get_string(one, "data");
        int attributes = monitor_get_int(one, "attributes", 0);

        g_string_append_printf(out, "  %s%s %5d  %-20s ", attributes & 1 ? "NV" : "  ",
                               attributes & 4 ? " RT" : "   ", (int)monitor_get_int(one, "size", 0),
                               monitor_get_string(one, "name"));
        if (monitor_has(one, "description")) {
            g_string_append_printf(out, "\"%s\"\n", monitor_get_string(one, "description"));
        } else {
            g_string_append_printf(out, "%.*s%s\n", HEX_SHOWN, data,
                                   strlen(data) > HEX_SHOWN ? "…" : "");
        }
    }
}

static void uefi_print(Monitor *monitor, json_t *result, GString *out)
{
    unsigned revision = monitor_get_int(result, "revision", 0);
    json_t *one;
    size_t i;

    g_string_append_printf(out, "UEFI %u.%u by %s, system table at %#" PRIx64 "\nTables:\n",
                           revision >> 16, (revision & 0xffff) / 10,
                           monitor_get_string(result, "vendor"),
                           (uint64_t)monitor_get_int(result, "address", 0));
    json_array_foreach(json_object_get(result, "tables"), i, one)
    {
        const char *name = monitor_get_string(one, "name");

        g_string_append_printf(out, "  %s %#" PRIx64 " %s\n", monitor_get_string(one, "guid"),
                               (uint64_t)monitor_get_int(one, "address", 0), name ? name : "");
    }
    g_string_append(out, "Images:\n");
    json_array_foreach(json_object_get(result, "images"), i, one)
    {
        g_string_append_printf(
            out, "  %016" PRIx64 " %8" PRIx64 " %s\n", (uint64_t)monitor_get_int(one, "base", 0),
            (uint64_t)monitor_get_int(one, "size", 0), monitor_get_string(one, "name"));
    }
    print_memory(json_object_get(result, "memory"), out);
    print_variables(json_object_get(result, "variables"), out);
}

static const MonitorCommand uefi_command = {
    .name = "x-query-uefi",
    .hmp = "info uefi",
    .summary = "shows UEFI firmware's system table, the tables that it names, the images that "
               "it has loaded, its map of memory and its variables",
    .run = uefi_run,
    .print = uefi_print,
    .returns = "UefiInfo",
};
MONITOR_COMMAND(uefi_command);
