/* SPDX-License-Identifier: MIT */
/* Scalar floating point: arithmetic, comparison, selection, immediates (Arm ARM DDI 0487, C4.1.96). */
#include "target/arm/a64/simd.h"

enum { ROUND_CURRENT = IR_ROUND_CURRENT, ROUND_EXACT = IR_ROUND_EXACT };

static void set_scalar(A64Translator *t, unsigned rd, unsigned esz, IrRef value)
{
    a64_set_v_low(t, rd, esz, value);
}

typedef IrRef UnaryEmit(A64Translator *t, unsigned esz, IrRef a);

static bool unary(A64Translator *t, const A64Fields *f, UnaryEmit *emit)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    set_scalar(t, f->rd, esz, emit(t, esz, a64_get_v(t, f->rn)));
    return true;
}

static IrRef emit_mov(A64Translator *t, unsigned esz, IrRef a)
{
    return a;
}

INSTRUCTION(fmov_reg, "00011110 ptype:2 1 000000 10000 rn:5 rd:5")
static bool translate_fmov_reg(A64Translator *t, const A64Fields *f)
{
    return unary(t, f, emit_mov);
}

INSTRUCTION(fabs_scalar, "00011110 ptype:2 1 000001 10000 rn:5 rd:5")
static bool translate_fabs_scalar(A64Translator *t, const A64Fields *f)
{
    return unary(t, f, a64_fp_abs);
}

INSTRUCTION(fneg_scalar, "00011110 ptype:2 1 000010 10000 rn:5 rd:5")
static bool translate_fneg_scalar(A64Translator *t, const A64Fields *f)
{
    return unary(t, f, a64_fp_neg);
}

static IrRef emit_sqrt(A64Translator *t, unsigned esz, IrRef a)
{
    return a64_fp(t, ARM_FP_sqrt, esz, true, a, 0, 0);
}

INSTRUCTION(fsqrt_scalar, "00011110 ptype:2 1 000011 10000 rn:5 rd:5")
static bool translate_fsqrt_scalar(A64Translator *t, const A64Fields *f)
{
    return unary(t, f, emit_sqrt);
}

INSTRUCTION(fcvt, "00011110 ptype:2 1 0001 opc:2 10000 rn:5 rd:5", "ptype != 2 && opc != 2")
static bool translate_fcvt(A64Translator *t, const A64Fields *f)
{
    static const uint8_t esz[4] = { 2, 3, 0, 1 };

    if (f->ptype == f->opc) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    set_scalar(t, f->rd, esz[f->opc],
               a64_fp_imm(t, ARM_FP_cvt, esz[f->ptype], true, a64_get_v(t, f->rn), esz[f->opc]));
    return true;
}

INSTRUCTION(bfcvt, "00011110 01 1 000110 10000 rn:5 rd:5")
static bool translate_bfcvt(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_BF16)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    set_scalar(t, f->rd, 1, a64_fp_imm(t, ARM_FP_cvt, 2, true, a64_get_v(t, f->rn), ARM_CVT_BF16));
    return true;
}

INSTRUCTION(frint, "00011110 ptype:2 1 001 rmode:3 10000 rn:5 rd:5", "rmode != 5")
static bool translate_frint(A64Translator *t, const A64Fields *f)
{
    /* N P M Z A - X I */
    static const uint8_t mode[8] = {
        0, 1, 2, 3, IR_ROUND_AWAY, 0, ROUND_CURRENT | ROUND_EXACT, ROUND_CURRENT
    };
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    set_scalar(t, f->rd, esz,
               a64_fp_imm(t, ARM_FP_round, esz, true, a64_get_v(t, f->rn), mode[f->rmode]));
    return true;
}

INSTRUCTION(frint_int, "00011110 0 sz 1 0100 wide inexact 10000 rn:5 rd:5")
static bool translate_frint_int(A64Translator *t, const A64Fields *f)
{
    unsigned esz = 2 + f->sz;

    if (!a64_has(t, FEAT_FRINTTS)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    set_scalar(
        t, f->rd, esz,
        a64_fp_imm(t, ARM_FP_rint, esz, true, a64_get_v(t, f->rn),
                   (f->inexact ? IR_ROUND_CURRENT : IR_ROUND_ZERO) | (f->wide ? 64 : 32) << 8));
    return true;
}

INSTRUCTION(fp_two_source, "00011110 ptype:2 1 rm:5 opcode:4 10 rn:5 rd:5", "opcode <= 8")
static bool translate_fp_two_source(A64Translator *t, const A64Fields *f)
{
    static const uint8_t op[9] = { ARM_FP_mul, ARM_FP_div,   ARM_FP_add,   ARM_FP_sub, ARM_FP_max,
                                   ARM_FP_min, ARM_FP_maxnm, ARM_FP_minnm, ARM_FP_mul };
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);
    IrRef result;

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    result =
        a64_fp(t, (ArmFp)op[f->opcode], esz, true, a64_get_v(t, f->rn), a64_get_v(t, f->rm), 0);
    set_scalar(t, f->rd, esz, f->opcode == 8 ? a64_fp_neg(t, esz, result) : result);
    return true;
}

/* FMADD, FMSUB, FNMADD, FNMSUB: the addend and the first factor change signs, not the result. */
INSTRUCTION(fp_three_source, "00011111 ptype:2 o1 rm:5 o0 ra:5 rn:5 rd:5")
static bool translate_fp_three_source(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);
    IrRef a, n;

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a = a64_get_v(t, f->ra);
    n = a64_get_v(t, f->rn);
    if (f->o1) {
        a = a64_fp_neg(t, esz, a);
    }
    if (f->o1 != f->o0) {
        n = a64_fp_neg(t, esz, n);
    }
    set_scalar(t, f->rd, esz, a64_fp(t, ARM_FP_fma, esz, true, n, a64_get_v(t, f->rm), a));
    return true;
}

INSTRUCTION(fcmp, "00011110 ptype:2 1 rm:5 00 1000 rn:5 signalling zero 000")
static bool translate_fcmp(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);
    IrRef b;

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    b = f->zero ? a64_vzero(t) : a64_get_v(t, f->rm);
    a64_set_flags(t, a64_fp_compare(t, esz, f->signalling, a64_get_v(t, f->rn), b));
    return true;
}

/* Emits a select of type by an A64 condition field; 14 and 15 are "always". */
static IrRef select_by(A64Translator *t, unsigned cond, IrOpcode opcode, IrType type, IrRef flags,
                       IrRef a, IrRef b)
{
    if (cond >= 14) {
        return a;
    }
    return a64_op(t, (IrOp){ .opcode = (uint8_t)opcode,
                             .type = (uint8_t)type,
                             .cond = (uint8_t)cond,
                             .args = { flags, a, b } });
}

INSTRUCTION(fccmp, "00011110 ptype:2 1 rm:5 cond:4 01 rn:5 signalling nzcv:4")
static bool translate_fccmp(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);
    IrRef flags, a, b, compared, constant;

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    flags = a64_get_flags(t);
    a = a64_get_v(t, f->rn);
    b = a64_get_v(t, f->rm);
    if (f->cond < 14) {
        /* Where the condition fails, zeros are compared, which raises nothing. */
        IrRef zero = a64_vzero(t);

        a = select_by(t, f->cond, IR_OP_sel, IR_V128, flags, a, zero);
        b = select_by(t, f->cond, IR_OP_sel, IR_V128, flags, b, zero);
    }
    compared = a64_fp_compare(t, esz, f->signalling, a, b);
    constant = a64_op(t, (IrOp){ .opcode = IR_OP_fconst, .type = IR_FLAGS, .imm = f->nzcv });
    a64_set_flags(t, select_by(t, f->cond, IR_OP_fsel, IR_FLAGS, flags, compared, constant));
    return true;
}

INSTRUCTION(fcsel, "00011110 ptype:2 1 rm:5 cond:4 11 rn:5 rd:5")
static bool translate_fcsel(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);
    IrRef flags;

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    flags = a64_get_flags(t);
    set_scalar(
        t, f->rd, esz,
        select_by(t, f->cond, IR_OP_sel, IR_V128, flags, a64_get_v(t, f->rn), a64_get_v(t, f->rm)));
    return true;
}

INSTRUCTION(fmov_imm, "00011110 ptype:2 1 imm8:8 100 00000 rd:5")
static bool translate_fmov_imm(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd, a64_vconst(t, a64_fp_expand_imm(esz, f->imm8), 0));
    return true;
}
