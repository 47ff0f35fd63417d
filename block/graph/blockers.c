/* SPDX-License-Identifier: MIT */
/* Operation blockers: the table of what relies on a node, and what must not be done to it then. */
#include "block/graph/blockers.h"

#include "base/bits.h"
#include "base/error.h"

typedef struct {
    NodeHold kind;
    const void *owner;
    const char *who;
} Hold;

#define OP(name) (1u << OPERATION_##name)

enum {
    ANY_OPERATION = (1u << OPERATION_COUNT) - 1,
    /* Below an overlay: it may be read, be merged with the overlay, and be written by who may write. */
    BELOW_AN_OVERLAY = OP(RESIZE) | OP(MIRROR_FROM) | OP(MIRROR_TO) | OP(REPLACE) | OP(SNAPSHOT) |
                       OP(INTERNAL_SNAPSHOT) | OP(DELETE) | OP(FORMAT),
};

/* What is refused. Whoever copies from a node relies on its size, its content, and its place. */
static const uint32_t refused[HOLD_COUNT] = {
    [HOLD_STREAM] = ANY_OPERATION,
    [HOLD_COMMIT] = ANY_OPERATION,
    /* Its backing file changes in the end; what is above it, or in it, does not matter. */
    [HOLD_COMMIT_OVERLAY] = OP(STREAM) | OP(COMMIT) | OP(INTERNAL_SNAPSHOT) | OP(CHANGE_BACKING) |
                            OP(CHANGE_CHILD) | OP(ATTACH_BACKING) | OP(DELETE) | OP(FORMAT),
    [HOLD_MIRROR_FROM] = ANY_OPERATION,
    /* A copy of a disk's top layer may get what is below it before it takes the disk's place. */
    [HOLD_MIRROR_TO] = ANY_OPERATION & ~OP(ATTACH_BACKING),
    /* What is written to it is copied first, whoever writes; an overlay ends the writing. */
    [HOLD_BACKUP_FROM] = ANY_OPERATION & ~(OP(STREAM) | OP(BACKUP_FROM) | OP(SNAPSHOT)),
    [HOLD_BACKUP_TO] = ANY_OPERATION,
    [HOLD_REPLACED] = ANY_OPERATION,
    [HOLD_FORMAT] = ANY_OPERATION,
    [HOLD_BACKING] = BELOW_AN_OVERLAY,
};

void node_hold(BlockNode *node, NodeHold hold, const void *owner, const char *who)
{
    Hold *new_hold = g_new(Hold, 1);

    *new_hold = (Hold){ hold, owner, who };
    node->holds = g_slist_prepend(node->holds, new_hold);
}

static void release(BlockNode *node, const void *owner)
{
    GSList **link = &node->holds;

    while (*link) {
        if (((Hold *)(*link)->data)->owner == owner) {
            g_free((*link)->data);
            *link = g_slist_delete_link(*link, *link);
        } else {
            link = &(*link)->next;
        }
    }
}

void block_graph_release_holds(BlockGraph *graph, const void *owner)
{
    for (GList *link = block_graph_nodes(graph); link; link = link->next) {
        release(link->data, owner);
    }
}

void node_forget_holds(BlockNode *node)
{
    g_slist_free_full(g_steal_pointer(&node->holds), g_free);
}

bool node_alone_may(BlockNode *node, NodeOperation operation, GError **error)
{
    BlockNode *overlay = node_overlay(node);

    for (GSList *link = node->holds; link; link = link->next) {
        const Hold *hold = link->data;

        if (refused[hold->kind] >> operation & 1) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "Node '%s' is busy: block device is in use by block job: %s",
                              node->node_name, hold->who);
        }
    }
    if (overlay && refused[HOLD_BACKING] >> operation & 1) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Node '%s' is busy: node is used as backing hd of '%s'", node->node_name,
                          overlay->node_name);
    }
    return true;
}

bool node_is_held(const BlockNode *node, NodeHold hold)
{
    for (GSList *link = node->holds; link; link = link->next) {
        if (((const Hold *)link->data)->kind == hold) {
            return true;
        }
    }
    return false;
}

bool node_may(BlockNode *node, NodeOperation operation, GError **error)
{
    while (node_alone_may(node, operation, error)) {
        if (!node->driver->is_filter || !node->file) {
            return true;
        }
        node = node->file->node;
    }
    return false;
}
