/* SPDX-License-Identifier: MIT */
/* What a board (and a device with a firmware file) puts into the firmware configuration device. */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H

#include <glib.h>
#include <stdint.h>

#include "machine/device.h"

/* Keys of the items that are not files. */
enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_FILE_SLOTS = 64,
};

/* All replace what the key or the name had before. content is referenced, not copied. */
void fw_cfg_add(Device *fw_cfg, uint16_t key, GBytes *content);
void fw_cfg_add_u16(Device *fw_cfg, uint16_t key, uint16_t value);
void fw_cfg_add_u32(Device *fw_cfg, uint16_t key, uint32_t value);
void fw_cfg_add_u64(Device *fw_cfg, uint16_t key, uint64_t value);
/* Fails for a name of more than 55 bytes, and when all slots are taken. */
bool fw_cfg_add_file(Device *fw_cfg, const char *name, GBytes *content, GError **error);

#endif
