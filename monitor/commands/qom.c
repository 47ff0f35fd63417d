/* SPDX-License-Identifier: MIT */
/* Commands that walk devices and objects by paths and properties: qom-list, qom-get, qom-set … */
#include <stdlib.h>
#include <string.h>

#include "machine/accelerator.h"
#include "machine/board.h"
#include "machine/object.h"
#include "monitor/command.h"

static json_t *property_entry(const char *name, const char *type, const char *summary)
{
    json_t *entry = json_object();

    monitor_put(entry, "name", monitor_string(name));
    monitor_put(entry, "type", monitor_string(type));
    if (summary) {
        monitor_put(entry, "description", monitor_string(summary));
    }
    return entry;
}

static void append_properties(json_t *list, const Property *table, bool describe)
{
    for (const Property *p = table; p && p->name; p++) {
        json_t *entry =
            property_entry(p->name, property_type_name(p), describe ? p->summary : NULL);

        if (describe && p->fallback) {
            monitor_put(entry, "default-value", monitor_string(p->fallback));
        }
        json_array_append_new(list, entry);
    }
}

#define OBJECTS "/objects"

/* What a path leads to: one of the two. */
typedef struct {
    Device *device;
    Object *object;
} Place;

static bool find_place(Monitor *monitor, json_t *arguments, Place *place, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *path = monitor_get_string(arguments, "path");
    const char *id = g_str_has_prefix(path, OBJECTS "/") ? path + strlen(OBJECTS "/") : path;

    place->device = device_find(machine, path);
    place->object = place->device ? NULL : machine_find_object(machine, id);
    return place->device || place->object ||
           error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", path);
}

typedef struct {
    json_t *list;
    const char *folder;
} FolderSearch;

/* The user's devices, in the folders where other programs keep them. */
static void append_if_in_folder(Device *device, void *opaque)
{
    FolderSearch *search = opaque;
    g_autofree char *path = device_user_path(device), *type = NULL;
    size_t length = strlen(search->folder);

    if (device->from_user && !strncmp(path, search->folder, length) && path[length] == '/') {
        type = g_strdup_printf("child<%s>", device->type->name);
        json_array_append_new(search->list, property_entry(path + length + 1, type, NULL));
    }
}

static const char *const folders[] = { "/machine/peripheral", "/machine/peripheral-anon" };

static json_t *list_folder(Machine *machine, const char *path)
{
    FolderSearch search = { .folder = path };

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        if (!strcmp(path, folders[i])) {
            search.list = json_array();
            json_array_append_new(search.list, property_entry("type", "string", NULL));
            device_foreach(machine->root, append_if_in_folder, &search);
        }
    }
    return search.list;
}

static json_t *list_objects(Machine *machine)
{
    GPtrArray *objects = machine_objects(machine);
    json_t *list = json_array();

    json_array_append_new(list, property_entry("type", "string", NULL));
    for (guint i = 0; i < objects->len; i++) {
        const Object *object = objects->pdata[i];
        g_autofree char *type = g_strdup_printf("child<%s>", object->type->name);

        json_array_append_new(list, property_entry(object->id, type, NULL));
    }
    return list;
}

static json_t *list_root(void)
{
    json_t *list = json_array();

    json_array_append_new(list, property_entry("machine", "child<machine>", NULL));
    json_array_append_new(list, property_entry(&OBJECTS[1], "child<container>", NULL));
    return list;
}

static json_t *list_place(const Place *place)
{
    Device *device = place->device;
    json_t *list = json_array();

    json_array_append_new(list, property_entry("type", "string", NULL));
    if (place->object) {
        append_properties(list, place->object->type->properties, false);
        return list;
    }
    for (size_t i = 0; !device->parent && i < G_N_ELEMENTS(folders); i++) {
        json_array_append_new(
            list, property_entry(strrchr(folders[i], '/') + 1, "child<container>", NULL));
    }
    append_properties(list, device->type->properties, false);
    append_properties(list, device->type->bus_properties, false);
    for (guint i = 0; device->children && i < device->children->len; i++) {
        Device *child = device->children->pdata[i];
        char *type = g_strdup_printf("child<%s>", child->type->name);

        json_array_append_new(list, property_entry(child->id, type, NULL));
        g_free(type);
    }
    return list;
}

static json_t *list_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *path = monitor_get_string(arguments, "path");
    json_t *list = list_folder(monitor_machine(monitor), path);
    Place place;

    if (list) {
        return list;
    }
    if (!strcmp(path, "/")) {
        return list_root();
    }
    if (!strcmp(path, OBJECTS)) {
        return list_objects(monitor_machine(monitor));
    }
    return find_place(monitor, arguments, &place, error) ? list_place(&place) : NULL;
}

static void list_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s (%s)\n", monitor_get_string(entry, "name"),
                               monitor_get_string(entry, "type"));
    }
}

static const MonitorArgument list_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path or id of a device or an object",
      .complete = monitor_complete_devices },
    { NULL },
};

static const MonitorCommand list_command = {
    .name = "qom-list",
    .hmp = "qom-list",
    .summary = "lists the properties and children of a device, or properties of an object",
    .arguments = list_arguments,
    .run = list_run,
    .print = list_print,
    .returns = "[ObjectPropertyInfo]",
};
MONITOR_COMMAND(list_command);

static const Property *find_property(const Place *place, const char *name)
{
    const Device *device = place->device;
    const Property *property = NULL;

    if (place->object) {
        return property_find(place->object->type->properties, name);
    }
    if (device->type->properties) {
        property = property_find(device->type->properties, name);
    }
    if (!property && device->type->bus_properties) {
        property = property_find(device->type->bus_properties, name);
    }
    return property;
}

/* The JSON form of a property's text. */
static json_t *property_value(const Property *property, const char *text)
{
    char *end;
    unsigned long long number;

    switch (property->kind) {
    case PROPERTY_BOOL:
        return json_boolean(!g_strcmp0(text, "on") || !g_strcmp0(text, "true"));
    case PROPERTY_U8:
    case PROPERTY_U16:
    case PROPERTY_U32:
    case PROPERTY_U64:
    case PROPERTY_I32:
    case PROPERTY_SIZE:
    case PROPERTY_SIZE32:
        number = strtoull(text ? text : "", &end, 0);
        return text && *text && !*end ? json_integer(number) : monitor_string(text);
    case PROPERTY_JSON: {
        json_t *value = json_loads(text ? text : "null", JSON_DECODE_ANY, NULL);

        return value ? value : json_null();
    }
    default:
        return monitor_string(text);
    }
}

static json_t *get_child(const Device *device, const char *name)
{
    for (guint i = 0; device->children && i < device->children->len; i++) {
        Device *child = device->children->pdata[i];

        if (!g_strcmp0(child->id, name)) {
            g_autofree char *path = device_path(child);

            return monitor_string(path);
        }
    }
    return NULL;
}

static json_t *get_value(const Place *place, const char *name, GError **error)
{
    const Property *property;
    json_t *result;
    char *text;

    if (!strcmp(name, "type")) {
        return json_string(place->device ? place->device->type->name : place->object->type->name);
    }
    result = place->device ? get_child(place->device, name) : NULL;
    if (result) {
        return result;
    }
    property = find_property(place, name);
    text = place->device ? device_get(place->device, name, error)
                         : object_get(place->object, name, error);
    if (!text) {
        return NULL;
    }
    result = property ? property_value(property, text) : monitor_string(text);
    g_free(text);
    return result;
}

static json_t *get_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Place place;

    return find_place(monitor, arguments, &place, error)
               ? get_value(&place, monitor_get_string(arguments, "property"), error)
               : NULL;
}

static void get_print(Monitor *monitor, json_t *result, GString *out)
{
    char *text = json_dumps(result, JSON_ENCODE_ANY | JSON_INDENT(4));

    g_string_append_printf(out, "%s\n", text ? text : "");
    free(text);
}

static const MonitorArgument get_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path or id of a device or an object",
      .complete = monitor_complete_devices },
    { "property", ARGUMENT_STRING, .summary = "name of the property" },
    { NULL },
};

static const MonitorCommand get_command = {
    .name = "qom-get",
    .hmp = "qom-get",
    .summary = "shows a property of a device or an object",
    .arguments = get_arguments,
    .run = get_run,
    .print = get_print,
    .returns = "any",
};
MONITOR_COMMAND(get_command);

/* What is at one path, with the values that can be read. Folders have none but those of their kind. */
static json_t *list_values(Monitor *monitor, json_t *path, GError **error)
{
    json_auto_t *arguments = json_object();
    json_t *properties, *entry, *result;
    Place place = { NULL };
    size_t i;

    json_object_set(arguments, "path", path);
    properties = list_run(monitor, arguments, error);
    if (!properties) {
        return NULL;
    }
    find_place(monitor, arguments, &place, NULL);
    json_array_foreach(properties, i, entry)
    {
        const char *name = monitor_get_string(entry, "name");
        json_t *value = place.device || place.object ? get_value(&place, name, NULL)
                        : !strcmp(name, "type")      ? json_string("container")
                                                     : NULL;

        if (value) {
            monitor_put(entry, "value", value);
        }
    }
    result = json_object();
    monitor_put(result, "properties", properties);
    return result;
}

static json_t *list_get_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *paths = json_object_get(arguments, "paths"), *path, *entry;
    json_auto_t *list = json_array();
    size_t i;

    if (!json_is_array(paths)) {
        error_fail(error, KASO_ERROR_INVALID, "'paths' is a list of paths");
        return NULL;
    }
    json_array_foreach(paths, i, path)
    {
        if (!json_is_string(path)) {
            error_fail(error, KASO_ERROR_INVALID, "'paths[%zu]' is no string", i);
            return NULL;
        }
        entry = list_values(monitor, path, error);
        if (!entry) {
            return NULL;
        }
        json_array_append_new(list, entry);
    }
    return json_incref(list);
}

static const MonitorArgument list_get_arguments[] = {
    { "paths", ARGUMENT_ANY, .summary = "paths or ids of devices and objects", .type = "[str]" },
    { NULL },
};

static const MonitorCommand list_get_command = {
    .name = "qom-list-get",
    .summary = "lists the properties and children of devices and objects, with their values",
    .arguments = list_get_arguments,
    .run = list_get_run,
    .returns = "[ObjectPropertiesValues]",
};
MONITOR_COMMAND(list_get_command);

static json_t *set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "property");
    json_t *value = json_object_get(arguments, "value");
    Place place;
    char *text;

    if (!find_place(monitor, arguments, &place, error)) {
        return NULL;
    }
    if (json_is_string(value)) {
        text = g_strdup(json_string_value(value));
    } else if (json_is_boolean(value)) {
        text = g_strdup(json_is_true(value) ? "on" : "off");
    } else if (json_is_integer(value)) {
        text = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        text = g_strdup(dump);
        free(dump);
    }
    if (place.device) {
        device_set(place.device, name, text, error);
    } else {
        object_set(place.object, name, text, error);
    }
    g_free(text);
    return NULL;
}

static const MonitorArgument set_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path or id of a device or an object",
      .complete = monitor_complete_devices },
    { "property", ARGUMENT_STRING, .summary = "name of the property" },
    { "value", ARGUMENT_ANY, .summary = "its new value" },
    { NULL },
};

static const MonitorCommand set_command = {
    .name = "qom-set",
    .hmp = "qom-set",
    .summary = "changes a property of a device or an object",
    .arguments = set_arguments,
    .run = set_run,
};
MONITOR_COMMAND(set_command);

static void append_type(json_t *list, const char *wanted, const char *name, const char *parent)
{
    json_t *entry;

    if (wanted && strcmp(wanted, "object") && strcmp(wanted, parent) && strcmp(wanted, name)) {
        return;
    }
    entry = json_object();
    monitor_put(entry, "name", monitor_string(name));
    monitor_put(entry, "parent", json_string(parent));
    json_array_append_new(list, entry);
}

static char *machine_type_name(const Board *board)
{
    return g_strconcat(board->name, "-machine", NULL);
}

static char *cpu_type_name(const CpuModel *model)
{
    return g_strdup_printf("%s-%s-cpu", model->name, model->target->name);
}

/* Devices, and what is no device: objects, accelerators, machines, and the CPUs of the program's own target. */
static json_t *list_types_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *implements = monitor_get_string(arguments, "implements");
    const Target *target = monitor_machine(monitor)->config.target;
    const DeviceType *const *device;
    const ObjectType *const *object;
    const CpuModel *const *model;
    const Accelerator *const *accelerator;
    const Board *const *board;
    json_t *list = json_array();

    REGISTRY_FOREACH(device_types, device) {
        append_type(list, implements, (*device)->name, "device");
    }
    REGISTRY_FOREACH(object_types, object) {
        append_type(list, implements, (*object)->name, "user-creatable");
    }
    REGISTRY_FOREACH(accelerators, accelerator) {
        g_autofree char *name = g_strconcat((*accelerator)->name, "-accel", NULL);

        append_type(list, implements, name, "accel");
    }
    REGISTRY_FOREACH(boards, board) {
        g_autofree char *name = machine_type_name(*board);

        append_type(list, implements, name, "machine");
    }
    REGISTRY_FOREACH(cpu_models, model) {
        if (!target || (*model)->target == target) {
            g_autofree char *name = cpu_type_name(*model);

            append_type(list, implements, name, "cpu");
        }
    }
    return list;
}

static const MonitorArgument list_types_arguments[] = {
    { "implements", ARGUMENT_STRING, true, "only types that are one of these" },
    { "abstract", ARGUMENT_BOOL, true, "accepted; no type is abstract" },
    { NULL },
};

static const MonitorCommand list_types_command = {
    .name = "qom-list-types",
    .summary = "lists the types of devices, objects, machines and CPUs",
    .arguments = list_types_arguments,
    .run = list_types_run,
    .returns = "[ObjectTypeInfo]",
};
MONITOR_COMMAND(list_types_command);

static json_t *device_properties_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "typename");
    const DeviceType *type = device_type_find(name);
    json_t *list;

    if (!type) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "there is no device type '%s'", name);
        return NULL;
    }
    list = json_array();
    append_properties(list, type->properties, true);
    append_properties(list, type->bus_properties, true);
    return list;
}

static const MonitorArgument device_properties_arguments[] = {
    { "typename", ARGUMENT_STRING, .summary = "type of device",
      .complete = monitor_complete_device_types },
    { NULL },
};

static const MonitorCommand device_properties_command = {
    .name = "device-list-properties",
    .summary = "lists the properties of a type of device",
    .arguments = device_properties_arguments,
    .run = device_properties_run,
    .returns = "[ObjectPropertyInfo]",
};
MONITOR_COMMAND(device_properties_command);

/* The properties of a machine or CPU by its type's name; false: there is no such type. */
static bool append_machine_or_cpu(json_t *list, const char *name)
{
    const Board *const *board;
    const CpuModel *const *model;

    REGISTRY_FOREACH(boards, board) {
        g_autofree char *type = machine_type_name(*board);

        if (!strcmp(type, name)) {
            append_properties(list, (*board)->properties, true);
            return true;
        }
    }
    REGISTRY_FOREACH(cpu_models, model) {
        g_autofree char *type = cpu_type_name(*model);

        if (!strcmp(type, name)) {
            append_properties(list, (*model)->target->properties, true);
            return true;
        }
    }
    return false;
}

static json_t *type_properties_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *name = monitor_get_string(arguments, "typename");
    const DeviceType *device = device_type_find(name);
    const ObjectType *object = object_type_find(name);
    json_t *list = json_array();

    json_array_append_new(list, property_entry("type", "string", NULL));
    if (device) {
        append_properties(list, device->properties, true);
        append_properties(list, device->bus_properties, true);
    } else if (object) {
        append_properties(list, object->properties, true);
    } else if (!append_machine_or_cpu(list, name)) {
        json_decref(list);
        error_fail(error, KASO_ERROR_NO_DEVICE, "there is no type '%s'; qom-list-types lists them",
                   name);
        return NULL;
    }
    return list;
}

static const MonitorArgument type_properties_arguments[] = {
    { "typename", ARGUMENT_STRING, .summary = "type of device, object, machine or CPU" },
    { NULL },
};

static const MonitorCommand type_properties_command = {
    .name = "qom-list-properties",
    .summary = "lists the properties of a type of device, object, machine or CPU",
    .arguments = type_properties_arguments,
    .run = type_properties_run,
    .returns = "[ObjectPropertyInfo]",
};
MONITOR_COMMAND(type_properties_command);
