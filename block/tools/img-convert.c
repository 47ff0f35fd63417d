/* SPDX-License-Identifier: MIT */
/*
 * kaso-img convert. Several coroutines read and write pieces of the disk at once, each piece on one
 * thread, in whose processor's cache it stays. Unless -W is given, or the pieces are compressed, their
 * writes begin in the order of the disk, so that the image is laid out in that order: space is taken
 * when a write begins.
 */
#include "block/tools/img-bitmap.h"

#include "base/bits.h"
#include "base/error.h"
#include "block/tools/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_SIZE = 1024 * 1024, COMPRESSED_CHUNK = 512 * 1024 };
enum { MEMORY_BYTES_PER_US = 1000 }; /* slower transfers have waited for more than a processor */
enum { PARALLEL_MAX = 16, SPARSE_DEFAULT = 4096, SPARSE_MAX = 16 * 1024 * 1024 };

typedef enum { PIECE_DATA, PIECE_ZERO, PIECE_BACKING } PieceKind;

typedef struct {
    uint64_t offset, bytes, ticket;
    PieceKind kind;
    bool waiting, passed; /* for its turn to write; it has let the next one begin */
    CoroutineQueue turn;
} Piece;

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
    unsigned parallel, started, ended; /* coroutines */
    unsigned processors, in_flight;    /* in_flight: pieces */
    bool read_fast, write_fast;        /* the last piece, at the speed of memory */
    Piece pieces[PARALLEL_MAX];        /* the first `parallel` of them */
    uint8_t *buffers[PARALLEL_MAX];    /* free ones; the last was used last and is in a cache */
    unsigned free_buffers;
    uint64_t next_ticket, write_ticket;
    uint64_t rate, rated_bytes; /* bytes per second, 0: unlimited; begun so far */
    int64_t start_us;
    int result;
    CoroutineMutex lock;
    CoroutineQueue room, finished;
} Convert;

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
    if (c->extent_kind == PIECE_ZERO && !c->sparse) {
        c->extent_kind = PIECE_DATA; /* all of the target shall be allocated */
    }
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

/* Writes of pieces begin in the order of their tickets. */
static void wait_turn(Convert *c, Piece *piece)
{
    piece->passed = !c->in_order;
    if (c->in_order && c->write_ticket != piece->ticket) {
        piece->waiting = true;
        coroutine_queue_wait(&piece->turn);
        piece->waiting = false;
    }
}

static void pass_turn(Convert *c, Piece *piece)
{
    if (piece->passed) {
        return;
    }
    piece->passed = true;
    c->write_ticket++;
    for (unsigned i = 0; i < c->parallel; i++) {
        if (c->pieces[i].waiting && c->pieces[i].ticket == c->write_ticket) {
            coroutine_queue_wake_one(&c->pieces[i].turn);
        }
    }
}

static int write_run(Convert *c, uint64_t offset, uint8_t *buffer, uint64_t bytes)
{
    struct iovec iov = { buffer, bytes };

    return c->compressed ? node_write_compressed(c->target, offset, bytes, io_vector_of(&iov))
                         : node_write(c->target, offset, bytes, io_vector_of(&iov), 0);
}

static int write_data_piece(Convert *c, Piece *piece, uint8_t *buffer)
{
    int result = 0;

    for (uint64_t at = 0; at < piece->bytes && result == 0;) {
        bool zero;
        uint64_t run = find_run(c, piece, buffer, at, &zero);

        if (at + run == piece->bytes) {
            pass_turn(c, piece); /* the next one runs when this write leaves the lock or waits */
        }
        result = zero ? write_zero_piece(c, piece->offset + at, run)
                      : write_run(c, piece->offset + at, buffer + at, run);
        at += run;
    }
    return result;
}

static void wait_rate(Convert *c, uint64_t bytes)
{
    int64_t due_us;

    if (!c->rate) {
        return;
    }
    due_us = c->start_us + (int64_t)((double)c->rated_bytes * 1e6 / (double)c->rate);
    c->rated_bytes += bytes; /* others may ask while this one sleeps */
    if (due_us > g_get_monotonic_time()) {
        coroutine_sleep_ns((uint64_t)(due_us - g_get_monotonic_time()) * 1000);
    }
}

/* Pieces that are copied at once mostly fail for one reason: the first one is told. */
static void fail_piece(Convert *c, const char *doing, const Piece *piece, int result)
{
    if (c->result == 0) {
        c->result = result;
        tool_fail(c->tool, "error while %s at byte %" G_GUINT64_FORMAT ": %s", doing, piece->offset,
                  g_strerror(-result));
    }
}

static void write_piece(Convert *c, Piece *piece, uint8_t *buffer)
{
    int result = 0;

    wait_rate(c, piece->bytes);
    if (piece->kind == PIECE_DATA) {
        result = write_data_piece(c, piece, buffer);
    } else if (piece->kind == PIECE_ZERO) {
        result = write_zero_piece(c, piece->offset, piece->bytes);
    }
    if (result < 0) {
        fail_piece(c, "writing", piece, result);
    }
}

static bool is_fast(const Piece *piece, int64_t start_us)
{
    int64_t us = g_get_monotonic_time() - start_us;

    return (int64_t)piece->bytes > us * MEMORY_BYTES_PER_US;
}

static void convert_piece(Convert *c, Piece *piece)
{
    uint8_t *buffer = c->buffers[--c->free_buffers];
    int64_t start_us = g_get_monotonic_time();
    int result = 0;

    if (piece->kind == PIECE_DATA) {
        result = read_piece(c, piece, buffer);
        c->read_fast = is_fast(piece, start_us);
        if (result < 0) {
            fail_piece(c, "reading", piece, result);
        }
    }
    wait_turn(c, piece);
    if (result == 0 && c->result == 0) {
        start_us = g_get_monotonic_time();
        write_piece(c, piece, buffer);
        c->write_fast = is_fast(piece, start_us);
    }
    pass_turn(c, piece);
    c->buffers[c->free_buffers++] = buffer;
    c->done_bytes += piece->bytes;
    tool_show_progress(c->tool, (double)c->done_bytes / (double)MAX(c->size, 1));
}

/*
 * Where nothing but memory is copied, more pieces than processors would push each other out of the
 * caches; else all coroutines keep the disks, or the network, busy.
 */
static unsigned max_in_flight(const Convert *c)
{
    return c->read_fast && c->write_fast ? c->processors : c->parallel;
}

/* True with a piece; false at the end and after a failure. */
static bool take_piece(Convert *c, Piece *piece)
{
    int result;

    while (c->in_flight >= max_in_flight(c)) {
        coroutine_queue_wait(&c->room);
    }
    coroutine_mutex_lock(&c->lock);
    if (tool_interrupted(c->tool) && c->result == 0) {
        c->result = -EINTR;
    }
    if (c->offset >= c->size || c->result < 0) {
        coroutine_mutex_unlock(&c->lock);
        return false;
    }
    result = next_piece(c, piece);
    coroutine_mutex_unlock(&c->lock);
    if (result == 0) {
        c->in_flight++;
    } else {
        tool_fail(c->tool, "error while reading block status at offset %" G_GUINT64_FORMAT ": %s",
                  c->offset, g_strerror(-result));
        c->result = result;
    }
    return result == 0;
}

static void convert_worker(void *opaque)
{
    Convert *c = opaque;
    Piece *piece = &c->pieces[c->started++];

    while (take_piece(c, piece)) {
        convert_piece(c, piece);
        c->in_flight--;
        if (c->in_flight + 1 < max_in_flight(c)) { /* this coroutine takes the next piece itself */
            coroutine_queue_wake_one(&c->room);
        }
    }
    coroutine_queue_wake_all(&c->room);
    if (++c->ended == c->parallel) {
        coroutine_queue_wake_all(&c->finished);
    }
}

static bool allocate_buffers(Convert *c)
{
    for (unsigned i = 0; i < c->parallel; i++) {
        void *buffer;

        if (posix_memalign(&buffer, 4096, MAX(c->chunk, BUFFER_SIZE))) {
            tool_fail(c->tool,
                      "not enough memory for %u buffers of %" G_GUINT64_FORMAT
                      " bytes; use a smaller -m",
                      c->parallel, MAX(c->chunk, BUFFER_SIZE));
            return false;
        }
        c->buffers[c->free_buffers++] = buffer;
        coroutine_queue_init(&c->pieces[i].turn);
    }
    return true;
}

static int convert_all(Convert *c)
{
    AsyncContext *context = coroutine_context();

    coroutine_mutex_init(&c->lock);
    c->processors = MAX(g_get_num_processors(), 2);
    c->read_fast = c->write_fast = true; /* until it is known */
    coroutine_queue_init(&c->room);
    coroutine_queue_init(&c->finished);
    c->start_us = g_get_monotonic_time();
    if (!allocate_buffers(c)) {
        return -ENOMEM;
    }
    tool_show_progress(c->tool, 0);
    for (unsigned i = 0; i < c->parallel; i++) {
        async_start(context, convert_worker, c);
    }
    coroutine_queue_wait(&c->finished);
    if (c->result == 0 && c->compressed) {
        c->result = node_write_compressed(c->target, 0, 0, (IoVector){ 0 });
        if (c->result < 0) {
            tool_fail(c->tool, "error while ending the compressed data: %s",
                      g_strerror(-c->result));
        }
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
    const char *target_format, *target, *snapshot;
    bool no_create, target_is_zero, bitmaps, skip_broken, any_order, offload, sparse_given,
        has_options, help;
    GHashTable *options;
} ConvertCommand;

static bool convert_number(Tool *tool, void *arguments, const char *name, const char *value)
{
    Convert *convert = &((ConvertCommand *)arguments)->convert;
    uint64_t number = 0;
    bool valid = parse_size(value, &number, NULL);

    if (!strcmp(name, "parallel")) {
        convert->parallel = (unsigned)MIN(number, PARALLEL_MAX);
        if (!valid || number < 1 || number > PARALLEL_MAX) {
            tool_fail(tool, "Invalid number of coroutines specified. Must be between 1 and %d.",
                      PARALLEL_MAX);
            return false;
        }
        return true;
    }
    if (!strcmp(name, "rate-limit")) {
        convert->rate = number;
        return tool_size(tool, "rate limit", value, &number);
    }
    convert->sparse = number;
    ((ConvertCommand *)arguments)->sparse_given = true;
    if (valid && (number % 512 || number > SPARSE_MAX)) {
        tool_fail(tool,
                  "Invalid buffer size for sparse output specified. Valid sizes are multiples of "
                  "512 up to %d. Select 0 to disable sparse detection (fully allocates output).",
                  SPARSE_MAX);
        return false;
    }
    return tool_size(tool, "buffer size for sparse output", value, &number);
}

static bool convert_option(Tool *tool, void *arguments, const char *name, const char *value)
{
    ((ConvertCommand *)arguments)->has_options = true;
    ((ConvertCommand *)arguments)->help |= tool_wants_help(value);
    return ((ConvertCommand *)arguments)->help ||
           tool_parse_options(tool, value, ((ConvertCommand *)arguments)->options);
}

static bool convert_backing(Tool *tool, void *arguments, const char *name, const char *value)
{
    options_set(((ConvertCommand *)arguments)->options,
                strcmp(name, "backing-format") ? "backing_file" : "backing_fmt", value);
    return true;
}

#define CONVERT(member) offsetof(ConvertCommand, member)

static const ToolOption convert_options[] = {
    { "source-format", 'f', TOOL_TEXT, CONVERT(convert.source_arguments.format) },
    { "image-opts", 0, TOOL_FLAG, CONVERT(convert.source_arguments.image_opts) },
    { "source-image-opts", 0, TOOL_FLAG, CONVERT(convert.source_arguments.image_opts) },
    { "source-cache", 'T', TOOL_TEXT, CONVERT(convert.source_arguments.cache) },
    { "snapshot", 'l', TOOL_TEXT, CONVERT(snapshot) },
    { "bitmaps", 0, TOOL_FLAG, CONVERT(bitmaps) },
    { "skip-broken-bitmaps", 0, TOOL_FLAG, CONVERT(skip_broken) },
    { "salvage", 0, TOOL_FLAG, CONVERT(convert.salvage) },
    { "target-format", 'O', TOOL_TEXT, CONVERT(target_format) },
    { "target-image-opts", 0, TOOL_FLAG, CONVERT(target_arguments.image_opts) },
    { "target-format-options", 'o', TOOL_CALL, 0, convert_option },
    { "target-cache", 't', TOOL_TEXT, CONVERT(target_arguments.cache) },
    { "backing", 'b', TOOL_CALL, 0, convert_backing },
    { NULL, 'B', TOOL_CALL, 0, convert_backing },
    { "backing-format", 'F', TOOL_CALL, 0, convert_backing },
    { "sparse-size", 'S', TOOL_CALL, 0, convert_number },
    { "no-create", 'n', TOOL_FLAG, CONVERT(no_create) },
    { "target-is-zero", 0, TOOL_FLAG, CONVERT(target_is_zero) },
    { "compress", 'c', TOOL_FLAG, CONVERT(convert.compressed) },
    { "force-share", 'U', TOOL_FLAG, CONVERT(convert.source_arguments.force_share) },
    { "rate-limit", 'r', TOOL_CALL, 0, convert_number },
    { "parallel", 'm', TOOL_CALL, 0, convert_number },
    { "oob-writes", 'W', TOOL_FLAG, CONVERT(any_order) },
    { "copy-range-offloading", 'C', TOOL_FLAG, CONVERT(offload) },
    { 0 },
};

static const char *target_format(const ConvertCommand *command)
{
    return command->target_format ? command->target_format : "raw";
}

static bool has_option(const ConvertCommand *command, const char *name, const char *off)
{
    const char *value = options_get(command->options, name);

    return value && g_strcmp0(value, off);
}

/* What the new image could not hold, asked before there is one in the place of what the file was. */
static bool check_target(Tool *tool, const ConvertCommand *command)
{
    const char *format = target_format(command);
    const BlockDriver *driver = block_driver_find(format);
    unsigned lacks = driver->lacks ? driver->lacks(command->options) : 0;
    const char *other = NULL;

    if (command->bitmaps && (!driver->bitmap_action || lacks & BLOCK_FEATURE_BITMAPS)) {
        tool_fail(tool, "Format driver '%s' does not support bitmaps", format);
        return false;
    }
    if (!command->convert.compressed) {
        return true;
    }
    if (!driver->write_compressed || lacks & BLOCK_FEATURE_COMPRESSION) {
        tool_fail(tool, "Compression not supported for this file format");
        return false;
    }
    if (has_option(command, "encryption", "off") || has_option(command, "encrypt.format", NULL)) {
        other = "encryption";
    } else if (has_option(command, "preallocation", "off")) {
        other = "preallocation";
    }
    if (other) {
        tool_fail(tool, "Compression and %s not supported at the same time", other);
    }
    return !other;
}

/* What cannot be together. */
static bool check_command(Tool *tool, const ConvertCommand *command)
{
    const char *message = NULL;

    if (command->skip_broken && !command->bitmaps) {
        message = "Use of --skip-broken-bitmaps requires --bitmaps";
    } else if (command->target_arguments.image_opts && !command->no_create) {
        message = "--target-image-opts requires use of -n flag";
    } else if (command->target_is_zero && !command->no_create) {
        message = "--target-is-zero requires use of -n flag";
    } else if (command->no_create && command->has_options) {
        message = "-o has no effect when skipping image creation";
    } else if (command->offload && command->convert.salvage) {
        message = "Cannot use copy offloading in salvaging mode";
    } else if (command->offload && command->convert.compressed) {
        message = "Cannot enable copy offloading when -c is used";
    } else if (command->offload && command->sparse_given) {
        message = "Cannot enable copy offloading when -S is used";
    } else if (options_get(command->options, "backing_file") &&
               !options_get(command->options, "backing_fmt") && !command->no_create) {
        message = "Use of backing file requires explicit backing format";
    }
    if (message) {
        tool_fail(tool, "%s", message);
    }
    return !message;
}

static bool open_sources(Tool *tool, ConvertCommand *command, char **names, unsigned count)
{
    Convert *c = &command->convert;
    GError *error = NULL;

    c->source_arguments.no_share = true; /* the target may turn out to be one of them */
    c->sources = g_new0(BlockChild *, count);
    c->starts = g_new0(uint64_t, count);
    for (unsigned i = 0; i < count; i++) {
        c->sources[i] = tool_open(tool, names[i], &c->source_arguments);
        if (!c->sources[i]) {
            return false;
        }
        c->source_count++;
        if (command->snapshot &&
            !tool_load_snapshot(c->sources[i]->node, command->snapshot, &error)) {
            tool_error(tool, error);
            return false;
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

/* What opening the new image needs again: which secrets have its keys. */
static GHashTable *options_for_opening(GHashTable *create)
{
    GHashTable *options = options_new();
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, create);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (g_str_has_suffix(key, "key-secret")) {
            options_set(options, key, value);
        }
    }
    return options;
}

static bool create_target(Tool *tool, ConvertCommand *command)
{
    g_autofree char *size = NULL;
    GError *error = NULL;

    const char *given = options_get(command->options, "size");
    uint64_t wanted;

    if (given && parse_size(given, &wanted, NULL)) {
        command->convert.size = MIN(command->convert.size, wanted);
    } else if (!given) {
        size = g_strdup_printf("%" G_GUINT64_FORMAT, command->convert.size);
        options_set(command->options, "size", size);
    }
    command->target_arguments.options = options_for_opening(command->options);
    if (command->convert.has_backing &&
        !tool_check_backing(tool, command->target, command->options, false, &error)) {
        tool_error(tool, error);
        return false;
    }
    if (!tool_create(tool, command->target, target_format(command), command->options, &error)) {
        g_prefix_error(&error, "%s: error while converting %s: ", command->target,
                       target_format(command));
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

    command->target_arguments.format =
        command->target_arguments.image_opts ? command->target_format : target_format(command);
    command->target_arguments.cache =
        command->target_arguments.cache ? command->target_arguments.cache : "unsafe";
    command->target_arguments.writable = command->target_arguments.unmap = true;
    child = tool_open(tool, command->target, &command->target_arguments);
    if (!child) {
        return 1;
    }
    c->target = child->node;
    tool_on_signal(tool, "'%s' is unfinished", command->target);
    if (node_size(c->target) < c->size) {
        tool_fail(tool, "output file is smaller than input file");
        child_detach(child);
        return 1;
    }
    c->target_zero = command->no_create ? command->target_is_zero : new_image_is_zero(c->target);
    c->chunk = BUFFER_SIZE;
    if (c->target->driver->info && c->target->driver->info(c->target, &info) == 0) {
        c->compressed |= info.needs_compressed_writes;
    }
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
        .convert = { .tool = tool, .parallel = 8, .in_order = true, .sparse = SPARSE_DEFAULT }
    };
    g_autoptr(GHashTable) options = options_new();
    char **operands;
    unsigned count;
    int status;

    command.options = options;
    if (!tool_parse(tool, &img_convert, convert_options, &command, argc, argv, &operands, &count,
                    &status)) {
        return status;
    }
    if (command.help) {
        return tool_print_options(target_format(&command), false);
    }
    if (count < 2) {
        return tool_fail(tool, "Must specify image file name");
    }
    if (!check_command(tool, &command) || !tool_check_cache(tool, command.target_arguments.cache)) {
        return 1;
    }
    command.convert.in_order = !command.any_order;
    command.convert.has_backing = options_get(options, "backing_file") != NULL;
    command.target = operands[count - 1];
    if (!command.no_create && !block_driver_find(target_format(&command))) {
        return tool_fail(tool, "Unknown file format '%s': --help lists them",
                         target_format(&command));
    }
    if (!command.no_create && !check_target(tool, &command)) {
        return 1;
    }
    if (open_sources(tool, &command, operands, count - 1) && check_bitmaps(tool, &command) &&
        (command.no_create || create_target(tool, &command))) {
        status = convert_target(tool, &command);
        if (status == 0 && !command.convert.salvage &&
            tool_has_lost_data(tool, "the copy has zeroes where data is lost (--salvage accepts "
                                     "that)")) {
            status = 1;
        }
    }
    for (unsigned i = 0; i < command.convert.source_count; i++) {
        child_detach(command.convert.sources[i]);
    }
    for (unsigned i = 0; i < command.convert.free_buffers; i++) {
        free(command.convert.buffers[i]);
    }
    g_clear_pointer(&command.target_arguments.options, g_hash_table_unref);
    g_free(command.convert.sources);
    g_free(command.convert.starts);
    return status;
}

const ToolCommand img_convert = {
    .name = "convert",
    .summary = "Copy one or more images to another with optional format conversion",
    .usage = "[-f SRC_FMT | --image-opts] [-T SRC_CACHE] [-l SNAPSHOT] "
             "[--bitmaps [--skip-broken-bitmaps]] [--salvage] [-O TGT_FMT | --target-image-opts] "
             "[-o TGT_FMT_OPTS] [-t TGT_CACHE] [-b BACKING_FILE [-F BACKING_FMT]] [-S SPARSE_SIZE] "
             "[-n] [--target-is-zero] [-c] [-U] [-r RATE] [-m NUM_PARALLEL] [-W] [-p] [-q] "
             "SRC_FILE [SRC_FILE2...] TGT_FILE",
    .run = convert_run,
};
