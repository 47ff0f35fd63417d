/* SPDX-License-Identifier: MIT */
/* profile start and stop: where guest code spends its time. */
#include "debug/profile.h"
#include "monitor/command.h"

static json_t *start_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t hertz =
        CLAMP(monitor_get_int(arguments, "hertz", PROFILE_HERTZ_DEFAULT), 1, PROFILE_HERTZ_MAX);

    profile_start(monitor_machine(monitor), hertz, error);
    return NULL;
}

static const MonitorArgument start_arguments[] = {
    { "hertz", ARGUMENT_INT, true, "samples a second" },
    { NULL },
};

static const MonitorCommand start_command = {
    .name = "x-profile-start",
    .hmp = "profile start",
    .summary = "begins to sample what code the CPUs run, with the calls that led there",
    .arguments = start_arguments,
    .run = start_run,
};
MONITOR_COMMAND(start_command);

static json_t *stop_run(Monitor *monitor, json_t *arguments, GError **error)
{
    unsigned samples, stacks;
    json_t *result;

    if (!profile_stop(monitor_machine(monitor), monitor_get_string(arguments, "filename"), &samples,
                      &stacks, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "samples", json_integer(samples));
    monitor_put(result, "stacks", json_integer(stacks));
    return result;
}

static void stop_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(out, "%d samples, %d different stacks\n",
                           (int)monitor_get_int(result, "samples", 0),
                           (int)monitor_get_int(result, "stacks", 0));
}

static const MonitorArgument stop_arguments[] = {
    { "filename", ARGUMENT_STRING, true,
      "NAME.svg: a flame graph; another: folded stacks; without: nothing is written" },
    { NULL },
};

static const MonitorCommand stop_command = {
    .name = "x-profile-stop",
    .hmp = "profile stop",
    .summary = "ends the profile and writes it",
    .arguments = stop_arguments,
    .run = stop_run,
    .print = stop_print,
};
MONITOR_COMMAND(stop_command);
