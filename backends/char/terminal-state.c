/* SPDX-License-Identifier: MIT */
/*
 * Follows the output to a terminal; see the header. Sequences are those of ECMA-48 and of DEC's and xterm's
 * private modes (xterm's ctlseqs).
 */
#include "backends/char/terminal-state.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

enum { PLAIN, ESCAPE, CSI, CHARSET };

/* Undone in this order. The alternate screen has attributes and a cursor of its own, so it goes first. */
enum {
    ALTERNATE_SCREEN,
    SCROLL_REGION,
    ATTRIBUTES,
    NO_WRAP,
    HIDDEN_CURSOR,
    INSERT_MODE,
    ORIGIN_MODE,
    REVERSE_SCREEN,
    CURSOR_KEYS,
    KEYPAD,
    MOUSE,
    BRACKETED_PASTE,
    LINE_DRAWING,
};

static const char *const undo[] = {
    [ALTERNATE_SCREEN] = "\033[?1049l",
    [SCROLL_REGION] = "\0337\033[r\0338", /* setting it moves the cursor, so that is kept */
    [ATTRIBUTES] = "\033[m",
    [NO_WRAP] = "\033[?7h",
    [HIDDEN_CURSOR] = "\033[?25h",
    [INSERT_MODE] = "\033[4l",
    [ORIGIN_MODE] = "\0337\033[?6l\0338",
    [REVERSE_SCREEN] = "\033[?5l",
    [CURSOR_KEYS] = "\033[?1l",
    [KEYPAD] = "\033>",
    [MOUSE] = "\033[?1000l\033[?1002l\033[?1003l\033[?1006l",
    [BRACKETED_PASTE] = "\033[?2004l",
    [LINE_DRAWING] = "\033(B\017",
};

/* Modes that ESC [ ? MODE h sets and … l resets. */
static const struct {
    uint16_t mode;
    uint8_t change;
    bool when_reset; /* being reset is the change */
} private_modes[] = {
    { 1, CURSOR_KEYS },
    { 5, REVERSE_SCREEN },
    { 6, ORIGIN_MODE },
    { 7, NO_WRAP, true },
    { 25, HIDDEN_CURSOR, true },
    { 47, ALTERNATE_SCREEN },
    { 1047, ALTERNATE_SCREEN },
    { 1049, ALTERNATE_SCREEN },
    { 1000, MOUSE },
    { 1002, MOUSE },
    { 1003, MOUSE },
    { 1006, MOUSE },
    { 2004, BRACKETED_PASTE },
};

static void set_change(TerminalState *state, unsigned change, bool on)
{
    state->changed = on ? state->changed | 1u << change : state->changed & ~(1u << change);
}

static void set_private_modes(TerminalState *state, const char *modes, bool set)
{
    while (*modes) {
        char *end;
        unsigned long mode = strtoul(modes, &end, 10);

        for (size_t i = 0; i < ARRAY_SIZE(private_modes); i++) {
            if (private_modes[i].mode == mode) {
                set_change(state, private_modes[i].change, set != private_modes[i].when_reset);
            }
        }
        modes = *end ? end + 1 : end;
    }
}

/* sequence: what is between ESC [ and the final character. */
static void end_csi(TerminalState *state, char final)
{
    const char *sequence = (const char *)state->sequence;
    bool mode = final == 'h' || final == 'l';

    if (mode && sequence[0] == '?') {
        set_private_modes(state, sequence + 1, final == 'h');
    } else if (mode && strcmp(sequence, "4") == 0) {
        set_change(state, INSERT_MODE, final == 'h');
    } else if (final == 'm' && sequence[0] != '>') {
        set_change(state, ATTRIBUTES, sequence[strspn(sequence, "0;")] != '\0');
    } else if (final == 'r' && sequence[0] != '?') {
        set_change(state, SCROLL_REGION, sequence[0] != '\0');
    } else if (final == 'p' && strcmp(sequence, "!") == 0) {
        state->changed &= 1u << ALTERNATE_SCREEN; /* soft reset */
    }
}

static void end_escape(TerminalState *state, char final)
{
    switch (final) {
    case 'c':
        state->changed = 0;
        break;
    case '=':
    case '>':
        set_change(state, KEYPAD, final == '=');
        break;
    }
}

static void track_byte(TerminalState *state, uint8_t byte)
{
    switch (state->state) {
    case PLAIN:
        if (byte == 0x0e) {
            set_change(state, LINE_DRAWING, true);
        } else if (byte == 0x0f) {
            set_change(state, LINE_DRAWING, false);
        }
        break;
    case ESCAPE:
        state->length = 0;
        state->state = byte == '[' ? CSI : byte == '(' ? CHARSET : PLAIN;
        if (state->state == PLAIN) {
            end_escape(state, byte);
        }
        break;
    case CHARSET:
        set_change(state, LINE_DRAWING, byte == '0');
        state->state = PLAIN;
        break;
    case CSI:
        if (byte >= 0x40 && byte <= 0x7e) {
            state->sequence[state->length] = '\0';
            end_csi(state, byte);
            state->state = PLAIN;
        } else if (byte >= 0x20 && state->length < sizeof state->sequence - 1) {
            state->sequence[state->length++] = byte;
        }
        break;
    }
}

void terminal_state_track(TerminalState *state, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0x1b) {
            state->state = ESCAPE;
        } else if (state->state != PLAIN || data[i] == 0x0e || data[i] == 0x0f) {
            track_byte(state, data[i]);
        }
    }
}

void terminal_state_undo(TerminalState *state, int fd)
{
    uint32_t changed = state->changed;

    state->changed = 0;
    for (size_t i = 0; i < ARRAY_SIZE(undo); i++) {
        if (changed >> i & 1 && write(fd, undo[i], strlen(undo[i])) < 0) {
            return;
        }
    }
}
