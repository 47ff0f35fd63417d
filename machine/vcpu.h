/* SPDX-License-Identifier: MIT */
/*
 * A virtual processor and its thread. The target embeds a Vcpu first in its CPU structure; the
 * accelerator runs it. Fields marked [any] are safe from any thread.
 */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include <glib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/device.h"

typedef struct Vcpu Vcpu;
typedef struct Target Target;
typedef struct CpuModel CpuModel;

typedef void VcpuWork(Vcpu *vcpu, void *opaque);

enum { VCPU_EVENTS_MAX = 16 };
typedef struct {
    uint32_t kind, data;
} VcpuEvent;

/* What debuggers want of a vCPU (machine/debug.h); changed by others only while it is parked. */
typedef struct {
    bool step;            /* the accelerator executes one instruction at a time, and calls debug_done */
    bool pass;            /* the next instruction is executed on its own, whatever points say: then debug_done */
    atomic_bool hold;     /* stays parked while others run */
    struct DebugClient *stepper;
    /* So many instructions are executed one at a time, until debug_done tells of it (DEBUG_INSTRUCTIONS); 0: not counted. */
    uint64_t count, counted;
    const void *counter;  /* DebugEvent.source */
    /*
     * The instruction that is passed was followed by an exception in its place: it comes again, and was told of. Known by the
     * pc and the stack pointer.
     */
    bool faulted, again;
    uint64_t passed_pc, passed_stack;
    /* An access of the instruction that is executed on its own; NULL: none yet. */
    const void *watch;    /* DebugPoint */
    uint64_t watch_address, watch_value;
    uint8_t watch_access;
    bool watch_known;
} VcpuDebug;

struct Vcpu {
    Device device;               /* in the tree at /machine/cpuN */
    Machine *machine;
    const Target *target;
    const CpuModel *model;
    unsigned index;
    /*
     * Guest physical memory as this vCPU sees it: the machine's, or what the board made for it (pages of
     * its own such as an APIC's) or for the state it is in (system management, secure world).
     */
    AddressSpace *memory;
    AddressSpace *views[2];      /* what `memory` is by `secure` */
    bool secure;                 /* system management mode, secure state */
    void *accel;                 /* the accelerator's own state */
    pthread_t thread;
    bool thread_started;
    int thread_id;               /* the host's, 0 before the thread runs */

    atomic_uint interrupts;      /* [any] input lines, bit per line of the architecture */
    atomic_uint events;          /* [any] bit per kind that waits in event_queue */
    VcpuEvent event_queue[VCPU_EVENTS_MAX]; /* oldest first; guarded by work_lock */
    unsigned event_count;
    IrqAcknowledge acknowledge;
    /*
     * [any] false: off (PSCI CPU_OFF, secondary before CPU_ON). A reset of the machine sets it true
     * before target->reset; board->reset switches off those that the guest starts. Kick after a change.
     */
    atomic_bool powered;
    atomic_bool halted;          /* waits for an interrupt (WFI, HLT) */
    int64_t halt_deadline_ns;    /* while halted: virtual time at which has_work will hold, -1: none */
    atomic_bool stop_requested;  /* [any] the thread parks at its next exit */
    atomic_bool running;         /* in the run loop, not parked */
    VcpuDebug debug;
    bool exclusive_waiting;      /* in machine_exclusive_begin; guarded by the park lock */
    atomic_uint wake_sequence;   /* [any] futex word: changes at each kick */

    GMutex work_lock;            /* guards work and events */
    GQueue work;                 /* pending VcpuWork with opaque */
    atomic_bool work_pending;
    atomic_bool sleeping;        /* in a futex wait on wake_sequence */
    _Atomic uint64_t quiet_epoch; /* map epoch of the last quiet point; UINT64_MAX: holds nothing */
};

/* Sets or clears an input line and kicks the vCPU when it rises. [any] */
void vcpu_set_interrupt(Vcpu *vcpu, unsigned line, bool level);
/* For boards, before the vCPU runs: its views of memory. secure NULL: the same as normal. */
void vcpu_set_memory(Vcpu *vcpu, AddressSpace *normal, AddressSpace *secure);
/*
 * For targets, on the vCPU's thread: enters or leaves the state whose view is `secure`. What the accelerator has
 * cached of the other view is dropped when they differ.
 */
void vcpu_set_secure(Vcpu *vcpu, bool secure);

/*
 * Events: what happens to a vCPU once (INIT, NMI …), by numbers of the architecture below 32. They wait in order; one
 * that equals the last that waits is joined with it. They survive masking and halts; a reset of the machine drops
 * them. has_work and take_interrupt of the target look at `events`. [any]
 */
void vcpu_post_event(Vcpu *vcpu, unsigned kind, uint32_t data);
/* The same for events that are counted: they are not joined, but no more than `most` of the kind wait. [any] */
void vcpu_post_counted_event(Vcpu *vcpu, unsigned kind, unsigned most);
/* Drops the newest of a kind, until no more than `most` of it wait. [any] */
void vcpu_limit_events(Vcpu *vcpu, unsigned kind, unsigned most);
/* Takes the oldest event of the kinds in the mask, on the vCPU's thread; false: there is none. */
bool vcpu_take_event(Vcpu *vcpu, uint32_t kinds, VcpuEvent *event);
void vcpu_clear_events(Vcpu *vcpu);
/* The queue has been loaded from a saved state: what it holds is announced. */
void vcpu_events_loaded(Vcpu *vcpu);

/* For boards: whom the vCPU asks for vectors; the device's type has `acknowledge`. */
void vcpu_connect_acknowledge(Vcpu *vcpu, Device *controller);
/* Acknowledges the interrupt that a line announces: its vector or IRQ_NO_VECTOR. Not with a device's own lock. */
int vcpu_acknowledge(Vcpu *vcpu);

/* Makes the vCPU leave generated or native code soon, or wake from a halt. [any] */
void vcpu_kick(Vcpu *vcpu);
/* Runs fn on the vCPU's thread before it enters the guest again; does not wait. [any] */
void vcpu_queue_work(Vcpu *vcpu, VcpuWork *fn, void *opaque);
/* As queue, and waits until it has run; runs at once on the vCPU's own thread. Caller must not hold the
 * machine lock unless it is on the vCPU's thread or the vCPU is parked. */
void vcpu_run_work(Vcpu *vcpu, VcpuWork *fn, void *opaque);
/* The vCPU of the calling thread or NULL. */
Vcpu *vcpu_current(void);

/*
 * Blocks until a kick, or until virtual time deadline_ns (-1: none); returns at once when
 * there is work (Accelerator.vcpu_has_work, or target->has_work) or when the safe point has something to do. A quiet point
 * of the memory map.
 */
void vcpu_wait(Vcpu *vcpu, int64_t deadline_ns);
/* Called by the accelerator's loop between exits: runs queued work, parks while stopped or powered off.
 * Returns false when the thread must end. A quiet point of the memory map. */
bool vcpu_safe_point(Vcpu *vcpu);

#endif
