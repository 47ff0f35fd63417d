/* SPDX-License-Identifier: MIT */
/* A guest architecture: its registers, CPU models, and how an accelerator runs it. */
#ifndef MACHINE_TARGET_H
#define MACHINE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/names.h"
#include "base/registry.h"
#include "machine/register-field.h"
#include "machine/vcpu.h"

typedef struct PageWalk PageWalk;       /* machine/page-walk.h */
typedef struct SystemTable SystemTable; /* machine/system-table.h */

enum { TARGET_REGISTER_BYTES_MAX = 512 };

/* How registers are grouped where they are shown. */
#define REGISTERS_GENERAL "general"
#define REGISTERS_FLOAT   "float"
#define REGISTERS_SYSTEM  "system"

/*
 * One register, for all who deal with registers: the monitor, gdb, accelerators that keep their own, snapshots.
 * Values are little-endian byte strings of bits / 8 bytes, rounded up. What a snapshot needs beyond the registers
 * of the table is in Target.state.
 */
typedef struct TargetRegister TargetRegister;
struct TargetRegister {
    const char *name;       /* the architecture manual's, lower case */
    const char *group;
    uint16_t bits;
    /* Offset in the CPU structure, or hooks when it is not stored plainly. */
    size_t offset;
    void (*get)(Vcpu *vcpu, const TargetRegister *reg, void *value);
    void (*set)(Vcpu *vcpu, const TargetRegister *reg, const void *value);
    uint16_t flags;
    /*
     * gdb's feature ("org.gnu.gdb.aarch64.core") and type ("" for an integer); NULL: gdb does not see it. Its number there
     * is how many of the table's registers with a feature come before it.
     */
    const char *gdb_feature, *gdb_type;
    uint64_t accelerator_id; /* how the host kernel's interface names it; 0: it does not */
    /* Whether this CPU has it; NULL: always. */
    bool (*present)(const Vcpu *vcpu);
};

typedef struct {
    const char *reg; /* NULL ends a table */
    const RegisterField *fields;
} RegisterFields;

enum {
    TARGET_REGISTER_DERIVED = 1,  /* made from others: snapshots leave it out */
    TARGET_REGISTER_READONLY = 2, /* cannot be set; implies the former */
};

typedef enum { COUNTER_NONE, COUNTER_ARM_VIRTUAL, COUNTER_X86_TSC } TargetCounter;

struct CpuModel {
    const char *name;       /* as -cpu spells it */
    const char *summary;
    const Target *target;
    const void *data;       /* the target's own table */
};
#define CPU_MODEL(object) REGISTRY_ADD(cpu_models, object)
REGISTRY_DECLARE(cpu_models, CpuModel);

struct Target {
    const char *name;             /* "aarch64" as in kaso-system-NAME */
    const char *summary;
    const char *default_machine;  /* NULL: -M is required */
    const char *default_cpu;
    const NotYet *models_not_yet; /* CPU models that users of other emulators know; may be NULL */
    size_t cpu_size;              /* of the CPU structure, whose first member is a Vcpu */
    const Property *properties;   /* -cpu NAME,feature=on: over the CPU structure */
    /*
     * Sets the properties of a CPU that is none of a machine's to what they come to for its model, on vcpu->machine's accelerator (NULL: on none in
     * particular). Answers which features the model has and cannot have there; NULL-terminated, the caller frees.
     */
    char **(*resolve)(Vcpu *vcpu);
    /* Width of guest physical addresses that a model can form; NULL: 64. */
    unsigned (*physical_bits)(const CpuModel *model);
    /* The counter that guests take their time from, at a virtual time; NULL: COUNTER_NONE. */
    TargetCounter counter;
    uint64_t (*counter_at)(Machine *machine, int64_t virtual_ns);
    const TargetRegister *registers; /* ends with a NULL name */
    const RegisterFields *register_fields; /* of some of them; NULL: of none */
    const char *gdb_architecture; /* as gdb calls it */
    bool watch_before;            /* gdb wants to hear of a watchpoint before the access, not behind it */
    const struct StateField *state;  /* over the CPU structure: what is neither a register nor Vcpu's */
    uint16_t state_version;
    const struct TcgTarget *tcg;  /* accel/tcg/ir/target.h; NULL when it cannot be translated */
    int capstone_arch, capstone_mode;
    /* capstone's mode for the code that a CPU runs now; NULL: capstone_mode, always. */
    int (*capstone_mode_now)(const Vcpu *vcpu);

    /* model->data and properties have been applied before; may refuse a combination. */
    bool (*realize)(Vcpu *vcpu, GError **error);
    void (*unrealize)(Vcpu *vcpu);
    /* Architected reset. */
    void (*reset)(Vcpu *vcpu);
    /* After registers and state have been loaded or set from outside: makes what is derived of them. */
    void (*state_loaded)(Vcpu *vcpu);
    uint64_t (*get_pc)(const Vcpu *vcpu);
    void (*set_pc)(Vcpu *vcpu, uint64_t pc);
    /* Has the halted vCPU something to wake for? Lock-free. */
    bool (*has_work)(const Vcpu *vcpu);
    /* Debug translation of a guest virtual address without side effects; false when unmapped. */
    bool (*translate_debug)(Vcpu *vcpu, uint64_t guest_virt, uint64_t *guest_phys);
    /* Debuggers want other kinds of events (machine/debug.h), DEBUG_REGISTER among what changed; the vCPU is parked. May be NULL. */
    void (*debug_wants_changed)(Vcpu *vcpu);
    /* `info registers` text. */
    void (*describe)(Vcpu *vcpu, bool all, GString *out);
    /*
     * The virtual time at which the vCPU's time stamp counter has a value, for timers that wait for it. NULL: the
     * counter is the clock. Any thread; a target that changes the counter writes the timer's register again.
     */
    int64_t (*timestamp_to_clock)(const Vcpu *vcpu, uint64_t timestamp);
    /* x86: EAX and EDX of CPUID 1, as firmware's tables show a processor. NULL elsewhere. */
    void (*processor_id)(Vcpu *vcpu, uint32_t id[2]);
    /* `info tlb` text: the pages that are mapped; ranges: `info mem`, by equal rights. NULL: not told. */
    void (*describe_mappings)(Vcpu *vcpu, bool ranges, GString *out);
    /* How an address is translated now, and what each access to it would meet; *walk is zeroed. NULL: not told. */
    void (*walk_page)(Vcpu *vcpu, uint64_t guest_virt, PageWalk *walk);
    /* Names of what read_table knows ("gdt", "vectors"), ends with NULL; NULL: of none. */
    const char *const *tables;
    /* table has its row and opaque. The CPU is parked. */
    void (*read_table)(Vcpu *vcpu, const char *name, SystemTable *table);
    /* The last stations of an interrupt: the CPU's lines and masks. The CPU is parked. */
    void (*explain_interrupt)(Vcpu *vcpu, IrqChain *chain);
    /* ELF's number of the machine for core files, and what they say of a CPU (machine/core-notes.h). 0: there are none. */
    uint16_t core_machine;
    void (*core_notes)(Vcpu *vcpu, GByteArray *notes);
    /* A non-maskable interrupt, as the monitor's nmi sends it; NULL when there is none. */
    void (*nmi)(Vcpu *vcpu);
    const struct X86Processor *x86; /* machine/arch/x86-processor.h; NULL elsewhere */
};
#define TARGET(object) REGISTRY_ADD(targets, object)
REGISTRY_DECLARE(targets, Target);

const Target *target_find(const char *name);
const CpuModel *cpu_model_find(const Target *target, const char *name);
/* As find, and says why there is none. */
const CpuModel *cpu_model_get(const Target *target, const char *name, GError **error);
/* A CPU only for its properties, which are resolved: Target.resolve has what, and what `lacking` (may be NULL) gets. */
Vcpu *cpu_model_sample(const CpuModel *model, Machine *machine, char ***lacking);
void cpu_model_sample_free(Vcpu *vcpu);

static inline int target_capstone_mode(const Vcpu *vcpu)
{
    const Target *target = vcpu->target;

    return target->capstone_mode_now ? target->capstone_mode_now(vcpu) : target->capstone_mode;
}

/* By name, regardless of case; NULL: there is none. */
const TargetRegister *target_register_find(const Target *target, const char *name);
/* NULL: its fields are not known. */
const RegisterField *target_register_fields(const Target *target, const char *name);
unsigned target_register_bytes(const TargetRegister *reg);
bool target_register_is_saved(const TargetRegister *reg);
/* gdb's number, or -1. */
int target_register_gdb_number(const Target *target, const TargetRegister *reg);
/* The CPU must be parked, and synchronized (vcpu_sync), or in an access that its architecture's header names. value: TARGET_REGISTER_BYTES_MAX bytes. */
void target_register_read(Vcpu *vcpu, const TargetRegister *reg, uint8_t *value);
/* false: it is read-only. Whoever sets registers calls Target.state_loaded and vcpu_sync when done. */
bool target_register_write(Vcpu *vcpu, const TargetRegister *reg, const uint8_t *value);

/*
 * Registers outside the core that a device implements (GIC CPU interface, local APIC). Encodings are the
 * target's (A64: op0<<14 | op1<<11 | CRn<<7 | CRm<<3 | op2; x86: see machine/arch/x86.h). Called on the vCPU's thread without the
 * machine lock; the hooks take it when they need it. false: undefined for the guest.
 */
typedef struct {
    uint32_t encoding;
    const char *name;
    bool (*read)(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value);
    bool (*write)(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value);
} ExternalRegister;
/* table ends with a NULL name; both must outlive the machine. */
void machine_add_external_registers(Machine *machine, const ExternalRegister *table, void *opaque);
const ExternalRegister *machine_find_external_register(Machine *machine, uint32_t encoding,
                                                       void **opaque);

#endif
