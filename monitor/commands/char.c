/* SPDX-License-Identifier: MIT */
/* Commands about character devices. */
#include <string.h>

#include "backends/chardev-open.h"
#include "monitor/command.h"

static json_t *chardev_list_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *chardevs = machine_chardevs(monitor_machine(monitor));
    json_t *list = json_array();

    for (guint i = 0; i < chardevs->len; i++) {
        Chardev *chardev = chardevs->pdata[i];
        char *name = chardev->type->describe ? chardev->type->describe(chardev)
                                             : g_strdup(chardev->type->name);
        json_t *entry = json_object();

        monitor_put(entry, "frontend-open",
                    json_boolean(chardev->frontend && !chardev->guest_closed));
        monitor_put(entry, "filename", monitor_string(name));
        monitor_put(entry, "label", monitor_string(chardev->id));
        json_array_append_new(list, entry);
        g_free(name);
    }
    return list;
}

static void chardev_list_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s: filename=%s\n", monitor_get_string(entry, "label"),
                               monitor_get_string(entry, "filename"));
    }
}

static const MonitorCommand chardev_list_command = {
    .name = "query-chardev",
    .hmp = "info chardev",
    .summary = "lists the character devices",
    .run = chardev_list_run,
    .print = chardev_list_print,
    .returns = "[ChardevInfo]",
};
MONITOR_COMMAND(chardev_list_command);

static json_t *backends_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const ChardevType *const *it;
    json_t *list = json_array();

    REGISTRY_FOREACH(chardev_types, it) {
        json_t *entry = json_object();

        monitor_put(entry, "name", json_string((*it)->name));
        json_array_append_new(list, entry);
    }
    return list;
}

static const MonitorCommand backends_command = {
    .name = "query-chardev-backends",
    .summary = "lists the types of character devices",
    .run = backends_run,
    .returns = "[ChardevBackendInfo]",
};
MONITOR_COMMAND(backends_command);

static Chardev *find_ring(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *id = monitor_get_string(arguments, "device");
    Chardev *chardev = machine_find_chardev(monitor_machine(monitor), id);

    if (!chardev) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Chardev '%s' not found", id);
        return NULL;
    }
    if (!chardev->type->take_back) {
        error_fail(error, KASO_ERROR_INVALID, "chardev '%s' is of type %s, not ringbuf", id,
                   chardev->type->name);
        return NULL;
    }
    return chardev;
}

/* Whether "format" says base64; an unknown format is an error. */
static bool parse_data_format(json_t *arguments, bool *base64, GError **error)
{
    const char *format = monitor_get_string(arguments, "format");

    *base64 = format && !strcmp(format, "base64");
    return !format || *base64 || !strcmp(format, "utf8") ||
           error_fail(error, KASO_ERROR_INVALID, "format '%s' is neither utf8 nor base64", format);
}

static json_t *ringbuf_write_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Chardev *chardev = find_ring(monitor, arguments, error);
    const char *data = monitor_get_string(arguments, "data");
    bool base64;

    if (!chardev || !parse_data_format(arguments, &base64, error)) {
        return NULL;
    }
    if (base64) {
        gsize size;
        guchar *bytes = g_base64_decode(data, &size);

        chardev_write(chardev, bytes, size);
        g_free(bytes);
    } else {
        chardev_write(chardev, data, strlen(data));
    }
    return NULL;
}

static const MonitorArgument ringbuf_write_arguments[] = {
    { "device", ARGUMENT_STRING, .summary = "chardev of type ringbuf",
      .complete = monitor_complete_chardevs },
    { "data", ARGUMENT_REST, .summary = "what to write" },
    { "format", ARGUMENT_STRING, true, "utf8 or base64" },
    { NULL },
};

static const MonitorCommand ringbuf_write_command = {
    .name = "ringbuf-write",
    .hmp = "ringbuf_write",
    .summary = "writes into a ring buffer",
    .arguments = ringbuf_write_arguments,
    .run = ringbuf_write_run,
};
MONITOR_COMMAND(ringbuf_write_command);

enum { RINGBUF_READ_MAX = 16 << 20 };

static json_t *ringbuf_read_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Chardev *chardev = find_ring(monitor, arguments, error);
    int64_t size = monitor_get_int(arguments, "size", 0);
    bool base64;
    uint8_t *data;
    json_t *result;

    if (!chardev || !parse_data_format(arguments, &base64, error)) {
        return NULL;
    }
    if (size < 0 || size > RINGBUF_READ_MAX) {
        error_fail(error, KASO_ERROR_INVALID, "size must be 0 to %d", RINGBUF_READ_MAX);
        return NULL;
    }
    data = g_malloc0(size + 1);
    size = chardev->type->take_back(chardev, data, size);
    if (base64) {
        char *text = g_base64_encode(data, size);

        result = json_string(text);
        g_free(text);
    } else {
        char *text = g_utf8_make_valid((const char *)data, size);

        result = monitor_string(text);
        g_free(text);
    }
    g_free(data);
    return result;
}

static void ringbuf_read_print(Monitor *monitor, json_t *result, GString *out)
{
    for (const char *c = json_string_value(result); *c; c++) {
        if (*c == '\\' || (*c < ' ' && *c > 0 && *c != '\n' && *c != '\t')) {
            g_string_append_printf(out, *c == '\\' ? "\\%c" : "\\u%04X", *c);
        } else {
            g_string_append_c(out, *c);
        }
    }
    g_string_append_c(out, '\n');
}

static const MonitorArgument ringbuf_read_arguments[] = {
    { "device", ARGUMENT_STRING, .summary = "chardev of type ringbuf",
      .complete = monitor_complete_chardevs },
    { "size", ARGUMENT_INT, .summary = "bytes at most" },
    { "format", ARGUMENT_STRING, true, "utf8 or base64" },
    { NULL },
};

static const MonitorCommand ringbuf_read_command = {
    .name = "ringbuf-read",
    .hmp = "ringbuf_read",
    .summary = "takes what was written out of a ring buffer",
    .arguments = ringbuf_read_arguments,
    .run = ringbuf_read_run,
    .print = ringbuf_read_print,
    .returns = "str",
};
MONITOR_COMMAND(ringbuf_read_command);

/* Flattens {"addr": {"type": "inet", "data": {"host": …}}, "server": true} to plain options. */
static void flatten_options(json_t *data, GHashTable *options)
{
    const char *key;
    json_t *value;

    json_object_foreach(data, key, value)
    {
        if (json_is_object(value)) {
            json_t *inner = json_object_get(value, "data");

            flatten_options(json_is_object(inner) ? inner : value, options);
        } else if (json_is_string(value) && strcmp(key, "type")) {
            const char *name = !strcmp(key, "out")      ? "path"
                               : !strcmp(key, "in")     ? "input-path"
                               : !strcmp(key, "str")    ? "fd"
                               : !strcmp(key, "device") ? "path"
                                                        : key;

            g_hash_table_replace(options, g_strdup(name), g_strdup(json_string_value(value)));
        } else if (json_is_boolean(value)) {
            g_hash_table_replace(options, g_strdup(key),
                                 g_strdup(json_is_true(value) ? "on" : "off"));
        } else if (json_is_integer(value)) {
            g_hash_table_replace(
                options, g_strdup(key),
                g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value)));
        }
    }
}

/* A server's "wait" is on by default on the command line; here nobody may hold the monitor. */
static void never_wait(const char *type, GHashTable *options)
{
    static const char *const off[] = { "off", "no", "false", "0", NULL };
    const char *server = g_hash_table_lookup(options, "server");

    if (!strcmp(type, "socket") && server && !g_strv_contains(off, server)) {
        g_hash_table_replace(options, g_strdup("wait"), g_strdup("off"));
    }
}

static Chardev *find_chardev(Monitor *monitor, const char *id, const char *lacks, GError **error)
{
    Chardev *chardev = machine_find_chardev(monitor_machine(monitor), id);

    if (!chardev) {
        error_fail(error, KASO_ERROR_GENERIC, "Chardev '%s' %s", id, lacks);
    }
    return chardev;
}

/* A new chardev takes the place, the name and the user of an old one. */
static Chardev *change(Monitor *monitor, const char *id, const char *type, GHashTable *options,
                       GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Chardev *old = find_chardev(monitor, id, "does not exist", error), *chardev;
    const ChardevFrontend *frontend = old ? old->frontend : NULL;
    void *opaque;

    if (!old) {
        return NULL;
    }
    if (old->type->attach || g_hash_table_contains(options, "mux")) {
        error_fail(error, KASO_ERROR_GENERIC, "A chardev with mux=on cannot be changed");
        return NULL;
    }
    if (frontend && !frontend->changed) {
        error_fail(error, KASO_ERROR_GENERIC,
                   "The user of chardev '%s' does not support another chardev while it runs", id);
        return NULL;
    }
    machine_remove_chardev(machine, old);
    chardev = chardev_open(machine, id, type, options, error);
    if (!chardev) {
        machine_add_chardev(machine, id, old);
        return NULL;
    }
    opaque = old->frontend_opaque;
    chardev_guest_opened(chardev, !old->guest_closed);
    chardev_detach(old, opaque);
    chardev_free(old);
    if (frontend) {
        frontend->changed(opaque, chardev);
        chardev_attach(chardev, frontend, opaque, NULL);
    }
    return chardev;
}

typedef Chardev *Maker(Monitor *monitor, const char *id, const char *type, GHashTable *options,
                       GError **error);

static Chardev *add(Monitor *monitor, const char *id, const char *type, GHashTable *options,
                    GError **error)
{
    return chardev_open(monitor_machine(monitor), id, type, options, error);
}

/* QMP's form: {"type": "socket", "data": {"addr": …, "server": false}}. */
static json_t *make_from_json(Monitor *monitor, json_t *arguments, Maker *make, GError **error)
{
    json_t *backend = json_object_get(arguments, "backend"), *result;
    const char *type = json_string_value(json_object_get(backend, "type"));
    g_autoptr(GHashTable) options = NULL;
    Chardev *chardev;

    if (!type) {
        error_fail(error, KASO_ERROR_INVALID, "'backend' needs a string member 'type'");
        return NULL;
    }
    options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    flatten_options(json_object_get(backend, "data"), options);
    if (!strcmp(type, "socket") && !g_hash_table_contains(options, "server")) {
        g_hash_table_replace(options, g_strdup("server"), g_strdup("on"));
    }
    never_wait(type, options);
    chardev = make(monitor, monitor_get_string(arguments, "id"), type, options, error);
    if (!chardev) {
        return NULL;
    }
    result = json_object();
    if (!strcmp(type, "pty")) {
        g_autofree char *name = chardev->type->describe(chardev);

        monitor_put(result, "pty", monitor_string(name + strlen("pty:")));
    }
    return result;
}

/* HMP's: TYPE,id=ID,… as -chardev takes it; id NULL: it must be there. */
static json_t *make_from_line(Monitor *monitor, json_t *arguments, const char *id, Maker *make,
                              GError **error)
{
    g_autoptr(KeyValues) list =
        key_values_parse_last(monitor_get_string(arguments, "args"), "backend", error);
    g_autofree char *type = list ? key_values_take(list, "backend") : NULL;
    g_autofree char *given = list ? key_values_take(list, "id") : NULL;
    g_autoptr(GHashTable) options = NULL;
    Chardev *chardev;

    id = id ? id : given;
    if (!list) {
        return NULL;
    }
    if (!type || !id) {
        error_fail(error, KASO_ERROR_INVALID, "chardev: no %s specified",
                   type ? "id" : "type of chardev");
        return NULL;
    }
    options = key_values_table(list);
    never_wait(type, options);
    chardev = make(monitor, id, type, options, error);
    if (chardev && !strcmp(type, "pty")) {
        g_autofree char *name = chardev->type->describe(chardev);
        GString *text = g_string_new(NULL);

        g_string_printf(text, "char device redirected to %s (label %s)\n", name + strlen("pty:"),
                        chardev->id);
        return monitor_text(text);
    }
    return NULL;
}

static json_t *chardev_add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return make_from_json(monitor, arguments, add, error);
}

static const MonitorArgument chardev_add_arguments[] = {
    { "id", ARGUMENT_STRING, .summary = "name of the chardev" },
    { "backend", ARGUMENT_OBJECT, .summary = "its type and data" },
    { NULL },
};

static const MonitorCommand chardev_add_command = {
    .name = "chardev-add",
    .summary = "makes a character device",
    .arguments = chardev_add_arguments,
    .run = chardev_add_run,
    .returns = "ChardevReturn",
};
MONITOR_COMMAND(chardev_add_command);

static json_t *chardev_add_line_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return make_from_line(monitor, arguments, NULL, add, error);
}

static const MonitorArgument chardev_add_line_arguments[] = {
    { "args", ARGUMENT_REST, .summary = "TYPE,id=ID,… as -chardev takes it" },
    { NULL },
};

static const MonitorCommand chardev_add_line_command = {
    .hmp = "chardev-add",
    .summary = "makes a character device",
    .arguments = chardev_add_line_arguments,
    .run = chardev_add_line_run,
};
MONITOR_COMMAND(chardev_add_line_command);

static json_t *chardev_change_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return make_from_json(monitor, arguments, change, error);
}

static const MonitorCommand chardev_change_command = {
    .name = "chardev-change",
    .summary = "puts another character device in the place of one",
    .arguments = chardev_add_arguments,
    .run = chardev_change_run,
    .returns = "ChardevReturn",
};
MONITOR_COMMAND(chardev_change_command);

static json_t *chardev_change_line_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return make_from_line(monitor, arguments, monitor_get_string(arguments, "id"), change, error);
}

static const MonitorArgument chardev_change_line_arguments[] = {
    { "id", ARGUMENT_STRING, .summary = "chardev", .complete = monitor_complete_chardevs },
    { "args", ARGUMENT_REST, .summary = "TYPE,… of the new one, as -chardev takes it" },
    { NULL },
};

static const MonitorCommand chardev_change_line_command = {
    .hmp = "chardev-change",
    .summary = "puts another character device in the place of one",
    .arguments = chardev_change_line_arguments,
    .run = chardev_change_line_run,
};
MONITOR_COMMAND(chardev_change_line_command);

static json_t *chardev_remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *id = monitor_get_string(arguments, "id");
    Chardev *chardev = machine_find_chardev(machine, id);

    if (!chardev) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Chardev '%s' not found", id);
    } else if (chardev->frontend || chardev->type->attach) {
        error_fail(error, KASO_ERROR_GENERIC, "Chardev '%s' is busy", id);
    } else {
        machine_remove_chardev(machine, chardev);
        chardev_free(chardev);
    }
    return NULL;
}

static const MonitorArgument chardev_id_arguments[] = {
    { "id", ARGUMENT_STRING, .summary = "chardev", .complete = monitor_complete_chardevs },
    { NULL },
};

static const MonitorCommand chardev_remove_command = {
    .name = "chardev-remove",
    .hmp = "chardev-remove",
    .summary = "removes a character device that nothing uses",
    .arguments = chardev_id_arguments,
    .run = chardev_remove_run,
};
MONITOR_COMMAND(chardev_remove_command);

static json_t *chardev_break_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *id = monitor_get_string(arguments, "id");
    Chardev *chardev = machine_find_chardev(monitor_machine(monitor), id);

    if (!chardev) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Chardev '%s' not found", id);
    } else {
        chardev_event(chardev, CHARDEV_BREAK);
    }
    return NULL;
}

static const MonitorCommand chardev_break_command = {
    .name = "chardev-send-break",
    .hmp = "chardev-send-break",
    .summary = "sends a break to what is at the other end of a character device",
    .arguments = chardev_id_arguments,
    .run = chardev_break_run,
};
MONITOR_COMMAND(chardev_break_command);
