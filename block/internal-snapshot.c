/* SPDX-License-Identifier: MIT */
/* Snapshots inside an image, as monitors make and delete them, and commit as the shell of the monitor does it. */
#include "base/error.h"
#include "block/graph/blockers.h"
#include "block/jobs/operations.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    BlockGraph *graph;
    const char *device, *id, *name, *action;
    uint64_t vm_clock_ns;
    char *json;
    bool done;
    GError **error;
} SnapshotCall;

static BlockNode *find_node(BlockGraph *graph, const char *device, GError **error)
{
    BlockNode *node = block_find_node(graph, device, error);

    if (!node || !node_may(node, OPERATION_INTERNAL_SNAPSHOT, error)) {
        return NULL;
    }
    if (!node->driver->snapshot_create) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "Block format '%s' used by device '%s' does not support internal snapshots",
                   node->driver->name, device);
        return NULL;
    }
    return node;
}

BlockSnapshot *node_find_snapshot(BlockNode *node, const char *id, const char *name, GError **error)
{
    g_autoptr(GPtrArray) list =
        node->driver->snapshot_list ? node->driver->snapshot_list(node) : NULL;

    if (!list) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "Block driver does not support snapshots");
        return NULL;
    }
    for (guint i = 0; i < list->len; i++) {
        const BlockSnapshot *snapshot = list->pdata[i];

        if ((!id || !strcmp(snapshot->id, id)) && (!name || !strcmp(snapshot->name, name))) {
            return g_ptr_array_steal_index(list, i);
        }
    }
    error_fail(error, KASO_ERROR_NOT_FOUND, "snapshot not found");
    return NULL;
}

BlockSnapshot *node_find_snapshot_either(BlockNode *node, const char *id_or_name, GError **error)
{
    BlockSnapshot *found = node_find_snapshot(node, id_or_name, NULL, NULL);

    return found ? found : node_find_snapshot(node, NULL, id_or_name, error);
}

bool operation_snapshot_create(BlockGraph *graph, const char *device, const char *name,
                               uint64_t vm_clock_ns, GError **error)
{
    int64_t now_us = g_get_real_time();
    BlockSnapshot snapshot = { .name = (char *)name,
                               .date_s = now_us / G_USEC_PER_SEC,
                               .date_ns = (uint32_t)(now_us % G_USEC_PER_SEC) * 1000,
                               .vm_clock_ns = vm_clock_ns,
                               .icount = UINT64_MAX };
    BlockNode *node = find_node(graph, device, error);
    g_autoptr(BlockSnapshot) same = NULL;
    bool done;

    if (!node) {
        return false;
    }
    if (!*name) {
        return error_fail(error, KASO_ERROR_INVALID, "Name is empty");
    }
    if (node->read_only) {
        return error_fail(error, KASO_ERROR_INVALID, "Device '%s' is read only", device);
    }
    same = node_find_snapshot(node, NULL, name, NULL);
    if (same) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Snapshot with name '%s' already exists on device '%s'", name, device);
    }
    block_graph_quiesce(graph);
    done = node->driver->snapshot_create(node, &snapshot, error);
    block_graph_resume(graph);
    return done;
}

bool operation_snapshot_delete(BlockGraph *graph, const char *device, const char *id,
                               const char *name, char **json, GError **error)
{
    BlockNode *node = find_node(graph, device, error);
    g_autoptr(BlockSnapshot) snapshot = NULL;
    json_t *object;
    bool done;

    if (!node) {
        return false;
    }
    if (!id && !name) {
        return error_fail(error, KASO_ERROR_INVALID, "Name or id must be provided");
    }
    snapshot = node_find_snapshot(node, id, name, NULL);
    if (!snapshot) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Snapshot with id '%s' and name '%s' does not exist on device '%s'",
                          id ? id : "null", name ? name : "null", device);
    }
    block_graph_quiesce(graph);
    done = node->driver->snapshot_delete(node, snapshot->id, error);
    block_graph_resume(graph);
    if (done && json) {
        object = block_snapshot_to_json(snapshot);
        *json = json_dumps(object, JSON_COMPACT);
        json_decref(object);
    }
    return done;
}

static void create_entry(void *opaque)
{
    SnapshotCall *call = opaque;

    call->done = operation_snapshot_create(call->graph, call->device, call->name, call->vm_clock_ns,
                                           call->error);
}

bool block_snapshot_create(BlockGraph *graph, const char *device, const char *name,
                           uint64_t vm_clock_ns, GError **error)
{
    SnapshotCall call = {
        .graph = graph, .device = device, .name = name, .vm_clock_ns = vm_clock_ns, .error = error
    };

    async_run_sync(block_graph_context(graph), create_entry, &call);
    return call.done;
}

static void delete_entry(void *opaque)
{
    SnapshotCall *call = opaque;

    call->done = operation_snapshot_delete(call->graph, call->device, call->id, call->name,
                                           &call->json, call->error);
}

char *block_snapshot_delete(BlockGraph *graph, const char *device, const char *id, const char *name,
                            GError **error)
{
    SnapshotCall call = {
        .graph = graph, .device = device, .id = id, .name = name, .error = error
    };
    char *text;

    async_run_sync(block_graph_context(graph), delete_entry, &call);
    text = g_strdup(call.json);
    free(call.json);
    return text;
}

static void apply_entry(void *opaque)
{
    SnapshotCall *call = opaque;
    BlockNode *node = find_node(call->graph, call->device, call->error);
    g_autoptr(BlockSnapshot) snapshot =
        node ? node_find_snapshot_either(node, call->name, call->error) : NULL;

    if (snapshot) {
        block_graph_quiesce(call->graph);
        call->done = node->driver->snapshot_apply(node, snapshot->id, call->error);
        block_graph_resume(call->graph);
    }
}

bool block_snapshot_apply(BlockGraph *graph, const char *device, const char *id_or_name,
                          GError **error)
{
    SnapshotCall call = { .graph = graph, .device = device, .name = id_or_name, .error = error };

    async_run_sync(block_graph_context(graph), apply_entry, &call);
    return call.done;
}
