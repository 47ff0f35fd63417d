/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot has of KVM beside devices and the target's registers: kvmclock, MSRs of paravirtual interfaces and whatever else the target does
 * not know, exceptions and software interrupts that the processor was delivering when it left the guest, virtual machines of the guest's own.
 */
#include "accel/kvm/kvm.h"

enum { MSR_BYTES_MOST = 4096 * 12, NESTED_BYTES_MOST = 64 << 10 };

static uint64_t get_clock(const void *instance)
{
    return ((const Kvm *)instance)->clock.clock;
}

static void set_clock(void *instance, uint64_t value)
{
    Kvm *kvm = instance;

    kvm->clock = (struct kvm_clock_data){ .clock = value };
    kvm->clock_kept = true;
}

const StateField kvm_state[] = {
    STATE_VALUE("clock", get_clock, set_clock),
    { 0 },
};

const StateField kvm_vcpu_state[] = {
    STATE(KvmVcpu, events.exception.injected),
    STATE(KvmVcpu, events.exception.nr),
    STATE(KvmVcpu, events.exception.has_error_code),
    STATE(KvmVcpu, events.exception.error_code),
    STATE(KvmVcpu, events.interrupt.injected),
    STATE(KvmVcpu, events.interrupt.nr),
    STATE(KvmVcpu, events.interrupt.soft),
    STATE_BUFFER(KvmVcpu, saved_msrs, saved_msrs_bytes, MSR_BYTES_MOST),
    STATE_BUFFER(KvmVcpu, saved_nested, saved_nested_bytes, NESTED_BYTES_MOST),
    { 0 },
};

void kvm_state_saving(Machine *machine)
{
    Kvm *kvm = machine->accel_state;

    clock_save(kvm);
    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        registers_sync(((KvmVcpu *)kvm->vcpus->pdata[i])->vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        msrs_save(kvm->vcpus->pdata[i]);
        nested_save(kvm->vcpus->pdata[i]);
    }
}

void kvm_state_loaded(Machine *machine)
{
    const Kvm *kvm = machine->accel_state;

    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        msrs_load(kvm->vcpus->pdata[i]);
    }
}
