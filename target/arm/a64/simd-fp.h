/* SPDX-License-Identifier: MIT */
/* What the translators of vector floating point share. */
#ifndef TARGET_ARM_A64_SIMD_FP_H
#define TARGET_ARM_A64_SIMD_FP_H

#include "target/arm/a64/simd.h"

/*
 * A vector operand. For 64-bit vectors the high half is all 1.0: what is computed there can raise no
 * exception, whatever the register held.
 */
IrRef a64_fp_operand(A64Translator *t, unsigned esz, bool q, unsigned n);

#endif
