/* SPDX-License-Identifier: MIT */
/* From addresses to source lines, and back. */
#include "debug/dwarf/lines.h"

static const DwarfSequence *find_sequence(const DwarfLines *lines, uint64_t address)
{
    guint low = 0, high = lines->sequences->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(lines->sequences, DwarfSequence, middle).start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Those of code that was thrown away may lie over others. */
    for (unsigned i = 0; low && i < 16; i++, low--) {
        const DwarfSequence *sequence = &g_array_index(lines->sequences, DwarfSequence, low - 1);

        if (address < sequence->end) {
            return sequence;
        }
    }
    return NULL;
}

/*
 * Of rows at one address the last has the code; optimizing compilers put the beginning of a statement before it, and behind that what its first
 * instruction was made from. There the line is the statement's.
 */
static const DwarfRow *statement_there(const DwarfRow *first, const DwarfRow *row)
{
    const DwarfRow *at = row;

    while (!(at->flags & ROW_STATEMENT) && at > first && at[-1].address == row->address &&
           at[-1].line) {
        at--;
    }
    return at->flags & ROW_STATEMENT ? at : row;
}

const DwarfRow *dwarf_lines_row(const DwarfLines *lines, uint64_t address,
                                const DwarfSequence **found)
{
    const DwarfSequence *sequence = find_sequence(lines, address);
    const DwarfRow *rows;
    uint32_t low = 0, high;

    if (!sequence) {
        return NULL;
    }
    rows = &g_array_index(lines->rows, DwarfRow, sequence->first);
    high = sequence->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (rows[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = sequence;
    /* Code of no line belongs to the one before. */
    while (low > 1 && !rows[low - 1].line) {
        low--;
    }
    return low && rows[low - 1].line ? statement_there(rows, &rows[low - 1]) : NULL;
}

static bool same_line(const DwarfRow *a, const DwarfRow *b)
{
    return a->line == b->line && a->file == b->file;
}

/* Whether one of the rows of a line, from `first` to `last`, that are at the first's address is a statement's. */
static bool begins_statement(const DwarfRow *first, const DwarfRow *last)
{
    const DwarfRow *row = first;

    while (row < last && row[1].address == first->address && !(row->flags & ROW_STATEMENT)) {
        row++;
    }
    return row->flags & ROW_STATEMENT;
}

bool dwarf_line(DwarfFile *dwarf, uint64_t address, DwarfLine *line)
{
    DwarfUnit *unit = dwarf_unit_at(dwarf, address);
    DwarfLines *lines = unit ? dwarf_unit_lines(unit, true) : NULL;
    const DwarfSequence *sequence;
    const DwarfRow *row = lines ? dwarf_lines_row(lines, address, &sequence) : NULL;
    const DwarfSource *source = row ? dwarf_lines_source(lines, row->file) : NULL;
    const DwarfRow *first, *last, *from, *to;

    if (!source) {
        return false;
    }
    first = &g_array_index(lines->rows, DwarfRow, sequence->first);
    last = first + sequence->count - 1;
    from = to = row;
    while (from > first && same_line(from - 1, row)) {
        from--;
    }
    while (to < last && (same_line(to, row) || !to->line || to->address == row->address)) {
        to++;
    }
    *line = (DwarfLine){ source->source, source->folder, row->line,
                         from->address,  to->address,    begins_statement(from, row) };
    return true;
}

/* --- sources by name --------------------------------------------------------------------------- */

/* Whether `end` is the end of the path by whole names. */
static bool path_ends(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return m <= n && !strcmp(path + n - m, end) &&
           (m == n || *end == '/' || path[n - m - 1] == '/');
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Whether the table's source is one that was meant. */
static bool source_meant(DwarfLines *lines, unsigned index, const char *wanted)
{
    const DwarfSource *source = &g_array_index(lines->sources, DwarfSource, index);
    g_autofree char *whole = NULL;

    if (strcmp(last_name(source->name), last_name(wanted))) {
        return false;
    }
    source = dwarf_lines_source(lines, index);
    whole = g_build_filename(*source->source == '/' ? "/" : source->folder, source->source, NULL);
    return path_ends(whole, wanted);
}

/* Calls fn for each unit that has such a source, with which are meant. */
typedef void SourceFn(void *opaque, DwarfUnit *unit, const bool *meant);

static void each_unit_with(DwarfFile *dwarf, const char *wanted, SourceFn *fn, void *opaque)
{
    g_autofree bool *meant = g_new0(bool, UINT16_MAX + 1); /* by all numbers that a row may have */
    GArray *units = dwarf_units(dwarf);

    for (guint i = 0; i < units->len && dwarf_spend(dwarf, 1); i++) {
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, i);
        bool kept = unit->lines, any = false;
        DwarfLines *lines = dwarf_unit_lines(unit, false);

        for (guint k = 0; lines && k < lines->sources->len; k++) {
            meant[k] = dwarf_spend(dwarf, 1) && source_meant(lines, k, wanted);
            any |= meant[k];
        }
        if (any) {
            fn(opaque, unit, meant);
            memset(meant, 0, UINT16_MAX + 1);
        } else if (lines && !kept) {
            g_clear_pointer(&unit->lines, dwarf_lines_free);
        }
    }
}

typedef struct {
    unsigned wanted, best; /* best: the first line from `wanted` on that has code; 0: none */
    uint64_t *addresses, *keys;
    unsigned count, max;
} LineSearch;

/* Whether code begins there that was not thrown away. */
static bool begins_line(const DwarfLines *lines, const DwarfRow *row, const DwarfRow *first,
                        const bool *meant)
{
    return meant[row->file] && !(row->flags & ROW_END) && row->flags & ROW_STATEMENT &&
           (row == first || !same_line(row - 1, row)) &&
           dwarf_unit_at(lines->unit->dwarf, row->address) == lines->unit;
}

static void search_best(void *opaque, DwarfUnit *unit, const bool *meant)
{
    DwarfLines *lines = dwarf_unit_lines(unit, true);
    const DwarfRow *rows = (const DwarfRow *)lines->rows->data;
    LineSearch *search = opaque;

    for (guint i = 0; i < lines->rows->len && dwarf_spend(unit->dwarf, 1); i++) {
        unsigned line = rows[i].line;

        if (line >= search->wanted && (!search->best || line < search->best) &&
            begins_line(lines, &rows[i], rows, meant)) {
            search->best = line;
        }
    }
}

/* One address for each function and each inlined copy: the lowest. */
static void take_address(LineSearch *search, DwarfFile *dwarf, uint64_t address)
{
    DwarfFunction functions[DWARF_FUNCTIONS_MAX];
    unsigned depth = dwarf_functions(dwarf, address, functions);
    uint64_t key = depth ? functions[0].die : address | UINT64_C(1) << 63;

    if (depth == 1 && functions[0].entry == address) {
        address = dwarf_behind_prologue(dwarf, address);
    }
    for (unsigned i = 0; i < search->count; i++) {
        if (search->keys[i] == key) {
            search->addresses[i] = MIN(search->addresses[i], address);
            return;
        }
    }
    search->keys[search->count] = key;
    search->addresses[search->count++] = address;
}

static void search_addresses(void *opaque, DwarfUnit *unit, const bool *meant)
{
    LineSearch *search = opaque;
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    DwarfLines *lines = dwarf_unit_lines(unit, true);
    const DwarfRow *rows = (const DwarfRow *)lines->rows->data;

    for (guint i = 0; i < lines->rows->len && dwarf_spend(unit->dwarf, 1); i++) {
        if (rows[i].line == search->best && begins_line(lines, &rows[i], rows, meant)) {
            g_array_append_val(found, rows[i].address);
        }
    }
    for (guint i = 0; i < found->len && search->count < search->max; i++) {
        take_address(search, unit->dwarf, g_array_index(found, uint64_t, i));
    }
}

unsigned dwarf_line_addresses(DwarfFile *dwarf, const char *source, unsigned *line,
                              uint64_t *addresses, unsigned max)
{
    g_autofree uint64_t *keys = g_new0(uint64_t, max + 1);
    LineSearch search = {
        .wanted = MAX(*line, 1), .addresses = addresses, .keys = keys, .max = max
    };

    each_unit_with(dwarf, source, search_best, &search);
    if (search.best) {
        each_unit_with(dwarf, source, search_addresses, &search);
        *line = search.best;
    }
    return search.count;
}

typedef struct {
    DwarfLine *line;
    bool found;
} SourceSearch;

static void search_source(void *opaque, DwarfUnit *unit, const bool *meant)
{
    SourceSearch *search = opaque;

    for (unsigned i = 0; !search->found && i < unit->lines->sources->len; i++) {
        if (meant[i]) {
            const DwarfSource *source = dwarf_lines_source(unit->lines, i);

            search->line->source = source->source;
            search->line->folder = source->folder;
            search->found = true;
        }
    }
}

bool dwarf_source(DwarfFile *dwarf, const char *source, DwarfLine *line)
{
    SourceSearch search = { line };

    *line = (DwarfLine){ 0 };
    each_unit_with(dwarf, source, search_source, &search);
    return search.found;
}

/* --- all lines --------------------------------------------------------------------------------- */

typedef struct {
    DwarfLineFn *fn;
    void *opaque;
} LineVisit;

/* meant: NULL: all sources are. */
static void visit_unit(void *opaque, DwarfUnit *unit, const bool *meant)
{
    DwarfLines *lines = dwarf_unit_lines(unit, true);
    const LineVisit *visit = opaque;

    for (guint i = 0; i < lines->sequences->len; i++) {
        const DwarfSequence *sequence = &g_array_index(lines->sequences, DwarfSequence, i);
        const DwarfRow *row = &g_array_index(lines->rows, DwarfRow, sequence->first),
                       *end = row + sequence->count - 1;

        if (dwarf_unit_at(unit->dwarf, sequence->start) != unit) {
            continue; /* code that was thrown away */
        }
        for (; row < end && dwarf_spend(unit->dwarf, 1); row++) {
            const DwarfSource *source =
                (!meant || meant[row->file]) && row->line && row->address < row[1].address
                    ? dwarf_lines_source(lines, row->file)
                    : NULL;

            if (source) {
                visit->fn(visit->opaque,
                          &(DwarfLine){ source->source, source->folder, row->line, row->address,
                                        row[1].address, row->flags & ROW_STATEMENT });
            }
        }
    }
}

void dwarf_each_line(DwarfFile *dwarf, const char *source, DwarfWantedFn *wanted, DwarfLineFn *fn,
                     void *opaque)
{
    GArray *units = dwarf_units(dwarf);
    LineVisit visit = { fn, opaque };

    if (source) {
        each_unit_with(dwarf, source, visit_unit, &visit);
        return;
    }
    for (guint i = 0; i < units->len && dwarf_spend(dwarf, 1); i++) {
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, i);
        bool kept = unit->lines;

        if ((wanted && !dwarf_unit_ranges(unit, wanted, opaque)) || !dwarf_unit_lines(unit, true)) {
            continue;
        }
        visit_unit(&visit, unit, NULL);
        if (!kept) {
            g_clear_pointer(&unit->lines, dwarf_lines_free);
        }
    }
}

/* --- prologues --------------------------------------------------------------------------------- */

/* Whether arguments are where the debugging information says from the first instruction on, as in what was optimized. */
static bool is_optimized(const DwarfUnit *unit)
{
    const char *level = strstr(unit->producer, " -O");

    return level && level[3] != '0';
}

uint64_t dwarf_behind_prologue(DwarfFile *dwarf, uint64_t address)
{
    enum { ROWS_MAX = 64 };
    DwarfFunction functions[DWARF_FUNCTIONS_MAX];
    unsigned depth = dwarf_functions(dwarf, address, functions);
    DwarfUnit *unit = dwarf_unit_at(dwarf, address);
    DwarfLines *lines = unit ? dwarf_unit_lines(unit, true) : NULL;
    const DwarfSequence *sequence;
    const DwarfRow *row = lines ? dwarf_lines_row(lines, address, &sequence) : NULL, *end,
                   *second = NULL;

    if (!row || !depth || functions[depth - 1].entry != address || is_optimized(unit)) {
        return address;
    }
    end = &g_array_index(lines->rows, DwarfRow, sequence->first) + sequence->count - 1;
    end = MIN(end, row + ROWS_MAX);
    for (; row < end; row++) {
        unsigned deep;

        if (row->address <= address || !(row->flags & ROW_STATEMENT) || !row->line) {
            continue;
        }
        deep = dwarf_functions(dwarf, row->address, functions);
        if (!deep || functions[deep - 1].entry != address) {
            break; /* another function's */
        }
        if (row->flags & ROW_PROLOGUE_END) {
            return row->address;
        }
        second = second ? second : row;
    }
    return second ? second->address : address;
}

uint64_t dwarf_behind_patched(DwarfFile *dwarf, uint64_t entry, uint64_t size, uint64_t address)
{
    enum { PATCHED_MAX = 32 };
    DwarfFunction functions[DWARF_FUNCTIONS_MAX];

    size = MIN(size, PATCHED_MAX);
    if (address - entry >= size || dwarf_functions(dwarf, address, functions)) {
        return address;
    }
    for (uint64_t at = address + 1; at - entry < size; at++) {
        DwarfUnit *unit = dwarf_unit_at(dwarf, at);
        DwarfLines *lines = unit ? dwarf_unit_lines(unit, true) : NULL;
        const DwarfSequence *sequence;
        const DwarfRow *row = lines ? dwarf_lines_row(lines, at, &sequence) : NULL;
        unsigned depth = row && row->address == at ? dwarf_functions(dwarf, at, functions) : 0;

        if (depth) {
            return functions[depth - 1].entry == at ? at : address;
        }
    }
    return address;
}
