/* SPDX-License-Identifier: MIT */
/* Symbols that a kernel exports to modules: of kernels whose kallsyms has only code, the data that can be named. */
#ifndef DEBUG_LINUX_EXPORTS_H
#define DEBUG_LINUX_EXPORTS_H

#include "debug/symbols/file.h"

/*
 * Adds those exports whose names the file does not have yet. image: as much of the kernel's memory as is known, which begins at a
 * guest virtual address. The file is not finished after that.
 */
void linux_exports_add(SymbolFile *file, const uint8_t *image, uint64_t size, uint64_t start);

#endif
