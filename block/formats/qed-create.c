/* SPDX-License-Identifier: MIT */
/* QED: new images. */
#include "block/formats/qed.h"

const BlockOption qed_create_options[] = {
    { "backing_file", "File name of a base image" },
    { "backing_fmt", "Image format of the base image" },
    { "cluster_size", "Size of a cluster in bytes" },
    { "size", "Virtual disk size" },
    { "table_size", "Size of an L1 or L2 table in clusters" },
    MAPPED_FILE_OPTIONS,
    { 0 },
};

typedef struct {
    uint64_t size, cluster_size, table_size;
    char *backing_file, *backing_format;
} CreateOptions;

static void create_options_clear(CreateOptions *o)
{
    g_free(o->backing_file);
    g_free(o->backing_format);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CreateOptions, create_options_clear)

static bool take_options(GHashTable *options, CreateOptions *o, GError **error)
{
    *o = (CreateOptions){ .cluster_size = KIB(64), .table_size = 4 };
    o->backing_file = options_take(options, "backing_file");
    o->backing_format = options_take(options, "backing_fmt");
    if (!options_take_size(options, "size", &o->size, error) ||
        !options_take_size(options, "cluster_size", &o->cluster_size, error) ||
        !options_take_size(options, "table_size", &o->table_size, error)) {
        return false;
    }
    o->size = align_up(o->size, 512);
    if (!is_power_of_two(o->cluster_size) || o->cluster_size < KIB(4) ||
        o->cluster_size > MIB(64)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "QED cluster_size %" G_GUINT64_FORMAT
                          ": give a power of two between 4096 and 67108864",
                          o->cluster_size);
    }
    if (!is_power_of_two(o->table_size) || o->table_size > 16) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "QED table_size %" G_GUINT64_FORMAT ": give 1, 2, 4, 8 or 16",
                          o->table_size);
    }
    if (o->size > qed_max_size(o->cluster_size, o->table_size)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "A QED disk with this cluster_size and table_size has at most "
                          "%" G_GUINT64_FORMAT " bytes",
                          qed_max_size(o->cluster_size, o->table_size));
    }
    return !o->backing_file || strlen(o->backing_file) <= QED_NAME_MAX ||
           error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
}

/* The tables first: a file with a header is an image. */
static int write_new(BlockNode *file, const CreateOptions *o)
{
    size_t length = o->backing_file ? strlen(o->backing_file) : 0;
    g_autofree uint8_t *h = g_malloc0(QED_HEADER_SIZE + length);
    uint64_t features = length ? QED_FEATURE_BACKING : 0;
    int result = node_write_zeroes(file, 0, (1 + o->table_size) * o->cluster_size, 0);

    if (length && !g_strcmp0(o->backing_format, "raw")) {
        features |= QED_FEATURE_RAW_BACKING;
    }
    memcpy(h, "QED\0", 4);
    store_le32(h + 4, (uint32_t)o->cluster_size);
    store_le32(h + 8, (uint32_t)o->table_size);
    store_le32(h + 12, 1); /* header_size in clusters */
    store_le64(h + 16, features);
    store_le64(h + 40, o->cluster_size); /* L1 table */
    store_le64(h + 48, o->size);
    if (length) {
        store_le32(h + 56, QED_HEADER_SIZE);
        store_le32(h + 60, (uint32_t)length);
        memcpy(h + QED_HEADER_SIZE, o->backing_file, length);
    }
    return result < 0 ? result : node_pwrite(file, 0, h, QED_HEADER_SIZE + length, 0);
}

bool qed_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    g_auto(CreateOptions) o = { 0 };
    BlockNode *file;
    int result;

    if (!take_options(options, &o, error)) {
        return false;
    }
    file = mapped_create_file(graph, filename, options, error);
    if (!file) {
        return false;
    }
    result = write_new(file, &o);
    node_unref(file);
    return result == 0 || error_fail_errno(error, -result, "Could not write '%s'", filename);
}
