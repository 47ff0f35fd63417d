/* SPDX-License-Identifier: MIT */
/* Advanced SIMD: shifts by immediate, vector and scalar (Arm ARM DDI 0487, C4.1.96). */
#include "target/arm/a64/simd.h"

/* low: size of the whole result, as a64_set_v_low has it; right, left: the amount as each sees it. */
typedef struct {
    A64Translator *t;
    bool u, q;
    unsigned esz, low, rd, right, left;
} Shift;

typedef IrRef ShiftEmit(const Shift *s, IrRef n);

static IrRef shift_right(const Shift *s, unsigned esz, bool is_unsigned, bool rounding, IrRef n)
{
    IrOpcode opcode = is_unsigned ? IR_OP_vshr : IR_OP_vsar;
    IrRef result = a64_vop1(s->t, opcode, esz, n, s->right), last;

    if (!rounding) {
        return result;
    }
    /* The last bit shifted out is the carry of rounding. */
    last = s->right == 1 ? n : a64_vop1(s->t, IR_OP_vshr, esz, n, s->right - 1);
    return a64_vop2(s->t, IR_OP_vadd, esz, result,
                    a64_vop2(s->t, IR_OP_vand, 0, last, a64_vsplat(s->t, esz, 1)));
}

static IrRef emit_shr(const Shift *s, IrRef n)
{
    return shift_right(s, s->esz, s->u, false, n);
}

static IrRef emit_rshr(const Shift *s, IrRef n)
{
    return shift_right(s, s->esz, s->u, true, n);
}

static IrRef emit_sra(const Shift *s, IrRef n)
{
    return a64_vop2(s->t, IR_OP_vadd, s->esz, a64_get_v(s->t, s->rd), emit_shr(s, n));
}

static IrRef emit_rsra(const Shift *s, IrRef n)
{
    return a64_vop2(s->t, IR_OP_vadd, s->esz, a64_get_v(s->t, s->rd), emit_rshr(s, n));
}

static IrRef emit_sri(const Shift *s, IrRef n)
{
    unsigned bits = 8u << s->esz;
    uint64_t kept = bits_mask(bits) & ~bits_mask(bits - s->right);
    IrRef d = a64_vop2(s->t, IR_OP_vand, 0, a64_get_v(s->t, s->rd), a64_vsplat(s->t, s->esz, kept));

    return a64_vop2(s->t, IR_OP_vor, 0, d, a64_vop1(s->t, IR_OP_vshr, s->esz, n, s->right));
}

static IrRef emit_shl_sli(const Shift *s, IrRef n)
{
    IrRef shifted = a64_vop1(s->t, IR_OP_vshl, s->esz, n, s->left), d;

    if (!s->u) {
        return shifted;
    }
    d = a64_vop2(s->t, IR_OP_vand, 0, a64_get_v(s->t, s->rd),
                 a64_vsplat(s->t, s->esz, bits_mask(s->left)));
    return a64_vop2(s->t, IR_OP_vor, 0, d, shifted);
}

static IrRef saturating_left(const Shift *s, ArmSimd op, IrRef n)
{
    IrRef count = a64_vsplat(s->t, s->esz, s->left);

    a64_note_saturation_mask(s->t, s->low,
                             a64_call(s->t, arm_simd_helper(op, s->esz, true), n, count, 0, 0));
    return a64_call(s->t, arm_simd_helper(op, s->esz, false), n, count, 0, 0);
}

static IrRef emit_qshlu(const Shift *s, IrRef n)
{
    return saturating_left(s, ARM_SIMD_sqshlu, n);
}

static IrRef emit_qshl(const Shift *s, IrRef n)
{
    return saturating_left(s, s->u ? ARM_SIMD_uqshl : ARM_SIMD_sqshl, n);
}

/* By opcode: for u = 0 and u = 1, whether it exists; whether it exists as a scalar of any size. */
static const struct {
    ShiftEmit *emit;
    bool exists[2], any_scalar;
} shifts[16] = {
    [0x0] = { emit_shr, { true, true }, false },   [0x2] = { emit_sra, { true, true }, false },
    [0x4] = { emit_rshr, { true, true }, false },  [0x6] = { emit_rsra, { true, true }, false },
    [0x8] = { emit_sri, { false, true }, false },  [0xa] = { emit_shl_sli, { true, true }, false },
    [0xc] = { emit_qshlu, { false, true }, true }, [0xe] = { emit_qshl, { true, true }, true },
};

static Shift shift_of(A64Translator *t, const A64Fields *f, bool q)
{
    unsigned esz = 31 - (unsigned)__builtin_clz(f->immh), imm = f->immh << 3 | f->immb;

    return (Shift){ t, f->u, q, esz, q ? 4 : 3, f->rd, (16u << esz) - imm, imm - (8u << esz) };
}

INSTRUCTION(simd_shift, "0 q u 011110 immh:4 immb:3 0 opcode:4 1 rn:5 rd:5", "immh != 0")
static bool translate_simd_shift(A64Translator *t, const A64Fields *f)
{
    Shift s = shift_of(t, f, f->q);

    if (!shifts[f->opcode].exists[f->u] || (s.esz == 3 && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vq(t, f->rd, f->q, shifts[f->opcode].emit(&s, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(simd_shift_scalar, "01 u 111110 immh:4 immb:3 0 opcode:4 1 rn:5 rd:5", "immh != 0")
static bool translate_simd_shift_scalar(A64Translator *t, const A64Fields *f)
{
    Shift s = shift_of(t, f, false);

    s.low = s.esz;
    if (!shifts[f->opcode].exists[f->u] || (s.esz != 3 && !shifts[f->opcode].any_scalar)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, s.esz, shifts[f->opcode].emit(&s, a64_get_v(t, f->rn)));
    return true;
}

IrRef a64_simd_narrow(A64Translator *t, unsigned esz, unsigned low, bool from_signed,
                      bool to_signed, IrRef wide)
{
    unsigned bits = 8u << esz;
    IrRef limited = wide;

    if (from_signed) {
        uint64_t min = to_signed ? ~bits_mask(bits - 1) : 0;

        limited = a64_vop2(t, IR_OP_vmaxs, esz + 1, limited, a64_vsplat(t, esz + 1, min));
        limited = a64_vop2(t, IR_OP_vmins, esz + 1, limited,
                           a64_vsplat(t, esz + 1, bits_mask(bits - to_signed)));
    } else {
        limited =
            a64_vop2(t, IR_OP_vminu, esz + 1, limited, a64_vsplat(t, esz + 1, bits_mask(bits)));
    }
    a64_note_saturation(t, low, limited, wide);
    return a64_vop2(t, IR_OP_vnarrow, esz, limited, limited);
}

/*
 * SHRN, RSHRN (saturating false) and SQSHRN, UQSHRN, SQSHRUN and their rounding forms. The rounded
 * values fit into the wide lanes because the amount is at least 1.
 */
static IrRef narrowing(const Shift *s, unsigned opcode, unsigned low_wide, IrRef n)
{
    bool rounding = opcode & 1;
    bool plain = !(opcode & 2) && !s->u;
    bool to_unsigned = !(opcode & 2);
    bool is_unsigned = plain || ((opcode & 2) && s->u);
    IrRef wide = shift_right(s, s->esz + 1, is_unsigned, rounding, n);

    if (plain) {
        return a64_vop2(s->t, IR_OP_vnarrow, s->esz, wide, wide);
    }
    return a64_simd_narrow(s->t, s->esz, low_wide, !is_unsigned, !is_unsigned && !to_unsigned,
                           wide);
}

INSTRUCTION(simd_shift_narrow, "0 q u 011110 immh:4 immb:3 100 opcode:2 1 rn:5 rd:5",
            "immh != 0 && immh < 8")
static bool translate_simd_shift_narrow(A64Translator *t, const A64Fields *f)
{
    Shift s = shift_of(t, f, f->q);

    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vhalf(t, f->rd, f->q, narrowing(&s, f->opcode, 4, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(simd_shift_narrow_scalar, "01 u 111110 immh:4 immb:3 100 opcode:2 1 rn:5 rd:5",
            "immh != 0 && immh < 8 && (opcode >= 2 || u == 1)")
static bool translate_simd_shift_narrow_scalar(A64Translator *t, const A64Fields *f)
{
    Shift s = shift_of(t, f, false);

    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, s.esz, narrowing(&s, f->opcode, s.esz + 1, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(simd_shift_long, "0 q u 011110 immh:4 immb:3 10100 1 rn:5 rd:5",
            "immh != 0 && immh < 8")
static bool translate_simd_shift_long(A64Translator *t, const A64Fields *f)
{
    Shift s = shift_of(t, f, f->q);
    IrRef wide;

    if (!a64_fp_access(t)) {
        return true;
    }
    wide = a64_vwiden(t, !f->u, s.esz, f->q, a64_get_v(t, f->rn));
    if (s.left) {
        wide = a64_vop1(t, IR_OP_vshl, s.esz + 1, wide, s.left);
    }
    a64_set_v(t, f->rd, wide);
    return true;
}

/* Fixed-point conversions: SCVTF, UCVTF, and FCVTZS, FCVTZU; fraction bits are the right amount. */
static bool fixed_point(A64Translator *t, const A64Fields *f, bool to_fixed, bool scalar)
{
    Shift s = shift_of(t, f, false);
    ArmFp op =
        to_fixed ? (f->u ? ARM_FP_vto_u : ARM_FP_vto_s) : (f->u ? ARM_FP_vfrom_u : ARM_FP_vfrom_s);
    IrRef n, result;

    if (s.esz == 0 || (s.esz == 1 && !a64_has(t, FEAT_FP16)) || (s.esz == 3 && !scalar && !f->q)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    n = a64_get_v(t, f->rn);
    if (!scalar && !f->q) {
        n = a64_vop1(t, IR_OP_vzext, 3, n, 0);
    }
    result =
        a64_fp_imm(t, op, s.esz, scalar, n, (int64_t)s.right << 8 | (to_fixed ? IR_ROUND_ZERO : 0));
    a64_set_v_low(t, f->rd, scalar ? s.esz : 3 + f->q, result);
    return true;
}

INSTRUCTION(simd_cvtf_fixed, "0 q u 011110 immh:4 immb:3 11100 1 rn:5 rd:5", "immh != 0")
static bool translate_simd_cvtf_fixed(A64Translator *t, const A64Fields *f)
{
    return fixed_point(t, f, false, false);
}

INSTRUCTION(simd_fcvtz_fixed, "0 q u 011110 immh:4 immb:3 11111 1 rn:5 rd:5", "immh != 0")
static bool translate_simd_fcvtz_fixed(A64Translator *t, const A64Fields *f)
{
    return fixed_point(t, f, true, false);
}

INSTRUCTION(simd_cvtf_fixed_scalar, "01 u 111110 immh:4 immb:3 11100 1 rn:5 rd:5", "immh != 0")
static bool translate_simd_cvtf_fixed_scalar(A64Translator *t, const A64Fields *f)
{
    return fixed_point(t, f, false, true);
}

INSTRUCTION(simd_fcvtz_fixed_scalar, "01 u 111110 immh:4 immb:3 11111 1 rn:5 rd:5", "immh != 0")
static bool translate_simd_fcvtz_fixed_scalar(A64Translator *t, const A64Fields *f)
{
    return fixed_point(t, f, true, true);
}
