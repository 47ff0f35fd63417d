/* SPDX-License-Identifier: MIT */
/*
 * Displays: what a graphics device shows, one Display for each head, and who looks at it. Nothing is rendered
 * unless somebody looks: a listener that refreshes at its own pace, or a command that looks once.
 *
 * A surface is an image in one of pixman's formats. It may be the device's own memory, so its bytes change while
 * one looks; what changed since the last refresh is told as damage. All of it runs under the machine lock.
 */
#ifndef MACHINE_DISPLAY_H
#define MACHINE_DISPLAY_H

#include <pixman.h>

#include "machine/device.h"

typedef struct Display Display;

/* A text screen: cells in rows, from the top left corner. */
enum { DISPLAY_TEXT_COLUMNS = 256, DISPLAY_TEXT_ROWS = 512 };
typedef struct {
    uint8_t character; /* in the font's code page, usually 437 */
    uint8_t attribute; /* VGA: foreground in bits 3..0, background in 7..4 */
} DisplayCell;

typedef struct {
    unsigned columns, rows;
    DisplayCell *cells;   /* columns * rows */
    bool cursor_shown;
    unsigned cursor_column, cursor_row;
} DisplayText;

/* The device's side. */
typedef struct {
    /*
     * Brings the surface up to date: display_set_surface when it is another one, display_damage for what changed
     * since the last time, or the whole surface when `whole`.
     */
    void (*update)(void *opaque, bool whole);
    /* Somebody begins to refresh again and again, or nobody does any more. May be NULL. */
    void (*watched)(void *opaque, bool watched);
    /* What is on the screen when that is text: fills it, cells by g_new. False in graphics modes. May be NULL. */
    bool (*text)(void *opaque, DisplayText *text);
} DisplayOps;

/* ops must last. Freed with display_free, before the device is. */
Display *display_new(Device *device, unsigned head, const DisplayOps *ops, void *opaque);
void display_free(Display *display);
/* Takes the reference. */
void display_set_surface(Display *display, pixman_image_t *surface);
void display_damage(Display *display, int x, int y, int width, int height);
pixman_image_t *display_surface(Display *display);
bool display_is_watched(const Display *display);

/* The lookers' side. Callbacks come from display_refresh alone. */
typedef struct DisplayListener {
    void (*surface_changed)(struct DisplayListener *listener, pixman_image_t *surface);
    void (*damaged)(struct DisplayListener *listener, int x, int y, int width, int height);
} DisplayListener;
void display_add_listener(Display *display, DisplayListener *listener);
void display_remove_listener(Display *display, DisplayListener *listener);
void display_refresh(Display *display);
/* One look: the surface as it is now, with a reference that the caller drops. */
pixman_image_t *display_look(Display *display);
/* The text screen; false when it shows none. The caller frees text->cells. */
bool display_read_text(Display *display, DisplayText *text);

/*
 * For boards: the device type that -vga wants, on ISA or PCI; NULL for none. Without the option, and without -nodefaults,
 * the board's default.
 */
const char *machine_vga_device(Machine *machine, bool isa);

Device *display_device(const Display *display);
unsigned display_head(const Display *display);
/* Display *, in order of creation. */
GPtrArray *machine_displays(Machine *machine);
/* The head of the device of that id or path, or the first display for NULL. */
Display *display_find(Machine *machine, const char *device, unsigned head, GError **error);

#endif
