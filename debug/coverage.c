/* SPDX-License-Identifier: MIT */
/* What code has been executed, by source lines and functions; see the header. The format of lcov's tracefiles is of geninfo(1). */
#include "debug/coverage.h"

#include <inttypes.h>
#include <string.h>

enum { LINES_MAX = 1 << 20 }; /* of a source file; more are left out */
enum { LINE_NO_CODE, LINE_CODE, LINE_EXECUTED };

typedef struct {
    char *name;
    unsigned line;
    bool executed;
} Function;

typedef struct {
    GByteArray *lines; /* LINE_*, element 0 is line 0 */
    GArray *functions; /* Function */
} Source;

typedef struct {
    Machine *machine;
    const CoverageTaken *taken;
    CoverageSourcePath *source_path;
    CoverageSummary *summary;
    GHashTable *sources;                 /* path -> Source */
    const char *last_name, *last_folder; /* of the last line, and its source */
    Source *last;
    const SymbolFileInfo *file;
    const GArray *files; /* SymbolFileInfo of all */
    GHashTable *entries; /* address -> name and size of the file's functions, as Entry */
    GString *list;       /* of the file's functions; NULL: it is not wanted */
    unsigned listed;
    Source *list_source;
} Writer;

typedef struct {
    uint64_t address, size;
    const char *name;
} Entry;

static Source *source_new(void)
{
    Source *source = g_new0(Source, 1);

    source->lines = g_byte_array_new();
    source->functions = g_array_new(FALSE, FALSE, sizeof(Function));
    return source;
}

static void source_free(void *opaque)
{
    Source *source = opaque;

    for (guint i = 0; i < source->functions->len; i++) {
        g_free(g_array_index(source->functions, Function, i).name);
    }
    g_array_unref(source->functions);
    g_byte_array_unref(source->lines);
    g_free(source);
}

static void note_line(Source *source, unsigned line, bool executed)
{
    guint old = source->lines->len;
    uint8_t *state;

    if (line > LINES_MAX) {
        return;
    }
    if (line >= old) {
        g_byte_array_set_size(source->lines, line + 1);
        memset(source->lines->data + old, LINE_NO_CODE, line + 1 - old);
    }
    state = &source->lines->data[line];
    *state = executed || *state == LINE_EXECUTED ? LINE_EXECUTED : LINE_CODE;
}

static void note_function(Writer *writer, Source *source, const char *name, unsigned line,
                          bool executed)
{
    Function function = { g_strdup(name), line, executed };

    g_array_append_val(source->functions, function);
    writer->summary->functions++;
    writer->summary->functions_executed += executed;
}

/* --- files with lines -------------------------------------------------------------------------- */

static Source *source_of(Writer *writer, const SourceLine *line)
{
    g_autofree char *path = NULL;

    /* The same file has the same strings. */
    if (line->source == writer->last_name && line->folder == writer->last_folder) {
        return writer->last;
    }
    path = writer->source_path(writer->machine, line);
    writer->last_name = line->source;
    writer->last_folder = line->folder;
    writer->last = g_hash_table_lookup(writer->sources, path);
    if (!writer->last) {
        writer->last = source_new();
        g_hash_table_insert(writer->sources, g_steal_pointer(&path), writer->last);
    }
    return writer->last;
}

static bool any_executed(void *opaque, uint64_t start, uint64_t end)
{
    const Writer *writer = opaque;

    return start < end && coverage_count(writer->taken, start, end - 1);
}

/* Of names of one address the last counts: what is global comes behind what is not in ELF files. */
static void take_entry(void *opaque, const Symbol *symbol)
{
    const Writer *writer = opaque;
    Entry entry = { symbol->address, MAX(symbol->size, 1), symbol->name };

    if (g_ascii_toupper(symbol->type) == 'T') {
        Entry *copy = g_memdup2(&entry, sizeof entry);

        g_hash_table_replace(writer->entries, &copy->address, copy);
    }
}

static void take_line(void *opaque, const SourceLine *line)
{
    Writer *writer = opaque;
    Source *source;
    const Entry *entry = g_hash_table_lookup(writer->entries, &line->start);

    if (!coverage_wanted(writer->taken, line->start, line->end - 1)) {
        return;
    }
    source = source_of(writer, line);
    note_line(source, line->line, any_executed(writer, line->start, line->end));
    if (entry) {
        note_function(writer, source, entry->name, line->line,
                      any_executed(writer, entry->address, entry->address + entry->size));
    }
}

static void take_lines(Writer *writer)
{
    writer->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    symbols_each(writer->machine, writer->file->number, take_entry, writer);
    symbols_each_line(writer->machine, writer->file->number, NULL, any_executed, take_line, writer);
    g_hash_table_unref(writer->entries);
}

/* --- files with symbols only ------------------------------------------------------------------- */

/* Whether another file knows the place better: lines, or the user's. */
static bool known_better(const Writer *writer, uint64_t address)
{
    for (guint i = 0; i < writer->files->len; i++) {
        const SymbolFileInfo *other = &g_array_index(writer->files, SymbolFileInfo, i);

        if (other->number != writer->file->number && !other->waits && address >= other->start &&
            address < other->end && other->space == writer->file->space &&
            (other->lines > writer->file->lines ||
             (other->lines == writer->file->lines && other->by_user > writer->file->by_user))) {
            return true;
        }
    }
    return false;
}

static void list_symbol(void *opaque, const Symbol *symbol)
{
    Writer *writer = opaque;
    uint64_t size = MAX(symbol->size, 1);
    unsigned count;

    if (!strchr("tTwWvV", symbol->type) || known_better(writer, symbol->address) ||
        !coverage_wanted(writer->taken, symbol->address, symbol->address + size - 1)) {
        return;
    }
    count = coverage_count(writer->taken, symbol->address, symbol->address + size - 1);
    g_string_append_printf(writer->list, "%016" PRIx64 " %6" PRIu64 " bytes, %5u executed  %s\n",
                           symbol->address, size, count, symbol->name);
    writer->listed++;
    note_line(writer->list_source, writer->listed, count);
    note_function(writer, writer->list_source, symbol->name, writer->listed, count);
}

/* Which symbols there are, each with a line. false: the list cannot be written. */
static bool list_symbols(Writer *writer, const char *path, GError **error)
{
    g_autofree char *name = g_strdelimit(g_strdup(writer->file->name), "/", '_');
    g_autofree char *list = path ? g_strdup_printf("%s.%s.txt", path, name) : g_strdup(name);
    bool ok = true;

    writer->list = g_string_new(NULL);
    writer->listed = 0;
    writer->list_source = source_new();
    symbols_each(writer->machine, writer->file->number, list_symbol, writer);
    ok = !path || !writer->listed ||
         g_file_set_contents(list, writer->list->str, (gssize)writer->list->len, error);
    g_hash_table_replace(writer->sources, g_steal_pointer(&list), writer->list_source);
    g_string_free(writer->list, TRUE);
    return ok;
}

/* --- what is written --------------------------------------------------------------------------- */

static int compare_functions(const void *a, const void *b)
{
    const Function *x = a, *y = b;

    return x->line != y->line ? (x->line > y->line) - (x->line < y->line)
                              : strcmp(x->name, y->name);
}

static void write_functions(const Source *source, GString *out)
{
    unsigned executed = 0;

    g_array_sort(source->functions, compare_functions);
    for (guint i = 0; i < source->functions->len; i++) {
        const Function *function = &g_array_index(source->functions, Function, i);

        g_string_append_printf(out, "FN:%u,%s\n", function->line, function->name);
    }
    for (guint i = 0; i < source->functions->len; i++) {
        const Function *function = &g_array_index(source->functions, Function, i);

        executed += function->executed;
        g_string_append_printf(out, "FNDA:%d,%s\n", function->executed, function->name);
    }
    g_string_append_printf(out, "FNF:%u\nFNH:%u\n", source->functions->len, executed);
}

static void write_source(Writer *writer, const char *path, const Source *source, GString *out)
{
    unsigned lines = 0, executed = 0;

    g_string_append_printf(out, "SF:%s\n", path);
    write_functions(source, out);
    for (guint i = 0; i < source->lines->len; i++) {
        if (source->lines->data[i] != LINE_NO_CODE) {
            bool hit = source->lines->data[i] == LINE_EXECUTED;

            lines++;
            executed += hit;
            g_string_append_printf(out, "DA:%u,%d\n", i, hit);
        }
    }
    g_string_append_printf(out, "LF:%u\nLH:%u\nend_of_record\n", lines, executed);
    writer->summary->lines += lines;
    writer->summary->lines_executed += executed;
}

static char *lcov_text(Writer *writer)
{
    g_autoptr(GList) paths =
        g_list_sort(g_hash_table_get_keys(writer->sources), (GCompareFunc)strcmp);
    GString *out = g_string_new("TN:\n");

    for (GList *path = paths; path; path = path->next) {
        const Source *source = g_hash_table_lookup(writer->sources, path->data);

        if (source->lines->len) {
            write_source(writer, path->data, source, out);
        }
    }
    return g_string_free(out, FALSE);
}

/* Functions of all files that were executed, in the order of their addresses within the file. */
typedef struct {
    Writer *writer;
    GString *out;
} FunctionList;

static void write_function(void *opaque, const Symbol *symbol)
{
    FunctionList *list = opaque;
    Writer *writer = list->writer;
    unsigned count = strchr("tTwWvV", symbol->type) && !known_better(writer, symbol->address)
                         ? coverage_count(writer->taken, symbol->address,
                                          symbol->address + MAX(symbol->size, 1) - 1)
                         : 0;

    if (count) {
        g_string_append_printf(
            list->out, "%016" PRIx64 " %6" PRIu64 " bytes, %5u executed  %s [%s]\n",
            symbol->address, symbol->size, count, symbol->name, writer->file->name);
    }
}

static char *plain_text(Writer *writer)
{
    FunctionList list = { writer, g_string_new(NULL) };

    for (guint i = 0; i < writer->files->len; i++) {
        writer->file = &g_array_index(writer->files, SymbolFileInfo, i);
        if (!writer->file->waits) {
            symbols_each(writer->machine, writer->file->number, write_function, &list);
        }
    }
    return g_string_free(list.out, FALSE);
}

/* Of what no symbol file speaks. */
static unsigned count_elsewhere(const Writer *writer)
{
    unsigned count = 0;

    for (guint i = 0; i < writer->taken->pages->len; i++) {
        uint64_t page = g_array_index(writer->taken->pages, uint64_t, i);
        bool known = false;

        for (guint k = 0; k < writer->files->len && !known; k++) {
            const SymbolFileInfo *file = &g_array_index(writer->files, SymbolFileInfo, k);

            known = !file->waits && file->start < page + COVERAGE_PAGE_SIZE && page < file->end;
        }
        count += known ? 0 : coverage_count(writer->taken, page, page + COVERAGE_PAGE_SIZE - 1);
    }
    return count;
}

static bool collect(Writer *writer, const char *list_path, GError **error)
{
    for (guint i = 0; i < writer->files->len; i++) {
        writer->file = &g_array_index(writer->files, SymbolFileInfo, i);
        if (writer->file->waits || writer->file->end <= writer->file->start ||
            !any_executed(writer, writer->file->start, writer->file->end)) {
            continue;
        }
        writer->last_name = writer->last_folder = NULL;
        if (writer->file->lines) {
            take_lines(writer);
        } else if (!list_symbols(writer, list_path, error)) {
            return false;
        }
    }
    return true;
}

bool coverage_write(Machine *machine, const CoverageTaken *taken, const char *path,
                    CoverageSourcePath *source_path, CoverageSummary *summary, GError **error)
{
    g_autoptr(GHashTable) sources =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, source_free);
    g_autoptr(GArray) files = NULL;
    g_autofree char *lcov = NULL, *plain = NULL;
    Writer writer = { machine, taken, source_path, summary, sources };
    bool wants_lcov = path && g_str_has_suffix(path, ".info");

    symbols_refresh(machine);
    writer.files = files = symbols_list(machine);
    *summary = (CoverageSummary){ .instructions = coverage_count(taken, 0, UINT64_MAX) };
    summary->elsewhere = count_elsewhere(&writer);
    if (!collect(&writer, wants_lcov ? path : NULL, error)) {
        return false;
    }
    lcov = lcov_text(&writer);
    if (wants_lcov) {
        return g_file_set_contents(path, lcov, -1, error);
    }
    plain = plain_text(&writer);
    return !path || g_file_set_contents(path, plain, -1, error);
}
