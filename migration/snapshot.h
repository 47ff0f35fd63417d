/* SPDX-License-Identifier: MIT */
/*
 * savevm and loadvm: the machine's state in one of its disks, and snapshots of all of them. The machine stands meanwhile, and goes
 * on as it was. All in the main loop with the machine lock held.
 */
#ifndef MIGRATION_SNAPSHOT_H
#define MIGRATION_SNAPSHOT_H

#include "machine/machine.h"

typedef struct SnapshotSave SnapshotSave;

/* Which disks: as for vm_snapshot_new (block/vm-snapshot.h). All NULL: every writable one. */
typedef struct {
    const char *const *devices;
    const char *vmstate;
} SnapshotDisks;

/*
 * tag NULL: one of the time. replace: a snapshot of that name is deleted before. The main loop goes on meanwhile, then done is called once, not before
 * the function has returned; it takes the error (NULL: saved).
 */
typedef void SnapshotDone(void *opaque, GError *error);
bool snapshot_save_start(Machine *machine, const char *tag, bool replace,
                         const SnapshotDisks *disks, SnapshotDone *done, void *opaque,
                         GError **error);
/* Of what is being saved, in bytes; false: nothing is. */
bool snapshot_save_progress(Machine *machine, uint64_t *done, uint64_t *total);
/* As that, in one go. */
bool snapshot_save(Machine *machine, const char *tag, bool replace, const SnapshotDisks *disks,
                   GError **error);
/* After a failure the machine is as it was; or, where that is gone, stopped after a reset: the error says so. */
bool snapshot_load(Machine *machine, const char *tag, const SnapshotDisks *disks, GError **error);
bool snapshot_delete(Machine *machine, const char *tag, const SnapshotDisks *disks, GError **error);

#endif
