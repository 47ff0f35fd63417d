/* SPDX-License-Identifier: MIT */
/* The text form of events: "exception pf", "port 0x60 write", "pl011.UARTCR read", "console serial0 /login:/". */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "monitor/debugger/private.h"

/* What is left of an event's words, in order. */
typedef struct {
    char *word[8];
    unsigned count;
    const char *quoted; /* what stood between / or "; NULL: nothing did */
} Words;

typedef bool EventParser(Words *words, BreakpointRequest *request, GError **error);

static char *take_word(Words *words, unsigned index)
{
    char *word = words->word[index];

    words->count--;
    memmove(words->word + index, words->word + index + 1,
            (words->count - index) * sizeof words->word[0]);
    return word;
}

static char *take_first(Words *words)
{
    return words->count ? take_word(words, 0) : NULL;
}

/* "read", "write" or "access", wherever it stands. */
static void take_direction(Words *words, BreakpointRequest *request)
{
    static const char *const names[] = { "read", "write", "access" };

    for (unsigned i = words->count; i-- > 0;) {
        for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
            if (i < words->count && strcmp(words->word[i], names[n]) == 0) {
                request->event_reads = n != 1;
                request->event_writes = n != 0;
                take_word(words, i);
            }
        }
    }
}

static bool parse_nothing(Words *words, BreakpointRequest *request, GError **error)
{
    return true;
}

static bool parse_name(Words *words, BreakpointRequest *request, GError **error)
{
    request->event_name = take_first(words);
    return true;
}

static bool parse_name_or_number(Words *words, BreakpointRequest *request, GError **error)
{
    char *end, *word;

    take_direction(words, request);
    word = take_first(words);
    if (word) {
        request->event_number = g_ascii_strtoull(word, &end, 0);
        request->event_any_number = end == word || *end;
        request->event_name = request->event_any_number ? word : NULL;
    }
    return true;
}

/* Reads of system registers are many, and seldom meant. */
static bool parse_register(Words *words, BreakpointRequest *request, GError **error)
{
    request->event_reads = false;
    return parse_name_or_number(words, request, error);
}

static bool parse_device(Words *words, BreakpointRequest *request, GError **error)
{
    char *word, *dot;

    word = take_first(words);
    take_direction(words, request);
    dot = strchr(word, '.');
    *dot = '\0';
    request->event_who = word;
    request->event_name = dot + 1;
    return true;
}

/* [RANGE] [DEVICE] [read|write]: a range begins with a digit. */
static bool parse_dma(Words *words, BreakpointRequest *request, GError **error)
{
    take_direction(words, request);
    if (words->count && (g_ascii_isdigit(words->word[0][0]) || words->word[0][0] == '(')) {
        request->event_range = take_first(words);
    }
    request->event_who = take_first(words);
    return true;
}

static bool parse_range(Words *words, BreakpointRequest *request, GError **error)
{
    request->event_range = take_first(words);
    return request->event_range ||
           error_fail(error, KASO_ERROR_INVALID, "give a range: FIRST..LAST, or FIRST size N");
}

static bool parse_text(Words *words, BreakpointRequest *request, GError **error)
{
    if (!words->quoted || !words->count) {
        return error_fail(error, KASO_ERROR_INVALID, "give a regular expression: /login:/");
    }
    words->count--; /* what is left of the quoted text */
    request->event_text = words->quoted;
    request->event_who = take_first(words);
    return true;
}

static bool parse_log(Words *words, BreakpointRequest *request, GError **error)
{
    return parse_text(words, request, error) &&
           (!request->event_who || error_fail(error, KASO_ERROR_INVALID,
                                              "'%s' does not belong there", request->event_who));
}

/* "1.5s", "+20ms"; seconds without a unit. */
static bool parse_time(Words *words, BreakpointRequest *request, GError **error)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = { { "", 1e9 },   { "s", 1e9 },  { "ms", 1e6 },
                  { "us", 1e3 }, { "ns", 1.0 }, { "min", 60e9 } };
    char *word = take_first(words), *end = word;
    double number = word ? g_ascii_strtod(word, &end) : 0;

    request->event_relative = word && word[0] == '+';
    for (size_t i = 0; end != word && i < G_N_ELEMENTS(units); i++) {
        double ns = number * units[i].ns;

        if (strcmp(end, units[i].unit) == 0 && isfinite(ns) && ns >= 0 && ns < 9.2e18) {
            request->event_ns = (int64_t)(ns + 0.5);
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is no time of the virtual clock: write 1.5s, 20ms, or +20ms for a time "
                      "from now on",
                      word ? word : "");
}

/* "1000000", "20M" */
static bool parse_count(Words *words, BreakpointRequest *request, GError **error)
{
    static const char suffixes[] = "kMG";
    char *word = take_first(words), *end = word;
    uint64_t factor = 1,
             number = word && g_ascii_isdigit(*word) ? g_ascii_strtoull(word, &end, 0) : 0;
    const char *suffix = word && end != word && *end ? strchr(suffixes, *end) : NULL;

    for (const char *c = suffixes; suffix && c <= suffix; c++) {
        factor *= 1000;
    }
    if (suffix) {
        end++;
    }
    if (!word || end == word || *end || number == 0 || number > (UINT64_MAX >> 1) / factor) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is no number of instructions: write 5000, 20k, 3M, 1G",
                          word ? word : "");
    }
    request->event_number = number * factor;
    return true;
}

/* FILE [HEAD] [tolerance PERCENT] */
static bool parse_picture(Words *words, BreakpointRequest *request, GError **error)
{
    char *end, *word;
    double percent = 1;

    if (words->count >= 2 && strcmp(words->word[words->count - 2], "tolerance") == 0) {
        word = take_word(words, words->count - 1);
        take_word(words, words->count - 1);
        percent = g_ascii_strtod(word, &end);
        if (end == word || (*end && strcmp(end, "%") != 0) || !(percent >= 0 && percent <= 100)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "tolerance '%s' is no percentage of pixels, 0 to 100", word);
        }
    }
    word = take_first(words);
    if (!word) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "give a file: picture FILE [DISPLAY] [tolerance N]");
    }
    request->event_tolerance = (unsigned)(percent * 100);
    request->event_text = words->quoted ? words->quoted : word;
    request->event_who = take_first(words);
    return true;
}

static const struct {
    const char *name;
    DebugEventKind kind;
    EventParser *parse;
} events[] = {
    { "exception", DEBUG_EXCEPTION, parse_name_or_number },
    { "interrupt", DEBUG_INTERRUPT, parse_name_or_number },
    { "mode", DEBUG_MODE, parse_name },
    { "register", DEBUG_REGISTER, parse_register },
    { "paging", DEBUG_PAGING, parse_nothing },
    { "port", DEBUG_PORT, parse_name_or_number },
    { "psci", DEBUG_FIRMWARE_CALL, parse_name_or_number },
    { "triple-fault", DEBUG_TRIPLE_FAULT, parse_nothing },
    { "reset", DEBUG_RESET, parse_nothing },
    { "dma", DEBUG_DMA, parse_dma },
    { "execution", DEBUG_EXECUTION, parse_range },
    { "console", DEBUG_CONSOLE, parse_text },
    { "log", DEBUG_LOG, parse_log },
    { "time", DEBUG_TIME, parse_time },
    { "instructions", DEBUG_INSTRUCTIONS, parse_count },
    { "picture", DEBUG_PICTURE, parse_picture },
    { "translation", DEBUG_TRANSLATION, parse_range },
};

static bool fail_unknown(const char *name, GError **error)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        g_string_append_printf(all, "%s, ", events[i].name);
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is no event; there are %sand DEVICE.REGISTER", name, all->str);
}

static EventParser *find_parser(Words *words, BreakpointRequest *request, GError **error)
{
    const char *name = words->count ? words->word[0] : "";

    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        if (strcmp(name, events[i].name) == 0) {
            take_first(words);
            request->event = events[i].kind;
            return events[i].parse;
        }
    }
    if (strchr(name, '.')) {
        request->event = DEBUG_DEVICE;
        return parse_device;
    }
    fail_unknown(name, error);
    return NULL;
}

bool event_parse(char *text, const char *quoted, BreakpointRequest *request, GError **error)
{
    Words words = { .quoted = quoted };
    EventParser *parse;
    char *rest;

    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (words.count == G_N_ELEMENTS(words.word)) {
            return error_fail(error, KASO_ERROR_INVALID, "'%s' does not belong there", word);
        }
        words.word[words.count++] = word;
    }
    request->event_any_number = true;
    request->event_reads = request->event_writes = true;
    parse = find_parser(&words, request, error);
    if (!parse || !parse(&words, request, error)) {
        return false;
    }
    return !words.count ||
           error_fail(error, KASO_ERROR_INVALID, "'%s' does not belong there", words.word[0]);
}
