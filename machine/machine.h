/* SPDX-License-Identifier: MIT */
/*
 * A machine: everything hangs off it, and two may live in one process.
 *
 * The machine lock guards the device tree and all device models. vCPU threads take it for device
 * accesses only; RAM and lock-free regions never need it.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/board.h"
#include "machine/clock.h"
#include "machine/device.h"
#include "machine/memory.h"
#include "machine/target.h"
#include "machine/vcpu.h"

typedef enum {
    STOP_NONE,
    STOP_PAUSED,         /* monitor's stop, or started with -S */
    STOP_DEBUG,          /* breakpoint, step */
    STOP_SUSPENDED,      /* the guest sleeps in RAM: its clock goes on */
    STOP_INMIGRATE,      /* waits for the state that -incoming names */
    STOP_FINISH_MIGRATE, /* the last of it is being sent */
    STOP_POSTMIGRATE,    /* it runs elsewhere now */
    STOP_SAVE_VM,
    STOP_RESTORE_VM,
    STOP_GUEST_POWEROFF, /* PSCI SYSTEM_OFF, ACPI */
    STOP_GUEST_RESET,    /* with -no-reboot */
    STOP_GUEST_PANIC,
    STOP_WATCHDOG, /* -action watchdog=pause */
    STOP_IO_ERROR,  /* werror=stop */
    STOP_CONSOLE_MATCH, /* -action console-match=…,exit=N */
    STOP_USER_QUIT, /* Ctrl-A x, monitor quit, window closed */
    STOP_SIGNAL,    /* SIGINT, SIGTERM, SIGHUP */
    STOP_ERROR,     /* we cannot go on; the detail says why */
    STOP_REASON_COUNT,
} StopReason;

/* Names as QMP's RunState and ShutdownCause spell them. */
const char *stop_reason_name(StopReason reason);

typedef enum { PANIC_SHUTDOWN, PANIC_PAUSE, PANIC_NONE, PANIC_EXIT_FAILURE } PanicAction;

/* -action watchdog=: machine/watchdog.h has their names. */
typedef enum {
    WATCHDOG_RESET,
    WATCHDOG_SHUTDOWN,
    WATCHDOG_POWEROFF,
    WATCHDOG_PAUSE,
    WATCHDOG_DEBUG,
    WATCHDOG_NONE,
    WATCHDOG_NMI,
} WatchdogAction;

/* -action exit-status.END=N */
typedef struct {
    bool set;
    uint8_t status;
} ExitStatus;

/* What drives the RTC: the host's date, its time since boot, or the virtual clock. */
/* -icount: virtual time counts instructions. */
typedef struct {
    bool on;
    bool automatic; /* the shift follows the host's time */
    bool align;     /* virtual time waits for the host's */
    bool sleep;     /* idle time passes as the host's does; else at once */
    uint8_t shift;  /* an instruction takes 1 << shift ns */
} IcountConfig;

typedef enum { RTC_CLOCK_HOST, RTC_CLOCK_RT, RTC_CLOCK_VM } RtcClock;

/* A file that -fw_cfg gives to the guest. */
typedef struct {
    char *name;
    GBytes *content;
} FwCfgFile;
void fw_cfg_file_free(FwCfgFile *file);

typedef struct {
    const Target *target;
    const Board *board;
    GHashTable *board_options; /* -M a=b */
    const CpuModel *cpu_model;
    GHashTable *cpu_options; /* feature -> value */
    uint64_t ram_bytes;
    unsigned vcpus, sockets, cores, threads;
    unsigned dies, clusters, modules; /* into which the cores of a socket fall; 0 is 1 */
    unsigned drawers, books; /* above sockets, alike */
    char *kernel, *initrd, *append, *dtb, *bios;
    char *vga; /* -vga: std, cirrus, virtio, none; NULL: as the board likes */
    bool usb;  /* -usb: the board is to have a USB controller */
    char *name, *uuid;
    GPtrArray *smbios; /* char *: what -smbios says; NULL when there is none */
    GPtrArray *fw_cfg_files; /* FwCfgFile *, with -fw_cfg; NULL when there are none */
    bool cpu_pm; /* -overcommit: vCPUs that wait keep their processors */
    const struct OptionInfo *options; /* machine/option-info.h; NULL: not told. Of whoever made the machine */
    bool no_reboot, no_shutdown, start_paused, no_defaults, snapshot;
    int escape_character; /* -echr; 0: Ctrl-A */
    PanicAction panic_action;
    WatchdogAction watchdog_action;
    bool exit_distinct; /* each way to end has a status of its own */
    ExitStatus exit_status[STOP_REASON_COUNT];
    GPtrArray *console_matches; /* ConsoleMatch *; NULL when there are none */
    GHashTable *boot_options; /* -boot: order, once, menu, splash-time, strict … or NULL */
    char *memory_backend;     /* -M memory-backend=ID or NULL */
    /* -rtc */
    int64_t rtc_base_s; /* INT64_MIN: host's now */
    bool rtc_local;
    RtcClock rtc_clock;
    bool rtc_driftfix; /* the virtual clock catches up with stops and the host's sleep */
    IcountConfig icount;
} MachineConfig;

struct Machine {
    MachineConfig config;
    const Board *board;
    void *board_state;           /* board->instance_size bytes; first member a Device: the root */
    Device *root;                /* "/machine" */
    GPtrArray *vcpus;            /* Vcpu *; fixed after build */
    MemoryRegion *system_memory; /* root container, 64 bit */
    MemoryRegion *system_io;     /* root container of the I/O ports, 64 Ki */
    AddressSpace memory_space;   /* guest physical as DMA sees it; a vCPU's view is Vcpu.memory */
    AddressSpace io_space;       /* ports; empty where the architecture has none */
    struct BlockGraph *block_graph; /* of all drives; made and freed by main */
    MemoryRegion ram;               /* main RAM, of config.ram_bytes */
    struct Numa *numa;              /* machine/numa.h; NULL: the guest is not told of nodes */
    const struct Accelerator *accelerator;
    void *accel_state;
    const struct X86KernelChips *kernel_chips; /* machine/arch/x86-chips.h; NULL: interrupt controllers are ours */
    unsigned accelerator_lacks; /* ACCELERATOR_* that its init found not to be there */
    struct MachinePrivate *private; /* machine/private.h */
    _Atomic StopReason stop_reason; /* STOP_NONE while running */
    _Atomic uint32_t debug_wanted;  /* kinds of events that debuggers want: machine/debug.h */
};

/* Owns config's pointers from here on. */
Machine *machine_new(MachineConfig *config);
/*
 * Properties are over the accelerator's state; options: char * -> char * or NULL. Before machine_build.
 */
bool machine_set_accelerator(Machine *machine, const struct Accelerator *accelerator,
                             GHashTable *options, GError **error);
/*
 * Applies board options, calls board->build. The board's state exists since machine_new. The first
 * machine_start resets, unless machine_reset was called before: devices may be added in between.
 */
bool machine_build(Machine *machine, GError **error);
/* Loads what the board runs, when the devices of the command line are in place. */
bool machine_load(Machine *machine, GError **error);
void machine_free(Machine *machine);

/* For boards: config.vcpus CPUs of the model, unrealized properties applied, realized. */
bool machine_create_vcpus(Machine *machine, GError **error);
/*
 * For boards: makes machine->ram of config.ram_bytes (or of -M memory-backend=) without a place in the map.
 * Its name is the board's ram_name or the back end's id.
 */
bool machine_allocate_ram(Machine *machine, GError **error);
/* Shows [offset, offset + size) of the allocated RAM at an address, as region `name` (a literal). */
void machine_map_ram_piece(Machine *machine, const char *name, uint64_t offset, uint64_t size,
                           uint64_t address);
/* Both, for RAM in one piece. */
bool machine_map_ram(Machine *machine, uint64_t address, GError **error);

/*
 * The lock is not recursive: ask machine_lock_held where both cases occur. Sources in the main loop
 * and completions of the block layer run without it and take it before they touch a device.
 */
void machine_lock(Machine *machine);
void machine_unlock(Machine *machine);
bool machine_lock_held(Machine *machine); /* by the calling thread */

/*
 * Threads: machine_start/stop/reset are called on the main loop's thread with the lock held.
 * Requests may come from any thread and are carried out by the main loop.
 */
void machine_start(Machine *machine);
/* Parks all vCPUs, stops the clock, drains back ends, emits STOP. */
void machine_stop(Machine *machine, StopReason reason);
void machine_reset(Machine *machine);
/*
 * who: "guest"; or for the host's wishes a ShutdownCause of QMP ("host-qmp-system-reset"); or what else it was, a literal that
 * people are told when the reset ends the run.
 */
void machine_request_reset(Machine *machine, const char *who);
/* Why the guest was last reset by itself ("guest", "triple fault" …; NULL: it was not), and how often in this run. */
const char *machine_last_reset(const Machine *machine, unsigned *count);
/* Ends or pauses the run (-no-shutdown, -action decide). detail may be NULL. */
void machine_request_stop(Machine *machine, StopReason reason, const char *detail);
/* The same with the exit status that the program ends with if this ends the run; -1: as the reason says. */
void machine_request_end(Machine *machine, StopReason reason, const char *detail, int status);
/* Whether an end of the run was asked for that the main loop has not begun yet, since it waits for something or works long. */
bool machine_end_pending(Machine *machine);
/* Calls fn, which must not wait, on any thread when such an end is asked for; NULL: nobody is called. */
void machine_on_end_request(Machine *machine, void (*fn)(void *opaque), void *opaque);
void machine_request_powerdown(Machine *machine);
/*
 * Suspend to RAM: no vCPU runs while clock and devices go on, until one of `wakers` (bits of WakeReason) comes. To wake
 * is a reset that RAM survives, during which machine_wake_reason tells devices and boards what it is.
 */
typedef enum { WAKE_NONE, WAKE_OTHER = 1, WAKE_RTC = 2, WAKE_PM_TIMER = 4 } WakeReason;
void machine_request_suspend(Machine *machine, unsigned wakers);
/* Of a machine that does not sleep: nothing happens. */
void machine_request_wakeup(Machine *machine, WakeReason reason);
WakeReason machine_wake_reason(const Machine *machine);
/* For what saves machines: whether it sleeps, also when it is paused besides; and the same of a stopped one that is loaded. */
bool machine_sleeps(const Machine *machine, unsigned *wakers);
void machine_set_sleep(Machine *machine, bool sleeps, unsigned wakers);
/*
 * Requests that were made and not carried out yet, now: what is saved of a stopped machine holds no request. false: the run has ended by one. [main
 * loop, lock]
 */
bool machine_carry_out_requests(Machine *machine);
/*
 * Parks every vCPU but the caller's, without the clock; pairs nest. For translator-wide changes. May be
 * called on a vCPU's thread, and by several at once. Gives up the machine lock while it waits.
 */
void machine_exclusive_begin(Machine *machine);
void machine_exclusive_end(Machine *machine);

/* Runs the main loop until a stop request ends the run; returns the exit status. */
int machine_run(Machine *machine);
/* Runs fn in the main loop under the machine lock. [any] */
void machine_defer(Machine *machine, void (*fn)(void *opaque), void *opaque);

/* Events for QMP ("RESET", "STOP", "SHUTDOWN" …). data: a jansson object in text form or NULL. */
typedef void MachineEventListener(void *opaque, const char *event, const char *json_data);
void machine_add_event_listener(Machine *machine, MachineEventListener *fn, void *opaque);
void machine_remove_event_listener(Machine *machine, MachineEventListener *fn, void *opaque);
void machine_event(Machine *machine, const char *event, const char *json_data);
/* The same a little later, in the main loop; event is a literal, takes json_data. [any thread] */
void machine_event_soon(Machine *machine, const char *event, char *json_data);
/* Those at once: who waits for the answer of a command has heard what it did. Main loop, lock held. */
void machine_tell_events(Machine *machine);

/* Named things that options define and properties refer to. */
typedef struct Chardev Chardev;
typedef struct Netdev Netdev;
typedef struct Audiodev Audiodev;
typedef struct BlockBackend BlockBackend;
Chardev *machine_find_chardev(Machine *machine, const char *id);
Netdev *machine_find_netdev(Machine *machine, const char *id);
Audiodev *machine_find_audiodev(Machine *machine, const char *id);
BlockBackend *machine_find_drive(Machine *machine, const char *id);
/* The name that a drive was added by, "" for NULL; the caller frees. */
char *machine_drive_name(Machine *machine, const BlockBackend *drive);
/*
 * As find; a name that is no drive's is given to the opener, which may make one of it (a node of -blockdev gets its
 * back end when a device asks for it). NULL with an error.
 */
BlockBackend *machine_open_drive(Machine *machine, const char *id, GError **error);
typedef BlockBackend *DriveOpener(void *opaque, const char *id, GError **error);
/* Of one that the opener made, when its device goes. */
typedef void DriveCloser(void *opaque, BlockBackend *drive);
/* A named drive that a device has loses its name, and is closed as those of the opener are when the device goes. */
void machine_disown_drive(Machine *machine, BlockBackend *drive);
void machine_set_drive_opener(Machine *machine, DriveOpener *opener, DriveCloser *closer, void *opaque);
/* A device lets go of its drive. */
void machine_leave_drive(Machine *machine, BlockBackend *drive);
void machine_add_chardev(Machine *machine, const char *id, Chardev *chardev);
void machine_add_netdev(Machine *machine, const char *id, Netdev *netdev);
void machine_add_audiodev(Machine *machine, Audiodev *audiodev);
/* Devices that name none have this one. */
void machine_set_default_audiodev(Machine *machine, Audiodev *audiodev);
void machine_add_drive(Machine *machine, const char *id, BlockBackend *drive);
/*
 * All of a kind in order of creation. The machine frees char, net and audio devices in the end; drives belong to
 * their block graph.
 */
GPtrArray *machine_chardevs(Machine *machine);
GPtrArray *machine_netdevs(Machine *machine);
GPtrArray *machine_audiodevs(Machine *machine);
GPtrArray *machine_drives(Machine *machine);
/* Forgets it without freeing it. */
void machine_remove_chardev(Machine *machine, Chardev *chardev);
void machine_remove_netdev(Machine *machine, Netdev *netdev);
void machine_remove_drive(Machine *machine, BlockBackend *drive);
/* -serial N; NULL when there is none. */
Chardev *machine_serial(Machine *machine, unsigned index);
void machine_set_serial(Machine *machine, unsigned index, Chardev *chardev);
/* The drive that -drive if=INTERFACE,index=N gives to the board, or NULL. false: the place is taken. */
BlockBackend *machine_placed_drive(Machine *machine, const char *interface, unsigned index);
bool machine_place_drive(Machine *machine, const char *interface, unsigned index, BlockBackend *drive);

/* -object NAME, and its memory back ends. */
typedef struct Object Object;
Object *machine_find_object(Machine *machine, const char *id);
void machine_add_object(Machine *machine, Object *object);
/* Forgets it without freeing it. */
void machine_remove_object(Machine *machine, Object *object);
GPtrArray *machine_objects(Machine *machine);

/* -global DRIVER.PROPERTY=VALUE: device_create applies it. machine_unused_global: NULL when all hit, or are of devices that may be plugged later. */
void machine_add_global(Machine *machine, const char *driver, const char *property,
                        const char *value);
const char *machine_unused_global(Machine *machine);
/* For boards, of an older version's devices: all types with that property begin with the value, before any -global. */
void machine_add_default(Machine *machine, const char *property, const char *value);

/* Calls fn with the machine lock held, after the clock started or before it stops (vCPUs parked). */
void machine_on_run_state(Machine *machine, void (*fn)(void *opaque, bool running), void *opaque);
/* Not from such a call. */
void machine_forget_run_state(Machine *machine, const void *opaque);
/*
 * Calls fn with the machine lock held when the run ends, after the SHUTDOWN event and before anything is waited for: listeners
 * to events are still there.
 */
void machine_on_end(Machine *machine, void (*fn)(void *opaque), void *opaque);
void machine_forget_on_end(Machine *machine, const void *opaque);
/* Calls fn in machine_free after all devices are gone, last registered first. */
void machine_on_free(Machine *machine, void (*fn)(void *opaque), void *opaque);
/* What another part of the program hangs off the machine, by a name of its own: a literal. NULL: nothing. */
#define MACHINE_VMCOREINFO "vmcoreinfo" /* 16 bytes in which the guest says where its crash notes are: hw/misc/vmcoreinfo.c */
enum { MACHINE_VMCOREINFO_BYTES = 16 };
void machine_set_data(Machine *machine, const char *name, void *data);
void *machine_get_data(Machine *machine, const char *name);
/* All callbacks with that opaque are forgotten. */
void machine_forget_on_free(Machine *machine, const void *opaque);
static inline bool machine_running(Machine *machine)
{
    return atomic_load(&machine->stop_reason) == STOP_NONE;
}

/*
 * What a folder above machine/ keeps of a machine, by the name of its header ("debug/symbols/symbols.h"): NULL until it was attached.
 * machine_free frees it with `free`, after all devices are gone, the last one first. With the machine lock.
 */
void *machine_attached(Machine *machine, const char *name);
void machine_attach(Machine *machine, const char *name, void *thing, GDestroyNotify free);

/* Calls fn at each machine reset, after devices, vCPUs and board, in registration order. */
void machine_on_reset(Machine *machine, void (*fn)(void *opaque), void *opaque);
void machine_forget_on_reset(Machine *machine, const void *opaque);

/* The path of a data file (firmware): the name itself, else -L folders, else the packages' folders. Caller frees. */
char *machine_find_firmware(Machine *machine, const char *name, GError **error);
/* The packages' folders, NULL-terminated. */
const char *const *machine_firmware_folders(void);
/* A file for the firmware, beside those of -fw_cfg; takes the content. Before the board loads. */
void machine_add_firmware_file(Machine *machine, const char *name, GBytes *content);
/* -L */
void machine_add_firmware_folder(Machine *machine, const char *folder);

#endif
