/* SPDX-License-Identifier: MIT */
/* The tables of parameters and capabilities, and what there is none of. */
#include "migration/parameters.h"

#include <string.h>

#include "block/bitmap-transfer.h"
#include "migration/packing.h"

const char *const migration_capability_names[MIGRATION_CAPABILITY_COUNT] = {
    [MIGRATION_EVENTS] = "events",
    [MIGRATION_RETURN_PATH] = "return-path",
    [MIGRATION_PAUSE_BEFORE_SWITCHOVER] = "pause-before-switchover",
    [MIGRATION_LATE_BLOCK_ACTIVATE] = "late-block-activate",
    [MIGRATION_VALIDATE_UUID] = "validate-uuid",
    [MIGRATION_MULTIFD] = "multifd",
    [MIGRATION_DIRTY_BITMAPS] = "dirty-bitmaps",
    [MIGRATION_AUTO_CONVERGE] = "auto-converge",
    [MIGRATION_COMPRESS] = "compress",
};

#define FIELD(name) offsetof(MigrationParameters, name)

/* clang-format off */
const MigrationParameter migration_parameter_table[] = {
    { "announce-initial", FIELD(announce_initial_ms), false, 50, 0, 100000, "ms", "milliseconds from the first announcement of NICs to the second" },
    { "announce-max", FIELD(announce_most_ms), false, 550, 0, 100000, "ms", "milliseconds that there are between announcements at most" },
    { "announce-rounds", FIELD(announce_rounds), false, 5, 0, 1000, "", "how often NICs are announced after a migration" },
    { "announce-step", FIELD(announce_step_ms), false, 100, 0, 10000, "ms", "milliseconds by which each pause between announcements is longer" },
    { "throttle-trigger-threshold", FIELD(throttle_threshold), false, 50, 1, 100, "", "auto-converge: percent of what is sent that the guest may write again meanwhile" },
    { "cpu-throttle-initial", FIELD(throttle_initial), false, 20, 1, 99, "", "auto-converge: percent of the time that CPUs sleep, at first" },
    { "cpu-throttle-increment", FIELD(throttle_increment), false, 10, 1, 99, "", "auto-converge: percent that are added each time that it was not enough" },
    { "max-cpu-throttle", FIELD(throttle_most), false, 99, 1, 99, "", "auto-converge: percent of the time that CPUs sleep at most" },
    { "tls-creds", FIELD(tls_creds), true, .summary = "a tls-creds object, with which tcp:, unix: and fd: are encrypted; empty: none" },
    { "tls-hostname", FIELD(tls_hostname), true, .summary = "whom the destination's certificate names, where it is not the address's host" },
    { "tls-authz", FIELD(tls_authz), true, .summary = "an authz-* object, which says what sources may come in, by the name of their certificate; empty: all that TLS lets in" },
    { "multifd-channels", FIELD(lanes), false, 2, 1, MIGRATION_LANES_MOST, "", "multifd: how many channels there are for pages, beside the first" },
    { "max-bandwidth", FIELD(max_bandwidth), false, 128 << 20, 0, INT64_MAX, "bytes/second", "bytes in a second while the machine runs; 0: no limit" },
    { "avail-switchover-bandwidth", FIELD(switchover_bandwidth), false, 0, 0, INT64_MAX, "bytes/second", "bytes in a second that there will be when the machine stands; 0: as was seen" },
    { "downtime-limit", FIELD(downtime_limit_ms), false, 300, 0, 2000 * 1000, "ms", "milliseconds that it may stand at the end" },
    { "compress-level", FIELD(compress_level), false, 1, 0, PACKING_LEVEL_MOST, "", "compress: 0 (no compression) to 9" },
    { "compress-threads", FIELD(compress_threads), false, 8, 1, 255, "", "accepted; has no effect: the thread that sends compresses" },
    { "decompress-threads", FIELD(decompress_threads), false, 2, 1, 255, "", "accepted; has no effect" },
    { "block-bitmap-mapping", FIELD(bitmap_mapping), true, .json = true, .summary = "dirty-bitmaps: names under which nodes and bitmaps go, and whether images keep them" },
    { 0 },
};
/* clang-format on */

const MigrationParameter *migration_parameter_find(const char *name)
{
    const MigrationParameter *parameter = migration_parameter_table;

    while (parameter->name && strcmp(parameter->name, name) != 0) {
        parameter++;
    }
    return parameter->name ? parameter : NULL;
}

_Atomic uint64_t *migration_parameter_number(MigrationParameters *parameters,
                                             const MigrationParameter *parameter)
{
    return (_Atomic uint64_t *)(void *)((char *)parameters + parameter->offset);
}

char **migration_parameter_text(MigrationParameters *parameters,
                                const MigrationParameter *parameter)
{
    return (char **)(void *)((char *)parameters + parameter->offset);
}

bool migration_mapping_check(const char *text, GError **error)
{
    return block_bitmap_mapping_check(text, error);
}

void migration_parameters_init(MigrationParameters *parameters)
{
    for (const MigrationParameter *at = migration_parameter_table; at->name; at++) {
        if (!at->text) {
            *migration_parameter_number(parameters, at) = at->fallback;
        }
    }
}

void migration_parameters_clear(MigrationParameters *parameters)
{
    for (const MigrationParameter *at = migration_parameter_table; at->name; at++) {
        if (at->text) {
            g_clear_pointer(migration_parameter_text(parameters, at), g_free);
        }
    }
}

/* as: the value that says what is so here anyway; NULL: none does. */
typedef struct {
    const char *name, *why, *as;
} Missing;

#define NEVER_COMPRESSED "is not there: a channel compresses better, as exec: does through zstd"
#define NO_POSTCOPY      "not yet: postcopy"

static const Missing missing_capabilities[] = {
    { "xbzrle", NEVER_COMPRESSED },
    { "zero-copy-send",
      "is not there: pages are copied before they go, so that each is as it was at one moment" },
    { "mapped-ram", "not yet: pages of a file lie in the order in which they were sent" },
    { "x-ignore-shared", "not yet: memory that both have is sent as well" },
    { "postcopy-ram", NO_POSTCOPY },
    { "postcopy-blocktime", NO_POSTCOPY },
    { "postcopy-preempt", NO_POSTCOPY },
    { "release-ram", NO_POSTCOPY },
    { "background-snapshot", "not yet: the machine stands while it is saved" },
    { "dirty-limit", "not yet: auto-converge holds a guest back" },
    { "switchover-ack", "is not there: no device of this program needs it" },
    { "block", "is not there: mirror disks with blockdev-mirror to nbd-server-start" },
    { "rdma-pin-all", "is not there: no RDMA" },
    { "x-colo", "is not there: no COLO" },
    { 0 },
};

static const Missing missing_parameters[] = {
    { "xbzrle-cache-size", NEVER_COMPRESSED },
    { "compress-wait-thread",
      "is not there: the thread that sends compresses, and waits for nobody" },
    { "multifd-compression", NEVER_COMPRESSED, "none" },
    { "multifd-zlib-level", NEVER_COMPRESSED },
    { "multifd-zstd-level", NEVER_COMPRESSED },
    { "multifd-qatzip-level", NEVER_COMPRESSED },
    { "max-postcopy-bandwidth", NO_POSTCOPY },
    { "cpu-throttle-tailslow", "not yet: each step of auto-converge is as large as the one before",
      "false" },
    { "block-incremental", "is not there: mirror disks with blockdev-mirror" },
    { "x-vcpu-dirty-limit-period", "not yet: auto-converge holds a guest back" },
    { "vcpu-dirty-limit", "not yet: auto-converge holds a guest back" },
    { "mode", "not yet: other ways of a machine than to another process", "normal" },
    { "cpr-exec-command", "not yet: other ways of a machine than to another process" },
    { "zero-page-detection",
      "is not there: pages of zeroes are always found by the thread that sends" },
    { "direct-io", "not yet: files are written through the host's cache", "false" },
    { "x-checkpoint-delay", "is not there: no COLO" },
    { "x-rdma-chunk-size", "is not there: no RDMA" },
    { 0 },
};

static const Missing *find(const Missing *missing, const char *name)
{
    while (missing->name && strcmp(missing->name, name) != 0) {
        missing++;
    }
    return missing;
}

const char *migration_capability_missing(const char *name)
{
    return find(missing_capabilities, name)->why;
}

const char *migration_parameter_missing(const char *name)
{
    return find(missing_parameters, name)->why;
}

bool migration_parameter_is_so(const char *name, const char *value)
{
    const char *as = find(missing_parameters, name)->as;

    return as && value && strcmp(as, value) == 0;
}
