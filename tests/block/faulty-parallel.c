/* SPDX-License-Identifier: MIT */
/*
 * A workload of several guest requests at once. Each of its coroutines has chunks of the disk of its
 * own, so that the model knows the order of writes; but the chunks share clusters and tables with
 * their neighbours'. One coroutine has whole clusters, which it also discards and compresses.
 */
#include "tests/block/faulty.h"

enum {
    WRITERS = 4,
    CHUNK_SECTORS = 23,
    CLUSTER_AREA = 512 * 1024, /* from here on: whole clusters */
    CLUSTER = 16 * 1024,       /* a multiple of any kind's */
};

typedef struct {
    const Kind *kind;
    BlockNode *node;
    unsigned index, operations;
    GRand *rand;
    int failures;
    unsigned *running;
} Writer;

/* A place in this writer's chunks. */
static void pick_place(Writer *w, uint64_t *offset, uint64_t *bytes)
{
    unsigned chunks = CLUSTER_AREA / SECTOR / CHUNK_SECTORS / (WRITERS - 1);
    unsigned chunk =
        (unsigned)g_rand_int_range(w->rand, 0, (gint32)chunks) * (WRITERS - 1) + w->index;
    unsigned first = (unsigned)g_rand_int_range(w->rand, 0, CHUNK_SECTORS);
    unsigned count = (unsigned)g_rand_int_range(w->rand, 1, (gint32)(CHUNK_SECTORS - first) + 1);

    *offset = (uint64_t)(chunk * CHUNK_SECTORS + first) * SECTOR;
    *bytes = (uint64_t)count * SECTOR;
}

static void pick_cluster(Writer *w, uint64_t *offset, uint64_t *bytes)
{
    *offset = CLUSTER_AREA + CLUSTER * (uint64_t)g_rand_int_range(
                                           w->rand, 0, (GUEST_SIZE - CLUSTER_AREA) / CLUSTER);
    *bytes = CLUSTER;
}

static int write_something(Writer *w, uint32_t stamp)
{
    bool whole = w->index == WRITERS - 1;
    int operation = g_rand_int_range(w->rand, 0, whole ? (w->kind->compress ? 8 : 7) : 6), result;
    uint64_t offset, bytes;

    if (whole) {
        pick_cluster(w, &offset, &bytes);
    } else {
        pick_place(w, &offset, &bytes);
    }
    if (operation == 5 || operation == 6) {
        stamp = 0;
    }
    lab_log(EVENT_GUEST_WRITE, 0, offset, bytes, NULL, stamp);
    result = guest_transfer(w->node, operation, offset, bytes, stamp);
    if (result == 0) {
        lab_log(EVENT_GUEST_WRITTEN, 0, offset, bytes, NULL, stamp);
    }
    return result;
}

static void writer_entry(void *opaque)
{
    Writer *w = opaque;

    for (unsigned i = 0; i < w->operations; i++) {
        bool flush = g_rand_int_range(w->rand, 0, 6) == 0;
        int result = flush ? guest_flush(w->node) : write_something(w, w->index << 16 | (i + 1));

        w->failures += result < 0;
    }
    --*w->running;
}

int parallel_operations(const Kind *kind, BlockNode *node, unsigned operations, uint32_t seed)
{
    Writer writers[WRITERS];
    unsigned running = WRITERS;
    int failures = 0;

    lab->pauses = g_rand_new_with_seed(seed);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (Writer){ .kind = kind,
                               .node = node,
                               .index = i,
                               .operations = operations / WRITERS,
                               .rand = g_rand_new_with_seed(seed + i + 1),
                               .running = &running };
        async_start(coroutine_context(), writer_entry, &writers[i]);
    }
    while (running) {
        coroutine_pause();
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        failures += writers[i].failures;
        g_rand_free(writers[i].rand);
    }
    g_rand_free(lab->pauses);
    lab->pauses = NULL;
    return failures;
}
