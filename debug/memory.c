/* SPDX-License-Identifier: MIT */
/* Guest physical memory for the debugger; see the header. */
#include "debug/memory.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"

enum { SEARCH_CHUNK = 64 << 20 };

bool debug_memory_read(Machine *machine, uint64_t guest_phys, void *buffer, size_t size)
{
    uint8_t *to = buffer;

    while (size) {
        uint64_t n = size;
        const void *host = address_space_map(&machine->memory_space, guest_phys, &n, false);

        if (!host || !n) {
            return false;
        }
        memcpy(to, host, n);
        to += n;
        guest_phys += n;
        size -= n;
    }
    return true;
}

bool debug_memory_read_virtual(Vcpu *vcpu, uint64_t guest_virt, void *buffer, size_t size)
{
    uint8_t *to = buffer;

    while (size) {
        size_t n = MIN(size, 1024 - (guest_virt & 1023)); /* no page is smaller */
        uint64_t guest_phys;

        if (!vcpu->target->translate_debug(vcpu, guest_virt, &guest_phys) ||
            !debug_memory_read(vcpu->machine, guest_phys, to, n)) {
            return false;
        }
        to += n;
        guest_virt += n;
        size -= n;
    }
    return true;
}

const uint8_t *debug_memory_around(Machine *machine, uint64_t guest_phys, uint64_t before,
                                   uint64_t after, uint64_t *start, uint64_t *size)
{
    const MemoryRange *range = address_space_find(&machine->memory_space, guest_phys);
    uint64_t end;

    if (!range || !memory_range_direct(range, false)) {
        return NULL;
    }
    *start = guest_phys - MIN(before, guest_phys - range->start);
    end = guest_phys + MIN(after, range->start + range->size - guest_phys);
    *size = end - *start;
    return range->region->host + range->offset + (*start - range->start);
}

typedef struct {
    const void *needle;
    size_t size;
    bool (*fn)(void *opaque, uint64_t guest_phys);
    void *opaque;
} Search;

/* A run of pages that the host has. */
static bool search_run(const Search *search, const uint8_t *host, size_t size, uint64_t guest_phys)
{
    const uint8_t *at = host, *found;

    while ((found = memmem(at, size - (at - host), search->needle, search->size))) {
        if (search->fn(search->opaque, guest_phys + (found - host))) {
            return true;
        }
        at = found + 1;
    }
    return false;
}

static bool search_chunk(const Search *search, const uint8_t *host, size_t size,
                         uint64_t guest_phys, uint64_t *limit)
{
    size_t page = sysconf(_SC_PAGESIZE), count = size / page;
    g_autofree unsigned char *resident = g_malloc(MAX(count, 1));

    if (mincore((void *)host, count * page, resident) < 0) {
        memset(resident, 1, count);
    }
    for (size_t i = 0; i < count;) {
        size_t first = i;

        while (i < count && resident[i] & 1) {
            i++;
        }
        if (i > first) {
            size_t bytes = MIN((i - first) * page, *limit);

            if (search_run(search, host + first * page, bytes, guest_phys + first * page)) {
                return true;
            }
            *limit -= bytes;
        }
        i++;
    }
    return false;
}

bool debug_memory_search(Machine *machine, const void *needle, size_t size, uint64_t limit,
                         bool (*fn)(void *opaque, uint64_t guest_phys), void *opaque)
{
    const FlatView *view = atomic_load(&machine->memory_space.view);
    Search search = { needle, size, fn, opaque };

    for (size_t i = 0; view && i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];
        const uint8_t *host = range->region->host + range->offset;

        if (range->region->kind != MEMORY_RAM || (uintptr_t)host % sysconf(_SC_PAGESIZE)) {
            continue;
        }
        for (uint64_t at = 0; at < range->size && limit; at += SEARCH_CHUNK) {
            uint64_t n = MIN(range->size - at, SEARCH_CHUNK);

            if (search_chunk(&search, host + at, n, range->start + at, &limit)) {
                return true;
            }
        }
    }
    return false;
}
