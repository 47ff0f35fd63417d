/* SPDX-License-Identifier: MIT */
/*
 * Code that is not in RAM, or in ROM that is read directly: in a device's memory, whose bytes may be others each time they are read. Each
 * instruction is fetched anew when it is executed, and is a unit of its own (TCG_MODE_ALONE), made of a copy that the vCPU
 * keeps of what it has read. Where it has read the same bytes as before, the unit is still good.
 */
#include <string.h>

#include "accel/tcg/run/run.h"

enum { COPY_BYTES = 2 * TCG_PAGE_SIZE };

void device_code_free(TcgVcpu *tv)
{
    if (tv->copy) {
        tlb_unmap(tv->copy, COPY_BYTES);
    }
}

TcgFetchEntry *device_code_page(TcgVcpu *tv, uint64_t guest_virt, const TcgMapping *mapping)
{
    if (!tv->copy) {
        tv->copy = tlb_map(COPY_BYTES);
        g_assert(tv->copy);
    }
    tv->copy_fetch =
        (TcgFetchEntry){ TCG_FETCH_EMPTY, tlb_fetch_value(tv, guest_virt, mapping, tv->copy) };
    return &tv->copy_fetch;
}

static bool fetch(TcgVcpu *tv, uint64_t guest_virt, unsigned size, uint64_t *value)
{
    const MemoryAttributes attributes = { .vcpu = (int16_t)tv->vcpu->index,
                                          .secure = tv->vcpu->secure };
    TcgWalkEntry uncached;
    const TcgWalkEntry *walk =
        tlb_walk(tv, tv->env->context, guest_virt, size, TCG_FETCH, 0, &uncached);

    if (!walk) {
        tv->target->raise_fault(tv->env);
        return false;
    }
    if (address_space_read(tv->vcpu->memory,
                           (walk->mapping.guest_phys & TCG_PAGE_MASK) |
                               (guest_virt & (TCG_PAGE_SIZE - 1)),
                           value, size, attributes) != MEMORY_OK) {
        tv->target->raise_bus_error(tv->env, guest_virt, TCG_FETCH);
        return false;
    }
    return true;
}

/* The copy goes up to a page offset. Units of bytes that were others go. */
static bool copy_up_to(TcgVcpu *tv, unsigned end)
{
    unsigned size = tv->target->insn_align;
    uint64_t value = 0;

    for (; tv->copy_end < end; tv->copy_end += size) {
        uint8_t *to = tv->copy + tv->copy_end;

        if (!fetch(tv, tv->env->pc_page + tv->copy_end, size, &value)) {
            return false;
        }
        if (memcmp(to, &value, size) != 0) {
            cache_invalidate_range(tv->run, to, size);
            memcpy(to, &value, size);
        }
    }
    return true;
}

bool device_code_begin(TcgVcpu *tv)
{
    tv->copy_end = (unsigned)tv->env->pc_offset;
    return copy_up_to(tv, tv->copy_end + tv->target->insn_align);
}

static unsigned end_of(const TcgUnit *unit)
{
    return unit->next_span ? TCG_PAGE_SIZE + unit->next_span->end : unit->span.end;
}

TcgUnit *device_code_unit(TcgVcpu *tv, uint64_t mode)
{
    uint64_t page = tv->copy_fetch.host_page, next = (uintptr_t)tv->copy + TCG_PAGE_SIZE;

    for (;;) {
        unsigned needs;
        TcgUnit *unit =
            cache_find(tv, page, (unsigned)tv->env->pc_offset, mode | TCG_MODE_ALONE, next, &needs);

        /* One of before: its bytes have not all been read yet. */
        if (unit && end_of(unit) > tv->copy_end) {
            needs = end_of(unit);
        }
        if (!needs || !copy_up_to(tv, needs)) {
            return needs ? NULL : unit;
        }
    }
}
