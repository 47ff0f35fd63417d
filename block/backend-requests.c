/* SPDX-License-Identifier: MIT */
/* Requests of a BlockBackend: they become coroutines here, are counted, and complete in the backend's home. */
#include "block/backend.h"

#include "block/block.h"

#include <errno.h>

#include "base/error.h"

enum { SETTLE_US = 1000 * 1000 };

typedef enum {
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_FLUSH,
    REQUEST_ZEROES,
    REQUEST_DISCARD
} RequestKind;

typedef struct {
    AsyncCompletion completion; /* must stay first */
    BlockBackend *block;
    RequestKind kind;
    BlockFlags flags;
    uint64_t offset, bytes;
    IoVector vector;
    struct iovec own_iov; /* of synchronous requests */
    BlockCompletion *done;
    void *opaque;
    int64_t start_ns;
    int result;
} BlockRequest;

static void request_count(BlockRequest *request)
{
    static const BlockAccountKind kinds[] = {
        [REQUEST_READ] = BLOCK_ACCOUNT_READ,     [REQUEST_WRITE] = BLOCK_ACCOUNT_WRITE,
        [REQUEST_FLUSH] = BLOCK_ACCOUNT_FLUSH,   [REQUEST_ZEROES] = BLOCK_ACCOUNT_WRITE,
        [REQUEST_DISCARD] = BLOCK_ACCOUNT_UNMAP,
    };

    statistics_count(&request->block->statistics, kinds[request->kind], request->bytes,
                     request->result < 0, request->start_ns);
}

static int request_check(BlockRequest *request)
{
    BlockNode *node = request->block->root ? request->block->root->node : NULL;
    uint64_t end;

    if (!node) {
        return -ENOMEDIUM;
    }
    if (__builtin_add_overflow(request->offset, request->bytes, &end) || end > node_size(node)) {
        return -EIO;
    }
    if (request->block->read_only && request->kind != REQUEST_READ &&
        request->kind != REQUEST_FLUSH) {
        return -EPERM;
    }
    return 0;
}

static int request_run_in_graph(BlockRequest *request)
{
    BlockBackend *block = request->block;
    unsigned flags = request->flags;
    int result = request_check(request);
    BlockNode *node;

    if (result < 0) {
        return result;
    }
    node = block->root->node;
    if (!block->write_cache) {
        flags |= BLOCK_FUA;
    }
    switch (request->kind) {
    case REQUEST_READ:
        return node_read(node, request->offset, request->bytes, request->vector);
    case REQUEST_WRITE:
        return node_write(node, request->offset, request->bytes, request->vector, flags);
    case REQUEST_ZEROES:
        return node_write_zeroes(node, request->offset, request->bytes, flags);
    case REQUEST_DISCARD:
        return node_discard(node, request->offset, request->bytes);
    default:
        return node_flush(node);
    }
}

static int request_run(BlockRequest *request)
{
    BlockBackend *block = request->block;
    BlockGraph *graph = block->graph;
    CoroutineHurry hurry, give_up;
    int result;

    coroutine_hurry_begin(&hurry, &block->hurry, HURRY_PASS);
    coroutine_hurry_begin(&give_up, &block->give_up, HURRY_GIVE_UP);
    if (block->throttle && request->kind != REQUEST_FLUSH) {
        throttle_group_wait(block->throttle, request->kind != REQUEST_READ, request->bytes, false);
    }
    block_graph_enter(graph);
    result = request_run_in_graph(request);
    block_graph_leave(graph);
    coroutine_hurry_end(&give_up);
    coroutine_hurry_end(&hurry);
    return result;
}

static void request_deliver(AsyncCompletion *completion)
{
    BlockRequest *request = (BlockRequest *)completion;
    BlockBackend *block = request->block;

    request->done(request->opaque, request->result);
    __atomic_fetch_sub(&block->in_flight, 1, __ATOMIC_SEQ_CST);
    g_slice_free(BlockRequest, request);
}

static void request_entry(void *opaque)
{
    BlockRequest *request = opaque;

    request->result = request_run(request);
    request_count(request);
    async_complete(request->block->context, &request->completion);
}

static void request_submit(BlockBackend *block, RequestKind kind, uint64_t offset, uint64_t bytes,
                           IoVector vector, BlockFlags flags, BlockCompletion *done, void *opaque)
{
    BlockRequest *request = g_slice_new0(BlockRequest);

    request->completion.deliver = request_deliver;
    request->completion.home = block->home;
    request->block = block;
    request->kind = kind;
    request->flags = flags;
    request->offset = offset;
    request->bytes = bytes;
    request->vector = vector;
    request->done = done;
    request->opaque = opaque;
    request->start_ns = statistics_now_ns();
    __atomic_fetch_add(&block->in_flight, 1, __ATOMIC_RELAXED);
    async_lock(block->context);
    async_start(block->context, request_entry, request);
    async_unlock(block->context);
}

static uint64_t iov_size(const struct iovec *iov, unsigned count)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

void block_read(BlockBackend *block, uint64_t offset, const struct iovec *iov, unsigned count,
                BlockCompletion *done, void *opaque)
{
    request_submit(block, REQUEST_READ, offset, iov_size(iov, count), (IoVector){ iov, count, 0 },
                   0, done, opaque);
}

void block_write(BlockBackend *block, uint64_t offset, const struct iovec *iov, unsigned count,
                 BlockFlags flags, BlockCompletion *done, void *opaque)
{
    request_submit(block, REQUEST_WRITE, offset, iov_size(iov, count), (IoVector){ iov, count, 0 },
                   flags, done, opaque);
}

void block_flush(BlockBackend *block, BlockCompletion *done, void *opaque)
{
    request_submit(block, REQUEST_FLUSH, 0, 0, (IoVector){ 0 }, 0, done, opaque);
}

void block_write_zeroes(BlockBackend *block, uint64_t offset, uint64_t size, BlockFlags flags,
                        BlockCompletion *done, void *opaque)
{
    request_submit(block, REQUEST_ZEROES, offset, size, (IoVector){ 0 }, flags, done, opaque);
}

void block_discard(BlockBackend *block, uint64_t offset, uint64_t size, BlockCompletion *done,
                   void *opaque)
{
    request_submit(block, REQUEST_DISCARD, offset, size, (IoVector){ 0 }, 0, done, opaque);
}

void block_plug(BlockBackend *block)
{
    async_lock(block->context);
    async_plug(block->context);
    async_unlock(block->context);
}

void block_unplug(BlockBackend *block)
{
    async_lock(block->context);
    async_unplug(block->context);
    async_unlock(block->context);
}

static bool is_completion_of(AsyncCompletion *completion, void *opaque)
{
    return completion->deliver == request_deliver && ((BlockRequest *)completion)->block == opaque;
}

void block_deliver(BlockBackend *block)
{
    AsyncCompletion *list;

    async_lock(block->context);
    list = async_take_completed(block->context, block->home, is_completion_of, block);
    async_unlock(block->context);
    if (!list) {
        return;
    }
    while (list) {
        AsyncCompletion *completion = list;

        list = completion->next;
        completion->deliver(completion);
    }
    if (__atomic_load_n(&block->hurry, __ATOMIC_SEQ_CST)) {
        async_lock(block->context); /* a drain sleeps: let it look again */
        async_unlock(block->context);
    }
}

void block_hold(BlockBackend *block)
{
    __atomic_fetch_add(&block->in_flight, 1, __ATOMIC_RELAXED);
}

void block_release(BlockBackend *block)
{
    AsyncContext *context = block->context; /* who drains may close the backend at once */

    async_lock(context);
    __atomic_fetch_sub(&block->in_flight, 1, __ATOMIC_RELEASE);
    async_unlock(context);
}

bool block_set_context(BlockBackend *block, GMainContext *context, void (*enter)(void *opaque),
                       void (*leave)(void *opaque), void *opaque, GError **error)
{
    AsyncHome *old = block->home, *home = NULL;

    if (context) {
        home = async_home_get(block->context, context, enter, leave, opaque);
        if (!home) {
            return error_fail_errno(error, errno,
                                    "no descriptor for a drive's iothread (ulimit -n)");
        }
    }
    block->home = home;
    if (old) {
        async_home_unref(old);
    }
    return true;
}

static bool backend_is_idle(void *opaque)
{
    return __atomic_load_n(&((BlockBackend *)opaque)->in_flight, __ATOMIC_ACQUIRE) == 0;
}

static void drain_until(BlockBackend *block, bool (*condition)(void *opaque), void *opaque)
{
    __atomic_fetch_add(&block->hurry, 1, __ATOMIC_SEQ_CST);
    async_lock(block->context);
    block_graph_hurry(block->graph);
    async_unlock(block->context);
    async_poll_until(block->context, condition, opaque);
    __atomic_fetch_sub(&block->hurry, 1, __ATOMIC_RELAXED);
}

void block_drain(BlockBackend *block)
{
    __atomic_fetch_add(&block->give_up, 1, __ATOMIC_SEQ_CST);
    drain_until(block, backend_is_idle, block);
    __atomic_fetch_sub(&block->give_up, 1, __ATOMIC_RELAXED);
}

typedef struct {
    BlockBackend *block;
    int64_t until_us; /* no longer for a server that is lost */
} Settle;

static bool backend_is_settled(void *opaque)
{
    const Settle *settle = opaque;

    return backend_is_idle(settle->block) ||
           (block_graph_stalled(settle->block->graph) && g_get_monotonic_time() > settle->until_us);
}

void block_settle(BlockBackend *block)
{
    Settle settle = { block, g_get_monotonic_time() + SETTLE_US };

    drain_until(block, backend_is_settled, &settle);
}

static void request_sync_entry(void *opaque)
{
    BlockRequest *request = opaque;

    request->result = request_run(request);
    request_count(request);
}

static int request_sync(BlockBackend *block, RequestKind kind, uint64_t offset, void *buffer,
                        uint64_t bytes)
{
    BlockRequest request = { .block = block, .kind = kind, .offset = offset, .bytes = bytes };

    request.start_ns = statistics_now_ns();
    request.own_iov = (struct iovec){ buffer, bytes };
    request.vector = io_vector_of(&request.own_iov);
    async_run_sync(block->context, request_sync_entry, &request);
    return request.result;
}

int block_pread(BlockBackend *block, uint64_t offset, void *buffer, uint64_t size)
{
    return request_sync(block, REQUEST_READ, offset, buffer, size);
}

int block_pwrite(BlockBackend *block, uint64_t offset, const void *buffer, uint64_t size)
{
    return request_sync(block, REQUEST_WRITE, offset, (void *)buffer, size);
}

int block_flush_sync(BlockBackend *block)
{
    return request_sync(block, REQUEST_FLUSH, 0, NULL, 0);
}
