/* SPDX-License-Identifier: MIT */
/*
 * VGA's screen as a surface. Where the pixels in video memory are as pixman has them, the surface is the video memory;
 * else lines are drawn when their pages are dirty, and damaged where they differ from what was there. Pages say little of text,
 * where cells and fonts lie in the same ones and a cursor blinks: a cell is drawn when the key of what it shows is another.
 */
#include "hw/display/vga.h"
#include "machine/machine.h"

enum {
    PAGE_SHIFT = 12,
    FONT_ROOM = 16, /* dots beyond the line that panning draws */
    STEP = 16,      /* pixels that are compared at once */
    CELLS_BETWEEN = 8,
};

struct VgaScreen {
    Vga *vga;
    Display *display;
    VgaMode mode;
    bool whole;       /* the surface shows something else */
    bool shared;      /* it is video memory */
    bool *dirty;      /* by page of video memory */
    uint8_t *wrapped; /* a line that goes over the end of memory */
    uint32_t *line;
    uint32_t *keys; /* by row of text and cell: what it shows; 0: something else */
    uint64_t font_key;
    /* Damage that has not been told. */
    int left, right, top, bottom;
};

static void tell_damage(VgaScreen *screen)
{
    if (screen->left < screen->right) {
        display_damage(screen->display, screen->left, screen->top, screen->right - screen->left,
                       screen->bottom - screen->top);
    }
    screen->left = INT32_MAX;
    screen->right = 0;
}

/* Joins lines that follow each other to one rectangle. */
static void add_damage(VgaScreen *screen, unsigned line, int left, int right)
{
    if (screen->left < screen->right && screen->bottom != (int)line) {
        tell_damage(screen);
    }
    if (screen->left >= screen->right) {
        screen->top = (int)line;
    }
    screen->left = MIN(screen->left, left);
    screen->right = MAX(screen->right, right);
    screen->bottom = (int)line + 1;
}

static bool shared_format(const VgaMode *mode, pixman_format_code_t *format)
{
    switch (mode->bits) {
    case 15:
        *format = PIXMAN_x1r5g5b5;
        break;
    case 16:
        *format = PIXMAN_r5g6b5;
        break;
    case 24:
        *format = PIXMAN_r8g8b8;
        break;
    default:
        *format = PIXMAN_x8r8g8b8;
    }
    return mode->kind == VGA_LINEAR && mode->bits != 8 && !mode->big_endian;
}

/* Whether the memory is an image of pixman's as it is: in one piece, one line a row, whole words. */
static bool can_share(const VgaScreen *screen, pixman_format_code_t *format)
{
    const VgaMode *mode = &screen->mode;
    uint64_t end = mode->start + (uint64_t)mode->pitch * (mode->height - 1) + vga_line_bytes(mode);

    return shared_format(mode, format) && mode->scan_lines == 1 && mode->repeat == 1 &&
           mode->line_compare >= mode->height - 1 && !mode->pan && !mode->address_bit &&
           !mode->overlay[0] && mode->pitch % 4 == 0 && mode->start % 4 == 0 &&
           mode->pitch >= vga_line_bytes(mode) && end <= (uint64_t)mode->wrap + 1;
}

static void make_surface(VgaScreen *screen)
{
    const VgaMode *mode = &screen->mode;
    pixman_format_code_t format = PIXMAN_x8r8g8b8;
    pixman_image_t *surface;

    screen->shared = can_share(screen, &format);
    g_clear_pointer(&screen->wrapped, g_free);
    g_clear_pointer(&screen->line, g_free);
    g_clear_pointer(&screen->keys, g_free);
    if (screen->shared) {
        surface = pixman_image_create_bits_no_clear(
            format, (int)mode->width, (int)mode->height,
            (uint32_t *)(screen->vga->vram.host + mode->start), (int)mode->pitch);
    } else {
        surface =
            pixman_image_create_bits(PIXMAN_x8r8g8b8, (int)mode->width, (int)mode->height, NULL, 0);
        screen->wrapped = g_malloc(vga_line_bytes(mode) + 4);
        screen->line = g_new(uint32_t, mode->width + FONT_ROOM * 4);
        screen->keys = mode->kind == VGA_TEXT
                           ? g_new0(uint32_t, (size_t)mode->height * vga_text_cells(mode))
                           : NULL;
    }
    if (!surface) {
        screen->mode.height = 0; /* no memory for it: nothing is drawn, and it is tried again */
        return;
    }
    display_set_surface(screen->display, surface);
}

static bool pages_dirty(const VgaScreen *screen, uint32_t start, uint32_t bytes)
{
    uint32_t last = screen->vga->vram_bytes - 1;

    for (uint32_t at = start >> PAGE_SHIFT; at <= (start + bytes - 1) >> PAGE_SHIFT; at++) {
        if (screen->dirty[at & last >> PAGE_SHIFT]) {
            return true;
        }
    }
    return false;
}

/* Joins boxes that are one below the other. */
static void add_box(VgaScreen *screen, const pixman_box32_t *box)
{
    if (screen->left == box->x1 && screen->right == box->x2 && screen->bottom == box->y1) {
        screen->bottom = box->y2;
        return;
    }
    tell_damage(screen);
    screen->left = box->x1;
    screen->right = box->x2;
    screen->top = box->y1;
    screen->bottom = box->y2;
}

/* Bytes from the start on in one piece, by a copy where they go over the end of what the mode shows. */
static const uint8_t *line_source(const VgaScreen *screen, uint32_t start, uint32_t bytes)
{
    uint32_t room = screen->mode.wrap + 1 - start;
    const uint8_t *memory = screen->vga->vram.host;

    if (bytes <= room) {
        return memory + start;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        screen->wrapped[i] = memory[(start + i) & screen->mode.wrap];
    }
    return screen->wrapped;
}

/* Into screen->line; the pixels of the line. */
static const uint32_t *draw_line(VgaScreen *screen, unsigned line, uint32_t start, bool below)
{
    const VgaMode *mode = &screen->mode;
    unsigned pan = below ? mode->pan_below : mode->pan;
    Vga *vga = screen->vga;

    vga_draw_line(mode, line_source(screen, start, vga_line_bytes(mode)), screen->line);
    if (mode->overlay[0]) {
        vga->ops->draw_overlay(vga, mode, line, screen->line + pan);
    }
    return screen->line + pan;
}

/* How many pixels are the same from the start, or from the end, on. */
static int same_from_left(const uint32_t *a, const uint32_t *b, int count)
{
    int same = 0;

    while (same + STEP <= count && memcmp(a + same, b + same, STEP * sizeof(*a)) == 0) {
        same += STEP;
    }
    while (same < count && a[same] == b[same]) {
        same++;
    }
    return same;
}

static int same_from_right(const uint32_t *a, const uint32_t *b, int count)
{
    int left = count;

    while (left >= STEP && memcmp(a + left - STEP, b + left - STEP, STEP * sizeof(*a)) == 0) {
        left -= STEP;
    }
    while (left > 0 && a[left - 1] == b[left - 1]) {
        left--;
    }
    return count - left;
}

/* Copies what differs from *left to before *right, to which those come together; false: nothing does. */
static bool copy_changes(VgaScreen *screen, unsigned line, const uint32_t *pixels, bool whole,
                         int *left, int *right)
{
    pixman_image_t *surface = display_surface(screen->display);
    uint32_t *out = pixman_image_get_data(surface) +
                    (size_t)line * (unsigned)pixman_image_get_stride(surface) / 4;

    if (!whole) {
        /* All of it, as above and below letters: looking for the ends is dearer. */
        if (*left >= *right ||
            memcmp(out + *left, pixels + *left, (size_t)(*right - *left) * sizeof(*out)) == 0) {
            return false;
        }
        *left += same_from_left(out + *left, pixels + *left, *right - *left);
        *right -= same_from_right(out + *left, pixels + *left, *right - *left);
    }
    if (*left >= *right) {
        return false;
    }
    memcpy(out + *left, pixels + *left, (size_t)(*right - *left) * sizeof(*out));
    return true;
}

static void compare_line(VgaScreen *screen, unsigned line, const uint32_t *pixels, bool whole)
{
    int left = 0, right = (int)screen->mode.width;

    if (copy_changes(screen, line, pixels, whole, &left, &right)) {
        add_damage(screen, line, left, right);
    }
}

static bool line_is_dirty(const VgaScreen *screen, uint32_t start, bool whole)
{
    const VgaMode *mode = &screen->mode;

    if (whole) {
        return true;
    }
    return mode->kind != VGA_BLANK && pages_dirty(screen, start, vga_line_bytes(mode));
}

static void draw(VgaScreen *screen, bool fresh, bool whole)
{
    const VgaMode *mode = &screen->mode;

    for (unsigned line = 0; line < mode->height; line++) {
        unsigned scan;
        bool below;
        uint32_t start = vga_mode_address(mode, line, &scan, &below);

        if (!line_is_dirty(screen, start, whole)) {
            continue;
        }
        if (screen->shared) {
            add_damage(screen, line, 0, (int)mode->width);
        } else {
            compare_line(screen, line, draw_line(screen, line, start, below), fresh);
        }
    }
}

/* Text. */

/* Lines of the screen that show one row. */
typedef struct {
    uint32_t address;
    unsigned top, bottom;
    bool below; /* the line compare */
    uint32_t *keys;
} TextRow;

/* Cells from `first` to before `end`, of all lines of the row. */
static void draw_cells(VgaScreen *screen, const TextRow *row, unsigned first, unsigned end,
                       bool fresh)
{
    const VgaMode *mode = &screen->mode;
    int cell = (int)(mode->cell_width * mode->dots);
    int pan = row->below ? mode->pan_below : mode->pan;
    int left = MAX((int)first * cell - pan, 0),
        right = MIN((int)end * cell - pan, (int)mode->width);
    pixman_box32_t box = { INT32_MAX, INT32_MAX, 0, 0 };

    for (unsigned line = row->top; line < row->bottom; line++) {
        int x1 = left, x2 = right;

        vga_draw_text(screen->vga, mode, line, first, end, screen->line);
        if (mode->overlay[0]) {
            screen->vga->ops->draw_overlay(screen->vga, mode, line, screen->line + pan);
        }
        if (copy_changes(screen, line, screen->line + pan, fresh, &x1, &x2)) {
            box = (pixman_box32_t){ MIN(box.x1, x1), MIN(box.y1, (int)line), MAX(box.x2, x2),
                                    (int)line + 1 };
        }
    }
    if (box.x1 < box.x2) {
        add_box(screen, &box);
    }
}

/* Cells that look otherwise than before; few that do not, between them, are drawn with them. */
static void draw_row(VgaScreen *screen, const TextRow *row, bool fresh, bool whole)
{
    const VgaMode *mode = &screen->mode;
    unsigned cells = vga_text_cells(mode), first = cells, end = 0;

    for (unsigned column = 0; column < cells; column++) {
        uint32_t key = vga_text_cell_key(screen->vga, mode, row->address, column);

        if (!whole && key == row->keys[column]) {
            continue;
        }
        row->keys[column] = key;
        if (first < end && column >= end + CELLS_BETWEEN && !mode->overlay[0]) {
            draw_cells(screen, row, first, end, fresh);
            first = column;
        }
        first = MIN(first, column);
        end = column + 1;
    }
    if (first < end) {
        draw_cells(screen, row, mode->overlay[0] ? 0 : first, mode->overlay[0] ? cells : end,
                   fresh);
    }
}

static void draw_text(VgaScreen *screen, bool fresh, bool whole)
{
    const VgaMode *mode = &screen->mode;
    TextRow row = { .keys = screen->keys };

    while (row.bottom < mode->height) {
        unsigned scan;
        bool below;

        row.top = row.bottom;
        row.address = vga_mode_address(mode, row.top, &scan, &row.below);
        do {
            row.bottom++;
        } while (row.bottom < mode->height &&
                 vga_mode_address(mode, row.bottom, &scan, &below) == row.address &&
                 below == row.below);
        draw_row(screen, &row, fresh, whole);
        row.keys += vga_text_cells(mode);
    }
}

/* Whether a font has changed since the last time. */
static bool take_fonts(VgaScreen *screen)
{
    uint64_t key = vga_text_font_key(screen->vga, &screen->mode);
    bool changed = key != screen->font_key;

    screen->font_key = key;
    return changed;
}

/* changed: other registers than those of the cursor; blinked: those of the cursor, or the time. */
static void draw_changes(VgaScreen *screen, bool fresh, bool changed, bool blinked)
{
    bool dirty = fresh || changed || pages_dirty(screen, 0, VGA_PLANES_SIZE);

    screen->left = INT32_MAX;
    screen->right = 0;
    if (screen->mode.kind != VGA_TEXT) {
        draw(screen, fresh, fresh || changed || blinked);
    } else if (dirty || blinked) {
        draw_text(screen, fresh, (dirty && take_fonts(screen)) || fresh || changed);
    }
    tell_damage(screen);
}

static bool same_surface(const VgaMode *a, const VgaMode *b)
{
    return a->kind == b->kind && a->width == b->width && a->height == b->height &&
           a->bits == b->bits && a->start == b->start && a->pitch == b->pitch &&
           a->columns == b->columns && a->dots == b->dots && a->big_endian == b->big_endian &&
           !a->overlay[0] == !b->overlay[0];
}

/* Whether nothing differs but the cursor and what blinks. */
static bool same_but_cursor(const VgaMode *a, const VgaMode *b)
{
    VgaMode other = *b;

    other.cursor_shown = a->cursor_shown;
    other.blink_phase = a->blink_phase;
    other.cursor_at = a->cursor_at;
    other.cursor_start = a->cursor_start;
    other.cursor_end = a->cursor_end;
    return memcmp(a, &other, sizeof(other)) == 0;
}

static void update(void *opaque, bool fresh)
{
    VgaScreen *screen = opaque;
    Vga *vga = screen->vga;
    VgaMode mode;
    bool changed, blinked, other;
    pixman_format_code_t format;

    if (vga->ops && vga->ops->update && vga->ops->update(vga, fresh)) {
        screen->whole = true;
        return;
    }
    vga_mode(vga, &mode);
    if (mode.overlay[0] == 0) {
        memset(mode.overlay, 0, sizeof(mode.overlay));
    }
    blinked = memcmp(&mode, &screen->mode, sizeof(mode)) != 0;
    changed = screen->whole || !same_but_cursor(&mode, &screen->mode);
    other = screen->whole || !same_surface(&mode, &screen->mode);
    screen->mode = mode;
    if (other || (changed && can_share(screen, &format) != screen->shared)) {
        make_surface(screen);
        fresh = true;
    }
    screen->whole = false;
    if (display_is_watched(screen->display)) {
        memset(screen->dirty, 0, vga->vram_bytes >> PAGE_SHIFT);
        memory_dirty_collect(vga->device->machine, DIRTY_DISPLAY, vga->vram.ram_offset,
                             vga->vram_bytes, screen->dirty);
    }
    draw_changes(screen, fresh, changed, blinked);
}

static void watched(void *opaque, bool begins)
{
    VgaScreen *screen = opaque;
    Vga *vga = screen->vga;

    if (begins) {
        memory_dirty_start(vga->device->machine, DIRTY_DISPLAY, vga->vram.ram_offset,
                           vga->vram_bytes);
    } else {
        memory_dirty_stop(vga->device->machine, DIRTY_DISPLAY, vga->vram.ram_offset,
                          vga->vram_bytes);
    }
}

static bool read_text(void *opaque, DisplayText *text)
{
    VgaScreen *screen = opaque;

    return vga_read_text(screen->vga, text);
}

static void wish(void *opaque, const DisplayInfo *info)
{
    VgaScreen *screen = opaque;

    screen->vga->ops->wish(screen->vga, info);
}

static const DisplayOps screen_ops = {
    .update = update,
    .watched = watched,
    .text = read_text,
};

/* Of cards that can tell their guests. */
static const DisplayOps resizable_ops = {
    .update = update,
    .watched = watched,
    .text = read_text,
    .wish = wish,
};

VgaScreen *vga_screen_new(Vga *vga)
{
    VgaScreen *screen = g_new0(VgaScreen, 1);

    screen->vga = vga;
    screen->whole = true;
    screen->dirty = g_new0(bool, vga->vram_bytes >> PAGE_SHIFT);
    screen->display = display_new(
        vga->device, 0, vga->ops && vga->ops->wish ? &resizable_ops : &screen_ops, screen);
    return screen;
}

void vga_screen_free(VgaScreen *screen)
{
    display_free(screen->display);
    g_free(screen->dirty);
    g_free(screen->wrapped);
    g_free(screen->line);
    g_free(screen->keys);
    g_free(screen);
}

void vga_screen_forget(VgaScreen *screen)
{
    screen->whole = true;
}

Display *vga_screen_display(VgaScreen *screen)
{
    return screen->display;
}
