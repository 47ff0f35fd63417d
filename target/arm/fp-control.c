/* SPDX-License-Identifier: MIT */
/*
 * FPCR and FPSR (Arm ARM DDI 0487, C5.2). The cumulative exception bits are the union of what helpers
 * have put into `fpsr` and of the sticky bits of MXCSR, which generated code sets; QC is any bit of
 * the guest variable `qc`. Trapped exceptions are not implemented: the enable bits are RAZ/WI.
 */
#include "target/arm/fp-helpers.h"

enum {
    MXCSR_DEFAULT = 0x1f80, /* all exceptions masked */
    MXCSR_STICKY = 0x3f,
    MXCSR_ROUNDING_SHIFT = 13,
};

FloatStatus arm_fp_status(const ArmCpu *cpu)
{
    uint32_t fpcr = (uint32_t)cpu->fpcr;
    bool flush = fpcr & FPCR_FZ, flush_half = fpcr & FPCR_FZ16;

    return (FloatStatus){
        .rounding = fpcr >> FPCR_RMODE_SHIFT & 3,
        .default_nan = fpcr & FPCR_DN,
        .tininess_before = true,
        .flush_inputs = flush,
        .flush_outputs = flush,
        .flush_inputs_half = flush_half,
        .flush_outputs_half = flush_half,
    };
}

uint32_t arm_fpcr_mode(uint32_t fpcr)
{
    /* FZ16 matters to half precision only, which is never native. */
    return (fpcr & FPCR_FZ ? ARM_MODE_FP_FZ : 0) | (fpcr & FPCR_DN ? ARM_MODE_FP_DN : 0) |
           (fpcr & FPCR_AHP ? ARM_MODE_FP_AHP : 0);
}

uint32_t arm_get_fpcr(ArmCpu *cpu)
{
    return (uint32_t)cpu->fpcr;
}

void arm_set_fpcr(ArmCpu *cpu, uint32_t value)
{
    /* nearest, up, down, zero as MXCSR.RC */
    static const uint8_t rounding[4] = { 0, 2, 1, 3 };
    uint32_t mask = FPCR_AHP | FPCR_DN | FPCR_FZ | 3u << FPCR_RMODE_SHIFT;
    uint32_t sticky = tcg_get_mxcsr(&cpu->tcg) & MXCSR_STICKY;

    if (arm_has(cpu, FEAT_FP16)) {
        mask |= FPCR_FZ16;
    }
    cpu->fpcr = value & mask;
    tcg_set_mxcsr(&cpu->tcg,
                  MXCSR_DEFAULT | sticky |
                      (uint32_t)rounding[value >> FPCR_RMODE_SHIFT & 3] << MXCSR_ROUNDING_SHIFT);
}

uint32_t arm_get_fpsr(ArmCpu *cpu)
{
    uint32_t sticky = tcg_get_mxcsr(&cpu->tcg);
    uint32_t value = (uint32_t)cpu->fpsr & FPSR_EXCEPTIONS;

    /* IE; then ZE OE UE PE, with DE (bit 1), which has no counterpart, left out. */
    value |= (sticky & 1) | (sticky >> 1 & 0x1e);
    return cpu->qc[0] | cpu->qc[1] ? value | FPSR_QC : value;
}

void arm_set_fpsr(ArmCpu *cpu, uint32_t value)
{
    tcg_set_mxcsr(&cpu->tcg, tcg_get_mxcsr(&cpu->tcg) & ~(uint32_t)MXCSR_STICKY);
    cpu->fpsr = value & FPSR_EXCEPTIONS;
    cpu->qc = (V128){ value & FPSR_QC, 0 };
}
