/* SPDX-License-Identifier: MIT */
/*
 * Holding a guest back that writes memory faster than it can be sent (auto-converge): its CPUs sleep for a part of the
 * time. Devices and clocks go on.
 */
#ifndef MIGRATION_THROTTLE_H
#define MIGRATION_THROTTLE_H

#include "machine/machine.h"

typedef struct Throttle Throttle;

/* Does nothing until a percentage is set. NULL: the host gives no thread. */
Throttle *throttle_new(Machine *machine);
/* The CPUs have all their time again. May be NULL. Without the lock. */
void throttle_free(Throttle *throttle);
/* How much of the time they sleep, 0 to 99. [any thread] */
void throttle_set(Throttle *throttle, unsigned percent);
unsigned throttle_percent(const Throttle *throttle);

#endif
