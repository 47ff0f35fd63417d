/* SPDX-License-Identifier: MIT */
/*
 * Rings in memory. Operations are performed when they are submitted, as many as there is room for
 * completions, the last one first.
 */
#include "tests/block/fake-ring.h"

#include <errno.h>
#include <glib.h>
#include <sys/eventfd.h>

FakeRing fake_ring;

typedef struct {
    unsigned sq_head, sq_tail, cq_head, cq_tail, sq_flags, cq_flags;
    int event_fd;
} Kernel;

static Kernel *kernel_of(struct io_uring *ring)
{
    return (Kernel *)((char *)ring->sq.khead - offsetof(Kernel, sq_head));
}

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    Kernel *kernel;

    if (fake_ring.setup < 0) {
        fake_ring.refused++;
        return fake_ring.setup;
    }
    entries = fake_ring.entries;
    kernel = g_new0(Kernel, 1);
    kernel->event_fd = -1;
    *ring = (struct io_uring){ .flags = flags, .features = IORING_FEAT_EXT_ARG };
    ring->sq.khead = &kernel->sq_head;
    ring->sq.ktail = &kernel->sq_tail;
    ring->sq.kflags = &kernel->sq_flags;
    ring->sq.ring_entries = entries;
    ring->sq.ring_mask = entries - 1;
    ring->sq.sqes = g_new0(struct io_uring_sqe, entries);
    ring->cq.khead = &kernel->cq_head;
    ring->cq.ktail = &kernel->cq_tail;
    ring->cq.kflags = &kernel->cq_flags;
    ring->cq.ring_entries = entries * 2;
    ring->cq.ring_mask = entries * 2 - 1;
    ring->cq.cqes = g_new0(struct io_uring_cqe, entries * 2);
    return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
    g_free(ring->sq.sqes);
    g_free(ring->cq.cqes);
    g_free(kernel_of(ring));
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
    kernel_of(ring)->event_fd = fd;
    return 0;
}

int io_uring_submit(struct io_uring *ring)
{
    Kernel *kernel = kernel_of(ring);
    unsigned room = ring->cq.ring_entries - (kernel->cq_tail - kernel->cq_head);
    unsigned wanted = ring->sq.sqe_tail - kernel->sq_head, count = MIN(wanted, room);
    int result = fake_ring.submit ? fake_ring.submit() : 0;

    fake_ring.full += wanted == ring->sq.ring_entries;
    ring->sq.sqe_head = ring->sq.sqe_tail;
    kernel->sq_tail = ring->sq.sqe_tail;
    if (result < 0) {
        return result;
    }
    if (wanted && !count) {
        return -EBUSY;
    }
    for (unsigned i = count; i-- > 0;) {
        const struct io_uring_sqe *sqe = &ring->sq.sqes[(kernel->sq_head + i) & ring->sq.ring_mask];

        ring->cq.cqes[kernel->cq_tail & ring->cq.ring_mask] =
            (struct io_uring_cqe){ .user_data = sqe->user_data, .res = fake_ring.perform(sqe) };
        kernel->cq_tail++;
        fake_ring.performed++;
    }
    kernel->sq_head += count;
    if (count && kernel->event_fd >= 0) {
        eventfd_write(kernel->event_fd, 1);
    }
    return (int)count;
}

int __io_uring_get_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned submit,
                       unsigned wait, sigset_t *mask)
{
    *cqe = NULL;
    return -EAGAIN;
}
