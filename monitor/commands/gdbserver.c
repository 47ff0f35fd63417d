/* SPDX-License-Identifier: MIT */
/* The command that opens and closes the door for gdb. */
#include "monitor/command.h"
#include "monitor/monitor.h"

static json_t *gdbserver_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *device = monitor_get_string(arguments, "device");
    json_t *result;

    if (!device) {
        device = "tcp::1234";
    }
    if (!monitor_gdb_server(monitor_machine(monitor), device, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "device", monitor_string(device));
    return result;
}

static void gdbserver_print(Monitor *monitor, json_t *result, GString *out)
{
    const char *device = monitor_get_string(result, "device");

    if (g_str_equal(device, "none")) {
        g_string_append(out, "Disabled gdbserver\n");
    } else {
        g_string_append_printf(out, "Waiting for gdb connection on device '%s'\n", device);
    }
}

static const MonitorArgument gdbserver_arguments[] = {
    { "device", ARGUMENT_STRING, true, "a port, socket or chardev as -gdb has it; none ends it" },
    { NULL },
};

static const MonitorCommand gdbserver_command = {
    .name = "x-gdbserver",
    .hmp = "gdbserver",
    .summary = "lets gdb connect (default tcp::1234)",
    .arguments = gdbserver_arguments,
    .run = gdbserver_run,
    .print = gdbserver_print,
    .returns = "GdbServerInfo",
};
MONITOR_COMMAND(gdbserver_command);
