/* SPDX-License-Identifier: MIT */
/* dis: code around where the CPU is, or from an address, with symbols and source lines. */
#include <string.h>

#include "base/error.h"
#include "debug/linux/linux.h"
#include "debug/memory.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "monitor/command.h"
#include "monitor/disassemble.h"
#include "monitor/source.h"

enum { LINES_DEFAULT = 12, LINES_MAX = 4096, BEFORE_MAX = 64 };

static size_t read_code(void *opaque, uint64_t address, uint8_t *buffer, size_t size)
{
    Vcpu *vcpu = opaque;
    LinuxKernel *kernel = linux_kernel_known(vcpu->machine);

    for (size_t n = size; n; n--) {
        if (debug_memory_read_virtual(vcpu, address, buffer, n) ||
            (kernel && address >> 63 && linux_read(kernel, address, buffer, n))) {
            return n;
        }
    }
    return 0;
}

/* Where to begin so that the pc is seen with what is before it: at its function, if that is near. */
static uint64_t start_before(Vcpu *vcpu, uint64_t pc)
{
    Symbol symbol;

    return symbols_at(vcpu->machine, vcpu, pc, &symbol) && pc - symbol.address <= BEFORE_MAX
               ? symbol.address
               : pc;
}

/* Each instruction that begins a line gets its text. */
static void add_source(Vcpu *vcpu, json_t *list)
{
    SourceLine line, before = { 0 };
    json_t *instruction;
    size_t i;

    json_array_foreach(list, i, instruction)
    {
        uint64_t address = (uint64_t)monitor_get_int(instruction, "address", 0);
        g_autofree char *text = NULL;

        if (!symbols_line(vcpu->machine, vcpu, address, &line)) {
            continue;
        }
        if (line.line != before.line || line.source != before.source) {
            text = source_text(vcpu->machine, &line);
        }
        if (text) {
            monitor_put(instruction, "source-text", monitor_string(text));
        }
        before = line;
    }
}

static json_t *dis_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    unsigned count = CLAMP(monitor_get_int(arguments, "count", LINES_DEFAULT), 1, LINES_MAX);
    bool truncated = false;
    json_t *result, *list;
    uint64_t pc, address;

    if (!vcpu) {
        return NULL;
    }
    symbols_refresh(machine);
    machine_exclusive_begin(machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    pc = vcpu->target->get_pc(vcpu);
    address = monitor_has(arguments, "address") ? (uint64_t)monitor_get_int(arguments, "address", 0)
                                                : start_before(vcpu, pc);
    list = disassemble(vcpu, read_code, vcpu, address, count, &truncated, error);
    machine_exclusive_end(machine);
    if (!list) {
        return NULL;
    }
    if (monitor_has(arguments, "format") && strchr(monitor_get_string(arguments, "format"), 's')) {
        add_source(vcpu, list);
    }
    result = json_object();
    monitor_put(result, "pc", json_integer(pc));
    monitor_put(result, "instructions", list);
    monitor_put(result, "truncated", json_boolean(truncated));
    return result;
}

static void dis_print(Monitor *monitor, json_t *result, GString *out)
{
    uint64_t pc = monitor_get_int(result, "pc", 0);

    disassemble_print(json_object_get(result, "instructions"), &pc, out);
    if (monitor_get_bool(result, "truncated")) {
        g_string_append(out, "Cannot access memory\n");
    }
}

static const MonitorArgument dis_arguments[] = {
    { "format", ARGUMENT_FORMAT, true, "s: with the text of source lines" },
    { "address", ARGUMENT_INT, true, "where to begin; without: around the CPU's pc" },
    { "count", ARGUMENT_INT, true, "so many instructions" },
    { NULL },
};

static const MonitorCommand dis_command = {
    .name = "x-disassemble",
    .hmp = "dis|disassemble",
    .summary = "shows code with symbols; => is where the CPU is",
    .arguments = dis_arguments,
    .run = dis_run,
    .print = dis_print,
    .returns = "Disassembly",
};
MONITOR_COMMAND(dis_command);
