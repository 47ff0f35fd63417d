/* SPDX-License-Identifier: MIT */
/* Doorbells of devices that the kernel rings (KVM_IOEVENTFD), wherever their regions are in memory or among ports. */
#include <string.h>

#include "accel/kvm/kvm.h"

typedef struct {
    const MemoryDoorbell *bell;
    MemoryDoorbell copy; /* the bell may be gone when it is taken away */
    uint64_t address;
    bool port;
} Active;

static bool tell(Kvm *kvm, const Active *active, bool on)
{
    const struct kvm_ioeventfd event = {
        .datamatch = active->copy.value,
        .addr = active->address,
        .len = active->copy.size,
        .fd = active->copy.fd,
        .flags = (active->port ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (active->copy.match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) |
                 (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    return kvm_ioctl(kvm->vm, KVM_IOEVENTFD, &event) >= 0;
}

static bool find_in(AddressSpace *space, const MemoryDoorbell *bell, uint64_t *address)
{
    const FlatView *view = atomic_load(&space->view);

    for (size_t i = 0; view && i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];

        if (range->region == bell->region && bell->offset >= range->offset &&
            bell->offset + bell->size <= range->offset + range->size) {
            *address = range->start + (bell->offset - range->offset);
            return true;
        }
    }
    return false;
}

/* Where a bell is now. false: nowhere. */
static bool locate(Kvm *kvm, const MemoryDoorbell *bell, Active *active)
{
    *active = (Active){ .bell = bell, .copy = *bell };
    if (find_in(&kvm->machine->memory_space, bell, &active->address)) {
        return true;
    }
    active->port = true;
    return find_in(&kvm->machine->io_space, bell, &active->address);
}

static bool same(const Active *a, const Active *b)
{
    return a->bell == b->bell && a->copy.fd == b->copy.fd && a->address == b->address &&
           a->port == b->port;
}

static bool holds(const GArray *list, const Active *wanted)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (same(&g_array_index(list, Active, i), wanted)) {
            return true;
        }
    }
    return false;
}

void doorbells_update(void *opaque)
{
    Kvm *kvm = opaque;
    const GPtrArray *bells = memory_doorbells(kvm->machine);
    GArray *wanted = g_array_new(false, false, sizeof(Active)), *before = kvm->doorbells;
    Active active;

    for (unsigned i = 0; i < bells->len; i++) {
        if (locate(kvm, bells->pdata[i], &active)) {
            g_array_append_val(wanted, active);
        }
    }
    for (unsigned i = 0; i < before->len; i++) {
        if (!holds(wanted, &g_array_index(before, Active, i))) {
            tell(kvm, &g_array_index(before, Active, i), false);
        }
    }
    /* What the kernel does not take goes through the CPU's thread as ever. */
    for (unsigned i = wanted->len; i-- > 0;) {
        if (!holds(before, &g_array_index(wanted, Active, i)) &&
            !tell(kvm, &g_array_index(wanted, Active, i), true)) {
            g_array_remove_index(wanted, i);
        }
    }
    kvm->doorbells = wanted;
    g_array_unref(before);
}

void doorbells_create(Kvm *kvm)
{
    kvm->doorbells = g_array_new(false, false, sizeof(Active));
    if (kvm_has(kvm, KVM_HAS_IOEVENTFD)) {
        memory_set_doorbell_hook(kvm->machine, doorbells_update, kvm);
    }
}

void doorbells_free(Kvm *kvm)
{
    if (kvm->doorbells) {
        memory_set_doorbell_hook(kvm->machine, NULL, NULL);
        g_clear_pointer(&kvm->doorbells, g_array_unref);
    }
}
