/* SPDX-License-Identifier: MIT */
/* The text form of a breakpoint. */
#include <string.h>

#include "base/error.h"
#include "monitor/debugger/breakpoint.h"

/* Cuts the text at " WORD ", where it occurs outside of what comes before; returns what is behind it, or NULL. */
static char *cut(char *text, const char *word)
{
    g_autofree char *needle = g_strconcat(" ", word, " ", NULL);
    char *at = strstr(text, needle);

    if (!at) {
        return NULL;
    }
    *at = '\0';
    return g_strstrip(at + strlen(needle));
}

static bool parse_number(const char *what, const char *text, uint64_t most, uint64_t *value,
                         GError **error)
{
    char *end;

    *value = g_ascii_strtoull(text, &end, 0);
    return (end != text && !*end && *value <= most) ||
           error_fail(error, KASO_ERROR_INVALID, "%s '%s' is no number up to %" G_GUINT64_FORMAT,
                      what, text, most);
}

/* What follows the name of an event. */
typedef enum {
    ARGUMENT_NONE,
    ARGUMENT_NUMBER_OR_NAME,
    ARGUMENT_NAME,
    ARGUMENT_DEVICE
} EventArgument;

static const struct {
    const char *name;
    DebugEventKind kind;
    EventArgument argument;
} events[] = {
    { "exception", DEBUG_EXCEPTION, ARGUMENT_NUMBER_OR_NAME },
    { "interrupt", DEBUG_INTERRUPT, ARGUMENT_NUMBER_OR_NAME },
    { "mode", DEBUG_MODE, ARGUMENT_NAME },
    { "register", DEBUG_REGISTER, ARGUMENT_NUMBER_OR_NAME },
    { "paging", DEBUG_PAGING, ARGUMENT_NONE },
    { "port", DEBUG_PORT, ARGUMENT_NUMBER_OR_NAME },
    { "psci", DEBUG_FIRMWARE_CALL, ARGUMENT_NUMBER_OR_NAME },
    { "triple-fault", DEBUG_TRIPLE_FAULT, ARGUMENT_NONE },
    { "reset", DEBUG_RESET, ARGUMENT_NONE },
};

static bool parse_event_argument(char *argument, EventArgument kind, BreakpointRequest *request,
                                 GError **error)
{
    char *dot = argument ? strchr(argument, '.') : NULL, *end;

    request->event_any_number = true;
    if (kind == ARGUMENT_DEVICE) {
        *dot = '\0';
        request->event_who = argument;
        request->event_name = dot + 1;
        return true;
    }
    if (!argument) {
        return true;
    }
    if (kind == ARGUMENT_NONE) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' does not belong there", argument);
    }
    request->event_number = g_ascii_strtoull(argument, &end, 0);
    if (kind == ARGUMENT_NAME || end == argument || *end) {
        request->event_name = argument;
    } else {
        request->event_any_number = false;
    }
    return true;
}

/* "exception pf", "port 0x60 write", "pl011.UARTCR read". */
static bool parse_event(char *text, BreakpointRequest *request, GError **error)
{
    char *rest, *name = strtok_r(text, " ", &rest), *argument = strtok_r(NULL, " ", &rest);
    char *more = strtok_r(NULL, " ", &rest), *last = more ? more : argument;

    request->event_reads = request->event_writes = true;
    if (last && (strcmp(last, "read") == 0 || strcmp(last, "write") == 0)) {
        request->event_reads = last[0] == 'r';
        request->event_writes = last[0] == 'w';
        argument = last == argument ? NULL : argument;
        more = NULL;
    }
    if (more) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' does not belong there", more);
    }
    for (size_t i = 0; name && i < G_N_ELEMENTS(events); i++) {
        if (strcmp(name, events[i].name) == 0) {
            request->event = events[i].kind;
            return parse_event_argument(argument, events[i].argument, request, error);
        }
    }
    if (name && strchr(name, '.') && !argument) {
        request->event = DEBUG_DEVICE;
        return parse_event_argument(name, ARGUMENT_DEVICE, request, error);
    }
    return error_fail(
        error, KASO_ERROR_INVALID,
        "'%s' is no event; there are exception, interrupt, mode, register, paging, port, psci, "
        "triple-fault, reset, and DEVICE.REGISTER",
        name ? name : "");
}

bool breakpoint_parse(const char *text, BreakpointRequest *request, char **copy, GError **error)
{
    size_t size = strlen(text) + 1;
    char *line = *copy = g_malloc(2 * size), *words = line + size, *part;
    uint64_t number;

    memcpy(line, text, size);

    request->commands = cut(line, "do");
    request->condition = cut(line, "if");
    part = cut(line, "cpu");
    request->vcpu = -1;
    if (part) {
        if (!parse_number("cpu", part, 65535, &number, error)) {
            return false;
        }
        request->vcpu = (int)number;
    }
    part = cut(line, "size");
    if (part && !parse_number("size", part, UINT32_MAX, &request->size, error)) {
        return false;
    }
    request->location = g_strstrip(line);
    if (g_str_has_prefix(line, "on ")) {
        request->access = 0;
        g_strlcpy(words, line + strlen("on "), size);
        return parse_event(words, request, error);
    }
    if (!*request->location || !request->size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "give LOCATION [size N] [cpu N] [if CONDITION] [do COMMAND; …]");
    }
    return true;
}
