/* SPDX-License-Identifier: MIT */
/* U-Boot's legacy images (uImage; include/image.h of U-Boot): a header of 64 bytes, then a kernel, a program or firmware. */
#ifndef HW_MISC_UIMAGE_H
#define HW_MISC_UIMAGE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    GBytes *content;   /* unpacked; the reader's */
    bool placed;       /* load and entry are addresses; otherwise entry is an offset into the content, or nothing */
    uint32_t load, entry;
} UImage;

bool uimage_is(const uint8_t *data, uint64_t size);
/*
 * file: the whole file, which uimage_is says yes to; its sizes and sums are checked. `what` and path begin messages ("kernel"). gzip is
 * unpacked, to at most limit bytes.
 */
bool uimage_read(UImage *image, const char *what, const char *path, GBytes *file, uint64_t limit,
                 GError **error);

#endif
