/* SPDX-License-Identifier: MIT */
/* What the command line says, on its way to a running machine. Lives for the run of the program. */
#ifndef MAIN_SETUP_H
#define MAIN_SETUP_H

#include <glib.h>
#include <stdbool.h>

#include "block/block.h"
#include "machine/machine.h"
#include "base/key-values.h"
#include "main/sandbox.h"
#include "ui/viewer.h"

/*
 * Options take effect in this order, and in the order given within a stage: what refers to something
 * by name comes after what defines it, wherever the user wrote it.
 */
typedef enum {
    STAGE_PARSE,   /* while the command line is read: everything about the machine itself */
    STAGE_OBJECT,  /* from here on the machine exists */
    STAGE_NUMA,
    STAGE_CHARDEV,
    STAGE_CONSOLE, /* -serial, -monitor: char devices by short forms */
    STAGE_BLOCKDEV,
    STAGE_DRIVE,
    STAGE_NETDEV,
    STAGE_NIC,
    STAGE_DEVICE,  /* the board has been built */
    STAGE_MONITOR,
} Stage;

typedef struct Setup Setup;
typedef struct SignalWatch SignalWatch;

/* argument: NULL for options that take none. */
typedef bool OptionHandler(Setup *setup, const char *argument, GError **error);

typedef struct {
    const char *name;     /* without the dash */
    const char *argument; /* as help prints it; NULL: takes none */
    const char *summary;
    Stage stage;
    OptionHandler *apply;
} Option;

typedef struct {
    const Option *option;
    char *argument;
} GivenOption;

typedef struct {
    char *name; /* of the accelerator */
    GHashTable *options; /* may be NULL */
} AcceleratorChoice;

/* A monitor to create on a char device once the machine is built. */
typedef struct {
    const char *mode; /* "readline" or "control" */
    Chardev *chardev;
    bool pretty;
} MonitorChoice;

/* A viewer that -display or -vnc asks for. */
typedef struct {
    const Viewer *viewer;
    KeyValues *options;
    char *said; /* the option as it was given, for messages */
} ViewerChoice;

/* A network device that -nic or -net asks for, before the board exists. */
typedef struct {
    char *type, *netdev, *mac, *id, *address;
} NicChoice;

/* What an option says of the guest's memory; slots and most are for what is plugged. */
typedef struct {
    uint64_t size, most; /* size 0: as the board likes */
    unsigned slots;
    bool size_given, most_given, slots_given;
} MemorySizes;

/* What key_values_parse calls the model of -cpu, which has a property "model", too. */
#define CPU_MODEL_KEY "cpu-model"

struct Setup {
    const char *program; /* as it was called */
    struct OptionInfo *option_infos; /* what the monitor tells of the options */
    GArray *given;       /* GivenOption */

    /* What STAGE_PARSE collects. */
    const Target *target; /* from the program's name or NULL */
    char *file;           /* an argument that is no option: what to run, or the first disk */
    bool print_command;   /* -print-command */
    char *machine_name, *cpu;
    KeyValues *machine_options, *smp_options; /* of all -machine and all -smp */
    GArray *accelerators; /* AcceleratorChoice */
    bool memory_lock;     /* -overcommit mem-lock=on */
    bool memory_lock_late; /* mem-lock=on-fault */
    bool one_insn, no_fd_bootchk;
    GPtrArray *acpi_tables; /* GBytes *: what -acpitable adds; NULL: nothing */
    bool perfmap;         /* of whichever accelerator translates */
    char *kernel_irqchip; /* -machine kernel-irqchip=, for whichever accelerator has it; or NULL */
    GPtrArray *firmware_folders, *globals; /* char *, KeyValues * */
    MachineConfig config;
    char *memory_path; /* -mem-path */
    bool memory_prealloc;
    bool usb_given;     /* -machine usb= */
    unsigned usb_disks; /* of -usbdevice disk: */
    MemorySizes memory, machine_memory; /* -m, which holds against -machine memory.… */
    bool no_acpi, no_hpet; /* -no-acpi, -no-hpet */
    bool nographic, daemonize, reboot_is_shutdown, pid_file_written;
    char *qtest_log; /* -qtest-log */
    bool no_display;      /* -display none */
    GArray *viewers;      /* ViewerChoice */
    ViewerChoices viewer_choices;
    char *keyboard;       /* -k */
    char *pid_file, *chroot_folder, *run_as;
    Sandbox sandbox;
    bool exit_with_parent; /* -run-with exit-with-parent=on */
    unsigned given_serials, given_monitors, given_nics, given_parallels;
    bool seeded;        /* -seed */
    uint64_t seed;
    unsigned silence_s; /* how long a guest may say nothing before we do; 0: for ever */
    bool no_boot_diagnosis;
    char *incoming, *loadvm; /* -incoming, -loadvm, or NULL */
    bool message_timestamp, message_guest_name;

    /* What the later stages make. */
    Machine *machine;
    BlockGraph *graph;
    GArray *monitors;      /* MonitorChoice */
    Chardev *qtest;        /* -qtest, or NULL */
    GArray *nics;          /* NicChoice */
    GPtrArray *netdev_objects; /* KeyValues *: of -object, what waits for the network back ends */
    char *sound_model;     /* -audio model=, or NULL */
    GPtrArray *drives;     /* DriveChoice *, of drives.c: drives that want a device */
    GPtrArray *lines;      /* char *: parts of the first line about drives and networks */
    GHashTable *drive_places; /* set of "INTERFACE INDEX" */
    unsigned net_nics, net_backends; /* -net pairs */
    bool stdio_mux;        /* Ctrl-A works */
    SignalWatch *signals;
    int ready_fd;          /* -daemonize: where the parent waits, -1 otherwise */
};

/* setup.c */
Setup *setup_new(const char *program);
void setup_free(Setup *setup);
/* Reads arguments into setup->given, applying STAGE_PARSE at once. */
bool setup_parse(Setup *setup, int argc, char **argv, GError **error);
bool setup_add_option(Setup *setup, const char *name, const char *argument, GError **error);
/* Applies what was given for a stage; the message says which option failed. */
bool setup_run_stage(Setup *setup, Stage stage, GError **error);

/* option-table.c */
extern const Option option_table[]; /* ends with a NULL name */
/* option-groups.c: for MachineConfig.options. The setup keeps it. */
const struct OptionInfo *option_groups(Setup *setup);
/* Known to users of such tools, but not built: the sentence says what is missing, or what came after it. */
typedef struct {
    const char *name;
    const char *feature; /* "USB"; NULL: the option is gone, and `instead` is its successor */
    const char *instead; /* NULL: nothing does nearly the same */
} OptionNotYet;
extern const OptionNotYet options_not_yet[];

/* one-argument.c: options for setup->file, when there is one. */
bool one_argument_choose(Setup *setup, GError **error);

/* choose.c: board, target, CPU model and sizes that the options and defaults amount to. */
bool setup_choose(Setup *setup, GError **error);

/* build.c: from choices to a machine that is ready to start. */
bool setup_build(Setup *setup, GError **error);

/* viewers.c */
/* Without an option about it: a window, where one can be opened and the machine has a screen. */
void viewers_choose_default(Setup *setup, bool screen);
/* Whether there is a display whose pages consoles can be. */
bool viewers_wanted(const Setup *setup);
/* Starts them, once the machine is whole. */
bool viewers_start(Setup *setup, GError **error);
void viewer_choice_clear(void *choice); /* ViewerChoice * */
void help_displays(void);

/* consoles.c */
bool consoles_add_defaults(Setup *setup, GError **error);
bool monitors_create(Setup *setup, GError **error);

/* network.c, drives.c: what -nic and -drive leave to do after the board is built. */
bool network_add_defaults(Setup *setup, GError **error);
/* Those of -object that work on network back ends, which are there now. */
bool objects_add_on_netdevs(Setup *setup, GError **error);
bool network_create_devices(Setup *setup, GError **error);
bool sound_create_devices(Setup *setup, GError **error); /* sound.c */
/* The drives without a medium that the board has by itself. */
bool drives_add_defaults(Setup *setup, GError **error);
bool drives_create_devices(Setup *setup, GError **error);
void drives_begin(Setup *setup); /* in setup_new */

/* process.c */
bool process_daemonize(Setup *setup, GError **error);
bool process_write_pid_file(Setup *setup, GError **error);
void process_remove_pid_file(const Setup *setup); /* one that is another process's stays */
/* The last steps before the guest runs: chroot, user, and telling the parent of a daemon. */
bool process_settle(Setup *setup, GError **error);
/*
 * From now on SIGINT, SIGTERM and SIGHUP end the run, whatever it waits for. Before the first thread starts: others inherit
 * that signals are not theirs. Until process_signals_running the program is ended at once when its making does not come to
 * an end by itself within a second.
 */
void process_watch_signals(Setup *setup);
void process_signals_running(Setup *setup);
/* The exit status of a making that failed because a signal ended what it waited for, once that is said; -1: for another reason. */
int process_failed_by_signal(Setup *setup);
/* The machine goes: it is not touched any more. What takes long is told, and another signal ends it then. */
void process_signals_ending(Setup *setup);
void process_end_signals(Setup *setup);

/* help.c */
bool help_print(Setup *setup, const char *topic, GError **error);
/* Whether what is given is "help" in the place of an option's parts, which help_print tells of. */
bool help_asked(const Option *option, const char *argument);
/* The list of what an option takes; false when it has none. */
bool help_list(const char *option);
void help_options(void);
void help_version(void);
void help_machines(const Target *target);
void help_cpus(const Target *target);
/* One model's switches and what they are without being set; target: NULL for any. */
bool help_cpu(const Target *target, const char *name, GError **error);
void help_devices(void);
void help_nics(void); /* the devices that are NICs */
bool help_device(const char *name, GError **error);
/* `-device TYPE,help`, and the same of chardev, netdev, audiodev and object. */
bool help_type(const char *option, const char *type, GError **error);
bool help_machine(const char *name, GError **error);
void help_accelerators(void);
bool help_accelerator(const char *name, GError **error);
void help_chardevs(void);
void help_drive(void);
void help_formats(void); /* -drive format=help */
void help_netdevs(void);
void help_audiodevs(void);
void help_fsdevs(void);
void help_objects(void);
void help_log_items(void);
bool is_help(const char *text);
G_NORETURN void help_done(void);

/* banner.c: the first line, and those for guests that stay silent and for consoles that are not there. */
void banner_print(Setup *setup);
void banner_watch_consoles(Setup *setup);

/* config-file.c */
bool config_file_read(Setup *setup, const char *path, GError **error);

#endif
