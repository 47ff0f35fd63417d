/* SPDX-License-Identifier: MIT */
/* qcow version 1: new images. */
#include "block/formats/qcow.h"

const BlockOption qcow_create_options[] = {
    { "backing_file", "File name of a base image" },
    { "backing_fmt", "Format of the backing image, which the header does not hold" },
    { "encrypt.format", "Encrypt the image, format choices: 'aes'" },
    { "encrypt.key-secret", "ID of secret providing qcow AES key" },
    { "encryption", "Encrypt the image with format 'aes'" },
    { "size", "Virtual disk size" },
    MAPPED_FILE_OPTIONS,
    { 0 },
};

typedef struct {
    uint64_t size;
    char *backing;
    bool encrypted;
} CreateOptions;

static void create_options_clear(CreateOptions *o)
{
    g_free(o->backing);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CreateOptions, create_options_clear)

static bool take_options(BlockGraph *graph, GHashTable *options, CreateOptions *o, GError **error)
{
    g_autofree char *format = options_take(options, "encrypt.format");
    g_autofree char *secret = options_take(options, "encrypt.key-secret");

    g_free(options_take(options, "backing_fmt"));
    o->backing = options_take(options, "backing_file");
    if (!options_take_size(options, "size", &o->size, error) ||
        !options_take_bool(options, "encryption", &o->encrypted, error)) {
        return false;
    }
    o->size = align_up(o->size, 512);
    if (format && strcmp(format, "aes")) {
        return error_fail(error, KASO_ERROR_INVALID, "Unknown encryption format '%s': choose aes",
                          format);
    }
    o->encrypted |= format != NULL;
    if (o->encrypted && !secret) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'encrypt.key-secret' is required for cipher");
    }
    if (!o->size || o->size > UINT64_C(1) << 43) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            o->size ? "The size %" G_GUINT64_FORMAT " is more than a qcow image can have (8 TiB)"
                    : "Image size is too small, cannot be zero length%.0" G_GUINT64_FORMAT,
            o->size);
    }
    if (o->backing && strlen(o->backing) > QCOW_NAME_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "Backing file name too long");
    }
    return !o->encrypted || block_secret(graph, secret, error);
}

static int write_new(BlockNode *file, const CreateOptions *o)
{
    size_t length = o->backing ? strlen(o->backing) : 0;
    /* Above a backing file a cluster is a sector: nothing has to be copied for a write. */
    unsigned cluster_bits = length ? 9 : 12, l2_bits = length ? 12 : 9;
    uint64_t l1_offset = align_up(QCOW_HEADER_SIZE + length, 8);
    uint64_t span = UINT64_C(1) << (cluster_bits + l2_bits), entries = (o->size + span - 1) / span;
    g_autofree uint8_t *h = g_malloc0(l1_offset);
    int result = node_write_zeroes(file, 0, l1_offset + align_up(entries * 8, 512), 0);

    store_be32(h, QCOW_MAGIC);
    store_be32(h + 4, 1);
    if (length) {
        store_be64(h + 8, QCOW_HEADER_SIZE);
        store_be32(h + 16, (uint32_t)length);
        memcpy(h + QCOW_HEADER_SIZE, o->backing, length);
    }
    store_be64(h + 24, o->size);
    h[32] = (uint8_t)cluster_bits;
    h[33] = (uint8_t)l2_bits;
    store_be32(h + 36, o->encrypted);
    store_be64(h + 40, l1_offset);
    return result < 0 ? result : node_pwrite(file, 0, h, l1_offset, 0);
}

bool qcow_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error)
{
    g_auto(CreateOptions) o = { 0 };
    BlockNode *file;
    int result;

    if (!take_options(graph, options, &o, error)) {
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
