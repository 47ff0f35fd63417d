/* SPDX-License-Identifier: MIT */
/* The debugger's state, for the files of monitor/debugger/. */
#ifndef MONITOR_DEBUGGER_PRIVATE_H
#define MONITOR_DEBUGGER_PRIVATE_H

#include <capstone/capstone.h>

#include "monitor/debugger/breakpoint.h"

typedef struct {
    DebugPoint point;
    Breakpoint *breakpoint;
} BreakpointPlace;

struct Breakpoint {
    struct Debugger *debugger;
    unsigned number;
    BreakpointRequest request; /* location, condition and commands are its own */
    bool enabled;
    bool pending;              /* its name is not known yet */
    Condition *condition;
    GPtrArray *places;         /* BreakpointPlace */
    /* Counted on vCPUs' threads. */
    _Atomic uint64_t hits, ignores;
};

/* A move of one CPU: what its next stops are judged by, on its thread. */
typedef struct {
    MoveRequest request;       /* count: instructions that are left; vcpu NULL: none is under way */
    bool returns;              /* the instruction that is executed now leaves its function */
    bool calls;                /* the machine stopped before a call, to step over it */
    uint64_t stack;            /* the stack pointer before the call */
    BreakpointPlace place;     /* behind the call; set while it runs */
    bool place_set;
    csh capstone;
} Move;

typedef struct Debugger {
    DebugClient client;
    Machine *machine;
    unsigned next_number;
    GPtrArray *breakpoints;
    unsigned pending;     /* of breakpoints that wait for a name */
    int64_t refreshed_us; /* when symbols were last looked for on their behalf */
    GMutex lock;          /* guards events */
    GPtrArray *events;    /* Breakpoint: enabled ones on events */
    Move move;
} Debugger;

/* The machine's debugger, made when it is first asked for. */
Debugger *debugger_of(Machine *machine);
/* [vcpu] The end of an instruction, or of a call: whether the machine stops. */
bool move_reached(Debugger *debugger, const DebugStop *stop);
/* It has stopped in the midst of a move: true: it goes on. */
bool move_goes_on(Debugger *debugger);
void move_end(Debugger *debugger);
/* Tells of a stop: runs the breakpoint's commands, and sends the event. */
void debugger_tell(Debugger *debugger, const DebugStop *stop, Breakpoint *breakpoint);
uint64_t debugger_stack_pointer(Vcpu *vcpu);

/* event.c: breakpoints on events. */
/* DebugClient.happened */
bool event_happened(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque);
/* Has the breakpoint (of access 0) count, or not. */
void event_set(Breakpoint *breakpoint, bool on);
/* Tells machine/ what is wanted. */
void event_update(Debugger *debugger);
/* Appends what happened. */
void event_describe(GString *text, const DebugEvent *event);
/* [vcpu] Whether a stop counts by cpu, condition and ignores; counts it. */
bool breakpoint_holds(Breakpoint *breakpoint, const DebugStop *stop, const ConditionValues *values);

#endif
