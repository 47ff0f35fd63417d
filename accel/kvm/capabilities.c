/* SPDX-License-Identifier: MIT */
/* What the kernel's KVM can, and what is lost where it cannot. */
#include <sys/ioctl.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"

typedef struct {
    int number;
    const char *name;
    bool needed;
    const char *without; /* what is lost; of those that are needed: why */
} Capability;

/* clang-format off */
#define CAPABILITY(index, suffix, needed, without)                                                 \
    [KVM_HAS_##index] = { KVM_CAP_##suffix, #suffix, needed, without }

static const Capability table[KVM_CAPABILITY_COUNT] = {
    CAPABILITY(USER_MEMORY, USER_MEMORY, true, "guest memory is this program's"),
    CAPABILITY(IMMEDIATE_EXIT, IMMEDIATE_EXIT, true, "kicks would be lost"),
    CAPABILITY(SET_TSS_ADDR, SET_TSS_ADDR, false, "real mode on older Intel processors"),
    CAPABILITY(EXT_CPUID, EXT_CPUID, true, "CPU models are what the host can"),
    CAPABILITY(MP_STATE, MP_STATE, true, "processors start and stop"),
    CAPABILITY(VCPU_EVENTS, VCPU_EVENTS, true, "pending exceptions are part of the state"),
    CAPABILITY(DEBUGREGS, DEBUGREGS, false, "debug registers are not seen, and not reset"),
    CAPABILITY(XSAVE, XSAVE, true, "vector registers are part of the state"),
    CAPABILITY(XSAVE2, XSAVE2, false, "states of more than 4 KiB"),
    CAPABILITY(XCRS, XCRS, false, "XCR0 is not seen, and not reset"),
    CAPABILITY(NR_MEMSLOTS, NR_MEMSLOTS, false, "32 pieces of memory at most"),
    CAPABILITY(NR_VCPUS, NR_VCPUS, false, "4 CPUs are recommended at most"),
    CAPABILITY(MAX_VCPUS, MAX_VCPUS, false, "as many CPUs as are recommended, at most"),
    CAPABILITY(READONLY_MEM, READONLY_MEM, true, "firmware is memory that cannot be written"),
    CAPABILITY(ADDRESS_SPACES, MULTI_ADDRESS_SPACE, false, "system management mode"),
    CAPABILITY(SMM, X86_SMM, false, "system management mode"),
    CAPABILITY(IRQCHIP, IRQCHIP, false, "interrupt controllers in the kernel"),
    CAPABILITY(SPLIT_IRQCHIP, SPLIT_IRQCHIP, false, "kernel-irqchip=split"),
    CAPABILITY(PIT2, PIT2, false, "the interval timer in the kernel"),
    CAPABILITY(PIT_STATE2, PIT_STATE2, false, "the interval timer in the kernel"),
    CAPABILITY(REINJECT_CONTROL, REINJECT_CONTROL, false, "lost_tick_policy of the interval timer"),
    CAPABILITY(IRQ_ROUTING, IRQ_ROUTING, false, "interrupts by descriptor (irqfd)"),
    CAPABILITY(SIGNAL_MSI, SIGNAL_MSI, false, "interrupt controllers in the kernel"),
    CAPABILITY(IRQFD, IRQFD, false, "interrupts by descriptor"),
    CAPABILITY(IRQFD_RESAMPLE, IRQFD_RESAMPLE, false, "level interrupts by descriptor"),
    CAPABILITY(IOEVENTFD, IOEVENTFD, false, "guests' doorbells go through the CPU's thread"),
    CAPABILITY(DIRTY_LOG_RING, DIRTY_LOG_RING, false, "dirty-ring-size"),
    CAPABILITY(DIRTY_LOG_RING_ACQ_REL, DIRTY_LOG_RING_ACQ_REL, false, "rings that are for weakly ordered hosts, too"),
    CAPABILITY(COALESCED_MMIO, COALESCED_MMIO, false, "each write to a screen's memory is waited for"),
    CAPABILITY(COALESCED_PIO, COALESCED_PIO, false, "each write to an index port is waited for"),
    CAPABILITY(X2APIC_API, X2APIC_API, false, "more than 255 CPUs"),
    CAPABILITY(TSC_DEADLINE, TSC_DEADLINE_TIMER, false, "the local APIC's timer by time-stamp counter"),
    CAPABILITY(GET_TSC_KHZ, GET_TSC_KHZ, false, "the time-stamp counter's rate is taken for 1 GHz"),
    CAPABILITY(TSC_CONTROL, TSC_CONTROL, false, "tsc-frequency other than the host's"),
    CAPABILITY(ADJUST_CLOCK, ADJUST_CLOCK, false, "kvmclock goes on while the machine is stopped"),
    CAPABILITY(KVMCLOCK_CTRL, KVMCLOCK_CTRL, false, "guests take a stop for a lock-up"),
    CAPABILITY(USER_NMI, USER_NMI, false, "non-maskable interrupts"),
    CAPABILITY(GUEST_DEBUG, SET_GUEST_DEBUG, false, "breakpoints and single steps of debuggers"),
    CAPABILITY(GUEST_DEBUG2, SET_GUEST_DEBUG2, false, "single steps without interrupts in between"),
    CAPABILITY(DISABLE_EXITS, X86_DISABLE_EXITS, false, "-overcommit cpu-pm=on"),
    CAPABILITY(SYS_HYPERV_CPUID, SYS_HYPERV_CPUID, false, "hv-* features"),
    CAPABILITY(HYPERV_SYNIC, HYPERV_SYNIC, false, "hv-synic and hv-stimer"),
    CAPABILITY(HYPERV_SYNIC2, HYPERV_SYNIC2, false, "pages of hv-synic that keep what the guest had there"),
    CAPABILITY(HYPERV_VP_INDEX, HYPERV_VP_INDEX, false, "hv-vpindex"),
    CAPABILITY(HYPERV_TLBFLUSH, HYPERV_TLBFLUSH, false, "hv-tlbflush"),
    CAPABILITY(HYPERV_SEND_IPI, HYPERV_SEND_IPI, false, "hv-ipi"),
    CAPABILITY(NESTED_STATE, NESTED_STATE, false, "a reset inside of a guest's own virtual machine, and snapshots of one"),
    CAPABILITY(BINARY_STATS, BINARY_STATS_FD, false, "info stats"),
    CAPABILITY(PMU_CAPABILITY, PMU_CAPABILITY, false, "instructions that leave the guest are counted for performance counters that it does not have"),
    CAPABILITY(NOTIFY_VMEXIT, X86_NOTIFY_VMEXIT, false, "notify-vmexit: a guest that blocks all events is not noticed"),
};
/* clang-format on */

bool capabilities_find(Kvm *kvm, GError **error)
{
    for (unsigned i = 0; i < KVM_CAPABILITY_COUNT; i++) {
        int value = ioctl(kvm->vm, KVM_CHECK_EXTENSION, table[i].number);

        /* Kernels of old answer for the system alone. */
        if (value < 0) {
            value = ioctl(kvm->system, KVM_CHECK_EXTENSION, table[i].number);
        }
        kvm->values[i] = MAX(value, 0);
        if (value <= 0 && table[i].needed) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED,
                              "-accel kvm: this kernel's KVM lacks KVM_CAP_%s (%s); use a newer "
                              "kernel, or -accel tcg",
                              table[i].name, table[i].without);
        }
    }
    return true;
}

void capabilities_describe(const Kvm *kvm, GString *out)
{
    for (unsigned i = 0; i < KVM_CAPABILITY_COUNT; i++) {
        if (!kvm_has(kvm, i)) {
            g_string_append_printf(out, "  without %-20s %s\n", table[i].name, table[i].without);
        }
    }
}
