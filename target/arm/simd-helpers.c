/* SPDX-License-Identifier: MIT */
/* Integer SIMD helpers (Arm ARM DDI 0487, C7.2). */
#include "target/arm/simd-helpers.h"

#include <glib.h>

#include "target/arm/lanes.h"

typedef __int128 Wide;
typedef unsigned __int128 UWide;

static uint64_t saturate_signed(Wide value, unsigned esz, bool *saturated)
{
    Wide limit = (Wide)1 << ((8 << esz) - 1);

    if (value >= limit) {
        *saturated = true;
        return (uint64_t)(limit - 1);
    }
    if (value < -limit) {
        *saturated = true;
        return (uint64_t)-limit;
    }
    return (uint64_t)value;
}

static uint64_t saturate_unsigned(Wide value, unsigned esz, bool *saturated)
{
    Wide limit = (Wide)1 << (8 << esz);

    if (value < 0 || value >= limit) {
        *saturated = true;
        return value < 0 ? 0 : (uint64_t)(limit - 1);
    }
    return (uint64_t)value;
}

static Wide signed_lane(uint64_t value, unsigned esz)
{
    return bits_sign_extend(value, 8u << esz);
}

/*
 * value * 2^shift, rounded down or to nearest. A left shift by more than a lane's width gives no low
 * bits, and overflows unless value is 0: so it is made by 64 places at most.
 */
static Wide shifted(Wide value, uint64_t count, bool rounding)
{
    int shift = (int8_t)count;

    if (shift >= 64 && value >> 63 > 0) {
        return (Wide)1 << 126; /* an unsigned doubleword by 64 places would not fit */
    }
    if (shift >= 0) {
        return value * ((Wide)1 << MIN(shift, 64));
    }
    shift = MIN(-shift, 100);
    if (rounding) {
        value += (Wide)1 << (shift - 1);
    }
    return value >> shift;
}

static uint64_t lane_clz(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return a ? (uint64_t)__builtin_clzll(a) - (64 - (8 << esz)) : 8u << esz;
}

static uint64_t lane_cls(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return (uint64_t)__builtin_clrsbll(bits_sign_extend(a, 8u << esz)) - (64 - (8 << esz));
}

static uint64_t lane_sshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return (uint64_t)shifted(signed_lane(a, esz), b, false);
}

static uint64_t lane_ushl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return (uint64_t)shifted((Wide)a, b, false);
}

static uint64_t lane_srshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return (uint64_t)shifted(signed_lane(a, esz), b, true);
}

static uint64_t lane_urshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return (uint64_t)shifted((Wide)a, b, true);
}

static uint64_t lane_sqshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_signed(shifted(signed_lane(a, esz), b, false), esz, saturated);
}

static uint64_t lane_uqshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_unsigned(shifted((Wide)a, b, false), esz, saturated);
}

static uint64_t lane_sqrshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_signed(shifted(signed_lane(a, esz), b, true), esz, saturated);
}

static uint64_t lane_uqrshl(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_unsigned(shifted((Wide)a, b, true), esz, saturated);
}

static uint64_t lane_sqshlu(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_unsigned(shifted(signed_lane(a, esz), b, false), esz, saturated);
}

static uint64_t lane_pmul(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    uint64_t product = 0;

    for (unsigned i = 0; i < 8; i++) {
        product ^= b >> i & 1 ? a << i : 0;
    }
    return product;
}

static uint64_t lane_sqdmulh(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    Wide product = 2 * signed_lane(a, esz) * signed_lane(b, esz);

    return saturate_signed(product >> (8 << esz), esz, saturated);
}

static uint64_t lane_sqrdmulh(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    Wide product = 2 * signed_lane(a, esz) * signed_lane(b, esz);

    return saturate_signed((product + ((Wide)1 << ((8 << esz) - 1))) >> (8 << esz), esz, saturated);
}

/* The accumulator is signed, the addend unsigned. */
static uint64_t lane_suqadd(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_signed(signed_lane(a, esz) + (Wide)b, esz, saturated);
}

static uint64_t lane_usqadd(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return saturate_unsigned((Wide)a + signed_lane(b, esz), esz, saturated);
}

static uint64_t rdmla(unsigned esz, uint64_t a, Wide product, bool *saturated)
{
    Wide sum = signed_lane(a, esz) * ((Wide)1 << (8 << esz)) + 2 * product;

    return saturate_signed((sum + ((Wide)1 << ((8 << esz) - 1))) >> (8 << esz), esz, saturated);
}

static uint64_t lane_sqrdmlah(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return rdmla(esz, a, signed_lane(b, esz) * signed_lane(c, esz), saturated);
}

static uint64_t lane_sqrdmlsh(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated)
{
    return rdmla(esz, a, -(signed_lane(b, esz) * signed_lane(c, esz)), saturated);
}

typedef uint64_t LaneFunction(unsigned esz, uint64_t a, uint64_t b, uint64_t c, bool *saturated);

static inline __attribute__((always_inline)) V128 by_lane(LaneFunction *lane, unsigned esz,
                                                          bool mask, V128 a, V128 b, V128 c)
{
    Lanes x = { .v = a }, y = { .v = b }, z = { .v = c };

    for (unsigned i = 0; i < lane_count(esz); i++) {
        bool saturated = false;
        uint64_t result =
            lane(esz, lane_get(&x, esz, i), lane_get(&y, esz, i), lane_get(&z, esz, i), &saturated);

        lane_set(&x, esz, i, mask ? -(uint64_t)saturated : result);
    }
    return x.v;
}

#define PARAMETERS_1 V128 a
#define PARAMETERS_2 V128 a, V128 b
#define PARAMETERS_3 V128 a, V128 b, V128 c
#define VALUES_1     a, a, a
#define VALUES_2     a, b, a
#define VALUES_3     a, b, c
#define TYPES_1      IR_V128
#define TYPES_2      IR_V128, IR_V128
#define TYPES_3      IR_V128, IR_V128, IR_V128

/* A constant expression. */
#define intrinsic_of(op, esz)                                                                      \
    ((op) == ARM_SIMD_ushl && (esz) == 2   ? IR_INTRINSIC_USHL_S                                   \
     : (op) == ARM_SIMD_ushl && (esz) == 3 ? IR_INTRINSIC_USHL_D                                   \
     : (op) == ARM_SIMD_sshl && (esz) == 2 ? IR_INTRINSIC_SSHL_S                                   \
     : (op) == ARM_SIMD_sshl && (esz) == 3 ? IR_INTRINSIC_SSHL_D                                   \
                                           : IR_INTRINSIC_NONE)

#define DEFINE(op, args, suffix, esz, mask)                                                        \
    static V128 helper_##op##suffix(PARAMETERS_##args)                                             \
    {                                                                                              \
        return by_lane(lane_##op, esz, mask, VALUES_##args);                                       \
    }                                                                                              \
    static const TcgHelper describe_##op##suffix = {                                               \
        .name = #op #suffix,                                                                       \
        .function = helper_##op##suffix,                                                           \
        .result = IR_V128,                                                                         \
        .arg_types = { TYPES_##args },                                                             \
        .intrinsic = (mask) ? IR_INTRINSIC_NONE : intrinsic_of(ARM_SIMD_##op, esz)                 \
    };                                                                                             \
    TCG_HELPER(describe_##op##suffix);

#define X(op, args)                                                                                \
    DEFINE(op, args, _b, 0, false)                                                                 \
    DEFINE(op, args, _h, 1, false) DEFINE(op, args, _s, 2, false) DEFINE(op, args, _d, 3, false)
ARM_SIMD_LANES(X)
ARM_SIMD_SATURATING(X)
#undef X
#define X(op, args)                                                                                \
    DEFINE(op, args, _b_saturated, 0, true)                                                        \
    DEFINE(op, args, _h_saturated, 1, true)                                                        \
    DEFINE(op, args, _s_saturated, 2, true) DEFINE(op, args, _d_saturated, 3, true)
ARM_SIMD_SATURATING(X)
#undef X

const TcgHelper *arm_simd_helper(ArmSimd op, unsigned esz, bool saturated)
{
#define ROW(op, tail)                                                                              \
    {                                                                                              \
        &describe_##op##_b##tail, &describe_##op##_h##tail, &describe_##op##_s##tail,              \
            &describe_##op##_d##tail                                                               \
    }
    static const TcgHelper *const table[ARM_SIMD_COUNT][2][4] = {
#define X(op, args) [ARM_SIMD_##op] = { ROW(op, ) },
        ARM_SIMD_LANES(X)
#undef X
#define X(op, args) [ARM_SIMD_##op] = { ROW(op, ), ROW(op, _saturated) },
            ARM_SIMD_SATURATING(X)
#undef X
    };

    return table[op][saturated][esz];
}

static V128 helper_pmull8(V128 a, V128 b)
{
    Lanes x = { .v = a }, y = { .v = b }, result;

    for (unsigned i = 0; i < 8; i++) {
        result.h[i] = (uint16_t)lane_pmul(0, x.b[i], y.b[i], 0, NULL);
    }
    return result.v;
}

static inline __attribute__((always_inline)) V128 matrix(V128 sum, V128 a, V128 b, bool a_signed,
                                                         bool b_signed)
{
    Lanes s = { .v = sum }, x = { .v = a }, y = { .v = b };

    for (unsigned i = 0; i < 32; i++) {
        unsigned row = i / 16, column = i / 8 % 2, k = i % 8;
        uint8_t left = x.b[row * 8 + k], right = y.b[column * 8 + k];
        int p = a_signed ? (int8_t)left : left, q = b_signed ? (int8_t)right : right;

        s.s[row * 2 + column] += (uint32_t)(p * q);
    }
    return s.v;
}

#define PRODUCT(name_, a_signed, b_signed)                                                         \
    static V128 helper_##name_(V128 sum, V128 a, V128 b)                                           \
    {                                                                                              \
        return matrix(sum, a, b, a_signed, b_signed);                                              \
    }                                                                                              \
    const TcgHelper arm_##name_##_helper = { .name = #name_,                                       \
                                             .function = helper_##name_,                           \
                                             .result = IR_V128,                                    \
                                             .arg_types = { IR_V128, IR_V128, IR_V128 } };         \
    TCG_HELPER(arm_##name_##_helper)

PRODUCT(smmla, true, true);
PRODUCT(ummla, false, false);
PRODUCT(usmmla, false, true);

const TcgHelper arm_pmull8_helper = {
    .name = "pmull8",
    .function = helper_pmull8,
    .result = IR_V128,
    .arg_types = { IR_V128, IR_V128 },
};
TCG_HELPER(arm_pmull8_helper);
