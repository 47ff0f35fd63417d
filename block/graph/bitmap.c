/* SPDX-License-Identifier: MIT */
/* Dirty bitmaps. */
#include "block/graph/bitmap.h"

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

enum { NAME_MAX_BYTES = 1023 };

uint64_t dirty_bitmap_bytes(const DirtyBitmap *bitmap)
{
    uint64_t pieces = (bitmap->size + bitmap->granularity - 1) / bitmap->granularity;

    return (pieces + 7) / 8;
}

static void bitmap_after_write(void *opaque, uint64_t offset, uint64_t bytes)
{
    DirtyBitmap *bitmap = opaque;

    if (bitmap->enabled && !bitmap->inconsistent) {
        dirty_bitmap_set(bitmap, offset, bytes);
    }
}

DirtyBitmap *dirty_bitmap_new(BlockNode *node, const char *name, uint64_t granularity,
                              GError **error)
{
    DirtyBitmap *bitmap;

    if (!name[0] || strlen(name) > NAME_MAX_BYTES) {
        error_fail(error, KASO_ERROR_INVALID, "Bitmap name '%.32s' is empty or too long", name);
        return NULL;
    }
    if (dirty_bitmap_find(node, name)) {
        error_fail(error, KASO_ERROR_INVALID, "Bitmap already exists: %s", name);
        return NULL;
    }
    if (!is_power_of_two(granularity) || granularity < 512 || granularity > GIB(2)) {
        error_fail(error, KASO_ERROR_INVALID, "Granularity must be power of 2 and at least 512");
        return NULL;
    }
    bitmap = g_new0(DirtyBitmap, 1);
    bitmap->node = node;
    bitmap->name = g_strdup(name);
    bitmap->granularity = granularity;
    bitmap->size = node_size(node);
    bitmap->bits = g_try_malloc0(dirty_bitmap_bytes(bitmap) + 1);
    if (!bitmap->bits) {
        g_free(bitmap->name);
        g_free(bitmap);
        error_fail(error, KASO_ERROR_GENERIC, "Not enough memory for bitmap '%s'", name);
        return NULL;
    }
    bitmap->enabled = true;
    bitmap->notifier = (NodeWriteNotifier){ .after = bitmap_after_write, .opaque = bitmap };
    node_add_write_notifier(node, &bitmap->notifier);
    node->dirty_bitmaps = g_slist_append(node->dirty_bitmaps, bitmap);
    return bitmap;
}

void dirty_bitmap_free(DirtyBitmap *bitmap)
{
    node_remove_write_notifier(bitmap->node, &bitmap->notifier);
    bitmap->node->dirty_bitmaps = g_slist_remove(bitmap->node->dirty_bitmaps, bitmap);
    g_free(bitmap->bits);
    g_free(bitmap->name);
    g_free(bitmap);
}

static void set_pieces(DirtyBitmap *bitmap, uint64_t first, uint64_t end, bool value)
{
    while (first < end) {
        if (first % 8 == 0 && end - first >= 8) {
            uint64_t n = (end - first) / 8;

            memset(bitmap->bits + first / 8, value ? 0xff : 0, n);
            first += n * 8;
            continue;
        }
        if (value) {
            bitmap->bits[first / 8] |= (uint8_t)(1u << first % 8);
        } else {
            bitmap->bits[first / 8] &= (uint8_t) ~(1u << first % 8);
        }
        first++;
    }
}

void dirty_bitmap_resize(DirtyBitmap *bitmap, uint64_t size)
{
    uint64_t old = dirty_bitmap_bytes(bitmap), old_size = bitmap->size, bytes;

    bitmap->size = size;
    bytes = dirty_bitmap_bytes(bitmap);
    if (bytes > old) {
        bitmap->bits = g_realloc(bitmap->bits, bytes + 1);
        memset(bitmap->bits + old, 0, bytes + 1 - old);
    } else if (size < old_size) {
        uint64_t pieces = (size + bitmap->granularity - 1) / bitmap->granularity;

        set_pieces(bitmap, pieces, old * 8, false);
    }
}

DirtyBitmap *dirty_bitmap_find(BlockNode *node, const char *name)
{
    for (GSList *link = node->dirty_bitmaps; link; link = link->next) {
        DirtyBitmap *bitmap = link->data;

        if (!strcmp(bitmap->name, name)) {
            return bitmap;
        }
    }
    return NULL;
}

void dirty_bitmap_set(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes)
{
    uint64_t end = MIN(offset + bytes, bitmap->size);

    if (offset < end) {
        set_pieces(bitmap, offset / bitmap->granularity,
                   (end + bitmap->granularity - 1) / bitmap->granularity, true);
    }
}

void dirty_bitmap_reset(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes)
{
    uint64_t end = MIN(offset + bytes, bitmap->size);

    if (offset < end) {
        set_pieces(bitmap, offset / bitmap->granularity,
                   (end + bitmap->granularity - 1) / bitmap->granularity, false);
    }
}

uint64_t dirty_bitmap_next(const DirtyBitmap *bitmap, uint64_t offset)
{
    uint64_t bytes = dirty_bitmap_bytes(bitmap), piece = offset / bitmap->granularity;

    for (; piece / 8 < bytes; piece++) {
        if (piece % 8 == 0 && !bitmap->bits[piece / 8]) {
            piece += 7;
            continue;
        }
        if (bitmap->bits[piece / 8] >> piece % 8 & 1) {
            return piece * bitmap->granularity;
        }
    }
    return UINT64_MAX;
}

uint64_t dirty_bitmap_run(const DirtyBitmap *bitmap, uint64_t offset, uint64_t max)
{
    uint64_t end = MIN(offset + max, bitmap->size), at = offset;

    while (at < end && dirty_bitmap_next(bitmap, at) <= at) {
        at = align_down(at, bitmap->granularity) + bitmap->granularity;
    }
    return MIN(at, end) - offset;
}

uint64_t dirty_bitmap_count(const DirtyBitmap *bitmap)
{
    uint64_t pieces = 0;

    for (uint64_t i = 0; i < dirty_bitmap_bytes(bitmap); i++) {
        pieces += (unsigned)__builtin_popcount(bitmap->bits[i]);
    }
    return MIN(pieces * bitmap->granularity, bitmap->size);
}

void dirty_bitmap_merge(DirtyBitmap *to, const DirtyBitmap *from)
{
    for (uint64_t at = dirty_bitmap_next(from, 0); at != UINT64_MAX;
         at = dirty_bitmap_next(from, at + from->granularity)) {
        dirty_bitmap_set(to, at, from->granularity);
    }
}

static bool bitmap_add(BlockNode *node, const char *name, GHashTable *arguments, bool persistent,
                       GError **error)
{
    uint64_t granularity = 65536;
    BlockNodeInfo info = { 0 };
    DirtyBitmap *bitmap;
    bool disabled = false;

    if (persistent && (node->read_only || node->inactive)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Node '%s' is read-only or inactive: it takes no new persistent bitmap",
                          node->node_name);
    }
    if (node->driver->info && node->driver->info(node, &info) == 0 && info.cluster_size) {
        granularity = CLAMP(info.cluster_size, 4096, 65536);
    }
    if (!options_take_size(arguments, "granularity", &granularity, error) ||
        !options_take_bool(arguments, "disabled", &disabled, error)) {
        return false;
    }
    bitmap = dirty_bitmap_new(node, name, granularity, error);
    if (bitmap) {
        bitmap->persistent = persistent;
        bitmap->enabled = !disabled;
    }
    return bitmap != NULL;
}

/* source: a bitmap, of this node unless source-node names another. */
static bool bitmap_merge(DirtyBitmap *bitmap, GHashTable *arguments, GError **error)
{
    g_autofree char *source = options_take(arguments, "source");
    g_autofree char *source_node = options_take(arguments, "source-node");
    BlockNode *node =
        source_node ? block_find_node(bitmap->node->graph, source_node, error) : bitmap->node;
    DirtyBitmap *from = source && node ? dirty_bitmap_find(node, source) : NULL;

    if (!node) {
        return false;
    }
    if (!from) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "Dirty bitmap '%s' not found",
                          source ? source : "");
    }
    if (from->inconsistent) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Bitmap '%s' is inconsistent and cannot be used", from->name);
    }
    if (from->size != bitmap->size) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Bitmaps are of different sizes (destination size is %" G_GUINT64_FORMAT
                          ", source size is %" G_GUINT64_FORMAT ") and can't be merged",
                          bitmap->size, from->size);
    }
    dirty_bitmap_merge(bitmap, from);
    return true;
}

bool dirty_bitmap_action(BlockNode *node, const char *action, const char *name,
                         GHashTable *arguments, bool persistent, GError **error)
{
    DirtyBitmap *bitmap;

    if (!strcmp(action, "add")) {
        return bitmap_add(node, name, arguments, persistent, error);
    }
    bitmap = dirty_bitmap_find(node, name);
    if (!bitmap) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "Dirty bitmap '%s' not found", name);
    }
    if (bitmap->busy) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Bitmap '%s' is currently in use by another operation and cannot be used",
                          name);
    }
    if (bitmap->inconsistent && strcmp(action, "remove")) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Bitmap '%s' is inconsistent and cannot be used\n"
                          "Try block-dirty-bitmap-remove to delete this bitmap from disk",
                          name);
    }
    if (!strcmp(action, "enable") || !strcmp(action, "disable")) {
        bitmap->enabled = action[0] == 'e';
        return true;
    }
    if (bitmap->persistent && node->read_only) { /* the image would still have it as it was */
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Bitmap '%s' is readonly and cannot be modified", name);
    }
    if (!strcmp(action, "remove")) {
        dirty_bitmap_free(bitmap);
    } else if (!strcmp(action, "clear")) {
        dirty_bitmap_reset(bitmap, 0, bitmap->size);
    } else {
        return bitmap_merge(bitmap, arguments, error);
    }
    return true;
}
