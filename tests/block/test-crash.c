/* SPDX-License-Identifier: MIT */
/*
 * Power cuts and failing writes under qcow2. A workload runs on a disk in memory that records every
 * write and flush. Then, for every point of the record, the disk is put together as it may be after
 * a power cut there (unflushed writes lost, kept, mixed or torn): the image must open, everything
 * flushed must be there, and check must find nothing worse than leaks.
 */
#include "base/bits.h"
#include "block/node.h"

#include <errno.h>
#include <string.h>

enum {
    DISK_MAX = 8 * 1024 * 1024,
    GUEST_SIZE = 768 * 1024,
    SECTOR = 512,
    GUEST_SECTORS = GUEST_SIZE / SECTOR
};

typedef enum { EVENT_WRITE, EVENT_FLUSH, EVENT_GUEST_WRITE, EVENT_GUEST_FLUSHED } EventKind;

typedef struct {
    EventKind kind;
    uint64_t offset, bytes;
    uint8_t *data;
    uint32_t stamp;
} Event;

/* The disk below qcow2. */
typedef struct {
    uint8_t *data;
    uint64_t size;
    GArray *log;  /* Event, while recording */
    long fail_at; /* this write (counted from 0) fails; -1: none */
    long writes;
    int failure;
} Disk;

static Disk *disk; /* what the driver "test-disk" opens */

static int disk_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    if (offset + bytes > DISK_MAX) {
        return -EIO;
    }
    io_vector_from_buffer(vector, disk->data + offset, bytes);
    return 0;
}

static void disk_log(EventKind kind, uint64_t offset, uint64_t bytes, const void *data,
                     uint32_t stamp)
{
    if (disk->log) {
        Event event = { kind, offset, bytes, data ? g_memdup2(data, bytes) : NULL, stamp };

        g_array_append_val(disk->log, event);
    }
}

static int disk_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    if (offset + bytes > DISK_MAX) {
        return -ENOSPC;
    }
    if (disk->fail_at >= 0 && disk->writes++ == disk->fail_at) {
        return disk->failure;
    }
    io_vector_to_buffer(vector, disk->data + offset, bytes);
    disk->size = MAX(disk->size, offset + bytes);
    disk_log(EVENT_WRITE, offset, bytes, disk->data + offset, 0);
    return 0;
}

static int disk_flush(BlockNode *node)
{
    disk_log(EVENT_FLUSH, 0, 0, NULL, 0);
    return 0;
}

static int64_t disk_length(BlockNode *node)
{
    return (int64_t)disk->size;
}

static bool disk_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    if (size < disk->size) {
        memset(disk->data + size, 0, disk->size - size);
    }
    disk->size = size;
    return true;
}

static const BlockDriver disk_driver = {
    .name = "test-disk",
    .summary = "Disk in memory",
    .is_protocol = true,
    .grows_with_zeroes = true,
    .read = disk_read,
    .write = disk_write,
    .flush = disk_flush,
    .length = disk_length,
    .truncate = disk_truncate,
};
BLOCK_DRIVER(disk_driver);

static const char *create_config;

static BlockGraph *graph;

static BlockNode *open_image(bool writable, bool check, GError **error)
{
    BlockOpenFlags flags = { .read_only = !writable, .check = check, .unmap = true };
    GHashTable *options = options_new();

    options_set(options, "driver", "qcow2");
    options_set(options, "file.driver", "test-disk");
    return node_open(graph, NULL, options, flags, error);
}

/* A new image, made as a file and read into memory. */
static void load_new_image(void)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-crash-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "image", NULL), *contents = NULL;
    GHashTable *options = options_parse(create_config, NULL, NULL);
    g_autofree char *size = g_strdup_printf("%d", GUEST_SIZE);
    GError *error = NULL;
    gsize length;

    options_set(options, "size", size);
    g_assert_true(block_driver_find("qcow2")->create(graph, path, options, &error));
    g_assert_no_error(error);
    g_hash_table_unref(options);
    g_assert_true(g_file_get_contents(path, &contents, &length, NULL));
    memset(disk->data, 0, DISK_MAX);
    memcpy(disk->data, contents, length);
    disk->size = length;
    g_assert_cmpint(remove(path), ==, 0);
    g_assert_cmpint(remove(folder), ==, 0);
}

/* The workload. Every guest sector holds the number of the operation that wrote it. */
static uint8_t fill_buffer[GUEST_SIZE];

static int guest_write(BlockNode *node, GRand *rand, uint32_t stamp)
{
    uint64_t first = (uint64_t)g_rand_int_range(rand, 0, GUEST_SECTORS - 64);
    uint64_t sectors = (uint64_t)g_rand_int_range(rand, 1, 64), offset, bytes;
    int kind = g_rand_int_range(rand, 0, 8);
    BlockNodeInfo info = { 0 };

    node->driver->info(node, &info);
    offset = first * SECTOR;
    bytes = sectors * SECTOR;
    if (kind >= 6) {
        offset = align_down(offset, info.cluster_size);
        bytes = info.cluster_size;
    }
    for (uint64_t i = 0; i < bytes; i += 4) {
        store_le32(fill_buffer + i, kind == 5 || kind == 6 ? 0 : stamp);
    }
    disk_log(EVENT_GUEST_WRITE, offset, bytes, NULL, kind == 5 || kind == 6 ? 0 : stamp);
    switch (kind) {
    case 5:
        return node_write_zeroes(node, offset, bytes, BLOCK_MAY_UNMAP);
    case 6:
        return node_discard(node, offset, bytes);
    case 7: {
        struct iovec iov = { fill_buffer, bytes };

        return node_write_compressed(node, offset, bytes, io_vector_of(&iov));
    }
    default:
        return node_pwrite(node, offset, fill_buffer, bytes, 0);
    }
}

static int workload(unsigned operations, uint32_t seed)
{
    GRand *rand = g_rand_new_with_seed(seed);
    GError *error = NULL;
    BlockNode *node = open_image(true, false, &error);
    unsigned snapshots = 0;
    int failures = 0;

    g_assert_no_error(error);
    for (uint32_t i = 1; i <= operations; i++) {
        int kind = g_rand_int_range(rand, 0, 20), result = 0;

        if (kind == 0 && snapshots < 3) {
            g_autofree char *name = g_strdup_printf("s%u", i);
            BlockSnapshot snapshot = { .name = name };

            snapshots += node->driver->snapshot_create(node, &snapshot, NULL);
        } else if (kind == 1 && snapshots) {
            g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);

            if (list->len) {
                BlockSnapshot *first = list->pdata[0];

                snapshots -= node->driver->snapshot_delete(node, first->id, NULL);
            }
        } else if (kind < 5) {
            result = node_flush(node);
            if (result == 0) {
                disk_log(EVENT_GUEST_FLUSHED, 0, 0, NULL, 0);
            }
        } else {
            result = guest_write(node, rand, i);
        }
        failures += result < 0;
    }
    node_unref(node);
    g_rand_free(rand);
    return failures;
}

/* What a sector may hold after the cut: its value at the last flush or a later one. */
typedef struct {
    uint32_t flushed[GUEST_SECTORS];
    GArray *later[GUEST_SECTORS];
} Model;

static void model_reset(Model *model, bool flushed)
{
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        if (flushed && model->later[i]->len) {
            model->flushed[i] = g_array_index(model->later[i], uint32_t, model->later[i]->len - 1);
        }
        g_array_set_size(model->later[i], 0);
    }
}

static void model_write(Model *model, const Event *event)
{
    for (uint64_t i = event->offset / SECTOR; i < (event->offset + event->bytes) / SECTOR; i++) {
        g_array_append_val(model->later[i], event->stamp);
    }
}

static bool sector_allowed(const Model *model, unsigned sector, const uint8_t *data)
{
    uint32_t stamp = load_le32(data);
    const GArray *later = model->later[sector];

    for (unsigned i = 4; i < SECTOR; i += 4) {
        if (load_le32(data + i) != stamp) {
            return false;
        }
    }
    if (stamp == model->flushed[sector]) {
        return true;
    }
    for (unsigned i = 0; i < later->len; i++) {
        if (g_array_index(later, uint32_t, i) == stamp) {
            return true;
        }
    }
    return false;
}

typedef enum { KEEP_NONE, KEEP_ALL, KEEP_SOME, KEEP_TORN, VARIANTS } Variant;

/* Applies the record up to `cut` to the start image. */
static void build_disk(const uint8_t *start, uint64_t start_size, GArray *log, unsigned cut,
                       Variant variant, GRand *rand)
{
    unsigned flushed = 0;

    memcpy(disk->data, start, DISK_MAX);
    disk->size = start_size;
    for (unsigned i = 0; i < cut; i++) {
        if (g_array_index(log, Event, i).kind == EVENT_FLUSH) {
            flushed = i;
        }
    }
    for (unsigned i = 0; i < cut; i++) {
        Event *event = &g_array_index(log, Event, i);
        uint64_t bytes = event->bytes;

        if (event->kind != EVENT_WRITE) {
            continue;
        }
        if (i > flushed) {
            if (variant == KEEP_NONE || (variant == KEEP_SOME && g_rand_boolean(rand))) {
                continue;
            }
            if (variant == KEEP_TORN && bytes > SECTOR) {
                bytes = align_down((uint64_t)g_rand_int_range(rand, 0, (gint32)bytes), SECTOR);
            }
        }
        memcpy(disk->data + event->offset, event->data, bytes);
        disk->size = MAX(disk->size, event->offset + bytes);
    }
}

static void verify(const Model *model, const char *what, bool check_first)
{
    static uint8_t content[GUEST_SIZE];
    GError *error = NULL;
    BlockNode *node;
    BlockCheck check = { 0 };

    if (check_first) {
        node = open_image(false, true, &error);
        if (!node) {
            g_error("%s: does not open for check: %s", what, error->message);
        }
        g_assert_cmpint(node->driver->check(node, &check), ==, 0);
        BlockNodeInfo info = { 0 };
        node->driver->info(node, &info);
        if (check.corruptions && !info.is_dirty) {
            g_error("%s: %u corruptions", what, (unsigned)check.corruptions);
        }
        node_unref(node);
    }
    node = open_image(true, false, &error);
    if (!node) {
        g_error("%s: does not open: %s", what, error->message);
    }
    g_assert_cmpint(node_pread(node, 0, content, GUEST_SIZE), ==, 0);
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        if (!sector_allowed(model, i, content + i * SECTOR)) {
            g_error("%s: sector %u holds %u; flushed %u, %u later writes", what, i,
                    load_le32(content + i * SECTOR), model->flushed[i], model->later[i]->len);
        }
    }
    memset(&check, 0, sizeof check);
    g_assert_cmpint(node->driver->check(node, &check), ==, 0);
    if (check.corruptions || check.check_errors) {
        g_error("%s: %u corruptions after opening", what, (unsigned)check.corruptions);
    }
    node_unref(node);
}

static void cut_entry(void *opaque)
{
    unsigned operations = GPOINTER_TO_UINT(opaque);
    g_autofree uint8_t *start = g_malloc(DISK_MAX);
    g_autofree Model *model = g_new0(Model, 1);
    GRand *rand = g_rand_new_with_seed(7);
    uint64_t start_size;
    GArray *log;

    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        model->later[i] = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    }
    load_new_image();
    memcpy(start, disk->data, DISK_MAX);
    start_size = disk->size;
    disk->log = log = g_array_new(FALSE, FALSE, sizeof(Event));
    g_assert_cmpint(workload(operations, 11), ==, 0);
    disk->log = NULL;
    for (unsigned cut = 0; cut <= log->len; cut++) {
        const Event *event = cut ? &g_array_index(log, Event, cut - 1) : NULL;

        if (event && event->kind == EVENT_GUEST_WRITE) {
            model_write(model, event);
        } else if (event && event->kind == EVENT_GUEST_FLUSHED) {
            model_reset(model, true);
        }
        if (event && event->kind != EVENT_WRITE && event->kind != EVENT_GUEST_FLUSHED) {
            continue;
        }
        for (Variant variant = 0; variant < VARIANTS; variant++) {
            g_autofree char *what = g_strdup_printf("%s, cut %u of %u, variant %d", create_config,
                                                    cut, log->len, variant);

            build_disk(start, start_size, log, cut, variant, rand);
            verify(model, what, true);
        }
    }
    for (unsigned i = 0; i < log->len; i++) {
        g_free(g_array_index(log, Event, i).data);
    }
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        g_array_unref(model->later[i]);
    }
    g_array_unref(log);
    g_rand_free(rand);
}

/* Write number N fails, for every N: nothing that was flushed successfully is lost. */
static void fail_entry(void *opaque)
{
    unsigned operations = GPOINTER_TO_UINT(opaque);
    g_autofree Model *model = g_new0(Model, 1);
    static const int failures[] = { -EIO, -ENOSPC };

    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        model->later[i] = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    }
    for (long n = 0;; n++) {
        g_autofree char *what = g_strdup_printf("%s, write %ld fails", create_config, n);
        bool reached;

        load_new_image();
        disk->log = g_array_new(FALSE, FALSE, sizeof(Event));
        disk->fail_at = n;
        disk->writes = 0;
        disk->failure = failures[n & 1];
        workload(operations, 12);
        reached = disk->writes > n;
        disk->fail_at = -1;
        model_reset(model, false);
        memset(model->flushed, 0, sizeof model->flushed);
        for (unsigned i = 0; i < disk->log->len; i++) {
            Event *event = &g_array_index(disk->log, Event, i);

            if (event->kind == EVENT_GUEST_WRITE) {
                model_write(model, event);
            } else if (event->kind == EVENT_GUEST_FLUSHED) {
                /* A failed write may have left either content: all stay possible. */
                continue;
            }
            g_free(event->data);
        }
        g_array_unref(disk->log);
        disk->log = NULL;
        verify(model, what, true);
        if (!reached) {
            break;
        }
    }
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        g_array_unref(model->later[i]);
    }
}

typedef struct {
    const char *config;
    unsigned operations;
    CoroutineFunction *entry;
} Case;

static void run_case(gconstpointer opaque)
{
    const Case *test = opaque;
    Disk memory = { .data = g_malloc0(DISK_MAX), .fail_at = -1 };

    disk = &memory;
    create_config = test->config;
    graph = block_graph_new(NULL);
    block_graph_set_blocking(graph, true);
    async_run_sync(block_graph_context(graph), test->entry, GUINT_TO_POINTER(test->operations));
    block_graph_free(graph);
    g_free(memory.data);
}

int main(int argc, char **argv)
{
    static const Case cases[] = {
        { "cluster_size=4096", 60, cut_entry },
        { "cluster_size=512,refcount_bits=8", 40, cut_entry },
        { "cluster_size=16384,extended_l2=on", 60, cut_entry },
        { "cluster_size=4096,lazy_refcounts=on", 40, cut_entry },
        { "cluster_size=4096", 40, fail_entry },
        { "cluster_size=16384,extended_l2=on", 40, fail_entry },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *name = g_strdup_printf(
            "/crash/%s/%s", cases[i].entry == cut_entry ? "cut" : "fail", cases[i].config);

        g_test_add_data_func(name, &cases[i], run_case);
    }
    return g_test_run();
}
