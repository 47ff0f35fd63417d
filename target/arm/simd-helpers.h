/* SPDX-License-Identifier: MIT */
/* Integer SIMD helpers for what has no IR operation: pure functions of whole vectors. */
#ifndef TARGET_ARM_SIMD_HELPERS_H
#define TARGET_ARM_SIMD_HELPERS_H

#include "accel/tcg/ir/ir.h"

/* Lane-wise, one, two or three arguments; the shifts take signed byte counts as SSHL does. */
#define ARM_SIMD_LANES(X)                                                                          \
    X(clz, 1) X(cls, 1) X(sshl, 2) X(ushl, 2) X(srshl, 2) X(urshl, 2) X(pmul, 2)
/* The same with saturation: each has a second helper for the mask of saturated lanes. */
#define ARM_SIMD_SATURATING(X)                                                                     \
    X(sqshl, 2) X(uqshl, 2) X(sqrshl, 2) X(uqrshl, 2) X(sqshlu, 2) X(sqdmulh, 2) X(sqrdmulh, 2)    \
    X(suqadd, 2) X(usqadd, 2) X(sqrdmlah, 3) X(sqrdmlsh, 3)

typedef enum {
#define X(name, args) ARM_SIMD_##name,
    ARM_SIMD_LANES(X) ARM_SIMD_SATURATING(X)
#undef X
    ARM_SIMD_COUNT
} ArmSimd;

/* saturated: the mask instead of the result. Accumulating ones take the accumulator first. */
const TcgHelper *arm_simd_helper(ArmSimd op, unsigned esz, bool saturated);

/* a, b: polynomial product of the low eight bytes, as halfwords */
extern const TcgHelper arm_pmull8_helper;
/* accumulator, a, b: 2 x 8 by 8 x 2 matrix products */
extern const TcgHelper arm_smmla_helper, arm_ummla_helper, arm_usmmla_helper;

#endif
