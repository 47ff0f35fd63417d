/* SPDX-License-Identifier: MIT */
/* How the files of debug/dwarf see a DwarfFile. */
#ifndef DEBUG_DWARF_PRIVATE_H
#define DEBUG_DWARF_PRIVATE_H

#include "debug/dwarf/constants.h"
#include "debug/dwarf/cursor.h"
#include "debug/dwarf/dwarf.h"
#include "debug/symbols/elf.h"

/* What a file may cost. Debian's kernels have 5000 units, and 600 MiB of sections when these are not compressed. */
enum {
    DWARF_SECTION_MAX = 1 << 30, /* bytes of one section */
    DWARF_UNITS_MAX = 1 << 18,
    DWARF_SPECIFICATIONS_MAX = 4 << 20, /* attributes of all abbreviations */
    DWARF_RANGES_MAX = 4 << 20,         /* of all units */
    DWARF_RANGES_PER_DIE_MAX = 1 << 16,
    DWARF_ROWS_MAX = 4 << 20,     /* source lines' rows that are kept; of one unit too */
    DWARF_SOURCES_MAX = 1 << 16,  /* of one unit */
    DWARF_NESTING_MAX = 64,       /* of scopes and types */
    DWARF_STRINGS_MAX = 64 << 20, /* bytes of strings that we have made */
};
#define DWARF_SECTION_NONE ((uint64_t)DWARF_SECTION_MAX * 4) /* an offset that no section has */

typedef enum {
    DWARF_INFO,
    DWARF_ABBREV,
    DWARF_LINE,
    DWARF_STR,
    DWARF_LINE_STR,
    DWARF_STR_OFFSETS,
    DWARF_ADDR,
    DWARF_RANGES,
    DWARF_RNGLISTS,
    DWARF_LOC,
    DWARF_LOCLISTS,
    DWARF_ARANGES,
    DWARF_FRAME,
    DWARF_EH_FRAME,
    DWARF_SECTIONS,
} DwarfSectionKind;

typedef struct {
    uint8_t *bytes; /* NULL: there is none */
    uint64_t size;
    uint64_t address; /* .eh_frame */
    bool read;
} DwarfSection;

/* Where the sections that a unit was written for begin in ours, which have those of other files behind them (split.c). */
typedef struct {
    uint64_t base[DWARF_SECTIONS];
    bool split; /* of a .dwo or .dwp file */
} DwarfPart;

typedef struct {
    uint16_t name, form;
    int64_t constant; /* of DW_FORM_implicit_const */
} DwarfSpecification;

typedef struct {
    uint64_t code;
    uint16_t tag;
    bool children;
    uint32_t first, count; /* in DwarfAbbrevs.specifications */
} DwarfAbbrev;

typedef struct {
    GArray *abbrevs; /* DwarfAbbrev, by code */
    GArray *specifications;
} DwarfAbbrevs;

typedef struct DwarfLines DwarfLines;
typedef struct DwarfFrames DwarfFrames;
typedef struct DwarfNames DwarfNames;
typedef struct DwarfTypes DwarfTypes;

typedef struct {
    DwarfFile *dwarf;
    uint64_t offset, end; /* in .debug_info */
    uint64_t first;       /* its DIE */
    uint64_t abbrev_offset, signature, signature_die;
    uint64_t dwo_id;          /* that a skeleton and its split unit share; 0: neither */
    uint32_t part;            /* in DwarfFile.parts */
    uint32_t skeleton, split; /* the other of the two, by its index + 1; 0 */
    uint8_t version, address_size, offset_size, type;
    bool rooted; /* what follows is known */
    DwarfAbbrevs *abbrevs;
    const char *name, *folder, *producer;
    const char *dwo_name; /* of a skeleton; NULL */
    uint64_t low, line_offset, ranges_base;
    bool has_lines;
    uint64_t str_offsets_base, addr_base, rnglists_base, loclists_base;
    DwarfLines *lines; /* NULL: not read, or thrown away since */
    bool no_lines;     /* tried in vain */
} DwarfUnit;

typedef struct {
    uint64_t start, end;
    uint32_t unit;
} DwarfUnitRange;

struct DwarfFile {
    SymbolInput input;
    ElfFile elf;
    DwarfFile
        *code; /* what was stripped of this file's information, and has what that lacks; NULL */
    DwarfSection sections[DWARF_SECTIONS];
    uint64_t spent, budget; /* steps of the present question */
    GArray *units;          /* DwarfUnit, by offset; NULL: not looked for */
    GArray *parts;          /* DwarfPart; the first is the file itself */
    bool has_supplement;    /* what dwz has moved into another file is behind ours, from here on */
    uint64_t supplement_info, supplement_str;
    unsigned missing;        /* units of which only the skeleton was found */
    GArray *ranges;          /* DwarfUnitRange, by start; NULL: not looked for */
    GHashTable *abbrevs;     /* offset -> DwarfAbbrevs */
    uint64_t specifications; /* of all of them */
    uint64_t rows;           /* of all DwarfLines that are kept */
    GStringChunk *strings;
    uint64_t string_bytes;
    DwarfFrames *frames;
    DwarfNames *names;
    DwarfTypes *types;
};

/* sections.c. NULL bytes: there is none, or it cannot be read. */
const DwarfSection *dwarf_section(DwarfFile *dwarf, DwarfSectionKind kind);
DwarfCursor dwarf_section_cursor(DwarfFile *dwarf, DwarfSectionKind kind, uint64_t offset);
/* Another file's section behind ours: returns where it begins. Pointers into the section are void. */
uint64_t dwarf_section_append(DwarfFile *dwarf, DwarfSectionKind kind, const ElfFile *elf,
                              bool split);
/* The string at an offset; NULL. */
const char *dwarf_section_string(DwarfFile *dwarf, DwarfSectionKind kind, uint64_t offset);
/* A copy that lasts as long as the file, the same for the same text; "" when there are too many. */
const char *dwarf_keep(DwarfFile *dwarf, const char *text);

/* Whether the present question may cost so many steps more: attributes, ranges, rows. Else what is asked for is not found. */
static inline bool dwarf_spend(DwarfFile *dwarf, uint64_t steps)
{
    dwarf->spent += steps;
    return dwarf->spent <= dwarf->budget;
}

static inline uint64_t dwarf_unit_base(const DwarfUnit *unit, DwarfSectionKind kind)
{
    return g_array_index(unit->dwarf->parts, DwarfPart, unit->part).base[kind];
}

static inline bool dwarf_unit_is_split(const DwarfUnit *unit)
{
    return g_array_index(unit->dwarf->parts, DwarfPart, unit->part).split;
}

/* --- split.c ----------------------------------------------------------------------------------- */

/* Takes in what the file keeps elsewhere: units of .dwo and .dwp files, and dwz's supplement. All of it that there is. */
void dwarf_take_others(DwarfFile *dwarf);

/* --- units.c ----------------------------------------------------------------------------------- */

typedef bool DwarfRangeFn(void *opaque, uint64_t start, uint64_t end);

GArray *dwarf_units(DwarfFile *dwarf);
/* Adds those of .debug_info's bytes from offset to end; for split.c. */
void dwarf_read_units(DwarfFile *dwarf, uint64_t offset, uint64_t end, uint32_t part);
/* The pieces of its code, as dwarf_die_ranges. */
bool dwarf_unit_ranges(DwarfUnit *unit, DwarfRangeFn *fn, void *opaque);
/* The one that an address is in; NULL. Its root is read. */
DwarfUnit *dwarf_unit_at(DwarfFile *dwarf, uint64_t address);
/* The one that an offset of .debug_info is in; NULL. */
DwarfUnit *dwarf_unit_of(DwarfFile *dwarf, uint64_t offset);
/* The type unit of a signature; NULL. */
DwarfUnit *dwarf_unit_signed(DwarfFile *dwarf, uint64_t signature);
/* Reads what its first DIE says; false: the unit is damaged. */
bool dwarf_unit_root(DwarfUnit *unit);
uint32_t dwarf_unit_index(const DwarfUnit *unit);
/* Entry `index` of .debug_addr. */
bool dwarf_unit_address(const DwarfUnit *unit, uint64_t index, uint64_t *address);

/* --- die.c ------------------------------------------------------------------------------------- */

typedef struct {
    DwarfUnit *unit;
    uint64_t offset, attributes; /* where it and its attributes begin */
    const DwarfAbbrev *abbrev;   /* NULL: the entry that ends a list of children */
    uint16_t tag;
} DwarfDie;

typedef enum {
    VALUE_NUMBER, /* a constant, a flag, an offset into a section */
    VALUE_ADDRESS,
    VALUE_STRING,
    VALUE_BLOCK,     /* also an expression */
    VALUE_REFERENCE, /* offset in .debug_info */
    VALUE_OTHER,     /* in another file, or damaged */
} DwarfValueKind;

typedef struct {
    DwarfValueKind kind;
    uint16_t form;
    uint64_t number; /* sign-extended where the form is signed */
    const char *string;
    const uint8_t *block;
    uint64_t size;
} DwarfValue;

/* false: there is none: the offset is outside of the unit, or at what cannot be a DIE. The unit's root is read. */
bool dwarf_die_at(DwarfUnit *unit, uint64_t offset, DwarfDie *die);
/* The same by any offset in .debug_info. */
bool dwarf_die_find(DwarfFile *dwarf, uint64_t offset, DwarfDie *die);
/* *next may be die itself. false: there is none. */
bool dwarf_die_child(const DwarfDie *die, DwarfDie *next);
bool dwarf_die_sibling(const DwarfDie *die, DwarfDie *next);
bool dwarf_die_value(const DwarfDie *die, unsigned name, DwarfValue *value);
/* The same, also of what the DIE is a copy or the completion of. */
bool dwarf_die_value_whole(const DwarfDie *die, unsigned name, DwarfValue *value);
bool dwarf_die_number(const DwarfDie *die, unsigned name, uint64_t *number);
const char *dwarf_die_name(const DwarfDie *die); /* whole; NULL */
/* What an attribute refers to. */
bool dwarf_die_refers(const DwarfDie *die, unsigned name, DwarfDie *to);
/* Calls fn for each piece of code of the DIE until it returns true; returns that. */
bool dwarf_die_ranges(const DwarfDie *die, DwarfRangeFn *fn, void *opaque);
bool dwarf_die_contains(const DwarfDie *die, uint64_t address);
/* Where it is entered. */
bool dwarf_die_entry(const DwarfDie *die, uint64_t *address);

/* --- scopes.c ---------------------------------------------------------------------------------- */

/* What an address is in, the outermost (a real function) first: functions, inlined ones and blocks; returns how many. */
unsigned dwarf_scopes(DwarfFile *dwarf, uint64_t address, DwarfDie scopes[DWARF_NESTING_MAX]);

/* --- lines.c ----------------------------------------------------------------------------------- */

void dwarf_lines_free(DwarfLines *lines);
/* The unit's source number `index`, as its line table counts. */
bool dwarf_unit_source(DwarfUnit *unit, uint64_t index, const char **source, const char **folder);

void dwarf_abbrevs_free(gpointer abbrevs);
/* The unit's abbreviations, read once for all units that share them; NULL. */
DwarfAbbrevs *dwarf_abbrevs(DwarfFile *dwarf, uint64_t offset);
const DwarfAbbrev *dwarf_abbrev(const DwarfAbbrevs *abbrevs, uint64_t code);

#endif
