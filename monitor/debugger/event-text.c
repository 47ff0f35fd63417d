/* SPDX-License-Identifier: MIT */
/*
 * What is looked for in the text of consoles and of the log, line by line. A console's line is told of again and again while it grows; what
 * has been found in it is not found there again.
 *
 * Once somebody has waited for a console's text, what consoles say is kept: a script that waits for one text after the other misses none that
 * came between its lines.
 */
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

#include "monitor/debugger/private.h"

enum { HISTORY_LINES = 2000 };

typedef struct {
    const char *who;
    uint64_t number; /* of the line on that console */
    GString *text;
    int seen; /* how much of it those who waited have seen */
} HistoryLine;

typedef struct ConsoleHistory {
    GQueue lines; /* HistoryLine, oldest first */
} ConsoleHistory;

/* The line that the event is about, or NULL. */
static HistoryLine *line_of(const ConsoleHistory *history, const char *who, uint64_t number)
{
    for (GList *link = history ? history->lines.tail : NULL; link; link = link->prev) {
        HistoryLine *line = link->data;

        if (line->who == who) {
            return line->number == number ? line : NULL;
        }
    }
    return NULL;
}

/* Looks from `start` on; *end: behind what was found. */
static bool find(const Breakpoint *breakpoint, const char *text, int start, int *end)
{
    GMatchInfo *info = NULL;
    bool found;
    int first;

    if (start > (int)strlen(text)) {
        return false;
    }
    found = g_regex_match_full(breakpoint->expression, text, -1, start, 0, &info, NULL);
    if (found) {
        g_match_info_fetch_pos(info, 0, &first, end);
        *end += first == *end; /* an empty text is found once */
    }
    g_match_info_unref(info);
    return found;
}

static void take_text(Breakpoint *breakpoint, const char *text)
{
    g_free(breakpoint->text);
    breakpoint->text = g_utf8_make_valid(text, -1);
}

/* From where on the breakpoint looks in the event's text. */
static int start_of(const Breakpoint *breakpoint, const DebugEvent *event)
{
    const HistoryLine *line;

    if (event->kind != DEBUG_CONSOLE) {
        return 0;
    }
    if (breakpoint->request.wait) {
        line = line_of(breakpoint->debugger->history, event->who, event->number);
        return line ? line->seen : 0;
    }
    return breakpoint->seen_who == event->who && breakpoint->seen_number == event->number
               ? breakpoint->seen_end
               : 0;
}

bool event_text_fits(Breakpoint *breakpoint, const DebugEvent *event)
{
    int end;

    if (!breakpoint->expression || !event->text) {
        return true;
    }
    if (!find(breakpoint, event->text, start_of(breakpoint, event), &end)) {
        return false;
    }
    breakpoint->seen_who = event->who;
    breakpoint->seen_number = event->number;
    breakpoint->seen_end = end;
    take_text(breakpoint, event->text);
    return true;
}

static void free_line(void *data)
{
    HistoryLine *line = data;

    g_string_free(line->text, true);
    g_free(line);
}

void event_text_keep(Debugger *debugger, const DebugEvent *event)
{
    ConsoleHistory *history = debugger->history;
    HistoryLine *line;

    if (!history || event->kind != DEBUG_CONSOLE) {
        return;
    }
    line = line_of(history, event->who, event->number);
    if (!line) {
        line = g_new0(HistoryLine, 1);
        line->who = event->who;
        line->number = event->number;
        line->text = g_string_new(NULL);
        g_queue_push_tail(&history->lines, line);
        if (history->lines.length > HISTORY_LINES) {
            free_line(g_queue_pop_head(&history->lines));
        }
    }
    g_string_assign(line->text, event->text);
}

void event_text_begin(Debugger *debugger)
{
    if (!debugger->history) {
        debugger->history = g_new0(ConsoleHistory, 1);
        g_queue_init(&debugger->history->lines);
    }
}

void event_text_free(Debugger *debugger)
{
    if (debugger->history) {
        g_queue_clear_full(&debugger->history->lines, free_line);
        g_free(debugger->history);
    }
}

bool event_text_waited(Breakpoint *breakpoint)
{
    const char *who = breakpoint->request.event_who;

    for (GList *link = breakpoint->debugger->history->lines.head; link; link = link->next) {
        const HistoryLine *line = link->data;
        int end;

        if ((who && fnmatch(who, line->who, FNM_CASEFOLD) != 0) ||
            !find(breakpoint, line->text->str, line->seen, &end)) {
            continue;
        }
        breakpoint->seen_who = line->who;
        breakpoint->seen_number = line->number;
        breakpoint->seen_end = end;
        take_text(breakpoint, line->text->str);
        return true;
    }
    return false;
}

void event_text_pass(const Breakpoint *breakpoint)
{
    const ConsoleHistory *history = breakpoint->debugger->history;

    for (GList *link = history ? history->lines.head : NULL; link; link = link->next) {
        HistoryLine *line = link->data;

        if (line->who == breakpoint->seen_who && line->number <= breakpoint->seen_number) {
            line->seen = line->number < breakpoint->seen_number ? INT_MAX : breakpoint->seen_end;
        }
    }
}
