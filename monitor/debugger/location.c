/* SPDX-License-Identifier: MIT */
/* Where a breakpoint goes; see the header. */
#include "monitor/debugger/location.h"

#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "monitor/expression.h"

static bool is_name(const char *text)
{
    const char *c = text;

    while (g_ascii_isalnum(*c) || (*c && strchr("_.@!", *c))) {
        c++;
    }
    return !*c && (g_ascii_isalpha(*text) || *text == '_');
}

bool location_is_line(const char *text, char **file, unsigned *line)
{
    const char *colon = strrchr(text, ':');
    char *end;
    uint64_t number;

    if (!colon || colon == text || !g_ascii_isdigit(colon[1])) {
        return false;
    }
    number = g_ascii_strtoull(colon + 1, &end, 10);
    if (*end || number > INT32_MAX) {
        return false;
    }
    *file = g_strndup(text, (gsize)(colon - text));
    *line = (unsigned)number;
    return true;
}

bool location_depends_on_symbols(const char *text)
{
    g_autofree char *file = NULL;
    unsigned line;

    return is_name(text) || location_is_line(text, &file, &line);
}

static unsigned resolve_line(Machine *machine, const char *file, unsigned line,
                             LocationPlace *places)
{
    uint64_t addresses[LOCATION_PLACES_MAX];
    unsigned count = symbols_line_addresses(machine, file, &line, addresses, LOCATION_PLACES_MAX);

    for (unsigned i = 0; i < count; i++) {
        places[i] = (LocationPlace){ addresses[i], addresses[i] };
    }
    return count;
}

static LocationPlace symbol_place(Vcpu *vcpu, const Symbol *symbol, bool code)
{
    LocationPlace place = { .shown = symbol->address };

    if (code && g_ascii_toupper(symbol->type) != 'D' && g_ascii_toupper(symbol->type) != 'B') {
        place.shown = symbols_behind_prologue(vcpu->machine, vcpu, symbol->address);
    }
    place.physical = symbols_physical(vcpu->machine, symbol, &place.address);
    place.address = place.physical ? place.address + (place.shown - symbol->address) : place.shown;
    return place;
}

static bool evaluate(Vcpu *vcpu, const char *text, uint64_t *address, GError **error)
{
    const char *rest = text;

    if (!expression_evaluate(&rest, vcpu, (int64_t *)address, error)) {
        return false;
    }
    while (g_ascii_isspace(*rest)) {
        rest++;
    }
    return !*rest ||
           error_fail(error, KASO_ERROR_INVALID, "'%s': '%s' does not belong", text, rest);
}

unsigned location_resolve(Vcpu *vcpu, const char *text, bool code,
                          LocationPlace places[LOCATION_PLACES_MAX], GError **error)
{
    Symbol symbols[LOCATION_PLACES_MAX];
    g_autofree char *file = NULL;
    unsigned count, line, kept = 0;

    if (location_is_line(text, &file, &line)) {
        return resolve_line(vcpu->machine, file, line, places);
    }
    if (!is_name(text)) {
        places[0] = (LocationPlace){ 0 };
        if (!evaluate(vcpu, *text == '*' ? text + 1 : text, &places[0].address, error)) {
            return 0;
        }
        places[0].shown = places[0].address;
        return 1;
    }
    count = symbols_find(vcpu->machine, vcpu, text, symbols, LOCATION_PLACES_MAX);
    count = MIN(count, (unsigned)LOCATION_PLACES_MAX);
    if (count && code && symbol_file_floats(symbols[0].file)) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        bool again = false;

        /* A file of the user's, and what is recognised in memory, may name the same. */
        for (unsigned k = 0; k < i; k++) {
            again |= symbols[k].address == symbols[i].address;
        }
        if (!again) {
            places[kept++] = symbol_place(vcpu, &symbols[i], code);
        }
    }
    return kept;
}

bool location_parse_range(const char *text, uint64_t size, Vcpu *vcpu, uint64_t *first,
                          uint64_t *last, GError **error)
{
    const char *dots = strstr(text, "..");
    g_autofree char *start = dots ? g_strndup(text, (gsize)(dots - text)) : g_strdup(text);

    if (!evaluate(vcpu, start, first, error)) {
        return false;
    }
    if (dots) {
        return evaluate(vcpu, dots + 2, last, error) &&
               (*first <= *last ||
                error_fail(error, KASO_ERROR_INVALID, "'%s' ends before it begins", text));
    }
    if (size == 0 || size - 1 > UINT64_MAX - *first) {
        return error_fail(error, KASO_ERROR_INVALID, "a range of that size is not there");
    }
    *last = *first + (size - 1);
    return true;
}
