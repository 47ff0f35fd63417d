/* SPDX-License-Identifier: MIT */
/* Starting kernels on a PC: pc-kernel.c decides, a file for each format fills the images, boot-rom.S loads them. */
#ifndef HW_BOARD_PC_KERNEL_H
#define HW_BOARD_PC_KERNEL_H

#include "hw/board/pc.h"

/* Where 16-bit code and what it needs may be, by custom of boot loaders. */
enum {
    PC_KERNEL_SETUP = 0x10000,
    PC_KERNEL_COMMAND_LINE = 0x20000,
    PC_KERNEL_COMMAND_LINE_END = 0x40000,
    PC_KERNEL_INFO = 0x90000, /* what multiboot and PVH hand over */
    PC_KERNEL_ITEMS = 8,
    PC_KERNEL_MAP_ENTRIES = 64, /* of the firmware's memory map */
    PC_KERNEL_MAP_STRIDE = 24,
};

typedef struct {
    GBytes *content;
    uint64_t address;
    uint16_t data_key, size_key, address_key; /* of fw_cfg; a key 0 is none */
} PcImage;

/* How boot-rom.S enters: real mode (segment << 16 in `entry` and `stack`) or protected mode. */
typedef struct {
    Pc *pc;
    GBytes *file;         /* of -kernel */
    const uint8_t *data;  /* its bytes */
    uint64_t size;
    PcImage images[PC_KERNEL_ITEMS];
    unsigned image_count;
    bool protected_mode;
    uint32_t entry, stack, eax, ebx;
    uint32_t map, map_count; /* guest addresses, 0: no map is wanted */
    uint32_t map_upper;      /* of where the KiB of RAM from 1 MiB on go, 0: they are not wanted */
    uint16_t map_unit;
} PcKernel;

/* Each returns whether the file is of its format, before it looks for faults. */
bool pc_linux_recognise(const PcKernel *kernel);
bool pc_linux_load(PcKernel *kernel, GError **error);
bool pc_multiboot_recognise(const PcKernel *kernel);
bool pc_multiboot_load(PcKernel *kernel, GError **error);
bool pc_pvh_recognise(const PcKernel *kernel);
bool pc_pvh_load(PcKernel *kernel, GError **error);

/* The image takes over content. */
void pc_kernel_add(PcKernel *kernel, GBytes *content, uint64_t address, uint16_t data_key,
                   uint16_t size_key, uint16_t address_key);
/* -append, "" when it was not given. */
const char *pc_kernel_command_line(const PcKernel *kernel);
/* The highest multiple of 4 KiB for `size` bytes up to `limit`, below what firmware takes of low RAM; 0: none. */
uint64_t pc_kernel_place_high(const PcKernel *kernel, uint64_t size, uint64_t limit);
/*
 * The program of an ELF file, 32 or 64 bits, as one image from its lowest physical address on, and its entry.
 * Fails when it is none for x86 or does not fit.
 */
GBytes *pc_kernel_read_elf(const PcKernel *kernel, uint64_t *address, uint64_t *entry,
                           GError **error);

#endif
