/* SPDX-License-Identifier: MIT */
/* Slow paths of guest memory: TLB fills, page-crossing and device accesses. */
#include <string.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"

static TcgContext *context_of(TcgState *env, unsigned flags)
{
    return flags & IR_MEM_UNPRIV ? env->context_unpriv : env->context;
}

static _Noreturn void bus_error(TcgVcpu *tv, uint64_t guest_virt, TcgAccess access)
{
    tv->target->raise_bus_error(tv->env, guest_virt, access);
    tcg_unwind(tv->env);
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
    TcgWalkEntry uncached;
    const TcgWalkEntry *walk;

    if ((access == TCG_READ ? entry->read : entry->write) == page && !misaligned) {
        return (uint8_t *)(uintptr_t)(guest_virt + entry->addend);
    }
    walk = tlb_walk(tv, context, guest_virt, size, access, flags, &uncached);
    if (!walk) {
        tv->target->raise_fault(tv->env);
        tcg_unwind(tv->env);
    }
    *guest_phys = (walk->mapping.guest_phys & TCG_PAGE_MASK) | (guest_virt & (TCG_PAGE_SIZE - 1));
    if (!walk->host || (access == TCG_WRITE && !walk->writable)) {
        return NULL;
    }
    if (walk != &uncached) {
        tlb_fill(context, guest_virt, walk);
    }
    return walk->host + (guest_virt & (TCG_PAGE_SIZE - 1));
}

static bool crosses_page(uint64_t guest_virt, unsigned size)
{
    return ((guest_virt + size - 1) ^ guest_virt) & TCG_PAGE_MASK;
}

static MemoryAttributes attributes(TcgVcpu *tv)
{
    return (MemoryAttributes){ .vcpu = (int16_t)tv->vcpu->index, .secure = tv->vcpu->secure };
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
    TcgFetchEntry *entry = tlb_fetch_entry(context, guest_virt);
    TcgWalkEntry uncached;
    const TcgWalkEntry *walk;

    if (entry->tag == (guest_virt & TCG_PAGE_MASK)) {
        return entry;
    }
    walk = tlb_walk(tv, context, guest_virt, tv->target->insn_align, TCG_FETCH, 0, &uncached);
    if (!walk) {
        tv->target->raise_fault(tv->env);
        return NULL;
    }
    if (!walk->host) {
        tv->target->raise_bus_error(tv->env, guest_virt, TCG_FETCH);
        return NULL;
    }
    return tlb_fill_fetch(context, guest_virt, walk);
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
    host = tlb_host_page(tv, guest_phys & TCG_PAGE_MASK, &writable);
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
