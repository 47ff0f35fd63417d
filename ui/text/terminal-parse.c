/* SPDX-License-Identifier: MIT */
/* What a terminal is sent: UTF-8, control characters and sequences (ECMA-48; DEC's and xterm's private modes). */
#include <string.h>

#include "ui/text/terminal.h"

enum { STATE_PLAIN, STATE_ESCAPE, STATE_CSI, STATE_STRING, STATE_STRING_ESCAPE, STATE_CHARSET };
enum { PARAMETER_MAX = 9999, REPLACEMENT = 0xfffd, REPEAT_MAX = 4096 };

/* The parameter, or what stands for none and 0. */
static unsigned parameter(const Terminal *terminal, unsigned index, unsigned fallback)
{
    unsigned value = index < terminal->parameter_count ? terminal->parameters[index] : 0;

    return value ? value : fallback;
}

static void save_cursor(Terminal *terminal)
{
    terminal->saved = terminal->cursor;
}

static void restore_cursor(Terminal *terminal)
{
    TerminalCursor saved = terminal->saved;

    terminal_move(terminal, 0, 0);
    terminal->cursor = saved;
    terminal_move(terminal, (int)saved.row, (int)saved.column);
}

static void tab(Terminal *terminal)
{
    unsigned column = terminal->cursor.column + 1;

    while (column < terminal->columns && !terminal->tabs[column]) {
        column++;
    }
    terminal_move(terminal, (int)terminal->cursor.row, (int)column);
}

static void back_tab(Terminal *terminal)
{
    unsigned column = terminal->cursor.column;

    while (column && !terminal->tabs[--column]) {
    }
    terminal_move(terminal, (int)terminal->cursor.row, (int)column);
}

static void reverse_index(Terminal *terminal)
{
    if (terminal->cursor.row == terminal->top) {
        terminal_scroll(terminal, terminal->top, terminal->bottom, -1, false);
    } else {
        terminal_move(terminal, (int)terminal->cursor.row - 1, (int)terminal->cursor.column);
    }
}

static void control(Terminal *terminal, uint8_t byte)
{
    int row = (int)terminal->cursor.row, column = (int)terminal->cursor.column;

    switch (byte) {
    case '\b':
        terminal_move(terminal, row, column - 1);
        break;
    case '\t':
        tab(terminal);
        break;
    case '\n':
    case '\v':
    case '\f':
        terminal_line_feed(terminal);
        if (!terminal->newline_mode) {
            break;
        }
        /* fall through */
    case '\r':
        terminal_move(terminal, (int)terminal->cursor.row, 0);
        break;
    case 0x0e:
    case 0x0f:
        terminal->cursor.shift = byte == 0x0e;
        break;
    case 0x1b:
        terminal->state = STATE_ESCAPE;
        terminal->intermediate = 0;
        break;
    default:
        break; /* the bell rings for nobody */
    }
}

/* SGR */

/* Of 38 and 48: the colour and how many parameters it took; -1: none. */
static int extended_colour(const Terminal *terminal, unsigned at, unsigned *used)
{
    unsigned kind = parameter(terminal, at, 0);

    if (kind == 5) {
        *used = 2;
        return (int)MIN(parameter(terminal, at + 1, 0), 255);
    }
    if (kind == 2) { /* the nearest of the cube of 6 x 6 x 6 */
        unsigned index = 16;

        for (unsigned i = 0; i < 3; i++) {
            unsigned value = MIN(parameter(terminal, at + 1 + i, 0), 255);

            index += (value < 48    ? 0
                      : value < 115 ? 1
                                    : (value - 35) / 40) *
                     (i == 0   ? 36
                      : i == 1 ? 6
                               : 1);
        }
        *used = 4;
        return (int)index;
    }
    *used = 1;
    return -1;
}

static void set_style(TextCell *pen, unsigned code)
{
    static const struct {
        uint8_t code, set, clear;
    } styles[] = {
        { 1, TEXT_BOLD, 0 },       { 4, TEXT_UNDERLINE, 0 },  { 7, TEXT_INVERSE, 0 },
        { 8, TEXT_HIDDEN, 0 },     { 21, TEXT_UNDERLINE, 0 }, { 22, 0, TEXT_BOLD },
        { 24, 0, TEXT_UNDERLINE }, { 27, 0, TEXT_INVERSE },   { 28, 0, TEXT_HIDDEN },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(styles); i++) {
        if (styles[i].code == code) {
            pen->style = (uint8_t)((pen->style | styles[i].set) & ~styles[i].clear);
        }
    }
}

static void select_graphics(Terminal *terminal)
{
    TextCell *pen = &terminal->cursor.pen;

    for (unsigned i = 0; i < MAX(terminal->parameter_count, 1); i++) {
        unsigned code = parameter(terminal, i, 0), used = 0;
        int colour;

        if (code == 0) {
            *pen = (TextCell){ .foreground = 7 };
        } else if (code == 38 || code == 48) {
            colour = extended_colour(terminal, i + 1, &used);
            i += used;
            if (colour >= 0) {
                *(code == 38 ? &pen->foreground : &pen->background) = (uint8_t)colour;
            }
        } else if (code >= 30 && code <= 39) {
            pen->foreground = code == 39 ? 7 : (uint8_t)(code - 30);
        } else if (code >= 40 && code <= 49) {
            pen->background = code == 49 ? 0 : (uint8_t)(code - 40);
        } else if (code >= 90 && code <= 97) {
            pen->foreground = (uint8_t)(code - 90 + 8);
        } else if (code >= 100 && code <= 107) {
            pen->background = (uint8_t)(code - 100 + 8);
        } else {
            set_style(pen, code);
        }
    }
}

/* Erasing. */

static void erase_display(Terminal *terminal, unsigned what)
{
    unsigned row = terminal->cursor.row, column = terminal->cursor.column;

    if (what == 0) {
        terminal_erase(terminal, row, column, terminal->columns);
    } else if (what == 1) {
        terminal_erase(terminal, row, 0, column + 1);
    }
    for (unsigned i = what == 0 ? row + 1 : 0; i < (what == 1 ? row : terminal->rows); i++) {
        terminal_erase(terminal, i, 0, terminal->columns);
    }
    if (what == 3) {
        terminal_scroll_view(terminal, -TERMINAL_HISTORY);
        terminal->history_count = 0;
    }
}

static void erase_line(Terminal *terminal, unsigned what)
{
    unsigned column = terminal->cursor.column;

    terminal_erase(terminal, terminal->cursor.row, what == 0 ? column : 0,
                   what == 1 ? column + 1 : terminal->columns);
}

/* Modes. */

static void set_alternate(Terminal *terminal, unsigned mode, bool on)
{
    if (mode == 1049 && on) {
        save_cursor(terminal);
    }
    terminal_show_alternate(terminal, on);
    if (mode == 1049 && on) {
        erase_display(terminal, 2);
    } else if (mode == 1049) {
        restore_cursor(terminal);
    }
}

static void set_private_mode(Terminal *terminal, unsigned mode, bool on)
{
    switch (mode) {
    case 1:
        terminal->application_cursor = on;
        break;
    case 6:
        terminal->cursor.origin = on;
        terminal_move(terminal, on ? (int)terminal->top : 0, 0);
        break;
    case 7:
        terminal->autowrap = on;
        break;
    case 25:
        terminal->cursor_hidden = !on;
        terminal_move(terminal, (int)terminal->cursor.row, (int)terminal->cursor.column);
        break;
    case 47:
    case 1047:
    case 1049:
        set_alternate(terminal, mode, on);
        break;
    default:
        break;
    }
}

static void set_modes(Terminal *terminal, bool on)
{
    for (unsigned i = 0; i < terminal->parameter_count; i++) {
        unsigned mode = terminal->parameters[i];

        if (terminal->prefix == '?') {
            set_private_mode(terminal, mode, on);
        } else if (mode == 4) {
            terminal->insert = on;
        } else if (mode == 20) {
            terminal->newline_mode = on;
        }
    }
}

static void report(Terminal *terminal)
{
    g_autofree char *text = NULL;

    if (parameter(terminal, 0, 0) == 5) {
        terminal->answer(terminal->opaque, "\033[0n");
    } else if (parameter(terminal, 0, 0) == 6) {
        unsigned top = terminal->cursor.origin ? terminal->top : 0;

        text = g_strdup_printf("\033[%u;%uR", terminal->cursor.row - top + 1,
                               terminal->cursor.column + 1);
        terminal->answer(terminal->opaque, text);
    }
}

static void set_region(Terminal *terminal)
{
    unsigned top = parameter(terminal, 0, 1) - 1;
    unsigned bottom = MIN(parameter(terminal, 1, terminal->rows), terminal->rows);

    if (top + 1 < bottom) {
        terminal->top = top;
        terminal->bottom = bottom;
        terminal_move(terminal, terminal->cursor.origin ? (int)top : 0, 0);
    }
}

/* Lines in (down) or out at the cursor, within the region. */
static void shift_lines(Terminal *terminal, int lines)
{
    unsigned row = terminal->cursor.row;

    if (row >= terminal->top && row < terminal->bottom) {
        terminal_scroll(terminal, row, terminal->bottom, lines, false);
        terminal_move(terminal, (int)row, 0);
    }
}

static void clear_tabs(Terminal *terminal)
{
    if (parameter(terminal, 0, 0) == 3) {
        memset(terminal->tabs, false, terminal->columns);
    } else if (parameter(terminal, 0, 0) == 0) {
        terminal->tabs[terminal->cursor.column] = false;
    }
}

/* A movement of the cursor; false: the sequence is none. */
static bool move(Terminal *terminal, char final)
{
    int row = (int)terminal->cursor.row, column = (int)terminal->cursor.column;
    int count = (int)parameter(terminal, 0, 1);
    int top = terminal->cursor.origin ? (int)terminal->top : 0;

    switch (final) {
    case 'A':
        row -= count;
        break;
    case 'B':
    case 'e':
        row += count;
        break;
    case 'C':
    case 'a':
        column += count;
        break;
    case 'D':
        column -= count;
        break;
    case 'E':
    case 'F':
        row += final == 'E' ? count : -count;
        column = 0;
        break;
    case 'G':
    case '`':
        column = count - 1;
        break;
    case 'd':
        row = top + count - 1;
        break;
    case 'H':
    case 'f':
        row = top + count - 1;
        column = (int)parameter(terminal, 1, 1) - 1;
        break;
    default:
        return false;
    }
    terminal_move(terminal, row, column);
    return true;
}

static void repeat(Terminal *terminal, unsigned count)
{
    for (unsigned i = 0; terminal->last_character && i < MIN(count, REPEAT_MAX); i++) {
        terminal_put(terminal, terminal->last_character);
    }
}

static void change(Terminal *terminal, char final)
{
    int count = (int)parameter(terminal, 0, 1);

    switch (final) {
    case '@':
    case 'P':
        terminal_shift_cells(terminal, final == '@' ? count : -count);
        break;
    case 'I':
    case 'Z':
        for (int i = 0; i < MIN(count, TERMINAL_COLUMNS_MAX); i++) {
            (final == 'I' ? tab : back_tab)(terminal);
        }
        break;
    case 'J':
        erase_display(terminal, parameter(terminal, 0, 0));
        break;
    case 'K':
        erase_line(terminal, parameter(terminal, 0, 0));
        break;
    case 'L':
    case 'M':
        shift_lines(terminal, final == 'M' ? count : -count);
        break;
    case 'S':
    case 'T':
        terminal_scroll(terminal, terminal->top, terminal->bottom, final == 'S' ? count : -count,
                        true);
        break;
    case 'X':
        terminal_erase(terminal, terminal->cursor.row, terminal->cursor.column,
                       terminal->cursor.column + (unsigned)count);
        break;
    case 'b':
        repeat(terminal, (unsigned)count);
        break;
    case 'g':
        clear_tabs(terminal);
        break;
    default:
        break;
    }
}

static void end_sequence(Terminal *terminal, char final)
{
    terminal->state = STATE_PLAIN;
    if (terminal->intermediate) {
        return;
    }
    if (final == 'h' || final == 'l') {
        set_modes(terminal, final == 'h');
    } else if (final == 'c' && terminal->prefix != '>') {
        terminal->answer(terminal->opaque,
                         "\033[?1;2c"); /* a VT100 with the advanced video option */
    } else if (terminal->prefix) {
        return;
    } else if (final == 'm') {
        select_graphics(terminal);
    } else if (final == 'n') {
        report(terminal);
    } else if (final == 'r') {
        set_region(terminal);
    } else if (final == 's') {
        save_cursor(terminal);
    } else if (final == 'u') {
        restore_cursor(terminal);
    } else if (!move(terminal, final)) {
        change(terminal, final);
    }
}

static void sequence_byte(Terminal *terminal, uint8_t byte)
{
    unsigned *value = &terminal->parameters[terminal->parameter_count - 1];

    if (byte < 0x20) {
        control(terminal, byte);
    } else if (byte >= '0' && byte <= '9') {
        *value = MIN(*value * 10 + byte - '0', PARAMETER_MAX);
    } else if (byte == ';' || byte == ':') {
        if (terminal->parameter_count < TERMINAL_PARAMETERS) {
            terminal->parameters[terminal->parameter_count++] = 0;
        }
    } else if (byte >= '<' && byte <= '?') {
        terminal->prefix = (char)byte;
    } else if (byte <= '/') {
        terminal->intermediate = (char)byte;
    } else if (byte >= '@' && byte <= '~') {
        end_sequence(terminal, (char)byte);
    }
}

static void begin_sequence(Terminal *terminal)
{
    terminal->state = STATE_CSI;
    terminal->parameter_count = 1;
    terminal->parameters[0] = 0;
    terminal->prefix = terminal->intermediate = 0;
}

static void escape_byte(Terminal *terminal, uint8_t byte)
{
    terminal->state = STATE_PLAIN;
    switch (byte) {
    case '[':
        begin_sequence(terminal);
        break;
    case ']':
    case 'P':
    case '_':
    case '^':
    case 'X':
        terminal->state = STATE_STRING;
        break;
    case '(':
    case ')':
    case '#':
    case '%':
    case ' ':
        terminal->intermediate = (char)byte;
        terminal->state = STATE_CHARSET;
        break;
    case '7':
        save_cursor(terminal);
        break;
    case '8':
        restore_cursor(terminal);
        break;
    case 'D':
        terminal_line_feed(terminal);
        break;
    case 'E':
        terminal_line_feed(terminal);
        terminal_move(terminal, (int)terminal->cursor.row, 0);
        break;
    case 'H':
        terminal->tabs[terminal->cursor.column] = true;
        break;
    case 'M':
        reverse_index(terminal);
        break;
    case 'c':
        terminal_reset(terminal);
        break;
    default:
        break;
    }
}

/* Plain text: UTF-8, what is none is shown as the sign for that. */
static void text_byte(Terminal *terminal, uint8_t byte)
{
    if (terminal->bytes_left && (byte & 0xc0) != 0x80) {
        terminal->bytes_left = 0;
        terminal_put(terminal, REPLACEMENT);
    }
    if (byte < 0x20 || byte == 0x7f) {
        control(terminal, byte);
    } else if (byte < 0x80) {
        terminal_put(terminal, byte);
    } else if (terminal->bytes_left) {
        terminal->character = terminal->character << 6 | (byte & 0x3f);
        if (--terminal->bytes_left == 0) {
            terminal_put(terminal,
                         g_unichar_validate(terminal->character) && terminal->character >= 0x80
                             ? terminal->character
                             : REPLACEMENT);
        }
    } else if (byte >= 0xc2 && byte < 0xf5) {
        terminal->bytes_left = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
        terminal->character = byte & (0x3f >> terminal->bytes_left);
    } else {
        terminal_put(terminal, REPLACEMENT);
    }
}

void terminal_write(Terminal *terminal, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = data[i];

        if (byte == 0x18 || byte == 0x1a) { /* CAN and SUB end a sequence */
            terminal->state = STATE_PLAIN;
            continue;
        }
        switch (terminal->state) {
        case STATE_ESCAPE:
            escape_byte(terminal, byte);
            break;
        case STATE_CSI:
            sequence_byte(terminal, byte);
            break;
        case STATE_STRING:
            terminal->state = byte == '\a'   ? STATE_PLAIN
                              : byte == 0x1b ? STATE_STRING_ESCAPE
                                             : STATE_STRING;
            break;
        case STATE_STRING_ESCAPE:
            terminal->state = STATE_PLAIN;
            break;
        case STATE_CHARSET:
            if (terminal->intermediate == '(' || terminal->intermediate == ')') {
                terminal->cursor.graphics[terminal->intermediate == ')'] = byte == '0';
            }
            terminal->state = STATE_PLAIN;
            break;
        default:
            text_byte(terminal, byte);
        }
    }
}
