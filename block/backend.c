/* SPDX-License-Identifier: MIT */
/* BlockBackend: a device's or tool's handle on an image graph; its life, its medium and its rights. */
#include "block/backend.h"

#include "block/block.h"

#include "base/error.h"
#include "block/graph/blockers.h"

#include <errno.h>
#include <string.h>

typedef struct {
    BlockGraph *graph;
    GHashTable *options;
    const char *name;
    BlockBackend *block;
    bool flag, done;
    GError **error;
} BackendCall;

static BlockBackend *backend_new(BlockGraph *graph, const char *id)
{
    BlockBackend *block = g_new0(BlockBackend, 1);

    block->graph = graph;
    block->context = block_graph_context(graph);
    block->id = g_strdup(id ? id : "");
    block->write_cache = true;
    block->attached = 1;
    statistics_init(&block->statistics);
    return block;
}

BlockBackend *block_new(BlockNode *node, const char *id, unsigned perm, unsigned shared,
                        GError **error)
{
    BlockBackend *block = backend_new(node->graph, id);
    g_autofree char *owner = id && id[0] ? g_strdup_printf("block device '%s'", id)
                                         : g_strdup("an unnamed block device");

    block->read_only = node->read_only;
    block->root = node_attach_user(node, owner, perm, shared, error);
    if (!block->root) {
        g_free(block->id);
        g_free(block);
        return NULL;
    }
    block_graph_add_backend(node->graph, block);
    return block;
}

void backend_set_throttle(BlockBackend *block, const char *group, const ThrottleConfig *config)
{
    ThrottleGroup *old = block->throttle;

    block->throttle = NULL;
    if (throttle_config_any(config)) {
        block->throttle = throttle_group_get(block->graph, group ? group : block->id);
        throttle_group_configure(block->throttle, config);
    }
    throttle_group_unref(old);
}

static void close_entry(void *opaque)
{
    BlockBackend *block = opaque;

    if (block->root) {
        node_flush(block->root->node);
        child_detach(block->root);
    }
    throttle_group_unref(block->throttle);
    statistics_clear(&block->statistics);
    block_graph_remove_backend(block->graph, block);
}

void block_close(BlockBackend *block)
{
    if (!block) {
        return;
    }
    if (!coroutine_self()) {
        block_drain(block);
    }
    if (--block->attached) {
        return;
    }
    block_set_context(block, NULL, NULL, NULL, NULL, NULL);
    async_run_sync(block->context, close_entry, block);
    g_free(block->id);
    g_free(block);
}

static void node_add_entry(void *opaque)
{
    BackendCall *call = opaque;
    GHashTable *options = options_copy(call->options);
    BlockOpenFlags flags = { 0 };
    BlockNode *node;

    if (!options_get(options, "node-name") || !options_get(options, "driver")) {
        error_fail(call->error, KASO_ERROR_INVALID, "Parameter '%s' is missing",
                   options_get(options, "driver") ? "node-name" : "driver");
        g_hash_table_unref(options);
        return;
    }
    node = node_open(call->graph, NULL, options, flags, call->error);
    if (node) {
        node->monitor_owned = true;
        call->done = true;
    }
}

bool block_node_exists(BlockGraph *graph, const char *node_name)
{
    bool exists;

    async_lock(block_graph_context(graph));
    exists = node_find(graph, node_name) != NULL;
    async_unlock(block_graph_context(graph));
    return exists;
}

bool block_node_add(BlockGraph *graph, GHashTable *options, GError **error)
{
    BackendCall call = { .graph = graph, .options = options, .error = error };

    async_run_sync(block_graph_context(graph), node_add_entry, &call);
    return call.done;
}

/* Whether a device, an export or a job's target uses the node itself. */
static bool has_backend(const BlockNode *node)
{
    for (GList *link = node->parents.head; link; link = link->next) {
        if (!((BlockChild *)link->data)->parent) {
            return true;
        }
    }
    return false;
}

static void may_move_entry(void *opaque)
{
    BackendCall *call = opaque;
    BlockNode *node = node_find(call->graph, call->name);

    if (!node) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Failed to find node with node-name='%s'",
                   call->name);
    } else if (!call->flag && has_backend(node)) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Node %s is in use", call->name);
    } else {
        call->done = true;
    }
}

bool block_node_may_move(BlockGraph *graph, const char *node_name, bool force, GError **error)
{
    BackendCall call = { .graph = graph, .name = node_name, .flag = force, .error = error };

    async_run_sync(block_graph_context(graph), may_move_entry, &call);
    return call.done;
}

static void node_remove_entry(void *opaque)
{
    BackendCall *call = opaque;
    BlockNode *node = node_find(call->graph, call->name);

    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND, "Failed to find node with node-name='%s'",
                   call->name);
    } else if (!node_alone_may(node, OPERATION_DELETE, call->error)) {
        return;
    } else if (has_backend(node)) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Node %s is in use", call->name);
    } else if (!node->monitor_owned) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Node %s is not owned by the monitor",
                   call->name);
    } else if (node->references > 1) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Block device %s is in use", call->name);
    } else {
        node->monitor_owned = false;
        node_unref(node);
        call->done = true;
    }
}

bool block_node_remove(BlockGraph *graph, const char *node_name, GError **error)
{
    BackendCall call = { .graph = graph, .name = node_name, .error = error };

    async_run_sync(block_graph_context(graph), node_remove_entry, &call);
    return call.done;
}

BlockBackend *backend_find(BlockGraph *graph, const char *id)
{
    for (GList *link = block_graph_backends(graph); link; link = link->next) {
        BlockBackend *block = link->data;

        if (block->id[0] && !strcmp(block->id, id)) {
            return block;
        }
    }
    return NULL;
}

static void attach_entry(void *opaque)
{
    BackendCall *call = opaque;
    BlockBackend *block = backend_find(call->graph, call->name);
    BlockNode *node;

    if (block) {
        if (block->read_only && !call->flag) {
            error_fail(call->error, KASO_ERROR_GENERIC,
                       "Drive '%s' is read-only, but the device needs to write", call->name);
        } else {
            block->attached++;
            call->block = block;
        }
        return;
    }
    node = node_find(call->graph, call->name);
    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND,
                   "Cannot find a drive with id='%s' nor a block node with node-name='%s'",
                   call->name, call->name);
    } else {
        call->block = block_new(node, NULL, 0, BLOCK_PERM_ALL, call->error);
        if (call->block) {
            call->block->read_only = call->flag || node->read_only;
            call->block->on_write_error = BLOCK_ERROR_ENOSPC;
        }
    }
}

typedef struct {
    BlockBackend *block;
    const char *user;
    unsigned perm, shared;
    bool done;
    GError **error;
} ClaimCall;

static void claim_entry(void *opaque)
{
    ClaimCall *call = opaque;
    BlockChild *root = call->block->root;
    char *old = root->owner;

    root->owner = g_strdup_printf("block device '%s'", call->user);
    call->done = child_set_perm(root, call->perm, call->shared, call->error);
    if (call->done) {
        g_free(old);
    } else {
        g_free(root->owner);
        root->owner = old;
    }
}

bool block_claim(BlockBackend *block, const char *user, bool share_rw, GError **error)
{
    ClaimCall call = { .block = block,
                       .user = user,
                       .perm = backend_perm(block->read_only),
                       .shared = BLOCK_DEVICE_SHARED | (share_rw ? BLOCK_PERM_WRITE : 0),
                       .error = error };

    /* Until the machine has come, its disk may be copied into an export. */
    block->share_until_active = !share_rw && block_graph_inactive(block->graph);
    if (block->share_until_active) {
        call.shared |= BLOCK_PERM_WRITE;
    }

    if (block->claimed) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Drive '%s' is already in use by another device", block->id);
    }
    if (block->root) {
        async_run_sync(block->context, claim_entry, &call);
    }
    block->claimed = call.done || !block->root;
    return block->claimed;
}

void block_claim_settle(BlockBackend *block)
{
    BlockChild *root = block->root;

    if (block->share_until_active && root &&
        child_set_perm(root, root->perm, root->shared & ~BLOCK_PERM_WRITE, NULL)) {
        block->share_until_active = false;
    }
}

void block_disclaim(BlockBackend *block)
{
    ClaimCall call = { .block = block,
                       .user = block->id,
                       .perm = BLOCK_PERM_CONSISTENT_READ,
                       .shared = BLOCK_PERM_ALL };

    block->claimed = false;
    if (block->root) {
        async_run_sync(block->context, claim_entry, &call);
    }
}

bool block_write_cache(const BlockBackend *block)
{
    return block->write_cache;
}

void block_set_write_cache(BlockBackend *block, bool write_cache)
{
    async_lock(block->context);
    block->write_cache = write_cache;
    async_unlock(block->context);
}

void block_set_account_invalid(BlockBackend *block, bool account)
{
    async_lock(block->context);
    block->statistics.account_invalid = account;
    async_unlock(block->context);
}

void block_set_account_failed(BlockBackend *block, bool account)
{
    async_lock(block->context);
    block->statistics.account_failed = account;
    async_unlock(block->context);
}

BlockBackend *block_attach(BlockGraph *graph, const char *id_or_node_name, bool read_only,
                           GError **error)
{
    BackendCall call = {
        .graph = graph, .name = id_or_node_name, .flag = read_only, .error = error
    };

    async_run_sync(block_graph_context(graph), attach_entry, &call);
    return call.block;
}

BlockNode *block_find_node(BlockGraph *graph, const char *name, GError **error)
{
    BlockBackend *block = backend_find(graph, name);
    BlockNode *node;

    if (block && block->root) {
        return block->root->node;
    }
    node = node_find(graph, name);
    if (!node) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Cannot find device='%s' nor node-name='%s'", name,
                   name);
    }
    return node;
}

/* Media that come and go. */

BlockBackend *block_open_empty(BlockGraph *graph, const char *id)
{
    BlockBackend *block = backend_new(graph, id);

    async_lock(block->context);
    block_graph_add_backend(graph, block);
    async_unlock(block->context);
    return block;
}

bool block_has_image(const BlockBackend *block)
{
    return block->root != NULL;
}

static void take_out_entry(void *opaque)
{
    BlockBackend *block = opaque;

    if (block->root) {
        node_flush(block->root->node);
        child_detach(block->root);
        block->root = NULL;
    }
}

void block_take_out(BlockBackend *block)
{
    block_drain(block);
    async_run_sync(block->context, take_out_entry, block);
}

static void forget_entry(void *opaque)
{
    BackendCall *call = opaque;
    BlockBackend *block = call->block;

    if (!block->root || node_may(block->root->node, OPERATION_DELETE, call->error)) {
        take_out_entry(block);
        g_free(block->id);
        block->id = g_strdup("");
        block->on_read_error = block->on_write_error = BLOCK_ERROR_REPORT;
        call->done = true;
    }
}

bool block_forget(BlockBackend *block, GError **error)
{
    BackendCall call = { .block = block, .error = error };

    block_drain(block);
    async_run_sync(block->context, forget_entry, &call);
    return call.done;
}

typedef struct {
    BlockBackend *block;
    const char *node_name; /* or, NULL, the node of */
    BlockBackend *source;
    bool read_only;
    GError **error;
} PutInCall;

static void put_in_entry(void *opaque)
{
    PutInCall *call = opaque;
    BlockBackend *block = call->block;
    BlockNode *node = call->node_name      ? node_find(block->graph, call->node_name)
                      : call->source->root ? call->source->root->node
                                           : NULL;
    g_autofree char *owner = g_strdup_printf("block device '%s'", block->id);
    bool read_only = call->read_only || (node && node->read_only);

    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND, "Cannot find node '%s'",
                   call->node_name ? call->node_name : "");
        return;
    }
    block->root = node_attach_user(
        node, owner, block->claimed ? backend_perm(read_only) : BLOCK_PERM_CONSISTENT_READ,
        block->claimed ? BLOCK_DEVICE_SHARED : BLOCK_PERM_ALL, call->error);
    if (block->root) {
        block->read_only = read_only;
    }
}

static bool put_in(PutInCall *call)
{
    BlockBackend *block = call->block;
    GError **error = call->error;

    if (block->root) {
        return error_fail(error, KASO_ERROR_GENERIC, "There already is a medium in the drive");
    }
    async_run_sync(block->context, put_in_entry, call);
    return block->root != NULL;
}

bool block_put_in(BlockBackend *block, const char *node_name, bool read_only, GError **error)
{
    PutInCall call = {
        .block = block, .node_name = node_name, .read_only = read_only, .error = error
    };

    return put_in(&call);
}

bool block_put_in_of(BlockBackend *block, BlockBackend *source, bool read_only, GError **error)
{
    PutInCall call = { .block = block, .source = source, .read_only = read_only, .error = error };

    return put_in(&call);
}

/* Looking. */

BlockBackend *block_next(BlockGraph *graph, BlockBackend *previous)
{
    GList *link = block_graph_backends(graph);

    if (previous) {
        link = g_list_find(link, previous);
        link = link ? link->next : NULL;
    }
    return link ? link->data : NULL;
}

bool block_is_devices(const BlockBackend *block, const BlockChild *child)
{
    return block->root == child && block->claimed;
}

BlockNode *block_node(BlockBackend *block)
{
    return block->root ? block->root->node : NULL;
}

const char *block_id(const BlockBackend *block)
{
    return block->id;
}

uint64_t block_size(BlockBackend *block)
{
    return block->root ? node_size(block->root->node) : 0;
}

void block_on_resize(BlockBackend *block, void (*resized)(void *opaque), void *opaque)
{
    block->resized = resized;
    block->resized_opaque = opaque;
    block->told_size = block_size(block);
}

void backend_tell_sizes(BlockGraph *graph)
{
    BlockBackend *block = NULL;

    while ((block = block_next(graph, block))) {
        if (block->resized && block->told_size != block_size(block)) {
            block->told_size = block_size(block);
            block->resized(block->resized_opaque);
        }
    }
}

bool block_guessed_raw(const BlockBackend *block)
{
    const BlockNode *node = block->root ? block->root->node : NULL;

    return node && node->probed && !node->read_only && !strcmp(node->driver->name, "raw");
}

bool block_read_only(const BlockBackend *block)
{
    return block->read_only;
}

BlockErrorPolicy block_error_policy(const BlockBackend *block, bool is_write)
{
    return is_write ? block->on_write_error : block->on_read_error;
}

void block_set_io_status(BlockBackend *block, int error)
{
    block->io_error = error;
}

const char *block_io_status(const BlockBackend *block)
{
    return block->io_error == ENOSPC ? "nospace" : block->io_error ? "failed" : "ok";
}

const char *block_node_name(const BlockBackend *block)
{
    return block->root ? block->root->node->node_name : "";
}

uint32_t block_logical_sector(const BlockBackend *block)
{
    uint32_t align = block->root ? block->root->node->request_alignment : 512;

    return CLAMP(align, 512, 4096);
}

void block_statistics(BlockBackend *block, BlockStatistics *statistics)
{
    const Account *accounts = block->statistics.accounts;

    async_lock(block->context);
    *statistics = (BlockStatistics){
        .read_bytes = accounts[BLOCK_ACCOUNT_READ].bytes,
        .write_bytes = accounts[BLOCK_ACCOUNT_WRITE].bytes,
        .read_operations = accounts[BLOCK_ACCOUNT_READ].operations,
        .write_operations = accounts[BLOCK_ACCOUNT_WRITE].operations,
        .flush_operations = accounts[BLOCK_ACCOUNT_FLUSH].operations,
        .failed_reads = accounts[BLOCK_ACCOUNT_READ].failed,
        .failed_writes = accounts[BLOCK_ACCOUNT_WRITE].failed,
    };
    async_unlock(block->context);
}

void block_count_invalid(BlockBackend *block, BlockAccountKind kind)
{
    async_lock(block->context);
    statistics_count_invalid(&block->statistics, kind);
    async_unlock(block->context);
}

const char *block_filename(BlockBackend *block)
{
    return block->root ? block->root->node->filename : "";
}

const char *block_driver_name(BlockBackend *block)
{
    return block->root ? block->root->node->driver->name : "";
}

char *block_describe(BlockBackend *block)
{
    GString *text = g_string_new(NULL);
    BlockNode *node = block_node(block);

    if (!node) {
        g_string_append(text, "[not inserted]");
        return g_string_free(text, FALSE);
    }
    g_string_append_printf(text, "%s (%s%s)", node->filename, node->driver->name,
                           block->read_only ? ", read-only" : "");
    for (node = node_below(node); node; node = node_below(node)) {
        g_string_append_printf(text, "\n    Backing file:     %s (%s)", node->filename,
                               node->driver->name);
    }
    return g_string_free(text, FALSE);
}
