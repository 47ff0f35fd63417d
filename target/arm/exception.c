/* SPDX-License-Identifier: MIT */
/*
 * Exception entry and return at EL1, interrupts, and faults of the program counter
 * (DDI 0487 D1.3, D1.6).
 */
#include "target/arm/exception.h"

#include "base/bits.h"
#include "base/log.h"
#include "machine/debug.h"
#include "machine/event-names.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

enum { DAIF_ALL = SPSR_D | SPSR_A | SPSR_I | SPSR_F };

uint32_t arm_get_pstate(const ArmCpu *cpu)
{
    uint32_t pstate = tcg_flags_to_nzcv(cpu->flags) | (uint32_t)cpu->daif;

    pstate |= cpu->el1 ? 1u << SPSR_EL_SHIFT | (cpu->spsel ? SPSR_SPSEL : 0) : 0;
    pstate |= cpu->tcg.jump_class << SPSR_BTYPE_SHIFT;
    pstate |= cpu->ssbs ? SPSR_SSBS : 0;
    pstate |= cpu->il ? SPSR_IL : 0;
    pstate |= cpu->ss ? SPSR_SS : 0;
    pstate |= cpu->pan ? SPSR_PAN : 0;
    pstate |= cpu->uao ? SPSR_UAO : 0;
    return pstate;
}

void arm_set_el(ArmCpu *cpu, bool el1, bool spsel)
{
    bool old_is_el1 = cpu->el1 && cpu->spsel, new_is_el1 = el1 && spsel;
    bool counted = cpu->pmu.filtered && cpu->el1 != el1;

    if (counted) {
        arm_pmu_level_change_begin(cpu);
    }
    if (old_is_el1 != new_is_el1) {
        uint64_t *from = old_is_el1 ? &cpu->sp_el1 : &cpu->sp_el0;
        uint64_t *to = new_is_el1 ? &cpu->sp_el1 : &cpu->sp_el0;

        *from = cpu->x[31];
        cpu->x[31] = *to;
    }
    if (cpu->el1 != el1 && debug_wants(cpu->vcpu.machine, DEBUG_MODE)) {
        debug_report(cpu->vcpu.machine, &cpu->vcpu,
                     &(DebugEvent){ .kind = DEBUG_MODE, .name = el1 ? "el1" : "el0" });
    }
    cpu->el1 = el1;
    cpu->spsel = el1 && spsel;
    if (counted) {
        arm_pmu_level_change_end(cpu);
    }
}

static const char *level_name(unsigned index)
{
    static const char *const names[] = { "el0", "el1", NULL };

    return names[index];
}

static const EventNames level_names = { DEBUG_MODE, { "aarch64" }, level_name, 1 };
EVENT_NAMES(level_names);

/* EL0t, EL1t and EL1h are the modes that exist. */
static bool mode_is_legal(uint32_t spsr)
{
    uint32_t m = spsr & SPSR_M;

    return m == 0 || m == 4 || m == 5;
}

void arm_set_pstate(ArmCpu *cpu, uint32_t spsr)
{
    cpu->flags = tcg_flags_from_nzcv(spsr);
    cpu->daif = spsr & DAIF_ALL;
    cpu->il = spsr & SPSR_IL;
    cpu->ss = spsr & SPSR_SS;
    cpu->pan = arm_has(cpu, FEAT_PAN) && spsr & SPSR_PAN;
    cpu->uao = arm_has(cpu, FEAT_UAO) && spsr & SPSR_UAO;
    cpu->ssbs = arm_has(cpu, FEAT_SSBS) && spsr & SPSR_SSBS;
    cpu->tcg.jump_class = arm_has(cpu, FEAT_BTI) ? spsr >> SPSR_BTYPE_SHIFT & 3 : 0;
    if (mode_is_legal(spsr)) {
        arm_set_el(cpu, spsr >> SPSR_EL_SHIFT & 1, spsr & SPSR_SPSEL);
    } else {
        cpu->il = true;
    }
}

static void log_exception(ArmCpu *cpu, unsigned vector)
{
    if (log_enabled(LOG_INT)) {
        log_printf("cpu%u: exception %s from EL%d pc %#" PRIx64 " esr %#" PRIx64 " far %#" PRIx64
                   " spsr %#" PRIx64 " to %#" PRIx64 "\n",
                   cpu->vcpu.index,
                   vector == ARM_VECTOR_SYNC  ? "sync"
                   : vector == ARM_VECTOR_IRQ ? "irq"
                   : vector == ARM_VECTOR_FIQ ? "fiq"
                                              : "serror",
                   cpu->spsr_el1 & 4 ? 1 : 0, cpu->elr_el1, cpu->esr_el1, cpu->far_el1,
                   cpu->spsr_el1, tcg_pc(&cpu->tcg));
    }
}

static const char *const class_names[64] = {
    [ARM_EC_UNKNOWN] = "undefined",
    [ARM_EC_WFX] = "wfx",
    [ARM_EC_FP_ACCESS] = "fp-access",
    [ARM_EC_BTI] = "bti",
    [ARM_EC_ILLEGAL_STATE] = "illegal-state",
    [ARM_EC_SVC64] = "svc",
    [ARM_EC_HVC64] = "hvc",
    [ARM_EC_SYSREG] = "sysreg",
    [ARM_EC_INSN_ABORT_LOWER] = "instruction-abort-lower",
    [ARM_EC_INSN_ABORT] = "instruction-abort",
    [ARM_EC_PC_ALIGNMENT] = "pc-alignment",
    [ARM_EC_DATA_ABORT_LOWER] = "data-abort-lower",
    [ARM_EC_DATA_ABORT] = "data-abort",
    [ARM_EC_SP_ALIGNMENT] = "sp-alignment",
    [ARM_EC_MOPS] = "mops",
    [ARM_EC_BREAKPOINT_LOWER] = "breakpoint-lower",
    [ARM_EC_BREAKPOINT] = "breakpoint",
    [ARM_EC_STEP_LOWER] = "step-lower",
    [ARM_EC_STEP] = "step",
    [ARM_EC_WATCHPOINT_LOWER] = "watchpoint-lower",
    [ARM_EC_WATCHPOINT] = "watchpoint",
    [ARM_EC_BRK] = "brk",
};

static const char *class_name(unsigned index)
{
    return index >= ARRAY_SIZE(class_names) ? NULL : class_names[index] ? class_names[index] : "";
}

static const char *interrupt_name(unsigned index)
{
    static const char *const names[] = { "irq", "fiq", NULL };

    return names[index];
}

static const EventNames class_event_names = {
    DEBUG_EXCEPTION, { "aarch64" }, class_name, ARRAY_SIZE(class_names)
};
EVENT_NAMES(class_event_names);
static const EventNames interrupt_names = { DEBUG_INTERRUPT, { "aarch64" }, interrupt_name, 2 };
EVENT_NAMES(interrupt_names);

static void report_exception(ArmCpu *cpu, unsigned vector)
{
    Machine *machine = cpu->vcpu.machine;

    if (vector == ARM_VECTOR_SYNC && debug_wants(machine, DEBUG_EXCEPTION)) {
        unsigned class = cpu->esr_el1 >> 26 & 63;

        debug_report(machine, &cpu->vcpu,
                     &(DebugEvent){ .kind = DEBUG_EXCEPTION,
                                    .name = class_names[class],
                                    .number = class,
                                    .value = cpu->esr_el1,
                                    .from = cpu->elr_el1,
                                    .address = cpu->far_el1 });
    }
    if (vector != ARM_VECTOR_SYNC && debug_wants(machine, DEBUG_INTERRUPT)) {
        bool fiq = vector == ARM_VECTOR_FIQ;

        debug_report(
            machine, &cpu->vcpu,
            &(DebugEvent){ .kind = DEBUG_INTERRUPT, .name = fiq ? "fiq" : "irq", .number = fiq });
    }
}

void arm_take_exception(ArmCpu *cpu, unsigned vector)
{
    uint64_t base = cpu->vbar_el1 + vector + (!cpu->el1 ? 0x400 : cpu->spsel ? 0x200 : 0);

    if (cpu->pmu.counts_exceptions) {
        arm_pmu_count_exception(cpu, false);
    }
    cpu->spsr_el1 = arm_get_pstate(cpu);
    cpu->elr_el1 = tcg_pc(&cpu->tcg);
    arm_set_el(cpu, true, true);
    cpu->daif = DAIF_ALL;
    cpu->tcg.jump_class = 0;
    cpu->il = cpu->ss = cpu->uao = false;
    if (arm_has(cpu, FEAT_PAN) && !(cpu->sctlr_el1 & SCTLR_SPAN)) {
        cpu->pan = true;
    }
    cpu->ssbs = arm_has(cpu, FEAT_SSBS) && cpu->sctlr_el1 >> SCTLR_DSSBS_SHIFT & 1;
    tcg_set_pc(&cpu->tcg, base);
    arm_update_mode(cpu);
    arm_update_context(cpu);
    log_exception(cpu, vector);
    report_exception(cpu, vector);
}

void arm_take_synchronous(ArmCpu *cpu, uint32_t esr)
{
    cpu->esr_el1 = esr;
    arm_take_exception(cpu, ARM_VECTOR_SYNC);
}

void arm_take_abort(ArmCpu *cpu, uint32_t esr, uint64_t far)
{
    cpu->far_el1 = far;
    arm_take_synchronous(cpu, esr);
}

/* PSTATE.SS after an exception return (DebugExceptionReturnSS). */
static bool step_after_return(ArmCpu *cpu, uint32_t spsr)
{
    bool to_el1 = spsr >> SPSR_EL_SHIFT & 1;

    return spsr & SPSR_SS && cpu->mdscr_el1 & MDSCR_SS &&
           !arm_debug_exceptions_enabled(cpu, cpu->el1, cpu->daif & SPSR_D) &&
           arm_debug_exceptions_enabled(cpu, to_el1, spsr & SPSR_D);
}

void arm_exception_return(ArmCpu *cpu, uint64_t target)
{
    uint32_t spsr = (uint32_t)cpu->spsr_el1;
    bool step = step_after_return(cpu, spsr);

    if (cpu->pmu.counts_exceptions) {
        arm_pmu_count_exception(cpu, true);
    }
    arm_set_pstate(cpu, spsr);
    cpu->ss = step;
    cpu->exclusive_address = ARM_NO_EXCLUSIVE;
    atomic_store_explicit(&cpu->event, true, memory_order_relaxed);
    tcg_set_pc(&cpu->tcg, target);
    arm_update_mode(cpu);
    arm_update_context(cpu);
    arm_check_interrupts(cpu);
    if (log_enabled(LOG_INT)) {
        log_printf("cpu%u: return to EL%d pc %#" PRIx64 " spsr %#x\n", cpu->vcpu.index, cpu->el1,
                   target, spsr);
    }
}

/* The exceptions that are pending and not masked, as bits of ARM_LINE_*. */
static unsigned deliverable(const ArmCpu *cpu)
{
    unsigned lines = atomic_load_explicit(&cpu->vcpu.interrupts, memory_order_relaxed);

    if (cpu->daif & SPSR_I) {
        lines &= ~(1u << ARM_LINE_IRQ);
    }
    if (cpu->daif & SPSR_F) {
        lines &= ~(1u << ARM_LINE_FIQ);
    }
    return lines;
}

void arm_check_interrupts(ArmCpu *cpu)
{
    if (deliverable(cpu) || cpu->debug_armed) {
        arm_request_exit(cpu);
    }
}

void arm_take_interrupt(TcgState *env)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    unsigned lines;

    arm_update_mode(cpu);
    if (cpu->debug_armed && arm_take_pending_step(cpu)) {
        return;
    }
    lines = deliverable(cpu);
    if (lines & 1u << ARM_LINE_FIQ) {
        arm_take_exception(cpu, ARM_VECTOR_FIQ);
    } else if (lines & 1u << ARM_LINE_IRQ) {
        arm_take_exception(cpu, ARM_VECTOR_IRQ);
    }
}

/* Whether the instruction at a pc has SP as the base of a load or store. */
static bool uses_sp_as_base(ArmCpu *cpu, uint64_t pc)
{
    uint32_t insn;

    return arm_read_code(cpu, pc, &insn) && (insn >> 25 & 5) == 4 && (insn >> 5 & 31) == 31;
}

/* env->jump_class is PSTATE.BTYPE. */
bool arm_check_landing(TcgState *env, const uint8_t *bytes)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint32_t insn = load_le32(bytes), btype = env->jump_class;
    bool refused;

    if ((insn & 0xffffff3f) == 0xd503241f) {
        /* BTI: nothing, c, j, jc */
        static const uint8_t rejected[] = { 0xf, 1 << 3, 1 << 2, 0 };

        refused = rejected[insn >> 6 & 3] >> btype & 1;
    } else if ((insn & 0xffffffbf) == 0xd503233f) {
        /* PACIASP, PACIBSP */
        refused = btype == 3 && cpu->sctlr_el1 & (cpu->el1 ? SCTLR_BT1 : SCTLR_BT0);
    } else {
        /* BRK and HLT have their own exceptions. */
        refused = (insn & 0xffe0001f) != 0xd4200000 && (insn & 0xffe0001f) != 0xd4400000;
    }
    if (refused) {
        arm_take_synchronous(cpu, arm_esr(ARM_EC_BTI, btype));
    }
    return !refused;
}

bool arm_prepare_pc(TcgState *env)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t pc = tcg_pc(env), stripped = arm_strip_pc(cpu, pc);

    if (cpu->il) {
        arm_take_synchronous(cpu, arm_esr(ARM_EC_ILLEGAL_STATE, 0));
        return false;
    }
    if (stripped != pc) {
        tcg_set_pc(env, stripped);
    }
    if (pc & 3) {
        if ((pc & 3) == ARM_SP_FAULT_OFFSET && cpu->x[31] & 15 && cpu->mode & ARM_MODE_SP_ALIGN &&
            uses_sp_as_base(cpu, stripped - ARM_SP_FAULT_OFFSET)) {
            tcg_set_pc(env, stripped - ARM_SP_FAULT_OFFSET);
            arm_take_synchronous(cpu, arm_esr(ARM_EC_SP_ALIGNMENT, 0));
            return false;
        }
        arm_take_abort(cpu, arm_esr(ARM_EC_PC_ALIGNMENT, 0), pc);
        return false;
    }
    return true;
}

void arm_raise_fault(TcgState *env)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    const ArmFault *fault = &cpu->fault;
    bool fetch = fault->access == TCG_FETCH;
    uint32_t iss = fault->status & (uint32_t)bits_mask(ARM_FSC_BITS);
    unsigned ec;

    if (fault->watchpoint) {
        ec = cpu->el1 ? ARM_EC_WATCHPOINT : ARM_EC_WATCHPOINT_LOWER;
    } else if (fetch) {
        ec = cpu->el1 ? ARM_EC_INSN_ABORT : ARM_EC_INSN_ABORT_LOWER;
    } else {
        ec = cpu->el1 ? ARM_EC_DATA_ABORT : ARM_EC_DATA_ABORT_LOWER;
    }
    if (!fetch) {
        iss |= (fault->access == TCG_WRITE || fault->cache_maintenance ? 1u << 6 : 0) |
               (fault->cache_maintenance ? 1u << 8 : 0);
    }
    cpu->fault.cache_maintenance = false;
    arm_take_abort(cpu, arm_esr(ec, iss), fault->address);
}

void arm_raise_bus_error(TcgState *env, uint64_t guest_virt, TcgAccess access)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    log_guest_error("cpu", "external abort at %#" PRIx64 ", pc %#" PRIx64, guest_virt, tcg_pc(env));
    cpu->fault =
        (ArmFault){ .address = guest_virt, .status = ARM_FSC_EXTERNAL, .access = (uint8_t)access };
    arm_raise_fault(env);
}
