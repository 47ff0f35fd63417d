/* SPDX-License-Identifier: MIT */
/* Control, debug and model-specific registers; CPUID. Faults unwind. */
#ifndef TARGET_I386_CONTROL_H
#define TARGET_I386_CONTROL_H

#include "target/i386/cpu.h"

/* control.c: n is 0, 2, 3, 4, 8 (others have been refused). Writes check their values: #GP. */
uint64_t x86_get_cr(X86Cpu *cpu, unsigned n);
void x86_set_cr(X86Cpu *cpu, unsigned n, uint64_t value);
/* The same without checks, for reset, tasks, SMM and debuggers: keeps mode, context and EFER.LMA. */
void x86_put_cr0(X86Cpu *cpu, uint64_t value);
void x86_put_cr3(X86Cpu *cpu, uint64_t value);
void x86_put_cr4(X86Cpu *cpu, uint64_t value);
/* The bits that the model lets be set. */
uint64_t x86_cr4_mask(const X86Cpu *cpu);
uint64_t x86_efer_mask(const X86Cpu *cpu);
/* Whether all eight are types of memory that a PAT may have. */
bool x86_is_pat(uint64_t value);
void x86_set_dr(X86Cpu *cpu, unsigned n, uint64_t value);
/* Whether DR7 enables a breakpoint on instructions. */
bool x86_instruction_breaks(const X86Cpu *cpu);
/* xsave.c: which bits of XCR0 the model has. */
uint64_t x86_xcr0_mask(const X86Cpu *cpu);

/* ZF, the answer of instructions whose other flags stay. */
static inline void x86_set_zf(X86Cpu *cpu, bool set)
{
    cpu->flags = (uint16_t)((cpu->flags & ~TCG_FLAG_Z) | (set ? TCG_FLAG_Z : 0));
}

/* msr.c: false: #GP. */
bool x86_read_msr(X86Cpu *cpu, uint32_t index, uint64_t *value);
bool x86_write_msr(X86Cpu *cpu, uint32_t index, uint64_t value);
void x86_msrs_reset(X86Cpu *cpu);
uint64_t x86_read_tsc(X86Cpu *cpu);
/* Ticks of a counter that started with the virtual clock, at cpu->tsc_hz. */
uint64_t x86_tsc_at(const X86Cpu *cpu, int64_t virtual_ns);
/* Target.timestamp_to_clock */
int64_t x86_timestamp_to_clock(const Vcpu *vcpu, uint64_t timestamp);
enum { X86_TSC_HZ = 1000000000 }; /* when nothing else is asked for; the virtual clock's ticks */

/* cpuid.c */
void x86_cpuid(X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* fpu-state.c: what INIT leaves alone and reset does not. */
void x86_fpu_reset(X86Cpu *cpu);
/* MXCSR with the sticky flags of what has been computed. */
uint32_t x86_get_mxcsr(X86Cpu *cpu);
void x86_set_mxcsr(X86Cpu *cpu, uint32_t value);
enum { MXCSR_MM = 1 << 17 };
/* The bits that MXCSR has. */
uint32_t x86_mxcsr_mask(const X86Cpu *cpu);
/* For who asks what a computation raises: the flags so far are kept apart (X86Cpu.mxcsr) until MXCSR is set; those since then are dropped. */
void x86_hold_mxcsr_flags(X86Cpu *cpu);
void x86_drop_mxcsr_flags(X86Cpu *cpu);
/* MXCSR's six flags, bit 0 on, as FLOAT_* and back. */
uint32_t x86_mxcsr_flags(unsigned exceptions);
unsigned x86_float_exceptions(uint32_t flags);

/* smm.c */
void x86_enter_smm(X86Cpu *cpu);
void x86_leave_smm(X86Cpu *cpu);

#endif
