/* SPDX-License-Identifier: MIT */
/*
 * The log that -d and -D control, and named trace points. One process-wide sink (a log is where the
 * user looks, not machine state); lines are written whole, so threads do not mix within a line.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <glib.h>

typedef enum {
    LOG_IN_ASM = 1u << 0,
    LOG_IR = 1u << 1,
    LOG_IR_OPT = 1u << 2,
    LOG_OUT_ASM = 1u << 3,
    LOG_INT = 1u << 4,
    LOG_EXEC = 1u << 5,
    LOG_MMU = 1u << 6,
    LOG_GUEST_ERRORS = 1u << 7,
    LOG_UNIMP = 1u << 8,
    LOG_CPU_RESET = 1u << 9,
    LOG_TRACE = 1u << 10,
} LogMask;

typedef struct {
    LogMask mask;
    const char *name;    /* as -d spells it */
    const char *summary;
} LogItem;

extern const LogItem log_items[]; /* ends with a NULL name */

/* The items that are on; read on hot paths through log_enabled. */
extern uint32_t log_mask;

static inline bool log_enabled(LogMask item)
{
    return __builtin_expect(log_mask & item, 0);
}

/* Parses "a,b,-c" or "all" as -d takes it. An unknown item fails with the nearest name. */
bool log_set_items(const char *items, GError **error);
/* path may hold one %d for the process id; NULL returns to stderr. */
bool log_set_file(const char *path, GError **error);
/* "start..end", "start+size", "start-size", comma separated: limits items about guest addresses. */
bool log_set_address_filter(const char *ranges, GError **error);
/* Whether -dfilter lets an address through (true without a filter). */
bool log_address_wanted(uint64_t guest_virt);
/* Comma separated globs of trace names ("pl011*,gic*"): turns LOG_TRACE on for those. */
bool log_set_trace(const char *globs, GError **error);
bool log_trace_wanted(const char *name);
/* One more glob, or one less ("*" off: all); false: there was no such. */
bool log_switch_trace(const char *glob, bool on);
/* The globs that are on, NULL at the end; the caller frees. */
char **log_traces(void);

/*
 * Has what is traced written to a file in Chrome's JSON format, which Perfetto opens, in place of the log. NULL: the file is ended. The clock may be asked on
 * any thread.
 */
typedef struct {
    int64_t (*now_ns)(void *opaque);
    int (*thread)(void *opaque); /* the vCPU that is traced, -1: none */
    void *opaque;
} LogClock;
bool log_set_trace_file(const char *path, const LogClock *clock, GError **error);
/* Writes a line there; false: there is no such file. */
bool log_trace_to_file(const char *name, const char *text);

void log_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * Told of each line that log_printf and log_message wrote, without its end, on the thread that wrote it and without the sink being held. What it
 * writes to the log itself has to go through log_begin.
 */
typedef void LogObserver(void *opaque, const char *line);
void log_add_observer(LogObserver *fn, void *opaque);
void log_remove_observer(LogObserver *fn, void *opaque);

/* Holds the sink so that several calls stay together. Recursive. */
FILE *log_begin(void);
void log_end(void);

/* A guest did what its manual forbids; `who` is a device or cpu name. Rate-limited per call site. */
#define log_guest_error(who, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(LOG_GUEST_ERRORS)) {                                                       \
            log_message("guest error", (who), __VA_ARGS__);                                        \
        }                                                                                          \
    } while (0)

/* A guest used what is architected but not modelled. */
#define log_unimplemented(who, ...)                                                                \
    do {                                                                                           \
        if (log_enabled(LOG_UNIMP)) {                                                              \
            log_message("unimplemented", (who), __VA_ARGS__);                                      \
        }                                                                                          \
    } while (0)

#define trace(who, ...)                                                                            \
    do {                                                                                           \
        if (log_enabled(LOG_TRACE) && log_trace_wanted(who)) {                                     \
            log_message("trace", (who), __VA_ARGS__);                                              \
        }                                                                                          \
    } while (0)

void log_message(const char *kind, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
