/* SPDX-License-Identifier: MIT */
/* qcow2: the header and its extensions. */
#include "block/qcow2/header.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

/* Offsets of the header's fields. */
enum {
    H_MAGIC = 0,
    H_VERSION = 4,
    H_BACKING_OFFSET = 8,
    H_BACKING_SIZE = 16,
    H_CLUSTER_BITS = 20,
    H_SIZE = 24,
    H_CRYPT_METHOD = 32,
    H_L1_SIZE = 36,
    H_L1_OFFSET = 40,
    H_REFTABLE_OFFSET = 48,
    H_REFTABLE_CLUSTERS = 56,
    H_SNAPSHOT_COUNT = 60,
    H_SNAPSHOTS_OFFSET = 64,
    H_INCOMPATIBLE = 72,
    H_COMPATIBLE = 80,
    H_AUTOCLEAR = 88,
    H_REFCOUNT_ORDER = 96,
    H_HEADER_LENGTH = 100,
    H_COMPRESSION = 104,
    H_WRITTEN_LENGTH = 112,
    BACKING_NAME_MAX = 1023,
    FEATURE_ENTRY = 48,
    FEATURE_NAME = 46,
};

static const struct {
    uint8_t type, bit;
    const char *name;
} feature_names[] = {
    { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

static bool bad(GError **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool bad(GError **error, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return error_fail(error, KASO_ERROR_INVALID, "%s", text);
}

static bool parse_fields(Qcow2 *q, const uint8_t *h, Qcow2Header *header, GError **error)
{
    if (load_be32(h + H_MAGIC) != QCOW2_MAGIC) {
        return bad(error, "Image is not in qcow2 format");
    }
    q->version = load_be32(h + H_VERSION);
    if (q->version < 2 || q->version > 3) {
        return bad(error, "Unsupported qcow2 version %u", q->version);
    }
    q->cluster_bits = load_be32(h + H_CLUSTER_BITS);
    if (q->cluster_bits < QCOW2_MIN_CLUSTER_BITS || q->cluster_bits > QCOW2_MAX_CLUSTER_BITS) {
        return bad(error, "Unsupported cluster size: 2^%u", q->cluster_bits);
    }
    q->cluster_size = 1u << q->cluster_bits;
    header->size = load_be64(h + H_SIZE);
    header->backing_offset = load_be64(h + H_BACKING_OFFSET);
    header->backing_size = load_be32(h + H_BACKING_SIZE);
    header->l1_size = load_be32(h + H_L1_SIZE);
    header->l1_offset = load_be64(h + H_L1_OFFSET);
    header->reftable_offset = load_be64(h + H_REFTABLE_OFFSET);
    header->reftable_clusters = load_be32(h + H_REFTABLE_CLUSTERS);
    header->snapshot_count = load_be32(h + H_SNAPSHOT_COUNT);
    header->snapshots_offset = load_be64(h + H_SNAPSHOTS_OFFSET);
    q->crypt_method = load_be32(h + H_CRYPT_METHOD);
    q->refcount_order = 4;
    q->header_length = QCOW2_V2_HEADER_LENGTH;
    if (q->version == 3) {
        q->incompatible = load_be64(h + H_INCOMPATIBLE);
        q->compatible = load_be64(h + H_COMPATIBLE);
        q->autoclear = load_be64(h + H_AUTOCLEAR);
        q->refcount_order = load_be32(h + H_REFCOUNT_ORDER);
        q->header_length = load_be32(h + H_HEADER_LENGTH);
        if (q->header_length < QCOW2_V3_HEADER_LENGTH) {
            return bad(error, "qcow2 header too short");
        }
        if (q->header_length > H_COMPRESSION) {
            q->compression_type = h[H_COMPRESSION];
        }
    }
    if (q->header_length > q->cluster_size) {
        return bad(error, "qcow2 header exceeds cluster size");
    }
    return true;
}

static bool check_fields(Qcow2 *q, const Qcow2Header *header, GError **error)
{
    bool compression_bit = (q->incompatible & QCOW2_INCOMPAT_COMPRESSION) != 0;

    if (q->crypt_method > QCOW2_CRYPT_LUKS) {
        return bad(error, "Unsupported encryption method %u", q->crypt_method);
    }
    if (q->refcount_order > 6) {
        return bad(error, "Reference count entry width too large; may not exceed 64 bits");
    }
    if (q->compression_type > CLUSTER_CODEC_ZSTD) {
        return bad(error, "qcow2: unknown compression type: %u", q->compression_type);
    }
    if ((q->compression_type != CLUSTER_CODEC_ZLIB) != compression_bit) {
        return bad(error, compression_bit
                              ? "qcow2: Compression type incompatible feature bit must not be set"
                              : "qcow2: Compression type incompatible feature bit must be set");
    }
    if ((q->incompatible & QCOW2_INCOMPAT_EXTL2) && q->cluster_bits < 14) {
        return bad(error, "qcow2: extended L2 entries need clusters of at least 16 KiB");
    }
    if (header->backing_offset > q->cluster_size) {
        return bad(error, "Invalid backing file offset");
    }
    if (header->backing_offset &&
        (header->backing_offset < q->header_length ||
         header->backing_size > MIN(BACKING_NAME_MAX, q->cluster_size - header->backing_offset))) {
        return bad(error, "Backing file name too long");
    }
    if (header->size > (uint64_t)INT64_MAX - q->cluster_size) {
        return bad(error, "The virtual size %" G_GUINT64_FORMAT " is too large", header->size);
    }
    return true;
}

/* A last name that is cut short ends in zeroes. */
static void keep_feature_table(GPtrArray *tables, const uint8_t *data, uint32_t length)
{
    static const uint8_t zeroes[FEATURE_ENTRY];
    GByteArray *table = g_byte_array_append(g_byte_array_new(), data, length);
    uint32_t tail = length % FEATURE_ENTRY;

    g_ptr_array_add(tables, g_byte_array_append(table, zeroes, tail ? FEATURE_ENTRY - tail : 0));
}

/* The name that the last table with that bit gives it; NULL: none does. */
static const char *feature_name(const GPtrArray *tables, unsigned bit)
{
    for (unsigned i = tables->len; i-- > 0;) {
        const GByteArray *table = tables->pdata[i];

        for (uint32_t at = 0; at + FEATURE_ENTRY <= table->len; at += FEATURE_ENTRY) {
            if (table->data[at] == 0 && table->data[at + 1] == bit) {
                return (const char *)table->data + at + 2;
            }
        }
    }
    return NULL;
}

static bool check_features(const Qcow2 *q, const GPtrArray *tables, GError **error)
{
    uint64_t unknown = q->incompatible & ~(uint64_t)QCOW2_INCOMPAT_KNOWN, nameless = unknown;
    g_autoptr(GString) names = g_string_new(NULL);

    for (unsigned bit = 0; bit < 64; bit++) {
        const char *name = unknown >> bit & 1 ? feature_name(tables, bit) : NULL;

        if (name) {
            g_string_append_printf(names, "%s%.*s", names->len ? ", " : "", FEATURE_NAME, name);
            nameless &= ~BIT(bit);
        }
    }
    if (nameless) {
        g_string_append_printf(names, "%sUnknown incompatible feature: %" G_GINT64_MODIFIER "x",
                               names->len ? ", " : "", nameless);
    }
    return !unknown || bad(error, "Unsupported qcow2 feature(s): %s", names->str);
}

static bool parse_bitmaps_extension(Qcow2 *q, const uint8_t *data, uint32_t length, GError **error)
{
    if (length != 24) {
        return bad(error, "bitmaps_ext: Invalid extension length");
    }
    q->bitmaps.count = load_be32(data);
    q->bitmaps.directory_size = load_be64(data + 8);
    q->bitmaps.directory_offset = load_be64(data + 16);
    if (!(q->autoclear & QCOW2_AUTOCLEAR_BITMAPS)) {
        q->bitmaps = (Qcow2BitmapHeader){ 0 }; /* another program wrote without them: void */
        return true;
    }
    if (!q->bitmaps.count || q->bitmaps.count > QCOW2_MAX_BITMAPS || load_be32(data + 4) ||
        (q->bitmaps.directory_offset & (q->cluster_size - 1)) ||
        q->bitmaps.directory_size > (uint64_t)QCOW2_MAX_BITMAPS * 2048) {
        return bad(error, "bitmaps_ext: invalid count, offset or size of the bitmap directory");
    }
    return true;
}

static bool parse_extension(Qcow2 *q, uint32_t type, const uint8_t *data, uint32_t length,
                            GPtrArray *feature_tables, GError **error)
{
    Qcow2Extension *extension;

    switch (type) {
    case QCOW2_EXT_BACKING_FORMAT:
        if (length >= 16) {
            return bad(error, "ERROR: ext_backing_format: len=%u too large (>=16)", length);
        }
        g_free(q->node->backing_format);
        q->node->backing_format = g_strndup((const char *)data, length);
        return true;
    case QCOW2_EXT_BITMAPS:
        return parse_bitmaps_extension(q, data, length, error);
    case QCOW2_EXT_CRYPTO:
        if (length < 16 || q->crypt_method != QCOW2_CRYPT_LUKS) {
            return bad(error, "CRYPTO header extension is unexpected or too short (%u bytes)",
                       length);
        }
        q->crypt_header_offset = load_be64(data);
        q->crypt_header_length = load_be64(data + 8);
        return true;
    case QCOW2_EXT_DATA_FILE:
        g_free(q->data_file_name);
        q->data_file_name = g_strndup((const char *)data, length);
        return true;
    case QCOW2_EXT_FEATURE_TABLE:
        keep_feature_table(feature_tables, data, length);
        return true;
    default:
        extension = g_new0(Qcow2Extension, 1);
        extension->type = type;
        extension->length = length;
        extension->data = g_memdup2(data, length);
        q->extensions = g_slist_append(q->extensions, extension);
        return true;
    }
}

static bool parse_extensions(Qcow2 *q, const uint8_t *cluster, uint64_t end, GError **error)
{
    g_autoptr(GPtrArray) feature_tables =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    uint64_t at = q->header_length;

    while (at + 8 <= end) {
        uint32_t type = load_be32(cluster + at), length = load_be32(cluster + at + 4);

        if (type == QCOW2_EXT_END) {
            break;
        }
        at += 8;
        if (length > end - at) {
            return bad(error, "Header extension %#x too large", type);
        }
        if (!parse_extension(q, type, cluster + at, length, feature_tables, error)) {
            return false;
        }
        at += align_up(length, 8);
    }
    return check_features(q, feature_tables, error);
}

bool qcow2_read_header(Qcow2 *q, Qcow2Header *header, GError **error)
{
    BlockNode *file = q->node->file->node;
    uint8_t start[H_WRITTEN_LENGTH] = { 0 };
    g_autofree uint8_t *cluster = NULL;
    int result = node_pread(file, 0, start, sizeof start);
    uint64_t end;

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read qcow2 header");
    }
    if (!parse_fields(q, start, header, error) || !check_fields(q, header, error)) {
        return false;
    }
    q->subclusters = q->incompatible & QCOW2_INCOMPAT_EXTL2 ? 32 : 1;
    q->subcluster_bits = q->subclusters > 1 ? q->cluster_bits - 5 : q->cluster_bits;
    q->l2_entry_size = q->subclusters > 1 ? 16 : 8;
    q->l2_bits = q->cluster_bits - (q->subclusters > 1 ? 4 : 3);
    q->refblock_bits = q->cluster_bits + 3 - q->refcount_order;
    q->size = header->size;
    cluster = g_malloc(q->cluster_size);
    result = node_pread(file, 0, cluster, q->cluster_size);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read qcow2 header extensions");
    }
    end = header->backing_offset ? header->backing_offset : q->cluster_size;
    if (q->header_length < end && !parse_extensions(q, cluster, end, error)) {
        return false;
    }
    if (header->backing_offset && header->backing_size) {
        q->node->backing_filename =
            g_strndup((char *)cluster + header->backing_offset, header->backing_size);
    }
    return true;
}

typedef struct {
    const char *name;
    uint64_t offset, bytes;
} Area;

static bool areas_overlap(const Qcow2 *q, const Area *a, const Area *b)
{
    return a->bytes && b->bytes && a->offset < b->offset + align_up(b->bytes, q->cluster_size) &&
           b->offset < a->offset + align_up(a->bytes, q->cluster_size);
}

bool qcow2_check_overlaps(Qcow2 *q, GError **error)
{
    const Area areas[] = {
        { "header", 0, q->cluster_size },
        { "L1 table", q->l1_offset, q->l1_size * sizeof(uint64_t) },
        { "refcount table", q->reftable_offset, q->reftable_entries * sizeof(uint64_t) },
        { "snapshot table", q->snapshots_offset, q->snapshots_bytes },
        { "bitmap directory", q->bitmaps.directory_offset, q->bitmaps.directory_size },
        { "LUKS header", q->crypt_header_offset, q->crypt_header_length },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(areas); i++) {
        for (unsigned j = 0; j < i; j++) {
            if (areas_overlap(q, &areas[i], &areas[j])) {
                return bad(error, "The %s at 0x%" G_GINT64_MODIFIER "x overlaps the %s",
                           areas[i].name, areas[i].offset, areas[j].name);
            }
        }
    }
    for (uint32_t i = 0; i < q->snapshot_count; i++) {
        const Qcow2Snapshot *s = &q->snapshots[i];
        Area table = { "", s->l1_table_offset, s->l1_size * sizeof(uint64_t) };

        for (unsigned j = 0; j < ARRAY_SIZE(areas); j++) {
            if (areas_overlap(q, &table, &areas[j])) {
                return bad(error,
                           "The L1 table of snapshot '%s' at 0x%" G_GINT64_MODIFIER
                           "x overlaps the %s",
                           s->info.name, table.offset, areas[j].name);
            }
        }
    }
    return true;
}

void qcow2_free_header(Qcow2 *q)
{
    for (GSList *link = q->extensions; link; link = link->next) {
        g_free(((Qcow2Extension *)link->data)->data);
        g_free(link->data);
    }
    g_slist_free(q->extensions);
    q->extensions = NULL;
    g_free(q->data_file_name);
    q->data_file_name = NULL;
}

/* Writing. */

static void put_extension(GByteArray *out, uint32_t type, const void *data, uint32_t length)
{
    static const uint8_t padding[8];
    uint8_t head[8];

    store_be32(head, type);
    store_be32(head + 4, length);
    g_byte_array_append(out, head, sizeof head);
    g_byte_array_append(out, data, length);
    g_byte_array_append(out, padding, (guint)(align_up(length, 8) - length));
}

static void put_fields(Qcow2 *q, uint8_t *h, unsigned length)
{
    store_be32(h + H_MAGIC, QCOW2_MAGIC);
    store_be32(h + H_VERSION, q->version);
    store_be32(h + H_CLUSTER_BITS, q->cluster_bits);
    store_be64(h + H_SIZE, q->size);
    store_be32(h + H_CRYPT_METHOD, q->crypt_method);
    store_be32(h + H_L1_SIZE, q->l1_size);
    store_be64(h + H_L1_OFFSET, q->l1_offset);
    store_be64(h + H_REFTABLE_OFFSET, q->reftable_offset);
    store_be32(h + H_REFTABLE_CLUSTERS,
               (uint32_t)(q->reftable_entries * sizeof(uint64_t) >> q->cluster_bits));
    store_be32(h + H_SNAPSHOT_COUNT, q->snapshot_count);
    store_be64(h + H_SNAPSHOTS_OFFSET, q->snapshots_offset);
    if (q->version >= 3) {
        store_be64(h + H_INCOMPATIBLE, q->incompatible);
        store_be64(h + H_COMPATIBLE, q->compatible);
        store_be64(h + H_AUTOCLEAR, q->autoclear);
        store_be32(h + H_REFCOUNT_ORDER, q->refcount_order);
        store_be32(h + H_HEADER_LENGTH, length);
        h[H_COMPRESSION] = q->compression_type;
    }
}

static void put_feature_table(GByteArray *out)
{
    uint8_t features[ARRAY_SIZE(feature_names) * FEATURE_ENTRY] = { 0 };

    for (unsigned i = 0; i < ARRAY_SIZE(feature_names); i++) {
        features[i * FEATURE_ENTRY] = feature_names[i].type;
        features[i * FEATURE_ENTRY + 1] = feature_names[i].bit;
        strcpy((char *)features + i * FEATURE_ENTRY + 2, feature_names[i].name);
    }
    put_extension(out, QCOW2_EXT_FEATURE_TABLE, features, sizeof features);
}

static void put_extensions(Qcow2 *q, GByteArray *out, bool feature_table)
{
    const char *format = q->node->backing_format;

    if (format && format[0]) {
        put_extension(out, QCOW2_EXT_BACKING_FORMAT, format, (uint32_t)strlen(format));
    }
    if (q->data_file_name && qcow2_has_data_file(q)) {
        put_extension(out, QCOW2_EXT_DATA_FILE, q->data_file_name,
                      (uint32_t)strlen(q->data_file_name));
    }
    if (q->crypt_header_offset) {
        uint8_t crypto[16];

        store_be64(crypto, q->crypt_header_offset);
        store_be64(crypto + 8, q->crypt_header_length);
        put_extension(out, QCOW2_EXT_CRYPTO, crypto, sizeof crypto);
    }
    if (feature_table) {
        put_feature_table(out);
    }
    if (q->bitmaps.count) {
        uint8_t bitmaps[24] = { 0 };

        store_be32(bitmaps, q->bitmaps.count);
        store_be64(bitmaps + 8, q->bitmaps.directory_size);
        store_be64(bitmaps + 16, q->bitmaps.directory_offset);
        put_extension(out, QCOW2_EXT_BITMAPS, bitmaps, sizeof bitmaps);
    }
    for (GSList *link = q->extensions; link; link = link->next) {
        Qcow2Extension *extension = link->data;

        put_extension(out, extension->type, extension->data, extension->length);
    }
    put_extension(out, QCOW2_EXT_END, "", 0);
}

/* The header's fixed part with all that follows it; more than a cluster when it does not fit. */
static int build_header(Qcow2 *q, GByteArray *out, unsigned length, bool feature_table)
{
    const char *backing = q->node->backing_filename;

    g_byte_array_set_size(out, length);
    memset(out->data, 0, length);
    if (q->version >= 3 && length > H_WRITTEN_LENGTH) {
        /* Fields that a later version of the format has added stay as they are. */
        int result = node_pread(q->node->file->node, 0, out->data, length);

        if (result < 0) {
            return result;
        }
    }
    put_fields(q, out->data, length);
    put_extensions(q, out, feature_table);
    memset(out->data + H_BACKING_OFFSET, 0, 12);
    if (backing && backing[0]) {
        store_be64(out->data + H_BACKING_OFFSET, out->len);
        store_be32(out->data + H_BACKING_SIZE, (uint32_t)strlen(backing));
        g_byte_array_append(out, (const uint8_t *)backing, (guint)strlen(backing));
    }
    return 0;
}

int qcow2_write_header(Qcow2 *q)
{
    unsigned length =
        q->version >= 3 ? MAX(q->header_length, H_WRITTEN_LENGTH) : QCOW2_V2_HEADER_LENGTH;
    g_autoptr(GByteArray) out = g_byte_array_new();
    int result = build_header(q, out, length, q->version >= 3);

    if (result == 0 && out->len > q->cluster_size) {
        result = build_header(q, out, length, false); /* names of features are a courtesy */
    }
    if (result == 0 && out->len > q->cluster_size) {
        result = -ENOSPC;
    } else if (result == 0) {
        result = node_pwrite(q->node->file->node, 0, out->data, out->len, 0);
        q->unsettled = result < 0;
    }
    if (result == 0) {
        q->header_length = length;
    }
    return result;
}

int qcow2_commit_header(Qcow2 *q)
{
    int result = qcow2_write_header(q);

    if (result == 0) {
        result = node_flush(q->node->file->node);
        q->unsettled = result < 0;
    }
    return result;
}

int qcow2_may_write(Qcow2 *q)
{
    int result = q->broken ? -EIO : 0;

    if (result == 0 && q->unsettled) {
        node_debug_event(q->node->file->node, EVENT_REFTABLE_UPDATE);
        result = qcow2_write_table(q, q->reftable_offset, q->reftable, q->reftable_entries);
        if (result == 0) {
            result = qcow2_commit_header(q);
        }
        q->unsettled = result < 0;
    }
    return result;
}
