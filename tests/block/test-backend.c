/* SPDX-License-Identifier: MIT */
/* Backends on raw files: options, asynchronous requests, locks, overlay, throttling, errors. */
#include "block/block.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMAGE_SIZE = 4 * 1024 * 1024 };

typedef struct {
    BlockGraph *graph;
    char *folder, *image;
} Fixture;

static void write_file(const char *path, uint64_t size)
{
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    close(fd);
}

static void setup(Fixture *f, gconstpointer data)
{
    f->graph = block_graph_new(NULL);
    f->folder = g_dir_make_tmp("kaso-block-XXXXXX", NULL);
    f->image = g_build_filename(f->folder, "disk.raw", NULL);
    write_file(f->image, IMAGE_SIZE);
}

static void teardown(Fixture *f, gconstpointer data)
{
    block_graph_free(f->graph);
    unlink(f->image);
    g_assert_cmpint(rmdir(f->folder), ==, 0);
    g_free(f->folder);
    g_free(f->image);
}

/* "a=b,c=d" */
static GHashTable *options(const char *text)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) items = g_strsplit(text, ",", -1);

    for (int i = 0; items[i]; i++) {
        g_auto(GStrv) pair = g_strsplit(items[i], "=", 2);

        g_hash_table_replace(table, g_strdup(pair[0]), g_strdup(pair[1]));
    }
    return table;
}

static BlockBackend *open_image(Fixture *f, const char *more, GError **error)
{
    g_autofree char *text = g_strdup_printf("file=%s%s%s", f->image, more[0] ? "," : "", more);
    g_autoptr(GHashTable) table = options(text);

    return block_open(f->graph, table, error);
}

static BlockBackend *open_image_ok(Fixture *f, const char *more)
{
    GError *error = NULL;
    BlockBackend *block = open_image(f, more, &error);

    g_assert_no_error(error);
    return block;
}

static void open_image_fails(Fixture *f, const char *more, const char *message)
{
    GError *error = NULL;
    BlockBackend *block = open_image(f, more, &error);

    g_assert_null(block);
    g_assert_nonnull(error);
    if (!strstr(error->message, message)) {
        g_error("expected '%s' in '%s'", message, error->message);
    }
    g_error_free(error);
}

static void count_done(void *opaque, int result)
{
    g_assert_cmpint(result, ==, 0);
    (*(unsigned *)opaque)++;
}

static void store_result(void *opaque, int result)
{
    *(int *)opaque = result;
}

/* Many requests at once, from this thread, completed by the main loop. */
static void test_requests(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, mode);
    enum { REQUESTS = 256, SIZE = 8192 };
    g_autofree uint8_t *out = g_malloc(REQUESTS * SIZE), *in = g_malloc0(REQUESTS * SIZE);
    struct iovec iov[REQUESTS][2];
    unsigned done = 0;
    int flushed = 1;
    BlockStatistics statistics;

    for (unsigned i = 0; i < REQUESTS * SIZE; i++) {
        out[i] = (uint8_t)(i * 7 + i / SIZE);
    }
    for (unsigned i = 0; i < REQUESTS; i++) {
        iov[i][0] = (struct iovec){ out + i * SIZE, 1000 };
        iov[i][1] = (struct iovec){ out + i * SIZE + 1000, SIZE - 1000 };
        block_write(block, i * SIZE, iov[i], 2, i % 16 ? 0 : BLOCK_FUA, count_done, &done);
    }
    while (done < REQUESTS) {
        g_main_context_iteration(NULL, TRUE);
    }
    block_flush(block, store_result, &flushed);
    block_drain(block);
    g_assert_cmpint(flushed, ==, 0);
    for (unsigned i = 0; i < REQUESTS; i++) {
        iov[i][0] = (struct iovec){ in + i * SIZE, SIZE };
        block_read(block, i * SIZE, iov[i], 1, count_done, &done);
    }
    block_drain(block);
    g_assert_cmpuint(done, ==, 2 * REQUESTS);
    g_assert_true(!memcmp(in, out, REQUESTS * SIZE));
    block_statistics(block, &statistics);
    g_assert_cmpuint(statistics.write_operations, ==, REQUESTS);
    g_assert_cmpuint(statistics.read_bytes, ==, REQUESTS * SIZE);
    g_assert_cmpuint(statistics.flush_operations, ==, 1);
    block_close(block);
}

static void test_unaligned(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, mode);
    g_autofree uint8_t *model = g_malloc0(65536), *in = g_malloc(65536);
    GRand *rand = g_rand_new_with_seed(1);

    for (unsigned i = 0; i < 200; i++) {
        unsigned offset = (unsigned)g_rand_int_range(rand, 0, 65536);
        unsigned size = (unsigned)g_rand_int_range(rand, 0, (gint32)(65537 - offset));

        memset(model + offset, (int)i, size);
        g_assert_cmpint(block_pwrite(block, offset, model + offset, size), ==, 0);
    }
    g_assert_cmpint(block_pread(block, 0, in, 65536), ==, 0);
    g_assert_true(!memcmp(in, model, 65536));
    g_assert_cmpint(block_pread(block, 3, in, 4097), ==, 0);
    g_assert_true(!memcmp(in, model + 3, 4097));
    g_rand_free(rand);
    block_close(block);
}

static void test_zeroes_and_discard(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw,discard=unmap");
    uint8_t buffer[16384];
    int result = 1;
    struct stat st;

    memset(buffer, 0x55, sizeof buffer);
    g_assert_cmpint(block_pwrite(block, 0, buffer, sizeof buffer), ==, 0);
    g_assert_cmpint(block_pwrite(block, MIB(1), buffer, sizeof buffer), ==, 0);
    block_write_zeroes(block, 100, 10000, 0, store_result, &result);
    block_drain(block);
    g_assert_cmpint(result, ==, 0);
    g_assert_cmpint(block_pread(block, 0, buffer, sizeof buffer), ==, 0);
    g_assert_cmpint(buffer[99], ==, 0x55);
    g_assert_cmpint(buffer[100], ==, 0);
    g_assert_cmpint(buffer[10099], ==, 0);
    g_assert_cmpint(buffer[10100], ==, 0x55);
    block_discard(block, 0, IMAGE_SIZE, store_result, &result);
    block_drain(block);
    g_assert_cmpint(result, ==, 0);
    g_assert_cmpint(stat(f->image, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, IMAGE_SIZE);
    block_close(block);
}

static void test_limits(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw,read-only=on");
    uint8_t byte = 1;

    g_assert_true(block_read_only(block));
    g_assert_cmpuint(block_size(block), ==, IMAGE_SIZE);
    g_assert_cmpint(block_pwrite(block, 0, &byte, 1), ==, -EPERM);
    g_assert_cmpint(block_pread(block, IMAGE_SIZE, &byte, 1), ==, -EIO);
    g_assert_cmpint(block_pread(block, UINT64_MAX, &byte, 1), ==, -EIO);
    block_close(block);
}

static void test_errors(Fixture *f, gconstpointer mode)
{
    g_autofree char *image = f->image;

    open_image_fails(f, "frmat=raw", "did you mean 'format'");
    open_image_fails(f, "format=nonsense", "Unknown driver 'nonsense'");
    open_image_fails(f, "cache=sometimes", "invalid cache option 'sometimes'");
    open_image_fails(f, "format=raw,offset=5M", "sum of offset");
    open_image_fails(f, "format=raw,rerror=enospc", "rerror=enospc");
    f->image = f->folder;
    open_image_fails(f, "format=raw,readonly=on", "Is a directory");
    f->image = (char *)"/does/not/exist";
    open_image_fails(f, "", "Could not open '/does/not/exist': No such file");
    f->image = g_steal_pointer(&image);
}

/* Another drive of the same file is nobody's enemy until both have devices. */
static void claim_fails(Fixture *f, BlockBackend *first, const char *text, const char *expected)
{
    BlockBackend *second = open_image_ok(f, text);
    GError *error = NULL;

    g_assert_true(block_claim(first, "/first", false, &error));
    if (block_claim(second, "/second", false, &error)) {
        g_assert_not_reached();
    }
    g_assert_nonnull(strstr(error->message, expected));
    g_clear_error(&error);
    block_disclaim(first);
    g_assert_true(block_claim(second, "/second", false, &error));
    block_close(second);
}

static void test_lock(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw,id=a");

    claim_fails(f, block, "format=raw", "\"write\" lock");
    claim_fails(f, block, "format=raw,readonly=on", "lock");
    block_close(open_image_ok(f, "format=raw,readonly=on,force-share=on"));
    block_close(block);
    block = open_image_ok(f, "format=raw,readonly=on,id=a");
    block_close(open_image_ok(f, "format=raw,readonly=on"));
    claim_fails(f, block, "format=raw", "lock");
    block_close(block);
}

static void test_snapshot(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw,snapshot=on");
    uint8_t a = 0xaa, buffer[4];

    g_assert_cmpint(block_pwrite(block, 65535, &a, 1), ==, 0);
    g_assert_cmpint(block_pwrite(block, 65536, &a, 1), ==, 0);
    g_assert_cmpint(block_pread(block, 65534, buffer, 4), ==, 0);
    g_assert_cmpmem(buffer, 4, ((uint8_t[]){ 0, 0xaa, 0xaa, 0 }), 4);
    block_close(block);
    block = open_image_ok(f, "format=raw");
    g_assert_cmpint(block_pread(block, 65534, buffer, 4), ==, 0);
    g_assert_cmpmem(buffer, 4, ((uint8_t[]){ 0, 0, 0, 0 }), 4);
    block_close(block);
}

/* A guessed raw image cannot be turned into another format by its guest. */
static void test_probed_raw(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "");
    uint8_t header[512] = "QFI\xfb\0\0\0\3";

    g_assert_cmpstr(block_driver_name(block), ==, "raw");
    g_assert_cmpint(block_pwrite(block, 512, header, sizeof header), ==, 0);
    block_close(block);
}

static void test_nodes(Fixture *f, gconstpointer mode)
{
    g_autofree char *text = g_strdup_printf("node-name=file0,driver=file,filename=%s", f->image);
    g_autoptr(GHashTable) file = options(text);
    g_autoptr(GHashTable) raw = options("node-name=disk0,driver=raw,file=file0,offset=4096");
    GError *error = NULL;
    BlockBackend *block, *other;

    g_assert_true(block_node_add(f->graph, file, &error));
    g_assert_true(block_node_add(f->graph, raw, &error));
    g_assert_no_error(error);
    g_assert_false(block_node_add(f->graph, raw, &error));
    g_clear_error(&error);
    g_assert_false(block_node_remove(f->graph, "file0", &error));
    g_clear_error(&error);
    block = block_attach(f->graph, "disk0", false, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(block_size(block), ==, IMAGE_SIZE - 4096);
    other = block_attach(f->graph, "disk0", false, &error);
    g_assert_true(block_claim(block, "/a", false, &error));
    g_assert_false(block_claim(other, "/b", false, &error));
    g_assert_nonnull(strstr(error->message, "Permission conflict on node 'disk0'"));
    g_clear_error(&error);
    block_disclaim(block);
    g_assert_true(block_claim(block, "/a", true, &error));
    g_assert_true(block_claim(other, "/b", true, &error));
    block_close(other);
    block_close(block);
    g_assert_true(block_node_remove(f->graph, "disk0", &error));
    g_assert_true(block_node_remove(f->graph, "file0", &error));
    g_assert_no_error(error);
}

static void test_throttle(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw,throttling.iops-total=100,iops_max=100");
    int64_t start = g_get_monotonic_time();
    uint8_t byte;

    for (int i = 0; i < 130; i++) {
        g_assert_cmpint(block_pread(block, 0, &byte, 1), ==, 0);
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >, 200000);
    block_close(block);
}

/* Two drives under one group's limits take twice as long; a drain does not wait for them. */
static void test_throttle_group(Fixture *f, gconstpointer mode)
{
    g_autoptr(GHashTable) object = options("qom-type=throttle-group,id=g0,x-iops-total=200,"
                                           "limits.iops-total-max=200");
    g_autoptr(GHashTable) limits = options("bps=1000,bps_max=2000,bps_max_length=3,group=g1");
    g_autofree char *other = g_strdup_printf("%s.other", f->image), *text = NULL;
    g_autofree char *json = NULL;
    BlockBackend *a, *b;
    struct iovec iov;
    uint8_t bytes[4096];
    unsigned done = 0;
    int64_t start;
    GError *error = NULL;

    g_assert_true(block_secret_add(f->graph, object, &error));
    g_assert_no_error(error);
    g_assert_false(block_secret_add(f->graph, object, &error));
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(other, (char *)bytes, sizeof bytes, NULL));
    a = open_image_ok(f, "format=raw,throttling.group=g0,iops=200,iops_max=200");
    text = g_strdup_printf("format=raw,file=%s,throttling.group=g0,iops=200,iops_max=200", other);
    {
        g_autoptr(GHashTable) table = options(text);

        b = block_open(f->graph, table, &error);
        g_assert_no_error(error);
    }
    start = g_get_monotonic_time();
    for (int i = 0; i < 130; i++) {
        g_assert_cmpint(block_pread(a, 0, bytes, 1), ==, 0);
        g_assert_cmpint(block_pread(b, 0, bytes, 1), ==, 0);
    }
    g_assert_cmpint(g_get_monotonic_time() - start, >, 200000);
    g_assert_true(block_set_throttle(a, limits, &error));
    g_assert_no_error(error);
    json = block_query(a);
    g_assert_nonnull(strstr(json, "\"group\":\"g1\""));
    g_assert_nonnull(strstr(json, "\"bps_max_length\":3"));
    iov = (struct iovec){ bytes, sizeof bytes };
    start = g_get_monotonic_time();
    for (int i = 0; i < 20; i++) { /* 80 KiB at 1000 bytes a second */
        block_read(a, 0, &iov, 1, count_done, &done);
    }
    block_drain(a);
    g_assert_cmpuint(done, ==, 20);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5000000);
    block_close(a);
    block_close(b);
    unlink(other);
}

static void test_histogram(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw,id=h");
    g_autofree char *after = NULL, *none = NULL, *nodes = NULL;
    uint8_t bytes[512] = { 0 };
    GError *error = NULL;

    g_assert_false(block_set_histograms(block, "h", "{\"boundaries\": [5, 5]}", &error));
    g_assert_cmpstr(error->message, ==, "Device 'h' set read boundaries fail");
    g_clear_error(&error);
    g_assert_true(block_set_histograms(
        block, "h", "{\"boundaries\": [1], \"boundaries-write\": [1, 9000000000000]}", &error));
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(block_pwrite(block, 1024, bytes, sizeof bytes), ==, 0);
    }
    g_assert_cmpint(block_pread(block, 1024, bytes, sizeof bytes), ==, 0);
    block_count_invalid(block, BLOCK_ACCOUNT_READ);
    after = block_query_statistics(block);
    g_assert_nonnull(strstr(after, "\"bins\":[0,5,0]"));
    g_assert_nonnull(strstr(after, "\"rd_latency_histogram\":{\"boundaries\":[1],\"bins\":[0,1]"));
    g_assert_nonnull(strstr(after, "\"wr_operations\":5"));
    g_assert_nonnull(strstr(after, "\"wr_highest_offset\":1536"));
    g_assert_nonnull(strstr(after, "\"invalid_rd_operations\":1"));
    g_assert_nonnull(strstr(after, "\"device\":\"h\""));
    g_assert_true(block_set_histograms(block, "h", "{}", &error));
    none = block_query_statistics(block);
    g_assert_null(strstr(none, "histogram"));
    nodes = block_query_node_statistics(f->graph);
    g_assert_nonnull(strstr(nodes, "discard-nb-ok"));
    block_close(block);
}

/* Chosen requests fail, as often as the rule says, and the statistics count them. */
/* The number behind "name": in the interval number `index`. */
static double timed_number(BlockBackend *block, unsigned index, const char *name)
{
    g_autofree char *text = block_query_statistics(block);
    g_autofree char *key = g_strdup_printf("\"%s\":", name);
    const char *at = strstr(text, "\"timed_stats\"");

    for (unsigned i = 0; i <= index; i++) {
        at = strstr(at + 1, "interval_length");
        g_assert_nonnull(at);
    }
    at = strstr(at, key);
    g_assert_nonnull(at);
    return g_ascii_strtod(at + strlen(key), NULL);
}

static void test_intervals(Fixture *f, gconstpointer mode)
{
    BlockBackend *block =
        open_image(f, "stats-intervals.0=1,stats-intervals.1=60,throttling.iops-total=20", NULL);
    GError *error = NULL;
    uint8_t sector[512];

    g_assert_cmpfloat(timed_number(block, 0, "max_rd_latency_ns"), ==, 0);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(block_pread(block, 0, sector, sizeof sector), ==, 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        double least = timed_number(block, i, "min_rd_latency_ns");
        double mean = timed_number(block, i, "avg_rd_latency_ns");

        g_assert_cmpfloat(least, >, 0);
        g_assert_cmpfloat(least, <=, mean);
        g_assert_cmpfloat(mean, <=, timed_number(block, i, "max_rd_latency_ns"));
        g_assert_cmpfloat(timed_number(block, i, "avg_rd_queue_depth"), >, 0);
        g_assert_cmpfloat(timed_number(block, i, "avg_rd_queue_depth"), <=, 1);
        g_assert_cmpfloat(timed_number(block, i, "max_wr_latency_ns"), ==, 0);
    }
    g_usleep(1100 * 1000);
    g_assert_cmpfloat(timed_number(block, 0, "max_rd_latency_ns"), ==, 0);
    g_assert_cmpfloat(timed_number(block, 0, "avg_rd_queue_depth"), ==, 0);
    g_assert_cmpfloat(timed_number(block, 1, "max_rd_latency_ns"), >, 0);
    block_close(block);
    g_assert_null(open_image(f, "stats-intervals.0=0", &error));
    g_assert_nonnull(strstr(error->message, "stats-intervals.0=0"));
    g_error_free(error);
}

static void test_faults(Fixture *f, gconstpointer mode)
{
    g_autofree char *text = g_strdup_printf(
        "driver=blkdebug,file.driver=raw,file.file.filename=%s,werror=stop,"
        "inject-error.0.iotype=write,inject-error.0.sector=2,inject-error.0.errno=28,"
        "inject-error.0.once=on,inject-error.1.iotype=flush",
        f->image);
    g_autoptr(GHashTable) table = options(text);
    GError *error = NULL;
    BlockBackend *block = block_open(f->graph, table, &error);
    uint8_t buffer[2048] = { 1 };
    BlockStatistics statistics;

    g_assert_no_error(error);
    g_assert_cmpint(block_error_policy(block, true), ==, BLOCK_ERROR_STOP);
    g_assert_cmpint(block_pwrite(block, 0, buffer, sizeof buffer), ==, -ENOSPC);
    g_assert_cmpint(block_pwrite(block, 0, buffer, sizeof buffer), ==, 0);
    g_assert_cmpint(block_flush_sync(block), ==, -EIO);
    block_statistics(block, &statistics);
    g_assert_cmpuint(statistics.failed_writes, ==, 1);
    block_close(block);
}

static void *thread_writer(void *opaque)
{
    BlockBackend *block = opaque;
    uint8_t buffer[512];

    for (unsigned i = 0; i < 500; i++) {
        memset(buffer, (int)i, sizeof buffer);
        g_assert_cmpint(block_pwrite(block, 512 * i, buffer, 512), ==, 0);
        g_assert_cmpint(block_pread(block, 512 * i, buffer, 512), ==, 0);
        g_assert_cmpint(buffer[511], ==, (uint8_t)i);
    }
    return NULL;
}

/* Synchronous requests from several threads while the main loop runs, and while it does not. */
static void test_threads(Fixture *f, gconstpointer mode)
{
    BlockBackend *block = open_image_ok(f, "format=raw");
    GThread *threads[3];

    for (int i = 0; i < 3; i++) {
        threads[i] = g_thread_new("writer", thread_writer, block);
    }
    for (int i = 0; i < 50; i++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(100);
    }
    for (int i = 0; i < 3; i++) {
        g_thread_join(threads[i]);
    }
    block_close(block);
}

/* Completions of a backend with a home run in that thread, inside enter and leave, or in a drain. */
typedef struct {
    GMutex lock;
    GThread *thread, *drainer;
    unsigned done, elsewhere;
    bool entered;
} Home;

static void home_enter(void *opaque)
{
    Home *home = opaque;

    g_mutex_lock(&home->lock);
    home->entered = true;
}

static void home_leave(void *opaque)
{
    Home *home = opaque;

    home->entered = false;
    g_mutex_unlock(&home->lock);
}

static void home_done(void *opaque, int result)
{
    Home *home = opaque;
    bool inside = g_thread_self() == home->thread;

    g_assert_cmpint(result, ==, 0);
    g_assert_true(inside ? home->entered : g_thread_self() == home->drainer);
    __atomic_fetch_add(inside ? &home->done : &home->elsewhere, 1, __ATOMIC_RELAXED);
}

static void *run_loop(void *loop)
{
    g_main_loop_run(loop);
    return NULL;
}

static void test_home(Fixture *f, gconstpointer mode)
{
    enum { REQUESTS = 200, ROUNDS = 20 };
    BlockBackend *block = open_image_ok(f, mode);
    GMainContext *context = g_main_context_new();
    GMainLoop *loop = g_main_loop_new(context, FALSE);
    Home home = { .drainer = g_thread_self() };
    uint8_t bytes[4096] = { 0 };
    struct iovec iov = { bytes, sizeof bytes };

    g_mutex_init(&home.lock);
    home.thread = g_thread_new("home", run_loop, loop);
    g_assert_true(block_set_context(block, context, home_enter, home_leave, &home, NULL));
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < REQUESTS; i++) {
            block_write(block, i * sizeof bytes, &iov, 1, 0, home_done, &home);
        }
        if (round % 2) { /* who holds the lock that enter takes can drain, too */
            g_mutex_lock(&home.lock);
            block_drain(block);
            g_mutex_unlock(&home.lock);
        } else {
            block_hold(block);
            block_release(block);
            block_drain(block);
        }
        g_assert_cmpuint(home.done + home.elsewhere, ==, REQUESTS * (round + 1));
    }
    block_write(block, 0, &iov, 1, 0, home_done, &home);
    while (__atomic_load_n(&home.done, __ATOMIC_RELAXED) + home.elsewhere <= REQUESTS * ROUNDS) {
        g_usleep(1000);
    }
    g_assert_cmpuint(home.done, >, 0);
    block_drain(block);
    block_set_context(block, NULL, NULL, NULL, NULL, NULL);
    g_main_loop_quit(loop);
    g_thread_join(home.thread);
    block_close(block);
    g_main_loop_unref(loop);
    g_main_context_unref(context);
    g_mutex_clear(&home.lock);
}

static void add(const char *name, const char *mode, void (*test)(Fixture *, gconstpointer))
{
    g_autofree char *path = g_strconcat("/block/", name, NULL);

    g_test_add(path, Fixture, mode, setup, test, teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("requests/threads", "format=raw,aio=threads", test_requests);
    add("requests/io_uring", "format=raw,aio=io_uring", test_requests);
    add("requests/direct", "format=raw,cache=none", test_requests);
    add("requests/writethrough", "format=raw,cache=writethrough", test_requests);
    add("requests/json", "driver=raw,cache=unsafe", test_requests);
    add("unaligned/buffered", "format=raw", test_unaligned);
    add("unaligned/direct", "format=raw,cache=none", test_unaligned);
    add("unaligned/snapshot", "format=raw,snapshot=on", test_unaligned);
    add("zeroes-and-discard", "", test_zeroes_and_discard);
    add("limits", "", test_limits);
    add("errors", "", test_errors);
    add("lock", "", test_lock);
    add("snapshot", "", test_snapshot);
    add("probed-raw", "", test_probed_raw);
    add("nodes", "", test_nodes);
    add("throttle", "", test_throttle);
    add("throttle/group", "", test_throttle_group);
    add("histogram", "", test_histogram);
    add("intervals", "", test_intervals);
    add("faults", "", test_faults);
    add("threads", "", test_threads);
    add("home/threads", "format=raw,aio=threads", test_home);
    add("home/direct", "format=raw,cache=none", test_home);
    return g_test_run();
}
