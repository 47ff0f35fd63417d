/* SPDX-License-Identifier: MIT */
/*
 * A set of symbols of one origin, for those who make them: readers of files and recognisers of what is in guest
 * memory. Machine lock held, as for symbols.h.
 */
#ifndef DEBUG_SYMBOLS_FILE_H
#define DEBUG_SYMBOLS_FILE_H

#include "base/registry.h"
#include "debug/symbols/symbols.h"

/* More than any kernel has; also what one file may cost. */
enum { SYMBOLS_PER_FILE_MAX = 4 << 20, SYMBOL_NAME_MAX = 4096, SYMBOL_NAMES_BYTES_MAX = 256 << 20 };

typedef struct {
    uint64_t address;
    uint32_t size; /* 0: up to the next */
    uint32_t name; /* in SymbolFile.names */
    char type;
} SymbolEntry;

/* A piece of a file's addresses that was moved on its own: a section of a kernel's module, a part of firmware. */
typedef struct {
    uint64_t start, end, offset; /* start and end are as in the file */
} SymbolPiece;

struct SymbolFile {
    unsigned number;
    char *name, *path;
    const char *kind;
    SymbolSpace space;
    uint64_t start, end;
    bool by_user;
    bool based;               /* the user said where it is */
    bool floats;              /* a kernel's that is not in memory yet: its addresses are those before KASLR */
    bool waits;               /* it is nowhere yet, or of another build than what is in memory: not used */
    char *note;               /* what is to be said of its place; may be NULL */
    bool has_physical; /* guest_phys = address + to_physical */
    uint64_t to_physical;
    GArray *entries;          /* SymbolEntry, by address */
    GString *names;           /* with their NULs */
    uint32_t *by_name;        /* indexes of entries, by name; made when first needed, of those there are then */
    uint32_t by_name_count;
    struct DwarfFile *dwarf;  /* its debugging information, which has the file's own addresses; may be NULL */
    uint64_t moved;           /* added to the file's own addresses … */
    GArray *pieces;           /* … that are in no SymbolPiece of these; may be NULL */
    uint64_t whole_start, whole_end; /* start and end as they were before there were pieces */
};

SymbolFile *symbol_file_new(const char *name, const char *path, const char *kind,
                            SymbolSpace space);
void symbol_file_free(SymbolFile *file);
/* false: there are too many, or the name is empty or too long; it is left out. */
bool symbol_file_add(SymbolFile *file, const char *name, size_t length, uint64_t address,
                     uint64_t size, char type);
/*
 * After the last, and again after more: sorts, and takes start and end from the symbols unless they are set (end not 0). Symbols outside are only
 * found by name.
 */
void symbol_file_finish(SymbolFile *file);
/* The address of the first symbol of that name. */
bool symbol_file_address(SymbolFile *file, const char *name, uint64_t *address);
/* Adds to all addresses. */
void symbol_file_move(SymbolFile *file, uint64_t offset);
/*
 * Moves these pieces (SymbolPiece; the file's from here on) on their own, and what is in none of them by `moved`. NULL: the file is in one piece
 * again.
 */
void symbol_file_split(SymbolFile *file, GArray *pieces);
/* From addresses of the guest to the file's own, and back. */
uint64_t symbol_file_own(const SymbolFile *file, uint64_t address);
uint64_t symbol_file_guest(const SymbolFile *file, uint64_t own);

/* The store owns it from here on. */
void symbols_take(Machine *machine, SymbolFile *file);
/* Removes and frees it. */
void symbols_drop(Machine *machine, SymbolFile *file);
/* File `number` if it is still there. */
SymbolFile *symbols_file(Machine *machine, unsigned number);

/*
 * The file whose debugging information speaks of an address of the vCPU (NULL: any), which becomes the file's own (behind what tracers patch, see
 * dwarf_behind_patched); NULL. Begins a question (dwarf_begin).
 */
SymbolFile *symbols_dwarf_at(Machine *machine, Vcpu *vcpu, uint64_t *address);

/* Looks for something it knows in guest memory. */
typedef struct {
    const char *name; /* "linux" */
    /* Takes and drops symbol files. vCPUs are parked. */
    void (*look)(Machine *machine);
    /* All of it is gone: the machine was reset. */
    void (*forget)(Machine *machine);
} SymbolRecogniser;
#define SYMBOL_RECOGNISER(object) REGISTRY_ADD(symbol_recognisers, object)
REGISTRY_DECLARE(symbol_recognisers, SymbolRecogniser);

/* The file that a path means in the user's folders; NULL: there is none. Caller frees. */
char *symbols_find_file(Machine *machine, const char *path);
/* Whether the code of an ELF file is in memory where the file is now. vCPUs are parked. */
bool symbol_file_is_there(Machine *machine, SymbolFile *file);

/* symbols_add's reader; NULL with an error. */
SymbolFile *symbol_file_read(const char *path, const uint64_t *base, GError **error);

#endif
