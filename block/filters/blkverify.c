/* SPDX-License-Identifier: MIT */
/*
 * Filter that holds an image against a raw one: writes go to both, what is read of both is compared. File
 * names are blkverify:RAW:IMAGE. A difference is told in the log and fails the request.
 */
#include "base/error.h"
#include "base/log.h"
#include "block/graph/node.h"

#include <errno.h>
#include <string.h>

typedef struct {
    BlockNode *raw;
} Blkverify;

static const char prefix[] = "blkverify:";

static bool blkverify_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    const char *raw = filename + strlen(prefix), *colon = strchr(raw, ':');
    g_autofree char *raw_name = NULL;

    if (!g_str_has_prefix(filename, prefix) || !colon) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "blkverify requires raw copy and original image path: "
                          "blkverify:RAW:IMAGE, not '%s'",
                          filename);
    }
    raw_name = g_strndup(raw, (gsize)(colon - raw));
    options_set(options, "raw.filename", raw_name);
    options_set(options, "test.filename", colon + 1);
    return true;
}

static bool blkverify_open(BlockNode *node, GHashTable *options, GError **error)
{
    BlockChild *raw;

    raw = node_open_bytes(node, "raw", BLOCK_ROLE_DATA, NULL, options, error);
    ((Blkverify *)node->state)->raw = raw ? raw->node : NULL;
    return raw != NULL;
}

static int differ(BlockNode *node, const char *what, uint64_t offset, uint64_t bytes,
                  const char *how)
{
    log_printf("blkverify: %s offset=%" G_GUINT64_FORMAT " bytes=%" G_GUINT64_FORMAT " %s\n", what,
               offset, bytes, how);
    return -EIO;
}

/* Both must end alike. */
static int compare_results(BlockNode *node, const char *what, uint64_t offset, uint64_t bytes,
                           int raw, int test)
{
    g_autofree char *how = NULL;

    if (raw == test) {
        return test;
    }
    how = g_strdup_printf("return value mismatch %d != %d", raw, test);
    return differ(node, what, offset, bytes, how);
}

static int blkverify_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    g_autofree uint8_t *raw = g_try_malloc(bytes), *test = g_try_malloc(bytes);
    int raw_result, result;

    if (!raw || !test) {
        return -ENOMEM;
    }
    raw_result = node_pread(((Blkverify *)node->state)->raw, offset, raw, bytes);
    result = node_pread(node->file->node, offset, test, bytes);
    result = compare_results(node, "read", offset, bytes, raw_result, result);
    for (uint64_t i = 0; result == 0 && i < bytes; i++) {
        if (raw[i] != test[i]) {
            g_autofree char *how =
                g_strdup_printf("contents mismatch at offset %" G_GUINT64_FORMAT, offset + i);

            return differ(node, "read", offset, bytes, how);
        }
    }
    if (result == 0) {
        io_vector_from_buffer(vector, test, bytes);
    }
    return result;
}

static int blkverify_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                           unsigned flags)
{
    int raw = node_write(((Blkverify *)node->state)->raw, offset, bytes, vector, flags);

    return compare_results(node, "write", offset, bytes, raw,
                           node_write(node->file->node, offset, bytes, vector, flags));
}

static int blkverify_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    int raw = node_write_zeroes(((Blkverify *)node->state)->raw, offset, bytes, flags);

    return compare_results(node, "write_zeroes", offset, bytes, raw,
                           node_write_zeroes(node->file->node, offset, bytes, flags));
}

/* Afterwards the two may read differently: the content of what is discarded is open. */
static int blkverify_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return 0;
}

static int blkverify_flush(BlockNode *node)
{
    return node_flush(node->file->node); /* the raw copy outlives no crash, nor need it */
}

static const BlockOption blkverify_options[] = {
    { "test", "the image" },
    { "raw", "what its content must be" },
    { 0 },
};

static const char *const blkverify_prefixes[] = { prefix, NULL };

static const BlockDriver blkverify_driver = {
    .name = "blkverify",
    .summary = "Filter that compares an image with a raw one",
    .options = blkverify_options,
    .instance_size = sizeof(Blkverify),
    .is_filter = true,
    .opens_images = true,
    .child_option = "test",
    .prefixes = blkverify_prefixes,
    .parse_filename = blkverify_parse_filename,
    .open = blkverify_open,
    .read = blkverify_read,
    .write = blkverify_write,
    .write_zeroes = blkverify_write_zeroes,
    .discard = blkverify_discard,
    .flush = blkverify_flush,
};
BLOCK_DRIVER(blkverify_driver);
