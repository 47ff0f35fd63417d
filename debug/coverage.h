/* SPDX-License-Identifier: MIT */
/* Writes what code of a guest has been executed (machine/coverage.h) as programs and people read it. Locks as in symbols.h. */
#ifndef DEBUG_COVERAGE_H
#define DEBUG_COVERAGE_H

#include "debug/symbols/symbols.h"
#include "machine/coverage.h"

/* Of symbol files in which anything was executed; lines and functions: of units, without lines of files, where anything was. */
typedef struct {
    unsigned instructions, elsewhere; /* elsewhere: those that no symbol speaks of */
    unsigned functions, functions_executed, lines, lines_executed;
} CoverageSummary;

/*
 * NAME.info: as lcov and genhtml read it, source files by their lines; what has only symbols is a list of these, NAME.info.SYMBOLS.txt, whose lines
 * stand for them. Another name: functions, with how many of their instructions were executed. NULL: nothing, for the summary.
 *
 * source_path: where a source file is; the caller of that frees.
 */
typedef char *CoverageSourcePath(Machine *machine, const SourceLine *line);
bool coverage_write(Machine *machine, const CoverageTaken *taken, const char *path,
                    CoverageSourcePath *source_path, CoverageSummary *summary, GError **error);

#endif
