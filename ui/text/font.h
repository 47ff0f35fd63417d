/* SPDX-License-Identifier: MIT */
/* The bitmap font of text consoles, made at build time by scripts/make-font. */
#ifndef UI_TEXT_FONT_H
#define UI_TEXT_FONT_H

#include <stdint.h>

enum { FONT_WIDTH = 9, FONT_HEIGHT = 18 };

extern const unsigned font_glyph_count;
extern const uint16_t font_characters[]; /* in ascending order */
extern const uint16_t font_rows[][FONT_HEIGHT]; /* bit FONT_WIDTH - 1: the leftmost dot */

#endif
