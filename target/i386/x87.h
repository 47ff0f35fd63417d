/* SPDX-License-Identifier: MIT */
/* The x87: state, and what SSE and MMX need of it. */
#ifndef TARGET_I386_X87_H
#define TARGET_I386_X87_H

#include "target/i386/cpu.h"

/* Raises #MF, or FERR# without CR0.NE, when an unmasked exception is pending: unwinds, or returns. */
void x87_raise_pending(X86Cpu *cpu);
static inline void x87_check_pending(X86Cpu *cpu)
{
    if (cpu->x87.status & ~cpu->x87.control & 0x3f) {
        x87_raise_pending(cpu);
    }
}
void x87_signal_ferr(X86Cpu *cpu);
/* After exceptions may have been cleared or masked. */
void x87_update_ferr(X86Cpu *cpu);

/*
 * While all exceptions are masked, generated code has the registers, the status and the tags in the host's x87
 * (TcgState.x87_lent, accel/tcg/ir/host-code.h), and notes where instructions were in X86Cpu.x87_noted. Helpers settle before they
 * look at X87State; outside generated code it is always settled. The masks of X87State.control always hold.
 * A helper that settles has HELPER_WRITES: what it notes are variables.
 */
void x87_lend(TcgState *env);
void x87_take_back(X86Cpu *cpu);
void x87_make_pointers(X86Cpu *cpu);
static inline void x87_settle_pointers(X86Cpu *cpu)
{
    if (cpu->x87_noted.fop | cpu->x87_noted.fds) {
        x87_make_pointers(cpu);
    }
}

static inline void x87_settle(X86Cpu *cpu)
{
    if (cpu->tcg.x87_lent) {
        x87_take_back(cpu);
    }
    x87_settle_pointers(cpu);
}

/* The whole state. Tag words: two bits per physical register, or one that says "not empty". */
void x87_init(X86Cpu *cpu);
uint16_t x87_status_word(const X86Cpu *cpu);
void x87_set_status_word(X86Cpu *cpu, uint16_t value);
uint16_t x87_full_tag_word(const X86Cpu *cpu);
void x87_set_full_tag_word(X86Cpu *cpu, uint16_t value);
void x87_set_control_word(X86Cpu *cpu, uint16_t value);

#endif
