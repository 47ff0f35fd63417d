/* SPDX-License-Identifier: MIT */
/*
 * What compilers tell debuggers of a program (DWARF 2 to 5), from an ELF file. All addresses are the file's: as it was linked, and for a
 * relocatable file as elf.h lays out its sections. Nothing is read before it is asked for, and units one by one.
 *
 * Files may be hostile: what is damaged is as if it were not there. Time is bounded by dwarf_begin, memory by the sections' size and the
 * limits in private.h.
 *
 * Strings are good as long as the DwarfFile.
 */
#ifndef DEBUG_DWARF_DWARF_H
#define DEBUG_DWARF_DWARF_H

#include <glib.h>

#include "debug/symbols/reader.h"

typedef struct DwarfFile DwarfFile;

/* NULL: it is no ELF file. Keeps the file open, which may change or go away meanwhile. */
DwarfFile *dwarf_open(const SymbolInput *input);
void dwarf_close(DwarfFile *dwarf);
/* For a file of debugging information alone: the file that it was taken from, which has the code and the frame information. */
void dwarf_take_code(DwarfFile *dwarf, const SymbolInput *input);
/* Begins a question: all calls up to the next one together take no more steps than a few for each byte of the file. */
void dwarf_begin(DwarfFile *dwarf);
/* Whether the file has anything of the kind; else only its code and sections are known. */
bool dwarf_has_information(const DwarfFile *dwarf);
/* Whether there are source lines; else there is what unwinding needs only. */
bool dwarf_has_lines(const DwarfFile *dwarf);

/* Of how many of its units the entries are in .dwo files that were not found, as far as they have been looked for. */
unsigned dwarf_missing_units(const DwarfFile *dwarf);

/* Whether it is an object file or a kernel's module. */
bool dwarf_is_relocatable(const DwarfFile *dwarf);
typedef struct {
    uint64_t start, end;
} DwarfRange;
/* DwarfRange of what is loaded: the file's sections. Caller unrefs. */
GArray *dwarf_sections(const DwarfFile *dwarf);
/* Bytes of a section as they are in the file. */
bool dwarf_code(const DwarfFile *dwarf, uint64_t address, void *buffer, size_t size);

/* A place in source code. */
typedef struct {
    const char *source; /* relative to `folder` where that makes it shorter */
    const char *folder; /* where the compiler ran; may be "" */
    unsigned line;
    uint64_t start, end; /* the code around the address that belongs to it */
    bool statement;      /* start is a place to stop at for this line */
} DwarfLine;

bool dwarf_line(DwarfFile *dwarf, uint64_t address, DwarfLine *line);
/*
 * Where to stop for a line, as symbols_line_addresses: one address in each function, or inlined copy of one, that has code of the
 * first line from *line on that has any. Fills path with one of the sources that were meant.
 */
unsigned dwarf_line_addresses(DwarfFile *dwarf, const char *source, unsigned *line,
                              uint64_t *addresses, unsigned max);
/*
 * Calls fn for each piece of code and its line, unit by unit. source: of sources that are meant by the end of their path; NULL: of all. wanted: of units
 * for whose code it is true of any piece; NULL: of all.
 */
typedef bool DwarfWantedFn(void *opaque, uint64_t start, uint64_t end);
typedef void DwarfLineFn(void *opaque, const DwarfLine *line);
void dwarf_each_line(DwarfFile *dwarf, const char *source, DwarfWantedFn *wanted, DwarfLineFn *fn,
                     void *opaque);
/* A source by the end of its path, for listing it. */
bool dwarf_source(DwarfFile *dwarf, const char *source, DwarfLine *line);
/* Where the function that begins at the address has set up its frame; the address itself when that is not known or there is no need. */
uint64_t dwarf_behind_prologue(DwarfFile *dwarf, uint64_t address);

/*
 * Some compilers leave the instructions that a tracer patches, before a function's first line, out of its debugging information. entry, size: of the
 * function's symbol. For an address in these: where the information has the function begin; else the address.
 */
uint64_t dwarf_behind_patched(DwarfFile *dwarf, uint64_t entry, uint64_t size, uint64_t address);

/* A function around an address: a real one, or one that was inlined. */
typedef struct {
    const char *name;
    uint64_t unit, die; /* identify it; offsets */
    uint64_t entry;     /* its lowest address */
    /* Where it was inlined; NULL and 0: a real function. */
    const char *call_source, *call_folder;
    unsigned call_line;
} DwarfFunction;

enum { DWARF_FUNCTIONS_MAX = 32 };
/* Innermost first, the real one last; returns how many. */
unsigned dwarf_functions(DwarfFile *dwarf, uint64_t address,
                         DwarfFunction functions[DWARF_FUNCTIONS_MAX]);

/* --- frames ------------------------------------------------------------------------------------ */

enum {
    DWARF_REGISTERS = 72
}; /* by DWARF's numbers for the machine; vector registers beyond are not kept */

typedef struct {
    uint64_t value[DWARF_REGISTERS];
    bool known[DWARF_REGISTERS];
} DwarfRegisters;

/* A function's frame in a guest. */
typedef struct {
    DwarfRegisters registers;
    uint64_t cfa; /* the stack pointer before the call */
    bool has_cfa;
    void *opaque;
    /* Guest memory at the guest's addresses. */
    bool (*read)(void *opaque, uint64_t address, void *buffer, size_t size);
    /* From the file's addresses to the guest's. */
    uint64_t (*to_guest)(void *opaque, uint64_t own);
    DwarfFile *dwarf;
    /* For expressions: what they belong to; NULL: to no unit, no function. */
    void *unit;
    const uint8_t *base;
    uint64_t base_size;
    unsigned depth;
} DwarfFrame;

/*
 * One step up, by the frame information for an address (within the call, for a caller's frame). *interrupted: *pc is exact, and no return address. Sets
 * the frame's cfa. END: nobody has called it.
 */
typedef enum { UNWIND_UNKNOWN, UNWIND_STEP, UNWIND_END } DwarfUnwind;
DwarfUnwind dwarf_unwind(DwarfFile *dwarf, uint64_t address, DwarfFrame *frame,
                         DwarfRegisters *caller, uint64_t *pc, bool *interrupted);
/* EM_* of elf.h. */
unsigned dwarf_machine(const DwarfFile *dwarf);
/* The names of registers by DWARF's numbers, as our targets call them; NULL ends. NULL: that machine is not known. */
const char *const *dwarf_register_names(unsigned elf_machine);

#endif
