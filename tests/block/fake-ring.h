/* SPDX-License-Identifier: MIT */
/*
 * In place of liburing's calls into the kernel: rings in memory, whose operations the test performs, so that
 * each can go wrong. A program that links fake-ring.c has no other io_uring.
 */
#ifndef TESTS_BLOCK_FAKE_RING_H
#define TESTS_BLOCK_FAKE_RING_H

#include <liburing.h>

typedef struct {
    unsigned entries;                               /* of the next ring; a power of two */
    int setup;                                      /* what making a ring returns */
    int (*perform)(const struct io_uring_sqe *sqe); /* the completion's result */
    int (*submit)(void);                            /* 0, or what a submission fails with */
    unsigned long performed, refused, full;         /* so far */
} FakeRing;

extern FakeRing fake_ring;

#endif
