/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory and CPUs as an ELF core file, for crash, gdb and drgn: a note for each CPU, the kernel's own notes where vmcoreinfo
 * tells of them, and a segment for each piece of RAM, by physical addresses.
 */
#ifndef DEBUG_CORE_FILE_H
#define DEBUG_CORE_FILE_H

#include "machine/machine.h"

typedef struct {
    int fd;                 /* written from where it stands; what is zero becomes a hole in a regular file */
    uint64_t begin, length; /* guest physical memory to be written; length 0: all */
    const uint8_t *kernel_note; /* NULL: none */
    size_t kernel_note_size;
} CoreFile;

/* How many bytes it will have; 0: the range holds no RAM. */
uint64_t core_file_size(Machine *machine, const CoreFile *file);
/* With the machine lock held and the vCPUs parked. */
bool core_file_write(Machine *machine, const CoreFile *file, GError **error);

#endif
