/* SPDX-License-Identifier: MIT */
/* Commands that users of other emulators know and that are not built: they say so. */
#include "monitor/command.h"

static const MonitorArgument not_yet_arguments[] = {
    { "arguments", ARGUMENT_REST, true, "ignored" },
    { NULL },
};

/* QMP's name and HMP's; NULL: there is none. The line makes the symbol. */
#define NOT_YET(qmp_name, hmp_name) NOT_YET_AS(G_PASTE(not_yet_, __LINE__), qmp_name, hmp_name)
#define NOT_YET_AS(symbol, qmp_name, hmp_name)                                                     \
    static const MonitorCommand symbol = {                                                         \
        .name = qmp_name,                                                                          \
        .hmp = hmp_name,                                                                           \
        .summary = "not built yet",                                                                \
        .arguments = not_yet_arguments,                                                            \
        .flags = COMMAND_NOT_YET | COMMAND_OPEN_ARGUMENTS,                                         \
    };                                                                                             \
    MONITOR_COMMAND(symbol)

NOT_YET("client_migrate_info", "client_migrate_info");
NOT_YET("cxl-add-dynamic-capacity", NULL);
NOT_YET("cxl-inject-correctable-error", NULL);
NOT_YET("cxl-inject-dram-event", NULL);
NOT_YET("cxl-inject-general-media-event", NULL);
NOT_YET("cxl-inject-memory-module-event", NULL);
NOT_YET("cxl-inject-poison", NULL);
NOT_YET("cxl-inject-uncorrectable-errors", NULL);
NOT_YET("cxl-release-dynamic-capacity", NULL);
NOT_YET("device-sync-config", NULL);
NOT_YET("dump-skeys", NULL);
NOT_YET("inject-ghes-v2-error", NULL);
NOT_YET(NULL, "mce");
NOT_YET("migrate-pause", "migrate_pause");
NOT_YET("migrate-recover", "migrate_recover");
NOT_YET("migrate-start-postcopy", "migrate_start_postcopy");
NOT_YET(NULL, "pcie_aer_inject_error");
NOT_YET("query-colo-status", NULL);
NOT_YET("query-cpu-model-baseline", NULL);
NOT_YET("query-cpu-model-comparison", NULL);
NOT_YET("query-cryptodev", "info cryptodev");
NOT_YET("query-hv-balloon-status-report", NULL);
NOT_YET("query-rocker-of-dpa-flows", "info rocker-of-dpa-flows");
NOT_YET("query-rocker-of-dpa-groups", "info rocker-of-dpa-groups");
NOT_YET("query-rocker-ports", "info rocker-ports");
NOT_YET("query-rocker", "info rocker");
NOT_YET("query-s390x-cpu-polarization", NULL);
NOT_YET("query-sev-attestation-report", NULL);
NOT_YET("query-sev-capabilities", NULL);
NOT_YET("query-sev-launch-measure", NULL);
NOT_YET("query-sev", "info sev");
NOT_YET("query-sgx-capabilities", NULL);
NOT_YET("query-sgx", "info sgx");
NOT_YET("query-spice", "info spice");
NOT_YET("query-xen-replication-status", NULL);
NOT_YET("replay-break", "replay_break");
NOT_YET("replay-delete-break", "replay_delete_break");
NOT_YET("replay-seek", "replay_seek");
NOT_YET("request-ebpf", NULL);
NOT_YET("set-cpu-topology", NULL);
NOT_YET("set-numa-node", NULL);
NOT_YET("sev-inject-launch-secret", NULL);
NOT_YET(NULL, "sync-profile");
NOT_YET(NULL, "info sync-profile");
NOT_YET(NULL, "info tpm");
NOT_YET(NULL, "info usbhost");
NOT_YET(NULL, "info via");
NOT_YET("x-colo-lost-heartbeat", "x_colo_lost_heartbeat");
NOT_YET("x-debug-block-dirty-bitmap-sha256", NULL);
NOT_YET("xen-colo-do-checkpoint", NULL);
NOT_YET("xen-event-inject", "xen-event-inject");
NOT_YET("xen-event-list", "xen-event-list");
NOT_YET("xen-load-devices-state", NULL);
NOT_YET("xen-save-devices-state", NULL);
NOT_YET("xen-set-global-dirty-log", NULL);
NOT_YET("xen-set-replication", NULL);
NOT_YET("x-exit-preconfig", "exit_preconfig");
