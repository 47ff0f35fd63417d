/* SPDX-License-Identifier: MIT */
/* Commands that move CPUs. */
#include "base/error.h"
#include "monitor/command.h"
#include "monitor/debugger/breakpoint.h"

static json_t *move(Monitor *monitor, json_t *arguments, MoveRequest request, GError **error)
{
    int64_t count = monitor_get_int(arguments, "count", 1);

    request.vcpu = monitor_vcpu(monitor, error);
    request.count = (uint64_t)count;
    request.all = monitor_get_bool(arguments, "all");
    if (!request.vcpu) {
        return NULL;
    }
    if (count < 1) {
        error_fail(error, KASO_ERROR_INVALID, "count %d: move at least one %s", (int)count,
                   request.lines ? "line" : "instruction");
    } else {
        debugger_move(&request, error);
    }
    return NULL;
}

static const MonitorArgument instruction_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "the other CPUs run meanwhile", 'a' },
    { "count", ARGUMENT_INT, true, "of instructions, 1 without" },
    { NULL },
};

static const MonitorArgument line_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "the other CPUs run meanwhile", 'a' },
    { "count", ARGUMENT_INT, true, "of lines, 1 without" },
    { NULL },
};

static const MonitorArgument finish_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "the other CPUs run meanwhile", 'a' },
    { NULL },
};

#define MOVE(symbol, qmp, hmp_name, argument_table, text, ...)                                     \
    static json_t *symbol##_run(Monitor *monitor, json_t *arguments, GError **error)               \
    {                                                                                              \
        return move(monitor, arguments, (MoveRequest){ __VA_ARGS__ }, error);                      \
    }                                                                                              \
    static const MonitorCommand symbol##_command = {                                               \
        .name = qmp,                                                                               \
        .hmp = hmp_name,                                                                           \
        .summary = text,                                                                           \
        .arguments = argument_table,                                                               \
        .run = symbol##_run,                                                                       \
    };                                                                                             \
    MONITOR_COMMAND(symbol##_command)

MOVE(stepi, "x-step", "stepi|si", instruction_arguments, "executes instructions of the current CPU",
     .over = false);
MOVE(nexti, "x-next", "nexti|ni", instruction_arguments,
     "executes instructions of the current CPU; a call is one", .over = true);
MOVE(step, "x-step-line", "step", line_arguments,
     "executes source lines of the current CPU, instructions where no lines are known; into "
     "functions "
     "that have lines",
     .lines = true);
MOVE(
    next, "x-next-line", "next", line_arguments,
    "executes source lines of the current CPU, instructions where no lines are known; calls belong "
    "to the line",
    .lines = true, .over = true);
MOVE(finish, "x-finish", "finish", finish_arguments,
     "goes on until the current CPU's function has returned", .out = true);

static const MonitorArgument until_arguments[] = {
    { "location", ARGUMENT_REST, true,
      "as break has it, with its conditions; without: the next source line further down, out of a "
      "loop" },
    { NULL },
};

static json_t *until_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *location = monitor_get_string(arguments, "location");
    Vcpu *vcpu;

    if (!location) {
        return move(monitor, arguments,
                    (MoveRequest){ .lines = true, .over = true, .forward = true }, error);
    }
    vcpu = monitor_vcpu(monitor, error);
    if (vcpu) {
        debugger_run_until(vcpu, location, error);
    }
    return NULL;
}

static const MonitorCommand until_command = {
    .name = "x-run-until",
    .hmp = "until|run-until",
    .summary =
        "lets the machine go on until a location is reached, or the current CPU until a later line",
    .arguments = until_arguments,
    .run = until_run,
};
MONITOR_COMMAND(until_command);
