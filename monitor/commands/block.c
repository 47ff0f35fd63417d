/* SPDX-License-Identifier: MIT */
/* Commands about disks: query-block, query-blockstats. */
#include "block/block.h"

#include <inttypes.h>

#include "monitor/command.h"

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

/* The device that has the drive, or NULL. */
static Device *drive_owner(Machine *machine, BlockBackend *drive)
{
    DriveSearch search = { drive, NULL };

    device_foreach(machine->root, match_drive, &search);
    return search.found;
}

static json_t *drive_inserted(BlockBackend *drive)
{
    json_t *inserted = json_object(), *image = json_object();
    char *description = block_describe(drive);

    monitor_put(image, "filename", monitor_string(block_filename(drive)));
    monitor_put(image, "format", monitor_string(block_driver_name(drive)));
    monitor_put(image, "virtual-size", json_integer(block_size(drive)));
    monitor_put(inserted, "file", monitor_string(block_filename(drive)));
    monitor_put(inserted, "drv", monitor_string(block_driver_name(drive)));
    monitor_put(inserted, "ro", json_boolean(block_read_only(drive)));
    monitor_put(inserted, "encrypted", json_false());
    monitor_put(inserted, "backing_file_depth", json_integer(0));
    monitor_put(inserted, "image", image);
    monitor_put(inserted, "x-description", monitor_string(description));
    g_free(description);
    return inserted;
}

static json_t *block_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    GPtrArray *drives = machine_drives(machine);
    const char *only = monitor_get_string(arguments, "device");
    json_t *list = json_array();

    for (guint i = 0; i < drives->len; i++) {
        BlockBackend *drive = drives->pdata[i];
        Device *owner = drive_owner(machine, drive);
        json_t *entry;

        if (only && g_strcmp0(only, block_id(drive))) {
            continue;
        }
        entry = json_object();
        monitor_put(entry, "device", monitor_string(block_id(drive)));
        monitor_put(entry, "type", json_string("unknown"));
        monitor_put(entry, "removable", json_false());
        monitor_put(entry, "locked", json_false());
        if (owner) {
            char *path = device_path(owner);

            monitor_put(entry, "qdev", monitor_string(path));
            g_free(path);
        }
        monitor_put(entry, "inserted", drive_inserted(drive));
        json_array_append_new(list, entry);
    }
    return list;
}

static void block_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        json_t *inserted = json_object_get(entry, "inserted");
        const char *owner = monitor_get_string(entry, "qdev");

        g_string_append_printf(
            out, "%s%s: %s (%s%s)\n", i ? "\n" : "", monitor_get_string(entry, "device"),
            monitor_get_string(inserted, "file"), monitor_get_string(inserted, "drv"),
            monitor_get_bool(inserted, "ro") ? ", read-only" : "");
        if (owner) {
            g_string_append_printf(out, "    Attached to:      %s\n", owner);
        }
        g_string_append_printf(out, "    Image:            %s\n",
                               monitor_get_string(inserted, "x-description"));
    }
}

static const MonitorArgument block_arguments[] = {
    { "device", ARGUMENT_STRING, true, "only this drive", .complete = monitor_complete_drives },
    { NULL },
};

static const MonitorCommand block_command = {
    .name = "query-block",
    .hmp = "info block",
    .summary = "lists the drives",
    .arguments = block_arguments,
    .run = block_run,
    .print = block_print,
};
MONITOR_COMMAND(block_command);

static json_t *drive_statistics(BlockBackend *drive)
{
    BlockStatistics s;
    json_t *stats = json_object();

    block_statistics(drive, &s);
    monitor_put(stats, "rd_bytes", json_integer(s.read_bytes));
    monitor_put(stats, "wr_bytes", json_integer(s.write_bytes));
    monitor_put(stats, "rd_operations", json_integer(s.read_operations));
    monitor_put(stats, "wr_operations", json_integer(s.write_operations));
    monitor_put(stats, "flush_operations", json_integer(s.flush_operations));
    monitor_put(stats, "failed_rd_operations", json_integer(s.failed_reads));
    monitor_put(stats, "failed_wr_operations", json_integer(s.failed_writes));
    return stats;
}

static json_t *blockstats_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *drives = machine_drives(monitor_machine(monitor));
    json_t *list = json_array();

    for (guint i = 0; i < drives->len; i++) {
        json_t *entry = json_object();

        monitor_put(entry, "device", monitor_string(block_id(drives->pdata[i])));
        monitor_put(entry, "stats", drive_statistics(drives->pdata[i]));
        json_array_append_new(list, entry);
    }
    return list;
}

static void blockstats_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry, *value;
    const char *name;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s:", monitor_get_string(entry, "device"));
        json_object_foreach(json_object_get(entry, "stats"), name, value)
        {
            g_string_append_printf(out, " %s=%" PRId64, name, (int64_t)json_integer_value(value));
        }
        g_string_append_c(out, '\n');
    }
}

static const MonitorArgument blockstats_arguments[] = {
    { "query-nodes", ARGUMENT_BOOL, true, "accepted; drives are listed either way" },
    { NULL },
};

static const MonitorCommand blockstats_command = {
    .name = "query-blockstats",
    .hmp = "info blockstats",
    .summary = "shows what the drives have read and written",
    .arguments = blockstats_arguments,
    .run = blockstats_run,
    .print = blockstats_print,
};
MONITOR_COMMAND(blockstats_command);
