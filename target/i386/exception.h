/* SPDX-License-Identifier: MIT */
/* Exceptions and interrupts: raising, delivery by the IDT or IVT, what waits to be delivered. */
#ifndef TARGET_I386_EXCEPTION_H
#define TARGET_I386_EXCEPTION_H

#include "target/i386/cpu.h"

/*
 * For helpers: raises a fault at the current instruction (the pc is exact) and unwinds. error_code counts for the
 * vectors that push one.
 */
_Noreturn void x86_fault(X86Cpu *cpu, X86Vector vector, uint32_t error_code);
/* A fault while another event was being delivered becomes a double fault or shutdown: the same, returns. */
void x86_take_fault(X86Cpu *cpu, X86Vector vector, uint32_t error_code);
/* Instructions that interrupt: next_eip is pushed. Returns with the new pc set. Both bytes of CD 03 and CD 04 are INT n. */
typedef enum { X86_INT_N, X86_INT3_INTO, X86_INT1 } X86SoftwareKind;
void x86_software_interrupt(X86Cpu *cpu, unsigned vector, uint64_t next_eip, X86SoftwareKind kind);
/* An interrupt that a controller or an NMI brought, between instructions. */
void x86_hardware_interrupt(X86Cpu *cpu, unsigned vector);
/* A debug trap (#DB) with these DR6 bits, after an instruction: the pc is the next one's. */
void x86_debug_trap(X86Cpu *cpu, uint64_t dr6);

/* TcgTarget.insn_done: after an instruction in a unit of its own: the interrupt shadow ends, TF traps. */
void x86_insn_done(TcgState *env, uint64_t mode);
/* TcgTarget.check_insn: instruction breakpoints of DR7. */
bool x86_check_insn(TcgState *env);
/* Stops the processor until a reset, which is asked for. */
void x86_shut_down(X86Cpu *cpu, const char *reason);
/* Logs the registers at a triple fault, if that was asked for or it ends the run. */
void x86_describe_triple_fault(X86Cpu *cpu);

/* TcgTarget's hooks. */
void x86_raise_fault(TcgState *env);
void x86_raise_bus_error(TcgState *env, uint64_t guest_virt, TcgAccess access);
void x86_take_interrupt(TcgState *env);
bool x86_wake(TcgState *env);
bool x86_prepare_pc(TcgState *env);
/*
 * TcgTarget.check_jump: near branches of 64-bit code to addresses that are not canonical fault as if they had not begun. origin:
 * offset in the page of the instruction, and above X86_ORIGIN_SHIFT what it has added to RSP.
 */
enum { X86_ORIGIN_SHIFT = 16 };
void x86_check_indirect(TcgState *env, uint64_t guest_virt, int64_t origin);

/* Delivers what a VMCB's EVENTINJ says. next_eip: what software interrupts return to. */
void x86_inject_event(X86Cpu *cpu, uint64_t event, uint64_t next_eip);
/* The kinds of events that the state allows to be taken, a bit each. */
uint32_t x86_allowed_events(const X86Cpu *cpu);

/* After IF, TPR or what is pending may have changed: takes care that it is looked at. */
void x86_check_interrupts(X86Cpu *cpu);
/* What has held NMIs back ends: of those that came meanwhile, one is there. */
void x86_release_nmi(X86Cpu *cpu);

/* INIT, and the start-up message that follows it. */
void x86_take_init(X86Cpu *cpu);
void x86_start_up(X86Cpu *cpu, uint32_t vector);

#endif
