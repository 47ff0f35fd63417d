/* SPDX-License-Identifier: MIT */
#include "tests/unit/counting-machine.h"

#include <glib.h>
#include <string.h>

static bool counting_has_work(const Vcpu *vcpu)
{
    return atomic_load(&vcpu->interrupts) != 0;
}

static const Target counting_target = {
    .name = "counting",
    .cpu_size = sizeof(CountingCpu),
    .properties =
        (const Property[]){
            { "feature", PROPERTY_BOOL, offsetof(CountingCpu, feature), "", .fallback = "on" },
            { 0 },
        },
    .has_work = counting_has_work,
};

static const CpuModel counting_model = { .name = "count", .target = &counting_target };

static bool counting_vcpu_init(Vcpu *vcpu, GError **error)
{
    vcpu->accel = vcpu;
    return true;
}

static void counting_run(Vcpu *vcpu)
{
    CountingCpu *cpu = (CountingCpu *)vcpu;

    while (vcpu_safe_point(vcpu)) {
        atomic_fetch_add(&cpu->rounds, 1);
        if (atomic_load(&vcpu->halted)) {
            vcpu_wait(vcpu, -1);
            if (counting_has_work(vcpu)) {
                atomic_store(&vcpu->halted, false);
            }
        } else {
            while (!atomic_exchange(&cpu->exit_flag, false)) {
                g_usleep(50);
            }
        }
    }
}

static void counting_kick(Vcpu *vcpu)
{
    atomic_store(&((CountingCpu *)vcpu)->exit_flag, true);
}

const Accelerator counting_accelerator = {
    .name = "counting",
    .vcpu_init = counting_vcpu_init,
    .vcpu_run = counting_run,
    .vcpu_kick = counting_kick,
};

static bool counting_build(Machine *machine, void *board, GError **error)
{
    return machine_map_ram(machine, 0x40000000, error) && machine_create_vcpus(machine, error);
}

static const Board counting_board = {
    .name = "counting",
    .instance_size = sizeof(CountingBoard),
    .properties =
        (const Property[]){
            { "option", PROPERTY_BOOL, offsetof(CountingBoard, option), "" },
            { 0 },
        },
    .build = counting_build,
};

Machine *counting_machine(unsigned vcpus)
{
    MachineConfig config = { .target = &counting_target,
                             .board = &counting_board,
                             .cpu_model = &counting_model,
                             .vcpus = vcpus,
                             .ram_bytes = MIB(2) };
    Machine *machine;

    config.rtc_base_s = INT64_MIN;
    machine = machine_new(&config);
    g_assert_true(machine_set_accelerator(machine, &counting_accelerator, NULL, NULL));
    g_assert_true(machine_build(machine, NULL));
    machine_lock(machine);
    machine_reset(machine);
    machine_unlock(machine);
    return machine;
}

unsigned counting_rounds(Machine *machine, unsigned index)
{
    return atomic_load(&((CountingCpu *)machine->vcpus->pdata[index])->rounds);
}
