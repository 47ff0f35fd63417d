/* SPDX-License-Identifier: MIT */
/* Throttle groups: parsing of limits, leaky buckets. */
#include "block/graph/throttle-group.h"

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

enum { READ_SIDE, WRITE_SIDE, SIDES };

#define THROTTLE_VALUE_MAX UINT64_C(1000000000000000)

enum {
    SLICE_NS = 20000000,   /* the longest sleep before a waiter looks whether it may hurry */
    BEHIND_NS = 100000000, /* the same for who is not the first */
    BURST_DIVISOR = 10,    /* what may come at once, as a part of a second */
};

typedef struct {
    double level;       /* in bytes or requests over the long run */
    double burst_level; /* the same at the burst's rate */
} Bucket;

struct ThrottleGroup {
    BlockGraph *graph;
    char *name; /* NULL: not shared */
    unsigned references;
    ThrottleConfig config;
    Bucket buckets[THROTTLE_LIMITS];
    int64_t drained_us;
    GQueue order[SIDES]; /* CoroutineAlarm of those who wait */
};

/* Limits as text. */

static const struct {
    const char *name, *short_name;
} limit_names[THROTTLE_LIMITS] = {
    [THROTTLE_BPS_TOTAL] = { "bps-total", "bps" },
    [THROTTLE_BPS_READ] = { "bps-read", "bps_rd" },
    [THROTTLE_BPS_WRITE] = { "bps-write", "bps_wr" },
    [THROTTLE_IOPS_TOTAL] = { "iops-total", "iops" },
    [THROTTLE_IOPS_READ] = { "iops-read", "iops_rd" },
    [THROTTLE_IOPS_WRITE] = { "iops-write", "iops_wr" },
};

void throttle_config_init(ThrottleConfig *config)
{
    *config = (ThrottleConfig){ 0 };
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        config->limits[i].burst_s = 1;
    }
}

bool throttle_config_any(const ThrottleConfig *config)
{
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (config->limits[i].average) {
            return true;
        }
    }
    return false;
}

static bool take_value(GHashTable *options, const char *name, const char *short_name,
                       uint64_t *value, GError **error)
{
    static const char *const prefixes[] = { "", "throttling.", "limits.", "x-" };

    if (!options_take_size(options, short_name, value, error)) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        g_autofree char *key = g_strconcat(prefixes[i], name, NULL);

        if (!options_take_size(options, key, value, error)) {
            return false;
        }
    }
    return true;
}

static bool take_limit(GHashTable *options, unsigned i, ThrottleLimit *limit, GError **error)
{
    const char *name = limit_names[i].name, *short_name = limit_names[i].short_name;
    g_autofree char *max = g_strconcat(name, "-max", NULL);
    g_autofree char *short_max = g_strconcat(short_name, "_max", NULL);
    g_autofree char *length = g_strconcat(name, "-max-length", NULL);
    g_autofree char *short_length = g_strconcat(short_name, "_max_length", NULL);

    return take_value(options, name, short_name, &limit->average, error) &&
           take_value(options, max, short_max, &limit->maximum, error) &&
           take_value(options, length, short_length, &limit->burst_s, error);
}

static bool check_limit(const ThrottleLimit *limit, GError **error)
{
    if (limit->average > THROTTLE_VALUE_MAX || limit->maximum > THROTTLE_VALUE_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "bps/iops/max values must be within [0, %" G_GUINT64_FORMAT "]",
                          THROTTLE_VALUE_MAX);
    }
    if (!limit->burst_s) {
        return error_fail(error, KASO_ERROR_INVALID, "the burst length cannot be 0");
    }
    if (limit->burst_s > 1 && !limit->maximum) {
        return error_fail(error, KASO_ERROR_INVALID, "burst length set without burst rate");
    }
    if (limit->maximum && limit->burst_s > THROTTLE_VALUE_MAX / limit->maximum) {
        return error_fail(error, KASO_ERROR_INVALID, "burst length too high for this burst rate");
    }
    if (limit->maximum && !limit->average) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "bps_max/iops_max require corresponding bps/iops values");
    }
    if (limit->maximum && limit->maximum < limit->average) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "bps_max/iops_max cannot be lower than bps/iops");
    }
    return true;
}

static bool check_config(const ThrottleConfig *config, GError **error)
{
    for (unsigned total = 0; total < THROTTLE_LIMITS; total += 3) {
        const ThrottleLimit *all = &config->limits[total], *read = all + 1, *write = all + 2;

        if ((all->average && (read->average || write->average)) ||
            (all->maximum && (read->maximum || write->maximum))) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "bps/iops/max total values and read/write values cannot be used at "
                              "the same time");
        }
    }
    if (config->operation_size && !config->limits[THROTTLE_IOPS_TOTAL].average &&
        !config->limits[THROTTLE_IOPS_READ].average &&
        !config->limits[THROTTLE_IOPS_WRITE].average) {
        return error_fail(error, KASO_ERROR_INVALID, "iops size requires an iops value to be set");
    }
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (!check_limit(&config->limits[i], error)) {
            return false;
        }
    }
    return true;
}

bool throttle_config_take(GHashTable *options, ThrottleConfig *config, GError **error)
{
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        if (!take_limit(options, i, &config->limits[i], error)) {
            return false;
        }
    }
    return take_value(options, "iops-size", "iops_size", &config->operation_size, error) &&
           check_config(config, error);
}

void throttle_config_to_json(const ThrottleConfig *config, json_t *object)
{
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        const ThrottleLimit *limit = &config->limits[i];
        g_autofree char *max = g_strconcat(limit_names[i].short_name, "_max", NULL);
        g_autofree char *length = g_strconcat(max, "_length", NULL);

        json_object_set_new(object, limit_names[i].short_name,
                            json_integer((json_int_t)limit->average));
        if (limit->maximum) {
            json_object_set_new(object, max, json_integer((json_int_t)limit->maximum));
            json_object_set_new(object, length, json_integer((json_int_t)limit->burst_s));
        }
    }
    if (config->operation_size) {
        json_object_set_new(object, "iops_size", json_integer((json_int_t)config->operation_size));
    }
}

json_t *throttle_config_to_limits(const ThrottleConfig *config)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        const ThrottleLimit *limit = &config->limits[i];
        g_autofree char *max = g_strconcat(limit_names[i].name, "-max", NULL);
        g_autofree char *length = g_strconcat(max, "-length", NULL);

        json_object_set_new(object, limit_names[i].name, json_integer((json_int_t)limit->average));
        json_object_set_new(object, max, json_integer((json_int_t)limit->maximum));
        json_object_set_new(object, length, json_integer((json_int_t)limit->burst_s));
    }
    json_object_set_new(object, "iops-size", json_integer((json_int_t)config->operation_size));
    return object;
}

/* Groups. */

ThrottleGroup *throttle_group_find(BlockGraph *graph, const char *name)
{
    return g_hash_table_lookup(block_graph_throttle_groups(graph), name);
}

ThrottleGroup *throttle_group_get(BlockGraph *graph, const char *name)
{
    ThrottleGroup *group = name ? throttle_group_find(graph, name) : NULL;

    if (group) {
        group->references++;
        return group;
    }
    group = g_new0(ThrottleGroup, 1);
    group->graph = graph;
    group->name = g_strdup(name);
    group->references = 1;
    throttle_config_init(&group->config);
    g_queue_init(&group->order[READ_SIDE]);
    g_queue_init(&group->order[WRITE_SIDE]);
    if (name) {
        g_hash_table_insert(block_graph_throttle_groups(graph), group->name, group);
    }
    return group;
}

void throttle_group_ref(ThrottleGroup *group)
{
    group->references++;
}

void throttle_group_unref(ThrottleGroup *group)
{
    if (!group || --group->references) {
        return;
    }
    if (group->name) {
        g_hash_table_remove(block_graph_throttle_groups(group->graph), group->name);
    }
    g_free(group->name);
    g_free(group);
}

const char *throttle_group_name(const ThrottleGroup *group)
{
    return group->name;
}

void throttle_group_configure(ThrottleGroup *group, const ThrottleConfig *config)
{
    group->config = *config;
    memset(group->buckets, 0, sizeof group->buckets);
    group->drained_us = g_get_monotonic_time();
}

const ThrottleConfig *throttle_group_config(const ThrottleGroup *group)
{
    return &group->config;
}

/* Buckets. */

static void drain(ThrottleGroup *group)
{
    int64_t now_us = g_get_monotonic_time();
    double seconds = (double)(now_us - group->drained_us) / 1e6;

    group->drained_us = now_us;
    for (unsigned i = 0; i < THROTTLE_LIMITS; i++) {
        const ThrottleLimit *limit = &group->config.limits[i];
        Bucket *bucket = &group->buckets[i];

        bucket->level = MAX(bucket->level - (double)limit->average * seconds, 0);
        bucket->burst_level = MAX(bucket->burst_level - (double)limit->maximum * seconds, 0);
    }
}

/*
 * Nanoseconds until a request may pass. In a burst of several seconds the level may rise to what the
 * whole burst holds, but not faster than the burst's rate.
 */
static uint64_t bucket_delay_ns(const Bucket *bucket, const ThrottleLimit *limit)
{
    double room = (double)limit->maximum * (double)limit->burst_s;
    double delay_s = 0;

    if (!limit->average) {
        return 0;
    }
    if (!limit->maximum) {
        room = (double)limit->average / BURST_DIVISOR;
    }
    if (bucket->level > room) {
        delay_s = (bucket->level - room) / (double)limit->average;
    } else if (limit->burst_s > 1) {
        double burst_room = (double)limit->maximum / BURST_DIVISOR;

        if (bucket->burst_level > burst_room) {
            delay_s = (bucket->burst_level - burst_room) / (double)limit->maximum;
        }
    }
    return delay_s > 0 ? (uint64_t)(MIN(delay_s, 3600) * 1e9) + 1 : 0;
}

static const uint8_t limits_of[SIDES][4] = {
    [READ_SIDE] = { THROTTLE_BPS_TOTAL, THROTTLE_BPS_READ, THROTTLE_IOPS_TOTAL,
                    THROTTLE_IOPS_READ },
    [WRITE_SIDE] = { THROTTLE_BPS_TOTAL, THROTTLE_BPS_WRITE, THROTTLE_IOPS_TOTAL,
                     THROTTLE_IOPS_WRITE },
};

/* Must a request wait still, and how long before it looks again? 0: it may pass. */
static uint64_t delay_of(ThrottleGroup *group, bool is_write, bool in_graph, bool is_first)
{
    const uint8_t *limits = limits_of[is_write ? WRITE_SIDE : READ_SIDE];
    uint64_t delay_ns = 0;

    if (coroutine_hurry(coroutine_self()) != HURRY_NONE ||
        (in_graph && block_graph_wants_quiet(group->graph))) {
        return 0;
    }
    if (!is_first) {
        return BEHIND_NS;
    }
    drain(group);
    for (unsigned i = 0; i < ARRAY_SIZE(limits_of[0]); i++) {
        delay_ns = MAX(delay_ns, bucket_delay_ns(&group->buckets[limits[i]],
                                                 &group->config.limits[limits[i]]));
    }
    return MIN(delay_ns, SLICE_NS);
}

static void charge(ThrottleGroup *group, bool is_write, uint64_t bytes)
{
    const uint8_t *limits = limits_of[is_write ? WRITE_SIDE : READ_SIDE];
    uint64_t size = group->config.operation_size;
    double operations = size && bytes > size ? (double)bytes / (double)size : 1;

    for (unsigned i = 0; i < ARRAY_SIZE(limits_of[0]); i++) {
        double cost = limits[i] < THROTTLE_IOPS_TOTAL ? (double)bytes : operations;

        group->buckets[limits[i]].level += cost;
        group->buckets[limits[i]].burst_level += cost;
    }
}

void throttle_group_wait(ThrottleGroup *group, bool is_write, uint64_t bytes, bool in_graph)
{
    GQueue *order = &group->order[is_write ? WRITE_SIDE : READ_SIDE];
    CoroutineAlarm alarm = { 0 };
    GList link = { .data = &alarm };
    CoroutineAlarm *first;
    uint64_t delay_ns;

    throttle_group_ref(group); /* its limits may be taken away while we wait */
    g_queue_push_tail_link(order, &link);
    while ((delay_ns = delay_of(group, is_write, in_graph, order->head == &link))) {
        coroutine_alarm_sleep_ns(&alarm, delay_ns);
    }
    g_queue_unlink(order, &link);
    first = g_queue_peek_head(order);
    if (first) {
        coroutine_alarm_ring(first);
    }
    charge(group, is_write, bytes);
    throttle_group_unref(group);
}

/* -object throttle-group: a group that lives as long as the graph. */

bool throttle_group_add_object(BlockGraph *graph, const char *id, GHashTable *options,
                               GError **error)
{
    ThrottleConfig config;

    throttle_config_init(&config);
    if (!throttle_config_take(options, &config, error) ||
        !options_check_empty(options, "throttle-group", NULL, error)) {
        return false;
    }
    if (!id || throttle_group_find(graph, id)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A throttle group needs an id of its own, not '%s'", id ? id : "");
    }
    throttle_group_configure(throttle_group_get(graph, id), &config);
    return true;
}

bool throttle_group_remove_object(BlockGraph *graph, const char *id, GError **error)
{
    ThrottleGroup *group = throttle_group_find(graph, id);

    if (group->references > 1) {
        return error_fail(error, KASO_ERROR_GENERIC, "object '%s' is in use, can not be deleted",
                          id);
    }
    throttle_group_unref(group);
    return true;
}

void throttle_groups_free(GHashTable *groups)
{
    g_autoptr(GList) list = g_hash_table_get_values(groups);

    for (GList *link = list; link; link = link->next) {
        ThrottleGroup *group = link->data; /* only objects are left */

        throttle_group_unref(group);
    }
    g_hash_table_unref(groups);
}
