/* SPDX-License-Identifier: MIT */
/*
 * Floating-point operations as IR. Single and double precision are native: the rounding mode is in
 * MXCSR, FPCR.FZ is a property of the operations, and default NaNs are given by the cold stubs that
 * deal with all NaNs. Half precision and the rest call helpers.
 */
#include "target/arm/a64/simd.h"

static bool is_native(unsigned esz)
{
    return esz >= 2;
}

static uint8_t flush_of(const A64Translator *t)
{
    return t->mode & ARM_MODE_FP_FZ ? 1 : 0;
}

/* The IR's name for an operation; IR_FOP_COUNT: there is none. */
static IrFop native_op(ArmFp op)
{
    static const uint8_t table[ARM_FP_COUNT] = {
        [ARM_FP_add] = 1 + IR_FADD,         [ARM_FP_sub] = 1 + IR_FSUB,
        [ARM_FP_mul] = 1 + IR_FMUL,         [ARM_FP_div] = 1 + IR_FDIV,
        [ARM_FP_sqrt] = 1 + IR_FSQRT,       [ARM_FP_fma] = 1 + IR_FMA,
        [ARM_FP_min] = 1 + IR_FMIN,         [ARM_FP_max] = 1 + IR_FMAX,
        [ARM_FP_minnm] = 1 + IR_FMINNM,     [ARM_FP_maxnm] = 1 + IR_FMAXNM,
        [ARM_FP_cmpeq] = 1 + IR_FCMPEQ,     [ARM_FP_cmpgt] = 1 + IR_FCMPGT,
        [ARM_FP_cmpge] = 1 + IR_FCMPGE,     [ARM_FP_cvt] = 1 + IR_FCVT_F,
        [ARM_FP_round] = 1 + IR_FROUND,     [ARM_FP_vfrom_s] = 1 + IR_FVFROM_S,
        [ARM_FP_vfrom_u] = 1 + IR_FVFROM_U, [ARM_FP_vto_s] = 1 + IR_FVTO_S,
        [ARM_FP_vto_u] = 1 + IR_FVTO_U,
    };

    return table[op] ? (IrFop)(table[op] - 1) : IR_FOP_COUNT;
}

IrRef a64_fp(A64Translator *t, ArmFp op, unsigned esz, bool scalar, IrRef a, IrRef b, IrRef c)
{
    const TcgHelper *helper = arm_fp_helper(op, esz, scalar);
    IrFop native = native_op(op);

    if (!is_native(esz) || native == IR_FOP_COUNT) {
        return a64_call(t, helper, a, b, c, 0);
    }
    return a64_op(t, (IrOp){ .opcode = IR_OP_fop,
                             .type = IR_V128,
                             .esz = (uint8_t)esz,
                             .sub = (uint8_t)native,
                             .cond = flush_of(t),
                             .var = scalar,
                             .args = { a, b, c },
                             .helper = helper });
}

/*
 * Whether the back end takes this form of an operation with an immediate. It has no stub for NaNs
 * where a quieted operand is the result.
 */
static bool is_native_imm(const A64Translator *t, ArmFp op, unsigned esz, bool scalar, int64_t imm)
{
    switch (op) {
    case ARM_FP_round:
        return !(t->mode & ARM_MODE_FP_DN);
    case ARM_FP_cvt:
        return !(t->mode & (ARM_MODE_FP_DN | ARM_MODE_FP_AHP)) &&
               ((esz == 2 && imm == 3) || (esz == 3 && imm == 2) || (esz == 2 && imm == 1));
    case ARM_FP_rint:
        return false;
    default:
        return imm >> 8 == 0; /* no fixed point */
    }
}

IrRef a64_fp_imm(A64Translator *t, ArmFp op, unsigned esz, bool scalar, IrRef a, int64_t imm)
{
    const TcgHelper *helper = arm_fp_helper(op, esz, scalar);

    if (!is_native(esz) || !is_native_imm(t, op, esz, scalar, imm)) {
        return a64_call(t, helper, a, a64_const(t, IR_I64, imm), 0, 0);
    }
    return a64_op(t, (IrOp){ .opcode = IR_OP_fop,
                             .type = IR_V128,
                             .esz = (uint8_t)esz,
                             .sub = (uint8_t)native_op(op),
                             .cond = flush_of(t),
                             .var = scalar,
                             .args = { a },
                             .imm = imm,
                             .helper = helper });
}

IrRef a64_fp_to_int(A64Translator *t, unsigned esz, bool is_signed, bool wide, IrRef a, int64_t imm)
{
    const TcgHelper *helper = arm_fp_to_int_helper(esz, is_signed, wide);

    if (!is_native(esz) || imm >> 8) {
        return a64_call(t, helper, a, a64_const(t, IR_I64, imm), 0, 0);
    }
    return a64_op(t, (IrOp){ .opcode = IR_OP_fop,
                             .type = wide ? IR_I64 : IR_I32,
                             .esz = (uint8_t)esz,
                             .sub = is_signed ? IR_FTO_S : IR_FTO_U,
                             .cond = flush_of(t),
                             .var = 1,
                             .args = { a },
                             .imm = imm,
                             .helper = helper });
}

IrRef a64_fp_from_int(A64Translator *t, unsigned esz, bool is_signed, bool wide, IrRef a,
                      unsigned fraction_bits)
{
    const TcgHelper *helper = arm_fp_from_int_helper(esz, is_signed, wide);

    if (!is_native(esz) || fraction_bits) {
        return a64_call(t, helper, a, a64_const(t, IR_I64, (int64_t)fraction_bits << 8), 0, 0);
    }
    return a64_op(t, (IrOp){ .opcode = IR_OP_fop,
                             .type = IR_V128,
                             .esz = (uint8_t)esz,
                             .sub = is_signed ? IR_FROM_S : IR_FROM_U,
                             .var = 1,
                             .args = { a },
                             .helper = helper });
}

IrRef a64_fp_compare(A64Translator *t, unsigned esz, bool signalling, IrRef a, IrRef b)
{
    IrRef nzcv;

    if (is_native(esz)) {
        return a64_op(t, (IrOp){ .opcode = IR_OP_fcmp,
                                 .type = IR_V128,
                                 .esz = (uint8_t)esz,
                                 .cond = flush_of(t),
                                 .args = { a, b },
                                 .imm = signalling,
                                 .helper = arm_fp_compare_helper(esz, false) });
    }
    nzcv = a64_call(t, arm_fp_compare_helper(esz, true), a, b, a64_const(t, IR_I64, signalling), 0);
    return a64_op1(t, IR_OP_fpack, IR_I32, nzcv);
}

IrRef a64_fp_neg(A64Translator *t, unsigned esz, IrRef a)
{
    return a64_vop2(t, IR_OP_vxor, 0, a, a64_vsplat(t, esz, BIT((8u << esz) - 1)));
}

IrRef a64_fp_abs(A64Translator *t, unsigned esz, IrRef a)
{
    return a64_vop2(t, IR_OP_vand, 0, a, a64_vsplat(t, esz, bits_mask((8u << esz) - 1)));
}

uint64_t a64_fp_expand_imm(unsigned esz, unsigned imm8)
{
    static const struct {
        uint8_t exp_bits, frac_bits;
    } format[4] = { [1] = { 5, 10 }, [2] = { 8, 23 }, [3] = { 11, 52 } };
    unsigned e = format[esz].exp_bits, f = format[esz].frac_bits;
    /* exponent: NOT(b):b…b:cd with e - 3 copies of b */
    uint64_t b = imm8 >> 6 & 1;
    uint64_t exp = (b ^ 1) << (e - 1) | (b ? bits_mask(e - 3) << 2 : 0) | (imm8 >> 4 & 3);

    return (uint64_t)(imm8 >> 7) << (e + f) | exp << f | (uint64_t)(imm8 & 15) << (f - 4);
}

void a64_note_saturation_mask(A64Translator *t, unsigned low_esz, IrRef mask)
{
    IrRef qc = a64_get_var(t, ARM_VAR_QC, IR_V128);

    if (low_esz < 4) {
        mask = a64_vop1(t, IR_OP_vzext, low_esz, mask, 0);
    }
    a64_set_var(t, ARM_VAR_QC, IR_V128, a64_vop2(t, IR_OP_vor, 0, qc, mask));
}

void a64_note_saturation(A64Translator *t, unsigned low_esz, IrRef a, IrRef b)
{
    a64_note_saturation_mask(t, low_esz, a64_vop2(t, IR_OP_vxor, 0, a, b));
}
