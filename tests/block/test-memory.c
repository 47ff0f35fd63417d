/* SPDX-License-Identifier: MIT */
/*
 * Allocation number N fails under a qcow2 workload, for every N (each so many of them without
 * -m thorough). A child process runs the workload on disks in shared memory. Where the code checks,
 * the operation ends with an error, and the work goes on; where GLib ends the process, the disk is
 * as if the power had been cut. Either way everything flushed must be there, and check must find at
 * most leaks. malloc itself is replaced, so that also libraries' allocations fail.
 */
#include "tests/block/faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/block/sanitized.h"

enum { SEED = 13, QUICK_RUNS = 10 };

typedef struct {
    Disk start[DISKS];
    long allocations; /* that the workload has made */
    bool survived;    /* the workload came to its end */
} Shared;

static Shared *shared;
static bool armed;
static long allocated, fail_at;

#ifndef SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool allocation_fails(void)
{
    if (!__atomic_load_n(&armed, __ATOMIC_RELAXED) ||
        __atomic_fetch_add(&allocated, 1, __ATOMIC_RELAXED) != fail_at) {
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __libc_realloc(memory, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = allocation_fails() ? NULL : __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
#endif

typedef struct {
    const char *name;
    Kind kind;
    unsigned operations;
} Case;

static const Case *current;

static void create_entry(void *opaque)
{
    image_create(&current->kind);
    memcpy(shared->start, lab->disks, sizeof lab->disks);
}

static void verify_entry(void *opaque)
{
    g_autofree char *what = g_strdup_printf("%s, allocation %ld fails%s", current->name, fail_at,
                                            shared->survived ? "" : " (and ends the process)");
    Model *model = model_new(&current->kind);
    bool ends_flushed = false;

    for (unsigned i = 0; i < lab->events; i++) {
        model_apply(model, &lab->event[i]);
        if (lab->event[i].kind >= EVENT_GUEST_WRITE) {
            ends_flushed = lab->event[i].kind == EVENT_GUEST_FLUSHED;
        }
    }
    verify(&current->kind, model, what, shared->survived && ends_flushed);
    model_free(model);
}

static void workload_entry(void *opaque)
{
    memcpy(lab->disks, shared->start, sizeof lab->disks);
    lab->events = 0;
    lab->used = 0;
    lab->recording = true;
    shared->survived = false;
    __atomic_store_n(&armed, true, __ATOMIC_RELAXED);
    workload(&current->kind, current->operations, SEED);
    __atomic_store_n(&armed, false, __ATOMIC_RELAXED);
    lab->recording = false;
    shared->allocations = allocated;
    shared->survived = true;
}

/* Runs that in a process of its own; returns how it ended, as waitpid gives it. */
static int run_child(CoroutineFunction *entry, bool quiet)
{
    pid_t child = fork();
    int status;

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        struct rlimit no_core = { 0, 0 };
        int null = open("/dev/null", O_WRONLY);

        setrlimit(RLIMIT_CORE, &no_core);
        if (quiet) {
            dup2(null, STDOUT_FILENO);
            dup2(null, STDERR_FILENO);
        }
        graph = block_graph_new(NULL);
        block_graph_set_blocking(graph, true);
        block_secret_set(graph, "key", g_strdup("secret"), strlen("secret"));
        async_run_sync(block_graph_context(graph), entry, NULL);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status;
}

static void run_case(gconstpointer opaque)
{
    long total, stride, deaths = 0, runs = 0;

    current = opaque;
    allocated = 0;
    fail_at = -1;
    g_assert_cmpint(run_child(create_entry, false), ==, 0);
    g_assert_cmpint(run_child(workload_entry, false), ==, 0);
    g_assert_cmpint(run_child(verify_entry, false), ==, 0);
    total = shared->allocations;
    stride = g_test_thorough() ? 1 : MAX(total / QUICK_RUNS, 1);
    for (fail_at = 0; fail_at < total; fail_at += stride) {
        int status = run_child(workload_entry, true);

        g_assert_true(status == 0 || WIFSIGNALED(status));
        g_assert_cmpint(run_child(verify_entry, false), ==, 0);
        deaths += status != 0;
        runs++;
    }
    g_test_message("%ld of %ld allocations failed, %ld ended the process", runs, total, deaths);
}

int main(int argc, char **argv)
{
    static const Case cases[] = {
        { "plain", { "cluster_size=4096", .snapshots = true }, 40 },
        { "compressed", { "cluster_size=4096", .compress = true, .bitmaps = true }, 40 },
        { "subclusters",
          { "cluster_size=16384,extended_l2=on", .backing = true, .snapshots = true },
          40 },
        { "lazy", { "cluster_size=4096,lazy_refcounts=on" }, 30 },
        { "luks",
          { "cluster_size=4096,encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=1,"
            "encrypt.cipher-alg=aes-128",
            .key = true },
          20 },
        { "data-file", { "cluster_size=4096", .data_file = true }, 40 },
    };

    g_test_init(&argc, &argv, NULL);
#ifdef SANITIZED
    g_print("1..0 # SKIP the allocator belongs to the sanitizer\n");
    return 77;
#endif
    lab_new();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(shared != MAP_FAILED);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("/memory/%s", cases[i].name);

        g_test_add_data_func(name, &cases[i], run_case);
    }
    return g_test_run();
}
