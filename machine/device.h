/* SPDX-License-Identifier: MIT */
/*
 * Devices: a const DeviceType (what a device has) and instances that form one tree with paths and
 * sit on buses. A device never knows its own address or interrupt number: boards and buses wire it.
 *
 * Life: device_create -> properties -> device_realize (may fail) -> reset -> use -> device_unrealize.
 * Everything here runs under the machine lock.
 */
#ifndef MACHINE_DEVICE_H
#define MACHINE_DEVICE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/registry.h"
#include "machine/irq.h"
#include "machine/memory.h"
#include "machine/property.h"
#include "machine/register-field.h"
#include "machine/state.h"

typedef struct Device Device;
typedef struct DeviceType DeviceType;
typedef struct Bus Bus;
typedef struct BusType BusType;
typedef struct PciFunctionInfo PciFunctionInfo; /* machine/pci-function.h */
typedef struct Machine Machine;
typedef struct Vcpu Vcpu;
typedef struct IrqChain IrqChain; /* machine/irq-chain.h */

/*
 * Register tables. By the table a device gets bounds and width checks, reset values, guest-error
 * logs, named traces, `info device`, and fuzzing. A device with irregular registers uses
 * memory_region_init_io directly and still may publish a table for names.
 */
typedef struct {
    const char *name;      /* the data sheet's; NULL ends a table */
    uint32_t offset;
    uint8_t width;         /* bytes: 1, 2, 4 or 8; a narrower or wider access is adapted as the bank says */
    uint8_t access;        /* REGISTER_R | REGISTER_W | … */
    uint32_t count;        /* array of registers when > 1, `width` bytes apart (or stride) */
    uint32_t stride;       /* bytes between array elements; 0 = width */
    uint64_t reset;
    uint64_t writable;     /* mask of bits that a plain write changes; 0 = all */
    size_t field;          /* offset in the instance of a uintWIDTH_t (array), or REGISTER_NO_FIELD */
    /* index is the array index. NULL hooks: plain load/store of the field. */
    uint64_t (*read)(Device *device, unsigned index);
    void (*write)(Device *device, unsigned index, uint64_t value);
    const uint8_t *constants; /* by index, instead of a field: identification registers */
    const char *summary;
    const RegisterField *fields; /* what its bits are called; NULL: not told */
} Register;

enum {
    REGISTER_R = 1,
    REGISTER_W = 2,
    REGISTER_RW = 3,
    REGISTER_W1C = 4 | 3,    /* a written 1 clears the field's bit */
    REGISTER_QUIET = 8,      /* reads as zero, writes ignored, without a guest error (reserved) */
    /*
     * Decodes only accesses of at least its width that begin at it; what is narrower or begins inside it
     * belongs to other registers there: a 16-bit data port with a byte register at its second byte.
     */
    REGISTER_EXACT = 16,
    /* A data port: an access wider than the register repeats it instead of going on to the next. */
    REGISTER_REPEAT = 32,
    /* Does nothing by itself, so writes may come late (MemoryOps.late). */
    REGISTER_LATE = 64,
    /* The read hook changes nothing, and does not depend on who reads: debuggers may call it to show the value. */
    REGISTER_PEEK = 128,
};
#define REGISTER_NO_FIELD SIZE_MAX

typedef struct {
    const char *name;
    uint64_t size;           /* bytes of the bank */
    const Register *registers;
    uint8_t size_min, size_max; /* guest access sizes; 0 means 1 and 8 */
    bool lock_free;
    bool ports;              /* in I/O space: becomes an io region, and what is absent reads as ones */
    bool ones;               /* what is absent reads as ones in memory, too */
    bool whole, strict;      /* as in MemoryOps */
} RegisterBank;

/*
 * Drives with removable media, for the monitor. The image behind the drive's back end comes and goes while the tray is
 * open, or while there is no tray. Under the machine lock.
 */
typedef struct {
    bool has_tray, tray_open, locked;
    bool read_only; /* whatever the medium is */
} MediumState;
typedef struct {
    void (*query)(const Device *device, MediumState *state);
    /* Moves the tray by hand, locked or not; DEVICE_TRAY_MOVED is told when it was elsewhere. */
    void (*move_tray)(Device *device, bool open);
    /* The eject button of a locked drive: the guest may open the tray, then. */
    void (*ask_guest)(Device *device);
    /* There is another image, or none: the guest is to notice. NULL: closing the tray tells. */
    void (*changed)(Device *device);
} MediumOps;

struct DeviceType {
    const char *name;        /* as -device spells it = file stem = symbol prefix */
    const char *alias;       /* a second name that -device takes, or NULL */
    const char *summary;
    const char *bus;         /* bus type it sits on; NULL: boards place it, or take it from -device (Board.extras) */
    const char *category;    /* "storage", "network", "input", "display", "misc", "uncategorised" */
    size_t instance_size;    /* of a struct whose first member is a Device (or contains one first) */
    const Property *properties;
    const Property *bus_properties; /* e.g. PCI addr=, shared by a bus's devices; same instance */
    const StateField *state; /* machine/state.h; reset must define every field that is not kept */
    uint16_t state_version;  /* grows when a field is added (its `since`) */
    const RegisterBank *banks; /* ends with a NULL name; each becomes mmio[i] or io[i] in order */
    IrqHandler *input;       /* its interrupt or GPIO inputs by number; opaque is the Device */
    IrqQuery *query;         /* what has become of an input's last edge; may be NULL */
    IrqAcknowledgeHandler *acknowledge; /* of what it raises at its first output; opaque is the Device */
    bool board_only;         /* -device refuses it */
    const MediumOps *medium; /* of a drive whose medium comes and goes; NULL: it stays */
    bool anywhere;           /* without a bus, and -device may add it to every board */
    bool fixed;              /* comes and goes with the machine: neither device_add nor device_del at run time */
    const void *class_data;  /* bus-specific descriptor: const PciDeviceType *, const VirtioType * … */
    /* Allocates what cannot be static; the error says what the user can do. */
    bool (*realize)(Device *device, GError **error);
    void (*unrealize)(Device *device);
    /* Architected power-on state. Also called once after realize. Must define every state field. */
    void (*reset)(Device *device);
    /*
     * Of an interrupt controller, for `info pic` and `info lapic`: the machine's tells of itself for vcpu NULL, a CPU's own
     * for that CPU. May be NULL.
     */
    void (*describe_interrupts)(Device *device, const Vcpu *vcpu, GString *out);
    /*
     * Of an interrupt controller: what it does with its input of that number, as guests number them (ISA and GSI, INTID); nothing for
     * a number that it does not have. A CPU's own tells of chain->vector, in the round where chain->of_cpus is set. The CPUs are parked.
     * May be NULL.
     */
    void (*explain_interrupt)(Device *device, unsigned number, IrqChain *chain);
    /* Interrupts that the device owes the guest for time that has passed are owed no longer. May be NULL. */
    void (*drop_ticks)(Device *device);
    /* Before the state is saved: brings what is under way into the fields. May be NULL. */
    void (*state_saving)(Device *device);
    /* After the fields have been loaded: whether they can be, beyond what the table says. May be NULL. */
    bool (*state_check)(Device *device, GError **error);
    /* When all devices have been loaded: makes what is derived (lines, timers, mappings). May be NULL. */
    void (*state_loaded)(Device *device);
};

#define DEVICE_TYPE(object) REGISTRY_ADD(device_types, object)
REGISTRY_DECLARE(device_types, DeviceType);

struct Device {
    const DeviceType *type;
    Machine *machine;
    char *id;                /* user-given or generated; the last element of its path */
    Device *parent;          /* in the tree; NULL only for the root */
    GPtrArray *children;     /* Device * */
    Bus *bus;                /* it sits on */
    GPtrArray *buses;        /* Bus * it provides */
    bool realized;
    bool from_user;          /* made by -device or device_add, not by the board */
    int anonymous;           /* from_user without an id: its number, else -1 */
    GSList *owned;           /* memory that the core frees with the device */
    unsigned mmio_count;
    MemoryRegion **mmio;     /* one per bank, then what realize published with device_add_mmio */
    GPtrArray *io;           /* MemoryRegion *: the same for I/O ports, with device_add_io */
    GPtrArray *acknowledges; /* IrqAcknowledge *, published with device_add_acknowledge; may be NULL */
    unsigned irq_count;
    IrqLine **irqs;          /* outputs, published with device_add_irq, wired with device_connect_irq */
};

const DeviceType *device_type_find(const char *name);
/* As find, and says why there is none: not built yet, or the nearest name. */
const DeviceType *device_type_get(const char *name, GError **error);

/*
 * Creates an unrealized device below parent (NULL: the bus's provider, else the machine's root) on
 * `bus` (NULL: none). id NULL: TYPE.N. Fails for an unknown type with the nearest name.
 */
Device *device_create(Machine *machine, Device *parent, const char *type, Bus *bus, const char *id,
                      GError **error);
/* Also reaches bus_properties. -global defaults have been applied by device_create. */
bool device_set(Device *device, const char *property, const char *value, GError **error);
char *device_get(Device *device, const char *property, GError **error);
bool device_realize(Device *device, GError **error);
/* Removes the device and its children from the tree and frees them. */
void device_destroy(Device *device);
/* The same for one that leaves a running machine: DEVICE_DELETED is told for it and what is on its buses. */
void device_unplugged(Device *device);
/* Resets a device, its buses and all below, children before parents. */
void device_reset_tree(Device *device);
/* Calls fn for a device and all below it, parents first. */
void device_foreach(Device *device, void (*fn)(Device *device, void *opaque), void *opaque);

char *device_path(const Device *device); /* "/machine/…" by buses; caller frees */
/* For who makes devices that the user asked for; named: the user gave the id, too. */
void device_set_from_user(Device *device, bool named);
/* "/machine/peripheral/ID" or "/machine/peripheral-anon/device[N]" of the user's, else device_path. */
char *device_user_path(const Device *device);
/*
 * By id or by any of these paths, behind which "/virtio-backend" (where other programs have a device of
 * its own) is the same device. NULL when there is none.
 */
Device *device_find(Machine *machine, const char *path_or_id);
/* The first realized one of a type, or NULL. */
Device *device_find_by_type(Machine *machine, const char *type);

/* For realize: publishes a region of memory, a region of I/O ports, or an interrupt output. */
void device_add_mmio(Device *device, MemoryRegion *region);
void device_add_io(Device *device, MemoryRegion *region);
void device_add_irq(Device *device, IrqLine *line);
/* For boards. */
MemoryRegion *device_mmio(Device *device, unsigned index);
void device_map(Device *device, unsigned index, uint64_t address); /* into system memory */
MemoryRegion *device_io(Device *device, unsigned index);
void device_map_io(Device *device, unsigned index, uint16_t port); /* into the I/O space */
void device_connect_irq(Device *device, unsigned index, IrqHandler *handler, void *opaque,
                        int number);
/* The same, with who can say what becomes of edges (IrqQuery). */
void device_connect_irq_query(Device *device, unsigned index, IrqHandler *handler, IrqQuery *query,
                              void *opaque, int number);

/*
 * For controllers behind which another one is (a local APIC and its PIC): realize publishes whom it asks, boards
 * connect them to devices whose type has `acknowledge`.
 */
void device_add_acknowledge(Device *device, IrqAcknowledge *acknowledge);
void device_connect_acknowledge(Device *device, unsigned index, Device *source);

/* Sets up region as the io region of a register bank (done by the core for type->banks). */
void register_bank_init(Device *device, MemoryRegion *region, const RegisterBank *bank);
/*
 * Writes every field its reset value (done by the core before type->reset); of several registers that
 * share a field the first in the table decides.
 */
void register_bank_reset(Device *device, const RegisterBank *bank);

/* "pl011.UARTFR" for an offset of such a region; false: it is none, or no register is there. */
bool register_name(const MemoryRegion *region, uint64_t offset, unsigned size, char *name, size_t name_size);

/* Buses. */
struct BusType {
    const char *name;                 /* "pci", "virtio-mmio-slot", "sysbus" … */
    bool (*attach)(Bus *bus, Device *device, GError **error); /* at realize, before type->realize */
    void (*detach)(Bus *bus, Device *device);
    void (*describe)(Device *device, GString *out); /* extra `info qtree` lines */
    /*
     * Of buses whose devices come and go while the machine runs; NULL: they do not. Whether a device may be added
     * (before its realize); that it was; and that it shall go, which the guest may have to do: device_unplugged then.
     */
    bool (*may_plug)(Bus *bus, Device *device, GError **error);
    void (*plugged)(Bus *bus, Device *device);
    bool (*unplug)(Bus *bus, Device *device, GError **error);
    /* A line for people (the monitor's list of the bus) about one of its devices. May be NULL. */
    void (*summarize)(const Device *device, GString *out);
    /* Of buses of PCI functions: what the monitor tells of one. info is zero before. NULL elsewhere. */
    void (*pci_function)(const Device *device, PciFunctionInfo *info);
    /* Appends what firmware calls the device behind the bus's provider: "/drive@0/disk@1". May be NULL. */
    void (*boot_path)(const Device *device, GString *out);
};
struct Bus {
    const BusType *type;
    char *name;                       /* "pcie.0" */
    Device *parent;
    GPtrArray *devices;               /* Device * */
    unsigned max_devices;             /* 0: no limit; -device picks a bus with room */
};
void bus_init(Bus *bus, const BusType *type, Device *parent, const char *name);
Bus *bus_find(Machine *machine, const char *name);
/*
 * The bus for -device without bus=: one of the type with room; of several equal ones the newest, so that
 * devices get slots with falling addresses, as existing command lines expect.
 */
Bus *bus_find_by_type(Machine *machine, const char *type);

#endif
