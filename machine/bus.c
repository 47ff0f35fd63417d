/* SPDX-License-Identifier: MIT */
/* Buses: what devices provide and sit on. */
#include <string.h>

#include "machine/private.h"

void bus_init(Bus *bus, const BusType *type, Device *parent, const char *name)
{
    *bus = (Bus){
        .type = type,
        .name = g_strdup(name),
        .parent = parent,
        .devices = g_ptr_array_new(),
        .max_devices = bus->max_devices,
    };
    if (!parent->buses) {
        parent->buses = g_ptr_array_new();
    }
    g_ptr_array_add(parent->buses, bus);
}

typedef struct {
    const char *name, *type;
    Bus *found;
} BusSearch;

static void match_bus(Device *device, void *opaque)
{
    BusSearch *search = opaque;

    for (unsigned i = 0; device->buses && i < device->buses->len && !search->found; i++) {
        Bus *bus = device->buses->pdata[i];
        bool room = bus->max_devices == 0 || bus->devices->len < bus->max_devices;

        if (search->name ? strcmp(bus->name, search->name) == 0
                         : room && strcmp(bus->type->name, search->type) == 0) {
            search->found = bus;
        }
    }
}

Bus *bus_find(Machine *machine, const char *name)
{
    BusSearch search = { .name = name };

    device_foreach(machine->root, match_bus, &search);
    return search.found;
}

Bus *bus_find_by_type(Machine *machine, const char *type)
{
    BusSearch search = { .type = type };

    device_foreach(machine->root, match_bus, &search);
    return search.found;
}
