/* SPDX-License-Identifier: MIT */
/*
 * Filter that makes requests fail: inject-error.N.{iotype,errno,sector,once}. A rule without
 * sector matches everywhere; once=on uses it up. Events and state machines are not modelled.
 */
#include "base/error.h"
#include "block/node.h"

#include <errno.h>
#include <string.h>

enum { RULES_MAX = 16 };

typedef enum { IO_READ, IO_WRITE, IO_ZEROES, IO_DISCARD, IO_FLUSH, IO_ANY } IoType;
static const char *const io_type_names[] = { "read", "write", "write-zeroes", "discard", "flush",
                                             "any",  NULL };

typedef struct {
    int type;
    int error;
    int64_t sector; /* -1: any */
    bool once, used;
} Rule;

typedef struct {
    Rule rules[RULES_MAX];
    unsigned count;
} Blkdebug;

/* iotype, or the event that stands for it. */
static bool take_type(GHashTable *options, Rule *rule, GError **error)
{
    g_autofree char *event = options_take(options, "event");

    rule->type = IO_ANY;
    if (event) {
        rule->type = strstr(event, "flush") ? IO_FLUSH : strstr(event, "read") ? IO_READ : IO_WRITE;
    }
    return options_take_enum(options, "iotype", io_type_names, &rule->type, error);
}

static bool take_rule(GHashTable *options, Rule *rule, GError **error)
{
    uint64_t number = EIO, sector = UINT64_MAX;
    bool immediately = false;

    *rule = (Rule){ .sector = -1 };
    if (!take_type(options, rule, error) ||
        !options_take_number(options, "errno", &number, error) ||
        !options_take_number(options, "sector", &sector, error) ||
        !options_take_bool(options, "once", &rule->once, error) ||
        !options_take_bool(options, "immediately", &immediately, error) ||
        !options_check_empty(options, "inject-error", NULL, error)) {
        return false;
    }
    if (!number || number > 133) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "inject-error: errno=%" G_GUINT64_FORMAT " is no error number", number);
    }
    rule->error = -(int)number;
    rule->sector = sector == UINT64_MAX ? -1 : (int64_t)sector;
    return true;
}

static bool blkdebug_open(BlockNode *node, GHashTable *options, GError **error)
{
    Blkdebug *debug = node->state;
    uint64_t align = 0;

    for (debug->count = 0; debug->count < RULES_MAX; debug->count++) {
        g_autofree char *prefix = g_strdup_printf("inject-error.%u", debug->count);
        g_autoptr(GHashTable) rule = options_take_nested(options, prefix);

        if (!g_hash_table_size(rule)) {
            break;
        }
        if (!take_rule(rule, &debug->rules[debug->count], error)) {
            return false;
        }
    }
    if (!options_take_size(options, "align", &align, error)) {
        return false;
    }
    if (align) {
        if ((align & (align - 1)) || align > 1 << 20) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "align must be a power of 2 of at most 1 MiB");
        }
        node->request_alignment = MAX(node->request_alignment, (uint32_t)align);
    }
    return true;
}

static int check_rules(BlockNode *node, IoType type, uint64_t offset, uint64_t bytes)
{
    Blkdebug *debug = node->state;

    for (unsigned i = 0; i < debug->count; i++) {
        Rule *rule = &debug->rules[i];
        uint64_t at = (uint64_t)rule->sector * 512;

        if (rule->used || (rule->type != IO_ANY && rule->type != (int)type) ||
            (rule->sector >= 0 && (at < offset || at >= offset + bytes))) {
            continue;
        }
        rule->used = rule->once;
        return rule->error;
    }
    return 0;
}

static int blkdebug_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    int result = check_rules(node, IO_READ, offset, bytes);

    return result < 0 ? result : node_read(node->file->node, offset, bytes, vector);
}

static int blkdebug_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                          unsigned flags)
{
    int result = check_rules(node, IO_WRITE, offset, bytes);

    return result < 0 ? result : node_write(node->file->node, offset, bytes, vector, flags);
}

static int blkdebug_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    int result = check_rules(node, IO_ZEROES, offset, bytes);

    return result < 0 ? result : node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int blkdebug_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int result = check_rules(node, IO_DISCARD, offset, bytes);

    return result < 0 ? result : node_discard(node->file->node, offset, bytes);
}

static int blkdebug_flush(BlockNode *node)
{
    int result = check_rules(node, IO_FLUSH, 0, 0);

    return result < 0 ? result : node_flush(node->file->node);
}

static const BlockOption blkdebug_options[] = {
    { "image", "node whose requests are watched" },
    { "align", "alignment that requests must have" },
    { "inject-error.N", "iotype, errno, sector, once: a rule by which requests fail" },
    { 0 },
};

static const BlockDriver blkdebug_driver = {
    .name = "blkdebug",
    .summary = "Filter that makes chosen requests fail",
    .options = blkdebug_options,
    .instance_size = sizeof(Blkdebug),
    .is_filter = true,
    .child_option = "image",
    .open = blkdebug_open,
    .read = blkdebug_read,
    .write = blkdebug_write,
    .write_zeroes = blkdebug_write_zeroes,
    .discard = blkdebug_discard,
    .flush = blkdebug_flush,
};
BLOCK_DRIVER(blkdebug_driver);
