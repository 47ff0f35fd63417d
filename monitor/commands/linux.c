/* SPDX-License-Identifier: MIT */
/* Commands about the Linux kernel in the guest's memory: its log, its tasks, its modules. */
#include <inttypes.h>
#include <string.h>

#include "debug/linux/dmesg.h"
#include "debug/linux/modules.h"
#include "debug/linux/tasks.h"
#include "debug/symbols/symbols.h"
#include "monitor/command.h"

static void add_record(void *opaque, const LinuxLogRecord *record)
{
    json_t *list = opaque, *object = json_object();

    monitor_put(object, "sequence", json_integer(record->sequence));
    monitor_put(object, "time-ns", json_integer(record->time_ns));
    monitor_put(object, "facility", json_integer(record->facility));
    monitor_put(object, "level", json_integer(record->level));
    monitor_put(object, "text", monitor_string(record->text));
    json_array_append_new(list, object);
}

static json_t *dmesg_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    int64_t last = monitor_get_int(arguments, "last", 0);
    LinuxKernel *kernel = linux_kernel_find(machine, error);
    json_t *list = json_array();
    bool ok = false;

    if (kernel) {
        machine_exclusive_begin(machine);
        ok = linux_log_foreach(kernel, add_record, list, error);
        machine_exclusive_end(machine);
    }
    if (!ok) {
        json_decref(list);
        return NULL;
    }
    while (last > 0 && json_array_size(list) > (size_t)last) {
        size_t more = json_array_size(list) - last;
        json_t *tail = json_array();

        for (size_t i = more; i < json_array_size(list); i++) {
            json_array_append(tail, json_array_get(list, i));
        }
        json_decref(list);
        list = tail;
    }
    return list;
}

static void dmesg_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *record;

    json_array_foreach(result, i, record)
    {
        uint64_t ns = monitor_get_int(record, "time-ns", 0);
        g_auto(GStrv) lines = g_strsplit(monitor_get_string(record, "text"), "\n", -1);

        for (char **line = lines; *line; line++) {
            g_string_append_printf(out, "[%5" PRIu64 ".%06" PRIu64 "] %s\n", ns / 1000000000,
                                   ns / 1000 % 1000000, *line);
        }
    }
}

static const MonitorArgument dmesg_arguments[] = {
    { "last", ARGUMENT_INT, true, "so many records at the end; without: all" },
    { NULL },
};

static const MonitorCommand dmesg_command = {
    .name = "x-query-dmesg",
    .hmp = "info dmesg",
    .summary = "shows the log of a Linux kernel, from its memory",
    .arguments = dmesg_arguments,
    .run = dmesg_run,
    .print = dmesg_print,
    .returns = "[LinuxLogRecord]",
};
MONITOR_COMMAND(dmesg_command);

static json_t *task_json(LinuxKernel *kernel, const LinuxTask *task)
{
    char letter[2] = { linux_task_letter(task) };
    json_t *object = json_object();
    uint64_t pc, fp, sp;

    monitor_put(object, "pid", json_integer(task->pid));
    monitor_put(object, "tgid", json_integer(task->tgid));
    monitor_put(object, "parent", json_integer(task->parent));
    monitor_put(object, "name", monitor_string(task->name));
    monitor_put(object, "state", json_string(letter));
    monitor_put(object, "on-cpu", json_boolean(task->on_cpu));
    if (task->cpu != UINT32_MAX) {
        monitor_put(object, "cpu", json_integer(task->cpu));
    }
    monitor_put(object, "kernel-thread", json_boolean(task->kernel_thread));
    monitor_put(object, "address", json_integer(task->address));
    if (linux_task_registers(kernel, task, &pc, &fp, &sp) && pc) {
        g_autofree char *where = symbols_describe(kernel->machine, NULL, pc);

        monitor_put(object, "pc", json_integer(pc));
        monitor_put(object, "where", monitor_string(where));
    }
    return object;
}

static json_t *tasks_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    LinuxKernel *kernel = linux_kernel_find(machine, error);
    json_t *list = NULL;
    GArray *tasks;

    if (!kernel) {
        return NULL;
    }
    machine_exclusive_begin(machine);
    tasks = linux_tasks(kernel, error);
    if (tasks) {
        list = json_array();
        for (guint i = 0; i < tasks->len; i++) {
            json_array_append_new(list, task_json(kernel, &g_array_index(tasks, LinuxTask, i)));
        }
        g_array_unref(tasks);
    }
    machine_exclusive_end(machine);
    return list;
}

static void tasks_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *task;

    g_string_append(out, "  PID  TGID  PPID CPU S  TASK_STRUCT       NAME\n");
    json_array_foreach(result, i, task)
    {
        const char *name = monitor_get_string(task, "name");
        bool kernel = monitor_get_bool(task, "kernel-thread");

        g_string_append_printf(
            out, "%5d %5d %5d %3d %s%c %016" PRIx64 "  %s%s%s\n",
            (int)monitor_get_int(task, "pid", 0), (int)monitor_get_int(task, "tgid", 0),
            (int)monitor_get_int(task, "parent", 0), (int)monitor_get_int(task, "cpu", -1),
            monitor_get_string(task, "state"), monitor_get_bool(task, "on-cpu") ? '*' : ' ',
            (uint64_t)monitor_get_int(task, "address", 0), kernel ? "[" : "", name,
            kernel ? "]" : "");
    }
}

static const MonitorCommand tasks_command = {
    .name = "x-query-tasks",
    .hmp = "info tasks",
    .summary =
        "shows the processes and threads of a Linux kernel, from its memory; * runs on a CPU",
    .run = tasks_run,
    .print = tasks_print,
    .returns = "[LinuxTaskInfo]",
};
MONITOR_COMMAND(tasks_command);

static json_t *modules_run(Monitor *monitor, json_t *arguments, GError **error)
{
    static const char *const states[] = { "live", "coming", "going", "unformed" };
    LinuxKernel *kernel = linux_kernel_find(monitor_machine(monitor), error);
    json_t *list;

    if (!kernel || !linux_types(kernel, error)) {
        return NULL;
    }
    if (kernel->arch == LINUX_I386) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "modules of 32-bit kernels are not read");
        return NULL;
    }
    list = json_array();
    for (guint i = 0; kernel->modules && i < kernel->modules->len; i++) {
        const LinuxModule *module = &g_array_index(kernel->modules, LinuxModule, i);
        json_t *object = json_object();

        monitor_put(object, "name", monitor_string(module->name));
        monitor_put(object, "state", json_string(states[module->state & 3]));
        monitor_put(object, "base", json_integer(module->base));
        monitor_put(object, "size", json_integer(module->size));
        monitor_put(object, "address", json_integer(module->address));
        json_array_append_new(list, object);
    }
    return list;
}

static void modules_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *module;

    json_array_foreach(result, i, module)
    {
        g_string_append_printf(out, "%016" PRIx64 " %8" PRIu64 " %-8s %s\n",
                               (uint64_t)monitor_get_int(module, "base", 0),
                               (uint64_t)monitor_get_int(module, "size", 0),
                               monitor_get_string(module, "state"),
                               monitor_get_string(module, "name"));
    }
    if (!i) {
        g_string_append(out, "No module is loaded.\n");
    }
}

static const MonitorCommand modules_command = {
    .name = "x-query-modules",
    .hmp = "info modules",
    .summary = "shows the modules that a Linux kernel has loaded, from its memory",
    .run = modules_run,
    .print = modules_print,
    .returns = "[LinuxModuleInfo]",
};
MONITOR_COMMAND(modules_command);
