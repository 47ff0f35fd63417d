/* SPDX-License-Identifier: MIT */
/*
 * The monitor's debugger: numbered breakpoints and watchpoints with conditions, counts and commands, one table for each machine. In
 * the main loop with the machine lock, unless said otherwise.
 *
 * When one stops the machine, the event DEBUG_STOP says so, whose "text" HMP prints.
 */
#ifndef MONITOR_DEBUGGER_BREAKPOINT_H
#define MONITOR_DEBUGGER_BREAKPOINT_H

#include "machine/debug.h"
#include "monitor/debugger/condition.h"

enum { BREAKPOINTS_MAX = 10000 };

typedef struct Breakpoint Breakpoint;

/* What is asked for; the text forms of the monitor's commands are in breakpoint_parse. */
typedef struct {
    uint8_t access;         /* DEBUG_EXECUTE, or _READ and _WRITE */
    bool physical, temporary;
    bool trace;             /* logs, and does not stop */
    int vcpu;               /* only this CPU; -1: any */
    uint64_t size;          /* of what is watched */
    const char *location;   /* an expression, or FILE:LINE; an event: its text */
    /* access 0: an event. name: NULL: any; of a device's register, after its type's. */
    DebugEventKind event;
    const char *event_who, *event_name;
    bool event_any_number, event_reads, event_writes;
    uint64_t event_number;
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
uint64_t breakpoint_hits(const Breakpoint *breakpoint);
uint64_t breakpoint_ignores(const Breakpoint *breakpoint);
bool breakpoint_enabled(const Breakpoint *breakpoint);
bool breakpoint_temporary(const Breakpoint *breakpoint);
bool breakpoint_traces(const Breakpoint *breakpoint);
const char *breakpoint_condition(const Breakpoint *breakpoint); /* NULL: none */
const char *breakpoint_commands(const Breakpoint *breakpoint);

bool breakpoint_set_condition(Breakpoint *breakpoint, Vcpu *vcpu, const char *condition,
                              GError **error);
void breakpoint_set_ignores(Breakpoint *breakpoint, uint64_t count);
void breakpoint_set_commands(Breakpoint *breakpoint, const char *commands);
bool breakpoint_set_enabled(Breakpoint *breakpoint, bool enabled, GError **error);

/*
 * Moves CPUs, and tells with DEBUG_STOP when that is done. all: the others run freely meanwhile; else they stand still. The machine
 * must be stopped.
 */
typedef struct {
    Vcpu *vcpu;
    uint64_t count;     /* of instructions */
    bool over;          /* calls count as one instruction */
    bool out;           /* until the function that runs now has returned */
    bool all;
} MoveRequest;
bool debugger_move(const MoveRequest *request, GError **error);
/* Goes on until the location is reached by any CPU, or something else stops the machine. */
bool debugger_run_until(Vcpu *vcpu, const char *location, GError **error);

#endif
