/* SPDX-License-Identifier: MIT */
/*
 * The map of memory that GetMemoryMap gives (UEFI 2.10, 7.2.3). Firmware of EDK2's kin keeps it as a list in its DXE core, whose entries
 * begin with "mmap": found by that, and by links that point back.
 */
#include <string.h>

#include "base/bits.h"
#include "debug/firmware/uefi.h"
#include "debug/memory.h"

enum {
    ENTRY_BYTES = 64,
    NEXT = 8,
    PREVIOUS = 16,
    TYPE = 28,
    START = 32,
    END = 40,
    ATTRIBUTES = 56,
    PAGE = 4096,
    TRIES_MAX = 64
};

static const char signature[8] = "mmap";

const char *uefi_memory_type(uint32_t type)
{
    static const char *const names[] = { "Reserved",
                                         "LoaderCode",
                                         "LoaderData",
                                         "BootServicesCode",
                                         "BootServicesData",
                                         "RuntimeServicesCode",
                                         "RuntimeServicesData",
                                         "Conventional",
                                         "Unusable",
                                         "ACPIReclaim",
                                         "ACPINVS",
                                         "MMIO",
                                         "MMIOPortSpace",
                                         "PalCode",
                                         "Persistent",
                                         "Unaccepted" };

    return type < G_N_ELEMENTS(names) ? names[type] : NULL;
}

typedef struct {
    Machine *machine;
    GArray *map;
    bool found;
    unsigned tries; /* lists that lead nowhere */
} Search;

static int by_start(const void *a, const void *b)
{
    const UefiMemory *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

/* The entry whose link is there; false: the list's head, or none. */
static bool read_entry(Machine *machine, uint64_t link, UefiMemory *memory, uint64_t *next)
{
    uint8_t entry[ENTRY_BYTES];

    if (link < NEXT || !debug_memory_read(machine, link - NEXT, entry, sizeof entry)) {
        return false;
    }
    *next = load_le64(entry + NEXT);
    *memory = (UefiMemory){ .type = load_le32(entry + TYPE),
                            .start = load_le64(entry + START),
                            .end = load_le64(entry + END),
                            .attributes = load_le64(entry + ATTRIBUTES) };
    return !memcmp(entry, signature, sizeof signature) && memory->start < memory->end &&
           !(memory->start % PAGE) && memory->end % PAGE == PAGE - 1;
}

/* All round the list; it is right when it ends where it began. */
static bool follow(Search *search, uint64_t first)
{
    uint64_t link = first;
    bool head = false;

    g_array_set_size(search->map, 0);
    for (unsigned n = 0; n < UEFI_MEMORY_MAX; n++) {
        UefiMemory memory;
        uint64_t next;

        if (read_entry(search->machine, link, &memory, &next)) {
            g_array_append_val(search->map, memory);
        } else if (head || !debug_memory_read(search->machine, link, &next, 8)) {
            return false;
        } else {
            head = true;
        }
        if (next == first) {
            return head;
        }
        link = next;
    }
    return false;
}

static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    uint64_t previous, back, link = guest_phys + NEXT;
    UefiMemory memory;
    uint64_t next;

    if (guest_phys & 7 || !read_entry(search->machine, link, &memory, &next) ||
        !debug_memory_read(search->machine, next + 8, &back, 8) || back != link ||
        !debug_memory_read(search->machine, guest_phys + PREVIOUS, &previous, 8) ||
        !debug_memory_read(search->machine, previous, &next, 8) || next != link) {
        return false;
    }
    search->found = follow(search, link);
    return search->found || ++search->tries >= TRIES_MAX;
}

GArray *uefi_memory_map(Machine *machine)
{
    Search search = { machine, g_array_new(FALSE, FALSE, sizeof(UefiMemory)) };

    debug_memory_search(machine, &(DebugSearch){ signature, sizeof signature, 8, DEBUG_SEARCH_MOST,
                                                 consider, &search });
    if (!search.found) {
        g_array_set_size(search.map, 0);
    }
    g_array_sort(search.map, by_start);
    return search.map;
}
