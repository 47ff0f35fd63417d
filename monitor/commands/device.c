/* SPDX-License-Identifier: MIT */
/* Commands about devices: the trees, the types, registers by name, plugging. */
#include <inttypes.h>
#include <string.h>

#include <stdlib.h>

#include "base/bits.h"
#include "machine/device-open.h"
#include "migration/migration.h"
#include "monitor/command.h"
#include "monitor/device-state.h"

/* Appends what describes one device in `info qtree`, and the buses below it. */
static void qtree_device(Device *device, int indent, GString *out);

static void qtree_bus(Bus *bus, int indent, GString *out)
{
    g_string_append_printf(out, "%*sbus: %s\n", indent, "", bus->name);
    g_string_append_printf(out, "%*stype %s\n", indent + 2, "", bus->type->name);
    for (guint i = 0; i < bus->devices->len; i++) {
        qtree_device(bus->devices->pdata[i], indent + 2, out);
    }
}

static void qtree_properties(Device *device, const Property *table, int indent, GString *out)
{
    for (const Property *p = table; p && p->name; p++) {
        char *value = device_get(device, p->name, NULL);
        bool quoted = p->kind == PROPERTY_STRING || p->kind == PROPERTY_CHARDEV ||
                      p->kind == PROPERTY_NETDEV || p->kind == PROPERTY_AUDIODEV ||
                      p->kind == PROPERTY_DRIVE || p->kind == PROPERTY_ENUM ||
                      p->kind == PROPERTY_ON_OFF_AUTO || p->kind == PROPERTY_MAC;

        g_string_append_printf(out, quoted ? "%*s%s = \"%s\"\n" : "%*s%s = %s\n", indent, "",
                               p->name, value ? value : "");
        g_free(value);
    }
}

static void qtree_device(Device *device, int indent, GString *out)
{
    bool generated = !device->id || g_str_has_prefix(device->id, device->type->name);

    g_string_append_printf(out, "%*sdev: %s, id \"%s\"\n", indent, "", device->type->name,
                           generated ? "" : device->id);
    indent += 2;
    if (device->irq_count) {
        g_string_append_printf(out, "%*sgpio-out \"sysbus-irq\" %u\n", indent, "",
                               device->irq_count);
    }
    qtree_properties(device, device->type->properties, indent, out);
    qtree_properties(device, device->type->bus_properties, indent, out);
    if (device->bus && device->bus->type->describe) {
        GString *extra = g_string_new(NULL);
        char **lines;

        device->bus->type->describe(device, extra);
        lines = g_strsplit(extra->str, "\n", -1);
        for (char **line = lines; *line; line++) {
            if (**line) {
                g_string_append_printf(out, "%*s%s\n", indent, "", g_strchug(*line));
            }
        }
        g_strfreev(lines);
        g_string_free(extra, TRUE);
    }
    for (unsigned i = 0; i < device->mmio_count; i++) {
        MemoryRegion *region = device->mmio[i];
        bool mapped = region->parent != NULL;

        g_string_append_printf(out, "%*smmio %016" PRIx64 "/%016" PRIx64 "\n", indent, "",
                               mapped ? region->address : UINT64_MAX, region->size);
    }
    for (guint i = 0; i < device->io->len; i++) {
        MemoryRegion *region = device->io->pdata[i];

        if (region->parent) {
            g_string_append_printf(out, "%*spio %04" PRIx64 "/%04" PRIx64 "\n", indent, "",
                                   region->address, region->size);
        }
    }
    for (guint i = 0; device->buses && i < device->buses->len; i++) {
        qtree_bus(device->buses->pdata[i], indent, out);
    }
}

/* Devices that boards place: on no bus. */
static void qtree_unplugged(Device *device, int indent, GString *out)
{
    for (guint i = 0; device->children && i < device->children->len; i++) {
        Device *child = device->children->pdata[i];

        if (!child->bus) {
            qtree_device(child, indent, out);
            qtree_unplugged(child, indent, out);
        }
    }
}

static json_t *qtree_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Device *root = monitor_machine(monitor)->root;
    GString *out = g_string_new("bus: main-system-bus\n  type System\n");

    qtree_unplugged(root, 2, out);
    for (guint i = 0; root->buses && i < root->buses->len; i++) {
        qtree_bus(root->buses->pdata[i], 2, out);
    }
    return monitor_text(out);
}

static const MonitorCommand qtree_command = {
    .name = "x-query-qtree",
    .hmp = "info qtree",
    .summary = "shows buses, the devices on them and their properties",
    .run = qtree_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(qtree_command);

typedef struct {
    const char *bus;
    GString *out;
    bool any;
} Summary;

static void summarize_buses(Device *device, void *opaque)
{
    Summary *summary = opaque;

    for (unsigned i = 0; device->buses && i < device->buses->len; i++) {
        const Bus *bus = device->buses->pdata[i];

        if (strcmp(bus->type->name, summary->bus) != 0 || !bus->type->summarize) {
            continue;
        }
        summary->any = true;
        for (unsigned j = 0; j < bus->devices->len; j++) {
            bus->type->summarize(bus->devices->pdata[j], summary->out);
        }
    }
}

static json_t *usb_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Summary summary = { "usb-bus", g_string_new(NULL), false };

    device_foreach(monitor_machine(monitor)->root, summarize_buses, &summary);
    if (!summary.any) {
        g_string_append(summary.out, "USB support not enabled\n");
    }
    return monitor_text(summary.out);
}

static const MonitorCommand usb_command = {
    .name = "x-query-usb",
    .hmp = "info usb",
    .summary = "lists USB devices by bus and address",
    .run = usb_run,
};
MONITOR_COMMAND(usb_command);

static void qom_tree(Device *device, int indent, GString *out)
{
    g_string_append_printf(out, "%*s/%s (%s)\n", indent, "", device->id ? device->id : "?",
                           device->type->name);
    for (guint i = 0; device->children && i < device->children->len; i++) {
        qom_tree(device->children->pdata[i], indent + 2, out);
    }
}

static json_t *qom_tree_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *path = monitor_get_string(arguments, "path");
    Device *device = device_find(monitor_machine(monitor), path ? path : "/machine");
    GString *out;

    if (!device) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "there is no device '%s'", path);
        return NULL;
    }
    out = g_string_new(NULL);
    qom_tree(device, 0, out);
    return monitor_text(out);
}

static const MonitorArgument path_optional_arguments[] = {
    { "path", ARGUMENT_STRING, true, "path or id to begin at",
      .complete = monitor_complete_devices },
    { NULL },
};

static const MonitorCommand qom_tree_command = {
    .name = "x-query-device-tree",
    .hmp = "info qom-tree",
    .summary = "shows the tree of devices by their paths",
    .arguments = path_optional_arguments,
    .run = qom_tree_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(qom_tree_command);

static const char *type_category(const DeviceType *type)
{
    return type->category ? type->category : "misc";
}

static gint compare_types(gconstpointer a, gconstpointer b)
{
    const DeviceType *left = *(const DeviceType *const *)a, *right = *(const DeviceType *const *)b;
    int order = strcmp(type_category(left), type_category(right));

    return order ? order : strcmp(left->name, right->name);
}

static json_t *types_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *types = g_ptr_array_new();
    const DeviceType *const *it;
    json_t *list = json_array();

    REGISTRY_FOREACH(device_types, it) {
        g_ptr_array_add(types, (gpointer)*it);
    }
    g_ptr_array_sort(types, compare_types);
    for (guint i = 0; i < types->len; i++) {
        const DeviceType *type = types->pdata[i];
        json_t *entry = json_object();

        monitor_put(entry, "name", json_string(type->name));
        monitor_put(entry, "category", json_string(type_category(type)));
        monitor_put(entry, "bus", monitor_string(type->bus));
        monitor_put(entry, "summary", monitor_string(type->summary));
        monitor_put(entry, "user-creatable", json_boolean(!type->board_only));
        json_array_append_new(list, entry);
    }
    g_ptr_array_unref(types);
    return list;
}

static void types_print(Monitor *monitor, json_t *result, GString *out)
{
    const char *category = NULL;
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        const char *own = monitor_get_string(entry, "category");
        const char *bus = monitor_get_string(entry, "bus");

        if (g_strcmp0(own, category)) {
            g_string_append_printf(out, "%s%c%s devices:\n", category ? "\n" : "",
                                   g_ascii_toupper(*own), own + 1);
            category = own;
        }
        g_string_append_printf(out, "name \"%s\"", monitor_get_string(entry, "name"));
        if (*bus) {
            g_string_append_printf(out, ", bus %s", bus);
        }
        g_string_append_printf(out, ", desc \"%s\"%s\n", monitor_get_string(entry, "summary"),
                               monitor_get_bool(entry, "user-creatable") ? "" : ", no-user");
    }
}

static const MonitorCommand types_command = {
    .name = "x-query-device-types",
    .hmp = "info qdm",
    .summary = "lists the types of devices",
    .run = types_run,
    .print = types_print,
    .returns = "[any]",
};
MONITOR_COMMAND(types_command);

/* Without side effects; false: it cannot be told without. */
static bool peek_register(Device *device, const Register *reg, unsigned index, uint64_t *value)
{
    *value = 0;
    if (reg->field != REGISTER_NO_FIELD) {
        memcpy(value, (const char *)device + reg->field + (size_t)index * reg->width, reg->width);
    } else if (reg->constants) {
        *value = reg->constants[index];
    } else if (reg->read && reg->access & REGISTER_PEEK && device->realized) {
        *value = reg->read(device, index);
    } else {
        return false;
    }
    return true;
}

static json_t *describe_register(Device *device, const Register *reg, unsigned index)
{
    uint64_t value;
    json_t *entry = json_object();
    unsigned stride = reg->stride ? reg->stride : reg->width;
    char *name = reg->count > 1 ? g_strdup_printf("%s[%u]", reg->name, index) : g_strdup(reg->name);

    monitor_put(entry, "name", monitor_string(name));
    monitor_put(entry, "offset", json_integer(reg->offset + (uint64_t)index * stride));
    monitor_put(entry, "width", json_integer(reg->width));
    if (peek_register(device, reg, index, &value)) {
        monitor_put(entry, "value", json_integer(value));
    }
    if (reg->fields && monitor_get_int(entry, "value", 0)) {
        g_autoptr(GString) text = g_string_new(NULL);

        register_fields_describe(reg->fields, monitor_get_int(entry, "value", 0), text);
        monitor_put(entry, "fields", json_string(text->str));
    }
    if (reg->summary) {
        monitor_put(entry, "summary", json_string(reg->summary));
    }
    g_free(name);
    return entry;
}

enum { REGISTER_ARRAY_SHOWN_MAX = 64 };

static json_t *describe_bank(Device *device, const RegisterBank *bank, const MemoryRegion *region)
{
    json_t *entry = json_object(), *registers = json_array();

    for (const Register *reg = bank->registers; reg && reg->name; reg++) {
        unsigned count = MIN(MAX(reg->count, 1), REGISTER_ARRAY_SHOWN_MAX);

        for (unsigned i = 0; i < count; i++) {
            json_array_append_new(registers, describe_register(device, reg, i));
        }
    }
    monitor_put(entry, "name", json_string(bank->name));
    if (region && region->parent) {
        monitor_put(entry, "address", json_integer(region->address));
    }
    monitor_put(entry, "registers", registers);
    return entry;
}

typedef struct {
    const char *type;
    Device *first;
    GString *others; /* their paths */
} TypeSearch;

static void match_type(Device *device, void *opaque)
{
    TypeSearch *search = opaque;
    g_autofree char *path = device_path(device);

    if (!strcmp(device->type->name, search->type)) {
        g_string_append_printf(search->others, "%s%s", search->first ? ", " : "", path);
        search->first = search->first ? search->first : device;
    }
}

/* By path, id, or type when there is one of that. */
static Device *find_device(Machine *machine, const char *name, GError **error)
{
    Device *device = device_find(machine, name);
    TypeSearch search = { .type = name };

    if (device) {
        return device;
    }
    search.others = g_string_new(NULL);
    device_foreach(machine->root, match_type, &search);
    if (!search.first) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no device '%s'; 'info qom-tree' shows them", name);
    } else if (strchr(search.others->str, ',')) {
        error_fail(error, KASO_ERROR_INVALID, "there are several of type '%s': %s", name,
                   search.others->str);
        search.first = NULL;
    }
    g_string_free(search.others, TRUE);
    return search.first;
}

static json_t *device_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *path = monitor_get_string(arguments, "path");
    Device *device = find_device(monitor_machine(monitor), path, error);
    json_t *result, *banks;
    char *own_path;
    unsigned mmio = 0, io = 0;

    if (!device) {
        return NULL;
    }
    result = json_object();
    banks = json_array();
    own_path = device_path(device);
    for (const RegisterBank *bank = device->type->banks; bank && bank->name; bank++) {
        const MemoryRegion *region = NULL;

        if (device->realized) {
            region = bank->ports ? device_io(device, io++) : device_mmio(device, mmio++);
        }
        json_array_append_new(banks, describe_bank(device, bank, region));
    }
    monitor_put(result, "path", monitor_string(own_path));
    monitor_put(result, "type", json_string(device->type->name));
    monitor_put(result, "summary", monitor_string(device->type->summary));
    monitor_put(result, "banks", banks);
    monitor_put(result, "state",
                device_state_json(device, device->realized ? device->type->state : NULL));
    g_free(own_path);
    return result;
}

static void print_register(json_t *reg, uint64_t base, GString *out)
{
    int width = monitor_get_int(reg, "width", 4);
    const char *summary = monitor_get_string(reg, "summary");

    g_string_append_printf(out, "  %016" PRIx64 "  %-20s", base + monitor_get_int(reg, "offset", 0),
                           monitor_get_string(reg, "name"));
    if (monitor_has(reg, "value")) {
        g_string_append_printf(out, " 0x%0*" PRIx64, 2 * width,
                               monitor_get_int(reg, "value", 0) & bits_mask(8 * width));
    } else {
        g_string_append(out, " -");
    }
    if (monitor_has(reg, "fields")) {
        g_string_append_printf(out, "  %s", monitor_get_string(reg, "fields"));
    }
    g_string_append_printf(out, "%s%s\n", summary ? "  " : "", summary ? summary : "");
}

static void device_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i, j;
    json_t *bank, *reg;

    g_string_append_printf(out, "%s: %s (%s)\n", monitor_get_string(result, "path"),
                           monitor_get_string(result, "type"),
                           monitor_get_string(result, "summary"));
    json_array_foreach(json_object_get(result, "banks"), i, bank)
    {
        uint64_t base = monitor_get_int(bank, "address", 0);

        g_string_append_printf(out, " %s\n", monitor_get_string(bank, "name"));
        json_array_foreach(json_object_get(bank, "registers"), j, reg)
        {
            print_register(reg, base, out);
        }
    }
    if (json_array_size(json_object_get(result, "state"))) {
        g_string_append(out, " state\n");
    }
    json_array_foreach(json_object_get(result, "state"), i, reg)
    {
        int width = (int)monitor_get_int(reg, "width", 8);

        g_string_append_printf(out, "  %-38s 0x%0*" PRIx64 "\n", monitor_get_string(reg, "name"),
                               2 * width,
                               (uint64_t)monitor_get_int(reg, "value", 0) & bits_mask(8 * width));
    }
}

static const MonitorArgument path_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path, id or type of a device",
      .complete = monitor_complete_devices },
    { NULL },
};

static const MonitorCommand device_command = {
    .name = "x-query-device",
    .hmp = "info device",
    .summary = "shows a device's registers by their names, without side effects",
    .arguments = path_arguments,
    .run = device_run,
    .print = device_print,
    .returns = "DeviceRegisters",
};
MONITOR_COMMAND(device_command);

/* QMP gives the properties beside the driver, HMP all in one text as -device takes it. */
static json_t *device_add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *driver = monitor_get_string(arguments, "driver");
    g_autoptr(KeyValues) list = NULL;
    char *text;

    if (!migration_may_plug(monitor_machine(monitor), error)) {
        return NULL;
    }
    text = json_dumps(arguments, 0);
    list = json_object_size(arguments) == 1 ? key_values_parse_list(driver, "driver", error)
                                            : key_values_parse_json(text, error);
    free(text);
    if (list) {
        device_open(monitor_machine(monitor), list, error);
    }
    return NULL;
}

static const MonitorArgument device_add_arguments[] = {
    { "driver", ARGUMENT_STRING, .summary = "type of the device",
      .complete = monitor_complete_device_types },
    { NULL },
};

static const MonitorCommand device_add_command = {
    .name = "device_add",
    .hmp = "device_add",
    .summary = "adds a device to the running machine",
    .arguments = device_add_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = device_add_run,
};
MONITOR_COMMAND(device_add_command);

static json_t *device_del_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *id = monitor_get_string(arguments, "id");
    Device *device = device_find(monitor_machine(monitor), id);
    Bus *bus = device ? device->bus : NULL;

    if (!migration_may_plug(monitor_machine(monitor), error)) {
        return NULL;
    }
    if (!device) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", id);
    } else if (!bus || device->type->board_only || device->type->fixed) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "Device '%s' does not support hotplugging", id);
    } else if (!bus->type->unplug) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "Bus '%s' does not support hotplugging yet",
                   bus->name);
    } else {
        bus->type->unplug(bus, device, error);
    }
    return NULL;
}

static const MonitorArgument device_del_arguments[] = {
    { "id", ARGUMENT_STRING, .summary = "path or id of a device",
      .complete = monitor_complete_devices },
    { NULL },
};

static const MonitorCommand device_del_command = {
    .name = "device_del",
    .hmp = "device_del",
    .summary = "removes a device from the running machine",
    .arguments = device_del_arguments,
    .run = device_del_run,
};
MONITOR_COMMAND(device_del_command);
