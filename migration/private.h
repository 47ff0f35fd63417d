/* SPDX-License-Identifier: MIT */
/* A machine's migration, for the files of migration/ alone. The machine lock guards all of it but the thread's own. */
#ifndef MIGRATION_PRIVATE_H
#define MIGRATION_PRIVATE_H

#include <stdatomic.h>

#include "migration/announce.h"
#include "migration/channel.h"
#include "migration/lanes.h"
#include "migration/machine-state.h"
#include "migration/migration.h"
#include "migration/throttle.h"

/*
 * How a machine is handed over where both sides can speak. Until the source has told the destination to go on, the machine is its own whatever happens, and
 * the destination leaves the disks alone; from then on it is the destination's, unless that refuses.
 */
enum {
    SAY_LOADED = 'L',  /* destination: the devices are loaded, it waits */
    SAY_GO = 'G',      /* source: the disks are free, the machine is yours */
    SAY_TAKEN = 'K',   /* destination: it has all */
    SAY_REFUSED = 'E', /* destination, at any time: it has nothing and never will */
};

typedef struct Migration {
    Machine *machine;
    bool capabilities[MIGRATION_CAPABILITY_COUNT];
    MigrationParameters parameters;

    _Atomic MigrationStatus status; /* both threads look at it; it changes under the lock */
    bool incoming, deferred, exit_on_error, run_wanted;
    MachineHead head;
    bool told_to_go;      /* source: SAY_GO may have been heard … */
    bool refused;         /* … and the destination has said that it has nothing */
    char *error; /* of the last one that failed */
    int64_t begun_us, active_us, stopped_us, ended_us, expected_downtime_ms, downtime_ms;
    uint64_t dirty_pages_rate;
    bool continued;              /* out of pre-switchover */
    TlsCredentials *credentials; /* of the channel */
    Throttle *throttle;
    AnnounceRounds *announcing;
    struct SnapshotSave *saving; /* NULL: none */

    MachineState state; /* incoming: what waits to be loaded */

    Channel *channel;
    guint accept_source;
    GThread *thread;
    RamSender *sender;
    LaneSender *lanes; /* NULL: pages go over the channel */
    void *turn;       /* outgoing.c: of the thread */
    RamCounts counts; /* when the sender is gone */
    _Atomic uint64_t ram_bytes, bytes;
    StopReason before; /* how the machine was */
    bool ran, held, inactivated;

    /* A step that the thread has the main loop do. */
    GMutex step_lock;
    GCond step_done;
    bool (*step)(struct Migration *migration, GError **error);
    GError **step_error;
    bool step_result, step_pending;
    atomic_bool ended; /* the run has */
} Migration;

Migration *migration_of(Machine *machine);
void migration_set_status(Migration *migration, MigrationStatus status);
/* Runs a step in the main loop under the lock and waits for it. [migration's thread] */
bool migration_in_main(Migration *migration, bool (*step)(Migration *migration, GError **error),
                       GError **error);
/* The thread of the migration has said its last word: frees the channel when it is gone. [main loop, lock] */
void migration_clean_up(Migration *migration);
/* The credentials of tls-creds for the channel, where there are some. [main loop, lock] */
bool migration_load_credentials(Migration *migration, bool server, GError **error);
/* The run ends: what is being saved is saved in one go, or given up if that takes long. [main loop, lock] */
void snapshot_save_hurry(struct SnapshotSave *save);
/* Takes the error. */
void migration_keep_error(Migration *migration, GError *error);

#endif
