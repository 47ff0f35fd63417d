/* SPDX-License-Identifier: MIT */
/*
 * Advanced SIMD: floating-point operations on one register, vector and scalar: rounding, conversion,
 * comparison with zero, estimates, changes of format (Arm ARM DDI 0487, C4.1.96).
 */
#include "target/arm/a64/simd-fp.h"

typedef enum {
    NONE,
    ROUND,
    ROUND_BITS,
    TO_INT,
    FROM_INT,
    COMPARE_ZERO,
    ZERO_COMPARE,
    PLAIN,
    ABS,
    NEG,
    UNSIGNED_ESTIMATE,
} MiscKind;

enum { VECTOR = 1, SCALAR = 2, BOTH = 3 };

typedef struct {
    uint8_t kind, arg, forms; /* arg: rounding, ArmFp, or integer size */
} MiscOp;

/* Index: a, opcode, u. */
static const MiscOp misc_ops[2][32][2] = {
    [0] = {
        [0x18] = { { ROUND, IR_ROUND_NEAREST, VECTOR }, { ROUND, IR_ROUND_AWAY, VECTOR } },
        [0x19] = { { ROUND, IR_ROUND_DOWN, VECTOR },
                   { ROUND, IR_ROUND_CURRENT | IR_ROUND_EXACT, VECTOR } },
        [0x1a] = { { TO_INT, IR_ROUND_NEAREST, BOTH }, { TO_INT, IR_ROUND_NEAREST, BOTH } },
        [0x1b] = { { TO_INT, IR_ROUND_DOWN, BOTH }, { TO_INT, IR_ROUND_DOWN, BOTH } },
        [0x1c] = { { TO_INT, IR_ROUND_AWAY, BOTH }, { TO_INT, IR_ROUND_AWAY, BOTH } },
        [0x1d] = { { FROM_INT, 0, BOTH }, { FROM_INT, 0, BOTH } },
        [0x1e] = { { ROUND_BITS, 32, VECTOR }, { ROUND_BITS, 32, VECTOR } },
        [0x1f] = { { ROUND_BITS, 64, VECTOR }, { ROUND_BITS, 64, VECTOR } },
    },
    [1] = {
        [0x0c] = { { COMPARE_ZERO, ARM_FP_cmpgt, BOTH }, { COMPARE_ZERO, ARM_FP_cmpge, BOTH } },
        [0x0d] = { { COMPARE_ZERO, ARM_FP_cmpeq, BOTH }, { ZERO_COMPARE, ARM_FP_cmpge, BOTH } },
        [0x0e] = { { ZERO_COMPARE, ARM_FP_cmpgt, BOTH }, { NONE } },
        [0x0f] = { { ABS, 0, VECTOR }, { NEG, 0, VECTOR } },
        [0x18] = { { ROUND, IR_ROUND_UP, VECTOR }, { NONE } },
        [0x19] = { { ROUND, IR_ROUND_ZERO, VECTOR }, { ROUND, IR_ROUND_CURRENT, VECTOR } },
        [0x1a] = { { TO_INT, IR_ROUND_UP, BOTH }, { TO_INT, IR_ROUND_UP, BOTH } },
        [0x1b] = { { TO_INT, IR_ROUND_ZERO, BOTH }, { TO_INT, IR_ROUND_ZERO, BOTH } },
        [0x1c] = { { UNSIGNED_ESTIMATE, 0, VECTOR }, { UNSIGNED_ESTIMATE, 1, VECTOR } },
        [0x1d] = { { PLAIN, ARM_FP_recpe, BOTH }, { PLAIN, ARM_FP_rsqrte, BOTH } },
        [0x1f] = { { PLAIN, ARM_FP_recpx, SCALAR }, { PLAIN, ARM_FP_sqrt, VECTOR } },
    },
};

/* Whether the host converts a whole vector; else its lanes are converted one by one. */
static bool is_vector_conversion(bool u, unsigned esz, unsigned rounding)
{
    return esz == 1 || (esz == 2 && !u && rounding != IR_ROUND_AWAY);
}

static IrRef to_int(A64Translator *t, bool u, unsigned esz, unsigned lanes, unsigned rounding,
                    IrRef n)
{
    bool wide = esz == 3;
    IrRef result;

    if (lanes > 1 && is_vector_conversion(u, esz, rounding)) {
        return a64_fp_imm(t, u ? ARM_FP_vto_u : ARM_FP_vto_s, esz, false, n, rounding);
    }
    if (esz == 1) {
        return a64_fp_imm(t, u ? ARM_FP_vto_u : ARM_FP_vto_s, esz, true, n, rounding);
    }
    result = a64_vop1(t, IR_OP_vfromint, 0, a64_fp_to_int(t, esz, !u, wide, n, rounding), 0);
    for (unsigned i = 1; i < lanes; i++) {
        IrRef lane = a64_vop1(t, IR_OP_vduplane, esz, n, i);

        result = a64_vop2i(t, IR_OP_vins, esz, result,
                           a64_fp_to_int(t, esz, !u, wide, lane, rounding), i);
    }
    return result;
}

static IrRef from_int(A64Translator *t, bool u, unsigned esz, unsigned lanes, IrRef n)
{
    IrRef result = 0;

    if (esz == 1 || (lanes > 1 && is_vector_conversion(u, esz, IR_ROUND_CURRENT))) {
        return a64_fp_imm(t, u ? ARM_FP_vfrom_u : ARM_FP_vfrom_s, esz, lanes == 1, n, 0);
    }
    for (unsigned i = 0; i < lanes; i++) {
        IrRef value = a64_vlane(t, esz == 3 ? IR_I64 : IR_I32, esz, n, i);
        IrRef lane = a64_fp_from_int(t, esz, !u, esz == 3, value, 0);

        result = i ? a64_vinslane(t, esz, result, i, lane, 0) : lane;
    }
    return result;
}

static IrRef emit_misc(A64Translator *t, const MiscOp *op, bool u, unsigned esz, unsigned lanes,
                       IrRef n)
{
    bool scalar = lanes == 1;
    int rounding;

    switch ((MiscKind)op->kind) {
    case ROUND:
        return a64_fp_imm(t, ARM_FP_round, esz, scalar, n, op->arg);
    case ROUND_BITS:
        rounding = u ? IR_ROUND_CURRENT : IR_ROUND_ZERO;
        return a64_fp_imm(t, ARM_FP_rint, esz, scalar, n, rounding | op->arg << 8);
    case TO_INT:
        return to_int(t, u, esz, lanes, op->arg, n);
    case FROM_INT:
        return from_int(t, u, esz, lanes, n);
    case COMPARE_ZERO:
        return a64_fp(t, (ArmFp)op->arg, esz, scalar, n, a64_vzero(t), 0);
    case ZERO_COMPARE:
        return a64_fp(t, (ArmFp)op->arg, esz, scalar, a64_vzero(t), n, 0);
    case ABS:
        return a64_fp_abs(t, esz, n);
    case NEG:
        return a64_fp_neg(t, esz, n);
    case UNSIGNED_ESTIMATE:
        return a64_call(t, op->arg ? &arm_ursqrte_helper : &arm_urecpe_helper, n, 0, 0, 0);
    default:
        return a64_fp(t, (ArmFp)op->arg, esz, scalar, n, 0, 0);
    }
}

static bool misc(A64Translator *t, const A64Fields *f, unsigned esz, bool scalar)
{
    const MiscOp *op = &misc_ops[f->a][f->opcode][f->u];
    bool q = !scalar && f->q;
    unsigned lanes;

    if (!(op->forms & (scalar ? SCALAR : VECTOR)) || (esz == 3 && !scalar && !q) ||
        (esz == 1 && !a64_has(t, FEAT_FP16)) || (op->kind == UNSIGNED_ESTIMATE && esz != 2) ||
        (op->kind == ROUND_BITS && (esz == 1 || !a64_has(t, FEAT_FRINTTS)))) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    lanes = scalar ? 1 : (q ? 16u : 8u) >> esz;
    a64_set_v_low(t, f->rd, scalar ? esz : 3u + q,
                  emit_misc(t, op, f->u, esz, lanes, a64_fp_operand(t, esz, scalar || q, f->rn)));
    return true;
}

INSTRUCTION(simd_fp_misc, "0 q u 01110 a sz 10000 opcode:5 10 rn:5 rd:5",
            "opcode >= 24 || (a == 1 && opcode >= 12 && opcode < 16)")
static bool translate_simd_fp_misc(A64Translator *t, const A64Fields *f)
{
    return misc(t, f, 2 + f->sz, false);
}

INSTRUCTION(simd_fp_misc_scalar, "01 u 11110 a sz 10000 opcode:5 10 rn:5 rd:5",
            "opcode >= 24 || (a == 1 && opcode >= 12 && opcode < 16)")
static bool translate_simd_fp_misc_scalar(A64Translator *t, const A64Fields *f)
{
    return misc(t, f, 2 + f->sz, true);
}

INSTRUCTION(simd_fp16_misc, "0 q u 01110 a 111100 opcode:5 10 rn:5 rd:5")
static bool translate_simd_fp16_misc(A64Translator *t, const A64Fields *f)
{
    return misc(t, f, 1, false);
}

INSTRUCTION(simd_fp16_misc_scalar, "01 u 11110 a 111100 opcode:5 10 rn:5 rd:5")
static bool translate_simd_fp16_misc_scalar(A64Translator *t, const A64Fields *f)
{
    return misc(t, f, 1, true);
}

static IrRef convert(A64Translator *t, unsigned from, unsigned to, unsigned flags, IrRef n)
{
    return a64_fp_imm(t, ARM_FP_cvt, from, false, n, to | flags);
}

INSTRUCTION(fcvtl, "0 q 0 01110 0 sz 10000 10111 10 rn:5 rd:5")
static bool translate_fcvtl(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v(t, f->rd,
              convert(t, 1 + f->sz, 2 + f->sz, 0, a64_vhalf(t, f->q, a64_get_v(t, f->rn))));
    return true;
}

INSTRUCTION(fcvtn, "0 q 0 01110 0 sz 10000 10110 10 rn:5 rd:5")
static bool translate_fcvtn(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vhalf(t, f->rd, f->q, convert(t, 2 + f->sz, 1 + f->sz, 0, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(fcvtxn, "0 q 1 01110 01 10000 10110 10 rn:5 rd:5")
static bool translate_fcvtxn(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vhalf(t, f->rd, f->q, convert(t, 3, 2, ARM_CVT_ODD, a64_get_v(t, f->rn)));
    return true;
}

INSTRUCTION(fcvtxn_scalar, "01 1 11110 01 10000 10110 10 rn:5 rd:5")
static bool translate_fcvtxn_scalar(A64Translator *t, const A64Fields *f)
{
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_v_low(t, f->rd, 2,
                  a64_fp_imm(t, ARM_FP_cvt, 3, true, a64_get_v(t, f->rn), 2 | ARM_CVT_ODD));
    return true;
}

INSTRUCTION(bfcvtn, "0 q 0 01110 10 10000 10110 10 rn:5 rd:5")
static bool translate_bfcvtn(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_BF16)) {
        return false;
    }
    if (!a64_fp_access(t)) {
        return true;
    }
    a64_set_vhalf(t, f->rd, f->q, convert(t, 2, ARM_CVT_BF16, 0, a64_get_v(t, f->rn)));
    return true;
}
