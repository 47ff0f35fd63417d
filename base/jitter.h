/* SPDX-License-Identifier: MIT */
/*
 * Delays for tests. With KASO_TEST_DELAYS=SEED in the environment, places where another thread or
 * coroutine may come first wait for a random while there, so that what depends on who does fails in
 * every other run instead of once a month. Without it, a jitter is a zero that is looked at.
 */
#ifndef BASE_JITTER_H
#define BASE_JITTER_H

#include <stdint.h>

/* Belongs to whatever lock its places are under; a torn update does no harm. */
typedef struct {
    uint64_t state; /* 0: never waits */
} Jitter;

/* Looks at the environment. salt: which of several that one seed makes unlike. */
void jitter_init(Jitter *jitter, uint64_t salt);
/* Nanoseconds to wait here, 0 for none; at most max_ns. */
uint64_t jitter_ns(Jitter *jitter, uint64_t max_ns);
/* Lets the thread wait. */
void jitter_sleep(Jitter *jitter, uint64_t max_ns);

#endif
