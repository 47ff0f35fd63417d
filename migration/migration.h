/* SPDX-License-Identifier: MIT */
/*
 * Machines that move to another process: `migrate` sends one while it runs, -incoming waits for one. All functions are called in the main
 * loop with the machine lock held.
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

#include "machine/machine.h"
#include "migration/ram.h"

typedef enum {
    MIGRATION_NONE,
    MIGRATION_SETUP,
    MIGRATION_CANCELLING,
    MIGRATION_CANCELLED,
    MIGRATION_ACTIVE,
    MIGRATION_PRE_SWITCHOVER, /* stopped, and waits for migrate-continue */
    MIGRATION_DEVICE,         /* stopped: the last pages and the devices */
    MIGRATION_COMPLETED,
    MIGRATION_FAILED,
} MigrationStatus;
/* As QMP spells it. */
const char *migration_status_name(MigrationStatus status);

typedef enum {
    MIGRATION_EVENTS,                  /* MIGRATION and MIGRATION_PASS are sent */
    MIGRATION_RETURN_PATH,             /* the destination answers over fd:, as it always does over unix: and tcp: */
    MIGRATION_PAUSE_BEFORE_SWITCHOVER, /* the status pre-switchover */
    MIGRATION_LATE_BLOCK_ACTIVATE,     /* the destination has its disks only when it goes on */
    MIGRATION_CAPABILITY_COUNT,
} MigrationCapability;
extern const char *const migration_capability_names[MIGRATION_CAPABILITY_COUNT];
bool *migration_capabilities(Machine *machine);

typedef struct {
    uint64_t max_bandwidth;     /* bytes in a second; 0: no limit */
    uint64_t downtime_limit_ms; /* how long it may stand at the end */
} MigrationParameters;
MigrationParameters *migration_parameters(Machine *machine);

typedef struct {
    MigrationStatus status;
    bool incoming;
    RamCounts ram;
    uint64_t transferred_bytes, ram_bytes; /* in all; of those, pages */
    double mbps;                           /* megabits in a second, as far as it went */
    uint64_t dirty_pages_rate;             /* pages that the guest wrote in a second of the last pass */
    int64_t setup_ms, total_ms, downtime_ms, expected_downtime_ms;
    const char *error;   /* of a failure; the machine's */
    char *listening_at;  /* the caller frees; NULL: nowhere */
} MigrationInfo;
void migration_info(Machine *machine, MigrationInfo *info);

/* The rest is told by migration_info and events. */
bool migration_start(Machine *machine, const char *address, GError **error);
void migration_cancel(Machine *machine);
/* Out of the status pre-switchover. */
bool migration_continue(Machine *machine, GError **error);
/*
 * Waits for a machine; "defer": for migration_receive with the address. The machine is in the run state inmigrate, with inactive disks
 * (block_begin_inactive). exit_on_error: a failure ends the program.
 */
bool migration_wait(Machine *machine, const char *address, GError **error);
bool migration_receive(Machine *machine, const char *address, bool exit_on_error, GError **error);

/* Whether the machine may be saved, loaded or sent now. */
bool migration_may_begin(Machine *machine, GError **error);
/*
 * The user wants it to run, or not. true: cont and stop do as ever; false with an error, or (inmigrate) without one: it was noted.
 */
bool migration_may_run(Machine *machine, bool run, GError **error);

#endif
