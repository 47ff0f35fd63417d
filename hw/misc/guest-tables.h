/* SPDX-License-Identifier: MIT */
/*
 * Devices without a bus that are files of the firmware configuration device: vmgenid and vmcoreinfo. A board that takes them
 * (Board.extras) offers their files when it fills that device.
 */
#ifndef HW_MISC_GUEST_TABLES_H
#define HW_MISC_GUEST_TABLES_H

#include "machine/device.h"

/* Both want fw_cfg's DMA interface, by which guests write. */
bool vmgenid_offer(Device *vmgenid, Device *fw_cfg, GError **error);
bool vmcoreinfo_offer(Device *vmcoreinfo, Device *fw_cfg, GError **error);
/* Output 0 of vmgenid: the identifier has changed (PC_GPE_VMGENID). */

#endif
