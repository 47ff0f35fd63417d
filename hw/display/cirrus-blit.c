/* SPDX-License-Identifier: MIT */
/* CL-GD5446 Technical Reference Manual, chapter 9.4 (BitBLT engine). */
#include "hw/display/cirrus-blit.h"

#include <string.h>

#include "base/bits.h"

/* GR32, in the manual's order. */
enum {
    ROP_ZERO = 0x00,
    ROP_AND = 0x05,
    ROP_NOP = 0x06,
    ROP_SOURCE_AND_NOT = 0x09,
    ROP_NOT_DESTINATION = 0x0b,
    ROP_SOURCE = 0x0d,
    ROP_ONE = 0x0e,
    ROP_NOT_SOURCE_AND = 0x50,
    ROP_XOR = 0x59,
    ROP_OR = 0x6d,
    ROP_NOR = 0x90,
    ROP_XNOR = 0x95,
    ROP_SOURCE_OR_NOT = 0xad,
    ROP_NOT_SOURCE = 0xd0,
    ROP_NOT_SOURCE_OR = 0xd6,
    ROP_NAND = 0xda,
};

static uint8_t apply(uint8_t rop, uint8_t d, uint8_t s)
{
    switch (rop) {
    case ROP_ZERO:
        return 0;
    case ROP_AND:
        return s & d;
    case ROP_SOURCE_AND_NOT:
        return s & ~d;
    case ROP_NOT_DESTINATION:
        return ~d;
    case ROP_SOURCE:
        return s;
    case ROP_ONE:
        return 0xff;
    case ROP_NOT_SOURCE_AND:
        return ~s & d;
    case ROP_XOR:
        return s ^ d;
    case ROP_OR:
        return s | d;
    case ROP_NOR:
        return ~(s | d);
    case ROP_XNOR:
        return ~(s ^ d);
    case ROP_SOURCE_OR_NOT:
        return s | ~d;
    case ROP_NOT_SOURCE:
        return ~s;
    case ROP_NOT_SOURCE_OR:
        return ~s | d;
    case ROP_NAND:
        return ~(s & d);
    default:
        return d;
    }
}

bool cirrus_blit_rop_is_known(uint8_t rop)
{
    static const uint8_t known[] = { ROP_ZERO,
                                     ROP_AND,
                                     ROP_NOP,
                                     ROP_SOURCE_AND_NOT,
                                     ROP_NOT_DESTINATION,
                                     ROP_SOURCE,
                                     ROP_ONE,
                                     ROP_NOT_SOURCE_AND,
                                     ROP_XOR,
                                     ROP_OR,
                                     ROP_NOR,
                                     ROP_XNOR,
                                     ROP_SOURCE_OR_NOT,
                                     ROP_NOT_SOURCE,
                                     ROP_NOT_SOURCE_OR,
                                     ROP_NAND };

    return memchr(known, rop, sizeof(known));
}

/* A row of an 8 x 8 pattern; three bytes a pixel are padded to four pixels' worth. */
static unsigned pattern_pitch(const CirrusBlit *b)
{
    return b->bytes == 3 ? 32 : 8 * b->bytes;
}

static bool is_solid(const CirrusBlit *b)
{
    return b->extension & CIRRUS_BLIT_SOLID && b->mode & CIRRUS_BLIT_PATTERN &&
           b->mode & CIRRUS_BLIT_EXPAND && !(b->mode & CIRRUS_BLIT_TRANSPARENT);
}

static unsigned expand_bytes(const CirrusBlit *b)
{
    return ((b->width + b->bytes - 1) / b->bytes + 7) / 8;
}

unsigned cirrus_blit_system_bytes(const CirrusBlit *b)
{
    if (b->mode & CIRRUS_BLIT_PATTERN) {
        return b->mode & CIRRUS_BLIT_EXPAND ? 8 : 8 * pattern_pitch(b);
    }
    if (b->mode & CIRRUS_BLIT_EXPAND) {
        return b->extension & CIRRUS_BLIT_DWORDS ? (unsigned)align_up(expand_bytes(b), 4)
                                                 : expand_bytes(b);
    }
    return (unsigned)align_up(b->width, 4);
}

static uint8_t fetch(const CirrusBlit *b, const uint8_t *data, uint32_t base, uint32_t offset)
{
    return data ? data[offset] : b->vram[(base + offset) & b->mask];
}

/* The bit of pixel x / bytes. */
static bool expand_bit(const CirrusBlit *b, unsigned line, unsigned x, const uint8_t *data)
{
    unsigned pixel = x / b->bytes;
    uint8_t bits;

    if (b->mode & CIRRUS_BLIT_PATTERN) {
        bits = fetch(b, data, b->source & ~7u, (b->source + line) & 7);
    } else {
        bits = fetch(b, data, b->source + line * expand_bytes(b), pixel / 8);
    }
    return (bits >> (7 - pixel % 8) & 1) != !!(b->extension & CIRRUS_BLIT_INVERT);
}

/* The source of the pixel at byte x of the line; false: the pixel stays. */
static bool source_pixel(const CirrusBlit *b, unsigned line, unsigned x, const uint8_t *data,
                         uint8_t pixel[4])
{
    unsigned pitch = pattern_pitch(b);
    uint32_t at = line * b->source_pitch + x;
    bool invert = b->extension & CIRRUS_BLIT_INVERT;

    if (is_solid(b)) {
        store_le32(pixel, b->foreground);
    } else if (b->mode & CIRRUS_BLIT_EXPAND) {
        bool bit = expand_bit(b, line, x, data);

        if (b->mode & CIRRUS_BLIT_TRANSPARENT) {
            store_le32(pixel, invert ? b->background : b->foreground);
            return bit;
        }
        store_le32(pixel, bit ? b->foreground : b->background);
    } else if (b->mode & CIRRUS_BLIT_PATTERN) {
        at = ((b->source + line) & 7) * pitch + x / b->bytes % 8 * b->bytes;
        for (unsigned i = 0; i < b->bytes; i++) {
            pixel[i] = fetch(b, data, b->source & ~(8 * pitch - 1), at + i);
        }
    } else {
        for (unsigned i = 0; i < b->bytes; i++, at++) {
            pixel[i] = data                              ? data[x + i]
                       : b->mode & CIRRUS_BLIT_BACKWARDS ? b->vram[(b->source - at) & b->mask]
                                                         : b->vram[(b->source + at) & b->mask];
        }
    }
    return true;
}

/* Whether the result, whose first byte is the highest when backwards, is the transparent colour. */
static bool is_key(const CirrusBlit *b, const uint8_t *result)
{
    bool backwards = b->mode & CIRRUS_BLIT_BACKWARDS;

    if (b->bytes == 1) {
        return result[0] == b->key[0];
    }
    return b->bytes == 2 && result[backwards] == b->key[0] && result[!backwards] == b->key[1];
}

/* A copy forwards that can be done at once: all in memory, no other than the whole line, no byte read after it is written. */
static bool copy_line(const CirrusBlit *b, unsigned line, const uint8_t *data)
{
    uint32_t to = (b->destination + line * b->destination_pitch) & b->mask;
    uint32_t from = (b->source + line * b->source_pitch) & b->mask;

    if (b->rop != ROP_SOURCE || b->skip || to + b->width - 1 > b->mask ||
        b->mode & (CIRRUS_BLIT_BACKWARDS | CIRRUS_BLIT_TRANSPARENT | CIRRUS_BLIT_PATTERN |
                   CIRRUS_BLIT_EXPAND) ||
        (!data && (from + b->width - 1 > b->mask || (from < to && from + b->width > to)))) {
        return false;
    }
    memmove(b->vram + to, data ? data : b->vram + from, b->width);
    return true;
}

void cirrus_blit_line(const CirrusBlit *b, unsigned line, const uint8_t *data)
{
    uint32_t step = b->mode & CIRRUS_BLIT_BACKWARDS ? UINT32_MAX : 1;
    uint32_t start = b->destination + step * (line * b->destination_pitch);
    bool keyed = b->mode & CIRRUS_BLIT_TRANSPARENT && !(b->mode & CIRRUS_BLIT_EXPAND);
    uint8_t source[4], result[4];

    if (copy_line(b, line, data)) {
        return;
    }
    for (unsigned x = b->skip; x < b->width; x += b->bytes) {
        unsigned count = b->bytes < b->width - x ? b->bytes : b->width - x;
        unsigned within = (b->mode & CIRRUS_BLIT_EXPAND) ? x % b->bytes : 0;

        if (!source_pixel(b, line, x, data, source)) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            result[i] = apply(b->rop, b->vram[(start + step * (x + i)) & b->mask],
                              source[(i + within) % b->bytes]);
        }
        if (keyed && count == b->bytes && is_key(b, result)) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            b->vram[(start + step * (x + i)) & b->mask] = result[i];
        }
    }
}
