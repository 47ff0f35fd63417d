/* SPDX-License-Identifier: MIT */
/* Virtual machines inside the guest: what the kernel keeps of them is put aside by a reset. */
#include "accel/kvm/kvm.h"
#include "base/error.h"

enum { NO_ADDRESS = -1 };

static bool put_aside(KvmVcpu *kv, struct kvm_nested_state *state, GError **error)
{
    state->flags = 0;
    state->size = sizeof *state;
    if (state->format == KVM_STATE_NESTED_FORMAT_SVM) {
        state->flags = KVM_STATE_NESTED_GIF_SET;
    } else {
        state->hdr.vmx = (struct kvm_vmx_nested_state_hdr){
            .vmxon_pa = (uint64_t)NO_ADDRESS,
            .vmcs12_pa = (uint64_t)NO_ADDRESS,
        };
    }
    return KVM_DO(kv->fd, KVM_SET_NESTED_STATE, state, error);
}

bool nested_reset(KvmVcpu *kv, GError **error)
{
    uint32_t bytes = MAX((uint32_t)kv->kvm->values[KVM_HAS_NESTED_STATE],
                         (uint32_t)sizeof(struct kvm_nested_state));
    g_autofree struct kvm_nested_state *state = g_malloc0(bytes);

    state->size = bytes;
    return !kvm_has(kv->kvm, KVM_HAS_NESTED_STATE) ||
           (KVM_DO(kv->fd, KVM_GET_NESTED_STATE, state, error) && put_aside(kv, state, error));
}
