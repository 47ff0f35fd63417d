/* SPDX-License-Identifier: MIT */
/*
 * FPCR and FPSR (Arm ARM DDI 0487, C5.2). The cumulative exception bits are the union of what helpers
 * have put into `fpsr` and of those that the host's instructions note; QC is any bit of the guest
 * variable `qc`. Trapped exceptions are not implemented: the enable bits are RAZ/WI.
 */
#include "target/arm/fp-helpers.h"

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
    uint32_t mask = FPCR_AHP | FPCR_DN | FPCR_FZ | 3u << FPCR_RMODE_SHIFT;
    TcgFpControl host = tcg_get_fp_control(&cpu->tcg);

    if (arm_has(cpu, FEAT_FP16)) {
        mask |= FPCR_FZ16;
    }
    cpu->fpcr = value & mask;
    /* FZ is not the host's affair: see IrOp.cond of fop. */
    host.rounding = value >> FPCR_RMODE_SHIFT & 3;
    tcg_set_fp_control(&cpu->tcg, host);
}

uint32_t arm_get_fpsr(ArmCpu *cpu)
{
    uint32_t value = (uint32_t)cpu->fpsr & FPSR_EXCEPTIONS;

    /* FLOAT_* are at the places of FPSR; the use of denormals has no counterpart. */
    value |= tcg_get_fp_control(&cpu->tcg).exceptions & ~(uint32_t)FLOAT_DENORMAL_USED;
    return cpu->qc[0] | cpu->qc[1] ? value | FPSR_QC : value;
}

void arm_set_fpsr(ArmCpu *cpu, uint32_t value)
{
    TcgFpControl host = tcg_get_fp_control(&cpu->tcg);

    host.exceptions = 0;
    tcg_set_fp_control(&cpu->tcg, host);
    cpu->fpsr = value & FPSR_EXCEPTIONS;
    cpu->qc = (V128){ value & FPSR_QC, 0 };
}
