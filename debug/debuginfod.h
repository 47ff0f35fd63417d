/* SPDX-License-Identifier: MIT */
/*
 * Debugging information from a server, by the build ID that linkers write into files (elfutils' debuginfod). Nothing is asked for
 * unless somebody wants a file. Main loop.
 */
#ifndef DEBUG_DEBUGINFOD_H
#define DEBUG_DEBUGINFOD_H

#include <glib.h>

#include "debug/symbols/build-id.h"
#include "machine/machine.h"

typedef struct DebuginfodFetch DebuginfodFetch;
/* path: where the file is now; NULL with an error, both the callee's to copy. The fetch is gone then. */
typedef void DebuginfodDone(void *opaque, const char *path, const GError *error);

/*
 * Begins to fetch a file's debugging information from the servers of $DEBUGINFOD_URLS into the user's cache, on a thread of its own; `done`
 * is called once within some seconds after `seconds`. NULL with an error: there is no server, or no library.
 */
DebuginfodFetch *debuginfod_fetch(Machine *machine, const BuildId *id, unsigned seconds,
                                  DebuginfodDone *done, void *opaque, GError **error);
/* Nobody wants it any more: done is not called. */
void debuginfod_cancel(DebuginfodFetch *fetch);
/* Bytes so far, and of how many (0: not known). */
void debuginfod_progress(DebuginfodFetch *fetch, uint64_t *got, uint64_t *all);

#endif
