/* SPDX-License-Identifier: MIT */
/* query-iothreads. */
#include "machine/iothread.h"

#include <inttypes.h>

#include "monitor/command.h"

static const char *const parameters[] = { "poll-max-ns", "poll-grow", "poll-shrink",
                                          "aio-max-batch" };

static json_t *iothreads_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *threads = iothread_list(monitor_machine(monitor));
    json_t *list = json_array();

    for (guint i = 0; i < threads->len; i++) {
        const IoThread *thread = threads->pdata[i];
        json_t *entry = json_object();

        monitor_put(entry, "id", monitor_string(iothread_id(thread)));
        monitor_put(entry, "thread-id", json_integer(iothread_tid(thread)));
        for (size_t j = 0; j < G_N_ELEMENTS(parameters); j++) {
            monitor_put(entry, parameters[j],
                        json_integer(iothread_parameter(thread, parameters[j])));
        }
        json_array_append_new(list, entry);
    }
    g_ptr_array_unref(threads);
    return list;
}

static void iothreads_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s:\n  thread_id=%" PRId64 "\n",
                               monitor_get_string(entry, "id"),
                               monitor_get_int(entry, "thread-id", 0));
        for (size_t j = 0; j < G_N_ELEMENTS(parameters); j++) {
            g_string_append_printf(out, "  %s=%" PRId64 "\n", parameters[j],
                                   monitor_get_int(entry, parameters[j], 0));
        }
    }
}

static const MonitorCommand iothreads_command = {
    .name = "query-iothreads",
    .hmp = "info iothreads",
    .summary = "lists the I/O threads",
    .run = iothreads_run,
    .print = iothreads_print,
    .returns = "[IOThreadInfo]",
};
MONITOR_COMMAND(iothreads_command);
