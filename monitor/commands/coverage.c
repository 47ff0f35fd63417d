/* SPDX-License-Identifier: MIT */
/* coverage start and stop, info coverage: which code a guest has executed. */
#include "debug/coverage.h"

#include <inttypes.h>
#include <string.h>

#include "monitor/command.h"
#include "monitor/debugger/location.h"
#include "monitor/source.h"

/* --- start ------------------------------------------------------------------------------------- */

static void add_line(void *opaque, const SourceLine *line)
{
    CoverageRange range = { line->start, line->end - 1 };

    g_array_append_val(opaque, range);
}

/* A symbol file of info symbols. */
static bool add_file(Machine *machine, const char *name, GArray *ranges)
{
    g_autoptr(GArray) files = symbols_list(machine);

    for (guint i = 0; i < files->len; i++) {
        const SymbolFileInfo *file = &g_array_index(files, SymbolFileInfo, i);
        CoverageRange range = { file->start, file->end - 1 };

        if (!file->waits && file->end > file->start && !strcmp(file->name, name)) {
            g_array_append_val(ranges, range);
            return true;
        }
    }
    return false;
}

static void add_symbols(Vcpu *vcpu, const char *name, GArray *ranges)
{
    enum { PLACES_MAX = 64 };
    Symbol symbols[PLACES_MAX];
    unsigned count = symbols_find(vcpu->machine, vcpu, name, symbols, PLACES_MAX);

    for (unsigned i = 0; i < MIN(count, PLACES_MAX); i++) {
        CoverageRange range = { symbols[i].address,
                                symbols[i].address + MAX(symbols[i].size, 1) - 1 };

        if (!symbol_file_floats(symbols[i].file)) {
            g_array_append_val(ranges, range);
        }
    }
}

/* One word: FIRST..LAST, a symbol file, a source file, a function. */
static bool add_ranges(Vcpu *vcpu, const char *word, GArray *ranges, GError **error)
{
    Machine *machine = vcpu->machine;
    guint before = ranges->len;
    CoverageRange range;

    if (strstr(word, "..") && g_ascii_isdigit(*word)) {
        return location_parse_range(word, 1, vcpu, &range.first, &range.last, error) &&
               g_array_append_val(ranges, range);
    }
    if (!add_file(machine, word, ranges)) {
        add_symbols(vcpu, word, ranges);
    }
    if (ranges->len == before) {
        symbols_each_line(machine, 0, word, NULL, add_line, ranges);
    }
    return ranges->len > before ||
           error_fail(
               error, KASO_ERROR_NOT_FOUND,
               "'%s' is no range FIRST..LAST, and no symbol file, source file or function whose "
               "place is known; 'info symbols' shows what is (without a name all code is noted)",
               word);
}

static json_t *start_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(CoverageRange));
    const char *what = monitor_get_string(arguments, "what");
    g_auto(GStrv) words = g_strsplit_set(what ? what : "", " 	", -1);
    Vcpu *vcpu = monitor_vcpu(monitor, error);

    if (!vcpu) {
        return NULL;
    }
    symbols_refresh(vcpu->machine);
    for (char **word = words; *word; word++) {
        if (**word && !add_ranges(vcpu, *word, ranges, error)) {
            return NULL;
        }
    }
    coverage_start(vcpu->machine, (const CoverageRange *)ranges->data, ranges->len, error);
    return NULL;
}

static const MonitorArgument start_arguments[] = {
    { "what", ARGUMENT_REST, true,
      "ranges FIRST..LAST, symbol files, source files, functions; without: all code" },
    { NULL },
};

static const MonitorCommand start_command = {
    .name = "x-coverage-start",
    .hmp = "coverage start",
    .summary = "begins to note which code is executed, and forgets what was noted before",
    .arguments = start_arguments,
    .run = start_run,
};
MONITOR_COMMAND(start_command);

/* --- what was noted ---------------------------------------------------------------------------- */

static json_t *write_taken(Machine *machine, const char *path, GError **error)
{
    g_autoptr(CoverageTaken) taken = NULL;
    CoverageSummary summary;
    json_t *result;

    if (!coverage_runs(machine)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "no coverage is noted; 'coverage start' begins to note it");
        return NULL;
    }
    taken = coverage_take(machine);
    if (!coverage_write(machine, taken, path, source_path, &summary, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "instructions", json_integer(summary.instructions));
    monitor_put(result, "elsewhere", json_integer(summary.elsewhere));
    monitor_put(result, "functions", json_integer(summary.functions));
    monitor_put(result, "functions-executed", json_integer(summary.functions_executed));
    monitor_put(result, "lines", json_integer(summary.lines));
    monitor_put(result, "lines-executed", json_integer(summary.lines_executed));
    monitor_put(result, "full", json_boolean(taken->full));
    return result;
}

static void print_summary(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(
        out,
        "%" PRId64 " instructions were executed, %" PRId64 " of them where no symbols are; "
        "%" PRId64 " of %" PRId64 " functions, %" PRId64 " of %" PRId64 " lines\n",
        monitor_get_int(result, "instructions", 0), monitor_get_int(result, "elsewhere", 0),
        monitor_get_int(result, "functions-executed", 0), monitor_get_int(result, "functions", 0),
        monitor_get_int(result, "lines-executed", 0), monitor_get_int(result, "lines", 0));
    if (monitor_get_bool(result, "full")) {
        g_string_append_printf(out,
                               "There was code in more than %d pages; the rest was not noted: say "
                               "what is wanted in 'coverage start'.\n",
                               COVERAGE_PAGES_MAX);
    }
}

static json_t *info_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return write_taken(monitor_machine(monitor), NULL, error);
}

static const MonitorCommand info_command = {
    .name = "x-query-coverage",
    .hmp = "info coverage",
    .summary = "shows how much code has been executed since coverage start",
    .run = info_run,
    .print = print_summary,
    .returns = "CoverageInfo",
};
MONITOR_COMMAND(info_command);

static json_t *stop_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    json_t *result = write_taken(machine, monitor_get_string(arguments, "filename"), error);

    if (result && !monitor_get_bool(arguments, "keep")) {
        coverage_stop(machine);
    }
    return result;
}

static const MonitorArgument stop_arguments[] = {
    { "keep", ARGUMENT_FLAG, true, "goes on noting after the file is written", .letter = 'k' },
    { "filename", ARGUMENT_STRING, true,
      "NAME.info: for lcov and genhtml; another: functions, as text; without: nothing is written" },
    { NULL },
};

static const MonitorCommand stop_command = {
    .name = "x-coverage-stop",
    .hmp = "coverage stop",
    .summary = "writes which code has been executed, and ends noting it",
    .arguments = stop_arguments,
    .run = stop_run,
    .print = print_summary,
    .returns = "CoverageInfo",
};
MONITOR_COMMAND(stop_command);
