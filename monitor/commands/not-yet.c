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
NOT_YET(blockdev_set_active_not_yet, "blockdev-set-active", NULL);
NOT_YET(calc_dirty_rate_not_yet, "calc-dirty-rate", "calc_dirty_rate");
NOT_YET(cancel_vcpu_dirty_limit_not_yet, "cancel-vcpu-dirty-limit", "cancel_vcpu_dirty_limit");
NOT_YET(chardev_add_not_yet, NULL, "chardev-add");
NOT_YET(chardev_change_not_yet, "chardev-change", "chardev-change");
NOT_YET(clear_not_yet, NULL, "clear");
NOT_YET(client_migrate_info_not_yet, "client_migrate_info", "client_migrate_info");
NOT_YET(device_sync_config_not_yet, "device-sync-config", NULL);
NOT_YET(dump_skeys_not_yet, "dump-skeys", NULL);
NOT_YET(dumpdtb_not_yet, "dumpdtb", "dumpdtb");
NOT_YET(gpa2hpa_not_yet, NULL, "gpa2hpa");
NOT_YET(info_history_not_yet, NULL, "info history");
NOT_YET(info_memory_devices_not_yet, NULL, "info memory-devices");
NOT_YET(info_sync_profile_not_yet, NULL, "info sync-profile");
NOT_YET(info_tpm_not_yet, NULL, "info tpm");
NOT_YET(info_trace_events_not_yet, NULL, "info trace-events");
NOT_YET(info_usbhost_not_yet, NULL, "info usbhost");
NOT_YET(info_via_not_yet, NULL, "info via");
NOT_YET(mce_not_yet, NULL, "mce");
NOT_YET(migrate_pause_not_yet, "migrate-pause", "migrate_pause");
NOT_YET(migrate_recover_not_yet, "migrate-recover", "migrate_recover");
NOT_YET(migrate_start_postcopy_not_yet, "migrate-start-postcopy", "migrate_start_postcopy");
NOT_YET(one_insn_per_tb_not_yet, NULL, "one-insn-per-tb");
NOT_YET(pcie_aer_inject_error_not_yet, NULL, "pcie_aer_inject_error");
NOT_YET(qom_list_get_not_yet, "qom-list-get", NULL);
NOT_YET(query_colo_status_not_yet, "query-colo-status", NULL);
NOT_YET(query_cpu_model_baseline_not_yet, "query-cpu-model-baseline", NULL);
NOT_YET(query_cpu_model_comparison_not_yet, "query-cpu-model-comparison", NULL);
NOT_YET(query_cryptodev_not_yet, "query-cryptodev", "info cryptodev");
NOT_YET(query_dirty_rate_not_yet, "query-dirty-rate", "info dirty_rate");
NOT_YET(query_firmware_log_not_yet, "query-firmware-log", "info firmware-log");
NOT_YET(query_hv_balloon_status_report_not_yet, "query-hv-balloon-status-report", NULL);
NOT_YET(query_replay_not_yet, "query-replay", "info replay");
NOT_YET(query_rocker_not_yet, "query-rocker", "info rocker");
NOT_YET(query_rocker_of_dpa_flows_not_yet, "query-rocker-of-dpa-flows", "info rocker-of-dpa-flows");
NOT_YET(query_rocker_of_dpa_groups_not_yet, "query-rocker-of-dpa-groups",
        "info rocker-of-dpa-groups");
NOT_YET(query_rocker_ports_not_yet, "query-rocker-ports", "info rocker-ports");
NOT_YET(query_rx_filter_not_yet, "query-rx-filter", NULL);
NOT_YET(query_sev_attestation_report_not_yet, "query-sev-attestation-report", NULL);
NOT_YET(query_sev_capabilities_not_yet, "query-sev-capabilities", NULL);
NOT_YET(query_sev_not_yet, "query-sev", "info sev");
NOT_YET(query_sgx_capabilities_not_yet, "query-sgx-capabilities", NULL);
NOT_YET(query_sgx_not_yet, "query-sgx", "info sgx");
NOT_YET(query_spice_not_yet, "query-spice", "info spice");
NOT_YET(query_vcpu_dirty_limit_not_yet, "query-vcpu-dirty-limit", "info vcpu_dirty_limit");
NOT_YET(query_yank_not_yet, "query-yank", NULL);
NOT_YET(replay_break_not_yet, "replay-break", "replay_break");
NOT_YET(replay_delete_break_not_yet, "replay-delete-break", "replay_delete_break");
NOT_YET(replay_seek_not_yet, "replay-seek", "replay_seek");
NOT_YET(request_ebpf_not_yet, "request-ebpf", NULL);
NOT_YET(rtc_reset_reinjection_not_yet, "rtc-reset-reinjection", NULL);
NOT_YET(set_numa_node_not_yet, "set-numa-node", NULL);
NOT_YET(set_vcpu_dirty_limit_not_yet, "set-vcpu-dirty-limit", "set_vcpu_dirty_limit");
NOT_YET(sync_profile_not_yet, NULL, "sync-profile");
NOT_YET(trace_event_get_state_not_yet, "trace-event-get-state", NULL);
NOT_YET(trace_event_not_yet, NULL, "trace-event");
NOT_YET(trace_event_set_state_not_yet, "trace-event-set-state", NULL);
NOT_YET(x_accel_stats_not_yet, "x-accel-stats", "info accel");
NOT_YET(x_colo_lost_heartbeat_not_yet, "x-colo-lost-heartbeat", "x_colo_lost_heartbeat");
NOT_YET(x_debug_block_dirty_bitmap_sha256_not_yet, "x-debug-block-dirty-bitmap-sha256", NULL);
NOT_YET(x_debug_query_block_graph_not_yet, "x-debug-query-block-graph", NULL);
NOT_YET(x_exit_preconfig_not_yet, "x-exit-preconfig", "exit_preconfig");
NOT_YET(x_query_ramblock_not_yet, "x-query-ramblock", "info ramblock");
NOT_YET(x_query_virtio_not_yet, "x-query-virtio", "info virtio");
NOT_YET(x_query_virtio_queue_element_not_yet, "x-query-virtio-queue-element",
        "info virtio-queue-element");
NOT_YET(x_query_virtio_queue_status_not_yet, "x-query-virtio-queue-status",
        "info virtio-queue-status");
NOT_YET(x_query_virtio_status_not_yet, "x-query-virtio-status", "info virtio-status");
NOT_YET(x_query_virtio_vhost_queue_status_not_yet, "x-query-virtio-vhost-queue-status",
        "info virtio-vhost-queue-status");
NOT_YET(xen_event_inject_not_yet, "xen-event-inject", "xen-event-inject");
NOT_YET(xen_event_list_not_yet, "xen-event-list", "xen-event-list");
NOT_YET(yank_not_yet, "yank", NULL);
