/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of all disks of a machine at one moment, one of which holds the machine's state. All is done in the main loop's
 * thread, with no request in flight.
 */
#ifndef BLOCK_VM_SNAPSHOT_H
#define BLOCK_VM_SNAPSHOT_H

#include "block/block.h"

#include <jansson.h>

/* The images that take part. */
typedef struct VmSnapshot VmSnapshot;

/*
 * devices: the node names of the images, NULL: of all that are writable and used by drives. vmstate: the one that holds the
 * machine's state, NULL: the first. The error says which image cannot have snapshots.
 */
VmSnapshot *vm_snapshot_new(BlockGraph *graph, const char *const *devices, const char *vmstate,
                            GError **error);
void vm_snapshot_free(VmSnapshot *set);

/* Whether any, or each, of the images has a snapshot of that name. */
bool vm_snapshot_any_has(VmSnapshot *set, const char *tag);
bool vm_snapshot_all_have(VmSnapshot *set, const char *tag, GError **error);
/* How many bytes of state a snapshot has: 0: none. */
uint64_t vm_snapshot_state_bytes(VmSnapshot *set, const char *tag);

/* The machine's state as it is being saved, or after apply. 0 or -errno. */
int vm_snapshot_state_write(VmSnapshot *set, uint64_t offset, const void *data, uint64_t size);
int vm_snapshot_state_read(VmSnapshot *set, uint64_t offset, void *data, uint64_t size);
/* That of a snapshot which is not applied. */
int vm_snapshot_state_peek(VmSnapshot *set, const char *tag, uint64_t offset, void *data,
                           uint64_t size);
/* It has been read, or is not to be saved after all: its room is free again. Snapshots keep theirs. */
void vm_snapshot_state_drop(VmSnapshot *set);

/* In all images, or in none. */
bool vm_snapshot_create(VmSnapshot *set, const char *tag, uint64_t state_bytes,
                        uint64_t vm_clock_ns, uint64_t icount, GError **error);
/* After a failure some images are as they were, and some are as in the snapshot. */
bool vm_snapshot_apply(VmSnapshot *set, const char *tag, GError **error);
/* Of all images that have one. */
bool vm_snapshot_delete(VmSnapshot *set, const char *tag, GError **error);
/*
 * Of all disks, those that cannot have snapshots among them. JSON: {"complete": [those that all images have, as SnapshotInfo of the image with the state],
 * "partial": [{"device": node, "snapshots": [SnapshotInfo]}]}. The caller calls free.
 */
char *vm_snapshot_list(BlockGraph *graph, GError **error);
/* A line of a table of SnapshotInfo, with another id if that is not NULL; snapshot NULL: the heading. The caller frees. */
char *vm_snapshot_row(const json_t *snapshot, const char *id);

/*
 * A job of type "snapshot-save" …, whose work `run` does, or begins, in the main loop without locks of the block layer; it says so in the end. The caller's
 * opaque is given to `free` then.
 */
typedef struct BlockJob VmSnapshotWork;
typedef void VmSnapshotJob(void *opaque, VmSnapshotWork *work);
void vm_snapshot_job_progress(VmSnapshotWork *work, uint64_t done, uint64_t total);
/* Takes the error; NULL: all went well. */
void vm_snapshot_job_done(VmSnapshotWork *work, GError *error);
bool vm_snapshot_job(BlockGraph *graph, const char *id, const char *type, VmSnapshotJob *run,
                     void *opaque, GDestroyNotify free, GError **error);

#endif
