/* SPDX-License-Identifier: MIT */
/* Lane-wise floating-point helpers: each operation in six forms (three sizes, scalar or vector). */
#include "target/arm/fp-helpers.h"

#include "target/arm/lanes.h"

typedef uint64_t UnaryLane(const FloatFormat *f, uint64_t a, FloatStatus *s);
typedef uint64_t UnaryImmLane(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp);
typedef uint64_t BinaryLane(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s);

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Lane operations by the names of fp-helpers.h. */
#define lane_sqrt   float_sqrt
#define lane_recpe  float_recip_estimate
#define lane_rsqrte float_rsqrt_estimate
#define lane_recpx  float_recip_exponent
#define lane_add    float_add
#define lane_sub    float_sub
#define lane_mul    float_mul
#define lane_div    float_div
#define lane_min    float_min
#define lane_max    float_max
#define lane_minnm  float_minnum
#define lane_maxnm  float_maxnum
#define lane_mulx   float_mulx
#define lane_recps  float_recip_step
#define lane_rsqrts float_rsqrt_step

static uint64_t lane_cmpeq(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return -(uint64_t)(float_compare(f, a, b, false, s) == FLOAT_EQUAL);
}

static uint64_t lane_cmpgt(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    return -(uint64_t)(float_compare(f, a, b, true, s) == FLOAT_GREATER);
}

static uint64_t lane_cmpge(const FloatFormat *f, uint64_t a, uint64_t b, FloatStatus *s)
{
    FloatOrder order = float_compare(f, a, b, true, s);

    return -(uint64_t)(order == FLOAT_GREATER || order == FLOAT_EQUAL);
}

static uint64_t lane_cvt(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    unsigned to = imm & 7;
    const FloatFormat *half = ahp ? &float_f16_alt : &float_f16;

    if (imm & ARM_CVT_ODD) {
        s->rounding = FLOAT_ROUND_ODD;
    }
    return float_convert(to == ARM_CVT_BF16 ? &float_bf16
                         : to == 1          ? half
                                            : arm_fp_format(to),
                         esz == 1 ? half : arm_fp_format(esz), a, s);
}

static uint64_t lane_round(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    return float_round_to_integral(arm_fp_format(esz), a, arm_fp_rounding(imm, s),
                                   imm & IR_ROUND_EXACT, s);
}

static uint64_t lane_rint(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    return float_round_to_integral_bits(arm_fp_format(esz), a, arm_fp_rounding(imm, s),
                                        (unsigned)(imm >> 8), s);
}

static uint64_t lane_vto_s(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    return float_to_int(arm_fp_format(esz), a, 8u << esz, true, (int)(imm >> 8),
                        arm_fp_rounding(imm, s), s);
}

static uint64_t lane_vto_u(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    return float_to_int(arm_fp_format(esz), a, 8u << esz, false, (int)(imm >> 8),
                        arm_fp_rounding(imm, s), s);
}

static uint64_t lane_vfrom_s(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    return float_from_int64(arm_fp_format(esz), bits_sign_extend(a, 8u << esz), (int)(imm >> 8), s);
}

static uint64_t lane_vfrom_u(unsigned esz, uint64_t a, uint64_t imm, FloatStatus *s, bool ahp)
{
    return float_from_uint64(arm_fp_format(esz), a, (int)(imm >> 8), s);
}

ALWAYS_INLINE V128 unary(TcgState *env, V128 a, unsigned esz, bool scalar, UnaryLane *lane)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    Lanes x = { .v = a };

    for (unsigned i = 0; i < (scalar ? 1 : lane_count(esz)); i++) {
        lane_set(&x, esz, i, lane(arm_fp_format(esz), lane_get(&x, esz, i), &s));
    }
    arm_fp_raise(cpu, &s);
    return x.v;
}

/*
 * A change of format of a vector: wider lanes come from the low half of the operand, narrower ones go
 * to the low half of the result, the rest of which is zero.
 */
static V128 convert_lanes(V128 a, uint64_t imm, unsigned esz, FloatStatus *s, bool ahp)
{
    unsigned to = (imm & 7) == ARM_CVT_BF16 ? 1 : imm & 7;
    Lanes x = { .v = a }, result = { .v = { 0 } };

    for (unsigned i = 0; i < lane_count(MAX(esz, to)); i++) {
        lane_set(&result, to, i, lane_cvt(esz, lane_get(&x, esz, i), imm, s, ahp));
    }
    return result.v;
}

/* Scalar conversions may change the size: what is above lane 0 of the result becomes zero. */
ALWAYS_INLINE V128 unary_imm(TcgState *env, V128 a, uint64_t imm, unsigned esz, bool scalar,
                             UnaryImmLane *lane)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    bool ahp = cpu->fpcr & FPCR_AHP;
    Lanes x = { .v = a };

    if (scalar) {
        x.v = (V128){ lane(esz, lane_get(&x, esz, 0), imm, &s, ahp), 0 };
    } else if (lane == lane_cvt) {
        x.v = convert_lanes(a, imm, esz, &s, ahp);
    } else {
        for (unsigned i = 0; i < lane_count(esz); i++) {
            lane_set(&x, esz, i, lane(esz, lane_get(&x, esz, i), imm, &s, ahp));
        }
    }
    arm_fp_raise(cpu, &s);
    return x.v;
}

ALWAYS_INLINE V128 binary(TcgState *env, V128 a, V128 b, unsigned esz, bool scalar,
                          BinaryLane *lane)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    Lanes x = { .v = a }, y = { .v = b };

    for (unsigned i = 0; i < (scalar ? 1 : lane_count(esz)); i++) {
        lane_set(&x, esz, i,
                 lane(arm_fp_format(esz), lane_get(&x, esz, i), lane_get(&y, esz, i), &s));
    }
    arm_fp_raise(cpu, &s);
    return x.v;
}

ALWAYS_INLINE V128 fused(TcgState *env, V128 a, V128 b, V128 c, unsigned esz, bool scalar)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    Lanes x = { .v = a }, y = { .v = b }, z = { .v = c };

    for (unsigned i = 0; i < (scalar ? 1 : lane_count(esz)); i++) {
        lane_set(&x, esz, i,
                 float_muladd(arm_fp_format(esz), lane_get(&x, esz, i), lane_get(&y, esz, i),
                              lane_get(&z, esz, i), &s));
    }
    arm_fp_raise(cpu, &s);
    return x.v;
}

#define ENV_EFFECT    (HELPER_ENV | HELPER_EFFECT)
#define VECTOR_ARGS_1 IR_V128
#define VECTOR_ARGS_2 IR_V128, IR_V128
#define VECTOR_ARGS_3 IR_V128, IR_V128, IR_V128
#define IMM_ARGS      IR_V128, IR_I64

#define DESCRIBE(name_, ...)                                                                       \
    static const TcgHelper describe_##name_ = { .name = #name_,                                    \
                                                .function = helper_##name_,                        \
                                                .result = IR_V128,                                 \
                                                .flags = ENV_EFFECT,                               \
                                                .arg_types = { __VA_ARGS__ } };                    \
    TCG_HELPER(describe_##name_)

#define UNARY(op, suffix, esz, scalar)                                                             \
    static V128 helper_f##op##suffix(TcgState *env, V128 a)                                        \
    {                                                                                              \
        return unary(env, a, esz, scalar, lane_##op);                                              \
    }                                                                                              \
    DESCRIBE(f##op##suffix, VECTOR_ARGS_1);
#define UNARY_IMM(op, suffix, esz, scalar)                                                         \
    static V128 helper_f##op##suffix(TcgState *env, uint64_t imm, V128 a)                          \
    {                                                                                              \
        return unary_imm(env, a, imm, esz, scalar, lane_##op);                                     \
    }                                                                                              \
    DESCRIBE(f##op##suffix, IMM_ARGS);
#define BINARY(op, suffix, esz, scalar)                                                            \
    static V128 helper_f##op##suffix(TcgState *env, V128 a, V128 b)                                \
    {                                                                                              \
        return binary(env, a, b, esz, scalar, lane_##op);                                          \
    }                                                                                              \
    DESCRIBE(f##op##suffix, VECTOR_ARGS_2);
#define TERNARY(op, suffix, esz, scalar)                                                           \
    static V128 helper_f##op##suffix(TcgState *env, V128 a, V128 b, V128 c)                        \
    {                                                                                              \
        return fused(env, a, b, c, esz, scalar);                                                   \
    }                                                                                              \
    DESCRIBE(f##op##suffix, VECTOR_ARGS_3);

#define SIX(kind, op)                                                                              \
    kind(op, _h, 1, true) kind(op, _s, 2, true) kind(op, _d, 3, true) kind(op, _8h, 1, false)      \
        kind(op, _4s, 2, false) kind(op, _2d, 3, false)

#define X(op) SIX(UNARY, op)
ARM_FP_UNARY(X)
#undef X
#define X(op) SIX(UNARY_IMM, op)
ARM_FP_UNARY_IMM(X)
#undef X
#define X(op) SIX(BINARY, op)
ARM_FP_BINARY(X)
#undef X
#define X(op) SIX(TERNARY, op)
ARM_FP_TERNARY(X)
#undef X

const TcgHelper *arm_fp_helper(ArmFp op, unsigned esz, bool scalar)
{
    static const TcgHelper *const table[ARM_FP_COUNT][2][3] = {
#define X(op)                                                                                      \
    [ARM_FP_##op] = { { &describe_f##op##_8h, &describe_f##op##_4s, &describe_f##op##_2d },        \
                      { &describe_f##op##_h, &describe_f##op##_s, &describe_f##op##_d } },
        ARM_FP_UNARY(X) ARM_FP_UNARY_IMM(X) ARM_FP_BINARY(X) ARM_FP_TERNARY(X)
#undef X
    };

    return table[op][scalar][esz - 1];
}
