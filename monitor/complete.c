/* SPDX-License-Identifier: MIT */
/* What HMP's arguments may be, for completion. */
#include "block/block.h"
#include "base/log.h"
#include "machine/chardev.h"
#include "machine/netdev.h"
#include "monitor/command.h"

static void complete_add(GPtrArray *candidates, const char *text)
{
    g_ptr_array_add(candidates, g_strdup(text));
}

static void complete_device(Device *device, void *opaque)
{
    char *path = device_path(device);

    if (device->parent && device->id) {
        complete_add(opaque, device->id);
    }
    g_ptr_array_add(opaque, path);
}

void monitor_complete_devices(Machine *machine, GPtrArray *candidates)
{
    device_foreach(machine->root, complete_device, candidates);
}

void monitor_complete_device_types(Machine *machine, GPtrArray *candidates)
{
    const DeviceType *const *it;

    REGISTRY_FOREACH(device_types, it) {
        if (!(*it)->board_only) {
            complete_add(candidates, (*it)->name);
        }
    }
}

void monitor_complete_chardevs(Machine *machine, GPtrArray *candidates)
{
    GPtrArray *list = machine_chardevs(machine);

    for (guint i = 0; i < list->len; i++) {
        complete_add(candidates, ((Chardev *)list->pdata[i])->id);
    }
}

void monitor_complete_netdevs(Machine *machine, GPtrArray *candidates)
{
    GPtrArray *list = machine_netdevs(machine);

    for (guint i = 0; i < list->len; i++) {
        complete_add(candidates, ((Netdev *)list->pdata[i])->id);
    }
}

void monitor_complete_drives(Machine *machine, GPtrArray *candidates)
{
    GPtrArray *list = machine_drives(machine);

    for (guint i = 0; i < list->len; i++) {
        complete_add(candidates, block_id(list->pdata[i]));
    }
}

void monitor_complete_log_items(Machine *machine, GPtrArray *candidates)
{
    for (const LogItem *item = log_items; item->name; item++) {
        complete_add(candidates, item->name);
    }
    complete_add(candidates, "none");
    complete_add(candidates, "all");
}

void monitor_complete_commands(Machine *machine, GPtrArray *candidates)
{
    const MonitorCommand *const *it;

    REGISTRY_FOREACH(monitor_commands, it) {
        char **names = g_strsplit((*it)->hmp ? (*it)->hmp : "", "|", -1);

        for (char **name = names; *name; name++) {
            complete_add(candidates, *name);
        }
        g_strfreev(names);
    }
}

void monitor_complete_cpus(Machine *machine, GPtrArray *candidates)
{
    for (guint i = 0; i < machine->vcpus->len; i++) {
        g_ptr_array_add(candidates, g_strdup_printf("%u", i));
    }
}
