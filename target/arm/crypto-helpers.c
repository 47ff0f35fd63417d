/* SPDX-License-Identifier: MIT */
/*
 * SHA-1, SHA-2 (FIPS 180-4), SM3 (GB/T 32905) and SM4 (GB/T 32907) steps as the A64 instructions divide
 * them (Arm ARM DDI 0487, C7.2).
 */
#include "target/arm/crypto-helpers.h"

#include "target/arm/lanes.h"

#define VECTORS_1 IR_V128
#define VECTORS_2 IR_V128, IR_V128
#define VECTORS_3 IR_V128, IR_V128, IR_V128
#define DESCRIBE(name_, ...)                                                                       \
    const TcgHelper arm_##name_##_helper = { .name = #name_,                                       \
                                             .function = helper_##name_,                           \
                                             .result = IR_V128,                                    \
                                             .arg_types = { __VA_ARGS__ } };                       \
    TCG_HELPER(arm_##name_##_helper)
#define DESCRIBE_INTRINSIC(name_, intrinsic_, ...)                                                 \
    const TcgHelper arm_##name_##_helper = { .name = #name_,                                       \
                                             .function = helper_##name_,                           \
                                             .result = IR_V128,                                    \
                                             .arg_types = { __VA_ARGS__ },                         \
                                             .intrinsic = intrinsic_ };                            \
    TCG_HELPER(arm_##name_##_helper)

static uint32_t rol32(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t ror32(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint64_t ror64(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | (x & z) | (y & z);
}

static uint32_t parity(uint32_t x, uint32_t y, uint32_t z)
{
    return x ^ y ^ z;
}

typedef uint32_t Mix(uint32_t x, uint32_t y, uint32_t z);

/* Four rounds of SHA-1: abcd in d, e in the low word of n, schedule plus constants in m. */
static V128 sha1_rounds(V128 d, V128 n, V128 m, Mix *mix)
{
    Lanes x = { .v = d }, w = { .v = m };
    uint32_t e = (uint32_t)n[0];

    for (unsigned i = 0; i < 4; i++) {
        uint32_t t = e + rol32(x.s[0], 5) + mix(x.s[1], x.s[2], x.s[3]) + w.s[i];

        e = x.s[3];
        x.s[3] = x.s[2];
        x.s[2] = rol32(x.s[1], 30);
        x.s[1] = x.s[0];
        x.s[0] = t;
    }
    return x.v;
}

static V128 helper_sha1c(V128 d, V128 n, V128 m)
{
    return sha1_rounds(d, n, m, choose);
}

static V128 helper_sha1p(V128 d, V128 n, V128 m)
{
    return sha1_rounds(d, n, m, parity);
}

static V128 helper_sha1m(V128 d, V128 n, V128 m)
{
    return sha1_rounds(d, n, m, majority);
}

DESCRIBE_INTRINSIC(sha1c, IR_INTRINSIC_SHA1C, VECTORS_3);
DESCRIBE_INTRINSIC(sha1p, IR_INTRINSIC_SHA1P, VECTORS_3);
DESCRIBE_INTRINSIC(sha1m, IR_INTRINSIC_SHA1M, VECTORS_3);

/* Four rounds of SHA-256 on abcd and efgh. */
static void sha256_rounds(Lanes *x, Lanes *y, V128 m)
{
    Lanes w = { .v = m };

    for (unsigned i = 0; i < 4; i++) {
        uint32_t e = y->s[0], a = x->s[0];
        uint32_t t = y->s[3] + (ror32(e, 6) ^ ror32(e, 11) ^ ror32(e, 25)) +
                     choose(e, y->s[1], y->s[2]) + w.s[i];
        uint32_t next_e = t + x->s[3];
        uint32_t next_a =
            t + (ror32(a, 2) ^ ror32(a, 13) ^ ror32(a, 22)) + majority(a, x->s[1], x->s[2]);

        for (unsigned k = 3; k > 0; k--) {
            x->s[k] = x->s[k - 1];
            y->s[k] = y->s[k - 1];
        }
        x->s[0] = next_a;
        y->s[0] = next_e;
    }
}

static V128 helper_sha256h(V128 d, V128 n, V128 m)
{
    Lanes x = { .v = d }, y = { .v = n };

    sha256_rounds(&x, &y, m);
    return x.v;
}

static V128 helper_sha256h2(V128 d, V128 n, V128 m)
{
    Lanes x = { .v = n }, y = { .v = d };

    sha256_rounds(&x, &y, m);
    return y.v;
}

static V128 helper_sha256su0(V128 d, V128 n)
{
    Lanes x = { .v = d }, r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t e = i < 3 ? x.s[i + 1] : (uint32_t)n[0];

        r.s[i] = x.s[i] + (ror32(e, 7) ^ ror32(e, 18) ^ e >> 3);
    }
    return r.v;
}

static V128 helper_sha256su1(V128 d, V128 n, V128 m)
{
    Lanes x = { .v = d }, y = { .v = n }, z = { .v = m }, r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t e = i < 2 ? z.s[i + 2] : r.s[i - 2];

        r.s[i] = x.s[i] + (i < 3 ? y.s[i + 1] : z.s[0]) + (ror32(e, 17) ^ ror32(e, 19) ^ e >> 10);
    }
    return r.v;
}

DESCRIBE_INTRINSIC(sha256h, IR_INTRINSIC_SHA256H, VECTORS_3);
DESCRIBE_INTRINSIC(sha256h2, IR_INTRINSIC_SHA256H2, VECTORS_3);
DESCRIBE_INTRINSIC(sha256su0, IR_INTRINSIC_SHA256SU0, VECTORS_2);
DESCRIBE_INTRINSIC(sha256su1, IR_INTRINSIC_SHA256SU1, VECTORS_3);

static uint64_t sha512_sum1(uint64_t x)
{
    return ror64(x, 14) ^ ror64(x, 18) ^ ror64(x, 41);
}

static uint64_t sha512_sum0(uint64_t x)
{
    return ror64(x, 28) ^ ror64(x, 34) ^ ror64(x, 39);
}

static V128 helper_sha512h(V128 d, V128 n, V128 m)
{
    uint64_t high = ((m[1] & n[0]) ^ (~m[1] & n[1])) + sha512_sum1(m[1]) + d[1];
    uint64_t e = high + m[0];

    return (V128){ ((e & m[1]) ^ (~e & n[0])) + sha512_sum1(e) + d[0], high };
}

static V128 helper_sha512h2(V128 d, V128 n, V128 m)
{
    uint64_t both = m[1] & m[0];
    uint64_t high = ((n[0] & m[1]) ^ (n[0] & m[0]) ^ both) + sha512_sum0(m[0]) + d[1];

    return (V128){ ((high & m[0]) ^ (high & m[1]) ^ both) + sha512_sum0(high) + d[0], high };
}

static V128 helper_sha512su0(V128 d, V128 n)
{
    uint64_t a = d[1], b = n[0];

    return (V128){ d[0] + (ror64(a, 1) ^ ror64(a, 8) ^ a >> 7),
                   d[1] + (ror64(b, 1) ^ ror64(b, 8) ^ b >> 7) };
}

static V128 helper_sha512su1(V128 d, V128 n, V128 m)
{
    return (V128){ d[0] + (ror64(n[0], 19) ^ ror64(n[0], 61) ^ n[0] >> 6) + m[0],
                   d[1] + (ror64(n[1], 19) ^ ror64(n[1], 61) ^ n[1] >> 6) + m[1] };
}

DESCRIBE(sha512h, VECTORS_3);
DESCRIBE(sha512h2, VECTORS_3);
DESCRIBE(sha512su0, VECTORS_2);
DESCRIBE(sha512su1, VECTORS_3);

static V128 helper_sm3ss1(V128 n, V128 m, V128 a)
{
    Lanes x = { .v = n }, y = { .v = m }, z = { .v = a };

    return (V128){ 0, (uint64_t)rol32(rol32(x.s[3], 12) + y.s[3] + z.s[3], 7) << 32 };
}

static V128 helper_sm3tt(uint64_t imm, V128 d, V128 n, V128 m)
{
    Lanes x = { .v = d }, y = { .v = n }, w = { .v = m };
    unsigned kind = imm >> 2 & 3;
    uint32_t t = x.s[0] + w.s[imm & 3];

    if (kind == 0 || kind == 2) {
        t += parity(x.s[1], x.s[2], x.s[3]);
    } else {
        t += kind == 1 ? majority(x.s[1], x.s[2], x.s[3]) : choose(x.s[3], x.s[2], x.s[1]);
    }
    if (kind < 2) {
        t += y.s[3] ^ rol32(x.s[3], 12);
    } else {
        t += y.s[3];
        t ^= rol32(t, 9) ^ rol32(t, 17);
    }
    x.s[0] = x.s[1];
    x.s[1] = rol32(x.s[2], kind < 2 ? 9 : 19);
    x.s[2] = x.s[3];
    x.s[3] = t;
    return x.v;
}

static uint32_t sm3_p1(uint32_t x)
{
    return x ^ rol32(x, 15) ^ rol32(x, 23);
}

static V128 helper_sm3partw1(V128 d, V128 n, V128 m)
{
    Lanes x = { .v = d ^ n }, y = { .v = m };

    for (unsigned i = 0; i < 4; i++) {
        x.s[i] = sm3_p1(x.s[i] ^ rol32(i < 3 ? y.s[i + 1] : x.s[0], 15));
    }
    return x.v;
}

static V128 helper_sm3partw2(V128 d, V128 n, V128 m)
{
    Lanes x = { .v = d }, y = { .v = n }, z = { .v = m };

    for (unsigned i = 0; i < 4; i++) {
        y.s[i] ^= rol32(z.s[i], 7);
        x.s[i] ^= y.s[i];
    }
    x.s[3] ^= sm3_p1(rol32(y.s[0], 15));
    return x.v;
}

DESCRIBE(sm3ss1, VECTORS_3);
DESCRIBE(sm3tt, VECTORS_3, IR_I64);
DESCRIBE(sm3partw1, VECTORS_3);
DESCRIBE(sm3partw2, VECTORS_3);

static const uint8_t sm4_sbox[256] = {
    0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
    0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
    0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
    0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
    0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
    0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
    0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
    0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
    0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
    0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
    0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
    0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
    0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
    0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
    0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
    0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48,
};

static uint32_t sm4_substitute(uint32_t x)
{
    return sm4_sbox[x & 0xff] | (uint32_t)sm4_sbox[x >> 8 & 0xff] << 8 |
           (uint32_t)sm4_sbox[x >> 16 & 0xff] << 16 | (uint32_t)sm4_sbox[x >> 24] << 24;
}

/* Four rounds on a state, with the keys (or constants) of the other argument. */
static V128 sm4_rounds(V128 state, V128 keys, bool schedule)
{
    Lanes x = { .v = state }, k = { .v = keys };

    for (unsigned i = 0; i < 4; i++) {
        uint32_t t = sm4_substitute(x.s[1] ^ x.s[2] ^ x.s[3] ^ k.s[i]);

        t = schedule ? t ^ rol32(t, 13) ^ rol32(t, 23)
                     : t ^ rol32(t, 2) ^ rol32(t, 10) ^ rol32(t, 18) ^ rol32(t, 24);
        t ^= x.s[0];
        x.s[0] = x.s[1];
        x.s[1] = x.s[2];
        x.s[2] = x.s[3];
        x.s[3] = t;
    }
    return x.v;
}

static V128 helper_sm4e(V128 d, V128 n)
{
    return sm4_rounds(d, n, false);
}

static V128 helper_sm4ekey(V128 n, V128 m)
{
    return sm4_rounds(n, m, true);
}

DESCRIBE(sm4e, VECTORS_2);
DESCRIBE(sm4ekey, VECTORS_2);
