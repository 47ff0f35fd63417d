/* SPDX-License-Identifier: MIT */
/* qcow2: changing the version, the width of refcounts and other features of an existing image. */
#include "block/qcow2/crypt.h"
#include "block/qcow2/switch.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

const BlockOption qcow2_amend_options[] = {
    { "backing_file", "File name of a base image" },
    { "backing_fmt", "Image format of the base image" },
    { "compat", "Compatibility level (v2 [0.10] or v3 [1.1])" },
    { "data_file", "File name of an external data file" },
    { "data_file_raw", "The external data file must stay valid as a raw image" },
    { "encrypt.iter-time", "Time to spend in PBKDF in milliseconds" },
    { "encrypt.keyslot", "The key slot to change" },
    { "encrypt.new-secret", "ID of the secret that becomes a passphrase" },
    { "encrypt.old-secret", "ID of the secret whose key slots are erased" },
    { "encrypt.state", "active adds a passphrase, inactive erases key slots" },
    { "lazy_refcounts", "Postpone refcount updates" },
    { "refcount_bits", "Width of a reference count entry in bits" },
    { "size", "Virtual disk size" },
    { 0 },
};

static bool fail(GError **error, const char *message)
{
    return error_fail(error, KASO_ERROR_INVALID, "%s", message);
}

/* The width of refcounts: a new table and new blocks behind everything, then the header names them. */

static bool plan(Qcow2NewCounts *w, GError **error)
{
    Qcow2 *q = w->q;
    uint64_t end = MAX(q->file_end, node_length(q->node->file->node));
    uint64_t per_block = UINT64_C(1) << (q->cluster_bits + 3 - w->order), total;

    w->start = qcow2_clusters(q, end);
    do {
        total = w->start + w->blocks + w->table_clusters + w->spare;
        w->blocks = (total + per_block - 1) / per_block;
        w->table_clusters = qcow2_clusters(q, w->blocks * sizeof(uint64_t));
    } while (w->start + w->blocks + w->table_clusters + w->spare != total);
    w->entries = w->table_clusters * q->cluster_size / sizeof(uint64_t);
    if (w->entries * sizeof(uint64_t) > QCOW2_MAX_REFTABLE_BYTES) {
        return fail(error, "The refcount table of this width would be too large");
    }
    w->table = g_try_malloc0(w->entries * sizeof(uint64_t));
    return w->table || fail(error, "Not enough memory for the new refcount table");
}

/* The count of a cluster under the new width; the new structures are counted, too. */
static int count_of(Qcow2NewCounts *w, uint64_t cluster, uint64_t *count)
{
    uint64_t end = w->start + w->blocks + w->table_clusters;

    *count = cluster >= w->start && cluster < end;
    return cluster < w->start ? qcow2_get_refcount(w->q, cluster, count) : 0;
}

static bool write_block(Qcow2NewCounts *w, uint64_t i, uint8_t *block, GError **error)
{
    Qcow2 *q = w->q;
    uint64_t per_block = UINT64_C(1) << (q->cluster_bits + 3 - w->order);
    Qcow2 layout = { .refcount_order = w->order };
    int result = 0;

    memset(block, 0, q->cluster_size);
    for (uint64_t j = 0; j < per_block && result == 0; j++) {
        uint64_t cluster = i * per_block + j, count;

        result = count_of(w, cluster, &count);
        if (result == 0 && count > qcow2_refcount_max(&layout)) {
            return error_fail(
                error, KASO_ERROR_GENERIC,
                "%u bits are too few for refcounts: that of the cluster at %#" G_GINT64_MODIFIER
                "x is %" G_GUINT64_FORMAT,
                1u << w->order, cluster << q->cluster_bits, count);
        }
        qcow2_refcount_store(&layout, block, j, count);
    }
    w->table[i] = (w->start + i) << q->cluster_bits;
    if (result == 0) {
        node_debug_event(q->node->file->node, EVENT_REFBLOCK_UPDATE);
        result = node_pwrite(q->node->file->node, w->table[i], block, q->cluster_size, 0);
    }
    return result == 0 || error_fail_errno(error, -result, "Could not write a refcount block");
}

static int write_table(Qcow2NewCounts *w)
{
    BlockNode *file = w->q->node->file->node;
    int result;

    node_debug_event(file, EVENT_REFTABLE_UPDATE);
    result =
        qcow2_write_table(w->q, (w->start + w->blocks) << w->q->cluster_bits, w->table, w->entries);
    return result < 0 ? result : node_flush(file);
}

bool qcow2_write_new_counts(Qcow2NewCounts *w, void (*progress)(void *, double), void *opaque,
                            GError **error)
{
    g_autofree uint8_t *block = g_malloc(w->q->cluster_size);
    bool done = plan(w, error);
    int result;

    for (uint64_t i = 0; i < w->blocks && done; i++) {
        done = write_block(w, i, block, error);
        if (progress) {
            progress(opaque, (double)(i + 1) / (double)w->blocks);
        }
    }
    result = done ? write_table(w) : 0;
    return done && (result == 0 || error_fail_errno(error, -result, "Could not change refcounts"));
}

/* The header names the new structures; from here on they are the ones in memory, too. */
static int take_over(Qcow2NewCounts *w)
{
    Qcow2 *q = w->q;
    uint64_t old_offset = q->reftable_offset;
    uint32_t old_entries = q->reftable_entries;
    unsigned old_order = q->refcount_order;
    uint64_t *old_table = q->reftable;
    int result;

    q->reftable = w->table;
    q->reftable_offset = (w->start + w->blocks) << q->cluster_bits;
    q->reftable_entries = (uint32_t)w->entries;
    q->refcount_order = w->order;
    result = qcow2_commit_header(q);
    if (result < 0) {
        q->reftable = old_table;
        q->reftable_offset = old_offset;
        q->reftable_entries = old_entries;
        q->refcount_order = old_order;
        return result;
    }
    w->table = NULL;
    q->refblock_bits = q->cluster_bits + 3 - q->refcount_order;
    qcow2_taken(q, w->start << q->cluster_bits, (w->blocks + w->table_clusters) << q->cluster_bits);
    table_cache_forget_all(q->refblock_cache);
    g_clear_pointer(&q->metadata, g_hash_table_unref);
    result = qcow2_know_metadata(q);
    for (uint32_t i = 0; i < old_entries && result == 0; i++) {
        if (old_table[i] & QCOW2_REFTABLE_MASK) {
            qcow2_free_now(q, old_table[i] & QCOW2_REFTABLE_MASK, q->cluster_size);
        }
    }
    if (result == 0) {
        qcow2_free_now(q, old_offset, old_entries * sizeof(uint64_t));
        result = qcow2_sync(q);
    }
    g_free(old_table);
    return result;
}

/* [lock] */
static bool change_refcount_width(Qcow2 *q, uint64_t bits, void (*progress)(void *, double),
                                  void *opaque, GError **error)
{
    Qcow2NewCounts w = { .q = q, .order = (unsigned)__builtin_ctzll(bits) };
    int result = qcow2_know_metadata(q);
    bool done;

    if (result == 0) {
        result = qcow2_apply_ready(q);
    }
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not write the image's metadata");
    }
    done = qcow2_write_new_counts(&w, progress, opaque, error);
    if (done) {
        result = take_over(&w);
        done = result == 0 || error_fail_errno(error, -result, "Could not change refcounts");
    }
    g_free(w.table);
    return done;
}

/* All that can be amended, and as it shall be. */
typedef struct {
    unsigned version;
    bool lazy;
    uint64_t size, refcount_bits;
    LuksAmendment keys;
} Amendment;

/* What an image names cannot be changed here, only named again. */
static bool check_names(BlockNode *node, GHashTable *options, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    g_autofree char *backing = options_take(options, "backing_file");
    g_autofree char *format = options_take(options, "backing_fmt");
    g_autofree char *data_file = options_take(options, "data_file");
    bool raw = q->data_file_raw;

    if (!options_take_bool(options, "data_file_raw", &raw, error)) {
        return false;
    }
    if ((backing && g_strcmp0(backing, node->backing_filename)) ||
        (format && g_strcmp0(format, node->backing_format))) {
        return fail(error, "Cannot amend the backing file\nYou can use 'kaso-img rebase' instead.");
    }
    if (data_file && !qcow2_has_data_file(q)) {
        return fail(error, "data-file can only be set for images that use an external data file");
    }
    if (raw && !q->data_file_raw) {
        return fail(error, "data-file-raw cannot be set on existing images");
    }
    if (data_file && data_file[0]) {
        g_free(q->data_file_name);
        q->data_file_name = g_steal_pointer(&data_file);
    }
    if (!raw && q->data_file_raw) {
        q->data_file_raw = false;
        q->autoclear &= ~(uint64_t)QCOW2_AUTOCLEAR_DATA_FILE_RAW;
    }
    return true;
}

static bool take_amendment(BlockNode *node, GHashTable *options, Amendment *a, GError **error)
{
    static const char *const compat_names[] = { "0.10", "v2", "1.1", "v3", NULL };
    Qcow2 *q = qcow2_of(node);
    int compat = q->version == 2 ? 0 : 2;

    a->lazy = (q->compatible & QCOW2_COMPAT_LAZY_REFCOUNTS) != 0;
    a->size = q->size;
    a->refcount_bits = 1u << q->refcount_order;
    if (!options_take_enum(options, "compat", compat_names, &compat, error)) {
        return false;
    }
    a->lazy &= compat >= 2;
    if (!options_take_bool(options, "lazy_refcounts", &a->lazy, error) ||
        !options_take_size(options, "size", &a->size, error) ||
        !options_take_number(options, "refcount_bits", &a->refcount_bits, error) ||
        !qcow2_crypt_take_amendment(q, options, &a->keys, error) ||
        !check_names(node, options, error) ||
        !block_check_amend_leftover(node->driver, options, error)) {
        return false;
    }
    a->version = compat < 2 ? 2 : 3;
    if (!is_power_of_two(a->refcount_bits) || a->refcount_bits > 64) {
        return fail(error, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    if (a->refcount_bits != 16 && a->version < 3) {
        return fail(error, "Refcount widths other than 16 bits require compatibility level 1.1 or "
                           "above (use compat=1.1, or refcount_bits=16)");
    }
    if (a->lazy && a->version < 3) {
        return fail(error, "Lazy refcounts only supported with compatibility level 1.1 and above "
                           "(use compat=1.1 or greater)");
    }
    return true;
}

/* [lock] */
static int change_header(Qcow2 *q, const Amendment *a)
{
    int result = qcow2_sync(q);

    if (result < 0) {
        return result;
    }
    if (a->version == 2) {
        q->incompatible = q->compatible = q->autoclear = 0;
        q->version = 2;
        q->header_length = QCOW2_V2_HEADER_LENGTH;
        q->compression_type = CLUSTER_CODEC_ZLIB;
        g_queue_clear_full(&q->codecs, (GDestroyNotify)cluster_codec_free);
    } else {
        if (q->version < 3) {
            q->version = 3;
            q->header_length = 112;
        }
        q->compatible &= ~(uint64_t)QCOW2_COMPAT_LAZY_REFCOUNTS;
        q->compatible |= a->lazy ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0;
    }
    q->lazy_refcounts = a->lazy;
    return qcow2_write_header(q);
}

bool qcow2_amend(BlockNode *node, GHashTable *options, bool force, void (*progress)(void *, double),
                 void *opaque, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Amendment a;
    bool narrow_first, done = true;
    int result = 0;

    if (!take_amendment(node, options, &a, error)) {
        return false;
    }
    if (q->broken) {
        return error_fail_errno(error, EIO, "Could not amend '%s'", node->filename);
    }
    /* Version 2 knows one width only: it is there before the version is, or after. */
    narrow_first = a.version == 2;
    if (a.version == 2 && q->version == 3 && !qcow2_check_downgrade(q, error)) {
        return false;
    }
    coroutine_mutex_lock(&q->lock);
    if (narrow_first && a.refcount_bits != 1u << q->refcount_order) {
        done = change_refcount_width(q, a.refcount_bits, progress, opaque, error);
    }
    coroutine_mutex_unlock(&q->lock);
    if (done && a.version == 2 && q->version == 3) {
        done = qcow2_prepare_downgrade(node, progress, opaque, error);
    }
    coroutine_mutex_lock(&q->lock);
    if (done && result == 0) {
        result = change_header(q, &a);
    }
    if (done && result == 0 && a.refcount_bits != 1u << q->refcount_order) {
        done = change_refcount_width(q, a.refcount_bits, progress, opaque, error);
    }
    coroutine_mutex_unlock(&q->lock);
    if (!done || result < 0) {
        return done ? error_fail_errno(error, -result, "Could not amend '%s'", node->filename)
                    : false;
    }
    if (a.keys.given && !qcow2_crypt_amend(q, &a.keys, force, error)) {
        return false;
    }
    return a.size == q->size || node_truncate(node, a.size, PREALLOC_OFF, error);
}
