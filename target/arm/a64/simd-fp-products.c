/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: complex arithmetic (FEAT_FCMA), half to single precision multiply-add (FEAT_FHM) and
 * BFloat16 products (FEAT_BF16), vector and by element (Arm ARM DDI 0487, C4.1.96).
 */
#include "target/arm/a64/simd-fp.h"

/* Sizes: half with FP16, single, and double in 128 bits only. */
static bool is_complex_allocated(const A64Translator *t, const A64Fields *f)
{
    return a64_has(t, FEAT_FCMA) && (f->size != 1 || a64_has(t, FEAT_FP16)) &&
           (f->size != 3 || f->q);
}

static void complex_call(A64Translator *t, const A64Fields *f, const TcgHelper *helper, unsigned rm,
                         unsigned rotation, unsigned element)
{
    unsigned imm = f->size | rotation << 4 | f->q << 8 | element << 12;

    a64_set_v(t, f->rd,
              a64_call(t, helper, a64_get_v(t, f->rd), a64_get_v(t, f->rn), a64_get_v(t, rm),
                       a64_const(t, IR_I64, imm)));
}

INSTRUCTION(fcadd, "0 q 1 01110 size:2 0 rm:5 111 rot 01 rn:5 rd:5", "size != 0")
static bool translate_fcadd(A64Translator *t, const A64Fields *f)
{
    if (!is_complex_allocated(t, f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    complex_call(t, f, &arm_fcadd_helper, f->rm, f->rot ? 3 : 1, 0);
    return true;
}

INSTRUCTION(fcmla, "0 q 1 01110 size:2 0 rm:5 110 rot:2 1 rn:5 rd:5", "size != 0")
static bool translate_fcmla(A64Translator *t, const A64Fields *f)
{
    if (!is_complex_allocated(t, f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    complex_call(t, f, &arm_fcmla_helper, f->rm, f->rot, 0);
    return true;
}

INSTRUCTION(fcmla_element, "0 q 1 01111 size:2 l m rm4:4 0 rot:2 1 h 0 rn:5 rd:5",
            "(size == 1 && (q == 1 || h == 0)) || (size == 2 && l == 0 && q == 1)")
static bool translate_fcmla_element(A64Translator *t, const A64Fields *f)
{
    unsigned pair = f->size == 1 ? f->h << 1 | f->l : f->h;

    if (!is_complex_allocated(t, f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    complex_call(t, f, &arm_fcmla_helper, f->m << 4 | f->rm4, f->rot, 1 + pair);
    return true;
}

/* The half-precision lanes that FMLAL (and FMLAL2: high) reads, at the bottom, the rest zero. */
static IrRef widened_operand(A64Translator *t, bool q, bool high, IrRef n)
{
    if (q) {
        return a64_vhalf(t, high, n);
    }
    if (high) {
        n = a64_vop1(t, IR_OP_vshr, 3, n, 32);
    }
    return a64_vop1(t, IR_OP_vzext, 2, n, 0);
}

static bool multiply_long(A64Translator *t, const A64Fields *f, bool high, bool by_element)
{
    IrRef d, n, m;

    if (!a64_has(t, FEAT_FHM)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    d = a64_get_v(t, f->rd);
    n = widened_operand(t, f->q, high, a64_get_v(t, f->rn));
    if (by_element) {
        m = a64_vop1(t, IR_OP_vduplane, 1, a64_get_v(t, f->rm4), f->h << 2 | f->l << 1 | f->m);
        m = widened_operand(t, f->q, false, m);
    } else {
        m = widened_operand(t, f->q, high, a64_get_v(t, f->rm));
    }
    if (!f->q) {
        d = a64_vop1(t, IR_OP_vzext, 3, d, 0);
    }
    if (f->sub) {
        n = a64_fp_neg(t, 1, n);
    }
    a64_set_vq(t, f->rd, f->q, a64_call(t, &arm_fmlal_helper, d, n, m, 0));
    return true;
}

INSTRUCTION(fmlal, "0 q 0 01110 sub 0 1 rm:5 11101 1 rn:5 rd:5")
static bool translate_fmlal(A64Translator *t, const A64Fields *f)
{
    return multiply_long(t, f, false, false);
}

INSTRUCTION(fmlal2, "0 q 1 01110 sub 0 1 rm:5 11001 1 rn:5 rd:5")
static bool translate_fmlal2(A64Translator *t, const A64Fields *f)
{
    return multiply_long(t, f, true, false);
}

INSTRUCTION(fmlal_element, "0 q 0 01111 10 l m rm4:4 0 sub 00 h 0 rn:5 rd:5")
static bool translate_fmlal_element(A64Translator *t, const A64Fields *f)
{
    return multiply_long(t, f, false, true);
}

INSTRUCTION(fmlal2_element, "0 q 1 01111 10 l m rm4:4 1 sub 00 h 0 rn:5 rd:5")
static bool translate_fmlal2_element(A64Translator *t, const A64Fields *f)
{
    return multiply_long(t, f, true, true);
}

static bool bf16_accumulate(A64Translator *t, const A64Fields *f, const TcgHelper *helper, bool q,
                            bool by_element)
{
    IrRef m;

    if (!a64_has(t, FEAT_BF16)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    m = by_element
            ? a64_vop1(t, IR_OP_vduplane, 2, a64_get_v(t, f->m << 4 | f->rm4), f->h << 1 | f->l)
            : a64_get_v(t, f->rm);
    a64_set_vq(t, f->rd, q, a64_call(t, helper, a64_get_v(t, f->rd), a64_get_v(t, f->rn), m, 0));
    return true;
}

INSTRUCTION(bfdot, "0 q 1 01110 01 0 rm:5 1 1111 1 rn:5 rd:5")
static bool translate_bfdot(A64Translator *t, const A64Fields *f)
{
    return bf16_accumulate(t, f, &arm_bfdot_helper, f->q, false);
}

INSTRUCTION(bfdot_element, "0 q 0 01111 01 l m rm4:4 1111 h 0 rn:5 rd:5")
static bool translate_bfdot_element(A64Translator *t, const A64Fields *f)
{
    return bf16_accumulate(t, f, &arm_bfdot_helper, f->q, true);
}

INSTRUCTION(bfmmla, "0 1 1 01110 01 0 rm:5 1 1101 1 rn:5 rd:5")
static bool translate_bfmmla(A64Translator *t, const A64Fields *f)
{
    return bf16_accumulate(t, f, &arm_bfmmla_helper, true, false);
}

/* The even or odd (top) BFloat16 lanes as single precision: that is their high half. */
static IrRef bf16_lanes(A64Translator *t, bool top, IrRef n)
{
    return top ? a64_vop2(t, IR_OP_vand, 0, n, a64_vsplat(t, 2, 0xffff0000u))
               : a64_vop1(t, IR_OP_vshl, 2, n, 16);
}

static bool bf16_multiply_add(A64Translator *t, const A64Fields *f, bool by_element)
{
    IrRef m;

    if (!a64_has(t, FEAT_BF16)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    if (by_element) {
        m = a64_vop1(t, IR_OP_vduplane, 1, a64_get_v(t, f->rm4), f->h << 2 | f->l << 1 | f->m);
        m = bf16_lanes(t, false, m);
    } else {
        m = bf16_lanes(t, f->top, a64_get_v(t, f->rm));
    }
    a64_set_v(t, f->rd,
              a64_fp(t, ARM_FP_fma, 2, false, bf16_lanes(t, f->top, a64_get_v(t, f->rn)), m,
                     a64_get_v(t, f->rd)));
    return true;
}

INSTRUCTION(bfmlal, "0 top 1 01110 11 0 rm:5 1 1111 1 rn:5 rd:5")
static bool translate_bfmlal(A64Translator *t, const A64Fields *f)
{
    return bf16_multiply_add(t, f, false);
}

INSTRUCTION(bfmlal_element, "0 top 0 01111 11 l m rm4:4 1111 h 0 rn:5 rd:5")
static bool translate_bfmlal_element(A64Translator *t, const A64Fields *f)
{
    return bf16_multiply_add(t, f, true);
}
