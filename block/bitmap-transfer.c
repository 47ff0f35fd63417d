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
#include "block/bitmap-mapping.h"
#include "block/graph/bitmap.h"

enum { FLAG_ENABLED = 1, FLAG_PERSISTENT = 2, FLAGS = 3 };

typedef struct {
    BlockGraph *graph;
    GByteArray *out;
    const uint8_t *data;
    size_t size;
    const json_t *mapping; /* NULL: all go, under their own names */
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

/* What goes of a bitmap: NULL for a node that has no name of its own. */
typedef struct {
    const char *of, *name;
    bool persistent;
} Label;

/* false: the mapping leaves it out. */
static bool label_of(const BlockNode *node, const DirtyBitmap *bitmap, const json_t *mapping,
                     Label *label)
{
    const json_t *node_entry, *entry;

    if (!mapping) {
        *label = (Label){ lasting_name(node), bitmap->name, bitmap->persistent };
        return true;
    }
    node_entry = bitmap_mapping_find(mapping, "node-name", node->node_name);
    entry = bitmap_mapping_find(json_object_get(node_entry, "bitmaps"), "name", bitmap->name);
    if (entry) {
        *label = (Label){ json_string_value(json_object_get(node_entry, "alias")),
                          json_string_value(json_object_get(entry, "alias")),
                          bitmap_mapping_persistent(entry, bitmap->persistent) };
    }
    return entry != NULL;
}

static bool save_one(const BlockNode *node, const DirtyBitmap *bitmap, const Label *label,
                     GByteArray *out, GError **error)
{
    uint8_t numbers[1 + 8 + 8];

    if (!label->of) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "bitmap '%s' is of the node '%s', which has no name of its own: give it "
                          "one (node-name=), or remove the bitmap",
                          bitmap->name, node->node_name);
    }
    if (bitmap->busy) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "bitmap '%s' of '%s' is in use by a job or an export: end that first",
                          bitmap->name, node->node_name);
    }
    put_text(out, label->of);
    put_text(out, label->name);
    numbers[0] =
        (uint8_t)((bitmap->enabled ? FLAG_ENABLED : 0) | (label->persistent ? FLAG_PERSISTENT : 0));
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
            Label label;

            if (!bitmap->inconsistent && label_of(node, bitmap, call->mapping, &label) &&
                !save_one(node, bitmap, &label, call->out, call->error)) {
                return;
            }
        }
    }
    call->done = true;
}

bool block_bitmap_mapping_check(const char *mapping, GError **error)
{
    json_t *list = json_loads(mapping, JSON_DECODE_ANY, NULL);
    bool good = bitmap_mapping_check(list, error);

    json_decref(list);
    return good;
}

static bool run_with_mapping(Call *call, const char *mapping, void (*entry)(void *opaque))
{
    json_t *list = mapping ? json_loads(mapping, 0, NULL) : NULL;

    call->mapping = list;
    async_run_sync(block_graph_context(call->graph), entry, call);
    json_decref(list);
    return call->done;
}

bool block_bitmaps_save(BlockGraph *graph, const char *mapping, GByteArray *out, GError **error)
{
    Call call = { .graph = graph, .out = out, .error = error };

    return run_with_mapping(&call, mapping, save_entry);
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

/* A bitmap as it came, under its names here. */
typedef struct {
    BlockNode *node;
    const char *name;
    bool enabled, persistent;
    uint64_t granularity, size;
} Incoming;

/* One that an image is to keep is the driver's to make: it knows whether it can. */
static DirtyBitmap *make(const Incoming *in, GError **error)
{
    BlockNode *node = in->node;
    g_autoptr(GHashTable) arguments =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    if (!in->persistent) {
        return dirty_bitmap_new(node, in->name, in->granularity, error);
    }
    if (!node->driver->bitmap_action) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "bitmap '%s' is kept in its image, and '%s' (%s) keeps none", in->name,
                   node->node_name, node->driver->name);
        return NULL;
    }
    g_hash_table_insert(arguments, g_strdup("granularity"),
                        g_strdup_printf("%" G_GUINT64_FORMAT, in->granularity));
    return node->driver->bitmap_action(node, "add", in->name, arguments, error)
               ? dirty_bitmap_find(node, in->name)
               : NULL;
}

static bool load_bits(Call *call, const Incoming *in)
{
    const uint8_t *bits;
    DirtyBitmap *bitmap;

    if (in->size != node_size(in->node)) {
        return error_fail(call->error, KASO_ERROR_INVALID,
                          "bitmap '%s' is of a disk of %" G_GUINT64_FORMAT
                          " bytes, and '%s' has %" G_GUINT64_FORMAT,
                          in->name, in->size, in->node->node_name, node_size(in->node));
    }
    bitmap = make(in, call->error);
    bits = bitmap ? take(call, dirty_bitmap_bytes(bitmap)) : NULL;
    if (!bits) {
        g_clear_pointer(&bitmap, dirty_bitmap_free);
        return false;
    }
    memcpy(bitmap->bits, bits, dirty_bitmap_bytes(bitmap));
    bitmap->enabled = in->enabled;
    return true;
}

/* The image has brought it: what was sent says the same. */
static bool skip_bits(Call *call, const DirtyBitmap *bitmap)
{
    return take(call, dirty_bitmap_bytes(bitmap)) != NULL;
}

/* The names here of what came under aliases. */
static bool apply_mapping(Call *call, const char **of, Incoming *in)
{
    const json_t *node = bitmap_mapping_find(call->mapping, "alias", *of), *bitmap;

    if (!call->mapping) {
        return true;
    }
    if (!node) {
        return error_fail(call->error, KASO_ERROR_INVALID, "Unknown node alias '%s'", *of);
    }
    bitmap = bitmap_mapping_find(json_object_get(node, "bitmaps"), "alias", in->name);
    if (!bitmap) {
        return error_fail(call->error, KASO_ERROR_INVALID,
                          "Unknown bitmap alias '%s' on node alias '%s'", in->name, *of);
    }
    *of = json_string_value(json_object_get(node, "node-name"));
    in->name = json_string_value(json_object_get(bitmap, "name"));
    in->persistent = bitmap_mapping_persistent(bitmap, in->persistent);
    return true;
}

static bool load_one(Call *call)
{
    g_autofree char *sent_of = take_text(call), *sent_name = sent_of ? take_text(call) : NULL;
    const uint8_t *numbers = sent_name ? take(call, 1 + 8 + 8) : NULL;
    const char *of = sent_of;
    Incoming in = { .name = sent_name };
    const DirtyBitmap *there;

    if (!numbers) {
        return false;
    }
    if (numbers[0] > FLAGS) {
        return error_fail(call->error, KASO_ERROR_INVALID,
                          "the bitmap '%s' of the saved state is of a kind that is not known here",
                          in.name);
    }
    in.enabled = numbers[0] & FLAG_ENABLED;
    in.persistent = numbers[0] & FLAG_PERSISTENT;
    in.granularity = load_le64(numbers + 1);
    in.size = load_le64(numbers + 9);
    in.node = apply_mapping(call, &of, &in) ? block_find_node(call->graph, of, call->error) : NULL;
    if (!in.node) {
        return false;
    }
    in.node = node_skip_filters(in.node);
    there = dirty_bitmap_find(in.node, in.name);
    if (there && there->persistent && in.persistent && there->size == in.size &&
        there->granularity == in.granularity) {
        return skip_bits(call, there);
    }
    return load_bits(call, &in);
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

bool block_bitmaps_load(BlockGraph *graph, const char *mapping, const uint8_t *data, size_t size,
                        GError **error)
{
    Call call = { .graph = graph, .data = data, .size = size, .error = error };

    return run_with_mapping(&call, mapping, load_entry);
}
