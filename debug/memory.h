/* SPDX-License-Identifier: MIT */
/*
 * Guest physical memory as a debugger reads it: RAM and ROM alone, never a device, so that looking changes nothing. With the
 * machine lock held and the vCPUs parked.
 */
#ifndef DEBUG_MEMORY_H
#define DEBUG_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine/machine.h"

/* false: not all of it is memory. */
bool debug_memory_read(Machine *machine, uint64_t guest_phys, void *buffer, size_t size);
/* The same of a vCPU's virtual memory, as it is mapped now. */
bool debug_memory_read_virtual(Vcpu *vcpu, uint64_t guest_virt, void *buffer, size_t size);
/* Where [guest_phys, guest_phys + *size) lies around an address, in one piece of RAM; *start and *size tell how much. NULL: no RAM. */
const uint8_t *debug_memory_around(Machine *machine, uint64_t guest_phys, uint64_t before,
                                   uint64_t after, uint64_t *start, uint64_t *size);
/*
 * Calls fn for each place in RAM that holds the needle, until it returns true. Pages that were never written are not looked at, and no more
 * than limit bytes are. alignment: of the places, a power of two. The needle has 4 bytes at least, 7 where the alignment is less than 4.
 */
typedef struct {
    const void *needle;
    size_t size;
    unsigned alignment;
    uint64_t limit;
    bool (*fn)(void *opaque, uint64_t guest_phys);
    void *opaque;
} DebugSearch;
/* A limit for what may not be there at all. */
#define DEBUG_SEARCH_MOST (UINT64_C(4) << 30)
/* Returns what fn has returned last. */
bool debug_memory_search(Machine *machine, const DebugSearch *search);
/* The same of one piece of guest physical memory. */
bool debug_memory_search_range(Machine *machine, const DebugSearch *search, uint64_t start, uint64_t size);

#endif
