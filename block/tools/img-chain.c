/* SPDX-License-Identifier: MIT */
/* kaso-img commit, rebase, compare. */
#include "block/tools/options.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum { BUFFER_SIZE = 2 * 1024 * 1024, COMPARE_FAILED = 2 };

/* commit */

typedef struct {
    ImageArguments image;
    const char *base;
    uint64_t rate; /* bytes per second, 0: unlimited */
    bool keep;
} CommitCommand;

static bool commit_range(Tool *tool, BlockNode *top, BlockNode *base, uint64_t offset,
                         uint64_t bytes, uint8_t *buffer, int *result)
{
    *result = tool_interrupted(tool) ? -EINTR : node_pread(top, offset, buffer, bytes);
    if (*result == 0 && tool_has_lost_data(tool, "what is lost cannot be copied")) {
        *result = -EIO;
    }
    if (*result == 0) {
        *result = buffer_is_zero(buffer, bytes)
                      ? node_write_zeroes(base, offset, bytes, BLOCK_MAY_UNMAP)
                      : node_pwrite(base, offset, buffer, bytes, 0);
    }
    return *result == 0;
}

static void commit_wait(uint64_t rate, uint64_t done, int64_t start_us)
{
    int64_t due_us = start_us + (rate ? (int64_t)((double)done * 1e6 / (double)rate) : 0);
    int64_t now_us = g_get_monotonic_time();

    if (rate && due_us > now_us) {
        coroutine_sleep_ns((due_us - now_us) * 1000);
    }
}

static int commit_data(Tool *tool, BlockNode *top, BlockNode *base, uint64_t rate)
{
    g_autofree uint8_t *buffer = g_malloc(BUFFER_SIZE);
    uint64_t size = node_size(top), done = 0;
    int64_t start_us = g_get_monotonic_time();
    GError *error = NULL;
    int result = 0;

    if (node_size(base) < size && !node_truncate(base, size, PREALLOC_OFF, &error)) {
        return tool_error(tool, error);
    }
    for (uint64_t offset = 0; offset < size && result == 0;) {
        uint64_t count;
        int allocated = node_allocated_above(top, base, offset, size - offset, &count);

        if (allocated < 0) {
            result = allocated;
            break;
        }
        for (uint64_t at = 0; allocated && at < count;) {
            uint64_t n = MIN(BUFFER_SIZE, count - at);

            if (!commit_range(tool, top, base, offset + at, n, buffer, &result)) {
                break;
            }
            at += n;
            done += n;
            commit_wait(rate, done, start_us);
        }
        offset += count;
        tool_show_progress(tool, (double)offset / (double)size);
    }
    if (result == 0) {
        result = node_flush(base);
    }
    if (tool_interrupted(tool)) {
        return 1; /* the overlay is left as it is */
    }
    return result < 0 ? tool_fail(tool, "Block job failed: %s", g_strerror(-result)) : 0;
}

/* Frees what the overlay holds, now that the backing file has it. */
static int commit_empty(Tool *tool, BlockNode *top)
{
    int result;

    if (!top->driver->make_empty) {
        return 0;
    }
    result = top->driver->make_empty(top);
    result = result < 0 ? result : node_flush(top);
    return result < 0
               ? tool_fail(tool, "Could not empty %s: %s", top->filename, g_strerror(-result))
               : 0;
}

static BlockNode *find_base(Tool *tool, BlockNode *top, const char *name)
{
    g_autofree char *path = name ? block_combine_path(top->filename, name, NULL) : NULL;
    BlockNode *node = node_below(top);

    if (!node) {
        tool_fail(tool, "Image does not have a backing file");
        return NULL;
    }
    for (; name && node; node = node_below(node)) {
        if (!strcmp(node->filename, name) || (path && block_is_same_file(node->filename, path))) {
            return node;
        }
    }
    if (name && !node) {
        tool_fail(tool, "Did not find '%s' in the backing chain of '%s'", name, top->filename);
    }
    return node;
}

static int commit_image(Tool *tool, BlockNode *top, const CommitCommand *command)
{
    BlockNode *base = find_base(tool, top, command->base);
    GError *error = NULL;
    BlockChild *user;
    int status;

    if (!base) {
        return 1;
    }
    user = NULL;
    if (!node_set_read_only(base, false, &error)) {
        return tool_error(tool, error);
    }
    user = node_attach_user(base, "commit", BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE, BLOCK_PERM_ALL,
                            &error);
    if (!user) {
        node_set_read_only(base, true, NULL);
        return tool_error(tool, error);
    }
    tool_on_signal(tool,
                   "'%s' has part of the data of '%s', which still has all of it: commit again",
                   base->filename, top->filename);
    status = commit_data(tool, top, base, command->rate);
    /* With a base the images in between are no longer valid anyway. */
    if (status == 0 && !command->keep && !command->base) {
        status = commit_empty(tool, top);
    }
    child_detach(user);
    node_set_read_only(base, true, NULL);
    tool_end_progress(tool);
    if (status == 0 && !tool->quiet) {
        printf("Image committed.\n");
    }
    return status;
}

static bool commit_rate(Tool *tool, void *arguments, const char *name, const char *value)
{
    return tool_size(tool, "rate limit", value, &((CommitCommand *)arguments)->rate);
}

static const ToolOption commit_options[] = {
    TOOL_IMAGE_OPTIONS(CommitCommand, image),
    { "cache", 't', TOOL_TEXT, offsetof(CommitCommand, image.cache) },
    { "base", 'b', TOOL_TEXT, offsetof(CommitCommand, base) },
    { "drop", 'd', TOOL_FLAG, offsetof(CommitCommand, keep) },
    { "rate-limit", 'r', TOOL_CALL, 0, commit_rate },
    { 0 },
};

static int commit_run(Tool *tool, int argc, char **argv)
{
    CommitCommand command = { .image = { .writable = true, .unmap = true } };
    BlockChild *child;
    int status;
    const char *name =
        tool_parse_one(tool, &img_commit, commit_options, &command, argc, argv, &status);

    child = name ? tool_open(tool, name, &command.image) : NULL;
    if (!child) {
        return status;
    }
    status = commit_image(tool, child->node, &command);
    child_detach(child);
    return status;
}

const ToolCommand img_commit = {
    .name = "commit",
    .summary = "Commit image to its backing file",
    .usage = "[-f FMT | --image-opts] [-t CACHE] [-b BASE] [-d] [-r RATE] [-p] [-q] [--object "
             "OBJDEF] FILE",
    .run = commit_run,
};

/* rebase */

typedef struct {
    ImageArguments image;
    const char *backing, *format, *backing_cache;
    bool unsafe, compress;
} RebaseCommand;

/* What the image shall hold from now on; it has been seen through so far. */
static int rebase_write(BlockNode *node, uint64_t offset, uint8_t *data, uint64_t bytes,
                        uint64_t cluster_size, bool compress)
{
    struct iovec iov = { data, bytes };

    if (buffer_is_zero(data, bytes)) {
        return node_write_zeroes(node, offset, bytes, BLOCK_MAY_UNMAP);
    }
    if (compress && !(offset & (cluster_size - 1)) &&
        (bytes == cluster_size || offset + bytes == node_size(node))) {
        return node_write_compressed(node, offset, bytes, io_vector_of(&iov));
    }
    return node_pwrite(node, offset, data, bytes, 0);
}

/* Copies what differs between the old and the new backing file into the image. */
static int rebase_data(Tool *tool, BlockNode *node, BlockNode *old, BlockNode *new_backing,
                       bool compress)
{
    g_autofree uint8_t *a = g_malloc(BUFFER_SIZE), *b = g_malloc(BUFFER_SIZE);
    uint64_t size = node_size(node);
    BlockNodeInfo info = { 0 };
    uint64_t unit;
    int result = 0;

    if (node->driver->info) {
        node->driver->info(node, &info);
    }
    unit = MAX(info.cluster_size, 4096);
    for (uint64_t offset = 0; offset < size && result == 0;) {
        uint64_t count;
        int allocated = node_allocated_above(node, node_below(node), offset, size - offset, &count);

        result = allocated < 0 ? allocated : 0;
        for (uint64_t at = 0; !allocated && result == 0 && at < count;) {
            uint64_t n = MIN(BUFFER_SIZE, count - at);

            memset(a, 0, n);
            memset(b, 0, n);
            if (tool_interrupted(tool)) {
                return 1;
            }
            result = old ? node_pread(old, offset + at, a, n) : 0;
            if (result == 0 && new_backing) {
                result = node_pread(new_backing, offset + at, b, n);
            }
            if (result == 0 && tool_has_lost_data(tool, "what is lost cannot be copied")) {
                result = -EIO;
            }
            for (uint64_t i = 0; result == 0 && i < n; i += unit) {
                uint64_t piece = MIN(unit, n - i);

                if (memcmp(a + i, b + i, piece)) {
                    result = rebase_write(node, offset + at + i, a + i, piece, unit, compress);
                }
            }
            at += n;
        }
        offset += count;
        tool_show_progress(tool, (double)offset / (double)MAX(size, 1));
    }
    return result < 0 ? tool_fail(tool, "error while rebasing: %s", g_strerror(-result)) : 0;
}

static int rebase_image(Tool *tool, BlockNode *node, const RebaseCommand *command)
{
    const char *backing = command->backing, *format = command->format;
    ImageArguments arguments = { .format = format, .cache = command->backing_cache };
    bool has_new = backing && backing[0];
    g_autofree char *path = NULL;
    BlockChild *new_backing = NULL;
    GError *error = NULL;
    int status = 0;

    if (!node->driver->set_backing) {
        return tool_fail(tool, "Could not change the backing file to '%s': Operation not supported",
                         backing ? backing : "");
    }
    if (command->compress && !node->driver->write_compressed) {
        return tool_fail(tool, "Compression not supported for this file format");
    }
    if (!command->unsafe && has_new) {
        path = block_combine_path(node->filename, backing, &error);
        new_backing = path ? tool_open_error(tool, path, &arguments, &error) : NULL;
        if (!new_backing) {
            g_prefix_error(&error, "Could not open new backing file '%s': ", backing);
            return tool_error(tool, error);
        }
    }
    tool_on_signal(tool, "'%s' keeps its backing file", node->filename);
    if (!command->unsafe) {
        status = rebase_data(tool, node, node_below(node), new_backing ? new_backing->node : NULL,
                             command->compress);
    }
    if (status == 0 && !node->driver->set_backing(node, has_new ? backing : NULL, format, &error)) {
        status = tool_error(tool, error);
    }
    if (new_backing) {
        child_detach(new_backing);
    }
    tool_end_progress(tool);
    return status;
}

static const ToolOption rebase_options[] = {
    TOOL_IMAGE_OPTIONS(RebaseCommand, image),
    TOOL_SHARE_OPTION(RebaseCommand, image),
    { "cache", 't', TOOL_TEXT, offsetof(RebaseCommand, image.cache) },
    { "backing", 'b', TOOL_TEXT, offsetof(RebaseCommand, backing) },
    { "backing-format", 'B', TOOL_TEXT, offsetof(RebaseCommand, format) },
    { NULL, 'F', TOOL_TEXT, offsetof(RebaseCommand, format) },
    { "backing-cache", 'T', TOOL_TEXT, offsetof(RebaseCommand, backing_cache) },
    { "backing-unsafe", 'u', TOOL_FLAG, offsetof(RebaseCommand, unsafe) },
    { "compress", 'c', TOOL_FLAG, offsetof(RebaseCommand, compress) },
    { 0 },
};

static int rebase_run(Tool *tool, int argc, char **argv)
{
    RebaseCommand command = { .image = { .writable = true, .unmap = true } };
    BlockChild *child;
    int status;
    const char *name =
        tool_parse_one(tool, &img_rebase, rebase_options, &command, argc, argv, &status);

    if (!name) {
        return status;
    }
    if (!command.unsafe && !command.backing) {
        return tool_try(tool, &img_rebase,
                        "Must specify backing file (-b) or use unsafe mode (-u)");
    }
    if (command.backing && command.backing[0] && !command.format) {
        return tool_fail(tool,
                         "Could not change the backing file to '%s': backing format must be "
                         "specified",
                         command.backing);
    }
    if (command.format && !block_driver_find(command.format)) {
        return tool_fail(tool, "Invalid format name: '%s' (--help lists them)", command.format);
    }
    command.image.no_backing = command.unsafe;
    command.image.force_share = false; /* as far as the image itself is concerned */
    child = tool_open(tool, name, &command.image);
    if (!child) {
        return 1;
    }
    status = rebase_image(tool, child->node, &command);
    child_detach(child);
    return status;
}

const ToolCommand img_rebase = {
    .name = "rebase",
    .summary = "Change the backing file of the image",
    .usage = "[-f FMT | --image-opts] [-t CACHE] -b BACKING_FILE [-F BACKING_FMT] [-T SRC_CACHE] "
             "[-u] [-c] [-U] [-p] [-q] [--object OBJDEF] FILE",
    .run = rebase_run,
};

/* compare */

typedef struct {
    uint8_t *a, *b;
    BlockNode *left, *right;
    bool strict;
} Compare;

static int compare_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count)
{
    uint64_t map;
    BlockNode *file;
    unsigned depth;

    return node_status_above(node, NULL, offset, bytes, count, &map, &file, &depth);
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
    uint64_t at = 0;

    while (at < bytes && !memcmp(a + at, b + at, MIN(512, bytes - at))) {
        at += MIN(512, bytes - at);
    }
    while (at < bytes && a[at] == b[at]) {
        at++;
    }
    return at;
}

/* 0: equal, 1: different (printed), 2: failed. */
static int compare_range(Tool *tool, Compare *c, uint64_t size)
{
    for (uint64_t offset = 0; offset < size;) {
        uint64_t n = size - offset, count, other, at;
        int left = compare_status(c->left, offset, n, &count), right, result;

        right = left < 0 ? left : compare_status(c->right, offset, count, &other);
        if (right < 0) {
            tool_fail(tool, "Error while reading block status: %s", g_strerror(-right));
            return COMPARE_FAILED + 1;
        }
        n = MIN(count, other);
        if (c->strict && ((left ^ right) & BLOCK_STATUS_ALLOCATED)) {
            if (!tool->quiet) {
                printf("Strict mode: Offset %" G_GUINT64_FORMAT " block status mismatch!\n",
                       offset);
            }
            return 1;
        }
        if (!((left & BLOCK_STATUS_ZERO) && (right & BLOCK_STATUS_ZERO))) {
            n = MIN(n, BUFFER_SIZE);
            result = node_pread(c->left, offset, c->a, n);
            if (result == 0) {
                result = node_pread(c->right, offset, c->b, n);
            }
            if (result < 0) {
                tool_fail(tool, "Error while reading offset %" G_GUINT64_FORMAT ": %s", offset,
                          g_strerror(-result));
                return COMPARE_FAILED + 2;
            }
            at = first_difference(c->a, c->b, n);
            if (at < n) {
                if (!tool->quiet) {
                    printf("Content mismatch at offset %" G_GUINT64_FORMAT "!\n",
                           align_down(offset + at, 512));
                }
                return 1;
            }
        }
        offset += n;
        tool_show_progress(tool, (double)offset / (double)size);
    }
    return 0;
}

/* The longer image must hold zeroes where the shorter one has ended. */
static int compare_tail(Tool *tool, Compare *c, BlockNode *longer, uint64_t start)
{
    uint64_t size = node_size(longer);

    for (uint64_t offset = start; offset < size;) {
        uint64_t n = MIN(BUFFER_SIZE, size - offset);
        int result = node_pread(longer, offset, c->a, n);

        if (result < 0) {
            tool_fail(tool, "Error while reading offset %" G_GUINT64_FORMAT ": %s", offset,
                      g_strerror(-result));
            return COMPARE_FAILED + 2;
        }
        if (!buffer_is_zero(c->a, n)) {
            memset(c->b, 0, n);
            if (!tool->quiet) {
                printf("Content mismatch at offset %" G_GUINT64_FORMAT "!\n",
                       align_down(offset + first_difference(c->a, c->b, n), 512));
            }
            return 1;
        }
        offset += n;
    }
    return 0;
}

static int compare_images(Tool *tool, Compare *c)
{
    uint64_t left = node_size(c->left), right = node_size(c->right);
    int status;

    if (left != right && c->strict) {
        if (!tool->quiet) {
            printf("Strict mode: Image size mismatch!\n");
        }
        return 1;
    }
    status = compare_range(tool, c, MIN(left, right));
    if (status == 0 && left != right) {
        if (!tool->quiet) {
            printf("Warning: Image size mismatch!\n");
        }
        status = compare_tail(tool, c, left > right ? c->left : c->right, MIN(left, right));
    }
    if (status == 0 && !tool->quiet) {
        printf("Images are identical.\n");
    }
    return status;
}

typedef struct {
    ImageArguments left;
    const char *right_format;
    bool strict;
} CompareCommand;

static const ToolOption compare_options[] = {
    { "a-format", 'f', TOOL_TEXT, offsetof(CompareCommand, left.format) },
    { "b-format", 'F', TOOL_TEXT, offsetof(CompareCommand, right_format) },
    { "image-opts", 0, TOOL_FLAG, offsetof(CompareCommand, left.image_opts) },
    TOOL_SHARE_OPTION(CompareCommand, left),
    { "cache", 'T', TOOL_TEXT, offsetof(CompareCommand, left.cache) },
    { "strict", 's', TOOL_FLAG, offsetof(CompareCommand, strict) },
    { 0 },
};

static int compare_run(Tool *tool, int argc, char **argv)
{
    CompareCommand command = { 0 };
    ImageArguments right;
    Compare compare = { 0 };
    BlockChild *a, *b;
    char **operands;
    unsigned count;
    int status;

    if (!tool_parse(tool, &img_compare, compare_options, &command, argc, argv, &operands, &count,
                    &status)) {
        return status;
    }
    if (count != 2) {
        return tool_try(tool, &img_compare, "Expecting two image file names");
    }
    status = COMPARE_FAILED;
    right = command.left;
    right.format = command.right_format;
    compare.strict = command.strict;
    a = tool_open(tool, operands[0], &command.left);
    b = a ? tool_open(tool, operands[1], &right) : NULL;
    if (b) {
        compare.a = g_malloc(BUFFER_SIZE);
        compare.b = g_malloc(BUFFER_SIZE);
        compare.left = a->node;
        compare.right = b->node;
        status = compare_images(tool, &compare);
        if (status <= 1 && tool_has_lost_data(tool, "what is lost was compared as zeroes")) {
            status = COMPARE_FAILED + 2;
        }
        g_free(compare.a);
        g_free(compare.b);
        tool_end_progress(tool);
        child_detach(b);
    }
    if (a) {
        child_detach(a);
    }
    return status;
}

const ToolCommand img_compare = {
    .name = "compare",
    .summary = "Check if two images have the same contents",
    .usage = "[-f FMT] [-F FMT] [--image-opts] [-T CACHE] [-s] [-U] [-p] [-q] [--object OBJDEF] "
             "FILE1 FILE2",
    .run = compare_run,
};
