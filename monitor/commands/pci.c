/* SPDX-License-Identifier: MIT */
/* What is on the PCI buses: query-pci, `info pci`. */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "machine/pci-function.h"
#include "monitor/command.h"

/* Class codes of the PCI Code and ID Assignment Specification; a class with subclass 0xff is for all of its others. */
static const struct {
    uint16_t code;
    const char *name;
} classes[] = {
    { 0x0001, "VGA controller" },
    { 0x0100, "SCSI controller" },
    { 0x0101, "IDE controller" },
    { 0x0102, "Floppy controller" },
    { 0x0104, "RAID controller" },
    { 0x0106, "SATA controller" },
    { 0x0108, "NVMe controller" },
    { 0x01ff, "Storage controller" },
    { 0x0200, "Ethernet controller" },
    { 0x02ff, "Network controller" },
    { 0x0300, "VGA controller" },
    { 0x0302, "3D controller" },
    { 0x03ff, "Display controller" },
    { 0x0400, "Video controller" },
    { 0x0401, "Audio controller" },
    { 0x0403, "Audio controller" },
    { 0x04ff, "Multimedia controller" },
    { 0x0500, "RAM controller" },
    { 0x05ff, "Memory controller" },
    { 0x0600, "Host bridge" },
    { 0x0601, "ISA bridge" },
    { 0x0604, "PCI bridge" },
    { 0x06ff, "Bridge" },
    { 0x0700, "Serial port" },
    { 0x0701, "Parallel port" },
    { 0x07ff, "Communication controller" },
    { 0x0880, "System peripheral" },
    { 0x08ff, "System peripheral" },
    { 0x0900, "Keyboard controller" },
    { 0x09ff, "Input controller" },
    { 0x0c03, "USB controller" },
    { 0x0c05, "SMBus" },
    { 0x0cff, "Serial bus controller" },
};

static const char *class_name(uint16_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        if (classes[i].code == code || classes[i].code == (code | 0xff)) {
            return classes[i].name;
        }
    }
    return NULL;
}

static json_t *describe_region(const PciRegionInfo *region)
{
    json_t *object = json_object();

    monitor_put(object, "bar", json_integer(region->bar));
    monitor_put(object, "type", json_string(region->is_io ? "io" : "memory"));
    monitor_put(object, "address", json_integer(region->mapped ? (json_int_t)region->address : -1));
    monitor_put(object, "size", json_integer(region->size));
    if (!region->is_io) {
        monitor_put(object, "prefetch", json_boolean(region->prefetch));
        monitor_put(object, "mem_type_64", json_boolean(region->wide));
    }
    return object;
}

static json_t *describe_range(const PciRange *range)
{
    json_t *object = json_object();

    monitor_put(object, "base", json_integer(range->base));
    monitor_put(object, "limit", json_integer(range->limit));
    return object;
}

static json_t *describe_bus(const Bus *bus);

static json_t *describe_bridge(const Device *device, const PciBridgeInfo *info)
{
    json_t *object = json_object(), *bus = json_object(), *devices = json_array();

    monitor_put(bus, "number", json_integer(info->primary));
    monitor_put(bus, "secondary", json_integer(info->secondary));
    monitor_put(bus, "subordinate", json_integer(info->subordinate));
    monitor_put(bus, "io_range", describe_range(&info->io));
    monitor_put(bus, "memory_range", describe_range(&info->memory));
    monitor_put(bus, "prefetchable_range", describe_range(&info->prefetchable));
    monitor_put(object, "bus", bus);
    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        json_t *below = describe_bus(device->buses->pdata[i]);

        json_array_extend(devices, below);
        json_decref(below);
    }
    /* Until the guest numbers the buses nobody can reach them. */
    if (info->secondary) {
        monitor_put(object, "devices", json_incref(devices));
    }
    json_decref(devices);
    return object;
}

static json_t *describe_function(const Device *device, const PciFunctionInfo *info)
{
    json_t *object = json_object(), *class_info = json_object(), *id = json_object();
    json_t *regions = json_array();
    const char *name = class_name(info->class_code);

    monitor_put(object, "bus", json_integer(info->bus));
    monitor_put(object, "slot", json_integer(info->slot));
    monitor_put(object, "function", json_integer(info->function));
    monitor_put(class_info, "class", json_integer(info->class_code));
    if (name) {
        monitor_put(class_info, "desc", json_string(name));
    }
    monitor_put(object, "class_info", class_info);
    monitor_put(id, "vendor", json_integer(info->vendor));
    monitor_put(id, "device", json_integer(info->device));
    if (info->subsystem_vendor) {
        monitor_put(id, "subsystem-vendor", json_integer(info->subsystem_vendor));
        monitor_put(id, "subsystem", json_integer(info->subsystem));
    }
    monitor_put(object, "id", id);
    if (info->irq_pin) {
        monitor_put(object, "irq", json_integer(info->irq_line));
    }
    monitor_put(object, "irq_pin", json_integer(info->irq_pin));
    monitor_put(object, "qdev_id",
                monitor_string(device->from_user && device->anonymous < 0 ? device->id : ""));
    for (unsigned i = 0; i < info->region_count; i++) {
        json_array_append_new(regions, describe_region(&info->regions[i]));
    }
    monitor_put(object, "regions", regions);
    if (info->is_bridge) {
        monitor_put(object, "pci_bridge", describe_bridge(device, &info->bridge));
    }
    return object;
}

typedef struct {
    const Device *device;
    PciFunctionInfo info;
} Function;

static int compare_functions(const void *a, const void *b)
{
    const Function *first = a, *second = b;

    return (int)(first->info.slot << 3 | first->info.function) -
           (int)(second->info.slot << 3 | second->info.function);
}

/* The functions of a PCI bus by their addresses; of another bus none. */
static json_t *describe_bus(const Bus *bus)
{
    json_t *array = json_array();
    g_autoptr(GArray) functions = g_array_new(FALSE, TRUE, sizeof(Function));

    for (unsigned i = 0; bus->type->pci_function && i < bus->devices->len; i++) {
        Function function = { .device = bus->devices->pdata[i] };

        if (function.device->realized) {
            bus->type->pci_function(function.device, &function.info);
            g_array_append_val(functions, function);
        }
    }
    g_array_sort(functions, compare_functions);
    for (unsigned i = 0; i < functions->len; i++) {
        const Function *function = &g_array_index(functions, Function, i);

        json_array_append_new(array, describe_function(function->device, &function->info));
    }
    return array;
}

/* Bridges' buses are told with them. */
static void add_root_buses(Device *device, void *opaque)
{
    if (device->bus && device->bus->type->pci_function) {
        return;
    }
    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        const Bus *bus = device->buses->pdata[i];

        if (bus->type->pci_function) {
            json_t *object = json_object();

            monitor_put(object, "bus", json_integer(0));
            monitor_put(object, "devices", describe_bus(bus));
            json_array_append_new(opaque, object);
        }
    }
}

static json_t *pci_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *buses = json_array();

    device_foreach(monitor_machine(monitor)->root, add_root_buses, buses);
    return buses;
}

static int64_t number(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void print_region(json_t *region, GString *out)
{
    int64_t address = number(region, "address"), size = number(region, "size");
    bool is_io = !strcmp(monitor_get_string(region, "type"), "io");
    int digits = is_io ? 4 : 8;

    g_string_append_printf(out, "      BAR%d: ", (int)number(region, "bar"));
    if (is_io) {
        g_string_append(out, "I/O");
    } else {
        g_string_append_printf(out, "%d bit %smemory",
                               monitor_get_bool(region, "mem_type_64") ? 64 : 32,
                               monitor_get_bool(region, "prefetch") ? "prefetchable " : "");
    }
    if (address == -1) {
        g_string_append(out, " (not mapped)\n");
    } else {
        g_string_append_printf(out, " at 0x%0*" PRIx64 " [0x%0*" PRIx64 "]\n", digits, address,
                               digits, address + size - 1);
    }
}

static void print_range(json_t *bus, const char *member, const char *name, int digits, GString *out)
{
    json_t *range = json_object_get(bus, member);

    g_string_append_printf(out, "      %s range [0x%0*" PRIx64 ", 0x%0*" PRIx64 "]\n", name, digits,
                           number(range, "base"), digits, number(range, "limit"));
}

static void print_function(json_t *function, GString *out);

static void print_functions(json_t *functions, GString *out)
{
    json_t *function;
    size_t i;

    json_array_foreach(functions, i, function)
    {
        print_function(function, out);
    }
}

static void print_bridge(json_t *bridge, GString *out)
{
    json_t *bus = json_object_get(bridge, "bus");

    g_string_append_printf(
        out, "      BUS %d.\n      secondary bus %d.\n      subordinate bus %d.\n",
        (int)number(bus, "number"), (int)number(bus, "secondary"), (int)number(bus, "subordinate"));
    print_range(bus, "io_range", "IO", 4, out);
    print_range(bus, "memory_range", "memory", 8, out);
    print_range(bus, "prefetchable_range", "prefetchable memory", 8, out);
}

static void print_function(json_t *function, GString *out)
{
    json_t *class_info = json_object_get(function, "class_info");
    json_t *id = json_object_get(function, "id"), *bridge = json_object_get(function, "pci_bridge");
    const char *name = monitor_get_string(class_info, "desc");
    json_t *region;
    size_t i;

    g_string_append_printf(out, "  Bus %2d, device %3d, function %d:\n    ",
                           (int)number(function, "bus"), (int)number(function, "slot"),
                           (int)number(function, "function"));
    if (name) {
        g_string_append(out, name);
    } else {
        g_string_append_printf(out, "Class %04d", (int)number(class_info, "class"));
    }
    g_string_append_printf(out, ": PCI device %04x:%04x\n", (unsigned)number(id, "vendor"),
                           (unsigned)number(id, "device"));
    if (monitor_has(id, "subsystem-vendor")) {
        g_string_append_printf(out, "      PCI subsystem %04x:%04x\n",
                               (unsigned)number(id, "subsystem-vendor"),
                               (unsigned)number(id, "subsystem"));
    }
    if (monitor_has(function, "irq")) {
        g_string_append_printf(out, "      IRQ %d, pin %c\n", (int)number(function, "irq"),
                               (char)('A' + number(function, "irq_pin") - 1));
    }
    if (bridge) {
        print_bridge(bridge, out);
    }
    json_array_foreach(json_object_get(function, "regions"), i, region)
    {
        print_region(region, out);
    }
    g_string_append_printf(out, "      id \"%s\"\n", monitor_get_string(function, "qdev_id"));
    print_functions(json_object_get(bridge, "devices"), out);
}

static void pci_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *bus;
    size_t i;

    json_array_foreach(result, i, bus)
    {
        print_functions(json_object_get(bus, "devices"), out);
    }
}

static const MonitorCommand pci_command = {
    .name = "query-pci",
    .hmp = "info pci",
    .summary = "shows the functions on the PCI buses",
    .run = pci_run,
    .print = pci_print,
    .returns = "[PciInfo]",
};
MONITOR_COMMAND(pci_command);
