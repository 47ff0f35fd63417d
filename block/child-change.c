/* SPDX-License-Identifier: MIT */
/* x-blockdev-change: a child more, or less, of a node whose driver has any number of them. */
#include "block/block.h"

#include "base/error.h"
#include "block/graph/node.h"

#include <string.h>

typedef struct {
    BlockGraph *graph;
    GHashTable *arguments;
    bool done;
    GError **error;
} ChangeCall;

static bool add_child(BlockNode *parent, const char *name, GError **error)
{
    BlockNode *node = node_find(parent->graph, name);

    if (!node) {
        return error_fail(error, KASO_ERROR_GENERIC, "Node '%s' not found", name);
    }
    if (!parent->driver->add_child) {
        return error_fail(error, KASO_ERROR_GENERIC, "The node %s does not support adding a child",
                          parent->node_name);
    }
    if (node->parents.length) {
        return error_fail(error, KASO_ERROR_GENERIC, "The node %s already has a parent", name);
    }
    return parent->driver->add_child(parent, node, error);
}

static bool remove_child(BlockNode *parent, const char *name, GError **error)
{
    for (GList *link = parent->children.head; link; link = link->next) {
        BlockChild *child = link->data;

        if (strcmp(child->name, name) != 0) {
            continue;
        }
        if (!parent->driver->remove_child) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "The node %s does not support removing a child", parent->node_name);
        }
        return parent->driver->remove_child(parent, child, error);
    }
    return error_fail(error, KASO_ERROR_GENERIC, "Node '%s' does not have child '%s'",
                      parent->node_name, name);
}

static void change_entry(void *opaque)
{
    ChangeCall *call = opaque;
    const char *child = options_get(call->arguments, "child");
    const char *node = options_get(call->arguments, "node");
    BlockNode *parent =
        block_find_node(call->graph, options_get(call->arguments, "parent"), call->error);

    if (!parent) {
        return;
    }
    if (!child == !node) {
        error_fail(call->error, KASO_ERROR_INVALID,
                   child ? "Parameters child and node are in conflict"
                         : "Either child or node must be specified");
        return;
    }
    block_graph_quiesce(call->graph);
    call->done =
        child ? remove_child(parent, child, call->error) : add_child(parent, node, call->error);
    block_graph_resume(call->graph);
}

bool block_change_child(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    ChangeCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), change_entry, &call);
    return call.done;
}
