/* SPDX-License-Identifier: MIT */
/*
 * Another file below an open format. Drivers keep what they have read of it, so they are closed and opened
 * again; whether that will work is seen in between, by a second node that only reads.
 */
#include "base/error.h"
#include "base/log.h"
#include "block/graph/bitmap.h"
#include "block/graph/open.h"

#include <errno.h>
#include <string.h>

/* What the user gave for the driver itself. */
static GHashTable *driver_options(const BlockNode *node)
{
    GHashTable *options = options_copy(node->explicit_options);
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (open_is_common_option(key) || g_str_has_prefix(key, "file.")) {
            g_hash_table_iter_remove(&iter);
        }
    }
    return options;
}

/* The node is stopped: all of its image is in the file. */
static bool check_fits(BlockNode *node, uint64_t old_size, BlockNode *file, GError **error)
{
    GHashTable *options = driver_options(node);
    BlockNode *trial;
    uint64_t size;

    options_set(options, "driver", node->driver->name);
    options_set(options, "file", file->node_name);
    trial =
        node_open(node->graph, NULL, options,
                  (BlockOpenFlags){
                      .read_only = true, .force_share = true, .no_backing = true, .check = true },
                  error);
    if (!trial) {
        return false;
    }
    size = node_size(trial);
    node_unref(trial);
    return size == old_size ||
           error_fail(error, KASO_ERROR_INVALID,
                      "Cannot put '%s' below '%s': its image has %" G_GUINT64_FORMAT
                      " bytes, not %" G_GUINT64_FORMAT,
                      file->node_name, node->node_name, size, old_size);
}

static bool check_bitmaps(const BlockNode *node, GError **error)
{
    for (GSList *link = node->dirty_bitmaps; link; link = link->next) {
        const DirtyBitmap *bitmap = link->data;

        if (bitmap->busy) {
            return error_fail(error, KASO_ERROR_GENERIC,
                              "Cannot change the file of '%s': its bitmap '%s' is in use",
                              node->node_name, bitmap->name);
        }
    }
    return true;
}

/* The bitmaps that are not the image's stay with the node. */
static GSList *take_own_bitmaps(BlockNode *node)
{
    GSList *own = NULL, *images = NULL;

    for (GSList *link = node->dirty_bitmaps; link; link = link->next) {
        DirtyBitmap *bitmap = link->data;
        GSList **list = bitmap->persistent ? &images : &own;

        *list = g_slist_append(*list, bitmap);
    }
    g_slist_free(node->dirty_bitmaps);
    node->dirty_bitmaps = images;
    return own;
}

/* The node as it was before its driver was opened. */
static void stop(BlockNode *node)
{
    GList *link = node->children.head;

    bool read_only = node->read_only;

    node->read_only |= node->inactive;
    if (node->driver->close) {
        node->driver->close(node);
    }
    node->read_only = read_only;
    while (link) {
        BlockChild *child = link->data;

        link = link->next;
        if (child != node->file && child != node->backing) {
            child_detach(child);
        }
    }
    memset(node->state, 0, node->driver->instance_size);
    g_clear_pointer(&node->backing_filename, g_free);
    g_clear_pointer(&node->backing_format, g_free);
    node->request_alignment = 1;
    node->max_transfer = 0;
    node->supports_fua = node->cut_off = node->end_checked = false;
}

static bool start(BlockNode *node, GError **error)
{
    g_autoptr(GHashTable) options = driver_options(node);
    int64_t length;

    if (!activate_open_driver(node, options, error)) {
        return false;
    }
    length =
        node->driver->length ? node->driver->length(node) : (int64_t)node_size(node->file->node);
    if (length < 0) {
        stop(node);
        return error_fail_errno(error, -(int)length, "Could not find the size of '%s'",
                                node->filename);
    }
    node->size = (uint64_t)length;
    return true;
}

static int lost_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    return -EIO;
}

static int lost_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    return -EIO;
}

/* What is left where neither the new file nor, any more, the old one can be opened. */
static const BlockDriver lost_driver = {
    .name = "lost",
    .summary = "Image that could not be opened again",
    .is_internal = true,
    .read = lost_read,
    .write = lost_write,
};

static void go_back(BlockNode *node, BlockNode *file)
{
    GError *error = NULL;

    if ((node->file->node == file || child_replace(node->file, file, &error)) &&
        start(node, &error)) {
        return;
    }
    log_printf("'%s' could not be opened again: %s\n", node->filename, error->message);
    g_clear_error(&error);
    node->driver = &lost_driver;
}

bool node_restart(BlockNode *node, bool inactive, GError **error)
{
    bool was = node->inactive;
    GSList *bitmaps;
    GError *local = NULL;

    if (!check_bitmaps(node, error)) {
        return false;
    }
    bitmaps = take_own_bitmaps(node);
    stop(node);
    node->inactive = node->flags.inactive = inactive;
    if (!start(node, &local)) {
        node->inactive = node->flags.inactive = was;
        go_back(node, node->file->node);
    }
    node->dirty_bitmaps = g_slist_concat(node->dirty_bitmaps, bitmaps);
    if (local) {
        g_propagate_error(error, local);
    }
    return !local;
}

bool node_change_file(BlockNode *node, BlockNode *file, GError **error)
{
    BlockNode *old = node->file->node;
    int result = node->read_only ? 0 : node_flush(node);
    uint64_t size = node_size(node);
    GSList *bitmaps;
    bool done;

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not flush '%s'", node->filename);
    }
    if (node_reaches(file, node)) { /* before anything reads through a node that is stopped */
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Making '%s' a child of '%s' would create a cycle", file->node_name,
                          node->node_name);
    }
    if (!check_bitmaps(node, error)) {
        return false;
    }
    node_ref(old);
    bitmaps = take_own_bitmaps(node);
    stop(node);
    done = check_fits(node, size, file, error) && child_replace(node->file, file, error) &&
           start(node, error);
    if (!done) {
        go_back(node, old);
    }
    node->dirty_bitmaps = g_slist_concat(node->dirty_bitmaps, bitmaps);
    node_unref(old);
    return done;
}
