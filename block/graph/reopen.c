/* SPDX-License-Identifier: MIT */
/*
 * blockdev-reopen: nodes get the options that they would have had if they had been opened so: access, caching,
 * what is below them. All that are named in one command change together, or none.
 */
#include "base/error.h"
#include "block/graph/blockers.h"
#include "block/graph/open.h"

#include <stdlib.h>
#include <string.h>

/* How a node was. */
typedef struct {
    BlockNode *node; /* the four are referenced */
    BlockNode *file, *backing;
    BlockOpenFlags flags;
    DetectZeroes detect_zeroes;
    bool read_only, driver_options_changed;
    GHashTable *options;
} Before;

static void before_free(gpointer opaque)
{
    Before *before = opaque;

    node_unref(before->file);
    node_unref(before->backing);
    node_unref(before->node);
    g_free(before);
}

static Before *remember(BlockNode *node)
{
    Before *before = g_new0(Before, 1);

    before->node = node;
    before->file = node->file ? node->file->node : NULL;
    before->backing = node->backing ? node->backing->node : NULL;
    before->flags = node->flags;
    before->detect_zeroes = node->detect_zeroes;
    before->read_only = node->read_only;
    before->options = node->explicit_options;
    node_ref(node);
    if (before->file) {
        node_ref(before->file);
    }
    if (before->backing) {
        node_ref(before->backing);
    }
    return before;
}

/* The requests of jobs are not held by the quiesced graph, and may be inside a driver. */
static bool is_free_of_jobs(const BlockNode *node, GError **error)
{
    return !block_graph_jobs(node->graph) ||
           error_fail(error, KASO_ERROR_GENERIC,
                      "Cannot change the file or the driver's options of '%s' before all block "
                      "jobs have ended and are dismissed",
                      node->node_name);
}

static bool set_file(BlockNode *node, BlockNode *file, GError **error)
{
    if (!node->file || node->file->node == file) {
        return true;
    }
    return node->driver->is_filter
               ? child_replace(node->file, file, error)
               : is_free_of_jobs(node, error) && node_change_file(node, file, error);
}

static bool set_backing(BlockNode *node, BlockNode *backing, GError **error)
{
    return (node->backing ? node->backing->node : NULL) == backing ||
           node_set_backing(node, backing, error);
}

/* The driver looks at the flags again. */
static bool set_flags(BlockNode *node, BlockOpenFlags flags, GError **error)
{
    bool changed = node->flags.cache_direct != flags.cache_direct;

    node->flags = flags;
    return !changed || !node->driver->reopen || node->driver->reopen(node, node->read_only, error);
}

static bool may_change(const BlockNode *node, const char *key)
{
    const char *const *name = node->driver->reopen_names;

    while (
        name && *name &&
        (g_str_has_suffix(*name, ".") ? !g_str_has_prefix(key, *name) : strcmp(key, *name) != 0)) {
        name++;
    }
    return name && *name;
}

/* Those of the driver's options that may change; remove: out of `options`. */
static GHashTable *changeable_options(const BlockNode *node, GHashTable *options, bool remove)
{
    GHashTable *found = options_new();
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (may_change(node, key)) {
            options_set(found, key, value);
            if (remove) {
                g_hash_table_iter_remove(&iter);
            }
        }
    }
    return found;
}

static bool same_options(GHashTable *a, GHashTable *b)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, a);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (g_strcmp0(options_get(b, key), value)) {
            return false;
        }
    }
    return g_hash_table_size(a) == g_hash_table_size(b);
}

/* wanted is used up. */
static bool set_driver_options(Before *before, GHashTable *wanted, GError **error)
{
    BlockNode *node = before->node;
    g_autoptr(GHashTable) old = changeable_options(node, before->options, false);
    g_autofree char *what = g_strdup_printf("Block format '%s'", node->driver->name);

    if (same_options(old, wanted)) {
        return true;
    }
    before->driver_options_changed =
        is_free_of_jobs(node, error) && node->driver->reopen_options(node, wanted, error);
    return before->driver_options_changed && options_check_empty(wanted, what, NULL, error);
}

static void go_back(Before *before)
{
    BlockNode *node = before->node;

    if (before->driver_options_changed) {
        g_autoptr(GHashTable) wanted = changeable_options(node, before->options, false);

        node->driver->reopen_options(node, wanted, NULL);
    }
    if (node->explicit_options != before->options) {
        g_hash_table_unref(node->explicit_options);
        node->explicit_options = before->options;
    }
    set_file(node, before->file, NULL);
    set_backing(node, before->backing, NULL);
    node_set_read_only(node, before->read_only, NULL);
    set_flags(node, before->flags, NULL);
    node->detect_zeroes = before->detect_zeroes;
}

/* What the option says is below, which must be open already; *found NULL: nothing. */
static bool find_child(BlockNode *node, const char *name, BlockChild *child, GHashTable *options,
                       BlockNode **found, GError **error)
{
    g_autofree char *reference = options_take(options, name);

    *found = child ? child->node : NULL;
    if (!reference && options_has_nested(options, name)) {
        return true; /* compared with how it was opened, as all options that are left */
    }
    if (!reference) {
        return !child || error_fail(error, KASO_ERROR_INVALID, "%s is missing for '%s'", name,
                                    node->node_name);
    }
    *found = reference[0] ? node_find(node->graph, reference) : NULL;
    if (reference[0] && !*found) {
        return error_fail(error, KASO_ERROR_GENERIC, "Cannot find device='' nor node-name='%s'",
                          reference);
    }
    if (*found != (child ? child->node : NULL) &&
        !node_alone_may(node, child ? OPERATION_CHANGE_CHILD : OPERATION_ATTACH_BACKING, NULL)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Cannot change frozen '%s' link from '%s' to '%s'", name, node->node_name,
                          child ? child->node->node_name : "");
    }
    return true;
}

/* Options of every node, which may be left out: they have their defaults then. */
bool open_is_common_option(const char *key)
{
    static const char *const names[] = {
        "driver",       "node-name",      "read-only", "auto-read-only",
        "cache.direct", "cache.no-flush", "discard",   "detect-zeroes",
        "force-share",  "backing",        "file",      "active",
        NULL,
    };

    return g_strv_contains(names, key) || g_str_has_prefix(key, "backing.");
}

/* Everything else stays as it is. */
static bool check_unchanged(BlockNode *node, GHashTable *options, GError **error)
{
    GHashTable *old = node->explicit_options;
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (g_strcmp0(options_get(old, key), value)) {
            return error_fail(error, KASO_ERROR_INVALID, "Cannot change the option '%s'",
                              (char *)key);
        }
    }
    g_hash_table_iter_init(&iter, old);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!open_is_common_option(key) && !g_str_has_prefix(key, "file.") &&
            !may_change(node, key) && !options_get(options, key)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "Option '%s' cannot be reset to its default value", (char *)key);
        }
    }
    return true;
}

static bool change(Before *before, const BlockOpenFlags *flags, BlockNode *file, BlockNode *backing,
                   GHashTable *wanted, GError **error)
{
    BlockNode *node = before->node;

    if (flags->read_only && !node->read_only && node->perm & BLOCK_PERM_WRITE) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Read-only block node '%s' cannot support read-write users",
                          node->node_name);
    }
    if (file && node_size(file) < node_size(node) && node->driver->is_filter) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' is smaller than '%s'", file->node_name,
                          node->node_name);
    }
    return set_flags(node, *flags, error) && set_file(node, file, error) &&
           set_backing(node, backing, error) && set_driver_options(before, wanted, error) &&
           node_set_read_only(node, flags->read_only, error);
}

/* What was opened with a node, and was not given these, has them of the node. */
static bool spread_flags(BlockNode *node, GPtrArray *done, GError **error)
{
    for (GList *link = node->children.head; link; link = link->next) {
        const BlockChild *child = link->data;
        BlockNode *below = child->node;
        BlockOpenFlags flags = below->flags;

        if (child->role & BLOCK_ROLE_COW || below->monitor_owned || !below->explicit_options) {
            continue;
        }
        if (!options_get(below->explicit_options, "cache.direct")) {
            flags.cache_direct = node->flags.cache_direct;
        }
        if (!options_get(below->explicit_options, "cache.no-flush")) {
            flags.cache_no_flush = node->flags.cache_no_flush;
        }
        if (!options_get(below->explicit_options, "discard")) {
            flags.unmap = node->flags.unmap;
        }
        g_ptr_array_add(done, remember(below));
        if (!set_flags(below, flags, error) || !spread_flags(below, done, error)) {
            return false;
        }
    }
    return true;
}

static bool reopen_node(Before *before, GHashTable *options, GPtrArray *done, GError **error)
{
    BlockNode *node = before->node;
    g_autofree char *driver = options_take(options, "driver");
    g_autoptr(GHashTable) wanted = changeable_options(node, options, true);
    BlockOpenFlags flags = node->flags;
    BlockNode *file, *backing = NULL;

    if (g_strcmp0(driver, node->driver->name)) {
        return error_fail(error, KASO_ERROR_INVALID, "Cannot change the option 'driver'");
    }
    flags.read_only = flags.auto_read_only = flags.cache_direct = flags.cache_no_flush = false;
    flags.unmap = flags.force_share = false;
    if (node->driver->child_option) {
        open_rename_child_option(node->driver->child_option, options);
    }
    if (!open_take_flags(options, &flags, error) ||
        !find_child(node, "file", node->file, options, &file, error) ||
        (node->driver->has_backing &&
         !find_child(node, "backing", node->backing, options, &backing, error))) {
        return false;
    }
    node->detect_zeroes = DETECT_ZEROES_OFF;
    return open_take_detect_zeroes(node, flags.unmap, options, error) &&
           check_unchanged(node, options, error) &&
           change(before, &flags, file, backing, wanted, error) && spread_flags(node, done, error);
}

static bool reopen_one(BlockGraph *graph, json_t *value, GPtrArray *done, GError **error)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    g_autoptr(GHashTable) options = block_options_from_json(text, error);
    g_autoptr(GHashTable) whole = options ? options_copy(options) : NULL;
    g_autofree char *name = options ? options_take(options, "node-name") : NULL;
    BlockNode *node = name ? node_find(graph, name) : NULL;
    Before *before;

    free(text);
    if (!options) {
        return false;
    }
    if (!node) {
        return name ? error_fail(error, KASO_ERROR_GENERIC,
                                 "Failed to find node with node-name='%s'", name)
                    : error_fail(error, KASO_ERROR_INVALID, "node-name not specified");
    }
    if (node->driver->is_internal) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Block format '%s' used by node '%s' does not support reopening files",
                          node->driver->name, node->node_name);
    }
    before = remember(node);
    g_ptr_array_add(done, before);
    if (!reopen_node(before, options, done, error)) {
        return false;
    }
    node->explicit_options = g_steal_pointer(&whole);
    return true;
}

typedef struct {
    BlockGraph *graph;
    const char *list;
    bool done;
    GError **error;
} ReopenCall;

static void reopen_entry(void *opaque)
{
    ReopenCall *call = opaque;
    g_autoptr(GPtrArray) done = g_ptr_array_new_with_free_func(before_free);
    json_t *list = json_loads(call->list, 0, NULL);

    call->done = json_is_array(list) ||
                 error_fail(call->error, KASO_ERROR_INVALID, "'options' must be a list of objects");
    block_graph_quiesce(call->graph);
    for (size_t i = 0; call->done && i < json_array_size(list); i++) {
        call->done = reopen_one(call->graph, json_array_get(list, i), done, call->error);
    }
    for (guint i = done->len; i > 0; i--) {
        Before *before = done->pdata[i - 1];

        if (!call->done) {
            go_back(before);
        } else if (before->options && before->options != before->node->explicit_options) {
            g_hash_table_unref(before->options);
        }
    }
    block_graph_resume(call->graph);
    json_decref(list);
}

bool block_reopen(BlockGraph *graph, const char *list, GError **error)
{
    ReopenCall call = { .graph = graph, .list = list, .error = error };

    async_run_sync(block_graph_context(graph), reopen_entry, &call);
    return call.done;
}
