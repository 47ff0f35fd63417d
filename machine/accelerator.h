/* SPDX-License-Identifier: MIT */
/* An accelerator: what runs vCPUs. */
#ifndef MACHINE_ACCELERATOR_H
#define MACHINE_ACCELERATOR_H

#include "base/registry.h"
#include "machine/machine.h"

typedef struct Accelerator {
    const char *name; /* as -accel spells it */
    const char *summary;
    const Property *properties; /* over the state that `state_size` says */
    size_t state_size;
    /* Before the board is built. A failure lets `-accel a:b` go on to b, printing why. */
    bool (*init)(Machine *machine, void *state, GError **error);
    void (*shutdown)(Machine *machine, void *state);
    /* After target->realize, on the main thread; sets vcpu->accel. */
    bool (*vcpu_init)(Vcpu *vcpu, GError **error);
    void (*vcpu_free)(Vcpu *vcpu);
    /* Thread body after set-up: runs until vcpu_safe_point returns false. */
    void (*vcpu_run)(Vcpu *vcpu);
    /* Makes vcpu_run reach vcpu_safe_point soon. [any thread] */
    void (*vcpu_kick)(Vcpu *vcpu);
    /* After target->reset, with the vCPU parked: drop cached state. */
    void (*vcpu_reset)(Vcpu *vcpu);
    /* vcpu->memory is another space now: drop what is cached of guest memory. On the vCPU's thread. */
    void (*vcpu_memory_changed)(Vcpu *vcpu);
    /* `info jit` and the like; may be NULL. */
    void (*describe)(Machine *machine, GString *out);
} Accelerator;

#define ACCELERATOR(object) REGISTRY_ADD(accelerators, object)
REGISTRY_DECLARE(accelerators, Accelerator);
/* NULL with an error when there is none. */
const Accelerator *accelerator_find(const char *name, GError **error);

#endif
