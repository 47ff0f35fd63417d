/* SPDX-License-Identifier: MIT */
/*
 * System call number N of an image's file goes wrong, for every N: it transfers a part only, is
 * interrupted, or fails. The first two must not be noticed; after the third what was flushed must be
 * there, check must find at most leaks, and work must go on. The calls are replaced in this program.
 * On the calling thread, and on worker threads as in a machine. The same for operation N of an
 * io_uring, and for submission N to it; where it does not take an operation, a worker does it.
 */
#include "tests/block/fake-ring.h"
#include "tests/block/faulty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum {
    WRONG_SHORT,
    WRONG_EINTR,
    WRONG_EIO,
    WRONG_ENOSPC,
    WRONGS,
    /* Only of rings. */
    WRONG_EAGAIN = WRONGS,
    WRONG_SUBMIT_EINTR,
    WRONG_SUBMIT_EAGAIN,
    WRONG_SUBMIT_EBUSY,
    WRONG_SUBMIT_EPERM,
    RING_WRONGS
} Wrong;

enum { SEED = 14, OPERATIONS = 30, QUICK_RUNS = 30 };

static long calls, wrong_from = -1, wrong_count;
static Wrong wrong;
static bool through_ring; /* calls of workers, then, go well */

static bool is_next(void)
{
    long call = __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);

    return call >= wrong_from && call < wrong_from + wrong_count;
}

static bool goes_wrong(void)
{
    return !through_ring && is_next();
}

/* -1 with errno, or 0: a part must be transferred. */
static int how_wrong(void)
{
    static const int numbers[] = { 0, EINTR, EIO, ENOSPC, EAGAIN, EINTR, EAGAIN, EBUSY, EPERM };

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
    if (through_ring) {
        errno = EAGAIN; /* the page cache has nothing */
        return -1;
    }
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

/* Rings. */

static int ring_perform(const struct io_uring_sqe *sqe)
{
    const struct iovec *iov = (const void *)(uintptr_t)sqe->addr;
    long number = sqe->opcode == IORING_OP_READV ? SYS_preadv2 : SYS_pwritev2;
    ssize_t result;

    if (wrong < WRONG_SUBMIT_EINTR && is_next()) {
        result = how_wrong();
        if (result == 0 && sqe->opcode != IORING_OP_FSYNC) {
            result = transfer_part(number, sqe->fd, iov, (off_t)sqe->off, (int)sqe->rw_flags);
        }
    } else {
        result = sqe->opcode == IORING_OP_FSYNC ? 0
                                                : syscall(number, sqe->fd, iov, (long)sqe->len,
                                                          (long)sqe->off, 0L, sqe->rw_flags);
    }
    return result < 0 ? -errno : (int)result;
}

static int ring_submit(void)
{
    return wrong >= WRONG_SUBMIT_EINTR && is_next() && how_wrong() < 0 ? -errno : 0;
}

/* What is to go on as if nothing had happened. */
static bool is_harmless(void)
{
    return wrong != WRONG_EIO && wrong != WRONG_ENOSPC;
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
    if (is_harmless() && failures) {
        g_error("%s: %d operations failed", what, failures);
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
    static const char *const names[RING_WRONGS] = {
        "short",         "EINTR",          "EIO",           "ENOSPC",       "EAGAIN",
        "submit: EINTR", "submit: EAGAIN", "submit: EBUSY", "submit: EPERM"
    };
    int wrongs = through_ring ? RING_WRONGS : WRONGS;
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
        for (wrong = 0; (int)wrong < wrongs; wrong++) {
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

static void run_ring(gconstpointer kind)
{
    unsigned long before = fake_ring.performed, full = fake_ring.full;

    through_ring = true;
    lab->aio = "io_uring";
    fake_ring.entries = 2; /* fewer than requests in parallel */
    fake_ring.perform = ring_perform;
    fake_ring.submit = ring_submit;
    run_case(kind, false);
    g_assert_cmpuint(fake_ring.performed, >, before + OPERATIONS);
    g_assert_true(fake_ring.full > full || !((const Kind *)kind)->parallel);
    through_ring = false;
    lab->aio = NULL;
}

/* A kernel that has no io_uring, or forbids it. */
static void run_refused(gconstpointer kind)
{
    unsigned long before = fake_ring.performed;

    lab->aio = "io_uring";
    for (unsigned i = 0; i < 2; i++) {
        fake_ring.setup = i ? -EPERM : -ENOSYS;
        fake_ring.refused = 0;
        run_case(kind, false);
        g_assert_cmpuint(fake_ring.refused, ==, 1); /* asked once */
    }
    g_assert_cmpuint(fake_ring.performed, ==, before);
    fake_ring.setup = 0;
    lab->aio = NULL;
}

int main(int argc, char **argv)
{
    static const Kind plain = { "cluster_size=4096", .snapshots = true },
                      parallel = { "cluster_size=4096", .parallel = true },
                      compressed = { "cluster_size=16384,extended_l2=on", .compress = true,
                                     .bitmaps = true };

    g_test_init(&argc, &argv, NULL);
    lab_new();
    g_test_add_data_func("/syscalls/blocking/plain", &plain, run_blocking);
    g_test_add_data_func("/syscalls/blocking/compressed", &compressed, run_blocking);
    g_test_add_data_func("/syscalls/threads/plain", &plain, run_threads);
    g_test_add_data_func("/syscalls/threads/compressed", &compressed, run_threads);
    g_test_add_data_func("/syscalls/ring/plain", &plain, run_ring);
    g_test_add_data_func("/syscalls/ring/parallel", &parallel, run_ring);
    g_test_add_data_func("/syscalls/ring/refused", &plain, run_refused);
    return g_test_run();
}
