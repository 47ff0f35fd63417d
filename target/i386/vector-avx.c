/* SPDX-License-Identifier: MIT */
/*
 * What AVX, AVX2 and F16C have beyond wider forms of SSE instructions: broadcasts, permutations across the halves,
 * shifts by vectors, half precision, and the clearing of upper halves (Intel SDM 2).
 */
#include "target/i386/vector-float-status.h"
#include "target/i386/vector-rows.h"

static void write_halves(X86Translator *t, IrRef low, IrRef high)
{
    x86_write_vector(t, 0, (IrRef[2]){ low, high }, false);
}

/* Broadcasts of the lowest element, or of 16 bytes. */
X86(vbroadcast, "VEX.66.0F38.W0 18 /r mem", "Vx Wd", "AVX")
X86(vbroadcast, "VEX.66.0F38.W0 18 /r reg", "Vx Wd", "AVX2")
X86(vbroadcast, "VEX.256.66.0F38.W0 19 /r mem", "Vx Wq", "AVX")
X86(vbroadcast, "VEX.256.66.0F38.W0 19 /r reg", "Vx Wq", "AVX2")
X86(vbroadcast, "VEX.256.66.0F38.W0 1A /r mem", "Vx Wdq", "AVX")
X86(vbroadcast, "VEX.256.66.0F38.W0 5A /r mem", "Vx Wdq", "AVX2")
X86(vbroadcast, "VEX.66.0F38.W0 58 /r", "Vx Wd", "AVX2")
X86(vbroadcast, "VEX.66.0F38.W0 59 /r", "Vx Wq", "AVX2")
X86(vbroadcast, "VEX.66.0F38.W0 78 /r", "Vx Wb", "AVX2")
X86(vbroadcast, "VEX.66.0F38.W0 79 /r", "Vx Ww", "AVX2")
void x86_vbroadcast(X86Translator *t)
{
    IrRef value;

    if (x86_vector_refused(t)) {
        return;
    }
    value = x86_read_vector(t, 1, 0, false);
    if (x86_bytes(t, 1) < 16) {
        value = ir_vop1(t->unit, IR_OP_vduplane, x86_log2(x86_bytes(t, 1)), value, 0);
    }
    write_halves(t, value, value);
}

/* Halves: extracted, inserted, chosen. */

static uint8_t immediate(const X86Translator *t)
{
    return (uint8_t)t->insn.operands[t->insn.operand_count - 1].imm;
}

X86(vextract128, "VEX.256.66.0F3A.W0 19 /r", "Wdq Vqq Ib", "AVX")
X86(vextract128, "VEX.256.66.0F3A.W0 39 /r", "Wdq Vqq Ib", "AVX2")
void x86_vextract128(X86Translator *t)
{
    if (!x86_vector_refused(t)) {
        write_halves(t, x86_read_vector(t, 1, immediate(t) & 1, false), 0);
    }
}

X86(vinsert128, "VEX.256.66.0F3A.W0 18 /r", "Vqq Hqq Wdq Ib", "AVX")
X86(vinsert128, "VEX.256.66.0F3A.W0 38 /r", "Vqq Hqq Wdq Ib", "AVX2")
void x86_vinsert128(X86Translator *t)
{
    unsigned to = immediate(t) & 1;
    IrRef halves[2];

    if (x86_vector_refused(t)) {
        return;
    }
    halves[to] = x86_read_vector(t, 2, 0, false);
    halves[!to] = x86_read_vector(t, 1, !to, false);
    write_halves(t, halves[0], halves[1]);
}

X86(vperm2x128, "VEX.256.66.0F3A.W0 06 /r", "Vqq Hqq Wqq Ib", "AVX")
X86(vperm2x128, "VEX.256.66.0F3A.W0 46 /r", "Vqq Hqq Wqq Ib", "AVX2")
void x86_vperm2x128(X86Translator *t)
{
    IrRef sources[4], halves[2];

    if (x86_vector_refused(t)) {
        return;
    }
    x86_read_halves(t, 1, false, sources);
    x86_read_halves(t, 2, false, sources + 2);
    for (unsigned i = 0; i < 2; i++) {
        unsigned control = immediate(t) >> 4 * i;

        halves[i] = control & 8 ? x86_zero_vector(t) : sources[control & 3];
    }
    write_halves(t, halves[0], halves[1]);
}

/* Elements within halves. */

static V128 vector_vpermilps(V128 a, V128 b)
{
    Lanes x = { a }, y = { b }, result;

    for (unsigned i = 0; i < 4; i++) {
        result.d[i] = x.d[y.d[i] & 3];
    }
    return result.v;
}
SIMD(vpermilps, "VEX.66.0F38.W0 0C /r", "Vx Hx Wx", "v:AVX", BINARY_C)

static V128 vector_vpermilpd(V128 a, V128 b)
{
    return (V128){ a[b[0] >> 1 & 1], a[b[1] >> 1 & 1] };
}
SIMD(vpermilpd, "VEX.66.0F38.W0 0D /r", "Vx Hx Wx", "v:AVX", BINARY_C)

static V128 vector_vpermilps_imm(V128 a, uint64_t imm)
{
    Lanes control = { .d = { (uint32_t)imm, (uint32_t)imm >> 2, (uint32_t)imm >> 4,
                             (uint32_t)imm >> 6 } };

    return vector_vpermilps(a, control.v);
}
SIMD(vpermilps_imm, "VEX.66.0F3A.W0 04 /r", "Vx Wx Ib", "v:AVX", UNARY_IMM)

static V128 vector_vpermilpd_imm(V128 a, uint64_t imm)
{
    return (V128){ a[imm & 1], a[imm >> 1 & 1] };
}
SIMD(vpermilpd_imm, "VEX.66.0F3A.W0 05 /r", "Vx Wx Ib", "v:AVX", UNARY_IMM_HALVES, 2)

static V128 vector_vpblendd(V128 a, V128 b, uint64_t imm)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 4; i++) {
        x.d[i] = imm >> i & 1 ? y.d[i] : x.d[i];
    }
    return x.v;
}
SIMD(vpblendd, "VEX.66.0F3A.W0 02 /r", "Vx Hx Wx Ib", "v:AVX2", BINARY_IMM_HALVES, 4)

/* Elements across halves. */

extern const X86Simd x86_vector_shufpd, x86_vector_blendvps, x86_vector_pslld_imm;

/* By bit 2 of the index, an element of the low or of the high half; the lower bits choose in each. */
X86(vpermd, "VEX.256.66.0F38.W0 16 /r", "Vqq Hqq Wqq", "AVX2")
X86(vpermd, "VEX.256.66.0F38.W0 36 /r", "Vqq Hqq Wqq", "AVX2")
void x86_vpermd(X86Translator *t)
{
    const TcgHelper *choose = x86_vector_vpermilps.helper;
    IrRef index[2], source[2], halves[2];

    if (x86_vector_refused(t)) {
        return;
    }
    x86_read_halves(t, 1, false, index);
    x86_read_halves(t, 2, false, source);
    for (unsigned i = 0; i < 2; i++) {
        IrRef low = x86_vector_op(t, choose, source[0], index[i], 0, 0);
        IrRef high = x86_vector_op(t, choose, source[1], index[i], 0, 0);
        IrRef mask = x86_vector_op(t, x86_vector_pslld_imm.helper, index[i], 0, 0, 29);

        halves[i] = x86_vector_op(t, x86_vector_blendvps.helper, low, high, mask, 0);
    }
    write_halves(t, halves[0], halves[1]);
}

X86(vpermq, "VEX.256.66.0F3A.W1 00 /r", "Vqq Wqq Ib", "AVX2")
X86(vpermq, "VEX.256.66.0F3A.W1 01 /r", "Vqq Wqq Ib", "AVX2")
void x86_vpermq(X86Translator *t)
{
    IrRef source[2], halves[2];

    if (x86_vector_refused(t)) {
        return;
    }
    x86_read_halves(t, 1, false, source);
    for (unsigned i = 0; i < 2; i++) {
        unsigned first = immediate(t) >> 4 * i & 3, second = immediate(t) >> (4 * i + 2) & 3;

        halves[i] = x86_vector_op(t, x86_vector_shufpd.helper, source[first >> 1],
                                  source[second >> 1], 0, (first & 1) | (second & 1) << 1);
    }
    write_halves(t, halves[0], halves[1]);
}

/* Shifts of each element by a count of its own. */

static V128 vector_vpsllvd(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 4; i++) {
        x.d[i] = y.d[i] < 32 ? x.d[i] << y.d[i] : 0;
    }
    return x.v;
}
SIMD(vpsllvd, "VEX.66.0F38.W0 47 /r", "Vx Hx Wx", "v:AVX2", BINARY_C)

static V128 vector_vpsrlvd(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 4; i++) {
        x.d[i] = y.d[i] < 32 ? x.d[i] >> y.d[i] : 0;
    }
    return x.v;
}
SIMD(vpsrlvd, "VEX.66.0F38.W0 45 /r", "Vx Hx Wx", "v:AVX2", BINARY_C)

static V128 vector_vpsravd(V128 a, V128 b)
{
    Lanes x = { a }, y = { b };

    for (unsigned i = 0; i < 4; i++) {
        x.d[i] = (uint32_t)((int32_t)x.d[i] >> MIN(y.d[i], 31));
    }
    return x.v;
}
SIMD(vpsravd, "VEX.66.0F38.W0 46 /r", "Vx Hx Wx", "v:AVX2", BINARY_C)

static V128 vector_vpsllvq(V128 a, V128 b)
{
    return (V128){ b[0] < 64 ? a[0] << b[0] : 0, b[1] < 64 ? a[1] << b[1] : 0 };
}
SIMD(vpsllvq, "VEX.66.0F38.W1 47 /r", "Vx Hx Wx", "v:AVX2", BINARY_C)

static V128 vector_vpsrlvq(V128 a, V128 b)
{
    return (V128){ b[0] < 64 ? a[0] >> b[0] : 0, b[1] < 64 ? a[1] >> b[1] : 0 };
}
SIMD(vpsrlvq, "VEX.66.0F38.W1 45 /r", "Vx Hx Wx", "v:AVX2", BINARY_C)

/*
 * Tests: Z when a & b is 0, C when ~a & b is. Of 256 bits both are folded into halves of one operand, and PTEST looks
 * at these.
 */

extern const X86Simd x86_vector_ptest;

static IrRef fold(X86Translator *t, const IrRef values[2], unsigned count)
{
    return count == 2 ? ir_vop2(t->unit, IR_OP_vor, 3, values[0], values[1]) : values[0];
}

static IrRef test(X86Translator *t, const IrRef a[2], const IrRef b[2])
{
    IrRef both[2], only_b[2], first, second, low;

    for (unsigned i = 0; i < 2; i++) {
        both[i] = ir_vop2(t->unit, IR_OP_vand, 3, a[i], b[i]);
        only_b[i] = ir_vop2(t->unit, IR_OP_vandn, 3, b[i], a[i]);
    }
    first = fold(t, both, 2);
    second = fold(t, only_b, 2);
    low = ir_vop1(t->unit, IR_OP_vzext, 3, ir_const(t->unit, IR_V128, -1), 0);
    both[0] = ir_vop2(t->unit, IR_OP_vzip1, 3, first, second);
    both[1] = ir_vop2(t->unit, IR_OP_vzip2, 3, first, second);
    return x86_vector_op(t, x86_vector_ptest.helper, low, fold(t, both, 2), 0, 0);
}

/* signs: of b's elements; 0: all bits count. */
static void test_vectors(X86Translator *t, uint64_t signs)
{
    unsigned count = x86_halves(t);
    IrRef a[2], b[2];

    if (x86_vector_refused(t)) {
        return;
    }
    x86_read_halves(t, 0, false, a);
    x86_read_halves(t, 1, false, b);
    for (unsigned i = 0; signs && i < count; i++) {
        b[i] = ir_vop2(t->unit, IR_OP_vand, 3, b[i], ir_const(t->unit, IR_V128, (int64_t)signs));
    }
    x86_set_flags(t, count == 2 ? test(t, a, b)
                                : x86_vector_op(t, x86_vector_ptest.helper, a[0], b[0], 0, 0));
}

X86(vptest, "VEX.256.66.0F38 17 /r", "Vx Wx", "AVX")
void x86_vptest(X86Translator *t)
{
    test_vectors(t, 0);
}

X86(vtestps, "VEX.66.0F38.W0 0E /r", "Vx Wx", "AVX")
void x86_vtestps(X86Translator *t)
{
    test_vectors(t, UINT64_C(0x8000000080000000));
}

X86(vtestpd, "VEX.66.0F38.W0 0F /r", "Vx Wx", "AVX")
void x86_vtestpd(X86Translator *t)
{
    test_vectors(t, UINT64_C(0x8000000000000000));
}

/* Upper halves, or all of it. */

static void zero_registers(X86Translator *t, unsigned first_half)
{
    if (x86_vector_refused(t)) {
        return;
    }
    for (unsigned reg = 0; reg < (x86_is_code64(t) ? 16 : 8); reg++) {
        for (unsigned half = first_half; half < 2; half++) {
            x86_set_xmm(t, reg, half, x86_zero_vector(t));
        }
    }
}

X86(vzeroupper, "VEX.128.0F 77", "", "AVX")
void x86_vzeroupper(X86Translator *t)
{
    zero_registers(t, 1);
}

X86(vzeroall, "VEX.256.0F 77", "", "AVX")
void x86_vzeroall(X86Translator *t)
{
    zero_registers(t, 0);
}

/* Half precision: MXCSR.FZ and, of half precision, DAZ do not matter, and a denormal half is not noted. */

static V128 vector_vcvtph2ps(V128 a)
{
    FloatStatus status = x86_float_status();
    Lanes x = { a }, result;

    status.flush_inputs_half = false;
    for (unsigned i = 0; i < 4; i++) {
        result.d[i] = (uint32_t)float_convert(&float_f32, &float_f16, x.w[i], &status);
    }
    status.flags &= (uint8_t)~FLOAT_DENORMAL_USED;
    x86_note_exceptions(&status);
    return result.v;
}
SIMD(vcvtph2ps, "VEX.66.0F38.W0 13 /r", "Vx Wh", "v:F16C", FLOAT_UNARY_C, X86_VECTOR_WIDEN)

/* Bit 2 of the immediate: rounding as MXCSR says, else by the two bits below. */
static V128 vector_vcvtps2ph(V128 a, uint64_t imm)
{
    FloatStatus status = x86_float_status();
    Lanes x = { a }, result = { { 0 } };

    if (!(imm & 4)) {
        status.rounding = x86_float_rounding(imm & 3);
    }
    status.flush_outputs_half = false;
    for (unsigned i = 0; i < 4; i++) {
        result.w[i] = (uint16_t)float_convert(&float_f16, &float_f32, x.d[i], &status);
    }
    x86_note_exceptions(&status);
    return result.v;
}
SIMD(vcvtps2ph, "VEX.66.0F3A.W0 1D /r", "Wh Vx Ib", "v:F16C form:STORE", FLOAT_UNARY_IMM,
     X86_VECTOR_NARROW)
