/* SPDX-License-Identifier: MIT */
/*
 * A terminal's screen: what programs for VT100s and xterm write (ECMA-48, DEC VT510 manual) becomes cells, in UTF-8,
 * with 256 colours and lines that one can scroll back to. Knows no pixels.
 */
#ifndef UI_TEXT_TERMINAL_H
#define UI_TEXT_TERMINAL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TERMINAL_COLUMNS_MAX = 400,
    TERMINAL_ROWS_MAX = 200,
    TERMINAL_HISTORY = 1000, /* lines that have left the screen */
    TERMINAL_PARAMETERS = 16,
};

typedef enum { TEXT_BOLD = 1, TEXT_UNDERLINE = 2, TEXT_INVERSE = 4, TEXT_HIDDEN = 8 } TextStyle;

typedef struct {
    uint32_t character; /* 0: nothing, or the second half of a wide one */
    uint8_t foreground, background; /* of xterm's 256 colours */
    uint8_t style;
} TextCell;

typedef struct {
    unsigned column, row;
    TextCell pen; /* colours and style of what is written next */
    bool graphics[2]; /* DEC's line drawing in G0, G1 */
    unsigned shift;   /* which of these is in use */
    bool origin, wrap_pending;
} TerminalCursor;

typedef struct {
    unsigned columns, rows;
    TextCell *cells;        /* columns * rows */
    TextCell *other_cells;  /* of the screen that is not shown: xterm's alternate one or the main one */
    TextCell *history;      /* a ring of TERMINAL_HISTORY lines */
    unsigned history_count, history_next;
    unsigned scrolled;      /* how many lines back one looks */
    bool *dirty;            /* by row: changed since the owner cleared it */
    TerminalCursor cursor, saved, other_saved;
    unsigned top, bottom;   /* the scrolling region: rows top to bottom - 1 */
    bool cursor_hidden, autowrap, insert, alternate, application_cursor, newline_mode;
    bool *tabs;             /* by column */
    /* The parser. */
    int state;
    unsigned parameters[TERMINAL_PARAMETERS], parameter_count;
    char intermediate, prefix;
    uint32_t character, last_character;
    unsigned bytes_left;    /* of a character in UTF-8 */
    void (*answer)(void *opaque, const char *text); /* what the terminal says by itself */
    void *opaque;
} Terminal;

Terminal *terminal_new(unsigned columns, unsigned rows, void (*answer)(void *opaque, const char *text),
                       void *opaque);
void terminal_free(Terminal *terminal);
void terminal_write(Terminal *terminal, const uint8_t *data, size_t size);
/* Back (positive) or forward by lines. */
void terminal_scroll_view(Terminal *terminal, int lines);
/* A row as it is looked at now. */
const TextCell *terminal_row(const Terminal *terminal, unsigned row);
/* Whether the cursor is to be seen, in the row's cells of terminal_row. */
bool terminal_cursor_shown(const Terminal *terminal);
/* The bytes that a key sends (a character or a DisplayKey): up to 8, without a zero. Returns how many. */
unsigned terminal_key(const Terminal *terminal, uint32_t key, char bytes[8]);

/* In terminal-parse.c's service: terminal.c's operations on cells. */
void terminal_put(Terminal *terminal, uint32_t character);
void terminal_erase(Terminal *terminal, unsigned row, unsigned from, unsigned to);
void terminal_move(Terminal *terminal, int row, int column);
/* keep: what leaves the top of the screen goes to the history. */
void terminal_scroll(Terminal *terminal, unsigned top, unsigned bottom, int lines, bool keep);
void terminal_shift_cells(Terminal *terminal, int by);
void terminal_line_feed(Terminal *terminal);
void terminal_show_alternate(Terminal *terminal, bool alternate);
void terminal_reset(Terminal *terminal);

#endif
