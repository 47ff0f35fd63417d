/* SPDX-License-Identifier: MIT */
/* Build IDs: what linkers write into a note of each file, by which its debugging information is known. */
#ifndef DEBUG_SYMBOLS_BUILD_ID_H
#define DEBUG_SYMBOLS_BUILD_ID_H

#include "debug/symbols/symbols.h"

enum { BUILD_ID_BYTES_MAX = 32 };

typedef struct {
    unsigned size;
    uint8_t bytes[BUILD_ID_BYTES_MAX];
    char text[2 * BUILD_ID_BYTES_MAX + 1]; /* hexadecimal */
    char *name; /* of what it is of: "vmlinux", "virtio_net.ko"; the caller frees both */
    char *path; /* the file that it was read from; NULL: none */
    bool based; /* the debugging information goes to `base`; else it is placed as any file is */
    uint64_t base;
} BuildId;

/*
 * Of the symbols with a number or name (as symbols_remove has it), NULL: of the kernel in memory, else of the only file without lines. Or of
 * a file that was not added, or of hexadecimal digits that are one.
 */
bool symbols_build_id(Machine *machine, const char *which, BuildId *id, GError **error);

#endif
