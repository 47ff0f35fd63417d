/* SPDX-License-Identifier: MIT */
/*
 * Recorded stores by ring (dirty-ring-size=): each vCPU has a ring of the pages that it wrote, instead of a bitmap per slot that is
 * looked through whole. A vCPU whose ring is full leaves the guest until it is emptied.
 */
#include <errno.h>
#include <sys/mman.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/error.h"

enum { PAGE = 4096, SPACE_SHIFT = 16 };

bool dirty_ring_choose(Kvm *kvm, GError **error)
{
    KvmCapability capability = kvm_has(kvm, KVM_HAS_DIRTY_LOG_RING_ACQ_REL)
                                   ? KVM_HAS_DIRTY_LOG_RING_ACQ_REL
                                   : KVM_HAS_DIRTY_LOG_RING;
    uint64_t bytes = (uint64_t)kvm->dirty_ring_size * sizeof(struct kvm_dirty_gfn);
    const struct kvm_enable_cap cap = {
        .cap = capability == KVM_HAS_DIRTY_LOG_RING ? KVM_CAP_DIRTY_LOG_RING
                                                    : KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
        .args = { bytes },
    };

    if (!kvm->dirty_ring_size) {
        return true;
    }
    if (!is_power_of_two(kvm->dirty_ring_size)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-accel kvm,dirty-ring-size=%u: it is a power of two, such as 4096",
                          kvm->dirty_ring_size);
    }
    if (!kvm_has(kvm, capability)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "-accel kvm,dirty-ring-size=%u: this kernel's KVM has no rings of dirty "
                          "pages; leave it out",
                          kvm->dirty_ring_size);
    }
    if (bytes > (uint64_t)kvm->values[capability]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-accel kvm,dirty-ring-size=%u: this kernel's KVM takes %zu at most",
                          kvm->dirty_ring_size,
                          (size_t)kvm->values[capability] / sizeof(struct kvm_dirty_gfn));
    }
    if (!KVM_DO(kvm->vm, KVM_ENABLE_CAP, &cap, error)) {
        g_prefix_error(error,
                       "-accel kvm,dirty-ring-size=%u (4096 is usual): ", kvm->dirty_ring_size);
        return false;
    }
    return true;
}

static size_t ring_bytes(const Kvm *kvm)
{
    return kvm->dirty_ring_size * sizeof(struct kvm_dirty_gfn);
}

bool dirty_ring_map(KvmVcpu *kv, GError **error)
{
    void *ring;

    if (!kv->kvm->dirty_ring_size) {
        return true;
    }
    ring = mmap(NULL, ring_bytes(kv->kvm), PROT_READ | PROT_WRITE, MAP_SHARED, kv->fd,
                KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
    if (ring == MAP_FAILED) {
        return error_fail_errno(error, errno, "KVM: cannot map the ring of dirty pages of CPU %u",
                                kv->vcpu->index);
    }
    kv->dirty_ring = ring;
    return true;
}

void dirty_ring_unmap(KvmVcpu *kv)
{
    if (kv->dirty_ring) {
        munmap(kv->dirty_ring, ring_bytes(kv->kvm));
        kv->dirty_ring = NULL;
    }
}

static void say_dirty(Kvm *kvm, uint32_t where, uint64_t page)
{
    unsigned space = where >> SPACE_SHIFT;
    uint32_t id = where & ((1u << SPACE_SHIFT) - 1);

    for (unsigned i = 0; space < KVM_SPACES && i < kvm->slots[space]->len; i++) {
        const KvmSlot *slot = &g_array_index(kvm->slots[space], KvmSlot, i);

        if (slot->id == id && page < slot->size / PAGE) {
            uint64_t offset = (uint64_t)(slot->host - memory_ram_base(kvm->machine));

            memory_ram_dirty(kvm->machine, offset + page * PAGE, PAGE);
            return;
        }
    }
}

static unsigned empty_one(KvmVcpu *kv)
{
    unsigned count = 0;

    for (;;) {
        struct kvm_dirty_gfn *entry =
            &kv->dirty_ring[kv->dirty_next & (kv->kvm->dirty_ring_size - 1)];

        if (!(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY) ||
            count == kv->kvm->dirty_ring_size) {
            return count;
        }
        say_dirty(kv->kvm, entry->slot, entry->offset);
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        kv->dirty_next++;
        count++;
    }
}

void dirty_ring_empty(Kvm *kvm)
{
    unsigned count = 0;

    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        KvmVcpu *kv = kvm->vcpus->pdata[i];

        count += kv->dirty_ring ? empty_one(kv) : 0;
    }
    if (count) {
        kvm->ring_pages += count;
        kvm_ioctl(kvm->vm, KVM_RESET_DIRTY_RINGS, NULL);
    }
}

void dirty_ring_full(KvmVcpu *kv)
{
    g_mutex_lock(&kv->kvm->slots_lock);
    dirty_ring_empty(kv->kvm);
    g_mutex_unlock(&kv->kvm->slots_lock);
}
