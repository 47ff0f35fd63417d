/* SPDX-License-Identifier: MIT */
/*
 * Filter that makes requests fail by rules: inject-error.N and set-state.N, or a file of rules given with
 * config= or a name like blkdebug:RULES:IMAGE. An event (debug-event.h) arms the errors that are for it
 * and for the present state, in place of those that the last one armed, and may change the state, which
 * is 1 at first. What is armed fails the requests of its kind that touch its sector. Breakpoints suspend
 * the request that reaches their event next, until it is told to go on.
 */
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/file.h"
#include "block/graph/debug-event.h"

#include <errno.h>
#include <string.h>

enum { RULES_MAX = 256, ALIGN_MAX = 1 << 20 };
/* What is suspended looks as often whether it is in a hurry. */
enum { SLICE_NS = 100000000 };

typedef enum { IO_READ, IO_WRITE, IO_ZEROES, IO_DISCARD, IO_FLUSH, IO_STATUS } IoType;
static const char *const io_type_names[] = { "read",    "write", "write-zeroes",
                                             "discard", "flush", "block-status",
                                             NULL };

const char *const debug_event_names[EVENT_COUNT + 1] = {
    [EVENT_NONE] = "none",
    [EVENT_L1_UPDATE] = "l1_update",
    [EVENT_L1_GROW_ALLOC_TABLE] = "l1_grow_alloc_table",
    [EVENT_L1_GROW_WRITE_TABLE] = "l1_grow_write_table",
    [EVENT_L1_GROW_ACTIVATE_TABLE] = "l1_grow_activate_table",
    [EVENT_L2_LOAD] = "l2_load",
    [EVENT_L2_UPDATE] = "l2_update",
    [EVENT_L2_UPDATE_COMPRESSED] = "l2_update_compressed",
    [EVENT_L2_ALLOC_COW_READ] = "l2_alloc_cow_read",
    [EVENT_L2_ALLOC_WRITE] = "l2_alloc_write",
    [EVENT_READ_AIO] = "read_aio",
    [EVENT_READ_BACKING_AIO] = "read_backing_aio",
    [EVENT_READ_COMPRESSED] = "read_compressed",
    [EVENT_WRITE_AIO] = "write_aio",
    [EVENT_WRITE_COMPRESSED] = "write_compressed",
    [EVENT_VMSTATE_LOAD] = "vmstate_load",
    [EVENT_VMSTATE_SAVE] = "vmstate_save",
    [EVENT_COW_READ] = "cow_read",
    [EVENT_COW_WRITE] = "cow_write",
    [EVENT_REFTABLE_LOAD] = "reftable_load",
    [EVENT_REFTABLE_GROW] = "reftable_grow",
    [EVENT_REFTABLE_UPDATE] = "reftable_update",
    [EVENT_REFBLOCK_LOAD] = "refblock_load",
    [EVENT_REFBLOCK_UPDATE] = "refblock_update",
    [EVENT_REFBLOCK_UPDATE_PART] = "refblock_update_part",
    [EVENT_REFBLOCK_ALLOC] = "refblock_alloc",
    [EVENT_REFBLOCK_ALLOC_HOOKUP] = "refblock_alloc_hookup",
    [EVENT_REFBLOCK_ALLOC_WRITE] = "refblock_alloc_write",
    [EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS] = "refblock_alloc_write_blocks",
    [EVENT_REFBLOCK_ALLOC_WRITE_TABLE] = "refblock_alloc_write_table",
    [EVENT_REFBLOCK_ALLOC_SWITCH_TABLE] = "refblock_alloc_switch_table",
    [EVENT_CLUSTER_ALLOC] = "cluster_alloc",
    [EVENT_CLUSTER_ALLOC_BYTES] = "cluster_alloc_bytes",
    [EVENT_CLUSTER_FREE] = "cluster_free",
    [EVENT_FLUSH_TO_OS] = "flush_to_os",
    [EVENT_FLUSH_TO_DISK] = "flush_to_disk",
    [EVENT_PWRITEV_RMW_HEAD] = "pwritev_rmw_head",
    [EVENT_PWRITEV_RMW_AFTER_HEAD] = "pwritev_rmw_after_head",
    [EVENT_PWRITEV_RMW_TAIL] = "pwritev_rmw_tail",
    [EVENT_PWRITEV_RMW_AFTER_TAIL] = "pwritev_rmw_after_tail",
    [EVENT_PWRITEV] = "pwritev",
    [EVENT_PWRITEV_ZERO] = "pwritev_zero",
    [EVENT_PWRITEV_DONE] = "pwritev_done",
    [EVENT_EMPTY_IMAGE_PREPARE] = "empty_image_prepare",
    [EVENT_L1_SHRINK_WRITE_TABLE] = "l1_shrink_write_table",
    [EVENT_L1_SHRINK_FREE_L2_CLUSTERS] = "l1_shrink_free_l2_clusters",
    [EVENT_COR_WRITE] = "cor_write",
    [EVENT_CLUSTER_ALLOC_SPACE] = "cluster_alloc_space",
};

typedef struct {
    bool sets_state; /* else it injects an error */
    int event;
    uint64_t state; /* in which it counts; 0: in all */
    uint64_t new_state;
    unsigned types; /* a bit per IoType */
    int error;
    int64_t sector; /* -1: any */
    bool once, used, armed;
} Rule;

typedef struct {
    int event;
    char *tag;
} Breakpoint;

/* A request may stand at several breakpoints at once; it goes on when none of them holds it. */
typedef struct {
    char *tag;
    CoroutineAlarm *alarm;
    unsigned *holds;
} Suspended;

typedef struct {
    GArray *rules;
    uint64_t state;
    GQueue breakpoints; /* Breakpoint, the newest first */
    GQueue suspended;   /* Suspended, the newest first */
} Blkdebug;

/* Rules. */

static bool take_event(GHashTable *options, Rule *rule, GError **error)
{
    rule->event = EVENT_NONE;
    return options_take_enum(options, "event", debug_event_names, &rule->event, error);
}

static bool take_injection(GHashTable *options, Rule *rule, GError **error)
{
    uint64_t number = EIO, sector = UINT64_MAX;
    bool immediately = false; /* a failure that is told later is the same one here */
    int type = -1;

    if (!options_take_enum(options, "iotype", io_type_names, &type, error) ||
        !options_take_number(options, "errno", &number, error) ||
        !options_take_number(options, "sector", &sector, error) ||
        !options_take_bool(options, "once", &rule->once, error) ||
        !options_take_bool(options, "immediately", &immediately, error)) {
        return false;
    }
    if (!number || number > 133) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "inject-error: errno=%" G_GUINT64_FORMAT " is no error number", number);
    }
    rule->types = type >= 0 ? 1u << type : (1u << IO_STATUS) - 1;
    rule->error = -(int)number;
    rule->sector = sector == UINT64_MAX ? -1 : (int64_t)sector;
    return true;
}

static bool take_rule(Blkdebug *debug, const char *kind, GHashTable *options, GError **error)
{
    Rule rule = { .sets_state = !strcmp(kind, "set-state") };
    bool done = take_event(options, &rule, error) &&
                options_take_number(options, "state", &rule.state, error);

    if (done && rule.sets_state) {
        if (!options_get(options, "new_state")) {
            return error_fail(error, KASO_ERROR_INVALID, "set-state: 'new_state' is missing");
        }
        done = options_take_number(options, "new_state", &rule.new_state, error);
    } else if (done) {
        done = take_injection(options, &rule, error);
    }
    if (!done || !options_check_empty(options, kind, NULL, error)) {
        return false;
    }
    if (debug->rules->len >= RULES_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "blkdebug takes %d rules at most", RULES_MAX);
    }
    g_array_append_val(debug->rules, rule);
    return true;
}

/* inject-error.0.event=…, inject-error.1.event=… */
static bool take_rules(Blkdebug *debug, const char *kind, GHashTable *options, GError **error)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *prefix = g_strdup_printf("%s.%u", kind, i);
        g_autoptr(GHashTable) rule = options_take_nested(options, prefix);

        if (!g_hash_table_size(rule)) {
            return true;
        }
        if (!take_rule(debug, kind, rule, error)) {
            return false;
        }
    }
}

/* A file of sections [inject-error] and [set-state] with lines like  event = "read_aio". */

static bool parse_setting(char *line, GHashTable *rule, const char *where, GError **error)
{
    char *equals = strchr(line, '='), *value;
    size_t length;

    if (!equals || !rule) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: '%s' is neither a section nor a setting of one", where, line);
    }
    *equals = '\0';
    value = g_strstrip(equals + 1);
    length = strlen(value);
    if (length < 2 || value[0] != '"' || value[length - 1] != '"') {
        return error_fail(error, KASO_ERROR_INVALID, "%s: the value %s must be in quotes", where,
                          value);
    }
    value[length - 1] = '\0';
    options_set(rule, g_strstrip(line), value + 1);
    return true;
}

static bool end_section(Blkdebug *debug, const char *kind, GHashTable *rule, const char *where,
                        GError **error)
{
    if (!rule || take_rule(debug, kind, rule, error)) {
        return true;
    }
    g_prefix_error(error, "%s: ", where);
    return false;
}

static bool parse_rules(Blkdebug *debug, const char *path, char **lines, GError **error)
{
    g_autoptr(GHashTable) rule = NULL;
    const char *kind = NULL;
    bool done = true;

    for (unsigned i = 0; done && lines[i]; i++) {
        g_autofree char *where = g_strdup_printf("%s:%u", path, i + 1);
        char *line = g_strstrip(lines[i]);

        if (!line[0] || line[0] == '#') {
            continue;
        }
        if (line[0] != '[') {
            done = parse_setting(line, rule, where, error);
            continue;
        }
        done = end_section(debug, kind, rule, where, error);
        g_clear_pointer(&rule, g_hash_table_unref);
        rule = options_new();
        kind = !strcmp(line, "[inject-error]") ? "inject-error" : "set-state";
        if (done && strcmp(line, "[inject-error]") && strcmp(line, "[set-state]")) {
            done = error_fail(error, KASO_ERROR_INVALID,
                              "%s: there is no section %s: [inject-error] and [set-state]", where,
                              line);
        }
    }
    return done && end_section(debug, kind, rule, path, error);
}

static bool read_rules(Blkdebug *debug, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    GError *local = NULL;

    if (!file_read(path, FILE_TEXT_MOST, &text, NULL, &local)) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "Could not read blkdebug config file: %s",
                   local->message);
        g_error_free(local);
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    return parse_rules(debug, path, lines, error);
}

/* Opening. */

static const char prefix[] = "blkdebug:";

static bool blkdebug_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    const char *rules = filename + strlen(prefix), *colon;
    g_autofree char *path = NULL;

    if (!g_str_has_prefix(filename, prefix)) {
        options_set(options, "image.filename", filename);
        return true;
    }
    colon = strchr(rules, ':');
    if (!colon) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "blkdebug requires both config file and image path: "
                          "blkdebug:RULES:IMAGE, not '%s'",
                          filename);
    }
    if (colon != rules) {
        path = g_strndup(rules, (gsize)(colon - rules));
        options_set(options, "config", path);
    }
    options_set(options, "image.filename", colon + 1);
    return true;
}

/* Breakpoints. */

static void breakpoint_free(Breakpoint *breakpoint)
{
    g_free(breakpoint->tag);
    g_free(breakpoint);
}

/* The breakpoints of an event become holds of the request that has reached it. */
static void take_breakpoints(Blkdebug *debug, unsigned event, CoroutineAlarm *alarm,
                             unsigned *holds)
{
    for (GList *link = debug->breakpoints.head, *next; link; link = next) {
        Breakpoint *breakpoint = link->data;
        Suspended *suspended;

        next = link->next;
        if (breakpoint->event != (int)event) {
            continue;
        }
        suspended = g_new(Suspended, 1);
        *suspended =
            (Suspended){ .tag = g_strdup(breakpoint->tag), .alarm = alarm, .holds = holds };
        g_queue_push_head(&debug->suspended, suspended);
        g_queue_delete_link(&debug->breakpoints, link);
        breakpoint_free(breakpoint);
        ++*holds;
        log_printf("blkdebug: Suspended request '%s'\n", suspended->tag);
    }
}

static void resume(Blkdebug *debug, GList *link)
{
    Suspended *suspended = link->data;

    if (!--*suspended->holds) {
        coroutine_alarm_ring(suspended->alarm);
    }
    g_queue_delete_link(&debug->suspended, link);
    g_free(suspended->tag);
    g_free(suspended);
}

/* tag: NULL is any. */
static bool is_tagged(const char *tag, const char *name)
{
    return !tag || !strcmp(tag, name);
}

static int resume_tag(Blkdebug *debug, const char *tag, bool all)
{
    int result = -ENOENT;

    for (GList *link = debug->suspended.head, *next; link && (all || result); link = next) {
        const Suspended *suspended = link->data;

        next = link->next;
        if (is_tagged(tag, suspended->tag)) {
            log_printf("blkdebug: Resuming request '%s'\n", suspended->tag);
            resume(debug, link);
            result = 0;
        }
    }
    return result;
}

/* Who is in a hurry goes on, and nobody holds what is at its end. */
static void suspend(Blkdebug *debug, unsigned event)
{
    CoroutineAlarm alarm = { 0 };
    unsigned holds = 0;

    take_breakpoints(debug, event, &alarm, &holds);
    while (holds && coroutine_hurry(coroutine_self()) == HURRY_NONE) {
        coroutine_alarm_sleep_ns(&alarm, SLICE_NS);
    }
    for (GList *link = debug->suspended.head, *next; holds && link; link = next) {
        next = link->next;
        if (((Suspended *)link->data)->holds == &holds) {
            resume(debug, link);
        }
    }
}

static int set_breakpoint(Blkdebug *debug, unsigned event, const char *tag)
{
    Breakpoint *breakpoint;

    if (debug->breakpoints.length >= RULES_MAX) {
        return -ENOSPC;
    }
    breakpoint = g_new(Breakpoint, 1);
    *breakpoint = (Breakpoint){ .event = (int)event, .tag = g_strdup(tag) };
    g_queue_push_head(&debug->breakpoints, breakpoint);
    return 0;
}

static int remove_breakpoints(Blkdebug *debug, const char *tag)
{
    int result = -ENOENT;

    for (GList *link = debug->breakpoints.head, *next; link; link = next) {
        Breakpoint *breakpoint = link->data;

        next = link->next;
        if (is_tagged(tag, breakpoint->tag)) {
            g_queue_delete_link(&debug->breakpoints, link);
            breakpoint_free(breakpoint);
            result = 0;
        }
    }
    resume_tag(debug, tag, true);
    return result;
}

static int blkdebug_break(BlockNode *node, unsigned action, const char *tag, unsigned event)
{
    Blkdebug *debug = node->state;

    switch (action) {
    case DEBUG_BREAK_SET:
        return set_breakpoint(debug, event, tag);
    case DEBUG_BREAK_REMOVE:
        return remove_breakpoints(debug, tag);
    case DEBUG_BREAK_RESUME:
        return resume_tag(debug, tag, false);
    default:
        for (GList *link = debug->suspended.head; link; link = link->next) {
            if (is_tagged(tag, ((Suspended *)link->data)->tag)) {
                return 1;
            }
        }
        return 0;
    }
}

static void apply_rules(Blkdebug *debug, unsigned event)
{
    uint64_t state = debug->state;
    bool injected = false;

    for (guint i = 0; i < debug->rules->len; i++) {
        Rule *rule = &g_array_index(debug->rules, Rule, i);

        if (rule->event != (int)event || (rule->state && rule->state != debug->state)) {
            continue;
        }
        if (rule->sets_state) {
            state = rule->new_state;
            continue;
        }
        for (guint j = 0; !injected && j < debug->rules->len; j++) {
            g_array_index(debug->rules, Rule, j).armed = false;
        }
        injected = true;
        rule->armed = !rule->used;
    }
    debug->state = state;
}

static void blkdebug_event(BlockNode *node, unsigned event)
{
    Blkdebug *debug = node->state;

    apply_rules(debug, event);
    if (debug->breakpoints.head) {
        suspend(debug, event);
    }
}

static bool take_align(BlockNode *node, GHashTable *options, GError **error)
{
    uint64_t align = 0, transfer = 0;

    if (!options_take_size(options, "align", &align, error) ||
        !options_take_size(options, "max-transfer", &transfer, error)) {
        return false;
    }
    if (align & (align - 1) || align > ALIGN_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "align must be a power of 2 of at most 1 MiB");
    }
    if (align) {
        node->request_alignment = MAX(node->request_alignment, (uint32_t)align);
    }
    if (transfer && transfer % node->request_alignment) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "max-transfer must be a multiple of the alignment");
    }
    node->max_transfer = transfer;
    return true;
}

static bool blkdebug_open(BlockNode *node, GHashTable *options, GError **error)
{
    Blkdebug *debug = node->state;
    g_autofree char *config = options_take(options, "config");

    debug->rules = g_array_new(FALSE, TRUE, sizeof(Rule));
    debug->state = 1;
    g_queue_init(&debug->breakpoints);
    g_queue_init(&debug->suspended);
    if ((!config || read_rules(debug, config, error)) &&
        take_rules(debug, "inject-error", options, error) &&
        take_rules(debug, "set-state", options, error) && take_align(node, options, error)) {
        apply_rules(debug, EVENT_NONE);
        return true;
    }
    g_array_unref(debug->rules);
    return false;
}

static void blkdebug_close(BlockNode *node)
{
    Blkdebug *debug = node->state;

    g_queue_clear_full(&debug->breakpoints, (GDestroyNotify)breakpoint_free);
    g_array_unref(debug->rules);
}

/* Requests. */

static int check_rules(BlockNode *node, IoType type, uint64_t offset, uint64_t bytes)
{
    Blkdebug *debug = node->state;

    for (guint i = 0; i < debug->rules->len; i++) {
        Rule *rule = &g_array_index(debug->rules, Rule, i);
        uint64_t at = (uint64_t)rule->sector * 512;

        if (!rule->armed || !(rule->types >> type & 1) ||
            (rule->sector >= 0 && (at < offset || at >= offset + bytes))) {
            continue;
        }
        rule->used = rule->once;
        rule->armed = !rule->once;
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

static int blkdebug_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                           uint64_t *map, BlockNode **file)
{
    int result = check_rules(node, IO_STATUS, offset, bytes);

    *count = bytes;
    *map = offset;
    *file = node->file->node;
    return result < 0 ? result : BLOCK_STATUS_RECURSE | BLOCK_STATUS_OFFSET_VALID;
}

static const BlockOption blkdebug_options[] = {
    { "image", "node whose requests are watched" },
    { "config", "file of rules" },
    { "align", "alignment that requests must have" },
    { "max-transfer", "largest request" },
    { "inject-error.N",
      "event, state, iotype, errno, sector, once: a rule by which requests fail" },
    { "set-state.N", "event, state, new_state: a rule that changes the state" },
    { 0 },
};

static const char *const blkdebug_prefixes[] = { prefix, NULL };

static const BlockDriver blkdebug_driver = {
    .name = "blkdebug",
    .summary = "Filter that makes chosen requests fail",
    .options = blkdebug_options,
    .instance_size = sizeof(Blkdebug),
    .is_filter = true,
    .child_option = "image",
    .prefixes = blkdebug_prefixes,
    .parse_filename = blkdebug_parse_filename,
    .open = blkdebug_open,
    .close = blkdebug_close,
    .debug_event = blkdebug_event,
    .debug_break = blkdebug_break,
    .read = blkdebug_read,
    .write = blkdebug_write,
    .write_zeroes = blkdebug_write_zeroes,
    .discard = blkdebug_discard,
    .flush = blkdebug_flush,
    .status = blkdebug_status,
};
BLOCK_DRIVER(blkdebug_driver);
