/* SPDX-License-Identifier: MIT */
/* What is told of a stop, to people and programs, and what a breakpoint's commands do then. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "monitor/debugger/private.h"
#include "monitor/monitor.h"

static const char *const kinds[] = { [DEBUG_STOP_BREAK] = "breakpoint",
                                     [DEBUG_STOP_WATCH] = "watchpoint",
                                     [DEBUG_STOP_STEP] = "step",
                                     [DEBUG_STOP_EVENT] = "event" };

static void append_place(GString *text, Machine *machine, const DebugStop *stop)
{
    g_autofree char *symbol = NULL;

    if (stop->kind == DEBUG_STOP_EVENT) {
        event_describe(text, &stop->event);
        if (!stop->vcpu) {
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

static json_t *describe(const DebugStop *stop, const Breakpoint *breakpoint, const char *text)
{
    json_t *data = json_object();
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    json_object_set_new(data, "kind", json_string(kinds[stop->kind]));
    if (stop->vcpu) {
        json_object_set_new(data, "cpu-index", json_integer(stop->vcpu->index));
        json_object_set_new(data, "pc", json_integer((json_int_t)stop->pc));
    }
    if (breakpoint) {
        json_object_set_new(data, "breakpoint", json_integer(breakpoint->number));
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
    g_autofree char *commands = g_strdup(given), *json = NULL;
    json_t *data;

    if (!is_silent(commands)) {
        if (breakpoint) {
            g_string_append_printf(text, "%s %u, ",
                                   stop.kind == DEBUG_STOP_WATCH ? "Watchpoint" : "Breakpoint",
                                   breakpoint->number);
        }
        append_place(text, debugger->machine, &stop);
        g_string_append_c(text, '\n');
        if (stop.kind == DEBUG_STOP_WATCH) {
            append_values(text, &stop);
        }
    }
    data = describe(&stop, breakpoint, text->str);
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

bool debugger_run_until(Vcpu *vcpu, const char *location, GError **error)
{
    BreakpointRequest request = { .access = DEBUG_EXECUTE, .size = 1, .temporary = true };
    g_autofree char *copy = NULL;

    if (machine_running(vcpu->machine)) {
        return error_fail(error, KASO_ERROR_GENERIC, "the machine runs; stop it first");
    }
    if (!breakpoint_parse(location, &request, &copy, error) ||
        !breakpoint_add(vcpu, &request, error)) {
        return false;
    }
    machine_start(vcpu->machine);
    return true;
}
