/* SPDX-License-Identifier: MIT */
/* Exceptions to EL1 (DDI 0487 D1.3): syndromes, entry and return. */
#ifndef TARGET_ARM_EXCEPTION_H
#define TARGET_ARM_EXCEPTION_H

#include "target/arm/cpu.h"

/* ESR_ELx.EC. */
enum {
    ARM_EC_UNKNOWN = 0x00,
    ARM_EC_WFX = 0x01,
    ARM_EC_FP_ACCESS = 0x07,
    ARM_EC_BTI = 0x0d,
    ARM_EC_ILLEGAL_STATE = 0x0e,
    ARM_EC_SVC64 = 0x15,
    ARM_EC_HVC64 = 0x16,
    ARM_EC_SYSREG = 0x18,
    ARM_EC_INSN_ABORT_LOWER = 0x20,
    ARM_EC_INSN_ABORT = 0x21,
    ARM_EC_PC_ALIGNMENT = 0x22,
    ARM_EC_DATA_ABORT_LOWER = 0x24,
    ARM_EC_DATA_ABORT = 0x25,
    ARM_EC_SP_ALIGNMENT = 0x26,
    ARM_EC_MOPS = 0x27,
    ARM_EC_BREAKPOINT_LOWER = 0x30,
    ARM_EC_BREAKPOINT = 0x31,
    ARM_EC_STEP_LOWER = 0x32,
    ARM_EC_STEP = 0x33,
    ARM_EC_WATCHPOINT_LOWER = 0x34,
    ARM_EC_WATCHPOINT = 0x35,
    ARM_EC_BRK = 0x3c,
};

/* ESR_ELx with IL set. */
static inline uint32_t arm_esr(unsigned ec, uint32_t iss)
{
    return (uint32_t)ec << 26 | 1u << 25 | iss;
}

/*
 * Loads and stores with a misaligned SP leave to their own address plus this; no instruction starts
 * there, and arm_prepare_pc turns it into the SP alignment fault.
 */
enum { ARM_SP_FAULT_OFFSET = 2 };

/* Offsets from VBAR of the kinds of exception, before the source's 0x200 or 0x400 is added. */
enum { ARM_VECTOR_SYNC = 0x000, ARM_VECTOR_IRQ = 0x080, ARM_VECTOR_FIQ = 0x100,
       ARM_VECTOR_SERROR = 0x180 };

/* Enters EL1 from the current state and pc. Sets pc, mode and context. */
void arm_take_exception(ArmCpu *cpu, unsigned vector);
void arm_take_synchronous(ArmCpu *cpu, uint32_t esr);
/* Also sets FAR_EL1. */
void arm_take_abort(ArmCpu *cpu, uint32_t esr, uint64_t far);
/* ERET: from ELR_EL1 and SPSR_EL1, or from target when it was authenticated. */
void arm_exception_return(ArmCpu *cpu, uint64_t target);

/* debug.c */
/* The stepped instruction is complete. */
void arm_insn_done(TcgState *env, uint64_t mode);
/* Takes the software step exception when it is pending. */
bool arm_take_pending_step(ArmCpu *cpu);
/* Takes a breakpoint exception when one matches the pc. */
bool arm_check_insn(TcgState *env);
/* Whether an access hits an enabled watchpoint. */
bool arm_watchpoint_hit(ArmCpu *cpu, uint64_t guest_virt, unsigned size, bool write, bool unpriv);
/* Whether a page holds watched bytes. */
bool arm_page_watched(ArmCpu *cpu, uint64_t guest_virt);
/* After changes of debug registers: the derived state. */
void arm_update_debug(ArmCpu *cpu);

/* The vCPU stops where it is: what follows is the main loop's. */
void arm_stop_here(ArmCpu *cpu);

/* TcgTarget hooks. */
void arm_take_interrupt(TcgState *env);
bool arm_prepare_pc(TcgState *env);
bool arm_check_landing(TcgState *env, const uint8_t *bytes);
void arm_raise_fault(TcgState *env);
void arm_raise_bus_error(TcgState *env, uint64_t guest_virt, TcgAccess access);
bool arm_walk(TcgState *env, uint64_t guest_virt, unsigned size, TcgAccess access, unsigned flags,
              TcgMapping *mapping);
uint64_t arm_mode(TcgState *env);
void arm_a64_translate(IrUnit *unit, TcgState *env, TcgCode *code, uint16_t start, uint64_t mode,
                       unsigned max_insns);

#endif
