/* SPDX-License-Identifier: MIT */
/* The device by which a guest gives memory away, for the monitor. Under the machine lock. */
#ifndef MACHINE_BALLOON_H
#define MACHINE_BALLOON_H

#include "machine/machine.h"

typedef struct {
    void (*set_pages)(void *opaque, uint32_t pages); /* of 4 KiB, that the guest shall give away */
    uint32_t (*pages)(void *opaque);                 /* that it has given away */
} BalloonOps;

enum { BALLOON_PAGE_BYTES = 4096 };

/* false: there is one already. */
bool machine_set_balloon(Machine *machine, const BalloonOps *ops, void *opaque);
void machine_forget_balloon(Machine *machine, const void *opaque);
/* NULL: there is none. */
const BalloonOps *machine_balloon(Machine *machine, void **opaque);

#endif
