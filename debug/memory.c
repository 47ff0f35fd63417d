/* SPDX-License-Identifier: MIT */
/* Guest physical memory for the debugger; see the header. */
#include "debug/memory.h"

#include <assert.h>
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

/*
 * A needle is found by a word of 4 bytes of it that lies aligned in memory, which one at an offset of 0 to 3 does: such words are compared
 * 16 at a time, which is several times as fast as a search by bytes.
 */
enum { WORDS_A_BLOCK = 16, WORD_OFFSETS = 4 };
typedef uint32_t Words __attribute__((vector_size(16), may_alias));

typedef struct {
    const DebugSearch *search;
    uint64_t left;    /* bytes that are still looked at */
    unsigned offsets; /* how many words of the needle are looked for */
    uint32_t word[WORD_OFFSETS];
} Scan;

static bool block_has_word(const uint32_t *block, const Scan *scan)
{
    const Words *at = (const Words *)(const void *)block;
    Words found = { 0 };

    for (unsigned k = 0; k < scan->offsets; k++) {
        const uint32_t w = scan->word[k];
        const Words word = { w, w, w, w };

        for (unsigned i = 0; i < WORDS_A_BLOCK / 4; i++) {
            found |= (Words)(at[i] == word);
        }
    }
    return found[0] | found[1] | found[2] | found[3];
}

/* Whether the needle is at host + at, and wanted there; end: of what may be read. */
static bool matches(const DebugSearch *search, const uint8_t *host, size_t at, size_t size,
                    uint64_t guest_phys)
{
    return !((guest_phys + at) & (search->alignment - 1)) && size - at >= search->size &&
           !memcmp(host + at, search->needle, search->size);
}

/* A run of pages that the host has. */
static bool search_run(const Scan *scan, const uint8_t *host, size_t size, uint64_t guest_phys)
{
    for (size_t at = 0; at + 4 * WORDS_A_BLOCK <= size; at += 4 * WORDS_A_BLOCK) {
        const uint32_t *words = (const uint32_t *)(const void *)(host + at);

        if (!block_has_word(words, scan)) {
            continue;
        }
        for (unsigned i = 0; i < WORDS_A_BLOCK; i++) {
            for (unsigned k = scan->offsets; k-- > 0;) {
                size_t place = at + 4 * i - k;

                if (words[i] == scan->word[k] && at + 4 * i >= k &&
                    matches(scan->search, host, place, size, guest_phys) &&
                    scan->search->fn(scan->search->opaque, guest_phys + place)) {
                    return true;
                }
            }
        }
    }
    return false;
}

static bool search_chunk(Scan *scan, const uint8_t *host, size_t size, uint64_t guest_phys)
{
    size_t page = sysconf(_SC_PAGESIZE), count = size / page;
    g_autofree unsigned char *resident = g_malloc(MAX(count, 1));

    if (mincore((void *)host, count * page, resident) < 0) {
        memset(resident, 1, count);
    }
    for (size_t i = 0; i < count && scan->left; i++) {
        size_t first = i;

        while (i < count && resident[i] & 1) {
            i++;
        }
        if (i > first) {
            size_t bytes = MIN((i - first) * page, scan->left);

            if (search_run(scan, host + first * page, bytes, guest_phys + first * page)) {
                return true;
            }
            scan->left -= bytes;
        }
    }
    return false;
}

static Scan begin_scan(const DebugSearch *search)
{
    Scan scan = { .search = search,
                  .left = search->limit,
                  .offsets = search->alignment >= 4 ? 1 : WORD_OFFSETS };

    assert(search->size >= 4 + scan.offsets - 1);
    for (unsigned k = 0; k < scan.offsets; k++) {
        memcpy(&scan.word[k], (const uint8_t *)search->needle + k, 4);
    }
    return scan;
}

static bool search_part(Scan *scan, const MemoryRange *range, uint64_t start, uint64_t end)
{
    size_t page = sysconf(_SC_PAGESIZE);
    const uint8_t *host;

    start = MAX(start, range->start);
    end = MIN(end, range->start + range->size);
    if (start >= end || range->region->kind != MEMORY_RAM) {
        return false;
    }
    host = range->region->host + range->offset;
    if ((uintptr_t)host % page) {
        return false;
    }
    start = range->start + align_down(start - range->start, page);
    for (uint64_t at = start; at < end && scan->left; at += SEARCH_CHUNK) {
        uint64_t n = MIN(end - at, SEARCH_CHUNK);

        if (search_chunk(scan, host + (at - range->start), align_up(n, page), at)) {
            return true;
        }
    }
    return false;
}

static bool search_between(Machine *machine, const DebugSearch *search, uint64_t start,
                           uint64_t end)
{
    const FlatView *view = atomic_load(&machine->memory_space.view);
    Scan scan = begin_scan(search);

    for (size_t i = 0; view && i < view->count; i++) {
        if (search_part(&scan, &view->ranges[i], start, end)) {
            return true;
        }
    }
    return false;
}

bool debug_memory_search(Machine *machine, const DebugSearch *search)
{
    return search_between(machine, search, 0, UINT64_MAX);
}

bool debug_memory_search_range(Machine *machine, const DebugSearch *search, uint64_t start,
                               uint64_t size)
{
    return search_between(machine, search, start, start + MIN(size, UINT64_MAX - start));
}
