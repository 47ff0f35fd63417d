/* SPDX-License-Identifier: MIT */
/* What `info kvm` and `info jit` tell. */
#include <inttypes.h>

#include "accel/kvm/kvm.h"

static void describe_vcpu(const KvmVcpu *kv, GString *out)
{
    g_string_append_printf(out, "cpu%u: kicks %" PRIu64 ", registers fetched %" PRIu64 ", exits:",
                           kv->vcpu->index, kv->kicks, kv->fetches);
    for (unsigned i = 0; i < KVM_EXIT_REASONS; i++) {
        if (kv->exits[i]) {
            g_string_append_printf(out, " %s %" PRIu64, exit_name(i) ? exit_name(i) : "other",
                                   kv->exits[i]);
        }
    }
    g_string_append_c(out, '\n');
}

void kvm_describe(Machine *machine, GString *out)
{
    static const char *const places[] = { "off", "split", "on" };
    Kvm *kvm = machine->accel_state;

    g_string_append_printf(out, "kernel-irqchip %s%s\n", places[kvm->irqchip],
                           kvm->pit ? ", interval timer in the kernel" : "");
    for (unsigned i = 0; i < KVM_SPACES; i++) {
        if (kvm->slots[i]->len) {
            g_string_append_printf(out, "memory slots %u%s\n", kvm->slots[i]->len,
                                   i ? " (system management mode)" : "");
        }
    }
    g_string_append_printf(out, "slot changes %" PRIu64 "\n", kvm->slot_changes);
    if (kvm->dirty_ring_size) {
        g_string_append_printf(out, "dirty rings of %u, pages %" PRIu64 "\n", kvm->dirty_ring_size,
                               kvm->ring_pages);
    }
    if (kvm->ring) {
        g_string_append_printf(out, "writes gathered %" PRIu64 " (places %u)\n", kvm->gathered,
                               kvm->zones->len);
    }
    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        describe_vcpu(kvm->vcpus->pdata[i], out);
    }
    capabilities_describe(kvm, out);
}
