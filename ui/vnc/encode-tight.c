/* SPDX-License-Identifier: MIT */
/* Tight and Tight with PNG (rfbproto, "Tight Encoding"): one colour, few colours, JPEG, PNG or pixels in zlib. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/bits.h"
#include "base/library.h"
#include "monitor/image-file.h"
#include "ui/vnc/encode.h"

/* clang-format off */
#define JPEG_FUNCTIONS(F) \
    F(jpeg_CreateCompress) F(jpeg_destroy_compress) F(jpeg_finish_compress) F(jpeg_mem_dest) \
    F(jpeg_set_defaults) F(jpeg_set_quality) F(jpeg_start_compress) F(jpeg_std_error) \
    F(jpeg_write_scanlines)
/* clang-format on */

static struct {
    JPEG_FUNCTIONS(LIBRARY_MEMBER)
} libjpeg;

LIBRARY_FILLS(libjpeg, JPEG_FUNCTIONS, JPEG_LIB_VERSION >= 80 ? "libjpeg.so.8" : "libjpeg.so.62",
              "libjpeg62-turbo");

enum {
    SIDE = 256,
    WIDTH_MAX = 2048,        /* of one piece: the protocol's limit */
    PIXELS_MAX = 65536,      /* of one piece */
    PLAIN_BYTES = 12,        /* shorter data comes without zlib */
    JUDGED_BYTES_MIN = 4096, /* shorter data does not say what comes next */
    JPEG_PIXELS_MIN = 1024,
    JPEG_COLOURS_MIN = 96, /* with fewer it is no photograph */
};
enum { CONTROL_FILL = 0x80, CONTROL_JPEG = 0x90, CONTROL_PNG = 0xa0, CONTROL_FILTER = 0x40 };
enum { FILTER_PALETTE = 1 };
enum { STREAM_COPY, STREAM_TWO_COLOURS, STREAM_PALETTE, STREAM_HARD };

static void put_byte(GByteArray *out, unsigned byte)
{
    guint8 value = (guint8)byte;

    g_byte_array_append(out, &value, 1);
}

/* Seven bits a byte, the lowest first; the third has eight. */
static void put_length(GByteArray *out, size_t length)
{
    put_byte(out, (length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    if (length > 0x7f) {
        put_byte(out, (length >> 7 & 0x7f) | (length > 0x3fff ? 0x80 : 0));
    }
    if (length > 0x3fff) {
        put_byte(out, length >> 14 & 0xff);
    }
}

static bool has_tight_pixels(const VncFormat *format)
{
    return format->bytes == 4 && format->depth == 24 && format->max[0] == 255 &&
           format->max[1] == 255 && format->max[2] == 255;
}

/* Red, green and blue where a pixel has 24 bits; else as usual. */
static void put_pixels(const VncFormat *format, GByteArray *out, const uint32_t *pixels,
                       unsigned count)
{
    guint at = out->len;

    if (!has_tight_pixels(format)) {
        vnc_put_pixels(format, out, pixels, count);
        return;
    }
    g_byte_array_set_size(out, at + 3 * count);
    for (unsigned i = 0; i < count; i++) {
        guint8 *to = out->data + at + (size_t)3 * i;

        to[0] = (guint8)(pixels[i] >> 16);
        to[1] = (guint8)(pixels[i] >> 8);
        to[2] = (guint8)pixels[i];
    }
}

/* What is in scratch, by a stream. */
static void put_data(VncEncoder *encoder, unsigned stream)
{
    const GByteArray *data = encoder->scratch;
    GByteArray *packed = encoder->packed;

    if (data->len < PLAIN_BYTES) {
        g_byte_array_append(encoder->out, data->data, data->len);
        return;
    }
    g_byte_array_set_size(packed, 0);
    vnc_deflate(&encoder->tight[stream], stream == STREAM_HARD ? 1 : encoder->level, data->data,
                data->len, packed);
    put_length(encoder->out, packed->len);
    g_byte_array_append(encoder->out, packed->data, packed->len);
}

static void put_palette(VncEncoder *encoder, const VncArea *area, const VncPalette *palette)
{
    bool two = palette->used == 2;
    unsigned stream = two ? STREAM_TWO_COLOURS : STREAM_PALETTE;

    put_byte(encoder->out, stream << 4 | CONTROL_FILTER);
    put_byte(encoder->out, FILTER_PALETTE);
    put_byte(encoder->out, palette->used - 1);
    put_pixels(&encoder->format, encoder->out, palette->colours, palette->used);
    g_byte_array_set_size(encoder->scratch, 0);
    vnc_palette_put(palette, area, two ? 1 : 8, encoder->scratch);
    put_data(encoder, stream);
}

/*
 * Noise has a stream of its own with little effort. (zlib's fast levels find less on a stream that was at a slow one before: it keeps the length
 * of the last match as the least to look for.)
 */
static void put_copy(VncEncoder *encoder, const VncArea *area)
{
    unsigned stream = encoder->hard ? STREAM_HARD : STREAM_COPY;

    put_byte(encoder->out, stream << 4);
    g_byte_array_set_size(encoder->scratch, 0);
    for (int y = 0; y < area->height; y++) {
        put_pixels(&encoder->format, encoder->scratch, vnc_row(area, y), (unsigned)area->width);
    }
    put_data(encoder, stream);
    if (encoder->scratch->len >= JUDGED_BYTES_MIN) {
        encoder->hard = encoder->packed->len > encoder->scratch->len / 2;
    }
}

static void put_jpeg(VncEncoder *encoder, const VncArea *area)
{
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct jpeg = { .err = libjpeg.jpeg_std_error(&errors) };
    unsigned char *bytes = NULL;
    unsigned long size = 0;

    libjpeg.jpeg_CreateCompress(&jpeg, JPEG_LIB_VERSION, sizeof(jpeg));
    libjpeg.jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = (JDIMENSION)area->width;
    jpeg.image_height = (JDIMENSION)area->height;
    jpeg.input_components = 4;
    jpeg.in_color_space = JCS_EXT_BGRX; /* 0x00RRGGBB in a little-endian word */
    libjpeg.jpeg_set_defaults(&jpeg);
    libjpeg.jpeg_set_quality(&jpeg, 10 + encoder->quality * 10, TRUE);
    libjpeg.jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)vnc_row(area, (int)jpeg.next_scanline);

        libjpeg.jpeg_write_scanlines(&jpeg, &row, 1);
    }
    libjpeg.jpeg_finish_compress(&jpeg);
    libjpeg.jpeg_destroy_compress(&jpeg);
    put_byte(encoder->out, CONTROL_JPEG);
    put_length(encoder->out, size);
    g_byte_array_append(encoder->out, bytes, (guint)size);
    free(bytes);
}

static bool put_png(VncEncoder *encoder, const VncArea *area)
{
    pixman_image_t *image = pixman_image_create_bits(PIXMAN_x8r8g8b8, area->width, area->height,
                                                     (uint32_t *)(uintptr_t)area->pixels,
                                                     (int)(area->stride * sizeof(uint32_t)));
    bool ok;

    g_byte_array_set_size(encoder->scratch, 0);
    ok = image && image_file_append(image, IMAGE_FILE_PNG, encoder->scratch, NULL);
    if (image) {
        pixman_image_unref(image);
    }
    if (ok) {
        put_byte(encoder->out, CONTROL_PNG);
        put_length(encoder->out, encoder->scratch->len);
        g_byte_array_append(encoder->out, encoder->scratch->data, encoder->scratch->len);
    }
    return ok;
}

/* palette: NULL, where the area has too many colours for one. */
static void put_colours(VncEncoder *encoder, const VncArea *area, const VncPalette *palette)
{
    int pixels = area->width * area->height;
    bool few = palette && palette->used <= (unsigned)pixels / 2 + 1;
    bool photograph = pixels >= JPEG_PIXELS_MIN && (!few || palette->used >= JPEG_COLOURS_MIN);
    guint start = encoder->out->len;

    vnc_put_head(encoder, area->x, area->y, area->width, area->height, encoder->encoding);
    if (few && palette->used == 1) {
        put_byte(encoder->out, CONTROL_FILL);
        put_pixels(&encoder->format, encoder->out, palette->colours, 1);
    } else if (encoder->quality >= 0 && encoder->format.bytes > 1 && photograph &&
               library_want(&libjpeg_library, NULL)) {
        put_jpeg(encoder, area);
    } else if (encoder->encoding == VNC_TIGHT_PNG) {
        if (!put_png(encoder, area)) {
            g_byte_array_set_size(encoder->out, start);
            encoder->rects--;
        }
    } else if (few) {
        put_palette(encoder, area, palette);
    } else {
        put_copy(encoder, area);
    }
}

static void put_piece(VncEncoder *encoder, const VncArea *area)
{
    VncPalette palette;
    bool few = vnc_palette_take(&palette, area, VNC_COLOURS_MAX);

    put_colours(encoder, area, few ? &palette : NULL);
}

/* As wide as it is: what a row has in common with the ones above is found in a window of 32 KiB. */
static void put_strips(VncEncoder *encoder, const VncArea *area)
{
    int rows = PIXELS_MAX / area->width;

    for (int y = 0; y < area->height; y += rows) {
        VncArea piece = vnc_part(area, 0, y, area->width, MIN(rows, area->height - y));

        put_piece(encoder, &piece);
    }
}

/* Squares with few colours for themselves, and what lies between them. */
static void put_row(VncEncoder *encoder, const VncArea *row)
{
    int from = 0, to;
    VncPalette palette;

    for (int x = 0; x < row->width; x = to) {
        VncArea piece = vnc_part(row, x, 0, MIN(SIDE, row->width - x), row->height), many;
        bool few = vnc_palette_take(&palette, &piece, VNC_COLOURS_MAX);

        to = x + piece.width;
        if (x > from && (few || to - from > WIDTH_MAX)) {
            many = vnc_part(row, from, 0, x - from, row->height);
            put_strips(encoder, &many);
            from = x;
        }
        if (few) {
            put_colours(encoder, &piece, &palette);
            from = to;
        }
    }
    if (row->width > from) {
        VncArea many = vnc_part(row, from, 0, row->width - from, row->height);

        put_strips(encoder, &many);
    }
}

void vnc_encode_tight(VncEncoder *encoder, const VncArea *area)
{
    for (int y = 0; y < area->height; y += SIDE) {
        VncArea row = vnc_part(area, 0, y, area->width, MIN(SIDE, area->height - y));

        put_row(encoder, &row);
    }
}
