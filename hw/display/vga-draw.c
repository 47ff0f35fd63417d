/* SPDX-License-Identifier: MIT */
/* Pixels of a line in each graphics mode. */
#include "hw/display/vga.h"

uint32_t vga_line_bytes(const VgaMode *mode)
{
    switch (mode->kind) {
    case VGA_LINEAR:
        return mode->width * ((mode->bits + 7) / 8);
    case VGA_BLANK:
    case VGA_TEXT:
        return mode->columns * 4;
    default:
        /* A unit of four bytes has eight dots; panning shows a part of one more. */
        return (mode->width / (8 * mode->dots) + 1) * 4;
    }
}

static uint32_t *put(uint32_t *out, uint32_t colour, unsigned dots)
{
    for (unsigned i = 0; i < dots; i++) {
        *out++ = colour;
    }
    return out;
}

static void draw_planar(const VgaMode *mode, const uint8_t *source, uint32_t *out, unsigned units)
{
    for (unsigned i = 0; i < units; i++, source += 4) {
        for (int bit = 7; bit >= 0; bit--) {
            unsigned index = (source[0] >> bit & 1) | (source[1] >> bit & 1) << 1 |
                             (source[2] >> bit & 1) << 2 | (source[3] >> bit & 1) << 3;

            out = put(out, mode->palette[index & mode->plane_mask], mode->dots);
        }
    }
}

/* Four pixels from planes 0 and 2, then four from 1 and 3; the second of each pair has the upper bits. */
static void draw_interleaved(const VgaMode *mode, const uint8_t *source, uint32_t *out,
                             unsigned units)
{
    for (unsigned i = 0; i < units; i++, source += 4) {
        for (unsigned pair = 0; pair < 2; pair++) {
            for (int bit = 6; bit >= 0; bit -= 2) {
                unsigned index = (source[pair] >> bit & 3) | (source[pair + 2] >> bit & 3) << 2;

                out = put(out, mode->palette[index & mode->plane_mask], mode->dots);
            }
        }
    }
}

static void draw_packed(const VgaMode *mode, const uint8_t *source, uint32_t *out, unsigned units)
{
    for (unsigned i = 0; i < 4 * units; i++) {
        out = put(out, mode->palette[source[i]], 2 * mode->dots);
    }
}

/* n bits to eight, so that all ones are white. */
static uint32_t widen(uint32_t value, unsigned bits)
{
    value &= (1u << bits) - 1;
    return value << (8 - bits) | value >> (2 * bits - 8);
}

static uint32_t linear_pixel(const VgaMode *mode, const uint8_t *source)
{
    uint32_t value;

    switch (mode->bits) {
    case 15:
        value = mode->big_endian ? load_be16(source) : load_le16(source);
        return widen(value >> 10, 5) << 16 | widen(value >> 5, 5) << 8 | widen(value, 5);
    case 16:
        value = mode->big_endian ? load_be16(source) : load_le16(source);
        return widen(value >> 11, 5) << 16 | widen(value >> 5, 6) << 8 | widen(value, 5);
    case 24:
        return mode->big_endian ? (uint32_t)source[0] << 16 | source[1] << 8 | source[2]
                                : (uint32_t)source[2] << 16 | source[1] << 8 | source[0];
    default:
        return (mode->big_endian ? load_be32(source) : load_le32(source)) & 0xffffff;
    }
}

static void draw_linear(const VgaMode *mode, const uint8_t *source, uint32_t *out)
{
    unsigned bytes = (mode->bits + 7) / 8;

    for (unsigned x = 0; x < mode->width; x++, source += bytes) {
        out[x] = mode->bits == 8 ? mode->palette[*source] : linear_pixel(mode, source);
    }
}

void vga_draw_line(const VgaMode *mode, const uint8_t *source, uint32_t *out)
{
    unsigned units = vga_line_bytes(mode) / 4;

    switch (mode->kind) {
    case VGA_PLANAR:
        draw_planar(mode, source, out, units);
        break;
    case VGA_INTERLEAVED:
        draw_interleaved(mode, source, out, units);
        break;
    case VGA_PACKED:
        draw_packed(mode, source, out, units);
        break;
    case VGA_LINEAR:
        draw_linear(mode, source, out);
        break;
    default:
        memset(out, 0, mode->width * sizeof(*out));
    }
}
