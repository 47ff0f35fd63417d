/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: integer operations on one register ("two-register misc", across lanes, scalar
 * pairwise) and their scalar forms (Arm ARM DDI 0487, C4.1.96).
 */
#include "target/arm/a64/simd.h"

typedef struct {
    A64Translator *t;
    bool u, q;
    unsigned esz, low, rd;
} Misc;

typedef IrRef MiscEmit(const Misc *s, IrRef n);

/* Lanes reversed in groups of 8 bytes (REV64) or 4 (REV32). */
static IrRef emit_rev(const Misc *s, IrRef n)
{
    return a64_vop1(s->t, IR_OP_vrev, s->esz, n, s->u ? 2 : 3);
}

static IrRef emit_rev16(const Misc *s, IrRef n)
{
    return a64_vop1(s->t, IR_OP_vrev, 0, n, 1);
}

/* Sums of neighbouring lanes, widened: the odd lanes by a shift, the even ones by two. */
static IrRef emit_addlp(const Misc *s, IrRef n)
{
    unsigned bits = 8u << s->esz, wide = s->esz + 1;
    IrOpcode shift = s->u ? IR_OP_vshr : IR_OP_vsar;
    IrRef odd = a64_vop1(s->t, shift, wide, n, bits);
    IrRef even = a64_vop1(s->t, shift, wide, a64_vop1(s->t, IR_OP_vshl, wide, n, bits), bits);

    return a64_vop2(s->t, IR_OP_vadd, wide, odd, even);
}

static IrRef emit_adalp(const Misc *s, IrRef n)
{
    return a64_vop2(s->t, IR_OP_vadd, s->esz + 1, a64_get_v(s->t, s->rd), emit_addlp(s, n));
}

static IrRef emit_xqadd(const Misc *s, IrRef n)
{
    ArmSimd op = s->u ? ARM_SIMD_usqadd : ARM_SIMD_suqadd;
    IrRef d = a64_get_v(s->t, s->rd);

    a64_note_saturation_mask(s->t, s->low,
                             a64_call(s->t, arm_simd_helper(op, s->esz, true), d, n, 0, 0));
    return a64_call(s->t, arm_simd_helper(op, s->esz, false), d, n, 0, 0);
}

static IrRef emit_clz_cls(const Misc *s, IrRef n)
{
    return a64_call(s->t, arm_simd_helper(s->u ? ARM_SIMD_clz : ARM_SIMD_cls, s->esz, false), n, 0,
                    0, 0);
}

static IrRef reverse_bits(A64Translator *t, IrRef n)
{
    /* Each nibble by table, then the nibbles change places. */
    IrRef table = a64_vconst(t, UINT64_C(0x0e060a020c040800), UINT64_C(0x0f070b030d050901));
    IrRef mask = a64_vsplat(t, 0, 15);
    IrRef low = a64_vop2(t, IR_OP_vtbl, 0, table, a64_vop2(t, IR_OP_vand, 0, n, mask));
    IrRef high = a64_vop2(t, IR_OP_vtbl, 0, table, a64_vop1(t, IR_OP_vshr, 0, n, 4));

    return a64_vop2(t, IR_OP_vor, 0, a64_vop1(t, IR_OP_vshl, 0, low, 4), high);
}

/* CNT, NOT, RBIT */
static IrRef emit_bits(const Misc *s, IrRef n)
{
    if (!s->u) {
        return a64_vop1(s->t, IR_OP_vpopcnt, 0, n, 0);
    }
    return s->esz ? reverse_bits(s->t, n) : a64_vop1(s->t, IR_OP_vnot, 0, n, 0);
}

/* SQABS and SQNEG: 0 - n saturates where the plain difference does not. */
static IrRef emit_qabs_qneg(const Misc *s, IrRef n)
{
    IrRef zero = a64_vzero(s->t), result;

    if (s->u) {
        result = a64_vop2(s->t, IR_OP_vqsubs, s->esz, zero, n);
        a64_note_saturation(s->t, s->low, result, a64_vop1(s->t, IR_OP_vneg, s->esz, n, 0));
        return result;
    }
    IrRef plain = a64_vop1(s->t, IR_OP_vabs, s->esz, n, 0);

    /* Only the smallest number stays negative. */
    IrRef wrong = a64_vop2(s->t, IR_OP_vcmpgts, s->esz, zero, plain);

    a64_note_saturation_mask(s->t, s->low, wrong);
    return a64_vop2(s->t, IR_OP_vxor, 0, plain, wrong);
}

static IrRef emit_cmgt0_cmge0(const Misc *s, IrRef n)
{
    IrRef zero = a64_vzero(s->t);

    if (!s->u) {
        return a64_vop2(s->t, IR_OP_vcmpgts, s->esz, n, zero);
    }
    return a64_vop1(s->t, IR_OP_vnot, 0, a64_vop2(s->t, IR_OP_vcmpgts, s->esz, zero, n), 0);
}

static IrRef emit_cmeq0_cmle0(const Misc *s, IrRef n)
{
    IrRef zero = a64_vzero(s->t);

    if (!s->u) {
        return a64_vop2(s->t, IR_OP_vcmpeq, s->esz, n, zero);
    }
    return a64_vop1(s->t, IR_OP_vnot, 0, a64_vop2(s->t, IR_OP_vcmpgts, s->esz, n, zero), 0);
}

static IrRef emit_cmlt0(const Misc *s, IrRef n)
{
    return a64_vop2(s->t, IR_OP_vcmpgts, s->esz, a64_vzero(s->t), n);
}

static IrRef emit_abs_neg(const Misc *s, IrRef n)
{
    return a64_vop1(s->t, s->u ? IR_OP_vneg : IR_OP_vabs, s->esz, n, 0);
}

enum { B = 1, H = 2, S = 4, D = 8, ALL = 15 };

static const struct {
    MiscEmit *emit;
    uint8_t sizes[2], scalar[2];
} misc[12] = {
    [0x0] = { emit_rev, { B | H | S, B | H }, { 0, 0 } },
    [0x1] = { emit_rev16, { B, 0 }, { 0, 0 } },
    [0x2] = { emit_addlp, { B | H | S, B | H | S }, { 0, 0 } },
    [0x3] = { emit_xqadd, { ALL, ALL }, { ALL, ALL } },
    [0x4] = { emit_clz_cls, { B | H | S, B | H | S }, { 0, 0 } },
    [0x5] = { emit_bits, { B, B | H }, { 0, 0 } },
    [0x6] = { emit_adalp, { B | H | S, B | H | S }, { 0, 0 } },
    [0x7] = { emit_qabs_qneg, { ALL, ALL }, { ALL, ALL } },
    [0x8] = { emit_cmgt0_cmge0, { ALL, ALL }, { D, D } },
    [0x9] = { emit_cmeq0_cmle0, { ALL, ALL }, { D, D } },
    [0xa] = { emit_cmlt0, { ALL, 0 }, { D, 0 } },
    [0xb] = { emit_abs_neg, { ALL, ALL }, { D, D } },
};

INSTRUCTION(simd_misc, "0 q u 01110 size:2 10000 0 opcode:4 10 rn:5 rd:5", "opcode < 12")
static bool translate_simd_misc(A64Translator *t, const A64Fields *f)
{
    Misc s = { t, f->u, f->q, f->size, f->q ? 4 : 3, f->rd };

    if (!(misc[f->opcode].sizes[f->u] & 1 << f->size) || (f->size == 3 && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q, misc[f->opcode].emit(&s, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(simd_misc_scalar, "01 u 11110 size:2 10000 0 opcode:4 10 rn:5 rd:5", "opcode < 12")
static bool translate_simd_misc_scalar(A64Translator *t, const A64Fields *f)
{
    Misc s = { t, f->u, false, f->size, f->size, f->rd };

    if (!(misc[f->opcode].scalar[f->u] & 1 << f->size)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, f->size, misc[f->opcode].emit(&s, a64_get_v(t, f->rn)));
    return true;
}

/* XTN and SQXTUN (00010), SQXTN and UQXTN (00100) */
static IrRef narrow(A64Translator *t, const A64Fields *f, bool saturating, unsigned low, IrRef n)
{
    if (!saturating && !f->u) {
        return a64_vop2(t, IR_OP_vnarrow, f->size, n, n);
    }
    return a64_simd_narrow(t, f->size, low, !saturating || !f->u, saturating && !f->u, n);
}

INSTRUCTION(simd_narrow, "0 q u 01110 size:2 10000 10 saturating not_saturating 0 10 rn:5 rd:5",
            "size != 3 && saturating != not_saturating")
static bool translate_simd_narrow(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vhalf(t, f->rd, f->q, narrow(t, f, f->saturating, 4, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(simd_narrow_scalar,
            "01 u 11110 size:2 10000 10 saturating not_saturating 0 10 rn:5 rd:5",
            "size != 3 && saturating != not_saturating && (saturating == 1 || u == 1)")
static bool translate_simd_narrow_scalar(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, f->size, narrow(t, f, f->saturating, f->size + 1, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(shll, "0 q 1 01110 size:2 10000 10011 10 rn:5 rd:5", "size != 3")
static bool translate_shll(A64Translator *t, const A64Fields *f)
{
    IrRef wide;

    if (!a64_fp_access(t)) {
        return true;
    }
    wide = a64_vwiden(t, false, f->size, f->q, a64_get_v(t, f->rn));
    a64_set_v(t, f->rd, a64_vop1(t, IR_OP_vshl, f->size + 1, wide, 8 << f->size));
    return true;
}

/* Across lanes: q = 0 with words is not allocated. */
static bool is_across_allocated(const A64Fields *f)
{
    return f->size < 2 || (f->size == 2 && f->q);
}

INSTRUCTION(simd_addlv, "0 q u 01110 size:2 11000 00011 10 rn:5 rd:5")
static bool translate_simd_addlv(A64Translator *t, const A64Fields *f)
{
    unsigned esz = f->size + 1;
    IrRef n, sum;

    if (!is_across_allocated(f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    sum = a64_vwiden(t, !f->u, f->size, false, n);
    if (f->q) {
        sum = a64_vop2(t, IR_OP_vadd, esz, sum, a64_vwiden(t, !f->u, f->size, true, n));
    }
    for (unsigned lanes = 16u >> esz; lanes > 1; lanes /= 2) {
        sum = a64_vop2(t, IR_OP_vaddp, esz, sum, sum);
    }
    a64_set_v_low(t, f->rd, esz, sum);
    return true;
}

INSTRUCTION(simd_minmaxv, "0 q u 01110 size:2 11000 min 1010 10 rn:5 rd:5")
static bool translate_simd_minmaxv(A64Translator *t, const A64Fields *f)
{
    static const uint8_t ops[4] = { IR_OP_vmaxs, IR_OP_vmaxu, IR_OP_vmins, IR_OP_vminu };
    IrRef best;

    if (!is_across_allocated(f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    best = a64_get_v(t, f->rn);
    for (unsigned bytes = f->q ? 8 : 4; bytes >= 1u << f->size; bytes /= 2) {
        best = a64_vop2(t, (IrOpcode)ops[f->min << 1 | f->u], f->size, best,
                        a64_vop2i(t, IR_OP_vext, 0, best, best, bytes));
    }
    a64_set_v_low(t, f->rd, f->size, best);
    return true;
}

INSTRUCTION(addv, "0 q 0 01110 size:2 11000 11011 10 rn:5 rd:5")
static bool translate_addv(A64Translator *t, const A64Fields *f)
{
    IrRef sum;

    if (!is_across_allocated(f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    sum = a64_get_v(t, f->rn);
    for (unsigned lanes = (f->q ? 16u : 8u) >> f->size; lanes > 1; lanes /= 2) {
        sum = a64_vop2(t, IR_OP_vaddp, f->size, sum, sum);
    }
    a64_set_v_low(t, f->rd, f->size, sum);
    return true;
}

INSTRUCTION(addp_scalar, "01 0 11110 11 11000 11011 10 rn:5 rd:5")
static bool translate_addp_scalar(A64Translator *t, const A64Fields *f)
{
    IrRef n;

    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    a64_set_v_low(t, f->rd, 3, a64_vop2(t, IR_OP_vaddp, 3, n, n));
    return true;
}
