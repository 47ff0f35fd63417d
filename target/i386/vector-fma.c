/* SPDX-License-Identifier: MIT */
/*
 * Fused multiplication and addition (FMA3; Intel SDM 2). 132, 213 and 231 say which operands are multiplied, and which
 * one is added: the last one is.
 */
#include "target/i386/vector-float-status.h"
#include "target/i386/vector-rows.h"

/* The signs of a product and of what is added to it, of even and of odd elements. */
typedef enum {
    NEGATE_PRODUCT = 1,
    SUBTRACT_EVEN = 2,
    SUBTRACT_ODD = 4,
    FMADD = 0,
    FMSUB = SUBTRACT_EVEN | SUBTRACT_ODD,
    FNMADD = NEGATE_PRODUCT,
    FNMSUB = NEGATE_PRODUCT | FMSUB,
    FMADDSUB = SUBTRACT_EVEN,
    FMSUBADD = SUBTRACT_ODD,
} FmaSigns;

static bool is_nan(uint64_t value, const FloatFormat *f)
{
    return (value & (float_zero(f, true) - 1)) > float_infinity(f, false);
}

/* A NaN keeps its sign. */
static uint64_t negate(uint64_t value, const FloatFormat *f)
{
    return is_nan(value, f) ? value : value ^ float_zero(f, true);
}

static uint64_t fused(uint64_t a, uint64_t b, uint64_t c, const FloatFormat *f, bool negate_product,
                      bool subtract, FloatStatus *status)
{
    FloatStatus one = *status;
    uint64_t result;

    one.flags = 0;
    result =
        float_muladd(f, negate_product ? negate(a, f) : a, b, subtract ? negate(c, f) : c, &one);
    /* A NaN that decides the result comes before the denormals. */
    if (is_nan(result, f)) {
        one.flags &= (uint8_t)~FLOAT_DENORMAL_USED;
    }
    status->flags |= one.flags;
    return result;
}

/* count: of elements, of which the others are the first operand's. */
static V128 fma_single(V128 to, V128 a, V128 b, V128 c, FmaSigns signs, unsigned count)
{
    FloatStatus status = x86_float_status();
    Lanes x = { a }, y = { b }, z = { c }, result = { to };

    for (unsigned i = 0; i < count; i++) {
        result.d[i] = (uint32_t)fused(x.d[i], y.d[i], z.d[i], &float_f32, signs & NEGATE_PRODUCT,
                                      signs & (i & 1 ? SUBTRACT_ODD : SUBTRACT_EVEN), &status);
    }
    x86_note_exceptions(&status);
    return result.v;
}

static V128 fma_double(V128 to, V128 a, V128 b, V128 c, FmaSigns signs, unsigned count)
{
    FloatStatus status = x86_float_status();

    for (unsigned i = 0; i < count; i++) {
        to[i] = fused(a[i], b[i], c[i], &float_f64, signs & NEGATE_PRODUCT,
                      signs & (i & 1 ? SUBTRACT_ODD : SUBTRACT_EVEN), &status);
    }
    x86_note_exceptions(&status);
    return to;
}

#define FMA(name, function, a, b, c, signs, count)                                                 \
    static V128 vector_##name(V128 op1, V128 op2, V128 op3)                                        \
    {                                                                                              \
        return function(op1, op##a, op##b, op##c, signs, count);                                   \
    }                                                                                              \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_EFFECT, 0, name, IR_V128, IR_V128,      \
                      IR_V128);                                                                    \
    FLOAT_ROW(name)

/* clang-format off */
SIMD(vfmaddsub132ps, "VEX.66.0F38.W0 96 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FMADDSUB, 4)
SIMD(vfmaddsub132pd, "VEX.66.0F38.W1 96 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FMADDSUB, 2)
SIMD(vfmsubadd132ps, "VEX.66.0F38.W0 97 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FMSUBADD, 4)
SIMD(vfmsubadd132pd, "VEX.66.0F38.W1 97 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FMSUBADD, 2)
SIMD(vfmadd132ps, "VEX.66.0F38.W0 98 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FMADD, 4)
SIMD(vfmadd132pd, "VEX.66.0F38.W1 98 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FMADD, 2)
SIMD(vfmadd132ss, "VEX.66.0F38.W0 99 /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FMADD, 1)
SIMD(vfmadd132sd, "VEX.66.0F38.W1 99 /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FMADD, 1)
SIMD(vfmsub132ps, "VEX.66.0F38.W0 9A /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FMSUB, 4)
SIMD(vfmsub132pd, "VEX.66.0F38.W1 9A /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FMSUB, 2)
SIMD(vfmsub132ss, "VEX.66.0F38.W0 9B /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FMSUB, 1)
SIMD(vfmsub132sd, "VEX.66.0F38.W1 9B /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FMSUB, 1)
SIMD(vfnmadd132ps, "VEX.66.0F38.W0 9C /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FNMADD, 4)
SIMD(vfnmadd132pd, "VEX.66.0F38.W1 9C /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FNMADD, 2)
SIMD(vfnmadd132ss, "VEX.66.0F38.W0 9D /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FNMADD, 1)
SIMD(vfnmadd132sd, "VEX.66.0F38.W1 9D /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FNMADD, 1)
SIMD(vfnmsub132ps, "VEX.66.0F38.W0 9E /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FNMSUB, 4)
SIMD(vfnmsub132pd, "VEX.66.0F38.W1 9E /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FNMSUB, 2)
SIMD(vfnmsub132ss, "VEX.66.0F38.W0 9F /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 1, 3, 2, FNMSUB, 1)
SIMD(vfnmsub132sd, "VEX.66.0F38.W1 9F /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 1, 3, 2, FNMSUB, 1)

SIMD(vfmaddsub213ps, "VEX.66.0F38.W0 A6 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FMADDSUB, 4)
SIMD(vfmaddsub213pd, "VEX.66.0F38.W1 A6 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FMADDSUB, 2)
SIMD(vfmsubadd213ps, "VEX.66.0F38.W0 A7 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FMSUBADD, 4)
SIMD(vfmsubadd213pd, "VEX.66.0F38.W1 A7 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FMSUBADD, 2)
SIMD(vfmadd213ps, "VEX.66.0F38.W0 A8 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FMADD, 4)
SIMD(vfmadd213pd, "VEX.66.0F38.W1 A8 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FMADD, 2)
SIMD(vfmadd213ss, "VEX.66.0F38.W0 A9 /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FMADD, 1)
SIMD(vfmadd213sd, "VEX.66.0F38.W1 A9 /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FMADD, 1)
SIMD(vfmsub213ps, "VEX.66.0F38.W0 AA /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FMSUB, 4)
SIMD(vfmsub213pd, "VEX.66.0F38.W1 AA /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FMSUB, 2)
SIMD(vfmsub213ss, "VEX.66.0F38.W0 AB /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FMSUB, 1)
SIMD(vfmsub213sd, "VEX.66.0F38.W1 AB /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FMSUB, 1)
SIMD(vfnmadd213ps, "VEX.66.0F38.W0 AC /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FNMADD, 4)
SIMD(vfnmadd213pd, "VEX.66.0F38.W1 AC /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FNMADD, 2)
SIMD(vfnmadd213ss, "VEX.66.0F38.W0 AD /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FNMADD, 1)
SIMD(vfnmadd213sd, "VEX.66.0F38.W1 AD /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FNMADD, 1)
SIMD(vfnmsub213ps, "VEX.66.0F38.W0 AE /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FNMSUB, 4)
SIMD(vfnmsub213pd, "VEX.66.0F38.W1 AE /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FNMSUB, 2)
SIMD(vfnmsub213ss, "VEX.66.0F38.W0 AF /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 1, 3, FNMSUB, 1)
SIMD(vfnmsub213sd, "VEX.66.0F38.W1 AF /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 1, 3, FNMSUB, 1)

SIMD(vfmaddsub231ps, "VEX.66.0F38.W0 B6 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FMADDSUB, 4)
SIMD(vfmaddsub231pd, "VEX.66.0F38.W1 B6 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FMADDSUB, 2)
SIMD(vfmsubadd231ps, "VEX.66.0F38.W0 B7 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FMSUBADD, 4)
SIMD(vfmsubadd231pd, "VEX.66.0F38.W1 B7 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FMSUBADD, 2)
SIMD(vfmadd231ps, "VEX.66.0F38.W0 B8 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FMADD, 4)
SIMD(vfmadd231pd, "VEX.66.0F38.W1 B8 /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FMADD, 2)
SIMD(vfmadd231ss, "VEX.66.0F38.W0 B9 /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FMADD, 1)
SIMD(vfmadd231sd, "VEX.66.0F38.W1 B9 /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FMADD, 1)
SIMD(vfmsub231ps, "VEX.66.0F38.W0 BA /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FMSUB, 4)
SIMD(vfmsub231pd, "VEX.66.0F38.W1 BA /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FMSUB, 2)
SIMD(vfmsub231ss, "VEX.66.0F38.W0 BB /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FMSUB, 1)
SIMD(vfmsub231sd, "VEX.66.0F38.W1 BB /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FMSUB, 1)
SIMD(vfnmadd231ps, "VEX.66.0F38.W0 BC /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FNMADD, 4)
SIMD(vfnmadd231pd, "VEX.66.0F38.W1 BC /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FNMADD, 2)
SIMD(vfnmadd231ss, "VEX.66.0F38.W0 BD /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FNMADD, 1)
SIMD(vfnmadd231sd, "VEX.66.0F38.W1 BD /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FNMADD, 1)
SIMD(vfnmsub231ps, "VEX.66.0F38.W0 BE /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FNMSUB, 4)
SIMD(vfnmsub231pd, "VEX.66.0F38.W1 BE /r", "Vx Hx Wx", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FNMSUB, 2)
SIMD(vfnmsub231ss, "VEX.66.0F38.W0 BF /r", "Vdq Hdq Wd", "v:FMA form:TERNARY", FMA, fma_single, 2, 3, 1, FNMSUB, 1)
SIMD(vfnmsub231sd, "VEX.66.0F38.W1 BF /r", "Vdq Hdq Wq", "v:FMA form:TERNARY", FMA, fma_double, 2, 3, 1, FNMSUB, 1)
/* clang-format on */
