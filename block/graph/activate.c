/* SPDX-License-Identifier: MIT */
/*
 * Images that go with a machine to another process: while they are inactive, the other one may have them. Nothing is locked or
 * written, and what is known of them is read anew when they become active.
 */
#include "block/block.h"

#include <string.h>

#include "base/error.h"
#include "block/graph/open.h"

/* A file of the host, which has locks. */
static bool is_file(const BlockNode *node)
{
    return node->driver->is_protocol && node->driver->set_perm;
}

/* A format above a file: it keeps what it has read of that. */
static bool is_format(const BlockNode *node)
{
    return !node->driver->is_protocol && !node->driver->is_filter && !node->driver->is_internal &&
           node->file;
}

/* A driver that only reads leaves the image as it is. */
bool activate_open_driver(BlockNode *node, GHashTable *options, GError **error)
{
    bool wanted = node->flags.inactive || block_graph_inactive(node->graph);
    bool inactive = node->inactive || (wanted && !node->read_only);
    bool opened;

    if (inactive && is_file(node)) {
        node->inactive = true;
    } else if (inactive && is_format(node)) {
        node->inactive = node->read_only = true;
        opened = !node->driver->open || node->driver->open(node, options, error);
        node->read_only = false;
        return opened;
    }
    return !node->driver->open || node->driver->open(node, options, error);
}

typedef struct {
    BlockGraph *graph;
    const char *node_name;
    bool active, stopped;
    bool done;
    GError **error;
} ActivateCall;

static bool activate_file(BlockNode *node, GError **error)
{
    int64_t length;

    node->inactive = node->flags.inactive = false;
    if (!node_refresh_perms(node, error)) {
        node->inactive = true;
        return false;
    }
    length = node->driver->length(node);
    node->size = length < 0 ? node->size : (uint64_t)length;
    return true;
}

/* Files first: formats look at them. */
static bool activate_below(BlockNode *node, GError **error)
{
    for (GList *link = node->children.head; link; link = link->next) {
        BlockNode *below = ((BlockChild *)link->data)->node;

        if (!activate_below(below, error)) {
            return false;
        }
    }
    if (node->inactive) {
        return is_file(node) ? activate_file(node, error) : node_restart(node, false, error);
    }
    if (node->driver->is_filter && node->file) {
        node->size = node_size(node->file->node);
    }
    return true;
}

bool node_activate(BlockNode *node, GError **error)
{
    bool done = true;

    if (node->inactive && block_graph_inactive(node->graph)) {
        block_graph_quiesce(node->graph);
        block_graph_set_inactive(node->graph, false); /* what is opened again is active */
        done = activate_below(node, error);
        block_graph_set_inactive(node->graph, true);
        block_graph_resume(node->graph);
    }
    return done;
}

/* Restarting a format may open and close nodes of its own, so the list is gone over anew. */
static BlockNode *next_of(BlockGraph *graph, bool inactive)
{
    for (GList *link = block_graph_nodes(graph); link; link = link->next) {
        BlockNode *node = link->data;

        if (node->inactive == inactive && (is_file(node) || is_format(node)) && !node->read_only) {
            return node;
        }
    }
    return NULL;
}

static void deactivate_all(BlockGraph *graph);

static void activate_entry(void *opaque)
{
    ActivateCall *call = opaque;
    BlockNode *node;

    call->done = true;
    if (!block_graph_inactive(call->graph) && !next_of(call->graph, true)) {
        return;
    }
    block_graph_quiesce(call->graph);
    block_graph_set_inactive(call->graph, false);
    while (call->done && (node = next_of(call->graph, true))) {
        call->done = activate_below(node, call->error);
    }
    if (call->done) {
        for (GList *link = block_graph_nodes(call->graph); link; link = link->next) {
            activate_below(link->data, NULL); /* the sizes of filters */
        }
        for (GList *link = block_graph_backends(call->graph); link; link = link->next) {
            block_claim_settle(link->data);
        }
    } else {
        block_graph_set_inactive(call->graph, true);
        deactivate_all(call->graph);
    }
    block_graph_resume(call->graph);
}

bool block_activate(BlockGraph *graph, GError **error)
{
    ActivateCall call = { .graph = graph, .error = error };

    async_run_sync(block_graph_context(graph), activate_entry, &call);
    return call.done;
}

/* Formats first: they write into files. */
static bool deactivate(BlockNode *node, GError **error)
{
    for (GList *link = node->parents.head; link; link = link->next) {
        BlockNode *above = ((BlockChild *)link->data)->parent;

        if (above && !above->inactive && !above->read_only && is_format(above) &&
            !deactivate(above, error)) {
            return false;
        }
    }
    if (is_format(node)) {
        return node_restart(node, true, error);
    }
    node->inactive = true;
    node_refresh_perms(node, NULL); /* giving up cannot conflict */
    return true;
}

static void deactivate_all(BlockGraph *graph)
{
    BlockNode *node;

    while ((node = next_of(graph, false)) && deactivate(node, NULL)) {
    }
}

static bool flush_all(BlockGraph *graph, GError **error)
{
    for (GList *link = block_graph_nodes(graph); link; link = link->next) {
        BlockNode *node = link->data;
        int result = node_flush(node);

        if (result < 0) {
            return error_fail_errno(error, -result, "Could not flush '%s'", node->node_name);
        }
    }
    return true;
}

static void inactivate_entry(void *opaque)
{
    ActivateCall *call = opaque;
    BlockNode *node;

    if (block_graph_jobs(call->graph)) {
        error_fail(call->error, KASO_ERROR_GENERIC,
                   "Disks with jobs cannot go elsewhere: end the block jobs first");
        return;
    }
    block_graph_quiesce(call->graph);
    call->done = flush_all(call->graph, call->error);
    while (call->done && (node = next_of(call->graph, false))) {
        call->done = deactivate(node, call->error);
    }
    block_graph_set_inactive(call->graph, true);
    block_graph_resume(call->graph);
}

bool block_inactivate(BlockGraph *graph, GError **error)
{
    ActivateCall call = { .graph = graph, .error = error };

    async_run_sync(block_graph_context(graph), inactivate_entry, &call);
    if (!call.done) {
        block_activate(graph, NULL);
    }
    return call.done;
}

/* Of a machine that stands, a device needs no disk: it has it again when the machine goes on. */
static bool is_device(BlockGraph *graph, const BlockChild *child)
{
    for (GList *link = block_graph_backends(graph); link; link = link->next) {
        if (block_is_devices(link->data, child)) {
            return true;
        }
    }
    return false;
}

/* What is above a node writes into it for as long as it is active itself. */
static bool check_above(const BlockNode *node, bool stopped, GError **error)
{
    for (GList *link = node->parents.head; link; link = link->next) {
        const BlockChild *child = link->data;

        if (child->parent && !child->parent->inactive) {
            return error_fail(error, KASO_ERROR_GENERIC, "Node '%s' has active parent node '%s'",
                              node->node_name, child->parent->node_name);
        }
        if (!child->parent && !(stopped && is_device(node->graph, child))) {
            return error_fail(error, KASO_ERROR_GENERIC, "Node '%s' is in use by %s%s",
                              node->node_name, child->owner ? child->owner : "a block device",
                              stopped ? "" : "; of a machine that is stopped it could be taken");
        }
    }
    return true;
}

static bool deactivate_one(BlockNode *node, bool stopped, GError **error)
{
    int result;

    if (!is_file(node) && !is_format(node)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Node '%s' (%s) has no locks and cannot be inactive: only files and "
                          "formats can",
                          node->node_name, node->driver->name);
    }
    if (node->inactive || node->read_only) {
        return true;
    }
    if (!check_above(node, stopped, error)) {
        return false;
    }
    result = node_flush(node);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not flush '%s'", node->node_name);
    }
    return deactivate(node, error);
}

static void set_active_entry(void *opaque)
{
    ActivateCall *call = opaque;
    BlockNode *node = node_find(call->graph, call->node_name);
    bool all = block_graph_inactive(call->graph);

    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND, "Failed to find node with node-name='%s'",
                   call->node_name);
        return;
    }
    block_graph_quiesce(call->graph);
    block_graph_set_inactive(call->graph, false); /* what is opened again is active */
    call->done = call->active ? activate_below(node, call->error)
                              : deactivate_one(node, call->stopped, call->error);
    block_graph_set_inactive(call->graph, all);
    block_graph_resume(call->graph);
}

bool block_set_active(BlockGraph *graph, const char *node_name, bool active, bool stopped,
                      GError **error)
{
    ActivateCall call = { graph, node_name, active, stopped, false, error };

    async_run_sync(block_graph_context(graph), set_active_entry, &call);
    return call.done;
}

static void flush_entry(void *opaque)
{
    ActivateCall *call = opaque;

    block_graph_quiesce(call->graph);
    call->done = flush_all(call->graph, call->error);
    block_graph_resume(call->graph);
}

bool block_flush_all(BlockGraph *graph, GError **error)
{
    ActivateCall call = { .graph = graph, .error = error };

    async_run_sync(block_graph_context(graph), flush_entry, &call);
    return call.done;
}

void block_begin_inactive(BlockGraph *graph)
{
    block_graph_set_inactive(graph, true);
}

bool block_is_active(BlockGraph *graph)
{
    return !block_graph_inactive(graph);
}
