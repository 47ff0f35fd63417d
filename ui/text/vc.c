/* SPDX-License-Identifier: MIT */
/*
 * Character back end "vc": a text console, a page of the displays that viewers can switch to. Its cells become
 * pixels when somebody looks.
 */
#include <string.h>

#include "base/error.h"
#include "machine/chardev.h"
#include "machine/display.h"
#include "ui/text/font.h"
#include "ui/text/terminal.h"

enum { COLUMNS = 80, ROWS = 24, TYPED_MAX = 4096, REPLACEMENT = 0xfffd };

typedef struct {
    Chardev chardev;
    uint32_t width, height, columns, rows; /* properties */
    Terminal *terminal;
    Display *display;
    GByteArray *typed;            /* keys that the front end has not taken */
    const uint16_t *glyphs[0x80]; /* ASCII's, found before */
} VcChardev;

static VcChardev *vc(Chardev *chardev)
{
    return (VcChardev *)chardev;
}

/* Pixels. */

/* xterm's colours: 16 of VGA's, a cube, and greys. */
static uint32_t colour(unsigned index)
{
    static const uint32_t first[16] = {
        0x000000, 0xaa0000, 0x00aa00, 0xaa5500, 0x0000aa, 0xaa00aa, 0x00aaaa, 0xaaaaaa,
        0x555555, 0xff5555, 0x55ff55, 0xffff55, 0x5555ff, 0xff55ff, 0x55ffff, 0xffffff,
    };
    static const uint8_t steps[6] = { 0, 95, 135, 175, 215, 255 };

    if (index < 16) {
        return first[index];
    }
    if (index >= 232) {
        return (8 + 10 * (index - 232)) * 0x010101u;
    }
    index -= 16;
    return (uint32_t)steps[index / 36] << 16 | (uint32_t)steps[index / 6 % 6] << 8 |
           steps[index % 6];
}

static const uint16_t *find_glyph(uint32_t character)
{
    unsigned low = 0, high = font_glyph_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (font_characters[middle] == character) {
            return font_rows[middle];
        }
        if (font_characters[middle] < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static const uint16_t *glyph_of(VcChardev *v, uint32_t character)
{
    const uint16_t *glyph;

    character = character ? character : ' ';
    if (character < G_N_ELEMENTS(v->glyphs)) {
        if (!v->glyphs[character]) {
            v->glyphs[character] = find_glyph(character);
        }
        glyph = v->glyphs[character];
    } else {
        glyph = find_glyph(character);
    }
    if (!glyph) {
        glyph = find_glyph(REPLACEMENT);
    }
    return glyph ? glyph : font_rows[0];
}

static void draw_cell(VcChardev *v, unsigned row, unsigned column, const TextCell *cell,
                      bool cursor)
{
    pixman_image_t *surface = display_surface(v->display);
    size_t stride = (size_t)pixman_image_get_stride(surface) / 4;
    uint32_t *out = pixman_image_get_data(surface) + (size_t)row * FONT_HEIGHT * stride +
                    (size_t)column * FONT_WIDTH;
    unsigned bright = cell->style & TEXT_BOLD && cell->foreground < 8 ? 8 : 0;
    uint32_t ink = colour(cell->foreground + bright), paper = colour(cell->background), swap;
    const uint16_t *glyph = glyph_of(v, cell->style & TEXT_HIDDEN ? ' ' : cell->character);

    if (!(cell->style & TEXT_INVERSE) != !cursor) {
        swap = ink;
        ink = paper;
        paper = swap;
    }
    for (unsigned y = 0; y < FONT_HEIGHT; y++, out += stride) {
        unsigned bits = glyph[y];

        if (cell->style & TEXT_UNDERLINE && y == FONT_HEIGHT - 2) {
            bits = ~0u;
        }
        for (unsigned x = 0; x < FONT_WIDTH; x++) {
            out[x] = bits >> (FONT_WIDTH - 1 - x) & 1 ? ink : paper;
        }
    }
}

static void draw_row(VcChardev *v, unsigned row)
{
    const Terminal *terminal = v->terminal;
    const TextCell *cells = terminal_row(terminal, row);
    bool cursor = terminal_cursor_shown(terminal) && terminal->cursor.row == row;

    for (unsigned column = 0; column < terminal->columns; column++) {
        draw_cell(v, row, column, &cells[column], cursor && terminal->cursor.column == column);
    }
    display_damage(v->display, 0, (int)row * FONT_HEIGHT, (int)terminal->columns * FONT_WIDTH,
                   FONT_HEIGHT);
}

static void update(void *opaque, bool whole)
{
    VcChardev *v = opaque;
    Terminal *terminal = v->terminal;
    int width = (int)terminal->columns * FONT_WIDTH, height = (int)terminal->rows * FONT_HEIGHT;

    if (pixman_image_get_width(display_surface(v->display)) != width ||
        pixman_image_get_height(display_surface(v->display)) != height) {
        display_set_surface(v->display,
                            pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0));
        whole = true;
    }
    for (unsigned row = 0; row < terminal->rows; row++) {
        if (whole || terminal->dirty[row]) {
            terminal->dirty[row] = false;
            draw_row(v, row);
        }
    }
}

/* Keys. */

static void give_typed(VcChardev *v)
{
    while (v->typed->len) {
        size_t room = chardev_can_receive(&v->chardev), size = MIN(room, v->typed->len);

        if (!size) {
            return;
        }
        chardev_receive(&v->chardev, v->typed->data, size);
        g_byte_array_remove_range(v->typed, 0, (guint)size);
    }
}

static void add_typed(VcChardev *v, const char *bytes, size_t size)
{
    if (v->typed->len + size <= TYPED_MAX) {
        g_byte_array_append(v->typed, (const guint8 *)bytes, (guint)size);
        give_typed(v);
    }
}

static void answer(void *opaque, const char *text)
{
    add_typed(opaque, text, strlen(text));
}

static void type(void *opaque, uint32_t key)
{
    VcChardev *v = opaque;
    char bytes[8];
    int page = (int)v->terminal->rows / 2;

    if (key == DISPLAY_KEY_SCROLL_UP || key == DISPLAY_KEY_SCROLL_DOWN) {
        terminal_scroll_view(v->terminal, key == DISPLAY_KEY_SCROLL_UP ? page : -page);
        return;
    }
    terminal_scroll_view(v->terminal, -TERMINAL_HISTORY);
    add_typed(v, bytes, terminal_key(v->terminal, key, bytes));
}

static const DisplayOps vc_ops = { .update = update, .type = type };

static bool vc_open(Chardev *chardev, GError **error)
{
    VcChardev *v = vc(chardev);
    unsigned columns = v->columns ? v->columns : v->width ? v->width / FONT_WIDTH : COLUMNS;
    unsigned rows = v->rows ? v->rows : v->height ? v->height / FONT_HEIGHT : ROWS;

    if (columns < 2 || columns > TERMINAL_COLUMNS_MAX || rows < 2 || rows > TERMINAL_ROWS_MAX) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "chardev '%s': %u x %u characters: a text console has 2 to %d columns and 2 "
            "to %d rows",
            chardev->id, columns, rows, TERMINAL_COLUMNS_MAX, TERMINAL_ROWS_MAX);
    }
    v->terminal = terminal_new(columns, rows, answer, v);
    v->typed = g_byte_array_new();
    v->display = display_new_text(chardev->machine, chardev->id, &vc_ops, v);
    chardev->open = true;
    chardev_resize(chardev, columns, rows);
    return true;
}

static void vc_close(Chardev *chardev)
{
    VcChardev *v = vc(chardev);

    display_free(v->display);
    terminal_free(v->terminal);
    g_byte_array_unref(v->typed);
}

static size_t vc_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    terminal_write(vc(chardev)->terminal, data, size);
    return size;
}

static void vc_accept_input(Chardev *chardev)
{
    give_typed(vc(chardev));
}

static char *vc_describe(Chardev *chardev)
{
    return g_strdup("vc");
}

static const Property vc_properties[] = {
    { "width", PROPERTY_U32, offsetof(VcChardev, width), "pixels" },
    { "height", PROPERTY_U32, offsetof(VcChardev, height), "pixels" },
    { "cols", PROPERTY_U32, offsetof(VcChardev, columns), "characters in a row; 80" },
    { "rows", PROPERTY_U32, offsetof(VcChardev, rows), "rows; 24" },
    { NULL },
};

static const ChardevType vc_type = {
    .name = "vc",
    .summary = "Text console that viewers can switch to",
    .instance_size = sizeof(VcChardev),
    .properties = vc_properties,
    .open = vc_open,
    .close = vc_close,
    .write = vc_write,
    .accept_input = vc_accept_input,
    .describe = vc_describe,
};
CHARDEV_TYPE(vc_type);
