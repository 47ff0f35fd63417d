/* SPDX-License-Identifier: MIT */
/* A set of symbols of one origin; see the header. */
#include "debug/symbols/private.h"

#include <stdlib.h>
#include <string.h>

#include "debug/dwarf/dwarf.h"

enum {
    PADDING = 16,          /* behind a function, where a call that does not return may return to */
    REACH_CODE = 64 << 10, /* of a symbol without a size, when none follows */
    REACH_DATA = 4 << 20,
};

SymbolFile *symbol_file_new(const char *name, const char *path, const char *kind, SymbolSpace space)
{
    SymbolFile *file = g_new0(SymbolFile, 1);

    file->name = g_strdup(name);
    file->path = g_strdup(path);
    file->kind = kind;
    file->space = space;
    file->entries = g_array_new(FALSE, FALSE, sizeof(SymbolEntry));
    file->names = g_string_new(NULL);
    return file;
}

const char *symbol_file_name(const SymbolFile *file)
{
    return file->name;
}

bool symbol_file_floats(const SymbolFile *file)
{
    return file->floats;
}

void symbol_file_free(SymbolFile *file)
{
    g_clear_pointer(&file->dwarf, dwarf_close);
    g_clear_pointer(&file->pieces, g_array_unref);
    g_free(file->note);
    g_array_unref(file->entries);
    g_string_free(file->names, TRUE);
    g_free(file->by_name);
    g_free(file->name);
    g_free(file->path);
    g_free(file);
}

bool symbol_file_add(SymbolFile *file, const char *name, size_t length, uint64_t address,
                     uint64_t size, char type)
{
    SymbolEntry entry = { address, MIN(size, UINT32_MAX), file->names->len, type };

    if (!length || length > SYMBOL_NAME_MAX || file->entries->len >= SYMBOLS_PER_FILE_MAX ||
        file->names->len + length >= SYMBOL_NAMES_BYTES_MAX) {
        return false;
    }
    g_string_append_len(file->names, name, length);
    g_string_append_c(file->names, '\0');
    g_array_append_val(file->entries, entry);
    return true;
}

static int compare_addresses(const void *a, const void *b)
{
    const SymbolEntry *x = a, *y = b;

    return x->address != y->address ? (x->address < y->address ? -1 : 1)
                                    : (x->name > y->name) - (x->name < y->name);
}

void symbol_file_finish(SymbolFile *file)
{
    const SymbolEntry *entries, *last;
    guint n = file->entries->len;

    g_array_sort(file->entries, compare_addresses);
    g_clear_pointer(&file->by_name, g_free);
    if (!n || file->end) {
        return;
    }
    entries = (const SymbolEntry *)file->entries->data;
    last = &entries[n - 1];
    file->start = entries[0].address;
    file->end = last->address + MAX(last->size, 1);
}

static int compare_names(const void *a, const void *b, void *opaque)
{
    const SymbolFile *file = opaque;
    const SymbolEntry *entries = (const SymbolEntry *)file->entries->data;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = strcmp(file->names->str + entries[x].name, file->names->str + entries[y].name);

    return order ? order : (x > y) - (x < y);
}

guint symbol_file_first_name(SymbolFile *file, const char *name)
{
    const SymbolEntry *entries = (const SymbolEntry *)file->entries->data;
    guint low = 0, high = file->by_name ? file->by_name_count : file->entries->len;

    if (!file->by_name) {
        file->by_name_count = high;
        file->by_name = g_new(uint32_t, MAX(high, 1));
        for (guint i = 0; i < high; i++) {
            file->by_name[i] = i;
        }
        g_qsort_with_data(file->by_name, high, sizeof *file->by_name, compare_names, file);
    }
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (strcmp(file->names->str + entries[file->by_name[middle]].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

Symbol symbol_file_symbol(const SymbolFile *file, guint index)
{
    const SymbolEntry *entries = (const SymbolEntry *)file->entries->data, *entry = &entries[index];
    Symbol symbol = { file->names->str + entry->name, entry->address, entry->size, entry->type,
                      file };

    for (guint i = index + 1; !symbol.size && i < file->entries->len; i++) {
        symbol.size = entries[i].address - entry->address;
    }
    if (!symbol.size && entry->address < file->end) {
        symbol.size = file->end - entry->address;
    }
    return symbol;
}

bool symbol_file_address(SymbolFile *file, const char *name, uint64_t *address)
{
    guint at = symbol_file_first_name(file, name);
    const SymbolEntry *entries = (const SymbolEntry *)file->entries->data;

    if (at >= file->by_name_count ||
        strcmp(file->names->str + entries[file->by_name[at]].name, name) != 0) {
        return false;
    }
    *address = entries[file->by_name[at]].address;
    return true;
}

/* Which of the names of one address people mean: a global one, of code or data, that has a size, without underscores. */
static int name_rank(const SymbolFile *file, const SymbolEntry *entry)
{
    return (entry->size != 0) * 8 + (g_ascii_isupper(entry->type) && entry->type != 'A') * 4 +
           (file->names->str[entry->name] != '_') * 2;
}

/* How far from a symbol an address may be and still belong to it. */
static uint64_t reach(const SymbolEntry *entry)
{
    if (entry->size) {
        return (uint64_t)entry->size + PADDING;
    }
    if (entry->type == 'A' || entry->type == 'a') {
        return 1; /* the end of something, as a rule */
    }
    return g_ascii_toupper(entry->type) == 'T' ? REACH_CODE : REACH_DATA;
}

bool symbol_file_at(const SymbolFile *file, uint64_t address, Symbol *symbol)
{
    const SymbolEntry *entries = (const SymbolEntry *)file->entries->data;
    guint low = 0, high = file->entries->len, best;

    if (address < file->start || address >= file->end) {
        return false;
    }
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (entries[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (!low || entries[low - 1].address < file->start) {
        return false;
    }
    best = low - 1;
    for (guint i = best; i-- > 0 && entries[i].address == entries[best].address;) {
        if (name_rank(file, &entries[i]) >= name_rank(file, &entries[best])) {
            best = i;
        }
    }
    *symbol = symbol_file_symbol(file, best);
    return address - symbol->address < reach(&entries[best]);
}

void symbol_file_move(SymbolFile *file, uint64_t offset)
{
    for (guint i = 0; i < file->entries->len; i++) {
        g_array_index(file->entries, SymbolEntry, i).address += offset;
    }
    file->start += offset;
    file->end += offset;
    file->to_physical -= offset;
    file->moved += offset;
}

void symbol_file_split(SymbolFile *file, GArray *pieces)
{
    if (!file->pieces) {
        file->whole_start = file->start;
        file->whole_end = file->end;
    }
    for (guint i = 0; i < file->entries->len; i++) {
        SymbolEntry *entry = &g_array_index(file->entries, SymbolEntry, i);

        entry->address = symbol_file_own(file, entry->address);
    }
    g_clear_pointer(&file->pieces, g_array_unref);
    file->pieces = pieces;
    for (guint i = 0; i < file->entries->len; i++) {
        SymbolEntry *entry = &g_array_index(file->entries, SymbolEntry, i);

        entry->address = symbol_file_guest(file, entry->address);
    }
    file->start = file->whole_start;
    file->end = file->whole_end;
    for (guint i = 0; pieces && i < pieces->len; i++) {
        const SymbolPiece *piece = &g_array_index(pieces, SymbolPiece, i);

        file->start = MIN(file->start, piece->start + piece->offset);
        file->end = MAX(file->end, piece->end + piece->offset);
    }
    symbol_file_finish(file);
}

uint64_t symbol_file_own(const SymbolFile *file, uint64_t address)
{
    for (guint i = 0; file->pieces && i < file->pieces->len; i++) {
        const SymbolPiece *piece = &g_array_index(file->pieces, SymbolPiece, i);

        if (address - piece->offset - piece->start < piece->end - piece->start) {
            return address - piece->offset;
        }
    }
    return address - file->moved;
}

uint64_t symbol_file_guest(const SymbolFile *file, uint64_t own)
{
    for (guint i = 0; file->pieces && i < file->pieces->len; i++) {
        const SymbolPiece *piece = &g_array_index(file->pieces, SymbolPiece, i);

        if (own >= piece->start && own < piece->end) {
            return own + piece->offset;
        }
    }
    return own + file->moved;
}

bool symbol_file_is_linux(SymbolFile *file)
{
    uint64_t address;

    return symbol_file_address(file, "linux_banner", &address) &&
           symbol_file_address(file, "kallsyms_token_table", &address);
}

bool symbol_file_is_upper(SymbolFile *file)
{
    return file->start >> 63 || (file->start >> 31 == 1 && symbol_file_is_linux(file));
}
