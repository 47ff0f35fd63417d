/* SPDX-License-Identifier: MIT */
/*
 * Limits of bytes and requests per second that one or more drives or throttle nodes share. Each of
 * the six limits is a leaky bucket: a request fills it by its cost, it drains at the limit, and
 * requests wait in order while it is over its burst size.
 */
#ifndef BLOCK_GRAPH_THROTTLE_GROUP_H
#define BLOCK_GRAPH_THROTTLE_GROUP_H

#include "block/graph/node.h"

enum {
    THROTTLE_BPS_TOTAL,
    THROTTLE_BPS_READ,
    THROTTLE_BPS_WRITE,
    THROTTLE_IOPS_TOTAL,
    THROTTLE_IOPS_READ,
    THROTTLE_IOPS_WRITE,
    THROTTLE_LIMITS
};

typedef struct {
    uint64_t average; /* per second; 0: no limit */
    uint64_t maximum; /* per second in a burst; 0: none */
    uint64_t burst_s; /* how long a burst may last */
} ThrottleLimit;

typedef struct {
    ThrottleLimit limits[THROTTLE_LIMITS];
    uint64_t operation_size; /* a larger request counts as several; 0: never */
} ThrottleConfig;

typedef struct ThrottleGroup ThrottleGroup;

void throttle_config_init(ThrottleConfig *config);
bool throttle_config_any(const ThrottleConfig *config);
/*
 * Takes the limits out of options under any of QEMU's spellings: bps, bps_rd_max, bps_max_length,
 * iops_size; bps-total, iops-write-max-length, iops-size; and these after "limits.", "x-" or "throttling.".
 */
bool throttle_config_take(GHashTable *options, ThrottleConfig *config, GError **error);
/* As QMP's ThrottleLimits: bps-total, iops-read-max-length, … */
json_t *throttle_config_to_limits(const ThrottleConfig *config);
/* As query-block and query-named-block-nodes show them. */
void throttle_config_to_json(const ThrottleConfig *config, json_t *object);

/* The group with that name, made when it does not exist; name NULL: one of its own. Takes a reference. */
ThrottleGroup *throttle_group_get(BlockGraph *graph, const char *name);
/* NULL when there is no such group. Takes no reference. */
ThrottleGroup *throttle_group_find(BlockGraph *graph, const char *name);
void throttle_group_ref(ThrottleGroup *group);
void throttle_group_unref(ThrottleGroup *group);
const char *throttle_group_name(const ThrottleGroup *group);
void throttle_group_configure(ThrottleGroup *group, const ThrottleConfig *config);
const ThrottleConfig *throttle_group_config(const ThrottleGroup *group);
/*
 * Waits until a request may pass, or is in a hurry (coroutine_hurry), or, when it is in the graph already, until the graph
 * shall be quiet. [coroutine]
 */
void throttle_group_wait(ThrottleGroup *group, bool is_write, uint64_t bytes, bool in_graph);
/* -object throttle-group: a group that lives until the graph is freed or it is removed. */
bool throttle_group_add_object(BlockGraph *graph, const char *id, GHashTable *options,
                               GError **error);
/* Ends it when nobody is under its limits. */
bool throttle_group_remove_object(BlockGraph *graph, const char *id, GError **error);
void throttle_groups_free(GHashTable *groups);

#endif
