/* SPDX-License-Identifier: MIT */
/* System.map, as nm prints symbols: "ffffffff81000000 T _text". Also what `nm -S` makes, with sizes. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/reader.h"
#include "debug/symbols/private.h"

enum { MAP_BYTES_MAX = 256 << 20 };

/* A number in hexadecimal, a letter, and a name; sizes between are read over. */
static bool parse_line(SymbolFile *file, const char *line, const char *end)
{
    uint64_t numbers[2] = { 0 };
    const char *at = line;

    for (unsigned i = 0; i < 2 && end - at > 2 && g_ascii_isxdigit(*at); i++) {
        char *stop;
        uint64_t number = g_ascii_strtoull(at, &stop, 16);

        if (*stop != ' ' || stop - at == 1) { /* a letter such as "A" or "D" */
            break;
        }
        numbers[i] = number;
        at = stop + 1;
    }
    if (at == line || end - at < 3 || at[1] != ' ' || !g_ascii_isgraph(*at)) {
        return false;
    }
    symbol_file_add(file, at + 2, strcspn(at + 2, " \t\r\n"), numbers[0], numbers[1], *at);
    return true;
}

static bool map_matches(const uint8_t *start, size_t size)
{
    size_t digits = 0;

    while (digits < size && g_ascii_isxdigit(start[digits])) {
        digits++;
    }
    return digits >= 8 && digits <= 16 && digits < size && start[digits] == ' ';
}

static SymbolFile *map_read(const SymbolInput *input, const uint64_t *base, GError **error)
{
    g_autofree char *name = symbol_input_name(input);
    g_autofree char *text = symbol_input_get(input, 0, input->size, MAP_BYTES_MAX);
    SymbolFile *file;

    if (!text) {
        error_fail(error, KASO_ERROR_INVALID, "file '%s' is too large for a System.map",
                   input->path);
        return NULL;
    }
    text = g_realloc(text, input->size + 1);
    text[input->size] = '\0';
    file = symbol_file_new(name, input->path, "System.map", SYMBOLS_PROGRAM);
    for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
        end = strchrnul(line, '\n');
        if (!parse_line(file, line, end)) {
            error_fail(error, KASO_ERROR_INVALID,
                       "file '%s' is no System.map: '%.*s' is not an address, a letter and a name",
                       input->path, (int)MIN(end - line, 60), line);
            symbol_file_free(file);
            return NULL;
        }
    }
    symbol_file_finish(file);
    /* Offsets within a CPU's own data come first in kernels' maps, and are no addresses. */
    if (file->end >> 63 && file->start < file->end) {
        for (guint i = 0; i < file->entries->len && !(file->start >> 63); i++) {
            file->start = g_array_index(file->entries, SymbolEntry, i).address;
        }
        file->space = SYMBOLS_KERNEL;
    } else if (symbol_file_is_upper(file)) {
        file->space = SYMBOLS_KERNEL;
    }
    if (base) {
        symbol_file_move(file, *base - file->start);
    }
    return file;
}

const SymbolReader symbol_reader_system_map = { "System.map", map_matches, map_read };
