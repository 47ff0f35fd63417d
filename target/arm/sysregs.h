/* SPDX-License-Identifier: MIT */
/* System registers and system instructions as tables (DDI 0487 D19, C5). */
#ifndef TARGET_ARM_SYSREGS_H
#define TARGET_ARM_SYSREGS_H

#include "target/arm/cpu.h"

#define ARM_SYSREG(op0, op1, crn, crm, op2)                                                        \
    ((uint32_t)(op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

enum {
    ARM_EL0_R = 1, ARM_EL0_W = 2, ARM_EL1_R = 4, ARM_EL1_W = 8,
    ARM_EL1_RW = ARM_EL1_R | ARM_EL1_W,
    ARM_ALL_RW = 15,
    ARM_ALL_R = ARM_EL0_R | ARM_EL1_R,
    /* Behaviour. */
    ARM_SYSREG_MODE = 16,       /* a write may change mode or context: go on by the dispatcher */
    /* The same on all CPUs of a machine, and never changes: reads become constants in shared units. */
    ARM_SYSREG_CONST = 32,
    ARM_SYSREG_FAULTS = 64,     /* hooks may unwind, or need the exact state */
    /* A write is begun anew behind the interrupt of a counter that has overflowed before it. */
    ARM_SYSREG_OVERFLOWS = 128,
};

typedef struct ArmSysreg ArmSysreg;
struct ArmSysreg {
    uint32_t encoding;
    const char *name;           /* NULL ends a table */
    uint16_t access;
    uint8_t var;                /* guest variable that holds it, 0: none */
    int8_t feature;             /* ArmFeature + 1 that must be present; 0: none */
    uint32_t field;             /* offset of a uint64_t in ArmCpu; 0: none (reads as reset) */
    uint64_t reset;
    uint64_t read_only;         /* bits that a write does not change */
    uint64_t (*read)(ArmCpu *cpu, const ArmSysreg *reg);
    void (*write)(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value);
    uint32_t el0_mode;          /* mode bits without which EL0 access traps (EC 0x18) */
    /* The same by a hook: false traps. NULL: the access bits alone decide. */
    bool (*el0_allowed)(ArmCpu *cpu, const ArmSysreg *reg, bool write);
    uint8_t index;              /* for hooks of register arrays */
};

extern const ArmSysreg arm_sysregs_id[], arm_sysregs_memory[], arm_sysregs_timer[],
    arm_sysregs_debug[], arm_sysregs_pmu[];
/* The register or system instruction with an encoding, if the CPU has it; else NULL. */
const ArmSysreg *arm_sysreg_find(const ArmCpu *cpu, uint32_t encoding);
void arm_sysregs_reset(ArmCpu *cpu);
uint64_t arm_sysreg_read(ArmCpu *cpu, const ArmSysreg *reg);
void arm_sysreg_write(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value);

enum {
    SCTLR_M = 1 << 0,
    SCTLR_A = 1 << 1,
    SCTLR_C = 1 << 2,
    SCTLR_SA = 1 << 3,
    SCTLR_SA0 = 1 << 4,
    SCTLR_UMA = 1 << 9,
    SCTLR_I = 1 << 12,
    SCTLR_ENDB = 1 << 13,
    SCTLR_DZE = 1 << 14,
    SCTLR_UCT = 1 << 15,
    SCTLR_NTWI = 1 << 16,
    SCTLR_NTWE = 1 << 18,
    SCTLR_WXN = 1 << 19,
    SCTLR_SPAN = 1 << 23,
    SCTLR_E0E = 1 << 24,
    SCTLR_EE = 1 << 25,
    SCTLR_UCI = 1 << 26,
    SCTLR_ENDA = 1 << 27,
    SCTLR_ENIB = 1 << 30,
    SCTLR_DSSBS_SHIFT = 44,
};
#define SCTLR_ENIA (UINT64_C(1) << 31)
#define SCTLR_MSCEN (UINT64_C(1) << 33)
#define SCTLR_BT0 (UINT64_C(1) << 35)
#define SCTLR_BT1 (UINT64_C(1) << 36)
#define SCTLR_EPAN (UINT64_C(1) << 57)

enum {
    MDSCR_SS = 1 << 0,
    MDSCR_TDCC = 1 << 12,
    MDSCR_KDE = 1 << 13,
    MDSCR_MDE = 1 << 15,
};

/* debug.c: GenerateDebugExceptionsFrom for EL1 or EL0 and PSTATE.D. */
bool arm_debug_exceptions_enabled(const ArmCpu *cpu, bool el1, bool d);

/* timer.c */
bool arm_timers_realize(ArmCpu *cpu, GError **error);
void arm_timers_reset(ArmCpu *cpu);
void arm_timers_state_loaded(ArmCpu *cpu);
uint64_t arm_timer_count(const ArmCpu *cpu);
/* Virtual time at which the event stream ticks next, or -1. */
int64_t arm_event_stream_deadline(const ArmCpu *cpu);

/* sysregs-id.c: fills cpu->id_registers from the model and the features. */
void arm_id_registers_init(ArmCpu *cpu);

/* pmu.c */
void arm_pmu_realize(ArmCpu *cpu);
void arm_pmu_reset(ArmCpu *cpu);
void arm_pmu_state_loaded(ArmCpu *cpu);
/* Overflows of instructions are found late: whether there is one now whose interrupt, not masked, would have come already. */
bool arm_pmu_overflow_interrupts(ArmCpu *cpu);
/* Around a change of exception level while pmu.filtered. */
void arm_pmu_level_change_begin(ArmCpu *cpu);
void arm_pmu_level_change_end(ArmCpu *cpu);
/* An exception is about to be taken from, or an exception return to leave, the current level. */
void arm_pmu_count_exception(ArmCpu *cpu, bool is_return);

#endif
