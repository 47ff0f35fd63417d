/* SPDX-License-Identifier: MIT */
/* bt: the calls that led to where a CPU is, or to where a task of the guest's kernel waits. */
#include <inttypes.h>

#include "debug/backtrace.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "monitor/command.h"
#include "monitor/source.h"

enum { FRAMES_DEFAULT = 64 };

static json_t *frame_json(Machine *machine, Vcpu *vcpu, const Frame *frame)
{
    json_t *object = json_object();
    g_autofree char *name = NULL;
    Symbol symbol;

    monitor_put(object, "pc", json_integer(frame->pc));
    monitor_put(object, "sp", json_integer(frame->sp));
    monitor_put(object, "how", json_string(frame_kind_name(frame->kind)));
    if (symbols_at(machine, vcpu, frame_address(frame), &symbol)) {
        name = g_strdup_printf("%s+%#" PRIx64, symbol.name, frame->pc - symbol.address);
        monitor_put(object, "symbol", monitor_string(name));
        monitor_put(object, "file", monitor_string(symbol_file_name(symbol.file)));
    }
    return object;
}

/* The frame, and before it those of the functions that were inlined there. */
static void add_frame(Machine *machine, Vcpu *vcpu, const Frame *frame, json_t *list)
{
    SourceFunction functions[SOURCE_FUNCTIONS_MAX];
    uint64_t address = frame_address(frame);
    unsigned count = symbols_functions(machine, vcpu, address, functions);
    SourceLine line;
    bool has_line = symbols_line(machine, vcpu, address, &line);
    json_t *object;

    for (unsigned i = 0; i < count && functions[i].inlined; i++) {
        object = json_object();
        monitor_put(object, "pc", json_integer(frame->pc));
        monitor_put(object, "symbol", monitor_string(functions[i].name));
        monitor_put(object, "inlined", json_true());
        if (has_line) {
            source_put(object, &line);
        }
        json_array_append_new(list, object);
        line = functions[i].call;
        has_line = line.line;
    }
    object = frame_json(machine, vcpu, frame);
    if (has_line) {
        source_put(object, &line);
    }
    json_array_append_new(list, object);
}

static json_t *frames_json(Machine *machine, Vcpu *vcpu, GArray *frames)
{
    json_t *list = json_array();

    for (guint i = 0; i < frames->len; i++) {
        add_frame(machine, vcpu, &g_array_index(frames, Frame, i), list);
    }
    g_array_unref(frames);
    return list;
}

static json_t *stack_of_vcpu(Vcpu *vcpu, unsigned max)
{
    LinuxKernel *kernel = linux_kernel_known(vcpu->machine);
    json_t *stack = json_object();
    LinuxTask task;

    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    monitor_put(stack, "cpu-index", json_integer(vcpu->index));
    if (kernel && linux_task_current(kernel, vcpu, &task)) {
        monitor_put(stack, "pid", json_integer(task.pid));
        monitor_put(stack, "name", monitor_string(task.name));
    }
    monitor_put(stack, "frames",
                frames_json(vcpu->machine, vcpu, backtrace_vcpu(vcpu->machine, vcpu, max)));
    return stack;
}

/* The task's own, or that of the vCPU that runs it. */
static json_t *stack_of_task(Machine *machine, const LinuxTask *task, unsigned max)
{
    json_t *stack;

    if (task->on_cpu && task->cpu < machine->vcpus->len) {
        return stack_of_vcpu(machine->vcpus->pdata[task->cpu], max);
    }
    stack = json_object();
    monitor_put(stack, "pid", json_integer(task->pid));
    monitor_put(stack, "name", monitor_string(task->name));
    monitor_put(stack, "frames",
                frames_json(machine, NULL, backtrace_task(linux_kernel_known(machine), task, max)));
    return stack;
}

static bool add_task(Machine *machine, int64_t pid, unsigned max, json_t *list, GError **error)
{
    LinuxKernel *kernel = linux_kernel_find(machine, error);
    g_autoptr(GArray) tasks = kernel ? linux_tasks(kernel, error) : NULL;

    for (guint i = 0; tasks && i < tasks->len; i++) {
        const LinuxTask *task = &g_array_index(tasks, LinuxTask, i);

        if (task->pid == pid) {
            json_array_append_new(list, stack_of_task(machine, task, max));
            return true;
        }
    }
    return tasks && error_fail(error, KASO_ERROR_NOT_FOUND,
                               "there is no task %" PRId64 "; 'info tasks' lists them", pid);
}

static json_t *bt_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    unsigned max = CLAMP(monitor_get_int(arguments, "max", FRAMES_DEFAULT), 1, BACKTRACE_MAX);
    bool all = monitor_get_bool(arguments, "all"), ok = true;
    json_t *list;

    if (!vcpu) {
        return NULL;
    }
    symbols_refresh(machine);
    list = json_array();
    machine_exclusive_begin(machine);
    if (monitor_has(arguments, "task")) {
        ok = add_task(machine, monitor_get_int(arguments, "task", 0), max, list, error);
    } else {
        for (guint i = 0; i < machine->vcpus->len; i++) {
            if (all || machine->vcpus->pdata[i] == vcpu) {
                json_array_append_new(list, stack_of_vcpu(machine->vcpus->pdata[i], max));
            }
        }
    }
    machine_exclusive_end(machine);
    if (!ok) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static void print_frame(json_t *frame, size_t number, GString *out)
{
    const char *symbol = monitor_get_string(frame, "symbol"),
               *file = monitor_get_string(frame, "file");
    bool guess = !g_strcmp0(monitor_get_string(frame, "how"), "guess");

    g_string_append_printf(out, "#%-2zu %016" PRIx64 " %s%s", number,
                           (uint64_t)monitor_get_int(frame, "pc", 0), guess ? "? " : "",
                           symbol ? symbol : "");
    if (file && g_strcmp0(file, "kernel")) {
        g_string_append_printf(out, " [%s]", file);
    }
    source_print(frame, out);
    g_string_append(out, monitor_get_bool(frame, "inlined") ? " (inlined)\n" : "\n");
}

static void bt_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i, k;
    json_t *stack, *frame;

    json_array_foreach(result, i, stack)
    {
        json_t *frames = json_object_get(stack, "frames");

        if (monitor_has(stack, "cpu-index")) {
            g_string_append_printf(out, "CPU #%d", (int)monitor_get_int(stack, "cpu-index", 0));
        }
        if (monitor_has(stack, "pid")) {
            g_string_append_printf(
                out, "%stask %d (%s)", monitor_has(stack, "cpu-index") ? ", " : "",
                (int)monitor_get_int(stack, "pid", 0), monitor_get_string(stack, "name"));
        }
        g_string_append(out, ":\n");
        json_array_foreach(frames, k, frame)
        {
            print_frame(frame, k, out);
        }
    }
}

static const MonitorArgument bt_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "of all CPUs", .letter = 'a' },
    { "task", ARGUMENT_INT, true, "process or thread of the guest's Linux kernel, by its number" },
    { "max", ARGUMENT_INT, true, "so many frames at most" },
    { NULL },
};

static const MonitorCommand bt_command = {
    .name = "x-backtrace",
    .hmp = "bt|backtrace|where",
    .summary =
        "shows the calls that led to where the CPU is; '?' marks a guess by what lies on the stack",
    .arguments = bt_arguments,
    .run = bt_run,
    .print = bt_print,
    .returns = "[StackInfo]",
};
MONITOR_COMMAND(bt_command);
