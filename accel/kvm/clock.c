/* SPDX-License-Identifier: MIT */
/* kvmclock, the guests' paravirtual clock: it stands still while the machine is stopped, as the virtual clock does. */
#include "accel/kvm/kvm.h"

static void keep(Kvm *kvm)
{
    kvm->clock_kept = kvm_ioctl(kvm->vm, KVM_GET_CLOCK, &kvm->clock) >= 0;
}

static void go_on(Kvm *kvm)
{
    registers_resume(kvm->machine); /* who has the clock is in there */
    if (!kvm->clock_kept) {
        return;
    }
    kvm->clock_kept = false;
    kvm->clock.flags = 0;
    kvm_ioctl(kvm->vm, KVM_SET_CLOCK, &kvm->clock);
    /* Guests' watchdogs are told that they were stopped; those without the clock do not care. */
    for (unsigned i = 0; i < kvm->vcpus->len && kvm_has(kvm, KVM_HAS_KVMCLOCK_CTRL); i++) {
        KvmVcpu *kv = kvm->vcpus->pdata[i];

        kvm_ioctl(kv->fd, KVM_KVMCLOCK_CTRL, NULL);
    }
}

void clock_save(Kvm *kvm)
{
    if (!kvm->clock_kept) {
        keep(kvm);
    }
}

static void run_state_changed(void *opaque, bool running)
{
    Kvm *kvm = opaque;

    if (running) {
        go_on(kvm);
    } else {
        keep(kvm);
    }
}

void clock_follow(Kvm *kvm)
{
    if (kvm_has(kvm, KVM_HAS_ADJUST_CLOCK)) {
        machine_on_run_state(kvm->machine, run_state_changed, kvm);
    }
}
