/* SPDX-License-Identifier: MIT */
/*
 * A machine that has moved tells the network where it is now: for each NIC a RARP request, which teaches switches the way, several times, for the first may be
 * lost. Guests whose driver can do so (virtio-net) announce themselves as well, when they run on. In the main loop with the machine lock held.
 */
#ifndef MIGRATION_ANNOUNCE_H
#define MIGRATION_ANNOUNCE_H

#include "machine/machine.h"

typedef struct {
    uint64_t initial_ms; /* from the first to the second time */
    uint64_t step_ms;    /* each later pause is so much longer … */
    uint64_t most_ms;    /* … up to this */
    uint64_t rounds;     /* how often; 0: never */
} AnnounceTimes;

typedef struct AnnounceRounds AnnounceRounds;

/* The first now. nics: ids of devices, NULL: all. */
AnnounceRounds *announce_start(Machine *machine, const AnnounceTimes *times,
                               const char *const *nics);
/* No more of it; rounds may be NULL. */
void announce_stop(AnnounceRounds *rounds);

#endif
