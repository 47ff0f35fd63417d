/* SPDX-License-Identifier: MIT */
/* Commands about drives: what they are, what they have done, and their limits. */
#include "block/block.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/block.h"

typedef struct {
    BlockBackend *drive;
    Device *found;
} DriveSearch;

static void match_drive(Device *device, void *opaque)
{
    DriveSearch *search = opaque;

    for (const Property *p = device->type->properties; p && p->name && !search->found; p++) {
        if (p->kind == PROPERTY_DRIVE &&
            *(BlockBackend *const *)((const char *)device + p->offset) == search->drive) {
            search->found = device;
        }
    }
}

Device *monitor_drive_owner(Machine *machine, BlockBackend *drive)
{
    DriveSearch search = { drive, NULL };

    device_foreach(machine->root, match_drive, &search);
    return search.found;
}

/*
 * As programs that speak QMP know it: virtio on PCI is two devices elsewhere, and the inner one has the
 * drive and no id.
 */
static char *owner_name(Device *owner)
{
    g_autofree char *path = device_user_path(owner);

    if (g_str_has_prefix(owner->type->name, "virtio-") && owner->bus &&
        !strcmp(owner->bus->type->name, "pci")) {
        return g_strconcat(path, "/virtio-backend", NULL);
    }
    return owner->from_user && owner->anonymous < 0 ? g_strdup(owner->id) : g_steal_pointer(&path);
}

static json_t *parse_and_free(char *text)
{
    json_t *value = text ? json_loads(text, 0, NULL) : NULL;

    g_free(text);
    return value;
}

typedef struct {
    BlockBackend *drive;
    char *path; /* of the device that has it; NULL: none */
    bool removable;
    MediumState medium;
} ListedDrive;

static void clear_listed(void *listed)
{
    g_free(((ListedDrive *)listed)->path);
}

/* Drives with a name, then those that devices have made for themselves on nodes. */
static GArray *list_drives(Machine *machine)
{
    GArray *list = g_array_new(false, false, sizeof(ListedDrive));
    BlockBackend *drive = NULL;

    g_array_set_clear_func(list, clear_listed);
    for (int named = 1; named >= 0 && machine->block_graph; named--) {
        while ((drive = block_next(machine->block_graph, drive))) {
            Device *owner = monitor_drive_owner(machine, drive);
            const MediumOps *ops = owner ? owner->type->medium : NULL;
            ListedDrive listed = { drive, owner ? owner_name(owner) : NULL, !owner || ops, { 0 } };

            if (ops) {
                ops->query(owner, &listed.medium);
            }
            if (block_id(drive)[0] ? named : !named && owner) {
                g_array_append_val(list, listed);
            } else {
                g_free(listed.path);
            }
        }
    }
    return list;
}

static void make_flat(json_t *arguments, json_t *inserted)
{
    if (monitor_get_bool(arguments, "flat")) {
        json_object_del(json_object_get(inserted, "image"), "backing-image");
    }
}

static json_t *block_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GArray *drives = list_drives(monitor_machine(monitor));
    const char *only = monitor_get_string(arguments, "device");
    json_t *list = json_array();

    for (guint i = 0; i < drives->len; i++) {
        const ListedDrive *listed = &g_array_index(drives, ListedDrive, i);
        json_t *entry = json_object(), *inserted = parse_and_free(block_query(listed->drive));

        monitor_put(entry, "device", monitor_string(block_id(listed->drive)));
        monitor_put(entry, "type", json_string("unknown"));
        monitor_put(entry, "removable", json_boolean(listed->removable));
        monitor_put(entry, "locked", json_boolean(listed->medium.locked));
        if (listed->medium.has_tray) {
            monitor_put(entry, "tray_open", json_boolean(listed->medium.tray_open));
        }
        if (listed->path) {
            monitor_put(entry, "qdev", monitor_string(listed->path));
            monitor_put(entry, "io-status", json_string(block_io_status(listed->drive)));
        }
        if (inserted) {
            make_flat(arguments, inserted);
            monitor_put(entry, "inserted", inserted);
        }
        if (only && strcmp(only, block_id(listed->drive)) &&
            g_strcmp0(only, monitor_get_string(inserted, "node-name"))) {
            json_decref(entry);
        } else {
            json_array_append_new(list, entry);
        }
    }
    g_array_unref(drives);
    return list;
}

static void print_throttling(json_t *inserted, GString *out)
{
    static const char *const fields[] = {
        "bps",     "bps_rd",  "bps_wr",   "bps_max",     "bps_rd_max",  "bps_wr_max", "iops",
        "iops_rd", "iops_wr", "iops_max", "iops_rd_max", "iops_wr_max", "iops_size",
    };
    const char *group = monitor_get_string(inserted, "group");

    if (!group) {
        return;
    }
    g_string_append(out, "    I/O throttling:  ");
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_string_append_printf(out, " %s=%" PRId64, fields[i],
                               monitor_get_int(inserted, fields[i], 0));
    }
    g_string_append_printf(out, " group=%s\n", group);
}

static void print_drive(json_t *entry, GString *out)
{
    json_t *inserted = json_object_get(entry, "inserted");
    json_t *cache = json_object_get(inserted, "cache");
    const char *device = monitor_get_string(entry, "device");
    const char *node = monitor_get_string(inserted, "node-name");
    const char *owner = monitor_get_string(entry, "qdev");

    if (inserted) {
        g_string_append(out, device);
        g_string_append_printf(out, device[0] ? " (%s)" : "%s", node);
        g_string_append_printf(out, ": %s (%s%s)\n", monitor_get_string(inserted, "file"),
                               monitor_get_string(inserted, "drv"),
                               monitor_get_bool(inserted, "ro") ? ", read-only" : "");
    } else {
        g_string_append_printf(out, "%s: [not inserted]\n", device[0] || !owner ? device : owner);
    }
    if (owner) {
        g_string_append_printf(out, "    Attached to:      %s\n", owner);
    }
    if (monitor_get_bool(entry, "removable")) {
        /* Scripts read both words of each, of a floppy drive as well. */
        g_string_append_printf(out, "    Removable device: %slocked, tray %s\n",
                               monitor_get_bool(entry, "locked") ? "" : "not ",
                               monitor_get_bool(entry, "tray_open") ? "open" : "closed");
    }
    if (!inserted) {
        return;
    }
    g_string_append_printf(out, "    Cache mode:       %s%s%s\n",
                           monitor_get_bool(cache, "writeback") ? "writeback" : "writethrough",
                           monitor_get_bool(cache, "direct") ? ", direct" : "",
                           monitor_get_bool(cache, "no-flush") ? ", ignore flushes" : "");
    if (monitor_has(inserted, "backing_file")) {
        g_string_append_printf(out, "    Backing file:     %s (chain depth: %" PRId64 ")\n",
                               monitor_get_string(inserted, "backing_file"),
                               monitor_get_int(inserted, "backing_file_depth", 0));
    }
    if (g_strcmp0(monitor_get_string(inserted, "detect_zeroes"), "off")) {
        g_string_append_printf(out, "    Detect zeroes:    %s\n",
                               monitor_get_string(inserted, "detect_zeroes"));
    }
    print_throttling(inserted, out);
}

static const MonitorArgument block_arguments[] = {
    { "device", ARGUMENT_STRING, true, "only this drive", .complete = monitor_complete_drives },
    { "flat", ARGUMENT_BOOL, true, "without the images below" },
    { NULL },
};

static const MonitorCommand block_command = {
    .name = "query-block",
    .summary = "lists the drives",
    .arguments = block_arguments,
    .run = block_run,
    .returns = "[BlockInfo]",
};
MONITOR_COMMAND(block_command);

/* The image of a drive or node, and those below it. */
static void print_images(json_t *inserted, GString *out)
{
    json_t *image = json_object_get(inserted, "image");

    g_string_append(out, "\nImages:\n");
    for (; image; image = json_object_get(image, "backing-image")) {
        g_string_append_printf(out, "image: %s\nfile format: %s\nvirtual size: %" PRId64 " bytes\n",
                               monitor_get_string(image, "filename"),
                               monitor_get_string(image, "format"),
                               monitor_get_int(image, "virtual-size", 0));
        if (monitor_has(image, "backing-filename")) {
            g_string_append_printf(out, "backing file: %s\n",
                                   monitor_get_string(image, "backing-filename"));
        }
    }
}

static const MonitorArgument info_block_arguments[] = {
    { "nodes", ARGUMENT_FLAG, true, "all nodes that have a name", .letter = 'n' },
    { "verbose", ARGUMENT_FLAG, true, "images and what is below them, too", .letter = 'v' },
    { "device", ARGUMENT_STRING, true, "only this drive or node",
      .complete = monitor_complete_drives },
    { NULL },
};

/* {"entries": as of query-block, "verbose": …} */
static json_t *info_block_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *wanted = monitor_get_string(arguments, "device");
    json_t *entries, *nodes, *node;
    size_t i;

    if (!monitor_get_bool(arguments, "nodes")) {
        entries = block_run(monitor, arguments, error);
    } else {
        entries = json_array();
        nodes = machine->block_graph ? parse_and_free(block_query_named_nodes(machine->block_graph))
                                     : json_array();
        json_array_foreach(nodes, i, node)
        {
            if (!wanted || !g_strcmp0(wanted, monitor_get_string(node, "node-name"))) {
                json_array_append_new(entries,
                                      json_pack("{s:s, s:O}", "device", "", "inserted", node));
            }
        }
        json_decref(nodes);
    }
    return json_pack("{s:o, s:b}", "entries", entries, "verbose",
                     monitor_get_bool(arguments, "verbose"));
}

static void info_block_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(result, "entries"), i, entry)
    {
        g_string_append(out, i ? "\n" : "");
        print_drive(entry, out);
        if (monitor_get_bool(result, "verbose") && json_object_get(entry, "inserted")) {
            print_images(json_object_get(entry, "inserted"), out);
        }
    }
}

static const MonitorCommand info_block_command = {
    .hmp = "info block",
    .summary = "lists the drives",
    .arguments = info_block_arguments,
    .run = info_block_run,
    .print = info_block_print,
};
MONITOR_COMMAND(info_block_command);

static json_t *blockstats_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *list = json_array();
    GArray *drives;

    if (monitor_get_bool(arguments, "query-nodes") && machine->block_graph) {
        json_decref(list);
        return parse_and_free(block_query_node_statistics(machine->block_graph));
    }
    drives = list_drives(machine);
    for (guint i = 0; i < drives->len; i++) {
        const ListedDrive *listed = &g_array_index(drives, ListedDrive, i);
        json_t *entry = parse_and_free(block_query_statistics(listed->drive));

        if (listed->path) {
            monitor_put(entry, "qdev", monitor_string(listed->path));
        }
        json_array_append_new(list, entry);
    }
    g_array_unref(drives);
    return list;
}

static void print_histogram(json_t *stats, const char *name, const char *title, GString *out)
{
    g_autofree char *key = g_strconcat(name, "_latency_histogram", NULL);
    json_t *histogram = json_object_get(stats, key), *bins, *bin;
    json_t *boundaries = json_object_get(histogram, "boundaries");
    size_t i;

    if (!histogram) {
        return;
    }
    bins = json_object_get(histogram, "bins");
    g_string_append_printf(out, "%s latency (ns):", title);
    json_array_foreach(bins, i, bin)
    {
        g_string_append_printf(
            out, " %s%" PRId64 ": %" PRId64, i ? ">=" : "<",
            (int64_t)json_integer_value(json_array_get(boundaries, i ? i - 1 : 0)),
            (int64_t)json_integer_value(bin));
    }
    g_string_append_c(out, '\n');
}

static void print_statistics(json_t *entry, GString *out)
{
    static const struct {
        const char *title, *name;
        bool bytes;
    } rows[] = { { "Read", "rd", true }, { "Write", "wr", true }, { "Flush", "flush", false } };
    json_t *stats = json_object_get(entry, "stats");

    g_string_append_printf(out, "%s: idle_time_ns=%" PRId64 "\n%-10s %20s %16s %24s %10s\n",
                           monitor_get_string(entry, "device"),
                           monitor_get_int(stats, "idle_time_ns", 0), "", "bytes", "operations",
                           "total_time_ns", "merged");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *label = g_strconcat(rows[i].title, ":", NULL);
        g_autofree char *bytes = g_strconcat(rows[i].name, "_bytes", NULL);
        g_autofree char *operations = g_strconcat(rows[i].name, "_operations", NULL);
        g_autofree char *time = g_strconcat(rows[i].name, "_total_time_ns", NULL);
        g_autofree char *merged = g_strconcat(rows[i].name, "_merged", NULL);
        g_autofree char *size = g_strdup_printf("%" PRId64, monitor_get_int(stats, bytes, 0));

        g_string_append_printf(out, "%-10s %20s %16" PRId64 " %24" PRId64, label,
                               rows[i].bytes ? size : "", monitor_get_int(stats, operations, 0),
                               monitor_get_int(stats, time, 0));
        if (rows[i].bytes) {
            g_string_append_printf(out, " %10" PRId64, monitor_get_int(stats, merged, 0));
        }
        g_string_append_c(out, '\n');
    }
    print_histogram(stats, "rd", "Read", out);
    print_histogram(stats, "wr", "Write", out);
    print_histogram(stats, "flush", "Flush", out);
}

static void blockstats_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        g_string_append(out, i ? "\n" : "");
        print_statistics(entry, out);
    }
}

static const MonitorArgument blockstats_arguments[] = {
    { "query-nodes", ARGUMENT_BOOL, true, "nodes instead of drives" },
    { NULL },
};

static const MonitorCommand blockstats_command = {
    .name = "query-blockstats",
    .hmp = "info blockstats",
    .summary = "shows what the drives have read and written",
    .arguments = blockstats_arguments,
    .run = blockstats_run,
    .print = blockstats_print,
    .returns = "[BlockStats]",
};
MONITOR_COMMAND(blockstats_command);

static json_t *graph_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_machine(monitor)->block_graph;

    return graph ? parse_and_free(block_query_graph(graph))
                 : json_pack("{s:[], s:[]}", "nodes", "edges");
}

static const MonitorCommand graph_command = {
    .name = "x-debug-query-block-graph",
    .summary = "shows the nodes of the block layer and who uses them",
    .run = graph_run,
    .returns = "XDbgBlockGraph",
};
MONITOR_COMMAND(graph_command);

static const MonitorArgument named_nodes_arguments[] = {
    { "flat", ARGUMENT_BOOL, true, "without the images below" },
    { NULL },
};

static json_t *named_nodes_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_machine(monitor)->block_graph;
    json_t *list = graph ? parse_and_free(block_query_named_nodes(graph)) : json_array();
    json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        make_flat(arguments, entry);
    }
    return list;
}

static const MonitorCommand named_nodes_command = {
    .name = "query-named-block-nodes",
    .summary = "lists the nodes of all images",
    .arguments = named_nodes_arguments,
    .run = named_nodes_run,
    .returns = "[BlockDeviceInfo]",
};
MONITOR_COMMAND(named_nodes_command);

/* By a drive's id, or the id or path of a device that has one. */
static BlockBackend *find_drive(Machine *machine, const char *name, KasoErrorCode code,
                                GError **error)
{
    Device *owner = device_find(machine, name);
    GArray *drives = list_drives(machine);
    BlockBackend *found = NULL;

    for (guint i = 0; i < drives->len && !found; i++) {
        const ListedDrive *listed = &g_array_index(drives, ListedDrive, i);

        if (!strcmp(block_id(listed->drive), name) ||
            (owner && monitor_drive_owner(machine, listed->drive) == owner)) {
            found = listed->drive;
        }
    }
    g_array_unref(drives);
    if (!found) {
        error_fail(error, code, "Device '%s' not found", name);
    }
    return found;
}

static json_t *histogram_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *id = monitor_get_string(arguments, "id");
    BlockBackend *drive = find_drive(monitor_machine(monitor), id, KASO_ERROR_NOT_FOUND, error);
    char *text;

    if (drive) {
        text = json_dumps(arguments, JSON_COMPACT);
        block_set_histograms(drive, id, text, error);
        free(text);
    }
    return NULL;
}

static const MonitorArgument histogram_arguments[] = {
    { "id", ARGUMENT_STRING, false, "drive, or device that has one",
      .complete = monitor_complete_drives },
    { "boundaries", ARGUMENT_ANY, true, "ascending nanoseconds; without any, histograms end" },
    { "boundaries-read", ARGUMENT_ANY, true, "for reads" },
    { "boundaries-write", ARGUMENT_ANY, true, "for writes" },
    { "boundaries-zap", ARGUMENT_ANY, true, "for zone appends" },
    { "boundaries-flush", ARGUMENT_ANY, true, "for flushes" },
    { NULL },
};

static const MonitorCommand histogram_command = {
    .name = "block-latency-histogram-set",
    .summary = "begins or ends latency histograms of a drive",
    .arguments = histogram_arguments,
    .run = histogram_run,
};
MONITOR_COMMAND(histogram_command);

static json_t *write_threshold_run(Monitor *monitor, json_t *arguments, GError **error)
{
    BlockGraph *graph = monitor_block_graph(monitor, error);
    int64_t threshold = monitor_get_int(arguments, "write-threshold", 0);

    if (threshold < 0) {
        error_fail(error, KASO_ERROR_INVALID, "write-threshold is an offset in bytes, or 0");
    } else if (graph) {
        block_set_write_threshold(graph, monitor_get_string(arguments, "node-name"),
                                  (uint64_t)threshold, error);
    }
    return NULL;
}

static const MonitorArgument write_threshold_arguments[] = {
    { "node-name", ARGUMENT_STRING, .summary = "node", .complete = monitor_complete_drives },
    { "write-threshold", ARGUMENT_INT, .summary = "offset in bytes; 0: no more events" },
    { NULL },
};

static const MonitorCommand write_threshold_command = {
    .name = "block-set-write-threshold",
    .summary = "makes an event of the first write that ends beyond an offset",
    .arguments = write_threshold_arguments,
    .run = write_threshold_run,
};
MONITOR_COMMAND(write_threshold_command);

static json_t *throttle_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "device");
    g_autoptr(GHashTable) limits = NULL;
    BlockBackend *drive;
    char *text;

    name = name ? name : monitor_get_string(arguments, "id");
    if (!name) {
        error_fail(error, KASO_ERROR_GENERIC, "Need exactly one of 'device' and 'id'");
        return NULL;
    }
    drive = find_drive(monitor_machine(monitor), name, KASO_ERROR_NO_DEVICE, error);
    if (drive) {
        text = json_dumps(arguments, JSON_COMPACT);
        limits = block_options_from_json(text, error);
        free(text);
        if (limits) {
            block_set_throttle(drive, limits, error);
        }
    }
    return NULL;
}

static const MonitorArgument throttle_arguments[] = {
    { "device", ARGUMENT_STRING, true, "drive", .complete = monitor_complete_drives },
    { "bps", ARGUMENT_INT, false, "bytes per second" },
    { "bps_rd", ARGUMENT_INT, false, "bytes read per second" },
    { "bps_wr", ARGUMENT_INT, false, "bytes written per second" },
    { "iops", ARGUMENT_INT, false, "requests per second" },
    { "iops_rd", ARGUMENT_INT, false, "reads per second" },
    { "iops_wr", ARGUMENT_INT, false, "writes per second" },
    { NULL },
};

static const MonitorCommand throttle_command = {
    .name = "block_set_io_throttle",
    .hmp = "block_set_io_throttle",
    .summary =
        "changes the limits of a drive (bps_max, bps_max_length, iops_size, group … as well)",
    .arguments = throttle_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = throttle_run,
};
MONITOR_COMMAND(throttle_command);

static const MonitorArgument io_arguments[] = {
    { "qdev", ARGUMENT_FLAG, true, "the name is a device's", .letter = 'd' },
    { "device", ARGUMENT_STRING, false, "drive or node", .complete = monitor_complete_drives },
    { "command", ARGUMENT_STRING, false, "of kaso-io, in quotes; help lists them" },
    { NULL },
};

static json_t *io_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *name = monitor_get_string(arguments, "device");
    BlockBackend *drive = NULL;
    GString *out;
    char *text;

    if (monitor_get_bool(arguments, "qdev") &&
        !(drive = find_drive(machine, name, KASO_ERROR_GENERIC, error))) {
        return NULL;
    }
    if (!machine->block_graph) {
        error_fail(error, KASO_ERROR_GENERIC, "This machine has no drives");
        return NULL;
    }
    text = block_io_command(machine->block_graph, drive, name,
                            monitor_get_string(arguments, "command"), error);
    if (!text) {
        return NULL;
    }
    out = g_string_new(text);
    g_free(text);
    return monitor_text(out);
}

static const MonitorCommand io_command = {
    .hmp = "qemu-io",
    .summary = "reads, writes or inspects an image as kaso-io does",
    .arguments = io_arguments,
    .run = io_run,
};
MONITOR_COMMAND(io_command);
