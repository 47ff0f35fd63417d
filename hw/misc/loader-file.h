/* SPDX-License-Identifier: MIT */
/* Files that `-device loader` and `guest-loader` put into memory: what goes where, by their own headers. */
#ifndef HW_MISC_LOADER_FILE_H
#define HW_MISC_LOADER_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Machine Machine;

/* Bytes at an address, and zeroes behind them up to memory_bytes. */
typedef struct {
    uint64_t address;
    GBytes *content;
    uint64_t memory_bytes;
} LoaderPart;

/* All zero: empty. */
typedef struct {
    GArray *parts; /* LoaderPart; NULL: none */
    uint64_t entry;
} LoaderFile;

/*
 * Finds out the format: ELF, uImage (a kernel, a program or firmware; gzip is unpacked, to at most limit bytes), Intel
 * HEX; else, or when raw, the file as it is at `address`, which is its entry, too. On failure the file is empty.
 */
bool loader_file_read(LoaderFile *file, const char *path, uint64_t address, bool raw,
                      uint64_t limit, GError **error);
/* Takes the reference to content; zeroes behind it up to memory_bytes, if that is more. */
void loader_file_add(LoaderFile *file, uint64_t address, GBytes *content, uint64_t memory_bytes);
void loader_file_clear(LoaderFile *file);
/* Whether all of it is RAM or ROM. The machine lock is held, as for: */
bool loader_part_check(Machine *machine, const LoaderPart *part, GError **error);
bool loader_file_check(Machine *machine, const LoaderFile *file, GError **error);
/* Writes it, also into ROM. */
void loader_file_write(Machine *machine, const LoaderFile *file);

#endif
