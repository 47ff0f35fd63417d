/* SPDX-License-Identifier: MIT */
/* Floating-point helpers with other shapes: comparisons, scalar conversions, changes of format. */
#include "target/arm/fp-helpers.h"

#include "target/arm/lanes.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define ENV_EFFECT    (HELPER_ENV | HELPER_EFFECT)

ALWAYS_INLINE uint64_t to_int(TcgState *env, uint64_t imm, V128 a, unsigned esz, bool is_signed,
                              unsigned bits)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    uint64_t result = float_to_int(arm_fp_format(esz), a[0] & bits_mask(8u << esz), bits, is_signed,
                                   (int)(imm >> 8), arm_fp_rounding(imm, &s), &s);

    arm_fp_raise(cpu, &s);
    return result;
}

ALWAYS_INLINE V128 from_int(TcgState *env, uint64_t value, uint64_t imm, unsigned esz,
                            bool is_signed, unsigned bits)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    const FloatFormat *f = arm_fp_format(esz);
    int scale = (int)(imm >> 8);
    uint64_t result = is_signed ? float_from_int64(f, bits_sign_extend(value, bits), scale, &s)
                                : float_from_uint64(f, value & bits_mask(bits), scale, &s);

    arm_fp_raise(cpu, &s);
    return (V128){ result, 0 };
}

#define CONVERSIONS(suffix, esz, sign, is_signed, bits, int_type)                                  \
    static uint64_t helper_fto_##sign##bits##suffix(TcgState *env, uint64_t imm, V128 a)           \
    {                                                                                              \
        return to_int(env, imm, a, esz, is_signed, bits);                                          \
    }                                                                                              \
    static const TcgHelper fto_##sign##bits##suffix = { .name = "fto_" #sign #bits #suffix,        \
                                                        .function =                                \
                                                            helper_fto_##sign##bits##suffix,       \
                                                        .result = int_type,                        \
                                                        .flags = ENV_EFFECT,                       \
                                                        .arg_types = { IR_V128, IR_I64 } };        \
    TCG_HELPER(fto_##sign##bits##suffix);                                                          \
    static V128 helper_ffrom_##sign##bits##suffix(TcgState *env, uint64_t value, uint64_t imm)     \
    {                                                                                              \
        return from_int(env, value, imm, esz, is_signed, bits);                                    \
    }                                                                                              \
    static const TcgHelper ffrom_##sign##bits##suffix = { .name = "ffrom_" #sign #bits #suffix,    \
                                                          .function =                              \
                                                              helper_ffrom_##sign##bits##suffix,   \
                                                          .result = IR_V128,                       \
                                                          .flags = ENV_EFFECT,                     \
                                                          .arg_types = { int_type, IR_I64 } };     \
    TCG_HELPER(ffrom_##sign##bits##suffix);
#define FOUR(suffix, esz)                                                                          \
    CONVERSIONS(suffix, esz, s, true, 32, IR_I32)                                                  \
    CONVERSIONS(suffix, esz, s, true, 64, IR_I64)                                                  \
    CONVERSIONS(suffix, esz, u, false, 32, IR_I32) CONVERSIONS(suffix, esz, u, false, 64, IR_I64)
FOUR(_h, 1)
FOUR(_s, 2)
FOUR(_d, 3)

#define TABLE(prefix)                                                                              \
    {                                                                                              \
        { { &prefix##_u32_h, &prefix##_u32_s, &prefix##_u32_d },                                   \
          { &prefix##_u64_h, &prefix##_u64_s, &prefix##_u64_d } },                                 \
            { { &prefix##_s32_h, &prefix##_s32_s, &prefix##_s32_d },                               \
              { &prefix##_s64_h, &prefix##_s64_s, &prefix##_s64_d } },                             \
    }

const TcgHelper *arm_fp_to_int_helper(unsigned esz, bool is_signed, bool wide)
{
    static const TcgHelper *const table[2][2][3] = TABLE(fto);

    return table[is_signed][wide][esz - 1];
}

const TcgHelper *arm_fp_from_int_helper(unsigned esz, bool is_signed, bool wide)
{
    static const TcgHelper *const table[2][2][3] = TABLE(ffrom);

    return table[is_signed][wide][esz - 1];
}

ALWAYS_INLINE uint32_t compare(TcgState *env, uint64_t imm, V128 a, V128 b, unsigned esz)
{
    /* a < b: N; a == b: Z and C; a > b: C; unordered: C and V */
    static const uint32_t nzcv[] = { [FLOAT_LESS] = 8u << 28,
                                     [FLOAT_EQUAL] = 6u << 28,
                                     [FLOAT_GREATER] = 2u << 28,
                                     [FLOAT_UNORDERED] = 3u << 28 };
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    uint64_t mask = bits_mask(8u << esz);
    FloatOrder order = float_compare(arm_fp_format(esz), a[0] & mask, b[0] & mask, imm & 1, &s);

    arm_fp_raise(cpu, &s);
    return nzcv[order];
}

#define COMPARE(suffix, esz)                                                                       \
    static uint64_t helper_fcmp##suffix(TcgState *env, uint64_t imm, V128 a, V128 b)               \
    {                                                                                              \
        return tcg_flags_from_nzcv(compare(env, imm, a, b, esz));                                  \
    }                                                                                              \
    static const TcgHelper fcmp##suffix = { .name = "fcmp" #suffix,                                \
                                            .function = helper_fcmp##suffix,                       \
                                            .result = IR_I32,                                      \
                                            .flags = ENV_EFFECT,                                   \
                                            .arg_types = { IR_V128, IR_V128, IR_I64 } };           \
    TCG_HELPER(fcmp##suffix);                                                                      \
    static uint64_t helper_fcmp_nzcv##suffix(TcgState *env, uint64_t imm, V128 a, V128 b)          \
    {                                                                                              \
        return compare(env, imm, a, b, esz);                                                       \
    }                                                                                              \
    static const TcgHelper fcmp_nzcv##suffix = { .name = "fcmp_nzcv" #suffix,                      \
                                                 .function = helper_fcmp_nzcv##suffix,             \
                                                 .result = IR_I32,                                 \
                                                 .flags = ENV_EFFECT,                              \
                                                 .arg_types = { IR_V128, IR_V128, IR_I64 } };      \
    TCG_HELPER(fcmp_nzcv##suffix);
COMPARE(_h, 1)
COMPARE(_s, 2)
COMPARE(_d, 3)

const TcgHelper *arm_fp_compare_helper(unsigned esz, bool packed)
{
    static const TcgHelper *const table[2][3] = {
        { &fcmp_h, &fcmp_s, &fcmp_d },
        { &fcmp_nzcv_h, &fcmp_nzcv_s, &fcmp_nzcv_d },
    };

    return table[packed][esz - 1];
}

static uint64_t helper_fjcvtzs(TcgState *env, V128 a)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    FloatStatus s = arm_fp_status(cpu);
    bool exact;
    uint32_t result = float_to_int32_modular(a[0], &exact, &s);

    arm_fp_raise(cpu, &s);
    return result | (uint64_t)exact << 32;
}

const TcgHelper arm_fjcvtzs_helper = {
    .name = "fjcvtzs",
    .function = helper_fjcvtzs,
    .result = IR_I64,
    .flags = ENV_EFFECT,
    .arg_types = { IR_V128 },
};
TCG_HELPER(arm_fjcvtzs_helper);
