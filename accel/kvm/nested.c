/* SPDX-License-Identifier: MIT */
/* Virtual machines inside the guest: what the kernel keeps of them is put aside by a reset, and is part of snapshots. */
#include "accel/kvm/kvm.h"
#include "base/error.h"

enum { NO_ADDRESS = -1 };

static uint32_t bytes_most(const KvmVcpu *kv)
{
    return MAX((uint32_t)kv->kvm->values[KVM_HAS_NESTED_STATE],
               (uint32_t)sizeof(struct kvm_nested_state));
}

static bool fetch(KvmVcpu *kv, struct kvm_nested_state *state, GError **error)
{
    state->size = bytes_most(kv);
    return KVM_DO(kv->fd, KVM_GET_NESTED_STATE, state, error);
}

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
    g_autofree struct kvm_nested_state *state = g_malloc0(bytes_most(kv));

    return !kvm_has(kv->kvm, KVM_HAS_NESTED_STATE) ||
           (fetch(kv, state, error) && put_aside(kv, state, error));
}

void nested_save(KvmVcpu *kv)
{
    struct kvm_nested_state *state;

    kv->saved_nested_bytes = 0;
    if (!kvm_has(kv->kvm, KVM_HAS_NESTED_STATE)) {
        return;
    }
    kv->saved_nested = g_realloc(kv->saved_nested, bytes_most(kv));
    state = memset(kv->saved_nested, 0, bytes_most(kv));
    if (fetch(kv, state, NULL) && state->size <= bytes_most(kv)) {
        kv->saved_nested_bytes = state->size;
    }
}

/* Outside of it all is in the guest's memory and registers, but that an SVM's interrupts are held back, and where VMX is on. */
static bool is_bound(const struct kvm_nested_state *state)
{
    if (state->format == KVM_STATE_NESTED_FORMAT_SVM) {
        return (state->flags & KVM_STATE_NESTED_GUEST_MODE) ||
               !(state->flags & KVM_STATE_NESTED_GIF_SET);
    }
    return state->hdr.vmx.vmxon_pa != (uint64_t)NO_ADDRESS;
}

bool nested_is_saved(const Machine *machine)
{
    const Kvm *kvm = machine->accel_state;

    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        const KvmVcpu *kv = kvm->vcpus->pdata[i];

        if (kv->saved_nested_bytes && is_bound((const void *)kv->saved_nested)) {
            return true;
        }
    }
    return false;
}

bool nested_load(KvmVcpu *kv, GError **error)
{
    g_autofree struct kvm_nested_state *state = g_malloc0(bytes_most(kv));
    uint32_t bytes = kv->saved_nested_bytes;
    uint16_t format;

    if (!bytes) {
        return true;
    }
    kv->saved_nested_bytes = 0;
    if (!kvm_has(kv->kvm, KVM_HAS_NESTED_STATE) || bytes < sizeof *state ||
        bytes > bytes_most(kv) || !fetch(kv, state, error)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "the saved machine has %u bytes of a virtual machine of its own, which "
                          "this kernel cannot take: load it on a host like the one before",
                          bytes);
    }
    format = state->format;
    memcpy(state, kv->saved_nested, bytes);
    if (state->format != format || state->size != bytes) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "the saved machine has a virtual machine of its own in format %u, and "
                          "this host's processor takes %u: load it on a host like the one before",
                          state->format, format);
    }
    return KVM_DO(kv->fd, KVM_SET_NESTED_STATE, state, error);
}
