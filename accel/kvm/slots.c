/* SPDX-License-Identifier: MIT */
/*
 * Memory slots: what of guest physical memory the kernel maps itself. They follow the flat views: what is there already
 * stays, what changes in its flags alone is changed in place where the kernel can, and only the rest is taken
 * away and made anew, with all vCPUs outside.
 *
 * Slots of RAM whose stores somebody watches record them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/error.h"

enum { PAGE = 4096, SLOTS_WITHOUT_CAPABILITY = 32, SPACE_SHIFT = 16 };

typedef struct {
    uint64_t offset, size;
} RamRange;

static unsigned most_slots(const Kvm *kvm)
{
    int most = kvm->values[KVM_HAS_NR_MEMSLOTS];

    return most > 0 ? MIN((unsigned)most, 1u << SPACE_SHIFT) : SLOTS_WITHOUT_CAPABILITY;
}

/* --- what the slots are to be --- */

static bool is_logged(const Kvm *kvm, const KvmSlot *slot)
{
    uint64_t offset = (uint64_t)(slot->host - memory_ram_base(kvm->machine));

    for (unsigned i = 0; i < kvm->logged->len; i++) {
        const RamRange *range = &g_array_index(kvm->logged, RamRange, i);

        if (range->offset < offset + slot->size && offset < range->offset + range->size) {
            return true;
        }
    }
    return false;
}

static bool continues(const KvmSlot *before, const KvmSlot *slot)
{
    return before->start + before->size == slot->start &&
           before->host + before->size == slot->host && before->flags == slot->flags;
}

/* The whole pages of a range that are memory to read; those that are split otherwise are reached by exits. */
static void add_range(Kvm *kvm, GArray *slots, const MemoryRange *range)
{
    uint64_t start = align_up(range->start, PAGE),
             end = align_down(range->start + range->size, PAGE);
    KvmSlot slot = { .start = start, .size = end - start };

    if (!memory_range_direct(range, false) || start >= end) {
        return;
    }
    slot.host = range->region->host + range->offset + (start - range->start);
    if ((uintptr_t)slot.host % PAGE) {
        return;
    }
    slot.flags = memory_range_direct(range, true) ? 0 : KVM_MEM_READONLY;
    if (!slot.flags && is_logged(kvm, &slot)) {
        slot.flags = KVM_MEM_LOG_DIRTY_PAGES;
    }
    if (slots->len) {
        KvmSlot *before = &g_array_index(slots, KvmSlot, slots->len - 1);

        if (continues(before, &slot)) {
            before->size += slot.size;
            return;
        }
    }
    g_array_append_val(slots, slot);
}

static GArray *wanted_slots(Kvm *kvm, AddressSpace *space)
{
    GArray *slots = g_array_new(false, true, sizeof(KvmSlot));
    const FlatView *view = atomic_load(&space->view);

    for (size_t i = 0; view && i < view->count; i++) {
        add_range(kvm, slots, &view->ranges[i]);
    }
    return slots;
}

/* --- the kernel's slots --- */

static bool tell(Kvm *kvm, unsigned space, const KvmSlot *slot, uint64_t size)
{
    struct kvm_userspace_memory_region region = { .slot = slot->id | space << SPACE_SHIFT,
                                                  .flags = size ? slot->flags : 0,
                                                  .guest_phys_addr = slot->start,
                                                  .memory_size = size,
                                                  .userspace_addr = (uintptr_t)slot->host };
    int result = kvm_ioctl(kvm->vm, KVM_SET_USER_MEMORY_REGION, &region);

    kvm->slot_changes++;
    if (result < 0) {
        kvm_fail(kvm, NULL, KVM_STATUS_HOST,
                 g_strdup_printf("KVM_SET_USER_MEMORY_REGION failed for %#" PRIx64 " to %#" PRIx64
                                 " (flags %#x): %s",
                                 slot->start, slot->start + slot->size - 1, slot->flags,
                                 g_strerror(-result)));
    }
    return result >= 0;
}

static bool take_id(Kvm *kvm, KvmSlot *slot)
{
    unsigned most = most_slots(kvm);

    for (unsigned id = 0; id < most; id++) {
        unsigned long *word = &kvm->slot_ids[id / 64], bit = 1ul << id % 64;

        if (!(*word & bit)) {
            *word |= bit;
            slot->id = id;
            return true;
        }
    }
    kvm_fail(
        kvm, NULL, KVM_STATUS_HOST,
        g_strdup_printf("guest memory is in more pieces than this kernel's KVM takes (%u)", most));
    return false;
}

static void give_id(Kvm *kvm, const KvmSlot *slot)
{
    kvm->slot_ids[slot->id / 64] &= ~(1ul << slot->id % 64);
}

static bool same_place(const KvmSlot *a, const KvmSlot *b)
{
    return a->start == b->start && a->size == b->size && a->host == b->host &&
           !((a->flags ^ b->flags) & KVM_MEM_READONLY);
}

static KvmSlot *find_place(GArray *slots, const KvmSlot *wanted)
{
    for (unsigned i = 0; i < slots->len; i++) {
        KvmSlot *slot = &g_array_index(slots, KvmSlot, i);

        if (same_place(slot, wanted)) {
            return slot;
        }
    }
    return NULL;
}

static void remember_dirty(Kvm *kvm, unsigned space, const KvmSlot *slot);

/* Removes the slots that are not wanted. Returns whether there were any. */
static bool remove_old(Kvm *kvm, unsigned space, GArray *wanted, bool really)
{
    GArray *slots = kvm->slots[space];
    bool any = false;

    for (unsigned i = slots->len; i-- > 0;) {
        KvmSlot *slot = &g_array_index(slots, KvmSlot, i);

        if (find_place(wanted, slot)) {
            continue;
        }
        any = true;
        if (really) {
            remember_dirty(kvm, space, slot);
            tell(kvm, space, slot, 0);
            give_id(kvm, slot);
            g_array_remove_index(slots, i);
        }
    }
    return any;
}

/* wanted takes the place of the list. */
static void add_new(Kvm *kvm, unsigned space, GArray *wanted)
{
    for (unsigned i = 0; i < wanted->len; i++) {
        KvmSlot *slot = &g_array_index(wanted, KvmSlot, i);
        KvmSlot *old = find_place(kvm->slots[space], slot);

        if (!old && !take_id(kvm, slot)) {
            g_array_set_size(wanted, i);
            break;
        }
        if (old) {
            slot->id = old->id;
        }
        if (!old || old->flags != slot->flags) {
            if (old && old->flags & KVM_MEM_LOG_DIRTY_PAGES) {
                remember_dirty(kvm, space, old);
            }
            tell(kvm, space, slot, slot->size);
        }
    }
    g_array_unref(kvm->slots[space]);
    kvm->slots[space] = wanted;
}

static AddressSpace *view_of(Kvm *kvm, unsigned space)
{
    Machine *machine = kvm->machine;
    Vcpu *first = machine->vcpus->len ? machine->vcpus->pdata[0] : NULL;

    if (space == 0) {
        return first ? first->views[0] : &machine->memory_space;
    }
    return first && first->views[1] != first->views[0] && machine_can(machine, ACCELERATOR_SMM)
               ? first->views[1]
               : NULL;
}

static void update_space(Kvm *kvm, unsigned space)
{
    AddressSpace *view = view_of(kvm, space);
    GArray *wanted;
    bool removes;

    if (!view) {
        return;
    }
    g_mutex_lock(&kvm->slots_lock);
    wanted = wanted_slots(kvm, view);
    removes = remove_old(kvm, space, wanted, false);
    if (removes) {
        gate_close(kvm);
    }
    remove_old(kvm, space, wanted, true);
    add_new(kvm, space, wanted);
    if (removes) {
        gate_open(kvm);
    }
    g_mutex_unlock(&kvm->slots_lock);
}

void slots_update(Kvm *kvm)
{
    for (unsigned space = 0; space < KVM_SPACES; space++) {
        update_space(kvm, space);
    }
}

static void memory_changed(void *opaque, AddressSpace *space)
{
    Kvm *kvm = opaque;

    if (space == &kvm->machine->memory_space || space == &kvm->machine->io_space) {
        doorbells_update(kvm);
        coalesced_update(kvm);
    }
    for (unsigned i = 0; i < KVM_SPACES; i++) {
        if (view_of(kvm, i) == space) {
            update_space(kvm, i);
        }
    }
}

/* --- watched pages --- */

/* What the kernel has recorded of a slot's stores is said to the machine. */
static void remember_dirty(Kvm *kvm, unsigned space, const KvmSlot *slot)
{
    uint64_t pages = slot->size / PAGE,
             offset = (uint64_t)(slot->host - memory_ram_base(kvm->machine));
    g_autofree uint64_t *bitmap = NULL;
    struct kvm_dirty_log log = { .slot = slot->id | space << SPACE_SHIFT };

    if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        return;
    }
    if (kvm->dirty_ring_size) {
        dirty_ring_empty(kvm);
        return;
    }
    bitmap = g_new0(uint64_t, (pages + 63) / 64);
    log.dirty_bitmap = bitmap;
    if (kvm_ioctl(kvm->vm, KVM_GET_DIRTY_LOG, &log) < 0) {
        memory_ram_dirty(kvm->machine, offset, slot->size); /* any may have been written */
        return;
    }
    for (uint64_t word = 0; word < (pages + 63) / 64; word++) {
        for (uint64_t bits = bitmap[word]; bits; bits &= bits - 1) {
            uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);

            memory_ram_dirty(kvm->machine, offset + page * PAGE, PAGE);
        }
    }
}

static void collect(void *opaque, uint64_t ram_offset, uint64_t size)
{
    Kvm *kvm = opaque;
    uint8_t *start = memory_ram_base(kvm->machine) + ram_offset;

    g_mutex_lock(&kvm->slots_lock);
    for (unsigned space = 0; space < KVM_SPACES; space++) {
        for (unsigned i = 0; i < kvm->slots[space]->len; i++) {
            const KvmSlot *slot = &g_array_index(kvm->slots[space], KvmSlot, i);

            if (slot->host < start + size && start < slot->host + slot->size) {
                remember_dirty(kvm, space, slot);
            }
        }
    }
    g_mutex_unlock(&kvm->slots_lock);
}

static void record(void *opaque, uint64_t ram_offset, uint64_t size, bool on)
{
    Kvm *kvm = opaque;
    RamRange range = { ram_offset, size };

    g_mutex_lock(&kvm->slots_lock);
    if (on) {
        g_array_append_val(kvm->logged, range);
    }
    for (unsigned i = 0; !on && i < kvm->logged->len; i++) {
        if (memcmp(&g_array_index(kvm->logged, RamRange, i), &range, sizeof range) == 0) {
            g_array_remove_index_fast(kvm->logged, i);
            break;
        }
    }
    g_mutex_unlock(&kvm->slots_lock);
    slots_update(kvm);
}

static const MemoryWatchHooks watch_hooks = { .record = record, .collect = collect };

bool slots_create(Kvm *kvm, GError **error)
{
    g_mutex_init(&kvm->slots_lock);
    g_mutex_init(&kvm->gate_lock);
    g_cond_init(&kvm->gate_moved);
    kvm->slot_ids = g_new0(unsigned long, most_slots(kvm) / 64 + 1);
    kvm->logged = g_array_new(false, false, sizeof(RamRange));
    for (unsigned i = 0; i < KVM_SPACES; i++) {
        kvm->slots[i] = g_array_new(false, true, sizeof(KvmSlot));
    }
    kvm->zones = g_array_new(false, false, sizeof(struct kvm_coalesced_mmio_zone));
    doorbells_create(kvm);
    memory_set_watch_hooks(kvm->machine, &watch_hooks, kvm);
    memory_add_listener(kvm->machine, memory_changed, kvm);
    return true;
}

void slots_free(Kvm *kvm)
{
    if (!kvm->slot_ids) {
        return;
    }
    for (unsigned i = 0; i < KVM_SPACES; i++) {
        g_array_unref(kvm->slots[i]);
    }
    g_array_unref(kvm->zones);
    g_array_unref(kvm->logged);
    g_clear_pointer(&kvm->slot_ids, g_free);
    g_cond_clear(&kvm->gate_moved);
    g_mutex_clear(&kvm->gate_lock);
    g_mutex_clear(&kvm->slots_lock);
}
