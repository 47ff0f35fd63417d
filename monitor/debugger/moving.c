/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints in firmware that moves itself: the places of its names change while it runs. Until it has moved, the first instruction behind where it was
 * linked to be is a reason to look where its code is. Pages that turn out to have other code are left alone from then on.
 */
#include "debug/symbols/symbols.h"
#include "monitor/debugger/private.h"

enum {
    LOOKS_MAX = 8, /* each takes some 20 ms; then whatever runs there is no copy */
    PAGE = 4096,
};

static void free_range(void *opaque)
{
    DebugPoint *range = opaque;

    debug_remove_point(range->client->machine, range);
    g_free(range);
}

static void add_range(Debugger *debugger, uint64_t start, uint64_t size)
{
    DebugPoint *range = g_new0(DebugPoint, 1);
    *range = (DebugPoint){
        .client = &debugger->client, .address = start, .size = size, .access = DEBUG_EXECUTE
    };
    if (!size || !debug_add_point(debugger->machine, range, NULL)) {
        g_free(range);
        return;
    }
    g_ptr_array_add(debugger->moving, range);
}

/* The lowest end of the files that breakpoints are in and that may move; 0: there are none. */
static uint64_t lowest_end(Debugger *debugger)
{
    uint64_t lowest = 0;

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        const Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);

        for (unsigned k = 0;
             breakpoint->enabled && breakpoint->request.access && k < breakpoint->places->len;
             k++) {
            const BreakpointPlace *place = g_ptr_array_index(breakpoint->places, k);
            uint64_t end;

            if (symbols_may_move(debugger->machine, place->shown, &end) &&
                (!lowest || end < lowest)) {
                lowest = end;
            }
        }
    }
    return lowest;
}

void moving_update(Debugger *debugger)
{
    uint64_t end = debugger->looks < LOOKS_MAX ? lowest_end(debugger) : 0;

    if (end == debugger->moving_from) {
        return;
    }
    debugger->moving_from = end;
    g_clear_pointer(&debugger->moving, g_ptr_array_unref);
    if (end) {
        debugger->moving = g_ptr_array_new_with_free_func(free_range);
        add_range(debugger, end, -end);
    }
}

bool moving_is_watch(const DebugStop *stop)
{
    const Debugger *debugger = (const Debugger *)stop->client;

    return debugger->moving && stop->point && g_ptr_array_find(debugger->moving, stop->point, NULL);
}

void moving_leave_page(Debugger *debugger, uint64_t pc)
{
    uint64_t page = pc & -(uint64_t)PAGE;

    if (++debugger->looks >= LOOKS_MAX) {
        moving_update(debugger);
    }
    for (unsigned i = 0; debugger->moving && i < debugger->moving->len; i++) {
        const DebugPoint *range = g_ptr_array_index(debugger->moving, i);
        uint64_t start = range->address, size = range->size, end = start + size;

        if (pc - start < size) {
            g_ptr_array_remove_index_fast(debugger->moving, i);
            add_range(debugger, start, page > start ? page - start : 0);
            /* The last range ends with the address space, at 0. */
            add_range(debugger, page + PAGE, page + PAGE - start < size ? end - (page + PAGE) : 0);
            return;
        }
    }
}

void moving_free(Debugger *debugger)
{
    g_clear_pointer(&debugger->moving, g_ptr_array_unref);
}
