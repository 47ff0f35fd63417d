/* SPDX-License-Identifier: MIT */
/* CPUID: what the kernel lets a guest have, and what a vCPU shows of it. */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"

enum {
    ENTRIES_MOST = 1024,
    SUBLEAVES_MOST = 64,
    HYPERVISOR = 0x40000000,
    HYPERVISOR_SECOND = 0x40000100, /* KVM's own, when Hyper-V's come first */
    EXTENDED = 0x80000000,
    OSXSAVE = 1 << 27,
    MONITOR = 1 << 3,
    X2APIC = 1 << 21,
    TSC_DEADLINE = 1 << 24,
    COUNTERS_1_ECX = 1 << 15, /* what goes with performance counters: their MSR of capabilities */
    COUNTERS_8000_0001_ECX =
        1 << 23 | 1 << 24 | 1 << 28, /* and AMD's: of a core, of its bridge, of its caches */
    /* Leaf 0x40000001: async page faults (two kinds, and their interrupt), EOI, wake-up and IPI by the local APIC. */
    HINT_DEDICATED = 1 << 0, /* leaf 0x40000001, EDX: the kernel only passes it on */
    OF_KERNEL_APIC = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 14,
};

static struct kvm_cpuid2 *new_table(void)
{
    return g_malloc0(sizeof(struct kvm_cpuid2) + ENTRIES_MOST * sizeof(struct kvm_cpuid_entry2));
}

bool cpuid_load_supported(Kvm *kvm, GError **error)
{
    kvm->supported = new_table();
    kvm->supported->nent = ENTRIES_MOST;
    return KVM_DO(kvm->system, KVM_GET_SUPPORTED_CPUID, kvm->supported, error);
}

static const struct kvm_cpuid_entry2 *find(const Kvm *kvm, uint32_t leaf, uint32_t subleaf)
{
    for (uint32_t i = 0; i < kvm->supported->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &kvm->supported->entries[i];

        if (e->function == leaf &&
            (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf)) {
            return e;
        }
    }
    return NULL;
}

/* A guest that may wait by itself is told how (-overcommit cpu-pm=on). */
static bool may_wait(const Kvm *kvm)
{
    return kvm->machine->config.cpu_pm &&
           kvm->values[KVM_HAS_DISABLE_EXITS] & KVM_X86_DISABLE_EXITS_MWAIT;
}

bool cpuid_supported(Machine *machine, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const Kvm *kvm = machine->accel_state;
    const struct kvm_cpuid_entry2 *e = find(kvm, leaf, subleaf);

    memset(out, 0, 4 * sizeof out[0]);
    if (leaf == 5 && may_wait(kvm)) {
        return __get_cpuid(5, &out[0], &out[1], &out[2], &out[3]);
    }
    if (!e) {
        return false;
    }
    memcpy(out, (const uint32_t[]){ e->eax, e->ebx, e->ecx, e->edx }, 4 * sizeof out[0]);
    if (leaf == 1) {
        /* Both are the local APIC's: the kernel's, or ours, whose MSRs the kernel does not pass on. */
        out[2] &= ~(uint32_t)(X2APIC | TSC_DEADLINE | COUNTERS_1_ECX);
        out[2] |= may_wait(kvm) ? MONITOR : 0;
        if (kvm->irqchip != KVM_IRQCHIP_OFF) {
            out[2] |= X2APIC | (kvm_has(kvm, KVM_HAS_TSC_DEADLINE) ? TSC_DEADLINE : 0);
        }
    }
    if (leaf == EXTENDED + 1) {
        out[2] &= ~(uint32_t)COUNTERS_8000_0001_ECX;
    }
    if (leaf == HYPERVISOR + 1) {
        out[0] &= kvm->irqchip == KVM_IRQCHIP_OFF ? ~(uint32_t)OF_KERNEL_APIC : UINT32_MAX;
        out[3] |= HINT_DEDICATED;
    }
    return true;
}

static void add(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf, bool indexed,
                const uint32_t out[4])
{
    if (table->nent < ENTRIES_MOST) {
        table->entries[table->nent++] =
            (struct kvm_cpuid_entry2){ .function = leaf,
                                       .index = subleaf,
                                       .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                       .eax = out[0],
                                       .ebx = out[1],
                                       .ecx = out[2],
                                       .edx = out[3] };
    }
}

/* How many subleaves a leaf has; 0: it has none. */
static uint32_t subleaves(KvmVcpu *kv, uint32_t leaf)
{
    uint32_t out[4] = { 0 };

    switch (leaf) {
    case 4:
    case 0x8000001d:
        for (uint32_t i = 0; i < SUBLEAVES_MOST; i++) {
            kv->x86->cpuid(kv->vcpu, leaf, i, out);
            if (!(out[0] & 0x1f)) {
                return i + 1;
            }
        }
        return SUBLEAVES_MOST;
    case 7:
        kv->x86->cpuid(kv->vcpu, leaf, 0, out);
        return MIN(out[0] + 1, SUBLEAVES_MOST);
    case 0xb:
    case 0x1f:
        return 3;
    case 0xd:
        return SUBLEAVES_MOST;
    default:
        return 0;
    }
}

/* Leaves whose empty entries the kernel would make something of. */
static bool is_filled_in(uint32_t leaf)
{
    return leaf == 0xb || leaf == 0xd || leaf == 0x1f;
}

static void add_leaf(KvmVcpu *kv, struct kvm_cpuid2 *table, uint32_t leaf)
{
    uint32_t count = subleaves(kv, leaf), out[4];

    for (uint32_t i = 0; i < MAX(count, 1); i++) {
        kv->x86->cpuid(kv->vcpu, leaf, i, out);
        if (leaf == 1) {
            out[2] &= ~(uint32_t)OSXSAVE; /* the kernel sets it by CR4 */
        }
        /* Of the many components of XSAVE only those that are there; nothing where there is no such leaf. */
        if (!is_filled_in(leaf) || out[0] | out[1]) {
            add(table, leaf, i, count != 0, out);
        }
    }
}

static void add_range(KvmVcpu *kv, struct kvm_cpuid2 *table, uint32_t first)
{
    uint32_t out[4];

    kv->x86->cpuid(kv->vcpu, first, 0, out);
    for (uint32_t leaf = first; leaf >= first && leaf <= MIN(out[0], first + 0xff); leaf++) {
        add_leaf(kv, table, leaf);
    }
}

bool cpuid_set(KvmVcpu *kv, GError **error)
{
    g_autofree struct kvm_cpuid2 *table = new_table();

    add_range(kv, table, 0);
    add_range(kv, table, HYPERVISOR);
    add_range(kv, table, HYPERVISOR_SECOND);
    add_range(kv, table, EXTENDED);
    return KVM_DO(kv->fd, KVM_SET_CPUID2, table, error);
}
