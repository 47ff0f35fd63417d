/* SPDX-License-Identifier: MIT */
/* The readers of symbol files, one for each format. Files may be hostile: all that is read is bounded and checked. */
#ifndef DEBUG_SYMBOLS_READER_H
#define DEBUG_SYMBOLS_READER_H

#include "debug/symbols/file.h"

/* An open file. */
typedef struct {
    const char *path;
    int fd;
    uint64_t size;
} SymbolInput;

/* The path must last. */
bool symbol_input_open(SymbolInput *input, const char *path, GError **error);
void symbol_input_close(SymbolInput *input);
/* Reads exactly that; false: the file is shorter, or cannot be read. */
bool symbol_input_read(const SymbolInput *input, uint64_t offset, void *buffer, size_t size);
/* The same into memory of its own, of at most `max` bytes; NULL. Caller frees. */
void *symbol_input_get(const SymbolInput *input, uint64_t offset, uint64_t size, uint64_t max);

typedef struct {
    const char *name;
    /* Whether the first bytes of a file are of this format. */
    bool (*matches)(const uint8_t *start, size_t size);
    /* base: as for symbols_add. NULL with an error. */
    SymbolFile *(*read)(const SymbolInput *input, const uint64_t *base, GError **error);
} SymbolReader;

extern const SymbolReader symbol_reader_elf, symbol_reader_pe, symbol_reader_system_map;

/* The last part of a path; caller frees. */
char *symbol_input_name(const SymbolInput *input);

#endif
