/* SPDX-License-Identifier: MIT */
/*
 * Reads a stretch of bytes that may be hostile. What goes beyond the end, or cannot be, makes the cursor wrong and stand at its end: all
 * later reads give 0, so that a loop "while there is more" ends, and a caller looks once at the end.
 */
#ifndef DEBUG_DWARF_CURSOR_H
#define DEBUG_DWARF_CURSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"

typedef struct {
    const uint8_t *at, *end;
    bool wrong;
} DwarfCursor;

static inline DwarfCursor dwarf_cursor(const uint8_t *bytes, uint64_t size)
{
    return (DwarfCursor){ bytes, bytes ? bytes + size : bytes, false };
}

static inline uint64_t dwarf_left(const DwarfCursor *c)
{
    return (uint64_t)(c->end - c->at);
}

static inline void dwarf_fail(DwarfCursor *c)
{
    c->at = c->end;
    c->wrong = true;
}

/* Moves on and returns where the bytes are; NULL: there are not so many. */
static inline const uint8_t *dwarf_take(DwarfCursor *c, uint64_t size)
{
    const uint8_t *at = c->at;

    if (size > dwarf_left(c)) {
        dwarf_fail(c);
        return NULL;
    }
    c->at = size ? at + size : at; /* at may be NULL */
    return at;
}

/* A little-endian number of 0 to 8 bytes. */
static inline uint64_t dwarf_number(DwarfCursor *c, unsigned size)
{
    const uint8_t *at = dwarf_take(c, size);
    uint64_t value = 0;

    for (unsigned i = 0; at && i < size; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

/* A number that was read, or `most` where it is more. */
static inline uint64_t dwarf_most(uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

static inline uint8_t dwarf_u8(DwarfCursor *c)
{
    return (uint8_t)dwarf_number(c, 1);
}

static inline uint64_t dwarf_uleb(DwarfCursor *c)
{
    uint64_t value = 0;

    for (unsigned shift = 0; c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;

        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (!(byte & 0x80)) {
            return value;
        }
    }
    dwarf_fail(c);
    return 0;
}

static inline int64_t dwarf_sleb(DwarfCursor *c)
{
    uint64_t value = 0;

    for (unsigned shift = 0; c->at < c->end;) {
        uint8_t byte = *c->at++;

        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        shift += shift < 64 ? 7 : 0;
        if (!(byte & 0x80)) {
            return (int64_t)(byte & 0x40 && shift < 64 ? value | UINT64_MAX << shift : value);
        }
    }
    dwarf_fail(c);
    return 0;
}

/* With its NUL; "" when there is none. */
static inline const char *dwarf_string(DwarfCursor *c)
{
    const uint8_t *at = c->at, *nul = at < c->end ? memchr(at, 0, dwarf_left(c)) : NULL;

    if (!nul) {
        dwarf_fail(c);
        return "";
    }
    c->at = nul + 1;
    return (const char *)at;
}

/* The length that begins a unit; *offset_size becomes 4 or 8. */
static inline uint64_t dwarf_initial_length(DwarfCursor *c, uint8_t *offset_size)
{
    uint64_t length = dwarf_number(c, 4);

    *offset_size = 4;
    if (length == 0xffffffff) {
        *offset_size = 8;
        return dwarf_number(c, 8);
    }
    if (length >= 0xfffffff0) { /* reserved */
        dwarf_fail(c);
    }
    return length;
}

#endif
