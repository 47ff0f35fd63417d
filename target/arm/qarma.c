/* SPDX-License-Identifier: MIT */
/*
 * QARMA-64 (R. Avanzi, "The QARMA Block Cipher Family", ToSC 2017): a reflection cipher of cells of 4
 * bits. Cell 0 is the most significant.
 */
#include "target/arm/qarma.h"

enum { CELLS = 16, MAX_ROUNDS = 5 };

static const uint64_t alpha = UINT64_C(0xc0ac29b7c97c50dd);
static const uint64_t round_constants[] = { 0, UINT64_C(0x13198a2e03707344),
                                            UINT64_C(0xa4093822299f31d0),
                                            UINT64_C(0x082efa98ec4e6c89),
                                            UINT64_C(0x452821e638d01377) };
static const uint8_t shuffle[CELLS] = { 0, 11, 6, 13, 10, 1, 12, 7, 5, 14, 3, 8, 15, 4, 9, 2 };
static const uint8_t tweak_shuffle[CELLS] = {
    6, 5, 14, 15, 0, 1, 2, 3, 7, 12, 13, 4, 8, 9, 10, 11
};
/* Cells of the tweak that step through the shift register: 0, 1, 3, 4, 8, 11 and 13. */
static const uint64_t tweak_steps = UINT64_C(0xff0ff000f00f0f00);

static const uint8_t sigma1[16] = { 10, 13, 14, 6, 15, 7, 3, 5, 9, 8, 0, 12, 11, 1, 2, 4 };
static const uint8_t sigma2[16] = { 11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10 };

/* Unrolled, so that tables and shifts become constants where they are known. */
#define EACH_CELL(X)                                                                               \
    (X(0) | X(1) | X(2) | X(3) | X(4) | X(5) | X(6) | X(7) | X(8) | X(9) | X(10) | X(11) | X(12) | \
     X(13) | X(14) | X(15))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE unsigned get_cell(uint64_t state, unsigned cell)
{
    return state >> (60 - 4 * cell) & 15;
}

ALWAYS_INLINE uint64_t put_cell(unsigned value, unsigned cell)
{
    return (uint64_t)value << (60 - 4 * cell);
}

ALWAYS_INLINE uint64_t permute(uint64_t state, const uint8_t *from)
{
#define CELL(i) put_cell(get_cell(state, from[i]), i)
    return EACH_CELL(CELL);
#undef CELL
}

ALWAYS_INLINE uint64_t permute_back(uint64_t state, const uint8_t *from)
{
#define CELL(i) put_cell(get_cell(state, i), from[i])
    return EACH_CELL(CELL);
#undef CELL
}

ALWAYS_INLINE uint64_t substitute(uint64_t state, const uint8_t *box)
{
#define CELL(i) put_cell(box[get_cell(state, i)], i)
    return EACH_CELL(CELL);
#undef CELL
}

/* Every cell rotated left by n. */
static uint64_t rotate_cells(uint64_t state, unsigned n)
{
    uint64_t low = UINT64_C(0x1111111111111111) * ((1u << n) - 1);

    return (state << n & ~low) | (state >> (4 - n) & low);
}

/* The matrix circ(0, r, r^2, r) by columns; rows are 16 bits. It is its own inverse. */
static uint64_t mix(uint64_t state)
{
    uint64_t by1 = rotate_cells(state, 1), by2 = rotate_cells(state, 2);

#define ROWS_UP(x, n) ((x) << 16 * (n) | (x) >> (64 - 16 * (n)))
    return ROWS_UP(by1, 1) ^ ROWS_UP(by2, 2) ^ ROWS_UP(by1, 3);
#undef ROWS_UP
}

static uint64_t next_tweak(uint64_t tweak)
{
    const uint64_t ones = UINT64_C(0x1111111111111111);
    uint64_t stepped;

    tweak = permute(tweak, tweak_shuffle);
    stepped = (tweak >> 1 & 7 * ones) | ((tweak ^ tweak >> 1) & ones) << 3;
    return (tweak & ~tweak_steps) | (stepped & tweak_steps);
}

static void invert(uint8_t *inverse, const uint8_t *box)
{
    for (unsigned i = 0; i < 16; i++) {
        inverse[box[i]] = (uint8_t)i;
    }
}

uint64_t arm_qarma(uint64_t data, uint64_t tweak, uint64_t whitening_key, uint64_t core_key,
                   unsigned rounds, unsigned sigma)
{
    const uint8_t *box = sigma == 1 ? sigma1 : sigma2;
    uint64_t whitening_key1 = (whitening_key << 63 | whitening_key >> 1) ^ whitening_key >> 63;
    uint64_t state = data ^ whitening_key;
    uint64_t tweaks[MAX_ROUNDS];
    uint8_t inverse[16];

    invert(inverse, box);
    for (unsigned i = 0; i < rounds; i++) {
        tweaks[i] = tweak;
        state ^= core_key ^ tweak ^ round_constants[i];
        if (i) {
            state = mix(permute(state, shuffle));
        }
        state = substitute(state, box);
        tweak = next_tweak(tweak);
    }
    /* The reflector. */
    state ^= whitening_key1 ^ tweak;
    state = substitute(mix(permute(state, shuffle)), box);
    state = mix(permute(state, shuffle)) ^ core_key;
    state = substitute(permute_back(state, shuffle), inverse);
    state = permute_back(mix(state), shuffle) ^ whitening_key ^ tweak;
    for (unsigned i = rounds; i-- > 0;) {
        state = substitute(state, inverse);
        if (i) {
            state = permute_back(mix(state), shuffle);
        }
        state ^= core_key ^ tweaks[i] ^ round_constants[i] ^ alpha;
    }
    return state ^ whitening_key1;
}
