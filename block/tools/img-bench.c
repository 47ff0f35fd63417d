/* SPDX-License-Identifier: MIT */
/* kaso-img bench. */
#include "block/tools/tool.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_FLUSH, OPTION_NO_DRAIN, OPTION_PATTERN };

typedef struct {
    BlockNode *node;
    uint64_t offset, step, size, image_size, count, done, since_flush, flush_interval;
    unsigned running;
    bool write;
    uint8_t pattern;
    int result;
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
    while (result == 0 && b->result == 0 && b->done < b->count) {
        uint64_t offset = b->offset;

        b->done++;
        b->offset += b->step;
        if (b->image_size) {
            b->offset %= b->image_size;
        }
        if (offset + b->size > b->image_size) {
            offset = 0;
            b->offset = b->step % MAX(b->image_size, 1);
        }
        result = b->write ? node_pwrite(b->node, offset, buffer, b->size, 0)
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
    if (!tool->quiet) {
        printf("Run completed in %3.3f seconds.\n", (double)(g_get_monotonic_time() - start) / 1e6);
    }
    return 0;
}

static const struct option bench_longs[] = {
    { "object", required_argument, NULL, OPTION_OBJECT },
    { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "flush-interval", required_argument, NULL, OPTION_FLUSH },
    { "no-drain", no_argument, NULL, OPTION_NO_DRAIN },
    { "pattern", required_argument, NULL, OPTION_PATTERN },
    { "force-share", no_argument, NULL, 'U' },
    { 0 },
};

static bool bench_number(Tool *tool, int c, Bench *bench, uint64_t *depth)
{
    uint64_t value;

    if (!tool_size(tool, "number", optarg, &value)) {
        return false;
    }
    switch (c) {
    case 'c':
        bench->count = value;
        break;
    case 'd':
        *depth = value;
        break;
    case 'o':
        bench->offset = value;
        break;
    case 's':
        bench->size = value;
        break;
    case 'S':
        bench->step = value;
        break;
    case OPTION_FLUSH:
        bench->flush_interval = value;
        break;
    default:
        bench->pattern = (uint8_t)value;
        break;
    }
    return true;
}

static int bench_run(Tool *tool, int argc, char **argv)
{
    ImageArguments arguments = { 0 };
    Bench bench = { .count = 75000, .size = 4096 };
    uint64_t depth = 64;
    BlockChild *child;
    int c, status;

    while ((c = getopt_long(argc, argv, "c:d:f:ni:o:qs:S:t:wU", bench_longs, NULL)) != -1) {
        switch (c) {
        case 'f':
            arguments.format = optarg;
            break;
        case 'i':
        case 'n':
        case OPTION_NO_DRAIN:
            break; /* the file driver chooses the fastest way itself */
        case 'q':
            tool->quiet = true;
            break;
        case 't':
            arguments.cache = optarg;
            break;
        case 'w':
            bench.write = arguments.writable = true;
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
        case '?':
            return tool_usage(tool, &img_bench);
        default:
            if (!bench_number(tool, c, &bench, &depth)) {
                return 1;
            }
        }
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    if (!bench.size || bench.size > INT32_MAX || !depth || depth > 65536) {
        return tool_fail(tool, "Invalid buffer size or queue depth");
    }
    bench.step = bench.step ? bench.step : bench.size;
    child = tool_open(tool, argv[optind], &arguments);
    if (!child) {
        return 1;
    }
    bench.node = child->node;
    status = bench_image(tool, &bench, (unsigned)depth);
    child_detach(child);
    return status;
}

const ToolCommand img_bench = {
    .name = "bench",
    .summary = "Run a simple image benchmark",
    .usage =
        "[-f FMT | --image-opts] [-t CACHE] [-c COUNT] [-d DEPTH] [-o OFFSET] [-s BUFFER_SIZE] "
        "[-S STEP_SIZE] [-w [--pattern PATTERN] [--flush-interval INTERVAL]] [-U] [-q] FILE",
    .run = bench_run,
};
