/* SPDX-License-Identifier: MIT */
/*
 * snapshot=on: writes go to an unlinked temporary file with the layout of the image, a bitmap in
 * memory says which clusters are there.
 */
#include "block/jobs/overlay.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLUSTER_SIZE = 64 * 1024 };

typedef struct {
    char *path;
    uint8_t *present; /* a bit per cluster */
    uint64_t clusters;
    CoroutineMutex copy_lock;
} Overlay;

static bool overlay_has(Overlay *overlay, uint64_t offset)
{
    uint64_t cluster = offset / CLUSTER_SIZE;

    return overlay->present[cluster / 8] >> (cluster % 8) & 1;
}

/* The length of the run from offset, up to bytes, that is all present or all absent. */
static uint64_t overlay_run(Overlay *overlay, uint64_t offset, uint64_t bytes, bool *present)
{
    uint64_t run = MIN(bytes, CLUSTER_SIZE - offset % CLUSTER_SIZE);

    *present = overlay_has(overlay, offset);
    while (run < bytes && overlay_has(overlay, offset + run) == *present) {
        run = MIN(bytes, run + CLUSTER_SIZE);
    }
    return run;
}

static int overlay_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Overlay *overlay = node->state;
    int result = 0;

    while (bytes && result == 0) {
        bool present;
        uint64_t run = overlay_run(overlay, offset, bytes, &present);

        result = node_read((present ? node->file : node->backing)->node, offset, run, vector);
        offset += run;
        bytes -= run;
        vector = io_vector_skip(vector, run);
    }
    return result;
}

static void overlay_set_present(Overlay *overlay, uint64_t offset)
{
    uint64_t cluster = offset / CLUSTER_SIZE;

    overlay->present[cluster / 8] |= 1u << (cluster % 8);
}

/* Brings a cluster that a write covers only in part into the overlay. */
static int overlay_copy_up(BlockNode *node, uint64_t offset)
{
    Overlay *overlay = node->state;
    uint64_t start = align_down(offset, CLUSTER_SIZE);
    uint64_t n = MIN(CLUSTER_SIZE, node->size - start);
    g_autofree void *buffer = NULL;
    int result;

    if (overlay_has(overlay, start)) {
        return 0;
    }
    buffer = g_malloc(n);
    result = node_pread(node->backing->node, start, buffer, n);
    if (result == 0) {
        result = node_pwrite(node->file->node, start, buffer, n, 0);
    }
    if (result == 0) {
        overlay_set_present(overlay, start);
    }
    return result;
}

/* A write that touches clusters which are not in the overlay yet. [copy_lock held] */
static int overlay_write_new(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Overlay *overlay = node->state;
    uint64_t end = offset + bytes;
    uint64_t first_whole = align_up(offset, CLUSTER_SIZE);
    uint64_t whole_end =
        end == node->size ? align_up(end, CLUSTER_SIZE) : align_down(end, CLUSTER_SIZE);
    int result = 0;

    if (offset % CLUSTER_SIZE) {
        result = overlay_copy_up(node, offset);
    }
    if (result == 0 && end % CLUSTER_SIZE && end != node->size) {
        result = overlay_copy_up(node, end);
    }
    if (result == 0) {
        result = node_write(node->file->node, offset, bytes, vector, 0);
    }
    for (uint64_t at = first_whole; result == 0 && at < whole_end; at += CLUSTER_SIZE) {
        overlay_set_present(overlay, at);
    }
    return result;
}

static int overlay_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                         unsigned flags)
{
    Overlay *overlay = node->state;
    bool present;
    int result;

    if (overlay_run(overlay, offset, bytes, &present) == bytes && present) {
        return node_write(node->file->node, offset, bytes, vector, 0);
    }
    coroutine_mutex_lock(&overlay->copy_lock);
    result = overlay_write_new(node, offset, bytes, vector);
    coroutine_mutex_unlock(&overlay->copy_lock);
    return result;
}

/* Nothing here outlives the process: there is nothing to make durable. */
static int overlay_flush(BlockNode *node)
{
    return 0;
}

static int64_t overlay_length(BlockNode *node)
{
    return node->size;
}

static int overlay_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                          uint64_t *map, BlockNode **file)
{
    bool present;

    *count = overlay_run(node->state, offset, bytes, &present);
    *map = offset;
    *file = present ? node->file->node : NULL;
    return present ? BLOCK_STATUS_DATA | BLOCK_STATUS_ALLOCATED | BLOCK_STATUS_OFFSET_VALID : 0;
}

static void overlay_close(BlockNode *node)
{
    Overlay *overlay = node->state;

    g_free(overlay->present);
    g_free(overlay->path);
}

static const BlockDriver overlay_driver = {
    .name = "temporary-overlay",
    .is_internal = true,
    .summary = "Copy-on-write layer of snapshot=on, kept in a temporary file",
    .instance_size = sizeof(Overlay),
    .no_file_child = true,
    .close = overlay_close,
    .read = overlay_read,
    .write = overlay_write,
    .flush = overlay_flush,
    .length = overlay_length,
    .status = overlay_status,
};
BLOCK_DRIVER(overlay_driver);

static BlockNode *open_temporary_file(BlockGraph *graph, uint64_t size, GError **error)
{
    BlockOpenFlags flags = { .cache_no_flush = true };
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
    g_autofree char *path = g_strdup_printf("%s/kaso-snapshot-XXXXXX", folder);
    GHashTable *options = options_new();
    BlockNode *node;
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        error_fail_errno(error, errno,
                         "Could not make the temporary file '%s' for snapshot=on (set TMPDIR to a "
                         "folder with room)",
                         path);
        g_hash_table_unref(options);
        if (fd >= 0) {
            unlink(path);
            close(fd);
        }
        return NULL;
    }
    close(fd);
    options_set(options, "driver", "file");
    node = node_open(graph, path, options, flags, error);
    unlink(path);
    return node;
}

BlockNode *overlay_new(BlockNode *below, GError **error)
{
    BlockNode *file = open_temporary_file(below->graph, below->size, error);
    BlockOpenFlags flags = { 0 };
    GHashTable *options;
    BlockNode *node;
    Overlay *overlay;

    if (!file) {
        node_unref(below);
        return NULL;
    }
    options = options_new();
    options_set(options, "driver", overlay_driver.name);
    node = node_open(below->graph, NULL, options, flags, error);
    if (!node) {
        node_unref(file);
        node_unref(below);
        return NULL;
    }
    overlay = node->state;
    node->size = node_size(below);
    overlay->clusters = (node->size + CLUSTER_SIZE - 1) / CLUSTER_SIZE;
    overlay->present = g_malloc0(overlay->clusters / 8 + 1);
    coroutine_mutex_init(&overlay->copy_lock);
    g_free(node->filename);
    node->filename = g_strdup(below->filename);
    if (!node_attach_child(node, file, "file", BLOCK_ROLE_DATA, error)) {
        node_unref(below);
        node_unref(node);
        return NULL;
    }
    if (!node_attach_child(node, below, "backing", BLOCK_ROLE_COW, error)) {
        node_unref(node);
        return NULL;
    }
    return node;
}
