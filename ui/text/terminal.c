/* SPDX-License-Identifier: MIT */
/* The cells of a terminal and what can be done with them. */
#include "ui/text/terminal.h"

#include <string.h>

#include "machine/display.h"

enum { WHITE = 7, TAB = 8 };

static const TextCell plain = { .foreground = WHITE };

static TextCell *row_cells(Terminal *terminal, unsigned row)
{
    return terminal->cells + (size_t)row * terminal->columns;
}

static void touch(Terminal *terminal, unsigned row)
{
    terminal->dirty[row] = true;
}

static void touch_all(Terminal *terminal)
{
    memset(terminal->dirty, true, terminal->rows);
}

static void fill(TextCell *cells, size_t count, TextCell cell)
{
    for (size_t i = 0; i < count; i++) {
        cells[i] = cell;
    }
}

/* What erased cells look like. */
static TextCell blank(const Terminal *terminal)
{
    return (TextCell){ .foreground = terminal->cursor.pen.foreground,
                       .background = terminal->cursor.pen.background };
}

Terminal *terminal_new(unsigned columns, unsigned rows,
                       void (*answer)(void *opaque, const char *text), void *opaque)
{
    Terminal *terminal = g_new0(Terminal, 1);

    terminal->columns = CLAMP(columns, 2, TERMINAL_COLUMNS_MAX);
    terminal->rows = CLAMP(rows, 2, TERMINAL_ROWS_MAX);
    terminal->cells = g_new(TextCell, (size_t)terminal->columns * terminal->rows);
    terminal->other_cells = g_new(TextCell, (size_t)terminal->columns * terminal->rows);
    terminal->history = g_new(TextCell, (size_t)terminal->columns * TERMINAL_HISTORY);
    terminal->dirty = g_new(bool, terminal->rows);
    terminal->tabs = g_new(bool, terminal->columns);
    terminal->answer = answer;
    terminal->opaque = opaque;
    fill(terminal->other_cells, (size_t)terminal->columns * terminal->rows, plain);
    terminal_reset(terminal);
    return terminal;
}

void terminal_free(Terminal *terminal)
{
    g_free(terminal->cells);
    g_free(terminal->other_cells);
    g_free(terminal->history);
    g_free(terminal->dirty);
    g_free(terminal->tabs);
    g_free(terminal);
}

void terminal_reset(Terminal *terminal)
{
    terminal_show_alternate(terminal, false);
    terminal->cursor = terminal->saved = (TerminalCursor){ .pen = plain };
    terminal->top = 0;
    terminal->bottom = terminal->rows;
    terminal->autowrap = true;
    terminal->cursor_hidden = terminal->insert = terminal->application_cursor = false;
    terminal->newline_mode = false;
    terminal->scrolled = 0;
    for (unsigned i = 0; i < terminal->columns; i++) {
        terminal->tabs[i] = i % TAB == 0;
    }
    fill(terminal->cells, (size_t)terminal->columns * terminal->rows, plain);
    touch_all(terminal);
}

/* Looking back. */

const TextCell *terminal_row(const Terminal *terminal, unsigned row)
{
    unsigned at;

    if (row >= terminal->scrolled) {
        return terminal->cells + (size_t)(row - terminal->scrolled) * terminal->columns;
    }
    at = (terminal->history_next + TERMINAL_HISTORY - terminal->scrolled + row) % TERMINAL_HISTORY;
    return terminal->history + (size_t)at * terminal->columns;
}

bool terminal_cursor_shown(const Terminal *terminal)
{
    return !terminal->cursor_hidden && !terminal->scrolled;
}

void terminal_scroll_view(Terminal *terminal, int lines)
{
    int wanted = (int)terminal->scrolled + lines;

    wanted = CLAMP(wanted, 0, (int)terminal->history_count);
    if ((unsigned)wanted != terminal->scrolled) {
        terminal->scrolled = (unsigned)wanted;
        touch_all(terminal);
    }
}

static void remember_row(Terminal *terminal, unsigned row)
{
    memcpy(terminal->history + (size_t)terminal->history_next * terminal->columns,
           row_cells(terminal, row), terminal->columns * sizeof(TextCell));
    terminal->history_next = (terminal->history_next + 1) % TERMINAL_HISTORY;
    terminal->history_count = MIN(terminal->history_count + 1, TERMINAL_HISTORY);
    if (terminal->scrolled) { /* the view stays on what it shows */
        terminal->scrolled = MIN(terminal->scrolled + 1, terminal->history_count);
    }
}

/* Operations. */

void terminal_scroll(Terminal *terminal, unsigned top, unsigned bottom, int lines, bool keep)
{
    unsigned count = MIN((unsigned)ABS(lines), bottom - top), kept = bottom - top - count;
    size_t row_bytes = terminal->columns * sizeof(TextCell);

    if (keep && lines > 0 && top == 0 && !terminal->alternate) {
        for (unsigned i = 0; i < count; i++) {
            remember_row(terminal, i);
        }
    }
    if (lines > 0) {
        memmove(row_cells(terminal, top), row_cells(terminal, top + count), kept * row_bytes);
        fill(row_cells(terminal, bottom - count), (size_t)count * terminal->columns,
             blank(terminal));
    } else {
        memmove(row_cells(terminal, top + count), row_cells(terminal, top), kept * row_bytes);
        fill(row_cells(terminal, top), (size_t)count * terminal->columns, blank(terminal));
    }
    if (terminal->scrolled) {
        touch_all(terminal);
    }
    memset(terminal->dirty + top, true, bottom - top);
}

void terminal_erase(Terminal *terminal, unsigned row, unsigned from, unsigned to)
{
    if (from < to && row < terminal->rows) {
        fill(row_cells(terminal, row) + from, MIN(to, terminal->columns) - from, blank(terminal));
        touch(terminal, row);
    }
}

void terminal_move(Terminal *terminal, int row, int column)
{
    TerminalCursor *cursor = &terminal->cursor;
    int top = cursor->origin ? (int)terminal->top : 0;
    int bottom = cursor->origin ? (int)terminal->bottom : (int)terminal->rows;

    touch(terminal, cursor->row);
    cursor->row = (unsigned)CLAMP(row, top, bottom - 1);
    cursor->column = (unsigned)CLAMP(column, 0, (int)terminal->columns - 1);
    cursor->wrap_pending = false;
    touch(terminal, cursor->row);
}

void terminal_line_feed(Terminal *terminal)
{
    TerminalCursor *cursor = &terminal->cursor;

    touch(terminal, cursor->row);
    if (cursor->row + 1 == terminal->bottom) {
        terminal_scroll(terminal, terminal->top, terminal->bottom, 1, true);
    } else if (cursor->row + 1 < terminal->rows) {
        cursor->row++;
    }
    cursor->wrap_pending = false;
    touch(terminal, cursor->row);
}

/* Cells from the cursor on to the right (by > 0, blanks come in) or to the left. */
void terminal_shift_cells(Terminal *terminal, int by)
{
    TextCell *row = row_cells(terminal, terminal->cursor.row);
    unsigned at = terminal->cursor.column, room = terminal->columns - at;
    unsigned count = MIN((unsigned)ABS(by), room);

    if (by > 0) {
        memmove(row + at + count, row + at, (room - count) * sizeof(TextCell));
        fill(row + at, count, blank(terminal));
    } else {
        memmove(row + at, row + at + count, (room - count) * sizeof(TextCell));
        fill(row + at + room - count, count, blank(terminal));
    }
    terminal->cursor.wrap_pending = false;
    touch(terminal, terminal->cursor.row);
}

/* DEC Special Graphics, from '`' on. */
static const uint16_t graphics[] = {
    0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0, 0x00b1, 0x2424, 0x240b, 0x2518,
    0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c, 0x2524,
    0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3, 0x00b7,
};

void terminal_put(Terminal *terminal, uint32_t character)
{
    TerminalCursor *cursor = &terminal->cursor;
    unsigned width;

    if (cursor->graphics[cursor->shift] && character >= '`' && character <= '~') {
        character = graphics[character - '`'];
    }
    if (g_unichar_iszerowidth(character)) {
        return; /* marks that would go over the character before have no place in a cell */
    }
    width = g_unichar_iswide(character) ? 2 : 1;
    if (cursor->wrap_pending || cursor->column + width > terminal->columns) {
        if (terminal->autowrap) {
            cursor->column = 0;
            terminal_line_feed(terminal);
        } else {
            cursor->column = terminal->columns - width;
        }
    }
    if (terminal->insert) {
        terminal_shift_cells(terminal, (int)width);
    }
    for (unsigned i = 0; i < width; i++) {
        TextCell *cell = row_cells(terminal, cursor->row) + cursor->column + i;

        *cell = cursor->pen;
        cell->character = i ? 0 : character;
    }
    terminal->last_character = character;
    cursor->column += width;
    cursor->wrap_pending = cursor->column >= terminal->columns;
    if (cursor->wrap_pending) {
        cursor->column = terminal->columns - 1;
    }
    touch(terminal, cursor->row);
}

void terminal_show_alternate(Terminal *terminal, bool alternate)
{
    if (terminal->alternate != alternate) {
        TextCell *cells = terminal->cells;

        terminal->alternate = alternate;
        terminal->cells = terminal->other_cells;
        terminal->other_cells = cells;
        terminal->scrolled = 0;
        touch_all(terminal);
    }
}

/* Keys. */

static const struct {
    uint32_t key;
    const char *bytes;
} keys[] = {
    { DISPLAY_KEY_HOME, "\033[1~" },     { DISPLAY_KEY_END, "\033[4~" },
    { DISPLAY_KEY_PAGE_UP, "\033[5~" },  { DISPLAY_KEY_PAGE_DOWN, "\033[6~" },
    { DISPLAY_KEY_INSERT, "\033[2~" },   { DISPLAY_KEY_DELETE, "\033[3~" },
    { DISPLAY_KEY_F1, "\033OP" },        { DISPLAY_KEY_F1 + 1, "\033OQ" },
    { DISPLAY_KEY_F1 + 2, "\033OR" },    { DISPLAY_KEY_F1 + 3, "\033OS" },
    { DISPLAY_KEY_F1 + 4, "\033[15~" },  { DISPLAY_KEY_F1 + 5, "\033[17~" },
    { DISPLAY_KEY_F1 + 6, "\033[18~" },  { DISPLAY_KEY_F1 + 7, "\033[19~" },
    { DISPLAY_KEY_F1 + 8, "\033[20~" },  { DISPLAY_KEY_F1 + 9, "\033[21~" },
    { DISPLAY_KEY_F1 + 10, "\033[23~" }, { DISPLAY_KEY_F1 + 11, "\033[24~" },
};

unsigned terminal_key(const Terminal *terminal, uint32_t key, char bytes[8])
{
    if (key < DISPLAY_KEY_UP) {
        return (unsigned)g_unichar_to_utf8(key, bytes);
    }
    if (key >= DISPLAY_KEY_UP && key <= DISPLAY_KEY_LEFT) {
        bytes[0] = '\033';
        bytes[1] = terminal->application_cursor ? 'O' : '[';
        bytes[2] = "ABCD"[key - DISPLAY_KEY_UP];
        return 3;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].key == key) {
            memcpy(bytes, keys[i].bytes, strlen(keys[i].bytes));
            return (unsigned)strlen(keys[i].bytes);
        }
    }
    return 0;
}
