/* SPDX-License-Identifier: MIT */
/* Requests through io_uring. The ring's completions raise the context's event descriptor. */
#include "block/async/async-internal.h"

#include <errno.h>
#include <liburing.h>

enum { RING_ENTRIES = 256 };

struct IoRing {
    struct io_uring uring;
    unsigned unsubmitted, in_flight;
    CoroutineQueue room; /* waits for free entries */
};

typedef struct {
    Coroutine *coroutine;
    int result;
} RingOperation;

IoRing *io_ring_new(AsyncContext *context)
{
    IoRing *ring = g_new0(IoRing, 1);

    coroutine_queue_init(&ring->room);
    if (io_uring_queue_init(RING_ENTRIES, &ring->uring, 0) < 0) {
        g_free(ring);
        return NULL;
    }
    if (io_uring_register_eventfd(&ring->uring, context->event_fd) < 0) {
        io_uring_queue_exit(&ring->uring);
        g_free(ring);
        return NULL;
    }
    return ring;
}

void io_ring_free(IoRing *ring)
{
    io_uring_queue_exit(&ring->uring);
    g_free(ring);
}

/*
 * The kernel takes nothing, and no completion will come after which it could be asked again: whoever
 * waits does without the ring.
 */
static void io_ring_give_back(IoRing *ring)
{
    struct io_uring_sq *sq = &ring->uring.sq;
    unsigned head = io_uring_smp_load_acquire(sq->khead);

    for (unsigned i = head; i != sq->sqe_tail; i++) {
        RingOperation *operation = (void *)(uintptr_t)sq->sqes[i & sq->ring_mask].user_data;

        operation->result = -EAGAIN;
        coroutine_wake(operation->coroutine);
    }
    sq->sqe_head = sq->sqe_tail = head;
    io_uring_smp_store_release(sq->ktail, head);
    ring->unsubmitted = 0;
    coroutine_queue_wake_all(&ring->room);
}

void io_ring_submit(IoRing *ring)
{
    while (ring->unsubmitted) {
        int submitted = io_uring_submit(&ring->uring);

        if (submitted == -EINTR) {
            continue;
        }
        if (submitted <= 0) {
            if (!ring->in_flight) {
                io_ring_give_back(ring);
            }
            break; /* EAGAIN, EBUSY: again after the next completion */
        }
        ring->unsubmitted -= (unsigned)submitted;
        ring->in_flight += (unsigned)submitted;
    }
}

void io_ring_reap(IoRing *ring)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&ring->uring, &cqe) == 0 && cqe) {
        RingOperation *operation = io_uring_cqe_get_data(cqe);

        operation->result = cqe->res;
        io_uring_cqe_seen(&ring->uring, cqe);
        ring->in_flight--;
        coroutine_wake(operation->coroutine);
        coroutine_queue_wake_one(&ring->room);
    }
}

bool io_ring_available(AsyncContext *context)
{
    if (!context->ring && !context->ring_failed) {
        context->ring = io_ring_new(context);
        context->ring_failed = !context->ring;
    }
    return context->ring != NULL;
}

static struct io_uring_sqe *io_ring_get_sqe(AsyncContext *context)
{
    struct io_uring_sqe *sqe;

    if (!io_ring_available(context)) {
        return NULL;
    }
    while (!(sqe = io_uring_get_sqe(&context->ring->uring))) {
        io_ring_submit(context->ring);
        if (context->ring->unsubmitted) {
            coroutine_queue_wait(&context->ring->room);
        }
    }
    return sqe;
}

static int io_ring_wait(AsyncContext *context, struct io_uring_sqe *sqe)
{
    RingOperation operation = { .coroutine = coroutine_self() };

    io_uring_sqe_set_data(sqe, &operation);
    context->ring->unsubmitted++;
    coroutine_yield();
    return operation.result;
}

int io_ring_readv(int fd, const struct iovec *iov, unsigned count, uint64_t offset)
{
    AsyncContext *context = coroutine_context();
    struct io_uring_sqe *sqe = io_ring_get_sqe(context);

    if (!sqe) {
        return -ENOSYS;
    }
    io_uring_prep_readv(sqe, fd, iov, count, offset);
    return io_ring_wait(context, sqe);
}

int io_ring_writev(int fd, const struct iovec *iov, unsigned count, uint64_t offset, int rwf_flags)
{
    AsyncContext *context = coroutine_context();
    struct io_uring_sqe *sqe = io_ring_get_sqe(context);

    if (!sqe) {
        return -ENOSYS;
    }
    io_uring_prep_writev2(sqe, fd, iov, count, offset, rwf_flags);
    return io_ring_wait(context, sqe);
}

int io_ring_fdatasync(int fd)
{
    AsyncContext *context = coroutine_context();
    struct io_uring_sqe *sqe = io_ring_get_sqe(context);

    if (!sqe) {
        return -ENOSYS;
    }
    io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
    return io_ring_wait(context, sqe);
}

int io_ring_poll(int fd, short events)
{
    AsyncContext *context = coroutine_context();
    struct io_uring_sqe *sqe = io_ring_get_sqe(context);

    if (!sqe) {
        return -ENOSYS;
    }
    io_uring_prep_poll_add(sqe, fd, (unsigned)events);
    return io_ring_wait(context, sqe);
}
