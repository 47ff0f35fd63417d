/* SPDX-License-Identifier: MIT */
/*
 * Floating-point helpers that combine lanes or formats: complex arithmetic (FEAT_FCMA), widening
 * multiplication (FEAT_FHM), BFloat16 products (FEAT_BF16), and the unsigned integer estimates.
 */
#include "target/arm/fp-helpers.h"

#include "target/arm/lanes.h"

#define ENV_EFFECT (HELPER_ENV | HELPER_EFFECT)

static uint64_t negated_if(uint64_t value, unsigned esz, bool negate)
{
    return negate ? value ^ BIT((8u << esz) - 1) : value;
}

/* imm: esz | rotation / 90 << 4 | q << 8 */
static V128 helper_fcadd(TcgState *env, uint64_t imm, V128 d, V128 n, V128 m)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    unsigned esz = imm & 3, rotation = imm >> 4 & 3;
    const FloatFormat *f = arm_fp_format(esz);
    Lanes x = { .v = n }, y = { .v = m }, result = { .v = { 0 } };

    for (unsigned i = 0; i < lane_count(esz) >> !(imm >> 8 & 1); i += 2) {
        uint64_t imaginary = negated_if(lane_get(&y, esz, i + 1), esz, rotation == 1);
        uint64_t real = negated_if(lane_get(&y, esz, i), esz, rotation == 3);

        lane_set(&result, esz, i, float_add(f, lane_get(&x, esz, i), imaginary, &s));
        lane_set(&result, esz, i + 1, float_add(f, lane_get(&x, esz, i + 1), real, &s));
    }
    arm_fp_raise(cpu, &s);
    return result.v;
}

/* The same, and in bits 15 to 12: 1 + the pair of m that all pairs of n are multiplied with, or 0. */
static V128 helper_fcmla(TcgState *env, uint64_t imm, V128 d, V128 n, V128 m)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    unsigned esz = imm & 3, rotation = imm >> 4 & 3, element = imm >> 12 & 15;
    const FloatFormat *f = arm_fp_format(esz);
    Lanes sum = { .v = d }, x = { .v = n }, y = { .v = m }, result = { .v = { 0 } };

    for (unsigned i = 0; i < lane_count(esz) >> !(imm >> 8 & 1); i += 2) {
        unsigned pair = element ? 2 * (element - 1) : i;
        uint64_t real = lane_get(&y, esz, pair), imaginary = lane_get(&y, esz, pair + 1);
        uint64_t factor = lane_get(&x, esz, rotation & 1 ? i + 1 : i);
        uint64_t first = rotation & 1 ? imaginary : real, second = rotation & 1 ? real : imaginary;

        first = negated_if(first, esz, rotation == 1 || rotation == 2);
        second = negated_if(second, esz, rotation >= 2);
        lane_set(&result, esz, i, float_muladd(f, factor, first, lane_get(&sum, esz, i), &s));
        lane_set(&result, esz, i + 1,
                 float_muladd(f, factor, second, lane_get(&sum, esz, i + 1), &s));
    }
    arm_fp_raise(cpu, &s);
    return result.v;
}

static V128 helper_fmlal(TcgState *env, V128 d, V128 n, V128 m)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    Lanes sum = { .v = d }, x = { .v = n }, y = { .v = m };

    for (unsigned i = 0; i < 4; i++) {
        sum.s[i] =
            (uint32_t)float_muladd_widen(&float_f32, &float_f16, x.h[i], y.h[i], sum.s[i], &s);
    }
    arm_fp_raise(cpu, &s);
    return sum.v;
}

/* BFloat16 dot products ignore FPCR and FPSR (BFDotAdd without FEAT_EBF16). */
static uint32_t bf16_dot(uint32_t sum, uint32_t a, uint32_t b)
{
    FloatStatus s = { .rounding = FLOAT_ROUND_ODD_INFINITY,
                      .default_nan = true,
                      .tininess_before = true,
                      .flush_inputs = true,
                      .flush_outputs = true };
    uint64_t low = float_mul(&float_f32, (uint32_t)(a << 16), (uint32_t)(b << 16), &s);
    uint64_t high = float_mul(&float_f32, a & 0xffff0000u, b & 0xffff0000u, &s);

    return (uint32_t)float_add(&float_f32, sum, float_add(&float_f32, low, high, &s), &s);
}

static V128 helper_bfdot(V128 d, V128 n, V128 m)
{
    Lanes sum = { .v = d }, x = { .v = n }, y = { .v = m };

    for (unsigned i = 0; i < 4; i++) {
        sum.s[i] = bf16_dot(sum.s[i], x.s[i], y.s[i]);
    }
    return sum.v;
}

static V128 helper_bfmmla(V128 d, V128 n, V128 m)
{
    Lanes sum = { .v = d }, x = { .v = n }, y = { .v = m };

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 2; k++) {
            sum.s[i] = bf16_dot(sum.s[i], x.s[i / 2 * 2 + k], y.s[i % 2 * 2 + k]);
        }
    }
    return sum.v;
}

static V128 helper_urecpe(V128 a)
{
    Lanes x = { .v = a };

    for (unsigned i = 0; i < 4; i++) {
        x.s[i] = float_recip_estimate_u32(x.s[i]);
    }
    return x.v;
}

static V128 helper_ursqrte(V128 a)
{
    Lanes x = { .v = a };

    for (unsigned i = 0; i < 4; i++) {
        x.s[i] = float_rsqrt_estimate_u32(x.s[i]);
    }
    return x.v;
}

#define DESCRIBE(name_, flags_, ...)                                                               \
    const TcgHelper arm_##name_##_helper = { .name = #name_,                                       \
                                             .function = helper_##name_,                           \
                                             .result = IR_V128,                                    \
                                             .flags = (flags_),                                    \
                                             .arg_types = { __VA_ARGS__ } };                       \
    TCG_HELPER(arm_##name_##_helper)

DESCRIBE(fcadd, ENV_EFFECT, IR_V128, IR_V128, IR_V128, IR_I64);
DESCRIBE(fcmla, ENV_EFFECT, IR_V128, IR_V128, IR_V128, IR_I64);
DESCRIBE(fmlal, ENV_EFFECT, IR_V128, IR_V128, IR_V128);
DESCRIBE(bfdot, 0, IR_V128, IR_V128, IR_V128);
DESCRIBE(bfmmla, 0, IR_V128, IR_V128, IR_V128);
DESCRIBE(urecpe, 0, IR_V128);
DESCRIBE(ursqrte, 0, IR_V128);
