/* SPDX-License-Identifier: MIT */
/* MXCSR (Intel SDM volume 1, 10.2.3) in neutral terms. All exceptions are masked, unless somebody waits for them. */
#include <ucontext.h>

#include "accel/tcg/host/host.h"
#include "base/softfloat.h"

enum {
    MXCSR_FLAGS = 0x3f,
    MXCSR_DAZ = 1 << 6,
    MXCSR_MASKS = 0x1f80,
    MXCSR_MASK_SHIFT = 7,
    MXCSR_ROUNDING_SHIFT = 13,
    MXCSR_FZ = 1 << 15,
};

enum { VECTOR_XM = 19 }; /* SIMD floating-point exception */

/* RC of IR_ROUND_NEAREST, UP, DOWN, ZERO; its own inverse. */
static const uint8_t rounding[4] = { 0, 2, 1, 3 };

/* FLOAT_* have Arm's places: I Z O U P from bit 0 on, D at 6; MXCSR has I D Z O U P. Helpers of guests' libraries ask often. */
static uint32_t flags_of(unsigned exceptions)
{
    return (exceptions & FLOAT_INVALID) | (exceptions & 0x1e) << 1 |
           (exceptions & FLOAT_DENORMAL_USED) >> 5;
}

static unsigned exceptions_of(uint32_t flags)
{
    return (flags & FLOAT_INVALID) | (flags >> 1 & 0x1e) | (flags << 5 & FLOAT_DENORMAL_USED);
}

uint32_t host_fp_word(TcgFpControl control)
{
    return MXCSR_MASKS | (uint32_t)rounding[control.rounding & 3] << MXCSR_ROUNDING_SHIFT |
           (control.flush_operands ? MXCSR_DAZ : 0) |
           (control.flush_results ? (uint32_t)MXCSR_FZ : 0) | flags_of(control.exceptions);
}

TcgFpControl host_fp_control(uint32_t word)
{
    return (TcgFpControl){ .rounding = rounding[word >> MXCSR_ROUNDING_SHIFT & 3],
                           .flush_operands = word & MXCSR_DAZ,
                           .flush_results = word & MXCSR_FZ,
                           .exceptions = (uint8_t)exceptions_of(word) };
}

uint32_t host_fp_read(void)
{
    return __builtin_ia32_stmxcsr();
}

void host_fp_load(uint32_t word)
{
    __builtin_ia32_ldmxcsr(word);
}

uint32_t host_fp_unmask(uint32_t word, unsigned exceptions)
{
    return word & ~(flags_of(exceptions) << MXCSR_MASK_SHIFT);
}

bool host_fp_resume(void *context, unsigned *raised)
{
    mcontext_t *state = &((ucontext_t *)context)->uc_mcontext;

    if (state->gregs[REG_TRAPNO] != VECTOR_XM) {
        return false;
    }
    *raised = host_fp_control(state->fpregs->mxcsr).exceptions;
    state->fpregs->mxcsr |= MXCSR_MASKS;
    return true;
}
