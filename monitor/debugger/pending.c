/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints on names that are not known yet. They are looked for when symbols change, when the guest's paging does (event.c), and when a Linux kernel has
 * taken in a module, whose code has not run yet.
 */
#include "debug/symbols/symbols.h"
#include "monitor/debugger/location.h"
#include "monitor/debugger/private.h"

/* Called when a module's symbols can be found, before any of its functions is. */
#define MODULE_READY "do_init_module"

bool pending_is_watch(const DebugStop *stop)
{
    const Debugger *debugger = (const Debugger *)stop->client;

    return debugger->modules && stop->point == debugger->modules;
}

void pending_free(Debugger *debugger)
{
    if (debugger->modules) {
        debug_remove_point(debugger->machine, debugger->modules);
        g_clear_pointer(&debugger->modules, g_free);
    }
}

/* Where the kernel that is there now does it, while anybody waits. */
static void watch_modules(Debugger *debugger)
{
    Vcpu *vcpu = debugger->machine->vcpus->pdata[0];
    LocationPlace places[LOCATION_PLACES_MAX];
    DebugPoint *point;

    if (!debugger->pending || location_resolve(vcpu, MODULE_READY, false, places, NULL) != 1) {
        pending_free(debugger);
        return;
    }
    if (debugger->modules && debugger->modules->address == places[0].address) {
        return;
    }
    pending_free(debugger);
    point = g_new0(DebugPoint, 1);
    *point = (DebugPoint){ .client = &debugger->client,
                           .address = places[0].address,
                           .size = 1,
                           .access = DEBUG_EXECUTE,
                           .physical = places[0].physical };
    if (!debug_add_point(debugger->machine, point, NULL)) {
        g_free(point);
        return;
    }
    debugger->modules = point;
}

void pending_count(Debugger *debugger)
{
    unsigned count = 0;

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        const Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);

        count += breakpoint->enabled && breakpoint->pending;
    }
    if (!count != !debugger->pending) {
        debugger->pending = count;
        event_update(debugger);
    }
    watch_modules(debugger);
    moving_update(debugger);
}

void pending_place(Debugger *debugger)
{
    Vcpu *vcpu = debugger->machine->vcpus->pdata[0];

    for (unsigned i = 0; i < debugger->breakpoints->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->breakpoints, i);

        if (breakpoint->enabled && breakpoint->pending) {
            breakpoint_place(breakpoint, vcpu, NULL);
        }
    }
    pending_count(debugger);
}
