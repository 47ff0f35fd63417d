/* SPDX-License-Identifier: MIT */
/* The headers of an ELF file, checked against its size. */
#ifndef DEBUG_SYMBOLS_ELF_H
#define DEBUG_SYMBOLS_ELF_H

#include "debug/symbols/reader.h"

typedef struct {
    uint32_t name, type;
    uint64_t flags, address, offset, size;
    uint32_t link;
    uint64_t entry;
} ElfSection;

typedef struct {
    const SymbolInput *input;
    bool ok, wide;           /* wide: 64 bit */
    uint16_t machine, names; /* names: the section of sections' names */
    ElfSection *sections;
    unsigned section_count;
    uint64_t low; /* the lowest address that is loaded */
} ElfFile;

/* The input must last. */
bool elf_file_open(ElfFile *elf, const SymbolInput *input, GError **error);
void elf_file_close(ElfFile *elf);
/* The first of a type, or NULL. */
const ElfSection *elf_section_of_type(const ElfFile *elf, uint32_t type);

#endif
