/* SPDX-License-Identifier: MIT */
/*
 * Floating-point instructions that are computed in integers, for the interpreter: by the MXCSR that is loaded, which is
 * the guest's as far as rounding, flushing and sticky flags go.
 */
#ifndef TARGET_I386_VECTOR_FLOAT_STATUS_H
#define TARGET_I386_VECTOR_FLOAT_STATUS_H

#include "base/softfloat.h"

FloatStatus x86_float_status(void);
/* Adds the status's exceptions to MXCSR's sticky flags. */
void x86_note_exceptions(const FloatStatus *status);
/* Of MXCSR.RC and rounding immediates. */
FloatRounding x86_float_rounding(unsigned rc);

#endif
