/* SPDX-License-Identifier: MIT */
/* The screen that firmware puts into RAM, for boards that have fw_cfg with DMA. */
#ifndef HW_DISPLAY_RAMFB_H
#define HW_DISPLAY_RAMFB_H

#include "machine/device.h"

/* Adds the file by which the guest says where the screen is. */
bool ramfb_offer(Device *device, Device *fw_cfg, GError **error);

#endif
