/* SPDX-License-Identifier: MIT */
/* The headers of an ELF file, checked against its size. */
#ifndef DEBUG_SYMBOLS_ELF_H
#define DEBUG_SYMBOLS_ELF_H

#include "debug/symbols/reader.h"

typedef struct {
    uint32_t name, type;
    uint64_t flags, address, offset, size;
    uint32_t link, info;
    uint64_t align, entry;
} ElfSection;

typedef struct {
    const SymbolInput *input;
    bool ok, wide;           /* wide: 64 bit */
    bool relocatable;        /* sections have the addresses that we gave them: code from 0 on, then data */
    uint16_t machine, names; /* names: the section of sections' names */
    ElfSection *sections; /* element 0 is none */
    char *section_names;
    uint64_t section_names_bytes;
    unsigned section_count;
    uint64_t low; /* the lowest address that is loaded */
} ElfFile;

/* The input must last. */
bool elf_file_open(ElfFile *elf, const SymbolInput *input, GError **error);
void elf_file_close(ElfFile *elf);
/* The first of a type, or NULL. */
const ElfSection *elf_section_of_type(const ElfFile *elf, uint32_t type);
/* The number of the first with the name; 0. */
unsigned elf_section_named(const ElfFile *elf, const char *name);
/* uint64_t: the addresses of all symbols of a table, by its section's number; NULL. Caller unrefs. */
GArray *elf_symbol_values(const ElfFile *elf, unsigned table);

#endif
