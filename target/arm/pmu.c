/* SPDX-License-Identifier: MIT */
/*
 * Performance monitors, PMUv3 (DDI 0487 D13): a cycle counter of 1 GHz virtual time, and six counters
 * with overflow interrupts for the events below, which are all exact. There is no AArch32, so PMCR_EL0.LC
 * is one and D zero.
 *
 * A counter holds its value as of the last synchronisation; what its source has advanced since is
 * added at the next. Filters by exception level make every change of level such a point. Instructions
 * are counted by units of their own (TCG_MODE_COUNT), while a counter asks for them. When such a counter
 * overflows is found by looking at it in time.
 */
#include "target/arm/models.h"
#include "target/arm/sysregs.h"

enum { CYCLE = ARM_PMU_COUNTERS };
enum {
    EVENT_SW_INCR = 0x00,
    EVENT_INST_RETIRED = 0x08,
    EVENT_EXC_TAKEN = 0x09,
    EVENT_EXC_RETURN = 0x0a,
    EVENT_CPU_CYCLES = 0x11,
    EVENT_CHAIN = 0x1e, /* of an odd counter: the one below it has overflowed */
    EVENTS = 1 << EVENT_SW_INCR | 1 << EVENT_INST_RETIRED | 1 << EVENT_EXC_TAKEN |
             1 << EVENT_EXC_RETURN | 1 << EVENT_CPU_CYCLES | 1 << EVENT_CHAIN,
    EVENT_MASK = 0x3ff,
};
enum { PMCR_E = 1, PMCR_P = 2, PMCR_C = 4, PMCR_X = 16, PMCR_DP = 32, PMCR_LC = 64 };
/* Counters of instructions: how soon an overflow is looked for, and more than can be executed in 1 ns. */
enum { MIN_LOOK_NS = 50000, MAX_INSTRUCTIONS_PER_NS = 8 };
enum { USERENR_EN = 1, USERENR_SW = 2, USERENR_CR = 4, USERENR_ER = 8 };
#define TYPE_P       (UINT64_C(1) << 31)
#define TYPE_U       (UINT64_C(1) << 30)
#define COUNTER_MASK (UINT64_C(1) << 31 | ((1u << ARM_PMU_COUNTERS) - 1))

static unsigned bit_of_counter(unsigned n)
{
    return n == CYCLE ? 31 : n;
}

static unsigned event_of(const ArmPmu *pmu, unsigned n)
{
    return n == CYCLE ? EVENT_CPU_CYCLES : pmu->type[n] & EVENT_MASK;
}

static bool is_enabled(const ArmPmu *pmu, unsigned n)
{
    return pmu->pmcr & PMCR_E && pmu->cntenset >> bit_of_counter(n) & 1;
}

/* Whether a counter counts an event at an exception level. */
static bool counts(const ArmPmu *pmu, unsigned n, unsigned event, bool el1)
{
    return is_enabled(pmu, n) && event_of(pmu, n) == event &&
           !(pmu->type[n] & (el1 ? TYPE_P : TYPE_U));
}

/* Counters are of 32 bits, but for the cycle counter. */
static uint64_t counter_limit(unsigned n)
{
    return n == CYCLE ? UINT64_MAX : UINT32_MAX;
}

static void advance(ArmPmu *pmu, unsigned n, uint64_t amount, bool el1)
{
    uint64_t new = pmu->counter[n] + amount;
    uint64_t overflows = n == CYCLE ? new < amount : new >> 32;

    pmu->counter[n] = new &counter_limit(n);
    if (overflows) {
        pmu->ovsset |= UINT64_C(1) << bit_of_counter(n);
        if (n % 2 == 0 && n + 1 < ARM_PMU_COUNTERS && counts(pmu, n + 1, EVENT_CHAIN, el1)) {
            advance(pmu, n + 1, overflows, el1);
        }
    }
}

static void update_interrupt(ArmCpu *cpu)
{
    Machine *machine = cpu->vcpu.machine;
    ArmPmu *pmu = &cpu->pmu;
    bool level = pmu->pmcr & PMCR_E && pmu->ovsset & pmu->intenset;

    if (level != pmu->level) {
        bool locked = machine_lock_held(machine);

        if (!locked) {
            machine_lock(machine);
        }
        pmu->level = level;
        irq_set(&pmu->irq, level);
        if (!locked) {
            machine_unlock(machine);
        }
    }
}

static void synchronize(ArmCpu *cpu)
{
    ArmPmu *pmu = &cpu->pmu;
    uint64_t now = (uint64_t)clock_now_ns(cpu->vcpu.machine);
    uint64_t instructions = cpu->tcg.insn_count - pmu->instructions_base;

    for (unsigned n = 0; n <= CYCLE; n++) {
        if (counts(pmu, n, EVENT_CPU_CYCLES, cpu->el1) && now > pmu->base) {
            advance(pmu, n, now - pmu->base, cpu->el1);
        } else if (counts(pmu, n, EVENT_INST_RETIRED, cpu->el1) && instructions) {
            advance(pmu, n, instructions, cpu->el1);
        }
    }
    pmu->base = now;
    pmu->instructions_base = cpu->tcg.insn_count;
}

/* Nanoseconds until a counter of time may overflow, or one of instructions should be looked at. */
static uint64_t time_to_overflow(const ArmPmu *pmu, unsigned n, bool el1)
{
    uint64_t left = counter_limit(n) - pmu->counter[n];

    if (counts(pmu, n, EVENT_CPU_CYCLES, el1)) {
        return left;
    }
    return counts(pmu, n, EVENT_INST_RETIRED, el1)
               ? MAX(left / MAX_INSTRUCTIONS_PER_NS, (uint64_t)MIN_LOOK_NS)
               : UINT64_MAX;
}

/* Whether an overflow of a counter, or of the one that is chained to it, interrupts. */
static bool overflow_interrupts(const ArmPmu *pmu, unsigned n)
{
    return (pmu->intenset >> bit_of_counter(n) & 1) ||
           (n % 2 == 0 && n + 1 < ARM_PMU_COUNTERS && pmu->intenset >> (n + 1) & 1);
}

/* After a change: interrupt, next overflow, and what the rest of the processor has to tell us. */
static void settle(ArmCpu *cpu)
{
    ArmPmu *pmu = &cpu->pmu;
    uint64_t nearest = UINT64_MAX;

    pmu->filtered = pmu->counts_exceptions = false;
    pmu->counts_instructions[0] = pmu->counts_instructions[1] = false;
    for (unsigned n = 0; n <= CYCLE; n++) {
        pmu->filtered |= is_enabled(pmu, n) && pmu->type[n] & (TYPE_P | TYPE_U);
        for (unsigned el = 0; el < 2; el++) {
            pmu->counts_instructions[el] |= counts(pmu, n, EVENT_INST_RETIRED, el);
            pmu->counts_exceptions |=
                counts(pmu, n, EVENT_EXC_TAKEN, el) || counts(pmu, n, EVENT_EXC_RETURN, el);
        }
        if (overflow_interrupts(pmu, n)) {
            nearest = MIN(nearest, time_to_overflow(pmu, n, cpu->el1));
        }
    }
    update_interrupt(cpu);
    if (nearest < INT64_MAX / 2) {
        timer_arm(&pmu->timer, (int64_t)(pmu->base + nearest + 1));
    } else if (timer_is_armed(&pmu->timer)) {
        timer_cancel(&pmu->timer);
    }
}

void arm_pmu_level_change_begin(ArmCpu *cpu)
{
    synchronize(cpu);
}

void arm_pmu_level_change_end(ArmCpu *cpu)
{
    settle(cpu);
}

void arm_pmu_count_exception(ArmCpu *cpu, bool is_return)
{
    ArmPmu *pmu = &cpu->pmu;
    unsigned event = is_return ? EVENT_EXC_RETURN : EVENT_EXC_TAKEN;

    for (unsigned n = 0; n < ARM_PMU_COUNTERS; n++) {
        if (counts(pmu, n, event, cpu->el1)) {
            advance(pmu, n, 1, cpu->el1);
        }
    }
    update_interrupt(cpu);
}

bool arm_pmu_overflow_interrupts(ArmCpu *cpu)
{
    bool was_raised = cpu->pmu.level;

    synchronize(cpu);
    update_interrupt(cpu);
    return cpu->pmu.level && !was_raised && !(cpu->daif & SPSR_I);
}

static void overflow_on_cpu(Vcpu *vcpu, void *opaque)
{
    synchronize(arm_cpu(vcpu));
    settle(arm_cpu(vcpu));
}

/* Main loop: the counters are the vCPU thread's. */
static void overflow(void *opaque)
{
    ArmCpu *cpu = opaque;

    vcpu_queue_work(&cpu->vcpu, overflow_on_cpu, NULL);
}

void arm_pmu_realize(ArmCpu *cpu)
{
    timer_init(&cpu->pmu.timer, cpu->vcpu.machine, overflow, cpu);
}

void arm_pmu_reset(ArmCpu *cpu)
{
    ArmPmu *pmu = &cpu->pmu;

    memset(pmu->counter, 0, sizeof pmu->counter);
    memset(pmu->type, 0, sizeof pmu->type);
    pmu->base = (uint64_t)clock_now_ns(cpu->vcpu.machine);
    pmu->instructions_base = cpu->tcg.insn_count;
    pmu->filtered = pmu->counts_exceptions = false;
    pmu->counts_instructions[0] = pmu->counts_instructions[1] = false;
    pmu->pmcr = PMCR_LC;
    pmu->cntenset = pmu->ovsset = pmu->intenset = pmu->selr = pmu->userenr = 0;
    timer_cancel(&pmu->timer);
    update_interrupt(cpu);
}

void arm_pmu_state_loaded(ArmCpu *cpu)
{
    settle(cpu);
}

enum {
    R_PMCR,
    R_CNTENSET,
    R_CNTENCLR,
    R_OVSCLR,
    R_OVSSET,
    R_SWINC,
    R_SELR,
    R_CEID0,
    R_CCNTR,
    R_XEVTYPER,
    R_XEVCNTR,
    R_USERENR,
    R_INTENSET,
    R_INTENCLR,
    R_EVCNTR,
    R_EVTYPER = R_EVCNTR + 8,
    R_CCFILTR = R_EVTYPER + 8
};

/* Which counter a register names; -1: none. */
static int counter_of(const ArmPmu *pmu, unsigned index)
{
    unsigned n = index == R_XEVTYPER || index == R_XEVCNTR ? pmu->selr & 31
                 : index >= R_EVTYPER                      ? index - R_EVTYPER
                                                           : index - R_EVCNTR;

    if (index == R_CCNTR || index == R_CCFILTR || (index == R_XEVTYPER && n == 31)) {
        return CYCLE;
    }
    return n < ARM_PMU_COUNTERS ? (int)n : -1;
}

static bool is_type(unsigned index)
{
    return index == R_XEVTYPER || index >= R_EVTYPER;
}

static uint64_t read_pmu(ArmCpu *cpu, const ArmSysreg *reg)
{
    ArmPmu *pmu = &cpu->pmu;
    int n;

    switch (reg->index) {
    case R_PMCR:
        return pmu->pmcr | ARM_PMU_COUNTERS << 11 | (cpu->arm_model->midr >> 24 & 0xff) << 24;
    case R_CNTENSET:
    case R_CNTENCLR:
        return pmu->cntenset;
    case R_OVSSET:
    case R_OVSCLR:
        synchronize(cpu);
        return pmu->ovsset;
    case R_SELR:
        return pmu->selr;
    case R_CEID0:
        return EVENTS;
    case R_USERENR:
        return pmu->userenr;
    case R_INTENSET:
    case R_INTENCLR:
        return pmu->intenset;
    default:
        n = counter_of(pmu, reg->index);
        if (n < 0) {
            return 0;
        }
        if (is_type(reg->index)) {
            return pmu->type[n];
        }
        synchronize(cpu);
        return pmu->counter[n];
    }
}

static void write_pmcr(ArmPmu *pmu, uint64_t value)
{
    if (value & PMCR_C) {
        pmu->counter[CYCLE] = 0;
    }
    if (value & PMCR_P) {
        memset(pmu->counter, 0, ARM_PMU_COUNTERS * sizeof pmu->counter[0]);
    }
    pmu->pmcr = (value & (PMCR_E | PMCR_X | PMCR_DP)) | PMCR_LC;
}

static void write_counter(ArmPmu *pmu, unsigned index, uint64_t value)
{
    int n = counter_of(pmu, index);

    if (n < 0) {
        return;
    }
    if (!is_type(index)) {
        pmu->counter[n] = n == CYCLE ? value : (uint32_t)value;
    } else {
        pmu->type[n] = value & (TYPE_P | TYPE_U | (n == CYCLE ? 0 : EVENT_MASK));
    }
}

static void increment(ArmCpu *cpu, uint64_t counters)
{
    ArmPmu *pmu = &cpu->pmu;

    for (unsigned n = 0; n < ARM_PMU_COUNTERS; n++) {
        if (counters >> n & 1 && counts(pmu, n, EVENT_SW_INCR, cpu->el1)) {
            advance(pmu, n, 1, cpu->el1);
        }
    }
}

static void write_pmu(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    ArmPmu *pmu = &cpu->pmu;

    synchronize(cpu);
    switch (reg->index) {
    case R_PMCR:
        write_pmcr(pmu, value);
        break;
    case R_CNTENSET:
        pmu->cntenset |= value & COUNTER_MASK;
        break;
    case R_CNTENCLR:
        pmu->cntenset &= ~value;
        break;
    case R_OVSCLR:
        pmu->ovsset &= ~value;
        break;
    case R_OVSSET:
        pmu->ovsset |= value & COUNTER_MASK;
        break;
    case R_SWINC:
        increment(cpu, value);
        break;
    case R_SELR:
        pmu->selr = value & 31;
        break;
    case R_USERENR:
        pmu->userenr = value & 15;
        break;
    case R_INTENSET:
        pmu->intenset |= value & COUNTER_MASK;
        break;
    case R_INTENCLR:
        pmu->intenset &= ~value;
        break;
    default:
        write_counter(pmu, reg->index, value);
        break;
    }
    settle(cpu);
    if (reg->access & ARM_SYSREG_MODE) {
        arm_update_mode(cpu);
    }
}

static bool allowed(ArmCpu *cpu, const ArmSysreg *reg, bool write)
{
    uint64_t user = cpu->pmu.userenr;

    switch (reg->index) {
    case R_USERENR:
        return !write;
    case R_SWINC:
        return user & (USERENR_EN | USERENR_SW);
    case R_CCNTR:
        return user & USERENR_EN || (!write && user & USERENR_CR);
    case R_SELR:
        return user & (USERENR_EN | USERENR_ER);
    case R_XEVCNTR:
        return user & USERENR_EN || (!write && user & USERENR_ER);
    default:
        return user & USERENR_EN ||
               (!write && reg->index >= R_EVCNTR && reg->index < R_EVTYPER && user & USERENR_ER);
    }
}

/* clang-format off */
/* Writes may begin or end the counting of instructions; reads need all that have been counted. */
#define EXACT (ARM_SYSREG_MODE | ARM_SYSREG_FAULTS | ARM_SYSREG_OVERFLOWS)
#define PMU(crm, op2, text, rights, number)                                                        \
    { ARM_SYSREG(3, 3, 9, crm, op2), text, rights, .read = read_pmu, .write = write_pmu,           \
      .el0_allowed = allowed, .index = number, .feature = FEAT_PMU + 1 }
#define COUNTER(n)                                                                                 \
    { ARM_SYSREG(3, 3, 14, 8, n), "pmevcntr" #n "_el0", ARM_ALL_RW | EXACT, .read = read_pmu,      \
      .write = write_pmu, .el0_allowed = allowed, .index = R_EVCNTR + n,                           \
      .feature = FEAT_PMU + 1 },                                                                   \
    { ARM_SYSREG(3, 3, 14, 12, n), "pmevtyper" #n "_el0", ARM_ALL_RW | EXACT, .read = read_pmu,    \
      .write = write_pmu, .el0_allowed = allowed, .index = R_EVTYPER + n,                          \
      .feature = FEAT_PMU + 1 }

const ArmSysreg arm_sysregs_pmu[] = {
    PMU(12, 0, "pmcr_el0", ARM_ALL_RW | EXACT, R_PMCR),
    PMU(12, 1, "pmcntenset_el0", ARM_ALL_RW | EXACT, R_CNTENSET),
    PMU(12, 2, "pmcntenclr_el0", ARM_ALL_RW | EXACT, R_CNTENCLR),
    PMU(12, 3, "pmovsclr_el0", ARM_ALL_RW | EXACT, R_OVSCLR),
    PMU(12, 4, "pmswinc_el0", ARM_EL0_W | ARM_EL1_W, R_SWINC),
    PMU(12, 5, "pmselr_el0", ARM_ALL_RW, R_SELR),
    PMU(12, 6, "pmceid0_el0", ARM_ALL_R, R_CEID0),
    { ARM_SYSREG(3, 3, 9, 12, 7), "pmceid1_el0", ARM_ALL_R, .el0_allowed = allowed,
      .index = R_CEID0, .feature = FEAT_PMU + 1 },
    PMU(13, 0, "pmccntr_el0", ARM_ALL_RW | EXACT, R_CCNTR),
    PMU(13, 1, "pmxevtyper_el0", ARM_ALL_RW | EXACT, R_XEVTYPER),
    PMU(13, 2, "pmxevcntr_el0", ARM_ALL_RW | EXACT, R_XEVCNTR),
    PMU(14, 0, "pmuserenr_el0", ARM_EL0_R | ARM_EL1_RW, R_USERENR),
    PMU(14, 3, "pmovsset_el0", ARM_ALL_RW | EXACT, R_OVSSET),
    { ARM_SYSREG(3, 0, 9, 14, 1), "pmintenset_el1", ARM_EL1_RW | EXACT, .read = read_pmu,
      .write = write_pmu, .index = R_INTENSET, .feature = FEAT_PMU + 1 },
    { ARM_SYSREG(3, 0, 9, 14, 2), "pmintenclr_el1", ARM_EL1_RW | EXACT, .read = read_pmu,
      .write = write_pmu, .index = R_INTENCLR, .feature = FEAT_PMU + 1 },
    COUNTER(0), COUNTER(1), COUNTER(2), COUNTER(3), COUNTER(4), COUNTER(5),
    { ARM_SYSREG(3, 3, 14, 15, 7), "pmccfiltr_el0", ARM_ALL_RW | EXACT, .read = read_pmu,
      .write = write_pmu, .el0_allowed = allowed, .index = R_CCFILTR, .feature = FEAT_PMU + 1 },
    { 0 },
};
/* clang-format on */
