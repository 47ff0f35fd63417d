/* SPDX-License-Identifier: MIT */
/*
 * Devices without a bus that tell guests something by tables: vmgenid and vmcoreinfo by files of the firmware configuration
 * device, guest-loader by the device tree. A board that takes them (Board.extras) asks them for it when it makes those.
 */
#ifndef HW_MISC_GUEST_TABLES_H
#define HW_MISC_GUEST_TABLES_H

#include "machine/device.h"

/* Both want fw_cfg's DMA interface, by which guests write. */
bool vmgenid_offer(Device *vmgenid, Device *fw_cfg, GError **error);
bool vmcoreinfo_offer(Device *vmcoreinfo, Device *fw_cfg, GError **error);
/* Output 0 of vmgenid: the identifier has changed (PC_GPE_VMGENID). */

/* Adds the nodes of all guest-loaders to a tree, which moves (g_realloc) when there are some. */
bool guest_loaders_tell(Machine *machine, void **fdt, GError **error);

#endif
