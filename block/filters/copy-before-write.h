/* SPDX-License-Identifier: MIT */
/* What snapshot-access needs of copy-before-write. */
#ifndef BLOCK_FILTERS_COPY_BEFORE_WRITE_H
#define BLOCK_FILTERS_COPY_BEFORE_WRITE_H

#include "block/graph/node.h"

/* Whether the node is such a filter. */
bool copy_before_write_is(const BlockNode *node);
/* Reads what the image held when the filter was put there. */
int copy_before_write_read_old(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector);

#endif
