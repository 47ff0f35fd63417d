/* SPDX-License-Identifier: MIT */
/* Random delays in tests. */
#include "base/jitter.h"

#include <stdlib.h>
#include <time.h>

void jitter_init(Jitter *jitter, uint64_t salt)
{
    const char *seed = getenv("KASO_TEST_DELAYS");

    jitter->state = seed && *seed ? strtoull(seed, NULL, 0) * 0x9e3779b97f4a7c15 + salt + 1 : 0;
}

/* Half of all places are passed at once, so that either of two may come first. */
uint64_t jitter_ns(Jitter *jitter, uint64_t max_ns)
{
    uint64_t x = jitter->state;

    if (!x) {
        return 0;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    jitter->state = x;
    return x >> 63 ? x % max_ns : 0;
}

void jitter_sleep(Jitter *jitter, uint64_t max_ns)
{
    uint64_t ns = jitter_ns(jitter, max_ns);

    if (ns) {
        nanosleep(&(struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) }, NULL);
    }
}
