/* SPDX-License-Identifier: MIT */
#include "ui/vnc/encode.h"

#include <string.h>

#include "base/bits.h"

enum { RGB = 0xffffff };
enum { STEP = 16 }; /* pixels that are looked at together */

const VncFormat vnc_format_ours = {
    .bytes = 4, .depth = 24, .max = { 255, 255, 255 }, .shift = { 16, 8, 0 }
};

/* Colour maps are not for us: a client that wants one gets 8 bits of true colour by the map that it is then sent. */
bool vnc_format_parse(VncFormat *format, const uint8_t bytes[16])
{
    unsigned bits = bytes[0];
    VncFormat parsed = { .bytes = bits / 8, .depth = bytes[1], .big_endian = bytes[2] };

    if (bits != 8 && bits != 16 && bits != 32) {
        return false;
    }
    if (!bytes[3]) {
        *format = (VncFormat){ .bytes = 1, .depth = 8, .max = { 7, 7, 3 }, .shift = { 0, 3, 6 } };
        return bits == 8;
    }
    for (unsigned i = 0; i < 3; i++) {
        parsed.max[i] = load_be16(bytes + 4 + 2 * i);
        parsed.shift[i] = bytes[10 + i];
        if (parsed.shift[i] >= bits || !parsed.max[i] ||
            ((uint64_t)parsed.max[i] << parsed.shift[i]) >> bits) {
            return false;
        }
    }
    *format = parsed;
    return true;
}

void vnc_format_put(const VncFormat *format, uint8_t bytes[16])
{
    memset(bytes, 0, 16);
    bytes[0] = (uint8_t)(format->bytes * 8);
    bytes[1] = (uint8_t)format->depth;
    bytes[2] = format->big_endian;
    bytes[3] = 1;
    for (unsigned i = 0; i < 3; i++) {
        store_be16(bytes + 4 + 2 * i, format->max[i]);
        bytes[10 + i] = format->shift[i];
    }
}

bool vnc_format_is_ours(const VncFormat *format)
{
    return format->bytes == 4 && !format->big_endian && format->max[0] == 255 &&
           format->max[1] == 255 && format->max[2] == 255 && format->shift[0] == 16 &&
           format->shift[1] == 8 && format->shift[2] == 0;
}

static uint32_t convert(const VncFormat *format, uint32_t pixel)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < 3; i++) {
        uint32_t colour = pixel >> (16 - 8 * i) & 0xff;

        value |= (colour * format->max[i] + 127) / 255 << format->shift[i];
    }
    return value;
}

static void store(const VncFormat *format, uint8_t *out, uint32_t value)
{
    switch (format->bytes) {
    case 1:
        *out = (uint8_t)value;
        break;
    case 2:
        format->big_endian ? store_be16(out, (uint16_t)value) : store_le16(out, (uint16_t)value);
        break;
    default:
        format->big_endian ? store_be32(out, value) : store_le32(out, value);
    }
}

void vnc_put_pixels(const VncFormat *format, GByteArray *out, const uint32_t *pixels,
                    unsigned count)
{
    guint at = out->len;
    uint32_t last = 0, value = convert(format, 0);
    bool ours = vnc_format_is_ours(format);

    g_byte_array_set_size(out, at + count * format->bytes);
    for (unsigned i = 0; i < count; i++) {
        uint32_t pixel = pixels[i] & RGB;

        if (ours) {
            store_le32(out->data + at + (size_t)4 * i, pixel);
            continue;
        }
        if (pixel != last) {
            last = pixel;
            value = convert(format, pixel);
        }
        store(format, out->data + at + (size_t)i * format->bytes, value);
    }
}

void vnc_put_area(const VncFormat *format, GByteArray *out, const VncArea *area)
{
    for (int row = 0; row < area->height; row++) {
        vnc_put_pixels(format, out, vnc_row(area, row), (unsigned)area->width);
    }
}

VncArea vnc_part(const VncArea *area, int x, int y, int width, int height)
{
    return (VncArea){ vnc_row(area, y) + x, area->stride, area->x + x, area->y + y, width, height };
}

void vnc_put_head(VncEncoder *encoder, int x, int y, int width, int height, int32_t encoding)
{
    uint8_t head[12];

    store_be16(head, (uint16_t)x);
    store_be16(head + 2, (uint16_t)y);
    store_be16(head + 4, (uint16_t)width);
    store_be16(head + 6, (uint16_t)height);
    store_be32(head + 8, (uint32_t)encoding);
    g_byte_array_append(encoder->out, head, sizeof(head));
    encoder->rects++;
}

void vnc_encoder_init(VncEncoder *encoder)
{
    *encoder = (VncEncoder){
        .encoding = VNC_RAW, .format = vnc_format_ours, .level = VNC_LEVEL_DEFAULT, .quality = -1
    };
    encoder->scratch = g_byte_array_new();
    encoder->packed = g_byte_array_new();
}

static void end_deflate(VncDeflate *deflate)
{
    if (deflate->started) {
        deflateEnd(&deflate->stream);
        deflate->started = false;
    }
}

void vnc_encoder_clear(VncEncoder *encoder)
{
    end_deflate(&encoder->zlib);
    end_deflate(&encoder->zrle);
    for (unsigned i = 0; i < G_N_ELEMENTS(encoder->tight); i++) {
        end_deflate(&encoder->tight[i]);
    }
    g_byte_array_unref(encoder->scratch);
    g_byte_array_unref(encoder->packed);
}

static void deflate_some(z_stream *stream, int flush, GByteArray *out)
{
    do {
        guint at = out->len, room = 4096 + stream->avail_in / 2;

        g_byte_array_set_size(out, at + room);
        stream->next_out = out->data + at;
        stream->avail_out = room;
        deflate(stream, flush);
        g_byte_array_set_size(out, at + room - stream->avail_out);
    } while (stream->avail_out == 0);
}

static void set_level(VncDeflate *deflate, int level)
{
    z_stream *stream = &deflate->stream;
    guint8 nothing[64];

    if (!deflate->started) {
        /* Fails for want of memory alone, where GLib ends the program, too. */
        deflateInit(stream, level);
        deflate->started = true;
    } else if (level != deflate->level) {
        stream->next_in = nothing;
        stream->avail_in = 0;
        stream->next_out = nothing;
        stream->avail_out = 0;
        /* All was flushed: it has nothing to say. */
        deflateParams(stream, level, Z_DEFAULT_STRATEGY);
    }
    deflate->level = level;
}

/*
 * Levels 2 and 3, which many viewers ask for, do as 4: the first for which zlib looks whether a match that begins a byte later is
 * longer. Rows that moved by a few pixels then take a third of the bytes, for a quarter more time.
 */
void vnc_deflate(VncDeflate *deflate, int level, const uint8_t *data, size_t size, GByteArray *out)
{
    static const int levels[10] = { 1, 1, 4, 4, 4, 5, 6, 7, 8, 9 };
    z_stream *stream = &deflate->stream;

    set_level(deflate, levels[CLAMP(level, 0, 9)]);
    stream->next_in = (Bytef *)(uintptr_t)data;
    stream->avail_in = (uInt)size;
    deflate_some(stream, Z_PARTIAL_FLUSH, out);
}

/* Colours. */

static unsigned hash(uint32_t colour)
{
    return (colour * 0x9e3779b1u) >> 22;
}

/* The slot of a colour, or an empty one where it would be. */
static unsigned find_slot(const VncPalette *palette, uint32_t colour)
{
    unsigned slot = hash(colour);

    while (palette->slots[slot] && palette->colours[palette->slots[slot] - 1] != colour) {
        slot = (slot + 1) % G_N_ELEMENTS(palette->slots);
    }
    return slot;
}

/* The index of a colour, which becomes one of the palette; `limit`: there is no room. */
static unsigned add_colour(VncPalette *palette, uint32_t colour, unsigned limit)
{
    unsigned slot = find_slot(palette, colour);

    if (palette->slots[slot]) {
        return palette->slots[slot] - 1u;
    }
    if (palette->used == limit) {
        return limit;
    }
    palette->colours[palette->used] = colour;
    palette->counts[palette->used] = 0;
    palette->slots[slot] = (uint16_t)++palette->used;
    return palette->used - 1;
}

static bool is_solid(const uint32_t pixels[STEP], uint32_t colour)
{
    uint32_t differs = 0;

    for (unsigned i = 0; i < STEP; i++) {
        differs |= pixels[i] ^ colour;
    }
    return !(differs & RGB);
}

bool vnc_palette_take(VncPalette *palette, const VncArea *area, unsigned limit)
{
    uint32_t last = ~0u;
    unsigned index = 0;

    memset(palette->slots, 0, sizeof(palette->slots));
    palette->used = 0;
    for (int y = 0; y < area->height; y++) {
        const uint32_t *row = vnc_row(area, y);

        for (int x = 0; x < area->width; x++) {
            uint32_t colour = row[x] & RGB;

            if (colour != last) {
                index = add_colour(palette, colour, limit);
                last = colour;
                if (index == limit) {
                    return false;
                }
            } else if (x + STEP <= area->width && is_solid(row + x, colour)) {
                palette->counts[index] += STEP;
                x += STEP - 1;
                continue;
            }
            palette->counts[index]++;
        }
    }
    return true;
}

unsigned vnc_palette_index(const VncPalette *palette, uint32_t colour)
{
    return palette->slots[find_slot(palette, colour & RGB)] - 1u;
}

/* Eight pixels: a bit is set where one is not of the colour. */
static uint8_t bits_unlike(const uint32_t pixels[8], uint32_t colour)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < 8; i++) {
        bits |= (unsigned)(((pixels[i] ^ colour) & RGB) != 0) << (7 - i);
    }
    return (uint8_t)bits;
}

static void put_indexes(const VncPalette *palette, const uint32_t *row, int width, unsigned bits,
                        uint8_t *to)
{
    uint32_t last = palette->colours[0];
    unsigned byte = 0, filled = 0, index = 0;
    int x = 0;

    for (; palette->used == 2 && bits == 1 && x + 8 <= width; x += 8) {
        *to++ = bits_unlike(row + x, palette->colours[0]);
    }
    for (; x < width; x++) {
        uint32_t colour = row[x] & RGB;

        if (colour != last) {
            index = vnc_palette_index(palette, colour);
            last = colour;
        }
        byte = byte << bits | index;
        filled += bits;
        if (filled == 8) {
            *to++ = (uint8_t)byte;
            byte = filled = 0;
        }
    }
    if (filled) {
        *to = (uint8_t)(byte << (8 - filled));
    }
}

void vnc_palette_put(const VncPalette *palette, const VncArea *area, unsigned bits, GByteArray *out)
{
    size_t row_bytes = ((size_t)area->width * bits + 7) / 8;
    guint at = out->len;

    g_byte_array_set_size(out, at + (guint)(row_bytes * (size_t)area->height));
    for (int y = 0; y < area->height; y++) {
        put_indexes(palette, vnc_row(area, y), area->width, bits,
                    out->data + at + row_bytes * (size_t)y);
    }
}

/* Encodings that are one piece each. */

static void encode_raw(VncEncoder *encoder, const VncArea *area)
{
    vnc_put_head(encoder, area->x, area->y, area->width, area->height, VNC_RAW);
    vnc_put_area(&encoder->format, encoder->out, area);
}

static void encode_zlib(VncEncoder *encoder, const VncArea *area)
{
    guint at;

    vnc_put_head(encoder, area->x, area->y, area->width, area->height, VNC_ZLIB);
    at = encoder->out->len;
    g_byte_array_set_size(encoder->out, at + 4);
    g_byte_array_set_size(encoder->scratch, 0);
    vnc_put_area(&encoder->format, encoder->scratch, area);
    vnc_deflate(&encoder->zlib, encoder->level, encoder->scratch->data, encoder->scratch->len,
                encoder->out);
    store_be32(encoder->out->data + at, encoder->out->len - at - 4);
}

void vnc_encode(VncEncoder *encoder, const VncArea *area)
{
    switch (encoder->encoding) {
    case VNC_HEXTILE:
        vnc_encode_hextile(encoder, area);
        break;
    case VNC_ZLIB:
        encode_zlib(encoder, area);
        break;
    case VNC_ZRLE:
        vnc_encode_zrle(encoder, area);
        break;
    case VNC_TIGHT:
    case VNC_TIGHT_PNG:
        vnc_encode_tight(encoder, area);
        break;
    default:
        encode_raw(encoder, area);
    }
}
