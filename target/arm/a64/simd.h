/* SPDX-License-Identifier: MIT */
/* Emitting FP and SIMD operations: what their translators share. */
#ifndef TARGET_ARM_A64_SIMD_H
#define TARGET_ARM_A64_SIMD_H

#include "target/arm/fp-helpers.h"
#include "target/arm/simd-helpers.h"
#include "target/arm/translate.h"

/*
 * Floating point by FPCR: an IR operation where the host can do it, else the exact helper. Scalar
 * results keep the lanes above lane 0 of a (operations) or clear them (conversions); unused
 * arguments are 0.
 */
IrRef a64_fp(A64Translator *t, ArmFp op, unsigned esz, bool scalar, IrRef a, IrRef b, IrRef c);
/* Operations with an immediate (ARM_FP_UNARY_IMM). */
IrRef a64_fp_imm(A64Translator *t, ArmFp op, unsigned esz, bool scalar, IrRef a, int64_t imm);
/* Scalar to an integer; imm: rounding | fraction bits << 8. */
IrRef a64_fp_to_int(A64Translator *t, unsigned esz, bool is_signed, bool wide, IrRef a,
                    int64_t imm);
/* An integer, divided by 2^fraction_bits, to a scalar. */
IrRef a64_fp_from_int(A64Translator *t, unsigned esz, bool is_signed, bool wide, IrRef a,
                      unsigned fraction_bits);
/* Compares scalars; the result are flags. */
IrRef a64_fp_compare(A64Translator *t, unsigned esz, bool signalling, IrRef a, IrRef b);
/* The value's sign inverted or cleared in each lane (of scalars: lane 0 matters only). */
IrRef a64_fp_neg(A64Translator *t, unsigned esz, IrRef a);
IrRef a64_fp_abs(A64Translator *t, unsigned esz, IrRef a);
/* VFPExpandImm: an 8-bit immediate as a number of esz. */
uint64_t a64_fp_expand_imm(unsigned esz, unsigned imm8);

/* The element size of a scalar instruction's ptype or of a vector's sz; 0: not allocated. */
static inline unsigned a64_fp_ptype_esz(const A64Translator *t, unsigned ptype)
{
    switch (ptype) {
    case 0:
        return 2;
    case 1:
        return 3;
    case 3:
        return a64_has(t, FEAT_FP16) ? 1 : 0;
    default:
        return 0;
    }
}

/* value in all lanes of esz */
static inline uint64_t a64_replicate(unsigned esz, uint64_t value)
{
    static const uint64_t ones[4] = { UINT64_C(0x0101010101010101), UINT64_C(0x0001000100010001),
                                      UINT64_C(0x0000000100000001), 1 };

    return (value & bits_mask(8u << esz)) * ones[esz];
}

static inline IrRef a64_vconst(A64Translator *t, uint64_t low, uint64_t high)
{
    return a64_op(t, (IrOp){ .opcode = IR_OP_vconst, .type = IR_V128, .imm = (int64_t)low,
                             .aux = (int64_t)high });
}

static inline IrRef a64_vsplat(A64Translator *t, unsigned esz, uint64_t value)
{
    uint64_t half = a64_replicate(esz, value);

    return a64_vconst(t, half, half);
}

static inline IrRef a64_vzero(A64Translator *t)
{
    return a64_vconst(t, 0, 0);
}

static inline IrRef a64_vop2i(A64Translator *t, IrOpcode opcode, unsigned esz, IrRef a, IrRef b,
                              int64_t imm)
{
    return a64_op(t, (IrOp){ .opcode = (uint8_t)opcode, .type = IR_V128, .esz = (uint8_t)esz,
                             .args = { a, b }, .imm = imm });
}

/* mask ? a : b, bitwise */
static inline IrRef a64_vselect(A64Translator *t, IrRef mask, IrRef a, IrRef b)
{
    return a64_op(t, (IrOp){ .opcode = IR_OP_vbsl, .type = IR_V128, .args = { mask, a, b } });
}

static inline IrRef a64_vlane(A64Translator *t, IrType type, unsigned esz, IrRef a, unsigned index)
{
    return a64_op(t, (IrOp){ .opcode = IR_OP_vlane, .type = (uint8_t)type, .esz = (uint8_t)esz,
                             .args = { a }, .imm = index });
}

/* Lane `from` of b into lane `to` of a. */
static inline IrRef a64_vinslane(A64Translator *t, unsigned esz, IrRef a, unsigned to, IrRef b,
                                 unsigned from)
{
    return a64_op(t, (IrOp){ .opcode = IR_OP_vinslane, .type = IR_V128, .esz = (uint8_t)esz,
                             .args = { a, b }, .imm = to, .aux = from });
}

/* The widened multiplication and extension ops: low halves, or high halves for the "2" forms. */
static inline IrRef a64_vhalf(A64Translator *t, bool high, IrRef a)
{
    return high ? a64_vop1(t, IR_OP_vhigh, 0, a, 0) : a;
}

static inline IrRef a64_vwiden(A64Translator *t, bool is_signed, unsigned esz, bool high, IrRef a)
{
    return a64_vop1(t, is_signed ? IR_OP_vwidens : IR_OP_vwidenu, esz, a64_vhalf(t, high, a), 0);
}

/* A result of 64 (q = 0: the rest cleared) or 128 bits. */
static inline void a64_set_vq(A64Translator *t, unsigned n, bool q, IrRef value)
{
    a64_set_v_low(t, n, q ? 4 : 3, value);
}

/* A narrowed result in the low half of `value`: to the low half (the rest cleared) or high half. */
static inline void a64_set_vhalf(A64Translator *t, unsigned n, bool high, IrRef value)
{
    if (high) {
        a64_set_v(t, n, a64_vop2(t, IR_OP_vcombine, 0, a64_get_v(t, n), value));
    } else {
        a64_set_v_low(t, n, 3, value);
    }
}

/* Notes saturation: QC is set where any bit of a differs from b. low_bits: as vzext's esz, 4 all. */
void a64_note_saturation(A64Translator *t, unsigned low_esz, IrRef a, IrRef b);
/* The same from a mask of saturated lanes. */
void a64_note_saturation_mask(A64Translator *t, unsigned low_esz, IrRef mask);

/*
 * Wide lanes (esz + 1) limited to narrow ones (esz), noting saturation (low: of the wide value), and
 * narrowed into both halves of the result. An unsigned source always gives an unsigned result.
 */
IrRef a64_simd_narrow(A64Translator *t, unsigned esz, unsigned low, bool from_signed,
                      bool to_signed, IrRef wide);

/* rd = helper(rd, rn, rm) on whole registers, if the processor has the feature. */
bool a64_simd_call3(A64Translator *t, const A64Fields *f, ArmFeature feature,
                    const TcgHelper *helper);

/* d + the sums of four products of neighbouring bytes of n and m, each signed or not (SDOT …). */
IrRef a64_simd_dot(A64Translator *t, IrRef d, IrRef n, bool n_signed, IrRef m, bool m_signed);

#endif
