/* SPDX-License-Identifier: MIT */
/* Breakpoints on events, and breakpoints that wait for a name: which events are wanted, and which count. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "monitor/debugger/private.h"

/* Names that are not known yet are looked for when the guest's paging changes, but not more often than this. */
enum { REFRESH_US = 2000 };

static const char *const kind_names[DEBUG_EVENT_KINDS] = {
    [DEBUG_EXCEPTION] = "exception", [DEBUG_INTERRUPT] = "interrupt",
    [DEBUG_MODE] = "mode",           [DEBUG_REGISTER] = "register",
    [DEBUG_PAGING] = "paging",       [DEBUG_DEVICE] = "",
    [DEBUG_PORT] = "port",           [DEBUG_FIRMWARE_CALL] = "psci",
    [DEBUG_RESET] = "reset",         [DEBUG_TRIPLE_FAULT] = "triple-fault",
};

void event_describe(GString *text, const DebugEvent *event)
{
    g_string_append(text, kind_names[event->kind]);
    if (event->kind == DEBUG_DEVICE) {
        g_string_append_printf(text, "%s.%s", event->who, event->name);
    } else if (event->name) {
        g_string_append_printf(text, " %s", event->name);
    }
    if (event->kind == DEBUG_EXCEPTION || event->kind == DEBUG_INTERRUPT ||
        event->kind == DEBUG_PORT || event->kind == DEBUG_FIRMWARE_CALL) {
        g_string_append_printf(text, " %#" PRIx64, event->number);
    }
    if (event->kind == DEBUG_DEVICE || event->kind == DEBUG_PORT || event->kind == DEBUG_REGISTER) {
        g_string_append(text, event->write ? " <-" : " ->");
    }
    if (event->kind != DEBUG_MODE && event->kind != DEBUG_RESET &&
        event->kind != DEBUG_TRIPLE_FAULT && event->kind != DEBUG_INTERRUPT) {
        g_string_append_printf(text, " %#" PRIx64, event->value);
    }
}

static bool name_fits(const char *wanted, const char *name)
{
    return !wanted || (name && g_ascii_strcasecmp(wanted, name) == 0);
}

static bool fits(const BreakpointRequest *request, const DebugEvent *event)
{
    return request->event == event->kind && name_fits(request->event_who, event->who) &&
           name_fits(request->event_name, event->name) &&
           (request->event_any_number || request->event_number == event->number) &&
           (event->write ? request->event_writes
                         : request->event_reads || event->kind < DEBUG_REGISTER);
}

static bool counts(Breakpoint *breakpoint, Vcpu *vcpu, const DebugEvent *event)
{
    Machine *machine = breakpoint->debugger->machine;
    const DebugStop stop = { .kind = DEBUG_STOP_EVENT,
                             .vcpu = vcpu ? vcpu : machine->vcpus->pdata[0],
                             .pc = vcpu ? vcpu->target->get_pc(vcpu) : 0,
                             .event = *event };
    const ConditionValues values = { .value = event->value, .address = event->number };

    return fits(&breakpoint->request, event) && breakpoint_holds(breakpoint, &stop, &values);
}

bool event_happened(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque)
{
    Debugger *debugger = (Debugger *)client;
    int64_t now = g_get_monotonic_time();
    bool stops = false;

    g_mutex_lock(&debugger->lock);
    for (unsigned i = 0; i < debugger->events->len; i++) {
        Breakpoint *breakpoint = g_ptr_array_index(debugger->events, i);

        if (counts(breakpoint, vcpu, event) && !stops) {
            stops = true;
            *opaque = breakpoint;
        }
    }
    if (!stops && event->kind == DEBUG_PAGING && debugger->pending &&
        now - debugger->refreshed_us > REFRESH_US) {
        debugger->refreshed_us = now;
        stops = true;
    }
    g_mutex_unlock(&debugger->lock);
    return stops;
}

void event_update(Debugger *debugger)
{
    uint32_t kinds = debugger->pending ? UINT32_C(1) << DEBUG_PAGING : 0;

    for (unsigned i = 0; i < debugger->events->len; i++) {
        const Breakpoint *breakpoint = g_ptr_array_index(debugger->events, i);

        kinds |= UINT32_C(1) << breakpoint->request.event;
    }
    debug_want(&debugger->client, kinds);
}

void event_set(Breakpoint *breakpoint, bool on)
{
    Debugger *debugger = breakpoint->debugger;

    g_mutex_lock(&debugger->lock);
    g_ptr_array_remove(debugger->events, breakpoint);
    if (on) {
        g_ptr_array_add(debugger->events, breakpoint);
    }
    g_mutex_unlock(&debugger->lock);
    event_update(debugger);
}
