/* SPDX-License-Identifier: MIT */
/* The image graph: what belongs to all of it, and its nodes' lives. */
#include "block/graph/node.h"

#include "base/error.h"
#include "base/log.h"
#include "block/graph/authz.h"
#include "block/graph/bitmap.h"
#include "block/graph/blockers.h"
#include "block/graph/open.h"
#include "block/graph/throttle-group.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct BlockGraph {
    AsyncContext *context;
    GList *nodes;    /* BlockNode, newest last */
    GList *backends; /* BlockBackend, oldest first */
    uint64_t next_node_number;
    bool blocking, inactive;
    GList *jobs;                       /* BlockJob, oldest first */
    void (*cancel_job)(BlockJob *job); /* set with the first job */
    unsigned quiesced, running;
    unsigned stalled;     /* requests that wait for a server that is lost */
    CoroutineQueue quiet; /* waits for a change of the two */
    GQueue events;        /* PendingEvent that nobody was told yet */
    BlockEventHandler *event_handler;
    void *event_opaque;
    BlockNamedFileHandler *named_file_handler;
    void *named_file_opaque;
    GHashTable *secrets;         /* id -> GBytes, with a zero behind them */
    GHashTable *tls;             /* id -> options of TLS credentials */
    GHashTable *authz;           /* id -> Authz */
    BlockExports *exports;       /* NULL: no NBD server runs */
    GHashTable *throttle_groups; /* name -> ThrottleGroup, which owns its name */
};

void block_graph_hurry(BlockGraph *graph)
{
    for (GList *link = graph->nodes; link; link = link->next) {
        BlockNode *node = link->data;

        if (node->driver->hurry) {
            node->driver->hurry(node);
        }
    }
}

static void hurry_nodes(void *opaque)
{
    block_graph_hurry(opaque);
}

BlockGraph *block_graph_new(GMainContext *context)
{
    BlockGraph *graph = g_new0(BlockGraph, 1);

    graph->context = async_context_new(context);
    async_on_hasten(graph->context, hurry_nodes, graph);
    graph->secrets =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    graph->throttle_groups = g_hash_table_new(g_str_hash, g_str_equal);
    coroutine_queue_init(&graph->quiet);
    graph->tls =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    graph->authz =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)authz_free);
    return graph;
}

bool block_graph_inactive(const BlockGraph *graph)
{
    return graph->inactive;
}

void block_graph_set_inactive(BlockGraph *graph, bool inactive)
{
    graph->inactive = inactive;
}

static void graph_release_nodes(void *opaque)
{
    BlockGraph *graph = opaque;
    bool released;

    do {
        released = false;
        for (GList *link = graph->nodes; link; link = link->next) {
            BlockNode *node = link->data;

            if (node->monitor_owned) {
                node->monitor_owned = false;
                node_unref(node);
                released = true;
                break;
            }
        }
    } while (released);
}

static void cancel_jobs(void *opaque)
{
    BlockGraph *graph = opaque;

    for (GList *link = graph->jobs; link; link = link->next) {
        graph->cancel_job(link->data);
    }
}

static bool has_no_jobs(void *opaque)
{
    return !((BlockGraph *)opaque)->jobs;
}

void block_jobs_end(BlockGraph *graph)
{
    async_run_sync(graph->context, cancel_jobs, graph);
    async_poll_until(graph->context, has_no_jobs, graph);
}

static bool has_no_requests(void *opaque)
{
    return !((BlockGraph *)opaque)->running;
}

void block_graph_free(BlockGraph *graph)
{
    block_jobs_end(graph);
    /* A monitor's, that stood at breakpoints. */
    async_poll_until(graph->context, has_no_requests, graph);
    async_run_sync(graph->context, graph_release_nodes, graph);
    g_assert(!graph->backends);
    g_assert(!graph->nodes);
    g_hash_table_unref(graph->secrets);
    g_hash_table_unref(graph->tls);
    g_hash_table_unref(graph->authz);
    throttle_groups_free(graph->throttle_groups);
    async_context_free(graph->context);
    g_free(graph);
}

GList *block_graph_jobs(BlockGraph *graph)
{
    return graph->jobs;
}

void block_graph_add_job(BlockGraph *graph, BlockJob *job, void (*cancel)(BlockJob *job))
{
    graph->jobs = g_list_append(graph->jobs, job);
    graph->cancel_job = cancel;
}

void block_graph_remove_job(BlockGraph *graph, BlockJob *job)
{
    graph->jobs = g_list_remove(graph->jobs, job);
}

void block_graph_enter(BlockGraph *graph)
{
    while (graph->quiesced) {
        coroutine_queue_wait(&graph->quiet);
    }
    graph->running++;
    coroutine_jitter();
}

void block_graph_leave(BlockGraph *graph)
{
    if (--graph->running == 0 && graph->quiesced) {
        coroutine_queue_wake_all(&graph->quiet);
    }
}

void block_graph_hasten(BlockGraph *graph)
{
    async_hasten(graph->context);
}

void block_graph_add_stalled(BlockGraph *graph, int change)
{
    graph->stalled += change;
}

unsigned block_graph_stalled(BlockGraph *graph)
{
    return graph->stalled;
}

bool block_graph_wants_quiet(BlockGraph *graph)
{
    return graph->quiesced || async_hastened(graph->context);
}

void block_graph_quiesce(BlockGraph *graph)
{
    graph->quiesced++;
    while (graph->running) {
        coroutine_queue_wait(&graph->quiet);
    }
}

void block_graph_resume(BlockGraph *graph)
{
    graph->quiesced--;
    coroutine_queue_wake_all(&graph->quiet);
}

typedef struct {
    const char *event;
    char *data;
} PendingEvent;

/* Says that there are events: they are told in the main loop, unless somebody has told them before. */
typedef struct {
    AsyncCompletion completion; /* must stay first */
    BlockGraph *graph;
} EventCall;

static PendingEvent *next_event(BlockGraph *graph)
{
    PendingEvent *pending;

    async_lock(graph->context);
    pending = g_queue_pop_head(&graph->events);
    async_unlock(graph->context);
    return pending;
}

void block_tell_events(BlockGraph *graph)
{
    PendingEvent *pending;

    while ((pending = next_event(graph))) {
        if (graph->event_handler) {
            graph->event_handler(graph->event_opaque, pending->event, pending->data);
        }
        free(pending->data);
        g_free(pending);
    }
}

static void deliver_events(AsyncCompletion *completion)
{
    EventCall *call = (EventCall *)completion;

    block_tell_events(call->graph);
    g_free(call);
}

void block_emit(BlockGraph *graph, const char *event, json_t *data)
{
    if (graph->event_handler) {
        PendingEvent *pending = g_new(PendingEvent, 1);
        EventCall *call = g_new0(EventCall, 1);

        *pending = (PendingEvent){ event, json_dumps(data, JSON_COMPACT) };
        g_queue_push_tail(&graph->events, pending);
        call->completion.deliver = deliver_events;
        call->graph = graph;
        async_complete(graph->context, &call->completion);
    }
    json_decref(data);
}

void block_set_named_file_handler(BlockGraph *graph, BlockNamedFileHandler *handler, void *opaque)
{
    graph->named_file_handler = handler;
    graph->named_file_opaque = opaque;
}

void node_announce_file(BlockNode *node, const char *what, const char *path, const char *format)
{
    BlockGraph *graph = node->graph;

    trace("block-named-file", "%s: %s %s (%s)", node->filename, what, path,
          format ? format : "format not given");
    if (graph->named_file_handler) {
        graph->named_file_handler(graph->named_file_opaque, node->filename, what, path, format);
    }
}

void block_show_named_file(void *opaque, const char *image, const char *what, const char *path,
                           const char *format)
{
    g_autofree char *shown = NULL;

    if (!isatty(STDERR_FILENO)) {
        return;
    }
    /* A name from an image must not move the cursor. */
    shown = g_strescape(path, NULL);
    fprintf(stderr, "%s: %s: opens its %s %s (%s)\n", (const char *)opaque, image, what, shown,
            format ? format : "format guessed");
}

void block_set_event_handler(BlockGraph *graph, BlockEventHandler *handler, void *opaque)
{
    graph->event_handler = handler;
    graph->event_opaque = opaque;
}

AsyncContext *block_graph_context(BlockGraph *graph)
{
    return graph->context;
}

void block_graph_set_blocking(BlockGraph *graph, bool blocking)
{
    graph->blocking = blocking;
}

bool block_graph_blocking(BlockGraph *graph)
{
    return graph->blocking;
}

GHashTable *block_graph_secrets(BlockGraph *graph)
{
    return graph->secrets;
}

GHashTable *block_graph_tls(BlockGraph *graph)
{
    return graph->tls;
}

GHashTable *block_graph_authz(BlockGraph *graph)
{
    return graph->authz;
}

BlockExports **block_graph_exports(BlockGraph *graph)
{
    return &graph->exports;
}

GHashTable *block_graph_throttle_groups(BlockGraph *graph)
{
    return graph->throttle_groups;
}

GList *block_graph_nodes(BlockGraph *graph)
{
    return graph->nodes;
}

GList *block_graph_backends(BlockGraph *graph)
{
    return graph->backends;
}

void block_graph_add_backend(BlockGraph *graph, BlockBackend *block)
{
    graph->backends = g_list_append(graph->backends, block);
}

void block_graph_remove_backend(BlockGraph *graph, BlockBackend *block)
{
    graph->backends = g_list_remove(graph->backends, block);
}

BlockNode *node_find(BlockGraph *graph, const char *node_name)
{
    for (GList *link = graph->nodes; link; link = link->next) {
        BlockNode *node = link->data;

        if (!strcmp(node->node_name, node_name)) {
            return node;
        }
    }
    return NULL;
}

const BlockDriver *block_driver_find(const char *name)
{
    const BlockDriver *const *it;

    REGISTRY_FOREACH(block_drivers, it) {
        if (!strcmp((*it)->name, name)) {
            return *it;
        }
    }
    return NULL;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char *block_format_names(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GString *text = g_string_new(NULL);
    const BlockDriver *const *it;

    REGISTRY_FOREACH(block_drivers, it) {
        if (!(*it)->is_internal) {
            g_ptr_array_add(names, (gpointer)(*it)->name);
        }
    }
    g_ptr_array_sort(names, compare_names);
    for (unsigned i = 0; i < names->len; i++) {
        g_string_append_printf(text, " %s", (char *)names->pdata[i]);
    }
    return g_string_free(text, FALSE);
}

static bool lists_option(const BlockOption *options, const char *name)
{
    while (options && options->name && strcmp(options->name, name)) {
        options++;
    }
    return options && options->name;
}

static void each_option_of(const BlockDriver *driver,
                           void (*fn)(void *opaque, const char *driver, const char *option),
                           void *opaque)
{
    const char *file = driver->child_option ? driver->child_option : "file";

    if (!driver->is_protocol && !driver->no_file_child && !lists_option(driver->options, file)) {
        fn(opaque, driver->name, file);
    }
    if (driver->has_backing && !lists_option(driver->options, "backing")) {
        fn(opaque, driver->name, "backing");
    }
    for (const BlockOption *option = driver->options; option && option->name; option++) {
        fn(opaque, driver->name, option->name);
    }
}

void block_each_option(void (*fn)(void *opaque, const char *driver, const char *option),
                       void *opaque)
{
    const BlockDriver *const *it;

    REGISTRY_FOREACH(block_drivers, it) {
        if (!(*it)->is_internal) {
            each_option_of(*it, fn, opaque);
        }
    }
}

bool block_check_amend_leftover(const BlockDriver *driver, GHashTable *options, GError **error)
{
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, options);
    if (!g_hash_table_iter_next(&iter, &key, NULL)) {
        return true;
    }
    return error_fail(error, KASO_ERROR_INVALID, "Invalid parameter '%s'%s", (char *)key,
                      lists_option(driver->create_options, key)
                          ? "\nThis option is only supported for image creation"
                          : "");
}

/* Nodes. */

BlockNode *node_new(BlockGraph *graph, const BlockDriver *driver, const char *node_name)
{
    BlockNode *node = g_new0(BlockNode, 1);

    node->graph = graph;
    node->driver = driver;
    node->node_name =
        node_name ? g_strdup(node_name)
                  : g_strdup_printf("#block%03" G_GUINT64_FORMAT, graph->next_node_number++);
    node->filename = g_strdup("");
    node->references = 1;
    node->request_alignment = 1;
    node->shared = BLOCK_PERM_ALL;
    node->state = g_malloc0(MAX(driver->instance_size, 1));
    g_queue_init(&node->children);
    g_queue_init(&node->parents);
    g_queue_init(&node->tracked);
    coroutine_mutex_init(&node->flush_lock);
    graph->nodes = g_list_append(graph->nodes, node);
    return node;
}

void node_free(BlockNode *node)
{
    BlockGraph *graph = node->graph;

    g_assert(g_queue_is_empty(&node->parents));
    g_assert(g_queue_is_empty(&node->tracked));
    node_forget_holds(node);
    while (node->dirty_bitmaps) {
        dirty_bitmap_free(node->dirty_bitmaps->data);
    }
    while (!g_queue_is_empty(&node->children)) {
        child_detach(g_queue_peek_head(&node->children));
    }
    graph->nodes = g_list_remove(graph->nodes, node);
    if (node->explicit_options) {
        g_hash_table_unref(node->explicit_options);
    }
    g_free(node->backing_filename);
    g_free(node->backing_format);
    g_free(node->filename);
    g_free(node->node_name);
    g_free(node->state);
    g_free(node);
}

void node_ref(BlockNode *node)
{
    node->references++;
}

/* A server that is lost has lost what it did not write: closing does not wait for it. */
void node_unref(BlockNode *node)
{
    static const unsigned always = 1;
    CoroutineHurry hurry;

    if (!node || --node->references) {
        return;
    }
    node->references = 1; /* closing may read and write through the node */
    coroutine_hurry_begin(&hurry, &always, HURRY_GIVE_UP);
    if (!node->read_only) {
        node_flush(node);
    }
    node->read_only |= node->inactive;
    if (node->driver->close) {
        node->driver->close(node);
    }
    coroutine_hurry_end(&hurry);
    node->references = 0;
    node_free(node);
}
