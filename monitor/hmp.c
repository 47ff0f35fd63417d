/* SPDX-License-Identifier: MIT */
/*
 * HMP, the monitor's front end for people: finds the command a line begins with, makes its
 * arguments by the schema, runs it and prints its result. The prompt and the texts are what scripts
 * written for QEMU's monitor look for.
 */
#include <ctype.h>
#include <string.h>

#include "base/version.h"
#include "monitor/expression.h"
#include "monitor/hmp-parse.h"
#include "monitor/session.h"

#define HMP_PROMPT "(qemu) "

static void hmp_print(Monitor *monitor, const char *text)
{
    GString *out = g_string_new(NULL);

    /* A terminal behind a byte stream needs both halves of a line end. */
    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            g_string_append_c(out, '\r');
        }
        g_string_append_c(out, *c);
    }
    monitor_write(monitor, out->str, out->len);
    g_string_free(out, TRUE);
}

bool monitor_run_hmp(Monitor *monitor, const char *line, GString *out, GError **error)
{
    const MonitorCommand *command;
    const char *text = line;
    json_t *arguments, *result;
    GError *failure = NULL;

    while (isspace((unsigned char)*text)) {
        text++;
    }
    if (!*text || *text == '#') {
        return true;
    }
    command = hmp_find(&text, error);
    if (!command) {
        return false;
    }
    arguments = hmp_parse_arguments(monitor, command, text, error);
    if (!arguments) {
        return false;
    }
    monitor->answers_later = false;
    result = monitor_run(monitor, command, arguments, &failure);
    json_decref(arguments);
    if (failure) {
        json_decref(result);
        g_propagate_error(error, failure);
        return false;
    }
    if (monitor->answers_later) {
        return true;
    }
    if (command->print) {
        command->print(monitor, result, out);
    } else if (result && json_is_string(json_object_get(result, "human-readable-text"))) {
        g_string_append(out, monitor_get_string(result, "human-readable-text"));
    }
    json_decref(result);
    return true;
}

static void hmp_line(void *opaque, const char *line)
{
    Monitor *monitor = opaque;
    GString *out = g_string_new(NULL);
    GError *error = NULL;

    if (!monitor_run_hmp(monitor, line, out, &error)) {
        g_string_append_printf(out, "Error: %s\n", error->message);
        g_error_free(error);
    }
    hmp_print(monitor, out->str);
    g_string_free(out, TRUE);
    if (!monitor->later.length) {
        line_editor_show(monitor->editor);
    }
}

static void hmp_write(void *opaque, const char *text, size_t size)
{
    monitor_write(opaque, text, size);
}

static size_t hmp_complete_line(void *opaque, const char *line_to_cursor, GPtrArray *candidates)
{
    Monitor *monitor = opaque;

    return hmp_complete(monitor->machine, line_to_cursor, candidates);
}

static const LineEditorHandlers hmp_handlers = {
    .write = hmp_write,
    .line = hmp_line,
    .complete = hmp_complete_line,
};

static void hmp_greet(Monitor *monitor)
{
    if (!monitor->greeted) {
        monitor->greeted = true;
        hmp_print(monitor, version_package);
        hmp_print(monitor, " monitor - type 'help' for more information\n");
    }
    line_editor_show(monitor->editor);
}

void hmp_open(Monitor *monitor)
{
    monitor->unread = g_string_new(NULL);
    monitor->on_mux = monitor->chardev->type->attach != NULL;
    monitor->editor = line_editor_new(HMP_PROMPT, &hmp_handlers, monitor);
}

void hmp_close(Monitor *monitor)
{
    line_editor_free(monitor->editor);
    g_string_free(monitor->unread, TRUE);
}

void hmp_event(Monitor *monitor, ChardevEvent event)
{
    switch (event) {
    case CHARDEV_OPENED:
        monitor->greeted = false;
        line_editor_reset(monitor->editor);
        if (!monitor->on_mux || monitor->has_input) {
            hmp_greet(monitor);
        }
        break;
    case CHARDEV_CLOSED:
        line_editor_reset(monitor->editor);
        g_string_truncate(monitor->unread, 0);
        break;
    case CHARDEV_MUX_IN:
        monitor->has_input = true;
        hmp_print(monitor, "\n");
        hmp_greet(monitor);
        break;
    case CHARDEV_MUX_OUT:
        monitor->has_input = false;
        hmp_print(monitor, "\n");
        break;
    case CHARDEV_BREAK:
    case CHARDEV_RESIZED:
        break;
    }
}

void hmp_machine_event(Monitor *monitor, const char *event, const char *json_data)
{
    json_t *data = strcmp(event, "DEBUG_STOP") == 0 ? json_loads(json_data, 0, NULL) : NULL;
    const char *text = data ? monitor_get_string(data, "text") : NULL;

    if (data) {
        /* What is asked next is about the CPU that stopped. */
        monitor->vcpu = (unsigned)monitor_get_int(data, "cpu-index", monitor->vcpu);
    }
    if (text && *text && monitor->greeted) {
        hmp_print(monitor, "\n");
        hmp_print(monitor, text);
        if (!monitor->later.length && (!monitor->on_mux || monitor->has_input)) {
            line_editor_show(monitor->editor);
        }
    }
    json_decref(data);
}

/* Ctrl-C ends the command that is under way, and takes what was typed before it with it. */
static void look_for_interrupt(Monitor *monitor)
{
    enum { CTRL_C = 3 };
    GString *unread = monitor->unread;
    const char *at = unread->len ? memchr(unread->str, CTRL_C, unread->len) : NULL;

    if (at) {
        g_string_erase(unread, 0, at + 1 - unread->str);
        monitor_drop_answers(monitor);
        hmp_print(monitor, "\n");
        line_editor_show(monitor->editor);
    }
}

/* Takes what has come, up to a command whose answer takes time. */
static void read_on(void *opaque)
{
    Monitor *monitor = opaque;
    GString *unread = monitor->unread;

    if (monitor->reading) {
        return;
    }
    monitor->reading = true;
    do {
        size_t used = 0;

        while (used < unread->len && !monitor->later.length) {
            const uint8_t byte = (uint8_t)unread->str[used++];

            line_editor_feed(monitor->editor, &byte, 1);
        }
        g_string_erase(unread, 0, (gssize)MIN(used, unread->len));
        if (monitor->later.length) {
            look_for_interrupt(monitor);
        }
    } while (unread->len && !monitor->later.length);
    monitor->reading = false;
}

void hmp_receive(Monitor *monitor, const uint8_t *data, size_t size)
{
    g_string_append_len(monitor->unread, (const char *)data, (gssize)size);
    read_on(monitor);
}

static void go_on(void *opaque)
{
    Monitor *monitor = opaque;

    read_on(monitor);
    chardev_accept_input(monitor->chardev);
}

void hmp_note(Monitor *monitor, const char *line)
{
    hmp_print(monitor, line);
}

void hmp_answer(Monitor *monitor, const MonitorCommand *command, json_t *result,
                const GError *failure)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (failure) {
        g_string_append_printf(out, "Error: %s\n", failure->message);
    } else if (command->print) {
        command->print(monitor, result, out);
    }
    hmp_print(monitor, out->str);
    line_editor_show(monitor->editor);
    machine_defer(monitor->machine, go_on, monitor);
}

void hmp_progress(Monitor *monitor, const char *what, uint64_t done, uint64_t total)
{
    g_autofree char *size = g_format_size_full(total, G_FORMAT_SIZE_IEC_UNITS);
    g_autofree char *line =
        total ? g_strdup_printf("\r%s: %u %% of %s", what,
                                (unsigned)((double)done * 100 / (double)total), size)
              : g_strdup("\r\033[K");

    monitor_write(monitor, line, strlen(line));
}
