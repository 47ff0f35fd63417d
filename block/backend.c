/* SPDX-License-Identifier: MIT */
/*
 * BlockBackend: a device's or tool's handle on an image graph. Requests become coroutines here,
 * are counted, and complete in the main context.
 */
#include "block/block.h"

#include "base/bits.h"
#include "base/error.h"
#include "block/node.h"
#include "block/overlay.h"

#include <errno.h>
#include <string.h>

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
    int result;
} BlockRequest;

struct BlockBackend {
    BlockGraph *graph;
    AsyncContext *context;
    char *id;
    BlockChild *root;
    unsigned attached; /* devices beside the creator; each closes once */
    bool read_only;
    bool write_cache; /* off: each write is followed by a flush */
    BlockErrorPolicy on_read_error, on_write_error;
    unsigned in_flight; /* until the completion has been delivered */
    BlockStatistics statistics;
};

static void request_count(BlockRequest *request)
{
    BlockStatistics *statistics = &request->block->statistics;
    bool failed = request->result < 0;

    switch (request->kind) {
    case REQUEST_READ:
        statistics->read_operations++;
        statistics->read_bytes += failed ? 0 : request->bytes;
        statistics->failed_reads += failed;
        break;
    case REQUEST_FLUSH:
        statistics->flush_operations++;
        break;
    default:
        statistics->write_operations++;
        statistics->write_bytes += failed ? 0 : request->bytes;
        statistics->failed_writes += failed;
        break;
    }
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
    BlockGraph *graph = request->block->graph;
    int result;

    block_graph_enter(graph);
    result = request_run_in_graph(request);
    block_graph_leave(graph);
    return result;
}

static void request_deliver(AsyncCompletion *completion)
{
    BlockRequest *request = (BlockRequest *)completion;
    BlockBackend *block = request->block;

    request->done(request->opaque, request->result);
    __atomic_fetch_sub(&block->in_flight, 1, __ATOMIC_RELEASE);
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
    request->block = block;
    request->kind = kind;
    request->flags = flags;
    request->offset = offset;
    request->bytes = bytes;
    request->vector = vector;
    request->done = done;
    request->opaque = opaque;
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
    list = async_take_completed(block->context, is_completion_of, block);
    async_unlock(block->context);
    while (list) {
        AsyncCompletion *completion = list;

        list = completion->next;
        completion->deliver(completion);
    }
}

static bool backend_is_idle(void *opaque)
{
    return __atomic_load_n(&((BlockBackend *)opaque)->in_flight, __ATOMIC_ACQUIRE) == 0;
}

void block_drain(BlockBackend *block)
{
    async_poll_until(block->context, backend_is_idle, block);
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

/* Opening. */

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
    return block;
}

BlockBackend *block_new(BlockNode *node, const char *id, unsigned perm, unsigned shared,
                        GError **error)
{
    BlockBackend *block = backend_new(node->graph, id);

    block->read_only = node->read_only;
    block->root = node_attach_user(node, "the device", perm, shared, error);
    if (!block->root) {
        g_free(block->id);
        g_free(block);
        return NULL;
    }
    block->root->owner = block->id[0] ? block->id : "the device";
    block_graph_add_backend(node->graph, block);
    return block;
}

static unsigned backend_perm(bool read_only)
{
    return BLOCK_PERM_CONSISTENT_READ | (read_only ? 0 : BLOCK_PERM_WRITE);
}

enum {
    DEVICE_SHARED = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED | BLOCK_PERM_RESIZE
};

/* cache=MODE as -drive takes it. */
static bool apply_cache_mode(const char *mode, BlockOpenFlags *flags, bool *write_cache,
                             GError **error)
{
    static const struct {
        const char *name;
        bool direct, no_flush, write_cache;
    } modes[] = {
        { "none", true, false, true },        { "off", true, false, true },
        { "writeback", false, false, true },  { "writethrough", false, false, false },
        { "directsync", true, false, false }, { "unsafe", false, true, true },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if (!strcmp(modes[i].name, mode)) {
            flags->cache_direct = modes[i].direct;
            flags->cache_no_flush = modes[i].no_flush;
            *write_cache = modes[i].write_cache;
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "invalid cache option '%s': choose none, writeback, writethrough, directsync "
                      "or unsafe",
                      mode);
}

/* Options of -drive that belong to the backend. */
typedef struct {
    char *id, *format, *file;
    BlockOpenFlags flags;
    bool write_cache, snapshot, copy_on_read;
    int on_read_error, on_write_error;
    GHashTable *throttle;
} DriveOptions;

static bool drive_take_flags(GHashTable *options, DriveOptions *drive, GError **error)
{
    static const char *const aio_names[] = { "auto", "threads", "io_uring", "native", NULL };
    static const char *const policies[] = { "report", "ignore", "stop", "enospc", NULL };
    g_autofree char *cache = options_take(options, "cache");
    int aio = BLOCK_AIO_AUTO;

    if ((cache && !apply_cache_mode(cache, &drive->flags, &drive->write_cache, error)) ||
        !options_take_bool(options, "cache.writeback", &drive->write_cache, error) ||
        !options_take_bool(options, "readonly", &drive->flags.read_only, error) ||
        !options_take_bool(options, "read-only", &drive->flags.read_only, error) ||
        !options_take_bool(options, "snapshot", &drive->snapshot, error) ||
        !options_take_bool(options, "copy-on-read", &drive->copy_on_read, error) ||
        !options_take_enum(options, "aio", aio_names, &aio, error) ||
        !options_take_enum(options, "rerror", policies, &drive->on_read_error, error) ||
        !options_take_enum(options, "werror", policies, &drive->on_write_error, error)) {
        return false;
    }
    if (drive->on_read_error == BLOCK_ERROR_ENOSPC) {
        return error_fail(error, KASO_ERROR_INVALID, "rerror=enospc is for writes only");
    }
    drive->flags.aio = aio;
    return true;
}

static void drive_take_throttle(GHashTable *options, DriveOptions *drive)
{
    static const char *const keys[] = {
        "bps",         "bps_rd",      "bps_wr",     "iops",       "iops_rd",
        "iops_wr",     "bps_max",     "bps_rd_max", "bps_wr_max", "iops_max",
        "iops_rd_max", "iops_wr_max", "iops_size",
    };

    drive->throttle = options_take_nested(options, "throttling");
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        g_autofree char *value = options_take(options, keys[i]);

        if (value) {
            options_set(drive->throttle, keys[i], value);
        }
    }
}

static bool drive_take_options(GHashTable *options, DriveOptions *drive, GError **error)
{
    drive->write_cache = true;
    drive->on_write_error = BLOCK_ERROR_ENOSPC;
    drive->id = options_take(options, "id");
    drive->format = options_take(options, "format");
    drive->file = options_take(options, "file");
    if (!drive_take_flags(options, drive, error)) {
        return false;
    }
    drive_take_throttle(options, drive);
    if (drive->format) {
        if (options_get(options, "driver")) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "Cannot specify both 'driver' and 'format'");
        }
        options_set(options, "driver", drive->format);
    }
    return true;
}

static void drive_options_clear(DriveOptions *drive)
{
    g_free(drive->id);
    g_free(drive->format);
    g_free(drive->file);
    if (drive->throttle) {
        g_hash_table_unref(drive->throttle);
    }
}

/* Puts a filter (throttle, copy-on-read) above node; takes over the reference. */
static BlockNode *add_filter(BlockNode *node, const char *driver, GHashTable *options,
                             GError **error)
{
    BlockOpenFlags flags = node->flags;
    BlockNode *filter;

    options_set(options, "driver", driver);
    options_set(options, "file", node->node_name);
    flags.read_only = node->read_only;
    filter = node_open(node->graph, NULL, g_hash_table_ref(options), flags, error);
    node_unref(node);
    return filter;
}

static BlockNode *drive_open_node(BlockGraph *graph, DriveOptions *drive, GHashTable *options,
                                  GError **error)
{
    BlockOpenFlags flags = drive->flags;
    BlockNode *node;

    if (drive->snapshot) {
        flags.read_only = true;
        flags.unmap = false;
    }
    if (drive->file && node_find(graph, drive->file)) {
        options_set(options, "file", drive->file);
        node = node_open(graph, NULL, g_hash_table_ref(options), flags, error);
    } else {
        node = node_open(graph, drive->file, g_hash_table_ref(options), flags, error);
    }
    if (node && drive->snapshot) {
        node = overlay_new(node, error);
    }
    if (node && drive->copy_on_read && !node->read_only) {
        g_autoptr(GHashTable) filter = options_new();

        node = add_filter(node, "copy-on-read", filter, error);
    }
    if (node && g_hash_table_size(drive->throttle)) {
        node = add_filter(node, "throttle", drive->throttle, error);
    }
    return node;
}

static void open_entry(void *opaque)
{
    BackendCall *call = opaque;
    g_autoptr(GHashTable) options = options_copy(call->options);
    DriveOptions drive = { 0 };
    BlockNode *node = NULL;

    if (drive_take_options(options, &drive, call->error)) {
        node = drive_open_node(call->graph, &drive, options, call->error);
    }
    if (node) {
        call->block =
            block_new(node, drive.id, backend_perm(node->read_only), DEVICE_SHARED, call->error);
        if (call->block) {
            call->block->write_cache = drive.write_cache;
            call->block->on_read_error = drive.on_read_error;
            call->block->on_write_error = drive.on_write_error;
        }
        node_unref(node);
    }
    drive_options_clear(&drive);
}

BlockBackend *block_open(BlockGraph *graph, GHashTable *options, GError **error)
{
    BackendCall call = { .graph = graph, .options = options, .error = error };

    async_run_sync(block_graph_context(graph), open_entry, &call);
    return call.block;
}

static void close_entry(void *opaque)
{
    BlockBackend *block = opaque;

    if (block->root) {
        node_flush(block->root->node);
        child_detach(block->root);
    }
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

bool block_node_add(BlockGraph *graph, GHashTable *options, GError **error)
{
    BackendCall call = { .graph = graph, .options = options, .error = error };

    async_run_sync(block_graph_context(graph), node_add_entry, &call);
    return call.done;
}

static void node_remove_entry(void *opaque)
{
    BackendCall *call = opaque;
    BlockNode *node = node_find(call->graph, call->name);

    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND, "Failed to find node with node-name='%s'",
                   call->name);
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

static void attach_entry(void *opaque)
{
    BackendCall *call = opaque;
    BlockNode *node;

    for (GList *link = block_graph_backends(call->graph); link; link = link->next) {
        BlockBackend *block = link->data;

        if (block->id[0] && !strcmp(block->id, call->name)) {
            if (block->read_only && !call->flag) {
                error_fail(call->error, KASO_ERROR_GENERIC,
                           "Drive '%s' is read-only, but the device needs to write", call->name);
            } else {
                block->attached++;
                call->block = block;
            }
            return;
        }
    }
    node = node_find(call->graph, call->name);
    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND,
                   "Cannot find a drive with id='%s' nor a block node with node-name='%s'",
                   call->name, call->name);
    } else {
        call->block = block_new(node, NULL, backend_perm(call->flag || node->read_only),
                                DEVICE_SHARED, call->error);
        if (call->block) {
            call->block->read_only = call->flag || node->read_only;
            call->block->on_write_error = BLOCK_ERROR_ENOSPC;
        }
    }
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
    BlockNode *node;

    for (GList *link = block_graph_backends(graph); link; link = link->next) {
        BlockBackend *block = link->data;

        if (block->id[0] && !strcmp(block->id, name) && block->root) {
            return block->root->node;
        }
    }
    node = node_find(graph, name);
    if (!node) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Cannot find device='%s' nor node-name='%s'", name,
                   name);
    }
    return node;
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

bool block_read_only(const BlockBackend *block)
{
    return block->read_only;
}

BlockErrorPolicy block_error_policy(const BlockBackend *block, bool is_write)
{
    return is_write ? block->on_write_error : block->on_read_error;
}

uint32_t block_logical_sector(const BlockBackend *block)
{
    uint32_t align = block->root ? block->root->node->request_alignment : 512;

    return CLAMP(align, 512, 4096);
}

void block_statistics(BlockBackend *block, BlockStatistics *statistics)
{
    async_lock(block->context);
    *statistics = block->statistics;
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
