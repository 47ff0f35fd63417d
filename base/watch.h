/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that the main loop watches. GLib takes those of a source out of its set while the source is called, and wakes the loop up for
 * each change of the set, so that a call costs three system calls and a round more than it has to. It does so for loops that are run from within a call;
 * ours never are.
 */
#ifndef BASE_WATCH_H
#define BASE_WATCH_H

#include <glib-unix.h>

/* As g_unix_fd_add; g_source_remove ends it. */
guint watch_descriptor(int fd, GIOCondition condition, GUnixFDSourceFunc call, gpointer opaque);
/* The same, with what is called when it has ended. */
guint watch_descriptor_full(int fd, GIOCondition condition, GUnixFDSourceFunc call, gpointer opaque,
                            GDestroyNotify ended);
/* For other sources with descriptors, before they are attached. */
void watch_no_nesting(GSource *source);

#endif
