/* SPDX-License-Identifier: MIT */
/* Floating-point arithmetic, comparisons and shuffles of SSE to AVX. */
#include "target/i386/vector-rows.h"

/* clang-format off */

/* Arithmetic. */
SIMD(addps, "NP 0F 58 /r", "Vx Hx Wx", "SSE v:AVX", FLOAT_BINARY)
SIMD(addpd, "66 0F 58 /r", "Vx Hx Wx", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(addss, "F3 0F 58 /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(addsd, "F2 0F 58 /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(mulps, "NP 0F 59 /r", "Vx Hx Wx", "SSE v:AVX", FLOAT_BINARY)
SIMD(mulpd, "66 0F 59 /r", "Vx Hx Wx", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(mulss, "F3 0F 59 /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(mulsd, "F2 0F 59 /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(subps, "NP 0F 5C /r", "Vx Hx Wx", "SSE v:AVX", FLOAT_BINARY)
SIMD(subpd, "66 0F 5C /r", "Vx Hx Wx", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(subss, "F3 0F 5C /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(subsd, "F2 0F 5C /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(minps, "NP 0F 5D /r", "Vx Hx Wx", "SSE v:AVX", FLOAT_BINARY)
SIMD(minpd, "66 0F 5D /r", "Vx Hx Wx", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(minss, "F3 0F 5D /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(minsd, "F2 0F 5D /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(divps, "NP 0F 5E /r", "Vx Hx Wx", "SSE v:AVX", FLOAT_BINARY)
SIMD(divpd, "66 0F 5E /r", "Vx Hx Wx", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(divss, "F3 0F 5E /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(divsd, "F2 0F 5E /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(maxps, "NP 0F 5F /r", "Vx Hx Wx", "SSE v:AVX", FLOAT_BINARY)
SIMD(maxpd, "66 0F 5F /r", "Vx Hx Wx", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(maxss, "F3 0F 5F /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(maxsd, "F2 0F 5F /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(sqrtps, "NP 0F 51 /r", "Vx Wx", "SSE v:AVX", FLOAT_UNARY)
SIMD(sqrtpd, "66 0F 51 /r", "Vx Wx", "SSE2 v:AVX", FLOAT_UNARY)
SIMD(sqrtss, "F3 0F 51 /r", "Vdq Hdq Wd", "SSE v:AVX", FLOAT_BINARY)
SIMD(sqrtsd, "F2 0F 51 /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(rsqrtps, "NP 0F 52 /r", "Vx Wx", "SSE v:AVX", UNARY)
SIMD(rsqrtss, "F3 0F 52 /r", "Vdq Hdq Wd", "SSE v:AVX", BINARY)
SIMD(rcpps, "NP 0F 53 /r", "Vx Wx", "SSE v:AVX", UNARY)
SIMD(rcpss, "F3 0F 53 /r", "Vdq Hdq Wd", "SSE v:AVX", BINARY)
SIMD(addsubps, "F2 0F D0 /r", "Vx Hx Wx", "SSE3 v:AVX", FLOAT_BINARY)
SIMD(addsubpd, "66 0F D0 /r", "Vx Hx Wx", "SSE3 v:AVX", FLOAT_BINARY)
SIMD(haddps, "F2 0F 7C /r", "Vx Hx Wx", "SSE3 v:AVX", FLOAT_BINARY)
SIMD(haddpd, "66 0F 7C /r", "Vx Hx Wx", "SSE3 v:AVX", FLOAT_BINARY)
SIMD(hsubps, "F2 0F 7D /r", "Vx Hx Wx", "SSE3 v:AVX", FLOAT_BINARY)
SIMD(hsubpd, "66 0F 7D /r", "Vx Hx Wx", "SSE3 v:AVX", FLOAT_BINARY)

/* Logic. */
SIMD(andps, "NP 0F 54 /r", "Vx Hx Wx", "SSE v:AVX", LOGIC, IR_OP_vand, false)
SIMD(andpd, "66 0F 54 /r", "Vx Hx Wx", "SSE2 v:AVX", LOGIC, IR_OP_vand, false)
SIMD(andnps, "NP 0F 55 /r", "Vx Hx Wx", "SSE v:AVX", LOGIC, IR_OP_vandn, true)
SIMD(andnpd, "66 0F 55 /r", "Vx Hx Wx", "SSE2 v:AVX", LOGIC, IR_OP_vandn, true)
SIMD(orps, "NP 0F 56 /r", "Vx Hx Wx", "SSE v:AVX", LOGIC, IR_OP_vor, false)
SIMD(orpd, "66 0F 56 /r", "Vx Hx Wx", "SSE2 v:AVX", LOGIC, IR_OP_vor, false)
SIMD(xorps, "NP 0F 57 /r", "Vx Hx Wx", "SSE v:AVX", LOGIC, IR_OP_vxor, false)
SIMD(xorpd, "66 0F 57 /r", "Vx Hx Wx", "SSE2 v:AVX", LOGIC, IR_OP_vxor, false)

/* Comparisons to flags. */
SIMD(ucomiss, "NP 0F 2E /r", "Vdq Wd", "SSE v:AVX form:COMPARE", FLOAT_COMPARE)
SIMD(ucomisd, "66 0F 2E /r", "Vdq Wq", "SSE2 v:AVX form:COMPARE", FLOAT_COMPARE)
SIMD(comiss, "NP 0F 2F /r", "Vdq Wd", "SSE v:AVX form:COMPARE", FLOAT_COMPARE)
SIMD(comisd, "66 0F 2F /r", "Vdq Wq", "SSE2 v:AVX form:COMPARE", FLOAT_COMPARE)
/* clang-format on */

/*
 * Comparisons to masks. The immediate's low four bits say which of "less, equal, greater, unordered" are true; whether
 * a quiet NaN is an invalid operation is one more table, inverted by bit 4 (SDM 2, CMPPD).
 */
enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };
static const uint8_t predicates[16] = {
    EQUAL,
    LESS,
    LESS | EQUAL,
    UNORDERED,
    LESS | GREATER | UNORDERED,
    EQUAL | GREATER | UNORDERED,
    GREATER | UNORDERED,
    LESS | EQUAL | GREATER,
    EQUAL | UNORDERED,
    LESS | UNORDERED,
    LESS | EQUAL | UNORDERED,
    0,
    LESS | GREATER,
    EQUAL | GREATER,
    GREATER,
    LESS | EQUAL | GREATER | UNORDERED,
};
static const uint16_t signalling =
    1 << 1 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 13 | 1 << 14;

static V128 select_order(V128 less, V128 equal, V128 unordered, unsigned predicate)
{
    V128 greater = ~(less | equal | unordered), result = { 0, 0 };

    result |= predicate & LESS ? less : result;
    result |= predicate & EQUAL ? equal : result;
    result |= predicate & GREATER ? greater : result;
    return predicate & UNORDERED ? result | unordered : result;
}

/* Lanes that are not of the scalar keep a's bits. */
#define COMPARISON(name, suffix, lane0, lane1)                                                     \
    static V128 vector_##name(V128 a, V128 b, uint64_t imm)                                        \
    {                                                                                              \
        const V128 lanes = { lane0, lane1 };                                                       \
        V128 unordered = a, less, equal, noise = a;                                                \
        bool signals = (signalling >> (imm & 15) ^ imm >> 4) & 1;                                  \
                                                                                                   \
        if (signals) { /* first: it raises all that the whole does */                              \
            __asm__ volatile("cmplt" suffix " %1, %0" : "+x"(noise) : "x"(b));                     \
        }                                                                                          \
        __asm__ volatile("cmpunord" suffix " %1, %0" : "+x"(unordered) : "x"(b));                  \
        unordered &= lanes;                                                                        \
        less = equal = a & ~unordered;                                                             \
        __asm__ volatile("cmplt" suffix " %1, %0" : "+x"(less) : "x"(b & ~unordered));             \
        __asm__ volatile("cmpeq" suffix " %1, %0" : "+x"(equal) : "x"(b & ~unordered));            \
        equal &= ~unordered;                                                                       \
        return (select_order(less & lanes, equal & lanes, unordered, predicates[imm & 15]) &       \
                lanes) |                                                                           \
               (a & ~lanes);                                                                       \
    }                                                                                              \
    FLOAT_BINARY_IMM(name, X86_VECTOR_IMM3)

/* clang-format off */
SIMD(cmpps, "NP 0F C2 /r", "Vx Hx Wx Ib", "SSE v:AVX imm3", COMPARISON, "ps", UINT64_MAX, UINT64_MAX)
SIMD(cmppd, "66 0F C2 /r", "Vx Hx Wx Ib", "SSE2 v:AVX imm3", COMPARISON, "pd", UINT64_MAX, UINT64_MAX)
SIMD(cmpss, "F3 0F C2 /r", "Vdq Hdq Wd Ib", "SSE v:AVX imm3", COMPARISON, "ss", UINT32_MAX, 0)
SIMD(cmpsd, "F2 0F C2 /r", "Vdq Hdq Wq Ib", "SSE2 v:AVX imm3", COMPARISON, "sd", UINT64_MAX, 0)

/* Conversions. */
SIMD(cvtdq2ps, "NP 0F 5B /r", "Vx Wx", "SSE2 v:AVX", FLOAT_UNARY)
SIMD(cvtps2dq, "66 0F 5B /r", "Vx Wx", "SSE2 v:AVX", FLOAT_UNARY)
SIMD(cvttps2dq, "F3 0F 5B /r", "Vx Wx", "SSE2 v:AVX", FLOAT_UNARY)
SIMD(cvtdq2pd, "F3 0F E6 /r", "Vx Wh", "SSE2 v:AVX", FLOAT_UNARY, X86_VECTOR_WIDEN)
SIMD(cvtpd2dq, "F2 0F E6 /r", "Vdq Wx", "SSE2 v:AVX", FLOAT_UNARY, X86_VECTOR_NARROW)
SIMD(cvttpd2dq, "66 0F E6 /r", "Vdq Wx", "SSE2 v:AVX", FLOAT_UNARY, X86_VECTOR_NARROW)
SIMD(cvtps2pd, "NP 0F 5A /r", "Vx Wh", "SSE2 v:AVX", FLOAT_UNARY, X86_VECTOR_WIDEN)
SIMD(cvtpd2ps, "66 0F 5A /r", "Vdq Wx", "SSE2 v:AVX", FLOAT_UNARY, X86_VECTOR_NARROW)
SIMD(cvtss2sd, "F3 0F 5A /r", "Vdq Hdq Wd", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(cvtsd2ss, "F2 0F 5A /r", "Vdq Hdq Wq", "SSE2 v:AVX", FLOAT_BINARY)
SIMD(cvtsi2ss, "F3 0F 2A /r", "Vdq Hdq Ey", "SSE v:AVX", FLOAT_FROM_INT)
SIMD(cvtsi2sd, "F2 0F 2A /r", "Vdq Hdq Ey", "SSE2 v:AVX", FLOAT_FROM_INT)
SIMD(cvtss2si, "F3 0F 2D /r", "Gy Wd", "SSE v:AVX", FLOAT_TO_INT)
SIMD(cvtsd2si, "F2 0F 2D /r", "Gy Wq", "SSE2 v:AVX", FLOAT_TO_INT)
SIMD(cvttss2si, "F3 0F 2C /r", "Gy Wd", "SSE v:AVX", FLOAT_TO_INT)
SIMD(cvttsd2si, "F2 0F 2C /r", "Gy Wq", "SSE2 v:AVX", FLOAT_TO_INT)

/* Shuffles. */
SIMD(unpcklps, "NP 0F 14 /r", "Vx Hx Wx", "SSE v:AVX", BINARY)
SIMD(unpcklpd, "66 0F 14 /r", "Vx Hx Wx", "SSE2 v:AVX", BINARY)
SIMD(unpckhps, "NP 0F 15 /r", "Vx Hx Wx", "SSE v:AVX", BINARY)
SIMD(unpckhpd, "66 0F 15 /r", "Vx Hx Wx", "SSE2 v:AVX", BINARY)
SIMD(movmskps, "NP 0F 50 /r", "Gd Ux", "SSE v:AVX", SIGNS, 4)
SIMD(movmskpd, "66 0F 50 /r", "Gd Ux", "SSE2 v:AVX", SIGNS, 2)
SIMD(movsldup, "F3 0F 12 /r", "Vx Wx", "SSE3 v:AVX", UNARY)
SIMD(movshdup, "F3 0F 16 /r", "Vx Wx", "SSE3 v:AVX", UNARY)
SIMD(movddup, "F2 0F 12 /r", "Vdq Wq", "SSE3 v0:AVX", UNARY)
SIMD_ALSO(movddup, "VEX.F2.0F 12 /r", "Vqq Wqq", "v1:AVX")
/* clang-format on */

static V128 vector_shufps(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b }, result;

    for (unsigned i = 0; i < 4; i++) {
        result.d[i] = (i < 2 ? x : y).d[imm >> 2 * i & 3];
    }
    return result.v;
}
SIMD(shufps, "NP 0F C6 /r", "Vx Hx Wx Ib", "SSE v:AVX", BINARY_IMM)

static V128 vector_shufpd(V128 a, V128 b, uint64_t imm)
{
    return (V128){ a[imm & 1], b[imm >> 1 & 1] };
}
SIMD(shufpd, "66 0F C6 /r", "Vx Hx Wx Ib", "SSE2 v:AVX", BINARY_IMM_HALVES, 2)

/* SSE4.1 */

static V128 vector_blendps(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 4; i++) {
        x.d[i] = imm >> i & 1 ? y.d[i] : x.d[i];
    }
    return x.v;
}
SIMD(blendps, "66 0F 3A 0C /r", "Vx Hx Wx Ib", "SSE4_1 v:AVX", BINARY_IMM_HALVES, 4)

static V128 vector_blendpd(V128 a, V128 b, uint64_t imm)
{
    return (V128){ imm & 1 ? b[0] : a[0], imm & 2 ? b[1] : a[1] };
}
SIMD(blendpd, "66 0F 3A 0D /r", "Vx Hx Wx Ib", "SSE4_1 v:AVX", BINARY_IMM_HALVES, 2)
SIMD(blendvps, "66 0F 38 14 /r", "Vx Wx XMM0", "SSE4_1 form:BLEND", BLEND)
SIMD(blendvpd, "66 0F 38 15 /r", "Vx Wx XMM0", "SSE4_1 form:BLEND", BLEND)
SIMD_ALSO(blendvps, "VEX.66.0F3A.W0 4A /r", "Vx Hx Wx Lx", "v:AVX")
SIMD_ALSO(blendvpd, "VEX.66.0F3A.W0 4B /r", "Vx Hx Wx Lx", "v:AVX")

static V128 vector_insertps(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b };

    x.d[imm >> 4 & 3] = y.d[imm >> 6 & 3];
    for (unsigned i = 0; i < 4; i++) {
        x.d[i] = imm >> i & 1 ? 0 : x.d[i];
    }
    return x.v;
}
SIMD(insertps, "66 0F 3A 21 /r", "Vdq Hdq Wd Ib", "SSE4_1 v0:AVX", BINARY_IMM, X86_VECTOR_INSERTPS)

/* Rounding: the immediate's low four bits; and dot products. */

/* clang-format off */
#define CASE(n) case n: __asm__ volatile(INSN " %2, %1, %0" : "+x"(a) : "x"(b), "i"(n)); break;
#define IMM_FUNCTION(name, mask, cases)                                                            \
    static V128 vector_##name(V128 a, V128 b, uint64_t imm)                                        \
    {                                                                                              \
        switch (imm & (mask)) {                                                                    \
            cases                                                                                  \
        }                                                                                          \
        return a;                                                                                  \
    }
#define INSN "roundss"
IMM_FUNCTION(roundss, 15, CASES16(0))
#undef INSN
#define INSN "roundsd"
IMM_FUNCTION(roundsd, 15, CASES16(0))
#undef INSN
#define INSN "dpps"
IMM_FUNCTION(dpps, 255, CASES128(0) CASES128(128))
#undef INSN
#define INSN "dppd"
IMM_FUNCTION(dppd, 255, CASES128(0) CASES128(128))
#undef INSN
#define INSN "roundps"
IMM_FUNCTION(roundps_of, 15, CASES16(0))
#undef INSN
#define INSN "roundpd"
IMM_FUNCTION(roundpd_of, 15, CASES16(0))
#undef INSN

static V128 vector_roundps(V128 a, uint64_t imm)
{
    return vector_roundps_of(a, a, imm);
}

static V128 vector_roundpd(V128 a, uint64_t imm)
{
    return vector_roundpd_of(a, a, imm);
}

SIMD(roundps, "66 0F 3A 08 /r", "Vx Wx Ib", "SSE4_1 v:AVX", FLOAT_UNARY_IMM)
SIMD(roundpd, "66 0F 3A 09 /r", "Vx Wx Ib", "SSE4_1 v:AVX", FLOAT_UNARY_IMM)
SIMD(roundss, "66 0F 3A 0A /r", "Vdq Hdq Wd Ib", "SSE4_1 v:AVX", FLOAT_BINARY_IMM)
SIMD(roundsd, "66 0F 3A 0B /r", "Vdq Hdq Wq Ib", "SSE4_1 v:AVX", FLOAT_BINARY_IMM)
SIMD(dpps, "66 0F 3A 40 /r", "Vx Hx Wx Ib", "SSE4_1 v:AVX", FLOAT_BINARY_IMM)
SIMD(dppd, "66 0F 3A 41 /r", "Vdq Hdq Wdq Ib", "SSE4_1 v0:AVX", FLOAT_BINARY_IMM)
/* clang-format on */
