/* SPDX-License-Identifier: MIT */
/*
 * kaso-img convert and dd. Several coroutines read, compress and write pieces of the disk at once;
 * uncompressed writes keep the order of the disk, so that the image is laid out in that order.
 */
#include "block/tools/img-bitmap.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTION_OBJECT = 256,
    OPTION_IMAGE_OPTS,
    OPTION_TARGET_OPTS,
    OPTION_TARGET_ZERO,
    OPTION_SALVAGE,
    OPTION_BITMAPS,
    OPTION_SKIP_BROKEN
};
enum { BUFFER_SIZE = 1024 * 1024, COMPRESSED_CHUNK = 512 * 1024 };
enum { PARALLEL_MAX = 16, SPARSE_DEFAULT = 4096 };

typedef enum { PIECE_DATA, PIECE_ZERO, PIECE_BACKING } PieceKind;

typedef struct {
    Tool *tool;
    ImageArguments source_arguments;
    BlockChild **sources;
    uint64_t *starts; /* of each source on the target */
    unsigned source_count;
    BlockNode *target;
    uint64_t size, offset, done_bytes;
    uint64_t extent_end; /* of the extent of the source that offset is in, if it is above offset */
    PieceKind extent_kind;
    uint64_t chunk, sparse, cluster_size;
    bool compressed, target_zero, has_backing, in_order, salvage;
    unsigned parallel, running;
    uint64_t next_ticket, write_ticket;
    uint64_t rate; /* bytes per second, 0: unlimited */
    int64_t start_us;
    int result;
    CoroutineMutex lock;
    CoroutineQueue turn, finished;
} Convert;

typedef struct {
    uint64_t offset, bytes, ticket;
    PieceKind kind;
} Piece;

static BlockNode *source_at(Convert *c, uint64_t offset, uint64_t *start, uint64_t *room)
{
    unsigned i = 0;

    while (i + 1 < c->source_count && offset >= c->starts[i + 1]) {
        i++;
    }
    *start = c->starts[i];
    *room = (i + 1 < c->source_count ? c->starts[i + 1] : c->size) - offset;
    return c->sources[i]->node;
}

/* What is at c->offset, and up to where; asked for once for each extent of the source. */
static int next_extent(Convert *c)
{
    uint64_t start, room, count, map;
    BlockNode *node = source_at(c, c->offset, &start, &room), *file;
    BlockNode *base = c->has_backing ? node_below(node_skip_filters(node)) : NULL;
    unsigned depth;
    int status;

    if (c->offset < c->extent_end) {
        return 0;
    }
    status = node_status_above(node, base, c->offset - start, room, &count, &map, &file, &depth);
    if (status < 0 && c->salvage) {
        status = BLOCK_STATUS_DATA;
        count = MIN(room, c->chunk);
    }
    if (status < 0) {
        return status;
    }
    c->extent_end = c->offset + count;
    c->extent_kind = status & BLOCK_STATUS_ZERO   ? PIECE_ZERO
                     : status & BLOCK_STATUS_DATA ? PIECE_DATA
                     : base || c->has_backing     ? PIECE_BACKING
                                                  : PIECE_ZERO;
    return 0;
}

/* What to do with the next piece. [lock] */
static int next_piece(Convert *c, Piece *piece)
{
    uint64_t left, unit = c->compressed ? c->cluster_size : 1;
    int result = next_extent(c);

    if (result < 0) {
        return result;
    }
    left = c->extent_end - c->offset;
    piece->offset = c->offset;
    piece->kind = c->extent_kind;
    if (c->extent_end < c->size && left < unit) {
        piece->kind = PIECE_DATA; /* of a cluster that is data unless all of it is something else */
    }
    if (piece->kind == PIECE_DATA) {
        left = MIN(align_up(left, unit), c->chunk - c->offset % c->chunk);
    } else if (c->extent_end < c->size) {
        left = MIN(align_down(left, unit), UINT64_C(1) << 30);
    }
    piece->bytes = MIN(left, c->size - c->offset);
    piece->ticket = c->next_ticket++;
    c->offset += piece->bytes;
    return 0;
}

static int read_piece(Convert *c, const Piece *piece, uint8_t *buffer)
{
    uint64_t offset = piece->offset, bytes = piece->bytes;
    int result = 0;

    while (bytes && result == 0) {
        uint64_t start, room, n;
        BlockNode *node = source_at(c, offset, &start, &room);

        n = MIN(bytes, room);
        result = node_pread(node, offset - start, buffer, n);
        if (result < 0 && c->salvage) {
            /* Sector by sector, zeroes for what cannot be read. */
            for (uint64_t at = 0; at < n; at += 512) {
                uint64_t piece_size = MIN(512, n - at);

                if (node_pread(node, offset - start + at, buffer + at, piece_size) < 0) {
                    tool_warn(c->tool, "error while reading offset %" G_GUINT64_FORMAT,
                              offset + at);
                    memset(buffer + at, 0, piece_size);
                }
            }
            result = 0;
        }
        buffer += n;
        offset += n;
        bytes -= n;
    }
    return result;
}

static int write_zero_piece(Convert *c, uint64_t offset, uint64_t bytes)
{
    if (c->target_zero && !c->has_backing) {
        return 0;
    }
    if (!c->sparse) {
        return node_write_zeroes(c->target, offset, bytes, 0);
    }
    return node_write_zeroes(c->target, offset, bytes, BLOCK_MAY_UNMAP);
}

/* The length of the run at `at` that is all zero or all data, in units of the sparse size. */
static uint64_t find_run(Convert *c, const Piece *piece, const uint8_t *buffer, uint64_t at,
                         bool *zero)
{
    uint64_t unit = c->compressed ? c->cluster_size : c->sparse, run = 0;

    *zero = false;
    if (!c->sparse) {
        return piece->bytes - at;
    }
    while (at + run < piece->bytes) {
        uint64_t n = MIN(unit - (piece->offset + at + run) % unit, piece->bytes - at - run);
        bool this_zero = buffer_is_zero(buffer + at + run, n);

        if (run && this_zero != *zero) {
            break;
        }
        *zero = this_zero;
        run += n;
    }
    return run;
}

static int write_run(Convert *c, uint64_t offset, uint8_t *buffer, uint64_t bytes)
{
    struct iovec iov = { buffer, bytes };

    return c->compressed ? node_write_compressed(c->target, offset, bytes, io_vector_of(&iov))
                         : node_write(c->target, offset, bytes, io_vector_of(&iov), 0);
}

static int write_data_piece(Convert *c, const Piece *piece, uint8_t *buffer)
{
    int result = 0;

    for (uint64_t at = 0; at < piece->bytes && result == 0;) {
        bool zero;
        uint64_t run = find_run(c, piece, buffer, at, &zero);

        result = zero ? write_zero_piece(c, piece->offset + at, run)
                      : write_run(c, piece->offset + at, buffer + at, run);
        at += run;
    }
    return result;
}

static void wait_rate(Convert *c)
{
    int64_t due_us;

    if (!c->rate) {
        return;
    }
    due_us = c->start_us + (int64_t)((double)c->done_bytes * 1e6 / (double)c->rate);
    if (due_us > g_get_monotonic_time()) {
        coroutine_sleep_ns((uint64_t)(due_us - g_get_monotonic_time()) * 1000);
    }
}

static int convert_piece(Convert *c, const Piece *piece, uint8_t *buffer)
{
    int result = 0;

    if (piece->kind == PIECE_DATA) {
        result = read_piece(c, piece, buffer);
        if (result < 0) {
            tool_fail(c->tool, "error while reading at byte %" G_GUINT64_FORMAT ": %s",
                      piece->offset, g_strerror(-result));
        }
    }
    while (c->in_order && c->write_ticket != piece->ticket) {
        coroutine_queue_wait(&c->turn);
    }
    /* Who comes next allocates after us, but need not wait for our write. */
    c->write_ticket++;
    coroutine_queue_wake_all(&c->turn);
    if (result == 0 && c->result == 0) {
        wait_rate(c);
        if (piece->kind == PIECE_DATA) {
            result = write_data_piece(c, piece, buffer);
        } else if (piece->kind == PIECE_ZERO) {
            result = write_zero_piece(c, piece->offset, piece->bytes);
        }
        if (result < 0) {
            tool_fail(c->tool, "error while writing at byte %" G_GUINT64_FORMAT ": %s",
                      piece->offset, g_strerror(-result));
        }
    }
    c->done_bytes += piece->bytes;
    tool_show_progress(c->tool, (double)c->done_bytes / (double)MAX(c->size, 1));
    return result;
}

static void convert_worker(void *opaque)
{
    Convert *c = opaque;
    void *buffer;
    int result = posix_memalign(&buffer, 4096, MAX(c->chunk, BUFFER_SIZE)) ? -ENOMEM : 0;

    while (result == 0) {
        Piece piece;

        coroutine_mutex_lock(&c->lock);
        if (c->offset >= c->size || c->result < 0) {
            coroutine_mutex_unlock(&c->lock);
            break;
        }
        result = next_piece(c, &piece);
        coroutine_mutex_unlock(&c->lock);
        if (result < 0) {
            tool_fail(c->tool,
                      "error while reading block status at offset %" G_GUINT64_FORMAT ": %s",
                      c->offset, g_strerror(-result));
        } else {
            result = convert_piece(c, &piece, buffer);
        }
    }
    if (result < 0 && c->result == 0) {
        c->result = result;
    }
    if (result != -ENOMEM) {
        free(buffer);
    }
    if (--c->running == 0) {
        coroutine_queue_wake_all(&c->finished);
    }
}

static int convert_all(Convert *c)
{
    AsyncContext *context = coroutine_context();

    coroutine_mutex_init(&c->lock);
    coroutine_queue_init(&c->turn);
    coroutine_queue_init(&c->finished);
    c->start_us = g_get_monotonic_time();
    c->running = c->parallel;
    tool_show_progress(c->tool, 0);
    for (unsigned i = 0; i < c->parallel; i++) {
        async_start(context, convert_worker, c);
    }
    coroutine_queue_wait(&c->finished);
    if (c->result == 0 && c->compressed) {
        c->result = node_write_compressed(c->target, 0, 0, (IoVector){ 0 });
    }
    if (c->result == 0) {
        c->result = node_flush(c->target);
        if (c->result < 0) {
            tool_fail(c->tool, "error while flushing: %s", g_strerror(-c->result));
        }
    }
    return c->result;
}

/* The command line. */

typedef struct {
    Convert convert;
    ImageArguments target_arguments;
    const char *target_format, *target, *snapshot, *backing_format;
    bool no_create, target_is_zero, has_sparse, bitmaps, skip_broken;
    GHashTable *options;
} ConvertCommand;

static const struct option longs[] = {
    { "object", required_argument, NULL, OPTION_OBJECT },
    { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "source-image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "target-image-opts", no_argument, NULL, OPTION_TARGET_OPTS },
    { "target-is-zero", no_argument, NULL, OPTION_TARGET_ZERO },
    { "salvage", no_argument, NULL, OPTION_SALVAGE },
    { "bitmaps", no_argument, NULL, OPTION_BITMAPS },
    { "skip-broken-bitmaps", no_argument, NULL, OPTION_SKIP_BROKEN },
    { "force-share", no_argument, NULL, 'U' },
    { "source-format", required_argument, NULL, 'f' },
    { "target-format", required_argument, NULL, 'O' },
    { "target-format-options", required_argument, NULL, 'o' },
    { "source-cache", required_argument, NULL, 'T' },
    { "target-cache", required_argument, NULL, 't' },
    { "backing", required_argument, NULL, 'b' },
    { "backing-format", required_argument, NULL, 'F' },
    { "sparse-size", required_argument, NULL, 'S' },
    { "no-create", no_argument, NULL, 'n' },
    { "compress", no_argument, NULL, 'c' },
    { "rate-limit", required_argument, NULL, 'r' },
    { "parallel", required_argument, NULL, 'm' },
    { "oob-writes", no_argument, NULL, 'W' },
    { "copy-range-offloading", no_argument, NULL, 'C' },
    { "snapshot", required_argument, NULL, 'l' },
    { "progress", no_argument, NULL, 'p' },
    { "quiet", no_argument, NULL, 'q' },
    { 0 },
};

static bool convert_number(Tool *tool, int c, Convert *convert)
{
    uint64_t value;

    if (!tool_size(tool, c == 'm' ? "number of coroutines" : "size", optarg, &value)) {
        return false;
    }
    if (c == 'm' && (value < 1 || value > PARALLEL_MAX)) {
        tool_fail(tool,
                  "Invalid number of coroutines. Allowed number of coroutines is between 1 "
                  "and %d",
                  PARALLEL_MAX);
        return false;
    }
    if (c == 'm') {
        convert->parallel = (unsigned)value;
    } else if (c == 'S') {
        convert->sparse = align_down(value, 512);
    } else {
        convert->rate = value;
    }
    return true;
}

static bool convert_flag(Tool *tool, int c, ConvertCommand *command)
{
    Convert *convert = &command->convert;

    switch (c) {
    case 'c':
        convert->compressed = true;
        return true;
    case 'n':
        command->no_create = true;
        return true;
    case 'U':
        convert->source_arguments.force_share = true;
        return true;
    case 'W':
        convert->in_order = false;
        return true;
    case 'C':
        return true;
    case 'p':
        tool->progress = true;
        return true;
    case 'q':
        tool->quiet = true;
        return true;
    case OPTION_IMAGE_OPTS:
        convert->source_arguments.image_opts = true;
        return true;
    case OPTION_TARGET_OPTS:
        command->target_arguments.image_opts = true;
        return true;
    case OPTION_TARGET_ZERO:
        command->target_is_zero = true;
        return true;
    case OPTION_SALVAGE:
        convert->salvage = true;
        return true;
    default:
        return false;
    }
}

static bool convert_option(Tool *tool, int c, ConvertCommand *command)
{
    switch (c) {
    case 'f':
        command->convert.source_arguments.format = optarg;
        return true;
    case 'O':
        command->target_format = optarg;
        return true;
    case 'b':
    case 'B':
        options_set(command->options, "backing_file", optarg);
        return true;
    case 'F':
        options_set(command->options, "backing_fmt", optarg);
        return true;
    case 'o':
        return tool_parse_options(tool, optarg, command->options);
    case 'l':
        command->snapshot = g_str_has_prefix(optarg, "snapshot.name=") ? optarg + 14
                            : g_str_has_prefix(optarg, "snapshot.id=") ? optarg + 12
                                                                       : optarg;
        return true;
    case 't':
        command->target_arguments.cache = optarg;
        return true;
    case 'T':
        command->convert.source_arguments.cache = optarg;
        return true;
    case 'S':
        command->has_sparse = true;
        return convert_number(tool, c, &command->convert);
    case 'r':
    case 'm':
        return convert_number(tool, c, &command->convert);
    case OPTION_OBJECT:
        return tool_object(tool, optarg);
    case OPTION_BITMAPS:
        command->bitmaps = true;
        return true;
    case OPTION_SKIP_BROKEN:
        command->skip_broken = true;
        return true;
    default:
        if (convert_flag(tool, c, command)) {
            return true;
        }
        tool_usage(tool, &img_convert);
        return false;
    }
}

static bool open_sources(Tool *tool, ConvertCommand *command, char **names, unsigned count)
{
    Convert *c = &command->convert;
    GError *error = NULL;

    c->sources = g_new0(BlockChild *, count);
    c->starts = g_new0(uint64_t, count);
    for (unsigned i = 0; i < count; i++) {
        c->sources[i] = tool_open(tool, names[i], &c->source_arguments);
        if (!c->sources[i]) {
            return false;
        }
        c->source_count++;
        if (command->snapshot) {
            BlockNode *node = c->sources[i]->node;

            if (!node->driver->snapshot_load ||
                !node->driver->snapshot_load(node, command->snapshot, &error)) {
                g_prefix_error(&error, "Failed to load snapshot: ");
                tool_error(tool, error);
                return false;
            }
        }
        c->starts[i] = c->size;
        c->size += node_size(c->sources[i]->node);
    }
    return true;
}

static bool check_bitmaps(Tool *tool, const ConvertCommand *command)
{
    if (!command->bitmaps) {
        return true;
    }
    if (command->convert.source_count > 1) {
        tool_fail(tool, "Copying bitmaps only possible with single source");
        return false;
    }
    return img_bitmaps_check(tool, command->convert.sources[0]->node, command->skip_broken);
}

static bool create_target(Tool *tool, ConvertCommand *command)
{
    g_autofree char *size = NULL;
    GError *error = NULL;

    if (!options_get(command->options, "size")) {
        size = g_strdup_printf("%" G_GUINT64_FORMAT, align_up(command->convert.size, 512));
        options_set(command->options, "size", size);
    }
    if (options_get(command->options, "backing_file") &&
        !options_get(command->options, "backing_fmt")) {
        tool_fail(tool, "%s: backing_file specified without backing_fmt: say -F FORMAT",
                  command->target);
        return false;
    }
    if (!tool_create(tool, command->target, command->target_format, command->options, &error)) {
        g_prefix_error(&error, "%s: error while converting %s: ", command->target,
                       command->target_format);
        tool_error(tool, error);
        return false;
    }
    return true;
}

/* Whether a new image reads as zeroes without writing them. */
static bool new_image_is_zero(BlockNode *node)
{
    BlockNodeInfo info = { 0 };

    if (node->driver->info && node->driver->info(node, &info) == 0) {
        return info.unallocated_reads_zero;
    }
    return node->file && node->file->node->driver->grows_with_zeroes;
}

static int convert_target(Tool *tool, ConvertCommand *command)
{
    Convert *c = &command->convert;
    BlockNodeInfo info = { 0 };
    BlockChild *child;
    int result;

    if (!command->target_arguments.image_opts) {
        command->target_arguments.format = command->target_format;
    }
    command->target_arguments.cache =
        command->target_arguments.cache ? command->target_arguments.cache : "unsafe";
    command->target_arguments.writable = command->target_arguments.unmap = true;
    child = tool_open(tool, command->target, &command->target_arguments);
    if (!child) {
        return 1;
    }
    c->target = child->node;
    if (node_size(c->target) < c->size) {
        tool_fail(tool, "output file is smaller than input file");
        child_detach(child);
        return 1;
    }
    c->has_backing = options_get(command->options, "backing_file") != NULL;
    c->target_zero = command->no_create ? command->target_is_zero : new_image_is_zero(c->target);
    c->chunk = BUFFER_SIZE;
    if (c->compressed) {
        if (!c->target->driver->write_compressed) {
            tool_fail(tool, "Compression not supported for this file format");
            child_detach(child);
            return 1;
        }
        c->target->driver->info(c->target, &info);
        c->cluster_size = info.cluster_size;
        c->chunk = MAX(info.cluster_size, COMPRESSED_CHUNK);
        c->in_order = false;
    }
    if (command->bitmaps && !c->target->driver->bitmap_action) {
        tool_fail(tool, "Format driver '%s' does not support bitmaps", c->target->driver->name);
        child_detach(child);
        return 1;
    }
    result = convert_all(c);
    if (result >= 0 && command->bitmaps &&
        !img_bitmaps_copy(tool, c->sources[0]->node, c->target, command->skip_broken)) {
        result = -EINVAL;
    }
    child_detach(child);
    tool_end_progress(tool);
    return result < 0 ? 1 : 0;
}

static int convert_run(Tool *tool, int argc, char **argv)
{
    ConvertCommand command = {
        .convert = { .tool = tool, .parallel = 8, .in_order = true, .sparse = SPARSE_DEFAULT },
        .target_format = "raw"
    };
    int c, status = 1;

    command.options = options_new();
    while ((c = getopt_long(argc, argv, "f:O:B:b:F:co:l:S:pt:T:qnm:WUr:C", longs, NULL)) != -1) {
        if (!convert_option(tool, c, &command)) {
            goto out;
        }
    }
    if (argc - optind < 2) {
        tool_fail(tool, "Must specify image file name");
        goto out;
    }
    if (command.skip_broken && !command.bitmaps) {
        tool_fail(tool, "Use of --skip-broken-bitmaps requires --bitmaps");
        goto out;
    }
    command.target = argv[argc - 1];
    if (open_sources(tool, &command, argv + optind, (unsigned)(argc - optind - 1)) &&
        check_bitmaps(tool, &command) && (command.no_create || create_target(tool, &command))) {
        status = convert_target(tool, &command);
    }
    for (unsigned i = 0; i < command.convert.source_count; i++) {
        child_detach(command.convert.sources[i]);
    }
    g_free(command.convert.sources);
    g_free(command.convert.starts);
out:
    g_hash_table_unref(command.options);
    return status;
}

const ToolCommand img_convert = {
    .name = "convert",
    .summary = "Copy one or more images to another with optional format conversion",
    .usage = "[-f SRC_FMT | --image-opts] [-T SRC_CACHE] [-l SNAPSHOT] [--salvage] [-O TGT_FMT] "
             "[-o TGT_FMT_OPTS] [-t TGT_CACHE] [-b BACKING_FILE [-F BACKING_FMT]] [-S SPARSE_SIZE] "
             "[-n] [--target-is-zero] [-c] [-U] [-r RATE] [-m NUM_PARALLEL] [-W] [-p] [-q] "
             "SRC_FILE [SRC_FILE2...] TGT_FILE",
    .run = convert_run,
};

/* dd */

typedef struct {
    char *input, *output;
    uint64_t block_size, count, skip;
    bool has_count;
} DdOperands;

static bool dd_operand(Tool *tool, const char *text, DdOperands *dd)
{
    const char *value = strchr(text, '=');

    if (!value) {
        tool_fail(tool, "unrecognized operand '%s'", text);
        return false;
    }
    value++;
    if (g_str_has_prefix(text, "if=")) {
        dd->input = (char *)value;
    } else if (g_str_has_prefix(text, "of=")) {
        dd->output = (char *)value;
    } else if (g_str_has_prefix(text, "bs=")) {
        return tool_size(tool, "number: bs", value, &dd->block_size) && dd->block_size > 0 &&
               dd->block_size <= GIB(1);
    } else if (g_str_has_prefix(text, "count=")) {
        dd->has_count = true;
        return tool_size(tool, "number: count", value, &dd->count);
    } else if (g_str_has_prefix(text, "skip=")) {
        return tool_size(tool, "number: skip", value, &dd->skip);
    } else {
        tool_fail(tool, "unrecognized operand '%s'", text);
        return false;
    }
    return true;
}

static int dd_copy(Tool *tool, BlockNode *source, BlockNode *target, const DdOperands *dd,
                   uint64_t start, uint64_t size)
{
    g_autofree uint8_t *buffer = g_try_malloc(MIN(MAX(dd->block_size, 512), MIB(64)));
    uint64_t chunk = MIN(MAX(dd->block_size, 512), MIB(64));
    int result = buffer ? 0 : -ENOMEM;

    for (uint64_t at = 0; at < size && result == 0; at += chunk) {
        uint64_t n = MIN(chunk, size - at);

        result = node_pread(source, start + at, buffer, n);
        if (result == 0) {
            result = node_pwrite(target, at, buffer, n, 0);
        }
    }
    if (result == 0) {
        result = node_flush(target);
    }
    return result < 0 ? tool_fail(tool, "error while copying: %s", g_strerror(-result)) : 0;
}

static int dd_images(Tool *tool, const ImageArguments *source_arguments, const char *format,
                     const DdOperands *dd)
{
    ImageArguments target_arguments = { .format = format, .writable = true };
    g_autoptr(GHashTable) options = options_new();
    g_autofree char *text = NULL;
    BlockChild *source, *target = NULL;
    GError *error = NULL;
    uint64_t total, start, size;
    int status = 1;

    source = tool_open(tool, dd->input, source_arguments);
    if (!source) {
        return 1;
    }
    total = node_size(source->node);
    if (dd->skip > total / dd->block_size) {
        tool_fail(tool, "%s: cannot skip to specified offset", dd->input);
        start = total;
    } else {
        start = dd->skip * dd->block_size;
    }
    size = total - start;
    if (dd->has_count && dd->count <= size / dd->block_size) {
        size = dd->count * dd->block_size;
    }
    text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    options_set(options, "size", text);
    if (!tool_create(tool, dd->output, format, options, &error)) {
        tool_error(tool, error);
    } else {
        target = tool_open(tool, dd->output, &target_arguments);
    }
    if (target) {
        status = dd_copy(tool, source->node, target->node, dd, start, size);
        child_detach(target);
    }
    child_detach(source);
    return status;
}

static int dd_run(Tool *tool, int argc, char **argv)
{
    ImageArguments arguments = { 0 };
    DdOperands dd = { .block_size = 512 };
    const char *format = "raw";
    int c;

    while ((c = getopt_long(argc, argv, "f:O:U", longs, NULL)) != -1) {
        switch (c) {
        case 'f':
            arguments.format = optarg;
            break;
        case 'O':
            format = optarg;
            break;
        case 'U':
            arguments.force_share = true;
            break;
        case OPTION_IMAGE_OPTS:
            arguments.image_opts = true;
            break;
        case OPTION_OBJECT:
            if (!tool_object(tool, optarg)) {
                return 1;
            }
            break;
        default:
            return tool_usage(tool, &img_dd);
        }
    }
    for (; optind < argc; optind++) {
        if (!dd_operand(tool, argv[optind], &dd)) {
            return 1;
        }
    }
    if (!dd.input || !dd.output) {
        return tool_fail(tool, "Must specify both input and output files");
    }
    return dd_images(tool, &arguments, format, &dd);
}

const ToolCommand img_dd = {
    .name = "dd",
    .summary = "Copy input to output with optional format conversion",
    .usage = "[-f FMT | --image-opts] [-O OUTPUT_FMT] [-U] [--object OBJDEF] [bs=SIZE] [count=N] "
             "[skip=N] if=INPUT of=OUTPUT",
    .run = dd_run,
};
