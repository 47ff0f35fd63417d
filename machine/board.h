/* SPDX-License-Identifier: MIT */
/* A board: what -M NAME builds. */
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include "machine/device.h"

typedef struct Board Board;
typedef struct Target Target;

/* What -drive if=NAME does on a board. */
typedef struct {
    const char *name;   /* as if= spells it; NULL ends a table */
    const char *device; /* type of the device that each drive gets; NULL: the board takes it by machine_placed_drive */
    const char *disc;   /* the same for media=cdrom; NULL: `device` */
    const char *bus;    /* format of the bus's name, with one %u for its number; NULL: any that fits */
    const char *unit;   /* property that takes the place on the bus; NULL: none does */
    unsigned units;     /* drives on one bus; 0: buses do not count */
    unsigned most;      /* drives in all; 0: as many as there is room for */
    bool removable;     /* a drive may be without a medium, also if it is none for discs */
} DriveInterface;

/* A drive without a medium that a machine has without being asked for it. */
typedef struct {
    const char *interface; /* of drive_interfaces; NULL ends a table */
    unsigned index;
    bool disc;
    const char *const *unless; /* -device of these types: the user puts the drives in place */
} DefaultDrive;

struct Board {
    const char *name;               /* as -M spells it */
    const char *summary;
    const char *const *targets;     /* NULL-terminated names of targets it may run */
    const char *const *aliases;     /* NULL-terminated or NULL */
    unsigned first_release;         /* MAJOR * 100 + MINOR: NAME-MAJOR.MINOR is the board too, from that release on; 0: it is not */
    const char *default_cpu;        /* NULL: the target's */
    const char *default_nic;        /* device type of `-nic` without model= */
    const char *default_vga;        /* -vga when it is not given; NULL: the board takes no -vga (machine_vga_device) */
    const char *serial_console;     /* what Linux calls the first serial port, for a hint */
    const DriveInterface *drive_interfaces; /* NULL: only if=none */
    const char *default_drive_interface; /* for -drive without if=; NULL: none */
    const DefaultDrive *default_drives;  /* may be NULL */
    const char *ram_name;           /* of main RAM, as existing tools know it; NULL: "ram" */
    uint64_t default_ram_bytes, min_ram_bytes, max_ram_bytes;
    unsigned max_vcpus;
    bool smp_dies, smp_modules, smp_clusters; /* levels of -smp, beside sockets, cores and threads */
    bool sleeps;                    /* its guests may suspend to RAM, and system_wakeup ends that */
    bool smbios;                    /* makes SMBIOS tables, with MachineConfig.smbios */
    bool acpi_tables;               /* makes ACPI tables, and takes more of them */
    bool numa;                      /* tells its guest of Machine.numa */
    bool cpu_slots;                 /* its CPUs have places that query-hotpluggable-cpus tells */
    const char *const *extras;      /* types without a bus that -device may add; `load` looks for them. NULL: none */
    size_t instance_size;           /* of the board's own structure, first member a Device */
    const Property *properties;     /* -M NAME,prop=value */
    /* Builds everything: RAM, devices, CPUs via machine_create_vcpus; loads firmware and kernel. */
    bool (*build)(Machine *machine, void *board, GError **error);
    /* When the devices of the command line are in place: kernel, firmware, tables. May be NULL. */
    bool (*load)(Machine *machine, void *board, GError **error);
    /* After reset of all devices and vCPUs: entry points, boot registers. */
    void (*reset)(Machine *machine, void *board);
    /* Power button (`system_powerdown`). */
    void (*powerdown)(Machine *machine, void *board);
    /* The monitor's boot_set: letters as -boot order= has them. NULL: the board has none. */
    bool (*set_boot_order)(Machine *machine, void *board, const char *order, GError **error);
};
#define BOARD_TYPE(object) REGISTRY_ADD(boards, object)
REGISTRY_DECLARE(boards, Board);
/* Whether -device may add a type: one with a bus, or one of the board's extras. board NULL: to any board. */
bool board_takes(const Board *board, const DeviceType *type);
const Board *board_find(const char *name);
bool board_runs(const Board *board, const Target *target);
/* As find, also with a release as in "virt-8.2"; says why there is none. */
const Board *board_get(const char *name, GError **error);

#endif
