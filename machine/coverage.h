/* SPDX-License-Identifier: MIT */
/*
 * Which instructions a guest has executed: a bit for each guest virtual address (x86: linear) at which one has begun, of all address spaces
 * together. Where it does not run it costs nothing.
 *
 * Threads: as machine/debug.h; what is marked [vcpu] is for accelerators (ACCELERATOR_COVERAGE).
 */
#ifndef MACHINE_COVERAGE_H
#define MACHINE_COVERAGE_H

#include "machine/machine.h"

enum {
    COVERAGE_PAGE_SIZE = 4096,
    COVERAGE_WORDS = COVERAGE_PAGE_SIZE / 64,
    COVERAGE_PAGES_MAX = 1 << 18, /* 128 MiB of bits; code of more pages is not noted */
};

typedef struct {
    uint64_t first, last;
} CoverageRange;

typedef struct {
    _Atomic uint64_t bits[COVERAGE_WORDS]; /* by the address within the page */
} CoveragePage;

/* Forgets what was noted before, and begins to note what is executed in the ranges (none: anywhere). Parks the vCPUs for a moment. */
bool coverage_start(Machine *machine, const CoverageRange *ranges, unsigned count, GError **error);
/* Ends it and forgets. */
void coverage_stop(Machine *machine);
bool coverage_runs(const Machine *machine);
/* For machine/: the machine goes. */
void coverage_destroy(Machine *machine);

/* --- what was noted ---------------------------------------------------------------------------- */

/* All of it, as of now. */
typedef struct {
    GArray *ranges; /* CoverageRange, ascending; empty: everything is wanted */
    GArray *pages;  /* guest virtual addresses, ascending */
    uint64_t (*bits)[COVERAGE_WORDS];
    bool full; /* there was more than COVERAGE_PAGES_MAX */
} CoverageTaken;

CoverageTaken *coverage_take(Machine *machine);
void coverage_taken_free(CoverageTaken *taken);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CoverageTaken, coverage_taken_free)
/* Whether anything between the addresses is wanted. */
bool coverage_wanted(const CoverageTaken *taken, uint64_t first, uint64_t last);
/* How many instructions between the addresses have been executed. */
unsigned coverage_count(const CoverageTaken *taken, uint64_t first, uint64_t last);

/* --- for accelerators --------------------------------------------------------------------------- */

/* Whether anything in the page is wanted. [vcpu] */
bool coverage_wants(const Machine *machine, uint64_t guest_virt);
/* The page's bits, for as long as coverage runs; NULL: there are too many pages. [vcpu] */
CoveragePage *coverage_page(Machine *machine, uint64_t guest_virt);

#endif
