/* SPDX-License-Identifier: MIT */
/* What open.c needs of graph.c and nobody else should use. */
#ifndef BLOCK_OPEN_H
#define BLOCK_OPEN_H

#include "block/node.h"

BlockNode *node_new(BlockGraph *graph, const BlockDriver *driver, const char *node_name);
/* Frees a node whose driver is not open. */
void node_free(BlockNode *node);

#endif
