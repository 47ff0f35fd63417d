/* SPDX-License-Identifier: MIT */
/*
 * Generic timers (DDI 0487 D12): the physical and the virtual timer of EL1 over a system counter
 * that is the machine's virtual clock, 62.5 MHz unless one asks for another frequency. There is no EL2, hence no offset between the two.
 *
 * Threads: comparators change under the machine lock, because a timer that expires in the main loop
 * looks at them and drives the same line.
 */
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

enum { CTL_ENABLE = 1, CTL_IMASK = 2, CTL_ISTATUS = 4 };
enum {
    CNTKCTL_EL0PCTEN = 1 << 0,
    CNTKCTL_EL0VCTEN = 1 << 1,
    CNTKCTL_EVNTEN = 1 << 2,
    CNTKCTL_EVNTDIR = 1 << 3,
    CNTKCTL_EL0VTEN = 1 << 8,
    CNTKCTL_EL0PTEN = 1 << 9,
};

uint64_t arm_timer_count(const ArmCpu *cpu)
{
    return (uint64_t)clock_now_ns(cpu->vcpu.machine) / (uint64_t)cpu->tick_ns;
}

static bool condition_met(const ArmCpu *cpu, const ArmTimer *timer)
{
    return timer->ctl & CTL_ENABLE && arm_timer_count(cpu) >= timer->cval;
}

/* Under the machine lock. */
static void update_timer(ArmCpu *cpu, ArmTimer *timer)
{
    bool met = condition_met(cpu, timer), level = met && !(timer->ctl & CTL_IMASK);

    if (timer->ctl & CTL_ENABLE && !met && timer->cval <= (uint64_t)(INT64_MAX / cpu->tick_ns)) {
        timer_arm(&timer->timer, (int64_t)timer->cval * cpu->tick_ns);
    } else {
        timer_cancel(&timer->timer);
    }
    if (level != timer->level) {
        timer->level = level;
        irq_set(&timer->irq, level);
    }
}

static void expire_phys(void *opaque)
{
    ArmCpu *cpu = opaque;

    update_timer(cpu, &cpu->timers[ARM_TIMER_PHYS]);
}

static void expire_virt(void *opaque)
{
    ArmCpu *cpu = opaque;

    update_timer(cpu, &cpu->timers[ARM_TIMER_VIRT]);
}

bool arm_timers_realize(ArmCpu *cpu, GError **error)
{
    Device *device = &cpu->vcpu.device;

    timer_init(&cpu->timers[ARM_TIMER_PHYS].timer, cpu->vcpu.machine, expire_phys, cpu);
    timer_init(&cpu->timers[ARM_TIMER_VIRT].timer, cpu->vcpu.machine, expire_virt, cpu);
    device_add_irq(device, &cpu->timers[ARM_TIMER_PHYS].irq);
    device_add_irq(device, &cpu->timers[ARM_TIMER_VIRT].irq);
    device_add_irq(device, &cpu->unused_irqs[0]);
    device_add_irq(device, &cpu->unused_irqs[1]);
    device_add_irq(device, &cpu->pmu.irq);
    return true;
}

static void set_timer(ArmCpu *cpu, unsigned index, uint32_t ctl, uint64_t cval)
{
    Machine *machine = cpu->vcpu.machine;
    ArmTimer *timer = &cpu->timers[index];
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    timer->ctl = ctl;
    timer->cval = cval;
    update_timer(cpu, timer);
    if (!locked) {
        machine_unlock(machine);
    }
}

void arm_timers_reset(ArmCpu *cpu)
{
    for (unsigned i = 0; i < ARM_TIMER_COUNT; i++) {
        set_timer(cpu, i, 0, 0);
    }
}

/* Under the machine lock. */
void arm_timers_state_loaded(ArmCpu *cpu)
{
    for (unsigned i = 0; i < ARM_TIMER_COUNT; i++) {
        update_timer(cpu, &cpu->timers[i]);
    }
}

int64_t arm_event_stream_deadline(const ArmCpu *cpu)
{
    uint64_t count = arm_timer_count(cpu), period, phase;

    if (!(cpu->cntkctl_el1 & CNTKCTL_EVNTEN)) {
        return -1;
    }
    period = UINT64_C(2) << (cpu->cntkctl_el1 >> 4 & 15);
    phase = cpu->cntkctl_el1 & CNTKCTL_EVNTDIR ? 0 : period / 2;
    return (int64_t)(count + period - (count - phase) % period) * cpu->tick_ns;
}

static uint64_t read_count(ArmCpu *cpu, const ArmSysreg *reg)
{
    return arm_timer_count(cpu);
}

static uint64_t read_ctl(ArmCpu *cpu, const ArmSysreg *reg)
{
    const ArmTimer *timer = &cpu->timers[reg->index];
    bool met = condition_met(cpu, timer);

    if (met) { /* the main loop may be late to raise the interrupt */
        set_timer(cpu, reg->index, timer->ctl, timer->cval);
    }
    return timer->ctl | (met ? CTL_ISTATUS : 0);
}

static void write_ctl(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    set_timer(cpu, reg->index, value & (CTL_ENABLE | CTL_IMASK), cpu->timers[reg->index].cval);
}

static uint64_t read_cval(ArmCpu *cpu, const ArmSysreg *reg)
{
    return cpu->timers[reg->index].cval;
}

static void write_cval(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    set_timer(cpu, reg->index, cpu->timers[reg->index].ctl, value);
}

static uint64_t read_tval(ArmCpu *cpu, const ArmSysreg *reg)
{
    return (uint32_t)(cpu->timers[reg->index].cval - arm_timer_count(cpu));
}

static void write_tval(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    set_timer(cpu, reg->index, cpu->timers[reg->index].ctl,
              arm_timer_count(cpu) + (uint64_t)(int32_t)value);
}

static void write_cntkctl(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    cpu->cntkctl_el1 = value & 0x3ff;
    arm_update_controls(cpu);
}

static bool frequency_allowed(ArmCpu *cpu, const ArmSysreg *reg, bool write)
{
    return cpu->cntkctl_el1 & (CNTKCTL_EL0PCTEN | CNTKCTL_EL0VCTEN);
}

static bool timer_allowed(ArmCpu *cpu, const ArmSysreg *reg, bool write)
{
    return cpu->cntkctl_el1 & (reg->index == ARM_TIMER_VIRT ? CNTKCTL_EL0VTEN : CNTKCTL_EL0PTEN);
}

/* clang-format off */
#define TIMER(crm, op2, text, number, get, put)                                                    \
    { ARM_SYSREG(3, 3, 14, crm, op2), text, ARM_ALL_RW, .read = get, .write = put,                 \
      .el0_allowed = timer_allowed, .index = number }

const ArmSysreg arm_sysregs_timer[] = {
    { ARM_SYSREG(3, 3, 14, 0, 0), "cntfrq_el0", ARM_ALL_R | ARM_EL1_W,
      .field = offsetof(ArmCpu, cntfrq_el0), .el0_allowed = frequency_allowed },
    { ARM_SYSREG(3, 3, 14, 0, 1), "cntpct_el0", ARM_ALL_R, .read = read_count,
      .el0_mode = ARM_MODE_CNTPCT },
    { ARM_SYSREG(3, 3, 14, 0, 2), "cntvct_el0", ARM_ALL_R, .read = read_count,
      .el0_mode = ARM_MODE_CNTVCT },
    { ARM_SYSREG(3, 0, 14, 1, 0), "cntkctl_el1", ARM_EL1_RW | ARM_SYSREG_MODE,
      .field = offsetof(ArmCpu, cntkctl_el1), .write = write_cntkctl },
    TIMER(2, 0, "cntp_tval_el0", ARM_TIMER_PHYS, read_tval, write_tval),
    TIMER(2, 1, "cntp_ctl_el0", ARM_TIMER_PHYS, read_ctl, write_ctl),
    TIMER(2, 2, "cntp_cval_el0", ARM_TIMER_PHYS, read_cval, write_cval),
    TIMER(3, 0, "cntv_tval_el0", ARM_TIMER_VIRT, read_tval, write_tval),
    TIMER(3, 1, "cntv_ctl_el0", ARM_TIMER_VIRT, read_ctl, write_ctl),
    TIMER(3, 2, "cntv_cval_el0", ARM_TIMER_VIRT, read_cval, write_cval),
    { 0 },
};
/* clang-format on */
