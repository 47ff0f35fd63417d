/* SPDX-License-Identifier: MIT */
/* Kernel image formats: what is to be loaded where. Private to the ARM boot loader. */
#ifndef HW_BOARD_ARM_IMAGE_H
#define HW_BOARD_ARM_IMAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Part of an image that goes to memory; the rest up to memory_bytes is zeroes. */
typedef struct {
    uint64_t address;
    GBytes *content;
    uint64_t memory_bytes;
} ArmImageSegment;

typedef struct {
    GArray *segments; /* ArmImageSegment */
    uint64_t entry;
    bool is_elf;   /* has segments for other memories, perhaps */
    bool is_linux; /* an arm64 Image */
} ArmImage;

/* Unpacks gzip and EFI zboot containers (to at most limit bytes); other content comes back as is. */
GBytes *arm_image_unpack(const char *path, GBytes *file, bool zboot, uint64_t limit,
                         GError **error);
/*
 * Finds out the format: arm64 Image, ELF, uImage (unpacked to at most limit bytes), else a plain binary. base: the start of
 * RAM, which is 2 MiB aligned. Frees nothing on failure but what it made.
 */
bool arm_image_parse(ArmImage *image, const char *path, GBytes *content, uint64_t base,
                     uint64_t limit, GError **error);
void arm_image_clear(ArmImage *image);

#endif
