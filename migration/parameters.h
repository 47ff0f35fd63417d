/* SPDX-License-Identifier: MIT */
/* What migrate-set-parameters and migrate-set-capabilities set, as tables: names are QMP's. */
#ifndef MIGRATION_PARAMETERS_H
#define MIGRATION_PARAMETERS_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    MIGRATION_EVENTS,      /* MIGRATION and MIGRATION_PASS are sent */
    MIGRATION_RETURN_PATH, /* the destination answers over fd:, as it always does over unix: and tcp: */
    MIGRATION_PAUSE_BEFORE_SWITCHOVER, /* the status pre-switchover */
    MIGRATION_LATE_BLOCK_ACTIVATE,     /* the destination has its disks only when it goes on */
    MIGRATION_VALIDATE_UUID,           /* -uuid must be the same */
    MIGRATION_MULTIFD,                 /* pages go over channels of their own (lanes.h) */
    MIGRATION_DIRTY_BITMAPS,           /* bitmaps of disks go along */
    MIGRATION_AUTO_CONVERGE,           /* a guest that writes too fast is held back */
    MIGRATION_COMPRESS,                /* pages are compressed (packing.h) */
    MIGRATION_CAPABILITY_COUNT,
} MigrationCapability;
extern const char *const migration_capability_names[MIGRATION_CAPABILITY_COUNT];

enum { MIGRATION_LANES_MOST = 255 };

/* Numbers may be read on any thread; texts change under the machine lock. */
typedef struct {
    _Atomic uint64_t max_bandwidth; /* bytes in a second; 0: no limit */
    _Atomic uint64_t
        switchover_bandwidth; /* that there will be when the machine stands; 0: as was seen */
    _Atomic uint64_t downtime_limit_ms; /* how long it may stand at the end */
    _Atomic uint64_t announce_initial_ms, announce_most_ms, announce_rounds, announce_step_ms;
    /* Percent: of what is sent, written again meanwhile; of the time, that CPUs sleep. */
    _Atomic uint64_t throttle_threshold, throttle_initial, throttle_increment, throttle_most;
    _Atomic uint64_t lanes; /* multifd: how many channels beside the first */
    _Atomic uint64_t compress_level, compress_threads, decompress_threads;
    char *tls_creds, *tls_hostname, *tls_authz; /* NULL: none */
    char *bitmap_mapping;                       /* JSON (block/bitmap-mapping.h); NULL: none */
} MigrationParameters;

typedef struct {
    const char *name; /* NULL ends the table */
    size_t offset;
    bool text;
    uint64_t fallback, least, most; /* of a number */
    const char *unit;               /* as HMP prints it */
    const char *summary;
    bool json; /* a text that is a list in JSON; absent in answers when there is none */
} MigrationParameter;
extern const MigrationParameter migration_parameter_table[];
const MigrationParameter *migration_parameter_find(const char *name);
_Atomic uint64_t *migration_parameter_number(MigrationParameters *parameters,
                                             const MigrationParameter *parameter);
char **migration_parameter_text(MigrationParameters *parameters,
                                const MigrationParameter *parameter);

void migration_parameters_init(MigrationParameters *parameters);
void migration_parameters_clear(MigrationParameters *parameters);

/* Whether a text in JSON can be block-bitmap-mapping. */
bool migration_mapping_check(const char *text, GError **error);

/* Why a capability or a parameter that others have is not there; NULL: nobody has one of that name. */
const char *migration_capability_missing(const char *name);
const char *migration_parameter_missing(const char *name);
/* Whether the value of such a parameter says what is so without it ("false", "none"). */
bool migration_parameter_is_so(const char *name, const char *value);

#endif
