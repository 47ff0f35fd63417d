/* SPDX-License-Identifier: MIT */
/* Where a breakpoint goes: from what the user wrote to addresses. */
#ifndef MONITOR_DEBUGGER_LOCATION_H
#define MONITOR_DEBUGGER_LOCATION_H

#include <glib.h>

#include "machine/vcpu.h"

enum { LOCATION_PLACES_MAX = 64 };

typedef struct {
    uint64_t address; /* what the CPU is stopped by: guest virtual, or physical where that is known without page tables */
    uint64_t shown;   /* virtual */
    bool physical;
} LocationPlace;

/*
 * NAME: a function's: behind what sets its frame up, where lines are known (symbols_behind_prologue), and any other symbol itself.
 * FILE:LINE: in each function, and each inlined copy, that has code of this line, or the next that has any. *EXPRESSION, and what
 * is neither: exactly there.
 *
 * Returns how many places there are. 0: none that is known yet; with *error set: never. A kernel's code is looked for where it is in RAM, which it
 * keeps through the changes of its paging, KASLR's among them.
 */
unsigned location_resolve(Vcpu *vcpu, const char *text, bool code,
                          LocationPlace places[LOCATION_PLACES_MAX], GError **error);
/* Whether it may be somewhere else when symbols change. */
bool location_depends_on_symbols(const char *text);
/* "FILE:LINE": caller frees *file. false: it is something else. */
bool location_is_line(const char *text, char **file, unsigned *line);
/* "FIRST..LAST", or FIRST and size. */
bool location_parse_range(const char *text, uint64_t size, Vcpu *vcpu, uint64_t *first, uint64_t *last,
                          GError **error);

#endif
