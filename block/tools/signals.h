/* SPDX-License-Identifier: MIT */
/* Signals that end kaso-img: tools/signals.c. All functions take NULL: nothing is watched. */
#ifndef BLOCK_TOOLS_SIGNALS_H
#define BLOCK_TOOLS_SIGNALS_H

#include <glib.h>
#include <stdbool.h>

typedef struct ToolSignals ToolSignals;

/* Before there are other threads. */
ToolSignals *tool_signals_start(const char *program);
/*
 * What to say when a signal ends the program from now on (NULL: as before); taken over.
 * patient: the first signal waits until the command has ended, which asks tool_signals_caught.
 */
void tool_signals_outcome(ToolSignals *signals, bool patient, char *outcome);
bool tool_signals_caught(ToolSignals *signals);
/* When all is closed. Does not return when a signal was caught; done: it came too late to stop anything. */
void tool_signals_end(ToolSignals *signals, bool done);

#endif
