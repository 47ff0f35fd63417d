/* SPDX-License-Identifier: MIT */
#include "tests/isa/snippet-i386.h"

#include <string.h>

uint32_t snippet_below(GRand *rng, uint32_t n)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)n);
}

uint32_t snippet_random32(GRand *rng)
{
    static const uint32_t special[] = { 0,      1,      0x7f,       0x80,       0xff,       0x7fff,
                                        0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x99 };

    switch (snippet_below(rng, 3)) {
    case 0:
        return special[snippet_below(rng, G_N_ELEMENTS(special))];
    case 1:
        return g_rand_int(rng) >> snippet_below(rng, 32);
    default:
        return g_rand_int(rng);
    }
}

uint8_t *snippet_put(uint8_t *p, uint64_t value, unsigned bytes)
{
    memcpy(p, &value, bytes);
    return p + bytes;
}

unsigned snippet_map(unsigned n)
{
    unsigned map = 0;

    while (map < X86_MAPS - 1 && n >= x86_first_encoding[map][256]) {
        map++;
    }
    return map;
}

unsigned snippet_opcode(unsigned n)
{
    unsigned map = snippet_map(n), opcode = 0;

    while (opcode < 255 && n >= x86_first_encoding[map][opcode + 1]) {
        opcode++;
    }
    return opcode;
}

static uint8_t *put_vex_opcode(GRand *rng, uint8_t *p, unsigned n)
{
    static const uint8_t vex_prefixes[] = {
        [X86_PREFIX_66] = 1, [X86_PREFIX_F3] = 2, [X86_PREFIX_F2] = 3
    };
    const X86Encoding *e = &x86_encodings[n];
    unsigned pp = e->prefix < G_N_ELEMENTS(vex_prefixes) ? vex_prefixes[e->prefix] : 0;
    unsigned l = e->vex_l == X86_ANY ? snippet_below(rng, 2) : e->vex_l;

    *p++ = 0xc4;
    *p++ = (uint8_t)(0xe0 | snippet_map(n));
    *p++ = (uint8_t)((8 + snippet_below(rng, 8)) << 3 | l << 2 | pp);
    *p++ = (uint8_t)snippet_opcode(n);
    return p;
}

uint8_t *snippet_put_opcode(GRand *rng, uint8_t *p, unsigned n)
{
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 0x66, [X86_PREFIX_F3] = 0xf3, [X86_PREFIX_F2] = 0xf2
    };
    const X86Encoding *e = &x86_encodings[n];
    unsigned map = snippet_map(n);

    if (e->flags & X86_VEX) {
        return put_vex_opcode(rng, p, n);
    }
    if (e->prefix == X86_PREFIX_ANY && snippet_below(rng, 3) == 0) {
        *p++ = 0x66;
    }
    if (e->prefix >= X86_PREFIX_66 && e->prefix <= X86_PREFIX_F2) {
        *p++ = prefixes[e->prefix];
    }
    if ((e->flags & X86_LOCK) && snippet_below(rng, 6) == 0) {
        *p++ = 0xf0;
    }
    if (map) {
        *p++ = 0x0f;
    }
    if (map >= X86_MAP_0F38) {
        *p++ = map == X86_MAP_0F38 ? 0x38 : 0x3a;
    }
    *p++ = (uint8_t)snippet_opcode(n);
    return p;
}

bool snippet_is_string(const char *name)
{
    static const char *const names[] = { "movs", "stos", "lods", "cmps", "scas" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool snippet_matches(const X86Encoding *e, const char *const *patterns)
{
    for (; *patterns; patterns++) {
        if (g_pattern_match_simple(*patterns, e->name)) {
            return true;
        }
    }
    return false;
}
