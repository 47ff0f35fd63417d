/* SPDX-License-Identifier: MIT */
/* Text modes: characters and attributes in planes 0 and 1, fonts in plane 2. */
#include "hw/display/vga.h"

enum { FONT_LINES = 32, ATTRIBUTE_BLINK = 0x80, ATTRIBUTE_FONT_A = 0x08 };

typedef struct {
    uint32_t counter; /* the CRT controller's address of the cell */
    uint8_t character, attribute;
} Cell;

static Cell cell_at(const Vga *vga, const VgaMode *mode, uint32_t row, unsigned column)
{
    uint32_t address = (row + 4 * column) & mode->wrap;
    const uint8_t *bytes = vga->vram.host + address;

    return (Cell){ address / 4, bytes[0], bytes[1] };
}

static bool is_cursor(const VgaMode *mode, const Cell *cell, unsigned scan)
{
    return mode->cursor_shown && cell->counter == mode->cursor_at && scan >= mode->cursor_start &&
           scan <= mode->cursor_end;
}

/* Which of the cell's dots have its foreground, leftmost in bit 8. */
static unsigned cell_dots(const Vga *vga, const VgaMode *mode, const Cell *cell, unsigned scan)
{
    uint32_t font = cell->attribute & ATTRIBUTE_FONT_A ? mode->font_a : mode->font_b;
    uint32_t glyph = (font + cell->character * FONT_LINES + scan) * 4 + 2;
    unsigned dots = vga->vram.host[glyph & mode->wrap] << 1;

    if (mode->line_graphics && cell->character >= 0xc0 && cell->character <= 0xdf) {
        dots |= dots >> 1 & 1;
    }
    if (mode->blink && cell->attribute & ATTRIBUTE_BLINK && mode->blink_phase) {
        dots = 0;
    }
    if ((cell->attribute & 0x77) == 1 && scan == mode->underline) {
        dots = 0x1ff;
    }
    return is_cursor(mode, cell, scan) ? 0x1ff : dots;
}

static uint64_t mix(uint64_t key, uint64_t value)
{
    return (key ^ value) * UINT64_C(0x9e3779b97f4a7c15);
}

unsigned vga_text_cells(const VgaMode *mode)
{
    return mode->columns + 1;
}

uint32_t vga_text_cell_key(const Vga *vga, const VgaMode *mode, uint32_t row, unsigned column)
{
    Cell cell = cell_at(vga, mode, row, column);
    bool cursor = mode->cursor_shown && cell.counter == mode->cursor_at;
    bool hidden = mode->blink && cell.attribute & ATTRIBUTE_BLINK && mode->blink_phase;
    uint32_t key = cell.character | (uint32_t)cell.attribute << 8 | (uint32_t)hidden << 16;

    if (cursor) {
        key |= 1u << 17 | (mode->cursor_start & 31u) << 18 | (mode->cursor_end & 31u) << 23;
    }
    return key | 1u << 28;
}

uint64_t vga_text_font_key(const Vga *vga, const VgaMode *mode)
{
    const uint32_t fonts[2] = { mode->font_a, mode->font_b };
    uint64_t key = 0;

    for (unsigned font = 0; font < 2; font++) {
        for (unsigned i = 0; i < 256 * FONT_LINES; i++) {
            key = mix(key, vga->vram.host[((fonts[font] + i) * 4 + 2) & mode->wrap]);
        }
    }
    return key;
}

/* Eight or nine. In this form the compiler draws four at once. */
static void put_cell(uint32_t *out, unsigned dots, const uint32_t colours[2], unsigned width)
{
    static const uint32_t bits[8] = { 0x100, 0x80, 0x40, 0x20, 0x10, 8, 4, 2 };
    uint32_t background = colours[0], foreground = colours[1];

    for (unsigned dot = 0; dot < 8; dot++) {
        out[dot] = dots & bits[dot] ? foreground : background;
    }
    if (width == 9) {
        out[8] = colours[dots & 1];
    }
}

static void put_wide_cell(uint32_t *out, unsigned dots, const uint32_t colours[2], unsigned width)
{
    for (unsigned dot = 0; dot < width; dot++) {
        out[2 * dot] = out[2 * dot + 1] = colours[dots >> (8 - dot) & 1];
    }
}

void vga_draw_text(const Vga *vga, const VgaMode *mode, unsigned line, unsigned first, unsigned end,
                   uint32_t *out)
{
    unsigned scan;
    bool below;
    uint32_t row = vga_mode_address(mode, line, &scan, &below);

    out += first * mode->cell_width * mode->dots;
    for (unsigned column = first; column < end; column++) {
        Cell cell = cell_at(vga, mode, row, column);
        unsigned dots = cell_dots(vga, mode, &cell, scan);
        unsigned background = cell.attribute >> 4 & (mode->blink ? 7 : 15);
        uint32_t colours[2] = { mode->palette[background & mode->plane_mask],
                                mode->palette[cell.attribute & 15 & mode->plane_mask] };

        if (mode->dots == 2) {
            put_wide_cell(out, dots, colours, mode->cell_width);
        } else {
            put_cell(out, dots, colours, mode->cell_width);
        }
        out += mode->cell_width * mode->dots;
    }
}

/* A row of text is shown by several lines; its first one names it. */
bool vga_read_text(Vga *vga, DisplayText *text)
{
    VgaMode mode;
    unsigned lines, scan;
    bool below;

    vga_mode(vga, &mode);
    if (mode.kind != VGA_TEXT || !mode.height) {
        return false;
    }
    lines = mode.scan_lines * mode.repeat;
    text->columns = MIN(mode.columns, DISPLAY_TEXT_COLUMNS);
    text->rows = MIN(MAX(mode.height / lines, 1), DISPLAY_TEXT_ROWS);
    text->cells = g_new(DisplayCell, text->columns * text->rows);
    for (unsigned row = 0; row < text->rows; row++) {
        uint32_t address = vga_mode_address(&mode, row * lines, &scan, &below);

        for (unsigned column = 0; column < text->columns; column++) {
            Cell cell = cell_at(vga, &mode, address, column);

            text->cells[row * text->columns + column] =
                (DisplayCell){ cell.character, cell.attribute };
            if (cell.counter == mode.cursor_at) {
                text->cursor_column = column;
                text->cursor_row = row;
                text->cursor_shown = !(vga->crtc[0xa] & 0x20);
            }
        }
    }
    return true;
}
