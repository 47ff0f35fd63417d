/* SPDX-License-Identifier: MIT */
/* State of x87 and SSE: reset, MXCSR. */
#include "base/softfloat.h"
#include "target/i386/control.h"
#include "target/i386/x87.h"

void x86_fpu_reset(X86Cpu *cpu)
{
    memset(&cpu->x87, 0, sizeof cpu->x87);
    x87_init(cpu);
    cpu->x87.control = 0x40;
    cpu->x87.valid = 0xff;
    memset(cpu->xmm, 0, sizeof cpu->xmm);
    memset(&cpu->avx512, 0, sizeof cpu->avx512);
    x86_set_mxcsr(cpu, 0x1f80);
}

enum { MXCSR_FLAGS = 0x3f, MXCSR_DAZ = 1 << 6, MXCSR_RC_SHIFT = 13, MXCSR_FZ = 1 << 15 };

/* FLOAT_* are I Z O U P from bit 0 on and D at 6, MXCSR's sticky bits I D Z O U P. */
uint32_t x86_mxcsr_flags(unsigned exceptions)
{
    return (exceptions & FLOAT_INVALID) | (exceptions & 0x1e) << 1 |
           (exceptions & FLOAT_DENORMAL_USED) >> 5;
}

unsigned x86_float_exceptions(uint32_t flags)
{
    return (flags & FLOAT_INVALID) | (flags >> 1 & 0x1e) | (flags << 5 & FLOAT_DENORMAL_USED);
}

static void load_control(X86Cpu *cpu, uint32_t value)
{
    static const uint8_t rounding[] = { IR_ROUND_NEAREST, IR_ROUND_DOWN, IR_ROUND_UP,
                                        IR_ROUND_ZERO };

    tcg_set_fp_control(&cpu->tcg,
                       (TcgFpControl){ .rounding = rounding[value >> MXCSR_RC_SHIFT & 3],
                                       .flush_operands = value & MXCSR_DAZ,
                                       .flush_results = value & MXCSR_FZ,
                                       .exceptions = (uint8_t)x86_float_exceptions(value) });
}

/* Generated code runs with the guest's rounding and flush modes, and collects its sticky flags. */
uint32_t x86_get_mxcsr(X86Cpu *cpu)
{
    return cpu->mxcsr | x86_mxcsr_flags(tcg_get_fp_control(&cpu->tcg).exceptions);
}

uint32_t x86_mxcsr_mask(const X86Cpu *cpu)
{
    return 0xffff | (x86_has(cpu, X86_FEATURE_MISALIGNSSE) ? MXCSR_MM : 0);
}

void x86_set_mxcsr(X86Cpu *cpu, uint32_t value)
{
    cpu->mxcsr = value & ~(uint32_t)MXCSR_FLAGS;
    load_control(cpu, value);
    x86_update_mode(cpu);
}

void x86_hold_mxcsr_flags(X86Cpu *cpu)
{
    cpu->mxcsr = x86_get_mxcsr(cpu);
    x86_drop_mxcsr_flags(cpu);
}

void x86_drop_mxcsr_flags(X86Cpu *cpu)
{
    load_control(cpu, cpu->mxcsr & ~(uint32_t)MXCSR_FLAGS);
}
