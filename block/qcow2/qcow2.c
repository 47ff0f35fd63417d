/* SPDX-License-Identifier: MIT */
/* qcow2: opening, closing, ordering of metadata, information. */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "block/qcow2/crypt.h"
#include "block/qcow2/header.h"

#include <errno.h>
#include <string.h>

int qcow2_read_table(Qcow2 *q, uint64_t offset, uint64_t *table, uint64_t entries)
{
    int result = node_pread(q->node->file->node, offset, table, entries * sizeof(uint64_t));

    for (uint64_t i = 0; result == 0 && i < entries; i++) {
        table[i] = load_be64(&table[i]);
    }
    return result;
}

int qcow2_write_table(Qcow2 *q, uint64_t offset, const uint64_t *table, uint64_t entries)
{
    g_autofree uint64_t *disk = g_try_new(uint64_t, entries);

    if (!disk) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < entries; i++) {
        store_be64(&disk[i], table[i]);
    }
    return node_pwrite(q->node->file->node, offset, disk, entries * sizeof(uint64_t), 0);
}

bool qcow2_check_table(Qcow2 *q, uint64_t offset, uint64_t entries, size_t entry_size,
                       uint64_t max_bytes, const char *name, GError **error)
{
    if (entries > max_bytes / entry_size) {
        return error_fail(error, KASO_ERROR_INVALID, "%s too large", name);
    }
    if (offset > QCOW2_OFFSET_MASK || (offset & (q->cluster_size - 1))) {
        return error_fail(error, KASO_ERROR_INVALID, "%s offset invalid", name);
    }
    return true;
}

/* The drive whose image the node is; "": none. */
static const char *drive_of(const BlockNode *node)
{
    for (GList *link = block_graph_backends(node->graph); link; link = link->next) {
        if (block_node(link->data) == node) {
            return block_id(link->data);
        }
    }
    return "";
}

/* Once; of an image that was only read again when it is written. */
static void tell_corrupt(Qcow2 *q, const char *text)
{
    BlockNode *node = q->node;

    if (!q->told_corrupt || !node->read_only) {
        q->told_corrupt = true;
        block_emit(node->graph, "BLOCK_IMAGE_CORRUPTED",
                   json_pack("{s:s, s:s, s:s, s:b}", "device", drive_of(node), "node-name",
                             node->node_name, "msg", text, "fatal", !node->read_only));
    }
}

int qcow2_corrupt(Qcow2 *q, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    if (q->broken) {
        return -EIO;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    log_printf("qcow2: %s '%s' as corrupt: %s. Run 'kaso-img check' on it.\n",
               q->node->read_only ? "Image is recognised" : "Marking image", q->node->filename,
               text);
    tell_corrupt(q, text);
    if (!q->node->read_only) {
        q->broken = true;
        if (q->version >= 3) {
            q->incompatible |= QCOW2_INCOMPAT_CORRUPT;
            qcow2_write_header(q);
        }
    }
    return -EIO;
}

int qcow2_set_dirty(Qcow2 *q, bool dirty)
{
    uint64_t old = q->incompatible;
    int result;

    if (q->version < 3) {
        return 0;
    }
    q->incompatible = dirty ? old | QCOW2_INCOMPAT_DIRTY : old & ~(uint64_t)QCOW2_INCOMPAT_DIRTY;
    if (q->incompatible == old) {
        return 0;
    }
    result = qcow2_commit_header(q);
    if (result < 0) {
        q->incompatible = old;
    }
    return result;
}

/* Metadata clusters. */

void qcow2_metadata_add(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    for (uint64_t i = 0; q->metadata && i < qcow2_clusters(q, bytes); i++) {
        g_hash_table_add(q->metadata, GSIZE_TO_POINTER((offset >> q->cluster_bits) + i));
    }
}

void qcow2_metadata_remove(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    for (uint64_t i = 0; q->metadata && i < qcow2_clusters(q, bytes); i++) {
        g_hash_table_remove(q->metadata, GSIZE_TO_POINTER((offset >> q->cluster_bits) + i));
    }
}

bool qcow2_is_metadata(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    uint64_t last = (offset + bytes - 1) >> q->cluster_bits;

    for (uint64_t cluster = offset >> q->cluster_bits; q->metadata && cluster <= last; cluster++) {
        if (g_hash_table_contains(q->metadata, GSIZE_TO_POINTER(cluster))) {
            return true;
        }
    }
    return false;
}

/* The L2 tables of snapshots: offsets (uint64_t) are added to tables. */
static int find_inactive_tables(Qcow2 *q, GArray *tables)
{
    for (unsigned i = 0; i < q->snapshot_count; i++) {
        const Qcow2Snapshot *snapshot = &q->snapshots[i];
        uint64_t bytes = snapshot->l1_size * sizeof(uint64_t);
        g_autofree uint8_t *l1 = g_try_malloc(bytes);
        int result = l1 || !bytes
                         ? node_pread(q->node->file->node, snapshot->l1_table_offset, l1, bytes)
                         : -ENOMEM;

        if (result < 0) {
            return result;
        }
        for (uint64_t at = 0; at < bytes; at += sizeof(uint64_t)) {
            uint64_t offset = load_be64(l1 + at) & QCOW2_OFFSET_MASK;

            if (offset) {
                g_array_append_val(tables, offset);
            }
        }
    }
    return 0;
}

int qcow2_know_metadata(Qcow2 *q)
{
    g_autoptr(GArray) inactive = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    int result = 0;

    if (!q->metadata && q->checks_inactive_l2) {
        result = find_inactive_tables(q, inactive);
    }
    if (result < 0 || q->metadata) {
        return result;
    }
    q->metadata = g_hash_table_new(NULL, NULL);
    qcow2_metadata_add(q, 0, q->cluster_size);
    qcow2_metadata_add(q, q->l1_offset, q->l1_size * sizeof(uint64_t));
    qcow2_metadata_add(q, q->reftable_offset, q->reftable_entries * sizeof(uint64_t));
    qcow2_metadata_add(q, q->snapshots_offset, q->snapshots_bytes);
    qcow2_metadata_add(q, q->bitmaps.directory_offset, q->bitmaps.directory_size);
    qcow2_metadata_add(q, q->crypt_header_offset, q->crypt_header_length);
    for (uint32_t i = 0; i < q->l1_size; i++) {
        if (q->l1[i] & QCOW2_OFFSET_MASK) {
            qcow2_metadata_add(q, q->l1[i] & QCOW2_OFFSET_MASK, q->cluster_size);
        }
    }
    for (uint32_t i = 0; i < q->reftable_entries; i++) {
        if (q->reftable[i] & QCOW2_REFTABLE_MASK) {
            qcow2_metadata_add(q, q->reftable[i] & QCOW2_REFTABLE_MASK, q->cluster_size);
        }
    }
    for (unsigned i = 0; i < q->snapshot_count; i++) {
        qcow2_metadata_add(q, q->snapshots[i].l1_table_offset,
                           q->snapshots[i].l1_size * sizeof(uint64_t));
    }
    for (guint i = 0; i < inactive->len; i++) {
        qcow2_metadata_add(q, g_array_index(inactive, uint64_t, i), q->cluster_size);
    }
    return 0;
}

/* Ordering. */

typedef struct {
    TableSnapshot *l2, *refblocks;
    uint64_t *l1;      /* copy */
    uint8_t *l1_dirty; /* which sectors of it to write */
    uint32_t l1_size;
    uint64_t l1_offset;
    bool l1_any;
    GArray *pending;
    uint64_t pending_clusters;
} SyncState;

static int sync_write_l1(Qcow2 *q, const SyncState *state)
{
    int result = 0;

    for (uint32_t sector = 0; state->l1_any && result == 0 && sector * 64 < state->l1_size;
         sector++) {
        if (state->l1_dirty[sector]) {
            node_debug_event(q->node->file->node, EVENT_L1_UPDATE);
            result = qcow2_write_table(q, state->l1_offset + sector * 512ull,
                                       state->l1 + sector * 64, 64);
        }
    }
    return result;
}

/* Takes everything that is to be made durable, at one instant. */
static void sync_begin(Qcow2 *q, SyncState *state)
{
    state->l2 = table_cache_snapshot(q->l2_cache);
    state->l1_any = q->l1_any_dirty;
    state->l1_size = q->l1_size;
    state->l1_offset = q->l1_offset;
    if (state->l1_any) {
        state->l1 = g_memdup2(q->l1, align_up(q->l1_size, 64) * sizeof(uint64_t));
        state->l1_dirty = g_memdup2(q->l1_dirty, q->l1_size / 64 + 1);
        memset(q->l1_dirty, 0, q->l1_size / 64 + 1);
        q->l1_any_dirty = false;
    }
    state->pending = q->pending;
    state->pending_clusters = q->pending_clusters;
    q->pending = g_array_new(FALSE, FALSE, sizeof(PendingFree));
    q->pending_clusters = 0;
}

static void sync_end(Qcow2 *q, SyncState *state, int result)
{
    if (result == 0) {
        g_array_append_vals(q->ready, state->pending->data, state->pending->len);
    } else {
        table_snapshot_restore(state->l2);
        for (uint32_t i = 0; state->l1_any && i <= state->l1_size / 64; i++) {
            q->l1_dirty[i] |= state->l1_dirty[i];
        }
        q->l1_any_dirty = q->l1_any_dirty || state->l1_any;
        g_array_append_vals(q->pending, state->pending->data, state->pending->len);
        q->pending_clusters += state->pending_clusters;
    }
    table_snapshot_free(state->l2);
    g_array_unref(state->pending);
    g_free(state->l1);
    g_free(state->l1_dirty);
}

static int sync_write_refcounts(Qcow2 *q)
{
    TableSnapshot *snapshot = table_cache_snapshot(q->refblock_cache);
    int result = table_snapshot_write(snapshot);

    if (result < 0) {
        table_snapshot_restore(snapshot);
    }
    table_snapshot_free(snapshot);
    return result;
}

/* The file covers all clusters that are in use, so that no reader finds it truncated. */
static int sync_extend_file(Qcow2 *q)
{
    BlockNode *file = q->node->file->node;

    if (node_length(file) >= q->file_end) {
        return 0;
    }
    return node_grow(file, q->file_end, PREALLOC_OFF, NULL) ? 0 : -ENOSPC;
}

static int sync_flush_data(Qcow2 *q)
{
    int result = node_flush(q->node->file->node);

    if (result == 0 && q->data_file != q->node->file) {
        result = node_flush(q->data_file->node);
    }
    return result;
}

int qcow2_sync(Qcow2 *q)
{
    bool lazy = q->lazy_refcounts && q->in_use_dirty, tables;
    SyncState state = { 0 };
    int result = 0;

    coroutine_mutex_lock(&q->sync_lock);
    sync_begin(q, &state);
    tables = state.l1_any || table_snapshot_count(state.l2);
    if (!lazy) {
        result = sync_write_refcounts(q);
    }
    if (result == 0) {
        result = sync_extend_file(q);
    }
    if (result == 0 && (tables || q->broken)) {
        result = sync_flush_data(q); /* data and counts before what refers to them */
        if (result == 0) {
            result = table_snapshot_write(state.l2);
        }
        if (result == 0) {
            result = sync_write_l1(q, &state);
        }
    }
    if (result == 0) {
        result = sync_flush_data(q);
    }
    sync_end(q, &state, result);
    coroutine_mutex_unlock(&q->sync_lock);
    return result;
}

static int qcow2_flush(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);
    int result = q->broken ? -EIO : 0;

    if (q->unsettled) {
        coroutine_mutex_lock(&q->lock);
        result = qcow2_may_write(q);
        coroutine_mutex_unlock(&q->lock);
    }
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result == 0 && q->ready->len) {
        coroutine_mutex_lock(&q->lock);
        qcow2_apply_ready(q); /* what it cannot free is leaked, not lost */
        coroutine_mutex_unlock(&q->lock);
    }
    return result;
}

/* Opening. */

static bool open_tables(Qcow2 *q, const Qcow2Header *header, GError **error)
{
    uint64_t per_l1 = UINT64_C(1) << (q->cluster_bits + q->l2_bits);
    uint64_t needed = q->size / per_l1 + (q->size % per_l1 != 0);
    int result;

    if (!qcow2_check_table(q, header->reftable_offset, header->reftable_clusters, q->cluster_size,
                           QCOW2_MAX_REFTABLE_BYTES, "Reference count table", error)) {
        return false;
    }
    if (!header->reftable_clusters && !q->node->flags.check) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Image does not contain a reference count table");
    }
    if (!qcow2_check_table(q, header->l1_offset, header->l1_size, sizeof(uint64_t),
                           QCOW2_MAX_L1_BYTES, "Active L1 table", error)) {
        return false;
    }
    if (needed > INT32_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "Image is too big");
    }
    if (header->l1_size < needed) {
        return error_fail(error, KASO_ERROR_INVALID, "L1 table is too small");
    }
    q->l1_vm_state_index = (uint32_t)needed;
    q->l1_size = header->l1_size;
    q->l1_offset = header->l1_offset;
    q->reftable_offset = header->reftable_offset;
    q->reftable_entries = (uint32_t)(((uint64_t)header->reftable_clusters << q->cluster_bits) / 8);
    q->l1 = g_try_malloc0(align_up(MAX(q->l1_size, 1), 64) * sizeof(uint64_t));
    q->l1_dirty = g_malloc0(q->l1_size / 64 + 1);
    q->reftable = g_try_malloc0(MAX(q->reftable_entries, 1) * sizeof(uint64_t));
    if (!q->l1 || !q->reftable) {
        return error_fail_errno(error, ENOMEM, "Could not allocate the L1 or refcount table");
    }
    result = qcow2_read_table(q, q->l1_offset, q->l1, q->l1_size);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read L1 table");
    }
    node_debug_event(q->node->file->node, EVENT_REFTABLE_LOAD);
    result = qcow2_read_table(q, q->reftable_offset, q->reftable, q->reftable_entries);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the refcount table");
    }
    q->snapshot_count = header->snapshot_count;
    q->snapshots_offset = header->snapshots_offset;
    return qcow2_read_snapshots(q, error);
}

/*
 * The name is what the user gave when the image was created, so it begins at the current folder. An image
 * that has been moved together with its data, or is opened from elsewhere, has it beside itself.
 */
static char *find_data_file(const Qcow2 *q)
{
    g_autofree char *beside = block_combine_path(q->node->filename, q->data_file_name, NULL);

    return !g_file_test(q->data_file_name, G_FILE_TEST_EXISTS) && beside &&
                   g_file_test(beside, G_FILE_TEST_EXISTS)
               ? g_steal_pointer(&beside)
               : g_strdup(q->data_file_name);
}

static bool open_data_file(Qcow2 *q, GHashTable *options, GError **error)
{
    g_autofree char *path = NULL;
    bool given = options_get(options, "data-file") || options_has_nested(options, "data-file");

    q->data_file = q->node->file;
    if (!qcow2_has_data_file(q)) {
        return !given || error_fail(error, KASO_ERROR_INVALID,
                                    "'data-file' can only be set for images with an external data "
                                    "file");
    }
    if (q->snapshot_count) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "An image with an external data file cannot have snapshots");
    }
    if (q->node->flags.no_io) { /* only the metadata is wanted */
        g_free(options_take(options, "data-file"));
        g_hash_table_unref(options_take_nested(options, "data-file"));
        return true;
    }
    if (!given) {
        if (!q->data_file_name || !q->data_file_name[0]) {
            return error_fail(error, KASO_ERROR_INVALID, "'data-file' is required for this image");
        }
        path = find_data_file(q);
        options_set(options, "data-file.driver", "file");
        node_announce_file(q->node, "data file", path, "raw");
    }
    q->data_file = node_open_bytes(q->node, "data-file", BLOCK_ROLE_DATA, path, options, error);
    q->data_file_raw = (q->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW) != 0;
    return q->data_file != NULL;
}

static void qcow2_free(Qcow2 *q)
{
    qcow2_free_bitmaps(q);
    qcow2_crypt_close(q);
    table_cleaner_stop(q->cleaner);
    table_cache_free(q->l2_cache);
    table_cache_free(q->refblock_cache);
    qcow2_free_snapshots(q);
    qcow2_free_header(q);
    g_free(q->l1);
    g_free(q->l1_dirty);
    g_free(q->reftable);
    g_array_unref(q->pending);
    g_array_unref(q->ready);
    g_queue_clear_full(&q->codecs, (GDestroyNotify)cluster_codec_free);
    if (q->metadata) {
        g_hash_table_unref(q->metadata);
    }
}

/* What must be put right before an image may be written. */
static bool open_for_writing(Qcow2 *q, GError **error)
{
    int result = 0;

    /* Repairing is writing, too: what others keep in step with the image by these bits would not be. */
    if (q->autoclear & ~(uint64_t)QCOW2_AUTOCLEAR_KNOWN) {
        q->autoclear &= QCOW2_AUTOCLEAR_KNOWN;
        result = qcow2_write_header(q);
    }
    if (q->node->flags.check) {
        return result == 0 || error_fail_errno(error, -result, "Could not update qcow2 header");
    }
    if (!qcow2_check_refcount_blocks(q, error)) {
        return false;
    }
    if (q->incompatible & QCOW2_INCOMPAT_CORRUPT) {
        return error_fail(
            error, KASO_ERROR_GENERIC,
            "qcow2: Image is corrupt; cannot be opened read/write. Run 'kaso-img check "
            "-r all' on it");
    }
    if (result == 0 && (q->incompatible & QCOW2_INCOMPAT_DIRTY)) {
        BlockCheck check = { .fix_errors = true, .fix_leaks = true };

        result = qcow2_check(q->node, &check);
        if (result == 0 && check.check_errors) {
            result = -EIO;
        }
        if (result == 0) {
            result = qcow2_set_dirty(q, false);
        }
    }
    return result == 0 || error_fail_errno(error, -result, "Could not repair dirty image");
}

static bool qcow2_open(BlockNode *node, GHashTable *options, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    Qcow2Header header;

    q->node = node;
    q->pending = g_array_new(FALSE, FALSE, sizeof(PendingFree));
    q->ready = g_array_new(FALSE, FALSE, sizeof(PendingFree));
    coroutine_mutex_init(&q->lock);
    coroutine_mutex_init(&q->sync_lock);
    g_queue_init(&q->allocations);
    node->size = 0;
    if (!qcow2_read_header(q, &header, error) || !qcow2_take_options(q, options, error) ||
        !open_tables(q, &header, error) ||
        (!node->flags.check && !qcow2_check_overlaps(q, error)) ||
        !open_data_file(q, options, error)) {
        qcow2_free(q);
        return false;
    }
    node->size = q->size;
    q->file_end = 0;
    q->lost_from = align_up(node_length(node->file->node), q->cluster_size);
    q->lost_to = UINT64_MAX;
    qcow2_look_for_end(q);
    if (!qcow2_crypt_open(q, options, error) || !qcow2_load_bitmaps(q, error)) {
        qcow2_free(q);
        return false;
    }
    if (!node->read_only && !open_for_writing(q, error)) {
        qcow2_free(q);
        return false;
    }
    return true;
}

int qcow2_store_tables(Qcow2 *q)
{
    int result = qcow2_flush(q->node);

    if (result == 0) {
        result = sync_write_refcounts(q); /* of clusters that the flush has made free */
    }
    if (result == 0) {
        result = node_flush(q->node->file->node);
    }
    if (result == 0 && q->in_use_dirty) {
        result = qcow2_set_dirty(q, false); /* all counts are durable */
        q->in_use_dirty = false;
    }
    return result;
}

/* Writes everything that a reader of the image alone needs, and that nobody has it open. */
static int store_all(Qcow2 *q)
{
    int result = q->bitmaps_in_use || q->bitmaps_changed ? qcow2_store_bitmaps(q) : 0;

    return result == 0 ? qcow2_store_tables(q) : result;
}

static void qcow2_close(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);
    int result = node->read_only || q->broken ? 0 : store_all(q);

    if (result < 0) {
        log_printf("qcow2: could not write the metadata of '%s' while closing: %s\n",
                   node->filename, g_strerror(-result));
    }
    qcow2_free(q);
}

static bool qcow2_reopen(BlockNode *node, bool read_only, GError **error)
{
    int result;

    if (!read_only) {
        return open_for_writing(qcow2_of(node), error);
    }
    node->read_only = false;
    result = store_all(qcow2_of(node));
    node->read_only = true;
    return result == 0 || error_fail_errno(error, -result, "Could not flush '%s'", node->filename);
}

static int64_t qcow2_length(BlockNode *node)
{
    return (int64_t)qcow2_of(node)->size;
}

static int qcow2_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= 8 && load_be32(buffer) == QCOW2_MAGIC && load_be32(buffer + 4) >= 2 ? 100 : 0;
}

static int qcow2_info(BlockNode *node, BlockNodeInfo *info)
{
    Qcow2 *q = qcow2_of(node);

    info->cluster_size = q->cluster_size;
    info->vm_state_offset = qcow2_vm_state_offset(q);
    info->is_dirty = (q->incompatible & QCOW2_INCOMPAT_DIRTY) != 0;
    info->encrypted = q->crypt_method != QCOW2_CRYPT_NONE;
    info->unallocated_reads_zero = !node->backing;
    return 0;
}

static json_t *qcow2_specific_info(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);
    json_t *data = json_object();

    json_object_set_new(data, "compat", json_string(q->version >= 3 ? "1.1" : "0.10"));
    if (qcow2_has_data_file(q) && q->data_file_name) {
        json_object_set_new(data, "data-file", json_string(q->data_file_name));
    }
    if (qcow2_has_data_file(q)) {
        json_object_set_new(data, "data-file-raw",
                            json_boolean(q->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW));
    }
    json_object_set_new(data, "compression-type",
                        json_string(q->compression_type ? "zstd" : "zlib"));
    if (q->version >= 3) {
        json_object_set_new(data, "lazy-refcounts",
                            json_boolean(q->compatible & QCOW2_COMPAT_LAZY_REFCOUNTS));
    }
    if (q->bitmaps.count) {
        json_object_set_new(data, "bitmaps", qcow2_bitmaps_info(q));
    }
    if (q->crypt_method) {
        json_object_set_new(data, "encrypt", qcow2_crypt_info(q));
    }
    json_object_set_new(data, "refcount-bits", json_integer(1 << q->refcount_order));
    if (q->version >= 3) {
        json_object_set_new(data, "corrupt",
                            json_boolean(q->incompatible & QCOW2_INCOMPAT_CORRUPT));
        json_object_set_new(data, "extended-l2", json_boolean(q->subclusters > 1));
    }
    return json_pack("{s:s, s:o}", "type", "qcow2", "data", data);
}

static void cache_statistics(json_t *object, const char *name, const TableCache *cache)
{
    TableCacheUse use = table_cache_use(cache);

    json_object_set_new(object, name,
                        json_pack("{s:I, s:I, s:I, s:I}", "max-bytes", (json_int_t)use.max_bytes,
                                  "bytes", (json_int_t)use.bytes, "hits", (json_int_t)use.hits,
                                  "misses", (json_int_t)use.misses));
}

static void qcow2_statistics(BlockNode *node, json_t *object)
{
    const Qcow2 *q = qcow2_of(node);

    cache_statistics(object, "l2-cache", q->l2_cache);
    cache_statistics(object, "refcount-cache", q->refblock_cache);
}

bool qcow2_set_backing(BlockNode *node, const char *filename, const char *format, GError **error)
{
    Qcow2 *q = qcow2_of(node);
    char *old_name = node->backing_filename, *old_format = node->backing_format;
    int result;

    if (filename && filename[0] && q->data_file_raw) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A backing file cannot be used with data-file-raw=on");
    }
    if (filename && strlen(filename) > 1023) {
        return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
    }
    node->backing_filename = filename && filename[0] ? g_strdup(filename) : NULL;
    node->backing_format = format && format[0] ? g_strdup(format) : NULL;
    result = qcow2_sync(q);
    if (result == 0) {
        result = qcow2_commit_header(q);
    }
    if (result < 0) {
        g_free(node->backing_filename);
        g_free(node->backing_format);
        node->backing_filename = old_name;
        node->backing_format = old_format;
        return error_fail_errno(error, -result, "Could not change the backing file of '%s'",
                                node->filename);
    }
    g_free(old_name);
    g_free(old_format);
    return true;
}

static int qcow2_make_empty(BlockNode *node)
{
    Qcow2 *q = qcow2_of(node);

    node_debug_event(q->node->file->node, EVENT_EMPTY_IMAGE_PREPARE);
    return qcow2_discard_clusters(q, 0, align_up(q->size, q->cluster_size), true);
}

static const BlockOption qcow2_options[] = {
    { "backing", "node or options of the backing file; empty for none" },
    { "cache-clean-interval", "seconds after which unused cache tables are dropped" },
    { "cache-size", "memory for L2 tables and refcount blocks together" },
    { "data-file", "node or options of the external data file" },
    { "discard-no-unref", "keep discarded clusters allocated" },
    { "encrypt.format", "aes or luks" },
    { "encrypt.key-secret", "id of the secret with the passphrase" },
    { "l2-cache-entry-size", "size of a cached piece of an L2 table" },
    { "l2-cache-size", "memory for L2 tables" },
    { "lazy-refcounts", "postpone refcount updates" },
    { "overlap-check", "which metadata writes are checked against" },
    { "pass-discard-other", "pass other discards to the file" },
    { "pass-discard-request", "pass guest discards to the file" },
    { "pass-discard-snapshot", "pass discards of deleted snapshots to the file" },
    { "refcount-cache-size", "memory for refcount blocks" },
    { 0 },
};

static const BlockDriver qcow2_driver = {
    .name = "qcow2",
    .summary = "Growing image with snapshots, backing files and compression",
    .options = qcow2_options,
    .create_options = qcow2_create_options,
    .amend_options = qcow2_amend_options,
    .instance_size = sizeof(Qcow2),
    .has_backing = true,
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .reopen = qcow2_reopen,
    .reopen_names = qcow2_reopen_names,
    .reopen_options = qcow2_reopen_options,
    .read = qcow2_read,
    .write = qcow2_write,
    .write_compressed = qcow2_write_compressed,
    .lacks = qcow2_lacks,
    .write_zeroes = qcow2_write_zeroes,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .length = qcow2_length,
    .truncate = qcow2_truncate,
    .status = qcow2_status,
    .create = qcow2_create,
    .amend = qcow2_amend,
    .info = qcow2_info,
    .specific_info = qcow2_specific_info,
    .statistics = qcow2_statistics,
    .check = qcow2_check,
    .make_empty = qcow2_make_empty,
    .set_backing = qcow2_set_backing,
    .measure = qcow2_measure,
    .bitmap_action = qcow2_bitmap_action,
    .snapshot_create = qcow2_snapshot_create,
    .snapshot_apply = qcow2_snapshot_apply,
    .snapshot_delete = qcow2_snapshot_delete,
    .snapshot_list = qcow2_snapshot_list,
    .snapshot_load = qcow2_snapshot_load,
    .vm_state_read = qcow2_vm_state_read,
    .vm_state_peek = qcow2_vm_state_peek,
    .vm_state_write = qcow2_vm_state_write,
    .vm_state_drop = qcow2_vm_state_drop,
};
BLOCK_DRIVER(qcow2_driver);
