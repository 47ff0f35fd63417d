/* SPDX-License-Identifier: MIT */
/* query-qmp-schema: introspection, made from the definitions of all commands. */
#include <string.h>

#include "monitor/command.h"
#include "monitor/schema-types.h"

/* QMP's built-in type of an argument, and how JSON writes it. */
static const char *schema_type(ArgumentKind kind)
{
    switch (kind) {
    case ARGUMENT_INT:
    case ARGUMENT_SIZE:
        return "int";
    case ARGUMENT_BOOL:
    case ARGUMENT_FLAG:
        return "bool";
    case ARGUMENT_ANY:
    case ARGUMENT_OBJECT:
        return "any";
    default:
        return "str";
    }
}

static json_t *schema_builtin(const char *name, const char *json_type)
{
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(name));
    monitor_put(entry, "meta-type", json_string("builtin"));
    monitor_put(entry, "json-type", json_string(json_type));
    return entry;
}

/* An enumeration is a type of its own, named after who has it. */
static json_t *schema_enum(const char *name, const char *const *values)
{
    json_t *entry = json_object(), *list = json_array(), *members = json_array();

    for (; *values; values++) {
        json_array_append_new(list, json_string(*values));
        json_array_append_new(members, json_pack("{s:s}", "name", *values));
    }
    monitor_put(entry, "name", json_string(name));
    monitor_put(entry, "meta-type", json_string("enum"));
    monitor_put(entry, "members", members);
    monitor_put(entry, "values", list);
    return entry;
}

/* The name of a type, a list's with brackets, which is added when it is first used. NULL: nothing. */
static const char *schema_use(json_t *list, const char *type)
{
    g_autofree char *element = NULL;
    size_t index;
    json_t *entry;

    if (!type || type[0] != '[') {
        return type ? type : "0";
    }
    json_array_foreach(list, index, entry)
    {
        if (!g_strcmp0(json_string_value(json_object_get(entry, "name")), type)) {
            return type;
        }
    }
    element = g_strndup(type + 1, strlen(type) - 2);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", type, "meta-type", "array",
                                          "element-type", element));
    return type;
}

/* Adds the object type of arguments, and the types that it needs. */
static void schema_add_object(json_t *list, const char *type_name, const MonitorArgument *arguments)
{
    json_t *entry = json_object(), *members = json_array();

    for (const MonitorArgument *a = arguments; a && a->name; a++) {
        json_t *member = json_object();
        g_autofree char *enum_name = g_strdup_printf("%s-%s", type_name, a->name);

        if (a->values) {
            json_array_append_new(list, schema_enum(enum_name, a->values));
        }
        monitor_put(member, "name", json_string(a->name));
        monitor_put(member, "type",
                    json_string(a->values ? enum_name
                                : a->type ? schema_use(list, a->type)
                                          : schema_type(a->kind)));
        if (a->optional || a->kind == ARGUMENT_FLAG) {
            monitor_put(member, "default", json_null());
        }
        json_array_append_new(members, member);
    }
    monitor_put(entry, "name", json_string(type_name));
    monitor_put(entry, "meta-type", json_string("object"));
    monitor_put(entry, "members", members);
    json_array_append_new(list, entry);
}

/* The name of the type that has these arguments. */
static json_t *schema_type_of(json_t *list, const MonitorArgument *arguments)
{
    char *type = arguments ? g_strdup_printf("%zu", json_array_size(list)) : g_strdup("0");
    json_t *name = json_string(type);

    if (arguments) {
        schema_add_object(list, type, arguments);
    }
    g_free(type);
    return name;
}

/* What commands return. */

static json_t *schema_members(json_t *list, const char *text)
{
    g_auto(GStrv) members = g_strsplit(text, ", ", -1);
    json_t *result = json_array();

    for (unsigned i = 0; members[i]; i++) {
        char *type = strchr(members[i], ' ');
        bool optional = type && type[-1] == '?';
        json_t *member = json_object();

        g_assert(type);
        type[optional ? -1 : 0] = '\0';
        monitor_put(member, "name", json_string(members[i]));
        monitor_put(member, "type", json_string(schema_use(list, type + 1)));
        if (optional) {
            monitor_put(member, "default", json_null());
        }
        json_array_append_new(result, member);
    }
    return result;
}

/* "type: qcow2=A luks=B" */
static void schema_add_variants(json_t *entry, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    json_t *variants = json_array();

    words[0][strlen(words[0]) - 1] = '\0';
    monitor_put(entry, "tag", json_string(words[0]));
    for (unsigned i = 1; words[i]; i++) {
        char *type = strchr(words[i], '=');

        *type = '\0';
        json_array_append_new(variants,
                              json_pack("{s:s, s:s}", "case", words[i], "type", type + 1));
    }
    monitor_put(entry, "variants", variants);
}

static void schema_add_types(json_t *list)
{
    for (const MonitorType *type = monitor_types; type->name; type++) {
        g_auto(GStrv) values = type->values ? g_strsplit(type->values, " ", -1) : NULL;
        json_t *entry;

        if (values) {
            json_array_append_new(list, schema_enum(type->name, (const char *const *)values));
            continue;
        }
        entry = json_object();
        monitor_put(entry, "name", json_string(type->name));
        monitor_put(entry, "meta-type", json_string("object"));
        monitor_put(entry, "members", schema_members(list, type->members));
        if (type->variants) {
            schema_add_variants(entry, type->variants);
        }
        json_array_append_new(list, entry);
    }
}

static void schema_add_event(json_t *list, const char *name, const MonitorArgument *data)
{
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(name));
    monitor_put(entry, "meta-type", json_string("event"));
    monitor_put(entry, "arg-type", schema_type_of(list, data));
    json_array_append_new(list, entry);
}

/* What asks and does not say what for returns anything. */
static const char *returned_by(const MonitorCommand *command)
{
    bool asks = strstr(command->name, "query-") || g_str_has_prefix(command->name, "x-");

    return command->returns || !asks ? command->returns : "any";
}

/* The variants of a type while their members come: those of the last one, which has a name while it is made. */
typedef struct {
    json_t *list, *variants, *members;
    const char *type;
} VariantList;

static bool has_member(json_t *members, const char *name)
{
    size_t index;
    json_t *member;

    json_array_foreach(members, index, member)
    {
        if (strcmp(json_string_value(json_object_get(member, "name")), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Tables of properties and options know no types of JSON, so all take any value; of "encrypt.format" there is "encrypt". */
static void take_variant(void *opaque, const char *value, const char *member)
{
    VariantList *all = opaque;
    json_t *last = json_array_get(all->variants, json_array_size(all->variants) - 1);
    g_autofree char *name = g_strdup_printf("%s-%s", all->type, value);
    g_autofree char *whole = g_strndup(member, strcspn(member, "."));

    if (!last || strcmp(json_string_value(json_object_get(last, "case")), value) != 0) {
        all->members = json_array();
        json_array_append_new(all->list, json_pack("{s:s, s:s, s:o}", "name", name, "meta-type",
                                                   "object", "members", all->members));
        json_array_append_new(all->variants, json_pack("{s:s, s:s}", "case", value, "type", name));
    }
    if (!has_member(all->members, whole)) {
        json_array_append_new(
            all->members, json_pack("{s:s, s:s, s:n}", "name", whole, "type", "any", "default"));
    }
}

void monitor_take_properties(MonitorVariantTaker *take, void *opaque, const char *value,
                             const Property *properties)
{
    for (; properties && properties->name; properties++) {
        if (properties->kind != PROPERTY_NOT_YET) {
            take(opaque, value, properties->name);
        }
    }
}

static void schema_add_command_variants(json_t *list, json_t *arguments,
                                        const MonitorCommand *command)
{
    VariantList all = { list, json_array(), NULL,
                        json_string_value(json_object_get(arguments, "name")) };

    command->variants(take_variant, &all);
    monitor_put(arguments, "tag", json_string(command->tag));
    monitor_put(arguments, "variants", all.variants);
}

static void schema_add_command(json_t *list, const MonitorCommand *command)
{
    json_t *entry = json_object();

    monitor_put(entry, "name", json_string(command->name));
    monitor_put(entry, "meta-type", json_string("command"));
    monitor_put(entry, "arg-type", schema_type_of(list, command->arguments));
    if (command->variants) {
        schema_add_command_variants(list, json_array_get(list, json_array_size(list) - 1), command);
    }
    monitor_put(entry, "ret-type", json_string(schema_use(list, returned_by(command))));
    monitor_put(entry, "allow-oob", json_false());
    json_array_append_new(list, entry);
}

/* What comes with events. */

static const MonitorArgument end_data[] = {
    { "guest", ARGUMENT_BOOL },
    { "reason", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument panic_data[] = {
    { "action", ARGUMENT_STRING },
    { "info", ARGUMENT_ANY, true },
    { NULL },
};
static const MonitorArgument io_error_data[] = {
    { "qom-path", ARGUMENT_STRING, true },  { "device", ARGUMENT_STRING },
    { "node-name", ARGUMENT_STRING, true }, { "operation", ARGUMENT_STRING },
    { "action", ARGUMENT_STRING },          { "nospace", ARGUMENT_BOOL, true },
    { "reason", ARGUMENT_STRING },          { NULL },
};
static const MonitorArgument write_threshold_data[] = {
    { "node-name", ARGUMENT_STRING },
    { "amount-exceeded", ARGUMENT_INT },
    { "write-threshold", ARGUMENT_INT },
    { NULL },
};
static const MonitorArgument quorum_bad_data[] = {
    { "type", ARGUMENT_STRING },       { "error", ARGUMENT_STRING, true },
    { "node-name", ARGUMENT_STRING },  { "sector-num", ARGUMENT_INT },
    { "sectors-count", ARGUMENT_INT }, { NULL },
};
static const MonitorArgument quorum_failure_data[] = {
    { "reference", ARGUMENT_STRING },
    { "sector-num", ARGUMENT_INT },
    { "sectors-count", ARGUMENT_INT },
    { NULL },
};
static const MonitorArgument dump_data[] = {
    { "result", ARGUMENT_OBJECT },
    { "error", ARGUMENT_STRING, true },
    { NULL },
};
static const MonitorArgument job_data[] = {
    { "type", ARGUMENT_STRING }, { "device", ARGUMENT_STRING }, { "len", ARGUMENT_INT },
    { "offset", ARGUMENT_INT },  { "speed", ARGUMENT_INT },     { NULL },
};
static const MonitorArgument job_completed_data[] = {
    { "type", ARGUMENT_STRING },
    { "device", ARGUMENT_STRING },
    { "len", ARGUMENT_INT },
    { "offset", ARGUMENT_INT },
    { "speed", ARGUMENT_INT },
    { "error", ARGUMENT_STRING, true },
    { NULL },
};
static const MonitorArgument job_error_data[] = {
    { "device", ARGUMENT_STRING },
    { "operation", ARGUMENT_STRING },
    { "action", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument job_pending_data[] = {
    { "type", ARGUMENT_STRING },
    { "id", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument job_status_data[] = {
    { "id", ARGUMENT_STRING },
    { "status", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument export_data[] = {
    { "id", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument balloon_data[] = {
    { "actual", ARGUMENT_INT },
    { NULL },
};
static const MonitorArgument filter_data[] = {
    { "name", ARGUMENT_STRING, true },
    { "path", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument debug_data[] = {
    { "kind", ARGUMENT_STRING },
    { "cpu-index", ARGUMENT_INT, true },
    { "pc", ARGUMENT_INT, true },
    { "breakpoint", ARGUMENT_INT, true },
    { "event", ARGUMENT_ANY, true },
    { "address", ARGUMENT_INT, true },
    { "write", ARGUMENT_BOOL, true },
    { "old", ARGUMENT_INT, true },
    { "new", ARGUMENT_INT, true },
    { "text", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument deleted_data[] = {
    { "device", ARGUMENT_STRING, true },
    { "path", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument tray_data[] = {
    { "device", ARGUMENT_STRING },
    { "id", ARGUMENT_STRING },
    { "tray-open", ARGUMENT_BOOL },
    { NULL },
};
static const MonitorArgument watchdog_data[] = {
    { "action", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument port_data[] = {
    { "id", ARGUMENT_STRING },
    { "open", ARGUMENT_BOOL },
    { NULL },
};
static const MonitorArgument migration_data[] = {
    { "status", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument pass_data[] = {
    { "pass", ARGUMENT_INT },
    { NULL },
};
static const MonitorArgument vnc_data[] = {
    { "server", ARGUMENT_ANY },
    { "client", ARGUMENT_ANY },
    { NULL },
};
static const MonitorArgument connected_data[] = {
    { "netdev-id", ARGUMENT_STRING },
    { "addr", ARGUMENT_ANY },
    { NULL },
};
static const MonitorArgument disconnected_data[] = {
    { "netdev-id", ARGUMENT_STRING },
    { NULL },
};
static const MonitorArgument corrupted_data[] = {
    { "device", ARGUMENT_STRING },
    { "node-name", ARGUMENT_STRING, true },
    { "msg", ARGUMENT_STRING },
    { "offset", ARGUMENT_INT, true },
    { "size", ARGUMENT_INT, true },
    { "fatal", ARGUMENT_BOOL },
    { NULL },
};
static const MonitorArgument rtc_data[] = {
    { "offset", ARGUMENT_INT },
    { "qom-path", ARGUMENT_STRING },
    { NULL },
};
static const struct {
    const char *name;
    const MonitorArgument *data;
} events[] = {
    { "BALLOON_CHANGE", balloon_data },
    { "BLOCK_EXPORT_DELETED", export_data },
    { "BLOCK_IMAGE_CORRUPTED", corrupted_data },
    { "BLOCK_IO_ERROR", io_error_data },
    { "BLOCK_JOB_CANCELLED", job_data },
    { "BLOCK_JOB_COMPLETED", job_completed_data },
    { "BLOCK_JOB_ERROR", job_error_data },
    { "BLOCK_JOB_PENDING", job_pending_data },
    { "BLOCK_JOB_READY", job_data },
    { "BLOCK_WRITE_THRESHOLD", write_threshold_data },
    { "DEBUG_STOP", debug_data },
    { "DEVICE_DELETED", deleted_data },
    { "DUMP_COMPLETED", dump_data },
    { "DEVICE_TRAY_MOVED", tray_data },
    { "GUEST_CRASHLOADED", panic_data },
    { "GUEST_PANICKED", panic_data },
    { "GUEST_PVSHUTDOWN", NULL },
    { "JOB_STATUS_CHANGE", job_status_data },
    { "MIGRATION", migration_data },
    { "MIGRATION_PASS", pass_data },
    { "NETDEV_STREAM_CONNECTED", connected_data },
    { "NIC_RX_FILTER_CHANGED", filter_data },
    { "NETDEV_STREAM_DISCONNECTED", disconnected_data },
    { "POWERDOWN", NULL },
    { "QUORUM_FAILURE", quorum_failure_data },
    { "QUORUM_REPORT_BAD", quorum_bad_data },
    { "RESET", end_data },
    { "RESUME", NULL },
    { "RTC_CHANGE", rtc_data },
    { "SHUTDOWN", end_data },
    { "STOP", NULL },
    { "SUSPEND", NULL },
    { "SUSPEND_DISK", NULL },
    { "VNC_CONNECTED", vnc_data },
    { "VNC_DISCONNECTED", vnc_data },
    { "VNC_INITIALIZED", vnc_data },
    { "VSERPORT_CHANGE", port_data },
    { "WAKEUP", NULL },
    { "WATCHDOG", watchdog_data },
};

static json_t *schema_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *commands = monitor_sorted_commands(true);
    json_t *list = json_array();

    json_array_append_new(list, schema_builtin("str", "string"));
    json_array_append_new(list, schema_builtin("int", "int"));
    json_array_append_new(list, schema_builtin("bool", "boolean"));
    json_array_append_new(list, schema_builtin("any", "value"));
    json_array_append_new(list, schema_builtin("number", "number"));
    schema_add_object(list, "0", NULL);
    schema_add_types(list);
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        schema_add_event(list, events[i].name, events[i].data);
    }
    for (guint i = 0; i < commands->len; i++) {
        const MonitorCommand *command = commands->pdata[i];

        if (!(command->flags & COMMAND_NOT_YET)) {
            schema_add_command(list, command);
        }
    }
    g_ptr_array_unref(commands);
    return list;
}

static const MonitorCommand schema_command = {
    .name = "query-qmp-schema",
    .summary = "describes all commands, their arguments and the events",
    .run = schema_run,
    .returns = "[any]",
};
MONITOR_COMMAND(schema_command);
