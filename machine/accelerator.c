/* SPDX-License-Identifier: MIT */
/* Look-up of accelerators. */
#include "machine/accelerator.h"

#include "base/names.h"

static const NotYet accelerators_not_yet[] = {
    { "hvf mshv nitro nvmm whpx xen",
      "use -accel tcg, or a list such as kvm:tcg that goes on to it" },
    { 0 },
};

static const NameKind accelerator_kind = { "accelerator", "-accel help", accelerators_not_yet };

const Accelerator *accelerator_find(const char *name, GError **error)
{
    return REGISTRY_FIND(accelerators, &accelerator_kind, name, error);
}

void vcpu_sync(Vcpu *vcpu, VcpuSync direction)
{
    const Accelerator *accelerator = vcpu->machine->accelerator;

    if (accelerator && accelerator->sync && vcpu->accel) {
        accelerator->sync(vcpu, direction);
    }
}

bool machine_can(const Machine *machine, unsigned abilities)
{
    unsigned has =
        machine->accelerator ? machine->accelerator->abilities & ~machine->accelerator_lacks : 0;

    return (has & abilities) == abilities;
}
