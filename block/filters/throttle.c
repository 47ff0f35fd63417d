/* SPDX-License-Identifier: MIT */
/* Filter that limits bytes and requests per second, by limits of its own or of a throttle group. */
#include "base/error.h"
#include "block/graph/throttle-group.h"

typedef struct {
    ThrottleGroup *group;
} ThrottleNode;

/* The group that the options say, with a reference; NULL: an error. */
static ThrottleGroup *take_group(BlockNode *node, GHashTable *options, GError **error)
{
    g_autofree char *name = options_take(options, "throttle-group");
    ThrottleGroup *group;
    ThrottleConfig config;

    throttle_config_init(&config);
    if (!throttle_config_take(options, &config, error)) {
        return NULL;
    }
    if (name) {
        if (throttle_config_any(&config)) {
            error_fail(error, KASO_ERROR_INVALID,
                       "throttle-group=%s: limits are the group's, give them to -object", name);
            return NULL;
        }
        if (!throttle_group_find(node->graph, name)) {
            error_fail(error, KASO_ERROR_GENERIC, "Throttle group '%s' does not exist", name);
            return NULL;
        }
        return throttle_group_get(node->graph, name);
    }
    if (!throttle_config_any(&config)) {
        error_fail(error, KASO_ERROR_INVALID, "Parameter 'throttle-group' is missing");
        return NULL;
    }
    group = throttle_group_get(node->graph, NULL);
    throttle_group_configure(group, &config);
    return group;
}

static bool throttle_open(BlockNode *node, GHashTable *options, GError **error)
{
    ThrottleNode *throttle = node->state;

    node->supports_fua = true;
    throttle->group = take_group(node, options, error);
    return throttle->group != NULL;
}

static bool throttle_reopen_options(BlockNode *node, GHashTable *options, GError **error)
{
    ThrottleNode *throttle = node->state;
    ThrottleGroup *group = take_group(node, options, error);

    if (group) {
        throttle_group_unref(throttle->group);
        throttle->group = group;
    }
    return group != NULL;
}

static void throttle_close(BlockNode *node)
{
    throttle_group_unref(((ThrottleNode *)node->state)->group);
}

static void throttle_wait(BlockNode *node, bool is_write, uint64_t bytes)
{
    ThrottleNode *throttle = node->state;

    throttle_group_wait(throttle->group, is_write, bytes, true);
}

static int throttle_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    throttle_wait(node, false, bytes);
    return node_read(node->file->node, offset, bytes, vector);
}

static int throttle_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                          unsigned flags)
{
    throttle_wait(node, true, bytes);
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int throttle_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    throttle_wait(node, true, bytes);
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int throttle_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    throttle_wait(node, true, bytes);
    return node_discard(node->file->node, offset, bytes);
}

static const BlockOption throttle_options[] = {
    { "throttle-group", "the group (-object throttle-group) whose limits it is under" },
    { "limits.*", "limits of its own instead: limits.bps-total=, limits.iops-read-max= …" },
    { 0 },
};

static const char *const throttle_reopen_names[] = { "throttle-group", "limits.", NULL };

static const BlockDriver throttle_driver = {
    .name = "throttle",
    .summary = "Filter that limits bytes and requests per second",
    .options = throttle_options,
    .instance_size = sizeof(ThrottleNode),
    .is_filter = true,
    .open = throttle_open,
    .close = throttle_close,
    .reopen_names = throttle_reopen_names,
    .reopen_options = throttle_reopen_options,
    .read = throttle_read,
    .write = throttle_write,
    .write_zeroes = throttle_write_zeroes,
    .discard = throttle_discard,
};
BLOCK_DRIVER(throttle_driver);
