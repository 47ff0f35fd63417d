/* SPDX-License-Identifier: MIT */
/*
 * Symbols of what a guest runs: names to addresses and back, from files that the user names and from what is
 * recognised in guest memory (a Linux kernel and its modules, firmware images). One store per machine.
 *
 * All functions are called with the machine lock held, and park the vCPUs while they read guest memory (which gives the
 * lock up for a moment). What they return by pointer is good until the next call of this header.
 *
 * What was recognised in memory is looked up again when a name or an address is not known and the guest has run for a while since, and
 * is forgotten at each reset of the machine. Files that the user added stay.
 */
#ifndef DEBUG_SYMBOLS_SYMBOLS_H
#define DEBUG_SYMBOLS_SYMBOLS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"

/* Whose addresses a file's symbols are. */
typedef enum {
    SYMBOLS_KERNEL,   /* the kernel's half of virtual memory, in every process */
    SYMBOLS_MODULE,   /* the same, of code that the kernel has loaded */
    SYMBOLS_FIRMWARE, /* where addresses map to themselves, or nothing is mapped */
    SYMBOLS_PROGRAM,  /* of whatever process runs: only the user knows */
    SYMBOLS_SPACE_COUNT,
} SymbolSpace;
const char *symbol_space_name(SymbolSpace space);

typedef struct SymbolFile SymbolFile;
const char *symbol_file_name(const SymbolFile *file);
/* It is a kernel's whose place in memory is not known yet: its addresses are those that it was linked to, and no place to stop at. */
bool symbol_file_floats(const SymbolFile *file);

typedef struct {
    const char *name;
    uint64_t address; /* guest virtual */
    uint64_t size;    /* in bytes; up to the next symbol when its file does not tell */
    char type;        /* nm's letter, '?' when not known */
    const SymbolFile *file;
} Symbol;

/* What there is, for lists. */
typedef struct {
    unsigned number;  /* of this file for as long as it is there, from 1 */
    const char *name; /* "vmlinux", "virtio_net", "DxeCore" */
    const char *path; /* of the file, or where in memory it was found; may be NULL */
    const char *kind; /* "ELF", "kallsyms", "PE" … */
    SymbolSpace space;
    uint64_t start, end; /* addresses that belong to it; end is the first that does not */
    unsigned count;      /* of symbols */
    bool lines;          /* knows source lines */
    unsigned
        missing_units; /* whose types and variables are in .dwo files that were not found, as far as is known */
    bool by_user;
    bool waits;       /* it is not used, for the reason in note */
    const char *note; /* what is to be said of its place; may be NULL */
} SymbolFileInfo;

/*
 * Symbols of exactly that name, at most `max`; returns how many there are in all. "FILE!NAME" looks in one file only: "virtio_net!init".
 * vcpu: whose address space is meant, for programs and firmware; NULL: any.
 */
unsigned symbols_find(Machine *machine, Vcpu *vcpu, const char *name, Symbol *found, unsigned max);
/* The one address of a name: all symbols of that name are there. Else an error that says what was found. */
bool symbols_address(Machine *machine, Vcpu *vcpu, const char *name, uint64_t *address,
                     GError **error);
/*
 * Where the symbol is in guest physical memory, when that is known without page tables: a kernel's image, which is in
 * one piece, also before it has switched its paging on and whatever KASLR does afterwards.
 */
bool symbols_physical(Machine *machine, const Symbol *symbol, uint64_t *guest_phys);
/* The symbol that an address of the vCPU (NULL: any) is in; false: it is in none. */
bool symbols_at(Machine *machine, Vcpu *vcpu, uint64_t address, Symbol *symbol);
/* "start_kernel+0x10", with " [FILE]" behind it unless that is the kernel; NULL: nothing is known. Caller frees. */
char *symbols_describe(Machine *machine, Vcpu *vcpu, uint64_t address);
/* A place in source code. */
typedef struct {
    const char *source; /* "init/main.c": relative to `folder` where that makes it shorter */
    const char *folder; /* where the compiler ran; may be "" */
    unsigned line;
    uint64_t start, end; /* the code around the address that belongs to it */
    bool statement;      /* start is a place to stop at for this line */
} SourceLine;
/* The source line of an address. */
bool symbols_line(Machine *machine, Vcpu *vcpu, uint64_t address, SourceLine *line);
/*
 * Where the code of a line begins, at most `max` addresses: of the first line from `line` on that has code, in each function and each inlined
 * copy once; of files that do not float. source: the end of a path, by whole names ("init/main.c", "main.c"). Returns how many; *line becomes
 * the line that was meant.
 */
unsigned symbols_line_addresses(Machine *machine, const char *source, unsigned *line,
                                uint64_t *addresses, unsigned max);
/*
 * Calls fn for each piece of code and its line: of a file (by its number; 0: of all that do not float or wait), of sources that are meant by the end of
 * their path (NULL: of all), of units for whose code wanted (NULL: of all) is true of any piece.
 */
typedef bool SourceWantedFn(void *opaque, uint64_t start, uint64_t end);
typedef void SourceLineFn(void *opaque, const SourceLine *line);
void symbols_each_line(Machine *machine, unsigned number, const char *source,
                       SourceWantedFn *wanted, SourceLineFn *fn, void *opaque);
/* A source that is known by the end of its path: its source and folder. */
bool symbols_source(Machine *machine, const char *source, SourceLine *line);
/*
 * Where to stop in a function that begins at the address: behind what sets its frame up, where lines are known and the compiler did not optimize
 * (then arguments are where the debugging information says from the start); else the address.
 */
uint64_t symbols_behind_prologue(Machine *machine, Vcpu *vcpu, uint64_t address);

/* A function around an address, as in debug/dwarf/dwarf.h. */
typedef struct {
    const char *name;
    uint64_t id; /* of this function or inlined copy, within its file */
    uint64_t entry;
    bool inlined;
    SourceLine call; /* where it was inlined: source, folder and line */
} SourceFunction;
enum { SOURCE_FUNCTIONS_MAX = 32 };
/* Innermost first, the one that was really called last; 0: not known. */
unsigned symbols_functions(Machine *machine, Vcpu *vcpu, uint64_t address,
                           SourceFunction functions[SOURCE_FUNCTIONS_MAX]);

/* Calls fn for each symbol of a file, by address. */
void symbols_each(Machine *machine, unsigned number, void (*fn)(void *opaque, const Symbol *),
                  void *opaque);

/* Names that begin so, each once, at most max; for completion. Strings are the caller's. */
void symbols_complete(Machine *machine, const char *prefix, unsigned max, GPtrArray *names);
/* Calls fn for each symbol whose name matches the pattern ("*" and "?" as in file names) until it returns false. */
void symbols_match(Machine *machine, const char *pattern, bool (*fn)(void *opaque, const Symbol *),
                   void *opaque);

/*
 * Looks into guest memory now for what can be recognised there, unless nothing has run since the last look. Returns true when
 * symbols came or went. A debugger whose breakpoint waits for a name calls it when the guest has changed: after a reset, when paging is
 * switched on, at a pause.
 */
bool symbols_refresh(Machine *machine);
/* Forgets what was recognised in guest memory, which may be megabytes, and their numbers: the next question looks anew. */
void symbols_forget(Machine *machine);
/*
 * Whether an address is in a file of a user's that is taken to be where it was linked to be, and may yet move itself, as firmware does. *end: of the file.
 */
bool symbols_may_move(Machine *machine, uint64_t address, uint64_t *end);
/* Counts changes of what there is. */
unsigned symbols_generation(Machine *machine);
/* Calls fn after each change; with the machine lock held, on the main loop's thread, vCPUs perhaps running. */
void symbols_on_change(Machine *machine, void (*fn)(void *opaque), void *opaque);

/*
 * Adds a file: ELF, PE or COFF, or a System.map. base: where its first loaded byte is (ELF: the lowest PT_LOAD or section, PE: the image,
 * System.map: the lowest symbol); NULL: where it is found in guest memory, by now or later (a kernel, its modules, firmware that moves
 * itself), else at its own addresses. A file of another kernel than the one in memory is kept, and not used. *number: as in SymbolFileInfo.
 */
bool symbols_add(Machine *machine, const char *path, const uint64_t *base, unsigned *number,
                 GError **error);
/*
 * The same of a file with debugging information alone that is to be called `name` (NULL: by its path). code: path of the file that it was taken
 * from; NULL: that is not there.
 */
bool symbols_add_separate(Machine *machine, const char *path, const char *name, const char *code,
                          const uint64_t *base, unsigned *number, GError **error);
/*
 * A folder of symbol files: those of firmware's images are looked for there, by the path that their linker wrote down or any end of it. What is in memory
 * is looked at anew.
 */
bool symbols_add_folder(Machine *machine, const char *folder, GError **error);
/* The folders; NULL ends. */
const char *const *symbols_folders(Machine *machine);
/* By number or name. */
bool symbols_remove(Machine *machine, const char *which, GError **error);
/* SymbolFileInfo of all; caller unrefs. Strings are good as above. */
GArray *symbols_list(Machine *machine);

#endif
