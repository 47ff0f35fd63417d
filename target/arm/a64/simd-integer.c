/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: integer operations on two registers of the same shape ("three same") and their
 * scalar forms (Arm ARM DDI 0487, C4.1.96).
 */
#include "target/arm/a64/simd.h"

/* What an emitter needs. low: size of the whole result, as a64_set_v_low has it. */
typedef struct {
    A64Translator *t;
    bool u;
    unsigned esz, low, rd;
    bool pairs_low; /* pairwise: 64-bit vectors */
} Same;

typedef IrRef SameEmit(const Same *s, IrRef n, IrRef m);

static IrRef op2(const Same *s, IrOpcode opcode, IrRef a, IrRef b)
{
    return a64_vop2(s->t, opcode, s->esz, a, b);
}

/* (a & b) + ((a ^ b) >> 1): the sum's carry is not lost */
static IrRef emit_halving_add(const Same *s, IrRef n, IrRef m)
{
    IrRef half =
        a64_vop1(s->t, s->u ? IR_OP_vshr : IR_OP_vsar, s->esz, op2(s, IR_OP_vxor, n, m), 1);

    return op2(s, IR_OP_vadd, op2(s, IR_OP_vand, n, m), half);
}

/* (a | b) - ((a ^ b) >> 1) */
static IrRef emit_rounding_halving_add(const Same *s, IrRef n, IrRef m)
{
    IrRef half =
        a64_vop1(s->t, s->u ? IR_OP_vshr : IR_OP_vsar, s->esz, op2(s, IR_OP_vxor, n, m), 1);

    return op2(s, IR_OP_vsub, op2(s, IR_OP_vor, n, m), half);
}

/* ((a ^ b) >> 1) - (b & ~a) */
static IrRef emit_halving_sub(const Same *s, IrRef n, IrRef m)
{
    IrRef half =
        a64_vop1(s->t, s->u ? IR_OP_vshr : IR_OP_vsar, s->esz, op2(s, IR_OP_vxor, n, m), 1);

    return op2(s, IR_OP_vsub, half, op2(s, IR_OP_vandn, m, n));
}

static IrRef saturating(const Same *s, IrOpcode exact, IrOpcode saturated, IrRef n, IrRef m)
{
    IrRef result = op2(s, saturated, n, m);

    a64_note_saturation(s->t, s->low, result, op2(s, exact, n, m));
    return result;
}

static IrRef emit_qadd(const Same *s, IrRef n, IrRef m)
{
    return saturating(s, IR_OP_vadd, s->u ? IR_OP_vqaddu : IR_OP_vqadds, n, m);
}

static IrRef emit_qsub(const Same *s, IrRef n, IrRef m)
{
    return saturating(s, IR_OP_vsub, s->u ? IR_OP_vqsubu : IR_OP_vqsubs, n, m);
}

static IrRef emit_cmgt(const Same *s, IrRef n, IrRef m)
{
    return op2(s, s->u ? IR_OP_vcmpgtu : IR_OP_vcmpgts, n, m);
}

static IrRef emit_cmge(const Same *s, IrRef n, IrRef m)
{
    return a64_vop1(s->t, IR_OP_vnot, 0, emit_cmgt(s, m, n), 0);
}

static IrRef emit_cmtst_cmeq(const Same *s, IrRef n, IrRef m)
{
    IrRef zero;

    if (s->u) {
        return op2(s, IR_OP_vcmpeq, n, m);
    }
    zero = op2(s, IR_OP_vcmpeq, op2(s, IR_OP_vand, n, m), a64_vzero(s->t));
    return a64_vop1(s->t, IR_OP_vnot, 0, zero, 0);
}

static IrRef call_lanes(const Same *s, ArmSimd op, IrRef n, IrRef m)
{
    return a64_call(s->t, arm_simd_helper(op, s->esz, false), n, m, 0, 0);
}

static IrRef call_saturating(const Same *s, ArmSimd op, IrRef n, IrRef m)
{
    a64_note_saturation_mask(s->t, s->low,
                             a64_call(s->t, arm_simd_helper(op, s->esz, true), n, m, 0, 0));
    return call_lanes(s, op, n, m);
}

static IrRef emit_shl(const Same *s, IrRef n, IrRef m)
{
    return call_lanes(s, s->u ? ARM_SIMD_ushl : ARM_SIMD_sshl, n, m);
}

static IrRef emit_rshl(const Same *s, IrRef n, IrRef m)
{
    return call_lanes(s, s->u ? ARM_SIMD_urshl : ARM_SIMD_srshl, n, m);
}

static IrRef emit_qshl(const Same *s, IrRef n, IrRef m)
{
    return call_saturating(s, s->u ? ARM_SIMD_uqshl : ARM_SIMD_sqshl, n, m);
}

static IrRef emit_qrshl(const Same *s, IrRef n, IrRef m)
{
    return call_saturating(s, s->u ? ARM_SIMD_uqrshl : ARM_SIMD_sqrshl, n, m);
}

static IrRef emit_max(const Same *s, IrRef n, IrRef m)
{
    return op2(s, s->u ? IR_OP_vmaxu : IR_OP_vmaxs, n, m);
}

static IrRef emit_min(const Same *s, IrRef n, IrRef m)
{
    return op2(s, s->u ? IR_OP_vminu : IR_OP_vmins, n, m);
}

static IrRef emit_abd(const Same *s, IrRef n, IrRef m)
{
    return op2(s, IR_OP_vsub, emit_max(s, n, m), emit_min(s, n, m));
}

static IrRef emit_aba(const Same *s, IrRef n, IrRef m)
{
    return op2(s, IR_OP_vadd, a64_get_v(s->t, s->rd), emit_abd(s, n, m));
}

static IrRef emit_add_sub(const Same *s, IrRef n, IrRef m)
{
    return op2(s, s->u ? IR_OP_vsub : IR_OP_vadd, n, m);
}

static IrRef emit_mla_mls(const Same *s, IrRef n, IrRef m)
{
    return op2(s, s->u ? IR_OP_vsub : IR_OP_vadd, a64_get_v(s->t, s->rd), op2(s, IR_OP_vmul, n, m));
}

static IrRef emit_mul_pmul(const Same *s, IrRef n, IrRef m)
{
    return s->u ? call_lanes(s, ARM_SIMD_pmul, n, m) : op2(s, IR_OP_vmul, n, m);
}

/* Splits the concatenated operands into even and odd lanes. */
static void split_pairs(const Same *s, IrRef *n, IrRef *m)
{
    IrRef a = *n, b = *m;

    if (s->pairs_low) {
        a = b = a64_vop2(s->t, IR_OP_vcombine, 0, a, b);
    }
    *n = op2(s, IR_OP_vuzp1, a, b);
    *m = op2(s, IR_OP_vuzp2, a, b);
}

static IrRef emit_maxp(const Same *s, IrRef n, IrRef m)
{
    split_pairs(s, &n, &m);
    return emit_max(s, n, m);
}

static IrRef emit_minp(const Same *s, IrRef n, IrRef m)
{
    split_pairs(s, &n, &m);
    return emit_min(s, n, m);
}

static IrRef emit_addp(const Same *s, IrRef n, IrRef m)
{
    if (s->pairs_low) {
        n = m = a64_vop2(s->t, IR_OP_vcombine, 0, n, m);
    }
    return op2(s, IR_OP_vaddp, n, m);
}

static IrRef emit_qdmulh(const Same *s, IrRef n, IrRef m)
{
    return call_saturating(s, s->u ? ARM_SIMD_sqrdmulh : ARM_SIMD_sqdmulh, n, m);
}

enum { B = 1, H = 2, S = 4, D = 8, ALL = 15 };

/* By opcode: what sizes there are for u = 0 and u = 1, and the scalar sizes. */
static const struct {
    SameEmit *emit;
    uint8_t sizes[2], scalar[2];
} three_same[24] = {
    [0x00] = { emit_halving_add, { B | H | S, B | H | S }, { 0, 0 } },
    [0x01] = { emit_qadd, { ALL, ALL }, { ALL, ALL } },
    [0x02] = { emit_rounding_halving_add, { B | H | S, B | H | S }, { 0, 0 } },
    [0x04] = { emit_halving_sub, { B | H | S, B | H | S }, { 0, 0 } },
    [0x05] = { emit_qsub, { ALL, ALL }, { ALL, ALL } },
    [0x06] = { emit_cmgt, { ALL, ALL }, { D, D } },
    [0x07] = { emit_cmge, { ALL, ALL }, { D, D } },
    [0x08] = { emit_shl, { ALL, ALL }, { D, D } },
    [0x09] = { emit_qshl, { ALL, ALL }, { ALL, ALL } },
    [0x0a] = { emit_rshl, { ALL, ALL }, { D, D } },
    [0x0b] = { emit_qrshl, { ALL, ALL }, { ALL, ALL } },
    [0x0c] = { emit_max, { B | H | S, B | H | S }, { 0, 0 } },
    [0x0d] = { emit_min, { B | H | S, B | H | S }, { 0, 0 } },
    [0x0e] = { emit_abd, { B | H | S, B | H | S }, { 0, 0 } },
    [0x0f] = { emit_aba, { B | H | S, B | H | S }, { 0, 0 } },
    [0x10] = { emit_add_sub, { ALL, ALL }, { D, D } },
    [0x11] = { emit_cmtst_cmeq, { ALL, ALL }, { D, D } },
    [0x12] = { emit_mla_mls, { B | H | S, B | H | S }, { 0, 0 } },
    [0x13] = { emit_mul_pmul, { B | H | S, B }, { 0, 0 } },
    [0x14] = { emit_maxp, { B | H | S, B | H | S }, { 0, 0 } },
    [0x15] = { emit_minp, { B | H | S, B | H | S }, { 0, 0 } },
    [0x16] = { emit_qdmulh, { H | S, H | S }, { H | S, H | S } },
    [0x17] = { emit_addp, { ALL, 0 }, { 0, 0 } },
};

INSTRUCTION(simd_three_same, "0 q u 01110 size:2 1 rm:5 opcode:5 1 rn:5 rd:5",
            "opcode < 24 && opcode != 3")
static bool translate_simd_three_same(A64Translator *t, const A64Fields *f)
{
    Same s = { t, f->u, f->size, f->q ? 4 : 3, f->rd, !f->q };

    if (!(three_same[f->opcode].sizes[f->u] & 1 << f->size) || (f->size == 3 && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q,
               three_same[f->opcode].emit(&s, a64_get_v(t, f->rn), a64_get_v(t, f->rm)));
    return true;
}

INSTRUCTION(simd_three_same_scalar, "01 u 11110 size:2 1 rm:5 opcode:5 1 rn:5 rd:5",
            "opcode < 24 && opcode != 3")
static bool translate_simd_three_same_scalar(A64Translator *t, const A64Fields *f)
{
    Same s = { t, f->u, f->size, f->size, f->rd, false };

    if (!(three_same[f->opcode].scalar[f->u] & 1 << f->size)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, f->size,
                  three_same[f->opcode].emit(&s, a64_get_v(t, f->rn), a64_get_v(t, f->rm)));
    return true;
}

INSTRUCTION(simd_logical, "0 q u 01110 size:2 1 rm:5 00011 1 rn:5 rd:5")
static bool translate_simd_logical(A64Translator *t, const A64Fields *f)
{
    static const uint8_t plain[5] = { IR_OP_vand, IR_OP_vandn, IR_OP_vor, 0, IR_OP_vxor };
    unsigned op = f->u << 2 | f->size;
    IrRef n, m, d = 0;

    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    m = a64_get_v(t, f->rm);
    switch (op) {
    case 3: /* ORN */
        d = a64_vop2(t, IR_OP_vor, 0, n, a64_vop1(t, IR_OP_vnot, 0, m, 0));
        break;
    case 5: /* BSL */
        d = a64_vselect(t, a64_get_v(t, f->rd), n, m);
        break;
    case 6: /* BIT */
        d = a64_vselect(t, m, n, a64_get_v(t, f->rd));
        break;
    case 7: /* BIF */
        d = a64_vselect(t, m, a64_get_v(t, f->rd), n);
        break;
    default: /* ORR of a register with itself is MOV */
        d = op == 2 && f->rn == f->rm ? n : a64_vop2(t, (IrOpcode)plain[op], 0, n, m);
        break;
    }
    a64_set_vq(t, f->rd, f->q, d);
    return true;
}

static void emit_rdmla(A64Translator *t, const A64Fields *f, unsigned low)
{
    ArmSimd op = f->sub ? ARM_SIMD_sqrdmlsh : ARM_SIMD_sqrdmlah;
    IrRef d = a64_get_v(t, f->rd), n = a64_get_v(t, f->rn), m = a64_get_v(t, f->rm);

    a64_note_saturation_mask(t, low, a64_call(t, arm_simd_helper(op, f->size, true), d, n, m, 0));
    a64_set_v_low(t, f->rd, low, a64_call(t, arm_simd_helper(op, f->size, false), d, n, m, 0));
}

INSTRUCTION(sqrdmlah, "0 q 1 01110 size:2 0 rm:5 1 000 sub 1 rn:5 rd:5", "size == 1 || size == 2")
static bool translate_sqrdmlah(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_RDM)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    emit_rdmla(t, f, f->q ? 4 : 3);
    return true;
}

INSTRUCTION(sqrdmlah_scalar, "01 1 11110 size:2 0 rm:5 1 000 sub 1 rn:5 rd:5",
            "size == 1 || size == 2")
static bool translate_sqrdmlah_scalar(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_RDM)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    emit_rdmla(t, f, f->size);
    return true;
}

bool a64_simd_call3(A64Translator *t, const A64Fields *f, ArmFeature feature,
                    const TcgHelper *helper)
{
    if (!a64_has(t, feature)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(
        t, f->rd,
        a64_call(t, helper, a64_get_v(t, f->rd), a64_get_v(t, f->rn), a64_get_v(t, f->rm), 0));
    return true;
}

/* Halfword products fit: even the unsigned ones, as unsigned numbers. */
static IrRef dot_half(A64Translator *t, bool high, IrRef n, bool n_signed, IrRef m, bool m_signed)
{
    IrOpcode shift = n_signed || m_signed ? IR_OP_vsar : IR_OP_vshr;
    IrRef product = a64_vop2(t, IR_OP_vmul, 1, a64_vwiden(t, n_signed, 0, high, n),
                             a64_vwiden(t, m_signed, 0, high, m));
    IrRef odd = a64_vop1(t, shift, 2, product, 16);
    IrRef even = a64_vop1(t, shift, 2, a64_vop1(t, IR_OP_vshl, 2, product, 16), 16);

    return a64_vop2(t, IR_OP_vadd, 2, even, odd);
}

IrRef a64_simd_dot(A64Translator *t, IrRef d, IrRef n, bool n_signed, IrRef m, bool m_signed)
{
    IrRef low = dot_half(t, false, n, n_signed, m, m_signed);
    IrRef high = dot_half(t, true, n, n_signed, m, m_signed);

    return a64_vop2(t, IR_OP_vadd, 2, d, a64_vop2(t, IR_OP_vaddp, 2, low, high));
}

static bool dot(A64Translator *t, const A64Fields *f, ArmFeature feature, bool n_signed,
                bool m_signed)
{
    if (!a64_has(t, feature)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q,
               a64_simd_dot(t, a64_get_v(t, f->rd), a64_get_v(t, f->rn), n_signed,
                            a64_get_v(t, f->rm), m_signed));
    return true;
}

INSTRUCTION(dot, "0 q u 01110 10 0 rm:5 1 0010 1 rn:5 rd:5")
static bool translate_dot(A64Translator *t, const A64Fields *f)
{
    return dot(t, f, FEAT_DOTPROD, !f->u, !f->u);
}

INSTRUCTION(usdot, "0 q 0 01110 10 0 rm:5 1 0011 1 rn:5 rd:5")
static bool translate_usdot(A64Translator *t, const A64Fields *f)
{
    return dot(t, f, FEAT_I8MM, false, true);
}

INSTRUCTION(mmla, "0 1 u 01110 10 0 rm:5 1 0100 1 rn:5 rd:5")
static bool translate_mmla(A64Translator *t, const A64Fields *f)
{
    return a64_simd_call3(t, f, FEAT_I8MM, f->u ? &arm_ummla_helper : &arm_smmla_helper);
}

INSTRUCTION(usmmla, "0 1 0 01110 10 0 rm:5 1 0101 1 rn:5 rd:5")
static bool translate_usmmla(A64Translator *t, const A64Fields *f)
{
    return a64_simd_call3(t, f, FEAT_I8MM, &arm_usmmla_helper);
}
