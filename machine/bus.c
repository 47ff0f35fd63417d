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
    const char *name;
    Bus *found;
} BusSearch;

static void match_name(Device *device, void *opaque)
{
    BusSearch *search = opaque;

    for (unsigned i = 0; device->buses && i < device->buses->len && !search->found; i++) {
        Bus *bus = device->buses->pdata[i];

        if (strcmp(bus->name, search->name) == 0) {
            search->found = bus;
        }
    }
}

Bus *bus_find(Machine *machine, const char *name)
{
    BusSearch search = { .name = name };

    device_foreach(machine->root, match_name, &search);
    return search.found;
}

/* A bus comes before the buses below it, and the newest device before its siblings. */
static Bus *find_room(Device *device, const char *type)
{
    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        Bus *bus = device->buses->pdata[i];
        bool room = bus->max_devices == 0 || bus->devices->len < bus->max_devices;

        if (room && strcmp(bus->type->name, type) == 0) {
            return bus;
        }
    }
    for (unsigned i = device->children->len; i > 0; i--) {
        Bus *bus = find_room(device->children->pdata[i - 1], type);

        if (bus) {
            return bus;
        }
    }
    return NULL;
}

Bus *bus_find_by_type(Machine *machine, const char *type)
{
    return find_room(machine->root, type);
}
