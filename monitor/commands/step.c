/* SPDX-License-Identifier: MIT */
/* Commands that move CPUs. */
#include "base/error.h"
#include "monitor/command.h"
#include "monitor/debugger/breakpoint.h"

static json_t *move(Monitor *monitor, json_t *arguments, bool over, bool out, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    int64_t count = monitor_get_int(arguments, "count", 1);
    MoveRequest request = { .vcpu = vcpu,
                            .count = (uint64_t)count,
                            .over = over,
                            .out = out,
                            .all = monitor_get_bool(arguments, "all") };

    if (!vcpu) {
        return NULL;
    }
    if (count < 1) {
        error_fail(error, KASO_ERROR_INVALID, "count %d: move at least one instruction",
                   (int)count);
    } else {
        debugger_move(&request, error);
    }
    return NULL;
}

static const MonitorArgument move_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "the other CPUs run meanwhile", 'a' },
    { "count", ARGUMENT_INT, true, "of instructions, 1 without" },
    { NULL },
};

static json_t *stepi_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return move(monitor, arguments, false, false, error);
}

static const MonitorCommand stepi_command = {
    .name = "x-step",
    .hmp = "stepi|si|step",
    .summary = "executes instructions of the current CPU",
    .arguments = move_arguments,
    .run = stepi_run,
};
MONITOR_COMMAND(stepi_command);

static json_t *nexti_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return move(monitor, arguments, true, false, error);
}

static const MonitorCommand nexti_command = {
    .name = "x-next",
    .hmp = "nexti|ni|next",
    .summary = "executes instructions of the current CPU; a call is one",
    .arguments = move_arguments,
    .run = nexti_run,
};
MONITOR_COMMAND(nexti_command);

static const MonitorArgument finish_arguments[] = {
    { "all", ARGUMENT_FLAG, true, "the other CPUs run meanwhile", 'a' },
    { NULL },
};

static json_t *finish_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return move(monitor, arguments, false, true, error);
}

static const MonitorCommand finish_command = {
    .name = "x-finish",
    .hmp = "finish",
    .summary = "goes on until the current CPU's function has returned",
    .arguments = finish_arguments,
    .run = finish_run,
};
MONITOR_COMMAND(finish_command);

static const MonitorArgument until_arguments[] = {
    { "location", ARGUMENT_REST, false, "as break has it, with its conditions" },
    { NULL },
};

static json_t *until_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);

    if (vcpu) {
        debugger_run_until(vcpu, monitor_get_string(arguments, "location"), error);
    }
    return NULL;
}

static const MonitorCommand until_command = {
    .name = "x-run-until",
    .hmp = "until|run-until",
    .summary = "lets the machine go on until a location is reached",
    .arguments = until_arguments,
    .run = until_run,
};
MONITOR_COMMAND(until_command);
