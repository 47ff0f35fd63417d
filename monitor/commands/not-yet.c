/* SPDX-License-Identifier: MIT */
/* Commands that users of other emulators know and that are not built: they say so. */
#include "monitor/command.h"

static const MonitorArgument not_yet_arguments[] = {
    { "arguments", ARGUMENT_REST, true, "ignored" },
    { NULL },
};

#define NOT_YET(symbol, qmp_name, hmp_name)                                                        \
    static const MonitorCommand symbol = {                                                         \
        .name = qmp_name,                                                                          \
        .hmp = hmp_name,                                                                           \
        .summary = "not built yet",                                                                \
        .arguments = not_yet_arguments,                                                            \
        .flags = COMMAND_NOT_YET | COMMAND_OPEN_ARGUMENTS,                                         \
    };                                                                                             \
    MONITOR_COMMAND(symbol)

NOT_YET(block_job_change_not_yet, "block-job-change", NULL);
NOT_YET(chardev_change_not_yet, "chardev-change", "chardev-change");
NOT_YET(device_sync_config_not_yet, "device-sync-config", NULL);
NOT_YET(dumpdtb_not_yet, "dumpdtb", "dumpdtb");
NOT_YET(qom_list_get_not_yet, "qom-list-get", NULL);
NOT_YET(query_cpu_model_baseline_not_yet, "query-cpu-model-baseline", NULL);
NOT_YET(query_cpu_model_comparison_not_yet, "query-cpu-model-comparison", NULL);
NOT_YET(query_rx_filter_not_yet, "query-rx-filter", NULL);
NOT_YET(rtc_reset_reinjection_not_yet, "rtc-reset-reinjection", NULL);
NOT_YET(trace_event_get_state_not_yet, "trace-event-get-state", NULL);
NOT_YET(trace_event_set_state_not_yet, "trace-event-set-state", NULL);
