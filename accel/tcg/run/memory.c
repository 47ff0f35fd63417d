/* SPDX-License-Identifier: MIT */
/* Slow paths of guest memory: TLB fills, page-crossing and device accesses. */
#include <string.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"

static TcgContext *context_of(TcgState *env, unsigned flags)
{
    return flags & IR_MEM_OTHER ? env->context_other : env->context;
}

static _Noreturn void bus_error(TcgVcpu *tv, uint64_t guest_virt, TcgAccess access)
{
    tv->target->raise_bus_error(tv->env, guest_virt, access);
    tcg_unwind(tv->env);
}

static uint64_t ram_offset_of(const TcgVcpu *tv, const uint8_t *host)
{
    return (uint64_t)(host - memory_ram_base(tv->run->machine));
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
    if (tv->run->watching && size && walk->mapping.uncached) {
        trap_access(tv, guest_virt, *guest_phys, size, access, flags);
    }
    if (!walk->host || (access == TCG_WRITE && !walk->writable)) {
        if (access == TCG_WRITE && walk->at_once) {
            watch_before_interrupt(tv);
        }
        return NULL;
    }
    if (access == TCG_WRITE) {
        memory_ram_dirty(tv->run->machine, ram_offset_of(tv, walk->host), 1);
    }
    if (walk != &uncached) {
        /* Where code is coherent, pages that are only read stay without a write tag: they may be code. */
        tlb_fill(tv, context, guest_virt, walk, access == TCG_WRITE || !tv->target->coherent_code);
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
    TcgAccess access = flags & IR_MEM_FOR_WRITE ? TCG_WRITE : TCG_READ;
    const uint8_t *host = translate(tv, guest_virt, size, access, flags, &guest_phys);

    if (host) {
        memcpy(to, host, size);
        return;
    }
    watch_before_device(tv);
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
        watch_before_store(tv, host, size);
        memcpy(host, from, size);
        memory_ram_written(tv->run->machine, ram_offset_of(tv, host), size);
        return;
    }
    watch_before_device(tv);
    for (unsigned done = 0, part; done < size; done += part) {
        part = size - done >= 8 ? 8 : size - done;
        memcpy(&value, (const uint8_t *)from + done, part);
        if (address_space_write(tv->vcpu->memory, guest_phys + done, value, part, attributes(tv)) !=
            MEMORY_OK) {
            bus_error(tv, guest_virt + done, TCG_WRITE);
        }
    }
}

static unsigned bytes_to_page_end(uint64_t guest_virt)
{
    return TCG_PAGE_SIZE - (unsigned)(guest_virt & (TCG_PAGE_SIZE - 1));
}

/* The whole access is judged before it is split: its alignment, so that the parts need no such check, and what the target says. */
static void check_crossing(TcgVcpu *tv, uint64_t guest_virt, unsigned size, TcgAccess access,
                           unsigned flags)
{
    uint64_t second = ir_mem_wrap(guest_virt + bytes_to_page_end(guest_virt), flags), guest_phys;
    const TcgContext *context = context_of(tv->env, flags);

    if (flags & IR_MEM_ALIGNED) {
        translate(tv, guest_virt, size, access, flags, &guest_phys);
    }
    if (tv->target->check_crossing &&
        !(tlb_known_walk(tv, context, guest_virt, access) &&
          tlb_known_walk(tv, context, second, access)) &&
        !tv->target->check_crossing(tv->env, guest_virt, second, access, flags)) {
        tv->target->raise_fault(tv->env);
        tcg_unwind(tv->env);
    }
}

void tcg_check_span(TcgState *env, uint64_t guest_virt, unsigned size, bool write, unsigned flags)
{
    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (crosses_page(guest_virt, size)) {
        check_crossing(tcg_vcpu(env), guest_virt, size, write ? TCG_WRITE : TCG_READ,
                       flags & ~(unsigned)IR_MEM_ALIGNED);
    }
}

static void read_bytes(TcgVcpu *tv, uint64_t guest_virt, void *to, unsigned size, unsigned flags)
{
    unsigned first = bytes_to_page_end(guest_virt);
    TcgAccess access = flags & IR_MEM_FOR_WRITE ? TCG_WRITE : TCG_READ;

    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (!crosses_page(guest_virt, size)) {
        read_part(tv, guest_virt, to, size, flags);
        return;
    }
    check_crossing(tv, guest_virt, size, access, flags);
    flags &= ~(unsigned)IR_MEM_ALIGNED;
    read_part(tv, guest_virt, to, first, flags);
    read_part(tv, ir_mem_wrap(guest_virt + first, flags), (uint8_t *)to + first, size - first,
              flags);
}

static void check_store_part(TcgVcpu *tv, uint64_t guest_virt, unsigned size, unsigned flags)
{
    uint64_t guest_phys;
    const uint8_t *host = translate(tv, guest_virt, size, TCG_WRITE, flags, &guest_phys);

    if (host) {
        watch_before_store(tv, host, size);
    }
}

void tcg_check_store(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgVcpu *tv = tcg_vcpu(env);
    unsigned first = bytes_to_page_end(guest_virt);

    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (!crosses_page(guest_virt, size)) {
        check_store_part(tv, guest_virt, size, flags);
        return;
    }
    check_crossing(tv, guest_virt, size, TCG_WRITE, flags);
    flags &= ~(unsigned)IR_MEM_ALIGNED;
    check_store_part(tv, guest_virt, first, flags);
    check_store_part(tv, ir_mem_wrap(guest_virt + first, flags), size - first, flags);
}

static void write_bytes(TcgVcpu *tv, uint64_t guest_virt, const void *from, unsigned size,
                        unsigned flags)
{
    unsigned first = bytes_to_page_end(guest_virt);

    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (!crosses_page(guest_virt, size)) {
        write_part(tv, guest_virt, from, size, flags);
        return;
    }
    /* Both halves are checked before either is written. */
    tcg_check_store(tv->env, guest_virt, size, flags);
    flags &= ~(unsigned)IR_MEM_ALIGNED;
    write_part(tv, guest_virt, from, first, flags);
    write_part(tv, ir_mem_wrap(guest_virt + first, flags), (const uint8_t *)from + first,
               size - first, flags);
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

/* A page that has been read and may be written without another walk gets its write tag before the store. */
static void fill_for_write(TcgVcpu *tv, uint64_t guest_virt)
{
    TcgContext *context = tv->env->context;
    const TcgWalkEntry *walk = tlb_known_walk(tv, context, guest_virt, TCG_WRITE);

    if (walk && walk->host && walk->writable) {
        memory_ram_dirty(tv->run->machine, ram_offset_of(tv, walk->host), 1);
        tlb_fill(tv, context, guest_virt, walk, true);
    }
}

/* Watched accesses are told of when they are made. */
static bool reach(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags, bool write,
                  bool all_write)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t guest_phys;

    if (tv->run->watching || ir_mem_wrap(guest_virt, flags) != guest_virt ||
        crosses_page(guest_virt, size) ||
        !translate(tv, guest_virt, size, write ? TCG_WRITE : TCG_READ, flags, &guest_phys)) {
        return false;
    }
    if (all_write && !write) {
        fill_for_write(tv, guest_virt);
    }
    return true;
}

static void *load_check(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t guest_phys;

    env->slow_loads++;
    if (flags & IR_MEM_ONLY_STORED) {
        tcg_check_store(env, guest_virt, size, flags);
        return env->bounce;
    }
    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (!crosses_page(guest_virt, size)) {
        TcgAccess access = flags & IR_MEM_FOR_WRITE ? TCG_WRITE : TCG_READ;
        uint8_t *host = translate(tv, guest_virt, size, access, flags, &guest_phys);

        if (host) {
            return host;
        }
    }
    read_bytes(tv, guest_virt, env->bounce, size, flags);
    return env->bounce;
}

/* --- atomic ops across pages and on devices ---------------------------------------------------- */

/* Alone in the machine; what others have asked for is done, so that translations are true until the end. */
static void begin_exclusive(TcgVcpu *tv)
{
    /* Outside guest code as far as others are concerned: they may wait for requests meanwhile. */
    atomic_store(&tv->in_guest, false);
    machine_exclusive_begin(tv->run->machine);
    atomic_store(&tv->in_guest, true);
    context_process_inbox(tv);
}

/* One piece in a page, between memory and buffer. False: a fault or bus error, which is not taken. */
static bool copy_piece(TcgVcpu *tv, uint64_t guest_virt, uint8_t *buffer, unsigned size, bool write)
{
    TcgContext *context = context_of(tv->env, tv->atomic_flags);
    TcgWalkEntry uncached;
    const TcgWalkEntry *walk =
        tlb_walk(tv, context, guest_virt, 0, TCG_WRITE, tv->atomic_flags, &uncached);
    uint64_t guest_phys, value = 0;
    MemoryResult result = MEMORY_OK;

    if (!walk) {
        return false;
    }
    guest_phys = (walk->mapping.guest_phys & TCG_PAGE_MASK) | (guest_virt & (TCG_PAGE_SIZE - 1));
    for (unsigned done = 0, part; done < size && result == MEMORY_OK; done += part) {
        part = MIN(size - done, 8u);
        if (write) {
            memcpy(&value, buffer + done, part);
            result = address_space_write(tv->vcpu->memory, guest_phys + done, value, part,
                                         attributes(tv));
        } else {
            result = address_space_read(tv->vcpu->memory, guest_phys + done, &value, part,
                                        attributes(tv));
            memcpy(buffer + done, &value, part);
        }
    }
    return result == MEMORY_OK;
}

static bool copy_atomic(TcgVcpu *tv, unsigned size, bool write)
{
    uint64_t start = tv->atomic_address;
    uint8_t *buffer = (uint8_t *)tv->env->bounce;
    unsigned first = MIN(size, bytes_to_page_end(start));

    return copy_piece(tv, start, buffer, first, write) &&
           (first == size || copy_piece(tv, ir_mem_wrap(start + first, tv->atomic_flags),
                                        buffer + first, size - first, write));
}

static void *atomic_copy(TcgVcpu *tv, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgState *env = tv->env;

    tv->atomic_address = guest_virt;
    tv->atomic_flags = flags & ~(unsigned)IR_MEM_ALIGNED;
    for (unsigned tries = 0; tries < 8; tries++) {
        /* Faults are taken here, outside the section. */
        tcg_check_store(env, guest_virt, size, flags);
        begin_exclusive(tv);
        if (copy_atomic(tv, size, false)) {
            env->exclusive_size = size;
            return env->bounce;
        }
        machine_exclusive_end(tv->run->machine);
    }
    bus_error(tv, guest_virt, TCG_WRITE);
}

void tcg_atomic_end(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (env->exclusive_size) {
        /* A device's refusal comes too late for the instruction. */
        copy_atomic(tv, env->exclusive_size, true);
        env->exclusive_size = 0;
        machine_exclusive_end(tv->run->machine);
    }
}

static void *atomic_check(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    TcgVcpu *tv = tcg_vcpu(env);
    bool anywhere = tv->target->locks_anything;
    uint64_t guest_phys;
    uint8_t *host;

    env->slow_stores++;
    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (crosses_page(guest_virt, size)) {
        if (anywhere) {
            return atomic_copy(tv, guest_virt, size, flags);
        }
        flags |= IR_MEM_ALIGNED;
    }
    if (!(flags & IR_MEM_FOR_WRITE)) {
        translate(tv, guest_virt, size, TCG_READ, flags, &guest_phys);
    }
    host = translate(tv, guest_virt, size, TCG_WRITE, flags, &guest_phys);
    if (host && watch_is_code(tv, host)) {
        watch_before_store(tv, host, size);
        if (anywhere) {
            return atomic_copy(tv, guest_virt, size, flags);
        }
        memory_ram_written(tv->run->machine, ram_offset_of(tv, host), size);
    }
    if (!host && anywhere) {
        return atomic_copy(tv, guest_virt, size, flags);
    }
    if (!host || crosses_page(guest_virt, size)) {
        bus_error(tv, guest_virt, TCG_WRITE);
    }
    return host;
}

void *tcg_atomic_begin(TcgState *env, uint64_t guest_virt, unsigned size, unsigned flags)
{
    return atomic_check(env, guest_virt, size, flags);
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
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t guest_phys;
    uint8_t *host;

    guest_virt = ir_mem_wrap(guest_virt, flags);
    if (crosses_page(guest_virt, size)) {
        return NULL;
    }
    host = flags & (IR_MEM_OTHER | IR_MEM_ALIGNED) ? NULL : tcg_known(env, guest_virt, size, write);
    if (host) {
        return host;
    }
    host = translate(tv, guest_virt, size, write ? TCG_WRITE : TCG_READ, flags, &guest_phys);
    /* Stores to code must be seen one by one. */
    return write && host && watch_is_code(tv, host) ? NULL : host;
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
    return walk->host ? tlb_fill_fetch(tv, context, guest_virt, walk)
                      : device_code_page(tv, guest_virt, &walk->mapping);
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

void memory_set_runtime(HostRuntime *runtime, const TcgTarget *target)
{
    runtime->load = tcg_load;
    runtime->store = tcg_store;
    runtime->load_vector = load_vector;
    runtime->store_vector = store_vector;
    runtime->load_check = load_check;
    runtime->reach = reach;
    runtime->store_check = tcg_check_store;
    runtime->atomic_check = atomic_check;
    runtime->atomic_end = target->locks_anything ? tcg_atomic_end : NULL;
    runtime->zero = zero;
}
