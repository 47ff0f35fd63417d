/* SPDX-License-Identifier: MIT */
/* What a file looks like that is no kernel of the guest's: for messages only. */
#ifndef HW_BOARD_IMAGE_GUESS_H
#define HW_BOARD_IMAGE_GUESS_H

#include <stddef.h>
#include <stdint.h>

/* "a shell script", "a Linux kernel for x86" …; NULL when nothing is recognised. */
const char *image_guess(const uint8_t *data, size_t size);

#endif
