/* SPDX-License-Identifier: MIT */
/*
 * An Arm processor in AArch64 state with EL0 and EL1 (Arm ARM DDI 0487). EL2 and EL3 are absent.
 *
 * Fields up to `tcg` and a little behind it lie within a signed byte of the env register, which makes
 * generated code short. All fields belong to the vCPU's own thread unless marked [any].
 */
#ifndef TARGET_ARM_CPU_H
#define TARGET_ARM_CPU_H

#include "accel/tcg/ir/services.h"
#include "accel/tcg/ir/target.h"
#include "machine/arch/arm.h"
#include "machine/machine.h"
#include "target/arm/cpu-features.h"

/* Indices of guest variables (IrOp.var). x31 is the current stack pointer. */
enum {
    ARM_VAR_X0 = 0,
    ARM_VAR_SP = 31,
    ARM_VAR_FLAGS = 32,
    ARM_VAR_V0 = 33,
    ARM_VAR_QC = ARM_VAR_V0 + 32, /* any bit set: FPSR.QC is set */
    ARM_VAR_EXCLUSIVE_ADDRESS,
    ARM_VAR_EXCLUSIVE_LOW,
    ARM_VAR_EXCLUSIVE_HIGH,
    ARM_VAR_DAIF,          /* in bits 9 to 6, as MRS DAIF shows it */
    ARM_VAR_TPIDR_EL0,
    ARM_VAR_TPIDRRO_EL0,
    ARM_VAR_TPIDR_EL1,
    ARM_VAR_SP_EL0,        /* banked: current only while SPSel is 1 */
    ARM_VAR_ELR_EL1,
    ARM_VAR_SPSR_EL1,
    ARM_VAR_ESR_EL1,
    ARM_VAR_FAR_EL1,
    ARM_VAR_FPCR,          /* read only in units: helpers set it */
    ARM_VAR_PAC_KEYS,      /* low and high halves of IA IB DA DB GA */
    ARM_VAR_PAC_MASKS = ARM_VAR_PAC_KEYS + 10, /* pac_masks */
    ARM_VAR_INSTRUCTIONS = ARM_VAR_PAC_MASKS + 4, /* TcgState.insn_count */
    ARM_VAR_COUNT,
};

/* The mode key: what a translation depends on besides its bytes. */
enum {
    ARM_MODE_EL1 = 1 << 0,
    ARM_MODE_SPSEL = 1 << 1,
    ARM_MODE_BE = 1 << 2,          /* SCTLR.EE or E0E */
    ARM_MODE_ALIGN = 1 << 3,       /* SCTLR.A: unaligned data accesses fault */
    ARM_MODE_SP_ALIGN = 1 << 4,    /* SCTLR.SA or SA0 */
    ARM_MODE_FP = 1 << 5,          /* FP and SIMD are not trapped */
    ARM_MODE_FP_FZ = 1 << 6,       /* FPCR.FZ: single and double precision flush denormals */
    ARM_MODE_UAO = 1 << 7,
    ARM_MODE_STEP = 1 << 8,        /* software step is active, with TCG_MODE_ONE */
    ARM_MODE_ICACHE_OFF = 1 << 10, /* SCTLR.I is 0 */
    ARM_MODE_UCI = 1 << 11,        /* EL0 may do cache maintenance (always set at EL1) */
    ARM_MODE_UCT = 1 << 12,        /* EL0 may read CTR_EL0 */
    ARM_MODE_DZE = 1 << 13,        /* EL0 may DC ZVA */
    ARM_MODE_UMA = 1 << 14,        /* EL0 may access DAIF */
    ARM_MODE_WFI = 1 << 15,        /* WFI is not trapped */
    ARM_MODE_WFE = 1 << 16,
    ARM_MODE_CNTVCT = 1 << 17,     /* CNTVCT and CNTFRQ may be read */
    ARM_MODE_CNTPCT = 1 << 18,
    ARM_MODE_PAC_IA = 1 << 19,     /* SCTLR.EnIA … EnDB */
    ARM_MODE_PAC_IB = 1 << 20,
    ARM_MODE_PAC_DA = 1 << 21,
    ARM_MODE_PAC_DB = 1 << 22,
    ARM_MODE_MOPS = 1 << 23,       /* CPY* and SET* are not undefined (SCTLR.MSCEn at EL0) */
    ARM_MODE_PAC_INSN_55 = 1 << 24, /* bit 55 of unsigned code pointers says which half: TBI */
    ARM_MODE_FP_DN = 1 << 25,      /* FPCR.DN: NaN results are the default NaN */
    ARM_MODE_FP_AHP = 1 << 26,     /* FPCR.AHP: alternative half precision */
    ARM_MODE_PAC_DATA_55 = 1 << 27, /* the same of data pointers */
    ARM_MODE_TELL = 1 << 28,       /* a debugger is told of accesses to system registers */
};

enum { ARM_MAX_BREAKPOINTS = 6, ARM_MAX_WATCHPOINTS = 4, ARM_PMU_COUNTERS = 6 };
/* What the system counter runs at unless one asks for something else. */
enum { ARM_COUNTER_HZ = 62500000 };
enum { ARM_TIMER_PHYS, ARM_TIMER_VIRT, ARM_TIMER_COUNT };

/* PSTATE's bits in SPSR format. */
enum {
    SPSR_SPSEL = 1 << 0,
    SPSR_EL_SHIFT = 2,
    SPSR_M = 0x1f,
    SPSR_F = 1 << 6,
    SPSR_I = 1 << 7,
    SPSR_A = 1 << 8,
    SPSR_D = 1 << 9,
    SPSR_BTYPE_SHIFT = 10,
    SPSR_SSBS = 1 << 12,
    SPSR_IL = 1 << 20,
    SPSR_SS = 1 << 21,
    SPSR_PAN = 1 << 22,
    SPSR_UAO = 1 << 23,
    SPSR_NZCV = (int)0xf0000000,
};

typedef struct {
    uint64_t cval;
    uint32_t ctl;              /* ENABLE and IMASK; ISTATUS is computed */
    bool level;                /* of the output line */
    Timer timer;
    IrqLine irq;
} ArmTimer;

typedef struct {
    uint64_t counter[ARM_PMU_COUNTERS + 1]; /* as of `base`; the last is the cycle counter */
    uint64_t type[ARM_PMU_COUNTERS + 1];    /* PMEVTYPER<n>_EL0, PMCCFILTR_EL0 */
    uint64_t base;             /* virtual time of the last synchronisation, ns */
    uint64_t instructions_base; /* TcgState.insn_count then */
    uint64_t pmcr, cntenset, ovsset, intenset, selr, userenr;
    bool filtered;             /* some enabled counter depends on the exception level */
    bool counts_instructions[2]; /* some counter does, at EL0 and EL1 */
    bool counts_exceptions;    /* some counter counts exceptions or returns from them */
    bool level;                /* of the interrupt */
    IrqLine irq;
    Timer timer;               /* next overflow */
} ArmPmu;

/* A fault that the walk found, waiting for raise_fault. */
typedef struct {
    uint64_t address;
    uint32_t status;           /* DFSC or IFSC */
    uint8_t access;            /* TcgAccess */
    bool watchpoint;
    bool cache_maintenance;    /* ESR.CM */
} ArmFault;

typedef struct ArmCpu {
    Vcpu vcpu;

    /* System registers, by name. Those that are guest variables are below. */
    uint64_t sctlr_el1, cpacr_el1, actlr_el1;
    uint64_t ttbr0_el1, ttbr1_el1, tcr_el1, mair_el1, amair_el1, contextidr_el1;
    uint64_t vbar_el1, par_el1, afsr0_el1, afsr1_el1;
    uint64_t sp_el1;           /* banked: current only while SPSel is 0 or at EL0 */
    uint64_t csselr_el1, cntkctl_el1;
    uint64_t mdscr_el1, osdlr_el1, oslsr_el1, mdccint_el1, dbgclaim;
    uint64_t osdtrrx_el1, osdtrtx_el1, oseccr_el1;
    uint64_t dbgbvr[ARM_MAX_BREAKPOINTS], dbgbcr[ARM_MAX_BREAKPOINTS];
    uint64_t dbgwvr[ARM_MAX_WATCHPOINTS], dbgwcr[ARM_MAX_WATCHPOINTS];

    /* PSTATE beyond flags, DAIF, and BTYPE, which is tcg.jump_class. */
    bool el1, spsel, pan, uao, il, ss, ssbs;
    bool waits_for_event;      /* halted by WFE */
    atomic_bool event;         /* [any] the event register of WFE */
    bool invalidations_pending; /* broadcasts since the last DSB */
    bool eret_stepped;         /* the instruction that is being stepped was an exception return */
    bool debug_armed;          /* some breakpoint, watchpoint or step is enabled */
    bool watch_armed, break_armed;
    atomic_bool on_pending;    /* [any] PSCI CPU_ON is under way */
    /* [any] Of the first CPU alone: some unit, of all CPUs, was translated with ARM_MODE_ICACHE_OFF. */
    atomic_bool icache_off_units;

    uint64_t mode;             /* current key, kept by arm_update_mode: ARM_MODE_*, TCG_MODE_* */
    uint32_t mode_base[2];     /* what control registers contribute at EL0 and EL1 */
    ArmFault fault;
    ArmTimer timers[ARM_TIMER_COUNT];
    IrqLine unused_irqs[2];    /* hypervisor and secure timers: never raised */
    ArmPmu pmu;

    /* The model and its features. */
    const struct ArmModel *arm_model;
    uint64_t features;         /* bit per ArmFeature */
    int switches[ARM_FEATURE_COUNT]; /* properties: 0 as the model, 1 on, 2 off */
    int aarch64_switch, vfp_switch, neon_switch, backcompat_cntfrq;
    uint64_t counter_hz;       /* property */
    int64_t tick_ns;           /* of the system counter */
    char *psci_conduit;        /* property, set by the board: "hvc", "smc" or NULL */
    uint64_t reset_cbar, mpidr;
    uint64_t cntfrq_el0;
    uint64_t id_registers[8 * 8]; /* op0 3, op1 0, CRn 0: index CRm << 3 | op2 (CRm 1 to 7) */
    uint64_t dczva_bytes;

    /* Guest variables. Order and place matter: see the head of this file. */
    V128 v[32];
    V128 qc;
    uint64_t exclusive_address, exclusive_low, exclusive_high;
    uint64_t daif, tpidr_el0, tpidrro_el0, tpidr_el1, sp_el0, elr_el1, spsr_el1, esr_el1, far_el1;
    uint64_t fpcr, fpsr;       /* fpsr: flags not in TcgFpControl or qc; see fp-control.c */
    uint64_t pac_keys[5][2];   /* IA IB DA DB GA; low, high */
    /*
     * Code and data pointers: the bits that hold the authentication code in the low half of the address
     * space, and those bits exclusive or the high half's.
     */
    uint64_t pac_masks[2][2];
    uint64_t x[32];            /* x[31] is the stack pointer in use */
    uint16_t flags;            /* as in flags.h */
    TcgState tcg;
} ArmCpu;

#define ARM_NO_EXCLUSIVE UINT64_MAX

static inline ArmCpu *arm_cpu(Vcpu *vcpu)
{
    return container_of(vcpu, ArmCpu, vcpu);
}

static inline ArmCpu *arm_cpu_of_env(TcgState *env)
{
    return container_of(env, ArmCpu, tcg);
}

static inline ArmCpu *arm_first_cpu(const ArmCpu *cpu)
{
    return arm_cpu(cpu->vcpu.machine->vcpus->pdata[0]);
}

static inline bool arm_has(const ArmCpu *cpu, ArmFeature feature)
{
    return cpu->features >> feature & 1;
}

extern const Target arm_target;

/* PSTATE in SPSR format, and back (an illegal value sets PSTATE.IL and keeps the EL). */
uint32_t arm_get_pstate(const ArmCpu *cpu);
void arm_set_pstate(ArmCpu *cpu, uint32_t spsr);
/* Changes EL and SPSel, banking the stack pointers; the mode is not updated. */
void arm_set_el(ArmCpu *cpu, bool el1, bool spsel);
/* After a change of control registers (SCTLR, CPACR, FPCR, CNTKCTL …); includes the next one. */
void arm_update_controls(ArmCpu *cpu);
/* Computes pac_masks; returns ARM_MODE_PAC_INSN_55 and ARM_MODE_PAC_DATA_55 as TCR_EL1 says. */
uint32_t arm_update_pac_layout(ArmCpu *cpu);
/* After a change of PSTATE that the mode key depends on. */
void arm_update_mode(ArmCpu *cpu);
/* After a change that the address-space context depends on. */
void arm_update_context(ArmCpu *cpu);
/* Asks for an exit when an unmasked interrupt is pending. */
void arm_check_interrupts(ArmCpu *cpu);
/* ISB and ERET while SCTLR.I is 0: code fetched so far is not kept. */
void arm_synchronize_uncached_code(ArmCpu *cpu);
/* Leaves generated code at the next unit boundary, so that take_interrupt runs. */
static inline void arm_request_exit(ArmCpu *cpu)
{
    atomic_store_explicit(&cpu->tcg.exit_request, 1, memory_order_relaxed);
}

/*
 * fp-control.c: FPCR and FPSR as the guest reads and writes them. Setting FPCR updates MXCSR; the
 * caller updates the mode (arm_fpcr_mode).
 */
uint32_t arm_get_fpcr(ArmCpu *cpu);
void arm_set_fpcr(ArmCpu *cpu, uint32_t value);
uint32_t arm_get_fpsr(ArmCpu *cpu);
void arm_set_fpsr(ArmCpu *cpu, uint32_t value);
/* ARM_MODE_FP_FZ, DN and AHP as FPCR asks for. */
uint32_t arm_fpcr_mode(uint32_t fpcr);

#endif
