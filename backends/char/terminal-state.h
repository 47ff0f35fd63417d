/* SPDX-License-Identifier: MIT */
/*
 * What a guest's output does to the terminal that shows it (colours, wrapping, scroll region, alternate
 * screen …), so that it can be undone at the end.
 */
#ifndef BACKENDS_CHAR_TERMINAL_STATE_H
#define BACKENDS_CHAR_TERMINAL_STATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t changed;       /* bit per row of the table of changes */
    uint8_t state, length;
    uint8_t sequence[32];   /* of the escape sequence that is under way */
} TerminalState;

void terminal_state_track(TerminalState *state, const uint8_t *data, size_t size);
/* Writes what undoes the changes. Async-signal-safe. */
void terminal_state_undo(TerminalState *state, int fd);

#endif
