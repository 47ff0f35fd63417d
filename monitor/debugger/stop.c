/* SPDX-License-Identifier: MIT */
/* What is told of a stop, to people and programs, and what a breakpoint's commands do then. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "monitor/debugger/private.h"
#include "monitor/monitor.h"
#include "monitor/source.h"

static const char *const kinds[] = { [DEBUG_STOP_BREAK] = "breakpoint",
                                     [DEBUG_STOP_WATCH] = "watchpoint",
                                     [DEBUG_STOP_STEP] = "step",
                                     [DEBUG_STOP_EVENT] = "event" };

/* " at FILE:LINE", and on a line of its own what it says. */
static void append_line(GString *text, Machine *machine, const DebugStop *stop)
{
    g_autofree char *source = NULL;
    SourceLine line;

    if (!symbols_line(machine, stop->vcpu, stop->pc, &line)) {
        return;
    }
    g_string_append_printf(text, " at %s:%u", line.source, line.line);
    source = source_text(machine, &line);
    if (source) {
        g_string_append_printf(text, "\n%u\t%s", line.line, source);
    }
}

void debugger_describe_place(GString *text, Machine *machine, const DebugStop *stop,
                             const char *line)
{
    g_autofree char *symbol = NULL;

    if (stop->kind == DEBUG_STOP_EVENT) {
        event_describe(text, &stop->event, line);
        if (!stop->vcpu || !stop->pc) {
            return;
        }
        g_string_append(text, ", ");
    }
    symbol = symbols_describe(machine, stop->vcpu, stop->pc);
    if (!symbol && symbols_refresh(machine)) {
        /* A kernel may have moved to where it runs since it was found. */
        symbol = symbols_describe(machine, stop->vcpu, stop->pc);
    }
    g_string_append_printf(text, "cpu%u at %#" PRIx64, stop->vcpu->index, stop->pc);
    if (symbol) {
        g_string_append_printf(text, " %s", symbol);
    }
    append_line(text, machine, stop);
}

static void append_values(GString *text, const DebugStop *stop)
{
    const char *what = stop->access == DEBUG_READ ? "read" : "written";

    g_string_append_printf(text, "  %#" PRIx64 " was %s", stop->address, what);
    if (stop->values_known && stop->access & DEBUG_WRITE) {
        g_string_append_printf(text, ": %#" PRIx64 " -> %#" PRIx64, stop->old_value,
                               stop->new_value);
    } else if (stop->values_known) {
        g_string_append_printf(text, ": %#" PRIx64, stop->old_value);
    }
    g_string_append_c(text, '\n');
}

/* "silent" as the first command keeps the stop itself untold. */
static bool is_silent(const char *commands)
{
    return commands && g_str_has_prefix(commands, "silent") &&
           (commands[6] == '\0' || commands[6] == ';' || g_ascii_isspace(commands[6]));
}

static void run_commands(Machine *machine, GString *text, const DebugStop *stop,
                         const char *commands)
{
    g_auto(GStrv) lines = g_strsplit(commands, ";", -1);

    for (char **line = lines; *line; line++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *output = NULL;

        if (strcmp(g_strstrip(*line), "silent") == 0) {
            continue;
        }
        if (!monitor_run_line_on(machine, stop->vcpu ? stop->vcpu->index : 0, *line, &output,
                                 &error)) {
            g_string_append_printf(text, "Error: %s: %s\n", *line, error->message);
        } else {
            g_string_append(text, output);
        }
    }
}

static json_t *describe_event(const DebugEvent *event, const char *line)
{
    json_t *object = json_object();
    const char *kind = event_kind_name(event->kind);

    json_object_set_new(object, "kind", json_string(*kind ? kind : "device"));
    if (event->who) {
        json_object_set_new(object, "who", json_string(event->who));
    }
    if (event->name) {
        json_object_set_new(object, "name", json_string(event->name));
    }
    json_object_set_new(object, "number", json_integer((json_int_t)event->number));
    json_object_set_new(object, "value", json_integer((json_int_t)event->value));
    json_object_set_new(object, "write", json_boolean(event->write));
    if (line) {
        json_object_set_new(object, "line", json_string(line));
    }
    return object;
}

char *breakpoint_text(const Breakpoint *breakpoint)
{
    char *text;

    if (!breakpoint) {
        return NULL;
    }
    g_rec_mutex_lock(&breakpoint->debugger->lock);
    text = g_strdup(breakpoint->text);
    g_rec_mutex_unlock(&breakpoint->debugger->lock);
    return text;
}

json_t *debugger_describe(Machine *machine, const DebugStop *stop, const Breakpoint *breakpoint,
                          const char *text)
{
    SourceLine line;
    json_t *data = json_object();
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    json_object_set_new(data, "kind", json_string(kinds[stop->kind]));
    if (stop->vcpu) {
        json_object_set_new(data, "cpu-index", json_integer(stop->vcpu->index));
        json_object_set_new(data, "pc", json_integer((json_int_t)stop->pc));
        if (symbols_line(machine, stop->vcpu, stop->pc, &line)) {
            source_put(data, &line);
        }
    }
    if (breakpoint) {
        json_object_set_new(data, "breakpoint", json_integer(breakpoint->number));
    }
    if (stop->kind == DEBUG_STOP_EVENT) {
        g_autofree char *written = breakpoint_text(breakpoint);

        json_object_set_new(data, "event", describe_event(&stop->event, written));
    }
    if (stop->kind == DEBUG_STOP_WATCH) {
        json_object_set_new(data, "address", json_integer((json_int_t)stop->address));
        json_object_set_new(data, "write", json_boolean(stop->access & DEBUG_WRITE));
        if (stop->values_known) {
            json_object_set_new(data, "old", json_integer((json_int_t)stop->old_value));
            json_object_set_new(data, "new", json_integer((json_int_t)stop->new_value));
        }
    }
    json_object_set_new(data, "text", json_string(valid));
    return data;
}

void debugger_tell(Debugger *debugger, const DebugStop *told, Breakpoint *breakpoint)
{
    const DebugStop stop = *told; /* commands may let the machine go on */
    g_autoptr(GString) text = g_string_new(NULL);
    const char *given = breakpoint ? breakpoint->request.commands : NULL;
    g_autofree char *commands = g_strdup(given), *json = NULL, *line = NULL;
    json_t *data;

    if (!is_silent(commands)) {
        if (breakpoint) {
            g_string_append_printf(text, "%s %u, ",
                                   stop.kind == DEBUG_STOP_WATCH ? "Watchpoint" : "Breakpoint",
                                   breakpoint->number);
        }
        line = breakpoint_text(breakpoint);
        debugger_describe_place(text, debugger->machine, &stop, line);
        g_string_append_c(text, '\n');
        if (stop.kind == DEBUG_STOP_WATCH) {
            append_values(text, &stop);
        }
    }
    data = debugger_describe(debugger->machine, &stop, breakpoint, text->str);
    if (breakpoint && breakpoint->request.temporary) {
        breakpoint_remove(breakpoint);
    }
    if (commands && atomic_load(&debugger->machine->stop_reason) == STOP_DEBUG) {
        run_commands(debugger->machine, text, &stop, commands);
        json_object_set_new(data, "text", json_string(text->str));
    }
    json = json_dumps(data, 0);
    json_decref(data);
    machine_event(debugger->machine, "DEBUG_STOP", json);
}

bool debugger_may_start(Machine *machine, GError **error)
{
    switch (atomic_load(&machine->stop_reason)) {
    case STOP_GUEST_POWEROFF:
    case STOP_GUEST_RESET:
    case STOP_GUEST_PANIC:
    case STOP_ERROR:
        return error_fail(error, KASO_ERROR_GENERIC,
                          "the machine has ended, and cannot go on; use system_reset first");
    default:
        return true;
    }
}

bool debugger_run_until(Vcpu *vcpu, const char *location, GError **error)
{
    BreakpointRequest request = { .access = DEBUG_EXECUTE, .size = 1, .temporary = true };
    g_autofree char *copy = NULL;

    if (machine_running(vcpu->machine)) {
        return error_fail(error, KASO_ERROR_GENERIC, "the machine runs; stop it first");
    }
    if (!debugger_may_start(vcpu->machine, error) ||
        !breakpoint_parse(location, &request, &copy, error) ||
        !breakpoint_add(vcpu, &request, error)) {
        return false;
    }
    machine_start(vcpu->machine);
    return true;
}
