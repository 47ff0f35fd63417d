/* SPDX-License-Identifier: MIT */
/* The part of a machine that only the files of machine/ see. */
#ifndef MACHINE_PRIVATE_H
#define MACHINE_PRIVATE_H

#include <pthread.h>

#include "base/jitter.h"
#include "base/names.h"
#include "machine/balloon.h"
#include "machine/irq-signal.h"
#include "machine/machine.h"
#include "machine/object.h"

enum { MACHINE_JITTER_NS = 100 * 1000 };

typedef struct {
    _Atomic uint32_t sequence; /* odd while the fields below change */
    _Atomic bool running;
    bool manual;               /* clock_advance moves it, not the host's time */
    _Atomic int64_t base_ns;   /* running: added to CLOCK_MONOTONIC; else the frozen time */
    /*
     * Catching up (-rtc driftfix=slew): from this host time on the clock runs twice as fast, until it has
     * gained so much.
     */
    _Atomic int64_t slew_from_ns, slew_ns;
    GMutex lock;               /* guards the heap, the timerfd's setting and writers of the above */
    GPtrArray *heap;           /* Timer *, earliest first */
    int timer_fd;
    int64_t programmed_ns;     /* virtual deadline in the timerfd, INT64_MAX: none */
    GSource *source;
    int64_t realtime_start_ns, boottime_start_ns;
    int64_t stopped_ns;        /* CLOCK_BOOTTIME of the last stop, -1: it never ran */
    int64_t suspended_ns;      /* what the host had slept when it was last looked at */
} Clock;

/* icount.c */
typedef struct {
    GMutex lock;
    _Atomic(Vcpu *) turn;     /* whose it is; NULL: the main loop decides */
    unsigned last;            /* index of the vCPU that had it last */
    bool fresh;               /* it has just been given: how long it is, is not known yet */
    bool yields;              /* it ends when code is left */
    unsigned stalled;         /* how often code has been left with nothing executed */
    uint64_t left;            /* instructions of the turn */
    _Atomic int64_t limit_ns; /* when it ends */
    atomic_bool earlier;      /* a timer was armed for before */
    atomic_bool serving;      /* the main loop expires timers, and decides afterwards */
    bool served;              /* it has just done so */

    /* The time: base_ns, and what *counter has gone on since counted_from; while idle, what the host's has since idle_from_ns. */
    _Atomic uint32_t sequence; /* odd while these change */
    _Atomic int64_t base_ns;
    _Atomic(const uint64_t *) counter; /* of the vCPU that executes; NULL: none does */
    _Atomic uint64_t counted_from;
    _Atomic int64_t idle_from_ns, idle_to_ns; /* 0: not idle */
    _Atomic unsigned shift;    /* an instruction is 1 << shift ns */
    uint64_t executed;         /* by all vCPUs, before counter */

    int64_t host_start_ns;     /* CLOCK_MONOTONIC of virtual time 0, had they gone together since the last start */
    int64_t adjusted_ns, ahead_ns; /* shift=auto: when it was looked at last, and what it was */
    int64_t lag_s;             /* align=on: as it was told of */
    unsigned lag_told;
} Icount;

/* A part of the window that a file with extents has. */
typedef struct {
    uint64_t start, size; /* in the window */
    uint64_t offset;      /* in the file */
    int fd;
} MemoryFile;

typedef struct {
    uint8_t *base;          /* window of window_size bytes, piecewise mapped */
    uint64_t window_size, used;
    GArray *pieces;         /* MemoryPiece */
    GArray *files;          /* MemoryFile */
    unsigned transaction_depth;
    bool change_pending;
    GPtrArray *spaces;      /* AddressSpace * */
    GArray *listeners;      /* MemoryListener */
    GSList *retired;        /* RetiredView *, newest first */
    _Atomic uint64_t epoch; /* counts retirements */
    _Atomic bool retired_any;
    _Atomic uint8_t *watch; /* a byte per page of the window: memory-watch.c */
    _Atomic uint32_t watch_active; /* who watches any page, as in these bytes */
    unsigned watch_ranges[DIRTY_CLIENT_COUNT];
    _Atomic(const MemoryObserver *) observer;
    GPtrArray *doorbells;   /* const MemoryDoorbell * */
    void (*doorbells_changed)(void *opaque); /* NULL: nobody rings */
    void *doorbells_opaque;
    void (*flush_late)(void *opaque); /* NULL: all writes come at once */
    void *flush_late_opaque;
    const MemoryWatchHooks *watch_hooks;
    void *watch_opaque;
} MemoryState;

typedef struct {
    IrqSignalHook *hook; /* NULL: the main loop listens to all */
    void *opaque;
} IrqSignalState;

/* console.c */
typedef struct ConsoleWatch ConsoleWatch;

typedef struct {
    void (*fn)(void *opaque);
    void *opaque;
} Callback;

/* Parallel arrays, in order of creation. */
typedef struct {
    GPtrArray *ids, *things;
} NamedThings;

typedef struct Audiodev Audiodev;
typedef struct InputState InputState;
typedef struct IsaDmaState IsaDmaState;
typedef struct DebugState DebugState;
typedef struct CoverageState CoverageState;

typedef struct MachinePrivate {
    pthread_mutex_t lock;
    Jitter jitter;
    _Atomic uintptr_t lock_owner; /* pthread_self() or 0 */

    Clock clock;
    Icount icount;
    MemoryState memory;
    IrqSignalState irq_signals;

    /* Parking of vCPU threads (vcpu.c). */
    GMutex park_lock;
    GCond park_cond;
    uintptr_t exclusive_owner; /* thread, 0: none; guarded by park_lock */
    unsigned exclusive_depth;
    atomic_bool exclusive;     /* exclusive_owner != 0 */
    atomic_bool quitting;
    bool threads_started;

    /* Requests to the main loop (run-state.c). */
    GMutex request_lock;
    StopReason requested_stop;
    char *requested_detail;
    const char *last_reset;   /* why the guest was reset last: as reset_reason, or "guest"; NULL: it was not */
    unsigned guest_resets;
    const char *reset_reason; /* of the reset that is asked for, if it is no ordinary one; a literal */
    bool requested_reset, reset_by_host, requested_powerdown, requested_suspend;
    unsigned wakers;                       /* WakeReason: what ends the sleep */
    WakeReason requested_wake, wake_reason; /* the latter during the reset that it makes */
    bool suspended;                        /* also while it is paused besides */
    GQueue deferred; /* for machine_defer */
    GQueue late_events; /* for machine_event_soon */
    bool request_queued;
    void (*end_requested)(void *opaque); /* NULL: nobody wants to know */
    void *end_requested_opaque;
    bool run_ended;
    bool ever_reset;
    bool ever_started;
    bool loaded; /* machine_load is done: the machine is whole */
    StopReason end_reason;
    int requested_status, end_status; /* -1: as the reason says */
    char *end_detail;

    ConsoleWatch *console_watch; /* NULL until somebody asks for one */
    char *console_last;          /* the last line that any console has ended; NULL: none, or nobody asked */
    bool console_keep;           /* console_last is kept */
    bool console_written;        /* a guest wrote to a console that has a char device */

    DriveOpener *drive_opener;
    DriveCloser *drive_closer;
    void *drive_opener_opaque;
    NamedThings chardevs, netdevs, audiodevs, drives, objects, placed_drives;
    GPtrArray *opened_drives; /* BlockBackend, by drive_opener */
    GHashTable *attached;     /* name -> Attachment *, of registry.c */
    guint64 attached_count;
    GPtrArray *serials;       /* Chardev * or NULL */
    GPtrArray *displays;      /* Display * */
    Audiodev *default_audiodev, *silent_audiodev; /* the latter is made when nobody named one */
    const BalloonOps *balloon; /* NULL: there is none */
    void *balloon_opaque;
    GArray *globals;          /* GlobalProperty */
    GHashTable *type_counts;  /* device type name -> next number */
    GPtrArray *firmware_folders;
    DebugState *debug;          /* machine/debug.c */
    CoverageState *coverage;    /* machine/coverage.c; NULL: it does not run */
    IsaDmaState *isa_dma;       /* machine/isa-dma.c */
    InputState *input;          /* machine/input.c; NULL: nobody has asked yet */
    GArray *external_registers; /* ExternalRegisterTable */
    GArray *listeners;        /* EventListener */
    GArray *reset_callbacks;  /* Callback */
    GArray *end_callbacks;    /* Callback */
    const Device *tapped;     /* whose inputs somebody listens to; NULL: none */
    IrqHandler *tap;
    void *tap_opaque;
    GArray *free_callbacks;   /* Callback */
    GArray *state_listeners;  /* StateListener */
    GHashTable *data;         /* of machine_set_data */

    DeviceType root_type, cpu_type; /* as the device tree shows the board and its CPUs */
    char *root_type_name, *cpu_type_name;
} MachinePrivate;

typedef struct {
    char *driver, *property, *value;
    bool used;
} GlobalProperty;

/* device-not-yet.c */
extern const NotYet device_types_not_yet[];
extern const NotYet properties_not_yet[];

void clock_create(Machine *machine);
void clock_destroy(Machine *machine);
void clock_start(Machine *machine);
void clock_stop(Machine *machine);
/* A guest that starts anew takes its time from the RTC: there is nothing to catch up with. */
void clock_forget_lost_time(Machine *machine);
/* While it stands still: another time, as a snapshot has it. */
void clock_set_ns(Machine *machine, int64_t now_ns);
/* With -icount: one round of the timers that are due, in the main loop. false: there were none. */
bool clock_expire_timers(Machine *machine);
/* With -icount: when the main loop looks at the clock, in CLOCK_MONOTONIC; 0: now, INT64_MAX: never. */
void clock_program_host(Machine *machine, int64_t host_ns);
/* CLOCK_MONOTONIC time of a virtual deadline, or -1 while the clock stands still. */
int64_t clock_deadline_monotonic_ns(Machine *machine, int64_t deadline_ns);

void icount_create(Machine *machine);
void icount_destroy(Machine *machine);
int64_t icount_now_ns(Machine *machine);
void icount_set_ns(Machine *machine, int64_t now_ns);
void icount_time_changes(Machine *machine, bool runs);
/* In the main loop: timers expire and somebody gets the turn, if nobody has it. */
void icount_serve(Machine *machine);
/* A vCPU was kicked; the first timer is another one. No lock of the clock is held. */
void icount_notice_work(Machine *machine);
void icount_notice_timer(Machine *machine, int64_t deadline_ns);
/* It is not the vCPU's turn. */
bool icount_must_wait(const Vcpu *vcpu);

void memory_create(Machine *machine);
void memory_destroy(Machine *machine);
/* The tree below any root changed: publishes new flat views unless a transaction is open. */
void memory_map_changed(Machine *machine);
/* Publishes even when the ranges are the same. */
void memory_map_republish(Machine *machine);
/* Gives a region of kind ram or rom its bytes, which are anonymous memory. */
bool memory_ram_allocate(MemoryRegion *region, GError **error);
/* What a back end holds is where the region's bytes from `offset` are; name: of the back end, for messages. */
bool memory_ram_place(MemoryRegion *region, uint64_t offset, const ObjectMemory *memory,
                      const char *name, GError **error);
/* From now on: what is there stays as it is, so that a few pages loaded here and there cost no more than that. */
void memory_ram_use_huge_pages(Machine *machine);
void memory_ram_destroy(Machine *machine);
/* The bytes of watched pages, for the window. */
bool memory_watch_create(MemoryState *memory);
void memory_watch_destroy(MemoryState *memory);
/* Builds the view of a root; generation and hint zero. Caller frees. */
FlatView *flat_view_build(MemoryRegion *root);
bool flat_view_equal(const FlatView *a, const FlatView *b);
/* Frees retired views that no vCPU may still see. At a quiet point of the lock holder. */
void memory_reclaim(Machine *machine);

void vcpu_create(Vcpu *vcpu, Machine *machine, unsigned index);
void vcpu_destroy(Vcpu *vcpu);
/* The thread looks again whether it may run; what it runs is not left for that. */
void vcpu_wake_thread(Vcpu *vcpu);
void vcpus_start_threads(Machine *machine);
void vcpus_join_threads(Machine *machine);
/* Parks all; gives up the machine lock while it waits. */
void vcpus_park(Machine *machine);
void vcpus_resume(Machine *machine);

void console_destroy(Machine *machine);

/* audio.c, for audiodev.c: the part of a back end that mixes. */
void audiodev_begin(Audiodev *audiodev);
void audiodev_end(Audiodev *audiodev);
/* audio-capture.c: all captures of a back end get what was mixed, in the settings of its side. */
void audio_captures_hear(Audiodev *audiodev, const float *mixed, size_t frames);

void registry_create(Machine *machine);
void registry_destroy(Machine *machine);

/* Links a device whose memory the caller allocated into the tree (root and vCPUs). */
void device_adopt(Device *device, Machine *machine, const DeviceType *type, Device *parent,
                  const char *id);
/* As device_destroy for adopted ones: the memory stays the caller's. */
void device_release(Device *device);
/* Forgets requests that nobody will carry out. */
void run_state_destroy(Machine *machine);
void machine_forget_events(Machine *machine);
void machine_apply_globals(Machine *machine, Device *device, const char *type_name);
unsigned machine_next_number(Machine *machine, const char *type_name);

#endif
