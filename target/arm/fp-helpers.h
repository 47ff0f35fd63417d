/* SPDX-License-Identifier: MIT */
/*
 * Floating-point helpers: exact for every FPCR. Generated code calls them directly when FPCR asks for
 * what the host cannot do, and from cold stubs otherwise; the interpreter always does.
 */
#ifndef TARGET_ARM_FP_HELPERS_H
#define TARGET_ARM_FP_HELPERS_H

#include "base/softfloat.h"
#include "target/arm/cpu.h"

enum {
    FPCR_FZ16 = 1 << 19,
    FPCR_RMODE_SHIFT = 22,
    FPCR_FZ = 1 << 24,
    FPCR_DN = 1 << 25,
    FPCR_AHP = 1 << 26,
    FPSR_EXCEPTIONS = 0x9f,
    FPSR_QC = 1 << 27,
};

/* Operations on lanes of halves, singles or doubles (esz 1 to 3), on lane 0 only or on all. */
#define ARM_FP_UNARY(X) X(sqrt) X(recpe) X(rsqrte) X(recpx)
/* with an immediate: see the functions */
#define ARM_FP_UNARY_IMM(X) X(cvt) X(round) X(rint) X(vfrom_s) X(vfrom_u) X(vto_s) X(vto_u)
#define ARM_FP_BINARY(X)                                                                           \
    X(add) X(sub) X(mul) X(div) X(min) X(max) X(minnm) X(maxnm) X(cmpeq) X(cmpgt) X(cmpge)         \
    X(mulx) X(recps) X(rsqrts)
#define ARM_FP_TERNARY(X) X(fma)

typedef enum {
#define X(name) ARM_FP_##name,
    ARM_FP_UNARY(X) ARM_FP_UNARY_IMM(X) ARM_FP_BINARY(X) ARM_FP_TERNARY(X)
#undef X
    ARM_FP_COUNT
} ArmFp;

/*
 * Immediates: round: IrFop's. cvt: destination format (1 to 3, ARM_CVT_BF16), | ARM_CVT_ODD;
 * rint: rounding | bits << 8; vto: rounding | fraction bits << 8; vfrom: fraction bits << 8.
 */
enum { ARM_CVT_BF16 = 4, ARM_CVT_ODD = 1 << 8 };

const TcgHelper *arm_fp_helper(ArmFp op, unsigned esz, bool scalar);

/* Scalar conversions; wide: a 64-bit integer. Immediates as for vto and vfrom. */
const TcgHelper *arm_fp_to_int_helper(unsigned esz, bool is_signed, bool wide);
const TcgHelper *arm_fp_from_int_helper(unsigned esz, bool is_signed, bool wide);
/* Comparison: flags as flags.h has them (for fcmp), or NZCV in an i32 (for calls). imm 1: signalling. */
const TcgHelper *arm_fp_compare_helper(unsigned esz, bool packed);

extern const TcgHelper arm_fjcvtzs_helper;      /* result in bits 31 to 0, Z in bit 32 */
/* d, n, m; imm: esz | rotation / 90 << 4 | q << 8 | (1 + pair) << 12 by element */
extern const TcgHelper arm_fcadd_helper, arm_fcmla_helper;
/* d, n, m (f16 lanes 0 to 3 of n and m, widened); n is already negated for FMLSL */
extern const TcgHelper arm_fmlal_helper;
/* d, n, m: BFloat16 dot and matrix products */
extern const TcgHelper arm_bfdot_helper, arm_bfmmla_helper;
extern const TcgHelper arm_urecpe_helper, arm_ursqrte_helper;

FloatStatus arm_fp_status(const ArmCpu *cpu);

static inline void arm_fp_raise(ArmCpu *cpu, const FloatStatus *s)
{
    cpu->fpsr |= s->flags & FPSR_EXCEPTIONS;
}

static inline FloatRounding arm_fp_rounding(uint64_t imm, const FloatStatus *s)
{
    return (imm & 7) == IR_ROUND_CURRENT ? (FloatRounding)s->rounding : (FloatRounding)(imm & 7);
}

static inline const FloatFormat *arm_fp_format(unsigned esz)
{
    return esz == 1 ? &float_f16 : esz == 2 ? &float_f32 : &float_f64;
}

#endif
