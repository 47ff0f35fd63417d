/* SPDX-License-Identifier: MIT */
/*
 * QMP's transaction: actions that all happen at one instant of the guest, or none of them. They are done
 * one after the other while no guest request runs; when one fails, those before it are undone, last
 * first. Jobs begin when all is done, and end each on its own, or together (completion-mode "grouped").
 */
#include "block/jobs/operations.h"

#include "base/error.h"
#include "block/graph/bitmap.h"
#include "block/jobs/job.h"

#include <stdlib.h>
#include <string.h>

enum { WAIT_NS = 100 * 1000 };

/* How to undo an action that has been done. */
typedef struct Undo {
    void (*run)(struct Undo *undo);
    BlockGraph *graph;
    BlockNode *below, *overlay; /* of a snapshot; referenced */
    char *node, *name;          /* of a bitmap or internal snapshot; name: of a job */
    DirtyBitmap *saved;         /* what a bitmap held */
    bool enabled;
} Undo;

typedef struct {
    BlockGraph *graph;
    uint64_t vm_clock_ns;
    JobGroup *group; /* NULL: jobs end each on its own */
    GPtrArray *undo;
    GPtrArray *removals; /* data (GHashTable) of bitmaps that go when all else is done */
} Transaction;

static void undo_free(gpointer opaque)
{
    Undo *undo = opaque;

    if (undo->saved) {
        dirty_bitmap_free(undo->saved);
    }
    node_unref(undo->below);
    node_unref(undo->overlay);
    g_free(undo->node);
    g_free(undo->name);
    g_free(undo);
}

static void undo_snapshot(Undo *undo)
{
    operation_take_off(undo->overlay, undo->below, NULL);
}

static void undo_internal(Undo *undo)
{
    operation_snapshot_delete(undo->graph, undo->node, NULL, undo->name, NULL, NULL);
}

static void undo_job(Undo *undo)
{
    BlockJob *job = job_find(undo->graph, undo->name);

    if (job) {
        job_cancel(job);
    }
}

static void undo_bitmap_add(Undo *undo)
{
    g_autoptr(GHashTable) none = options_new();

    operation_bitmap(undo->graph, undo->node, "remove", undo->name, none, NULL);
}

static void undo_bitmap_change(Undo *undo)
{
    BlockNode *node = block_find_node(undo->graph, undo->node, NULL);
    DirtyBitmap *bitmap = node ? dirty_bitmap_find(node, undo->name) : NULL;

    if (bitmap) {
        dirty_bitmap_reset(bitmap, 0, bitmap->size);
        dirty_bitmap_merge(bitmap, undo->saved);
        bitmap->enabled = undo->enabled;
    }
}

static Undo *push_undo(Transaction *t, void (*run)(Undo *undo))
{
    Undo *undo = g_new0(Undo, 1);

    undo->run = run;
    undo->graph = t->graph;
    g_ptr_array_add(t->undo, undo);
    return undo;
}

static BlockNode *overlay_of(BlockNode *below)
{
    for (GList *link = below->parents.head; link; link = link->next) {
        BlockChild *child = link->data;

        if (child->parent && child->parent->backing == child) {
            return child->parent;
        }
    }
    return NULL;
}

static bool do_snapshot(Transaction *t, GHashTable *data, bool of_nodes, GError **error)
{
    const char *name = options_get(data, of_nodes ? "node" : "node-name");
    BlockNode *below, *overlay;
    Undo *undo;

    name = name ? name : options_get(data, "device");
    below = block_find_node(t->graph, name ? name : "", error);
    if (!below) {
        return false;
    }
    node_ref(below);
    if (!(of_nodes ? operation_snapshot_node : operation_snapshot)(t->graph, data, error)) {
        node_unref(below);
        return false;
    }
    overlay = overlay_of(below);
    if (!overlay) { /* nobody used the node, and so nobody the overlay: it is gone again */
        node_unref(below);
        return true;
    }
    node_ref(overlay);
    undo = push_undo(t, undo_snapshot);
    undo->below = below;
    undo->overlay = overlay;
    return true;
}

static bool do_internal(Transaction *t, GHashTable *data, GError **error)
{
    const char *device = options_get(data, "device"), *name = options_get(data, "name");
    Undo *undo;

    if (!device || !name) {
        return error_fail(error, KASO_ERROR_INVALID, "Parameters 'device' and 'name' are needed");
    }
    if (!operation_snapshot_create(t->graph, device, name, t->vm_clock_ns, error)) {
        return false;
    }
    undo = push_undo(t, undo_internal);
    undo->node = g_strdup(device);
    undo->name = g_strdup(name);
    return true;
}

static bool do_job(Transaction *t, const char *command, GHashTable *data, GError **error)
{
    const char *id = options_get(data, "job-id");

    id = id ? id : options_get(data, "device");
    if (!operation_job(t->graph, command, data, t->group, error)) {
        return false;
    }
    push_undo(t, undo_job)->name = g_strdup(id);
    return true;
}

/* A bitmap of that node beside the user's that is a copy of it. */
static DirtyBitmap *save_bitmap(Transaction *t, BlockNode *node, DirtyBitmap *bitmap,
                                GError **error)
{
    g_autofree char *name = g_strdup_printf("#transaction-%u", t->undo->len);
    DirtyBitmap *saved = dirty_bitmap_new(node, name, bitmap->granularity, error);

    if (saved) {
        saved->enabled = false;
        dirty_bitmap_merge(saved, bitmap);
    }
    return saved;
}

static bool do_merge(Transaction *t, const char *node, const char *target, GHashTable *data,
                     GError **error)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *plain = g_strdup_printf("bitmaps.%u", i);
        g_autofree char *other_node = g_strdup_printf("bitmaps.%u.node", i);
        g_autofree char *other_name = g_strdup_printf("bitmaps.%u.name", i);
        const char *source = options_get(data, plain);
        g_autoptr(GHashTable) arguments = options_new();

        if (!source && !options_get(data, other_name)) {
            return true;
        }
        options_set(arguments, "source", source ? source : options_get(data, other_name));
        if (!source && options_get(data, other_node)) {
            options_set(arguments, "source-node", options_get(data, other_node));
        }
        if (!operation_bitmap(t->graph, node, "merge", target, arguments, error)) {
            return false;
        }
    }
}

static bool do_bitmap(Transaction *t, const char *action, GHashTable *data, GError **error)
{
    bool merge = !strcmp(action, "merge"), add = !strcmp(action, "add");
    const char *node_name = options_get(data, "node");
    const char *name = options_get(data, merge ? "target" : "name");
    BlockNode *node = block_find_node(t->graph, node_name ? node_name : "", error);
    DirtyBitmap *bitmap = node && name ? dirty_bitmap_find(node, name) : NULL;
    Undo *undo;

    if (!node || !name) {
        return node && error_fail(error, KASO_ERROR_INVALID, "The name of the bitmap is missing");
    }
    if (!add && !bitmap) {
        return error_fail(error, KASO_ERROR_GENERIC, "Dirty bitmap '%s' not found", name);
    }
    if (!strcmp(action, "remove")) {
        g_ptr_array_add(t->removals, g_hash_table_ref(data));
        return true;
    }
    if (add) {
        if (!operation_bitmap(t->graph, node_name, action, name, data, error)) {
            return false;
        }
        undo = push_undo(t, undo_bitmap_add);
    } else {
        DirtyBitmap *saved = save_bitmap(t, node, bitmap, error);

        if (!saved) {
            return false;
        }
        undo = push_undo(t, undo_bitmap_change);
        undo->saved = saved;
        undo->enabled = bitmap->enabled;
    }
    undo->node = g_strdup(node_name);
    undo->name = g_strdup(name);
    return add     ? true
           : merge ? do_merge(t, node_name, name, data, error)
                   : operation_bitmap(t->graph, node_name, action, name, data, error);
}

static bool do_action(Transaction *t, const char *type, GHashTable *data, GError **error)
{
    static const char bitmap[] = "block-dirty-bitmap-";
    bool backup = !strcmp(type, "drive-backup") || !strcmp(type, "blockdev-backup");

    if (t->group && !backup) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Action '%s' does not support transaction property completion-mode = "
                          "grouped",
                          type);
    }
    if (g_str_has_prefix(type, bitmap)) {
        static const char *const known[] = { "add",     "remove", "clear", "enable",
                                             "disable", "merge",  NULL };

        if (g_strv_contains(known, type + strlen(bitmap))) {
            return do_bitmap(t, type + strlen(bitmap), data, error);
        }
    } else if (!strcmp(type, "blockdev-snapshot-sync") || !strcmp(type, "blockdev-snapshot")) {
        return do_snapshot(t, data, !strcmp(type, "blockdev-snapshot"), error);
    } else if (!strcmp(type, "blockdev-snapshot-internal-sync")) {
        return do_internal(t, data, error);
    } else if (backup) {
        return do_job(t, type, data, error);
    } else if (!strcmp(type, "abort")) {
        return error_fail(error, KASO_ERROR_GENERIC, "Transaction aborted using Abort action");
    }
    return error_fail(error, KASO_ERROR_INVALID, "Parameter 'type' does not accept value '%s'",
                      type);
}

static bool run_action(Transaction *t, json_t *action, GError **error)
{
    const char *type = json_string_value(json_object_get(action, "type"));
    json_t *data = json_object_get(action, "data");
    g_autoptr(GHashTable) arguments = NULL;
    char *text;

    if (!type || !json_is_object(data)) {
        return error_fail(error, KASO_ERROR_INVALID, "An action needs 'type' and 'data'");
    }
    text = json_dumps(data, JSON_COMPACT);
    arguments = block_options_from_json(text, error);
    free(text);
    return arguments && do_action(t, type, arguments, error);
}

typedef struct {
    BlockGraph *graph;
    const char *actions;
    uint64_t vm_clock_ns;
    bool grouped, done;
    GError **error;
} TransactionCall;

/* They begin; or, when they were cancelled, their names are free for who tries again at once. */
static void settle_jobs(Transaction *t, bool done)
{
    for (guint i = 0; i < t->undo->len; i++) {
        const Undo *undo = t->undo->pdata[i];
        BlockJob *job = undo->run == undo_job ? job_find(t->graph, undo->name) : NULL;

        if (job && done) {
            job_let_go(job);
        }
        while (!done && undo->run == undo_job && job_find(t->graph, undo->name)) {
            coroutine_sleep_ns(WAIT_NS);
        }
    }
    if (t->group) {
        job_group_close(t->group);
    }
}

static void transaction_entry(void *opaque)
{
    TransactionCall *call = opaque;
    Transaction t = { call->graph, call->vm_clock_ns, call->grouped ? job_group_new() : NULL,
                      g_ptr_array_new_with_free_func(undo_free),
                      g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref) };
    json_t *actions = json_loads(call->actions, 0, NULL);

    call->done = json_is_array(actions) ||
                 error_fail(call->error, KASO_ERROR_INVALID, "'actions' must be a list");
    block_graph_quiesce(call->graph);
    for (size_t i = 0; call->done && i < json_array_size(actions); i++) {
        call->done = run_action(&t, json_array_get(actions, i), call->error);
    }
    for (guint i = t.undo->len; !call->done && i > 0; i--) {
        Undo *undo = t.undo->pdata[i - 1];

        undo->run(undo);
    }
    for (guint i = 0; call->done && i < t.removals->len; i++) {
        GHashTable *data = t.removals->pdata[i];

        call->done = operation_bitmap(call->graph, options_get(data, "node"), "remove",
                                      options_get(data, "name"), data, call->error);
    }
    block_graph_resume(call->graph);
    settle_jobs(&t, call->done);
    g_ptr_array_unref(t.undo);
    g_ptr_array_unref(t.removals);
    json_decref(actions);
}

bool block_transaction(BlockGraph *graph, const char *actions, bool grouped, uint64_t vm_clock_ns,
                       GError **error)
{
    TransactionCall call = { .graph = graph,
                             .actions = actions,
                             .grouped = grouped,
                             .vm_clock_ns = vm_clock_ns,
                             .error = error };

    async_run_sync(block_graph_context(graph), transaction_entry, &call);
    return call.done;
}
