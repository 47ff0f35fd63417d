/* SPDX-License-Identifier: MIT */
/*
 * What displays show as text (VGA's text modes), for events on consoles: their screens are read some times a second, and each row that has changed is a line. A row
 * keeps its number while it moves up, so that what has been found in it is not found there again.
 */
#include <string.h>

#include "machine/display.h"
#include "monitor/debugger/private.h"

enum { PACE_MS = 100 };

typedef struct {
    DisplayListener listener;
    Debugger *debugger;
    Display *display;
    const char *label;
    bool changed;
    GPtrArray *rows; /* char *: as they were when last looked at */
    uint64_t first;  /* number of the topmost */
} ScreenWatch;

static GPtrArray *read_rows(Display *display)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(g_free);
    DisplayText text = { 0 };

    if (display_read_text(display, &text)) {
        for (unsigned row = 0; row < text.rows; row++) {
            g_ptr_array_add(rows, display_text_row(&text, row));
        }
        g_free(text.cells);
    }
    return rows;
}

/* How many rows of `rows` are those of `before` that were `by` further down. */
static unsigned same_rows(const GPtrArray *before, const GPtrArray *rows, unsigned by)
{
    unsigned same = 0;

    for (unsigned i = 0; i < rows->len && i + by < before->len; i++) {
        const char *row = rows->pdata[i];

        same += *row && !strcmp(row, before->pdata[i + by]);
    }
    return same;
}

/* By how many rows the screen has moved up: by so many as keep most of its rows. */
static unsigned moved_up(const GPtrArray *before, const GPtrArray *rows)
{
    unsigned best = 0, most = same_rows(before, rows, 0);

    for (unsigned by = 1; by < before->len; by++) {
        unsigned same = same_rows(before, rows, by);

        if (same > most) {
            most = same;
            best = by;
        }
    }
    return best;
}

static void tell_row(const ScreenWatch *watch, const char *row, uint64_t number)
{
    debug_report(watch->debugger->machine, NULL,
                 &(DebugEvent){ .kind = DEBUG_CONSOLE,
                                .write = true,
                                .who = watch->label,
                                .number = number,
                                .text = row });
}

static void look(ScreenWatch *watch)
{
    g_autoptr(GPtrArray) before = watch->rows;
    GPtrArray *rows = read_rows(watch->display);
    unsigned up = moved_up(before, rows);

    watch->rows = rows;
    watch->first += up;
    for (unsigned i = 0; i < rows->len; i++) {
        const char *row = rows->pdata[i], *old = i + up < before->len ? before->pdata[i + up] : "";

        if (*row && strcmp(row, old)) {
            tell_row(watch, row, watch->first + i);
        }
    }
}

static ScreenWatch *watch_of(DisplayListener *listener)
{
    return (ScreenWatch *)listener;
}

static void surface_changed(DisplayListener *listener, pixman_image_t *surface)
{
    watch_of(listener)->changed = true;
}

static void damaged(DisplayListener *listener, int x, int y, int width, int height)
{
    watch_of(listener)->changed = true;
}

static void refreshed(DisplayListener *listener)
{
    ScreenWatch *watch = watch_of(listener);

    if (watch->changed) {
        watch->changed = false;
        look(watch);
    }
}

static void gone(DisplayListener *listener)
{
    watch_of(listener)->display = NULL;
}

static void free_watch(gpointer opaque)
{
    ScreenWatch *watch = opaque;

    if (watch->display) {
        display_remove_listener(watch->display, &watch->listener);
    }
    g_ptr_array_unref(watch->rows);
    g_free(watch);
}

static ScreenWatch *watch_new(Debugger *debugger, Display *display)
{
    g_autofree char *label = display_label(display);
    ScreenWatch *watch = g_new0(ScreenWatch, 1);

    *watch = (ScreenWatch){ .listener = { .surface_changed = surface_changed,
                                          .damaged = damaged,
                                          .refreshed = refreshed,
                                          .gone = gone,
                                          .pace_ms = PACE_MS },
                            .debugger = debugger,
                            .display = display,
                            .label = g_intern_string(label),
                            .changed = true,
                            .rows = g_ptr_array_new_with_free_func(g_free) };
    display_add_listener(display, &watch->listener);
    return watch;
}

void event_screens_watch(Debugger *debugger, bool on)
{
    GPtrArray *displays;

    if (!on) {
        g_clear_pointer(&debugger->screens, g_ptr_array_unref);
        return;
    }
    if (debugger->screens) {
        return;
    }
    debugger->screens = g_ptr_array_new_with_free_func(free_watch);
    displays = machine_displays(debugger->machine);
    for (guint i = 0; i < displays->len; i++) {
        /* What is on text consoles is the char device's that they belong to. */
        if (display_device(displays->pdata[i])) {
            g_ptr_array_add(debugger->screens, watch_new(debugger, displays->pdata[i]));
        }
    }
}
