/* SPDX-License-Identifier: MIT */
/*
 * qcow2: persistent dirty bitmaps. They are read when the image is opened and stored when it is
 * closed. Before the first write their entries on disk are marked "in use": if the writer dies,
 * the next reader knows that they do not tell the truth.
 */
#include "block/graph/bitmap.h"
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
    ENTRY_SIZE = 24,
    FLAG_IN_USE = 1,
    FLAG_AUTO = 2,
    TYPE_DIRTY_TRACKING = 1,
    TABLE_MAX_ENTRIES = 1 << 22
};

/* One entry of the directory. */
typedef struct {
    uint64_t table_offset;
    uint32_t table_size, flags, extra_size;
    uint8_t type, granularity_bits;
    uint16_t name_size;
    const char *name;
    uint64_t size; /* of the entry */
} Entry;

static bool parse_entry(const uint8_t *at, uint64_t room, Entry *entry)
{
    if (room < ENTRY_SIZE) {
        return false;
    }
    *entry = (Entry){ .table_offset = load_be64(at),
                      .table_size = load_be32(at + 8),
                      .flags = load_be32(at + 12),
                      .type = at[16],
                      .granularity_bits = at[17],
                      .name_size = load_be16(at + 18),
                      .extra_size = load_be32(at + 20) };
    entry->size = align_up(ENTRY_SIZE + (uint64_t)entry->extra_size + entry->name_size, 8);
    if (entry->size > room) {
        return false;
    }
    entry->name = (const char *)at + ENTRY_SIZE + entry->extra_size;
    return true;
}

static int read_bits(Qcow2 *q, const Entry *entry, DirtyBitmap *bitmap)
{
    g_autofree uint64_t *table = g_try_new(uint64_t, MAX(entry->table_size, 1));
    uint64_t bytes = dirty_bitmap_bytes(bitmap);
    int result =
        table ? qcow2_read_table(q, entry->table_offset, table, entry->table_size) : -ENOMEM;

    for (uint32_t i = 0; result == 0 && i < entry->table_size; i++) {
        uint64_t at = (uint64_t)i * q->cluster_size, offset = table[i] & QCOW2_OFFSET_MASK, n;

        if (at >= bytes) {
            break;
        }
        n = MIN(q->cluster_size, bytes - at);
        if (offset) {
            result = offset & (q->cluster_size - 1)
                         ? -EIO
                         : node_pread(q->node->file->node, offset, bitmap->bits + at, n);
        } else {
            memset(bitmap->bits + at, table[i] & 1 ? 0xff : 0, n);
        }
    }
    return result;
}

static bool load_entry(Qcow2 *q, const Entry *entry, GError **error)
{
    g_autofree char *name = g_strndup(entry->name, entry->name_size);
    DirtyBitmap *bitmap;
    int result = 0;

    if (entry->type != TYPE_DIRTY_TRACKING || entry->granularity_bits < 9 ||
        entry->granularity_bits > 31 || entry->table_size > TABLE_MAX_ENTRIES ||
        (entry->table_offset & (q->cluster_size - 1))) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "Bitmap '%s' doesn't satisfy the constraints (type, granularity or table)", name);
    }
    bitmap = dirty_bitmap_new(q->node, name, UINT64_C(1) << entry->granularity_bits, error);
    if (!bitmap) {
        return false;
    }
    bitmap->persistent = true;
    bitmap->inconsistent = (entry->flags & FLAG_IN_USE) != 0;
    bitmap->enabled = (entry->flags & FLAG_AUTO) != 0;
    if (!bitmap->inconsistent && !q->node->flags.no_io) {
        result = read_bits(q, entry, bitmap);
    }
    return result == 0 || error_fail_errno(error, -result, "Could not read bitmap '%s'", name);
}

static uint8_t *read_directory(Qcow2 *q, int *result)
{
    uint8_t *directory = g_try_malloc(MAX(q->bitmaps.directory_size, 1));

    *result = directory ? node_pread(q->node->file->node, q->bitmaps.directory_offset, directory,
                                     q->bitmaps.directory_size)
                        : -ENOMEM;
    if (*result < 0) {
        g_free(directory);
        return NULL;
    }
    return directory;
}

bool qcow2_load_bitmaps(Qcow2 *q, GError **error)
{
    g_autofree uint8_t *directory = NULL;
    uint64_t at = 0;
    int result;

    if (!q->bitmaps.count) {
        return true;
    }
    directory = read_directory(q, &result);
    if (!directory) {
        return error_fail_errno(error, -result, "Could not read the bitmap directory");
    }
    for (uint32_t i = 0; i < q->bitmaps.count; i++) {
        Entry entry;

        if (!parse_entry(directory + at, q->bitmaps.directory_size - at, &entry)) {
            return error_fail(error, KASO_ERROR_INVALID, "Broken bitmap directory (entry %u)", i);
        }
        if (!load_entry(q, &entry, error)) {
            return false;
        }
        at += entry.size;
    }
    return true;
}

void qcow2_free_bitmaps(Qcow2 *q)
{
    while (q->node->dirty_bitmaps) {
        dirty_bitmap_free(q->node->dirty_bitmaps->data);
    }
}

int qcow2_mark_bitmaps_in_use(Qcow2 *q)
{
    g_autofree uint8_t *directory = NULL;
    uint64_t at = 0;
    int result = 0;

    if (!q->bitmaps.count || q->bitmaps_in_use) {
        return 0;
    }
    directory = read_directory(q, &result);
    for (uint32_t i = 0; result == 0 && i < q->bitmaps.count; i++) {
        Entry entry;

        if (!parse_entry(directory + at, q->bitmaps.directory_size - at, &entry)) {
            return -EIO;
        }
        store_be32(directory + at + 12, entry.flags | FLAG_IN_USE);
        at += entry.size;
    }
    if (result == 0) {
        result = node_pwrite(q->node->file->node, q->bitmaps.directory_offset, directory,
                             q->bitmaps.directory_size, 0);
    }
    if (result == 0) {
        result = node_flush(q->node->file->node);
    }
    q->bitmaps_in_use = result == 0;
    return result;
}

/* Frees the clusters of the bitmaps on disk; the header no longer names them. [lock] */
static int free_old(Qcow2 *q, const Qcow2BitmapHeader *old, const uint8_t *directory)
{
    uint64_t at = 0;
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < old->count; i++) {
        g_autofree uint64_t *table = NULL;
        Entry entry;

        if (!parse_entry(directory + at, old->directory_size - at, &entry)) {
            return -EIO;
        }
        at += entry.size;
        table = g_try_new(uint64_t, MAX(entry.table_size, 1));
        result = table ? qcow2_read_table(q, entry.table_offset, table, entry.table_size) : -ENOMEM;
        for (uint32_t j = 0; result == 0 && j < entry.table_size; j++) {
            if (table[j] & QCOW2_OFFSET_MASK) {
                qcow2_free_now(q, table[j] & QCOW2_OFFSET_MASK, q->cluster_size);
            }
        }
        if (result == 0 && entry.table_size) {
            qcow2_free_now(q, entry.table_offset, entry.table_size * sizeof(uint64_t));
        }
    }
    if (result == 0) {
        qcow2_free_now(q, old->directory_offset, old->directory_size);
    }
    return result;
}

/* Writes the bits and their table. [lock] */
static int store_bits(Qcow2 *q, DirtyBitmap *bitmap, Entry *entry)
{
    uint64_t bytes = dirty_bitmap_bytes(bitmap);
    uint64_t entries = (bytes + q->cluster_size - 1) / q->cluster_size;
    g_autofree uint64_t *table = g_new0(uint64_t, MAX(entries, 1));
    g_autofree uint8_t *cluster = g_malloc(q->cluster_size);
    int64_t offset;
    int result = 0;

    for (uint64_t i = 0; i < entries && result == 0; i++) {
        uint64_t n = MIN(q->cluster_size, bytes - i * q->cluster_size);

        if (buffer_is_zero(bitmap->bits + i * q->cluster_size, n)) {
            continue;
        }
        memset(cluster, 0, q->cluster_size);
        memcpy(cluster, bitmap->bits + i * q->cluster_size, n);
        offset = qcow2_alloc(q, q->cluster_size);
        result = offset < 0 ? (int)offset
                            : node_pwrite(q->node->file->node, (uint64_t)offset, cluster,
                                          q->cluster_size, 0);
        table[i] = (uint64_t)offset;
    }
    if (result == 0 && entries) {
        offset = qcow2_alloc(q, entries * sizeof(uint64_t));
        result = offset < 0 ? (int)offset : qcow2_write_table(q, (uint64_t)offset, table, entries);
        entry->table_offset = (uint64_t)offset;
        entry->table_size = (uint32_t)entries;
    }
    return result;
}

static void put_entry(GByteArray *out, const Entry *entry, const char *name)
{
    static const uint8_t padding[8];
    uint8_t head[ENTRY_SIZE] = { 0 };

    store_be64(head, entry->table_offset);
    store_be32(head + 8, entry->table_size);
    store_be32(head + 12, entry->flags);
    head[16] = TYPE_DIRTY_TRACKING;
    head[17] = entry->granularity_bits;
    store_be16(head + 18, (uint16_t)strlen(name));
    g_byte_array_append(out, head, sizeof head);
    g_byte_array_append(out, (const guint8 *)name, (guint)strlen(name));
    g_byte_array_append(out, padding, (guint)(align_up(out->len, 8) - out->len));
}

/* All persistent bitmaps of the node as a new directory. [lock] */
static int store_directory(Qcow2 *q, Qcow2BitmapHeader *header)
{
    GByteArray *out = g_byte_array_new();
    int64_t offset;
    int result = 0;

    *header = (Qcow2BitmapHeader){ 0 };
    for (GSList *link = q->node->dirty_bitmaps; link && result == 0; link = link->next) {
        DirtyBitmap *bitmap = link->data;
        Entry entry = { .granularity_bits = (uint8_t)__builtin_ctzll(bitmap->granularity) };

        if (!bitmap->persistent) {
            continue;
        }
        entry.flags = (bitmap->enabled ? FLAG_AUTO : 0) | (bitmap->inconsistent ? FLAG_IN_USE : 0);
        result = store_bits(q, bitmap, &entry);
        put_entry(out, &entry, bitmap->name);
        header->count++;
    }
    if (result == 0 && header->count) {
        offset = qcow2_alloc(q, out->len);
        result = offset < 0
                     ? (int)offset
                     : node_pwrite(q->node->file->node, (uint64_t)offset, out->data, out->len, 0);
        header->directory_offset = (uint64_t)offset;
        header->directory_size = out->len;
    }
    g_byte_array_unref(out);
    return result;
}

int qcow2_store_bitmaps(Qcow2 *q)
{
    Qcow2BitmapHeader old = q->bitmaps, fresh;
    g_autofree uint8_t *directory = NULL;
    bool any = false;
    int result = 0;

    for (GSList *link = q->node->dirty_bitmaps; link; link = link->next) {
        any = any || ((DirtyBitmap *)link->data)->persistent;
    }
    if (!any && !old.count) {
        return 0;
    }
    if (old.count) {
        directory = read_directory(q, &result);
    }
    coroutine_mutex_lock(&q->lock);
    if (result == 0) {
        result = qcow2_know_metadata(q);
    }
    if (result == 0) {
        result = store_directory(q, &fresh);
    }
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result == 0) {
        q->bitmaps = fresh;
        q->autoclear = fresh.count ? q->autoclear | QCOW2_AUTOCLEAR_BITMAPS
                                   : q->autoclear & ~(uint64_t)QCOW2_AUTOCLEAR_BITMAPS;
        result = qcow2_commit_header(q);
        if (result < 0) {
            q->bitmaps = old;
        }
    }
    if (result == 0 && old.count) {
        result = free_old(q, &old, directory);
    }
    q->bitmaps_in_use = false;
    coroutine_mutex_unlock(&q->lock);
    return result;
}

bool qcow2_bitmap_action(BlockNode *node, const char *action, const char *name,
                         GHashTable *arguments, GError **error)
{
    Qcow2 *q = qcow2_of(node);

    if (q->version < 3) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Cannot store dirty bitmaps in qcow2 v2 files");
    }
    if (!strcmp(action, "add") && g_slist_length(node->dirty_bitmaps) >= QCOW2_MAX_BITMAPS) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Maximum number of persistent bitmaps reached");
    }
    q->bitmaps_changed = true;
    return dirty_bitmap_action(node, action, name, arguments, true, error);
}

json_t *qcow2_bitmaps_info(Qcow2 *q)
{
    json_t *list = json_array();

    for (GSList *link = q->node->dirty_bitmaps; link; link = link->next) {
        DirtyBitmap *bitmap = link->data;
        json_t *flags = json_array();

        if (!bitmap->persistent) {
            continue;
        }
        if (bitmap->inconsistent) {
            json_array_append_new(flags, json_string("in-use"));
        }
        if (bitmap->enabled) {
            json_array_append_new(flags, json_string("auto"));
        }
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:I}", "flags", flags, "name", bitmap->name,
                                        "granularity", (json_int_t)bitmap->granularity));
    }
    return list;
}
