/* SPDX-License-Identifier: MIT */
/* Commands about CPUs, their registers and the accelerator. */
#include <pthread.h>
#include <unistd.h>

#include "base/bits.h"
#include "machine/accelerator.h"
#include "machine/numa.h"
#include "monitor/command.h"
#include "monitor/registers.h"

static json_t *cpu_properties(const Machine *machine, unsigned index)
{
    unsigned threads = MAX(machine->config.threads, 1), cores = MAX(machine->config.cores, 1);
    json_t *properties = json_object();

    monitor_put(properties, "thread-id", json_integer(index % threads));
    monitor_put(properties, "core-id", json_integer(index / threads % cores));
    monitor_put(properties, "socket-id", json_integer(index / threads / cores));
    if (machine->numa) {
        monitor_put(properties, "node-id", json_integer(machine->numa->cpu_nodes[index]));
    }
    return properties;
}

static json_t *cpus_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *list = json_array();

    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];
        char *path = device_path(&vcpu->device);
        json_t *cpu = json_object();

        monitor_put(cpu, "thread-id", json_integer(vcpu->thread_id));
        monitor_put(cpu, "props", cpu_properties(machine, i));
        monitor_put(cpu, "qom-path", monitor_string(path));
        monitor_put(cpu, "qom-type", json_string(vcpu->device.type->name));
        monitor_put(cpu, "cpu-index", json_integer(vcpu->index));
        monitor_put(cpu, "target", json_string(vcpu->target->name));
        json_array_append_new(list, cpu);
        g_free(path);
    }
    return list;
}

static void cpus_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *cpu;

    json_array_foreach(result, i, cpu)
    {
        g_string_append_printf(out, "%c CPU #%d: thread_id=%d model=%s\n",
                               i == monitor_vcpu_index(monitor) ? '*' : ' ', (int)i,
                               (int)monitor_get_int(cpu, "thread-id", 0),
                               monitor_machine(monitor)->config.cpu_model->name);
    }
}

static const MonitorCommand cpus_command = {
    .name = "query-cpus-fast",
    .hmp = "info cpus",
    .summary = "lists the CPUs; * is the one that other commands are about",
    .run = cpus_run,
    .print = cpus_print,
    .returns = "[CpuInfoFast]",
};
MONITOR_COMMAND(cpus_command);

static json_t *hotpluggable_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const Target *target = machine->config.target;
    json_t *list;

    if (!machine->board || !machine->board->cpu_slots) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "machine does not support hot-plugging CPUs");
        return NULL;
    }
    list = json_array();
    for (unsigned i = machine->vcpus->len;
         i-- > 0;) { /* the last one first, as existing tools have it */
        Vcpu *vcpu = machine->vcpus->pdata[i];
        g_autofree char *path = device_path(&vcpu->device);
        g_autofree char *type =
            g_strdup_printf("%s-%s-cpu", machine->config.cpu_model->name, target->name);
        json_t *slot = json_object();

        monitor_put(slot, "type", monitor_string(type));
        monitor_put(slot, "vcpus-count", json_integer(1));
        monitor_put(slot, "props", cpu_properties(machine, i));
        monitor_put(slot, "qom-path", monitor_string(path));
        json_array_append_new(list, slot);
    }
    return list;
}

static void hotpluggable_print(Monitor *monitor, json_t *result, GString *out)
{
    const char *name;
    json_t *slot, *value;
    size_t i;

    g_string_append(out, "Hotpluggable CPUs:\n");
    json_array_foreach(result, i, slot)
    {
        g_string_append_printf(out, "  type: \"%s\"\n  vcpus_count: \"%d\"\n  qom_path: \"%s\"\n",
                               monitor_get_string(slot, "type"),
                               (int)monitor_get_int(slot, "vcpus-count", 0),
                               monitor_get_string(slot, "qom-path"));
        g_string_append(out, "  CPUInstance Properties:\n");
        json_object_foreach(json_object_get(slot, "props"), name, value)
        {
            g_string_append_printf(out, "    %s: \"%d\"\n", name, (int)json_integer_value(value));
        }
    }
}

static const MonitorCommand hotpluggable_command = {
    .name = "query-hotpluggable-cpus",
    .hmp = "info hotpluggable-cpus",
    .summary = "lists the places of CPUs, and which CPU is there",
    .run = hotpluggable_run,
    .print = hotpluggable_print,
    .returns = "[HotpluggableCPU]",
};
MONITOR_COMMAND(hotpluggable_command);

static json_t *cpu_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t index = monitor_get_int(arguments, "index", 0);
    guint count = monitor_machine(monitor)->vcpus->len;

    if (index < 0 || index >= count) {
        error_fail(error, KASO_ERROR_INVALID, "there is no CPU %d; the machine has %u", (int)index,
                   count);
    } else {
        monitor_set_vcpu(monitor, index);
    }
    return NULL;
}

static const MonitorArgument cpu_arguments[] = {
    { "index", ARGUMENT_INT, .summary = "number of the CPU", .complete = monitor_complete_cpus },
    { NULL },
};

static const MonitorCommand cpu_command = {
    .name = "x-select-cpu",
    .hmp = "cpu",
    .summary = "chooses the CPU that other commands of this session are about",
    .arguments = cpu_arguments,
    .run = cpu_run,
};
MONITOR_COMMAND(cpu_command);

/* "CR0 = PE|PG" of each register whose bits have names. bytes: its value. */
static void describe_fields(const Target *target, const TargetRegister *reg, const uint8_t *bytes,
                            GString *text, json_t *object)
{
    const RegisterField *names = target_register_fields(target, reg->name);
    g_autoptr(GString) value = g_string_new(NULL);
    g_autofree char *upper = NULL;

    if (names) {
        register_fields_describe(names, load_le64(bytes) & bits_mask(MIN(reg->bits, 64)), value);
        upper = g_ascii_strup(reg->name, -1);
        g_string_append_printf(text, "%s = %s\n", upper, value->str);
        monitor_put(object, "fields", json_string(value->str));
    }
}

/* One CPU's registers by name, and the target's own text; the vCPUs are parked. */
static json_t *registers_describe(Vcpu *vcpu, bool all)
{
    json_t *cpu = json_object(), *list = json_array();
    GString *text = g_string_new(NULL), *field_text = g_string_new(NULL);

    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    for (const TargetRegister *reg = vcpu->target->registers; reg && reg->name; reg++) {
        uint8_t bytes[TARGET_REGISTER_BYTES_MAX] = { 0 };
        char hex[2 * TARGET_REGISTER_BYTES_MAX + 3] = "0x";
        json_t *one;

        target_register_read(vcpu, reg, bytes);
        for (unsigned i = 0, n = target_register_bytes(reg); i < n; i++) {
            g_snprintf(hex + 2 + 2 * i, 3, "%02x", bytes[n - 1 - i]);
        }
        one = json_object();
        monitor_put(one, "name", json_string(reg->name));
        monitor_put(one, "value", json_string(hex));
        if (!reg->present || reg->present(vcpu)) {
            describe_fields(vcpu->target, reg, bytes, field_text, one);
        }
        json_array_append_new(list, one);
    }
    if (vcpu->target->describe) {
        vcpu->target->describe(vcpu, all, text);
    }
    g_string_append(text, field_text->str);
    g_string_free(field_text, TRUE);
    monitor_put(cpu, "cpu-index", json_integer(vcpu->index));
    monitor_put(cpu, "registers", list);
    monitor_put(cpu, "text", monitor_string(text->str));
    g_string_free(text, TRUE);
    return cpu;
}

static json_t *registers_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    bool all = monitor_get_bool(arguments, "all");
    int64_t index = monitor_get_int(arguments, "cpu-index", monitor_vcpu_index(monitor));
    json_t *list;

    if (!vcpu) {
        return NULL;
    }
    if (index < 0 || index >= machine->vcpus->len) {
        error_fail(error, KASO_ERROR_INVALID, "there is no CPU %d; the machine has %u", (int)index,
                   machine->vcpus->len);
        return NULL;
    }
    list = json_array();
    machine_exclusive_begin(machine);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        if (all || i == index) {
            json_array_append_new(list, registers_describe(machine->vcpus->pdata[i], true));
        }
    }
    machine_exclusive_end(machine);
    return list;
}

static void registers_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *cpu;

    json_array_foreach(result, i, cpu)
    {
        g_string_append_printf(out, "\nCPU#%d\n%s", (int)monitor_get_int(cpu, "cpu-index", 0),
                               monitor_get_string(cpu, "text"));
    }
}

static const MonitorArgument registers_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "of all CPUs", .letter = 'a' },
    { "cpu-index", ARGUMENT_INT, true, "number of the CPU", .complete = monitor_complete_cpus },
    { NULL },
};

static const MonitorCommand registers_command = {
    .name = "x-query-registers",
    .hmp = "info registers",
    .summary = "shows the CPU's registers",
    .arguments = registers_arguments,
    .run = registers_run,
    .print = registers_print,
    .returns = "[CpuRegisters]",
};
MONITOR_COMMAND(registers_command);

static json_t *mappings(Monitor *monitor, bool ranges, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    GString *text;

    if (!vcpu) {
        return NULL;
    }
    if (!vcpu->target->describe_mappings) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "the page tables of target %s are not listed; info registers has its controls",
                   vcpu->target->name);
        return NULL;
    }
    text = g_string_new(NULL);
    machine_exclusive_begin(machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    vcpu->target->describe_mappings(vcpu, ranges, text);
    machine_exclusive_end(machine);
    return monitor_text(text);
}

static json_t *tlb_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return mappings(monitor, false, error);
}

static const MonitorCommand tlb_command = {
    .name = "x-query-tlb",
    .hmp = "info tlb",
    .summary = "shows the pages that the CPU's tables map",
    .run = tlb_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(tlb_command);

static json_t *mem_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return mappings(monitor, true, error);
}

static const MonitorCommand mem_command = {
    .name = "x-query-mem",
    .hmp = "info mem",
    .summary = "shows the ranges that the CPU's tables map, by rights",
    .run = mem_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(mem_command);

static json_t *jit_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    GString *text = g_string_new(NULL);

    if (!machine->accelerator || !machine->accelerator->describe) {
        g_string_append(text, "The accelerator has nothing to tell.\n");
    } else {
        machine->accelerator->describe(machine, text);
    }
    return monitor_text(text);
}

static const MonitorCommand jit_command = {
    .name = "x-query-jit",
    .hmp = "info jit",
    .summary = "shows the translator's counters",
    .run = jit_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(jit_command);

static const MonitorCommand accelerator_command = {
    .name = "x-accel-stats",
    .hmp = "info accel",
    .summary = "shows what the accelerator has done, as info jit does",
    .run = jit_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(accelerator_command);

/* Of accelerators for the host's own processor there is one. */
static bool kvm_runs_target(const Target *target)
{
    const Accelerator *const *it;

    REGISTRY_FOREACH(accelerators, it) {
        if ((*it)->runs && target && (*it)->runs(target)) {
            return true;
        }
    }
    return false;
}

static json_t *kvm_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *kvm = json_object();

    monitor_put(kvm, "enabled", json_boolean(machine_can(machine, ACCELERATOR_HOST_PROCESSOR)));
    monitor_put(kvm, "present",
                json_boolean(kvm_runs_target(machine->config.target) &&
                             access("/dev/kvm", R_OK | W_OK) == 0));
    return kvm;
}

static void kvm_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "kvm support: %s\n",
                           monitor_get_bool(result, "enabled")   ? "enabled"
                           : monitor_get_bool(result, "present") ? "disabled"
                                                                 : "not compiled");
    if (monitor_get_bool(result, "enabled")) {
        monitor_machine(monitor)->accelerator->describe(monitor_machine(monitor), out);
    }
}

static const MonitorCommand kvm_command = {
    .name = "query-kvm",
    .hmp = "info kvm",
    .summary = "shows whether KVM runs the CPUs",
    .run = kvm_run,
    .print = kvm_print,
    .returns = "KvmInfo",
};
MONITOR_COMMAND(kvm_command);
