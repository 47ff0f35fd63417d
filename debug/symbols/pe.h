/* SPDX-License-Identifier: MIT */
/* What a PE image tells of itself, in a file or as it was loaded into memory. */
#ifndef DEBUG_SYMBOLS_PE_H
#define DEBUG_SYMBOLS_PE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PE_PDB_MAX = 512, PE_SECTIONS_MAX = 96 };

typedef struct {
    uint32_t address, memory_size, offset, file_size; /* address: relative to the image */
    bool code, writable;
} PeSection;

typedef struct {
    uint16_t machine;
    uint64_t base;                  /* where the image was linked to be */
    uint32_t size;                  /* in memory */
    uint32_t entry;                 /* relative to the image */
    uint32_t symbols, symbol_count; /* COFF's table: its offset in the file */
    PeSection sections[PE_SECTIONS_MAX];
    unsigned section_count;
    char pdb[PE_PDB_MAX]; /* the debug file's path as the linker wrote it; "": none */
} PeImage;

/* Reads exactly that, at an offset of the file (or of the image in memory). */
typedef bool PeRead(void *opaque, uint64_t offset, void *buffer, size_t size);

/* loaded: sections are where the image has them in memory. false: it is none, or damaged. TE images (without the PE header) too. */
bool pe_parse(PeImage *image, PeRead *read, void *opaque, bool loaded);
/* A short name by the debug file's path: "DxeCore" for "…/DxeCore.dll", or NULL. Caller frees. */
char *pe_name(const PeImage *image);

#endif
