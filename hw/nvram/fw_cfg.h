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
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_FILE_SLOTS = 64,
    FW_CFG_ARCH = 0x8000,     /* an architecture's own keys, 16 at most */
    FW_CFG_X86_ACPI_TABLES = 0x8000,
    FW_CFG_X86_SMBIOS = 0x8001,
    FW_CFG_X86_IRQ0_OVERRIDE = 0x8002,
    FW_CFG_X86_E820 = 0x8003,
    FW_CFG_X86_HPET = 0x8004,
};

/* All replace what the key or the name had before. content is referenced, not copied. */
void fw_cfg_add(Device *fw_cfg, uint16_t key, GBytes *content);
void fw_cfg_add_u16(Device *fw_cfg, uint16_t key, uint16_t value);
void fw_cfg_add_u32(Device *fw_cfg, uint16_t key, uint32_t value);
void fw_cfg_add_u64(Device *fw_cfg, uint16_t key, uint64_t value);
/* Fails for a name of more than 55 bytes, and when all slots are taken. */
bool fw_cfg_add_file(Device *fw_cfg, const char *name, GBytes *content, GError **error);
/*
 * As fw_cfg_add_file, for one that the guest may write by DMA: its bytes are `data`, which outlives the
 * device, and `written` is called after each write.
 */
typedef void FwCfgWritten(void *opaque);
bool fw_cfg_add_writable_file(Device *fw_cfg, const char *name, void *data, size_t size,
                              FwCfgWritten *written, void *opaque, GError **error);
/* Calls fn when a guest selects the file, before it reads: fn may replace any file. */
typedef void FwCfgSelected(void *opaque);
void fw_cfg_watch_file(Device *fw_cfg, const char *name, FwCfgSelected *fn, void *opaque);
/* Whether the guest can write files at all. */
bool fw_cfg_has_dma(Device *fw_cfg);

#endif
