/* SPDX-License-Identifier: MIT */
/* Scalar floating point: conversions from and to general registers (Arm ARM DDI 0487, C4.1.96). */
#include "target/arm/a64/simd.h"

INSTRUCTION(cvtf_fixed, "sf 0011110 ptype:2 0 00 01 u scale:6 rn:5 rd:5")
static bool translate_cvtf_fixed(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz || (!f->sf && f->scale < 32)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, esz,
                  a64_fp_from_int(t, esz, !f->u, f->sf, a64_get(t, f->sf, f->rn), 64 - f->scale));
    return true;
}

INSTRUCTION(fcvtz_fixed, "sf 0011110 ptype:2 0 11 00 u scale:6 rn:5 rd:5")
static bool translate_fcvtz_fixed(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz || (!f->sf && f->scale < 32)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set(t, f->sf, f->rd,
            a64_fp_to_int(t, esz, !f->u, f->sf, a64_get_v(t, f->rn),
                          IR_ROUND_ZERO | (64 - f->scale) << 8));
    return true;
}

static bool to_int(A64Translator *t, const A64Fields *f, unsigned rounding)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set(t, f->sf, f->rd, a64_fp_to_int(t, esz, !f->u, f->sf, a64_get_v(t, f->rn), rounding));
    return true;
}

/* FCVTNS, FCVTPS, FCVTMS, FCVTZS and their unsigned forms: rmode is the IR's rounding */
INSTRUCTION(fcvt_int, "sf 0011110 ptype:2 1 rmode:2 00 u 000000 rn:5 rd:5")
static bool translate_fcvt_int(A64Translator *t, const A64Fields *f)
{
    return to_int(t, f, f->rmode);
}

INSTRUCTION(fcvta_int, "sf 0011110 ptype:2 1 00 10 u 000000 rn:5 rd:5")
static bool translate_fcvta_int(A64Translator *t, const A64Fields *f)
{
    return to_int(t, f, IR_ROUND_AWAY);
}

INSTRUCTION(cvtf_int, "sf 0011110 ptype:2 1 00 01 u 000000 rn:5 rd:5")
static bool translate_cvtf_int(A64Translator *t, const A64Fields *f)
{
    unsigned esz = a64_fp_ptype_esz(t, f->ptype);

    if (!esz) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, esz,
                  a64_fp_from_int(t, esz, !f->u, f->sf, a64_get(t, f->sf, f->rn), 0));
    return true;
}

/* FMOV between register files: W with S, X with D, W and X with H */
static bool is_fmov_general_allocated(const A64Translator *t, const A64Fields *f)
{
    switch (f->ptype) {
    case 0:
        return !f->sf;
    case 1:
        return f->sf;
    case 3:
        return a64_has(t, FEAT_FP16);
    default:
        return false;
    }
}

INSTRUCTION(fmov_to_general, "sf 0011110 ptype:2 1 00 110 000000 rn:5 rd:5")
static bool translate_fmov_to_general(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->sf);

    if (!is_fmov_general_allocated(t, f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set(t, f->sf, f->rd,
            a64_vlane(t, type, f->ptype == 3 ? 1 : 2 + f->ptype, a64_get_v(t, f->rn), 0));
    return true;
}

INSTRUCTION(fmov_from_general, "sf 0011110 ptype:2 1 00 111 000000 rn:5 rd:5")
static bool translate_fmov_from_general(A64Translator *t, const A64Fields *f)
{
    IrRef value;

    if (!is_fmov_general_allocated(t, f)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    value = a64_vop1(t, IR_OP_vfromint, 0, a64_get(t, f->sf, f->rn), 0);
    if (f->ptype == 3) {
        a64_set_v_low(t, f->rd, 1, value);
    } else {
        a64_set_v(t, f->rd, value);
    }
    return true;
}

INSTRUCTION(fmov_top_to_general, "1 0011110 10 1 01 110 000000 rn:5 rd:5")
static bool translate_fmov_top_to_general(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_x(t, f->rd, a64_vlane(t, IR_I64, 3, a64_get_v(t, f->rn), 1));
    return true;
}

INSTRUCTION(fmov_top_from_general, "1 0011110 10 1 01 111 000000 rn:5 rd:5")
static bool translate_fmov_top_from_general(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd, a64_vop2i(t, IR_OP_vins, 3, a64_get_v(t, f->rd), a64_get_x(t, f->rn), 1));
    return true;
}

INSTRUCTION(fjcvtzs, "0 0011110 01 1 11 110 000000 rn:5 rd:5")
static bool translate_fjcvtzs(A64Translator *t, const A64Fields *f)
{
    IrRef result, z;

    if (!a64_has(t, FEAT_JSCVT)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    result = a64_call(t, &arm_fjcvtzs_helper, a64_get_v(t, f->rn), 0, 0, 0);
    a64_set_w(t, f->rd, a64_op1(t, IR_OP_trunc, IR_I32, result));
    z = a64_op1(t, IR_OP_trunc, IR_I32, a64_op2i(t, IR_OP_shr, IR_I64, result, 32));
    a64_set_flags(t, a64_op1(t, IR_OP_fpack, IR_I32, a64_op2i(t, IR_OP_shl, IR_I32, z, 30)));
    return true;
}
