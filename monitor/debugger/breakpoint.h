/* SPDX-License-Identifier: MIT */
/*
 * The monitor's debugger: numbered breakpoints and watchpoints with conditions, counts and commands, one table for each machine. In
 * the main loop with the machine lock, unless said otherwise.
 *
 * When one stops the machine, the event DEBUG_STOP says so, whose "text" HMP prints.
 */
#ifndef MONITOR_DEBUGGER_BREAKPOINT_H
#define MONITOR_DEBUGGER_BREAKPOINT_H

#include <jansson.h>

#include "machine/debug.h"
#include "monitor/debugger/condition.h"

enum { BREAKPOINTS_MAX = 10000 };

typedef struct Breakpoint Breakpoint;

/* What is asked for; the text forms of the monitor's commands are in breakpoint_parse. */
typedef struct {
    uint8_t access;         /* DEBUG_EXECUTE, or _READ and _WRITE */
    bool physical, temporary;
    bool trace;             /* logs, and does not stop */
    bool wait;              /* somebody waits for it (breakpoint_wait) */
    bool wait_stops;        /* and the machine stops then */
    int vcpu;               /* only this CPU; -1: any */
    uint64_t size;          /* of what is watched */
    const char *location;   /* an expression, or FILE:LINE; an event: its text */
    /* access 0: an event. who, name: patterns (fnmatch); NULL: any. */
    DebugEventKind event;
    const char *event_who, *event_name;
    bool event_any_number, event_reads, event_writes;
    uint64_t event_number;
    const char *event_range; /* "FIRST..LAST" or FIRST (then `size` bytes); NULL: anywhere */
    const char *event_text;  /* CONSOLE, LOG: a regular expression; PICTURE: a file */
    int64_t event_ns;        /* TIME */
    bool event_relative;     /* TIME: from now on */
    unsigned event_tolerance; /* PICTURE: how many of 10,000 pixels may differ */
    const char *condition;  /* NULL: none */
    const char *commands;   /* separated by ';', run in the monitor when it stops; NULL: none */
} BreakpointRequest;

/*
 * "LOCATION [size N] [cpu N] [if CONDITION] [do COMMAND; COMMAND…]", or "on EVENT …" in the place of the location, into the request, whose strings then point into *copy (caller
 * frees).
 */
bool breakpoint_parse(const char *text, BreakpointRequest *request, char **copy, GError **error);
/*
 * vcpu: whose symbols and registers the location and the condition mean. A location that is a name which is not known yet waits for
 * it. NULL with an error.
 */
Breakpoint *breakpoint_add(Vcpu *vcpu, const BreakpointRequest *request, GError **error);
Breakpoint *breakpoint_find(Machine *machine, int64_t number, GError **error);
void breakpoint_remove(Breakpoint *breakpoint);
/* Breakpoint *, by number; the debugger's own. */
const GPtrArray *breakpoint_all(Machine *machine);

unsigned breakpoint_number(const Breakpoint *breakpoint);
/* What it is in one line: "breakpoint", "write watchpoint at phys 0x1000", its condition. Caller frees. */
char *breakpoint_describe(const Breakpoint *breakpoint);
const char *breakpoint_location(const Breakpoint *breakpoint);
/* The addresses that it stands for now: none when it waits for its name. Caller unrefs. */
GArray *breakpoint_addresses(const Breakpoint *breakpoint);
/* Whether the first of them is looked for where it is in RAM, whatever maps it. */
bool breakpoint_in_ram(const Breakpoint *breakpoint, uint64_t *guest_phys);
uint64_t breakpoint_hits(const Breakpoint *breakpoint);
uint64_t breakpoint_ignores(const Breakpoint *breakpoint);
bool breakpoint_enabled(const Breakpoint *breakpoint);
bool breakpoint_temporary(const Breakpoint *breakpoint);
bool breakpoint_traces(const Breakpoint *breakpoint);
bool breakpoint_waits(const Breakpoint *breakpoint);
const char *breakpoint_condition(const Breakpoint *breakpoint); /* NULL: none */
const char *breakpoint_commands(const Breakpoint *breakpoint);

bool breakpoint_set_condition(Breakpoint *breakpoint, Vcpu *vcpu, const char *condition,
                              GError **error);
void breakpoint_set_ignores(Breakpoint *breakpoint, uint64_t count);
void breakpoint_set_commands(Breakpoint *breakpoint, const char *commands);
bool breakpoint_set_enabled(Breakpoint *breakpoint, bool enabled, GError **error);

/*
 * Waits for what is asked for, once, while the machine runs (which it does from here on). done: in the main loop, with a DEBUG_STOP's data, NULL when it
 * came to nothing: the time was over (timed_out), or the breakpoint was removed. seconds 0: without end.
 */
typedef void BreakpointDone(void *opaque, json_t *data, bool timed_out);
Breakpoint *breakpoint_wait(Vcpu *vcpu, const BreakpointRequest *request, double seconds, BreakpointDone *done, void *opaque,
                            GError **error);

/*
 * Moves CPUs, and tells with DEBUG_STOP when that is done. all: the others run freely meanwhile; else only while a call is gone over or a
 * function left, and stand still for single instructions. The machine must be stopped.
 */
typedef struct {
    Vcpu *vcpu;
    uint64_t count;     /* of instructions, or source lines */
    bool lines;         /* by source lines, where they are known for the pc */
    bool over;          /* calls count as one instruction; by lines: they, and inlined functions, belong to the line */
    bool forward;       /* by lines: not to what is before in the function */
    bool out;           /* until the function that runs now has returned */
    bool all;
} MoveRequest;
bool debugger_move(const MoveRequest *request, GError **error);
/* Goes on until the location is reached by any CPU, or something else stops the machine. */
bool debugger_run_until(Vcpu *vcpu, const char *location, GError **error);

#endif
