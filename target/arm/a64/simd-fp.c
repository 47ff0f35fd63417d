/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: floating-point operations on two registers, pairwise, across lanes and by element,
 * vector and scalar (Arm ARM DDI 0487, C4.1.96). Those on one register are in a64/simd-fp-misc.c.
 */
#include "target/arm/a64/simd-fp.h"

IrRef a64_fp_operand(A64Translator *t, unsigned esz, bool q, unsigned n)
{
    uint64_t ones;

    if (q) {
        return a64_get_v(t, n);
    }
    ones = a64_replicate(esz, a64_fp_expand_imm(esz, 0x70));
    return a64_vop2(t, IR_OP_vcombine, 0, a64_get_v(t, n), a64_vconst(t, ones, ones));
}

typedef enum { NONE, PLAIN, MULTIPLY_ADD, MULTIPLY_SUB, PAIRWISE, ABSOLUTE, DIFFERENCE } SameKind;

typedef struct {
    uint8_t kind; /* SameKind */
    uint8_t op;   /* ArmFp */
    bool scalar;
} SameOp;

/* Index: u << 4 | a << 3 | low three bits of the opcode (its high bits are ones). */
static const SameOp same_ops[32] = {
    [0x00] = { PLAIN, ARM_FP_maxnm, false },      [0x01] = { MULTIPLY_ADD, ARM_FP_fma, false },
    [0x02] = { PLAIN, ARM_FP_add, false },        [0x03] = { PLAIN, ARM_FP_mulx, true },
    [0x04] = { PLAIN, ARM_FP_cmpeq, true },       [0x06] = { PLAIN, ARM_FP_max, false },
    [0x07] = { PLAIN, ARM_FP_recps, true },       [0x08] = { PLAIN, ARM_FP_minnm, false },
    [0x09] = { MULTIPLY_SUB, ARM_FP_fma, false }, [0x0a] = { PLAIN, ARM_FP_sub, false },
    [0x0e] = { PLAIN, ARM_FP_min, false },        [0x0f] = { PLAIN, ARM_FP_rsqrts, true },
    [0x10] = { PAIRWISE, ARM_FP_maxnm, false },   [0x12] = { PAIRWISE, ARM_FP_add, false },
    [0x13] = { PLAIN, ARM_FP_mul, false },        [0x14] = { PLAIN, ARM_FP_cmpge, true },
    [0x15] = { ABSOLUTE, ARM_FP_cmpge, true },    [0x16] = { PAIRWISE, ARM_FP_max, false },
    [0x17] = { PLAIN, ARM_FP_div, false },        [0x18] = { PAIRWISE, ARM_FP_minnm, false },
    [0x1a] = { DIFFERENCE, ARM_FP_sub, true },    [0x1c] = { PLAIN, ARM_FP_cmpgt, true },
    [0x1d] = { ABSOLUTE, ARM_FP_cmpgt, true },    [0x1e] = { PAIRWISE, ARM_FP_min, false },
};

static IrRef emit_same(A64Translator *t, const SameOp *op, unsigned esz, bool scalar, IrRef n,
                       IrRef m, IrRef d)
{
    switch ((SameKind)op->kind) {
    case MULTIPLY_SUB:
        n = a64_fp_neg(t, esz, n);
        return a64_fp(t, ARM_FP_fma, esz, scalar, n, m, d);
    case MULTIPLY_ADD:
        return a64_fp(t, ARM_FP_fma, esz, scalar, n, m, d);
    case ABSOLUTE:
        return a64_fp(t, (ArmFp)op->op, esz, scalar, a64_fp_abs(t, esz, n), a64_fp_abs(t, esz, m),
                      0);
    case DIFFERENCE:
        return a64_fp_abs(t, esz, a64_fp(t, ARM_FP_sub, esz, scalar, n, m, 0));
    default:
        return a64_fp(t, (ArmFp)op->op, esz, scalar, n, m, 0);
    }
}

static bool three_same(A64Translator *t, const A64Fields *f, unsigned esz)
{
    const SameOp *op = &same_ops[f->u << 4 | f->a << 3 | f->opcode];
    IrRef n, m, d = 0, result;

    if (op->kind == NONE || (esz == 3 && !f->q) || (esz == 1 && !a64_has(t, FEAT_FP16))) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    if (op->kind == PAIRWISE) {
        n = a64_get_v(t, f->rn);
        m = a64_get_v(t, f->rm);
        if (!f->q) {
            n = m = a64_vop2(t, IR_OP_vcombine, 0, n, m);
        }
        d = a64_vop2(t, IR_OP_vuzp1, esz, n, m);
        m = a64_vop2(t, IR_OP_vuzp2, esz, n, m);
        n = d;
    } else {
        n = a64_fp_operand(t, esz, f->q, f->rn);
        m = a64_fp_operand(t, esz, f->q, f->rm);
        if (op->op == ARM_FP_fma) {
            d = a64_fp_operand(t, esz, f->q, f->rd);
        }
    }
    result = emit_same(t, op, esz, false, n, m, d);
    a64_set_vq(t, f->rd, f->q, result);
    return true;
}

INSTRUCTION(simd_fp_three_same, "0 q u 01110 a sz 1 rm:5 11 opcode:3 1 rn:5 rd:5")
static bool translate_simd_fp_three_same(A64Translator *t, const A64Fields *f)
{
    return three_same(t, f, 2 + f->sz);
}

INSTRUCTION(simd_fp16_three_same, "0 q u 01110 a 10 rm:5 00 opcode:3 1 rn:5 rd:5")
static bool translate_simd_fp16_three_same(A64Translator *t, const A64Fields *f)
{
    return three_same(t, f, 1);
}

static bool three_same_scalar(A64Translator *t, const A64Fields *f, unsigned esz)
{
    const SameOp *op = &same_ops[f->u << 4 | f->a << 3 | f->opcode];

    if (!op->scalar || (esz == 1 && !a64_has(t, FEAT_FP16))) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, esz,
                  emit_same(t, op, esz, true, a64_get_v(t, f->rn), a64_get_v(t, f->rm), 0));
    return true;
}

INSTRUCTION(simd_fp_three_same_scalar, "01 u 11110 a sz 1 rm:5 11 opcode:3 1 rn:5 rd:5")
static bool translate_simd_fp_three_same_scalar(A64Translator *t, const A64Fields *f)
{
    return three_same_scalar(t, f, 2 + f->sz);
}

INSTRUCTION(simd_fp16_three_same_scalar, "01 u 11110 a 10 rm:5 00 opcode:3 1 rn:5 rd:5")
static bool translate_simd_fp16_three_same_scalar(A64Translator *t, const A64Fields *f)
{
    return three_same_scalar(t, f, 1);
}

/* FMAXNM, FADD, FMAX and their minima by the opcodes 01100, 01101, 01111 of reductions. */
static bool reduction(unsigned opcode, bool a, ArmFp *op)
{
    switch (opcode) {
    case 0:
        *op = a ? ARM_FP_minnm : ARM_FP_maxnm;
        return true;
    case 1:
        *op = ARM_FP_add;
        return !a;
    case 3:
        *op = a ? ARM_FP_min : ARM_FP_max;
        return true;
    default:
        return false;
    }
}

static bool pairwise_scalar(A64Translator *t, const A64Fields *f, unsigned esz)
{
    IrRef n;
    ArmFp op;

    if (!reduction(f->opcode, f->a, &op) || (esz == 1 && !a64_has(t, FEAT_FP16))) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    a64_set_v_low(t, f->rd, esz,
                  a64_fp(t, op, esz, true, n, a64_vop1(t, IR_OP_vduplane, esz, n, 1), 0));
    return true;
}

INSTRUCTION(simd_fp_pairwise_scalar, "01 1 11110 a sz 11000 011 opcode:2 10 rn:5 rd:5")
static bool translate_simd_fp_pairwise_scalar(A64Translator *t, const A64Fields *f)
{
    return pairwise_scalar(t, f, 2 + f->sz);
}

INSTRUCTION(simd_fp16_pairwise_scalar, "01 0 11110 a 0 11000 011 opcode:2 10 rn:5 rd:5")
static bool translate_simd_fp16_pairwise_scalar(A64Translator *t, const A64Fields *f)
{
    return pairwise_scalar(t, f, 1);
}

/* Pairs of neighbours first: that is what decides between NaNs. */
static bool across(A64Translator *t, const A64Fields *f, unsigned esz)
{
    IrRef n;
    ArmFp op;

    if (!reduction(f->opcode, f->a, &op) || op == ARM_FP_add ||
        (esz == 1 && !a64_has(t, FEAT_FP16))) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    if (!f->q) {
        n = a64_vop2(t, IR_OP_vcombine, 0, n, n);
    }
    for (unsigned lanes = (f->q ? 16u : 8u) >> esz; lanes > 1; lanes /= 2) {
        n = a64_fp(t, op, esz, false, a64_vop2(t, IR_OP_vuzp1, esz, n, n),
                   a64_vop2(t, IR_OP_vuzp2, esz, n, n), 0);
    }
    a64_set_v_low(t, f->rd, esz, n);
    return true;
}

INSTRUCTION(simd_fp_across, "0 q 1 01110 a 0 11000 011 opcode:2 10 rn:5 rd:5", "q == 1")
static bool translate_simd_fp_across(A64Translator *t, const A64Fields *f)
{
    return across(t, f, 2);
}

INSTRUCTION(simd_fp16_across, "0 q 0 01110 a 0 11000 011 opcode:2 10 rn:5 rd:5")
static bool translate_simd_fp16_across(A64Translator *t, const A64Fields *f)
{
    return across(t, f, 1);
}

/* FMLA 0001, FMLS 0101, FMUL 1001, FMULX 1001 with u = 1 */
static bool element_op(const A64Fields *f, SameOp *op)
{
    switch (f->opcode) {
    case 0:
        *op = (SameOp){ MULTIPLY_ADD, ARM_FP_fma, true };
        return !f->u;
    case 1:
        *op = (SameOp){ MULTIPLY_SUB, ARM_FP_fma, true };
        return !f->u;
    case 2:
        *op = (SameOp){ PLAIN, f->u ? ARM_FP_mulx : ARM_FP_mul, true };
        return true;
    default:
        return false;
    }
}

static bool by_element(A64Translator *t, const A64Fields *f, bool scalar)
{
    unsigned esz = f->size == 0 ? 1 : f->size;
    unsigned rm = esz == 1 ? f->rm4 : f->m << 4 | f->rm4;
    unsigned index = esz == 1 ? f->h << 2 | f->l << 1 | f->m : esz == 2 ? f->h << 1 | f->l : f->h;
    IrRef n, m, d = 0;
    SameOp op;

    if (!element_op(f, &op) || (esz == 1 && !a64_has(t, FEAT_FP16)) || (esz == 3 && f->l) ||
        (esz == 3 && !scalar && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    m = a64_get_v(t, rm);
    if (index || !scalar) {
        m = a64_vop1(t, IR_OP_vduplane, esz, m, index);
    }
    if (!scalar && !f->q) {
        m = a64_vop1(t, IR_OP_vzext, 3, m, 0);
    }
    n = a64_fp_operand(t, esz, scalar || f->q, f->rn);
    if (op.op == ARM_FP_fma) {
        d = a64_fp_operand(t, esz, scalar || f->q, f->rd);
    }
    a64_set_v_low(t, f->rd, scalar ? esz : 3 + f->q, emit_same(t, &op, esz, scalar, n, m, d));
    return true;
}

INSTRUCTION(simd_fp_element, "0 q u 01111 size:2 l m rm4:4 opcode:2 01 h 0 rn:5 rd:5",
            "size != 1 && opcode != 3 && (u == 0 || opcode == 2)")
static bool translate_simd_fp_element(A64Translator *t, const A64Fields *f)
{
    return by_element(t, f, false);
}

INSTRUCTION(simd_fp_element_scalar, "01 u 11111 size:2 l m rm4:4 opcode:2 01 h 0 rn:5 rd:5",
            "size != 1 && opcode != 3 && (u == 0 || opcode == 2)")
static bool translate_simd_fp_element_scalar(A64Translator *t, const A64Fields *f)
{
    return by_element(t, f, true);
}
