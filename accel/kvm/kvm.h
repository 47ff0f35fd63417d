/* SPDX-License-Identifier: MIT */
/*
 * The accelerator "kvm", for its own files: Linux's interface to the host's processor (Documentation/virt/kvm/api.rst).
 *
 * Locks: the machine lock, then slots_lock. A vCPU's registers belong to its thread, or to who has it parked.
 */
#ifndef ACCEL_KVM_KVM_H
#define ACCEL_KVM_KVM_H

#include <linux/kvm.h>

#include "accel/accel.h"
#include "machine/arch/x86-chips.h"
#include "machine/arch/x86-processor.h"
#include "machine/machine.h"

/* Where the interrupt controllers are: all in this program, the local APICs in the kernel, all in the kernel. */
typedef enum { KVM_NOTIFY_RUN, KVM_NOTIFY_INTERNAL_ERROR, KVM_NOTIFY_DISABLE } KvmNotify;
typedef enum { KVM_IRQCHIP_OFF, KVM_IRQCHIP_SPLIT, KVM_IRQCHIP_ON } KvmIrqchip;

/* Capabilities, in the order of the table in capabilities.c. */
typedef enum {
    KVM_HAS_USER_MEMORY,
    KVM_HAS_IMMEDIATE_EXIT,
    KVM_HAS_SET_TSS_ADDR,
    KVM_HAS_EXT_CPUID,
    KVM_HAS_MP_STATE,
    KVM_HAS_VCPU_EVENTS,
    KVM_HAS_DEBUGREGS,
    KVM_HAS_XSAVE,
    KVM_HAS_XSAVE2,
    KVM_HAS_XCRS,
    KVM_HAS_NR_MEMSLOTS,
    KVM_HAS_NR_VCPUS,
    KVM_HAS_MAX_VCPUS,
    KVM_HAS_READONLY_MEM,
    KVM_HAS_ADDRESS_SPACES,
    KVM_HAS_SMM,
    KVM_HAS_IRQCHIP,
    KVM_HAS_SPLIT_IRQCHIP,
    KVM_HAS_PIT2,
    KVM_HAS_PIT_STATE2,
    KVM_HAS_REINJECT_CONTROL,
    KVM_HAS_IRQ_ROUTING,
    KVM_HAS_SIGNAL_MSI,
    KVM_HAS_IRQFD,
    KVM_HAS_IRQFD_RESAMPLE,
    KVM_HAS_IOEVENTFD,
    KVM_HAS_DIRTY_LOG_RING,
    KVM_HAS_DIRTY_LOG_RING_ACQ_REL,
    KVM_HAS_COALESCED_MMIO,
    KVM_HAS_COALESCED_PIO,
    KVM_HAS_X2APIC_API,
    KVM_HAS_TSC_DEADLINE,
    KVM_HAS_GET_TSC_KHZ,
    KVM_HAS_TSC_CONTROL,
    KVM_HAS_ADJUST_CLOCK,
    KVM_HAS_KVMCLOCK_CTRL,
    KVM_HAS_USER_NMI,
    KVM_HAS_GUEST_DEBUG,
    KVM_HAS_GUEST_DEBUG2,
    KVM_HAS_DISABLE_EXITS,
    KVM_HAS_SYS_HYPERV_CPUID,
    KVM_HAS_HYPERV_SYNIC,
    KVM_HAS_HYPERV_SYNIC2,
    KVM_HAS_HYPERV_VP_INDEX,
    KVM_HAS_HYPERV_TLBFLUSH,
    KVM_HAS_HYPERV_SEND_IPI,
    KVM_HAS_NESTED_STATE,
    KVM_HAS_BINARY_STATS,
    KVM_HAS_PMU_CAPABILITY,
    KVM_HAS_NOTIFY_VMEXIT,
    KVM_CAPABILITY_COUNT,
} KvmCapability;

typedef struct {
    uint64_t start, size;
    uint8_t *host;
    uint32_t flags; /* KVM_MEM_* */
    uint32_t id;
} KvmSlot;

enum { KVM_SPACES = 2 }; /* memory as others see it, and as system management mode does */

/* What debuggers want of the processor's breakpoints. */
typedef struct {
    uint64_t address[4];
    uint32_t dr7;
} KvmBreakpoints;

/* A global interrupt that is a message. */
typedef struct {
    uint64_t address;
    uint32_t data, gsi;
    int fd;         /* whose signals are the message, or were last; 0: nobody's */
    bool used;
    bool signalled; /* the kernel listens to fd */
} KvmRoute;

typedef struct Kvm {
    Machine *machine;
    int system, vm, statistics_fd; /* descriptors; -1: none */
    size_t run_bytes;
    int values[KVM_CAPABILITY_COUNT]; /* what KVM_CHECK_EXTENSION says */
    /* Options. */
    int irqchip_wanted; /* KvmIrqchip */
    uint64_t shadow_memory;
    char *device; /* NULL: the usual one */
    int notify;   /* KvmNotify */
    uint32_t notify_window;
    atomic_bool notify_said;
    uint32_t dirty_ring_size; /* entries of each vCPU's ring; 0: stores are recorded by bitmaps */
    KvmIrqchip irqchip;
    struct kvm_cpuid2 *supported; /* what CPUID may say */
    struct kvm_cpuid2 *hyperv;    /* and of Hyper-V's leaves; NULL: nothing */
    GPtrArray *vcpus;             /* KvmVcpu */

    KvmBreakpoints breakpoints;
    struct kvm_clock_data clock; /* of the guests' kvmclock, while the machine is stopped */
    bool clock_kept;

    GMutex routes_lock;
    GArray *routes;      /* KvmRoute */
    unsigned next_level; /* whose turn it is among the first, which are our I/O APIC's levels */
    bool pit, pit_replaced; /* the interval timer is the kernel's; the HPET has its interrupt */
    IrqLine *eoi;        /* ends of level-triggered interrupts; NULL: nobody listens */

    GArray *doorbells; /* doorbells.c: those that the kernel rings */

    /* coalesced.c, with the machine lock. */
    GArray *zones;                        /* struct kvm_coalesced_mmio_zone that the kernel has */
    struct kvm_coalesced_mmio_ring *ring; /* NULL: there is none */
    struct KvmVcpu *ring_owner;           /* whose mapping it is in */
    bool in_ring;
    uint64_t gathered;

    GMutex slots_lock;
    GArray *slots[KVM_SPACES]; /* KvmSlot, by start */
    GArray *logged;            /* RamRange: whose stores are recorded */
    unsigned long *slot_ids;   /* bits of those in use */
    uint64_t slot_changes;     /* calls to the kernel about slots */
    uint64_t ring_pages;       /* that came by rings */

    /* The gate before KVM_RUN: closed while memory is taken away that comes back in another form. */
    atomic_bool gate_closed;
    GMutex gate_lock;
    GCond gate_moved;

    atomic_bool failed; /* the machine cannot go on: no vCPU enters the kernel any more */
} Kvm;

static inline bool kvm_has(const Kvm *kvm, KvmCapability capability)
{
    return kvm->values[capability] > 0;
}

enum { KVM_EXIT_REASONS = 48, KVM_REGISTERS_MAX = 64 };

/* A register of the target's table and its place in KvmVcpu. */
typedef struct {
    const TargetRegister *reg;
    uint16_t place, bytes; /* offset in KvmVcpu */
} KvmRegister;

typedef struct {
    const TargetRegister *reg; /* NULL: the target does not know it */
    uint64_t initial;          /* as the kernel had it in a new vCPU */
    uint64_t wanted;           /* of those that the target does not know: after a reset or a load */
    uint64_t last;             /* as the CPU structure had it after the last fetch */
    bool refused;              /* the kernel does not take it */
} KvmMsr;

typedef struct KvmVcpu {
    Vcpu *vcpu;
    Kvm *kvm;
    const X86Processor *x86;
    int fd;
    int statistics_fd; /* -1: none; taken early, since the kernel gives none while the CPU runs */
    struct kvm_run *run;

    /* How KVM_RUN is left. */
    atomic_bool in_run, signalled;
    bool unfinished;      /* an access was answered, and KVM_RUN has not been told yet */
    bool in_access;       /* a device answers one right now */

    /* Registers: the kernel's form, fetched when asked for. */
    bool fetched;         /* the CPU structure has them */
    bool taken_back;      /* and events that the kernel had begun to deliver */
    bool changed;         /* and more than the kernel: to be given to it */
    bool given;           /* since the kernel was entered last */
    bool everything;      /* all of it is to be given, whatever it was before */
    bool reset;           /* and it is a reset */
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_debugregs debugregs;
    struct kvm_vcpu_events events;
    struct kvm_xcrs xcrs;
    struct kvm_mp_state mp_state;
    struct kvm_lapic_state lapic; /* to be given when lapic_changed, with its base */
    uint64_t apic_base;
    bool synic; /* Hyper-V's events are switched on */
    uint8_t *saved_msrs; /* for snapshots: number and value of those that the target does not know, 4 and 8 bytes each */
    uint32_t saved_msrs_bytes;
    uint8_t *saved_nested; /* for snapshots: struct kvm_nested_state */
    uint32_t saved_nested_bytes; /* 0: there is none */
    bool lapic_changed;
    uint8_t *xsave;
    size_t xsave_bytes;
    KvmRegister registers[KVM_REGISTERS_MAX];
    unsigned register_count;
    uint64_t last[KVM_REGISTERS_MAX]; /* as the CPU structure had them after the last fetch */
    X86Hidden last_hidden;
    uint8_t *last_xsave;
    uint64_t last_xcr0;
    KvmMsr *msrs;
    struct kvm_msrs *msr_list;
    unsigned msr_count;

    struct kvm_dirty_gfn *dirty_ring; /* NULL: there is none; with slots_lock */
    uint32_t dirty_next;

    struct kvm_guest_debug debug; /* as the kernel has it */
    uint64_t exits[KVM_EXIT_REASONS], kicks, fetches;
} KvmVcpu;

static inline KvmVcpu *kvm_vcpu(const Vcpu *vcpu)
{
    return vcpu->accel;
}

/* ioctl, again after EINTR; negative errno on failure. */
int kvm_ioctl(int fd, unsigned long request, const void *argument);
/* As ioctl with an error that names it. */
bool kvm_do(int fd, unsigned long request, const void *argument, const char *name, GError **error);
#define KVM_DO(fd, request, argument, error) kvm_do(fd, request, argument, #request, error)
/* The machine cannot go on: it stops with the vCPU's registers (NULL: none) in the log. `text` is taken. */
void kvm_fail(Kvm *kvm, KvmVcpu *kv, int status, char *text);
enum { KVM_STATUS_HOST = 1, KVM_STATUS_INTERNAL_ERROR = 70, KVM_STATUS_ENTRY_FAILED = 71 };

/* capabilities.c */
bool capabilities_find(Kvm *kvm, GError **error);
void capabilities_describe(const Kvm *kvm, GString *out);

/* slots.c */
bool slots_create(Kvm *kvm, GError **error);
void slots_free(Kvm *kvm);
/* Gives the kernel the views of memory as they are now. With the machine lock, or before vCPUs run. */
void slots_update(Kvm *kvm);

/* dirty-ring.c. Before vCPUs are there. */
bool dirty_ring_choose(Kvm *kvm, GError **error);
bool dirty_ring_map(KvmVcpu *kv, GError **error);
void dirty_ring_unmap(KvmVcpu *kv);
/* Says to the machine what is in the rings. With slots_lock. */
void dirty_ring_empty(Kvm *kvm);
void dirty_ring_full(KvmVcpu *kv);

/* doorbells.c */
void doorbells_create(Kvm *kvm);
void doorbells_free(Kvm *kvm);
/* Some bell or view has changed. With the machine lock. */
void doorbells_update(void *kvm);

/* coalesced.c: writes that come late. */
void coalesced_attach(KvmVcpu *kv);
void coalesced_detach(KvmVcpu *kv);
/* Carries out what there is. [any thread] */
void coalesced_flush(Kvm *kvm);
/* Some view has changed. With the machine lock. */
void coalesced_update(Kvm *kvm);

/* irqchip.c */
bool irqchip_create(Kvm *kvm, GError **error);
void irqchip_free(Kvm *kvm);
/* Tells the kernel all routes. With routes_lock. */
bool irqchip_give_routes(Kvm *kvm, GError **error);
/* A vCPU has ended a level-triggered interrupt of our I/O APIC. */
void irqchip_end(KvmVcpu *kv, uint8_t vector);

/* pit.c: of X86KernelChips. */
bool pit_take(Machine *machine, bool delay);
void pit_get(Machine *machine, X86PitState *state);
void pit_set(Machine *machine, const X86PitState *state);
void pit_replace(Machine *machine, bool replaced);

/* irqfd.c: interrupts by descriptor, where local APICs are the kernel's. */
void irqfd_create(Kvm *kvm);
void irqfd_free(Kvm *kvm);

/* vcpu.c */
bool kvm_vcpu_create(Vcpu *vcpu, GError **error);
void kvm_vcpu_free(Vcpu *vcpu);
void kvm_vcpu_run(Vcpu *vcpu);
void kvm_vcpu_kick(Vcpu *vcpu);
/* Has the kernel finish the instruction whose access was answered last. */
void kvm_vcpu_settle(Vcpu *vcpu);
/* The kernel takes the registers and says what it thinks of them (struct kvm_run); the guest does not go on. [vCPU thread] */
void kvm_vcpu_refresh(Vcpu *vcpu);
/* Until it opens, no vCPU but the calling thread's own is in KVM_RUN, and none enters. */
void gate_close(Kvm *kvm);
void gate_open(Kvm *kvm);

/* exits.c */
void exit_handle(KvmVcpu *kv);
const char *exit_name(unsigned reason);

/* registers.c */
bool registers_create(KvmVcpu *kv, GError **error);
void registers_free(KvmVcpu *kv);
void registers_sync(Vcpu *vcpu, VcpuSync direction);
void registers_reset(Vcpu *vcpu);
/* Accelerator.resume: a CPU that runs may send to others, which must not be reset after that. */
void registers_resume(Machine *machine);
/* Gives the kernel what was changed. false: it refused, and the machine stops. */
bool registers_put(KvmVcpu *kv);
/* INIT ends what was being delivered. Registers are fetched. */
void registers_forget_events(KvmVcpu *kv);
/* An interrupt that was acknowledged is delivered first when the guest goes on. [vCPU thread, before KVM_RUN] */
void registers_give_vector(KvmVcpu *kv, uint8_t vector);

/* msrs.c */
bool msrs_create(KvmVcpu *kv, GError **error);
void msrs_free(KvmVcpu *kv);
void msrs_fetch(KvmVcpu *kv);
void msrs_note(KvmVcpu *kv);
void msrs_put(KvmVcpu *kv);
/* Those that the target does not know become a new vCPU's. */
void msrs_reset(KvmVcpu *kv);
/* For snapshots, to and from saved_msrs. */
void msrs_save(KvmVcpu *kv);
void msrs_load(KvmVcpu *kv);
/* IA32_TSC_DEADLINE, which is the local APIC's. Fetched with the others, and given with all of them. */
uint64_t msrs_get_deadline(const KvmVcpu *kv);
void msrs_set_deadline(KvmVcpu *kv, uint64_t deadline);

/* nested.c */
/* The vCPU is in no virtual machine of the guest's own any more. */
bool nested_reset(KvmVcpu *kv, GError **error);
/* For snapshots, to and from saved_nested. It is loaded once, after the mode and before the other registers, which are those of the machine that runs. */
void nested_save(KvmVcpu *kv);
/* Whether what nested_save has kept can go to no other accelerator. */
bool nested_is_saved(const Machine *machine);
bool nested_load(KvmVcpu *kv, GError **error);

/* cpuid.c */
bool cpuid_load_supported(Kvm *kvm, GError **error);
/* Accelerator.cpuid */
bool cpuid_supported(Machine *machine, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
/* Tells the kernel what the vCPU's CPUID says. */
bool cpuid_set(KvmVcpu *kv, GError **error);

/* hyperv.c: Hyper-V's interfaces. */
void hyperv_load(Kvm *kvm);
/* Accelerator.hyperv */
bool hyperv_supported(Machine *machine, uint32_t leaf, uint32_t out[4]);
/* Before the vCPU's CPUID is told: what it shows is switched on. */
bool hyperv_enable(KvmVcpu *kv, GError **error);
void hyperv_exit(KvmVcpu *kv);

/* interrupts.c: what comes from this program's own interrupt controllers. */
/* Before KVM_RUN. false: the vCPU is not to run now. */
bool interrupts_before(KvmVcpu *kv);
/* Accelerator.vcpu_has_work: only where HLT comes out, with kernel-irqchip=off. */
bool interrupts_wake(const Vcpu *vcpu);
/* Right before and after KVM_RUN. */
void interrupts_entering(KvmVcpu *kv);
void interrupts_after(KvmVcpu *kv);

/* debug.c */
bool kvm_debug_changed(Machine *machine, GError **error);
/* Before KVM_RUN: what debuggers want now. */
void debug_prepare(KvmVcpu *kv);
void debug_exit(KvmVcpu *kv);

/* clock.c: kvmclock stands still while the machine is stopped. */
void clock_follow(Kvm *kvm);
/* For snapshots, with the machine stopped. */
void clock_save(Kvm *kvm);

/* saved.c: what snapshots have beside devices and the target's registers. */
extern const StateField kvm_state[], kvm_vcpu_state[];
void kvm_state_saving(Machine *machine);
void kvm_state_loaded(Machine *machine);

/* statistics.c: what the machine or the vCPU with the descriptor counts, to be read at any time; -1: the kernel has no such thing */
int kvm_statistics_open(const Kvm *kvm, int fd);

/* Accelerator.statistics */
bool kvm_statistics(Machine *machine, Vcpu *vcpu, AcceleratorVisitor *visit, void *opaque,
                    GError **error);

/* describe.c */
void kvm_describe(Machine *machine, GString *out);

#endif
