/* SPDX-License-Identifier: MIT */
/* An accelerator: what runs vCPUs. */
#ifndef MACHINE_ACCELERATOR_H
#define MACHINE_ACCELERATOR_H

#include "base/registry.h"
#include "machine/machine.h"
#include "machine/state.h"

/* What an accelerator can, for those who would otherwise ask for its name. */
enum {
    ACCELERATOR_RUNS_CODE = 1,       /* guest code runs at all (not so when a test drives the machine) */
    ACCELERATOR_HOST_PROCESSOR = 2,  /* on the host's processor: its CPU model and interrupt controller can be had */
    ACCELERATOR_SMM = 4,             /* x86: system management mode */
    ACCELERATOR_COVERAGE = 8,        /* notes which instructions are executed (machine/coverage.h) */
    ACCELERATOR_ICOUNT = 16,         /* counts instructions, and lets vCPUs take turns (machine/icount.h) */
};

/* LOADED: as TO, and the whole state is another one (a snapshot's): counters, too, are set. */
typedef enum { VCPU_SYNC_FROM_ACCELERATOR, VCPU_SYNC_TO_ACCELERATOR, VCPU_SYNC_LOADED } VcpuSync;

/* A counter of the accelerator's kernel. Values are to be multiplied with base ^ exponent; more than one: a histogram. */
typedef struct {
    const char *name;
    const char *type; /* cumulative, instant, peak, linear-histogram, log2-histogram */
    const char *unit; /* bytes, seconds, cycles, boolean; NULL: a number */
    int base, exponent;
    uint32_t bucket_size;
    unsigned count;
    const uint64_t *values;
} AcceleratorStatistic;
typedef void AcceleratorVisitor(void *opaque, const AcceleratorStatistic *statistic);

typedef struct Accelerator {
    const char *name; /* as -accel spells it */
    const char *summary;
    const Property *properties; /* over the state that `state_size` says */
    size_t state_size;
    bool (*runs)(const Target *target); /* NULL: any */
    unsigned abilities; /* ACCELERATOR_*; less Machine.accelerator_lacks */
    /* Before the board is built. A failure lets `-accel a:b` go on to b, printing why. */
    bool (*init)(Machine *machine, void *state, GError **error);
    void (*shutdown)(Machine *machine, void *state);
    /* After target->realize, on the main thread; sets vcpu->accel. */
    bool (*vcpu_init)(Vcpu *vcpu, GError **error);
    void (*vcpu_free)(Vcpu *vcpu);
    /* Thread body after set-up: runs until vcpu_safe_point returns false. NULL: vCPUs have no threads. */
    void (*vcpu_run)(Vcpu *vcpu);
    /* Makes vcpu_run reach vcpu_safe_point soon. [any thread] */
    void (*vcpu_kick)(Vcpu *vcpu);
    /*
     * On the vCPU's thread, before it parks or others' work runs on it: what is half done of an instruction is to be
     * finished. May be NULL.
     */
    void (*vcpu_settle)(Vcpu *vcpu);
    /* Of a halted vCPU, on its thread: whether it goes on. NULL: by the target's has_work, which looks at the CPU structure. */
    bool (*vcpu_has_work)(const Vcpu *vcpu);
    /* After target->reset, with the vCPU parked: drop cached state. */
    void (*vcpu_reset)(Vcpu *vcpu);
    /* vcpu->memory is another space now: drop what is cached of guest memory. On the vCPU's thread. */
    void (*vcpu_memory_changed)(Vcpu *vcpu);
    /*
     * Brings the CPU structure up to date with registers that the accelerator keeps (FROM), or has it take over
     * what was changed there (TO), dropping what it has cached. The vCPU is parked. NULL: the structure is all.
     */
    void (*sync)(Vcpu *vcpu, VcpuSync direction);
    /* All vCPUs are about to go on after all stood: what was loaded or reset is taken over by each before one runs. May be NULL. */
    void (*resume)(Machine *machine);
    /*
     * What is saved beside devices and CPUs, by tables over the accelerator's state and each Vcpu.accel. Loaded where the same accelerator is;
     * elsewhere it is left out. state_saving makes the fields that are made for it; state_loaded takes them, after all else is loaded.
     */
    const StateField *state, *vcpu_state;
    void (*state_saving)(Machine *machine);
    void (*state_loaded)(Machine *machine);
    /*
     * What debuggers want trapped has changed (machine/debug.h, whose functions the accelerator calls from now on); all
     * vCPUs are parked. false: it cannot trap all of that, and is asked again with less. NULL: it can trap nothing.
     */
    bool (*debug_changed)(Machine *machine, GError **error);
    uint32_t debug_events; /* a bit for each DebugEventKind of CPUs that it tells of (machine/debug.h) */
    /* Whether each translated block is of one instruction: all vCPUs are parked. NULL: nothing is translated. */
    void (*set_one_insn)(Machine *machine, bool on);
    /* `info jit` and the like; may be NULL. */
    void (*describe)(Machine *machine, GString *out);
    /* Of the whole machine, or of a vCPU. false with an error: they cannot be read. NULL: there are none. */
    bool (*statistics)(Machine *machine, Vcpu *vcpu, AcceleratorVisitor *visit, void *opaque,
                       GError **error);
    /* x86: what CPUID may say at most; false: nothing. NULL: what the target can itself. */
    bool (*cpuid)(Machine *machine, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    /* x86: the same of leaves 0x40000003 and 0x40000004 as Hyper-V has them. NULL: it has none of its interfaces. */
    bool (*hyperv)(Machine *machine, uint32_t leaf, uint32_t out[4]);
} Accelerator;


/* As the accelerator's sync; for all who look at a parked vCPU's registers, or change them. */
void vcpu_sync(Vcpu *vcpu, VcpuSync direction);
/* Whether the machine's accelerator has all these abilities. */
bool machine_can(const Machine *machine, unsigned abilities);

#define ACCELERATOR(object) REGISTRY_ADD(accelerators, object)
REGISTRY_DECLARE(accelerators, Accelerator);
/* NULL with an error when there is none. */
const Accelerator *accelerator_find(const char *name, GError **error);

#endif
