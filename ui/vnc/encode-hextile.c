/* SPDX-License-Identifier: MIT */
/* Hextile (RFC 6143, 7.7.4): tiles of 16 x 16 as a background with rectangles on it. */
#include "ui/vnc/encode.h"

#include <string.h>

enum {
    TILE = 16,
    TILE_RAW = 1,
    TILE_BACKGROUND = 2,
    TILE_FOREGROUND = 4,
    TILE_RECTS = 8,
    TILE_COLOURED = 16
};

/* What carries over from one tile to the next. */
typedef struct {
    uint32_t background, foreground;
    bool background_known, foreground_known;
} Colours;

static void put_byte(GByteArray *out, unsigned byte)
{
    guint8 value = (guint8)byte;

    g_byte_array_append(out, &value, 1);
}

/* How far the colour at x, y goes on to the right, and how many rows repeat that. */
static void grow(const VncArea *tile, const uint16_t *done, int x, int y, int *width, int *height)
{
    uint32_t colour = vnc_row(tile, y)[x] & 0xffffff;
    int right = x, bottom = y + 1;

    while (right < tile->width && !(done[y] >> right & 1) &&
           (vnc_row(tile, y)[right] & 0xffffff) == colour) {
        right++;
    }
    for (; bottom < tile->height; bottom++) {
        for (int i = x; i < right; i++) {
            if (done[bottom] >> i & 1 || (vnc_row(tile, bottom)[i] & 0xffffff) != colour) {
                goto full;
            }
        }
    }
full:
    *width = right - x;
    *height = bottom - y;
}

/* The rectangles that are not background; how many, or -1 when they take more than `limit` bytes. */
static int put_rects(const VncFormat *format, GByteArray *out, const VncArea *tile,
                     uint32_t background, bool coloured, unsigned limit)
{
    uint16_t done[TILE] = { 0 };
    guint start = out->len;
    int count = 0;

    for (int y = 0; y < tile->height; y++) {
        for (int x = 0; x < tile->width; x++) {
            uint32_t colour = vnc_row(tile, y)[x] & 0xffffff;
            int width, height;

            if (done[y] >> x & 1 || colour == background) {
                continue;
            }
            grow(tile, done, x, y, &width, &height);
            for (int i = y; i < y + height; i++) {
                done[i] |= (uint16_t)(((1u << width) - 1) << x);
            }
            if (coloured) {
                vnc_put_pixels(format, out, &colour, 1);
            }
            put_byte(out, (unsigned)(x << 4 | y));
            put_byte(out, (unsigned)((width - 1) << 4 | (height - 1)));
            count++;
            if (out->len - start > limit || count > 255) {
                return -1;
            }
        }
    }
    return count;
}

/* false: raw is shorter; nothing was written. */
static bool put_tile(VncEncoder *encoder, const VncArea *tile, const VncPalette *palette,
                     Colours *colours)
{
    GByteArray *out = encoder->out;
    guint start = out->len;
    unsigned most = 0, flags = 0;
    unsigned limit = (unsigned)(tile->width * tile->height) * encoder->format.bytes;
    bool coloured = palette->used > 2;
    int count;

    for (unsigned i = 1; i < palette->used; i++) {
        most = palette->counts[i] > palette->counts[most] ? i : most;
    }
    put_byte(out, 0);
    if (!colours->background_known || colours->background != palette->colours[most]) {
        flags |= TILE_BACKGROUND;
        vnc_put_pixels(&encoder->format, out, &palette->colours[most], 1);
    }
    if (palette->used == 2) {
        uint32_t foreground = palette->colours[!most];

        if (!colours->foreground_known || colours->foreground != foreground) {
            flags |= TILE_FOREGROUND;
            vnc_put_pixels(&encoder->format, out, &foreground, 1);
            colours->foreground = foreground;
            colours->foreground_known = true;
        }
    }
    colours->background = palette->colours[most];
    colours->background_known = true;
    if (palette->used > 1) {
        guint at = out->len;

        flags |= TILE_RECTS | (coloured ? TILE_COLOURED : 0);
        put_byte(out, 0);
        count = put_rects(&encoder->format, out, tile, palette->colours[most], coloured, limit);
        if (count < 0) {
            g_byte_array_set_size(out, start);
            return false;
        }
        out->data[at] = (guint8)count;
    }
    /* After a coloured tile the foreground is not defined. */
    colours->foreground_known &= !coloured;
    out->data[start] = (guint8)flags;
    return true;
}

void vnc_encode_hextile(VncEncoder *encoder, const VncArea *area)
{
    Colours colours = { 0 };
    VncPalette palette;

    vnc_put_head(encoder, area->x, area->y, area->width, area->height, VNC_HEXTILE);
    for (int y = 0; y < area->height; y += TILE) {
        for (int x = 0; x < area->width; x += TILE) {
            VncArea tile =
                vnc_part(area, x, y, MIN(TILE, area->width - x), MIN(TILE, area->height - y));

            if (!vnc_palette_take(&palette, &tile, 64) ||
                !put_tile(encoder, &tile, &palette, &colours)) {
                put_byte(encoder->out, TILE_RAW);
                vnc_put_area(&encoder->format, encoder->out, &tile);
                colours = (Colours){ 0 };
            }
        }
    }
}
