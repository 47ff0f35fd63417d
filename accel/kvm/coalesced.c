/* SPDX-License-Identifier: MIT */
/*
 * Writes that may come late (MemoryOps.late): the kernel gathers them in a ring, and the vCPU goes on (KVM_CAP_COALESCED_MMIO). They are
 * carried out before any other access, and before anybody looks at the devices.
 */
#include <string.h>

#include "accel/kvm/kvm.h"

enum {
    PAGE = 4096,
    RING_ENTRIES =
        (PAGE - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio)
};

typedef struct kvm_coalesced_mmio_zone Zone;

static bool tell(Kvm *kvm, const Zone *zone, bool on)
{
    unsigned long request = on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO;

    return kvm_ioctl(kvm->vm, request, zone) >= 0;
}

/* --- which places --- */

/* What of a place the range shows. */
static void add_place(GArray *zones, const MemoryRange *range, const MemoryPlace *place, bool port)
{
    uint64_t start = MAX(place->offset, range->offset),
             end = MIN((uint64_t)place->offset + place->size, range->offset + range->size);
    Zone zone = { .pio = port };

    if (start < end) {
        zone.addr = range->start + (start - range->offset);
        zone.size = (uint32_t)(end - start);
        g_array_append_val(zones, zone);
    }
}

static void add_space(GArray *zones, AddressSpace *space, bool port)
{
    const FlatView *view = atomic_load(&space->view);

    for (size_t i = 0; view && i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];
        const MemoryOps *ops = range->region->kind == MEMORY_IO ? range->region->ops : NULL;

        for (const MemoryPlace *place = ops ? ops->late : NULL; place && place->size; place++) {
            add_place(zones, range, place, port);
        }
    }
}

static bool holds(const GArray *zones, const Zone *zone)
{
    for (unsigned i = 0; i < zones->len; i++) {
        if (memcmp(&g_array_index(zones, Zone, i), zone, sizeof *zone) == 0) {
            return true;
        }
    }
    return false;
}

void coalesced_update(Kvm *kvm)
{
    GArray *wanted, *before = kvm->zones;

    if (!kvm_has(kvm, KVM_HAS_COALESCED_MMIO)) {
        return;
    }
    wanted = g_array_new(false, false, sizeof(Zone));
    add_space(wanted, &kvm->machine->memory_space, false);
    if (kvm_has(kvm, KVM_HAS_COALESCED_PIO)) {
        add_space(wanted, &kvm->machine->io_space, true);
    }
    for (unsigned i = 0; i < before->len; i++) {
        if (!holds(wanted, &g_array_index(before, Zone, i))) {
            tell(kvm, &g_array_index(before, Zone, i), false);
        }
    }
    /* What the kernel has no room for comes at once. */
    for (unsigned i = wanted->len; i-- > 0;) {
        if (!holds(before, &g_array_index(wanted, Zone, i)) &&
            !tell(kvm, &g_array_index(wanted, Zone, i), true)) {
            g_array_remove_index(wanted, i);
        }
    }
    kvm->zones = wanted;
    g_array_unref(before);
}

/* --- what was gathered --- */

static void carry_out(Kvm *kvm, const struct kvm_coalesced_mmio *entry)
{
    AddressSpace *space = entry->pio ? &kvm->machine->io_space : &kvm->machine->memory_space;
    const MemoryAttributes attributes = { .vcpu = 0 };

    address_space_write_bytes(space, entry->phys_addr, entry->data,
                              MIN(entry->len, sizeof entry->data), attributes);
}

/*
 * An entry leaves the ring when it is done, so that whoever finds the ring empty finds the devices up to date. Devices may
 * come here from inside of one.
 */
static void empty_ring(Kvm *kvm)
{
    struct kvm_coalesced_mmio_ring *ring = kvm->ring;

    if (kvm->in_ring) {
        return;
    }
    kvm->in_ring = true;
    for (uint32_t first = ring->first % RING_ENTRIES;
         first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % RING_ENTRIES;
         first = (first + 1) % RING_ENTRIES) {
        struct kvm_coalesced_mmio entry = ring->coalesced_mmio[first];

        carry_out(kvm, &entry);
        kvm->gathered++;
        __atomic_store_n(&ring->first, (first + 1) % RING_ENTRIES, __ATOMIC_RELEASE);
    }
    kvm->in_ring = false;
}

void coalesced_flush(Kvm *kvm)
{
    struct kvm_coalesced_mmio_ring *ring = kvm->ring;
    bool held;

    if (!ring || __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) ==
                     __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
        return;
    }
    held = machine_lock_held(kvm->machine);
    if (!held) {
        machine_lock(kvm->machine);
    }
    empty_ring(kvm);
    if (!held) {
        machine_unlock(kvm->machine);
    }
}

static void flush(void *opaque)
{
    coalesced_flush(opaque);
}

/* All vCPUs share the machine's one ring: the first that is mapped shows it. */
void coalesced_attach(KvmVcpu *kv)
{
    Kvm *kvm = kv->kvm;
    uint64_t offset = (uint64_t)kvm->values[KVM_HAS_COALESCED_MMIO] * PAGE;

    if (!kvm->ring && offset && offset + PAGE <= kvm->run_bytes) {
        kvm->ring = (void *)((char *)kv->run + offset);
        kvm->ring_owner = kv;
        memory_set_late_hook(kvm->machine, flush, kvm);
    }
}

void coalesced_detach(KvmVcpu *kv)
{
    Kvm *kvm = kv->kvm;

    if (kvm->ring_owner == kv) {
        memory_set_late_hook(kvm->machine, NULL, NULL);
        kvm->ring = NULL;
        kvm->ring_owner = NULL;
    }
}
