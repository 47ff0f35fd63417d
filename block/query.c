/* SPDX-License-Identifier: MIT */
/* What monitors and tools ask about images, nodes and backends, as QMP's JSON objects. */
#include "base/bits.h"
#include "base/error.h"
#include "block/backend.h"
#include "block/graph/bitmap.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIMAL_MEMORY_ALIGNMENT = 4096 };

/* What images and file systems call things need not be UTF-8, which JSON has to be. */
static json_t *json_name(const char *name)
{
    g_autofree char *valid = g_utf8_make_valid(name, -1);

    return json_string(valid);
}

/* Images. */

json_t *block_snapshot_to_json(const BlockSnapshot *s)
{
    json_t *object =
        json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "id", json_name(s->id), "name",
                  json_name(s->name), "vm-state-size", (json_int_t)s->vm_state_size, "date-sec",
                  (json_int_t)s->date_s, "date-nsec", (json_int_t)s->date_ns, "vm-clock-sec",
                  (json_int_t)(s->vm_clock_ns / 1000000000), "vm-clock-nsec",
                  (json_int_t)(s->vm_clock_ns % 1000000000));

    if (s->icount != UINT64_MAX) {
        json_object_set_new(object, "icount", json_integer((json_int_t)s->icount));
    }
    return object;
}

static json_t *node_specific(BlockNode *node)
{
    if (node->driver->specific_info) {
        return node->driver->specific_info(node);
    }
    if (!strcmp(node->driver->name, "file") || !strcmp(node->driver->name, "host_device")) {
        return json_pack("{s:s, s:{}}", "type", "file", "data"); /* QMP knows no other protocols */
    }
    return NULL;
}

static void add_children(json_t *object, BlockNode *node)
{
    json_t *children = json_array();

    for (GList *link = node->children.head; link; link = link->next) {
        BlockChild *child = link->data;

        if (!(child->role & BLOCK_ROLE_COW)) {
            json_array_append_new(children, json_pack("{s:s, s:o}", "name", child->name, "info",
                                                      node_info_to_json(child->node, true)));
        }
    }
    json_object_set_new(object, "children", children);
}

static void add_backing(json_t *object, BlockNode *node)
{
    g_autofree char *path = node_backing_path(node, NULL);

    if (!node->backing_filename) {
        return;
    }
    json_object_set_new(object, "backing-filename", json_name(node->backing_filename));
    json_object_set_new(object, "full-backing-filename",
                        json_name(path ? path : node->backing_filename));
    if (node->backing_format) {
        json_object_set_new(object, "backing-filename-format", json_name(node->backing_format));
    }
}

static void add_snapshots(json_t *object, BlockNode *node)
{
    g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);
    json_t *snapshots = json_array();

    for (unsigned i = 0; i < list->len; i++) {
        json_array_append_new(snapshots, block_snapshot_to_json(list->pdata[i]));
    }
    if (list->len) {
        json_object_set_new(object, "snapshots", snapshots);
    } else {
        json_decref(snapshots);
    }
}

json_t *node_limits_to_json(BlockNode *node)
{
    json_t *limits = json_object();
    BlockNodeInfo info = { 0 };

    if (node->driver->info && node->driver->info(node, &info) == 0 && info.cluster_size) {
        json_object_set_new(limits, "write-zeroes-alignment",
                            json_integer((json_int_t)info.cluster_size));
    }
    json_object_set_new(limits, "request-alignment", json_integer(node->request_alignment));
    if (info.cluster_size) {
        json_object_set_new(limits, "discard-alignment",
                            json_integer((json_int_t)info.cluster_size));
    }
    if (node->max_transfer) {
        json_object_set_new(limits, "max-transfer", json_integer((json_int_t)node->max_transfer));
    }
    json_object_set_new(limits, "min-mem-alignment", json_integer(1));
    json_object_set_new(limits, "opt-mem-alignment", json_integer(OPTIMAL_MEMORY_ALIGNMENT));
    json_object_set_new(limits, "max-iov", json_integer(IOV_MAX));
    return limits;
}

json_t *node_info_to_json(BlockNode *node, bool with_children)
{
    json_t *object = json_object(), *specific = node_specific(node);
    g_autofree char *name = node_display_name(node);
    int64_t allocated = node_allocated_size(node);
    /* Sizes are told in whole sectors. */
    uint64_t size = node_size(node);
    BlockNodeInfo info = { 0 };

    if (node->driver->info && node->driver->info(node, &info) != 0) {
        info = (BlockNodeInfo){ 0 };
    }
    if (with_children) {
        add_children(object, node);
    }
    json_object_set_new(object, "virtual-size", json_integer((json_int_t)size));
    json_object_set_new(object, "filename", json_name(name));
    json_object_set_new(object, "format", json_string(node->driver->name));
    if (allocated >= 0) {
        json_object_set_new(object, "actual-size", json_integer(allocated));
    }
    if (info.cluster_size) {
        json_object_set_new(object, "cluster-size", json_integer((json_int_t)info.cluster_size));
    }
    if (info.encrypted) {
        json_object_set_new(object, "encrypted", json_true());
    }
    json_object_set_new(object, "dirty-flag", json_boolean(info.is_dirty));
    if (specific) {
        json_object_set_new(object, "format-specific", specific);
    }
    add_backing(object, node);
    if (node->driver->snapshot_list) {
        add_snapshots(object, node);
    }
    return object;
}

/* Nodes and drives. */

static unsigned chain_depth(BlockNode *node)
{
    unsigned depth = 0;

    while ((node = node_below(node))) {
        depth++;
    }
    return depth;
}

static json_t *child_list(BlockNode *node)
{
    json_t *list = json_array();

    for (GList *link = node->children.head; link; link = link->next) {
        BlockChild *child = link->data;

        json_array_append_new(list, json_pack("{s:s, s:s}", "child", child->name, "node-name",
                                              child->node->node_name));
    }
    return list;
}

/* QMP's ImageInfo nests the images below as backing-image. */
static json_t *image_with_backing(BlockNode *node)
{
    json_t *info = node_info_to_json(node, false);
    BlockNode *below = node_below(node);

    json_object_set_new(info, "limits", node_limits_to_json(node));
    if (below) {
        json_object_set_new(info, "backing-image", image_with_backing(below));
    }
    return info;
}

/* BlockDirtyInfo of the bitmaps that a user has made (those of jobs begin with #). */
static void add_bitmaps(json_t *object, BlockNode *node)
{
    json_t *list = json_array();

    for (GSList *link = node->dirty_bitmaps; link; link = link->next) {
        const DirtyBitmap *bitmap = link->data;
        json_t *info;

        if (bitmap->name[0] == '#') {
            continue;
        }
        info = json_pack("{s:o, s:I, s:I, s:b, s:b, s:b}", "name", json_name(bitmap->name), "count",
                         (json_int_t)dirty_bitmap_count(bitmap), "granularity",
                         (json_int_t)bitmap->granularity, "recording", bitmap->enabled, "busy",
                         bitmap->busy != 0, "persistent", bitmap->persistent);
        if (bitmap->inconsistent) {
            json_object_set_new(info, "inconsistent", json_true());
        }
        json_array_append_new(list, info);
    }
    if (json_array_size(list)) {
        json_object_set(object, "dirty-bitmaps", list);
    }
    json_decref(list);
}

/* BlockDeviceInfo. */
static json_t *node_device_info(BlockNode *node, bool write_cache, const ThrottleGroup *throttle)
{
    static const char *const zeroes[] = { "off", "on", "unmap" };
    g_autofree char *name = node_display_name(node);
    json_t *object = json_object();
    BlockNodeInfo info = { 0 };
    ThrottleConfig none;

    if (node->driver->info && node->driver->info(node, &info) != 0) {
        info = (BlockNodeInfo){ 0 };
    }
    throttle_config_init(&none);
    json_object_set_new(object, "file", json_name(name));
    json_object_set_new(object, "node-name", json_string(node->node_name));
    json_object_set_new(object, "drv", json_string(node->driver->name));
    json_object_set_new(object, "ro", json_boolean(node->read_only));
    json_object_set_new(object, "active", json_boolean(!node->inactive));
    json_object_set_new(object, "encrypted", json_boolean(info.encrypted));
    json_object_set_new(object, "detect_zeroes", json_string(zeroes[node->detect_zeroes]));
    json_object_set_new(object, "backing_file_depth", json_integer(chain_depth(node)));
    if (node->backing) {
        g_autofree char *backing = node_display_name(node->backing->node);

        json_object_set_new(object, "backing_file", json_name(backing));
    }
    json_object_set_new(object, "cache",
                        json_pack("{s:b, s:b, s:b}", "writeback", write_cache, "direct",
                                  node->flags.cache_direct, "no-flush",
                                  node->flags.cache_no_flush));
    json_object_set_new(object, "write_threshold", json_integer((json_int_t)node->write_threshold));
    json_object_set_new(object, "children", child_list(node));
    add_bitmaps(object, node);
    throttle_config_to_json(throttle ? throttle_group_config(throttle) : &none, object);
    if (throttle && throttle_group_name(throttle)) {
        json_object_set_new(object, "group", json_string(throttle_group_name(throttle)));
    }
    json_object_set_new(object, "image", image_with_backing(node));
    return object;
}

/* Statistics. */

/* A node's own, those of what it stores in (parent) and of the image below (backing). */
static json_t *node_statistics(BlockNode *node, const Statistics *statistics)
{
    json_t *object = json_object();

    json_object_set_new(object, "node-name", json_string(node->node_name));
    json_object_set_new(object, "stats", statistics_to_json(statistics, node->highest_write));
    if (node->driver->statistics) {
        json_t *specific = json_object();

        json_object_set_new(specific, "driver", json_string(node->driver->name));
        node->driver->statistics(node, specific);
        json_object_set_new(object, "driver-specific", specific);
    }
    if (node->file) {
        json_object_set_new(object, "parent", node_statistics(node->file->node, NULL));
    }
    if (node->backing) {
        json_object_set_new(object, "backing", node_statistics(node->backing->node, NULL));
    }
    return object;
}

typedef struct {
    BlockGraph *graph;
    BlockBackend *block;
    json_t *result;
} Query;

static char *query_run(BlockGraph *graph, BlockBackend *block, CoroutineFunction *function)
{
    Query query = { .graph = graph, .block = block };
    char *text, *copy;

    async_run_sync(block_graph_context(graph), function, &query);
    if (!query.result) {
        return NULL;
    }
    text = json_dumps(query.result, JSON_COMPACT);
    copy = g_strdup(text);
    free(text);
    json_decref(query.result);
    return copy;
}

static void query_entry(void *opaque)
{
    Query *query = opaque;
    BlockBackend *block = query->block;

    if (block->root) {
        query->result = node_device_info(block->root->node, block->write_cache, block->throttle);
        json_object_set_new(query->result, "ro", json_boolean(block->read_only));
    }
}

char *block_query(BlockBackend *block)
{
    return query_run(block->graph, block, query_entry);
}

static void statistics_entry(void *opaque)
{
    Query *query = opaque;
    BlockBackend *block = query->block;

    if (block->root) {
        query->result = node_statistics(block->root->node, &block->statistics);
    } else {
        query->result = json_pack("{s:o}", "stats", statistics_to_json(&block->statistics, 0));
    }
    json_object_set_new(query->result, "device", json_string(block->id));
}

char *block_query_statistics(BlockBackend *block)
{
    return query_run(block->graph, block, statistics_entry);
}

static void node_statistics_entry(void *opaque)
{
    Query *query = opaque;

    query->result = json_array();
    for (GList *link = block_graph_nodes(query->graph); link; link = link->next) {
        json_array_append_new(query->result, node_statistics(link->data, NULL));
    }
}

char *block_query_node_statistics(BlockGraph *graph)
{
    return query_run(graph, NULL, node_statistics_entry);
}

static void named_nodes_entry(void *opaque)
{
    Query *query = opaque;

    query->result = json_array();
    for (GList *link = block_graph_nodes(query->graph); link; link = link->next) {
        json_array_append_new(query->result, node_device_info(link->data, true, NULL));
    }
}

char *block_query_named_nodes(BlockGraph *graph)
{
    return query_run(graph, NULL, named_nodes_entry);
}

/* The whole graph. Its entries have numbers, by which the edges name them. */
typedef struct {
    GHashTable *numbers; /* node or backend -> number */
    json_t *nodes, *edges;
} Drawing;

static json_int_t drawing_number(Drawing *drawing, const void *thing)
{
    return GPOINTER_TO_INT(g_hash_table_lookup(drawing->numbers, thing));
}

static void draw_node(Drawing *drawing, const void *thing, const char *type, const char *name)
{
    int number = (int)g_hash_table_size(drawing->numbers) + 1;

    g_hash_table_insert(drawing->numbers, (void *)thing, GINT_TO_POINTER(number));
    json_array_append_new(drawing->nodes, json_pack("{s:i, s:s, s:o}", "id", number, "type", type,
                                                    "name", json_name(name)));
}

static json_t *perm_list(unsigned perm)
{
    static const char *const names[] = { "consistent-read", "write", "write-unchanged", "resize" };
    json_t *list = json_array();

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (perm & 1u << i) {
            json_array_append_new(list, json_string(names[i]));
        }
    }
    return list;
}

static void draw_edge(Drawing *drawing, const void *parent, const BlockChild *child)
{
    if (drawing_number(drawing, parent) && drawing_number(drawing, child->node)) {
        json_array_append_new(
            drawing->edges,
            json_pack("{s:I, s:I, s:s, s:o, s:o}", "parent", drawing_number(drawing, parent),
                      "child", drawing_number(drawing, child->node), "name", child->name, "perm",
                      perm_list(child->perm), "shared-perm", perm_list(child->shared)));
    }
}

static void draw_graph_entry(void *opaque)
{
    Query *query = opaque;
    Drawing drawing = { g_hash_table_new(NULL, NULL), json_array(), json_array() };

    for (GList *link = block_graph_backends(query->graph); link; link = link->next) {
        draw_node(&drawing, link->data, "block-backend", ((BlockBackend *)link->data)->id);
    }
    for (GList *link = block_graph_nodes(query->graph); link; link = link->next) {
        draw_node(&drawing, link->data, "block-driver", ((BlockNode *)link->data)->node_name);
    }
    for (GList *link = block_graph_backends(query->graph); link; link = link->next) {
        if (((BlockBackend *)link->data)->root) {
            draw_edge(&drawing, link->data, ((BlockBackend *)link->data)->root);
        }
    }
    for (GList *link = block_graph_nodes(query->graph); link; link = link->next) {
        BlockNode *node = link->data;

        for (GList *child = node->children.head; child; child = child->next) {
            draw_edge(&drawing, node, child->data);
        }
    }
    query->result = json_pack("{s:o, s:o}", "nodes", drawing.nodes, "edges", drawing.edges);
    g_hash_table_unref(drawing.numbers);
}

char *block_query_graph(BlockGraph *graph)
{
    return query_run(graph, NULL, draw_graph_entry);
}

/* Changing what a backend counts, and its limits. */

static bool set_histograms(Statistics *statistics, const char *name, const json_t *arguments,
                           GError **error)
{
    static const struct {
        const char *argument, *word;
        BlockAccountKind kind;
    } kinds[] = {
        { "boundaries-read", "read", BLOCK_ACCOUNT_READ },
        { "boundaries-write", "write", BLOCK_ACCOUNT_WRITE },
        { "boundaries-zap", "append write", BLOCK_ACCOUNT_ZONE_APPEND },
        { "boundaries-flush", "flush", BLOCK_ACCOUNT_FLUSH },
    };
    const json_t *all = json_object_get(arguments, "boundaries");
    bool any = all != NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        any = any || json_object_get(arguments, kinds[i].argument);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        const json_t *own = json_object_get(arguments, kinds[i].argument);
        LatencyHistogram *histogram = &statistics->accounts[kinds[i].kind].histogram;

        if (!any) {
            histogram_clear(histogram);
        } else if ((own || all) && !histogram_set(histogram, own ? own : all)) {
            return error_fail(error, KASO_ERROR_GENERIC, "Device '%s' set %s boundaries fail", name,
                              kinds[i].word);
        }
    }
    return true;
}

bool block_set_histograms(BlockBackend *block, const char *name, const char *arguments,
                          GError **error)
{
    json_t *object = json_loads(arguments, 0, NULL);
    bool done;

    async_lock(block->context);
    done = set_histograms(&block->statistics, name, object, error);
    async_unlock(block->context);
    json_decref(object);
    return done;
}

typedef struct {
    BlockBackend *block;
    const char *group;
    const ThrottleConfig *config;
} ThrottleCall;

static void throttle_entry(void *opaque)
{
    ThrottleCall *call = opaque;
    ThrottleGroup *group = call->block->throttle;
    g_autofree char *name = g_strdup(call->group ? call->group
                                     : group     ? throttle_group_name(group)
                                                 : NULL);

    backend_set_throttle(call->block, name, call->config);
}

bool block_set_throttle(BlockBackend *block, GHashTable *arguments, GError **error)
{
    g_autoptr(GHashTable) options = options_copy(arguments);
    g_autofree char *group = options_take(options, "group");
    ThrottleConfig config;
    ThrottleCall call = { .block = block, .group = group, .config = &config };

    throttle_config_init(&config);
    if (!throttle_config_take(options, &config, error)) {
        return false;
    }
    async_run_sync(block->context, throttle_entry, &call);
    return true;
}
