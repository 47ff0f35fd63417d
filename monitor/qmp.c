/* SPDX-License-Identifier: MIT */
/*
 * QMP, the monitor's front end for programs: a greeting, capabilities negotiation, then JSON
 * commands with replies in order, and events.
 */
#include <string.h>
#include <sys/time.h>

#include "block/block.h"
#include "monitor/session.h"
#include "monitor/version.h"

static void qmp_send(Monitor *monitor, json_t *message)
{
    size_t flags = JSON_ENCODE_ANY | (monitor->pretty ? JSON_INDENT(4) : 0);
    char *text = json_dumps(message, flags);

    if (text) {
        size_t size = strlen(text);
        char *line = g_malloc(size + 2);

        memcpy(line, text, size);
        memcpy(line + size, "\r\n", 2);
        monitor_write(monitor, line, size + 2);
        g_free(line);
        free(text);
    }
    json_decref(message);
}

static const char *qmp_error_class(const GError *error)
{
    if (error->domain == KASO_ERROR && error->code == KASO_ERROR_NO_DEVICE) {
        return "DeviceNotFound";
    }
    if (error->domain == KASO_ERROR && error->code == KASO_ERROR_NOT_ACTIVE) {
        return "DeviceNotActive";
    }
    return "GenericError";
}

/* Takes result. id may be NULL. */
static void qmp_send_reply(Monitor *monitor, const char *member, json_t *result, json_t *id)
{
    json_t *reply = json_object();

    json_object_set_new(reply, member, result);
    if (id) {
        json_object_set(reply, "id", id);
    }
    qmp_send(monitor, reply);
}

static void qmp_send_error(Monitor *monitor, const char *class, const char *description, json_t *id)
{
    json_t *error = json_object();

    monitor_put(error, "class", json_string(class));
    monitor_put(error, "desc", monitor_string(description));
    qmp_send_reply(monitor, "error", error, id);
}

/* Whether the message has the form of a command; else says so to the peer. */
static bool qmp_check_form(Monitor *monitor, json_t *message, json_t *id)
{
    const char *key;
    json_t *value;

    if (!json_is_object(message)) {
        qmp_send_error(monitor, "GenericError", "a command must be a JSON object", NULL);
        return false;
    }
    json_object_foreach(message, key, value)
    {
        if (strcmp(key, "execute") && strcmp(key, "arguments") && strcmp(key, "id")) {
            char *text = g_strdup_printf(
                "member '%s' has no place in a command; there are execute, arguments and id", key);

            qmp_send_error(monitor, "GenericError", text, id);
            g_free(text);
            return false;
        }
    }
    if (!json_is_string(json_object_get(message, "execute"))) {
        qmp_send_error(monitor, "GenericError", "a command needs 'execute' with a string", id);
        return false;
    }
    value = json_object_get(message, "arguments");
    if (value && !json_is_object(value)) {
        qmp_send_error(monitor, "GenericError", "'arguments' must be a JSON object", id);
        return false;
    }
    return true;
}

/* Finds the command that may run in the session's mode; else replies why not. */
static const MonitorCommand *qmp_select(Monitor *monitor, const char *name, json_t *id)
{
    const MonitorCommand *command = monitor_find_qmp(name);
    bool negotiates = command && (command->flags & COMMAND_NEGOTIATION);

    if (!monitor->negotiated && !negotiates) {
        qmp_send_error(monitor, "CommandNotFound",
                       "negotiate first: the first command must be 'qmp_capabilities'", id);
        return NULL;
    }
    if (monitor->negotiated && negotiates) {
        qmp_send_error(monitor, "CommandNotFound", "capabilities have already been negotiated", id);
        return NULL;
    }
    if (!command) {
        char *text = g_strdup_printf("there is no command '%s'; query-commands lists them", name);

        qmp_send_error(monitor, "CommandNotFound", text, id);
        g_free(text);
    }
    return command;
}

/* What a command has done is told before its answer. */
static void tell_events(Machine *machine)
{
    machine_tell_events(machine);
    if (machine->block_graph) {
        block_tell_events(machine->block_graph);
    }
}

static void qmp_execute(Monitor *monitor, json_t *message)
{
    json_t *id = json_is_object(message) ? json_object_get(message, "id") : NULL;
    const MonitorCommand *command;
    GError *error = NULL;
    json_t *result;

    /* What many commands that came at once have to wait for is the end, not the other way round. */
    if (machine_end_pending(monitor->machine) || !qmp_check_form(monitor, message, id)) {
        return;
    }
    command = qmp_select(monitor, json_string_value(json_object_get(message, "execute")), id);
    if (!command) {
        return;
    }
    monitor->answers_later = false;
    monitor->id = id;
    result = monitor_run(monitor, command, json_object_get(message, "arguments"), &error);
    monitor->id = NULL;
    tell_events(monitor->machine);
    if (monitor->answers_later && !error) {
        return;
    }
    if (error) {
        qmp_send_error(monitor, qmp_error_class(error), error->message, id);
        g_error_free(error);
        json_decref(result);
        return;
    }
    qmp_send_reply(monitor, "return", result ? result : json_object(), id);
}

void qmp_answer(Monitor *monitor, json_t *result, const GError *failure, json_t *id)
{
    if (failure) {
        qmp_send_error(monitor, qmp_error_class(failure), failure->message, id);
        json_decref(result);
    } else {
        qmp_send_reply(monitor, "return", result ? result : json_object(), id);
    }
}

static void qmp_text(void *opaque, const char *text, size_t size)
{
    Monitor *monitor = opaque;
    json_error_t error;
    json_t *message;

    if (!text) {
        qmp_send_error(monitor, "GenericError", "the JSON text is too long or nested too deep",
                       NULL);
        return;
    }
    message = json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!message) {
        char *description =
            g_strdup_printf("this is no JSON: %s (character %d)", error.text, error.position);

        qmp_send_error(monitor, "GenericError", description, NULL);
        g_free(description);
        return;
    }
    qmp_execute(monitor, message);
    json_decref(message);
}

void qmp_receive(Monitor *monitor, const uint8_t *data, size_t size)
{
    json_stream_feed(monitor->stream, data, size);
}

void qmp_event(Monitor *monitor, ChardevEvent event)
{
    if (event == CHARDEV_OPENED) {
        json_t *greeting = json_object(), *body = json_object();

        json_stream_reset(monitor->stream);
        monitor->negotiated = false;
        monitor_put(body, "version", monitor_version());
        monitor_put(body, "capabilities", json_array());
        monitor_put(greeting, "QMP", body);
        qmp_send(monitor, greeting);
    } else if (event == CHARDEV_CLOSED) {
        json_stream_reset(monitor->stream);
        monitor->negotiated = false;
    }
}

void qmp_machine_event(Monitor *monitor, const char *event, const char *json_data)
{
    struct timeval now;
    json_t *message, *stamp, *data;

    if (!monitor->negotiated) {
        return;
    }
    gettimeofday(&now, NULL);
    message = json_object();
    stamp = json_object();
    monitor_put(stamp, "seconds", json_integer(now.tv_sec));
    monitor_put(stamp, "microseconds", json_integer(now.tv_usec));
    monitor_put(message, "timestamp", stamp);
    monitor_put(message, "event", json_string(event));
    data = json_data ? json_loads(json_data, JSON_DECODE_ANY, NULL) : NULL;
    if (data) {
        monitor_put(message, "data", data);
    }
    qmp_send(monitor, message);
}

void qmp_open(Monitor *monitor)
{
    monitor->stream = json_stream_new(qmp_text, monitor);
}

void qmp_close(Monitor *monitor)
{
    json_stream_free(monitor->stream);
}
