/* SPDX-License-Identifier: MIT */
/* Opening of backends by -drive's options. */
#include "base/bits.h"
#include "base/error.h"
#include "block/backend.h"
#include "block/jobs/overlay.h"

#include <string.h>

enum { INTERVALS_MAX = 64 };

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
    char *throttle_group;
    ThrottleConfig throttle;
    bool account_failed, account_invalid;
    GArray *intervals; /* uint64_t: seconds; NULL: none */
} DriveOptions;

/* Keys of a drive that have an older name, by which they must not be given besides. */
static const struct {
    const char *key, *alias;
} aliases[] = {
    { "read-only", "readonly" },
    { "throttling.group", "group" },
    { "throttling.iops-size", "iops_size" },
    { "throttling.iops-total", "iops" },
    { "throttling.iops-read", "iops_rd" },
    { "throttling.iops-write", "iops_wr" },
    { "throttling.bps-total", "bps" },
    { "throttling.bps-read", "bps_rd" },
    { "throttling.bps-write", "bps_wr" },
    { "throttling.iops-total-max", "iops_max" },
    { "throttling.iops-read-max", "iops_rd_max" },
    { "throttling.iops-write-max", "iops_wr_max" },
    { "throttling.bps-total-max", "bps_max" },
    { "throttling.bps-read-max", "bps_rd_max" },
    { "throttling.bps-write-max", "bps_wr_max" },
};

static bool check_aliases(GHashTable *options, GError **error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (options_get(options, aliases[i].key) && options_get(options, aliases[i].alias)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "'%s' and its alias '%s' can't be used at the same time",
                              aliases[i].key, aliases[i].alias);
        }
    }
    return true;
}

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

/* stats-intervals.0=…, .1=…: seconds. */
static bool drive_take_intervals(GHashTable *options, DriveOptions *drive, GError **error)
{
    for (unsigned i = 0; i < INTERVALS_MAX; i++) {
        g_autofree char *key = g_strdup_printf("stats-intervals.%u", i);
        uint64_t seconds = 0;

        if (!options_get(options, key)) {
            break;
        }
        if (!options_take_number(options, key, &seconds, error)) {
            return false;
        }
        if (!seconds || seconds > UINT32_MAX) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "%s=%" G_GUINT64_FORMAT ": give a number of seconds above 0", key,
                              seconds);
        }
        if (!drive->intervals) {
            drive->intervals = g_array_new(FALSE, FALSE, sizeof seconds);
        }
        g_array_append_val(drive->intervals, seconds);
    }
    return true;
}

static bool drive_take_accounting(GHashTable *options, DriveOptions *drive, GError **error)
{
    g_autofree char *group = options_take(options, "throttling.group");

    if (!group) {
        group = options_take(options, "group");
    }
    throttle_config_init(&drive->throttle);
    drive->throttle_group = g_steal_pointer(&group);
    drive->account_failed = drive->account_invalid = true;
    return throttle_config_take(options, &drive->throttle, error) &&
           options_take_bool(options, "stats-account-failed", &drive->account_failed, error) &&
           options_take_bool(options, "stats-account-invalid", &drive->account_invalid, error) &&
           drive_take_intervals(options, drive, error);
}

static bool drive_take_options(GHashTable *options, DriveOptions *drive, GError **error)
{
    const char *detect = options_get(options, "detect-zeroes");

    if (!check_aliases(options, error)) {
        return false;
    }
    /* Who wants zeroes unmapped wants unmapping. */
    if (detect && !strcmp(detect, "unmap") && !options_get(options, "discard")) {
        options_set(options, "discard", "unmap");
    }
    drive->write_cache = true;
    drive->on_write_error = BLOCK_ERROR_ENOSPC;
    drive->id = options_take(options, "id");
    drive->format = options_take(options, "format");
    drive->file = options_take(options, "file");
    if (!drive_take_flags(options, drive, error) || !drive_take_accounting(options, drive, error)) {
        return false;
    }
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
    g_free(drive->throttle_group);
    g_clear_pointer(&drive->intervals, g_array_unref);
}

/* Puts a filter (copy-on-read) above node; takes over the reference. */
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
    return node;
}

typedef struct {
    BlockGraph *graph;
    GHashTable *options;
    BlockBackend *block;
    GError **error;
} OpenCall;

static void open_entry(void *opaque)
{
    OpenCall *call = opaque;
    g_autoptr(GHashTable) options = options_copy(call->options);
    DriveOptions drive = { 0 };
    BlockNode *node = NULL;

    if (drive_take_options(options, &drive, call->error)) {
        node = drive_open_node(call->graph, &drive, options, call->error);
    }
    if (node) {
        call->block =
            block_new(node, drive.id, BLOCK_PERM_CONSISTENT_READ, BLOCK_PERM_ALL, call->error);
        if (call->block) {
            call->block->write_cache = drive.write_cache;
            call->block->on_read_error = drive.on_read_error;
            call->block->on_write_error = drive.on_write_error;
            call->block->statistics.account_failed = drive.account_failed;
            call->block->statistics.account_invalid = drive.account_invalid;
            for (unsigned i = 0; drive.intervals && i < drive.intervals->len; i++) {
                statistics_add_interval(&call->block->statistics,
                                        (uint32_t)g_array_index(drive.intervals, uint64_t, i));
            }
            backend_set_throttle(call->block, drive.throttle_group, &drive.throttle);
        }
        node_unref(node);
    }
    drive_options_clear(&drive);
}

BlockBackend *block_open(BlockGraph *graph, GHashTable *options, GError **error)
{
    OpenCall call = { .graph = graph, .options = options, .error = error };

    async_run_sync(block_graph_context(graph), open_entry, &call);
    return call.block;
}
