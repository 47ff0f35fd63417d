/* SPDX-License-Identifier: MIT */
/* Interrupt controllers for people: each tells of itself. */
#include "monitor/command.h"

typedef struct {
    const Vcpu *vcpu;
    GString *out;
} Description;

static void describe(Device *device, void *opaque)
{
    Description *description = opaque;

    if (device->realized && device->type->describe_interrupts) {
        device->type->describe_interrupts(device, description->vcpu, description->out);
    }
}

static json_t *describe_all(Machine *machine, const Vcpu *vcpu)
{
    Description description = { vcpu, g_string_new(NULL) };

    device_foreach(machine->root, describe, &description);
    return monitor_text(description.out);
}

static json_t *pic_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return describe_all(monitor_machine(monitor), NULL);
}

static const MonitorCommand pic_command = {
    .name = "x-query-interrupt-controllers",
    .hmp = "info pic|info ioapic|info gic",
    .summary = "shows the state of the machine's interrupt controllers",
    .run = pic_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(pic_command);

static json_t *lapic_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    int64_t index = monitor_get_int(arguments, "cpu", monitor_vcpu_index(monitor));

    if (index < 0 || index >= machine->vcpus->len) {
        error_fail(error, KASO_ERROR_INVALID, "there is no CPU %d; the machine has %u", (int)index,
                   machine->vcpus->len);
        return NULL;
    }
    return describe_all(machine, machine->vcpus->pdata[index]);
}

static const MonitorArgument lapic_arguments[] = {
    { "cpu", ARGUMENT_INT, true, "number of the CPU; the chosen one",
      .complete = monitor_complete_cpus },
    { NULL },
};

static const MonitorCommand lapic_command = {
    .name = "x-query-lapic",
    .hmp = "info lapic|info apic",
    .summary = "shows the state of a CPU's own interrupt controller",
    .arguments = lapic_arguments,
    .run = lapic_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(lapic_command);
