/* SPDX-License-Identifier: MIT */
/* wait-for: how scripts wait for what the guest does. */
#include "machine/debug.h"
#include "monitor/command.h"
#include "monitor/debugger/breakpoint.h"

/* Freed when the breakpoint is done with. */
typedef struct {
    MonitorAnswer *answer; /* NULL: nobody wants it any more */
    Breakpoint *breakpoint;
    Machine *machine;
    char *what;
    int64_t seconds, status; /* status -1: none */
} Waiting;

static const MonitorCommand wait_command;

static void done(void *opaque, json_t *data, bool timed_out)
{
    Waiting *waiting = opaque;
    GError *error = NULL;

    if (data) {
        json_object_set_new(data, "reached", json_true());
    } else if (!timed_out) {
        error_fail(&error, KASO_ERROR_GENERIC, "the breakpoint that this waited for was deleted");
    } else {
        data = json_object();
        json_object_set_new(data, "reached", json_false());
        json_object_set_new(data, "text", json_string(waiting->what));
        if (waiting->status >= 0) {
            g_autofree char *detail = g_strdup_printf("'%s' has not come within %d s",
                                                      waiting->what, (int)waiting->seconds);

            machine_request_end(waiting->machine, STOP_USER_QUIT, detail, (int)waiting->status);
        }
    }
    if (waiting->answer) {
        monitor_answer(waiting->answer, data, error);
    } else {
        json_decref(data);
        g_clear_error(&error);
    }
    g_free(waiting->what);
    g_free(waiting);
}

static void gone(void *opaque)
{
    Waiting *waiting = opaque;

    waiting->answer = NULL;
    breakpoint_remove(waiting->breakpoint);
}

static json_t *wait_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Vcpu *vcpu = monitor_vcpu(monitor, error);
    const char *location = monitor_get_string(arguments, "location");
    BreakpointRequest request = { .access = DEBUG_EXECUTE,
                                  .size = 1,
                                  .wait_stops = monitor_get_bool(arguments, "stop") };
    int64_t seconds = monitor_get_int(arguments, "timeout", 0);
    int64_t status = monitor_get_int(arguments, "status", -1);
    g_autofree char *copy = NULL;
    Waiting *waiting;

    if (!vcpu || !breakpoint_parse(location, &request, &copy, error)) {
        return NULL;
    }
    if (seconds < 0 || seconds > 1000000 || status > 255 ||
        (monitor_has(arguments, "status") && (status < 0 || !seconds))) {
        error_fail(error, KASO_ERROR_INVALID,
                   "a time is up to 1000000 seconds, a status from 0 to 255 and with a time");
        return NULL;
    }
    waiting = g_new0(Waiting, 1);
    *waiting = (Waiting){ .machine = vcpu->machine,
                          .what = g_strdup(request.location),
                          .seconds = seconds,
                          .status = status };
    waiting->breakpoint = breakpoint_wait(vcpu, &request, (double)seconds, done, waiting, error);
    if (!waiting->breakpoint) {
        g_free(waiting->what);
        g_free(waiting);
        return NULL;
    }
    waiting->answer = monitor_answer_later(monitor, &wait_command, gone, waiting, error);
    if (!waiting->answer) {
        breakpoint_remove(waiting->breakpoint);
    }
    return NULL;
}

static void wait_print(Monitor *monitor, json_t *result, GString *out)
{
    const char *text = monitor_get_string(result, "text");

    if (monitor_get_bool(result, "reached")) {
        monitor_set_vcpu(
            monitor, (unsigned)monitor_get_int(result, "cpu-index", monitor_vcpu_index(monitor)));
        g_string_append_printf(out, "Reached: %s", text);
    } else {
        g_string_append_printf(out, "Timed out: %s\n", text);
    }
}

static const MonitorArgument wait_arguments[] = {
    { "timeout", ARGUMENT_INT, true, "seconds of the host's time; without it there is no end",
      't' },
    { "status", ARGUMENT_INT, true, "when the time is over, Kaso ends with this exit status", 'x' },
    { "stop", ARGUMENT_FLAG, true, "the machine stops then", 's' },
    { "location", ARGUMENT_REST, false, "as break has it, with its conditions" },
    { NULL },
};

static const MonitorCommand wait_command = {
    .name = "x-wait-for",
    .hmp = "wait-for",
    .summary = "answers when a location is reached or an event has come, while the machine runs",
    .arguments = wait_arguments,
    .run = wait_run,
    .print = wait_print,
    .returns = "WaitResult",
};
MONITOR_COMMAND(wait_command);
