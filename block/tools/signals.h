/* SPDX-License-Identifier: MIT */
/* Signals that end kaso-img: tools/signals.c. All functions take NULL: nothing is watched. */
#ifndef BLOCK_TOOLS_SIGNALS_H
#define BLOCK_TOOLS_SIGNALS_H

#include <glib.h>
#include <stdbool.h>

#include "block/block.h"

typedef struct ToolSignals ToolSignals;

/* Before there are other threads. */
ToolSignals *tool_signals_start(const char *program);
/* What to say when a signal ends the program from now on; taken over. */
void tool_signals_outcome(ToolSignals *signals, char *outcome);
/*
 * From now on the first signal waits until the command has ended, which asks tool_signals_caught; what the images
 * of graph wait for does not delay that. NULL: all is closed, so that none waits any more.
 */
void tool_signals_wait(ToolSignals *signals, BlockGraph *graph);
bool tool_signals_caught(ToolSignals *signals);
/* Does not return when a signal was caught. The signals stay blocked. */
void tool_signals_end(ToolSignals *signals);

#endif
