/* SPDX-License-Identifier: MIT */
/*
 * Displays: what a graphics device shows, one Display for each head, and who looks at it. Nothing is rendered
 * unless somebody looks: a listener that refreshes at its own pace, or a command that looks once. Text consoles are
 * displays of no device, after those of devices.
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

/* What a viewer would like the guest's screen to be. Sizes in mm are 0 where they are not known. */
typedef struct {
    int width, height; /* pixels; 0: nobody looks at this head, it may be off */
    int width_mm, height_mm;
    int x, y; /* where the head is among the others, in pixels */
} DisplayInfo;

/* What text consoles take beside Unicode characters. Control characters are characters, as on terminals. */
typedef enum {
    DISPLAY_KEY_UP = 0x110000, /* beyond Unicode */
    DISPLAY_KEY_DOWN,
    DISPLAY_KEY_RIGHT,
    DISPLAY_KEY_LEFT,
    DISPLAY_KEY_HOME,
    DISPLAY_KEY_END,
    DISPLAY_KEY_PAGE_UP,
    DISPLAY_KEY_PAGE_DOWN,
    DISPLAY_KEY_INSERT,
    DISPLAY_KEY_DELETE,
    DISPLAY_KEY_F1,
    DISPLAY_KEY_F12 = DISPLAY_KEY_F1 + 11,
    DISPLAY_KEY_SCROLL_UP, /* through what has left the screen */
    DISPLAY_KEY_SCROLL_DOWN,
} DisplayKey;

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
    /*
     * A viewer would like another size: the guest may be told. Also when nobody looks any more. NULL: the guest
     * cannot be asked. Viewers send each wish at most some times a second.
     */
    void (*wish)(void *opaque, const DisplayInfo *info);
    /* A text console: it has the keyboard, key is a character or a DisplayKey. NULL: keys are the guest's. */
    void (*type)(void *opaque, uint32_t key);
} DisplayOps;

/*
 * ops must last. A device may have several, by `head`. Freed with display_free, before the device is. Both in the main loop or
 * on a vCPU's thread; listeners of one that is freed are told by `gone`.
 */
Display *display_new(Device *device, unsigned head, const DisplayOps *ops, void *opaque);
/* A text console; label: what people call it. */
Display *display_new_text(Machine *machine, const char *label, const DisplayOps *ops, void *opaque);
void display_free(Display *display);
/*
 * Takes the reference. NULL: the head is off, and lookers see black. Like display_damage it may be called at any time, not only
 * from update: devices whose guests tell what changed pass that on at once.
 */
void display_set_surface(Display *display, pixman_image_t *surface);
void display_damage(Display *display, int x, int y, int width, int height);
void display_damage_region(Display *display, const pixman_region32_t *region);
pixman_image_t *display_surface(Display *display);
/* false: the head is off. */
bool display_is_on(const Display *display);
bool display_is_watched(const Display *display);

/*
 * The pointer that the device draws over the surface ("hardware cursor"); it is not part of the surface. image: a8r8g8b8, colours
 * multiplied by alpha, up to DISPLAY_CURSOR_MAX on each side; NULL for none; its bytes must not change any more. Takes the reference.
 */
enum { DISPLAY_CURSOR_MAX = 512 };
typedef struct {
    pixman_image_t *image; /* NULL: the device has no cursor, or it is empty */
    int hot_x, hot_y;
    int x, y; /* of the hot spot on the surface */
    bool shown;
} DisplayCursor;
void display_set_cursor(Display *display, pixman_image_t *image, int hot_x, int hot_y);
/* Of the hot spot. Without a call since display_new it is not shown. */
void display_move_cursor(Display *display, int x, int y, bool shown);
const DisplayCursor *display_cursor(const Display *display);

/*
 * The lookers' side. Callbacks come under the machine lock, from display_refresh or, for devices that tell what changed,
 * at any time and on any thread; `refreshed` and those of a pace in the main loop. Any may be NULL.
 */
typedef struct DisplayListener {
    void (*surface_changed)(struct DisplayListener *listener, pixman_image_t *surface);
    void (*damaged)(struct DisplayListener *listener, int x, int y, int width, int height);
    /* Image, hot spot, position or visibility. */
    void (*cursor_changed)(struct DisplayListener *listener, bool image);
    /* All damage up to now has been told: after each refresh by pace. */
    void (*refreshed)(struct DisplayListener *listener);
    /* The display is about to be freed; the listener has been removed. */
    void (*gone)(struct DisplayListener *listener);
    /*
     * Refresh so often while something changes; less often, by and by, down to five times a second, while nothing does.
     * 0: only when somebody calls display_refresh.
     */
    unsigned pace_ms;
} DisplayListener;
void display_add_listener(Display *display, DisplayListener *listener);
void display_remove_listener(Display *display, DisplayListener *listener);
/* Another pace for a listener that is added: a window that is hidden, a viewer that asks for nothing. */
void display_set_pace(Display *display, DisplayListener *listener, unsigned pace_ms);
/* A change is likely now, since somebody has typed: back to the pace at once. */
void display_expect(Display *display);
void display_refresh(Display *display);
/* false: the guest cannot be asked for a size. */
bool display_wish(Display *display, const DisplayInfo *info);
bool display_can_wish(const Display *display);
/* Text consoles: whether they take keys, and one key. */
bool display_takes_text(const Display *display);
void display_type(Display *display, uint32_t key);
/* One look: the surface as it is now, with a reference that the caller drops. */
pixman_image_t *display_look(Display *display);
/* The text screen; false when it shows none. The caller frees text->cells. */
bool display_read_text(Display *display, DisplayText *text);
/* A row of it in ASCII, without the blanks at its end; the caller frees. */
char *display_text_row(const DisplayText *text, unsigned row);

/*
 * For boards: the device type that -vga wants, on ISA or PCI; NULL for none. Without the option, and without -nodefaults,
 * the board's default.
 */
const char *machine_vga_device(Machine *machine, bool isa);

Machine *display_machine(const Display *display);
/* NULL: a text console. */
Device *display_device(const Display *display);
/* What people call it: "VGA", "virtio-gpu-pci.1", "serial0"; the caller frees. */
char *display_label(const Display *display);
unsigned display_head(const Display *display);
/* Display *, those of devices in order of creation, then text consoles in theirs. */
GPtrArray *machine_displays(Machine *machine);
/* The head of the device of that id or path, or the first display for NULL. */
Display *display_find(Machine *machine, const char *device, unsigned head, GError **error);

#endif
