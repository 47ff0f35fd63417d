/* SPDX-License-Identifier: MIT */
/* qcow2: reading and writing of the header cluster. */
#ifndef BLOCK_QCOW2_HEADER_H
#define BLOCK_QCOW2_HEADER_H

#include "block/qcow2/qcow2.h"

typedef struct {
    uint64_t backing_offset, snapshots_offset, reftable_offset, l1_offset, size;
    uint32_t backing_size, l1_size, reftable_clusters, snapshot_count;
} Qcow2Header;

/* Fills q and *header from the file, with everything checked that needs no other cluster. */
bool qcow2_read_header(Qcow2 *q, Qcow2Header *header, GError **error);
void qcow2_free_header(Qcow2 *q);

#endif
