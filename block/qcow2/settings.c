/* SPDX-License-Identifier: MIT */
/* qcow2: what a user chooses for an open image: caches, lazy refcounts, discards. */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

enum {
    DEFAULT_L2_CACHE = 32 * 1024 * 1024,
    DEFAULT_REFCOUNT_CACHE = 4 * 1024 * 1024,
    DEFAULT_CLEAN_INTERVAL_S = 600
};

/* What a user may choose for an open image, by options or blockdev-reopen. */
typedef struct {
    uint64_t l2_bytes, refcount_bytes, slice_bytes, clean_interval_s;
    bool lazy_refcounts, discard_passthrough[3], checks_inactive_l2;
} Settings;

/* How much of an L2 table is read and kept at once. */
static bool take_slice_size(const Qcow2 *q, GHashTable *options, Settings *s, GError **error)
{
    s->slice_bytes = MIN(q->cluster_size, QCOW2_SLICE_BYTES);
    if (!options_take_size(options, "l2-cache-entry-size", &s->slice_bytes, error)) {
        return false;
    }
    if (s->slice_bytes < 512 || s->slice_bytes > q->cluster_size ||
        !is_power_of_two(s->slice_bytes)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "l2-cache-entry-size (%" G_GUINT64_FORMAT
                          ") must be a power of two between 512 and the cluster size (%u)",
                          s->slice_bytes, q->cluster_size);
    }
    return true;
}

static bool take_cache_sizes(const Qcow2 *q, GHashTable *options, Settings *s, GError **error)
{
    uint64_t total = 0;
    bool has_l2 = options_get(options, "l2-cache-size") != NULL;
    bool has_refcounts = options_get(options, "refcount-cache-size") != NULL;
    bool has_total = options_get(options, "cache-size") != NULL;

    s->l2_bytes = MIN(DEFAULT_L2_CACHE, MAX(MIB(1), q->size >> (q->cluster_bits - 4)));
    s->refcount_bytes = DEFAULT_REFCOUNT_CACHE;
    if (!options_take_size(options, "cache-size", &total, error) ||
        !options_take_size(options, "l2-cache-size", &s->l2_bytes, error) ||
        !options_take_size(options, "refcount-cache-size", &s->refcount_bytes, error) ||
        !take_slice_size(q, options, s, error)) {
        return false;
    }
    if (has_total && has_l2 && has_refcounts) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cache-size, l2-cache-size and refcount-cache-size may not be set at the "
                          "same time");
    }
    if (has_total) {
        if (!has_l2) {
            s->l2_bytes = has_refcounts ? total - MIN(total, s->refcount_bytes) : total / 8 * 7;
        }
        if (!has_refcounts) {
            s->refcount_bytes = total - MIN(total, s->l2_bytes);
        }
    }
    return true;
}

/*
 * Metadata is always checked against all of it that is in memory: that costs a look into a set. L2 tables of snapshots are not; who
 * wants them in the set as well has their L1 tables read before the first write. So of the choices of overlap-check, a name or an
 * object of switches over a template, only that one changes something.
 */
static bool take_overlap_check(GHashTable *options, Settings *s, GError **error)
{
    enum { TEMPLATE_ALL = 3 };
    static const char *const templates[] = { "none", "constant", "cached", "all", NULL };
    static const char *const areas[] = { "main-header",    "active-l1",       "active-l2",
                                         "refcount-table", "refcount-block",  "snapshot-table",
                                         "inactive-l1",    "bitmap-directory" };
    int name = 0;
    bool on;

    for (unsigned i = 0; i < ARRAY_SIZE(areas); i++) {
        g_autofree char *key = g_strconcat("overlap-check.", areas[i], NULL);

        if (!options_take_bool(options, key, &on, error)) {
            return false;
        }
    }
    if (!options_take_enum(options, "overlap-check", templates, &name, error) ||
        !options_take_enum(options, "overlap-check.template", templates, &name, error)) {
        return false;
    }
    s->checks_inactive_l2 = name == TEMPLATE_ALL;
    return options_take_bool(options, "overlap-check.inactive-l2", &s->checks_inactive_l2, error);
}

static bool take_settings(const Qcow2 *q, GHashTable *options, Settings *s, GError **error)
{
    bool no_unref = false;

    *s = (Settings){ .clean_interval_s = DEFAULT_CLEAN_INTERVAL_S,
                     .lazy_refcounts = (q->compatible & QCOW2_COMPAT_LAZY_REFCOUNTS) != 0,
                     .discard_passthrough = { true, true } };
    if (!take_cache_sizes(q, options, s, error) ||
        !options_take_number(options, "cache-clean-interval", &s->clean_interval_s, error) ||
        !options_take_bool(options, "lazy-refcounts", &s->lazy_refcounts, error) ||
        !options_take_bool(options, "discard-no-unref", &no_unref, error) ||
        !options_take_bool(options, "pass-discard-request", &s->discard_passthrough[0], error) ||
        !options_take_bool(options, "pass-discard-snapshot", &s->discard_passthrough[1], error) ||
        !options_take_bool(options, "pass-discard-other", &s->discard_passthrough[2], error) ||
        !take_overlap_check(options, s, error)) {
        return false;
    }
    return !s->lazy_refcounts || q->version >= 3 ||
           error_fail(error, KASO_ERROR_INVALID,
                      "Lazy refcounts require a qcow2 image with at least qemu 1.1 "
                      "compatibility level");
}

/* There are no caches yet, or they hold nothing that is not in the image. */
static void apply_settings(Qcow2 *q, const Settings *s)
{
    q->lazy_refcounts = s->lazy_refcounts;
    memcpy(q->discard_passthrough, s->discard_passthrough, sizeof q->discard_passthrough);
    if (s->checks_inactive_l2 && !q->checks_inactive_l2) {
        g_clear_pointer(&q->metadata, g_hash_table_unref); /* made anew before the next write */
    }
    q->checks_inactive_l2 = s->checks_inactive_l2;
    q->l2_slice_bytes = s->slice_bytes;
    q->refblock_slice_bytes = MIN(q->cluster_size, QCOW2_SLICE_BYTES);
    q->l2_cache = table_cache_new(q->node->file, q->l2_slice_bytes, s->l2_bytes);
    q->refblock_cache = table_cache_new(q->node->file, q->refblock_slice_bytes, s->refcount_bytes);
    table_cache_set_events(q->l2_cache, EVENT_L2_LOAD, EVENT_L2_UPDATE);
    table_cache_set_events(q->refblock_cache, EVENT_REFBLOCK_LOAD, EVENT_REFBLOCK_UPDATE_PART);
    if (s->clean_interval_s) {
        q->cleaner = table_cleaner_start(q->l2_cache, q->refblock_cache, s->clean_interval_s);
    }
}

bool qcow2_take_options(Qcow2 *q, GHashTable *options, GError **error)
{
    Settings settings;

    if (!take_settings(q, options, &settings, error)) {
        return false;
    }
    apply_settings(q, &settings);
    return true;
}

const char *const qcow2_reopen_names[] = {
    "cache-clean-interval",
    "cache-size",
    "discard-no-unref",
    "l2-cache-entry-size",
    "l2-cache-size",
    "lazy-refcounts",
    "overlap-check",
    "overlap-check.",
    "pass-discard-other",
    "pass-discard-request",
    "pass-discard-snapshot",
    "refcount-cache-size",
    NULL,
};

bool qcow2_reopen_options(BlockNode *node, GHashTable *options, GError **error)
{
    Qcow2 *q = node->state;
    Settings settings;
    int result;

    if (!take_settings(q, options, &settings, error)) {
        return false;
    }
    result = node->read_only ? 0 : qcow2_store_tables(q);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not flush '%s'", node->filename);
    }
    table_cleaner_stop(q->cleaner);
    q->cleaner = NULL;
    table_cache_free(q->l2_cache);
    table_cache_free(q->refblock_cache);
    apply_settings(q, &settings);
    return true;
}
