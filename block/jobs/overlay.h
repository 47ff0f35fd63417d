/* SPDX-License-Identifier: MIT */
/* The temporary layer of snapshot=on. */
#ifndef BLOCK_JOBS_OVERLAY_H
#define BLOCK_JOBS_OVERLAY_H

#include "block/graph/node.h"

/* A writable node above `below`, whose reference it takes over; changes vanish with the node. */
BlockNode *overlay_new(BlockNode *below, GError **error);

#endif
