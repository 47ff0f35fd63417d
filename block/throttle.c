/* SPDX-License-Identifier: MIT */
/*
 * Limits bytes and requests per second. Each limit is a leaky bucket: a request fills it by its
 * cost, it drains at the limit, and requests wait in order while it is over its burst size.
 */
#include "base/error.h"
#include "block/node.h"

#include <string.h>

enum { READ_SIDE, WRITE_SIDE, SIDES };
enum { BUCKETS_PER_SIDE = 4 };

typedef struct {
    double per_second; /* 0: no limit */
    double burst;      /* level up to which requests pass */
    double level;
    int64_t drained_us;
} Bucket;

typedef struct {
    Bucket bytes[SIDES], operations[SIDES];
    Bucket all_bytes, all_operations;
    uint64_t operation_size; /* a larger request counts as several */
    CoroutineMutex order[SIDES];
} ThrottleNode;

static bool take_limit(GHashTable *options, const char *key, const char *max_key, Bucket *bucket,
                       GError **error)
{
    uint64_t average = 0, maximum = 0;

    if (!options_take_size(options, key, &average, error) ||
        !options_take_size(options, max_key, &maximum, error)) {
        return false;
    }
    if (maximum && !average) {
        return error_fail(error, KASO_ERROR_INVALID, "%s needs %s to be set, too", max_key, key);
    }
    if (maximum && maximum < average) {
        return error_fail(error, KASO_ERROR_INVALID, "%s cannot be lower than %s", max_key, key);
    }
    if (average) {
        bucket->per_second = (double)average;
        /* Without a burst size a tenth of a second may come at once. */
        bucket->burst = maximum ? (double)maximum : (double)average / 10;
        bucket->drained_us = g_get_monotonic_time();
    }
    return true;
}

/* -drive's short names and -blockdev's long ones mean the same. */
static void rename_limits(GHashTable *options)
{
    static const char *const names[][2] = {
        { "bps", "bps-total" },
        { "bps_rd", "bps-read" },
        { "bps_wr", "bps-write" },
        { "iops", "iops-total" },
        { "iops_rd", "iops-read" },
        { "iops_wr", "iops-write" },
        { "bps_max", "bps-total-max" },
        { "bps_rd_max", "bps-read-max" },
        { "bps_wr_max", "bps-write-max" },
        { "iops_max", "iops-total-max" },
        { "iops_rd_max", "iops-read-max" },
        { "iops_wr_max", "iops-write-max" },
        { "iops_size", "iops-size" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *nested = g_strconcat("limits.", names[i][1], NULL);
        g_autofree char *value = options_take(options, names[i][0]);
        g_autofree char *nested_value = options_take(options, nested);

        if (value || nested_value) {
            options_set(options, names[i][1], value ? value : nested_value);
        }
    }
}

static bool throttle_open(BlockNode *node, GHashTable *options, GError **error)
{
    ThrottleNode *throttle = node->state;

    rename_limits(options);
    coroutine_mutex_init(&throttle->order[READ_SIDE]);
    coroutine_mutex_init(&throttle->order[WRITE_SIDE]);
    node->supports_fua = true;
    return take_limit(options, "bps-total", "bps-total-max", &throttle->all_bytes, error) &&
           take_limit(options, "bps-read", "bps-read-max", &throttle->bytes[READ_SIDE], error) &&
           take_limit(options, "bps-write", "bps-write-max", &throttle->bytes[WRITE_SIDE], error) &&
           take_limit(options, "iops-total", "iops-total-max", &throttle->all_operations, error) &&
           take_limit(options, "iops-read", "iops-read-max", &throttle->operations[READ_SIDE],
                      error) &&
           take_limit(options, "iops-write", "iops-write-max", &throttle->operations[WRITE_SIDE],
                      error) &&
           options_take_size(options, "iops-size", &throttle->operation_size, error);
}

static void bucket_drain(Bucket *bucket, int64_t now_us)
{
    bucket->level -= bucket->per_second * (double)(now_us - bucket->drained_us) / 1e6;
    bucket->level = MAX(bucket->level, 0);
    bucket->drained_us = now_us;
}

/* Nanoseconds until a request may pass. */
static uint64_t bucket_delay_ns(const Bucket *bucket)
{
    if (!bucket->per_second || bucket->level <= bucket->burst) {
        return 0;
    }
    return (uint64_t)((bucket->level - bucket->burst) / bucket->per_second * 1e9) + 1;
}

static void throttle_wait(BlockNode *node, int side, uint64_t bytes)
{
    ThrottleNode *throttle = node->state;
    uint64_t size = throttle->operation_size;
    double operations = size && bytes > size ? (double)bytes / (double)size : 1;
    Bucket *const buckets[BUCKETS_PER_SIDE] = { &throttle->all_bytes, &throttle->bytes[side],
                                                &throttle->all_operations,
                                                &throttle->operations[side] };

    coroutine_mutex_lock(&throttle->order[side]);
    for (;;) {
        int64_t now_us = g_get_monotonic_time();
        uint64_t delay_ns = 0;

        for (unsigned i = 0; i < BUCKETS_PER_SIDE; i++) {
            bucket_drain(buckets[i], now_us);
            delay_ns = MAX(delay_ns, bucket_delay_ns(buckets[i]));
        }
        if (!delay_ns) {
            break;
        }
        coroutine_sleep_ns(delay_ns);
    }
    for (unsigned i = 0; i < BUCKETS_PER_SIDE; i++) {
        buckets[i]->level += i < 2 ? (double)bytes : operations;
    }
    coroutine_mutex_unlock(&throttle->order[side]);
}

static int throttle_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    throttle_wait(node, READ_SIDE, bytes);
    return node_read(node->file->node, offset, bytes, vector);
}

static int throttle_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                          unsigned flags)
{
    throttle_wait(node, WRITE_SIDE, bytes);
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int throttle_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    throttle_wait(node, WRITE_SIDE, bytes);
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int throttle_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    throttle_wait(node, WRITE_SIDE, bytes);
    return node_discard(node->file->node, offset, bytes);
}

static const BlockOption throttle_options[] = {
    { "bps-total", "bytes per second" },
    { "bps-read", "bytes read per second" },
    { "bps-write", "bytes written per second" },
    { "iops-total", "requests per second" },
    { "iops-read", "reads per second" },
    { "iops-write", "writes per second" },
    { "iops-size", "bytes that count as one request" },
    { 0 },
};

static const BlockDriver throttle_driver = {
    .name = "throttle",
    .summary = "Filter that limits bytes and requests per second",
    .options = throttle_options,
    .instance_size = sizeof(ThrottleNode),
    .is_filter = true,
    .open = throttle_open,
    .read = throttle_read,
    .write = throttle_write,
    .write_zeroes = throttle_write_zeroes,
    .discard = throttle_discard,
};
BLOCK_DRIVER(throttle_driver);
