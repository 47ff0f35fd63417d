/* SPDX-License-Identifier: MIT */
/*
 * Types and variables of a DWARF file. Types become a Types table (debug/types.h) that is read as it is looked at: a structure's members when
 * somebody asks for them.
 */
#ifndef DEBUG_DWARF_TYPES_H
#define DEBUG_DWARF_TYPES_H

#include "debug/dwarf/evaluate.h"
#include "debug/types.h"

/* The file's table, made when it is first asked for; lives as long as the file. */
Types *dwarf_types(DwarfFile *dwarf);

typedef struct {
    const char *name;
    uint32_t type;   /* in dwarf_types */
    bool argument;
    bool known;      /* where it is; else it was optimized out, or lies where nobody can tell */
    DwarfLocation location;
} DwarfVariable;

/* A variable of the whole program; of those that are private to a unit, the one of the unit at `address` first. */
bool dwarf_global(DwarfFile *dwarf, const char *name, uint64_t address, DwarfFrame *frame,
                  DwarfVariable *variable);
/*
 * DwarfVariable of a function at an address: of its blocks around it, the innermost first. depth: of dwarf_functions. Takes the frame's cfa and base. Caller
 * unrefs.
 */
GArray *dwarf_locals(DwarfFile *dwarf, uint64_t address, unsigned depth, DwarfFrame *frame);

/* --- for debug/dwarf --------------------------------------------------------------------------- */

/* names.c: where the program's types and variables are defined, by one walk over its units. */
typedef enum { NAMES_STRUCT, NAMES_UNION, NAMES_ENUM, NAMES_TYPEDEF, NAMES_BASE, NAMES_VARIABLE,
               NAMES_KINDS } DwarfNameKind;
/* The offset of the DIE; 0: there is none. */
uint64_t dwarf_name(DwarfFile *dwarf, DwarfNameKind kind, const char *name);
void dwarf_names_free(DwarfNames *names);
/* types.c: the number of the type at an offset in .debug_info. */
uint32_t dwarf_type_number(DwarfFile *dwarf, uint64_t offset);
/* What DW_AT_type of a DIE is; TYPES_NONE: void. */
uint32_t dwarf_type_of(const DwarfDie *die);
void dwarf_types_free(DwarfTypes *types);

#endif
