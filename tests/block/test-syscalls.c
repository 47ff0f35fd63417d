/* SPDX-License-Identifier: MIT */
/*
 * System call number N of an image's file goes wrong, for every N: it transfers a part only, is
 * interrupted, or fails. The first two must not be noticed; after the third what was flushed must be
 * there, check must find at most leaks, and work must go on. The calls are replaced in this program.
 * On the calling thread, and on worker threads as in a machine.
 */
#include "tests/block/faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum { WRONG_SHORT, WRONG_EINTR, WRONG_EIO, WRONG_ENOSPC, WRONGS } Wrong;

enum { SEED = 14, OPERATIONS = 30, QUICK_RUNS = 30 };

static long calls, wrong_from = -1, wrong_count;
static Wrong wrong;

static bool goes_wrong(void)
{
    long call = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);

    return call >= wrong_from && call < wrong_from + wrong_count;
}

/* -1 with errno, or 0: a part must be transferred. */
static int how_wrong(void)
{
    static const int numbers[WRONGS] = { 0, EINTR, EIO, ENOSPC };

    errno = numbers[wrong];
    return wrong == WRONG_SHORT ? 0 : -1;
}

/* An odd part of the first buffers. */
static ssize_t transfer_part(long number, int fd, const struct iovec *iov, off_t offset, int flags)
{
    struct iovec part = { iov->iov_base, MAX(iov->iov_len / 2 + iov->iov_len % 2, 1) };

    part.iov_len = part.iov_len > 3 ? part.iov_len - 1 : part.iov_len;
    return syscall(number, fd, &part, 1L, (long)offset, 0L, flags);
}

static ssize_t transfer(long number, int fd, const struct iovec *iov, int count, off_t offset,
                        int flags)
{
    if (goes_wrong()) {
        return how_wrong() < 0 ? -1 : transfer_part(number, fd, iov, offset, flags);
    }
    return syscall(number, fd, iov, (long)count, (long)offset, 0L, flags);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    return transfer(SYS_preadv2, fd, iov, count, offset, 0);
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return transfer(SYS_preadv2, fd, iov, count, offset, flags);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return transfer(SYS_pwritev2, fd, iov, count, offset, flags);
}

int fdatasync(int fd)
{
    return goes_wrong() && how_wrong() < 0 ? -1 : 0; /* nobody cuts the power here */
}

int ftruncate(int fd, off_t size)
{
    return goes_wrong() && how_wrong() < 0 ? -1 : (int)syscall(SYS_ftruncate, fd, (long)size);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    return goes_wrong() && how_wrong() < 0
               ? -1
               : (int)syscall(SYS_fallocate, fd, mode, (long)offset, (long)bytes);
}

static void run_once(const Kind *kind, const char *image, gsize size, const char *what)
{
    Model *model = model_new(kind);
    bool ends_flushed = false;
    int failures;

    g_assert_true(g_file_set_contents(lab->file, image, (gssize)size, NULL));
    lab->events = 0;
    lab->used = 0;
    lab->recording = true;
    __atomic_store_n(&calls, 0, __ATOMIC_RELAXED);
    failures = workload(kind, OPERATIONS, SEED);
    lab->recording = false;
    wrong_count = 0;
    if (wrong == WRONG_SHORT || wrong == WRONG_EINTR) {
        if (failures) {
            g_error("%s: %d operations failed", what, failures);
        }
    }
    for (unsigned i = 0; i < lab->events; i++) {
        model_apply(model, &lab->event[i]);
        ends_flushed = lab->event[i].kind == EVENT_GUEST_FLUSHED;
    }
    verify(kind, model, what, ends_flushed);
    model_free(model);
}

static void syscalls_entry(void *opaque)
{
    static const char *const names[WRONGS] = { "short", "EINTR", "EIO", "ENOSPC" };
    const Kind *kind = opaque;
    g_autofree char *image = NULL;
    long total, stride;
    gsize size;

    image_create(kind);
    g_assert_true(g_file_get_contents(lab->file, &image, &size, NULL));
    wrong = WRONG_SHORT;
    run_once(kind, image, size, "all is well");
    total = __atomic_load_n(&calls, __ATOMIC_RELAXED);
    stride = g_test_thorough() ? 1 : MAX(total / QUICK_RUNS, 1);
    for (long n = 0; n < total; n += stride) {
        for (wrong = 0; wrong < WRONGS; wrong++) {
            g_autofree char *what =
                g_strdup_printf("%s, call %ld: %s", kind->config, n, names[wrong]);

            wrong_from = n;
            wrong_count = 1 + n % 3;
            run_once(kind, image, size, what);
        }
    }
    g_test_message("%ld system calls", total);
}

static void run_case(const Kind *kind, bool blocking)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-calls-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "image", NULL);

    lab->file = path;
    graph = block_graph_new(NULL);
    block_graph_set_blocking(graph, blocking);
    async_run_sync(block_graph_context(graph), syscalls_entry, (void *)kind);
    block_graph_free(graph);
    g_assert_cmpint(remove(path), ==, 0);
    g_assert_cmpint(remove(folder), ==, 0);
}

static void run_blocking(gconstpointer kind)
{
    run_case(kind, true);
}

static void run_threads(gconstpointer kind)
{
    run_case(kind, false);
}

int main(int argc, char **argv)
{
    static const Kind plain = { "cluster_size=4096", .snapshots = true },
                      compressed = { "cluster_size=16384,extended_l2=on", .compress = true,
                                     .bitmaps = true };

    g_test_init(&argc, &argv, NULL);
    lab_new();
    g_test_add_data_func("/syscalls/blocking/plain", &plain, run_blocking);
    g_test_add_data_func("/syscalls/blocking/compressed", &compressed, run_blocking);
    g_test_add_data_func("/syscalls/threads/plain", &plain, run_threads);
    g_test_add_data_func("/syscalls/threads/compressed", &compressed, run_threads);
    return g_test_run();
}
