/* SPDX-License-Identifier: MIT */
/* What happens when a watchdog has not been fed in time. */
#ifndef MACHINE_WATCHDOG_H
#define MACHINE_WATCHDOG_H

#include "machine/machine.h"

/* As -action watchdog= spells them, in this order; NULL ends. */
extern const char *const watchdog_actions[];

/* Sends WATCHDOG and does what MachineConfig.watchdog_action says. With the machine lock, also from timers. */
void watchdog_expired(Machine *machine, const char *device);

#endif
