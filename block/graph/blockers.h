/* SPDX-License-Identifier: MIT */
/*
 * Operation blockers: what must not be done to a node while something else relies on it. Permissions
 * (node.h) say who reads and writes; these say which changes of the graph, the size and the header fit
 * together. One table in blockers.c has all pairs.
 */
#ifndef BLOCK_GRAPH_BLOCKERS_H
#define BLOCK_GRAPH_BLOCKERS_H

#include "block/graph/node.h"

/* What is asked of a node. */
typedef enum {
    OPERATION_RESIZE,
    OPERATION_STREAM, /* data comes into it, or it leaves the chain */
    OPERATION_COMMIT, /* from it, into it, or it leaves the chain */
    OPERATION_MIRROR_FROM,
    OPERATION_MIRROR_TO,
    OPERATION_BACKUP_FROM,
    OPERATION_BACKUP_TO,
    OPERATION_REPLACE,           /* another node takes its place */
    OPERATION_SNAPSHOT,          /* an overlay is put on it */
    OPERATION_INTERNAL_SNAPSHOT, /* made, applied or deleted */
    OPERATION_CHANGE_BACKING,    /* the name in its header */
    OPERATION_CHANGE_CHILD,      /* blockdev-reopen with other nodes below */
    OPERATION_ATTACH_BACKING,    /* it had none until now */
    OPERATION_DELETE,
    OPERATION_FORMAT, /* blockdev-create writes a new image into it */
    OPERATION_COUNT
} NodeOperation;

/* What relies on a node. */
typedef enum {
    HOLD_STREAM,         /* top, and what is copied from */
    HOLD_COMMIT,         /* all layers from top to base */
    HOLD_COMMIT_OVERLAY, /* the layer above an inner commit */
    HOLD_MIRROR_FROM,
    HOLD_MIRROR_TO,
    HOLD_BACKUP_FROM,
    HOLD_BACKUP_TO,
    HOLD_REPLACED, /* a mirror's target takes its place in the end */
    HOLD_FORMAT,
    HOLD_BACKING, /* an overlay reads through it; never placed, the graph says it */
    HOLD_COUNT
} NodeHold;

/* owner: a pointer that releases it again; who: for messages, lives as long as the hold. */
void node_hold(BlockNode *node, NodeHold hold, const void *owner, const char *who);
/* All holds of that owner, in all nodes. */
void block_graph_release_holds(BlockGraph *graph, const void *owner);
/* Whether nothing that relies on node, or on what it filters, is in the way. */
bool node_may(BlockNode *node, NodeOperation operation, GError **error);
/* The same without looking at what it filters. */
bool node_alone_may(BlockNode *node, NodeOperation operation, GError **error);
bool node_is_held(const BlockNode *node, NodeHold hold);
/* A node is about to be freed. */
void node_forget_holds(BlockNode *node);

#endif
