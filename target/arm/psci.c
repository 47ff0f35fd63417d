/* SPDX-License-Identifier: MIT */
/*
 * Power State Coordination Interface 1.1 (DEN0022) and the SMC Calling Convention's discovery calls
 * (DEN0028). CPU_SUSPEND is a wait for interrupt whatever the state asked for. Not there: migration,
 * memory protection, SYSTEM_SUSPEND, the random-number service.
 */
#include "target/arm/psci.h"

#include "base/log.h"
#include "machine/debug.h"
#include "machine/event-names.h"
#include "target/arm/exception.h"
#include "target/arm/sysregs.h"

enum {
    PSCI_SUCCESS = 0,
    PSCI_NOT_SUPPORTED = -1,
    PSCI_INVALID_PARAMETERS = -2,
    PSCI_DENIED = -3,
    PSCI_ALREADY_ON = -4,
    PSCI_ON_PENDING = -5,
    PSCI_INVALID_ADDRESS = -9,
};

/* Function numbers; SMC64 variants have bit 30 set. */
enum {
    SMC64 = 0x40000000,
    PSCI_BASE = (int)0x84000000,
    PSCI_VERSION = PSCI_BASE,
    PSCI_CPU_SUSPEND,
    PSCI_CPU_OFF,
    PSCI_CPU_ON,
    PSCI_AFFINITY_INFO,
    PSCI_MIGRATE,
    PSCI_MIGRATE_INFO_TYPE,
    PSCI_MIGRATE_INFO_UP_CPU,
    PSCI_SYSTEM_OFF,
    PSCI_SYSTEM_RESET,
    PSCI_FEATURES,
    PSCI_SYSTEM_RESET2 = PSCI_BASE + 0x12,
    SMCCC_VERSION = (int)0x80000000,
    SMCCC_ARCH_FEATURES,
};

enum { AFFINITY_ON, AFFINITY_OFF, AFFINITY_ON_PENDING };

static ArmCpu *cpu_by_affinity(Machine *machine, uint64_t affinity)
{
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        ArmCpu *cpu = arm_cpu(machine->vcpus->pdata[i]);

        if ((cpu->mpidr & UINT64_C(0xff00ffffff)) == affinity) {
            return cpu;
        }
    }
    return NULL;
}

typedef struct {
    uint64_t entry, context;
} PowerOn;

/* On the thread of the processor that is switched on. */
static void power_on(Vcpu *vcpu, void *opaque)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    PowerOn *start = opaque;

    if (atomic_exchange(&cpu->on_pending, false)) {
        arm_target.reset(vcpu);
        tcg_set_pc(&cpu->tcg, start->entry);
        cpu->x[0] = start->context;
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
        atomic_store(&vcpu->powered, true);
    }
    g_free(start);
}

static int64_t cpu_on(ArmCpu *self, uint64_t affinity, uint64_t entry, uint64_t context)
{
    ArmCpu *cpu = cpu_by_affinity(self->vcpu.machine, affinity);
    bool expected = false;
    PowerOn *start;

    if (!cpu) {
        return PSCI_INVALID_PARAMETERS;
    }
    if (entry & 3) {
        return PSCI_INVALID_ADDRESS;
    }
    if (atomic_load(&cpu->vcpu.powered)) {
        return PSCI_ALREADY_ON;
    }
    if (!atomic_compare_exchange_strong(&cpu->on_pending, &expected, true)) {
        return PSCI_ON_PENDING;
    }
    start = g_new(PowerOn, 1);
    *start = (PowerOn){ entry, context };
    vcpu_queue_work(&cpu->vcpu, power_on, start);
    return PSCI_SUCCESS;
}

static int64_t affinity_info(ArmCpu *self, uint64_t affinity, uint64_t level)
{
    ArmCpu *cpu = cpu_by_affinity(self->vcpu.machine, affinity);

    if (!cpu || level > 0) {
        return PSCI_INVALID_PARAMETERS;
    }
    return atomic_load(&cpu->vcpu.powered) ? AFFINITY_ON
           : atomic_load(&cpu->on_pending) ? AFFINITY_ON_PENDING
                                           : AFFINITY_OFF;
}

static int64_t features(uint32_t function)
{
    switch (function & ~(uint32_t)SMC64) {
    case (uint32_t)PSCI_VERSION:
    case (uint32_t)PSCI_CPU_SUSPEND:
    case (uint32_t)PSCI_CPU_OFF:
    case (uint32_t)PSCI_CPU_ON:
    case (uint32_t)PSCI_AFFINITY_INFO:
    case (uint32_t)PSCI_MIGRATE_INFO_TYPE:
    case (uint32_t)PSCI_SYSTEM_OFF:
    case (uint32_t)PSCI_SYSTEM_RESET:
    case (uint32_t)PSCI_SYSTEM_RESET2:
    case (uint32_t)PSCI_FEATURES:
    case (uint32_t)SMCCC_VERSION:
        return PSCI_SUCCESS;
    default:
        return PSCI_NOT_SUPPORTED;
    }
}

void arm_stop_here(ArmCpu *cpu)
{
    atomic_store(&cpu->vcpu.halted, true);
    cpu->waits_for_event = false;
    cpu->vcpu.halt_deadline_ns = -1;
    arm_request_exit(cpu);
}

static int64_t call(ArmCpu *cpu, uint32_t function)
{
    const uint64_t *x = cpu->x;
    Machine *machine = cpu->vcpu.machine;
    uint64_t mask = function & SMC64 ? UINT64_MAX : UINT32_MAX;

    switch (function & ~(uint32_t)SMC64) {
    case (uint32_t)PSCI_VERSION:
        return 0x10001;
    case (uint32_t)PSCI_CPU_SUSPEND:
        if (!atomic_load(&cpu->vcpu.interrupts)) {
            arm_stop_here(cpu);
        }
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_CPU_OFF:
        atomic_store(&cpu->vcpu.powered, false);
        arm_request_exit(cpu);
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_CPU_ON:
        return cpu_on(cpu, x[1] & mask & UINT64_C(0xff00ffffff), x[2] & mask, x[3] & mask);
    case (uint32_t)PSCI_AFFINITY_INFO:
        return affinity_info(cpu, x[1] & mask & UINT64_C(0xff00ffffff), x[2] & mask);
    case (uint32_t)PSCI_MIGRATE_INFO_TYPE:
        return 2; /* no trusted OS, or one that needs no migration */
    case (uint32_t)PSCI_SYSTEM_OFF:
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
        arm_stop_here(cpu);
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_SYSTEM_RESET:
    case (uint32_t)PSCI_SYSTEM_RESET2:
        machine_request_reset(machine, "guest");
        arm_stop_here(cpu);
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_FEATURES:
        return features((uint32_t)x[1]);
    case (uint32_t)SMCCC_VERSION:
        return 0x10001;
    case (uint32_t)SMCCC_ARCH_FEATURES:
        return (uint32_t)x[1] == (uint32_t)SMCCC_VERSION ||
                       (uint32_t)x[1] == (uint32_t)SMCCC_ARCH_FEATURES
                   ? PSCI_SUCCESS
                   : PSCI_NOT_SUPPORTED;
    default:
        log_guest_error("psci", "unknown function %#x", function);
        return PSCI_NOT_SUPPORTED;
    }
}

void arm_psci_call(ArmCpu *cpu)
{
    uint32_t function = (uint32_t)cpu->x[0];

    if (debug_wants(cpu->vcpu.machine, DEBUG_FIRMWARE_CALL)) {
        debug_report(
            cpu->vcpu.machine, &cpu->vcpu,
            &(DebugEvent){ .kind = DEBUG_FIRMWARE_CALL, .number = function, .value = cpu->x[1] });
    }
    cpu->x[0] = (uint64_t)call(cpu, function);
}

static const EventNames call_names = { DEBUG_FIRMWARE_CALL, { "aarch64" }, NULL, 0 };
EVENT_NAMES(call_names);
