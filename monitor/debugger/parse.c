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

bool breakpoint_parse(const char *text, BreakpointRequest *request, char **copy, GError **error)
{
    char *line = *copy = g_strdup(text), *part;
    uint64_t number;

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
    if (!*request->location || !request->size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "give LOCATION [size N] [cpu N] [if CONDITION] [do COMMAND; …]");
    }
    return true;
}
