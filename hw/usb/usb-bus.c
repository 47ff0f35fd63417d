/* SPDX-License-Identifier: MIT */
/* USB buses: ports, who is plugged into which, and devices that come and go. */
#include <string.h>

#include "base/error.h"
#include "hw/usb/usb.h"
#include "machine/machine.h"

static UsbBus *usb_bus(const Bus *bus)
{
    return container_of((Bus *)bus, UsbBus, bus);
}

/* Ports. */

void usb_port_init(UsbPort *port, UsbBus *bus, UsbDevice *hub, unsigned index, unsigned speeds,
                   const UsbPortOps *ops, void *opaque)
{
    *port = (UsbPort){
        .bus = bus, .ops = ops, .opaque = opaque, .index = index, .speeds = speeds, .hub = hub
    };
    if (hub) {
        g_snprintf(port->path, sizeof port->path, "%s.%u", hub->port->path, index + 1);
    } else {
        g_snprintf(port->path, sizeof port->path, "%u", index + 1);
    }
    g_ptr_array_add(bus->ports, port);
}

void usb_port_free(UsbPort *port)
{
    if (port->owner) {
        /* Its hub goes before it, as at the end of a machine. */
        usb_device_detach(port->owner);
        port->owner->port = NULL;
        port->owner = NULL;
    }
    if (port->bus) {
        g_ptr_array_remove(port->bus->ports, port);
        port->bus = NULL;
    }
}

static UsbDevice *find_behind(UsbPort *port, uint8_t address, unsigned tier)
{
    UsbDevice *usb = port->enabled ? port->device : NULL;

    if (!usb || usb->address == address || tier > USB_HUB_TIERS) {
        return usb && usb->address == address ? usb : NULL;
    }
    for (unsigned i = 0; i < usb->bus->ports->len; i++) {
        UsbPort *next = usb->bus->ports->pdata[i];
        UsbDevice *found = next->hub == usb ? find_behind(next, address, tier + 1) : NULL;

        if (found) {
            return found;
        }
    }
    return NULL;
}

UsbDevice *usb_port_find(UsbPort *port, uint8_t address)
{
    return find_behind(port, address, 0);
}

static UsbPort *hub_port(const UsbDevice *hub, unsigned number)
{
    for (unsigned i = 0; i < hub->bus->ports->len; i++) {
        UsbPort *port = hub->bus->ports->pdata[i];

        if (port->hub == hub && port->index + 1 == number) {
            return port;
        }
    }
    return NULL;
}

UsbDevice *usb_port_route(UsbPort *port, uint32_t route)
{
    while (port && route & 0xf) {
        port = port->device ? hub_port(port->device, route & 0xf) : NULL;
        route >>= 4;
    }
    return port ? port->device : NULL;
}

UsbPort *usb_root_port(UsbDevice *usb)
{
    UsbPort *port = usb->port;

    while (port && port->hub) {
        port = port->hub->port;
    }
    return port;
}

/* Who goes where. */

static UsbPort *port_by_path(const UsbBus *bus, const char *path)
{
    for (unsigned i = 0; i < bus->ports->len; i++) {
        UsbPort *port = bus->ports->pdata[i];

        if (strcmp(port->path, path) == 0) {
            return port;
        }
    }
    return NULL;
}

/* The first free one that is fast enough, and how many of them there are. */
static UsbPort *free_port(const UsbBus *bus, const UsbDevice *usb, unsigned *count)
{
    UsbPort *first = NULL;

    *count = 0;
    for (unsigned i = 0; i < bus->ports->len; i++) {
        UsbPort *port = bus->ports->pdata[i];

        if (!port->owner && port->speeds & usb_device_speeds(usb)) {
            first = first ? first : port;
            ++*count;
        }
    }
    return first;
}

/* The last free port takes a hub, as long as there is one tier more, so that there is always room. */
static bool add_hub(UsbBus *bus, const UsbPort *port, const UsbDevice *usb)
{
    unsigned tiers = 0;
    Device *hub;

    for (const char *at = port->path; *at; at++) {
        tiers += *at == '.';
    }
    if (strcmp(usb->device.type->name, "usb-hub") == 0 || tiers + 1 >= USB_HUB_TIERS) {
        return false;
    }
    hub = device_create(usb->device.machine, NULL, "usb-hub", &bus->bus, NULL, NULL);
    if (hub && !device_realize(hub, NULL)) {
        device_destroy(hub);
        hub = NULL;
    }
    return hub;
}

static UsbPort *choose_port(UsbBus *bus, UsbDevice *usb, GError **error)
{
    unsigned count;
    UsbPort *port;

    if (usb->port_path) {
        port = port_by_path(bus, usb->port_path);
        if (!port) {
            error_fail(error, KASO_ERROR_NOT_FOUND, "bus '%s' has no port %s (info usb)",
                       bus->bus.name, usb->port_path);
        } else if (port->owner) {
            error_fail(error, KASO_ERROR_INVALID, "port %s of bus '%s' is taken by '%s'",
                       port->path, bus->bus.name, port->owner->device.id);
            port = NULL;
        }
        return port;
    }
    port = free_port(bus, usb, &count);
    if (count == 1 && add_hub(bus, port, usb)) {
        port = free_port(bus, usb, &count);
    }
    if (!port) {
        error_fail(error, KASO_ERROR_INVALID,
                   "bus '%s' has no free port for device '%s'; add a hub or another controller",
                   bus->bus.name, usb->device.type->name);
    }
    return port;
}

static bool usb_bus_attach(Bus *generic, Device *device, GError **error)
{
    UsbBus *bus = usb_bus(generic);
    UsbDevice *usb = usb_device(device);

    usb->type = device->type->class_data;
    usb->port = choose_port(bus, usb, error);
    if (!usb->port) {
        return false;
    }
    usb->bus = bus;
    usb->port->owner = usb;
    return true;
}

static void usb_bus_detach(Bus *generic, Device *device)
{
    UsbDevice *usb = usb_device(device);

    if (usb->port) {
        usb->port->owner = NULL;
        usb->port = NULL;
    }
}

static void usb_bus_describe(Device *device, GString *out)
{
    const UsbDevice *usb = usb_device(device);

    g_string_append_printf(out, "addr %u, port %s, speed %s Mb/s, name %s%s\n", usb->address,
                           usb->port ? usb->port->path : "?", usb_speed_names[usb->speed],
                           usb->type->name, usb->attached ? ", attached" : "");
}

static void usb_bus_summarize(const Device *device, GString *out)
{
    const UsbDevice *usb = usb_device((Device *)device);
    bool named = device->anonymous < 0 && device->from_user;

    if (usb->attached) {
        g_string_append_printf(out, "  Device %u.%u, Port %s, Speed %s Mb/s, Product %s%s%s\n",
                               usb->bus->number, usb->address, usb->port->path,
                               usb_speed_names[usb->speed], usb->type->name, named ? ", ID: " : "",
                               named ? device->id : "");
    }
}

/* Hubs on the way, and the port. */
static void usb_bus_boot_path(const Device *device, GString *out)
{
    const UsbDevice *usb = usb_device((Device *)device);
    const char *kind = strcmp(device->type->name, "usb-storage") == 0 ? "storage" : "usb";

    if (usb->port) {
        g_auto(GStrv) parts = g_strsplit(usb->port->path, ".", -1);

        for (unsigned i = 0; parts[i]; i++) {
            g_string_append_printf(out, "/%s@%s", parts[i + 1] ? "hub" : kind, parts[i]);
        }
    }
}

/* Hot plug: a plug is pulled, whatever the guest thinks of it. */

static bool usb_bus_may_plug(Bus *bus, Device *device, GError **error)
{
    return true;
}

static void usb_bus_plugged(Bus *bus, Device *device)
{
}

/* What is plugged into a hub goes with it. */
static bool usb_bus_unplug(Bus *generic, Device *device, GError **error)
{
    UsbBus *bus = usb_bus(generic);
    UsbDevice *usb = usb_device(device);

    for (unsigned i = 0; i < bus->ports->len; i++) {
        UsbPort *port = bus->ports->pdata[i];

        if (port->hub == usb && port->owner) {
            usb_bus_unplug(generic, &port->owner->device, NULL);
            i = UINT_MAX; /* the list has changed: from the start */
        }
    }
    device_unplugged(device);
    return true;
}

const BusType usb_bus_type = {
    .name = "usb-bus",
    .attach = usb_bus_attach,
    .detach = usb_bus_detach,
    .describe = usb_bus_describe,
    .summarize = usb_bus_summarize,
    .may_plug = usb_bus_may_plug,
    .plugged = usb_bus_plugged,
    .unplug = usb_bus_unplug,
    .boot_path = usb_bus_boot_path,
};

/* As other programs name them: by the controller's id, else by number. */
static char *choose_name(Device *controller)
{
    if (controller->from_user && controller->anonymous < 0) {
        return g_strdup_printf("%s.0", controller->id);
    }
    for (unsigned i = 0;; i++) {
        g_autofree char *name = g_strdup_printf("usb-bus.%u", i);

        if (!bus_find(controller->machine, name)) {
            return g_steal_pointer(&name);
        }
    }
}

static void count_buses(Device *device, void *count)
{
    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        *(unsigned *)count += ((Bus *)device->buses->pdata[i])->type == &usb_bus_type;
    }
}

void usb_bus_init(UsbBus *bus, Device *controller)
{
    g_autofree char *name = choose_name(controller);

    bus->number = 0;
    device_foreach(controller->machine->root, count_buses, &bus->number);
    bus_init(&bus->bus, &usb_bus_type, controller, name);
    bus->ports = g_ptr_array_new();
}

void usb_bus_free(UsbBus *bus)
{
    g_clear_pointer(&bus->ports, g_ptr_array_unref);
}

bool usb_pace(int64_t *pace_ns, int64_t now_ns, int64_t interval_ns)
{
    enum { BURST_NS = 4000000 };

    *pace_ns =
        CLAMP(*pace_ns, now_ns - BURST_NS, now_ns + interval_ns); /* the clock may have been set */
    if (*pace_ns > now_ns) {
        return false;
    }
    *pace_ns += interval_ns * 4 / 5;
    return true;
}
