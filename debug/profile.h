/* SPDX-License-Identifier: MIT */
/*
 * A profile of guest code: the calls of each CPU that is not idle, sampled by the clock, counted as they are. Written as folded stacks (one
 * line each: names from the outermost to the innermost with ';' between, and a count) and as a flame graph in SVG. Machine lock
 * held, in the main loop.
 */
#ifndef DEBUG_PROFILE_H
#define DEBUG_PROFILE_H

#include "machine/machine.h"

enum { PROFILE_HERTZ_DEFAULT = 250, PROFILE_HERTZ_MAX = 2000, PROFILE_DEPTH_MAX = 64, PROFILE_STACKS_MAX = 200000 };

/* false: one runs already, or there is no CPU. */
bool profile_start(Machine *machine, unsigned hertz, GError **error);
/*
 * Ends it. path ending in ".svg": the flame graph; else folded stacks; NULL: nothing is written. *samples: how many were taken, idle ones included.
 */
bool profile_stop(Machine *machine, const char *path, unsigned *samples, unsigned *stacks, GError **error);
bool profile_runs(Machine *machine);

/*
 * A flame graph of folded stacks (char * -> GUINT count), in one SVG that needs nothing else: frames show their share when pointed at, a click
 * zooms, and there is a search. Caller frees.
 */
char *flame_graph_svg(GHashTable *stacks, const char *title);

#endif
