/* SPDX-License-Identifier: MIT */
/* AES, carry-less multiplication, SHA-1 and SHA-256 (Intel SDM 2): what the host may lack is computed. */
#include "accel/tcg/ir/interpret-aes.h"
#include "target/i386/vector-rows.h"

/* AES. */

static V128 vector_aesenc(V128 state, V128 key)
{
    return ir_aes_mix_columns(ir_aes_encrypt_round(state), false) ^ key;
}
SIMD(aesenc, "66 0F 38 DC /r", "Vx Hx Wx", "AES v:AES/VAES", BINARY_C)

static V128 vector_aesenclast(V128 state, V128 key)
{
    return ir_aes_encrypt_round(state) ^ key;
}
SIMD(aesenclast, "66 0F 38 DD /r", "Vx Hx Wx", "AES v:AES/VAES", BINARY_C)

static V128 vector_aesdec(V128 state, V128 key)
{
    return ir_aes_mix_columns(ir_aes_decrypt_round(state), true) ^ key;
}
SIMD(aesdec, "66 0F 38 DE /r", "Vx Hx Wx", "AES v:AES/VAES", BINARY_C)

static V128 vector_aesdeclast(V128 state, V128 key)
{
    return ir_aes_decrypt_round(state) ^ key;
}
SIMD(aesdeclast, "66 0F 38 DF /r", "Vx Hx Wx", "AES v:AES/VAES", BINARY_C)

static V128 vector_aesimc(V128 state)
{
    return ir_aes_mix_columns(state, true);
}
SIMD(aesimc, "66 0F 38 DB /r", "Vdq Wdq", "AES v0:AES", UNARY_C)

/* Rows are shifted by nothing when all columns are the same. */
static uint32_t substitute_word(uint32_t word)
{
    Lanes x = { .d = { word, word, word, word } };

    x.v = ir_aes_encrypt_round(x.v);
    return x.d[0];
}

static uint32_t rotate_right(uint32_t value, unsigned by)
{
    return value >> by | value << (32 - by);
}

static V128 vector_aeskeygenassist(V128 a, uint64_t imm)
{
    Lanes x = { a }, result;

    for (unsigned i = 0; i < 4; i += 2) {
        result.d[i] = substitute_word(x.d[i + 1]);
        result.d[i + 1] = rotate_right(result.d[i], 8) ^ (uint32_t)(imm & 0xff);
    }
    return result.v;
}
SIMD(aeskeygenassist, "66 0F 3A DF /r", "Vdq Wdq Ib", "AES v0:AES", UNARY_IMM)

/* Carry-less multiplication. */

static V128 vector_pclmulqdq(V128 a, V128 b, uint64_t imm)
{
    uint64_t x = a[imm & 1], y = b[imm >> 4 & 1];
    unsigned __int128 product = 0;

    for (unsigned i = 0; i < 64; i++) {
        product ^= y >> i & 1 ? (unsigned __int128)x << i : 0;
    }
    return (V128){ (uint64_t)product, (uint64_t)(product >> 64) };
}
SIMD(pclmulqdq, "66 0F 3A 44 /r", "Vx Hx Wx Ib", "PCLMULQDQ v:PCLMULQDQ/VPCLMULQDQ", BINARY_IMM)

/* SHA-1: A is the highest lane. */

static uint32_t rotate_left(uint32_t value, unsigned by)
{
    return rotate_right(value, 32 - by);
}

static V128 vector_sha1nexte(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    y.d[3] += rotate_left(x.d[3], 30);
    return y.v;
}
SIMD(sha1nexte, "NP 0F 38 C8 /r", "Vdq Wdq", "SHA_NI form:BINARY", BINARY_C, X86_VECTOR_UNALIGNED)

static V128 vector_sha1msg1(V128 a, V128 b)
{
    Lanes x = { a }, y = { b }, result;

    for (unsigned i = 0; i < 4; i++) {
        result.d[i] = x.d[i] ^ (i >= 2 ? x.d[i - 2] : y.d[i + 2]);
    }
    return result.v;
}
SIMD(sha1msg1, "NP 0F 38 C9 /r", "Vdq Wdq", "SHA_NI form:BINARY", BINARY_C, X86_VECTOR_UNALIGNED)

static V128 vector_sha1msg2(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    x.d[3] = rotate_left(x.d[3] ^ y.d[2], 1);
    x.d[2] = rotate_left(x.d[2] ^ y.d[1], 1);
    x.d[1] = rotate_left(x.d[1] ^ y.d[0], 1);
    x.d[0] = rotate_left(x.d[0] ^ x.d[3], 1);
    return x.v;
}
SIMD(sha1msg2, "NP 0F 38 CA /r", "Vdq Wdq", "SHA_NI form:BINARY", BINARY_C, X86_VECTOR_UNALIGNED)

static uint32_t sha1_mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round) {
    case 0:
        return (b & c) ^ (~b & d);
    case 2:
        return (b & c) ^ (b & d) ^ (c & d);
    default:
        return b ^ c ^ d;
    }
}

static V128 vector_sha1rnds4(V128 a, V128 b, uint64_t imm)
{
    static const uint32_t constants[] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
    Lanes state = { a }, words = { b };
    unsigned round = imm & 3;
    uint32_t e = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t *d = state.d, next;

        next = sha1_mix(round, d[2], d[1], d[0]) + rotate_left(d[3], 5) + words.d[3 - i] + e +
               constants[round];
        e = d[0];
        d[0] = d[1];
        d[1] = rotate_left(d[2], 30);
        d[2] = d[3];
        d[3] = next;
    }
    return state.v;
}
SIMD(sha1rnds4, "NP 0F 3A CC /r", "Vdq Wdq Ib", "SHA_NI form:BINARY", BINARY_IMM,
     X86_VECTOR_UNALIGNED)

/* SHA-256. */

static uint32_t small_sigma(uint32_t x, unsigned a, unsigned b, unsigned shift)
{
    return rotate_right(x, a) ^ rotate_right(x, b) ^ x >> shift;
}

static uint32_t big_sigma(uint32_t x, unsigned a, unsigned b, unsigned c)
{
    return rotate_right(x, a) ^ rotate_right(x, b) ^ rotate_right(x, c);
}

static V128 vector_sha256msg1(V128 a, V128 b)
{
    Lanes x = { a }, y = { b }, result;

    for (unsigned i = 0; i < 4; i++) {
        result.d[i] = x.d[i] + small_sigma(i < 3 ? x.d[i + 1] : y.d[0], 7, 18, 3);
    }
    return result.v;
}
SIMD(sha256msg1, "NP 0F 38 CC /r", "Vdq Wdq", "SHA_NI form:BINARY", BINARY_C, X86_VECTOR_UNALIGNED)

static V128 vector_sha256msg2(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 4; i++) {
        x.d[i] += small_sigma(i < 2 ? y.d[i + 2] : x.d[i - 2], 17, 19, 10);
    }
    return x.v;
}
SIMD(sha256msg2, "NP 0F 38 CD /r", "Vdq Wdq", "SHA_NI form:BINARY", BINARY_C, X86_VECTOR_UNALIGNED)

/* a holds C D G H, b A B E F, each from the highest lane; two words with their constants are in XMM0. */
static V128 vector_sha256rnds2(V128 a, V128 b, V128 words)
{
    Lanes cdgh = { a }, abef = { b }, wk = { words };

    for (unsigned i = 0; i < 2; i++) {
        uint32_t e = abef.d[1], f = abef.d[0], g = cdgh.d[1], h = cdgh.d[0];
        uint32_t first = h + big_sigma(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + wk.d[i];
        uint32_t x = abef.d[3], y = abef.d[2], z = cdgh.d[3];
        uint32_t second = big_sigma(x, 2, 13, 22) + ((x & y) ^ (x & z) ^ (y & z));
        uint32_t d = cdgh.d[2];

        cdgh = (Lanes){ .d = { g, f, z, y } };
        abef = (Lanes){ .d = { e, d + first, x, first + second } };
    }
    return abef.v;
}
SIMD(sha256rnds2, "NP 0F 38 CB /r", "Vdq Wdq XMM0", "SHA_NI form:BLEND", TERNARY_C,
     X86_VECTOR_UNALIGNED)

/* Galois fields: x^8 + x^4 + x^3 + x + 1. */

static uint8_t multiply(uint8_t a, uint8_t b)
{
    uint8_t product = 0;

    for (; b; b >>= 1) {
        product ^= b & 1 ? a : 0;
        a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
    }
    return product;
}

static V128 vector_gf2p8mulb(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 16; i++) {
        x.b[i] = multiply(x.b[i], y.b[i]);
    }
    return x.v;
}
SIMD(gf2p8mulb, "66 0F 38 CF /r W0", "Vx Hx Wx", "GFNI v:GFNI", BINARY_C)

/* a^254: the inverse, and 0 of 0. */
static uint8_t inverse(uint8_t a)
{
    uint8_t power = a;

    for (unsigned i = 0; i < 6; i++) {
        power = multiply(multiply(power, power), a);
    }
    return multiply(power, power);
}

/* A matrix of eight rows, the first in the highest byte, for each eight bytes. */
static uint8_t affine(uint64_t matrix, uint8_t x, uint8_t add)
{
    uint8_t result = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned row = matrix >> 8 * (7 - i) & 0xff;

        result |= (uint8_t)(__builtin_parity(row & x) << i);
    }
    return result ^ add;
}

static V128 vector_gf2p8affineqb(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a };

    for (unsigned i = 0; i < 16; i++) {
        x.b[i] = affine(b[i / 8], x.b[i], (uint8_t)imm);
    }
    return x.v;
}
SIMD(gf2p8affineqb, "66 0F 3A CE /r W1", "Vx Hx Wx Ib", "GFNI v:GFNI", BINARY_IMM)

static V128 vector_gf2p8affineinvqb(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a };

    for (unsigned i = 0; i < 16; i++) {
        x.b[i] = affine(b[i / 8], inverse(x.b[i]), (uint8_t)imm);
    }
    return x.v;
}
SIMD(gf2p8affineinvqb, "66 0F 3A CF /r W1", "Vx Hx Wx Ib", "GFNI v:GFNI", BINARY_IMM)
