/* SPDX-License-Identifier: MIT */
/*
 * What guests write to their consoles (serial ports, virtconsole), on its way to a character device: seen by
 * the rules of -action console-match=… and by the watch for guests that stay silent. Under the machine lock.
 */
#ifndef MACHINE_CONSOLE_H
#define MACHINE_CONSOLE_H

#include "machine/chardev.h"
#include "machine/machine.h"

typedef enum {
    CONSOLE_MATCH_EXIT,
    CONSOLE_MATCH_STOP,
    CONSOLE_MATCH_LOG,
    CONSOLE_MATCH_RESET,
    CONSOLE_MATCH_POWERDOWN,
} ConsoleMatchAction;

/* A rule: a line, or the part of one that was written so far, contains what the expression matches. */
typedef struct {
    char *pattern;       /* as it was given, for messages */
    GRegex *expression;
    char *chardev;       /* only this one; NULL: any */
    ConsoleMatchAction action;
    uint8_t exit_status; /* CONSOLE_MATCH_EXIT */
} ConsoleMatch;
ConsoleMatch *console_match_new(const char *pattern, GError **error);
void console_match_free(ConsoleMatch *match);

/* For front ends, in place of chardev_write. chardev may be NULL: all bytes vanish, unseen. */
size_t console_write(Chardev *chardev, const void *data, size_t size);

/*
 * Keeps the last line of any console from now on. console_last_line: it, without colours, or what stands in a line that has no end yet; NULL: none
 * was written, or nobody kept it. Good while the lock is held.
 */
void console_keep_last(Machine *machine);
const char *console_last_line(Machine *machine);
/* Whether a guest has written anything to a console that has a char device. */
bool console_was_written(const Machine *machine);

/*
 * Once, when the guest has run for `seconds` without a byte on any console that has a char device: calls fn
 * in the main loop.
 */
void console_watch_silence(Machine *machine, unsigned seconds, void (*fn)(Machine *machine, void *opaque),
                           void *opaque);

#endif
