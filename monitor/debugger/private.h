/* SPDX-License-Identifier: MIT */
/* The debugger's state, for the files of monitor/debugger/. */
#ifndef MONITOR_DEBUGGER_PRIVATE_H
#define MONITOR_DEBUGGER_PRIVATE_H

#include "base/capstone.h"
#include "machine/clock.h"
#include "machine/display.h"
#include "monitor/debugger/breakpoint.h"

typedef struct {
    DebugPoint point;
    Breakpoint *breakpoint;
    uint64_t shown; /* the virtual address of a point that is physical because its symbol's place in RAM is known */
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
    atomic_bool spent;         /* of those that count once: it has, and is to be disabled or answered */

    /* Of an event; what is written by event_happened is guarded by the debugger's lock. */
    uint64_t first, last;      /* of its range */
    GRegex *expression;
    const char *seen_who;      /* CONSOLE: where the last text was found, not to be found there again */
    uint64_t seen_number;
    int seen_end;
    char *text;                /* the line of the last hit; NULL: none */
    Timer timer;               /* TIME */
    Vcpu *of;                  /* INSTRUCTIONS, TRANSLATION: whose; NULL: not set */
    struct PictureWatch *picture;
    struct TranslationWatch *translation;

    /* wait */
    BreakpointDone *done;
    void *done_opaque;
    guint timeout;
    DebugStop waited;          /* what it was spent on */
};

/* Where a move by source lines is. */
typedef struct {
    char *source;              /* NULL: it goes by instructions */
    unsigned line;
    uint64_t start;            /* pc when the line was begun */
    uint64_t low, high;        /* code that belongs to it: the CPU goes on within */
    uint64_t function;         /* entry of the function; 0: not known */
    uint64_t inlined[8];       /* ids of the functions that are inlined there, the outermost first */
    unsigned depth;            /* of inlined */
} MoveLine;

/* A move of one CPU: what its next stops are judged by, on its thread. */
typedef struct {
    MoveRequest request;       /* count: what is left of it; vcpu NULL: none is under way */
    MoveLine line;
    bool entered;              /* by lines: the instruction that is executed now is a call */
    bool arrives;              /* it is done where the place is */
    bool returns;              /* the instruction that is executed now leaves its function */
    bool calls;                /* the machine stopped before a call, to step over it */
    uint64_t stack;            /* the stack pointer before the call */
    unsigned slot_bytes;       /* of the return address below it; 0: there is none */
    BreakpointPlace place;     /* behind the call; set while it runs */
    bool place_set;
    csh handle;
} Move;

typedef struct Debugger {
    DebugClient client;
    Machine *machine;
    unsigned next_number;
    GPtrArray *breakpoints;
    unsigned pending;     /* of breakpoints that wait for a name */
    int64_t refreshed_us; /* when symbols were last looked for on their behalf */
    DebugPoint *modules;  /* where the kernel begins to run a module, while any waits; NULL */
    GPtrArray *moving;    /* DebugPoint: where firmware with breakpoints may move itself to; NULL */
    uint64_t moving_from; /* where these begin; 0: there are none */
    unsigned looks;       /* how often something ran there that was none of it */
    GRecMutex lock;       /* guards events and all that follows up to `move` */
    GPtrArray *events;    /* Breakpoint: enabled ones on events */
    bool inside;          /* event_happened is under way: what it causes itself does not count */
    bool observes_log;
    GPtrArray *screens;   /* who reads the displays' text; NULL: nobody wants to know */
    struct ConsoleHistory *history; /* NULL: nobody has waited for a console's text yet */
    Move move;
} Debugger;

/* The machine's debugger, made when it is first asked for. */
Debugger *debugger_of(Machine *machine);
/* [vcpu] The end of an instruction, or of a call: whether the machine stops. */
bool move_reached(Debugger *debugger, const DebugStop *stop);
/* It has stopped in the midst of a move: true: it goes on. */
bool move_goes_on(Debugger *debugger);
void move_end(Debugger *debugger);
/* Lets the CPU run up to an address, where the stack is at least `stack`. false: it cannot be trapped there. */
bool move_run_to(Debugger *debugger, uint64_t address, uint64_t stack, GError **error);

/* breakpoint.c: sets it where its location is by now. */
bool breakpoint_place(Breakpoint *breakpoint, Vcpu *vcpu, GError **error);

/* pending.c: breakpoints on names that are not known yet. */
/* After changes of the table, or of what is known. */
void pending_count(Debugger *debugger);
/* Sets those whose names are known by now. */
void pending_place(Debugger *debugger);
/* Whether the machine has stopped so that names are looked for. */
bool pending_is_watch(const DebugStop *stop);
void pending_free(Debugger *debugger);

/* moving.c: breakpoints in firmware that moves itself. */
/* After changes of the table, or of symbols. */
void moving_update(Debugger *debugger);
/* Whether the machine has stopped to look where firmware is. */
bool moving_is_watch(const DebugStop *stop);
/* What runs there is not the firmware's. */
void moving_leave_page(Debugger *debugger, uint64_t pc);
void moving_free(Debugger *debugger);

/* line.c: moves by source lines. */
/* Takes the line that the CPU is in for the move's. false: none is known. */
bool move_line_begin(Move *move, uint64_t pc);
/* The CPU has left the code of its line. */
typedef enum { LINE_DONE, LINE_STEP, LINE_RUN } LineAnswer;
/* STEP: on by instructions. RUN: up to *address, with the stack at *stack or above; *arrives: it is done there. */
LineAnswer move_line_left(Move *move, uint64_t pc, uint64_t *address, uint64_t *stack, bool *arrives);
/* Tells of a stop: runs the breakpoint's commands, and sends the event. */
void debugger_tell(Debugger *debugger, const DebugStop *stop, Breakpoint *breakpoint);
/* Whether the machine, which is stopped, can go on; says so if not. */
bool debugger_may_start(Machine *machine, GError **error);
uint64_t debugger_stack_pointer(Vcpu *vcpu);

/* event.c: breakpoints on events. */
/* DebugClient.happened */
bool event_happened(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque);
/* Has the breakpoint (of access 0) count, or not. */
bool event_set(Breakpoint *breakpoint, Vcpu *vcpu, bool on, GError **error);
/* Tells machine/ what is wanted. */
void event_update(Debugger *debugger);
/* Appends what happened. text: the line, for those that have one. */
void event_describe(GString *text, const DebugEvent *event, const char *line);
/* The name of a kind as "on" takes it, "" for a device's register. */
const char *event_kind_name(DebugEventKind kind);

/* event-names.c: false, with an error: no such event can come on this machine. */
bool event_may_come(const BreakpointRequest *request, Vcpu *vcpu, GError **error);

/* event-source.c: what has to be set up for some kinds. */
bool event_source_set(Breakpoint *breakpoint, Vcpu *vcpu, GError **error);
void event_source_clear(Breakpoint *breakpoint);
/* Says that the breakpoint's event has happened. Not for those that are told by machine/. */
void event_fire(Breakpoint *breakpoint, Vcpu *vcpu, const DebugEvent *event);

/* event-screen.c: tells of text on displays, or no more. */
void event_screens_watch(Debugger *debugger, bool on);

/* event-picture.c */
bool picture_set(Breakpoint *breakpoint, Vcpu *vcpu, GError **error);
void picture_clear(Breakpoint *breakpoint);

/* event-translation.c */
bool translation_set(Breakpoint *breakpoint, Vcpu *vcpu, GError **error);
void translation_clear(Breakpoint *breakpoint);
/* On that CPU's thread, or while it is parked: whether the tables say something else than when they were last looked at. */
bool translation_differs(const Breakpoint *breakpoint);
/* The machine has stopped to look at the tables: makes *stop the event that it has come to; false: to none, the machine goes on. */
bool translation_look(Breakpoint *breakpoint, DebugStop *stop);

/* event-text.c: what is looked for in consoles and in the log. */
/* Under the debugger's lock. Whether the event's text has what the breakpoint looks for, not found there before. */
bool event_text_fits(Breakpoint *breakpoint, const DebugEvent *event);
void event_text_keep(Debugger *debugger, const DebugEvent *event);
/* Keeps what consoles say from now on, for those who will wait. */
void event_text_begin(Debugger *debugger);
/* Looks in what consoles have said since the last wait ended; true: it is there. */
bool event_text_waited(Breakpoint *breakpoint);
/* A wait is over: the next one looks behind what it has found. */
void event_text_pass(const Breakpoint *breakpoint);
void event_text_free(Debugger *debugger);

/* breakpoint-parse.c */
bool event_parse(char *text, const char *quoted, BreakpointRequest *request, GError **error);

/* The line that the last hit was about, NULL for none: threads may be at the next. The caller frees. */
char *breakpoint_text(const Breakpoint *breakpoint);
/* What is told of a stop, by QMP; the caller drops it. */
json_t *debugger_describe(Machine *machine, const DebugStop *stop, const Breakpoint *breakpoint, const char *text);
/* Its first line. */
void debugger_describe_place(GString *text, Machine *machine, const DebugStop *stop, const char *line);

/* wait.c */
/* [any thread] The breakpoint has been spent: the main loop deals with it. */
void breakpoint_spend(Breakpoint *breakpoint, const DebugStop *stop);
/* In the main loop: whatever has been spent. */
void breakpoint_settle(Debugger *debugger);
/* It goes: whoever waits is told. */
void breakpoint_unwait(Breakpoint *breakpoint);
/* Whether it counts once. */
bool breakpoint_counts_once(const BreakpointRequest *request);

/* [vcpu] Whether a stop counts by cpu, condition and ignores; counts it. */
bool breakpoint_holds(Breakpoint *breakpoint, const DebugStop *stop, const ConditionValues *values);

#endif
