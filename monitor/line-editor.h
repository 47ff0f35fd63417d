/* SPDX-License-Identifier: MIT */
/*
 * A line editor for a terminal at the other end of a byte stream: Emacs-like keys and the cursor
 * keys of ECMA-48 terminals, history, completion. Programs at the other end get the echo as well, as they
 * know it from QEMU's monitor.
 */
#ifndef MONITOR_LINE_EDITOR_H
#define MONITOR_LINE_EDITOR_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LineEditor LineEditor;

enum { LINE_EDITOR_LINE_MAX = 4095, LINE_EDITOR_HISTORY_MAX = 500 };

typedef struct {
    void (*write)(void *opaque, const char *text, size_t size);
    /* A whole line; history and prompt are the editor's business. */
    void (*line)(void *opaque, const char *line);
    /*
     * What could stand in place of the word that ends at the cursor: adds allocated strings to
     * candidates, returns the length of that word. May be NULL.
     */
    size_t (*complete)(void *opaque, const char *line_to_cursor, GPtrArray *candidates);
} LineEditorHandlers;

LineEditor *line_editor_new(const char *prompt, const LineEditorHandlers *handlers, void *opaque);
void line_editor_free(LineEditor *editor);
void line_editor_feed(LineEditor *editor, const uint8_t *data, size_t size);
/* The lines that were entered, oldest first: char *, the editor's. */
const GPtrArray *line_editor_history(const LineEditor *editor);
/* Shows the prompt and what has been typed. */
void line_editor_show(LineEditor *editor);
/* Forgets what has been typed. */
void line_editor_reset(LineEditor *editor);

#endif
