/* SPDX-License-Identifier: MIT */
/*
 * A guest under a debugger: points at which its CPUs are trapped, single steps, and why the machine stopped.
 *
 * Debuggers (the gdb stub, the monitor) are clients. They set points; the accelerator traps what the points name and
 * says so on the vCPU's thread, where the client decides whether the machine stops. Nothing is written into guest
 * memory, so points survive resets, new code and changes of paging. Where none are set they cost nothing.
 *
 * Threads: clients call in the main loop with the machine lock held. What accelerators call is marked [vcpu]: on the
 * vCPU's own thread, without the lock, with exact registers.
 */
#ifndef MACHINE_DEBUG_H
#define MACHINE_DEBUG_H

#include "machine/machine.h"

enum { DEBUG_EXECUTE = 1, DEBUG_READ = 2, DEBUG_WRITE = 4 };

typedef struct DebugClient DebugClient;
typedef struct DebugStop DebugStop;

/* A place: an instruction (EXECUTE, where it begins), or bytes that are read or written. */
typedef struct {
    DebugClient *client;
    void *opaque;            /* the client's */
    uint64_t address, size;  /* EXECUTE: where an instruction begins; at least 1 */
    uint8_t access;          /* DEBUG_*; EXECUTE goes with no other */
    bool physical;           /* the address is guest physical; else virtual (x86: linear), in any address space */
    bool before;             /* accesses: told before the instruction that does it, not behind it; without values */
} DebugPoint;

/*
 * What happens in a machine beyond places. Names are literals, or last as long as the machine. Of the kinds behind RESET only clients
 * themselves know, who report them.
 */
typedef enum {
    DEBUG_EXCEPTION,     /* number: x86 the vector, Arm the EC of ESR; value: error code, or all of ESR */
    DEBUG_INTERRUPT,     /* number: x86 the vector, Arm 0 for IRQ and 1 for FIQ */
    DEBUG_MODE,          /* name: what the CPU is in now: real, protected, v86, compatibility, long; el0, el1 */
    DEBUG_REGISTER,      /* a system register is read or has been written: name; number: of a MSR */
    DEBUG_PAGING,        /* translation was switched on, or has other tables now: value is their address */
    DEBUG_DEVICE,        /* a register of a device, from its table: who (its type), name, number of the element, write */
    DEBUG_DMA,           /* a device accesses memory: who (its type), name (its id, or NULL), number: where, value: bytes, write */
    DEBUG_CONSOLE,       /* a guest has written on a console: who (the char device), text: its line so far, number: of the line */
    DEBUG_LOG,           /* a line of the log: text */
    DEBUG_PORT,          /* an access to a port by an instruction: number, write */
    DEBUG_FIRMWARE_CALL, /* PSCI: number of the function */
    DEBUG_TRIPLE_FAULT,  /* number and name: of the exception that began it */
    DEBUG_RESET,
    DEBUG_TIME,          /* number: of the virtual clock, in ns */
    DEBUG_INSTRUCTIONS,  /* the vCPU has executed so many: number */
    DEBUG_PICTURE,       /* who: the display */
    DEBUG_TRANSLATION,   /* number: a virtual address; value: its physical one now, all ones for none */
    DEBUG_EXECUTION,     /* number: where a range was entered */
    DEBUG_EVENT_KINDS
} DebugEventKind;

typedef struct {
    DebugEventKind kind;
    bool write;
    const char *who, *name;
    uint64_t number, value;
    const char *text;    /* only during `happened` */
    const void *source;  /* a client's own: what it is for; else NULL */
    uint64_t from, address;  /* EXCEPTION, TRIPLE_FAULT (its first): the pc that it was taken at; the address of a fault of memory */
} DebugEvent;

typedef enum {
    DEBUG_STOP_NONE,   /* no debugger asked for it: machine->stop_reason tells */
    DEBUG_STOP_BREAK,  /* an instruction with an EXECUTE point comes next */
    DEBUG_STOP_WATCH,  /* an access to a point */
    DEBUG_STOP_STEP,
    DEBUG_STOP_EVENT,  /* debug_report */
} DebugStopKind;

struct DebugStop {
    DebugStopKind kind;
    DebugClient *client;
    Vcpu *vcpu;              /* NULL: none in particular */
    const DebugPoint *point; /* BREAK, WATCH; NULL when it has been removed since */
    uint64_t pc;             /* of the next instruction */
    /* WATCH */
    uint8_t access;          /* READ or WRITE, or both for a read-modify-write */
    uint64_t address;        /* the accessed byte within the point, virtual */
    bool values_known;       /* the point has 1, 2, 4 or 8 bytes of RAM */
    uint64_t old_value, new_value; /* of the point's bytes */
    DebugEvent event;        /* EVENT */
    void *opaque;            /* EVENT: what the client gave with it */
};

struct DebugClient {
    const char *name;
    Machine *machine;
    /*
     * [vcpu] A point of the client, or the end of a step. true: the machine stops. May not wait, nor add or remove
     * points. NULL: it always stops.
     */
    bool (*reached)(DebugClient *client, const DebugStop *stop);
    /*
     * [any thread; vcpu NULL: no vCPU's, else the caller's] Something of a kind that the client wants has happened.
     * true: the machine stops, soon; *opaque goes into the stop. May not wait. NULL: the client wants nothing.
     */
    bool (*happened)(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque);
    uint32_t wanted; /* debug_want's */
    /*
     * The machine has stopped, for whatever reason and whichever client: kind is NONE when for none. The client whose stop
     * it is is told first; if it lets the machine go on, the others are not.
     */
    void (*stopped)(DebugClient *client, const DebugStop *stop);
};

void debug_add_client(Machine *machine, DebugClient *client);
/* Its points go, too. */
void debug_remove_client(DebugClient *client);

/*
 * The point is the caller's and lasts until it is removed. false: the accelerator cannot trap it, and says why. Both
 * park the vCPUs for a moment, and give up the machine lock meanwhile.
 */
bool debug_add_point(Machine *machine, const DebugPoint *point, GError **error);
void debug_remove_point(Machine *machine, const DebugPoint *point);

/* Stops that `happened` gave this with and that were not told of yet are none any more: what it stands for goes. */
void debug_forget_events(DebugClient *client, const void *opaque);

/* What a CPU does at the next machine_start, all until the machine stops. STEP: the client is told of each instruction. */
typedef enum { DEBUG_RUN, DEBUG_STEP, DEBUG_HOLD } DebugMove;
void debug_set_move(Vcpu *vcpu, DebugMove move, DebugClient *client);

/*
 * How steps are made; both at first. NO_INTERRUPTS: none is taken. NO_TIME: the clock stands still when no CPU runs freely, and
 * none that steps waits for an interrupt.
 */
enum { DEBUG_STEP_NO_INTERRUPTS = 1, DEBUG_STEP_NO_TIME = 2 };
void debug_set_step_flags(Machine *machine, unsigned flags);

/*
 * DEBUG_INSTRUCTIONS is told, with this source, when the vCPU has executed so many more (exceptions in an instruction's place count as one), which it does one at a
 * time; 0: the source wants it no more. false: it is counted for somebody else already. Parks the vCPUs for a moment.
 */
bool debug_count(Vcpu *vcpu, uint64_t instructions, const void *source);

/* The last stop of a debugger; NULL when the machine runs or stopped for another reason. */
const DebugStop *debug_last_stop(Machine *machine);

/*
 * Memory as a debugger sees it: returns how many bytes were there. Virtual addresses are the vCPU's; it is parked, or
 * the caller is on its thread. Devices answer as they do to the guest; ram_only: they are not asked.
 */
size_t debug_read(Vcpu *vcpu, bool physical, uint64_t address, void *buffer, size_t size, bool ram_only);
/* ROM is written, too. */
size_t debug_write(Vcpu *vcpu, bool physical, uint64_t address, const void *buffer, size_t size);

/* What a client is told of: a bit for each DebugEventKind. May park the vCPUs for a moment, as debug_add_point does. */
void debug_want(DebugClient *client, uint32_t kinds);
/* Whether anybody wants such events: one load. [any thread] */
static inline bool debug_wants(const Machine *machine, DebugEventKind kind)
{
    return __builtin_expect(atomic_load_explicit(&machine->debug_wanted, memory_order_relaxed) >> kind & 1, 0);
}
/* Whether this machine's accelerator tells of such events at all; says so if not. */
bool debug_can_tell(const Machine *machine, DebugEventKind kind, GError **error);
/* Tells who wants it. vcpu: the caller's, or NULL. [any thread] */
void debug_report(Machine *machine, Vcpu *vcpu, const DebugEvent *event);
/*
 * Of a device's DMA, for those who map memory: address_space_written and accesses with MEMORY_ATTRIBUTES_OF tell by
 * themselves. [any thread]
 */
void debug_report_dma(const Device *device, uint64_t guest_phys, uint64_t bytes, bool write);
static inline void debug_dma(const Device *device, uint64_t guest_phys, uint64_t bytes, bool write)
{
    if (debug_wants(device->machine, DEBUG_DMA)) {
        debug_report_dma(device, guest_phys, bytes, write);
    }
}

/* --- for accelerators (Accelerator.debug_changed) ---------------------------------------------- */

/* const DebugPoint *; changes only while vCPUs are parked, before debug_changed. */
const GPtrArray *debug_points(Machine *machine);
/* Whether any point with such an access lies in the page (of 4 KiB) at either address. */
bool debug_page_has(Machine *machine, uint64_t guest_virt, uint64_t guest_phys, unsigned access);
/* [vcpu] Of the instruction at the pc, before it is executed. true: it must not be, and vcpu_safe_point comes next. */
bool debug_reached(Vcpu *vcpu);
/*
 * [vcpu] Before an access. GO: nothing is watched there. STOP: the instruction must not be executed, as above. ALONE: the
 * access is watched, and the instruction has to be done again on its own: called then with alone set, it
 * answers GO, and debug_done tells of it.
 */
typedef enum { DEBUG_GO, DEBUG_ALONE, DEBUG_ABANDON } DebugAnswer;
DebugAnswer debug_accessed(Vcpu *vcpu, unsigned access, uint64_t guest_virt, uint64_t guest_phys, unsigned size,
                           bool alone);
/*
 * [vcpu] After an instruction that was executed on its own, or an exception in its place, with the pc of the next:
 * because of vcpu->debug.step or .pass (which this clears), or an access. true: vcpu_safe_point comes next.
 */
bool debug_done(Vcpu *vcpu);
unsigned debug_step_flags(Machine *machine);

/* --- for machine/ ------------------------------------------------------------------------------ */

void debug_create(Machine *machine);
void debug_destroy(Machine *machine);
/* At a start: false when a CPU has been trapped besides the one that was told of; the machine stays stopped for that. */
bool debug_may_start(Machine *machine);
/* Whether the clock stays as it is during this run. */
bool debug_holds_clock(Machine *machine);

#endif
