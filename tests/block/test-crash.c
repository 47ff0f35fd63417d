/* SPDX-License-Identifier: MIT */
/*
 * Power cuts and failing steps under qcow2, qed and vhdx. A workload runs on disks in memory that record every
 * write and flush. For every point of the record the disks are put together as they may be after a
 * power cut there (unflushed writes lost, kept, mixed or torn); and for every N the disk's step
 * number N (read, write, flush or resize) fails, alone, with the few that follow, or with all that
 * follow. Then the image must open, everything flushed must be there, and check must find nothing
 * worse than leaks. -m thorough: longer workloads, every way of failing at every step.
 */
#include "tests/block/faulty.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { FULL_STEPS = 5, SEED_CUT = 11, SEED_FAIL = 12 };

typedef struct {
    const Kind *kind;
    unsigned operations;
    CoroutineFunction *entry;
    const char *amendment;
} Case;

static const Case *current;

static void cut_entry(void *opaque)
{
    const Kind *kind = current->kind;
    g_autofree Disk *start = g_new(Disk, DISKS);
    GRand *rand = g_rand_new_with_seed(7);
    Model *model = model_new(kind);
    unsigned events;

    image_create(kind);
    memcpy(start, lab->disks, sizeof lab->disks);
    lab->recording = true;
    g_assert_cmpint(workload(kind, current->operations, SEED_CUT), ==, 0);
    lab->recording = false;
    events = lab->events;
    for (unsigned cut = 0; cut <= events; cut++) {
        EventKind last = cut ? lab->event[cut - 1].kind : EVENT_WRITE;

        if (cut) {
            model_apply(model, &lab->event[cut - 1]);
        }
        if (last == EVENT_FLUSH || last == EVENT_GUEST_FLUSH || last == EVENT_GUEST_WRITE ||
            last == EVENT_SNAPSHOT_DELETE) {
            continue; /* as before it, and the model allows less there */
        }
        for (Variant variant = 0; variant < VARIANTS; variant++) {
            if (!g_test_thorough() && variant != cut % VARIANTS) {
                continue;
            }
            g_autofree char *what =
                g_strdup_printf("%s, cut %u of %u, variant %d", kind->config, cut, events, variant);

            build_disks(start, cut, variant, rand);
            verify(kind, model, what, false);
        }
    }
    model_free(model);
    g_rand_free(rand);
}

static void replay(Model *model, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        model_apply(model, &lab->event[i]);
    }
}

/* The first event behind `from` of that kind, or the number of events. */
static unsigned find_event(EventKind kind, unsigned from)
{
    while (from < lab->events && lab->event[from].kind != kind) {
        from++;
    }
    return from;
}

/* The workload ends with a flush; whether that has succeeded. */
static bool ends_flushed(void)
{
    unsigned i = lab->events;

    while (i > 0 && lab->event[i - 1].kind < EVENT_GUEST_WRITE) {
        i--;
    }
    return i > 0 && lab->event[i - 1].kind == EVENT_GUEST_FLUSHED;
}

/* What was flushed after the fault survives a power cut that loses the rest. */
static void cut_after_fault(const Kind *kind, const Disk *start, const char *what)
{
    unsigned cut = find_event(EVENT_GUEST_FLUSHED, find_event(EVENT_FAULT, 0));
    Model *model = model_new(kind);

    if (cut < lab->events) {
        replay(model, 0, cut + 1);
        build_disks(start, cut + 1, KEEP_NONE, NULL);
        verify(kind, model, what, false);
    }
    model_free(model);
}

/* Returns whether the workload reached the fault. */
static bool fail_once(const Kind *kind, const Disk *start, Fault fault, const char *what)
{
    Model *model = model_new(kind);
    bool lasting = fault.last == LONG_MAX, reached;
    int failures;

    memcpy(lab->disks, start, sizeof lab->disks);
    lab->events = 0;
    lab->used = 0;
    lab->recording = true;
    lab_set_fault(fault);
    failures = workload(kind, current->operations, SEED_FAIL);
    reached = lab->steps > fault.first;
    lab->recording = false;
    lab_clear_fault();
    if (find_event(EVENT_FAULT, 0) == lab->events) {
        g_assert_cmpint(failures, ==, 0);
    }
    replay(model, 0, lab->events);
    verify(kind, model, what, ends_flushed());
    model_free(model);
    if (!lasting) {
        cut_after_fault(kind, start, what);
    }
    return reached;
}

static void fail_entry(void *opaque)
{
    const Kind *kind = current->kind;
    g_autofree Disk *start = g_new(Disk, DISKS);
    bool thorough = g_test_thorough(), reached = true;
    enum { WAYS = 6 };

    image_create(kind);
    memcpy(start, lab->disks, sizeof lab->disks);
    for (long n = 0; reached; n += thorough ? 1 : 2) {
        const Fault ways[WAYS] = {
            { n, n, -EIO, false, APPLY_NOTHING },
            { n, n + FULL_STEPS, -ENOSPC, true, APPLY_NOTHING },
            { n, LONG_MAX, -EIO, false, APPLY_NOTHING },
            { n, n, -EIO, false, APPLY_HALF },
            { n, n, -EIO, false, APPLY_ALL },
            { n, LONG_MAX, -ENOSPC, true, APPLY_NOTHING },
        };

        for (unsigned way = 0; way < WAYS; way++) {
            g_autofree char *what =
                g_strdup_printf("%s, step %ld fails, way %u", kind->config, n, way);

            if (thorough || way == (unsigned)n / 2 % WAYS) {
                reached = fail_once(kind, start, ways[way], what);
            }
        }
    }
}

static void amend(const Kind *kind, const char *text)
{
    g_autoptr(GHashTable) options = options_parse(text, NULL, NULL);
    BlockNode *node = image_open(kind, true, false, NULL);
    GError *error = NULL;

    node->driver->amend(node, options, false, NULL, NULL, &error);
    g_assert_no_error(error);
    node_unref(node);
}

/* Power cuts while the image itself is changed, which is not to be seen in what it holds. */
static void amend_entry(void *opaque)
{
    Kind kind = *current->kind;
    g_autofree Disk *start = g_new(Disk, DISKS);
    GRand *rand = g_rand_new_with_seed(8);
    Model *model = model_new(&kind);

    kind.fixed_size = true; /* snapshots of other sizes keep an image from version 2 */
    image_create(&kind);
    lab->recording = true;
    g_assert_cmpint(workload(&kind, current->operations, SEED_CUT), ==, 0);
    replay(model, 0, lab->events);
    memcpy(start, lab->disks, sizeof lab->disks);
    lab->events = 0;
    lab->used = 0;
    amend(&kind, current->amendment);
    lab->recording = false;
    g_assert_cmpuint(lab->events, >, 0);
    for (unsigned cut = 0; cut <= lab->events; cut++) {
        for (Variant variant = 0; variant < VARIANTS; variant++) {
            g_autofree char *what = g_strdup_printf("%s, %s, cut %u of %u, variant %d", kind.config,
                                                    current->amendment, cut, lab->events, variant);

            build_disks(start, cut, variant, rand);
            verify(&kind, model, what, false);
        }
    }
    model_free(model);
    g_rand_free(rand);
}

/* Power cuts while a snapshot is applied: the disk is as before it, or as the snapshot has it. */

enum { APPLY_PIECE = 24 * 1024, APPLY_PIECES = 20 };

static void write_pieces(BlockNode *node, unsigned first, unsigned step, uint8_t value)
{
    g_autofree uint8_t *data = g_malloc(APPLY_PIECE);

    memset(data, value, APPLY_PIECE);
    for (unsigned i = first; i < APPLY_PIECES; i += step) {
        g_assert_cmpint(node_pwrite(node, i * APPLY_PIECE, data, APPLY_PIECE, 0), ==, 0);
    }
}

static uint8_t *read_pieces(const Kind *kind, bool snapshot)
{
    BlockNode *node = image_open(kind, !snapshot, false, NULL);
    uint8_t *data = g_malloc(APPLY_PIECE * APPLY_PIECES);

    g_assert_nonnull(node);
    if (snapshot) {
        g_assert_true(node->driver->snapshot_load(node, "1", NULL));
    }
    g_assert_cmpint(node_pread(node, 0, data, APPLY_PIECE * APPLY_PIECES), ==, 0);
    node_unref(node);
    return data;
}

static void apply_snapshot(const Kind *kind)
{
    BlockNode *node = image_open(kind, true, false, NULL);

    g_assert_true(node->driver->snapshot_apply(node, "1", NULL));
    node_unref(node);
}

static void verify_applied(const Kind *kind, const uint8_t *before, const uint8_t *after,
                           const char *what, bool complete)
{
    g_autofree uint8_t *now = NULL, *kept = NULL;

    verify_check_first(kind, what);
    now = read_pieces(kind, false);
    kept = read_pieces(kind, true);
    if ((complete || memcmp(now, before, APPLY_PIECE * APPLY_PIECES)) &&
        memcmp(now, after, APPLY_PIECE * APPLY_PIECES)) {
        g_error("%s: the disk is a mixture", what);
    }
    if (memcmp(kept, after, APPLY_PIECE * APPLY_PIECES)) {
        g_error("%s: the snapshot has changed", what);
    }
}

static void apply_entry(void *opaque)
{
    const Kind *kind = current->kind;
    g_autofree Disk *start = g_new(Disk, DISKS);
    g_autofree uint8_t *before = NULL, *after = NULL;
    GRand *rand = g_rand_new_with_seed(9);
    BlockSnapshot snapshot = { .name = (char *)"s" };
    BlockNode *node;

    image_create(kind);
    node = image_open(kind, true, false, NULL);
    write_pieces(node, 0, 2, 1);
    g_assert_true(node->driver->snapshot_create(node, &snapshot, NULL));
    write_pieces(node, 0, 3, 2);
    node_unref(node);
    memcpy(start, lab->disks, sizeof lab->disks);
    before = read_pieces(kind, false);
    after = read_pieces(kind, true);
    lab->recording = true;
    apply_snapshot(kind);
    lab->recording = false;
    g_assert_cmpuint(lab->events, >, 0);
    for (unsigned cut = 0; cut <= lab->events; cut++) {
        for (Variant variant = 0; variant < VARIANTS; variant++) {
            g_autofree char *what = g_strdup_printf("%s, applying, cut %u of %u, variant %d",
                                                    kind->config, cut, lab->events, variant);

            build_disks(start, cut, variant, rand);
            verify_applied(kind, before, after, what, cut == lab->events);
        }
    }
    g_rand_free(rand);
}

static void run_case(gconstpointer opaque)
{
    Case test = *(const Case *)opaque;

    if (g_test_thorough()) {
        test.operations *= 3;
    }
    current = &test;
    graph = block_graph_new(NULL);
    block_graph_set_blocking(graph, true);
    async_run_sync(block_graph_context(graph), test.entry, NULL);
    block_graph_free(graph);
}

int main(int argc, char **argv)
{
    static const Kind
        plain = { "cluster_size=4096", .snapshots = true },
        narrow = { "cluster_size=512,refcount_bits=8", .snapshots = true, .compress = true },
        compressed = { "cluster_size=4096", .compress = true },
        subclusters = { "cluster_size=16384,extended_l2=on", .snapshots = true, .compress = true },
        lazy = { "cluster_size=4096,lazy_refcounts=on", .snapshots = true },
        luks = { "cluster_size=4096,encrypt.format=luks,encrypt.key-secret=key,"
                 "encrypt.iter-time=1,encrypt.cipher-alg=aes-128",
                 .snapshots = true, .key = true },
        data_file = { "cluster_size=4096", .data_file = true },
        backing = { "cluster_size=4096", .backing = true, .snapshots = true },
        bitmaps = { "cluster_size=4096", .snapshots = true, .bitmaps = true, .compress = true },
        parallel = { "cluster_size=4096", .parallel = true, .compress = true },
        parallel_small = { "cluster_size=512,refcount_bits=64", .parallel = true, .backing = true },
        parallel_subclusters = { "cluster_size=16384,extended_l2=on", .parallel = true,
                                 .backing = true, .compress = true },
        parallel_data = { "cluster_size=4096", .parallel = true, .data_file = true };
    static const Kind version2 = { "cluster_size=4096,compat=0.10", .snapshots = true,
                                   .version2 = true, .compress = true };
    static const Kind qed = { "cluster_size=4096,table_size=1", .format = "qed",
                              .fixed_size = true },
                      qed_backing = { "cluster_size=4096,table_size=2", .format = "qed",
                                      .fixed_size = true, .backing = true },
                      qed_parallel = { "cluster_size=8192,table_size=1", .format = "qed",
                                       .fixed_size = true, .backing = true, .parallel = true };
    static const Kind vhdx = { "block_size=1M", .format = "vhdx", .fixed_size = true };
    static const struct {
        const char *name;
        const Kind *kind;
        unsigned operations;
    } kinds[] = {
        { "plain", &plain, 40 },
        { "clusters-512", &narrow, 30 },
        { "compressed", &compressed, 40 },
        { "subclusters", &subclusters, 40 },
        { "lazy", &lazy, 30 },
        { "luks", &luks, 15 },
        { "data-file", &data_file, 40 },
        { "backing", &backing, 40 },
        { "bitmaps", &bitmaps, 40 },
        { "version-2", &version2, 40 },
        { "parallel", &parallel, 60 },
        { "parallel-512", &parallel_small, 40 },
        { "parallel-subclusters", &parallel_subclusters, 60 },
        { "parallel-data-file", &parallel_data, 60 },
        { "qed", &qed, 40 },
        { "qed-backing", &qed_backing, 40 },
        { "qed-parallel", &qed_parallel, 60 },
        { "vhdx", &vhdx, 30 },
    };
    static Case cases[2 * G_N_ELEMENTS(kinds)];
    static const Case amendments[] = {
        { &plain, 40, amend_entry, "compat=0.10" },
        { &backing, 40, amend_entry, "compat=0.10" },
        { &lazy, 35, amend_entry, "compat=0.10" },
        { &luks, 15, amend_entry, "compat=0.10" },
        { &plain, 40, amend_entry, "refcount_bits=64" },
        { &version2, 40, amend_entry, "compat=1.1,refcount_bits=8,lazy_refcounts=on" },
    };

    static const Case applications[] = {
        { &plain, 1, apply_entry, NULL },   { &narrow, 1, apply_entry, NULL },
        { &lazy, 1, apply_entry, NULL },    { &subclusters, 1, apply_entry, NULL },
        { &backing, 1, apply_entry, NULL }, { &version2, 1, apply_entry, NULL },
    };

    g_test_init(&argc, &argv, NULL);
    lab_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned k = i / 2;
        g_autofree char *name = g_strdup_printf("/%s/%s", i % 2 ? "fail" : "cut", kinds[k].name);

        cases[i] = (Case){ kinds[k].kind, kinds[k].operations, i % 2 ? fail_entry : cut_entry };
        g_test_add_data_func(name, &cases[i], run_case);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(amendments); i++) {
        g_autofree char *name = g_strdup_printf("/amend/%u", i);

        g_test_add_data_func(name, &amendments[i], run_case);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(applications); i++) {
        g_autofree char *name = g_strdup_printf("/apply/%u", i);

        g_test_add_data_func(name, &applications[i], run_case);
    }
    return g_test_run();
}
