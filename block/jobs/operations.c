/* SPDX-License-Identifier: MIT */
/* What monitors do to the images of a running machine: snapshots, sizes, bitmaps. */
#include "block/jobs/operations.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "block/backend.h"
#include "block/graph/bitmap.h"
#include "block/graph/blockers.h"
#include "block/graph/open.h"

typedef struct {
    BlockGraph *graph;
    const char *name, *action, *extra;
    uint64_t value;
    GHashTable *arguments;
    bool done;
    GError **error;
} GraphCall;

/* From now on the users of `below` write to overlay, which has no backing node yet. */
static bool put_on_top(BlockNode *below, BlockNode *overlay, GError **error)
{
    BlockGraph *graph = below->graph;
    bool done;
    int result;

    node_ref(below);
    block_graph_quiesce(graph);
    result = node_flush(below);
    done = result == 0 || error_fail_errno(error, -result, "Could not flush '%s'", below->filename);
    done = done && node_set_backing(overlay, below, error);
    if (done && !node_replace(below, overlay, NULL, error)) {
        node_set_backing(overlay, NULL, NULL);
        done = false;
    }
    if (done) {
        node_set_read_only(below, true, NULL);
    }
    block_graph_resume(graph);
    node_unref(below);
    return done;
}

bool operation_take_off(BlockNode *overlay, BlockNode *below, GError **error)
{
    return node_set_read_only(below, false, error) && node_replace(overlay, below, NULL, error) &&
           node_set_backing(overlay, NULL, error);
}

static bool create_overlay(BlockNode *old, const BlockDriver *driver, const char *file,
                           GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, node_size(old));
    g_autofree char *name = node_name_for_header(old, file);
    g_autoptr(GHashTable) options = options_new();

    options_set(options, "size", size);
    options_set(options, "backing_file", name);
    options_set(options, "backing_fmt", node_format(old));
    return block_create_image(old->graph, driver, file, options, error);
}

bool operation_snapshot(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    g_autofree char *device = options_take(arguments, "device");
    g_autofree char *node_name = options_take(arguments, "node-name");
    g_autofree char *file = options_take(arguments, "snapshot-file");
    g_autofree char *format = options_take(arguments, "format");
    static const char *const modes[] = { "absolute-paths", "existing", NULL };
    g_autofree char *new_name = options_take(arguments, "snapshot-node-name");
    const char *driver_name = format ? format : "qcow2";
    const BlockDriver *driver = block_driver_find(driver_name);
    BlockNode *old, *overlay;
    GHashTable *options;
    int mode = 0;
    bool done;

    if (!(device || node_name) || !file) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameters 'device' (or 'node-name') and 'snapshot-file' are needed");
    }
    old = block_find_node(graph, node_name ? node_name : device, error);
    if (!old || !node_may(old, OPERATION_SNAPSHOT, error)) {
        return false;
    }
    if (!driver || !driver->has_backing) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Format '%s' is unknown or has no backing files", driver_name);
    }
    /* All that can be wrong is before a file is made, in the place of what it may have held. */
    if (new_name && node_find(graph, new_name)) {
        return error_fail(error, KASO_ERROR_INVALID, "New overlay node-name already in use");
    }
    if (!open_check_node_name(graph, new_name, error) ||
        !options_take_enum(arguments, "mode", modes, &mode, error) ||
        (mode == 0 && !create_overlay(old, driver, file, error))) {
        return false;
    }
    options = options_new();
    options_set(options, "driver", driver_name);
    if (new_name) {
        options_set(options, "node-name", new_name);
    }
    overlay = node_open(graph, file, options,
                        (BlockOpenFlags){ .no_backing = true, .unmap = old->flags.unmap }, error);
    if (!overlay) {
        return false;
    }
    done = put_on_top(old, overlay, error);
    node_unref(overlay);
    return done;
}

static void snapshot_external_entry(void *opaque)
{
    GraphCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);

    call->done = operation_snapshot(call->graph, arguments, call->error);
}

bool operation_snapshot_node(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    const char *node_name = options_get(arguments, "node");
    const char *overlay_name = options_get(arguments, "overlay");
    BlockNode *node = block_find_node(graph, node_name ? node_name : "", error);
    BlockNode *overlay =
        node ? block_find_node(graph, overlay_name ? overlay_name : "", error) : NULL;
    bool in_use;

    if (!overlay || !node_may(node, OPERATION_SNAPSHOT, error) ||
        !node_may(overlay, OPERATION_ATTACH_BACKING, error)) {
        return false;
    }
    in_use = overlay->parents.head && !node_is_held(overlay, HOLD_MIRROR_TO);
    if (overlay->backing || in_use || !overlay->driver->has_backing) {
        return error_fail(error, KASO_ERROR_INVALID,
                          overlay->backing ? "The overlay '%s' already has a backing image: open "
                                             "it with backing=null"
                          : in_use         ? "The overlay '%s' is already in use"
                                           : "The overlay '%s' cannot have a backing image",
                          overlay_name);
    }
    if (node_size(overlay) < node_size(node)) {
        return error_fail(error, KASO_ERROR_INVALID, "The overlay '%s' is smaller than '%s'",
                          overlay_name, node_name);
    }
    return put_on_top(node, overlay, error);
}

static void snapshot_node_entry(void *opaque)
{
    GraphCall *call = opaque;

    call->done = operation_snapshot_node(call->graph, call->arguments, call->error);
}

bool block_snapshot_node(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), snapshot_node_entry, &call);
    return call.done;
}

static void change_backing_entry(void *opaque)
{
    GraphCall *call = opaque;
    const char *image = options_get(call->arguments, "image-node-name");
    const char *file = options_get(call->arguments, "backing-file");
    BlockNode *node = block_find_node(call->graph, image ? image : "", call->error);
    bool was_read_only;

    if (!node || !file || !node_may(node, OPERATION_CHANGE_BACKING, call->error)) {
        return;
    }
    if (!node->driver->set_backing || !node->backing_filename) {
        error_fail(call->error, KASO_ERROR_INVALID, "'%s' has no backing file", image);
        return;
    }
    was_read_only = node->read_only;
    block_graph_quiesce(call->graph);
    call->done = (!was_read_only || node_set_read_only(node, false, call->error)) &&
                 node->driver->set_backing(node, file, node->backing_format, call->error);
    if (was_read_only) {
        node_set_read_only(node, true, NULL);
    }
    block_graph_resume(call->graph);
}

bool block_change_backing_file(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), change_backing_entry, &call);
    return call.done;
}

bool block_snapshot_external(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), snapshot_external_entry, &call);
    return call.done;
}

static void resize_entry(void *opaque)
{
    GraphCall *call = opaque;
    BlockNode *node = block_find_node(call->graph, call->name, call->error);
    BlockChild *user;

    if (!node) {
        return;
    }
    if (!node_may(node, OPERATION_RESIZE, NULL)) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Device '%s' is in use", call->name);
        return;
    }
    block_graph_quiesce(call->graph);
    user = node_attach_user(node, "an unnamed block device", BLOCK_PERM_RESIZE, BLOCK_PERM_ALL,
                            call->error);
    if (user) {
        call->done = node_truncate(node, align_up(call->value, 512), PREALLOC_OFF, call->error);
        child_detach(user);
    }
    block_graph_resume(call->graph);
}

bool block_resize(BlockGraph *graph, const char *name, uint64_t size, GError **error)
{
    GraphCall call = { .graph = graph, .name = name, .value = size, .error = error };

    async_run_sync(block_graph_context(graph), resize_entry, &call);
    backend_tell_sizes(graph);
    return call.done;
}

bool operation_bitmap(BlockGraph *graph, const char *name, const char *action, const char *bitmap,
                      GHashTable *given, GError **error)
{
    g_autoptr(GHashTable) arguments = options_copy(given);
    BlockNode *node = block_find_node(graph, name, error);
    bool persistent = false;

    if (!node || !options_take_bool(arguments, "persistent", &persistent, error)) {
        return false;
    }
    if (node->driver->bitmap_action && (persistent || strcmp(action, "add"))) {
        return node->driver->bitmap_action(node, action, bitmap, arguments, error);
    }
    if (persistent) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Format '%s' cannot store persistent bitmaps", node->driver->name);
    }
    return dirty_bitmap_action(node, action, bitmap, arguments, false, error);
}

static void bitmap_entry(void *opaque)
{
    GraphCall *call = opaque;

    call->done = operation_bitmap(call->graph, call->name, call->action, call->extra,
                                  call->arguments, call->error);
}

bool block_bitmap(BlockGraph *graph, const char *name, const char *action, const char *bitmap,
                  GHashTable *arguments, GError **error)
{
    GraphCall call = { .graph = graph,
                       .name = name,
                       .action = action,
                       .extra = bitmap,
                       .arguments = arguments,
                       .error = error };

    async_run_sync(block_graph_context(graph), bitmap_entry, &call);
    return call.done;
}
