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

static const struct {
    uint8_t mxcsr, exception;
} flags[] = {
    { 1 << 0, FLOAT_INVALID },  { 1 << 1, FLOAT_DENORMAL_USED }, { 1 << 2, FLOAT_DIVIDE_BY_ZERO },
    { 1 << 3, FLOAT_OVERFLOW }, { 1 << 4, FLOAT_UNDERFLOW },     { 1 << 5, FLOAT_INEXACT },
};

uint32_t host_fp_word(TcgFpControl control)
{
    uint32_t word = MXCSR_MASKS | (uint32_t)rounding[control.rounding & 3] << MXCSR_ROUNDING_SHIFT |
                    (control.flush_operands ? MXCSR_DAZ : 0) |
                    (control.flush_results ? (uint32_t)MXCSR_FZ : 0);

    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        word |= control.exceptions & flags[i].exception ? flags[i].mxcsr : 0u;
    }
    return word;
}

TcgFpControl host_fp_control(uint32_t word)
{
    TcgFpControl control = { .rounding = rounding[word >> MXCSR_ROUNDING_SHIFT & 3],
                             .flush_operands = word & MXCSR_DAZ,
                             .flush_results = word & MXCSR_FZ };

    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        control.exceptions |= word & flags[i].mxcsr ? flags[i].exception : 0;
    }
    return control;
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
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        word &= exceptions & flags[i].exception ? ~((uint32_t)flags[i].mxcsr << MXCSR_MASK_SHIFT)
                                                : UINT32_MAX;
    }
    return word;
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
