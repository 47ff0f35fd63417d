/* SPDX-License-Identifier: MIT */
/* The one door by which devices come from options: -device, device_add, and what -nic and -drive stand for. */
#ifndef MACHINE_DEVICE_OPEN_H
#define MACHINE_DEVICE_OPEN_H

#include "base/key-values.h"
#include "machine/device.h"

/*
 * Makes and realizes what the options say: "driver", "id", "bus" (a bus, or a path that ends in one; without it
 * the first that fits) and properties. Refuses what -device refuses: parts of boards, and devices for buses that
 * take none once the machine is built. Takes the machine lock unless the caller holds it.
 */
Device *device_open(Machine *machine, const KeyValues *options, GError **error);

#endif
