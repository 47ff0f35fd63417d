/* SPDX-License-Identifier: MIT */
/* The text form of a breakpoint. */
#include <string.h>

#include "base/error.h"
#include "monitor/debugger/private.h"

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

/*
 * Takes what stands between the first / and the next, or between two ", out of an event's text, where spaces and words would be misread: leaves
 * the marks with nothing meaningful between them. \ before the closing mark: it belongs to the text.
 */
static char *take_quoted(char *text, const char *marks)
{
    char *first = strpbrk(text, marks), *c, *out, *quoted;

    if (!first || (first != text && first[-1] != ' ')) {
        return NULL;
    }
    quoted = out = g_malloc(strlen(first));
    for (c = first + 1; *c && *c != *first; c++) {
        if (c[0] == '\\' && c[1] == *first) {
            *c++ = '.';
        }
        *out++ = *c;
        *c = '.';
    }
    *out = '\0';
    if (!*c) {
        g_free(quoted);
        return NULL;
    }
    return quoted;
}

static bool split(char *line, BreakpointRequest *request, GError **error)
{
    char *part;
    uint64_t number;

    request->commands = cut(line, "do");
    request->condition = cut(line, "if");
    request->vcpu = -1;
    part = cut(line, "cpu");
    if (part) {
        if (!parse_number("cpu", part, 65535, &number, error)) {
            return false;
        }
        request->vcpu = (int)number;
    }
    part = cut(line, "size");
    return !part || parse_number("size", part, UINT32_MAX, &request->size, error);
}

bool breakpoint_parse(const char *text, BreakpointRequest *request, char **copy, GError **error)
{
    size_t size = strlen(text) + 1;
    char *line, *words, *location;
    g_autofree char *quoted = NULL;
    bool is_event;

    /* The line is cut to pieces, the location shown as it was, an event's words cut up further; then what was quoted. */
    line = *copy = g_malloc0(4 * size);
    location = line + size;
    words = location + size;
    g_strlcpy(line, text, size);
    g_strchug(line);
    g_strlcpy(location, line, size);
    is_event = g_str_has_prefix(line, "on ") || !strcmp(line, "on");
    if (g_str_has_prefix(line, "on console ") || g_str_has_prefix(line, "on log ")) {
        quoted = take_quoted(line, "/\"");
    } else if (g_str_has_prefix(line, "on picture ")) {
        quoted = take_quoted(line, "\"");
    }
    if (quoted) {
        g_strlcpy(words + size, quoted, size);
    }
    if (!split(line, request, error)) {
        return false;
    }
    g_strchomp(line);
    location[strlen(line)] = '\0';
    request->location = location;
    if (is_event) {
        request->access = 0;
        g_strlcpy(words, line + strlen(line[2] ? "on " : "on"), size);
        return event_parse(words, quoted ? words + size : NULL, request, error);
    }
    if (!*request->location || !request->size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "give LOCATION [size N] [cpu N] [if CONDITION] [do COMMAND; …]");
    }
    return true;
}
