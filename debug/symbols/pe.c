/* SPDX-License-Identifier: MIT */
/* Symbols of PE and COFF files: COFF's symbol table, which gcc and older linkers write. A PDB's are not read. */
#include "debug/symbols/pe.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/symbols/reader.h"

enum {
    COFF_SYMBOL_BYTES = 18,
    COFF_CLASS_EXTERNAL = 2,
    COFF_CLASS_STATIC = 3,
    COFF_STRINGS_MAX = 64 << 20
};

static bool pe_matches(const uint8_t *start, size_t size)
{
    return size >= 2 && (!memcmp(start, "MZ", 2) || !memcmp(start, "VZ", 2) ||
                         (size >= 4 && !memcmp(start, "PE\0\0", 4)));
}

static bool read_file(void *opaque, uint64_t offset, void *buffer, size_t size)
{
    return symbol_input_read(opaque, offset, buffer, size);
}

static void add_symbol(SymbolFile *file, const PeImage *image, const uint8_t *symbol,
                       const char *strings, uint32_t string_bytes)
{
    unsigned section = load_le16(symbol + 12);
    const char *name = (const char *)symbol;
    size_t length = strnlen(name, 8);
    const PeSection *place;

    if (!load_le32(symbol)) {
        uint32_t offset = load_le32(symbol + 4);

        if (offset >= string_bytes) {
            return;
        }
        name = strings + offset;
        length = strnlen(name, string_bytes - offset);
    }
    /* Static symbols at a section's start with its name are the section itself. */
    if (!section || section > image->section_count || name[0] == '.' ||
        (symbol[16] != COFF_CLASS_EXTERNAL && symbol[16] != COFF_CLASS_STATIC)) {
        return;
    }
    place = &image->sections[section - 1];
    symbol_file_add(file, name, length, image->base + place->address + load_le32(symbol + 8), 0,
                    (place->code       ? 't'
                     : place->writable ? 'd'
                                       : 'r') -
                        (symbol[16] == COFF_CLASS_EXTERNAL ? 32 : 0));
}

static void add_symbols(SymbolFile *file, const SymbolInput *input, const PeImage *image)
{
    uint64_t bytes = (uint64_t)image->symbol_count * COFF_SYMBOL_BYTES;
    g_autofree uint8_t *table =
        image->symbols ? symbol_input_get(input, image->symbols, bytes,
                                          (uint64_t)SYMBOLS_PER_FILE_MAX * COFF_SYMBOL_BYTES)
                       : NULL;
    g_autofree char *strings = NULL;
    uint32_t string_bytes = 0;

    if (!table) {
        return;
    }
    if (symbol_input_read(input, image->symbols + bytes, &string_bytes, 4)) {
        strings = symbol_input_get(input, image->symbols + bytes, string_bytes, COFF_STRINGS_MAX);
        string_bytes = strings ? string_bytes : 0;
    }
    for (uint64_t i = 0; i < image->symbol_count;) {
        const uint8_t *symbol = table + i * COFF_SYMBOL_BYTES;

        add_symbol(file, image, symbol, strings, string_bytes);
        i += 1 + symbol[17]; /* auxiliary records follow */
    }
}

static SymbolFile *pe_read(const SymbolInput *input, const uint64_t *base, GError **error)
{
    g_autofree char *name = NULL;
    SymbolFile *file;
    PeImage image;

    if (!pe_parse(&image, read_file, (void *)input, false)) {
        error_fail(error, KASO_ERROR_INVALID, "file '%s' is a damaged PE file", input->path);
        return NULL;
    }
    name = pe_name(&image);
    name = name ? name : symbol_input_name(input);
    file = symbol_file_new(name, input->path, "PE", SYMBOLS_PROGRAM);
    add_symbols(file, input, &image);
    if (image.entry) {
        symbol_file_add(file, "_ModuleEntryPoint", 17, image.base + image.entry, 0, 'T');
    }
    file->start = image.base;
    file->end = image.base + image.size;
    symbol_file_finish(file);
    if (base) {
        symbol_file_move(file, *base - image.base);
    }
    return file;
}

const SymbolReader symbol_reader_pe = { "PE", pe_matches, pe_read };
