/* SPDX-License-Identifier: MIT */
/* Snapshots of all disks with the state of the machine. */
#include "block/vm-snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "block/backend.h"
#include "block/graph/blockers.h"

struct VmSnapshot {
    BlockGraph *graph;
    GPtrArray *nodes; /* BlockNode *, referenced */
    BlockNode *state;
    bool listed;     /* not to be changed: disks that cannot have snapshots are passed over */
    bool incomplete; /* there are such disks */
};

typedef struct {
    VmSnapshot *set;
    const char *const *devices;
    const char *vmstate, *tag;
    void *data;
    uint64_t offset, size;
    uint64_t state_bytes, vm_clock_ns, icount;
    json_t *list;
    int result;
    bool done;
    GError **error;
} Call;

static void run(VmSnapshot *set, CoroutineFunction *function, Call *call)
{
    call->set = set;
    async_run_sync(block_graph_context(set->graph), function, call);
}

/* Elements. */

/* A copy for block_snapshot_free, or NULL. */
static BlockSnapshot *find_in(BlockNode *node, const char *tag)
{
    return node_find_snapshot(node, NULL, tag, NULL);
}

static bool has(BlockNode *node, const char *tag)
{
    g_autoptr(BlockSnapshot) found = find_in(node, tag);

    return found != NULL;
}

/* As a user knows it. */
static const char *name_of(const BlockNode *node)
{
    for (GList *link = block_graph_backends(node->graph); link; link = link->next) {
        BlockBackend *block = link->data;

        if (block->id[0] && block->root && node_skip_filters(block->root->node) == node) {
            return block->id;
        }
    }
    return node->node_name;
}

static bool take(VmSnapshot *set, BlockNode *node, GError **error)
{
    node = node_skip_filters(node);
    if (g_ptr_array_find(set->nodes, node, NULL)) {
        return true;
    }
    if (!node->driver->snapshot_create && set->listed) {
        set->incomplete = true;
        return true;
    }
    if (!node->driver->snapshot_create) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Device '%s' is writable but does not support snapshots (format '%s'; "
                          "qcow2 does)",
                          name_of(node), node->driver->name);
    }
    if (!set->listed && !node_may(node, OPERATION_INTERNAL_SNAPSHOT, error)) {
        return false;
    }
    node_ref(node);
    g_ptr_array_add(set->nodes, node);
    return true;
}

static bool take_named(VmSnapshot *set, const char *const *devices, GError **error)
{
    for (; *devices; devices++) {
        BlockNode *node = block_find_node(set->graph, *devices, error);

        if (!node) {
            return false;
        }
        if (node->read_only) {
            return error_fail(error, KASO_ERROR_INVALID, "Device '%s' is read only", *devices);
        }
        if (!take(set, node, error)) {
            return false;
        }
    }
    return set->nodes->len || error_fail(error, KASO_ERROR_INVALID, "'devices' is empty");
}

/* Those of the drives, and those that nobody uses yet. */
static bool take_all(VmSnapshot *set, GError **error)
{
    for (GList *link = block_graph_backends(set->graph); link; link = link->next) {
        BlockBackend *block = link->data;

        if (block->root && !block->root->node->read_only && !take(set, block->root->node, error)) {
            return false;
        }
    }
    for (GList *link = block_graph_nodes(set->graph); link; link = link->next) {
        BlockNode *node = link->data;

        if (node->monitor_owned && !node->parents.head && !node->read_only &&
            !take(set, node, error)) {
            return false;
        }
    }
    return true;
}

static void new_entry(void *opaque)
{
    Call *call = opaque;
    VmSnapshot *set = call->set;

    if (!(call->devices ? take_named(set, call->devices, call->error)
                        : take_all(set, call->error))) {
        return;
    }
    if (call->vmstate) {
        BlockNode *node = block_find_node(set->graph, call->vmstate, call->error);

        if (!node) {
            return;
        }
        node = node_skip_filters(node);
        if (!g_ptr_array_find(set->nodes, node, NULL)) {
            error_fail(call->error, KASO_ERROR_INVALID,
                       "vmstate block device '%s' is not among the devices of the snapshot",
                       call->vmstate);
            return;
        }
        set->state = node;
    } else if (set->nodes->len) {
        set->state = set->nodes->pdata[0];
    }
    if (!set->state) {
        error_fail(call->error, KASO_ERROR_INVALID,
                   "No block device can accept snapshots: the machine has no writable disk of a "
                   "format that has them (qcow2)");
        return;
    }
    call->done = true;
}

static VmSnapshot *new_set(BlockGraph *graph, bool listed, Call *call)
{
    VmSnapshot *set = g_new0(VmSnapshot, 1);

    set->graph = graph;
    set->listed = listed;
    set->nodes = g_ptr_array_new();
    run(set, new_entry, call);
    if (!call->done) {
        vm_snapshot_free(set);
        return NULL;
    }
    return set;
}

VmSnapshot *vm_snapshot_new(BlockGraph *graph, const char *const *devices, const char *vmstate,
                            GError **error)
{
    Call call = { .devices = devices, .vmstate = vmstate, .error = error };

    return new_set(graph, false, &call);
}

static void free_entry(void *opaque)
{
    Call *call = opaque;

    for (guint i = 0; i < call->set->nodes->len; i++) {
        node_unref(call->set->nodes->pdata[i]);
    }
}

void vm_snapshot_free(VmSnapshot *set)
{
    Call call = { 0 };

    if (set) {
        run(set, free_entry, &call);
        g_ptr_array_unref(set->nodes);
        g_free(set);
    }
}

static void any_has_entry(void *opaque)
{
    Call *call = opaque;

    for (guint i = 0; i < call->set->nodes->len; i++) {
        call->done |= has(call->set->nodes->pdata[i], call->tag);
    }
}

bool vm_snapshot_any_has(VmSnapshot *set, const char *tag)
{
    Call call = { .tag = tag };

    run(set, any_has_entry, &call);
    return call.done;
}

static void all_have_entry(void *opaque)
{
    Call *call = opaque;

    for (guint i = 0; i < call->set->nodes->len; i++) {
        BlockNode *node = call->set->nodes->pdata[i];

        if (!has(node, call->tag)) {
            error_fail(call->error, KASO_ERROR_NOT_FOUND,
                       "Device '%s' does not have the requested snapshot '%s'", name_of(node),
                       call->tag);
            return;
        }
    }
    call->done = true;
}

bool vm_snapshot_all_have(VmSnapshot *set, const char *tag, GError **error)
{
    Call call = { .tag = tag, .error = error };

    run(set, all_have_entry, &call);
    return call.done;
}

static void state_bytes_entry(void *opaque)
{
    Call *call = opaque;
    g_autoptr(BlockSnapshot) found = find_in(call->set->state, call->tag);

    call->state_bytes = found ? found->vm_state_size : 0;
}

uint64_t vm_snapshot_state_bytes(VmSnapshot *set, const char *tag)
{
    Call call = { .tag = tag };

    run(set, state_bytes_entry, &call);
    return call.state_bytes;
}

/* The state. */

static void write_entry(void *opaque)
{
    Call *call = opaque;
    struct iovec iov = { call->data, call->size };
    BlockNode *node = call->set->state;

    block_graph_enter(node->graph);
    call->result = node->driver->vm_state_write(node, call->offset, call->size, io_vector_of(&iov));
    block_graph_leave(node->graph);
}

int vm_snapshot_state_write(VmSnapshot *set, uint64_t offset, const void *data, uint64_t size)
{
    Call call = { .offset = offset, .data = (void *)data, .size = size };

    run(set, write_entry, &call);
    return call.result;
}

static void read_entry(void *opaque)
{
    Call *call = opaque;
    struct iovec iov = { call->data, call->size };
    BlockNode *node = call->set->state;

    block_graph_enter(node->graph);
    call->result = node->driver->vm_state_read(node, call->offset, call->size, io_vector_of(&iov));
    block_graph_leave(node->graph);
}

int vm_snapshot_state_read(VmSnapshot *set, uint64_t offset, void *data, uint64_t size)
{
    Call call = { .offset = offset, .data = data, .size = size };

    run(set, read_entry, &call);
    return call.result;
}

static void peek_entry(void *opaque)
{
    Call *call = opaque;
    struct iovec iov = { call->data, call->size };
    BlockNode *node = call->set->state;
    g_autoptr(BlockSnapshot) found = find_in(node, call->tag);

    call->result = -ENOENT;
    if (found) {
        block_graph_quiesce(node->graph);
        call->result = node->driver->vm_state_peek(node, found->id, call->offset, call->size,
                                                   io_vector_of(&iov));
        block_graph_resume(node->graph);
    }
}

int vm_snapshot_state_peek(VmSnapshot *set, const char *tag, uint64_t offset, void *data,
                           uint64_t size)
{
    Call call = { .tag = tag, .offset = offset, .data = data, .size = size };

    run(set, peek_entry, &call);
    return call.result;
}

static void drop_entry(void *opaque)
{
    Call *call = opaque;
    BlockNode *node = call->set->state;

    block_graph_quiesce(node->graph);
    if (node->driver->vm_state_drop) {
        node->driver->vm_state_drop(node);
    }
    block_graph_resume(node->graph);
}

void vm_snapshot_state_drop(VmSnapshot *set)
{
    Call call = { 0 };

    run(set, drop_entry, &call);
}

/* Snapshots. */

static void delete_made(BlockNode *node, const char *tag)
{
    g_autoptr(BlockSnapshot) made = find_in(node, tag);

    if (made) {
        node->driver->snapshot_delete(node, made->id, NULL);
    }
}

static bool create_all(Call *call)
{
    VmSnapshot *set = call->set;
    int64_t now_us = g_get_real_time();
    BlockSnapshot snapshot = { .name = (char *)call->tag,
                               .date_s = now_us / G_USEC_PER_SEC,
                               .date_ns = (uint32_t)(now_us % G_USEC_PER_SEC) * 1000,
                               .vm_clock_ns = call->vm_clock_ns,
                               .icount = call->icount };

    for (guint i = 0; i < set->nodes->len; i++) {
        BlockNode *node = set->nodes->pdata[i];

        snapshot.vm_state_size = node == set->state ? call->state_bytes : 0;
        if (!node->driver->snapshot_create(node, &snapshot, call->error)) {
            g_prefix_error(call->error, "Error while creating snapshot on '%s': ", name_of(node));
            while (i-- > 0) {
                delete_made(set->nodes->pdata[i], call->tag);
            }
            return false;
        }
    }
    return true;
}

static void create_entry(void *opaque)
{
    Call *call = opaque;

    block_graph_quiesce(call->set->graph);
    call->done = create_all(call);
    block_graph_resume(call->set->graph);
}

bool vm_snapshot_create(VmSnapshot *set, const char *tag, uint64_t state_bytes,
                        uint64_t vm_clock_ns, uint64_t icount, GError **error)
{
    Call call = { .tag = tag,
                  .state_bytes = state_bytes,
                  .vm_clock_ns = vm_clock_ns,
                  .icount = icount,
                  .error = error };

    run(set, create_entry, &call);
    return call.done;
}

static bool for_each(Call *call, bool (*operation)(BlockNode *, const char *, GError **),
                     const char *what)
{
    for (guint i = 0; i < call->set->nodes->len; i++) {
        BlockNode *node = call->set->nodes->pdata[i];
        g_autoptr(BlockSnapshot) found = find_in(node, call->tag);

        if (found && !operation(node, found->id, call->error)) {
            g_prefix_error(call->error, "Error while %s snapshot on '%s': ", what, name_of(node));
            return false;
        }
    }
    return true;
}

static bool apply_one(BlockNode *node, const char *id, GError **error)
{
    return node->driver->snapshot_apply(node, id, error);
}

static bool delete_one(BlockNode *node, const char *id, GError **error)
{
    return node->driver->snapshot_delete(node, id, error);
}

static void apply_entry(void *opaque)
{
    Call *call = opaque;

    block_graph_quiesce(call->set->graph);
    call->done = for_each(call, apply_one, "activating");
    block_graph_resume(call->set->graph);
}

bool vm_snapshot_apply(VmSnapshot *set, const char *tag, GError **error)
{
    Call call = { .tag = tag, .error = error };

    run(set, apply_entry, &call);
    return call.done;
}

static void delete_entry(void *opaque)
{
    Call *call = opaque;

    block_graph_quiesce(call->set->graph);
    call->done = for_each(call, delete_one, "deleting");
    block_graph_resume(call->set->graph);
}

bool vm_snapshot_delete(VmSnapshot *set, const char *tag, GError **error)
{
    Call call = { .tag = tag, .error = error };

    run(set, delete_entry, &call);
    return call.done;
}

static bool all_have(VmSnapshot *set, const char *tag)
{
    if (set->incomplete) {
        return false;
    }
    for (guint i = 0; i < set->nodes->len; i++) {
        if (!has(set->nodes->pdata[i], tag)) {
            return false;
        }
    }
    return true;
}

static void list_entry(void *opaque)
{
    Call *call = opaque;
    VmSnapshot *set = call->set;
    json_t *complete = json_array(), *partial = json_array();

    for (guint i = 0; i < set->nodes->len; i++) {
        BlockNode *node = set->nodes->pdata[i];
        g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);
        json_t *own = json_array();

        for (guint j = 0; j < list->len; j++) {
            const BlockSnapshot *snapshot = list->pdata[j];

            if (!all_have(set, snapshot->name)) {
                json_array_append_new(own, block_snapshot_to_json(snapshot));
            } else if (node == set->state) {
                json_array_append_new(complete, block_snapshot_to_json(snapshot));
            }
        }
        if (json_array_size(own)) {
            json_array_append_new(
                partial, json_pack("{s:s, s:O}", "device", name_of(node), "snapshots", own));
        }
        json_decref(own);
    }
    call->list = json_pack("{s:o, s:o}", "complete", complete, "partial", partial);
}

char *vm_snapshot_list(BlockGraph *graph, GError **error)
{
    Call call = { .error = error };
    VmSnapshot *set = new_set(graph, true, &call);
    char *text = NULL;

    if (set) {
        run(set, list_entry, &call);
        text = json_dumps(call.list, JSON_COMPACT);
        json_decref(call.list);
        vm_snapshot_free(set);
    }
    return text;
}
