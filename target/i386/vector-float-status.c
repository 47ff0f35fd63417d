/* SPDX-License-Identifier: MIT */
#include "target/i386/vector-float-status.h"

#include "target/i386/control.h"

enum {
    MXCSR_DAZ = 1 << 6,
    MXCSR_OM = 1 << 10,
    MXCSR_UM = 1 << 11,
    MXCSR_RC_SHIFT = 13,
    MXCSR_FZ = 1 << 15
};

FloatRounding x86_float_rounding(unsigned rc)
{
    static const uint8_t rounding[] = { FLOAT_ROUND_NEAREST, FLOAT_ROUND_DOWN, FLOAT_ROUND_UP,
                                        FLOAT_ROUND_ZERO };

    return (FloatRounding)rounding[rc & 3];
}

FloatStatus x86_float_status(void)
{
    uint32_t mxcsr = __builtin_ia32_stmxcsr();

    return (FloatStatus){ .rounding = (uint8_t)x86_float_rounding(mxcsr >> MXCSR_RC_SHIFT),
                          .nan_rule = FLOAT_NAN_SSE,
                          .default_nan_negative = true,
                          .flush_inputs = mxcsr & MXCSR_DAZ,
                          .flush_outputs = mxcsr & MXCSR_FZ,
                          .trapped = (uint8_t)((mxcsr & MXCSR_OM ? 0 : FLOAT_OVERFLOW) |
                                               (mxcsr & MXCSR_UM ? 0 : FLOAT_UNDERFLOW)) };
}

void x86_note_exceptions(const FloatStatus *status)
{
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | x86_mxcsr_flags(status->flags));
}
