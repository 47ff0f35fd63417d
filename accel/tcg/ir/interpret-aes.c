/* SPDX-License-Identifier: MIT */
/*
 * AES round steps (FIPS 197, section 5). The S-box is computed from its definition (inverse in
 * GF(2^8), then an affine map): slow, free of tables, and independent of the host's instructions.
 */
#include "accel/tcg/ir/interpret-aes.h"

static uint8_t multiply(uint8_t a, uint8_t b)
{
    uint8_t product = 0;

    for (; b; b >>= 1) {
        product ^= b & 1 ? a : 0;
        a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
    }
    return product;
}

/* a^254, the multiplicative inverse (0 for 0). */
static uint8_t invert(uint8_t a)
{
    uint8_t power = 1;

    for (int bit = 7; bit >= 0; bit--) {
        power = multiply(power, power);
        if (254 >> bit & 1) {
            power = multiply(power, a);
        }
    }
    return power;
}

static uint8_t rotate(uint8_t a, unsigned n)
{
    return (uint8_t)(a << n | a >> (8 - n));
}

static uint8_t substitute(uint8_t a)
{
    a = invert(a);
    return a ^ rotate(a, 1) ^ rotate(a, 2) ^ rotate(a, 3) ^ rotate(a, 4) ^ 0x63;
}

static uint8_t substitute_inverse(uint8_t a)
{
    return invert(rotate(a, 1) ^ rotate(a, 3) ^ rotate(a, 6) ^ 0x05);
}

V128 ir_aes_encrypt_round(V128 state)
{
    const uint8_t *in = (const uint8_t *)&state;
    V128 result;

    for (unsigned i = 0; i < 16; i++) {
        ((uint8_t *)&result)[i] = substitute(in[(i + 4 * (i & 3)) & 15]);
    }
    return result;
}

V128 ir_aes_decrypt_round(V128 state)
{
    const uint8_t *in = (const uint8_t *)&state;
    V128 result;

    for (unsigned i = 0; i < 16; i++) {
        ((uint8_t *)&result)[i] = substitute_inverse(in[(i - 4 * (i & 3)) & 15]);
    }
    return result;
}

V128 ir_aes_mix_columns(V128 state, bool inverse)
{
    static const uint8_t forward[4] = { 2, 3, 1, 1 }, backward[4] = { 14, 11, 13, 9 };
    const uint8_t *factor = inverse ? backward : forward, *in = (const uint8_t *)&state;
    V128 result;

    for (unsigned i = 0; i < 16; i++) {
        uint8_t sum = 0;

        for (unsigned j = 0; j < 4; j++) {
            sum ^= multiply(in[(i & ~3u) + j], factor[(j - i) & 3]);
        }
        ((uint8_t *)&result)[i] = sum;
    }
    return result;
}
