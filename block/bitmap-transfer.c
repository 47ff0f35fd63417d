/* SPDX-License-Identifier: MIT */
/*
 * Bitmaps as bytes: for each one the node's and the bitmap's name (a length of 2 bytes and the text), flags (1), granularity and the disk's size (8
 * each), and its bits.
 */
#include "block/bitmap-transfer.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "block/backend.h"
#include "block/graph/bitmap.h"

enum { FLAG_ENABLED = 1, FLAG_PERSISTENT = 2, FLAGS = 3 };

typedef struct {
    BlockGraph *graph;
    GByteArray *out;
    const uint8_t *data;
    size_t size;
    bool done;
    GError **error;
} Call;

/* By which a destination of the same command line knows it: generated names differ. NULL: there is none. */
static const char *lasting_name(const BlockNode *node)
{
    if (node->node_name[0] != '#') {
        return node->node_name;
    }
    for (GList *link = block_graph_backends(node->graph); link; link = link->next) {
        const BlockBackend *block = link->data;

        if (block->id[0] && block->root && node_skip_filters(block->root->node) == node) {
            return block->id;
        }
    }
    return NULL;
}

static void put_text(GByteArray *out, const char *text)
{
    uint8_t length[2];

    store_le16(length, (uint16_t)strlen(text));
    g_byte_array_append(out, length, sizeof length);
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
}

static bool save_one(const BlockNode *node, const DirtyBitmap *bitmap, GByteArray *out,
                     GError **error)
{
    const char *name = lasting_name(node);
    uint8_t numbers[1 + 8 + 8];

    if (!name) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "bitmap '%s' is of the node '%s', which has no name of its own: give it "
                          "one (node-name=), or remove the bitmap",
                          bitmap->name, node->node_name);
    }
    if (bitmap->busy) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "bitmap '%s' of '%s' is in use by a job or an export: end that first",
                          bitmap->name, name);
    }
    put_text(out, name);
    put_text(out, bitmap->name);
    numbers[0] = (uint8_t)((bitmap->enabled ? FLAG_ENABLED : 0) |
                           (bitmap->persistent ? FLAG_PERSISTENT : 0));
    store_le64(numbers + 1, bitmap->granularity);
    store_le64(numbers + 9, bitmap->size);
    g_byte_array_append(out, numbers, sizeof numbers);
    g_byte_array_append(out, bitmap->bits, (guint)dirty_bitmap_bytes(bitmap));
    return true;
}

static void save_entry(void *opaque)
{
    Call *call = opaque;

    for (GList *link = block_graph_nodes(call->graph); link; link = link->next) {
        const BlockNode *node = link->data;

        for (GSList *at = node->dirty_bitmaps; at; at = at->next) {
            const DirtyBitmap *bitmap = at->data;

            if (!bitmap->inconsistent && !save_one(node, bitmap, call->out, call->error)) {
                return;
            }
        }
    }
    call->done = true;
}

bool block_bitmaps_save(BlockGraph *graph, GByteArray *out, GError **error)
{
    Call call = { .graph = graph, .out = out, .error = error };

    async_run_sync(block_graph_context(graph), save_entry, &call);
    return call.done;
}

static const uint8_t *take(Call *call, uint64_t size)
{
    const uint8_t *at = call->data;

    if (size > call->size) {
        error_fail(call->error, KASO_ERROR_INVALID, "the bitmaps of the saved state are cut short");
        return NULL;
    }
    call->data += size;
    call->size -= size;
    return at;
}

/* The caller frees. */
static char *take_text(Call *call)
{
    const uint8_t *length = take(call, 2), *text = length ? take(call, load_le16(length)) : NULL;

    return text ? g_strndup((const char *)text, load_le16(length)) : NULL;
}

/* One that an image is to keep is the driver's to make: it knows whether it can. */
static DirtyBitmap *make(Call *call, BlockNode *node, const char *name, const uint8_t *numbers)
{
    uint64_t granularity = load_le64(numbers + 1);
    g_autoptr(GHashTable) arguments =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    if (!(numbers[0] & FLAG_PERSISTENT)) {
        return dirty_bitmap_new(node, name, granularity, call->error);
    }
    if (!node->driver->bitmap_action) {
        error_fail(call->error, KASO_ERROR_UNSUPPORTED,
                   "bitmap '%s' is kept in its image, and '%s' (%s) keeps none", name,
                   node->node_name, node->driver->name);
        return NULL;
    }
    g_hash_table_insert(arguments, g_strdup("granularity"),
                        g_strdup_printf("%" G_GUINT64_FORMAT, granularity));
    return node->driver->bitmap_action(node, "add", name, arguments, call->error)
               ? dirty_bitmap_find(node, name)
               : NULL;
}

static bool load_bits(Call *call, BlockNode *node, const char *name, const uint8_t *numbers)
{
    uint64_t size = load_le64(numbers + 9);
    const uint8_t *bits;
    DirtyBitmap *bitmap;

    if (size != node_size(node)) {
        return error_fail(call->error, KASO_ERROR_INVALID,
                          "bitmap '%s' is of a disk of %" G_GUINT64_FORMAT
                          " bytes, and '%s' has %" G_GUINT64_FORMAT,
                          name, size, node->node_name, node_size(node));
    }
    bitmap = make(call, node, name, numbers);
    bits = bitmap ? take(call, dirty_bitmap_bytes(bitmap)) : NULL;
    if (!bits) {
        g_clear_pointer(&bitmap, dirty_bitmap_free);
        return false;
    }
    memcpy(bitmap->bits, bits, dirty_bitmap_bytes(bitmap));
    bitmap->enabled = numbers[0] & FLAG_ENABLED;
    return true;
}

/* The image has brought it: what was sent says the same. */
static bool skip_bits(Call *call, const DirtyBitmap *bitmap)
{
    return take(call, dirty_bitmap_bytes(bitmap)) != NULL;
}

static bool load_one(Call *call)
{
    g_autofree char *of = take_text(call), *name = of ? take_text(call) : NULL;
    const uint8_t *numbers = name ? take(call, 1 + 8 + 8) : NULL;
    BlockNode *node = numbers ? block_find_node(call->graph, of, call->error) : NULL;
    const DirtyBitmap *there;

    if (!node) {
        return false;
    }
    node = node_skip_filters(node);
    if (numbers[0] > FLAGS) {
        return error_fail(call->error, KASO_ERROR_INVALID,
                          "the bitmap '%s' of the saved state is of a kind that is not known here",
                          name);
    }
    there = dirty_bitmap_find(node, name);
    if (there && there->persistent && numbers[0] & FLAG_PERSISTENT &&
        there->size == load_le64(numbers + 9) && there->granularity == load_le64(numbers + 1)) {
        return skip_bits(call, there);
    }
    return load_bits(call, node, name, numbers);
}

static void load_entry(void *opaque)
{
    Call *call = opaque;

    block_graph_quiesce(call->graph);
    call->done = true;
    while (call->done && call->size) {
        call->done = load_one(call);
    }
    block_graph_resume(call->graph);
}

bool block_bitmaps_load(BlockGraph *graph, const uint8_t *data, size_t size, GError **error)
{
    Call call = { .graph = graph, .data = data, .size = size, .error = error };

    async_run_sync(block_graph_context(graph), load_entry, &call);
    return call.done;
}
