/* SPDX-License-Identifier: MIT */
/* The helpers of encoded-helpers.h: what each computes is said by compiler intrinsics. */
#include "tests/unit/encoded-helpers.h"

#include <cpuid.h>
#include <immintrin.h>

#include "accel/tcg/ir/flags.h"
#include "accel/tcg/ir/host-code.h"

#define M(x)       ((__m128i)(x))
#define F(x)       ((__m128)(x))
#define D(x)       ((__m128d)(x))
#define NEEDS(...) __attribute__((target(__VA_ARGS__)))

/* FUNCTION(name, features, result type, parameters, value) */
#define FUNCTION(name, features, type, parameters, value)                                          \
    NEEDS(features) static type name parameters                                                    \
    {                                                                                              \
        return (type)(value);                                                                      \
    }

#define V128X1 (V128 a)
#define V128X2 (V128 a, V128 b)
#define V128X3 (V128 a, V128 b, V128 c)
FUNCTION(paddb, "sse4.2", V128, V128X2, _mm_add_epi8(M(a), M(b)))
FUNCTION(addss, "sse4.2", V128, V128X2, _mm_add_ss(F(a), F(b)))
FUNCTION(sqrtsd, "sse4.2", V128, V128X2, _mm_sqrt_sd(D(a), D(b)))
FUNCTION(cvtdq2ps, "sse4.2", V128, V128X1, _mm_cvtepi32_ps(M(a)))
FUNCTION(pabsw, "sse4.2", V128, V128X1, _mm_abs_epi16(M(a)))
FUNCTION(cvtsi2sd, "sse4.2", V128, (V128 a, uint64_t b), _mm_cvtsi64_sd(D(a), (long long)b))
FUNCTION(cvtsi2ss, "sse4.2", V128, (V128 a, uint32_t b), _mm_cvtsi32_ss(F(a), (int)b))
FUNCTION(cvttsd2si, "sse4.2", uint64_t, V128X1, _mm_cvttsd_si64(D(a)))
FUNCTION(pmovmskb, "sse4.2", uint32_t, V128X1, _mm_movemask_epi8(M(a)))
FUNCTION(movq_to, "sse4.2", V128, (uint64_t a), _mm_cvtsi64_si128((long long)a))
FUNCTION(movd_from, "sse4.2", uint32_t, V128X1, _mm_cvtsi128_si32(M(a)))
FUNCTION(pblendvb, "sse4.2", V128, V128X3, _mm_blendv_epi8(M(a), M(b), M(c)))
FUNCTION(blendvps, "sse4.2", V128, V128X3, _mm_blendv_ps(F(a), F(b), F(c)))
FUNCTION(blendvpd, "sse4.2", V128, V128X3, _mm_blendv_pd(D(a), D(b), D(c)))
FUNCTION(crc32, "sse4.2", uint32_t, (uint32_t a, uint32_t b), _mm_crc32_u32(a, b))
FUNCTION(aesenc, "aes", V128, V128X2, _mm_aesenc_si128(M(a), M(b)))
FUNCTION(aesimc, "aes", V128, V128X1, _mm_aesimc_si128(M(a)))
FUNCTION(sha256rnds2, "sha", V128, V128X3, _mm_sha256rnds2_epu32(M(a), M(b), M(c)))
FUNCTION(andn, "bmi", uint64_t, (uint64_t a, uint64_t b), _andn_u64(a, b))
FUNCTION(pdep, "bmi2", uint64_t, (uint64_t a, uint64_t b), _pdep_u64(a, b))
FUNCTION(vcvtph2ps, "f16c", V128, V128X1, _mm_cvtph_ps(M(a)))
FUNCTION(vpsllvd, "avx2", V128, V128X2, _mm_sllv_epi32(M(a), M(b)))

/* Immediates must be constants: one case for each. */
#define CASES4(n)  CASE(n) CASE((n) + 1) CASE((n) + 2) CASE((n) + 3)
#define CASES16(n) CASES4(n) CASES4((n) + 4) CASES4((n) + 8) CASES4((n) + 12)
#define CASES128                                                                                   \
    CASES16(0) CASES16(16) CASES16(32) CASES16(48) CASES16(64) CASES16(80) CASES16(96) CASES16(112)
#define WITH_IMM(name, features, type, parameters)                                                 \
    NEEDS(features) static type name parameters                                                    \
    {                                                                                              \
        switch (imm) {                                                                             \
            CASES128                                                                               \
        }                                                                                          \
        __builtin_unreachable();                                                                   \
    }

#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (V128)_mm_shuffle_epi32(M(a), n);
WITH_IMM(pshufd, "sse4.2", V128, (V128 a, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (V128)_mm_srli_epi16(M(a), n);
WITH_IMM(psrlw, "sse4.2", V128, (V128 a, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (V128)_mm_srli_si128(M(a), n);
WITH_IMM(psrldq, "sse4.2", V128, (V128 a, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (V128)_mm_insert_epi32(M(a), (int)b, (n)&3);
WITH_IMM(pinsrd, "sse4.2", V128, (V128 a, uint32_t b, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (uint64_t)_mm_extract_epi64(M(a), (n)&1);
WITH_IMM(pextrq, "sse4.2", uint64_t, (V128 a, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (uint32_t)_mm_cmpistri(M(a), M(b), n);
WITH_IMM(pcmpistri, "sse4.2", uint32_t, (V128 a, V128 b, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (V128)_mm_cmpestrm(M(a), (int)x, M(b), (int)y, n);
WITH_IMM(pcmpestrm, "sse4.2", V128, (V128 a, V128 b, uint32_t x, uint32_t y, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (uint16_t)((_mm_cmpistrc(M(a), M(b), n) ? TCG_FLAG_C : 0) |                         \
                          (_mm_cmpistrz(M(a), M(b), n) ? TCG_FLAG_Z : 0) |                         \
                          (_mm_cmpistrs(M(a), M(b), n) ? TCG_FLAG_N : 0) |                         \
                          (_mm_cmpistro(M(a), M(b), n) ? TCG_FLAG_V : 0));
WITH_IMM(pcmpistri_flags, "sse4.2", uint16_t, (V128 a, V128 b, uint64_t imm))
#undef CASE
#define CASE(n)                                                                                    \
    case n:                                                                                        \
        return (V128)_mm_clmulepi64_si128(M(a), M(b), (n)&17);
WITH_IMM(pclmulqdq, "pclmul", V128, (V128 a, V128 b, uint64_t imm))
#undef CASE

/* Which NaN it gives depends on the form, which compilers choose as they like. */
NEEDS("fma") static V128 vfmadd231ps(V128 a, V128 b, V128 c)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));
    return a;
}

NEEDS("sse4.2") static uint16_t ptest(V128 a, V128 b)
{
    return (uint16_t)((_mm_testz_si128(M(a), M(b)) ? TCG_FLAG_Z : 0) |
                      (_mm_testc_si128(M(a), M(b)) ? TCG_FLAG_C : 0));
}

/* PURE and IMM(name, result, arguments, encoding); NOTES: of floating point, which notes exceptions. */
#define ROW(name, result, flags, args, ...)                                                        \
    {                                                                                              \
#name, (void *)name, result, flags, ARGS_##args, 0, &(const IrHostCode)                    \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define PURE(name, result, args, ...)  ROW(name, result, 0, args, __VA_ARGS__)
#define IMM(name, result, args, ...)   ROW(name, result, HELPER_IMM, args, __VA_ARGS__)
#define NOTES(name, result, args, ...) ROW(name, result, HELPER_EFFECT, args, __VA_ARGS__)
/* V a vector, D an i32, Q an i64. */
#define ARGS_V                                                                                     \
    {                                                                                              \
        IR_V128                                                                                    \
    }
#define ARGS_VV                                                                                    \
    {                                                                                              \
        IR_V128, IR_V128                                                                           \
    }
#define ARGS_VVV                                                                                   \
    {                                                                                              \
        IR_V128, IR_V128, IR_V128                                                                  \
    }
#define ARGS_VQ                                                                                    \
    {                                                                                              \
        IR_V128, IR_I64                                                                            \
    }
#define ARGS_VD                                                                                    \
    {                                                                                              \
        IR_V128, IR_I32                                                                            \
    }
#define ARGS_VVDD                                                                                  \
    {                                                                                              \
        IR_V128, IR_V128, IR_I32, IR_I32                                                           \
    }
#define ARGS_DD                                                                                    \
    {                                                                                              \
        IR_I32, IR_I32                                                                             \
    }
#define ARGS_Q                                                                                     \
    {                                                                                              \
        IR_I64                                                                                     \
    }
#define ARGS_QQ                                                                                    \
    {                                                                                              \
        IR_I64, IR_I64                                                                             \
    }

static const TcgHelper helpers[] = {
    PURE(paddb, IR_V128, VV, 0x66, 1, 0xfc, IR_HOST_BINARY),
    NOTES(addss, IR_V128, VV, 0xf3, 1, 0x58, IR_HOST_BINARY),
    NOTES(sqrtsd, IR_V128, VV, 0xf2, 1, 0x51, IR_HOST_BINARY),
    NOTES(cvtdq2ps, IR_V128, V, 0, 1, 0x5b, IR_HOST_UNARY),
    PURE(pabsw, IR_V128, V, 0x66, 2, 0x1d, IR_HOST_UNARY),
    NOTES(cvtsi2sd, IR_V128, VQ, 0xf2, 1, 0x2a, IR_HOST_BINARY, IR_HOST_W),
    NOTES(cvtsi2ss, IR_V128, VD, 0xf3, 1, 0x2a, IR_HOST_BINARY),
    NOTES(cvttsd2si, IR_I64, V, 0xf2, 1, 0x2c, IR_HOST_UNARY, IR_HOST_W),
    PURE(pmovmskb, IR_I32, V, 0x66, 1, 0xd7, IR_HOST_UNARY),
    PURE(movq_to, IR_V128, Q, 0x66, 1, 0x6e, IR_HOST_UNARY, IR_HOST_W),
    PURE(movd_from, IR_I32, V, 0x66, 1, 0x7e, IR_HOST_STORE),
    PURE(pblendvb, IR_V128, VVV, 0x66, 2, 0x10, IR_HOST_BLEND),
    PURE(blendvps, IR_V128, VVV, 0x66, 2, 0x14, IR_HOST_BLEND),
    PURE(blendvpd, IR_V128, VVV, 0x66, 2, 0x15, IR_HOST_BLEND),
    PURE(ptest, IR_FLAGS, VV, 0x66, 2, 0x17, IR_HOST_COMPARE),
    IMM(pshufd, IR_V128, V, 0x66, 1, 0x70, IR_HOST_UNARY, IR_HOST_IMM),
    IMM(psrlw, IR_V128, V, 0x66, 1, 0x71, IR_HOST_SHIFT, IR_HOST_IMM, 0, 2),
    IMM(psrldq, IR_V128, V, 0x66, 1, 0x73, IR_HOST_SHIFT, IR_HOST_IMM, 0, 3),
    IMM(pinsrd, IR_V128, VD, 0x66, 3, 0x22, IR_HOST_BINARY, IR_HOST_IMM),
    IMM(pextrq, IR_I64, V, 0x66, 3, 0x16, IR_HOST_STORE, IR_HOST_IMM | IR_HOST_W),
    IMM(pcmpistri, IR_I32, VV, 0x66, 3, 0x63, IR_HOST_STRING, IR_HOST_IMM),
    ROW(pcmpestrm, IR_V128, HELPER_IMM, VVDD, 0x66, 3, 0x60, IR_HOST_STRING, IR_HOST_IMM),
    IMM(pcmpistri_flags, IR_FLAGS, VV, 0x66, 3, 0x63, IR_HOST_STRING, IR_HOST_IMM),
    PURE(crc32, IR_I32, DD, 0xf2, 2, 0xf1, IR_HOST_BINARY, IR_HOST_NO_VEX),
    PURE(aesenc, IR_V128, VV, 0x66, 2, 0xdc, IR_HOST_BINARY, 0, IR_HOST_AES),
    PURE(aesimc, IR_V128, V, 0x66, 2, 0xdb, IR_HOST_UNARY, 0, IR_HOST_AES),
    IMM(pclmulqdq, IR_V128, VV, 0x66, 3, 0x44, IR_HOST_BINARY, IR_HOST_IMM, IR_HOST_PCLMUL),
    PURE(sha256rnds2, IR_V128, VVV, 0, 2, 0xcb, IR_HOST_BLEND, IR_HOST_NO_VEX, IR_HOST_SHA),
    PURE(vpsllvd, IR_V128, VV, 0x66, 2, 0x47, IR_HOST_BINARY, IR_HOST_VEX, IR_HOST_AVX2),
    NOTES(vfmadd231ps, IR_V128, VVV, 0x66, 2, 0xb8, IR_HOST_TERNARY, IR_HOST_VEX, IR_HOST_FMA),
    NOTES(vcvtph2ps, IR_V128, V, 0x66, 2, 0x13, IR_HOST_UNARY, IR_HOST_VEX, IR_HOST_F16C),
    PURE(andn, IR_I64, QQ, 0, 2, 0xf2, IR_HOST_BINARY, IR_HOST_W | IR_HOST_VEX | IR_HOST_CLOBBERS,
         IR_HOST_BMI1),
    PURE(pdep, IR_I64, QQ, 0xf2, 2, 0xf5, IR_HOST_BINARY, IR_HOST_W | IR_HOST_VEX, IR_HOST_BMI2),
};

static bool has_f16c(void)
{
    unsigned a, b, c = 0, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && __builtin_cpu_supports("avx");
}

static bool has_sha(void)
{
    unsigned a, b = 0, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

static bool can_compute(unsigned feature)
{
    switch (feature) {
    case IR_HOST_AES:
        return __builtin_cpu_supports("aes");
    case IR_HOST_PCLMUL:
        return __builtin_cpu_supports("pclmul");
    case IR_HOST_SHA:
        return has_sha();
    case IR_HOST_AVX2:
        return __builtin_cpu_supports("avx2");
    case IR_HOST_FMA:
        return __builtin_cpu_supports("fma");
    case IR_HOST_F16C:
        return has_f16c();
    case IR_HOST_BMI1:
        return __builtin_cpu_supports("bmi");
    case IR_HOST_BMI2:
        return __builtin_cpu_supports("bmi2");
    default:
        return true;
    }
}

TcgHelper *encoded_helpers(unsigned *count)
{
    TcgHelper *usable = g_new(TcgHelper, G_N_ELEMENTS(helpers));

    *count = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(helpers); i++) {
        if (can_compute(helpers[i].host->feature)) {
            usable[(*count)++] = helpers[i];
        }
    }
    return usable;
}
