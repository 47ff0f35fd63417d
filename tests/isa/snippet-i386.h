/* SPDX-License-Identifier: MIT */
/* What random instructions of 16- and 32-bit code are made of. */
#ifndef TESTS_ISA_SNIPPET_I386_H
#define TESTS_ISA_SNIPPET_I386_H

#include "target/i386/decode.h"

uint32_t snippet_below(GRand *rng, uint32_t n);
/* Small, large, and those around which flags change. */
uint32_t snippet_random32(GRand *rng);
/* Little-endian; returns where the next byte goes. */
uint8_t *snippet_put(uint8_t *p, uint64_t value, unsigned bytes);

/* Of x86_encodings[n]. */
unsigned snippet_map(unsigned n);
unsigned snippet_opcode(unsigned n);
/* Prefixes that belong to it, or may be there (66, LOCK), and the opcode, up to ModRM. */
uint8_t *snippet_put_opcode(GRand *rng, uint8_t *p, unsigned n);
bool snippet_is_string(const char *name);
/* Whether one of the patterns (NULL at the end) matches the encoding's name. */
bool snippet_matches(const X86Encoding *e, const char *const *patterns);

#endif
