/* SPDX-License-Identifier: MIT */
/* Slow paths of guest memory: TLB fills, page-crossing and device accesses. */
#include <string.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"

static TcgContext *context_of(TcgState *env, unsigned flags)
{
    return flags & IR_MEM_UNPRIV ? env->context_unpriv : env->context;
}

static TcgTlbEntry *tlb_entry(TcgContext *context, uint64_t guest_virt)
{
    return &context->tlb[(guest_virt >> TCG_PAGE_BITS) & (ARRAY_SIZE(context->tlb) - 1)];
}

static _Noreturn void bus_error(TcgVcpu *tv, uint64_t guest_virt, TcgAccess access)
{
    tv->target->raise_bus_error(tv->env, guest_virt, access);
    tcg_unwind(tv->env);
}

static bool allows(const TcgMapping *mapping, TcgAccess access)
{
    return access == TCG_READ    ? mapping->read
           : access == TCG_WRITE ? mapping->write
                                 : mapping->execute;
}

/* The mapping of a page for an access, from the second-level TLB or the guest's tables. */
static bool find_mapping(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, unsigned size,
                         TcgAccess access, unsigned flags, TcgMapping *mapping)
{
    uint64_t page = (uint64_t)bits_sign_extend(guest_virt, 56) & TCG_PAGE_MASK;
    TcgWalkEntry *entry = &tv->walk[(page >> TCG_PAGE_BITS) & ((1u << TCG_WALK_BITS) - 1)];
    uint64_t key = context->key, global = tv->target->key_global_mask;
    bool misaligned = guest_virt & (size - 1) && size;

    /* A top byte that is not a sign extension may be a fault: only the walk can tell. */
    if (entry->mapping.size_bits && (guest_virt & TCG_PAGE_MASK) == page && entry->page == page &&
        (entry->mapping.global ? ((entry->key ^ key) & ~global) == 0 : entry->key == key) &&
        allows(&entry->mapping, access) &&
        !(misaligned && (entry->mapping.device || (flags & IR_MEM_ALIGNED))) &&
        !(entry->mapping.device && flags & IR_MEM_ZERO)) {
        tv->walk_hits++;
        *mapping = entry->mapping;
        return true;
    }
    tv->walks++;
    *mapping = (TcgMapping){ 0 };
    if (!tv->target->walk(tv->env, guest_virt, size, access, flags, mapping)) {
        return false;
    }
    if (!mapping->uncached) {
        *entry = (TcgWalkEntry){ .key = key, .page = page, .mapping = *mapping };
    }
    return true;
}

static void note_large(TcgContext *context, uint64_t guest_virt, unsigned size_bits)
{
    uint64_t start = (uint64_t)bits_sign_extend(guest_virt, 56) & ~bits_mask(size_bits);

    if (size_bits > TCG_LARGE_BLOCK_BITS) {
        context->huge_min = MIN(context->huge_min, start);
        context->huge_max = MAX(context->huge_max, start + bits_mask(size_bits));
    } else if (size_bits > TCG_PAGE_BITS) {
        unsigned bit = context_large_bit(start);

        context->large_blocks[bit / 64] |= BIT(bit % 64);
    }
}

/* The RAM or ROM that a whole guest page is, or NULL. */
static uint8_t *host_page(TcgVcpu *tv, uint64_t guest_phys, bool *writable)
{
    const MemoryRange *range = address_space_find(tv->vcpu->memory, guest_phys);
    MemoryRegion *region = range ? range->region : NULL;

    if (!region || !memory_range_direct(range, false) || guest_phys < range->start ||
        guest_phys + TCG_PAGE_SIZE > range->start + range->size) {
        return NULL;
    }
    *writable = memory_range_direct(range, true);
    return region->host + range->offset + (guest_phys - range->start);
}

/* Installs a first-level entry when the page is plain memory. Returns the host address or NULL. */
static uint8_t *fill(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt,
                     const TcgMapping *mapping, TcgAccess access)
{
    uint64_t page = guest_virt & TCG_PAGE_MASK;
    TcgTlbEntry *entry = tlb_entry(context, guest_virt);
    bool writable = false;
    uint8_t *host = host_page(tv, mapping->guest_phys & TCG_PAGE_MASK, &writable);

    if (!host || (access == TCG_WRITE && !writable)) {
        return NULL;
    }
    if (!mapping->uncached) {
        note_large(context, guest_virt, mapping->size_bits);
        entry->read = mapping->read ? page : TCG_TLB_EMPTY;
        entry->write = mapping->write && writable ? page : TCG_TLB_EMPTY;
        entry->addend = (uintptr_t)host - page;
        entry->info = page | (mapping->global ? 1u << 6 : 0) | mapping->size_bits;
    }
    return host + (guest_virt & (TCG_PAGE_SIZE - 1));
}

/*
 * The host address of an access that lies within a page; NULL: a device, at *guest_phys. Faults
 * unwind.
 */
static uint8_t *translate(TcgVcpu *tv, uint64_t guest_virt, unsigned size, TcgAccess access,
                          unsigned flags, uint64_t *guest_phys)
{
    TcgContext *context = context_of(tv->env, flags);
    TcgTlbEntry *entry = tlb_entry(context, guest_virt);
    uint64_t page = guest_virt & TCG_PAGE_MASK;
    bool misaligned = size && (guest_virt & (size - 1)) && (flags & IR_MEM_ALIGNED);
    TcgMapping mapping;

    if ((access == TCG_READ ? entry->read : entry->write) == page && !misaligned) {
        return (uint8_t *)(uintptr_t)(guest_virt + entry->addend);
    }
    if (!find_mapping(tv, context, guest_virt, size, access, flags, &mapping)) {
        tv->target->raise_fault(tv->env);
        tcg_unwind(tv->env);
    }
    *guest_phys = (mapping.guest_phys & TCG_PAGE_MASK) | (guest_virt & (TCG_PAGE_SIZE - 1));
    return fill(tv, context, guest_virt, &mapping, access);
}

static bool crosses_page(uint64_t guest_virt, unsigned size)
{
    return ((guest_virt + size - 1) ^ guest_virt) & TCG_PAGE_MASK;
}

static MemoryAttributes attributes(TcgVcpu *tv)
{
    return (MemoryAttributes){ .vcpu = (int16_t)tv->vcpu->index };
}

static void read_part(TcgVcpu *tv, uint64_t guest_virt, void *to, unsigned size, unsigned flags)
{
    uint64_t guest_phys = 0, value = 0;
    const uint8_t *host = translate(tv, guest_virt, size, TCG_READ, flags, &guest_phys);

    if (host) {
        memcpy(to, host, size);
        return;
    }
    for (unsigned done = 0, part; done < size; done += part) {
        part = size - done >= 8 ? 8 : size - done;
        if (address_space_read(tv->vcpu->memory, guest_phys + done, &value, part, attributes(tv)) !=
            MEMORY_OK) {
            bus_error(tv, guest_virt + done, TCG_READ);
        }
        memcpy((uint8_t *)to + done, &value, part);
    }
}

static void write_part(TcgVcpu *tv, uint64_t guest_virt, const void *from, unsigned size,
                       unsigned flags)
{
    uint64_t guest_phys = 0, value = 0;
    uint8_t *host = translate(tv, guest_virt, size, TCG_WRITE, flags, &guest_phys);

    if (host) {
        memcpy(host, from, size);
        return;
    }
    for (unsigned done = 0, part; done < size; done += part) {
        part = size - done >= 8 ? 8 : size - done;
        memcpy(&value, (const uint8_t *)from + done, part);
        if (address_space_write(tv->vcpu->memory, guest_phys + done, value, part, attributes(tv)) !=
            MEMORY_OK) {
            bus_error(tv, guest_virt + done, TCG_WRITE);
        }
    }
}

/* Alignment of the whole access is judged before it is split, so that its parts need no such check. */
static void check_alignment(TcgVcpu *tv, uint64_t guest_virt, unsigned size, TcgAccess access,
                            unsigned flags)
{
    uint64_t guest_phys;

    if (flags & IR_MEM_ALIGNED) {
        translate(tv, guest_virt, size, access, flags, &guest_phys);
    }
}

static void read_bytes(TcgVcpu *tv, uint64_t guest_virt, void *to, unsigned size, unsigned flags)
{
    unsigned first = TCG_PAGE_SIZE - (unsigned)(guest_virt & (TCG_PAGE_SIZE - 1));

    if (!crosses_page(guest_virt, size)) {
        read_part(tv, guest_virt, to, size, flags);
        return;
    }
    check_alignment(tv, guest_virt, size, TCG_READ, flags);
    flags &= ~(unsigned)IR_MEM_ALIGNED;
    read_part(tv, guest_virt, to, first, flags);
    read_part(tv, guest_virt + first, (uint8_t *)to + first, size - first, flags);
}

static void check_store(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t guest_phys;

    if (!crosses_page(guest_virt, size)) {
        translate(tv, guest_virt, size, TCG_WRITE, flags, &guest_phys);
        return;
    }
    check_alignment(tv, guest_virt, size, TCG_WRITE, flags);
    flags &= ~(unsigned)IR_MEM_ALIGNED;
    translate(tv, guest_virt, 1, TCG_WRITE, flags, &guest_phys);
    translate(tv, (guest_virt + size - 1) & TCG_PAGE_MASK, 1, TCG_WRITE, flags, &guest_phys);
}

static void write_bytes(TcgVcpu *tv, uint64_t guest_virt, const void *from, unsigned size,
                        unsigned flags)
{
    unsigned first = TCG_PAGE_SIZE - (unsigned)(guest_virt & (TCG_PAGE_SIZE - 1));

    if (!crosses_page(guest_virt, size)) {
        write_part(tv, guest_virt, from, size, flags);
        return;
    }
    /* Both halves are checked before either is written. */
    check_store(tv->env, guest_virt, size, flags);
    flags &= ~(unsigned)IR_MEM_ALIGNED;
    write_part(tv, guest_virt, from, first, flags);
    write_part(tv, guest_virt + first, (const uint8_t *)from + first, size - first, flags);
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

uint64_t tcg_load(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    uint64_t value = 0;

    env->slow_loads++;
    read_bytes(tcg_vcpu(env), guest_virt, &value, size, flags);
    return flags & IR_MEM_BE ? swap_bytes(value, size) : value;
}

void tcg_store(TcgState *env, uint64_t guest_virt, uint64_t value, unsigned size, unsigned flags)
{
    env->slow_stores++;
    if (flags & IR_MEM_BE) {
        value = swap_bytes(value, size);
    }
    write_bytes(tcg_vcpu(env), guest_virt, &value, size, flags);
}

static V128 load_vector(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    V128 value = { 0 };

    env->slow_loads++;
    read_bytes(tcg_vcpu(env), guest_virt, &value, size, flags);
    return value;
}

static void store_vector(TcgState *env, uint64_t guest_virt, V128 value, unsigned size,
                         unsigned flags)
{
    env->slow_stores++;
    write_bytes(tcg_vcpu(env), guest_virt, &value, size, flags);
}

static void *load_check(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t guest_phys;

    env->slow_loads++;
    if (!crosses_page(guest_virt, size)) {
        uint8_t *host = translate(tv, guest_virt, size, TCG_READ, flags, &guest_phys);

        if (host) {
            return host;
        }
    }
    read_bytes(tv, guest_virt, env->bounce, size, flags);
    return env->bounce;
}

static void *atomic_check(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t guest_phys;
    uint8_t *host;

    env->slow_stores++;
    if (crosses_page(guest_virt, size)) {
        flags |= IR_MEM_ALIGNED;
    }
    translate(tv, guest_virt, size, TCG_READ, flags, &guest_phys);
    host = translate(tv, guest_virt, size, TCG_WRITE, flags, &guest_phys);
    if (!host || crosses_page(guest_virt, size)) {
        bus_error(tv, guest_virt, TCG_WRITE);
    }
    return host;
}

static void zero(TcgState *env, uint64_t guest_virt, unsigned size)
{
    static const uint8_t zeroes[64];

    env->slow_stores++;
    for (unsigned done = 0; done < size; done += sizeof zeroes) {
        write_bytes(tcg_vcpu(env), guest_virt + done, zeroes,
                    MIN(size - done, (unsigned)sizeof zeroes), IR_MEM_ZERO);
    }
}

void *tcg_probe(TcgState *env, uint64_t guest_virt, unsigned size, bool write, unsigned flags)
{
    uint64_t guest_phys;

    if (crosses_page(guest_virt, size)) {
        return NULL;
    }
    return translate(tcg_vcpu(env), guest_virt, size, write ? TCG_WRITE : TCG_READ, flags,
                     &guest_phys);
}

TcgFetchEntry *memory_fetch_page(TcgVcpu *tv, uint64_t guest_virt)
{
    TcgContext *context = tv->env->context;
    uint64_t page = guest_virt & TCG_PAGE_MASK;
    TcgFetchEntry *entry =
        &context->fetch[(page >> TCG_PAGE_BITS) & (ARRAY_SIZE(context->fetch) - 1)];
    unsigned bit = (unsigned)(page >> TCG_PAGE_BITS) & (64 * 32 - 1);
    TcgMapping mapping;
    bool writable;
    uint8_t *host;

    if (entry->tag == page) {
        return entry;
    }
    if (!find_mapping(tv, context, guest_virt, tv->target->insn_align, TCG_FETCH, 0, &mapping)) {
        tv->target->raise_fault(tv->env);
        return NULL;
    }
    host = host_page(tv, mapping.guest_phys & TCG_PAGE_MASK, &writable);
    if (!host) {
        tv->target->raise_bus_error(tv->env, guest_virt, TCG_FETCH);
        return NULL;
    }
    note_large(context, page, mapping.size_bits);
    context->executed[bit / 64] |= BIT(bit % 64);
    *entry = (TcgFetchEntry){ page, (uintptr_t)host | mapping.guarded };
    return entry;
}

uint8_t *memory_peek(TcgVcpu *tv, uint64_t guest_virt)
{
    uint64_t guest_phys;
    bool writable;
    uint8_t *host;
    TcgTlbEntry *entry = tlb_entry(tv->env->context, guest_virt);

    if (entry->read == (guest_virt & TCG_PAGE_MASK)) {
        return (uint8_t *)(uintptr_t)(guest_virt + entry->addend);
    }
    if (!tv->vcpu->target->translate_debug(tv->vcpu, guest_virt, &guest_phys)) {
        return NULL;
    }
    host = host_page(tv, guest_phys & TCG_PAGE_MASK, &writable);
    return host ? host + (guest_virt & (TCG_PAGE_SIZE - 1)) : NULL;
}

void memory_set_runtime(HostRuntime *runtime)
{
    runtime->load = tcg_load;
    runtime->store = tcg_store;
    runtime->load_vector = load_vector;
    runtime->store_vector = store_vector;
    runtime->load_check = load_check;
    runtime->store_check = check_store;
    runtime->atomic_check = atomic_check;
    runtime->zero = zero;
}
