/* SPDX-License-Identifier: MIT */
/* Block jobs, external snapshots and bitmaps on a drive that its guest goes on writing. */
#include "base/bits.h"
#include "block/graph/node.h"

#include <string.h>
#include <unistd.h>

enum { SIZE = 8 * 1024 * 1024, PIECE = 64 * 1024 };

typedef struct {
    BlockGraph *graph;
    char *folder;
    BlockBackend *drive;
    uint8_t *model;
    GString *events;
} Fixture;

static GHashTable *table(const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return options_parse(text, NULL, NULL);
}

typedef struct {
    Fixture *f;
    const char *name, *options;
} Create;

static void create_entry(void *opaque)
{
    Create *c = opaque;
    g_autofree char *path = g_build_filename(c->f->folder, c->name, NULL);
    g_autoptr(GHashTable) options = options_parse(c->options, NULL, NULL);
    GError *error = NULL;

    block_driver_find("qcow2")->create(c->f->graph, path, options, &error);
    g_assert_no_error(error);
}

static void create_image(Fixture *f, const char *name, const char *options)
{
    Create c = { f, name, options };

    async_run_sync(block_graph_context(f->graph), create_entry, &c);
}

static void on_event(void *opaque, const char *event, const char *data)
{
    g_string_append_printf(((Fixture *)opaque)->events, "%s %s\n", event, data);
}

static void guest_write(Fixture *f, uint64_t offset, uint64_t bytes, uint8_t value)
{
    memset(f->model + offset, value, bytes);
    g_assert_cmpint(block_pwrite(f->drive, offset, f->model + offset, bytes), ==, 0);
}

static void check_drive(BlockBackend *drive, const uint8_t *model)
{
    g_autofree uint8_t *content = g_malloc(SIZE);

    g_assert_cmpint(block_pread(drive, 0, content, SIZE), ==, 0);
    g_assert_true(!memcmp(content, model, SIZE));
}

static void snapshot(Fixture *f, const char *name)
{
    g_autoptr(GHashTable) arguments = table("device=d,snapshot-file=%s/%s", f->folder, name);
    GError *error = NULL;

    block_snapshot_external(f->graph, arguments, &error);
    g_assert_no_error(error);
}

/* base <- middle <- top, each with data of its own. */
static void setup(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) options = NULL;
    GError *error = NULL;

    f->graph = block_graph_new(NULL);
    f->folder = g_dir_make_tmp("kaso-job-XXXXXX", NULL);
    f->model = g_malloc0(SIZE);
    f->events = g_string_new(NULL);
    block_set_event_handler(f->graph, on_event, f);
    create_image(f, "base.qcow2", "size=8M");
    options = table("id=d,format=qcow2,file=%s/base.qcow2,discard=unmap", f->folder);
    f->drive = block_open(f->graph, options, &error);
    g_assert_no_error(error);
    guest_write(f, 0, 3 * MIB(1), 1);
    snapshot(f, "middle.qcow2");
    guest_write(f, MIB(1), MIB(1), 2);
    snapshot(f, "top.qcow2");
    guest_write(f, 5 * MIB(1), 100000, 3);
}

static void teardown(Fixture *f, gconstpointer data)
{
    GDir *dir;
    const char *name;

    block_close(f->drive);
    block_graph_free(f->graph);
    dir = g_dir_open(f->folder, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(f->folder, name, NULL);

        unlink(path);
    }
    g_dir_close(dir);
    rmdir(f->folder);
    g_free(f->folder);
    g_free(f->model);
    g_string_free(f->events, TRUE);
}

static void start(Fixture *f, const char *command, const char *text)
{
    g_autofree char *folder_text = g_strdup_printf(text, f->folder);
    g_autoptr(GHashTable) arguments = table("device=d,%s", folder_text);
    GError *error = NULL;

    block_job_start(f->graph, command, arguments, &error);
    g_assert_no_error(error);
}

/*
 * Runs the main loop until the events hold text, with guest writes at first: a guest that never
 * pauses may dirty faster than a job can copy.
 */
static void wait_for(Fixture *f, const char *text, bool writing)
{
    enum { WRITING = 4000, WAIT_MS = 100000 };

    for (unsigned i = 0; !strstr(f->events->str, text); i++) {
        g_main_context_iteration(NULL, FALSE);
        if (writing && i < WRITING && i % 4 == 0) {
            guest_write(f, (i * 7919 % 120) * PIECE + i % 512, 5000, (uint8_t)i);
        } else if (i >= WRITING) {
            g_usleep(1000); /* a loaded machine's other threads need the processor */
        }
        g_assert_cmpuint(i, <, WRITING + WAIT_MS);
    }
}

static char *backing_lines(Fixture *f)
{
    return block_describe(f->drive);
}

static void reopen_and_check(Fixture *f, const char *name, const uint8_t *model)
{
    g_autoptr(GHashTable) options = table("format=qcow2,readonly=on,file=%s/%s", f->folder, name);
    GError *error = NULL;
    BlockBackend *drive = block_open(f->graph, options, &error);

    g_assert_no_error(error);
    check_drive(drive, model);
    block_close(drive);
}

static void test_stream(Fixture *f, gconstpointer data)
{
    g_autofree char *lines = NULL;

    start(f, "block-stream", "speed=0%.0s");
    wait_for(f, "BLOCK_JOB_COMPLETED", true);
    lines = backing_lines(f);
    g_assert_null(strstr(lines, "Backing"));
    check_drive(f->drive, f->model);
}

static void test_stream_to_base(Fixture *f, gconstpointer data)
{
    g_autofree char *lines = NULL;

    start(f, "block-stream", "base=%s/base.qcow2");
    wait_for(f, "BLOCK_JOB_COMPLETED", true);
    lines = backing_lines(f);
    g_assert_nonnull(strstr(lines, "base.qcow2"));
    g_assert_null(strstr(lines, "middle.qcow2"));
    check_drive(f->drive, f->model);
}

static void test_commit_inner(Fixture *f, gconstpointer data)
{
    g_autofree char *lines = NULL;

    start(f, "block-commit", "top=%s/middle.qcow2");
    wait_for(f, "BLOCK_JOB_COMPLETED", true);
    lines = backing_lines(f);
    g_assert_null(strstr(lines, "middle.qcow2"));
    check_drive(f->drive, f->model);
}

static void test_commit_active(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    start(f, "block-commit", "job-id=j%.0s");
    wait_for(f, "BLOCK_JOB_READY", true);
    g_assert_true(block_job_control(f->graph, "j", "complete", 0, &error));
    wait_for(f, "BLOCK_JOB_COMPLETED", true);
    g_assert_nonnull(strstr(block_filename(f->drive), "base.qcow2"));
    guest_write(f, 123, 4567, 0x77);
    check_drive(f->drive, f->model);
}

/* What is lost above does not become zeroes below. */
static void test_commit_cut_off(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->folder, "top.qcow2", NULL);
    g_autofree uint8_t *content = g_malloc(3 * MIB(1));
    g_autoptr(GHashTable) top = table("id=d,file=%s", path);
    g_autoptr(GHashTable) base = table("readonly=on,file=%s/base.qcow2", f->folder);
    BlockBackend *below;
    GError *error = NULL;

    guest_write(f, 0, 2 * MIB(1), 4);
    block_close(f->drive);
    g_assert_cmpint(truncate(path, MIB(1)), ==, 0);
    f->drive = block_open(f->graph, top, &error);
    g_assert_no_error(error);
    start(f, "block-commit", "job-id=j%.0s");
    wait_for(f, "BLOCK_JOB_COMPLETED", false);
    g_assert_nonnull(strstr(f->events->str, "cut off"));
    block_close(f->drive);
    below = block_open(f->graph, base, &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_pread(below, 0, content, 3 * MIB(1)), ==, 0);
    for (unsigned i = 0; i < 3 * MIB(1); i++) {
        g_assert_cmpuint(content[i], !=, 0);
    }
    f->drive = below; /* for teardown */
}

static void test_mirror(Fixture *f, gconstpointer data)
{
    GError *error = NULL;

    start(f, "drive-mirror", "sync=full,format=qcow2,target=%s/copy.qcow2");
    wait_for(f, "BLOCK_JOB_READY", true);
    g_assert_true(block_job_control(f->graph, "d", "complete", 0, &error));
    wait_for(f, "BLOCK_JOB_COMPLETED", true);
    g_assert_nonnull(strstr(block_filename(f->drive), "copy.qcow2"));
    check_drive(f->drive, f->model);
}

/* Write number n fills its piece with n, so that a copy tells of which instant it is. */
static void numbered_write(Fixture *f, uint32_t n)
{
    uint32_t *piece = (uint32_t *)(f->model + n % (SIZE / PIECE) * PIECE);

    for (unsigned i = 0; i < PIECE / sizeof *piece; i++) {
        piece[i] = n;
    }
    g_assert_cmpint(block_pwrite(f->drive, n % (SIZE / PIECE) * PIECE, piece, PIECE), ==, 0);
}

static void check_instant(Fixture *f, const char *name)
{
    g_autoptr(GHashTable) options = table("format=raw,readonly=on,file=%s/%s", f->folder, name);
    g_autofree uint32_t *content = g_malloc(SIZE);
    GError *error = NULL;
    BlockBackend *copy = block_open(f->graph, options, &error);
    uint32_t newest = 0;

    g_assert_no_error(error);
    g_assert_cmpint(block_pread(copy, 0, content, SIZE), ==, 0);
    block_close(copy);
    for (unsigned i = 0; i < SIZE / sizeof *content; i++) {
        newest = MAX(newest, content[i]);
    }
    for (unsigned i = 0; i < SIZE / sizeof *content; i++) {
        uint32_t piece = i * sizeof *content / PIECE;
        uint32_t age = (newest - piece) % (SIZE / PIECE);

        g_assert_cmpuint(content[i], ==, newest - age);
    }
}

/* The guest writes faster than the mirror may copy: its end comes nevertheless, with a copy of one instant. */
static void test_mirror_cancel(Fixture *f, gconstpointer data)
{
    GError *error = NULL;
    uint32_t n = 0;

    while (n < 2 * SIZE / PIECE) {
        numbered_write(f, n++);
    }
    start(f, "drive-mirror", "sync=full,format=raw,target=%s/copy");
    wait_for(f, "BLOCK_JOB_READY", false);
    g_assert_true(block_job_control(f->graph, "d", "set-speed", MIB(40), &error));
    while (n < 4 * SIZE / PIECE) {
        numbered_write(f, n++);
    }
    g_assert_true(block_job_control(f->graph, "d", "cancel", 0, &error));
    while (!strstr(f->events->str, "BLOCK_JOB_COMPLETED")) {
        g_main_context_iteration(NULL, FALSE);
        numbered_write(f, n++);
        g_assert_null(strstr(f->events->str, "BLOCK_JOB_CANCELLED"));
        g_assert_cmpuint(n, <, 1000000);
    }
    check_instant(f, "copy");
    g_assert_null(strstr(block_filename(f->drive), "copy"));
    check_drive(f->drive, f->model);
}

static void test_backup(Fixture *f, gconstpointer data)
{
    g_autofree uint8_t *before = g_memdup2(f->model, SIZE);

    start(f, "drive-backup", "sync=full,format=qcow2,speed=20M,target=%s/copy.qcow2");
    wait_for(f, "BLOCK_JOB_COMPLETED", true);
    reopen_and_check(f, "copy.qcow2", before);
    check_drive(f->drive, f->model);
}

static void test_incremental(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) none = options_new();
    GError *error = NULL;

    start(f, "drive-backup", "sync=full,format=qcow2,target=%s/copy.qcow2");
    wait_for(f, "BLOCK_JOB_COMPLETED", false);
    g_assert_true(block_bitmap(f->graph, "d", "add", "b", none, &error));
    guest_write(f, 777, 300000, 9);
    guest_write(f, 6 * MIB(1), 1, 10);
    g_string_truncate(f->events, 0);
    start(f, "drive-backup",
          "sync=incremental,bitmap=b,mode=existing,format=qcow2,target=%s/copy.qcow2");
    wait_for(f, "BLOCK_JOB_COMPLETED", false);
    reopen_and_check(f, "copy.qcow2", f->model);
}

static void test_control(Fixture *f, gconstpointer data)
{
    GError *error = NULL;
    g_autofree char *jobs = NULL;

    start(f, "drive-mirror", "sync=full,format=qcow2,speed=1,target=%s/copy.qcow2");
    g_assert_true(block_job_control(f->graph, "d", "pause", 0, &error));
    g_assert_false(block_job_control(f->graph, "d", "pause", 0, &error));
    g_clear_error(&error);
    g_assert_false(block_job_control(f->graph, "d", "complete", 0, &error));
    g_clear_error(&error);
    jobs = block_query_jobs(f->graph, false);
    g_assert_nonnull(strstr(jobs, "\"paused\":true"));
    g_assert_true(block_job_control(f->graph, "d", "set-speed", 0, &error));
    g_assert_true(block_job_control(f->graph, "d", "resume", 0, &error));
    g_assert_true(block_job_control(f->graph, "d", "cancel", 0, &error));
    wait_for(f, "BLOCK_JOB_CANCELLED", false);
    check_drive(f->drive, f->model);
    g_assert_false(block_job_control(f->graph, "d", "cancel", 0, &error));
    g_clear_error(&error);
}

static void test_operations(Fixture *f, gconstpointer data)
{
    g_autofree char *gone = NULL;
    GError *error = NULL;

    g_assert_true(block_snapshot_create(f->graph, "d", "s", 0, &error));
    guest_write(f, 0, 50000, 0x55);
    memset(f->model, 1, 50000);
    g_assert_true(block_snapshot_apply(f->graph, "d", "s", &error));
    check_drive(f->drive, f->model);
    gone = block_snapshot_delete(f->graph, "d", "1", "s", &error);
    g_assert_nonnull(strstr(gone, "\"name\":\"s\""));
    g_assert_true(block_resize(f->graph, "d", 2 * SIZE, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(block_size(f->drive), ==, 2 * SIZE);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *f, gconstpointer data);
    } tests[] = {
        { "/job/stream", test_stream },
        { "/job/stream-to-base", test_stream_to_base },
        { "/job/commit-inner", test_commit_inner },
        { "/job/commit-active", test_commit_active },
        { "/job/commit-cut-off", test_commit_cut_off },
        { "/job/mirror", test_mirror },
        { "/job/mirror-cancel", test_mirror_cancel },
        { "/job/backup", test_backup },
        { "/job/incremental", test_incremental },
        { "/job/control", test_control },
        { "/job/operations", test_operations },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
        g_test_add(tests[i].name, Fixture, NULL, setup, tests[i].test, teardown);
    }
    return g_test_run();
}
