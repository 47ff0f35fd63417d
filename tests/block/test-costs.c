/* SPDX-License-Identifier: MIT */
/*
 * What operations on qcow2 cost, counted below it: a first write to a cluster is one write without
 * a flush, looking at a large empty image is a handful of reads, and tables in memory stay within
 * the size that the options give them.
 */
#include "base/bits.h"
#include "block/graph/node.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/block/sanitized.h"

typedef struct {
    unsigned reads, writes, flushes, others;
    uint64_t written;
} Counts;

static Counts counts; /* of what "test-count" passes on */

static int count_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    counts.reads++;
    return node_read(node->file->node, offset, bytes, vector);
}

static int count_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                       unsigned flags)
{
    counts.writes++;
    counts.written += bytes;
    return node_write(node->file->node, offset, bytes, vector, flags);
}

static int count_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    counts.others++;
    return node_write_zeroes(node->file->node, offset, bytes, flags);
}

static int count_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    counts.others++;
    return node_discard(node->file->node, offset, bytes);
}

static int count_flush(BlockNode *node)
{
    counts.flushes++;
    return node_flush(node->file->node);
}

static const BlockDriver count_driver = {
    .name = "test-count",
    .summary = "Filter that counts",
    .is_filter = true,
    .grows_with_zeroes = true,
    .read = count_read,
    .write = count_write,
    .write_zeroes = count_write_zeroes,
    .discard = count_discard,
    .flush = count_flush,
};
BLOCK_DRIVER(count_driver);

static BlockGraph *graph;
static char *image;

static BlockNode *open_image(const char *more)
{
    GHashTable *options = options_parse(more, NULL, NULL);
    BlockOpenFlags flags = { 0 };
    GError *error = NULL;
    BlockNode *node;

    options_set(options, "driver", "qcow2");
    options_set(options, "file.driver", "test-count");
    options_set(options, "file.file.driver", "file");
    options_set(options, "file.file.filename", image);
    counts = (Counts){ 0 };
    node = node_open(graph, NULL, options, flags, &error);
    g_assert_no_error(error);
    return node;
}

static void create_image(const char *config)
{
    GHashTable *options = options_parse(config, NULL, NULL);
    GError *error = NULL;

    g_unlink(image);
    block_driver_find("qcow2")->create(graph, image, options, &error);
    g_assert_no_error(error);
    g_hash_table_unref(options);
}

static void write_at(BlockNode *node, uint64_t offset)
{
    static const uint8_t data[4096] = { 1, 2, 3 };

    g_assert_cmpint(node_pwrite(node, offset, data, sizeof data, 0), ==, 0);
}

static void first_writes(void *opaque)
{
    BlockNode *node;

    create_image("size=1G,cluster_size=64k");
    node = open_image("overlap-check=cached");
    write_at(node, 0); /* makes the L2 table */
    counts = (Counts){ 0 };
    for (uint64_t i = 1; i <= 200; i++) {
        write_at(node, i * KIB(64) + KIB(8) * (i % 5));
    }
    g_assert_cmpuint(counts.writes, ==, 200);
    g_assert_cmpuint(counts.written, ==, 200 * 4096);
    g_assert_cmpuint(counts.flushes + counts.others + counts.reads, ==, 0);
    /* The tables: counts first, then what refers to them. */
    g_assert_cmpint(node_flush(node), ==, 0);
    g_assert_cmpuint(counts.writes, <=, 200 + 4);
    g_assert_cmpuint(counts.flushes, <=, 2);
    /* A new L2 table costs no flush either. */
    counts = (Counts){ 0 };
    write_at(node, MIB(512));
    g_assert_cmpuint(counts.flushes, ==, 0);
    /* The L2 table takes its space: a full disk must not be found when it is written back. */
    g_assert_cmpuint(counts.others, ==, 1);
    node_unref(node);
}

static void large_and_empty(void *opaque)
{
    BlockCheck check = { 0 };
    BlockNode *node;
    uint64_t count, map;
    BlockNode *file;

    create_image("size=64G");
    node = open_image("overlap-check=cached");
    g_assert_cmpint(node->driver->check(node, &check), ==, 0);
    g_assert_cmpuint(check.corruptions + check.leaks + check.check_errors, ==, 0);
    for (uint64_t at = 0; at < GIB(64); at += count) {
        g_assert_cmpint(node_status(node, at, GIB(64) - at, &count, &map, &file), >=, 0);
    }
    g_assert_cmpuint(counts.reads, <, 32);
    node_unref(node);
}

/* Pages of anonymous memory in use. */
static uint64_t memory_bytes(void)
{
    unsigned long size, resident, shared;
    FILE *statm = fopen("/proc/self/statm", "r");

    g_assert_nonnull(statm);
    g_assert_cmpint(fscanf(statm, "%lu %lu %lu", &size, &resident, &shared), ==, 3);
    fclose(statm);
    return (uint64_t)(resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

#ifdef SANITIZED
static const bool hoards_memory = true; /* what is freed stays in quarantine */
#else
static const bool hoards_memory = false;
#endif

/* A number of what the node says about its caches. */
static uint64_t cache_number(BlockNode *node, const char *cache, const char *name)
{
    json_t *object = json_object();
    uint64_t value;

    node->driver->statistics(node, object);
    value = (uint64_t)json_integer_value(json_object_get(json_object_get(object, cache), name));
    json_decref(object);
    return value;
}

enum { VISITORS = 8, VISITS = 3000 };

typedef struct {
    BlockNode *node;
    uint32_t seed;
    unsigned *running;
} Visitor;

/* Writes and reads all over the disk; almost each visit is to another L2 table. */
static void visit(void *opaque)
{
    const Visitor *v = opaque;
    GRand *rand = g_rand_new_with_seed(v->seed);
    uint8_t data[512];

    for (unsigned i = 0; i < VISITS; i++) {
        uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, GIB(64) / KIB(4)) * KIB(4);

        if (i % 3 != 2) {
            write_at(v->node, offset);
            g_assert_cmpint(node_pread(v->node, offset, data, sizeof data), ==, 0);
            g_assert_cmpuint(data[0], ==, 1);
        } else {
            g_assert_cmpint(node_pread(v->node, offset, data, sizeof data), ==, 0);
        }
    }
    g_rand_free(rand);
    --*v->running;
}

/*
 * Some 13,000 L2 tables (52 MiB) and their counts, of a 64 GiB disk with small clusters. What a process
 * needs besides: the L1 table (256 KiB), the set of metadata clusters (some 16 bytes for each table), a
 * copy of what is written back (half of the cache), and what requests hold.
 */
static void bounded_tables(const char *options, uint64_t l2_bytes, uint64_t refcount_bytes)
{
    unsigned running = VISITORS;
    Visitor visitors[VISITORS];
    BlockNode *node;
    uint64_t before, after;

    create_image("size=64G,cluster_size=4k");
    node = open_image(options);
    write_at(node, 0);
    before = memory_bytes();
    for (unsigned i = 0; i < VISITORS; i++) {
        visitors[i] = (Visitor){ node, i + 1, &running };
        async_start(coroutine_context(), visit, &visitors[i]);
    }
    while (running) {
        coroutine_pause();
    }
    after = memory_bytes();
    g_assert_cmpuint(cache_number(node, "l2-cache", "misses"), >, VISITS);
    g_assert_cmpuint(cache_number(node, "l2-cache", "max-bytes"), <=, l2_bytes);
    g_assert_cmpuint(cache_number(node, "l2-cache", "bytes"), <=, l2_bytes);
    g_assert_cmpuint(cache_number(node, "refcount-cache", "max-bytes"), <=, refcount_bytes);
    g_assert_cmpuint(cache_number(node, "refcount-cache", "bytes"), <=, refcount_bytes);
    g_test_message("%s: %" G_GUINT64_FORMAT " KiB more", options,
                   (after - MIN(after, before)) / 1024);
    if (!hoards_memory) {
        g_assert_cmpuint(after - MIN(before, after), <,
                         (l2_bytes + refcount_bytes) * 3 / 2 + MIB(3));
    }
    node_unref(node);
}

static void bounded_separately(void *opaque)
{
    bounded_tables("l2-cache-size=256k,refcount-cache-size=64k", KIB(256), KIB(64));
    bounded_tables("l2-cache-size=1M,refcount-cache-size=64k,l2-cache-entry-size=512", MIB(1),
                   KIB(64));
}

static void bounded_together(void *opaque)
{
    bounded_tables("cache-size=512k", KIB(448), KIB(64));
    bounded_tables("cache-size=4M,refcount-cache-size=64k", KIB(4096 - 64), KIB(64));
}

/* What is not used for an interval is given back; what is dirty stays. */
static void cleaned_tables(void *opaque)
{
    uint64_t cluster = KIB(4), per_table = 512, full;
    BlockNode *node;
    uint8_t data[512];

    create_image("size=64G,cluster_size=4k");
    node = open_image("cache-clean-interval=1,l2-cache-size=8M");
    for (uint64_t i = 0; i < 1024; i++) {
        write_at(node, i * per_table * cluster);
    }
    g_assert_cmpint(node_flush(node), ==, 0);
    full = cache_number(node, "l2-cache", "bytes");
    g_assert_cmpuint(full, >=, MIB(4));
    write_at(node, 2000 * per_table * cluster);
    for (unsigned i = 0; i < 60 && cache_number(node, "l2-cache", "bytes") != 4096; i++) {
        coroutine_sleep_ns(UINT64_C(1100) * 1000 * 1000);
    }
    g_assert_cmpuint(cache_number(node, "l2-cache", "bytes"), ==, 4096);
    g_assert_cmpuint(cache_number(node, "refcount-cache", "bytes"), <=, 4096 * 2);
    for (uint64_t i = 0; i < 1024; i++) {
        g_assert_cmpint(node_pread(node, i * per_table * cluster, data, sizeof data), ==, 0);
        g_assert_cmpuint(data[0], ==, 1);
    }
    node_unref(node);
}

static void run_case(gconstpointer opaque)
{
    graph = block_graph_new(NULL);
    block_graph_set_blocking(graph, true);
    async_run_sync(block_graph_context(graph), *(CoroutineFunction *const *)opaque, NULL);
    block_graph_free(graph);
}

int main(int argc, char **argv)
{
    static CoroutineFunction *const first = first_writes, *const large = large_and_empty,
                                    *const separately = bounded_separately,
                                    *const together = bounded_together,
                                    *const cleaned = cleaned_tables;
    g_autofree char *folder = g_dir_make_tmp("kaso-costs-XXXXXX", NULL);
    int status;

    g_test_init(&argc, &argv, NULL);
    image = g_build_filename(folder, "image.qcow2", NULL);
    g_test_add_data_func("/costs/first-writes", &first, run_case);
    g_test_add_data_func("/costs/large-and-empty", &large, run_case);
    g_test_add_data_func("/costs/bounded-separately", &separately, run_case);
    g_test_add_data_func("/costs/bounded-together", &together, run_case);
    g_test_add_data_func("/costs/cleaned-tables", &cleaned, run_case);
    status = g_test_run();
    g_unlink(image);
    g_rmdir(folder);
    g_free(image);
    return status;
}
