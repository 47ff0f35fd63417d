/* SPDX-License-Identifier: MIT */
/* The kernel's log in its memory. Machine lock held, vCPUs parked. */
#ifndef DEBUG_LINUX_DMESG_H
#define DEBUG_LINUX_DMESG_H

#include "debug/linux/linux.h"

enum { LINUX_LOG_LINE_MAX = 2048, LINUX_LOG_RECORDS_MAX = 1 << 20 };

typedef struct {
    uint64_t sequence, time_ns;
    uint8_t facility, level; /* level: 0 emergency to 7 debug */
    const char *text; /* may hold new lines; bytes that are no printable text are shown as '?' */
} LinuxLogRecord;

/*
 * Calls fn for each record, oldest first; a record's text is good for the call. false with an error: there is no log, or its structure is not known.
 */
bool linux_log_foreach(LinuxKernel *kernel, void (*fn)(void *opaque, const LinuxLogRecord *record),
                       void *opaque, GError **error);

#endif
