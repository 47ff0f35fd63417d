/* SPDX-License-Identifier: MIT */
/*
 * Power State Coordination Interface 1.1 (DEN0022) and the SMC Calling Convention's discovery calls
 * (DEN0028). CPU_SUSPEND is a wait for interrupt, be the state a standby or not. Not there: migration,
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

/* Of a power state (original format): what must be zero, and power levels, of which we have the lowest only. */
enum { STATE_REFUSED = (int)0xfffe0000 };

/* What there is: calls that take addresses or processors have an SMC64 variant, too. */
static const struct {
    int number;
    bool smc64;
} functions[] = {
    { PSCI_VERSION, false },      { PSCI_CPU_SUSPEND, true },   { PSCI_CPU_OFF, false },
    { PSCI_CPU_ON, true },        { PSCI_AFFINITY_INFO, true }, { PSCI_MIGRATE_INFO_TYPE, false },
    { PSCI_SYSTEM_OFF, false },   { PSCI_SYSTEM_RESET, false }, { PSCI_FEATURES, false },
    { PSCI_SYSTEM_RESET2, true }, { SMCCC_VERSION, false },     { SMCCC_ARCH_FEATURES, false },
};

static bool is_there(uint32_t function)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(functions); i++) {
        uint32_t number = (uint32_t)functions[i].number;

        if (function == number || (functions[i].smc64 && function == (number | SMC64))) {
            return true;
        }
    }
    return false;
}

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

/*
 * On the thread of the processor that is switched on. It counts as on before its reset takes away what is pending: at no time
 * may it look off to others, who would switch it on once more.
 */
static void power_on(Vcpu *vcpu, void *opaque)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    PowerOn *start = opaque;

    if (atomic_load(&cpu->on_pending)) {
        atomic_store(&vcpu->powered, true);
        arm_target.reset(vcpu);
        tcg_set_pc(&cpu->tcg, start->entry);
        cpu->x[0] = start->context;
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
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
    if (atomic_load(&cpu->vcpu.powered)) { /* by another call that has ended since */
        atomic_store(&cpu->on_pending, false);
        return PSCI_ALREADY_ON;
    }
    start = g_new(PowerOn, 1);
    *start = (PowerOn){ entry, context };
    vcpu_queue_work(&cpu->vcpu, power_on, start);
    return PSCI_SUCCESS;
}

static int64_t affinity_info(ArmCpu *self, uint64_t affinity, uint64_t level)
{
    ArmCpu *cpu = cpu_by_affinity(self->vcpu.machine, affinity);
    bool pending;

    if (!cpu || level > 0) {
        return PSCI_INVALID_PARAMETERS;
    }
    pending = atomic_load(&cpu->on_pending); /* first: it goes when the processor is on */
    return atomic_load(&cpu->vcpu.powered) ? AFFINITY_ON
           : pending                       ? AFFINITY_ON_PENDING
                                           : AFFINITY_OFF;
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

    if (!is_there(function)) {
        log_guest_error("psci", "unknown function %#x", function);
        return PSCI_NOT_SUPPORTED;
    }
    switch (function & ~(uint32_t)SMC64) {
    case (uint32_t)PSCI_VERSION:
        return 0x10001;
    case (uint32_t)PSCI_CPU_SUSPEND:
        if (x[1] & (uint32_t)STATE_REFUSED) {
            return PSCI_INVALID_PARAMETERS;
        }
        if (!atomic_load(&cpu->vcpu.interrupts)) {
            arm_stop_here(cpu);
        }
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_CPU_OFF:
        atomic_store(&cpu->vcpu.powered, false);
        arm_request_exit(cpu);
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_CPU_ON:
        return cpu_on(cpu, x[1] & mask, x[2] & mask, x[3] & mask);
    case (uint32_t)PSCI_AFFINITY_INFO:
        return affinity_info(cpu, x[1] & mask, x[2] & mask);
    case (uint32_t)PSCI_MIGRATE_INFO_TYPE:
        return 2; /* no trusted OS, or one that needs no migration */
    case (uint32_t)PSCI_SYSTEM_OFF:
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
        arm_stop_here(cpu);
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_SYSTEM_RESET2:
        if (x[1] & UINT32_MAX) { /* other than a warm reset */
            return PSCI_INVALID_PARAMETERS;
        }
        /* fall through */
    case (uint32_t)PSCI_SYSTEM_RESET:
        machine_request_reset(machine, "guest");
        arm_stop_here(cpu);
        return PSCI_SUCCESS;
    case (uint32_t)PSCI_FEATURES:
        return is_there((uint32_t)x[1]) && (uint32_t)x[1] != (uint32_t)SMCCC_ARCH_FEATURES
                   ? PSCI_SUCCESS
                   : PSCI_NOT_SUPPORTED;
    case (uint32_t)SMCCC_VERSION:
        return 0x10001;
    case (uint32_t)SMCCC_ARCH_FEATURES:
        return (uint32_t)x[1] == (uint32_t)SMCCC_VERSION ||
                       (uint32_t)x[1] == (uint32_t)SMCCC_ARCH_FEATURES
                   ? PSCI_SUCCESS
                   : PSCI_NOT_SUPPORTED;
    }
    return PSCI_NOT_SUPPORTED;
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
