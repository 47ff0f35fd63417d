/* SPDX-License-Identifier: MIT */
/* ZRLE (RFC 6143, 7.7.6): tiles of 64 x 64 in the shortest of some simple forms, then zlib. */
#include "ui/vnc/encode.h"

#include <string.h>

#include "base/bits.h"

enum { TILE = 64, PACKED_MAX = 16, PALETTE_MAX = 127 };
enum { FORM_RAW = 0, FORM_SOLID = 1, FORM_RUNS = 128 };

static void put_byte(GByteArray *out, unsigned byte)
{
    guint8 value = (guint8)byte;

    g_byte_array_append(out, &value, 1);
}

/* Where the three bytes of a pixel that matter are: the first of them, or -1 when all four do. */
static int compact_offset(const VncFormat *format)
{
    bool low = true, high = true;

    if (format->bytes != 4 || format->depth > 24) {
        return -1;
    }
    for (unsigned i = 0; i < 3; i++) {
        uint64_t bits = (uint64_t)format->max[i] << format->shift[i];

        low &= bits < 1u << 24;
        high &= !(bits & 0xff);
    }
    if (low) {
        return format->big_endian ? 1 : 0;
    }
    return high ? (format->big_endian ? 0 : 1) : -1;
}

/* Pixels, each in as few bytes as ZRLE has for it. */
static void put_compact(const VncFormat *format, GByteArray *out, const uint32_t *pixels,
                        unsigned count)
{
    int offset = compact_offset(format);
    guint at = out->len;
    bool as_ours = vnc_format_is_ours(format);
    uint8_t *to;

    if (offset < 0 || !as_ours) {
        vnc_put_pixels(format, out, pixels, count);
    }
    if (offset < 0) {
        return;
    }
    g_byte_array_set_size(out, at + 4 * count);
    to = out->data + at;
    for (unsigned i = 0; i < count; i++, to += 3) {
        if (as_ours) {
            store_le32(to, pixels[i]); /* the next one comes over the fourth byte */
        } else {
            memmove(to, out->data + at + (size_t)4 * i + offset, 3);
        }
    }
    g_byte_array_set_size(out, at + 3 * count);
}

static void put_palette(const VncFormat *format, GByteArray *out, const VncPalette *palette)
{
    put_compact(format, out, palette->colours, palette->used);
}

static void put_run_length(GByteArray *out, unsigned length)
{
    for (length--; length >= 255; length -= 255) {
        put_byte(out, 255);
    }
    put_byte(out, length);
}

/* palette NULL: colours themselves. */
static void put_run(const VncFormat *format, GByteArray *out, const VncPalette *palette,
                    uint32_t colour, unsigned length)
{
    if (!palette) {
        put_compact(format, out, &colour, 1);
        put_run_length(out, length);
        return;
    }
    put_byte(out, vnc_palette_index(palette, colour) | (length > 1 ? 128 : 0));
    if (length > 1) {
        put_run_length(out, length);
    }
}

static void put_runs(const VncFormat *format, GByteArray *out, const VncArea *tile,
                     const VncPalette *palette)
{
    uint32_t last = vnc_row(tile, 0)[0] & 0xffffff;
    unsigned length = 0;

    for (int y = 0; y < tile->height; y++) {
        for (int x = 0; x < tile->width; x++) {
            uint32_t colour = vnc_row(tile, y)[x] & 0xffffff;

            if (colour != last) {
                put_run(format, out, palette, last, length);
                last = colour;
                length = 0;
            }
            length++;
        }
    }
    put_run(format, out, palette, last, length);
}

static unsigned count_runs(const VncArea *tile)
{
    uint32_t last = ~0u;
    unsigned runs = 0;

    for (int y = 0; y < tile->height; y++) {
        for (int x = 0; x < tile->width; x++) {
            uint32_t colour = vnc_row(tile, y)[x] & 0xffffff;

            runs += colour != last;
            last = colour;
        }
    }
    return runs;
}

static void put_tile(const VncFormat *format, GByteArray *out, const VncArea *tile)
{
    unsigned pixels = (unsigned)(tile->width * tile->height), runs = count_runs(tile);
    unsigned size = compact_offset(format) >= 0 ? 3 : format->bytes;
    VncPalette palette;
    bool few = vnc_palette_take(&palette, tile, PALETTE_MAX);
    bool packs = few && palette.used <= PACKED_MAX;
    /* Estimates; zlib comes behind all of them. */
    unsigned by_runs = few ? 2 * runs + palette.used * size : runs * (size + 1);
    unsigned bits = palette.used <= 2 ? 1 : palette.used <= 4 ? 2 : 4;
    unsigned packed = pixels * bits / 8;

    if (few && palette.used == 1) {
        put_byte(out, FORM_SOLID);
        put_palette(format, out, &palette);
    } else if (packs && packed <= by_runs) {
        put_byte(out, palette.used);
        put_palette(format, out, &palette);
        vnc_palette_put(&palette, tile, bits, out);
    } else if (by_runs < pixels * size) {
        put_byte(out, FORM_RUNS + (few ? palette.used : 0));
        if (few) {
            put_palette(format, out, &palette);
        }
        put_runs(format, out, tile, few ? &palette : NULL);
    } else {
        put_byte(out, FORM_RAW);
        for (int y = 0; y < tile->height; y++) {
            put_compact(format, out, vnc_row(tile, y), (unsigned)tile->width);
        }
    }
}

void vnc_encode_zrle(VncEncoder *encoder, const VncArea *area)
{
    guint at;

    g_byte_array_set_size(encoder->scratch, 0);
    for (int y = 0; y < area->height; y += TILE) {
        for (int x = 0; x < area->width; x += TILE) {
            VncArea tile =
                vnc_part(area, x, y, MIN(TILE, area->width - x), MIN(TILE, area->height - y));

            put_tile(&encoder->format, encoder->scratch, &tile);
        }
    }
    vnc_put_head(encoder, area->x, area->y, area->width, area->height, VNC_ZRLE);
    at = encoder->out->len;
    g_byte_array_set_size(encoder->out, at + 4);
    vnc_deflate(&encoder->zrle, encoder->level, encoder->scratch->data, encoder->scratch->len,
                encoder->out);
    store_be32(encoder->out->data + at, encoder->out->len - at - 4);
}
