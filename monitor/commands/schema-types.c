/* SPDX-License-Identifier: MIT */
/* The types of what commands return. Names and members are QMP's; x- commands have their own. */
#include "monitor/schema-types.h"

#include <stddef.h>

#define STATISTICS(kind)                                                                           \
    kind "_operations int, " kind "_total_time_ns int, failed_" kind                               \
         "_operations int, invalid_" kind "_operations int, "
#define STATISTICS_BYTES(kind) kind "_bytes int, " kind "_merged int, "
#define LATENCIES                                                                                  \
    "rd_latency_histogram? BlockLatencyHistogramInfo, wr_latency_histogram? "                      \
    "BlockLatencyHistogramInfo, zone_append_latency_histogram? BlockLatencyHistogramInfo, "        \
    "flush_latency_histogram? BlockLatencyHistogramInfo"
#define LIMITS(kind)                                                                               \
    kind " int, " kind "_rd int, " kind "_wr int, " kind "_max? int, " kind "_rd_max? int, " kind  \
         "_wr_max? int, " kind "_max_length? int, " kind "_rd_max_length? int, " kind              \
         "_wr_max_length? int, "

/* clang-format off */
const MonitorType monitor_types[] = {
    /* The machine */
    { "VersionTriple", "major int, minor int, micro int" },
    { "VersionInfo", "qemu VersionTriple, package str" },
    { "CommandInfo", "name str" },
    { "CoverageInfo",
      "instructions int, elsewhere int, functions int, functions-executed int, lines int, lines-executed int, "
      "full bool" },
    { "NameInfo", "name? str" },
    { "UuidInfo", "UUID str" },
    { "GuidInfo", "guid str" },
    { "KvmInfo", "enabled bool, present bool" },
    { "StatusInfo", "status RunState, running bool, singlestep bool" },
    { "RunState", NULL,
      "debug inmigrate internal-error io-error paused postmigrate prelaunch finish-migrate restore-vm running "
      "save-vm shutdown suspended watchdog guest-panicked colo" },
    { "SysEmuTarget", NULL, "aarch64 arm i386 x86_64" },
    { "TargetInfo", "arch SysEmuTarget" },
    { "MachineInfo",
      "name str, alias? str, is-default? bool, cpu-max int, hotpluggable-cpus bool, numa-mem-supported bool, "
      "deprecated bool, default-cpu-type? str, default-ram-id? str, acpi bool" },
    { "CpuDefinitionInfo",
      "name str, typename str, unavailable-features? [str], migration-safe? bool, static bool, deprecated bool, "
      "alias-of? str" },
    { "CpuModelInfo", "name str, props? any" },
    { "CpuModelExpansionInfo", "model CpuModelInfo" },
    { "CurrentMachineParams", "wakeup-suspend-support bool" },
    { "Accelerator", NULL, "kvm qtest tcg" },
    { "AcceleratorInfo", "enabled? Accelerator, present [Accelerator]" },
    { "GICCapability", "version int, emulated bool, kernel bool" },
    { "CpuInstanceProperties",
      "node-id? int, socket-id? int, die-id? int, module-id? int, cluster-id? int, core-id? int, thread-id? int" },
    { "HotpluggableCPU", "type str, vcpus-count int, props CpuInstanceProperties, qom-path? str" },
    { "CpuInfoFast",
      "cpu-index int, qom-path str, qom-type str, thread-id int, props? CpuInstanceProperties, target SysEmuTarget" },
    { "Memdev",
      "id? str, size int, merge bool, dump bool, prealloc bool, share bool, reserve? bool, host-nodes [int], policy HostMemPolicy" },
    { "HostMemPolicy", NULL, "default preferred bind interleave" },
    { "CommandLineOptionInfo", "option str, parameters [CommandLineParameterInfo]" },
    { "CommandLineParameterInfo", "name str, type CommandLineParameterType" },
    { "CommandLineParameterType", NULL, "string boolean number size" },
    { "PciInfo", "bus int, devices [PciDeviceInfo]" },
    { "PciDeviceInfo",
      "bus int, slot int, function int, class_info PciDeviceClass, id PciDeviceId, irq? int, irq_pin int, qdev_id str, "
      "regions [PciMemoryRegion], pci_bridge? PciBridgeInfo" },
    { "PciDeviceClass", "class int, desc? str" },
    { "PciDeviceId", "vendor int, device int, subsystem-vendor? int, subsystem? int" },
    { "PciMemoryRegion", "bar int, type str, address int, size int, prefetch? bool, mem_type_64? bool" },
    { "PciBridgeInfo", "bus PciBusInfo, devices? [PciDeviceInfo]" },
    { "PciBusInfo",
      "number int, secondary int, subordinate int, io_range PciMemoryRange, memory_range PciMemoryRange, "
      "prefetchable_range PciMemoryRange" },
    { "PciMemoryRange", "base int, limit int" },
    { "MigrationCapability", NULL, "events return-path pause-before-switchover late-block-activate validate-uuid multifd dirty-bitmaps auto-converge compress" },
    { "MigrationCapabilityStatus", "capability MigrationCapability, state bool" },
    { "MigrationStatus", NULL,
      "none setup cancelling cancelled active pre-switchover device completed failed" },
    { "MigrationStats",
      "transferred int, remaining int, total int, duplicate int, normal int, normal-bytes int, dirty-pages-rate int, "
      "mbps number, dirty-sync-count int, page-size int, precopy-bytes int, pages-per-second int" },
    { "SocketAddress", "type str, host? str, port? str, path? str" },
    { "MigrationInfo",
      "status? MigrationStatus, ram? MigrationStats, total-time? int, setup-time? int, downtime? int, "
      "expected-downtime? int, cpu-throttle-percentage? int, error-desc? str, socket-address? [SocketAddress], "
      "blocked-reasons? [str]" },
    { "MigrationParameters",
      "announce-initial int, announce-max int, announce-rounds int, announce-step int, throttle-trigger-threshold int, "
      "cpu-throttle-initial int, cpu-throttle-increment int, max-cpu-throttle int, tls-creds str, tls-hostname str, tls-authz str, "
      "multifd-channels int, compress-level? int, compress-threads? int, decompress-threads? int, "
      "compress-wait-thread? bool, max-bandwidth int, avail-switchover-bandwidth int, downtime-limit int, "
      "block-bitmap-mapping? [BitmapMigrationNodeAlias]" },
    { "BitmapMigrationNodeAlias", "node-name str, alias str, bitmaps [BitmapMigrationBitmapAlias]" },
    { "BitmapMigrationBitmapAlias", "name str, alias str, transform? BitmapMigrationBitmapAliasTransform" },
    { "BitmapMigrationBitmapAliasTransform", "persistent? bool" },
    { "AddfdInfo", "fdset-id int, fd int" },
    { "FdsetFdInfo", "fd int, opaque? str" },
    { "FdsetInfo", "fdset-id int, fds [FdsetFdInfo]" },
    { "DumpStatus", NULL, "none active completed failed" },
    { "DumpQueryResult", "status DumpStatus, completed int, total int" },
    { "DumpGuestMemoryFormat", NULL, "elf" },
    { "DumpGuestMemoryCapability", "formats [DumpGuestMemoryFormat]" },
    { "MemoryInfo", "base-memory int, plugged-memory? int" },
    { "BalloonInfo", "actual int" },
    { "IOThreadInfo",
      "id str, thread-id int, poll-max-ns int, poll-grow int, poll-shrink int, aio-max-batch int" },
    { "Stats", "name str, value any" },
    { "StatsResult", "provider str, qom-path? str, stats [Stats]" },
    { "StatsSchemaValue", "name str, type str, unit? str, base? int, exponent int, bucket-size? int" },
    { "StatsSchema", "provider str, target str, stats [StatsSchemaValue]" },
    { "MouseInfo", "name str, index int, current bool, absolute bool" },
    { "ChardevInfo", "label str, filename str, frontend-open bool" },
    { "ChardevBackendInfo", "name str" },
    { "ChardevReturn", "pty? str" },
    { "ObjectPropertyInfo", "name str, type str, description? str, default-value? any" },
    { "ObjectTypeInfo", "name str, abstract? bool, parent? str" },
    { "DisplayOptions", "type str" },
    { "VirtioInfo", "path str, name str" },
    { "VirtioDeviceFeatures",
      "transports [str], dev-features? [str], unknown-dev-features? int, unknown-dev-features2? int" },
    { "VirtioDeviceStatus", "statuses [str], unknown-statuses? int" },
    { "VirtioStatus",
      "name str, device-id int, vhost-started bool, bus-name str, broken bool, disabled bool, disable-legacy-check bool, "
      "started bool, use-started bool, start-on-kick bool, use-guest-notifier-mask bool, vm-running bool, num-vqs int, "
      "queue-sel int, isr int, device-endian str, status VirtioDeviceStatus, guest-features VirtioDeviceFeatures, "
      "host-features VirtioDeviceFeatures, backend-features VirtioDeviceFeatures" },
    { "VirtQueueStatus",
      "name str, queue-index int, inuse int, used-idx int, signalled-used int, signalled-used-valid bool, last-avail-idx? int, "
      "shadow-avail-idx? int, vring-num int, vring-num-default int, vring-align int, vring-desc int, vring-avail int, "
      "vring-used int" },
    { "VirtVhostQueueStatus",
      "name str, kick int, call int, num int, desc-phys int, desc-size int, avail-phys int, avail-size int, used-phys int, "
      "used-size int" },
    { "VirtioRingDesc", "addr int, len int, flags [str]" },
    { "VirtioRingAvail", "flags int, idx int, ring int" },
    { "VirtioRingUsed", "flags int, idx int" },
    { "VirtioQueueElement", "name str, index int, descs [VirtioRingDesc], avail VirtioRingAvail, used VirtioRingUsed" },
    { "TraceEventState", NULL, "unavailable disabled enabled" },
    { "TraceEventInfo", "name str, state TraceEventState" },
    { "DirtyRateStatus", NULL, "unstarted measuring measured" },
    { "DirtyRateMeasureMode", NULL, "page-sampling dirty-ring dirty-bitmap" },
    { "TimeUnit", NULL, "second millisecond" },
    { "DirtyRateInfo",
      "dirty-rate? int, status DirtyRateStatus, start-time int, calc-time int, calc-time-unit TimeUnit, sample-pages int, "
      "mode DirtyRateMeasureMode" },
    { "ReplayMode", NULL, "none record play" },
    { "ReplayInfo", "mode ReplayMode, filename? str, icount int" },
    { "RxState", NULL, "normal none all" },
    { "RxFilterInfo",
      "name str, promiscuous bool, multicast RxState, unicast RxState, vlan RxState, broadcast-allowed bool, "
      "multicast-overflow bool, unicast-overflow bool, main-mac str, vlan-table [int], unicast-table [str], "
      "multicast-table [str]" },
    { "ObjectPropertyValue", "name str, type str, value? any" },
    { "ObjectPropertiesValues", "properties [ObjectPropertyValue]" },

    /* The debugger */
    { "DebugEvent", "kind str, who? str, name? str, number int, value int, write bool, line? str" },
    { "WaitResult",
      "reached bool, text str, kind? str, cpu-index? int, pc? int, breakpoint? int, event? DebugEvent, "
      "address? int, write? bool, old? int, new? int, source? str, folder? str, line? int" },
    { "TraceNames", "registers int, enabled bool" },
    { "BreakpointInfo",
      "number int, what str, location str, addresses [int], enabled bool, temporary bool, trace bool, wait bool, "
      "hits int, ignore int, condition? str, commands? str" },

    { "Register", "name str, value str, fields? str" },
    { "CpuRegisters", "cpu-index int, registers [Register], text str" },
    { "TypedKind", NULL, "integer boolean float enumerator address text structure array unmapped cut" },
    { "TypedValue", "kind TypedKind", NULL,
      "kind: integer=TypedInteger boolean=TypedBoolean float=TypedFloat enumerator=TypedEnumerator address=TypedAddress "
      "text=TypedText structure=TypedStructure array=TypedArray" },
    { "TypedInteger", "integer int, bits int, signed bool, character? bool" },
    { "TypedBoolean", "boolean bool" },
    { "TypedFloat", "float? number, special? str" },
    { "TypedEnumerator", "integer int, name? str" },
    { "TypedAddress", "address int, symbol? str, text? str" },
    { "TypedText", "text str" },
    { "TypedMember", "name str, value TypedValue" },
    { "TypedStructure", "members [TypedMember]" },
    { "TypedArray", "elements [TypedValue], more bool" },
    { "PrintedValue", "format str, type? str, value TypedValue" },
    { "ProgramVariable", "name str, type str, value? TypedValue" },
    { "TypeMember", "name str, type str, offset int, size int, bit-offset? int, bits? int, members? [TypeMember]" },
    { "TypeEnumerator", "name str, value int" },
    { "TypeInfo", "type str, size int, is? str, members? [TypeMember], enumerators? [TypeEnumerator]" },
    { "Instruction",
      "address int, bytes str, text str, symbol? str, target? str, source? str, folder? str, line? int, source-text? str" },
    { "Disassembly", "pc int, instructions [Instruction], truncated bool" },
    { "MemoryText", "address int, text str" },
    { "MemoryDump",
      "address int, format str, size int, values? [int], symbols? [str], instructions? [Instruction], texts? [MemoryText], "
      "truncated bool" },
    { "PortValue", "address int, size int, value int" },
    { "TranslatedAddress", "physical? int" },
    { "SourceTextLine", "line int, text str" },
    { "SourceText", "source str, path str, lines [SourceTextLine], current? int" },
    { "SourceRule", "from str, to str" },
    { "GdbServerInfo", "device str" },

    { "VncClientInfo", "host str, service str, family str, websocket bool, x509_dname? str, sasl_username? str" },
    { "VncInfo", "enabled bool, host? str, family? str, service? str, auth? str, clients? [VncClientInfo]" },
    { "VncServerInfo2", "host str, service str, family str, websocket bool, auth str, vencrypt? str" },
    { "VncInfo2", "id str, server [VncServerInfo2], clients [VncClientInfo], auth str, vencrypt? str, display? str" },
    { "HumanReadableText", "human-readable-text str" },

    /* The debugger */
    { "PageWalkStep", "stage int, table str, at int, entry int, bytes int, attributes str" },
    { "PageAccess", "allowed bool, reason? str" },
    { "PageRights", "read PageAccess, write PageAccess, execute PageAccess" },
    { "PageWalk",
      "address int, translation bool, steps [PageWalkStep], physical? int, page-size? int, memory? str, fault? str, "
      "kernel PageRights, user PageRights" },
    { "AcpiTableInfo",
      "signature str, address int, length int, revision int, checksum-good bool, oem str, oem-table str, lines [str]" },
    { "AcpiInfo", "address int, revision int, checksum-good bool, oem str, tables [AcpiTableInfo]" },
    { "SmbiosStructureInfo", "type int, handle int, name? str, lines [str]" },
    { "SmbiosInfo",
      "address int, table int, bytes int, major int, minor int, checksum-good bool, structures [SmbiosStructureInfo]" },
    { "FdtProperty", "name str, value str" },
    { "FdtNode", "path str, depth int, properties [FdtProperty]" },
    { "FdtInfo", "address int, size int, others [int], nodes [FdtNode]" },
    { "UefiTableInfo", "guid str, name? str, address int" },
    { "UefiImageInfo", "base int, size int, name str, pdb str" },
    { "UefiMemoryInfo", "type str, start int, end int, attributes int" },
    { "UefiVariableInfo", "name str, guid str, attributes int, size int, data str, description? str" },
    { "UefiInfo",
      "address int, vendor str, revision int, firmware-revision int, tables [UefiTableInfo], images [UefiImageInfo], "
      "memory [UefiMemoryInfo], variables [UefiVariableInfo]" },
    { "SystemTableRow", "number int, at int, words [int], text str, target? int, symbol? str" },
    { "SystemTable", "base int, limit int, note? str, rows [SystemTableRow]" },
    { "SymbolFile",
      "number int, name str, path str, kind str, space str, start int, end int, count int, lines bool, by-user bool, "
      "used bool, note? str, missing-units? int" },
    { "SymbolInfo", "name str, address int, size int, type str, file str, offset? int" },
    { "SymbolFileAdded", "number int, note? str" },
    { "SymbolFileFetched", "number int, build-id str, name str, path str" },
    { "SourceLineInfo", "source str, folder? str, line int, start int, end int, symbol? str" },
    { "InterruptInfo",
      "device? str, output? int, connected? bool, input? int, level? int, where? str, text? str, stops? bool" },
    { "LinuxLogRecord", "sequence int, time-ns int, facility int, level int, text str" },
    { "LinuxTaskInfo",
      "pid int, tgid int, parent int, name str, state str, on-cpu bool, cpu? int, kernel-thread bool, address int, "
      "pc? int, where? str" },
    { "LinuxModuleInfo", "name str, state str, base int, size int, address int" },
    { "StackFrame",
      "pc int, sp? int, how? str, symbol? str, file? str, inlined? bool, source? str, folder? str, line? int" },
    { "StackInfo", "cpu-index? int, pid? int, name? str, frames [StackFrame]" },
    { "DeviceRegister", "name str, offset int, width int, value? int, fields? str, summary? str" },
    { "DeviceRegisterBank", "name str, address? int, registers [DeviceRegister]" },
    { "DeviceStateNumber", "name str, width int, value int" },
    { "DeviceRegisters",
      "path str, type str, summary str, banks [DeviceRegisterBank], state [DeviceStateNumber]" },
    { "ExplainedCpu",
      "cpu-index int, activity str, pc int, where? str, mode? str, task? str, detail? str" },
    { "ExplainedPlace", "name str, address int, count int, write bool" },
    { "Explanation",
      "text str, cpus [ExplainedCpu], hints [str], polled [ExplainedPlace], missing [ExplainedPlace], last-output? str, "
      "kernel? str, kernel-log? str, resets int, reset-reason? str, triple-fault? str" },

    /* Disks */
    { "BlockInfo",
      "device str, qdev? str, type str, removable bool, locked bool, inserted? BlockDeviceInfo, tray_open? bool, "
      "io-status? BlockDeviceIoStatus" },
    { "BlockDeviceIoStatus", NULL, "ok failed nospace" },
    { "BlockdevDetectZeroesOptions", NULL, "off on unmap" },
    { "BlockdevCacheInfo", "writeback bool, direct bool, no-flush bool" },
    { "BlockdevChild", "child str, node-name str" },
    { "BlockDirtyInfo",
      "name? str, count int, granularity int, recording bool, busy bool, persistent bool, inconsistent? bool" },
    { "DirtyLimitInfo", "cpu-index int, limit-rate int, current-rate int" },
    { "FirmwareLog", "version? str, log str" },
    { "YankInstance", "type YankInstanceType", NULL, "type: block-node=YankInstanceBlockNode chardev=YankInstanceChardev" },
    { "YankInstanceType", NULL, "block-node chardev migration" },
    { "YankInstanceBlockNode", "node-name str" },
    { "YankInstanceChardev", "id str" },
    { "XDbgBlockGraph", "nodes [XDbgBlockGraphNode], edges [XDbgBlockGraphEdge]" },
    { "XDbgBlockGraphNode", "id int, type XDbgBlockGraphNodeType, name str" },
    { "XDbgBlockGraphNodeType", NULL, "block-backend block-job block-driver" },
    { "XDbgBlockGraphEdge",
      "parent int, child int, name str, perm [BlockPermission], shared-perm [BlockPermission]" },
    { "BlockPermission", NULL, "consistent-read write write-unchanged resize" },
    { "BlockDeviceInfo",
      "file str, node-name str, ro bool, drv str, backing_file? str, backing_file_depth int, children [BlockdevChild], "
      "active bool, encrypted bool, detect_zeroes BlockdevDetectZeroesOptions, " LIMITS("bps") LIMITS("iops")
      "iops_size? int, group? str, image ImageInfo, cache BlockdevCacheInfo, write_threshold int, "
      "dirty-bitmaps? [BlockDirtyInfo]" },
    { "BlockLimitsInfo",
      "request-alignment int, max-discard? int, discard-alignment? int, max-write-zeroes? int, "
      "write-zeroes-alignment? int, opt-transfer? int, max-transfer? int, max-hw-transfer? int, max-iov int, "
      "max-hw-iov? int, min-mem-alignment int, opt-mem-alignment int" },
    { "SnapshotInfo",
      "id str, name str, vm-state-size int, date-sec int, date-nsec int, vm-clock-sec int, vm-clock-nsec int, "
      "icount? int" },
    { "ImageInfo",
      "filename str, format str, dirty-flag? bool, actual-size? int, virtual-size int, cluster-size? int, "
      "encrypted? bool, compressed? bool, backing-filename? str, full-backing-filename? str, "
      "backing-filename-format? str, snapshots? [SnapshotInfo], backing-image? ImageInfo, "
      "format-specific? ImageInfoSpecific, limits? BlockLimitsInfo" },
    { "ImageInfoSpecificKind", NULL, "qcow2 vmdk luks file" },
    { "ImageInfoSpecific", "type ImageInfoSpecificKind", NULL,
      "type: qcow2=ImageInfoSpecificQCow2Wrapper vmdk=ImageInfoSpecificVmdkWrapper "
      "luks=ImageInfoSpecificLUKSWrapper file=ImageInfoSpecificFileWrapper" },
    { "ImageInfoSpecificQCow2Wrapper", "data ImageInfoSpecificQCow2" },
    { "ImageInfoSpecificQCow2",
      "compat str, data-file? str, data-file-raw? bool, extended-l2? bool, lazy-refcounts? bool, corrupt? bool, "
      "refcount-bits int, encrypt? ImageInfoSpecificQCow2Encryption, bitmaps? [Qcow2BitmapInfo], "
      "compression-type str" },
    { "Qcow2BitmapInfoFlags", NULL, "in-use auto" },
    { "Qcow2BitmapInfo", "name str, granularity int, flags [Qcow2BitmapInfoFlags]" },
    { "BlockdevQcow2EncryptionFormat", NULL, "aes luks" },
    { "ImageInfoSpecificQCow2Encryption", "format BlockdevQcow2EncryptionFormat", NULL,
      "format: luks=ImageInfoSpecificLUKS" },
    { "ImageInfoSpecificLUKSWrapper", "data ImageInfoSpecificLUKS" },
    { "ImageInfoSpecificLUKS",
      "cipher-alg str, cipher-mode str, ivgen-alg str, ivgen-hash-alg? str, hash-alg str, detached-header bool, "
      "payload-offset int, master-key-iters int, uuid str, slots [ImageInfoSpecificLUKSSlot]" },
    { "ImageInfoSpecificLUKSSlot", "active bool, iters? int, stripes? int, key-offset int" },
    { "ImageInfoSpecificVmdkWrapper", "data ImageInfoSpecificVmdk" },
    { "ImageInfoSpecificVmdk", "create-type str, cid int, parent-cid int, extents [VmdkExtentInfo]" },
    { "VmdkExtentInfo", "filename str, format str, virtual-size int, cluster-size? int, compressed? bool" },
    { "ImageInfoSpecificFileWrapper", "data ImageInfoSpecificFile" },
    { "ImageInfoSpecificFile", "extent-size-hint? int" },
    { "BlockStats",
      "device? str, qdev? str, node-name? str, stats BlockDeviceStats, driver-specific? BlockStatsSpecific, "
      "parent? BlockStats, backing? BlockStats" },
    { "BlockLatencyHistogramInfo", "boundaries [int], bins [int]" },
    { "BlockDeviceTimedStats",
      "interval_length int, min_rd_latency_ns int, max_rd_latency_ns int, avg_rd_latency_ns int, "
      "min_wr_latency_ns int, max_wr_latency_ns int, avg_wr_latency_ns int, min_flush_latency_ns int, "
      "max_flush_latency_ns int, avg_flush_latency_ns int, min_zone_append_latency_ns int, "
      "max_zone_append_latency_ns int, avg_zone_append_latency_ns int, avg_rd_queue_depth number, "
      "avg_wr_queue_depth number, avg_zone_append_queue_depth number" },
    { "BlockDeviceStats",
      STATISTICS("rd") STATISTICS_BYTES("rd") STATISTICS("wr") STATISTICS_BYTES("wr") STATISTICS("flush")
      STATISTICS("unmap") STATISTICS_BYTES("unmap") STATISTICS("zone_append") STATISTICS_BYTES("zone_append")
      "wr_highest_offset int, idle_time_ns? int, account_invalid bool, account_failed bool, "
      "timed_stats [BlockDeviceTimedStats], " LATENCIES },
    { "TableCacheStats", "max-bytes int, bytes int, hits int, misses int" },
    { "BlockStatsSpecific", "driver str", NULL,
      "driver: file=BlockStatsSpecificFile host_device=BlockStatsSpecificFile qcow2=BlockStatsSpecificQCow2" },
    { "BlockStatsSpecificFile", "discard-nb-ok int, discard-nb-failed int, discard-bytes-ok int" },
    { "BlockStatsSpecificQCow2", "l2-cache TableCacheStats, refcount-cache TableCacheStats" },
    { "BlockExportType", NULL, "nbd" },
    { "BlockExportInfo", "id str, type BlockExportType, node-name str, shutting-down bool" },
    { "JobType", NULL, "commit stream mirror backup create amend snapshot-load snapshot-save snapshot-delete" },
    { "JobStatus", NULL,
      "undefined created running paused ready standby waiting pending aborting concluded null" },
    { "JobInfo",
      "id str, type JobType, status JobStatus, current-progress int, total-progress int, error? str" },
    { "BlockJobInfo",
      "device str, len int, offset int, busy bool, paused bool, speed int, io-status BlockDeviceIoStatus, ready bool, "
      "status JobStatus, auto-finalize bool, auto-dismiss bool, error? str, type JobType", NULL,
      "type: mirror=BlockJobInfoMirror" },
    { "BlockJobInfoMirror", "actively-synced bool" },
    { NULL },
};
/* clang-format on */
