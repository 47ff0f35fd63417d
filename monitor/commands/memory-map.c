/* SPDX-License-Identifier: MIT */
/* Commands about the memory map: info mtree, info roms, query-memory-size-summary. */
#include <inttypes.h>
#include <stdatomic.h>

#include "machine/board.h"
#include "machine/numa.h"
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

static json_t *describe_memory(const char *id, const ObjectMemory *memory)
{
    json_t *entry = json_object(), *nodes = json_array();
    enum { LONG_BITS = 8 * sizeof(long) };

    monitor_put(entry, "id", monitor_string(id));
    monitor_put(entry, "size", json_integer((json_int_t)memory->size));
    monitor_put(entry, "merge", json_boolean(!memory->no_merge));
    monitor_put(entry, "dump", json_boolean(!memory->no_dump));
    monitor_put(entry, "prealloc", json_boolean(memory->populate));
    monitor_put(entry, "share", json_boolean(memory->fd >= 0 && !memory->private_copy));
    monitor_put(entry, "reserve", json_true());
    for (unsigned i = 0; memory->host_nodes && i < HOST_NODES_MOST; i++) {
        if (memory->host_nodes[i / LONG_BITS] >> i % LONG_BITS & 1) {
            json_array_append_new(nodes, json_integer(i));
        }
    }
    monitor_put(entry, "host-nodes", nodes);
    monitor_put(entry, "policy", json_string(memory_policies[memory->policy]));
    return entry;
}

static bool has_memdevs(const Machine *machine)
{
    return machine->numa && machine->numa->nodes[0].memdev;
}

static json_t *memdev_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    GPtrArray *objects = machine_objects(machine);
    const char *ram = machine->board && machine->board->ram_name ? machine->board->ram_name : "ram";
    json_t *list = json_array();

    for (unsigned i = 0; i < objects->len; i++) {
        Object *object = objects->pdata[i];
        ObjectMemory memory;

        if (object->type->memory) {
            object->type->memory(object, &memory);
            json_array_append_new(list, describe_memory(object->id, &memory));
        }
    }
    if (!machine->config.memory_backend && !has_memdevs(machine) && machine->config.ram_bytes) {
        const ObjectMemory own = { .size = machine->config.ram_bytes, .fd = -1 };

        json_array_append_new(list, describe_memory(ram, &own));
    }
    return list;
}

static void memdev_print(Monitor *monitor, json_t *result, GString *out)
{
    static const char *const flags[] = { "merge", "dump", "prealloc", "share", "reserve" };
    json_t *entry, *node;
    size_t i, n;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "memory backend: %s\n  size:  %" PRId64 "\n",
                               monitor_get_string(entry, "id"), monitor_get_int(entry, "size", 0));
        for (n = 0; n < G_N_ELEMENTS(flags); n++) {
            g_string_append_printf(out, "  %s: %s\n", flags[n],
                                   monitor_get_bool(entry, flags[n]) ? "true" : "false");
        }
        g_string_append_printf(out,
                               "  policy: %s\n  host nodes: ", monitor_get_string(entry, "policy"));
        json_array_foreach(json_object_get(entry, "host-nodes"), n, node)
        {
            g_string_append_printf(out, "%s%d", n ? ", " : "", (int)json_integer_value(node));
        }
        g_string_append(out, "\n\n");
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
    const Machine *machine = monitor_machine(monitor);
    const Numa *numa = machine->numa;
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%u nodes\n", numa ? numa->count : 0);
    for (unsigned node = 0; numa && node < numa->count; node++) {
        g_string_append_printf(text, "node %u cpus:", node);
        for (unsigned cpu = 0; cpu < machine->vcpus->len; cpu++) {
            if (numa->cpu_nodes[cpu] == (int)node) {
                g_string_append_printf(text, " %u", cpu);
            }
        }
        g_string_append_printf(text, "\nnode %u size: %" PRIu64 " MB\nnode %u plugged: 0 MB\n",
                               node, numa->nodes[node].bytes >> 20, node);
    }
    return monitor_text(text);
}

static const MonitorCommand numa_command = {
    .name = "x-query-numa",
    .hmp = "info numa",
    .summary = "shows the nodes of memory and CPUs",
    .run = numa_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(numa_command);
