/* SPDX-License-Identifier: MIT */
/* Integer arithmetic, comparisons, shifts and shuffles of MMX and SSE2 to AVX2. */
#include "target/i386/vector-rows.h"

/* clang-format off */

/* Arithmetic. */
SIMD(paddb, "66 0F FC /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddw, "66 0F FD /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddd, "66 0F FE /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubb, "66 0F F8 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubw, "66 0F F9 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubd, "66 0F FA /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddsb, "66 0F EC /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddsw, "66 0F ED /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddusb, "66 0F DC /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddusw, "66 0F DD /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubsb, "66 0F E8 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubsw, "66 0F E9 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubusb, "66 0F D8 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psubusw, "66 0F D9 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pmullw, "66 0F D5 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pmulhw, "66 0F E5 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pmaddwd, "66 0F F5 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(paddq, "66 0F D4 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:SSE2", BINARY)
SIMD(psubq, "66 0F FB /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:SSE2", BINARY)
SIMD(pmuludq, "66 0F F4 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:SSE2", BINARY)
SIMD(pmulhuw, "66 0F E4 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(pavgb, "66 0F E0 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(pavgw, "66 0F E3 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(pminub, "66 0F DA /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(pmaxub, "66 0F DE /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(pminsw, "66 0F EA /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(pmaxsw, "66 0F EE /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)
SIMD(psadbw, "66 0F F6 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMXEXT", BINARY)

/* Comparisons. */
SIMD(pcmpeqb, "66 0F 74 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pcmpeqw, "66 0F 75 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pcmpeqd, "66 0F 76 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pcmpgtb, "66 0F 64 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pcmpgtw, "66 0F 65 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pcmpgtd, "66 0F 66 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY)

/* Logic. */
SIMD(pand, "66 0F DB /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", LOGIC, IR_OP_vand, false)
SIMD(pandn, "66 0F DF /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", LOGIC, IR_OP_vandn, true)
SIMD(por, "66 0F EB /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", LOGIC, IR_OP_vor, false)
SIMD(pxor, "66 0F EF /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", LOGIC, IR_OP_vxor, false)

/* Shifts: by a vector's low half, and by an immediate. */
SIMD(psrlw, "66 0F D1 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psrld, "66 0F D2 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psrlq, "66 0F D3 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psraw, "66 0F E1 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psrad, "66 0F E2 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psllw, "66 0F F1 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(pslld, "66 0F F2 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psllq, "66 0F F3 /r", "Vx Hx Wdq", "SSE2 v:AVX/AVX2 m:MMX", BINARY)
SIMD(psrlw_imm, "66 0F 71 /2", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psrlw)
SIMD(psraw_imm, "66 0F 71 /4", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psraw)
SIMD(psllw_imm, "66 0F 71 /6", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psllw)
SIMD(psrld_imm, "66 0F 72 /2", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psrld)
SIMD(psrad_imm, "66 0F 72 /4", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psrad)
SIMD(pslld_imm, "66 0F 72 /6", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, pslld)
SIMD(psrlq_imm, "66 0F 73 /2", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psrlq)
SIMD(psllq_imm, "66 0F 73 /6", "Hx Ux Ib", "SSE2 v:AVX/AVX2 m:MMX", SHIFT, psllq)

/* Packing, unpacking. */
SIMD(packsswb, "66 0F 63 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY, X86_VECTOR_COMBINE)
SIMD(packssdw, "66 0F 6B /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY, X86_VECTOR_COMBINE)
SIMD(packuswb, "66 0F 67 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY, X86_VECTOR_COMBINE)
SIMD(punpcklbw, "66 0F 60 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX,d", BINARY)
SIMD(punpcklwd, "66 0F 61 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX,d", BINARY)
SIMD(punpckldq, "66 0F 62 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX,d", BINARY)
SIMD(punpckhbw, "66 0F 68 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY, X86_VECTOR_HIGH)
SIMD(punpckhwd, "66 0F 69 /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY, X86_VECTOR_HIGH)
SIMD(punpckhdq, "66 0F 6A /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2 m:MMX", BINARY, X86_VECTOR_HIGH)
SIMD(punpcklqdq, "66 0F 6C /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2", BINARY)
SIMD(punpckhqdq, "66 0F 6D /r", "Vx Hx Wx", "SSE2 v:AVX/AVX2", BINARY)
SIMD(pmovmskb, "66 0F D7 /r", "Gd Ux", "SSE2 v:AVX/AVX2 m:MMXEXT", SIGNS, 16)

/* SSSE3 */
SIMD(pshufb, "66 0F 38 00 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_INDEX3)
SIMD(phaddw, "66 0F 38 01 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_COMBINE)
SIMD(phaddd, "66 0F 38 02 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_COMBINE)
SIMD(phaddsw, "66 0F 38 03 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_COMBINE)
SIMD(phsubw, "66 0F 38 05 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_COMBINE)
SIMD(phsubd, "66 0F 38 06 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_COMBINE)
SIMD(phsubsw, "66 0F 38 07 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY, X86_VECTOR_COMBINE)
SIMD(pmaddubsw, "66 0F 38 04 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY)
SIMD(psignb, "66 0F 38 08 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY)
SIMD(psignw, "66 0F 38 09 /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY)
SIMD(psignd, "66 0F 38 0A /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY)
SIMD(pmulhrsw, "66 0F 38 0B /r", "Vx Hx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY)
SIMD(pabsb, "66 0F 38 1C /r", "Vx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", UNARY)
SIMD(pabsw, "66 0F 38 1D /r", "Vx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", UNARY)
SIMD(pabsd, "66 0F 38 1E /r", "Vx Wx", "SSSE3 v:AVX/AVX2 m:SSSE3", UNARY)

/* SSE4.1, SSE4.2 */
SIMD(pmuldq, "66 0F 38 28 /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pcmpeqq, "66 0F 38 29 /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(packusdw, "66 0F 38 2B /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pminsb, "66 0F 38 38 /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pminsd, "66 0F 38 39 /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pminuw, "66 0F 38 3A /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pminud, "66 0F 38 3B /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pmaxsb, "66 0F 38 3C /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pmaxsd, "66 0F 38 3D /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pmaxuw, "66 0F 38 3E /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pmaxud, "66 0F 38 3F /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(pmulld, "66 0F 38 40 /r", "Vx Hx Wx", "SSE4_1 v:AVX/AVX2", BINARY)
SIMD(phminposuw, "66 0F 38 41 /r", "Vdq Wdq", "SSE4_1 v0:AVX", UNARY)
SIMD(pcmpgtq, "66 0F 38 37 /r", "Vx Hx Wx", "SSE4_2 v:AVX/AVX2", BINARY)
SIMD(pblendvb, "66 0F 38 10 /r", "Vx Wx XMM0", "SSE4_1 form:BLEND", BLEND)
SIMD_ALSO(pblendvb, "VEX.66.0F3A.W0 4C /r", "Vx Hx Wx Lx", "v:AVX/AVX2")
SIMD(pmovsxbw, "66 0F 38 20 /r", "Vdq Wq", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovsxbw, "VEX.66.0F38 20 /r", "Vqq Wdq", "v1:AVX2")
SIMD(pmovsxbd, "66 0F 38 21 /r", "Vdq Wd", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovsxbd, "VEX.66.0F38 21 /r", "Vqq Wq", "v1:AVX2")
SIMD(pmovsxbq, "66 0F 38 22 /r", "Vdq Ww", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovsxbq, "VEX.66.0F38 22 /r", "Vqq Wd", "v1:AVX2")
SIMD(pmovsxwd, "66 0F 38 23 /r", "Vdq Wq", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovsxwd, "VEX.66.0F38 23 /r", "Vqq Wdq", "v1:AVX2")
SIMD(pmovsxwq, "66 0F 38 24 /r", "Vdq Wd", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovsxwq, "VEX.66.0F38 24 /r", "Vqq Wq", "v1:AVX2")
SIMD(pmovsxdq, "66 0F 38 25 /r", "Vdq Wq", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovsxdq, "VEX.66.0F38 25 /r", "Vqq Wdq", "v1:AVX2")
SIMD(pmovzxbw, "66 0F 38 30 /r", "Vdq Wq", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovzxbw, "VEX.66.0F38 30 /r", "Vqq Wdq", "v1:AVX2")
SIMD(pmovzxbd, "66 0F 38 31 /r", "Vdq Wd", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovzxbd, "VEX.66.0F38 31 /r", "Vqq Wq", "v1:AVX2")
SIMD(pmovzxbq, "66 0F 38 32 /r", "Vdq Ww", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovzxbq, "VEX.66.0F38 32 /r", "Vqq Wd", "v1:AVX2")
SIMD(pmovzxwd, "66 0F 38 33 /r", "Vdq Wq", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovzxwd, "VEX.66.0F38 33 /r", "Vqq Wdq", "v1:AVX2")
SIMD(pmovzxwq, "66 0F 38 34 /r", "Vdq Wd", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovzxwq, "VEX.66.0F38 34 /r", "Vqq Wq", "v1:AVX2")
SIMD(pmovzxdq, "66 0F 38 35 /r", "Vdq Wq", "SSE4_1 v0:AVX", UNARY, X86_VECTOR_WIDEN)
SIMD_ALSO(pmovzxdq, "VEX.66.0F38 35 /r", "Vqq Wdq", "v1:AVX2")
/* clang-format on */

/* Bytes. */

static V128 vector_psrldq(V128 a, uint64_t imm)
{
    unsigned __int128 value = (unsigned __int128)a[1] << 64 | a[0];

    value = imm < 16 ? value >> 8 * imm : 0;
    return (V128){ (uint64_t)value, (uint64_t)(value >> 64) };
}
SIMD(psrldq, "66 0F 73 /3", "Hx Ux Ib", "SSE2 v:AVX/AVX2", UNARY_IMM)

static V128 vector_pslldq(V128 a, uint64_t imm)
{
    unsigned __int128 value = (unsigned __int128)a[1] << 64 | a[0];

    value = imm < 16 ? value << 8 * imm : 0;
    return (V128){ (uint64_t)value, (uint64_t)(value >> 64) };
}
SIMD(pslldq, "66 0F 73 /7", "Hx Ux Ib", "SSE2 v:AVX/AVX2", UNARY_IMM)

static V128 vector_palignr(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b }, result;

    for (unsigned i = 0; i < 16; i++) {
        uint64_t at = i + (imm & 0xff);

        result.b[i] = at < 16 ? y.b[at] : at < 32 ? x.b[at - 16] : 0;
    }
    return result.v;
}
SIMD(palignr, "66 0F 3A 0F /r", "Vx Hx Wx Ib", "SSSE3 v:AVX/AVX2 m:SSSE3", BINARY_IMM,
     X86_VECTOR_ALIGN)

/* Lanes by an immediate. */

static V128 vector_pshufd(V128 a, uint64_t imm)
{
    Lanes x = { a }, result;

    for (unsigned i = 0; i < 4; i++) {
        result.d[i] = x.d[imm >> 2 * i & 3];
    }
    return result.v;
}
SIMD(pshufd, "66 0F 70 /r", "Vx Wx Ib", "SSE2 v:AVX/AVX2", UNARY_IMM)

static V128 shuffle_words(V128 a, uint64_t imm, unsigned first)
{
    Lanes x = { a }, result = { a };

    for (unsigned i = 0; i < 4; i++) {
        result.w[first + i] = x.w[first + (imm >> 2 * i & 3)];
    }
    return result.v;
}

static V128 vector_pshuflw(V128 a, uint64_t imm)
{
    return shuffle_words(a, imm, 0);
}
SIMD(pshuflw, "F2 0F 70 /r", "Vx Wx Ib", "SSE2 v:AVX/AVX2 m:MMXEXT", UNARY_IMM)

static V128 vector_pshufhw(V128 a, uint64_t imm)
{
    return shuffle_words(a, imm, 4);
}
SIMD(pshufhw, "F3 0F 70 /r", "Vx Wx Ib", "SSE2 v:AVX/AVX2", UNARY_IMM)

static V128 vector_pblendw(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 8; i++) {
        x.w[i] = imm >> i & 1 ? y.w[i] : x.w[i];
    }
    return x.v;
}
SIMD(pblendw, "66 0F 3A 0E /r", "Vx Hx Wx Ib", "SSE4_1 v:AVX/AVX2", BINARY_IMM)

static V128 vector_mpsadbw(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b }, result = { { 0 } };
    unsigned from = imm >> 2 & 1 ? 4 : 0, block = imm & 3;

    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 4; k++) {
            int difference = x.b[from + i + k] - y.b[4 * block + k];

            result.w[i] += (uint16_t)(difference < 0 ? -difference : difference);
        }
    }
    return result.v;
}
SIMD(mpsadbw, "66 0F 3A 42 /r", "Vx Hx Wx Ib", "SSE4_1 v:AVX/AVX2", BINARY_IMM_HALVES, 3)

/* Lanes to and from general registers. */

#define INSERT_ROW(name)                                                                           \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_IMM, 0, name, IR_V128, IR_I32);         \
    ROW_OF(name, X86_VECTOR_LANE2)
#define EXTRACT_ROW(name)                                                                          \
    X86_VECTOR_HELPER(name, vector_##name, IR_I32, HELPER_IMM, 0, name, IR_V128);                  \
    ROW_OF(name, X86_VECTOR_LANE2)

static V128 vector_pinsrb(V128 a, uint32_t b, uint64_t imm)
{
    Lanes x = { a };

    x.b[imm & 15] = (uint8_t)b;
    return x.v;
}
SIMD(pinsrb, "66 0F 3A 20 /r", "Vdq Hdq Eb Ib", "SSE4_1 v0:AVX", INSERT_ROW)

static V128 vector_pinsrw(V128 a, uint32_t b, uint64_t imm)
{
    Lanes x = { a };

    x.w[imm & 7] = (uint16_t)b;
    return x.v;
}
SIMD(pinsrw, "66 0F C4 /r", "Vdq Hdq Ew Ib", "SSE2 v0:AVX m:MMXEXT", INSERT_ROW)

static V128 vector_pinsrd(V128 a, uint32_t b, uint64_t imm)
{
    Lanes x = { a };

    x.d[imm & 3] = b;
    return x.v;
}

static V128 vector_pinsrd_wide(V128 a, uint64_t b, uint64_t imm)
{
    a[imm & 1] = b;
    return a;
}
#define INSERT_WIDE(name)                                                                          \
    X86_VECTOR_HELPER(name, vector_##name, IR_V128, HELPER_IMM, 0, name, IR_V128, IR_I32);         \
    X86_VECTOR_HELPER(name##_wide, vector_##name##_wide, IR_V128, HELPER_IMM, 1, name, IR_V128,    \
                      IR_I64);                                                                     \
    WIDE_ROW(name)
SIMD(pinsrd, "66 0F 3A 22 /r", "Vdq Hdq Ey Ib", "SSE4_1 v0:AVX", INSERT_WIDE)

static uint32_t vector_pextrb(V128 a, uint64_t imm)
{
    return ((Lanes){ a }).b[imm & 15];
}
SIMD(pextrb, "66 0F 3A 14 /r", "Eb Vdq Ib", "SSE4_1 v0:AVX", EXTRACT_ROW)

static uint32_t vector_pextrw(V128 a, uint64_t imm)
{
    return ((Lanes){ a }).w[imm & 7];
}
SIMD(pextrw, "66 0F C5 /r", "Gd Udq Ib", "SSE2 v0:AVX m:MMXEXT", EXTRACT_ROW)
SIMD_ALSO(pextrw, "66 0F 3A 15 /r", "Ew Vdq Ib", "SSE4_1 v0:AVX")

static uint32_t vector_pextrd(V128 a, uint64_t imm)
{
    return ((Lanes){ a }).d[imm & 3];
}

static uint64_t vector_pextrd_wide(V128 a, uint64_t imm)
{
    return a[imm & 1];
}
#define EXTRACT_WIDE(name)                                                                         \
    X86_VECTOR_HELPER(name, vector_##name, IR_I32, HELPER_IMM, 0, name, IR_V128);                  \
    X86_VECTOR_HELPER(name##_wide, vector_##name##_wide, IR_I64, HELPER_IMM, 1, name, IR_V128);    \
    WIDE_ROW(name)
SIMD(pextrd, "66 0F 3A 16 /r", "Ey Vdq Ib", "SSE4_1 v0:AVX", EXTRACT_WIDE)

static uint32_t vector_extractps(V128 a, uint64_t imm)
{
    return ((Lanes){ a }).d[imm & 3];
}
SIMD(extractps, "66 0F 3A 17 /r", "Ed Vdq Ib", "SSE4_1 v0:AVX", EXTRACT_ROW)
