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

enum { MXCSR_DAZ = 1 << 6, MXCSR_RC_SHIFT = 13, MXCSR_FZ = 1 << 15 };

/* MXCSR's sticky bits, by number. */
static const uint8_t sticky[] = { FLOAT_INVALID,  FLOAT_DENORMAL_USED, FLOAT_DIVIDE_BY_ZERO,
                                  FLOAT_OVERFLOW, FLOAT_UNDERFLOW,     FLOAT_INEXACT };

uint32_t x86_mxcsr_flags(unsigned exceptions)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(sticky); i++) {
        value |= exceptions & sticky[i] ? 1u << i : 0;
    }
    return value;
}

unsigned x86_float_exceptions(uint32_t flags)
{
    unsigned exceptions = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(sticky); i++) {
        exceptions |= flags >> i & 1 ? sticky[i] : 0u;
    }
    return exceptions;
}

/* Generated code runs with the guest's rounding and flush modes, and collects its sticky flags. */
uint32_t x86_get_mxcsr(X86Cpu *cpu)
{
    return cpu->mxcsr | x86_mxcsr_flags(tcg_get_fp_control(&cpu->tcg).exceptions);
}

void x86_set_mxcsr(X86Cpu *cpu, uint32_t value)
{
    static const uint8_t rounding[] = { IR_ROUND_NEAREST, IR_ROUND_DOWN, IR_ROUND_UP,
                                        IR_ROUND_ZERO };

    cpu->mxcsr = value;
    tcg_set_fp_control(&cpu->tcg, (TcgFpControl){ .rounding = rounding[value >> MXCSR_RC_SHIFT & 3],
                                                  .flush_operands = value & MXCSR_DAZ,
                                                  .flush_results = value & MXCSR_FZ });
    x86_update_mode(cpu);
}
