/* SPDX-License-Identifier: MIT */
/* A unit's line table. */
#ifndef DEBUG_DWARF_LINES_H
#define DEBUG_DWARF_LINES_H

#include "debug/dwarf/private.h"

enum { ROW_STATEMENT = 1, ROW_PROLOGUE_END = 2, ROW_END = 4 };

typedef struct {
    uint64_t address;
    uint32_t line;
    uint16_t file;
    uint8_t flags;
} DwarfRow;

/* Rows in the order of their addresses; the last is ROW_END and has no code. */
typedef struct {
    uint64_t start, end;
    uint32_t first, count;
} DwarfSequence;

typedef struct {
    const char *name; /* in the section */
    const char *source, *folder; /* as in DwarfLine; NULL: not made yet */
    uint32_t folder_index;
} DwarfSource;

struct DwarfLines {
    DwarfUnit *unit;
    GArray *folders; /* const char * */
    GArray *sources; /* DwarfSource; from 1 on before DWARF 5, where element 0 is empty */
    GArray *rows;      /* DwarfRow; NULL: not read */
    GArray *sequences; /* by start */
    /* of the header, for the program */
    uint8_t minimum_length, opcode_base, line_range, operands[256];
    int8_t line_base;
    bool default_statement;
    DwarfCursor program;
};

/* The unit's table, rows of it if these are wanted; NULL: there is none. Good until the next call. */
DwarfLines *dwarf_unit_lines(DwarfUnit *unit, bool rows);
/* The last row that is not behind the address, and its sequence; NULL. */
const DwarfRow *dwarf_lines_row(const DwarfLines *lines, uint64_t address,
                                const DwarfSequence **sequence);
/* Fills in source and folder; NULL: there is no such. */
const DwarfSource *dwarf_lines_source(DwarfLines *lines, uint64_t index);

#endif
