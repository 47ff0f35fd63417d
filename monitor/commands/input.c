/* SPDX-License-Identifier: MIT */
/* Commands that type and point, for scripts. */
#include <string.h>

#include "machine/display.h"
#include "machine/input.h"
#include "monitor/command.h"

enum { KEYS_MAX = 16, HOLD_MS = 100, HOLD_MS_MAX = 60000 };

typedef struct {
    uint16_t codes[KEYS_MAX];
    unsigned count;
} Keys;

static bool add_key(Keys *keys, const InputKey *key, const char *what, GError **error)
{
    if (!key) {
        return error_fail(error, KASO_ERROR_INVALID, "unknown key: '%s'", what);
    }
    if (keys->count == KEYS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "more than %d keys at once", KEYS_MAX);
    }
    keys->codes[keys->count++] = key->code;
    return true;
}

static json_t *type_keys(Monitor *monitor, const Keys *keys, int64_t hold_ms, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    if (hold_ms < 0 || hold_ms > HOLD_MS_MAX) {
        error_fail(error, KASO_ERROR_INVALID, "hold time %d: it is 0 to %d ms", (int)hold_ms,
                   HOLD_MS_MAX);
    } else if (!input_find_handler(machine, INPUT_KEY)) {
        error_fail(error, KASO_ERROR_NOT_ACTIVE, "the machine has no keyboard");
    } else if (!input_type_keys(machine, keys->codes, keys->count, (unsigned)hold_ms)) {
        error_fail(error, KASO_ERROR_INVALID, "too many keys wait to be typed; try again later");
    }
    return NULL;
}

/* "ctrl-alt-delete": names, or numbers of scan codes in hex. */
static bool parse_keys(const char *text, Keys *keys, GError **error)
{
    g_auto(GStrv) names = g_strsplit(text, "-", -1);

    /* "<" is what people type for the key "less". */
    for (char **name = names; *name; name++) {
        const InputKey *key = input_key_by_name(strcmp(*name, "<") == 0 ? "less" : *name);
        char *end;

        if (!key && g_str_has_prefix(*name, "0x")) {
            guint64 number = g_ascii_strtoull(*name, &end, 16);

            key = *end || number > 0xff ? NULL : input_key_by_number((unsigned)number);
        }
        if (!add_key(keys, key, *name, error)) {
            return false;
        }
    }
    return true;
}

static json_t *sendkey_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Keys keys = { .count = 0 };

    if (!parse_keys(monitor_get_string(arguments, "keys"), &keys, error)) {
        return NULL;
    }
    return type_keys(monitor, &keys, monitor_get_int(arguments, "hold-time", HOLD_MS), error);
}

static void complete_keys(Machine *machine, GPtrArray *candidates)
{
    for (const InputKey *key = input_keys; key->name; key++) {
        g_ptr_array_add(candidates, g_strdup(key->name));
    }
}

static const MonitorArgument sendkey_arguments[] = {
    { "keys", ARGUMENT_STRING, .summary = "names joined by '-': ctrl-alt-delete, or 0xNN",
      .complete = complete_keys },
    { "hold-time", ARGUMENT_INT, true, "ms between one key and the next; 100" },
    { NULL },
};

static const MonitorCommand sendkey_command = {
    .hmp = "sendkey",
    .summary = "presses keys of the guest's keyboard",
    .arguments = sendkey_arguments,
    .run = sendkey_run,
};
MONITOR_COMMAND(sendkey_command);

/* QMP */

static bool parse_key_value(json_t *value, Keys *keys, GError **error)
{
    const char *type = NULL, *name = json_string_value(json_object_get(value, "data"));
    json_t *data = json_object_get(value, "data");
    g_autofree char *number = NULL;

    json_unpack(value, "{s:s}", "type", &type);
    if (type && strcmp(type, "qcode") == 0 && name) {
        return add_key(keys, input_key_by_name(name), name, error);
    }
    if (type && strcmp(type, "number") == 0 && json_is_integer(data)) {
        json_int_t n = json_integer_value(data);

        number = g_strdup_printf("%" JSON_INTEGER_FORMAT, n);
        return add_key(keys, n < 0 || n > 0xff ? NULL : input_key_by_number((unsigned)n), number,
                       error);
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "a key is {\"type\": \"qcode\", \"data\": NAME} or {\"type\": \"number\", "
                      "\"data\": N}");
}

static json_t *send_key_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *list = json_object_get(arguments, "keys"), *value;
    Keys keys = { .count = 0 };
    size_t i;

    if (!json_is_array(list)) {
        error_fail(error, KASO_ERROR_INVALID, "keys is a list");
        return NULL;
    }
    json_array_foreach(list, i, value)
    {
        if (!parse_key_value(value, &keys, error)) {
            return NULL;
        }
    }
    return type_keys(monitor, &keys, monitor_get_int(arguments, "hold-time", HOLD_MS), error);
}

static const MonitorArgument send_key_arguments[] = {
    { "keys", ARGUMENT_ANY, .summary = "list of keys, pressed in this order" },
    { "hold-time", ARGUMENT_INT, true, "ms between one key and the next; 100" },
    { NULL },
};

static const MonitorCommand send_key_command = {
    .name = "send-key",
    .summary = "presses keys of the guest's keyboard",
    .arguments = send_key_arguments,
    .run = send_key_run,
};
MONITOR_COMMAND(send_key_command);

/* Pointers. */

static bool send_from(Monitor *monitor, const Display *from, const InputEvent *events,
                      unsigned count, GError **error)
{
    Machine *machine = monitor_machine(monitor);

    for (unsigned i = 0; i < count; i++) {
        InputKind kind = events[i].kind;

        if (!input_find_handler_of(machine, from, kind)) {
            return error_fail(error, KASO_ERROR_NOT_ACTIVE, "the machine has no %s",
                              kind == INPUT_KEY        ? "keyboard"
                              : kind == INPUT_ABSOLUTE ? "tablet"
                              : kind == INPUT_TOUCHES  ? "touch screen"
                                                       : "mouse");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        input_send_from(machine, from, &events[i]);
    }
    input_sync(machine);
    return true;
}

static bool send_all(Monitor *monitor, const InputEvent *events, unsigned count, GError **error)
{
    return send_from(monitor, NULL, events, count, error);
}

static int32_t clamp32(int64_t value)
{
    return (int32_t)CLAMP(value, INT32_MIN, INT32_MAX);
}

static json_t *mouse_move_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t dz = monitor_get_int(arguments, "dz", 0);
    uint16_t wheel = dz > 0 ? INPUT_WHEEL_UP : INPUT_WHEEL_DOWN;
    InputEvent events[] = {
        { INPUT_RELATIVE, INPUT_X, clamp32(monitor_get_int(arguments, "dx", 0)) },
        { INPUT_RELATIVE, INPUT_Y, clamp32(monitor_get_int(arguments, "dy", 0)) },
        { INPUT_BUTTON, wheel, 1 },
        { INPUT_BUTTON, wheel, 0 },
    };

    send_all(monitor, events, dz ? 4 : 2, error);
    return NULL;
}

static const MonitorArgument mouse_move_arguments[] = {
    { "dx", ARGUMENT_INT, .summary = "to the right" },
    { "dy", ARGUMENT_INT, .summary = "downwards" },
    { "dz", ARGUMENT_INT, true, "not 0: a step of the wheel, up when positive" },
    { NULL },
};

static const MonitorCommand mouse_move_command = {
    .hmp = "mouse_move",
    .summary = "moves the guest's mouse",
    .arguments = mouse_move_arguments,
    .run = mouse_move_run,
};
MONITOR_COMMAND(mouse_move_command);

static json_t *mouse_button_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t state = monitor_get_int(arguments, "state", 0);
    InputEvent events[] = {
        { INPUT_BUTTON, INPUT_LEFT, state & 1 },
        { INPUT_BUTTON, INPUT_RIGHT, state >> 1 & 1 },
        { INPUT_BUTTON, INPUT_MIDDLE, state >> 2 & 1 },
    };

    send_all(monitor, events, G_N_ELEMENTS(events), error);
    return NULL;
}

static const MonitorArgument mouse_button_arguments[] = {
    { "state", ARGUMENT_INT,
      .summary = "those that are down: 1 left, 2 right, 4 middle, added up" },
    { NULL },
};

static const MonitorCommand mouse_button_command = {
    .hmp = "mouse_button",
    .summary = "presses and releases buttons of the guest's mouse",
    .arguments = mouse_button_arguments,
    .run = mouse_button_run,
};
MONITOR_COMMAND(mouse_button_command);

typedef struct {
    json_t *list;
    InputHandler *wanted;
    InputHandler *current;
    int64_t number;
} MouseSearch;

static void list_mouse(InputHandler *handler, void *opaque)
{
    MouseSearch *search = opaque;
    json_t *mouse;

    if (!(handler->type->kinds & (INPUT_RELATIVE | INPUT_ABSOLUTE))) {
        return;
    }
    mouse = json_object();
    monitor_put(mouse, "name", monitor_string(handler->type->name));
    monitor_put(mouse, "index", json_integer(handler->number));
    monitor_put(mouse, "current", json_boolean(json_array_size(search->list) == 0));
    monitor_put(mouse, "absolute", json_boolean(handler->type->kinds & INPUT_ABSOLUTE));
    json_array_append_new(search->list, mouse);
}

static json_t *mice_run(Monitor *monitor, json_t *arguments, GError **error)
{
    MouseSearch search = { .list = json_array() };

    input_foreach_handler(monitor_machine(monitor), list_mouse, &search);
    return search.list;
}

static void mice_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *mouse;
    size_t i;

    if (json_array_size(result) == 0) {
        g_string_append(out, "No mouse devices connected\n");
    }
    json_array_foreach(result, i, mouse)
    {
        g_string_append_printf(
            out, "%c Mouse #%d: %s%s\n", monitor_get_bool(mouse, "current") ? '*' : ' ',
            (int)monitor_get_int(mouse, "index", 0), monitor_get_string(mouse, "name"),
            monitor_get_bool(mouse, "absolute") ? " (absolute)" : "");
    }
}

static const MonitorCommand mice_command = {
    .name = "query-mice",
    .hmp = "info mice",
    .summary = "lists the pointers of the guest; * is the one that moves",
    .run = mice_run,
    .print = mice_print,
    .returns = "[MouseInfo]",
};
MONITOR_COMMAND(mice_command);

static void match_mouse(InputHandler *handler, void *opaque)
{
    MouseSearch *search = opaque;

    if (handler->number == search->number &&
        handler->type->kinds & (INPUT_RELATIVE | INPUT_ABSOLUTE)) {
        search->wanted = handler;
    }
}

static json_t *mouse_set_run(Monitor *monitor, json_t *arguments, GError **error)
{
    MouseSearch search = { .number = monitor_get_int(arguments, "index", -1) };

    input_foreach_handler(monitor_machine(monitor), match_mouse, &search);
    if (search.wanted) {
        input_activate_handler(search.wanted);
    } else {
        error_fail(error, KASO_ERROR_INVALID, "Mouse at index '%d' not found", (int)search.number);
    }
    return NULL;
}

static const MonitorArgument mouse_set_arguments[] = {
    { "index", ARGUMENT_INT, .summary = "as info mice numbers them" },
    { NULL },
};

static const MonitorCommand mouse_set_command = {
    .hmp = "mouse_set",
    .summary = "chooses the pointer that gets movements",
    .arguments = mouse_set_arguments,
    .run = mouse_set_run,
};
MONITOR_COMMAND(mouse_set_command);

/* input-send-event */

static bool parse_axis(json_t *data, InputKind kind, InputEvent *event, GError **error)
{
    const char *axis = json_string_value(json_object_get(data, "axis"));
    json_t *value = json_object_get(data, "value");

    if (!axis || (strcmp(axis, "x") != 0 && strcmp(axis, "y") != 0) || !json_is_integer(value)) {
        return error_fail(error, KASO_ERROR_INVALID, "axis is 'x' or 'y', value an integer");
    }
    if (kind == INPUT_ABSOLUTE &&
        (json_integer_value(value) < 0 || json_integer_value(value) > INPUT_ABSOLUTE_MAX)) {
        return error_fail(error, KASO_ERROR_INVALID, "an absolute value is 0 to %d",
                          INPUT_ABSOLUTE_MAX);
    }
    *event = (InputEvent){ kind, strcmp(axis, "x") == 0 ? INPUT_X : INPUT_Y,
                           clamp32(json_integer_value(value)) };
    return true;
}

static bool parse_button(json_t *data, InputEvent *event, GError **error)
{
    const char *name = json_string_value(json_object_get(data, "button"));

    for (unsigned i = 0; name && i < INPUT_BUTTON_COUNT; i++) {
        if (strcmp(input_button_names[i], name) == 0) {
            *event = (InputEvent){ INPUT_BUTTON, (uint16_t)i,
                                   json_is_true(json_object_get(data, "down")) };
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_INVALID, "unknown button: '%s'", name ? name : "");
}

/* A part of what a finger does: where it is, or that it comes, moves or leaves. */
static bool parse_touch(json_t *data, InputEvent *event, GError **error)
{
    static const char *const types[] = { "begin", "update", "end", "cancel" };
    const char *type = json_string_value(json_object_get(data, "type"));
    json_int_t slot = json_integer_value(json_object_get(data, "slot"));

    if (slot < 0 || slot >= INPUT_TOUCH_SLOTS) {
        return error_fail(error, KASO_ERROR_INVALID, "a slot is 0 to %d", INPUT_TOUCH_SLOTS - 1);
    }
    if (type && strcmp(type, "data") == 0) {
        if (!parse_axis(data, INPUT_ABSOLUTE, event, error)) {
            return false;
        }
        event->code = event->code == INPUT_X ? INPUT_TOUCH_X : INPUT_TOUCH_Y;
        event->kind = INPUT_TOUCHES;
        event->slot = (uint8_t)slot;
        return true;
    }
    for (unsigned i = 0; type && i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i], type) == 0) {
            json_int_t tracking = json_integer_value(json_object_get(data, "tracking-id"));

            *event = (InputEvent){ INPUT_TOUCHES, (uint16_t)i, clamp32(tracking), (uint8_t)slot };
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "type '%s' of a touch: it is begin, update, end, cancel or data",
                      type ? type : "");
}

static bool parse_event(json_t *value, InputEvent *event, GError **error)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    json_t *data = json_object_get(value, "data");
    Keys keys = { .count = 0 };

    if (!type || !json_is_object(data)) {
        return error_fail(error, KASO_ERROR_INVALID, "an event has a type and data");
    }
    if (strcmp(type, "key") == 0) {
        if (!parse_key_value(json_object_get(data, "key"), &keys, error)) {
            return false;
        }
        *event =
            (InputEvent){ INPUT_KEY, keys.codes[0], json_is_true(json_object_get(data, "down")) };
        return true;
    }
    if (strcmp(type, "btn") == 0) {
        return parse_button(data, event, error);
    }
    if (strcmp(type, "rel") == 0 || strcmp(type, "abs") == 0) {
        return parse_axis(data, *type == 'r' ? INPUT_RELATIVE : INPUT_ABSOLUTE, event, error);
    }
    if (strcmp(type, "mtt") == 0) {
        return parse_touch(data, event, error);
    }
    return error_fail(error, KASO_ERROR_INVALID, "type '%s': it is key, btn, rel, abs or mtt",
                      type);
}

static json_t *input_send_event_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *list = json_object_get(arguments, "events"), *value;
    g_autofree InputEvent *events = NULL;
    int64_t head = monitor_get_int(arguments, "head", 0);
    Display *from = NULL;
    size_t i;

    if (!json_is_array(list)) {
        error_fail(error, KASO_ERROR_INVALID, "events is a list");
        return NULL;
    }
    if (monitor_has(arguments, "device")) {
        from = display_find(monitor_machine(monitor), monitor_get_string(arguments, "device"),
                            (unsigned)CLAMP(head, 0, UINT16_MAX), error);
        if (!from) {
            return NULL;
        }
    }
    events = g_new0(InputEvent, json_array_size(list) + 1);
    json_array_foreach(list, i, value)
    {
        if (!parse_event(value, &events[i], error)) {
            return NULL;
        }
    }
    send_from(monitor, from, events, (unsigned)json_array_size(list), error);
    return NULL;
}

static const MonitorArgument input_send_event_arguments[] = {
    { "device", ARGUMENT_STRING, true, "the graphics device on whose display it is done" },
    { "head", ARGUMENT_INT, true, "of the display" },
    { "events", ARGUMENT_ANY, .summary = "list of events: {type: key|btn|rel|abs|mtt, data: …}" },
    { NULL },
};

static const MonitorCommand input_send_event_command = {
    .name = "input-send-event",
    .summary = "sends input events to the guest, all at once",
    .arguments = input_send_event_arguments,
    .run = input_send_event_run,
};
MONITOR_COMMAND(input_send_event_command);
