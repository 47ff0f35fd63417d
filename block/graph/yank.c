/* SPDX-License-Identifier: MIT */
/* Nodes that live by a connection, and the end of that where the other side does not answer. */
#include "block/block.h"
#include "block/graph/node.h"

typedef struct {
    BlockGraph *graph;
    const char *node_name;
    GPtrArray *names;
    bool found;
} YankCall;

static void names_entry(void *opaque)
{
    YankCall *call = opaque;

    for (GList *link = block_graph_nodes(call->graph); link; link = link->next) {
        const BlockNode *node = link->data;

        if (node->driver->yank) {
            g_ptr_array_add(call->names, g_strdup(node->node_name));
        }
    }
}

GPtrArray *block_yank_names(BlockGraph *graph)
{
    YankCall call = { .graph = graph, .names = g_ptr_array_new_with_free_func(g_free) };

    async_run_sync(block_graph_context(graph), names_entry, &call);
    return call.names;
}

static void yank_entry(void *opaque)
{
    YankCall *call = opaque;
    BlockNode *node = node_find(call->graph, call->node_name);

    if (node && node->driver->yank) {
        node->driver->yank(node);
        call->found = true;
    }
}

bool block_yank(BlockGraph *graph, const char *node_name)
{
    YankCall call = { .graph = graph, .node_name = node_name };

    async_run_sync(block_graph_context(graph), yank_entry, &call);
    return call.found;
}
