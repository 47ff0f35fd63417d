/* SPDX-License-Identifier: MIT */
/* qcow2: new metadata behind everything, which one write of the header makes the image's. */
#ifndef BLOCK_QCOW2_SWITCH_H
#define BLOCK_QCOW2_SWITCH_H

#include "block/qcow2/qcow2.h"

#include "base/bits.h"

/* Refcounts of all clusters in new blocks, and a new table of them. */
typedef struct {
    Qcow2 *q;
    unsigned order; /* log2 of the new counts' bits */
    uint64_t spare; /* clusters behind that shall have blocks, too */
    /* Where they are, in clusters: first the blocks, then the table. */
    uint64_t start, blocks, table_clusters;
    uint64_t *table;
    uint64_t entries;
} Qcow2NewCounts;
/* amend.c. Also makes them durable. The table is to be freed in any case. [lock] */
bool qcow2_write_new_counts(Qcow2NewCounts *counts, void (*progress)(void *, double), void *opaque,
                            GError **error);

typedef enum { QCOW2_SWITCH_CREATE, QCOW2_SWITCH_APPLY, QCOW2_SWITCH_DELETE } Qcow2Switch;
/*
 * Changes the snapshots of a version 2 image all at once, or not at all. created: for CREATE, which
 * gives it its tables; its strings, and those of a deleted one, stay the caller's. [lock, between
 * qcow2_recount_begin and _end]
 */
int qcow2_switch(Qcow2 *q, Qcow2Switch what, unsigned index, const Qcow2Snapshot *created);
/* snapshot.c: the table of snapshots as it lies on the disk. */
GByteArray *qcow2_format_snapshots(Qcow2 *q);

#endif
