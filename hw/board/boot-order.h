/* SPDX-License-Identifier: MIT */
/* What bootindex= properties ask of firmware. */
#ifndef HW_BOARD_BOOT_ORDER_H
#define HW_BOARD_BOOT_ORDER_H

#include <glib.h>

#include "machine/machine.h"

/*
 * The devices with a bootindex, lowest first, as Open Firmware paths, one to a line: the fw_cfg file
 * "bootorder". NULL when there are none.
 */
GBytes *boot_order_make(Machine *machine);
/* The disks whose geometry for the BIOS's callers the user gave: the fw_cfg file "bios-geometry". Never NULL. */
GBytes *boot_geometry_make(Machine *machine);

#endif
