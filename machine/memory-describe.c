/* SPDX-License-Identifier: MIT */
/* The memory map as text, laid out as existing tools parse `info mtree`. */
#include <inttypes.h>

#include "machine/private.h"

static const char *kind_name(const MemoryRegion *region)
{
    switch (region->kind) {
    case MEMORY_RAM:
        return "ram";
    case MEMORY_ROM:
        return region->ops ? "romd" : "rom";
    default:
        return "i/o";
    }
}

/* The last address of a region; the 2^64 of a root is written as UINT64_MAX. */
static uint64_t last_address(uint64_t start, uint64_t size)
{
    return size == UINT64_MAX ? UINT64_MAX : start + size - (size > 0);
}

static void describe_region(GString *out, const MemoryRegion *region, uint64_t base, unsigned depth)
{
    uint64_t start = base + region->address;

    g_string_append_printf(out, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, ", depth * 2, "", start,
                           last_address(start, region->size), region->priority);
    if (region->kind == MEMORY_ALIAS) {
        g_string_append_printf(out, "%s): alias %s @%s %016" PRIx64 "-%016" PRIx64,
                               kind_name(region->target), region->name, region->target->name,
                               region->target_offset,
                               last_address(region->target_offset, region->size));
    } else {
        g_string_append_printf(out, "%s): %s", kind_name(region), region->name);
    }
    g_string_append(out, region->enabled ? "\n" : " [disabled]\n");
    /* Children are listed by priority as they win; a reader looks for addresses. */
    for (unsigned i = 0; region->children && i < region->children->len; i++) {
        describe_region(out, region->children->pdata[i], start, depth + 1);
    }
}

static int compare_address(const void *a, const void *b)
{
    const MemoryRegion *x = *(MemoryRegion *const *)a, *y = *(MemoryRegion *const *)b;

    return x->address < y->address ? -1 : x->address > y->address;
}

static void describe_root(GString *out, const AddressSpace *space)
{
    const MemoryRegion *root = space->root;
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    g_string_append_printf(out, "address-space: %s\n", space->name);
    g_string_append_printf(out, "  %016x-%016" PRIx64 " (prio %d, %s): %s\n", 0,
                           last_address(0, root->size), root->priority, kind_name(root),
                           root->name);
    for (unsigned i = 0; root->children && i < root->children->len; i++) {
        g_ptr_array_add(sorted, root->children->pdata[i]);
    }
    g_ptr_array_sort(sorted, compare_address);
    for (unsigned i = 0; i < sorted->len; i++) {
        describe_region(out, sorted->pdata[i], 0, 2);
    }
    g_string_append_c(out, '\n');
}

static void describe_view(GString *out, const AddressSpace *space, unsigned number)
{
    const FlatView *view = atomic_load(&space->view);

    g_string_append_printf(out, "FlatView #%u\n AS \"%s\", root: %s\n Root memory region: %s\n",
                           number, space->name, space->root->name, space->root->name);
    for (size_t i = 0; i < view->count; i++) {
        const MemoryRange *range = &view->ranges[i];

        g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s",
                               range->start, range->start + range->size - 1,
                               range->region->priority, kind_name(range->region),
                               range->region->name);
        if (range->offset) {
            g_string_append_printf(out, " @%016" PRIx64, range->offset);
        }
        g_string_append_c(out, '\n');
    }
    g_string_append_c(out, '\n');
}

char *memory_describe(Machine *machine, bool flat)
{
    GString *out = g_string_new(NULL);
    GPtrArray *spaces = machine->private->memory.spaces;

    for (unsigned i = 0; i < spaces->len; i++) {
        if (flat) {
            describe_view(out, spaces->pdata[i], i);
        } else {
            describe_root(out, spaces->pdata[i]);
        }
    }
    return g_string_free(out, false);
}
