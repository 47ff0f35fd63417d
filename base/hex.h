/* SPDX-License-Identifier: MIT */
/* Bytes as two hexadecimal digits each. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Reads up to `count` bytes from text, which has 2 * count characters or ends before: how many there were. */
size_t hex_decode(const char *text, size_t count, uint8_t *bytes);

#endif
