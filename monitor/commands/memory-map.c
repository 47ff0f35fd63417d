/* SPDX-License-Identifier: MIT */
/* Commands about the memory map: info mtree, info roms, query-memory-size-summary. */
#include <inttypes.h>
#include <stdatomic.h>

#include "machine/board.h"
#include "machine/object.h"
#include "monitor/command.h"

static json_t *mtree_run(Monitor *monitor, json_t *arguments, GError **error)
{
    char *text = memory_describe(monitor_machine(monitor), monitor_get_bool(arguments, "flat"));
    GString *string = g_string_new(text);

    g_free(text);
    return monitor_text(string);
}

static const MonitorArgument mtree_arguments[] = {
    { "flat", ARGUMENT_FLAG, true, "the flat views instead of the tree", .letter = 'f' },
    { "dispatch", ARGUMENT_FLAG, true, "accepted; the flat view is the dispatch", .letter = 'd' },
    { "owner", ARGUMENT_FLAG, true, "accepted; owners are not shown", .letter = 'o' },
    { "disabled", ARGUMENT_FLAG, true, "accepted; disabled regions are always shown",
      .letter = 'D' },
    { NULL },
};

static const MonitorCommand mtree_command = {
    .name = "x-query-memory-map",
    .hmp = "info mtree",
    .summary = "shows the memory map",
    .arguments = mtree_arguments,
    .run = mtree_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(mtree_command);

static json_t *roms_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const FlatView *view = atomic_load(&machine->memory_space.view);
    json_t *list = json_array();

    for (size_t i = 0; view && i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];
        json_t *rom;

        if (range->region->kind != MEMORY_ROM) {
            continue;
        }
        rom = json_object();
        monitor_put(rom, "address", json_integer(range->start));
        monitor_put(rom, "size", json_integer(range->size));
        monitor_put(rom, "name", monitor_string(range->region->name));
        json_array_append_new(list, rom);
    }
    return list;
}

static void roms_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *rom;

    json_array_foreach(result, i, rom)
    {
        g_string_append_printf(out,
                               "addr=%016" PRIx64 " size=0x%06" PRIx64 " mem=rom name=\"%s\"\n",
                               monitor_get_int(rom, "address", 0), monitor_get_int(rom, "size", 0),
                               monitor_get_string(rom, "name"));
    }
}

static const MonitorCommand roms_command = {
    .name = "x-query-roms",
    .hmp = "info roms",
    .summary = "lists the read-only memory of the machine",
    .run = roms_run,
    .print = roms_print,
    .returns = "[any]",
};
MONITOR_COMMAND(roms_command);

static json_t *memory_size_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *summary = json_object();

    monitor_put(summary, "base-memory", json_integer(monitor_machine(monitor)->config.ram_bytes));
    monitor_put(summary, "plugged-memory", json_integer(0));
    return summary;
}

static void memory_size_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "base memory: %" PRId64 "\nplugged memory: %" PRId64 "\n",
                           monitor_get_int(result, "base-memory", 0),
                           monitor_get_int(result, "plugged-memory", 0));
}

static const MonitorCommand memory_size_command = {
    .name = "query-memory-size-summary",
    .hmp = "info memory_size_summary",
    .summary = "shows how much RAM the machine has",
    .run = memory_size_run,
    .print = memory_size_print,
    .returns = "MemoryInfo",
};
MONITOR_COMMAND(memory_size_command);

/* A property of a back end for memory; one that it has not is off. */
static bool is_on(const Object *object, const char *name)
{
    const Property *property = property_find(object->type->properties, name);

    return property && property->kind == PROPERTY_BOOL &&
           *(const bool *)((const char *)object + property->offset);
}

static json_t *describe_memory(const char *id, uint64_t size, bool share, bool prealloc)
{
    json_t *entry = json_object();

    monitor_put(entry, "id", monitor_string(id));
    monitor_put(entry, "size", json_integer(size));
    monitor_put(entry, "merge", json_true());
    monitor_put(entry, "dump", json_true());
    monitor_put(entry, "prealloc", json_boolean(prealloc));
    monitor_put(entry, "share", json_boolean(share));
    monitor_put(entry, "reserve", json_true());
    monitor_put(entry, "host-nodes", json_array());
    monitor_put(entry, "policy", json_string("default"));
    return entry;
}

static json_t *memdev_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    GPtrArray *objects = machine_objects(machine);
    const char *ram = machine->board && machine->board->ram_name ? machine->board->ram_name : "ram";
    json_t *list = json_array();

    for (unsigned i = 0; i < objects->len; i++) {
        Object *object = objects->pdata[i];
        uint64_t size = 0;
        bool populate = false;

        if (object->type->memory) {
            object->type->memory(object, &size, &populate);
            json_array_append_new(list, describe_memory(object->id, size, is_on(object, "share"),
                                                        is_on(object, "prealloc")));
        }
    }
    if (!machine->config.memory_backend && machine->config.ram_bytes) {
        json_array_append_new(list, describe_memory(ram, machine->config.ram_bytes, false, false));
    }
    return list;
}

static void memdev_print(Monitor *monitor, json_t *result, GString *out)
{
    static const char *const flags[] = { "merge", "dump", "prealloc", "share", "reserve" };
    json_t *entry;
    size_t i;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "memory backend: %s\n  size:  %" PRId64 "\n",
                               monitor_get_string(entry, "id"), monitor_get_int(entry, "size", 0));
        for (size_t n = 0; n < G_N_ELEMENTS(flags); n++) {
            g_string_append_printf(out, "  %s: %s\n", flags[n],
                                   monitor_get_bool(entry, flags[n]) ? "true" : "false");
        }
        g_string_append_printf(out, "  policy: %s\n  host nodes: \n",
                               monitor_get_string(entry, "policy"));
    }
}

static const MonitorCommand memdev_command = {
    .name = "query-memdev",
    .hmp = "info memdev",
    .summary = "lists what guest memory is made of",
    .run = memdev_run,
    .print = memdev_print,
    .returns = "[Memdev]",
};
MONITOR_COMMAND(memdev_command);

static json_t *numa_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return monitor_text(g_string_new("0 nodes\n"));
}

static const MonitorCommand numa_command = {
    .name = "x-query-numa",
    .hmp = "info numa",
    .summary = "shows the nodes of memory and CPUs (none yet)",
    .run = numa_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(numa_command);
