/* SPDX-License-Identifier: MIT */
/* trace: what is logged while the machine runs on: locations and events, and names of registers and trace points. */
#include <string.h>

#include "base/log.h"
#include "machine/clock.h"
#include "machine/debug.h"
#include "monitor/command.h"
#include "monitor/debugger/breakpoint.h"

static int64_t now_ns(void *opaque)
{
    return clock_now_ns(opaque);
}

static int thread(void *opaque)
{
    const Vcpu *vcpu = vcpu_current();

    return vcpu ? (int)vcpu->index : -1;
}

/* The clock of the file is the machine's. */
static void end_file(void *opaque)
{
    log_set_trace_file(NULL, NULL, NULL);
}

static bool trace_to(Machine *machine, const char *path, GError **error)
{
    if (path && *path) {
        machine_on_free(machine, end_file, machine);
        return log_set_trace_file(path, &(LogClock){ now_ns, thread, machine }, error);
    }
    return log_set_trace_file(NULL, NULL, error);
}

/* How many registers of the machine's devices have such a name. */
static unsigned count_registers(const Device *device, const char *pattern)
{
    unsigned count = 0;

    for (const RegisterBank *bank = device->type->banks; bank && bank->name; bank++) {
        for (const Register *reg = bank->registers; reg->name; reg++) {
            g_autofree char *name = g_strdup_printf("%s.%s", device->type->name, reg->name);

            count += g_pattern_match_simple(pattern, name);
        }
    }
    for (unsigned i = 0; device->children && i < device->children->len; i++) {
        count += count_registers(device->children->pdata[i], pattern);
    }
    return count;
}

static json_t *names_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *pattern = monitor_get_string(arguments, "pattern");
    bool on = monitor_get_bool(arguments, "enable"), found;
    bool whole = !strpbrk(pattern, ".*?");
    g_autofree char *registers = g_strconcat(pattern, ".*", NULL);
    unsigned count;
    json_t *result;

    /* A device alone: what it says itself, and its registers. */
    found = log_switch_trace(pattern, on);
    found |= whole && log_switch_trace(registers, on);
    if (!found) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "'%s' is not traced by that name; 'info trace' lists what is", pattern);
        return NULL;
    }
    count = count_registers(monitor_machine(monitor)->root, whole ? registers : pattern);
    result = json_object();
    monitor_put(result, "registers", json_integer(count));
    monitor_put(result, "enabled", json_boolean(on));
    return result;
}

static void names_print(Monitor *monitor, json_t *result, GString *out)
{
    int64_t count = monitor_get_int(result, "registers", 0);

    if (!monitor_get_bool(result, "enabled")) {
        return;
    }
    if (count) {
        g_string_append_printf(out, "%d register%s traced\n", (int)count,
                               count == 1 ? " is" : "s are");
    } else {
        g_string_append(out, "no register of this machine has such a name; trace points may\n");
    }
}

static const MonitorArgument names_arguments[] = {
    { "pattern", ARGUMENT_STRING, false, "DEVICE, DEVICE.REGISTER or another name, with * and ?" },
    { "enable", ARGUMENT_BOOL, false, "on or off" },
    { NULL },
};

static const MonitorCommand names_command = {
    .name = "x-trace-names",
    .summary = "logs accesses to registers of devices, and other trace points, by name",
    .arguments = names_arguments,
    .run = names_run,
    .returns = "TraceNames",
};
MONITOR_COMMAND(names_command);

static json_t *file_run(Monitor *monitor, json_t *arguments, GError **error)
{
    trace_to(monitor_machine(monitor), monitor_get_string(arguments, "file"), error);
    return NULL;
}

static const MonitorArgument file_arguments[] = {
    { "file", ARGUMENT_STRING, true, "in Chrome's JSON format; none: the log" },
    { NULL },
};

static const MonitorCommand file_command = {
    .name = "x-trace-to",
    .summary = "writes what is traced to a file, or to the log",
    .arguments = file_arguments,
    .run = file_run,
};
MONITOR_COMMAND(file_command);

static json_t *trace_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *what = monitor_get_string(arguments, "location");
    const MonitorCommand *command = monitor_find_qmp("x-break");
    g_auto(GStrv) words = g_strsplit(what, " ", 3);
    unsigned count = g_strv_length(words);
    json_t *forward = json_object(), *result;

    if (count == 2 && strcmp(words[0], "to") == 0) {
        json_decref(forward);
        trace_to(monitor_machine(monitor), strcmp(words[1], "log") ? words[1] : NULL, error);
        return NULL;
    }
    if (count == 2 && (strcmp(words[1], "on") == 0 || strcmp(words[1], "off") == 0)) {
        monitor_put(forward, "pattern", json_string(words[0]));
        monitor_put(forward, "enable", json_boolean(strcmp(words[1], "on") == 0));
        command = &names_command;
    } else {
        monitor_put(forward, "trace", json_true());
        monitor_put(forward, "location", json_string(what));
    }
    result = monitor_run(monitor, command, forward, error);
    json_decref(forward);
    return result;
}

static void trace_print(Monitor *monitor, json_t *result, GString *out)
{
    const MonitorCommand *command =
        monitor_has(result, "number") ? monitor_find_qmp("x-break") : &names_command;

    if (result) {
        command->print ? command->print(monitor, result, out) : names_print(monitor, result, out);
    }
}

static const MonitorArgument trace_arguments[] = {
    { "location", ARGUMENT_REST, false,
      "as break has it; or PATTERN on|off for registers of devices; or \"to FILE\", \"to log\"" },
    { NULL },
};

static const MonitorCommand trace_command = {
    .name = "x-trace",
    .hmp = "trace",
    .summary = "logs what is reached, and what happens, while the machine runs on",
    .arguments = trace_arguments,
    .run = trace_run,
    .print = trace_print,
};
MONITOR_COMMAND(trace_command);

static json_t *info_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_auto(GStrv) names = log_traces();
    json_t *list = json_array();

    for (char **name = names; *name; name++) {
        json_array_append_new(list, monitor_string(*name));
    }
    return list;
}

static void info_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *name;
    size_t i;

    json_array_foreach(result, i, name)
    {
        g_string_append_printf(out, "%s\n", json_string_value(name));
    }
    if (!json_array_size(result)) {
        g_string_append(out, "No names are traced.\n");
    }
}

static const MonitorCommand info_command = {
    .name = "x-query-trace",
    .hmp = "info trace",
    .summary = "lists the names that are traced",
    .run = info_run,
    .print = info_print,
    .returns = "[str]",
};
MONITOR_COMMAND(info_command);
