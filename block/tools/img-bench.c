/* SPDX-License-Identifier: MIT */
/* kaso-img bench. */
#include "block/tools/options.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 65536 };

typedef struct {
    BlockNode *node;
    uint64_t offset, step, size, image_size, count, done, since_flush, flush_interval;
    unsigned running;
    bool write;
    uint8_t pattern;
    int result;
    Tool *tool;
    CoroutineQueue finished;
} Bench;

/* One request after the other; as many of these run as the queue is deep. */
static void bench_worker(void *opaque)
{
    Bench *b = opaque;
    void *buffer;
    int result = posix_memalign(&buffer, 4096, b->size) ? -ENOMEM : 0;

    if (result == 0) {
        memset(buffer, b->pattern, b->size);
    }
    while (result == 0 && b->result == 0 && b->done < b->count && !tool_interrupted(b->tool)) {
        uint64_t offset = b->offset;

        b->done++;
        b->offset += b->step;
        if (b->image_size && b->offset >= b->image_size) {
            b->offset %= b->image_size;
        }
        result = offset + b->size > b->image_size ? -EIO
                 : b->write                       ? node_pwrite(b->node, offset, buffer, b->size, 0)
                                                  : node_pread(b->node, offset, buffer, b->size);
        if (result == 0 && b->write && b->flush_interval &&
            ++b->since_flush % b->flush_interval == 0) {
            result = node_flush(b->node);
        }
    }
    if (result != -ENOMEM) {
        free(buffer);
    }
    b->result = result < 0 ? result : b->result;
    if (--b->running == 0) {
        coroutine_queue_wake_all(&b->finished);
    }
}

static int bench_image(Tool *tool, Bench *b, unsigned depth)
{
    int64_t start;

    if (!tool->quiet) {
        printf("Sending %" G_GUINT64_FORMAT " %s requests, %" G_GUINT64_FORMAT
               " bytes each, %u in parallel (starting at offset %" G_GUINT64_FORMAT
               ", step size %" G_GUINT64_FORMAT ")\n",
               b->count, b->write ? "write" : "read", b->size, depth, b->offset, b->step);
        if (b->flush_interval) {
            printf("Sending flush every %" G_GUINT64_FORMAT " requests\n", b->flush_interval);
        }
        fflush(stdout);
    }
    b->tool = tool;
    b->image_size = node_size(b->node);
    b->running = depth;
    coroutine_queue_init(&b->finished);
    start = g_get_monotonic_time();
    for (unsigned i = 0; i < depth; i++) {
        async_start(coroutine_context(), bench_worker, b);
    }
    coroutine_queue_wait(&b->finished);
    if (b->result < 0) {
        return tool_fail(tool, "Failed request: %s", g_strerror(-b->result));
    }
    if (tool_interrupted(tool)) {
        tool_on_signal(tool, "the run has not been completed");
        return 1;
    }
    if (!tool->quiet) {
        printf("Run completed in %3.3f seconds.\n", (double)(g_get_monotonic_time() - start) / 1e6);
    }
    return 0;
}

typedef struct {
    ImageArguments image;
    Bench bench;
    uint64_t depth;
    bool no_drain;
} BenchCommand;

/* Numbers with their limits. */
static const struct {
    const char *option, *what;
    size_t offset;
    uint64_t min, max;
} bench_numbers[] = {
    { "count", "request count", offsetof(BenchCommand, bench.count), 1, INT32_MAX },
    { "depth", "queue depth", offsetof(BenchCommand, depth), 1, INT32_MAX },
    { "offset", "offset", offsetof(BenchCommand, bench.offset), 0, INT64_MAX },
    { "buffer-size", "buffer size", offsetof(BenchCommand, bench.size), 1, INT32_MAX },
    { "step-size", "step size", offsetof(BenchCommand, bench.step), 0, INT32_MAX },
    { "flush-interval", "flush interval", offsetof(BenchCommand, bench.flush_interval), 0,
      INT32_MAX },
};

static bool bench_number(Tool *tool, void *arguments, const char *name, const char *value)
{
    unsigned i = 0;
    uint64_t *number;

    while (strcmp(bench_numbers[i].option, name)) {
        i++;
    }
    number = (uint64_t *)((char *)arguments + bench_numbers[i].offset);
    if (!tool_size(tool, bench_numbers[i].what, value, number)) {
        return false;
    }
    if (*number < bench_numbers[i].min || *number > bench_numbers[i].max) {
        tool_fail(tool,
                  "Invalid %s specified. Must be between %" G_GUINT64_FORMAT
                  " and %" G_GUINT64_FORMAT ".",
                  bench_numbers[i].what, bench_numbers[i].min, bench_numbers[i].max);
        return false;
    }
    return true;
}

static bool bench_pattern(Tool *tool, void *arguments, const char *name, const char *value)
{
    uint64_t number;

    if (!parse_size(value, &number, NULL) || number > UINT8_MAX) {
        tool_fail(tool, "Invalid pattern byte specified. Must be between 0 and 255.");
        return false;
    }
    ((BenchCommand *)arguments)->bench.pattern = (uint8_t)number;
    return true;
}

static bool bench_write(Tool *tool, void *arguments, const char *name, const char *value)
{
    BenchCommand *command = arguments;

    command->bench.write = command->image.writable = true;
    return true;
}

static bool bench_aio(Tool *tool, void *arguments, const char *name, const char *value)
{
    static const char *const names[] = { "auto", "threads", "io_uring", "native" };
    BenchCommand *command = arguments;

    value = value ? value : "native";
    for (unsigned i = BLOCK_AIO_THREADS; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(names[i], value)) {
            command->image.aio = (BlockAio)i;
            return true;
        }
    }
    tool_fail(tool, "Invalid aio option: %s", value);
    return false;
}

static const ToolOption bench_options[] = {
    TOOL_IMAGE_OPTIONS(BenchCommand, image),
    TOOL_SHARE_OPTION(BenchCommand, image),
    { "cache", 't', TOOL_TEXT, offsetof(BenchCommand, image.cache) },
    { "count", 'c', TOOL_CALL, 0, bench_number },
    { "depth", 'd', TOOL_CALL, 0, bench_number },
    { "offset", 'o', TOOL_CALL, 0, bench_number },
    { "buffer-size", 's', TOOL_CALL, 0, bench_number },
    { "step-size", 'S', TOOL_CALL, 0, bench_number },
    { "write", 'w', TOOL_CALL_FLAG, 0, bench_write },
    { "pattern", 0, TOOL_CALL, 0, bench_pattern },
    { "flush-interval", 0, TOOL_CALL, 0, bench_number },
    { "no-drain", 0, TOOL_FLAG, offsetof(BenchCommand, no_drain) },
    { "aio", 'i', TOOL_CALL, 0, bench_aio },
    { "native", 'n', TOOL_CALL_FLAG, 0, bench_aio },
    { 0 },
};

static int bench_run(Tool *tool, int argc, char **argv)
{
    BenchCommand command = { .bench = { .count = 75000, .size = 4096 }, .depth = 64 };
    Bench *bench = &command.bench;
    BlockChild *child;
    int status;
    const char *name =
        tool_parse_one(tool, &img_bench, bench_options, &command, argc, argv, &status);

    if (!name) {
        return status;
    }
    if (!bench->write && (bench->flush_interval || command.no_drain)) {
        return tool_fail(tool, "%s is only available in write tests",
                         bench->flush_interval ? "--flush-interval" : "--no-drain");
    }
    if (bench->flush_interval && bench->flush_interval < command.depth) {
        return tool_fail(tool, "Flush interval can't be smaller than depth");
    }
    bench->step = bench->step ? bench->step : bench->size;
    child = tool_open(tool, name, &command.image);
    if (!child) {
        return 1;
    }
    bench->node = child->node;
    status = bench_image(tool, bench, (unsigned)MIN(command.depth, DEPTH_MAX));
    child_detach(child);
    return status;
}

const ToolCommand img_bench = {
    .name = "bench",
    .summary = "Run a simple image benchmark",
    .usage =
        "[-f FMT | --image-opts] [-t CACHE] [-c COUNT] [-d DEPTH] [-o OFFSET] [-s BUFFER_SIZE] "
        "[-S STEP_SIZE] [-w [--pattern PATTERN] [--flush-interval INTERVAL [--no-drain]]] "
        "[-i AIO] [-n] [-U] [-q] FILE",
    .run = bench_run,
};
