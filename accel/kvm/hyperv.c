/* SPDX-License-Identifier: MIT */
/* Hyper-V's interfaces to guests, as the kernel has them: which there are, what they need, and what of them comes here. */
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"

enum {
    ENTRIES_MOST = 64,
    INTERFACE = 0x40000001,
    FEATURES = 0x40000003,
    HINTS = 0x40000004,
    HV1 = 0x31237648, /* "Hv#1" */

    RIGHT_SYNIC = 1 << 2,
    RIGHT_STIMER = 1 << 3,
    RIGHT_APIC = 1 << 4,
    RIGHT_VP_INDEX = 1 << 6,
    FEATURE_STIMER_DIRECT = 1 << 19,
    HINT_TLB_FLUSH = 1 << 2,
    HINT_IPI = 1 << 10,

    STATUS_INVALID_CODE = 2, /* of a hypercall */
};

void hyperv_load(Kvm *kvm)
{
    struct kvm_cpuid2 *table;

    if (!kvm_has(kvm, KVM_HAS_SYS_HYPERV_CPUID)) {
        return;
    }
    table = g_malloc0(sizeof *table + ENTRIES_MOST * sizeof table->entries[0]);
    table->nent = ENTRIES_MOST;
    if (kvm_ioctl(kvm->system, KVM_GET_SUPPORTED_HV_CPUID, table) < 0) {
        g_free(table);
        return;
    }
    kvm->hyperv = table;
}

static bool has_synic(const Kvm *kvm)
{
    return kvm_has(kvm, KVM_HAS_HYPERV_SYNIC2) || kvm_has(kvm, KVM_HAS_HYPERV_SYNIC);
}

/* What this kernel has by capability only, and what is its APIC's. */
static void leave_out(const Kvm *kvm, uint32_t leaf, uint32_t out[4])
{
    bool apic = kvm->irqchip != KVM_IRQCHIP_OFF;

    if (leaf == FEATURES) {
        out[0] &= ~(apic ? 0u : RIGHT_SYNIC | RIGHT_STIMER | RIGHT_APIC);
        out[0] &= ~(has_synic(kvm) ? 0u : RIGHT_SYNIC);
        out[0] &= ~(kvm_has(kvm, KVM_HAS_HYPERV_VP_INDEX) ? 0u : RIGHT_VP_INDEX);
        out[3] &= ~(apic ? 0u : FEATURE_STIMER_DIRECT);
    } else if (leaf == HINTS) {
        out[0] &= ~(kvm_has(kvm, KVM_HAS_HYPERV_TLBFLUSH) ? 0u : HINT_TLB_FLUSH);
        out[0] &= ~(kvm_has(kvm, KVM_HAS_HYPERV_SEND_IPI) && apic ? 0u : HINT_IPI);
    }
}

bool hyperv_supported(Machine *machine, uint32_t leaf, uint32_t out[4])
{
    const Kvm *kvm = machine->accel_state;

    for (uint32_t i = 0; kvm->hyperv && i < kvm->hyperv->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &kvm->hyperv->entries[i];

        if (e->function == leaf) {
            memcpy(out, (const uint32_t[]){ e->eax, e->ebx, e->ecx, e->edx }, 4 * sizeof out[0]);
            leave_out(kvm, leaf, out);
            return true;
        }
    }
    return false;
}

bool hyperv_enable(KvmVcpu *kv, GError **error)
{
    struct kvm_enable_cap synic = { .cap = kvm_has(kv->kvm, KVM_HAS_HYPERV_SYNIC2)
                                               ? KVM_CAP_HYPERV_SYNIC2
                                               : KVM_CAP_HYPERV_SYNIC };
    uint32_t interface[4], features[4];

    kv->x86->cpuid(kv->vcpu, INTERFACE, 0, interface);
    kv->x86->cpuid(kv->vcpu, FEATURES, 0, features);
    kv->synic = interface[0] == HV1 && features[0] & RIGHT_SYNIC;
    return !kv->synic || KVM_DO(kv->fd, KVM_ENABLE_CAP, &synic, error);
}

/* Messages to devices of Hyper-V's bus, of which there are none here. */
void hyperv_exit(KvmVcpu *kv)
{
    struct kvm_hyperv_exit *exit = &kv->run->hyperv;

    if (exit->type == KVM_EXIT_HYPERV_HCALL) {
        exit->u.hcall.result = STATUS_INVALID_CODE;
        kv->unfinished = true;
    }
}
