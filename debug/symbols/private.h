/* SPDX-License-Identifier: MIT */
/* How the store looks into a symbol file. */
#ifndef DEBUG_SYMBOLS_PRIVATE_H
#define DEBUG_SYMBOLS_PRIVATE_H

#include "debug/symbols/file.h"

/* The place in by_name of the first symbol whose name is not before `name`; makes by_name. */
guint symbol_file_first_name(SymbolFile *file, const char *name);
/* Symbol `index` of entries. */
Symbol symbol_file_symbol(const SymbolFile *file, guint index);
/* The symbol that an address within [start, end) belongs to. */
bool symbol_file_at(const SymbolFile *file, uint64_t address, Symbol *symbol);

/* SymbolFile *, in the order of their numbers. */
const GPtrArray *symbols_files(Machine *machine);
/* Whether the symbols of a file are where the vCPU (NULL: any) would reach them now. */
bool symbol_file_applies(const SymbolFile *file, Vcpu *vcpu, uint64_t address);

/*
 * place.c: finds where files of the user's are that were added without a base, as far as guest memory tells by now. true: some have
 * moved. vCPUs are parked.
 */
bool symbols_place(Machine *machine);

/* Whether it is a Linux kernel's: such are recognised in memory, too; other kernels are where they were linked to be. */
bool symbol_file_is_linux(SymbolFile *file);
/* Whether its addresses are in the upper half of memory, which is a kernel's: with 32 bits, Linux's alone is taken for one. */
bool symbol_file_is_upper(SymbolFile *file);

#endif
