/* SPDX-License-Identifier: MIT */
/*
 * What an ARM board loads into RAM before the first instruction: kernel, initrd and device tree, as
 * the Linux arm64 boot protocol asks for (Documentation/arch/arm64/booting.rst of Linux), or other
 * images by their own headers. Contents are kept and written again at each reset.
 */
#ifndef HW_BOARD_ARM_BOOT_H
#define HW_BOARD_ARM_BOOT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "hw/misc/loader-file.h"
#include "machine/machine.h"

typedef struct {
    Machine *machine;
    uint64_t ram_base, ram_bytes;
    GPtrArray *images; /* ArmBootImage *, private */
    LoaderFile other;  /* what goes to other memory than RAM: a program in flash */
    bool has_run;      /* RAM is no longer all zeroes */
    bool has_kernel;   /* entry is valid: the CPU starts there, x0 = dtb_address */
    uint64_t entry;
    uint64_t kernel_start;             /* lowest address of an ELF file; else the start of RAM */
    uint64_t kernel_end;               /* first address after the kernel with its bss */
    uint64_t initrd_start, initrd_end; /* equal when there is none */
    uint64_t dtb_address;
} ArmBoot;

void arm_boot_init(ArmBoot *boot, Machine *machine, uint64_t ram_base);
void arm_boot_free(ArmBoot *boot);

/*
 * A whole file. `what` is how messages call it ("kernel"). Missing, empty, unreadable and larger
 * than limit bytes are errors that name the file.
 */
GBytes *arm_boot_read_file(const char *what, const char *path, uint64_t limit, GError **error);
/* As that, and unpacked when it is gzip'd: what firmware boots. */
GBytes *arm_boot_read_kernel(const char *path, uint64_t limit, GError **error);

/* Loads machine->config.kernel and .initrd; leaves room for a device tree of dtb_bytes. */
bool arm_boot_load(ArmBoot *boot, uint64_t dtb_bytes, GError **error);
/* Sets where the tree goes when there is no kernel: firmware finds it at the start of RAM. */
void arm_boot_place_dtb_for_firmware(ArmBoot *boot);
/* -dtb FILE, checked, with `spare` bytes of room for additions. Free with g_free. */
void *arm_boot_read_dtb(const char *path, int spare, GError **error);
/* Writes /chosen (bootargs, initrd) and /memory into a tree that has room. */
bool arm_boot_amend_dtb(const ArmBoot *boot, void *fdt, GError **error);

/* Writes images and the tree to RAM, and sets pc and x0 of the first CPU. */
void arm_boot_reset(ArmBoot *boot, const void *fdt);

#endif
