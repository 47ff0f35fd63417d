/* SPDX-License-Identifier: MIT */
/*
 * The registers of an Arm processor as monitor, gdb, accelerators and snapshots know them, and what else its state is.
 *
 * accelerator_id is the encoding as MRS has it, which is what Linux's KVM builds its ids of. Registers that are views of
 * others, or constant, are read and written through the system register tables and are not saved.
 */
#include "target/arm/registers.h"

#include "base/bits.h"
#include "target/arm/exception.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

static void get_pc(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le64(value, tcg_pc(&arm_cpu(vcpu)->tcg));
}

static void set_pc(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    tcg_set_pc(&arm_cpu(vcpu)->tcg, load_le64(value));
}

static void get_pstate(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, arm_get_pstate(arm_cpu(vcpu)));
}

/* From outside: no change of exception level that the PMU would count. */
static void set_pstate(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    bool filtered = cpu->pmu.filtered;

    cpu->pmu.filtered = false;
    arm_set_pstate(cpu, load_le32(value));
    cpu->pmu.filtered = filtered;
}

static void get_fpcr(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, arm_get_fpcr(arm_cpu(vcpu)));
}

static void set_fpcr(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    arm_set_fpcr(arm_cpu(vcpu), load_le32(value));
}

static void get_fpsr(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, arm_get_fpsr(arm_cpu(vcpu)));
}

static void set_fpsr(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    arm_set_fpsr(arm_cpu(vcpu), load_le32(value));
}

/* Where a stack pointer is now: the one in use is x[31]. */
static uint64_t *stack_pointer(ArmCpu *cpu, bool of_el1)
{
    return of_el1 == (cpu->el1 && cpu->spsel) ? &cpu->x[31] : of_el1 ? &cpu->sp_el1 : &cpu->sp_el0;
}

static void get_sp_el0(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le64(value, *stack_pointer(arm_cpu(vcpu), false));
}

static void set_sp_el0(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    *stack_pointer(arm_cpu(vcpu), false) = load_le64(value);
}

static void get_sp_el1(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le64(value, *stack_pointer(arm_cpu(vcpu), true));
}

static void set_sp_el1(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    *stack_pointer(arm_cpu(vcpu), true) = load_le64(value);
}

/* Absent ones read as zero. */
static void get_view(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    const ArmSysreg *sysreg = arm_sysreg_find(cpu, (uint32_t)reg->accelerator_id);

    store_le64(value, sysreg ? arm_sysreg_read(cpu, sysreg) : 0);
}

static void set_view(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    const ArmSysreg *sysreg = arm_sysreg_find(cpu, (uint32_t)reg->accelerator_id);

    if (sysreg) {
        arm_sysreg_write(cpu, sysreg, load_le64(value));
    }
}

static bool has_pauth(const Vcpu *vcpu)
{
    return arm_has(arm_cpu((Vcpu *)vcpu), FEAT_PAUTH);
}

/* Of pointers to the upper half; offset: of the two masks as the CPU keeps them. */
static void get_high_pac_mask(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    const uint64_t *masks = (const uint64_t *)((const char *)arm_cpu(vcpu) + reg->offset);

    store_le64(value, masks[0] ^ masks[1]);
}

/* clang-format off */
#define CORE "org.gnu.gdb.aarch64.core"
#define FPU  "org.gnu.gdb.aarch64.fpu"
#define PAUTH "org.gnu.gdb.aarch64.pauth_v2"
#define SYSTEM "org.gnu.gdb.aarch64.system"

#define X(n) { "x" #n, REGISTERS_GENERAL, 64, offsetof(ArmCpu, x[n]), .gdb_feature = CORE }
#define V(n) { "v" #n, REGISTERS_FLOAT, 128, offsetof(ArmCpu, v[n]), .gdb_feature = FPU,           \
               .gdb_type = "aarch64v" }
#define HOOKED(text, group_, bits_, feature, type, get_, set_)                                     \
    { text, group_, bits_, .get = get_, .set = set_, .gdb_feature = feature, .gdb_type = type }
/* A field that is the register. */
#define FIELD(text, op0, op1, crn, crm, op2, member)                                               \
    { text, REGISTERS_SYSTEM, 8 * sizeof(((ArmCpu *)0)->member), offsetof(ArmCpu, member),         \
      .gdb_feature = SYSTEM, .accelerator_id = ARM_SYSREG(op0, op1, crn, crm, op2) }
#define S(op1, crn, crm, op2, name) FIELD(#name, 3, op1, crn, crm, op2, name)
#define D(crn, crm, op2, name) FIELD(#name, 2, 0, crn, crm, op2, name)
#define BREAKPOINT(n) FIELD("dbgbvr" #n "_el1", 2, 0, 0, n, 4, dbgbvr[n]),                         \
                      FIELD("dbgbcr" #n "_el1", 2, 0, 0, n, 5, dbgbcr[n])
#define WATCHPOINT(n) FIELD("dbgwvr" #n "_el1", 2, 0, 0, n, 6, dbgwvr[n]),                         \
                      FIELD("dbgwcr" #n "_el1", 2, 0, 0, n, 7, dbgwcr[n])
#define KEY(name, crm, op2, number) FIELD("ap" name "keylo_el1", 3, 0, 2, crm, op2, pac_keys[number][0]), \
                                    FIELD("ap" name "keyhi_el1", 3, 0, 2, crm, op2 + 1, pac_keys[number][1])
/* What a table computes. */
#define VIEW(op1, crn, crm, op2, text)                                                             \
    { text, REGISTERS_SYSTEM, 64, .get = get_view, .set = set_view,                                \
      .flags = TARGET_REGISTER_DERIVED, .gdb_feature = SYSTEM,                                     \
      .accelerator_id = ARM_SYSREG(3, op1, crn, crm, op2) }
#define CONSTANT(op1, crm, op2, text)                                                              \
    { text, REGISTERS_SYSTEM, 64, .get = get_view, .flags = TARGET_REGISTER_READONLY,              \
      .gdb_feature = SYSTEM, .accelerator_id = ARM_SYSREG(3, op1, 0, crm, op2) }
/* Which bits of a pointer are the code that signs it. data: 0 of pointers to code, 1 to data. */
#define PAC_MASK(text, data, get_)                                                                 \
    { text, REGISTERS_SYSTEM, 64, offsetof(ArmCpu, pac_masks[data]), .get = get_,                  \
      .flags = TARGET_REGISTER_READONLY, .gdb_feature = PAUTH, .present = has_pauth }
#define EVENT(n) VIEW(3, 14, 8, n, "pmevcntr" #n "_el0"), VIEW(3, 14, 12, n, "pmevtyper" #n "_el0")

/* PSTATE before the stack pointers: it says which of them is in use. */
const TargetRegister arm_registers[] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14),
    X(15), X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27),
    X(28), X(29), X(30),
    { "sp", REGISTERS_GENERAL, 64, offsetof(ArmCpu, x[31]), .flags = TARGET_REGISTER_DERIVED,
      .gdb_feature = CORE, .gdb_type = "data_ptr" },
    HOOKED("pc", REGISTERS_GENERAL, 64, CORE, "code_ptr", get_pc, set_pc),
    HOOKED("cpsr", REGISTERS_GENERAL, 32, CORE, "cpsr_flags", get_pstate, set_pstate),
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14),
    V(15), V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27),
    V(28), V(29), V(30), V(31),
    HOOKED("fpsr", REGISTERS_FLOAT, 32, FPU, NULL, get_fpsr, set_fpsr),
    HOOKED("fpcr", REGISTERS_FLOAT, 32, FPU, NULL, get_fpcr, set_fpcr),
    HOOKED("sp_el0", REGISTERS_SYSTEM, 64, SYSTEM, NULL, get_sp_el0, set_sp_el0),
    HOOKED("sp_el1", REGISTERS_SYSTEM, 64, SYSTEM, NULL, get_sp_el1, set_sp_el1),
    S(0, 1, 0, 0, sctlr_el1), S(0, 1, 0, 1, actlr_el1), S(0, 1, 0, 2, cpacr_el1),
    S(0, 2, 0, 0, ttbr0_el1), S(0, 2, 0, 1, ttbr1_el1), S(0, 2, 0, 2, tcr_el1),
    S(0, 4, 0, 0, spsr_el1), S(0, 4, 0, 1, elr_el1), S(0, 5, 1, 0, afsr0_el1),
    S(0, 5, 1, 1, afsr1_el1), S(0, 5, 2, 0, esr_el1), S(0, 6, 0, 0, far_el1),
    S(0, 7, 4, 0, par_el1), S(0, 10, 2, 0, mair_el1), S(0, 10, 3, 0, amair_el1),
    S(0, 12, 0, 0, vbar_el1), S(0, 13, 0, 1, contextidr_el1), S(0, 13, 0, 4, tpidr_el1),
    S(3, 13, 0, 2, tpidr_el0), S(3, 13, 0, 3, tpidrro_el0), S(2, 0, 0, 0, csselr_el1),
    S(3, 14, 0, 0, cntfrq_el0), S(0, 14, 1, 0, cntkctl_el1),
    FIELD("cntp_ctl_el0", 3, 3, 14, 2, 1, timers[ARM_TIMER_PHYS].ctl),
    FIELD("cntp_cval_el0", 3, 3, 14, 2, 2, timers[ARM_TIMER_PHYS].cval),
    FIELD("cntv_ctl_el0", 3, 3, 14, 3, 1, timers[ARM_TIMER_VIRT].ctl),
    FIELD("cntv_cval_el0", 3, 3, 14, 3, 2, timers[ARM_TIMER_VIRT].cval),
    VIEW(3, 14, 0, 1, "cntpct_el0"), VIEW(3, 14, 0, 2, "cntvct_el0"),
    D(0, 2, 2, mdscr_el1), D(0, 2, 0, mdccint_el1), D(0, 0, 2, osdtrrx_el1),
    D(0, 3, 2, osdtrtx_el1), D(0, 6, 2, oseccr_el1), D(1, 3, 4, osdlr_el1), D(1, 1, 4, oslsr_el1),
    FIELD("dbgclaimset_el1", 2, 0, 7, 8, 6, dbgclaim),
    BREAKPOINT(0), BREAKPOINT(1), BREAKPOINT(2), BREAKPOINT(3), BREAKPOINT(4), BREAKPOINT(5),
    WATCHPOINT(0), WATCHPOINT(1), WATCHPOINT(2), WATCHPOINT(3),
    KEY("ia", 1, 0, 0), KEY("ib", 1, 2, 1), KEY("da", 2, 0, 2), KEY("db", 2, 2, 3),
    KEY("ga", 3, 0, 4),
    VIEW(3, 9, 12, 0, "pmcr_el0"), VIEW(3, 9, 12, 1, "pmcntenset_el0"),
    VIEW(3, 9, 12, 5, "pmselr_el0"), VIEW(3, 9, 13, 0, "pmccntr_el0"),
    VIEW(3, 9, 14, 0, "pmuserenr_el0"), VIEW(0, 9, 14, 1, "pmintenset_el1"),
    VIEW(3, 9, 14, 3, "pmovsset_el0"), VIEW(3, 14, 15, 7, "pmccfiltr_el0"),
    EVENT(0), EVENT(1), EVENT(2), EVENT(3), EVENT(4), EVENT(5),
    CONSTANT(0, 0, 0, "midr_el1"), CONSTANT(0, 0, 5, "mpidr_el1"), CONSTANT(0, 0, 6, "revidr_el1"),
    CONSTANT(0, 4, 0, "id_aa64pfr0_el1"), CONSTANT(0, 4, 1, "id_aa64pfr1_el1"),
    CONSTANT(0, 5, 0, "id_aa64dfr0_el1"), CONSTANT(0, 6, 0, "id_aa64isar0_el1"),
    CONSTANT(0, 6, 1, "id_aa64isar1_el1"), CONSTANT(0, 6, 2, "id_aa64isar2_el1"),
    CONSTANT(0, 7, 0, "id_aa64mmfr0_el1"), CONSTANT(0, 7, 1, "id_aa64mmfr1_el1"),
    CONSTANT(0, 7, 2, "id_aa64mmfr2_el1"), CONSTANT(1, 0, 1, "clidr_el1"),
    CONSTANT(3, 0, 1, "ctr_el0"), CONSTANT(3, 0, 7, "dczid_el0"),
    PAC_MASK("pauth_dmask", 1, NULL), PAC_MASK("pauth_cmask", 0, NULL),
    PAC_MASK("pauth_dmask_high", 1, get_high_pac_mask), PAC_MASK("pauth_cmask_high", 0, get_high_pac_mask),
    { 0 },
};
/* clang-format on */

static const StateField timer_fields[] = {
    STATE(ArmTimer, level),       STATE_DERIVED(ArmTimer, cval), /* registers */
    STATE_DERIVED(ArmTimer, ctl), STATE_DERIVED(ArmTimer, timer), { 0 },
};

static const StateField pmu_fields[] = {
    STATE(ArmPmu, counter),
    STATE(ArmPmu, type),
    STATE(ArmPmu, base),
    STATE(ArmPmu, instructions_base),
    STATE(ArmPmu, pmcr),
    STATE(ArmPmu, cntenset),
    STATE(ArmPmu, ovsset),
    STATE(ArmPmu, intenset),
    STATE(ArmPmu, selr),
    STATE(ArmPmu, userenr),
    STATE(ArmPmu, level),
    STATE_DERIVED(ArmPmu, filtered),
    STATE_DERIVED(ArmPmu, counts_instructions),
    STATE_DERIVED(ArmPmu, counts_exceptions),
    STATE_DERIVED(ArmPmu, timer),
    { 0 },
};

const StateField arm_state[] = {
    STATE(ArmCpu, event),
    STATE(ArmCpu, waits_for_event),
    STATE(ArmCpu, exclusive_address),
    STATE(ArmCpu, exclusive_low),
    STATE(ArmCpu, exclusive_high),
    STATE(ArmCpu, eret_stepped),
    STATE(ArmCpu, tcg.insn_count),
    STATE_STRUCTS(ArmCpu, timers, timer_fields),
    STATE_STRUCT(ArmCpu, pmu, pmu_fields),
    STATE_DERIVED(ArmCpu, vcpu),
    STATE_DERIVED(ArmCpu, icache_off_units), /* all units are looked at again */
    STATE_DERIVED(ArmCpu, invalidations_pending),
    STATE_DERIVED(ArmCpu, debug_armed),
    STATE_DERIVED(ArmCpu, watch_armed),
    STATE_DERIVED(ArmCpu, break_armed),
    STATE_DERIVED(ArmCpu, on_pending), /* work on a stopped CPU is done at once */
    STATE_DERIVED(ArmCpu, mode),
    STATE_DERIVED(ArmCpu, mode_base),
    STATE_DERIVED(ArmCpu, fault), /* between a walk and its exception */
    STATE_DERIVED(ArmCpu, pac_masks),
    STATE_DERIVED(ArmCpu, qc),     /* FPSR */
    STATE_DERIVED(ArmCpu, sp_el0), /* registers by hooks: one of the two is x[31] */
    STATE_DERIVED(ArmCpu, sp_el1),
    STATE_DERIVED(ArmCpu, tcg),
    { 0 },
};

void arm_state_loaded(Vcpu *vcpu)
{
    ArmCpu *cpu = arm_cpu(vcpu);

    cpu->fault = (ArmFault){ 0 };
    cpu->invalidations_pending = false;
    atomic_store(&cpu->on_pending, false);
    arm_pmu_state_loaded(cpu);
    arm_timers_state_loaded(cpu);
    arm_update_controls(cpu);
    arm_update_debug(cpu);
    arm_update_context(cpu);
    arm_request_exit(cpu);
}
