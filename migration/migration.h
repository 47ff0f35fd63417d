/* SPDX-License-Identifier: MIT */
/*
 * Machines that move to another process: `migrate` sends one while it runs, -incoming waits for one. All functions are called in the main
 * loop with the machine lock held.
 */
#ifndef MIGRATION_MIGRATION_H
#define MIGRATION_MIGRATION_H

#include "machine/machine.h"
#include "migration/announce.h"
#include "migration/parameters.h"
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

bool *migration_capabilities(Machine *machine);

MigrationParameters *migration_parameters(Machine *machine);

typedef struct {
    MigrationStatus status;
    bool incoming, under_way;
    RamCounts ram;
    uint64_t transferred_bytes, ram_bytes; /* in all; of those, pages */
    double mbps;                           /* megabits in a second, as far as it went */
    uint64_t dirty_pages_rate; /* pages that the guest wrote in a second of the last pass */
    int64_t setup_ms, total_ms, downtime_ms, expected_downtime_ms;
    unsigned throttle_percent; /* auto-converge: how much of the time CPUs sleep */
    const char *error;         /* of a failure; the machine's */
    char *listening_at;        /* the caller frees; NULL: nowhere */
} MigrationInfo;
void migration_info(Machine *machine, MigrationInfo *info);

/* The rest is told by migration_info and events. */
bool migration_start(Machine *machine, const char *address, GError **error);
void migration_cancel(Machine *machine);
/* Whether there is a connection, and its end: the migration fails. */
bool migration_may_yank(Machine *machine);
void migration_yank(Machine *machine);
/* Out of the status pre-switchover. */
bool migration_continue(Machine *machine, GError **error);
/*
 * Waits for a machine; "defer": for migration_receive with the address. The machine is in the run state inmigrate, with inactive disks
 * (block_begin_inactive). exit_on_error: a failure ends the program.
 */
bool migration_wait(Machine *machine, const char *address, GError **error);
bool migration_receive(Machine *machine, const char *address, bool exit_on_error, GError **error);

/* NICs tell the network where they are, as after a migration; nics: ids, NULL: all. */
void migration_announce(Machine *machine, const AnnounceTimes *times, const char *const *nics);
/* The times of the parameters announce-*. */
AnnounceTimes migration_announce_times(Machine *machine);
/* Devices may come and go: not while the machine is on its way. */
bool migration_may_plug(Machine *machine, GError **error);

/* Whether the machine may be saved, loaded or sent now. */
bool migration_may_begin(Machine *machine, GError **error);
/*
 * The user wants it to run, or not. true: cont and stop do as ever; false with an error, or (inmigrate) without one: it was noted.
 */
bool migration_may_run(Machine *machine, bool run, GError **error);

#endif
