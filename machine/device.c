/* SPDX-License-Identifier: MIT */
/* The device tree: creation, properties, realization, reset, paths. */
#include "machine/device.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "machine/private.h"

static const char *device_type_name(const void *object, unsigned index)
{
    const DeviceType *type = object;

    return index == 0 ? type->name : index == 1 ? type->alias : NULL;
}

static const NameKind device_kind = { "device", "-device help", device_types_not_yet,
                                      device_type_name };

const DeviceType *device_type_find(const char *name)
{
    return device_type_get(name, NULL);
}

const DeviceType *device_type_get(const char *name, GError **error)
{
    return REGISTRY_FIND(device_types, &device_kind, name, error);
}

void device_adopt(Device *device, Machine *machine, const DeviceType *type, Device *parent,
                  const char *id)
{
    device->type = type;
    device->machine = machine;
    device->id = g_strdup(id);
    device->parent = parent;
    device->children = g_ptr_array_new();
    device->io = g_ptr_array_new();
    if (parent) {
        g_ptr_array_add(parent->children, device);
    }
}

/* Finds a bus for a type that needs one, and checks a given one. */
static bool check_bus(const DeviceType *type, Bus *bus, GError **error)
{
    if (type->bus && !bus) {
        return error_fail(error, KASO_ERROR_INVALID, "device '%s' needs a bus of type '%s'",
                          type->name, type->bus);
    }
    if (!bus) {
        return true;
    }
    if (!type->bus || strcmp(type->bus, bus->type->name) != 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device '%s' cannot sit on bus '%s', which is of type '%s'", type->name,
                          bus->name, bus->type->name);
    }
    if (bus->max_devices && bus->devices->len >= bus->max_devices) {
        return error_fail(error, KASO_ERROR_INVALID, "bus '%s' is full: it takes %u device%s",
                          bus->name, bus->max_devices, bus->max_devices == 1 ? "" : "s");
    }
    return true;
}

Device *device_create(Machine *machine, Device *parent, const char *type_name, Bus *bus,
                      const char *id, GError **error)
{
    const DeviceType *type = device_type_get(type_name, error);
    g_autofree char *generated = NULL;
    Device *device;

    if (!type) {
        return NULL;
    }
    type_name = type->name;
    if (!check_bus(type, bus, error)) {
        return NULL;
    }
    if (id && device_find(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID, "there is already a device with id '%s'", id);
        return NULL;
    }
    if (!id) {
        id = generated =
            g_strdup_printf("%s.%u", type_name, machine_next_number(machine, type_name));
    }
    device = g_malloc0(type->instance_size);
    device_adopt(device, machine, type, parent ? parent : bus ? bus->parent : machine->root, id);
    device->bus = bus;
    device->anonymous = -1;
    if (bus) {
        g_ptr_array_add(bus->devices, device);
    }
    properties_init(type->bus_properties, device);
    properties_init(type->properties, device);
    machine_apply_globals(machine, device, type_name);
    return device;
}

bool device_set(Device *device, const char *property, const char *value, GError **error)
{
    const DeviceType *type = device->type;
    const Property *table = type->properties;
    g_autofree char *who = g_strdup_printf("device '%s'", type->name);
    void (*changed)(void *instance);

    if (!property_find(table, property)) {
        table = type->bus_properties;
    }
    if (!property_find(table, property)) {
        const Property *tables[3] = { NULL };
        unsigned n = 0;

        if (type->properties) {
            tables[n++] = type->properties;
        }
        if (type->bus_properties) {
            tables[n++] = type->bus_properties;
        }
        return property_unknown(tables, who, property, error);
    }
    changed = property_find(table, property)->changed;
    if (device->realized && !changed) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: property '%s' can only be set before the device is in use", who,
                          property);
    }
    if (!property_set(device->machine, table, device, who, property, value, error)) {
        return false;
    }
    if (device->realized) {
        changed(device);
    }
    return true;
}

char *device_get(Device *device, const char *property, GError **error)
{
    const Property *found = property_find(device->type->properties, property);
    g_autofree char *who = NULL;

    if (!found) {
        found = property_find(device->type->bus_properties, property);
    }
    if (found && found->kind == PROPERTY_DRIVE) {
        return machine_drive_name(device->machine, property_pointer(found, device));
    }
    if (found) {
        return property_get(found, device);
    }
    who = g_strdup_printf("device '%s'", device->type->name);
    error_fail(error, KASO_ERROR_NOT_FOUND, "%s has no property '%s'", who, property);
    return NULL;
}

static void reset_one(Device *device)
{
    for (const RegisterBank *bank = device->type->banks; bank && bank->name; bank++) {
        register_bank_reset(device, bank);
    }
    if (device->type->reset) {
        device->type->reset(device);
    }
}

bool device_realize(Device *device, GError **error)
{
    const DeviceType *type = device->type;
    Bus *bus = device->bus;

    assert(!device->realized);
    if (bus && bus->type->attach && !bus->type->attach(bus, device, error)) {
        return false;
    }
    for (const RegisterBank *bank = type->banks; bank && bank->name; bank++) {
        MemoryRegion *region = g_new0(MemoryRegion, 1);

        device->owned = g_slist_prepend(device->owned, region);
        register_bank_init(device, region, bank);
        if (bank->ports) {
            device_add_io(device, region);
        } else {
            device_add_mmio(device, region);
        }
    }
    if (type->realize && !type->realize(device, error)) {
        if (bus && bus->type->detach) {
            bus->type->detach(bus, device);
        }
        return false;
    }
    device->realized = true;
    reset_one(device);
    return true;
}

static void unmap(MemoryRegion *region)
{
    if (region->parent) {
        memory_region_remove(region);
    }
}

static void leave_drives(Device *device, const Property *table)
{
    for (; table && table->name; table++) {
        if (table->kind == PROPERTY_DRIVE) {
            machine_leave_drive(device->machine, property_pointer(table, device));
        }
    }
}

void device_release(Device *device)
{
    const DeviceType *type = device->type;

    while (device->children->len) {
        device_destroy(device->children->pdata[device->children->len - 1]);
    }
    if (device->realized) {
        device->realized = false;
        if (type->unrealize) {
            type->unrealize(device);
        }
        if (device->bus && device->bus->type->detach) {
            device->bus->type->detach(device->bus, device);
        }
    }
    for (unsigned i = 0; i < device->mmio_count; i++) {
        unmap(device->mmio[i]);
    }
    for (unsigned i = 0; i < device->io->len; i++) {
        unmap(device->io->pdata[i]);
    }
    g_clear_pointer(&device->mmio, g_free);
    g_clear_pointer(&device->irqs, g_free);
    device->mmio_count = device->irq_count = 0;
    if (device->bus) {
        g_ptr_array_remove(device->bus->devices, device);
    }
    if (device->parent) {
        g_ptr_array_remove(device->parent->children, device);
    }
    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        Bus *bus = device->buses->pdata[i];

        g_ptr_array_unref(bus->devices);
        g_free(bus->name);
    }
    g_clear_pointer(&device->buses, g_ptr_array_unref);
    g_ptr_array_unref(device->children);
    g_ptr_array_unref(device->io);
    g_clear_pointer(&device->acknowledges, g_ptr_array_unref);
    leave_drives(device, type->bus_properties);
    leave_drives(device, type->properties);
    properties_free(type->bus_properties, device);
    properties_free(type->properties, device);
    memory_forget_regions(device->machine, device, type->instance_size);
    g_slist_free_full(device->owned, g_free);
    g_free(device->id);
}

void device_destroy(Device *device)
{
    device_release(device);
    g_free(device);
}

static void tell_deleted(Device *device)
{
    g_autofree char *path = device_user_path(device);
    bool named = device->from_user && device->anonymous < 0;
    g_autofree char *data =
        named ? g_strdup_printf("{\"device\": \"%s\", \"path\": \"%s\"}", device->id, path)
              : g_strdup_printf("{\"path\": \"%s\"}", path);

    machine_event(device->machine, "DEVICE_DELETED", data);
}

/* A drive with a name of its own that was given to a device goes with it; a node of -blockdev stays. */
static void disown_drives(Device *device, const Property *table)
{
    for (; table && table->name; table++) {
        BlockBackend *drive =
            table->kind == PROPERTY_DRIVE ? property_pointer(table, device) : NULL;

        if (drive) {
            machine_disown_drive(device->machine, drive);
        }
    }
}

void device_unplugged(Device *device)
{
    Machine *machine = device->machine;

    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        Bus *bus = device->buses->pdata[i];

        while (bus->devices->len) {
            device_unplugged(bus->devices->pdata[bus->devices->len - 1]);
        }
    }
    disown_drives(device, device->type->bus_properties);
    disown_drives(device, device->type->properties);
    tell_deleted(device);
    /* No vCPU is in the midst of an access to it. */
    machine_exclusive_begin(machine);
    device_destroy(device);
    machine_exclusive_end(machine);
}

/*
 * Devices that sit on a bus but were created below another parent are reached through the bus only
 * when that parent is not itself being reset, which is the case everywhere but at the root.
 */
static void reset_below(Device *device, bool follow_buses)
{
    for (unsigned i = 0; i < device->children->len; i++) {
        reset_below(device->children->pdata[i], follow_buses);
    }
    for (unsigned i = 0; follow_buses && device->buses && i < device->buses->len; i++) {
        Bus *bus = device->buses->pdata[i];

        for (unsigned j = 0; j < bus->devices->len; j++) {
            Device *child = bus->devices->pdata[j];

            if (child->parent != device) {
                reset_below(child, true);
            }
        }
    }
    if (device->realized) {
        reset_one(device);
    }
}

void device_reset_tree(Device *device)
{
    reset_below(device, device->parent != NULL);
}

void device_foreach(Device *device, void (*fn)(Device *device, void *opaque), void *opaque)
{
    fn(device, opaque);
    for (unsigned i = 0; i < device->children->len; i++) {
        device_foreach(device->children->pdata[i], fn, opaque);
    }
}

char *device_path(const Device *device)
{
    g_autofree char *parent = NULL;

    if (!device->parent) {
        return g_strdup_printf("/%s", device->id);
    }
    parent = device_path(device->parent);
    if (device->bus && device->bus->parent == device->parent &&
        strcmp(device->bus->name, device->parent->id) != 0) {
        return g_strdup_printf("%s/%s/%s", parent, device->bus->name, device->id);
    }
    return g_strdup_printf("%s/%s", parent, device->id);
}

void device_set_from_user(Device *device, bool named)
{
    device->from_user = true;
    device->anonymous = named ? -1 : (int)machine_next_number(device->machine, "peripheral-anon");
}

char *device_user_path(const Device *device)
{
    if (!device->from_user) {
        return device_path(device);
    }
    return device->anonymous < 0
               ? g_strdup_printf("/machine/peripheral/%s", device->id)
               : g_strdup_printf("/machine/peripheral-anon/device[%d]", device->anonymous);
}

typedef struct {
    const char *wanted;
    bool by_path;
    Device *found;
} DeviceSearch;

static void match_device(Device *device, void *opaque)
{
    DeviceSearch *search = opaque;

    if (search->found) {
        return;
    }
    if (search->by_path) {
        g_autofree char *path = device_path(device), *user = device_user_path(device);

        if (strcmp(path, search->wanted) == 0 || strcmp(user, search->wanted) == 0) {
            search->found = device;
        }
    } else if (strcmp(device->id, search->wanted) == 0) {
        search->found = device;
    }
}

Device *device_find(Machine *machine, const char *path_or_id)
{
    static const char backend[] = "/virtio-backend";
    g_autofree char *wanted = g_strdup(path_or_id);
    DeviceSearch search = { wanted, path_or_id[0] == '/', NULL };

    if (g_str_has_suffix(wanted, backend)) {
        wanted[strlen(wanted) - strlen(backend)] = '\0';
    }
    device_foreach(machine->root, match_device, &search);
    return search.found;
}

static void match_type(Device *device, void *opaque)
{
    DeviceSearch *search = opaque;

    if (!search->found && device->realized && strcmp(device->type->name, search->wanted) == 0) {
        search->found = device;
    }
}

Device *device_find_by_type(Machine *machine, const char *type)
{
    DeviceSearch search = { type, false, NULL };

    device_foreach(machine->root, match_type, &search);
    return search.found;
}

/* Room for one more of `count` pointers; it doubles. */
static void *grow_pointers(void *pointers, unsigned count)
{
    return is_power_of_two(count) || count == 0
               ? g_realloc_n(pointers, count ? 2 * count : 1, sizeof(void *))
               : pointers;
}

void device_add_mmio(Device *device, MemoryRegion *region)
{
    device->mmio = grow_pointers(device->mmio, device->mmio_count);
    device->mmio[device->mmio_count++] = region;
}

void device_add_io(Device *device, MemoryRegion *region)
{
    g_ptr_array_add(device->io, region);
}

void device_add_irq(Device *device, IrqLine *line)
{
    device->irqs = grow_pointers(device->irqs, device->irq_count);
    device->irqs[device->irq_count++] = line;
}

MemoryRegion *device_mmio(Device *device, unsigned index)
{
    assert(index < device->mmio_count);
    return device->mmio[index];
}

void device_map(Device *device, unsigned index, uint64_t address)
{
    memory_region_add(device->machine->system_memory, address, device_mmio(device, index), 0);
}

MemoryRegion *device_io(Device *device, unsigned index)
{
    assert(index < device->io->len);
    return device->io->pdata[index];
}

void device_map_io(Device *device, unsigned index, uint16_t port)
{
    memory_region_add(device->machine->system_io, port, device_io(device, index), 0);
}

void device_connect_irq(Device *device, unsigned index, IrqHandler *handler, void *opaque,
                        int number)
{
    assert(index < device->irq_count);
    irq_connect(device->irqs[index], handler, opaque, number);
}

void device_connect_irq_query(Device *device, unsigned index, IrqHandler *handler, IrqQuery *query,
                              void *opaque, int number)
{
    device_connect_irq(device, index, handler, opaque, number);
    device->irqs[index]->query = query;
}

void device_add_acknowledge(Device *device, IrqAcknowledge *acknowledge)
{
    if (!device->acknowledges) {
        device->acknowledges = g_ptr_array_new();
    }
    g_ptr_array_add(device->acknowledges, acknowledge);
}

void device_connect_acknowledge(Device *device, unsigned index, Device *source)
{
    assert(device->acknowledges && index < device->acknowledges->len && source->type->acknowledge);
    irq_connect_acknowledge(device->acknowledges->pdata[index], source->type->acknowledge, source);
}
