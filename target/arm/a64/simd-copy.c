/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: moving lanes between and within registers (copy, permute, extract, table lookup) and
 * modified immediates (Arm ARM DDI 0487, C4.1.96).
 */
#include "target/arm/a64/simd.h"

/* imm5 encodes a lane: its size by the lowest one bit, its index above that. */
static bool lane_of_imm5(unsigned imm5, unsigned *esz, unsigned *index)
{
    if (!(imm5 & 15)) {
        return false;
    }
    *esz = (unsigned)__builtin_ctz(imm5);
    *index = imm5 >> (*esz + 1);
    return true;
}

INSTRUCTION(dup_element, "0 q 0 01110000 imm5:5 0 0000 1 rn:5 rd:5")
static bool translate_dup_element(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;

    if (!lane_of_imm5(f->imm5, &esz, &index) || (esz == 3 && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q, a64_vop1(t, IR_OP_vduplane, esz, a64_get_v(t, f->rn), index));
    return true;
}

INSTRUCTION(dup_element_scalar, "01 0 11110000 imm5:5 0 0000 1 rn:5 rd:5")
static bool translate_dup_element_scalar(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;
    IrRef value;

    if (!lane_of_imm5(f->imm5, &esz, &index)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    value = a64_get_v(t, f->rn);
    if (index) {
        value = a64_vop1(t, IR_OP_vduplane, esz, value, index);
    }
    a64_set_v_low(t, f->rd, esz, value);
    return true;
}

INSTRUCTION(dup_general, "0 q 0 01110000 imm5:5 0 0001 1 rn:5 rd:5")
static bool translate_dup_general(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;

    if (!lane_of_imm5(f->imm5, &esz, &index) || (esz == 3 && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q, a64_vop1(t, IR_OP_vdup, esz, a64_get(t, esz == 3, f->rn), 0));
    return true;
}

INSTRUCTION(ins_general, "0 1 0 01110000 imm5:5 0 0011 1 rn:5 rd:5")
static bool translate_ins_general(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;

    if (!lane_of_imm5(f->imm5, &esz, &index)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(
        t, f->rd,
        a64_vop2i(t, IR_OP_vins, esz, a64_get_v(t, f->rd), a64_get(t, esz == 3, f->rn), index));
    return true;
}

INSTRUCTION(ins_element, "0 1 1 01110000 imm5:5 0 imm4:4 1 rn:5 rd:5")
static bool translate_ins_element(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;

    if (!lane_of_imm5(f->imm5, &esz, &index)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(
        t, f->rd,
        a64_vinslane(t, esz, a64_get_v(t, f->rd), index, a64_get_v(t, f->rn), f->imm4 >> esz));
    return true;
}

INSTRUCTION(umov, "0 q 0 01110000 imm5:5 0 0111 1 rn:5 rd:5")
static bool translate_umov(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;

    if (!lane_of_imm5(f->imm5, &esz, &index) || (esz == 3) != f->q) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set(t, f->q, f->rd, a64_vlane(t, a64_type(f->q), esz, a64_get_v(t, f->rn), index));
    return true;
}

INSTRUCTION(smov, "0 q 0 01110000 imm5:5 0 0101 1 rn:5 rd:5")
static bool translate_smov(A64Translator *t, const A64Fields *f)
{
    unsigned esz, index;
    IrRef lane;

    if (!lane_of_imm5(f->imm5, &esz, &index) || esz > 1 + f->q) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    lane = a64_vlane(t, IR_I32, esz, a64_get_v(t, f->rn), index);
    a64_set(t, f->q, f->rd, a64_extend(t, IR_OP_sext, a64_type(f->q), esz, lane));
    return true;
}

INSTRUCTION(simd_permute, "0 q 0 01110 size:2 0 rm:5 0 opcode:3 10 rn:5 rd:5",
            "opcode != 0 && opcode != 4")
static bool translate_simd_permute(A64Translator *t, const A64Fields *f)
{
    static const uint8_t ops[8] = { 0, IR_OP_vuzp1, IR_OP_vtrn1, IR_OP_vzip1,
                                    0, IR_OP_vuzp2, IR_OP_vtrn2, IR_OP_vzip2 };
    IrOpcode op = (IrOpcode)ops[f->opcode];
    IrRef n, m;

    if (f->size == 3 && !f->q) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    m = a64_get_v(t, f->rm);
    if (f->q) {
        a64_set_v(t, f->rd, a64_vop2(t, op, f->size, n, m));
    } else if (op == IR_OP_vuzp1 || op == IR_OP_vuzp2) {
        n = a64_vop2(t, IR_OP_vcombine, 0, n, m);
        a64_set_v_low(t, f->rd, 3, a64_vop2(t, op, f->size, n, n));
    } else if (op == IR_OP_vzip2) {
        a64_set_v(t, f->rd,
                  a64_vop1(t, IR_OP_vhigh, 0, a64_vop2(t, IR_OP_vzip1, f->size, n, m), 0));
    } else {
        a64_set_v_low(t, f->rd, 3, a64_vop2(t, op, f->size, n, m));
    }
    return true;
}

INSTRUCTION(ext, "0 q 1 01110 00 0 rm:5 0 imm4:4 0 rn:5 rd:5", "q == 1 || imm4 < 8")
static bool translate_ext(A64Translator *t, const A64Fields *f)
{
    IrRef n, m;

    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    m = a64_get_v(t, f->rm);
    if (!f->q) {
        n = a64_vop2(t, IR_OP_vcombine, 0, n, m);
        m = n;
    }
    if (f->imm4) {
        n = a64_vop2i(t, IR_OP_vext, 0, n, m, f->imm4);
    }
    a64_set_vq(t, f->rd, f->q, n);
    return true;
}

/* TBL and (extend = 1) TBX, with len + 1 registers of table. */
INSTRUCTION(tbl, "0 q 0 01110 00 0 rm:5 0 len:2 extend 00 rn:5 rd:5")
static bool translate_tbl(A64Translator *t, const A64Fields *f)
{
    IrRef index, result = 0;

    if (!a64_fp_access(t)) {
        return true;
    }
    index = a64_get_v(t, f->rm);
    for (unsigned i = 0; i <= f->len; i++) {
        /* Indices below this register's wrap to large ones. */
        IrRef local = i ? a64_vop2(t, IR_OP_vsub, 0, index, a64_vsplat(t, 0, 16 * i)) : index;
        IrRef part = a64_vop2(t, IR_OP_vtbl, 0, a64_get_v(t, (f->rn + i) % 32), local);

        result = result ? a64_vop2(t, IR_OP_vor, 0, result, part) : part;
    }
    if (f->extend) {
        IrRef outside = a64_vop2(t, IR_OP_vcmpgtu, 0, index, a64_vsplat(t, 0, 16 * f->len + 15));

        result = a64_vselect(t, outside, a64_get_v(t, f->rd), result);
    }
    a64_set_vq(t, f->rd, f->q, result);
    return true;
}

/* AdvSIMDExpandImm: 64 bits of what the immediate stands for. */
static uint64_t expand_imm(unsigned op, unsigned cmode, unsigned imm8)
{
    switch (cmode >> 1) {
    case 0:
    case 1:
    case 2:
    case 3:
        return a64_replicate(2, (uint64_t)imm8 << (cmode >> 1) * 8);
    case 4:
    case 5:
        return a64_replicate(1, (uint64_t)imm8 << (cmode >> 1 & 1) * 8);
    case 6:
        return a64_replicate(2, cmode & 1 ? imm8 << 16 | 0xffff : imm8 << 8 | 0xff);
    default:
        if (cmode & 1) {
            return op ? a64_fp_expand_imm(3, imm8) : a64_replicate(2, a64_fp_expand_imm(2, imm8));
        }
        if (!op) {
            return a64_replicate(0, imm8);
        }
        uint64_t mask = 0;

        for (unsigned i = 0; i < 8; i++) {
            mask |= imm8 >> i & 1 ? UINT64_C(0xff) << i * 8 : 0;
        }
        return mask;
    }
}

INSTRUCTION(simd_modified_imm, "0 q op 0111100000 high:3 cmode:4 half 1 low:5 rd:5",
            "half == 0 || (op == 0 && cmode == 15)")
static bool translate_simd_modified_imm(A64Translator *t, const A64Fields *f)
{
    unsigned imm8 = f->high << 5 | f->low;
    /* ORR and BIC: odd cmodes that shift by whole bytes */
    bool logical = (f->cmode & 1) && f->cmode < 12;
    bool invert = f->op && f->cmode < 14;
    uint64_t value;
    IrRef result;

    if ((f->half && !a64_has(t, FEAT_FP16)) || (f->cmode == 15 && f->op && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    value =
        f->half ? a64_replicate(1, a64_fp_expand_imm(1, imm8)) : expand_imm(f->op, f->cmode, imm8);
    if (logical) {
        result = a64_vop2(t, invert ? IR_OP_vandn : IR_OP_vor, 0, a64_get_v(t, f->rd),
                          a64_vconst(t, value, value));
        a64_set_vq(t, f->rd, f->q, result);
        return true;
    }
    value = invert ? ~value : value;
    a64_set_v(t, f->rd, a64_vconst(t, value, f->q ? value : 0));
    return true;
}
