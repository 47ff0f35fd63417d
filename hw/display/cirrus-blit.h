/* SPDX-License-Identifier: MIT */
/* The bit block transfer engine of the CL-GD5446, a line at a time. */
#ifndef HW_DISPLAY_CIRRUS_BLIT_H
#define HW_DISPLAY_CIRRUS_BLIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CIRRUS_BLIT_WIDTH_MOST = 8192, /* bytes */

    /* GR30 */
    CIRRUS_BLIT_BACKWARDS = 1 << 0,
    CIRRUS_BLIT_TO_SYSTEM = 1 << 1,
    CIRRUS_BLIT_FROM_SYSTEM = 1 << 2,
    CIRRUS_BLIT_TRANSPARENT = 1 << 3,
    CIRRUS_BLIT_PATTERN = 1 << 6,
    CIRRUS_BLIT_EXPAND = 1 << 7,
    /* GR33 */
    CIRRUS_BLIT_DWORDS = 1 << 0, /* lines of expanded system data are whole double words */
    CIRRUS_BLIT_INVERT = 1 << 1,
    CIRRUS_BLIT_SOLID = 1 << 2,
};

/* All addresses are taken modulo the memory, so that nothing that a guest asks for leaves it. */
typedef struct {
    uint8_t *vram;
    uint32_t mask;
    uint32_t width, height; /* bytes, lines */
    uint32_t destination, destination_pitch, source, source_pitch;
    uint32_t foreground, background;
    unsigned bytes; /* of a pixel */
    unsigned skip;  /* bytes at the left that are not written */
    uint8_t mode, extension, rop;
    uint8_t key[2]; /* results that are not written when CIRRUS_BLIT_TRANSPARENT */
} CirrusBlit;

bool cirrus_blit_rop_is_known(uint8_t rop);
/* Bytes that the system gives for a line, or once for a pattern. */
unsigned cirrus_blit_system_bytes(const CirrusBlit *blit);
/* data: what the system gave for the line or as the pattern; NULL: the source is in video memory. */
void cirrus_blit_line(const CirrusBlit *blit, unsigned line, const uint8_t *data);

#endif
