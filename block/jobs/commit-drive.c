/* SPDX-License-Identifier: MIT */
/*
 * The monitor's commit: what a drive's image holds goes into its backing file, and the image is emptied. The drive
 * keeps its image, and its guest waits meanwhile; block-commit is for drives that are at work.
 */
#include "base/error.h"
#include "block/backend.h"
#include "block/graph/blockers.h"
#include "block/graph/node.h"

#include <errno.h>

enum { PIECE = 1024 * 1024 };

static int copy_piece(BlockNode *top, BlockNode *base, uint64_t offset, uint64_t bytes,
                      uint8_t *buffer)
{
    int result = coroutine_hurry(coroutine_self()) >= HURRY_GIVE_UP ? -ECANCELED : 0;

    if (result == 0) {
        result = node_pread(top, offset, buffer, bytes);
    }
    if (result == 0 && node_chain_is_cut_off(top)) {
        result = -EIO; /* zeroes in place of what is lost do not belong into the base */
    }
    if (result == 0) {
        result = buffer_is_zero(buffer, bytes)
                     ? node_write_zeroes(base, offset, bytes, BLOCK_MAY_UNMAP)
                     : node_pwrite(base, offset, buffer, bytes, 0);
    }
    return result;
}

/* All that the top layer holds; then it holds nothing. */
static int commit_data(BlockNode *top, BlockNode *base)
{
    g_autofree uint8_t *buffer = g_try_malloc(PIECE);
    uint64_t size = node_size(top);
    int result = buffer ? 0 : -ENOMEM;

    for (uint64_t offset = 0, n; offset < size && result == 0; offset += n) {
        uint64_t count;
        int allocated = node_allocated_above(top, base, offset, size - offset, &count);

        n = allocated > 0 ? MIN(count, PIECE - offset % PIECE) : count;
        result = allocated > 0 ? copy_piece(top, base, offset, n, buffer) : allocated;
    }
    if (result == 0) {
        result = node_flush(base);
    }
    if (result == 0 && top->driver->make_empty && !top->read_only) {
        result = top->driver->make_empty(top);
    }
    return result;
}

static bool commit_node(BlockNode *top, BlockNode *base, const char *device, GError **error)
{
    bool was_read_only = base->read_only;
    BlockChild *user = NULL;
    int result = 0;

    if (!node_set_read_only(base, false, error)) {
        return false;
    }
    if (node_size(base) >= node_size(top) ||
        node_truncate(base, node_size(top), PREALLOC_OFF, error)) {
        /* What the chain shows does not change by it. */
        user = node_attach_user(base, "commit",
                                BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED,
                                BLOCK_PERM_ALL, error);
    }
    if (user) {
        result = commit_data(top, base);
        if (result < 0) {
            error_fail_errno(error, -result, "'commit' error for '%s'", device);
        }
        child_detach(user);
    }
    if (was_read_only) {
        node_set_read_only(base, true, NULL);
    }
    return user && result == 0;
}

static bool commit_drive(BlockGraph *graph, const char *device, GError **error)
{
    BlockNode *top = node_skip_filters(block_find_node(graph, device, error));
    BlockNode *base = top ? node_below(top) : NULL;
    bool done;

    if (!top) {
        return false;
    }
    if (!base) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'commit' error for '%s': '%s' has no backing file", device,
                          top->filename);
    }
    if (!node_may(top, OPERATION_COMMIT, error) || !node_may(base, OPERATION_COMMIT, error)) {
        return false;
    }
    block_graph_quiesce(graph);
    done = commit_node(top, base, device, error);
    block_graph_resume(graph);
    return done;
}

typedef struct {
    BlockGraph *graph;
    const char *device;
    bool done;
    GError **error;
} CommitCall;

static void commit_entry(void *opaque)
{
    CommitCall *call = opaque;

    call->done = true;
    if (call->device) {
        call->done = commit_drive(call->graph, call->device, call->error);
        return;
    }
    for (GList *link = block_graph_backends(call->graph); link && call->done; link = link->next) {
        BlockBackend *block = link->data;
        BlockNode *top = block->root ? node_skip_filters(block->root->node) : NULL;

        if (top && top->backing && block->id[0]) {
            call->done = commit_drive(call->graph, block->id, call->error);
        }
    }
}

bool block_commit_drive(BlockGraph *graph, const char *device, GError **error)
{
    CommitCall call = { .graph = graph, .device = device, .error = error };

    async_run_sync(block_graph_context(graph), commit_entry, &call);
    return call.done;
}
